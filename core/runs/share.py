"""Sharing of runs: publish them beside the code, export a zip, import an untrusted zip."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import scipy.sparse as sp

from core.config.defaults import MODELS
from core.metrics.thresholds import Limits
from core.runs import journal, results
from core.runs.folder import RUN_ID, Damaged, Run, get_run, new_folder, published_dir, read_folder, run_path
from core.runs.predictions import PREDICTIONS, Predictions, read_predictions, write_predictions
from core.system.access import check_writable
from core.system.arrays import PARSER_ERRORS, check_archive, check_tensors, describe
from core.system.errors import UserError
from core.system.files import atomic_path, read_fields, read_json, say_unwritable, write_json

RESULTS = ("config.json", "status.json", "history.jsonl", "metrics.json", "thresholds.json", *PREDICTIONS.values())
"""Files of a run's results."""
ENCODER = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
WIDE = ("wide/vocabulary.json", "wide/idf.safetensors")
WEIGHTS = ("model.safetensors", "vocabulary.json", "idf.safetensors", *(f"encoder/{name}" for name in ENCODER), *WIDE)
"""Files needed to score other texts."""
PUBLISHED_WEIGHTS = ("model.safetensors", "vocabulary.json", "idf.safetensors")
"""Files of a model on TF-IDF that score other texts."""
LARGEST_WEIGHTS = 6_000_000
"""Bytes of the weights of a published run: they come with the repository."""
STATUS = ("state", "submitted", "started", "ended", "device", "command")
LARGEST = 4_000_000_000
"""Bytes that an imported run may have in all."""
LARGEST_READ = 1_000_000_000
"""Bytes of all that is read into memory when a run is looked at, and of the arrays of a part."""
PUBLISHED_SCORES = 20
"""Highest scores of a document that a published run keeps."""
PUBLISHED_DOCUMENTS = 100
"""Documents of a label's highest scores that a published run keeps, so that rare labels are ranked as in the run."""
PUBLISHED_OF_MANY = 40, 10
"""Both where a run has thousands of labels and keeps the highest scores of a document alone: with 20 of a document a
threshold that is fitted on what is left can be another one."""


def publish(run: Run, *, weights: bool = False) -> Path:
    """Copies a finished run's results into `published_dir`: no log, no place on this machine, weights if asked for.

    Of every document and of every label the highest scores stay, and those of predicted labels, so that the scores at
    the run's threshold are those of the run; `metrics.json` keeps what was computed from all scores.

    Args:
        run: the run.
        weights: also what it takes to score other texts: of a small model on single words, each in several documents,
            so that no text can be read from its vocabulary.

    Returns:
        The folder of the published run.

    Raises:
        UserError: it has not finished, is damaged, or is published already; its weights are not to be published.
    """
    check_writable()
    if weights:
        _check_weights(run)
    target = published_dir() / run.id
    taken = f"Run {run.id} is published already: delete {target} first."
    with say_unwritable(f"Run {run.id}", "published"), new_folder(target, taken) as folder:
        _copy_results(run, folder)
        for part, name in PREDICTIONS.items():
            if (run.path / name).exists():
                write_predictions(folder, _thin(read_predictions(run, part)), part)
        for name in PUBLISHED_WEIGHTS if weights else ():
            shutil.copyfile(run.path / name, folder / name)
    return target


def _check_weights(run: Run) -> None:
    """Checks that a run's weights may be published.

    Raises:
        UserError: there are none, they are too large, or its vocabulary could give texts away.
    """
    model, files = run.config.model, [run.path / name for name in PUBLISHED_WEIGHTS]
    if MODELS[model.name].reads != "words" or model.bigrams or model.min_df < 2:
        raise UserError(
            f"{run.id}: weights are published of models on TF-IDF of single words with model.min_df of 2 or more, so "
            "that no text can be read from the vocabulary. Publish its results without --weights."
        )
    if missing := [file.name for file in files if not file.exists()]:
        raise UserError(f"{run.id} has no {', '.join(missing)} in its folder: publish its results without --weights.")
    if (size := sum(file.stat().st_size for file in files)) > LARGEST_WEIGHTS:
        raise UserError(
            f"{run.id}: its weights have {size / 1e6:.1f} MB, and at most {LARGEST_WEIGHTS / 1e6:g} MB are published."
        )


def _thin(predictions: Predictions) -> Predictions:
    """Predictions with the highest scores of each document, those of each label, and those of predicted labels.

    No score stays because its label is true: any threshold and any ranking would find such a label too easily.
    """
    scores = predictions.scores
    if isinstance(scores, sp.csr_array):
        thin = _thin_sparse(scores, predictions.threshold)
        return Predictions(predictions.ids, predictions.rows, predictions.targets, thin, predictions.threshold)
    exact = scores.astype(np.float64)
    kept = exact > predictions.threshold
    for axis, most in ((1, PUBLISHED_SCORES), (0, PUBLISHED_DOCUMENTS)):
        best = np.argsort(-exact, axis=axis, kind="stable")
        np.put_along_axis(kept, np.take(best, np.arange(min(most, scores.shape[axis])), axis=axis), True, axis=axis)
    rows, columns = np.nonzero(kept)
    thin = sp.csr_array((scores[rows, columns].astype(np.float32), (rows, columns)), shape=scores.shape)
    return Predictions(predictions.ids, predictions.rows, predictions.targets, thin, predictions.threshold)


def _thin_sparse(scores: sp.csr_array, threshold: Limits) -> sp.csr_array:
    """The same of a CSR of each document's highest scores."""
    rows, columns = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.indices
    kept = scores.data.astype(np.float64) > np.broadcast_to(threshold, scores.shape[1])[columns]
    for group, most in zip((rows, columns), PUBLISHED_OF_MANY, strict=True):
        order = np.lexsort((-scores.data, group))
        kept[order] |= np.arange(len(order)) - np.searchsorted(group[order], group[order]) < most
    return sp.csr_array((scores.data[kept], (rows[kept], columns[kept])), shape=scores.shape)


def _copy_results(run: Run, folder: Path) -> None:
    """Copies results other than predictions, without paths of this machine."""
    metrics = results.read_metrics(run)
    write_json(folder / "metrics.json", metrics | {"source": Path(str(metrics.get("source", ""))).name})
    write_json(folder / "config.json", read_json(run.path / "config.json"))
    status = journal.read_status(run.path)
    write_json(folder / "status.json", {key: status[key] for key in STATUS if key in status})
    for name in ("history.jsonl", "thresholds.json"):
        if (run.path / name).exists():
            shutil.copyfile(run.path / name, folder / name)


def export(run: Run, path: Path, *, weights: bool = True) -> None:
    """Writes a finished run as a zip with one folder, named like the run; without log and paths of this machine.

    Args:
        run: the run.
        path: the zip, which is replaced.
        weights: also the files needed to score other texts.

    Raises:
        UserError: it has not finished, is damaged, or the zip cannot be written.
    """
    _check_results(run)
    try:
        with atomic_path(path.absolute()) as temporary:
            folder = temporary.parent / run.id
            folder.mkdir()
            # What is changed on the way is copied first; predictions and weights go in as they are.
            _copy_results(run, folder)
            names = [*PREDICTIONS.values(), *(WEIGHTS if weights else ())]
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(folder.iterdir()):
                    archive.write(file, f"{run.id}/{file.name}")
                for name in names:
                    if (run.path / name).exists():
                        archive.write(run.path / name, f"{run.id}/{name}")
            shutil.rmtree(folder)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def exported(run: Run, *, weights: bool) -> bytes:
    """The content of the zip that `export` writes.

    Raises:
        UserError: as `export`.
    """
    with tempfile.TemporaryDirectory() as folder:
        export(run, Path(folder) / "run.zip", weights=weights)
        return (Path(folder) / "run.zip").read_bytes()


def import_run(source: Path | BinaryIO, name: str = "") -> Run:
    """Imports a run from a zip that `export` wrote; the zip is untrusted and checked before it is unpacked.

    Args:
        source: the zip, or its open content.
        name: what messages call it; of a path its file name.

    Returns:
        The run, as it lies in this cache.

    Raises:
        UserError: no zip, damaged, too large, with other files than a run's, no finished run, or there already.
    """
    check_writable()
    name = name or (source.name if isinstance(source, Path) else "The file")
    try:
        with zipfile.ZipFile(source) as archive:
            check_archive(archive, most=LARGEST)
            run_id = _check(archive, name)
            taken = f"Run {run_id} is there already: delete it first (`python -m core delete {run_id}`)."
            with new_folder(run_path(run_id), taken) as folder:
                # Unpacked beside the runs, where nobody sees it, and checked as a whole.
                for info in archive.infolist():
                    if not info.is_dir():
                        _extract(archive, info, folder / info.filename.partition("/")[2])
                for part in PREDICTIONS.values():
                    _check_arrays(folder / part, name)
                _check_run(read_folder(folder))
                journal.update_status(folder, imported=time.time())
            return get_run(run_id)
    except FileNotFoundError:
        raise UserError(f"There is no file {source}.") from None
    except OSError as error:
        raise UserError(f"{name} cannot be imported: {error.strerror or error}.") from None
    except PARSER_ERRORS as error:
        raise UserError(f"{name} is no intact zip of a run: {describe(error)}.") from None


def _check(archive: zipfile.ZipFile, name: str) -> str:
    """The id of the run in a zip.

    Raises:
        UserError: it holds anything but one folder with files of a run, lacks one, or is too large.
    """
    # One folder, named like a run.
    files = [info for info in archive.infolist() if not info.is_dir()]
    folders = {info.filename.partition("/")[0] for info in files}
    if len(folders) != 1 or not RUN_ID.fullmatch(run_id := folders.pop()):
        raise UserError(f"{name} is no exported run: it must hold one folder that is named like a run.")
    # Files of a run alone, each once, no links.
    seen = set()
    for info in files:
        inner = info.filename.partition("/")[2]
        linked = stat.S_ISLNK(info.external_attr >> 16)
        if inner not in (*RESULTS, *WEIGHTS) or linked or info.filename in seen:
            raise UserError(f"{name} holds '{info.filename[:80]}', which is no file of a run: nothing was imported.")
        seen.add(info.filename)
    if missing := {"config.json", "status.json", "metrics.json", "predictions.npz"} - {
        info.filename.partition("/")[2] for info in files
    }:
        raise UserError(f"{name} is no exported run: it lacks {', '.join(sorted(missing))}.")
    # Bounded sizes.
    read = [info for info in files if info.filename.endswith((".json", ".jsonl", ".npz"))]
    for some, most in ((files, LARGEST), (read, LARGEST_READ)):
        if sum(info.file_size for info in some) > most:
            raise UserError(f"{name} would need more than {most / 1e9:g} GB: nothing was imported.")
    return run_id


def _check_arrays(path: Path, name: str) -> None:
    """Checks that arrays need at most `LARGEST_READ` bytes of memory; a file that is not there needs none.

    Raises:
        UserError: they need more.
    """
    if path.exists() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST_READ:
                raise UserError(f"{name}: {path.name} would need more than {LARGEST_READ / 1e9:g} GB of memory.")


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """Extracts one file, at most as many bytes as the zip declares.

    Raises:
        BadZipFile: it is longer.
    """
    left = info.file_size
    target.parent.mkdir(exist_ok=True)
    with archive.open(info) as source, target.open("wb") as file:
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile(f"'{info.filename}' is longer than it says")
            file.write(block)


def _check_results(run: Run) -> None:
    """Checks that results can be read, and have the same labels and documents as the predictions.

    Raises:
        UserError: they cannot, or have not.
    """
    labels = len(results.read_results(run)["labels"])
    for name, kept in results.read_threshold_sets(run).items():
        if isinstance(kept["values"], list) and len(kept["values"]) != labels:
            raise UserError(f"{run.id}: the thresholds kept as '{name}' are not of {labels:,} labels. Delete them.")
    for part, name in PREDICTIONS.items():
        if (run.path / name).exists():
            read_predictions(run, part)


def _check_run(run: Run | Damaged) -> None:
    """Checks that an unpacked folder is a finished run that every page can read, file by file.

    Raises:
        UserError: it is not.
    """
    nothing = "Nothing was imported."
    if isinstance(run, Damaged):
        raise UserError(f"{run.problem} {nothing}")
    _check_results(run)
    if lines := journal.describe_damage(run.path):
        raise UserError(f"{run.id}: {lines} {nothing}")
    # What scores other texts: it is not loaded, but has to be whole.
    for name in WEIGHTS:
        file = run.path / name
        if not file.exists():
            continue
        try:
            if file.name == "tokenizer_config.json":
                read_fields(file)  # transformers writes 10**30 for a length without limit
            elif file.suffix == ".json":
                read_json(file)
            elif file.suffix == ".safetensors":
                check_tensors(file)
            else:
                file.read_text("utf-8")
        except ValueError as error:
            raise UserError(f"{run.id}: {name} is damaged ({describe(error)}). {nothing}") from None

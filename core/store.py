"""The run folder is the truth: paths, states, history, predictions, listing. Readers never see a torn file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from core import failures
from core.config.parse import parse
from core.config.schema import Frozen, ModelConfig, RunConfig, TrainConfig
from core.labels.groups import Borders
from core.metrics.thresholds import Limits, of_values
from core.system.access import check_writable
from core.system.errors import UserError
from core.system.files import atomic_path, read_json, write_json, write_text
from core.system.locks import is_locked, locked
from core.system.places import cache_dir

STATES = ("queued", "running", "finished", "failed", "stopped", "lost")
LIVE = ("queued", "running")
STOPPED = "Stopped by request before it had finished."
STOPPING = "writing a checkpoint, then it stops"
"""Phase of a run that has heard a request to stop."""
RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,119}")
ALIVE_VARIABLE = "TAILSCOPE_ALIVE"
"""Environment variable with the number of the inherited descriptor that holds a worker's `alive_lock`."""


class About(Frozen):
    """What people wrote on a run; nothing of it is a part of the run's question or of its results."""

    name: str = Field("", max_length=80)
    notes: str = Field("", max_length=10_000)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=30)], ...] = Field((), max_length=20)
    pinned: bool = Field(False, description="listed before all others")
    archived: bool = Field(False, description="kept, but listed only where archived runs are asked for")


NOTHING_SAID = About()


@dataclass(frozen=True)
class Run:
    """What a run folder says of itself at one moment.

    Attributes:
        state: one of `STATES`; `lost` means that the worker died without a word.
        reason: why it failed, was stopped or is lost, in words; empty otherwise.
        kind: of a failure, as `core.failures.Failure` has it; empty otherwise.
        advice: what to do about it; may be empty.
        progress: `phase` in words, `fraction` 0..1 and, while a network trains, `epoch` and `epochs`.
        device: the queue it waits in or, from its start on, its slot.
        user: who submitted it.
        problem: one sentence if a file of the folder is damaged, else empty.
        published: it lies in `published_dir`: results to look at, without weights, never changed.
        about: what people wrote on it.
    """

    id: str
    path: Path
    config: RunConfig | None
    state: str
    reason: str = ""
    kind: str = ""
    advice: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    user: str = ""
    problem: str = ""
    published: bool = False
    about: About = NOTHING_SAID

    @property
    def why(self) -> str:
        """The reason and what to do about it."""
        return " ".join(part for part in (self.reason, self.advice) if part)


@dataclass(frozen=True)
class Predictions:
    """Scores of the test part, or of the validation part: n documents, L labels.

    Attributes:
        ids: the documents' ids in the collection, n of them.
        rows: their row numbers in the corpus, (n,).
        targets: (n, L) bool.
        scores: (n, L) float16, dense, or a CSR of each document's highest where L > `DENSE_LABELS`.
        threshold: a label is predicted where its score is above it: one for all labels, or one each, (L,).
    """

    ids: list[str]
    rows: np.ndarray
    targets: sp.csr_array
    scores: np.ndarray | sp.csr_array
    threshold: Limits


def runs_dir() -> Path:
    """Folder that holds one folder per run."""
    return cache_dir() / "runs"


def published_dir() -> Path:
    """Folder of runs that are shown beside those of `runs_dir` and never changed."""
    return cache_dir() / "published"


def run_id(config: RunConfig, fingerprint: str) -> str:
    """The name of the run with this config on data with this fingerprint: the same question has the same name."""
    question = json.dumps([config.model_dump(exclude_defaults=True, exclude={"track"}), fingerprint], sort_keys=True)
    digest = hashlib.sha256(question.encode()).hexdigest()[:10]
    loss = f"-{config.loss.name}" if config.loss else ""
    return f"{config.data.name}-{config.model.name}{loss}-s{config.seed}-{digest}"


def run_path(run_id: str) -> Path:
    """The folder of a run, which need not exist.

    Raises:
        UserError: the id has characters that no run id has, so it could point outside the runs' folder.
    """
    if not RUN_ID.fullmatch(run_id):
        raise UserError(
            f"'{run_id[:80]}' is no run id: ids are made of a-z, 0-9 and '-'. `python -m core runs` lists them."
        )
    return runs_dir() / run_id


def get_run(run_id: str) -> Run:
    """Reads one run; one's own goes before a published one of the same id.

    Raises:
        UserError: not a run id, or no such run.
    """
    path = run_path(run_id)
    for folder in (path, published_dir() / path.name):
        if folder.is_dir() and (run := read_run(folder)).path.is_dir():  # not deleted meanwhile
            return run
    raise UserError(f"There is no run '{run_id}'. `python -m core runs` lists the runs there are.")


def list_runs(*, published: bool = True) -> list[Run]:
    """All runs, the one submitted last first. A damaged folder is listed with its problem and hides no other.

    Args:
        published: those of `published_dir` as well.
    """
    found: dict[str, Path] = {}
    for parent in (published_dir(), runs_dir()) if published else (runs_dir(),):
        try:
            found |= {path.name: path for path in parent.iterdir() if RUN_ID.fullmatch(path.name) and path.is_dir()}
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"The folder of runs, {parent}, cannot be read: {error.strerror}.") from None
    runs = [run for path in found.values() if (run := read_run(path)).path.is_dir()]  # not deleted meanwhile
    return sorted(runs, key=lambda run: (-(run.submitted or 0), run.id))


def alive_lock(path: Path) -> Path:
    """The lock that a run's worker holds from before its first instruction until it dies."""
    return path / "alive.lock"


def stop_flag(path: Path) -> Path:
    """The file whose presence asks a run's worker to stop."""
    return path / "stop"


def checkpoint_dir(path: Path) -> Path:
    """Folder of a run's checkpoints."""
    return path / "checkpoint"


def has_checkpoint(path: Path) -> bool:
    """Whether a run can go on where it was."""
    return any(checkpoint_dir(path).glob("[0-9]*"))


def slot_lock(slot: str) -> Path:
    """The lock whose holder may use the slot of a device."""
    return cache_dir() / "locks" / f"{slot}.lock"


def draw_ticket(device: str, run_id: str, *, anew: bool = False) -> Path:
    """A place in a queue; places are in the order of their drawing.

    Args:
        device: the queue.
        run_id: the run's id.
        anew: also where the run has a place already, which somebody may just be taking away as that of a dead one.
    """
    folder = cache_dir() / "queue" / device
    folder.mkdir(parents=True, exist_ok=True)
    mine = list(folder.glob(f"*.{run_id}"))
    if mine and not anew:
        return mine[0]
    ticket = folder / f"{time.time_ns():020d}.{run_id}"
    ticket.touch()
    for old in mine:
        old.unlink(missing_ok=True)
    return ticket


def tickets_before(ticket: Path) -> int:
    """How many living runs hold an earlier ticket; tickets of the dead are removed."""
    ahead = 0
    for other in sorted(ticket.parent.iterdir()):
        if other.name >= ticket.name:
            break
        if is_locked(alive_lock(runs_dir() / other.name.partition(".")[2])):
            ahead += 1
        else:
            other.unlink(missing_ok=True)
    return ahead


def _as_it_was(values: Any) -> Any:
    """A stored config with the settings that did not exist yet: what was done then is the default of their class.

    What is not given in a new config is the default of its model, which may be better.
    """
    if not isinstance(values, dict):
        return values
    then = {"model": ModelConfig(), "train": TrainConfig()}
    known = {
        section: usual.model_dump() | values[section]
        for section, usual in then.items()
        if isinstance(values.get(section), dict)
    }
    return values | known


def read_run(path: Path) -> Run:
    """Reads a run's folder; what is damaged in it becomes the run's problem."""
    config, problem = None, ""
    # Liveness is read before the status: a worker writes its last status before it dies, never after.
    alive = is_locked(alive_lock(path))
    try:
        config = parse(RunConfig, _as_it_was(read_json(path / "config.json")), where=f"{path.name}: config.json")
    except UserError as error:
        problem = str(error)
    status: dict[str, Any] = {}
    try:
        status = read_json(path / "status.json")
        if not isinstance(status, dict) or status.get("state") not in STATES:
            raise UserError(f"{path.name}: status.json holds no state of a run.")
    except UserError as error:
        status = {"state": "failed", "reason": "Its status file is damaged: delete the run and train it again."}
        problem = problem or str(error)
    state = status["state"]
    why = [str(status.get(key, "")) for key in ("kind", "reason", "advice")]
    asked = stop_flag(path).exists()
    if state in LIVE and not alive and not is_locked(alive_lock(path)):  # or it was taken up again just now
        if asked:
            state, why = "stopped", ["", STOPPED, ""]
        else:
            state, death = "lost", _death(path)
            why = [death.kind, death.words, death.advice]
    progress = status.get("progress")
    times = {key: status.get(key) for key in ("submitted", "started", "ended")}
    return Run(
        id=path.name,
        path=path,
        config=config,
        state=state,
        reason=why[1],
        kind=why[0],
        advice=why[2],
        submitted=_number(times["submitted"]),
        started=_number(times["started"]),
        ended=_number(times["ended"]),
        progress=progress if isinstance(progress, dict) else {},
        device=str(status.get("device", "")),
        user=str(status.get("user", "")),
        problem=problem,
        published=path.parent == published_dir(),
        about=_about(path),
    )


def _death(path: Path) -> failures.Failure:
    process = None
    with suppress(UserError):
        process = read_json(path / "process.json")
    return failures.of_death(process, read_heartbeat(path))


def _about(path: Path) -> About:
    """What people wrote on a run; what is damaged is forgotten, as no result hangs on it."""
    with suppress(UserError):
        if (path / "about.json").exists():
            return parse(About, read_json(path / "about.json"))
    return About()


def save_about(run_id: str, **changes: Any) -> About:
    """Changes what people wrote on a run. Two people at once lose nothing of different kinds.

    Raises:
        UserError: no such run, a published one, or a name, note or tag that is too long.
    """
    check_writable()
    run = get_run(run_id)
    if run.published:
        raise UserError(f"Run {run_id} is published and never changed.")
    with locked(cache_dir() / "locks" / "about.lock"):
        about = parse(About, {**_about(run.path).model_dump(), **changes}, where=run_id)
        write_json(run.path / "about.json", about.model_dump())
    return about


def disk_use(path: Path) -> int:
    """Bytes that a folder's files take; what goes away meanwhile is not counted."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def read_status(path: Path) -> dict[str, Any]:
    """The status as last written; `UserError` if it is missing or damaged."""
    status = read_json(path / "status.json")
    if not isinstance(status, dict):
        raise UserError(f"{path.name}: status.json is damaged: expected an object.")
    return status


def update_status(path: Path, **changes: Any) -> None:
    """Rewrites the status with some of its entries changed, atomically. Only one process writes it at a time."""
    write_json(path / "status.json", {**read_status(path), **changes})


def append_history(path: Path, line: dict[str, Any]) -> None:
    """Adds one line to `history.jsonl` in a single write."""
    _append(path / "history.jsonl", line)


def append_step(path: Path, line: dict[str, Any]) -> None:
    """Adds one line to `steps.jsonl`, the course of training between evaluations."""
    _append(path / "steps.jsonl", line)


def append_event(path: Path, what: str, **more: Any) -> None:
    """Adds what happened to a run and when to `events.jsonl`; a full disk loses the event, never the run's state."""
    with suppress(OSError):
        _append(path / "events.jsonl", {"time": time.time(), "what": what, **more})


def read_events(run: Run) -> list[dict[str, Any]]:
    """What happened to a run, as `read_history` reads it: `time` in unix seconds, `what`, and more of it."""
    return [event for event in _lines(run.path / "events.jsonl") if _number(event.get("time")) and event.get("what")]


def read_heartbeat(path: Path) -> dict[str, float]:
    """What a run's worker last said of itself: `time`, `cpu` in percent of a core, `memory` and `gpu` in bytes."""
    try:
        beat = read_json(path / "heartbeat.json")
    except UserError:
        return {}
    return {key: float(value) for key, value in beat.items() if _number(value) is not None} if beat else {}


def _append(file: Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line, allow_nan=False) + "\n")


def cut_lines(path: Path, *, history: int, steps: int) -> None:
    """Keeps the first lines of a run's history and steps: what was written after its checkpoint happens again."""
    for name, lines in (("history.jsonl", history), ("steps.jsonl", steps)):
        if (path / name).exists():
            kept = path.joinpath(name).read_text("utf-8", errors="replace").splitlines(keepends=True)[:lines]
            write_text(path / name, "".join(kept))


def read_history(run: Run) -> list[dict[str, Any]]:
    """One entry per epoch; a last line that is still being written is left out, a damaged one as well."""
    return _lines(run.path / "history.jsonl")


def read_last(run: Run, name: str) -> dict[str, Any]:
    """The last whole line of `history.jsonl` or `steps.jsonl`, however long the file is; empty if there is none."""
    try:
        with run.path.joinpath(name).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            lines = file.read().rpartition(b"\n")[0].splitlines()
        entry = json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def score_of(entry: dict[str, Any], metric: str) -> float:
    """The validation score of a history entry by a name of `train.metric`, 0 where it is undefined."""
    group, name = ("tail", "macro_f1") if metric == "tail_macro_f1" else ("all", metric)
    return float((entry["validation"].get(group) or {}).get(name) or 0.0)


def read_steps(run: Run) -> list[dict[str, Any]]:
    """One entry every few seconds of training, as `read_history` reads them."""
    return _lines(run.path / "steps.jsonl")


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return []
    entries = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def read_log(run: Run, last: int = 200) -> list[str]:
    """The last lines of `log.txt`; at most the last 256 KiB are read."""
    try:
        with run.path.joinpath("log.txt").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 262_144))
            return file.read().decode("utf-8", errors="replace").splitlines()[-last:]
    except OSError:
        return []


def read_metrics(run: Run) -> dict[str, Any]:
    """The scores of a finished run.

    Raises:
        UserError: the run has not finished, or the file is damaged.
    """
    if run.state != "finished":
        raise UserError(f"Run {run.id} has no scores: it is {run.state}.")
    metrics = read_json(run.path / "metrics.json")
    if not isinstance(metrics, dict) or "test" not in metrics:
        raise UserError(
            f"{run.id}: metrics.json is damaged: it holds no test scores. Delete the run and train it again."
        )
    return metrics


NEEDED = ("labels", "counts", "borders", "threshold", "threshold_rule", "fingerprint", "command", "versions", "seconds")
"""Keys of `metrics.json` that the results pages read."""


class Results(BaseModel):
    """What every key of `NEEDED` and the scores have to be; whatever else the file holds is let be."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    labels: list[str]
    counts: list[NonNegativeInt]
    borders: dict[Literal["head", "tail"], NonNegativeInt]
    threshold: float | list[float]
    threshold_rule: str
    fingerprint: str
    command: str
    versions: dict[str, str]
    seconds: float
    test: dict[str, dict[str, float | None]]


def read_results(run: Run) -> dict[str, Any]:
    """`read_metrics` with all that the results pages need.

    Raises:
        UserError: the run's settings are damaged, it has not finished, another version wrote its metrics, or they are
            not what they should be (a text for a number, NaN, a label twice).
    """
    if run.config is None:
        raise UserError(run.problem)
    metrics = read_metrics(run)
    if missing := [key for key in NEEDED if key not in metrics]:
        raise UserError(
            f"{run.id}: metrics.json does not hold {', '.join(missing)}: an older version wrote it, or it is "
            "damaged. Delete the run and train it again."
        )
    try:
        found = Results.model_validate(metrics)
        Borders(**found.borders)
        wrong = "" if len(found.labels) == len(found.counts) else "labels and counts differ in number"
        wrong = wrong or ("" if len(set(found.labels)) == len(found.labels) else "a label is there twice")
        each = isinstance(found.threshold, list) and len(found.threshold) != len(found.labels)
        wrong = wrong or ("labels and thresholds differ in number" if each else "")
        wrong = wrong or ("" if "all" in found.test else "the scores of all labels are missing")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if step not in ("float", "list[float]"))
        wrong = f"{place}: {first['msg'].lower()}"
    except (TypeError, UserError):
        wrong = "its borders make no sense"
    if wrong:
        raise UserError(f"{run.id}: metrics.json is damaged ({wrong}). Delete the run and train it again.")
    return metrics


PREDICTIONS = {"test": "predictions.npz", "validation": "validation.npz"}
"""File with the scores of each part."""


def write_predictions(path: Path, predictions: Predictions, part: str = "test") -> None:
    """Writes the scores of a part: arrays only, no pickled objects."""
    scores = predictions.scores
    arrays: dict[str, Any] = {
        "ids": np.array(predictions.ids, dtype=np.str_),
        "rows": predictions.rows.astype(np.int64),
        "shape": np.array(predictions.targets.shape, dtype=np.int64),
        "target_indptr": predictions.targets.indptr,
        "target_indices": predictions.targets.indices,
        "threshold": np.array(predictions.threshold, dtype=np.float64),
    }
    if isinstance(scores, sp.csr_array):
        arrays |= {"score_indptr": scores.indptr, "score_indices": scores.indices, "score_data": scores.data}
        if (scores.data == scores.data.astype(np.float16)).all():
            arrays["score_data"] = scores.data.astype(np.float16)
    else:
        arrays["scores"] = scores
    with atomic_path(path / PREDICTIONS[part]) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_predictions(run: Run, part: str = "test") -> Predictions:
    """The scores of a part.

    Raises:
        UserError: missing, cut short, inconsistent, or with scores that are no numbers.
    """
    name = PREDICTIONS[part]
    try:
        # numpy leaves a file open that it opened itself and could not read.
        with (run.path / name).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            shape = tuple(int(size) for size in stored["shape"])
            targets = _csr(np.ones(len(stored["target_indices"]), bool), stored, "target", shape)
            if "scores" in stored:
                scores: np.ndarray | sp.csr_array = stored["scores"]
            else:
                scores = _csr(stored["score_data"].astype(np.float32), stored, "score", shape)
            ids, rows = stored["ids"].tolist(), stored["rows"]
            if scores.shape != shape or len(ids) != shape[0] or rows.shape != shape[:1] or rows.dtype.kind != "i":
                raise ValueError("its arrays do not fit together")
            values = scores.data if isinstance(scores, sp.csr_array) else scores
            if not np.isfinite(values).all():
                raise ValueError(f"{np.sum(~np.isfinite(values))} of its scores are not numbers")
            limits = np.asarray(stored["threshold"], dtype=np.float64)
            if not np.isfinite(limits).all() or limits.shape not in ((), shape[1:]):
                raise ValueError("its threshold is no number")
            return Predictions(ids, rows, targets, scores, of_values(limits))
    except FileNotFoundError:
        more = ": an older version made the run" if part == "validation" else ""
        raise UserError(f"{run.id}: {name} is missing{more}.") from None
    except (OSError, ValueError, TypeError, IndexError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f"{run.id}: {name} is damaged ({error}). Delete the run and train it again.") from None


def _csr(data: np.ndarray, stored: Any, name: str, shape: tuple[int, ...]) -> sp.csr_array:
    matrix = sp.csr_array((data, stored[f"{name}_indices"], stored[f"{name}_indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def delete_run(run_id: str) -> None:
    """Removes a run's folder.

    Raises:
        UserError: no such run, it is published, or it is queued or running.
    """
    run = get_run(run_id)
    if run.published:
        raise UserError(f"Run {run_id} is published: it is there to be looked at, and is not deleted here.")
    if run.state in LIVE or is_locked(alive_lock(run.path)):
        raise UserError(f"Run {run_id} is {run.state}: stop it first (`python -m core stop {run_id}`), then delete it.")
    # The name goes first: whoever lists runs sees the whole folder or none.
    gone = run.path.with_name(f".{run_id}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    os.replace(run.path, gone)
    shutil.rmtree(gone)


def read_threshold_sets(run: Run) -> dict[str, dict[str, Any]]:
    """The named thresholds of a run: by name, `rule` and `values`, one number for all labels or one for each.

    Raises:
        UserError: the file is damaged.
    """
    if not (run.path / "thresholds.json").exists():
        return {}
    sets = read_json(run.path / "thresholds.json")
    if not isinstance(sets, dict) or not all(isinstance(one, dict) and _are_numbers(one) for one in sets.values()):
        raise UserError(f"{run.id}: thresholds.json is damaged: it holds no named thresholds. Delete that file.")
    return sets


def _are_numbers(kept: dict[str, Any]) -> bool:
    values = kept.get("values")
    many = values if isinstance(values, list) else [values]
    return all(isinstance(value, int | float) and math.isfinite(value) for value in many)


def save_threshold_set(run: Run, name: str, *, rule: str, values: float | list[float]) -> None:
    """Keeps thresholds under a name; the same name again replaces them. Two people at once lose none.

    Raises:
        UserError: a name that is empty or too long, or a published run.
    """
    check_writable()
    if not name.strip() or len(name) > 60:
        raise UserError("Thresholds need a name of 1 to 60 letters.")
    if run.published:
        raise UserError(f"Run {run.id} is published and never changed: train it yourself to keep thresholds with it.")
    with locked(cache_dir() / "locks" / "thresholds.lock"):
        sets = read_threshold_sets(run)
        write_json(run.path / "thresholds.json", {**sets, name.strip(): {"rule": rule, "values": values}})

"""Data sets made of a user's own file: the file is scanned once, the data set planned, then kept under a name.

`scan` reads the file into a folder of the cache, `examine` plans, `register` keeps. Below them are the data sets that
were added (`find_registered`, `open_registered`, `unregister`) and files that may be added (`find_files`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from core import __version__
from core.config.parse import parse
from core.config.schema import NAME_PATTERN, FileConfig, Frozen, SplitConfig
from core.data.corpus import CODES, FORMAT, PARTS, Corpus, Report, count_columns, open_whole, write_corpus
from core.data.defects import ADVISED, CHOICES, DEFECTS, DONE, Defect
from core.data.draft import ZERO_WIDTH, Draft, Scanned
from core.data.readers import SAVED, Record, format_of, is_data_name
from core.data.scanning import paths_of, scan, source_files
from core.system.access import check_writable
from core.system.errors import UserError
from core.system.files import atomic_path, is_text, read_json, write_json
from core.system.locks import locked
from core.system.places import cache_dir

MAX_WORD = 100_000
"""Characters of one word of a command."""

TEXT_FORMATS = {"csv", "json", "jsonl"}
"""Formats that a file's name may tell wrongly."""


@dataclass(frozen=True)
class Plan:
    """What a data set made of a file would be.

    Attributes:
        defects: all kinds, those that do not occur with count 0.
        rows: documents of the scanned copy that are kept, rising.
        codes: their parts, places in `CODES`.
        labels: names of the kept labels, sorted.
        columns: column in `labels` of each label of the scanned copy, -1 for one that is left out.
        notes: what was done.
        documents: how many the file holds.
        assignments: of a kept label to a kept document.
        split_notes: those of the notes that are about the parts.
        joined: labels of the documents of the scanned copy with those of their copies, (N, L); None: as scanned.
        strips: whether characters that are not seen are taken out of texts.
    """

    defects: tuple[Defect, ...]
    rows: np.ndarray
    codes: np.ndarray
    labels: tuple[str, ...]
    columns: np.ndarray
    notes: tuple[str, ...]
    documents: int
    assignments: int
    split_notes: tuple[str, ...] = ()
    joined: sp.csr_array | None = None
    strips: bool = False

    def sizes(self) -> dict[str, int]:
        """Documents of each part."""
        return {part: int(np.sum(self.codes == CODES.index(part))) for part in PARTS}


class Registered(Frozen):
    """A data set that was added, as `cache/data/registered/<name>.json` has it."""

    name: str = Field(pattern=NAME_PATTERN)
    path: str = Field(pattern=r"^[^\x00]+$")
    sha256: str
    folder: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*-[0-9a-f]{16}$")
    file: FileConfig
    split: SplitConfig
    choices: dict[str, str]
    documents: int = Field(ge=0)
    labels: int = Field(ge=0)
    notes: tuple[str, ...]
    added: float = Field(ge=0, le=1e11, description="seconds since 1970")
    version: str


# Files that come through the browser.


def keep_upload(name: str, content: BytesIO) -> Path:
    """Writes an upload into the cache, under a name that holds no path; the same content only once.

    Raises:
        UserError: the disk is full.
    """
    check_writable()
    letters = re.sub(r"[^\w.-]+", "_", Path(name.replace("\\", "/")).name).lstrip(".")
    letters = letters.encode("utf-8", "replace")[-100:].decode("utf-8", "ignore").lstrip(".") or "file"
    folder = uploads() / hashlib.sha256(content.getbuffer()).hexdigest()[:16]
    try:
        if not folder.joinpath(letters).is_file():
            with atomic_path(folder / letters) as temporary, temporary.open("wb") as file:
                file.write(content.getbuffer())
    except OSError as error:
        raise UserError(
            f"{letters} cannot be kept in {uploads()}: {error.strerror or error}. Make room there."
        ) from None
    return folder / letters


def uploads() -> Path:
    """Folder of files that were uploaded and are not a data set yet."""
    return cache_dir() / "data" / "uploads"


def find_uploads() -> list[Path]:
    """Files that were uploaded and are not a data set yet, the latest first."""
    found = [path for path in uploads().glob("[0-9a-f]*/*") if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: -path.parent.stat().st_mtime)


def remove_upload(path: Path) -> None:
    """Removes a file that was uploaded; any other stays."""
    check_writable()
    if path.parent.parent == uploads():
        shutil.rmtree(path.parent, ignore_errors=True)


# Planning the data set.


def examine(folder: Path, split: SplitConfig, choices: Mapping[str, str] | None = None) -> Plan:
    """Defects of a scanned file, and the data set that it would make with these choices.

    Raises:
        UserError: an unknown choice, a split that cannot be made, or nothing is left.
    """
    chosen = {key: actions[0] for key, actions in CHOICES.items()} | _checked(choices or {})
    # Each kind of defect: find it in what is left, then keep or mend it.
    draft, found = Draft(Scanned(folder)), dict[str, Defect]()
    for kind in DEFECTS:
        if kind.prepare:
            kind.prepare(draft, split)
        finding = kind.find(draft)
        count, choice = len(finding.places), chosen[kind.key]
        advised = ADVISED.get(kind.key, "keep")
        found[kind.key] = Defect(kind.key, kind.title, count, finding.examples, finding.advice, advised)
        if count and choice != "keep":
            kind.mends[choice](draft, finding)
            draft.notes.append(f"{kind.title}: {count:,}, {DONE[choice]}.")
    names, columns = draft.kept_labels()
    defects = tuple(found[key] for key in CHOICES)
    notes = (*draft.scanned.said, *draft.split_notes, *draft.notes)
    joined = None if draft.labels is draft.scanned.targets else draft.labels
    return Plan(
        defects,
        draft.rows,
        draft.codes,
        names,
        columns,
        notes,
        documents=len(draft.scanned.codes),
        assignments=int(count_columns(draft.targets)[draft.lives].sum()),
        split_notes=tuple(draft.split_notes),
        joined=joined,
        strips=draft.strips,
    )


def _checked(choices: Mapping[str, str]) -> dict[str, str]:
    for key, action in choices.items():
        if action not in CHOICES.get(key, ()):
            known = "; ".join(f"{name}: {' or '.join(actions)}" for name, actions in CHOICES.items())
            raise UserError(f"'{key}' cannot be answered with '{action}'. Known are {known}.")
    return dict(choices)


# Data sets that were added.


def registered_dir() -> Path:
    """Where the names of added data sets are kept."""
    return cache_dir() / "data" / "registered"


def check_name(name: str, taken: Iterable[str]) -> None:
    """Raises `UserError` unless a data set can be added under this name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"A data set cannot be named '{name}': use letters, digits, hyphens and underscores, at most 40, the first "
            "a letter or a digit, such as my-data."
        )
    if same := next((one for one in taken if one.lower() == name.lower()), ""):
        raise UserError(
            f"There is a data set '{same}' already"
            + ("" if same == name else f", and '{name}' differs in capitals alone, which not every disk tells apart")
            + ": choose another name, or remove that one first."
        )


def register(
    name: str,
    path: Path,
    file: FileConfig,
    split: SplitConfig,
    choices: Mapping[str, str] | None = None,
    *,
    reserved: Sequence[str] = (),
    report: Report | None = None,
    folder: Path | None = None,
) -> Registered:
    """Keeps a file as a data set of the cache; what `scan` left behind is removed.

    Args:
        name: for every page and command.
        path: the file, or the folder that `datasets` saved.
        file: how it is read.
        split: how it is divided.
        choices: what is done about defects, by key of `CHOICES`.
        reserved: names that cannot be taken.
        report: called with a phase in words and a fraction 0..1.
        folder: where the file has been scanned; None: it is scanned now.

    Raises:
        UserError: see `scan` and `examine`; a name that cannot be used; the disk is full.
    """
    check_writable()
    check_name(name, [*reserved, *find_registered()])
    # Scan and plan.
    note = registered_dir() / f"{name}.json"
    scanned_folder = folder or scan(path, file, report)
    plan = examine(scanned_folder, split, choices)
    # The folder is named by content and settings.
    digest = hashlib.sha256()
    for one in (one for part in paths_of(path, file) for one in source_files(part)):
        with one.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    settings = [FORMAT, digest.hexdigest(), file.model_dump(), split.model_dump(), dict(choices or {})]
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_dir() / "data" / f"{name}-{key}"
    # Write the prepared copy, then the description that makes it a data set.
    try:
        with locked(note.with_name(f".{name}.lock")):
            if note.exists():
                check_name(name, [name])
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                write_corpus(temporary, plan.labels, _planned(scanned_folder, plan), len(plan.rows), report)
            kept = Registered(
                name=name,
                path=str(path.absolute()),
                sha256=digest.hexdigest(),
                folder=folder.name,
                file=file,
                split=split,
                choices=dict(choices or {}),
                documents=len(plan.rows),
                labels=len(plan.labels),
                notes=plan.notes,
                added=time.time(),
                version=__version__,
            )
            write_json(note, kept.model_dump())
    except OSError as error:
        raise UserError(
            f"The data set '{name}' cannot be kept in {cache_dir() / 'data'}: {error.strerror or error}. Make room "
            "there, or name another folder in TAILSCOPE_CACHE."
        ) from None
    # The scanned copy and the upload are no longer needed.
    shutil.rmtree(scanned_folder, ignore_errors=True)
    if uploads() in path.parents:
        shutil.rmtree(path.parent, ignore_errors=True)
    return kept


def command_line(
    name: str, path: Path, file: FileConfig, split: SplitConfig, choices: Mapping[str, str] | None = None
) -> str:
    """The command that adds this file in this way, ready to paste into a shell."""
    # Columns and years, then the split, then the form of the file, then choices: what is usual is left out.
    words = ["python", "-m", "core", "data", "add", str(path), "--name", name]
    for option, values in (("--text", file.text), ("--labels", file.labels)):
        words += [word for value in values for word in (option, value)]
    singles = {"--title": file.title, "--sep": file.sep, "--id": file.id, "--year": file.year}
    words += [word for option, value in singles.items() if value for word in (option, value)]
    words += [word for sign in file.other_seps for word in ("--sep", sign)]
    words += ["--label-key", file.label_key] if file.label_key else []
    words += _label_words(file)
    words += ["--cut", f"{file.cut:g}"] if file.cut is not None else []
    words += [word for part, taken in file.parts for word in ("--part", f"{part}={taken}")]
    words += ["--years", "-".join(map(str, file.years))] if file.years else []
    words += ["--split", file.split] if file.split else []
    words += ["--made", split.made]
    usual = SplitConfig()
    files = dict(file.others)
    for key in ("validation", "test", "seed", "min_documents"):
        if getattr(split, key) != getattr(usual, key) and key not in files:
            words += [f"--{key.replace('_', '-')}", str(getattr(split, key))]
    words += [word for part, other in files.items() for word in (f"--{part}", other)]
    named = format_of(path.name)
    words += ["--format", file.format] if named != file.format and {named, file.format} <= TEXT_FORMATS else []
    words += form_words(file)
    for action in ("drop", "merge", "join", "strip", "negative", "keep"):
        if asked := [key for key, chosen in (choices or {}).items() if chosen == action]:
            words += [f"--{action}", ",".join(asked)]
    return shlex.join(words)


def _label_words(file: FileConfig) -> list[str]:
    """The option that names labels, which the file has as numbers."""
    names = file.label_names[1:] if file.label_names[:1] == ("",) else file.label_names
    if names == tuple(map(str, range(len(names)))) and file.numbers == "vector":
        return ["--label-names", "numbers"]
    written = json.dumps(names, ensure_ascii=False)
    return ["--label-names", written if len(written) < MAX_WORD else "FILE_OF_NAMES"] if names else []


def form_words(file: FileConfig) -> list[str]:
    """The options that say how a file is written, where that is not found out from the file itself."""
    form = {"csv": ("encoding", "delimiter"), "jsonl": ("encoding",), "json": ("encoding",)}.get(file.format, ())
    words = [word for key in form for word in (f"--{key}", getattr(file, key))]
    words += ["--header" if file.header else "--no-header"] if file.format == "csv" else []
    usual = FileConfig(format=file.format)
    for key in ("quote", "escape", "skip_lines", "comment", "bad_lines", "records"):
        if getattr(file, key) != getattr(usual, key):
            words += [f"--{key.replace('_', '-')}", str(getattr(file, key)) or "none"]
    return words


def _planned(folder: Path, plan: Plan) -> Iterator[Record]:
    scanned = Scanned(folder)
    targets = scanned.targets if plan.joined is None else plan.joined
    indices, indptr = targets.indices, targets.indptr
    for row, code in zip(plan.rows.tolist(), plan.codes.tolist(), strict=True):
        columns = plan.columns[indices[indptr[row] : indptr[row + 1]]]
        labels = tuple(dict.fromkeys(plan.labels[column] for column in columns if column >= 0))
        title, body = scanned.titles[row], scanned.bodies[row]
        if plan.strips:
            title, body = ZERO_WIDTH.sub("", title), ZERO_WIDTH.sub("", body)
        yield Record(str(scanned.ids[row]), title, body, labels, CODES[code])


def find_registered() -> dict[str, Registered | str]:
    """Added data sets by name; a sentence instead where what was kept is damaged."""
    found: dict[str, Registered | str] = {}
    for note in sorted(registered_dir().glob("[A-Za-z0-9]*.json")):
        if re.fullmatch(NAME_PATTERN, note.stem):
            try:
                kept = parse(Registered, read_json(note), where=note.name)
                if kept.name != note.stem:
                    raise UserError(f"{note.name} describes a data set of another name.")
                found[note.stem] = kept
            except UserError as error:
                found[note.stem] = f"{error} Remove the data set with `python -m core data remove {note.stem}`."
    return found


def open_registered(kept: Registered) -> Corpus:
    """Opens an added data set.

    Raises:
        UserError: its copy is gone or damaged.
    """
    folder = cache_dir() / "data" / Path(kept.folder).name
    source = f"{Path(kept.path).name}, added {time.strftime('%Y-%m-%d', time.localtime(kept.added))}"
    corpus = open_whole(folder, kept.name, kept.split.made, source, partial(_parts, kept))
    if corpus is None:
        raise UserError(
            f"The copy of '{kept.name}' in {cache_dir() / 'data'} is damaged or gone: remove the data set with "
            f"`python -m core data remove {kept.name}` and add {Path(kept.path).name} again."
        )
    return corpus


def _parts(
    kept: Registered, _: np.ndarray, codes: np.ndarray, __: sp.csr_array
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    return {part: np.flatnonzero(codes == CODES.index(part)) for part in PARTS}, kept.notes


def unregister(name: str) -> None:
    """Removes an added data set from the cache; the file that it came from and runs on it stay.

    Raises:
        UserError: no such data set.
    """
    check_writable()
    found = find_registered()
    if name not in found:
        known = f"Added are: {', '.join(found)}." if found else "None has been added."
        raise UserError(f"No data set '{name}' has been added. {known}")
    registered_dir().joinpath(f"{name}.json").unlink(missing_ok=True)
    for folder in cache_dir().joinpath("data").glob(f"{name}-*"):
        if re.fullmatch(f"{re.escape(name)}-[0-9a-f]{{16}}", folder.name):
            shutil.rmtree(folder, ignore_errors=True)


# Files that may be added.


def find_files(folders: Iterable[Path], *, limit: int = 200) -> list[Path]:
    """Files and saved `datasets` folders that can be read, up to two folders deep.

    Left out are links that lead out, and paths that are no UTF-8.
    """
    files: list[Path] = []
    for folder in folders:
        root = os.path.realpath(folder)
        for pattern in ("*", "*/*", "*/*/*"):
            for path in sorted(folder.glob(pattern)) if os.path.isdir(folder) else ():
                # Whatever cannot be looked at is none: a link to itself, a folder without rights.
                inside = Path(os.path.realpath(path)).is_relative_to(root)
                saved = os.path.isdir(path) and any(os.path.isfile(path / name) for name in SAVED)
                if inside and is_text(str(path)) and (saved or (os.path.isfile(path) and is_data_name(path.name))):
                    files.append(path)
    unique = {os.path.realpath(f): f for f in reversed(files) if not any(parent in files for parent in f.parents)}
    return sorted(unique.values(), key=files.index)[:limit]

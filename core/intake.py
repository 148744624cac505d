"""A person's own file becomes a data set: read once, its defects shown, divided, kept under a name."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import time
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core import __version__, splits
from core.config import NAME_PATTERN, FileConfig, Frozen, SplitConfig, UserError, cache_dir, check_writable, parse
from core.corpus import CODES, FORMAT, PARTS, Corpus, Report, Texts, count_columns, open_whole, write_corpus
from core.files import atomic_path, locked, read_json, write_json
from core.readers import SUFFIXES, Record, read_documents, unit

LONG = 100_000
"""Characters from which a text is called very long."""
EXAMPLES = 5
SHOWN = 80
"""Characters of an example."""
BROKEN = re.compile("[\\ud800-\\udfff]")
CHOICES = {
    "empty_texts": ("keep", "drop"),
    "without_labels": ("keep", "drop"),
    "broken_encodings": ("keep", "drop"),
    "long_texts": ("keep", "drop"),
    "duplicates": ("keep", "drop"),
    "leaks": ("keep", "drop"),
    "similar_labels": ("keep", "merge"),
    "single_document_labels": ("keep", "drop"),
    "absent_labels": ("keep", "drop"),
}
"""What can be done about each kind of defect; the first is done unless another is asked for."""


@dataclass(frozen=True)
class Defect:
    """One kind of defect of a file: how often, where for example, and what can be done.

    Attributes:
        key: as in `CHOICES`.
        title: what it is, in words.
        count: documents or labels concerned.
        examples: the first few, as text.
        advice: what the choice other than keeping does, or why it matters.
    """

    key: str
    title: str
    count: int
    examples: tuple[str, ...]
    advice: str


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
    """

    defects: tuple[Defect, ...]
    rows: np.ndarray
    codes: np.ndarray
    labels: tuple[str, ...]
    columns: np.ndarray
    notes: tuple[str, ...]
    documents: int

    def sizes(self) -> dict[str, int]:
        """Documents of each part."""
        return {part: int(np.sum(self.codes == CODES.index(part))) for part in PARTS}


class Registered(Frozen):
    """A data set that a person added, as `cache/data/registered/<name>.json` has it."""

    name: str
    path: str
    sha256: str
    folder: str
    file: FileConfig
    split: SplitConfig
    choices: dict[str, str]
    documents: int
    labels: int
    notes: tuple[str, ...]
    added: float
    version: str


# Reading a file once.


def scan(path: Path, file: FileConfig, report: Report | None = None) -> Path:
    """Reads a file into a folder of the cache, from which `examine` and `register` work; an unchanged one only once.

    Raises:
        UserError: see `readers.read_documents`; no document at all; the disk is full.
    """
    folder = cache_dir() / "data" / "intake" / _key(path, file)
    try:
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.joinpath("scan.json").is_file():
                with atomic_path(folder) as temporary:
                    _scan(temporary, path, file, report)
    except OSError as error:
        raise UserError(
            f"{path.name} cannot be copied to {cache_dir() / 'data'}: {error.strerror or error}. Make room there, or "
            "name another folder in TAILSCOPE_CACHE."
        ) from None
    return folder


def _scan(folder: Path, path: Path, file: FileConfig, report: Report | None) -> None:
    folder.mkdir()
    places, hashes, broken = array("q"), array("Q"), bytearray()

    def mended() -> Iterator[Record]:
        tell = partial(report, f"reading {path.name}") if report else None
        for place, record in read_documents(path, file, tell):
            fields = (record.id, record.title, record.body, *record.labels)
            is_broken = any(BROKEN.search(field) or "\ufffd" in field for field in fields)
            if is_broken:
                mend = partial(BROKEN.sub, "\ufffd")
                labels = tuple(dict.fromkeys(map(mend, record.labels)))
                record = Record(mend(record.id), mend(record.title), mend(record.body), labels, record.part)
            text = f"{record.title}\n{record.body}".strip().encode()
            places.append(place)
            broken.append(is_broken)
            hashes.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) if text else 0)
            yield record

    write_corpus(folder, (), mended())
    if not places:
        raise UserError(f"{path.name} holds no documents{' of these years' if file.years else ''}.")
    np.save(folder / "places.npy", np.frombuffer(places, np.int64), allow_pickle=False)
    np.save(folder / "hashes.npy", np.frombuffer(hashes, np.uint64), allow_pickle=False)
    np.save(folder / "broken.npy", np.frombuffer(broken, np.bool_), allow_pickle=False)
    write_json(folder / "scan.json", {"unit": unit(file)})


def _source_files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def state_of(path: Path) -> list[tuple[str, int, int]]:
    """What tells that a file has changed: paths, sizes and times.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return [(str(one.resolve()), (state := one.stat()).st_size, state.st_mtime_ns) for one in _source_files(path)]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. Check the path and its rights.") from None


def _key(path: Path, file: FileConfig) -> str:
    return hashlib.sha256(json.dumps([FORMAT, state_of(path), file.model_dump()]).encode()).hexdigest()[:16]


def find_scan(path: Path, file: FileConfig) -> Path | None:
    """The folder that `scan` made of this file as it is now, if it has."""
    folder = cache_dir() / "data" / "intake" / _key(path, file)
    return folder if folder.joinpath("scan.json").is_file() else None


def keep_upload(name: str, content: BytesIO) -> Path:
    """Writes what somebody sent into the cache, under a name that holds no path; the same content only once.

    Raises:
        UserError: the disk is full.
    """
    check_writable()
    letters = re.sub(r"[^\w.-]+", "_", Path(name.replace("\\", "/")).name).lstrip(".")[-100:] or "file"
    content.seek(0)
    folder = uploads() / hashlib.file_digest(content, "sha256").hexdigest()[:16]
    content.seek(0)
    try:
        if not folder.joinpath(letters).is_file():
            with atomic_path(folder / letters) as temporary, temporary.open("wb") as file:
                shutil.copyfileobj(content, file)
    except OSError as error:
        raise UserError(
            f"{letters} cannot be kept in {uploads()}: {error.strerror or error}. Make room there."
        ) from None
    return folder / letters


def uploads() -> Path:
    """Files that were sent through the browser and are not a data set yet."""
    return cache_dir() / "data" / "uploads"


# What is wrong with it, and what would become of it.


class _Scanned:
    """The arrays of a scanned copy; texts stay on the disk."""

    def __init__(self, folder: Path) -> None:
        self.titles, self.bodies = Texts(folder / "titles.bin"), Texts(folder / "bodies.bin")
        names = ("indptr", "indices", "parts", "ids", "places", "hashes", "broken", "titles", "bodies")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        self.codes, self.ids, self.places = arrays["parts"], arrays["ids"], arrays["places"]
        self.hashes, self.broken = np.asarray(arrays["hashes"]), np.asarray(arrays["broken"])
        self.lengths = np.diff(arrays["titles"]) + np.diff(arrays["bodies"])
        self.names = np.array(read_json(folder / "manifest.json")["labels"], np.str_)
        self.unit = read_json(folder / "scan.json")["unit"]
        ones = np.ones(len(arrays["indices"]), np.bool_)
        shape = (len(self.codes), len(self.names))
        self.targets = sp.csr_array((ones, np.asarray(arrays["indices"]), np.asarray(arrays["indptr"])), shape=shape)

    def show(self, row: int) -> str:
        """One document as an example."""
        text = re.sub(r"\s+", " ", f"{self.titles[row]} {self.bodies[row][: 2 * SHOWN]}").strip()
        return f"{self.unit} {self.places[row]}: {text[:SHOWN] or '(empty)'}"


def examine(folder: Path, split: SplitConfig, choices: Mapping[str, str] | None = None) -> Plan:
    """Defects of a scanned file, and the data set that it would make with these choices.

    Raises:
        UserError: an unknown choice, a split that cannot be made, or nothing is left.
    """
    chosen = {key: actions[0] for key, actions in CHOICES.items()}
    for key, action in (choices or {}).items():
        if action not in CHOICES.get(key, ()):
            known = "; ".join(f"{name}: {' or '.join(actions)}" for name, actions in CHOICES.items())
            raise UserError(f"'{key}' cannot be answered with '{action}'. Known are {known}.")
        chosen[key] = action
    scanned = _Scanned(folder)
    defects, notes = list[Defect](), list[str]()
    kept = np.ones(len(scanned.codes), np.bool_)

    def found(key: str, title: str, which: np.ndarray, advice: str, show: Any = scanned.show) -> None:
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
        examples = tuple(show(int(row)) for row in rows[:EXAMPLES])
        defects.append(Defect(key, title, len(rows), examples, advice))
        if chosen[key] != "keep" and len(rows):
            notes.append(f"{title}: {len(rows):,}, {'merged' if chosen[key] == 'merge' else 'left out'}.")

    def drop(key: str, which: np.ndarray) -> None:
        if chosen[key] == "drop":
            kept[which] = False

    empty, sizes = scanned.hashes == 0, np.diff(scanned.targets.indptr)
    for key, title, which, advice in (
        ("empty_texts", "Documents without text", empty, "A model learns nothing from them."),
        ("without_labels", "Documents without labels", sizes == 0, "They count as negatives of every label."),
        (
            "broken_encodings",
            "Documents with broken characters",
            scanned.broken,
            "Bytes that are not of this encoding are kept as \ufffd; naming the right encoding mends them.",
        ),
        (
            "long_texts",
            f"Very long texts (over {LONG:,} bytes)",
            scanned.lengths > LONG,
            "Two documents may have been joined.",
        ),
    ):
        found(key, title, which, advice)
        drop(key, which)
    copies = _copies(scanned, kept & ~empty)
    found("duplicates", "Copies of an earlier document", copies, "Dropping keeps one of each, a test document first.")
    drop("duplicates", copies)
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise UserError("No document would be left: keep some of those with defects.")
    columns = _merged(scanned, chosen["similar_labels"], found)
    targets = _renamed(scanned.targets if len(rows) == len(kept) else scanned.targets[rows], columns)
    codes, said = splits.divide(split, np.asarray(scanned.codes)[rows], targets)
    leaks = _leaks(scanned.hashes[rows], codes)
    found(
        "leaks",
        "Train documents that are also in another part",
        rows[leaks],
        "They make scores look better than they are; dropping takes them out of train.",
    )
    if chosen["leaks"] == "drop":
        rows, codes, targets = rows[~leaks], codes[~leaks], targets[~leaks]
    columns = _kept_labels(scanned, columns, targets, codes, split, chosen, found, notes)
    names = sorted({str(scanned.names[first]) for first in np.unique(columns[columns >= 0])})
    if not names:
        raise UserError("No label would be left: ask for fewer documents of a label, or keep those with defects.")
    place = {name: column for column, name in enumerate(names)}
    final = np.array([place[str(scanned.names[column])] if column >= 0 else -1 for column in columns], np.int32)
    order = {key: number for number, key in enumerate(CHOICES)}
    ordered = tuple(sorted(defects, key=lambda defect: order[defect.key]))
    return Plan(ordered, rows, codes, tuple(names), final, (*said, *notes), len(scanned.codes))


def _copies(scanned: _Scanned, among: np.ndarray) -> np.ndarray:
    """Rows whose text stands in another row as well, but for one of each: of test, else validation, else the first."""
    rows = np.flatnonzero(among)
    preferred = np.array([2, 0, 1, 2], np.int8)[np.asarray(scanned.codes)[rows]]
    ordered = rows[np.lexsort((rows, preferred))]
    first = ordered[np.unique(scanned.hashes[ordered], return_index=True)[1]]
    return np.setdiff1d(rows, first)


def _leaks(hashes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Which train documents have a text that stands in another part, (n,) bool."""
    train = (codes == splits.TRAIN) & (hashes != 0)
    return train & np.isin(hashes, hashes[(codes != splits.TRAIN) & (hashes != 0)])


def _merged(scanned: _Scanned, choice: str, found: Any) -> np.ndarray:
    """For each label the one that it counts as, (L,): itself, or of labels that differ in form the most frequent."""
    counts = count_columns(scanned.targets)
    alike: dict[str, list[int]] = {}
    for column in np.lexsort((scanned.names, -counts)):
        form = " ".join(unicodedata.normalize("NFKC", str(scanned.names[column])).casefold().split())
        alike.setdefault(form, []).append(int(column))
    groups = {group[0]: group for group in alike.values() if len(group) > 1}

    def show(column: int) -> str:
        return " = ".join(f"{str(scanned.names[one])!r} ({counts[one]:,})" for one in groups[column])

    found(
        "similar_labels",
        "Labels that differ only in case, blanks or Unicode form",
        np.array(sorted(groups, key=lambda column: -counts[groups[column]].sum()), np.int64),
        "Merging counts them as the most frequent spelling.",
        show,
    )
    columns = np.arange(len(scanned.names), dtype=np.int32)
    if choice == "merge":
        for first, group in groups.items():
            columns[group] = first
    return columns


def _renamed(targets: sp.csr_array, columns: np.ndarray) -> sp.csr_array:
    """Targets with each label counted as another; two that become one count once."""
    if np.array_equal(columns, np.arange(len(columns))):
        return targets
    arrays = targets.data.copy(), columns[targets.indices], targets.indptr.copy()
    renamed = sp.csr_array(arrays, shape=targets.shape)
    renamed.sum_duplicates()
    return renamed


def _kept_labels(
    scanned: _Scanned,
    columns: np.ndarray,
    targets: sp.csr_array,
    codes: np.ndarray,
    split: SplitConfig,
    chosen: Mapping[str, str],
    found: Any,
    notes: list[str],
) -> np.ndarray:
    """`columns` with -1 for labels that are left out."""
    counts, train = count_columns(targets), count_columns(targets[codes == splits.TRAIN])
    lives = counts > 0
    rare = lives & (train < split.min_documents)
    if rare.any():
        notes.append(f"Labels with fewer than {split.min_documents:,} train documents: {rare.sum():,}, left out.")
        lives &= ~rare

    def show(column: int) -> str:
        return str(scanned.names[column])

    single = lives & (counts == 1)
    advice = "They can be learned or tested, not both."
    found("single_document_labels", "Labels with one document", single, advice, show)
    if chosen["single_document_labels"] == "drop":
        lives &= ~single
    absent = splits.absent(codes, targets)
    missing = {part: np.intersect1d(which, np.flatnonzero(lives)) for part, which in absent.items()}
    concerned = np.unique(np.concatenate([np.zeros(0, np.int64), *missing.values()]))
    few = int(np.sum(counts[concerned] < len(missing)))
    detail = ", ".join(f"{len(which):,} in no {part} document" for part, which in missing.items() if len(which))
    why = f"{detail}; {few:,} have fewer documents than there are parts, so no split can help." if detail else ""
    advice = f"{why} Dropping leaves out those without train documents.".strip()
    found("absent_labels", "Labels that are absent from a part", concerned, advice, show)
    if chosen["absent_labels"] == "drop" and "train" in missing:
        lives[missing["train"]] = False
    return np.where(lives[columns], columns, -1)


# Data sets that were added.


def registered_dir() -> Path:
    """Where the names of added data sets are kept."""
    return cache_dir() / "data" / "registered"


def check_name(name: str, taken: Iterable[str]) -> None:
    """Raises `UserError` unless a data set can be added under this name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"A data set cannot be named '{name}': use lower-case letters, digits and hyphens, at most 40, such as "
            "my-data."
        )
    if name in taken:
        raise UserError(f"There is a data set '{name}' already: choose another name, or remove that one first.")


def register(
    name: str,
    path: Path,
    file: FileConfig,
    split: SplitConfig,
    choices: Mapping[str, str] | None = None,
    *,
    reserved: Sequence[str] = (),
    report: Report | None = None,
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

    Raises:
        UserError: see `scan` and `examine`; a name that cannot be used; the disk is full.
    """
    check_writable()
    check_name(name, reserved)
    note = registered_dir() / f"{name}.json"
    scanned_folder = scan(path, file, report)
    plan = examine(scanned_folder, split, choices)
    digest = hashlib.sha256()
    for one in _source_files(path):
        with one.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    settings = [FORMAT, digest.hexdigest(), file.model_dump(), split.model_dump(), dict(choices or {})]
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_dir() / "data" / f"{name}-{key}"
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
    shutil.rmtree(scanned_folder, ignore_errors=True)
    if uploads() in path.parents:
        shutil.rmtree(path.parent, ignore_errors=True)
    return kept


def command_line(
    name: str, path: Path, file: FileConfig, split: SplitConfig, choices: Mapping[str, str] | None = None
) -> str:
    """The command that adds this file in this way, ready to paste into a shell."""
    words = ["python", "-m", "core", "data", "add", str(path), "--name", name]
    for option, values in (("--text", file.text), ("--labels", file.labels)):
        words += [word for value in values for word in (option, value)]
    singles = {"--title": file.title, "--sep": file.sep, "--id": file.id, "--year": file.year}
    words += [word for option, value in singles.items() if value for word in (option, value)]
    words += ["--years", "-".join(map(str, file.years))] if file.years else []
    words += ["--split", file.split] if file.split else []
    words += ["--made", split.made]
    usual = SplitConfig()
    for key in ("validation", "test", "seed", "min_documents"):
        if getattr(split, key) != getattr(usual, key):
            words += [f"--{key.replace('_', '-')}", str(getattr(split, key))]
    form = {"csv": ("encoding", "delimiter"), "jsonl": ("encoding",), "json": ("encoding",)}.get(file.format, ())
    words += [word for key in form for word in (f"--{key}", getattr(file, key))]
    words += ["--header" if file.header else "--no-header"] if file.format == "csv" else []
    for action in ("drop", "merge"):
        if asked := [key for key, chosen in (choices or {}).items() if chosen == action]:
            words += [f"--{action}", ",".join(asked)]
    return shlex.join(words)


def _planned(folder: Path, plan: Plan) -> Iterator[Record]:
    scanned = _Scanned(folder)
    indices, indptr = scanned.targets.indices, scanned.targets.indptr
    for row, code in zip(plan.rows.tolist(), plan.codes.tolist(), strict=True):
        columns = plan.columns[indices[indptr[row] : indptr[row + 1]]]
        labels = tuple(dict.fromkeys(plan.labels[column] for column in columns if column >= 0))
        yield Record(str(scanned.ids[row]), scanned.titles[row], scanned.bodies[row], labels, CODES[code])


def find_registered() -> dict[str, Registered | str]:
    """Added data sets by name; a sentence instead where what was kept is damaged."""
    found: dict[str, Registered | str] = {}
    for note in sorted(registered_dir().glob("[a-z0-9]*.json")):
        if re.fullmatch(NAME_PATTERN, note.stem):
            try:
                found[note.stem] = parse(Registered, read_json(note))
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


# Files that a person may want to add.


def find_files(folders: Iterable[Path], *, limit: int = 200) -> list[Path]:
    """Files and saved `datasets` folders that can be read, up to two folders deep; no link that leads out."""
    endings = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    packed = tuple(f"{ending}{pack}" for ending in endings for pack in ("", ".gz", ".zip"))
    files: list[Path] = []
    for folder in folders:
        root = folder.resolve()
        for pattern in ("*", "*/*", "*/*/*"):
            for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                inside = path.resolve().is_relative_to(root)
                saved = path.is_dir() and any(path.joinpath(n).is_file() for n in ("state.json", "dataset_dict.json"))
                if inside and (saved or (path.is_file() and path.name.lower().endswith(packed))):
                    files.append(path)
    unique = dict.fromkeys(file for file in files if not any(parent in files for parent in file.parents))
    return list(unique)[:limit]

"""A corpus: texts, labels sorted by training frequency, sparse targets and named splits; prepared once, then mapped."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import scipy.sparse as sp

from core.config import DataConfig, SyntheticConfig, UserError, cache_dir, choose
from core.files import atomic_path, locked, read_json, write_json, write_text
from core.readers import (
    SGML_FILE,
    Record,
    label_names,
    make_synthetic,
    open_reuters,
    read_reuters_nltk,
    read_reuters_sgml,
)
from core.readers import confused_pairs as confused_pairs

FORMAT = 2
"""Version of the prepared layout: a change of the layout or of what a reader gives raises it."""
NAMES = ("reuters", "reuters-nltk", "synthetic")
SPLITS = ("paper", "original")
PARTS = ("train", "validation", "test")
REUTERS_SIZES = {"reuters": (7770, 3019), "reuters-nltk": (7769, 3019)}
"""Train and test documents of a complete copy."""
REUTERS_DOCUMENTS = 21_578
LEFT_OUT = "1514"
"""NEWID of the train document that split `paper` leaves out: see `_split`."""
REUTERS_URL = "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz"
REUTERS_SHA256 = "0e3dd495e06553e794aff9bee98630c0ae743e8f8c291cf63d48bfc41485e9f1"
"""Of the names and contents of the `reut2-*.sgm` files in the archive, in name order: a re-packed archive passes."""
CHUNK = 1 << 18
TIMEOUT = 30
"""Seconds without an answer or a byte after which a download ends."""

Report = Callable[[str, float], None]


class Texts(Sequence[str]):
    """Titles or bodies of a prepared corpus, decoded one at a time from a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._content = np.asarray(np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8))
        self._offsets = np.asarray(np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        rows = range(len(self))[row]
        if isinstance(rows, range):
            return [self[one] for one in rows]
        return self._content[self._offsets[rows] : self._offsets[rows + 1]].tobytes().decode("utf-8")


@dataclass(frozen=True)
class Corpus:
    """N documents with L labels under one split.

    Attributes:
        fingerprint: SHA-256 of the prepared content and the split.
        source: where it comes from, in words.
        labels: names, L of them, by falling number of train documents, ties by name.
        targets: (N, L) bool.
        ids: the collection's own names of the documents, (N,).
        parts: row numbers of train, validation (may be empty) and test.
        notes: what a reader of the figures should know.
    """

    name: str
    split: str
    fingerprint: str
    source: str
    labels: tuple[str, ...]
    targets: sp.csr_array
    ids: np.ndarray
    titles: Sequence[str]
    bodies: Sequence[str]
    parts: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> np.ndarray:
        """Train documents of each label, (L,) int64, falling."""
        return _count_columns(self.targets[self.parts["train"]])

    def targets_of(self, part: str) -> sp.csr_array:
        """Targets of one part's documents, in the order of `parts[part]`."""
        return self.targets[self.parts[part]]

    def text(self, row: int) -> str:
        """Title, line break, body."""
        return f"{self.titles[row]}\n{self.bodies[row]}"

    def texts(self, rows: Iterable[int]) -> Iterator[str]:
        """The texts of some rows, one at a time."""
        return (self.text(int(row)) for row in rows)


@dataclass(frozen=True)
class Source:
    """Whether and where a data set was found, for a person to read."""

    name: str
    found: bool
    place: str
    sentence: str
    splits: tuple[str, ...]
    downloadable: bool
    prepared: bool


def load(config: DataConfig, *, progress: Report | None = None) -> Corpus:
    """Finds a data set, prepares it if that has not been done, and opens the prepared copy.

    Args:
        config: name, split and, for `synthetic`, its size.
        progress: called with a phase in words and a fraction 0..1.

    Raises:
        UserError: unknown name or split, not found, unreadable, damaged, or the disk is full.
    """
    choose("data set", config.name, NAMES)
    choose("split", config.split, SPLITS)
    report = progress or (lambda *_: None)
    try:
        if config.name == "synthetic":
            path, source = None, "Built in: made on this machine from a seed"
            folder = _folder("synthetic", config.synthetic.model_dump())
        else:
            path = _find(config.name)
            source = f"Reuters-21578 at {path}"
            folder = _folder(config.name, _source_sha256(config.name, path))
        corpus = _open_whole(folder, config, source)
        if corpus is None:
            with locked(folder.with_name(f"{folder.name}.lock")):
                corpus = _open_whole(folder, config, source)  # another process may have made it meanwhile
                if corpus is None:
                    notes = (REMADE,) if folder.exists() else ()
                    _prepare(folder, config, path, report)
                    corpus = _open(folder, config, source)
                    corpus = replace(corpus, notes=(*corpus.notes, *notes))
    except OSError as error:
        raise UserError(
            f"The prepared copy of '{config.name}' cannot be kept in {cache_dir() / 'data'}: {error.strerror or error}."
            " Make room there, or name another folder in TAILSCOPE_CACHE."
        ) from None
    report("ready", 1.0)
    return corpus


# Where data sets are found.


def folders() -> list[Path]:
    """Where data sets are looked for: the folders of `TAILSCOPE_DATA`, then the cache's downloads."""
    return [*_named_folders(), downloads()]


def downloads() -> Path:
    """Folder of fetched archives."""
    return cache_dir() / "downloads"


def _named_folders() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get("TAILSCOPE_DATA", "").split(os.pathsep) if part]


def _look(name: str) -> tuple[Path | None, list[str]]:
    """The first place that holds a data set, and what stood in the way of looking."""
    problems: list[str] = []
    fetched = os.path.abspath(downloads())
    for folder in folders():
        try:
            if folder.is_dir():
                found = next((place for place in _candidates(name, folder) if _holds(name, place)), None)
                if found:
                    return found, problems
            elif os.path.abspath(folder) != fetched:
                problems.append(f"{folder}, named in TAILSCOPE_DATA, is not a folder that exists.")
        except PermissionError as error:
            problems.append(f"{error.filename} cannot be read: permission denied.")
    return None, problems


def _candidates(name: str, folder: Path) -> list[Path]:
    if name == "reuters":
        archive = "reuters21578.tar.gz"
        return [folder / "reuters21578" / archive, folder / archive, folder / "reuters21578", folder]
    bases = (folder, folder / "corpora")
    return [*(base / part for base in bases for part in ("reuters", "reuters.zip")), folder]


def _holds(name: str, path: Path) -> bool:
    if not path.is_dir():
        return path.is_file()
    entries = os.listdir(path)
    if name == "reuters":
        return any(SGML_FILE.fullmatch(entry) for entry in entries)
    return {"cats.txt", "training", "test"} <= set(entries)


def _find(name: str) -> Path:
    path, problems = _look(name)
    if path is None:
        raise UserError(f"Data set '{name}' was not found. {_how_to_get(name, problems)}")
    return path


def _how_to_get(name: str, problems: list[str]) -> str:
    named = ", ".join(map(str, _named_folders()))
    where = f"Searched: {named}." if named else "TAILSCOPE_DATA names no folder to search."
    what = "reuters21578.tar.gz" if name == "reuters" else "NLTK's reuters.zip"
    fetch = ", or fetch it with `python -m core data download reuters`" if name == "reuters" else ""
    return " ".join([*problems, where, f"Put {what} into a folder and name that in TAILSCOPE_DATA{fetch}."])


def available() -> list[Source]:
    """Every data set, found or not, with a sentence for a person. Looks at folder listings only."""
    sources = []
    for name in NAMES[:2]:
        path, problems = _look(name)
        if path is None:
            sentence = f"Not found. {_how_to_get(name, problems)}"
            sources.append(Source(name, False, "", sentence, SPLITS, name == "reuters", False))
        else:
            sentence = " ".join([f"Found at {path}.", *problems])
            sources.append(Source(name, True, str(path), sentence, SPLITS, False, _is_prepared(name, path)))
    sentence = "Built in: made on this machine from a seed, any documents x labels."
    prepared = _folder("synthetic", SyntheticConfig().model_dump()).is_dir()
    return [*sources, Source("synthetic", True, "built in", sentence, SPLITS, False, prepared)]


def _is_prepared(name: str, path: Path) -> bool:
    try:
        known = _memo(name, path)
        return known.is_file() and _folder(name, known.read_text().strip()).is_dir()
    except OSError:
        return False


def default_name() -> str:
    """`reuters` where it is found, else `synthetic`."""
    return "reuters" if _look("reuters")[0] else "synthetic"


def why_default() -> str:
    """Which data set is shown first, and why."""
    path, problems = _look("reuters")
    if path:
        return " ".join([f"Reuters-21578 is shown first: it was found at {path}.", *problems])
    why = "The built-in synthetic set is shown first, because Reuters-21578 was not found."
    return f"{why} {_how_to_get('reuters', problems)}"


# The prepared copy.

REMADE = "The prepared copy in the cache was damaged; it was made anew."


def _files(name: str, path: Path) -> list[Path]:
    """All files that a source consists of."""
    if path.is_file():
        return [path]
    if name == "reuters":
        return sorted(file for file in path.iterdir() if SGML_FILE.fullmatch(file.name))
    stories = (file for part in ("training", "test") for file in path.joinpath(part).iterdir())
    return [path / "cats.txt", *sorted(stories)]


def _memo(name: str, path: Path) -> Path:
    """Where the SHA-256 of a source is noted, so that an unchanged source is not read to be recognised.

    Unchanged means: same sizes and times. Of NLTK's folder, whose thousands of files take long to ask, it is
    `cats.txt` and the two folders themselves; a story edited in place goes unnoticed.
    """
    nltk = name == "reuters-nltk" and path.is_dir()
    watched = [path / part for part in ("cats.txt", "training", "test")] if nltk else _files(name, path)
    states = [(str(file.absolute()), (state := file.stat()).st_size, state.st_mtime_ns) for file in watched]
    key = hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]
    return cache_dir() / "data" / "sources" / f"{name}-{key}.txt"


def _source_sha256(name: str, path: Path) -> str:
    try:
        memo = _memo(name, path)
        if memo.is_file() and re.fullmatch("[0-9a-f]{64}", known := memo.read_text().strip()):
            return known
        digest = hashlib.sha256()
        for file in _files(name, path):
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)} ".encode() + content)
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. Check the path and its rights."
        ) from None
    write_text(memo, digest.hexdigest())
    return digest.hexdigest()


def _folder(name: str, source: Any) -> Path:
    key = hashlib.sha256(json.dumps([FORMAT, name, source], sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "data" / f"{name}-{key}"


def _prepare(folder: Path, config: DataConfig, path: Path | None, report: Report) -> None:
    """Makes a prepared copy in place of a damaged one; removes what a killed process left. Call it under the lock."""
    for leftover in (folder, *folder.parent.glob(f".{folder.name}.*")):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        if path is None:
            made = make_synthetic(config.synthetic)
            _write(temporary, label_names(config.synthetic), made, config.synthetic.documents, report)
        else:
            names, records = _reuters_records(config.name, path, report)
            _write(temporary, names, records, len(records), lambda words, done: report(words, 0.8 + done / 5))


def _write(folder: Path, names: Sequence[str], records: Iterable[Record], total: int, report: Report) -> None:
    columns = {name: column for column, name in enumerate(names)}
    offsets = {"titles": array("q", [0]), "bodies": array("q", [0])}
    indptr, indices, is_test, ids = array("q", [0]), array("i"), bytearray(), list[str]()
    digest = hashlib.sha256()
    with folder.joinpath("titles.bin").open("wb") as titles, folder.joinpath("bodies.bin").open("wb") as bodies:
        for record in records:
            for key, file, text in (("titles", titles, record.title), ("bodies", bodies, record.body)):
                content = text.encode("utf-8")
                digest.update(content)
                offsets[key].append(offsets[key][-1] + file.write(content))
            indices.extend(columns[label] for label in record.labels)
            indptr.append(len(indices))
            is_test.append(record.part == "test")
            ids.append(record.id)
            if len(ids) % 1000 == 0:
                report("preparing documents", len(ids) / total)
    arrays: dict[str, np.ndarray] = {
        **{key: np.array(values, np.int64) for key, values in offsets.items()},
        "indptr": np.array(indptr, np.int64),
        "indices": np.array(indices, np.int32),
        "is_test": np.array(is_test, np.bool_),
        "ids": np.array(ids, np.str_),
    }
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values, allow_pickle=False)
        digest.update(values.tobytes())
    digest.update(json.dumps(list(names)).encode())
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    write_json(folder / "manifest.json", {"sha256": digest.hexdigest(), "sizes": sizes, "labels": list(names)})


def _open_whole(folder: Path, config: DataConfig, source: str) -> Corpus | None:
    """The prepared corpus, or None if it is not there or damaged."""
    try:
        sizes = read_json(folder / "manifest.json")["sizes"]
        if any(folder.joinpath(file).stat().st_size != size for file, size in sizes.items()):
            return None
        return _open(folder, config, source)
    except (UserError, OSError, KeyError, TypeError, AttributeError, ValueError):
        return None


def _open(folder: Path, config: DataConfig, source: str) -> Corpus:
    manifest = read_json(folder / "manifest.json")
    indptr, indices, is_test, ids = (
        np.asarray(np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False))
        for key in ("indptr", "indices", "is_test", "ids")
    )
    names = np.array(manifest["labels"], np.str_)
    ones, shape = np.ones(len(indices), np.bool_), (len(ids), len(names))
    unsorted = sp.csr_array((ones, indices, indptr), shape=shape)
    parts, notes = _split(config.name, config.split, ids, is_test, unsorted)
    counts = _count_columns(unsorted[parts["train"]])
    order = np.lexsort((names, -counts))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    targets = sp.csr_array((ones, rank[indices], indptr), shape=shape)
    targets.sort_indices()
    return Corpus(
        name=config.name,
        split=config.split,
        fingerprint=hashlib.sha256(f"{manifest['sha256']} {config.split}".encode()).hexdigest(),
        source=source,
        labels=tuple(names[order].tolist()),
        targets=targets,
        ids=ids,
        titles=Texts(folder / "titles.bin"),
        bodies=Texts(folder / "bodies.bin"),
        parts=parts,
        notes=notes,
    )


def _count_columns(targets: sp.csr_array) -> np.ndarray:
    return np.bincount(targets.indices, minlength=targets.shape[1]).astype(np.int64)


def _split(
    name: str, split: str, ids: np.ndarray, is_test: np.ndarray, targets: sp.csr_array
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Row numbers of each part, rising, and what is to be said about them.

    `paper` holds out the validation documents of Huang et al. (EMNLP 2021): the train documents by ascending id,
    shuffled by `numpy.random.RandomState(123)`, the first 1,000 of 7,769 (the same share of another number). Their copy
    of Reuters held 7,769 train documents, the original collection has 7,770. Leaving out any one document between NEWID
    1514 and 1724 reproduces every figure they print; 1514 is left out here. Of the synthetic corpus the first train
    document of each label is held out last, so that every label keeps one.
    """
    train, test, notes = np.flatnonzero(~is_test), np.flatnonzero(is_test), []
    sizes = len(train), len(test)
    if sizes != REUTERS_SIZES.get(name, sizes):
        expected = "{:,} and {:,}".format(*REUTERS_SIZES[name])
        notes.append(
            f"This copy of Reuters-21578 has {len(train):,} train and {len(test):,} test documents instead of "
            f"{expected}: its figures are not comparable with published ones."
        )
    if split == "original":
        return {"train": train, "validation": train[:0], "test": test}, tuple(notes)
    if name == "reuters" and sizes == REUTERS_SIZES[name]:
        train = train[ids[train] != LEFT_OUT]
        notes.append(
            f"Split 'paper' leaves out the train document with NEWID {LEFT_OUT}: the paper's authors had 7,769 of the "
            "7,770 documents, and leaving out any one between NEWID 1514 and 1724 reproduces the figures they print."
        )
    shuffled = train[np.random.RandomState(123).permutation(len(train))]
    if name == "synthetic":
        _, first = np.unique(targets[train].indices, return_index=True)
        needed = train[np.searchsorted(targets[train].indptr, first, side="right") - 1]
        shuffled = shuffled[np.argsort(np.isin(shuffled, needed), kind="stable")]
    held_out = round(len(train) * 1000 / 7769)
    parts = {"train": np.sort(shuffled[held_out:]), "validation": np.sort(shuffled[:held_out]), "test": test}
    return parts, tuple(notes)


# Reuters-21578.


def _reuters_records(name: str, path: Path, report: Report) -> tuple[list[str], list[Record]]:
    """The topics with a document in both train and test, and the documents that have one of them, by ascending id."""
    records = []
    for number, record in enumerate(read_reuters_sgml(path) if name == "reuters" else read_reuters_nltk(path)):
        if number % 500 == 0:
            report("reading documents", 0.8 * min(1.0, number / REUTERS_DOCUMENTS))
        if record.part != "unused":
            records.append(record)
    records.sort(key=lambda record: int(record.id))
    twice = next((one.id for one, other in pairwise(records) if one.id == other.id), None)
    if twice is not None:
        raise UserError(f"{path} holds document {twice} twice. Fetch the collection again.")
    train, test = ({label for r in records if r.part == part for label in r.labels} for part in ("train", "test"))
    kept = train & test
    if not kept:
        raise UserError(f"{path} has no topic with a document in both train and test. Fetch the collection again.")
    labelled = (replace(r, labels=tuple(label for label in r.labels if label in kept)) for r in records)
    return sorted(kept), [record for record in labelled if record.labels]


def download(name: str, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetches Reuters-21578 into the cache; goes on where an earlier attempt was cut.

    Args:
        name: `reuters`, the one set that can be fetched.
        progress: called with bytes done and bytes in all (0 if unknown).

    Returns:
        The archive's path. It appears there whole and checked, or not at all.

    Raises:
        UserError: no network, an answer that is no archive, the wrong content, or the disk is full.
    """
    choose("data set", name, NAMES)
    if name != "reuters":
        raise UserError(f"Data set '{name}' cannot be fetched; only 'reuters' can.")
    url = os.environ.get("TAILSCOPE_REUTERS_URL") or REUTERS_URL
    if not re.match(r"https?://", url):
        raise UserError(f"TAILSCOPE_REUTERS_URL is '{url}': it must start with http:// or https://.")
    target = downloads() / "reuters21578.tar.gz"
    part = target.with_name(f"{target.name}.part")
    try:
        with locked(target.with_name(f"{target.name}.lock")):
            if not (target.is_file() and _is_reuters(target)):
                _fetch(url, part, progress or (lambda *_: None))
                _check(url, part)
                os.replace(part, target)
    except (OSError, http.client.HTTPException, ValueError) as error:
        kept = part.is_file() and part.stat().st_size > 0
        ways = (
            "Try again: it goes on from there."
            if kept
            else "Check the network, name another address in TAILSCOPE_REUTERS_URL, or put reuters21578.tar.gz into a "
            "folder named in TAILSCOPE_DATA."
        )
        so_far = f" {part.stat().st_size:,} bytes are kept." if kept else ""
        raise UserError(f"{url} could not be fetched: {error}.{so_far} {ways}") from None
    return target


def _fetch(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is all there is
            return
        raise
    with answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not resumed:
            raise OSError("the server sent another part than the one asked for")
        with part.open("ab" if resumed else "wb") as file:
            done = file.tell()
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else 0
            progress(done, total)
            while chunk := answer.read1(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")


def _check(url: str, part: Path) -> None:
    """Removes what was fetched and raises `UserError` if it is not Reuters-21578."""
    try:
        found = content_sha256(part)
    except UserError as error:
        part.unlink()
        raise UserError(f"What {url} sent is no Reuters archive and was removed: {error}") from None
    if found != REUTERS_SHA256:
        part.unlink()
        raise UserError(
            f"What {url} sent is not the Reuters-21578 collection and was removed: its content has SHA-256 {found}, "
            f"expected {REUTERS_SHA256}."
        )


def _is_reuters(archive: Path) -> bool:
    try:
        return content_sha256(archive) == REUTERS_SHA256
    except UserError:
        return False


def content_sha256(path: Path) -> str:
    """SHA-256 of the names and contents of the `reut2-*.sgm` files in an archive or folder, in name order."""
    digest = hashlib.sha256()
    for name, content in sorted(open_reuters(path)):
        digest.update(name.encode() + content)
    return digest.hexdigest()

"""A corpus: texts, labels sorted by training frequency, sparse targets and named splits; prepared once, then mapped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any, overload

import numpy as np
import scipy.sparse as sp

from core.config import DataConfig, SyntheticConfig, UserError, cache_dir, choose
from core.files import atomic_path, locked, read_json, write_json
from core.readers import SGML_FILE, Record, read_reuters_nltk, read_reuters_sgml

FORMAT = 1
"""Version of the prepared layout: a change of the layout or of a reader's output raises it."""
NAMES = ("reuters", "reuters-nltk", "synthetic")
SPLITS = ("paper", "original")
PARTS = ("train", "validation", "test")
LEFT_OUT = "1514"
"""NEWID of the train document left out of split `paper`: see `_split`."""
REUTERS_URL = "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz"
REUTERS_SHA256 = "0e3dd495e06553e794aff9bee98630c0ae743e8f8c291cf63d48bfc41485e9f1"
"""Of the names and contents of the `reut2-*.sgm` files in the archive, in name order: a re-packed archive passes."""
CHUNK = 1 << 18

Report = Callable[[str, float], None]


class Texts(Sequence[str]):
    """Titles or bodies of a prepared corpus, decoded one at a time from a memory-mapped file."""

    def __init__(self, content: np.ndarray, offsets: np.ndarray, which: int) -> None:
        self._content, self._offsets, self._which = content, offsets, which

    def __len__(self) -> int:
        return (len(self._offsets) - 1) // 2

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        place = 2 * (row + len(self) if row < 0 else row) + self._which
        return self._content[self._offsets[place] : self._offsets[place + 1]].tobytes().decode("utf-8")


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
        return _column_counts(self.targets[self.parts["train"]])

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
            options = config.synthetic.model_dump()
            folder = _prepared("synthetic", options, lambda: _synthetic_records(config.synthetic), report)
        else:
            path, problems = _look(config.name)
            if path is None:
                raise UserError(f"Data set '{config.name}' was not found. {_how_to_get(config.name, problems)}")
            folder = _prepared(config.name, _stamp(path), lambda: _reuters_records(config.name, path), report)
        return _open(folder, config.split)
    except OSError as error:
        place = error.filename or cache_dir()
        raise UserError(f"Data set '{config.name}' cannot be prepared: {error.strerror} ({place}).") from None


# Where data sets are found.


def folders() -> list[Path]:
    """Where data sets are looked for: the folders of `TAILSCOPE_DATA`, then the cache's downloads."""
    named = [Path(part) for part in os.environ.get("TAILSCOPE_DATA", "").split(os.pathsep) if part]
    return [*named, downloads()]


def downloads() -> Path:
    """Folder of fetched archives."""
    return cache_dir() / "downloads"


def _look(name: str) -> tuple[Path | None, list[str]]:
    """The first place that holds a data set, and what stood in the way of looking."""
    problems = []
    for folder in folders():
        try:
            if not folder.is_dir():
                if folder != downloads():
                    problems.append(f"{folder}, named in TAILSCOPE_DATA, is no folder.")
                continue
            for candidate in _candidates(name, folder):
                if _holds(name, candidate):
                    return candidate, problems
        except PermissionError as error:
            problems.append(f"{error.filename} cannot be read: permission denied.")
    return None, problems


def _candidates(name: str, folder: Path) -> list[Path]:
    if name == "reuters":
        archive = "reuters21578.tar.gz"
        return [folder / "reuters21578" / archive, folder / archive, folder / "reuters21578", folder]
    return [base / part for base in (folder, folder / "corpora") for part in ("reuters", "reuters.zip")]


def _holds(name: str, path: Path) -> bool:
    if path.is_dir():
        if name == "reuters":
            return any(SGML_FILE.fullmatch(entry) for entry in os.listdir(path))
        return "cats.txt" in os.listdir(path)
    return path.is_file()


def _how_to_get(name: str, problems: list[str]) -> str:
    fetch = " or fetch it (`python -m core data download reuters`)" if name == "reuters" else ""
    return " ".join([*problems, f"Put it into a folder and name that in TAILSCOPE_DATA{fetch}."])


def available() -> list[Source]:
    """Every data set, found or not, with a sentence for a person. Reads folder listings only."""
    sources = []
    for name in NAMES[:2]:
        path, problems = _look(name)
        found = path is not None
        sentence = " ".join([f"Found at {path}.", *problems]) if found else f"Not found. {_how_to_get(name, problems)}"
        prepared = path is not None and _folder(name, _stamp(path)).is_dir()
        sources.append(
            Source(name, found, str(path or ""), sentence, SPLITS, name == "reuters" and not found, prepared)
        )
    default = _folder("synthetic", SyntheticConfig().model_dump())
    sentence = "Built in: made on this machine from a seed, any documents x labels."
    sources.append(Source("synthetic", True, "built in", sentence, SPLITS, False, default.is_dir()))
    return sources


def default_name() -> str:
    """`reuters` where it is found, else `synthetic`."""
    return "reuters" if _look("reuters")[0] else "synthetic"


def why_default() -> str:
    """One sentence on which data set is shown first, and why."""
    path, problems = _look("reuters")
    if path:
        return f"Reuters-21578 is shown first: it was found at {path}."
    why = "The built-in synthetic set is shown first, because Reuters-21578 was not found."
    return f"{why} {_how_to_get('reuters', problems)}"


# The prepared copy.


def _stamp(path: Path) -> dict[str, Any]:
    """What changes when a source changes: its files' names, sizes and times of change."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return {"files": hashlib.sha256(json.dumps(states).encode()).hexdigest(), "path": str(path)}


def _folder(name: str, options: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps([FORMAT, name, options], sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "data" / f"{name}-{key}"


def _prepared(name: str, options: dict[str, Any], records: Callable[[], Iterable[Record]], report: Report) -> Path:
    folder = _folder(name, options)
    if _whole(folder):
        return folder
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not _whole(folder):
            if folder.exists():
                _remove(folder)
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                _write(temporary, name, str(options.get("path", "built in")), records(), report)
    return folder


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def _whole(folder: Path) -> bool:
    """Whether a prepared copy is there and every file has the size that was written."""
    try:
        sizes = read_json(folder / "manifest.json")["sizes"]
        return all(folder.joinpath(name).stat().st_size == size for name, size in sizes.items())
    except (UserError, OSError, KeyError, TypeError):
        return False


def _write(folder: Path, name: str, source: str, records: Iterable[Record], report: Report) -> None:
    report("reading documents", 0.0)
    offsets, indptr, indices, ids, is_test = [0], [0], list[int](), list[str](), list[bool]()
    columns: dict[str, int] = {}
    with folder.joinpath("texts.bin").open("wb") as texts:
        for record in records:
            for text in (record.title, record.body):
                offsets.append(offsets[-1] + texts.write(text.encode("utf-8")))
            indices += [columns.setdefault(label, len(columns)) for label in record.labels]
            indptr.append(len(indices))
            ids.append(record.id)
            is_test.append(record.part == "test")
            if len(ids) % 1000 == 0:
                report(f"reading documents: {len(ids):,}", 1 - 1 / (1 + len(ids) / 10_000))
    report("writing the prepared copy", 0.95)
    arrays: dict[str, np.ndarray] = {
        "offsets": np.array(offsets, np.int64),
        "indptr": np.array(indptr, np.int64),
        "indices": np.array(indices, np.int32),
        "ids": np.array(ids, np.str_),
        "is_test": np.array(is_test, np.bool_),
    }
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    with folder.joinpath("texts.bin").open("rb") as texts:
        while chunk := texts.read(CHUNK):
            digest.update(chunk)
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array, allow_pickle=False)
        digest.update(array.tobytes())
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    manifest = {"name": name, "source": source, "sha256": digest.hexdigest(), "labels": list(columns), "sizes": sizes}
    write_json(folder / "manifest.json", manifest)


def _open(folder: Path, split: str) -> Corpus:
    manifest = read_json(folder / "manifest.json")

    def array(key: str, mode: Any = None) -> np.ndarray:
        return np.load(folder / f"{key}.npy", mmap_mode=mode, allow_pickle=False)

    ids, names = array("ids"), np.array(manifest["labels"], np.str_)
    parts, notes = _split(manifest["name"], split, ids, array("is_test"))
    indices, indptr = array("indices"), array("indptr")
    shape = (len(ids), len(names))
    unsorted = sp.csr_array((np.ones(len(indices), np.bool_), indices, indptr), shape=shape)
    order = np.lexsort((names, -_column_counts(unsorted[parts["train"]])))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    targets = sp.csr_array((np.ones(len(indices), np.bool_), rank[indices], indptr), shape=shape)
    targets.sort_indices()
    texts, offsets = folder / "texts.bin", array("offsets", "r")
    content = np.memmap(texts, np.uint8, "r") if texts.stat().st_size else np.zeros(0, np.uint8)
    return Corpus(
        name=manifest["name"],
        split=split,
        fingerprint=hashlib.sha256(f"{manifest['sha256']} {split}".encode()).hexdigest(),
        source=manifest["source"],
        labels=tuple(names[order].tolist()),
        targets=targets,
        ids=ids,
        titles=Texts(content, offsets, 0),
        bodies=Texts(content, offsets, 1),
        parts=parts,
        notes=notes,
    )


def _column_counts(targets: sp.csr_array) -> np.ndarray:
    return np.bincount(targets.indices, minlength=targets.shape[1]).astype(np.int64)


def _split(
    name: str, split: str, ids: np.ndarray, is_test: np.ndarray
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Row numbers of each part.

    `paper` holds out the validation documents of Huang et al. 2021: the train documents by ascending id, shuffled by
    `numpy.random.RandomState(123)`, the first 1,000 of 7,769 (scaled to the size of other sets). Their copy of Reuters
    held 7,769 train documents, the original collection has 7,770. Leaving out any one document between NEWID 1514 and
    1724 reproduces every figure they print; 1514 is left out here.
    """
    train, test, notes = np.flatnonzero(~is_test), np.flatnonzero(is_test), []
    if split == "original":
        return {"train": train, "validation": train[:0], "test": test}, ()
    if name.startswith("reuters"):
        train = train[np.argsort(ids[train].astype(np.int64), kind="stable")]
    if name == "reuters" and len(train) == 7770:
        train = train[ids[train] != LEFT_OUT]
        notes.append(
            f"Split 'paper' leaves out the train document with NEWID {LEFT_OUT}: the paper's authors had 7,769 of the "
            "7,770 documents, and leaving out any one between NEWID 1514 and 1724 reproduces the figures they print."
        )
    shuffled = train[np.random.RandomState(123).permutation(len(train))]
    held_out = round(len(train) * 1000 / 7769)
    parts = {"train": np.sort(shuffled[held_out:]), "validation": np.sort(shuffled[:held_out]), "test": test}
    return parts, tuple(notes)


# Reuters-21578.


def _reuters_records(name: str, path: Path) -> list[Record]:
    """The documents of the topics that have one in the train part and one in the test part, with those topics alone."""
    reader = read_reuters_sgml if name == "reuters" else read_reuters_nltk
    records = [record for record in reader(path) if record.part != "unused"]
    seen = {part: Counter(label for record in records if record.part == part for label in record.labels) for part in
            ("train", "test")}  # fmt: skip
    kept = seen["train"].keys() & seen["test"].keys()
    if not kept:
        raise UserError(f"{path} has no topic with a document in both train and test: the collection is incomplete.")
    return [
        Record(record.id, record.title, record.body, labels, record.part)
        for record in records
        if (labels := tuple(label for label in record.labels if label in kept))
    ]


def download(name: str, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetches Reuters-21578 into the cache; goes on where an earlier attempt was cut.

    Args:
        name: `reuters`, the one set that can be fetched.
        progress: called with bytes done and bytes in all (0 if unknown).

    Returns:
        The archive's path. It appears there whole and checked, or not at all.

    Raises:
        UserError: no network, an answer that is no archive, or the wrong content.
    """
    if name != "reuters":
        raise UserError(f"Data set '{name}' cannot be fetched; only 'reuters' can.")
    url = os.environ.get("TAILSCOPE_REUTERS_URL") or REUTERS_URL
    if not re.match(r"https?://", url):
        raise UserError(f"TAILSCOPE_REUTERS_URL is {url}: it must start with http:// or https://.")
    target = downloads() / "reuters21578.tar.gz"
    part = target.with_name(f"{target.name}.part")
    with locked(target.with_name(f"{target.name}.lock")):
        if target.is_file():
            return target
        try:
            _fetch(url, part, progress or (lambda *_: None))
        except (urllib.error.URLError, OSError) as error:
            raise UserError(f"{url} could not be fetched ({error}). Try again: what has come so far is kept.") from None
        try:
            found = _content_sha256(part)
        except (tarfile.TarError, EOFError, OSError) as error:
            part.unlink()
            raise UserError(f"What {url} sent is no Reuters archive ({error}). It was removed.") from None
        if found != REUTERS_SHA256:
            part.unlink()
            raise UserError(f"What {url} sent has SHA-256 {found}, expected {REUTERS_SHA256}. It was removed.")
        os.replace(part, target)
    return target


def _fetch(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            return
        raise
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        done = file.tell()
        total = done + int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")


def _content_sha256(archive: Path) -> str:
    with tarfile.open(archive) as opened:
        members = [member for member in opened.getmembers() if SGML_FILE.fullmatch(PurePosixPath(member.name).name)]
        digest = hashlib.sha256()
        for member in sorted(members, key=lambda member: PurePosixPath(member.name).name):
            content = opened.extractfile(member)
            digest.update(PurePosixPath(member.name).name.encode() + (content.read() if content else b""))
    return digest.hexdigest()


# The synthetic corpus.

LABEL_WORDS = 12
"""Words of a label's own vocabulary."""
SHARED_WORDS = 9
"""Of these, how many the second label of a confused pair shares with the first."""
BACKGROUND = 3000
BLOCK = 10_000
SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"]


def _word(number: int, syllables: int) -> str:
    """A pronounceable word; different numbers below 80 ** syllables give different words, neighbours unlike ones."""
    letters = []
    number = number * 15_485_863 % len(SYLLABLES) ** syllables
    for _ in range(syllables):
        number, syllable = divmod(number, len(SYLLABLES))
        letters.append(SYLLABLES[syllable])
    return "".join(letters)


def confused_pairs(config: SyntheticConfig) -> list[tuple[str, str]]:
    """The label pairs of the synthetic corpus that share most of their words, as names."""
    return [(_label_name(i), _label_name(j)) for i, j in _pairs(config.labels)]


def _pairs(labels: int) -> list[tuple[int, int]]:
    """One pair of neighbours in frequency for every ten labels, from the fourth part of the ranks on."""
    starts = range(labels // 4, labels - 1, 10)
    return [(start, start + 1) for start in starts]


def _synthetic_records(config: SyntheticConfig) -> Iterator[Record]:
    """Documents whose labels follow a Zipf law and whose words tell the labels; the same for the same config.

    Every label beyond the first tenth has a parent among that tenth, which comes along with it three times in five.
    A third of a document's words come from its labels, a tenth from a label it does not have, the rest tells nothing.
    Every label has a train document and a test document where there are documents enough.
    """
    rng = np.random.default_rng([config.seed, config.documents, config.labels])
    labels, documents = config.labels, config.documents
    weights = (1.0 + np.arange(labels)) ** -config.zipf
    cumulative = np.cumsum(weights / weights.sum())
    heads = max(1, labels // 10)
    test = rng.permutation(documents) < documents // 5
    first = np.searchsorted(cumulative, rng.random(documents)).clip(max=labels - 1)
    for rows in (np.flatnonzero(~test), np.flatnonzero(test)):
        missing = np.setdiff1d(np.arange(labels), first[rows])
        often = rows[np.argsort(first[rows], kind="stable")]
        first[often[: len(missing)]] = missing[: len(often)]
    vocabulary = np.arange(labels * LABEL_WORDS).reshape(labels, LABEL_WORDS)
    for i, j in _pairs(labels):
        vocabulary[j, :SHARED_WORDS] = vocabulary[i, :SHARED_WORDS]
    total = BACKGROUND + labels * LABEL_WORDS
    syllables = 3 if total <= len(SYLLABLES) ** 3 else 4
    words = np.array([_word(number, syllables) for number in range(total)], dtype=object)
    common = np.cumsum(1.0 / (1.0 + np.arange(BACKGROUND)))
    common /= common[-1]
    for start in range(0, documents, BLOCK):
        size = min(BLOCK, documents - start)
        main = first[start : start + size]
        extra = rng.poisson(config.cardinality - 1, size)
        owner = np.repeat(np.arange(size), extra)
        drawn = np.searchsorted(cumulative, rng.random(len(owner))).clip(max=labels - 1)
        with_parent = (rng.random(len(owner)) < 0.6) & (main[owner] >= heads)
        drawn = np.where(with_parent, main[owner] % heads, drawn)
        pairs = np.unique(np.stack([np.r_[np.arange(size), owner], np.r_[main, drawn]]), axis=1)
        bounds = np.searchsorted(pairs[0], np.arange(size + 1))
        lengths = np.maximum(4, rng.poisson(config.words, size))
        place = np.repeat(np.arange(size), lengths)
        own = pairs[1][bounds[place] + (rng.random(len(place)) * np.diff(bounds)[place]).astype(np.int64)]
        stray = np.searchsorted(cumulative, rng.random(len(place))).clip(max=labels - 1)
        kind = rng.random(len(place))
        topic = np.where(kind < 1 / 3, own, stray)
        chosen = np.where(
            kind < 1 / 3 + 0.1,
            BACKGROUND + vocabulary[topic, rng.integers(0, LABEL_WORDS, len(place))],
            np.searchsorted(common, rng.random(len(place))).clip(max=BACKGROUND - 1),
        )
        ends = np.cumsum(lengths)
        for row in range(size):
            text = words[chosen[ends[row] - lengths[row] : ends[row]]]
            yield Record(
                id=str(start + row),
                title=" ".join(text[:4]),
                body=" ".join(text[4:]),
                labels=tuple(_label_name(label) for label in pairs[1][bounds[row] : bounds[row + 1]]),
                part="test" if test[start + row] else "train",
            )


@cache
def _label_name(label: int) -> str:
    return _word(label, 4)

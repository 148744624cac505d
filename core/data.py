"""Data sets by name: search, download, prepare once in the cache, open."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core import intake
from core.config.schema import DataConfig, FileConfig, SplitConfig, SyntheticConfig
from core.corpus import CODES, FORMAT, Report, Split, open_corpus, open_whole, write_corpus
from core.corpus import PARTS as PARTS
from core.corpus import Corpus as Corpus
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
from core.system.access import check_writable
from core.system.errors import UserError, choose
from core.system.files import atomic_path, write_text
from core.system.locks import locked
from core.system.places import cache_dir

NAMES = ("reuters", "reuters-nltk", "synthetic")
SPLITS = ("paper", "original")
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


@dataclass(frozen=True)
class Source:
    """Whether and where a data set was found, in words for the reader."""

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
    added = intake.find_registered()
    choose("data set", config.name, [*NAMES, *added])
    choose(f"split of '{config.name}'", config.split, splits_of(config.name))
    if config.name in added:
        return intake.open_registered(_sound(added[config.name]))
    report = progress or (lambda *_: None)
    try:
        if config.name == "synthetic":
            path, source = None, "Built in: made on this machine from a seed"
            folder = _folder("synthetic", config.synthetic.model_dump())
        else:
            path = _find(config.name)
            source = f"Reuters-21578 at {path}"
            folder = _folder(config.name, _source_sha256(config.name, path))
        split: Split = partial(_split, config.name, config.split)
        corpus = open_whole(folder, config.name, config.split, source, split)
        if corpus is None:
            with locked(folder.with_name(f"{folder.name}.lock")):
                # Another process may have made it meanwhile.
                corpus = open_whole(folder, config.name, config.split, source, split)
                if corpus is None:
                    notes = (REMADE,) if folder.exists() else ()
                    _prepare(folder, config, path, report)
                    corpus = open_corpus(folder, config.name, config.split, source, split)
                    corpus = replace(corpus, notes=(*corpus.notes, *notes))
    except OSError as error:
        raise UserError(
            f"The prepared copy of '{config.name}' cannot be kept in {cache_dir() / 'data'}: {error.strerror or error}."
            " Make room there, or name another folder in TAILSCOPE_CACHE."
        ) from None
    report("ready", 1.0)
    return corpus


def splits_of(name: str) -> tuple[str, ...]:
    """Named splits of a data set, the usual one first.

    Raises:
        UserError: an added data set whose description is damaged.
    """
    added = intake.find_registered()
    return (_sound(added[name]).split.made,) if name in added else SPLITS


def default_config(name: str, split: str | None = None) -> DataConfig:
    """A data set with its usual split, or with the one named.

    Raises:
        UserError: there is no such data set or split.
    """
    choose("data set", name, [*NAMES, *intake.find_registered()])
    offered = splits_of(name)
    return DataConfig(name=name, split=choose(f"split of '{name}'", split or offered[0], offered))


def _sound(added: intake.Registered | str) -> intake.Registered:
    if isinstance(added, str):
        raise UserError(added)
    return added


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
    """The first place that holds a data set, and the problems met on the way."""
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
    """Every data set, found or not, with a sentence for the reader. Reads folder listings only."""
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
    sources.append(Source("synthetic", True, "built in", sentence, SPLITS, False, prepared))
    return [*sources, *(_added_source(name, added) for name, added in intake.find_registered().items())]


def _added_source(name: str, added: intake.Registered | str) -> Source:
    place = str(intake.registered_dir() / f"{name}.json")
    if isinstance(added, str):
        return Source(name, False, "", added, (), False, False)
    sentence = (
        f"Added from {Path(added.path).name}: {added.documents:,} documents, {added.labels:,} labels, "
        f"split '{added.split.made}'."
    )
    return Source(name, True, place, sentence, (added.split.made,), False, True)


def add(
    name: str,
    path: Path,
    file: FileConfig,
    split: SplitConfig,
    choices: Mapping[str, str] | None = None,
    *,
    progress: Report | None = None,
) -> intake.Registered:
    """Keeps a person's own file as a data set: see `intake.register`."""
    return intake.register(name, path, file, split, choices, reserved=NAMES, report=progress)


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
    """File that caches the SHA-256 of a source, so that an unchanged source is not read again.

    Unchanged means: same sizes and times. Of NLTK's folder, whose thousands of files take long to ask, it is
    `cats.txt` and the two folders themselves; a story edited in place is not detected.
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
    """Writes the prepared copy, after removing a damaged one and leftovers of killed processes; call under the lock."""
    for leftover in (folder, *folder.parent.glob(f".{folder.name}.*")):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        if path is None:
            made = make_synthetic(config.synthetic)
            write_corpus(temporary, label_names(config.synthetic), made, config.synthetic.documents, report)
        else:
            names, records = _reuters_records(config.name, path, report)
            write_corpus(temporary, names, records, len(records), lambda words, done: report(words, 0.8 + done / 5))


def _split(
    name: str, split: str, ids: np.ndarray, codes: np.ndarray, targets: sp.csr_array
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Row numbers of each part, rising, and notes for the reader.

    `paper` holds out the validation documents of Huang et al. (EMNLP 2021): the train documents by ascending id,
    shuffled by `numpy.random.RandomState(123)`, the first 1,000 of 7,769 (the same share of another number). Their copy
    of Reuters held 7,769 train documents, the original collection has 7,770. Leaving out any one document between NEWID
    1514 and 1724 reproduces every figure they print; 1514 is left out here. Of the synthetic corpus the first train
    document of each label is held out last, so that every label keeps one.
    """
    # Parts as the collection has them.
    train, test, notes = *(np.flatnonzero(codes == CODES.index(part)) for part in ("train", "test")), list[str]()
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
    # The paper's validation part.
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
    # Documents of the ModApte split, by ascending id.
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
    # Topics with a document in both parts, and the documents that have one.
    train, test = ({label for r in records if r.part == part for label in r.labels} for part in ("train", "test"))
    kept = train & test
    if not kept:
        raise UserError(f"{path} has no topic with a document in both train and test. Fetch the collection again.")
    labelled = (replace(r, labels=tuple(label for label in r.labels if label in kept)) for r in records)
    return sorted(kept), [record for record in labelled if record.labels]


def download(name: str, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Downloads Reuters-21578 into the cache; resumes an interrupted download.

    Args:
        name: `reuters`, the one set that can be fetched.
        progress: called with bytes done and bytes in all (0 if unknown).

    Returns:
        The archive's path. It appears there whole and checked, or not at all.

    Raises:
        UserError: no network, an answer that is no archive, the wrong content, or the disk is full.
    """
    check_writable()
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
        # Say how to continue.
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

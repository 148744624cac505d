"""A file is read once, into a folder of the cache: its documents as read, and beside them what is wrong with each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

from core.config.schema import FileConfig, SplitConfig
from core.data.corpus import FORMAT, Report, write_corpus
from core.data.draft import ZERO_WIDTH, Scanned
from core.data.readers import INDICATOR, Record, propose_encoding, read_documents, sentences, unit
from core.data.readers.encodings import BROKEN
from core.data.readers.separators import find_separators
from core.data.splits import usual_way
from core.system.errors import UserError
from core.system.files import atomic_path, write_json
from core.system.locks import is_locked, locked, try_lock
from core.system.places import cache_dir

SCAN = 1
"""Version of what `scan` writes: a change raises it."""
NAMES_WEIGHED = 20_000
"""Label names in which a separator is looked for that the first rows did not show."""


def scan(path: Path, file: FileConfig, report: Report | None = None) -> Path:
    """Reads a file into a folder of the cache for `examine` and `register`; an unchanged file only once.

    Raises:
        UserError: see `readers.read_documents`; no document at all; the disk is full.
    """
    folder = _intake() / _key(path, file)
    with _said(path), locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.joinpath("scan.json").is_file():
            with atomic_path(folder) as temporary:
                _scan(temporary, path, file, report)
    return folder


@contextmanager
def passing_scan(path: Path, file: FileConfig, report: Report | None = None) -> Iterator[Path]:
    """As `scan`, but the folder is gone at the end, with all that was made for it; one that was there before stays.

    Raises:
        UserError: see `scan`.
    """
    if kept := find_scan(path, file):
        yield kept
        return
    made = [folder for folder in (_intake(), *_intake().parents) if not folder.exists()]
    try:
        with _said(path):
            _intake().mkdir(parents=True, exist_ok=True)
            _remove_orphans()
            folder = Path(tempfile.mkdtemp(prefix=".passing.", dir=_intake()))
            lock = try_lock(folder / "lock")
        try:
            with _said(path):
                _scan(folder / "scan", path, file, report)
            yield folder / "scan"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)
    finally:
        for folder in made:
            with suppress(OSError):  # something else lies there by now
                folder.rmdir()


def _remove_orphans() -> None:
    """Removes folders of `passing_scan` whose process has died."""
    for folder in _intake().glob(".passing.*"):
        if folder.joinpath("lock").exists() and not is_locked(folder / "lock"):
            shutil.rmtree(folder, ignore_errors=True)


def _intake() -> Path:
    return cache_dir() / "data" / "intake"


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path.name} cannot be copied to {cache_dir() / 'data'}: {error.strerror or error}. Make room there, or "
            "name another folder in TAILSCOPE_CACHE."
        ) from None


def _scan(folder: Path, path: Path, file: FileConfig, report: Report | None) -> None:
    folder.mkdir()
    # Beside the documents: their lines, what is wrong with them, hashes of the text as it is and without its blanks.
    places, hashes, forms, marks = array("q"), array("Q"), array("Q"), bytearray()
    tally, told = Counter[str](), list[str]()

    def mended() -> Iterator[Record]:
        show_progress = partial(report, f"reading {path.name}") if report else None
        for place, record in read_documents(path, file, show_progress, tally, told.append):
            fields = (record.id, record.title, record.body, *record.labels)
            is_broken = any(BROKEN.search(field) or "\ufffd" in field for field in fields)
            if is_broken:
                mend = partial(BROKEN.sub, "\ufffd")
                labels = tuple(dict.fromkeys(map(mend, record.labels)))
                title, body = mend(record.title), mend(record.body)
                record = Record(mend(record.id), title, body, labels, record.part, record.unknown)
            text = f"{record.title}\n{record.body}".strip()
            is_unseen = not text.isascii() and bool(ZERO_WIDTH.search(text))
            places.append(place)
            marks.append(is_broken | record.unknown << 1 | is_unseen << 2)
            hashes.append(_hashed(text))
            forms.append(_hashed("".join((ZERO_WIDTH.sub("", text) if is_unseen else text).split())))
            yield record

    write_corpus(folder, (), mended())
    if not places:
        raise UserError(f"{path.name} holds no documents{' of these years' if file.years else ''}.")
    np.save(folder / "places.npy", np.frombuffer(places, np.int64), allow_pickle=False)
    np.save(folder / "hashes.npy", np.frombuffer(hashes, np.uint64), allow_pickle=False)
    np.save(folder / "forms.npy", np.frombuffer(forms, np.uint64), allow_pickle=False)
    np.save(folder / "marks.npy", np.frombuffer(marks, np.uint8), allow_pickle=False)
    proposed = propose_encoding(path, file) if any(mark & 1 for mark in marks) else None
    said = list(dict.fromkeys((*told, *sentences(file, tally))))
    encoding = proposed.encoding if proposed else ""
    about = {"unit": unit(file), "said": said, "has_ids": bool(file.id), "encoding": encoding}
    write_json(folder / "scan.json", about)


def _hashed(text: str) -> int:
    """A number for a text; 0 for an empty one."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) if text else 0


def missed_separators(folder: Path, file: FileConfig) -> tuple[str, ...]:
    """Separators inside the labels of a scanned file that its first rows did not show; empty where there are none."""
    if file.sep == INDICATOR or file.numbers != "names" or file.grouped:
        return ()
    scanned = Scanned(folder)
    often = np.argsort(-scanned.counts)[:NAMES_WEIGHED]
    found = find_separators([str(scanned.names[c]) for c in often for _ in range(min(3, int(scanned.counts[c])))])
    return tuple(sign for sign in found.accepted if sign not in (file.sep, *file.other_seps))


def usual_split(folder: Path, min_documents: int = 0) -> SplitConfig:
    """How a scanned file is divided where nothing is asked for: see `splits.usual_way`."""
    scanned = Scanned(folder)
    return SplitConfig(made=usual_way(scanned.codes, scanned.targets, min_documents), min_documents=min_documents)


def source_files(path: Path) -> list[Path]:
    """The file itself, or all files of a folder, sorted."""
    if not path.is_dir():
        return [path]
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(file for file in found if os.path.isfile(file))


def state_of(path: Path) -> list[tuple[str, int, int]]:
    """Paths, sizes and times of a file or of all files of a folder: they differ once one has changed.

    Raises:
        UserError: it cannot be read.
    """
    try:
        files = source_files(path)
        return [(os.path.realpath(one), (state := one.stat()).st_size, state.st_mtime_ns) for one in files]
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{str(path)[:200]} cannot be read: {words}. Check the path and its rights.") from None


def _key(path: Path, file: FileConfig) -> str:
    states = [state_of(one) for one in paths_of(path, file)]
    return hashlib.sha256(json.dumps([FORMAT, SCAN, states, file.model_dump()]).encode()).hexdigest()[:16]


def paths_of(path: Path, file: FileConfig) -> list[Path]:
    """The path itself and those of further parts."""
    return [path, *(Path(other) for _, other in file.others)]


def find_scan(path: Path, file: FileConfig) -> Path | None:
    """The folder that `scan` made of this file as it is now, if it has."""
    folder = _intake() / _key(path, file)
    return folder if folder.joinpath("scan.json").is_file() else None

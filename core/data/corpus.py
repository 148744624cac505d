"""A corpus: texts, labels sorted by training frequency, sparse targets and one split; written once, then mapped."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path
from typing import overload

import numpy as np
import scipy.sparse as sp

from core.config.schema import MOST_WRITTEN, ModelConfig
from core.data.readers import Record
from core.system.errors import UserError
from core.system.files import read_json, write_json

FORMAT = 3
"""Version of the prepared layout: a change of the layout or of what a reader gives raises it."""
PARTS = ("train", "validation", "test")
CODES = ("train", "test", "validation", "")
"""The part of each document stands in the prepared copy as its place here; the last is none."""
BLOCK = 1 << 16
"""Ids that are gathered before they become an array."""
COUNTED = 1 << 22
"""Entries that are counted at once: `bincount` makes a copy of 8 bytes for each."""
Report = Callable[[str, float], None]
Split = Callable[[np.ndarray, np.ndarray, sp.csr_array], tuple[dict[str, np.ndarray], tuple[str, ...]]]
"""From ids (N,), parts as they were written (N,) int8 and targets (N, L) to row numbers by part, and notes."""


class Texts(Sequence[str]):
    """Titles or bodies of a prepared corpus, decoded one at a time from a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._mapped: mmap | None = None
        if path.stat().st_size:
            with path.open("rb") as file:
                self._mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
        self._content = np.frombuffer(self._mapped or b"", np.uint8)
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

    def release(self) -> None:
        """Gives back the memory of what was read so far; it comes from the file again where it is read again."""
        if self._mapped is not None:
            self._mapped.madvise(MADV_DONTNEED)


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
        return count_columns(self.targets[self.parts["train"]])

    @cached_property
    def repeated_ids(self) -> frozenset[str]:
        """Ids that more than one document has."""
        ids: list[str] = self.ids.tolist()
        if len(set(ids)) == len(ids):
            return frozenset()
        return frozenset(str(name) for name, count in Counter(ids).items() if count > 1)

    def targets_of(self, part: str) -> sp.csr_array:
        """Targets of one part's documents, in the order of `parts[part]`."""
        return self.targets[self.parts[part]]

    def text(self, row: int) -> str:
        """Title, line break, body."""
        return f"{self.titles[row]}\n{self.bodies[row]}"

    def texts(self, rows: Iterable[int]) -> Iterator[str]:
        """The texts of some rows, one at a time."""
        return (self.text(int(row)) for row in rows)

    def release_texts(self) -> None:
        """Gives back the memory of the texts that were read so far: a run that has its features reads them no more."""
        for texts in (self.titles, self.bodies):
            if isinstance(texts, Texts):
                texts.release()


def write_corpus(
    folder: Path, names: Sequence[str], records: Iterable[Record], total: int = 0, report: Report | None = None
) -> str:
    """Writes the prepared layout into an empty folder, one record at a time.

    Args:
        folder: where `open_corpus` will find it.
        names: labels, in any order; one that is not among them is added where it first comes.
        records: documents; `part` is one of `CODES`.
        total: how many records there will be, for `report`.
        report: called with a phase in words and a fraction 0..1.

    Returns:
        SHA-256 of the content.
    """
    # Texts go to disk as they come; the rest is gathered in flat arrays.
    columns = {name: column for column, name in enumerate(names)}
    codes = {part: code for code, part in enumerate(CODES)}
    offsets = {"titles": array("q", [0]), "bodies": array("q", [0])}
    indptr, indices, parts = array("q", [0]), array("i"), bytearray()
    ids, blocks = list[str](), list[np.ndarray]()
    digest = hashlib.sha256()
    with folder.joinpath("titles.bin").open("wb") as titles, folder.joinpath("bodies.bin").open("wb") as bodies:
        for record in records:
            for key, file, text in (("titles", titles, record.title), ("bodies", bodies, record.body)):
                content = text.encode("utf-8")
                digest.update(content)
                offsets[key].append(offsets[key][-1] + file.write(content))
            indices.extend(columns.setdefault(label, len(columns)) for label in record.labels)
            indptr.append(len(indices))
            parts.append(codes[record.part])
            ids.append(record.id)
            if len(ids) == BLOCK:  # an array of them takes a third of the memory
                blocks.append(np.array(ids, np.str_))
                ids.clear()
            if report and len(parts) % 1000 == 0:
                report("preparing documents", len(parts) / total)
    # Write the arrays, then the manifest with the digest of everything.
    arrays: dict[str, np.ndarray] = {
        **{key: np.frombuffer(values, np.int64) for key, values in offsets.items()},
        "indptr": np.frombuffer(indptr, np.int64),
        "indices": np.frombuffer(indices, np.int32),
        "parts": np.frombuffer(parts, np.int8),
        "ids": np.concatenate([*blocks, np.array(ids, np.str_)]),
    }
    blocks.clear()
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values, allow_pickle=False)
        digest.update(np.ascontiguousarray(values).data)
    digest.update(json.dumps(list(columns)).encode())
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    write_json(folder / "manifest.json", {"sha256": digest.hexdigest(), "sizes": sizes, "labels": list(columns)})
    return digest.hexdigest()


def open_whole(folder: Path, name: str, split: str, source: str, parts_of: Split) -> Corpus | None:
    """As `open_corpus`; None if the prepared copy is not there or damaged."""
    try:
        sizes = read_json(folder / "manifest.json")["sizes"]
        if any(folder.joinpath(file).stat().st_size != size for file, size in sizes.items()):
            return None
        return open_corpus(folder, name, split, source, parts_of)
    except (UserError, OSError, KeyError, TypeError, AttributeError, ValueError):
        return None


def open_corpus(folder: Path, name: str, split: str, source: str, parts_of: Split) -> Corpus:
    """Maps a prepared copy; texts and indices stay on the disk until they are read.

    Args:
        folder: what `write_corpus` wrote.
        name: of the data set.
        split: name of the split, part of the fingerprint.
        source: where it comes from, in words.
        parts_of: makes the parts.
    """
    manifest = read_json(folder / "manifest.json")
    indptr, indices, codes, ids = (
        np.asarray(np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False))
        for key in ("indptr", "indices", "parts", "ids")
    )
    names = np.array(manifest["labels"], np.str_)
    ones, shape = np.ones(len(indices), np.bool_), (len(ids), len(names))
    unsorted = sp.csr_array((ones, indices, indptr), shape=shape)
    # The split, then labels by falling number of its train documents.
    parts, notes = parts_of(ids, codes, unsorted)
    counts = count_columns(unsorted[parts["train"]])
    order = np.lexsort((names, -counts))
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    targets = sp.csr_array((ones, rank[indices], indptr), shape=shape)
    targets.sort_indices()
    return Corpus(
        name=name,
        split=split,
        fingerprint=hashlib.sha256(f"{manifest['sha256']} {split}".encode()).hexdigest(),
        source=source,
        labels=tuple(names[order].tolist()),
        targets=targets,
        ids=ids,
        titles=Texts(folder / "titles.bin"),
        bodies=Texts(folder / "bodies.bin"),
        parts=parts,
        notes=notes,
    )


def count_columns(targets: sp.csr_array) -> np.ndarray:
    """Stored entries of each column, (L,) int64."""
    counts = np.zeros(targets.shape[1], np.int64)
    for start in range(0, len(targets.indices), COUNTED):
        counts += np.bincount(targets.indices[start : start + COUNTED], minlength=len(counts))
    return counts


def describe_large_sets(config: ModelConfig, sizes: np.ndarray) -> str:
    """A sentence where documents have more labels than a decoder writes; empty where none has.

    Args:
        config: of a decoder.
        sizes: labels of each train document, (N,).
    """
    most = config.max_labels
    longer = int((sizes > most).sum())
    if not longer:
        return ""
    largest = int(sizes.max())
    documents = "1 train document has" if longer == 1 else f"{longer:,} train documents have"
    advice = f"set model.max_labels={largest}, or " if largest <= MOST_WRITTEN else ""
    return (
        f"{documents} more than {most} labels (the most: {largest:,}), and model '{config.name}' writes at most "
        f"{most}, one after another: {advice}choose another model."
    )

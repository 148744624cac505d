"""Defects of a file of documents: a function finds each kind, a draft of the data set is mended or keeps them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from core.config.schema import SplitConfig
from core.data import splits
from core.data.corpus import Texts, count_columns
from core.system.errors import UserError
from core.system.files import read_json

LONG = 100_000
"""Bytes from which a text is called very long."""
EXAMPLES = 5
SHOWN = 80
"""Characters of an example."""
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
"""What can be done about each kind of defect; the first is done unless another is chosen."""


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
class Finding:
    """What a kind of defect concerns in one file.

    Attributes:
        places: rows of the scanned copy, or its label columns, (n,).
        examples: the first `EXAMPLES` of them, as text.
        advice: what the choice other than keeping does, or why it matters.
        changed: the rows or columns that this choice changes, (m,).
    """

    places: np.ndarray
    examples: tuple[str, ...]
    advice: str
    changed: np.ndarray


class Scanned:
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

    def show_document(self, row: int) -> str:
        """One document as an example."""
        text = re.sub(r"\s+", " ", f"{self.titles[row]} {self.bodies[row][: 2 * SHOWN]}").strip()
        return f"{self.unit} {self.places[row]}: {text[:SHOWN] or '(empty)'}"

    def show_label(self, column: int) -> str:
        """One label as an example."""
        return str(self.names[column])

    @cached_property
    def counts(self) -> np.ndarray:
        """Documents of each label, (L,)."""
        return count_columns(self.targets)

    @cached_property
    def spellings(self) -> dict[int, list[int]]:
        """Columns of labels that differ in form alone, the most frequent first, by the first of each group."""
        alike: dict[str, list[int]] = {}
        for column in np.lexsort((self.names, -self.counts)):
            form = " ".join(unicodedata.normalize("NFKC", str(self.names[column])).casefold().split())
            alike.setdefault(form, []).append(int(column))
        return {group[0]: group for group in alike.values() if len(group) > 1}


class Draft:
    """The data set that a scanned copy would make, as far as it has been decided; its methods decide more.

    Attributes:
        scanned: the copy.
        rows: documents of the copy that are kept, rising, (n,).
        codes: their parts, (n,): those that the file names until `divide` has made others.
        targets: their labels, (n, L); until `divide` those of the whole copy.
        columns: the column that each label of the copy counts as, (L,).
        lives: which columns are kept, (L,) bool.
        is_divided: whether `divide` has been called.
        split_notes: what is to be said about the parts.
        notes: what was left out or merged.
    """

    def __init__(self, scanned: Scanned) -> None:
        self.scanned = scanned
        self.rows = np.arange(len(scanned.codes))
        self.codes, self.targets = np.asarray(scanned.codes), scanned.targets
        self.columns = np.arange(len(scanned.names), dtype=np.int32)
        self.lives = np.ones(len(scanned.names), np.bool_)
        self.is_divided = False
        self.split_notes, self.notes = list[str](), list[str]()

    def leave_out_documents(self, rows: np.ndarray) -> None:
        """Leaves out documents by their rows in the copy."""
        is_left_out = np.zeros(len(self.scanned.codes), np.bool_)
        is_left_out[rows] = True
        kept = ~is_left_out[self.rows]
        self.rows, self.codes = self.rows[kept], self.codes[kept]
        if self.is_divided:
            self.targets = self.targets[kept]

    def merge_labels(self, firsts: np.ndarray) -> None:
        """Counts all spellings of a label as the most frequent one, which names the group."""
        for first in firsts.tolist():
            self.columns[self.scanned.spellings[first]] = first

    def leave_out_labels(self, columns: np.ndarray) -> None:
        """Leaves out labels by their columns in the copy."""
        self.lives[columns] = False

    def divide(self, split: SplitConfig) -> None:
        """Divides the documents into parts.

        Raises:
            UserError: no document is left, or see `splits.divide`.
        """
        if not len(self.rows):
            raise UserError("No document would be left: keep some of those with defects.")
        whole = len(self.rows) == len(self.scanned.codes)
        self.targets = _renamed(self.scanned.targets if whole else self.scanned.targets[self.rows], self.columns)
        self.codes, self.split_notes = splits.divide(split, self.codes, self.targets)
        self.is_divided = True

    def leave_out_rare(self, split: SplitConfig) -> None:
        """Leaves out labels without a document, and those with fewer train documents than the split asks for."""
        train = count_columns(self.targets[self.codes == splits.TRAIN])
        self.lives &= count_columns(self.targets) > 0
        rare = self.lives & (train < split.min_documents)
        self.lives &= ~rare
        if rare.any():
            least = split.min_documents
            self.notes.append(f"Labels with fewer than {least:,} train documents: {rare.sum():,}, left out.")

    def kept_labels(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the kept labels, sorted, and the place among them of each label of the copy, (L,), -1 for none.

        Raises:
            UserError: no label is left.
        """
        columns = np.where(self.lives[self.columns], self.columns, -1)
        names = sorted({str(self.scanned.names[first]) for first in np.unique(columns[columns >= 0])})
        if not names:
            raise UserError("No label would be left: ask for fewer documents of a label, or keep those with defects.")
        place = {name: column for column, name in enumerate(names)}
        of_copy = [place[str(self.scanned.names[column])] if column >= 0 else -1 for column in columns]
        return tuple(names), np.array(of_copy, np.int32)


def _renamed(targets: sp.csr_array, columns: np.ndarray) -> sp.csr_array:
    """Targets with each label counted as another; two that become one count once."""
    if np.array_equal(columns, np.arange(len(columns))):
        return targets
    arrays = targets.data.copy(), columns[targets.indices], targets.indptr.copy()
    renamed = sp.csr_array(arrays, shape=targets.shape)
    renamed.sum_duplicates()
    return renamed


# Defects of documents, as they stand in the file.


def _documents(draft: Draft, rows: np.ndarray, advice: str) -> Finding:
    return Finding(rows, tuple(map(draft.scanned.show_document, rows[:EXAMPLES].tolist())), advice, rows)


def empty_texts(draft: Draft) -> Finding:
    """Documents without title and body."""
    return _documents(draft, np.flatnonzero(draft.scanned.hashes == 0), "A model learns nothing from them.")


def without_labels(draft: Draft) -> Finding:
    """Documents without labels."""
    sizes = np.diff(draft.scanned.targets.indptr)
    return _documents(draft, np.flatnonzero(sizes == 0), "They count as negatives of every label.")


def broken_encodings(draft: Draft) -> Finding:
    """Documents with bytes that are no text in the file's encoding."""
    advice = "Bytes that are not of this encoding are kept as \ufffd; naming the right encoding mends them."
    return _documents(draft, np.flatnonzero(draft.scanned.broken), advice)


def long_texts(draft: Draft) -> Finding:
    """Documents of more than `LONG` bytes."""
    return _documents(draft, np.flatnonzero(draft.scanned.lengths > LONG), "Two documents may have been joined.")


def duplicates(draft: Draft) -> Finding:
    """Kept documents whose text is another's as well, but for one of each: of test, else validation, else the first."""
    has_text = draft.scanned.hashes[draft.rows] != 0
    rows = draft.rows[has_text]
    preferred = np.array([2, 0, 1, 2], np.int8)[draft.codes[has_text]]  # by place in `CODES`: test, validation, others
    ordered = rows[np.lexsort((rows, preferred))]
    first = ordered[np.unique(draft.scanned.hashes[ordered], return_index=True)[1]]
    return _documents(draft, np.setdiff1d(rows, first), "Dropping keeps one of each, a test document first.")


def similar_labels(draft: Draft) -> Finding:
    """Labels whose names differ only in case, blanks or Unicode form, as the most frequent spelling of each."""
    counts, groups = draft.scanned.counts, draft.scanned.spellings
    firsts = np.array(sorted(groups, key=lambda column: -counts[groups[column]].sum()), np.int64)
    examples = tuple(
        " = ".join(f"{draft.scanned.show_label(column)!r} ({counts[column]:,})" for column in groups[first])
        for first in firsts[:EXAMPLES].tolist()
    )
    return Finding(firsts, examples, "Merging counts them as the most frequent spelling.", firsts)


# Defects of the parts.


def leaks(draft: Draft) -> Finding:
    """Train documents whose text stands in another part as well."""
    hashes = draft.scanned.hashes[draft.rows]
    is_train, has_text = draft.codes == splits.TRAIN, hashes != 0
    is_leak = is_train & has_text & np.isin(hashes, hashes[~is_train & has_text])
    advice = "They make scores look better than they are; dropping takes them out of train."
    return _documents(draft, draft.rows[is_leak], advice)


# Defects of the labels that are left.


def single_document_labels(draft: Draft) -> Finding:
    """Labels with one document."""
    columns = np.flatnonzero(draft.lives & (count_columns(draft.targets) == 1))
    return _labels(draft, columns, "They can be learned or tested, not both.", columns)


def absent_labels(draft: Draft) -> Finding:
    """Labels without a document in a part that has documents; the choice concerns those without one in train."""
    lives = np.flatnonzero(draft.lives)
    missing = {
        part: np.intersect1d(of_part, lives) for part, of_part in splits.absent(draft.codes, draft.targets).items()
    }
    concerned = np.unique(np.concatenate([np.zeros(0, np.int64), *missing.values()]))
    few = int(np.sum(count_columns(draft.targets)[concerned] < len(missing)))
    detail = ", ".join(f"{len(of_part):,} in no {part} document" for part, of_part in missing.items() if len(of_part))
    why = f"{detail}; {few:,} have fewer documents than there are parts, so no split can help." if detail else ""
    advice = f"{why} Dropping leaves out those without train documents.".strip()
    return _labels(draft, concerned, advice, missing.get("train", concerned[:0]))


def _labels(draft: Draft, columns: np.ndarray, advice: str, changed: np.ndarray) -> Finding:
    return Finding(columns, tuple(map(draft.scanned.show_label, columns[:EXAMPLES].tolist())), advice, changed)


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Attributes:
        key: as in `CHOICES`.
        title: what it is, in words.
        find: what it concerns in a draft.
        mend: does what the choice other than keeping says, to what the finding has as `changed`.
        prepare: decides what of the draft must be decided before.
    """

    key: str
    title: str
    find: Callable[[Draft], Finding]
    mend: Callable[[Draft, np.ndarray], None]
    prepare: Callable[[Draft, SplitConfig], None] | None = None


DEFECTS = (
    Kind("empty_texts", "Documents without text", empty_texts, Draft.leave_out_documents),
    Kind("without_labels", "Documents without labels", without_labels, Draft.leave_out_documents),
    Kind("broken_encodings", "Documents with broken characters", broken_encodings, Draft.leave_out_documents),
    Kind("long_texts", f"Very long texts (over {LONG:,} bytes)", long_texts, Draft.leave_out_documents),
    Kind("duplicates", "Copies of an earlier document", duplicates, Draft.leave_out_documents),
    Kind(
        "similar_labels", "Labels that differ only in case, blanks or Unicode form", similar_labels, Draft.merge_labels
    ),
    Kind(
        "leaks",
        "Train documents that are also in another part",
        leaks,
        Draft.leave_out_documents,
        prepare=Draft.divide,
    ),
    Kind(
        "single_document_labels",
        "Labels with one document",
        single_document_labels,
        Draft.leave_out_labels,
        prepare=Draft.leave_out_rare,
    ),
    Kind("absent_labels", "Labels that are absent from a part", absent_labels, Draft.leave_out_labels),
)
"""In the order in which they are looked for: documents first, then parts of what is left of them, then labels."""

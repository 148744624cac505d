"""A scanned copy of a file, and the data set that it would make as far as that has been decided."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from core.config.schema import SplitConfig
from core.data import splits
from core.data.corpus import Texts, count_columns
from core.system.errors import UserError
from core.system.files import read_json

SHOWN = 80
"""Characters of an example."""
ZERO_WIDTH = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u00ad]|^[\u200c\u200d]+|[\u200c\u200d]+$")
"""Characters that are not seen; joiners inside a word are part of many scripts."""


def form_of(name: str) -> str:
    """What names have in common that differ in case, blanks, Unicode form, unseen or HTML characters alone."""
    plain = ZERO_WIDTH.sub("", html.unescape(name) if "&" in name else name)
    return " ".join(unicodedata.normalize("NFKC", plain).casefold().split())


class Scanned:
    """The arrays of a scanned copy; texts stay on the disk."""

    def __init__(self, folder: Path) -> None:
        self.titles, self.bodies = Texts(folder / "titles.bin"), Texts(folder / "bodies.bin")
        names = ("indptr", "indices", "parts", "ids", "places", "hashes", "forms", "marks", "titles", "bodies")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        self.codes, self.ids, self.places = arrays["parts"], arrays["ids"], arrays["places"]
        self.hashes, self.forms = np.asarray(arrays["hashes"]), np.asarray(arrays["forms"])
        marks = np.asarray(arrays["marks"])
        self.broken, self.unknown, self.zero_width = (marks & bit > 0 for bit in (1, 2, 4))
        self.lengths = np.diff(arrays["titles"]) + np.diff(arrays["bodies"])
        self.names = np.array(read_json(folder / "manifest.json")["labels"], np.str_)
        about = read_json(folder / "scan.json")
        self.unit, self.said, self.has_ids = about["unit"], tuple(about["said"]), about["has_ids"]
        self.encoding = about["encoding"]
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

    def labels_of(self, row: int) -> list[str]:
        """Names of one document's labels, as read."""
        start, end = self.targets.indptr[row : row + 2]
        return [str(self.names[column]) for column in self.targets.indices[start:end]]

    @cached_property
    def counts(self) -> np.ndarray:
        """Documents of each label, (L,)."""
        return count_columns(self.targets)

    @cached_property
    def spellings(self) -> dict[int, list[int]]:
        """Columns of labels that differ in form alone, the most frequent first, by the first of each group."""
        alike: dict[str, list[int]] = {}
        for column in np.lexsort((self.names, -self.counts)):
            alike.setdefault(form_of(str(self.names[column])), []).append(int(column))
        return {group[0]: group for group in alike.values() if len(group) > 1}


class Draft:
    """The data set that a scanned copy would make, as far as it has been decided; its methods decide more.

    Attributes:
        scanned: the copy.
        rows: documents of the copy that are kept, rising, (n,).
        codes: their parts, (n,): those that the file names until `divide` has made others.
        labels: labels of all documents of the copy, with those of joined copies, (N, L).
        targets: their labels, (n, L); until `divide` those of the whole copy.
        names: of the labels of the copy, (L,).
        columns: the column that each label of the copy counts as, (L,).
        lives: which columns are kept, (L,) bool.
        aside: documents of the copy that are in no part because some of their labels are unknown, (N,) bool.
        strips: whether characters that are not seen are taken out of texts.
        is_divided: whether `divide` has been called.
        split_notes: what is to be said about the parts.
        notes: what was left out or merged.
    """

    def __init__(self, scanned: Scanned) -> None:
        self.scanned = scanned
        self.rows = np.arange(len(scanned.codes))
        self.codes, self.labels = np.asarray(scanned.codes), scanned.targets
        self.targets = self.labels
        self.names = scanned.names.astype(object)
        self.columns = np.arange(len(scanned.names), dtype=np.int32)
        self.lives = np.ones(len(scanned.names), np.bool_)
        self.aside = scanned.unknown.copy()
        self.strips = self.is_divided = False
        self.split_notes, self.notes = list[str](), list[str]()

    def leave_out_documents(self, rows: np.ndarray) -> None:
        """Leaves out documents by their rows in the copy."""
        is_left_out = np.zeros(len(self.scanned.codes), np.bool_)
        is_left_out[rows] = True
        kept = ~is_left_out[self.rows]
        self.rows, self.codes = self.rows[kept], self.codes[kept]
        if self.is_divided:
            self.targets = self.targets[kept]

    def join_documents(self, rows: np.ndarray, onto: np.ndarray) -> None:
        """Gives the labels of documents to others, and leaves them out; both by their rows in the copy."""
        total = len(self.scanned.codes)
        sources, places = np.concatenate([np.arange(total), rows]), np.concatenate([np.arange(total), onto])
        ones = np.ones(len(sources), np.int32)
        joined = sp.csr_array((ones, (places, sources)), shape=(total, total)) @ self.labels.astype(np.int32)
        joined.sort_indices()
        self.labels = joined.astype(np.bool_)
        self.targets = self.labels
        self.leave_out_documents(rows)

    def count_as_negatives(self, rows: np.ndarray) -> None:
        """Counts unknown labels of documents as not set."""
        self.aside[rows] = False

    def strip_unseen(self, _: np.ndarray) -> None:
        """Takes characters that are not seen out of texts and names; labels that become alike are one."""
        self.strips = True
        places = {name: column for column, name in enumerate(self.names)}
        for column, name in enumerate(self.names):
            if (plain := ZERO_WIDTH.sub("", name).strip()) != name and plain:
                self.names[column] = plain
                self.columns[column] = self.columns[places.setdefault(plain, column)]

    def merge_labels(self, firsts: np.ndarray) -> None:
        """Counts all spellings of a label as the most frequent one, which names the group."""
        for first in firsts.tolist():
            self.columns[self.scanned.spellings[first]] = self.columns[first]

    def leave_out_labels(self, columns: np.ndarray) -> None:
        """Leaves out labels by their columns in the copy."""
        self.lives[columns] = False

    def sizes(self) -> np.ndarray:
        """Labels of each document of the copy that are kept, (N,)."""
        if self.lives.all():
            return np.diff(self.labels.indptr)
        return np.asarray(self.labels.astype(np.int32) @ self.lives.astype(np.int32))

    def divide(self, split: SplitConfig) -> None:
        """Divides the documents into parts; those aside are in none.

        Raises:
            UserError: no document is left, or see `splits.divide`.
        """
        if not len(self.rows):
            raise UserError("No document would be left: keep some of those with defects.")
        whole = len(self.rows) == len(self.scanned.codes)
        self.targets = _renamed(self.labels if whole else self.labels[self.rows], self.columns)
        aside = self.aside[self.rows]
        if aside.all():
            raise UserError(
                "Every document has labels that are unknown (-1): leave them out, or count them as negatives "
                "(--negative unknown_labels)."
            )
        if aside.any():
            parts, self.split_notes = splits.divide(split, self.codes[~aside], self.targets[~aside], self._live())
            self.codes = np.full(len(self.rows), splits.NONE, np.int8)
            self.codes[~aside] = parts
            words = f"{aside.sum():,} documents have labels that are unknown (-1): they are in no part."
            self.split_notes = [*self.split_notes, words]
        else:
            self.codes, self.split_notes = splits.divide(split, self.codes, self.targets, self._live())
        self.is_divided = True

    def _live(self) -> np.ndarray:
        """Columns that may be kept, (L,) bool."""
        live = np.zeros(len(self.columns), np.bool_)
        live[self.columns[self.lives[self.columns]]] = True
        return live

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
        names = sorted({str(self.names[first]) for first in np.unique(columns[columns >= 0])})
        if not names:
            raise UserError("No label would be left: ask for fewer documents of a label, or keep those with defects.")
        place = {name: column for column, name in enumerate(names)}
        of_copy = [place[str(self.names[column])] if column >= 0 else -1 for column in columns]
        return tuple(names), np.array(of_copy, np.int32)


def _renamed(targets: sp.csr_array, columns: np.ndarray) -> sp.csr_array:
    """Targets with each label counted as another; two that become one count once."""
    if np.array_equal(columns, np.arange(len(columns))):
        return targets
    arrays = targets.data.copy(), columns[targets.indices], targets.indptr.copy()
    renamed = sp.csr_array(arrays, shape=targets.shape)
    renamed.sum_duplicates()
    return renamed

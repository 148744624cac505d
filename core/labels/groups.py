"""Frequency groups: which labels are head, medium and tail, and how many documents each label has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from core.system.errors import UserError

FREQUENCY_GROUPS = ("head", "medium", "tail")


@dataclass(frozen=True)
class Borders:
    """Frequency groups by a label's number n of training documents: head n >= `head`, tail n <= `tail`, else medium.

    Raises:
        UserError: a border is negative, or the groups overlap.
    """

    head: int = 35
    tail: int = 8

    def __post_init__(self) -> None:
        if self.tail >= self.head or self.tail < 0:
            raise UserError(
                f"Borders that make no sense: head from {self.head} documents, tail up to {self.tail}. "
                "Neither may be negative, and the head must begin above the tail."
            )


def default_borders(n_labels: int) -> Borders:
    """The borders of Huang et al., EMNLP 2021: those of Reuters up to 1,000 labels, those of PubMed above."""
    return Borders(35, 8) if n_labels <= 1000 else Borders(50, 15)


def indicator(matrix: sp.csr_array) -> sp.csr_array:
    """The same array as bool, each entry stored once and True; `matrix` itself where it is so already."""
    if matrix.dtype == np.bool_ and matrix.has_canonical_format and matrix.data.all():
        return matrix
    copy = sp.csr_array(matrix, dtype=np.bool_, copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy


def count_documents(targets: sp.csr_array) -> np.ndarray:
    """Documents of each label, (L,) int64."""
    return np.bincount(indicator(targets).indices, minlength=targets.shape[1]).astype(np.int64)


def rows_with(matrix: sp.csr_array, column: int) -> np.ndarray:
    """Whether each row has a label, (n,) bool; no other column is copied."""
    clean = indicator(matrix)
    held = np.zeros(clean.shape[0], np.bool_)
    held[np.searchsorted(clean.indptr, np.flatnonzero(clean.indices == column), side="right") - 1] = True
    return held


def group_of(counts: np.ndarray, borders: Borders) -> np.ndarray:
    """Frequency group of each label, (L,) str; a label without training documents is in the tail."""
    counts = np.asarray(counts)
    return np.select([counts >= borders.head, counts <= borders.tail], ["head", "tail"], "medium")


def group_sizes(counts: np.ndarray, borders: Borders) -> dict[str, int]:
    """Number of labels in each frequency group."""
    groups = group_of(counts, borders)
    return {group: int(np.sum(groups == group)) for group in FREQUENCY_GROUPS}


def rank_by_frequency(counts: np.ndarray) -> np.ndarray:
    """Rank of each label, (L,) int64: 1 is the most frequent, ties in column order."""
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-np.asarray(counts), kind="stable")] = np.arange(1, len(counts) + 1)
    return ranks

"""Frequency groups: which labels are head, medium and tail or have no document, and how many documents each has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from core.system.errors import UserError

FREQUENCY_GROUPS = ("head", "medium", "tail")
UNSEEN = "no train document"
"""The group of labels that training never shows, where `Borders.unseen_apart` keeps them out of the tail."""
EVERY_GROUP = (*FREQUENCY_GROUPS, UNSEEN)
PAPER_SETS = ("reuters", "pubmed")
"""Data sets of Huang et al., EMNLP 2021, whose borders and numbers hold for sets that are named so."""


@dataclass(frozen=True)
class Borders:
    """Frequency groups by a label's number n of training documents: head n >= `head`, tail n <= `tail`, else medium.

    Attributes:
        head: the least n of the head.
        tail: the largest n of the tail.
        unseen_apart: labels of n = 0 are a group of their own, `UNSEEN`; else they are in the tail, as in the paper.

    Raises:
        UserError: a border is negative, or the groups overlap.
    """

    head: int = 35
    tail: int = 8
    unseen_apart: bool = False

    def __post_init__(self) -> None:
        if self.tail >= self.head or self.tail < 0:
            raise UserError(
                f"Borders that make no sense: head from {self.head} documents, tail up to {self.tail}. "
                "Neither may be negative, and the head must begin above the tail."
            )

    def moved(self, *, head: int | None = None, tail: int | None = None) -> Borders:
        """The same with another head or tail, where these are given; `UserError` as above."""
        return replace(self, head=self.head if head is None else head, tail=self.tail if tail is None else tail)

    def as_json(self) -> dict[str, int]:
        """What `Borders(**...)` reads again; as older versions wrote it where the tail holds labels of n = 0."""
        return {"head": self.head, "tail": self.tail, **({"unseen_apart": True} if self.unseen_apart else {})}


def find_paper_set(name: str) -> str:
    """The data set of the paper that a name stands for, of `PAPER_SETS`; empty of any other."""
    return next((known for known in PAPER_SETS if name == known or name.startswith(f"{known}-")), "")


def default_borders(name: str, counts: Sequence[int] | np.ndarray) -> Borders:
    """The borders of a data set where nobody chose any: the paper's of its own sets, thirds of the labels elsewhere.

    Args:
        name: of the data set.
        counts: training documents of each label, (L,).
    """
    return paper_borders(len(counts)) if find_paper_set(name) else cut_thirds(counts)


def paper_borders(n_labels: int) -> Borders:
    """The borders of Huang et al., EMNLP 2021: those of Reuters up to 1,000 labels, those of PubMed above."""
    return Borders(35, 8) if n_labels <= 1000 else Borders(50, 15)


def cut_thirds(counts: Sequence[int] | np.ndarray) -> Borders:
    """Borders between thirds of the labels that have training documents; the others are a group of their own.

    Labels with as many documents stay together: the head ends, and the tail begins, between two counts, where that is
    nearest to a third of the labels. Neither is empty, unless all labels have as many documents: all are medium then.
    """
    known = np.sort(np.asarray(counts, np.int64))[::-1]
    known = known[known > 0]
    if not len(known):
        return Borders(1, 0, unseen_apart=True)
    # Where one count ends and the next begins.
    ends = np.flatnonzero(known[1:] < known[:-1]) + 1
    if not len(ends):
        return Borders(int(known[0]) + 1, int(known[0]) - 1, unseen_apart=True)
    head = int(ends[np.argmin(np.abs(3 * ends - len(known)))])
    rest = ends[ends >= head]
    tail = int(rest[np.argmin(np.abs(3 * rest - 2 * len(known)))])
    return Borders(int(known[head - 1]), int(known[tail]), unseen_apart=True)


def describe_borders(borders: Borders) -> str:
    """Which labels are in which group, in a sentence."""
    unseen = ", and labels without any are a group of their own" if borders.unseen_apart else ""
    return f"Head labels have {borders.head:,} train documents or more, tail labels {borders.tail:,} or fewer{unseen}."


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


def group_of(counts: Sequence[int] | np.ndarray, borders: Borders) -> np.ndarray:
    """Frequency group of each label, (L,) str; one without training documents is in the tail, or in `UNSEEN`."""
    counts = np.asarray(counts)
    unseen = (counts == 0) & borders.unseen_apart
    return np.select([unseen, counts >= borders.head, counts <= borders.tail], [UNSEEN, "head", "tail"], "medium")


def group_sizes(counts: Sequence[int] | np.ndarray, borders: Borders) -> dict[str, int]:
    """Number of labels in each of `FREQUENCY_GROUPS`, empty ones too, then in `UNSEEN` where there are such labels.

    In this order the groups follow one another down the ranks.
    """
    groups = group_of(counts, borders)
    sizes = {group: int(np.sum(groups == group)) for group in EVERY_GROUP}
    return sizes if sizes[UNSEEN] else {group: sizes[group] for group in FREQUENCY_GROUPS}


def rank_by_frequency(counts: np.ndarray) -> np.ndarray:
    """Rank of each label, (L,) int64: 1 is the most frequent, ties in column order."""
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-np.asarray(counts), kind="stable")] = np.arange(1, len(counts) + 1)
    return ranks

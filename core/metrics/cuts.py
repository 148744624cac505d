"""Scores as threshold rules read them: pooled or label by label, with the cuts between them, and folds of documents."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from core.labels.groups import count_documents, indicator

FOLDS = 5


def best_cut(values: np.ndarray, hits: np.ndarray, positives: int) -> float:
    """The cut of best F1, from all scores and those of true labels, each rising."""
    if not len(hits):
        return float(values[-1]) if len(values) else 0.5
    # The best cut lies just below a true label's score: from there on down come errors alone.
    lowest = hits[np.append(True, hits[1:] != hits[:-1])]
    above = [len(part) - np.searchsorted(part, lowest, side="left") for part in (hits, values)]
    f1 = 2 * above[0] / (above[1] + positives)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    high, below = lowest[best], len(values) - above[1][best]
    if not below:
        return float(np.nextafter(high, -np.inf))
    return middle_of(values[below - 1], high)


def middle_of(low: float, high: float) -> float:
    """Midway between two scores, float64; the lower one where there is no number between them."""
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


def sorted_scores(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All scores, and those of true labels, each rising, float64."""
    values, hits = read_scores(targets, scores)
    return np.sort(values), np.sort(values[hits])


def read_scores(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The E stored scores, row by row, float64 (which holds every float16 and float32), and where the label is true.

    Raises:
        ValueError: scores that are not finite.
    """
    true = indicator(targets)
    if isinstance(scores, sp.csr_array):
        values, hits = scores.data.astype(np.float64), np.zeros(scores.nnz, np.bool_)
        places = sp.csr_array((np.arange(1, len(values) + 1), scores.indices, scores.indptr), shape=scores.shape)
        hits[true.multiply(places).tocsr().data - 1] = True
    else:
        values, hits = scores.astype(np.float64).ravel(), true.toarray().ravel()
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} scores are not finite")
    return values, hits


def sort_keys(values: np.ndarray, *, falling: bool = False) -> np.ndarray:
    """Keys that rise as scores do, or fall: of 16 bits, which sort far faster, where float16 holds all scores."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not (half == values).all():
        return -values if falling else values
    bits = half.view(np.uint16)
    bits[bits == 0x8000] = 0  # -0 is 0
    keys = np.where(bits >= 0x8000, ~bits, bits | 0x8000)
    return ~keys if falling else keys


def order_by_label(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The order of scores by label, rising, then by score, falling; equals stay as they are."""
    keys = sort_keys(values, falling=True)
    if keys.dtype != np.uint16 or (len(labels) and labels.max() > np.iinfo(np.uint16).max):
        return np.lexsort((keys, labels))
    order = np.argsort(keys, kind="stable")
    return order[np.argsort(labels[order].astype(np.uint16), kind="stable")]


def order_by_document(scores: sp.csr_array) -> np.ndarray:
    """The order of stored scores by document, then falling; of equals the lower column first."""
    rows, keys = document_rows(scores), sort_keys(scores.data, falling=True)
    if keys.dtype != np.uint16 or scores.shape[0] > np.iinfo(np.uint16).max + 1 or not scores.has_sorted_indices:
        return np.lexsort((scores.indices, keys, rows))
    order = np.argsort(keys, kind="stable")
    return order[np.argsort(rows[order].astype(np.uint16), kind="stable")]


class CrossFit:
    """The rule `exact` in cross-fitting, for any scores of the same pairs: what these share is read once.

    Args:
        targets: (n, L).
        scores: (n, L), of which the places of the stored ones are read.
    """

    def __init__(self, targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> None:
        _, hits = read_scores(targets, scores)
        sizes, folds = np.diff(indicator(targets).indptr), make_folds(targets.shape[0])
        fold_of_row = np.zeros(targets.shape[0], np.int64)
        for number, (_, held) in enumerate(folds):
            fold_of_row[held] = number
        # True pairs of all documents and of those that each fold leaves; of each pair its fold, and whether it is true.
        self._positives = int(sizes.sum())
        self._left = [int(sizes[rest].sum()) for rest, _ in folds]
        self._parts = 2 * fold_of_row[document_rows(scores)] + hits

    def f1(self, values: np.ndarray) -> float:
        """Micro-F1, each fold at the threshold of the others; 0 of fewer than `FOLDS` documents.

        Args:
            values: the stored scores, row by row, (E,), finite.
        """
        if not self._left:
            return 0.0
        # Wrong and true pairs of each fold at each score: float16 has few numbers, and nothing is sorted.
        levels, places = _find_levels(values)
        width = len(levels)
        counted = np.bincount(self._parts * width + places, minlength=2 * FOLDS * width).reshape(FOLDS, 2, width)
        # The same at or above each score, and above all.
        above = np.zeros((FOLDS, 2, width + 1), np.int64)
        above[..., :width] = np.cumsum(counted[..., ::-1], axis=2)[..., ::-1]
        in_all, right, wrong = counted.sum(axis=0), 0, 0
        for held, held_above, positives in zip(counted, above, self._left, strict=True):
            wrong_left, true_left = in_all - held
            limit = _best_cut_of_levels(levels, wrong_left, true_left, positives)
            false, true = held_above[:, np.searchsorted(levels, limit, side="right")]
            right, wrong = right + int(true), wrong + int(false)
        return 2 * right / max(right + wrong + self._positives, 1)


def _find_levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rising numbers, float64, that hold every score, and the place of each score among them, (E,)."""
    keys = sort_keys(values)
    if keys.dtype != np.uint16 or not len(keys):
        levels, places = np.unique(keys, return_inverse=True)
        return levels.astype(np.float64), places
    lowest = keys.min()
    between = np.arange(lowest, int(keys.max()) + 1, dtype=np.uint16)
    bits = np.where(between >= 0x8000, between & 0x7FFF, ~between)  # as `sort_keys`, the other way
    return bits.view(np.float16).astype(np.float64), keys - lowest


def _best_cut_of_levels(levels: np.ndarray, false: np.ndarray, true: np.ndarray, positives: int) -> float:
    """`best_cut` of scores that are counted at each of some levels."""
    stored, places = np.flatnonzero(false + true), np.flatnonzero(true)
    if not len(places):
        return float(levels[stored[-1]]) if len(stored) else 0.5
    tp, given = (np.cumsum(part[::-1])[::-1][places] for part in (true, false + true))
    f1 = 2 * tp / (given + positives)
    best = int(places[len(f1) - 1 - int(np.argmax(f1[::-1]))])
    below = stored[: np.searchsorted(stored, best)]
    return middle_of(levels[below[-1]], levels[best]) if len(below) else float(np.nextafter(levels[best], -np.inf))


def label_columns(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """The label of each stored score, row by row, (E,)."""
    if isinstance(scores, sp.csr_array):
        return scores.indices
    return np.tile(np.arange(scores.shape[1]), scores.shape[0])


def document_rows(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """The document of each stored score, row by row, (E,)."""
    stored = np.diff(scores.indptr) if isinstance(scores, sp.csr_array) else scores.shape[1]
    return np.repeat(np.arange(scores.shape[0]), stored)


def make_folds(documents: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that stay and rows that are held out, `FOLDS` times; none of fewer documents than folds."""
    order = np.random.default_rng(0).permutation(documents)
    folds = []
    for part in np.array_split(order, FOLDS) if documents >= FOLDS else []:
        is_held = np.zeros(documents, np.bool_)
        is_held[part] = True
        folds.append((np.flatnonzero(~is_held), np.flatnonzero(is_held)))
    return folds


class LabelCuts:
    """Every label's scores, falling, and what a cut below each of them predicts.

    What is counted from the top of each label is counted when it is asked for.

    Attributes:
        labels: of each entry, rising, (E,).
        values: the scores, falling within a label, (E,) float64.
        hits: the label is true there, (E,) bool.
        positives: true documents of each label, (L,).
        rows: the document of each entry, (E,).
    """

    def __init__(self, targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> None:
        labels, (values, hits) = label_columns(scores), read_scores(targets, scores)
        order = order_by_label(labels, values)
        self._true, self.positives = indicator(targets), count_documents(targets)
        self.labels, self.values, self.hits = labels[order], values[order], hits[order]
        self.rows = document_rows(scores)[order]

    def among(self, documents: np.ndarray) -> LabelCuts:
        """The same of some documents alone, which takes no other sort; `documents`: which they are, (n,) bool."""
        part, kept = object.__new__(LabelCuts), np.flatnonzero(documents[self.rows])
        true = self._true.indices[np.repeat(documents, np.diff(self._true.indptr))]
        part._true, part.positives = self._true, np.bincount(true, minlength=len(self.positives))
        part.labels, part.values, part.hits, part.rows = (
            one[kept] for one in (self.labels, self.values, self.hits, self.rows)
        )
        return part

    @cached_property
    def starts(self) -> np.ndarray:
        """The first entry of each label, (L + 1,)."""
        return np.searchsorted(self.labels, np.arange(len(self.positives) + 1))

    @cached_property
    def tp(self) -> np.ndarray:
        """Hits of the label down to and with each entry, (E,)."""
        counted = np.cumsum(self.hits)
        counted -= (counted - self.hits)[self.starts[self.labels]]
        return counted

    @cached_property
    def given(self) -> np.ndarray:
        """Entries of the label down to and with each, (E,)."""
        return np.arange(len(self.values)) - self.starts[self.labels] + 1

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.append(self.labels[1:] != self.labels[:-1], True)[: len(self.values)]

    @cached_property
    def _below(self) -> np.ndarray:
        return np.append(self.values[1:], -np.inf)[: len(self.values)]

    @cached_property
    def last(self) -> np.ndarray:
        """No entry of the label below has the same score, (E,) bool: only there can a cut be."""
        return self._ends | (self._below != self.values)

    @cached_property
    def middles(self) -> np.ndarray:
        """Thresholds between each entry and the label's next lower one, (E,)."""
        # A cut lies midway between two scores, and below the lowest one as near as floats allow.
        low = np.where(self._ends, self.values, self._below)
        middle = low + (self.values - low) / 2
        middle = np.where(middle < self.values, middle, low)
        lowest = self.starts[1:][np.diff(self.starts) > 0] - 1
        middle[lowest] = np.nextafter(self.values[lowest], -np.inf)
        return middle

    def first_best(self, quality: np.ndarray, entries: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Each label's entry of the highest quality, the uppermost of equals (-1 of none), and that quality.

        Args:
            quality: of each entry, (E,), or of some.
            entries: which they are, rising; all of them if None.
        """
        labels = self.labels if entries is None else self.labels[entries]
        starts = self.starts if entries is None else np.searchsorted(labels, np.arange(len(self.starts)))
        best, filled = np.full(len(starts) - 1, -np.inf), np.diff(starts) > 0
        entry = np.full(len(best), -1)
        if not len(quality):
            return entry, best
        best[filled] = np.maximum.reduceat(quality, starts[:-1][filled])
        reached = np.flatnonzero(quality == best[labels])[::-1]
        entry[labels[reached]] = reached if entries is None else entries[reached]
        return entry, best

    def errors(self, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """True positives, false positives and false negatives of each label at thresholds.

        Args:
            limits: a threshold for each label, (L,), or several, (..., L).

        Returns:
            Three of the shape of `limits`.
        """
        above, filled = self.values > limits[..., self.labels], np.diff(self.starts) > 0
        given, tp = np.zeros((2, *limits.shape), np.int64)
        if filled.any():
            first = self.starts[:-1][filled]
            for counted, part in ((given, above), (tp, above & self.hits)):
                counted[..., filled] = np.add.reduceat(part, first, axis=-1, dtype=np.int64)
        return tp, given - tp, self.positives - tp

    def highest(self) -> np.ndarray:
        """The highest score of each label, above which nothing is predicted, (L,); infinity where none is stored."""
        found, filled = np.full(len(self.positives), np.inf), np.diff(self.starts) > 0
        found[filled] = self.values[self.starts[:-1][filled]]
        return found

"""Scores of rankings: precision, recall, nDCG and propensity-scored precision at k, mAP, LRAP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from core.labels.groups import count_documents, indicator
from core.metrics.cuts import order_by_document, order_by_label, sort_keys
from core.metrics.label_sets import divide, mean_or_zero

ENTRIES = 4_000_000
"""Scores that are sorted at a time."""


@dataclass(frozen=True)
class Ranking:
    """The K highest scores of each of n documents, the highest first; of equal scores the lower column first.

    Attributes:
        columns: (n, K) int64; -1 where fewer than K scores are stored.
        hits: (n, K) bool: that label is true.
        sizes: labels of each document, (n,) int64.
    """

    columns: np.ndarray
    hits: np.ndarray
    sizes: np.ndarray


def rank_labels(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, k: int) -> Ranking:
    """The first k labels of every document.

    Raises:
        ValueError: shapes that differ, or k below 1.
    """
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    documents, labels = targets.shape
    columns = np.full((documents, k), -1, np.int64)
    # The order within each document, by a stable sort: ties keep the order of columns.
    if isinstance(scores, sp.csr_array):
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        order = order_by_document(scores)
        place = np.arange(len(rows)) - scores.indptr[rows]
        first = place < k
        columns[rows[first], place[first]] = scores.indices[order][first]
    else:
        step = max(ENTRIES // max(labels, 1), 1)
        for start in range(0, documents, step):
            block = sort_keys(scores[start : start + step].astype(np.float32), falling=True)
            best = np.argsort(block, axis=1, kind="stable")[:, :k]
            columns[start : start + step, : best.shape[1]] = best
    # Which of these labels are true.
    places = np.repeat(np.arange(documents), k).reshape(documents, k)
    hits = (columns >= 0) & contains(targets, places, np.maximum(columns, 0))
    return Ranking(columns, hits, np.diff(indicator(targets).indptr).astype(np.int64))


def contains(matrix: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether each (row, column) is a stored non-zero of the matrix, bool of the shape of `rows`."""
    there = indicator(matrix)
    width = there.shape[1]
    stored = np.repeat(np.arange(there.shape[0]), np.diff(there.indptr)) * np.int64(width) + there.indices
    wanted = rows * np.int64(width) + columns
    place = np.minimum(np.searchsorted(stored, wanted), max(len(stored) - 1, 0))
    return stored[place] == wanted if len(stored) else np.zeros(wanted.shape, np.bool_)


def precision_at(ranking: Ranking, k: int) -> float:
    """P@k: mean of hits among the first k, divided by k; documents without labels count as 0."""
    return mean_or_zero(ranking.hits[:, :k].sum(axis=1) / k)


def recall_at(ranking: Ranking, k: int) -> float:
    """R@k: mean of hits among the first k, divided by the document's labels; 0 where it has none."""
    return mean_or_zero(divide(ranking.hits[:, :k].sum(axis=1), ranking.sizes))


def r_precision_at(ranking: Ranking, k: int) -> float:
    """RP@k: mean of hits among the first k, divided by min(k, the document's labels); 0 where it has none."""
    return mean_or_zero(divide(ranking.hits[:, :k].sum(axis=1), np.minimum(ranking.sizes, k)))


def ndcg_at(ranking: Ranking, k: int) -> float:
    """nDCG@k with gain 1 and discount 1 / log2(place + 1), divided by the best possible; 0 for no labels."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = ranking.hits[:, :k] @ discount[: ranking.hits[:, :k].shape[1]]
    best = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(ranking.sizes, k)]
    return mean_or_zero(np.where(ranking.sizes > 0, gained / best, 0.0))


RANKINGS: dict[str, Callable[[Ranking, int], float]] = {
    "p": precision_at,
    "r": recall_at,
    "rp": r_precision_at,
    "ndcg": ndcg_at,
}
"""By name: function of a ranking and k, 0 to 1, higher is better."""


def inverse_propensities(counts: np.ndarray, documents: int, *, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """1 / p_l = 1 + C (n_l + B)^-A with C = (ln N - 1) (B + 1)^A, (L,): what a hit on a rare label is worth.

    Source: Jain, Prabhu & Varma, KDD 2016.
    """
    c = (np.log(max(documents, 3)) - 1) * (b + 1) ** a
    return 1 + c * (np.asarray(counts, np.float64) + b) ** -a


def propensity_scores_at(ranking: Ranking, targets: sp.csr_array, weights: np.ndarray, k: int) -> tuple[float, float]:
    """PSP@k and PSnDCG@k: hits weighted by `inverse_propensities`, divided by the best that was possible.

    Both sums run over all documents before the division, as in the authors' code; 0 if no document has a label.
    """
    true, columns = indicator(targets), np.maximum(ranking.columns[:, :k], 0)
    width = columns.shape[1]
    gained = np.where(ranking.hits[:, :k], weights[columns], 0.0) if len(weights) else np.zeros(columns.shape)
    rows = np.repeat(np.arange(true.shape[0]), np.diff(true.indptr))
    order = np.lexsort((-weights[true.indices], rows))
    place = np.arange(len(rows)) - true.indptr[rows]
    first = place < k
    best = np.zeros((true.shape[0], k))
    best[rows[first], place[first]] = weights[true.indices][order][first]
    discount = 1 / np.log2(np.arange(2, k + 2))
    # each document's best DCG is divided by that of k (or all of its) places, so that both sums weigh it alike
    ideal = np.cumsum(discount)[np.clip(np.minimum(ranking.sizes, k), 1, k) - 1]
    precision, gain = best.sum(), (best @ discount / ideal).sum()
    return (
        float(gained.sum() / precision) if precision else 0.0,
        float((gained @ discount[:width] / ideal).sum() / gain) if gain else 0.0,
    )


def average_precisions(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """Average precision of each label over the documents, (L,); NaN for a label that no document here has."""
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    documents, labels = targets.shape
    if isinstance(scores, sp.csr_array):
        rows, columns = np.repeat(np.arange(documents), np.diff(scores.indptr)), scores.indices
        return _average_precision(columns, scores.data, contains(targets, rows, columns), count_documents(targets))
    found, true = np.full(labels, np.nan), indicator(targets)
    step = max(ENTRIES // max(documents, 1), 1)
    for start in range(0, labels, step):
        part = true[:, start : start + step].toarray()
        columns = np.tile(np.arange(part.shape[1]), documents)
        values = scores[:, start : start + step].ravel()
        found[start : start + step] = _average_precision(columns, values, part.ravel(), part.sum(axis=0))
    return found


def mean_average_precision(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """mAP: mean of the labels' average precisions, 0 for a label that no document here has; 0 of no labels."""
    return mean_or_zero(np.nan_to_num(average_precisions(targets, scores)))


def label_ranking_average_precision(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """LRAP: mean of the documents' average precisions over their labels, 1 for one without labels; 0 of none."""
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    documents, labels = targets.shape
    true = indicator(targets)
    sizes = np.diff(true.indptr)
    if isinstance(scores, sp.csr_array):
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        found = _average_precision(rows, scores.data, contains(true, rows, scores.indices), sizes)
    else:
        # Dense scores, a block of documents at a time.
        found, step = np.full(documents, np.nan), max(ENTRIES // max(labels, 1), 1)
        for start in range(0, documents, step):
            part = true[start : start + step].toarray()
            found[start : start + step] = _average_precision(
                np.repeat(np.arange(len(part)), labels),
                scores[start : start + step].ravel(),
                part.ravel(),
                sizes[start : start + step],
            )
    return mean_or_zero(np.where(sizes > 0, found, 1.0))


def _average_precision(segments: np.ndarray, values: np.ndarray, hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Mean over a segment's true entries of the share of hits among all that score at least as high; NaN of none."""
    order = order_by_label(segments, values)
    segments, values, hits = segments[order], values[order], hits[order]
    starts = np.searchsorted(segments, np.arange(len(positives)))
    last = np.append((segments[1:] != segments[:-1]) | (values[1:] != values[:-1]), True)[: len(segments)]
    ends = np.flatnonzero(last)[np.cumsum(last) - last]
    tp = np.concatenate([[0], np.cumsum(hits)])
    precision = (tp[ends + 1] - tp[starts[segments]]) / (ends + 1 - starts[segments])
    summed = np.bincount(segments, weights=precision * hits, minlength=len(positives))
    return summed / np.where(positives > 0, positives, np.nan)

"""How much of a ranking's scores is chance: average precision and P@k on resampled test documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from core.labels.groups import FREQUENCY_GROUPS, Borders, count_documents, group_of, indicator
from core.metrics.ranking import ENTRIES, contains, rank_labels

CUTS = (1, 3, 5)
COLUMNS = (*(f"{group}/ap" for group in ("all", *FREQUENCY_GROUPS)), *(f"p/{k}" for k in CUTS))
"""What is resampled: macro average precision over all labels and by frequency group, and P@k."""

Sorted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Documents, labels, scores and whether that label is true, by label and from the highest score down."""


def resample_ranking(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    counts: np.ndarray,
    borders: Borders,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of `COLUMNS`, and the same on resampled documents.

    A resample moves a label's average precision by what each document moves it, times how often it is drawn beyond
    once: the first term of the bootstrap, which needs one sort of the scores for all resamples. Where none of its
    documents is drawn a label has 0, as in `uncertainty.bootstrap`.

    Args:
        targets: (n, L).
        scores: (n, L).
        counts: training documents of each label, (L,).
        borders: between head, medium and tail.
        weights: `uncertainty.resample(n)`, (folds, n).

    Returns:
        (columns,) and (folds, columns) float64; NaN where a group has no label, or there is no document. The average
        precision of a label that no document here has counts as 0.

    Raises:
        ValueError: shapes that differ.

    Source: the infinitesimal jackknife, Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982.
    """
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    documents, labels = targets.shape
    found, samples = np.full(len(COLUMNS), np.nan), np.full((len(weights), len(COLUMNS)), np.nan)
    if not documents or not labels:
        return found, samples
    # Average precision: each label's on a block of resamples, then the mean over each group.
    groups = group_of(counts, borders)
    masks = [np.ones(labels, np.bool_), *(groups == group for group in FREQUENCY_GROUPS)]
    precisions, moves = average_precision_moves(targets, scores)
    true, by_label = sp.csr_array(indicator(targets).T, dtype=np.float32), sp.csr_array(moves.T, dtype=np.float32)
    if not isinstance(scores, sp.csr_array):
        by_label = by_label.toarray()
    for place, mask in enumerate(masks):
        if mask.any():
            found[place] = precisions[mask].mean()
    step = max(ENTRIES // labels, 1)
    for start in range(0, len(weights), step):
        drawn = np.ascontiguousarray(weights[start : start + step].T)
        each = np.where(true @ drawn > 0, precisions[:, None] + by_label @ (drawn - 1), 0.0)
        for place, mask in enumerate(masks):
            if mask.any():
                samples[start : start + step, place] = each[mask].mean(axis=0)
    # Precision at k is a mean over documents.
    ranking = rank_labels(targets, scores, max(CUTS))
    for place, k in enumerate(CUTS, len(masks)):
        hits = ranking.hits[:, :k].sum(axis=1) / k
        found[place], samples[:, place] = hits.mean(), weights @ hits / documents
    return found, samples


def average_precision_moves(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array
) -> tuple[np.ndarray, sp.csr_array]:
    """Average precision of each label, 0 of one without documents, (L,), and how each document moves it, (n, L).

    A move is the derivative by the document's weight. A true document adds to its own precision and to that of all
    true ones below; any document takes from those below it.
    """
    documents, labels = targets.shape
    positives = np.maximum(count_documents(targets), 1)
    precisions, parts = np.zeros(labels), []
    for rows, columns, values, hits in _sorted_by_label(targets, scores):
        # Where each label begins and ends, and where its run of equal scores does.
        here = np.arange(labels + 1)
        edges = np.searchsorted(columns, here)
        first, end = edges[columns], edges[columns + 1]
        runs = np.append(True, (columns[1:] != columns[:-1]) | (values[1:] != values[:-1]))[: len(columns)]
        starts = np.flatnonzero(runs)
        run = np.cumsum(runs) - 1
        start, stop = starts[run], np.append(starts[1:], len(columns))[run]
        # Documents at or above, those of them that are true, and the precision there.
        above = (stop - first).astype(np.float64)
        summed = np.concatenate([[0], np.cumsum(hits)])
        precision = (summed[stop] - summed[first]) / above
        precisions += np.bincount(columns, weights=hits * precision, minlength=labels) / positives
        up, down = (np.concatenate([[0.0], np.cumsum(part)]) for part in (hits / above, hits * precision / above))
        own = hits * (precision - precisions[columns] + up[end] - up[start])
        parts.append((rows, columns, (own - down[end] + down[start]) / positives[columns]))
    # A true label whose score is not stored lies below all others and has precision 0.
    if isinstance(scores, sp.csr_array):
        true = indicator(targets)
        rows = np.repeat(np.arange(documents), np.diff(true.indptr))
        stored = sp.csr_array((np.ones(scores.nnz, np.bool_), scores.indices, scores.indptr), shape=scores.shape)
        left = ~contains(stored, rows, true.indices)
        columns = true.indices[left]
        parts.append((rows[left], columns, -precisions[columns] / positives[columns]))
    rows, columns, moves = (np.concatenate(part) for part in zip(*parts, strict=True))
    return precisions, sp.csr_array((moves, (rows, columns)), shape=targets.shape)


def _sorted_by_label(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> Iterator[Sorted]:
    """The stored scores: a sparse array at once, a dense one a block of labels at a time."""
    documents, labels = targets.shape
    if isinstance(scores, sp.csr_array):
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        order = np.lexsort((-scores.data.astype(np.float64), scores.indices))
        rows, columns = rows[order], scores.indices[order]
        yield rows, columns, scores.data[order], contains(targets, rows, columns)
        return
    true, step = indicator(targets).tocsc(), max(ENTRIES // documents, 1)
    for start in range(0, labels, step):
        block = scores[:, start : start + step].astype(np.float32)
        order = np.argsort(-block, axis=0, kind="stable")
        hits = np.take_along_axis(true[:, start : start + step].toarray(), order, axis=0)
        columns = np.repeat(np.arange(start, start + block.shape[1]), documents)
        yield order.T.ravel(), columns, np.take_along_axis(block, order, axis=0).T.ravel(), hits.T.ravel()

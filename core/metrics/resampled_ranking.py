"""How much of a ranking's scores is chance: average precision and P@k on resampled test documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from core.labels.groups import EVERY_GROUP, Borders, count_documents, group_of, indicator
from core.metrics.cuts import document_rows, order_by_label, read_scores, sort_keys
from core.metrics.ranking import ENTRIES, contains, rank_labels

CUTS = (1, 3, 5)
COLUMNS = (*(f"{group}/ap" for group in ("all", *EVERY_GROUP)), *(f"p/{k}" for k in CUTS))
"""What is resampled: macro average precision over all labels and by frequency group, and P@k."""
DENSE = 0.05
"""Share of entries that are not 0 from which on a product takes less time with a dense array."""

Sorted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Documents, labels, scores and whether that label is true, by label and from the highest score down."""


def resample_ranking(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    counts: np.ndarray,
    borders: Borders,
    weights: np.ndarray,
    *,
    drawn: np.ndarray | None = None,
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
        weights: `uncertainty.resample(n)`, (folds, n); fastest where a document's weights lie side by side in memory.
        drawn: `find_drawn(targets, weights)`, if it is there already.

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
    # Labels that every resample draws move only as their documents move them: they are summed over their group first.
    groups = group_of(counts, borders)
    precisions, moves = average_precision_moves(targets, scores)
    by_label = sp.csr_array(moves.T, dtype=np.float32)
    drawn = find_drawn(targets, weights) if drawn is None else drawn
    always = drawn.all(axis=1)
    summed = np.stack([(groups == group) & always for group in EVERY_GROUP]).astype(np.float32) @ by_label
    # Hits among the first k of a document are summed over the drawn documents in the same product.
    hits = np.cumsum(rank_labels(targets, scores, max(CUTS)).hits, axis=1)[:, [k - 1 for k in CUTS]]
    ones = np.ones(documents, np.float32)
    moved, right = np.split(np.concatenate([summed, hits.T.astype(np.float32)]) @ weights.T, [len(EVERY_GROUP)])
    moved -= (summed @ ones)[:, None]
    # The other labels: each on a block of resamples.
    some = np.flatnonzero(~always)
    chosen = by_label[some]
    rest = chosen.toarray() if chosen.nnz > DENSE * len(some) * documents else chosen
    others, step = np.zeros((len(EVERY_GROUP), len(weights))), max(ENTRIES // max(len(some), 1), 1)
    belongs = np.stack([groups[some] == group for group in EVERY_GROUP]).astype(np.float64)
    for start in range(0, len(weights) if len(some) else 0, step):
        block = slice(start, start + step)
        each = rest @ np.ascontiguousarray(weights[block].T) - (rest @ ones)[:, None]
        others[:, block] = belongs @ np.where(drawn[some, block], precisions[some, None] + each, 0.0)
    # Means over groups of labels, then over documents.
    masks = [groups == group for group in EVERY_GROUP]
    sums = np.stack([precisions[mask & always].sum() + moved[place] for place, mask in enumerate(masks)]) + others
    for place, (mask, total) in enumerate(zip([groups != "", *masks], [sums.sum(axis=0), *sums], strict=True)):
        if size := int(mask.sum()):
            found[place], samples[:, place] = precisions[mask].mean(), total / size
    for place, k in enumerate(CUTS):
        at = len(masks) + 1 + place
        found[at], samples[:, at] = (hits[:, place] / k).mean(), right[place] / np.float64(k * documents)
    return found, samples


def find_drawn(targets: sp.csr_array, weights: np.ndarray) -> np.ndarray:
    """Whether a resample draws any document of a label, (L, folds) bool."""
    true, labels = sp.csr_array(indicator(targets).T, dtype=np.float32), targets.shape[1]
    found, step = np.zeros((labels, len(weights)), np.bool_), max(ENTRIES // max(labels, 1), 1)
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        found[:, block] = true @ np.ascontiguousarray(weights[block].T) > 0
    return found


def average_precision_moves(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array
) -> tuple[np.ndarray, sp.csc_array]:
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
    return precisions, sp.csr_array((moves, (columns, rows)), shape=targets.shape[::-1]).T


def _sorted_by_label(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> Iterator[Sorted]:
    """The stored scores: a sparse array at once, a dense one a block of labels at a time."""
    documents, labels = targets.shape
    if isinstance(scores, sp.csr_array):
        values, hits = read_scores(targets, scores)
        order = order_by_label(scores.indices, values)
        yield document_rows(scores)[order], scores.indices[order], values[order], hits[order]
        return
    true, step = indicator(targets).tocsc(), max(ENTRIES // documents, 1)
    for start in range(0, labels, step):
        block = scores[:, start : start + step]
        order = np.argsort(sort_keys(block.astype(np.float32), falling=True), axis=0, kind="stable")
        hits = np.take_along_axis(true[:, start : start + step].toarray(), order, axis=0)
        columns = np.repeat(np.arange(start, start + block.shape[1]), documents)
        yield order.T.ravel(), columns, np.take_along_axis(block, order, axis=0).T.ravel(), hits.T.ravel()

"""One threshold for all labels, fitted on validation: a label is predicted where its score is above it.

Scores are a dense (n, L) array, or a CSR array of each document's highest scores: what it does not store lies below
everything that it stores, is never predicted, and counts as missed where it is true.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from core.labels import indicator

GRIDS = {"paper": np.arange(40, 61) / 100, "shift": np.arange(-100, 101) / 100}
"""Probabilities as in Huang et al., EMNLP 2021, and, for an SVM's margins, the shift of its hyperplane."""
CONSTANTS = {"fixed": 0.5, "zero": 0.0}
RULES = ("exact", *GRIDS, *CONSTANTS)


def fit_global(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, rule: str = "exact") -> float:
    """The threshold of best micro-F1 over all documents and labels.

    Args:
        targets: (n, L).
        scores: (n, L), finite.
        rule: `exact` tries every cut between two different scores, of equally good ones the highest, and goes midway
            between its two neighbours; `paper` and `shift` try a grid, of equally good ones the lowest; `fixed` is .5
            and `zero` 0 whatever the scores are.

    Returns:
        The threshold. Where every cut has F1 0 (no true label, or none with a stored score), `exact` gives the highest
        score, so that nothing is predicted (.5 of no scores), and a grid gives its lowest value.

    Raises:
        ValueError: an unknown rule, shapes that differ, scores that are not finite.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}, expected one of {', '.join(RULES)}")
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    if rule in CONSTANTS:
        return CONSTANTS[rule]
    values, hits = _sorted_scores(targets, scores)
    positives = indicator(targets).nnz
    if rule in GRIDS:
        grid = GRIDS[rule]
        above = [len(part) - np.searchsorted(part, grid, side="right") for part in (hits, values)]
        return float(grid[np.argmax(2 * above[0] / np.maximum(above[1] + positives, 1))])
    if not len(hits):
        return float(values[-1]) if len(values) else 0.5
    lowest = np.unique(hits)  # the best cut lies just below a true label's score: from there on down come errors alone
    above = [len(part) - np.searchsorted(part, lowest, side="left") for part in (hits, values)]
    f1 = 2 * above[0] / (above[1] + positives)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    high, below = lowest[best], len(values) - above[1][best]
    if not below:
        return float(np.nextafter(high, -np.inf))
    low = values[below - 1]
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


def _sorted_scores(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All scores, and those of true labels, each rising, float64 (which holds every float16 and float32)."""
    if isinstance(scores, sp.csr_array):
        values = scores.data.astype(np.float64)
        places = sp.csr_array((np.arange(1, len(values) + 1), scores.indices, scores.indptr), shape=scores.shape)
        hits = values[indicator(targets).multiply(places).data - 1]
    else:
        values = scores.astype(np.float64).ravel()
        hits = values[targets.toarray().ravel() != 0]
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} scores are not finite")
    return np.sort(values), np.sort(hits)


def apply(scores: np.ndarray | sp.csr_array, threshold: float) -> sp.csr_array:
    """Predicted labels, (n, L) bool: score > threshold, compared in float64, as the threshold was fitted."""
    limit = np.float64(threshold)
    if not isinstance(scores, sp.csr_array):
        return sp.csr_array(scores > limit)
    kept = scores.data > limit
    indptr = np.concatenate([[0], np.cumsum(kept)])[scores.indptr]
    return sp.csr_array((np.ones(indptr[-1], np.bool_), scores.indices[kept], indptr), shape=scores.shape)

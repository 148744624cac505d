"""Whether a score of s is right s of the time, by frequency group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import Borders, group_of
from core.metrics.ranking import contains


def calibration(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, counts: np.ndarray, borders: Borders, *, bins: int = 10
) -> pd.DataFrame:
    """How often a label is true where its score is s: the reliability curve, for all labels and by frequency group.

    Of a CSR array only what is stored counts: the rest, all low scores, is unknown.

    Returns:
        Columns group, bin (from 0), pairs (of a document and a label), score (their mean), true (share); bins without
        pairs have no row.

    Raises:
        ValueError: scores outside of 0 to 1, such as an SVM's margins.
    """
    # Each stored score with its row and label.
    if isinstance(scores, sp.csr_array):
        rows, columns = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.indices
        values = scores.data.astype(np.float64)
    else:
        rows, columns = (place.ravel() for place in np.indices(scores.shape))
        values = scores.astype(np.float64).ravel()
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"scores run from {values.min():.3g} to {values.max():.3g}, expected probabilities")
    # Sums by group and bin, then those of all groups.
    names, codes = np.unique(group_of(counts, borders), return_inverse=True)
    cells = codes[columns] * bins + np.minimum((values * bins).astype(np.int64), bins - 1)
    weights = (None, values, contains(targets, rows, columns))
    sums = np.stack([np.bincount(cells, one, len(names) * bins).reshape(-1, bins) for one in weights])
    sums = np.concatenate([sums.sum(axis=1, keepdims=True), sums], axis=1)
    pairs, score, true = (part.ravel() for part in sums)
    table = pd.DataFrame({"group": np.repeat(["all", *names], bins), "bin": np.tile(np.arange(bins), len(names) + 1)})
    found = pairs > 0
    shares = {name: total[found] / pairs[found] for name, total in (("score", score), ("true", true))}
    table = table[found].assign(pairs=pairs[found].astype(np.int64), **shares)
    return table.sort_values(["group", "bin"], ignore_index=True)


def expected_calibration_error(curve: pd.DataFrame) -> dict[str, float]:
    """ECE of each group of a `calibration`: mean distance of score and share of true pairs, weighted by pairs.

    Source: Naeini, Cooper & Hauskrecht, AAAI 2015.
    """
    return {
        str(group): float(np.average((part["score"] - part["true"]).abs(), weights=part["pairs"]))
        for group, part in curve.groupby("group")
    }

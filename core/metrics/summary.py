"""Every score of a run in one pass, as `metrics.json` keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from core.labels.groups import Borders, group_of, group_sizes
from core.metrics.label_sets import METRICS, macro_readings, mean_or_zero
from core.metrics.ranking import (
    RANKINGS,
    average_precisions,
    inverse_propensities,
    label_ranking_average_precision,
    propensity_scores_at,
    rank_labels,
)

CUTS = (1, 3, 5, 10, 15)
"""The k of P@k and its relatives."""


def score_all(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    predicted: sp.csr_array,
    *,
    counts: np.ndarray,
    documents: int,
    borders: Borders,
) -> dict[str, Any]:
    """Every score of `METRICS`, the macro readings, the rankings and mAP by frequency group, as JSON holds them.

    Args:
        targets: (n, L).
        scores: (n, L).
        predicted: (n, L).
        counts: training documents of each label, (L,).
        documents: of the training part, for the propensities.
        borders: between head, medium and tail.
    """
    found: dict[str, Any] = {name: metric(targets, predicted) for name, metric in METRICS.items()}
    found["macro"] = macro_readings(targets, predicted)
    precisions, groups = average_precisions(targets, scores), group_of(counts, borders)
    masks = {"all": np.ones(len(groups), np.bool_)} | {group: groups == group for group in group_sizes(counts, borders)}
    found["map"] = {
        group: mean_or_zero(np.nan_to_num(precisions[mask])) if mask.any() else None for group, mask in masks.items()
    }
    found["lrap"] = label_ranking_average_precision(targets, scores)
    cuts = [k for k in CUTS if k <= max(targets.shape[1], 1)]
    ranking, weights = rank_labels(targets, scores, cuts[-1]), inverse_propensities(counts, documents)
    for name, metric in RANKINGS.items():
        found |= {f"{name}@{k}": metric(ranking, k) for k in cuts}
    for k in cuts:
        found[f"psp@{k}"], found[f"psndcg@{k}"] = propensity_scores_at(ranking, targets, weights, k)
    found["documents_without_labels"] = int(np.sum(ranking.sizes == 0))
    return found

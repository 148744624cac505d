"""What other thresholds do: rules fitted on validation, single labels moved, top k."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from core.config.defaults import THRESHOLD_RULES
from core.labels.groups import indicator
from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.runs.predictions import Predictions

AS_TRAINED, OWN = "as trained", "my own"
RULES = {
    rule.title: name
    for name, rule in sorted(THRESHOLD_RULES.items(), key=lambda pair: pair[1].value is None)
    if rule.title
}
"""Rules of `THRESHOLD_RULES` as the page calls them: what needs no fitting first, the others fitted on validation."""
TOP_K = "top k (RCut)"


def with_changes(limits: Limits, changes: Mapping[int, float], labels: int) -> Limits:
    """Thresholds with those of some label columns replaced."""
    if not changes:
        return limits
    moved = np.broadcast_to(np.asarray(limits, np.float64), (labels,)).copy()
    moved[list(changes)] = list(changes.values())
    return moved


def predict(predictions: Predictions, limits: Limits | None, k: int | None = None) -> sp.csr_array:
    """Predicted labels, (n, L) bool: above the limits, or the k highest of each document."""
    if k is not None:
        return thresholds.top_labels(predictions.scores, k)
    return thresholds.apply(predictions.scores, predictions.threshold if limits is None else limits)


def score_range(predictions: Predictions) -> tuple[float, float]:
    """The lowest and highest threshold that makes a difference: 0 to 1, or what an SVM's margins span."""
    values = predictions.scores.data if isinstance(predictions.scores, sp.csr_array) else predictions.scores
    if not values.size or (values.min() >= 0 and values.max() <= 1):
        return 0.0, 1.0
    kept = values[np.abs(values) < thresholds.FAR]
    return float(np.floor(kept.min(initial=-1))), float(np.ceil(kept.max(initial=1)))


def limits_in_words(limits: Limits) -> str:
    """One threshold, or the range of many."""
    found = np.asarray(limits, np.float64)
    if not found.ndim:
        return f"Above {float(found):.4f} for every label."
    kept = found[np.isfinite(found)]
    low, middle, high = (float(value) for value in np.quantile(kept, [0, 0.5, 1])) if len(kept) else (0.0,) * 3
    return f"One for each label, from {low:.3f} to {high:.3f}, half of them above {middle:.3f}."


def middle_limit(limits: Limits) -> float:
    """The one threshold, or the middle one of many."""
    return float(np.median(limits))


def limit_of(limits: Limits, column: int) -> float:
    """The threshold of one label."""
    found = np.asarray(limits, np.float64)
    return float(found[column] if found.ndim else found)


def most_labels(predictions: Predictions) -> int:
    """The largest number of true labels of a document, at least 1."""
    return max(int(np.diff(indicator(predictions.targets).indptr).max(initial=1)), 1)

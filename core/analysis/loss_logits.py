"""Logits to look at losses with: of an untrained network, of a finished run, or moved by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from core import losses
from core.analysis.loss_effects import Choice

if TYPE_CHECKING:
    from core.runs.predictions import Predictions

LEAST_SCORE, MOST_SCORE = 2.0**-24, 1 - 2.0**-12
"""Scores are kept as float16: the smallest above 0, and halfway between the largest below 1 and 1."""


def untrained_logits(kind: str, counts: np.ndarray, documents: int) -> np.ndarray:
    """Logits of a network before its first step, (K,): `zero`, or `prior`, the log-odds of each label."""
    if kind == "zero":
        return np.zeros(len(counts))
    n = np.minimum(counts, documents - 0.5)
    return np.log(n) - np.log(documents - n)


def lowest_logits(choice: Choice, counts: np.ndarray, documents: int, targets: sp.csr_array) -> np.ndarray:
    """The logits (K,) of `core.losses.constant_logits`, with targets (N, L) of the train part."""
    return losses.constant_logits(choice.build(counts, documents), *losses.index_pairs(targets), documents).numpy()


def logits_of(predictions: Predictions, rows: np.ndarray, labels: int) -> np.ndarray:
    """Logits log(s / (1 - s)) of the first `labels` labels of some of a run's documents, (S, labels).

    Scores that were rounded to 0 or 1, or were too low to be kept, stand for the nearest score that can be told from
    those.

    Args:
        predictions: of the run.
        rows: places of documents in `predictions`, (S,).
        labels: K.
    """
    kept = predictions.scores[rows]
    dense = kept.toarray() if sp.issparse(kept) else kept
    scores = np.clip(dense[:, :labels].astype(np.float64), LEAST_SCORE, MOST_SCORE)
    return np.log(scores) - np.log1p(-scores)


def logits_by_hand(start: np.ndarray, own: Sequence[int], moved: Mapping[int, float], others: float) -> np.ndarray:
    """Logits (K,): `others` for the labels a document has not, `start` for its `own`, and those that were `moved`."""
    logits = np.full(len(start), others)
    logits[list(own)] = start[list(own)]
    logits[list(moved)] = list(moved.values())
    return logits

"""Scores of several runs on the same documents, averaged in logits: dense ones, or those that each of them stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.sparse as sp

from core.metrics.cuts import CrossFit
from core.metrics.quiet import CLIP, FAR

PARTS_OF_ONE = 10
"""Weights of two or three members are tried in tenths."""
FACTORS = (0.25, 0.5, 2.0, 4.0)
"""By which a weight of more members is multiplied, one member after the other."""
ROUNDS = 2
"""Times that every member of many has its turn."""
FULL_GRID = 3
"""Up to so many members every combination of tenths is tried."""
BLOCK = 1 << 14
"""Pairs that are averaged at a time, which the cache of the processor holds."""


@dataclass(frozen=True)
class Margins:
    """How an SVM's margins become logits: they are standardised, so that they move an average as much as a logit does.

    Attributes:
        mean: of the margins, as validation stores them.
        deviation: of them.
    """

    mean: float
    deviation: float


def measure_margins(scores: np.ndarray | sp.csr_array) -> Margins:
    """Mean and deviation of stored margins; those of labels for which nothing was fitted (`FAR`) do not count.

    Margins that are all alike, or none at all, have the deviation 1.
    """
    values = (scores.data if isinstance(scores, sp.csr_array) else scores).astype(np.float64)
    near = values[np.abs(values) < FAR]
    if not near.size:
        return Margins(0.0, 1.0)
    return Margins(float(near.mean()), float(near.std()) or 1.0)


def to_logits(values: np.ndarray, margins: Margins | None = None) -> np.ndarray:
    """Logits of probabilities, or standardised margins, both at most as far from 0 as the logit of `CLIP`."""
    values = values.astype(np.float64)
    if margins is None:
        kept = np.clip(values, CLIP, 1 - CLIP)
        return np.asarray(np.log(kept / (1 - kept)))
    highest = np.log((1 - CLIP) / CLIP)
    return np.asarray(np.clip((values - margins.mean) / margins.deviation, -highest, highest))


def to_probabilities(logits: np.ndarray) -> np.ndarray:
    """Sigmoids; logits of `to_logits` overflow nothing."""
    return np.asarray(1 / (1 + np.exp(-logits)))


@dataclass(frozen=True)
class Stacked:
    """Logits of M members for the same E pairs of a document and a label.

    Attributes:
        logits: (M, E) float64.
        shape: documents and labels, (n, L).
        columns: of the pairs, row by row, (E,); None where every pair of the shape is there.
        ends: where each document's pairs begin and the last ones end, (n + 1,); None as `columns`.
    """

    logits: np.ndarray
    shape: tuple[int, int]
    columns: np.ndarray | None = None
    ends: np.ndarray | None = None

    def values(self, weights: Sequence[float]) -> np.ndarray:
        """The sigmoid of the weighted mean of the logits, rounded as a run stores its scores, (E,) float16."""
        found = np.empty(self.logits.shape[1], np.float16)
        for start in range(0, len(found), BLOCK):
            block = slice(start, start + BLOCK)
            # One member after the other, in their order: a product of matrices may add them in another one.
            mean = np.zeros(len(found[block]))
            for weight, logits in zip(weights, self.logits, strict=True):
                mean += weight * logits[block]
            found[block] = to_probabilities(mean)
        return found

    def average(self, weights: Sequence[float]) -> np.ndarray | sp.csr_array:
        """`values` as a run stores them: (n, L) float16, or a CSR of float32 that holds float16 numbers."""
        kept = self.values(weights)
        if self.columns is None:
            return kept.reshape(self.shape)
        return sp.csr_array((kept.astype(np.float32), self.columns, self.ends), shape=self.shape)


def stack(scores: Sequence[np.ndarray | sp.csr_array], margins: Sequence[Margins | None]) -> Stacked:
    """The logits of several members' scores for every pair that one of them stores.

    Where a member does not store a pair, the lowest logit that it stores in this document stands in: of a document's
    highest scores it is the upper bound of all others. No true label is looked at. A document of which it stores
    nothing has the member's lowest logit of all.

    Args:
        scores: (n, L) of each member.
        margins: how each member's margins are standardised; None of probabilities.
    """
    shape = scores[0].shape
    if not any(isinstance(one, sp.csr_array) for one in scores):
        logits = np.stack([to_logits(one.ravel(), unit) for one, unit in zip(scores, margins, strict=True)])
        return Stacked(logits, shape)
    # The pairs of all members, each a number that rises row by row.
    keys = [_pairs_of(one) for one in scores]
    every = np.sort(np.concatenate(keys))  # `np.unique` takes ten times as long where numbers are many
    every = every[np.append(True, every[1:] != every[:-1])] if len(every) else every
    rows = every // shape[1]
    found = np.empty((len(scores), len(every)))
    for place, (one, key, unit) in enumerate(zip(scores, keys, margins, strict=True)):
        logits = to_logits(one.data if isinstance(one, sp.csr_array) else one.ravel(), unit)
        found[place] = _lowest_of_rows(logits, key // shape[1], shape[0])[rows]
        found[place, np.searchsorted(every, key)] = logits
    if len(every) == shape[0] * shape[1]:
        return Stacked(found, shape)
    return Stacked(found, shape, every % shape[1], np.searchsorted(rows, np.arange(shape[0] + 1)))


def _pairs_of(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """Row times L plus column of each stored score, in the order in which they are stored."""
    if not isinstance(scores, sp.csr_array):
        return np.arange(scores.size)
    rows = np.repeat(np.arange(scores.shape[0], dtype=np.int64), np.diff(scores.indptr))
    return np.asarray(rows * scores.shape[1] + scores.indices)


def _lowest_of_rows(logits: np.ndarray, rows: np.ndarray, documents: int) -> np.ndarray:
    """The lowest logit of each document, (n,); the lowest of all where it has none."""
    lowest = np.full(documents, np.inf)
    np.minimum.at(lowest, rows, logits)
    nothing = logits.min() if len(logits) else -np.log((1 - CLIP) / CLIP)
    return np.where(np.isfinite(lowest), lowest, nothing)


def fit_weights(targets: sp.csr_array, stacked: Stacked) -> tuple[float, ...]:
    """The weights of best cross-fitted micro-F1 at the global threshold; of equals those nearest to equal weights.

    Args:
        targets: of the validation part, (n, L).
        stacked: logits of the M members there.

    Returns:
        M weights with the sum 1. Two or three members: the best of all combinations of tenths. More: from equal
        weights, each in turn times one of `FACTORS` as long as that is better.
    """
    members = len(stacked.logits)
    best: tuple[float, ...] = (1 / members,) * members
    fitted = CrossFit(targets, stacked.average(best))

    def quality(weights: Sequence[float]) -> float:
        return fitted.f1(stacked.values(weights))

    if members <= FULL_GRID:
        return max(_tenths(members), key=lambda weights: (round(quality(weights), 12), -_distance(weights)))
    highest = quality(best)
    for place in [*range(members)] * ROUNDS:
        for factor in FACTORS:
            raised = [weight * (factor if other == place else 1) for other, weight in enumerate(best)]
            tried = tuple(weight / sum(raised) for weight in raised)
            if (found := quality(tried)) > highest + 1e-12:
                best, highest = tried, found
    return best


def _tenths(members: int) -> Iterator[tuple[float, ...]]:
    """Equal weights, then all positive weights in tenths with the sum 1."""
    yield (1 / members,) * members
    for parts in product(range(1, PARTS_OF_ONE), repeat=members - 1):
        if sum(parts) < PARTS_OF_ONE:
            yield tuple(part / PARTS_OF_ONE for part in (*parts, PARTS_OF_ONE - sum(parts)))


def _distance(weights: Sequence[float]) -> float:
    """How far weights are from equal ones."""
    return sum(abs(weight - 1 / len(weights)) for weight in weights)

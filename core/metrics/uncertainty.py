"""How much of a score is chance: resampled test documents, paired differences, seeds, single labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import FREQUENCY_GROUPS, Borders, group_of, indicator
from core.metrics.label_sets import check_predicted, f1

FOLDS = 1000
LEVEL = 0.95
NUMBERS = 4_000_000
"""Resampled counts that are held at a time."""
STRATA = {"single_label": 1, "multi_label": 2}
COLUMNS = tuple(
    f"{group}/{score}" for group in ("all", *FREQUENCY_GROUPS, *STRATA) for score in ("micro_f1", "macro_f1")
)
"""What is resampled: every number of the paper's Tables 2 and 3, as group/score of `label_sets.score_groups`."""


def resample(documents: int, *, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """How often each document is drawn, with replacement, in each fold: (folds, documents) float32, rows sum to n.

    The same arguments give the same numbers, which is what pairs two runs.
    """
    if not documents:
        return np.zeros((folds, 0), np.float32)
    drawn = np.random.default_rng(seed).integers(0, documents, (folds, documents))
    drawn += np.arange(folds)[:, None] * documents
    return np.bincount(drawn.ravel(), minlength=folds * documents).reshape(folds, documents).astype(np.float32)


def bootstrap(
    targets: sp.csr_array,
    predicted: sp.csr_array,
    counts: np.ndarray,
    borders: Borders,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """The numbers of Tables 2 and 3 on resampled test documents.

    Args:
        targets: (n, L).
        predicted: (n, L).
        counts: training documents of each label, (L,).
        borders: between head, medium and tail.
        folds: resamples.
        seed: of the resamples.
        weights: `resample(n, folds=folds, seed=seed)`, if it is there already.

    Returns:
        (folds, columns) float64 in the order of `COLUMNS`; NaN where a group has no label or no document.

    Raises:
        ValueError: shapes that differ, scores instead of 0 and 1.

    Source: Efron 1979.
    """
    check_predicted(targets, predicted)
    if weights is None:
        weights = resample(targets.shape[0], folds=folds, seed=seed)
    true, given = indicator(targets), indicator(predicted)
    # Three strata by number of labels: one, several, none. Each keeps hits, true and predicted labels, (L, documents).
    sizes, groups = np.diff(true.indptr), group_of(counts, borders)
    rows = [np.flatnonzero(sizes == 1), np.flatnonzero(sizes > 1), np.flatnonzero(sizes == 0)]
    parts = []
    for chosen in rows:
        both = true[chosen].multiply(given[chosen]).tocsr()
        parts.append((chosen, *(sp.csr_array(m.T, dtype=np.float32) for m in (both, true[chosen], given[chosen]))))
    # Counts on each resample are a product with its weights, a block of resamples at a time.
    found = np.full((len(weights), len(COLUMNS)), np.nan)
    step = max(NUMBERS // max(3 * targets.shape[1], 1), 1)
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        strata = [[matrix @ weights[block, chosen].T for matrix in matrices] for chosen, *matrices in parts]
        total = [sum(of[1:], of[0]) for of in zip(*strata, strict=True)]
        # Columns: all labels, head, medium, tail; then the documents with one and with several labels.
        place = 0
        for mask in (np.ones(len(groups), np.bool_), *(groups == group for group in FREQUENCY_GROUPS)):
            if mask.any() and targets.shape[0]:
                found[block, place : place + 2] = _f1_of(*(part[mask] for part in total))
            place += 2
        for stratum, chosen in zip(strata, rows[:2], strict=False):
            if len(chosen) and len(groups):
                found[block, place : place + 2] = _f1_of(*stratum)
            place += 2
    return found


def _f1_of(hit: np.ndarray, true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Micro- and macro-F1 of counts (L, folds), as (folds, 2)."""
    macro = f1(hit, given - hit, true - hit).mean(axis=0)
    hit, true, given = (part.sum(axis=0, dtype=np.float64) for part in (hit, true, given))
    return np.stack([f1(hit, given - hit, true - hit), macro], axis=1)


def interval(score: np.ndarray | float, samples: np.ndarray, *, level: float = LEVEL) -> np.ndarray:
    """A percentile interval, moved so that the mean of the resamples lies on the score.

    A resample lacks many labels that have one or two test documents, which pulls its macro-F1 below the score: its
    spread is right, its place is not.

    Args:
        score: on all test documents, one or (columns,).
        samples: (folds,) or (folds, columns), of the score or of a difference of two runs.
        level: share of the resamples inside.

    Returns:
        (2,) or (2, columns): the ends; NaN where a sample is NaN.
    """
    tails = 50 * (1 - level)
    ends = np.percentile(samples, [tails, 100 - tails], axis=0)
    return np.asarray(score) + ends - samples.mean(axis=0)


def is_significant(ends: np.ndarray) -> np.ndarray:
    """Whether an interval of a difference leaves out 0; NaN never does."""
    return (ends[0] > 0) | (ends[1] < 0)


def over_seeds(scores: Sequence[Sequence[float]] | np.ndarray) -> pd.DataFrame:
    """Columns seeds, mean and deviation (sample standard deviation; NaN of one seed), one row per column of scores."""
    values = np.asarray(scores, dtype=np.float64)
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return pd.DataFrame({"seeds": len(values), "mean": values.mean(axis=0), "deviation": deviation})


def label_intervals(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, *, z: float = 1.959964) -> np.ndarray:
    """An interval of each label's F1, (2, L): Wilson's for J, hits among hits and errors, and F1 = 2 J / (1 + J).

    It is 0 to 1 for a label without hits and errors, and holds its level also where a label has one test document.

    Source: Wilson, JASA 1927.
    """
    n = np.asarray(tp + fp + fn, dtype=np.float64)
    share = np.asarray(tp) / np.maximum(n, 1)
    centre = share + z * z / (2 * np.maximum(n, 1))
    spread = z * np.sqrt(share * (1 - share) / np.maximum(n, 1) + z * z / (4 * np.maximum(n, 1) ** 2))
    ends = np.stack([centre - spread, centre + spread]) / (1 + z * z / np.maximum(n, 1))
    ends = np.clip(ends, 0.0, 1.0)
    ends = np.where(n > 0, ends, np.array([[0.0], [1.0]]))
    return 2 * ends / (1 + ends)

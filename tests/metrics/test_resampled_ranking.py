"""Rankings on resampled documents: their scores, moves that are derivatives, spreads that are the bootstrap's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from core.labels.groups import EVERY_GROUP, Borders, group_of
from core.metrics import ranking, uncertainty
from core.metrics.resampled_ranking import COLUMNS, CUTS, average_precision_moves, resample_ranking
from tests.helpers.laws import law

BORDERS = Borders(35, 8, unseen_apart=True)


def drawn(seed: int, documents: int = 25, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores with many equal ones."""
    rng = np.random.default_rng(seed)
    return rng.random((documents, labels)) < 0.25, np.round(rng.random((documents, labels)) * 6).astype(np.float32) / 8


def weighted(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision of each label where documents count by their weight; 0 where none has the label."""
    found = np.zeros(targets.shape[1])
    for label in range(targets.shape[1]):
        true, values = targets[:, label], scores[:, label]
        total = 0.0
        for row in np.flatnonzero(true):
            above = values >= values[row]
            if values[row] > 0:  # what is not stored has precision 0
                total += weights[row] * weights[above & true].sum() / weights[above].sum()
        found[label] = total / weights[true].sum() if true.any() else 0.0
    return found


@law(15)
@given(st.integers(0, 10_000), st.booleans())
def test_moves_are_the_derivatives_by_a_documents_weight(seed: int, sparse: bool) -> None:
    targets, scores = drawn(seed)
    scores = scores if sparse else scores + 0.125
    precisions, moves = average_precision_moves(sp.csr_array(targets), sp.csr_array(scores) if sparse else scores)
    ones, step = np.ones(len(targets)), 1e-6
    np.testing.assert_allclose(precisions, weighted(targets, scores, ones), atol=1e-12)
    for row in range(len(targets)):
        nudge = step * (np.arange(len(targets)) == row)
        slope = (weighted(targets, scores, ones + nudge) - weighted(targets, scores, ones - nudge)) / (2 * step)
        np.testing.assert_allclose(moves.toarray()[row], slope, atol=1e-6)


def test_scores_are_those_of_the_rankings() -> None:
    targets, scores = drawn(1, 80, 6)
    counts = np.array([90, 40, 20, 12, 5, 0])
    weights = uncertainty.resample(80)
    found, samples = resample_ranking(sp.csr_array(targets), scores, counts, BORDERS, weights)
    each = np.nan_to_num(ranking.average_precisions(sp.csr_array(targets), scores))
    groups = group_of(counts, BORDERS)
    expected = [each.mean(), *(each[groups == group].mean() for group in EVERY_GROUP)]
    first = ranking.rank_labels(sp.csr_array(targets), scores, max(CUTS))
    expected += [ranking.precision_at(first, k) for k in CUTS]
    np.testing.assert_allclose(found, expected)
    assert samples.shape == (len(weights), len(COLUMNS))


def test_the_spread_is_that_of_documents_repeated_as_often_as_they_were_drawn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((300, 20)) < np.geomspace(0.3, 0.004, 20)
    scores = (rng.normal(0, 1, targets.shape) + 2.5 * targets).astype(np.float32)
    counts, weights = np.full(20, 40), uncertainty.resample(300, folds=150)
    _, samples = resample_ranking(sp.csr_array(targets), scores, counts, BORDERS, weights)
    repeated = []
    for fold in weights.astype(int):
        rows = np.repeat(np.arange(300), fold)
        repeated.append(np.nan_to_num(ranking.average_precisions(sp.csr_array(targets[rows]), scores[rows])).mean())
    assert samples[:, 0].std() == pytest.approx(np.std(repeated), rel=0.15)
    assert np.corrcoef(samples[:, 0], repeated)[0, 1] > 0.9


def test_a_part_without_documents_or_labels_has_no_scores() -> None:
    for shape in ((0, 3), (4, 0)):
        weights = uncertainty.resample(shape[0], folds=5)
        found, samples = resample_ranking(
            sp.csr_array(shape, dtype=bool), np.zeros(shape, np.float32), np.full(shape[1], 9), BORDERS, weights
        )
        assert np.isnan(found).all()
        assert np.isnan(samples).all()
    with pytest.raises(ValueError, match="shapes must be equal"):
        resample_ranking(sp.csr_array((2, 3), dtype=bool), np.zeros((2, 4)), np.zeros(3), BORDERS, np.ones((1, 2)))


@law(15)
@given(st.integers(0, 10_000), st.booleans())
def test_resamples_of_a_group_are_the_means_of_its_labels(seed: int, sparse: bool) -> None:
    """Labels with few documents, which some resamples lack, beside labels that every resample draws."""
    rng = np.random.default_rng(seed)
    targets = sp.csr_array(rng.random((60, 5)) < np.array([0.6, 0.4, 0.05, 0.02, 0.0]))
    scores = np.round(rng.random((60, 5)) * 9).astype(np.float32) / 8
    counts, weights = np.array([90, 20, 20, 5, 0]), uncertainty.resample(60, folds=40)
    kept = sp.csr_array(scores) if sparse else scores
    _, samples = resample_ranking(targets, kept, counts, BORDERS, weights)
    precisions, moves = average_precision_moves(targets, kept)
    there = targets.T.astype(np.float64) @ weights.T.astype(np.float64) > 0
    each = np.where(there, precisions[:, None] + moves.T.toarray() @ (weights.T - 1.0), 0.0)
    for place, mask in enumerate([counts >= 0, *(group_of(counts, BORDERS) == name for name in EVERY_GROUP)]):
        np.testing.assert_allclose(samples[:, place], each[mask].mean(axis=0), atol=1e-5)
    drawn = uncertainty.Resamples(targets, weights).drawn
    np.testing.assert_array_equal(drawn, there)
    np.testing.assert_array_equal(resample_ranking(targets, kept, counts, BORDERS, weights, drawn=drawn)[1], samples)

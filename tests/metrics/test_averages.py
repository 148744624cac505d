"""Averaged logits: a run with itself stays itself, the order of members is nothing, what is not stored is bounded."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.metrics import averages, cuts, thresholds
from core.metrics.averages import Margins, fit_weights, measure_margins, stack, to_logits, to_probabilities
from tests.helpers.laws import law

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 8))


def made(shape: tuple[int, int], seed: int, *, stored: int | None = None) -> np.ndarray | sp.csr_array:
    """Probabilities as a run stores them: all, or the highest of each document."""
    scores = np.random.default_rng(seed).random(shape).astype(np.float16)
    if stored is None:
        return scores
    best = np.sort(np.argsort(-scores.astype(np.float64), axis=1)[:, :stored], axis=1)
    rows = np.repeat(np.arange(shape[0]), best.shape[1])
    values = scores[rows, best.ravel()].astype(np.float32)
    return sp.csr_array((values, (rows, best.ravel())), shape=shape)


def dense(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    return scores.toarray() if isinstance(scores, sp.csr_array) else scores


@given(SHAPES, st.integers(2, 5), st.integers(0, 10**6), st.booleans())
def test_a_run_averaged_with_itself_keeps_its_scores(
    shape: tuple[int, int], members: int, seed: int, is_sparse: bool
) -> None:
    scores = made(shape, seed, stored=3 if is_sparse else None)
    found = stack([scores] * members, [None] * members).average([1 / members] * members)
    clipped = np.clip(dense(scores).astype(np.float64), averages.CLIP, 1 - averages.CLIP)
    np.testing.assert_allclose(dense(found)[dense(scores) > 0], clipped[dense(scores) > 0], rtol=2e-3, atol=6e-4)


@given(SHAPES, st.permutations(range(4)), st.integers(0, 10**6))
def test_the_order_of_members_changes_nothing_but_the_last_digit(
    shape: tuple[int, int], order: list[int], seed: int
) -> None:
    every = [made(shape, seed + place, stored=(None, 2, 4, None)[place]) for place in range(4)]
    weights = [0.1, 0.2, 0.3, 0.4]
    one = stack(every, [None] * 4).average(weights)
    two = stack([every[place] for place in order], [None] * 4).average([weights[place] for place in order])
    np.testing.assert_allclose(dense(one).astype(float), dense(two).astype(float), rtol=2e-3)


@given(SHAPES, st.integers(0, 10**6))
def test_stored_scores_of_every_pair_average_like_dense_ones(shape: tuple[int, int], seed: int) -> None:
    members = [made(shape, seed + place) for place in range(3)]
    sparse = [made(shape, seed + place, stored=shape[1]) for place in range(3)]
    weights = [0.5, 0.25, 0.25]
    expected = stack(members, [None] * 3).average(weights)
    found = stack([sparse[0], members[1], sparse[2]], [None] * 3).average(weights)
    assert not isinstance(found, sp.csr_array)
    np.testing.assert_array_equal(found, expected)


@given(SHAPES, st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_every_pair_that_a_member_stores_is_there_and_what_another_lacks_is_its_lowest(
    shape: tuple[int, int], first: int, second: int, seed: int
) -> None:
    one, two = made(shape, seed, stored=first), made(shape, seed + 1, stored=second)
    found = stack([one, two], [None, None])
    stored = [np.zeros(shape, bool), np.zeros(shape, bool)]
    for place, scores in enumerate((one, two)):
        entries = scores.tocoo().coords
        stored[place][entries] = True
    pairs = np.argwhere(stored[0] | stored[1])
    assert found.logits.shape == (2, len(pairs))
    for pair, (row, column) in enumerate(pairs):
        for place, scores in enumerate((one, two)):
            kept = dense(scores)[row][stored[place][row]]
            expected = dense(scores)[row, column] if stored[place][row, column] else kept.min()
            assert found.logits[place, pair] == pytest.approx(to_logits(np.array([expected]))[0])


def test_a_document_without_stored_scores_has_the_lowest_of_all() -> None:
    one = sp.csr_array(np.array([[0.5, 0.2, 0.0], [0.0, 0.0, 0.0]], np.float32))
    two = sp.csr_array(np.array([[0.0, 0.0, 0.6], [0.9, 0.0, 0.0]], np.float32))
    found = stack([one, two], [None, None]).average([0.5, 0.5]).toarray()
    mean = to_logits(np.array([0.2, 0.9])).mean()
    assert found[1, 0] == pytest.approx(to_probabilities(np.array([mean]))[0], rel=1e-3)
    assert found[1, 1] == 0


def test_no_stored_scores_at_all_average_to_none() -> None:
    empty = sp.csr_array((3, 4), dtype=np.float32)
    assert stack([empty, empty], [None, None]).average([0.5, 0.5]).nnz == 0
    assert stack([np.zeros((0, 4), np.float16)] * 2, [None, None]).average([0.5, 0.5]).shape == (0, 4)


@given(
    arrays(np.float64, st.integers(2, 40), elements=st.floats(-3, 3)),
    st.floats(0.1, 20),
    st.floats(-5, 5),
)
def test_margins_are_standardised_whatever_their_unit(values: np.ndarray, scale: float, shift: float) -> None:
    if values.std() < 1e-3:
        return
    one, other = measure_margins(values[None]), measure_margins((scale * values + shift)[None] / 40)
    np.testing.assert_allclose(
        to_logits(values, one), to_logits((scale * values + shift) / 40, other), atol=1e-6, rtol=1e-6
    )


def test_margins_of_labels_for_which_nothing_was_fitted_do_not_count() -> None:
    values = np.array([[-1.0, 1.0, -1e4, 1e4]])
    assert measure_margins(values) == Margins(0.0, 1.0)
    assert measure_margins(np.array([[-1e4]])) == Margins(0.0, 1.0)
    assert measure_margins(np.array([[0.5, 0.5]])) == Margins(0.5, 1.0)
    assert np.isfinite(to_logits(values, Margins(0.0, 1.0))).all()


def noisy(seed: int, *, quality: float) -> tuple[sp.csr_array, np.ndarray]:
    """Targets, always the same, and scores that tell them apart the better the higher `quality` is."""
    truth = np.random.default_rng(7).random((300, 6)) < 0.2
    logits = quality * (2 * truth - 1) + np.random.default_rng(seed).normal(0, 1, truth.shape)
    return sp.csr_array(truth), to_probabilities(logits).astype(np.float16)


@pytest.mark.parametrize("members", [2, 3, 5])
def test_weights_chosen_on_validation_prefer_the_better_run_and_sum_to_one(members: int) -> None:
    targets = noisy(0, quality=1)[0]
    scores = [noisy(place, quality=2.5 if place == 1 else 0.1)[1] for place in range(members)]
    stacked = stack(scores, [None] * members)
    found = fit_weights(targets, stacked)
    assert len(found) == members
    assert sum(found) == pytest.approx(1)
    assert min(found) > 0
    assert max(range(members), key=found.__getitem__) == 1
    assert found == fit_weights(targets, stacked)
    fitted = cuts.CrossFit(targets, stacked.average(found))
    assert fitted.f1(stacked.values(found)) > fitted.f1(stacked.values([1 / members] * members))


@pytest.mark.parametrize("members", [2, 3, 4])
def test_weights_that_change_nothing_are_equal(members: int) -> None:
    targets, scores = noisy(0, quality=1)
    stacked = stack([scores] * members, [None] * members)
    assert fit_weights(targets, stacked) == (1 / members,) * members


def stored_in(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    return scores.data if isinstance(scores, sp.csr_array) else scores.ravel()


@law(60)
@given(
    st.integers(0, 10**6),
    st.integers(5, 30),
    st.sampled_from([0.0, 0.05, 0.5]),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from([0.0, 0.4, 0.95]),
    st.sampled_from([0.0, 0.5]),
)
def test_cross_fitted_f1_is_that_of_thresholds_of_the_other_folds(
    seed: int, documents: int, share: float, digits: int, kind: type, left_out: float, shift: float
) -> None:
    # Few or many true labels, equal or different scores, probabilities or margins, all or some of them stored.
    rng = np.random.default_rng(seed)
    truth, drawn = rng.random((documents, 4)) < share, rng.random((documents, 4))
    scores = np.round(np.maximum(drawn, 1e-3) - shift, digits).astype(kind)
    if left_out:
        rows, columns = np.nonzero(rng.random(scores.shape) >= left_out)
        scores = sp.csr_array((scores[rows, columns].astype(np.float32), (rows, columns)), shape=scores.shape)
    targets, predicted = sp.csr_array(truth), np.zeros(truth.shape, bool)
    for rest, held in cuts.make_folds(documents):
        limit = thresholds.fit_global(targets[rest], scores[rest], rule="exact")
        predicted[held] = thresholds.apply(scores[held], limit).toarray()
    right = int((predicted & truth).sum())
    expected = 2 * right / max(int(predicted.sum()) + targets.nnz, 1)
    assert cuts.CrossFit(targets, scores).f1(stored_in(scores)) == expected
    assert cuts.CrossFit(targets[:3], scores[:3]).f1(stored_in(scores[:3])) == 0


def test_averages_of_blocks_are_those_of_all_pairs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = stack([made((20, 9), seed, stored=4 + seed) for seed in range(3)], [None] * 3)
    whole = stacked.values((0.2, 0.5, 0.3))
    monkeypatch.setattr(averages, "BLOCK", 7)
    np.testing.assert_array_equal(stacked.values((0.2, 0.5, 0.3)), whole)

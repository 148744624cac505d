"""Thresholds: nothing beats the exact one, grids are the paper's, and stored scores give the fitted figure again."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.metrics import cuts, label_sets, quiet, thresholds
from tests.helpers.laws import law

quick = law(50)

DTYPES = (np.float16, np.float32, np.float64)


@st.composite
def problems(draw: st.DrawFn) -> tuple[sp.csr_array, np.ndarray]:
    """Targets and dense scores with many ties, or neighbours that only just differ."""
    shape = draw(st.tuples(st.integers(0, 6), st.integers(1, 5)))
    dtype = draw(st.sampled_from(DTYPES))
    step = np.nextafter(dtype(0.5), dtype(1)) - dtype(0.5) if draw(st.booleans()) else dtype(0.125)
    scores = dtype(0.5) + step * draw(arrays(np.int64, shape, elements=st.integers(-6, 6))).astype(dtype)
    return sp.csr_array(draw(arrays(np.bool_, shape))), scores.astype(dtype)


def stored_best(scores: np.ndarray, kept: np.ndarray) -> sp.csr_array:
    """CSR with the scores at `kept`, zeros among them included."""
    rows, columns = np.nonzero(kept)
    values = scores[rows, columns].astype(np.float32)
    return sp.csr_array((values, (rows, columns)), shape=scores.shape)


def micro_f1_at(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, threshold: float) -> float:
    return label_sets.micro_f1(targets, thresholds.apply(scores, threshold))


def brute_force(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[float, int]:
    """Best micro-F1 of all cuts, and the fewest predicted labels that reach it."""
    values = scores.data if sp.issparse(scores) else scores
    cuts = [*np.unique(values.astype(np.float64)), -np.inf]
    results = []
    for cut in cuts:
        predicted = thresholds.apply(scores, cut)
        results.append((-label_sets.micro_f1(targets, predicted), predicted.nnz))
    best, predicted = min(results)
    return -best, predicted


@quick
@given(problems())
def test_exact_equals_brute_force(problem: tuple[sp.csr_array, np.ndarray]) -> None:
    targets, scores = problem
    threshold = thresholds.fit_global(targets, scores, rule="exact")
    best, fewest = brute_force(targets, scores)
    assert micro_f1_at(targets, scores, threshold) == best
    assert thresholds.apply(scores, threshold).nnz == fewest
    if best:
        values = np.unique(scores.astype(np.float64))
        assert threshold not in values or scores.dtype == np.float64
        above, below = values[values > threshold], values[values <= threshold]
        if len(below) and scores.dtype != np.float64:
            assert threshold == (above[0] + below[-1]) / 2


@quick
@given(problems(), st.data())
def test_exact_equals_brute_force_on_stored_scores(
    problem: tuple[sp.csr_array, np.ndarray], data: st.DataObject
) -> None:
    targets, dense = problem
    scores = stored_best(dense - dense.dtype.type(0.5), data.draw(arrays(np.bool_, dense.shape)))
    threshold = thresholds.fit_global(targets, scores, rule="exact")
    best, fewest = brute_force(targets, scores)
    assert micro_f1_at(targets, scores, threshold) == best
    assert thresholds.apply(scores, threshold).nnz == fewest


@quick
@given(problems(), st.sampled_from(["paper", "shift"]))
def test_a_grid_gives_the_first_of_its_best(problem: tuple[sp.csr_array, np.ndarray], rule: str) -> None:
    targets, scores = problem
    grid = thresholds.GRIDS[rule]
    results = [micro_f1_at(targets, scores, point) for point in grid]
    assert thresholds.fit_global(targets, scores, rule=rule) == grid[int(np.argmax(results))]


@quick
@given(problems())
def test_dense_and_fully_stored_scores_agree(problem: tuple[sp.csr_array, np.ndarray]) -> None:
    targets, scores = problem
    scores = scores.astype(np.float32)
    stored = stored_best(scores, np.ones(scores.shape, bool))
    for rule in thresholds.RULES:
        threshold = thresholds.fit_global(targets, scores, rule=rule)
        assert thresholds.fit_global(targets, stored, rule=rule) == threshold
        found, again = (thresholds.apply(kind, threshold).toarray() for kind in (scores, stored))
        np.testing.assert_array_equal(found, again)


@quick
@given(problems())
def test_order_does_not_matter_and_input_stays(problem: tuple[sp.csr_array, np.ndarray]) -> None:
    targets, scores = problem
    kept, truth = scores.copy(), targets.toarray()
    for rule in thresholds.RULES:
        threshold = thresholds.fit_global(targets, scores, rule=rule)
        assert thresholds.fit_global(sp.csr_array(truth[::-1, ::-1]), scores[::-1, ::-1], rule=rule) == threshold
    np.testing.assert_array_equal(scores, kept)
    np.testing.assert_array_equal(targets.toarray(), truth)


def test_grids_are_those_of_the_paper() -> None:
    assert thresholds.GRIDS["paper"].tolist() == [float(f"0.{i}") for i in range(40, 60)] + [0.6]
    assert len(thresholds.GRIDS["shift"]) == 201
    assert (thresholds.GRIDS["shift"][0], thresholds.GRIDS["shift"][100], thresholds.GRIDS["shift"][-1]) == (-1, 0, 1)
    targets, scores = sp.csr_array([[True, False]]), np.array([[0.9, 0.1]])
    assert thresholds.fit_global(targets, scores, rule="paper") == 0.4
    assert thresholds.fit_global(targets, scores, rule="fixed") == 0.5
    assert thresholds.fit_global(targets, scores, rule="zero") == 0


def test_a_score_equal_to_the_threshold_is_not_predicted() -> None:
    scores = np.array([[0.5, 0.5004883]], dtype=np.float16)
    assert thresholds.apply(scores, 0.5).toarray().tolist() == [[False, True]]
    assert thresholds.apply(stored_best(scores, np.ones((1, 2), bool)), 0.5).toarray().tolist() == [[False, True]]


def test_half_precision_scores_are_not_compared_in_half_precision() -> None:
    scores = np.array([[0.5, 0.5004883]], dtype=np.float16)
    threshold = thresholds.fit_global(sp.csr_array([[False, True]]), scores, rule="exact")
    assert np.float16(threshold) in scores  # in float16 the cut would be one of the two
    assert thresholds.apply(scores, threshold).toarray().tolist() == [[False, True]]


def test_neighbouring_doubles_are_told_apart() -> None:
    scores = np.array([[0.3, np.nextafter(0.3, 1), np.nextafter(np.nextafter(0.3, 1), 1)]])
    for best in range(3):
        targets = sp.csr_array(np.arange(3)[None] >= best)
        predicted = thresholds.apply(scores, thresholds.fit_global(targets, scores, rule="exact"))
        np.testing.assert_array_equal(predicted.toarray(), targets.toarray())


def test_predicting_everything_is_possible_where_it_is_best() -> None:
    scores = np.array([[0.0, 0.5], [0.25, 1.0]], dtype=np.float16)
    threshold = thresholds.fit_global(sp.csr_array(np.ones((2, 2), bool)), scores, rule="exact")
    assert threshold < 0
    assert thresholds.apply(scores, threshold).nnz == 4


def test_true_labels_without_a_stored_score_are_missed() -> None:
    scores = sp.csr_array((np.array([0.9, 0.8, 0.7], np.float32), ([0, 1, 2], [0, 0, 0])), shape=(3, 2))
    alone = sp.csr_array(np.array([[1, 0], [0, 0], [1, 0]], dtype=bool))
    assert thresholds.fit_global(alone, scores, rule="exact") < 0.7  # 2/3 for the first, 4/5 for all three
    more = sp.csr_array(np.array([[1, 1], [0, 0], [0, 0]], dtype=bool))
    threshold = thresholds.fit_global(more, scores, rule="exact")
    assert threshold == pytest.approx(0.85)
    assert micro_f1_at(more, scores, threshold) == pytest.approx(2 / 3)
    assert not thresholds.apply(scores, -1.0).toarray()[:, 1].any()


def test_missed_labels_move_the_best_cut() -> None:
    row = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0, 0]], dtype=np.float32)
    scores = stored_best(row, row > 0)
    two, four = (sp.csr_array([[1, 0, 0, 0, 1, missed, missed]]).astype(bool) for missed in (0, 1))
    assert thresholds.fit_global(two, scores, rule="exact") == pytest.approx(0.85)  # 2/3 against 4/7
    assert thresholds.fit_global(four, scores, rule="exact") < 0.5  # 2/5 against 4/9


def test_of_equally_good_cuts_the_highest_wins() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    assert thresholds.fit_global(sp.csr_array([[1, 0, 0, 1]]), scores, rule="exact") == pytest.approx(0.85)


def test_without_a_positive_nothing_is_predicted() -> None:
    scores = np.array([[0.3, 0.6]], dtype=np.float32)
    none = sp.csr_array((1, 2), dtype=bool)
    assert thresholds.fit_global(none, scores, rule="exact") == np.float32(0.6)
    assert thresholds.fit_global(none, scores, rule="paper") == 0.4
    unstored = sp.csr_array((np.array([0.6], np.float32), ([0], [1])), shape=(1, 2))
    assert thresholds.fit_global(sp.csr_array([[True, False]]), unstored, rule="exact") == np.float32(0.6)
    for empty in (np.zeros((0, 2), np.float16), sp.csr_array((0, 2), dtype=np.float32)):
        assert thresholds.fit_global(none[:0], empty, rule="exact") == 0.5
        assert thresholds.fit_global(none[:0], empty, rule="paper") == 0.4
        assert thresholds.apply(empty, 0.5).shape == (0, 2)


def test_zeros_stored_in_targets_are_no_positives() -> None:
    targets = sp.csr_array((np.array([0, 1], np.int8), ([0, 0], [0, 1])), shape=(1, 2))
    scores = np.array([[0.9, 0.4]], dtype=np.float32)
    expected = thresholds.fit_global(sp.csr_array([[False, True]]), scores, rule="exact")
    assert thresholds.fit_global(targets, scores, rule="exact") == expected
    assert thresholds.fit_global(targets, stored_best(scores, np.ones((1, 2), bool)), rule="exact") == expected


def test_bad_arguments_are_named() -> None:
    targets, scores = sp.csr_array([[True, False]]), np.array([[0.5, np.nan]])
    with pytest.raises(ValueError, match="'best'"):
        thresholds.fit_global(targets, scores, rule="best")
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(1, 1\)"):
        thresholds.fit_global(targets, scores[:, :1], rule="exact")
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        thresholds.fit_global(targets, scores, rule="exact")


# One threshold for each label


@quick
@given(problems(), st.booleans())
def test_scut_is_the_best_cut_of_every_label(problem: tuple[sp.csr_array, np.ndarray], as_stored: bool) -> None:
    targets, dense = problem
    scores = stored_best(dense.astype(np.float32), np.ones(dense.shape, bool)) if as_stored else dense
    limits = thresholds.fit_labels(targets, scores, rule="scut")
    predicted = thresholds.apply(scores, limits)
    for label in range(targets.shape[1]):
        column = targets[:, [label]]
        values = dense[:, [label]].astype(np.float32) if as_stored else dense[:, [label]]
        best, fewest = brute_force(column, values)
        assert label_sets.micro_f1(column, predicted[:, [label]]) == best
        assert predicted[:, [label]].nnz == (fewest if best else 0)


@quick
@given(problems(), st.sampled_from(thresholds.LABEL_RULES), st.data())
def test_thresholds_of_labels_follow_the_labels(
    problem: tuple[sp.csr_array, np.ndarray], rule: str, data: st.DataObject
) -> None:
    targets, scores = problem
    more = {"counts": np.arange(targets.shape[1]), "documents": 9}
    limits = thresholds.fit_labels(targets, scores, rule=rule, **more)
    assert limits.shape == (targets.shape[1],)
    assert not np.isnan(limits).any()
    order = data.draw(st.permutations(range(targets.shape[1])))
    turned = thresholds.fit_labels(
        sp.csr_array(targets.toarray()[:, order]), scores[:, order], rule=rule, **{**more, "counts": np.array(order)}
    )
    if rule != "per-label":  # sums in another order may break a tie between two strengths
        np.testing.assert_array_equal(turned, limits[order])
    stored = stored_best(scores.astype(np.float32), np.ones(scores.shape, bool))
    np.testing.assert_array_equal(
        thresholds.fit_labels(targets, stored, rule=rule, **more),
        thresholds.fit_labels(targets, scores.astype(np.float32), rule=rule, **more),
    )


def long_tail(seed: int, documents: int = 600) -> tuple[sp.csr_array, np.ndarray]:
    """Forty labels from frequent to very rare, whose scores are the probabilities, so that one threshold suits all."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(0.3, 0.003, 40)
    truth = rng.random((documents, 40)) < shares
    evidence = rng.normal(np.where(truth, 1.5, -1.5), 1.0)
    scores = 1 / (1 + np.exp(-3 * evidence) * (1 - shares) / shares)
    return sp.csr_array(truth), scores.astype(np.float32)


@pytest.mark.slow
def test_the_guard_of_per_label_does_not_lose_what_scut_loses_to_chance() -> None:
    losses = {"per-label": [], "scut": [], "scut-fbr": []}
    for seed in range(6):
        fitted, tested = long_tail(seed), long_tail(100 + seed, 4000)
        common = thresholds.fit_global(*fitted)
        best = label_sets.macro_f1(tested[0], thresholds.apply(tested[1], common))
        for rule, found in losses.items():
            limits = thresholds.fit_labels(*fitted, rule=rule)
            found.append(best - label_sets.macro_f1(tested[0], thresholds.apply(tested[1], limits)))
    assert np.mean(losses["scut"]) > 0.01
    assert np.mean(losses["per-label"]) < np.mean(losses["scut"]) / 2
    assert np.mean(losses["scut-fbr"]) < np.mean(losses["scut"]) + 0.01


def test_per_label_finds_labels_that_need_a_threshold_of_their_own() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((800, 6)) < 0.3
    scores = np.where(truth, 0.8, 0.6) + rng.normal(0, 0.03, truth.shape)
    scores[:, 3:] -= 0.5  # half of the labels score low
    targets = sp.csr_array(truth)
    one = label_sets.macro_f1(targets, thresholds.apply(scores, thresholds.fit_global(targets, scores)))
    each = label_sets.macro_f1(targets, thresholds.apply(scores, thresholds.fit_labels(targets, scores)))
    assert one < 0.8
    assert each > 0.99


# quiet: no label above the global threshold, and lower where its negatives score low


def logit(value: float) -> float:
    kept = min(max(value, quiet.CLIP), 1 - quiet.CLIP)
    return math.log(kept / (1 - kept))


def slow_limits(targets: np.ndarray, scores: np.ndarray, stored: np.ndarray, margin: float, unit: float) -> list[float]:
    """Thresholds of `quiet` at one margin, label by label, in logits, or in margins where `unit` is not 0."""
    kept = [
        sp.csr_array((scores[stored].astype(np.float64), np.nonzero(stored)), shape=scores.shape),
        scores.astype(np.float64),
    ]
    common = thresholds.fit_exact(sp.csr_array(targets), kept[bool(stored.all())])
    found = []
    for label in range(targets.shape[1]):
        negatives = [float(scores[row, label]) for row in np.flatnonzero(stored[:, label] & ~targets[:, label])]
        if not negatives or math.isinf(margin):
            found.append(common)
        elif unit:
            found.append(min(common, max(negatives) + margin * unit))
        else:
            raised = 1 / (1 + math.exp(-logit(max(negatives)) - margin))
            found.append(min(common, max(negatives) if not margin else raised))
    return found


def slow_quiet(
    targets: np.ndarray, scores: np.ndarray, stored: np.ndarray, unit: float = 0.0
) -> tuple[list[float], float]:
    """Thresholds of `quiet` and their margin: every margin of the grid, every fold, every score one by one."""
    documents = len(targets)
    places = np.random.default_rng(0).permutation(documents)
    parts = np.array_split(places, 5) if documents >= 5 else []
    best, chosen = Fraction(-1), math.inf
    for margin in [*(number / 10 for number in range(25)), math.inf]:
        right = given = 0
        for part in parts:
            rest = np.setdiff1d(places, part)
            limits = slow_limits(targets[rest], scores[rest], stored[rest], margin, unit)
            for row in part:
                for label in range(targets.shape[1]):
                    if stored[row, label] and float(scores[row, label]) > limits[label]:
                        given += 1
                        right += bool(targets[row, label])
        total = given + int(targets.sum())
        f1 = Fraction(2 * right, total) if total else Fraction(0)
        if f1 >= best:  # of equals the largest
            best, chosen = f1, margin
    return slow_limits(targets, scores, stored, chosen, unit), chosen


@st.composite
def quiet_problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, half precision scores of which those of true labels tend to be high, and which of them are stored."""
    shape = draw(st.tuples(st.integers(0, 14), st.integers(1, 5)))
    targets = draw(arrays(np.bool_, shape))
    steps = draw(arrays(np.int64, shape, elements=st.integers(-24, 24))) + draw(st.sampled_from([0, 20])) * targets
    ease = draw(arrays(np.int64, shape[1], elements=st.integers(-30, 10)))
    scores = (1 / (1 + np.exp(-(steps + ease) / 8))).astype(np.float16)
    return targets, scores, draw(arrays(np.bool_, shape)) if draw(st.booleans()) else np.ones(shape, bool)


def as_margins(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """The same scores as an SVM's margins, and a margin's unit, which stands for one logit."""
    margins = np.log(scores.astype(np.float64) / (1 - scores.astype(np.float64))).clip(-30, 30).astype(np.float16)
    highest = float(margins.max(initial=0.0))
    width = 2 * highest if highest else float(np.ptp(margins.astype(np.float64))) if margins.size else 0.0
    return margins, width / quiet.LOGITS


@quick
@given(quiet_problems(), st.booleans())
def test_quiet_equals_brute_force(problem: tuple[np.ndarray, np.ndarray, np.ndarray], margins: bool) -> None:
    targets, scores, stored = problem
    rule, unit = "quiet", 0.0
    if margins:
        rule, (scores, unit) = "quiet-margins", as_margins(scores)
        stored = np.ones(scores.shape, bool)
    given_scores = scores if stored.all() else stored_best(scores, stored)
    limits = thresholds.fit_labels(sp.csr_array(targets), given_scores, rule=rule)
    expected, margin = slow_quiet(targets, scores, stored, unit)
    np.testing.assert_allclose(limits, expected, rtol=1e-12)
    found = thresholds.apply(given_scores, limits).toarray()
    np.testing.assert_array_equal(found, stored & (scores > np.array(expected)))
    if math.isinf(margin):
        exact = thresholds.fit_global(sp.csr_array(targets), given_scores, rule="exact")
        np.testing.assert_array_equal(limits, np.full(targets.shape[1], exact))


@quick
@given(quiet_problems(), st.sampled_from(["quiet", "quiet-margins"]), st.data())
def test_quiet_is_never_above_the_global_threshold(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], rule: str, data: st.DataObject
) -> None:
    truth, scores, stored = problem
    targets, kept = sp.csr_array(truth), stored_best(scores, stored)
    common = thresholds.fit_global(targets, kept, rule="exact")
    limits = thresholds.fit_labels(targets, kept, rule=rule)
    assert (limits <= common).all()
    # A label without a stored score in a document that does not have it keeps the global threshold.
    silent = ~(stored & ~truth).any(axis=0)
    assert (limits[silent] == common).all()
    # Where a label's threshold is lower, no document without it is above.
    lowered = limits < common
    assert not (thresholds.apply(kept, limits).toarray() & ~truth)[:, lowered].any()
    # The order of labels does not matter.
    order = data.draw(st.permutations(range(truth.shape[1])))
    turned = thresholds.fit_labels(
        sp.csr_array(truth[:, order]), stored_best(scores[:, order], stored[:, order]), rule=rule
    )
    np.testing.assert_array_equal(turned, limits[order])


@quick
@given(quiet_problems(), st.data())
def test_quiet_knows_documents_by_their_fold_alone(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    """Folds are fixed by position: documents that change places within their folds change nothing."""
    truth, scores, stored = problem
    order = np.arange(len(truth))
    for _, held in cuts.make_folds(len(truth)):
        order[held] = data.draw(st.permutations(held.tolist()))
    limits = thresholds.fit_labels(sp.csr_array(truth), stored_best(scores, stored), rule="quiet")
    moved = thresholds.fit_labels(sp.csr_array(truth[order]), stored_best(scores[order], stored[order]), rule="quiet")
    np.testing.assert_array_equal(moved, limits)


def quiet_tail(seed: int, documents: int = 400) -> tuple[sp.csr_array, np.ndarray]:
    """Ten labels that score high and thirty rare ones that score low, but highest where they are true."""
    rng = np.random.default_rng(seed)
    truth = rng.random((documents, 40)) < np.repeat([0.2, 0.01], [10, 30])
    logits = np.where(truth, 4.0, -4.0) + rng.normal(0, 1.0, truth.shape)
    logits[:, 10:] -= 7.0
    return sp.csr_array(truth), (1 / (1 + np.exp(-logits))).astype(np.float16)


def test_quiet_finds_rare_labels_that_score_low() -> None:
    fitted, (targets, scores) = quiet_tail(0), quiet_tail(1, 4000)
    one, each = (thresholds.apply(scores, thresholds.fit(*fitted, rule=rule)) for rule in ("exact", "quiet"))
    assert label_sets.micro_f1(targets, each) > label_sets.micro_f1(targets, one)
    assert label_sets.macro_f1(targets, one) < 0.7
    assert label_sets.macro_f1(targets, each) > 0.85
    margins = [np.log(part / (1 - part)) / 4 for part in (fitted[1].astype(np.float64), scores.astype(np.float64))]
    limits = thresholds.fit(fitted[0], margins[0], rule="quiet-margins")
    assert label_sets.macro_f1(targets, thresholds.apply(margins[1], limits)) > 0.85


def test_margins_of_another_scale_have_thresholds_of_that_scale() -> None:
    targets, scores = quiet_tail(0)
    margins, _ = as_margins(scores)
    limits = thresholds.fit_labels(targets, margins.astype(np.float64), rule="quiet-margins")
    assert len(np.unique(limits)) > 1
    smaller = thresholds.fit_labels(targets, margins.astype(np.float64) / 4, rule="quiet-margins")
    np.testing.assert_allclose(4 * smaller, limits)
    # A label that nothing was fitted for has a margin far below, which is no part of the scale.
    far = np.column_stack([margins.astype(np.float64), np.full(len(margins), -100.0)])
    wider = sp.csr_array(np.column_stack([targets.toarray(), np.zeros(len(margins), bool)]))
    found = thresholds.fit_labels(wider, far, rule="quiet-margins")
    np.testing.assert_array_equal(found[:-1], limits)
    assert not thresholds.apply(far, found).toarray()[:, -1].any()


@pytest.mark.parametrize("rule", ["quiet", "quiet-margins"])
def test_quiet_of_little_is_the_global_threshold(rule: str) -> None:
    for documents in (0, 1, 4):
        truth, scores = np.eye(4, 3, dtype=bool)[:documents], np.full((documents, 3), 0.25, np.float32)
        scores[truth] = 0.75
        common = thresholds.fit_global(sp.csr_array(truth), scores, rule="exact")
        np.testing.assert_array_equal(thresholds.fit_labels(sp.csr_array(truth), scores, rule=rule), [common] * 3)
        stored = stored_best(scores, np.ones(scores.shape, bool))
        np.testing.assert_array_equal(thresholds.fit_labels(sp.csr_array(truth), stored, rule=rule), [common] * 3)
    assert thresholds.fit_labels(sp.csr_array((0, 2), dtype=bool), np.zeros((0, 2)), rule=rule).tolist() == [0.5, 0.5]
    assert thresholds.fit_labels(sp.csr_array((7, 0), dtype=bool), np.zeros((7, 0)), rule=rule).shape == (0,)
    nothing = sp.csr_array((7, 2), dtype=np.float32)
    assert thresholds.fit_labels(sp.csr_array(np.ones((7, 2), bool)), nothing, rule=rule).tolist() == [0.5, 0.5]


def test_scut_fbr_never_predicts_a_label_that_validation_does_not_have() -> None:
    scores = np.random.default_rng(0).random((40, 3))
    truth = scores > 0.6
    truth[:, 2] = False
    limits = thresholds.fit_labels(sp.csr_array(truth), scores, rule="scut-fbr")
    assert limits[2] == scores[:, 2].max()
    assert thresholds.apply(scores, limits).toarray().any(axis=0).tolist() == [True, True, False]


@quick
@given(problems(), st.data())
def test_pcut_predicts_the_share_of_training(problem: tuple[sp.csr_array, np.ndarray], data: st.DataObject) -> None:
    targets, scores = problem
    documents = max(len(scores), 1)
    counts = data.draw(arrays(np.int64, scores.shape[1], elements=st.integers(0, documents)))
    limits = thresholds.fit_labels(targets, scores, rule="pcut", counts=counts, documents=documents)
    given_ = thresholds.apply(scores, limits).toarray().sum(axis=0)
    for label in range(scores.shape[1] if len(scores) else 0):
        reachable = [int((scores[:, label] > cut).sum()) for cut in [*np.unique(scores[:, label]), -np.inf]]
        assert given_[label] == max(number for number in reachable if number <= counts[label])


@quick
@given(problems(), st.integers(1, 6))
def test_top_labels_are_the_highest_scores(problem: tuple[sp.csr_array, np.ndarray], k: int) -> None:
    targets, scores = problem
    scores = scores.astype(np.float32)
    stored = stored_best(scores, np.ones(scores.shape, bool))
    chosen = thresholds.top_labels(scores, k)
    assert (chosen.toarray().sum(axis=1) == min(k, scores.shape[1])).all()
    for row, given_ in zip(scores, chosen.toarray(), strict=True):
        assert (not given_.all() and row[given_].min() >= row[~given_].max()) or given_.all()
    np.testing.assert_array_equal(thresholds.top_labels(stored, k).toarray(), chosen.toarray())
    best = thresholds.fit_top_k(targets, scores)
    results = [label_sets.micro_f1(targets, thresholds.top_labels(scores, k)) for k in range(1, scores.shape[1] + 1)]
    assert best == int(np.argmax(results)) + 1


def test_bad_arguments_of_label_rules_are_named() -> None:
    targets, scores = sp.csr_array([[True, False]]), np.array([[0.5, np.nan]])
    with pytest.raises(ValueError, match="'best'"):
        thresholds.fit_labels(targets, scores, rule="best")
    with pytest.raises(ValueError, match="needs counts"):
        thresholds.fit_labels(targets, scores, rule="pcut")
    for rule in ("scut", "pcut"):
        with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
            thresholds.fit_labels(targets, scores, rule=rule, counts=np.ones(2), documents=3)
        with pytest.raises(ValueError, match=r"\(1, 2\).*\(1, 1\)"):
            thresholds.fit_labels(targets, scores[:, :1], rule=rule, counts=np.ones(2), documents=3)


@law(15)
@given(problems(), st.booleans())
def test_keys_sort_as_the_scores_do(problem: tuple[sp.csr_array, np.ndarray], below_zero: bool) -> None:
    scores = problem[1]
    scores = scores - scores.dtype.type(0.5) if below_zero else scores  # margins, 0 and -0 among them
    scores = np.where(scores == 0, -np.abs(scores), scores)
    labels, values = cuts.label_columns(scores), scores.astype(np.float64).ravel()
    np.testing.assert_array_equal(cuts.order_by_label(labels, values), np.lexsort((-values, labels)))
    stored = stored_best(scores, np.ones(scores.shape, np.bool_))
    rows = cuts.document_rows(stored)
    np.testing.assert_array_equal(
        cuts.order_by_document(stored), np.lexsort((stored.indices, -stored.data.astype(np.float64), rows))
    )
    rising = np.argsort(cuts.sort_keys(values), kind="stable")
    np.testing.assert_array_equal(rising, np.argsort(values, kind="stable"))


@law(15)
@given(problems(), st.integers(0, 63))
def test_cuts_among_some_documents_are_those_of_these_documents(
    problem: tuple[sp.csr_array, np.ndarray], chosen: int
) -> None:
    targets, scores = problem
    some = np.array([bool(chosen >> row & 1) for row in range(len(scores))], np.bool_)
    mine = cuts.LabelCuts(targets, scores).among(some)
    other = cuts.LabelCuts(targets[np.flatnonzero(some)], scores[some])
    for name in ("labels", "values", "hits", "tp", "given", "last", "middles", "positives", "starts"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(other, name))
    limits = np.full(targets.shape[1], 0.5)
    expected = label_sets.count_errors(targets[np.flatnonzero(some)], thresholds.apply(scores[some], limits))
    np.testing.assert_array_equal(mine.errors(limits), expected)
    several = np.stack([limits, limits / 2, limits * 2])
    each = np.stack([mine.errors(one) for one in several], axis=1)
    np.testing.assert_array_equal(mine.errors(several), each)


@law(25)
@given(problems(), st.sampled_from([1, 2, 10**9]))
def test_cuts_far_below_are_left_out_where_they_cannot_be_the_best(
    problem: tuple[sp.csr_array, np.ndarray], near: int
) -> None:
    targets, scores = problem
    with pytest.MonkeyPatch.context() as patch:
        usual = thresholds.fit_labels(targets, scores, rule="per-label")
        patch.setattr(thresholds, "NEAR", near)
        np.testing.assert_array_equal(thresholds.fit_labels(targets, scores, rule="per-label"), usual)


@pytest.mark.parametrize("near", [1, 4, 10**9])
@pytest.mark.parametrize("seed", range(3))
def test_cuts_of_a_long_tail_are_the_same_however_few_are_tried_at_first(
    near: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets, scores = long_tail(seed)
    every = cuts.LabelCuts(targets, scores)
    order = np.argsort(every.values, kind="stable")
    monkeypatch.setattr(thresholds, "NEAR", near)
    guard = thresholds._Shrinking(every, every.values[order], every.hits[order])
    assert (len(guard._places) < every.last.sum()) == (near < 10**9)
    found = [guard.limits(strength) for strength in thresholds.STRENGTHS]
    monkeypatch.setattr(thresholds, "NEAR", 10**9)
    plain = thresholds._Shrinking(every, every.values[order], every.hits[order])
    np.testing.assert_array_equal(found, [plain.limits(strength) for strength in thresholds.STRENGTHS])

"""Uncertainty: a resample is scored as if its documents had been repeated, pairs are pairs, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.labels.groups import UNSEEN, Borders
from core.metrics import label_sets, uncertainty
from tests.helpers.laws import law

quick = law(40)

BORDERS = Borders(35, 8)
pairs = st.tuples(st.integers(0, 8), st.integers(0, 5)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
Pair = tuple[np.ndarray, np.ndarray]


def sparse(pair: Pair) -> tuple[sp.csr_array, sp.csr_array]:
    return sp.csr_array(pair[0]), sp.csr_array(pair[1])


@quick
@given(pairs, st.data())
def test_a_fold_scores_its_documents_as_often_as_they_were_drawn(pair: Pair, data: st.DataObject) -> None:
    counts = data.draw(arrays(np.int64, pair[0].shape[1], elements=st.sampled_from([0, 8, 20, 35])))
    weights = uncertainty.resample(len(pair[0]), folds=3, seed=data.draw(st.integers(0, 5)))
    assert (weights.sum(axis=1) == len(pair[0])).all()
    borders = data.draw(st.sampled_from([BORDERS, Borders(35, 8, unseen_apart=True)]))
    found = uncertainty.bootstrap(*sparse(pair), counts, borders, weights=weights)
    assert found.shape == (3, len(uncertainty.COLUMNS))
    sizes = pair[0].sum(axis=1)
    for fold, drawn in zip(found, weights.astype(int), strict=True):
        repeated = tuple(sp.csr_array(np.repeat(part, drawn, axis=0)) for part in pair)
        scores = {UNSEEN: {"micro_f1": None, "macro_f1": None}} | label_sets.score_groups(*repeated, counts, borders)
        for value, column in zip(fold, uncertainty.COLUMNS, strict=True):
            group, name = column.split("/")
            if (group == "single_label" and (sizes == 1).any()) or (group == "multi_label" and (sizes > 1).any()):
                expected = scores[group][name] or 0.0  # none of the stratum drawn
            else:
                expected = scores[group][name]
            if pair[0].shape[1] == 0 or expected is None:
                assert np.isnan(value)
            else:
                assert value == pytest.approx(expected, abs=1e-6)


@quick
@given(pairs, st.data())
def test_scores_on_the_documents_as_they_are_are_those_of_the_groups(pair: Pair, data: st.DataObject) -> None:
    counts = data.draw(arrays(np.int64, pair[0].shape[1], elements=st.sampled_from([0, 8, 20, 35])))
    targets, predicted = sparse(pair)
    borders = data.draw(st.sampled_from([BORDERS, Borders(35, 8, unseen_apart=True)]))
    found = uncertainty.Resamples(targets, uncertainty.resample(len(pair[0]), folds=2))
    scores, samples, hits, labels = found.score(predicted, counts, borders)
    expected = label_sets.score_groups(targets, predicted, counts, borders)
    assert (UNSEEN in expected) == bool(borders.unseen_apart and (counts == 0).any())
    expected.setdefault(UNSEEN, {"micro_f1": None, "macro_f1": None})
    for place, column in enumerate(uncertainty.COLUMNS):
        group, name = column.split("/")
        value = expected[group][name]
        assert (np.isnan(scores[place]) and value is None) or scores[place] == value
        assert np.isnan(samples[:, place]).all() == np.isnan(scores[place])
    assert hits[0] == (pair[0] & pair[1]).any(axis=0).sum()
    assert labels[0] == pair[0].any(axis=0).sum()


def test_blocks_of_folds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pair = sp.csr_array(rng.random((50, 6)) < 0.3), sp.csr_array(rng.random((50, 6)) < 0.3)
    counts = np.array([99, 40, 20, 20, 3, 0])
    whole = uncertainty.bootstrap(*pair, counts, BORDERS, folds=40)
    monkeypatch.setattr(uncertainty, "NUMBERS", 60)
    np.testing.assert_array_equal(uncertainty.bootstrap(*pair, counts, BORDERS, folds=40), whole)


def test_the_same_seed_draws_the_same_documents() -> None:
    np.testing.assert_array_equal(uncertainty.resample(30, folds=5), uncertainty.resample(30, folds=5))
    assert (uncertainty.resample(30, folds=5, seed=1) != uncertainty.resample(30, folds=5)).any()
    assert uncertainty.resample(0, folds=5).shape == (5, 0)


def population(rng: np.random.Generator, documents: int) -> Pair:
    """A long tail, a classifier that misses more of the rare labels."""
    shares = np.geomspace(0.3, 0.002, 30)
    truth = rng.random((documents, 30)) < shares
    return truth, (truth & (rng.random(truth.shape) < np.linspace(0.95, 0.4, 30))) | (
        rng.random(truth.shape) < shares * 0.1
    )


def test_intervals_of_micro_f1_cover_the_population() -> None:
    rng = np.random.default_rng(0)
    counts = np.full(30, 40)
    truth = label_sets.micro_f1(*sparse(population(rng, 100_000)))
    inside = 0
    for _ in range(60):
        pair = sparse(population(rng, 300))
        samples = uncertainty.bootstrap(*pair, counts, BORDERS, folds=200)[:, 0]
        low, high = uncertainty.interval(label_sets.micro_f1(*pair), samples)
        inside += low <= truth <= high
    assert 50 <= inside <= 60  # 95 % of 60 is 57


def test_intervals_lie_around_the_score_even_where_resamples_lose_labels() -> None:
    pair = sparse(population(np.random.default_rng(1), 300))
    score = label_sets.macro_f1(*pair)
    samples = uncertainty.bootstrap(*pair, np.full(30, 40), BORDERS)[:, 1]
    assert samples.mean() < score - 0.02  # labels with one or two documents are missing from many resamples
    low, high = uncertainty.interval(score, samples)
    assert low < score < high
    assert high - low == pytest.approx(np.subtract(*np.percentile(samples, [97.5, 2.5])))


def test_a_pair_of_runs_is_told_apart_better_than_two_runs_alone() -> None:
    rng = np.random.default_rng(2)
    truth, given_ = population(rng, 800)
    worse = given_ & (rng.random(given_.shape) < 0.95)
    counts = np.full(30, 40)
    one, two = (
        uncertainty.bootstrap(sp.csr_array(truth), sp.csr_array(part), counts, BORDERS)[:, 0]
        for part in (given_, worse)
    )
    gain = label_sets.micro_f1(sp.csr_array(truth), sp.csr_array(given_)) - label_sets.micro_f1(
        sp.csr_array(truth), sp.csr_array(worse)
    )
    ends = uncertainty.interval(gain, one - two)
    assert uncertainty.is_significant(ends)
    assert ends[1] - ends[0] < (one - two[::-1]).std() * 3.92
    assert not uncertainty.is_significant(uncertainty.interval(0.0, one - one))
    assert uncertainty.is_significant(np.array([[0.1, -1, np.nan, -2], [0.2, 1, np.nan, -1]])).tolist() == [
        *(True, False, False, True)
    ]


def test_seeds_drawn_again_spread_as_the_mean_of_new_ones_does() -> None:
    rng = np.random.default_rng(0)
    for seeds in (2, 3, 5):
        scores = rng.normal(0, 1, seeds)
        samples = [np.full((4000, 1), score) for score in scores]
        spread = uncertainty.resample_seeds(samples, seed=0).var()
        assert spread == pytest.approx(scores.var(ddof=1) / seeds, rel=0.1)
    one = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(uncertainty.resample_seeds([one], seed=0), one)
    np.testing.assert_allclose(uncertainty.resample_seeds([one, one, one], seed=0), one)


def test_rows_draw_their_seeds_apart_and_documents_together() -> None:
    samples = [np.full((500, 1), score) for score in (0.0, 1.0, 2.0)]
    mine, again, other = (uncertainty.resample_seeds(samples, seed=seed)[:, 0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(mine, again)
    assert abs(np.corrcoef(mine, other)[0, 1]) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "deviation"), [(3, (1.0, 1.0)), (3, (3.0, 3.0)), (3, (6.0, 1.0)), (5, (3.0, 3.0))])
def test_intervals_of_differences_over_seeds_and_documents_hold_their_level(
    seeds: int, deviation: tuple[float, float]
) -> None:
    rng, folds, trials, known = np.random.default_rng(0), 400, 600, 5.0
    inside = 0
    for _ in range(trials):
        # Documents move the difference by what this test part is, and their resamples around it.
        part, documents = rng.normal(0, 2.0), rng.normal(0, 2.0, folds)
        luck = [rng.normal(0, one, seeds) for one in deviation]
        score = known + part + luck[0].mean() - luck[1].mean()
        parts = [
            [(value + move)[:, None] for value in one]
            for one, move in zip(luck, (documents, 0 * documents), strict=True)
        ]
        drawn = [uncertainty.resample_seeds(one, seed=int(rng.integers(1 << 30))) for one in parts]
        samples = drawn[0] - drawn[1]
        variances = [(np.array([one.var(ddof=1) / seeds]), seeds) for one in luck]
        free = uncertainty.freedom(samples.var(axis=0), variances)
        low, high = uncertainty.interval(np.array([score]), samples, freedom=free)
        inside += low[0] <= known <= high[0]
    assert 0.91 <= inside / trials <= 0.985


def test_degrees_of_freedom_are_those_of_the_noisiest_part() -> None:
    two = np.array([4.0])
    assert uncertainty.freedom(two, [(two, 3), (np.zeros(1), 3)]) == pytest.approx(2)
    assert uncertainty.freedom(2 * two, [(two, 3), (two, 3)]) == pytest.approx(4)
    assert uncertainty.freedom(two, [(np.zeros(1), 3)]) == np.inf
    assert uncertainty.freedom(two, [(np.zeros(1), 1)]) == np.inf
    assert uncertainty.freedom(100 * two, [(two, 3)])[0] > 1000, "documents count as known"


def test_few_degrees_of_freedom_and_higher_levels_widen_an_interval_as_t_does() -> None:
    samples = np.random.default_rng(0).normal(0, 1, (1000, 1))
    usual = uncertainty.interval(np.zeros(1), samples)
    wide = uncertainty.interval(np.zeros(1), samples, freedom=2.0)
    np.testing.assert_allclose(wide / usual, 4.302653 / 1.959964, rtol=1e-5)
    np.testing.assert_allclose(uncertainty.interval(np.zeros(1), samples, freedom=1e18), usual)
    assert uncertainty.p_values(np.ones(1), samples, np.array([1e18])) == uncertainty.p_values(np.ones(1), samples)
    higher = uncertainty.interval(np.zeros(1), samples, level=0.99)
    np.testing.assert_allclose(higher / usual, 2.575829 / 1.959964, rtol=1e-5)
    assert uncertainty.interval(np.array([0.99]), samples, bounds=(0, 1)).ravel().tolist() == [0.0, 1.0]


@quick
@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=12))
def test_levels_of_holm_reject_what_his_procedure_rejects(values: list[float]) -> None:
    p = np.array(values)
    bars = 0.05 / np.arange(1, 13)
    assume(not np.isclose(p[:, None], bars, rtol=1e-9, atol=0).any())  # A p on the bar itself is a matter of rounding.
    levels = uncertainty.holm_levels(p)
    tested = sorted((value, place) for place, value in enumerate(values) if not np.isnan(value))
    rejected: set[int] = set()
    for step, (value, place) in enumerate(tested):
        if value >= 0.05 / (len(tested) - step):
            break
        rejected.add(place)
    assert {place for place, value in enumerate(values) if value < 1 - levels[place]} == rejected
    assert ((levels >= 0.95 - 1e-12) & (levels < 1)).all()


@quick
@given(st.integers(0, 1000), st.floats(-3, 3), st.sampled_from([2.0, 4.5, np.inf]))
def test_an_interval_leaves_out_0_from_its_p_value_on(seed: int, score: float, free: float) -> None:
    samples = np.random.default_rng(seed).gamma(2.0, 0.5, (300, 1))
    (p,) = uncertainty.p_values(np.array([score]), samples, free)
    for factor, out in ((0.98, False), (1.02, True)):
        if 1e-9 < p * factor < 1:
            ends = uncertainty.interval(np.array([score]), samples, level=1 - p * factor, freedom=free)
            assert uncertainty.is_significant(ends)[0] == (out and score != 0)


def test_seeds_that_would_settle_a_difference_do_and_fewer_do_not() -> None:
    rng = np.random.default_rng(0)
    gap, seed_noise, documents = 3.0, 2 * 2.0**2, 0.8**2
    needed = uncertainty.seeds_needed(gap, seed_noise, documents)
    assert needed is not None

    def found(seeds: int) -> float:
        hits = 0
        for _ in range(2000):
            luck = rng.normal(0, 2.0, (2, seeds))
            variance = luck.var(axis=1, ddof=1) / seeds
            total = np.array([variance.sum() + documents])
            free = uncertainty.freedom(total, [(variance[:1], seeds), (variance[1:], seeds)])
            drawn = gap + luck[0].mean() - luck[1].mean() + rng.normal(0, documents**0.5)
            hits += abs(drawn) > uncertainty._quantile(0.95, free)[0] * total[0] ** 0.5
        return hits / 2000

    assert found(needed) == pytest.approx(uncertainty.POWER, abs=0.06)
    assert found(max(needed // 2, 2)) < 0.7
    assert uncertainty.seeds_needed(0.5, seed_noise, documents) is None, "documents alone hide it"
    assert uncertainty.seeds_needed(0.0, 1.0, 0.0) is None
    assert uncertainty.seeds_needed(0.02, 0.0, 0.005**2) == 2, "no seed noise at all"
    assert uncertainty.seeds_needed(0.02, 1e-18, 0.005**2) == 2
    assert uncertainty.seeds_needed(gap, 100 * seed_noise, documents, most=100) is None


def test_seeds_have_a_mean_and_a_deviation() -> None:
    table = uncertainty.over_seeds([[1.0, 5.0], [3.0, 5.0]])
    assert table.to_dict("list") == {
        "seeds": [2, 2],
        "mean": [2.0, 5.0],
        "deviation": [pytest.approx(2**0.5), 0.0],
    }
    assert uncertainty.over_seeds([[1.0]])["deviation"].isna().all()


@quick
@given(arrays(np.int64, (3, 6), elements=st.integers(0, 40)))
def test_intervals_of_labels_hold_their_f1(errors: np.ndarray) -> None:
    low, high = uncertainty.label_intervals(*errors)
    f1 = label_sets.f1(*errors)
    assert ((low >= 0) & (low <= f1 + 1e-12) & (f1 <= high + 1e-12) & (high <= 1)).all()
    twice = uncertainty.label_intervals(*(2 * errors))
    assert (twice[1] - twice[0] <= high - low + 1e-12).all()
    nothing = errors.sum(axis=0) == 0
    assert (low[nothing] == 0).all()
    assert (high[nothing] == 1).all()


def test_wilsons_interval_is_that_of_the_books() -> None:
    low, high = uncertainty.label_intervals(np.array([8]), np.array([1]), np.array([1]))
    share = [(8 + 1.92073) / 13.84146 + side * 1.959964 * (8 * 2 / 10 + 0.960365) ** 0.5 / 13.84146 for side in (-1, 1)]
    assert [low[0], high[0]] == pytest.approx([2 * j / (1 + j) for j in share], abs=1e-5)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        uncertainty.bootstrap(*(sp.csr_array((2, n), dtype=bool) for n in (3, 4)), np.zeros(3), BORDERS)
    with pytest.raises(ValueError, match=r"predicted holds 0\.5"):
        uncertainty.bootstrap(sp.csr_array([[True]]), sp.csr_array([[0.5]]), np.zeros(1), BORDERS)

"""Scores: every metric of the dict obeys every law; groups and the table per label add up to the same counts."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    hamming_loss,
    label_ranking_average_precision_score,
    ndcg_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

from core.labels import groups
from core.labels.groups import Borders
from core.metrics import calibration, label_sets, summary
from core.metrics import ranking as metrics_ranking
from core.metrics.label_sets import METRICS
from core.metrics.ranking import (
    RANKINGS,
    average_precisions,
    inverse_propensities,
    label_ranking_average_precision,
    mean_average_precision,
    ndcg_at,
    precision_at,
    propensity_scores_at,
    r_precision_at,
    rank_labels,
    recall_at,
)
from core.metrics.slices import length_slices, score_slices, size_slices
from tests.helpers.laws import law

quick = law(50)

BORDERS = Borders(35, 8)
EMPTY = {"micro_f1": None, "macro_f1": None}
REFERENCES = {
    f"{average}_{name}": partial(score, average=average, zero_division=0)
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score))
    for average in ("micro", "macro", "samples")
} | {"hamming_loss": hamming_loss, "subset_accuracy": accuracy_score}

pairs = st.tuples(st.integers(1, 8), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
Pair = tuple[np.ndarray, np.ndarray]


def score(name: str, pair: Pair) -> float:
    return METRICS[name](*(sp.csr_array(part) for part in pair))


def test_every_metric_with_a_reference_has_one() -> None:
    assert REFERENCES.keys() == METRICS.keys()


@quick
@given(pair=pairs)
def test_every_metric_equals_scikit_learn(pair: Pair) -> None:
    numbers = [part.astype(int) for part in pair]
    for name in METRICS:
        assert score(name, pair) == pytest.approx(REFERENCES[name](*numbers)), name


@quick
@given(pair=pairs, data=st.data())
def test_order_of_documents_and_labels_does_not_matter(pair: Pair, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(pair[0].shape[0])))
    columns = data.draw(st.permutations(range(pair[0].shape[1])))
    turned = (pair[0][rows][:, columns], pair[1][rows][:, columns])
    for name in METRICS:
        assert score(name, turned) == pytest.approx(score(name, pair), rel=1e-12), name


@quick
@given(pair=pairs)
def test_every_metric_is_between_0_and_1_and_1_only_if_perfect(pair: Pair) -> None:
    truth = np.vstack([pair[0], np.ones((1, pair[0].shape[1]), bool)])
    truth[:, 0] = True  # no document without labels, no label without documents
    wrong = np.vstack([pair[1], np.ones((1, pair[0].shape[1]), bool)])
    for name in METRICS:
        assert 0 <= score(name, pair) <= 1, name
        perfect = 0 if name == "hamming_loss" else 1
        assert score(name, (truth, truth)) == perfect, name
        if not name.endswith(("precision", "recall")):  # one of the two may be perfect alone
            assert (score(name, (truth, wrong)) == perfect) == (truth == wrong).all(), name


@quick
@given(pair=pairs)
def test_what_a_metric_reads_stays(pair: Pair) -> None:
    arguments = [sp.csr_array(part.astype(np.int8)) for part in pair]
    before = [(part.data.copy(), part.indices.copy(), part.indptr.copy()) for part in arguments]
    for metric in METRICS.values():
        metric(*arguments)
        for part, kept in zip(arguments, before, strict=True):
            for now, then in zip((part.data, part.indices, part.indptr), kept, strict=True):
                np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", METRICS)
class TestMetrics:
    @pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0), (0, 0)])
    def test_nothing_true_and_nothing_predicted_is_0(self, name: str, shape: tuple[int, int]) -> None:
        nothing = np.zeros(shape, bool)
        exactly_right = name == "subset_accuracy" and shape[0] > 0
        assert score(name, (nothing, nothing)) == exactly_right

    def test_how_the_arrays_are_stored_does_not_matter(self, name: str) -> None:
        truth, given_ = np.array([[1, 0, 1]]), np.array([[1, 1, 0]])
        twice = sp.csr_array((np.array([1, 1, 0, 1]), np.array([2, 2, 1, 0]), np.array([0, 4])), shape=(1, 3))
        assert METRICS[name](twice, sp.csr_array(given_)) == score(name, (truth, given_))

    def test_shapes_that_differ_are_named(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
            score(name, (np.zeros((2, 3), bool), np.zeros((2, 4), bool)))

    def test_scores_are_no_predictions(self, name: str) -> None:
        truth = sp.csr_array([[True, False, True]])
        for given_ in (np.array([[0.0, 0.37, 1.0]]), np.array([[0, 2, 1]])):
            for predicted in (given_, sp.csr_array(given_)):
                with pytest.raises(ValueError, match=r"predicted holds (0\.37|2), expected 0 and 1 alone"):
                    METRICS[name](truth, predicted)
        with pytest.raises(ValueError, match="predicted holds nan"):
            METRICS[name](truth, sp.csr_array([[0.0, np.nan, 1.0]]))
        expected = METRICS[name](truth, sp.csr_array([[True, True, False]]))
        for dtype in (np.int8, np.int64, np.float32):
            assert METRICS[name](truth, sp.csr_array([[1, 1, 0]], dtype=dtype)) == expected


@quick
@given(pairs)
def test_errors_are_counted_by_label(pair: Pair) -> None:
    truth, given_ = pair
    tp, fp, fn = label_sets.count_errors(*(sp.csr_array(part) for part in pair))
    assert tp.tolist() == (truth & given_).sum(axis=0).tolist()
    assert fp.tolist() == (~truth & given_).sum(axis=0).tolist()
    assert fn.tolist() == (truth & ~given_).sum(axis=0).tolist()
    assert {part.dtype for part in (tp, fp, fn)} == {np.dtype(np.int64)}


@quick
@given(pairs, st.data())
def test_groups_equal_scikit_learn_on_their_part(pair: Pair, data: st.DataObject) -> None:
    truth, given_ = (part.astype(int) for part in pair)
    n_labels = truth.shape[1]
    counts = data.draw(arrays(np.int64, n_labels, elements=st.sampled_from([0, 8, 9, 34, 35, 99])))
    scores = label_sets.score_groups(*(sp.csr_array(part) for part in pair), counts, BORDERS)
    rows, columns = np.arange(len(truth)), np.arange(n_labels)
    chosen = {
        "all": (rows, columns),
        "head": (rows, columns[counts >= 35]),
        "medium": (rows, columns[(counts > 8) & (counts < 35)]),
        "tail": (rows, columns[counts <= 8]),
        "single_label": (rows[truth.sum(axis=1) == 1], columns),
        "multi_label": (rows[truth.sum(axis=1) >= 2], columns),
    }
    assert list(scores) == list(chosen)
    for group, (some, of) in chosen.items():
        if not len(some) or not len(of):
            assert scores[group] == EMPTY
            continue
        part = (truth[np.ix_(some, of)], given_[np.ix_(some, of)])
        if len(of) == 1:  # scikit-learn takes one column for a binary problem
            part = tuple(np.c_[values, np.zeros_like(values)] for values in part)
        wide = 2 if len(of) == 1 else 1
        assert scores[group]["micro_f1"] == pytest.approx(REFERENCES["micro_f1"](*part))
        assert scores[group]["macro_f1"] == pytest.approx(wide * REFERENCES["macro_f1"](*part))


def test_labels_without_documents_count_as_0_in_their_group() -> None:
    truth = sp.csr_array(np.array([[1, 0, 0], [1, 0, 0]], dtype=bool))
    scores = label_sets.score_groups(truth, truth, np.array([40, 3, 0]), BORDERS)
    assert scores["all"] == {"micro_f1": 1.0, "macro_f1": 1 / 3}
    assert scores["tail"] == {"micro_f1": 0.0, "macro_f1": 0.0}
    assert scores["medium"] == scores["multi_label"] == EMPTY
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_no_documents_have_no_scores() -> None:
    nothing = sp.csr_array((0, 3), dtype=bool)
    scores = label_sets.score_groups(nothing, nothing, np.array([40, 3, 0]), BORDERS)
    assert all(group == EMPTY for group in scores.values())


@quick
@given(pairs, st.data())
def test_label_table_equals_scikit_learn(pair: Pair, data: st.DataObject) -> None:
    n_labels = pair[0].shape[1]
    counts = data.draw(arrays(np.int64, n_labels, elements=st.integers(0, 50)))
    names = [f"label {i}" for i in range(n_labels)]
    table = label_sets.label_table(*(sp.csr_array(part) for part in pair), names, counts, BORDERS)
    expected = precision_recall_fscore_support(*(part.astype(int) for part in pair), zero_division=0)
    for column, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(table[column], values, err_msg=column)
    assert table["label"].tolist() == names
    assert table["train"].tolist() == counts.tolist()
    assert sorted(table["rank"]) == list(range(1, n_labels + 1))
    assert table.sort_values("rank")["train"].is_monotonic_decreasing
    assert table["f1"].mean() == pytest.approx(score("macro_f1", pair))


def test_label_table_of_no_labels_is_empty() -> None:
    nothing = sp.csr_array((3, 0), dtype=bool)
    assert label_sets.label_table(nothing, nothing, [], np.zeros(0, int), BORDERS).empty


def test_readings_of_macro_f1_count_the_labels_that_differ() -> None:
    truth = sp.csr_array(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool))
    given_ = sp.csr_array(np.array([[1, 0, 1, 0], [1, 0, 0, 0]], dtype=bool))
    assert label_sets.macro_readings(truth, given_) == {
        "labels": 4,
        "without_documents": 2,
        "undefined": 1,
        "macro_f1": 1 / 4,
        "macro_f1_supported": 1 / 2,
        "f1_of_means": 1 / 4,
    }
    assert label_sets.macro_readings(truth[:0], given_[:0])["macro_f1_supported"] is None


# Rankings

dense_problems = st.tuples(st.integers(1, 7), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        arrays(np.bool_, shape), arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
    )
)
distinct_problems = st.tuples(st.integers(1, 7), st.integers(2, 6), st.randoms(use_true_random=False)).flatmap(
    lambda made: st.tuples(
        arrays(np.bool_, made[:2]),
        st.just(np.array(made[2].sample(range(1000), made[0] * made[1]), np.float32).reshape(made[:2]) / 1024),
    )
)


def stored(scores: np.ndarray) -> sp.csr_array:
    """A CSR that stores every score, zeros included."""
    rows, columns = np.indices(scores.shape)
    return sp.csr_array((scores.ravel(), (rows.ravel(), columns.ravel())), shape=scores.shape)


@quick
@given(dense_problems)
def test_average_precision_and_lrap_equal_scikit_learn(problem: Pair) -> None:
    truth, scores = problem
    supported = truth.any(axis=0)
    for kind in (scores, stored(scores), scores.astype(np.float16)):
        found = average_precisions(sp.csr_array(truth), kind)
        assert np.isnan(found).tolist() == (~supported).tolist()
        expected = [average_precision_score(truth[:, i], scores[:, i]) for i in np.flatnonzero(supported)]
        np.testing.assert_allclose(found[supported], expected, rtol=1e-12)
        assert mean_average_precision(sp.csr_array(truth), kind) == pytest.approx(sum(expected) / truth.shape[1])
        assert label_ranking_average_precision(sp.csr_array(truth), kind) == pytest.approx(
            label_ranking_average_precision_score(truth.astype(int), scores)
        )


def test_sorting_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, scores = sp.csr_array(rng.random((9, 7)) < 0.4), rng.random((9, 7)).round(1)
    functions = (
        average_precisions,
        label_ranking_average_precision,
        lambda *both: rank_labels(*both, 3).columns,
    )
    whole = [function(truth, scores) for function in functions]
    monkeypatch.setattr(metrics_ranking, "ENTRIES", 20)
    for function, before in zip(functions, whole, strict=True):
        np.testing.assert_array_equal(function(truth, scores), before)


@quick
@given(distinct_problems, st.integers(1, 8))
def test_ranking_scores_equal_their_definitions(problem: Pair, k: int) -> None:
    truth, scores = problem
    targets, sizes = sp.csr_array(truth), truth.sum(axis=1)
    best = np.argsort(-scores, axis=1)[:, :k]
    hits = np.array([truth[row, columns].sum() for row, columns in enumerate(best)])
    for kind in (scores, stored(scores)):
        ranking = rank_labels(targets, kind, k)
        assert ranking.columns[:, : best.shape[1]].tolist() == best.tolist()
        assert (ranking.columns[:, best.shape[1] :] == -1).all()
        assert precision_at(ranking, k) == pytest.approx(np.mean(hits / k))
        assert recall_at(ranking, k) == pytest.approx(np.mean(hits / np.maximum(sizes, 1)))
        assert r_precision_at(ranking, k) == pytest.approx(np.mean(hits / np.maximum(np.minimum(sizes, k), 1)))
        assert ndcg_at(ranking, k) == pytest.approx(ndcg_score(truth, scores, k=k, ignore_ties=True))
        assert all(0 <= metric(ranking, k) <= 1 for metric in RANKINGS.values())


@quick
@given(distinct_problems, st.integers(1, 6), st.data())
def test_propensity_scores_are_shares_of_the_best_possible(problem: Pair, k: int, data: st.DataObject) -> None:
    truth, scores = problem
    targets = sp.csr_array(truth)
    counts = data.draw(arrays(np.int64, truth.shape[1], elements=st.integers(0, 500)))
    weights = inverse_propensities(counts, 1000)
    assert (weights[np.argsort(counts, kind="stable")][:-1] >= weights[np.argsort(counts, kind="stable")][1:]).all()
    precision, gain = propensity_scores_at(rank_labels(targets, scores, k), targets, weights, k)
    gained = sum(weights[i] for d, row in enumerate(np.argsort(-scores, axis=1)[:, :k]) for i in row if truth[d, i])
    possible = sum(sum(sorted(weights[row], reverse=True)[:k]) for row in truth)
    assert precision == pytest.approx(gained / possible if possible else 0)
    ideal = np.where(truth, weights, 0.0)
    perfect = propensity_scores_at(rank_labels(targets, ideal, k), targets, weights, k)
    assert perfect == pytest.approx((1.0, 1.0) if truth.any() else (0.0, 0.0))
    alike = rank_labels(targets, scores, k), targets, np.ones(truth.shape[1]), k
    if len(set(truth.sum(axis=1))) == 1 and truth.any():
        assert propensity_scores_at(*alike)[1] == pytest.approx(ndcg_at(alike[0], k))
    assert 0 <= gain <= 1 + 1e-12


def test_propensities_are_those_of_jain_et_al() -> None:
    weights = inverse_propensities(np.array([0, 98.5]), 1096.633158)  # ln N = 7
    c = 6 * 2.5**0.55
    assert weights.tolist() == pytest.approx([1 + c * 1.5**-0.55, 1 + c * 100**-0.55])


def test_labels_that_are_not_stored_are_never_hit() -> None:
    scores = sp.csr_array((np.array([0.9, 0.0], np.float32), ([0, 0], [2, 0])), shape=(2, 3))
    truth = sp.csr_array(np.array([[1, 1, 0], [0, 1, 0]], dtype=bool))
    ranking = rank_labels(truth, scores, 3)
    assert ranking.columns.tolist() == [[2, 0, -1], [-1, -1, -1]]
    assert ranking.hits.tolist() == [[False, True, False], [False, False, False]]
    assert average_precisions(truth, scores)[:2].tolist() == [1.0, 0.0]
    assert label_ranking_average_precision(truth, scores) == pytest.approx(0.125)


@quick
@given(dense_problems, st.data())
def test_all_scores_agree_with_one_another_and_are_json(problem: Pair, data: st.DataObject) -> None:
    truth, scores = problem
    targets, predicted = sp.csr_array(truth), sp.csr_array(scores > 0.3)
    counts = data.draw(arrays(np.int64, truth.shape[1], elements=st.sampled_from([0, 8, 35, 99])))
    found = summary.score_all(targets, scores, predicted, counts=counts, documents=200, borders=BORDERS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {name: found[name] for name in METRICS} == {name: score(name, (truth, scores > 0.3)) for name in METRICS}
    assert found["map"]["all"] == mean_average_precision(targets, scores)
    assert found["p@1"] == pytest.approx(precision_at(rank_labels(targets, scores, 1), 1))
    again = summary.score_all(targets, stored(scores), predicted, counts=counts, documents=200, borders=BORDERS)
    assert again == found


# Slices and calibration


@quick
@given(pairs)
def test_slices_equal_the_scores_of_their_documents(pair: Pair) -> None:
    targets, predicted = (sp.csr_array(part) for part in pair)
    slices = size_slices(targets, (0, 1, 2, 4))
    assert list(slices) == ["0", "1", "2-3", "4+"]
    assert sorted(np.concatenate(list(slices.values())).tolist()) == list(range(len(pair[0])))
    table = score_slices(targets, predicted, slices)
    for row in table.to_dict("records"):
        rows = slices[row["slice"]]
        assert row["documents"] == len(rows)
        for name in METRICS:
            expected = score(name, (pair[0][rows], pair[1][rows])) if len(rows) else np.nan
            assert row[name] == pytest.approx(expected, nan_ok=True)


def test_slices_by_length_share_the_documents() -> None:
    lengths = np.random.default_rng(0).permutation(np.r_[np.arange(90), [5] * 10])
    slices = length_slices(lengths)
    assert sorted(np.concatenate(list(slices.values())).tolist()) == list(range(100))
    assert all(20 <= len(rows) <= 30 for rows in slices.values())
    ranges = [(int(a), int(b)) for a, b in (name.split("-") for name in slices)]
    assert ranges == sorted(ranges)
    assert list(length_slices(np.array([3, 3]))) == ["3-3"]
    assert length_slices(np.zeros(0)) == {}


def test_edges_that_do_not_rise_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[2, 2\]"):
        size_slices(sp.csr_array((1, 1), dtype=bool), (2, 2))


@quick
@given(dense_problems)
def test_calibration_shares_every_pair_among_the_bins(problem: Pair) -> None:
    truth, scores = problem
    counts = np.resize([99, 20, 1], truth.shape[1])
    for kind in (scores, stored(scores)):
        curve = calibration.calibration(sp.csr_array(truth), kind, counts, BORDERS, bins=4)
        for group, part in curve.groupby("group"):
            mask = np.ones(len(counts), bool) if group == "all" else groups.group_of(counts, BORDERS) == group
            assert part["pairs"].sum() == truth[:, mask].size
            assert part["pairs"] @ part["true"] == pytest.approx(truth[:, mask].sum())
            assert part["pairs"] @ part["score"] == pytest.approx(scores[:, mask].sum())
        errors = calibration.expected_calibration_error(curve)
        assert set(errors) == set(curve["group"])
        assert all(0 <= error <= 1 for error in errors.values())
    perfect = calibration.calibration(sp.csr_array(truth), truth.astype(np.float32), counts, BORDERS)
    assert calibration.expected_calibration_error(perfect) == dict.fromkeys(set(perfect["group"]), 0.0)


def test_margins_have_no_calibration() -> None:
    with pytest.raises(ValueError, match="expected probabilities"):
        calibration.calibration(sp.csr_array([[True]]), np.array([[-1.5]]), np.array([3]), BORDERS)


def test_bad_arguments_of_rankings_are_named() -> None:
    truth = sp.csr_array((2, 3), dtype=bool)
    functions = (
        average_precisions,
        label_ranking_average_precision,
        lambda *both: rank_labels(*both, 3),
    )
    for function in functions:
        with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
            function(truth, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="k is 0"):
        rank_labels(truth, np.zeros((2, 3)), 0)

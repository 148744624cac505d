"""Scores: every metric of the dict obeys every law; groups and the table per label add up to the same counts."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, precision_recall_fscore_support

from core import metrics
from core.labels import Borders
from core.metrics import METRICS

quick = settings(deadline=None, max_examples=50)

BORDERS = Borders(35, 8)
EMPTY = {"micro_f1": None, "macro_f1": None}
REFERENCES = {
    "micro_f1": partial(f1_score, average="micro", zero_division=0),
    "macro_f1": partial(f1_score, average="macro", zero_division=0),
}

pairs = st.tuples(st.integers(1, 8), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
Pair = tuple[np.ndarray, np.ndarray]


def score(name: str, pair: Pair) -> float:
    return METRICS[name](*(sp.csr_array(part) for part in pair))


def test_every_metric_with_a_reference_has_one() -> None:
    assert REFERENCES.keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
class TestLaws:
    @quick
    @given(pair=pairs)
    def test_equals_scikit_learn(self, name: str, pair: Pair) -> None:
        assert score(name, pair) == pytest.approx(REFERENCES[name](*(part.astype(int) for part in pair)))

    @quick
    @given(pair=pairs, data=st.data())
    def test_order_of_documents_and_labels_does_not_matter(self, name: str, pair: Pair, data: st.DataObject) -> None:
        rows = data.draw(st.permutations(range(pair[0].shape[0])))
        columns = data.draw(st.permutations(range(pair[0].shape[1])))
        turned = tuple(part[rows][:, columns] for part in pair)
        assert score(name, turned) == pytest.approx(score(name, pair), rel=1e-12)

    @quick
    @given(pair=pairs)
    def test_is_between_0_and_1_and_1_only_if_perfect(self, name: str, pair: Pair) -> None:
        assert 0 <= score(name, pair) <= 1
        truth = np.vstack([pair[0], np.ones((1, pair[0].shape[1]), bool)])
        assert score(name, (truth, truth)) == 1
        wrong = np.vstack([pair[1], np.ones((1, pair[0].shape[1]), bool)])
        assert (score(name, (truth, wrong)) == 1) == (pair[0] == pair[1]).all()

    @quick
    @given(pair=pairs)
    def test_input_stays(self, name: str, pair: Pair) -> None:
        arguments = [sp.csr_array(part.astype(np.int8)) for part in pair]
        before = [(part.data.copy(), part.indices.copy(), part.indptr.copy()) for part in arguments]
        METRICS[name](*arguments)
        for part, kept in zip(arguments, before, strict=True):
            for now, then in zip((part.data, part.indices, part.indptr), kept, strict=True):
                np.testing.assert_array_equal(now, then)

    @pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0), (0, 0)])
    def test_nothing_true_and_nothing_predicted_is_0(self, name: str, shape: tuple[int, int]) -> None:
        nothing = np.zeros(shape, bool)
        assert score(name, (nothing, nothing)) == 0

    def test_how_the_arrays_are_stored_does_not_matter(self, name: str) -> None:
        truth, given_ = np.array([[1, 0, 1]]), np.array([[1, 1, 0]])
        twice = sp.csr_array((np.array([1, 1, 0, 1]), np.array([2, 2, 1, 0]), np.array([0, 4])), shape=(1, 3))
        assert METRICS[name](twice, sp.csr_array(given_)) == score(name, (truth, given_))

    def test_shapes_that_differ_are_named(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
            score(name, (np.zeros((2, 3), bool), np.zeros((2, 4), bool)))


@quick
@given(pairs)
def test_errors_are_counted_by_label(pair: Pair) -> None:
    truth, given_ = pair
    tp, fp, fn = metrics.count_errors(*(sp.csr_array(part) for part in pair))
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
    scores = metrics.score_groups(*(sp.csr_array(part) for part in pair), counts, BORDERS)
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
    scores = metrics.score_groups(truth, truth, np.array([40, 3, 0]), BORDERS)
    assert scores["all"] == {"micro_f1": 1.0, "macro_f1": 1 / 3}
    assert scores["tail"] == {"micro_f1": 0.0, "macro_f1": 0.0}
    assert scores["medium"] == scores["multi_label"] == EMPTY
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_no_documents_have_no_scores() -> None:
    nothing = sp.csr_array((0, 3), dtype=bool)
    scores = metrics.score_groups(nothing, nothing, np.array([40, 3, 0]), BORDERS)
    assert all(group == EMPTY for group in scores.values())


@quick
@given(pairs, st.data())
def test_label_table_equals_scikit_learn(pair: Pair, data: st.DataObject) -> None:
    n_labels = pair[0].shape[1]
    counts = data.draw(arrays(np.int64, n_labels, elements=st.integers(0, 50)))
    names = [f"label {i}" for i in range(n_labels)]
    table = metrics.label_table(*(sp.csr_array(part) for part in pair), names, counts, BORDERS)
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
    assert metrics.label_table(nothing, nothing, [], np.zeros(0, int), BORDERS).empty

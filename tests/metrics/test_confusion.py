"""Confused pairs: the sparse products equal a loop over documents and labels, and every list agrees with the others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_score, recall_score

from core.metrics import confusion, label_sets
from tests.helpers.laws import law

quick = law(50)

pairs = st.tuples(st.integers(0, 8), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)
Pair = tuple[np.ndarray, np.ndarray]


def sparse(pair: Pair) -> tuple[sp.csr_array, sp.csr_array]:
    return sp.csr_array(pair[0]), sp.csr_array(pair[1])


def names_of(pair: Pair) -> list[str]:
    return [f"label {i}" for i in range(pair[0].shape[1])]


def counted_by_hand(pair: Pair, *, rightly: bool) -> np.ndarray:
    """Documents that miss i and were given j: rightly (absorbed) or wrongly (swapped)."""
    n_labels = pair[0].shape[1]
    found = np.zeros((n_labels, n_labels), int)
    for true, given_ in zip(*pair, strict=True):
        for i in range(n_labels):
            for j in range(n_labels):
                found[i, j] += bool(true[i] and not given_[i] and given_[j] and true[j] == rightly)
    return found


@quick
@given(pairs)
def test_counts_equal_a_double_loop(pair: Pair) -> None:
    swapped, absorbed = confusion.swap_counts(*sparse(pair)), confusion.absorbed_counts(*sparse(pair))
    np.testing.assert_array_equal(swapped.toarray(), counted_by_hand(pair, rightly=False))
    np.testing.assert_array_equal(absorbed.toarray(), counted_by_hand(pair, rightly=True))
    for counts in (swapped, absorbed):
        assert not counts.diagonal().any()
        assert counts.format == "csr"
        assert counts.dtype == np.int64


@quick
@given(pairs)
def test_totals_are_missed_times_given(pair: Pair) -> None:
    truth, given_ = pair
    missed = (truth & ~given_).sum(axis=1)
    assert confusion.swap_counts(*sparse(pair)).sum() == missed @ (given_ & ~truth).sum(axis=1)
    assert confusion.absorbed_counts(*sparse(pair)).sum() == missed @ (given_ & truth).sum(axis=1)


@quick
@given(pairs, st.data())
def test_order_only_moves_the_counts(pair: Pair, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(pair[0].shape[0])))
    columns = data.draw(st.permutations(range(pair[0].shape[1])))
    turned = tuple(part[rows][:, columns] for part in pair)
    for counts in (confusion.swap_counts, confusion.absorbed_counts):
        expected = counts(*sparse(pair)).toarray()[np.ix_(columns, columns)]
        np.testing.assert_array_equal(counts(*sparse(turned)).toarray(), expected)


@quick
@given(pairs)
def test_pairs_list_every_count_and_the_documents_behind_it(pair: Pair) -> None:
    arguments, names = sparse(pair), names_of(pair)
    table = confusion.confused_pairs(*arguments, names, limit=10_000)
    swapped, absorbed = (counted_by_hand(pair, rightly=rightly) for rightly in (False, True))
    misses = label_sets.count_errors(*arguments)[2]
    assert len(table) == np.count_nonzero(swapped + absorbed)
    for row in table.itertuples():
        i, j = names.index(row.missed), names.index(row.gave)
        assert (row.swapped, row.absorbed, row.total) == (swapped[i, j], absorbed[i, j], swapped[i, j] + absorbed[i, j])
        assert row.misses == misses[i]
        assert row.share_of_misses == row.total / misses[i] <= 1
        documents = confusion.pair_documents(*arguments, i, j)
        assert documents.tolist() == [
            d for d in range(len(pair[0])) if pair[0][d, i] and not pair[1][d, i] and pair[1][d, j]
        ]
        assert len(documents) == row.total
    keys = list(zip(-table["total"], -table["share_of_misses"], table["missed"], table["gave"], strict=True))
    assert keys == sorted(keys)


@quick
@given(pairs, st.integers(0, 3))
def test_limit_keeps_the_first_pairs(pair: Pair, limit: int) -> None:
    everything = confusion.confused_pairs(*sparse(pair), names_of(pair), limit=10_000)
    some = confusion.confused_pairs(*sparse(pair), names_of(pair), limit=limit)
    assert some.to_dict("records") == everything.head(limit).to_dict("records")
    assert some.columns.tolist() == everything.columns.tolist()


def test_a_missed_label_beside_one_that_was_found_is_absorbed() -> None:
    truth = np.array([[1, 1], [0, 1], [1, 1]], dtype=bool)  # gold, platinum
    given_ = np.array([[1, 0], [1, 0], [1, 1]], dtype=bool)
    table = confusion.confused_pairs(sp.csr_array(truth), sp.csr_array(given_), ["gold", "platinum"])
    assert table.to_dict("records") == [
        {
            "missed": "platinum",
            "gave": "gold",
            "swapped": 1,
            "absorbed": 1,
            "total": 2,
            "misses": 2,
            "share_of_misses": 1.0,
        }
    ]


def test_a_perfect_prediction_has_no_pairs() -> None:
    truth = sp.csr_array(np.array([[1, 1], [0, 1]], dtype=bool))
    assert confusion.confused_pairs(truth, truth, ["a", "b"]).empty
    assert confusion.swap_counts(truth, truth).nnz == confusion.absorbed_counts(truth, truth).nnz == 0
    assert confusion.pair_documents(truth, truth, 0, 1).tolist() == []


def test_how_the_arrays_are_stored_does_not_matter_and_they_stay() -> None:
    twice = sp.csr_array((np.array([1, 1, 0, 1]), np.array([2, 2, 1, 0]), np.array([0, 4])), shape=(1, 3))
    given_ = sp.csr_array(np.array([[1, 1, 0]], dtype=np.int8))
    before = (twice.data.copy(), twice.indices.copy())
    clean = sp.csr_array(np.array([[1, 0, 1]], dtype=bool))
    for counts in (confusion.swap_counts, confusion.absorbed_counts):
        np.testing.assert_array_equal(counts(twice, given_).toarray(), counts(clean, given_).toarray())
    assert confusion.pair_documents(twice, given_, 2, 1).tolist() == [0]
    np.testing.assert_array_equal((twice.data, twice.indices), before)


def test_bad_arguments_are_named() -> None:
    truth = sp.csr_array((2, 3), dtype=bool)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        confusion.swap_counts(truth, sp.csr_array((2, 4), dtype=bool))
    for i, j in ((3, 0), (0, -1)):
        with pytest.raises(ValueError, match=r"not in 0\.\.2"):
            confusion.pair_documents(truth, truth, i, j)


def none_added(matrix: np.ndarray) -> np.ndarray:
    return np.c_[matrix, ~matrix.any(axis=1)]


@quick
@given(pairs)
def test_mlct_agrees_with_the_table_of_labels(pair: Pair) -> None:
    truth, given_ = pair
    by_row, by_column = confusion.mlct(*sparse(pair))
    true, predicted = none_added(truth), none_added(given_)
    np.testing.assert_allclose(by_row.sum(axis=1), true.sum(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_column.sum(axis=0), predicted.sum(axis=0), rtol=0, atol=1e-12)
    hits = (truth & given_).sum(axis=0)
    assert by_row.diagonal()[:-1].tolist() == by_column.diagonal()[:-1].tolist() == hits.tolist()
    if not len(truth):
        return
    rows, columns = by_row.sum(axis=1)[:-1], by_column.sum(axis=0)[:-1]
    recall = recall_score(*(np.atleast_2d(part.astype(int)) for part in pair), average=None, zero_division=0)
    precision = precision_score(*(part.astype(int) for part in pair), average=None, zero_division=0)
    if truth.shape[1] > 1:  # scikit-learn takes one column for a binary problem
        np.testing.assert_allclose(hits / np.maximum(rows, 1e-300), recall, rtol=0, atol=1e-12)
        np.testing.assert_allclose(hits / np.maximum(columns, 1e-300), precision, rtol=0, atol=1e-12)


@quick
@given(pairs)
def test_mlct_equals_its_definition(pair: Pair) -> None:
    true, predicted = (none_added(part) for part in pair)
    size = true.shape[1]
    by_row, by_column = np.zeros((size, size)), np.zeros((size, size))
    for t, p in zip(true, predicted, strict=True):
        for i in np.flatnonzero(t):
            for j in np.flatnonzero(p):
                if i == j:
                    by_row[i, i] += 1
                    by_column[i, i] += 1
                if not p[i]:
                    by_row[i, j] += 1 / p.sum()
                if not t[j]:
                    by_column[i, j] += 1 / t.sum()
    found = confusion.mlct(*sparse(pair))
    np.testing.assert_allclose(found[0].toarray(), by_row, atol=1e-12)
    np.testing.assert_allclose(found[1].toarray(), by_column, atol=1e-12)


@quick
@given(pairs)
def test_the_order_of_confusion_is_a_permutation(pair: Pair) -> None:
    matrix = confusion.mlct(*sparse(pair))[0]
    assert sorted(confusion.confusion_order(matrix).tolist()) == list(range(matrix.shape[0]))


def test_labels_that_are_confused_always_have_an_order() -> None:
    truth = np.array([[False, True, False], [False, True, False], [False, False, True]])
    given_ = np.array([[False, False, True], [False, False, True], [False, True, False]])
    matrix = confusion.mlct(*sparse((truth, given_)))[0]  # a distance is 0 but for rounding
    assert sorted(confusion.confusion_order(matrix).tolist()) == list(range(matrix.shape[0]))


def test_confused_labels_stand_side_by_side() -> None:
    truth = np.zeros((4, 8), bool)
    truth[:, 0] = True
    given_ = np.zeros((4, 8), bool)
    given_[:, 6] = True
    order = confusion.confusion_order(confusion.swap_counts(sp.csr_array(truth), sp.csr_array(given_))).tolist()
    assert abs(order.index(0) - order.index(6)) == 1


@quick
@given(pairs, st.data())
def test_cooccurrences_equal_a_count(pair: Pair, data: st.DataObject) -> None:
    label = st.integers(0, pair[0].shape[1] - 1)
    chosen = data.draw(st.lists(st.tuples(label, label), max_size=5))
    i, j = (np.array([both[side] for both in chosen], int) for side in (0, 1))
    found = confusion.cooccurrences(sp.csr_array(pair[0]), i, j)
    assert found.tolist() == [int((pair[0][:, a] & pair[0][:, b]).sum()) for a, b in chosen]


@quick
@given(pairs)
def test_document_scores_equal_a_count(pair: Pair) -> None:
    table = confusion.document_scores(*sparse(pair))
    for row, (true, predicted) in zip(table.to_dict("records"), zip(*pair, strict=True), strict=True):
        hit, union = (true & predicted).sum(), (true | predicted).sum()
        assert (row["hit"], row["missed"], row["spurious"]) == (
            hit,
            (true & ~predicted).sum(),
            (predicted & ~true).sum(),
        )
        assert (row["true"], row["given"]) == (true.sum(), predicted.sum())
        assert row["jaccard"] == (hit / union if union else 1)
        assert row["f1"] == pytest.approx(2 * hit / (true.sum() + predicted.sum()) if union else 1)
    expected = label_sets.subset_accuracy(*sparse(pair))
    assert (table["jaccard"] == 1).mean() == pytest.approx(expected) or table.empty

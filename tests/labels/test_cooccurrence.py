"""Labels that come together: equal to a double loop, the same in any order, and Reuters' known pairs."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.config.schema import DataConfig
from core.data import sources
from core.labels import cooccurrence as co

TARGETS = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]], dtype=bool)
PAIRS = co.count_pairs(sp.csr_array(TARGETS))

dense_targets = st.tuples(st.integers(0, 8), st.integers(0, 6)).flatmap(lambda shape: arrays(np.bool_, shape))


def ties(table: Any) -> set[tuple[int, int]]:
    return set(zip(table["label"].tolist(), table["other"].tolist(), strict=True))


@given(dense_targets, st.data())
def test_a_block_equals_a_double_loop(dense: np.ndarray, draws: st.DataObject) -> None:
    n_labels = dense.shape[1]
    columns = draws.draw(st.lists(st.integers(0, n_labels - 1), unique=True)) if n_labels else []
    table = co.block(co.count_pairs(sp.csr_array(dense)), columns)
    expected = [
        (j, i, int(np.sum(dense[:, i] & dense[:, j])), int(np.sum(dense[:, j]))) for j in columns for i in columns
    ]
    assert list(table[["label", "other", "both", "documents"]].itertuples(index=False, name=None)) == expected
    for row, (j, i, both, documents) in zip(table.to_dict("records"), expected, strict=True):
        others = int(np.sum(dense[:, i]))
        assert row["p"] == both / documents if documents else math.isnan(row["p"])
        assert row["p_back"] == both / others if others else math.isnan(row["p_back"])
        if documents and others:
            assert row["lift"] == pytest.approx(row["p"] / (others / len(dense)))
            assert row["jaccard"] == both / int(np.sum(dense[:, i] | dense[:, j]))
        else:
            assert math.isnan(row["lift"])


def test_the_share_has_a_direction_and_the_floor_leaves_blanks() -> None:
    table = co.block(PAIRS, [0, 1]).set_index(["label", "other"])["p"]
    assert (table[0, 1], table[1, 0]) == (0.5, 1.0)  # p(1 given 0), p(0 given 1)
    floored = co.block(PAIRS, [0, 1, 2], floor=2).set_index(["label", "other"])
    assert math.isnan(floored.loc[(2, 0), "p"])
    assert math.isnan(floored.loc[(2, 0), "lift"])
    assert (floored.loc[(2, 0), "both"], floored.loc[(1, 0), "p"]) == (1, 1.0)


def test_entries_stored_twice_or_as_zero_count_once_or_not() -> None:
    twice = sp.csr_array((np.array([1, 1, 1, 0]), np.array([1, 1, 0, 2]), np.array([0, 4])), shape=(1, 3))
    pairs = co.count_pairs(twice)
    assert pairs.counts.tolist() == [1, 1, 0]
    assert ties(co.strongest(pairs)) == {(1, 0)} or ties(co.strongest(pairs)) == {(0, 1)}


@given(dense_targets, st.sampled_from(co.ORDERS), st.integers(1, 3), st.integers(1, 20))
def test_the_strongest_are_the_first_of_all_pairs(dense: np.ndarray, by: str, floor: int, limit: int) -> None:
    pairs = co.count_pairs(sp.csr_array(dense))
    whole = co.strongest(pairs, by=by, floor=floor, limit=100)
    assert len(whole) == co.count_strong(pairs, floor=floor)
    assert (whole["both"] >= floor).all()
    assert (whole["documents"] <= whole["other_documents"]).all()
    assert len({frozenset(pair) for pair in ties(whole)}) == len(whole)
    assert (np.diff(whole[by]) <= 0).all()
    top = co.strongest(pairs, by=by, floor=floor, limit=limit)
    assert top[by].tolist() == whole[by].tolist()[:limit]
    assert top["both"].tolist() == whole["both"].tolist()[:limit]


@given(dense_targets, st.sampled_from(co.ORDERS), st.integers(1, 3))
def test_the_strongest_pairs_are_those_of_a_dense_double_loop(dense: np.ndarray, by: str, floor: int) -> None:
    expected = []
    counts = dense.sum(axis=0, dtype=np.int64).tolist()
    for first, second in itertools.combinations(range(dense.shape[1]), 2):
        j, i = (first, second) if counts[first] < counts[second] else (second, first)
        both = int(np.sum(dense[:, i] & dense[:, j]))
        if both >= floor:
            either = int(np.sum(dense[:, i] | dense[:, j]))
            lift = both * len(dense) / (counts[i] * counts[j])
            score = {"p": both / counts[j], "lift": lift, "jaccard": both / either, "both": both}[by]
            expected.append((-score, -both, j, i))
    table = co.strongest(co.count_pairs(sp.csr_array(dense)), by=by, floor=floor)
    assert list(zip(-table[by], -table["both"], table["label"], table["other"], strict=True)) == sorted(expected)


@given(dense_targets, st.data())
def test_pairs_within_two_sets_of_labels_have_one_in_each(dense: np.ndarray, draws: st.DataObject) -> None:
    one, two = (draws.draw(arrays(np.bool_, dense.shape[1])) for _ in range(2))
    pairs = co.count_pairs(sp.csr_array(dense))
    kept = ties(co.strongest(pairs, within=(one, two)))
    assert kept == {(j, i) for j, i in ties(co.strongest(pairs)) if (one[j] and two[i]) or (one[i] and two[j])}
    assert len(kept) == co.count_strong(pairs, floor=1, within=(one, two))


@given(dense_targets, st.data())
def test_neighbours_are_the_other_labels_of_its_documents(dense: np.ndarray, draws: st.DataObject) -> None:
    if not dense.shape[1]:
        return
    column = draws.draw(st.integers(0, dense.shape[1] - 1))
    table = co.neighbours(co.count_pairs(sp.csr_array(dense)), column, by="lift")
    beside = dense[dense[:, column]].any(axis=0) if len(dense) else np.zeros(dense.shape[1], bool)
    assert set(table["other"]) == set(np.flatnonzero(beside)) - {column}
    assert set(table["label"]) <= {column}
    assert (np.diff(table["lift"]) <= 0).all()


def test_labels_that_never_come_alone_and_pairs_that_come_only_together_first() -> None:
    dense = np.zeros((10, 4), bool)
    dense[:6, 0] = dense[:3, 1] = dense[7:9, 2] = dense[7:9, 3] = True
    pairs = co.count_pairs(sp.csr_array(dense))
    table = co.inseparable(pairs)
    assert [frozenset(pair) for pair in zip(table["label"], table["other"], strict=True)] == [{2, 3}, {0, 1}]
    assert (table["label"][1], table["p"].tolist(), table["p_back"].tolist()) == (1, [1, 1], [1, 0.5])
    assert ties(co.inseparable(pairs, floor=3)) == {(1, 0)}


@given(dense_targets)
def test_clusters_hold_the_same_labels(dense: np.ndarray) -> None:
    columns = list(range(dense.shape[1]))
    assert sorted(co.cluster(co.count_pairs(sp.csr_array(dense)), columns)) == columns


def test_clusters_put_labels_side_by_side_that_share_documents() -> None:
    dense = np.zeros((12, 4), bool)
    dense[:6, [0, 2]] = dense[6:, [1, 3]] = True
    order = co.cluster(co.count_pairs(sp.csr_array(dense)), [0, 1, 2, 3])
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}


@pytest.mark.parametrize(("labels", "bins"), [(1, 60), (2, 60), (90, 60), (18_211, 60), (5, 1)])
def test_bins_cover_every_label_once(labels: int, bins: int) -> None:
    edges = co.rank_edges(labels, bins)
    assert (edges[0], edges[-1]) == (0, labels)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= bins + 1


@given(dense_targets, st.integers(1, 4))
def test_the_binned_matrix_holds_what_the_whole_one_holds(dense: np.ndarray, bins: int) -> None:
    if not dense.shape[1]:
        return
    table = co.density(co.count_pairs(sp.csr_array(dense)), bins)
    both = dense.T.astype(int) @ dense.astype(int)
    for cell in table.to_dict("records"):
        rows = range(cell["first"] - 1, cell["last"])
        columns = range(cell["other_first"] - 1, cell["other_last"])
        pairs = [(j, i) for j in rows for i in columns if i != j]
        shared = [both[j, i] for j, i in pairs]
        assert cell["both"] == sum(shared)
        assert cell["pairs"] == np.count_nonzero(shared)
        assert cell["density"] == pytest.approx(cell["pairs"] / len(pairs))
        assert cell["p"] == pytest.approx(np.mean([both[j, i] / max(both[j, j], 1) for j, i in pairs]))
    assert table["both"].sum() == both.sum() - both.trace()


@pytest.mark.parametrize(
    "dense", [np.ones((1, 1), bool), np.ones((4, 3), bool), np.zeros((3, 3), bool), np.ones((1, 3), bool)]
)
def test_odd_sets_have_pairs_or_none(dense: np.ndarray) -> None:
    pairs = co.count_pairs(sp.csr_array(dense))
    expected = dense.shape[1] * (dense.shape[1] - 1) // 2 if dense.any() else 0
    assert len(co.strongest(pairs)) == len(co.inseparable(pairs, floor=1)) == expected
    assert len(co.block(pairs, range(dense.shape[1]))) == dense.shape[1] ** 2
    assert (co.strongest(pairs)["lift"] == 1).all()


@pytest.mark.reuters
@pytest.mark.parametrize(
    ("part", "label", "given", "share"),
    [
        ("train", "gold", "platinum", 4 / 5),
        ("train", "platinum", "gold", 4 / 94),
        ("train", "grain", "corn", 179 / 181),
        ("test", "gold", "platinum", 3 / 7),
    ],
)
def test_reuters_has_its_known_pairs(
    part: str,
    label: str,
    given: str,
    share: float,
    reuters_dir: Path,
    reuters_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAILSCOPE_CACHE", str(reuters_cache))
    corpus = sources.load(DataConfig(name="reuters", split="original"))
    columns = [corpus.labels.index(name) for name in (given, label)]
    table = co.block(co.count_pairs(corpus.targets_of(part)), columns).set_index(["label", "other"])
    assert table.loc[tuple(columns), "p"] == share

"""Frequency groups, measures and drift of a label distribution: laws, empty cases, and Reuters' known values."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, fisher_exact

from core.config.schema import DataConfig
from core.data import sources
from core.labels import groups
from core.labels.groups import Borders
from core.labels.measures import (
    FALSE_SHARE,
    corpus_stats,
    drift,
    gini,
    group_shares,
    imbalance_ratios,
    labels_per_document,
    lorenz,
    part_measures,
    rank_frequency,
    scumble,
)
from core.system.errors import UserError
from tests.helpers.laws import law

quick = law(50)

NAMES = ("wheat", "corn", "tin", "gold")
TARGETS = sp.csr_array(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]], dtype=bool))
COUNTS = np.array([4, 2, 1, 0])

dense_targets = st.tuples(st.integers(0, 8), st.integers(0, 6)).flatmap(lambda shape: arrays(np.bool_, shape))


@pytest.mark.parametrize(("head", "tail"), [(8, 8), (8, 35), (0, 0), (5, -1), (-3, -5)])
def test_borders_that_make_no_sense_are_named(head: int, tail: int) -> None:
    with pytest.raises(UserError, match=f"head from {head} documents, tail up to {tail}"):
        Borders(head, tail)


def test_borders_are_inclusive_and_those_of_the_paper() -> None:
    assert (groups.paper_borders(90), groups.paper_borders(1001)) == (Borders(35, 8), Borders(50, 15))
    for name in ("reuters", "reuters-nltk", "pubmed", "pubmed-2021"):
        assert groups.default_borders(name, np.arange(90)) == Borders(35, 8)
        assert groups.default_borders(name, np.arange(1001)) == Borders(50, 15)
    assert groups.default_borders("reutersx", np.arange(90)) == Borders(60, 30, unseen_apart=True)
    counts = np.array([36, 35, 34, 9, 8, 7, 0])
    assert groups.group_of(counts, Borders()).tolist() == ["head"] * 2 + ["medium"] * 2 + ["tail"] * 3
    assert groups.group_sizes(counts, Borders()) == {"head": 2, "medium": 2, "tail": 3}
    assert groups.group_sizes(counts[:0], Borders()) == {"head": 0, "medium": 0, "tail": 0}


counted = arrays(np.int64, st.integers(0, 40), elements=st.one_of(st.integers(0, 4), st.integers(0, 100_000)))


@quick
@given(counted)
def test_the_groups_part_the_labels_and_no_label_without_a_document_is_in_the_tail(counts: np.ndarray) -> None:
    borders = groups.cut_thirds(counts)
    found, sizes = groups.group_of(counts, borders), groups.group_sizes(counts, borders)
    assert sum(sizes.values()) == len(counts)
    assert sizes == {group: int((found == group).sum()) for group in sizes}
    assert (found == groups.UNSEEN).tolist() == (counts == 0).tolist()
    assert (groups.UNSEEN in sizes) == bool((counts == 0).any())
    # Down the ranks one group follows the other.
    order = [groups.EVERY_GROUP.index(group) for group in found[np.argsort(-counts, kind="stable")]]
    assert order == sorted(order)
    # Borders are read as they are written.
    assert Borders(**json.loads(json.dumps(borders.as_json()))) == borders
    assert groups.describe_borders(borders).endswith("are a group of their own.")


@quick
@given(counted, st.integers(0, 5))
def test_groups_are_thirds_as_near_as_equal_counts_allow(counts: np.ndarray, unseen: int) -> None:
    distinct = np.unique(counts[counts > 0])
    sizes = groups.group_sizes(np.r_[distinct, [0] * unseen], groups.cut_thirds(np.r_[distinct, [0] * unseen]))
    thirds = [sizes[group] for group in groups.FREQUENCY_GROUPS]
    assert sizes.get(groups.UNSEEN, 0) == unseen
    assert max(thirds) - min(thirds) <= 1
    # Of equal counts each border is off by half of the largest tie at most, and no end is empty but of one count.
    known = counts[counts > 0]
    if len(distinct) > 1:
        found, tie = groups.group_sizes(known, groups.cut_thirds(known)), np.unique(known, return_counts=True)[1].max()
        assert all(found[end] and abs(found[end] - len(known) / 3) <= max(tie, 1) for end in ("head", "tail"))
    elif len(known):
        assert groups.group_sizes(known, groups.cut_thirds(known)) == {"head": 0, "medium": len(known), "tail": 0}


@pytest.mark.parametrize(
    ("counts", "borders", "sizes"),
    [
        ([], (1, 0), (0, 0, 0)),
        ([0, 0], (1, 0), (0, 0, 0, 2)),
        ([7], (8, 6), (0, 1, 0)),
        ([1, 1, 1], (2, 0), (0, 3, 0)),
        ([5, 1], (5, 1), (1, 0, 1)),
        ([9, 4, 2, 0], (9, 2), (1, 1, 1, 1)),
        ([50, 20, *[1] * 8], (20, 1), (2, 0, 8)),
        ([9] * 8 + [3, 1], (9, 3), (8, 0, 2)),
    ],
)
def test_thirds_of_sets_with_few_counts(counts: list[int], borders: tuple[int, int], sizes: tuple[int, ...]) -> None:
    found = groups.cut_thirds(counts)
    assert found == Borders(*borders, unseen_apart=True)
    assert tuple(groups.group_sizes(counts, found).values()) == sizes


def test_borders_that_older_versions_wrote_keep_labels_without_a_document_in_the_tail() -> None:
    old = Borders(**{"head": 4, "tail": 1})
    assert groups.group_of([5, 2, 1, 0], old).tolist() == ["head", "medium", "tail", "tail"]
    assert old.as_json() == {"head": 4, "tail": 1}
    moved = Borders(4, 1, unseen_apart=True).moved(tail=2)
    assert moved == Borders(4, 2, unseen_apart=True)
    assert moved.moved() == moved
    assert groups.group_of([5, 2, 1, 0], moved).tolist() == ["head", "tail", "tail", groups.UNSEEN]
    with pytest.raises(UserError, match="head from 4"):
        moved.moved(tail=4)


@quick
@given(arrays(np.int64, st.integers(0, 20), elements=st.integers(0, 100)), st.integers(0, 40), st.integers(1, 40))
def test_group_shares_add_up(counts: np.ndarray, tail: int, more: int) -> None:
    table = group_shares(counts, Borders(tail + more, tail))
    assert table["group"].tolist() == list(groups.FREQUENCY_GROUPS)
    assert table["labels"].sum() == len(counts)
    assert table["assignments"].sum() == counts.sum()
    if counts.sum():
        assert table["share_of_assignments"].sum() == pytest.approx(1)
    else:
        assert table["share_of_assignments"].isna().all()


def test_indicator_stores_every_entry_once_and_leaves_its_input() -> None:
    twice = sp.csr_array((np.array([1, 1, 0, 2]), np.array([2, 2, 1, 0]), np.array([0, 3, 4])), shape=(2, 3))
    before = twice.copy()
    clean = groups.indicator(twice)
    assert clean.toarray().tolist() == [[False, False, True], [True, False, False]]
    assert clean.nnz == 2
    assert (twice.data.tolist(), twice.indices.tolist()) == (before.data.tolist(), before.indices.tolist())
    assert groups.indicator(clean) is clean
    assert groups.count_documents(twice).tolist() == [1, 0, 1]
    assert part_measures(twice) == part_measures(clean)


def test_rank_frequency_sorts_and_ties_keep_their_order() -> None:
    table = rank_frequency(("a", "b", "c", "d"), np.array([2, 40, 2, 9]), Borders(35, 8))
    assert table["label"].tolist() == ["b", "d", "a", "c"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["count"].tolist() == [40, 9, 2, 2]
    assert table["group"].tolist() == ["head", "medium", "tail", "tail"]


def test_labels_per_document_has_no_gaps() -> None:
    table = labels_per_document(TARGETS)
    assert table.to_dict("list") == {"labels": [0, 1, 2], "documents": [1, 1, 3]}
    wide = sp.csr_array(np.array([[1, 0, 0, 0], [1, 1, 1, 0]], dtype=bool))
    assert labels_per_document(wide).to_dict("list") == {"labels": [1, 2, 3], "documents": [1, 0, 1]}
    assert labels_per_document(TARGETS[:0]).empty


def test_a_label_without_documents_has_no_imbalance_ratio() -> None:
    ratios = imbalance_ratios(COUNTS)
    assert ratios[:3].tolist() == [1, 2, 4]
    assert math.isnan(ratios[3])
    measures = part_measures(TARGETS)
    assert (measures["max_ir"], measures["mean_ir"]) == (4, 7 / 3)
    assert measures["cv_ir"] == pytest.approx(math.sqrt(7 / 3) / (7 / 3))
    assert measures["labels_with_documents"] == 3
    assert (measures["max_count"], measures["min_count"]) == (4, 1)


def test_part_measures_by_hand() -> None:
    measures = part_measures(TARGETS, rare=1)
    assert measures["cardinality"] == 7 / 5
    assert measures["density"] == pytest.approx(7 / 20)
    assert (measures["without_label"], measures["single_label"], measures["multi_label"]) == (1, 1, 3)
    assert (measures["two_labels"], measures["three_labels"], measures["four_labels_or_more"]) == (3, 0, 0)
    assert (measures["most_labels"], measures["documents_per_label"]) == (2, 7 / 4)
    assert (measures["labelsets"], measures["single_labelsets"]) == (4, 3)
    assert (measures["pmax"], measures["puniq"]) == (2 / 5, 3 / 5)
    pair = 1 - math.sqrt(2) / 1.5  # IRLbl 1 and 2
    assert scumble(TARGETS).tolist() == pytest.approx([pair, 0, pair, 0, 1 - 2 / 2.5])
    assert measures["scumble"] == pytest.approx((2 * pair + 0.2) / 5)
    assert measures["rare_label_share"] == 2 / 4


def test_scumble_of_a_document_with_very_many_labels_is_finite() -> None:
    dense = np.vstack([np.ones((1, 3000), bool), np.eye(1, 3000, dtype=bool).repeat(5000, axis=0)])
    scores = scumble(sp.csr_array(dense))
    ratios = np.r_[1, np.full(2999, 5001.0)]
    assert scores[0] == pytest.approx(1 - np.exp(np.log(ratios).mean()) / ratios.mean())


@quick
@given(dense_targets)
def test_measures_do_not_depend_on_order_and_fit_json(dense: np.ndarray) -> None:
    measures = part_measures(sp.csr_array(dense))
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures
    turned = part_measures(sp.csr_array(dense[::-1, ::-1]))
    assert turned == pytest.approx(measures)
    assert measures["documents"] == measures["without_label"] + measures["single_label"] + measures["multi_label"]
    assert measures["labelsets"] == len({row.tobytes() for row in dense})
    assert measures["gini"] is None or 0 <= measures["gini"] < 1


@quick
@given(dense_targets, st.integers(0, 3))
def test_measures_equal_their_formulas_taken_one_by_one(dense: np.ndarray, rare: int) -> None:
    measures = part_measures(sp.csr_array(dense), rare=rare)
    documents, n_labels = dense.shape
    counts = [sum(bool(row[label]) for row in dense) for label in range(n_labels)]
    sizes = [int(row.sum()) for row in dense]
    sets = Counter(row.tobytes() for row in dense)
    ratios = {label: max(counts) / count for label, count in enumerate(counts) if count}
    assert (measures["assignments"], measures["labels_with_documents"]) == (sum(counts), len(ratios))
    assert (measures["labelsets"], measures["single_labelsets"]) == (len(sets), list(sets.values()).count(1))
    assert measures["most_labels"] == max(sizes, default=0)
    assert [measures[key] for key in ("without_label", "single_label", "two_labels", "three_labels")] == [
        sizes.count(number) for number in range(4)
    ]
    assert measures["four_labels_or_more"] == sum(size > 3 for size in sizes)
    if not documents or not n_labels:
        return
    assert measures["cardinality"] == pytest.approx(np.mean(sizes))
    assert measures["density"] == pytest.approx(np.mean(sizes) / n_labels)
    assert measures["pmax"] == max(sets.values()) / documents
    assert measures["puniq"] == list(sets.values()).count(1) / documents
    assert measures["rare_label_share"] == sum(count <= rare for count in counts) / n_labels
    unevenness = []
    for row in dense:
        own = [ratios[label] for label in np.flatnonzero(row)]
        unevenness.append(1 - math.prod(own) ** (1 / len(own)) / np.mean(own) if own else 0)
    assert measures["scumble"] == pytest.approx(np.mean(unevenness), abs=1e-12)
    if ratios:
        found = list(ratios.values())
        assert (measures["max_ir"], measures["mean_ir"]) == pytest.approx((max(found), np.mean(found)))
        gaps = sum(abs(one - other) for one in counts for other in counts)
        assert measures["gini"] == pytest.approx(gaps / (2 * n_labels * sum(counts)), abs=1e-12)
    if len(ratios) > 1:
        assert measures["cv_ir"] == pytest.approx(np.std(found, ddof=1) / np.mean(found))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_part_has_counts_and_no_measures(shape: tuple[int, int]) -> None:
    measures = part_measures(sp.csr_array(shape, dtype=bool))
    assert measures["documents"] == shape[0]
    undefined = {key for key, value in measures.items() if value is None}
    assert {"density", "max_count", "min_count", "max_ir", "mean_ir", "cv_ir", "gini", "rare_label_share"} <= undefined
    assert measures.keys() == part_measures(TARGETS).keys()


@quick
@given(st.integers(1, 50), st.integers(1, 50))
def test_gini_of_equal_counts_is_0_and_of_one_owner_is_nearly_1(n_labels: int, count: int) -> None:
    assert gini(np.full(n_labels, count)) == pytest.approx(0)
    assert gini(np.eye(1, n_labels)[0] * count) == pytest.approx(1 - 1 / n_labels)


@quick
@given(arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 100)))
def test_the_lorenz_curve_rises_below_equality_and_bends_as_gini_says(counts: np.ndarray) -> None:
    curve = lorenz(counts)
    if not counts.sum():
        assert curve.to_dict("list") == {"share_of_labels": [0.0], "share_of_assignments": [0.0]}
        return
    x, y = curve["share_of_labels"].to_numpy(), curve["share_of_assignments"].to_numpy()
    assert (len(curve), x[-1], y[-1]) == (len(counts) + 1, 1, 1)
    assert (np.diff(y) >= 0).all()
    assert (y <= x + 1e-12).all()
    assert 1 - 2 * np.trapezoid(y, x) == pytest.approx(gini(counts))


def test_drift_compares_shares_and_knows_chance() -> None:
    table = drift("abcd", np.array([50, 1, 0, 3]), np.array([5, 0, 2, 0]), documents=(100, 10)).set_index("label")
    assert (table.loc["a", "share"], table.loc["a", "other_share"], table.loc["a", "ratio"]) == (0.5, 0.5, 1)
    assert table.loc["a", "z"] == 0
    assert table["ratio"].tolist()[1:] == [0, math.inf, 0]
    pooled = 2 / 110
    assert table.loc["c", "z"] == pytest.approx(0.2 / math.sqrt(pooled * (1 - pooled) * (1 / 100 + 1 / 10)))
    assert table.loc["b", "z"] < 0


def test_drift_of_labels_everywhere_or_nowhere_and_of_an_empty_part() -> None:
    table = drift("ab", np.array([4, 0]), np.array([2, 0]), documents=(4, 2))
    assert table["ratio"].tolist()[0] == 1
    assert math.isnan(table["ratio"][1])
    assert table["z"].isna().all()
    empty = drift("ab", np.array([4, 0]), np.array([0, 0]), documents=(4, 0))
    assert empty[["other_share", "ratio", "z"]].isna().all(axis=None)


def corpus_of(train: sp.csr_array, **parts: sp.csr_array) -> SimpleNamespace:
    parts = {"train": train, **parts}
    return SimpleNamespace(
        name="tiny",
        fingerprint="0" * 64,
        split="original",
        labels=NAMES,
        counts=groups.count_documents(train),
        parts={part: np.arange(targets.shape[0]) for part, targets in parts.items()},
        targets_of=parts.__getitem__,
    )


def test_corpus_stats_holds_the_promised_keys_and_fits_json() -> None:
    stats = corpus_stats(corpus_of(TARGETS, validation=TARGETS[:0], test=TARGETS[3:]), Borders(4, 1))
    assert json.loads(json.dumps(stats, allow_nan=False)) == stats
    assert stats.keys() == {"name", "fingerprint", "labels", "split", "bins", "borders", "parts", "all"}
    assert (stats["labels"], stats["bins"]) == (4, {"head": 1, "medium": 1, "tail": 2})
    assert stats["borders"] == {"head": 4, "tail": 1}
    apart = corpus_stats(corpus_of(TARGETS), Borders(4, 1, unseen_apart=True))
    assert apart["bins"] == {"head": 1, "medium": 1, "tail": 1, groups.UNSEEN: 1}
    assert apart["borders"] == {"head": 4, "tail": 1, "unseen_apart": True}
    assert list(stats["parts"]) == ["train", "validation", "test"]
    assert stats["parts"]["train"]["head_share"] == 4 / 7
    assert stats["parts"]["test"]["head_share"] == 1 / 2
    assert (stats["all"]["documents"], stats["all"]["assignments"], stats["all"]["head_share"]) == (7, 9, 5 / 9)
    assert stats["all"].keys() == stats["parts"]["train"].keys()
    assert (stats["parts"]["validation"]["documents"], stats["parts"]["validation"]["head_share"]) == (0, None)


KNOWN = {
    "documents": (7770, 3019, 10789),
    "cardinality": (1.2336, 1.2401, 1.2354),
    "density": (0.01371, 0.01378, 0.01373),
    "max_count": (2877, 1087, 3964),
    "min_count": (1, 1, 2),
    "max_ir": (2877, 1087, 1982),
    "mean_ir": (506.35, 293.25, 384.74),
    "cv_ir": (1.579, 1.271, 1.403),
    "scumble": (0.0321, 0.0292, 0.0313),
    "labelsets": (365, 227, 468),
    "single_labelsets": (218, 127, 291),
    "gini": (0.8110, 0.7928, 0.8047),
    "single_label": (6578, 2583, 9161),
    "multi_label": (1192, 436, 1628),
    "two_labels": (865, 308, 1173),
    "three_labels": (192, 63, 255),
    "four_labels_or_more": (135, 65, 200),
    "without_label": (0, 0, 0),
}
"""Train, test and both together, of the ModApte split with the 90 topics that occur in both."""


@pytest.fixture(scope="module")
def original(reuters_folder: Path, reuters_cache: Path) -> dict[str, Any]:
    """The measures of split `original`, by part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(reuters_cache))
        patch.setenv("TAILSCOPE_DATA", str(reuters_folder))
        stats = corpus_stats(sources.load(DataConfig(name="reuters", split="original")), Borders())
    return stats["parts"] | {"all": stats["all"]}


@pytest.mark.reuters
@pytest.mark.parametrize("measure", KNOWN)
def test_reuters_has_its_known_values(original: dict[str, Any], measure: str) -> None:
    for part, value in zip(("train", "test", "all"), KNOWN[measure], strict=True):
        digits = len(str(value).partition(".")[2])
        assert round(original[part][measure], digits) == value, part


@pytest.mark.reuters
def test_reuters_split_of_the_paper_has_its_groups(reuters: Any) -> None:
    stats = corpus_stats(reuters, groups.default_borders(reuters.name, reuters.counts))
    assert stats["bins"] == {"head": 30, "medium": 31, "tail": 29}
    assert [part["documents"] for part in stats["parts"].values()] == [6769, 1000, 3019]
    assert (stats["parts"]["test"]["single_label"], stats["parts"]["test"]["multi_label"]) == (2583, 436)
    assert json.loads(json.dumps(stats, allow_nan=False)) == stats


@quick
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), min_size=1, max_size=30))
def test_drift_is_fisher_s_test_and_its_correction(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    table = drift([str(place) for place in range(len(pairs))], one, other, documents=(60, 25))
    for (a, b), p in zip(pairs, table["p"], strict=True):
        if a + b == 0:
            assert math.isnan(p)
            continue
        square = [[a, 60 - a], [b, 25 - b]]
        tails = [fisher_exact(square, alternative=side).pvalue for side in ("less", "greater")]
        assert p == pytest.approx(min(1, 2 * min(tails)))
    known = table["p"].notna()
    if known.any():
        assert table.loc[known, "q"].tolist() == pytest.approx(list(false_discovery_control(table.loc[known, "p"])))


def test_a_split_by_chance_drifts_in_hardly_a_label_of_thousands() -> None:
    rng = np.random.default_rng(0)
    counts = rng.zipf(1.5, 13_572).clip(max=2000)
    other = rng.binomial(counts, 0.2)
    table = drift([str(place) for place in range(len(counts))], counts - other, other, documents=(8000, 2000))
    assert (table["z"].abs() > 3).sum() > 10
    assert (table["q"] <= FALSE_SHARE).sum() == 0

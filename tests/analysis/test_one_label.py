"""Everything about one label."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import one_label
from core.analysis.one_label import Outcomes
from core.labels.groups import Borders
from core.metrics import label_sets
from core.metrics.confusion import absorbed_counts, swap_counts
from core.metrics.uncertainty import label_intervals

NAMES = ("earn", "Gold", "gold ore", "platinum", "strategic-metal", "iron-steel", "GOLD")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("platinum", ["platinum"]),
        ("  PLATINUM ", ["platinum"]),
        ("GOLD", ["GOLD"]),
        ("gold", ["Gold", "GOLD"]),
        ("ore", ["gold ore"]),
        ("go", ["Gold", "gold ore", "GOLD"]),
        ("e", ["earn", "gold ore", "strategic-metal", "iron-steel"]),
        ("platinium", ["platinum"]),
        ("zzz", []),
        ("", []),
        ("  ", []),
        ("platinum" * 2000, []),
    ],
)
def test_a_text_finds_the_labels_that_it_may_mean(text: str, found: list[str]) -> None:
    assert one_label.find_labels(NAMES, text) == found


def test_a_part_of_a_name_offers_so_many_labels_at_most() -> None:
    names = [f"label {number}" for number in range(18_211)]
    assert one_label.find_labels(names, "label", limit=7) == names[:7]


def two(seed: int, documents: int = 60, labels: int = 6) -> tuple[sp.csr_array, sp.csr_array]:
    rng = np.random.default_rng(seed)
    return sp.csr_array(rng.random((documents, labels)) < 0.3), sp.csr_array(rng.random((documents, labels)) < 0.35)


@given(st.integers(0, 10_000), st.integers(0, 5))
def test_the_four_numbers_and_the_cases_are_those_of_the_whole_table(seed: int, column: int) -> None:
    targets, predicted = two(seed)
    found = one_label.count_outcomes(targets, predicted, column)
    errors = label_sets.count_errors(targets, predicted)
    assert found[:3] == tuple(int(values[column]) for values in errors)
    assert sum(found) == 60
    cases = one_label.find_cases(targets, predicted, column)
    assert [len(rows) for rows in cases.values()] == [found.tp, found.fn, found.fp]


@given(st.integers(0, 10_000), st.integers(0, 5))
def test_confused_labels_are_the_row_and_the_column_of_the_whole_matrix(seed: int, column: int) -> None:
    targets, predicted = two(seed)
    names = [f"l{place}" for place in range(6)]
    lost, gained = one_label.confused_labels(targets, predicted, names, column)
    swapped, absorbed = (counts(targets, predicted).toarray() for counts in (swap_counts, absorbed_counts))
    for table, key, row in (
        (lost, "swapped", swapped[column]),
        (lost, "absorbed", absorbed[column]),
        (gained, "swapped", swapped[:, column]),
    ):
        known = dict(zip(table["label"], table[key], strict=True))
        assert [known.get(name, 0) for name in names] == row.tolist()
    assert lost["total"].is_monotonic_decreasing
    assert column not in [names.index(name) for name in lost["label"]]


def test_a_run_s_row_has_the_interval_of_its_f1() -> None:
    table = one_label.run_table({"a": Outcomes(3, 1, 2, 10), "never given": Outcomes(0, 0, 4, 12)})
    low, high = label_intervals(np.array([3]), np.array([1]), np.array([2]))
    assert table.loc[0, ["f1", "precision", "recall"]].tolist() == pytest.approx([200 / 3, 75, 60])
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([100 * low[0], 100 * high[0]])
    assert table.loc[1, "f1"] == 0
    assert np.isnan(table.loc[1, "precision"])


def test_formulas_have_the_numbers_in_them() -> None:
    text = one_label.formulas(Outcomes(17, 3, 1_200, 5))
    assert r"\frac{17}{17+3} = 0.850" in text
    assert r"\frac{17}{17+1{,}200} = 0.014" in text
    assert r"\frac{34}{34+3+1{,}200} = 0.027" in text
    assert text.count(r"\text{not defined}") == 0
    assert one_label.formulas(Outcomes(0, 0, 0, 9)).count(r"\text{not defined}") == 3


def test_pooled_formulas_are_micro_and_macro() -> None:
    targets, predicted = two(3)
    errors = one_label.count_errors(targets, predicted)
    text = one_label.pooled_formulas(errors, 2)
    micro, macro = re.findall(r"= (0\.\d{3})(?: |\\)", text + " ")
    assert float(micro) == pytest.approx(label_sets.micro_f1(targets, predicted), abs=6e-4)
    assert float(macro) == pytest.approx(label_sets.macro_f1(targets, predicted), abs=6e-4)
    assert f"{label_sets.f1(*errors)[2]:.3f}" in text


def test_a_threshold_is_one_for_all_or_one_each() -> None:
    assert one_label.threshold_of(0.25, 3) == 0.25
    assert one_label.threshold_of(np.array([0.1, 0.2]), 1) == 0.2
    assert np.isnan(one_label.threshold_of(None, 1))


def test_a_label_is_described_by_group_and_rank() -> None:
    facts = one_label.describe(NAMES, np.array([90, 40, 40, 20, 9, 3, 0]), 5, Borders(35, 8))
    assert facts == {"group": "tail", "rank": 6, "labels": 7, "rarer": 1}

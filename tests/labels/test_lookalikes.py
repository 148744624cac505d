"""Labels that may be one: what is alike, what is not, and names of every kind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from core.labels import lookalikes
from core.labels.cooccurrence import count_pairs


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("Money Supply", "money-supply", lookalikes.LETTERS),
        ("café", "CAFE", lookalikes.LETTERS),
        ("e\u0301tude", "\u00e9tude", lookalikes.LETTERS),
        ("ﬁnance", "finance", lookalikes.LETTERS),
        ("=cmd()", "cmd", lookalikes.LETTERS),
        ("C++", "c++", lookalikes.LETTERS),
        ("- gold", "Gold!", lookalikes.LETTERS),
        ("Covid-19", "covid 19", lookalikes.LETTERS),
        ("R&D / Design", "R + D, design", lookalikes.LETTERS),
        ("C++, games", "games C++", lookalikes.ORDER),
        ("Neoplasms, Breast", "Breast Neoplasms", lookalikes.ORDER),
        ("interest rate", "Interest Rates", lookalikes.PLURAL),
        ("Tumor, Lung", "lung tumors", lookalikes.PLURAL),
        ("behaviour", "behavior", lookalikes.TYPO),
        ("receive", "recieve", lookalikes.TYPO),
        ("organisation", "organization", lookalikes.TYPO),
    ],
)
def test_names_that_look_like_one(one: str, other: str, why: str) -> None:
    assert lookalikes.similar_names([one, "something else", other]) == [(0, 2, why)]
    assert lookalikes.similar_names([other, one]) == [(0, 1, why)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gold", "bold"),
        ("Histone H1", "Histone H2"),
        ("loss", "los"),
        ("🎉", "🎈"),
        ("שלום", "עולם"),
        ("", "a"),
        *itertools.combinations(["C", "C++", "C#", "C*"], 2),
        *itertools.combinations(["Visual C", "Visual C++", "Visual C#"], 2),
        *itertools.combinations(["HIV", "HIV+", "HIV-"], 2),
        ("C++ programming", "C programming"),
        ("5 mg", "<5 mg"),
        ("<5 mg", ">5 mg"),
        ("1", "-1"),
        (".NET", "Net"),
        ("growth 5%", "growth 5"),
    ],
)
def test_names_that_do_not(one: str, other: str) -> None:
    assert lookalikes.similar_names([one, other]) == []


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_names_are_compared_and_equal_ones_found(names: list[str]) -> None:
    found = lookalikes.similar_names(names)
    pairs = [pair[:2] for pair in found]
    assert len(set(pairs)) == len(pairs)
    assert all(0 <= one < other < len(names) for one, other in pairs)
    linked = {place for pair in pairs for place in pair}
    for one, other in itertools.combinations(range(len(names)), 2):
        if names[one] == names[other]:
            assert {one, other} <= linked


def test_labels_on_the_same_documents_are_found_with_what_they_share() -> None:
    dense = np.zeros((20, 4), bool)
    dense[:10, 0] = dense[:10, 1] = dense[10:, 2] = dense[12:15, 3] = True
    pairs = count_pairs(sp.csr_array(dense))
    alike = lookalikes.similar_names(["ship", "Vessel", "grain", "Ship"])
    table = lookalikes.find_lookalikes(alike, pairs)
    assert table["why"].tolist() == [lookalikes.LETTERS, lookalikes.DOCUMENTS]
    first, second = table.to_dict("records")
    assert (first["label"], first["other"], first["both"], first["documents"]) == (3, 0, 0, 3)
    assert ({second["label"], second["other"]}, second["jaccard"], second["both"]) == ({0, 1}, 1, 10)
    assert lookalikes.find_lookalikes(alike, pairs, limit=1)["why"].tolist() == [lookalikes.LETTERS]


def test_nothing_alike_is_an_empty_table() -> None:
    pairs = count_pairs(sp.csr_array(np.eye(2, dtype=bool)))
    assert len(lookalikes.find_lookalikes([], pairs)) == 0
    assert len(lookalikes.find_lookalikes([], count_pairs(sp.csr_array(np.ones((1, 1), bool))))) == 0

"""The page on a data set, every tab in every odd state of the data, without a browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.analysis.dataset import MEASURES
from pages import explorer
from pages.sections import explorer as parts
from tests.helpers.corpora import NASTY, corpus
from tests.helpers.drawn import draw, open_page, words

VIEWS = [
    *({"view": view} for view in explorer.SECTIONS),
    {"view": "Together", "show": "Strongest pairs", "least_both": "1"},
    {"view": "Together", "show": "Whole matrix", "bin": "0-1"},
    {"view": "Together", "which": "chosen"},
    {"view": "Together", "which": "around one label", "order": "in clusters", "colour": "lift"},
]
"""Every view that a fresh visitor can open, as the address has it."""
ALL = {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}
RNG = np.random.default_rng(0)
SETS = {
    "one label": corpus([[1]] * 6, ALL),
    "one document": corpus([[1, 0, 1]], {"train": [0], "validation": [], "test": []}),
    "all labels on all documents": corpus(np.ones((6, 4)), ALL),
    "no labels in the test part": corpus([[1, 1], [0, 1], [1, 0], [1, 1], [0, 0], [0, 0]], ALL),
    "no labels in the train part": corpus([[0, 0], [0, 0], [0, 0], [1, 1], [0, 1], [1, 0]], ALL),
    "no labels at all": corpus(np.zeros((6, 3)), ALL),
    "no pairs": corpus(np.eye(6), ALL),
    "names of every kind": corpus(
        RNG.random((40, len(NASTY) + 4)) < 0.5,
        {"train": range(20), "validation": [], "test": range(20, 40)},
        labels=[*NASTY, "e\u0301tude", "\u00e9tude", "", "x" * 300],
        titles=list(NASTY) * 5,
    ),
    "more labels than are offered": corpus(
        RNG.random((60, 2100)) < 0.002,
        {"train": range(40), "test": range(40, 60)},
        labels=[f"n{i}" for i in range(2100)],
    ),
}


def show(name: str) -> None:
    """Draws the sections as the page does, on a set made here."""
    import streamlit as st

    from pages import explorer
    from tests.pages.test_explorer import SETS

    for tab, section in zip(
        st.tabs(list(explorer.SECTIONS), key="view", bind="query-params"), explorer.SECTIONS.values(), strict=True
    ):
        if tab.open:
            with tab:
                section(SETS[name])


def opened(name: str, query: dict[str, str]) -> AppTest:
    return draw(AppTest.from_function(show, kwargs={"name": name}, default_timeout=60), query)


def said(page: AppTest) -> str:
    return "\n".join(str(element.value) for kind in ("error", "info", "caption", "text") for element in page.get(kind))


@pytest.mark.slow
@pytest.mark.parametrize("query", VIEWS, ids=lambda query: "-".join(query.values()))
@pytest.mark.parametrize("name", SETS)
def test_every_view_of_every_odd_set_is_drawn(name: str, query: dict[str, str]) -> None:
    page = opened(name, query)
    assert not page.error
    assert said(page)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["validation", "test", "all"])
@pytest.mark.parametrize("view", ["Lengths", "Together", "Look-alikes", "Documents"])
def test_every_part_is_drawn(view: str, part: str) -> None:
    page = opened("no labels in the test part", {"view": view, "part": part})
    assert page.get_by_key("part").value == part


def test_the_documents_of_two_labels_are_read_one_by_one_and_listed() -> None:
    page = opened("all labels on all documents", {"view": "Together", "label": "a", "beside": "c"})
    assert "3 train documents carry a and c." in said(page)
    assert [metric.value for metric in page.metric] == ["100.0%", "100.0%", "1.0"]
    assert "id0" in said(page)
    page.number_input(key="page").set_value(3).run()
    assert "id2" in said(page)
    next(button for button in page.button if button.label == "List them").click().run()
    assert not page.exception
    assert page.session_state["all_of"] == ["a", "c"]


@pytest.mark.slow
def test_filters_of_the_address_hold_and_what_none_passes_is_said() -> None:
    names = "no labels in the test part"
    both = {"view": "Documents", "part": "all", "all_of": "b"}
    assert "3 of 6 documents." in said(opened(names, both))
    assert "1 of 6 documents." in said(opened(names, both | {"none_of": "a"}))
    page = opened(names, {"view": "Documents", "part": "all", "least": "2", "text": "TITLE"})
    assert "1 of 6 documents." in said(page)
    assert "None of 3" in said(opened(names, {"view": "Documents", "text": "nowhere"}))


def test_borders_that_make_no_sense_are_one_sentence() -> None:
    page = opened("no pairs", {"view": "Long tail", "head": "3", "tail": "5"})
    assert ["head from 3 documents, tail up to 5" in error.value for error in page.error] == [True]


def test_every_measure_is_explained_where_its_heading_stands() -> None:
    page = opened("no pairs", {"view": "Overview"})
    tables = page.dataframe[-4:]  # what stands before them are findings
    assert [set(table.value.columns) - {"part"} for table in tables] == [set(kind) for kind in MEASURES.values()]
    for table in tables:
        assert table.proto.columns.count('"help"') == len(table.value.columns)


@pytest.mark.parametrize("length", [0, 10, parts.LONGEST + 1])
def test_a_very_long_document_is_cut_and_that_is_said(length: int) -> None:
    shown = parts.shorten_text("x" * length)
    assert len(shown) < parts.LONGEST + 100
    assert shown.count("x") == (min(length, parts.LONGEST))
    assert ("letters" in shown) == (length > parts.LONGEST)


def test_labels_are_offered_by_a_part_of_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened("more labels than are offered", {"view": "Together", "label": "n2050"})
    box: Any = page.selectbox(key="label")
    assert box.value == "n2050"
    assert len(box.options) <= 2001
    page.text_input(key="label_part").set_value("n209").run()
    assert set(page.selectbox(key="label").options) == {*(f"n209{i}" for i in range(10)), "n209", "n2050"}


@pytest.mark.parametrize(("view", "key"), [("Documents", "part"), ("Drift", "against"), ("Drift", "drift")])
def test_a_choice_that_the_address_leaves_empty_is_the_default(view: str, key: str) -> None:
    size = {"synthetic_documents": "400", "synthetic_labels": "30"}
    usual, empty = (open_page("explorer", data="synthetic", view=view, **size, **more) for more in ({}, {key: ""}))
    assert words(empty) == words(usual)

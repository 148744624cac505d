"""The current data set and run: chosen once, kept on every page, in every link and address."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import folder
from core.runs.folder import list_runs
from core.system.places import ROOT
from pages.shared.menu import PAGES
from tests.helpers.drawn import draw, open_page, said, words

SMALL = {"data": "synthetic", "split": "original", "synthetic_documents": "400", "synthetic_labels": "30"}


@pytest.fixture
def filled(finished_runs: Path, cache: Path) -> Path:
    """The test's own cache with finished runs of synthetic data."""
    shutil.copytree(finished_runs, cache)
    return cache


def address(page: AppTest) -> dict[str, str]:
    """The address of a page; one value a key."""
    found = {key: [value] if isinstance(value, str) else value for key, value in page.query_params.items()}
    assert all(len(values) == 1 for values in found.values()), found
    return {key: values[0] for key, values in found.items()}


def links(page: AppTest) -> dict[str, dict[str, str]]:
    """The query of each link of the menu, by page."""
    found: dict[str, Any] = {link.proto.page: link.proto.query_string for link in page.sidebar.get("page_link")}
    return {name: {key: values[0] for key, values in parse_qs(query).items()} for name, query in found.items()}


def test_every_link_of_the_menu_has_the_data_set_of_the_address(cache: Path) -> None:
    page = open_page("home", **SMALL)
    assert list(links(page).values()) == [SMALL] * len(PAGES)
    assert address(page) == SMALL


def test_a_choice_in_the_sidebar_is_in_the_address_and_on_the_page(cache: Path) -> None:
    page = open_page("explorer", **SMALL)
    assert {"320", "80"} <= {metric.value for metric in page.metric}
    page.get_by_key("split").set_value("paper").run()
    assert address(page) == {**SMALL, "split": "paper"}
    page.get_by_key("synthetic_documents").set_value(500).run()
    assert address(page)["synthetic_documents"] == "500"
    assert links(page)["loss_weights"]["synthetic_documents"] == "500"


def test_a_size_of_many_digits_is_carried_whole(cache: Path) -> None:
    sizes = {**SMALL, "synthetic_seed": "12345678", "synthetic_cardinality": "1.6123456"}
    page = open_page("home", **sizes)
    assert address(page) == sizes
    assert links(page)["explorer"] == sizes


def test_a_page_without_an_address_shows_the_session_s_data_set(cache: Path) -> None:
    page = open_page("explorer", **SMALL)
    page.query_params.clear()
    page.run()
    assert address(page) == SMALL


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        ("home", {"data": "reuterz"}, "'reuterz'"),
        ("home", {"data": "reuters"}, "Not found"),
        ("explorer", {"data": "<b>"}, "'<b>'"),
        ("explorer", {"data": "synthetic", "synthetic_documents": "many"}, "documents"),
        ("loss_weights", {"data": "reuters-nltk"}, "Not found"),
        ("launcher", {"data": "synthetic", "synthetic_labels": "1"}, "labels"),
    ],
)
def test_a_data_set_that_cannot_be_had_is_a_sentence(
    name: str, query: dict[str, str], sentence: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILSCOPE_DATA", str(cache))
    page = open_page(name, **query)
    assert sentence in words(page)
    assert page.get_by_key("data").value is None
    page.get_by_key("data").set_value("synthetic").run()
    assert address(page) == {"data": "synthetic", "split": "paper"}
    assert sentence not in said(page.error)


def test_a_split_that_does_not_exist_is_the_usual_one(cache: Path) -> None:
    assert address(open_page("home", **{**SMALL, "split": "mine"}))["split"] == "paper"


def test_the_run_of_an_address_brings_its_data_set(filled: Path) -> None:
    run = next(run for run in list_runs() if run.config.model.name == "tfidf")
    page = open_page("errors", run=run.id)
    data = run.config.data
    assert address(page)["data"] == "synthetic"
    assert address(page)["synthetic_documents"] == f"{data.synthetic.documents}"
    assert said(page.sidebar.caption).startswith(f"Run: tfidf {run.config.loss.name if run.config.loss else ''}")
    # The menu leads back to it, also from a page that shows no run.
    assert links(page)["errors"]["run"] == run.id
    page = open_page("compare", of=data.title)
    assert address(page)["synthetic_documents"] == f"{data.synthetic.documents}"


def test_another_data_set_leaves_the_run(filled: Path) -> None:
    run = next(iter(list_runs()))
    page = open_page("errors", run=run.id)
    page.get_by_key("synthetic_documents").set_value(77).run()
    assert "There is no finished run on synthetic" in said(page.info)
    assert "run" not in address(page)
    assert "run" not in links(page)["errors"]
    page.get_by_key("run").set_value(run.id).run()
    assert address(page)["synthetic_documents"] == f"{run.config.data.synthetic.documents}"
    assert address(page)["run"] == run.id


def test_where_nobody_has_chosen_a_set_the_runs_say_which(filled: Path) -> None:
    assert address(open_page("compare"))["synthetic_documents"] == f"{list_runs()[0].config.data.synthetic.documents}"
    assert "run" in links(open_page("errors"))["errors"]


def test_runs_on_data_that_is_not_here_say_which_split_an_address_without_one_means(cache: Path) -> None:
    path = next((ROOT / "cache" / "published").glob("pubmed-sample-svm-*"))
    shutil.copytree(path, cache / "published" / path.name)
    for page in ("compare", "errors"):
        drawn = open_page(page, data="pubmed-sample")
        assert address(drawn) | {"run": ""} == {"data": "pubmed-sample", "split": "random", "run": ""}
        assert "There is no finished run" not in said(drawn.info)


def chosen_page() -> None:
    import streamlit as st

    from pages.shared import current

    st.button("choose b", on_click=current.write_address, args=("run", "b"))
    st.text(", ".join(current.read_address("run")) or "nothing")


def test_a_request_that_was_on_its_way_does_not_take_back_what_was_chosen() -> None:
    page = draw(AppTest.from_function(chosen_page), {"run": "a"})
    assert page.text[0].value == "a"
    page.button[0].click().run()
    assert page.text[0].value == "b"
    page.query_params["run"] = "a"
    page.run()
    assert page.text[0].value == "b"
    assert "b" in page.query_params["run"]
    page.query_params["run"] = "c"
    page.run()
    assert page.text[0].value == "c", "a new address counts"


@pytest.mark.parametrize("name", ["launcher", "errors", "compare", "home"])
def test_a_page_lists_the_runs_once_and_sees_a_new_one_when_it_is_drawn_again(
    name: str, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings: list[bool] = []
    real = folder.list_folders

    def list_and_count(*, published: bool = True) -> list[folder.Run | folder.Damaged]:
        listings.append(published)
        return real(published=published)

    monkeypatch.setattr(folder, "list_folders", list_and_count)
    page = open_page(name, **SMALL)
    assert len(listings) == len(set(listings)) <= 2, "own runs and all of them, each once"
    run = next(one for one in real(published=False) if one.state == "finished")
    shutil.copytree(run.path, run.path.with_name(f"{run.id[:-10]}0123456789"))
    before = listings.copy()
    page.run()
    assert len(listings) <= 2 * len(before)
    names = folder.list_runs()
    assert any(one.id.endswith("0123456789") for one in names)
    if name == "launcher":
        assert f"{run.id[:-10]}0123456789" in list(page.dataframe[0].value["run"])

"""The page on one label."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import sources
from core.runs.folder import Run, list_runs
from core.runs.predictions import read_predictions
from pages.label import VIEWS
from tests.helpers.drawn import open_page, said, words


@pytest.fixture
def run(finished_runs: Path, cache: Path) -> Run:
    """A finished run of `tfidf`, beside those of other models, in the test's own cache."""
    shutil.copytree(finished_runs, cache)
    return next(run for run in list_runs() if run.config.model.name == "tfidf")


def title(page: AppTest) -> str:
    return said(page.title)


@pytest.mark.parametrize("view", VIEWS)
def test_every_tab_of_a_label_is_drawn(view: str, run: Run) -> None:
    corpus = sources.load(run.config.data)
    page = open_page("label", run=run.id, name=corpus.labels[1], view=view)
    assert title(page) == corpus.labels[1]
    assert not page.error
    train = int(corpus.counts[1])
    assert {"Train", f"{train:,}"} <= {text for metric in page.metric for text in (metric.label, metric.value)}
    if view == "Scores":
        targets = read_predictions(run).targets.toarray()[:, 1]
        matrix = page.dataframe[0].value
        assert matrix["given"][0] + matrix["not given"][0] == targets.sum()
        assert matrix.iloc[:, 1:].to_numpy().sum() == len(targets)
    if view == "Losses":
        table = page.dataframe[0].value.set_index("loss")
        assert table.loc["bce", ["positive", "negative"]].tolist() == [1, 1]
        assert table.loc["db", "shift"] > table.loc["db", "positive"] * 0
    if view == "Thresholds":
        table = page.dataframe[0].value.set_index("rule")
        assert table.loc["quiet", "threshold"] <= table.loc["global", "threshold"]


def test_a_name_is_found_however_it_is_written_and_a_part_offers_labels(run: Run) -> None:
    first, second = sources.load(run.config.data).labels[:2]
    page = open_page("label", run=run.id, name=first.upper())
    assert title(page) == first
    assert page.query_params["name"] in (first, [first])
    page = open_page("label", run=run.id, name=first[:-1])
    assert title(page) in (first, "Label")
    offered = [link.proto.label for link in page.main.get("page_link")]
    assert title(page) == first or first in " ".join(offered).replace("\\", "")
    assert second


@pytest.mark.parametrize("name", ["", "no such label", "<script>alert(1)</script>", "x" * 10_000, "[a](http://b.c)"])
def test_an_unknown_name_offers_the_most_frequent_labels(name: str, run: Run) -> None:
    page = open_page("label", run=run.id, **({"name": name} if name else {}))
    assert title(page) == "Label"
    assert not page.error
    assert "The most frequent ones are" in words(page)
    assert len(words(page)) < 2000


def test_without_its_data_set_what_runs_say_of_a_label_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = sources.load(run.config.data).labels[0]
    text = (run.path / "config.json").read_text().replace('"name": "synthetic"', '"name": "elsewhere"')
    (run.path / "config.json").write_text(text)
    page = open_page("label", run=run.id, name=name)
    assert title(page) == name
    assert "elsewhere" in said(page.caption)
    assert len(page.dataframe) == 1
    page = open_page("label", run=run.id, name=name, view="Documents")
    assert "cannot be opened here" in said(page.info)


def test_without_a_run_the_data_says_what_it_can(cache: Path) -> None:
    query = {"data": "synthetic", "synthetic_documents": "400", "synthetic_labels": "30"}
    page = open_page("label", **query, name="the label that is not")
    assert title(page) == "Label"
    label = page.main.get("page_link")[0].proto.label
    page = open_page("label", **query, name=label.replace("\\", ""))
    assert "There is no finished run on this data set yet" in said(page.info)


def test_a_label_typed_in_the_sidebar_leads_to_its_page(run: Run) -> None:
    page = open_page("label", run=run.id)
    name = sources.load(run.config.data).labels[2]
    page.get_by_key("find_label").set_value(name).run()
    assert not page.exception
    assert page.get_by_key("find_label").value == ""

"""A combined run on every page: named by its members, never offered for training, tried by asking its members."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data import sources
from core.runs import scorer
from core.runs.combine import combine
from core.runs.folder import Run, delete_run, list_runs
from core.runs.predictions import read_predictions
from core.system.files import read_json, write_json
from pages.shared.menu import PAGES
from tests.helpers.drawn import open_page, words


@pytest.fixture
def filled(finished_runs: Path, cache: Path) -> Path:
    """The test's own cache with a finished run of each model."""
    shutil.copytree(finished_runs, cache)
    return cache


@pytest.fixture
def combined(filled: Path) -> Run:
    """The combined run of all of them."""
    return combine([run.id for run in list_runs()])


def test_its_members_read_a_text_as_its_stored_scores_say(combined: Run) -> None:
    corpus, kept, model = sources.load(combined.config.data), read_predictions(combined), scorer.load(combined)
    texts = list(corpus.texts(kept.rows[:20]))
    np.testing.assert_allclose(model.scores(texts), kept.scores[:20], atol=2e-3)
    assert isinstance(model, scorer.CombinedScorer)
    assert len(model.members) == 3
    # Words add what each member says of them, by its weight.
    table = model.contributions(texts[0], 1)
    assert table["adds"].abs().is_monotonic_decreasing
    np.testing.assert_allclose(table["adds"], table["value"] * table["weight"])
    expected = 0.0
    for member, weight, unit in zip(model.members, model.weights, model.margins, strict=True):
        expected += weight * member.contributions(texts[0], 1)["adds"].sum() / (unit.deviation if unit else 1)
    assert table["adds"].sum() == pytest.approx(expected)
    assert model.contributions("", 0).empty


def tried(run: Run) -> AppTest:
    """Try it with a text and one run."""
    page = open_page("try_it", runs=run.id)
    page.text_area(key="text").set_value("w1 w2 w3").run()
    assert not page.exception
    return page


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_a_combined_run_among_the_others(name: str, combined: Run) -> None:
    assert not open_page(name).error


@pytest.mark.parametrize("view", ["Confused pairs", "Label errors", "Provenance"])
def test_every_view_of_errors_shows_a_combined_run(view: str, combined: Run) -> None:
    page = open_page("errors", run=combined.id, view=view)
    assert not page.error
    if view == "Provenance":
        assert any(list(table.value.columns) == ["run", "weight", "now"] for table in page.dataframe)
        assert "combine" in words(page)


@pytest.mark.parametrize("view", ["F1 by rank", "Label by label", "Curves", "Cost"])
def test_compare_names_a_combined_run_by_its_members(view: str, combined: Run) -> None:
    page = open_page("compare", view=view)
    assert not page.error
    if view == "Cost":
        methods = list(page.dataframe[0].value["method"])
        assert "combined: svm-s0 + textcnn-db-s0 + tfidf-db-s0" in [name.replace("synthetic-", "") for name in methods]


def test_the_launcher_shows_it_and_takes_no_settings_from_it(combined: Run) -> None:
    page = open_page("launcher", run=combined.id)
    assert not page.error
    assert "A combined run is not trained" in words(page)
    assert "Resume" not in [button.label for button in page.button]
    assert not any(combined.id[-10:] in option for option in page.selectbox(key="from_run").options)
    assert not any("combined" in option for option in page.pills(key="models").options)


def test_try_it_asks_the_members_and_says_which_is_missing(combined: Run) -> None:
    page = tried(combined)
    assert not page.warning
    assert "combined" in words(page)
    gone = next(run for run in list_runs() if run.config.model.name == "svm")
    delete_run(gone.id)
    page = tried(combined)
    (warning,) = page.warning
    assert gone.id in warning.value
    assert "no longer there" in warning.value
    # Its own scores stand.
    assert not open_page("errors", run=combined.id).error
    assert not open_page("compare").error


def test_try_it_without_any_weights_opens_with_a_run_that_has_none_chosen(filled: Path, combined: Run) -> None:
    for path in (filled / "runs").iterdir():
        (path / "model.safetensors").unlink(missing_ok=True)
    page = open_page("try_it")
    assert "There is no trained model to try" in words(page)
    assert combined.id not in words(page)


@pytest.mark.parametrize("members", [None, [], [{"run": "x"}], "members"])
def test_damaged_members_in_the_metrics_are_one_sentence(members: object, combined: Run) -> None:
    metrics = read_json(combined.path / "metrics.json")
    write_json(combined.path / "metrics.json", metrics | {"members": members})
    page = tried(combined)
    (warning,) = page.warning
    assert "is damaged" in warning.value
    assert not open_page("errors", run=combined.id, view="Provenance").error


def test_a_read_only_dashboard_combines_nothing(combined: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Combine rows" in [expander.label for expander in open_page("compare").expander]
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    assert "Combine rows" not in [expander.label for expander in open_page("compare").expander]

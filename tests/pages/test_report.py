"""The report on the pages: what adds a view, and where the views are listed, removed and saved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.analysis import views
from core.analysis.tables import fold
from core.data import sources
from core.figures.views import VIEWS, draw
from core.labels.groups import Borders
from core.runs.folder import Run, list_runs
from core.runs.results import read_results
from pages.sections.compare.report import write_report
from tests.helpers.drawn import open_page, said, words


@pytest.fixture
def run(finished_runs: Path, cache: Path) -> Run:
    """A finished run of `tfidf`, beside those of other models, in the test's own cache."""
    shutil.copytree(finished_runs, cache)
    return next(run for run in list_runs() if run.config.model.name == "tfidf")


def address(run: Run, page: str, view: str) -> dict[str, str]:
    config = run.config.data
    sizes = {f"synthetic_{key}": str(value) for key, value in config.synthetic_changes().items()}
    of = {"compare": {"of": config.title}, "explorer": {"data": config.name, "split": config.split, **sizes}}
    return {"view": view, **of.get(page, {"run": run.id})}


def adding(page: AppTest) -> list[str]:
    return [str(button.key) for button in page.button if button.label == "Add this view to the report"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_a_view_is_added_as_it_stands_and_drawn_again(name: str, view: str, run: Run) -> None:
    label = {"name": sources.load(run.config.data).labels[0]} if name == "label" else {}
    page = open_page(name, **address(run, name, view), **label)
    assert adding(page) == [f"add-{name}-{view}"]
    page.button(key=f"add-{name}-{view}").click().run()
    assert not page.exception
    (kept,) = views.read_views(run.config.data.title)
    assert (kept.page, kept.view) == (name, view)
    assert kept.query["view"] == (view,)
    assert draw(kept)[0]


def test_compare_lists_the_views_of_its_data_removes_them_and_saves_the_page(run: Run) -> None:
    page = open_page("compare", **address(run, "compare", "Tables"))
    assert "No view was added yet" in words(page)
    page.button(key="add-compare-Tables").click().run()
    (kept,) = views.read_views()
    page = open_page("compare", **address(run, "compare", "Cost"))
    assert adding(page) == []
    assert f"Compare: {kept.title}" in [link.proto.label.replace("\\", "") for link in page.main.get("page_link")]
    borders = Borders(**read_results(run)["borders"])
    text = write_report(fold(list_runs()), run.config.data.title, borders, "as-trained", [kept])
    assert text.count('class="marks"') == 1
    page.button(key=f"remove-{kept.key}").click().run()
    assert views.read_views() == []
    views.views_file().write_text("{")
    page = open_page("compare", **address(run, "compare", "Tables"))
    assert "The views of the report cannot be read" in said(page.warning)
    page.button(key="add-compare-Tables").click().run()
    assert views.views_file().read_text() == "{"
    assert not page.exception


def test_nobody_who_may_only_look_is_offered_to_add(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    assert adding(open_page("compare", **address(run, "compare", "Tables"))) == []

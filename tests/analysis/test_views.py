"""Views that people add to the report: kept, damaged, drawn again, and in the page."""

from __future__ import annotations

import html
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.analysis import samples, tables, views
from core.config.schema import DataConfig, SyntheticConfig
from core.data import sources
from core.figures import page
from core.figures.views import VIEWS, draw
from core.runs.folder import Run
from core.system.errors import UserError
from core.system.files import write_json
from tests.cli.test_cli import call
from tests.helpers.scored import LABELS, make_run

NASTY = "</svg><img src=x onerror=alert(1)> & **b**"


@pytest.fixture
def runs(cache: Path) -> list[Run]:
    return [make_run("db", seed, quality=2.5) for seed in (0, 1)] + [make_run("bce", quality=1.0), make_run("fl")]


def view_of(runs: list[Run], /, page: str = "compare", view: str = "Tables", **shown: Any) -> views.View:
    title = tables.data_title(runs[0])
    shown = {"runs": [run.id for run in runs], "rule": "as-trained"} | shown
    return views.make_view(page, view, title, NASTY, shown, {"of": [title], "view": [view]})


def test_a_view_is_kept_once_and_removed(runs: list[Run]) -> None:
    one, other = view_of(runs), view_of(runs, column="tail_macro")
    assert views.read_views() == []
    assert [views.add_view(each) for each in (one, other, one)] == [True, True, False]
    assert [each.key for each in views.read_views(one.data)] == [one.key, other.key]
    assert views.read_views("another set") == []
    views.remove_view(one.key)
    views.remove_view(one.key)
    assert [each.key for each in views.read_views()] == [other.key]


def test_people_who_add_at_once_lose_nothing_and_a_full_list_says_so(runs: list[Run]) -> None:
    many = [view_of(runs, column=f"{number}") for number in range(views.MOST)]
    write_json(views.views_file(), views.Kept(views=tuple(many[8:])).model_dump())
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(views.add_view, many[:8]))
    assert {each.key for each in views.read_views()} == {each.key for each in many}
    with pytest.raises(UserError, match="remove some"):
        views.add_view(view_of(runs))
    assert len(views.read_views()) == views.MOST


@pytest.mark.parametrize(
    "damaged", ["{", "[]", "\xff", '{"views": [{"page": "launcher"}]}', '{"views": {}}', '{"views": [], "more": 1}']
)
def test_a_damaged_list_is_one_sentence_and_loses_nothing(damaged: str, runs: list[Run]) -> None:
    views.views_file().write_bytes(damaged.encode("latin-1"))
    for action in (views.read_views, lambda: views.add_view(view_of(runs)), lambda: views.remove_view("x")):
        with pytest.raises(UserError, match=r"The views of the report cannot be read: .* Mend or delete .*views\.json"):
            action()
    assert views.views_file().read_bytes() == damaged.encode("latin-1")
    done = call("report", runs[0].id, "--html", "-o", str(views.views_file().with_name("r.html")), code=2)
    assert "Mend or delete" in done.stderr


def test_a_report_is_written_without_the_views_where_that_is_asked_for(runs: list[Run], cache: Path) -> None:
    views.views_file().write_text("{")
    call("report", runs[0].id, "--html", "-o", str(cache / "r.html"), "--no-views")
    assert "Views that were added" not in (cache / "r.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "view", "shown"),
    [
        ("compare", "Tables", {"column": "tail_macro"}),
        ("compare", "Tables", {"rule": "quiet", "baseline": 2, "head": 50, "tail": 9}),
        ("compare", "Tables", {"rule": "ranking", "column": "tail_ap"}),
        ("compare", "F1 by rank", {"fold": False}),
        ("compare", "Label by label", {"first": 2, "second": 0}),
        ("errors", "Labels", {"at": "quiet"}),
        ("errors", "Map", {"around": LABELS[0], "read": "precision"}),
        ("errors", "Confused pairs", {"at": "my own", "limit": 0.7, "moved": ["3:0.6"], "part": "validation"}),
        ("errors", "Trade-off", {"at": "quiet, my own margin", "limit": 0.3}),
        ("errors", "Labels", {"at": "top k (RCut)"}),
        ("label", "Scores", {"name": LABELS[1], "run": 0}),
    ],
)
def test_every_view_is_drawn_again_without_a_script(
    name: str, view: str, shown: dict[str, Any], runs: list[Run]
) -> None:
    ids = {"baseline", "first", "second", "run"}
    shown = {key: runs[value].id if key in ids else value for key, value in shown.items()}
    drawn, caption = draw(view_of(runs, name, view, **shown))
    assert drawn.startswith("<svg" if view != "Confused pairs" else '<div class="wide"><table>')
    assert "<script" not in drawn
    assert caption.endswith(".")
    assert re.search("test|validation", caption, re.IGNORECASE), "a figure of a run names its part"


def test_every_view_with_a_button_has_a_drawing_and_the_tail_is_that_of_its_data() -> None:
    config = DataConfig(name="synthetic", split="original", synthetic=SyntheticConfig(documents=300, labels=20))
    made = views.make_view(
        "explorer", "Long tail", config.title, "tail", {"data_set": config.model_dump_json(), "tail": 3}, {}
    )
    drawn, caption = draw(made)
    assert drawn.count("<path") > len(sources.load(config).labels)
    assert "tail up to 3" in caption
    assert {name for name, _ in VIEWS} == {"compare", "errors", "explorer", "label"}


@pytest.mark.parametrize(
    ("name", "view", "shown", "said"),
    [
        ("errors", "Map", {"runs": ["synthetic-svm-s0-0123456789"]}, "Its runs are gone"),
        ("errors", "Map", {"runs": ["../../etc"]}, "Its runs are gone"),
        ("errors", "Map", {"at": "deleted"}, "no longer kept"),
        ("errors", "Labels", {"at": "my own", "limit": "x"}, "no numbers"),
        ("errors", "Labels", {"moved": ["99:0.1"]}, "does not have"),
        ("compare", "Tables", {"rule": "quite"}, "quiet"),
        ("compare", "Tables", {"baseline": "gone"}, "is gone"),
        ("compare", "Label by label", {"first": "gone"}, "is gone"),
        ("compare", "Curves", {}, "There is no view"),
        ("label", "Scores", {"name": "no such"}, "No run has a label"),
        ("explorer", "Long tail", {"data_set": "{"}, "cannot be read"),
        ("explorer", "Long tail", {"data_set": '{"name": "nowhere"}'}, "nowhere"),
    ],
)
def test_a_view_that_cannot_be_drawn_says_why(
    name: str, view: str, shown: dict[str, Any], said: str, runs: list[Run]
) -> None:
    with pytest.raises(UserError, match=said):
        draw(view_of(runs, name, view, **shown))


def test_a_view_that_cannot_be_drawn_says_so_in_the_page_and_the_others_stay(runs: list[Run]) -> None:
    wrong = view_of(runs, "errors", "Map", at=NASTY)
    text = page.to_html(
        [(wrong.data, samples.compare_rows(tables.fold(runs[3:])))], [wrong, view_of(runs, "errors", "Labels")]
    )
    assert text.count("This view cannot be drawn:") == 1
    assert text.count('class="marks"') == 1
    assert "<img" not in text
    assert text.count(f"<h3>{html.escape(NASTY)}</h3>") == 2


def test_one_run_that_is_gone_is_named_and_the_others_are_drawn(runs: list[Run]) -> None:
    made = view_of(runs)
    shutil.rmtree(runs[3].path)
    drawn, caption = draw(made)
    assert drawn.startswith("<svg")
    assert f"Gone since: {runs[3].id}." in caption


def test_the_report_of_a_data_set_has_its_views_and_stays_small(
    runs: list[Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views.add_view(view_of(runs, "errors", "Labels"))
    views.add_view(view_of(runs).model_copy(update={"data": "another set"}))
    call("report", runs[0].id, "--html", "-o", str(cache / "r.html"))
    text = (cache / "r.html").read_text("utf-8")
    assert text.count("<figure class='view'>") == 1
    assert "Views that were added" in text
    assert "errors?view=Labels&amp;of=reuters+paper" in text
    monkeypatch.setattr(page, "MOST_BYTES", 50_000)
    many = [view_of([run], "errors", "Labels") for run in runs]
    text = page.to_html([(many[0].data, samples.compare_rows(tables.fold(runs[3:])))], many)
    assert "the page holds no more than 2 MB" in text
    assert 0 < text.count('class="marks"') < len(many)

"""The page Compare at every rule: verdict, plot, tables; what is left out is said and takes nothing down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.runs import folder
from core.runs.folder import Run
from core.runs.results import save_threshold_set
from tests.helpers.drawn import open_page, said, words
from tests.helpers.scored import make_run

VIEWS = ["Tables", "Parts of DB", "F1 by rank", "Label by label"]


@pytest.fixture
def scored(cache: Path) -> list[Run]:
    """Three methods of two seeds."""
    made = (("db", 2.5), ("bce", 1.0), ("fl", 1.5))
    return [make_run(loss, seed, quality=quality) for loss, quality in made for seed in (0, 1)]


def test_the_page_opens_with_a_verdict_a_plot_and_tables(scored: list[Run]) -> None:
    page = open_page("compare")
    assert not page.error
    text = words(page)
    assert "Tail labels, macro-F1." in text
    assert "each run at its own thresholds, as trained" in text
    assert [len(table.value) for table in page.dataframe[:2]] == [3 + 9, 3 + 8], "with the paper's rows"
    assert page.selectbox(key="score").value == "tail_macro"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("by", "rule"), [("one rule", "quiet"), ("one rule", "top-k"), ("same number of labels", ""), ("ranking alone", "")]
)
def test_every_view_is_drawn_however_the_rows_decide(view: str, by: str, rule: str, scored: list[Run]) -> None:
    page = open_page("compare", view=view, decide=by, **({"rule": rule} if rule else {}))
    assert not page.error
    assert not page.warning
    assert page.segmented_control(key="decide").value == by
    told = {"ranking alone": "order of the scores alone", "same number of labels": "true number of labels"}
    told |= {"quiet": "at the rule quiet", "top-k": "one number of labels"}
    assert told[rule or by] in words(page)


def test_differences_say_their_rule_and_their_row(scored: list[Run]) -> None:
    page = open_page("compare", baseline="bce", decide="one rule", rule="exact")
    assert "Difference from tfidf bce in points" in words(page)
    assert "Holm's correction for the 2 rows tested" in words(page)


def test_rows_of_one_seed_say_that_their_noise_is_unknown(scored: list[Run]) -> None:
    page = open_page("compare", runs=[scored[0].id, scored[2].id])
    assert "none of these differences can be called real" in words(page)
    assert "Its seed noise is unknown" in words(page)


def test_a_run_without_validation_is_named_and_the_others_stay(scored: list[Run]) -> None:
    (scored[0].path / "validation.npz").write_bytes(b"no")
    page = open_page("compare", decide="one rule", rule="quiet")
    assert f"Left out: {scored[0].id}" in said(page.warning)
    assert page.dataframe
    for run in scored:
        (run.path / "validation.npz").unlink(missing_ok=True)
    page = open_page("compare", decide="one rule", rule="quiet")
    assert "No run can be shown at this rule" in said(page.info)
    assert not page.error


def test_kept_thresholds_are_offered_and_serve_their_runs(scored: list[Run]) -> None:
    save_threshold_set(folder.get_run(scored[0].id), "mine", rule="by hand", values=0.9)
    page = open_page("compare", decide="one rule", rule="kept:mine")
    assert page.selectbox(key="rule").value == "kept:mine"
    assert "kept with them as 'mine'" in said(page.warning)
    assert not page.error


def test_an_address_with_an_unknown_rule_shows_the_first(scored: list[Run]) -> None:
    page = open_page("compare", decide="one rule", rule="nonsense", score="nonsense")
    assert page.selectbox(key="rule").value == "quiet"
    assert not page.error


def test_a_table_that_was_drawn_before_is_the_same_and_another_rule_has_its_own(scored: list[Run]) -> None:
    pages = [open_page("compare", **rule) for rule in ({}, {"decide": "same number of labels"}, {})]
    shown = [[table.value.to_csv() for table in page.dataframe[:2]] for page in pages]
    assert shown[0] == shown[2]
    assert shown[0] != shown[1]
    shutil.rmtree(scored[0].path)
    assert [table.value.to_csv() for table in open_page("compare").dataframe[:2]] != shown[0], "a run has changed"


def test_rows_to_combine_are_listed_when_somebody_opens_them(scored: list[Run]) -> None:
    page = open_page("compare")
    assert len(page.dataframe) == 2
    page.session_state["combine"] = True
    page.run()
    assert not page.exception
    assert len(page.dataframe) == 3
    assert "Combine marked rows" in [button.label for button in page.button]

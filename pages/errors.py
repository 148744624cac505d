"""Errors: which labels fail, confused with what, in which documents, why, and what another threshold would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.run_names import name_runs
from core.analysis.what_if import AS_TRAINED, Chosen
from core.labels.groups import Borders
from core.runs.plan import command_again
from core.runs.tfidf_scorer import WEIGHTS
from core.system.errors import UserError
from pages.sections.errors import documents, doubts, labels, pairs, provenance, slices, trade_off
from pages.sections.errors.chosen import Shown, predict_at
from pages.sections.errors.thresholds import pick_part, pick_thresholds, show_scores
from pages.shared import current, listed
from pages.shared.loaders import load_metrics, load_predictions
from pages.shared.menu import link, show_header
from pages.shared.pick import pick_borders, pick_one
from pages.shared.runs import pick_id, pick_run, select_readable, show_wrong_runs
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.runs.folder import Run

VIEWS = {
    "Labels": labels.show,
    "Trade-off": trade_off.show,
    "Confused pairs": pairs.show,
    "Map": pairs.show_map,
    "Documents": documents.show,
    "Slices": slices.show,
    "Label errors": doubts.show,
    "Provenance": provenance.show,
}
"""The views; the name of the chosen one stands in the address."""


def show() -> None:
    show_header(
        "Errors", "Which labels fail, confused with what, in which documents, why, and what a threshold would do."
    )
    show_wrong_runs("run", "second")
    finished = select_readable(listed.list_folders())
    if not finished:
        st.info("There is no finished run to show. Launch one on the Launcher page: it appears here when it ends.")
        link("launcher")
        return
    chosen = pick_two(finished)
    if chosen is None:
        return
    run, other = chosen
    left, right = st.columns([6, 4], vertical_alignment="center")
    with right.container(horizontal=True, vertical_alignment="bottom"):
        part = pick_part()
        borders = pick_borders(Borders(**load_metrics(run)["borders"]))
    which = "with its weights" if (run.path / WEIGHTS).exists() else "results without weights"
    published = f"Published with Tailscope: {which}, never changed. " if run.published else ""
    left.caption(plain(f"{published}{command_again(run.config, load_metrics(run)['command'])}"))
    show_body(run, other, part, borders)


def pick_two(runs: list[Run]) -> tuple[Run, Run | None] | None:
    """Draws the choice of a run and of one to compare it with; first the current run, or one on the current data set.

    Returns:
        None where no run is chosen, because none is on the current data set.
    """
    title = current.data().title
    left, right = st.columns(2)
    with left:
        # Those on the current data set come first; the order of each half stays.
        run = pick_run(sorted(runs, key=lambda run: run.config.data.title != title), among="a run on another data set")
    if run is None:
        st.info(plain(f"There is no finished run on {title}. Launch one, or choose a run on another data set above."))
        link("launcher")
        return None
    why_not = {other.id: explain_difference(run, other) for other in runs if other.id != run.id}
    others = [other for other, reason in why_not.items() if not reason]
    if reason := why_not.get(st.query_params.get("second", ""), ""):
        st.warning(plain(f"Not compared with {name_runs(runs)[st.query_params['second']]}: {reason}."))
    names = name_runs(runs)
    with right:
        second = pick_id(
            "Compare with",
            {other: names[other] for other in others},
            key="second",
            placeholder="no other run on this data" if not others else "none",
        )
    return run, next((other for other in runs if other.id == second), None)


def explain_difference(one: Run, other: Run) -> str:
    """Why two runs cannot be laid side by side; empty if they have the same data, split and labels."""
    mine, theirs = load_metrics(one), load_metrics(other)
    if one.config.data != other.config.data:
        return "it has another data set or split"
    if mine["labels"] != theirs["labels"]:
        return "its labels have other names or another order"
    return "" if mine["fingerprint"] == theirs["fingerprint"] else "the data set has changed between the two"


@st.fragment
def show_body(run: Run, other: Run | None, part: str, borders: Borders) -> None:
    """Everything below the choice of the run: moved thresholds redraw this alone."""
    try:
        load_predictions(run, part)
        show_views(run, other, part, borders)
    except UserError as error:  # a fragment that is redrawn alone has no caller that would catch it
        st.error(plain(str(error)))


def show_views(run: Run, other: Run | None, part: str, borders: Borders) -> None:
    """The numbers and the chosen view of a run whose predictions can be read."""
    metrics = load_metrics(run)
    try:
        chosen = pick_thresholds(run, part, metrics["labels"])
        limits, predicted = predict_at(run, chosen, part)
    except UserError as error:
        st.error(plain(f"These thresholds cannot be fitted, those of the training are shown: {error}"))
        chosen = Chosen(AS_TRAINED)
        limits, predicted = predict_at(run, chosen, part)
    predictions = load_predictions(run, part)
    shown = Shown(
        run, part, metrics["labels"], metrics["counts"], borders, predictions, chosen, limits, predicted, other
    )
    if part != "test":
        st.caption("Everything below is of the validation part; test is hidden.")
    show_scores(shown)
    VIEWS[pick_one("Show", VIEWS, "Labels", key="view")](shown)


if __name__ == "__main__":
    import app

    app.main("errors")

"""Try it: a text of one's own, the labels that each run gives it, and the words that moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import documents, what_if
from core.metrics import thresholds
from core.runs import folder, scorer
from core.system.errors import UserError
from pages.shared.loaders import load_metrics, load_scorer
from pages.shared.menu import link, show_header
from pages.shared.runs import explain_label, name_run, select_readable, show_wrong_runs
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.runs.folder import Run

MOST = 6
"""Runs side by side."""
LETTERS = 100_000


def show() -> None:
    show_header("Try it", "Type or paste a text: which labels each run gives it, how surely, and for which words.")
    show_wrong_runs("runs")
    finished = {run.id: run for run in select_readable(folder.list_folders())}
    ready = {run_id: run for run_id, run in finished.items() if not scorer.find_missing(run)}
    if not ready:
        what = (
            "The finished runs are published without their weights: run the command of one, or" if finished else "First"
        )
        st.info(f"There is no trained model to try. {what} launch a run on the Launcher page.")
        link("launcher")
        return
    # A combined run is offered in any case: chosen, it says which of its members is missing.
    able = {run_id: run for run_id, run in finished.items() if run_id in ready or run.config.combined}
    chosen = st.multiselect("Runs", list(able), list(ready)[:1], key="runs", bind="query-params", max_selections=MOST)
    text = st.text_area("Text", key="text", height=220, max_chars=LETTERS, placeholder="Type or paste a text")
    if not text.strip() or not chosen:
        st.caption("Nothing is kept: the text is read here and forgotten.")
        return
    show_answers([able[run_id] for run_id in chosen], text)


def show_answers(runs: list[Run], text: str) -> None:
    """Draws the labels that each run gives a text, side by side."""
    tried, known = {}, {}
    for run in runs:
        try:
            model = load_scorer(run)
        except UserError as error:
            st.warning(plain(str(error)))
            continue
        metrics, name = load_metrics(run), name_run(run)
        tried[name] = (model.scores([text])[0], thresholds.of_values(metrics["threshold"]), metrics["labels"])
        known[name] = run
    if not tried:
        return
    table = documents.tried_table(tried)
    for name, (scores, limits, labels) in tried.items():
        above = scores > limits
        given = [labels[column] for column in scores.argsort()[::-1] if above[column]]
        st.text(f"{name}: {', '.join(given) or 'no label'}")
    column = st.column_config
    numbers = {}
    for number, (name, (_, limits, _)) in enumerate(tried.items(), 1):
        words = what_if.limits_in_words(limits)
        numbers[f"given {number}"] = column.CheckboxColumn("given", help=plain(f"By {name}: {words}"))
        numbers[name] = column.NumberColumn(name, format="%.3f", help=words)
    st.dataframe(
        table,
        hide_index=True,
        height=min(38 + 35 * len(table), 420),
        column_config=numbers,
        placeholder="–",
        alt="Labels with the score of each run and whether it gives them",
    )
    st.subheader("Why")
    name = st.radio("Run", list(known), key="why_run", horizontal=True) if len(known) > 1 else next(iter(known))
    explain_label(
        known[name], text, [label for label in table["label"] if label in set(tried[name][2])], tried[name][2]
    )


if __name__ == "__main__":
    import app

    app.main("try_it")

"""Finished runs on the pages of results: those that can be read, names, import, export, words that moved a label."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import tables
from core.figures import errors
from core.runs import folder, share
from core.runs.plan import name_members
from core.system.access import read_only
from core.system.errors import UserError
from pages.shared import current
from pages.shared.downloads import offer_csv
from pages.shared.loaders import load_metrics, load_scorer
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.config.schema import CombinedConfig
    from core.runs.folder import Damaged, Run


def select_readable(runs: Iterable[Run | Damaged]) -> list[Run]:
    """The finished runs whose scores can be read, but for archived ones; one that is damaged is named in a sentence."""
    good = []
    for found in runs:
        if found.state != "finished" or found.about.archived:
            continue
        try:
            run = folder.as_run(found)
            load_metrics(run)
            good.append(run)
        except UserError as error:
            st.warning(plain(str(error)))
    return good


def show_wrong_runs(*keys: str) -> None:
    """Draws, for every run of the address that cannot be shown, the reason."""
    for key in keys:
        for run_id in st.query_params.get_all(key):
            try:
                run = folder.get_folder(run_id)
                if run.state != "finished":
                    raise UserError(f"Run {run_id} has no scores: it is {run.state}.")
            except UserError as error:
                st.error(plain(str(error)))


def name_run(run: Run) -> str:
    """A run as people call it: its name or method and seed, data, whether it is published, the end of its id."""
    if run.about.name:
        words = [run.about.name]
    elif run.config.combined:
        words = [tables.method(run), name_members(run.config)]
    else:
        words = [tables.method(run), *([run.config.model.name] if run.config.loss else []), f"seed {run.config.seed}"]
    published = " (published)" if run.published else ""
    return f"{' · '.join(words)} · {tables.data_title(run)} · {run.id[-10:]}{published}"


def pick_run(runs: Sequence[Run], *, among: str) -> Run | None:
    """Draws the choice of the current run, kept in the address.

    Args:
        runs: to choose from. First is the one of the address, else the current one, else one on the current data set.
        among: what there is to choose from, where none of these is there.

    Returns:
        None where no run is chosen.
    """
    known, title = {run.id: run for run in runs}, current.data().title
    here = [run.id for run in runs if run.config.data.title == title]
    first = next((run_id for run_id in here if known[run_id].config.loss), here[0] if here else None)
    kept, named = current.run(), st.query_params.get("run")
    asked = (named, kept.id if kept else None, first)
    wanted = next((run_id for run_id in asked if run_id in known), None)
    st.session_state["run"] = wanted
    st.selectbox(
        "Run",
        list(known),
        0 if wanted else None,
        key="run",
        on_change=lambda: current.ask_for_run(st.session_state["run"]),
        placeholder=among,
    )
    if wanted is None:
        return None
    # An address that names a wrong run stays as it is: what is wrong with it stands above.
    if kept is None or kept.id != wanted:
        current.choose_run(known[wanted])
        if named is None:
            st.rerun()  # the sidebar names it
    return known[wanted]


def show_members(combined: CombinedConfig) -> None:
    """The members of a combined run, their weights, and whether they are still there."""
    states = []
    for member in combined.members:
        try:
            found = folder.get_folder(member)
            states.append("published" if found.published else found.state)
        except UserError:
            states.append("no longer there")
    how = {"equal": "all equal", "validation": "the best on validation", "given": "as they were given"}
    st.caption(f"The averaged runs; their weights are {how[combined.weighted]}. The scores stay when a member goes.")
    st.dataframe(
        {"run": list(combined.members), "weight": list(combined.weights), "now": states},
        hide_index=True,
        column_config={"weight": st.column_config.NumberColumn(format="%.3f")},
        alt="Members of the combined run with their weights",
    )


def show_import() -> None:
    """Draws what imports a run from a zip."""
    if read_only():
        return
    with st.expander("Import a run", icon=":material/upload:"):
        sent = st.file_uploader("A zip that `python -m core export` or the Errors page has written", "zip")
        if sent is not None and st.button("Import"):
            try:
                st.success(plain(f"Imported {share.import_run(sent, sent.name).id}."))
            except UserError as error:
                st.error(plain(str(error)))


def show_export(run: Run) -> None:
    """Draws what exports a run as a zip."""
    weights = (run.path / "model.safetensors").exists() and st.toggle("With its weights", key="with_weights")
    st.download_button(
        "Export the run",
        partial(share.exported, run, weights=weights),
        f"{run.id}.zip",
        "application/zip",
        on_click="ignore",
        icon=":material/download:",
    )


def explain_label(run: Run, text: str, offered: list[str], labels: list[str]) -> None:
    """The words that moved the decision on one label."""
    label = st.selectbox("Words that moved", offered, key="why")
    try:
        scorer = load_scorer(run)
    except UserError as error:
        st.caption(plain(str(error)))
        return
    table = scorer.contributions(text, labels.index(label))
    if table.empty:
        st.caption("No word of this text is known to the model.")
        return
    st.caption(scorer.how)
    st.altair_chart(errors.word_chart(table), alt=f"Words for and against {label}")
    offer_csv("words", table)

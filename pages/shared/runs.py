"""Finished runs on the pages of results: those that can be read, names, import, export."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from core.analysis import ahead
from core.analysis.run_names import name_runs
from core.runs import folder, share
from core.system.access import read_only
from core.system.errors import UserError
from pages.shared import current, listed
from pages.shared.loaders import load_metrics
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


ID_HELP = "A run's id stands in the address, in exports and on the Launcher page."


def pick_id(
    title: str,
    names: Mapping[str, str],
    *,
    key: str,
    placeholder: str = "none",
    label_visibility: Literal["visible", "hidden", "collapsed"] = "visible",
    ticks: bool = False,
) -> str | None:
    """Draws the choice of a run by its name; the address keeps its id.

    Args:
        title: of the box.
        names: of the runs to choose from, by id.
        key: of the box, and in the address.
        placeholder: shown where none is chosen.
        label_visibility: of the title.
        ticks: the part of the page with the box draws itself again and again.

    Returns:
        The id; None where none is chosen, or the address names another one.
    """
    asked = next(iter(current.read_address(key) if ticks else st.query_params.get_all(key)), "")
    _hold(key, asked if asked in names else None)
    chosen: str | None = st.selectbox(
        title,
        list(names),
        None,
        format_func=lambda one: names.get(one, one),
        key=key,
        on_change=_keep_in_address,
        args=(key,),
        placeholder=placeholder,
        label_visibility=label_visibility,
        help=plain(f"Its id is {asked}.") if asked in names else None,
    )
    return chosen


def pick_ids(title: str, names: Mapping[str, str], *, key: str, first: Sequence[str] = (), **more: Any) -> list[str]:
    """Draws the choice of several runs by their names; the address keeps their ids.

    Args:
        title: of the box.
        names: of the runs to choose from, by id.
        key: of the box, and in the address.
        first: chosen where the address names none.
        more: for `st.multiselect`.
    """
    asked = [one for one in dict.fromkeys(st.query_params.get_all(key)) if one in names]
    emptied = st.session_state.get(f"{key} emptied", False) and not asked
    _hold(key, (asked or ([] if emptied else list(first)))[: more.get("max_selections")])
    chosen: list[str] = st.multiselect(
        title,
        list(names),
        format_func=lambda one: names.get(one, one),
        key=key,
        on_change=_keep_in_address,
        args=(key,),
        help=ID_HELP,
        **more,
    )
    return chosen


def _hold(key: str, value: object) -> None:
    """Sets what a box holds where it is another: what is set at every tick would take back what is being chosen."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def _keep_in_address(key: str) -> None:
    """Puts what a box holds into the address."""
    held = st.session_state[key]
    st.session_state[f"{key} emptied"] = not held
    current.write_address(key, held)


def pick_run(runs: Sequence[Run], *, among: str) -> Run | None:
    """Draws the choice of the current run, kept in the address.

    Args:
        runs: to choose from. First is the one of the address, else the current one, else one on the current data set.
        among: what there is to choose from, where none of these is there.

    Returns:
        None where no run is chosen.
    """
    known, title = {run.id: run for run in runs}, current.data().title
    names = name_runs(runs, with_data=True)
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
        format_func=lambda one: names.get(one, one),
        key="run",
        help=plain(f"Its id is {wanted}.") if wanted else None,
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
                imported = share.import_run(sent, sent.name)
                ahead.keep_run(imported.id)
                listed.forget()
                st.success(plain(f"Imported {imported.id}."))
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

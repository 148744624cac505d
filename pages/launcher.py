"""Launcher: choose runs, see what will be launched, watch the queue. Only a pressed button starts or stops."""

from __future__ import annotations

import streamlit as st

from core.analysis.run_names import name_runs
from core.config.schema import RunConfig
from core.runs import folder
from core.runs.folder import LIVE
from core.system.errors import UserError
from pages.sections.launcher import before, form, live, may_act, one, show_toasts, tab
from pages.shared.menu import show_header
from pages.shared.text import plain

TICK = 2.0
"""Seconds between two looks at the runs' folders."""
TICK_HIDDEN = 300.0
"""The same while the tab is in the background: it looks at once when it comes to the front."""


def watch(configs: list[RunConfig]) -> None:
    """Draws `show_now`, and draws it again as long as the tab can be seen."""
    st.fragment(show_now, run_every=TICK_HIDDEN if tab.is_hidden() else TICK)(configs)


def show_now(configs: list[RunConfig]) -> None:
    """The launch button, the queue, all runs and the chosen run, read from their folders every `TICK`."""
    if before.can_weigh_now():
        st.rerun()
    try:
        runs = folder.list_folders(published=False)
    except UserError as error:
        st.error(plain(str(error)))
        return
    live.announce_ends(runs)
    show_toasts()
    if may_act():
        before.show_button(configs, runs)
    if not runs:
        st.info("No runs yet." + (" Choose a model and a loss above, then press Launch." * may_act()))
        return
    names = name_runs(runs)
    live.show_queue([run for run in runs if run.state in LIVE], names)
    live.show_sweeps(runs)
    st.header("All runs")
    shown = live.filter_runs(runs, names)
    one.show(runs, names, live.show_table(shown, names))


def show_wrong_run() -> None:
    """Draws why the run of the address cannot be shown."""
    if run_id := st.query_params.get("run"):
        try:
            folder.get_folder(run_id)
        except UserError as error:
            st.error(plain(str(error)))


def show() -> None:
    show_header("Launcher", "Choose what to train, launch it, and watch it. Runs go on when the browser is closed.")
    show_wrong_run()
    if not may_act():
        st.info("This dashboard is read-only for you: runs can be watched, not launched or stopped.")
        watch([])
        return
    plan = form.show()
    configs = plan.configs() if plan else []
    if configs:
        with st.expander(f"Command line{'s' if len(configs) > 1 else ''}"):
            before.show_commands(configs)
    foreseen = st.container()
    watch(configs)
    if plan:
        with foreseen:  # last: opening a large data set takes longer than the rest
            try:
                before.show_forecast(plan, configs)
            except UserError as error:
                st.error(plain(str(error)))


if __name__ == "__main__":
    import app

    app.main("launcher")

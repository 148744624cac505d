"""Launcher: choose runs, see what will be launched, watch the queue. Only a pressed button starts or stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.run_names import name_runs
from core.config.schema import RunConfig
from core.jobs import clusters
from core.runs import folder
from core.runs.folder import LIVE
from core.system.errors import UserError
from pages.sections.launcher import before, form, live, may_act, one, redraw_if_asked, show_toasts, sweep_cards, tab
from pages.shared import listed
from pages.shared.menu import show_header
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runs.folder import Damaged, Run

TICK = 2.0
"""Seconds between two looks at the runs' folders."""
TICK_HIDDEN = 300.0
"""The same while the tab is in the background: it looks at once when it comes to the front."""


FORM = ("models", "losses", "seeds", "set.")
"""How keys of an address begin that fill the form."""


def watch(draw: Callable[..., None], *args: object, every: float) -> None:
    """Draws a part of the page, and draws it again as long as the tab can be seen."""
    st.fragment(draw, run_every=every)(*args)


def read_runs() -> list[Run | Damaged]:
    """All runs of this cache; none where their folder cannot be read, which is said."""
    try:
        return listed.list_folders(published=False)
    except UserError as error:
        st.error(plain(str(error)))
        return []


def show_live() -> None:
    """What runs, waits and belongs together, read from the folders every `TICK`."""
    redraw_if_asked()
    clusters.ask_in_background()
    runs = read_runs()
    live.announce_ends(runs)
    show_toasts()
    if not runs:
        return
    live.show_queue([run for run in runs if run.state in LIVE], name_runs(runs))
    sweep_cards.show(runs)
    live.end_stopping()


def show_launch(configs: list[RunConfig]) -> None:
    """The launch button with what exists already of what it would start."""
    redraw_if_asked()
    if before.can_weigh_now():
        st.rerun()
    before.show_button(configs, read_runs())


def show_runs() -> None:
    """All runs and the chosen one."""
    redraw_if_asked()
    runs = read_runs()
    if not runs:
        st.info("No runs yet." + (" Choose a model and a loss above, then press Launch." * may_act()))
        return
    names = name_runs(runs)
    st.header("All runs")
    shown = live.filter_runs(runs, names)
    one.show(runs, names, live.show_table(shown, names))


def show_new(every: float) -> None:
    """The form, what it will take, and the button."""
    plan = form.show()
    configs = plan.configs() if plan else []
    if configs:
        with st.expander(f"Command line{'s' if len(configs) > 1 else ''}"):
            before.show_commands(configs)
    foreseen = st.container()
    watch(show_launch, configs, every=every)
    if plan:
        with foreseen:  # last: opening a large data set takes longer than the rest
            try:
                before.show_forecast(plan, configs)
            except UserError as error:
                st.error(plain(str(error)))


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
    every = TICK_HIDDEN if tab.is_hidden() else TICK
    if not may_act():
        st.info("This dashboard is read-only for you: runs can be watched, not launched or stopped.")
    watch(show_live, every=every)
    if may_act():
        # Folded away where there are runs, unless the address fills it.
        if "new_run_open" not in st.session_state:
            filled = any(key.startswith(FORM) for key in st.query_params)
            st.session_state["new_run_open"] = filled or not listed.list_folders(published=False)
        with st.expander("New run", expanded=st.session_state["new_run_open"], icon=":material/add:"):
            show_new(every)
    watch(show_runs, every=every)


if __name__ == "__main__":
    import app

    app.main("launcher")

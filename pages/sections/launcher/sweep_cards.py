"""Sweeps: what was launched together, with its time left and its leaderboard, stopped and resumed as one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.progress import fraction, leaderboard, sweep_left, words_of_seconds
from core.analysis.run_names import name_runs
from core.jobs import sweeps
from core.runs.folder import LIVE
from pages.sections.launcher import act_on_runs, may_act, read_last_scores, redraw
from pages.sections.launcher.live import OVER, stop_runs
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.jobs.sweeps import Sweep
    from core.runs.folder import Folder

SWEEPS_SHOWN = 5
TITLES = {
    "run": "Best so far",
    "state": "state",
    "micro": "validation micro-F1",
    "macro": "validation macro-F1",
    "tail": "validation tail F1",
}


def resume_sweep(sweep_id: str) -> None:
    """Queues again what has not finished of a sweep."""
    act_on_runs(sweeps.resume, [sweep_id], "queued again")


def show(runs: Sequence[Folder]) -> None:
    """The newest sweeps, each watched, stopped and resumed as one."""
    known = {run.id: run for run in runs}
    found = [sweep for sweep in sweeps.list_sweeps() if any(run_id in known for run_id in sweep.runs)]
    for problem in sweeps.list_problems():
        st.warning(plain(problem))
    if not found:
        return
    st.header("Sweeps")
    for number, sweep in enumerate(found[:SWEEPS_SHOWN]):
        show_sweep(sweep, known, is_newest=not number)
    if len(found) > SWEEPS_SHOWN:
        st.caption(f"{len(found) - SWEEPS_SHOWN} older ones: `python -m core sweeps` lists all.")


def show_sweep(sweep: Sweep, known: dict[str, Folder], *, is_newest: bool) -> None:
    """A sweep in a row; below it, while it runs or is the newest, its best runs so far."""
    counts = sweeps.counts(sweep, known)
    there = [known[run_id] for run_id in sweep.runs if run_id in known]
    done = sum(1.0 if run.state == "finished" else fraction(run) for run in there) / len(sweep.runs)
    card = st.container(border=True)
    with card:
        name, progress = st.columns([4, 5], vertical_alignment="center")
        actions = st.container(horizontal=True, vertical_alignment="center")
    name.text(f"{sweep.title}\n{words_of_seconds(time.time() - sweep.created)} ago")
    said = [", ".join(f"{number} {state}" for state, number in counts.items())]
    if (left := sweep_left(there, now=time.time())) is not None:
        said.append(f"about {words_of_seconds(left)} left")
    progress.progress(done, text="; ".join(said))
    actions.button(
        "Show", key=f"show-{sweep.id}", on_click=filter_by_sweep, args=(sweep.id,), help="In the table below."
    )
    if may_act():
        live = tuple(run.id for run in there if run.state in LIVE)
        actions.button("Stop sweep", key=f"stop-{sweep.id}", on_click=stop_runs, args=(live,), disabled=not live)
        open_ends = any(state in counts for state in (*OVER, "missing"))
        actions.button(
            "Resume sweep", key=f"resume-{sweep.id}", on_click=resume_sweep, args=(sweep.id,), disabled=not open_ends
        )
    finished = [run.id for run in there if run.state == "finished"]
    with card:
        if is_newest or any(run.state in LIVE for run in there):
            show_leaders(there)
    with actions:
        if len(finished) > 1:
            link("compare", f"Compare its {len(finished)} finished runs", {"runs": finished})


def show_leaders(runs: Sequence[Folder]) -> None:
    """The best runs of a sweep so far."""
    table = leaderboard(runs, name_runs(runs), {run.id: read_last_scores(run) for run in runs})
    if table.empty:
        st.caption("No epoch has ended yet: the best runs so far stand here after the first.")
        return
    table["run"] = [plain(name) for name in table["run"]]
    numbers = {name: table[name].map("{:.1f}".format).replace("nan", "–") for name in ("micro", "macro", "tail")}
    st.table(
        table.assign(**numbers).rename(columns=TITLES),
        hide_index=True,
        border="horizontal",
        alt="The best runs of the sweep by their last validation scores",
    )


def filter_by_sweep(sweep_id: str) -> None:
    """Filters the table by a sweep."""
    st.session_state["of_sweep"] = sweep_id
    redraw()

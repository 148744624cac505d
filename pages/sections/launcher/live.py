"""The queue, the sweeps and all runs, as their folders are at this moment."""

from __future__ import annotations

import hashlib
import shutil
import time
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis.progress import fraction, pace, phase, run_table, words_of_seconds
from core.analysis.run_names import name_runs
from core.figures import training
from core.jobs import launch, sweeps
from core.runs import folder, layout
from core.runs.folder import LIVE, Folder, Run
from core.system.errors import UserError
from pages.sections.launcher import (
    URL,
    act_on_runs,
    add_toast,
    load_ended_scores,
    load_ended_size,
    may_act,
    read_scores,
)
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.jobs.sweeps import Sweep

LIVE_SHOWN = 12
RUNS_SHOWN = 200
SWEEPS_SHOWN = 5
OVER = ("stopped", "failed", "lost")


def announce_ends(runs: Sequence[Folder]) -> None:
    """A toast for every run that has ended since the last look."""
    before, names = st.session_state.get("seen_states", {}), name_runs(runs)
    for run in runs:
        if before.get(run.id) in LIVE and run.state not in LIVE:
            icon = ":material/check:" if run.state == "finished" else ":material/error:"
            add_toast(f"{names[run.id]}: {run.state}", icon=icon)
    st.session_state["seen_states"] = {run.id: run.state for run in runs}


def show_queue(runs: Sequence[Folder], names: Mapping[str, str]) -> None:
    """Runs that train or wait, each by its name, with its progress and a Stop button."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.header("Queue", width="stretch")
        if len(runs) > 1 and may_act():
            ids = tuple(run.id for run in runs)
            st.button("Stop all", key="stop-all", on_click=stop_runs, args=(ids,), width="content")
    if not runs:
        st.caption("Nothing is running or waiting.")
    runs = sorted(runs, key=lambda run: (run.state != "running", run.submitted or 0))
    for run in runs[:LIVE_SHOWN]:
        with st.container(border=True):
            state, name, progress, age, action = st.columns([1.2, 3, 4, 2.4, 1], vertical_alignment="center")
        state.badge(run.state, color=training.STATE_COLOURS[run.state])
        name.text(f"{names[run.id]}\n{run.config.data.name if isinstance(run, Run) else ''}")
        progress.progress(fraction(run), text=plain(phase(run)))
        age.text("\n".join(part for part in (pace(run, now=time.time()), describe_place(run)) if part))
        if may_act():
            action.button("Stop", key=f"stop-{run.id}", on_click=stop_runs, args=((run.id,),))
    if len(runs) > LIVE_SHOWN:
        st.caption(f"{len(runs) - LIVE_SHOWN} more are waiting; all are in the table below.")


def describe_place(run: Folder) -> str:
    """Where a run is and whose it is."""
    return " · ".join(part for part in (run.device, run.user) if part)


def stop_runs(run_ids: Sequence[str]) -> None:
    """Stops runs and adds a toast with the state of each."""
    try:
        names = name_runs(folder.list_folders(published=False))
        for run in launch.stop_all(run_ids):
            add_toast(f"{names.get(run.id, run.id)}: {run.state}")
    except UserError as error:
        add_toast(str(error))


def resume_runs(run_ids: Sequence[str], anew: bool = False) -> None:
    """Queues ended runs again."""
    act_on_runs(launch.resume, run_ids, "queued again", anew=anew)


def resume_sweep(sweep_id: str) -> None:
    """Queues again what has not finished of a sweep."""
    act_on_runs(sweeps.resume, [sweep_id], "queued again")


def show_sweeps(runs: Sequence[Folder]) -> None:
    """The newest sweeps, each watched, stopped and resumed as one."""
    known = {run.id: run for run in runs}
    found = [sweep for sweep in sweeps.list_sweeps() if any(run_id in known for run_id in sweep.runs)]
    for problem in sweeps.list_problems():
        st.warning(plain(problem))
    if not found:
        return
    st.header("Sweeps")
    for sweep in found[:SWEEPS_SHOWN]:
        show_sweep(sweep, known)
    if len(found) > SWEEPS_SHOWN:
        st.caption(f"{len(found) - SWEEPS_SHOWN} older ones: `python -m core sweeps` lists all.")


def show_sweep(sweep: Sweep, known: dict[str, Folder]) -> None:
    """A sweep in a row."""
    counts = sweeps.counts(sweep, known)
    there = [known[run_id] for run_id in sweep.runs if run_id in known]
    done = sum(1.0 if run.state == "finished" else fraction(run) for run in there) / len(sweep.runs)
    with st.container(border=True):
        name, progress, *actions = st.columns([3.2, 3.6, 0.9, 1.4, 1.7], vertical_alignment="center")
    name.text(f"{sweep.title}\n{words_of_seconds(time.time() - sweep.created)} ago")
    progress.progress(done, text=", ".join(f"{number} {state}" for state, number in counts.items()))
    actions[0].button(
        "Show", key=f"show-{sweep.id}", on_click=filter_by_sweep, args=(sweep.id,), help="In the table below."
    )
    if may_act():
        live = tuple(run.id for run in there if run.state in LIVE)
        actions[1].button("Stop sweep", key=f"stop-{sweep.id}", on_click=stop_runs, args=(live,), disabled=not live)
        open_ends = any(state in counts for state in (*OVER, "missing"))
        actions[2].button(
            "Resume sweep", key=f"resume-{sweep.id}", on_click=resume_sweep, args=(sweep.id,), disabled=not open_ends
        )


def filter_by_sweep(sweep_id: str) -> None:
    """Filters the table by a sweep."""
    st.session_state["of_sweep"] = sweep_id


def filter_runs(runs: Sequence[Folder], names: Mapping[str, str]) -> list[Folder]:
    """Draws the filters of the table and returns the runs they let through, pinned ones first."""
    found = {sweep.id: sweep for sweep in sweeps.list_sweeps()}
    if st.session_state.get("of_sweep") not in (None, *found):
        st.session_state["of_sweep"] = None
    text, of_sweep, states, archived = st.columns([2.2, 2.2, 4.4, 1.4], vertical_alignment="bottom")
    wanted = states.multiselect("State", list(training.STATE_COLOURS), key="of_state", bind=URL, placeholder="any")
    part = text.text_input("Name, tag, note, user", key="part", bind=URL).strip().lower()
    sweep = of_sweep.selectbox(
        "Sweep",
        list(found),
        None,
        format_func=lambda one: found[one].title,
        placeholder="any",
        key="of_sweep",
        bind=URL,
    )
    put_away = archived.toggle("Archived", key="archived", bind=URL, help="Those put away instead of the others.")
    kept = [
        run
        for run in runs
        if run.about.archived == put_away
        and (not wanted or run.state in wanted)
        and (sweep is None or run.id in found[sweep].runs)
        and (not part or part in list_words(run, names[run.id]))
    ]
    return sorted(kept, key=lambda run: not run.about.pinned)


def list_words(run: Folder, name: str) -> str:
    """The words of a run that a search looks in."""
    about, seed = run.about, f"seed {run.config.seed}" if isinstance(run, Run) else ""
    return " ".join([run.id, name, seed, about.notes, *about.tags, run.user, run.device]).lower()


def show_table(runs: Sequence[Folder], names: Mapping[str, str]) -> list[Folder]:
    """All runs that were let through; returns those whose rows are marked."""
    if len(runs) > RUNS_SHOWN:
        st.caption(f"The first {RUNS_SHOWN} of {len(runs):,}; the filters find the others.")
        runs = runs[:RUNS_SHOWN]
    if not runs:
        st.caption("No run is like this.")
        return []
    scores = {run.id: read_scores(run) if run.state in LIVE else load_ended_scores(run) for run in runs}
    sizes = {run.id: folder.disk_use(run.path) if run.state in LIVE else load_ended_size(run) for run in runs}
    column = st.column_config
    # Marks are kept by row number: another order of rows is another table, and nothing is marked in it.
    key = f"runs-{hashlib.sha256(' '.join(run.id for run in runs).encode()).hexdigest()[:12]}"
    marked: Any = st.dataframe(
        run_table(runs, scores, sizes, now=time.time(), names=names),
        key=key,
        hide_index=True,
        height=min(38 + 35 * len(runs), 400),
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        column_config={
            "state": column.MultiselectColumn(
                options=list(training.STATE_COLOURS), color=list(training.STATE_COLOURS.values()), width=90
            ),
            "name": column.TextColumn(width=230),
            "tags": column.ListColumn(),
            "epoch": column.TextColumn(width=100),
            "progress": column.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
            "micro": column.NumberColumn("micro-F1", format="%.2f", help="Validation micro-F1 of all labels, percent"),
            "macro": column.NumberColumn("macro-F1", format="%.2f", help="Validation macro-F1 of all labels, percent"),
            "left": column.TextColumn(help="Time left at this pace; early stopping may end it sooner"),
            "size": column.NumberColumn("MB on disk", format="%.1f"),
        },
        alt="All runs with their state, progress and last validation scores",
    )
    use = sum(sizes.values())
    st.caption(
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {use / 1e6:,.1f} MB; "
        f"{shutil.disk_usage(layout.runs_dir()).free / 1e9:,.1f} GB are free. Mark rows to act on them or compare them."
    )
    return [runs[row] for row in marked["selection"]["rows"] if row < len(runs)]


def show_actions(runs: Sequence[Folder], where: str) -> None:
    """What can be done to runs, one or several; nothing that does not fit their states."""
    if not may_act():
        return
    live = tuple(run.id for run in runs if run.state in LIVE)
    over = tuple(run.id for run in runs if run.state in OVER and isinstance(run, Run))
    ended = tuple(run.id for run in runs if run.state not in LIVE)
    every = tuple(run.id for run in runs)
    kept = {run.id for run in runs if folder.has_checkpoint(run.path)}

    def offer(label: str, ids: Sequence[str], action: Callable[..., None], *args: Any, note: str = "") -> None:
        if ids:
            many = f"{label} {len(ids)}" if len(runs) > 1 else label
            key = f"{where}-{label}-{len(runs) > 1}"
            st.button(many, key=key, on_click=action, args=(tuple(ids), *args), help=note or None)

    offer("Stop", live, stop_runs)
    offer("Resume", over, resume_runs, note="From the last checkpoint; from the first step where there is none.")
    again = [one for one in over if one in kept]
    offer("Start anew", again, resume_runs, True, note="From the first step: what it has made so far is dropped.")
    pinned, put_away = all(run.about.pinned for run in runs), all(run.about.archived for run in runs)
    offer("Unpin" if pinned else "Pin", every, mark_runs, "pinned", not pinned)
    offer("Unarchive" if put_away else "Archive", ended, mark_runs, "archived", not put_away)
    if ended:
        with st.popover("Delete", key=f"{where}-delete-{len(runs) > 1}"):
            size = sum(load_ended_size(run) for run in runs if run.id in ended) / 1e6
            st.text(
                f"{len(ended)} {'run' if len(ended) == 1 else 'runs'} with scores, weights and logs ({size:,.1f} MB)."
            )
            st.button("Delete for good", type="primary", key=f"{where}-sure", on_click=delete_runs, args=(ended,))


def mark_runs(run_ids: Sequence[str], what: str, value: bool) -> None:
    """Pins or archives runs, or takes that back."""
    said = {"pinned": ("unpinned", "pinned"), "archived": ("back in the list", "archived")}[what][value]
    act_on_runs(folder.save_about, run_ids, said, **{what: value})


def delete_runs(run_ids: Sequence[str]) -> None:
    """Deletes runs that have ended."""
    act_on_runs(launch.delete, run_ids, "deleted")

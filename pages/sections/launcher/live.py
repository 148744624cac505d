"""The queue and all runs, as their folders are at this moment."""

from __future__ import annotations

import hashlib
import shutil
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from core.analysis.progress import find_silent, fraction, is_stopping, pace, phase, run_table
from core.analysis.run_names import name_run, name_runs
from core.config.schema import MOST_MEMBERS
from core.figures import training
from core.jobs import launch, sweeps
from core.runs import folder, layout
from core.runs.combine import combine
from core.runs.folder import LIVE, Folder, Run
from core.runs.mends import can_resume
from core.system.errors import UserError
from pages.sections.launcher import (
    URL,
    act_on_runs,
    add_toast,
    load_ended_size,
    may_act,
    read_last_scores,
    read_test,
    redraw,
)
from pages.shared import current, listed
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LIVE_SHOWN = 12
RUNS_SHOWN = 200
AT_ONCE = 0.3
"""Seconds in which a stop is waited for before anything is drawn."""
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
            stopping = is_stopping(run)
            action.button("Stop", key=f"stop-{run.id}", on_click=stop_runs, args=((run.id,),), disabled=stopping)
    if len(runs) > LIVE_SHOWN:
        st.caption(f"{len(runs) - LIVE_SHOWN} more are waiting; all are in the table below.")


def describe_place(run: Folder) -> str:
    """Where a run is and whose it is."""
    return " · ".join(part for part in (run.device, run.user) if part)


def stop_runs(run_ids: Sequence[str]) -> None:
    """Begins to stop runs, which may take a minute: the page is drawn meanwhile, and `end_stopping` waits for it."""
    said: list[str] = []
    names = name_runs(listed.list_folders(published=False))

    def stop() -> None:
        try:
            said.extend(f"{names.get(run.id, run.id)}: {run.state}" for run in launch.stop_all(run_ids))
        except UserError as error:
            said.append(str(error))

    work = Thread(target=stop, daemon=True)
    add_script_run_ctx(work, get_script_run_ctx())  # it acts for who is signed in
    work.start()
    # What takes no time needs no word; else each run says that it is stopping.
    work.join(AT_ONCE)
    st.session_state["stopping"] = (work, said)
    redraw()


def end_stopping() -> None:
    """Waits until runs that were asked to stop have stopped, then draws the page again with the state of each."""
    if kept := st.session_state.get("stopping"):
        work, said = kept
        work.join()
        st.session_state.pop("stopping", None)
        for words in said:
            add_toast(words)
        st.rerun()


def resume_runs(run_ids: Sequence[str], anew: bool = False) -> None:
    """Queues ended runs again."""
    act_on_runs(launch.resume, run_ids, "queued again", anew=anew)


def filter_runs(runs: Sequence[Folder], names: Mapping[str, str]) -> list[Folder]:
    """Draws the filters of the table and returns the runs they let through: pinned ones first, then live ones."""
    found = {sweep.id: sweep for sweep in sweeps.list_sweeps()}
    if st.session_state.get("of_sweep") not in (None, *found):
        st.session_state["of_sweep"] = None
    text, of_sweep, states, archived = st.columns([2.2, 2.2, 3.4, 1.9], vertical_alignment="bottom")
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
    return sorted(kept, key=lambda run: (not run.about.pinned, run.state not in LIVE))


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
    scores = {run.id: read_last_scores(run) for run in runs}
    tests = {run.id: read_test(run) for run in runs}
    sizes = {run.id: folder.disk_use(run.path) if run.state in LIVE else load_ended_size(run) for run in runs}
    column = st.column_config
    # Marks are kept by row number: another order of rows is another table, and nothing is marked in it.
    key = f"runs-{hashlib.sha256(' '.join(run.id for run in runs).encode()).hexdigest()[:12]}"
    table = run_table(runs, scores, sizes, now=time.time(), names=names, tests=tests)
    percent = {
        "test": ("test micro-F1", "micro-F1 of all labels on the test part"),
        "tail": ("test tail F1", "macro-F1 of the tail labels on the test part"),
        "micro": ("validation micro-F1", "micro-F1 of all labels on validation: of the kept epoch, or the last so far"),
        "macro": ("validation macro-F1", "macro-F1 of all labels on validation: of the kept epoch, or the last so far"),
    }
    marked: Any = st.dataframe(
        table,
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
            "name": column.TextColumn(width=230, help="★ pinned, ⚠ damaged, ⇩ imported from a zip"),
            "tags": column.ListColumn(),
            "epoch": column.TextColumn(width=100),
            "progress": column.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
            **{
                name: column.NumberColumn(title, format="%.2f", help=f"{about}, percent")
                for name, (title, about) in percent.items()
            },
            "left": column.TextColumn(help="Time left at this pace; early stopping may end it sooner"),
            "size": column.NumberColumn("MB on disk", format="%.1f"),
            **dict.fromkeys(find_silent(table)),
        },
        alt="All runs with their state, progress and last validation scores",
    )
    use = sum(sizes.values())
    st.caption(
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {use / 1e6:,.1f} MB; "
        f"{shutil.disk_usage(layout.runs_dir()).free / 1e9:,.1f} GB are free. Mark rows to act on them or "
        "to compare them. Columns that say nothing are hidden; the eye above the table shows them."
    )
    return [runs[row] for row in marked["selection"]["rows"] if row < len(runs)]


def combine_runs(run_ids: Sequence[str]) -> None:
    """Averages the scores of finished runs into a new run, which is shown then."""
    try:
        made = combine(list(run_ids))
    except UserError as error:
        add_toast(str(error), icon=":material/error:", duration="long")
        return
    current.ask_for_run(made.id)
    add_toast(f"Made: {name_run(made)}", icon=":material/check:")
    redraw()


def show_actions(runs: Sequence[Folder], where: str) -> None:
    """What can be done to runs, one or several; nothing that does not fit their states."""
    finished = tuple(run.id for run in runs if run.state == "finished" and isinstance(run, Run))
    if len(finished) > 1:
        link("compare", f"Compare {len(finished)}", {"runs": list(finished)})
    if not may_act():
        return
    live = tuple(run.id for run in runs if run.state in LIVE)
    over = tuple(run.id for run in runs if isinstance(run, Run) and can_resume(run))
    ended = tuple(run.id for run in runs if run.state not in LIVE)
    every = tuple(run.id for run in runs)
    kept = {run.id for run in runs if folder.has_checkpoint(run.path)}

    def offer(label: str, ids: Sequence[str], action: Callable[..., None], *args: Any, note: str = "") -> None:
        if ids:
            many = f"{label} {len(ids)}" if len(runs) > 1 else label
            key = f"{where}-{label}-{len(runs) > 1}"
            st.button(many, key=key, on_click=action, args=(tuple(ids), *args), help=note or None)

    if len(finished) > 1:
        trained = all(isinstance(run, Run) and not run.config.combined for run in runs)
        if trained and len(finished) == len(runs) <= MOST_MEMBERS:
            about = "Their scores averaged in logits: a new run, untrained."
            st.button(
                f"Combine {len(runs)}", key=f"{where}-combine", on_click=combine_runs, args=(finished,), help=about
            )
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

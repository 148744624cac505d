"""The parts of the launcher: the form, what a launch will take, the queue and all runs, one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from core.analysis import progress
from core.runs import folder, journal, results
from core.runs.folder import LIVE
from core.system.access import read_only
from core.system.errors import UserError
from pages.shared import listed
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.runs.folder import Folder

URL: Literal["query-params"] = "query-params"
"""Key of a widget whose value stands in the address: a link fills it."""


def may_act() -> bool:
    """Whether who looks may start, stop and change runs here."""
    return not read_only()


def act_on_runs(action: Callable[..., object], run_ids: Iterable[str], done: str, **more: Any) -> None:
    """Applies one action to runs, one after the other, and adds a toast with the outcome."""
    good, problem = 0, ""
    listed.forget()
    for run_id in run_ids:
        try:
            action(run_id, **more)
            good += 1
        except UserError as error:
            problem = str(error)
    if good:
        add_toast(f"{good} {'run' if good == 1 else 'runs'} {done}.")
    if problem:
        add_toast(problem, icon=":material/error:", duration="long")


def add_toast(text: str, **more: Any) -> None:
    """Keeps a toast for the next drawing of the page: a rerun would drop one that is drawn before it."""
    st.session_state.setdefault("said", []).append((text, more))


def redraw() -> None:
    """Asks for the whole page to be drawn again: a click in one of its parts changes another."""
    st.session_state["redraw"] = True
    listed.forget()


def redraw_if_asked() -> None:
    """Draws the whole page again where that was asked for."""
    if st.session_state.pop("redraw", False):
        st.rerun()


def show_toasts() -> None:
    """Draws the toasts that wait."""
    for text, more in st.session_state.pop("said", []):
        st.toast(plain(text), **more)


RunEnd = tuple[str, str, float | None]
"""Folder, state and end of a run, but no time of a file: the table of a thousand runs is drawn at every tick."""
FileVersion = tuple[str, str, int]
REDRAWN = 5
"""Seconds between two drawings of a chart while its run trains."""


def find_file_version(run: Folder, name: str) -> FileVersion:
    """What charts depend on: the run's state, and the time of a file of its own to `REDRAWN` seconds."""
    file = run.path / name
    return str(file), run.state, int(file.stat().st_mtime) // REDRAWN if file.exists() else 0


def find_end(run: Folder) -> RunEnd:
    """What the table of runs knows an ended run by."""
    return str(run.path), run.state, run.ended


def load_ended_scores(run: Folder) -> dict[str, Any]:
    """`read_scores` of a run that has ended: its folder is read once."""
    return _load_ended_scores(find_end(run), run)


@st.cache_data(max_entries=2000, show_spinner=False)
def _load_ended_scores(end: RunEnd, _run: Folder) -> dict[str, Any]:  # noqa: ARG001 - a part of the key
    return read_scores(_run)


def read_scores(run: Folder) -> dict[str, Any]:
    """The last validation scores that the run's folder holds; empty if there are none yet."""
    try:
        if run.state == "finished":
            return progress.scores_in(results.read_metrics(run))
        return progress.scores_in(journal.read_last(run.path, "history.jsonl"))
    except UserError:
        return {}


def read_test(run: Folder) -> dict[str, Any]:
    """The test scores of a finished run; empty of any other."""
    return _read_test(find_end(run), run) if run.state == "finished" else {}


@st.cache_data(max_entries=2000, show_spinner=False)
def _read_test(end: RunEnd, _run: Folder) -> dict[str, Any]:  # noqa: ARG001 - a part of the key
    try:
        scores = results.read_metrics(_run).get("test")
    except UserError:
        return {}
    return scores if isinstance(scores, dict) else {}


def read_last_scores(run: Folder) -> dict[str, Any]:
    """The last validation scores of a run in any state."""
    return read_scores(run) if run.state in LIVE else load_ended_scores(run)


def load_ended_size(run: Folder) -> int:
    """Bytes of the folder of a run that has ended."""
    return _load_ended_size(find_end(run), run)


@st.cache_data(max_entries=2000, show_spinner=False)
def _load_ended_size(end: RunEnd, _run: Folder) -> int:  # noqa: ARG001 - a part of the key
    return folder.disk_use(_run.path)

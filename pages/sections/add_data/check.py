"""The whole file, read once into a copy that is gone when the data set is kept or the visitor has left."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.config.parse import parse
from core.config.schema import FileConfig, SplitConfig
from core.data import added, scanning
from core.data.added import Plan
from core.data.summary import ReadSummary, summarize_rows, summarize_scan
from core.system.errors import Question, UserError
from pages.sections.add_data.columns import give, given_settings
from pages.sections.add_data.progress import report_to
from pages.sections.add_data.questions import keep_late_name
from pages.shared.text import plain, without_options

if TYPE_CHECKING:
    from core.data.readers import Reading


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda held: held.close())
def hold_scan() -> ExitStack:
    """Holds the copy of the file that a visitor looks at; it is gone when the visitor is."""
    return ExitStack()


def find_scan(path: Path, file: FileConfig, changed: str) -> Path | None:
    """The copy of this file as it is read now, where it has been read whole."""
    kept = st.session_state.get("scan")
    if kept and kept[0] == (str(path), file.model_dump_json(), changed) and kept[1].joinpath("scan.json").is_file():
        return Path(kept[1])
    return None


def read_whole(path: Path, reading: Reading, changed: str) -> None:
    """Reads the file with a progress bar; a problem is shown as a sentence, an unknown part is asked about."""
    bar = st.progress(0.0, plain(f"Reading {path.name}"))
    held, file = hold_scan(), reading.file
    try:
        held.close()
        folder = held.enter_context(scanning.passing_scan(path, file, report_to(bar)))
    except Question as question:
        keep_late_name(question, changed)
        st.rerun()
    except UserError as error:
        bar.empty()
        st.error(plain(without_options(str(error)) or str(error)))
        st.stop()
    # Names that come later in the file may show what stands between labels.
    if "sep" not in given_settings(changed) and (missed := scanning.missed_separators(folder, file)):
        first, *others = dict.fromkeys(filter(None, (file.sep, *file.other_seps, *missed)))
        give(changed, {"sep": first, "other_seps": tuple(others)})
        st.session_state["again"] = True
        st.rerun()
    st.session_state["scan"] = ((str(path), file.model_dump_json(), changed), folder)
    st.rerun()


@st.cache_data(max_entries=32, show_spinner="Reading the beginning")
def load_beginning(path: str, changed: str, file: str, _reading: Reading) -> ReadSummary:  # noqa: ARG001 - a part of the key
    return summarize_rows(Path(path), _reading)


@st.cache_data(max_entries=8, show_spinner="Counting labels")
def load_summary(folder: str) -> ReadSummary:
    return summarize_scan(Path(folder))


@st.cache_data(max_entries=32, show_spinner="Looking for defects")
def load_plan(folder: str, split: str, choices: tuple[tuple[str, str], ...]) -> Plan:
    return added.examine(Path(folder), parse(SplitConfig, split), dict(choices))


@st.cache_data(max_entries=32, show_spinner="Looking for the way to divide")
def load_usual(folder: str, least: int) -> str:
    return scanning.usual_split(Path(folder), least).made

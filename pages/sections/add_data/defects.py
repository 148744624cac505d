"""What is wrong with a file, and what is done about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.config.parse import parse
from core.config.schema import SplitConfig
from core.data import added, scanning
from core.data.added import Plan
from core.data.defects import CHOICES, Defect
from core.system.errors import UserError
from pages.sections.add_data.progress import report_to
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.config.schema import FileConfig

EXAMPLES = 3
WORDS = {
    "keep": "Keep",
    "drop": "Leave out",
    "merge": "Merge",
    "join": "Join",
    "strip": "Take out",
    "negative": "Count as no",
}


def read_whole(path: Path, file: FileConfig) -> None:
    """Reads the file with a progress bar; a problem is shown as a sentence."""
    bar = st.progress(0.0, plain(f"Reading {path.name}"))
    try:
        scanning.scan(path, file, report_to(bar))
    except UserError as error:
        bar.empty()
        st.error(plain(str(error)))
        st.stop()


def pick_choices(plan: Plan) -> dict[str, str]:
    """Draws each kind of defect with its number, examples and what can be done; gives what was chosen."""
    found = [defect for defect in plan.defects if defect.count]
    if not found:
        st.caption("None of the defects that were looked for was found.")
        return {}
    choices = {defect.key: pick_choice(defect) for defect in found}
    st.session_state["choices"] = st.session_state.get("choices", {}) | choices
    if without := [defect.title for defect in plan.defects if not defect.count]:
        words = "; ".join(f"{title[:1].lower()}{title[1:]}" for title in without)
        st.caption(plain(f"Looked for and not found: {words}."))
    return {key: choice for key, choice in choices.items() if choice != CHOICES[key][0]}


def pick_choice(defect: Defect) -> str:
    """One kind of defect."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(defect.title)}:** {defect.count:,}", width="content")
            choice = st.segmented_control(
                defect.title,
                CHOICES[defect.key],
                default=st.session_state.get("choices", {}).get(defect.key, CHOICES[defect.key][0]),
                required=True,
                format_func=WORDS.__getitem__,
                key=f"choice-{defect.key}",
                label_visibility="collapsed",
                width="content",
            )
        st.caption(plain(defect.advice))
        st.text("\n".join(defect.examples[:EXAMPLES]))
    return str(choice)


@st.cache_data(max_entries=32, show_spinner="Looking for defects")
def load_plan(folder: str, split: str, choices: tuple[tuple[str, str], ...]) -> Plan:
    return added.examine(Path(folder), parse(SplitConfig, split), dict(choices))

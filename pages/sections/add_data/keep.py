"""What would be kept of a file, under which name, and keeping it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from core.data import added, sources
from core.data.readers import stem_of
from core.system.errors import UserError
from pages.sections.add_data.progress import report_to
from pages.shared.text import plain, without_options

if TYPE_CHECKING:
    from pathlib import Path

    from core.config.schema import FileConfig, SplitConfig
    from core.data.added import Plan


def keep(path: Path, folder: Path, file: FileConfig, split: SplitConfig, choices: dict[str, str], plan: Plan) -> None:
    """Draws what would be kept, asks for a name, and keeps it when the button is pressed."""
    st.header("Keep it")
    sizes = plan.sizes()
    with st.container(horizontal=True, gap="large"):
        for title, size in {"Documents": len(plan.rows), "Labels": len(plan.labels), **sizes}.items():
            st.metric(title.capitalize(), f"{size:,}", width="content")
    notes = [words for note in plan.notes if note not in plan.split_notes and (words := without_options(note))]
    if notes:
        st.caption(plain("\n".join(notes)))
    usual = re.sub(r"[^A-Za-z0-9_]+", "-", stem_of(path.name)).strip("-_")[:40].strip("-_") or "my-data"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name", usual, key=f"name-{path}", max_chars=40, width=320).strip()
        pressed = st.button("Keep as a data set", type="primary")
    with st.expander("The same on the command line"):
        st.code(added.command_line(name, path, file, split, choices), language="bash", wrap_lines=True)
    if not pressed:
        return
    bar = st.progress(0.0, "Keeping the documents")
    try:
        kept = sources.add(name, path, file, split, choices, progress=report_to(bar), folder=folder)
    except UserError as error:
        bar.empty()
        st.error(plain(str(error)))
        return
    st.session_state["added"] = (
        name,
        f"{kept.documents:,} documents with {kept.labels:,} labels are kept as '{name}'.",
    )
    st.session_state["times"] = st.session_state.get("times", 0) + 1
    st.rerun()

"""Add data: a file is chosen, shown as it is read, asked about, checked for defects, and kept under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import scanning
from core.system.access import read_only
from core.system.errors import UserError
from pages.sections.add_data.check import find_scan, load_beginning, load_plan, load_summary, read_whole
from pages.sections.add_data.columns import pick_notation, show_columns
from pages.sections.add_data.defects import choose, find_choices, show_defects
from pages.sections.add_data.file import list_added, pick_file
from pages.sections.add_data.form import pick_form
from pages.sections.add_data.keep import keep
from pages.sections.add_data.questions import ask
from pages.sections.add_data.shown import show_read
from pages.sections.add_data.split import pick_split
from pages.shared.menu import link, show_header
from pages.shared.text import plain, without_options

if TYPE_CHECKING:
    from pathlib import Path


def show() -> None:
    show_header(
        "Add data", "Your own documents: see what is in the file and what is wrong with it, then keep it as a data set."
    )
    if kept := st.session_state.pop("added", None):
        st.session_state["file"] = st.session_state["opened"] = None
        st.success(plain(kept[1]))
        link("explorer", f"Open {kept[0]}", {"data": kept[0]})
    if read_only():
        st.info("This dashboard is read-only for you: no data set is added or removed here.")
        return
    path = pick_file()
    if path is None:
        list_added()
        return
    try:
        show_file(path)
    except UserError as error:
        st.error(plain(without_options(str(error)) or str(error)))


def show_file(path: Path) -> None:
    """Everything about one file: how it is written and read, its division, its defects, keeping it."""
    changed = str(scanning.state_of(path))
    # How it is written, what is unclear, what was read, what the columns are.
    st.header("How it is written")
    beginning = pick_form(path, changed)
    reading = ask(path, beginning, key=changed)
    file, place = reading.file, st.container()
    show_columns(reading, key=changed)
    pick_notation(reading, key=changed)
    if reading.questions or not (file.text or file.title) or not file.labels:
        with place:
            st.info(
                "Answer what is to be decided; then documents are shown here with their labels as they are read."
                if reading.questions
                else "Choose the column that holds the text and the one that holds the labels."
            )
        return
    folder = find_scan(path, file, changed)
    with place:
        show_read(
            load_summary(str(folder)) if folder else load_beginning(str(path), changed, file.model_dump_json(), reading)
        )
    # The whole file: its division, its defects, keeping it.
    if folder is None:
        st.header("Defects and split")
        st.caption("The whole file is read once, and nothing is kept until you say so.")
        if st.button("Check the file", type="primary") or st.session_state.pop("again", False):
            read_whole(path, reading, changed)
        return
    st.header("Split")
    split = pick_split(file, folder)
    choices = find_choices()
    try:
        plan = load_plan(str(folder), split.model_dump_json(), tuple(choices.items()))
    except UserError as error:
        st.error(plain(without_options(str(error))))
        st.button("Keep everything", on_click=choose, args=({},), disabled=not choices)
        return
    for note in plan.split_notes:
        st.caption(plain(note))
    st.header("Defects")
    show_defects(load_summary(str(folder)), plan)
    keep(path, folder, file, split, choices, plan)


if __name__ == "__main__":
    import app

    app.main("add_data")

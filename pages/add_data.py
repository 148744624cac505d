"""Add data: a file is chosen, read as its columns are named, checked for defects, and kept under a name."""

from __future__ import annotations

import streamlit as st

from core.data.scanning import find_scan
from core.system.access import read_only
from pages.sections.add_data.columns import pick_columns
from pages.sections.add_data.defects import load_plan, pick_choices, read_whole
from pages.sections.add_data.file import list_added, pick_file
from pages.sections.add_data.keep import keep
from pages.sections.add_data.split import pick_split
from pages.shared.menu import link, show_header
from pages.shared.text import plain


def show() -> None:
    show_header(
        "Add data", "Your own documents: see what is in the file and what is wrong with it, then keep it as a data set."
    )
    if added := st.session_state.pop("added", None):
        st.session_state["file"] = None
        st.success(plain(added[1]))
        link("explorer", f"Open {added[0]}", {"data": added[0]})
    if read_only():
        st.info("This dashboard is read-only for you: no data set is added or removed here.")
        return
    path = pick_file()
    if path is None:
        list_added()
        return
    file = pick_columns(path)
    if file is None:
        return
    st.subheader("Split and labels")
    split = pick_split(file)
    st.subheader("Defects")
    folder = find_scan(path, file)
    if folder is None:
        st.caption("The whole file is read once, and nothing is kept until you say so.")
        if st.button("Check the file", type="primary"):
            read_whole(path, file)
            st.rerun()
        return
    choices = pick_choices(load_plan(str(folder), split.model_dump_json(), ()))
    plan = load_plan(str(folder), split.model_dump_json(), tuple(sorted(choices.items())))
    keep(path, file, split, choices, plan)


if __name__ == "__main__":
    import app

    app.main("add_data")

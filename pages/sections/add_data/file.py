"""The choice of a file, and the data sets that have been added already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import sources
from core.data.added import find_files, find_registered, keep_upload, unregister
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from pathlib import Path


def pick_file() -> Path | None:
    """Draws the choice of a file: sent through the browser, or one of those that lie in the data folders."""
    left, right = st.columns(2, gap="large")
    sent = left.file_uploader(
        "Drop a file",
        key=f"sent{st.session_state.get('times', 0)}",  # another key empties it
        help="CSV, TSV, JSON, JSON lines or Parquet, plain, gz or zip. It stays on the machine that Tailscope runs on. "
        "Larger files: put them into a folder of TAILSCOPE_DATA, or use `python -m core data add`.",
    )
    found = {str(path): path for path in find_files(sources.folders())}
    chosen = right.selectbox(
        "Or choose one that is in a data folder",
        list(found),
        None,
        key="file",
        bind="query-params",
        placeholder="none" if found else "No such file in the folders of TAILSCOPE_DATA",
        disabled=not found,
    )
    if sent is not None:
        return keep_upload(sent.name, sent)
    return found[chosen] if chosen else None


def list_added() -> None:
    """What has been added already, each with a button that removes it."""
    added = find_registered()
    st.subheader("Added data sets")
    if not added:
        st.caption(
            "None yet. A good first try: a CSV with a column of texts and one of labels, separated by semicolons."
        )
    for source in sources.available():
        if source.name in added:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{source.name}**", width=160)
                st.caption(plain(source.sentence), width="stretch")
                if source.found:
                    link("explorer", "Open", {"data": source.name})
                with st.popover("Remove"):
                    st.write("The copy in the cache is deleted; your file and the runs stay.")
                    if st.button("Remove it", key=f"remove-{source.name}"):
                        unregister(source.name)
                        st.rerun()

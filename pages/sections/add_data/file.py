"""The choice of a file, and the data sets that have been added already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import readers, sources
from core.data.added import find_files, find_registered, find_uploads, keep_upload, remove_upload, unregister
from core.system.errors import UserError
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = (
    "CSV and TSV, JSON and JSON lines of any layout, Parquet, Arrow, Excel, fastText, PubMed XML; packed as gz, bz2, "
    "xz or zst; or a zip or tar of the parts of a set (train, dev, test), or of one text a file."
)
"""What can be read."""


def pick_file() -> Path | None:
    """Draws the choice of a file: sent through the browser, or one of those that lie on the machine."""
    left, right = st.columns(2, gap="large")
    with left:
        receive_file()
        st.caption(FORMATS)
    sent = {name_upload(path): path for path in find_uploads()}
    found = {str(path): path for path in find_files(sources.folders())}
    files = sent | found
    # The file that was chosen before the page was left.
    if "file" not in st.session_state and "file" not in st.query_params and st.session_state.get("opened") in files:
        st.session_state["file"] = st.session_state["opened"]
    with right:
        chosen = st.selectbox(
            "Or choose one that is on the machine",
            list(files),
            None,
            key="file",
            bind="query-params",
            placeholder="none" if files else "No such file in the folders of TAILSCOPE_DATA",
            disabled=not files,
            on_change=forget_choices,
        )
        st.caption("Uploads, and files in the folders that the variable TAILSCOPE_DATA names; put larger files there.")
        st.session_state["opened"] = chosen
        if chosen in sent:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(plain(f"{sent[chosen].name} is uploaded, not kept yet."), width="content")
                st.button("Remove the upload", on_click=forget_upload, args=(sent[chosen],), type="tertiary")
    return files[chosen] if chosen else None


def name_upload(path: Path) -> str:
    """What an upload is called in the list of files; its content tells it from another one of this name."""
    return f"{path.name} (upload {path.parent.name[:6]})"


def receive_file() -> None:
    """Draws the place to drop a file; a new one is written into the cache and chosen."""
    sent = st.file_uploader(
        "Drop a file",
        key=f"sent{st.session_state.get('times', 0)}",  # another key empties it
        help="It stays on the machine that Tailscope runs on.",
        on_change=forget_choices,
    )
    if sent is None:
        return
    if st.session_state.get("sent") != sent.file_id:
        st.session_state["sent"], st.session_state["refused"] = sent.file_id, ""
        path = keep_upload(sent.name, sent)
        try:
            readers.sniff(path)
            st.session_state["file"] = name_upload(path)
        except UserError as error:  # nothing stays of what is not read at all
            remove_upload(path)
            st.session_state["refused"] = str(error)
    if refused := st.session_state.get("refused"):
        st.error(plain(refused))


def forget_choices() -> None:
    """What was chosen about one file says nothing of another."""
    for key in ("roles", "choices", "parts"):
        st.session_state.pop(key, None)


def forget_upload(path: Path) -> None:
    """Removes an upload, and empties the place to drop one."""
    remove_upload(path)
    forget_choices()
    st.session_state["times"] = st.session_state.get("times", 0) + 1
    st.session_state["file"] = st.session_state["opened"] = None


def list_added() -> None:
    """What has been added already, each with a button that removes it."""
    added = find_registered()
    st.header("Added data sets")
    if not added:
        st.caption(
            "None yet. A good first try: a CSV with a column of texts and one of labels, separated by semicolons."
        )
    for source in sources.available():
        if source.name in added:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(source.name)}**", width=160)
                st.caption(plain(source.sentence), width="stretch")
                if source.found:
                    link("explorer", "Open", {"data": source.name})
                with st.popover("Remove"):
                    st.write("The copy in the cache is deleted; your file and the runs stay.")
                    if st.button("Remove it", key=f"remove-{source.name}"):
                        unregister(source.name)
                        st.rerun()

"""What was read of a file: five documents with their labels as read, frequent and rare labels, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shared.text import plain, shorten, without_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.data.summary import ReadSummary, ShownDocument

LETTERS = 220
"""Of a text that is shown."""
NAME_LETTERS = 60
"""Of a label that is shown in a line of labels."""
LABELS = 15
"""Labels of a document that are shown."""


def show_read(read: ReadSummary) -> None:
    """Draws what was read."""
    st.header("As it is read")
    st.caption(
        "The whole file, as it stands: nothing is left out or merged yet."
        if read.is_whole
        else f"From the beginning of the file, {read.documents:,} documents; the whole is read when it is checked."
    )
    with st.container(horizontal=True, gap="large"):
        st.metric("Documents", f"{read.documents:,}", width="content")
        st.metric("Labels", f"{read.labels:,}", width="content")
        st.metric("Labels per document", f"{read.per_document:.2f}", width="content")
        st.metric("Fewest and most", f"{read.fewest:,} to {read.most:,}", width="content")
    list_labels("Most frequent labels, with their documents", read.top)
    if read.labels > len(read.top):
        list_labels("Rarest labels", read.rarest)
    for document in read.sample:
        show_read_document(document)
    for sentence in read.said:
        if words := without_options(sentence):
            st.caption(plain(words))


def show_read_document(document: ShownDocument) -> None:
    """Draws the beginning of one document, and its labels."""
    with st.container(border=True, gap="xsmall"):
        st.caption(plain(f"{shorten(document.id, 40)}: {shorten(document.text, LETTERS) or '(no text)'}"))
        names = [_name(label) for label in document.labels[:LABELS]]
        more = len(document.labels) - len(names)
        badges = " ".join(f":blue-badge[{name}]" for name in names)
        st.markdown(f"{badges}{f' and {more:,} more' if more else ''}" if names else "(no label)")


def list_labels(title: str, labels: Sequence[tuple[str, int]]) -> None:
    """Draws labels with the number of their documents."""
    shown = [f":gray-badge[{_name(label)}] {count:,}" for label, count in labels]
    st.caption(f"{title}: {' · '.join(shown) or 'none'}")


def _name(label: str) -> str:
    return plain(shorten(label, NAME_LETTERS))

"""Data set: its measures, the long tail, the documents, which labels come together, and what to look at closely."""

from __future__ import annotations

import streamlit as st

from core import data
from pages import corpus_of, header, pick_data, plain, why_first
from pages.sections.explorer import browser, drift, lengths, lookalikes, overview, tail, together

SECTIONS = {
    "Overview": overview.show,
    "Long tail": tail.show,
    "Lengths": lengths.show,
    "Together": together.show,
    "Drift": drift.show,
    "Look-alikes": lookalikes.show,
    "Documents": browser.show,
}
"""The tabs; the name of the open one stands in the address."""


def show() -> None:
    header("Data set", "How long the tail is, which labels come together, and what the documents say.")
    corpus = corpus_of(pick_data())
    why = why_first() if corpus.name == "synthetic" == data.default_name() else ""
    st.caption(plain(f"{corpus.source}. {why}"))
    for tab, section in zip(st.tabs(list(SECTIONS), key="view", bind="query-params"), SECTIONS.values(), strict=True):
        if tab.open:
            with tab:
                section(corpus)


if __name__ == "__main__":
    import app

    app.main("explorer")

"""Explorer: the measures of a data set, the long tail, the documents, labels that come together, what to check."""

from __future__ import annotations

import streamlit as st

from core.data import sources
from pages.sections.explorer import browser, drift, lengths, lookalikes, overview, tail, together
from pages.shared import current
from pages.shared.loaders import load_corpus
from pages.shared.menu import show_header
from pages.shared.pick import describe_default
from pages.shared.text import plain

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
    show_header("Explorer", "How long the tail is, which labels come together, and what the documents say.")
    corpus = load_corpus(current.data())
    why = describe_default() if corpus.name == "synthetic" == sources.default_name() else ""
    st.caption(plain(f"{corpus.source}. {why}"))
    for tab, section in zip(st.tabs(list(SECTIONS), key="view", bind="query-params"), SECTIONS.values(), strict=True):
        if tab.open:
            with tab:
                section(corpus)


if __name__ == "__main__":
    import app

    app.main("explorer")

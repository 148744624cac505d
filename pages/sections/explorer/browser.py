"""Reading documents: by words, by labels, by number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import documents
from pages.sections.explorer import find_columns, pick_labels, pick_part, show_documents, turn_to_first_page
from pages.shared.downloads import SAVED, offer_csv
from pages.shared.loaders import find_documents
from pages.shared.pick import LABELS_OFFERED

if TYPE_CHECKING:
    from core.data.corpus import Corpus


@st.fragment
def show(corpus: Corpus) -> None:
    # Filters: part, words, number of labels.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = pick_part(corpus)
        text = st.text_input(
            "Words in title or body",
            type="search",
            key="text",
            bind="query-params",
            on_change=turn_to_first_page,
            placeholder="exact words",
        )
        least = st.number_input(
            "Labels, from", 0, value=0, key="least", bind="query-params", width=120, on_change=turn_to_first_page
        )
        most = st.number_input(
            "to",
            0,
            value=None,
            key="most",
            bind="query-params",
            width=120,
            placeholder="any",
            on_change=turn_to_first_page,
        )
    # Filters: labels, of which a list holds some at a time.
    search = ""
    if len(corpus.labels) > LABELS_OFFERED:
        search = st.text_input(
            f"Offer labels with this in their name ({LABELS_OFFERED:,} at most are offered)",
            type="search",
            live=True,
            key="offer",
        )
    places = st.columns(3)
    kinds = {
        "all_of": ("All of", "Documents that carry every one of these labels."),
        "any_of": ("Any of", "Documents that carry at least one of these labels."),
        "none_of": ("None of", "Documents that carry none of these labels."),
    }
    wanted = {}
    for place, (key, (title, about)) in zip(places, kinds.items(), strict=True):
        with place:
            wanted[key] = find_columns(corpus, pick_labels(title, key, corpus.labels, search=search, help=about))
    # The documents that pass.
    rows = find_documents(corpus, part, **wanted, least=least, most=most, text=text)
    total = len(documents.rows_of(corpus, part))
    if not len(rows):
        st.info(f"None of {total:,} documents passes all of these filters: take one away.")
        return
    key = f"read-{corpus.fingerprint[:8]}-{part}-{wanted}-{least}-{most}-{text}"
    show_documents(corpus, rows, f"{len(rows):,} of {total:,} documents.", key=key)
    offer_csv(f"{corpus.name}-{part}-documents", lambda: documents.document_table(corpus, rows[:SAVED]))
    if len(rows) > SAVED:
        st.caption(f"The file holds the first {SAVED:,}.")

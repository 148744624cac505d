"""The labels that come with a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.labels import cooccurrence
from pages.sections.explorer import describe_columns, pick_part
from pages.sections.label import show_no_data
from pages.shared.downloads import offer_csv
from pages.shared.glossary import explain
from pages.shared.labels import HINT, show_table
from pages.shared.loaders import load_pairs
from pages.shared.menu import link, link_labels
from pages.shared.pick import pick_one
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from pages.sections.label import Label

ORDERS = {"shared documents": "both", "lift": "lift", "p(i given j)": "p"}
SHOWN = ("other", "p", "p_back", "lift", "both", "other_documents")


def show(label: Label) -> None:
    """Its neighbours with p(i given j) both ways and lift."""
    if label.corpus is None:
        show_no_data()
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        part = pick_part(label.corpus)
        order = pick_one("Order", ORDERS, "shared documents", key="by")
    near = cooccurrence.neighbours(load_pairs(label.corpus, part), label.column, by=ORDERS[order])
    if not len(near):
        st.info("No other label shares a document with this one.")
        return
    table = dataset.pair_table(near, label.names)
    st.caption(plain(f"j is {shorten(label.name, 60)}, i the label that comes with it. Tick a row to go on. {HINT}"))
    explain("p(i given j)", "lift")
    rows = show_table(
        table,
        ["other"],
        key=f"near-{label.column}-{part}-{order}",
        rows=True,
        height=min(38 + 35 * len(table), 458),
        column_order=SHOWN,
        column_config=describe_columns(dataset.PAIRS),
        placeholder="–",
        alt="Labels that come with this one",
    )
    offer_csv(f"label-{label.column + 1}-together", table)
    if rows:
        other = table["other"].iloc[rows[0]]
        link_labels(other)
        with st.container(horizontal=True):
            pair = {"view": "Together", "label": label.name, "beside": other}
            link("explorer", "Documents with both", pair)

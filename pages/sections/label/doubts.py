"""Whether a label is one of its own, and which of its documents may be labelled wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.errors.doubts import load_doubts
from pages.sections.explorer.lookalikes import list_lookalikes, load_lookalikes
from pages.sections.label import show_no_data, show_no_run
from pages.shared.loaders import load_texts

if TYPE_CHECKING:
    from pages.sections.label import Label


def show(label: Label) -> None:
    """Labels that are nearly this one, and its likely label errors in the current run."""
    st.header("Nearly the same label")
    if label.corpus is None:
        show_no_data()
    else:
        table = load_lookalikes(label.corpus, "train")
        table = table[table["label"].eq(label.name) | table["other"].eq(label.name)]
        if len(table):
            list_lookalikes(table)
        else:
            st.caption("No other label has nearly its name, or nearly its documents.")
    st.header("Likely label errors")
    if label.run is None:
        show_no_run()
        return
    corpus = load_texts(label.run)[0]
    try:
        doubted, _ = load_doubts(label.run, "test", label.borders, corpus is not None)
    except ValueError:
        st.info("An SVM's margins are no probabilities: choose a run with a loss to look for label errors.")
        return
    doubted = doubted[doubted["label"].eq(label.name)]
    if not len(doubted):
        st.caption("None is doubted in the test part; labels with fewer than 5 documents there are not judged.")
        return
    st.caption("Test documents whose label confident learning doubts: wrong, or missing. A doubt is no proof.")
    st.dataframe(
        doubted,
        hide_index=True,
        height=min(38 + 35 * len(doubted), 353),
        column_order=["id", "title", "maybe", "score"],
        column_config={
            "title": st.column_config.TextColumn(width=420),
            "maybe": st.column_config.TextColumn("the label may be"),
            "score": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Documents whose label is doubted",
    )

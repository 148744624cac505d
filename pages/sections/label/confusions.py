"""What a label is confused with in the current run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import one_label
from pages.sections.errors.chosen import as_trained
from pages.sections.label import show_no_run
from pages.shared.downloads import offer_csv
from pages.shared.glossary import explain
from pages.shared.labels import show_table
from pages.shared.loaders import load_predictions
from pages.shared.menu import link, link_labels

if TYPE_CHECKING:
    import pandas as pd

    from pages.sections.label import Label


def show(label: Label) -> None:
    """What its missed documents were given, and what documents had that were wrongly given it."""
    if label.run is None:
        show_no_run()
        return
    targets = load_predictions(label.run).targets
    lost, gained = one_label.confused_labels(targets, as_trained(label.run, "test"), label.names, label.column)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Where it was missed")
        st.caption("Swapped: given wrongly in its place. Absorbed: given rightly beside it, while this one was missed.")
        explain("swapped", "absorbed")
        list_labels(label, lost, "missed", {"missed": label.name, "gave": ""})
    with right:
        st.header("Where it was given wrongly")
        st.caption("The labels that those documents have and that were missed there.")
        list_labels(label, gained, "gave", {"missed": "", "gave": label.name})


def list_labels(label: Label, table: pd.DataFrame, key: str, pair: dict[str, str]) -> None:
    """Draws labels with their documents; a tick leads to the other label, and to the documents of the pair."""
    if not len(table):
        st.info("Nowhere, on the test part.")
        return
    assert label.run is not None
    rows = show_table(
        table,
        ["label"],
        key=f"{key}-{label.column}-{label.run.id}",
        rows=True,
        height=min(38 + 35 * len(table), 353),
        alt="Labels that were confused with this one",
    )
    offer_csv(f"label-{label.column + 1}-{key}", table)
    if rows:
        other = table["label"].iloc[rows[0]]
        link_labels(other)
        query = {name: value or other for name, value in pair.items()}
        link("errors", "Documents of the pair", {"run": label.run.id, "view": "Confused pairs", **query})

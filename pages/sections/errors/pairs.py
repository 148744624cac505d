"""Confused pairs of labels, as a list and as a map, and the documents behind a pair."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors
from core.analysis.what_if import Chosen
from core.figures.errors import confusion_map_chart
from pages.sections.errors.chosen import as_trained, offer_run, predict_at
from pages.sections.errors.documents import DOCUMENTS_SHOWN, list_documents
from pages.shared.downloads import offer_csv
from pages.shared.glossary import explain
from pages.shared.labels import show_table
from pages.shared.loaders import HASHES, load_metrics, load_predictions
from pages.shared.menu import link_labels
from pages.shared.pick import pick_label, pick_one
from pages.shared.text import is_dark, plain

if TYPE_CHECKING:
    import pandas as pd

    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown

PAIRS_SHOWN = 200
PAIRS_KEPT = 20_000
SIDES = {"recall": "where true labels went", "precision": "where predicted labels came from"}


@st.cache_resource(max_entries=16, show_spinner="Counting confused pairs", hash_funcs=HASHES)
def load_confused_pairs(run: Run, chosen: Chosen, part: str, other: Run | None) -> pd.DataFrame:
    before = (load_predictions(other, part), as_trained(other, part)) if other else None
    labels = load_metrics(run)["labels"]
    return errors.confused_pairs(
        load_predictions(run, part), predict_at(run, chosen, part)[1], labels, limit=PAIRS_KEPT, other=before
    )


def show(shown: Shown) -> None:
    """Which label was given, or kept, where another was missed, and the documents behind a pair."""
    pairs = load_confused_pairs(shown.run, shown.chosen, shown.part, shown.other)
    st.caption(
        "A label was missed, and another was wrongly given (swapped) or rightly there (absorbed). Together: "
        f"{shown.part} documents that truly have both, as a share of those of the missed label."
    )
    explain("swapped", "absorbed")
    search = st.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    rows, found = errors.rows_of_label(pairs, search, ["missed", "gave"], limit=PAIRS_SHOWN)
    if not found:
        st.info(
            "No label was missed in the company of another." if not search else "No confused pair has such a label."
        )
        return
    # The list; its chosen row stands in the address.
    column = st.column_config
    missed, gave = st.query_params.get("missed"), st.query_params.get("gave")
    listed = list(zip(rows["missed"], rows["gave"], strict=True))
    chosen = [listed.index((missed, gave))] if (missed, gave) in listed else []
    show_table(
        errors.percents(rows, ["share_of_misses", "share_together"]),
        ["missed", "gave"],
        key="pairs_table",
        rows=True,
        on_change=lambda: choose_pair("pairs_table", listed),
        height=min(38 + 35 * len(rows), 350),
        selection_default={"selection": {"rows": chosen, "columns": [], "cells": []}},
        column_order=[
            *("missed", "gave", "total", "change", "swapped", "absorbed", "misses", "share_of_misses"),
            *("together", "share_together"),
        ],
        column_config={
            "missed": column.TextColumn("missed", width=110),
            "gave": column.TextColumn("given or kept", width=110),
            "total": column.ProgressColumn(
                "documents", format="%d", min_value=0, max_value=int(pairs["total"].max()), width=100
            ),
            "change": column.NumberColumn(format="%+d", width=62, help="documents more than in the other run"),
            "swapped": column.NumberColumn(width=68),
            "absorbed": column.NumberColumn(width=70),
            "misses": column.NumberColumn("all misses", width=74, help="of the missed label"),
            "share_of_misses": column.NumberColumn("of misses (%)", width=90, format="%.0f"),
            "together": column.NumberColumn(width=66),
            "share_together": column.NumberColumn("together (%)", width=86, format="%.0f"),
        },
        alt="Pairs of labels by how often the first was missed and the second given or kept",
    )
    offer_csv("pairs", lambda: errors.rows_of_label(pairs, search, ["missed", "gave"], limit=found)[0])
    offer_run("Confused pairs", f"Confused pairs{f' with {search}' if search else ''}", shown, label=search)
    if found > len(rows):
        st.caption(f"The first {len(rows)} of {found:,} pairs.")
    show_pair(shown, missed, gave)


def choose_pair(key: str, pairs: list[tuple[str, str]]) -> None:
    """Writes the clicked pair into the address."""
    if rows := st.session_state[key]["selection"]["rows"]:
        st.query_params["missed"], st.query_params["gave"] = pairs[rows[0]]


def show_pair(shown: Shown, missed: str | None, gave: str | None) -> None:
    """The documents behind a pair of labels."""
    if missed is None or gave is None:
        st.caption("Choose a pair to read the documents behind it.")
        return
    if missed not in shown.labels or gave not in shown.labels:
        st.error(plain(f"The pair '{missed}' and '{gave}' of the address is not one of this run's labels."))
        return
    find = partial(
        errors.pair_documents,
        shown.predictions,
        shown.predicted,
        shown.labels.index(missed),
        shown.labels.index(gave),
    )
    found = find(limit=DOCUMENTS_SHOWN)[1]
    many = "document" if found == 1 else "documents"
    st.text(f"{found} {many} where {missed} was missed and {gave} given or kept")
    link_labels(missed, gave)
    list_documents(shown, find, f"{missed}-{gave}", missed)


def show_map(shown: Shown) -> None:
    """The confusion matrix of the labels that are confused most; a click lists the documents."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        view = pick_one("Read it as", SIDES, "recall", key="read", words=SIDES)
    with right:
        label = pick_label("Find a label", "around", shown.labels, None)
    around = shown.labels.index(label) if label is not None else None
    table = errors.confusion_map(shown.predictions, shown.predicted, shown.labels, view=view, around=around)
    if label is not None:
        link_labels(label)
    if table.empty:
        never = f"{label} was confused with no other label." if label else "No label was confused with another."
        st.info(plain(never))
        return
    which = f"{plain(label)} and the labels" if label else "The labels"
    st.caption(
        f"{which} that {'it is' if label else 'are'} confused {'with ' if label else ''}most, side by side; grey cells "
        "are right and stand for "
        f"{'recall' if view == 'recall' else 'precision'}. A document's miss is shared among its predicted labels "
        "(MLCT, Krstinic et al. 2024). Click a cell for its documents."
    )
    clicked = st.altair_chart(
        confusion_map_chart(table, view=view, found=label or "", dark=is_dark()),
        key=f"map-{view}-{label}",
        on_select="rerun",
        width="content",
        alt="Which labels were predicted where which were true",
    )
    offer_run("Map", f"Confusion of {label or 'the labels confused most'}", shown, read=view, around=label)
    if cells := clicked["selection"].get("cell"):
        show_pair(shown, cells[0]["true"], cells[0]["predicted"])

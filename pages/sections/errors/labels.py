"""Every label: hits, misses, F1, threshold; and the precision-recall curve of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors
from core.analysis.what_if import AS_TRAINED
from core.figures.errors import f1_by_frequency, precision_recall_chart
from pages.sections.errors.chosen import Chosen, predict_at
from pages.shared.downloads import offer_csv
from pages.shared.loaders import load_predictions
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from pages.sections.errors.chosen import Shown

LABELS_SHOWN = 500


def show(shown: Shown) -> None:
    """Every label: hits, misses, F1 with its interval, threshold; a click draws its precision-recall curve."""
    # Every label of this run, and of the other one at its own thresholds.
    table = errors.label_table(
        shown.predictions, shown.predicted, shown.labels, shown.counts, shown.borders, shown.limits
    )
    other = None
    if shown.other:
        theirs = load_predictions(shown.other)
        other = errors.label_table(
            theirs, predict_at(shown.other, Chosen(AS_TRAINED))[1], shown.labels, shown.counts, shown.borders
        )
    # Filters.
    never, unhit = (errors.select_labels(table, only=only) for only in ("never predicted", "never hit"))
    left, middle, right = st.columns([3, 2, 4], vertical_alignment="bottom")
    search = left.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    group = middle.selectbox("Group", ["head", "medium", "tail"], None, key="group", placeholder="all")
    only = right.segmented_control(
        "Only labels that are",
        ["never predicted", "never hit"],
        key="only",
        format_func=lambda name: f"{name} ({len(never if name == 'never predicted' else unhit)})",
    )
    kept = errors.select_labels(table, group=group or "", only=only or "")
    rows, found = errors.rows_of_label(kept, search, ["label"], limit=LABELS_SHOWN)
    if not found:
        st.info("No label matches.")
        return
    # The list.
    column = st.column_config
    chosen = st.dataframe(
        errors.shown_labels(rows, other),
        key="labels_table",
        hide_index=True,
        height=min(38 + 35 * len(rows), 400),
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "label": column.TextColumn(width=120),
            "support": column.NumberColumn("test", help="documents of the test part"),
            "threshold": column.NumberColumn(format="%.3f"),
            "f1": column.ProgressColumn("F1 (%)", format="%.1f", min_value=0, max_value=100),
            "change": column.NumberColumn("change", format="%+.1f", help="of F1, against the other run"),
            "interval": column.TextColumn("95 %", help="Interval of F1; wide where a label has few test documents."),
            "precision": column.NumberColumn("precision (%)", format="%.1f"),
            "recall": column.NumberColumn("recall (%)", format="%.1f"),
        },
        alt="Every label with its hits, misses, F1 and threshold",
    )
    offer_csv(
        "labels", lambda: errors.shown_labels(errors.rows_of_label(kept, search, ["label"], limit=found)[0], other)
    )
    if found > len(rows):
        st.caption(f"The {len(rows)} most frequent of {found} labels; type a part of a name to find others.")
    # All labels as points, and the curve of the chosen one.
    picked = chosen["selection"]["rows"]
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption("F1 of every label against its number of training documents.")
        named = {shown.run.id: table} | ({shown.other.id: other} if shown.other and other is not None else {})
        st.altair_chart(f1_by_frequency(named, shown.borders), alt="F1 of every label against its frequency")
    with right:
        if not picked or picked[0] >= len(rows):
            st.caption("Choose a row of the table to see what other thresholds would do for that label.")
            return
        row = rows.iloc[picked[0]]
        name = row["label"]
        curve = errors.precision_recall(shown.predictions, shown.labels.index(name))
        st.caption(plain(f"{name}: precision and recall at every threshold; the large dot is now."))
        if curve.empty:
            st.info("No test document has this label: there is no curve.")
            return
        now = {"precision": 100 * row["precision"], "recall": 100 * row["recall"]}
        st.altair_chart(precision_recall_chart(curve, now), alt=f"Precision and recall of {name}")
        link("errors", f"Documents of {name}", {"run": shown.run.id, "view": "Documents", "of_label": name})

"""Every label: hits, misses, F1, threshold; and the precision-recall curve of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors
from core.analysis.run_names import name_runs
from core.figures.errors import f1_by_frequency, precision_recall_chart
from core.labels.groups import UNSEEN, group_sizes
from pages.sections.errors.chosen import as_trained, offer_run
from pages.sections.errors.thresholds import change_label
from pages.shared.downloads import offer_csv
from pages.shared.labels import show_marks, show_table
from pages.shared.loaders import load_predictions
from pages.shared.menu import link, link_labels
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    import pandas as pd

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
        theirs = load_predictions(shown.other, shown.part)
        other = errors.label_table(
            theirs, as_trained(shown.other, shown.part), shown.labels, shown.counts, shown.borders
        )
    # Filters.
    never, unhit = (errors.select_labels(table, only=only) for only in ("never predicted", "never hit"))
    left, middle, right = st.columns([3, 2, 4], vertical_alignment="bottom")
    search = left.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    groups = list(group_sizes(shown.counts, shown.borders))
    group = middle.selectbox(
        "Group",
        groups,
        None,
        key="group",
        bind="query-params",
        placeholder="all",
    )
    only = right.segmented_control(
        "Only labels that are",
        ["never predicted", "never hit"],
        key="only",
        bind="query-params",
        help=f"{len(never):,} are never predicted, {len(unhit):,} are never hit: predicted or there, and never right.",
    )
    kept = errors.select_labels(table, group=group or "", only=only or "")
    rows, found = errors.rows_of_label(kept, search, ["label"], limit=LABELS_SHOWN)
    if not found:
        st.info("No label matches.")
        return
    # The list.
    column = st.column_config
    picked = show_table(
        errors.shown_labels(rows, other),
        ["label"],
        key="labels_table",
        rows=True,
        height=min(38 + 35 * len(rows), 400),
        placeholder="–",
        column_config={
            "label": column.TextColumn(width=100),
            "group": column.TextColumn(width=130 if UNSEEN in set(rows["group"]) else 64),
            "train": column.NumberColumn(width=52),
            "support": column.NumberColumn(shown.part, width=52, help=f"documents of the {shown.part} part"),
            "threshold": column.NumberColumn(width=74, format="%.4g"),
            "f1": column.ProgressColumn(f"{shown.part} F1 (%)", width=100, format="%.1f", min_value=0, max_value=100),
            "change": column.NumberColumn("change", width=62, format="%+.1f", help="of F1, against the other run"),
            "interval": column.TextColumn("95 %", help="Interval of F1; wide where a label has few test documents."),
            "precision": column.NumberColumn(width=72, format="%.1f", help="per cent"),
            "recall": column.NumberColumn(width=56, format="%.1f", help="per cent"),
            **{name: column.NumberColumn(width=46) for name in ("tp", "fp", "fn")},
        },
        alt="Every label with its hits, misses, F1 and threshold",
    )
    offer_csv(
        "labels", lambda: errors.shown_labels(errors.rows_of_label(kept, search, ["label"], limit=found)[0], other)
    )
    if found > len(rows):
        st.caption(f"The {len(rows)} most frequent of {found:,} labels; type a part of a name to find others.")
    # All labels as points, and the curve of the chosen one.
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption(f"F1 of every label on {shown.part} against its number of training documents.")
        names = name_runs([shown.run, *([shown.other] if shown.other else [])])
        named = {names[shown.run.id]: table}
        if shown.other and other is not None:
            named[names[shown.other.id]] = other
        show_marks(
            f1_by_frequency(named, shown.borders, part=shown.part),
            lambda mark: [shown.labels[int(place)] for place in mark["places"].split()],
            key=f"points-{shown.run.id}-{shown.part}",
            alt="F1 of every label against its frequency",
        )
        offer_run("Labels", "F1 of every label", shown)
    with right:
        if not picked:
            st.caption("Choose a row of the table to see what other thresholds would do for that label.")
            return
        show_curve(shown, rows.iloc[picked[0]])


def show_curve(shown: Shown, row: pd.Series) -> None:
    """The precision-recall curve of a label; a click moves its threshold there."""
    name = row["label"]
    column = shown.labels.index(name)
    curve = errors.precision_recall(shown.predictions, column)
    if curve.empty:
        st.caption(plain(f"{name}: no {shown.part} document has this label, so there is no curve."))
        return
    best = curve.loc[curve["f1"].idxmax()]
    hint = "click a point to move the threshold there" if shown.limits is not None else "it is chosen by rank"
    st.caption(
        plain(
            f"{name} on {shown.part}: precision and recall at every threshold; the ring is now, {hint}. "
            f"The best F1, {best['f1']:.1f}, is above {best['cut']:.4g}."
        )
    )
    now = {"precision": 100 * row["precision"], "recall": 100 * row["recall"]}
    key = f"curve-{shown.run.id}-{shown.part}-{column}-{row['threshold']}"

    def take() -> None:
        clicked = st.session_state[key]["selection"].get("point")
        if clicked and "place" in clicked[0]:
            cut = float(curve["cut"].iloc[int(clicked[0]["place"])])
            change_label(shown.run, column, shown.chosen, shown.part)(cut)

    st.altair_chart(
        precision_recall_chart(curve, now),
        key=key,
        on_select=take if shown.limits is not None else "ignore",
        alt=f"Precision and recall of {name}",
    )
    link(
        "errors",
        f"Documents of {plain(shorten(name, 60))}",
        {"run": shown.run.id, "view": "Documents", "of_label": name},
    )
    link_labels(name)

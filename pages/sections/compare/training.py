"""How the rows were trained: validation scores by epoch, and what each row cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import compare
from pages.sections.compare.rows import fit_names, looks_of, pick_rows
from pages.shared.downloads import offer_csv
from pages.shared.pick import pick_one

if TYPE_CHECKING:
    from core.analysis.samples import Comparison
    from core.labels.groups import Borders


def show_curves(compared: Comparison, borders: Borders) -> None:  # noqa: ARG001
    """Validation scores by epoch."""
    from core.figures.compare import training_chart

    rows = pick_rows(compared.rows)
    frame = compare.training_frame(rows)
    if frame.empty:
        st.info("None of these runs was trained by epochs: there are no curves.")
        return
    column = pick_one("Curve", ("micro", "macro", "loss"), "micro", key="curve")
    st.caption("A line per run. Losses have different scales: compare the shape of their curves, not the height.")
    looks = looks_of(compared.rows)
    st.altair_chart(training_chart(frame, looks, column=column), alt=f"Validation {column} by epoch")


def show_cost(compared: Comparison, borders: Borders) -> None:  # noqa: ARG001
    """What each row cost."""
    st.caption(
        "Mean of each row's runs, as the worker recorded them; a busy machine makes them slower. Test micro-F1 is at "
        "each run's own thresholds, as trained."
    )
    table = compare.cost_table(compared.rows)
    column = st.column_config
    width, high = fit_names(list(table["method"]))
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        row_height=high,
        placeholder="–",
        column_config={
            "method": column.TextColumn(width=width, pinned=True),
            "seconds": column.ProgressColumn(
                "whole run (s)", format="%.1f", min_value=0, max_value=float(table["seconds"].max() or 1)
            ),
            "epochs": column.NumberColumn(format="%.0f"),
            "documents_a_second": column.NumberColumn("train documents / s", format="localized", step=1),
            "memory": column.NumberColumn("peak memory (MB)", format="%.0f"),
            "micro": column.NumberColumn("test micro-F1 (%)", format="%.2f"),
        },
        alt="Time, epochs, speed and memory of each row",
    )
    offer_csv("cost", table)

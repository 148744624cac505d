"""The tables of the paper, with the scores of the runs or their differences, and in every form to save."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis import compare, export, tables
from core.labels.groups import Borders
from pages.shared.loaders import load_metrics
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from streamlit.elements.lib.column_types import ColumnConfig

    from core.analysis.tables import Row, Sampled


CITATION = (
    "Rows of the paper: Huang et al., Balancing Methods for Multi-label Text Classification with Long-Tailed Class "
    "Distribution, EMNLP 2021, Tables 2 and 3; a BERT encoder, single runs."
)


def show(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:
    """The paper's Tables 2 and 3, with intervals or as differences from one row."""
    moved = any(Borders(**load_metrics(row.runs[0])["borders"]) != borders for row in rows)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    names = [row.name for row in rows]
    baseline = left.selectbox(
        "Difference from", names, None, key="baseline", bind="query-params", placeholder="none: show the scores"
    )
    published = right.toggle("With the rows of the paper", True, key="published", bind="query-params")
    for table, caption in tables.CAPTIONS.items():
        frame = tables.paper_table(rows, sampled, table=table, with_published=published and not (moved and table == 2))
        if baseline in names:
            shown = compare.difference_table(frame, rows, sampled, baseline, table=table)
            caption = f"Difference from {baseline} in points: {caption}"
        else:
            shown = compare.score_table(frame, table=table)
        st.markdown(plain(f"Table {table}. {caption}"))
        st.dataframe(
            shown,
            key=f"table{table}",
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=describe_columns(table),
            alt=f"Table {table}. {caption}",
        )
        show_downloads(frame, rows, table)
    st.caption(
        "± is half of the 95 % interval over resampled test documents; bold is higher than every other run's row by "
        "more than chance (in differences: more than chance alone); ×3 is the mean of three seeds. "
        + (CITATION if published else "")
        + (" Table 2 of the paper has other borders and is left out." if moved and published else "")
    )


def describe_columns(table: int) -> dict[Any, ColumnConfig]:
    """Widths of a table's columns, by position; 0 is the hidden index."""
    column = st.column_config
    scores: dict[Any, ColumnConfig] = {
        2 + place: column.NumberColumn(width=92) for place in range(len(tables.SCORE_COLUMNS[table]))
    }
    return {1: column.TextColumn(width=150), **scores}


def show_downloads(frame: pd.DataFrame, rows: list[Row], table: int) -> None:
    """Draws a download of the table in every form, with where its numbers come from."""
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    forms: dict[str, tuple[Callable[..., str | bytes], str, str]] = {
        "LaTeX": (export.to_latex, "tex", "text/x-tex"),
        "CSV": (export.to_csv, "csv", "text/csv"),
        "Markdown": (export.to_markdown, "md", "text/markdown"),
        "XLSX": (export.to_xlsx, "xlsx", sheet),
    }
    with st.container(horizontal=True, gap="small"):
        for name, (form, suffix, kind) in forms.items():
            st.download_button(
                name,
                partial(write_table, form, frame, rows),
                f"table{table}.{suffix}",
                kind,
                key=f"{name}{table}",
                on_click="ignore",
            )


def write_table(form: Callable[..., str | bytes], frame: pd.DataFrame, rows: list[Row]) -> str | bytes:
    """A table in one form, with where its numbers come from below it."""
    return form(frame, tables.provenance(rows))

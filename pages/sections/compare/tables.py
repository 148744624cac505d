"""The first view: a verdict, one score as a plot, and the paper's tables with scores or differences, to save."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis import compare, export, tables
from core.analysis.csv import MARK
from core.analysis.samples import RANKING
from core.labels.groups import EVERY_GROUP, Borders
from pages.sections.compare.rows import (
    COMPARED,
    Known,
    find_asked,
    find_first_run,
    fit_names,
    load_difference_table,
    load_notes,
    load_paper_table,
    offer_rows,
)
from pages.sections.compare.verdict import pick_score, show_forest, show_verdict
from pages.shared.glossary import explain
from pages.shared.loaders import load_metrics
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from streamlit.elements.lib.column_types import ColumnConfig

    from core.analysis.tables import Row


WIDTH = 106
"""Of a column of scores, in pixels: a score and the two ends of its interval."""
ROOM, NARROWEST = 736, 176
"""Pixels that a narrow page has for a table, and that a column of long names has at least."""
CITATION = (
    "Rows of the paper: Huang et al., Balancing Methods for Multi-label Text Classification with Long-Tailed Class "
    "Distribution, EMNLP 2021, Tables 2 and 3; a BERT encoder, single runs."
)


def show(compared: Known, borders: Borders) -> None:
    """A verdict, a forest plot of one score, and the tables with intervals or as differences from one row."""
    rows, rule = compared.rows, compared.rule
    show_verdict(compared)
    # What all below shows: from which row, and with the paper's rows.
    moved = any(Borders(**load_metrics(row.runs[0])["borders"]) != borders for row in rows)
    left, middle, right = st.columns([4, 3, 4], vertical_alignment="bottom")
    names = [row.name for row in rows]
    for found in find_asked(rows, "baseline")[:1]:
        st.session_state.setdefault("baseline", found)
    baseline = left.selectbox(
        "Difference from", names, None, key="baseline", bind="query-params", placeholder="none: show the scores"
    )
    published = right.toggle(
        "With the rows of the paper", True, key="published", bind="query-params", disabled=rule == RANKING
    )
    chosen, frames, said = baseline if baseline in names else "", {}, dict[str, None]()

    def shows_paper(table: tables.Table) -> bool:
        return published and not (moved and table == 2)

    for table in (RANKING,) if rule == RANKING else tables.GROUPS:
        if chosen:
            frames[table] = load_difference_table(compared, chosen, table)
        else:
            frames[table] = load_paper_table(compared, table, shows_paper(table))
        said |= dict.fromkeys(load_notes(compared, table, chosen, shows_paper(table)))
    with middle:
        column = pick_score(RANKING if rule == RANKING else 2, tables.columns_in(next(iter(frames.values()))))
    show_forest(next(iter(frames.values())), compared, chosen, column)
    title = " ".join(tables.heading(column)) + (f" minus that of {chosen}" if chosen else "")
    offer_rows("Tables", title, compared, borders, column=column, baseline=find_first_run(rows, chosen))
    # The tables, each with its caption, notes and downloads.
    for table, frame in frames.items():
        name = "" if table == RANKING else f"Table {table}. "
        caption = name + tables.caption(table, rule, chosen)
        st.markdown(plain(caption))
        columns = pick_columns(table, tables.columns_in(frame))
        draw_table(compared, table, chosen, shows_paper(table), tuple(columns), caption, frame)
        show_downloads(frame, rows, rule)
    shown_paper = any(frame["source"].eq("published").any() for frame in frames.values())
    st.caption(
        plain(" ".join([*said, "×3: the mean of three seeds."]))
        + (f" {CITATION}" if shown_paper else "")
        + (" Table 2 of the paper has other borders and is left out." if moved and published else "")
    )
    groups = list(dict.fromkeys(column.partition("_")[0] for frame in frames.values() for column in frame))
    groups = [group for group in EVERY_GROUP if group in groups]
    explain(*(("average precision", "P@k") if rule == RANKING else ("micro-F1", "macro-F1")), *groups)


@st.cache_data(max_entries=128, show_spinner=False, hash_funcs=COMPARED)
def draw_table(
    compared: Known,  # noqa: ARG001 - a part of the key, as the next three are
    table: tables.Table,
    baseline: str,  # noqa: ARG001
    published: bool,  # noqa: ARG001
    columns: tuple[str, ...],
    caption: str,
    _frame: pd.DataFrame,
) -> None:
    """Draws a table; one that was drawn before is sent as it is, for to style and to pack it takes long."""
    room = max(ROOM - WIDTH * len(columns), NARROWEST)
    width, high = fit_names([f"{name}  one seed" for name in _frame["name"]], room)
    st.dataframe(
        compare.score_table(_frame, columns),
        key=f"table{table}",
        hide_index=True,
        height="content",
        row_height=high,
        placeholder="–",
        column_config=describe_columns(columns, width),
        alt=caption,
    )


def pick_columns(table: tables.Table, columns: list[str]) -> list[str]:
    """Draws which columns of a table stand beside each other, where a narrow page has no room for all."""
    sets = compare.column_sets(columns)
    if len(sets) == 1:
        return sets["all"]
    key = f"columns{'' if table == 2 else f'_{table}'}"
    return sets[pick_one("Columns", sets, next(iter(sets)), key=key)]


def describe_columns(columns: Sequence[str], width: int) -> dict[Any, ColumnConfig]:
    """Widths of a table's columns, by position; 0 is the hidden index, and 1, the names, stays in sight."""
    column = st.column_config
    scores: dict[Any, ColumnConfig] = {2 + place: column.NumberColumn(width=WIDTH) for place in range(len(columns))}
    return {1: column.TextColumn(width=width, pinned=True), **scores}


def show_downloads(frame: pd.DataFrame, rows: list[Row], rule: str) -> None:
    """Draws a download of the table in every form, with where its numbers come from."""
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    forms: dict[str, tuple[Callable[..., str | bytes], str, str]] = {
        "LaTeX": (export.to_latex, "tex", "text/x-tex"),
        "CSV": (export.to_csv, "csv", "text/csv"),
        "Markdown": (export.to_markdown, "md", "text/markdown"),
        "XLSX": (export.to_xlsx, "xlsx", sheet),
    }
    table = tables.table_of(frame)
    file = table if table == RANKING else f"table{table}"
    with st.container(horizontal=True, gap="small"):
        for name, (form, suffix, kind) in forms.items():
            st.download_button(
                name,
                partial(write_table, form, frame, rows, rule),
                f"{file}.{suffix}",
                kind,
                key=f"{name}{table}",
                on_click="ignore",
            )


def write_table(form: Callable[..., str | bytes], frame: pd.DataFrame, rows: list[Row], rule: str) -> str | bytes:
    """A table in one form, with where its numbers come from below it."""
    written = form(frame, tables.provenance(rows, frame, rule=rule))
    return MARK + written if form is export.to_csv and isinstance(written, str) else written

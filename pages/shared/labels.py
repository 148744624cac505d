"""Every label in a chart or a table leads to its page: by a click on its mark, or on its name in a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import streamlit as st

from core.figures import LABEL
from pages.shared.menu import build_page, complete_query, link_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import altair
    import pandas as pd

LISTED = 12
"""Labels of one mark that are offered as links at most."""
TICKED = 1000
"""Rows of a table that can be clicked at most: those of a longer one come as they are scrolled to."""
HINT = "Click a label for its page."


def open_label(name: str) -> None:
    """Leaves for the page of a label, on the current data set and run."""
    st.switch_page(build_page("label"), query_params=complete_query("label", {"name": name}))


def show_marks(
    chart: altair.Chart | altair.LayerChart,
    name: Callable[[Mapping[str, Any]], Sequence[str]],
    *,
    key: str,
    alt: str,
) -> None:
    """Draws a chart whose marks are labels, with the selection `core.figures.label_click`.

    A click on the mark of one label opens its page; for the mark of several there is a link to each.

    Args:
        chart: with that selection.
        name: of the fields of a clicked mark, the labels that it stands for.
        key: of the chart.
        alt: what it shows, in words.
    """
    clicked = st.altair_chart(chart, key=key, on_select="rerun", alt=alt)
    marks = clicked["selection"].get(LABEL)
    names = list(dict.fromkeys(one for mark in marks or () for one in name(mark)))
    if len(names) == 1:
        open_label(names[0])
    elif names:
        link_labels(*names[:LISTED])


def show_table(
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    key: str,
    rows: bool = False,
    on_change: Callable[[], None] | None = None,
    column_config: Mapping[Any, Any] | None = None,
    **options: Any,
) -> list[int]:
    """Draws a table in which a click on a label opens its page.

    Args:
        table: at most `TICKED` rows of it are sent at once: in a longer one labels are links instead.
        labels: its columns whose cells are each a label.
        key: of the table; another key forgets what was chosen.
        rows: whether rows can be ticked as well.
        on_change: called when a row is ticked, before the page is drawn again.
        column_config: of its columns.
        options: of `st.dataframe`.

    Returns:
        The ticked row, if any.
    """
    config = dict(column_config or {})
    if len(table) > TICKED:
        shown = table.copy()
        for column in labels:
            given = config.get(column)
            shown[column] = [_address_of(name) for name in table[column]]
            title = given if isinstance(given, str) else (given or {}).get("label")
            config[column] = st.column_config.LinkColumn(title, display_text=r"name=([^&]*)")
        st.dataframe(shown, key=key, hide_index=True, lazy=True, column_config=config, **options)
        return []
    modes = ["single-cell", "single-row"] if rows else "single-cell"
    chosen: Any = st.dataframe(
        table,
        key=key,
        hide_index=True,
        on_select=on_change or "rerun",
        selection_mode=modes,  # type: ignore[arg-type]
        column_config=config,
        **options,
    )
    for row, column in chosen["selection"]["cells"]:
        if column in labels and row < len(table) and isinstance(name := table[column].iloc[row], str):
            open_label(name)
    return [row for row in chosen["selection"].get("rows", ()) if row < len(table)]


def _address_of(name: str) -> str:
    """The address of a label's page, relative to that of another page."""
    return f"label?{urlencode(complete_query('label', {'name': name}), doseq=True)}"

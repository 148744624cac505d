"""The report of the rows: one HTML page with verdict, charts, confused pairs, tables, and the views that were added."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import samples
from pages.sections.compare.rows import load_sample
from pages.shared.added import show_added

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.analysis.tables import Row
    from core.analysis.views import View
    from core.labels.groups import Borders


def show(rows: Sequence[Row], data: str, borders: Borders, rule: str) -> None:
    """Draws the list of added views and the button that saves the report."""
    with st.expander("Report", icon=":material/article:"):
        st.caption(
            "One HTML page on these rows as they decide above: the verdict, charts, confused pairs, tables, where the "
            "numbers come from, and the views below. It needs no other file and no network; saving takes seconds."
        )
        added = show_added(data)
        st.download_button(
            "Save the report",
            partial(write_report, rows, data, borders, rule, added),
            "report.html",
            "text/html",
            on_click="ignore",
            icon=":material/download:",
        )


def write_report(rows: Sequence[Row], data: str, borders: Borders, rule: str, added: Sequence[View]) -> str:
    """The page."""
    from core.figures import page

    return page.to_html([(data, samples.compare_rows(rows, borders, rule, load=load_sample))], added, load=load_sample)

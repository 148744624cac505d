"""The rows of the comparison: their scores with resamples, and which of them are drawn as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import tables
from core.labels.groups import Borders
from core.system.errors import UserError
from pages.shared.loaders import HASHES
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.analysis.tables import Row, Sampled
    from core.runs.folder import Run

LINES = 12
"""Rows that are drawn as lines at first; more can be chosen."""


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=HASHES)
def load_sample(run: Run, head: int, tail: int) -> Sampled:
    return tables.sample(run, Borders(head, tail))


def sample_rows(rows: list[Row], borders: Borders) -> dict[str, Sampled]:
    """Scores and resamples of every row; a run with damaged predictions keeps its scores, without intervals."""
    found, fresh = {}, [run for row in rows for run in row.runs]
    with st.spinner(f"Resampling the test documents of {len(fresh)} runs", show_time=True):
        for row in rows:
            parts = []
            for run in row.runs:
                try:
                    parts.append(load_sample(run, borders.head, borders.tail))
                except UserError as error:
                    st.warning(plain(f"Shown without intervals and with its own borders: {error}"))
                    parts.append(tables.kept_scores(run))
            found[row.name] = tables.over_seeds(parts)
    return found


def pick_rows(rows: list[Row]) -> list[Row]:
    """Draws the choice of the rows that are drawn as lines."""
    if len(rows) <= LINES:
        return rows
    names = [row.name for row in rows]
    chosen = st.multiselect("Lines", names, names[:LINES], key="lines")
    return [row for row in rows if row.name in chosen]

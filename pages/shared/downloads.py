"""Tables that a page hands out as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.csv import MARK, to_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

SAVED = 20_000
"""Documents in one downloaded list."""


def offer_csv(name: str, table: pd.DataFrame | Callable[[], pd.DataFrame]) -> None:
    """Draws a button that saves a table as CSV, which is made when the button is pressed.

    The grid's own export is off (`client.disableDataExport`): it would hand a spreadsheet its formulas. A chart's
    toolbar saves it as PNG. The file begins with the mark by which Excel knows UTF-8.

    Args:
        name: of the file, without its ending.
        table: a frame, or a function that makes it.
    """

    def csv() -> str:
        return MARK + to_csv(table() if callable(table) else table)

    st.download_button(
        "Save CSV", csv, f"{name}.csv", "text/csv", key=f"save-{name}", on_click="ignore", type="tertiary"
    )

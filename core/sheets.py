"""Workbooks that spreadsheets open: numbers and texts in sheets, no styles, no formulas."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Real

MADE = datetime(1980, 1, 1)
"""Creation date of every workbook, that of its zip's members: the same table gives the same bytes."""
UNWRITABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """Sheets of rows as an .xlsx file; None is an empty cell, everything but finite numbers is text.

    Source: ECMA-376, Office Open XML, as XlsxWriter writes it.
    """
    from xlsxwriter import Workbook

    file = io.BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"created": MADE})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, values in enumerate(rows):
                for column, value in enumerate(values):
                    if value is None:
                        continue
                    # By its kind, not by `write`, which makes a formula of "=1+1" and a link of "https://...".
                    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
                        sheet.write_number(row, column, float(value))
                    else:
                        sheet.write_string(row, column, UNWRITABLE.sub("", str(value)))
    return file.getvalue()

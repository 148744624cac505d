"""CSV in which no text is a formula."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A text that begins so may be run by a spreadsheet."""


MARK = "\ufeff"
"""Before the text of a CSV file: Excel reads it as UTF-8 by this, and as the machine's old encoding without."""


def neutralise(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it; all else stays as it is.

    Source: OWASP, CSV Injection.
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA) else value


def to_csv(frame: pd.DataFrame) -> str:
    """A table as CSV: formulas neutralised, numbers in full, lists as JSON, nothing for what is undefined."""
    shown = frame.copy()
    for place, dtype in enumerate(frame.dtypes):
        if dtype.kind not in "biuf":
            values = [
                neutralise(json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value)
                for value in frame.iloc[:, place]
            ]
            shown.isetitem(place, values)
    return shown.rename(columns=neutralise).to_csv(index=False)

"""The row that every format gives, and the bounds that all keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

MAX_FIELD = 32 << 20
"""Characters of one field, line or record."""
MAX_COLUMNS = 50_000
INDICATOR = "0/1"
"""`sep` of labels that stand in a column each."""
CHUNK = 1 << 20
"""Characters that are read at once."""
PARTS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
"""Words for the parts of a data set."""
Progress = Callable[[float], None]
Say = Callable[[str], None]
"""Takes a sentence about what was left out, or read otherwise than it stands."""


class Row(NamedTuple):
    """One document as it stands in the file.

    Attributes:
        place: its line, or its row where a format has no lines.
        values: its columns; lists and objects stay as they are.
        source: the file in a package that holds it; empty where there is one alone.
    """

    place: int
    values: dict[str, Any]
    source: str = ""

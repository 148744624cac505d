"""The cells of each column of some rows, and what kinds of cells they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.data.readers.cells import is_missing, number_of
from core.data.readers.columns import columns_of
from core.data.readers.label_columns import is_switch, value_at

PARAGRAPH = 6
"""Words from which, on average, the items of a list are paragraphs rather than labels."""
SWITCHES = {"0", "1", "0.0", "1.0", "-1", "true", "false", "yes", "no"}
"""Words of which a column that stands alone holds nothing else where it is a flag."""
VOTES = 20
"""No column of votes has a larger number."""


class Cells:
    """Columns by what stands in them.

    Attributes:
        columns: their names, in order.
        cells: every cell of each, (rows).
        values: those cells that hold something.
    """

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.columns = columns_of(rows)
        self.cells = {
            column: [row[column] if column in row else value_at(row, column) for row in rows] for column in self.columns
        }
        self.values = {
            column: [value for value in cells if (value != "" if value.__class__ is str else not is_missing(value))]
            for column, cells in self.cells.items()
        }
        self._different = dict[str, set[Any]]()

    def different(self, column: str) -> set[Any]:
        """The cells of a column that differ; lists and objects as text."""
        if column not in self._different:
            values = self.values[column]
            try:
                self._different[column] = set(values)
            except TypeError:
                self._different[column] = {key_of(value) for value in values}
        return self._different[column]

    def is_unique(self, column: str) -> bool:
        """Whether every row has another cell."""
        return len(self.different(column)) == len(self.cells[column])

    def lists_of_texts(self) -> list[str]:
        """Columns that hold nothing but lists of texts."""
        return [
            column
            for column, values in self.values.items()
            if values and all(isinstance(v, list) and all(isinstance(item, str) for item in v) for v in values)
        ]

    def is_grouped_by(self, identity: str, label: str, texts: Sequence[str]) -> bool:
        """Whether rows of one id have the same texts and different labels, in a fifth of the rows or more."""
        groups = dict[str, list[int]]()
        for row, value in enumerate(self.cells.get(identity, ())):
            if not is_missing(value) and value != "" and not isinstance(value, (dict, list)):
                groups.setdefault(str(value), []).append(row)
        repeated = [rows for rows in groups.values() if len(rows) > 1]
        if len(groups) < 2 or sum(map(len, repeated)) < 0.2 * len(self.cells[identity]):
            return False
        columns = [self.cells[text] for text in texts if text in self.cells]
        same = sum(all(len({cells[row] for row in rows if cells[row]}) <= 1 for cells in columns) for rows in repeated)
        names = sum(len({str(self.cells[label][row]) for row in rows}) == len(rows) for rows in repeated)
        return bool(columns) and same == len(repeated) and names >= 0.9 * len(repeated)

    def length(self, column: str) -> float:
        """Mean letters of a column's texts; of lists, those of their paragraphs."""
        texts = [
            "\n".join(value) if isinstance(value, list) else value
            for value in self.values[column]
            if isinstance(value, str) or self.are_paragraphs(value)
        ]
        return sum(map(len, texts)) / len(texts) if texts else 0.0

    @staticmethod
    def are_paragraphs(value: Any) -> bool:
        """Whether a list holds paragraphs of a text rather than labels."""
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            return False
        return sum(len(item.split()) for item in value) >= PARAGRAPH * len(value)

    def is_prose(self, column: str) -> bool:
        """Whether the cells are words rather than names of files, addresses or codes."""
        texts = [value for value in self.values[column] if isinstance(value, str)]
        prose = [text for text in texts if (" " in text.strip() or not text.isascii()) and "://" not in text[:12]]
        return 2 * len(prose) > len(texts) or not texts

    def is_flag(self, column: str) -> bool:
        """Whether every cell that is filled says that a label is set, is not, or is unknown."""
        values = self.different(column)
        return bool(values) and all(map(is_switch, values))

    def is_switch(self, column: str) -> bool:
        """Whether a column that stands alone holds flags rather than names."""
        words = {str(value).strip().lower() for value in self.different(column)}
        return bool(words) and words <= SWITCHES

    def numbers(self, column: str) -> list[float]:
        """The different numbers of a column; empty where it holds anything else."""
        numbers = list[float]()
        for value in self.different(column):
            try:
                numbers.append(number_of(value))
            except ValueError:
                return []
        return numbers

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers alone."""
        return bool(self.numbers(column))

    def is_soft(self, column: str) -> bool:
        """Whether the cells are shares of 1, with decimals."""
        numbers = self.numbers(column)
        return bool(numbers) and all(0 <= n <= 1 for n in numbers) and any(n not in (0, 1) for n in numbers)

    def is_votes(self, column: str) -> bool:
        """Whether the cells are small whole numbers, often 0."""
        numbers = self.numbers(column)
        zeros = sum(str(value).strip() in ("0", "0.0") for value in self.values[column])
        whole = bool(numbers) and all(number.is_integer() and 0 <= number <= VOTES for number in numbers)
        return whole and zeros >= 0.1 * len(self.values[column])

    def spelling(self, column: str) -> str:
        """How a column of flags is written: columns of one kind stand together."""
        words = {str(value).strip().lower() for value in self.different(column)}
        if words <= {"0", "1", "-1"}:
            return "0/1"
        if words <= {"0.0", "1.0", "-1.0", "0", "1"}:
            return "decimals"
        marks = {"x", "✓", "✔", "✗"}
        return "marks" if words <= marks else "true/false" if words <= {"true", "false"} else "words"


def key_of(value: Any) -> Any:
    """A value by which cells are told apart; lists and objects as text."""
    return json.dumps(value, default=str) if isinstance(value, (list, dict)) else value

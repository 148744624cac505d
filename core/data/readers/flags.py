"""Rows of CSV that end in a 0/1 column for each label: the ones are found in the line, no cell is made of the zeros."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.row import INDICATOR

LEAST = 32
"""Columns of labels from which lines are read so."""
FULL = 1000
"""Rows that are read cell by cell before, from which what the columns are is found out."""


class FlagValues(dict[str, Any]):
    """Columns of a row that are no labels, by name.

    Attributes:
        flags: names of the columns of labels that hold 1; all others hold 0.
    """

    __slots__ = ("flags",)

    def __init__(self, values: dict[str, Any], flags: tuple[str, ...]) -> None:
        super().__init__(values)
        self.flags = flags

    def __or__(self, other: Any) -> FlagValues:  # type: ignore[override]
        return FlagValues(dict(self) | other, self.flags)

    def __ror__(self, other: Any) -> FlagValues:  # type: ignore[override]
        return FlagValues(other | dict(self), self.flags)


class FlagTail:
    """The end of lines with a 0 or 1 for each label.

    Args:
        names: of all columns, those of labels last.
        number: of columns of labels.
        file: how the file is written.
    """

    def __init__(self, names: list[str], number: int, file: FileConfig) -> None:
        self.head, self.labels, self.file = names[:-number], names[-number:], file
        self.zeros = file.delimiter.join("0" * number)
        self.length = len(self.zeros)

    def values(self, line: str) -> FlagValues | None:
        """The columns of a row that stands in this line; None where it is to be read cell by cell."""
        line = line.rstrip("\r\n")
        tail = line[-self.length :]
        if line[-self.length - 1 : -self.length] != self.file.delimiter or tail.replace("1", "0") != self.zeros:
            return None
        # The columns before are few.
        head = line[: -self.length - 1]
        fields = head.split(self.file.delimiter)
        if self.file.quote and self.file.quote in head:
            try:
                fields = next(
                    csv.reader([head], delimiter=self.file.delimiter, quotechar=self.file.quote, strict=True), []
                )
            except csv.Error:
                return None
        if len(fields) != len(self.head):
            return None
        return FlagValues(dict(zip(self.head, fields, strict=True)), tuple(self._ones(tail)))

    def _ones(self, tail: str) -> Iterator[str]:
        at = tail.find("1")
        while at >= 0:
            yield self.labels[at // 2]
            at = tail.find("1", at + 1)


def flag_tail(names: list[str], file: FileConfig) -> FlagTail | None:
    """How lines end where all columns of labels stand last; None where they do not, or where they are few."""
    is_plain = not (file.escape or file.skip_blanks) and file.delimiter not in "01"
    if file.sep != INDICATOR or file.cut is not None or not is_plain:
        return None
    others = {file.title, file.id, file.split, file.year, *file.text}
    labels = set(names) - others if "*" in file.labels else set(file.labels)
    number = next((at for at, name in enumerate(reversed(names)) if name not in labels), len(names))
    if number < LEAST or number != len(labels) or number == len(names):
        return None
    return FlagTail(names, number, file)

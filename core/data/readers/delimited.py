"""CSV and TSV of any dialect, row by row: quotes doubled, escaped or none, comment lines, short and bad rows."""

from __future__ import annotations

import csv
import io
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.flags import FULL, flag_tail
from core.data.readers.row import MAX_COLUMNS, MAX_FIELD, Row, Say
from core.system.errors import UserError


def dialect(file: FileConfig) -> dict[str, Any]:
    """The dialect of a file as keyword arguments of `csv.reader`."""
    quotes: dict[str, Any] = {"quotechar": file.quote} if file.quote else {"quoting": csv.QUOTE_NONE}
    return quotes | {
        "delimiter": file.delimiter,
        "escapechar": file.escape or None,
        "doublequote": not file.escape,
        "skipinitialspace": file.skip_blanks,
        "strict": True,
    }


def check_dialect(name: str, file: FileConfig) -> None:
    """Raises `UserError` where delimiter, quote and escape cannot be told apart."""
    signs = {"delimiter": file.delimiter, "quote": file.quote, "escape": file.escape}
    for what, sign in signs.items():
        if sign in ("\r", "\n", "\0"):
            raise UserError(f"{name}: a {what} cannot be a line break or NUL.")
        other = next((key for key, value in signs.items() if value and value == sign and key != what), "")
        if sign and other:
            raise UserError(f"{name}: '{sign}' cannot be both the {what} and the {other}. Usual delimiters: , ; tab |.")


class _Lines:
    """Lines for `csv.reader`: comments are left out where a row begins, NUL characters anywhere.

    Attributes:
        pulled: numbers and lines of the row that is being read.
    """

    def __init__(self, name: str, stream: io.TextIOWrapper, comment: str) -> None:
        self.name, self.stream, self.comment = name, stream, comment
        self.number, self.comments, self.nulls = 0, 0, 0
        self.pulled: list[tuple[int, str]] = []
        self.again: deque[tuple[int, str]] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while True:
            if self.again:
                number, line = self.again.popleft()
            else:
                line = self.stream.readline(MAX_FIELD)
                if not line:
                    raise StopIteration
                number = self.number = self.number + 1
                if "\0" in line:
                    self.nulls += line.count("\0")
                    line = line.replace("\0", "")
                if len(line) == MAX_FIELD:
                    raise UserError(f"{self.name}, line {number}: over {MAX_FIELD:,} characters long.")
            if self.comment and not self.pulled and line.startswith(self.comment):
                self.comments += 1
                continue
            self.pulled.append((number, line))
            return line


def delimited_rows(name: str, stream: io.TextIOWrapper, file: FileConfig, say: Say) -> Iterator[Row]:
    """The rows of CSV.

    Raises:
        UserError: a row with more fields than columns, a quote that is never closed, two columns of one name; with the
            line. With `file.bad_lines` as skip, such rows are left out and counted.
    """
    csv.field_size_limit(MAX_FIELD)
    skipped = [stream.readline(MAX_FIELD) for _ in range(file.skip_lines)]
    if shown := " / ".join(line.strip()[:60] for line in skipped[:3] if line.strip()):
        say(f"{name}: lines above the header, left out: {file.skip_lines:,} ({shown}).")
    lines = _Lines(name, stream, file.comment)
    lines.number = file.skip_lines
    reader, names, counts = csv.reader(lines, **dialect(file)), list[str](), _Counts(name)
    is_plain, tail, number = not (file.escape or file.skip_blanks), None, 0
    while True:
        lines.pulled.clear()
        line = next(lines, "")
        if not line:
            break
        # Where a line ends in a 0 or 1 for each label, it is not cut into cells.
        if tail and number > FULL and (found := tail.values(line)) is not None:
            yield Row(lines.pulled[0][0], found)
            continue
        try:
            if is_plain and (not file.quote or file.quote not in line):
                line = line.rstrip("\r\n")
                fields = line.split(file.delimiter) if line else []
            else:
                lines.again.appendleft(lines.pulled.pop())
                fields = next(reader)
        except csv.Error as error:
            place = lines.pulled[0][0] if lines.pulled else lines.number
            counts.refuse(file, place, _csv_problem(name, str(error), place, file))
            lines.again.extendleft(reversed(lines.pulled[1:]))
            continue
        if not fields:
            continue
        # A row may span lines: its place is the line where it began.
        place = lines.pulled[0][0]
        if not names:
            names = _columns(name, fields, file, place)
            tail = flag_tail(names, file)
            if file.header:
                continue
        if len(fields) != len(names):
            given, extra = len(fields), fields[len(names) :]
            if given > len(names) and not file.header and names[-1] == "text" and file.names:
                # Behind id and labels, all is text, whatever stands in it.
                counts.joined.append(place)
                fields, given = [*fields[: len(names) - 1], file.delimiter.join(fields[len(names) - 1 :])], len(names)
            elif given > len(names) and any(field.strip() for field in extra):
                counts.refuse(
                    *(file, place),
                    f"{name}, line {place}: {given:,} fields, but there are {len(names):,} columns. A field that holds "
                    f"'{file.delimiter}' must stand in quotes; `--bad-lines skip` leaves such rows out.",
                )
                continue
            fields = [*fields[: len(names)], *[""] * (len(names) - given)]
            if given < len(names):
                counts.short.append(place)
        if len(lines.pulled) > 2 and _looks_swallowed(lines.pulled, file.delimiter, len(names)):
            counts.swallowed.append(place)
        number += 1
        yield Row(place, dict(zip(names, fields, strict=True)))
    counts.say(say, lines)


class _Counts:
    """What was left out or read otherwise than it stands, by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bad, self.short, self.swallowed, self.joined = list[int](), list[int](), list[int](), list[int]()

    def refuse(self, file: FileConfig, place: int, words: str) -> None:
        """Raises `UserError`, or counts the row where such rows are left out."""
        if file.bad_lines != "skip":
            raise UserError(words)
        self.bad.append(place)

    def say(self, say: Say, lines: _Lines) -> None:
        """Says what was counted."""
        kinds = (
            (self.bad, "rows left out, as they cannot be read"),
            (self.short, "rows with fewer fields than columns, what is missing is read as empty"),
            (self.joined, "rows with more fields than columns, the rest is read as part of the text"),
            (
                self.swallowed,
                "fields in quotes whose lines look like rows of their own (is a quote never closed? `--quote none` "
                "reads quotes as text)",
            ),
        )
        for places, words in kinds:
            if places:
                say(f"{self.name}: {words}: {len(places):,}; the first is line {places[0]:,}.")
        if lines.comments:
            say(f"{self.name}: lines left out, as they begin with '{lines.comment}': {lines.comments:,}.")
        if lines.nulls:
            say(f"{self.name}: NUL characters left out: {lines.nulls:,}.")


def _looks_swallowed(pulled: list[tuple[int, str]], delimiter: str, columns: int) -> bool:
    """Whether the lines inside of a row have as many fields as a row has."""
    inner = [line for _, line in pulled[1:-1]]
    enough = columns > 2 if delimiter == "," and len(inner) < 3 else columns > 1
    return enough and all(line.count(delimiter) == columns - 1 for line in inner)


def _csv_problem(name: str, words: str, line: int, file: FileConfig) -> str:
    if "field larger" in words or "unexpected end" in words:
        return (
            f"{name}, line {line}: a quote is opened here and never closed, or a field is over {MAX_FIELD:,} "
            "characters long. `--quote none` reads quotes as text; `--bad-lines skip` leaves such rows out."
        )
    if "expected after" in words:
        way = "" if file.escape else ", or give `--escape '\\'` if a backslash stands before them"
        return (
            f"{name}, line {line}: a quoted field goes on after its closing quote; double the quotes inside it{way}. "
            "`--quote none` reads quotes as text."
        )
    return f"{name}, line {line}: {words}."


def _columns(name: str, fields: list[str], file: FileConfig, place: int) -> list[str]:
    number = max(len(fields), len(file.names))
    if number > MAX_COLUMNS:
        raise UserError(
            f"{name}, line {place}: {number:,} columns, at most {MAX_COLUMNS:,} can be read. Put the "
            "labels of a document into one column, with a separator between them."
        )
    if file.names:
        return list(file.names)
    if not file.header:
        return [f"column {number}" for number in range(1, len(fields) + 1)]
    names = [field.strip(" \t\r\n\ufeff") or f"column {number}" for number, field in enumerate(fields, 1)]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        at = " and ".join(str(number) for number, other in enumerate(names, 1) if other == twice)
        raise UserError(
            f"{name}, line {place}: two columns are named '{twice}' ({at}). Rename one of them, or give "
            f"`--skip-lines {place} --no-header` and name columns by their numbers, such as 'column 2'."
        )
    return names

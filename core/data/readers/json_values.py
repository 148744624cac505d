"""JSON: lines, lists of objects at any depth, several values, pandas' orients; in bounded memory where it can be."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from core.config.schema import FileConfig
from core.data.readers import row as bounds
from core.data.readers.json_shape import BETWEEN, BLANKS, DECODER, SAMPLE, TEXTS, Shape, begin_of, shape_of
from core.data.readers.row import Row, Say
from core.system.errors import UserError

WHOLE = 256 << 20
"""Characters of a table by columns, which is read as a whole: its documents stand in no place of their own."""
NO_LIST = 'holds no list of documents, such as [...] or {"articles": [...]}. `--format csv` reads a table.'


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null", dict: "an object"}
    return kinds.get(type(value), "a number")


def json_words(error: Exception) -> str:
    """What is wrong with JSON, in words."""
    if isinstance(error, RecursionError):
        return "nested too deeply to be a document"
    words = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return f"this is not JSON ({words[:1].lower()}{words[1:]})"


# A value on each line.


def line_rows(name: str, lines: io.TextIOWrapper, file: FileConfig, say: Say) -> Iterator[Row]:
    """The values of JSON lines.

    Raises:
        UserError: a line that is no JSON, or no document, unless `file.bad_lines` leaves such lines out.
    """
    place, skipped, kinds = 0, list[int](), set[type]()
    while line := lines.readline(bounds.MAX_FIELD):
        place += 1
        if len(line) == bounds.MAX_FIELD:
            words = f"over {bounds.MAX_FIELD:,} characters long. Is there one in a line? `--format json` reads others"
            raise UserError(f"{name}, line {place}: {words}.")
        if not line.strip(BETWEEN):
            continue
        try:
            value = _line_value(name, line.strip(BETWEEN), place)
            kinds.add(type(value))
            yield Row(place, _line_document(name, value, place, is_alone=len(kinds) == 1))
        except UserError:
            if file.bad_lines != "skip":
                raise
            skipped.append(place)
    if skipped:
        say(f"{name}: lines left out, as they are no document: {len(skipped):,}; the first is line {skipped[0]:,}.")


def _line_value(name: str, line: str, place: int) -> Any:
    try:
        value, end = DECODER.raw_decode(line)
        if end < len(line):
            raise json.JSONDecodeError("more follows after the object", line, end)
    except json.JSONDecodeError as error:
        more = ""
        if "more follows" in error.msg:
            more = " `--format json` reads several on a line."
        elif not line.endswith(("}", "]")):
            more = " Is the file cut short? `--bad-lines skip` leaves such lines out."
        raise UserError(f"{name}, line {place}, column {error.colno}: {json_words(error)}.{more}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}, line {place}: {json_words(error)}.") from None
    return value


def _line_document(name: str, value: Any, place: int, *, is_alone: bool) -> dict[str, Any]:
    if isinstance(value, list) and is_alone:
        return _numbered(value)
    return _record(name, value, place)


def _numbered(value: list[Any]) -> dict[str, Any]:
    return {f"column {number}": cell for number, cell in enumerate(value, 1)}


def _record(name: str, value: Any, place: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(
            f"{name}, line {place}: found {_kind(value)} where a document must be an object, such as "
            '{"text": "...", "labels": ["..."]}.'
        )
    return value


# Values of any layout.


class Window:
    """A window over a stream of characters that starts at the first one still needed, and its line number."""

    def __init__(self, name: str, stream: io.TextIOWrapper) -> None:
        self.name, self.stream, self.kept, self.at, self.ended = name, stream, "", 0, False
        self.gone, self.line, self.line_began = 0, 1, 0  # characters no longer kept, line, and where that began

    def more(self, size: int = 0) -> bool:
        """Reads on; false at the end."""
        chunk = self.stream.read(size or bounds.CHUNK)
        self.gone += self.at
        self.kept, self.at = self.kept[self.at :] + chunk, 0
        self.ended = not chunk
        return bool(chunk)

    def skip(self, blanks: str = BLANKS) -> str:
        """Advances to the first character that is none of these and returns it; empty at the end."""
        while True:
            end = self.at
            while end < len(self.kept) and self.kept[end] in blanks:
                end += 1
            self.take(end)
            if self.at < len(self.kept) or not self.more():
                return self.kept[self.at : self.at + 1]

    def take(self, end: int) -> None:
        """Advances to a position of the window."""
        if lines := self.kept.count("\n", self.at, end):
            self.line += lines
            self.line_began = self.gone + self.kept.rindex("\n", self.at, end) + 1
        self.at = end

    def take_one(self) -> None:
        """Advances by the character that `skip` returned."""
        self.take(self.at + 1)

    def value(self, limit: int = 0) -> Any:
        """The JSON value that begins here.

        Raises:
            UserError: it is none, with line and column; it is over `limit` characters long.
        """
        limit = limit or bounds.MAX_FIELD
        # Read on, twice as much each time, until a value ends before the window does: a number may continue there.
        size = bounds.CHUNK
        while True:
            try:
                value, end = DECODER.raw_decode(self.kept, self.at)
                letters = end - self.at
                if end < len(self.kept) or self.ended or not self.more(size):
                    self.take(self.at + letters)
                    return value
                size *= 2
                continue
            except (ValueError, RecursionError) as error:
                problem = error
            at = getattr(problem, "pos", self.at) - self.at
            if not isinstance(problem, RecursionError) and len(self.kept) - self.at > limit:
                raise UserError(
                    f"{self.name}, line {self.line}: a value of over {limit:,} characters begins here, too long for a "
                    "document. Write the documents as JSON lines, one in each line."
                )
            if isinstance(problem, RecursionError) or not self.more(size):
                break
            size *= 2
        self.take(self.at + at)
        column = self.gone + self.at - self.line_began + 1
        more = "" if not self.ended or isinstance(problem, RecursionError) else " Is the file cut short?"
        raise UserError(f"{self.name}, line {self.line}, column {column}: {json_words(problem)}.{more}") from None

    def problem(self, words: str) -> UserError:
        """A sentence about this place."""
        return UserError(f"{self.name}, line {self.line}: {words}")


def value_rows(name: str, lines: io.TextIOWrapper, file: FileConfig, say: Say) -> Iterator[Row]:
    """The documents of JSON of any shape: `file.orient` and `file.records` tell it, or the beginning of the file.

    Raises:
        UserError: no documents in sight; what is no JSON or no document, with its line.
    """
    window = Window(name, lines)
    shape = Shape(file.orient, file.records) if file.orient else None
    while len(window.kept) < (bounds.CHUNK if shape else SAMPLE) and window.more():
        pass
    shape = shape or shape_of(window.kept)
    if file.records and not file.orient:
        shape = Shape("records", file.records)
    if shape is None:
        raise UserError(f"{name} {NO_LIST}")
    yield from _Walk(window, shape, say).rows()


class _Walk:
    """A walk through JSON that yields the documents of one collection and counts the objects of all others."""

    def __init__(self, window: Window, shape: Shape, say: Say) -> None:
        self.window, self.shape, self.say = window, shape, say
        self.number, self.is_found = 0, False
        self.left_out: Counter[str] = Counter()

    def rows(self) -> Iterator[Row]:
        """All documents; a sentence for what is no JSON, and for lists of objects beside them."""
        name, window = self.window.name, self.window
        if window.skip(BETWEEN) not in ("[", "{"):
            before = begin_of(window.kept[window.at :])
            if before < 0:
                raise UserError(f"{name} {NO_LIST}")
            self.say(f"{name}: characters before the first value that are no JSON, left out: {before:,}.")
            window.take(window.at + before)
        while first := window.skip(BETWEEN):
            if first not in ("[", "{"):
                if self.shape.orient == "values":
                    window.value()
                    raise window.problem("found a value that is no document between the documents.")
                line, after = window.line, len(window.kept) - window.at
                while chunk := window.stream.read(bounds.CHUNK):
                    after += len(chunk)
                self.say(
                    f"{name}, line {line:,}: characters after the documents that are no JSON, not read: {after:,}."
                )
                break
            for row in self._values() if self.shape.orient == "values" else self._walk(""):
                self.number += 1
                yield row
        self._say_left_out()

    def _say_left_out(self) -> None:
        name, records = self.window.name, self.shape.records
        others = [(path, number) for path, number in self.left_out.most_common(5) if number]
        listed = ", ".join(f"'{path}' ({number:,})" for path, number in others)
        if not self.is_found and self.shape.orient != "values":
            more = f" Lists of objects: {listed}." if listed else ""
            raise UserError(f"{name} holds nothing at '{records}'.{more}")
        if listed:
            here = f"the {self.number:,} at '{records}'" if records else f"{self.number:,} of them"
            self.say(f"{name}: of its objects {here} are read as documents; not read: {listed}.")

    # Values side by side.

    def _values(self) -> Iterator[Row]:
        line, value = self.window.line, self.window.value()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield from (Row(line, item) for item in value)
        elif isinstance(value, list):
            yield Row(line, _numbered(value))
        else:
            yield Row(line, value)

    # One collection at any depth.

    def _walk(self, path: str) -> Iterator[Row]:
        first, wanted = self.window.skip(), self.shape.records
        if path == wanted:
            self.is_found = True
            yield from self._collection(path, self.shape.orient)
        elif first == "{" and (not path or wanted.startswith(f"{path}.")):
            for key in self._keys():
                yield from self._walk(f"{path}.{key}" if path else key)
        elif first == "[" and (not path or wanted.startswith(f"{path}.")):
            for number, _ in enumerate(self._items()):
                yield from self._walk(f"{path}.{number}" if path else str(number))
        else:
            self._pass_over(path)

    def _collection(self, path: str, orient: str) -> Iterator[Row]:
        window = self.window
        first = window.skip()
        if orient in ("columns", "lists", "split"):
            yield from table_rows(window.name, orient, window.value(WHOLE))
        elif orient == "parts" and first == "{":
            yield from self._parts(path)
        elif first == "[":
            for line in self._items():
                value = window.value()
                is_row = orient == "rows" and isinstance(value, list)
                yield Row(line, _numbered(value) if is_row else _record(window.name, value, line))
        elif first == "{":
            for key in self._keys():
                line, value = window.line, window.value()
                if isinstance(value, dict):
                    yield Row(line, {"key" if "id" in value else "id": key} | value)
                else:
                    self.left_out[f"{path}.{key}" if path else key] += isinstance(value, list)
        else:
            raise window.problem(f"found {_kind(window.value())} where a list of documents is expected.")

    def _parts(self, path: str) -> Iterator[Row]:
        known: set[str] = set()
        for key in self._keys():
            inner = f"{path}.{key}" if path else key
            is_part = key.strip().lower() in bounds.PARTS
            first, window = self.window.skip(), self.window
            if first == "{":
                line, value = window.line, window.value(WHOLE)
                shape = shape_of(json.dumps(value)) if is_part else None
                if shape is None or shape.orient == "values":
                    continue
                for row in nested_rows(window.name, value, shape):
                    yield Row(row.place if row.place else line, row.values | {"split": key})
            elif first == "[":
                # A list under an unknown name is a part where its objects have the keys of the others.
                for line in self._items():
                    value = window.value()
                    keys = set(value) if isinstance(value, dict) else set()
                    if not is_part:
                        like = known or {name for name in keys if name.strip().lower() in TEXTS}
                        if not keys & like or (known and 2 * len(keys & known) < max(len(keys), len(known))):
                            self.left_out[inner] += 1
                            continue
                    known = known or keys
                    yield Row(line, _record(window.name, value, line) | {"split": key})
            else:
                window.value()

    def _keys(self) -> Iterator[str]:
        """The keys of the object that begins here; whoever asks for the next one has read the value before."""
        window = self.window
        window.take_one()
        while (first := window.skip(BLANKS + ",")) != "}":
            if not first:
                raise window.problem("the object never ends. Is the file cut short?")
            key = window.value()
            if not isinstance(key, str) or window.skip() != ":":
                column = window.gone + window.at - window.line_began + 1
                raise UserError(f"{window.name}, line {window.line}, column {column}: this is not JSON (no key here).")
            window.take_one()
            window.skip()
            yield key
        window.take_one()

    def _items(self) -> Iterator[int]:
        """The line of each item of the list that begins here."""
        window = self.window
        window.take_one()
        while (first := window.skip(BLANKS + ",")) != "]":
            if not first:
                raise window.problem("the list of documents never ends. Is the file cut short?")
            yield window.line
        window.take_one()

    def _pass_over(self, path: str, depth: int = 0) -> None:
        first = self.window.skip()
        if first == "[":
            for _ in self._items():
                self.left_out[path] += isinstance(self.window.value(), dict)
        elif first == "{" and depth < 10:
            for key in self._keys():
                self._pass_over(f"{path}.{key}" if path else key, depth + 1)
        else:
            self.window.value()


# Tables of pandas.


def table_rows(name: str, orient: str, value: Any) -> Iterator[Row]:
    """The documents of a table by columns.

    Raises:
        UserError: its columns are not of one length, or it is no such table.
    """
    if orient == "split" and isinstance(value, dict):
        columns, data = [str(column) for column in value.get("columns", [])], value.get("data", [])
        for number, cells in enumerate(data, 1):
            if not isinstance(cells, list) or len(cells) != len(columns):
                raise UserError(f"{name}, row {number}: {len(columns):,} columns are named, but the row has others.")
            yield Row(number, dict(zip(columns, cells, strict=True)))
        return
    by_column = {}
    if isinstance(value, dict):
        by_column = {k: list(v.values()) if isinstance(v, dict) else v for k, v in value.items()}
    sizes = {len(cells) if isinstance(cells, list) else -1 for cells in by_column.values()}
    if len(sizes) != 1 or sizes == {-1}:
        raise UserError(f"{name}: its columns are not of one length, so that no rows can be made of them.")
    first = next(iter(value.values()))
    ids = list(first) if isinstance(first, dict) else []
    is_counted = ids == [str(number) for number in range(len(ids))]
    for number, cells in enumerate(zip(*by_column.values(), strict=True), 1):
        named = {} if is_counted or "id" in by_column else {"id": ids[number - 1]}
        yield Row(number, named | dict(zip(by_column, cells, strict=True)))


def nested_rows(name: str, value: Any, shape: Shape) -> Iterator[Row]:
    """The documents of a value that was read whole."""
    for key in filter(None, shape.records.split(".")):
        value = value[int(key)] if isinstance(value, list) else value[key]
    if shape.orient in ("columns", "lists", "split"):
        yield from table_rows(name, shape.orient, value)
    elif isinstance(value, dict):
        yield from (Row(0, {"key" if "id" in one else "id": key} | one) for key, one in value.items())
    else:
        yield from (Row(0, _record(name, one, 0)) for one in value)

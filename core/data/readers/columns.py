"""From rows to documents: texts, ids and parts of each row, and its labels in every way in which columns hold them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.cells import (
    ENTITY,
    MAX_DEPTH,
    chosen_in,
    cut,
    is_missing,
    is_record,
    keys_of,
    label_of,
    parse_cell,
    score_key,
)
from core.data.readers.record import Record
from core.data.readers.row import Progress, Row, Say
from core.data.readers.rows import read_rows, unit
from core.system.errors import UserError, choose

FIRST = 200
"""Rows that are read before the columns are known."""
INDICATOR = "0/1"
"""`sep` of labels that stand in a column each."""
MAX_LABEL = 1000
MAX_ID = 200
PARTS = {
    **dict.fromkeys(("train", "training", "tr", "trn", "train_set", "training set"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "validate"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "tst", "test_set", "test set"), "test"),
    **dict.fromkeys(("unused", "unsupervised", "unlabeled", "unlabelled", "none"), ""),
}
YES, NO, UNKNOWN, BLANK = 1, 0, 2, 3
STATES = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "x", "t", "on", "✓", "✔", "✗", "ja", "oui", "si", "sí"), YES),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f", "off", "-", "nein", "non"), NO),
    **dict.fromkeys(("-1", "-1.0", "?", "unknown"), UNKNOWN),
    **dict.fromkeys(("", "nan", "none", "null", "na", "n/a"), BLANK),
}
"""What a cell of a label's own column says, in lower case."""


def is_switch(value: Any) -> bool:
    """Whether a cell says that a label is set, is not, or is unknown."""
    return not isinstance(value, (dict, list)) and STATES.get(str(value).strip().lower(), BLANK) != BLANK


def columns_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All columns of some rows, in the order in which they come; those of nested objects with dots, `doc.text`."""
    columns = dict[str, list[Any]]()
    for row in rows:
        for column, value in row.items():
            columns.setdefault(column, []).append(value)
    return [name for column, values in columns.items() for name in _spread(column, values, 0)]


def _spread(column: str, values: list[Any], depth: int) -> list[str]:
    """A column, or the columns of the objects in it."""
    objects = [value for value in values if isinstance(value, dict) and value]
    others = any(value is not None and not isinstance(value, dict) for value in values)
    if not objects or others or depth >= MAX_DEPTH or not is_record(objects):
        return [column]
    inner = dict[str, list[Any]]()
    for one in objects:
        for key, value in one.items():
            inner.setdefault(f"{column}.{key}", []).append(value)
    return [name for key, found in inner.items() for name in _spread(key, found, depth + 1)]


def value_at(values: dict[str, Any], column: str) -> Any:
    """A cell by its column's name, or by a path of keys and places with dots between, `annotations.0.label`."""
    if column in values or "." not in column:
        return values.get(column)
    place: Any = values
    rest = column
    while rest:
        if isinstance(place, dict) and rest in place:
            return place[rest]
        key, _, rest = rest.partition(".")
        if isinstance(place, dict):
            place = place.get(key)
        elif isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place


def check(path: Path, file: FileConfig, columns: Sequence[str]) -> FileConfig:
    """The same mapping with `*` written out.

    Raises:
        UserError: a column that the file does not have, or no column for texts or for labels.
    """
    named = [file.title, file.id, file.split, file.year, *file.text, *(c for c in file.labels if c != "*")]
    known = set(columns)
    roots = {column.partition(".")[0] for column in columns}
    for column in filter(None, named):
        if column in known or column.partition(".")[0] in roots:
            continue
        if len(columns) > 50:
            raise UserError(f"{path.name} has no column '{column}'; it has {len(columns):,} others.")
        choose(f"column of {path.name}", column, columns)
    if not (file.text or file.title):
        raise UserError(f"{path.name}: say which column holds the text (--text). Columns: {listed(columns)}.")
    if not file.labels:
        raise UserError(f"{path.name}: say which column holds the labels (--labels). Columns: {listed(columns)}.")
    if "*" in file.labels:
        taken = set(named)
        labels = tuple(column for column in columns if column not in taken)
        return file.model_copy(update={"labels": labels, "sep": INDICATOR})
    return file


def listed(names: Sequence[str]) -> str:
    """Some names in a sentence, the first twenty."""
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def read_documents(
    path: Path,
    file: FileConfig,
    progress: Progress | None = None,
    tally: Counter[str] | None = None,
    say: Say | None = None,
) -> Iterator[tuple[int, Record]]:
    """Places and documents of a file; those outside of `file.years` are left out.

    `Record.part` is empty where the file has no split column; ids are row numbers where it names none.

    Args:
        path: the file.
        file: how it is read.
        progress: called now and then with the share that was read, 0..1.
        tally: counts what a sentence must say, under the keys of `sentences`.
        say: takes what `read_rows` says.

    Raises:
        UserError: see `check` and `read_rows`; a cell that is no text, label, part or year, with its line.
    """
    tally = Counter() if tally is None else tally
    rows = read_rows(path, file, progress, say)
    first = list(islice(rows, FIRST))
    file = check(path, file, columns_of([row.values for row in first]))
    reader = Documents(path, file, tally)
    yield from reader.read(chain(first, rows), lambda: read_rows(path, file, progress))


def documents_of(path: Path, file: FileConfig, rows: Sequence[dict[str, Any]], tally: Counter[str]) -> list[Record]:
    """The documents of some rows that have been read: see `read_documents`; places are numbers of rows."""
    placed = [Row(place, values) for place, values in enumerate(rows, 1)]
    reader = Documents(path, check(path, file, columns_of(rows)), tally)
    return [record for _, record in reader.read(placed, lambda: placed)]


def sentences(file: FileConfig, tally: Counter[str]) -> list[str]:
    """What reading a file left out or took for something else, with the number of documents."""
    words = {
        "blank part": "{:,} documents have no part in the column '{column}': they are in no part. "
        "--part =train takes them into train",
        "unused part": "{:,} documents are of a part that is not used: they are in no part",
        "years": "{:,} documents are of other years: they were left out",
        "entities": "{:,} label cells hold signs as HTML writes them (&amp;): they were read as the signs",
        "blank flags": "{:,} documents leave columns of labels blank that say no elsewhere: blank counts as no",
        "other annotators": "{:,} documents have several annotations: their labels were joined",
        "rows": "{:,} rows hold one label each: those of one id are one document",
    }
    said = [words[key].format(count, column=file.split) + "." for key, count in tally.items() if words.get(key)]
    unset = sorted(key.removeprefix("unset ") for key in tally if key.startswith("unset "))
    if unset:
        said.append(
            f"{len(unset):,} columns of labels are never set, so they are no labels here: {listed(unset)}. The label "
            "density follows the labels that occur."
        )
    return said


class Documents:
    """Makes a document of each row, as a mapping says."""

    def __init__(self, path: Path, file: FileConfig, tally: Counter[str]) -> None:
        self.path, self.file, self.tally = path, file, tally
        self.parts = PARTS | {name.strip().lower(): "" if part == "unused" else part for name, part in file.parts}
        self.labels: Callable[[Row], tuple[tuple[str, ...], bool]] = self._cells
        if file.sep == INDICATOR:
            self.labels = self._flags
            self.pick = itemgetter(*file.labels) if len(file.labels) > 1 else None
            self.states = dict[Any, int]()
            self.is_set = bytearray(len(file.labels))
            self.says_no = False
        self.seps = tuple(filter(None, (file.sep, *file.other_seps)))

    def read(self, rows: Iterable[Row], again: Callable[[], Iterable[Row]]) -> Iterator[tuple[int, Record]]:
        """Places and documents of rows, which `again` gives from the start once more."""
        if self.file.grouped:
            yield from self.group(rows, again)
            return
        number = 0
        for row in rows:
            if self.is_wanted(row):
                number += 1
                yield row.place, self.document(row, number)
        self.finish()

    def problem(self, row: Row, column: str, words: str) -> UserError:
        """A fault of one cell, with its place."""
        return UserError(f"{self.path.name}, {unit(self.file)} {row.place}, column '{column}': {words}")

    def text(self, row: Row, column: str) -> str:
        """A cell as text: paragraphs are joined by line breaks; empty where it is missing."""
        value = value_at(row.values, column)
        if is_missing(value):
            return ""
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return "\n".join(value)
        if isinstance(value, (dict, list)):
            raise self.problem(row, column, f"found {_shown(value)} where a text is expected.")
        return str(value)

    def is_wanted(self, row: Row) -> bool:
        """Whether a row is of the years that are kept."""
        years = self.file.years
        if not years or years[0] <= self._year(row) <= years[1]:
            return True
        self.tally["years"] += 1
        return False

    def _year(self, row: Row) -> int:
        if not self.file.year:
            raise UserError(f"{self.path.name}: years are asked for, but no column is named that holds them (--year).")
        value = value_at(row.values, self.file.year)
        try:
            return int(str(value).strip()[:4])
        except ValueError:
            raise self.problem(row, self.file.year, f"{_shown(value)} is no year.") from None

    def identity(self, row: Row) -> str:
        """The document's own name; empty where it has none."""
        identity = self.text(row, self.file.id).strip() if self.file.id else ""
        if len(identity) > MAX_ID:
            words = f"an id of {len(identity):,} characters; at most {MAX_ID} can be kept."
            raise self.problem(row, self.file.id, words)
        return identity

    def part(self, row: Row) -> str:
        """The part that the row names."""
        if not self.file.split:
            return ""
        name = self.text(row, self.file.split).strip()
        part = self.parts.get(name.lower())
        if part is None and name:
            raise self.problem(
                row,
                self.file.split,
                f"'{name[:40]}' is no part; known are train, validation and test. Say which it is, such as --part "
                f"{name[:40]}=test, or leave it out with --part {name[:40]}=unused.",
            )
        if not part:
            self.tally["unused part" if name else "blank part"] += 1
        return part or ""

    def document(self, row: Row, number: int) -> Record:
        """The document of a row; `number` is its id where it has none."""
        identity, part = self.identity(row), self.part(row)
        labels, is_unknown = self.labels(row)
        body = "\n".join(filter(None, (self.text(row, column) for column in self.file.text)))
        title = self.text(row, self.file.title) if self.file.title else ""
        return Record(identity or str(number), title, body, labels, part, is_unknown)

    def finish(self) -> None:
        """Counts what is known at the end alone: columns of labels that are never set."""
        if self.file.sep == INDICATOR:
            unset = (column for column, is_set in zip(self.file.labels, self.is_set, strict=True) if not is_set)
            self.tally.update(f"unset {column}" for column in unset)
            if not self.says_no:
                self.tally.pop("blank flags", None)

    # One row for each document and label.

    def group(self, rows: Iterable[Row], again: Callable[[], Iterable[Row]]) -> Iterator[tuple[int, Record]]:
        """Documents of rows that hold one label each: the first row of an id gives all else; the file is read twice."""
        labels = dict[str, dict[str, None]]()
        number = 0
        for row in rows:
            if self.is_wanted(row):
                number += 1
                found = labels.setdefault(self.identity(row) or f"\0{number}", {})
                found.update(dict.fromkeys(self.labels(row)[0]))
        self.tally.clear()
        self.tally["rows"] = number
        number = 0
        for row in again():
            if self.is_wanted(row):
                number += 1
                key = self.identity(row) or f"\0{number}"
                if (found := labels.pop(key, None)) is not None:
                    part = self.part(row)
                    title = self.text(row, self.file.title) if self.file.title else ""
                    body = "\n".join(filter(None, (self.text(row, column) for column in self.file.text)))
                    yield row.place, Record(key.lstrip("\0"), title, body, tuple(found), part)

    # Labels in a column each.

    def _flags(self, row: Row) -> tuple[tuple[str, ...], bool]:
        names, values = self.file.labels, row.values
        try:
            cells = self.pick(values) if self.pick else (values[names[0]],)
            states = bytes(map(self.states.__getitem__, cells))
        except (KeyError, TypeError):  # a key that is missing, or a value that comes for the first time
            cells = [value_at(values, column) for column in names]
            states = bytes(self._state(row, column, value) for column, value in zip(names, cells, strict=True))
        found, at = [], states.find(YES)
        while at >= 0:
            found.append(names[at])
            self.is_set[at] = 1
            at = states.find(YES, at + 1)
        if BLANK in states:
            self.tally["blank flags"] += 1
        if not self.says_no:
            self.says_no = NO in states
        return tuple(found), UNKNOWN in states

    def _state(self, row: Row, column: str, value: Any) -> int:
        if is_missing(value):
            return BLANK
        if isinstance(value, (dict, list)):
            raise self.problem(row, column, f"found {_shown(value)} where 0 or 1 is expected.")
        word = str(value).strip().lower()
        state = STATES.get(word)
        if self.file.cut is not None and state != BLANK:
            try:
                number = float(word)
            except ValueError:
                raise self.problem(row, column, f"found {_shown(value)} where a number is expected.") from None
            return UNKNOWN if number == -1 else YES if number >= self.file.cut else NO
        if state is None:
            raise self.problem(
                row,
                column,
                f"found {_shown(value)} where 0 or 1 is expected. Name the columns that are labels (--labels), or say "
                "from which number on a label is set (--cut).",
            )
        self.states[value] = state
        return state

    # Labels in one cell, or in several columns that are joined.

    def _cells(self, row: Row) -> tuple[tuple[str, ...], bool]:
        labels, is_unknown = dict[str, None](), False
        for column in self.file.labels:
            value = value_at(row.values, column)
            try:
                items, unknown = self._items(value)
                names = [name for item in items if (name := self._name(item))]
            except _NoLabelError as error:
                raise self.problem(row, column, f"found {_shown(error.item)} where a label is expected.") from None
            except ValueError as error:
                raise self.problem(row, column, f"{error}.") from None
            if long := next((name for name in names if len(name) > MAX_LABEL), ""):
                words = (
                    f"a label of {len(long):,} characters; is this the right column, and the right separator (--sep)?"
                )
                raise self.problem(row, column, words)
            labels.update(dict.fromkeys(names))
            is_unknown |= unknown
        return tuple(labels), is_unknown

    def _items(self, value: Any) -> tuple[Iterable[Any], bool]:
        """What a cell holds, each item a label still to be named; and whether some are unknown."""
        if is_missing(value):
            return (), False
        if isinstance(value, str):
            opened = parse_cell(value)
            if opened is None:
                if self.file.sep == ";" and ENTITY.search(value):
                    self.tally["entities"] += 1
                opened = cut(value, self.seps) if self.seps else [value]
                if self.file.numbers == "vector" and len(opened) == 1:
                    opened = list(opened[0])
            value = opened
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            return self._objects(value)
        if not isinstance(value, list):
            value = [value]
        return self._vector(value) if self.file.numbers == "vector" else (value, False)

    def _vector(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        """The names of the places at which a vector is set."""
        names = self.file.label_names
        if not values:
            return (), False
        if len(values) != len(names):
            words = f"{len(values):,} values, but {len(names):,} labels are named (--label-names)"
            raise ValueError(words)
        states = [self._level(value) for value in values]
        return [name for name, state in zip(names, states, strict=True) if state == YES], UNKNOWN in states

    def _level(self, value: Any) -> int:
        """What a number, a flag or a word says of one label."""
        if is_missing(value):
            return BLANK
        state = STATES.get(str(value).strip().lower())
        if self.file.cut is None:
            if state is None:
                words = (
                    f"found {_shown(value)} where 0 or 1 is expected; say from which number on a label is set (--cut)"
                )
                raise ValueError(words)
            return state
        try:
            number = float(value)
        except (TypeError, ValueError):
            words = f"found {_shown(value)} where a number is expected"
            raise ValueError(words) from None
        return UNKNOWN if number == -1 else YES if number >= self.file.cut else NO

    def _objects(self, value: Any) -> tuple[Iterable[Any], bool]:
        """Labels of an object, or of a list of them."""
        if (chosen := chosen_in(value)) is not None:
            if isinstance(value, list) and sum(isinstance(one, dict) and "result" in one for one in value) > 1:
                self.tally["other annotators"] += 1
            return chosen, False
        if isinstance(value, list):
            objects = [item for item in value if item is not None]
            key = self.file.label_key or next(iter(keys_of(objects)), "")
            score = score_key(objects)
            names = list[Any]()
            for item in objects:
                if not isinstance(item, dict):
                    names.append(item)
                elif isinstance(item.get(key), (dict, list)) or key not in item:
                    raise _NoLabelError(item)
                elif not score or self._level(item[score]) == YES:
                    names.append(item[key])
            return names, False
        if self.file.label_key in value:
            return self._items(value[self.file.label_key])
        inner = list(value.values())
        if all(isinstance(one, str) or one is None for one in inner):
            return inner, False
        if any(isinstance(one, (dict, list, str)) for one in inner):
            raise _NoLabelError(value)
        states = {name: self._level(one) for name, one in value.items()}
        return [name for name, state in states.items() if state == YES], UNKNOWN in states.values()

    def _name(self, item: Any) -> str:
        """The name of one item; empty where it is none."""
        if is_missing(item):
            return ""
        if isinstance(item, list) and len(item) == 3 and isinstance(item[2], str):  # a span: from, to, label
            item = item[2]
        if self.file.numbers == "index":
            return self._named(item)
        try:
            return label_of(item, decimals=self.file.decimals)
        except ValueError:
            raise _NoLabelError(item) from None

    def _named(self, item: Any) -> str:
        """The name that a number stands for; -1 is no label."""
        names = self.file.label_names
        try:
            place = int(float(item))
        except (TypeError, ValueError, OverflowError):
            return label_of(item)
        if place == -1:
            return ""
        if not 0 <= place < len(names):
            words = f"label number {place:,}, but {len(names):,} labels are named, from 0 on (--label-names)"
            raise ValueError(words)
        return names[place]


class _NoLabelError(ValueError):
    """An item of a cell that is no label."""

    def __init__(self, item: Any) -> None:
        self.item = item
        super().__init__()


def _shown(value: Any) -> str:
    words = re.sub(r"\s+", " ", json.dumps(value, default=str))
    return words if len(words) <= 40 else f"{words[:40]}..."

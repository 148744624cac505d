"""From rows to documents: texts, ids and parts of each row, and its labels in every way in which columns hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.cells import MAX_DEPTH, is_missing, is_record
from core.data.readers.label_columns import CellError, LabelReader, shown, value_at
from core.data.readers.record import Record
from core.data.readers.row import INDICATOR, Progress, Row, Say
from core.data.readers.row import PARTS as PART_WORDS
from core.data.readers.rows import read_rows, unit
from core.system.errors import Question, UserError, choose

FIRST = 200
"""Rows that are read before the columns are known."""
ROWS = 5000
"""Rows that are searched for the columns that the mapping names."""
MAX_ID = 200
PARTS = PART_WORDS | {
    **dict.fromkeys(("train_set", "training set"), "train"),
    **dict.fromkeys(("test_set", "test set"), "test"),
    **dict.fromkeys(("unused", "unsupervised", "unlabeled", "unlabelled", "none"), ""),
}


def columns_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All columns of some rows, in the order in which they come; those of nested objects with dots, `doc.text`."""
    columns = dict.fromkeys(chain.from_iterable(rows))
    nested = {column for row in rows for column, value in row.items() if value.__class__ is dict}
    return [
        name
        for column in columns
        for name in (
            _spread(column, [row[column] for row in rows if column in row], 0) if column in nested else [column]
        )
    ]


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
    if both := [column for column in file.labels if column in (*file.text, file.title)]:
        raise UserError(f"{path.name}: the column '{both[0]}' cannot be the text and hold labels (--text, --labels).")
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
    if file.format in ("json", "jsonl"):  # an object may lack a key that a later one has
        named = {column.partition(".")[0] for column in (*file.text, *file.labels, file.title, file.id, file.split)}
        lacking = named.difference({"", "*"}, *(row.values for row in first))
        for row in islice(rows, ROWS) if lacking else ():
            first.append(row)
            lacking -= row.values.keys()
            if not lacking:
                break
    if not first:
        raise UserError(f"{path.name} holds no documents.")
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
        "not accepted": "{:,} documents were not accepted in Prodigy: their labels are unknown",
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
        self.labels = LabelReader(file, tally)

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
        self.labels.finish()

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
            raise self.problem(row, column, f"found {shown(value)} where a text is expected.")
        return str(value)

    def texts(self, row: Row) -> tuple[str, str]:
        """The title and the body of a row; empty where it has none."""
        body = "\n".join(filter(None, (self.text(row, column) for column in self.file.text)))
        return self.text(row, self.file.title) if self.file.title else "", body

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
            raise self.problem(row, self.file.year, f"{shown(value)} is no year.") from None

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
            words = (
                f"{self.path.name}, {unit(self.file)} {row.place}, column '{self.file.split}': '{name[:40]}' is no "
                f"part; known are train, validation and test. Say which it is, such as --part {name[:40]}=test, or "
                f"leave it out with --part {name[:40]}=unused."
            )
            choices = ("train", "validation", "test", "unused")
            raise Question(words, about="parts", choices=choices, option="--part", names=(name,))
        if not part:
            self.tally["unused part" if name else "blank part"] += 1
        return part or ""

    def labels_of(self, row: Row) -> tuple[tuple[str, ...], bool]:
        """The labels of a row, and whether some are unknown."""
        try:
            return self.labels.read(row.values)
        except CellError as error:
            raise self.problem(row, error.column, str(error)) from None

    def document(self, row: Row, number: int) -> Record:
        """The document of a row; `number` is its id where it has none."""
        identity, part = self.identity(row), self.part(row)
        labels, is_unknown = self.labels_of(row)
        if row.values.get("answer") in ("reject", "ignore") and "_task_hash" in row.values:  # of Prodigy
            self.tally["not accepted"] += 1
            labels, is_unknown = (), True
        return Record(identity or str(number), *self.texts(row), labels, part, is_unknown)

    # One row for each document and label.

    def group(self, rows: Iterable[Row], again: Callable[[], Iterable[Row]]) -> Iterator[tuple[int, Record]]:
        """Documents of rows that hold one label each: the first row of an id gives all else; the file is read twice."""
        labels = dict[str, dict[str, None]]()
        number = 0
        for row in rows:
            if self.is_wanted(row):
                number += 1
                found = labels.setdefault(self.identity(row) or f"\0{number}", {})
                found.update(dict.fromkeys(self.labels_of(row)[0]))
        self.tally.clear()
        self.tally["rows"] = number
        number = 0
        for row in again():
            if self.is_wanted(row):
                number += 1
                key = self.identity(row) or f"\0{number}"
                if (joined := labels.pop(key, None)) is not None:
                    part = self.part(row)
                    yield row.place, Record(key.lstrip("\0"), *self.texts(row), tuple(joined), part)

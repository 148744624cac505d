"""Meaning of columns: guessed from names and first rows, then used to read a document from each row."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.record import Record
from core.data.readers.row import Progress, Row
from core.data.readers.rows import read_rows, sniff, unit
from core.system.errors import UserError, choose

FIRST = 200
"""Rows from which columns are guessed."""
INDICATOR = "0/1"
"""`sep` of labels that stand in a column each."""
SEPARATORS = ("|", ";", ",", "\t")
MAX_LABEL = 1000
MAX_ID = 200
PARTS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
USUAL = {
    "text": "text abstracttext abstract body content document article description comment_text comment sentence story",
    "title": "title headline subject",
    "labels": "labels label meshmajor tags tag topics topic categories category classes class keywords target y",
    "id": "id pmid doc_id docid document_id guid uid newid",
    "split": "split part subset fold partition",
    "year": "year",
}
"""Names that columns usually have, the most telling first."""


def guess(path: Path, **form: Any) -> FileConfig:
    """The form of a file and what its columns seem to be; what cannot be guessed is left empty.

    Args:
        path: a file, or a folder saved by Hugging Face `datasets`.
        form: settings of `FileConfig` on the form, where they are given.

    Raises:
        UserError: see `sniff` and `read_rows`; a form that makes no sense.
    """
    file = sniff(path, **form)
    return _guess_columns(file, first_rows(path, file))


def first_rows(path: Path, file: FileConfig) -> list[dict[str, Any]]:
    """The rows from which columns are guessed."""
    return [row.values for row in islice(read_rows(path, file), FIRST)]


def preview(rows: Sequence[dict[str, Any]], *, columns: int = 30, letters: int = 200) -> list[dict[str, str]]:
    """Rows for display: the first columns, each cell as text, cut short."""
    shown = columns_of(rows)[:columns]
    return [{column: _text_of(row.get(column))[:letters] for column in shown} for row in rows]


def _text_of(value: Any) -> str:
    words = (
        value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    )
    return words.encode("utf-8", "replace").decode()


def columns_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All columns of some rows, in the order in which they come."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _guess_columns(file: FileConfig, rows: Sequence[dict[str, Any]]) -> FileConfig:
    """Fills in what the columns seem to be, by their names and then by their values."""
    # By name.
    columns = columns_of(rows)
    values = {column: [row[column] for row in rows if row.get(column) not in (None, "")] for column in columns}
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    found = {
        what: next((by_name[name] for name in names.split() if name in by_name), "") for what, names in USUAL.items()
    }
    if found["split"] and not all(str(value).strip().lower() in PARTS for value in values[found["split"]]):
        found["split"] = ""
    taken = {column for column in found.values() if column}
    free = [column for column in columns if column not in taken and values[column]]
    switches = [column for column in free if all(_is_switch(value) for value in values[column])]
    # The text, if no name tells: the column of the longest strings.
    if not found["text"]:
        able = [*free, *filter(None, [found["title"]])]
        texts = {c: sum(map(len, v)) / len(v) for c in able if (v := [x for x in values[c] if isinstance(x, str)])}
        found["text"] = max(texts, key=texts.__getitem__, default="")
        found["title"] = "" if found["title"] == found["text"] else found["title"]
        free = [column for column in free if column != found["text"]]
    # The labels: columns of 0 and 1, else lists, else joined names, else names that repeat.
    labels: tuple[str, ...] = (found["labels"],) if found["labels"] else ()
    sep = ""
    if not labels and len(switches) > 1:
        others = [c for c in columns if c not in switches and c not in (*taken, found["text"])]
        labels, sep = ("*",) if not others else tuple(switches), INDICATOR
    elif not labels:
        lists = [column for column in free if any(_as_list(value) is not None for value in values[column])]
        joined = [column for column in free if find_separator(values[column])]
        repeated = [c for c in free if len({str(value) for value in values[c]}) <= len(values[c]) / 2]
        labels = tuple((lists + joined + repeated)[:1])
    if labels and not sep:
        sep = find_separator(values[labels[0]])
    text = (found["text"],) if found["text"] else ()
    return file.model_copy(update=found | {"text": text, "labels": labels, "sep": sep})


def _is_switch(value: Any) -> bool:
    return str(value).strip().lower() in ("0", "1", "0.0", "1.0", "true", "false")


def find_separator(values: Sequence[Any]) -> str:
    """The separator that most of some cells hold where some hold one; none for lists."""
    texts = [value for value in values if isinstance(value, str)]
    if any(_as_list(value) is not None for value in values):
        return ""
    held = {sep: sum(sep in text for text in texts) for sep in SEPARATORS}
    most = max(held, key=held.__getitem__)
    return most if held[most] >= max(1, 0.05 * len(texts)) else ""


def _as_list(value: Any) -> list[Any] | None:
    """A list, or one written as text in JSON or in Python's form; None for anything else."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str) or not (value.strip()[:1] == "[" and value.strip()[-1:] == "]"):
        return None
    try:
        return list(json.loads(value))
    except (ValueError, RecursionError):
        pass
    try:
        read = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return list(read)


def check(path: Path, file: FileConfig, columns: Sequence[str]) -> FileConfig:
    """The same mapping with `*` written out.

    Raises:
        UserError: a column that the file does not have, or no column for texts or for labels.
    """
    named = [file.title, file.id, file.split, file.year, *file.text, *(c for c in file.labels if c != "*")]
    for column in filter(None, named):
        if len(columns) > 50 and column not in columns:
            raise UserError(f"{path.name} has no column '{column}'; it has {len(columns):,} others.")
        choose(f"column of {path.name}", column, columns)
    if not (file.text or file.title):
        raise UserError(f"{path.name}: say which column holds the text (--text). Columns: {_listed(columns)}.")
    if not file.labels:
        raise UserError(f"{path.name}: say which column holds the labels (--labels). Columns: {_listed(columns)}.")
    if "*" in file.labels:
        labels = tuple(column for column in columns if column not in named)
        return file.model_copy(update={"labels": labels, "sep": INDICATOR})
    if len(file.labels) > 1 and file.sep != INDICATOR:
        raise UserError(f"{path.name}: several label columns must each hold 0 or 1 (--sep {INDICATOR}).")
    return file


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns[:20]) + (f" and {len(columns) - 20:,} more" if len(columns) > 20 else "")


def read_documents(path: Path, file: FileConfig, progress: Progress | None = None) -> Iterator[tuple[int, Record]]:
    """Places and documents of a file; those outside of `file.years` are left out.

    `Record.part` is empty where the file has no split column; ids are row numbers where it names none.

    Raises:
        UserError: see `check` and `read_rows`; a cell that is no text, label, part or year, with its line.
    """
    rows = read_rows(path, file, progress)
    first = list(islice(rows, FIRST))
    file = check(path, file, columns_of([row.values for row in first]))
    number = 0
    for rest in (first, rows):
        for row in rest:
            if file.years and not file.years[0] <= _year(path, file, row) <= file.years[1]:
                continue
            number += 1
            yield row.place, _document(path, file, row, number)


def _document(path: Path, file: FileConfig, row: Row, number: int) -> Record:
    def problem(column: str, words: str) -> UserError:
        return UserError(f"{path.name}, {unit(file)} {row.place}, column '{column}': {words}")

    def text(column: str) -> str:
        value = row.values.get(column)
        if _is_missing(value):
            return ""
        if isinstance(value, (dict, list)):
            raise problem(column, f"found {_shown(value)} where a text is expected.")
        return str(value)

    # Id and part.
    identity = text(file.id).strip() if file.id else ""
    if len(identity) > MAX_ID:
        raise problem(file.id, f"an id of {len(identity):,} characters; at most {MAX_ID} can be kept.")
    part = ""
    if file.split:
        part = PARTS.get(text(file.split).strip().lower(), "")
        if not part:
            raise problem(file.split, f"'{text(file.split)[:40]}' is no part; known are train, validation and test.")
    # Labels: columns of 0 and 1, or names in one column.
    labels: list[str] = []
    for column in file.labels:
        value = row.values.get(column)
        if file.sep == INDICATOR:
            if _is_missing(value) or value == "":
                continue
            if not _is_switch(value):
                raise problem(column, f"found {_shown(value)} where 0 or 1 is expected.")
            labels += [column] if str(value).strip().lower() in ("1", "1.0", "true") else []
            continue
        for item in _cells(value, file.sep):
            if _is_missing(item):
                continue
            if isinstance(item, (dict, list, bool)) or (isinstance(item, float) and not item.is_integer()):
                raise problem(column, f"found {_shown(item)} where a label is expected.")
            label = str(int(item)) if isinstance(item, float) else str(item)
            if len(label) > MAX_LABEL:
                raise problem(column, f"a label of {len(label):,} characters; is this the right column?")
            labels += [label] if label.strip() else []
    # Title and body.
    body = "\n".join(filter(None, map(text, file.text)))
    title = text(file.title) if file.title else ""
    return Record(identity or str(number), title, body, tuple(dict.fromkeys(labels)), part)


def _cells(value: Any, sep: str) -> list[Any]:
    if isinstance(value, str) and sep and _as_list(value) is None:
        return [part.strip() for part in value.split(sep)]
    listed = _as_list(value)
    return [value] if listed is None else listed


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shown(value: Any) -> str:
    words = re.sub(r"\s+", " ", json.dumps(value, default=str))
    return words if len(words) <= 40 else f"{words[:40]}..."


def _year(path: Path, file: FileConfig, row: Row) -> int:
    if not file.year:
        raise UserError(f"{path.name}: years are asked for, but no column is named that holds them (--year).")
    value = row.values.get(file.year)
    try:
        return int(str(value).strip()[:4])
    except ValueError:
        place = f"{path.name}, {unit(file)} {row.place}, column '{file.year}'"
        raise UserError(f"{place}: {_shown(value)} is no year.") from None

"""A file from its beginning: its form, its first rows, what its columns are taken for, what is to be asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config.parse import parse
from core.config.schema import FileConfig
from core.data.readers.cells import cut
from core.data.readers.columns import ROWS, documents_of
from core.data.readers.encodings import BROKEN
from core.data.readers.json_shape import begin_of, partial_value
from core.data.readers.label_columns import value_at
from core.data.readers.notation import NAMES_ASKED, name_list
from core.data.readers.roles import Reading, Roles, is_list
from core.data.readers.row import Say
from core.data.readers.rows import beginning_of, propose_encoding, read_rows, sniff
from core.data.readers.separators import find_separators
from core.system.errors import Question, UserError

CELLS = 400_000
LETTERS = 4_000_000
LEAST_ROWS = 20
"""Columns are guessed from `ROWS` rows, or fewer, but not than these, where they hold so many cells or letters."""
HEAD = 1 << 20
"""Characters of a file in which names of labels are looked for."""
NAMES_KEY = re.compile(r"(?i)label|class|categor|topic|tag|name|target")
BROKEN_ROWS = 0.05
"""Share of rows with bytes that are no text, from which the encoding is asked for."""
SHOWN = 100
"""Characters of a line that a question shows."""


def guess(path: Path, **form: Any) -> FileConfig:
    """The form of a file and what its columns seem to be; what cannot be guessed is left empty.

    Args:
        path: a file, or a folder saved by Hugging Face `datasets`.
        form: settings of `FileConfig` on the form, where they are given.

    Raises:
        UserError: see `sniff` and `read_rows`; a form that makes no sense.
    """
    return study(path, **form).file


def study(path: Path, given: Mapping[str, Any] | None = None, **form: Any) -> Reading:
    """The form of a file, what its columns are taken for, and what is to be asked.

    Args:
        path: a file, or a folder saved by Hugging Face `datasets`.
        given: settings of `FileConfig` that are decided; `label_names` may be "numbers", which names labels by their
            numbers.
        form: settings of `FileConfig` on the form, where they are given.

    Raises:
        UserError: see `sniff` and `read_rows`; a form or a setting that makes no sense.
    """
    return study_beginning(path, read_beginning(path, **form), given)


@dataclass(frozen=True)
class Beginning:
    """How a file is written, and its first rows.

    Attributes:
        file: its form.
        rows: the first rows.
        said: what a reader should know.
        question: on the encoding, where another one makes sense of the file.
    """

    file: FileConfig
    rows: list[dict[str, Any]]
    said: tuple[str, ...] = ()
    question: Question | None = None


def read_beginning(path: Path, **form: Any) -> Beginning:
    """The form of a file and its first rows.

    Args:
        path: a file, or a folder saved by Hugging Face `datasets`.
        form: settings of `FileConfig` on the form, where they are given.

    Raises:
        UserError: see `sniff` and `read_rows`; a form that makes no sense.
    """
    file, said = sniff(path, **form), list[str]()
    rows = first_rows(path, file, said.append)
    return Beginning(file, rows, tuple(said), None if "encoding" in form else _ask_encoding(path, file, rows))


def study_beginning(path: Path, beginning: Beginning, given: Mapping[str, Any] | None = None) -> Reading:
    """As `study`, of a beginning that has been read."""
    reading = study_rows(path, beginning.file, beginning.rows, given)
    if any(question.about == NAMES_ASKED for question in reading.questions):
        reading = _with_names(path, reading, dict(given or {}))
    if beginning.question:
        reading.questions.insert(0, beginning.question)
    reading.said[:0] = beginning.said
    return reading


def _with_names(path: Path, reading: Reading, given: dict[str, Any]) -> Reading:
    """The same with the names of its labels, where the file has them beside its documents or in a header."""
    found = [(column, tuple(cut(column, ("|", ";", ",")))) for column in reading.file.labels]
    if reading.file.format == "json":
        found += _name_lists(beginning_of(path, HEAD))
    for place, names in found:
        if len(names) > 1:
            named = study_rows(path, reading.file, reading.rows, given | {"label_names": names})
            try:
                is_right = not named.questions and bool(documents_of(path, named.file, named.rows, Counter()))
            except UserError:  # not as many names as values
                continue
            if is_right:
                named.said.append(f"The names of the labels are those of '{place[:60]}' in the file.")
                return named
    return reading


def _name_lists(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Lists of names that stand beside the documents of a JSON file, with their keys."""
    at = begin_of(text)
    value = partial_value(text, at)[0] if at >= 0 else None
    found = []
    for key, inner in value.items() if isinstance(value, dict) else ():
        if NAMES_KEY.search(key) and isinstance(inner, (list, dict)):
            try:
                found.append((key, name_list(json.dumps(inner))))
            except (ValueError, TypeError):
                continue
    return found


def _ask_encoding(path: Path, file: FileConfig, rows: list[dict[str, Any]]) -> Question | None:
    """Asks for the encoding where several rows are no UTF-8 and another one makes sense of them."""
    if file.encoding != "utf-8":
        return None
    broken = sum(any(map(BROKEN.search, _texts(row))) for row in rows if not _is_plain(row))
    if broken < max(1, BROKEN_ROWS * len(rows)) or not (proposal := propose_encoding(path, file)):
        return None
    shown = [line[:SHOWN] for line in (*proposal.before[:1], *proposal.after[:1])]
    return Question(
        f"{path.name} is no text in {file.encoding}; in {proposal.encoding} '{shown[0]}' is '{shown[-1]}'. "
        f"Say --encoding {proposal.encoding} if that is right, or name another one; --encoding {file.encoding} "
        "keeps it as it is.",
        about="encoding",
        choices=(proposal.encoding, file.encoding),
        option="--encoding",
    )


def study_rows(
    path: Path, file: FileConfig, rows: list[dict[str, Any]], given: Mapping[str, Any] | None = None
) -> Reading:
    """As `study`, of rows that have been read."""
    given = dict(given or {})
    study = Roles(path, file, rows, given)
    study.find()
    decided = {key: value for key, value in given.items() if not (key == "label_names" and value == "numbers")}
    settings = file.model_dump() | study.settings | decided
    if given.get("label_names") and "label_names" in study.settings:
        settings["label_names"] = study.settings["label_names"]  # with a place for 0, or numbers
    study.reading.file = parse(FileConfig, settings, where=path.name)
    study.describe()
    return study.reading


def first_rows(path: Path, file: FileConfig, say: Say | None = None) -> list[dict[str, Any]]:
    """The rows from which columns are guessed: all of a small file, the beginning of a large one.

    Args:
        path: the file.
        file: its form.
        say: takes what `read_rows` says.
    """
    rows = list[dict[str, Any]]()
    cells = letters = 0
    for row in read_rows(path, file, None, say):
        rows.append(row.values)
        cells += len(row.values)
        letters += sum(map(len, _texts(row.values)))
        enough = len(rows) >= ROWS or cells >= CELLS or letters >= LETTERS
        if enough and len(rows) >= LEAST_ROWS:
            break
    return rows


def _texts(row: dict[str, Any]) -> list[str]:
    return [value for value in row.values() if value.__class__ is str]


def _is_plain(row: dict[str, Any]) -> bool:
    """Whether a row is made of ASCII texts alone, which are never broken."""
    try:
        return "".join(row.values()).isascii()
    except TypeError:
        return False


def preview(rows: Sequence[dict[str, Any]], column: str, *, count: int = 50, letters: int = 200) -> list[str]:
    """Cells of one column for display, those of the first rows: each as text, cut short."""
    return [_text_of(value_at(row, column))[:letters] for row in rows[:count]]


def _text_of(value: Any) -> str:
    words = (
        value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    )
    return words.encode("utf-8", "replace").decode()


def find_separator(values: Sequence[Any]) -> str:
    """The separator of the cells of a label column; empty where each is one label or a list."""
    texts = [value for value in values if isinstance(value, str) and not is_list(value)]
    return next(iter(find_separators(texts).accepted), "")

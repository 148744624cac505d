"""Rows of a file, folder, zip or tar of any format: its form is found by `sniff`, its documents read by `read_rows`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from core.config.parse import parse
from core.config.schema import FileConfig
from core.data.readers import texts as text_files
from core.data.readers.arrow import arrow_rows, parquet_rows, saved_rows
from core.data.readers.delimited import delimited_rows
from core.data.readers.encodings import Proposal, propose, text_stream
from core.data.readers.form import form_of, text_of
from core.data.readers.json_shape import shape_of
from core.data.readers.json_values import line_rows, value_rows
from core.data.readers.package import Opened, Package
from core.data.readers.packed import plain_name
from core.data.readers.parts import SIDES, SUFFIXES, Chosen, choose, family_of
from core.data.readers.plain_lines import fasttext_rows, line_pairs
from core.data.readers.pubmed import pubmed_rows
from core.data.readers.row import Progress, Row, Say
from core.data.readers.signatures import check_office
from core.data.readers.workbook import workbook_rows
from core.system.errors import UserError
from core.system.files import is_text, show_path

IN_COLUMNS = ("csv", "parquet", "arrow", "workbook")
"""Formats whose rows all have the same columns."""
SIDE_BYTES = 1 << 20
"""Of a file of labels beside one document."""


def unit(file: FileConfig) -> str:
    """What `Row.place` counts."""
    of_rows = file.format in ("parquet", "datasets", "arrow", "workbook", "pubmed", "texts")
    return "row" if of_rows or file.orient in ("columns", "lists", "split") else "line"


SAVED = ("state.json", "dataset_dict.json")
"""Files by which a folder saved by Hugging Face `datasets` is known."""


def is_saved(path: Path) -> bool:
    """Whether a folder was saved by Hugging Face `datasets`."""
    return any(os.path.isfile(path / name) for name in SAVED)


@dataclass
class _Source:
    """A path and those of its files that hold documents."""

    path: Path
    package: Package
    chosen: Chosen

    def open(self, names: list[str]) -> Iterator[Opened]:
        return self.package.walk(names)

    def first_form(self, given: dict[str, Any] | None = None) -> FileConfig:
        name = self.chosen.members[0][0].partition("\n")[0]
        for file in self.open([name]):
            if self.package.office:
                return parse(FileConfig, {**(given or {}), "format": "workbook"}, where=file.title)
            return form_of(file, given)
        raise UserError(f"{self.path.name}: {name} is gone.")


def _source(path: Path) -> _Source:
    package = Package(path)
    check_office(path.name, package.office)

    def is_document(name: str) -> bool:
        for file in package.walk([name]):
            shape = shape_of(text_of(file.stream.read(1 << 20), file.name))
            return shape is not None and shape.orient == "values"
        return False

    members = package.members()
    if package.kind == "folder" and not any(family_of(member.name) for member in members):
        raise UserError(
            f"{path} is a folder that Hugging Face `datasets` did not save, and holds no file of documents: name the "
            "file to be read."
        )
    return _Source(path, package, choose(path.name, members, is_document))


def sniff(path: Path, **given: Any) -> FileConfig:
    """The form of a file: format, encoding, and what each format has of its own, from its name and its beginning.

    Args:
        path: a file, folder, zip or tar.
        given: settings of `FileConfig` that are not guessed; None is none.

    Raises:
        UserError: not there, empty, a kind of file that is not read, several files whose names tell no parts, a path
            that is no UTF-8.
    """
    if not is_text(str(path.absolute())):  # it is kept with the data set, and shown
        raise UserError(f"The path {show_path(path)} has bytes that are no UTF-8: rename the file or folder.")
    given = {key: value for key, value in given.items() if value is not None}
    others = given.pop("others", ())
    if _is_folder(path) and is_saved(path):
        form = FileConfig(format="datasets")
    else:
        source = _source(path)
        if source.chosen.layout == "table":
            form = source.first_form(given)
        else:
            form = FileConfig(format="texts" if source.chosen.layout == "texts" else "lines")
    return form.model_copy(update={"others": tuple(others)}) if others else form


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long
        return False


def read_rows(path: Path, file: FileConfig, progress: Progress | None = None, say: Say | None = None) -> Iterator[Row]:
    """Reads a file row by row, in bounded memory.

    Args:
        path: a file, folder, zip or tar, or a folder that Hugging Face `datasets` saved.
        file: its form; what the columns mean is not looked at.
        progress: called now and then with the share that was read, 0..1.
        say: takes a sentence about what was left out, or read otherwise than it stands.

    Raises:
        UserError: unreadable or damaged, with file, line and column.
    """
    show, tell = progress or (lambda _: None), say or (lambda _: None)
    paths = [("train" if file.others else "", path), *((part, Path(other)) for part, other in file.others)]
    usual = sniff(path).model_dump(include={"format", *_FORM}) if len(paths) > 1 else {}
    is_guessed = all(getattr(file, key) == value for key, value in usual.items())
    columns: set[str] = set()
    for number, (part, one) in enumerate(paths):
        form = sniff(one) if number and is_guessed else file
        share = _Share(show, number, len(paths))
        rows = _path_rows(one, form, share, tell)
        if number == 0 and part:
            rows, columns = _with_columns(rows)
        elif number and form.format in IN_COLUMNS:
            rows, own = _with_columns(rows)
            _check_columns(one.name, own, path.name, columns, tell)
        if not part:
            yield from rows
        for row in rows:
            yield row._replace(values=row.values | {"split": part}, source=one.name)


_FORM = (
    "encoding",
    "delimiter",
    "header",
    "quote",
    "escape",
    "skip_blanks",
    "skip_lines",
    "comment",
    "names",
    "orient",
    "records",
)
"""Settings of a form that files of one set may differ in."""


class _Share:
    """Turns the share of one of several paths into that of all."""

    def __init__(self, show: Progress, number: int, paths: int) -> None:
        self.show, self.number, self.paths = show, number, paths

    def __call__(self, done: float) -> None:
        self.show((self.number + min(1.0, done)) / self.paths)


def _path_rows(path: Path, file: FileConfig, show: Progress, say: Say) -> Iterator[Row]:
    if file.format == "datasets":
        yield from saved_rows(path)
        return
    source = _source(path)
    members = source.chosen.members
    if left_out := source.chosen.left_out:
        listed = ", ".join(left_out[:3]) + (f" and {len(left_out) - 3:,} more" if len(left_out) > 3 else "")
        if not (file.format == "texts" and _hold_labels(left_out)):
            say(f"{path.name}: of its files these were not read: {listed}.")
    if file.format == "texts":
        yield from _text_rows(source, file, show, say)
    elif file.format == "lines":
        yield from _pair_rows(source, file)
    elif len(members) == 1:
        for opened in source.open([members[0][0]]):
            for number, row in enumerate(_named_rows(source, _file_rows(opened, file, say), say)):
                if number % 200 == 0:
                    show(opened.share())
                yield row
    else:
        yield from _member_rows(source, file, show, say)


# Names of labels beside files of the extreme classification repository.

NUMBERS, NAMES = "target_ind", ("lbl.json", "lbl.json.gz", "lbl.jsonl")


def _named_rows(source: _Source, rows: Iterator[Row], say: Say, *, is_first: bool = True) -> Iterator[Row]:
    """Rows whose `target_ind` holds numbers of labels, with the titles that lbl.json beside the file gives these."""
    first = next(rows, None)
    if first is None:
        return
    numbers = first.values.get(NUMBERS)
    names = _label_titles(source) if isinstance(numbers, list) else []
    if not names:
        yield first
        yield from rows
        return
    if is_first:
        say(f"{source.path.name}: the numbers of {NUMBERS} are read as the titles that lbl.json gives them.")
    for row in chain([first], rows):
        found = row.values.get(NUMBERS) or []
        if not all(isinstance(number, int) and 0 <= number < len(names) for number in found):
            raise UserError(f"{source.path.name}, line {row.place}: a label number that lbl.json does not name.")
        values = {key: value for key, value in row.values.items() if key != NUMBERS}
        yield row._replace(values=values | {"labels": [names[number] for number in found]})


def _label_titles(source: _Source) -> list[str]:
    """Titles of labels by their numbers; none where no file beside the texts gives them."""
    inside = next((name for name in source.chosen.left_out if name.rpartition("/")[2] in NAMES), "")
    beside = next((place for name in NAMES if (place := source.path.parent / name).is_file()), None)
    package = source.package if inside else Package(beside) if beside and source.package.kind == "file" else None
    for opened in package.walk([inside or NAMES[0]]) if package else ():
        with text_stream(opened.title, opened.stream, "utf-8") as lines:
            rows = line_rows(opened.title, lines, FileConfig(format="jsonl"), lambda _: None)
            titles = [row.values.get("title") for row in rows]
        return [str(title) for title in titles] if all(titles) else []
    return []


def _file_rows(opened: Opened, file: FileConfig, say: Say) -> Iterator[Row]:
    """The rows of one file."""
    if file.format == "parquet":
        yield from parquet_rows(opened)
    elif file.format == "arrow":
        yield from arrow_rows(opened)
    elif file.format == "workbook":
        yield from workbook_rows(opened, file, say)
    elif file.format == "pubmed":
        yield from pubmed_rows(opened.title, opened.stream)
    else:
        with text_stream(opened.title, opened.stream, file.encoding) as lines:
            if file.format == "fasttext":
                yield from fasttext_rows(opened.title, lines)
            else:
                readers = {"csv": delimited_rows, "jsonl": line_rows, "json": value_rows}
                yield from readers[file.format](opened.title, lines, file, say)


# Tables in several files.


def _member_rows(source: _Source, file: FileConfig, show: Progress, say: Say) -> Iterator[Row]:
    """The rows of several tables, each with its part under `split`."""
    parts = dict(source.chosen.members)
    sizes = {member.name: member.size for member in source.package.members()}
    total, done = sum(sizes[name] for name in parts) or 1, 0
    first = source.chosen.members[0][0]
    is_guessed = source.first_form().model_dump(include={*_FORM}) == file.model_dump(include={*_FORM})
    expected = set[str]()
    for opened in source.open([name for name, _ in source.chosen.members]):
        name = opened.name
        form = _own_form(source, name) if is_guessed and name != first else file
        rows: Iterator[Row] = _file_rows(opened, form, say)
        if form.format in IN_COLUMNS:
            rows, own = _with_columns(rows)
            if expected and own and not _belongs(name, parts[name], own, expected, first, say):
                continue
            expected = expected or own
        for number, row in enumerate(_named_rows(source, rows, say, is_first=name == first)):
            if number % 200 == 0:
                show((done + opened.share() * sizes[name]) / total)
            values = {"split": parts[name]} | row.values if parts[name] else row.values
            yield row._replace(values=values, source=name)
        done += sizes[name]


def _own_form(source: _Source, name: str) -> FileConfig:
    for opened in source.open([name]):
        return form_of(opened)
    raise UserError(f"{source.path.name}: {name} is gone.")


def _with_columns(rows: Iterator[Row]) -> tuple[Iterator[Row], set[str]]:
    first = next(rows, None)
    if first is None:
        return iter(()), set()
    return chain([first], rows), set(first.values)


def _belongs(name: str, part: str, own: set[str], expected: set[str], first: str, say: Say) -> bool:
    """Whether a table of a package is one of the set, by its columns."""
    if own == expected:
        return True
    if part in ("train", "validation", "test", ""):
        _check_columns(name, own, first, expected, say)
        return True
    say(f"{name} was not read: its columns are others than those of {first}.")
    return False


def _check_columns(name: str, own: set[str], first: str, expected: set[str], say: Say) -> None:
    """Says which columns a part lacks.

    Raises:
        UserError: it has none of the columns of the first part.
    """
    if not own or own == expected:
        return
    if not own & expected:
        raise UserError(
            f"{name} has other columns ({', '.join(sorted(own)[:5])}) than {first} "
            f"({', '.join(sorted(expected)[:5])}): they are no parts of one set. Name one of them alone."
        )
    if lacking := sorted(expected - own):
        say(f"{name} lacks columns of {first}: {', '.join(lacking[:5])}; they are empty in its documents.")


# One document a file, and lines in two files.


def _hold_labels(names: tuple[str, ...]) -> bool:
    return any(name.endswith(SIDES) or family_of(name) in ("csv", "json") for name in names)


def _text_rows(source: _Source, file: FileConfig, show: Progress, say: Say) -> Iterator[Row]:
    parts = dict(source.chosen.members)
    names, others = list(parts), source.chosen.left_out
    labels: dict[str, list[str]] = {}
    table = None
    # Labels beside the documents: a file each, or a table for all.
    if sides := text_files.own_side(others, names):
        stems = {side: text for text, side in ((text, side) for text, side in sides.items())}
        for opened in source.open(list(sides.values())):
            content = text_of(opened.stream.read(SIDE_BYTES), opened.name)
            labels[stems[opened.name]] = text_files.side_labels(content)
    else:
        known = {text_files.stem_of(name) for name in names}
        for name in (name for name in others if family_of(name) in ("csv", "json", "parquet", "workbook")):
            for opened in source.open([name]):
                form = _own_form(source, name)
                table = table or text_files.table_of(_file_rows(opened, form, say), known)
    documents = text_files.Documents(names, parts, labels, table)
    number = 0
    for number, opened in enumerate(source.open(names), 1):
        if number % 200 == 1:
            show(number / len(names))
        yield documents.row(number, opened, lambda one: _decoded(one, file))
    documents.say(say, number)


def _decoded(opened: Opened, file: FileConfig) -> str:
    with text_stream(opened.title, opened.stream, file.encoding) as text:
        return text_files.decoded(text, opened.title)


def _pair_rows(source: _Source, file: FileConfig) -> Iterator[Row]:
    members = source.chosen.members
    is_parted = len({part for _, part in members}) > 1
    for pair, part in members:
        names = pair.split("\n")
        content = {}
        for opened in source.open(names):
            content[opened.name] = opened.stream.read()
        texts, labels = (
            io.TextIOWrapper(io.BytesIO(content[name]), file.encoding, "surrogateescape") for name in names
        )
        for row in line_pairs(names[0], texts, labels):
            yield Row(row.place, row.values | ({"split": part} if part and is_parted else {}), names[0])


# Encodings.


def propose_encoding(path: Path, file: FileConfig) -> Proposal | None:
    """The encoding that a text file seems to have where it is read as UTF-8 but is none; None where all is well.

    Raises:
        UserError: the file cannot be read.
    """
    if file.encoding != "utf-8" or file.format not in ("csv", "jsonl", "json", "fasttext", "texts"):
        return None
    source = _source(path)
    for opened in source.open([name for name, _ in source.chosen.members][:20]):
        if found := propose(opened.stream):
            return found
    return None


def beginning_of(path: Path, size: int) -> str:
    """The first characters of a text file, or of the first of several; empty where there is none.

    Raises:
        UserError: the file cannot be read.
    """
    source = _source(path)
    for opened in source.open([source.chosen.members[0][0].partition("\n")[0]]):
        return text_of(opened.stream.read(size), opened.name)
    return ""


def format_of(name: str) -> str:
    """The format that a file's name tells; empty where it tells none."""
    plain = plain_name(name)
    return next((form for form, suffixes in SUFFIXES.items() if plain.endswith(suffixes)), "")


def is_data_name(name: str) -> bool:
    """Whether a file's name is that of a format that is read, packed or not, or of a tar."""
    return bool(format_of(name)) or plain_name(name).endswith((".tar", ".tgz"))

"""CSV, TSV, JSON lines, JSON lists (BioASQ), Parquet and folders of Hugging Face `datasets`: one row at a time."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from core.config.schema import FileConfig
from core.data.readers.packed import inner_name, opened
from core.system.errors import UserError
from core.system.files import read_json

MAX_FIELD = 32 << 20
"""Characters of one field, line or record."""
MAX_COLUMNS = 50_000
SNIFFED = 1 << 18
"""Bytes at the beginning of a file from which its form is detected."""
CHUNK = 1 << 20
SUFFIXES = {
    "csv": (".csv", ".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines"),
    "json": (".json",),
    "parquet": (".parquet", ".pq"),
}
DELIMITERS = (",", "\t", ";", "|")
HEADERS = re.compile(r"(?i)^(text|abstract|abstracttext|body|content|title|labels?|tags?|topics?|id|split|class(es)?)$")
Progress = Callable[[float], None]


class Row(NamedTuple):
    """One document as it stands in the file: its line (or row number in Parquet and Arrow) and its columns."""

    place: int
    values: dict[str, Any]


def unit(file: FileConfig) -> str:
    """What `Row.place` counts."""
    return "row" if file.format in ("parquet", "datasets") else "line"


def sniff(path: Path) -> FileConfig:
    """Format, encoding, delimiter and header of a file, from its name and its beginning.

    Raises:
        UserError: not there, empty, a binary file, or a form that cannot be read.
    """
    # Binary formats, by what they hold rather than by name.
    if path.is_dir():
        if any(path.joinpath(name).is_file() for name in ("state.json", "dataset_dict.json")):
            return FileConfig(format="datasets")
        raise UserError(f"{path} is a folder that Hugging Face `datasets` did not save: name the file to be read.")
    with opened(path) as (stream, _):
        start = stream.read(SNIFFED)
    if start[:4] == b"PAR1":
        return FileConfig(format="parquet")
    if not start.strip():
        raise UserError(f"{path.name} is empty.")
    # Text: JSON by its name, or by its first character unless the name is that of a CSV file.
    encoding = _encoding(start)
    if encoding == "utf-8" and b"\0" in start:
        raise UserError(
            f"{path.name} is no text file. Tailscope reads CSV, TSV, JSON, JSON lines, Parquet (plain, gz or zip) and "
            "folders saved by Hugging Face `datasets`."
        )
    text = start.decode(encoding, "replace").removeprefix("\ufeff")
    name = inner_name(path)
    form = next((form for form, suffixes in SUFFIXES.items() if name.endswith(suffixes)), "")
    if (form != "csv" and text.lstrip()[:1] in ("{", "[")) or form in ("json", "jsonl"):
        return FileConfig(format="jsonl" if _is_lines(text) else "json", encoding=encoding)
    # CSV: the last line is left out where the sample may have cut it.
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(start) == SNIFFED and len(lines) > 1 else lines
    delimiter = "\t" if name.endswith((".tsv", ".tab")) else _delimiter(lines)
    return FileConfig(format="csv", encoding=encoding, delimiter=delimiter, header=_has_header(lines, delimiter))


def read_rows(path: Path, file: FileConfig, progress: Progress | None = None) -> Iterator[Row]:
    """Reads a file row by row, in bounded memory.

    Args:
        path: a file, plain, gz or zip, or a folder that Hugging Face `datasets` saved.
        file: its format, encoding, delimiter and header; what the columns mean is not looked at.
        progress: called now and then with the share that was read, 0..1.

    Raises:
        UserError: unreadable or damaged, with file, line and column.
    """
    show_progress = progress or (lambda _: None)
    if file.format == "datasets":
        yield from _datasets_rows(path)
        return
    with opened(path) as (stream, share):
        if file.format == "parquet":
            rows = _parquet_rows(path, stream)
        else:
            lines = _text(path, stream, file.encoding)
            readers = {"csv": _csv_rows, "jsonl": _jsonl_rows, "json": _json_rows}
            rows = readers[file.format](path, lines, file)
        for number, row in enumerate(rows):
            if number % 200 == 0:
                show_progress(share())
            yield row


def _text(path: Path, stream: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The decoded stream; undecodable bytes become lone surrogates, which are counted by document later."""
    try:
        known = codecs.lookup(encoding).name
        return io.TextIOWrapper(stream, "utf-8-sig" if known == "utf-8" else known, "surrogateescape", newline="")
    except LookupError:
        words = f"{path.name}: there is no encoding '{encoding}'. Usual ones: utf-8, latin-1, cp1252."
        raise UserError(words) from None


def _encoding(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8"


def _is_lines(text: str) -> bool:
    """Whether the first line that is not blank is a JSON object of its own that holds no list of records."""
    first, newline, _ = text.lstrip().partition("\n")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return bool(newline) and first.startswith("{") and not re.match(r'\{\s*("\w+"\s*:\s*\[)?\s*$', first)
    return isinstance(value, dict) and not any(
        isinstance(items, list) and items and isinstance(items[0], dict) for items in value.values()
    )


# CSV and TSV.


def _delimiter(lines: list[str]) -> str:
    """The delimiter with the most fields in the first rows, among those with as many in every row."""
    widths = {}
    for delimiter in DELIMITERS:
        rows = _first_rows(lines, delimiter)
        if rows and len({len(row) for row in rows}) == 1:
            widths[delimiter] = len(rows[0])
    best = max(widths, key=widths.__getitem__, default=",")
    return best if widths.get(best, 1) > 1 else ","


def _first_rows(lines: list[str], delimiter: str, number: int = 20) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            rows += [row] if row else []
            if len(rows) == number:
                break
    except csv.Error:
        return []
    return rows


def _has_header(lines: list[str], delimiter: str) -> bool:
    rows = _first_rows(lines, delimiter)
    if not rows:
        return True
    first, rest = rows[0], rows[1:]
    if any(HEADERS.match(cell.strip()) for cell in first):
        return True
    if any(not cell.strip() or len(cell) > 60 or re.fullmatch(r"[\d.+-]+", cell.strip()) for cell in first):
        return False
    longest = max((len(cell) for row in rest for cell in row), default=0)
    return bool(rest) and longest > 2 * max(map(len, first))


def _csv_rows(path: Path, lines: io.TextIOWrapper, file: FileConfig) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(lines, delimiter=file.delimiter, strict=True)
    began, names = 1, list[str]()
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(_csv_problem(path, str(error), began)) from None
        # A row may span lines: its place is the line where it began.
        place, began = began, reader.line_num + 1
        if not fields:
            continue
        if not names:
            names = _columns(path, fields, file.header, place)
            if file.header:
                continue
        if len(fields) != len(names):
            raise UserError(
                f"{path.name}, line {place}: {len(fields):,} fields, but there are {len(names):,} columns. A field "
                f"that holds '{file.delimiter}' must stand in quotes."
            )
        yield Row(place, dict(zip(names, fields, strict=True)))


def _csv_problem(path: Path, words: str, line: int) -> str:
    if "field larger" in words or "unexpected end" in words:
        return (
            f"{path.name}, line {line}: a quote is opened here and never closed, or a field is over {MAX_FIELD:,} "
            "characters long."
        )
    if "expected after" in words:
        return f"{path.name}, line {line}: a quoted field goes on after its closing quote; double the quotes inside it."
    return f"{path.name}, line {line}: {words}."


def _columns(path: Path, fields: list[str], header: bool, place: int) -> list[str]:
    if len(fields) > MAX_COLUMNS:
        raise UserError(
            f"{path.name}, line {place}: {len(fields):,} columns, at most {MAX_COLUMNS:,} can be read. Put the "
            "labels of a document into one column, with a separator between them."
        )
    if not header:
        return [f"column {number}" for number in range(1, len(fields) + 1)]
    names = [field.strip() or f"column {number}" for number, field in enumerate(fields, 1)]
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        at = " and ".join(str(number) for number, name in enumerate(names, 1) if name == twice)
        raise UserError(f"{path.name}, line {place}: two columns are named '{twice}' ({at}). Rename one of them.")
    return names


# JSON.


def _no_number(_: str) -> None:
    """NaN and infinity, which JSON does not know, are missing values."""


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _record(path: Path, value: Any, place: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(
            f"{path.name}, line {place}: found {_kind(value)} where a document must be an object, such as "
            '{"text": "...", "labels": ["..."]}.'
        )
    return value


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null", dict: "an object"}
    return kinds.get(type(value), "a number")


def _jsonl_rows(path: Path, lines: io.TextIOWrapper, _: FileConfig) -> Iterator[Row]:
    place = 0
    while line := lines.readline(MAX_FIELD):
        place += 1
        if len(line) == MAX_FIELD:
            raise UserError(f"{path.name}, line {place}: over {MAX_FIELD:,} characters long. Is there one in a line?")
        if line.strip():
            try:
                value, end = _DECODER.raw_decode(line.strip())
                if end < len(line.strip()):
                    raise json.JSONDecodeError("more follows after the object", line.strip(), end)
            except json.JSONDecodeError as error:
                raise UserError(f"{path.name}, line {place}, column {error.colno}: {_json_words(error)}.") from None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path.name}, line {place}: {_json_words(error)}.") from None
            yield Row(place, _record(path, value, place))


def _json_words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply to be a document"
    words = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return f"this is not JSON ({words[:1].lower()}{words[1:]})"


class _Window:
    """A window over a stream of characters that starts at the first one still needed, and its line number."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self.stream, self.kept, self.at, self.ended = stream, "", 0, False
        self.gone, self.line, self.line_began = 0, 1, 0  # characters no longer kept, line, and where that began

    def more(self, size: int = CHUNK) -> bool:
        """Reads on; false at the end."""
        chunk = self.stream.read(size)
        self.gone += self.at
        self.kept, self.at = self.kept[self.at :] + chunk, 0
        self.ended = not chunk
        return bool(chunk)

    def skip(self, blanks: str) -> str:
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


def _json_rows(path: Path, lines: io.TextIOWrapper, _: FileConfig) -> Iterator[Row]:
    """The objects of the first list in the file, whatever stands before it: `[...]`, `{"articles": [...]}`."""
    window = _Window(lines)
    while (found := window.kept.find("[", window.at)) < 0:
        window.take(len(window.kept))
        if not window.more():
            raise UserError(f'{path.name} holds no list of documents, such as [...] or {{"articles": [...]}}.')
    window.take(found + 1)
    while (first := window.skip(" \t\r\n,")) != "]":
        if not first:
            raise UserError(
                f"{path.name}, line {window.line}: the list of documents never ends. Is the file cut short?"
            )
        place = window.line
        value, end = _next_value(path, window)
        window.take(end)
        yield Row(place, _record(path, value, place))


def _next_value(path: Path, window: _Window) -> tuple[Any, int]:
    # Read on, twice as much each time, until a value ends before the window does: a number may continue there.
    size = CHUNK
    while True:
        try:
            value, end = _DECODER.raw_decode(window.kept, window.at)
            if end < len(window.kept) or window.ended:
                return value, end
            problem: Exception = ValueError("unended")
        except (ValueError, RecursionError) as error:
            problem = error
        at = getattr(problem, "pos", window.at) - window.at
        if isinstance(problem, RecursionError) or len(window.kept) - window.at > MAX_FIELD or not window.more(size):
            if problem.args == ("unended",):
                return value, end
            break
        size *= 2
    window.take(window.at + at)
    column = window.gone + window.at - window.line_began + 1
    raise UserError(f"{path.name}, line {window.line}, column {column}: {_json_words(problem)}.") from None


# Parquet and Arrow.


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        words = (str(error).splitlines() or [""])[0][:200]
        raise UserError(f"{path.name} is cut short or damaged ({words}). Copy it again.") from None


def _parquet_rows(path: Path, stream: BinaryIO) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as unpacked:
        file: Any = path
        if inner_name(path) != path.name.lower():  # Parquet is read from its end
            shutil.copyfileobj(stream, unpacked, CHUNK)
            file = unpacked
        with _arrow_errors(path), pq.ParquetFile(file) as table:
            yield from _batch_rows(path, table.iter_batches(batch_size=500), {})


def _batch_rows(path: Path, batches: Iterable[Any], names: dict[str, list[str]], part: str = "") -> Iterator[Row]:
    place = 0
    for batch in batches:
        if len(batch.schema.names) > MAX_COLUMNS:
            raise UserError(f"{path.name}: {len(batch.schema.names):,} columns, at most {MAX_COLUMNS:,} can be read.")
        for values in batch.to_pylist():
            place += 1
            for column, known in names.items():
                values[column] = _named(path, place, values.get(column), known)
            yield Row(place, values | ({"split": part} if part else {}))


def _named(path: Path, place: int, value: Any, known: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(path, place, item, known) for item in value]
    if value is None or isinstance(value, str):
        return value
    if not 0 <= value < len(known):
        raise UserError(f"{path.name}, row {place}: label number {value} of {len(known):,} named labels.")
    return known[value]


def _datasets_rows(path: Path) -> Iterator[Row]:
    if not path.joinpath("dataset_dict.json").is_file():
        yield from _saved_rows(path, path)
        return
    parts = read_json(path / "dataset_dict.json").get("splits", [])
    for part in parts:
        yield from _saved_rows(path, _inside(path, str(part)), str(part))


def _inside(folder: Path, name: str) -> Path:
    """A file or folder that lies in `folder`, whatever a link or its name says."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder}: '{name}' lies outside of the folder; it was not read.")
    return path


def _saved_rows(root: Path, folder: Path, part: str = "") -> Iterator[Row]:
    import pyarrow as pa

    state = read_json(folder / "state.json")
    if state.get("_indices_files"):
        raise UserError(f"{folder} was saved with an index of its rows: call flatten_indices() before save_to_disk().")
    features = read_json(folder / "dataset_info.json").get("features") or {}
    names = {column: found for column, feature in features.items() if (found := _class_names(feature))}
    files = [_inside(root, str((folder / file["filename"]).relative_to(root))) for file in state.get("_data_files", [])]
    if not files:
        raise UserError(f"{folder}: state.json names no data files.")
    for file in files:
        with _arrow_errors(file), pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as batches:
            yield from _batch_rows(file, (piece for batch in batches for piece in _pieces(batch)), names, part)


def _pieces(batch: Any, size: int = 500) -> Iterator[Any]:
    return (batch.slice(start, size) for start in range(0, batch.num_rows, size))


def _class_names(feature: Any) -> list[str] | None:
    """Names of a `ClassLabel`, alone or in a `Sequence` or `List`; older versions wrote a one-element list."""
    if isinstance(feature, list):
        return _class_names(feature[0]) if feature else None
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        return feature.get("names")
    return _class_names(feature.get("feature"))

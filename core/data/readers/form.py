"""The form of a file from its name and its beginning: format, encoding, and what each format has of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from core.config.parse import parse
from core.config.schema import FileConfig
from core.data.readers.delimited import check_dialect
from core.data.readers.delimited_form import delimited_form, split_lines
from core.data.readers.encodings import check_encoding, detect_encoding
from core.data.readers.json_shape import BETWEEN, SAMPLE, shape_of
from core.data.readers.package import Opened
from core.data.readers.packed import plain_name
from core.data.readers.parts import SUFFIXES
from core.data.readers.plain_lines import check_counts, is_fasttext
from core.data.readers.pubmed import is_pubmed
from core.data.readers.signatures import check_kind, refuse
from core.system.errors import UserError

SNIFFED = 1 << 18
"""Bytes at the beginning of a file from which its form is detected; more where a value or line is longer."""
LONGEST = 32 << 20
"""Bytes that are read to see some lines whole."""
LINES = 20


class _Start:
    """The beginning of a file, read on where it does not tell enough."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.content, self.is_whole = stream, b"", False
        self.more(SNIFFED)

    def more(self, size: int) -> bool:
        """Reads on; false at the end."""
        content = self.stream.read(size)
        self.content += content
        self.is_whole = len(content) < size
        return bool(content)


def form_of(file: Opened, given: Mapping[str, Any] | None = None) -> FileConfig:
    """The form of a file that was opened.

    Args:
        file: the file, at its beginning.
        given: settings of `FileConfig` that are not guessed.

    Raises:
        UserError: empty, a kind of file that is not read, an encoding that is none, settings that make no sense.
    """
    given = {key: value for key, value in (given or {}).items() if value is not None}
    if "encoding" in given:
        check_encoding(file.title, given["encoding"])
    settings = parse(FileConfig, {"format": "csv"} | given, where=file.title)
    check_dialect(file.title, settings)
    start = _Start(file.stream)
    return parse(FileConfig, _form(file.title, plain_name(file.name), start, given) | given, where=file.title)


def _form(name: str, own: str, start: _Start, given: Mapping[str, Any]) -> dict[str, Any]:
    content = start.content
    # Formats of bytes, by what they hold rather than by name.
    check_kind(name, content)
    if content[:4] == b"PAR1":
        return {"format": "parquet"}
    if content[:6] == b"ARROW1" or (content[:4] == b"\xff\xff\xff\xff" and own.endswith(SUFFIXES["arrow"])):
        return {"format": "arrow"}
    if content[:2] == b"PK" or content[:4] == b"\xd0\xcf\x11\xe0":
        if own.endswith(SUFFIXES["workbook"]) or given.get("format") == "workbook":
            return {"format": "workbook"}
        if content[:2] == b"PK":
            raise refuse(name, "a zip or an office document in a package", "unpack it, and name what it holds")
        raise refuse(name, "a document of an office program", "save its table as .xlsx or CSV", is_text=False)
    if not content.strip():
        raise UserError(f"{name} is empty.")
    if own.endswith((".yaml", ".yml", ".toml", ".sql", ".tex")) and "format" not in given:
        raise refuse(name, f"a file of {own.rpartition('.')[2].upper()}", "write texts and labels as CSV or JSON lines")
    # Text.
    encoding = given.get("encoding") or detect_encoding(name, content)
    text = _decode(content, encoding)
    asked = given.get("format")
    if asked in (None, "pubmed") and (text.lstrip()[:5] == "<?xml" or is_pubmed(content[:2000])):
        if is_pubmed(content):
            return {"format": "pubmed", "encoding": encoding}
        raise refuse(name, "XML other than PubMed's", "write texts and labels as CSV or JSON lines")
    if asked in (None, "json", "jsonl") and (found := _json_form(own, start, text, encoding, asked)):
        return found
    if asked == "fasttext" or (asked is None and is_fasttext(_whole_lines(start, encoding)[:50])):
        return {"format": "fasttext", "encoding": encoding}
    # CSV.
    lines = _whole_lines(start, encoding)
    if asked is None:
        check_counts(name, lines)
    return {"format": "csv", "encoding": encoding} | delimited_form(own, lines, given)


def _decode(content: bytes, encoding: str) -> str:
    return content.decode(encoding, "replace").removeprefix("\ufeff")


def _whole_lines(start: _Start, encoding: str) -> list[str]:
    """Lines of the beginning, at least some; the last is left out where it may have been cut."""
    while not start.is_whole and len(start.content) < LONGEST:
        if start.content.count(b"\n") + start.content.count(b"\r") > 2 * LINES:
            break
        start.more(max(SNIFFED, len(start.content)))
    lines = split_lines(_decode(start.content, encoding))
    return lines if start.is_whole or len(lines) < 2 else lines[:-1]


def _json_form(name: str, start: _Start, text: str, encoding: str, asked: str | None) -> dict[str, Any]:
    """The form of JSON, by its name, or by its first characters; empty where it is none."""
    first = text.lstrip(BETWEEN)
    is_lines, is_named = name.endswith(SUFFIXES["jsonl"]), name.endswith((*SUFFIXES["json"], *SUFFIXES["jsonl"]))
    if asked == "jsonl":
        return {"format": "jsonl", "encoding": encoding}
    if not asked and not is_named:
        # A name that tells CSV is believed, unless the file cannot be one.
        begins = re.match(r"\{\s*[\"}]|\[\s*[\{\[\"]", first)
        if first[:1] not in ("{", "[") or (name.endswith(SUFFIXES["csv"]) and not begins):
            return {}
    shape = shape_of(text, is_lines=is_lines)
    if not start.is_whole and not (shape and shape.by_line):
        # A value that goes on for longer: what it holds first may not be the documents yet.
        for size in (SAMPLE, LONGEST):
            start.more(size - len(start.content))
            is_all = start.is_whole or size == LONGEST
            shape = shape_of(_decode(start.content, encoding), is_lines=is_lines, is_all=is_all)
            if shape or start.is_whole:
                break
    if shape is None and not asked and not is_named:
        return {}
    if not asked and shape and shape.by_line:
        return {"format": "jsonl", "encoding": encoding}
    if shape is None:
        return {"format": "jsonl" if is_lines and not asked else "json", "encoding": encoding}
    return {"format": "json", "encoding": encoding, "orient": shape.orient, "records": shape.records}


def text_of(content: bytes, name: str) -> str:
    """The text of a small file in the encoding that its bytes tell."""
    stream = io.TextIOWrapper(io.BytesIO(content), detect_encoding(name, content), "replace", newline="")
    return stream.read().removeprefix("\ufeff")

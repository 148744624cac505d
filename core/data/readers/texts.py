"""One document a file: labels are the names of folders, or stand in a file beside it or in one table for all."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from core.data.readers.json_shape import DECODER
from core.data.readers.package import Opened
from core.data.readers.packed import plain_name
from core.data.readers.parts import SIDES, stem_of
from core.data.readers.row import MAX_FIELD, PARTS, Row, Say
from core.system.errors import UserError

MAX_ROWS = 5_000_000
"""Of a table of labels, which is held in memory."""


def own_side(names: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """The file of labels of each text that has one of its name."""
    stems = {text.rpartition(".")[0] or text: text for text in texts}
    return {stems[stem]: name for name in names if name.endswith(SIDES) and (stem := name.rpartition(".")[0]) in stems}


def side_labels(content: str) -> list[str]:
    """The labels of a file beside a document: the last field of each line, without the angle brackets of a URI."""
    rows = csv.reader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [row[-1].strip().strip("<>") for row in rows if row and row[-1].strip()]


def table_of(rows: Iterable[Row], stems: set[str]) -> tuple[str, dict[str, dict[str, Any]]] | None:
    """The column of a table that names documents by their files, and its rows by that name; None where none does."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        kept.append(row.values)
        if len(kept) > MAX_ROWS:
            return None
    hits = Counter(
        column for values in kept[:1000] for column, value in values.items() if _stem(value) in stems and _stem(value)
    )
    if not hits:
        return None
    column, number = hits.most_common(1)[0]
    if 2 * number < len(kept[:1000]):
        return None
    return column, {_stem(values.get(column)): values for values in kept}


def _stem(value: Any) -> str:
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    return stem_of(text) if text else ""


class Documents:
    """Makes rows of files that are documents each.

    Args:
        names: of all of them.
        parts: part of each; empty where names tell none.
        labels: labels of those that have a file of labels beside them.
        table: rows of a table of labels by name of the document.
    """

    def __init__(
        self,
        names: list[str],
        parts: Mapping[str, str],
        labels: Mapping[str, list[str]],
        table: tuple[str, dict[str, dict[str, Any]]] | None,
    ) -> None:
        self.parts = parts if len(set(parts.values())) > 1 else {}
        self.labels, self.table = labels, table
        folders = {name: self._folders(name) for name in names}
        shared = 0
        while len({path[: shared + 1] for path in folders.values()}) == 1 and all(
            len(path) > shared for path in folders.values()
        ):
            shared += 1
        self.folders = {name: "/".join(path[shared:]) for name, path in folders.items()}
        self.has_folders = len(set(self.folders.values())) > 1
        self.without = 0

    def _folders(self, name: str) -> tuple[str, ...]:
        path = PurePosixPath(name.replace("\\", "/")).parent.parts
        return tuple(folder for folder in path if not (self.parts and folder.lower() in PARTS))

    def row(self, number: int, file: Opened, decode: Callable[[Opened], str]) -> Row:
        """The document of a file."""
        content = decode(file)
        stem, values = stem_of(file.name), dict[str, Any]()
        if plain_name(file.name).endswith(".json"):
            values = _object(file.title, content)
            values = {"key" if "id" in values else "id": stem} | values
            if self.has_folders:
                values.setdefault("folder", self.folders[file.name])
        else:
            values = {"id": stem, "text": content.strip("\ufeff")}
            if self.table is not None:
                column, rows = self.table
                found = rows.get(stem, {})
                self.without += not found
                values |= {key: value for key, value in found.items() if key not in ("text", "id")}
                values.pop(column, None)
            elif self.labels:
                self.without += file.name not in self.labels
                values["labels"] = self.labels.get(file.name, [])
            elif self.has_folders:
                values["labels"] = [self.folders[file.name]] if self.folders[file.name] else []
        if part := self.parts.get(file.name):
            values["split"] = part
        return Row(number, values, file.name)

    def say(self, say: Say, number: int) -> None:
        """Says how many documents have no labels beside them."""
        if self.without:
            say(f"{self.without:,} of {number:,} documents have no labels in the files beside them.")


def _object(name: str, content: str) -> dict[str, Any]:
    try:
        value, _ = DECODER.raw_decode(content.lstrip(" \t\r\n\ufeff"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: this is not JSON ({str(error)[:100]}).") from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise UserError(f"{name} holds no single document, unlike the files beside it.")
    return value


def decoded(stream: io.TextIOWrapper, name: str) -> str:
    """The text of one document.

    Raises:
        UserError: it is too long.
    """
    content = stream.read(MAX_FIELD)
    if len(content) == MAX_FIELD:
        raise UserError(f"{name} is a text of over {MAX_FIELD:,} characters: is it one document?")
    return content

"""How documents lie in JSON: a value a line, the largest list of objects, pandas' orients, or parts; from its start."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from core.data.readers.cells import Written
from core.data.readers.row import PARTS

SAMPLE = 4 << 20
"""Characters at the beginning of a file from which its shape is found where one value goes on for longer."""
BLANKS = " \t\r\n"
BETWEEN = BLANKS + ",\x1e\ufeff"
"""What may stand between values; U+001E begins each value of a JSON text sequence."""
TEXTS = frozenset(
    ("text", "abstract", "abstracttext", "body", "content", "document", "article", "sentence", "comment", "review")
)
"""Names of keys that hold the text of a document."""


def _no_number(_: str) -> None:
    """NaN and infinity, which JSON does not know, are missing values."""


DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=Written)


class Shape(NamedTuple):
    """How documents lie.

    Attributes:
        orient: `values` (each value is a document), `records` (a list of objects), `rows` (a list of lists), `index`
            (an object with a document under each id), pandas' `columns`, `lists` and `split`, or `parts` (any of these
            under the name of each part).
        records: keys that lead to it, with dots between.
        by_line: whether every value stands on a line of its own.
    """

    orient: str
    records: str = ""
    by_line: bool = False


class _Found(NamedTuple):
    """A collection of objects in a value, and what it is ranked by: keys of texts, objects, characters."""

    path: tuple[str, ...]
    orient: str
    has_text: bool
    size: int
    letters: int
    keys: frozenset[str]

    @property
    def rank(self) -> tuple[bool, int, int]:
        return self.has_text, self.size, self.letters


def begin_of(text: str) -> int:
    """Where the first JSON value begins, whatever stands before it; -1 where there is none."""
    at = len(text) - len(text.lstrip(BETWEEN))
    if text[at : at + 1] in ("[", "{"):
        return at
    return next((m.start() for m in re.finditer(r"[\[{](?=\s*[\[{\"\]}]|\s*$)", text)), text.find("["))


def shape_of(text: str, *, is_lines: bool = False, is_all: bool = True) -> Shape | None:
    """The shape of JSON from its first characters; None where no documents are in sight.

    Args:
        text: the beginning of the file, or all of it.
        is_lines: whether the file's name says that each line is a value.
        is_all: whether no more will be read; else what is cut short is not judged.
    """
    at = begin_of(text)
    if at < 0:
        return None
    value, end, is_whole = partial_value(text, at)
    if end < 0 or not isinstance(value, (dict, list)) or (not value and text[:at].strip(BETWEEN)):
        return None
    # What follows tells one value from several.
    rest = text[end:]
    follows = rest.lstrip(BETWEEN)[:1]
    on_line = is_whole and "\n" not in text[at:end] and "\r" not in text[at:end]
    on_line = on_line and (not rest.strip(" \t,") or rest.lstrip(" \t,")[:1] in ("\r", "\n"))
    single = is_whole and not follows
    if isinstance(value, dict):
        inner = _object_shape(value) or (_cut_shape(value) if is_all and not is_whole else None)
        is_document = inner is None or not _is_container(value, inner)
        if on_line and ((follows and follows in "{[") or (is_lines and (is_document or follows))):
            return Shape("values", by_line=True)
        if is_document:
            holds_text = any(isinstance(leaf, str) and leaf for leaf in _leaves(value))
            if (single and not holds_text) or not (is_whole or _is_document(value)):
                return None
            return Shape("values", by_line=on_line)
        return inner
    # A list: of documents, of one that holds them, of lists, or a row itself.
    if value and all(isinstance(item, dict) for item in value):
        if len(value) == 1 and is_whole and (inner := _object_shape(value[0])) and _is_container(value[0], inner):
            return inner._replace(records=".".join(filter(None, ("0", inner.records))))
        return Shape("values" if follows == "[" else "records")
    if value and all(isinstance(item, list) for item in value):
        return Shape("rows")
    if value and on_line and follows == "[":
        return Shape("values", by_line=True)
    return Shape("records")


def partial_value(text: str, at: int) -> tuple[Any, int, bool]:
    """The value that begins at a place of a text that may be cut, where it ends (-1: no value), and if it is whole."""
    try:
        value, end = DECODER.raw_decode(text, at)
        return value, end, True
    except (ValueError, RecursionError):
        pass
    return (*_partial(text, at, 0), False)


def _partial(text: str, at: int, depth: int) -> tuple[Any, int]:
    """As much of a list or object as is there, and where that ends."""
    opened, at = text[at : at + 1], at + 1
    if opened not in ("[", "{") or depth > 50:
        return None, -1
    listed: list[Any] = []
    named: dict[str, Any] = {}
    while True:
        at = _after(text, at, BLANKS + ",")
        try:
            if opened == "{":
                key, at = DECODER.raw_decode(text, at)
                at = _after(text, at, BLANKS + ":")
            value, at = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, _ = _partial(text, at, depth + 1)
            if value:
                listed.append(value)
                if opened == "{" and isinstance(key, str):
                    named[key] = value
            return (named if opened == "{" else listed), len(text)
        listed.append(value)
        if opened == "{" and isinstance(key, str):
            named[key] = value


def _after(text: str, at: int, blanks: str) -> int:
    while text[at : at + 1] and text[at] in blanks:
        at += 1
    return at


# An object: what it holds.


def _object_shape(value: dict[str, Any]) -> Shape | None:
    """The largest collection of objects in it, or its parts; None where it holds none."""
    found = list(_collections(value, ()))
    if not found:
        return None
    best = max(found, key=lambda one: one.rank)
    # Collections that differ from the best by the name of a part alone are parts with it.
    for at, key in enumerate(best.path):
        around = (best.path[:at], best.path[at + 1 :])
        sisters = [one for one in found if (one.path[:at], one.path[at + 1 :]) == around]
        named = [one for one in sisters if one.path[at].strip().lower() in PARTS and _alike(one.keys, best.keys)]
        if len(named) > 1 and (key.strip().lower() in PARTS or at == len(best.path) - 1):
            return Shape("parts", ".".join(best.path[:at]))
    return Shape(best.orient, ".".join(best.path))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return not (one or other) or 2 * len(one & other) >= max(len(one), len(other))


def _collections(value: Any, path: tuple[str, ...]) -> Iterator[_Found]:
    """Every collection of objects in a value, at any depth but not inside of another."""
    if len(path) > 20:
        return
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], dict) and (inner := list(_collections(value[0], (*path, "0")))):
            largest = max(inner, key=lambda one: one.rank)
            if _is_container(value[0], Shape(largest.orient, ".".join(largest.path[len(path) + 1 :]))):
                yield from inner
                return
        objects = [item for item in value if isinstance(item, dict)]
        if not value:
            yield _Found(path, "records", False, 0, 0, frozenset())
        elif objects and 2 * len(objects) > len(value):
            yield _found(path, "records", objects, len(value))
        elif len(value) > 1 and all(isinstance(item, list) and len(item) > 1 for item in value):
            yield _Found(path, "rows", False, len(value), _letters(value), frozenset())
        return
    if not isinstance(value, dict) or not value:
        return
    if whole := _object_orient(value):
        yield whole._replace(path=path)
        return
    # The fields of pandas' table schema are no documents.
    is_table = isinstance(value.get("schema"), dict) and "fields" in value["schema"] and "data" in value
    for key, inner in value.items():
        if not (is_table and key == "schema"):
            yield from _collections(inner, (*path, key))


def _found(path: tuple[str, ...], orient: str, objects: list[dict[str, Any]], size: int) -> _Found:
    first = objects[:20]
    keys = frozenset(key for one in first for key in one if sum(key in other for other in first) * 2 >= len(first))
    has_text = any(key.strip().lower() in TEXTS for key in keys)
    return _Found(path, orient, has_text, size, _letters(objects[:1000]), keys)


def _object_orient(value: dict[str, Any]) -> _Found | None:
    """What an object is where it is itself a table: pandas' split, lists, columns or index."""
    inner = list(value.values())
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        if columns and all(isinstance(name, (str, int)) for name in columns):
            names = frozenset(map(str, columns))
            return _Found((), "split", _names_text(names), len(data), _letters(data), names)
        return None
    names = frozenset(value)
    if len(inner) > 1 and all(isinstance(one, list) for one in inner):
        sizes = {len(one) for one in inner}
        texts = any(one and all(isinstance(item, str) for item in one) for one in inner)
        objects = any(one and isinstance(one[0], dict) for one in inner)
        if len(sizes) == 1 and sizes != {0} and texts and not objects:
            return _Found((), "lists", _names_text(names), len(inner[0]), _letters(inner), names)
        return None
    if not all(isinstance(one, dict) and one for one in inner):
        return None
    if len(inner) < 2:
        return _found((), "index", inner, 1) if _is_document(inner[0]) else None
    # Objects in an object: of columns where all have the same ids, else one document each.
    first = inner[:20]
    common = set(first[0]).intersection(*first)
    if 2 * len(common) < max(map(len, first)) or any(_holds_list_of_objects(one) for one in first[:3]):
        return None
    keys = frozenset(common)
    by_column = (_names_text(names), not _names_text(keys), _are_numbers(keys), not _are_numbers(names))
    is_columns = by_column[0] or (by_column[1] and by_column[2] and by_column[3])
    if is_columns and all(len(one) == len(first[0]) for one in first):
        return _Found((), "columns", _names_text(names), len(inner[0]), _letters(inner), names)
    if any(isinstance(leaf, str) for one in first for leaf in one.values()):
        return _found((), "index", inner, len(inner))
    return None


def _cut_shape(value: dict[str, Any]) -> Shape | None:
    """The shape of a table by columns that goes on for longer than what is there of it."""
    if isinstance(value.get("columns"), list) and isinstance(value.get("index"), list):
        return Shape("split")
    first = next(iter(value.values()), None)
    if isinstance(first, list) and len(first) > 100:
        return Shape("lists")
    if isinstance(first, dict) and len(first) > 100 and not any(isinstance(one, dict) for one in first.values()):
        return Shape("columns")
    return None


def _names_text(names: frozenset[str]) -> bool:
    return any(name.strip().lower() in TEXTS for name in names)


def _are_numbers(names: frozenset[str]) -> bool:
    return all(name.isdigit() for name in names)


def _holds_list_of_objects(value: dict[str, Any]) -> bool:
    return any(isinstance(one, list) and len(one) > 1 and isinstance(one[0], dict) for one in value.values())


def _is_document(value: dict[str, Any]) -> bool:
    """Whether an object has a text under a name that texts have."""
    return any(key.strip().lower() in TEXTS and isinstance(one, str) and one for key, one in value.items())


def _is_container(value: dict[str, Any], inner: Shape) -> bool:
    """Whether an object holds documents rather than being one: its own text is less than what the collection holds."""
    if _is_document(value):
        return False
    if inner.orient == "parts" or not inner.records:
        return True
    held: Any = value
    for key in inner.records.split("."):
        held = held[int(key)] if isinstance(held, list) else held.get(key, {}) if isinstance(held, dict) else {}
    inside, others = _letters(held), sum(len(leaf) for leaf in value.values() if isinstance(leaf, str))
    return inside > others if inside else not _letters(value)


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        if depth < 20:
            for inner in value.values() if isinstance(value, dict) else value:
                yield from _leaves(inner, depth + 1)
    else:
        yield value


def _letters(value: Any) -> int:
    return sum(len(leaf) for leaf in _leaves(value) if isinstance(leaf, str))

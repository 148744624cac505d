"""One label cell: what notation it stands in, and the values that it holds."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 20
CALLS = re.compile(r"(?:[A-Za-z_]\w*\.)*(array|set|frozenset|list|tuple|Index|Series|(?:str|int|float|bool)\d*_?)\(")
"""What Python and NumPy put around a list or around one of its values."""
TAGS = re.compile(r"(?:<[^<>/][^<>]*>[\s,;|]*)+")
FASTTEXT = re.compile(r"(?:__label__\S+\s*)+")
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d*)?(?:[eE][+-]?\d+)?")
NO_VALUES = frozenset(("none", "null", "nan", "<na>", "nat"))
"""Words without quotes that stand for no value inside brackets."""
ENTITY = re.compile(r"&(?:[A-Za-z]\w*|#\d+|#x[\da-fA-F]+);")
"""A sign as HTML writes it; its semicolon divides nothing."""
DECIMAL_COMMA = re.compile(r"-?\d+,\d+%?")
PAIRS = {"[": "]", "(": ")", "{": "}"}
QUOTES = "'\""
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\n": ""}
CODED = re.compile(r"x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})")
"""A character by its number, after a back-slash."""
SHORTENED = "it is cut short: '...' stands where values were left out; export the file again with all of them"


class Written(float):
    """A number that keeps how it was written: codes such as 38.90 are no quantities."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Written:
        """A number from its digits."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class _NoNotation(ValueError):
    """The text is in none of the notations."""


def parse_cell(text: str) -> list[Any] | dict[str, Any] | None:
    """The list or object that a text writes out in JSON, Python, NumPy, Postgres, tags or fastText; None for any other.

    Sets and tuples become lists in the order in which they are written. Bare words are texts: `[a, b]`, `{a,"b c"}`.

    Raises:
        ValueError: NumPy has left values out (`[1 0 ... 0]`).
    """
    text = text.strip()
    first, last = text[:1], text[-1:]
    if first == "<":
        return re.findall(r"<([^<>]+)>", text) if TAGS.fullmatch(text) else None
    if first == "_":
        return re.findall(r"__label__(\S+)", text) if FASTTEXT.fullmatch(text) else None
    if not (last == PAIRS.get(first) or (last == ")" and CALLS.match(text))):
        return None
    if first != "(":
        try:
            value = json.loads(text, parse_float=Written)
            return value if isinstance(value, (list, dict)) else None
        except (ValueError, RecursionError):
            pass
    try:
        value, end = _Parser(text).value(0, "", 0)
    except (_NoNotation, IndexError, RecursionError):
        return None
    return value if end == len(text) and isinstance(value, (list, dict)) else None


class _Parser:
    """Reads one text from left to right; every method gives a value and the place behind it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, at: int, closer: str, depth: int) -> tuple[Any, int]:
        """A quoted text, a group in brackets, a call around one of them, or a bare word up to `closer`."""
        if depth > MAX_DEPTH:
            raise _NoNotation
        at = self._skip(at, " \t\r\n")
        sign = self.text[at]
        if sign in QUOTES:
            return self._quoted(at)
        if sign in "ubrUBR" and self.text[at + 1 : at + 2] in (*QUOTES,):
            return self._quoted(at + 1)
        if sign in PAIRS:
            return self._group(at, depth)
        if call := CALLS.match(self.text, at):
            return self._call(call.end(), depth)
        return self._bare(at, closer)

    def _skip(self, at: int, signs: str) -> int:
        while self.text[at] in signs:
            at += 1
        return at

    def _quoted(self, at: int) -> tuple[str, int]:
        quote, letters = self.text[at], list[str]()
        at += 1
        while (sign := self.text[at]) != quote:
            if sign == "\\":
                at += 1
                if coded := CODED.match(self.text, at):
                    number = int(coded[1] or coded[2] or coded[3], 16)
                    sign, at = chr(min(number, 0x10FFFF)), coded.end() - 1
                else:
                    sign = ESCAPES.get(self.text[at], self.text[at])
            letters.append(sign)
            at += 1
        return "".join(letters), at + 1

    def _call(self, at: int, depth: int) -> tuple[Any, int]:
        if self.text[at] == ")":
            return [], at + 1
        value, at = self.value(at, ")", depth + 1)
        at = self._skip(at, " \t\r\n")
        if self.text[at] == ",":  # dtype=object
            at = self.text.index(")", at) if ")" in self.text[at:] else len(self.text)
        if self.text[at] != ")":
            raise _NoNotation
        return value, at + 1

    def _group(self, at: int, depth: int) -> tuple[Any, int]:
        opener = self.text[at]
        closer = PAIRS[opener]
        items, keys = list[Any](), list[str]()
        at = self._skip(at + 1, " \t\r\n")
        if opener == "(" and self.text[at] not in "'\"[({)" and not re.match(r"[\w.]+\(|-?[\d.]+\s*,", self.text[at:]):
            raise _NoNotation  # "(a) b" is a name
        while self.text[at] != closer:
            if self.text[at] == ",":
                at = self._skip(at + 1, " \t\r\n")
                continue
            item, at = self.value(at, closer, depth + 1)
            at = self._skip(at, " \t\r\n")
            if opener == "{" and self.text[at] == ":":
                keys.append(str(item))
                item, at = self.value(at + 1, closer, depth + 1)
                at = self._skip(at, " \t\r\n")
            is_name = opener == "{" and not keys and str(item).lower() in ("true", "false")
            if isinstance(item, _Bare):
                items += [str(item)] if is_name else self._numbers(item, opener)
            else:
                items.append(item)
        if opener == "{" and keys:
            if len(keys) != len(items):
                raise _NoNotation
            return dict(zip(keys, items, strict=True)), at + 1
        return items, at + 1

    def _bare(self, at: int, closer: str) -> tuple[_Bare, int]:
        end = at
        while self.text[end] not in (",", closer):
            if self.text[end] == ":" and closer == "}" and re.match(r":(\s|[\d'\"\[{-])", self.text[end : end + 2]):
                break
            end += 1
        return _Bare(self.text[at:end].strip()), end

    @staticmethod
    def _numbers(word: _Bare, opener: str) -> list[Any]:
        """A bare word as what it means: several numbers between blanks as NumPy writes them, a number, a name."""
        tokens = word.split()
        if "..." in tokens:
            raise ValueError(SHORTENED)
        if opener != "{" and len(tokens) > 1 and all(map(_is_plain, tokens)):
            return [_meaning(token) for token in tokens]
        return [_meaning(word)]


class _Bare(str):
    """A word without quotes."""

    __slots__ = ()


def _is_plain(token: str) -> bool:
    return bool(NUMBER.fullmatch(token)) or token in ("True", "False", "nan")


def _meaning(word: str) -> Any:
    lower = word.lower()
    if lower in NO_VALUES:
        return None
    if lower in ("true", "false"):
        return lower == "true"
    if found := NUMBER.fullmatch(word):
        return Written(word) if found[1] is not None or "e" in lower else int(word) if len(word) < 19 else word
    return str(word)


def number_of(value: Any) -> float:
    """The number of a cell; with a decimal comma, or as a percentage, if it is written so.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        word = value.strip()
        if DECIMAL_COMMA.fullmatch(word):
            word = word.replace(",", ".")
        return float(word[:-1]) / 100 if word.endswith("%") else float(word)
    if isinstance(value, (bool, int, float)):
        return float(value)
    raise ValueError(value)


def is_missing(value: Any) -> bool:
    """Whether a value is none: null, or no number."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def cut(text: str, separators: tuple[str, ...]) -> list[str]:
    """The parts of a text between the first of some separators that it holds, without outer blanks; empty ones go."""
    for separator in separators:
        if separator in text:
            if separator == ";" and "&" in text:
                text = ENTITY.sub(lambda found: html.unescape(found[0]), text)
            return [part for piece in text.split(separator) if (part := _unquoted(piece.strip()))]
    return [part] if (part := _unquoted(text.strip())) else []


def _unquoted(name: str) -> str:
    """A name without the quotes around it."""
    is_quoted = len(name) > 2 and name[0] in QUOTES and name[-1] == name[0] and name[0] not in name[1:-1]
    return name[1:-1].strip() if is_quoted else name


def label_of(item: Any, *, decimals: bool = False) -> str:
    """The name of a label that stands as a text or a number; empty for blanks.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(item, str):
        return item.strip().removeprefix("__label__")
    if isinstance(item, float) and (decimals or item.is_integer()):
        return str(item) if decimals else str(int(item))
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    raise ValueError(item)


# Cells of objects: dicts of flags or scores, lists of objects, trees of Label Studio.

KEYS = ("label", "name", "label_name", "labels", "tag", "category", "class", "topic", "term", "title", "descriptorname")
"""Keys that usually hold the label of an object, the most telling first."""
SCORES = ("score", "confidence", "probability", "prob", "selected", "checked", "present", "value")
"""Keys that usually say whether, or how surely, an object's label is set."""
CHOICES = ("choices", "taxonomy")
"""Keys under which Label Studio has the labels that were chosen."""


def is_record(values: list[dict[str, Any]]) -> bool:
    """Whether objects are rows of columns rather than the labels of a document."""
    sizes = [value for one in values for value in one.values()]
    if any(any(True for _ in _chosen(one)) for one in values):
        return False
    if all(isinstance(value, (bool, int, float)) or value is None for value in sizes):
        return not all(value is None or 0 <= value <= 1 or value == -1 for value in sizes) and _same_keys(values)
    if all(isinstance(value, str) or value is None for value in sizes):
        return _same_keys(values) or len(values) == 1
    return True


def _same_keys(values: list[dict[str, Any]]) -> bool:
    shared = set.intersection(*map(set, values)) if values else set[str]()
    return bool(shared) and len(shared) >= 0.5 * max(map(len, values))


def _chosen(value: Any, depth: int = 0, control: str = "") -> Iterator[Any]:
    """What was chosen in Label Studio, anywhere in an object or a list of them; of one control where it is named."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from _chosen(item, depth + 1, control)
    elif isinstance(value, dict):
        if value.get("was_cancelled") or (control and value.get("from_name", control) != control):
            return
        for key in CHOICES:
            if isinstance(found := value.get(key), list):
                yield from (" / ".join(map(str, one)) if isinstance(one, list) else one for one in found)
        for key in ("value", "result", "annotations"):
            if isinstance(found := value.get(key), (dict, list)):
                yield from _chosen(found, depth + 1, control)


def controls_in(value: Any, depth: int = 0) -> set[str]:
    """Names of the controls of Label Studio with which something was chosen, in an object or a list of them."""
    items = value if isinstance(value, list) else [value]
    found = set[str]()
    for item in items if depth < MAX_DEPTH else ():
        if isinstance(item, dict):
            if isinstance(item.get("from_name"), str) and any(True for _ in _chosen(item.get("value"))):
                found.add(item["from_name"])
            found |= controls_in([item.get("result"), *(item.get("annotations") or ())], depth + 1)
        elif isinstance(item, list):
            found |= controls_in(item, depth + 1)
    return found


def chosen_in(value: Any, control: str = "") -> list[Any] | None:
    """The choices of a Label Studio cell, of one control where it is named; None where it is none."""
    found = list(_chosen(value, 0, control))
    return found if found or _is_tree(value) else None


def _is_tree(value: Any) -> bool:
    """Whether this is an annotation of Label Studio in which nothing was chosen."""
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, dict) and ("result" in item or "choices" in item) for item in items)


def keys_of(items: list[Any]) -> list[str]:
    """Keys of objects under which texts stand, the usual ones first."""
    held = dict.fromkeys(
        key for item in items if isinstance(item, dict) for key, value in item.items() if isinstance(value, str)
    )
    usual = [key for name in KEYS for key in held if key.lower() == name]
    return [*usual, *(key for key in held if key not in usual)]


def score_key(items: list[Any]) -> str:
    """The key of objects that says how surely their label is set; empty where none does in all."""
    objects = [item for item in items if isinstance(item, dict)]
    for key in SCORES:
        values = [item.get(key) for item in objects]
        if objects and all(isinstance(value, (bool, int, float)) and 0 <= value <= 1 for value in values):
            return key
    return ""

"""Labels of one row, in every way in which columns hold them: a column each, names in one cell, vectors, objects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.cells import (
    ENTITY,
    chosen_in,
    cut,
    is_missing,
    keys_of,
    label_of,
    number_of,
    parse_cell,
    score_key,
)
from core.data.readers.flags import FlagValues
from core.data.readers.row import INDICATOR

MAX_LABEL = 1000
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


class CellError(ValueError):
    """A cell that is no label.

    Attributes:
        column: where it stands.
    """

    def __init__(self, column: str, words: str) -> None:
        self.column = column
        super().__init__(words)


class LabelReader:
    """Reads the labels of rows, as a mapping says."""

    def __init__(self, file: FileConfig, tally: Counter[str]) -> None:
        self.file, self.tally = file, tally
        self.seps = tuple(filter(None, (file.sep, *file.other_seps)))
        self.pick = itemgetter(*file.labels) if len(file.labels) > 1 else None
        self.states = dict[Any, int]()
        self.is_set = bytearray(len(file.labels))
        self.places = {name: at for at, name in enumerate(file.labels)}
        self.says_no = False

    def read(self, values: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
        """The labels of a row, each once, and whether some are unknown.

        Raises:
            CellError: a cell that is no label.
        """
        return self._flags(values) if self.file.sep == INDICATOR else self._cells(values)

    def finish(self) -> None:
        """Counts what is known at the end alone: columns of labels that are never set."""
        if self.file.sep == INDICATOR:
            unset = (column for column, is_set in zip(self.file.labels, self.is_set, strict=True) if not is_set)
            self.tally.update(f"unset {column}" for column in unset)
            if not self.says_no:
                self.tally.pop("blank flags", None)

    # Labels in a column each.

    def _flags(self, values: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
        names = self.file.labels
        if isinstance(values, FlagValues):
            for name in values.flags:
                self.is_set[self.places[name]] = 1
            self.says_no = True
            return values.flags, False
        try:
            cells = self.pick(values) if self.pick else (values[names[0]],)
            states = bytes(map(self.states.__getitem__, cells))
        except (KeyError, TypeError):  # a key that is missing, or a value that comes for the first time
            cells = [value_at(values, column) for column in names]
            states = bytes(self._state(column, value) for column, value in zip(names, cells, strict=True))
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

    def _state(self, column: str, value: Any) -> int:
        if is_missing(value):
            return BLANK
        if isinstance(value, (dict, list)):
            raise CellError(column, f"found {shown(value)} where 0 or 1 is expected.")
        word = str(value).strip().lower()
        state = STATES.get(word)
        if self.file.cut is not None and state != BLANK:
            try:
                number = number_of(word)
            except ValueError:
                raise CellError(column, f"found {shown(value)} where a number is expected.") from None
            return UNKNOWN if number == -1 else YES if number >= self.file.cut else NO
        if state is None:
            raise CellError(
                column,
                f"found {shown(value)} where 0 or 1 is expected. Name the columns that are labels (--labels), or say "
                "from which number on a label is set (--cut).",
            )
        self.states[value] = state
        return state

    # Labels in one cell, or in several columns that are joined.

    def _cells(self, values: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
        labels, is_unknown = dict[str, None](), False
        for column in self.file.labels:
            value = value_at(values, column)
            try:
                items, unknown = self._items(value)
                names = [name for item in items if (name := self._name(item))]
            except _NoLabelError as error:
                raise CellError(column, f"found {shown(error.item)} where a label is expected.") from None
            except ValueError as error:
                raise CellError(column, f"{error}.") from None
            if long := next((name for name in names if len(name) > MAX_LABEL), ""):
                words = (
                    f"a label of {len(long):,} characters; is this the right column, and the right separator (--sep)?"
                )
                raise CellError(column, words)
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
                    f"found {shown(value)} where 0 or 1 is expected; say from which number on a label is set (--cut)"
                )
                raise ValueError(words)
            return state
        try:
            number = number_of(value)
        except ValueError:
            words = f"found {shown(value)} where a number is expected"
            raise ValueError(words) from None
        return UNKNOWN if number == -1 else YES if number >= self.file.cut else NO

    def _objects(self, value: Any) -> tuple[Iterable[Any], bool]:
        """Labels of an object, or of a list of them."""
        if (chosen := chosen_in(value, self.file.label_key)) is not None:
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


def shown(value: Any) -> str:
    """A value in a sentence, cut short."""
    words = re.sub(r"\s+", " ", json.dumps(value, default=str))
    return words if len(words) <= 40 else f"{words[:40]}..."

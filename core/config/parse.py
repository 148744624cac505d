"""From JSON, mappings and `key=value` to settings; every fault is one sentence with the nearest name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from core.config.schema import Frozen, RunConfig
from core.system.errors import UserError
from core.system.files import Broken, parse_json

Settings = TypeVar("Settings", bound=Frozen)


def parse(kind: type[Settings], values: Mapping[str, Any] | str, *, where: str = "") -> Settings:
    """Makes settings from a mapping or JSON text; `where` is the file or option that messages begin with.

    Raises:
        UserError: broken JSON (line and column), an unknown key (with the nearest), a value out of range.
    """
    prefix = f"{where}: " if where else ""
    if isinstance(values, str):
        values = parse_text(values, where=where)
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix}expected an object with settings, found {type(values).__name__}.")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        words = _in_words(kind, error)
        raise UserError(f"{prefix}{words}" if prefix else words[:1].upper() + words[1:]) from None
    except UserError as error:
        raise UserError(f"{prefix}{error}") from None


def parse_text(text: str, *, where: str = "") -> Any:
    """The value of JSON text that a person gives; `where` is the file or option that messages begin with.

    Raises:
        UserError: broken JSON (line and column), or a number, depth or text that `parse_json` refuses.
    """
    try:
        return parse_json(text)
    except Broken as error:
        prefix, place = f"{where}: " if where else "", f" at {error.place}" if error.place else ""
        raise UserError(f"{prefix}not JSON{place}: {error.words}.") from None


def with_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """Applies `key=value` strings such as `loss.mu=0.8` or `train.epochs=3` to a config.

    Raises:
        UserError: no `=`, an unknown key, a value that does not fit.
    """
    values = config.model_dump()
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise UserError(f"--set {_cut(change)}: write it as key=value, for example train.epochs=3.")
        # Walk to the section that holds the setting.
        *path, last = key.strip().split(".")
        place: Any = values
        for step in path:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            known = ", ".join(setting_names(RunConfig))
            near = difflib.get_close_matches(key, setting_names(RunConfig), n=1)
            raise UserError(
                f"--set {_cut(change)}: there is no setting '{_cut(key)}' here."
                + (f" Did you mean '{near[0]}'?" if near and near[0] != key else "")
                + f" Settings are: {known}."
            )
        # The value is JSON where it can be read as such, else text.
        try:
            place[last] = parse_json(text)
        except Broken as error:
            if not error.place.startswith("line "):  # JSON, but of a number or depth that no setting has
                raise UserError(f"--set '{_cut(key)}' is {_cut(text)}: {error.words}.") from None
            place[last] = text
    return parse(RunConfig, values)


def change(key: str, value: Any) -> str:
    """A setting and its value as `with_changes` reads them."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def walk(settings: type[BaseModel] | BaseModel | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested settings; of a class, its fields."""
    if isinstance(settings, type):
        items: Mapping[str, Any] = {name: _settings_in(field) or field for name, field in settings.model_fields.items()}
    else:
        items = settings.model_dump() if isinstance(settings, BaseModel) else settings
    for key, value in items.items():
        if isinstance(value, (type, Mapping)):
            yield from ((f"{key}.{name}", inner) for name, inner in walk(value))
        else:
            yield key, value


def _settings_in(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a field that holds settings, or settings or None."""
    inner = (field.annotation, *get_args(field.annotation))
    return next((one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), None)


def differences(old: BaseModel | Mapping[str, Any], new: BaseModel | Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Dotted name, old and new value of the settings that differ, in the order of `new`; None of what is not there."""
    before, after = dict(walk(old)), dict(walk(new))
    names = dict.fromkeys([*after, *before])
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _cut(text: str) -> str:
    """A text of a person's in at most 100 letters."""
    return text if len(text) <= 100 else f"{text[:99]}…"


def setting_names(kind: type[BaseModel]) -> list[str]:
    """Dotted names of all settings, nested ones included; members and weights of a combined run are none."""
    return [name for name, _ in walk(kind) if not name.startswith("combined.")]


def _in_words(kind: type[Frozen], error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        key = ".".join(str(step) for step in problem["loc"] if not re.match(r"^(literal|function)", str(step)))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, setting_names(kind), n=1, cutoff=0.5)
            hint = f" Did you mean '{near[0]}'?" if near else f" Settings are: {', '.join(setting_names(kind))}."
            sentences.append(f"there is no setting '{_cut(key)}'.{hint}")
        else:
            sentences.append(f"'{key}' is {_cut(repr(problem['input']))}: {problem['msg'].lower()}.")
    return " ".join(dict.fromkeys(sentences))

"""The settings that a run's `config.json` holds, completed by those that did not exist yet when it was written."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from core.config.parse import parse
from core.config.schema import DataConfig, Frozen, LossConfig, ModelConfig, RunConfig, TrainConfig
from core.system.errors import UserError
from core.system.files import Broken, describe_broken, parse_json

SECTIONS: dict[str, type[Frozen]] = {"data": DataConfig, "model": ModelConfig, "loss": LossConfig, "train": TrainConfig}
THEN = {"model": ModelConfig().model_dump(), "train": TrainConfig().model_dump()}
"""Of a setting that did not exist yet when a config was stored, what was done then."""
NEXT = b'\n "'
"""Before each entry of an object as `write_json` writes it; never inside an entry, where a line begins otherwise."""


@lru_cache(maxsize=4096)
def parse_config(content: bytes, run_id: str) -> RunConfig:
    """The settings that the content of a `config.json` says.

    Raises:
        UserError: it is damaged.
    """
    try:
        return _parse_entries(content)
    except (ValueError, UserError):  # damaged, or written by hand: all of it is read at once
        pass
    try:
        values = parse_json(content)
    except Broken as error:
        raise UserError(describe_broken(f"{run_id}/config.json", error)) from None
    return parse(RunConfig, _complete(values), where=f"{run_id}: config.json")


def _parse_entries(content: bytes) -> RunConfig:
    """The settings, read entry by entry: of a thousand runs most entries are alike, and each is parsed once.

    Raises:
        ValueError: an entry is no JSON by itself, or its settings are wrong.
        UserError: settings that do not go together.
    """
    before, *entries, last = content.split(NEXT)
    after = last.rstrip()
    if before != b"{" or not all(entry.endswith(b",") for entry in entries) or not after.endswith(b"\n}"):
        raise ValueError("not laid out as this program does")
    return RunConfig.model_validate(dict(_parse_entry(entry) for entry in (*(one[:-1] for one in entries), after[:-2])))


@lru_cache(maxsize=4096)
def _parse_entry(entry: bytes) -> tuple[str, Any]:
    """A key without its first quote, and its value; a section of settings as such."""
    ((key, value),) = parse_json(b'{"%b}' % entry).items()
    if key in SECTIONS and isinstance(value, dict):
        value = SECTIONS[key].model_validate(_complete({key: value})[key])
    return key, value


def _complete(values: Any) -> Any:
    """A stored config with the settings that did not exist yet: what was done then is the default of their class.

    What is not given in a new config is the default of its model, which may be better.
    """
    if not isinstance(values, dict):
        return values
    known = {
        section: usual | values[section] for section, usual in THEN.items() if isinstance(values.get(section), dict)
    }
    return values | known

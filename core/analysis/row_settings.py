"""Which row a text means by its settings, as older addresses and commands name rows; and how usual its settings are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.config.parse import walk
from core.config.schema import RunConfig
from core.runs.plan import name_members

if TYPE_CHECKING:
    from core.analysis.tables import Row

OLD_NAME = re.compile(r"\d+ more|[0-9a-f]{10}")
"""Parts of a row's name in older addresses and commands that name no setting."""


def find_row(rows: Sequence[Row], words: str) -> str:
    """The name of the row that is called so; empty where none is, or several are.

    Args:
        rows: of `fold`.
        words: a name as it stands in a table; what the row is called by its settings; or, as in older addresses, its
            method and some of its settings with dots between them, `db · tfidf · hidden 64`.
    """
    for called in ([row.name for row in rows], [row.by_settings for row in rows]):
        if words in called:
            return rows[called.index(words)].name
    parts = {part for part in words.split(" · ") if not OLD_NAME.fullmatch(part)}
    fitting = [row for row in rows if parts and parts <= _facts(row)]
    # Of several rows the older name without a setting is that of the one with the usual settings.
    unusual = [count_changes(row.runs[0].config) for row in fitting]
    least = [row.name for row, many in zip(fitting, unusual, strict=True) if many == min(unusual)]
    return least[0] if len(least) == 1 else ""


def _facts(row: Row) -> set[str]:
    """What an older name may say of a row."""
    config = row.runs[0].config
    settings = {f"{key.rpartition('.')[2]} {value}" for key, value in walk(config)}
    return {row.method, name_members(config), config.model.name, config.data.title, *settings}


@lru_cache(maxsize=4096)
def count_changes(config: RunConfig) -> int:
    """How many settings a run has that are not those of its model and loss by themselves."""
    usual = dict(walk(_usual(config)))
    return sum(key in usual and usual[key] != value for key, value in walk(config))


def _usual(config: RunConfig) -> dict[str, Any]:
    """The settings that a model and a loss have where nothing is given, but for model and loss themselves."""
    named: dict[str, Any] = {"model": {"name": config.model.name}, "combined": config.combined}
    if config.loss:
        named["loss"] = {"name": config.loss.name}
    values = RunConfig.model_validate(named).model_dump(include={"model", "train", "loss"})
    del values["model"]["name"]
    return values

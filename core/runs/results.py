"""What a finished run gave: metrics and named thresholds, checked when they are read."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, ValidationError

from core.labels.groups import Borders
from core.runs.folder import Folder, Run
from core.runs.stored import Scores, Stored, Thresholds, describe, is_valid
from core.system.access import check_writable
from core.system.errors import UserError
from core.system.files import Broken, describe_broken, parse_json, read_bytes, read_json, say_unwritable, write_json
from core.system.locks import locked
from core.system.places import cache_dir

NEEDED = ("labels", "counts", "borders", "threshold", "threshold_rule", "fingerprint", "command", "versions", "seconds")
"""Keys of `metrics.json` that the results pages read."""


class StoredBorders(Stored):
    """What `core.labels.groups.Borders` are made of."""

    head: NonNegativeInt = 35
    tail: NonNegativeInt = 8
    unseen_apart: bool = False


class Results(Stored):
    """The types of what `metrics.json` holds, where it does; an older version may not have written all of it."""

    test: Scores
    validation: Scores = Field({})
    labels: list[str] = Field([])
    counts: list[NonNegativeInt] = Field([])
    borders: StoredBorders = Field(StoredBorders())
    threshold: float | list[float] = 0.5
    threshold_rule: str = ""
    fingerprint: str = ""
    source: str = ""
    command: str = ""
    versions: dict[str, str] = Field({})
    scores: dict[str, dict[str, float | None] | float | None] = Field({})
    documents: dict[str, NonNegativeInt] = Field({})
    memory: NonNegativeInt | None = None
    seconds: NonNegativeFloat = 0.0


def read_metrics(run: Folder) -> dict[str, Any]:
    """The scores of a finished run, as its `metrics.json` holds them: each entry of the type that `Results` says.

    Its lists and dicts are shared by all who read the same content: they are read, never changed.

    Raises:
        UserError: the run has not finished, or the file is damaged.
    """
    if run.state != "finished":
        raise UserError(f"Run {run.id} has no scores: it is {run.state}.")
    path = run.path / "metrics.json"
    content = read_bytes(path)
    return dict((_parse_small if len(content) <= SMALL else _parse_large)(content, path, run.id))


def _parse_metrics(content: bytes, path: Path, run_id: str) -> dict[str, Any]:
    """The scores that the content of a `metrics.json` says."""
    try:
        metrics = parse_json(content)
    except Broken as error:
        raise UserError(describe_broken(path, error)) from None
    wrong = ""
    if not isinstance(metrics, dict) or "test" not in metrics:
        wrong = "it holds no test scores"
    else:
        try:
            Results.model_validate(metrics)
        except ValidationError as error:
            wrong = describe(error.errors(include_url=False)[0])
    if wrong:
        raise UserError(f"{run_id}: metrics.json is damaged ({wrong}). Delete the run and train it again.")
    return metrics


SMALL = 1 << 17
"""Bytes of a small `metrics.json`; what many of them say, and what few larger ones say, is parsed once."""
_parse_small, _parse_large = (lru_cache(maxsize=many)(_parse_metrics) for many in (1024, 32))


def read_results(run: Run) -> dict[str, Any]:
    """`read_metrics` with all that the results pages need.

    Raises:
        UserError: the run has not finished, another version wrote its metrics, or they are not what they should be (a
            text for a number, NaN, a label twice).
    """
    metrics = read_metrics(run)
    # Keys.
    if missing := [key for key in NEEDED if key not in metrics]:
        raise UserError(
            f"{run.id}: metrics.json does not hold {', '.join(missing)}: an older version wrote it, or it is "
            "damaged. Delete the run and train it again."
        )
    # What the values have to be to one another.
    labels, threshold = metrics["labels"], metrics["threshold"]
    wrong = "" if len(labels) == len(metrics["counts"]) else "labels and counts differ in number"
    wrong = wrong or ("" if len(set(labels)) == len(labels) else "a label is there twice")
    each = isinstance(threshold, list) and len(threshold) != len(labels)
    wrong = wrong or ("labels and thresholds differ in number" if each else "")
    wrong = wrong or ("" if metrics["test"].get("all") else "the scores of all labels are missing")
    try:
        Borders(**metrics["borders"])
    except (TypeError, UserError):
        wrong = wrong or "its borders make no sense"
    if wrong:
        raise UserError(f"{run.id}: metrics.json is damaged ({wrong}). Delete the run and train it again.")
    return metrics


CHOSEN_ON = ("validation", "test")
"""Parts by whose scores kept thresholds can have been chosen."""
UNKNOWN = "unknown"
"""By which part thresholds were chosen that an older version kept."""
MAX_NAME = 60


def count_documents(metrics: Mapping[str, Any], part: str) -> int:
    """Documents of a part of a run's data, as its `metrics.json` holds them; 0 where an older version did not."""
    return int((metrics.get("documents") or {}).get(part) or 0)


def read_threshold_sets(run: Run) -> dict[str, dict[str, Any]]:
    """The named thresholds of a run.

    Returns:
        By name, `rule`, `values` (one number for all labels, or one for each, of any number: who uses a set checks it,
        so that one that does not fit hides no other) and, but for those that an older version kept, `chosen_on` (one of
        `CHOSEN_ON`). Empty if none were kept.

    Raises:
        UserError: the file is damaged.
    """
    if not os.path.lexists(run.path / "thresholds.json"):
        return {}
    sets = read_json(run.path / "thresholds.json")
    if not isinstance(sets, dict) or not all(
        isinstance(one, dict) and is_valid(Thresholds, one) for one in sets.values()
    ):
        raise UserError(f"{run.id}: thresholds.json is damaged: it holds no named thresholds. Delete that file.")
    return sets


def read_threshold_set(run: Run, name: str) -> dict[str, Any]:
    """One of `read_threshold_sets`.

    Raises:
        UserError: the run keeps none of this name, or the file is damaged.
    """
    return _get_set(run, read_threshold_sets(run), name)


def read_chosen_on(run: Run, name: str) -> str:
    """The part by whose scores kept thresholds were chosen: `validation`, `test`, or `unknown`.

    What was chosen on test is no fair estimate of what new documents get.

    Raises:
        UserError: the run keeps none of this name, or the file is damaged.
    """
    chosen_on = read_threshold_set(run, name).get("chosen_on")
    return chosen_on if chosen_on in CHOSEN_ON else UNKNOWN


def save_threshold_set(
    run: Run, name: str, *, rule: str, values: float | list[float], chosen_on: str | None = None
) -> None:
    """Keeps thresholds under a name; the same name again replaces them. Two people who save at once lose neither.

    Args:
        run: the run.
        name: 1 to 60 letters; spaces around it are dropped.
        rule: how they were found.
        values: one for all labels, or one for each, (L,).
        chosen_on: one of `CHOSEN_ON`; anything else is not written, and reads as unknown.

    Raises:
        UserError: a name that is empty, too long or not one line, a published run, or `thresholds.json` is damaged.
    """
    name = _check_name(name)
    known = {"chosen_on": chosen_on} if chosen_on in CHOSEN_ON else {}
    _change_sets(run, lambda sets: {**sets, name: {"rule": rule, "values": values, **known}})


def rename_threshold_set(run: Run, name: str, new: str) -> None:
    """Gives kept thresholds another name; all else of them stays, and the place among the others.

    Raises:
        UserError: nothing is kept as `name`, something is as `new`, and as `save_threshold_set`.
    """
    new = _check_name(new)

    def renamed(sets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        _get_set(run, sets, name)
        if new != name and new in sets:
            raise UserError(f"{run.id} keeps thresholds named '{new}' already: take another name.")
        return {new if one == name else one: kept for one, kept in sets.items()}

    _change_sets(run, renamed)


def delete_threshold_set(run: Run, name: str) -> None:
    """Deletes kept thresholds for good.

    Raises:
        UserError: nothing is kept as `name`, and as `save_threshold_set`.
    """

    def without(sets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        _get_set(run, sets, name)
        return {one: kept for one, kept in sets.items() if one != name}

    _change_sets(run, without)


def _check_name(name: str) -> str:
    """A name for thresholds, without spaces around it."""
    if not name.strip() or len(name) > MAX_NAME:
        raise UserError(f"Thresholds need a name of 1 to {MAX_NAME} letters.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name.strip()):
        raise UserError("A name for thresholds is one line of letters: take out line breaks and control characters.")
    return name.strip()


def _get_set(run: Run, sets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Kept thresholds by their name."""
    if name not in sets:
        kept = f"it keeps {', '.join(sets)}" if sets else "it keeps none; keep some on the page Errors"
        raise UserError(f"{run.id} has no thresholds named '{name}': {kept}.")
    return sets[name]


def _change_sets(run: Run, change: Callable[[dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]) -> None:
    """Reads, changes and writes the named thresholds of a run while nobody else does."""
    check_writable()
    if run.published:
        raise UserError(f"Run {run.id} is published and never changed: train it yourself to keep thresholds with it.")
    with say_unwritable(f"Thresholds of run {run.id}"), locked(cache_dir() / "locks" / "thresholds.lock"):
        write_json(run.path / "thresholds.json", change(read_threshold_sets(run)))

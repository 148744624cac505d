"""What a run writes while it works: status, history, steps, events, heartbeat, log."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.system.errors import UserError
from core.system.files import read_json, write_json, write_text


def as_number(value: Any) -> float | None:
    """A number as float; None where a file holds anything else in its place."""
    return float(value) if isinstance(value, int | float) else None


def read_status(path: Path) -> dict[str, Any]:
    """The status as last written.

    Raises:
        UserError: it is missing or damaged.
    """
    status = read_json(path / "status.json")
    if not isinstance(status, dict):
        raise UserError(f"{path.name}: status.json is damaged: expected an object.")
    return status


def update_status(path: Path, **changes: Any) -> None:
    """Rewrites the status with some of its entries changed, atomically. Only one process writes it at a time.

    Raises:
        UserError: the status is missing or damaged.
    """
    write_json(path / "status.json", {**read_status(path), **changes})


def append_history(path: Path, line: dict[str, Any]) -> None:
    """Adds one line to `history.jsonl` in a single write."""
    _append(path / "history.jsonl", line)


def append_step(path: Path, line: dict[str, Any]) -> None:
    """Adds one line to `steps.jsonl`, the steps between evaluations, in a single write."""
    _append(path / "steps.jsonl", line)


def append_event(path: Path, what: str, **more: Any) -> None:
    """Adds what happened to a run and when to `events.jsonl`; on a full disk the event is lost, never the run's state.

    Args:
        path: the run's folder.
        what: in a few words.
        more: entries of the line beside `time` and `what`.
    """
    with suppress(OSError):
        _append(path / "events.jsonl", {"time": time.time(), "what": what, **more})


def read_events(path: Path) -> list[dict[str, Any]]:
    """What happened to a run, the first event first; empty if there is no file.

    Returns:
        `time` in unix seconds, `what`, and what else was written of it; damaged lines are left out.
    """
    return [event for event in _lines(path / "events.jsonl") if as_number(event.get("time")) and event.get("what")]


def read_heartbeat(path: Path) -> dict[str, float]:
    """The last heartbeat of a run's worker; empty if there is none or it is damaged.

    Returns:
        `time` in unix seconds, `cpu` in percent of a core, `memory`, `of_memory` and `gpu` in bytes.
    """
    try:
        beat = read_json(path / "heartbeat.json")
    except UserError:
        return {}
    return {key: float(value) for key, value in beat.items() if as_number(value) is not None} if beat else {}


def _append(file: Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line, allow_nan=False) + "\n")


def cut_lines(path: Path, *, history: int, steps: int) -> None:
    """Keeps the first lines of a run's history and steps: what was written after its checkpoint happens again.

    Args:
        path: the run's folder.
        history: lines of `history.jsonl` to keep.
        steps: lines of `steps.jsonl` to keep.
    """
    for name, lines in (("history.jsonl", history), ("steps.jsonl", steps)):
        if (path / name).exists():
            kept = path.joinpath(name).read_text("utf-8", errors="replace").splitlines(keepends=True)[:lines]
            write_text(path / name, "".join(kept))


def read_history(path: Path) -> list[dict[str, Any]]:
    """One entry per epoch; empty before the first. A last line that is being written and damaged ones are left out."""
    return _lines(path / "history.jsonl")


def read_last(path: Path, name: str) -> dict[str, Any]:
    """The last whole line of `history.jsonl` or `steps.jsonl`, however long the file is; empty if there is none."""
    try:
        with path.joinpath(name).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            lines = file.read().rpartition(b"\n")[0].splitlines()
        entry = json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def score_of(entry: dict[str, Any], metric: str) -> float:
    """The validation score of a history entry by a name of `train.metric`, 0..1; 0 where it is undefined."""
    group, name = ("tail", "macro_f1") if metric == "tail_macro_f1" else ("all", metric)
    return float((entry["validation"].get(group) or {}).get(name) or 0.0)


def read_steps(path: Path) -> list[dict[str, Any]]:
    """One entry every few seconds of training, as `read_history` reads them."""
    return _lines(path / "steps.jsonl")


def _lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that hold an object; empty if it cannot be read."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return []
    entries = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def read_log(path: Path, last: int = 200) -> list[str]:
    """The last lines of `log.txt`, at most those of its last 256 KiB; empty if there is none."""
    try:
        with path.joinpath("log.txt").open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 262_144))
            return file.read().decode("utf-8", errors="replace").splitlines()[-last:]
    except OSError:
        return []

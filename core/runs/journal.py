"""What a run writes while it works: status, history, steps, events, heartbeat, log."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.runs.layout import job_file
from core.runs.stored import Epoch, Event, Heartbeat, Identity, Job, Status, Step, Stored, keep_valid, select_valid
from core.system.errors import UserError
from core.system.files import (
    SMALL_BYTES,
    open_regular,
    parse_fields,
    read_bytes,
    read_fields,
    read_lines,
    write_json,
    write_text,
)

LINES: dict[str, type[Stored]] = {"history.jsonl": Epoch, "steps.jsonl": Step, "events.jsonl": Event}
"""Files with an object on each line, and its type."""
LAST_BYTES = 65_536
"""Of a file whose last line alone is asked for."""


def read_status(path: Path) -> dict[str, Any]:
    """The status as last written, without entries that are not what they should be.

    Raises:
        UserError: it is missing or damaged, or holds no state.
    """
    return read_known_status(path)[0]


def read_known_status(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The status as last written, and a clause on each entry that was left out because it is damaged.

    Raises:
        UserError: it is missing or damaged, or holds no state.
    """
    status, wrong = _parse_status(read_bytes(f"{path}/status.json", most=SMALL_BYTES), path.name)
    return dict(status), list(wrong)


@lru_cache(maxsize=4096)
def _parse_status(content: bytes, run_id: str) -> tuple[dict[str, Any], list[str]]:
    """What the content of a `status.json` says; most runs have ended, and say the same every time."""
    values, wrong = parse_fields(content, f"{run_id}/status.json")
    status, dropped = keep_valid(Status, values)
    if "state" not in status:
        raise UserError(f"{run_id}: status.json holds no state of a run.")
    named = tuple(words.partition(":")[0] for words in wrong)
    return status, wrong + [words for words in dropped if not words.startswith(named)]


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
    return read_whole_lines(path, "events.jsonl")[0]


def read_heartbeat(path: Path) -> dict[str, float]:
    """The last heartbeat of a run's worker; empty if there is none or it is damaged.

    Returns:
        `time` in unix seconds, `cpu` in percent of a core, `memory`, `of_memory` and `gpu` in bytes.
    """
    try:
        beat, _ = keep_valid(Heartbeat, read_fields(path / "heartbeat.json")[0])
    except UserError:
        return {}
    return {key: float(value) for key, value in beat.items() if type(value) in (int, float)}


def read_process(path: Path) -> dict[str, Any] | None:
    """The `core.system.processes.identity` of the process that was started for a run; None if no file says one."""
    try:
        process, dropped = keep_valid(Identity, read_fields(path / "process.json")[0])
    except UserError:
        return None
    return None if dropped else process


def read_job(path: Path) -> tuple[Job | None, str]:
    """The job that a run is on a cluster, and what is wrong with the file that says so, a sentence; empty if nothing.

    None where it is no such run, or where the file does not say which job it is.
    """
    file = job_file(path)
    if not os.path.lexists(file):
        return None, ""
    try:
        values, wrong = read_fields(file)
    except UserError as error:
        return None, str(error)
    kept, dropped = keep_valid(Job, values)
    problem = f"{path.name}: engine.json is damaged ({'; '.join(wrong or dropped)[:300]})." if wrong or dropped else ""
    return (Job(**kept) if {"engine", "job"} <= kept.keys() else None), problem


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
    return read_whole_lines(path, "history.jsonl")[0]


def read_last(path: Path, name: str) -> dict[str, Any]:
    """The last whole line of `history.jsonl` or `steps.jsonl`, however long the file is.

    Empty if there is none, or if it is damaged.
    """
    entries, _ = read_lines(path / name, last=LAST_BYTES)
    return next(iter(select_valid(LINES[name], entries[-1:])), {})


def score_of(entry: dict[str, Any], metric: str) -> float:
    """The validation score of a history entry by a name of `train.metric`, 0..1; 0 where it is undefined."""
    group, name = ("tail", "macro_f1") if metric == "tail_macro_f1" else ("all", metric)
    return float((entry.get("validation", {}).get(group) or {}).get(name) or 0.0)


def read_steps(path: Path) -> list[dict[str, Any]]:
    """One entry every few seconds of training, as `read_history` reads them."""
    return read_whole_lines(path, "steps.jsonl")[0]


def read_whole_lines(path: Path, name: str) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a file in `LINES` that hold what they should, and how many do not."""
    entries, damaged = read_lines(path / name)
    kept = select_valid(LINES[name], entries)
    return kept, damaged + len(entries) - len(kept)


def describe_damage(path: Path) -> str:
    """How many damaged lines of a run's history, steps and events are left out, a sentence; empty if none are."""
    damaged = {name: read_whole_lines(path, name)[1] for name in LINES}
    words = [f"{number:,} of {name}" for name, number in damaged.items() if number]
    return f"Damaged lines are left out: {', '.join(words)}." if words else ""


def read_log(path: Path, last: int = 200) -> list[str]:
    """The last lines of `log.txt`, at most those of its last 256 KiB; empty if there is none."""
    try:
        with open(path / "log.txt", "rb", opener=open_regular) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 262_144))
            return file.read().decode("utf-8", errors="replace").splitlines()[-last:]
    except OSError:
        return []

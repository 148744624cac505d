"""The types of what a run's files hold; what does not fit is dropped by field or by line, and said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError

Time = Annotated[float, Field(ge=0, lt=2.5e11)]
"""Unix seconds of a day that calendars have: before the year 9892."""
Share = Annotated[float, Field(ge=0, le=1)]
Score = Share | None
"""Of a group of labels; None where it is undefined."""
Scores = dict[str, dict[str, float | None] | None]
"""By group of labels and name."""
ProcessNumber = Annotated[int, Field(gt=0, lt=2**31)]


JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
"""The id of a job on a cluster, which is a part of addresses and a word of commands."""


class Stored(BaseModel):
    """Entries that are read: of these types where they are there; other entries may stand beside them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")


class Progress(Stored):
    """How far a run is."""

    phase: str = ""
    fraction: Share = 0.0
    epoch: NonNegativeInt | None = None
    epochs: NonNegativeInt | None = None
    since: tuple[Time, Share] | None = Field(None, strict=False)


class Status(Stored):
    """`status.json`."""

    state: Literal["queued", "running", "finished", "failed", "stopped", "lost"]
    kind: str = ""
    reason: str = ""
    advice: str = ""
    submitted: Time | None = None
    started: Time | None = None
    ended: Time | None = None
    progress: Progress | None = None
    device: str = ""
    user: str = ""
    command: str = ""
    imported: Time | None = None


class Epoch(Stored):
    """A line of `history.jsonl`."""

    epoch: NonNegativeInt = 0
    validation: Scores = Field({})
    step: NonNegativeInt = 0
    steps: NonNegativeInt = 0
    train_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    labels_hit: NonNegativeInt = 0
    seconds: NonNegativeFloat = 0.0
    documents_per_second: NonNegativeFloat = 0.0
    memory: NonNegativeFloat = 0.0
    best: bool = False


class Step(Stored):
    """A line of `steps.jsonl`."""

    epoch: NonNegativeInt = 0
    step: NonNegativeInt = 0
    steps: NonNegativeInt = 0
    train_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    documents_per_second: NonNegativeFloat | None = None
    memory: NonNegativeFloat | None = None


class Event(Stored):
    """A line of `events.jsonl`."""

    time: Time
    what: Annotated[str, Field(min_length=1)]


class Heartbeat(Stored):
    """`heartbeat.json`."""

    time: Time | None = None
    cpu: NonNegativeFloat | None = None
    memory: NonNegativeFloat | None = None
    of_memory: NonNegativeFloat | None = None
    gpu: NonNegativeFloat | None = None


class Identity(Stored):
    """`process.json`: a process, as `core.system.processes.identity` tells it from all others."""

    pid: ProcessNumber
    born: Time
    boot: str


class Job(Stored):
    """`engine.json`: a run's job on a cluster.

    Attributes:
        engine: of the cluster.
        job: its id; empty while it is being submitted.
        where: the address of the cluster; empty where it needs none.
        submitted: unix seconds, of the machine that submitted it, as all times here.
        state: what the cluster last said, which asks twice before it takes an end for one; empty before its first word.
        words: of the cluster on the end.
        started: what the run's status said of its start when the cluster last said that the job waits.
        unreachable: when the cluster first did not answer; None while it does.
        why: why it does not, a sentence.
    """

    engine: Literal["ray", "slurm"]
    job: Annotated[str, Field(pattern=rf"^({JOB.pattern})?$")]
    where: str = Field("", max_length=300)
    submitted: Time = 0.0
    state: Literal["", "waiting", "running", "ending", "ended"] = ""
    words: str = Field("", max_length=400)
    started: Time | None = None
    unreachable: Time | None = None
    why: str = Field("", max_length=600)


class Thresholds(Stored):
    """One of the named sets in `thresholds.json`."""

    rule: str
    values: float | list[float]
    chosen_on: str = ""


def keep_valid(kind: type[Stored], values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What of an object's entries has the types of `kind`.

    Returns:
        The entries that have, and a clause on each that was dropped; one that is missing stays missing.
    """
    try:
        kind.model_validate(values)
    except ValidationError as error:
        kept, problems = dict(values), error.errors(include_url=False)
        return kept, [describe(one) for one in problems if _drop(kept, one["loc"]) or one["type"] == "missing"]
    return values, []


def _drop(values: dict[str, Any], place: tuple[int | str, ...]) -> bool:
    """Takes away the innermost entry of nested objects on the way to a place; whether there was one."""
    holder, key = values, place[0]
    for step in place[1:]:
        inner = holder.get(str(key))
        if not isinstance(inner, dict) or step not in inner:
            break
        holder[str(key)] = inner = dict(inner)
        holder, key = inner, step
    there = str(key) in holder
    holder.pop(str(key), None)
    return there


def is_valid(kind: type[Stored], values: dict[str, Any]) -> bool:
    """Whether an object's entries have the types of `kind`."""
    try:
        kind.model_validate(values)
    except ValidationError:
        return False
    return True


def select_valid(kind: type[Stored], entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that have the types of `kind`."""
    return [entry for entry in entries if is_valid(kind, entry)]


def describe(problem: Any) -> str:
    """What pydantic says of an entry, as a clause that is short whatever the entry is."""
    kinds = ("float", "int", "list", "dict", "bool")
    place = ".".join(str(step) for step in problem["loc"] if not str(step).startswith(kinds))
    found = "" if problem["type"] == "missing" else f", not {_short(problem['input'])}"
    return f"{place}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{found}"


def _short(value: Any) -> str:
    """A value in at most 40 letters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value[:40] if isinstance(value, str) else value)[:42]

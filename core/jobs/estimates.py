"""What runs will take, from what runs like them took on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from core.config.defaults import MODELS
from core.config.schema import RunConfig
from core.jobs import queue
from core.runs import journal, results
from core.runs.folder import Run
from core.system.errors import UserError


@dataclass(frozen=True)
class Cost:
    """What a finished run took.

    Attributes:
        kind: what else is alike takes about as long for each document: model, its size, kind of device.
        data: the data set's name.
        documents: of its train part.
        epochs: that it trained; 0 for the SVM.
        epoch_seconds: of one of them, evaluation included.
        other_seconds: before and after.
        memory: bytes at most.
    """

    kind: tuple[Any, ...]
    data: str
    documents: int
    epochs: int
    epoch_seconds: float
    other_seconds: float
    memory: int


@dataclass(frozen=True)
class Estimate:
    """What a run takes at most: it may stop early.

    Attributes:
        seconds: from its start to its end.
        memory: bytes.
        same_data: whether it was measured on the same data set; else it is scaled by the number of documents.
    """

    seconds: float
    memory: int
    same_data: bool


def kind_of(config: RunConfig, device: str) -> tuple[Any, ...]:
    """What has to be alike for two runs to take about as long for each document and epoch."""
    model = config.model
    return (
        *(model.name, model.encoder, model.max_length, model.long, model.freeze, model.hidden, model.bigrams),
        *(config.train.precision, config.train.processes, config.train.recompute, device.partition("-")[0]),
    )


def cost(run: Run) -> Cost | None:
    """What a run took here; None unless it finished, in one go, on this machine."""
    if run.state != "finished" or run.published:
        return None
    events = [event["what"] for event in journal.read_events(run.path)]
    if "started" not in events or "resumed" in events:
        return None
    try:
        metrics = results.read_metrics(run)
        history, seconds = journal.read_history(run.path), float(metrics["seconds"])
        trained = float(history[-1]["seconds"]) if history else 0.0
        return Cost(
            kind=kind_of(run.config, run.device),
            data=run.config.data.name,
            documents=int(metrics["documents"]["train"]),
            epochs=len(history),
            epoch_seconds=trained / max(1, len(history)),
            other_seconds=max(0.0, seconds - trained),
            memory=int(metrics["memory"]),
        )
    except (UserError, KeyError, TypeError, ValueError):
        return None


def estimate(config: RunConfig, documents: int, costs: Iterable[Cost]) -> Estimate | None:
    """What a run takes at most; None where nothing like it has been measured.

    Args:
        config: its settings.
        documents: of its train part.
        costs: of the runs that have finished here.
    """
    alike = [one for one in costs if one.kind == kind_of(config, queue.queue(config)) and one.documents]
    same = [one for one in alike if one.data == config.data.name]
    if not alike:
        return None
    known = same or alike
    epochs = 0 if MODELS[config.model.name].at_once else config.train.epochs
    seconds = [
        (epochs * one.epoch_seconds + one.other_seconds) * (documents / one.documents if not same else 1.0)
        for one in known
    ]
    return Estimate(median(seconds), max(one.memory for one in known), bool(same))


def together(configs: Sequence[RunConfig], documents: int, costs: Sequence[Cost], slots: int) -> dict[str, Any]:
    """What a grid takes: `seconds` on so many slots, `memory` of the largest run, and the models `unknown`."""
    found = [(config, estimate(config, documents, costs)) for config in configs]
    known = [one for _, one in found if one]
    return {
        "seconds": sum(one.seconds for one in known) / max(1, min(slots, len(known))),
        "memory": max((one.memory for one in known), default=0),
        "known": len(known),
        "scaled": any(not one.same_data for one in known),
        "unknown": list(dict.fromkeys(config.model.name for config, one in found if not one)),
    }

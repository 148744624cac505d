"""What runs will take: from what runs like them took on this machine, else from published ones and a quick measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from core.config.defaults import MODELS
from core.config.parse import change, with_changes
from core.config.schema import RunConfig
from core.jobs import queue, speed
from core.runs import journal, results
from core.runs.folder import Run
from core.runs.presets import QUICK, QUICK_NAME
from core.system import machine
from core.system.errors import UserError

BUSY: dict[str | tuple[str, str], float] = {
    **{("reuters", "svm"): 3.7, ("reuters", "tfidf"): 6.5, ("reuters", "textcnn"): 3.5},
    **{("reuters", "bigru-lwan"): 7.0, ("reuters", "encdec"): 6.5, ("reuters", "ocd"): 7.0},
    "reuters-transformer-bce-s0-89acab3325": 1.67,
    "reuters-transformer-cb-ntr-s0-1a19d1ac91": 0.74,
    "reuters-transformer-db-s0-1f04a102ff": 1.9,
    "pubmed-sample-transformer-bce-s0-cb6cf7e2ca": 1.16,
    "pubmed-sample-transformer-cb-ntr-s0-07e6a6c66e": 1.03,
    "pubmed-sample-transformer-db-s0-8a8ff822a5": 1.29,
    "pubmed-sample-transformer-fl-s0-775e2189ce": 0.96,
}
"""How many times as long as alone a published run, or those on a set by a model, took, for other work ran beside them:
by the seconds that the same runs take alone, in tests/benchmarks/RESULTS.md, of a network from scratch by those of the
processor, or by the steps that were made alone, and these on cores as fast as the others had, where faster ones made
them: so a figure may be below 1. The others ran alone."""
USUAL = "reuters"
"""The data set whose published runs tell what runs on sets without published ones take."""
CORES = 2
"""Of the machine of the published runs."""
STARTS = 5.0
"""Seconds in which a run starts on that machine, however few documents it reads."""
MEASURED = 300
"""The newest runs whose time and memory an estimate is made from."""
MOST_CORES = 8
"""A network of this size is not faster on more."""
HALF = 1.6
"""How many times as long an encoder takes in fp32 as in bf16 on cores of one speed: 14.1 documents a second against 5.6
(tests/benchmarks/RESULTS.md), where a matrix product in fp32 took 0.62 of the time on the cores with bf16."""
LONG = 3600.0
"""Seconds of a run from which on the quick recipe of an encoder is offered."""


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
        tokens: of a document at most; 0 where the model reads no tokens.
        frozen: layers that are not trained.
        half: whether it computed in bf16 where the device could, and not in fp32.
    """

    kind: tuple[Any, ...]
    data: str
    documents: int
    epochs: int
    epoch_seconds: float
    other_seconds: float
    memory: int
    tokens: int = 0
    frozen: int = 0
    half: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a run takes at most: it may stop early.

    Attributes:
        seconds: from its start to its end.
        memory: bytes.
        same_data: whether it was measured on the same data set; else it is scaled by the number of documents.
        published: made from published runs, which ran elsewhere, and a measure of this machine.
    """

    seconds: float
    memory: int
    same_data: bool
    published: bool = False


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
    return None if "started" not in events or "resumed" in events else _read_cost(run)


def published_cost(run: Run) -> Cost | None:
    """What a published run takes on the machine where it was made, alone; None where its folder does not say."""
    if run.state != "finished" or not run.published or run.config.combined:
        return None
    if (found := _read_cost(run)) is None:
        return None
    busy = BUSY.get(run.id, BUSY.get((run.config.data.name, run.config.model.name), 1.0))
    return replace(found, epoch_seconds=found.epoch_seconds / busy, other_seconds=found.other_seconds / busy)


def _read_cost(run: Run) -> Cost | None:
    """What the folder of a finished run says of its seconds and memory; None where it does not."""
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
            tokens=run.config.model.max_length if _reads_tokens(run.config) else 0,
            frozen=run.config.model.frozen_layers,
            half=metrics.get("precision") in ("bf16", "fp16"),
        )
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _reads_tokens(config: RunConfig) -> bool:
    return MODELS[config.model.name].reads == "tokens"


def estimate(
    config: RunConfig, documents: int, costs: Iterable[Cost], published: Iterable[Cost] = ()
) -> Estimate | None:
    """What a run takes at most; None where nothing like it has been measured.

    Args:
        config: its settings.
        documents: of its train part.
        costs: of the runs that have finished here.
        published: of `published_cost`; they are asked where none of `costs` is of a run like it.
    """
    alike = [one for one in costs if one.kind == kind_of(config, queue.queue(config)) and one.documents]
    same = [one for one in alike if one.data == config.data.name]
    if not alike:
        return _estimate_elsewhere(config, documents, published)
    known = same or alike
    epochs = _epochs(config)
    seconds = [
        (epochs * one.epoch_seconds + one.other_seconds) * (documents / one.documents if not same else 1.0)
        for one in known
    ]
    return Estimate(median(seconds), max(one.memory for one in known), bool(same))


def _epochs(config: RunConfig) -> int:
    return 0 if MODELS[config.model.name].at_once else config.train.epochs


def _estimate_elsewhere(config: RunConfig, documents: int, published: Iterable[Cost]) -> Estimate | None:
    """What a run takes on a machine that is as much slower than that of the published runs as a quick measure says.

    A run that reads longer documents takes so much longer; one that trains other layers is asked where none is alike.
    Of an encoder, bf16 and fp32 are `HALF` apart.
    """
    wanted = _loosely(kind_of(config, queue.queue(config)))
    alike = [one for one in published if _loosely(one.kind) == wanted and one.documents]
    alike = [one for one in alike if one.data == config.data.name] or [one for one in alike if one.data == USUAL]
    alike = [one for one in alike if one.frozen == config.model.frozen_layers] or alike
    if not alike:
        return None
    tokens = config.model.max_length if _reads_tokens(config) else 0
    nearest = min(abs(one.tokens - tokens) for one in alike)
    alike = [one for one in alike if abs(one.tokens - tokens) == nearest]
    slower = speed.slowness()
    if tokens:
        slower *= CORES / min(os.cpu_count() or CORES, MOST_CORES)
    seconds, memory = [], []
    half = config.train.precision == "bf16" or (config.train.precision == "auto" and speed.has_bf16())
    for one in alike:
        longer = tokens / one.tokens if one.tokens else 1.0
        share = 1.0 if one.data == config.data.name else documents / one.documents
        took = _epochs(config) * one.epoch_seconds * longer + one.other_seconds
        seconds.append(slower * share * took * HALF ** (one.half - half))
        memory.append(int(one.memory * max(longer, 1.0)))
    same = all(one.data == config.data.name for one in alike)
    # Of two the slower one: it is what the run takes at most.
    longest = max(sorted(seconds)[len(seconds) // 2], STARTS * slower)
    return Estimate(longest, max(memory), same, published=True)


def _loosely(kind: tuple[Any, ...]) -> tuple[Any, ...]:
    """A kind of run whatever the number of tokens that it reads, and the precision."""
    return kind[:2] + kind[3:7] + kind[8:]


def together(
    configs: Sequence[RunConfig], documents: int, costs: Sequence[Cost], slots: int, published: Sequence[Cost] = ()
) -> dict[str, Any]:
    """What a grid takes: `seconds` on so many slots, `memory` of the largest run, and the models `unknown`.

    `quick` is what a run of an encoder takes with the quick recipe, where one of the grid takes more than an hour.
    """
    found = [(config, estimate(config, documents, costs, published)) for config in configs]
    known = [one for _, one in found if one]
    # Where an encoder takes long: what a run of the quick recipe takes, if that is much less.
    encoders = [(one.seconds, config) for config, one in found if one and config.model.name == "transformer"]
    long, slowest = max(encoders, key=lambda pair: pair[0], default=(0.0, None))
    quick = None
    if slowest is not None and long > LONG:
        changes = [change(key, value) for key, value in QUICK.items()]
        quick = estimate(with_changes(slowest, changes), documents, costs, published)
    return {
        "seconds": sum(one.seconds for one in known) / max(1, min(slots, len(known))),
        "memory": max((one.memory for one in known), default=0),
        "known": len(known),
        "scaled": any(not one.same_data for one in known),
        "published": sum(one.published for one in known),
        "unknown": list(dict.fromkeys(config.model.name for config, one in found if not one)),
        "quick": quick.seconds if quick and quick.seconds < long / 2 else None,
    }


def in_words(whole: Mapping[str, Any], runs: int, lasts: Callable[[float], str]) -> str:
    """What so many runs take, in a sentence or two that say where it comes from.

    Args:
        whole: of `together`.
        runs: how many there are.
        lasts: puts seconds into words.
    """
    said = []
    if known := whole["known"]:
        of = "" if known == runs else f" for {known} of {runs} runs"
        memory = f"{whole['memory'] / 1e9:.1f} of {machine.memory() / 1e9:.0f} GB"
        size = f"At most about {lasts(whole['seconds'])}{of} and {memory}, "
        other = " on other data" if whole["scaled"] else ""
        if not whole["published"]:
            said.append(f"{size}by runs that were measured here{other}.")
        elif whole["published"] == known:
            said.append(
                f"{size}by the published runs{other} and a quick measure of this machine: nothing like it has finished "
                "here yet."
            )
        else:
            said.append(
                f"{size}by runs that were measured here{other} and, for {whole['published']} of them, by the published "
                "runs and a quick measure of this machine."
            )
    if whole["unknown"]:
        names = ", ".join(whole["unknown"])
        said.append(f"Nothing like it has finished here yet for {names}: the first run will tell what it takes.")
    if whole["quick"]:
        said.append(
            f"The preset '{QUICK_NAME}' takes about {lasts(whole['quick'])} a run: it reads "
            f"{QUICK['model.max_length']} tokens of a document and trains the upper layers."
        )
    return " ".join(said)


def read_cost(run: Run) -> Cost | None:
    """What a run took here, or a published one where it was made; None where its folder does not say."""
    return published_cost(run) if run.published else cost(run)


def read_costs(runs: Iterable[Run], *, read: Callable[[Run], Cost | None] = read_cost) -> tuple[list[Cost], list[Cost]]:
    """What the newest finished runs took here, and what published ones take where they were made.

    Args:
        runs: the newest first.
        read: what reads one, such as a cached `read_cost`.
    """
    own: list[Cost] = []
    published: list[Cost] = []
    for run in runs:
        kept = published if run.published else own
        if len(kept) < MEASURED and (found := read(run)):
            kept.append(found)
    return own, published

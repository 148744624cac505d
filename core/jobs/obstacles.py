"""What a launch would fail at, said before it begins: settings far out of range, devices and parts that are missing."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from core.config.defaults import MODELS
from core.config.schema import RunConfig, TrainConfig
from core.data.corpus import Corpus, describe_large_sets
from core.jobs.queue import SLOTS_VARIABLE
from core.system import machine

MOST_RATE = 1000.0
"""Times the usual learning rate of a model: beyond it every loss diverges in its first steps."""


def find_obstacles(configs: Iterable[RunConfig], *, here: bool = True) -> list[str]:
    """A sentence on each setting with which some of these runs cannot succeed; empty if there is none.

    Args:
        configs: of the runs.
        here: they train on this machine, whose devices are looked at.
    """
    found: dict[str, None] = {}
    for config in configs:
        for sentence in (_check_rate(config), _check_device(config) if here else ""):
            if sentence:
                found.setdefault(sentence)
    return list(found)


def find_misfits(configs: Iterable[RunConfig], corpus: Corpus) -> list[str]:
    """A sentence on each thing that some of these runs need of their data and lack; empty if there is none.

    These are a validation part, and label sets that a decoder can write.
    """
    found: dict[str, None] = {}
    for config in configs:
        if not len(corpus.parts["validation"]):
            found.setdefault(
                f"Split '{config.data.split}' of {config.data.name} has no validation part, on which thresholds and "
                "the best epoch are chosen: train with split 'paper'."
            )
        elif "max_labels" in MODELS[config.model.name].settings and (
            large := describe_large_sets(config.model, np.diff(corpus.targets_of("train").indptr))
        ):
            found.setdefault(large)
    return list(found)


def _check_rate(config: RunConfig) -> str:
    model = MODELS[config.model.name]
    if model.at_once or not model.trained:
        return ""
    usual, rate = float(model.train.get("learning_rate", TrainConfig().learning_rate)), config.train.learning_rate
    if rate <= MOST_RATE * usual:
        return ""
    return (
        f"train.learning_rate = {rate:g} is {rate / usual:,.0f} times what {config.model.name} usually has: the loss "
        f"would diverge at once. Take {MOST_RATE * usual:g} or less; {usual:g} is usual."
    )


def _check_device(config: RunConfig) -> str:
    device, gpus = config.train.device, machine.count_gpus()
    # Where somebody has named the slots, they say what there is.
    named = "cuda" in os.environ.get(SLOTS_VARIABLE, "")
    if MODELS[config.model.name].at_once:
        return ""
    if config.train.precision == "fp16" and (device == "cpu" or not (named or gpus)):
        return "train.precision=fp16 needs a GPU: choose bf16 or fp32 on a CPU."
    if named or not device.startswith("cuda"):
        return ""
    if not gpus:
        return f"train.device = {device}, and this machine has no GPU that its driver shows: take auto or cpu."
    number = int(device.partition(":")[2] or 0)
    if number < gpus:
        return ""
    return f"train.device = {device}, and the last GPU of this machine is cuda:{gpus - 1}: take that or auto."


def describe_shortage(memory: float) -> str:
    """A sentence where runs are estimated to take more bytes than the machine has; empty if they are not."""
    there = machine.memory()
    if memory <= there:
        return ""
    return (
        f"They are estimated to take {memory / 1e9:.1f} GB, and this machine has {there / 1e9:.0f} GB: take a smaller "
        "train.batch_size, or for a model on words a smaller model.max_features."
    )

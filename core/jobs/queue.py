"""The queue of each device and its slots."""

from __future__ import annotations

import os
import re

from core.config.defaults import MODELS
from core.config.schema import RunConfig
from core.system import machine
from core.system.errors import UserError
from core.system.machine import count_gpus


def queue(config: RunConfig) -> str:
    """The queue a run waits in: `cpu`, `cuda` for any GPU, or `cuda-1` for that one; `auto` is a GPU where one is."""
    device = config.train.device
    if MODELS[config.model.name].at_once:
        return "cpu"
    if device == "auto":
        return "cuda" if machine.count_gpus() else "cpu"
    return device.replace(":", "-")


SLOTS_VARIABLE = "TAILSCOPE_SLOTS"


def slots(kind: str) -> list[str]:
    """The slots of a kind of device, each of which one run at a time may use.

    `TAILSCOPE_SLOTS` names them, such as `cpu:2,cuda-1`; a kind that it leaves out has its usual ones, which are one
    for the CPU and one for each NVIDIA GPU.

    Args:
        kind: `cpu`, `cuda`, or one GPU such as `cuda-1`.

    Raises:
        UserError: `TAILSCOPE_SLOTS` makes no sense, or leaves that GPU out.
    """
    named = _named_slots()
    if kind == "cpu":
        return [slot for slot in named if slot.startswith("cpu")] or ["cpu"]
    gpus = [slot for slot in named if slot.startswith("cuda")]
    if kind == "cuda":
        return gpus or [f"cuda-{number}" for number in range(max(1, count_gpus()))]
    if gpus and kind not in gpus:
        raise UserError(f"No run may use {kind}: {SLOTS_VARIABLE} has {', '.join(named)}.")
    return [kind]


def _named_slots() -> list[str]:
    named = []
    for word in os.environ.get(SLOTS_VARIABLE, "").replace(",", " ").split():
        many = re.fullmatch(r"cpu(?::([1-9]\d?))?", word)
        if many:
            named += ["cpu", *(f"cpu-{number}" for number in range(1, int(many[1] or 1)))]
        elif re.fullmatch(r"cuda-\d{1,2}", word):
            named.append(word)
        else:
            raise UserError(
                f"{SLOTS_VARIABLE} says '{word[:40]}': write cpu, cpu:2 or cuda-0, with commas between them."
            )
    return list(dict.fromkeys(named))

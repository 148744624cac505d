"""How fast a core of this machine is: a quick measure, made once."""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from core.system.errors import UserError
from core.system.files import read_json, write_json
from core.system.places import cache_dir

SIDE = 64
"""Of the matrices: BLAS keeps products of this size on one core."""
PRODUCTS = 300
"""In a round."""
ROUNDS = 12
LONGEST = 0.4
"""Seconds after which no other round begins."""
USUAL = 0.0026
"""Seconds of a round on the two AVX2 cores on which most published runs were made, while nothing else ran."""


def slowness() -> float:
    """How many times as long as on the machine of the published runs a computation takes here; between 0.02 and 50."""
    return min(max(_seconds() / USUAL, 0.02), 50.0)


@cache
def _seconds() -> float:
    """Seconds of a round here, from the cache or measured; what cannot be kept is measured by each process."""
    name = f"{platform.node()} {_processor()}"
    kept = cache_dir() / "machine.json"
    with suppress(UserError):
        found = read_json(kept)
        if isinstance(found, dict) and found.get("machine") == name and isinstance(found.get("seconds"), float):
            return float(found["seconds"])
    seconds = measure()
    with suppress(UserError, OSError):
        write_json(kept, {"machine": name, "seconds": seconds})
    return seconds


def measure() -> float:
    """Processor seconds of a round of matrix products on one core, the best of some: other work makes it no longer."""
    first, second = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    best, end = np.inf, time.monotonic() + LONGEST
    for number in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(PRODUCTS):
            _ = first @ second
        best = min(best, time.thread_time() - begun)
        if number > 1 and time.monotonic() > end:
            break
    return float(best)


def has_bf16() -> bool:
    """Whether the cores are built for bf16, as `core.trainer.precision` asks torch, which this module does without."""
    return "avx512_bf16" in _read_processor("flags").split()


def _processor() -> str:
    """What the processor is called."""
    return _read_processor("model name") or platform.processor() or platform.machine()


def _read_processor(field: str) -> str:
    """What Linux says of the first core; nothing on other systems."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(field):
                return line.partition(":")[2].strip()
    return ""

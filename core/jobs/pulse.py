"""The pulse of a worker: by it who started the worker knows that it gets on.

Processes that train together wait for each other, and where one of them is lost without a word, for ever: a clock, or
a heartbeat of a thread, does not tell. The first process writes a byte into a pipe whenever it reports a step, or looks
for the request to stop between two batches; who reads the other end (`core.jobs.engines.node`) ends it when none comes.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import lru_cache

PULSE_VARIABLE = "TAILSCOPE_PULSE"
"""Environment variable with the number of the inherited descriptor into which a worker writes."""
BEAT, REST = b".", b"r"
EVERY = 0.5
"""Seconds between two beats."""
_last = 0.0


@lru_cache(maxsize=1)
def _find_descriptor() -> int | None:
    """Where this process writes; None where nobody reads. What it starts itself does not write."""
    named = os.environ.pop(PULSE_VARIABLE, "")
    return int(named) if named.isdigit() else None


def beat() -> None:
    """Says that this process gets on; cheap enough for every batch."""
    global _last
    if (now := time.monotonic()) - _last >= EVERY:
        _last = now
        _write(BEAT)


def rest() -> None:
    """Says that from now on this process waits for no other, and that no beat is to be waited for."""
    _write(REST)


def _write(byte: bytes) -> None:
    descriptor = _find_descriptor()
    if descriptor is not None:
        with suppress(OSError):  # who read it has ended
            os.write(descriptor, byte)

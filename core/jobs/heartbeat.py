"""The heartbeat of a worker: a file with the time and what the worker uses."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from core.runs.layout import is_gone
from core.system.files import write_json

HEARTBEAT_EVERY = 2.0
"""Seconds between two heartbeats."""


class Usage:
    """What this process and all its children use, measured from one reading to the next."""

    def __init__(self) -> None:
        self.process, self.total = psutil.Process(), psutil.virtual_memory().total
        self.seconds, self.time = 0.0, self.process.create_time()

    def read(self) -> dict[str, Any]:
        """What `heartbeat.json` holds: `time`, `cpu` in percent of a core, `memory`, `of_memory` and `gpu` in bytes.

        `gpu` is left out until torch uses one.

        Raises:
            psutil.Error: a child ended while it was read.
        """
        seconds, memory, now = 0.0, 0, time.time()
        for process in (self.process, *self.process.children(recursive=True)):
            times = process.cpu_times()
            seconds += times.user + times.system
            memory += process.memory_info().rss
        cpu = 100 * max(0.0, seconds - self.seconds) / max(now - self.time, 0.1)
        self.seconds, self.time = seconds, now
        usage = {"time": now, "cpu": round(cpu, 1), "memory": memory, "of_memory": self.total}
        # This thread must not import torch, nor read one that another thread is importing: `cuda` is there at its end.
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda and cuda.is_initialized():
            usage["gpu"] = cuda.memory_reserved()
        return usage


@contextmanager
def write_heartbeats(path: Path) -> Iterator[None]:
    """Writes every `HEARTBEAT_EVERY` seconds, inside the block, what this process uses into a run's folder."""
    ended, usage = Event(), Usage()

    def write() -> None:
        while not ended.is_set():
            # A child may end just now; a full disk is reported by what fills it.
            with suppress(OSError, psutil.Error):
                if not is_gone(path):
                    write_json(path / "heartbeat.json", usage.read())
            ended.wait(HEARTBEAT_EVERY)

    thread = Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

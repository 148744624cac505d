"""Processes and their identity, which holds also when a process number is used again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

# `psutil` is imported where a process is asked for: who lists runs that have ended asks for none.

RUN_VARIABLE = "TAILSCOPE_RUN"
"""Environment variable with a run's folder: all that its worker starts inherits it, also what leaves its group."""


def boot_id() -> str:
    """An identifier that differs after every start of the machine: process numbers and times mean nothing beyond it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        import psutil

        return str(round(psutil.boot_time()))


def identity(pid: int) -> dict[str, Any]:
    """Number, start and boot of a living process: no other process has the same three.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    import psutil

    return {"pid": pid, "born": psutil.Process(pid).create_time(), "boot": boot_id()}


def is_alive(known: Any) -> bool:
    """Whether the process of an `identity` lives; a number that another has now, or nonsense, is not alive."""
    import psutil

    try:
        process = psutil.Process(known["pid"])
        return (
            known["boot"] == boot_id()
            and abs(process.create_time() - known["born"]) < 0.01
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False


def processes_of(path: Path) -> Iterator[psutil.Process]:
    """Every living process that carries the mark of the run in this folder: its worker and all descendants."""
    import psutil

    mark = str(path.resolve())
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_VARIABLE) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue

"""The tickets of the runs that wait in a queue, and the locks of its slots; it imports next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

from core.runs.layout import alive_lock, runs_dir
from core.system.locks import is_locked
from core.system.places import cache_dir


def slot_lock(slot: str) -> Path:
    """The lock whose holder may use the slot of a device."""
    return cache_dir() / "locks" / f"{slot}.lock"


def draw_ticket(device: str, run_id: str, *, anew: bool = False) -> Path:
    """A place in a queue; places are in the order of their drawing.

    Args:
        device: the queue.
        run_id: the run's id.
        anew: also where the run has a place already, which another process may just be removing as that of a dead run.
    """
    folder = cache_dir() / "queue" / device
    folder.mkdir(parents=True, exist_ok=True)
    mine = list(folder.glob(f"*.{run_id}"))
    if mine and not anew:
        return mine[0]
    ticket = folder / f"{time.time_ns():020d}.{run_id}"
    ticket.touch()
    for old in mine:
        old.unlink(missing_ok=True)
    return ticket


def tickets_before(ticket: Path) -> int:
    """How many living runs hold an earlier ticket; tickets of the dead are removed."""
    ahead = 0
    for other in sorted(ticket.parent.iterdir()):
        if other.name >= ticket.name:
            break
        if is_locked(alive_lock(runs_dir() / other.name.partition(".")[2])):
            ahead += 1
        else:
            other.unlink(missing_ok=True)
    return ahead

"""A run that waits in a queue: `python -m core.jobs.waiting <run_dir> <device> <slots>`.

It takes about 14 MB, as it imports next to nothing, and turns into the run's worker (the same process, by `exec`) when
no more runs are ahead of it than there are slots: the worker has torch ready when its turn comes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from core.jobs.tickets import draw_ticket, tickets_before
from core.runs.layout import STOPPED, WORKER_VARIABLE, is_gone, stop_flag
from core.system.errors import UserError
from core.system.files import read_json, write_json

POLL = 0.2
"""Seconds between two looks at the queue of a run that is soon next."""
FAR_POLL = 1.0
"""The same of one with many ahead."""


def wait(path: Path, device: str, slots: int) -> bool:
    """Waits until at most as many runs are ahead as there are slots.

    Args:
        path: the run's folder, whose lock this process holds.
        device: the queue.
        slots: of the queue.

    Returns:
        Whether the run goes on: not if it was stopped, or its folder deleted.
    """
    ticket, reported = draw_ticket(device, path.name), ""
    while True:
        if is_gone(path) or stop_flag(path).exists():
            ticket.unlink(missing_ok=True)
            return False
        ahead = tickets_before(ticket)
        if ahead < slots:
            return True
        words = f"waiting for {device}, {ahead + 1} ahead"
        if words != reported:
            with suppress(OSError, UserError):  # a full disk is said by the worker
                write_status(path, progress={"phase": words, "fraction": 0.0})
            reported = words
        time.sleep(POLL if ahead < 2 * slots else FAR_POLL)


def write_status(path: Path, **changes: object) -> None:
    """Changes entries of the run's status.

    Raises:
        UserError: it is missing or damaged.
        OSError: it cannot be written.
    """
    write_json(path / "status.json", {**read_json(path / "status.json"), **changes})


def end(path: Path) -> None:
    """Writes that the run was stopped, and posts it where somebody asked for that; nothing of a deleted folder."""
    if is_gone(path):
        return
    with suppress(OSError, UserError):
        write_status(path, state="stopped", ended=time.time(), reason=STOPPED)
        with (path / "events.jsonl").open("a", encoding="utf-8") as events:
            events.write(json.dumps({"time": time.time(), "what": "stopped"}) + "\n")
    if os.environ.get("TAILSCOPE_WEBHOOK"):
        from core.jobs.webhook import post_outcome

        post_outcome(path)


def main(folder: str, device: str, slots: str) -> None:
    """Waits, then becomes the worker, which inherits the lock that says the run is alive."""
    if wait(Path(folder), device, int(slots)):
        os.execv(sys.executable, [sys.executable, "-m", os.environ.get(WORKER_VARIABLE, "core"), "train", folder])
    end(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

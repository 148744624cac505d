"""The engine of this machine: a worker is a process in a session of its own, which outlives who starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil

from core.data import sources
from core.jobs.engines.node import worker_command
from core.jobs.queue import slots
from core.jobs.tickets import draw_ticket, tickets_before
from core.runs.layout import ALIVE_VARIABLE
from core.system import processes
from core.system.files import write_json
from core.system.places import ROOT, cache_dir


def start(path: Path, device: str, alive: int) -> None:
    """Puts a run into the queue of its device and starts its worker.

    Args:
        path: the run's folder.
        device: the queue.
        alive: the descriptor that holds the run's lock, which the worker inherits.
    """
    ticket, many = draw_ticket(device, path.name, anew=True), len(slots(device))
    environment = os.environ | {
        "TAILSCOPE_CACHE": str(cache_dir().resolve()),
        "TAILSCOPE_DATA": os.pathsep.join(os.path.abspath(p) for p in sources.folders()),
        ALIVE_VARIABLE: str(alive),
        processes.RUN_VARIABLE: str(path.resolve()),
    }
    # Who is far back in the queue waits in a process that takes little.
    command = worker_command(str(path.resolve()))
    if tickets_before(ticket) >= many:
        command = [sys.executable, "-m", "core.jobs.waiting", str(path.resolve()), device, str(many)]
    with path.joinpath("log.txt").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(alive,),
        )
    threading.Thread(target=process.wait, daemon=True).start()
    with suppress(psutil.NoSuchProcess, OSError):  # a full disk is said by the worker
        write_json(path / "process.json", processes.identity(process.pid))

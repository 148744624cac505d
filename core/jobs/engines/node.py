"""What a cluster's process on a node does: it runs a run's worker as its child. It imports next to nothing.

Where `TAILSCOPE_STORE` names a store, the worker has a copy of the run in a cache of the node's own, and what it writes
there is sent every few seconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from core.runs.layout import WORKER_VARIABLE, runs_dir, stop_flag
from core.system.places import ROOT
from core.system.processes import RUN_VARIABLE
from core.system.store import STORE_VARIABLE

if TYPE_CHECKING:
    from core.runs.mirror import Sent
    from core.system.store import Store

ENDS_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux."""
CACHE_VARIABLE = "TAILSCOPE_NODE_CACHE"
"""Environment variable with the folder in which nodes keep their copies, where runs come from a store."""
CACHE = "~/.cache/tailscope"
SEND_EVERY = 2.0
"""Seconds between two looks at what the worker has written and at the request to stop."""
PATIENCE = 600.0
"""Seconds for which a store that does not answer is tried again when the worker has ended."""


def worker_command(path: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command of a run's worker."""
    return [sys.executable, "-m", environment.get(WORKER_VARIABLE, "core"), "train", path]


def run_worker(path: str, environment: Mapping[str, str] | None = None) -> int:
    """Runs a run's worker, which ends when this process does, however that ends.

    Args:
        path: the run's folder; with a store its name counts alone.
        environment: variables that it gets besides those of this process.

    Returns:
        Its exit status; below 0 the signal that ended it.

    Raises:
        UserError: the store does not answer, or has no such run.
    """
    os.environ |= dict(environment or {})
    if not os.environ.get(STORE_VARIABLE):
        return _start(path).wait()
    os.environ["TAILSCOPE_CACHE"] = str(Path(os.environ.get(CACHE_VARIABLE) or CACHE).expanduser())
    os.environ.pop("TAILSCOPE_DATA", None)
    return _work_on_copy(runs_dir() / Path(path).name)


def _start(path: str) -> subprocess.Popen[bytes]:
    """Starts the worker."""
    libc = ctypes.CDLL(None)
    with Path(path, "log.txt").open("ab") as log:
        return subprocess.Popen(
            worker_command(path),
            cwd=ROOT,
            env=os.environ | {RUN_VARIABLE: path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: libc.prctl(ENDS_WITH_PARENT, signal.SIGKILL),
        )


def _work_on_copy(path: Path) -> int:
    """Fetches the run and its data, runs the worker, and sends what it writes until all of it is on the store."""
    from core.runs import mirror
    from core.runs.folder import read_config
    from core.system.store import StoreSilent, find_store

    store = find_store()
    assert store is not None
    sent = mirror.fetch_run(store, path)
    mirror.fetch_data(store, read_config(path).data.name)
    child = _start(str(path))
    while child.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(SEND_EVERY)
        try:
            mirror.send_work(store, path, sent)
            if mirror.is_asked_to_stop(store, path):
                stop_flag(path).touch()
        except StoreSilent as error:
            print(f"{error} What the worker writes is kept here and sent later.", file=sys.stderr)
    _send_all(store, path, sent)
    return child.wait()


def _send_all(store: Store, path: Path, sent: Sent) -> None:
    """Sends the rest of what a worker has written, which no time of the store's silence may lose.

    Raises:
        StoreSilent: the store has not answered for ten minutes.
    """
    from core.runs import mirror
    from core.system.store import StoreSilent

    until = time.monotonic() + PATIENCE
    while True:
        try:
            mirror.send_work(store, path, sent)
            return
        except StoreSilent:
            if time.monotonic() > until:
                raise
            time.sleep(SEND_EVERY)

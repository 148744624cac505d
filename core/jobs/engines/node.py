"""What a cluster's process on a node does: it runs a run's worker as its child. It imports next to nothing.

Where `TAILSCOPE_STORE` names a store, the worker has a copy of the run in a cache of the node's own, and what it writes
there is sent every few seconds.

Of a run with several processes each has a place of its own on the cluster, which `RANK` and `WORLD_SIZE` number as
`torchrun` does. The first is the run's worker. Where it does not get on for minutes, as when it waits for another one
that is lost without a word, it is ended here, and the engine starts all of them again. The others end with the run.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.jobs.pulse import PULSE_VARIABLE, REST
from core.runs.layout import PEER_LOST, WORKER_VARIABLE, peer_failure_file, runs_dir, stop_flag
from core.system.errors import UserError
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
HUNG_VARIABLE = "TAILSCOPE_HUNG_MINUTES"
"""Environment variable with the minutes in which a run with several processes must take a step, or score a batch."""
HUNG_MINUTES = 15.0
OUTLIVES = 10.0
"""Seconds that a process which is not the first may take to end when the run has ended."""


def worker_command(path: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command of a run's worker."""
    return [sys.executable, "-m", environment.get(WORKER_VARIABLE, "core"), "train", path]


def run_worker(path: str, environment: Mapping[str, str] | None = None) -> int:
    """Runs a run's worker, which ends when this process does, however that ends.

    Args:
        path: the run's folder; with a store its name counts alone.
        environment: variables that it gets besides those of this process.

    Returns:
        Its exit status; below 0 the signal that ended it. 0 of a process that is not the first, once the run has ended.

    Raises:
        UserError: the store does not answer, or has no such run.
    """
    os.environ |= dict(environment or {})
    rank, copy = int(os.environ.get("RANK", "0")), None
    if os.environ.get(STORE_VARIABLE):
        cache = Path(os.environ.get(CACHE_VARIABLE) or CACHE).expanduser()
        # Two processes of a run on one node write no file of each other.
        os.environ["TAILSCOPE_CACHE"] = str(cache / f"process-{rank}" if rank else cache)
        os.environ.pop("TAILSCOPE_DATA", None)
        copy = Copy.fetch(runs_dir() / Path(path).name, rank)
        path = str(copy.path)
    child, pulse = _start(path, rank)
    try:
        status = _watch_peer(child, pulse, Path(path), copy) if rank else _watch_first(child, pulse, Path(path), copy)
    finally:
        os.close(pulse)
    if copy:
        copy.finish()
    return status


def _start(path: str, rank: int) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the worker; gives it, and the end of its pulse from which this process reads."""
    libc = ctypes.CDLL(None)
    pulse, beats = os.pipe()
    try:
        with Path(path, f"log-{rank}.txt" if rank else "log.txt").open("ab") as log:
            child = subprocess.Popen(
                worker_command(path),
                cwd=ROOT,
                env=os.environ | {RUN_VARIABLE: path, PULSE_VARIABLE: str(beats)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(beats,),
                preexec_fn=lambda: libc.prctl(ENDS_WITH_PARENT, signal.SIGKILL),
            )
    except BaseException:
        os.close(pulse)
        raise
    finally:
        os.close(beats)
    return child, pulse


def _listen(child: subprocess.Popen[bytes], pulse: int) -> bytes:
    """What the worker has said for `SEND_EVERY` seconds at most; nothing also where it has ended."""
    ready, _, _ = select.select([pulse], [], [], SEND_EVERY)
    said = os.read(pulse, 4096) if ready else b""
    if ready and not said:  # its end is closed: it ends
        with suppress(subprocess.TimeoutExpired):
            child.wait(SEND_EVERY)
    return said


def _watch_first(child: subprocess.Popen[bytes], pulse: int, path: Path, copy: Copy | None) -> int:
    """The exit status of a run's worker, which is killed where it waits for others of the run for too long."""
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    patience, heard, sent = _read_patience(), time.monotonic(), time.monotonic()
    while child.poll() is None:
        if said := _listen(child, pulse):
            heard, together = time.monotonic(), together and REST not in said
        if together and time.monotonic() - heard > patience:
            from core.runs import journal

            journal.append_event(path, "hung", seconds=round(patience))
            child.kill()
            together = False
        if copy and time.monotonic() - sent >= SEND_EVERY:
            copy.exchange()
            sent = time.monotonic()
    return child.wait()


def _watch_peer(child: subprocess.Popen[bytes], pulse: int, path: Path, copy: Copy | None) -> int:
    """The exit status of another process of a run; 0 where the run has ended, whatever became of this process."""
    ended, last = None, time.monotonic()
    while child.poll() is None:
        _listen(child, pulse)
        last = time.monotonic()
        if copy:
            copy.exchange()
        if ended is None and _has_ended(path):
            ended = time.monotonic()
        if ended is not None and time.monotonic() - ended > OUTLIVES:
            child.kill()
    # One whose connections the first has closed may end before that one has written how the run ended.
    while child.wait() == PEER_LOST and ended is None and time.monotonic() - last < OUTLIVES:
        time.sleep(0.5)
        if copy:
            copy.exchange()
        ended = time.monotonic() if _has_ended(path) else None
    return 0 if _has_ended(path) else child.wait()


def _has_ended(path: Path) -> bool:
    """Whether a run has ended, by its status."""
    from core.runs.folder import LIVE
    from core.runs.journal import read_status

    try:
        return read_status(path)["state"] not in LIVE
    except UserError:
        return not path.is_dir()


def _read_patience() -> float:
    """Seconds that the first of several processes may take for a step."""
    try:
        return 60 * float(os.environ.get(HUNG_VARIABLE, HUNG_MINUTES))
    except ValueError:
        return 60 * HUNG_MINUTES


@dataclass(frozen=True)
class Copy:
    """A run in a cache of the node's own, which comes from a store.

    Attributes:
        store: where the run comes from.
        path: of its folder here.
        rank: the process's number; the first alone sends what the run is.
        sent: what need not be sent again.
    """

    store: Store
    path: Path
    rank: int
    sent: Sent

    @classmethod
    def fetch(cls, path: Path, rank: int) -> Copy:
        """Fetches a run and its data.

        Raises:
            UserError: the store does not answer, or has no such run.
        """
        from core.runs import mirror
        from core.runs.folder import read_config
        from core.system.store import find_store

        store = find_store()
        assert store is not None
        sent = mirror.fetch_run(store, path)
        mirror.fetch_data(store, read_config(path).data.name)
        return cls(store, path, rank, sent)

    def exchange(self) -> None:
        """Sends what the worker has written since the last time, and brings the request to stop, or the run's end."""
        from core.runs import mirror
        from core.system.store import StoreSilent

        try:
            if self.rank:
                mirror.receive_status(self.store, self.path)
                return
            mirror.send_work(self.store, self.path, self.sent)
            if mirror.is_asked_to_stop(self.store, self.path):
                stop_flag(self.path).touch()
        except StoreSilent as error:
            print(f"{error} What the worker writes is kept here and sent later.", file=sys.stderr)

    def finish(self) -> None:
        """Sends the rest of what a worker has written, which no time of the store's silence may lose.

        Raises:
            StoreSilent: the store has not answered for ten minutes.
        """
        from core.runs import mirror
        from core.system.store import StoreSilent

        until = time.monotonic() + PATIENCE
        while True:
            try:
                if not self.rank:
                    mirror.send_work(self.store, self.path, self.sent)
                elif (file := peer_failure_file(self.path, self.rank)).exists():
                    mirror.send_run(self.store, self.path, only=file.name)
                return
            except StoreSilent:
                if time.monotonic() > until:
                    raise
                time.sleep(SEND_EVERY)

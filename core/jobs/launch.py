"""Runs as background processes: submitted, stopped, resumed, deleted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from core.config.schema import RunConfig
from core.data import sources
from core.data.corpus import Corpus
from core.jobs import trackers
from core.jobs.queue import queue, slots
from core.jobs.tickets import draw_ticket, tickets_before
from core.runs import folder as runs_folder
from core.runs import journal
from core.runs.folder import (
    LIVE,
    SILENT,
    STOPPING,
    Damaged,
    Folder,
    Run,
    delete_run,
    get_folder,
    get_run,
    has_checkpoint,
    is_worked_on,
    read_config,
    remove_leftovers,
    run_path,
)
from core.runs.layout import ALIVE_VARIABLE, WORKER_VARIABLE, alive_lock, stop_flag
from core.runs.plan import check_trainable, command_line
from core.system import machine, processes
from core.system.access import account, check_writable, read_only
from core.system.errors import UserError
from core.system.files import say_unwritable, write_json
from core.system.locks import is_locked, locked, try_lock
from core.system.places import ROOT, cache_dir

GRACE = 5.0
"""Seconds between the request to stop and SIGTERM, and again between SIGTERM and SIGKILL."""
HEARD = 120.0
"""Seconds for which a run is left alone that has heard the request and writes its checkpoint, or is in a long step."""
KILLED = 10.0
"""Seconds in which the system ends a process that got SIGKILL, however busy it is."""


def existing(config: RunConfig) -> Run | None:
    """The run that has been made with this config and the data as they are now, if there is one."""
    path = run_path(runs_folder.run_id(config, sources.load(config.data).fingerprint))
    return get_run(path.name) if path.is_dir() else None


def check(config: RunConfig, corpus: Corpus) -> str:
    """The id that a run has on this data.

    Raises:
        UserError: the split has no validation part, there is no slot for its device, or a tracker's package is missing.
    """
    slots(queue(config))
    trackers.check(config.track)
    if not len(corpus.parts["validation"]):
        raise UserError(
            f"Split '{config.data.split}' of {config.data.name} has no validation part, on which thresholds and the "
            "best epoch are chosen: train with split 'paper'."
        )
    return runs_folder.run_id(config, corpus.fingerprint)


def submit(config: RunConfig, *, user: str = "", corpus: Corpus | None = None) -> Run:
    """Puts a run into the queue of its device and starts its worker, which outlives this process.

    The same config, data and seed are the same run: a finished, running or queued one is returned as it is; a stopped
    or lost one goes on from its last checkpoint, and starts anew where it has none, as a failed one does.

    Args:
        config: the run's settings.
        user: who asks; empty is who is signed in, else the account of this process.
        corpus: its data where they are open.

    Raises:
        UserError: the data cannot be loaded, the split has no validation part, or there is no such slot.
    """
    check_writable()
    check_trainable(config)
    path = run_path(check(config, corpus or sources.load(config.data)))
    with say_unwritable(f"Run {path.name}", "started"), locked(cache_dir() / "locks" / "submit.lock"):
        remove_leftovers()
        if path.is_dir():
            found = get_folder(path.name)
            if isinstance(found, Run) and found.state in (*LIVE, "finished"):
                return found
            if is_worked_on(found):
                raise UserError(f"Run {path.name} is damaged and its worker still lives: stop it, then start it again.")
            anew = isinstance(found, Damaged) or found.state == "failed" or not has_checkpoint(path)
        else:
            anew = True
        return _start(config, path.name, user, anew=anew)


def _empty(path: Path) -> None:
    """Takes away all that a run has made; its question and state, what people wrote and what happened to it stay."""
    kept = ("config.json", "status.json", "about.json", "events.jsonl", "stop", alive_lock(path).name)
    for inner in path.iterdir():
        if inner.is_dir():
            shutil.rmtree(inner)
        elif inner.name not in kept:
            inner.unlink()


def resume(run_id: str, *, user: str = "", anew: bool = False) -> Run:
    """Puts a stopped, failed or lost run into the queue again: it goes on from its last checkpoint, if it has one.

    Args:
        run_id: its id.
        user: who asks; empty is who is signed in, else the account of this process.
        anew: from the first step, whatever it has made; a finished run can be trained again like this.

    Raises:
        UserError: no such run, it is published, damaged, finished, or still queued or running.
    """
    check_writable()
    with say_unwritable(f"Run {run_id}", "resumed"), locked(cache_dir() / "locks" / "submit.lock"):
        found = get_folder(run_id)
        try:
            config = read_config(found.path)
        except UserError as error:
            raise UserError(f"{error} It cannot be resumed: delete it.") from None
        check_trainable(config, f"Run {run_id}")
        over = () if anew else ("finished",)
        if found.published or found.state in over or is_worked_on(found):
            state = "published" if found.published else found.state
            raise UserError(f"Run {run_id} cannot be resumed: it is {state}.")
        slots(queue(config))
        return _start(config, run_id, user, anew=anew)


def _start(config: RunConfig, run_id: str, user: str, *, anew: bool) -> Run:
    """Queues a run that no process works on; at every moment its folder is either not there or whole."""
    path, device, user = run_path(run_id), queue(config), user or account()
    was = get_folder(run_id).state if path.is_dir() else ""
    folder = path if was else path.with_name(f".{run_id}.new")
    if not was:
        shutil.rmtree(folder, ignore_errors=True)
    alive = try_lock(alive_lock(folder))
    if alive is None:
        raise UserError(f"Run {run_id} is being worked on by another process.")
    for orphan in processes.processes_of(path) if was else ():
        with suppress(psutil.Error):
            orphan.kill()
    try:
        stop_flag(folder).unlink(missing_ok=True)
        write_json(folder / "config.json", config.model_dump())
        status = {"state": "queued", "submitted": time.time(), "device": device, "user": user}
        write_json(folder / "status.json", status | {"command": command_line(config)})
        journal.append_event(folder, "submitted" if anew else "resumed", user=user, **({"was": was} if was else {}))
        if not was:
            folder.rename(path)
        elif anew:
            _empty(path)
        else:
            for left in path.glob("**/.*/"):  # what a killed worker was writing
                shutil.rmtree(left, ignore_errors=True)
        ticket, many = draw_ticket(device, run_id, anew=True), len(slots(device))
        environment = os.environ | {
            "TAILSCOPE_CACHE": str(cache_dir().resolve()),
            "TAILSCOPE_DATA": os.pathsep.join(os.path.abspath(p) for p in sources.folders()),
            ALIVE_VARIABLE: str(alive),
            processes.RUN_VARIABLE: str(path.resolve()),
        }
        # Who is far back in the queue waits in a process that takes little.
        command = [os.environ.get(WORKER_VARIABLE, "core"), "train", str(path.resolve())]
        if tickets_before(ticket) >= many:
            command = ["core.jobs.waiting", str(path.resolve()), device, str(many)]
        with path.joinpath("log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
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
    finally:
        os.close(alive)
        if not was:
            shutil.rmtree(folder, ignore_errors=True)  # there only where the run could not be started
    return get_run(run_id)


def watch(run_id: str, *, every: float = 0.2) -> Iterator[Run | Damaged]:
    """Yields the run as it is now, again and again, the last time when it has ended."""
    while True:
        run = get_folder(run_id)
        yield run
        if run.state not in LIVE:
            return
        time.sleep(every)


def stop(run_id: str, *, grace: float = GRACE, user: str = "") -> Run | Damaged:
    """Stops a queued or running run: asks first, then SIGTERM, then SIGKILL, until all its processes are gone.

    Args:
        run_id: its id.
        grace: seconds to wait before each signal; before the first, as long besides as it writes its checkpoint, or as
            two of its steps take, for it looks for the request after each.
        user: who asks; empty is who is signed in, else the account of this process.

    Raises:
        UserError: the run has already ended.
    """
    check_writable()
    run = get_folder(run_id)
    if not _lives(run):
        raise UserError(f"Run {run_id} cannot be stopped: it is {run.state}.")
    with say_unwritable(f"Run {run_id}", "stopped"):
        stop_flag(run.path).touch()
    journal.append_event(run.path, "stop asked", user=user or account())
    pids = {process.pid for process in processes.processes_of(run.path)}
    waits = {None: grace + _two_steps(run), signal.SIGTERM: grace, signal.SIGKILL: max(grace, KILLED)}
    asked = time.monotonic()
    for number, seconds in waits.items():
        if number is not None:
            _signal(run, number)
        deadline = time.monotonic() + seconds
        while _lives(run) and time.monotonic() < deadline:
            time.sleep(0.05)
            run = get_folder(run_id)
            if number is None and run.progress.get("phase") == STOPPING:
                deadline = max(deadline, asked + HEARD)
        # It has had its time to write: what it leaves behind gets no more than usual.
        if not _lives(run) and _are_gone(run.path, min(deadline, time.monotonic() + seconds)):
            journal.append_event(run.path, "all processes are gone")
            if run.device.startswith("cuda"):
                await_gpu_memory(run.path, pids, deadline + grace)
            return run
    left = [process.pid for process in processes.processes_of(run.path)]
    journal.append_event(run.path, "processes are left", pids=left)
    return get_folder(run_id)


def stop_all(run_ids: Iterable[str], *, grace: float = GRACE, user: str = "") -> list[Run | Damaged]:
    """Stops those of several runs that have not ended; none of them starts because another one made room."""
    live = [run for run_id in run_ids if (run := get_folder(run_id)).state in LIVE]
    for run in live if not read_only() else ():
        with suppress(OSError):  # said below
            stop_flag(run.path).touch()
    stopped = []
    for run in live:
        try:
            stopped.append(stop(run.id, grace=grace, user=user))
        except UserError:
            stopped.append(get_folder(run.id))
            if stopped[-1].state in LIVE:
                raise
    return stopped


def _lives(run: Run | Damaged) -> bool:
    """Whether a run has not ended; of one whose status is damaged, whether its worker lives."""
    return run.state in LIVE or (isinstance(run, Damaged) and is_locked(alive_lock(run.path)))


def _two_steps(run: Run | Damaged) -> float:
    """Seconds that two steps of a run take, as it says; 0 where it does not yet, or is damaged."""
    steps = journal.read_steps(run.path)
    silent = time.time() - journal.read_heartbeat(run.path).get("time", 0.0) > SILENT  # it hears nothing
    if not steps or silent or isinstance(run, Damaged):
        return 0.0
    return min(HEARD, 2 * run.config.train.batch_size / max(steps[-1].get("documents_per_second") or 0.0, 1e-3))


def _are_gone(path: Path, deadline: float) -> bool:
    """Whether no process of a run is left by then."""
    while any(True for _ in processes.processes_of(path)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def await_gpu_memory(path: Path, pids: set[int], deadline: float) -> None:
    """Waits until the driver has taken back the GPU memory of processes, and notes whether it has."""
    while held := pids & machine.gpu_holders():
        if time.monotonic() >= deadline:
            journal.append_event(path, "GPU memory is still held", pids=sorted(held))
            return
        time.sleep(0.2)
    journal.append_event(path, "GPU memory is free again")


def _signal(run: Folder, number: signal.Signals) -> None:
    """Signals a run's process group, if its leader is that very process, and all else that carries the run's mark."""
    hit = set()
    with suppress(ProcessLookupError):
        leader = journal.read_process(run.path)
        if leader and processes.is_alive(leader):
            os.killpg(leader["pid"], number)
            hit.add(leader["pid"])
    for process in processes.processes_of(run.path):
        with suppress(psutil.Error):
            process.send_signal(number)
            hit.add(process.pid)
    journal.append_event(run.path, f"{number.name} sent", pids=sorted(hit))


def delete(run_id: str) -> None:
    """Removes an ended run for good; `UserError` if it is queued or running."""
    check_writable()
    delete_run(run_id)

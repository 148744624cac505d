"""Runs as background processes: submitted, stopped, resumed, deleted."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from core.config.schema import RunConfig
from core.data import sources
from core.data.corpus import Corpus
from core.jobs import clusters, trackers
from core.jobs.engines import LOCAL, choose_engine, local
from core.jobs.obstacles import find_misfits
from core.jobs.queue import queue, slots
from core.runs import folder as runs_folder
from core.runs import journal, mirror
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
    remove_half_written,
    remove_leftovers,
    run_path,
)
from core.runs.layout import alive_lock, job_file, stop_flag
from core.runs.plan import check_trainable, command_line
from core.system import machine, processes
from core.system.access import account, check_writable, read_only
from core.system.errors import UserError
from core.system.files import atomic_path, say_unwritable, write_json
from core.system.locks import is_locked, locked, try_lock
from core.system.places import cache_dir
from core.system.store import find_store

GRACE = 5.0
"""Seconds between the request to stop and SIGTERM, and again between SIGTERM and SIGKILL."""
HEARD = 120.0
"""Seconds for which a run is left alone that has heard the request and writes its checkpoint, or is in a long step."""
KILLED = 10.0
"""Seconds in which the system ends a process that got SIGKILL, however busy it is."""
STORED = 10.0
"""Seconds in which what one side of a store writes is known to the other."""
ENDS_WITHIN = 30.0
"""Seconds in which a cluster says that a job has ended which it was told to end."""


def existing(config: RunConfig) -> Run | None:
    """The run that has been made with this config and the data as they are now, if there is one."""
    path = run_path(runs_folder.run_id(config, sources.load(config.data).fingerprint))
    return get_run(path.name) if path.is_dir() else None


def check(config: RunConfig, corpus: Corpus, engine: str = "") -> str:
    """The id that a run has on this data.

    Raises:
        UserError: the data lack what the run needs, there is no such engine, no slot for its device, or a tracker's
            package is missing.
    """
    if choose_engine(engine) == LOCAL:
        slots(queue(config))
    trackers.check(config.track)
    if misfits := find_misfits([config], corpus):
        raise UserError(" ".join(misfits))
    return runs_folder.run_id(config, corpus.fingerprint)


def submit(config: RunConfig, *, user: str = "", corpus: Corpus | None = None, engine: str = "") -> Run:
    """Puts a run into the queue of its device, or of its cluster; its worker outlives this process.

    The same config, data and seed are the same run: a finished, running or queued one is returned as it is; a stopped
    or lost one goes on from its last checkpoint, and starts anew where it has none, as a failed one does.

    Args:
        config: the run's settings.
        user: who asks; empty is who is signed in, else the account of this process.
        corpus: its data where they are open.
        engine: where it runs, as `core.jobs.engines.choose_engine` has it.

    Raises:
        UserError: the data cannot be loaded or lack what the run needs, there is no such slot, or the cluster
            does not answer or refuses.
    """
    check_writable()
    check_trainable(config)
    path = run_path(check(config, corpus or sources.load(config.data), engine))
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
        return _start(config, path.name, user, anew=anew, engine=choose_engine(engine, _find_engine(path)))


def _find_engine(path: Path) -> str:
    """The cluster that a run has been on; empty where it has been on none."""
    job, _ = journal.read_job(path)
    return job.engine if job else ""


def _empty(path: Path) -> None:
    """Takes away all that a run has made; its question and state, what people wrote and what happened to it stay."""
    kept = ("config.json", "status.json", "about.json", "events.jsonl", "stop", "engine.json", alive_lock(path).name)
    for inner in path.iterdir():
        if inner.is_dir():
            shutil.rmtree(inner)
        elif inner.name not in kept:
            inner.unlink()


def resume(run_id: str, *, user: str = "", anew: bool = False, engine: str = "") -> Run:
    """Puts a stopped, failed or lost run into the queue again: it goes on from its last checkpoint, if it has one.

    Args:
        run_id: its id.
        user: who asks; empty is who is signed in, else the account of this process.
        anew: from the first step, whatever it has made; a finished run can be trained again like this.
        engine: where it goes on; where it has been before, if it was on a cluster, unless another one is named.

    Raises:
        UserError: no such run, it is published, damaged, finished, or still queued or running, or its cluster does not
            take it.
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
        engine = choose_engine(engine, _find_engine(found.path))
        if engine == LOCAL:
            slots(queue(config))
        return _start(config, run_id, user, anew=anew, engine=engine)


def _start(config: RunConfig, run_id: str, user: str, *, anew: bool, engine: str) -> Run:
    """Queues a run that no process works on; at every moment its folder is either not there or whole."""
    path, user = run_path(run_id), user or account()
    # A cluster that does not answer or refuses says so before anything of the run is touched.
    device, needs = (queue(config), []) if engine == LOCAL else (engine, clusters.check_cluster(engine, [config]))
    was = get_folder(run_id).state if path.is_dir() else ""
    store = find_store() if engine != LOCAL or job_file(path).exists() else None
    if store and was and not anew and job_file(path).exists():
        with suppress(mirror.NotThere):  # it was on a cluster that shares the cache
            mirror.receive_run(store, path, checkpoints=True)
    folder = path if was else path.with_name(f".{run_id}.new")
    if not was:
        shutil.rmtree(folder, ignore_errors=True)
    alive = try_lock(alive_lock(folder))
    if alive is None:
        raise UserError(f"Run {run_id} is being worked on by another process.")
    for orphan in processes.processes_of(path) if was else ():
        with suppress(psutil.Error):
            orphan.kill()
    before = {file: file.read_bytes() for file in (path / "status.json", job_file(path)) if file.is_file()}
    try:
        for file in (stop_flag(folder), *folder.glob("process-*.json")):  # of the last attempt
            file.unlink(missing_ok=True)
        if engine == LOCAL:
            job_file(folder).unlink(missing_ok=True)
        else:
            clusters.begin_job(engine, folder)
        write_json(folder / "config.json", config.model_dump())
        status = {"state": "queued", "submitted": time.time(), "device": device, "user": user}
        write_json(folder / "status.json", status | {"command": command_line(config)})
        journal.append_event(folder, "submitted" if anew else "resumed", user=user, **({"was": was} if was else {}))
        if not was:
            folder.rename(path)
        elif anew:
            _empty(path)
        else:
            remove_half_written(path)
        if engine == LOCAL:
            local.start(path, device, alive)
        else:
            clusters.submit_job(engine, path, needs[0])
    except UserError as error:  # of a cluster, which has not taken it
        if not was:
            shutil.rmtree(path, ignore_errors=True)
            if store:
                with suppress(UserError):  # it may be the store that does not answer
                    mirror.forget_run(store, run_id)
        for file, content in before.items() if was else ():
            with atomic_path(file) as temporary:
                temporary.write_bytes(content)
        if was and anew:
            journal.update_status(path, state="failed", ended=time.time(), kind="refused", reason=str(error))
        raise
    finally:
        os.close(alive)
        if not was:
            shutil.rmtree(folder, ignore_errors=True)  # there only where the run could not be started
    return get_run(run_id)


def watch(run_id: str, *, every: float = 0.2) -> Iterator[Run | Damaged]:
    """Yields the run as it is now, again and again, the last time when it has ended."""
    while True:
        clusters.ask_clusters()
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
    if job_file(run.path).exists():
        return _stop_on_cluster(run, grace)
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


def _stop_on_cluster(run: Run | Damaged, grace: float) -> Run | Damaged:
    """Stops a run on a cluster that has been asked to stop: its job is ended, after it had time for its checkpoint.

    Raises:
        UserError: it does not say which job it is, or its cluster does not answer.
    """
    job, damage = journal.read_job(run.path)
    if job is None:
        raise UserError(f"{damage} It was asked to stop, and does so after its next step if its worker lives.")
    clusters.note(run.id)
    if store := find_store():
        mirror.ask_to_stop(store, run.path)
        grace += STORED
    # One that waits has no worker that could hear.
    asked = time.monotonic()
    deadline = asked + (grace + _two_steps(run) if run.state == "running" else 0.0)
    while run.state in LIVE and time.monotonic() < deadline:
        time.sleep(0.1)
        clusters.ask_clusters()
        run = get_folder(run.id)
        if run.progress.get("phase") == STOPPING:
            deadline = max(deadline, asked + HEARD)
    if run.state in LIVE:
        try:
            clusters.stop_job(run.path, job)
        except UserError as error:
            words = "It was asked to stop, and does so after its next step if its worker lives."
            raise UserError(f"{error} Run {run.id}: {words}") from None
        journal.append_event(run.path, "job ended on the cluster", job=job.job)
    deadline = time.monotonic() + ENDS_WITHIN
    while run.state in LIVE and time.monotonic() < deadline:
        clusters.ask_clusters(at_once=True)
        time.sleep(0.5)
        run = get_folder(run.id)
    return run


def _lives(run: Run | Damaged) -> bool:
    """Whether a run has not ended; of one whose status is damaged, whether its worker lives."""
    return run.state in LIVE or (isinstance(run, Damaged) and is_locked(alive_lock(run.path)))


def _two_steps(run: Run | Damaged) -> float:
    """Seconds that two steps of a run take, as it says; 0 where it does not yet, or is damaged."""
    steps = journal.read_steps(run.path)
    silent = time.time() - journal.read_heartbeat(run.path).get("time", 0.0) > SILENT  # it hears nothing
    silent = silent and not job_file(run.path).exists()  # the clock of a node may differ
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
    was_on_cluster = job_file(run_path(run_id)).exists()
    delete_run(run_id)
    if was_on_cluster and (store := find_store()):
        mirror.forget_run(store, run_id)

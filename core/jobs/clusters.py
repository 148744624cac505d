"""Runs on clusters: what a cluster says of their jobs is asked for all of them at once, and kept in their folders.

A run is lost only where the cluster has said twice that its job has ended, and its folder tells no end. A cluster that
does not answer changes no state. Times are compared with none of another machine. Where nodes work on copies, what they
have sent to the store is fetched before each question.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from core.config.schema import RunConfig
from core.data import sources
from core.jobs.engines import TITLES, Cluster, Need, Unreachable, find_need, load_cluster
from core.runs import journal, mirror
from core.runs.folder import LIVE, RUN_ID, read_config, run_path
from core.runs.layout import job_file
from core.runs.stored import Job
from core.system.errors import UserError
from core.system.files import write_json
from core.system.locks import locked, try_lock
from core.system.places import cache_dir
from core.system.store import STORE_VARIABLE, StoreSilent, find_store

ASK_EVERY = 2.0
"""Seconds between two questions to the clusters."""
AGAIN_AFTER = 15.0
"""Seconds after which a cluster is asked again that did not answer: who lists runs waits for it meanwhile."""
LOOK_EVERY = 15.0
"""Seconds between two looks for runs that other machines have put on the store."""
_asking = threading.Lock()
_next: dict[Path, float] = {}
"""When the clusters of a cache are to be asked next, by the clock of this process that only goes forward."""
_look: dict[Path, float] = {}
"""When the store of a cache is to be looked at next for new runs, by the same clock."""


def _noted_dir() -> Path:
    """A folder with an empty file for each run of which a cluster may have something new to say."""
    return cache_dir() / "clusters"


def _job_lock() -> Path:
    """The lock under which `engine.json` files are written."""
    return cache_dir() / "locks" / "jobs.lock"


def check_cluster(engine: str, configs: Iterable[RunConfig]) -> list[Need]:
    """What each of several runs asks of a cluster.

    Raises:
        UserError: the engine is not installed, the cluster does not answer, or never has what a run needs.
    """
    offer = load_cluster(engine).describe()
    return [find_need(config, offer) for config in configs]


def begin_job(engine: str, folder: Path) -> None:
    """Writes into a run's folder that it is being submitted; who does that holds the run's lock."""
    job = Job(engine=engine, job="", where=load_cluster(engine).where(), submitted=time.time())  # type: ignore[arg-type]
    with locked(_job_lock()):
        write_json(job_file(folder), job.model_dump())


def submit_job(engine: str, path: Path, need: Need) -> None:
    """Hands a run to its cluster. Where the cluster lets jobs be named, the folder says which one before it has it.

    Raises:
        UserError: the cluster does not answer, or refuses.
    """
    cluster, (begun, problem) = load_cluster(engine), journal.read_job(path)
    if begun is None:
        raise UserError(problem or f"{path.name}: engine.json was deleted while the run was submitted.")
    note(path.name)
    name = cluster.name_job(path.name)
    if name:
        _change(path, begun, job=name)
        begun = begun.model_copy(update={"job": name})
    store = find_store()
    if store:
        mirror.send_data(store, sources.files_to_share(read_config(path).data))
        mirror.send_run(store, path)
    try:
        job = cluster.submit(path.name, name, need)
    except Unreachable:
        with suppress(UserError):  # it may have taken the job all the same
            if name:
                cluster.stop(name)
        raise
    _change(path, begun, job=job)
    if store and job != name:
        mirror.send_run(store, path, only=job_file(path).name)


def note(run_id: str) -> None:
    """Notes that a cluster is to be asked of a run."""
    _noted_dir().mkdir(parents=True, exist_ok=True)
    (_noted_dir() / run_id).touch()


def ask_clusters(*, at_once: bool = False) -> None:
    """Asks each cluster, once for all runs that have not ended, what they do, and keeps the answers in their folders.

    It does so at most every `ASK_EVERY` seconds, and returns at once where no run is on a cluster.

    Args:
        at_once: ask in any case.
    """
    cache = cache_dir()
    try:
        noted = [name for name in os.listdir(_noted_dir()) if RUN_ID.fullmatch(name)]
    except OSError:
        noted = []
    looks = bool(os.environ.get(STORE_VARIABLE)) and time.monotonic() >= _look.get(cache, 0.0)
    if not (noted or looks) or not _asking.acquire(blocking=at_once):
        return
    try:
        if not at_once and time.monotonic() < _next.get(cache, 0.0):
            return
        held = try_lock(cache / "locks" / "clusters.lock")
        if held is None:  # another process asks
            return
        try:
            if looks:
                noted += _find_runs_of_others()
                _look[cache] = time.monotonic() + LOOK_EVERY
            reached = _ask(noted)
            _next[cache] = time.monotonic() + (ASK_EVERY if reached else AGAIN_AFTER)
        finally:
            os.close(held)
    except OSError:  # a disk that is full or read-only: what was known stays
        return
    finally:
        _asking.release()


def ask_in_background() -> None:
    """`ask_clusters` beside who draws a page, which shows what is known and waits for no cluster."""
    asks = _noted_dir().is_dir() or os.environ.get(STORE_VARIABLE)
    if asks and not _asking.locked() and time.monotonic() >= _next.get(cache_dir(), 0.0):
        threading.Thread(target=ask_clusters, daemon=True).start()


def _find_runs_of_others() -> list[str]:
    """Brings the runs here that other machines have put on the store; those of which a cluster may have news."""
    try:
        store = find_store()
        if store is None:
            return []
        new = [run_id for run_id in mirror.list_run_ids(store) if not run_path(run_id).exists()]
        for run_id in new:
            mirror.receive_run(store, run_path(run_id))
            note(run_id)
    except UserError:  # said of each run of this machine that is on a cluster
        return []
    return new


def _ask(noted: Iterable[str]) -> bool:
    """Asks of runs by their ids; whether all clusters answered."""
    live: dict[str, dict[str, Job]] = defaultdict(dict)
    lacks = _receive(noted)
    for run_id in noted:
        job = find_live_job(run_path(run_id))
        if job is None:
            (_noted_dir() / run_id).unlink(missing_ok=True)
        elif job.job:
            live[job.engine][run_id] = job
    reached = True
    for engine, jobs in live.items():
        try:
            cluster = load_cluster(engine)
            asked = {job.job for run_id, job in jobs.items() if job.where == cluster.where() and run_id not in lacks}
            answers = cluster.find_states(asked) if asked else {}
            silence = ""
        except UserError as error:
            cluster, answers, silence, reached = None, {}, str(error), False
        for run_id, job in jobs.items():
            if answer := answers.get(job.job):
                _keep_answer(run_path(run_id), job, answer.state, answer.words)
            else:
                _keep_silence(run_path(run_id), job, lacks.get(run_id) or silence or _describe_other(job, cluster))
    return reached and not lacks


def _receive(noted: Iterable[str]) -> dict[str, str]:
    """Fetches what nodes have sent of runs; of those of which nothing can be known, why, a sentence."""
    try:
        store = find_store()
    except UserError as error:
        return dict.fromkeys(noted, str(error))
    lacks: dict[str, str] = {}
    if store is None:
        return lacks
    for run_id in noted:
        job = find_live_job(run_path(run_id))
        if job is None:
            continue
        try:  # checkpoints only of a run that has ended: it can go on here
            mirror.receive_run(store, run_path(run_id), checkpoints=job.state == "ending")
        except mirror.NotThere as error:
            lacks[run_id] = str(error)
        except StoreSilent as error:
            return dict.fromkeys(noted, str(error))
    return lacks


def find_live_job(path: Path) -> Job | None:
    """The job of a run whose folder tells no end, and of which the cluster has not said that it ended.

    Where nodes send copies to a store, the job of any run of which the cluster has not said that: files may still come.
    """
    try:
        if journal.read_status(path)["state"] not in LIVE and not os.environ.get(STORE_VARIABLE):
            return None
    except UserError:  # damaged: its job goes on
        if not path.is_dir():
            return None
    job, _ = journal.read_job(path)
    return None if job is None or job.state == "ended" else job


def _describe_other(job: Job, cluster: Cluster | None) -> str:
    here = cluster.where() if cluster else ""
    return f"It was submitted to {job.where[:100]}, and {here} is named now."


def _keep_answer(path: Path, job: Job, state: str, words: str) -> None:
    """Keeps what a cluster said; an end must be said twice, for the folder may tell of its own in a moment."""
    if state == "ended" and job.state not in ("ending", "ended"):
        state = "ending"
    started = job.started
    if state == "waiting":
        with suppress(UserError):
            started = journal.read_status(path).get("started")
    _change(path, job, state=state, words=words[:400], started=started, unreachable=None, why="")


def _keep_silence(path: Path, job: Job, why: str) -> None:
    """Keeps that a cluster does not answer, and since when."""
    _change(path, job, unreachable=job.unreachable or time.time(), why=why[:600])


def _change(path: Path, known: Job, **changes: object) -> None:
    """Changes what is kept of a job, unless the run has another one by now."""
    changed = known.model_copy(update=changes)
    if changed == known or not path.is_dir():
        return
    with locked(_job_lock()):
        now, _ = journal.read_job(path)
        if now is not None and now.job == known.job and path.is_dir():
            write_json(job_file(path), changed.model_dump())


def stop_job(path: Path, job: Job) -> None:
    """Ends the job of a run.

    Raises:
        UserError: its cluster does not answer, or is not the one that is named.
    """
    cluster = load_cluster(job.engine)
    if job.where != cluster.where():
        raise Unreachable(f"Run {path.name} cannot be stopped. {_describe_other(job, cluster)}")
    if job.job:
        cluster.stop(job.job)


def describe_engine(engine: str) -> str:
    """What a cluster says it has, or why it says nothing, a sentence."""
    try:
        offer = load_cluster(engine).describe()
    except UserError as error:
        return str(error)
    return f"{TITLES[engine]}{f' at {offer.where}' if offer.where else ''} has {offer.words}."

"""One run from its settings to its results: waits for its device, loads, trains, scores and writes."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from core.config.schema import RunConfig
from core.data import sources
from core.jobs import queue, tickets
from core.jobs.heartbeat import write_heartbeats
from core.jobs.reporter import SilentReporter, StatusReporter
from core.jobs.webhook import post_outcome
from core.labels import groups
from core.runs import failures, folder, journal
from core.runs.layout import (
    ALIVE_VARIABLE,
    JOB_VARIABLE,
    NODE_VARIABLE,
    STOPPED,
    alive_lock,
    is_gone,
    peer_failure_file,
    runs_dir,
)
from core.runs.outcome import About, Part, peak_memory, write_outcome
from core.runs.plan import check_trainable
from core.system.errors import Gone, PeerLost, Stopped, UserError
from core.system.files import atomic_path, read_fields, write_json
from core.system.locks import try_lock

log = logging.getLogger("tailscope")
QUEUE_POLL = 0.2
"""Seconds between two looks at the queue."""
RESERVE = 65_536
"""Bytes set aside in the run folder, so that a full disk still leaves room to write that the disk is full."""

HANDED_OVER = 120.0
"""Seconds in which whoever held a run before its worker on a cluster lets go of it."""
PEER_WRITES = 3.0
"""Seconds in which a process of a run that fails by itself has written why, once its connections are closed."""
MOST_STARTS = 50
"""How often a cluster may start a run again: one that dies every time goes no further."""


def execute(path: Path, reporter: StatusReporter | None = None) -> None:
    """Waits for the run's device, trains, scores and writes everything into the run's folder.

    The outcome stands in `status.json`: finished, failed with the reason, or stopped.

    Args:
        path: the run's folder.
        reporter: where progress is reported and requests to stop are found; the run's status unless given.

    Raises:
        UserError: no run folder, or another worker holds it.
        PeerLost: on a cluster, where another process of the run was lost; its status says that it runs.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    config = _open_run(path)
    # One of several processes of a run, and not the first: it only trains.
    if rank := int(os.environ.get("RANK", "0")):
        _replicate(config, path, rank)
        return
    # The lock comes first: from here on the run is alive for all who look, and its outcome is written.
    alive, held = _hold_run(path), None
    # A cluster may start a worker again whose run has ended meanwhile, or was resumed elsewhere.
    if _on_node() and not _is_wanted(path):
        log.info("this job has nothing left to do for the run")
        os.close(alive)
        return
    reserve = path / "reserve"
    try:
        reserve.write_bytes(bytes(RESERVE))
        reporter = reporter or StatusReporter(path)
        with write_heartbeats(path):
            slot, held = (_take_device(path), None) if _on_node() else _wait_for_slot(path, reporter)
            journal.update_status(path, state="running", started=time.time(), device=slot)
            journal.append_event(path, "started", slot=slot, **({"node": platform.node()} if _on_node() else {}))
            _run(config, path, slot, reporter)
        journal.update_status(path, state="finished", ended=time.time(), progress={"phase": "done", "fraction": 1.0})
        journal.append_event(path, "finished")
        log.info("finished")
    except PeerLost as error:
        if is_gone(path):
            return
        failure = _await_peer_failure(path)
        if failure is None and _on_node():
            # The cluster starts all processes of the run again, and it goes on.
            journal.append_event(path, "another process was lost", words=str(error)[:300])
            raise
        failure = failure or failures.Failure("killed", str(error), "Resume the run: it goes on from its checkpoint.")
        _fail(path, failure)
        raise UserError(failure.words) from error
    except Stopped:
        log.info("stopped by request")
        journal.update_status(path, state="stopped", ended=time.time(), reason=STOPPED)
        journal.append_event(path, "stopped")
    except Exception as error:
        # A folder that was deleted meanwhile is no error of the run, and is not made again.
        if isinstance(error, Gone) or is_gone(path):
            log.info("the run's folder was deleted: nothing more is done")
            return
        # Whatever ends a run is written into its status; a bug keeps its traceback.
        reserve.unlink(missing_ok=True)
        _fail(path, failures.of_error(error, config, path))
        raise
    finally:
        # The last status is written before the locks are released, never after; the webhook is called last.
        reserve.unlink(missing_ok=True)
        if is_gone(path):
            shutil.rmtree(path, ignore_errors=True)
        for descriptor in (held, alive):
            if descriptor is not None:
                os.close(descriptor)
        if not is_gone(path):
            post_outcome(path)


def _fail(path: Path, failure: failures.Failure) -> None:
    """Writes into a run's status why it failed."""
    words = {"kind": failure.kind, "reason": failure.words, "advice": failure.advice}
    journal.update_status(path, state="failed", ended=time.time(), **words)
    journal.append_event(path, "failed", kind=failure.kind)


def _replicate(config: RunConfig, path: Path, rank: int) -> None:
    """Trains beside the first process of a run; why it fails by itself stands where that one looks."""
    from core.jobs.training import replicate

    if _on_node() and not _is_wanted(path):
        log.info("this job has nothing left to do for the run")
        return
    try:
        device = _name_slot() if _on_node() else journal.read_status(path)["device"]
        replicate(config, sources.load(config.data), path, device, SilentReporter())
    except PeerLost:
        raise
    except Exception as error:  # as in `execute`: whatever ends a process of a run is told
        why = failures.of_error(error, config, path)
        words = {"kind": why.kind, "words": f"Process {rank + 1} failed: {why.words}", "advice": why.advice}
        write_json(peer_failure_file(path, rank), words)
        raise


def _await_peer_failure(path: Path) -> failures.Failure | None:
    """Why another process of a run failed, if it says so within a moment of its end."""
    until = time.monotonic() + PEER_WRITES
    while (failure := _read_peer_failure(path)) is None and time.monotonic() < until:
        time.sleep(QUEUE_POLL)
    return failure


def _read_peer_failure(path: Path) -> failures.Failure | None:
    """What another process of a run has written of its failure."""
    for file in sorted(path.glob("process-*.json")):
        with suppress(UserError):
            values, _ = read_fields(file)
            return failures.Failure(*(str(values.get(key, ""))[:1000] for key in ("kind", "words", "advice")))
    return None


def _open_run(path: Path) -> RunConfig:
    """The settings of a run of this cache.

    Raises:
        UserError: there is no such run, its settings are damaged, or it lies elsewhere.
    """
    found = folder.get_folder(path.name)
    if found.path.resolve() != path.resolve():
        raise UserError(f"{path} is no run folder of this cache; runs live in {runs_dir()}.")
    config = folder.read_config(found.path)
    check_trainable(config, f"Run {path.name}")
    return config


def _hold_run(path: Path) -> int:
    """The lock that proves the run alive: inherited from the process that started this one, or taken now.

    Raises:
        UserError: another process holds it.
    """
    inherited = os.environ.pop(ALIVE_VARIABLE, "")
    if inherited.isdigit() and os.path.samestat(os.fstat(int(inherited)), os.stat(alive_lock(path))):
        os.set_inheritable(int(inherited), False)
        return int(inherited)
    taken, until = try_lock(alive_lock(path)), time.monotonic() + HANDED_OVER
    # On a cluster who submits it may hold it still, or a worker that is just being killed.
    while taken is None and _on_node() and time.monotonic() < until:
        time.sleep(QUEUE_POLL)
        taken = try_lock(alive_lock(path))
    if taken is None:
        raise UserError(f"Run {path.name} is being worked on by another process.")
    return taken


def _on_node() -> bool:
    """Whether this is a worker on a node of a cluster."""
    return NODE_VARIABLE in os.environ


def _is_wanted(path: Path) -> bool:
    """Whether a run still waits for what this worker's job does."""
    job, _ = journal.read_job(path)
    mine = job is not None and job.job == os.environ.get(JOB_VARIABLE)
    return mine and journal.read_status(path)["state"] in folder.LIVE


def _take_device(path: Path) -> str:
    """The device that the cluster has given this run, as the name of a slot; what a dead worker half wrote goes.

    Raises:
        UserError: the run was started again and again, or another process of it has failed by itself.
    """
    starts = 0
    for event in journal.read_events(path):
        starts = 0 if event["what"] in ("submitted", "resumed") else starts + (event["what"] == "started")
    if starts >= MOST_STARTS:
        raise UserError(f"The cluster started this run {starts} times, and each time it was killed. See its log.")
    if failure := _read_peer_failure(path):
        raise UserError(f"{failure.words} {failure.advice}".strip())
    folder.remove_half_written(path)
    return _name_slot()


def _name_slot() -> str:
    """The device that the cluster has given this process, as the name of a slot."""
    return "cpu" if os.environ[NODE_VARIABLE] in ("", "0") else "cuda-0"


def _wait_for_slot(path: Path, reporter: StatusReporter) -> tuple[str, int]:
    """Waits until this run is the first in its queue and a slot is free: the slot's name, and its lock, held.

    Raises:
        Stopped: a stop was requested.
    """
    device = journal.read_status(path)["device"]
    slots = queue.slots(device)
    ticket, reported = tickets.draw_ticket(device, path.name), ""
    try:
        while True:
            reporter.raise_if_stopped()
            # The first in the queue takes any slot that is free.
            ahead = tickets.tickets_before(ticket)
            for slot in slots if not ahead else ():
                if (held := try_lock(tickets.slot_lock(slot))) is not None:
                    return slot, held
            # The status is written when its words change, not at every look.
            words = f"waiting for {device}, {ahead + 1} ahead" if ahead else f"waiting for {device}"
            if words != reported:
                reporter.report(words, 0.0)
            reported = words
            # Who comes next has torch ready; it takes seconds and 250 MB, so those far back in a queue are without it.
            if ahead < len(slots):
                _import_torch()
            time.sleep(QUEUE_POLL)
    finally:
        ticket.unlink(missing_ok=True)


def _import_torch() -> None:
    """Imports what trains, which brings torch."""
    from core.jobs import training  # noqa: F401


def _run(config: RunConfig, path: Path, slot: str, reporter: StatusReporter) -> None:
    """From the data to the results, which are all written before the run's checkpoints go.

    Raises:
        UserError: the data set has changed since the run was made, or the model cannot be fitted.
        Stopped: a stop was requested.
    """
    from safetensors.numpy import save_file

    from core.jobs.training import fit

    began = time.monotonic()
    # Data: those that the run's id was made from, and no others.
    corpus = sources.load(config.data, progress=lambda phase, fraction: reporter.report_if_due(phase, 0.02 * fraction))
    if folder.run_id(config, corpus.fingerprint) != path.name:
        raise UserError(f"The data set {corpus.name} has changed since this run was made. Start a new run.")
    log.info("%s, split %s: %d labels, %s", corpus.name, corpus.split, len(corpus.labels), corpus.fingerprint[:12])
    # Model, and its scores of the validation and the test part.
    fitted = fit(config, corpus, path, slot, reporter)
    reporter.report("scoring", 0.98)
    # Files: weights and what reads new texts, then predictions and metrics, with which the run has results.
    with atomic_path(path / "model.safetensors") as temporary:
        save_file(fitted.weights, temporary)
    fitted.save(path)
    parts = {
        part: Part([corpus.ids[row] for row in corpus.parts[part]], corpus.parts[part], corpus.targets_of(part), found)
        for part, found in fitted.scores.items()
    }
    about = About(
        corpus.labels,
        corpus.counts,
        groups.default_borders(corpus.name, corpus.counts),
        corpus.fingerprint,
        corpus.source,
        {part: len(rows) for part, rows in corpus.parts.items()},
    )
    results = write_outcome(
        path,
        parts,
        about,
        rule=config.threshold_rule(),
        command=journal.read_status(path).get("command", ""),
        began=began,
        more=fitted.more,
        memory=peak_memory(),
    )
    # Checkpoints: nothing needs them any longer.
    shutil.rmtree(folder.checkpoint_dir(path), ignore_errors=True)
    everything = results["test"]["all"]
    log.info("test micro-F1 %.4f, macro-F1 %.4f", everything["micro_f1"], everything["macro_f1"])

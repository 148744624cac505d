"""The only place that joins data, model, trainer, scores and store: one run from its settings to its results."""

from __future__ import annotations

import json
import logging
import os
import platform
import resource
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import psutil

from core import __version__, data, failures, labels, machine, metrics, store, thresholds
from core.config import RunConfig, UserError
from core.failures import Stopped
from core.files import atomic_path, try_lock, write_json
from core.store import Predictions

log = logging.getLogger("tailscope")
REPORT_EVERY = 0.5
"""Seconds between two writes of the status while a run makes progress."""
HEARTBEAT_EVERY = 2.0
"""Seconds between two heartbeats."""
QUEUE_POLL = 0.2
"""Seconds between two looks at the queue."""
WEBHOOK_SECONDS = 5.0
"""Seconds after which a webhook that does not answer is given up."""
RESERVE = 65_536
"""Bytes set aside in the run folder, so that a full disk still leaves room to say that the disk is full."""


class _Reporter:
    """Writes the status of one run, not more often than is worth a person's look, and hears requests to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 0.0
        self._since: tuple[float, float] | None = None

    def now(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports at once."""
        self._next = time.monotonic() + REPORT_EVERY
        progress = {"phase": phase, "fraction": round(min(max(fraction, 0.0), 1.0), 4), **more}
        if phase == "training":  # a resumed run begins somewhere in the middle
            self._since = self._since or (time.time(), progress["fraction"])
            progress["since"] = self._since
        store.update_status(self.path, progress=progress)
        self.heed_stop()

    def maybe(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports if the last report is old enough."""
        if time.monotonic() >= self._next:
            self.now(phase, fraction, **more)

    def heed_stop(self) -> None:
        """Raises `Stopped` if somebody asked for it."""
        if store.stop_flag(self.path).exists():
            raise Stopped


@contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    """Says every `HEARTBEAT_EVERY` seconds that the process still runs, and what it uses with all its children."""
    ended = Event()
    worker, total = psutil.Process(), psutil.virtual_memory().total
    spent, at = 0.0, worker.create_time()

    def beat() -> None:
        nonlocal spent, at
        seconds, memory, now = 0.0, 0, time.time()
        for process in (worker, *worker.children(recursive=True)):
            times = process.cpu_times()
            seconds += times.user + times.system
            memory += process.memory_info().rss
        cpu = 100 * max(0.0, seconds - spent) / max(now - at, 0.1)
        said = {"time": now, "cpu": round(cpu, 1), "memory": memory, "of_memory": total}
        torch = getattr(sys.modules.get("core.fitting"), "torch", None)
        if torch and torch.cuda.is_initialized():
            said["gpu"] = torch.cuda.memory_reserved()
        spent, at = seconds, now
        write_json(path / "heartbeat.json", said)

    def beats() -> None:
        while not ended.is_set():
            with suppress(OSError, psutil.Error):  # a child that ends just now; a full disk is said by what fills it
                beat()
            ended.wait(HEARTBEAT_EVERY)

    thread = Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Silent:
    """Reports nothing: the first of several processes does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self, phase: str, fraction: float, **more: Any) -> None: ...
    def maybe(self, phase: str, fraction: float, **more: Any) -> None: ...
    def heed_stop(self) -> None: ...


def execute(path: Path) -> None:
    """Waits for the run's device, trains, scores and writes everything into the run's folder.

    The outcome stands in `status.json`: finished, failed with the reason, or stopped.

    Raises:
        UserError: no run folder, or another worker holds it.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    config = _open(path)
    if os.environ.get("RANK", "0") != "0":
        _fitting().replicate(config, data.load(config.data), _Silent(path))
        return
    alive, held = _hold(path), None
    reserve = path / "reserve"
    try:
        reserve.write_bytes(bytes(RESERVE))
        reporter = _Reporter(path)
        with _heartbeat(path):
            slot, held = _wait_for_slot(path, reporter)
            store.update_status(path, state="running", started=time.time(), device=slot)
            store.append_event(path, "started", slot=slot)
            _run(config, path, reporter)
        store.update_status(path, state="finished", ended=time.time(), progress={"phase": "done", "fraction": 1.0})
        store.append_event(path, "finished")
        log.info("finished")
    except Stopped:
        log.info("stopped by request")
        store.update_status(path, state="stopped", ended=time.time(), reason=store.STOPPED)
        store.append_event(path, "stopped")
    except Exception as error:
        reserve.unlink(missing_ok=True)
        why = failures.of_error(error, config, path)
        said = {"kind": why.kind, "reason": why.words, "advice": why.advice}
        store.update_status(path, state="failed", ended=time.time(), **said)
        store.append_event(path, "failed", kind=why.kind)
        raise
    finally:
        reserve.unlink(missing_ok=True)
        for descriptor in (held, alive):
            if descriptor is not None:
                os.close(descriptor)
        _tell(path)


def _fitting() -> ModuleType:
    """The module that trains. It brings torch, seconds and 250 MB, so who waits far back in a queue is without it."""
    from core import fitting

    return fitting


def _tell(path: Path) -> None:
    """Posts how a run has ended to `TAILSCOPE_WEBHOOK`, if that is set; what goes wrong there is an event, no more."""
    url = os.environ.get("TAILSCOPE_WEBHOOK", "")
    if not url:
        return
    said = store.read_status(path)
    took = round(said["ended"] - said["started"], 3) if "started" in said else None
    told = {"run": path.name, "seconds": took} | {key: said.get(key, "") for key in ("state", "reason", "user")}
    try:
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError("TAILSCOPE_WEBHOOK is no http(s) address")
        request = urllib.request.Request(url, json.dumps(told).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS) as answer:
            store.append_event(path, "webhook told", status=answer.status)
    except (OSError, ValueError, HTTPException) as error:
        store.append_event(path, "webhook failed", error=str(error))


def _open(path: Path) -> RunConfig:
    run = store.get_run(path.name)
    if run.path.resolve() != path.resolve():
        raise UserError(f"{path} is no run folder of this cache; runs live in {store.runs_dir()}.")
    if run.config is None:
        raise UserError(run.problem)
    return run.config


def _hold(path: Path) -> int:
    """The lock that proves the run alive: inherited from the process that started this one, or taken now."""
    inherited = os.environ.pop(store.ALIVE_VARIABLE, "")
    if inherited.isdigit() and os.path.samestat(os.fstat(int(inherited)), os.stat(store.alive_lock(path))):
        os.set_inheritable(int(inherited), False)
        return int(inherited)
    taken = try_lock(store.alive_lock(path))
    if taken is None:
        raise UserError(f"Run {path.name} is being worked on by another process.")
    return taken


def _wait_for_slot(path: Path, reporter: _Reporter) -> tuple[str, int]:
    """Waits until this run is the first in its queue and a slot is free: the slot's name, and its lock, held."""
    device = store.read_status(path)["device"]
    slots = machine.slots(device)
    ticket, said = store.draw_ticket(device, path.name), ""
    try:
        while True:
            reporter.heed_stop()
            ahead = store.tickets_before(ticket)
            for slot in slots if not ahead else ():
                if (held := try_lock(store.slot_lock(slot))) is not None:
                    return slot, held
            words = f"waiting for {device}, {ahead + 1} ahead" if ahead else f"waiting for {device}"
            if words != said:
                reporter.now(words, 0.0)
            said = words
            if ahead < len(slots):
                _fitting()
            time.sleep(QUEUE_POLL)
    finally:
        ticket.unlink(missing_ok=True)


def _run(config: RunConfig, path: Path, reporter: _Reporter) -> None:
    from safetensors.torch import save_file

    began = time.monotonic()
    corpus = data.load(config.data, progress=lambda phase, fraction: reporter.maybe(phase, 0.02 * fraction))
    if store.run_id(config, corpus.fingerprint) != path.name:
        raise UserError(f"The data set {corpus.name} has changed since this run was made. Start a new run.")
    log.info("%s, split %s: %d labels, %s", corpus.name, corpus.split, len(corpus.labels), corpus.fingerprint[:12])
    borders = labels.default_borders(len(corpus.labels))
    fitted = _fitting().fit(config, corpus, reporter)
    scores = fitted.scores
    reporter.now("scoring", 0.98)
    rule = _fitting().threshold_rule(config)
    limits = thresholds.values_of(thresholds.fit(corpus.targets_of("validation"), scores["validation"], rule=rule))
    threshold = thresholds.of_values(limits)
    results = {
        part: metrics.score_groups(
            corpus.targets_of(part), thresholds.apply(scores[part], threshold), corpus.counts, borders
        )
        for part in ("validation", "test")
    }
    for part in results:
        rows, ids = corpus.parts[part], [corpus.ids[row] for row in corpus.parts[part]]
        kept = Predictions(ids, rows, corpus.targets_of(part), scores[part], threshold)
        store.write_predictions(path, kept, part)
    with atomic_path(path / "model.safetensors") as temporary:
        save_file(fitted.weights, temporary)
    fitted.save(path)
    write_json(
        path / "metrics.json",
        {
            "threshold": limits,
            "threshold_rule": rule,
            **results,
            "labels": list(corpus.labels),
            "counts": corpus.counts.tolist(),
            "borders": asdict(borders),
            "fingerprint": corpus.fingerprint,
            "source": corpus.source,
            "command": store.read_status(path).get("command", ""),
            "versions": _versions(),
            **fitted.more,
            "scores": metrics.score_all(
                corpus.targets_of("test"),
                scores["test"],
                thresholds.apply(scores["test"], threshold),
                counts=corpus.counts,
                documents=len(corpus.parts["train"]),
                borders=borders,
            ),
            "documents": {part: len(rows) for part, rows in corpus.parts.items()},
            "memory": _peak_memory(),
            "seconds": round(time.monotonic() - began, 3),
        },
    )
    shutil.rmtree(store.checkpoint_dir(path), ignore_errors=True)
    everything = results["test"]["all"]
    log.info("test micro-F1 %.4f, macro-F1 %.4f", everything["micro_f1"], everything["macro_f1"])


def _peak_memory() -> int:
    """Bytes that this process held at most; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "scipy", "scikit-learn", "transformers")
    return {"tailscope": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}

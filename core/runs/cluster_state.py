"""The state of a run on a cluster: what its folder tells, and what its cluster last said of its job."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.runs.failures import Failure, of_job
from core.runs.journal import read_job
from core.runs.layout import STOPPED, alive_lock, stop_flag
from core.system.locks import is_locked

LIVE = ("queued", "running")


def describe_end(asked: bool, death: Failure) -> dict[str, str]:
    """What the status of a run lacks that ended without a word: it was stopped, if that was asked, or is lost."""
    end = ("stopped", "", STOPPED, "") if asked else ("lost", death.kind, death.words, death.advice)
    return dict(zip(("state", "kind", "reason", "advice"), end, strict=True))


def read_cluster_state(
    path: Path, status: dict[str, Any], problem: str, read_again: Callable[[], tuple[dict[str, Any], str]]
) -> tuple[dict[str, Any], str, str]:
    """The state of a run that its folder says is queued or running, and of which `engine.json` says that it is a job.

    No lock of this machine tells whether its worker lives: it does until the cluster has said that its job ended.

    Args:
        path: the run's folder.
        status: what it holds.
        problem: what is wrong with that; empty if nothing is.
        read_again: reads both again.

    Returns:
        Status, what is wrong with it, and what else is to be known of the run, a sentence or nothing.
    """
    job, damage = read_job(path)
    if job is not None and not job.job and not is_locked(alive_lock(path)):  # whoever submits it holds the lock
        job, damage = read_job(path)
        if job is not None and not job.job:
            return status | describe_end(stop_flag(path).exists(), of_job("", reached=False)), problem, damage
    if job is None:
        wrong = damage or f"{path.name}: engine.json is missing."
        return status, problem, f"{wrong} What the cluster says is not known: delete that file, then resume the run."
    if job.state == "ended":
        # The worker writes its last status before its job ends.
        status, problem = read_again()
        if status["state"] in LIVE:
            status |= describe_end(stop_flag(path).exists(), of_job(job.words))
        return status, problem, damage
    # A job that waits again, as after the end of a node, is queued, unless its worker has started since.
    if job.state == "waiting" and status.get("started") == job.started:
        status |= {"state": "queued", "progress": {"phase": f"waiting for {job.engine}", "fraction": 0.0}}
    if job.unreachable is not None:
        since = time.strftime("%H:%M", time.localtime(job.unreachable))
        silent = "store" if job.why.startswith("The store") else "cluster"
        damage = f"The {silent} does not answer since {since}. {job.why} {damage}".strip()
    return status, problem, damage

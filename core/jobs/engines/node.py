"""What a cluster's process on a node does: it runs a run's worker as its child. It imports next to nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.runs.layout import WORKER_VARIABLE
from core.system.places import ROOT
from core.system.processes import RUN_VARIABLE

ENDS_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux."""


def worker_command(path: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command of a run's worker."""
    return [sys.executable, "-m", environment.get(WORKER_VARIABLE, "core"), "train", path]


def run_worker(path: str, environment: Mapping[str, str] | None = None) -> int:
    """Runs a run's worker, which ends when this process does, however that ends.

    Args:
        path: the run's folder.
        environment: variables that it gets besides those of this process.

    Returns:
        Its exit status; below 0 the signal that ended it.
    """
    given = os.environ | dict(environment or {}) | {RUN_VARIABLE: path}
    libc = ctypes.CDLL(None)
    with Path(path, "log.txt").open("ab") as log:
        child = subprocess.Popen(
            worker_command(path, given),
            cwd=ROOT,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: libc.prctl(ENDS_WITH_PARENT, signal.SIGKILL),
        )
        return child.wait()

"""The job of a run on Slurm, which submitit runs on a node, and again when the node or the time limit has ended it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from core.jobs.engines.node import run_worker
from core.runs.layout import JOB_VARIABLE

RETRIES = 20
"""How often a worker is started again that a signal has ended, as when memory runs out."""


@dataclass(frozen=True)
class Work:
    """A run's worker; started again, the run goes on from its last checkpoint.

    Attributes:
        path: the run's folder.
        environment: variables of the worker.
    """

    path: str
    environment: dict[str, str]

    def __call__(self) -> int:
        """Runs the worker; its exit status."""
        environment = self.environment | {JOB_VARIABLE: os.environ["SLURM_JOB_ID"]}
        for _ in range(RETRIES):
            if (status := run_worker(self.path, environment)) >= 0:
                break
        return status

    def checkpoint(self) -> Any:
        """What submitit has Slurm queue again when the time limit is near."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)

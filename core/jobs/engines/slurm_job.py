"""The job of a run on Slurm, which submitit runs on a node, and again when the node or the time limit has ended it.

Several processes of a run are the tasks of one job. When one of them dies, the job is queued again as a whole, as Slurm
itself does when a node dies: processes that train together begin together.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from core.jobs.engines.node import run_worker
from core.runs.layout import JOB_VARIABLE, PEER_LOST

RETRIES = 20
"""How often a worker is started again that a signal has ended, as when memory runs out."""
FIRST_PORT, PORTS = 15_000, 17_000
"""Where the tasks of a job meet: ports below those that systems give away, another one at each start of each job."""


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
        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            return self._work_together(environment)
        for _ in range(RETRIES):
            if (status := run_worker(self.path, environment)) >= 0:
                break
        return status

    def _work_together(self, environment: dict[str, str]) -> int:
        """Runs one of the processes of a run; where it dies, or the first one loses another, the job begins again."""
        ranks = find_ranks(os.environ)
        status = run_worker(self.path, environment | ranks)
        first = ranks["RANK"] == "0"
        if status < 0 or (status == PEER_LOST and first) or (status and not first):
            # Slurm ends the other tasks; where one of them has asked for it before, it says so in this task's log.
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
        return status

    def checkpoint(self) -> Any:
        """What submitit has Slurm queue again when the time limit is near."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def find_ranks(slurm: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """What `torchrun` would set, from what Slurm says to a task: its number, and where all tasks of the job meet."""
    job, starts = int(slurm["SLURM_JOB_ID"]), int(slurm.get("SLURM_RESTART_COUNT", "0"))
    address = slurm.get("SLURM_LAUNCH_NODE_IPADDR", "")  # of the first node, on which the first task is
    if not address:
        import submitit

        address = submitit.JobEnvironment().hostnames[0]
    return {
        "RANK": slurm["SLURM_PROCID"],
        "LOCAL_RANK": slurm["SLURM_LOCALID"],
        "WORLD_SIZE": slurm["SLURM_NTASKS"],
        "MASTER_ADDR": address,
        "MASTER_PORT": str(FIRST_PORT + (97 * job + starts) % PORTS),
    }

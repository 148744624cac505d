"""The job of a run on Ray: `python -m core.jobs.engines.ray_driver <run_id> <cpus> <gpus>`.

It hands the run's worker to a node. When the worker or its node dies, Ray gives it to another one, where the run goes
on from its last checkpoint. It ends when the worker has ended, and all that it has started ends with it.
"""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

import ray

from core.jobs.engines.node import run_worker
from core.runs.layout import runs_dir

RETRIES = 20
"""How often Ray starts a worker again that has died."""


class WorkerDied(Exception):
    """A signal has ended the worker, as when memory ran out."""


def work(path: str) -> int:
    """Runs a run's worker; its exit status."""
    status = run_worker(path)
    if status < 0:
        raise WorkerDied(f"the worker was ended by {signal.Signals(-status).name}")
    return status


def main(run_id: str, cpus: str, gpus: str) -> int:
    """Waits for the worker on whatever node it is; its exit status."""
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    remote: Any = ray.remote
    task = remote(
        num_cpus=int(cpus),
        num_gpus=int(gpus),
        max_retries=RETRIES,
        retry_exceptions=[WorkerDied],
        max_calls=1,
    )(work)
    try:
        return int(ray.get(task.options(name=run_id).remote(str(runs_dir() / run_id))))
    except (ray.exceptions.RayError, WorkerDied) as error:
        print(" ".join(str(error).split())[:300], file=sys.stderr)
        return 1


if __name__ == "__main__":
    from core.jobs.engines import ray_driver

    sys.exit(ray_driver.main(*sys.argv[1:]))

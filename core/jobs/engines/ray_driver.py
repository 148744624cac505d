"""The job of a run on Ray: `python -m core.jobs.engines.ray_driver <run_id> <cpus> <gpus> [<processes>]`.

It hands the run's worker to a node. When the worker or its node dies, Ray gives it to another one, where the run goes
on from its last checkpoint. It ends when the worker has ended, and all that it has started ends with it.

Several processes of a run are a group of Ray Train, which places them, and starts all of them again when one dies.
`DataParallelTrainer` is what `TorchTrainer` is made of, without torch and its process group in Ray's own processes:
the group is made by the workers that those start, as `torchrun` does, and one that hangs can be killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import tempfile
from typing import Any

import ray

from core.jobs.engines.node import run_worker
from core.runs.layout import PEER_LOST, runs_dir
from core.system.places import ROOT

RETRIES = 20
"""How often Ray starts a worker again that has died."""
QUIET = {f"RAY_TRAIN_{what}": "0" for what in ("METRICS_ENABLED", "ENABLE_PRINT_PATCH", "ENABLE_PREEMPTION_WATCHER")}
"""What Ray Train would do besides: the last is a process more, which tells a function of what ours does not ask."""
CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable in which Ray Jobs tells the driver what all processes of the job get."""


class WorkerDied(Exception):
    """A signal has ended the worker, as when memory ran out, or another process of the run was lost."""


def work(path: str, environment: dict[str, str]) -> int:
    """Runs a run's worker with these variables besides those of the node; its exit status."""
    return _check(run_worker(path, environment))


def _check(status: int) -> int:
    if status < 0:
        raise WorkerDied(f"the worker was ended by {signal.Signals(-status).name}")
    return status


def work_together(config: dict[str, Any]) -> int:
    """Runs one of the processes of the run in the folder `path`; its exit status. Each place of the group calls it.

    Args:
        config: `path`, and `environment` as in `work`.
    """
    from ray import train
    from ray.train.collective import broadcast_from_rank_zero

    context = train.get_context()
    rank = context.get_world_rank()
    address, port = broadcast_from_rank_zero(_find_address() if rank == 0 else None)
    ranks = {"RANK": rank, "LOCAL_RANK": context.get_local_rank(), "WORLD_SIZE": context.get_world_size()}
    ranks |= {"LOCAL_WORLD_SIZE": context.get_local_world_size(), "MASTER_PORT": port}
    variables = config["environment"] | {name: str(value) for name, value in ranks.items()}
    status = _check(run_worker(config["path"], variables | {"MASTER_ADDR": address}))
    if status and rank:
        raise WorkerDied(f"process {rank + 1} ended with status {status}, see log-{rank}.txt in the run's folder")
    if status == PEER_LOST:
        raise WorkerDied("another process of the run was lost")
    return status


def _find_address() -> tuple[str, int]:
    """An address of this node with a port that is free, where the processes of a run meet."""
    address = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as free:
        free.bind((address, 0))
        return address, free.getsockname()[1]


def take_environment() -> dict[str, str]:
    """What the job's processes would get as their environment, which the worker is now handed instead.

    A process for which Ray sets variables starts twice, one Python after the other, and each loads Ray.
    """
    config = json.loads(os.environ.get(CONFIG_VARIABLE, "{}"))
    taken = config.get("runtime_env", {}).pop("env_vars", {})
    os.environ[CONFIG_VARIABLE] = json.dumps(config)
    return {name: str(value) for name, value in taken.items()}


def main(run_id: str, cpus: str, gpus: str, processes: str = "1") -> int:
    """Waits for the worker on whatever node it is; its exit status."""
    environment = take_environment()
    os.chdir(ROOT)  # where Ray's processes on nodes look for modules as well
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    path = str(runs_dir() / run_id)
    try:
        if int(processes) > 1:
            return _train(path, environment, float(cpus), float(gpus), int(processes))
        remote: Any = ray.remote
        task = remote(
            num_cpus=int(cpus),
            num_gpus=int(gpus),
            max_retries=RETRIES,
            retry_exceptions=[WorkerDied],
            max_calls=1,
        )(work)
        return int(ray.get(task.options(name=run_id).remote(path, environment)))
    except (ray.exceptions.RayError, WorkerDied) as error:
        print(" ".join(str(error).split())[:300], file=sys.stderr)
        return 1


def _train(path: str, environment: dict[str, str], cpus: float, gpus: float, processes: int) -> int:
    """Trains in so many processes with these cores and GPUs each; the exit status of the first.

    Raises:
        WorkerDied: they were started again and again.
    """
    os.environ |= QUIET
    import ray.train
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    train: Any = ray.train  # its types are those of its first version
    # Ray Train wants a folder, in which nothing is kept: checkpoints are the run's own.
    with tempfile.TemporaryDirectory(prefix="tailscope-") as folder:
        trainer = DataParallelTrainer(
            work_together,
            train_loop_config={"path": path, "environment": environment},
            scaling_config=train.ScalingConfig(
                num_workers=processes,
                use_gpu=gpus > 0,
                resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
            ),
            run_config=train.RunConfig(
                storage_path=folder,
                failure_config=train.FailureConfig(max_failures=RETRIES),
                logging_config=train.LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            result: Any = trainer.fit()
            return int(result.return_value)
        except train.TrainingFailedError as error:
            raise WorkerDied(str(error)) from None


if __name__ == "__main__":
    from core.jobs.engines import ray_driver

    sys.exit(ray_driver.main(*sys.argv[1:]))

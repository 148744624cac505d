"""Where the parts of a run's folder lie that a process which waits looks at; it imports next to nothing."""

from __future__ import annotations

from pathlib import Path

from core.system.places import cache_dir

STOPPED = "Stopped by request before it had finished."
ALIVE_VARIABLE = "TAILSCOPE_ALIVE"
"""Environment variable with the number of the inherited descriptor that holds a worker's `alive_lock`."""
WORKER_VARIABLE = "TAILSCOPE_WORKER"
"""Environment variable with the module that is started as `python -m <module> train <run_dir>`; `core` unless set."""
NODE_VARIABLE = "TAILSCOPE_NODE"
"""Environment variable of a worker on a node of a cluster: how many GPUs the cluster has given it."""
JOB_VARIABLE = "TAILSCOPE_JOB"
"""Environment variable of such a worker: the job that it belongs to."""
PEER_LOST = 75
"""Exit status of a worker on a cluster whose run is to go on: another process of it was lost (`EX_TEMPFAIL`)."""


def runs_dir() -> Path:
    """Folder that holds one folder per run."""
    return cache_dir() / "runs"


def alive_lock(path: Path) -> Path:
    """The lock that a run's worker holds from before its first instruction until it ends."""
    return path / "alive.lock"


def stop_flag(path: Path) -> Path:
    """The file whose presence asks a run's worker to stop."""
    return path / "stop"


def job_file(path: Path) -> Path:
    """The file that says which job of a cluster a run is, and what the cluster last said of it."""
    return path / "engine.json"


def peer_failure_file(path: Path, rank: int) -> Path:
    """The file in which a process of a run that is not its first says why it failed."""
    return path / f"process-{rank}.json"


def is_gone(path: Path) -> bool:
    """Whether a run's folder was deleted, though something may have been written to its place since."""
    return not (path / "config.json").exists()

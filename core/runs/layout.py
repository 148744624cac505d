"""Where the parts of a run's folder lie that a process which waits looks at; it imports next to nothing."""

from __future__ import annotations

from pathlib import Path

from core.system.places import cache_dir

STOPPED = "Stopped by request before it had finished."
ALIVE_VARIABLE = "TAILSCOPE_ALIVE"
"""Environment variable with the number of the inherited descriptor that holds a worker's `alive_lock`."""
WORKER_VARIABLE = "TAILSCOPE_WORKER"
"""Environment variable with the module that is started as `python -m <module> train <run_dir>`; `core` unless set."""


def runs_dir() -> Path:
    """Folder that holds one folder per run."""
    return cache_dir() / "runs"


def alive_lock(path: Path) -> Path:
    """The lock that a run's worker holds from before its first instruction until it ends."""
    return path / "alive.lock"


def stop_flag(path: Path) -> Path:
    """The file whose presence asks a run's worker to stop."""
    return path / "stop"


def is_gone(path: Path) -> bool:
    """Whether a run's folder was deleted, though something may have been written to its place since."""
    return not (path / "config.json").exists()

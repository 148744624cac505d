"""Runs: a folder as `core.jobs.launch` makes it, a run trained in this process, waiting for one in another."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.config.schema import RunConfig
from core.data import sources
from core.runs.folder import LIVE, Run, as_run, get_run, list_folders, run_id, run_path
from core.system.files import write_json
from core.system.places import cache_dir

Found = TypeVar("Found")


def make_folder(config: RunConfig) -> Path:
    """The folder of a run that is queued, without a process."""
    path = run_path(run_id(config, sources.load(config.data).fingerprint))
    path.mkdir(parents=True)
    write_json(path / "config.json", config.model_dump())
    write_json(path / "status.json", {"state": "queued", "submitted": 1.0, "device": "cpu", "command": "by hand"})
    return path


def execute(config: RunConfig) -> Run:
    """A whole run of the real worker, in this process."""
    from core.jobs import worker

    path = make_folder(config)
    worker.execute(path)
    return get_run(path.name)


def keep(folder: Path, make: Callable[[], Run]) -> Run:
    """The one run of the test's own cache: trained by `make` the first time, then copied from where it is kept."""
    if folder.exists():
        shutil.copytree(folder, cache_dir(), dirs_exist_ok=True)
        (run,) = list_folders()
        return as_run(run)
    made = make()
    shutil.copytree(cache_dir(), folder)
    return made


def until(condition: Callable[[], Found], seconds: float = 180.0) -> Found:
    """Waits for what is true, and gives it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds} s")


def ended(run: Run) -> Run:
    """The run, once it has ended."""
    return until(lambda: (now := get_run(run.id)).state not in LIVE and now) or run


def running(run: Run) -> Run:
    """The run, once it trains."""
    return until(lambda: (now := get_run(run.id)).state == "running" and now.progress.get("epoch") and now) or run

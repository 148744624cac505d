"""What goes wrong around a run: its worker stands still, its folder is deleted, the disk is full or read-only."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from core.config.schema import RunConfig
from core.jobs import launch, sweeps, tickets
from core.runs import folder, journal, layout, plan, results, share
from core.runs.folder import Run
from core.system.errors import UserError
from core.system.files import write_json
from core.system.locks import is_locked, try_lock
from core.system.places import cache_dir
from tests.helpers.runs import running, until
from tests.helpers.scored import make_run

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "train.epochs=10000", "train.patience=10000"]
WAITING_BYTES = 30e6
pytestmark = pytest.mark.usefixtures("stub_worker", "no_worker_outlives_its_test")


def config(seed: int = 0) -> RunConfig:
    return plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=SMALL)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_locks() -> Iterator[None]:
    """The folder of locks cannot be written, as on a read-only disk."""
    locks = cache_dir() / "locks"
    shutil.rmtree(locks, ignore_errors=True)
    locks.parent.mkdir(parents=True, exist_ok=True)
    locks.write_text("")
    try:
        yield
    finally:
        locks.unlink()


ACTIONS: dict[str, Callable[[Run], object]] = {
    "note": lambda run: folder.save_about(run.id, name="x"),
    "keep": lambda run: results.save_threshold_set(run, "x", rule="fixed", values=0.5),
    "publish": share.publish,
    "resume": lambda run: launch.resume(run.id, anew=True),
    "launch": lambda _: launch.submit(config(7)),
    "sweep": lambda _: sweeps.submit([config(8), config(9)]),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_full_disk_is_a_sentence(name: str) -> None:
    run = make_run()
    from core.data import sources

    sources.load(config().data)
    before = sorted(path.name for path in folder.runs_dir().iterdir())
    with full_disk(), pytest.raises(UserError, match=r"cannot be \w+: File too large"):
        ACTIONS[name](run)
    assert sorted(path.name for path in folder.runs_dir().iterdir()) == before
    assert isinstance(folder.get_folder(run.id), Run)


@pytest.mark.parametrize("name", ["note", "keep", "resume", "launch"])
def test_a_disk_that_cannot_be_written_is_a_sentence(name: str) -> None:
    run = make_run()
    with no_locks(), pytest.raises(UserError, match=r"cannot be \w+: .*Check the path"):
        ACTIONS[name](run)


def test_a_run_that_cannot_be_deleted_stays_and_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    run.path.with_name(f".{run.id}.gone").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot be deleted: "):
        folder.delete_run(run.id)
    assert folder.get_run(run.id) == run


def test_leftovers_of_an_hour_ago_are_removed_and_younger_ones_stay() -> None:
    run = make_run()
    old = [run.path.with_name(name) for name in (".a.new", ".b.gone", ".predictions.npz.x1")]
    for path in old:
        path.mkdir()
        os.utime(path, (1.0, 1.0))
    young = run.path.with_name(".c.new")
    young.mkdir()
    folder.remove_leftovers()
    assert sorted(path.name for path in folder.runs_dir().iterdir()) == sorted([young.name, run.id])


@pytest.mark.parametrize(("seconds", "is_silent"), [(5.0, False), (95.0, True)])
def test_a_worker_without_a_heartbeat_is_said_to_stand_still(seconds: float, is_silent: bool) -> None:
    run = make_run()
    write_json(run.path / "status.json", {"state": "running", "submitted": 1.0})
    write_json(run.path / "heartbeat.json", {"time": time.time() - seconds})
    alive = try_lock(layout.alive_lock(run.path))
    assert alive is not None
    try:
        found = folder.get_run(run.id)
    finally:
        os.close(alive)
    assert found.state == "running"
    assert ("No sign of life for 9" in found.remark) is is_silent
    assert not folder.get_run(run.id).remark, "a lost run has no worker that could stand still"


@pytest.mark.slow
def test_a_worker_that_stands_still_gives_its_slot_back_on_demand() -> None:
    run = running(launch.submit(config()))
    process = psutil.Process((journal.read_process(run.path) or {})["pid"])
    process.send_signal(signal.SIGSTOP)
    write_json(run.path / "heartbeat.json", {"time": time.time() - 100})
    assert "No sign of life" in folder.get_run(run.id).remark
    assert is_locked(tickets.slot_lock("cpu"))
    assert launch.stop(run.id, grace=0.3).state == "stopped"
    assert not is_locked(tickets.slot_lock("cpu"))


@pytest.mark.slow
def test_a_worker_whose_folder_is_deleted_ends_and_makes_it_not_again() -> None:
    run = running(launch.submit(config()))
    process = psutil.Process((journal.read_process(run.path) or {})["pid"])
    with (run.path / "log.txt").open() as log:
        subprocess.run(["rm", "-rf", run.path], check=False)  # the worker deletes a file of its own meanwhile
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30)
        written = log.read()
    assert "the run's folder was deleted" in written
    assert "Traceback" not in written
    assert not run.path.exists()
    assert not is_locked(tickets.slot_lock("cpu"))
    assert folder.list_folders() == []


@pytest.mark.slow
def test_runs_far_back_in_the_queue_take_little_and_take_their_turn() -> None:
    runs = [launch.submit(config(seed)) for seed in range(6)]
    running(runs[0])
    far = [psutil.Process((journal.read_process(run.path) or {})["pid"]) for run in runs[2:]]
    until(lambda: all("waiting" in folder.get_run(run.id).progress.get("phase", "") for run in runs[2:]))
    assert max(process.memory_info().rss for process in far) < WAITING_BYTES
    # One that is stopped while it waits says so; the others move up.
    assert launch.stop(runs[3].id).state == "stopped"
    assert folder.get_run(runs[3].id).ended
    assert [event["what"] for event in journal.read_events(runs[3].path)][-2:] == ["stopped", "all processes are gone"]
    for run in runs[:2]:
        launch.stop(run.id)
    assert running(runs[2]).state == "running"


def test_the_process_that_waits_imports_next_to_nothing() -> None:
    import sys

    script = "import sys, core.jobs.waiting; print([m for m in ('pydantic', 'numpy', 'psutil') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_is_called_whole_only_where_it_was_read(tmp_path: Path) -> None:
    import errno

    import numpy as np
    from safetensors.numpy import save_file

    from core.runs import failures

    full = OSError(errno.ENOSPC, "No space left on device")
    assert "no whole checkpoint" in failures.of_error(full, config(), tmp_path).advice
    checkpoint = tmp_path / "checkpoint" / "00001-0000007"
    checkpoint.mkdir(parents=True)
    write_json(checkpoint / "state.json", {"epoch": 1})
    (checkpoint / "state.safetensors").write_bytes(b"cut")
    assert "no whole checkpoint" in failures.of_error(full, config(), tmp_path).advice
    save_file({"network.weight": np.zeros(3)}, checkpoint / "state.safetensors")
    assert "its last checkpoint is whole" in failures.of_error(full, config(), tmp_path).advice

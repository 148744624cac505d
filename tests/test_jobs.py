"""Jobs are real processes here: each test starts the workers it speaks of."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from core import jobs, store
from core.config import ROOT, RunConfig, UserError
from core.files import read_json, write_json

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "model.hidden=0"]
ENDLESS = [*SMALL, "train.epochs=10000", "train.patience=10000"]


def config(loss="bce", seed=0, changes=SMALL):
    return jobs.make_config(data="synthetic", model="tfidf", loss=loss, seed=seed, changes=changes)


def until(condition, seconds=180.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds} s")


def ended(run):
    return until(lambda: (now := store.get_run(run.id)).state not in store.LIVE and now)


def running(run):
    return until(lambda: (now := store.get_run(run.id)).state == "running" and now.progress.get("epoch") and now)


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test():
    yield
    for run in store.list_runs():
        if run.state in store.LIVE:
            jobs.stop(run.id, grace=1)


def test_a_run_outlives_the_process_that_submitted_it_and_is_never_trained_twice():
    script = (
        "from core import jobs\n"
        f"config = jobs.make_config(data='synthetic', model='tfidf', loss='bce', seed=0, changes={SMALL})\n"
        "print(jobs.submit(config).id)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    run = store.get_run(done.stdout.strip())
    assert ended(run).state == "finished", store.read_log(run)
    written = run.path.joinpath("metrics.json").stat().st_mtime_ns
    assert jobs.submit(config()).state == "finished"
    assert jobs.existing(config()).id == run.id
    assert run.path.joinpath("metrics.json").stat().st_mtime_ns == written


def test_kill_makes_a_run_lost_and_the_next_in_the_queue_goes_on():
    first, second, third = (jobs.submit(config(seed=seed, changes=ENDLESS)) for seed in range(3))
    running(first)
    assert [store.get_run(run.id).state for run in (second, third)] == ["queued", "queued"]
    assert jobs.submit(config(seed=1, changes=ENDLESS)).id == second.id
    os.kill(read_json(first.path / "process.json")["pid"], signal.SIGKILL)
    until(lambda: store.get_run(first.id).state == "lost", 5)
    running(second)
    assert store.get_run(third.id).state == "queued"
    stopped = jobs.stop(third.id)
    assert (stopped.state, "by request" in stopped.reason) == ("stopped", True)
    assert jobs.stop(second.id).state == "stopped"
    again = jobs.submit(config(seed=0, changes=ENDLESS))
    assert (again.id, again.state) == (first.id, "queued"), "a lost run starts anew"


def test_stop_ends_a_worker_that_does_not_listen():
    run = running(jobs.submit(config(changes=ENDLESS)))
    process = psutil.Process(read_json(run.path / "process.json")["pid"])
    process.suspend()
    assert jobs.stop(run.id, grace=0.5).state == "stopped"
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(UserError, match="it is stopped"):
        jobs.stop(run.id)


def test_a_process_that_only_has_the_number_of_a_worker_is_never_signalled():
    run = running(jobs.submit(config(changes=ENDLESS)))
    truth = read_json(run.path / "process.json")
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    write_json(run.path / "process.json", {"pid": bystander.pid, "born": truth["born"]})
    psutil.Process(truth["pid"]).suspend()
    assert jobs.stop(run.id, grace=0.3).state == "running", "nobody was hit"
    assert bystander.poll() is None
    bystander.kill()
    bystander.communicate()
    write_json(run.path / "process.json", truth)
    assert jobs.stop(run.id, grace=1).state == "stopped"


def test_a_full_disk_fails_the_run_in_words(tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        monkeypatch.setenv("TAILSCOPE_CACHE", str(disk / "cache"))
        run = jobs.submit(config(changes=ENDLESS))
        running(run)
        with pytest.raises(OSError, match="No space left"):
            disk.joinpath("filler").write_bytes(bytes(5_000_000))
        now = ended(run)
        assert now.state == "failed"
        assert "The disk is full" in now.reason
        disk.joinpath("filler").unlink()
        assert not now.problem
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_split_without_validation_is_refused_before_anything_starts():
    with pytest.raises(UserError, match="no validation part"):
        jobs.submit(jobs.make_config(data="synthetic", model="tfidf", loss="bce", seed=0, split="original"))
    assert store.list_runs() == []


def test_a_grid_holds_every_combination_once_and_one_loss_less_model():
    configs = jobs.grid(data="synthetic", models=["svm", "tfidf"], losses=["paper", "db"], seeds=[0, 1, 1])
    assert len(configs) == len({c.model_dump_json() for c in configs}) == 2 * (1 + 8)
    tuned = jobs.grid(
        data="synthetic", models=["svm", "tfidf"], losses=["bce", "db"], seeds=[0], changes=["loss.mu=0.5"]
    )
    assert [c.loss.mu if c.loss else "none" for c in tuned] == ["none", None, 0.5], "a constant goes where it is read"
    with pytest.raises(UserError, match=r"Did you mean 'loss\.mu'"):
        jobs.grid(data="synthetic", models=["tfidf"], losses=["db"], seeds=[0], changes=["loss.mus=0.5"])
    with pytest.raises(UserError, match="at least one loss"):
        jobs.grid(data="synthetic", models=["tfidf"], losses=[], seeds=[0])
    with pytest.raises(UserError, match="nothing to run"):
        jobs.grid(data="synthetic", models=["svm"], losses=[], seeds=[])


@pytest.mark.parametrize("changes", [[], SMALL, ["loss.mu=0.5", "train.threshold=paper", "data.split=original"]])
def test_the_command_line_makes_exactly_this_config(changes):
    import shlex

    wanted = config("db", 3, changes)
    words = shlex.split(jobs.command_line(wanted))[4:]
    options = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        options.setdefault(key, []).append(value)
    again = jobs.make_config(
        data=options["--data"][0],
        model=options["--model"][0],
        loss=options["--loss"][0],
        seed=int(options["--seed"][0]),
        changes=options.get("--set", []),
    )
    assert again == wanted
    assert isinstance(again, RunConfig)


def test_read_only_nothing_is_started_stopped_added_or_removed(monkeypatch, tmp_path):
    from core import data, intake, share

    run = ended(jobs.submit(config()))
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    refused = {
        "submit": lambda: jobs.submit(config(seed=1)),
        "stop": lambda: jobs.stop(run.id),
        "resume": lambda: jobs.resume(run.id),
        "delete": lambda: jobs.delete(run.id),
        "publish": lambda: share.publish(run),
        "import": lambda: share.import_run(tmp_path / "run.zip"),
        "remove": lambda: intake.unregister("mine"),
        "keep": lambda: store.save_threshold_set(run, "mine", rule="fixed", values=0.5),
        "download": lambda: data.download("reuters"),
    }
    for act in refused.values():
        with pytest.raises(UserError, match="read-only"):
            act()
    assert store.get_run(run.id).state == "finished"
    monkeypatch.setenv("TAILSCOPE_READONLY", "0")
    jobs.delete(run.id)

"""Jobs are real processes here: each test starts the workers it speaks of, which train where the test is `slow`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from core.config.schema import RunConfig
from core.jobs import launch, queue, worker
from core.runs import folder, journal, layout, plan, results
from core.system import machine, places, processes
from core.system.errors import UserError
from core.system.files import read_json, write_json
from core.system.places import ROOT
from tests.helpers.runs import ended, make_folder, running, until

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "model.hidden=0"]
ENDLESS = [*SMALL, "train.epochs=10000", "train.patience=10000"]
pytestmark = pytest.mark.usefixtures("stub_worker", "no_worker_outlives_its_test")

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
"""A process that goes by SIGKILL alone."""


def config(loss="bce", seed=0, changes=SMALL):
    return plan.make_config(data="synthetic", model="tfidf", loss=loss, seed=seed, changes=changes)


@pytest.mark.slow
def test_a_run_outlives_the_process_that_submitted_it_and_is_never_trained_twice():
    script = (
        "from core.jobs import launch; from core.runs.plan import make_config\n"
        f"config = make_config(data='synthetic', model='tfidf', loss='bce', seed=0, changes={SMALL})\n"
        "print(launch.submit(config).id)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    run = folder.get_run(done.stdout.strip())
    assert ended(run).state == "finished", journal.read_log(run.path)
    written = run.path.joinpath("metrics.json").stat().st_mtime_ns
    assert launch.submit(config()).state == "finished"
    assert launch.existing(config()).id == run.id
    assert run.path.joinpath("metrics.json").stat().st_mtime_ns == written


@pytest.mark.slow
@pytest.mark.usefixtures("real_worker")
def test_a_run_takes_about_as_much_memory_as_it_says_before_it_starts():
    size = ["data.synthetic.documents=3000", "data.synthetic.labels=20000", "model.hidden=64", "train.epochs=1"]
    run = ended(launch.submit(config(loss="db", changes=size)))
    foretold = float(re.search(r"needs about ([\d.]+) GB", run.path.joinpath("log.txt").read_text())[1])
    assert 0.5 * foretold < results.read_metrics(run)["memory"] / 1e9 < 1.1 * foretold


@pytest.mark.slow
def test_kill_makes_a_run_lost_and_the_next_in_the_queue_goes_on():
    first, second, third = (launch.submit(config(seed=seed, changes=ENDLESS)) for seed in range(3))
    running(first)
    assert [folder.get_run(run.id).state for run in (second, third)] == ["queued", "queued"]
    assert launch.submit(config(seed=1, changes=ENDLESS)).id == second.id
    os.kill(read_json(first.path / "process.json")["pid"], signal.SIGKILL)
    until(lambda: folder.get_run(first.id).state == "lost", 5)
    running(second)
    assert folder.get_run(third.id).state == "queued"
    stopped = launch.stop(third.id)
    assert (stopped.state, "by request" in stopped.reason) == ("stopped", True)
    assert launch.stop(second.id).state == "stopped"
    again = launch.submit(config(seed=0, changes=ENDLESS))
    assert (again.id, again.state) == (first.id, "queued"), "a lost run starts anew"


@pytest.mark.slow
def test_stop_ends_a_worker_that_does_not_listen():
    run = running(launch.submit(config(changes=ENDLESS)))
    process = psutil.Process(read_json(run.path / "process.json")["pid"])
    process.suspend()
    assert launch.stop(run.id, grace=0.5).state == "stopped"
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(UserError, match="it is stopped"):
        launch.stop(run.id)


@pytest.mark.slow
def test_runs_appear_and_disappear_as_a_whole_and_start_beside_those_who_look():
    """Two processes look at all runs without a pause while runs are submitted, taken up, made anew and deleted."""
    script = (
        "from core.runs.folder import as_run, list_folders; from core.system.places import cache_dir\n"
        "print('looks', flush=True)\n"
        "while not cache_dir().joinpath('stop').exists():\n"
        "    for found in list_folders():\n"
        "        run = as_run(found)\n"
        "        assert run.state in ('queued', 'running', 'stopped'), run.reason\n"
    )
    command = [sys.executable, "-c", script]
    lookers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for looker in lookers:
        assert looker.stdout.readline()
    for seed in range(3):
        run = launch.submit(config(seed=seed, changes=ENDLESS))
        launch.stop(run.id, grace=0)
        for anew in (True, False):
            launch.resume(run.id, anew=anew)
            launch.stop(run.id, grace=0)
        launch.delete(run.id)
    places.cache_dir().joinpath("stop").touch()
    for looker in lookers:
        assert looker.communicate()[1].decode() == ""
    assert not list(layout.runs_dir().iterdir())


@pytest.mark.slow
def test_a_submitter_killed_at_any_moment_leaves_no_half_run_and_its_run_can_be_asked_for_again():
    script = (
        "from core.jobs import launch; from core.runs.plan import make_config\n"
        f"config = make_config(data='synthetic', model='tfidf', loss='bce', seed=0, changes={ENDLESS})\n"
        "launch.existing(config); print('ready', flush=True); input(); print(launch.submit(config).id)"
    )
    for moment in (0.0, 0.002, 0.004, 0.008, 0.015, 0.03):
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(moment)
        process.kill()
        process.communicate()
        assert not [found for found in folder.list_folders() if isinstance(found, folder.Damaged)]
    run = launch.submit(config(changes=ENDLESS))
    assert running(run).state == "running"
    assert len(list(processes.processes_of(run.path))) == 1


@pytest.mark.slow
def test_the_same_config_from_two_servers_at_once_is_one_run():
    script = (
        "from core.jobs import launch; from core.runs.plan import make_config\n"
        f"config = make_config(data='synthetic', model='tfidf', loss='bce', seed=0, changes={SMALL})\n"
        "launch.existing(config); print('ready', flush=True); input(); print(launch.submit(config).id)"
    )
    servers = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, text=True)
        for _ in range(3)
    ]
    for server in servers:
        assert server.stdout.readline() == "ready\n"
    for server in servers:
        server.stdin.write("\n")
        server.stdin.flush()
    ids = {server.communicate()[0].strip() for server in servers}
    run = ended(folder.get_run(ids.pop()))
    assert isinstance(run, folder.Run)
    assert (ids, run.state) == (set(), "finished")
    until(lambda: journal.read_events(run.path)[-1]["what"] == "finished")  # written just after the state
    assert [event["what"] for event in journal.read_events(run.path)] == ["submitted", "started", "finished"]


def test_a_run_outlives_a_server_that_is_killed_and_the_next_one_sees_and_stops_it():
    script = (
        "from core.jobs import launch; from core.runs.plan import make_config\n"
        f"config = make_config(data='synthetic', model='tfidf', loss='bce', seed=0, changes={ENDLESS})\n"
        "print(launch.submit(config).id, flush=True); input()"
    )
    server = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=-1, stdout=-1, text=True)
    run = running(folder.get_run(server.stdout.readline().strip()))
    server.kill()
    server.communicate()
    epoch = run.progress["epoch"]
    until(lambda: folder.get_run(run.id).progress["epoch"] > epoch)
    assert [one.state for one in folder.list_folders()] == ["running"]
    assert launch.stop(run.id).state == "stopped"


@pytest.mark.slow
def test_a_process_that_only_has_the_number_of_a_worker_is_never_signalled():
    run = running(launch.submit(config(changes=ENDLESS)))
    truth = read_json(run.path / "process.json")
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    write_json(run.path / "process.json", {"pid": bystander.pid, "born": truth["born"]})
    psutil.Process(truth["pid"]).suspend()
    assert launch.stop(run.id, grace=0.3).state == "stopped", "the worker is known by its mark as well"
    hit = {pid for event in journal.read_events(run.path) for pid in event.get("pids", [])}
    assert hit == {truth["pid"]}
    assert bystander.poll() is None
    bystander.kill()
    bystander.communicate()


def test_an_identity_is_that_of_one_process_since_one_start_of_the_machine():
    mine = processes.identity(os.getpid())
    assert processes.is_alive(mine)
    for lie in ({"pid": 1}, {"born": mine["born"] - 5}, {"boot": "another"}, {"pid": 2**22 + 1}):
        assert not processes.is_alive({**mine, **lie})
    assert not any(processes.is_alive(nonsense) for nonsense in (None, [], {"pid": "x"}, {"pid": -1}))
    child = subprocess.Popen([sys.executable, "-c", ""])
    known = processes.identity(child.pid)
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not processes.is_alive(known), "a dead child that nobody has waited for"
    child.wait()


@pytest.mark.slow
def test_stop_leaves_no_child_behind_also_of_another_session_and_resume_ends_orphans():
    run = running(launch.submit(config(changes=ENDLESS), user="ann"))

    def descendant():
        environment = os.environ | {processes.RUN_VARIABLE: str(run.path.resolve())}
        return subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment, start_new_session=True)

    child = descendant()
    assert launch.stop(run.id, grace=1).state == "stopped"
    assert child.wait(10) == -signal.SIGKILL
    assert [event["what"] for event in journal.read_events(run.path)] == [
        *("submitted", "started", "stop asked", "stopped", "SIGTERM sent", "SIGKILL sent", "all processes are gone")
    ]
    assert folder.get_run(run.id).user == "ann"
    orphan = descendant()
    until(lambda: list(processes.processes_of(run.path)))
    launch.resume(run.id)
    assert orphan.wait(10) == -signal.SIGKILL
    event = journal.read_events(run.path)[-1]
    assert (event["what"], event["was"]) == ("resumed", "stopped")


@pytest.mark.slow
def test_as_many_runs_at_once_as_there_are_slots_first_come_first_served(monkeypatch):
    monkeypatch.setenv("TAILSCOPE_SLOTS", "cpu:2")
    runs = [launch.submit(config(seed=seed, changes=ENDLESS)) for seed in range(3)]
    slots = [running(run).device for run in runs[:2]]
    assert sorted(slots) == ["cpu", "cpu-1"]
    assert folder.get_run(runs[2].id).state == "queued"
    launch.stop(runs[0].id)
    assert running(runs[2]).device == slots[0]
    beat = until(lambda: journal.read_heartbeat(runs[1].path))
    assert abs(beat["time"] - time.time()) < 60
    assert 1e7 < beat["memory"] < beat["of_memory"]


@pytest.mark.parametrize(
    ("said", "kind", "slots"),
    [
        ("", "cpu", ["cpu"]),
        ("cpu:3", "cpu", ["cpu", "cpu-1", "cpu-2"]),
        ("cuda-1, cuda-0", "cpu", ["cpu"]),
        ("cuda-1, cuda-0", "cuda", ["cuda-1", "cuda-0"]),
        ("cuda-1", "cuda-1", ["cuda-1"]),
        ("cpu:2", "cuda-3", ["cuda-3"]),
    ],
)
def test_slots_are_as_said(said, kind, slots, monkeypatch):
    monkeypatch.setenv("TAILSCOPE_SLOTS", said)
    assert queue.slots(kind) == slots


@pytest.mark.parametrize("said", ["gpu", "cpu:0", "cpu:-1", "cuda", "cuda-0:2", "cuda-1"])
def test_slots_that_make_no_sense_are_a_sentence_and_no_run(said, monkeypatch):
    monkeypatch.setenv("TAILSCOPE_SLOTS", said)
    with pytest.raises(UserError, match="TAILSCOPE_SLOTS"):
        launch.submit(config(changes=[*SMALL, "train.device=cuda:0"]))
    assert folder.list_folders() == []


@pytest.mark.slow
@pytest.mark.usefixtures("real_worker")
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
        run = launch.submit(config(changes=ENDLESS))
        running(run)
        with pytest.raises(OSError, match="No space left"):
            disk.joinpath("filler").write_bytes(bytes(5_000_000))
        now = ended(run)
        assert now.state == "failed"
        assert "The disk is full" in now.reason
        disk.joinpath("filler").unlink()
        assert isinstance(now, folder.Run)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@contextmanager
def hook(answer):
    """An http server on this machine: its address, and what was posted to it."""
    posted = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/runs", posted
        server.shutdown()


@pytest.mark.slow
def test_a_webhook_hears_how_each_run_ended(monkeypatch):
    with hook(200) as (address, posted):
        monkeypatch.setenv("TAILSCOPE_WEBHOOK", address)
        good = ended(launch.submit(config(), user="ann"))
        bad = ended(launch.submit(config(seed=1, changes=[*SMALL, "train.learning_rate=1e30"])))
        stopped = running(launch.submit(config(seed=2, changes=ENDLESS)))
        launch.stop(stopped.id, grace=60)
        until(lambda: len(posted) == 3)
    assert [(one["run"], one["state"]) for one in posted] == [
        (good.id, "finished"),
        (bad.id, "failed"),
        (stopped.id, "stopped"),
    ]
    assert (posted[0]["user"], posted[0]["seconds"] > 0, posted[1]["reason"]) == ("ann", True, bad.reason)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/closed", "file:///etc/passwd", "nonsense", "http://[", "{500}"]
)
def test_a_webhook_that_fails_is_an_event_and_harms_no_run(address, monkeypatch):
    with hook(500) as (broken, _):
        monkeypatch.setenv("TAILSCOPE_WEBHOOK", address.replace("{500}", broken))
        path = make_folder(config(changes=[*SMALL, "train.epochs=1"]))
        worker.execute(path)
    run = folder.get_run(path.name)
    event = journal.read_events(run.path)[-1]
    assert (run.state, event["what"]) == ("finished", "webhook failed")
    assert event["error"]


def test_a_split_without_validation_is_refused_before_anything_starts():
    with pytest.raises(UserError, match="no validation part"):
        launch.submit(plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=0, split="original"))
    assert folder.list_folders() == []


def test_a_grid_holds_every_combination_once_and_one_loss_less_model():
    configs = plan.grid(data="synthetic", models=["svm", "tfidf"], losses=["paper", "db"], seeds=[0, 1, 1])
    assert len(configs) == len({c.model_dump_json() for c in configs}) == 2 * (1 + 8)
    tuned = plan.grid(
        data="synthetic", models=["svm", "tfidf"], losses=["bce", "db"], seeds=[0], changes=["loss.mu=0.5"]
    )
    assert [c.loss.mu if c.loss else "none" for c in tuned] == ["none", None, 0.5], "a constant goes where it is read"
    with pytest.raises(UserError, match=r"Did you mean 'loss\.mu'"):
        plan.grid(data="synthetic", models=["tfidf"], losses=["db"], seeds=[0], changes=["loss.mus=0.5"])
    with pytest.raises(UserError, match="at least one loss"):
        plan.grid(data="synthetic", models=["tfidf"], losses=[], seeds=[0])
    with pytest.raises(UserError, match="nothing to run"):
        plan.grid(data="synthetic", models=["svm"], losses=[], seeds=[])


@pytest.mark.parametrize("changes", [[], SMALL, ["loss.mu=0.5", "train.threshold=paper", "data.split=original"]])
def test_the_command_line_makes_exactly_this_config(changes):
    import shlex

    wanted = config("db", 3, changes)
    words = shlex.split(plan.command_line(wanted))[4:]
    options = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        options.setdefault(key, []).append(value)
    again = plan.make_config(
        data=options["--data"][0],
        model=options["--model"][0],
        loss=options["--loss"][0],
        seed=int(options["--seed"][0]),
        changes=options.get("--set", []),
    )
    assert again == wanted
    assert isinstance(again, RunConfig)


@pytest.mark.slow
def test_read_only_nothing_is_started_stopped_added_or_removed(monkeypatch, tmp_path):
    from core.data import added, download
    from core.runs import share

    run = ended(launch.submit(config()))
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    refused = {
        "submit": lambda: launch.submit(config(seed=1)),
        "stop": lambda: launch.stop(run.id),
        "resume": lambda: launch.resume(run.id),
        "delete": lambda: launch.delete(run.id),
        "publish": lambda: share.publish(run),
        "import": lambda: share.import_run(tmp_path / "run.zip"),
        "remove": lambda: added.unregister("mine"),
        "keep": lambda: results.save_threshold_set(run, "mine", rule="fixed", values=0.5),
        "download": lambda: download.download("reuters"),
    }
    for act in refused.values():
        with pytest.raises(UserError, match="read-only"):
            act()
    assert folder.get_run(run.id).state == "finished"
    monkeypatch.setenv("TAILSCOPE_READONLY", "0")
    launch.delete(run.id)


@pytest.mark.slow
def test_a_stop_waits_until_the_driver_has_taken_the_memory_of_a_gpu_back(tmp_path, monkeypatch):
    run = launch.submit(config(changes=ENDLESS))
    pid = running(run) and read_json(run.path / "process.json")["pid"]
    status = read_json(run.path / "status.json")
    asked = tmp_path / "asked"
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\necho x >> {asked}\n[ $(wc -l < {asked}) -lt 3 ] && echo {pid}\nexit 0\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.gpu_holders() == {pid}
    assert launch.stop(run.id).state == "stopped"
    assert "GPU memory is free again" not in [event["what"] for event in journal.read_events(run.path)], "it used none"
    assert status["device"] == "cpu"
    asked.unlink()
    launch.await_gpu_memory(run.path, {pid}, time.monotonic() + 5)
    assert journal.read_events(run.path)[-1]["what"] == "GPU memory is free again"
    assert len(asked.read_text().splitlines()) == 3
    asked.unlink()
    launch.await_gpu_memory(run.path, {pid}, time.monotonic())
    assert journal.read_events(run.path)[-1] | {"time": 0} == {
        "time": 0,
        "what": "GPU memory is still held",
        "pids": [pid],
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's memory")
def test_freed_memory_goes_back_to_the_system():
    script = (
        "import ctypes, psutil; from core.system import machine\n"
        "held = lambda: psutil.Process().memory_info().rss\n"
        "c = ctypes.CDLL('libc.so.6'); c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]\n"
        "blocks = [c.malloc(100_000) for _ in range(2000)]\n"
        "for block in blocks: ctypes.memset(block, 1, 100_000)\n"
        "for block in blocks[:-1]: c.free(block)\n"
        "before = held(); machine.give_back_memory(); print(before - held())"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(said) > 150_000_000

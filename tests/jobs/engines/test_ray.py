"""Runs on a Ray cluster of two nodes, simulated on this machine by Ray's own utility; most have no torch."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec

import psutil
import pytest

from core.jobs import clusters, engines, launch, search, sweeps
from core.runs import journal
from core.runs.folder import LIVE, get_folder, get_run
from core.runs.plan import grid
from core.runs.results import read_metrics
from core.system import processes
from core.system.errors import UserError
from core.system.places import ROOT
from core.system.store import find_store
from tests.helpers.runs import execute, until
from tests.helpers.s3 import CREDENTIALS, serve_s3
from tests.helpers.training import outcome, same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: tests/requirements.txt has it"),
]
SMALL = ["model.hidden=0"]


def make_configs(seeds, epochs):
    return grid(data="synthetic", models=["tfidf"], losses=["bce"], seeds=seeds, changes=[*SMALL, epochs])


def make_trained(*changes):
    """A run that is trained, and writes a checkpoint every five steps."""
    sizes = ["data.synthetic.documents=240", "data.synthetic.labels=8", "model.dropout=0", "train.patience=99"]
    sizes += ["model.embedding=12", "model.filters=6", "model.max_length=24", "train.batch_size=16"]
    changes = [*sizes, "train.checkpoint_steps=5", *changes]
    return grid(data="synthetic", models=["textcnn"], losses=["db"], seeds=[0], changes=changes)[0]


@pytest.fixture(scope="module")
def ray():
    """Head, which runs nothing, and two nodes, started beside this process: Ray reads a token when it is imported."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    named = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "TAILSCOPE_RAY_ADDRESS": f"http://127.0.0.1:{port}",
        "OMP_NUM_THREADS": "1",
        **CREDENTIALS,  # of the nodes, to which none is passed on
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        command = [sys.executable, "-m", "tests.helpers.ray_cluster", "--port", str(port), "--watch-input"]
        cluster = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            until(lambda: describe().cpus == 2)
            yield cluster
        finally:
            cluster.communicate()


def describe():
    with suppress(engines.Unreachable):
        return engines.load_cluster("ray").describe()
    return engines.Offer()


def now(run):
    clusters.ask_clusters()
    return get_folder(run.id)


def ended(run):
    return until(lambda: (found := now(run)).state not in LIVE and found)


def trains(run):
    return until(lambda: (found := get_folder(run.id)).progress.get("epoch", 0) > 1 and found)


def has_checkpoint(run):
    return until(lambda: list(run.path.glob("checkpoint/[0-9]*")))


def hold(run):
    """Stops the clock of a run's worker: on a quick machine it is finished before the test comes back to it."""
    worker = worker_of(run)
    worker.suspend()
    return worker


def worker_of(run):
    """The process that trains, which carries the run's mark, as does nothing above it."""
    return next(iter(processes.processes_of(run.path)))


def starts_of(run):
    return [event["what"] for event in journal.read_events(run.path)].count("started")


def process_of(run, rank):
    """One of the processes of a run, and the node that it is on."""
    worker = next(one for one in processes.processes_of(run.path) if one.environ().get("RANK") == str(rank))
    return worker, next(parent for parent in worker.parents() if parent.name() == "raylet")


def test_a_run_in_two_processes_on_two_nodes_goes_on_when_one_is_killed(ray, monkeypatch, tmp_path):
    run = launch.submit(make_trained("train.processes=2", "train.epochs=40"), engine="ray")
    has_checkpoint(run)
    (first, node), (other, other_node) = process_of(run, 0), process_of(run, 1)
    assert node != other_node
    other.kill()
    assert ended(run).state == "finished"
    assert starts_of(run) == 2, journal.read_log(run.path)
    assert not psutil.pid_exists(first.pid)
    assert "taken up from epoch" in "\n".join(journal.read_log(run.path))
    # Without a kill, in two processes on this machine.
    there = outcome(run.path)
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "here"))
    same(outcome(execute(run.config).path), there)


def test_two_processes_on_nodes_without_a_common_file_system_share_a_store(ray, monkeypatch, tmp_path):
    with serve_s3() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("TAILSCOPE_STORE", "s3://bucket/runs")
        monkeypatch.setenv("TAILSCOPE_NODE_CACHE", str(tmp_path / "nodes"))
        find_store().files.mkdir("bucket")
        run = launch.submit(make_trained("train.processes=2", "train.epochs=4"), engine="ray")
        assert ended(run).state == "finished", journal.read_log(run.path)
        # What the first wrote last comes when its job has ended.
        until(lambda: now(run) and journal.read_job(run.path)[0].state == "ended")
        there = outcome(run.path)
        monkeypatch.delenv("TAILSCOPE_STORE")
    logs = [tmp_path / "nodes" / "runs" / run.id / "log.txt"]
    logs.append(tmp_path / "nodes" / "process-1" / "runs" / run.id / "log-1.txt")
    assert [log.is_file() for log in logs] == [True, True], "each had a copy of its own"
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "here"))
    same(outcome(execute(run.config).path), there)


@pytest.mark.usefixtures("stub_worker")
def test_trials_of_a_search_run_on_both_nodes_in_one_study(ray):
    seen = []
    config = make_configs([5], "train.epochs=30")[0]
    found = search.search(config, trials=2, metric="micro_f1", engine="ray", at_once=2, report=seen.append)
    assert sorted(trial.number for trial in found) == [0, 1] == sorted(trial.number for trial in seen)
    runs = [get_run(trial.run) for trial in found]
    assert {journal.read_job(run.path)[0].engine for run in runs} == {"ray"}
    assert max(run.submitted for run in runs) < min(run.ended for run in runs), "both were in flight"


@pytest.mark.usefixtures("stub_worker")
def test_what_the_cluster_never_has_is_refused_and_leaves_nothing(ray, cache, monkeypatch):
    with pytest.raises(UserError, match=r"cannot give the 1 GPU\(s\) of train\.device=cuda: it has none\."):
        launch.submit(make_configs([4], "train.device=cuda")[0], engine="ray")
    with pytest.raises(UserError, match=r"have room for 2 of train\.processes=8, with 1 core each: lower it"):
        launch.submit(make_configs([4], "train.processes=8")[0], engine="ray")
    monkeypatch.setenv("TAILSCOPE_ENGINE_CPUS", "8")
    with pytest.raises(UserError, match="No node of the cluster has 8 cores: the largest has 1"):
        launch.submit(make_configs([4], "train.epochs=2")[0], engine="ray")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(UserError, match="refuses the token"):
        launch.submit(make_configs([4], "train.epochs=2")[0], engine="ray")
    assert not list((cache / "runs").glob("*"))


def test_a_sweep_survives_a_worker_and_a_node_that_are_killed(ray, monkeypatch, tmp_path):
    monkeypatch.setenv("TAILSCOPE_WORKER", "tests.helpers.mixed_worker")
    monkeypatch.setenv("TAILSCOPE_SLOTS", "cpu:2")
    trained = make_trained("train.epochs=40")
    configs = [*make_configs([0], "train.epochs=110"), trained, *make_configs([1, 2, 3, 4], "train.epochs=3")]
    runs = sweeps.submit(configs, engine="ray")
    assert {run.state for run in runs} == {"queued"}
    assert {run.device for run in runs} == {"ray"}
    worker = hold(trains(runs[0]))
    has_checkpoint(runs[1])
    on_node = hold(runs[1])
    until(lambda: describe().jobs == 6)  # that of the last test has ended
    # A worker is killed: the run is started again.
    worker.kill()
    until(lambda: now(runs[0]) and starts_of(runs[0]) == 2)
    # A node is killed: its run goes to the other node, where it waits for its turn, and is lost at no moment.
    raylet = next(parent for parent in on_node.parents() if parent.name() == "raylet")
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()
    states = set()
    until(lambda: states.add(now(runs[1]).state) or starts_of(runs[1]) == 2)
    assert states <= set(LIVE)
    assert describe().nodes == 2
    # All have ended, with the scores that the same seeds have on this machine.
    assert [ended(run).state for run in runs] == ["finished"] * 6
    assert "taken up from epoch" in "\n".join(journal.read_log(runs[1].path))
    there, scores = outcome(runs[1].path), [read_metrics(get_run(run.id))["test"] for run in (runs[0], *runs[2:])]
    here = sweeps.submit(make_configs(range(5), "train.epochs=4"), engine="local")
    assert [ended(run).state for run in here] == ["finished"] * 5
    assert not (here[0].path / "engine.json").exists()
    assert [read_metrics(get_run(run.id))["test"] for run in here] == scores
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "here"))
    same(outcome(execute(trained).path), there)


@pytest.mark.usefixtures("stub_worker")
def test_stop_ends_the_job_of_a_worker_that_hears_nothing_and_resume_submits_again(ray):
    (config,) = make_configs([3], "train.epochs=10000")
    run = launch.submit(config, engine="ray")
    worker = worker_of(trains(run))
    os.kill(worker.pid, signal.SIGSTOP)
    assert launch.stop(run.id, grace=0.5).state == "stopped"
    until(lambda: not psutil.pid_exists(worker.pid))
    # Where it goes on is not asked again.
    resumed = launch.resume(run.id)
    first, second = "submitted", "resumed"
    assert [event["what"] for event in journal.read_events(run.path) if event["what"] in (first, second)] == [
        first,
        second,
    ]
    assert resumed.device == "ray"
    # One that waits is stopped at once.
    assert launch.stop(run.id, grace=60.0).state == "stopped"

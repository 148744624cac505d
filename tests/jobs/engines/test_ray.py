"""Runs on a Ray cluster of two nodes, simulated on this machine by Ray's own utility; the worker has no torch."""

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

from core.jobs import clusters, engines, launch, sweeps
from core.runs import journal
from core.runs.folder import LIVE, get_folder, get_run
from core.runs.plan import grid
from core.runs.results import read_metrics
from core.system import processes
from core.system.errors import UserError
from core.system.places import ROOT
from tests.helpers.runs import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: tests/requirements.txt has it"),
]
SMALL = ["model.hidden=0"]


def make_configs(seeds, epochs):
    return grid(data="synthetic", models=["tfidf"], losses=["bce"], seeds=seeds, changes=[*SMALL, epochs])


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
    return engines.Offer(0, 0, 0, 0)


def now(run):
    clusters.ask_clusters()
    return get_folder(run.id)


def ended(run):
    return until(lambda: (found := now(run)).state not in LIVE and found)


def trains(run):
    return until(lambda: (found := now(run)).state == "running" and found.progress.get("epoch", 0) > 1 and found)


def worker_of(run):
    """The process that trains, which carries the run's mark, as does nothing above it."""
    return next(iter(processes.processes_of(run.path)))


def starts_of(run):
    return [event["what"] for event in journal.read_events(run.path)].count("started")


@pytest.mark.usefixtures("stub_worker")
def test_a_sweep_survives_a_worker_and_a_node_that_are_killed(ray):
    configs = make_configs([0, 1], "train.epochs=140") + make_configs([2], "train.epochs=3")
    runs = sweeps.submit(configs, engine="ray")
    assert {run.state for run in runs} == {"queued"}
    assert {run.device for run in runs} == {"ray"}
    assert describe().jobs == 3
    # A worker is killed: the run is started again.
    worker_of(trains(runs[0])).kill()
    until(lambda: now(runs[0]) and starts_of(runs[0]) == 2)
    # A node is killed: its run goes to the other node, where it waits for its turn, and is lost at no moment.
    raylet = next(parent for parent in worker_of(trains(runs[1])).parents() if parent.name() == "raylet")
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()
    states = set()
    until(lambda: states.add(now(runs[1]).state) or starts_of(runs[1]) == 2)
    assert states <= set(LIVE)
    assert describe().nodes == 2
    # All have ended, with the scores that the same seeds have on this machine.
    assert [ended(run).state for run in runs] == ["finished"] * 3
    here = sweeps.submit(make_configs([0, 1, 2], "train.epochs=4"), engine="local")
    assert [ended(run).state for run in here] == ["finished"] * 3
    assert not (here[0].path / "engine.json").exists()
    scores = [[read_metrics(get_run(run.id))["test"] for run in place] for place in (runs, here)]
    assert scores[0] == scores[1]


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


@pytest.mark.usefixtures("stub_worker")
def test_what_the_cluster_never_has_is_refused_and_leaves_nothing(ray, cache, monkeypatch):
    with pytest.raises(UserError, match=r"cannot give the 1 GPU\(s\) of train\.device=cuda: it has none\."):
        launch.submit(make_configs([4], "train.device=cuda")[0], engine="ray")
    with pytest.raises(UserError, match="No node of the cluster has 8 cores: the largest has 1"):
        launch.submit(make_configs([4], "train.processes=8")[0], engine="ray")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(UserError, match="refuses the token"):
        launch.submit(make_configs([4], "train.epochs=2")[0], engine="ray")
    assert not list((cache / "runs").glob("*"))

"""Runs on machines without a common file system: a page, a store and a node, each with a folder of its own."""

import os
import signal
import subprocess
import sys

import pytest

from core.jobs import clusters, launch
from core.jobs.engines import Answer, Offer, make_environment
from core.jobs.engines.node import CACHE_VARIABLE
from core.runs import journal
from core.runs.folder import get_folder, get_run, run_path
from core.runs.layout import JOB_VARIABLE, job_file
from core.runs.plan import make_config
from core.runs.results import read_metrics
from core.system.errors import UserError
from core.system.files import read_json
from core.system.places import ROOT
from core.system.store import find_store
from tests.helpers.runs import until

WORK = "import sys; from core.jobs.engines.node import run_worker; sys.exit(run_worker(sys.argv[1]))"


class Node:
    """A cluster of one node, which is a process with a cache of its own; see `core.jobs.engines.Cluster`."""

    name = "ray"

    def __init__(self):
        self.jobs, self.command = {}, [sys.executable, "-c", WORK]

    def where(self):
        return "here"

    def describe(self):
        return Offer(sizes=((4, 0),))

    def name_job(self, run_id):
        return f"{run_id}-{len(self.jobs)}"

    def submit(self, run_id, job, need):
        environment = {name: value for name, value in os.environ.items() if name != "TAILSCOPE_CACHE"}
        command = [*self.command, str(run_path(run_id))]
        self.jobs[job] = subprocess.Popen(
            command, cwd=ROOT, env=environment | make_environment(need) | {JOB_VARIABLE: job}
        )
        return job

    def stop(self, job):
        self.jobs[job].kill()
        self.jobs[job].wait()

    def find_states(self, jobs):
        return {job: Answer("running" if self.jobs[job].poll() is None else "ended") for job in jobs}


@pytest.fixture
def node(monkeypatch, tmp_path, stub_worker):
    """The cluster; what is left of it is ended afterwards."""
    made = Node()
    for place in ("core.jobs.clusters.load_cluster", "core.jobs.engines.load_cluster"):
        monkeypatch.setattr(place, lambda _: made)
    monkeypatch.setattr(clusters, "ASK_EVERY", 0.1)
    monkeypatch.setenv("TAILSCOPE_STORE", f"file://{tmp_path / 'store'}")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "node"))
    yield made
    for job in made.jobs:
        made.stop(job)


def config_of(seed=0, epochs=2):
    small = ["data.synthetic.documents=300", "data.synthetic.labels=8", f"train.epochs={epochs}"]
    return make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=small)


def after_asking(look):
    clusters.ask_clusters(at_once=True)
    return look()


def end_of(run_id):
    return [run.state for run in launch.watch(run_id)][-1]


@pytest.mark.slow
def test_a_run_on_a_node_gives_what_it_gives_here(node, tmp_path, monkeypatch):
    run = launch.submit(config_of(), engine="ray")
    assert end_of(run.id) == "finished"
    assert (tmp_path / "node" / "runs" / run.id / "predictions.npz").is_file()
    until(lambda: after_asking(lambda: journal.read_job(run.path)[0].state == "ended"))
    there, events = read_metrics(get_run(run.id))["test"], [event["what"] for event in journal.read_events(run.path)]
    assert events[0] == "submitted"
    assert "started" in " ".join(events)
    # Another machine sees the run when it looks; what is deleted here is gone from the store.
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "other"))
    clusters.ask_clusters(at_once=True)
    assert get_run(run.id).state == "finished"
    launch.delete(run.id)
    assert find_store().list_objects(f"runs/{run.id}") == {}
    monkeypatch.delenv("TAILSCOPE_STORE")
    assert end_of(launch.submit(config_of()).id) == "finished"
    here = read_metrics(get_run(run.id))["test"]
    assert here == there


@pytest.mark.slow
def test_a_run_on_a_node_is_stopped_through_the_store_and_goes_on_here(node, monkeypatch):
    run = launch.submit(config_of(epochs=2000), engine="ray")
    until(lambda: after_asking(lambda: journal.read_history(run.path)))
    assert launch.stop(run.id).state == "stopped"
    assert node.jobs[next(iter(node.jobs))].wait(60) == 0, "it ended by itself, not by a signal"
    assert launch.resume(run.id, engine="local").state in ("queued", "running")
    assert not job_file(run.path).exists()
    launch.stop(run.id)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["node", "worker"])
@pytest.mark.parametrize("write", [1, 5, 12, 25])
def test_a_node_that_dies_at_a_write_leaves_nothing_torn_and_its_run_goes_on_elsewhere(
    node, tmp_path, monkeypatch, who, write
):
    usual = node.command, os.environ["TAILSCOPE_WORKER"]
    monkeypatch.setenv("DIE_AT", str(write))
    monkeypatch.setenv("DIE_IN", os.pathsep.join(str(tmp_path / name) for name in ("node", "store")))
    if who == "node":
        node.command = [sys.executable, "-m", "tests.helpers.dying", "node"]
    else:
        monkeypatch.setenv("TAILSCOPE_WORKER", "tests.helpers.dying")
    run = launch.submit(config_of(epochs=4), engine="ray")
    (died,) = node.jobs.values()
    assert died.wait(60) % 256 == -signal.SIGKILL % 256, "of the node, or what it hands on of its worker"
    # What has reached the store is whole, and the page reads it.
    assert end_of(run.id) == "lost"
    store = find_store()
    for name in store.list_objects(f"runs/{run.id}"):
        if name.endswith(".json"):
            assert store.get(f"runs/{run.id}/{name}", tmp_path / "read.json")
            assert read_json(tmp_path / "read.json")
    journal.read_history(run.path)
    # Another node, which never saw the first one's copy.
    node.command = usual[0]
    monkeypatch.setenv("TAILSCOPE_WORKER", usual[1])
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "another"))
    launch.resume(run.id, engine="ray")
    assert end_of(run.id) == "finished"
    there = read_metrics(get_run(run.id))["test"]
    monkeypatch.delenv("TAILSCOPE_STORE")
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "undisturbed"))
    assert end_of(launch.submit(config_of(epochs=4)).id) == "finished"
    assert read_metrics(get_run(run.id))["test"] == there


def test_a_store_that_does_not_answer_is_said_before_a_run_is_there(node, tmp_path):
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(UserError, match=r"The store file://.* cannot be"):
        launch.submit(config_of(), engine="ray")
    assert not list((tmp_path / "store").parent.glob("*/runs/synthetic*"))
    assert not node.jobs


@pytest.mark.slow
def test_a_store_that_falls_silent_changes_no_state(node, tmp_path):
    run = launch.submit(config_of(epochs=2000), engine="ray")
    until(lambda: after_asking(lambda: get_folder(run.id).state == "running"))
    store = tmp_path / "store"
    store.rename(tmp_path / "away")
    store.write_text("no folder")
    clusters.ask_clusters(at_once=True)
    found = get_folder(run.id)
    assert found.state == "running"
    assert found.remark.startswith("The store does not answer since")
    store.unlink()
    (tmp_path / "away").rename(store)
    clusters.ask_clusters(at_once=True)
    assert get_folder(run.id).remark == ""

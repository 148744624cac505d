"""Sweeps: several runs as one. Their workers are real processes that do not train."""

import json

import pytest

from core.jobs import estimates, launch, sweeps
from core.runs import folder, journal, plan
from core.system.errors import UserError
from core.system.files import write_text
from tests.helpers.runs import until
from tests.jobs.test_launch import ENDLESS, SMALL

pytestmark = pytest.mark.usefixtures("stub_worker", "no_worker_outlives_its_test")


def grid(changes, losses=("bce", "db", "cb")):
    return plan.grid(data="synthetic", models=["tfidf"], losses=losses, seeds=[0], changes=changes)


def states(runs):
    return [folder.get_run(run.id).state for run in runs]


@pytest.mark.slow
def test_a_sweep_is_stopped_as_one_without_the_next_starting_and_resumed_as_one():
    runs = sweeps.submit(grid(ENDLESS), user="ann")
    (sweep,) = sweeps.list_sweeps()
    assert (sweep.runs, sweep.user) == (tuple(run.id for run in runs), "ann")
    assert sweep.title == "tfidf · bce, db, cb · synthetic"
    until(lambda: folder.get_run(runs[0].id).progress.get("epoch"), 120.0)
    stopped = sweeps.stop(sweep.id)
    assert {run.state for run in stopped} == {"stopped"}
    assert states(runs) == ["stopped"] * 3
    assert [folder.get_run(run.id).started is None for run in runs] == [False, True, True]
    launch.delete(runs[2].id)
    listed = {run.id: run for run in folder.list_folders()}
    assert sweeps.counts(sweep, listed) == {"stopped": 2, "missing": 1}
    again = sweeps.resume(sweep.id)
    assert [run.id for run in again] == list(sweep.runs)
    assert set(states(again)) <= {"queued", "running"}
    assert len(sweeps.list_sweeps()) == 1, "the same runs are the same sweep"


@pytest.mark.slow
def test_finished_runs_are_reused_or_trained_again_and_tell_what_the_next_take():
    configs = grid(SMALL, ["bce", "db"])
    runs = sweeps.submit(configs)
    until(lambda: set(states(runs)) == {"finished"}, 120.0)
    folder.save_about(runs[0].id, notes="keep this")
    written = [run.path.joinpath("metrics.json").stat().st_mtime_ns for run in runs]
    before = [json.loads(run.path.joinpath("metrics.json").read_text())["test"] for run in runs]
    assert states(sweeps.submit(configs)) == ["finished"] * 2
    assert [run.path.joinpath("metrics.json").stat().st_mtime_ns for run in runs] == written

    costs = [found for run in runs if (found := estimates.cost(folder.get_run(run.id)))]
    assert len(costs) == 2
    known = estimates.estimate(configs[0], costs[0].documents, costs)
    twice = estimates.estimate(configs[0], 10**6, costs)
    assert known is not None
    assert known.same_data
    assert twice == known, "the same data set has the size it had"
    assert estimates.estimate(plan.make_config(data="reuters", model="svm", loss=None, seed=0), 100, costs) is None
    whole = estimates.together(configs, costs[0].documents, costs, slots=1)
    assert whole["seconds"] == pytest.approx(2 * known.seconds)
    assert (whole["known"], whole["unknown"]) == (2, [])

    again = sweeps.submit(configs, anew=True)
    assert set(states(again)) <= {"queued", "running"}
    until(lambda: set(states(runs)) == {"finished"}, 120.0)
    assert [json.loads(run.path.joinpath("metrics.json").read_text())["test"] for run in runs] == before
    assert folder.get_run(runs[0].id).about.notes == "keep this"
    assert [event["what"] for event in journal.read_events(runs[0].path)].count("started") == 2


@pytest.mark.parametrize("name", ["sweep-0123456789", "../runs", "", "sweep-x"])
def test_a_sweep_that_is_not_there_is_a_sentence(name):
    with pytest.raises(UserError, match="There is no sweep"):
        sweeps.get(name)


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": ["../x"], "configs": [], "created": 0, "user": ""}'])
def test_a_damaged_sweep_hides_no_other_and_says_so_when_asked_for(text):
    write_text(sweeps.folder() / "sweep-0123456789.json", text)
    assert sweeps.list_sweeps() == []
    with pytest.raises(UserError):
        sweeps.get("sweep-0123456789")


def test_nothing_of_a_grid_starts_where_one_run_cannot(monkeypatch):
    good, bad = (
        grid(SMALL, ["bce"])[0],
        plan.make_config(data="synthetic", model="tfidf", loss="db", seed=0, changes=["train.device=cuda:3"]),
    )
    monkeypatch.setenv("TAILSCOPE_SLOTS", "cpu,cuda-0")
    with pytest.raises(UserError, match="cuda-3"):
        sweeps.submit([good, bad])
    assert folder.list_folders() == [run for run in folder.list_folders() if run.published]
    assert sweeps.list_sweeps() == []

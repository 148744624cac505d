import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from core.cli.main import make_app
from core.jobs import launch, search
from core.metrics import label_sets, thresholds
from core.runs import folder, journal, plan, predictions
from core.system import places
from core.system.errors import UserError
from core.system.files import read_json
from tests.helpers.runs import until

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "train.epochs=4"]
NETWORK = [*SMALL, "model.embedding=12", "model.filters=6", "model.max_length=24"]


def base(model="tfidf", loss="fl", changes=SMALL):
    return plan.make_config(data="synthetic", model=model, loss=loss, seed=0, changes=changes)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_and_finds_what_its_runs_reached():
    heard, settings = [], base("textcnn", changes=NETWORK)
    first = search.search(settings, trials=1, metric="macro_f1", report=heard.append)
    assert [trial.number for trial in heard] == [0]
    found = search.search(settings, trials=2, metric="macro_f1", report=heard.append)
    assert len(heard) == len(found) == 2
    assert {trial.run for trial in first} < {trial.run for trial in found}
    scores = [trial.score for trial in found]
    assert scores == sorted(scores, reverse=True)
    best = folder.get_run(found[0].run)
    assert best.config.train.learning_rate == pytest.approx(found[0].settings["train.learning_rate"])
    assert best.config.loss.gamma == pytest.approx(found[0].settings["loss.gamma"])
    history = [journal.score_of(entry, "macro_f1") for entry in journal.read_history(best.path)]
    assert max(history) == found[0].score
    validation = predictions.read_predictions(best, "validation")  # epochs are compared at the global threshold
    limit = thresholds.fit_global(validation.targets, validation.scores)
    reached = label_sets.macro_f1(validation.targets, thresholds.apply(validation.scores, limit))
    assert reached == pytest.approx(found[0].score)


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_a_search_of_other_settings_is_another_and_what_is_set_stays():
    (one,) = search.search(base(changes=[*SMALL, "loss.gamma=1.5"]), trials=1, metric="micro_f1")
    assert list(one.settings) == ["train.learning_rate"]
    assert folder.get_run(one.run).config.loss.gamma == 1.5


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_a_search_that_was_killed_is_taken_up():
    import optuna

    search.search(base(), trials=1, metric="micro_f1")
    (file,) = (places.cache_dir() / "search").glob("*.db")
    study = optuna.load_study(study_name=file.stem, storage=f"sqlite:///{file}")
    study.ask()  # a trial that never ends
    assert len(search.search(base(), trials=2, metric="micro_f1")) == 2
    assert search.search(base(), trials=9, metric="micro_f1", minutes=0)[0].score > 0


def test_a_model_without_a_loss_has_nothing_to_search():
    with pytest.raises(UserError, match="no learning rate"):
        search.search(plan.make_config(data="synthetic", model="svm", loss=None, seed=0), trials=1, metric="micro_f1")


TWO = """
import sys
from core.jobs import search
from tests.jobs.test_search import base
for trial in search.search(base(), trials=4, metric="micro_f1"):
    print(trial.number, trial.state, trial.run, trial.settings["train.learning_rate"])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_two_terminals_share_a_study_and_draw_no_trial_twice():
    both = [
        subprocess.Popen([sys.executable, "-c", TWO], cwd=places.ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [process.communicate(timeout=120)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(found[0]) == sorted(found[1])
    assert sorted(int(line.split()[0]) for line in found[0]) == list(range(4)), "none is failed for the other's sake"
    assert len({line.split()[3] for line in found[0]}) == 4
    assert not list((places.cache_dir() / "locks").glob("search-*-[0-9].lock"))


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_several_trials_are_in_flight_in_one_study(monkeypatch):
    monkeypatch.setenv("TAILSCOPE_SLOTS", "cpu:2")
    live, heard, submit = set(), [], launch.submit

    def submit_and_count(config, **how):
        run = submit(config, **how)
        live.add(sum(one.state in folder.LIVE for one in folder.list_folders(published=False)))
        return run

    monkeypatch.setattr(launch, "submit", submit_and_count)
    found = search.search(base(), trials=4, metric="micro_f1", report=heard.append, at_once=2)
    assert sorted(trial.number for trial in found) == sorted(trial.number for trial in heard) == list(range(4))
    assert max(live) == 2
    assert len({trial.settings["train.learning_rate"] for trial in found}) == 4
    assert not list((places.cache_dir() / "locks").glob("search-*-[0-9].lock"))
    # More at once than are wanted run no more than are wanted.
    assert len(search.search(base(), trials=5, metric="micro_f1", at_once=9)) == 5


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_what_ends_a_search_lets_trials_in_flight_end_and_ctrl_c_stops_them(monkeypatch):
    monkeypatch.setenv("TAILSCOPE_SLOTS", "cpu:2")
    submit, submitted = launch.submit, []

    def refuse_the_second(config, **how):
        submitted.append(config)
        if len(submitted) == 2:
            raise UserError("No room.")
        return submit(config, **how)

    monkeypatch.setattr(launch, "submit", refuse_the_second)
    with pytest.raises(UserError, match="No room"):
        search.search(base(), trials=9, metric="micro_f1", at_once=2)
    monkeypatch.setattr(launch, "submit", submit)
    assert [run.state for run in folder.list_folders(published=False)] == ["finished"]
    assert len(search.search(base(), trials=1, metric="micro_f1")) == 1, "its score was kept"

    # Ctrl-C reaches the command alone, while its trials train.
    def interrupt(futures):
        until(lambda: len([run for run in folder.list_folders(published=False) if run.state == "running"]) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "as_completed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search.search(base(changes=[*SMALL, "train.epochs=9000"]), trials=9, metric="micro_f1", at_once=2)
    assert sorted(run.state for run in folder.list_folders(published=False)) == ["finished", "stopped", "stopped"]


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_a_run_that_was_killed_is_resumed_and_one_that_is_killed_again_ends_the_search(monkeypatch):
    submit, resume, kills = launch.submit, launch.resume, []

    def kill(run):
        launch.stop_flag(run.path).unlink(missing_ok=True)
        os.killpg(read_json(run.path / "process.json")["pid"], signal.SIGKILL)
        kills.append(run.id)
        return run

    monkeypatch.setattr(launch, "submit", lambda config, **how: kill(submit(config, **how)))
    (one,) = search.search(base(), trials=1, metric="micro_f1")
    assert (one.state, one.score, len(kills)) == ("complete", 0.5, 1)
    monkeypatch.setattr(launch, "resume", lambda run_id, **how: kill(resume(run_id, **how)))
    with pytest.raises(search.TrialError, match=r"is lost\. Its worker process was killed"):
        search.search(base(), trials=2, metric="micro_f1")
    monkeypatch.setattr(launch, "submit", submit)
    assert [trial.number for trial in search.search(base(), trials=1, metric="micro_f1")] == [0]


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_only_divergence_is_a_score():
    (one,) = search.search(base(changes=[*SMALL, "train.learning_rate=1e9"]), trials=1, metric="micro_f1")
    assert (one.state, one.score) == ("pruned", 0.0)


@pytest.mark.usefixtures("stub_worker")
def test_a_run_that_is_refused_ends_the_search_with_exit_1():
    changes = [word for setting in [*SMALL, "data.synthetic.documents=20"] for word in ("--set", setting)]
    words = ["search", "--data", "synthetic", "--loss", "fl", "--trials", "1", *changes]
    done = CliRunner().invoke(make_app(), words, env={"TAILSCOPE_REFUSE": "1"})
    assert done.exit_code == 1
    assert "has no score, as its run" in done.stderr
    assert "is failed" in done.stderr


def test_a_study_that_is_no_database_is_a_sentence():
    file = places.cache_dir() / "search" / file_of(base())
    file.parent.mkdir(parents=True)
    file.write_text("no database" * 100)
    with pytest.raises(UserError, match="The search cannot be kept in"):
        search.search(base(), trials=1, metric="micro_f1")


def file_of(config):
    """The name of a study's file."""
    config = config.model_copy(update={"train": config.train.model_copy(update={"metric": "micro_f1"})})
    key = hashlib.sha256(json.dumps(config.model_dump(), sort_keys=True).encode()).hexdigest()[:10]
    return f"synthetic-tfidf-fl-{key}.db"

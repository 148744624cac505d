import pytest

from core.jobs import search
from core.metrics import label_sets, thresholds
from core.runs import folder, journal, plan, predictions
from core.system import places
from core.system.errors import UserError

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "train.epochs=4"]


def base(model="tfidf", loss="fl", changes=SMALL):
    return plan.make_config(data="synthetic", model=model, loss=loss, seed=0, changes=changes)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_and_finds_what_its_runs_reached():
    heard = []
    first = search.search(base(), trials=1, metric="macro_f1", report=heard.append)
    assert [trial.number for trial in heard] == [0]
    found = search.search(base(), trials=2, metric="macro_f1", report=heard.append)
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

import os
import shutil

import numpy as np
import pytest

from core.analysis import run_rows, samples, tables
from core.data import sources
from core.jobs import training, worker
from core.labels import groups
from core.labels.groups import Borders
from core.metrics import kept_scores, label_sets, summary, thresholds
from core.runs import folder, journal, plan, predictions, results
from core.system.errors import UserError
from core.system.files import write_json
from core.trainer.setup import torch_device
from tests.helpers.training import LARGER, train_here

pytestmark = pytest.mark.slow  # the real worker, in this process


@pytest.mark.parametrize(("model", "loss"), [("svm", None), ("tree", None), ("tfidf", "db")])
def test_stored_predictions_reproduce_every_reported_figure(model, loss):
    run = train_here(model, loss)
    assert isinstance(run, folder.Run)
    assert run.state == "finished"
    stored, reported = predictions.read_predictions(run), results.read_metrics(run)
    corpus = sources.load(run.config.data)
    predicted = thresholds.apply(stored.scores, stored.threshold)
    borders = groups.Borders(**reported["borders"])
    again = label_sets.score_groups(stored.targets, predicted, np.array(reported["counts"]), borders)
    assert again == reported["test"]
    assert reported["labels"] == list(corpus.labels)
    assert reported["counts"] == corpus.counts.tolist()
    assert reported["fingerprint"] == corpus.fingerprint
    assert set(reported["versions"]) >= {"torch", "numpy", "scikit-learn", "python", "tailscope"}
    assert [corpus.ids[row] for row in stored.rows] == stored.ids
    np.testing.assert_array_equal(stored.targets.toarray(), corpus.targets_of("test").toarray())
    assert not list(run.path.glob("*.tmp")), "nothing half-written is left"
    assert not run.path.joinpath("reserve").exists()


def test_a_seed_gives_the_same_scores_and_the_best_epoch_is_kept(monkeypatch, tmp_path):
    runs = []
    for name in ("a", "b"):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / name))
        run = train_here(changes=[*LARGER, "train.threshold=auto"])  # the rule that judges epochs
        runs.append(
            (run, predictions.read_predictions(run).scores, results.read_metrics(run), journal.read_history(run.path))
        )
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert runs[0][2]["test"] == runs[1][2]["test"]
    epochs = [line["validation"]["all"]["micro_f1"] for line in runs[0][3]]
    assert len(epochs) == 4
    assert runs[0][2]["validation"]["all"]["micro_f1"] == max(epochs)
    assert [line["best"] for line in runs[0][3]] == [
        score > max(epochs[:n], default=-1) for n, score in enumerate(epochs)
    ]


def test_training_ends_when_validation_no_longer_improves():
    run = train_here(changes=[*LARGER, "train.epochs=500", "train.patience=2", "train.learning_rate=3"])
    best = [line["best"] for line in journal.read_history(run.path)]
    assert len(best) < 500
    assert best[-3:] == [True, False, False]


@pytest.mark.parametrize("rule", ["paper", "fixed"])
@pytest.mark.parametrize(("model", "loss"), [("svm", None), ("tfidf", "bce")])
def test_every_threshold_rule_serves_both_models(model, loss, rule):
    metrics = results.read_metrics(train_here(model, loss, changes=[*LARGER, f"train.threshold={rule}"]))
    expected = {"paper": (0.4, 0.6) if loss else (-1, 1), "fixed": (0.5, 0.5) if loss else (0, 0)}[rule]
    assert expected[0] <= metrics["threshold"] <= expected[1]


@pytest.mark.parametrize(("model", "loss"), [("svm", None), ("tfidf", "bce")])
def test_each_label_may_have_a_threshold_of_its_own(model, loss):
    run = train_here(model, loss, changes=[*LARGER, "train.threshold=per-label"])
    kept, validation, test = (
        results.read_results(run),
        *(predictions.read_predictions(run, p) for p in training.PARTS),
    )
    limits = thresholds.fit_labels(validation.targets, validation.scores)
    assert len(set(limits)) > 1
    np.testing.assert_array_equal(kept["threshold"], limits)
    np.testing.assert_array_equal(test.threshold, limits)
    predicted = thresholds.apply(test.scores, limits)
    again = label_sets.score_groups(test.targets, predicted, np.array(kept["counts"]), Borders(**kept["borders"]))
    assert again == kept["test"]


@pytest.mark.parametrize(("model", "loss", "rule"), [("svm", None, "quiet-margins"), ("tfidf", "bce", "quiet")])
def test_quiet_serves_both_models(model, loss, rule):
    run = train_here(model, loss, changes=[*LARGER, "train.threshold=quiet"])
    kept, validation = results.read_results(run), predictions.read_predictions(run, "validation")
    assert kept["threshold_rule"] == rule
    np.testing.assert_array_equal(kept["threshold"], thresholds.fit(validation.targets, validation.scores, rule=rule))


def test_mu_auto_is_taken_from_the_data():
    assert train_here("tfidf", "db", changes=[*LARGER, "loss.mu=auto"]).state == "finished"


def test_a_loss_that_diverges_fails_with_the_reason_and_keeps_the_history():
    with pytest.raises(UserError, match="stopped being a number"):
        train_here("tfidf", "bce", changes=[*LARGER, "train.learning_rate=1e38"])
    (run,) = folder.list_folders()
    assert run.state == "failed"
    assert "train.learning_rate" in run.reason


def test_data_that_changed_after_the_run_was_made_are_refused():
    config = plan.make_config(data="synthetic", model="svm", loss=None, seed=0, changes=LARGER[:2])
    path = folder.run_path(folder.run_id(config, "another fingerprint"))
    path.mkdir(parents=True)
    write_json(path / "config.json", config.model_dump())
    write_json(path / "status.json", {"state": "queued", "submitted": 1.0, "device": "cpu"})
    with pytest.raises(UserError, match="has changed since this run was made"):
        worker.execute(path)
    assert folder.get_run(path.name).state == "failed"


def test_a_gpu_that_torch_lacks_is_an_error_not_a_silent_change():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"train\.device=cpu"):
        torch_device("cuda-0")


def test_a_folder_that_is_no_run_of_this_cache_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no run 'elsewhere'"):
        worker.execute(tmp_path / "elsewhere")


def test_more_than_a_thousand_labels_stay_sparse():
    changes = ["data.synthetic.documents=1500", "data.synthetic.labels=1200", "model.hidden=8", "train.epochs=1"]
    run = train_here("tfidf", "db", changes=changes)
    scores = predictions.read_predictions(run).scores
    assert scores.shape == (300, 1200)
    assert np.diff(scores.indptr).max() <= kept_scores.TOP_K + 50


def test_validation_scores_and_every_score_are_kept():
    run = train_here("tfidf", "db")
    kept, validation = results.read_metrics(run), predictions.read_predictions(run, "validation")
    assert validation.targets.shape[0] == kept["documents"]["validation"] > 0
    limits = thresholds.fit(validation.targets, validation.scores, rule="quiet")
    assert limits.tolist() == validation.threshold.tolist() == kept["threshold"]
    test = predictions.read_predictions(run)
    assert not set(test.rows) & set(validation.rows)
    predicted = thresholds.apply(test.scores, test.threshold)
    borders = Borders(**kept["borders"])
    again = summary.score_all(
        *(test.targets, test.scores, predicted),
        counts=np.array(kept["counts"]),
        documents=kept["documents"]["train"],
        borders=borders,
    )
    assert again == kept["scores"]
    assert kept["scores"]["micro_f1"] == kept["test"]["all"]["micro_f1"]
    assert kept["memory"] > 50_000_000


def test_tables_leave_out_damaged_runs_and_hold_every_other():
    runs = [train_here("tfidf", "db"), train_here("svm", None)]
    shutil.copytree(runs[0].path, folder.run_path("copy"), ignore=lambda *_: ["metrics.json", "alive.lock"])
    os.truncate(folder.run_path("copy") / "status.json", 0)
    rows = tables.fold(run for run in folder.list_runs() if run.state == "finished")
    frame = tables.paper_table(rows, samples.sample_rows(rows))
    assert frame["method"].tolist() == ["svm", "db"]
    assert frame["total_micro"].iloc[1] == pytest.approx(100 * run_rows.run_row(runs[0])["test"]["all"]["micro_f1"])

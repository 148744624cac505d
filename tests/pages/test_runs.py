"""The training and results pages in every state of the store, with finished runs on a small synthetic set."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.config.schema import RunConfig
from core.data import sources
from core.figures import training
from core.jobs import launch, sweeps
from core.runs import folder, layout, plan
from core.runs.predictions import PREDICTIONS, Predictions, read_predictions, write_predictions
from core.runs.results import read_chosen_on, read_results, read_threshold_sets, save_threshold_set
from core.system.errors import UserError
from core.system.files import write_json
from core.system.locks import try_lock
from tests.helpers.drawn import open_page, said, words
from tests.helpers.runs import execute

SMALL = ["data.synthetic.documents=400", "data.synthetic.labels=12", "train.epochs=3", "model.hidden=0"]


def small(model: str, loss: str | None, seed: int = 0) -> RunConfig:
    return plan.make_config(data="synthetic", model=model, loss=loss, seed=seed, changes=SMALL)


@pytest.fixture
def filled(finished_runs: Path, cache: Path) -> Path:
    """The test's own cache with a finished `svm` and a finished `tfidf` run, which it may damage."""
    shutil.copytree(finished_runs, cache, ignore=shutil.ignore_patterns("synthetic-textcnn-*"))
    return cache


@pytest.fixture
def live_locks() -> Iterator[list[int]]:
    """Locks that stand for living workers; given back at the end."""
    held: list[int] = []
    yield held
    for descriptor in held:
        os.close(descriptor)


def run_of(cache: Path, model: str) -> Path:
    return next((cache / "runs").glob(f"synthetic-{model}-*"))


def in_state(cache: Path, state: str, **status: Any) -> Path:
    """A run folder in a state that a worker has just left it in."""
    path = cache / "runs" / f"synthetic-tfidf-bce-s7-{state}"
    shutil.copytree(run_of(cache, "tfidf"), path)
    (path / "metrics.json").unlink()
    now = time.time()
    write_json(path / "status.json", {"state": state, "submitted": now - 60, "device": "cpu", **status})
    return path


def shown_states(page: AppTest) -> list[str]:
    return [state for [state] in page.dataframe[0].value["state"]]


# Training


def test_training_with_no_runs_says_what_to_do_and_starts_nothing(cache: Path) -> None:
    page = open_page("launcher")
    assert "No runs yet" in words(page)
    assert page.button(key="launch").label == "Launch 1 run"
    assert not (cache / "runs").exists()


def test_training_lists_finished_runs_with_their_validation_scores(filled: Path) -> None:
    page = open_page("launcher")
    table = page.dataframe[0].value
    assert shown_states(page) == ["finished", "finished"]
    expected = {path.name: read(path / "metrics.json")["validation"]["all"]["micro_f1"] for path in runs(filled)}
    assert dict(zip(table["run"], table["micro"] / 100, strict=True)) == pytest.approx(expected)


def test_training_draws_the_curves_of_the_run_in_the_address(filled: Path) -> None:
    page = open_page("launcher", run=run_of(filled, "tfidf").name)
    assert len(page.get("vega_lite_chart")) == 3, "what is closed is not drawn"
    page.session_state["between"] = True
    page.run()
    assert len(page.get("vega_lite_chart")) == 3 + len(training.COURSE) + 1, "and that of the labels hit"
    page = open_page("launcher", run=run_of(filled, "svm").name)
    assert not page.get("vega_lite_chart")
    assert "no curves" in words(page)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_training_shows_a_live_run_with_a_stop_button(filled: Path, live_locks: list[int], state: str) -> None:
    progress = (
        {"phase": "training", "fraction": 0.4, "epoch": 2, "epochs": 3} if state == "running" else {"fraction": "?"}
    )
    path = in_state(filled, state, progress=progress, started=time.time() - 30)
    live_locks.append(try_lock(layout.alive_lock(path)) or 0)
    page = open_page("launcher")
    assert state in shown_states(page)
    assert page.button(key=f"stop-{path.name}").label == "Stop"
    assert read(path / "status.json")["state"] == state


@pytest.mark.parametrize(
    ("state", "reason"),
    [("failed", "The disk is full"), ("stopped", "before it had finished"), ("running", "process was killed")],
)
def test_training_says_in_words_why_a_run_ended(filled: Path, state: str, reason: str) -> None:
    status = {"reason": f"Because {reason}"} if state != "running" else {}
    path = in_state(filled, state, **status)
    page = open_page("launcher", run=path.name)
    assert ("lost" if state == "running" else state) in shown_states(page)
    assert reason in words(page)
    assert not [button for button in page.button if button.label == "Stop"]


def test_training_keeps_the_table_when_a_folder_is_damaged(filled: Path) -> None:
    path = run_of(filled, "svm")
    (path / "config.json").write_text("{", encoding="utf-8")
    page = open_page("launcher", run=path.name)
    assert len(page.dataframe[0].value) == 2
    assert "config.json is damaged" in words(page)


@pytest.mark.slow
@pytest.mark.parametrize("run_id", ["../../etc", "no-such-run", "<b>x</b>"])
def test_a_wrong_run_id_in_the_address_is_one_sentence(filled: Path, run_id: str) -> None:
    training = open_page("launcher", run=run_id)
    assert len(training.error) == 1
    results = open_page("errors", run=run_id)
    assert len(results.error) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_launching_submits_every_run_once_and_leaves_the_form_usable(cache: Path) -> None:
    page = open_page("launcher")
    page.number_input(key="synthetic_documents").set_value(400)
    page.number_input(key="synthetic_labels").set_value(12)
    page.number_input(key="set.train.epochs").set_value(2)
    page.get_by_key("losses").set_value(["bce", "db"])
    page.text_input(key="seeds").set_value("3").run()
    assert page.button(key="launch").label == "Launch 2 runs"
    assert [line.split("--loss ")[1].split()[0] for line in page.code[0].value.splitlines()] == ["bce", "db"]
    page.button(key="launch").click().run()
    assert not page.exception
    assert not page.error
    assert "2 of 2 runs submitted." in [toast.value for toast in page.toast]
    ids = [run.id for run in folder.list_folders()]
    assert len(ids) == 2
    assert page.button(key="launch").disabled
    assert "2 of these 2 exist already" in words(page)
    assert len({run.config for run in folder.list_runs()}) == 2
    for run in folder.list_folders():
        with suppress(UserError):  # it may have finished
            launch.stop(run.id)


@pytest.mark.parametrize("seeds", ["-1", "two", "", "0-"])
def test_nonsense_seeds_are_one_sentence_and_no_run(cache: Path, seeds: str) -> None:
    page = open_page("launcher")
    page.text_input(key="seeds").set_value(seeds).run()
    assert not page.exception
    assert len(page.error) == 1
    assert said(page.error).startswith("Seeds: ")
    assert page.button(key="launch").disabled


@pytest.mark.parametrize(
    ("key", "value", "said_of_it"),
    [
        ("set.model.encoder", "", "model.encoder"),
        ("set.loss.mu", "much", "loss.mu"),
        ("set.loss.mu", "7", "loss.mu"),
        ("seeds", "9999999999", "seed"),
        ("seeds", "0-9999", "9,000 runs"),
    ],
)
def test_nonsense_in_a_field_is_one_sentence_and_no_run(cache: Path, key: str, value: str, said_of_it: str) -> None:
    page = open_page("launcher", data="synthetic", models="transformer")
    page.get_by_key("losses").set_value(["paper", "asl"]).run()
    page.get_by_key(key).set_value(value).run()
    assert not page.exception
    assert len(page.error) == 1
    assert said_of_it in said(page.error)
    assert not page.button(key="launch").label.endswith("9000 runs")
    assert page.button(key="launch").disabled
    assert not (cache / "runs").exists()


def test_a_device_that_does_not_exist_is_one_sentence(cache: Path) -> None:
    page = open_page("launcher", data="synthetic", **{"set.train.device": "tpu"})
    assert len(page.error) == 1
    assert "train.device" in said(page.error)
    assert page.button(key="launch").disabled


ADDRESSES = {
    "models": "smv",
    "losses": "nothing",
    "set.train.epochs": "-3",
    "set.train.batch_size": "many",
    "set.train.metric": "accuracy",
    "set.train.learning_rate": "nan",
    "set.loss.reweight_negatives": "perhaps",
    "of_state": "asleep",
    "of_sweep": "../x",
    "archived": "maybe",
    "run_view": "Secrets",
}


@pytest.mark.parametrize("key", ADDRESSES)
def test_nonsense_in_the_address_is_left_out_or_said(filled: Path, key: str) -> None:
    page = open_page("launcher", data="synthetic", **{key: ADDRESSES[key]})
    assert not page.exception
    assert len(page.dataframe[0].value) == 2
    assert {run.state for run in folder.list_folders(published=False)} == {"finished"}


def test_a_setting_out_of_range_is_one_sentence(cache: Path) -> None:
    page = open_page("launcher")
    page.number_input(key="set.train.learning_rate").set_value(-1.0).run()
    assert len(page.error) == 1
    assert "train.learning_rate" in said(page.error)


def test_the_form_has_the_constants_of_the_losses_chosen_and_a_link_fills_them() -> None:
    page = open_page("launcher", data="synthetic", losses="asl", **{"set.loss.gamma_neg": "2.0"})
    shown = {field.key for field in page.number_input}
    assert {"set.loss.scale", "set.loss.gamma_pos", "set.loss.gamma_neg", "set.loss.prob_margin"} <= shown
    assert not {"set.loss.cb_beta", "set.loss.tau"} & shown
    commands = said(page.get("code"))
    assert "--loss asl" in commands
    assert "loss.gamma_neg=2" in commands
    page.get_by_key("losses").set_value(["paper", "zlpr"]).run()
    shown = {field.key for field in page.number_input}
    assert "set.loss.cb_beta" in shown
    assert "set.loss.gamma_neg" not in shown
    assert page.button(key="launch").label == "Launch 9 runs"


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_stop_ends_a_queued_run(cache: Path) -> None:
    changes = [*SMALL, "train.epochs=4000", "train.patience=4000"]
    configs = [
        plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=changes) for seed in (0, 1)
    ]
    first, second = (launch.submit(config) for config in configs)
    page = open_page("launcher")
    for run in (second, first):
        page.button(key=f"stop-{run.id}").click().run()
        assert not page.exception
    assert {run.state for run in folder.list_folders()} == {"stopped"}
    assert shown_states(page) == ["stopped", "stopped"]


def test_a_preset_a_run_and_a_file_fill_the_form(filled: Path) -> None:
    page = open_page("launcher", data="synthetic", **{"set.train.batch_size": "7"})
    page.button(key="preset-many labels").click().run()
    assert not page.exception
    assert page.number_input(key="set.train.batch_size").value == 128
    assert page.selectbox(key="set.train.metric").value == "tail_macro_f1"
    assert page.get_by_key("losses").value == ["bce", "cb", "db"]
    assert page.get_by_key("data").value == "synthetic", "a preset leaves the data alone"
    page.selectbox(key="from_run").set_value(run_of(filled, "tfidf").name).run()
    page.button(key="take_run").click().run()
    assert not page.exception
    assert page.button(key="launch").disabled, "these very settings have been trained"
    assert "1 of these 1 exist already" in words(page)
    page.toggle(key="train_again").set_value(True).run()
    assert page.button(key="launch").label == "Launch 1 run"
    assert not page.button(key="launch").disabled
    page.file_uploader(key="plan_file").upload(
        "plan.json", b'{"models": ["svm"], "seeds": [4]}', "application/json"
    ).run()
    page.button(key="take_file").click().run()
    assert page.get_by_key("models").value == ["svm"]
    assert "--model svm --seed 4" in page.code[0].value
    assert {folder.get_run(path.name).state for path in runs(filled)} == {"finished"}


def test_a_file_that_is_no_plan_is_one_sentence_and_the_form_stays(cache: Path) -> None:
    page = open_page("launcher")
    page.file_uploader(key="plan_file").upload("plan.json", b'{"modells": []}', "application/json").run()
    page.button(key="take_file").click().run()
    assert not page.exception
    assert "there is no setting 'modells'. Did you mean 'models'?" in said(page.error)
    assert page.get_by_key("models").value == ["tfidf"]


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_a_sweep_is_stopped_and_resumed_as_one(cache: Path) -> None:
    changes = [*SMALL, "train.epochs=4000", "train.patience=4000"]
    grid = plan.grid(data="synthetic", models=["tfidf"], losses=["bce", "db"], seeds=[0], changes=changes)
    sweeps.submit(grid)
    (sweep,) = sweeps.list_sweeps()
    page = open_page("launcher")
    assert page.button(key=f"resume-{sweep.id}").disabled
    page.button(key=f"stop-{sweep.id}").click().run()
    assert not page.exception
    assert {run.state for run in folder.list_folders()} == {"stopped"}
    page.button(key=f"resume-{sweep.id}").click().run()
    assert {run.state for run in folder.list_folders()} <= {"queued", "running"}
    page.button(key="stop-all").click().run()
    assert {run.state for run in folder.list_folders()} == {"stopped"}
    page.button(key=f"show-{sweep.id}").click().run()
    assert not page.exception
    assert len(page.dataframe[0].value) == 2


@pytest.mark.slow
def test_names_tags_archive_and_the_filters(filled: Path) -> None:
    tfidf, svm = run_of(filled, "tfidf").name, run_of(filled, "svm").name
    folder.save_about(svm, name="the baseline", tags=["kept"], notes="seen by ann")
    page = open_page("launcher", run=svm)
    assert "the baseline" in words(page)
    assert "seen by ann" in words(page)
    assert "★ the baseline" not in page.dataframe[0].value["name"].tolist()
    page.button(key="one-Pin-False").click().run()
    assert page.dataframe[0].value["name"].tolist()[0] == "★ the baseline"
    page.text_input(key="part").set_value("KEPT").run()
    assert page.dataframe[0].value["run"].tolist() == [svm]
    page.text_input(key="part").set_value("no such thing").run()
    assert "No run is like this" in words(page)
    page.text_input(key="part").set_value("").run()
    page.button(key="one-Archive-False").click().run()
    assert page.dataframe[0].value["run"].tolist() == [tfidf]
    page.toggle(key="archived").set_value(True).run()
    assert page.dataframe[0].value["run"].tolist() == [svm]
    assert svm not in str(open_page("errors").main)


def test_a_deleted_run_is_gone_after_the_second_click_alone(filled: Path) -> None:
    path = run_of(filled, "svm")
    page = open_page("launcher", run=path.name)
    assert path.exists()
    page.button(key="one-sure").click().run()
    assert not page.exception
    assert "1 run deleted." in [toast.value for toast in page.toast]
    assert not path.exists()
    assert len(folder.list_folders()) == 1


@pytest.mark.slow
def test_a_stopped_run_can_be_launched_again_at_once(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    query = {f"synthetic_{key}": str(value) for key, value in (("documents", 400), ("labels", 12))}
    page = open_page("launcher", data="synthetic", **query)
    page.get_by_key("losses").set_value(["db"])
    page.number_input(key="set.train.epochs").set_value(3)
    page.number_input(key="set.model.hidden").set_value(0).run()
    assert page.button(key="launch").disabled
    write_json(path / "status.json", {**read(path / "status.json"), "state": "stopped"})
    page.run()
    assert not page.button(key="launch").disabled


@pytest.mark.slow
@pytest.mark.usefixtures("stub_worker")
def test_a_failed_run_is_launched_with_the_change_that_mends_it(filled: Path) -> None:
    advice = "Start a new run with train.learning_rate=0.5."
    path = in_state(filled, "failed", kind="diverged", reason="The loss rose.", advice=advice)
    page = open_page("launcher", run=path.name)
    labels = [button.label.replace("\\", "") for button in page.button]
    assert "Launch with train.learning_rate = 0.5" in labels
    assert not {"Resume", "Start anew"} & set(labels)
    page.button(key=f"mend-{path.name}-0").click().run()
    assert not page.exception
    (new,) = (run for run in folder.list_runs() if run.config.train.learning_rate == 0.5)
    assert new.id in page.query_params["run"]
    with suppress(UserError):  # it may have finished
        launch.stop(new.id)


@pytest.mark.parametrize(
    ("setting", "said_of_it"),
    [({"set.train.learning_rate": "1e9"}, "diverge"), ({"set.train.device": "cuda"}, "no GPU")],
)
def test_what_cannot_succeed_is_stopped_before_launch(
    setting: dict[str, str], said_of_it: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.system.machine.count_gpus", lambda: 0)
    page = open_page("launcher", data="synthetic", **setting)
    assert said_of_it in said(page.error)
    assert page.button(key="launch").disabled


def test_a_split_without_validation_is_said_before_launch(cache: Path) -> None:
    page = open_page("launcher", data="synthetic", split="original")
    assert "has no validation part" in said(page.error)
    assert not page.exception


def test_label_sets_that_a_decoder_cannot_write_are_said_before_launch(cache: Path) -> None:
    page = open_page("launcher", data="synthetic", synthetic_cardinality="50", synthetic_labels="200", models="encdec")
    assert "more than 50 labels" in said(page.error)
    assert "set model.max_labels=" in said(page.error)
    assert not page.exception


# Results


RESULTS = ["compare", "errors"]


@pytest.mark.parametrize("name", RESULTS)
def test_results_without_runs_lead_to_training(name: str, cache: Path) -> None:
    page = open_page(name)
    assert "There is no finished run to show" in words(page)
    assert not page.dataframe


@pytest.mark.parametrize(
    "view", ["Labels", "Trade-off", "Confused pairs", "Map", "Documents", "Slices", "Label errors", "Provenance"]
)
@pytest.mark.parametrize("model", ["svm", "tfidf"])
def test_every_view_of_errors_is_drawn_for_every_model(view: str, model: str, filled: Path) -> None:
    other = run_of(filled, "tfidf" if model == "svm" else "svm").name
    page = open_page("errors", view=view, run=run_of(filled, model).name, second=other)
    assert not page.error
    assert page.segmented_control(key="view").value == view


def test_the_numbers_on_top_are_those_of_the_run(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    page = open_page("errors", run=path.name)
    kept = read(path / "metrics.json")["test"]
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["test micro-F1"] == f"{100 * kept['all']['micro_f1']:.2f}"
    assert shown["test macro-F1"] == f"{100 * kept['all']['macro_f1']:.2f}"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["svm", "tfidf"])
def test_a_moved_threshold_moves_numbers_and_is_kept_by_name(model: str, filled: Path) -> None:
    path = run_of(filled, model)
    page = open_page("errors", run=path.name, at="my own")
    most = highest_score(path)
    page.select_slider(key=f"limit-{path.name}").set_value(most).run()
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["labels a document"] == "0.00"
    assert shown["test micro-F1"] == "0.00"
    page.text_input(key="keep_as").set_value("nothing at all").run()
    next(button for button in page.button if button.label == "Keep").click().run()
    assert not page.exception
    kept = read_threshold_sets(folder.get_run(path.name))["nothing at all"]
    assert (kept["values"], kept["chosen_on"]) == (most, "test")
    page = open_page("errors", run=path.name, at="nothing at all")
    assert {metric.label: metric.value for metric in page.metric}["labels a document"] == "0.00"


def highest_score(path: Path, part: str = "test") -> float:
    """The highest score of a run that is no margin of a label which nobody was fitted for."""
    return float(np.max(read_predictions(folder.get_run(path.name), part).scores))


def shown_scores(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


@pytest.mark.slow
def test_what_is_chosen_on_validation_hides_test_and_is_kept_as_such(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    kept = read(path / "metrics.json")["validation"]["all"]
    page = open_page("errors", run=path.name, chosen_on="validation")
    assert shown_scores(page)["validation micro-F1"] == f"{100 * kept['micro_f1']:.2f}"
    assert "test is hidden" in words(page)
    page = open_page("errors", run=path.name, at="my own", chosen_on="validation")
    limits = read_results(folder.get_run(path.name))["threshold"]
    assert np.min(limits) <= page.select_slider(key=f"limit-{path.name}").value <= np.max(limits)
    page.select_slider(key=f"limit-{path.name}").set_value(highest_score(path, "validation")).run()
    assert shown_scores(page)["validation micro-F1"] == "0.00"
    assert "Chosen on test" not in words(page)
    page.text_input(key="keep_as").set_value("fair").run()
    next(button for button in page.button if button.label == "Keep").click().run()
    assert read_threshold_sets(folder.get_run(path.name))["fair"]["chosen_on"] == "validation"
    # One label moved on test: the thresholds are of test, also where validation is looked at again.
    page = open_page("errors", run=path.name, at="fair")
    assert "Chosen on test" not in words(page)
    label = read_results(folder.get_run(path.name))["labels"][3]
    page.selectbox(key="moved").set_value(label).run()
    page.select_slider(key=f"moved-{path.name}-3").set_value(highest_of(path, 3)).run()
    assert f"Moved by hand: {label}" in words(page)
    assert "Chosen on test" in words(page)
    page.segmented_control(key="chosen_on").set_value("validation").run()
    assert "Chosen on test" in words(page)


def highest_of(path: Path, column: int) -> float:
    return float(np.max(read_predictions(folder.get_run(path.name)).scores[:, column]))


@pytest.mark.slow
def test_kept_thresholds_are_renamed_and_deleted_also_where_a_rule_has_their_name(filled: Path) -> None:
    run = folder.get_run(run_of(filled, "tfidf").name)
    save_threshold_set(run, "quiet", rule="my own", values=2.0, chosen_on="test")
    save_threshold_set(run, "old", rule="my own", values=0.5)
    page = open_page("errors", run=run.id, at="kept:quiet")
    assert page.selectbox(key="at").value == "kept:quiet"
    assert shown_scores(page)["labels a document"] == "0.00"
    assert "Chosen on test" in words(page)
    page.text_input(key="rename_to").set_value("old").run()
    next(button for button in page.button if button.label == "Rename").click().run()
    assert any("named 'old' already" in toast.value for toast in page.toast)
    page.text_input(key="rename_to").set_value("nothing").run()
    next(button for button in page.button if button.label == "Rename").click().run()
    assert page.selectbox(key="at").value == "nothing"
    assert {name: read_chosen_on(run, name) for name in read_threshold_sets(run)} == {
        "nothing": "test",
        "old": "unknown",
    }
    delete = next(button for button in page.button if button.label == "Delete")
    assert delete.disabled
    page.checkbox(key=f"sure-{run.id}-nothing").set_value(True).run()
    next(button for button in page.button if button.label == "Delete").click().run()
    assert not page.exception
    assert list(read_threshold_sets(run)) == ["old"]
    assert page.selectbox(key="at").value == "as trained"
    assert "whether it was chosen on validation or on test is unknown" in words(
        open_page("errors", run=run.id, at="old")
    )


@pytest.mark.slow
def test_the_trade_off_lists_every_rule_and_hides_test_where_that_is_not_chosen_on(filled: Path) -> None:
    run = folder.get_run(run_of(filled, "tfidf").name)
    save_threshold_set(run, "mine", rule="my own", values=2.0, chosen_on="test")
    save_threshold_set(run, "broken", rule="my own", values=[0.5])
    page = open_page("errors", run=run.id, view="Trade-off", tail="20", head="40")
    table = page.dataframe[0].value.set_index("name")
    assert {"as trained", "global", "quiet", "fixed", "per label", "top k (RCut)", "mine"} <= set(table.index)
    assert "broken" not in table.index
    assert table.loc["mine", ["chosen on", "micro test", "tail validation"]].tolist() == ["test", 0.0, 0.0]
    assert table.loc["as trained", "micro test"] == pytest.approx(float(shown_scores(page)["test micro-F1"]), abs=0.005)
    assert len(page.get("vega_lite_chart")) == 2
    page = open_page("errors", run=run.id, view="Trade-off", tail="20", head="40", chosen_on="validation")
    assert len(page.get("vega_lite_chart")) == 1
    assert not [name for name in page.dataframe[0].value if "test" in name]
    assert "No label is in the tail" in words(open_page("errors", run=run.id, view="Trade-off", tail="0"))


@pytest.mark.slow
def test_without_validation_scores_the_page_stays_and_says_so(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    (path / "validation.npz").unlink()
    page = open_page("errors", run=path.name, view="Trade-off")
    assert "There is no trade-off to show" in words(page)
    assert shown_scores(page)["test micro-F1"]
    for address in ({"at": "quiet"}, {"at": "quiet, my own margin"}):
        assert "These thresholds cannot be fitted" in said(open_page("errors", run=path.name, **address).error)
    assert "validation.npz is missing" in said(open_page("errors", run=path.name, chosen_on="validation").error)


@pytest.mark.slow
def test_the_margin_of_quiet_is_a_lever(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    page = open_page("errors", run=path.name, at="quiet, my own margin")
    assert shown_scores(page) == shown_scores(open_page("errors", run=path.name, at="quiet"))
    page.select_slider(key=f"by-{path.name}").set_value(float("inf")).run()
    assert shown_scores(page) == shown_scores(open_page("errors", run=path.name, at="global"))


@pytest.mark.parametrize("rule", ["quiet", "per label, no guard (SCut)", "per label, SCutFBR", "top k (RCut)"])
def test_rules_that_are_fitted_on_validation_are_offered(rule: str, filled: Path) -> None:
    page = open_page("errors", run=run_of(filled, "tfidf").name, at=rule)
    assert page.selectbox(key="at").value == rule
    assert not page.error


@pytest.mark.parametrize("name", RESULTS)
def test_a_damaged_run_hides_no_other(name: str, filled: Path) -> None:
    damaged = run_of(filled, "svm")
    (damaged / "metrics.json").write_text("{]", encoding="utf-8")
    page = open_page(name)
    assert len(page.warning) == 1
    assert damaged.name in said(page.warning)
    assert page.dataframe


@pytest.mark.parametrize("name", RESULTS)
def test_a_run_of_another_version_is_named_and_left_out(name: str, filled: Path) -> None:
    path = run_of(filled, "svm")
    metrics = read(path / "metrics.json")
    del metrics["borders"]
    write_json(path / "metrics.json", metrics)
    assert "does not hold borders" in said(open_page(name).warning)


@pytest.mark.slow
def test_predictions_cut_in_half_leave_the_tables(filled: Path) -> None:
    for path in runs(filled):
        stored = (path / "predictions.npz").read_bytes()
        (path / "predictions.npz").write_bytes(stored[: len(stored) // 2])
    page = open_page("compare")
    assert page.dataframe
    assert "predictions.npz" in said(page.warning)
    page = open_page("errors")
    assert len(page.error) == 1
    assert "predictions.npz" in said(page.error)


@pytest.mark.slow
def test_the_pair_of_the_address_lists_its_documents(filled: Path) -> None:
    run = run_of(filled, "tfidf").name
    page = open_page("errors", run=run, view="Confused pairs")
    pair = page.dataframe[0].value.iloc[0]
    page = open_page("errors", run=run, view="Confused pairs", missed=pair["missed"], gave=pair["gave"])
    listed = page.dataframe[1].value
    assert len(listed) == pair["total"]
    assert all(pair["missed"] in labels for labels in listed["missed"])
    kept = listed["spurious"] + " " + listed["hit"]
    assert all(pair["gave"] in labels for labels in kept)
    page = open_page("errors", run=run, view="Confused pairs", missed="<script>", gave=pair["gave"])
    assert len(page.error) == 1


@pytest.mark.slow
def test_runs_on_different_data_are_not_compared(filled: Path) -> None:
    first, path = run_of(filled, "tfidf").name, run_of(filled, "svm")
    write_json(path / "metrics.json", {**read(path / "metrics.json"), "fingerprint": "0" * 64})
    page = open_page("errors", run=first, second=path.name)
    assert page.selectbox(key="second").options == []
    assert "the data set has changed between the two" in said(page.warning)
    assert "different versions of the data set" in said(open_page("compare").warning)


@pytest.mark.slow
def test_runs_with_renamed_labels_are_not_compared(filled: Path) -> None:
    first, path = run_of(filled, "tfidf").name, run_of(filled, "svm")
    metrics = read(path / "metrics.json")
    write_json(path / "metrics.json", {**metrics, "labels": ["renamed", *metrics["labels"][1:]]})
    page = open_page("errors", run=first, second=path.name)
    assert "its labels have other names" in said(page.warning)
    page = open_page("compare", view="F1 by rank")
    assert "Left out, for their labels have other names" in said(page.warning)


@pytest.mark.slow
def test_rows_with_different_seeds_are_said(filled: Path) -> None:
    more = filled / "runs" / "synthetic-tfidf-db-s1-0123456789"
    shutil.copytree(run_of(filled, "tfidf"), more)
    write_json(more / "config.json", {**read(more / "config.json"), "seed": 1})
    page = open_page("compare")
    assert "Not every row has the same seeds: svm seed 0; every other row seeds 0, 1." in said(page.warning)
    page.toggle(key="fold").set_value(False).run()
    assert not page.warning


@pytest.mark.slow
def test_a_run_with_an_empty_test_part_is_shown_as_such(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    for part in PREDICTIONS:
        kept = read_predictions(folder.get_run(path.name), part)
        nothing = Predictions([], kept.rows[:0], kept.targets[:0], kept.scores[:0], kept.threshold)
        write_predictions(path, nothing, part)
    for view in ("Labels", "Trade-off", "Confused pairs", "Map", "Documents", "Slices", "Label errors"):
        open_page("errors", run=path.name, view=view)
    for view in ("Tables", "Parts of DB", "F1 by rank", "Label by label", "Cost"):
        open_page("compare", view=view)


@pytest.mark.slow
def test_label_errors_are_listed_with_their_weakness(filled: Path) -> None:
    page = open_page("errors", run=run_of(filled, "tfidf").name, view="Label errors")
    assert "least of all for a rare label" in said(page.warning)
    assert set(page.dataframe[0].value["maybe"]) <= {"wrong", "missing"}
    page = open_page("errors", run=run_of(filled, "svm").name, view="Label errors")
    assert "margins are no probabilities" in words(page)


@pytest.mark.slow
def test_pairs_are_listed_without_the_data_set(filled: Path) -> None:
    path = run_of(filled, "tfidf")
    metrics = read(path / "metrics.json")
    write_json(path / "metrics.json", {**metrics, "fingerprint": "0" * 64})
    page = open_page("errors", view="Confused pairs", run=path.name)
    pair = page.dataframe[0].value.iloc[0]
    page = open_page("errors", view="Confused pairs", run=path.name, missed=pair["missed"], gave=pair["gave"])
    assert "has changed since" in words(page)
    assert "title" not in page.dataframe[1].value
    assert len(page.dataframe[1].value) == pair["total"]


EVIL = "**bold** <b>x</b> $a$ [l](http://x)"


def test_names_stand_where_ids_stood_and_are_shown_as_they_are_written(filled: Path) -> None:
    tfidf, svm = run_of(filled, "tfidf").name, run_of(filled, "svm").name
    folder.save_about(tfidf, name=EVIL)
    page = open_page("errors", run=tfidf, second=svm)
    assert EVIL in page.selectbox(key="run").options
    assert page.selectbox(key="second").options == ["svm"]
    assert page.selectbox(key="second").value == svm
    assert f"Run: {EVIL}" in said(page.sidebar.caption).replace("\u2060", "")
    assert "<b>" not in str(page.sidebar.caption[-1].value).replace("\\<", "")
    page = open_page("try_it", runs=tfidf)
    assert set(page.multiselect(key="runs").options) == {EVIL, "svm"}
    page = open_page("launcher", run=svm)
    assert sorted(page.selectbox(key="run").options) == [EVIL, "svm"]
    page.selectbox(key="run").set_value(tfidf).run()
    assert tfidf in page.query_params["run"]
    assert {EVIL, "svm"} == set(page.dataframe[0].value["name"])
    page = open_page("compare", runs=tfidf)
    assert page.multiselect(key="runs").value == [tfidf]
    assert EVIL in page.selectbox(key="baseline").options


# Try it


def test_try_it_needs_a_run(cache: Path) -> None:
    assert "There is no trained model to try" in words(open_page("try_it"))


def test_a_text_is_labelled_by_several_runs_and_explained(filled: Path) -> None:
    names = [run_of(filled, model).name for model in ("tfidf", "svm")]
    page = open_page("try_it")
    page.multiselect(key="runs").set_value(names).run()
    corpus = sources.load(small("svm", None).data)
    row = corpus.parts["test"][0]
    page.text_area(key="text").set_value(corpus.text(int(row))).run()
    assert not page.exception
    table = page.dataframe[0].value
    predictions = read_predictions(folder.get_run(names[0]))
    kept = dict(zip(corpus.labels, predictions.scores[0].astype(float), strict=True))
    shown = table.set_index("label").iloc[:, 0]
    assert shown.to_dict() == pytest.approx({label: kept[label] for label in shown.index}, abs=2e-3)
    assert page.selectbox(key="why").value in table["label"].tolist()
    assert "Weight times TF-IDF" in words(page)


@pytest.mark.slow
def test_the_address_names_the_run_to_try(filled: Path) -> None:
    for model in ("svm", "tfidf"):
        page = open_page("try_it", runs=run_of(filled, model).name)
        assert page.multiselect(key="runs").value == [run_of(filled, model).name]
        assert not page.error


@pytest.mark.slow
def test_a_run_with_a_threshold_for_each_label_is_shown_and_tried(filled: Path) -> None:
    changes = [*SMALL, "train.threshold=per-label"]
    run = execute(plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=0, changes=changes))
    assert run.state == "finished", run.reason
    for view in ("Labels", "Documents", "Provenance"):
        page = open_page("errors", view=view, run=run.id, second=run_of(filled, "svm").name)
        assert not page.error
    assert any(value.startswith("One for each label") for value in page.dataframe[0].value["value"])
    limits = read_results(run)["threshold"]
    page = open_page("errors", run=run.id, at="my own")
    assert min(limits) <= page.select_slider(key=f"limit-{run.id}").value <= max(limits)
    assert not open_page("compare").error
    page = open_page("try_it", runs=run.id)
    corpus = sources.load(run.config.data)
    page.text_area(key="text").set_value(corpus.text(int(corpus.parts["test"][0]))).run()
    assert not page.exception
    predictions = read_predictions(run)
    above = predictions.scores[0].astype(float) > limits
    table = page.dataframe[0].value
    assert set(table["label"][table["given 1"]]) == {
        label for label, is_above in zip(corpus.labels, above, strict=True) if is_above
    }


@pytest.mark.slow
def test_a_text_is_labelled_by_the_rule_that_is_chosen_for_each_run(filled: Path) -> None:
    run = folder.get_run(run_of(filled, "tfidf").name)
    save_threshold_set(run, "all", rule="my own", values=-1.0, chosen_on="test")
    save_threshold_set(run, "broken", rule="my own", values=[0.5])
    page = open_page("try_it", runs=run.id, **{f"by.{run.id}": "all"})
    page.text_area(key="text").set_value("some words").run()
    assert page.dataframe[0].value["given 1"].all()
    assert "Chosen on test" in words(page)
    for name, number in (("top k (RCut)", 1), ("as trained", None), ("quiet", None)):
        page.selectbox(key=f"by.{run.id}").set_value(name).run()
        assert not page.exception
        assert "Chosen on test" not in words(page)
        assert number is None or page.dataframe[0].value["given 1"].sum() >= number
    page.selectbox(key=f"by.{run.id}").set_value("broken").run()
    assert "do not fit" in said(page.warning)


def test_a_run_without_weights_is_not_offered_and_a_damaged_one_is_said(filled: Path) -> None:
    (run_of(filled, "svm") / "model.safetensors").unlink()
    (run_of(filled, "tfidf") / "model.safetensors").write_bytes(b"no weights")
    page = open_page("try_it")
    assert len(page.multiselect(key="runs").options) == 1
    page.text_area(key="text").set_value("<script>alert(1)</script> **bold**").run()
    assert "its weights are damaged" in said(page.warning)
    assert not page.exception


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def runs(cache: Path) -> list[Path]:
    return sorted((cache / "runs").iterdir())


@pytest.mark.slow
def test_a_read_only_dashboard_shows_all_and_offers_no_action(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    for name in ("home", "launcher", "add_data", "compare", "errors", "try_it"):
        page = open_page(name)
        assert not page.exception
        assert not page.error
        labels = {button.label for button in page.button}
        assert not labels & {"Stop", "Resume", "Start again", "Keep", "Import", "Remove it", "Download (8 MB)"}
        assert not any(label.startswith("Launch") for label in labels)
        if name in ("launcher", "add_data"):
            assert "read-only" in page.info[0].value
    assert len(open_page("launcher").dataframe[0].value) == 2


def test_a_list_of_who_may_launch_without_a_sign_in_lets_nobody(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_LAUNCHERS", "*")
    page = open_page("launcher")
    assert "read-only for you" in page.info[0].value
    assert not [button.label for button in page.button if button.label.startswith("Launch")]
    with pytest.raises(UserError, match="You may look"):
        launch.delete(runs(filled)[0].name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compare", "errors", "explorer", "loss_weights"])
def test_an_address_without_a_view_shows_the_first(name: str, filled: Path) -> None:
    empty = dict.fromkeys(("view", "decide", "part", "average", "curve", "show", "quantity"), "")
    page = open_page(name, **empty, **({"data": "synthetic"} if name in ("explorer", "loss_weights") else {}))
    assert not page.exception

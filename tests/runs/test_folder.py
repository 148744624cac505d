import json
import os
import threading

import numpy as np
import pytest
import scipy.sparse as sp

from core.config.schema import LossConfig, RunConfig
from core.jobs import tickets
from core.metrics import kept_scores, label_sets, ranking, thresholds
from core.runs import folder, journal, layout, results
from core.runs.predictions import Predictions, read_predictions, write_predictions
from core.system.errors import UserError
from core.system.files import write_json
from core.system.locks import try_lock

CONFIG = RunConfig(loss=LossConfig(name="db"))


def make(name="reuters-tfidf-db-s0-0123456789", state="finished", **status):
    path = layout.runs_dir() / name
    path.mkdir(parents=True)
    write_json(path / "config.json", CONFIG.model_dump())
    write_json(path / "status.json", {"state": state, "submitted": 5.0, **status})
    return path


def predictions(labels=7, documents=11, sparse=False):
    rng = np.random.default_rng(0)
    targets = sp.csr_array(rng.random((documents, labels)) < 0.3)
    scores = rng.random((documents, labels)).astype(np.float16)
    return Predictions(
        ids=[str(row) for row in range(documents)],
        rows=np.arange(documents) + 3,
        targets=targets,
        scores=sp.csr_array(scores.astype(np.float32)) if sparse else scores,
        threshold=0.25,
    )


@pytest.mark.parametrize("run_id", ["../etc", "/etc/passwd", "a/b", "", "A", "a" * 200, "-a", "a\n", "a.b"])
def test_an_id_that_could_lead_elsewhere_is_refused(run_id):
    for action in (folder.get_run, folder.delete_run, folder.run_path):
        with pytest.raises(UserError, match="is no run id"):
            action(run_id)


def test_an_unknown_run_is_said():
    with pytest.raises(UserError, match="There is no run 'abc'"):
        folder.get_run("abc")


def test_the_same_question_has_the_same_name_and_another_one_another():
    name = folder.run_id(CONFIG, "f")
    assert name == folder.run_id(RunConfig.model_validate(CONFIG.model_dump()), "f")
    assert folder.RUN_ID.fullmatch(name)
    others = [folder.run_id(CONFIG.model_copy(update={"seed": 1}), "f"), folder.run_id(CONFIG, "g")]
    assert len({name, *others}) == 3


def test_a_setting_that_came_later_is_what_was_done_before_it_and_not_what_is_better_now():
    now = RunConfig.model_validate({"model": {"name": "transformer"}, "loss": {"name": "db"}})
    stored = now.model_dump()
    del stored["model"]["bias"]
    path = make(f"reuters-transformer-db-s0-{'0' * 10}")
    write_json(path / "config.json", stored)
    config = folder.get_run(path.name).config
    assert (now.model.bias, config.model.bias) == ("loss", "prior")
    assert config.model_copy(update={"model": now.model}) == now


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_an_ended_run_keeps_its_state_whether_or_not_a_process_lives(state):
    assert folder.get_run(make(state=state, reason="because").name).state == state


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_lives_exactly_as_long_as_its_lock_is_held(state):
    path = make(state=state)
    descriptor = try_lock(layout.alive_lock(path))
    assert folder.get_run(path.name).state == state
    with pytest.raises(UserError, match="stop it first"):
        folder.delete_run(path.name)
    os.close(descriptor)
    assert folder.get_run(path.name).state == "lost"
    layout.stop_flag(path).touch()
    assert folder.get_run(path.name).state == "stopped"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", ""),
        ("status.json", "[]"),
        ("status.json", '{"state": "dancing"}'),
        ("config.json", '{"seed": '),
        ("config.json", '{"sead": 3}'),
        ("config.json", "\udcff"),
    ],
)
def test_a_damaged_run_is_listed_with_its_problem_and_hides_no_other(file, content):
    make("good")
    bad = make("bad")
    bad.joinpath(file).write_text(content, encoding="utf-8", errors="surrogateescape")
    listed = {one.id: one for one in folder.list_folders()}
    assert isinstance(listed["good"], folder.Run)
    assert file in listed["bad"].problem
    assert folder.list_runs() == [listed["good"]]
    with pytest.raises(UserError, match=file):
        folder.get_run("bad")
    folder.delete_run("bad")
    assert folder.list_folders() == folder.list_runs() == [listed["good"]]


def test_a_damaged_run_keeps_its_state_and_what_is_written_on_it():
    path = make(state="running", device="cpu", user="ann", progress={"fraction": 0.5})
    path.joinpath("config.json").write_text("{")
    descriptor = try_lock(layout.alive_lock(path))
    folder.save_about(path.name, name="mine")
    found = folder.get_folder(path.name)
    assert isinstance(found, folder.Damaged)
    assert (found.state, found.device, found.user, found.about.name) == ("running", "cpu", "ann", "mine")
    assert (found.progress, found.submitted) == ({"fraction": 0.5}, 5.0)
    with pytest.raises(UserError, match="stop it first"):
        folder.delete_run(path.name)
    os.close(descriptor)
    assert folder.get_folder(path.name).state == "lost"
    path.joinpath("status.json").write_text("{")
    found = folder.get_folder(path.name)
    assert (found.state, found.why) == ("failed", "Its status file is damaged: delete the run and train it again.")
    assert "config.json" in found.problem, "the settings' damage is told first"


def test_no_folder_means_no_runs():
    assert folder.list_folders() == folder.list_runs() == []


def test_history_leaves_out_the_line_that_is_being_written():
    path = make()
    for epoch in (1, 2):
        journal.append_history(path, {"epoch": epoch})
    with path.joinpath("history.jsonl").open("a") as file:
        file.write('{"epoch": 3, "val')
    run = folder.get_run(path.name)
    assert [line["epoch"] for line in journal.read_history(run.path)] == [1, 2]
    assert journal.read_history(folder.get_run(make("empty").name).path) == []


def test_the_log_ends_with_the_last_lines():
    path = make()
    path.joinpath("log.txt").write_text("\n".join(f"line {n}" for n in range(50_000)))
    assert journal.read_log(folder.get_run(path.name).path, last=2) == ["line 49998", "line 49999"]


@pytest.mark.parametrize("sparse", [False, True])
def test_predictions_read_back_as_written(sparse):
    path, wrote = make(), predictions(sparse=sparse)
    write_predictions(path, wrote)
    read = read_predictions(folder.get_run(path.name))
    assert (read.ids, read.threshold) == (wrote.ids, wrote.threshold)
    np.testing.assert_array_equal(read.rows, wrote.rows)
    np.testing.assert_array_equal(read.targets.toarray(), wrote.targets.toarray())
    dense = [x.scores.toarray() if sparse else x.scores for x in (read, wrote)]
    np.testing.assert_array_equal(*dense)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_predictions_cut_short_are_said_to_be_damaged(keep):
    path = make()
    write_predictions(path, predictions())
    file = path / "predictions.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"predictions\.npz is damaged"):
        read_predictions(folder.get_run(path.name))


def test_scores_are_asked_of_finished_runs_alone():
    with pytest.raises(UserError, match="it is failed"):
        results.read_metrics(folder.get_run(make(state="failed").name))
    path = make("cut")
    path.joinpath("metrics.json").write_text(json.dumps({"threshold": 1}))
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        results.read_metrics(folder.get_run("cut"))


def test_above_a_thousand_labels_the_best_scores_are_kept_and_truth_has_no_part_in_it():
    rng = np.random.default_rng(0)
    scores = rng.random((9, kept_scores.DENSE_LABELS + 1), dtype=np.float32)
    kept = kept_scores.keep_scores([scores[:5], scores[5:]], scores.shape[1])
    for row in range(9):
        best = set(np.argsort(-scores[row])[: kept_scores.TOP_K])
        assert set(kept.indices[kept.indptr[row] : kept.indptr[row + 1]]) == best
    np.testing.assert_array_equal(kept.data, kept.data.astype(np.float16))
    assert kept_scores.keep_scores([], scores.shape[1]).shape == (0, scores.shape[1])


def test_scores_by_chance_rank_and_find_by_chance_also_where_few_are_kept():
    rng = np.random.default_rng(0)
    scores = rng.random((400, 1500), dtype=np.float32)
    targets = sp.csr_array(rng.random(scores.shape) < 0.004)
    kept = kept_scores.keep_scores([scores], 1500)
    assert ranking.mean_average_precision(targets, kept) < 0.03
    assert ranking.mean_average_precision(targets, kept) < ranking.mean_average_precision(targets, scores)
    for rule in ("exact", "scut"):
        predicted = thresholds.apply(kept, thresholds.fit(targets, kept, rule=rule))
        assert label_sets.macro_f1(targets, predicted) < 0.2, rule


def test_tickets_are_served_in_order_and_the_dead_do_not_block():
    living, dead = make("living", state="queued"), make("dead", state="queued")
    descriptor = try_lock(layout.alive_lock(living))
    first, gone, last = (tickets.draw_ticket("cpu", name) for name in ("living", "dead", "last"))
    assert tickets.draw_ticket("cpu", "living") == first
    assert (tickets.tickets_before(first), tickets.tickets_before(last)) == (0, 1)
    assert not gone.exists()
    os.close(descriptor)
    assert tickets.tickets_before(last) == 0
    assert dead.exists()


def test_what_people_write_on_a_run_is_kept_beside_it_and_checked():
    run = folder.get_run(make().name)
    assert run.about == folder.About()
    folder.save_about(run.id, name="first", tags=["a", "b"])
    folder.save_about(run.id, pinned=True)
    found = folder.get_run(run.id).about
    assert (found.name, found.tags, found.pinned, found.archived) == ("first", ("a", "b"), True, False)
    for wrong in ({"name": "x" * 81}, {"tags": [""]}, {"tags": ["x"] * 21}, {"titel": "x"}):
        with pytest.raises(UserError):
            folder.save_about(run.id, **wrong)
    assert folder.get_run(run.id).about == found
    (run.path / "about.json").write_text("{")
    assert folder.get_run(run.id).about == folder.About()
    assert folder.disk_use(run.path) == sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file())


def test_the_last_whole_line_is_read_of_a_file_of_any_length():
    run = folder.get_run(make(state="running").name)
    assert journal.read_last(run.path, "history.jsonl") == {}
    for epoch in range(3000):
        journal.append_history(run.path, {"epoch": epoch, "filler": "x" * 50})
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"epoch": 77')
    assert journal.read_last(run.path, "history.jsonl")["epoch"] == 2999 == journal.read_history(run.path)[-1]["epoch"]
    (run.path / "history.jsonl").write_text("nonsense\n")
    assert journal.read_last(run.path, "history.jsonl") == {}


def test_a_process_whose_run_has_just_ended_is_waited_for_and_one_that_stays_is_not(monkeypatch):
    path = make()
    lock = try_lock(layout.alive_lock(path))
    monkeypatch.setattr(folder, "ENDING_SECONDS", 0.1)
    with pytest.raises(UserError, match="stop it first"):
        folder.delete_run(path.name)
    monkeypatch.setattr(folder, "ENDING_SECONDS", 30.0)
    ending = threading.Timer(0.2, os.close, [lock])
    ending.start()
    folder.delete_run(path.name)
    ending.join()
    assert not path.exists()

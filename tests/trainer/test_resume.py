"""Training that is cut off at any moment and resumed ends where it would have ended."""

import os
import random
import shutil
import threading
import time

import numpy as np
import pytest

from core.data import sources
from core.jobs import launch, training, worker
from core.runs import folder, journal, layout
from core.system.errors import UserError
from core.system.files import write_json
from core.trainer import checkpoint, loop
from core.trainer.checkpoint import list_checkpoints
from tests.helpers.training import (
    MODELS,
    SIZES,
    StopInEvaluation,
    execute_until,
    kill_and_resume,
    outcome,
    prepare,
    same,
    stopped,
)


@pytest.mark.slow
@pytest.mark.parametrize("model", [*MODELS, "transformer"])
def test_stopped_at_several_steps_and_resumed_it_is_the_run_that_was_never_stopped(
    model, tiny_encoder, monkeypatch, tmp_path
):
    changes = MODELS.get(model) or [f"model.encoder={tiny_encoder}", "model.max_length=24", "train.precision=fp32"]
    path = prepare(model, changes)
    worker.execute(path)
    undisturbed = outcome(path)
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    path = prepare(model, changes, checkpoint_minutes=5.0)
    for step in (1, 7, 11, 4):
        execute_until(path, step)
    worker.execute(path)
    assert not folder.checkpoint_dir(path).exists()
    same(outcome(path), undisturbed)


@pytest.mark.slow
def test_stopped_when_an_epoch_waits_for_its_evaluation_it_is_evaluated_first_when_resumed(
    monkeypatch, tmp_path, caplog
):
    path = prepare("textcnn", SIZES)
    worker.execute(path)
    undisturbed, last = outcome(path), journal.read_history(folder.get_run(path.name).path)[0]["step"]
    for during in ("last step", "evaluation"):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / during))
        path = prepare("textcnn", SIZES, checkpoint_minutes=5.0)
        if during == "last step":
            execute_until(path, last)
        else:
            worker.execute(path, StopInEvaluation(path, last))
            layout.stop_flag(path).unlink()
        assert folder.get_run(path.name).state == "stopped"
        assert not journal.read_history(folder.get_run(path.name).path)
        with caplog.at_level("INFO", "tailscope"):
            worker.execute(path)
        assert f"taken up from epoch 1, step {last}" in caplog.text
        same(outcome(path), undisturbed)
        caplog.clear()


@pytest.mark.slow
def test_a_run_in_a_long_step_or_checkpoint_is_left_alone_when_it_is_stopped(monkeypatch):
    def slowly(function, seconds):
        def slowed(*args, **settings):
            time.sleep(seconds)
            return function(*args, **settings)

        return slowed

    monkeypatch.setattr(loop, "take_step", slowly(loop.take_step, 0.6))
    monkeypatch.setattr(checkpoint, "write_checkpoint", slowly(checkpoint.write_checkpoint, 2.0))
    path = prepare("textcnn", [*SIZES, "train.epochs=50"], checkpoint_minutes=5.0)
    thread = threading.Thread(target=worker.execute, args=(path,))
    thread.start()
    while not journal.read_steps(folder.get_run(path.name).path):
        time.sleep(0.05)
    assert launch.stop(path.name, grace=0.2).state == "stopped"
    thread.join()
    said = [event["what"] for event in journal.read_events(folder.get_run(path.name).path)]
    assert not [what for what in said if "SIG" in what], said
    assert list_checkpoints(folder.checkpoint_dir(path))


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_is_the_run_that_was_never_killed(monkeypatch, tmp_path):
    # So many steps that none of the kills comes after the last, however late it is.
    path = prepare("textcnn", [*SIZES, "train.epochs=12", "train.patience=12"])
    worker.execute(path)
    expected, config = outcome(path), folder.get_run(path.name).config
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    run, killed = kill_and_resume(config, kills=5, chance=random.Random(0))
    assert killed == 5
    assert "taken up from epoch" in "\n".join(journal.read_log(run.path, 1000))
    same(outcome(run.path), expected)


def test_a_checkpoint_cut_short_gives_way_to_the_one_before(caplog):
    path = stopped()
    older, newest = list_checkpoints(folder.checkpoint_dir(path))
    os.truncate(newest / "state.safetensors", 1000)
    with caplog.at_level("INFO", "tailscope"):
        worker.execute(path)
    assert f"checkpoint {newest.name} is damaged" in caplog.text
    epoch, step = (int(word) for word in older.name.split("-"))
    assert f"taken up from epoch {epoch}, step {step}" in caplog.text
    assert folder.get_run(path.name).state == "finished"


def test_other_settings_and_other_data_are_refused_by_name():
    path = stopped()
    config, corpus = folder.get_run(path.name).config, sources.load(folder.get_run(path.name).config.data)
    other = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": 0.5})})
    key = {"config": config.model_dump(), "fingerprint": corpus.fingerprint}
    changed = {"config": other.model_dump(), "fingerprint": "else"}
    words = training.describe_changes(key, changed)
    assert "train.learning_rate changed from 0.002 to 0.5" in words
    assert "the data changed" in words
    write_json(path / "config.json", other.model_dump())
    shutil.copytree(path, folder.run_path(folder.run_id(other, corpus.fingerprint)))
    with pytest.raises(UserError, match=r"train\.learning_rate changed"):
        worker.execute(folder.run_path(folder.run_id(other, corpus.fingerprint)))


@pytest.mark.slow
def test_a_disk_that_fills_during_a_checkpoint_leaves_the_one_before(monkeypatch):
    path = stopped(step=12)
    before = [place.name for place in list_checkpoints(folder.checkpoint_dir(path))]

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("core.trainer.checkpoint.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            worker.execute(path)
    run = folder.get_run(path.name)
    assert (run.state, "disk is full" in run.reason) == ("failed", True)
    assert [place.name for place in list_checkpoints(folder.checkpoint_dir(path))] == before
    launch.resume(path.name)
    assert [now.state for now in launch.watch(path.name)][-1] == "finished"


@pytest.mark.slow
def test_only_a_run_that_ended_early_can_be_resumed():
    path = stopped()
    assert launch.resume(path.name).state == "queued"
    time.sleep(0.1)
    assert [now.state for now in launch.watch(path.name)][-1] == "finished"
    with pytest.raises(UserError, match="cannot be resumed: it is finished"):
        launch.resume(path.name)


def test_checkpoints_come_by_steps_as_well_as_by_time():
    path = prepare("textcnn", [*SIZES, "train.checkpoint_steps=4"], checkpoint_minutes=5.0)
    execute_until(path, 7)
    assert [int(kept.name[6:]) for kept in list_checkpoints(folder.checkpoint_dir(path))] == [4, 7]


@pytest.mark.slow
def test_two_processes_with_a_share_of_the_transformer_each_train_what_one_trains(
    steady_encoder, monkeypatch, tmp_path
):
    changes = [
        f"model.encoder={steady_encoder}",
        "model.dropout=0",
        "train.clip=0.5",
        "train.max_tokens=30",
        "train.batch_size=5",
        "train.epochs=2",
        "data.synthetic.documents=120",
    ]
    changes += ["model.max_length=24", "train.precision=fp32", "train.learning_rate=0.001"]
    found = []
    for kind in ([], ["train.processes=2", "train.shard=true"]):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / str(len(kind))))
        path = prepare("transformer", [*changes, *kind], checkpoint_minutes=5.0)
        kept = []
        for step in (5, 12, 3) if kind else ():  # in the first epoch, at its end, and after that was scored
            execute_until(path, step)
            kept.append(list_checkpoints(folder.checkpoint_dir(path))[-1].name)
        assert kept == (["00001-0000005", "00001-0000017", "00002-0000002"] if kind else [])
        worker.execute(path)
        found.append(outcome(path))
    np.testing.assert_allclose(found[0][0].astype(np.float64), found[1][0].astype(np.float64), atol=2e-3)
    for key in ("train_loss", "gradient_norm"):
        np.testing.assert_allclose(*([line[key] for line in history] for _, _, history in found), rtol=1e-3)


@pytest.mark.slow
def test_two_processes_train_what_one_trains(monkeypatch, tmp_path):
    found = []
    for processes in (1, 2):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / str(processes)))
        path = prepare("textcnn", [*SIZES, "model.dropout=0", f"train.processes={processes}"], checkpoint_minutes=5.0)
        worker.execute(path)
        found.append(outcome(path))
    np.testing.assert_allclose(found[0][0].astype(np.float64), found[1][0].astype(np.float64), atol=0.02)
    losses = [[line["train_loss"] for line in history] for _, _, history in found]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)

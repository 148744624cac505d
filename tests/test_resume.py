"""Training that is cut off at any moment and taken up again ends where it would have ended."""

import itertools
import os
import random
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from core import data, fitting, jobs, store, trainer, worker
from core.config import UserError
from core.files import read_json, write_json
from tests.helpers.runs import make_folder

SMALL = ["data.synthetic.documents=240", "data.synthetic.labels=8", "train.epochs=3", "train.batch_size=16"]
SIZES = ["model.embedding=12", "model.filters=6", "model.max_length=24"]
MODELS = {
    "tfidf": ["model.hidden=8", "model.dropout=0.3"],
    "textcnn": SIZES,
    "bigru-lwan": ["model.embedding=12", "model.hidden=6", "model.max_length=24", "model.head=label-graph"],
}


def prepare(model, changes, checkpoint_minutes=0.0):
    """A run folder as `core.jobs` makes it, without a process."""
    changes = [*SMALL, *changes, f"train.checkpoint_minutes={checkpoint_minutes}"]
    config = jobs.make_config(data="synthetic", model=model, loss="db", seed=1, changes=changes)
    return make_folder(config)


def outcome(path):
    run = store.get_run(path.name)
    history = [{k: v for k, v in line.items() if k not in TIMED} for line in store.read_history(run)]
    return store.read_predictions(run).scores, store.read_metrics(run)["test"], history


TIMED = ("seconds", "documents_per_second", "memory")


def same(left, right):
    np.testing.assert_array_equal(left[0], right[0])
    assert left[1:] == right[1:]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_stopped_at_several_steps_and_resumed_it_is_the_run_that_was_never_stopped(model, monkeypatch, tmp_path):
    path = prepare(model, MODELS[model])
    worker.execute(path)
    undisturbed = outcome(path)
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    path = prepare(model, MODELS[model], checkpoint_minutes=5.0)
    for step in (1, 7, 11, 4):
        execute_until(path, step)
    worker.execute(path)
    assert not store.checkpoint_dir(path).exists()
    same(outcome(path), undisturbed)


@pytest.mark.slow
def test_stopped_when_an_epoch_waits_for_its_evaluation_it_is_evaluated_first_when_resumed(
    monkeypatch, tmp_path, caplog
):
    path = prepare("textcnn", SIZES)
    worker.execute(path)
    undisturbed, last = outcome(path), store.read_history(store.get_run(path.name))[0]["step"]
    for during in ("last step", "evaluation"):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / during))
        path = prepare("textcnn", SIZES, checkpoint_minutes=5.0)
        if during == "last step":
            execute_until(path, last)
        else:
            with monkeypatch.context() as patch:
                patch.setattr(fitting, "predict", stopping(path, fitting.predict))
                worker.execute(path)
            store.stop_flag(path).unlink()
        assert store.get_run(path.name).state == "stopped"
        assert not store.read_history(store.get_run(path.name))
        with caplog.at_level("INFO", "tailscope"):
            worker.execute(path)
        assert f"taken up from epoch 1, step {last}" in caplog.text
        same(outcome(path), undisturbed)
        caplog.clear()


def stopping(path, scored):
    """Somebody asks a run to stop while it is evaluated."""

    def batches(*args, **settings):
        store.stop_flag(path).touch()
        yield from scored(*args, **settings)

    return batches


@pytest.mark.slow
def test_a_run_in_a_long_step_or_checkpoint_is_left_alone_when_it_is_stopped(monkeypatch):
    def slowly(function, seconds):
        def slowed(*args, **settings):
            time.sleep(seconds)
            return function(*args, **settings)

        return slowed

    monkeypatch.setattr("core.trainer._step", slowly(trainer._step, 0.6))
    monkeypatch.setattr(fitting, "write_checkpoint", slowly(trainer.write_checkpoint, 2.0))
    path = prepare("textcnn", [*SIZES, "train.epochs=50"], checkpoint_minutes=5.0)
    training = threading.Thread(target=worker.execute, args=(path,))
    training.start()
    while not store.read_steps(store.get_run(path.name)):
        time.sleep(0.05)
    assert jobs.stop(path.name, grace=0.2).state == "stopped"
    training.join()
    said = [event["what"] for event in store.read_events(store.get_run(path.name))]
    assert not [what for what in said if "SIG" in what], said
    assert fitting.checkpoints(store.checkpoint_dir(path))


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_is_the_run_that_was_never_killed(tiny_encoder, monkeypatch, tmp_path):
    changes = [f"model.encoder={tiny_encoder}", "model.max_length=24", "train.precision=fp32"]
    path = prepare("transformer", changes)
    worker.execute(path)
    expected, config = outcome(path), store.get_run(path.name).config
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    run, killed = kill_and_resume(config, kills=5, chance=random.Random(0))
    assert killed == 5
    assert "taken up from epoch" in "\n".join(store.read_log(run, 1000))
    same(outcome(run.path), expected)


def finished(run):
    return [now.state for now in jobs.watch(run.id)][-1]


def kill_and_resume(config, *, kills, chance):
    """Submits a run that writes a checkpoint after every step, kills it so many times, 1 to 5 checkpoints after it
    began or was taken up, and lets it finish: the run, and how often it was killed."""
    run, killed = jobs.submit(config), 0
    for _ in range(kills):
        reached = [path.name for path in fitting.checkpoints(store.checkpoint_dir(run.path))]
        wanted = chance.randint(1, 5)
        for now in jobs.watch(run.id, every=0.005):
            more = {path.name for path in fitting.checkpoints(store.checkpoint_dir(run.path))} - set(reached)
            reached += sorted(more)
            wanted -= len(more)
            if wanted <= 0 and now.state == "running":
                os.killpg(read_json(run.path / "process.json")["pid"], signal.SIGKILL)
                break
        for now in jobs.watch(run.id, every=0.01):
            last = now
        if last.state == "finished":
            break
        assert last.state == "lost"
        killed += 1
        jobs.resume(run.id)
    assert finished(run) == "finished", store.read_log(run)
    return run, killed


def stopped(model="textcnn", step=20):
    """A run that was stopped after so many steps, with its checkpoints."""
    path = prepare(model, MODELS[model])
    execute_until(path, step)
    return path


def execute_until(path, step):
    """Trains a run and stops it so many steps on."""
    shown, counted = worker._Reporter.maybe, itertools.count(1)

    def maybe(self, phase, fraction, **more):
        if phase == "training" and next(counted) == step:
            raise fitting.Stopped
        shown(self, phase, fraction, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker._Reporter, "maybe", maybe)
        worker.execute(path)
    assert store.get_run(path.name).state == "stopped"


def test_a_checkpoint_cut_short_gives_way_to_the_one_before(caplog):
    path = stopped()
    older, newest = fitting.checkpoints(store.checkpoint_dir(path))
    os.truncate(newest / "state.safetensors", 1000)
    with caplog.at_level("INFO", "tailscope"):
        worker.execute(path)
    assert f"checkpoint {newest.name} is damaged" in caplog.text
    epoch, step = (int(word) for word in older.name.split("-"))
    assert f"taken up from epoch {epoch}, step {step}" in caplog.text
    assert store.get_run(path.name).state == "finished"


def test_other_settings_and_other_data_are_refused_by_name():
    path = stopped()
    config, corpus = store.get_run(path.name).config, data.load(store.get_run(path.name).config.data)
    other = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": 0.5})})
    key = {"config": config.model_dump(), "fingerprint": corpus.fingerprint}
    changed = {"config": other.model_dump(), "fingerprint": "else"}
    words = fitting._different(key, changed)
    assert "train.learning_rate changed from 0.002 to 0.5" in words
    assert "the data changed" in words
    write_json(path / "config.json", other.model_dump())
    shutil.copytree(path, store.run_path(store.run_id(other, corpus.fingerprint)))
    with pytest.raises(UserError, match=r"train\.learning_rate changed"):
        worker.execute(store.run_path(store.run_id(other, corpus.fingerprint)))


@pytest.mark.slow
def test_a_disk_that_fills_during_a_checkpoint_leaves_the_one_before(monkeypatch):
    path = stopped(step=12)
    before = [place.name for place in fitting.checkpoints(store.checkpoint_dir(path))]

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("core.trainer.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            worker.execute(path)
    run = store.get_run(path.name)
    assert (run.state, "disk is full" in run.reason) == ("failed", True)
    assert [place.name for place in fitting.checkpoints(store.checkpoint_dir(path))] == before
    jobs.resume(path.name)
    assert [now.state for now in jobs.watch(path.name)][-1] == "finished"


@pytest.mark.slow
def test_only_a_run_that_ended_early_can_be_resumed():
    path = stopped()
    assert jobs.resume(path.name).state == "queued"
    time.sleep(0.1)
    assert [now.state for now in jobs.watch(path.name)][-1] == "finished"
    with pytest.raises(UserError, match="cannot be resumed: it is finished"):
        jobs.resume(path.name)


def test_checkpoints_come_by_steps_as_well_as_by_time():
    path = prepare("textcnn", [*SIZES, "train.checkpoint_steps=4"], checkpoint_minutes=5.0)
    execute_until(path, 7)
    assert [int(kept.name[6:]) for kept in fitting.checkpoints(store.checkpoint_dir(path))] == [4, 7]


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
            kept.append(fitting.checkpoints(store.checkpoint_dir(path))[-1].name)
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

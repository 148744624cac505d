"""Runs that are sent to a tracker as well: a real TensorBoard file."""

import pytest
from tensorboardX.proto.event_pb2 import Event

from core.data import sources
from core.jobs import launch, trackers, worker
from core.runs import journal, plan
from core.runs.folder import get_run, list_folders, run_id, run_path
from core.system.errors import UserError
from core.system.files import write_json

SMALL = ["data.synthetic.documents=240", "data.synthetic.labels=8", "train.epochs=3", "train.patience=3"]


def config(*changes):
    return plan.make_config(data="synthetic", model="tfidf", loss="db", seed=0, changes=[*SMALL, *changes])


def scalars(folder):
    """Values by tag of all event files: records of length, check, message, check."""
    found = {}
    for file in folder.rglob("events.out.tfevents*"):
        content, at = file.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_the_history_of_a_run_stands_in_tensorboard_as_well_and_its_name_and_scores_do_not_change():
    plain, sent = config(), config("track=tensorboard")
    fingerprint = sources.load(plain.data).fingerprint
    assert run_id(plain, fingerprint) == run_id(sent, fingerprint)
    path = run_path(run_id(sent, fingerprint))
    path.mkdir(parents=True)
    write_json(path / "config.json", sent.model_dump())
    write_json(path / "status.json", {"state": "queued", "submitted": 1.0, "device": "cpu", "command": "by hand"})
    worker.execute(path)
    run = get_run(path.name)
    assert run.state == "finished", run.why
    found = scalars(path / "tensorboard")
    history = journal.read_history(run.path)
    wanted = [entry["validation"]["all"]["micro_f1"] for entry in history]
    assert [value for _, value in found["validation/all/micro_f1"]] == pytest.approx(wanted), list(found)
    steps = [step for step, _ in found["validation/all/micro_f1"]]
    assert steps == [steps[0] * entry["epoch"] for entry in history]
    assert "gradient_norm" in found


@pytest.mark.parametrize(("track", "package"), [("mlflow", "mlflow"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_said_before_anything_starts(track, package):
    if trackers.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=f"pip install {package}"):
        launch.submit(config(f"track={track}"))
    assert not list_folders(published=False)


def test_a_tracker_that_does_not_exist_is_a_sentence():
    with pytest.raises(UserError, match="track"):
        config("track=notebook")

"""Runs that a test makes by hand, in its own process or in real ones, and stops or kills where it likes."""

import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.config.defaults import MODELS as KNOWN
from core.config.schema import RunConfig
from core.jobs import launch, worker
from core.jobs.reporter import StatusReporter
from core.runs import folder, journal, layout, plan, predictions, results
from core.runs.folder import Run
from core.system.errors import Stopped
from core.system.files import read_json
from core.trainer.checkpoint import list_checkpoints
from tests.helpers.runs import execute, make_folder

SMALL = ["data.synthetic.documents=240", "data.synthetic.labels=8", "train.epochs=3", "train.batch_size=16"]
LARGER = ["data.synthetic.documents=400", "data.synthetic.labels=12", "model.hidden=16", "train.epochs=4"]
"""For `train_here`."""
SIZES = ["model.embedding=12", "model.filters=6", "model.max_length=24"]
MODELS = {
    "tfidf": ["model.hidden=8", "model.dropout=0.3", "train.average=0.5"],
    "textcnn": SIZES,
    "bigru-lwan": [
        *("model.embedding=12", "model.hidden=6", "model.max_length=24", "model.head=label-graph"),
        *("model.wide=true", "train.average=0.5", "train.skip_below=0.3"),
    ],
    "ocd": ["model.embedding=12", "model.hidden=6", "model.max_length=24"],
}
TIMED = ("seconds", "documents_per_second", "memory")
"""Entries of the history that differ between two runs of the same numbers."""


def prepare(model: str, changes: list[str], checkpoint_minutes: float = 0.0) -> Path:
    """The folder of a small run with loss `db`, or its own; by default it writes a checkpoint after every step."""
    changes = [*SMALL, *changes, f"train.checkpoint_minutes={checkpoint_minutes}"]
    loss = None if KNOWN[model].own_loss else "db"
    return make_folder(plan.make_config(data="synthetic", model=model, loss=loss, seed=1, changes=changes))


class StopAtStep(StatusReporter):
    """Finds a request to stop when so many steps have been trained."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path)
        self.steps = steps

    def report_if_due(self, phase: str, fraction: float, **more: object) -> None:
        self.steps -= phase == "training"
        if phase == "training" and self.steps == 0:
            raise Stopped
        super().report_if_due(phase, fraction, **more)


class StopInEvaluation(StatusReporter):
    """Finds a request to stop while the network is scored after so many steps: it is made at the first batch."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path)
        self.steps = steps

    def report_if_due(self, phase: str, fraction: float, **more: object) -> None:
        super().report_if_due(phase, fraction, **more)
        self.steps -= phase == "training"

    def raise_if_stopped(self) -> None:
        if self.steps == 0:
            layout.stop_flag(self.path).touch()
        super().raise_if_stopped()


def execute_until(path: Path, step: int) -> None:
    """Trains a run in this process and stops it so many steps on."""
    worker.execute(path, StopAtStep(path, step))
    assert folder.get_run(path.name).state == "stopped"


def outcome(path: Path) -> tuple[np.ndarray, dict, list[dict]]:
    """What a finished run has found: test scores, test metrics, and its history without what was timed."""
    run = folder.get_run(path.name)
    history = [{k: v for k, v in line.items() if k not in TIMED} for line in journal.read_history(run.path)]
    return predictions.read_predictions(run).scores, results.read_metrics(run)["test"], history


def same(left: tuple, right: tuple) -> None:
    """Asserts that two outcomes are the same to the last bit."""
    np.testing.assert_array_equal(left[0], right[0])
    assert left[1:] == right[1:]


def last_state(run: Run) -> str:
    """The state of a run when it has ended."""
    return [now.state for now in launch.watch(run.id)][-1]


def kill_and_resume(config: RunConfig, *, kills: int, chance: random.Random) -> tuple[Run, int]:
    """Submits a run that writes a checkpoint after every step, kills it so many times, 1 to 5 checkpoints after it
    began or was resumed, and lets it finish: the run, and how often it was killed."""
    run, killed = launch.submit(config), 0
    for _ in range(kills):
        reached = [path.name for path in list_checkpoints(folder.checkpoint_dir(run.path))]
        wanted = chance.randint(1, 5)
        for now in launch.watch(run.id, every=0.005):
            more = {path.name for path in list_checkpoints(folder.checkpoint_dir(run.path))} - set(reached)
            reached += sorted(more)
            wanted -= len(more)
            if wanted <= 0 and now.state == "running":
                os.killpg(read_json(run.path / "process.json")["pid"], signal.SIGKILL)
                break
        for now in launch.watch(run.id, every=0.01):
            last = now
        if last.state == "finished":
            break
        assert last.state == "lost"
        killed += 1
        launch.resume(run.id)
    assert last_state(run) == "finished", journal.read_log(run.path)
    return run, killed


def stopped(model: str = "textcnn", step: int = 20) -> Path:
    """A run that was stopped after so many steps, with its checkpoints."""
    path = prepare(model, MODELS[model])
    execute_until(path, step)
    return path


def train_here(model: str = "tfidf", loss: str | None = "db", seed: int = 0, changes: Sequence[str] = LARGER) -> Run:
    """A whole run in this process."""
    (config,) = plan.grid(
        data="synthetic", models=[model], losses=[loss] if loss else [], seeds=[seed], changes=changes
    )
    return execute(config)

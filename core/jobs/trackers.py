"""What a run writes into its history, sent to TensorBoard, MLflow or W&B as well, by the trackers of accelerate.

They write into the run's folder; nothing leaves the machine unless `MLFLOW_TRACKING_URI` or `WANDB_MODE=online` asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.config.parse import walk
from core.config.schema import RunConfig
from core.system.errors import UserError

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "mlflow": ("mlflow",), "wandb": ("wandb",)}
"""Packages any of which a tracker needs; none is installed with this one."""
Log = Callable[[Mapping[str, Any], int], None]


def check(track: str) -> None:
    """Raises `UserError` where the packages of a tracker are missing."""
    if track in PACKAGES and not any(find_spec(package) for package in PACKAGES[track]):
        name = PACKAGES[track][-1]
        raise UserError(f"track={track} needs the package {name}: `pip install {name}`, or leave track out.")


@contextmanager
def tracking(config: RunConfig, path: Path) -> Iterator[Log]:
    """Yields a function that sends figures by name at a step; it does nothing where `track` is none.

    Args:
        config: the run's settings; they are sent first.
        path: its folder.

    Raises:
        UserError: the tracker's package is missing.
    """
    if config.track == "none":
        yield _send_nothing
        return
    check(config.track)
    from accelerate import PartialState
    from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

    PartialState(cpu=True)  # the trackers read from it which process is the first; it must not take a GPU
    if config.track == "tensorboard":
        tracker = TensorBoardTracker("tensorboard", logging_dir=path)
    elif config.track == "mlflow":
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{path.resolve() / 'mlflow.db'}")
        tracker = MLflowTracker("tailscope", logging_dir=str(path / "mlflow"), run_name=path.name)
    else:
        os.environ.setdefault("WANDB_MODE", "offline")
        tracker = WandBTracker("tailscope", name=path.name, dir=str(path))
    tracker.start()
    tracker.store_init_configuration(dict(walk(config.model_dump(exclude_none=True))))
    try:
        yield lambda values, step: tracker.log(dict(figures(values)), step=step)
    finally:
        tracker.finish()
        PartialState._reset_state()  # the next run of this process may be one of several


def _send_nothing(values: Mapping[str, Any], step: int) -> None:
    """Sends nothing."""


def figures(entry: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line of `history.jsonl` or `steps.jsonl`, named as `validation/tail/macro_f1`."""
    for key, value in walk(entry):
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in ("time", "step", "steps"):
            yield key.replace(".", "/"), value

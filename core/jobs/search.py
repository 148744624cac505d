"""Search for a learning rate and the constants of a loss: each trial is a run, judged on validation."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.config.defaults import LOSS_CONSTANTS
from core.config.parse import parse
from core.config.schema import RunConfig
from core.jobs import launch
from core.losses.presets import CONSTANTS
from core.runs import journal
from core.runs.folder import LIVE
from core.system.errors import UserError
from core.system.places import cache_dir

if TYPE_CHECKING:
    import optuna

RATE_SPAN = 10.0
"""The learning rate is searched from its default over this to its default times this."""


@dataclass(frozen=True)
class Trial:
    """One run of a search.

    Attributes:
        state: complete, pruned or fail.
        score: the best that its epochs reached on validation; None if none was scored.
    """

    number: int
    state: str
    score: float | None
    settings: dict[str, float]
    run: str


def search(
    base: RunConfig,
    *,
    trials: int,
    metric: str,
    minutes: float | None = None,
    report: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Runs trials until there are so many, those of earlier calls with the same settings counted, or time is over.

    Args:
        base: what all trials share; its loss's constants that are set stay as they are.
        trials: how many there are in the end.
        metric: `micro_f1`, `macro_f1` or `tail_macro_f1`, on validation: also what decides each run's best epoch.
        minutes: no trial begins after them.
        report: called with each trial that has ended.

    Returns:
        All trials, the best first.

    Raises:
        UserError: a model without a loss, or a run cannot be started.
    """
    import optuna

    if base.loss is None:
        raise UserError(f"Model '{base.model.name}' has no learning rate to search: choose another model and a loss.")
    loss = base.loss.name
    base = base.model_copy(update={"train": base.train.model_copy(update={"metric": metric})})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The study: one file for the same settings, which later calls continue.
    folder = cache_dir() / "search"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(json.dumps(base.model_dump(), sort_keys=True).encode()).hexdigest()[:10]
    name = f"{base.data.name}-{base.model.name}-{loss}-{key}"
    study = optuna.create_study(
        storage=f"sqlite:///{folder / name}.db",
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    for left in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # of a search that was killed
    # Trials, one after the other; the sampler's seed depends on how many there are, so that none is drawn twice.
    began = time.monotonic()
    while len(ended := _ended(study)) < trials and (minutes is None or time.monotonic() - began < 60 * minutes):
        study.sampler = optuna.samplers.TPESampler(seed=base.seed + len(study.trials))
        trial = study.ask()
        _run(study, trial, base, metric)
        if report:
            report(_ended(study)[-1])
    return sorted(ended, key=lambda trial: -1.0 if trial.score is None else trial.score, reverse=True)


def _ended(study: optuna.Study) -> list[Trial]:
    found = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name in ("COMPLETE", "PRUNED"):
            best = max(trial.intermediate_values.values(), default=None) if trial.value is None else trial.value
            run = trial.user_attrs.get("run", "")
            found.append(Trial(trial.number, trial.state.name.lower(), best, dict(trial.params), run))
    return found


def suggest(trial: Any, base: RunConfig) -> RunConfig:
    """A run's settings with the learning rate and the loss's free constants as a trial proposes them."""
    assert base.loss is not None, "checked by search"
    values = base.model_dump()
    rate = base.train.learning_rate
    values["train"]["learning_rate"] = trial.suggest_float(
        "train.learning_rate", rate / RATE_SPAN, rate * RATE_SPAN, log=True
    )
    fixed = base.loss.overrides()
    for constant in LOSS_CONSTANTS[base.loss.name]:
        span = CONSTANTS[constant].search
        if span is not None and constant not in fixed:
            values["loss"][constant] = trial.suggest_float(f"loss.{constant}", *span)
    return parse(RunConfig, values)


def _run(study: optuna.Study, trial: optuna.Trial, base: RunConfig, metric: str) -> None:
    """Trains one trial; a hopeless one is stopped."""
    import optuna

    run = launch.submit(suggest(trial, base))
    trial.set_user_attr("run", run.id)
    # Each evaluation is reported, and may end the run.
    reported = 0
    try:
        for now in launch.watch(run.id):
            history = journal.read_history(now.path)
            for place, entry in enumerate(history[reported:], reported + 1):
                trial.report(journal.score_of(entry, metric), place)
            reported = len(history)
            if now.state in LIVE and trial.should_prune():
                launch.stop(run.id)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return
    except KeyboardInterrupt:
        launch.stop(run.id)
        raise
    # The outcome.
    best = max((journal.score_of(entry, metric) for entry in history), default=None)
    if now.state == "finished" and best is not None:
        study.tell(trial, best)
    elif best is not None:  # it diverged after some epochs: its settings are no good
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, 0.0)

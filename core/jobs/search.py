"""Search for a learning rate and the constants of a loss: each trial is a run, judged on validation.

Trials are asked for and told here, in a study that is one file, and trained where their engine has room for them.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from core.config.defaults import LOSS_CONSTANTS
from core.config.parse import parse
from core.config.schema import RunConfig
from core.jobs import launch
from core.losses.presets import CONSTANTS
from core.runs import journal
from core.runs.folder import LIVE
from core.runs.plan import choose_constants
from core.system.errors import UserError
from core.system.files import say_unwritable
from core.system.locks import is_locked, locked, try_lock
from core.system.places import cache_dir

if TYPE_CHECKING:
    import optuna

RATE_SPAN = 10.0
"""The learning rate is searched from its default over this to its default times this."""


RETRIES = 2
"""How often a run that was killed is resumed before the search ends."""
WAIT = 0.5
"""Seconds between two looks at trials that other terminals run."""


class TrialError(Exception):
    """The run of a trial ended for a reason that says nothing of its settings: killed, refused, out of memory."""


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
    engine: str = "",
    at_once: int = 1,
) -> list[Trial]:
    """Runs trials until there are so many, those of earlier calls with the same settings counted, or time is over.

    Args:
        base: what all trials share; its loss's constants that are set stay as they are.
        trials: how many there are in the end.
        metric: `micro_f1`, `macro_f1` or `tail_macro_f1`, on validation: also what decides each run's best epoch.
        minutes: no trial begins after them.
        report: called with each trial that has ended.
        engine: where the runs are trained, as `core.jobs.engines.choose_engine` has it.
        at_once: how many trials are in flight; the more there are, the less each knows of the others.

    Returns:
        All trials, the best first.

    Raises:
        UserError: a model without a loss, a run cannot be started, or the study's file cannot be written.
        TrialError: a run was killed again and again, refused, or ran out of disk or memory; no trial has its score.
    """
    import optuna

    if base.loss is None:
        raise UserError(f"Model '{base.model.name}' has no learning rate to search: choose another model and a loss.")
    loss = base.loss.name
    base = base.model_copy(update={"train": base.train.model_copy(update={"metric": metric})})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    key = hashlib.sha256(json.dumps(base.model_dump(), sort_keys=True).encode()).hexdigest()[:10]
    name = f"{base.data.name}-{base.model.name}-{loss}-{key}"
    until = None if minutes is None else time.monotonic() + 60 * minutes
    searcher = Searcher(name, base, trials, metric, until, report, engine)
    with say_unwritable("The search"), _say_stored(name):
        if at_once == 1:
            searcher.run_trials()
        else:
            searcher.run_side_by_side(at_once)
        ended = _ended(_open_study(name))
    return sorted(ended, key=lambda trial: -1.0 if trial.score is None else trial.score, reverse=True)


@dataclass
class Searcher:
    """Runs trials of a study until there are enough; other terminals may run trials of the same study meanwhile.

    Attributes:
        name: of the study.
        base, trials, metric, report, engine: as in `search`.
        until: no trial begins after it, by `time.monotonic`; None: whenever.
        closed: no trial begins any more.
        broken_off: trials that are in flight are stopped.
    """

    name: str
    base: RunConfig
    trials: int
    metric: str
    until: float | None
    report: Callable[[Trial], None] | None
    engine: str
    closed: Event = field(default_factory=Event)
    broken_off: Event = field(default_factory=Event)
    reporting: Lock = field(default_factory=Lock)

    def run_trials(self) -> None:
        """Runs trials, one after the other."""
        study = _open_study(self.name)
        while len(_ended(study)) < self.trials and (self.until is None or time.monotonic() < self.until):
            if self.closed.is_set():
                return
            with _begin_trial(study, self.base, self.trials) as trial:
                if trial is None:
                    time.sleep(WAIT)
                    continue
                _run(study, trial, self.base, self.metric, self.engine, self.broken_off)
                if self.report:
                    with self.reporting:
                        self.report(next(one for one in _ended(study) if one.number == trial.number))

    def run_side_by_side(self, at_once: int) -> None:
        """Runs so many trials at once, each as a terminal of its own would.

        Where one ends the search, those in flight are run to their end, and their scores are kept; Ctrl-C stops them.
        """
        with ThreadPoolExecutor(at_once) as threads:
            futures = [threads.submit(self.run_trials) for _ in range(at_once)]
            try:
                for future in as_completed(futures):
                    future.result()
            except KeyboardInterrupt:
                self.broken_off.set()
                raise
            finally:
                self.closed.set()


@contextmanager
def _say_stored(name: str) -> Iterator[None]:
    """Says as a sentence that the study's file cannot be read or written.

    Raises:
        UserError: it cannot.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        words = str(error.__cause__ or error).partition("\n")[0]
        file = cache_dir() / "search" / f"{name}.db"
        raise UserError(f"The search cannot be kept in {file}: {words}. Make room, or delete that file.") from None


def _study_lock(name: str) -> Path:
    return cache_dir() / "locks" / f"search-{name}.lock"


def _trial_lock(name: str, number: int) -> Path:
    """The lock that whoever runs a trial holds."""
    return cache_dir() / "locks" / f"search-{name}-{number}.lock"


def _open_study(name: str) -> optuna.Study:
    """The study: one file for the same settings, which later calls and other terminals continue."""
    import optuna

    folder = cache_dir() / "search"
    folder.mkdir(parents=True, exist_ok=True)
    connect = {"connect_args": {"timeout": 60}}
    with locked(_study_lock(name)):
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(f"sqlite:///{folder / name}.db", engine_kwargs=connect),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        )


@contextmanager
def _begin_trial(study: optuna.Study, base: RunConfig, trials: int) -> Iterator[optuna.Trial | None]:
    """A new trial, held as long as the block lasts; None while other terminals run all that are still wanted.

    A trial of a search that was killed has failed; one that an error ends has, too.
    """
    import optuna

    running, failed = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.FAIL
    with locked(_study_lock(study.study_name)):
        alive = 0
        for left in study.get_trials(deepcopy=False, states=[running]):
            if is_locked(_trial_lock(study.study_name, left.number)):
                alive += 1
            else:
                with suppress(ValueError):  # it has ended since, with a score
                    study.tell(left.number, state=failed)
        if len(_ended(study)) + alive >= trials:
            trial = held = None
        else:
            # The sampler's seed depends on how many trials there are, so that none is drawn twice.
            study.sampler = optuna.samplers.TPESampler(seed=base.seed + len(study.get_trials(deepcopy=False)))
            trial = study.ask()
            held = try_lock(_trial_lock(study.study_name, trial.number))
    try:
        yield trial
    except BaseException:
        if trial is not None:
            with suppress(ValueError):  # it has been told already
                study.tell(trial, state=failed)
        raise
    finally:
        if trial is not None and held is not None:
            _trial_lock(study.study_name, trial.number).unlink(missing_ok=True)
            os.close(held)


def _ended(study: optuna.Study) -> list[Trial]:
    """The trials that have a score, or were stopped because they would have had none that counts."""
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
    # What the data set has chosen for the loss is free as well.
    chosen = choose_constants(base.data.name, base.loss.name)
    fixed = {name for name, value in base.loss.overrides().items() if value != chosen.get(name)}
    for constant in LOSS_CONSTANTS[base.loss.name]:
        span = CONSTANTS[constant].search
        if span is not None and constant not in fixed:
            values["loss"][constant] = trial.suggest_float(f"loss.{constant}", *span)
    return parse(RunConfig, values)


def _run(
    study: optuna.Study, trial: optuna.Trial, base: RunConfig, metric: str, engine: str, broken_off: Event
) -> None:
    """Trains one trial; a hopeless one is stopped, and so is one whose search is broken off.

    Raises:
        UserError: its run cannot be started.
        TrialError: its run ended without a result for a reason that says nothing of its settings.
    """
    import optuna

    run = launch.submit(suggest(trial, base), engine=engine)
    trial.set_user_attr("run", run.id)
    # Each evaluation is reported, and may end the run. A run that was killed goes on from its last checkpoint.
    reported, kills = 0, 0
    best: float | None = None
    while True:
        try:
            for now in launch.watch(run.id):
                scores = [journal.score_of(entry, metric) for entry in journal.read_history(now.path)]
                for place, score in enumerate(scores[reported:], reported + 1):
                    trial.report(score, place)
                reported, best = max(reported, len(scores)), max(scores, default=None)
                if broken_off.is_set():
                    raise KeyboardInterrupt
                if now.state in LIVE and trial.should_prune():
                    launch.stop(run.id)
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    return
        except KeyboardInterrupt:
            launch.stop(run.id)
            raise
        if now.state != "lost" or kills == RETRIES:
            break
        kills += 1
        launch.resume(run.id, engine=engine)
    # The outcome: a score, or that these settings diverge, which is one as well; all else says nothing of them.
    if now.state == "finished" and best is not None:
        study.tell(trial, best)
    elif now.state == "failed" and now.kind == "diverged":
        if best is None:
            trial.report(0.0, 1)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        raise TrialError(
            f"Trial {trial.number} has no score, as its run {run.id} is {now.state}. {now.why} "
            "The other trials are kept: the same command continues the search."
        )

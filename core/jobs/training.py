"""One run's model, from its corpus to the scores of its parts.

`fit` serves linear models (`core.jobs.linear`) and networks. `train_network` is the loop of a run's first process,
`replicate` that of the others; both take their steps from `core.trainer`. `Evaluator`, `Resumable` and `Throughput`
hold what it keeps.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from safetensors.torch import save_file

from core.config.defaults import MODELS
from core.config.parse import differences
from core.config.schema import RunConfig
from core.data.corpus import Corpus, count_columns
from core.jobs import pulse, trackers
from core.jobs.fitted import PARTS, Fitted
from core.jobs.linear import fit_linear
from core.labels import groups
from core.metrics import kept_scores, label_sets, thresholds
from core.models.label_graph import fold_label_graph
from core.models.tfidf import TfidfNetwork
from core.runs import journal
from core.runs.folder import STOPPING, checkpoint_dir
from core.system import machine
from core.system.errors import Stopped, UserError
from core.system.files import atomic_path
from core.trainer import distributed
from core.trainer.checkpoint import gather_arrays, list_checkpoints, load_weights, read_checkpoint, write_checkpoint
from core.trainer.distributed import Signal, agree
from core.trainer.loop import train
from core.trainer.memory import memory_free, memory_needed
from core.trainer.scoring import predict
from core.trainer.setup import Reporter, Setup, make_setup, torch_device
from core.trainer.state import Progress, State

STEP_EVERY = 2.0
"""Seconds between two lines of `steps.jsonl`."""
GIVE_BACK_EVERY = 20.0
"""Seconds; batches of every length leave gaps in memory, gigabytes in half an hour, that no other process can use."""
COUNTERS = ("score", "best_epoch", "patience", "history", "steps", "seconds", "speed")
"""Attributes of `Resumable` that a checkpoint sets."""
log = logging.getLogger("tailscope")


def fit(config: RunConfig, corpus: Corpus, path: Path, slot: str, reporter: Reporter) -> Fitted:
    """Fits the model of a run and scores the validation and the test part.

    Args:
        config: of the run.
        corpus: its data.
        path: its folder.
        slot: the device that it holds.
        reporter: where it reports its progress.

    Raises:
        UserError: the encoder cannot be loaded, training diverges, memory runs out.
        PeerLost: another process of the run has ended or does not answer.
        Stopped: a stop was requested; a checkpoint is written.
    """
    if MODELS[config.model.name].at_once:
        if sum(event["what"] == "started" for event in journal.read_events(path)) > 1:
            log.info("model %s keeps no checkpoint: the run starts anew", config.model.name)
        return fit_linear(config, corpus, reporter)
    return fit_network(config, corpus, path, torch_device(slot), reporter)


def fit_network(config: RunConfig, corpus: Corpus, path: Path, device: str, reporter: Reporter) -> Fitted:
    """Trains a network and scores it with the weights of its best epoch; the first process of a run runs this."""
    folder = checkpoint_dir(path)
    with distributed.join_processes(config.train.processes, path, device) as mine:
        # Make all that is needed; the memory that it takes is logged before it is allocated.
        setup = make_setup(config, corpus, reporter, mine)
        documents, in_blocks = len(setup.inputs["train"]), setup.state.forward is not setup.network
        needed = memory_needed(config, setup.network, documents, len(corpus.labels), in_blocks=in_blocks)
        log.info("needs about %.1f GB of memory, %.1f GB are free for it", needed / 1e9, memory_free(mine) / 1e9)
        # Train, from the last checkpoint if there is one.
        resumable = Resumable.resume(folder, setup.state, config, corpus)
        distributed.check_start(setup.state.epoch, setup.state.step)
        evaluator = Evaluator(config, corpus, setup)
        with trackers.tracking(config, path) as send:
            train_network(config, corpus, path, setup, resumable, evaluator, reporter, send)
    pulse.rest()  # no other process is waited for any more
    if not resumable.best_epoch:
        raise UserError("No epoch was ever scored: there is nothing to keep.")
    # Score with the best weights, those that are kept, before a label graph is folded into them.
    load_weights(setup.whole, folder / resumable.best_file)
    learns_by_words = setup.whole if isinstance(setup.whole, TfidfNetwork) and setup.whole.by_words else None
    weights = learns_by_words.prune(folder) if learns_by_words else {}
    scores = {part: evaluator.score(part) for part in PARTS}
    if learns_by_words and weights:
        learns_by_words.drop_words()
    if config.model.head == "label-graph":
        fold_label_graph(setup.whole)
    more = {"threads": setup.threads, "precision": setup.settings.precision, "best_epoch": resumable.best_epoch}
    weights = weights or {name: value.numpy() for name, value in setup.plain_weights().items()}
    return Fitted(scores, weights, setup.save_encoder, more)


def replicate(config: RunConfig, corpus: Corpus, path: Path, slot: str, reporter: Reporter) -> None:
    """Trains beside the first process of a run, from the last checkpoint, until that one signals the end.

    Each step is `train_network` without what the first process does alone: the same gathering, in the same order.
    """
    with distributed.join_processes(config.train.processes, path, torch_device(slot)) as mine:
        setup = make_setup(config, corpus, reporter, mine)
        resumable = Resumable.resume(checkpoint_dir(path), setup.state, config, corpus)
        distributed.check_start(setup.state.epoch, setup.state.step)
        torch.manual_seed(config.seed + distributed.rank())  # each process has dropout of its own
        if resumable.patience >= setup.settings.patience:
            return
        for step in take_steps(config, corpus, setup):
            if step.ended_epoch:
                setup.gather_weights()
            signal = agree(Signal.CONTINUE, mine)
            if signal == Signal.CHECKPOINT:
                gather_arrays(setup.state)
            elif signal == Signal.END:
                return


def train_network(
    config: RunConfig,
    corpus: Corpus,
    path: Path,
    setup: Setup,
    resumable: Resumable,
    evaluator: Evaluator,
    reporter: Reporter,
    send: trackers.Log,
) -> None:
    """Trains to the last epoch, or until none is better, and writes what a watcher and a later worker need.

    The first process of a run runs this, the others `replicate`. Whatever all of them do together they do in the same
    order: a step's gradients, then the weights at the end of an epoch, then one `agree`, then a checkpoint's arrays.

    Raises:
        Stopped: a stop was requested; a checkpoint is written.
    """
    settings, state, folder = setup.settings, setup.state, checkpoint_dir(path)
    # Lines that were written after the checkpoint go: those steps are taken once more.
    journal.cut_lines(path, history=resumable.history, steps=resumable.steps)
    resumable.start_clock()
    throughput = Throughput(len(setup.inputs["train"]), settings.batch_size, resumable.speed)
    if resumable.patience >= settings.patience:
        return
    fraction = 0.0
    try:
        for step in take_steps(config, corpus, setup):
            # All processes: gather the weights, before anything that may stop the first: the others wait there.
            if step.ended_epoch:
                setup.gather_weights()
            # First process: report the step. A request to stop may end training from here on.
            steps_done = (step.epoch - 1) * step.steps + step.step
            fraction = 0.05 + 0.9 * (step.epoch - 1 + step.step / step.steps) / settings.epochs
            if line := throughput.measure(step, setup.device):
                journal.append_step(path, line)
                send(line, steps_done)
                resumable.steps, resumable.speed = resumable.steps + 1, throughput.last
            progress = {"epoch": step.epoch, "epochs": settings.epochs, "train_loss": step.train_loss}
            reporter.report_if_due("training", fraction, **progress)
            # First process: score the epoch and keep its weights if they are the best, then report. The history comes
            # after the weights, so that what it calls the best is on the disk; the epoch counts as evaluated last.
            if step.ended_epoch:
                entry = evaluator.evaluate(step, reporter.raise_if_stopped)
                entry |= throughput.last | {"seconds": round(resumable.seconds_now(), 3)}
                improved = keep_best(resumable, entry, setup, folder)
                journal.append_history(path, entry | {"best": improved})
                send(entry, steps_done)
                score = entry["validation"]["all"]["micro_f1"] or 0.0
                log.info("epoch %d: loss %.6g, validation micro-F1 %.4f", step.epoch, step.train_loss, score)
                state.unevaluated = None
                reporter.raise_if_stopped()
            # All processes: agree once a step, whether training ends, a checkpoint is due, or neither.
            if step.ended_epoch and resumable.patience >= settings.patience:
                agree(Signal.END, setup.device)
                log.info("no better epoch for %d epochs: training ends", resumable.patience)
                break
            checkpoint_if_due(resumable, setup, folder, steps_done)
    except Stopped:
        # All processes: the others wait in `agree`, and write nothing but help to gather the checkpoint.
        if state.step:
            journal.update_status(path, progress={"phase": STOPPING, "fraction": fraction})
            agree(Signal.CHECKPOINT, setup.device)
            resumable.write(folder, state)
            log.info("stopped in epoch %d, step %d: it can be resumed from there", state.epoch, state.step)
        raise


def take_steps(config: RunConfig, corpus: Corpus, setup: Setup) -> Iterator[Progress]:
    """The steps of a run in one of its processes; memory that was freed goes back to the system now and then."""
    given_back = time.monotonic()
    for step in train(
        setup.state,
        setup.loss,
        setup.inputs["train"],
        corpus.targets_of("train"),
        config=setup.settings,
        seed=config.seed,
        device=setup.device,
    ):
        if time.monotonic() - given_back >= GIVE_BACK_EVERY:
            machine.give_back_memory()
            given_back = time.monotonic()
        yield step


def keep_best(resumable: Resumable, entry: dict[str, Any], setup: Setup, folder: Path) -> bool:
    """Counts an evaluation and writes the weights if it is the best so far; whether it is.

    The first process alone: it has the gathered weights. The file of the epoch that was the best stays, for the last
    checkpoint still names it; `Resumable.write` drops it with the next.
    """
    improved = resumable.count(entry)
    if improved:
        with atomic_path(folder / resumable.best_file) as temporary:
            save_file(setup.plain_weights(), temporary)
    return improved


def checkpoint_if_due(resumable: Resumable, setup: Setup, folder: Path, steps_done: int) -> None:
    """Agrees with the other processes on a checkpoint if one is due by the clock or the count of steps, and writes it.

    The first process decides, for clocks differ; then all gather the arrays, and the first writes them. It comes after
    the evaluation, so that the checkpoint at the end of an epoch has its score and need not evaluate it again.
    """
    settings = setup.settings
    due = resumable.since_checkpoint() >= 60 * settings.checkpoint_minutes
    due |= bool(settings.checkpoint_steps) and steps_done % settings.checkpoint_steps == 0
    agree(Signal.CHECKPOINT if due else Signal.CONTINUE, setup.device)
    if due:
        resumable.write(folder, setup.state)


@dataclass(frozen=True)
class Evaluator:
    """Scores the network of a run; the first process alone has its whole weights."""

    config: RunConfig
    corpus: Corpus
    setup: Setup

    def score(self, part: str, raise_if_stopped: Callable[[], None] | None = None) -> np.ndarray | sp.csr_array:
        """Scores of a part (N, L), as they are stored; `raise_if_stopped` is called after each batch."""
        setup, shift = self.setup, self.config.train.adjust * torch.logit(self.setup.priors)
        batches = predict(
            setup.whole,
            setup.inputs[part],
            device=setup.device,
            precision=setup.settings.precision,
            shift=shift.to(setup.device) if self.config.train.adjust else 0.0,
        )
        return kept_scores.keep_scores(
            _interruptible(batches, raise_if_stopped) if raise_if_stopped else batches, len(self.corpus.labels)
        )

    def evaluate(self, step: Progress, raise_if_stopped: Callable[[], None]) -> dict[str, Any]:
        """The entry of the history on an epoch that has ended, from the scores of the validation part.

        The first process alone, while the others wait in `agree`. A request to stop may break it off: `step` then
        stays `State.unevaluated`, and is the first thing that the resumed run evaluates.
        """
        targets, scores = self.corpus.targets_of("validation"), self.score("validation", raise_if_stopped)
        rule = self.config.threshold_rule()  # thresholds of each label are fitted once, when training is over
        threshold = thresholds.fit_global(targets, scores, rule="exact" if rule in thresholds.LABEL_RULES else rule)
        predicted = thresholds.apply(scores, threshold)
        borders = groups.default_borders(self.corpus.name, self.corpus.counts)
        return {
            "epoch": step.epoch,
            "step": step.step,
            "train_loss": step.train_loss,
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "threshold": threshold,
            "labels_hit": int((count_columns(predicted.multiply(targets)) > 0).sum()),
            "validation": label_sets.score_groups(targets, predicted, self.corpus.counts, borders),
        }


def _interruptible(batches: Iterable[np.ndarray], raise_if_stopped: Callable[[], None]) -> Iterator[np.ndarray]:
    for batch in batches:
        raise_if_stopped()
        yield batch


@dataclass
class Resumable:
    """How training has gone so far: what a checkpoint keeps besides the state, and the clock of the run.

    Attributes:
        key: the settings and the data it belongs to.
        metric: of the validation part, by which epochs are compared.
        score: the best so far.
        best_epoch: its epoch; 0 before the first evaluation.
        patience: evaluations since.
        history: lines of `history.jsonl`.
        steps: lines of `steps.jsonl`.
        seconds: spent until the checkpoint.
        speed: as the last line of steps has it.
        began: when training would have begun without interruption, by `time.monotonic`.
        written: when the last checkpoint was written, or training began.
    """

    key: dict[str, Any]
    metric: str
    score: float = -1.0
    best_epoch: int = 0
    patience: int = 0
    history: int = 0
    steps: int = 0
    seconds: float = 0.0
    speed: dict[str, Any] = field(default_factory=dict)
    began: float = field(default=0.0, init=False)
    written: float = field(default=0.0, init=False)

    @property
    def best_file(self) -> str:
        """File of the best weights, in the folder of the checkpoints."""
        return f"best-{self.best_epoch:05d}.safetensors"

    @classmethod
    def resume(cls, folder: Path, state: State, config: RunConfig, corpus: Corpus) -> Resumable:
        """Restores the state and the counters from the last checkpoint; nothing done yet where there is none.

        Raises:
            UserError: the checkpoint belongs to other settings or data.
        """
        key = {"config": config.model_dump(exclude={"track"}), "fingerprint": corpus.fingerprint}
        resumable = cls(key, config.train.metric)
        kept = read_checkpoint(folder, state)
        if kept is None:
            return resumable
        if changes := describe_changes(kept["key"], key):
            raise UserError(f"The checkpoint cannot be taken up: since it was written, {changes}. Start the run anew.")
        for name in COUNTERS:
            setattr(resumable, name, kept[name])
        log.info("taken up from epoch %d, step %d", state.epoch, state.step)
        return resumable

    def start_clock(self) -> None:
        """Training begins now, after the seconds of the last checkpoint."""
        self.written = time.monotonic()
        self.began = self.written - self.seconds

    def seconds_now(self) -> float:
        """Seconds of training, those before it was interrupted included."""
        return time.monotonic() - self.began

    def since_checkpoint(self) -> float:
        """Seconds since the last checkpoint was written, or training began."""
        return time.monotonic() - self.written

    def write(self, folder: Path, state: State) -> None:
        """Writes a checkpoint and drops the best weights that no checkpoint names."""
        self.seconds = self.seconds_now()
        write_checkpoint(folder, state, {name: getattr(self, name) for name in ("key", "metric", *COUNTERS)})
        named = {self.best_file}
        for path in list_checkpoints(folder):
            epoch = json.loads(path.joinpath("state.json").read_text("utf-8"))["more"]["best_epoch"]
            named.add(f"best-{epoch:05d}.safetensors")
        for file in folder.glob("best-*.safetensors"):
            if file.name not in named:
                file.unlink()
        self.written = time.monotonic()

    def count(self, entry: dict[str, Any]) -> bool:
        """Counts an evaluation; whether it is the best so far."""
        score = journal.score_of(entry, self.metric)
        self.history += 1
        if score > self.score:
            self.score, self.best_epoch, self.patience = score, entry["epoch"], 0
            return True
        self.patience += 1
        return False


def describe_changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs between the settings and data of a checkpoint and those of its run, in words; empty if nothing."""
    return ", ".join(
        "the data changed"
        if name == "fingerprint"
        else f"{name.removeprefix('config.')} changed from {left} to {right}"
        for name, left, right in sorted(differences(old, new))
    )


class Throughput:
    """Documents in a second, measured between two lines of `steps.jsonl`.

    Attributes:
        last: as the last line has it; empty before the first.
    """

    def __init__(self, documents: int, batch_size: int, last: dict[str, Any]) -> None:
        self.documents, self.batch_size, self.last = documents, batch_size, last
        self.since, self.done = time.monotonic(), 0

    def measure(self, step: Progress, device: str) -> dict[str, Any] | None:
        """Counts a step; its line of `steps.jsonl` if the last line is old enough."""
        self.done += self.batch_size if step.step < step.steps else self.documents - (step.steps - 1) * self.batch_size
        took = time.monotonic() - self.since
        # The first epoch has a line, however short it is.
        if took < STEP_EVERY and not (step.ended_epoch and not self.last):
            return None
        memory = torch.cuda.memory_reserved() if device != "cpu" else psutil.Process().memory_info().rss
        self.last = {"documents_per_second": round(self.done / max(took, 1e-9), 2), "memory": memory}
        self.since, self.done = time.monotonic(), 0
        return {
            "time": time.time(),
            "epoch": step.epoch,
            "step": step.step,
            "steps": step.steps,
            "train_loss": step.train_loss,
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
        } | self.last

"""One run's model, from its corpus to the scores of its parts: what `core.worker` calls fitting."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import labels, losses, machine, metrics, replicas, store, thresholds, tokens, trackers
from core.config import AUTO_RULES, MODELS, THRESHOLD_RULES, RunConfig, TrainConfig, UserError
from core.corpus import Corpus, count_columns
from core.encoders import TfidfEncoder
from core.failures import Stopped
from core.files import atomic_path
from core.inputs import Inputs, SparseInputs, TokenInputs
from core.models import TfidfNetwork
from core.networks import TextNetwork, Transformer, add_label_graph, build_network, fold_label_graph
from core.trainer import (
    SCORES_AT_ONCE,
    SCORING_BATCH,
    LinearRule,
    Progress,
    State,
    blocked,
    checkpoints,
    fit_svm,
    gather,
    predict,
    read_checkpoint,
    resolve_precision,
    tokens_at_once,
    train,
    write_checkpoint,
)

PARTS = ("validation", "test")
SPARSE_THREADS = 1
"""Of torch on the CPU: steps on sparse features are so small that a second thread makes them several times slower.

Not so above `BLOCKED_LABELS` labels, where all cores are used.
"""
BLOCKED_LABELS = 4000
"""Above so many labels the output layer and the loss are computed in blocks, where the loss has that form."""
BASE_BYTES = 700_000_000
"""What Python, PyTorch and a corpus take before a network is there."""
STATE_BYTES = 256
"""For each token, layer and unit, until the gradient is taken: measured with MiniLM, 32 documents of 128 tokens."""
SCORE_BYTES = 24
"""For each score of an evaluation: logits, probabilities in two orders, ranks, what is kept."""
STEP_EVERY = 2.0
"""Seconds between two lines of `steps.jsonl`."""
GIVE_BACK_EVERY = 20.0
"""Seconds; batches of every length leave gaps in memory, gigabytes in half an hour, that nobody else can use."""
log = logging.getLogger("tailscope")


class Reporter(Protocol):
    """Who hears how far a run is."""

    path: Path

    def now(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports at once."""

    def maybe(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports if the last report is old enough."""

    def heed_stop(self) -> None:
        """Raises `Stopped` if somebody asked for it."""


class Encoder(Protocol):
    """What turned texts into numbers, and is kept with the run."""

    def save(self, folder: Path) -> None:
        """Writes what reads new texts."""


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        scores: of the validation and the test part, as they are stored.
        weights: what `model.safetensors` holds.
        save: writes into a folder all that is needed, besides the weights, to read new texts.
        more: entries for `metrics.json`: threads, precision and so on.
    """

    scores: dict[str, np.ndarray | sp.csr_array]
    weights: dict[str, torch.Tensor]
    save: Callable[[Path], None]
    more: dict[str, Any]


def fit(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    """Fits the model of a run and scores the validation and the test part.

    Raises:
        UserError: the encoder cannot be loaded, training diverges, memory runs out.
    """
    if config.model.name == "svm":
        return _fit_svm(config, corpus, reporter)
    return _fit_network(config, corpus, reporter)


def threshold_rule(config: RunConfig) -> str:
    """The rule of `core.thresholds` for a run: an SVM's margins have the paper's own grid, -1 to 1.

    `auto` is `exact`, but 0.5 for a loss that decides by logit > 0.
    """
    rule = config.train.threshold
    if rule == "auto":
        rule = AUTO_RULES[losses.LOSSES[config.loss.name].decision if config.loss else "fitted threshold"]
    if MODELS[config.model.name].margins:
        return THRESHOLD_RULES[rule].margins or rule
    return str(rule)


def _features(config: RunConfig, corpus: Corpus, reporter: Reporter) -> tuple[TfidfEncoder, dict[str, sp.csr_array]]:
    reporter.now("weighing words", 0.02)
    encoder = TfidfEncoder.fit(corpus.texts(corpus.parts["train"]), config.model)
    features = {}
    for part, rows in corpus.parts.items():
        features[part] = encoder.encode(corpus.texts(rows))
        reporter.heed_stop()
    log.info("features of the train part: %d x %d", *features["train"].shape)
    return encoder, features


def _fit_svm(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    encoder, features = _features(config, corpus, reporter)
    shape = (features["train"].shape[1], len(corpus.labels))
    rule = LinearRule(np.zeros(shape, np.float32), np.zeros(shape[1], np.float32))
    for done in fit_svm(features["train"], corpus.targets_of("train"), rule, config=config.model, seed=config.seed):
        reporter.maybe("fitting labels", 0.05 + 0.9 * done)
        reporter.heed_stop()
    scores = {part: store.keep_scores(rule.margins(features[part]), len(corpus.labels)) for part in PARTS}
    weights = {"weights": torch.from_numpy(rule.weights), "intercepts": torch.from_numpy(rule.intercepts)}
    return Fitted(scores, weights, encoder.save, {"threads": SPARSE_THREADS})


def _read(
    config: RunConfig, corpus: Corpus, start: torch.Tensor, reporter: Reporter
) -> tuple[Encoder, dict[str, Inputs], nn.Module]:
    """The encoder, what it made of each part, and a network that has seen nothing yet but what its bias starts at."""
    if config.model.name == "tfidf":
        encoder, features = _features(config, corpus, reporter)
        inputs: dict[str, Inputs] = {part: SparseInputs(rows) for part, rows in features.items()}
        torch.manual_seed(config.seed)
        return encoder, inputs, TfidfNetwork(features["train"].shape[1], start, config.model)
    reader: tokens.Subwords | tokens.Words
    if config.model.name == "transformer":
        reader = tokens.Subwords.load(tokens.encoder_source(config.model.encoder), config.model.encoder)
    else:
        reporter.now("learning the vocabulary", 0.02)
        reader = tokens.fit_encoder(corpus.texts(corpus.parts["train"]), config.model)
    if config.model.max_length > reader.most:
        raise UserError(
            f"model.max_length is {config.model.max_length}, but this encoder reads at most {reader.most} tokens at "
            "once: lower it, or read longer documents with model.long=window."
        )
    reporter.now("reading tokens", 0.02)
    made = tokens.tokenize(corpus, reader, lambda phase, done: reporter.maybe(phase, 0.02 + 0.02 * done))
    inputs = {
        part: TokenInputs(made, reader, rows, config.model.max_length, config.model.long)
        for part, rows in corpus.parts.items()
    }
    torch.manual_seed(config.seed)
    network = build_network(config.model, reader.size, start)
    if config.train.recompute:
        if config.model.name != "transformer":
            raise UserError("train.recompute is for model 'transformer': the others keep little.")
        network.body.encoder.gradient_checkpointing_enable()  # type: ignore[union-attr, operator]
    return reader, inputs, network


@dataclass
class _Made:
    """All that training needs, the same in every process of a run.

    Attributes:
        whole: the network that is scored: a copy of its own where `network` is but a share.
    """

    device: str
    settings: TrainConfig
    encoder: Encoder
    inputs: dict[str, Inputs]
    network: nn.Module
    whole: nn.Module
    state: State
    loss: Any
    priors: torch.Tensor
    threads: int

    def gather(self) -> None:
        """Brings the weights together for scoring: all processes must ask."""
        weights = {name: replicas.whole(value) for name, value in self.network.state_dict().items()}
        if self.whole is not self.network:
            self.whole.load_state_dict(weights)


def _make(config: RunConfig, corpus: Corpus, reporter: Reporter, device: str) -> _Made:
    assert config.loss is not None, "the config's own check"
    settings = config.train.model_copy(update={"precision": resolve_precision(config.train.precision, device)})
    threads = SPARSE_THREADS
    if config.model.name != "tfidf" or len(corpus.labels) > BLOCKED_LABELS:
        threads = replicas.threads(replicas.world())
    torch.set_num_threads(threads)
    targets, documents = corpus.targets_of("train"), len(corpus.parts["train"])
    positives = losses.index_pairs(targets)
    if (corpus.counts == 0).any():
        log.info("%d labels have no train document: they are left out of the loss", (corpus.counts == 0).sum())
    loss: Any = losses.build_loss(
        config.loss.name,
        corpus.counts,
        documents,
        setting=config.loss.setting,
        on_missing="mask",
        labels=corpus.labels,
        positives=positives if config.loss.mu == "auto" else None,
        **config.loss.overrides(),
    )
    priors = torch.from_numpy(np.clip(corpus.counts, 0.5, documents - 0.5) / documents).float()
    start = torch.logit(priors)
    if config.model.bias == "loss":
        start = losses.constant_logits(loss, *positives, documents)
    loss = loss.to(device)
    encoder, inputs, network = _read(config, corpus, start, reporter)
    if config.model.head == "label-graph":
        add_label_graph(network, targets)
    whole = network.to(device)
    if settings.shard and replicas.world() > 1:
        whole = copy.deepcopy(network) if replicas.rank() == 0 else network
        replicas.shard(network.body.encoder)  # type: ignore[union-attr, arg-type]
    if settings.compile:
        network.compile(dynamic=True)
    state = State.begin(network, settings, documents)
    if len(corpus.labels) > BLOCKED_LABELS and config.model.long != "window" and (found := blocked(network, loss)):
        state.read, loss = found
        log.info("%d labels: the output layer and the loss are computed in blocks of labels", len(corpus.labels))
    return _Made(device, settings, encoder, inputs, network, whole, state, loss, priors, threads)


def _fit_network(config: RunConfig, corpus: Corpus, reporter: Reporter) -> Fitted:
    device = torch_device(store.read_status(reporter.path)["device"])
    with replicas.joined(config.train.processes, reporter.path, device) as mine:
        made = _make(config, corpus, reporter, mine)
        needed, free = (
            memory_needed(config, made.network, len(made.inputs["train"]), len(corpus.labels)),
            memory_free(mine),
        )
        log.info("needs about %.1f GB of memory, %.1f GB are free", needed / 1e9, free / 1e9)
        course = _Course.resume(store.checkpoint_dir(reporter.path), made.state, config, corpus)
        judge = _Judge(config, corpus, made)
        with trackers.tracking(config, reporter.path) as send:
            _train(config, corpus, reporter, made, course, judge, send)
    if not course.best_epoch:
        raise UserError("No epoch was ever scored: there is nothing to keep.")
    made.whole.load_state_dict(load_file(store.checkpoint_dir(reporter.path) / course.best_file))
    scores = {part: judge.scores(part) for part in PARTS}
    if config.model.head == "label-graph":
        fold_label_graph(made.whole)
    more = {"threads": made.threads, "precision": made.settings.precision, "best_epoch": course.best_epoch}
    return Fitted(scores, _plain(made.whole), lambda folder: _save_encoder(made.encoder, made.whole, folder), more)


def replicate(config: RunConfig, corpus: Corpus, reporter: Reporter) -> None:
    """Trains beside the worker of a run, from where its checkpoint stands, until that says it is enough."""
    device = torch_device(store.read_status(reporter.path)["device"])
    with replicas.joined(config.train.processes, reporter.path, device) as mine:
        made = _make(config, corpus, reporter, mine)
        course = _Course.resume(store.checkpoint_dir(reporter.path), made.state, config, corpus)
        torch.manual_seed(config.seed + replicas.rank())  # each drops out what it likes
        if course.patience >= made.settings.patience:
            return
        for step in _steps(config, corpus, made):
            if step.ended_epoch:
                made.gather()
            said = replicas.hear(replicas.GO_ON, mine)
            if said == replicas.WRITE:
                gather(made.state)
            elif said == replicas.END:
                return


def _steps(config: RunConfig, corpus: Corpus, made: _Made) -> Iterator[Progress]:
    given_back = time.monotonic()
    for step in train(
        made.state,
        made.loss,
        made.inputs["train"],
        corpus.targets_of("train"),
        config=made.settings,
        seed=config.seed,
        device=made.device,
    ):
        if time.monotonic() - given_back >= GIVE_BACK_EVERY:
            machine.give_back_memory()
            given_back = time.monotonic()
        yield step


def _train(
    config: RunConfig,
    corpus: Corpus,
    reporter: Reporter,
    made: _Made,
    course: _Course,
    judge: _Judge,
    send: trackers.Log,
) -> None:
    """Trains to the last or to the best epoch, and writes what a watcher and a later worker need."""
    path, checkpoint, settings, state = reporter.path, store.checkpoint_dir(reporter.path), made.settings, made.state
    store.cut_lines(path, history=course.history, steps=course.steps)
    began, written = time.monotonic() - course.seconds, time.monotonic()
    speed = _Speed(len(made.inputs["train"]), settings.batch_size, course.speed)
    if course.patience >= settings.patience:
        return
    fraction = 0.0
    try:
        for step in _steps(config, corpus, made):
            if step.ended_epoch:  # before anything that may stop: the other processes do the same
                made.gather()
            done = (step.epoch - 1) * step.steps + step.step
            fraction = 0.05 + 0.9 * (step.epoch - 1 + step.step / step.steps) / settings.epochs
            if line := speed.line(step, made.device):
                store.append_step(path, line)
                send(line, done)
                course.steps, course.speed = course.steps + 1, speed.last
            reporter.maybe("training", fraction, epoch=step.epoch, epochs=settings.epochs, train_loss=step.train_loss)
            if step.ended_epoch:
                entry = judge(step, reporter.heed_stop) | speed.last | {"seconds": round(time.monotonic() - began, 3)}
                improved = course.heed(entry, step.epoch)
                if improved:
                    with atomic_path(checkpoint / course.best_file) as temporary:
                        save_file(_plain(made.whole), temporary)
                store.append_history(path, entry | {"best": improved})
                send(entry, done)
                score = entry["validation"]["all"]["micro_f1"] or 0.0
                log.info("epoch %d: loss %.6g, validation micro-F1 %.4f", step.epoch, step.train_loss, score)
                state.waits = None
                reporter.heed_stop()
            due = time.monotonic() - written >= 60 * settings.checkpoint_minutes
            due |= bool(settings.checkpoint_steps) and done % settings.checkpoint_steps == 0
            ends = step.ended_epoch and course.patience >= settings.patience
            replicas.hear(replicas.END if ends else replicas.WRITE if due else replicas.GO_ON, made.device)
            if ends:
                log.info("no better epoch for %d epochs: training ends", course.patience)
                break
            if due:
                course.seconds = time.monotonic() - began
                course.write(checkpoint, state)
                written = time.monotonic()
    except Stopped:
        if state.step:
            store.update_status(path, progress={"phase": store.STOPPING, "fraction": fraction})
            replicas.hear(replicas.WRITE, made.device)
            course.seconds = time.monotonic() - began
            course.write(checkpoint, state)
            log.info("stopped in epoch %d, step %d: it can be resumed from there", state.epoch, state.step)
        raise


def memory_needed(config: RunConfig, network: nn.Module, documents: int, labels: int) -> int:
    """Bytes that training takes at most, roughly: weights, gradients, what the optimizer keeps, a step's results."""
    held = 8 if config.train.optimizer == "adamw" else 4
    weights = 0
    for parameter in network.parameters():
        taken = parameter.numel() * (4 + (4 + held if parameter.requires_grad else 0))
        # The first process has a whole copy besides its share, for scoring.
        weights += taken // replicas.world() + 4 * parameter.numel() if replicas.is_share(parameter) else taken
    batch = min(config.train.batch_size, documents)
    logits = 12 * batch * labels if labels <= BLOCKED_LABELS else 0
    states = 0
    if config.model.name != "tfidf":
        width, layers = config.model.embedding, 2
        if config.model.name == "transformer":
            body: Any = network.body
            width, layers = body.width, 1 if config.model.freeze else body.encoder.config.num_hidden_layers
        states = (
            STATE_BYTES
            * width
            * layers
            * min(batch * config.model.max_length, tokens_at_once(network, config.train.max_tokens))
        )
    # An evaluation comes on top: memory that a step has freed is not given back at once.
    scores = SCORE_BYTES * min(SCORES_AT_ONCE, SCORING_BATCH * labels)
    return BASE_BYTES + weights + logits + states + scores


def memory_free(device: str) -> int:
    """Bytes that can still be had on a device."""
    return int(psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info(device)[0])


def _save_encoder(encoder: Encoder, network: nn.Module, folder: Path) -> None:
    """Writes all that is needed, besides the weights, to read new texts."""
    encoder.save(folder)
    if isinstance(network, TextNetwork) and isinstance(network.body, Transformer):
        network.body.encoder.config.save_pretrained(folder / "encoder")


def _plain(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


@dataclass(frozen=True)
class _Judge:
    """Scores a network on the validation part."""

    config: RunConfig
    corpus: Corpus
    made: _Made

    def scores(self, part: str, heed: Callable[[], None] | None = None) -> np.ndarray | sp.csr_array:
        """As they are stored; `heed` is called between batches."""
        made, shift = self.made, self.config.train.adjust * torch.logit(self.made.priors)
        batches = predict(
            made.whole,
            made.inputs[part],
            device=made.device,
            precision=made.settings.precision,
            shift=shift.to(made.device) if self.config.train.adjust else 0.0,
        )
        return store.keep_scores(_heeding(batches, heed) if heed else batches, len(self.corpus.labels))

    def __call__(self, step: Progress, heed: Callable[[], None]) -> dict[str, Any]:
        """What the history says of an epoch; `heed` may break it off."""
        targets, scores = self.corpus.targets_of("validation"), self.scores("validation", heed)
        rule = threshold_rule(self.config)  # thresholds of each label are fitted once, when training is over
        threshold = thresholds.fit_global(targets, scores, rule="exact" if rule in thresholds.LABEL_RULES else rule)
        predicted = thresholds.apply(scores, threshold)
        borders = labels.default_borders(len(self.corpus.labels))
        return {
            "epoch": step.epoch,
            "step": step.step,
            "train_loss": step.train_loss,
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "threshold": threshold,
            "labels_hit": int((count_columns(predicted.multiply(targets)) > 0).sum()),
            "validation": metrics.score_groups(targets, predicted, self.corpus.counts, borders),
        }


def _heeding(batches: Iterable[np.ndarray], heed: Callable[[], None]) -> Iterator[np.ndarray]:
    for batch in batches:
        heed()
        yield batch


@dataclass
class _Course:
    """How training has gone so far, kept with every checkpoint.

    Attributes:
        key: the settings and the data it belongs to.
        score: the best so far.
        patience: evaluations since.
        history: lines of `history.jsonl`.
        steps: lines of `steps.jsonl`.
        seconds: spent until the checkpoint.
        speed: what the last line of steps said of it.
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

    @property
    def best_file(self) -> str:
        return f"best-{self.best_epoch:05d}.safetensors"

    @classmethod
    def resume(cls, folder: Path, state: State, config: RunConfig, corpus: Corpus) -> _Course:
        """Takes up the last checkpoint, or begins.

        Raises:
            UserError: the checkpoint belongs to other settings or data.
        """
        key = {"config": config.model_dump(exclude={"track"}), "fingerprint": corpus.fingerprint}
        course = cls(key, config.train.metric)
        kept = read_checkpoint(folder, state)
        if kept is None:
            return course
        if different := _different(kept["key"], key):
            raise UserError(
                f"The checkpoint cannot be taken up: since it was written, {different}. Start the run anew."
            )
        for name in ("score", "best_epoch", "patience", "history", "steps", "seconds", "speed"):
            setattr(course, name, kept[name])
        log.info("taken up from epoch %d, step %d", state.epoch, state.step)
        return course

    def write(self, folder: Path, state: State) -> None:
        """Writes a checkpoint and drops the weights that no checkpoint names."""
        write_checkpoint(folder, state, {name: getattr(self, name) for name in self.__dataclass_fields__})
        named = {self.best_file}
        for path in checkpoints(folder):
            epoch = json.loads(path.joinpath("state.json").read_text("utf-8"))["more"]["best_epoch"]
            named.add(f"best-{epoch:05d}.safetensors")
        for file in folder.glob("best-*.safetensors"):
            if file.name not in named:
                file.unlink()

    def heed(self, entry: dict[str, Any], epoch: int) -> bool:
        """Counts an evaluation; whether it is the best so far."""
        score = store.score_of(entry, self.metric)
        self.history += 1
        if score > self.score:
            self.score, self.best_epoch, self.patience = score, epoch, 0
            return True
        self.patience += 1
        return False


def _different(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str:
    """What differs between two nested settings, in words."""
    words = []
    for key in sorted(old.keys() | new.keys()):
        name, left, right = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            words.append(_different(left, right, "" if key == "config" else f"{name}."))
        elif left != right:
            words.append("the data changed" if key == "fingerprint" else f"{name} changed from {left} to {right}")
    return ", ".join(word for word in words if word)


class _Speed:
    """Documents in a second, measured between two lines of `steps.jsonl`."""

    def __init__(self, documents: int, batch_size: int, last: dict[str, Any]) -> None:
        self.documents, self.batch_size, self.last = documents, batch_size, last
        self.since, self.done = time.monotonic(), 0

    def line(self, step: Progress, device: str) -> dict[str, Any] | None:
        """What is written of a step, if the last line is old enough."""
        self.done += self.batch_size if step.step < step.steps else self.documents - (step.steps - 1) * self.batch_size
        took = time.monotonic() - self.since
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


def torch_device(slot: str) -> str:
    """`cuda:0` for slot `cuda-0`; a GPU that torch cannot use is an error, never a silent change to the CPU."""
    if slot.startswith("cpu"):
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(f"This run is to use a GPU, but torch {torch.__version__} has none. Set train.device=cpu.")
    return slot.replace("-", ":")

"""What is made for a run before its first step: encoder, inputs, network, loss and state, on a device."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from core import losses
from core.config.schema import LossConfig, RunConfig, TrainConfig
from core.data.corpus import Corpus, describe_large_sets
from core.models import tokens
from core.models.batches import Inputs, SparseInputs, TokenInputs
from core.models.decoders import SequenceDecoder
from core.models.label_graph import add_label_graph
from core.models.label_names import start_at_names
from core.models.networks import TextNetwork, Transformer, build_network
from core.models.tfidf import TfidfNetwork
from core.models.tfidf_features import TfidfEncoder
from core.models.wide import WideEncoder, WideInputs
from core.system.errors import UserError
from core.trainer import distributed
from core.trainer.blocks import blocked
from core.trainer.checkpoint import separate_storage
from core.trainer.memory import BLOCKED_LABELS, check_memory_of_wide, check_memory_of_words, memory_free
from core.trainer.optimizer import learns_by_words
from core.trainer.precision import resolve_precision
from core.trainer.state import Loss, State

SPARSE_THREADS = 1
"""Of torch on the CPU: steps on sparse features are so small that a second thread makes them several times slower.

Not so above `BLOCKED_LABELS` labels, where all cores are used.
"""
log = logging.getLogger("tailscope")


class Reporter(Protocol):
    """Where a run reports its progress and finds requests to stop."""

    def report(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports at once; raises `Stopped` if a stop was requested."""

    def report_if_due(self, phase: str, fraction: float, **more: Any) -> None:
        """Reports if the last report is old enough."""

    def raise_if_stopped(self) -> None:
        """Raises `Stopped` if a stop was requested."""


class Encoder(Protocol):
    """What turns texts into numbers, and is kept with the run."""

    def save(self, folder: Path) -> None:
        """Writes what reads new texts."""


@dataclass
class Setup:
    """All that training needs, the same in every process of a run.

    Attributes:
        device: of this process.
        settings: of training, its precision resolved.
        encoder: what read the texts.
        inputs: of each part of the corpus.
        network: which is trained; with `train.shard` this process holds its share of it.
        whole: the network that is scored: a copy of its own where `network` is sharded, or where weights are averaged.
        state: before the first step.
        loss: of what `state.forward` gives.
        priors: share of the train documents that have each label, (L,), never 0 or 1.
        threads: of torch on the CPU.
    """

    device: str
    settings: TrainConfig
    encoder: Encoder
    inputs: dict[str, Inputs]
    network: nn.Module
    whole: nn.Module
    state: State
    loss: Loss
    priors: torch.Tensor
    threads: int

    def gather_weights(self) -> None:
        """Gathers the weights of a sharded network for scoring: every process must call it."""
        if self.state.averaged is not None:  # no sharded one: each step moves the whole average
            return
        weights = {name: distributed.gather_whole(value) for name, value in self.network.state_dict().items()}
        if self.whole is not self.network:
            self.whole.load_state_dict(weights)

    def plain_weights(self) -> dict[str, torch.Tensor]:
        """The weights of the network that is scored, on the CPU: a file takes them, and no step may come before it."""
        return separate_storage(self.whole.state_dict())

    def save_encoder(self, folder: Path) -> None:
        """Writes all that is needed, besides the weights, to read new texts."""
        self.encoder.save(folder)
        if isinstance(self.whole, TextNetwork) and isinstance(self.whole.body, Transformer):
            self.whole.body.encoder.config.save_pretrained(folder / "encoder")


def make_setup(config: RunConfig, corpus: Corpus, reporter: Reporter, device: str) -> Setup:
    """Makes all that training needs; from one seed the same in every process.

    Raises:
        UserError: settings that do not go together, an encoder that cannot be loaded, a device without that precision.
    """
    # Settings: what this device decides.
    settings = config.train.model_copy(update={"precision": resolve_precision(config.train.precision, device)})
    threads = SPARSE_THREADS
    if config.model.name != "tfidf" or len(corpus.labels) > BLOCKED_LABELS:
        threads = distributed.count_threads(distributed.world_size())
    torch.set_num_threads(threads)
    # Logits before training: those of the labels' frequencies, or those that are best for the loss.
    targets, documents = corpus.targets_of("train"), len(corpus.parts["train"])
    priors = torch.from_numpy(np.clip(corpus.counts, 0.5, documents - 0.5) / documents).float()
    start = torch.logit(priors)
    # Loss: that of the config, unless the model has its own.
    loss: Any = None
    if config.loss is not None:
        positives = losses.index_pairs(targets)
        loss = make_loss(config.loss, corpus, documents, positives)
        if config.model.bias == "loss":
            start = losses.constant_logits(loss, *positives, documents)
        loss = loss.to(device)
    elif too_long := describe_large_sets(config.model, np.diff(targets.indptr)):
        raise UserError(too_long)
    # Network: on the device, then sharded, then compiled; the optimizer gets the parameters that are there at last.
    encoder, inputs, network = make_network(config, corpus, start, reporter, device)
    if config.model.head == "label-graph":
        add_label_graph(network, targets)
    whole = network.to(device)
    if settings.shard and distributed.world_size() > 1:
        whole = copy.deepcopy(network) if distributed.rank() == 0 else network
        distributed.shard(network.body.encoder)  # type: ignore[union-attr, arg-type]
    if settings.compile:
        network.compile(dynamic=True)
    state = State.begin(network, settings, documents)
    whole = whole if state.averaged is None else state.averaged
    # A decoder has its own loss, of what it reads of a document.
    if loss is None:
        assert isinstance(network, TextNetwork)
        assert isinstance(network.head, SequenceDecoder)
        state.forward = network.features
        loss = network.head.write_loss if config.model.name == "encdec" else network.head.complete_loss
    # Blocks: with many labels the output layer and the loss become one, where they can.
    elif len(corpus.labels) > BLOCKED_LABELS and config.model.long != "window" and (found := blocked(network, loss)):
        state.forward, loss = found
        log.info("%d labels: the output layer and the loss are computed in blocks of labels", len(corpus.labels))
    return Setup(device, settings, encoder, inputs, network, whole, state, loss, priors, threads)


def make_loss(
    config: LossConfig, corpus: Corpus, documents: int, positives: tuple[torch.Tensor, torch.Tensor]
) -> nn.Module:
    """A loss for so many train documents; labels without one are left out of it.

    Args:
        config: the loss and its constants.
        corpus: whose labels are counted.
        documents: of the train part.
        positives: index pairs of its labels.
    """
    if (corpus.counts == 0).any():
        log.info("%d labels have no train document: they are left out of the loss", (corpus.counts == 0).sum())
    return losses.build_loss(
        config.name,
        corpus.counts,
        documents,
        setting=config.setting,
        on_missing="mask",
        labels=corpus.labels,
        positives=positives if config.mu == "auto" else None,
        **config.overrides(),
    )


def make_network(
    config: RunConfig, corpus: Corpus, start: torch.Tensor, reporter: Reporter, device: str
) -> tuple[Encoder, dict[str, Inputs], nn.Module]:
    """The encoder, what it made of each part, and a network whose logits start at `start`, (L,).

    Raises:
        UserError: the encoder cannot be loaded, or does not read what the settings ask; memory will not suffice.
    """
    # TF-IDF: features.
    if config.model.name == "tfidf":
        encoder, features = make_features(config, corpus, reporter)
        inputs: dict[str, Inputs] = {part: SparseInputs(rows) for part, rows in features.items()}
        torch.manual_seed(config.seed)
        words = features["train"].shape[1]
        by_words = learns_by_words(config, words, len(start))
        if by_words:
            log.info("%d words x %d labels: a step moves the weights of its documents' words alone", words, len(start))
            if config.train.average:
                raise UserError(
                    f"train.average moves all weights after each step, and a step of {words:,} words x {len(start):,} "
                    "labels moves those of its documents' words alone: set train.average=0, or train.optimizer=adamw."
                )
            check_memory_of_words(config, words, features["train"].shape[0], len(start), memory_free(device))
        return encoder, inputs, TfidfNetwork(words, start, config.model, by_words=by_words)
    # Tokens: of a pretrained encoder, or of a vocabulary that is learnt from the train part.
    reader: tokens.Subwords | tokens.Words
    if config.model.name == "transformer":
        reader = tokens.Subwords.load(tokens.encoder_source(config.model.encoder), config.model.encoder)
    else:
        reporter.report("learning the vocabulary", 0.02)
        reader = tokens.fit_encoder(corpus.texts(corpus.parts["train"]), config.model)
    if config.model.max_length > reader.most:
        raise UserError(
            f"model.max_length is {config.model.max_length}, but this encoder reads at most {reader.most} tokens at "
            "once: lower it, or read longer documents with model.long=window."
        )
    reporter.report("reading tokens", 0.02)
    made = tokens.tokenize(corpus, reader, lambda phase, done: reporter.report_if_due(phase, 0.02 + 0.02 * done))
    corpus.release_texts()
    read = {
        part: TokenInputs(made, reader, rows, config.model.max_length, config.model.long)
        for part, rows in corpus.parts.items()
    }
    both: Encoder = reader
    inputs = dict(read)
    # Weights: drawn right after the seed is set, so that a run draws the same ones whatever was read before.
    torch.manual_seed(config.seed)
    network = build_network(config.model, reader.size, start)
    # Wide path: features of the same documents.
    if config.model.wide:
        weigher, features = make_features(config, corpus, reporter)
        words = features["train"].shape[1]
        check_memory_of_wide(config, network, words, len(read["train"]), len(start), memory_free(device))
        network.widen(words, len(start))
        both = WideEncoder(reader, weigher)
        inputs = {part: WideInputs(one, SparseInputs(features[part])) for part, one in read.items()}
    if config.model.names:
        assert isinstance(reader, tokens.Subwords)
        start_at_names(network, reader, corpus.labels)
    if config.train.recompute:
        if config.model.name != "transformer":
            raise UserError("train.recompute is for model 'transformer': the others keep little.")
        network.body.encoder.gradient_checkpointing_enable()  # type: ignore[union-attr, operator]
    return both, inputs, network


def make_features(
    config: RunConfig, corpus: Corpus, reporter: Reporter
) -> tuple[TfidfEncoder, dict[str, sp.csr_array]]:
    """The TF-IDF encoder, fitted on the train part, and its features of each part, (N, V)."""
    reporter.report("weighing words", 0.02)
    encoder = TfidfEncoder.fit(corpus.texts(corpus.parts["train"]), config.model)
    features = {}
    for part, rows in corpus.parts.items():
        features[part] = encoder.encode(corpus.texts(rows))
        reporter.raise_if_stopped()
    corpus.release_texts()
    log.info("features of the train part: %d x %d", *features["train"].shape)
    return encoder, features


def torch_device(slot: str) -> str:
    """`cuda:0` for slot `cuda-0`; a GPU that torch cannot use is an error, never a silent change to the CPU.

    Raises:
        UserError: torch has no GPU.
    """
    if slot.startswith("cpu"):
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(f"This run is to use a GPU, but torch {torch.__version__} has none. Set train.device=cpu.")
    return slot.replace("-", ":")

"""Memory: what training takes, what is free, and how much is computed at once."""

from __future__ import annotations

from typing import Any

import psutil
import torch
from torch import nn

from core.config.schema import RunConfig
from core.models.batches import SCORING_BATCH
from core.models.networks import TextNetwork, Transformer
from core.models.tfidf import TfidfNetwork, WordSums
from core.system.errors import UserError
from core.trainer import distributed
from core.trainer.precision import resolve_precision

CACHED = 2048
"""Tokens of which a CPU computes a transformer at once: with more, documents of 512 tokens take twice as long each."""
SCORES_AT_ONCE = 1 << 22
"""Scores that are held densely while the best of each document are picked."""
BLOCKED_LABELS = 4000
"""Above so many labels the output layer and the loss are computed in blocks, where the loss has that form."""
BASE_BYTES = 700_000_000
"""What Python, PyTorch and a corpus take before a network is there."""
STATE_BYTES = 256
"""For each token, layer and unit, until the gradient is taken: measured with MiniLM, 32 documents of 128 tokens."""
LOGIT_BYTES = 24
"""For each logit of a batch of a layer that learns by words: its loss and gradient, and what these are made of."""
SCORE_BYTES = 56
"""For each score of an evaluation: logits, probabilities in two orders, ranks, what is kept."""


def tokens_at_once(network: nn.Module, most: int) -> int:
    """How many of at most so many tokens a network computes at once on its device."""
    is_transformer = isinstance(network, TextNetwork) and isinstance(network.body, Transformer)
    return min(most, CACHED) if is_transformer and next(network.parameters()).device.type == "cpu" else most


def memory_needed(
    config: RunConfig, network: nn.Module, documents: int, labels: int, *, in_blocks: bool = False
) -> int:
    """Bytes that training takes at most, roughly: weights, gradients, what the optimizer keeps, a step's results.

    Args:
        config: of the run.
        network: which is trained; it may be on any device.
        documents: of the train part.
        labels: L.
        in_blocks: the output layer and the loss are computed in blocks of labels.
    """
    if isinstance(network, TfidfNetwork) and isinstance(network.features, WordSums):
        return memory_of_words(config, len(network.features.weight), documents, labels)
    # Weights, their gradients, what the optimizer keeps of each, and their average.
    kept = bytes_kept(config)
    weights = 0
    for parameter in network.parameters():
        taken = parameter.numel() * (4 + (kept if parameter.requires_grad else 0))
        taken += 4 * parameter.numel() if config.train.average else 0
        # The first process has a whole copy besides its share, for scoring.
        if distributed.is_share(parameter):
            taken = taken // distributed.world_size() + 4 * parameter.numel()
        weights += taken
    # ... and the copies in half precision that an evaluation multiplies by.
    if resolve_precision(config.train.precision, next(network.parameters()).device.type) != "fp32":
        weights += sum(2 * part.weight.numel() for part in network.modules() if isinstance(part, nn.Linear))
    # Logits of a batch, their loss and gradient.
    batch = min(config.train.batch_size, documents)
    logits = 0 if in_blocks else 12 * batch * labels
    if config.loss is None:  # a decoder gives some for each label that it writes, and in evaluation for its beam
        logits = 12 * labels * max(batch * config.model.max_labels, SCORING_BATCH * config.model.beam)
    # What the layers keep of each token for the gradient.
    states = 0
    if config.model.name != "tfidf":
        width, layers = config.model.embedding, 2
        if config.model.name == "transformer":
            body: Any = network.body
            width, layers = body.width, 1 if config.model.freeze else body.encoder.config.num_hidden_layers
        read = min(batch * config.model.max_length, tokens_at_once(network, config.train.max_tokens))
        states = STATE_BYTES * width * layers * read
    # An evaluation comes on top: memory that a step has freed is not given back at once.
    scores = SCORE_BYTES * min(SCORES_AT_ONCE, SCORING_BATCH * labels)
    return BASE_BYTES + weights + logits + states + scores


def bytes_kept(config: RunConfig) -> int:
    """Of each trained weight besides itself: its gradient, and AdamW's two moments or SGD's one."""
    return 4 + (8 if config.train.optimizer == "adamw" else 4)


def check_memory_of_wide(
    config: RunConfig, network: TextNetwork, words: int, documents: int, labels: int, free: int
) -> None:
    """Refuses a wide path, before it is made, if memory will not suffice for its weights.

    Args:
        config: of the run.
        network: which it is to be added to.
        words: V.
        documents: of the train part.
        labels: L.
        free: bytes.

    Raises:
        UserError: it will not; the message has the setting that would do.
    """
    rest = memory_needed(config, network, documents, labels)
    column = labels * (4 + bytes_kept(config) + (4 if config.train.average else 0))
    what = f"model.wide=true trains {words:,} words x {labels:,} labels, which with the network take"
    _check_room(what, rest + words * column, free, words, (free - rest) // column, "leave model.wide=false")


def _check_room(what: str, needed: int, free: int, words: int, fitting: int, otherwise: str) -> None:
    """Refuses what needs more bytes than are free.

    Args:
        what: takes them, the first words of a clause.
        needed: bytes.
        free: bytes.
        words: of the vocabulary.
        fitting: words that have room; fewer than one in a hundred would be no vocabulary.
        otherwise: what to do then.
    """
    if needed <= free:
        return
    advice = f"set model.max_features={fitting}" if fitting > words // 100 else otherwise
    raise UserError(
        f"Memory will not suffice: {what} about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free for it. "
        f"To train it, {advice}."
    )


def memory_of_words(config: RunConfig, words: int, documents: int, labels: int) -> int:
    """Bytes that a linear layer takes that learns by words, roughly: it keeps no matrix beside its weights.

    Args:
        config: of the run.
        words: V.
        documents: of the train part.
        labels: L.
    """
    weights = 4 * (words + 1) * (labels + 1)
    logits = LOGIT_BYTES * min(config.train.batch_size, documents) * labels
    scores = SCORE_BYTES * min(SCORES_AT_ONCE, SCORING_BATCH * labels)
    return BASE_BYTES + weights + logits + scores


def check_memory_of_words(config: RunConfig, words: int, documents: int, labels: int, free: int) -> None:
    """Refuses a layer that learns by words, before it is made, if memory will not suffice; `free` is in bytes.

    Raises:
        UserError: it will not; the message has the setting that would do.
    """
    none, one, needed = (memory_of_words(config, many, documents, labels) for many in (0, 1, words))
    what, otherwise = f"{words:,} words x {labels:,} labels take", "take model 'tree', or fewer labels"
    _check_room(what, needed, free, words, (free - none) // (one - none), otherwise)


def memory_free(device: str) -> int:
    """Bytes that a run can hold on a device: those that are free and, on a CPU, those that this process holds already.

    What is foretold of a run is all that it will hold, texts and features included.
    """
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss)

"""Training as a generator: it yields progress after each step, and the caller stops it with `break`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from core.config.schema import TrainConfig
from core.losses import index_pairs
from core.models.batches import Inputs
from core.system.errors import Diverged, UserError
from core.trainer import distributed
from core.trainer.optimizer import FactoredAdagrad
from core.trainer.precision import autocast
from core.trainer.state import Loss, Progress, State

DENSE_TARGETS = 1000
"""Up to this many labels targets go to the loss as a matrix, above it as index pairs."""
EXPLODED = 1000.0
"""A step's loss in multiples of the first step's, above which training has diverged."""
log = logging.getLogger("tailscope")


def train(
    state: State,
    loss: Loss,
    inputs: Inputs,
    targets: sp.csr_array,
    *,
    config: TrainConfig,
    seed: int,
    device: str,
) -> Iterator[Progress]:
    """Trains on N documents and their targets (N, L), from the step that the state has reached to the last epoch.

    A loss times a constant trains the same network, which makes losses comparable. With `optimizer=sgd` each step has
    the length of the learning rate: Nesterov momentum on gradients scaled to norm 1; the many rare words are not pushed
    as hard as the frequent ones, which is where Adam loses more than a point of micro-F1 on TF-IDF features. With
    thousands of labels `FactoredAdagrad` does push them as hard, and is the better for it.

    The caller sets `state.unevaluated` to None when it has evaluated the network after an epoch's last step; a state
    that still has it yields that step once more.

    Raises:
        Diverged: the loss is no longer a number, or a thousand times what it was.
        UserError: memory runs out at one document.
    """
    rng = np.random.default_rng(seed)
    sampler = class_aware(targets) if config.resample else None
    for epoch in range(1, config.epochs + 1):
        # Order: drawn for the epochs that are over as well, so that a resumed run draws what it would have drawn.
        rows = sampler(rng) if sampler else rng.permutation(len(inputs))
        batches = inputs.order(rows, rng, config.batch_size)
        if epoch < state.epoch:
            continue
        # Start: of a new epoch, or where a checkpoint was written in the middle of one or before its evaluation.
        if epoch > state.epoch:
            state.epoch, state.step, state.loss_sum = epoch, 0, 0.0
        elif state.unevaluated:
            yield state.unevaluated
        state.network.train()
        preparation = Preparation(state, inputs, targets, device)
        for batch, prepared in prepare_ahead(preparation, batches[state.step :]):
            # Step: the rate is read before it, for the schedule moves on at its end.
            rate = max(group["lr"] for group in state.optimizer.param_groups)
            value, norm = take_step(state, loss, preparation, batch, prepared, config)
            # Count.
            state.step += 1
            state.loss_sum += value
            if math.isnan(state.first_loss) and targets[batch].nnz:  # a tolerant loss of no positive is next to nothing
                state.first_loss = value
            # Check.
            if not math.isfinite(state.loss_sum) or not math.isfinite(norm):
                raise Diverged("The loss stopped being a number", epoch=epoch, step=state.step)
            if value > EXPLODED * max(state.first_loss, 1e-3):
                words = f"The loss rose to {value:.3g}, from {state.first_loss:.3g}"
                raise Diverged(words, epoch=epoch, step=state.step)
            # Report: the caller may score the network, which leaves it in evaluation mode.
            mean, ended = state.loss_sum / state.step, state.step == len(batches)
            progress = Progress(epoch, state.step, len(batches), mean, rate, norm, ended)
            state.unevaluated = progress if ended else None
            yield progress
            state.network.train()


@dataclass(frozen=True)
class Part:
    """Documents that are computed at once, on the device.

    Attributes:
        rows: the documents.
        tensors: what the network reads.
        targets: as `targets_of` makes them.
        weight: the part's share of the documents of its batch.
    """

    rows: np.ndarray
    tensors: tuple[Tensor | None, ...]
    targets: Tensor | tuple[Tensor, Tensor]
    weight: float


@dataclass(frozen=True)
class Prepared:
    """A batch in parts.

    Attributes:
        tokens_at_once: the limit that the parts were made for.
        parts: none where this process has no document of the batch.
    """

    tokens_at_once: int
    parts: list[Part]


@dataclass(frozen=True)
class Preparation:
    """Makes parts of batches: those documents that this process computes, on its device."""

    state: State
    inputs: Inputs
    targets: sp.csr_array
    device: str

    def prepare(self, batch: np.ndarray) -> Prepared:
        """A batch in parts that have room in memory."""
        limit, rows = self.state.tokens_at_once, distributed.share_rows(batch)
        parts = self.inputs.parts(rows, limit) if len(rows) else []
        return Prepared(limit, [self.make_part(part, len(part) / len(batch)) for part in parts])

    def make_part(self, rows: np.ndarray, weight: float) -> Part:
        """Some documents as one part."""
        return Part(rows, self.inputs.tensors(rows, self.device), targets_of(self.targets[rows], self.device), weight)


def prepare_ahead(preparation: Preparation, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Prepared]]:
    """Batches in parts; while one is computed, a thread prepares the next, so that a GPU need not wait."""
    with ThreadPoolExecutor(1) as thread:
        futures = (thread.submit(preparation.prepare, batch) for batch in batches)
        following = next(futures, None)
        for batch in batches:
            assert following is not None, "as many as there are batches"
            prepared, following = following.result(), next(futures, None)
            yield batch, prepared


def take_step(
    state: State, loss: Loss, preparation: Preparation, batch: np.ndarray, prepared: Prepared, config: TrainConfig
) -> tuple[float, float]:
    """One step of the optimizer; returns its loss and the norm of its gradient.

    The norm is 0 where fp16 overflowed: the scaler leaves such a step out.
    """
    # Gradient: where memory runs out, the batch is computed again in smaller parts.
    while True:
        state.optimizer.zero_grad(set_to_none=True)
        if prepared.tokens_at_once != state.tokens_at_once:  # memory ran out since
            prepared = preparation.prepare(batch)
        try:
            value = compute_gradient(state, loss, preparation, batch, prepared.parts, config)
            break
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            lower_tokens_at_once(state, preparation.inputs, batch, config)
        torch.cuda.empty_cache()
        log.info("memory ran out: at most %d tokens are computed at once from now on", state.tokens_at_once)
    # Norm: of the gradient itself, without the factor of fp16.
    state.scaler.unscale_(state.optimizer)
    gradients = [parameter.grad for parameter in state.parameters if parameter.grad is not None]
    local = [distributed.local_part(gradient) for gradient in gradients]
    # Length: SGD's steps have that of the learning rate, by words they do by themselves; AdamW's gradients are clipped.
    if isinstance(state.optimizer, FactoredAdagrad):
        norm = state.optimizer.measure_norm()
    elif (norm := distributed.gradient_norm(gradients)) > 0 and config.optimizer == "sgd":
        torch._foreach_div_(local, norm)
    elif config.clip and norm > config.clip:
        torch._foreach_mul_(local, config.clip / norm)
    # Update.
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.schedule.step()
    state.update_average()
    return value, 0.0 if state.scaler.is_enabled() and not math.isfinite(norm) else norm


def lower_tokens_at_once(state: State, inputs: Inputs, batch: np.ndarray, config: TrainConfig) -> None:
    """Halves the tokens that are computed at once, after memory ran out at a batch.

    Raises:
        UserError: it cannot be halved: each document is a part of its own, or the network is sharded.
    """
    if config.shard:
        raise UserError(
            "Memory ran out, and with train.shard the others cannot be told: lower train.max_tokens."
        ) from None
    pieces = len(inputs.parts(batch, state.tokens_at_once))
    if pieces == len(batch):
        raise UserError(
            "Memory ran out at a single document. Lower model.max_length, or set train.recompute=true."
        ) from None
    state.tokens_at_once = state.tokens_at_once // 2 if pieces > 1 else limit_for_two_parts(inputs, batch)


def limit_for_two_parts(inputs: Inputs, batch: np.ndarray) -> int:
    """A limit of tokens, a power of two, that makes at least two parts of a batch that was computed in one."""
    limit = 1 << 30
    while len(inputs.parts(batch, limit)) == 1 and limit > 1:
        limit //= 2
    return limit


def compute_gradient(
    state: State, loss: Loss, preparation: Preparation, batch: np.ndarray, parts: list[Part], config: TrainConfig
) -> float:
    """The mean loss of a batch; its gradient, summed over parts and processes, is left in the parameters."""
    total = 0.0
    if config.skip_below and state.epoch > 1 and parts:
        parts, total = skip_learnt(state, loss, preparation, batch, parts, config)
    # With a sharded network all processes make equally many parts: those that are missing count for nothing.
    if missing := distributed.missing_parts(len(parts), preparation.device, sharded=config.shard):
        parts = parts + [preparation.make_part(batch[:1], 0.0)] * missing
    for part in parts:
        with autocast(config.precision, preparation.device):
            read = state.forward(*part.tensors)
        value = loss(read.float(), part.targets) * part.weight
        state.scaler.scale(value).backward()
        total += value.item()
    return distributed.sum_gradients(state.parameters, total)


def skip_learnt(
    state: State, loss: Loss, preparation: Preparation, batch: np.ndarray, parts: list[Part], config: TrainConfig
) -> tuple[list[Part], float]:
    """Parts of those documents of a batch that still teach, and the loss of the others.

    A document teaches where the gradient of its logits is at least `skip_below` times as long as the mean of the batch.
    A first pass tells, which keeps nothing for a gradient of the weights and drops nothing out: it takes a third of the
    time of a step, so that skipping pays where two documents of three are skipped, or more.

    Source: Jiang et al. 2019 (selective backpropagation), by gradient instead of loss.
    """
    # Gradient of each document's logits, or of what the output layer reads.
    kept, lengths = [], []
    state.network.eval()
    for part in parts:
        with torch.no_grad(), autocast(config.precision, preparation.device):
            read = state.forward(*part.tensors).float()
        kept.append(read.requires_grad_())
        (slopes,) = torch.autograd.grad(loss(read, part.targets) * part.weight, read)
        lengths.append(slopes.flatten(1).norm(dim=1).cpu().numpy())
    state.network.train()
    # Those that are left out count in the loss and not in the gradient.
    least, total = config.skip_below * np.concatenate(lengths).mean(), 0.0
    teaching = []
    for part, read, length in zip(parts, kept, lengths, strict=True):
        teaches = length >= least
        teaching.append(part.rows[teaches])
        if (left_out := part.rows[~teaches]).size:
            targets = targets_of(preparation.targets[left_out], preparation.device)
            value = loss(read.detach()[torch.from_numpy(~teaches).to(read.device)], targets)
            total += value.item() * len(left_out) / len(batch)
    # The others in as few parts as have room.
    rows = np.concatenate(teaching)
    again = preparation.inputs.parts(rows, state.tokens_at_once)
    return [preparation.make_part(part, len(part) / len(batch)) for part in again], total


def targets_of(targets: sp.csr_array, device: str) -> Tensor | tuple[Tensor, Tensor]:
    """Targets of B rows as the losses take them: (B, L) float32, or index pairs of the ones where L is large."""
    if targets.shape[1] <= DENSE_TARGETS:
        return torch.from_numpy(targets.toarray().astype(np.float32)).to(device)
    rows, columns = index_pairs(targets)
    return rows.to(device), columns.to(device)


def class_aware(targets: sp.csr_array) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws as many rows as there are: a label first, each as often as any other, then one of its documents.

    Source: Shen et al. 2016; Wu et al. 2020 pair it with the distribution-balanced loss.
    """
    columns = sp.csc_array(targets)
    sizes = np.diff(columns.indptr)
    labels = np.flatnonzero(sizes)

    def draw(rng: np.random.Generator) -> np.ndarray:
        chosen = rng.permutation(np.resize(labels, targets.shape[0]))
        return columns.indices[columns.indptr[chosen] + rng.integers(0, sizes[chosen])]

    return draw

"""The optimizer, the learning rate of each parameter, and how rates rise and fall."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config.schema import RunConfig, TrainConfig
from core.models.networks import TextNetwork, Transformer
from core.models.tfidf import Product, TfidfNetwork, WordSums, sum_rows
from core.trainer import distributed

ADAM_EPSILON = 1e-15
"""So small that a step does not depend on the scale of the loss: a mean over 18,211 labels has gradients of about 1e-9,
which the usual 1e-8 would all but stop."""


MANY_WEIGHTS = 1 << 24
"""Words times labels above which a linear layer is trained by the words of its batches."""
WORD_RATE = 0.15
"""Learning rate of its steps as a share of `train.learning_rate`."""
TINY = 1e-18
"""Below the root of whatever squares of a gradient of norm 1 sum to in float32."""
BLOCK = 1 << 17
"""Weights that are moved at once: half a megabyte, which stays in the cache."""


class _Uncompiled(torch.optim.Optimizer):
    """First of an optimizer's bases: its methods as torch wrote them, not as it wraps them for its compiler.

    The wrapped ones load the compiler, which takes a third of the time in which a run starts, and 70 MB. No step of an
    optimizer is compiled here.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class _SGD(_Uncompiled, torch.optim.SGD):
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class _AdamW(_Uncompiled, torch.optim.AdamW):
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


@dataclass(frozen=True)
class Batch:
    """The gradient of weights (V, L) by a batch of B documents with U words, X'G with X (B, U) and G (B, L).

    Attributes:
        words: rows of the weights, rising, (U,).
        documents: the documents of each word, one word after another, (nnz,).
        values: their features.
        offsets: where each word begins, and the last ends, (U + 1,).
        slopes: gradient of the logits, (B, L).
        of_words: squared gradients of each word, summed over labels, (U,).
        of_labels: of each label, summed over words, (L,).
    """

    words: Tensor
    documents: Tensor
    values: Tensor
    offsets: Tensor
    slopes: Tensor
    of_words: Tensor
    of_labels: Tensor

    @classmethod
    def join(cls, products: Sequence[Product], device: torch.device | str = "cpu") -> Batch:
        """The gradient of one product or more, which may come from other devices, and its sums of squares."""
        # One product, its documents one after another, and then the same by words.
        columns, values, slopes = (
            torch.cat([getattr(one, name).to(device) for one in products]) for name in ("columns", "values", "slopes")
        )
        sizes = torch.cat([one.offsets.diff().to(device) for one in products])
        order = columns.argsort(stable=True)
        words, counts = torch.unique_consecutive(columns[order], return_counts=True)
        documents, values = torch.repeat_interleave(sizes)[order], values[order]
        # Sums of squares, without the matrix X'G: of word i it is (GG'X)_i . X_i, of label j (XX'G)_j . G_j.
        features = values.new_zeros(len(slopes), len(words))
        features.index_put_((documents, torch.repeat_interleave(counts)), values, accumulate=True)
        of_words = (slopes @ slopes.T @ features).mul_(features).sum(0).clamp_min_(0)
        of_labels = (features @ features.T @ slopes).mul_(slopes).sum(0).clamp_min_(0)
        return cls(words, documents, values, F.pad(counts.cumsum(0), (1, 0)), slopes, of_words, of_labels)


class FactoredAdagrad(_Uncompiled, torch.optim.Optimizer):
    """Adagrad of weights (V, L) that keeps one number for each word and one for each label, not one for each weight.

    A weight's step is rate * g_ij / sqrt(r_i c_j / s): to r_i and c_j the squared gradients of word i and of label j
    sum over all steps, to s those of all. So rare words and rare labels take steps as long as frequent ones, and a word
    that no document of the batch has takes none. A bias has a sum of its own. Gradients are scaled to norm 1 before.

    Source: Duchi et al. 2011 (Adagrad); sums by row and column are those of Shazeer & Stern 2018 (Adafactor).

    Args:
        network: made with `by_words`.
        lr: learning rate.
        weight_decay: share of the learning rate by which the weights of a step's words shrink.
    """

    def __init__(self, network: TfidfNetwork, lr: float, weight_decay: float = 0.0) -> None:
        assert isinstance(network.features, WordSums)
        self.layer, self.bias, self.norm = network.features, network.bias, 0.0
        self.batch: Batch | None = None
        super().__init__([self.layer.weight, self.bias], {"lr": lr, "weight_decay": weight_decay})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of a batch."""
        super().zero_grad(set_to_none)
        self.layer.products.clear()

    @torch.no_grad()
    def measure_norm(self) -> float:
        """The norm of the gradient of all weights and biases, of all processes; each of them must call it."""
        products = distributed.gather_lists(self.layer.products)
        self.batch = Batch.join(products, self.layer.weight.device) if products else None
        squares = [self.bias.grad.square()] if self.bias.grad is not None else []
        squares += [self.batch.of_labels] if self.batch else []
        self.norm = math.sqrt(sum(float(square.sum()) for square in squares))
        return self.norm

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One step, after `measure_norm`; none where the gradient is 0."""
        (group,) = self.param_groups
        if not self.norm > 0:
            return
        if self.bias.grad is not None:
            squares = self._sums(self.bias, "squares", len(self.bias))
            gradient = self.bias.grad / self.norm
            squares.addcmul_(gradient, gradient)
            self.bias.addcdiv_(gradient, squares.sqrt().clamp_min_(TINY), value=-group["lr"])
        if self.batch:
            self._move_words(self.batch, group["lr"], group["weight_decay"])

    def _move_words(self, batch: Batch, rate: float, decay: float) -> None:
        weight = self.layer.weight
        of_words, of_labels = (
            self._sums(weight, name, size) for name, size in zip(("words", "labels"), weight.shape, strict=True)
        )
        of_words.index_add_(0, batch.words, batch.of_words, alpha=self.norm**-2)
        of_labels.add_(batch.of_labels, alpha=self.norm**-2)
        # The divisors of a step are those of its words and of its labels: they go into the factors of the product.
        by_label = self.norm * of_labels.sqrt().clamp_min_(TINY)
        by_word = of_words[batch.words].sqrt().clamp_min_(TINY) / of_labels.sum().sqrt()
        slopes = batch.slopes / by_label
        values = batch.values / by_word.repeat_interleave(batch.offsets.diff())
        # Steps, some words at a time.
        block = max(1, BLOCK // weight.shape[1])
        for start in range(0, len(batch.words), block):
            words, offsets = batch.words[start : start + block], batch.offsets[start : start + block + 1]
            first, last = int(offsets[0]), int(offsets[-1])
            steps = sum_rows(slopes, batch.documents[first:last], values[first:last], offsets - first)
            if decay:
                steps.add_(weight[words], alpha=decay)
            weight.index_add_(0, words, steps, alpha=-rate)

    def _sums(self, parameter: nn.Parameter, name: str, size: int) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = parameter.new_zeros(size)
        return state[name]


def learns_by_words(config: RunConfig, words: int, labels: int) -> bool:
    """Whether a network of so many words and labels is trained by `FactoredAdagrad`."""
    linear = config.model.name == "tfidf" and not config.model.hidden
    return linear and config.train.optimizer == "sgd" and words * labels > MANY_WEIGHTS


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, whose parameters have rates of their own (`group_parameters`).

    A network that learns by words has `FactoredAdagrad` in the place of SGD.
    """
    if isinstance(network, TfidfNetwork) and isinstance(network.features, WordSums):
        return FactoredAdagrad(network, config.learning_rate * WORD_RATE, config.weight_decay)
    if config.optimizer == "sgd":
        return _SGD(
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            lr=config.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=config.weight_decay,
        )
    groups = group_parameters(network, config)
    return _AdamW(groups, weight_decay=config.weight_decay, eps=ADAM_EPSILON, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of so many steps in all."""
    if config.warmup or config.schedule != "linear":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, config=config, steps=steps))
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)


def rate_factor(step: int, *, config: TrainConfig, steps: int) -> float:
    """The learning rate of a step, from 0, as a share of the highest: it rises, then follows the schedule."""
    warmup = max(1, round(config.warmup * steps))
    left = max(0.0, (steps - step) / max(1, steps - warmup))
    factors = {"linear": left, "cosine": (1 - math.cos(math.pi * min(left, 1.0))) / 2, "constant": 1.0}
    return min((step + 1) / warmup, factors[config.schedule])


def group_parameters(network: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Trained parameters with their learning rates: each layer of a transformer has its own, and so has the head.

    Biases and the scales of norms do not decay. Parameters of which a process holds a share are kept apart.
    """
    body = network.body if isinstance(network, TextNetwork) and isinstance(network.body, Transformer) else None
    # A transformer's layers learn the more slowly the lower they are.
    rates: dict[int, float] = {}
    if body is not None:
        layers = body.layers()
        for depth, layer in enumerate(layers):
            rate = config.learning_rate * config.layer_decay ** (len(layers) - 1 - depth)
            rates |= {id(parameter): rate for parameter in layer}
    # Whatever is no such layer is the head, or a whole network that is no transformer.
    head_rate = config.learning_rate * (config.head_rate if body is not None else 1.0)
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            rate, decays = rates.get(id(parameter), head_rate), parameter.ndim > 1
            groups.setdefault((rate, decays, distributed.is_share(parameter)), []).append(parameter)
    return [
        {"params": parameters, "lr": rate} | ({} if decays else {"weight_decay": 0.0})
        for (rate, decays, _), parameters in groups.items()
    ]

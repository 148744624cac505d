"""The optimizer, the learning rate of each parameter, and how rates rise and fall."""

from __future__ import annotations

import inspect
import math
from functools import partial
from typing import Any

import torch
from torch import nn

from core.config.schema import TrainConfig
from core.models.networks import TextNetwork, Transformer
from core.trainer import distributed

ADAM_EPSILON = 1e-15
"""So small that a step does not depend on the scale of the loss: a mean over 18,211 labels has gradients of about 1e-9,
which the usual 1e-8 would all but stop."""


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


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, whose parameters have rates of their own (`group_parameters`)."""
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

"""All that training changes, and where it stands after a step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.config.schema import TrainConfig
from core.trainer.memory import tokens_at_once
from core.trainer.optimizer import FactoredAdagrad, make_optimizer, make_schedule

Loss = Callable[[Tensor, Any], Tensor]
"""From what `State.forward` gives for B documents, and their targets as `core.trainer.loop.targets_of` makes them, to
one number."""


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step.

    Attributes:
        epoch: from 1.
        step: of the epoch, from 1.
        steps: of an epoch.
        train_loss: mean loss of the epoch's steps so far.
        learning_rate: of this step, the highest of all parameters.
        gradient_norm: of this step, before it is clipped or scaled.
        ended_epoch: this was the epoch's last step; the network may be scored now.
    """

    epoch: int
    step: int
    steps: int
    train_loss: float
    learning_rate: float
    gradient_norm: float
    ended_epoch: bool


@dataclass
class State:
    """All that training changes, so that it can be written to a checkpoint and resumed.

    Attributes:
        tokens_at_once: tokens that are computed at once, padding included; halved when memory runs out.
        epoch: the current one, from 1; 0 before the first.
        step: how many of its steps are done.
        loss_sum: sum of their losses.
        first_loss: loss of the first step with a positive; NaN before it.
        unevaluated: the last step of an epoch that is still to be evaluated.
        parameters: those that are trained by a gradient in `Parameter.grad`.
        averaged: a copy of the network whose weights are a moving average of those after each step; None: none is kept.
        decay: share of the average that a step keeps, once there are many.
        forward: what the loss is computed from: the network's logits (B, L), or what its output layer reads (B, H).
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    tokens_at_once: int
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    first_loss: float = math.nan
    unevaluated: Progress | None = None
    parameters: list[nn.Parameter] = field(default_factory=list)
    averaged: nn.Module | None = None
    decay: float = 0.0
    forward: Callable[..., Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.forward = self.network

    @classmethod
    def begin(cls, network: nn.Module, config: TrainConfig, documents: int) -> State:
        """The state before the first step over so many documents."""
        optimizer = make_optimizer(network, config)
        # The weights of a layer that learns by words have no gradient of their own.
        apart = optimizer.layer.weight if isinstance(optimizer, FactoredAdagrad) else None
        steps = math.ceil(documents / config.batch_size)
        return cls(
            network,
            optimizer,
            make_schedule(optimizer, config, steps * config.epochs),
            torch.amp.GradScaler("cuda", enabled=config.precision == "fp16"),
            tokens_at_once(network, config.max_tokens),
            parameters=[one for one in network.parameters() if one.requires_grad and one is not apart],
            averaged=copy.deepcopy(network) if config.average else None,
            decay=max(0.0, 1 - 1 / (config.average * steps)) if config.average else 0.0,
        )

    @property
    def scored(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged one where there is one."""
        return self.network if self.averaged is None else self.averaged

    @torch.no_grad()
    def update_average(self) -> None:
        """Moves the average towards the weights after a step.

        With decay d the weights after step t of n count as d^(n - t), and the counts are scaled to sum 1: the weights
        before the first step have no part in it.
        """
        if self.averaged is None:
            return
        done = self.schedule.last_epoch  # the schedule counts steps
        share = (1 - self.decay) / (1 - self.decay**done)
        pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
        for average, parameter in pairs:
            if parameter.requires_grad:
                average.lerp_(parameter, share)

"""The output layer and the loss in one, block by block of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.losses import LongTailLoss
from core.losses.output_layer import linear_loss
from core.models.networks import Linear, TextNetwork
from core.models.tfidf import TfidfNetwork
from core.trainer.state import Loss


def blocked(network: nn.Module, loss: nn.Module) -> tuple[Callable[..., Tensor], Loss] | None:
    """The network up to its output layer, and that layer with the loss in one, which never holds logits (B, L).

    None where there is no such form: a loss that needs all logits, a head that is more than a linear layer, a wide
    path, a label graph, which makes all weights together.
    """
    # What the output layer reads, and that layer.
    if isinstance(network, TextNetwork) and isinstance(network.head, Linear) and network.wide is None:
        output: nn.Linear = network.head.output
        forward: Callable[..., Tensor] = network.features
    elif isinstance(network, TfidfNetwork) and network.output is not None:
        output, forward = network.output, network.hidden
    else:
        return None
    if not isinstance(loss, LongTailLoss) or parametrize.is_parametrized(output):
        return None

    def blocked_loss(features: Tensor, targets: Any) -> Tensor:
        return linear_loss(loss, features, output.weight, output.bias, targets)

    return forward, blocked_loss

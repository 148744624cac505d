"""What an encoder does on a CPU in a form that is fast there: attention in half precision, and dropout.

Both give what PyTorch's own give, up to rounding and to which numbers are drawn: measurements are in
tests/benchmarks/RESULTS.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "sdpa-float32-gradients"
"""The name under which transformers knows `attend`."""
STEPS = 1 << 16
"""Values that a drawn number takes: a probability of dropout is rounded to a multiple of 1 / STEPS."""


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
) -> tuple[Tensor, None]:
    """Scaled dot products, which on a CPU are computed in float32 where they have a gradient.

    Up to a few hundred tokens PyTorch's backward pass takes much longer in bfloat16 than in float32. Everything else is
    as in transformers' `sdpa`.

    Args:
        module: the layer.
        query: (B, heads, T, D); `key` and `value` likewise.
        key: what is looked at.
        value: what is read.
        attention_mask: (B, 1, T, T), true where a token may be read; None: everywhere.
        more: as transformers passes it.

    Returns:
        What each token reads, (B, T, heads, D), in the precision of the query; no weights.
    """
    kind = query.dtype
    if query.device.type != "cpu" or kind == torch.float32 or not query.requires_grad:
        read, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        return read, None
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast("cpu", enabled=False):
        read, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **more)
    return read.to(kind), None


class Dropout(nn.Module):
    """Dropout whose mask on a CPU comes from 64 random bits for four values, where PyTorch draws one number for each.

    A CPU draws with one core, which took a tenth of a step. On another device it is PyTorch's own.

    Args:
        p: the share that is dropped, 0 to 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, read: Tensor) -> Tensor:
        """The same shape; in evaluation what comes in."""
        dropped = round(self.p * STEPS)
        if not self.training or not dropped:
            return read
        if read.device.type != "cpu" or dropped == STEPS:
            return functional.dropout(read, self.p)
        size = read.numel()
        bits = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        kept = bits.view(torch.int16)[:size].view(read.shape) >= dropped - STEPS // 2
        return read * kept * (STEPS / (STEPS - dropped))


def use_fast_dropout(network: nn.Module) -> None:
    """Puts `Dropout` in place of each of PyTorch's in a network."""
    for name, child in network.named_children():
        if type(child) is nn.Dropout:
            setattr(network, name, Dropout(child.p).train(child.training))
        else:
            use_fast_dropout(child)


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)

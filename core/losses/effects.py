"""What a loss does to labels and documents, as numbers: weights, values and gradients at logits that are given.

Numbers may be NumPy arrays; what comes back are tensors on the CPU, which their `.numpy()` makes arrays of.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import Numbers, index_pairs, to_float64
from .long_tail import LongTailLoss
from .others import TermLoss
from .weights import sum_inverse_counts, weight_at_ratio


def weigh_labels(loss: LongTailLoss | TermLoss, positive: bool, columns: Numbers, r: Numbers) -> Tensor:
    """What -log p_t of some labels counts before it is modulated: scale · w · d · alpha_t, in the shape of `r`.

    Args:
        loss: with a term for each document and label.
        positive: the side, label there or not.
        columns: of the labels, (C,).
        r: of `rebalancing_ratio`, (C,) or (C, quantiles): read by rebalanced weights alone.
    """
    ratio = to_float64(r)
    if isinstance(loss, TermLoss):
        return torch.full_like(ratio, loss.scale)
    if loss.mu is not None:
        return loss.weight(torch.full(ratio.shape, positive), ratio)
    by_label = loss.weight(torch.full((len(loss.counts),), positive)).expand(len(loss.counts))
    chosen = by_label[to_float64(columns).long()].double()
    return chosen.view(-1, *[1] * (ratio.ndim - 1)).expand(ratio.shape)


def weigh_document(loss: LongTailLoss | TermLoss, positive: Numbers) -> Tensor:
    """`weigh_labels` of every label (L,) in one document with labels `positive` (L,); nan without terms by label."""
    there = to_float64(positive).bool()
    if isinstance(loss, LongTailLoss):
        return loss.weight(there[None]).expand(1, len(there))[0]
    scale = float(loss.scale) if loss.terms == "element" else torch.nan
    return torch.full((len(there),), scale, dtype=torch.float64)


def rebalanced_share(r: Numbers, beta: float, mu: float) -> Tensor:
    """How far the rebalanced weight is from its floor to its ceiling, 0 to 1, in the shape of `r`."""
    return weight_at_ratio(to_float64(r), 0.0, beta, mu)


def sum_inverse_by_document(targets: Any, counts: Numbers) -> Tensor:
    """`sum_inverse_counts` of targets (N, L) in CSR form, float64 (N,)."""
    return sum_inverse_counts(*index_pairs(targets), to_float64(counts), targets.shape[0])


def evaluate_loss(loss: LongTailLoss | TermLoss, logits: Numbers, positive: Numbers) -> tuple[Tensor, Tensor]:
    """Value of a loss and the gradient of its sum by the logits, in float64.

    Args:
        loss: turned into float64 on the way.
        logits: (B, L).
        positive: 0 or 1, (B, L).

    Returns:
        The value as the loss reduces it, (B, L) under "none"; and the gradient, (B, L).
    """
    z = to_float64(logits).clone().requires_grad_()
    with torch.enable_grad():
        value = loss.double()(z, to_float64(positive).bool())
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def sum_gradient_by_label(loss: LongTailLoss | TermLoss, logits: Numbers, targets: Any) -> tuple[Tensor, Tensor]:
    """Sums of the absolute gradient of each label over documents that have it, and over those that do not.

    Args:
        loss: as it is reduced.
        logits: (B, L), or (L,) for the same in all documents; the gradient is computed in float32.
        targets: (B, L) in CSR form, such as SciPy's.

    Returns:
        Two tensors (L,), float64.
    """
    there = index_pairs(targets)
    z = to_float64(logits).float().expand(targets.shape).contiguous().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(z, there), z)
    size = gradient.abs_()
    on_positives = torch.zeros(size.shape[1]).index_add_(0, there[1], size[there])
    size[there] = 0
    return on_positives.double(), size.sum(0, dtype=torch.float64)

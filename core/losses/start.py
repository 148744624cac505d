"""Where training may begin: the logits that are best while nothing is known of a document."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .checks import find_pairs
from .closed_form import evaluate_negatives, evaluate_positives, measure_steepness, rebalance_, slice_slots
from .long_tail import LongTailLoss
from .others import TermLoss

SAMPLE = 1024
"""Documents, spread evenly, over which a weight that differs from document to document is averaged for negatives."""
ELEMENTS = 2**20
"""Documents x labels of it that are held at once."""
BOUND = 20.0
"""Of the logits, up and down."""
HALVINGS = 30
Slope = Callable[[Tensor], Tensor]


def constant_logits(loss: LongTailLoss | TermLoss, rows: Tensor, labels: Tensor, documents: int) -> Tensor:
    """The logits (L,) at which the loss is lowest while every train document gets the same.

    Under cross-entropy these are the log-odds of the labels. A loss that tolerates negatives or weighs positives up has
    its minimum far above them, and a network that begins at the log-odds first has to climb there, label by label. A
    label without positives gets the log-odds of half a document; under a loss that is no sum over documents and labels
    all get their log-odds.

    Args:
        loss: of L labels.
        rows: documents of the positives of the train part, (A,).
        labels: labels of the same, (A,).
        documents: N.

    Raises:
        ValueError: a pair outside (N, L).
    """
    rows, labels = find_pairs(rows, labels, documents, loss.size)
    counts = torch.bincount(labels, minlength=loss.size)
    odds = torch.logit(counts.clamp(0.5, documents - 0.5) / documents)
    if isinstance(loss, TermLoss):
        if loss.terms != "element":
            return odds
        slope = _slope_of_terms(loss, counts, documents)
    else:
        slope = _slope_of_equation(loss, rows, labels, documents)
    # Halve the interval in which the slope changes its sign, for all labels at once.
    low, high = torch.full_like(odds, -BOUND), torch.full_like(odds, BOUND)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        falls = slope(middle) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return torch.where(counts > 0, (low + high) / 2, odds)


def _slope_of_terms(loss: TermLoss, counts: Tensor, documents: int) -> Slope:
    """The slope (L,) of a loss that weighs all documents alike: from one positive and one negative of each label."""
    positive = torch.tensor([[True], [False]]).expand(2, loss.size)
    often = torch.stack([counts, documents - counts])

    def slope(logits: Tensor) -> Tensor:
        z = logits.expand(2, -1).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z, positive), z)
        return (often * gradient).sum(0)

    return slope


def _slope_of_equation(loss: LongTailLoss, rows: Tensor, labels: Tensor, documents: int) -> Slope:
    """The slope (L,): of each positive, and of the negatives at their mean weight."""
    # What does not depend on the logits.
    at = loss.columns(labels.device, torch.float32)
    row, label = loss.narrow_pairs((rows, labels), documents, labels.device)
    absent = documents - torch.bincount(label, minlength=len(at.counts))
    steepness = measure_steepness(loss, at, row, label, documents)
    shift, weight = slice_slots(loss, at, slice(None))
    if weight is not None and steepness is not None:
        weight = _mean_on_negatives(loss, steepness, weight, row, label)
    columns = torch.arange(loss.size) if at.kept is None else at.kept

    def slope(logits: Tensor) -> Tensor:
        z = logits[columns]
        of_positives = evaluate_positives(loss, at, z[label], steepness, row, label)[1]
        of_negatives = torch.empty_like(z)
        evaluate_negatives(loss, z, None, (shift, weight), out=of_negatives)
        return torch.zeros_like(logits).index_copy(
            0, columns, (absent * of_negatives).index_add(0, label, of_positives)
        )

    return slope


def _mean_on_negatives(loss: LongTailLoss, steepness: Tensor, inverse: Tensor, row: Tensor, label: Tensor) -> Tensor:
    """Mean rebalanced weight of each label (K,) over documents without it; 1 / n is `inverse`."""
    documents = len(steepness)
    some = torch.linspace(0, documents - 1, min(SAMPLE, documents)).round().long()
    # All of a sample of documents, then without those that have the label.
    total = torch.zeros_like(inverse)
    for part in some.split(max(1, ELEMENTS // len(inverse))):
        total += rebalance_(loss, steepness[part] * inverse).sum(0)
    inside = torch.isin(row, some)
    row, label = row[inside], label[inside]
    total.index_add_(0, label, rebalance_(loss, steepness[row, 0] * inverse[label]), alpha=-1)
    return total / (len(some) - torch.bincount(label, minlength=len(inverse))).clamp_min(1)

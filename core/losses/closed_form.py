"""The equation and its gradient in closed form: the engines behind `LongTailLoss` and `LinearLoss`.

`LongTailLoss.compose` defines what comes out; the engines give the same numbers in less time and memory. With t = -s,
q = sigmoid(t) = 1 - p_t and the weight w, an element of the loss and its slope in t are

    element = w q^gamma log(1 + e^t)
    slope   = w q^gamma (q + gamma (1 - q) log(1 + e^t))

In eager mode both are in units of `on_negatives`, so that negatives, nearly all elements, need no factor of their own,
and positives are computed once more, alone, and written over them. `ClosedForm` does so tile by tile, `LinearLoss`
block by block of labels. `Traced` is for `torch.compile`: plain operations on the whole matrix, which the compiler
makes one loop of.

What it gains: forward and backward at (32, 18,211), one CPU thread, as a ratio to PyTorch's binary cross-entropy, and
in brackets the peak of memory in matrices (B, L) beyond logits and targets, the gradient included (cross-entropy: 2.0).

                      ClosedForm    index pairs         Traced        compose
    bce               1.47 (1.3)     1.43 (1.3)     0.85 (1.0)     1.92 (5.3)
    fl                1.56 (1.8)     1.42 (1.8)     0.83 (1.0)     2.88 (9.0)
    cb                1.58 (1.8)     1.46 (1.8)     0.85 (1.0)     3.25 (9.0)
    r-fl              1.88 (1.8)     1.65 (1.8)     1.23 (3.0)    3.63 (10.0)
    ntr-fl            1.70 (1.8)     1.63 (1.8)     0.88 (1.0)    3.64 (10.0)
    db-0fl            1.68 (1.6)     1.57 (1.6)     1.21 (1.0)     2.90 (6.2)
    cb-ntr            1.73 (1.8)     1.50 (1.8)     0.87 (1.0)    3.33 (10.0)
    db                1.87 (1.8)     1.80 (1.8)     1.16 (1.0)    3.92 (10.0)

`compose` under `torch.compile` takes 22 to 36 times as long as cross-entropy.

A name that ends in an underscore overwrites an argument, as in torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .checks import find_positives, to_mask
from .weights import sum_inverse_counts

if TYPE_CHECKING:
    from .long_tail import LongTailLoss
    from .module import Columns

Slots = tuple[Tensor | None, Tensor | None]
TILE = 5 * 2**15  # elements that one thread works on at a time: few calls, and its caches hold a few copies


def measure_steepness(loss: LongTailLoss, at: Columns, rows: Tensor, labels: Tensor, documents: int) -> Tensor | None:
    """What 1 / n is multiplied by to give beta · r of the rebalanced weight, (B, 1).

    Args:
        loss: None comes back where its weights are not rebalanced.
        at: its numbers by label.
        rows: documents of the positives, (A,).
        labels: labels of the same, (A,).
        documents: B.

    Returns:
        beta / (sum of 1 / n); inf for a document without labels, which weighs alpha + 1.
    """
    if loss.mu is None:
        return None
    return (loss.beta / sum_inverse_counts(rows, labels, at.counts, documents))[:, None]


def slice_slots(loss: LongTailLoss, at: Columns, columns: slice) -> Slots:
    """What negatives of some labels (C,) need, each (C,), or None where there is nothing to do.

    Returns:
        -neg_scale · shift; and 1 / n where weights are rebalanced, the weight itself where it is by label.
    """
    shift = at.shift[columns] * -loss.neg_scale if loss.kappa else None
    if not loss.reweight_negatives or (loss.mu is None and not at.label_weight.ndim):
        return shift, None
    return shift, at.label_weight[columns] if loss.mu is None else 1 / at.counts[columns]


def evaluate_negatives(
    loss: LongTailLoss, logits: Tensor, steepness: Tensor | None, slots: Slots, out: Tensor
) -> Tensor:
    """Elements (B, C) of some labels as if all were negatives, in units of `on_negatives`; `out` becomes the slope.

    Args:
        loss: the loss.
        logits: (B, C).
        steepness: of `measure_steepness`; None takes the second of the slots as the weight.
        slots: of `slice_slots`.
        out: (B, C); may be `logits`, which are overwritten then.
    """
    shift, weight = slots
    if shift is None:
        t = torch.mul(logits, loss.neg_scale, out=out)
    else:
        t = torch.add(shift, logits, alpha=loss.neg_scale, out=out)
    if weight is not None and steepness is not None:
        weight = rebalance_(loss, steepness * weight)
    return evaluate_(loss, t, weight)


def evaluate_positives(
    loss: LongTailLoss, at: Columns, logits: Tensor, steepness: Tensor | None, rows: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Elements and slope (A,) of the logits (A,) of the positives at `rows` and `labels`, in units of negatives."""
    t = at.shift[labels] - logits if loss.kappa else -logits
    weight = None
    if steepness is not None:
        weight = rebalance_(loss, steepness[rows, 0] / at.counts[labels])
    elif at.label_weight.ndim:
        weight = at.label_weight[labels]
    element = evaluate_(loss, t, weight)
    # Of a positive t is -u, of a negative neg_scale · u: the sign and neg_scale bring its slope to the same unit.
    ratio: Any = loss.on_positives / loss.on_negatives
    if at.pos_weight is not None:
        ratio = ratio * at.pos_weight[labels]
    return element.mul_(ratio), t.mul_(-ratio / loss.neg_scale)


def rebalance_(loss: LongTailLoss, steep: Tensor) -> Tensor:
    """`weight_at_ratio` of beta · r instead of r, which becomes the weight."""
    assert loss.mu is not None
    return steep.sub_(loss.beta * loss.mu).sigmoid_().add_(loss.alpha)


def evaluate_(loss: LongTailLoss, t: Tensor, weight: Tensor | None) -> Tensor:
    """Elements of the loss at t; `t` becomes the slope, and a weight by label and document is overwritten."""
    element = softplus(t, threshold=40)
    q = t.sigmoid_()
    # Without focus the slope is q itself.
    if not loss.gamma:
        if weight is not None:
            element.mul_(weight)
            q.mul_(weight)
        return element
    # w q^gamma; a weight by label and document was made for this call, and its memory is free again at once.
    factor = q**loss.gamma
    if weight is not None:
        factor = weight.mul_(factor) if weight.ndim == 2 else factor.mul_(weight)
    element.mul_(factor)
    # factor · q + gamma · element · (1 - q), as a point between the two; an infinite element has no part in it.
    torch.lerp((element * loss.gamma).clamp_(max=torch.finfo(q.dtype).max ** 0.5), factor, q, out=q)
    return element


class ClosedForm(torch.autograd.Function):
    """`LongTailLoss.compose` with the slope computed beside it, tile by tile, which then becomes the gradient."""

    @staticmethod
    def forward(loss: LongTailLoss, logits: Tensor, targets: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Elements, or their sum where anything is reduced, and the slope (B, L) in units of negatives."""
        size = logits.shape[-1]
        at = loss.columns(logits.device, logits.dtype, keep=True)
        z = logits.reshape(-1, size).to(at.counts.dtype)
        # The positives, a few in each document, alone.
        rows = targets
        if labels is None:
            rows, labels = find_positives(targets.reshape(-1, size), pairs=True)
        steepness = measure_steepness(loss, at, rows, labels, len(z))
        of_positives, slope_of_positives = evaluate_positives(loss, at, z[rows, labels], steepness, rows, labels)
        # Tiles of whole documents, and where the positives of each begin.
        flat = rows * size + labels
        threads = torch.get_num_threads() if z.device.type == "cpu" else 2**9
        step = max(1, TILE * threads // size)
        starts = range(0, len(z), step)
        cuts = [0, len(flat)]
        if len(starts) > 1:
            cuts = torch.searchsorted(flat, torch.tensor([*starts, len(z)], device=flat.device) * size).tolist()
        slope = torch.empty(z.shape, dtype=z.dtype, device=z.device)
        elements = torch.empty_like(slope) if loss.reduction == "none" else None
        total, slots = slope.new_zeros(()), slice_slots(loss, at, slice(None))
        for start, first, last in zip(starts, cuts, cuts[1:], strict=False):
            # All of a tile as negatives, then its positives over them.
            tile, place = slice(start, start + step), flat[first:last] - start * size
            rate = None if steepness is None else steepness[tile]
            part = evaluate_negatives(loss, z[tile], rate, slots, out=slope[tile])
            part.view(-1).index_copy_(0, place, of_positives[first:last])
            slope[tile].view(-1).index_copy_(0, place, slope_of_positives[first:last])
            if elements is None:
                total += part.sum()
            else:
                torch.mul(part, loss.on_negatives, out=elements[tile])
            del part  # before the next one is made
        value = total * loss.on_negatives if elements is None else elements.view(logits.shape)
        return value, slope.view(logits.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keeps the slope, and what a second derivative starts from."""
        ctx.loss, logits, targets, labels = inputs
        ctx.slope = output[1]
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(logits, targets, labels)
        ctx.save_for_forward(logits, targets, labels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, _: Any) -> tuple[Any, ...]:
        """The slope, scaled in place; a second derivative goes through `compose`."""
        loss, (logits, targets, labels) = ctx.loss, ctx.saved_tensors
        if gradient is None:
            return None, None, None, None
        if torch.is_grad_enabled():  # for a second derivative
            pull = torch.func.vjp(lambda z: loss.compose(z, targets, labels), logits)[1]
            return None, pull(gradient)[0], None, None
        slope, ctx.slope = ctx.slope, None
        if slope is None:  # a second backward through a graph that was retained
            slope = ClosedForm.forward(loss, logits, targets, labels)[1]
        return None, slope.mul_(gradient * (loss.on_negatives * loss.neg_scale)).to(logits.dtype), None, None

    @staticmethod
    def jvp(ctx: Any, _: Any, tangent: Tensor | None, *others: Any) -> tuple[Tensor | None, None]:  # noqa: ARG004
        """The change of the loss along a change of the logits: forward mode goes through `compose`."""
        if tangent is None:
            return None, None
        logits, targets, labels = ctx.saved_tensors
        loss = ctx.loss
        value, pull = torch.func.vjp(lambda z: loss.compose(z, targets, labels).sum(), logits)[:2]
        change = pull(torch.ones_like(value))[0].to(value.dtype) * tangent  # an element changes with its logit alone
        return change if loss.reduction == "none" else change.sum(), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], loss: LongTailLoss, *inputs: Any) -> tuple[Any, tuple[int, None]]:
        """`compose` instead, which `torch.func` can vectorise and differentiate."""
        if inputs[2] is None:
            find_positives(inputs[1])
        value = torch.vmap(loss.compose, in_dims[1:], randomness=info.randomness)(*inputs)
        return (value, value.new_tensor(math.nan)), (0, None)


class Traced(torch.autograd.Function):
    """`ClosedForm` for `torch.compile`: one pass over the matrix.

    Masks are numbers here: the compiler would store bools for backward, at several times the cost of the loss.
    """

    @staticmethod
    def forward(loss: LongTailLoss, logits: Tensor, targets: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Elements, or their sum where anything is reduced, and the gradient (B, L)."""
        at = loss.columns(logits.device, logits.dtype)
        z = logits.to(at.counts.dtype)
        y = (targets if labels is None else to_mask(targets, labels, z.shape)).to(z.dtype)
        if labels is None and targets.dtype is not torch.bool:  # nothing can be raised here: NaN says that it is wrong
            y = torch.where((y == 0) | (y == 1), y, torch.nan)
        # t = -s: sign is -1 on positives and neg_scale on negatives.
        sign = loss.neg_scale - (1 + loss.neg_scale) * y
        t = sign * (z - at.shift if loss.kappa else z)
        # q = sigmoid(t) from e^-|t|, which is at most 1 and serves log(1 + e^t) as well.
        easy = torch.exp(-t.abs())
        sure = 1 / (1 + easy)
        q = torch.where(t > 0, sure, easy * sure)
        # What stands before log(1 + e^t): scale · d · alpha_t, the weight, and q^gamma.
        on_positives = loss.on_positives if at.pos_weight is None else loss.on_positives * at.pos_weight
        factor = loss.on_negatives + (on_positives - loss.on_negatives) * y
        w = at.label_weight
        if loss.mu is not None:
            steepness = loss.beta / (y / at.counts).sum(-1, keepdim=True)
            w = rebalance_(loss, steepness / at.counts)
        if loss.mu is not None or w.ndim:
            factor = factor * (w if loss.reweight_negatives else 1 + (w - 1) * y)
        if loss.gamma:
            factor = factor * q**loss.gamma
        # The element and its slope.
        elements = factor * (t.clamp_min(0) + torch.log1p(easy))
        slope = factor * q
        if loss.gamma:  # an infinite element has no part in it
            slope = slope + loss.gamma * elements.clamp_max(torch.finfo(z.dtype).max ** 0.5) * (1 - q)
        if loss.reduction == "none":
            return elements, sign * slope
        if (
            loss.kappa or w.ndim or at.pos_weight is not None
        ):  # one loop for the sum and the slope: by rows where a number stands for each label
            elements = elements.sum(-1)
        return elements.sum(), sign * slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keeps the gradient."""
        ctx.dtype = inputs[1].dtype
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
        """The gradient that forward made, scaled."""
        return None, (ctx.saved_tensors[0] * gradient).to(ctx.dtype), None, None

"""The equation as a module, and its gradient in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from .checks import check_shapes, find_pairs, find_positives, to_mask
from .weights import class_balanced_weight, inverse_propensity, logit_shift, modulating_factor, rebalance_weight

Reduction = Literal["mean", "sum", "none", "mean_over_documents"]
Targets = Tensor | tuple[Tensor, Tensor]  # (B, L) of 0 and 1, or the rows (A,) and labels (A,) of the ones
TILE = 5 * 2**15  # elements that one thread works on at a time: few calls, and its caches hold a few copies


class LongTailLoss(nn.Module):
    """The equation at the head of this package; with the defaults every slot is empty: binary cross-entropy.

    Made by `build_loss`, which checks its arguments. The buffers follow `.to()`; they are float64 after `.double()` and
    never less than float32, in which logits of fewer bits are computed as well, autocast or not.
    """

    counts: Tensor
    shift: Tensor
    label_weight: Tensor
    kept: Tensor | None

    def __init__(
        self,
        counts: Tensor,
        documents: int,
        *,
        scale: float = 1.0,
        gamma: float = 0.0,
        focal_alpha: float | None = None,
        cb_beta: float | None = None,
        alpha: float = 0.0,
        beta: float = 0.0,
        mu: float | None = None,
        reweight_negatives: bool | float = True,
        kappa: float = 0.0,
        neg_scale: float = 1.0,
        propensity: tuple[float, float] | None = None,
        damped: bool = False,
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.size, self.reduction = len(counts), reduction
        self.gamma, self.kappa, self.neg_scale = gamma, kappa, neg_scale
        self.alpha, self.beta, self.mu, self.reweight_negatives = alpha, beta, mu, reweight_negatives
        self.on_positives = scale * (1 if focal_alpha is None else focal_alpha)
        self.on_negatives = scale * (1 if focal_alpha is None else 1 - focal_alpha) / (neg_scale if damped else 1)
        counts = counts.double() if kept is None else counts.double()[kept]
        weight = torch.ones((), dtype=torch.float64)
        if cb_beta is not None:
            weight = class_balanced_weight(counts, cb_beta)
        elif propensity is not None:
            weight = 2 * inverse_propensity(counts, documents, *propensity) - 1
        self._exact = {"counts": counts, "label_weight": weight, "shift": logit_shift(counts, documents, kappa)}
        for name, values in self._exact.items():
            self.register_buffer(name, values.float(), persistent=False)
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of logits (B, L) with targets; a single document (L,) will do.

        Targets are (B, L), 0 or 1 in any dtype, or the index pairs of the ones: rows (A,) and labels (A,) in any order,
        where a pair named twice counts once. They are checked, at the price of a synchronisation on a GPU, unless the
        call is being compiled. The gradient is computed in closed form together with the loss; what is vectorised by
        `torch.func` or differentiated twice takes a composition of torch operations.

        Raises:
            ValueError: shapes that do not fit, a target other than 0 and 1, a pair outside (B, L).
        """
        shape = logits.shape
        check_shapes(shape, targets, self.size)
        pair = self.narrow(targets, len(logits))
        if self.kept is not None:
            logits = logits.index_select(-1, self.kept)
        with torch.autocast(logits.device.type, enabled=False):
            way = _Traced if torch.compiler.is_compiling() else _ClosedForm
            loss = way.apply(self, logits, *pair)[0]
        if self.reduction == "none" and self.kept is not None:
            return loss.new_zeros(shape).index_copy(-1, self.kept, loss)
        return loss / self.elements(logits.shape) if self.reduction.startswith("mean") else loss

    def narrow(self, targets: Targets, rows: int) -> tuple[Tensor, Tensor | None]:
        """Targets without the labels that are left out: (dense, None), or checked rows and labels, sorted by row."""
        if isinstance(targets, Tensor):
            if self.kept is None:
                return targets, None
            return find_positives(targets).index_select(-1, self.kept), None
        row, label = targets
        if not torch.compiler.is_compiling():
            row, label = find_pairs(row.to(self.counts.device), label.to(self.counts.device), rows, self.size)
        if self.kept is None:
            return row, label
        place = torch.full((self.size,), -1, device=label.device)
        place[self.kept] = torch.arange(len(self.kept), device=label.device)
        label = place[label]
        return row[label >= 0], label[label >= 0]

    def narrow_pairs(self, targets: Targets, rows: int) -> tuple[Tensor, Tensor]:
        """Checked rows and labels of the targets without the labels that are left out."""
        first, second = self.narrow(targets, rows)
        return find_positives(first, pairs=True) if second is None else (first, second)

    def elements(self, shape: torch.Size) -> int:
        """What a sum over `shape` is divided by under `reduction`."""
        if self.reduction == "mean":
            return max(1, shape.numel())
        return max(1, shape.numel() // shape[-1]) if self.reduction == "mean_over_documents" else 1

    def compose(self, logits: Tensor, targets: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss as a composition of torch operations: elements (B, L), or their sum where anything is reduced.

        Args:
            logits: (B, L).
            targets: (B, L), or the rows of index pairs.
            labels: the labels of index pairs, (A,).
        """
        positive = targets.bool() if labels is None else to_mask(targets, labels, logits.shape)
        s = self.signed_margin(logits, positive)
        gain = self.weight(positive) * logsigmoid(s)
        if self.gamma:
            gain = gain * modulating_factor(s, self.gamma)
        return -gain if self.reduction == "none" else -gain.sum()

    def signed_margin(self, logits: Tensor, positive: Tensor) -> Tensor:
        """The s of the equation (B, L): logit - shift, times -neg_scale on negatives; `positive` (B, L) is bool."""
        margin = logits.to(torch.promote_types(logits.dtype, self.counts.dtype))
        if self.kappa:
            margin = margin - self.shift
        return margin * torch.where(positive, margin.new_full((), 1.0), margin.new_full((), -self.neg_scale))

    def weight(self, positive: Tensor) -> Tensor:
        """What stands before (1 - p_t)^gamma and -log p_t: scale · w · d · alpha_t, broadcastable to (B, L)."""
        w = self.label_weight
        if self.mu is not None:
            w = rebalance_weight(positive, self.counts, self.alpha, self.beta, self.mu)
        if self.on_positives == self.on_negatives and self.reweight_negatives:
            return self.on_positives * w
        on_negatives = self.on_negatives * (w if self.reweight_negatives else torch.ones_like(w))
        return torch.where(positive, self.on_positives * w, on_negatives)

    # Closed form. With t = -s and q = sigmoid(t) = 1 - p_t, an element is w q^gamma log(1 + e^t) and its slope in t is
    # w q^gamma (q + gamma (1 - q) log(1 + e^t)); both are in units of on_negatives, which makes negatives, nearly all
    # elements, the cheapest.

    def steepness(self, rows: Tensor, labels: Tensor, documents: int) -> Tensor | None:
        """What 1 / n is multiplied by to give beta · r, (B, 1): inf without labels, where the weight is alpha + 1."""
        if self.mu is None:
            return None
        total = self.counts.new_zeros(documents).index_add_(0, rows, 1 / self.counts[labels])
        return (self.beta / total)[:, None]

    def by_label(self, columns: slice) -> tuple[Tensor | None, Tensor | None]:
        """What `on_negative` needs of some labels: -neg_scale · shift, and 1 / n or the weight; None: nothing to do."""
        shift = self.shift[columns] * -self.neg_scale if self.kappa else None
        if not self.reweight_negatives or (self.mu is None and not self.label_weight.ndim):
            return shift, None
        return shift, self.label_weight[columns] if self.mu is None else 1 / self.counts[columns]

    def on_negative(
        self,
        logits: Tensor,
        steepness: Tensor | None,
        by_label: tuple[Tensor | None, Tensor | None],
        out: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Loss and slope (B, C) of logits (B, C) of some labels as if all were negatives; `out` becomes the slope."""
        shift, weight = by_label
        if shift is None:
            t = torch.mul(logits, self.neg_scale, out=out)
        else:
            t = torch.add(shift, logits, alpha=self.neg_scale, out=out)
        if weight is not None and steepness is not None:
            weight = self.rebalanced(steepness * weight)
        return self._loss_and_slope(t, weight)

    def on_positive(
        self, logits: Tensor, steepness: Tensor | None, rows: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and slope (A,) of the logits (A,) of the positives, in the units of `on_negative`."""
        t = self.shift[labels] - logits if self.kappa else -logits
        weight = None
        if steepness is not None:
            weight = self.rebalanced(steepness[rows, 0] / self.counts[labels])
        elif self.label_weight.ndim:
            weight = self.label_weight[labels]
        loss, slope = self._loss_and_slope(t, weight)
        ratio = self.on_positives / self.on_negatives
        return loss.mul_(ratio), slope.mul_(-ratio / self.neg_scale)

    def rebalanced(self, steep: Tensor) -> Tensor:
        """The rebalanced weight of beta · r, whose memory it takes."""
        assert self.mu is not None
        return steep.sub_(self.beta * self.mu).sigmoid_().add_(self.alpha)

    def _loss_and_slope(self, t: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Loss and slope at `t`, which becomes the slope."""
        loss = softplus(t, threshold=40)
        q = t.sigmoid_()
        if not self.gamma:
            return (loss, q) if weight is None else (loss.mul_(weight), q.mul_(weight))
        factor = q**self.gamma
        if weight is not None:  # a weight by label and document is nobody else's: what it takes is free again at once
            factor = weight.mul_(factor) if weight.ndim == 2 else factor.mul_(weight)
        loss.mul_(factor)
        return loss, torch.lerp(loss * self.gamma, factor, q, out=q)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LongTailLoss:
        super()._apply(fn, recurse)
        for name, exact in self._exact.items():  # .double() becomes exact, .half() stays float32, where 1/n and r fit
            moved = getattr(self, name)
            setattr(self, name, exact.to(torch.promote_types(moved.dtype, torch.float32)).to(moved.device))
        return self


class _ClosedForm(torch.autograd.Function):
    """`LongTailLoss.compose` with the slope computed beside it, tile by tile, which then becomes the gradient."""

    @staticmethod
    def forward(loss: LongTailLoss, logits: Tensor, targets: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        size = logits.shape[-1]
        z = logits.reshape(-1, size).to(torch.promote_types(logits.dtype, loss.counts.dtype))
        rows = targets
        if labels is None:
            rows, labels = find_positives(targets.reshape(-1, size), pairs=True)
        steepness = loss.steepness(rows, labels, len(z))
        of_positives, slope_of_positives = loss.on_positive(z[rows, labels], steepness, rows, labels)
        flat = rows * size + labels
        threads = torch.get_num_threads() if z.device.type == "cpu" else 2**9
        step = max(1, TILE * threads // size)
        starts = range(0, len(z), step)
        cuts = [0, len(flat)]
        if len(starts) > 1:
            cuts = torch.searchsorted(flat, torch.tensor([*starts, len(z)], device=flat.device) * size).tolist()
        slope = torch.empty(z.shape, dtype=z.dtype, device=z.device)
        elements = torch.empty_like(slope) if loss.reduction == "none" else None
        total, by_label = slope.new_zeros(()), loss.by_label(slice(None))
        for start, first, last in zip(starts, cuts, cuts[1:], strict=False):
            tile, place = slice(start, start + step), flat[first:last] - start * size
            rate = None if steepness is None else steepness[tile]
            part, _ = loss.on_negative(z[tile], rate, by_label, slope[tile])
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
        ctx.loss, logits, targets, labels = inputs
        ctx.slope = output[1]
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(logits, targets, labels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, _: Any) -> tuple[Any, ...]:
        loss, (logits, targets, labels) = ctx.loss, ctx.saved_tensors
        if gradient is None:
            return None, None, None, None
        if torch.is_grad_enabled():  # for a second derivative
            pull = torch.func.vjp(lambda z: loss.compose(z, targets, labels), logits)[1]
            return None, pull(gradient)[0], None, None
        slope, ctx.slope = ctx.slope, None
        if slope is None:  # a second backward through a graph that was retained
            slope = _ClosedForm.forward(loss, logits, targets, labels)[1]
        return None, slope.mul_(gradient * (loss.on_negatives * loss.neg_scale)).to(logits.dtype), None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], loss: LongTailLoss, *inputs: Any) -> tuple[Any, tuple[int, None]]:
        if inputs[2] is None:
            find_positives(inputs[1])
        value = torch.vmap(loss.compose, in_dims[1:], randomness=info.randomness)(*inputs)
        return (value, value.new_tensor(math.nan)), (0, None)


class _Traced(torch.autograd.Function):
    """`_ClosedForm` for `torch.compile`: one pass over the matrix.

    Masks are numbers here: bools the compiler would store for backward, at several times the cost of the loss.
    """

    @staticmethod
    def forward(loss: LongTailLoss, logits: Tensor, targets: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        z = logits.to(torch.promote_types(logits.dtype, loss.counts.dtype))
        y = (targets if labels is None else to_mask(targets, labels, z.shape)).to(z.dtype)
        sign = loss.neg_scale - (1 + loss.neg_scale) * y
        t = sign * (z - loss.shift if loss.kappa else z)
        easy = torch.exp(-t.abs())
        sure = 1 / (1 + easy)
        q = torch.where(t > 0, sure, easy * sure)
        factor = loss.on_negatives + (loss.on_positives - loss.on_negatives) * y
        w = loss.label_weight
        if loss.mu is not None:
            steepness = loss.beta / (y / loss.counts).sum(-1, keepdim=True)
            w = loss.alpha + torch.sigmoid(steepness / loss.counts - loss.beta * loss.mu)
        if loss.mu is not None or w.ndim:
            factor = factor * (w if loss.reweight_negatives else 1 + (w - 1) * y)
        if loss.gamma:
            factor = factor * q**loss.gamma
        elements = factor * (t.clamp_min(0) + torch.log1p(easy))
        slope = factor * q + loss.gamma * elements * (1 - q) if loss.gamma else factor * q
        if loss.reduction == "none":
            return elements, sign * slope
        if loss.kappa or w.ndim:  # one loop for the sum and the slope: by rows where a number stands for each label
            elements = elements.sum(-1)
        return elements.sum(), sign * slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.dtype = inputs[1].dtype
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
        return None, (ctx.saved_tensors[0] * gradient).to(ctx.dtype), None, None

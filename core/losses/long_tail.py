"""The equation as a module: `LongTailLoss.compose` is its definition, `closed_form` computes it quickly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from .checks import check_shapes, find_pairs, find_positives, to_mask
from .closed_form import ClosedForm, Traced
from .weights import (
    class_balanced_weight,
    inverse_propensity,
    logit_shift,
    modulating_factor,
    rebalance_weight,
    weight_at_ratio,
)

Reduction = Literal["mean", "sum", "none", "mean_over_documents"]
Targets = Tensor | tuple[Tensor, Tensor]  # (B, L) of 0 and 1, or the rows (A,) and labels (A,) of the ones


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
        self.damped = damped
        # scale · d · alpha_t on each side.
        self.on_positives = scale * (1 if focal_alpha is None else focal_alpha)
        self.on_negatives = scale * (1 if focal_alpha is None else 1 - focal_alpha) / (neg_scale if damped else 1)
        # The slots that go by label, of the labels that are kept: exact, and as buffers in the module's precision.
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

    def compose(self, logits: Tensor, targets: Tensor, labels: Tensor | None = None) -> Tensor:
        """The equation, and the definition of this loss: elements (B, L), or their sum where anything is reduced.

        Plain torch operations, which autograd can take apart any number of times; `forward` gives the same numbers in
        less time and memory (`closed_form`).

        Args:
            logits: (B, L).
            targets: (B, L), or the rows of index pairs.
            labels: the labels of index pairs, (A,).
        """
        positive = targets.bool() if labels is None else to_mask(targets, labels, logits.shape)
        s = self.signed_margin(logits, positive)
        log_likelihood = self.weight(positive) * logsigmoid(s)
        if self.gamma:
            log_likelihood = log_likelihood * modulating_factor(s, self.gamma)
        return -log_likelihood if self.reduction == "none" else -log_likelihood.sum()

    def signed_margin(self, logits: Tensor, positive: Tensor) -> Tensor:
        """The s of the equation (B, L): logit - shift, times -neg_scale on negatives; `positive` (B, L) is bool."""
        margin = logits.to(torch.promote_types(logits.dtype, self.counts.dtype))
        if self.kappa:
            margin = margin - self.shift
        return margin * torch.where(positive, margin.new_full((), 1.0), margin.new_full((), -self.neg_scale))

    def weight(self, positive: Tensor, r: Tensor | None = None) -> Tensor:
        """What stands before (1 - p_t)^gamma and -log p_t: scale · w · d · alpha_t, broadcastable to (B, L).

        Args:
            positive: bool (B, L).
            r: what rebalanced weights are read at instead of `rebalancing_ratio`, in the shape of `positive`.
        """
        w = self.label_weight
        if self.mu is not None:
            constants = (self.alpha, self.beta, self.mu)
            w = rebalance_weight(positive, self.counts, *constants) if r is None else weight_at_ratio(r, *constants)
        if self.on_positives == self.on_negatives and self.reweight_negatives:
            return self.on_positives * w
        on_negatives = self.on_negatives * (w if self.reweight_negatives else torch.ones_like(w))
        return torch.where(positive, self.on_positives * w, on_negatives)

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
            engine = Traced if torch.compiler.is_compiling() else ClosedForm
            loss = engine.apply(self, logits, *pair)[0]
        if self.reduction == "none" and self.kept is not None:
            return loss.new_zeros(shape).index_copy(-1, self.kept, loss)
        return loss / self.divisor(logits.shape) if self.reduction.startswith("mean") else loss

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

    def divisor(self, shape: torch.Size) -> int:
        """What a sum over `shape` is divided by under `reduction`."""
        if self.reduction == "mean":
            return max(1, shape.numel())
        return max(1, shape.numel() // shape[-1]) if self.reduction == "mean_over_documents" else 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LongTailLoss:
        super()._apply(fn, recurse)
        for name, exact in self._exact.items():  # .double() becomes exact, .half() stays float32, where 1/n and r fit
            moved = getattr(self, name)
            setattr(self, name, exact.to(torch.promote_types(moved.dtype, torch.float32)).to(moved.device))
        return self

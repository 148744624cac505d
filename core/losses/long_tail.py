"""The equation as a module: `LongTailLoss.compose` is its definition, `closed_form` computes it quickly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from .checks import find_positives, to_mask
from .closed_form import ClosedForm, Traced
from .module import Columns, PresetLoss, Reduction
from .targets import Batch, Targets, bounded, narrow_pairs, read_targets
from .weights import (
    class_balanced_weight,
    inverse_propensity,
    logit_shift,
    modulating_factor,
    rebalance_weight,
    rebalancing_ratio,
    weight_at_ratio,
)


class LongTailLoss(PresetLoss):
    """The equation at the head of this package; without constants every slot is empty: binary cross-entropy.

    Made by `build_loss`, which checks its arguments. It computes in float32, or in float64 where the logits have it or
    after `.double()`; logits of fewer bits than float32 are computed in it, autocast or not.
    """

    gamma: float
    neg_scale: float
    kappa: float
    alpha: float
    beta: float
    mu: float | None
    reweight_negatives: float
    on_positives: float
    on_negatives: float
    damped: bool
    FOLLOWS: Mapping[str, str] = {
        **PresetLoss.FOLLOWS,
        "on_positives": "scale and focal_alpha",
        "on_negatives": "scale, focal_alpha and neg_scale",
        "shift": "the counts and kappa",
        "label_weight": "the counts and the constants of the weight",
        "damped": "the preset",
    }

    def __init__(
        self,
        counts: Tensor,
        documents: int,
        *,
        damped: bool = False,
        preset: str = "",
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
        soft_labels: bool = False,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        pos_weight: Any = None,
        **constants: float | None,
    ) -> None:
        """Makes the loss of some counts (L,); a slot of the equation is filled where its constants are given."""
        self.__dict__["damped"] = damped
        given = {name: value for name, value in constants.items() if value is not None}
        super().__init__(
            counts,
            documents,
            given,
            preset=preset,
            reduction=reduction,
            kept=kept,
            soft_labels=soft_labels,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            pos_weight=pos_weight,
        )

    def _make_columns(self) -> Columns:
        """The slots: those that are one number as attributes, those that go by label as columns."""
        given = self._constants
        gamma, neg_scale = given.get("gamma", 0.0), given.get("neg_scale", 1.0)
        scale, focal_alpha = given.get("scale", 1.0), given.get("focal_alpha")
        kappa = given.get("kappa", given.get("tau", 0.0))
        slots = {
            "gamma": gamma,
            "neg_scale": neg_scale,
            "kappa": kappa,
            "alpha": given.get("alpha", 0.0),
            "beta": given.get("beta", 0.0),
            "mu": given.get("mu"),
            "reweight_negatives": given.get("reweight_negatives", "prop_a" not in given),
            # scale · d · alpha_t on each side.
            "on_positives": scale * (1 if focal_alpha is None else focal_alpha),
            "on_negatives": scale * (1 if focal_alpha is None else 1 - focal_alpha) / (neg_scale if self.damped else 1),
        }
        self.__dict__.update(slots)
        # By label: a label without a document counts as one on one, but for propensities, which know of none.
        columns = super()._make_columns()
        counts, weight = columns.counts, columns.label_weight
        if "prop_a" in given:
            weight = 2 * inverse_propensity(counts, self.documents, given["prop_a"], given["prop_b"]) - 1
        else:
            counts = counts.clamp_min(1)
        if "cb_beta" in given:
            weight = class_balanced_weight(counts, given["cb_beta"])
        shift = logit_shift(counts, self.documents, kappa)
        return columns._replace(counts=counts, label_weight=weight, shift=shift)

    @property
    def shift(self) -> Tensor:
        """What is taken off the logits, (K,), where the module is and in its precision."""
        return self._columns.shift

    @property
    def label_weight(self) -> Tensor:
        """The weight by label, (K,), or 1, (); where the module is and in its precision."""
        return self._columns.label_weight

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
        log_likelihood = self.weight(positive, at=self.columns(s.device, s.dtype)) * logsigmoid(s)
        if self.gamma:
            log_likelihood = log_likelihood * modulating_factor(s, self.gamma)
        return -log_likelihood if self.reduction == "none" else -log_likelihood.sum()

    def compose_shares(self, logits: Tensor, share: Tensor, counted: Tensor | None = None) -> Tensor:
        """Elements (B, L), or their sum, of soft labels y: y times that of a positive, 1 - y times that of a negative.

        Args:
            logits: (B, L).
            share: y before it is smoothed, (B, L); weights are read at it.
            counted: bool (B, L), what is not ignored.
        """
        at = self.columns(logits.device, logits.dtype)
        z = bounded(logits.to(at.counts.dtype))
        y = share.to(z.dtype)
        r = None if self.mu is None else rebalancing_ratio(y, at.counts)
        y = self.smooth_shares(y, counted)
        u = z - at.shift if self.kappa else z
        elements = torch.zeros_like(z)
        for positive, share_of_side in ((True, y), (False, 1 - y)):
            s = u if positive else -self.neg_scale * u
            element = self.weight(torch.full((), positive, device=z.device), r, at) * softplus(-s)
            if self.gamma:
                element = element * modulating_factor(s, self.gamma)
            elements = elements + share_of_side * element
        return elements if self.reduction == "none" else elements.sum()

    def signed_margin(self, logits: Tensor, positive: Tensor) -> Tensor:
        """The s of the equation (B, L): logit - shift, times -neg_scale on negatives; `positive` (B, L) is bool."""
        at = self.columns(logits.device, logits.dtype)
        margin = logits.to(at.counts.dtype)
        if self.kappa:
            margin = margin - at.shift
        return margin * torch.where(positive, margin.new_full((), 1.0), margin.new_full((), -self.neg_scale))

    def weight(self, positive: Tensor, r: Tensor | None = None, at: Columns | None = None) -> Tensor:
        """What stands before (1 - p_t)^gamma and -log p_t: scale · w · d · alpha_t, broadcastable to (B, L).

        Args:
            positive: bool (B, L).
            r: what rebalanced weights are read at instead of `rebalancing_ratio`, in the shape of `positive`.
            at: the numbers by label; those of the module where there are none here.
        """
        at = self._columns if at is None else at
        w = at.label_weight
        if self.mu is not None:
            constants = (self.alpha, self.beta, self.mu)
            w = rebalance_weight(positive, at.counts, *constants) if r is None else weight_at_ratio(r, *constants)
        if self.on_positives == self.on_negatives and self.reweight_negatives and at.pos_weight is None:
            return self.on_positives * w
        on_positives = self.on_positives * w if at.pos_weight is None else self.on_positives * w * at.pos_weight
        on_negatives = self.on_negatives * (w if self.reweight_negatives else torch.ones_like(w))
        return torch.where(positive, on_positives, on_negatives)

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of logits (B, L) with targets; a single document (L,) will do, and so will (..., L).

        Targets are (B, L), 0 or 1 in any dtype, also as a NumPy array or a sparse matrix; or the index pairs of the
        ones as a tuple: rows (A,) and labels (A,) in any order, where a pair named twice counts once. They are checked,
        at the price of a synchronisation on a GPU; in a call that is being compiled, where nothing can be raised, the
        loss is NaN where a target is neither. A logit that is NaN makes the loss NaN.

        The gradient is computed in closed form together with the loss. What is vectorised by `torch.func`, pushed
        forward (`jvp`) or differentiated twice (`hessian`) takes a composition of torch operations, and so do soft
        labels and label smoothing. Compiled code has first derivatives alone.

        Raises:
            ValueError: shapes that do not fit, a target other than 0 and 1, a pair outside (B, L).
        """
        batch = self.read(logits, targets)
        with torch.autocast("cpu" if logits.is_meta else logits.device.type, enabled=False):
            if batch.soft or self.label_smoothing:
                loss = self.compose_shares(*self.shares(batch), batch.counted)
            else:
                engine = Traced if torch.compiler.is_compiling() or logits.is_meta else ClosedForm
                loss = engine.apply(self, batch.logits, batch.targets, batch.labels)[0]
        if self.reduction == "none" and batch.kept is not None:
            return loss.new_zeros(logits.shape).index_copy(-1, batch.kept, loss)
        return loss / self.divide(batch) if self.reduction.startswith("mean") else loss

    def narrow_pairs(self, targets: Any, documents: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Checked rows and labels of the targets of some documents, sorted by row, without the labels left out."""
        found = read_targets(targets, torch.Size((documents, self.size)), device, self.size)
        pairs = find_positives(found, pairs=True) if isinstance(found, Tensor) else found
        return narrow_pairs(pairs, documents, self.size, self.columns(device, self.counts.dtype).kept)

    def divisor(self, shape: torch.Size) -> int:
        """What a sum over `shape` is divided by under `reduction`."""
        if self.reduction == "mean":
            return max(1, shape.numel())
        return max(1, shape.numel() // shape[-1]) if self.reduction == "mean_over_documents" else 1

    def divide(self, batch: Batch) -> int | Tensor:
        """What the sum over a batch is divided by: elements or documents, those that are not ignored."""
        if batch.counted is None:
            return self.divisor(batch.logits.shape)
        return (batch.counted if self.reduction == "mean" else batch.counted.any(-1)).sum().clamp_min(1)

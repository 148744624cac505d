"""Losses that are not slots of the equation: one function each, and the module that reduces their terms.

Every function takes logits z and `positive`, both (B, L), and returns terms: one for each element (B, L), document
(B,), label (L,), or for the batch as a whole. p is sigmoid(z), P and N a document's positives and negatives. `positive`
is bool; where a term is no element also the share y of each soft label, from 0 to 1: what counts once for a positive
then counts y, and what counts once for a negative 1 - y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from .module import PresetLoss, Reduction, Terms
from .targets import Targets, bounded
from .weights import modulating_factor


class TermLoss(PresetLoss):
    """scale · one of this module's functions, reduced; made by `build_loss`.

    "mean" is over the terms and 0 without any; "none" gives the terms, 0 for the labels that are left out. Logits of
    fewer bits than float32 are computed in float32, autocast or not.
    """

    function: Callable[..., Tensor]

    def __init__(
        self,
        function: Callable[..., Tensor],
        terms: Terms,
        counts: Tensor,
        documents: int,
        *,
        preset: str = "",
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
        soft_labels: bool = False,
        label_smoothing: float = 0.0,
        ignore_index: float | None = None,
        pos_weight: Any = None,
        **constants: float,
    ) -> None:
        """Makes the loss of some counts (L,), which it reads as nothing but its labels and its name."""
        self.__dict__.update(function=function, terms=terms)
        super().__init__(
            counts,
            documents,
            {"scale": 1.0, **constants},
            preset=preset,
            reduction=reduction,
            kept=kept,
            soft_labels=soft_labels,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            pos_weight=pos_weight,
        )

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of logits (B, L) with targets (B, L) or index pairs, see `LongTailLoss.forward`.

        Infinite logits are read as huge ones. Where `torch.func.vmap` runs over targets as well, they must be bool:
        numbers cannot be checked there.
        """
        batch = self.read(logits, targets)
        z, share = self.shares(batch)
        shape, size = z.shape, z.shape[-1]
        with torch.autocast("cpu" if z.is_meta else z.device.type, enabled=False):
            z = z.to(torch.promote_types(z.dtype, self.counts.dtype))
            z = z if self.terms == "label" else bounded(z)  # those are made of sigmoids, which are finite anyway
            if z.ndim != 2:
                z, share = z.reshape(-1, size), share.reshape(-1, size)
            if batch.soft or self.label_smoothing:
                counted = None if batch.counted is None else batch.counted.reshape(-1, size)
                share = self.smooth_shares(share.to(z.dtype), counted)
            terms = self.scale * self._evaluate(z, share)
        return self._reduce(terms, shape, batch.counted, batch.kept)

    def _evaluate(self, z: Tensor, share: Tensor) -> Tensor:
        """The terms of logits (B, K) with targets, bool or shares: elements with the weights of their positives."""
        constants = {name: value for name, value in self._constants.items() if name != "scale"}
        weight = None if self.pos_weight is None else self.columns(z.device, z.dtype).pos_weight
        if self.terms != "element" or (weight is None and share.dtype is torch.bool):
            return self.function(z, share, **constants)
        if weight is not None and share.dtype is torch.bool:
            return self.function(z, share, **constants) * torch.where(share, weight, 1.0)
        there = torch.ones((), dtype=torch.bool, device=z.device).expand(z.shape)
        of_positives, of_negatives = (self.function(z, side, **constants) for side in (there, ~there))
        return share * (of_positives if weight is None else of_positives * weight) + (1 - share) * of_negatives

    def _reduce(self, terms: Tensor, shape: torch.Size, counted: Tensor | None, kept: Tensor | None) -> Tensor:
        """Terms of logits (..., K) under `reduction`: over what the loss has one term of, without what is ignored."""
        if counted is not None and self.terms == "label":
            counted = counted.reshape(-1, shape[-1]).any(0)
            terms = terms * counted
        if self.reduction == "none":
            if self.terms == "document":
                return terms.reshape(shape[:-1])
            if kept is not None:
                terms = terms.new_zeros(*terms.shape[:-1], self.size).index_copy(-1, kept, terms)
            return terms.reshape(*shape[:-1], self.size) if self.terms == "element" else terms
        if self.reduction == "sum":
            return terms.sum()
        if counted is not None and self.terms != "batch":
            by_document = self.reduction == "mean_over_documents" or self.terms == "document"
            return terms.sum() / (counted.any(-1) if by_document else counted).sum().clamp_min(1)
        documents = shape.numel() // shape[-1]
        return terms.sum() / max(1, documents if self.reduction == "mean_over_documents" else terms.numel())


def asl(z: Tensor, positive: Tensor, *, gamma_pos: float, gamma_neg: float, prob_margin: float) -> Tensor:
    """Asymmetric loss (B, L): -(1 - p)^gamma_pos log p; on negatives -q^gamma_neg log(1 - q), q = max(p - margin, 0).

    Negatives with p below the margin do not count at all. Decide by thresholds fitted on validation: easy negatives
    count so little that scores lie too high for 1/2.

    Source: Ben-Baruch et al.: Asymmetric Loss for Multi-Label Classification, ICCV 2021 (there summed over elements).
    """
    easy = modulating_factor(z, gamma_pos) * -logsigmoid(z)
    return torch.where(positive, easy, _asymmetric_negative(z, gamma_neg, prob_margin))


def apl(
    z: Tensor,
    positive: Tensor,
    *,
    gamma_pos: float,
    gamma_neg: float,
    prob_margin: float,
    poly_1: float,
    poly_2: float,
) -> Tensor:
    """Asymmetric polynomial loss (B, L): -(1 - p)^gamma_pos (log p + poly_1 (1 - p) + poly_2 / 2 (1 - p)^2), or ASL.

    The first two terms of the Taylor series of log p get coefficients of their own; negatives are those of ASL. Decide
    by thresholds fitted on validation.

    Source: Huang, Qi, Wang, Lin: Asymmetric Polynomial Loss for Multi-Label Classification, ICASSP 2023.
    """
    miss = torch.sigmoid(-z)
    polynomial = -logsigmoid(z) - poly_1 * miss - poly_2 / 2 * miss * miss
    return torch.where(
        positive, modulating_factor(z, gamma_pos) * polynomial, _asymmetric_negative(z, gamma_neg, prob_margin)
    )


def hill(z: Tensor, positive: Tensor, *, gamma: float, logit_margin: float, hill_lambda: float) -> Tensor:
    """Hill loss (B, L): -(1 - q)^gamma log q with q = sigmoid(z - margin); on negatives (lambda - p) p^2.

    The loss of a negative flattens towards p = 1, where labels that annotators missed are found. Decide by thresholds
    fitted on validation.

    Source: Zhang et al.: Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, 2021
    (arXiv 2112.07368).
    """
    s, p = z - logit_margin, torch.sigmoid(z)
    return torch.where(positive, modulating_factor(s, gamma) * -logsigmoid(s), (hill_lambda - p) * p * p)


def zlpr(z: Tensor, positive: Tensor) -> Tensor:
    """Zero-bounded log-sum-exp loss (B,): log(1 + sum over P of e^-z) + log(1 + sum over N of e^z).

    Pushes all positives above 0 and all negatives below, without constants. Decide by z > 0, the bound itself.

    Source: Su et al.: ZLPR, a Novel Loss for Multi-label Classification, 2022 (arXiv 2208.02955).
    """
    zero = z.new_zeros(len(z), 1)
    if positive.dtype is torch.bool:
        up, down = (-z).masked_fill(~positive, -torch.inf), z.masked_fill(positive, -torch.inf)
    else:
        up, down = positive.log() - z, torch.log1p(-positive) + z
    return torch.logsumexp(torch.cat([zero, up], -1), -1) + torch.logsumexp(torch.cat([zero, down], -1), -1)


def two_way(z: Tensor, positive: Tensor, *, temp_pos: float, temp_neg: float) -> Tensor:
    """Two-way loss, for the batch (): softplus(T_n LSE_N(z / T_n) + T_p LSE_P(-z / T_p)), by document and by label.

    The mean over documents with a positive plus the mean over labels with a positive in the batch. It compares logits
    with one another and does not change when all move together: decide by a threshold fitted on validation, never 0.

    Source: Kobayashi: Two-Way Multi-Label Loss, CVPR 2023.
    """
    low = torch.finfo(z.dtype).min / (8 * max(1.0, temp_pos, temp_neg))
    total = z.new_zeros(())
    for way in (1, 0):
        pull = temp_pos * torch.logsumexp((-z / temp_pos).masked_fill(~positive, low), way)
        push = temp_neg * torch.logsumexp((z / temp_neg).masked_fill(positive, low), way)
        total = total + softplus(push + pull).sum() / positive.any(way).sum().clamp_min(1)  # none: softplus is 0
    return total


def dice(z: Tensor, positive: Tensor, *, dice_alpha: float, smooth: float) -> Tensor:
    """Self-adjusting Dice loss (L,): 1 - (2 sum of a y + s) / (sum of a + sum of y + s), a = (1 - p)^alpha p.

    The sums are over the documents of the batch: the paper's ratio of one example in its set form, so that true
    negatives do not count. With alpha above 0 confident positives count less (a falls beyond p = 1 / (1 + alpha)).
    Decide by thresholds fitted on validation.

    Source: Li et al.: Dice Loss for Data-imbalanced NLP Tasks, ACL 2020.
    """
    a = modulating_factor(z, dice_alpha) * torch.sigmoid(z)
    hit = _at_positives(a, positive).sum(0)
    return 1 - (2 * hit + smooth) / (a.sum(0) + positive.sum(0) + smooth)


def soft_f1(z: Tensor, positive: Tensor) -> Tensor:
    """Soft macro-F1 (L,): 1 - 2 tp / (2 tp + fp + fn) with p counted as the share of a document that is predicted.

    The counts are over the documents of the batch; a label without a positive there has loss 1 and no gradient. Decide
    by p > 1/2.

    Source: Bénédict, Koops, Odijk, de Rijke: sigmoidF1, a Smooth F1 Score Surrogate Loss for Multilabel
    Classification, TMLR 2022.
    """
    p = torch.sigmoid(z)
    twice = 2 * _at_positives(p, positive).sum(0)
    return 1 - twice / (p.sum(0) + positive.sum(0)).clamp_min(torch.finfo(z.dtype).tiny)


def _at_positives(values: Tensor, positive: Tensor) -> Tensor:
    """Values (B, L) at positives, 0 elsewhere; of soft labels their share."""
    return torch.where(positive, values, 0) if positive.dtype is torch.bool else positive * values


def _asymmetric_negative(z: Tensor, gamma_neg: float, margin: float) -> Tensor:
    if not margin:
        return modulating_factor(-z, gamma_neg) * -logsigmoid(-z)
    p = torch.sigmoid(z)
    easy = p <= margin  # not p > margin: NaN counts
    q = torch.where(easy, 0.5, p - margin)  # any value with a finite slope where it does not count
    return torch.where(easy, 0, q**gamma_neg * -torch.log1p(-q))

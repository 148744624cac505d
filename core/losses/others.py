"""Losses that are not slots of the equation: one function each, and the module that reduces their terms.

Every function takes logits z and `positive` (bool), both (B, L), and returns terms: one for each element (B, L),
document (B,), label (L,), or for the batch as a whole. p is sigmoid(z), P and N a document's positives and negatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from .checks import check_shapes, find_pairs, find_positives, to_mask
from .long_tail import Reduction, Targets
from .weights import modulating_factor

Terms = Literal["element", "document", "label", "batch"]
REDUCTIONS: dict[Terms, tuple[Reduction, ...]] = {
    "element": ("mean", "sum", "none", "mean_over_documents"),
    "document": ("mean", "sum", "none", "mean_over_documents"),
    "label": ("mean", "sum", "none"),
    "batch": ("mean",),
}


class TermLoss(nn.Module):
    """scale · one of this module's functions, reduced; made by `build_loss`.

    "mean" is over the terms and 0 without any; "none" gives the terms, 0 for the labels that are left out. Logits of
    fewer bits than float32 are computed in float32, autocast or not.
    """

    kept: Tensor | None

    def __init__(
        self,
        function: Callable[..., Tensor],
        terms: Terms,
        size: int,
        *,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
        **constants: float,
    ) -> None:
        super().__init__()
        self.function, self.terms, self.size = function, terms, size
        self.scale, self.reduction, self.constants = scale, reduction, constants
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss of logits (B, L) with targets (B, L) or index pairs, see `LongTailLoss.forward`.

        Where `torch.func.vmap` runs over targets as well, they must be bool: numbers cannot be checked there.
        """
        shape = logits.shape
        check_shapes(shape, targets, self.size)
        if isinstance(targets, Tensor):
            positive = find_positives(targets)
        else:
            rows, labels = (indices.to(logits.device) for indices in targets)
            if not torch.compiler.is_compiling():
                rows, labels = find_pairs(rows, labels, len(logits), self.size)
            positive = to_mask(rows, labels, shape)
        # Labels that are left out go before the loss, and come back as 0.
        if self.kept is not None:
            logits, positive = logits.index_select(-1, self.kept), positive.index_select(-1, self.kept)
        if single := logits.ndim == 1:
            logits, positive = logits[None], positive[None]
        with torch.autocast(logits.device.type, enabled=False):
            z = logits.to(torch.promote_types(logits.dtype, torch.float32))
            terms = self.scale * self.function(z, positive, **self.constants)
        # Reduction, over what the loss has one term of.
        if self.reduction == "none":
            if self.kept is not None and self.terms != "document":
                whole = terms.new_zeros(*terms.shape[:-1], self.size)
                terms = whole.index_copy(-1, self.kept, terms)
            return terms[0] if single and self.terms != "label" else terms
        if self.reduction == "sum":
            return terms.sum()
        return terms.sum() / max(1, len(logits) if self.reduction == "mean_over_documents" else terms.numel())


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
    up = torch.logsumexp(torch.cat([zero, (-z).masked_fill(~positive, -torch.inf)], -1), -1)
    return up + torch.logsumexp(torch.cat([zero, z.masked_fill(positive, -torch.inf)], -1), -1)


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
    hit = torch.where(positive, a, 0).sum(0)
    return 1 - (2 * hit + smooth) / (a.sum(0) + positive.sum(0) + smooth)


def soft_f1(z: Tensor, positive: Tensor) -> Tensor:
    """Soft macro-F1 (L,): 1 - 2 tp / (2 tp + fp + fn) with p counted as the share of a document that is predicted.

    The counts are over the documents of the batch; a label without a positive there has loss 1 and no gradient. Decide
    by p > 1/2.

    Source: Bénédict, Koops, Odijk, de Rijke: sigmoidF1, a Smooth F1 Score Surrogate Loss for Multilabel
    Classification, TMLR 2022.
    """
    p = torch.sigmoid(z)
    twice = 2 * torch.where(positive, p, 0).sum(0)
    return 1 - twice / (p.sum(0) + positive.sum(0)).clamp_min(torch.finfo(z.dtype).tiny)


def _asymmetric_negative(z: Tensor, gamma_neg: float, margin: float) -> Tensor:
    if not margin:
        return modulating_factor(-z, gamma_neg) * -logsigmoid(-z)
    p = torch.sigmoid(z)
    counts = p > margin
    q = torch.where(counts, p - margin, 0.5)  # any value with a finite slope where it does not count
    return torch.where(counts, q**gamma_neg * -torch.log1p(-q), 0)

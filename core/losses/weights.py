"""What fills the slots of the equation: weights, shift and modulating factor, as pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .checks import Numbers, to_float64
from .mu import mu_of_ratios


def class_balanced_weight(counts: Numbers, cb_beta: float = 0.9) -> Tensor:
    """w_i = (1 - cb_beta) / (1 - cb_beta^n_i), float64 (L,): 1 for one document, 1 - cb_beta for very many.

    Source: Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Args:
        counts: n, (L,), 1 or more.
        cb_beta: 0 up to, but not including, 1.
    """
    return (1 - cb_beta) / -torch.expm1(torch.xlogy(to_float64(counts), cb_beta))


def rebalance_weight(
    targets: Tensor, counts: Tensor, alpha: float = 0.1, beta: float = 10.0, mu: float = 0.9
) -> Tensor:
    """w_ki = alpha + sigmoid(beta (r_ki - mu)), (B, L), with r_ki = (1 / n_i) / sum of 1 / n_j over the labels j of k.

    r undoes that a document with many labels is drawn for each of them: over the positives of a document it adds up
    to 1. It is defined for negatives alike, without an upper bound. A document without labels weighs alpha + 1
    throughout, the limit of a vanishing sum.

    Source: Wu, Huang, Liu, Wang, Lin: Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed
    Datasets, ECCV 2020, as used by Huang et al., EMNLP 2021, equation 5.

    Args:
        targets: (B, L), 0 or 1.
        counts: n, (L,), 1 or more; a floating tensor decides the dtype of the result.
        alpha: lower bound of the weight.
        beta: steepness.
        mu: the r at which the weight is alpha + 1/2.
    """
    return weight_at_ratio(rebalancing_ratio(targets, counts), alpha, beta, mu)


def rebalancing_ratio(targets: Tensor, counts: Tensor) -> Tensor:
    """r_ki = (1 / n_i) / sum of 1 / n_j over the labels j of k, (B, L): inf for a document without labels.

    Args:
        targets: (B, L), 0 or 1; of shares between them the sum is weighted by the share.
        counts: n, (L,), 1 or more.
    """
    inverse = 1 / counts
    share = targets * inverse if targets.is_floating_point() else torch.where(targets.bool(), inverse, 0)
    return inverse / share.sum(-1, keepdim=True)


def sum_inverse_counts(rows: Tensor, labels: Tensor, counts: Tensor, documents: int) -> Tensor:
    """The denominator of `rebalancing_ratio` from index pairs, (N,): 0 for a document without labels.

    Args:
        rows: document of each positive, (A,).
        labels: label of each positive, (A,).
        counts: n, (L,), 1 or more; a floating tensor, which decides the dtype of the result.
        documents: N.
    """
    return counts.new_zeros(documents).index_add_(0, rows, 1 / counts[labels])


def weight_at_ratio(r: Tensor, alpha: float, beta: float, mu: float) -> Tensor:
    """The rebalanced weight alpha + sigmoid(beta (r - mu)), in the shape of `r`: alpha + 1 at inf."""
    return alpha + torch.sigmoid(beta * (r - mu))


def auto_mu(rows: Numbers, labels: Numbers, counts: Numbers) -> float:
    """The authors' rule for `mu`, `mu_of_ratios`, of the positives of the training part.

    Args:
        rows: document of each positive, (A,).
        labels: label of each positive, (A,): together the coordinates of the ones in targets.
        counts: n, (L,).

    Raises:
        ValueError: no positives, lists of different lengths, a label that `counts` does not know or that it says no
            document carries.
    """
    row, label = to_float64(rows).long(), to_float64(labels).long()
    if len(row) == 0 or row.shape != label.shape:
        raise ValueError(f"auto_mu needs as many rows as labels, and at least one; found {len(row)} and {len(label)}.")
    n = to_float64(counts)
    if label.min() < 0 or label.max() >= len(n):
        raise ValueError(f"A positive has label {int(label.max())}, but there are {len(n)} counts: columns from 0.")
    inverse = 1 / n[label]
    if not inverse.isfinite().all():
        raise ValueError(f"counts[{int(label[~inverse.isfinite()][0])}] is 0, but a document carries this label.")
    r = inverse / sum_inverse_counts(row, label, n, int(row.max()) + 1)[row]
    return mu_of_ratios(r.sort().values)


def logit_shift(counts: Numbers, documents: int, kappa: float = 0.05) -> Tensor:
    """shift_i = kappa log(N / n_i - 1), float64 (L,): above 0 for a label on fewer than half of the documents.

    Subtracted from the logits it is logit adjustment with the prior n_i / N and temperature kappa. A label on all
    documents counts as on N - 1/2 of them, so that the shift stays finite.

    Source: Huang et al., EMNLP 2021, equation 7; Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021.

    Args:
        counts: n, (L,), from 1 to N.
        documents: N.
        kappa: 0 or more.
    """
    n = to_float64(counts).clamp_max(documents - 0.5)
    return kappa * ((documents - n).log() - n.log())


def inverse_propensity(counts: Numbers, documents: int, prop_a: float = 0.55, prop_b: float = 1.5) -> Tensor:
    """1 / p_i = 1 + C (n_i + b)^-a with C = (log N - 1)(b + 1)^a, float64 (L,): how likely annotators miss label i.

    p is the propensity, the probability that a label which applies is annotated; it grows with the label's frequency.

    Source: Jain, Prabhu, Varma: Extreme Multi-label Loss Functions, KDD 2016 (a 0.55 and b 1.5; 0.5 and 0.4 on
    Wikipedia, 0.6 and 2.6 on Amazon).

    Args:
        counts: n, (L,).
        documents: N.
        prop_a: 0 or more.
        prop_b: above 0.
    """
    n, c = to_float64(counts), max(0.0, math.log(documents) - 1)
    try:
        return 1 + c * (prop_b + 1) ** prop_a * (n + prop_b) ** -prop_a
    except OverflowError:  # the two powers as one, which no number is too large for
        return 1 + c * ((n + prop_b) / (prop_b + 1)) ** -prop_a


def modulating_factor(s: Tensor, gamma: float = 2.0) -> Tensor:
    """(1 - p_t)^gamma with p_t = sigmoid(s), in the shape of `s`: near 0 where the model is right and sure.

    For the positive side s is the logit, for the negative side minus the logit. The gradient is finite for any gamma
    from 0.

    Source: Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, ICCV 2017.
    """
    if gamma >= 1:
        return torch.sigmoid(-s) ** gamma
    return torch.exp(gamma * logsigmoid(-s))  # a power below 1 has an infinite slope where 1 - p_t underflows

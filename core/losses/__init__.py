"""Losses for long-tailed labels: eight of one paper and the form it was released in, as presets of one equation.

Others, for comparison, stand in the same table, `LOSSES`; `LinearLoss` trains more labels than there is memory for
logits.

Source: Huang, Giledereli, Köksal, Özgür, Ozkirimli: Balancing Methods for Multi-label Text Classification with
Long-Tailed Class Distribution, EMNLP 2021. For document k and label i

    loss_ki = scale · w_ki · d_ki · m_ki · (-log p_t),    p_t = sigmoid(s_ki)

    s_ki    signed margin       u on positives, -neg_scale · u on negatives, u = logit - shift_i
    m_ki    modulating factor   alpha_t (1 - p_t)^gamma
    w_ki    weight              1, class-balanced (by label) or rebalanced (by label and document)
    d_ki    negative damping    1 / neg_scale on negatives, 1 on positives

Shift, weights and damping are for training alone: the score of a label is the sigmoid of its raw logit. This folder
needs nothing but torch.

    loss = build_loss("db", counts, documents)      # training documents of each label, training documents in all
    loss(logits, targets).backward()                # (B, L) and (B, L), or (B, L) and the (rows, labels) of the ones
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .presets import CONSTANTS, LOSSES, Constant, Loss, OnMissing, Setting

if TYPE_CHECKING:
    from .build import build_loss, constants
    from .checks import Numbers, index_pairs
    from .effects import (
        evaluate_loss,
        rebalanced_share,
        sum_gradient_by_label,
        sum_inverse_by_document,
        weigh_document,
        weigh_labels,
    )
    from .long_tail import LongTailLoss
    from .module import REDUCTIONS, Reduction
    from .others import TermLoss
    from .output_layer import LinearLoss
    from .start import constant_logits
    from .targets import Targets
    from .weights import (
        auto_mu,
        class_balanced_weight,
        inverse_propensity,
        logit_shift,
        modulating_factor,
        rebalance_weight,
        rebalancing_ratio,
        weight_at_ratio,
    )

__all__ = [
    "CONSTANTS",
    "LOSSES",
    "REDUCTIONS",
    "Constant",
    "LinearLoss",
    "LongTailLoss",
    "Loss",
    "Numbers",
    "OnMissing",
    "Reduction",
    "Setting",
    "Targets",
    "TermLoss",
    "auto_mu",
    "build_loss",
    "class_balanced_weight",
    "constant_logits",
    "constants",
    "evaluate_loss",
    "index_pairs",
    "inverse_propensity",
    "logit_shift",
    "modulating_factor",
    "rebalance_weight",
    "rebalanced_share",
    "rebalancing_ratio",
    "sum_gradient_by_label",
    "sum_inverse_by_document",
    "weigh_document",
    "weigh_labels",
    "weight_at_ratio",
]

_FILES = {
    "build": ("build_loss", "constants"),
    "checks": ("Numbers", "index_pairs"),
    "effects": (
        "evaluate_loss",
        "rebalanced_share",
        "sum_gradient_by_label",
        "sum_inverse_by_document",
        "weigh_document",
        "weigh_labels",
    ),
    "long_tail": ("LongTailLoss",),
    "module": ("REDUCTIONS", "Reduction"),
    "others": ("TermLoss",),
    "output_layer": ("LinearLoss",),
    "start": ("constant_logits",),
    "targets": ("Targets",),
    "weights": (
        "auto_mu",
        "class_balanced_weight",
        "inverse_propensity",
        "logit_shift",
        "modulating_factor",
        "rebalance_weight",
        "rebalancing_ratio",
        "weight_at_ratio",
    ),
}
"""The module of each name that needs torch, which is imported when the first of these names is read."""


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f".{file}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

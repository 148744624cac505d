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
    from .arguments import Numbers, index_pairs
    from .beyond import REDUCTIONS, TermLoss
    from .build import build_loss, constants
    from .constant import constant_logits
    from .curves import loss_curve, weight_by_label
    from .linear import LinearLoss
    from .long_tail import LongTailLoss, Reduction, Targets
    from .weights import (
        auto_mu,
        class_balanced_weight,
        inverse_propensity,
        logit_shift,
        modulating_factor,
        rebalance_weight,
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
    "index_pairs",
    "inverse_propensity",
    "logit_shift",
    "loss_curve",
    "modulating_factor",
    "rebalance_weight",
    "weight_by_label",
]

_FILES = {
    "arguments": ("Numbers", "index_pairs"),
    "beyond": ("REDUCTIONS", "TermLoss"),
    "build": ("build_loss", "constants"),
    "constant": ("constant_logits",),
    "curves": ("loss_curve", "weight_by_label"),
    "linear": ("LinearLoss",),
    "long_tail": ("LongTailLoss", "Reduction", "Targets"),
    "weights": (
        "auto_mu",
        "class_balanced_weight",
        "inverse_propensity",
        "logit_shift",
        "modulating_factor",
        "rebalance_weight",
    ),
}
"""Where the names stand that need torch, which is imported when the first of them is asked for."""


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f".{file}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Warnings on a loss before training with it, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core import losses
from core.analysis.loss_effects import SIDES, Choice, group_slices, middle_columns
from core.analysis.loss_weights import CoLabels, weigh_labels
from core.labels.groups import Borders

WIDE = 1000.0
"""Largest weight by the smallest from which a few documents decide a step."""
UNLIKE = 2.0
"""From this factor on, up or down, a learning rate of cross-entropy does not suit another loss."""
SATURATED = 0.9
"""Share of the positives with a rebalanced weight at its floor or ceiling from which it tells labels apart no more."""


def start_ratio(mass: pd.DataFrame, reference: pd.DataFrame) -> float:
    """The size of a loss's gradient in units of another's, each of `gradient_mass`."""
    return float(mass["mass"].sum() / reference["mass"].sum())


def cautions(choice: Choice, counts: np.ndarray, documents: int, co_labels: CoLabels, borders: Borders) -> list[str]:
    """What can go wrong in training with this loss, in sentences.

    Args:
        choice: the loss.
        counts: (K,).
        documents: N.
        co_labels: of the train part.
        borders: of the frequency groups.
    """
    sentences, columns = [], middle_columns(co_labels.edges)
    # How far weights are apart, on both sides.
    weights = [weigh_labels(choice, counts, documents, side, columns, co_labels.by_bin[side]) for side in SIDES]
    known = np.concatenate([weight[np.isfinite(weight)] for weight in weights if weight is not None] or [np.ones(1)])
    with np.errstate(divide="ignore"):
        ratio = float(known.max() / known.min())
    if ratio > WIDE:
        sentences.append(
            f"the largest weight is {ratio:,.0f} times the smallest, so that a few documents of rare labels decide "
            "where a step goes."
        )
    # Whether rebalanced weights still tell labels apart.
    if (share := saturated_share(choice, counts, documents, co_labels, borders)) > SATURATED:
        mu = choice.constants(counts, documents)["mu"]
        sentences.append(
            f"with mu = {mu:g} the rebalanced weight is at its floor or ceiling for {share:.0%} of the positives, so "
            "that it hardly tells labels apart. The authors' rule for mu suits the data."
        )
    return sentences


def rate_caution(starts: Mapping[str, float]) -> str:
    """What the first gradients of losses, in units of cross-entropy's, mean for the learning rate; empty: nothing."""
    unlike = [
        f"{title} {start:,.0f}" if start >= 10 else f"{title} {start:.2g}"
        for title, start in starts.items()
        if not 1 / UNLIKE <= start <= UNLIKE
    ]
    if not unlike:
        return ""
    return (
        f"The first gradient, in units of cross-entropy's: {', '.join(unlike)}. With plain SGD, divide the learning "
        "rate by that; Adam, and steps of a fixed length as of the tfidf model, do not feel it."
    )


def saturated_share(choice: Choice, counts: np.ndarray, documents: int, co_labels: CoLabels, borders: Borders) -> float:
    """Share of the positives whose rebalanced weight is within 1 % of the lower or upper bound; 0 for other losses."""
    values = choice.constants(counts, documents)
    if "mu" not in values:
        return 0.0
    share = total = 0.0
    for group, part in group_slices(counts, borders).items():
        if pairs := counts[part].sum():
            r = co_labels.by_group["positive"][group]
            reached = losses.rebalanced_share(r, values["beta"], values["mu"]).numpy()
            share += pairs * np.mean((reached < 0.01) | (reached > 0.99))
            total += pairs
    return float(share / total)

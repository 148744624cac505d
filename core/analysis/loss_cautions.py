"""Warnings on a loss before training with it, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from core import losses
from core.analysis.loss_effects import SIDES, Choice, group_slices, label_shifts, middle_columns
from core.analysis.loss_weights import CoLabels, weigh_labels
from core.analysis.loss_words import MILLION, name_score
from core.labels.groups import Borders
from core.losses.presets import LOSSES

WIDE = 1000.0
"""Largest weight by the smallest from which a few documents decide a step."""
UNLIKE = 2.0
"""From this factor on, up or down, a learning rate of cross-entropy does not suit another loss."""
SATURATED = 0.9
"""Share of the positives with a rebalanced weight at its floor or ceiling from which it tells labels apart no more."""
HIGH_BAR = 0.9
"""Score above which a bar in training is out of reach for a label with a handful of documents."""
FAINT = 0.02
"""Share of the first gradient below which labels that are there hardly count."""
FAR = 0.1
"""Distance of mu from the authors' rule that is worth a word."""


def start_ratio(mass: pd.DataFrame, reference: pd.DataFrame) -> float:
    """The size of a loss's gradient in units of another's, each of `gradient_mass`; nan where that has none."""
    whole, unit = float(mass["mass"].sum()), float(reference["mass"].sum())
    return whole / unit if unit > 0 else math.nan


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
    most, least = float(known.max()), float(known.min())
    if not least > 0:
        sentences.append("some labels weigh nothing at all: they are not learned. A floor above 0 lets them count.")
    elif most / least > WIDE:
        ratio = "more than a million" if most / least > MILLION else f"{most / least:,.0f}"
        sentences.append(
            f"the largest weight is {ratio} times the smallest, so that a few documents of rare labels decide "
            "where a step goes."
        )
    # Whether rebalanced weights still tell labels apart.
    if (share := saturated_share(choice, counts, documents, co_labels, borders)) > SATURATED:
        mu = choice.constants(counts, documents)["mu"]
        sentences.append(
            f"with mu = {mu:g} the rebalanced weight is at its floor or ceiling for {share:.0%} of the positives, so "
            "that it hardly tells labels apart. The authors' rule for mu suits the data."
        )
    # Whether the rarest label can clear its bar; a loss that draws the line itself takes the shift back.
    bar = label_shifts([choice], counts, documents, len(counts) - 1)["shift"]
    if len(bar) and LOSSES[choice.name].decision != "logit > 0":
        with np.errstate(over="ignore"):
            score = float(1 / (1 + np.exp(-bar.iloc[0])))
        if score > HIGH_BAR:
            sentences.append(
                f"in training the rarest label counts as found only from a score of {name_score(score)} on. With few "
                "documents it hardly gets there: a smaller kappa lowers the bar."
            )
    return sentences


def start_caution(mass: pd.DataFrame) -> str:
    """What is wrong with a loss's first gradient, of `gradient_mass` in an untrained network; empty: nothing."""
    whole = float(mass["mass"].sum(skipna=False))
    if not math.isfinite(whole):
        return "the first gradient is beyond what a number can hold: nothing can be learned."
    if not whole > 0:
        return "there is no first gradient: nothing can be learned."
    there = float(mass.loc[mass["side"] == "positive", "mass"].sum()) / whole
    if there < FAINT:
        share = "less than 0.01 %" if there < 1e-4 else f"{100 * there:.2g} %"
        return (
            f"labels that are there start with almost no gradient, {share} of the whole: the network first learns that "
            "nothing is there."
        )
    return ""


def is_mu_far(mu: float, rule: float) -> bool:
    """Whether a mu is far from what the authors' rule gives."""
    return abs(mu - rule) > FAR


def mu_caution(mu: float, rule: float) -> str:
    """What a mu far from the authors' rule does, in a sentence; empty where it is near."""
    if not is_mu_far(mu, rule):
        return ""
    effect = "more labels fade than the rule lets" if mu > rule else "fewer labels fade than the rule lets"
    return f"mu is {mu:.3g}, by the authors' rule this set has {rule:.3f}: {effect}."


def rate_caution(starts: Mapping[str, float]) -> str:
    """What the first gradients of losses, in units of cross-entropy's, mean for the learning rate; empty: nothing."""
    unlike = [
        f"{title} {start:,.0f}" if start >= 10 else f"{title} {start:.2g}"
        for title, start in starts.items()
        if 0 < start < math.inf and not 1 / UNLIKE <= start <= UNLIKE
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

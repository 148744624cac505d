"""The losses and their constants: one table of each, read by all that names, checks, builds, draws or explains a loss.

It imports no torch, so that settings and pages can read it; `build` makes the losses. A new loss is one entry of
`LOSSES` and, where it is no combination of the equation's slots, one function; a constant of its own is one entry of
`CONSTANTS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .module import Terms

OnMissing = Literal["raise", "clamp", "mask"]
Setting = Literal["reuters", "pubmed", "plain"]
Decision = Literal["logit > 0", "fitted threshold"]
PAPER = "Huang et al., EMNLP 2021"


@dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high`; `above` and `below`: without that end itself. `words` are for errors."""

    words: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether the number lies in it."""
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return math.isfinite(value) and over and under

    def bounds(self) -> dict[str, float]:
        """Its finite ends by the names of their comparisons: `gt` or `ge`, `lt` or `le`."""
        ends = {"gt" if self.above else "ge": self.low, "lt" if self.below else "le": self.high}
        return {name: end for name, end in ends.items() if math.isfinite(end)}


FROM_0 = Range("0 or more", low=0)
ABOVE_0 = Range("above 0", low=0, above=True)
BELOW_1 = Range("from 0 to below 1", low=0, high=1, below=True)
ANY = Range("a finite number")


@dataclass(frozen=True)
class Constant:
    """A constant of losses.

    Attributes:
        symbol: in LaTeX.
        word: a short name beside the symbol.
        meaning: a sentence.
        range: what it may be.
        default: its value in the equation; None where each loss says its own, or it follows from the setting.
        kind: a number; a number or the word `auto`, for a rule that reads the training targets; or True and False.
        search: from and to, where a search of settings varies it.
        step: by how much one click changes it.
    """

    symbol: str
    word: str
    meaning: str
    range: Range
    default: float | None = None
    kind: Literal["number", "number or auto", "switch"] = "number"
    search: tuple[float, float] | None = None
    step: float = 0.25


# fmt: off
CONSTANTS: dict[str, Constant] = {
    "gamma": Constant(
        r"\gamma", "focus", "How fast what the model gets right fades out; 0: not at all.",
        FROM_0, default=2.0, search=(0.0, 4.0)),
    "focal_alpha": Constant(
        r"\alpha_f", "side", "Weight of labels that are there; 1 minus it is that of those that are not.",
        Range("between 0 and 1", low=0, high=1, above=True, below=True), default=0.5, step=0.05),
    "alpha": Constant(
        r"\alpha", "floor", "The least that a rebalanced weight can be.",
        FROM_0, default=0.1, step=0.05),
    "beta": Constant(
        r"\beta", "steepness", "How sharply the rebalanced weight turns from low to high.",
        ABOVE_0, default=10.0, search=(2.0, 20.0), step=1.0),
    "mu": Constant(
        r"\mu", "centre", "The r at which the rebalanced weight is halfway up. Below it a label fades.",
        Range("from 0 to 1, like the r of a positive", low=0, high=1), kind="number or auto", search=(0.1, 0.9)),
    "cb_beta": Constant(
        r"\beta", "smoothing", "0: all labels weigh the same; towards 1: by the inverse of their documents.",
        BELOW_1, default=0.9, search=(0.9, 0.9999), step=0.01),
    "kappa": Constant(
        r"\kappa", "shift", "How far the bar of a rare label is raised in training; 0: not at all.",
        FROM_0, default=0.05, search=(0.0, 0.2), step=0.01),
    "neg_scale": Constant(
        r"\lambda", "tolerance", "How much faster easy negatives let go; 1: as cross-entropy.",
        ABOVE_0, default=2.0, search=(1.0, 10.0)),
    "scale": Constant(
        "c", "scale", "Multiplies the whole loss.",
        ABOVE_0, step=0.5),
    "reweight_negatives": Constant(
        "w^-", "negatives", "Whether the weight holds for labels that are not there as well.",
        Range("True or False", low=0, high=1), default=True, kind="switch"),
    "gamma_pos": Constant(
        r"\gamma_+", "there", "How fast positives that are found fade out.",
        FROM_0, search=(0.0, 2.0)),
    "gamma_neg": Constant(
        r"\gamma_-", "not there", "How fast negatives that are right fade out.",
        FROM_0, search=(0.0, 6.0)),
    "prob_margin": Constant(
        "m", "margin", "Negatives with a score below it do not count.",
        BELOW_1),
    "tau": Constant(
        r"\tau", "temperature", "How strongly logits are shifted by label frequency.",
        FROM_0, search=(0.0, 2.0)),
    "logit_margin": Constant(
        "m", "margin", "By how much a positive's logit must lie above 0.",
        FROM_0),
    "hill_lambda": Constant(
        r"\lambda", "turn", "Where a negative with a high score begins to push less.",
        Range("1 or more, so that no negative has a loss below 0", low=1)),
    "poly_1": Constant(
        r"\epsilon_1", "first term", "Coefficient of the first term of the polynomial.",
        ANY),
    "poly_2": Constant(
        r"\epsilon_2", "second term", "Coefficient of the second term of the polynomial.",
        ANY),
    "dice_alpha": Constant(
        r"\alpha", "focus", "How fast sure positives are let go.",
        FROM_0),
    "smooth": Constant(
        "s", "smoothing", "Added above and below the fraction.",
        ABOVE_0),
    "temp_pos": Constant(
        "T_+", "there", "High: all positives count; low: the worst alone.",
        ABOVE_0),
    "temp_neg": Constant(
        "T_-", "not there", "High: all negatives count; low: the worst alone.",
        ABOVE_0),
    "prop_a": Constant(
        "a", "decay", "How fast labels are missed less as they become frequent.",
        FROM_0),
    "prop_b": Constant(
        "b", "offset", "Added to the documents of a label.",
        ABOVE_0),
}
# fmt: on
"""The constants by their names in `build_loss`, in settings (`loss.gamma`) and in addresses."""

SLOTS: dict[str, tuple[str, ...]] = {
    "focal": ("gamma", "focal_alpha"),
    "tolerant": ("kappa", "neg_scale"),
    "class-balanced": ("cb_beta", "reweight_negatives"),
    "rebalanced": ("alpha", "beta", "mu", "reweight_negatives"),
}
"""The constants that each slot of the equation reads."""


@dataclass(frozen=True)
class Loss:
    """A loss: the slots of the equation that it fills, or the function whose terms it sums, and all words on it.

    Attributes:
        title: full name.
        group: of the paper's eight, the form it was released in, or the others.
        reading: what it does, in a sentence.
        weight: slot w.
        focal: slot m is filled.
        tolerant: of negatives: the logits are shifted, and stretched by neg_scale on negatives.
        damped: slot d is filled.
        scale: 1, or what it is in setting `reuters` and `pubmed`; 1 in `plain`.
        source: authors, venue, year.
        decision: how scores become decisions: the loss draws the line itself, or it is fitted on validation.
        function: name of the function in `others` that gives its terms; empty for slots of the equation.
        terms: what it has one term of.
        own: constants that are no slot's, with their defaults.
    """

    title: str
    group: Literal["paper", "released", "others"]
    reading: str
    weight: Literal["one", "class-balanced", "rebalanced", "propensity"] = "one"
    focal: bool = False
    tolerant: bool = False
    damped: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    source: str = PAPER
    decision: Decision = "fitted threshold"
    function: str = ""
    terms: Terms = "element"
    own: Mapping[str, float] = field(default_factory=dict)

    @property
    def constants(self) -> tuple[str, ...]:
        """The constants that it reads, by their names in `build_loss`."""
        slots = ("focal",) * self.focal + ("tolerant",) * self.tolerant + (self.weight,)
        return ("scale", *(constant for slot in slots for constant in SLOTS.get(slot, ())), *self.own)

    @property
    def counted(self) -> bool:
        """Whether it divides by the count of a label."""
        return not {"kappa", "tau", "cb_beta", "mu"}.isdisjoint(self.constants)

    def defaults(self, setting: Setting, mean_r: float) -> dict[str, float]:
        """Its constants' values before anything is changed of them; `mean_r` is the mu of setting `plain`."""
        given = {
            "scale": {"reuters": self.scale[0], "pubmed": self.scale[1], "plain": 1.0}[setting],
            "mu": {"reuters": 0.9, "pubmed": 0.05, "plain": mean_r}[setting],
            **self.own,
        }
        values = {name: given.get(name, CONSTANTS[name].default) for name in self.constants}
        return {name: value for name, value in values.items() if value is not None}


LOSSES: dict[str, Loss] = {
    "bce": Loss(
        "Binary cross-entropy",
        "paper",
        "Every label counts the same: frequent labels and easy negatives make up nearly all of the loss.",
    ),
    "fl": Loss(
        "Focal loss",
        "paper",
        "What the model already gets right fades out, so that hard examples remain; label frequency plays no part.",
        focal=True,
    ),
    "cb": Loss(
        "Class-balanced focal loss",
        "paper",
        "A label with few documents weighs more than a frequent one, up to a ceiling; with the preset the weight no "
        "longer changes above some forty documents.",
        weight="class-balanced",
        focal=True,
        scale=(10.0, 5.0),
    ),
    "r-fl": Loss(
        "Rebalanced focal loss",
        "paper",
        "A rare label that comes with a frequent one keeps its weight and the frequent one loses its own: "
        "this undoes that the document is drawn for both.",
        weight="rebalanced",
        focal=True,
    ),
    "ntr-fl": Loss(
        "Negative-tolerant focal loss",
        "paper",
        "Rare labels have to clear a higher bar in training, and negatives that are easy already push far less.",
        focal=True,
        tolerant=True,
        damped=True,
        scale=(1.0, 0.5),
    ),
    "db-0fl": Loss(
        "Distribution-balanced, not focal",
        "paper",
        "Rebalanced weights and tolerance of negatives, without fading out what is easy.",
        weight="rebalanced",
        tolerant=True,
        damped=True,
        scale=(0.5, 0.5),
    ),
    "cb-ntr": Loss(
        "Class-balanced, negative-tolerant",
        "paper",
        "Rare labels weigh more, easy negatives push less, and what the model gets right fades out.",
        weight="class-balanced",
        focal=True,
        tolerant=True,
        damped=True,
        scale=(10.0, 10.0),
    ),
    "db": Loss(
        "Distribution-balanced loss",
        "paper",
        "All three at once: rebalanced weights, tolerance of negatives, and what is easy fades out.",
        weight="rebalanced",
        focal=True,
        tolerant=True,
        damped=True,
    ),
    "ntr-fl-released": Loss(
        "Negative-tolerant, as released",
        "released",
        "As ntr-fl, but without the division of negatives, as the paper's code was released: they count twice as much.",
        focal=True,
        tolerant=True,
        scale=(1.0, 0.5),
    ),
    "asl": Loss(
        "Asymmetric loss",
        "others",
        "Negatives fade out much faster than positives, and those with a score below a margin do not count at all.",
        source="Ben-Baruch et al., ICCV 2021",
        function="asl",
        own={"gamma_pos": 1.0, "gamma_neg": 4.0, "prob_margin": 0.05},
    ),
    "zlpr": Loss(
        "Zero-bounded log-sum-exp",
        "others",
        "All positives of a document are pushed above 0 and all negatives below, the worst ones hardest.",
        source="Su et al., 2022",
        decision="logit > 0",
        function="zlpr",
        terms="document",
    ),
    "logit-adjusted": Loss(
        "Logit-adjusted cross-entropy",
        "others",
        "Every logit is learned relative to how frequent its label is: rare labels must clear a far "
        "higher bar in training.",
        source="Menon et al., ICLR 2021",
        decision="logit > 0",
        own={"tau": 1.0},
    ),
    "hill": Loss(
        "Hill loss",
        "others",
        "A negative with a high score pushes less again: it may be a label that annotators missed.",
        source="Zhang et al., 2021",
        function="hill",
        own={"gamma": 2.0, "logit_margin": 1.0, "hill_lambda": 1.5},
    ),
    "apl": Loss(
        "Asymmetric polynomial loss",
        "others",
        "Positives follow a polynomial with coefficients of its own, negatives fade out as in asl.",
        source="Huang et al., ICASSP 2023",
        function="apl",
        own={"gamma_pos": 0.0, "gamma_neg": 4.0, "prob_margin": 0.05, "poly_1": 1.0, "poly_2": -2.5},
    ),
    "dice": Loss(
        "Self-adjusting Dice loss",
        "others",
        "Measures the overlap of predicted and true labels over a batch: true negatives do not count.",
        source="Li et al., ACL 2020",
        function="dice",
        terms="label",
        own={"dice_alpha": 1.0, "smooth": 1e-4},
    ),
    "two-way": Loss(
        "Two-way loss",
        "others",
        "Compares logits with one another, within each document and within each label of a batch.",
        source="Kobayashi, CVPR 2023",
        function="two_way",
        terms="batch",
        own={"temp_pos": 4.0, "temp_neg": 1.0},
    ),
    "soft-f1": Loss(
        "Soft macro-F1",
        "others",
        "Optimises a smooth macro-F1 of the batch: every label counts the same, however rare.",
        source="Bénédict et al., TMLR 2022",
        decision="logit > 0",
        function="soft_f1",
        terms="label",
    ),
    "propensity": Loss(
        "Propensity-scored cross-entropy",
        "others",
        "Positives of rare labels weigh more, as annotators are assumed to have missed more of them.",
        weight="propensity",
        source="Qaraei et al., WWW 2021",
        decision="logit > 0",
        own={"prop_a": 0.55, "prop_b": 1.5},
    ),
}
"""The paper's eight, the form in which one of them was released, and losses beyond the paper, for comparison.

Two of the others are slots of the equation, and so serve `LinearLoss` as well. "logit-adjusted" shifts the logits by
tau log(N / n_i - 1) in training and decides by the raw logit. "propensity" gives positives the weight 2 / p_i - 1, a
convex bound of the cross-entropy without bias under labels that annotators missed, with the propensity p of
`inverse_propensity`. The rest stand, each with its formula, in `others`.
"""

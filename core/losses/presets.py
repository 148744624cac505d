"""The losses by name, their constants, and `build_loss`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from .checks import Numbers, check_counts, choose, name_columns
from .long_tail import LongTailLoss, Reduction
from .others import REDUCTIONS, TermLoss, Terms, apl, asl, dice, hill, soft_f1, two_way, zlpr
from .weights import auto_mu

OnMissing = Literal["raise", "clamp", "mask"]
Setting = Literal["reuters", "pubmed", "plain"]


@dataclass(frozen=True)
class Preset:
    """Which slots of the equation a loss fills, and its `scale` on the two data sets of the paper."""

    title: str
    weight: Literal["one", "class-balanced", "rebalanced"]
    focal: bool
    tolerant: bool  # of negatives: the logits are shifted, and stretched by neg_scale on negatives
    damped: bool
    reuters: float
    pubmed: float
    plain: float = 1.0


# fmt: off
LOSSES: dict[str, Preset] = {
    #                         title                                weight            focal  toler. damped scales
    "bce":             Preset("Binary cross-entropy",              "one",            False, False, False,  1.0,  1.0),
    "fl":              Preset("Focal loss",                        "one",            True,  False, False,  1.0,  1.0),
    "cb":              Preset("Class-balanced focal loss",         "class-balanced", True,  False, False, 10.0,  5.0),
    "r-fl":            Preset("Rebalanced focal loss",             "rebalanced",     True,  False, False,  1.0,  1.0),
    "ntr-fl":          Preset("Negative-tolerant focal loss",      "one",            True,  True,  True,   1.0,  0.5),
    "db-0fl":          Preset("Distribution-balanced, not focal",  "rebalanced",     False, True,  True,   0.5,  0.5),
    "cb-ntr":          Preset("Class-balanced, negative-tolerant", "class-balanced", True,  True,  True,  10.0, 10.0),
    "db":              Preset("Distribution-balanced loss",        "rebalanced",     True,  True,  True,   1.0,  1.0),
    "ntr-fl-released": Preset("Negative-tolerant, as released",    "one",            True,  True,  False,  1.0,  0.5),
}
# fmt: on


@dataclass(frozen=True)
class Other:
    """A loss beyond the paper: its constants with their defaults, and how its scores become decisions."""

    title: str
    source: str
    decision: Literal["logit > 0", "fitted threshold"]
    function: Callable[..., Tensor] | None  # None: slots of the equation
    terms: Terms
    constants: dict[str, float]
    counted: bool = False  # it divides by the count of a label


# fmt: off
OTHER_LOSSES: dict[str, Other] = {
    "asl": Other("Asymmetric loss", "Ben-Baruch et al., ICCV 2021", "fitted threshold", asl, "element",
                 {"gamma_pos": 1.0, "gamma_neg": 4.0, "prob_margin": 0.05}),
    "zlpr": Other("Zero-bounded log-sum-exp", "Su et al., 2022", "logit > 0", zlpr, "document", {}),
    "logit-adjusted": Other("Logit-adjusted cross-entropy", "Menon et al., ICLR 2021", "logit > 0", None, "element",
                            {"tau": 1.0}, counted=True),
    "hill": Other("Hill loss", "Zhang et al., 2021", "fitted threshold", hill, "element",
                  {"gamma": 2.0, "logit_margin": 1.0, "hill_lambda": 1.5}),
    "apl": Other("Asymmetric polynomial loss", "Huang et al., ICASSP 2023", "fitted threshold", apl, "element",
                 {"gamma_pos": 0.0, "gamma_neg": 4.0, "prob_margin": 0.05, "poly_1": 1.0, "poly_2": -2.5}),
    "dice": Other("Self-adjusting Dice loss", "Li et al., ACL 2020", "fitted threshold", dice, "label",
                  {"dice_alpha": 1.0, "smooth": 1e-4}),
    "two-way": Other("Two-way loss", "Kobayashi, CVPR 2023", "fitted threshold", two_way, "batch",
                     {"temp_pos": 4.0, "temp_neg": 1.0}),
    "soft-f1": Other("Soft macro-F1", "Bénédict et al., TMLR 2022", "logit > 0", soft_f1, "label", {}),
    "propensity": Other("Propensity-scored cross-entropy", "Qaraei et al., WWW 2021", "logit > 0", None, "element",
                        {"prop_a": 0.55, "prop_b": 1.5}),
}
"""Losses beyond the paper, for comparison. All read `scale`, 1 in every setting.

Two of them are slots of the equation, and so serve `LinearLoss` as well. "logit-adjusted" shifts the logits by
tau log(N / n_i - 1) in training and decides by the raw logit. "propensity" gives positives the weight 2 / p_i - 1, a
convex bound of the cross-entropy without bias under labels that annotators missed, with the propensity p of
`inverse_propensity`. The others stand, each with its formula, in `others`.
"""
# fmt: on

_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "gamma": (lambda value: 0 <= value < math.inf, "0 or more"),
    "focal_alpha": (lambda value: 0 < value < 1, "between 0 and 1"),
    "alpha": (lambda value: 0 <= value < math.inf, "0 or more"),
    "beta": (lambda value: 0 < value < math.inf, "above 0"),
    "mu": (lambda value: 0 <= value <= 1, "from 0 to 1, like the r of a positive"),
    "cb_beta": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "kappa": (lambda value: 0 <= value < math.inf, "0 or more"),
    "neg_scale": (lambda value: 0 < value < math.inf, "above 0"),
    "scale": (lambda value: 0 < value < math.inf, "above 0"),
    "reweight_negatives": (lambda value: value in (0, 1), "True or False"),
    "gamma_pos": (lambda value: 0 <= value < math.inf, "0 or more"),
    "gamma_neg": (lambda value: 0 <= value < math.inf, "0 or more"),
    "prob_margin": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "tau": (lambda value: 0 <= value < math.inf, "0 or more"),
    "logit_margin": (lambda value: 0 <= value < math.inf, "0 or more"),
    "hill_lambda": (lambda value: 1 <= value < math.inf, "1 or more, so that no negative has a loss below 0"),
    "poly_1": (lambda value: -math.inf < value < math.inf, "a finite number"),
    "poly_2": (lambda value: -math.inf < value < math.inf, "a finite number"),
    "dice_alpha": (lambda value: 0 <= value < math.inf, "0 or more"),
    "smooth": (lambda value: 0 < value < math.inf, "above 0"),
    "temp_pos": (lambda value: 0 < value < math.inf, "above 0"),
    "temp_neg": (lambda value: 0 < value < math.inf, "above 0"),
    "prop_a": (lambda value: 0 <= value < math.inf, "0 or more"),
    "prop_b": (lambda value: 0 < value < math.inf, "above 0"),
}


def constants(
    name: str, counts: Numbers, documents: int, setting: Setting = "reuters", **overrides: float | str | None
) -> dict[str, float]:
    """The constants that a preset reads, by their names in `build_loss`: its defaults, changed by `overrides`.

    Setting "reuters" and "pubmed" give the authors' `scale` and `mu`; "plain" gives scale 1 and the mean r of the data,
    documents / label assignments (their own `mu` lies halfway between this mean and the median: `auto_mu`).

    Raises:
        ValueError: an unknown name or setting, a constant that the preset does not read or that is out of range, bad
            counts or documents.
    """
    choose("loss", name, [*LOSSES, *OTHER_LOSSES])
    n = check_counts(counts, documents)
    choose("setting", setting, ("reuters", "pubmed", "plain"))
    if name in OTHER_LOSSES:
        return _override(name, {"scale": 1.0, **OTHER_LOSSES[name].constants}, overrides)
    preset = LOSSES[name]
    values: dict[str, float] = {"scale": getattr(preset, setting)}
    if preset.focal:
        values |= {"gamma": 2.0, "focal_alpha": 0.5}
    if preset.tolerant:
        values |= {"kappa": 0.05, "neg_scale": 2.0}
    if preset.weight == "class-balanced":
        values |= {"cb_beta": 0.9, "reweight_negatives": True}
    if preset.weight == "rebalanced":
        mean_r = min(1.0, documents / max(1.0, n.sum().item()))
        mu = {"reuters": 0.9, "pubmed": 0.05, "plain": mean_r}[setting]
        values |= {"alpha": 0.1, "beta": 10.0, "mu": mu, "reweight_negatives": True}
    return _override(name, values, overrides)


def _override(name: str, values: dict[str, float], overrides: Mapping[str, float | str | None]) -> dict[str, float]:
    for key, value in overrides.items():
        choose("constant", key, _RANGES)
        if value is None:
            continue
        if key not in values:
            raise ValueError(f"Loss '{name}' does not read {key}; it reads {', '.join(values)}.")
        if value == "auto" and key == "mu":
            way = "pass positives=(rows, labels), or mu=auto_mu(rows, labels, counts)"
            raise ValueError(f"mu='auto' needs the training targets: {way}.")
        within, words = _RANGES[key]
        if not isinstance(value, int | float) or not within(value):
            raise ValueError(f"{key} is {value!r}: it must be {words}.")
        values[key] = value
    return values


def build_loss(
    name: str,
    counts: Numbers,
    documents: int,
    *,
    setting: Setting = "reuters",
    reduction: Reduction = "mean",
    on_missing: OnMissing = "raise",
    labels: Sequence[str] | None = None,
    positives: tuple[Numbers, Numbers] | None = None,
    **overrides: float | str | None,
) -> LongTailLoss | TermLoss:
    """Makes one of `LOSSES` or `OTHER_LOSSES`, ready for `loss(logits, targets)`.

    Args:
        name: a key of `LOSSES` or `OTHER_LOSSES`.
        counts: n, training documents that carry each label, (L,), in column order. Documents, not occurrences.
        documents: N, training documents. Neither batches nor labels, and without validation or test.
        setting: whose `scale` and `mu`: see `constants`.
        reduction: "mean" over all B·L elements (0 for an empty batch), "sum", "none" (B, L), or "mean_over_documents":
            summed over labels, mean over documents. Of a loss with one term for each document, label or batch, "mean"
            is over the terms; see `REDUCTIONS`.
        on_missing: what to do where the loss divides by the count of a label without a training document: "raise",
            "clamp" (count one document, with a warning), or "mask" (leave the label out, whatever the loss).
        labels: names of the columns, for messages.
        positives: rows and labels of the ones in the training targets, which mu="auto" needs: see `auto_mu`.
        **overrides: constants of the preset; None keeps its value. `gamma`, `focal_alpha` (modulating factor), `alpha`,
            `beta`, `mu` (rebalanced weight), `cb_beta` (class-balanced weight), `kappa`, `neg_scale` (the lambda of the
            paper), `scale`, and `reweight_negatives` (False: w = 1 on negatives; the paper's code weights both). Those
            of the others stand in `OTHER_LOSSES`.

    Raises:
        ValueError: bad counts (with the labels' names), documents, names or constants, always with the way out.
    """
    n = check_counts(counts, documents, labels)
    if overrides.get("mu") == "auto" and positives is not None:
        overrides["mu"] = auto_mu(*positives, n)
    values = constants(name, n, documents, setting, **overrides)
    choose("reduction", reduction, ("mean", "sum", "none", "mean_over_documents"))
    choose("on_missing", on_missing, ("raise", "clamp", "mask"))
    other = OTHER_LOSSES.get(name)
    if other is not None and reduction not in REDUCTIONS[other.terms]:
        terms = f"'{name}' has one term for each {other.terms}"
        raise ValueError(f"{terms}: reduction is '{reduction}', it must be {' or '.join(REDUCTIONS[other.terms])}.")
    missing, kept = n == 0, None
    counted = LOSSES[name].tolerant or LOSSES[name].weight != "one" if other is None else other.counted
    if missing.any() and on_missing == "mask":
        kept = (~missing).nonzero().squeeze(1)
        if len(kept) == 0:
            raise ValueError("No label has a training document: nothing is left to learn.")
    elif missing.any() and counted:
        found = f"No training document for {name_columns(missing, labels)}"
        if on_missing == "raise":
            raise ValueError(f"{found}. Drop such labels, or pass on_missing='clamp' or on_missing='mask'.")
        warnings.warn(f"{found}: counted as if there were one.", stacklevel=2)
    if other is not None and other.function is not None:
        return TermLoss(other.function, other.terms, len(n), reduction=reduction, kept=kept, **values)
    if name == "logit-adjusted":
        slots: dict[str, Any] = {"scale": values["scale"], "kappa": values["tau"]}
    elif name == "propensity":
        rates = (values["prop_a"], values["prop_b"])
        slots = {"scale": values["scale"], "propensity": rates, "reweight_negatives": False}
    else:
        slots = {"damped": LOSSES[name].damped, **values}
    return LongTailLoss(
        n if name == "propensity" else n.clamp_min(1), documents, reduction=reduction, kept=kept, **slots
    )

"""Makes a loss from its name in the table, the counts of the labels and its constants."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, get_args

from . import others
from .checks import Numbers, check_counts, choose, name_columns, to_number
from .long_tail import LongTailLoss
from .module import REDUCTIONS, Reduction, change_constants
from .others import TermLoss
from .presets import LOSSES, OnMissing, Setting
from .weights import auto_mu


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
    soft_labels: bool = False,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    pos_weight: float | Numbers | None = None,
    **overrides: float | str | None,
) -> LongTailLoss | TermLoss:
    """Makes one of `LOSSES`, ready for `loss(logits, targets)`.

    Args:
        name: a key of `LOSSES`.
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
        soft_labels: targets may be shares y from 0 to 1: y times the loss of a positive and 1 - y times that of a
            negative; sums over positives and negatives are weighted alike. A document's r is that of its shares.
        label_smoothing: e, which draws targets towards 1/2: y (1 - e) + e / 2. Weights are those of y itself.
        ignore_index: a target, such as -100, whose element counts nowhere: not in the loss, nor in its mean.
        pos_weight: what positives are multiplied by on top of the preset, one number or one for each label, (L,).
        **overrides: constants of the loss, by their names in `CONSTANTS`; None keeps the preset's value. `neg_scale` is
            the lambda of the paper; `reweight_negatives=False` means w = 1 on negatives (the paper's code weights
            both).

    Raises:
        ValueError: bad counts (with the labels' names), documents, names or constants; each message says what to do.
    """
    n = check_counts(counts, documents, labels)
    if overrides.get("mu") == "auto" and positives is not None:
        overrides["mu"] = auto_mu(*positives, n)
    values: dict[str, Any] = constants(name, n, documents, setting, **overrides)
    choose("reduction", reduction, get_args(Reduction))
    choose("on_missing", on_missing, get_args(OnMissing))
    entry = LOSSES[name]
    if entry.function and reduction not in REDUCTIONS[entry.terms]:
        terms = f"'{name}' has one term for each {entry.terms}"
        raise ValueError(f"{terms}: reduction is '{reduction}', it must be {' or '.join(REDUCTIONS[entry.terms])}.")
    # Labels without a training document: left out, refused, or counted as if there were one.
    documents = int(to_number(documents))
    missing, kept = n == 0, None
    if missing.any() and on_missing == "mask":
        kept = (~missing).nonzero().squeeze(1)
        if len(kept) == 0:
            raise ValueError("No label has a training document: nothing is left to learn.")
    elif missing.any() and entry.counted:
        found = f"No training document for {name_columns(missing, labels)}"
        if on_missing == "raise":
            raise ValueError(f"{found}. Drop such labels, or pass on_missing='clamp' or on_missing='mask'.")
        warnings.warn(f"{found}: counted as if there were one.", stacklevel=2)
    # A function of its own, or the slots of the equation.
    options: dict[str, Any] = {
        "preset": name,
        "reduction": reduction,
        "kept": kept,
        "soft_labels": soft_labels,
        "label_smoothing": label_smoothing,
        "ignore_index": ignore_index,
        "pos_weight": pos_weight,
    }
    if entry.function:
        function = getattr(others, entry.function)
        return TermLoss(function, entry.terms, n, documents, **options, **values)
    return LongTailLoss(n, documents, damped=entry.damped, **options, **values)


def constants(
    name: str, counts: Numbers, documents: int, setting: Setting = "reuters", **overrides: float | str | None
) -> dict[str, float]:
    """The constants that a loss reads, by their names in `build_loss`: its defaults, changed by `overrides`.

    Setting "reuters" and "pubmed" give the authors' `scale` and `mu`; "plain" gives scale 1 and the mean r of the data,
    documents / label assignments (their own `mu` lies halfway between this mean and the median: `auto_mu`).

    Raises:
        ValueError: an unknown name or setting, a constant that the loss does not read or that is out of range, bad
            counts or documents.
    """
    choose("loss", name, LOSSES)
    n = check_counts(counts, documents)
    choose("setting", setting, get_args(Setting))
    mean_r = min(1.0, documents / max(1.0, n.sum().item()))
    return change_constants(name, LOSSES[name].defaults(setting, mean_r), overrides)

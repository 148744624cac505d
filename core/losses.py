"""Losses for long-tailed labels: eight of one paper and the form it was released in, as presets of one equation.

Source: Huang, Giledereli, Köksal, Özgür, Ozkirimli: Balancing Methods for Multi-label Text Classification with
Long-Tailed Class Distribution, EMNLP 2021. For document k and label i

    loss_ki = scale · w_ki · d_ki · m_ki · (-log p_t),    p_t = sigmoid(s_ki)

    s_ki    signed margin       u on positives, -neg_scale · u on negatives, u = logit - shift_i
    m_ki    modulating factor   alpha_t (1 - p_t)^gamma
    w_ki    weight              1, class-balanced (by label) or rebalanced (by label and document)
    d_ki    negative damping    1 / neg_scale on negatives, 1 on positives

Shift, weights and damping are for training alone: the score of a label is the sigmoid of its raw logit. This file
needs nothing but torch.

    loss = build_loss("db", counts, documents)      # training documents of each label, training documents in all
    loss(logits, targets).backward()                # (B, L) and (B, L)
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

Reduction = Literal["mean", "sum", "none", "mean_over_documents"]
OnMissing = Literal["raise", "clamp", "mask"]
Setting = Literal["reuters", "pubmed", "plain"]
Numbers = Iterable[float]  # a list, a tensor, a NumPy array


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
    preset, n = LOSSES[_choose("loss", name, LOSSES)], _checked(counts, documents)
    _choose("setting", setting, ("reuters", "pubmed", "plain"))
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
    for key, value in overrides.items():
        _choose("constant", key, _RANGES)
        if value is None:
            continue
        if key not in values:
            raise ValueError(f"Loss '{name}' does not read {key}; it reads {', '.join(values)}.")
        if value == "auto" and key == "mu":
            raise ValueError("mu='auto' needs the training targets: pass mu=auto_mu(rows, labels, counts).")
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
    **overrides: float | str | None,
) -> LongTailLoss:
    """Makes one of `LOSSES`, ready for `loss(logits, targets)`.

    Args:
        name: a key of `LOSSES`.
        counts: n, training documents that carry each label, (L,), in column order. Documents, not occurrences.
        documents: N, training documents. Neither batches nor labels, and without validation or test.
        setting: whose `scale` and `mu`: see `constants`.
        reduction: "mean" over all B·L elements (0 for an empty batch), "sum", "none" (B, L), or "mean_over_documents":
            summed over labels, mean over documents.
        on_missing: what to do where the loss divides by the count of a label without a training document: "raise",
            "clamp" (count one document, with a warning), or "mask" (leave the label out, whatever the loss).
        labels: names of the columns, for messages.
        **overrides: constants of the preset; None keeps its value. `gamma`, `focal_alpha` (modulating factor), `alpha`,
            `beta`, `mu` (rebalanced weight), `cb_beta` (class-balanced weight), `kappa`, `neg_scale` (the lambda of the
            paper), `scale`, and `reweight_negatives` (False: w = 1 on negatives; the paper's code weights both).

    Raises:
        ValueError: bad counts (with the labels' names), documents, names or constants, always with the way out.
    """
    n = _checked(counts, documents, labels)
    values = constants(name, n, documents, setting, **overrides)
    _choose("reduction", reduction, ("mean", "sum", "none", "mean_over_documents"))
    _choose("on_missing", on_missing, ("raise", "clamp", "mask"))
    preset, missing, kept = LOSSES[name], n == 0, None
    if missing.any() and on_missing == "mask":
        kept = (~missing).nonzero().squeeze(1)
        if len(kept) == 0:
            raise ValueError("No label has a training document: nothing is left to learn.")
    elif missing.any() and (preset.tolerant or preset.weight != "one"):
        found = f"No training document for {_names(missing, labels)}"
        if on_missing == "raise":
            raise ValueError(f"{found}. Drop such labels, or pass on_missing='clamp' or on_missing='mask'.")
        warnings.warn(f"{found}: counted as if there were one.", stacklevel=2)
    return LongTailLoss(n.clamp_min(1), documents, damped=preset.damped, reduction=reduction, kept=kept, **values)


class LongTailLoss(nn.Module):
    """The equation at the head of this file; with the defaults every slot is empty, which is binary cross-entropy.

    Made by `build_loss`, which checks its arguments. The buffers follow `.to()`; they are float64 after `.double()` and
    never less than float32, in which logits of fewer bits are computed as well, autocast or not.
    """

    counts: Tensor
    shift: Tensor
    label_weight: Tensor
    kept: Tensor | None

    def __init__(
        self,
        counts: Tensor,
        documents: int,
        *,
        scale: float = 1.0,
        gamma: float = 0.0,
        focal_alpha: float | None = None,
        cb_beta: float | None = None,
        alpha: float = 0.0,
        beta: float = 0.0,
        mu: float | None = None,
        reweight_negatives: bool | float = True,
        kappa: float = 0.0,
        neg_scale: float = 1.0,
        damped: bool = False,
        reduction: Reduction = "mean",
        kept: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.size, self.reduction = len(counts), reduction
        self.gamma, self.kappa, self.neg_scale = gamma, kappa, neg_scale
        self.alpha, self.beta, self.mu, self.reweight_negatives = alpha, beta, mu, reweight_negatives
        self.on_positives = scale * (1 if focal_alpha is None else focal_alpha)
        self.on_negatives = scale * (1 if focal_alpha is None else 1 - focal_alpha) / (neg_scale if damped else 1)
        counts = counts.double() if kept is None else counts.double()[kept]
        weight = torch.ones((), dtype=torch.float64) if cb_beta is None else class_balanced_weight(counts, cb_beta)
        self._exact = {"counts": counts, "label_weight": weight, "shift": logit_shift(counts, documents, kappa)}
        for name, values in self._exact.items():
            self.register_buffer(name, values.float(), persistent=False)
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of logits (B, L) with targets (B, L); a single document (L,) will do.

        Targets are 0 or 1 in any dtype. They are checked, at the price of one synchronisation on a GPU, unless they are
        bool, which `torch.func.vmap` over targets needs, or the call is being compiled.

        Raises:
            ValueError: shapes that do not fit, a target other than 0 and 1.
        """
        if logits.shape != targets.shape or logits.ndim == 0 or logits.shape[-1] != self.size:
            shapes = f"{tuple(logits.shape)} and targets {tuple(targets.shape)}"
            raise ValueError(f"Logits are {shapes}: both must be (documents, {self.size}).")
        positive = _positive(targets)
        if self.kept is not None:
            logits, positive = logits.index_select(-1, self.kept), positive.index_select(-1, self.kept)
        with torch.autocast(logits.device.type, enabled=False):
            s = self.signed_margin(logits, positive)
            gain = self.weight(positive) * logsigmoid(s)
            if self.gamma:
                gain = gain * modulating_factor(s, self.gamma)
            if self.reduction == "mean":
                return -gain.sum() / max(1, gain.numel())
            if self.reduction == "sum":
                return -gain.sum()
            if self.reduction == "mean_over_documents":
                return -gain.sum() / max(1, gain.numel() // gain.shape[-1])
            if self.kept is not None:
                gain = gain.new_zeros(targets.shape).index_copy(-1, self.kept, gain)
            return -gain

    def signed_margin(self, logits: Tensor, positive: Tensor) -> Tensor:
        """The s of the equation (B, L): logit - shift, times -neg_scale on negatives; `positive` (B, L) is bool."""
        margin = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.kappa:
            margin = margin - self.shift
        return margin * torch.where(positive, margin.new_full((), 1.0), margin.new_full((), -self.neg_scale))

    def weight(self, positive: Tensor) -> Tensor:
        """What stands before (1 - p_t)^gamma and -log p_t: scale · w · d · alpha_t, broadcastable to (B, L)."""
        w = self.label_weight
        if self.mu is not None:
            w = rebalance_weight(positive, self.counts, self.alpha, self.beta, self.mu)
        if self.on_positives == self.on_negatives and self.reweight_negatives:
            return self.on_positives * w
        on_negatives = self.on_negatives * (w if self.reweight_negatives else torch.ones_like(w))
        return torch.where(positive, self.on_positives * w, on_negatives)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LongTailLoss:
        super()._apply(fn, recurse)
        for name, exact in self._exact.items():  # .double() becomes exact, .half() stays float32, where 1/n and r fit
            moved = getattr(self, name)
            setattr(self, name, exact.to(torch.promote_types(moved.dtype, torch.float32)).to(moved.device))
        return self


def class_balanced_weight(counts: Numbers, cb_beta: float = 0.9) -> Tensor:
    """w_i = (1 - cb_beta) / (1 - cb_beta^n_i), float64 (L,): 1 for one document, 1 - cb_beta for very many.

    Source: Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Args:
        counts: n, (L,), 1 or more.
        cb_beta: 0 up to, but not including, 1.
    """
    return (1 - cb_beta) / -torch.expm1(torch.xlogy(_float64(counts), cb_beta))


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
    inverse = 1 / counts
    total = torch.where(targets.bool(), inverse, 0).sum(-1, keepdim=True)
    empty = total == 0
    r = inverse / total.masked_fill(empty, 1)
    return r.sub_(mu).mul_(beta).sigmoid_().add_(alpha).masked_fill_(empty, alpha + 1)


def auto_mu(rows: Numbers, labels: Numbers, counts: Numbers) -> float:
    """The authors' rule for `mu`: halfway between the mean and the median of r over the positives of the training part.

    The mean is documents / label assignments; the median is 1 where most labels stand alone.

    Source: Huang et al., EMNLP 2021, released code.

    Args:
        rows: document of each positive, (A,).
        labels: label of each positive, (A,): together the coordinates of the ones in targets.
        counts: n, (L,).

    Raises:
        ValueError: no positives, lists of different lengths, a label that `counts` says no document carries.
    """
    row, label = _float64(rows).long(), _float64(labels).long()
    if len(row) == 0 or row.shape != label.shape:
        raise ValueError(f"auto_mu needs as many rows as labels, and at least one; found {len(row)} and {len(label)}.")
    inverse = (1 / _float64(counts))[label]
    if not inverse.isfinite().all():
        raise ValueError(f"counts[{int(label[~inverse.isfinite()][0])}] is 0, but a document carries this label.")
    r = inverse / inverse.new_zeros(int(row.max()) + 1).index_add_(0, row, inverse)[row]
    middle = r.sort().values[[(len(r) - 1) // 2, len(r) // 2]].mean()
    return float(r.mean() + middle) / 2


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
    n = _float64(counts).clamp_max(documents - 0.5)
    return kappa * ((documents - n).log() - n.log())


def modulating_factor(s: Tensor, gamma: float = 2.0) -> Tensor:
    """(1 - p_t)^gamma with p_t = sigmoid(s), in the shape of `s`: near 0 where the model is right and sure.

    For the positive side s is the logit, for the negative side minus the logit. The gradient is finite for any gamma
    from 0.

    Source: Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, ICCV 2017.
    """
    if gamma >= 1:
        return torch.sigmoid(-s) ** gamma
    return torch.exp(gamma * logsigmoid(-s))  # a power below 1 has an infinite slope where 1 - p_t underflows


def weight_by_label(
    name: str,
    counts: Numbers,
    documents: int,
    setting: Setting = "reuters",
    *,
    beside: int | None = None,
    **overrides: float | str | None,
) -> list[float]:
    """Weight of a positive on each label, (L,): scale · w · alpha_t, what its -log p_t counts before it is modulated.

    The document carries this label alone, so that r = 1 and rebalanced weights are the same for all labels; or this
    label and the one in column `beside`, where they are not. A label without training documents has no weight: nan,
    unless the preset weighs all labels alike.
    """
    values, n = constants(name, counts, documents, setting, **overrides), _float64(counts)
    weight = torch.ones_like(n)
    if "cb_beta" in values:
        weight = class_balanced_weight(n, values["cb_beta"])
    if "mu" in values:
        other = torch.zeros_like(n)
        if beside is not None:
            other += 1 / n[beside]
            other[beside] = 0
        r = 1 / (1 + n * other)
        weight = values["alpha"] + torch.sigmoid(values["beta"] * (r - values["mu"]))
    if LOSSES[name].weight != "one":
        weight = weight.masked_fill(n == 0, math.nan)
    result: list[float] = (values["scale"] * values.get("focal_alpha", 1.0) * weight).tolist()
    return result


def loss_curve(
    name: str,
    counts: Numbers,
    documents: int,
    label: int,
    logits: Numbers,
    setting: Setting = "reuters",
    **overrides: float | str | None,
) -> dict[str, list[float]]:
    """Loss, gradient and modulating factor of one label against its logit.

    Rebalanced weights depend on the document: the positive is the only label of its document, and the negative stands
    in a document whose only label is as frequent as this one, so that r = 1 on both sides.

    Args:
        name: a key of `LOSSES`.
        counts: n, (L,).
        documents: N.
        label: column of the label.
        logits: grid, (G,).
        setting: see `constants`.
        **overrides: see `build_loss`.

    Returns:
        Lists of length G: `logit`; `positive_loss`, `negative_loss`; `positive_gradient`, `negative_gradient` with
        respect to the logit; `positive_factor`, `negative_factor`, (1 - p_t)^gamma, 1 where there is none.
    """
    values: dict[str, Any] = constants(name, counts, documents, setting, **overrides)
    n = float(_float64(counts)[label])
    loss = build_loss(name, [n, n], documents, reduction="none", **values).double()
    grid = _float64(logits)
    z = grid[:, None].repeat(1, 2).requires_grad_()
    positive = torch.tensor([True, False]).expand_as(z)
    with torch.enable_grad():
        element = loss(z, positive)
        (gradient,) = torch.autograd.grad(element.sum(), z)
        factor = modulating_factor(loss.signed_margin(z, positive), loss.gamma)
    curves: dict[str, list[float]] = {"logit": grid.tolist()}
    for quantity, pair in (("loss", element), ("gradient", gradient), ("factor", factor)):
        curves |= {f"{side}_{quantity}": pair[:, i].tolist() for i, side in enumerate(("positive", "negative"))}
    return curves


def _positive(targets: Tensor) -> Tensor:
    positive = targets.bool()
    if targets.dtype is not torch.bool and not torch.compiler.is_compiling():
        wrong = targets != positive
        if wrong.any():
            place = wrong.nonzero()[0].tolist()
            raise ValueError(f"targets{place} is {targets[tuple(place)].item()}: targets are 0 or 1.")
    return positive


def _checked(counts: Numbers, documents: int, labels: Sequence[str] | None = None) -> Tensor:
    n = _float64(counts)
    if n.ndim != 1 or len(n) == 0:
        raise ValueError(f"counts have shape {tuple(n.shape)}: one number for each label is needed, (L,).")
    if labels is not None and len(labels) != len(n):
        raise ValueError(f"There are {len(labels)} label names, but {len(n)} counts.")
    if not documents >= 1 or documents % 1:
        raise ValueError(f"documents is {documents}: it is the number of training documents, a whole number above 0.")
    wrong = ~(n >= 0) | (n % 1 != 0)
    if wrong.any():
        raise ValueError(
            f"counts is {n[wrong][0].item():g} for {_names(wrong, labels)}: "
            "counts are numbers of training documents, whole and not negative."
        )
    if (n > documents).any():
        raise ValueError(
            f"documents is {documents}, but counts go up to {n.max().item():.0f}, for {_names(n > documents, labels)}: "
            "did you pass the number of batches? Pass the training documents, and count a label once in each."
        )
    return n


def _names(chosen: Tensor, labels: Sequence[str] | None) -> str:
    columns: list[int] = chosen.nonzero().squeeze(1).tolist()
    words = [f"column {i}" if labels is None else f"'{labels[i]}' (column {i})" for i in columns[:5]]
    return ", ".join(words) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")


def _float64(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64)
    try:
        return torch.tensor(values.tolist() if hasattr(values, "tolist") else list(values), dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"Expected a list of numbers, for labels in column order; found {values!r:.80}.") from None


def _choose(kind: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"There is no {kind} '{name}'.{hint} Choose one of: {', '.join(names)}.")

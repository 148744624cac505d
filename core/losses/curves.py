"""What a loss does to a label, without any data: weights by label, curves over the logit."""

from __future__ import annotations

import math
from typing import Any

import torch

from .arguments import Numbers, choose, to_float64
from .build import build_loss, constants
from .long_tail import LongTailLoss
from .presets import LOSSES, Setting
from .weights import class_balanced_weight, modulating_factor


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
    choose("curve of a loss", name, LOSSES)
    values, n = constants(name, counts, documents, setting, **overrides), to_float64(counts)
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
    choose("curve of a loss", name, LOSSES)
    values: dict[str, Any] = constants(name, counts, documents, setting, **overrides)
    n = float(to_float64(counts)[label])
    loss = build_loss(name, [n, n], documents, reduction="none", **values).double()
    assert isinstance(loss, LongTailLoss)
    grid = to_float64(logits)
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

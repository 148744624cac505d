"""Output layer and loss in one, block by block of labels: for label sets whose logits do not fit in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .closed_form import evaluate_negatives, evaluate_positives, measure_steepness, slice_slots
from .long_tail import LongTailLoss
from .targets import Targets

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


class LinearLoss(nn.Linear):
    """A linear layer followed by a loss, which never holds logits (B, L): `loss(linear(features), targets)` in blocks.

    The gradients of features, weight and bias are made together with the loss; they equal those of the plain path. The
    parameters are those of `nn.Linear`, under the same names, and `logits(features)` are what it returns. Under
    autocast, blocks are multiplied in its dtype; the loss is computed in float32 as ever. A second derivative is
    refused, and `torch.compile` leaves this layer as it is.

        layer = LinearLoss(768, build_loss("db", counts, documents))
        layer(features, (rows, labels)).backward()      # (B, 768) and the index pairs of the ones
        scores = layer.logits(features).sigmoid()       # (B, L)
    """

    def __init__(
        self,
        in_features: int,
        loss: LongTailLoss,
        *,
        bias: bool = True,
        block: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Makes the layer.

        Args:
            in_features: H.
            loss: made by `build_loss`, with any reduction but "none".
            bias: whether each label has a bias.
            block: labels in a block; by default what makes a block of logits 2^18 elements on a CPU, 2^24 elsewhere.
            device: of the parameters.
            dtype: of the parameters.

        Raises:
            ValueError: a loss without this form, or one that is not reduced.
        """
        if not isinstance(loss, LongTailLoss):
            raise ValueError(f"{type(loss).__name__} needs all logits of a document at once: use a plain nn.Linear.")
        if loss.reduction == "none":
            raise ValueError("reduction='none' would hold one loss for each logit: choose another reduction.")
        if block is not None and block < 1:
            raise ValueError(f"block is {block}: it is a number of labels, 1 or more.")
        super().__init__(in_features, loss.size, bias=bias, device=device, dtype=dtype)
        self.loss, self.block = loss, block
        self.register_state_dict_post_hook(_drop_loss)

    def forward(self, features: Tensor, targets: Targets) -> Tensor:  # type: ignore[override]
        """The loss of features (B, H) with targets (B, L) or their index pairs, see `LongTailLoss.forward`."""
        return linear_loss(self.loss, features, self.weight, self.bias, targets, self.block)

    def logits(self, features: Tensor) -> Tensor:
        """What `nn.Linear` returns, (B, L): pass a few documents at a time where there are many labels."""
        return super().forward(features)


def _drop_loss(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
    """The state of a `LinearLoss` is that of `nn.Linear`, and either loads the other's."""
    state.pop(f"{prefix}loss._extra_state", None)


@torch._disable_dynamo  # torch.compiler.disable, which loads the compiler here and not at the first call: 3 s
def linear_loss(
    loss: LongTailLoss,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Targets,
    block: int | None = None,
) -> Tensor:
    """`loss(features @ weight.T + bias, targets)` block by block of labels.

    Args:
        loss: with any reduction but "none".
        features: (B, H).
        weight: (L, H).
        bias: (L,), or None.
        targets: (B, L), or rows (A,) and labels (A,).
        block: labels in a block.

    Raises:
        ValueError: shapes that do not fit, targets other than 0 and 1.
    """
    if features.ndim != 2 or weight.shape != (loss.size, features.shape[1]):
        shapes = f"{tuple(features.shape)} and the weight {tuple(weight.shape)}"
        raise ValueError(f"Features are {shapes}: they must be (documents, H) and ({loss.size}, H).")
    for option in ("soft_labels", "label_smoothing"):
        if getattr(loss, option):
            raise ValueError(f"The output layer in blocks has no {option}: use loss(layer.logits(features), targets).")
    if loss.ignore_index is not None:
        raise ValueError("The output layer in blocks ignores no targets: use loss(layer.logits(features), targets).")
    documents = len(features)
    if isinstance(targets, Tensor) and targets.shape != (documents, loss.size):
        raise ValueError(f"Targets are {tuple(targets.shape)}: they must be ({documents}, {loss.size}).")
    rows, labels = loss.narrow_pairs(targets, documents, features.device)
    order = labels.argsort(stable=True)
    if block is None:
        block = max(1, 2 ** (18 if features.device.type == "cpu" else 24) // max(1, documents))
    kind = features.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    with torch.autocast(kind, enabled=False):
        return _LinearLoss.apply(
            loss, features, weight, bias, rows[order], labels[order], block, dtype, torch.is_grad_enabled()
        )


def _evaluate_blocks(
    loss: LongTailLoss,
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: Tensor,
    labels: Tensor,
    block: int,
    dtype: torch.dtype,
    needed: tuple[bool, ...],
) -> tuple[Tensor, Gradients]:
    """Loss and the gradients that are needed, of features, weight and bias; `labels` are sorted."""
    # Where the blocks begin in the sorted labels, and what is added up over them.
    size, documents, x = len(loss.counts), len(features), features.to(dtype)
    at = loss.columns(features.device, dtype, keep=True)
    wide = at.counts.dtype
    total = torch.zeros((), dtype=wide, device=features.device)
    empty = torch.empty_like if at.kept is None else torch.zeros_like
    to_features = torch.zeros(features.shape, dtype=wide, device=features.device) if needed[0] else None
    to_weight = empty(weight) if needed[1] else None
    to_bias = empty(bias) if needed[2] and bias is not None else None
    steepness = measure_steepness(loss, at, rows, labels, documents)
    starts = range(0, size, block)
    cuts = torch.searchsorted(labels, torch.tensor([*starts, size], device=labels.device)).tolist()
    unit = loss.on_negatives / loss.divisor(torch.Size((documents, size)))
    for start, first, last in zip(starts, cuts, cuts[1:], strict=False):
        # The logits of a block.
        block_of = slice(start, start + block)
        columns = block_of if at.kept is None else at.kept[block_of]
        w = weight[columns].to(dtype)
        z = x @ w.T if bias is None else torch.addmm(bias[columns].to(dtype), x, w.T)
        z = z.to(wide)
        # Loss and slope, positives over what they would be as negatives; the slope takes the memory of the logits.
        row, label = rows[first:last], labels[first:last]
        of_positives, slope_of_positives = evaluate_positives(loss, at, z[row, label - start], steepness, row, label)
        part = evaluate_negatives(loss, z, steepness, slice_slots(loss, at, block_of), out=z)
        part[row, label - start], z[row, label - start] = of_positives, slope_of_positives
        total += part.sum()
        # Its part of each gradient.
        slope = z.to(dtype)
        if to_features is not None:
            to_features += slope @ w
        if to_weight is not None:
            to_weight[columns] = (slope.T @ x).to(weight.dtype)
        if to_bias is not None:
            to_bias[columns] = slope.sum(0).to(to_bias.dtype)
    return total * unit, (to_features, to_weight, to_bias)


class _LinearLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: LongTailLoss, *inputs: Any) -> Tensor:
        features, weight, bias, rows, labels, block, dtype, recording = inputs
        ctx.loss, ctx.block, ctx.dtype, ctx.needed = loss, block, dtype, ctx.needs_input_grad[1:4]
        ctx.save_for_backward(features, weight, bias, rows, labels)
        needed = ctx.needed if recording else (False,) * 3
        value, ctx.gradients = _evaluate_blocks(loss, features, weight, bias, rows, labels, block, dtype, needed)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("LinearLoss has no second derivative: use loss(layer.logits(features), targets).")
        loss, gradients, inputs = ctx.loss, ctx.gradients, ctx.saved_tensors
        ctx.gradients = None  # handed over, not copied: the gradient of the weight may be the largest tensor there is
        if gradients is None:  # a second backward through a graph that was retained
            features, weight, bias, rows, labels = inputs
            _, gradients = _evaluate_blocks(
                loss, features, weight, bias, rows, labels, ctx.block, ctx.dtype, ctx.needed
            )
        unit = gradient * (loss.on_negatives * loss.neg_scale)
        unit = unit / loss.divisor(torch.Size((len(inputs[0]), len(loss.counts))))
        scaled = [None if g is None else g.mul_(unit).to(t.dtype) for g, t in zip(gradients, inputs, strict=False)]
        return None, *scaled, None, None, None, None, None

"""Where the gradient goes: what losses make of the labels and documents of a data set, before anything is trained.

Labels are in the order of falling counts, and `counts` (K,) ends with the last label that has a train document:
`counted` cuts it so, as training leaves out the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from core import losses
from core.config import UserError
from core.labels import FREQUENCY_GROUPS, Borders, group_sizes
from core.losses import LOSSES, LongTailLoss, TermLoss
from core.store import Predictions

SIDES = {"positive": "label is there", "negative": "label is not there"}
QUANTILES = (np.arange(10) + 0.5) / 10
"""Their mean is that of the whole, and between the first and the last are nine in ten."""
GRID = (np.arange(200) + 0.5) / 200
"""Quantiles that stand for a whole distribution."""
BINS = 240
"""Above so many labels, ranks are drawn in bins that are even on a logarithmic axis."""
COARSE = 24
"""Bins where a weight differs from document to document, so that each holds enough of them."""
NEGATIVES = 4000
"""Documents that stand for all where negatives are looked at."""
ELEMENTS = 2**20
"""Documents x labels of a sample; of few labels at most `DOCUMENTS`."""
DOCUMENTS = 2000
LOGITS = np.linspace(-8, 8, 65)
LEAST_SCORE, MOST_SCORE = 2.0**-24, 1 - 2.0**-12
"""Scores are kept as float16: the smallest above 0, and halfway between the largest below 1 and 1."""


@dataclass(frozen=True)
class Choice:
    """A loss as it is compared: the name it is shown under, a preset, and what is changed of it.

    Attributes:
        title: `db`, or `db (preset)` beside a changed one.
        name: a key of `LOSSES`.
        setting: see `core.losses.constants`.
        changes: constants that differ from the preset, in the order of the preset.
    """

    title: str
    name: str
    setting: losses.Setting = "reuters"
    changes: tuple[tuple[str, float], ...] = ()

    def constants(self, counts: np.ndarray, documents: int) -> dict[str, Any]:
        """All constants, by their names in `build_loss`.

        Raises:
            UserError: one is out of range.
        """
        try:
            return losses.constants(self.name, torch.from_numpy(counts), documents, self.setting, **dict(self.changes))
        except ValueError as error:
            raise UserError(f"Loss '{self.name}': {error}") from None

    def build(
        self, counts: np.ndarray, documents: int, reduction: losses.Reduction = "mean"
    ) -> LongTailLoss | TermLoss:
        """The loss itself; `UserError` as of `constants`."""
        values = self.constants(counts, documents)
        return losses.build_loss(self.name, torch.from_numpy(counts), documents, reduction=reduction, **values)


def by_element(name: str) -> bool:
    """Whether the loss is a sum over documents and labels, so that one label has a curve of its own."""
    return LOSSES[name].terms == "element"


def counted(counts: np.ndarray) -> np.ndarray:
    """The counts of the labels with a train document, (K,): a leading part, as counts fall."""
    return counts[: np.count_nonzero(counts)]


def rank_bins(labels: int, most: int = BINS) -> np.ndarray:
    """Edges of bins of columns: one for each label, or `most` or fewer that are even on a logarithmic axis."""
    if labels <= most:
        return np.arange(labels + 1)
    return np.unique(np.geomspace(1, labels + 1, most + 1).round().astype(np.int64)) - 1


def group_slices(counts: np.ndarray, borders: Borders) -> dict[str, slice]:
    """Columns of head, medium and tail; a slice may be empty."""
    ends = np.cumsum(list(group_sizes(counts, borders).values()))
    return {group: slice(int(a), int(b)) for group, a, b in zip(FREQUENCY_GROUPS, [0, *ends], ends, strict=False)}


# Weights.


@dataclass(frozen=True)
class Company:
    """How r of the rebalanced weights is distributed in the train part, on each side (`SIDES`).

    A weight rises with r, so that its quantiles are the weights of the quantiles of r, whatever the constants.

    Attributes:
        edges: of the bins of columns, (bins + 1,).
        by_bin: `QUANTILES` of r, (bins, 10).
        by_group: r at the quantiles `GRID`, (200,); none for a group without pairs.
    """

    edges: np.ndarray
    by_bin: dict[str, np.ndarray]
    by_group: dict[str, dict[str, np.ndarray]]


def measure_company(targets: sp.csr_array, counts: np.ndarray, borders: Borders) -> Company:
    """Measures r of all positives of the train part, and of the negatives of documents that are spread evenly over it.

    Args:
        targets: of the train part, (N, L).
        counts: (K,).
        borders: of the frequency groups.
    """
    edges, groups = rank_bins(len(counts), COARSE), group_slices(counts, borders)
    targets = targets[:, : len(counts)]
    inverse = 1 / counts
    with np.errstate(divide="ignore"):
        steepness = 1 / (targets @ inverse)  # inf for a document without labels, where r has no bound
    row = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    r = inverse[targets.indices] * steepness[row]
    bins = np.searchsorted(edges, targets.indices, side="right") - 1
    positive = _quantiles(r, bins, len(edges) - 1, QUANTILES)
    ends = np.cumsum([0, *(part.stop - part.start for part in groups.values())])
    whole = _quantiles(r, np.searchsorted(ends, targets.indices, side="right") - 1, 3, GRID)
    sample = sp.csc_array(targets[spread(targets.shape[0], NEGATIVES)])
    steepness = steepness[spread(targets.shape[0], NEGATIVES)]
    order = np.argsort(steepness, kind="stable")

    def absent(column: int) -> np.ndarray:
        """Sorted r of one label where it is not there."""
        there = np.zeros(len(steepness), bool)
        there[sample.indices[sample.indptr[column] : sample.indptr[column + 1]]] = True
        return inverse[column] * steepness[order[~there[order]]]

    negative = np.array([_at(absent(column), QUANTILES) for column in middles(edges)])
    lacking = {}
    for group, part in groups.items():
        columns = np.arange(part.start, part.stop)[spread(part.stop - part.start, 100)]
        lacking[group] = _at(np.sort(np.concatenate([absent(column) for column in columns] or [r[:0]])), GRID)
    return Company(
        edges,
        {"positive": positive, "negative": negative},
        {"positive": dict(zip(FREQUENCY_GROUPS, whole, strict=True)), "negative": lacking},
    )


def middles(edges: np.ndarray) -> np.ndarray:
    """The column that stands for each bin: its middle."""
    return (edges[:-1] + edges[1:] - 1) // 2


def spread(size: int, most: int) -> np.ndarray:
    """At most `most` of the numbers from 0 to `size` - 1, evenly."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def _at(values: np.ndarray, quantiles: Sequence[float] | np.ndarray) -> np.ndarray:
    """Quantiles of sorted values, each of them one of the values; nan of none."""
    if not len(values):
        return np.full(len(quantiles), np.nan)
    return values[np.round(np.asarray(quantiles) * (len(values) - 1)).astype(np.int64)]


def _quantiles(
    values: np.ndarray, owner: np.ndarray, owners: int, quantiles: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Quantiles of the values of each owner, (owners, quantiles)."""
    order = np.lexsort((values, owner))
    ends = np.searchsorted(owner[order], np.arange(owners + 1))
    values = values[order]
    return np.array([_at(values[a:b], quantiles) for a, b in pairwise(ends)])


def weigh(
    choice: Choice, counts: np.ndarray, documents: int, side: str, columns: np.ndarray, r: np.ndarray
) -> np.ndarray | None:
    """What -log p_t of some labels counts before it is modulated: scale · w · d · alpha_t.

    Args:
        choice: the loss; None comes back for one whose terms are not documents x labels.
        counts: (K,).
        documents: N.
        side: of `SIDES`.
        columns: of the labels, (C,).
        r: (C,) or (C, quantiles): read by the rebalanced weights.

    Returns:
        In the shape of `r`.
    """
    if not by_element(choice.name):
        return None
    loss = choice.build(counts, documents)
    if isinstance(loss, TermLoss):
        return np.full(r.shape, float(loss.scale))
    scale = loss.on_positives if side == "positive" else loss.on_negatives
    if side == "negative" and not loss.reweight_negatives:
        return np.full(r.shape, scale)
    if loss.mu is not None:
        return scale * (loss.alpha + sigmoid(loss.beta * (r - loss.mu)))
    by_label = np.broadcast_to(loss.label_weight.double().numpy(), len(counts))[columns]
    return np.broadcast_to(scale * by_label.reshape(-1, *[1] * (r.ndim - 1)), r.shape)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-z), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def weight_frame(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, company: Company, labels: Sequence[str], side: str
) -> pd.DataFrame:
    """Weight by label rank: columns loss, rank, labels, count, low, weight, high.

    A row is a label, or a bin of neighbours in rank; `weight` is the mean over documents, low to high nine in ten.
    """
    names = ["loss", "rank", "labels", "count", "low", "weight", "high"]
    fine, rows = rank_bins(len(counts)), [pd.DataFrame(columns=names)]
    for choice in choices:
        differs = "mu" in choice.constants(counts, documents)
        edges = company.edges if differs else fine
        columns = middles(edges)
        r = company.by_bin[side] if differs else np.ones((len(columns), 1))
        weight = weigh(choice, counts, documents, side, columns, r)
        if weight is None:
            continue
        first, last = edges[:-1] + 1, edges[1:]
        ranks = np.sqrt(first * last)
        ranks[-1] = last[-1]
        frame = {
            "loss": choice.title,
            "rank": ranks,
            "labels": [labels[a - 1] if a == b else f"ranks {a:,} to {b:,}" for a, b in zip(first, last, strict=True)],
            "count": counts[columns],
            "low": weight[:, 0],
            "weight": weight.mean(1),
            "high": weight[:, -1],
        }
        rows.append(pd.DataFrame(frame).dropna())
    return stack(rows)


def group_weights(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, company: Company, borders: Borders, side: str
) -> pd.DataFrame:
    """Mean weight of a positive or negative by frequency group: columns loss, head, medium, tail; nan of none.

    The mean is over the pairs of a document and a label of the group that is there, or not there.
    """
    rows = []
    for choice in choices:
        row: dict[str, Any] = {"loss": choice.title}
        for group, part in group_slices(counts, borders).items():
            columns = np.arange(part.start, part.stop)
            r = company.by_group[side][group]
            pairs = counts[part] if side == "positive" else documents - counts[part]
            if "mu" in choice.constants(counts, documents):
                columns, pairs = np.zeros(len(r), np.int64), np.ones(len(r))
            else:
                r = np.ones(len(columns))
            weight = weigh(choice, counts, documents, side, columns, r)
            if weight is None:
                break
            row[group] = float(weight @ pairs / pairs.sum()) if pairs.sum() else np.nan
        else:
            rows.append(row)
    return pd.DataFrame(rows, columns=["loss", *FREQUENCY_GROUPS])


def saturated_share(choice: Choice, counts: np.ndarray, documents: int, company: Company, borders: Borders) -> float:
    """Share of the positives whose rebalanced weight is within 1 % of the lower or upper bound; 0 for other losses."""
    values = choice.constants(counts, documents)
    if "mu" not in values:
        return 0.0
    share = total = 0.0
    for group, part in group_slices(counts, borders).items():
        if pairs := counts[part].sum():
            slot = sigmoid(values["beta"] * (company.by_group["positive"][group] - values["mu"]))
            share += pairs * np.mean((slot < 0.01) | (slot > 0.99))
            total += pairs
    return float(share / total)


def rule_for_mu(targets: sp.csr_array, counts: np.ndarray) -> float:
    """`core.losses.auto_mu` of the train part's targets (N, L)."""
    return losses.auto_mu(*losses.index_pairs(targets), torch.from_numpy(counts.astype(np.int64)))


# Shift and curves.


def shift_frame(choices: Sequence[Choice], counts: np.ndarray, documents: int) -> pd.DataFrame:
    """Shift of the logits by label rank: columns loss, rank, count, shift, score (sigmoid of the shift), neg_scale.

    Losses that neither shift logits nor stretch those of negatives have no rows.
    """
    columns, rows = middles(rank_bins(len(counts))), []
    for choice in choices:
        loss = choice.build(counts, documents)
        if isinstance(loss, LongTailLoss) and (loss.kappa or loss.neg_scale != 1):
            shift = losses.logit_shift(counts[columns], documents, loss.kappa).numpy()
            frame = {"loss": choice.title, "rank": columns + 1, "count": counts[columns], "shift": shift}
            rows.append(pd.DataFrame(frame | {"score": sigmoid(shift), "neg_scale": loss.neg_scale}))
    names = ["loss", "rank", "count", "shift", "score", "neg_scale"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=names)


def tolerance_frame(choices: Sequence[Choice], counts: np.ndarray, documents: int, column: int) -> pd.DataFrame:
    """How hard a negative of one label pushes, as a share of cross-entropy's push, from shift and neg_scale alone.

    Returns:
        Columns loss, logit, share = d · neg_scale · sigmoid(neg_scale (z - shift)) / sigmoid(z), d where it is damped.
    """
    rows = []
    for choice in choices:
        loss = choice.build(counts, documents)
        if not isinstance(loss, LongTailLoss) or not (loss.kappa or loss.neg_scale != 1):
            continue
        shift = float(losses.logit_shift(counts[[column]], documents, loss.kappa))
        stretch = 1 if LOSSES[choice.name].damped else loss.neg_scale
        share = stretch * sigmoid(loss.neg_scale * (LOGITS - shift)) / sigmoid(LOGITS)
        rows.append(pd.DataFrame({"loss": choice.title, "logit": LOGITS, "share": share}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["loss", "logit", "share"])


def curve_frame(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, column: int, *, beside: bool
) -> pd.DataFrame:
    """Loss and gradient of one label against its logit.

    The positive stands alone in its document, or beside the most frequent other label; the negative in a document whose
    only label is that other one.

    Returns:
        Columns loss, side (of `SIDES`, in words), logit, value (the loss), gradient (by the logit).
    """
    other = 0 if column or len(counts) == 1 else 1
    pair = counts[[column, other]] if len(counts) > 1 else np.array([counts[0], counts[0]])
    rows = []
    for choice in choices:
        if not by_element(choice.name):
            continue
        values: dict[str, Any] = choice.constants(counts, documents)  # mu of setting `plain` follows from all counts
        loss = losses.build_loss(choice.name, torch.from_numpy(pair), documents, reduction="none", **values)
        z = torch.zeros(2, len(LOGITS), 2, dtype=torch.float64)
        z[:, :, 0] = torch.from_numpy(LOGITS)
        positive = torch.tensor([[True, beside], [False, True]])[:, None].expand(z.shape)
        z = z.reshape(-1, 2).requires_grad_()
        value = loss.double()(z, positive.reshape(-1, 2))
        (gradient,) = torch.autograd.grad(value.sum(), z)
        for number, words in enumerate(SIDES.values()):
            place = slice(number * len(LOGITS), (number + 1) * len(LOGITS))
            columns = {"value": value[place, 0].detach().numpy(), "gradient": gradient[place, 0].numpy()}
            rows.append(pd.DataFrame({"loss": choice.title, "side": words, "logit": LOGITS, **columns}))
    names = ["loss", "side", "logit", "value", "gradient"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=names)


# Logits.


def untrained_logits(kind: str, counts: np.ndarray, documents: int) -> np.ndarray:
    """Logits of a network before its first step, (K,): `zero`, or `prior`, the log-odds of each label."""
    if kind == "zero":
        return np.zeros(len(counts))
    n = np.minimum(counts, documents - 0.5)
    return np.log(n) - np.log(documents - n)


def lowest_logits(choice: Choice, counts: np.ndarray, documents: int, targets: sp.csr_array) -> np.ndarray:
    """The logits (K,) of `core.losses.constant_logits`, with targets (N, L) of the train part."""
    return losses.constant_logits(choice.build(counts, documents), *losses.index_pairs(targets), documents).numpy()


def logits_of(predictions: Predictions, rows: np.ndarray, labels: int) -> np.ndarray:
    """Logits log(s / (1 - s)) of the first `labels` labels of some of a run's documents, (S, labels).

    Scores that were rounded to 0 or 1, or were too low to be kept, stand for the nearest score that can be told from
    those.

    Args:
        predictions: of the run.
        rows: places of documents in `predictions`, (S,).
        labels: K.
    """
    kept = predictions.scores[rows]
    dense = kept.toarray() if sp.issparse(kept) else kept
    scores = np.clip(dense[:, :labels].astype(np.float64), LEAST_SCORE, MOST_SCORE)
    return np.log(scores) - np.log1p(-scores)


def logits_by_hand(start: np.ndarray, own: Sequence[int], moved: Mapping[int, float], others: float) -> np.ndarray:
    """Logits (K,): `others` for the labels a document has not, `start` for its `own`, and those that were `moved`."""
    logits = np.full(len(start), others)
    logits[list(own)] = start[list(own)]
    logits[list(moved)] = list(moved.values())
    return logits


# Gradients.


def sample_rows(documents: int, labels: int, seed: int = 0) -> np.ndarray:
    """Rows of a sample without replacement, rising: as many documents as `ELEMENTS` has rows of this many labels."""
    size = min(documents, DOCUMENTS, max(8, ELEMENTS // max(1, labels)))
    return np.sort(np.random.default_rng(seed).choice(documents, size, replace=False))


def gradient_mass(
    choice: Choice,
    counts: np.ndarray,
    documents: int,
    targets: sp.csr_array,
    logits: np.ndarray,
    groups: Mapping[str, slice],
) -> pd.DataFrame:
    """Sum of the absolute gradient by logits over a sample, by frequency group and side, for one document.

    The loss is reduced by "mean", as in training, and the sum multiplied by labels, so that for a loss of one term for
    each document and label it is the mean over documents of the sum over labels.

    Args:
        choice: the loss.
        counts: (K,).
        documents: N.
        targets: of the sample, (S, K).
        logits: (S, K), or (K,) for the same in all documents.
        groups: of `group_slices`.

    Returns:
        Columns loss, side (of `SIDES`), group, mass.
    """
    loss = choice.build(counts, documents)
    gradient = _gradient(loss, targets, logits)
    there = losses.index_pairs(targets)
    size = gradient.abs_()
    positive = torch.zeros(len(counts)).index_add_(0, there[1], size[there])
    size[there] = 0
    sums = {"positive": positive.double().numpy(), "negative": size.sum(0, dtype=torch.float64).numpy()}
    return pd.DataFrame(
        [
            {"loss": choice.title, "side": side, "group": group, "mass": float(by_label[part].sum()) * len(counts)}
            for side, by_label in sums.items()
            for group, part in groups.items()
        ]
    )


def _gradient(loss: LongTailLoss | TermLoss, targets: sp.csr_array, logits: np.ndarray) -> torch.Tensor:
    z = torch.from_numpy(np.ascontiguousarray(np.broadcast_to(logits, targets.shape), np.float32)).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z, losses.index_pairs(targets)), z)
    return gradient


def document_frame(
    choice: Choice, counts: np.ndarray, documents: int, positives: np.ndarray, logits: np.ndarray
) -> pd.DataFrame:
    """What one document gives every label: columns loss, column, positive, logit, weight, value, push.

    Args:
        choice: the loss; `weight` and `value` (the loss) are nan where it has none for each label.
        counts: (K,).
        documents: N.
        positives: columns of the document's labels.
        logits: (K,).

    Returns:
        K rows; push is minus the gradient by the logit, so that a positive push raises the logit.
    """
    there = np.zeros(len(counts), bool)
    there[positives] = True
    z = torch.from_numpy(logits.astype(np.float64))[None].requires_grad_()
    positive = torch.from_numpy(there)[None]
    reduction: losses.Reduction = "none" if by_element(choice.name) else "mean"
    loss = choice.build(counts, documents, reduction).double()
    value = loss(z, positive)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    weight = np.full(len(counts), np.nan)
    if isinstance(loss, LongTailLoss):
        weight = loss.weight(positive).expand(positive.shape)[0].numpy()
    elif reduction == "none":
        weight = np.full(len(counts), float(loss.scale))
    return pd.DataFrame(
        {
            "loss": choice.title,
            "column": np.arange(len(counts)),
            "positive": there,
            "logit": logits,
            "weight": weight,
            "value": value[0].detach().numpy() if reduction == "none" else np.nan,
            "push": -gradient[0].numpy(),
        }
    )


# What to know before training.

WIDE = 1000.0
"""Largest weight by the smallest from which a few documents decide a step."""
UNLIKE = 2.0
"""From this factor on, up or down, a learning rate of cross-entropy does not suit another loss."""
SATURATED = 0.9


def start_ratio(mass: pd.DataFrame, reference: pd.DataFrame) -> float:
    """The size of a loss's gradient in units of another's, each of `gradient_mass`."""
    return float(mass["mass"].sum() / reference["mass"].sum())


def cautions(choice: Choice, counts: np.ndarray, documents: int, company: Company, borders: Borders) -> list[str]:
    """What can go wrong in training with this loss, in sentences.

    Args:
        choice: the loss.
        counts: (K,).
        documents: N.
        company: of the train part.
        borders: of the frequency groups.
    """
    said, columns = [], middles(company.edges)
    weights = [weigh(choice, counts, documents, side, columns, company.by_bin[side]) for side in SIDES]
    known = np.concatenate([weight[np.isfinite(weight)] for weight in weights if weight is not None] or [np.ones(1)])
    with np.errstate(divide="ignore"):
        ratio = float(known.max() / known.min())
    if ratio > WIDE:
        said.append(
            f"the largest weight is {ratio:,.0f} times the smallest, so that a few documents of rare labels decide "
            "where a step goes."
        )
    if (share := saturated_share(choice, counts, documents, company, borders)) > SATURATED:
        mu = choice.constants(counts, documents)["mu"]
        said.append(
            f"with mu = {mu:g} the rebalanced weight is at its floor or ceiling for {share:.0%} of the positives, so "
            "that it hardly tells labels apart. The authors' rule for mu suits the data."
        )
    return said


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


def stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame of several with the same columns, empty ones among them."""
    return pd.concat([frame for frame in frames if len(frame)] or list(frames[:1]), ignore_index=True)

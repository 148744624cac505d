"""What losses do to the labels and documents of a data set, before anything is trained: curves, shifts, gradients.

Labels are in the order of falling counts, and `counts` (K,) ends with the last label that has a train document, as
training leaves out the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import expit

from core import losses
from core.labels.groups import FREQUENCY_GROUPS, Borders, group_sizes
from core.losses.presets import LOSSES
from core.system.errors import UserError

if TYPE_CHECKING:
    from core.losses import LongTailLoss, TermLoss

SIDES = {"positive": "label is there", "negative": "label is not there"}
RANK_BINS = 240
"""Above so many labels, ranks are drawn in bins that are even on a logarithmic axis."""
SAMPLE_ELEMENTS = 2**20
"""Documents x labels of a sample; of few labels at most `SAMPLE_DOCUMENTS`."""
SAMPLE_DOCUMENTS = 2000
LOGIT_GRID = np.linspace(-8, 8, 65)


@dataclass(frozen=True)
class Choice:
    """A loss as it is compared: the name it is shown under, a preset, and what is changed of it.

    Attributes:
        title: `db`, or `db (preset)` beside a changed one.
        name: a key of `LOSSES`.
        setting: see `core.losses.constants`.
        changes: constants that differ from the preset, in the order of the preset.
        rule_mu: the preset's mu where it is the authors' rule (`core.losses.auto_mu`), not that of the setting.
    """

    title: str
    name: str
    setting: losses.Setting = "reuters"
    changes: tuple[tuple[str, float], ...] = ()
    rule_mu: float | None = None

    def constants(self, counts: np.ndarray, documents: int) -> dict[str, float]:
        """All constants, by their names in `build_loss`.

        Raises:
            UserError: one is out of range.
        """
        try:
            ruled = {} if self.rule_mu is None or "mu" not in LOSSES[self.name].constants else {"mu": self.rule_mu}
            return losses.constants(self.name, counts, documents, self.setting, **ruled | dict(self.changes))
        except ValueError as error:
            raise UserError(f"Loss '{self.name}': {error}") from None

    def build(
        self, counts: np.ndarray, documents: int, reduction: losses.Reduction = "mean"
    ) -> LongTailLoss | TermLoss:
        """The loss itself; `UserError` as of `constants`."""
        values: dict[str, Any] = dict(self.constants(counts, documents))
        return losses.build_loss(self.name, counts, documents, reduction=reduction, **values)


def is_elementwise(name: str) -> bool:
    """Whether the loss is a sum over documents and labels, so that one label has a curve of its own."""
    return LOSSES[name].terms == "element"


def rank_bins(labels: int, most: int = RANK_BINS) -> np.ndarray:
    """Edges of bins of columns: one for each label, or `most` or fewer that are even on a logarithmic axis."""
    if labels <= most:
        return np.arange(labels + 1)
    return np.unique(np.geomspace(1, labels + 1, most + 1).round().astype(np.int64)) - 1


def group_slices(counts: np.ndarray, borders: Borders) -> dict[str, slice]:
    """Columns of head, medium and tail; a slice may be empty."""
    ends = np.cumsum(list(group_sizes(counts, borders).values()))
    return {group: slice(int(a), int(b)) for group, a, b in zip(FREQUENCY_GROUPS, [0, *ends], ends, strict=False)}


def middle_columns(edges: np.ndarray) -> np.ndarray:
    """The column that stands for each bin: its middle."""
    return (edges[:-1] + edges[1:] - 1) // 2


def stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame of several with the same columns, empty ones among them."""
    return pd.concat([frame for frame in frames if len(frame)] or list(frames[:1]), ignore_index=True)


def shift_frame(choices: Sequence[Choice], counts: np.ndarray, documents: int) -> pd.DataFrame:
    """Shift of the logits by label rank: columns loss, rank, count, shift, score (sigmoid of the shift), neg_scale.

    Losses that neither shift logits nor stretch those of negatives have no rows.
    """
    columns, rows = middle_columns(rank_bins(len(counts))), []
    for choice in choices:
        loss = choice.build(counts, documents)
        if isinstance(loss, losses.LongTailLoss) and (loss.kappa or loss.neg_scale != 1):
            shift = losses.logit_shift(counts[columns], documents, loss.kappa).numpy()
            frame = {"loss": choice.title, "rank": columns + 1, "count": counts[columns], "shift": shift}
            rows.append(pd.DataFrame(frame | {"score": expit(shift), "neg_scale": loss.neg_scale}))
    names = ["loss", "rank", "count", "shift", "score", "neg_scale"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=names)


def label_shifts(choices: Sequence[Choice], counts: np.ndarray, documents: int, column: int) -> pd.DataFrame:
    """Shift of one label's logit: columns loss, shift, stretch (`neg_scale`); losses that do neither have no row."""
    rows = []
    for choice in choices:
        loss = choice.build(counts, documents)
        if isinstance(loss, losses.LongTailLoss) and (loss.kappa or loss.neg_scale != 1):
            shift = float(losses.logit_shift(counts[[column]], documents, loss.kappa))
            rows.append({"loss": choice.title, "shift": shift, "stretch": float(loss.neg_scale)})
    return pd.DataFrame(rows, columns=["loss", "shift", "stretch"])


def tolerance_frame(choices: Sequence[Choice], counts: np.ndarray, documents: int, column: int) -> pd.DataFrame:
    """How hard a negative of one label pushes, as a share of cross-entropy's push, from shift and neg_scale alone.

    Returns:
        Columns loss, logit, share = d · neg_scale · sigmoid(neg_scale (z - shift)) / sigmoid(z), d where it is damped.
    """
    rows = []
    for choice in choices:
        loss = choice.build(counts, documents)
        if not isinstance(loss, losses.LongTailLoss) or not (loss.kappa or loss.neg_scale != 1):
            continue
        shift = float(losses.logit_shift(counts[[column]], documents, loss.kappa))
        stretch = 1 if loss.damped else loss.neg_scale
        share = stretch * expit(loss.neg_scale * (LOGIT_GRID - shift)) / expit(LOGIT_GRID)
        rows.append(pd.DataFrame({"loss": choice.title, "logit": LOGIT_GRID, "share": share}))
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
    # Two columns, the label and the other one; two sides of it, each at all logits.
    other = 0 if column or len(counts) == 1 else 1
    pair = counts[[column, other]] if len(counts) > 1 else np.array([counts[0], counts[0]])
    logits = np.zeros((2, len(LOGIT_GRID), 2))
    logits[:, :, 0] = LOGIT_GRID
    positive = np.broadcast_to(np.array([[True, beside], [False, True]])[:, None], logits.shape)
    rows = []
    for choice in choices:
        if not is_elementwise(choice.name):
            continue
        values: dict[str, Any] = dict(choice.constants(counts, documents))  # mu of `plain` follows from all counts
        loss = losses.build_loss(choice.name, pair, documents, reduction="none", **values)
        value, gradient = losses.evaluate_loss(loss, logits.reshape(-1, 2), positive.reshape(-1, 2))
        for number, words in enumerate(SIDES.values()):
            place = slice(number * len(LOGIT_GRID), (number + 1) * len(LOGIT_GRID))
            columns = {"value": value[place, 0].numpy(), "gradient": gradient[place, 0].numpy()}
            rows.append(pd.DataFrame({"loss": choice.title, "side": words, "logit": LOGIT_GRID, **columns}))
    names = ["loss", "side", "logit", "value", "gradient"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=names)


def sample_rows(documents: int, labels: int, seed: int = 0) -> np.ndarray:
    """Rows of a sample without replacement, rising: `SAMPLE_ELEMENTS` divided by the labels."""
    size = min(documents, SAMPLE_DOCUMENTS, max(8, SAMPLE_ELEMENTS // max(1, labels)))
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
    by_side = losses.sum_gradient_by_label(choice.build(counts, documents), logits, targets)
    sums = {side: by_label.numpy() for side, by_label in zip(SIDES, by_side, strict=True)}
    return pd.DataFrame(
        [
            {"loss": choice.title, "side": side, "group": group, "mass": float(by_label[part].sum()) * len(counts)}
            for side, by_label in sums.items()
            for group, part in groups.items()
        ]
    )


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
    elementwise = is_elementwise(choice.name)
    loss = choice.build(counts, documents, "none" if elementwise else "mean")
    value, gradient = losses.evaluate_loss(loss, logits[None], there[None])
    weight = losses.weigh_document(loss, there)
    return pd.DataFrame(
        {
            "loss": choice.title,
            "column": np.arange(len(counts)),
            "positive": there,
            "logit": logits,
            "weight": weight.numpy(),
            "value": value[0].numpy() if elementwise else np.nan,
            "push": -gradient[0].numpy(),
        }
    )

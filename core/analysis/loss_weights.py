"""What a label weighs under a loss, by its rank and by its frequency group, and over the documents it comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core import losses
from core.analysis.loss_effects import Choice, group_slices, is_elementwise, middle_columns, rank_bins, stack
from core.labels.groups import FREQUENCY_GROUPS, Borders, group_of, rows_with
from core.losses.presets import LOSSES

QUANTILES = (np.arange(10) + 0.5) / 10
"""Their mean is that of the whole, and between the first and the last are nine in ten."""
FINE_QUANTILES = (np.arange(200) + 0.5) / 200
"""Quantiles that stand for a whole distribution."""
LABELS_DRAWN = 300
"""Up to so many labels each has a mark of its own; more are drawn in bins of neighbours in rank (`RANK_BINS`)."""
NEGATIVE_DOCUMENTS = 4000
"""Documents that stand for all where negatives are looked at."""
NEGATIVE_LABELS = 100
"""Labels that stand for all of a frequency group there."""


@dataclass(frozen=True)
class CoLabels:
    """What the co-labels of documents leave of a label: quantiles of r in the train part, on each side (`SIDES`).

    r, which rebalanced weights read (`core.losses.rebalancing_ratio`), is 1 for a label that stands alone and falls
    with every other label of its document. A weight rises with r, so that its quantiles are the weights of the
    quantiles of r, whatever the constants.

    Attributes:
        edges: of the bins of columns, (bins + 1,).
        by_bin: r at `QUANTILES`, (bins, 10); nan for a bin without pairs.
        by_group: r at `FINE_QUANTILES`, (200,); nan for a group without pairs.
    """

    edges: np.ndarray
    by_bin: dict[str, np.ndarray]
    by_group: dict[str, dict[str, np.ndarray]]


def drawn_bins(labels: int) -> np.ndarray:
    """Edges of the bins of columns that have a mark each: single labels as long as there are at most `LABELS_DRAWN`."""
    return rank_bins(labels, labels) if labels <= LABELS_DRAWN else rank_bins(labels)


def measure_co_labels(targets: sp.csr_array, counts: np.ndarray, borders: Borders) -> CoLabels:
    """Measures r of all positives of the train part, and of the negatives of documents that are spread evenly over it.

    Args:
        targets: of the train part, (N, L).
        counts: (K,).
        borders: of the frequency groups.
    """
    edges, groups = drawn_bins(len(counts)), group_slices(counts, borders)
    targets = targets[:, : len(counts)]
    inverse, steepness = 1 / counts, _measure_steepness(targets, counts)

    # Labels that are there: every one of them, by bin and by group.
    row = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    r = inverse[targets.indices] * steepness[row]
    bins = np.searchsorted(edges, targets.indices, side="right") - 1
    there_by_bin = _quantiles_by_owner(r, bins, len(edges) - 1, QUANTILES)
    ends = np.cumsum([0, *(part.stop - part.start for part in groups.values())])
    group = np.searchsorted(ends, targets.indices, side="right") - 1
    there_by_group = _quantiles_by_owner(r, group, len(groups), FINE_QUANTILES)

    # Labels that are not there: in a sample of documents, for the middle of each bin and for labels of each group.
    chosen = pick_evenly(targets.shape[0], NEGATIVE_DOCUMENTS)
    sample, steepness = sp.csc_array(targets[chosen]), steepness[chosen]
    order = np.argsort(steepness, kind="stable")

    def sorted_absent(column: int) -> np.ndarray:
        """Sorted r of one label where it is not there."""
        there = np.zeros(len(steepness), bool)
        there[sample.indices[sample.indptr[column] : sample.indptr[column + 1]]] = True
        return inverse[column] * steepness[order[~there[order]]]

    absent_by_bin = np.array([_pick_quantiles(sorted_absent(column), QUANTILES) for column in middle_columns(edges)])
    absent_by_group = {}
    for name, part in groups.items():
        columns = np.arange(part.start, part.stop)[pick_evenly(part.stop - part.start, NEGATIVE_LABELS)]
        values = np.sort(np.concatenate([sorted_absent(column) for column in columns] or [r[:0]]))
        absent_by_group[name] = _pick_quantiles(values, FINE_QUANTILES)

    return CoLabels(
        edges,
        {"positive": there_by_bin, "negative": absent_by_bin},
        {"positive": dict(zip(groups, there_by_group, strict=True)), "negative": absent_by_group},
    )


def _measure_steepness(targets: sp.csr_array, counts: np.ndarray) -> np.ndarray:
    """What r of a document's labels falls with, (N,): r = steepness / count; without bound where it has no label."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / losses.sum_inverse_by_document(targets, counts).numpy())


def measure_label(targets: sp.csr_array, counts: np.ndarray, column: int) -> dict[str, np.ndarray]:
    """R of one label at `QUANTILES`, on each side (`SIDES`), (10,); NaN of a side without documents.

    Args:
        targets: of the train part, (N, L).
        counts: (K,).
        column: of the label, below K.
    """
    targets = targets[:, : len(counts)]
    r = _measure_steepness(targets, counts) / counts[column]
    there = rows_with(targets, column)
    sides = {"positive": there, "negative": ~there}
    return {side: _pick_quantiles(np.sort(r[rows]), QUANTILES) for side, rows in sides.items()}


def measure_labels(targets: sp.csr_array, counts: np.ndarray) -> dict[str, np.ndarray]:
    """R of every label at `QUANTILES`, on each side (`SIDES`), (K, 10); NaN of a side without documents.

    Labels that are there: over all documents; those that are not: over documents that are spread evenly.

    Args:
        targets: of the train part, (N, L).
        counts: (K,).
    """
    targets = targets[:, : len(counts)]
    inverse, steepness = 1 / counts, _measure_steepness(targets, counts)
    row = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    there = _quantiles_by_owner(inverse[targets.indices] * steepness[row], targets.indices, len(counts), QUANTILES)

    # Without the label: the documents by their steepness, those that have the label passed over.
    chosen = pick_evenly(targets.shape[0], NEGATIVE_DOCUMENTS)
    order = np.argsort(steepness[chosen], kind="stable")
    sample, rising = sp.csc_array(targets[chosen[order]]), steepness[chosen[order]]
    sample.sort_indices()
    absent = np.full((len(counts), len(QUANTILES)), np.nan)
    for column in range(len(counts)):
        own = sample.indices[sample.indptr[column] : sample.indptr[column + 1]]
        if left := len(rising) - len(own):
            place = np.round(QUANTILES * (left - 1)).astype(np.int64)
            passed = np.searchsorted(own - np.arange(len(own)), place, side="right")
            absent[column] = inverse[column] * rising[place + passed]
    return {"positive": there, "negative": absent}


def label_table(
    choices: Sequence[Choice],
    counts: np.ndarray,
    documents: int,
    ratios: dict[str, np.ndarray],
    labels: Sequence[str],
    borders: Borders,
) -> pd.DataFrame:
    """What every label weighs under each loss, the most frequent first.

    Args:
        choices: the losses; those whose terms compare all labels have no columns.
        counts: (K,).
        documents: N.
        ratios: of `measure_labels`.
        labels: their names.
        borders: of the frequency groups.

    Returns:
        Columns label, rank, group, documents, and for each loss `db there`, its mean over documents, and `db absent`;
        where these differ from document to document also `... low` and `... high`, between which nine in ten lie.
    """
    columns = np.arange(len(counts))
    table: dict[str, Any] = {
        "label": list(labels[: len(counts)]),
        "rank": columns + 1,
        "group": group_of(counts, borders),
        "documents": counts,
    }
    for choice in choices:
        differs = "mu" in LOSSES[choice.name].constants
        for side, word in (("positive", "there"), ("negative", "absent")):
            r = ratios[side] if differs else np.ones((len(counts), 1))
            weight = weigh_labels(choice, counts, documents, side, columns, r)
            if weight is None:
                continue
            table[f"{choice.title} {word}"] = weight.mean(1)
            if differs:
                table |= {f"{choice.title} {word} low": weight[:, 0], f"{choice.title} {word} high": weight[:, -1]}
    return pd.DataFrame(table)


def mark_label(
    choices: Sequence[Choice],
    counts: np.ndarray,
    documents: int,
    ratios: dict[str, np.ndarray],
    labels: Sequence[str],
    column: int,
    side: str,
) -> pd.DataFrame:
    """One label as rows of `weight_frame`, exact where that has bins; losses without a weight have none."""
    rows = []
    for choice in choices:
        weight = weigh_labels(choice, counts, documents, side, np.array([column]), ratios[side][[column]])
        if weight is not None and np.isfinite(weight).all():
            rows.append(
                {
                    "loss": choice.title,
                    "rank": column + 1.0,
                    "labels": labels[column],
                    "count": counts[column],
                    "low": float(weight[0, 0]),
                    "weight": float(weight.mean()),
                    "high": float(weight[0, -1]),
                }
            )
    return pd.DataFrame(rows, columns=["loss", "rank", "labels", "count", "low", "weight", "high"])


def label_weights(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, ratios: dict[str, np.ndarray], column: int
) -> pd.DataFrame:
    """What one label weighs under each loss: columns loss, and for each side weight, low, high; nine documents in ten.

    A loss whose terms compare all labels has NaN.
    """
    rows = []
    for choice in choices:
        row: dict[str, str | float] = {"loss": choice.title}
        for side, r in ratios.items():
            weight = weigh_labels(choice, counts, documents, side, np.array([column]), r[None])
            values = np.full(3, np.nan) if weight is None else weight[0]
            row |= {side: float(values.mean()), f"{side}_low": float(values[0]), f"{side}_high": float(values[-1])}
        rows.append(row)
    return pd.DataFrame(rows)


def pick_evenly(size: int, most: int) -> np.ndarray:
    """At most `most` of the numbers from 0 to `size` - 1, evenly."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def _pick_quantiles(values: np.ndarray, quantiles: Sequence[float] | np.ndarray) -> np.ndarray:
    """Quantiles of sorted values, each of them one of the values; nan of none."""
    if not len(values):
        return np.full(len(quantiles), np.nan)
    return values[np.round(np.asarray(quantiles) * (len(values) - 1)).astype(np.int64)]


def _quantiles_by_owner(
    values: np.ndarray, owner: np.ndarray, owners: int, quantiles: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Quantiles of the values of each owner, (owners, quantiles)."""
    order = np.lexsort((values, owner))
    ends = np.searchsorted(owner[order], np.arange(owners + 1))
    values = values[order]
    return np.array([_pick_quantiles(values[a:b], quantiles) for a, b in pairwise(ends)])


def weigh_labels(
    choice: Choice, counts: np.ndarray, documents: int, side: str, columns: np.ndarray, r: np.ndarray
) -> np.ndarray | None:
    """What -log p_t of some labels counts before it is modulated: scale · w · d · alpha_t.

    Args:
        choice: the loss.
        counts: (K,).
        documents: N.
        side: of `SIDES`.
        columns: of the labels, (C,).
        r: (C,) or (C, quantiles): read by the rebalanced weights.

    Returns:
        In the shape of `r`; None for a loss whose terms are not documents x labels.
    """
    if not is_elementwise(choice.name):
        return None
    loss = choice.build(counts, documents).double()
    return losses.weigh_labels(loss, side == "positive", columns, r).numpy()


def weight_frame(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, co_labels: CoLabels, labels: Sequence[str], side: str
) -> pd.DataFrame:
    """Weight by label rank: columns loss, rank, start, end, labels, count, low, weight, high.

    A row is a label, or a bin of neighbours in rank that reaches from `start` to `end`, halves between labels (see
    `drawn_bins`); `weight` is the mean over documents, low to high nine in ten.
    """
    names = ["loss", "rank", "start", "end", "labels", "count", "low", "weight", "high"]
    edges, rows = drawn_bins(len(counts)), [pd.DataFrame(columns=names)]
    columns = middle_columns(edges)
    first, last = edges[:-1] + 1, edges[1:]
    for choice in choices:
        # Only weights with mu differ from document to document: they follow the quantiles of r.
        differs = "mu" in LOSSES[choice.name].constants
        r = co_labels.by_bin[side] if differs and is_elementwise(choice.name) else np.ones((len(columns), 1))
        weight = weigh_labels(choice, counts, documents, side, columns, r)
        if weight is None:
            continue
        frame = {
            "loss": choice.title,
            "rank": np.sqrt(first * last),  # the middle of a bin on a logarithmic axis
            "start": first - 0.5,
            "end": last + 0.5,
            "labels": [labels[a - 1] if a == b else f"ranks {a:,} to {b:,}" for a, b in zip(first, last, strict=True)],
            "count": counts[columns],
            "low": weight[:, 0],
            "weight": weight.mean(1),
            "high": weight[:, -1],
        }
        rows.append(pd.DataFrame(frame).dropna())
    return stack(rows)


def group_weights(
    choices: Sequence[Choice], counts: np.ndarray, documents: int, co_labels: CoLabels, borders: Borders, side: str
) -> pd.DataFrame:
    """Mean weight of a positive or negative by frequency group: columns loss, head, medium, tail; nan of none.

    The mean is over the pairs of a document and a label of the group that is there, or not there.
    """
    rows = []
    for choice in choices:
        row: dict[str, str | float] = {"loss": choice.title}
        for group, part in group_slices(counts, borders).items():
            columns = np.arange(part.start, part.stop)
            r = co_labels.by_group[side][group]
            pairs = counts[part] if side == "positive" else documents - counts[part]
            # A weight by document is the mean over quantiles of r, any other the mean over labels by their pairs.
            if "mu" in choice.constants(counts, documents):
                columns, pairs = np.zeros(len(r), np.int64), np.ones(len(r))
            else:
                r = np.ones(len(columns))
            weight = weigh_labels(choice, counts, documents, side, columns, r)
            if weight is None:
                break
            row[group] = float(weight @ pairs / pairs.sum()) if pairs.sum() else np.nan
        else:
            rows.append(row)
    return pd.DataFrame(rows, columns=["loss", *FREQUENCY_GROUPS])

"""The rule `quiet`: one global threshold, lower for a label that scores low in every document without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.labels.groups import indicator
from core.metrics.cuts import FOLDS, best_cut, document_rows, label_columns, make_folds, read_scores, sort_keys

CLIP = 1e-4
"""Of `quiet`: a probability nearer to 0 or 1 has the logit of this distance."""
STEPS = np.append(np.arange(25) / 10, np.inf)
"""Of `quiet`: logits above a label's highest negative score; infinity is the global threshold."""
LOGITS = 2 * np.log((1 - CLIP) / CLIP)
"""From the lowest logit to the highest: `STEPS` take the same share of the range of an SVM's margins."""
NUMBERS = 4_000_000
"""Scores that are compared with thresholds at a time."""
FAR = 50.0
"""A margin beyond is that of a label which no or every training document has; nothing was fitted for it."""


@dataclass(frozen=True)
class Quiet:
    """What `quiet` reads of documents, and its thresholds at any margin.

    Attributes:
        common: the global threshold.
        highest: the highest score of each label in a document without it, (L,); -inf where none is stored.
        unit: what a margin of 1 adds to a score that is an SVM's margin; None where it is a logit of a probability.
    """

    common: float
    highest: np.ndarray
    unit: float | None

    def limits(self, margin: float) -> np.ndarray:
        """min(common, highest negative + margin) of each label, (L,); common at a margin of infinity."""
        found: np.ndarray = self.limits_at(np.array([margin]))[0]
        return found

    def limits_at(self, margins: np.ndarray) -> np.ndarray:
        """The same at each of M margins, (M, L)."""
        found, known = np.full((len(margins), len(self.highest)), self.common), np.isfinite(self.highest)
        values, finite = self.highest[known], np.flatnonzero(np.isfinite(margins))
        if self.unit is None:
            # In odds a margin is a factor; at margin 0 a float16 or float32 comes back as it is.
            kept, factor = np.clip(values, CLIP, 1 - CLIP), np.exp(margins[finite, None])
            raised = np.maximum(values, kept * factor / (1 - kept + kept * factor))
        else:
            raised = values + margins[finite, None] * self.unit
        found[np.ix_(finite, known)] = np.minimum(self.common, raised)
        return found

    def margin_of(self, limits: float | np.ndarray) -> float:
        """The margin of thresholds that the rule gave, of equals the largest."""
        same = np.flatnonzero((self.limits_at(STEPS) == limits).all(axis=1))
        return float(STEPS[same[-1]]) if len(same) else float(np.inf)


def read_quiet(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, margins: bool) -> Quiet:
    """What `quiet` reads of the documents of validation; `margins`: their scores are an SVM's."""
    values, hits = read_scores(targets, scores)
    highest = np.full(targets.shape[1], -np.inf)
    np.maximum.at(highest, label_columns(scores)[~hits], values[~hits])
    common = best_cut(np.sort(values), np.sort(values[hits]), indicator(targets).nnz)
    return Quiet(common, highest, _unit_of(values) if margins else None)


def _unit_of(margins: np.ndarray) -> float:
    """What a step of one logit is in an SVM's margins: the same share of their range.

    The range is as wide below 0 as above, where that is known: the lowest margins may not be stored.
    """
    near = margins[np.abs(margins) < FAR]
    highest = float(near.max(initial=0.0))
    return (2 * highest if highest > 0 else float(np.ptp(near)) if len(near) else 0.0) / LOGITS


def fit_quiet(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """min(global threshold, highest negative + margin) of each label, in the logits of probabilities."""
    return _lower_quiet_labels(targets, scores, margins=False)


def fit_quiet_margins(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """min(global threshold, highest negative + margin) of each label, in an SVM's margins."""
    return _lower_quiet_labels(targets, scores, margins=True)


def _lower_quiet_labels(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, margins: bool) -> np.ndarray:
    """Thresholds of `quiet`, (L,), at the margin of best micro-F1 in cross-fitting."""
    documents, labels = targets.shape
    true_of_row, folds = np.diff(indicator(targets).indptr), make_folds(documents)
    fold_of_row = np.zeros(documents, np.int64)
    for number, (_, held) in enumerate(folds):
        fold_of_row[held] = number
    # Every stored score, from the lowest to the highest, with its label and the fold of its document.
    values, hits = read_scores(targets, scores)
    unit = _unit_of(values) if margins else None
    order = np.argsort(sort_keys(values), kind="stable")
    values, hits, columns = values[order], hits[order], label_columns(scores)[order]
    fold = fold_of_row[document_rows(scores)[order]]
    # The highest negative score of each label in each fold: scores rise, and the last one stays.
    highest = np.full(FOLDS * labels, -np.inf)
    highest[(fold * labels + columns)[~hits]] = values[~hits]
    highest = highest.reshape(FOLDS, labels)
    # Each margin on the fold that its thresholds have not seen.
    right, given = np.zeros((2, len(STEPS)), np.int64)
    for number, (rest, _) in enumerate(folds):
        held = fold == number
        common = best_cut(values[~held], values[~held & hits], int(true_of_row[rest].sum()))
        read = Quiet(common, np.delete(highest, number, axis=0).max(axis=0), unit)
        limits = read.limits_at(STEPS)
        reached = np.flatnonzero(held & (values > limits[0][columns]))  # by the lowest thresholds
        step = max(NUMBERS // max(len(reached), 1), 1)
        for start in range(0, len(STEPS), step):
            block = slice(start, start + step)
            is_predicted = values[reached] > limits[block, columns[reached]]
            right[block] += is_predicted[:, hits[reached]].sum(axis=1)
            given[block] += is_predicted.sum(axis=1)
    # The margin of best micro-F1, of equals the largest; then thresholds from all documents.
    positives = int(true_of_row.sum())
    f1 = 2 * right / np.maximum(given + positives, 1)
    margin = float(STEPS[len(STEPS) - 1 - int(np.argmax(f1[::-1]))])
    return Quiet(best_cut(values, values[hits], positives), highest.max(axis=0), unit).limits(margin)

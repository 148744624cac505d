"""Scores of predicted label sets, from sparse (n, L) arrays; undefined F1 is 0, an empty group None."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels import FREQUENCY_GROUPS, Borders, count_documents, group_of, indicator, rank_by_frequency

Scores = dict[str, float | None]


def count_errors(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives of each label, three (L,) int64.

    Raises:
        ValueError: shapes that differ.
    """
    if targets.shape != predicted.shape:
        raise ValueError(f"targets are {targets.shape}, predicted are {predicted.shape}: shapes must be equal")
    tp = count_documents(targets.multiply(predicted))
    return tp, count_documents(predicted) - tp, count_documents(targets) - tp


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return numerator / np.maximum(denominator, 1)


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN), elementwise; 0 where undefined (all three are 0)."""
    return _divide(2 * tp, 2 * tp + fp + fn)


def micro_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """F1 of the pooled TP, FP, FN; 0 if no label is true and none predicted."""
    return float(f1(*(errors.sum() for errors in count_errors(targets, predicted))))


def macro_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean of the F1 of all L labels, those that are never true and never predicted with 0; 0 of no labels."""
    scores = f1(*count_errors(targets, predicted))
    return float(scores.sum() / max(len(scores), 1))


METRICS: dict[str, Callable[[sp.csr_array, sp.csr_array], float]] = {"micro_f1": micro_f1, "macro_f1": macro_f1}
"""By name: function of targets and predicted, 0 to 1, higher is better."""


def score_groups(
    targets: sp.csr_array, predicted: sp.csr_array, counts: np.ndarray, borders: Borders
) -> dict[str, Scores]:
    """Micro- and macro-F1 over all labels, by frequency group, and over documents with one or with several labels.

    Macro-F1 is over all labels of the group, also those that no document here has (Huang et al., EMNLP 2021).

    Args:
        targets: (n, L).
        predicted: (n, L).
        counts: training documents of each label, (L,).
        borders: between head, medium and tail.

    Returns:
        all, head, medium, tail (labels), single_label, multi_label (documents with exactly one label, with two or
        more): each with micro_f1 and macro_f1, both None where the group has no label or no document.
    """
    errors, groups = count_errors(targets, predicted), group_of(counts, borders)
    masks = {"all": np.ones(len(groups), np.bool_)} | {group: groups == group for group in FREQUENCY_GROUPS}
    scores = {
        name: _f1_scores(*(part[mask] for part in errors), documents=targets.shape[0]) for name, mask in masks.items()
    }
    sizes = np.diff(indicator(targets).indptr)
    for name, chosen in {"single_label": sizes == 1, "multi_label": sizes > 1}.items():
        rows = np.flatnonzero(chosen)
        scores[name] = _f1_scores(*count_errors(targets[rows], predicted[rows]), documents=len(rows))
    return scores


def _f1_scores(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, *, documents: int) -> Scores:
    if not len(tp) or not documents:
        return {"micro_f1": None, "macro_f1": None}
    return {"micro_f1": float(f1(tp.sum(), fp.sum(), fn.sum())), "macro_f1": float(f1(tp, fp, fn).mean())}


def label_table(
    targets: sp.csr_array, predicted: sp.csr_array, labels: Sequence[str], counts: np.ndarray, borders: Borders
) -> pd.DataFrame:
    """One row per label, in column order.

    Returns:
        Columns label, group, rank (1 is the most frequent in training), train (documents there), support (documents
        here), tp, fp, fn, precision (0 where never predicted), recall (0 without support), f1 (0 where undefined).
    """
    tp, fp, fn = count_errors(targets, predicted)
    return pd.DataFrame(
        {
            "label": list(labels),
            "group": group_of(counts, borders),
            "rank": rank_by_frequency(counts),
            "train": np.asarray(counts),
            "support": tp + fn,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "precision": _divide(tp, tp + fp),
            "recall": _divide(tp, tp + fn),
            "f1": f1(tp, fp, fn),
        }
    )

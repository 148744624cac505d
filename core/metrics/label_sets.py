"""Scores of predicted label sets: F1, precision, recall, Hamming loss, by label and by frequency group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from core.labels.groups import Borders, count_documents, group_of, group_sizes, indicator, rank_by_frequency

if TYPE_CHECKING:
    import pandas as pd

Scores = dict[str, float | None]


def check_predicted(targets: sp.csr_array, predicted: sp.csr_array) -> None:
    """Refuses what are no predicted labels of these documents.

    Raises:
        ValueError: shapes that differ; a number other than 0 and 1, which is a score and no prediction.
    """
    if targets.shape != predicted.shape:
        raise ValueError(f"targets are {targets.shape}, predicted are {predicted.shape}: shapes must be equal")
    if predicted.dtype == np.bool_:
        return
    values = np.asarray(predicted.data if sp.issparse(predicted) else predicted)
    others = values[(values != 0) & (values != 1)]
    if len(others):
        raise ValueError(
            f"predicted holds {others[0]:g}, expected 0 and 1 alone: scores become predictions in thresholds.apply"
        )


def count_errors(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives of each label, three (L,) int64.

    Raises:
        ValueError: shapes that differ, scores instead of 0 and 1.
    """
    check_predicted(targets, predicted)
    tp = count_documents(targets.multiply(predicted))
    return tp, count_documents(predicted) - tp, count_documents(targets) - tp


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, 0 where the denominator is 0, of counts whose numerator is 0 there as well."""
    return numerator / np.maximum(denominator, 1)


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN), elementwise; 0 where undefined (all three are 0)."""
    return divide(2 * tp, 2 * tp + fp + fn)


def micro_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """F1 of the pooled TP, FP, FN; 0 if no label is true and none predicted."""
    return float(f1(*(errors.sum() for errors in count_errors(targets, predicted))))


def macro_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean of the F1 of all L labels, those that are never true and never predicted with 0; 0 of no labels."""
    scores = f1(*count_errors(targets, predicted))
    return float(scores.sum() / max(len(scores), 1))


def samples_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of 2 hits / (true + predicted labels), 0 for a document that has neither; 0 of none."""
    hits, true, given = document_counts(targets, predicted)
    return mean_or_zero(divide(2 * hits, true + given))


def samples_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of hits / predicted labels, 0 where none is predicted."""
    hits, _, given = document_counts(targets, predicted)
    return mean_or_zero(divide(hits, given))


def samples_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of hits / true labels, 0 where none is true."""
    hits, true, _ = document_counts(targets, predicted)
    return mean_or_zero(divide(hits, true))


def micro_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Pooled TP / (TP + FP); 0 if nothing is predicted."""
    tp, fp, _ = (errors.sum() for errors in count_errors(targets, predicted))
    return float(divide(tp, tp + fp))


def micro_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Pooled TP / (TP + FN); 0 if nothing is true."""
    tp, _, fn = (errors.sum() for errors in count_errors(targets, predicted))
    return float(divide(tp, tp + fn))


def macro_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over all L labels of TP / (TP + FP), 0 where a label is never predicted."""
    tp, fp, _ = count_errors(targets, predicted)
    return mean_or_zero(divide(tp, tp + fp))


def macro_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over all L labels of TP / (TP + FN), 0 where a label has no document."""
    tp, _, fn = count_errors(targets, predicted)
    return mean_or_zero(divide(tp, tp + fn))


def hamming_loss(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Share of the n x L decisions that are wrong; lower is better; 0 of none."""
    _, fp, fn = count_errors(targets, predicted)
    return float((fp.sum() + fn.sum()) / max(targets.shape[0] * targets.shape[1], 1))


def subset_accuracy(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Share of documents whose label set is exactly right; 0 of no documents."""
    hits, true, given = document_counts(targets, predicted)
    return mean_or_zero((hits == true) & (hits == given))


def document_counts(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hit, true and predicted labels of each document, three (n,) int64.

    Raises:
        ValueError: shapes that differ, scores instead of 0 and 1.
    """
    check_predicted(targets, predicted)
    true, given = indicator(targets), indicator(predicted)
    hits = indicator(true.multiply(given).tocsr())
    hit, labels, marked = (np.diff(part.indptr).astype(np.int64) for part in (hits, true, given))
    return hit, labels, marked


def mean_or_zero(values: np.ndarray) -> float:
    """The mean; 0 of nothing."""
    return float(np.sum(values) / max(len(values), 1))


METRICS: dict[str, Callable[[sp.csr_array, sp.csr_array], float]] = {
    "micro_f1": micro_f1,
    "macro_f1": macro_f1,
    "samples_f1": samples_f1,
    "micro_precision": micro_precision,
    "micro_recall": micro_recall,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "samples_precision": samples_precision,
    "samples_recall": samples_recall,
    "hamming_loss": hamming_loss,
    "subset_accuracy": subset_accuracy,
}
"""By name: function of targets and predicted, 0 to 1; higher is better, but for `hamming_loss`."""


def macro_readings(targets: sp.csr_array, predicted: sp.csr_array) -> dict[str, Any]:
    """What "macro-F1" can mean, and how many labels make the difference.

    Returns:
        labels, without_documents (labels that no document here has), undefined (those of them that are never predicted
        either, whose F1 is 0 by convention), macro_f1 (over all labels), macro_f1_supported (over labels with
        documents; None of none), f1_of_means (F1 of mean precision and mean recall; differs by up to .5).

    Source: Opitz & Burst, Macro F1 and Macro F1, 2019.
    """
    tp, fp, fn = count_errors(targets, predicted)
    scores, supported = f1(tp, fp, fn), tp + fn > 0
    precision, recall = macro_precision(targets, predicted), macro_recall(targets, predicted)
    total = precision + recall
    return {
        "labels": len(tp),
        "without_documents": int(np.sum(~supported)),
        "undefined": int(np.sum(tp + fp + fn == 0)),
        "macro_f1": mean_or_zero(scores),
        "macro_f1_supported": float(scores[supported].mean()) if supported.any() else None,
        "f1_of_means": 2 * precision * recall / total if total else 0.0,
    }


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
        all, head, medium, tail (labels), `UNSEEN` where there are such labels, single_label, multi_label (documents
        with exactly one label, with two or more): each with micro_f1 and macro_f1, both None where the group has no
        label or no document.
    """
    errors, groups = count_errors(targets, predicted), group_of(counts, borders)
    masks = {"all": np.ones(len(groups), np.bool_)} | {group: groups == group for group in group_sizes(counts, borders)}
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
    import pandas as pd  # no training needs it, and every run would wait for it

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
            "precision": divide(tp, tp + fp),
            "recall": divide(tp, tp + fn),
            "f1": f1(tp, fp, fn),
        }
    )

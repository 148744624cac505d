"""Scores of label sets and of rankings, from sparse (n, L) arrays; undefined F1 is 0, an empty group None.

Label sets are scored from `targets` and `predicted`; rankings from `targets` and `scores`, a dense (n, L) array or a
CSR array of each document's highest scores, where what is not stored lies below everything that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import FREQUENCY_GROUPS, Borders, count_documents, group_of, indicator, rank_by_frequency

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


def samples_f1(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of 2 hits / (true + predicted labels), 0 for a document that has neither; 0 of none."""
    hits, true, given = document_counts(targets, predicted)
    return _mean(_divide(2 * hits, true + given))


def samples_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of hits / predicted labels, 0 where none is predicted."""
    hits, _, given = document_counts(targets, predicted)
    return _mean(_divide(hits, given))


def samples_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over documents of hits / true labels, 0 where none is true."""
    hits, true, _ = document_counts(targets, predicted)
    return _mean(_divide(hits, true))


def micro_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Pooled TP / (TP + FP); 0 if nothing is predicted."""
    tp, fp, _ = (errors.sum() for errors in count_errors(targets, predicted))
    return float(_divide(tp, tp + fp))


def micro_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Pooled TP / (TP + FN); 0 if nothing is true."""
    tp, _, fn = (errors.sum() for errors in count_errors(targets, predicted))
    return float(_divide(tp, tp + fn))


def macro_precision(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over all L labels of TP / (TP + FP), 0 where a label is never predicted."""
    tp, fp, _ = count_errors(targets, predicted)
    return _mean(_divide(tp, tp + fp))


def macro_recall(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Mean over all L labels of TP / (TP + FN), 0 where a label has no document."""
    tp, _, fn = count_errors(targets, predicted)
    return _mean(_divide(tp, tp + fn))


def hamming_loss(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Share of the n x L decisions that are wrong; lower is better; 0 of none."""
    _, fp, fn = count_errors(targets, predicted)
    return float((fp.sum() + fn.sum()) / max(targets.shape[0] * targets.shape[1], 1))


def subset_accuracy(targets: sp.csr_array, predicted: sp.csr_array) -> float:
    """Share of documents whose label set is exactly right; 0 of no documents."""
    hits, true, given = document_counts(targets, predicted)
    return _mean((hits == true) & (hits == given))


def document_counts(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hit, true and predicted labels of each document, three (n,) int64.

    Raises:
        ValueError: shapes that differ.
    """
    if targets.shape != predicted.shape:
        raise ValueError(f"targets are {targets.shape}, predicted are {predicted.shape}: shapes must be equal")
    true, given = indicator(targets), indicator(predicted)
    hits = indicator(true.multiply(given).tocsr())
    hit, labels, marked = (np.diff(part.indptr).astype(np.int64) for part in (hits, true, given))
    return hit, labels, marked


def _mean(values: np.ndarray) -> float:
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
        "macro_f1": _mean(scores),
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


ENTRIES = 4_000_000
"""Scores that are sorted at a time."""


@dataclass(frozen=True)
class Ranking:
    """The K highest scores of each of n documents, the highest first; of equal scores the lower column first.

    Attributes:
        columns: (n, K) int64; -1 where fewer than K scores are stored.
        hits: (n, K) bool: that label is true.
        sizes: labels of each document, (n,) int64.
    """

    columns: np.ndarray
    hits: np.ndarray
    sizes: np.ndarray


def rank_labels(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, k: int) -> Ranking:
    """The first k labels of every document.

    Raises:
        ValueError: shapes that differ, or k below 1.
    """
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    documents, labels = targets.shape
    columns = np.full((documents, k), -1, np.int64)
    if isinstance(scores, sp.csr_array):
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        order = np.lexsort((scores.indices, -scores.data.astype(np.float64), rows))
        place = np.arange(len(rows)) - scores.indptr[rows]
        first = place < k
        columns[rows[first], place[first]] = scores.indices[order][first]
    else:
        step = max(ENTRIES // max(labels, 1), 1)
        for start in range(0, documents, step):
            block = -scores[start : start + step].astype(np.float32)
            best = np.argsort(block, axis=1, kind="stable")[:, :k]
            columns[start : start + step, : best.shape[1]] = best
    places = np.repeat(np.arange(documents), k).reshape(documents, k)
    hits = (columns >= 0) & _contains(targets, places, np.maximum(columns, 0))
    return Ranking(columns, hits, np.diff(indicator(targets).indptr).astype(np.int64))


def _contains(matrix: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether each (row, column) is a stored non-zero of the matrix, bool of the shape of `rows`."""
    there = indicator(matrix)
    width = there.shape[1]
    stored = np.repeat(np.arange(there.shape[0]), np.diff(there.indptr)) * np.int64(width) + there.indices
    wanted = rows * np.int64(width) + columns
    place = np.minimum(np.searchsorted(stored, wanted), max(len(stored) - 1, 0))
    return stored[place] == wanted if len(stored) else np.zeros(wanted.shape, np.bool_)


def precision_at(ranking: Ranking, k: int) -> float:
    """P@k: mean of hits among the first k, divided by k; documents without labels count as 0."""
    return _mean(ranking.hits[:, :k].sum(axis=1) / k)


def recall_at(ranking: Ranking, k: int) -> float:
    """R@k: mean of hits among the first k, divided by the document's labels; 0 where it has none."""
    return _mean(_divide(ranking.hits[:, :k].sum(axis=1), ranking.sizes))


def r_precision_at(ranking: Ranking, k: int) -> float:
    """RP@k: mean of hits among the first k, divided by min(k, the document's labels); 0 where it has none."""
    return _mean(_divide(ranking.hits[:, :k].sum(axis=1), np.minimum(ranking.sizes, k)))


def ndcg_at(ranking: Ranking, k: int) -> float:
    """nDCG@k with gain 1 and discount 1 / log2(place + 1), divided by the best possible; 0 for no labels."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = ranking.hits[:, :k] @ discount[: ranking.hits[:, :k].shape[1]]
    best = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(ranking.sizes, k)]
    return _mean(np.where(ranking.sizes > 0, gained / best, 0.0))


RANKINGS: dict[str, Callable[[Ranking, int], float]] = {
    "p": precision_at,
    "r": recall_at,
    "rp": r_precision_at,
    "ndcg": ndcg_at,
}
"""By name: function of a ranking and k, 0 to 1, higher is better."""


def inverse_propensities(counts: np.ndarray, documents: int, *, a: float = 0.55, b: float = 1.5) -> np.ndarray:
    """1 / p_l = 1 + C (n_l + B)^-A with C = (ln N - 1) (B + 1)^A, (L,): what a hit on a rare label is worth.

    Source: Jain, Prabhu & Varma, KDD 2016.
    """
    c = (np.log(max(documents, 3)) - 1) * (b + 1) ** a
    return 1 + c * (np.asarray(counts, np.float64) + b) ** -a


def propensity_scores_at(ranking: Ranking, targets: sp.csr_array, weights: np.ndarray, k: int) -> tuple[float, float]:
    """PSP@k and PSnDCG@k: hits weighted by `inverse_propensities`, divided by the best that was possible.

    Both sums run over all documents before the division, as in the authors' code; 0 if no document has a label.
    """
    true, columns = indicator(targets), np.maximum(ranking.columns[:, :k], 0)
    width = columns.shape[1]
    gained = np.where(ranking.hits[:, :k], weights[columns], 0.0) if len(weights) else np.zeros(columns.shape)
    rows = np.repeat(np.arange(true.shape[0]), np.diff(true.indptr))
    order = np.lexsort((-weights[true.indices], rows))
    place = np.arange(len(rows)) - true.indptr[rows]
    first = place < k
    best = np.zeros((true.shape[0], k))
    best[rows[first], place[first]] = weights[true.indices][order][first]
    discount = 1 / np.log2(np.arange(2, k + 2))
    # each document's best DCG is divided by that of k (or all of its) places, so that both sums weigh it alike
    ideal = np.cumsum(discount)[np.clip(np.minimum(ranking.sizes, k), 1, k) - 1]
    precision, gain = best.sum(), (best @ discount / ideal).sum()
    return (
        float(gained.sum() / precision) if precision else 0.0,
        float((gained @ discount[:width] / ideal).sum() / gain) if gain else 0.0,
    )


def average_precisions(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """Average precision of each label over the documents, (L,); NaN for a label that no document here has."""
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    documents, labels = targets.shape
    if isinstance(scores, sp.csr_array):
        rows, columns = np.repeat(np.arange(documents), np.diff(scores.indptr)), scores.indices
        return _average_precision(columns, scores.data, _contains(targets, rows, columns), count_documents(targets))
    found, true = np.full(labels, np.nan), indicator(targets)
    step = max(ENTRIES // max(documents, 1), 1)
    for start in range(0, labels, step):
        part = true[:, start : start + step].toarray()
        columns = np.tile(np.arange(part.shape[1]), documents)
        values = scores[:, start : start + step].ravel()
        found[start : start + step] = _average_precision(columns, values, part.ravel(), part.sum(axis=0))
    return found


def mean_average_precision(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """mAP: mean of the labels' average precisions, 0 for a label that no document here has; 0 of no labels."""
    return _mean(np.nan_to_num(average_precisions(targets, scores)))


def label_ranking_average_precision(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """LRAP: mean of the documents' average precisions over their labels, 1 for one without labels; 0 of none."""
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    documents, labels = targets.shape
    true = indicator(targets)
    sizes = np.diff(true.indptr)
    if isinstance(scores, sp.csr_array):
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        found = _average_precision(rows, scores.data, _contains(true, rows, scores.indices), sizes)
    else:
        found, step = np.full(documents, np.nan), max(ENTRIES // max(labels, 1), 1)
        for start in range(0, documents, step):
            part = true[start : start + step].toarray()
            found[start : start + step] = _average_precision(
                np.repeat(np.arange(len(part)), labels),
                scores[start : start + step].ravel(),
                part.ravel(),
                sizes[start : start + step],
            )
    return _mean(np.where(sizes > 0, found, 1.0))


def _average_precision(segments: np.ndarray, values: np.ndarray, hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Mean over a segment's true entries of the share of hits among all that score at least as high; NaN of none."""
    order = np.lexsort((-values.astype(np.float64), segments))
    segments, values, hits = segments[order], values[order], hits[order]
    starts = np.searchsorted(segments, np.arange(len(positives)))
    last = np.append((segments[1:] != segments[:-1]) | (values[1:] != values[:-1]), True)[: len(segments)]
    ends = np.flatnonzero(last)[np.cumsum(last) - last]
    tp = np.concatenate([[0], np.cumsum(hits)])
    precision = (tp[ends + 1] - tp[starts[segments]]) / (ends + 1 - starts[segments])
    summed = np.bincount(segments, weights=precision * hits, minlength=len(positives))
    return summed / np.where(positives > 0, positives, np.nan)


CUTS = (1, 3, 5, 10, 15)
"""The k of P@k and its relatives."""


def score_all(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    predicted: sp.csr_array,
    *,
    counts: np.ndarray,
    documents: int,
    borders: Borders,
) -> dict[str, Any]:
    """Every score of `METRICS`, the macro readings, the rankings and mAP by frequency group, as JSON holds them.

    Args:
        targets: (n, L).
        scores: (n, L).
        predicted: (n, L).
        counts: training documents of each label, (L,).
        documents: of the training part, for the propensities.
        borders: between head, medium and tail.
    """
    found: dict[str, Any] = {name: metric(targets, predicted) for name, metric in METRICS.items()}
    found["macro"] = macro_readings(targets, predicted)
    precisions, groups = average_precisions(targets, scores), group_of(counts, borders)
    masks = {"all": np.ones(len(groups), np.bool_)} | {group: groups == group for group in FREQUENCY_GROUPS}
    found["map"] = {
        group: _mean(np.nan_to_num(precisions[mask])) if mask.any() else None for group, mask in masks.items()
    }
    found["lrap"] = label_ranking_average_precision(targets, scores)
    cuts = [k for k in CUTS if k <= max(targets.shape[1], 1)]
    ranking, weights = rank_labels(targets, scores, cuts[-1]), inverse_propensities(counts, documents)
    for name, metric in RANKINGS.items():
        found |= {f"{name}@{k}": metric(ranking, k) for k in cuts}
    for k in cuts:
        found[f"psp@{k}"], found[f"psndcg@{k}"] = propensity_scores_at(ranking, targets, weights, k)
    found["documents_without_labels"] = int(np.sum(ranking.sizes == 0))
    return found


def size_slices(targets: sp.csr_array, edges: Sequence[int] = (1, 2)) -> dict[str, np.ndarray]:
    """Rows by number of labels: edges (1, 2) give "1" and "2+", (1, 10, 15) give "1-9", "10-14" and "15+".

    Raises:
        ValueError: edges that do not rise.
    """
    if not edges or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"edges are {list(edges)}, expected rising numbers")
    sizes, found = np.diff(indicator(targets).indptr), {}
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        name = f"{low}+" if high is None else f"{low}" if high == low + 1 else f"{low}-{high - 1}"
        found[name] = np.flatnonzero((sizes >= low) & (sizes < (high or np.inf)))
    return found


def length_slices(lengths: np.ndarray, *, parts: int = 4) -> dict[str, np.ndarray]:
    """Rows by a number that each document has, such as its words, in `parts` of about equal size, named by range."""
    values = np.asarray(lengths)
    if not len(values):
        return {}
    edges = np.unique(np.quantile(values, np.linspace(0, 1, parts + 1)[1:-1], method="higher"))
    place, found = np.searchsorted(edges, values, side="right"), {}
    for part in range(len(edges) + 1):
        rows = np.flatnonzero(place == part)
        if len(rows):
            found[f"{values[rows].min():,}-{values[rows].max():,}"] = rows
    return found


def score_slices(targets: sp.csr_array, predicted: sp.csr_array, slices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per slice of the documents: columns slice, documents, and every score of `METRICS` (NaN of none)."""
    rows = []
    for name, chosen in slices.items():
        part = targets[chosen], predicted[chosen]
        scores = {key: metric(*part) if len(chosen) else np.nan for key, metric in METRICS.items()}
        rows.append({"slice": name, "documents": len(chosen), **scores})
    return pd.DataFrame(rows, columns=["slice", "documents", *METRICS])


def calibration(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, counts: np.ndarray, borders: Borders, *, bins: int = 10
) -> pd.DataFrame:
    """How often a label is true where its score is s: the reliability curve, for all labels and by frequency group.

    Of a CSR array only what is stored counts: the rest, all low scores, is unknown.

    Returns:
        Columns group, bin (from 0), pairs (of a document and a label), score (their mean), true (share); bins without
        pairs have no row.

    Raises:
        ValueError: scores outside of 0 to 1, such as an SVM's margins.
    """
    if isinstance(scores, sp.csr_array):
        rows, columns = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.indices
        values = scores.data.astype(np.float64)
    else:
        rows, columns = (place.ravel() for place in np.indices(scores.shape))
        values = scores.astype(np.float64).ravel()
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"scores run from {values.min():.3g} to {values.max():.3g}, expected probabilities")
    groups = group_of(counts, borders)
    table = pd.DataFrame(
        {
            "group": groups[columns],
            "bin": np.minimum((values * bins).astype(np.int64), bins - 1),
            "score": values,
            "true": _contains(targets, rows, columns),
        }
    )
    both = pd.concat([table.assign(group="all"), table], ignore_index=True)
    grouped = both.groupby(["group", "bin"], sort=True).agg(
        pairs=("score", "size"), score=("score", "mean"), true=("true", "mean")
    )
    return grouped.reset_index()


def expected_calibration_error(curve: pd.DataFrame) -> dict[str, float]:
    """ECE of each group of a `calibration`: mean distance of score and share of true pairs, weighted by pairs.

    Source: Naeini, Cooper & Hauskrecht, AAAI 2015.
    """
    return {
        str(group): float(np.average((part["score"] - part["true"]).abs(), weights=part["pairs"]))
        for group, part in curve.groupby("group")
    }

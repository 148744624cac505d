"""Thresholds fitted on validation, one for all labels or one each: a label is predicted where its score is above it.

Scores are a dense (n, L) array, or a CSR array of each document's highest scores: what it does not store lies below
everything that it stores, is never predicted, and counts as missed where it is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.config.defaults import THRESHOLD_RULES
from core.labels.groups import indicator
from core.metrics import quiet
from core.metrics.cuts import (
    LabelCuts,
    best_cut,
    document_rows,
    make_folds,
    order_by_document,
    sort_keys,
    sorted_scores,
)
from core.metrics.ranking import rank_labels

Limits = float | np.ndarray
"""Thresholds: one for all labels, or one each, (L,)."""
GRIDS = {name: np.array(rule.grid) / 100 for name, rule in THRESHOLD_RULES.items() if rule.grid is not None}
"""Probabilities as in Huang et al., EMNLP 2021, and, for an SVM's margins, the shift of its hyperplane."""
RULES = tuple(name for name, rule in THRESHOLD_RULES.items() if not rule.by_label)
LABEL_RULES = tuple(name for name, rule in THRESHOLD_RULES.items() if rule.by_label)
"""Rules of `fit_labels`: quiet, SCut with a guard, SCut alone, SCutFBR.1, and PCut."""
STRENGTHS = (0.0, 1.0, 4.0, 16.0, 64.0, np.inf)
"""Of the guard of `per-label`: documents of an average label that are added to each label's own."""
NEAR = 4
"""Of the guard: so many times as many labels as are true are predicted by the cuts that are tried at first."""
FBR = 0.1
"""A best F1 below this makes `scut-fbr` predict the label in almost no document."""


def fit(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    *,
    rule: str = "exact",
    counts: np.ndarray | None = None,
    documents: int = 0,
) -> Limits:
    """The thresholds of a rule of `fit_global` or `fit_labels`, as a run keeps them; arguments as there."""
    if rule in LABEL_RULES:
        return fit_labels(targets, scores, rule=rule, counts=counts, documents=documents)
    return fit_global(targets, scores, rule=rule)


def fit_global(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, rule: str = "exact") -> float:
    """The threshold of best micro-F1 over all documents and labels.

    Args:
        targets: (n, L).
        scores: (n, L), finite.
        rule: `exact` tries every cut between two different scores, of equally good ones the highest, and goes midway
            between its two neighbours; `paper` and `shift` try a grid, of equally good ones the lowest; `fixed` is .5
            and `zero` 0 whatever the scores are.

    Returns:
        The threshold. Where every cut has F1 0 (no true label, or none with a stored score), `exact` gives the highest
        score, so that nothing is predicted (.5 of no scores), and a grid gives its lowest value.

    Raises:
        ValueError: an unknown rule, shapes that differ, scores that are not finite.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}, expected one of {', '.join(RULES)}")
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    entry = THRESHOLD_RULES[rule]
    if entry.value is not None:
        return entry.value
    if entry.grid is not None:
        return _best_of_grid(GRIDS[rule], targets, scores)
    return float(_function_of(rule)(targets, scores))


def _function_of(rule: str) -> Callable[..., Any]:
    """The function of this module, or of `core.metrics.quiet`, that fits a rule."""
    name = THRESHOLD_RULES[rule].function
    function: Callable[..., Any] = globals().get(name) or getattr(quiet, name)
    return function


def _best_of_grid(grid: np.ndarray, targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    values, hits = sorted_scores(targets, scores)
    above = [len(part) - np.searchsorted(part, grid, side="right") for part in (hits, values)]
    return float(grid[np.argmax(2 * above[0] / np.maximum(above[1] + indicator(targets).nnz, 1))])


def fit_exact(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """The cut of best micro-F1, of all between two different scores."""
    return best_cut(*sorted_scores(targets, scores), indicator(targets).nnz)


def fit_labels(
    targets: sp.csr_array,
    scores: np.ndarray | sp.csr_array,
    *,
    rule: str = "per-label",
    counts: np.ndarray | None = None,
    documents: int = 0,
) -> np.ndarray:
    """One threshold for each label, (L,) float64.

    Args:
        targets: (n, L).
        scores: (n, L), finite.
        rule: `quiet` is the global threshold, lowered to a margin above the highest score that the label has in a
            document without it where that is lower; one margin for all labels, of best micro-F1 in cross-fitting, down
            to none, which leaves the global threshold to all. `quiet-margins` is the same for an SVM's margins.
            `scut` is the cut of best F1 of each label, which over-fits rare labels. `scut-fbr` averages it over
            `FOLDS` folds, each without a fifth of the documents, and takes the label's highest score where the best F1
            is below `FBR`. `per-label` adds to each label's hits and errors those of some documents of an average
            label; how many (`STRENGTHS`), from none, which is `scut`, to all, which is the global threshold, is the
            choice of best macro-F1 in cross-validation. `pcut` predicts a label in the share of documents that it has
            in training.
        counts: training documents of each label, (L,); read by `pcut` alone.
        documents: of the training part; read by `pcut` alone.

    Returns:
        Thresholds; a label without a true document gets its highest score, from `per-label` the global threshold, and
        from `quiet` what every label gets, for which its true documents are not needed. `quiet` is the global threshold
        of fewer than `FOLDS` documents, and of a label without a stored score in a document that does not have it.

    Raises:
        ValueError: an unknown rule, shapes that differ, scores that are not finite.

    Source: Yang, SIGIR 2001; Fan & Lin 2007; why a guard is needed: Lin & Lin, CIKM 2023.
    """
    if rule not in LABEL_RULES:
        raise ValueError(f"rule is {rule!r}, expected one of {', '.join(LABEL_RULES)}")
    if targets.shape != scores.shape:
        raise ValueError(f"targets are {targets.shape}, scores are {scores.shape}: shapes must be equal")
    found: np.ndarray = _function_of(rule)(targets, scores, counts, documents)
    return found


def fit_scut(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCut: the cut of best F1 of each label."""
    return _best_of_labels(LabelCuts(targets, scores), 0.0)[0]


def fit_scut_fbr(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCutFBR.1: the mean over folds of each label's cut, or of its highest score where the best F1 is below `FBR`."""
    cuts = LabelCuts(targets, scores)
    found = [_best_of_labels(cuts.among(~is_held), FBR)[0] for is_held in _held_out(targets.shape[0])]
    if not found:
        return _best_of_labels(cuts, FBR)[0]
    return np.where(cuts.positives > 0, np.mean(found, axis=0), cuts.highest())


def fit_pcut(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, counts: np.ndarray | None, documents: int
) -> np.ndarray:
    """PCut: each label in the share of documents that it has in training."""
    if counts is None or documents < 1:
        raise ValueError("rule 'pcut' needs counts and the number of training documents")
    return _match_shares(LabelCuts(targets, scores), np.asarray(counts) / documents)


def fit_guarded(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCut with a guard: documents of an average label added to each label's own, as many as cross-validation says."""
    cuts, errors = LabelCuts(targets, scores), np.zeros((3, len(STRENGTHS), targets.shape[1]), np.int64)
    order = np.argsort(sort_keys(cuts.values), kind="stable")
    values, hits, rows = (part[order] for part in (cuts.values, cuts.hits, cuts.rows))
    for is_held in _held_out(targets.shape[0]):
        kept = np.flatnonzero(~is_held[rows])
        rest = _Shrinking(cuts.among(~is_held), values[kept], hits[kept])
        errors += cuts.among(is_held).errors(np.stack([rest.limits(strength) for strength in STRENGTHS]))
    tp, fp, fn = errors
    macro = dict(zip(STRENGTHS, np.mean(2 * tp / np.maximum(2 * tp + fp + fn, 1), axis=1), strict=True))
    best = max(STRENGTHS, key=lambda strength: (macro[strength], strength)) if targets.shape[1] else np.inf
    return _Shrinking(cuts, values, hits).limits(best)


def _held_out(documents: int) -> list[np.ndarray]:
    """Which documents each of `make_folds` holds out, (n,) bool each."""
    found = []
    for _, held in make_folds(documents):
        is_held = np.zeros(documents, np.bool_)
        is_held[held] = True
        found.append(is_held)
    return found


def _best_of_labels(cuts: LabelCuts, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """SCut: the threshold of best F1 of each label and that F1; the highest score where it is 0 or below `floor`."""
    f1 = np.where(cuts.last, 2 * cuts.tp / (cuts.given + cuts.positives[cuts.labels]), -1.0)
    entry, best = cuts.first_best(f1)
    found = cuts.highest()
    use = (best > 0) & (best >= floor)
    found[use] = cuts.middles[entry[use]]
    return found, np.maximum(best, 0.0)


class _Shrinking:
    """Thresholds of best F1 with documents of an average label added to each label's own, of one set of cuts.

    Args:
        cuts: of the documents.
        values: their pooled scores, which stand for an average label, rising.
        hits: the label is true there.
    """

    def __init__(self, cuts: LabelCuts, values: np.ndarray, hits: np.ndarray) -> None:
        self._cuts, self._positives = cuts, int(cuts.positives.sum())
        self._values, self._hits = values, np.concatenate([[0], np.cumsum(hits)])
        self._common = best_cut(values, values[hits], self._positives)
        if not self._positives:
            return
        # The common threshold: what it predicts of each label's own documents, and of the pooled ones.
        tp, fp, _ = cuts.errors(np.full(len(cuts.positives), self._common))
        self._at_common = tp, tp + fp, cuts.positives, self._pool(np.array(self._common))
        # Where a cut can be, but for those far below, which predict many times as many labels as are true and no true
        # one that a higher cut misses.
        places = np.flatnonzero(cuts.last)
        labels, tp, reach = cuts.labels[places], cuts.tp[places], NEAR * self._positives
        hits = np.bincount(cuts.labels[cuts.hits], minlength=len(cuts.positives))
        above = np.where(np.append(True, labels[1:] != labels[:-1])[: len(tp)], -1, np.append(-1, tp[:-1])[: len(tp)])
        is_near = above < hits[labels]
        is_near |= cuts.values[places] > values[-reach] if reach <= len(values) else True
        self._take(places[is_near])
        # The most that those can be worth: all pooled hits, and no more predictions than the first of them has.
        far, given = places[~is_near], np.full(len(hits), -1)
        given[cuts.labels[far][::-1]] = cuts.given[far][::-1]
        self._far = (given >= 0) & (cuts.positives > 0)
        self._at_far = hits, given, cuts.positives, [self._hits[-1] / self._positives, NEAR]

    def _take(self, places: np.ndarray) -> None:
        """Takes cuts at entries, (P,) rising: what they predict of their labels' documents and of the pooled ones."""
        cuts, self._places = self._cuts, places
        self._at_places = (
            *(part[places] for part in (cuts.tp, cuts.given)),
            cuts.positives[cuts.labels[places]],
            self._pool(cuts.middles[places]),
        )

    def _pool(self, limits: np.ndarray) -> list[np.ndarray]:
        """Pooled hits and predictions at thresholds, for each true pair."""
        below = np.searchsorted(self._values, limits, side="right")
        return [(self._hits[-1] - self._hits[below]) / self._positives, (len(self._values) - below) / self._positives]

    def limits(self, strength: float) -> np.ndarray:
        """Each label's best cut with `strength` documents added, where it beats the common threshold by F1; (L,)."""
        cuts = self._cuts
        found = np.full(len(cuts.positives), self._common)
        if np.isinf(strength) or not self._positives:
            return found

        def quality(
            tp: np.ndarray, given: np.ndarray, own: np.ndarray, pooled: Sequence[np.ndarray | float]
        ) -> np.ndarray:
            """F1 with the pooled hits and predictions per true pair added, `strength` times."""
            return 2 * (tp + strength * pooled[0]) / np.maximum(given + own + strength * (pooled[1] + 1), 1e-12)

        entry, best = cuts.first_best(quality(*self._at_places), self._places)
        common = quality(*self._at_common)
        if (self._far & (quality(*self._at_far) > np.maximum(best, common))).any():
            self._far[:] = False
            self._take(np.flatnonzero(cuts.last))
            return self.limits(strength)
        use = (best > common) & (cuts.positives > 0)
        found[use] = cuts.middles[entry[use]]
        return found


def _match_shares(cuts: LabelCuts, shares: np.ndarray) -> np.ndarray:
    """PCut: each label predicted in `shares` of the documents, as near as ties between scores allow from below."""
    sizes = np.diff(cuts.starts)
    documents = int(sizes.max(initial=0))
    wanted = np.minimum(np.round(shares * documents).astype(np.int64), sizes)
    fits = cuts.last & (cuts.given <= wanted[cuts.labels])
    entry, best = cuts.first_best(np.where(fits, cuts.given, 0))
    found = cuts.highest()
    found[best > 0] = cuts.middles[entry[best > 0]]
    return found


def fit_top_k(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, most: int = 20) -> int:
    """RCut: the number of labels to give every document, of best micro-F1; the lowest of equally good ones."""
    ranked = rank_labels(targets, scores, min(most, max(targets.shape[1], 1)))
    hits, given = (np.cumsum(part.sum(axis=0)) for part in (ranked.hits, ranked.columns >= 0))
    return int(np.argmax(2 * hits / np.maximum(indicator(targets).nnz + given, 1))) + 1


def top_labels(scores: np.ndarray | sp.csr_array, k: int | np.ndarray) -> sp.csr_array:
    """The k highest scores of every document as predicted labels, (n, L) bool; of equals the lower column first.

    Args:
        scores: (n, L).
        k: one number for all documents, or one each, (n,); a document that stores fewer scores gets those.
    """
    wanted = np.broadcast_to(np.asarray(k), (scores.shape[0],))
    if isinstance(scores, sp.csr_array):
        rows, order = document_rows(scores), order_by_document(scores)
        kept = order[np.arange(len(rows)) - scores.indptr[rows] < wanted[rows]]
        rows, columns = rows[kept], scores.indices[kept]
    else:
        best = np.argsort(sort_keys(scores, falling=True), axis=1, kind="stable")
        rows, places = np.nonzero(np.arange(scores.shape[1]) < wanted[:, None])
        columns = best[rows, places]
    return sp.csr_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=scores.shape)


def apply(scores: np.ndarray | sp.csr_array, threshold: float | np.ndarray) -> sp.csr_array:
    """Predicted labels, (n, L) bool: score > threshold, compared in float64, as the threshold was fitted.

    Args:
        scores: (n, L).
        threshold: one for all labels, or one each, (L,).
    """
    limit = np.asarray(threshold, np.float64)
    if not isinstance(scores, sp.csr_array):
        return sp.csr_array(scores > limit)
    kept = scores.data > (limit[scores.indices] if limit.ndim else limit)
    indptr = np.concatenate([[0], np.cumsum(kept)])[scores.indptr]
    return sp.csr_array((np.ones(indptr[-1], np.bool_), scores.indices[kept], indptr), shape=scores.shape)


def values_of(limits: Limits) -> float | list[float]:
    """Thresholds as JSON holds them; no finite number is above what no score exceeds."""
    found = np.nan_to_num(np.asarray(limits, np.float64), posinf=1e6, neginf=-1e6)
    return found.tolist() if found.ndim else float(found)


def of_values(values: float | list[float] | np.ndarray) -> Limits:
    """Thresholds from what JSON holds, or from an array of one number or (L,)."""
    found = np.asarray(values, np.float64)
    return found if found.ndim else float(found)

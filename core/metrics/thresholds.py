"""Thresholds fitted on validation, one for all labels or one each: a label is predicted where its score is above it.

Scores are a dense (n, L) array, or a CSR array of each document's highest scores: what it does not store lies below
everything that it stores, is never predicted, and counts as missed where it is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.config.defaults import THRESHOLD_RULES
from core.labels.groups import count_documents, indicator
from core.metrics.label_sets import count_errors

Limits = float | np.ndarray
"""Thresholds: one for all labels, or one each, (L,)."""
GRIDS = {name: np.array(rule.grid) / 100 for name, rule in THRESHOLD_RULES.items() if rule.grid is not None}
"""Probabilities as in Huang et al., EMNLP 2021, and, for an SVM's margins, the shift of its hyperplane."""
RULES = tuple(name for name, rule in THRESHOLD_RULES.items() if not rule.by_label)
LABEL_RULES = tuple(name for name, rule in THRESHOLD_RULES.items() if rule.by_label)
"""Rules of `fit_labels`: quiet, SCut with a guard, SCut alone, SCutFBR.1, and PCut."""
FOLDS = 5
STRENGTHS = (0.0, 1.0, 4.0, 16.0, 64.0, np.inf)
"""Of the guard of `per-label`: documents of an average label that are added to each label's own."""
FBR = 0.1
"""A best F1 below this makes `scut-fbr` predict the label in almost no document."""
CLIP = 1e-4
"""Of `quiet`: a probability nearer to 0 or 1 has the logit of this distance."""
STEPS = (*np.arange(25) / 10, np.inf)
"""Of `quiet`: logits above a label's highest negative score; infinity is the global threshold."""
LOGITS = 2 * np.log((1 - CLIP) / CLIP)
"""From the lowest logit to the highest: `STEPS` take the same share of the range of an SVM's margins."""
FAR = 50.0
"""A margin beyond is that of a label which no or every training document has; nothing was fitted for it."""


def fit(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, rule: str = "exact") -> Limits:
    """The thresholds of a rule of `fit_global` or `fit_labels`, as a run keeps them."""
    if rule in LABEL_RULES:
        return fit_labels(targets, scores, rule=rule)
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
    """The function of this module that fits a rule."""
    function: Callable[..., Any] = globals()[THRESHOLD_RULES[rule].function]
    return function


def _best_of_grid(grid: np.ndarray, targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    values, hits = _sorted_scores(targets, scores)
    above = [len(part) - np.searchsorted(part, grid, side="right") for part in (hits, values)]
    return float(grid[np.argmax(2 * above[0] / np.maximum(above[1] + indicator(targets).nnz, 1))])


def fit_exact(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """The cut of best micro-F1, of all between two different scores."""
    return _best_cut(*_sorted_scores(targets, scores), indicator(targets).nnz)


def _best_cut(values: np.ndarray, hits: np.ndarray, positives: int) -> float:
    """The cut of best F1, from all scores and those of true labels, each rising."""
    if not len(hits):
        return float(values[-1]) if len(values) else 0.5
    lowest = np.unique(hits)  # the best cut lies just below a true label's score: from there on down come errors alone
    above = [len(part) - np.searchsorted(part, lowest, side="left") for part in (hits, values)]
    f1 = 2 * above[0] / (above[1] + positives)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    high, below = lowest[best], len(values) - above[1][best]
    if not below:
        return float(np.nextafter(high, -np.inf))
    low = values[below - 1]
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


def _sorted_scores(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All scores, and those of true labels, each rising, float64."""
    values, hits = _read_scores(targets, scores)
    return np.sort(values), np.sort(values[hits])


def _read_scores(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The E stored scores, row by row, float64 (which holds every float16 and float32), and where the label is true.

    Raises:
        ValueError: scores that are not finite.
    """
    true = indicator(targets)
    if isinstance(scores, sp.csr_array):
        values, hits = scores.data.astype(np.float64), np.zeros(scores.nnz, np.bool_)
        places = sp.csr_array((np.arange(1, len(values) + 1), scores.indices, scores.indptr), shape=scores.shape)
        hits[true.multiply(places).tocsr().data - 1] = True
    else:
        values, hits = scores.astype(np.float64).ravel(), true.toarray().ravel()
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} scores are not finite")
    return values, hits


def _label_columns(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """The label of each stored score, row by row, (E,)."""
    if isinstance(scores, sp.csr_array):
        return scores.indices
    return np.tile(np.arange(scores.shape[1]), scores.shape[0])


def _document_rows(scores: np.ndarray | sp.csr_array) -> np.ndarray:
    """The document of each stored score, row by row, (E,)."""
    stored = np.diff(scores.indptr) if isinstance(scores, sp.csr_array) else scores.shape[1]
    return np.repeat(np.arange(scores.shape[0]), stored)


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


def fit_quiet(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """min(global threshold, highest negative + margin) of each label, in the logits of probabilities."""

    def raised(values: np.ndarray, margin: float) -> np.ndarray:
        # In odds a margin is a factor; at margin 0 a float16 or float32 comes back as it is.
        kept, factor = np.clip(values, CLIP, 1 - CLIP), np.exp(margin)
        return np.asarray(np.maximum(values, kept * factor / (1 - kept + kept * factor)))

    return _lower_quiet_labels(targets, scores, raised)


def fit_quiet_margins(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """min(global threshold, highest negative + margin) of each label, in an SVM's margins."""
    values = scores.data if isinstance(scores, sp.csr_array) else scores
    highest = float(values[values < FAR].max(initial=1.0))
    unit = (highest + 1) / LOGITS  # from -1, where the hinge loss of a negative ends: lower ones may not be stored
    return _lower_quiet_labels(targets, scores, lambda values, margin: values + margin * unit)


def _lower_quiet_labels(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, raised: Callable[[np.ndarray, float], np.ndarray]
) -> np.ndarray:
    """Thresholds of `quiet`, (L,); `raised` gives values in the scores' unit with a margin added."""
    documents, labels = targets.shape
    true_of_row, folds = np.diff(indicator(targets).indptr), _folds(documents)
    fold_of_row = np.zeros(documents, np.int64)
    for number, (_, held) in enumerate(folds):
        fold_of_row[held] = number
    # Every stored score, from the lowest to the highest, with its label and the fold of its document.
    values, hits = _read_scores(targets, scores)
    order = np.argsort(values, kind="stable")
    values, hits, columns = values[order], hits[order], _label_columns(scores)[order]
    fold = fold_of_row[_document_rows(scores)[order]]
    # The highest negative score of each label in each fold.
    highest = np.full(FOLDS * labels, -np.inf)
    np.maximum.at(highest, (fold * labels + columns)[~hits], values[~hits])
    highest = highest.reshape(FOLDS, labels)

    def limits(common: float, negatives: np.ndarray, margin: float) -> np.ndarray:
        found = np.full(len(negatives), common)
        if margin < np.inf:
            known = np.isfinite(negatives)
            found[known] = np.minimum(common, raised(negatives[known], margin))
        return found

    # Each margin on the fold that its thresholds have not seen.
    right, given = np.zeros((2, len(STEPS)), np.int64)
    for number, (rest, _) in enumerate(folds):
        held = fold == number
        common = _best_cut(values[~held], values[~held & hits], int(true_of_row[rest].sum()))
        negatives = np.delete(highest, number, axis=0).max(axis=0)
        reached = np.flatnonzero(held & (values > limits(common, negatives, 0.0)[columns]))  # by the lowest thresholds
        for place, margin in enumerate(STEPS):
            predicted = reached[values[reached] > limits(common, negatives[columns[reached]], margin)]
            right[place] += np.sum(hits[predicted])
            given[place] += len(predicted)
    # The margin of best micro-F1, of equals the largest; then thresholds from all documents.
    positives = int(true_of_row.sum())
    f1 = 2 * right / np.maximum(given + positives, 1)
    margin = STEPS[len(STEPS) - 1 - int(np.argmax(f1[::-1]))]
    return limits(_best_cut(values, values[hits], positives), highest.max(axis=0), margin)


def fit_scut(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCut: the cut of best F1 of each label."""
    return _best_of_labels(_Cuts(targets, scores), 0.0)[0]


def fit_scut_fbr(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCutFBR.1: the mean over folds of each label's cut, or of its highest score where the best F1 is below `FBR`."""
    cuts = _Cuts(targets, scores)
    found = [_best_of_labels(_Cuts(targets[rest], scores[rest]), FBR)[0] for rest, _ in _folds(targets.shape[0])]
    if not found:
        return _best_of_labels(cuts, FBR)[0]
    return np.where(cuts.positives > 0, np.mean(found, axis=0), cuts.highest())


def fit_pcut(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, counts: np.ndarray | None, documents: int
) -> np.ndarray:
    """PCut: each label in the share of documents that it has in training."""
    if counts is None or documents < 1:
        raise ValueError("rule 'pcut' needs counts and the number of training documents")
    return _match_shares(_Cuts(targets, scores), np.asarray(counts) / documents)


def fit_guarded(targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *_: Any) -> np.ndarray:
    """SCut with a guard: documents of an average label added to each label's own, as many as cross-validation says."""
    folds = _folds(targets.shape[0])
    errors = {strength: np.zeros((3, targets.shape[1]), np.int64) for strength in STRENGTHS}
    for rest, held in folds:
        cuts = _Cuts(targets[rest], scores[rest])
        for strength in STRENGTHS:
            predicted = apply(scores[held], _shrunk(cuts, strength))
            errors[strength] += np.array(count_errors(targets[held], predicted))
    macro = {s: np.mean(2 * tp / np.maximum(2 * tp + fp + fn, 1)) for s, (tp, fp, fn) in errors.items()}
    best = max(STRENGTHS, key=lambda strength: (macro[strength], strength)) if targets.shape[1] else np.inf
    return _shrunk(_Cuts(targets, scores), best)


def cross_fitted_f1(targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> float:
    """Micro-F1 of the rule `exact`, each fold at the threshold of the others; 0 of fewer than `FOLDS` documents.

    Args:
        targets: (n, L).
        scores: (n, L), finite.
    """
    values, hits = _read_scores(targets, scores)
    order = np.argsort(values)
    values, hits, rows = values[order], hits[order], _document_rows(scores)[order]
    true_of_row, right, given = np.diff(indicator(targets).indptr), 0, 0
    for rest, held in _folds(targets.shape[0]):
        is_held = np.zeros(targets.shape[0], np.bool_)
        is_held[held] = True
        mask = is_held[rows]
        seen, true = values[~mask], hits[~mask]
        above = mask & (values > _best_cut(seen, seen[true], int(true_of_row[rest].sum())))
        right, given = right + int(np.sum(hits & above)), given + int(np.sum(above))
    return 2 * right / max(given + int(true_of_row.sum()), 1)


def _folds(documents: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that stay and rows that are held out, `FOLDS` times; none of fewer documents than folds."""
    order = np.random.default_rng(0).permutation(documents)
    parts = np.array_split(order, FOLDS) if documents >= FOLDS else []
    return [(np.sort(np.setdiff1d(order, part)), np.sort(part)) for part in parts]


class _Cuts:
    """Every label's scores, falling, and what a cut below each of them predicts.

    Attributes:
        labels: of each entry, rising, (E,).
        values: the scores, falling within a label, (E,) float64.
        hits: the label is true there, (E,) bool.
        tp: hits of the label down to and with this entry, (E,).
        given: entries of the label down to and with this one, (E,).
        last: no entry of the label below this one has the same score, (E,) bool: only there can a cut be.
        middles: thresholds between each entry and the label's next lower one, (E,).
        positives: true documents of each label, (L,).
        starts: the first entry of each label, (L + 1,).
    """

    def __init__(self, targets: sp.csr_array, scores: np.ndarray | sp.csr_array) -> None:
        labels, (values, hits) = _label_columns(scores), _read_scores(targets, scores)
        # Entries by label, scores falling; hits and given labels are counted from the top of each label.
        order = np.lexsort((-values, labels))
        self.labels, self.values, self.hits = labels[order], values[order], hits[order]
        self.positives = count_documents(targets)
        self.starts = np.searchsorted(self.labels, np.arange(targets.shape[1] + 1))
        self.tp = np.cumsum(self.hits)
        self.tp -= (self.tp - self.hits)[self.starts[self.labels]]
        self.given = np.arange(len(values)) - self.starts[self.labels] + 1
        # A cut lies midway between two scores, and below the lowest one as near as floats allow.
        ends = np.append(self.labels[1:] != self.labels[:-1], True)[: len(values)]
        below = np.append(self.values[1:], -np.inf)[: len(values)]
        self.last = ends | (below != self.values)
        low = np.where(ends, self.values, below)
        middle = low + (self.values - low) / 2
        self.middles = np.where(ends, np.nextafter(self.values, -np.inf), np.where(middle < self.values, middle, low))

    def first_best(self, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each label's entry of the highest quality, the uppermost of equals (-1 of none), and that quality."""
        labels = len(self.starts) - 1
        best, filled = np.full(labels, -np.inf), np.diff(self.starts) > 0
        if not len(quality):
            return np.full(labels, -1), best
        best[filled] = np.maximum.reduceat(quality, self.starts[:-1][filled])
        reached = np.flatnonzero(quality == best[self.labels])
        entry = np.full(labels, -1)
        entry[self.labels[reached][::-1]] = reached[::-1]
        return entry, best

    def highest(self) -> np.ndarray:
        """The highest score of each label, above which nothing is predicted, (L,); infinity where none is stored."""
        found, filled = np.full(len(self.positives), np.inf), np.diff(self.starts) > 0
        found[filled] = self.values[self.starts[:-1][filled]]
        return found


def _best_of_labels(cuts: _Cuts, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """SCut: the threshold of best F1 of each label and that F1; the highest score where it is 0 or below `floor`."""
    f1 = np.where(cuts.last, 2 * cuts.tp / (cuts.given + cuts.positives[cuts.labels]), -1.0)
    entry, best = cuts.first_best(f1)
    found = cuts.highest()
    use = (best > 0) & (best >= floor)
    found[use] = cuts.middles[entry[use]]
    return found, np.maximum(best, 0.0)


def _shrunk(cuts: _Cuts, strength: float) -> np.ndarray:
    """The threshold of best F1 of each label with `strength` documents of an average label added to its own."""
    # The common threshold, and the pooled scores that stand for an average label.
    values, hits = np.sort(cuts.values), np.sort(cuts.values[cuts.hits])
    positives = int(cuts.positives.sum())
    common = _best_cut(values, hits, positives)
    found = np.full(len(cuts.positives), common)
    if np.isinf(strength) or not positives:
        return found

    def quality(tp: np.ndarray, given: np.ndarray, own: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """F1 with the pooled hits and predictions per true pair added, `strength` times."""
        pooled = [(len(part) - np.searchsorted(part, limits, side="right")) / positives for part in (hits, values)]
        return 2 * (tp + strength * pooled[0]) / np.maximum(given + own + strength * (pooled[1] + 1), 1e-12)

    # Each label's best cut, where it beats the common threshold by the same measure.
    below = quality(cuts.tp, cuts.given, cuts.positives[cuts.labels], cuts.middles)
    entry, best = cuts.first_best(np.where(cuts.last, below, -1.0))
    above = cuts.values > common
    tp, given = (np.bincount(cuts.labels[above & part], minlength=len(found)) for part in (cuts.hits, True))
    use = (best > quality(tp, given, cuts.positives, np.array(common))) & (cuts.positives > 0)
    found[use] = cuts.middles[entry[use]]
    return found


def _match_shares(cuts: _Cuts, shares: np.ndarray) -> np.ndarray:
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
    positives = indicator(targets).nnz
    found = []
    for k in range(1, min(most, max(targets.shape[1], 1)) + 1):
        predicted = top_labels(scores, k)
        found.append(2 * indicator(targets).multiply(predicted).nnz / max(positives + predicted.nnz, 1))
    return int(np.argmax(found)) + 1


def top_labels(scores: np.ndarray | sp.csr_array, k: int | np.ndarray) -> sp.csr_array:
    """The k highest scores of every document as predicted labels, (n, L) bool; of equals the lower column first.

    Args:
        scores: (n, L).
        k: one number for all documents, or one each, (n,); a document that stores fewer scores gets those.
    """
    wanted = np.broadcast_to(np.asarray(k), (scores.shape[0],))
    if isinstance(scores, sp.csr_array):
        rows = _document_rows(scores)
        order = np.lexsort((scores.indices, -scores.data.astype(np.float64), rows))
        kept = order[np.arange(len(rows)) - scores.indptr[rows] < wanted[rows]]
        rows, columns = rows[kept], scores.indices[kept]
    else:
        best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
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

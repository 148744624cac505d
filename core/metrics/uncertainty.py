"""How much of a score is chance: resampled test documents, paired differences, seeds, single labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import stdtr, stdtrit

from core.labels.groups import EVERY_GROUP, Borders, group_of, indicator
from core.metrics.label_sets import check_predicted, f1

FOLDS = 1000
LEVEL = 0.95
NUMBERS = 4_000_000
"""Resampled counts that are held at a time."""
BLOCK = 500
"""Resamples that are counted at a time where labels are few."""
POWER = 0.8
"""The chance with which a difference is to be found, in `seeds_needed`."""
NORMAL = 1e6
"""Degrees of freedom from which on a t distribution is the normal one."""
STRATA = {"single_label": 1, "multi_label": 2}
COLUMNS = tuple(f"{group}/{score}" for group in ("all", *EVERY_GROUP, *STRATA) for score in ("micro_f1", "macro_f1"))
"""What is resampled: every number of the paper's Tables 2 and 3, as group/score of `label_sets.score_groups`."""


def resample(documents: int, *, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """How often each document is drawn, with replacement, in each fold: (folds, documents) float32, rows sum to n.

    The same arguments give the same numbers, which is what pairs two runs.
    """
    if not documents:
        return np.zeros((folds, 0), np.float32)
    drawn = np.random.default_rng(seed).integers(0, documents, (folds, documents))
    drawn += np.arange(folds)[:, None] * documents
    return np.bincount(drawn.ravel(), minlength=folds * documents).reshape(folds, documents).astype(np.float32)


Entries = tuple[np.ndarray, np.ndarray]
"""Documents and labels of the entries of an indicator."""
Chosen = tuple[tuple[int, int], np.ndarray, sp.csr_array]
"""Sets of entries of some labels: how many sets and labels, rows of (set, stratum, label) that hold any, and which
documents each row has."""


class Resamples:
    """Resampled test documents with what all runs on them share: their true labels, counted on each resample.

    Args:
        targets: (n, L).
        weights: `resample(n)`, (folds, n).
    """

    def __init__(self, targets: sp.csr_array, weights: np.ndarray) -> None:
        self.targets = indicator(targets)
        self.folds, self.labels = len(weights), targets.shape[1]
        # Blocks of resamples whose counts stay in the cache of the processor.
        step = max(min(NUMBERS // max(9 * self.labels, 1), BLOCK), 1)
        self._blocks = [slice(start, start + step) for start in range(0, self.folds, step)]
        self._weights = [np.ascontiguousarray(weights[block].T) for block in self._blocks]
        # Three strata by number of labels: none, one, several.
        self._stratum = np.minimum(np.diff(self.targets.indptr), 2)
        self._documents = np.bincount(self._stratum, minlength=3)
        # True labels are counted once for all runs, on each resample only where these counts are small.
        true = _entries(self.targets)
        self._keys = np.sort(true[0] * np.int64(self.labels) + true[1])
        self._support, self._chosen = self._count(true), self._choose([true], np.arange(self.labels))
        small = 3 * self.labels * self.folds <= NUMBERS
        self._true = [self._resample(self._chosen, one)[0] for one in self._weights] if small else None

    @cached_property
    def drawn(self) -> np.ndarray:
        """`resampled_ranking.find_drawn` of these documents, (L, folds) bool."""
        found = np.zeros((self.labels, self.folds), np.bool_)
        for number, block in enumerate(self._blocks):
            found[:, block] = self._count_true(number)[0] > 0
        return found

    def _count_true(self, number: int) -> np.ndarray:
        """True labels in a block of resamples, (3, L, folds)."""
        return self._resample(self._chosen, self._weights[number])[0] if self._true is None else self._true[number]

    def score(
        self, predicted: sp.csr_array, counts: np.ndarray, borders: Borders
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The numbers of Tables 2 and 3 of predicted labels on these documents, as they are and resampled.

        A run misses few labels and adds few, so that these are summed over the documents, not its hits.

        Args:
            predicted: (n, L).
            counts: training documents of each label, (L,).
            borders: between head, medium and tail.

        Returns:
            Scores (columns,), samples (folds, columns) as of `bootstrap`, and for each column the labels of its group
            that are hit somewhere and those that have documents, (columns,) int64.

        Raises:
            ValueError: shapes that differ, scores instead of 0 and 1.
        """
        check_predicted(self.targets, predicted)
        missed, added = self._errors(predicted)
        groups = group_of(counts, borders)
        masks = [np.ones(self.labels, np.bool_), *(groups == group for group in EVERY_GROUP)]
        # Labels of each column; 0 where its group has no label or no document.
        sizes = [int(mask.sum()) if self.targets.shape[0] else 0 for mask in masks]
        sizes += [self.labels if many else 0 for many in self._documents[1:]]
        # Scores on the documents as they are: of all documents by group of labels, then of those with one label and
        # with several.
        parts = [self._support, self._count(missed), self._count(added)]
        there = (parts[0] + parts[2]).any(axis=0)
        scores, hits, support = np.full(len(COLUMNS), np.nan), [], []
        each = f1(parts[0] - parts[1], parts[2], parts[1])
        views = [(0, mask) for mask in masks] + [(view, masks[0]) for view in (1, 2)]
        for place, ((view, mask), size) in enumerate(zip(views, sizes, strict=True)):
            true, lost, false = (part[view, mask] for part in parts)
            hits.append(int((true > lost).sum()))
            support.append(int((true > 0).sum()))
            if size:
                scores[2 * place] = f1((true - lost).sum(), false.sum(), lost.sum())
                scores[2 * place + 1] = each[view, mask].mean()
        # The same on a block of resamples at a time, of labels that are true or predicted somewhere: others have F1 0.
        some = np.flatnonzero(there)
        belongs = np.stack(masks)[:, some].astype(np.float32)
        wrong = self._choose([missed, added], some)
        sums = np.empty((4, len(sizes), self.folds))
        for number, (block, weights) in enumerate(zip(self._blocks, self._weights, strict=True)):
            lost, false = self._resample(wrong, weights)
            true = self._count_true(number)
            _sum_groups(true if len(some) == self.labels else true[:, some], lost, false, belongs, sums[:, :, block])
        hit, true, false, total = sums
        samples = np.full((self.folds, len(COLUMNS)), np.nan)
        filled = np.flatnonzero(sizes)
        samples[:, 2 * filled] = f1(hit, false, true - hit)[filled].T
        samples[:, 2 * filled + 1] = total[filled].T / np.array(sizes)[filled]
        return scores, samples, np.repeat(hits, 2), np.repeat(support, 2)

    def _errors(self, predicted: sp.csr_array) -> tuple[Entries, Entries]:
        """True labels that are not predicted, and predicted ones that are not true."""
        rows, columns = _entries(indicator(predicted))
        keys = rows * np.int64(self.labels) + columns
        place = np.searchsorted(self._keys, keys)
        is_hit = np.append(self._keys, -1)[place] == keys
        missed = np.delete(self._keys, place[is_hit])
        width = max(self.labels, 1)
        return (missed // width, missed % width), (rows[~is_hit], columns[~is_hit])

    def _count(self, entries: Entries) -> np.ndarray:
        """Entries of each label in all documents, in those with one label and in those with several, (3, L) int64."""
        rows, columns = entries
        codes = self._stratum[rows] * self.labels + columns
        counted = np.bincount(codes, minlength=3 * self.labels).reshape(3, self.labels).astype(np.int64)
        counted[0] += counted[1] + counted[2]
        return counted

    def _choose(self, sets: Sequence[Entries], some: np.ndarray) -> Chosen:
        """Sets of entries of some labels as a matrix, a row for each label of each stratum of a set that has any."""
        place = np.full(self.labels, -1)
        place[some] = np.arange(len(some))
        documents, columns = (np.concatenate(parts) for parts in zip(*sets, strict=True))
        number = np.repeat(np.arange(len(sets)), [len(rows) for rows, _ in sets])
        codes = (3 * number + self._stratum[documents]) * len(some) + place[columns]
        order = np.argsort(codes, kind="stable")
        rows, starts = np.unique(codes[order], return_index=True)
        arrays = np.ones(len(codes), np.float32), documents[order], np.append(starts, len(codes))
        return (len(sets), len(some)), rows, sp.csr_array(arrays, shape=(len(rows), self.targets.shape[0]))

    def _resample(self, chosen: Chosen, weights: np.ndarray) -> np.ndarray:
        """`_count` of sets of entries in the drawn documents of a block, (sets, 3, some, folds) float32."""
        (sets, many), rows, matrix = chosen
        flat = np.zeros((3 * sets * many, weights.shape[1]), np.float32)
        flat[rows] = matrix @ weights
        counted = flat.reshape(sets, 3, many, weights.shape[1])
        counted[:, 0] += counted[:, 1]
        counted[:, 0] += counted[:, 2]
        return counted


def _sum_groups(true: np.ndarray, lost: np.ndarray, false: np.ndarray, belongs: np.ndarray, out: np.ndarray) -> None:
    """Sums hits, true ones, false ones and F1 of labels, (3, some, folds) each, over groups.

    Args:
        true: as of `Resamples._resample`.
        lost: true ones that are missed; overwritten, as is `false`.
        false: wrongly added ones.
        belongs: labels of each group of all documents, (groups, some); of one label, and of several, all labels count.
        out: (4, groups + 2, folds).
    """

    def add(part: np.ndarray, weights: np.ndarray, place: int) -> None:
        out[place, :-2] = weights @ part[0]  # whole numbers, exact below 2 ** 24
        out[place, -2:] = (weights[:1] @ part[1:])[:, 0]

    hit = np.subtract(true, lost, out=lost)
    for place, part in enumerate((hit, true, false)):
        add(part, belongs, place)
    # F1 = 2 TP / (2 TP + FP + FN): hits and missed ones are the true ones.
    reached = false
    reached += hit
    reached += true
    np.maximum(reached, 1, out=reached)
    hit *= 2
    hit /= reached
    add(hit.astype(np.float64), belongs.astype(np.float64), 3)  # exact as well: their order changes no digit


def _entries(matrix: sp.csr_array) -> Entries:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices.astype(np.int64)


def bootstrap(
    targets: sp.csr_array,
    predicted: sp.csr_array,
    counts: np.ndarray,
    borders: Borders,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """The numbers of Tables 2 and 3 on resampled test documents.

    Args:
        targets: (n, L).
        predicted: (n, L).
        counts: training documents of each label, (L,).
        borders: between head, medium and tail.
        folds: resamples.
        seed: of the resamples.
        weights: `resample(n, folds=folds, seed=seed)`, if it is there already.

    Returns:
        (folds, columns) float64 in the order of `COLUMNS`; NaN where a group has no label or no document.

    Raises:
        ValueError: shapes that differ, scores instead of 0 and 1.

    Source: Efron 1979.
    """
    check_predicted(targets, predicted)
    if weights is None:
        weights = resample(targets.shape[0], folds=folds, seed=seed)
    return Resamples(targets, weights).score(predicted, counts, borders)[1]


def resample_seeds(samples: Sequence[np.ndarray], *, seed: int) -> np.ndarray:
    """The mean of runs that differ by their seed, with seeds and documents resampled together.

    Every seed is scored on the same test documents, so both are drawn with replacement, each by itself: in each fold
    as many seeds as there are, on that fold's documents. The mean of n drawn seeds varies less than that of n new ones,
    by (n - 1) / n, so its distance from the mean of all is widened by the root of n / (n - 1).

    Args:
        samples: of each of n seeds, (folds, columns), with the same documents drawn in a fold.
        seed: of the draws. Two rows need different ones: what a seed starts in one method (weights, order of batches)
            tells nothing of its luck in another, also where their seeds have the same numbers. Drawn apart, two rows
            that were helped by the same seed have a difference that is less sure than it could be, never more.

    Returns:
        (folds, columns). Of one seed its own samples: they hold no seed noise.

    Source: Owen, The Pigeonhole Bootstrap, 2007; for the root, Rao & Wu, JASA 1988.
    """
    count, folds = len(samples), len(samples[0])
    if count == 1:
        return samples[0]
    stacked = np.stack(samples)
    mean = stacked.mean(axis=0)
    drawn = np.random.default_rng([seed, count]).integers(0, count, (folds, count))
    times = (drawn[:, :, None] == np.arange(count)).sum(axis=1)
    found: np.ndarray = mean + np.sqrt(count / (count - 1)) * (np.einsum("fs,sfc->fc", times / count, stacked) - mean)
    return found


def freedom(total: np.ndarray, parts: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """Degrees of freedom of a variance, (columns,): few where most of it was estimated from few seeds.

    Args:
        total: variance of the score or difference, (columns,).
        parts: of each row, the variance of its mean over seeds, (columns,), and its number of seeds.

    Returns:
        Infinity where no seed noise was seen; at least that of the row with the fewest seeds.

    Source: Satterthwaite, Biometrics Bulletin 1946; documents count as known.
    """
    known = [(variance, seeds) for variance, seeds in parts if seeds > 1]
    whole = np.maximum(total, sum((variance for variance, _ in known), np.zeros_like(total)))
    uncertain = sum((variance**2 / (seeds - 1) for variance, seeds in known), np.zeros_like(total))
    return np.divide(whole**2, uncertain, out=np.full(len(total), np.inf), where=uncertain > 0)


def interval(
    score: np.ndarray | float,
    samples: np.ndarray,
    *,
    level: np.ndarray | float = LEVEL,
    freedom: np.ndarray | float = np.inf,
    bounds: tuple[float, float] | None = None,
    sides: np.ndarray | None = None,
) -> np.ndarray:
    """A percentile interval, moved so that the mean of the resamples lies on the score.

    A resample lacks many labels that have one or two test documents, which pulls its macro-F1 below the score: its
    spread is right, its place is not.

    Args:
        score: on all test documents, one or (columns,).
        samples: (folds,) or (folds, columns), of the score or of a difference of two runs.
        level: share of the resamples inside; beyond `LEVEL`, or with few degrees of freedom, its two sides grow as
            those of a t distribution do, for a thousand resamples do not show the far ends themselves.
        freedom: degrees of freedom.
        bounds: of what is possible; ends beyond are moved there.
        sides: `find_sides(samples)`, if they are there already.

    Returns:
        (2,) or (2, columns): the ends; NaN where a sample is NaN.

    Source: for the t distribution, Hesterberg, The American Statistician 2015.
    """
    sides = find_sides(samples) if sides is None else sides
    ends = np.asarray(score) + sides * (_quantile(level, freedom) / _quantile(LEVEL, np.inf))
    return ends if bounds is None else np.clip(ends, *bounds)


def find_sides(samples: np.ndarray) -> np.ndarray:
    """The ends of the percentile interval of `LEVEL` around the mean of the resamples, (2, columns)."""
    tails = 50 * (1 - LEVEL)
    ends: np.ndarray = np.percentile(samples, [tails, 100 - tails], axis=0) - samples.mean(axis=0)
    return ends


def _quantile(level: np.ndarray | float, freedom: np.ndarray | float) -> np.ndarray:
    """Of the t distribution: how many standard errors an interval of a level reaches to either side."""
    many = np.where(np.asarray(freedom) > NORMAL, np.inf, freedom)
    found: np.ndarray = stdtrit(many, (1 + np.asarray(level)) / 2)
    return found


def p_values(
    score: np.ndarray,
    samples: np.ndarray,
    freedom: np.ndarray | float = np.inf,
    *,
    sides: np.ndarray | None = None,
) -> np.ndarray:
    """1 minus the level at which `interval` begins to hold 0, (columns,); NaN where a sample is NaN; as `interval`."""
    low, high = find_sides(samples) if sides is None else sides
    side = np.where(score > 0, -low, high)
    error = side / _quantile(LEVEL, np.inf)
    ratio = np.divide(np.abs(score), error, out=np.where(score == 0, 0.0, np.inf), where=error > 0)
    found: np.ndarray = np.where(
        np.isnan(side), np.nan, 2 * stdtr(np.where(np.asarray(freedom) > NORMAL, np.inf, freedom), -ratio)
    )
    return found


def holm_levels(p: np.ndarray, *, level: float = LEVEL) -> np.ndarray:
    """The level at which Holm's correction tests each of many differences, so that its interval shows the outcome.

    From the smallest p on, m tests are made at (1 - level) / m, / (m - 1), ...; at the first that fails all stop, and
    those left have its level. An interval of this level leaves out 0 exactly where Holm's correction rejects.

    Args:
        p: of any shape; NaN is no test.
        level: of the whole family: with this chance no difference that is none is found.

    Returns:
        Levels of the same shape; `level` itself where nothing is tested.

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    flat = np.asarray(p, np.float64).ravel()
    tested = np.flatnonzero(~np.isnan(flat))
    levels = np.full(flat.shape, level)
    if len(tested):
        order = tested[np.argsort(flat[tested], kind="stable")]
        steps = (1 - level) / np.arange(len(order), 0, -1)
        failed = np.flatnonzero(flat[order] >= steps)
        stop = int(failed[0]) if len(failed) else len(order) - 1
        levels[order] = 1 - np.minimum(steps, steps[stop])
    return levels.reshape(np.shape(p))


def seeds_needed(
    score: float, seed_variance: float, document_variance: float, *, level: float = LEVEL, most: int = 1000
) -> int | None:
    """Seeds of each of two rows with which their difference, if it stays as it is, is found four times of five.

    Args:
        score: the difference.
        seed_variance: of one seed of each row, summed.
        document_variance: of the difference over test documents, which no seed makes smaller.
        level: of the interval that has to leave out 0.
        most: seeds that are tried.

    Returns:
        2 or more; None where documents alone hide the difference, or no number up to `most` is enough.
    """
    for seeds in range(2, most + 1):
        error = seed_variance / seeds + document_variance
        # Degrees of freedom of two rows of a like seed noise.
        known = 2 * (seeds - 1) * (error * seeds / seed_variance) ** 2 if seed_variance > 0 else np.inf
        reach = _quantile(level, known) + _quantile(2 * POWER - 1, np.inf)
        if abs(score) >= reach * np.sqrt(error) and score != 0:
            return seeds
    return None


def is_significant(ends: np.ndarray) -> np.ndarray:
    """Whether an interval of a difference leaves out 0; NaN never does."""
    return (ends[0] > 0) | (ends[1] < 0)


def over_seeds(scores: Sequence[Sequence[float]] | np.ndarray) -> pd.DataFrame:
    """Columns seeds, mean and deviation (sample standard deviation; NaN of one seed), one row per column of scores."""
    values = np.asarray(scores, dtype=np.float64)
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return pd.DataFrame({"seeds": len(values), "mean": values.mean(axis=0), "deviation": deviation})


def label_intervals(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, *, z: float = 1.959964) -> np.ndarray:
    """An interval of each label's F1, (2, L): Wilson's for J, hits among hits and errors, and F1 = 2 J / (1 + J).

    It is 0 to 1 for a label without hits and errors, and holds its level also where a label has one test document.

    Source: Wilson, JASA 1927.
    """
    n = np.asarray(tp + fp + fn, dtype=np.float64)
    share = np.asarray(tp) / np.maximum(n, 1)
    centre = share + z * z / (2 * np.maximum(n, 1))
    spread = z * np.sqrt(share * (1 - share) / np.maximum(n, 1) + z * z / (4 * np.maximum(n, 1) ** 2))
    ends = np.stack([centre - spread, centre + spread]) / (1 + z * z / np.maximum(n, 1))
    ends = np.clip(ends, 0.0, 1.0)
    ends = np.where(n > 0, ends, np.array([[0.0], [1.0]]))
    return 2 * ends / (1 + ends)

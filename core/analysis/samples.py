"""Scores of rows on resampled test documents and seeds, at one rule for all, and differences of rows with intervals.

`sample` makes a run's, `over_seeds` a row's, `compare_rows` those of a whole table. `subtract` compares pairs of rows,
each cell at the level of Holm's correction; `difference` compares two.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from core.analysis import decisions
from core.analysis.decisions import AS_TRAINED, KEPT, SAME_COUNT, TOP_K, Read
from core.config.defaults import THRESHOLD_RULES
from core.labels.groups import Borders, indicator
from core.metrics import resampled_ranking, uncertainty
from core.metrics.uncertainty import Resamples
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import Predictions, read_predictions
from core.system.errors import UserError

if TYPE_CHECKING:
    from core.analysis.tables import Row

RANKING = "ranking"
"""In place of a rule: the scores alone, by average precision and P@k, without any decision."""
SCORE_BOUNDS, DIFFERENCE_BOUNDS = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True)
class Sampled:
    """The numbers of a row's tables, as fractions; NaN of an empty group.

    Their order is that of `uncertainty.COLUMNS`, or of `resampled_ranking.COLUMNS` where the rule is `RANKING`.

    Attributes:
        scores: on the test part, the mean of the seeds, (C,).
        deviation: over seeds, (C,); NaN of one seed.
        samples: on resampled test documents and seeds, (folds, C); NaN where the predictions cannot be read.
        by_documents: the same with documents alone drawn again, the mean of all seeds, (folds, C); None of one seed,
            whose samples are that.
        seeds: how many there are.
        each: the scores of each seed, (seeds, C).
        hits: labels of the column's group that some seed hits, (C,); None where nothing is decided or read.
        labels: labels of the group with test documents, (C,).
    """

    scores: np.ndarray
    deviation: np.ndarray
    samples: np.ndarray
    by_documents: np.ndarray | None = None
    seeds: int = 1
    each: np.ndarray | None = None
    hits: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def seed_variance(self) -> np.ndarray:
        """Of the mean over seeds, (C,); 0 of one seed, whose noise is unknown."""
        return np.nan_to_num(self.deviation**2 / self.seeds)

    @property
    def interval(self) -> np.ndarray:
        """The ends of each score's interval, (2, C): over documents and seeds, over documents alone of one seed."""
        total = self.samples.var(axis=0)
        known = uncertainty.freedom(total, [(self.seed_variance, self.seeds)])
        return uncertainty.interval(self.scores, self.samples, freedom=known, bounds=SCORE_BOUNDS)


@lru_cache(maxsize=4)
def _weights(documents: int) -> np.ndarray:
    """The weights of resampled documents, each document's side by side in memory."""
    return np.ascontiguousarray(uncertainty.resample(documents).T).T


_resamples: dict[tuple[int, ...], Resamples] = {}


def _resamples_of(targets: sp.csr_array) -> Resamples:
    """The resamples of a test part, kept for the other runs on the same one."""
    true = indicator(targets)
    key = (*true.shape, zlib.crc32(true.indptr.tobytes()), zlib.crc32(true.indices.tobytes()))
    if key not in _resamples:
        if len(_resamples) > 1:
            _resamples.clear()
        _resamples[key] = Resamples(true, _weights(true.shape[0]))
    return _resamples[key]


def sample(run: Run, borders: Borders, rule: str = AS_TRAINED, *, read: Read = read_predictions) -> Sampled:
    """A run's scores with these borders at a rule, and the same on resampled test documents.

    Raises:
        UserError: metrics or predictions are damaged, or the rule cannot serve this run.
    """
    held: dict[str, Predictions] = {}

    def read_once(run: Run, part: str) -> Predictions:
        if part not in held:
            held[part] = read(run, part)
        return held[part]

    predictions, scored = read_once(run, "test"), results.read_results(run)
    counts, targets = np.asarray(scored["counts"], np.int64), predictions.targets
    if rule == RANKING:
        weights, drawn = _weights(targets.shape[0]), _resamples_of(targets).drawn
        scores, samples = resampled_ranking.resample_ranking(
            targets, predictions.scores, counts, borders, weights, drawn=drawn
        )
        return of_one(scores, samples)
    predicted = decisions.decide(run, rule, read=read_once).predicted
    return of_one(*_resamples_of(targets).score(predicted, counts, borders))


def of_one(
    scores: np.ndarray, samples: np.ndarray, hits: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Sampled:
    """The numbers of one run; arguments as the attributes of `Sampled`."""
    return Sampled(scores, np.full(len(scores), np.nan), samples, each=scores[None], hits=hits, labels=labels)


def kept_scores(run: Run) -> Sampled:
    """A run's scores as its metrics hold them, for the run's own borders; without resamples.

    Raises:
        UserError: the metrics are damaged.
    """
    scores = _in_order(results.read_results(run)["test"])
    return of_one(scores, np.full((1, len(scores)), np.nan))


def _in_order(scores: Mapping[str, Any]) -> np.ndarray:
    found = []
    for column in uncertainty.COLUMNS:
        group, _, name = column.partition("/")
        value = (scores.get(group) or {}).get(name)
        found.append(math.nan if value is None else float(value))
    return np.array(found)


def over_seeds(sampled: Sequence[Sampled], *, key: str = "") -> Sampled:
    """The mean of runs that differ by their seed, seeds and documents resampled; one without samples leaves none.

    Args:
        sampled: of each run.
        key: tells rows apart: each draws its seeds by itself.
    """
    scores = np.stack([one.scores for one in sampled])
    table = uncertainty.over_seeds(scores)
    first, complete = sampled[0], len({one.samples.shape for one in sampled}) == 1
    samples = by_documents = no_samples(first)
    if complete:
        by_documents = np.mean([one.samples for one in sampled], axis=0)
        samples = uncertainty.resample_seeds([one.samples for one in sampled], seed=zlib.crc32(key.encode()))
    counted = [one.hits for one in sampled if one.hits is not None]
    return Sampled(
        table["mean"].to_numpy(),
        table["deviation"].to_numpy(),
        samples,
        by_documents=by_documents,
        seeds=len(sampled),
        each=scores,
        hits=np.max(counted, axis=0) if len(counted) == len(sampled) else None,
        labels=first.labels,
    )


def no_samples(like: Sampled) -> np.ndarray:
    """NaN in place of the resamples of a run that has none."""
    return np.full((1, len(like.scores)), np.nan)


def sample_rows(rows: Sequence[Row], borders: Borders | None = None) -> dict[str, Sampled]:
    """`over_seeds` of every row as trained, by its name; damaged predictions leave a run's scores without intervals.

    Args:
        rows: of `tables.fold`.
        borders: those of each run's training if None.
    """
    return compare_rows(rows, borders).sampled


@dataclass(frozen=True)
class Comparison:
    """Rows at one rule.

    Attributes:
        rows: those that the rule serves, with the runs that it serves.
        sampled: by a row's name.
        rule: one of `decisions.READINGS`, `kept:` and a name, or `RANKING`.
        problems: a sentence on each run that is left out or has no interval.
    """

    rows: list[Row]
    sampled: dict[str, Sampled]
    rule: str
    problems: list[str]


def compare_rows(
    rows: Sequence[Row],
    borders: Borders | None = None,
    rule: str = AS_TRAINED,
    *,
    load: Callable[[Run, Borders, str], Sampled] = sample,
) -> Comparison:
    """Every row at one rule; a run that the rule cannot serve is left out and named, one as trained keeps its scores.

    Args:
        rows: of `tables.fold`.
        borders: those of each run's training if None.
        rule: as in `Comparison`.
        load: gives the samples of a run.

    Raises:
        UserError: an unknown rule.
    """
    if rule != RANKING:
        decisions.check_reading(rule)
    kept: list[Row] = []
    sampled: dict[str, Sampled] = {}
    problems: list[str] = []
    lacking: list[str] = []
    for row in rows:
        runs, parts = [], []
        for run in row.runs:
            try:
                if rule.startswith(KEPT) and rule.removeprefix(KEPT) not in results.read_threshold_sets(run):
                    lacking.append(run.id)
                    continue
                parts.append(load(run, borders or Borders(**results.read_results(run)["borders"]), rule))
                runs.append(run)
            except UserError as error:
                if rule != AS_TRAINED:
                    problems.append(f"Left out: {error}")
                    continue
                problems.append(f"Shown without intervals and with its own borders: {error}")
                parts.append(kept_scores(run))
                runs.append(run)
        if runs:
            kept.append(replace(row, runs=tuple(runs)))
            sampled[row.name] = over_seeds(parts, key=" ".join(run.id for run in runs))
    name = rule.removeprefix(KEPT)
    if lacking:
        problems.append(f"Left out, for no thresholds are kept with them as '{name}': {_few(lacking)}.")
    if rule.startswith(KEPT) and (
        unfair := [run.id for row in kept for run in row.runs if results.read_chosen_on(run, name) == "test"]
    ):
        problems.append(f"'{name}' was chosen by test scores, which makes the row's too good: {_few(unfair)}.")
    return Comparison(kept, sampled, rule, problems)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def rule_in_words(rule: str) -> str:
    """How the rows of a table decide, in a clause."""
    if rule == AS_TRAINED:
        return "each run at its own thresholds, as trained"
    if rule == SAME_COUNT:
        return (
            "every document given its true number of labels, those with the highest scores "
            "(this reads the true labels: it compares rankings, and nobody can decide by it)"
        )
    if rule == TOP_K:
        return "every run at one number of labels for all documents, the best on its validation part"
    if rule == RANKING:
        return "by the order of the scores alone, without thresholds"
    if rule.startswith(KEPT):
        return f"every run at the thresholds kept with it as '{rule.removeprefix(KEPT)}'"
    entry = THRESHOLD_RULES[rule]
    fitted = "" if entry.value is not None else ", fitted on its own validation part"
    return f"every run at the rule {rule} ({entry.about}){fitted}"


@dataclass(frozen=True)
class Difference:
    """Rows minus one other, on the same test documents, as fractions; NaN where they cannot be compared.

    Attributes:
        scores: the differences, (C,) or (rows, C).
        low: lower ends of the intervals.
        high: upper ends.
        significant: the interval leaves out 0, and both rows have several seeds.
        tested: both rows have several seeds, so that the interval holds seed noise; else it is over documents alone.
        level: of each interval: that at which Holm's correction tests it.
    """

    scores: np.ndarray
    low: np.ndarray
    high: np.ndarray
    significant: np.ndarray
    tested: np.ndarray
    level: np.ndarray


def subtract(
    pairs: Sequence[tuple[Sampled, Sampled]], *, comparable: Sequence[bool], places: Sequence[int]
) -> Difference:
    """The first of each pair minus the second, the pairs one family of tests in each column.

    Resamples are paired, for all rows drew the same documents in a fold; their seeds are drawn apart.

    Args:
        pairs: of rows, R of them.
        comparable: which pairs have the same data set and split; of others all is NaN.
        places: the columns, C of them.

    Returns:
        Each array (R, C).
    """
    shape, chosen = (len(pairs), len(places)), list(places)
    scores, known, tested = np.full(shape, np.nan), np.full(shape, np.inf), np.zeros(shape, np.bool_)
    folds = max((len(one.samples) for pair in pairs for one in pair), default=1)
    samples = np.full((folds, *shape), np.nan)
    for row, ((mine, other), same) in enumerate(zip(pairs, comparable, strict=True)):
        if not same:
            continue
        scores[row] = (mine.scores - other.scores)[chosen]
        if mine.samples.shape != other.samples.shape or len(mine.samples) != folds:
            continue
        samples[:, row] = (mine.samples - other.samples)[:, chosen]
        parts = [(one.seed_variance[chosen], one.seeds) for one in (mine, other)]
        known[row] = uncertainty.freedom(samples[:, row].var(axis=0), parts)
        tested[row] = mine.seeds > 1 and other.seeds > 1
    # A column is one question, asked of every pair: one family of Holm's correction.
    flat = samples.reshape(folds, -1)
    sides = uncertainty.find_sides(flat)
    p = uncertainty.p_values(scores.ravel(), flat, known.ravel(), sides=sides).reshape(shape)
    tested &= np.isfinite(p)
    asked = np.where(tested, p, np.nan)
    level = np.stack([uncertainty.holm_levels(column) for column in asked.T], axis=1) if chosen else asked
    ends = uncertainty.interval(
        scores.ravel(), flat, level=level.ravel(), freedom=known.ravel(), bounds=DIFFERENCE_BOUNDS, sides=sides
    ).reshape(2, *shape)
    return Difference(scores, ends[0], ends[1], uncertainty.is_significant(ends) & tested, tested, level)


def difference(mine: Sampled, other: Sampled, *, comparable: bool = True) -> Difference:
    """Mine minus the other's, each array (C,); one test in each column needs no correction.

    Args:
        mine: of one row.
        other: of the other.
        comparable: both have the same data set and split; otherwise all is NaN.
    """
    found = subtract([(mine, other)], comparable=[comparable], places=range(len(mine.scores)))
    return Difference(
        *(part[0] for part in (found.scores, found.low, found.high, found.significant, found.tested, found.level))
    )

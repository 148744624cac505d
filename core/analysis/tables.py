"""Tables of runs: the rows of `report --json`, and the paper's Tables 2 and 3 with intervals and published rows.

`run_rows` makes the JSON. `fold` makes a row of runs that differ by their seed, `sample_rows` the scores and resamples
of rows, `paper_table` a table of them. `difference` and `ablation` compare rows, `provenance` makes the footer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from core.config.defaults import PAPER_LOSSES
from core.config.parse import walk
from core.config.schema import RunConfig
from core.labels.groups import Borders
from core.metrics import label_sets, thresholds, uncertainty
from core.runs import results
from core.runs.folder import Run
from core.runs.plan import name_members
from core.runs.predictions import read_predictions
from core.system.errors import UserError

GROUPS = {
    2: {"total": "all", "head": "head", "medium": "medium", "tail": "tail"},
    3: {"total": "all", "single": "single_label", "multi": "multi_label"},
}
"""Column groups of the paper's tables and the key of each in a run's scores."""
SCORES = {"micro": "micro_f1", "macro": "macro_f1"}
SCORE_COLUMNS = {
    table: [f"{group}_{score}" for group in groups for score in SCORES] for table, groups in GROUPS.items()
}
METHODS = ("svm", *PAPER_LOSSES)
"""Row order of the paper's tables."""
SOURCES = {"published": " (paper)", "run": ""}
CAPTIONS = {
    2: "F1 in percent over all labels and over head, medium and tail labels, test part.",
    3: "F1 in percent over all documents and over those with one label and with several, test part.",
}
PARTS = {
    "reweighting": [("fl", "r-fl"), ("fl", "cb"), ("ntr-fl", "db"), ("ntr-fl", "cb-ntr")],
    "negative tolerance": [("fl", "ntr-fl"), ("r-fl", "db"), ("cb", "cb-ntr")],
    "focal factor": [("bce", "fl"), ("db-0fl", "db")],
}
"""What a part of the distribution-balanced loss adds: pairs of methods that differ by that part alone."""
ALWAYS_NAMED = ("data", "model.name", "seed")
"""In a row's name, where they tell rows apart."""
NAMED_SETTINGS = 3
"""Of the other settings: a name stands in tables, legends and sentences."""


@cache
def published() -> dict[str, Any]:
    """The numbers of Huang et al., EMNLP 2021, Tables 2 and 3, in percent."""
    return json.loads(files("core.analysis").joinpath("published.json").read_text("utf-8"))


def run_row(run: Run) -> dict[str, Any]:
    """One run as `report --json` prints it; scores are fractions, and None until it has finished.

    Raises:
        UserError: the run's scores are damaged.
    """
    scored = results.read_metrics(run) if run.state == "finished" else {}
    return {
        "run": run.id,
        "data": run.config.data.name,
        "model": run.config.model.name,
        "loss": run.config.loss.name if run.config.loss else None,
        "seed": run.config.seed,
        "state": run.state,
        "threshold": scored.get("threshold"),
        "test": scored.get("test"),
        "seconds": scored.get("seconds"),
    }


def run_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The `runs` of `report --json`, in the given order."""
    return [run_row(run) for run in runs]


@dataclass(frozen=True)
class Row:
    """One row of a table: a run, or runs that differ by their seed alone.

    Attributes:
        name: what the row is called beside the others: the method, and what it takes to tell it from them.
        method: the name in the paper's tables: the loss, or the model if that has its own.
        runs: the lowest seed first.
        fingerprint: of the data, which all runs share.
    """

    name: str
    method: str
    runs: tuple[Run, ...]
    fingerprint: str


@dataclass(frozen=True)
class Sampled:
    """The numbers of Tables 2 and 3, in the order of `uncertainty.COLUMNS`, as fractions; NaN of an empty group.

    Attributes:
        scores: on the test part, the mean of the seeds, (C,).
        deviation: over seeds, (C,); NaN of one seed.
        samples: on resampled test documents, (folds, C); NaN where the predictions cannot be read.
    """

    scores: np.ndarray
    deviation: np.ndarray
    samples: np.ndarray


def data_title(run: Run) -> str:
    """Data set and split of a run; for synthetic data also what differs from the default size and seed."""
    config = run.config.data
    made = config.synthetic.model_dump(exclude_defaults=True) if config.name == "synthetic" else {}
    return " ".join([config.name, config.split, *(f"{key}={value}" for key, value in made.items())])


def method(run: Run) -> str:
    """What a run is called in the paper's tables: the loss, or the model if that has its own."""
    return run.config.loss.name if run.config.loss else run.config.model.name


def fold(runs: Iterable[Run], *, seeds: bool = True) -> list[Row]:
    """Rows of finished runs in the paper's order.

    Args:
        runs: finished, with readable settings and scores.
        seeds: runs that differ by their seed alone are one row; else each is its own.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        alike = json.dumps(run.config.model_dump(exclude={"seed"}), sort_keys=True)
        key = (alike, results.read_results(run)["fingerprint"], "" if seeds else run.id)
        groups.setdefault(key, []).append(run)
    folded = [sorted(group, key=lambda run: (run.config.seed, run.id)) for group in groups.values()]
    names = _names([group[0] for group in folded], with_seed=not seeds)
    rows = [
        Row(name, method(group[0]), tuple(group), key[1])
        for name, group, key in zip(names, folded, groups, strict=True)
    ]
    order = {name: place for place, name in enumerate(METHODS)}
    return sorted(rows, key=lambda row: (order.get(row.method, len(order)), row.method, row.name))


def seeds_apart(rows: Sequence[Row]) -> str:
    """A sentence on rows whose means are of different seeds; empty where all have the same."""
    rows = [row for row in rows if not row.runs[0].config.combined]  # made of runs with seeds of their own
    seeds = [tuple(run.config.seed for run in row.runs) for row in rows]
    if len(set(seeds)) < 2:
        return ""
    common = max(dict.fromkeys(seeds), key=lambda one: (seeds.count(one), len(one)))
    others = [f"{row.name} {_listed(mine)}" for row, mine in zip(rows, seeds, strict=True) if mine != common]
    return f"Not every row has the same seeds: {'; '.join(others)}; every other row {_listed(common)}."


def _listed(seeds: Sequence[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _names(runs: Sequence[Run], *, with_seed: bool) -> list[str]:
    """The method of each run, then its model and settings as far as they differ between runs of that method.

    A setting that stands at its model's own default is not named; of the others the first `NAMED_SETTINGS` are.
    """
    flat = [dict(walk(run.config.model_dump(exclude={"data", "combined"}))) for run in runs]
    usual = [dict(walk(_usual(run))) for run in runs]
    flat = [{"data": data_title(run), **settings} for run, settings in zip(runs, flat, strict=True)]
    names = []
    for run, settings, own in zip(runs, flat, usual, strict=True):
        mine = method(run)
        others = [other for one, other in zip(runs, flat, strict=True) if method(one) == mine]
        words = [name_members(run.config) or mine]
        more: list[str] = []
        # Settings that are not the model's own and differ among the runs of this method.
        for key, value in settings.items():
            if (key in own and own[key] == value) or (key == "seed" and not with_seed):
                continue
            if len({json.dumps(other.get(key)) for other in others}) > 1:
                shown = str(value) if key in ("data", "model.name") else f"{key.rpartition('.')[2]} {value}"
                (words if key in ALWAYS_NAMED else more).append(shown)
        if left := more[NAMED_SETTINGS:]:
            more = [*more[:NAMED_SETTINGS], f"{len(left)} more"]
        names.append(" · ".join(words + more))
    # Names that are still the same get the end of the run's id.
    alike = {name for name in names if names.count(name) > 1}
    return [f"{name} · {run.id[-10:]}" if name in alike else name for name, run in zip(names, runs, strict=True)]


def _usual(run: Run) -> dict[str, Any]:
    """The settings that a run's model and loss have where nothing is given, but for model and loss themselves."""
    named: dict[str, Any] = {"model": {"name": run.config.model.name}, "combined": run.config.combined}
    if run.config.loss:
        named["loss"] = {"name": run.config.loss.name}
    values = RunConfig.model_validate(named).model_dump(include={"model", "train", "loss"})
    del values["model"]["name"]
    return values


@lru_cache(maxsize=4)
def _weights(documents: int) -> np.ndarray:
    return uncertainty.resample(documents)


def sample(run: Run, borders: Borders) -> Sampled:
    """A run's scores with these borders, and the same on resampled test documents.

    Raises:
        UserError: metrics or predictions are damaged.
    """
    predictions, scored = read_predictions(run), results.read_results(run)
    counts = np.asarray(scored["counts"], np.int64)
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    scores = label_sets.score_groups(predictions.targets, predicted, counts, borders)
    weights = _weights(predictions.targets.shape[0])
    samples = uncertainty.bootstrap(predictions.targets, predicted, counts, borders, weights=weights)
    return Sampled(_in_order(scores), np.full(samples.shape[1], np.nan), samples)


def kept_scores(run: Run) -> Sampled:
    """A run's scores as its metrics hold them, for the run's own borders; without resamples.

    Raises:
        UserError: the metrics are damaged.
    """
    scores = _in_order(results.read_results(run)["test"])
    return Sampled(scores, np.full(len(scores), np.nan), np.full((1, len(scores)), np.nan))


def _in_order(scores: Mapping[str, Any]) -> np.ndarray:
    found = []
    for column in uncertainty.COLUMNS:
        group, _, name = column.partition("/")
        value = (scores.get(group) or {}).get(name)
        found.append(math.nan if value is None else float(value))
    return np.array(found)


def over_seeds(sampled: Sequence[Sampled]) -> Sampled:
    """The mean of runs that differ by their seed; one of them without resamples leaves none."""
    table = uncertainty.over_seeds(np.stack([one.scores for one in sampled]))
    shapes = {one.samples.shape for one in sampled}
    samples = np.mean([one.samples for one in sampled], axis=0) if len(shapes) == 1 else no_samples(sampled[0])
    return Sampled(table["mean"].to_numpy(), table["deviation"].to_numpy(), samples)


def no_samples(like: Sampled) -> np.ndarray:
    """NaN in place of the resamples of a run that has none."""
    return np.full((1, len(like.scores)), np.nan)


@dataclass(frozen=True)
class Difference:
    """Mine minus the other's, on the same test documents, as fractions, each (C,); NaN where they cannot be compared.

    Attributes:
        scores: the difference.
        low: lower end of its interval.
        high: upper end.
        significant: the interval leaves out 0.
    """

    scores: np.ndarray
    low: np.ndarray
    high: np.ndarray
    significant: np.ndarray


def difference(mine: Sampled, other: Sampled, *, comparable: bool = True) -> Difference:
    """How two rows differ; resamples are paired, for both drew the same documents.

    Args:
        mine: of one row.
        other: of the other.
        comparable: both have the same data set and split; otherwise all is NaN.
    """
    scores = mine.scores - other.scores
    if not comparable:
        nothing = np.full(len(scores), np.nan)
        return Difference(nothing, nothing, nothing, np.zeros(len(scores), np.bool_))
    if mine.samples.shape != other.samples.shape:
        nothing = np.full(len(scores), np.nan)
        return Difference(scores, nothing, nothing, np.zeros(len(scores), np.bool_))
    ends = uncertainty.interval(scores, mine.samples - other.samples)
    return Difference(scores, ends[0], ends[1], uncertainty.is_significant(ends))


def paper_table(
    rows: Sequence[Row], sampled: Mapping[str, Sampled], *, table: int = 2, with_published: bool = True
) -> pd.DataFrame:
    """Table 2 (frequency groups) or 3 (numbers of labels), published rows first for each method.

    Args:
        rows: of `fold`.
        sampled: by a row's name.
        table: 2 or 3.
        with_published: add the paper's rows of the data sets that occur.

    Returns:
        Columns source ("published" or "run"), method, name, data, seeds, runs (ids), then for each of
        `SCORE_COLUMNS[table]` the score in percent (NaN where a group is empty), with the suffixes _low and _high its
        interval, _deviation that over seeds, _best whether it is higher than that of every other run's row by more
        than chance.

    Raises:
        UserError: the table is neither 2 nor 3.
    """
    # Rows of runs: score, interval, deviation, and whether it beats every other run's row.
    columns = columns_of(table)
    found = []
    for row in rows:
        config = row.runs[0].config
        mine = sampled[row.name]
        ends = 100 * uncertainty.interval(mine.scores, mine.samples)
        others = [
            difference(mine, sampled[other.name], comparable=other.fingerprint == row.fingerprint)
            for other in rows
            if other.name != row.name
        ]
        best = np.all([other.significant & (other.scores > 0) for other in others], axis=0) & bool(others)
        values: dict[str, Any] = {}
        for column, place in columns.items():
            values |= {
                column: 100 * mine.scores[place],
                f"{column}_low": ends[0, place],
                f"{column}_high": ends[1, place],
                f"{column}_deviation": 100 * mine.deviation[place],
                f"{column}_best": bool(best[place]) if others else False,
            }
        identity = {"source": "run", "method": row.method, "name": row.name, "data": config.data.name}
        found.append({**identity, "seeds": len(row.runs), "runs": " ".join(run.id for run in row.runs), **values})
    # The paper's rows of the same data sets.
    for data in sorted({_published_name(row["data"]) for row in found} - {""}) if with_published else []:
        for name, numbers in published()[f"table{table}"][data].items():
            if len(numbers) == len(columns):
                values = dict(zip(columns, numbers, strict=True))
                found.append({"source": "published", "method": name, "name": name, "data": data, **values})
    # Columns and order of rows.
    keys = ["source", "method", "name", "data", "seeds", "runs"]
    more = [f"{column}{suffix}" for column in columns for suffix in ("", "_low", "_high", "_deviation", "_best")]
    frame = pd.DataFrame(found, columns=[*keys, *more])
    order = {name: place for place, name in enumerate(METHODS)}
    places = frame["method"].map(lambda name: order.get(name, len(order)))
    frame = frame.assign(_order=places).sort_values(["_order", "method", "source", "name"], kind="stable")
    best = {f"{column}_best": frame[f"{column}_best"].eq(True) for column in columns}
    return frame.assign(**best).drop(columns="_order").reset_index(drop=True).astype({"seeds": "Int64"})


def columns_of(table: int) -> dict[str, int]:
    """The table's columns and the place of each in `uncertainty.COLUMNS`."""
    if table not in GROUPS:
        raise UserError(f"There is no table {table} to fill: choose 2 or 3.")
    return {
        f"{group}_{score}": uncertainty.COLUMNS.index(f"{key}/{name}")
        for group, key in GROUPS[table].items()
        for score, name in SCORES.items()
    }


def _published_name(data: str) -> str:
    return next((name for name in ("reuters", "pubmed") if data == name or data.startswith(f"{name}-")), "")


def sample_rows(rows: Iterable[Row], borders: Borders | None = None) -> dict[str, Sampled]:
    """`over_seeds` of every row, by its name; a run whose predictions are damaged keeps its scores without intervals.

    Args:
        rows: of `fold`.
        borders: those of each run's training if None.
    """
    found = {}
    for row in rows:
        parts = []
        for run in row.runs:
            try:
                parts.append(sample(run, borders or Borders(**results.read_results(run)["borders"])))
            except UserError:
                parts.append(kept_scores(run))
        found[row.name] = over_seeds(parts)
    return found


def ablation(rows: Sequence[Row], sampled: Mapping[str, Sampled]) -> pd.DataFrame:
    """What each part of the distribution-balanced loss adds: differences of the pairs of methods in `PARTS`.

    Returns:
        Columns part, without, with (methods), group (total, head, ...), score (micro, macro), difference, low, high
        (percentage points), significant, published (the paper's difference; NaN where it has none). Only the first
        row of each method counts, and only pairs of which both methods are there.
    """
    columns = {column: place for table in GROUPS for column, place in columns_of(table).items()}
    # The first row of each method.
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.method, row)
    found = []
    # A difference for each pair of methods and each score.
    for part, pairs in PARTS.items():
        for without, with_part in pairs:
            if without not in first or with_part not in first:
                continue
            a, b = first[with_part], first[without]
            gain = difference(sampled[a.name], sampled[b.name], comparable=a.fingerprint == b.fingerprint)
            paper = _published_differences(with_part, without, _published_name(a.runs[0].config.data.name))
            for column, place in columns.items():
                group, _, score = column.partition("_")
                found.append(
                    {
                        **{"part": part, "without": without, "with": with_part, "group": group, "score": score},
                        "difference": 100 * gain.scores[place],
                        "low": 100 * gain.low[place],
                        "high": 100 * gain.high[place],
                        "significant": bool(gain.significant[place]),
                        "published": paper.get(column, math.nan),
                    }
                )
    names = ["part", "without", "with", "group", "score", "difference", "low", "high", "significant", "published"]
    return pd.DataFrame(found, columns=names)


def _published_differences(mine: str, other: str, data: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for table in GROUPS:
        numbers = published()[f"table{table}"].get(data, {})
        if mine in numbers and other in numbers and len(numbers[mine]) == len(SCORE_COLUMNS[table]):
            pairs = zip(numbers[mine], numbers[other], strict=True)
            found |= {column: a - b for column, (a, b) in zip(SCORE_COLUMNS[table], pairs, strict=True)}
    return found


def provenance(rows: Sequence[Row]) -> list[str]:
    """Where a table's numbers come from: intervals, data, versions, and the command of every run."""
    lines = [
        f"Intervals: 95 %, from {uncertainty.FOLDS:,} resamples of the test documents; a mean of several seeds is "
        "resampled as one. Bold: higher than every other run's row by more than chance (paired resamples)."
    ]
    runs = [run for row in rows for run in row.runs]
    scored = {run.id: results.read_results(run) for run in runs}
    for run in runs:
        data = run.config.data
        lines.append(f"Data: {data.name}, split {data.split}, fingerprint {scored[run.id]['fingerprint']}.")
    lines += [
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) for found in scored.values()
    ]
    lines += [f"{run_id}: {found['command']}" for run_id, found in scored.items()]
    return list(dict.fromkeys(lines))

"""Tables of runs: the paper's Tables 2 and 3 with intervals, and a table of rankings.

`fold` makes a row of runs that differ by their seed, `paper_table` a table of rows, `difference_table` one of their
differences from one row. `ablation` compares pairs of methods, `provenance` makes the footer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.decisions import AS_TRAINED
from core.analysis.row_settings import count_changes
from core.analysis.run_names import name_rows
from core.analysis.samples import RANKING, Difference, Sampled, rule_in_words, subtract
from core.config.defaults import PAPER_LOSSES
from core.labels.groups import EVERY_GROUP, UNSEEN, find_paper_set
from core.metrics import resampled_ranking, uncertainty
from core.runs import results
from core.runs.folder import Run
from core.runs.plan import command_again
from core.system.errors import UserError

Table = int | str
"""2 and 3 as in the paper, or `RANKING`."""
GROUPS = {
    2: {"total": "all", **{group: group for group in EVERY_GROUP}},
    3: {"total": "all", "single": "single_label", "multi": "multi_label"},
}
"""Column groups of the paper's tables and the key of each in a run's scores."""
SCORES = {"micro": "micro_f1", "macro": "macro_f1"}
SAMPLED_COLUMNS: dict[Table, dict[str, str]] = {
    **{
        table: {f"{group}_{score}": f"{key}/{name}" for group, key in groups.items() for score, name in SCORES.items()}
        for table, groups in GROUPS.items()
    },
    RANKING: {
        **{f"{group}_ap": f"{key}/ap" for group, key in GROUPS[2].items()},
        **{f"precision_at{k}": f"p/{k}" for k in resampled_ranking.CUTS},
    },
}
"""Each table's columns, and the name of each in `uncertainty.COLUMNS` or `resampled_ranking.COLUMNS`."""
SCORE_COLUMNS = {
    table: [column for column in columns if not column.startswith(UNSEEN)] for table, columns in SAMPLED_COLUMNS.items()
}
"""Columns that a table always has; those of labels without a train document stand where there are such labels."""
METHODS = ("svm", *PAPER_LOSSES)
"""Row order of the paper's tables."""
SOURCES = {"published": " (paper)", "run": ""}
CAPTIONS: dict[Table, str] = {
    2: "F1 in percent over all labels and over head, medium and tail labels, test part",
    3: "F1 in percent over all documents and over those with one label and with several, test part",
    RANKING: "Average precision in percent, the mean over all labels and over head, medium and tail labels, beside the "
    "precision of each document's first labels, test part",
}
PAPER_RULE = "the paper's own rule: one threshold, the best of 0.40 to 0.60 on validation"
DOCUMENTS_ALONE = "documents alone"
"""Note on an interval that holds no seed noise, for the row, or one of two, has a single seed."""
PARTS = {
    "reweighting": [("fl", "r-fl"), ("fl", "cb"), ("ntr-fl", "db"), ("ntr-fl", "cb-ntr")],
    "negative tolerance": [("fl", "ntr-fl"), ("r-fl", "db"), ("cb", "cb-ntr")],
    "focal factor": [("bce", "fl"), ("db-0fl", "db")],
}
"""What a part of the distribution-balanced loss adds: pairs of methods that differ by that part alone."""


@cache
def published() -> dict[str, Any]:
    """The numbers of Huang et al., EMNLP 2021, Tables 2 and 3, in percent."""
    return json.loads(files("core.analysis").joinpath("published.json").read_text("utf-8"))


@dataclass(frozen=True)
class Row:
    """One row of a table: a run, or runs that differ by their seed alone.

    Attributes:
        name: what the row is called beside the others, as `core.analysis.run_names` names runs.
        method: the name in the paper's tables: the loss, or the model if that has its own.
        runs: the lowest seed first.
        fingerprint: of the data, which all runs share.
        by_settings: what it would be called had people given no name; addresses and commands may say it as well.
    """

    name: str
    method: str
    runs: tuple[Run, ...]
    fingerprint: str
    by_settings: str = ""


def data_title(run: Run) -> str:
    """The title of a run's data set."""
    return run.config.data.title


def method(run: Run) -> str:
    """What a run is called in the paper's tables: the loss, or the model if that has its own."""
    return run.config.loss.name if run.config.loss else run.config.model.name


def fold(runs: Iterable[Run], *, seeds: bool = True) -> list[Row]:
    """Rows of finished runs in the paper's order; of a method those with the usual settings of a model come first.

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
    names, settings = name_rows(folded, with_seed=not seeds)
    rows = [
        Row(name, method(group[0]), tuple(group), key[1], words)
        for name, group, key, words in zip(names, folded, groups, settings, strict=True)
    ]
    order = {name: place for place, name in enumerate(METHODS)}

    def place(row: Row) -> tuple[Any, ...]:
        config = row.runs[0].config
        return order.get(row.method, len(order)), row.method, config.model.name, count_changes(config), row.name

    return sorted(rows, key=place)


def paper_table(
    rows: Sequence[Row],
    sampled: Mapping[str, Sampled],
    *,
    table: Table = 2,
    with_published: bool = True,
    rule: str = AS_TRAINED,
) -> pd.DataFrame:
    """Table 2 (frequency groups), 3 (numbers of labels) or that of rankings, published rows first for each method.

    Args:
        rows: of `fold`.
        sampled: by a row's name; of the rule `RANKING` for that table.
        table: 2, 3 or `RANKING`.
        with_published: add the paper's rows of the data sets that occur; there are none of rankings.
        rule: at which the rows were sampled.

    Returns:
        Columns source ("published" or "run"), method, name, data, rule, seeds, runs (ids), then for each of
        `columns_in` the score in percent (NaN where a group is empty), with the suffixes _low and _high its
        interval, _deviation that over seeds, _best whether it is the highest and above every other row of several seeds
        by more than chance, _note "0 of 29 hit" where no label of the group is hit, or "documents alone" of one seed.

    Raises:
        UserError: there is no such table.
    """
    # Rows of runs: score, interval, deviation, and whether it beats every other run's row.
    columns = columns_of(table, (sampled[row.name] for row in rows))
    best = _best_cells(rows, sampled, list(columns.values()))
    found = []
    for row, bold in zip(rows, best, strict=True):
        mine = sampled[row.name]
        ends = 100 * mine.interval
        values: dict[str, Any] = {}
        for place, (column, index) in enumerate(columns.items()):
            values |= {
                column: 100 * mine.scores[index],
                f"{column}_low": ends[0, index],
                f"{column}_high": ends[1, index],
                f"{column}_deviation": 100 * mine.deviation[index],
                f"{column}_best": bool(bold[place]),
                f"{column}_note": _unhit(mine, index) or (DOCUMENTS_ALONE if mine.seeds < 2 else ""),
            }
        found.append(_identity(row, rule) | values)
    # The paper's rows of the same data sets.
    tables_of_paper = published().get(f"table{table}", {}) if with_published else {}
    for data in sorted({find_paper_set(row["data"]) for row in found} & set(tables_of_paper)):
        for name, numbers in tables_of_paper[data].items():
            if len(numbers) == len(columns):
                values = dict(zip(columns, numbers, strict=True))
                known = {"source": "published", "method": name, "name": name, "data": data, "rule": "the paper's"}
                found.append(known | values)
    return _in_paper_order(found, columns, ("", "_low", "_high", "_deviation", "_best", "_note"))


def difference_table(
    rows: Sequence[Row], sampled: Mapping[str, Sampled], baseline: str, *, table: Table = 2, rule: str = AS_TRAINED
) -> pd.DataFrame:
    """Every row minus the one named `baseline`; the rows are one family of Holm's correction in each column.

    Args:
        rows: of `fold`, `baseline` among their names.
        sampled: by a row's name.
        baseline: what is subtracted; its own differences are NaN.
        table: 2, 3 or `RANKING`.
        rule: at which the rows were sampled.

    Returns:
        As of `paper_table` with a column baseline, in points; _low and _high have the level of Holm's correction,
        _significant says that they leave out 0; where _note says "documents alone" nothing was tested, for one of the
        two rows has a single seed.
    """
    columns = columns_of(table, (sampled[row.name] for row in rows))
    others = [row for row in rows if row.name != baseline]
    gain = _subtract(others, _row_named(rows, baseline), sampled, list(columns.values()))
    place = {row.name: number for number, row in enumerate(others)}
    found = []
    for row in rows:
        values: dict[str, Any] = {"baseline": baseline}
        for number, column in enumerate(columns):
            index = (place[row.name], number) if row.name in place else None
            alone = index is not None and not gain.tested[index] and not math.isnan(gain.low[index])
            values |= {
                column: math.nan if index is None else 100 * gain.scores[index],
                f"{column}_low": math.nan if index is None else 100 * gain.low[index],
                f"{column}_high": math.nan if index is None else 100 * gain.high[index],
                f"{column}_significant": index is not None and bool(gain.significant[index]),
                f"{column}_note": DOCUMENTS_ALONE if alone else "",
            }
        found.append(_identity(row, rule) | values)
    return _in_paper_order(found, columns, ("", "_low", "_high", "_significant", "_note"), ("baseline",))


def _row_named(rows: Sequence[Row], name: str) -> Row:
    return next(row for row in rows if row.name == name)


def _subtract(rows: Sequence[Row], base: Row, sampled: Mapping[str, Sampled], places: Sequence[int]) -> Difference:
    return _pair_differences([(row, base) for row in rows], sampled, places)


def _pair_differences(
    pairs: Sequence[tuple[Row, Row]], sampled: Mapping[str, Sampled], places: Sequence[int]
) -> Difference:
    return subtract(
        [(sampled[one.name], sampled[other.name]) for one, other in pairs],
        comparable=[one.fingerprint == other.fingerprint for one, other in pairs],
        places=places,
    )


def _best_cells(rows: Sequence[Row], sampled: Mapping[str, Sampled], places: Sequence[int]) -> np.ndarray:
    """Where a row has the highest score and every row of several seeds has significantly less, (rows, columns) bool.

    It is so exactly where, in the table of differences from that row, all tested cells of the column are significant.
    """
    best = np.zeros((len(rows), len(places)), np.bool_)
    if len(rows) < 2 or len({row.fingerprint for row in rows}) > 1:
        return best
    scores = np.stack([sampled[row.name].scores[list(places)] for row in rows])
    highest = np.where(np.isnan(scores), -1, scores).argmax(axis=0)
    for top in sorted(set(highest.tolist())):
        others, mine = [row for row in rows if row is not rows[top]], np.flatnonzero(highest == top).tolist()
        gain = _subtract(others, rows[top], sampled, [places[column] for column in mine])
        below = np.where(gain.tested, gain.significant, np.isnan(gain.scores) | (gain.scores < 0)).all(axis=0)
        best[top, mine] = below & gain.tested.any(axis=0)
    return best


def _unhit(mine: Sampled, index: int) -> str:
    """Words for a score of a group of labels none of which is hit; empty where some are, or nothing is counted."""
    if mine.hits is None or mine.labels is None or mine.hits[index] or not mine.labels[index]:
        return ""
    return f"0 of {mine.labels[index]} hit"


def _identity(row: Row, rule: str) -> dict[str, Any]:
    """The first columns of a row."""
    known = {"source": "run", "method": row.method, "name": row.name, "data": row.runs[0].config.data.name}
    return {**known, "rule": rule, "seeds": len(row.runs), "runs": " ".join(run.id for run in row.runs)}


def _in_paper_order(
    found: Sequence[Mapping[str, Any]], columns: Mapping[str, int], suffixes: Sequence[str], more: Sequence[str] = ()
) -> pd.DataFrame:
    """A frame of rows in the order of the paper's methods, its columns in order."""
    names = ["source", "method", "name", "data", "rule", "seeds", "runs", *more]
    names += [f"{column}{suffix}" for column in columns for suffix in suffixes]
    order = {name: place for place, name in enumerate(METHODS)}
    rows = sorted(found, key=lambda row: (order.get(row["method"], len(order)), row["method"], row["source"]))
    # Of what the paper's rows lack numbers are NaN, claims false and notes empty.
    lacking: dict[str, Any] = {name: False for name in names if name.endswith(("_best", "_significant"))}
    lacking |= {name: "" for name in names if name.endswith("_note")}
    values = {name: [row.get(name, lacking.get(name, math.nan)) for row in rows] for name in names}
    if not rows:
        frame = pd.DataFrame(values, dtype="object")
        return frame.astype({name: "bool" for name, lack in lacking.items() if lack is False} | {"seeds": "Int64"})
    # Columns of a known kind: to find it out takes longer than all else.
    arrays: dict[str, Any] = {**values, "seeds": pd.array(values["seeds"], dtype="Int64")}
    arrays |= {name: np.array(values[name], np.bool_) for name, lack in lacking.items() if lack is False}
    numbers = [suffix for suffix in suffixes if f"{next(iter(columns), '')}{suffix}" not in lacking]
    arrays |= {name: np.array(values[name], np.float64) for name in (f"{a}{b}" for a in columns for b in numbers)}
    return pd.DataFrame(arrays)


def columns_of(table: Table, rows: Iterable[Sampled] | None = None) -> dict[str, int]:
    """The table's columns and the place of each in `Sampled`.

    Args:
        table: 2, 3 or `RANKING`.
        rows: of the table; without labels that no train document has, it has no columns of them.
    """
    if table not in SAMPLED_COLUMNS:
        raise UserError(f"There is no table {table} to fill: choose 2 or 3.")
    order = resampled_ranking.COLUMNS if table == RANKING else uncertainty.COLUMNS
    places = {column: order.index(name) for column, name in SAMPLED_COLUMNS[table].items()}
    if rows is None:
        return places
    scores = [row.scores for row in rows]
    return {
        column: place
        for column, place in places.items()
        if column in SCORE_COLUMNS[table] or any(np.isfinite(one[place]) for one in scores)
    }


def columns_in(frame: pd.DataFrame) -> list[str]:
    """The columns of scores of a `paper_table` or `difference_table`, in order."""
    return [column for column in SAMPLED_COLUMNS[table_of(frame)] if column in frame]


def heading(column: str) -> tuple[str, str]:
    """A column's group and score as tables print them: Tail and macro-F1."""
    group, _, score = column.partition("_")
    words = {"micro": "micro-F1", "macro": "macro-F1", "ap": "average precision"}
    return group.capitalize(), words.get(score, score.replace("at", "at "))


def caption(table: Table, rule: str, baseline: str = "") -> str:
    """What a table holds, and how its rows decide."""
    minus = f"Difference from {baseline} in points: " if baseline else ""
    return f"{minus}{CAPTIONS[table]}; {rule_in_words(rule)}."


def ablation(rows: Sequence[Row], sampled: Mapping[str, Sampled], *, rule: str = AS_TRAINED) -> pd.DataFrame:
    """What each part of the distribution-balanced loss adds: differences of the pairs of methods in `PARTS`.

    Args:
        rows: of `fold`.
        sampled: by a row's name.
        rule: at which the rows were sampled.

    Returns:
        Columns part, without, with (methods), group (total, head, ...), score (micro and macro, or ap of rankings),
        difference, low, high (percentage points, at the level of Holm's correction over the whole table), significant,
        tested (both rows have several seeds), published (the paper's difference; NaN where it has none). Only the
        first row of each method counts, and only pairs of which both methods are there.
    """
    used: list[Table] = [RANKING] if rule == RANKING else list(GROUPS)
    columns = {column: place for table in used for column, place in columns_of(table, sampled.values()).items()}
    columns = {column: place for column, place in columns.items() if not column.startswith("precision")}
    # The first row of each method, and a row of differences for each pair.
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.method, row)
    pairs = [(part, *pair) for part, pairs in PARTS.items() for pair in pairs if set(pair) <= set(first)]
    compared = [(first[after], first[before]) for _, before, after in pairs]
    gain = _pair_differences(compared, sampled, list(columns.values()))
    found = []
    for number, (part, before, after) in enumerate(pairs):
        paper = _published_differences(after, before, find_paper_set(first[after].runs[0].config.data.name))
        for place, column in enumerate(columns):
            group, _, score = column.partition("_")
            found.append(
                {
                    **{"part": part, "without": before, "with": after, "group": group, "score": score},
                    "difference": 100 * gain.scores[number, place],
                    "low": 100 * gain.low[number, place],
                    "high": 100 * gain.high[number, place],
                    "significant": bool(gain.significant[number, place]),
                    "tested": bool(gain.tested[number, place]),
                    "published": paper.get(column, math.nan),
                }
            )
    names = ["part", "without", "with", "group", "score", "difference", "low", "high", "significant", "tested"]
    return pd.DataFrame(found, columns=[*names, "published"])


def _published_differences(mine: str, other: str, data: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for table in GROUPS:
        numbers = published()[f"table{table}"].get(data, {})
        if mine in numbers and other in numbers and len(numbers[mine]) == len(SCORE_COLUMNS[table]):
            pairs = zip(numbers[mine], numbers[other], strict=True)
            found |= {column: a - b for column, (a, b) in zip(SCORE_COLUMNS[table], pairs, strict=True)}
    return found


def notes(frame: pd.DataFrame) -> list[str]:
    """What the intervals, the bold cells and the words of a table mean, as far as they occur, a line each."""
    several = any(many > 1 for many in frame["seeds"].dropna().tolist())
    columns = columns_in(frame)
    told = {note for column in columns for note in frame[f"{column}_note"].tolist()}
    over = " and, in rows of several seeds, of the seeds" if several else ""
    lines = [f"Intervals: 95 % of {uncertainty.FOLDS:,} resamples of the test documents{over}."]
    if "baseline" in frame:
        tests = max((_count_tests(frame, column) for column in columns), default=0)
        if tests > 1:
            lines[0] += f" They are widened by Holm's correction for the {tests} rows tested in each column."
        if tests:
            lines.append("Bold: the interval leaves out 0.")
    elif several:
        lines.append(
            "Bold: the highest score, and every other row of several seeds is lower by more than chance (in the table "
            "of differences from it, with Holm's correction for the rows tested in each column)."
        )
    if DOCUMENTS_ALONE in told:
        lines.append(
            "In brackets: a row with one seed. Its seed noise is unknown, the interval is over documents alone, and it "
            "is never bold."
        )
    if any(note.startswith("0 of ") for note in told):
        lines.append("'0 of 29 hit': none of the 29 labels of the group that have test documents is hit.")
    if "published" in frame["source"].tolist():
        lines.append(f"Rows of the paper: {PAPER_RULE}.")
    return lines


def _count_tests(frame: pd.DataFrame, column: str) -> int:
    """How many rows of a table of differences are tested in a column."""
    pairs = zip(frame[f"{column}_low"].tolist(), frame[f"{column}_note"].tolist(), strict=True)
    return sum(not math.isnan(low) and not note for low, note in pairs)


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each a dict by column: `frame.to_dict("records")` in a tenth of its time."""
    columns = {
        str(name): column.to_numpy(object, na_value=None).tolist() if name == "seeds" else column.tolist()
        for name, column in frame.items()
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def table_of(frame: pd.DataFrame) -> Table:
    """Which table a frame is: 2, 3 or `RANKING`."""
    return next(table for table, columns in SCORE_COLUMNS.items() if set(columns) <= set(frame.columns))


def provenance(rows: Sequence[Row], frame: pd.DataFrame | None = None, *, rule: str = AS_TRAINED) -> list[str]:
    """Where a table's numbers come from: its rule and notes, data, versions, and the command of every run.

    Args:
        rows: of `fold`.
        frame: the table, whose caption and notes come first; None for runs alone.
        rule: at which the rows were sampled.
    """
    lines = [f"Rule: {rule_in_words(rule)}."]
    if frame is not None:
        baseline = frame["baseline"].iloc[0] if "baseline" in frame and len(frame) else ""
        lines = [caption(table_of(frame), rule, baseline), *notes(frame)]
    runs = [run for row in rows for run in row.runs]
    scored = {run.id: results.read_results(run) for run in runs}
    if rule == AS_TRAINED and scored:
        rules = dict.fromkeys(str(one["threshold_rule"]) for one in scored.values())
        lines.append(f"Rules of the runs' own thresholds: {', '.join(rules)}.")
    for run in runs:
        data = run.config.data
        lines.append(f"Data: {data.name}, split {data.split}, fingerprint {scored[run.id]['fingerprint']}.")
    lines += [
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) for found in scored.values()
    ]
    lines += [f"{run.id}: {command_again(run.config, scored[run.id]['command'])}" for run in runs]
    return list(dict.fromkeys(lines))

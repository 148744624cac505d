"""What the page Compare shows: rows with intervals, differences, two rows label by label, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.analysis import decisions, export, tables
from core.analysis.samples import RANKING, Difference, Sampled
from core.analysis.tables import Row
from core.labels.groups import EVERY_GROUP, UNSEEN, Borders, count_documents, group_of
from core.metrics import label_sets, ranking, resampled_ranking, uncertainty
from core.runs import journal, results
from core.runs.folder import Run
from core.runs.predictions import read_predictions

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

PUBLISHED_TEXT = "#8a8a8a"
BETTER, WORSE = "#1b9e77", "#d95f02"


PLACES = {"total": 0, "tail": 1}
"""Groups whose columns come first on a page, in this order."""
FITTING = 5
"""Columns of scores with intervals that a narrow page shows beside each other."""


def column_sets(columns: Sequence[str]) -> dict[str, list[str]]:
    """Which columns of a table stand together, by the words of a choice: the first set at first, the last has all.

    All but the last leave none beyond the edge of a narrow page, with intervals in them.

    Args:
        columns: of `tables.columns_in`.
    """
    # The tail stands beside the total.
    columns = sorted(columns, key=lambda column: PLACES.get(column.partition("_")[0], len(PLACES)))
    if len(columns) <= FITTING:
        return {"all": columns}
    if any(column.endswith("_ap") for column in columns):
        average = [column for column in columns if column.endswith("_ap")]
        rest = [column for column in columns if column not in average]
        return {"average precision": average, "precision of the first labels": rest, "all": columns}
    first = [column for column in columns if column.partition("_")[0] in PLACES]
    both = {"total and tail": first} if any(column.startswith("tail") for column in first) else {}
    of_score = {f"{score}-F1": [one for one in columns if one.endswith(f"_{score}")] for score in ("macro", "micro")}
    return {**both, **of_score, "all": columns}


def score_table(frame: pd.DataFrame, columns: Sequence[str] = ()) -> Styler:
    """A table of scores or of differences as shown: each cell with its interval, bold or coloured, published rows grey.

    Args:
        frame: of `tables.paper_table` or `tables.difference_table`.
        columns: of scores, in order; all of them if none is named.
    """
    rows = tables.records_of(frame)
    keys = list(columns) or column_sets(tables.columns_in(frame))["all"]
    names = [row["name"] + (" (paper)" if row["source"] == "published" else _seeds(row["seeds"])) for row in rows]
    values: dict[tuple[str, str], Any] = {("", "method"): names}
    values |= {tables.heading(key): frame[key].to_numpy(float) for key in keys}
    shown = pd.DataFrame(values)
    css = pd.DataFrame(
        {name: [_style(row, key) for row in rows] for name, key in zip(values, ["", *keys], strict=True)}
    )
    css.index = shown.index
    texts = {
        name: cycle([" ".join(export.cell(row, key, short=True)).rstrip() or "–" for row in rows] or ["–"])
        for name, key in zip(shown.columns[1:], keys, strict=True)
    }
    # A cell's text is not its value's alone, and a format for each cell takes 1 ms: columns are drawn from the top.
    return shown.style.apply(lambda _: css, axis=None).format(
        {name: lambda _, column=column: next(column) for name, column in texts.items()}
    )


def _seeds(many: int) -> str:
    return f"  ×{many}" if many > 1 else "  one seed"


def _style(row: Mapping[str, Any], column: str) -> str:
    """CSS of a cell; of the row's name where the column is empty."""
    if column and export.is_bold(row, column):
        colour = f"; color: {BETTER if row[column] > 0 else WORSE}" if "baseline" in row else ""
        return f"font-weight: bold{colour}"
    return f"color: {PUBLISHED_TEXT}" if row["source"] == "published" else ""


def label_scores(run: Run, rule: str = decisions.AS_TRAINED, *, read: decisions.Read = read_predictions) -> np.ndarray:
    """F1 of each label of a run at a rule, (L,); of the rule `RANKING` its average precision, 0 without documents.

    Raises:
        UserError: damaged predictions, or the rule cannot serve the run.
    """
    predictions = read(run, "test")
    if rule == RANKING:
        return np.nan_to_num(ranking.average_precisions(predictions.targets, predictions.scores))
    predicted = decisions.decide(run, rule, read=read).predicted
    return label_sets.f1(*label_sets.count_errors(predictions.targets, predicted))


def support(run: Run) -> np.ndarray:
    """Test documents of each label, (L,)."""
    return count_documents(read_predictions(run).targets)


def forest_rows(
    frame: pd.DataFrame, sampled: Mapping[str, Sampled], column: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One column of a table as a forest plot draws it, the highest row first; the paper's rows are left out.

    Args:
        frame: of `tables.paper_table` or `tables.difference_table`.
        sampled: by a row's name.
        column: of the table.

    Returns:
        Rows with row, runs (ids), seeds, value, low, high, text (as the table prints it), noise ("seeds and documents"
        or "documents alone") and sure (bold); dots with row, run, value, one for each seed. Both in percent or points;
        the row that is subtracted is left out.
    """
    place = tables.columns_of(tables.table_of(frame))[column]
    shown = [row for row in tables.records_of(frame) if row["source"] == "run" and not math.isnan(row[column])]
    shown.sort(key=lambda row: -row[column])
    base = 0.0
    if "baseline" in frame and len(frame):
        base = sampled[frame["baseline"].iloc[0]].scores[place]
    found, dots = [], []
    for row in shown:
        alone = row["seeds"] < 2 or row[f"{column}_note"] == tables.DOCUMENTS_ALONE
        found.append(
            {
                **{"row": row["name"], "runs": row["runs"], "seeds": row["seeds"], "value": row[column]},
                **{"low": row[f"{column}_low"], "high": row[f"{column}_high"]},
                "text": " ".join(export.cell(row, column)).rstrip(),
                "noise": tables.DOCUMENTS_ALONE if alone else "seeds and documents",
                "sure": export.is_bold(row, column),
            }
        )
        each = sampled[row["name"]].each
        for run, scores in zip(row["runs"].split(), [] if each is None else each, strict=False):
            dots.append({"row": row["name"], "run": run, "value": float(100 * (scores[place] - base))})
    return found, dots


def forest_table(frame: pd.DataFrame, sampled: Mapping[str, Sampled], column: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`forest_rows` as two frames."""
    found, dots = forest_rows(frame, sampled, column)
    names = ["row", "runs", "seeds", "value", "low", "high", "text", "noise", "sure"]
    return pd.DataFrame(found, columns=names), pd.DataFrame(dots, columns=["row", "run", "value"])


def headline(gain: Difference, *, rule: str = decisions.AS_TRAINED) -> list[tuple[str, str, str]]:
    """A difference of two rows in a few numbers: title, points, and the interval in words."""
    found = []
    order = resampled_ranking.COLUMNS if rule == RANKING else uncertainty.COLUMNS
    for title, column in (RANKING_HEADLINE if rule == RANKING else HEADLINE).items():
        place = order.index(column)
        value, low, high = (100 * part[place] for part in (gain.scores, gain.low, gain.high))
        if column.startswith(UNSEEN) and math.isnan(value):
            continue
        words = "" if math.isnan(low) else f"{low:+.1f} to {high:+.1f}"
        if words and not gain.tested[place]:
            words += ", over documents alone"
        elif words and not gain.significant[place]:
            words += ", may be chance"
        found.append((title, "–" if math.isnan(value) else f"{value:+.2f}", words))
    return found


HEADLINE = {"micro-F1": "all/micro_f1"} | {f"{group} macro-F1": f"{group}/macro_f1" for group in ("all", *EVERY_GROUP)}
RANKING_HEADLINE = {f"{group} average precision": f"{group}/ap" for group in ("all", *EVERY_GROUP)}


def label_changes(
    labels: Sequence[str],
    counts: Sequence[int],
    support: np.ndarray,
    one: np.ndarray,
    two: np.ndarray,
    borders: Borders,
) -> pd.DataFrame:
    """Every label's F1 in two rows, what the second has more of first.

    Returns:
        Columns label, group, train, support, first, second, change (percent and points).
    """
    groups = group_of(np.asarray(counts), borders)
    table = pd.DataFrame(
        {"label": list(labels), "group": groups, "train": list(counts), "support": list(support)}
        | {"first": 100 * one, "second": 100 * two, "change": 100 * (two - one)}
    )
    return table.sort_values(["change", "train"], ascending=[False, False], kind="stable", ignore_index=True)


def change_summary(table: pd.DataFrame) -> pd.DataFrame:
    """How many labels of each group gained, lost and stayed: columns group, gained, lost, same, mean change."""
    rows = []
    for group in EVERY_GROUP:
        change = table.loc[table["group"].eq(group), "change"]
        if len(change):
            counted = {"gained": int((change > 0).sum()), "lost": int((change < 0).sum())}
            rows.append({"group": group, **counted, "same": int((change == 0).sum()), "mean change": change.mean()})
    return pd.DataFrame(rows, columns=["group", "gained", "lost", "same", "mean change"])


def training_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Columns row, run, epoch, loss, micro, macro (validation, percent) of every epoch of every run."""
    found = []
    for row in rows:
        for run in row.runs:
            for entry in journal.read_history(run.path):
                scores = (entry.get("validation") or {}).get("all") or {}
                if "epoch" in entry:
                    percent = {name: 100 * scores.get(f"{name}_f1", math.nan) for name in tables.SCORES}
                    loss = entry.get("train_loss", math.nan)
                    found.append({"row": row.name, "run": run.id, "epoch": entry["epoch"], "loss": loss, **percent})
    return pd.DataFrame(found, columns=["row", "run", "epoch", "loss", "micro", "macro"])


def cost_table(rows: Sequence[Row]) -> pd.DataFrame:
    """What each row cost, the mean of its runs.

    Returns:
        Columns method, runs, seconds (a whole run), epochs, documents_a_second (train documents times epochs over the
        seconds of training; NaN without epochs), memory (peak, MB; NaN if not recorded), threads, device, micro (test,
        percent).
    """
    found = []
    for row in rows:
        scored = [results.read_results(run) for run in row.runs]
        # Speed: train documents of all epochs over the seconds until the last one.
        speeds, epochs = [], []
        for run, one in zip(row.runs, scored, strict=True):
            history = journal.read_history(run.path)
            documents = results.count_documents(one, "train") or math.nan
            epochs.append(len(history) or math.nan)
            spent = history[-1].get("seconds") if history else None
            speeds.append(documents * len(history) / spent if spent else math.nan)
        found.append(
            {
                "method": row.name,
                "runs": len(row.runs),
                "seconds": _mean([one["seconds"] for one in scored]),
                "epochs": _mean(epochs),
                "documents_a_second": _mean(speeds),
                "memory": _mean([one.get("memory", math.nan) / 1e6 for one in scored]),
                "threads": ", ".join(sorted({str(one.get("threads", "")) for one in scored})),
                "device": ", ".join(sorted({run.device for run in row.runs})),
                "micro": _mean([100 * (one["test"]["all"]["micro_f1"] or 0.0) for one in scored]),
            }
        )
    return pd.DataFrame(found)


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan

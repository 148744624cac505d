"""What the page Compare shows: rows with intervals, differences, two rows label by label, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.analysis import export, tables
from core.analysis.tables import Row, Sampled
from core.labels.groups import FREQUENCY_GROUPS, Borders, count_documents, group_of
from core.metrics import label_sets, thresholds, uncertainty
from core.runs import journal, results
from core.runs.folder import Run
from core.runs.predictions import read_predictions

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

PUBLISHED_TEXT = "#8a8a8a"
BETTER, WORSE = "#1b9e77", "#d95f02"


def score_table(frame: pd.DataFrame, *, table: int) -> Styler:
    """A `core.analysis.tables.paper_table` as shown: score ± half its interval, bold if best, published rows grey."""
    texts, styles = {}, {}
    for column in tables.SCORE_COLUMNS[table]:
        cells = [export.cell(row, column) for row in frame.to_dict("records")]
        texts[column] = [_with_half(*parts) for parts in cells]
        styles[column] = ["font-weight: bold" if best else "" for best in frame[f"{column}_best"]]
    return _styled(frame, texts, styles, table=table)


def difference_table(
    frame: pd.DataFrame, rows: Sequence[Row], sampled: Mapping[str, Sampled], baseline: str, *, table: int
) -> Styler:
    """The runs' rows of a `paper_table` minus the row named `baseline`; coloured where the difference is no chance."""
    shown = frame[frame["source"].eq("run")].reset_index(drop=True).copy()
    by_name = {row.name: row for row in rows}
    places = tables.columns_of(table)
    texts: dict[str, list[str]] = {column: [] for column in places}
    styles: dict[str, list[str]] = {column: [] for column in places}
    for place, name in enumerate(shown["name"]):
        same = by_name[name].fingerprint == by_name[baseline].fingerprint
        gain = tables.difference(sampled[name], sampled[baseline], comparable=same)
        for column, index in places.items():
            value, half = 100 * gain.scores[index], 50 * (gain.high[index] - gain.low[index])
            shown.loc[place, column] = value if name != baseline else math.nan
            sure = gain.significant[index] and name != baseline
            texts[column].append(
                "" if name == baseline or math.isnan(value) else _with_half(f"{value:+.2f}", _one_decimal(half))
            )
            styles[column].append(f"font-weight: bold; color: {BETTER if value > 0 else WORSE}" if sure else "")
    return _styled(shown, texts, styles, table=table)


def _one_decimal(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"


def _with_half(value: str, half: str) -> str:
    return f"{value} ±{float(half):.1f}" if half else value or "–"


def _styled(
    frame: pd.DataFrame, texts: Mapping[str, Sequence[str]], styles: Mapping[str, Sequence[str]], *, table: int
) -> Styler:
    seeds = [
        name + (" (paper)" if source == "published" else f"  ×{many}" if many > 1 else "")
        for name, source, many in zip(frame["name"], frame["source"], frame["seeds"].fillna(0), strict=True)
    ]
    columns: dict[tuple[str, str], Any] = {("", "method"): seeds}
    keys = tables.SCORE_COLUMNS[table]
    for column in keys:
        group, _, score = column.partition("_")
        columns[group.capitalize(), score] = frame[column].to_numpy(float)
    shown = pd.DataFrame(columns)
    grey = [f"color: {PUBLISHED_TEXT}" if source == "published" else "" for source in frame["source"]]
    css = pd.DataFrame(
        {name: grey if place == 0 else styles[keys[place - 1]] for place, name in enumerate(columns)}, index=shown.index
    )
    for place, name in enumerate(columns):
        if place:
            css[name] = [own or base for own, base in zip(css[name], grey, strict=True)]
    words = {name: cycle(texts[key]) for name, key in zip(shown.columns[1:], keys, strict=True)}
    # A cell's text is not its value's alone, and a format for each cell takes 1 ms: columns are drawn from the top.
    return shown.style.apply(lambda _: css, axis=None).format(
        {name: lambda _, column=column: next(column) for name, column in words.items()}
    )


def label_f1(run: Run) -> np.ndarray:
    """F1 of each label of a run at its own threshold, (L,)."""
    predictions = read_predictions(run)
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    return label_sets.f1(*label_sets.count_errors(predictions.targets, predicted))


def support(run: Run) -> np.ndarray:
    """Test documents of each label, (L,)."""
    return count_documents(read_predictions(run).targets)


def headline(gain: tables.Difference) -> list[tuple[str, str, str]]:
    """A difference of two rows in four numbers: title, points, and the interval in words."""
    found = []
    for title, column in HEADLINE.items():
        place = uncertainty.COLUMNS.index(column)
        value, low, high = (100 * part[place] for part in (gain.scores, gain.low, gain.high))
        words = (
            ""
            if math.isnan(low)
            else f"{low:+.1f} to {high:+.1f}" + ("" if gain.significant[place] else ", may be chance")
        )
        found.append((title, "–" if math.isnan(value) else f"{value:+.2f}", words))
    return found


HEADLINE = {"micro-F1": "all/micro_f1"} | {
    f"{group} macro-F1": f"{group}/macro_f1" for group in ("all", *FREQUENCY_GROUPS)
}


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
    for group in FREQUENCY_GROUPS:
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
            documents = (one.get("documents") or {}).get("train", math.nan)
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

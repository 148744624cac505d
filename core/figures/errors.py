"""What the results page shows: comparison tables, F1 against label frequency, confused pairs and their documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import scipy.sparse as sp

from core import confusion, metrics, report, thresholds
from core.figures import GROUP_COLOURS, MAX_MARKS
from core.labels import FREQUENCY_GROUPS, Borders
from core.store import Predictions

NAMES_SHOWN = 6
NO_TRAINING = 0.5
"""Where a label without training documents stands on the logarithmic axis, whose tick there says 0."""


def predicted_labels(predictions: Predictions) -> sp.csr_array:
    """What a run predicts at its own threshold, (n, L) bool."""
    return thresholds.apply(predictions.scores, predictions.threshold)


def comparison_table(frame: pd.DataFrame, *, table: int) -> pd.DataFrame:
    """A `core.report.comparison` as it is shown.

    Returns:
        A frame with two-level columns: ("", source | method | seed), (group, micro | macro) in percent and ("", run);
        source stands in a list, which makes it a badge.
    """
    source = [["this run" if source == "run" else source] for source in frame["source"]]
    trained = frame["model"].notna() & (frame["model"] != frame["method"])
    method = frame["method"].where(~trained, frame["method"] + " · " + frame["model"].astype(str))
    columns: dict[tuple[str, str], Any] = {("", "source"): source, ("", "method"): method, ("", "seed"): frame["seed"]}
    for column in report.SCORE_COLUMNS[table]:
        group, _, score = column.partition("_")
        columns[group.capitalize(), score] = frame[column]
    return pd.DataFrame(columns | {("", "run"): frame["run"]})


def regrouped(frame: pd.DataFrame, scores: Mapping[str, Mapping[str, Any]], *, table: int) -> pd.DataFrame:
    """A comparison with other borders between head, medium and tail.

    Args:
        frame: as `core.report.comparison` makes it.
        scores: by run id, `core.metrics.score_groups` with the new borders.
        table: 2 or 3.

    Returns:
        A copy: the runs' numbers are those of `scores`; published numbers of frequency groups are missing, for the
        paper printed them for its own borders only.
    """
    changed = frame.copy()
    for group, key in report.GROUPS[table].items():
        for name, score in report.SCORES.items():
            column = f"{group}_{name}"
            values = changed["run"].map(lambda run, key=key, score=score: _percent(scores, run, key, score))
            kept = changed[column] if key not in FREQUENCY_GROUPS else math.nan
            changed[column] = values.where(changed["source"] == "run", kept).astype(float)
    return changed


def _percent(scores: Mapping[str, Mapping[str, Any]], run: str, group: str, score: str) -> float:
    fraction = ((scores.get(run) or {}).get(group) or {}).get(score)
    return math.nan if fraction is None else 100 * fraction


def label_table(
    predictions: Predictions, labels: Sequence[str], counts: Sequence[int], borders: Borders
) -> pd.DataFrame:
    """`core.metrics.label_table` of a run at its own threshold."""
    return metrics.label_table(
        predictions.targets, predicted_labels(predictions), labels, np.asarray(counts, np.int64), borders
    )


def score_groups(predictions: Predictions, counts: Sequence[int], borders: Borders) -> dict[str, Any]:
    """`core.metrics.score_groups` of a run at its own threshold."""
    return metrics.score_groups(
        predictions.targets, predicted_labels(predictions), np.asarray(counts, np.int64), borders
    )


def confused_pairs(predictions: Predictions, labels: Sequence[str], *, limit: int) -> pd.DataFrame:
    """`core.confusion.confused_pairs` of a run at its own threshold."""
    return confusion.confused_pairs(predictions.targets, predicted_labels(predictions), labels, limit=limit)


def rows_of_label(table: pd.DataFrame, search: str, columns: Sequence[str], *, limit: int) -> tuple[pd.DataFrame, int]:
    """The first `limit` rows with `search` in one of `columns`, case ignored, and how many rows match in all."""
    wanted = search.strip().lower()
    matches = np.zeros(len(table), bool)
    for column in columns:
        matches |= table[column].astype(str).str.lower().str.contains(wanted, regex=False).to_numpy(bool)
    return table[matches].head(limit).reset_index(drop=True), int(matches.sum())


def percents(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A copy with these columns of fractions in percent."""
    return table.assign(**{column: 100 * table[column] for column in columns})


def f1_points(table: pd.DataFrame, *, limit: int = MAX_MARKS) -> pd.DataFrame:
    """Labels as points: those with the same training count and F1 are one point; many points are binned.

    Returns:
        Columns train, f1 (percent), group, labels (how many the point stands for), names; at most `limit` rows as
        long as that leaves room for the bins (100 or more).
    """
    points = table[["label", "group", "train", "f1"]].assign(f1=100 * table["f1"], x=table["train"], y=0.0)
    points["y"] = points["f1"].round(2)
    if len(points.drop_duplicates(["x", "y"])) > limit:
        levels = 21
        step = math.log(max(points["train"].max(), 2)) / max(limit // levels - len(FREQUENCY_GROUPS), 1)
        points["x"] = np.floor(np.log(points["train"].clip(lower=NO_TRAINING)) / step)
        points["y"] = (points["f1"] / 5).round()
    grouped = points.groupby(["group", "x", "y"], sort=False)
    return grouped.agg(
        train=("train", "mean"), f1=("f1", "mean"), labels=("label", "size"), names=("label", _few)
    ).reset_index()[["train", "f1", "group", "labels", "names"]]


def _few(names: pd.Series) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names.head(NAMES_SHOWN)) + (f" and {rest} more" if rest > 0 else "")


def f1_by_frequency(tables: Mapping[str, pd.DataFrame], borders: Borders) -> alt.LayerChart:
    """F1 of every label against its number of training documents (logarithmic), coloured by frequency group.

    Args:
        tables: by a run's name, its `label_table`; the second run has other marks.
        borders: drawn as rules.
    """
    limit = MAX_MARKS // max(len(tables), 1)
    points = pd.concat(
        [f1_points(table, limit=limit).assign(run=name) for name, table in tables.items()], ignore_index=True
    )
    points["x"] = points["train"].clip(lower=NO_TRAINING)
    high = max(10.0, float(points["x"].max()) * 1.3) if len(points) else 10.0
    low = 0.4 if (points["x"] < 1).any() else 0.8
    ticks = [NO_TRAINING] * bool(low < NO_TRAINING) + [10**power for power in range(math.ceil(math.log10(high)))]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')", grid=True)
    shape = alt.Shape(
        "run:N",
        title=None,
        sort=list(tables),
        scale=alt.Scale(domain=list(tables), range=["circle", "diamond"][: len(tables)]),
        legend=alt.Legend(orient="top", direction="vertical", labelLimit=600, symbolFillColor="gray")
        if len(tables) > 1
        else None,
    )
    marks = (
        alt.Chart(points)
        .mark_point(filled=True, opacity=0.75, strokeWidth=1)
        .encode(
            x=alt.X("x:Q", title="documents of the train part", scale=scale, axis=axis),
            y=alt.Y("f1:Q", title="F1 on the test part (%)", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color(
                "group:N",
                title=None,
                sort=list(FREQUENCY_GROUPS),
                scale=alt.Scale(
                    domain=list(FREQUENCY_GROUPS), range=[GROUP_COLOURS[group] for group in FREQUENCY_GROUPS]
                ),
                legend=alt.Legend(orient="top"),
            ),
            shape=shape,
            size=alt.Size("labels:Q", scale=alt.Scale(type="sqrt", range=[50, 500]), legend=None),
            tooltip=[
                alt.Tooltip("names:N", title="label"),
                alt.Tooltip("f1:Q", title="F1 (%)", format=".2f"),
                alt.Tooltip("train:Q", title="train documents", format=",.0f"),
                alt.Tooltip("group:N"),
                alt.Tooltip("labels:Q", title="labels at this point"),
                alt.Tooltip("run:N"),
            ],
        )
    )
    edges = pd.DataFrame({"x": [borders.tail + 0.5, borders.head - 0.5]})
    rules = alt.Chart(edges[edges["x"].between(low, high)]).mark_rule(strokeDash=[4, 4], color="gray")
    return alt.LayerChart(layer=[rules.encode(x=alt.X("x:Q", scale=scale)), marks], height=420)


def pair_documents(predictions: Predictions, missed: int, gave: int, *, limit: int) -> tuple[np.ndarray, int]:
    """The first `limit` test documents behind a confused pair, as positions in the test part, and their number."""
    rows = confusion.pair_documents(predictions.targets, predicted_labels(predictions), missed, gave)
    return rows[:limit], len(rows)


def document_table(
    predictions: Predictions, labels: Sequence[str], rows: Sequence[int] | np.ndarray, titles: Sequence[str] | None
) -> pd.DataFrame:
    """Documents with their true and predicted labels and the score of each, the highest first.

    Args:
        predictions: of one run.
        labels: names of the columns.
        rows: positions in the test part.
        titles: of the whole corpus, or None if the data set is gone: then there is no column title.

    Returns:
        Columns id, title, true, predicted.
    """
    part = np.asarray(rows, dtype=np.int64)
    chosen = replace(predictions, scores=predictions.scores[part], targets=predictions.targets[part])
    predicted = predicted_labels(chosen)
    frame = pd.DataFrame(
        {
            "id": [predictions.ids[row] for row in part],
            "true": _named(chosen.targets, chosen.scores, labels),
            "predicted": _named(predicted, chosen.scores, labels),
        },
        columns=["id", "true", "predicted"],
    )
    if titles is not None:
        frame.insert(1, "title", [titles[int(predictions.rows[row])] for row in part])
    return frame


def _named(marked: sp.csr_array, scores: np.ndarray | sp.csr_array, labels: Sequence[str]) -> list[str]:
    cells = []
    for row in range(marked.shape[0]):
        columns = marked.indices[marked.indptr[row] : marked.indptr[row + 1]]
        values = _scores_of(scores, row, columns)
        order = np.argsort(-values, kind="stable")
        cells.append(", ".join(f"{labels[columns[place]]} {values[place]:.2f}" for place in order))
    return cells


def _scores_of(scores: np.ndarray | sp.csr_array, row: int, columns: np.ndarray) -> np.ndarray:
    if isinstance(scores, np.ndarray):
        return scores[row, columns].astype(float)
    return scores[[row]].toarray()[0, columns].astype(float)

"""What the comparison page shows: tables with intervals, parts of a loss, F1 by rank, two rows label by label, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from core import report
from core.figures import GRID, GROUP_COLOURS, HEIGHT, MARGIN
from core.labels.groups import FREQUENCY_GROUPS, Borders, count_documents, group_of, rank_by_frequency
from core.metrics import label_sets, thresholds, uncertainty
from core.report import Row, Sampled
from core.runs import journal, results
from core.runs.folder import Run
from core.runs.predictions import read_predictions

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

METHOD_COLOURS = {
    "svm": "#8c8c8c",
    "bce": "#b07aa1",
    "fl": "#76b7b2",
    "cb": "#edc948",
    "r-fl": "#9c755f",
    "ntr-fl": "#59a14f",
    "db-0fl": "#f28e2b",
    "cb-ntr": "#4e79a7",
    "db": "#e15759",
}
"""One colour for each method of the paper, on every chart."""
SPARE_COLOURS = ("#bab0ac", "#ff9da7", "#86bcb6", "#d37295", "#a0cbe8", "#8cd17d", "#b6992d", "#499894")
PUBLISHED_TEXT = "#8a8a8a"
BETTER, WORSE = "#1b9e77", "#d95f02"
POINTS = 240
"""Points of a smoothed line."""
CHANGES_SHOWN = 15
"""Labels that gained, and as many that lost, in the chart of two rows."""


def colours(rows: Sequence[Row]) -> alt.Scale:
    """A colour for each row: its method's, and another one where that is taken."""
    taken: list[str] = []
    for place, row in enumerate(rows):
        wanted = METHOD_COLOURS.get(row.method, "")
        taken.append(wanted if wanted and wanted not in taken else SPARE_COLOURS[place % len(SPARE_COLOURS)])
    return alt.Scale(domain=[row.name for row in rows], range=taken)


def score_table(frame: pd.DataFrame, *, table: int) -> Styler:
    """A `core.report.paper_table` as it is shown: score ± half its interval, bold where best, published rows grey."""
    texts, styles = {}, {}
    for column in report.SCORE_COLUMNS[table]:
        cells = [report.cell(row, column) for row in frame.to_dict("records")]
        texts[column] = [_with_half(*parts) for parts in cells]
        styles[column] = ["font-weight: bold" if best else "" for best in frame[f"{column}_best"]]
    return _styled(frame, texts, styles, table=table)


def difference_table(
    frame: pd.DataFrame, rows: Sequence[Row], sampled: Mapping[str, Sampled], baseline: str, *, table: int
) -> Styler:
    """The runs' rows of a `paper_table` minus the row named `baseline`; coloured where the difference is no chance."""
    shown = frame[frame["source"].eq("run")].reset_index(drop=True).copy()
    by_name = {row.name: row for row in rows}
    places = report.columns_of(table)
    texts: dict[str, list[str]] = {column: [] for column in places}
    styles: dict[str, list[str]] = {column: [] for column in places}
    for place, name in enumerate(shown["name"]):
        same = by_name[name].fingerprint == by_name[baseline].fingerprint
        gain = report.difference(sampled[name], sampled[baseline], comparable=same)
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
    keys = report.SCORE_COLUMNS[table]
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


def ablation_chart(table: pd.DataFrame, *, score: str) -> alt.HConcatChart:
    """What each part adds, by frequency group: a dot with its interval, and a hollow diamond for the paper's number.

    Args:
        table: of `core.report.ablation`.
        score: micro or macro.
    """
    part = table[table["score"].eq(score)].copy()
    part["pair"] = part["without"] + " → " + part["with"]
    part["sure"] = part["significant"].map({True: "more than chance", False: "may be chance"})
    order = list(dict.fromkeys(zip(part["part"], part["pair"], strict=True)))
    charts = []
    for place, group in enumerate(("total", *FREQUENCY_GROUPS)):
        rows = part[part["group"].eq(group)]
        y = alt.Y(
            "pair:N",
            sort=[pair for _, pair in order],
            title=None,
            axis=alt.Axis(labels=place == 0, ticks=False, domain=False, labelLimit=140, labelFlush=False),
        )
        base = alt.Chart(rows)
        tooltip = [
            alt.Tooltip("part:N", title="adds"),
            alt.Tooltip("pair:N"),
            alt.Tooltip("difference:Q", title="difference", format="+.2f"),
            alt.Tooltip("low:Q", format="+.2f"),
            alt.Tooltip("high:Q", format="+.2f"),
            alt.Tooltip("published:Q", title="published", format="+.2f"),
        ]
        x = alt.X(
            "difference:Q",
            title="points",
            axis=alt.Axis(gridColor=GRID, tickCount=4, labelFlush=False, labelOverlap=False),
        )
        colour = alt.Color(
            "part:N",
            title=None,
            sort=list(report.PARTS),
            scale=alt.Scale(domain=list(report.PARTS), range=["#4e79a7", "#1b9e77", "#e15759"]),
            legend=alt.Legend(orient="top", symbolType="circle") if place == 0 else None,
        )
        layers = [
            alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color="gray").encode(x="zero:Q"),
            base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour),
            base.mark_point(filled=True, size=70, opacity=1).encode(
                x=x,
                y=y,
                color=colour,
                opacity=alt.Opacity(
                    "sure:N",
                    scale=alt.Scale(domain=["more than chance", "may be chance"], range=[1, 0.35]),
                    legend=None,
                ),
                tooltip=tooltip,
            ),
            base.mark_point(shape="diamond", size=60, color="gray").encode(x="published:Q", y=y, tooltip=tooltip),
        ]
        charts.append(alt.LayerChart(layer=layers, title=group.capitalize(), width=165, height=26 * len(order) + 10))
    return alt.HConcatChart(hconcat=charts, spacing=14).configure_view(strokeOpacity=0.3)


def label_f1(run: Run) -> np.ndarray:
    """F1 of each label of a run at its own threshold, (L,)."""
    predictions = read_predictions(run)
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    return label_sets.f1(*label_sets.count_errors(predictions.targets, predicted))


def support(run: Run) -> np.ndarray:
    """Test documents of each label, (L,)."""
    return count_documents(read_predictions(run).targets)


def headline(gain: report.Difference) -> list[tuple[str, str, str]]:
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


def smooth(values: np.ndarray, *, width: float) -> np.ndarray:
    """A Gaussian mean over neighbours in rank, (L,): `width` is its standard deviation in ranks."""
    ranks = np.arange(len(values), dtype=np.float64)
    chosen = ranks if len(ranks) <= POINTS else np.unique(np.geomspace(1, len(ranks), POINTS).round()) - 1
    weights = np.exp(-0.5 * ((chosen[:, None] - ranks[None, :]) / width) ** 2)
    return np.stack([chosen + 1, weights @ values / weights.sum(axis=1)])


def f1_by_rank(
    rows: Sequence[Row], scores: Mapping[str, np.ndarray], counts: Sequence[int], borders: Borders
) -> alt.LayerChart:
    """F1 by label rank, one smoothed line per row.

    Args:
        rows: to draw.
        scores: by a row's name, F1 of each label (the mean of its seeds), (L,).
        counts: training documents of each label, (L,).
        borders: drawn as rules between the groups.
    """
    ranks = rank_by_frequency(np.asarray(counts))
    width = max(len(ranks) / 18, 1.0)
    parts = []
    for row in rows:
        place, values = smooth(100 * scores[row.name][np.argsort(ranks)], width=width)
        parts.append(pd.DataFrame({"rank": place, "f1": values, "row": row.name}))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["rank", "f1", "row"])
    groups = group_of(np.asarray(counts), borders)
    sizes = [int(np.sum(groups == group)) for group in FREQUENCY_GROUPS]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    scale = alt.Scale(type="log" if len(ranks) > 1000 else "linear", domain=[1, max(len(ranks), 2)], nice=False)
    x = alt.X("rank:Q", title="rank of the label, the most frequent first", scale=scale)
    bands = pd.DataFrame(
        {
            "edge": [max(start, 1) + 0.5 * (start > 0) for start in starts[:-1]],
            "text": [f"{group} ({size})" for group, size in zip(FREQUENCY_GROUPS, sizes, strict=True)],
        }
    )[np.array(sizes) > 0]
    hover = alt.selection_point(fields=["row"], on="pointerover", empty=True, name="row")
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=x,
            y=alt.Y("f1:Q", title="F1 on the test part (%), smoothed", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("row:N", title=None, scale=colours(rows), legend=alt.Legend(orient="right")),
            opacity=alt.condition(hover, alt.value(1.0), alt.value(0.15)),
            tooltip=[
                alt.Tooltip("row:N", title="method"),
                alt.Tooltip("rank:Q", format=".0f"),
                alt.Tooltip("f1:Q", title="smoothed F1 (%)", format=".1f"),
            ],
        )
        .add_params(hover)
    )
    rules = alt.Chart(bands).mark_rule(strokeDash=[4, 4], color="gray").encode(x=alt.X("edge:Q", scale=scale))
    words = (
        alt.Chart(bands)
        .mark_text(align="left", dx=4, dy=8, color="gray", baseline="top")
        .encode(x=alt.X("edge:Q", scale=scale), y=alt.value(0), text="text:N")
    )
    return alt.LayerChart(layer=[rules, words, lines], height=400)


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


def change_chart(table: pd.DataFrame) -> alt.Chart:
    """The labels that gained and lost most, as bars."""
    gained = table[table["change"] > 0].head(CHANGES_SHOWN)
    lost = table[table["change"] < 0].tail(CHANGES_SHOWN)
    shown = pd.concat([gained, lost], ignore_index=True)
    return (
        alt.Chart(shown)
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X("change:Q", title="change of F1 (points)", axis=alt.Axis(gridColor=GRID)),
            y=alt.Y(
                "label:N",
                sort=list(shown["label"]),
                title=None,
                axis=alt.Axis(labelLimit=180, labelOverlap=False, labelFlush=False),
            ),
            color=alt.Color(
                "group:N",
                title=None,
                sort=list(FREQUENCY_GROUPS),
                scale=alt.Scale(domain=list(FREQUENCY_GROUPS), range=[GROUP_COLOURS[g] for g in FREQUENCY_GROUPS]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "label:N",
                "group:N",
                alt.Tooltip("train:Q", title="train documents", format=","),
                alt.Tooltip("support:Q", title="test documents", format=","),
                alt.Tooltip("first:Q", title="first F1 (%)", format=".1f"),
                alt.Tooltip("second:Q", title="second F1 (%)", format=".1f"),
                alt.Tooltip("change:Q", format="+.1f"),
            ],
        )
        .properties(height=18 * len(shown) + MARGIN)
    )


def training_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Columns row, run, epoch, loss, micro, macro (validation, percent) of every epoch of every run."""
    found = []
    for row in rows:
        for run in row.runs:
            for entry in journal.read_history(run):
                scores = (entry.get("validation") or {}).get("all") or {}
                if "epoch" in entry:
                    percent = {name: 100 * scores.get(f"{name}_f1", math.nan) for name in report.SCORES}
                    loss = entry.get("train_loss", math.nan)
                    found.append({"row": row.name, "run": run.id, "epoch": entry["epoch"], "loss": loss, **percent})
    return pd.DataFrame(found, columns=["row", "run", "epoch", "loss", "micro", "macro"])


def training_chart(frame: pd.DataFrame, rows: Sequence[Row], *, column: str) -> alt.Chart:
    """Validation F1 (micro, macro) or the training loss by epoch, one line per run in its row's colour."""
    titles = {"micro": "validation micro-F1 (%)", "macro": "validation macro-F1 (%)", "loss": "training loss"}
    hover = alt.selection_point(fields=["row"], on="pointerover", empty=True, name="row")
    scale = alt.Scale(type="log") if column == "loss" else alt.Scale(zero=False)
    return (
        alt.Chart(frame[["row", "run", "epoch", column]].dropna())
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y(f"{column}:Q", title=titles[column], scale=scale),
            color=alt.Color("row:N", title=None, scale=colours(rows), legend=alt.Legend(orient="right")),
            detail="run:N",
            opacity=alt.condition(hover, alt.value(0.95), alt.value(0.12)),
            tooltip=["row:N", "run:N", "epoch:Q", alt.Tooltip(f"{column}:Q", format=".4g")],
        )
        .add_params(hover)
        .properties(height=HEIGHT)
    )


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
        speeds, epochs = [], []
        for run, one in zip(row.runs, scored, strict=True):
            history = journal.read_history(run)
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

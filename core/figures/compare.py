"""Charts of the page Compare: parts of a loss, F1 by label rank, changes label by label, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from core.analysis import tables
from core.analysis.tables import Row
from core.figures import GRID, GROUP_COLOURS, HEIGHT, MARGIN
from core.labels.groups import FREQUENCY_GROUPS, Borders, group_of, rank_by_frequency

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


def forest_chart(rows: pd.DataFrame, dots: pd.DataFrame, *, title: str, difference: bool) -> alt.LayerChart:
    """A line for each row of a table: its mean, its interval, and a ring for each seed.

    Args:
        rows: of `core.analysis.compare.forest_table`.
        dots: of the same.
        title: of the axis.
        difference: from another row: 0 is marked.
    """
    # A bar is pale and dashed where it holds no seed noise, a mean is hollow where it may be chance.
    y = alt.Y(
        "row:N", sort=list(rows["row"]), title=None, axis=alt.Axis(labelLimit=260, labelOverlap=False, ticks=False)
    )
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(gridColor=GRID))
    kinds = list(dict.fromkeys(["seeds and documents", *rows["noise"]]))
    noise = alt.Color(
        "noise:N",
        title="interval over",
        scale=alt.Scale(domain=kinds, range=["#4e79a7", "#a5a5a5"][: len(kinds)]),
        legend=alt.Legend(orient="top") if len(kinds) > 1 else None,
    )
    tooltip = [
        alt.Tooltip("row:N"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("text:N", title="mean and interval"),
        alt.Tooltip("noise:N", title="interval over"),
    ]
    base = alt.Chart(rows)
    layers: list[alt.Chart] = [
        base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=noise, tooltip=tooltip),
        base.mark_point(size=90, opacity=1, filled=True).encode(x=x, y=y, color=noise, tooltip=tooltip),
        alt.Chart(dots)
        .mark_point(size=45, color="#e15759", strokeWidth=1.6, opacity=0.9)
        .encode(x=x, y=y, tooltip=["row:N", "run:N", alt.Tooltip("value:Q", format="+.2f" if difference else ".2f")]),
    ]
    if difference:
        layers.insert(0, alt.Chart(pd.DataFrame({"value": [0.0]})).mark_rule(color="gray").encode(x=x))
    legend = 45 if len(kinds) > 1 else 0
    return alt.LayerChart(layer=layers, height=28 * max(len(rows), 1) + MARGIN + legend)


def ablation_chart(table: pd.DataFrame, *, score: str) -> alt.HConcatChart:
    """What each part adds, by frequency group: a dot with its interval, and a hollow diamond for the paper's number.

    Args:
        table: of `core.analysis.tables.ablation`.
        score: micro or macro, or ap of rankings.
    """
    # A chart for each frequency group, with a line for each pair of methods.
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
            sort=list(tables.PARTS),
            scale=alt.Scale(domain=list(tables.PARTS), range=["#4e79a7", "#1b9e77", "#e15759"]),
            legend=alt.Legend(orient="top", symbolType="circle") if place == 0 else None,
        )
        # No difference, the interval, the dot, and the paper's number.
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


def smooth(values: np.ndarray, *, width: float) -> np.ndarray:
    """A Gaussian mean over neighbours in rank, (L,): `width` is its standard deviation in ranks."""
    ranks = np.arange(len(values), dtype=np.float64)
    chosen = ranks if len(ranks) <= POINTS else np.unique(np.geomspace(1, len(ranks), POINTS).round()) - 1
    weights = np.exp(-0.5 * ((chosen[:, None] - ranks[None, :]) / width) ** 2)
    return np.stack([chosen + 1, weights @ values / weights.sum(axis=1)])


def f1_by_rank(
    rows: Sequence[Row],
    scores: Mapping[str, np.ndarray],
    counts: Sequence[int],
    borders: Borders,
    *,
    measure: str = "F1",
) -> alt.LayerChart:
    """F1 by label rank, one smoothed line per row.

    Args:
        rows: to draw.
        scores: by a row's name, F1 of each label (the mean of its seeds), (L,).
        counts: training documents of each label, (L,).
        borders: drawn as rules between the groups.
        measure: what the scores are, in words.
    """
    # A smoothed line for each row.
    ranks = rank_by_frequency(np.asarray(counts))
    width = max(len(ranks) / 18, 1.0)
    parts = []
    for row in rows:
        place, values = smooth(100 * scores[row.name][np.argsort(ranks)], width=width)
        parts.append(pd.DataFrame({"rank": place, "f1": values, "row": row.name}))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["rank", "f1", "row"])
    # Where the groups begin, with their names and sizes.
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
    # Lines; the one under the pointer stands out.
    hover = alt.selection_point(fields=["row"], on="pointerover", empty=True, name="row")
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=x,
            y=alt.Y("f1:Q", title=f"{measure} on the test part (%), smoothed", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("row:N", title=None, scale=colours(rows), legend=alt.Legend(orient="right")),
            opacity=alt.condition(hover, alt.value(1.0), alt.value(0.15)),
            tooltip=[
                alt.Tooltip("row:N", title="method"),
                alt.Tooltip("rank:Q", format=".0f"),
                alt.Tooltip("f1:Q", title=f"smoothed {measure} (%)", format=".1f"),
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


def change_chart(table: pd.DataFrame, *, measure: str = "F1") -> alt.Chart:
    """The labels that gained and lost most, as bars."""
    gained = table[table["change"] > 0].head(CHANGES_SHOWN)
    lost = table[table["change"] < 0].tail(CHANGES_SHOWN)
    shown = pd.concat([gained, lost], ignore_index=True)
    return (
        alt.Chart(shown)
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X("change:Q", title=f"change of {measure} (points)", axis=alt.Axis(gridColor=GRID)),
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
                alt.Tooltip("first:Q", title=f"first {measure} (%)", format=".1f"),
                alt.Tooltip("second:Q", title=f"second {measure} (%)", format=".1f"),
                alt.Tooltip("change:Q", format="+.1f"),
            ],
        )
        .properties(height=18 * len(shown) + MARGIN)
    )


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

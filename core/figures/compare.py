"""Charts of the page Compare: parts of a loss, F1 by label rank, changes label by label, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.analysis import tables
from core.figures import GRID, HEIGHT, MARGIN, colour_groups, count_columns, label_click
from core.figures.looks import Look
from core.labels.groups import FREQUENCY_GROUPS, UNSEEN, Borders, group_sizes, rank_by_frequency

POINTS = 240
"""Points of a smoothed line."""
CHANGES_SHOWN = 15
"""Labels that gained, and as many that lost, in the chart of two rows."""


def row_colour(looks: Mapping[str, Look], **more: Any) -> alt.Color:
    """The colour of the column `row`."""
    scale = alt.Scale(domain=list(looks), range=[look.colour for look in looks.values()])
    return alt.Color("row:N", title=None, sort=list(looks), scale=scale, **more)


def row_line(looks: Mapping[str, Look], shown: Sequence[str]) -> dict[str, alt.Color | alt.StrokeDash]:
    """Colour and dash of a line for each row, which one legend below the chart explains.

    Args:
        looks: of all rows, by name.
        shown: names of the rows that have a line.
    """
    kept = {name: looks[name] for name in looks if name in set(shown)}
    legend = alt.Legend(
        orient="bottom", columns=count_columns(list(kept)), labelLimit=0, symbolSize=500, symbolStrokeWidth=2.5
    )
    scale = alt.Scale(domain=list(kept), range=[list(look.dash) for look in kept.values()])
    dash = alt.StrokeDash("row:N", title=None, sort=list(kept), scale=scale, legend=legend)
    return {"color": row_colour(kept, legend=legend), "strokeDash": dash}


def ablation_chart(table: pd.DataFrame, *, score: str) -> alt.HConcatChart:
    """What each part adds, by frequency group: a dot with its interval, and a hollow diamond for the paper's number.

    Args:
        table: of `core.analysis.tables.ablation`.
        score: micro or macro, or ap of rankings.
    """
    # A chart for each frequency group, with a line for each pair of methods; all have one scale.
    part = table[table["score"].eq(score)].copy()
    part["pair"] = part["without"] + " → " + part["with"]
    part["sure"] = part["significant"].map({True: "more than chance", False: "may be chance"})
    order = list(dict.fromkeys(zip(part["part"], part["pair"], strict=True)))
    ends = part[["low", "high", "published"]].to_numpy(float).ravel()
    ends = np.append(ends[np.isfinite(ends)], 0.0)
    margin = 0.04 * (ends.max() - ends.min() or 1)
    domain = [float(ends.min() - margin), float(ends.max() + margin)]
    charts = []
    for place, group in enumerate(["total", *FREQUENCY_GROUPS, *([UNSEEN] if part["group"].eq(UNSEEN).any() else [])]):
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
            scale=alt.Scale(domain=domain, nice=False),
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
            alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color="gray").encode(x=alt.X("zero:Q")),
            base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y, color=colour),
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
            base.mark_point(shape="diamond", size=60, color="gray").encode(
                x=alt.X("published:Q"), y=y, tooltip=tooltip
            ),
        ]
        charts.append(alt.LayerChart(layer=layers, title=group.capitalize(), width=132, height=26 * len(order) + 10))
    return alt.HConcatChart(hconcat=charts, spacing=14).configure_view(strokeOpacity=0.3)


def smooth(values: np.ndarray, *, width: float) -> np.ndarray:
    """A Gaussian mean over neighbours in rank, (L,): `width` is its standard deviation in ranks."""
    ranks = np.arange(len(values), dtype=np.float64)
    chosen = ranks if len(ranks) <= POINTS else np.unique(np.geomspace(1, len(ranks), POINTS).round()) - 1
    weights = np.exp(-0.5 * ((chosen[:, None] - ranks[None, :]) / width) ** 2)
    return np.stack([chosen + 1, weights @ values / weights.sum(axis=1)])


def f1_by_rank(
    scores: Mapping[str, np.ndarray],
    looks: Mapping[str, Look],
    counts: Sequence[int],
    borders: Borders,
    *,
    measure: str = "F1",
) -> alt.LayerChart:
    """F1 by label rank, one smoothed line per row.

    Args:
        scores: F1 of each label (the mean of a row's seeds), (L,), by the names of the rows to draw.
        looks: of these rows and any others, by name.
        counts: training documents of each label, (L,).
        borders: drawn as rules between the groups.
        measure: what the scores are, in words.
    """
    # A smoothed line for each row.
    ranks = rank_by_frequency(np.asarray(counts))
    width = max(len(ranks) / 18, 1.0)
    parts = []
    for row, values in scores.items():
        place, smoothed = smooth(100 * values[np.argsort(ranks)], width=width)
        parts.append(pd.DataFrame({"rank": place, "f1": smoothed, "row": row}))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["rank", "f1", "row"])
    # Where the groups begin, with their names and sizes.
    groups = group_sizes(np.asarray(counts), borders)
    sizes = list(groups.values())
    starts = np.concatenate([[0], np.cumsum(sizes)])
    scale = alt.Scale(type="log" if len(ranks) > 1000 else "linear", domain=[1, max(len(ranks), 2)], nice=False)
    x = alt.X("rank:Q", title="rank of the label, the most frequent first", scale=scale)
    bands = pd.DataFrame(
        {
            "edge": [max(start, 1) + 0.5 * (start > 0) for start in starts[:-1]],
            "text": [f"{group} ({size})" for group, size in groups.items()],
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
            **row_line(looks, list(scores)),
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
        .encode(x=alt.X("edge:Q", scale=scale), y=alt.YValue(0), text=alt.Text("text:N"))
    )
    return alt.LayerChart(layer=[rules, words, lines], height=380 + 22 * -(-len(scores) // count_columns(list(scores))))


def change_chart(table: pd.DataFrame, *, measure: str = "F1") -> alt.Chart:
    """The labels that gained and lost most, as bars; a click on one answers with its label."""
    gained = table[table["change"] > 0].head(CHANGES_SHOWN)
    lost = table[table["change"] < 0].tail(CHANGES_SHOWN)
    shown = pd.concat([gained, lost], ignore_index=True)
    return (
        alt.Chart(shown)
        .mark_bar(height={"band": 0.7}, cursor="pointer")
        .encode(
            x=alt.X("change:Q", title=f"change of {measure} (points)", axis=alt.Axis(gridColor=GRID)),
            y=alt.Y(
                "label:N",
                sort=list(shown["label"]),
                title=None,
                axis=alt.Axis(labelLimit=220, labelOverlap=False, labelFlush=False),
            ),
            color=colour_groups(shown["group"]),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("group:N"),
                alt.Tooltip("train:Q", title="train documents", format=","),
                alt.Tooltip("support:Q", title="test documents", format=","),
                alt.Tooltip("first:Q", title=f"first {measure} (%)", format=".1f"),
                alt.Tooltip("second:Q", title=f"second {measure} (%)", format=".1f"),
                alt.Tooltip("change:Q", format="+.1f"),
            ],
        )
        .add_params(label_click("label"))
        .properties(height=18 * max(len(shown), 3) + MARGIN + 30)
    )


def training_chart(frame: pd.DataFrame, looks: Mapping[str, Look], *, column: str) -> alt.Chart:
    """Validation F1 (micro, macro) or the training loss by epoch, one line per run with the look of its row.

    Args:
        frame: of `core.analysis.compare.training_frame`.
        looks: of its rows and any others, by name.
        column: micro, macro or loss.
    """
    titles = {"micro": "validation micro-F1 (%)", "macro": "validation macro-F1 (%)", "loss": "training loss"}
    hover = alt.selection_point(fields=["row"], on="pointerover", empty=True, name="row")
    scale = alt.Scale(type="log") if column == "loss" else alt.Scale(zero=False)
    shown = frame[["row", "run", "epoch", column]].dropna()
    names = list(dict.fromkeys(shown["row"]))
    return (
        alt.Chart(shown)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y(f"{column}:Q", title=titles[column], scale=scale),
            **row_line(looks, names),
            detail=alt.Detail("run:N"),
            opacity=alt.condition(hover, alt.value(0.95), alt.value(0.12)),
            tooltip=[
                alt.Tooltip("row:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip(f"{column}:Q", format=".4g"),
            ],
        )
        .add_params(hover)
        .properties(height=HEIGHT + 22 * -(-len(names) // count_columns(names)))
    )

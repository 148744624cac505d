"""Terms of the glossary as small charts with made-up numbers."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import numpy as np
import pandas as pd

from core.figures import GRID, GROUP_COLOURS

WIDTH, LOW = 250, 190
"""Pixels of a picture."""
BLUE, GREEN, RED = (GROUP_COLOURS[group] for group in ("head", "medium", "tail"))
Picture = alt.Chart | alt.LayerChart


def _bars(rows: dict[str, float], title: str, colours: tuple[str, ...], *, form: str = ".0%") -> alt.LayerChart:
    """A bar with its number for each name."""
    table = pd.DataFrame({"name": list(rows), "value": list(rows.values())})
    base = alt.Chart(table).encode(
        y=alt.Y(
            "name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150, labelOverlap=False, tickSize=0, domain=False)
        ),
        x=alt.X("value:Q", title=title, axis=alt.Axis(format=form, tickCount=4, gridColor=GRID)),
    )
    colour = alt.Color("name:N", scale=alt.Scale(domain=list(rows), range=list(colours)), legend=None)
    numbers = base.mark_text(align="left", dx=4, color="#808080").encode(text=alt.Text("value:Q", format=form))
    return _sized(base.mark_bar().encode(color=colour), numbers)


def _curve(x: np.ndarray, y: np.ndarray, titles: tuple[str, str]) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"x": x, "y": y}))
        .mark_line(color=BLUE)
        .encode(
            x=alt.X("x:Q", title=titles[0], axis=alt.Axis(tickCount=5, gridColor=GRID)),
            y=alt.Y("y:Q", title=titles[1], axis=alt.Axis(tickCount=4, gridColor=GRID)),
        )
    )


def _line_at(value: float) -> alt.Chart:
    return alt.Chart(pd.DataFrame({"x": [value]})).mark_rule(color=RED, strokeDash=[4, 3]).encode(x=alt.X("x:Q"))


def _sized(*layers: alt.Chart) -> alt.LayerChart:
    return alt.LayerChart(layer=list(layers), width=WIDTH, height=LOW)


def lift() -> Picture:
    """The share of documents with i among all, and among those with j."""
    rows = {"of all documents": 0.1, "of those with j": 0.4}
    return _bars(rows, "with label i (lift 4)", (BLUE, RED))


def logit() -> Picture:
    """Score by logit."""
    x = np.linspace(-6, 6, 49)
    return _sized(_curve(x, 1 / (1 + np.exp(-x)), ("logit", "score")), _line_at(0))


def threshold() -> Picture:
    """Scores of documents with and without a label, and a threshold between."""
    with_label, without = "with the label", "without it"
    table = pd.DataFrame(
        {
            "score": [0.35, 0.58, 0.7, 0.82, 0.9, 0.97, 0.03, 0.08, 0.12, 0.2, 0.28, 0.41, 0.62],
            "documents": [with_label] * 6 + [without] * 7,
        }
    )
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=60, opacity=0.9)
        .encode(
            x=alt.X(
                "score:Q",
                title="score; right of the line the label is given",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(tickCount=5, gridColor=GRID),
            ),
            y=alt.Y("documents:N", sort=None, title=None, axis=alt.Axis(tickSize=0, domain=False)),
            color=alt.Color(
                "documents:N", scale=alt.Scale(domain=[with_label, without], range=[GREEN, BLUE]), legend=None
            ),
        )
    )
    rule = alt.Chart(pd.DataFrame({"score": [0.5]})).mark_rule(color=RED, strokeWidth=2).encode(x=alt.X("score:Q"))
    return _sized(points, rule)


def averages() -> Picture:
    """Micro-F1 and macro-F1 of a frequent and a rare label: hits 90 of 100 and 1 of 5."""
    frequent, rare = (90, 10, 10), (1, 0, 4)
    f1 = [2 * hit / (2 * hit + wrong + missed) for hit, wrong, missed in (frequent, rare)]
    hit, wrong, missed = (sum(both) for both in zip(frequent, rare, strict=True))
    rows = {
        "frequent label (100)": f1[0],
        "rare label (5)": f1[1],
        "micro-F1": 2 * hit / (2 * hit + wrong + missed),
        "macro-F1": sum(f1) / 2,
    }
    return _bars(rows, "F1", (BLUE, RED, GREEN, GREEN))


def long_tail() -> Picture:
    """Documents of labels by rank, in three groups."""
    rank = np.arange(1, 31)
    group = np.where(rank <= 4, "head", np.where(rank <= 12, "medium", "tail"))
    table = pd.DataFrame({"rank": rank, "documents": np.round(400 / rank**1.3), "group": group})
    names = ["head", "medium", "tail"]
    chart = (
        alt.Chart(table, width=WIDTH, height=LOW)
        .mark_bar()
        .encode(
            x=alt.X("rank:O", title="labels by rank", axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("documents:Q", title="documents", axis=alt.Axis(tickCount=3, gridColor=GRID)),
            color=alt.Color(
                "group:N",
                scale=alt.Scale(domain=names, range=[GROUP_COLOURS[name] for name in names]),
                legend=alt.Legend(orient="top", title=None),
            ),
        )
    )
    return chart  # noqa: RET504 - its type


def weight_by_r() -> Picture:
    """The rebalanced weight by r, with mu as a line, at the constants of Reuters."""
    x = np.linspace(0, 1, 51)
    return _sized(_curve(x, 0.1 + 1 / (1 + np.exp(-10 * (x - 0.3))), ("r", "weight")), _line_at(0.3))


def shift_by_count() -> Picture:
    """The shift of a label by its share of the documents, at kappa 0.05."""
    share = np.geomspace(1e-4, 0.4, 50)
    chart = _curve(share * 100, 0.05 * np.log(1 / share - 1), ("documents with the label (%)", "shift"))
    chart.encoding.x.scale = alt.Scale(type="log")
    return _sized(chart)


def calibration() -> Picture:
    """Share of right labels by score: of a calibrated model, and of one that is too sure."""
    x = np.linspace(0, 1, 21)
    sure, right = "too sure", "calibrated"
    table = pd.concat(
        [pd.DataFrame({"x": x, "y": x, "model": right}), pd.DataFrame({"x": x, "y": x**2, "model": sure})]
    )
    lines = (
        alt.Chart(table)
        .mark_line()
        .encode(
            x=alt.X("x:Q", title="score", axis=alt.Axis(tickCount=5, gridColor=GRID)),
            y=alt.Y("y:Q", title="share that is right", axis=alt.Axis(tickCount=4, gridColor=GRID)),
            color=alt.Color(
                "model:N",
                scale=alt.Scale(domain=[right, sure], range=[GREEN, RED]),
                legend=alt.Legend(orient="top", title=None),
            ),
        )
    )
    return _sized(lines)


PICTURES: dict[str, Callable[[], Picture]] = {
    "lift": lift,
    "logit": logit,
    "score": logit,
    "threshold": threshold,
    "micro-F1": averages,
    "macro-F1": averages,
    "long tail": long_tail,
    "head": long_tail,
    "medium": long_tail,
    "tail": long_tail,
    "MeanIR": long_tail,
    "mu": weight_by_r,
    "kappa": shift_by_count,
    "shift": shift_by_count,
    "calibration": calibration,
}
"""What draws a term's picture."""

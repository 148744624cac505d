"""Charts of the page Errors: F1 by frequency, precision and recall, the map of confused labels, words, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from core.analysis.trade_off import GLOBAL, QUIET
from core.figures import HEIGHT, MARGIN, MAX_MARKS, colour_groups, label_click
from core.figures.together import write_in_cells
from core.labels.groups import EVERY_GROUP, Borders

NAMES_SHOWN = 6
NUMBERED, NUMBERED_CELL = 12, 44
"""Labels up to which the cells of a map have room for numbers, and pixels of a cell then."""
NO_TRAINING = 0.5
"""Where a label without training documents stands on the logarithmic axis, whose tick there says 0."""
MAP_COLOURS = ["rgba(230, 85, 13, 0.08)", "rgba(230, 85, 13, 1)"]
"""From next to nothing to all: of little opacity instead of pale, so that a dark page shows little as little, too."""
CURVE_COLOURS = {GLOBAL: "#4a72c4", QUIET: "#d95f02"}
RULE_COLOUR = "#b05c8e"
NOW_COLOUR = "#1b9e77"
TRADE_OFF_HEIGHT, TRADE_OFF_WIDTH = 460, 330
"""Pixels of the chart's height, and of its plot's width at least."""
LINE, LETTER, NAME_WIDTH = 13.0, 5.4, 190
"""Pixels from one name beside a point to the next, of a letter, and of a name at most."""


def f1_points(table: pd.DataFrame, *, limit: int = MAX_MARKS) -> pd.DataFrame:
    """Labels as points: those with the same training count and F1 are one point; many points are binned.

    Returns:
        Columns train, f1 (percent), group, labels (how many the point stands for), names, places (its first rows of the
        table, `NAMES_SHOWN` at most, in a text); at most `limit` rows as long as that leaves room for the bins (100 or
        more).
    """
    points = table[["label", "group", "train", "f1"]].assign(f1=100 * table["f1"], x=table["train"], y=0.0)
    points["place"] = range(len(table))
    points["y"] = points["f1"].round(2)
    if len(points.drop_duplicates(["x", "y"])) > limit:
        levels = 21
        step = math.log(max(points["train"].max(), 2)) / max(limit // levels - len(EVERY_GROUP), 1)
        points["x"] = np.floor(np.log(points["train"].clip(lower=NO_TRAINING)) / step)
        points["y"] = (points["f1"] / 5).round()
    grouped = points.groupby(["group", "x", "y"], sort=False)
    return grouped.agg(
        train=("train", "mean"),
        f1=("f1", "mean"),
        labels=("label", "size"),
        names=("label", _few),
        places=("place", lambda places: " ".join(map(str, places.head(NAMES_SHOWN)))),
    ).reset_index()[["train", "f1", "group", "labels", "names", "places"]]


def _few(names: pd.Series) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names.head(NAMES_SHOWN)) + (f" and {rest} more" if rest > 0 else "")


def f1_by_frequency(tables: Mapping[str, pd.DataFrame], borders: Borders, *, part: str = "test") -> alt.LayerChart:
    """F1 of every label against its number of training documents (logarithmic), coloured by frequency group.

    A click on a point answers with its places, of `f1_points`.

    Args:
        tables: by a run's name, its `label_table`; the second run has other marks.
        borders: drawn as rules.
        part: whose documents are scored.
    """
    # Points of each run.
    limit = MAX_MARKS // max(len(tables), 1)
    points = pd.concat(
        [f1_points(table, limit=limit).assign(run=name) for name, table in tables.items()], ignore_index=True
    )
    points["x"] = points["train"].clip(lower=NO_TRAINING)
    # Axes; labels without training documents stand below 1, on the tick 0.
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
        .mark_point(filled=True, opacity=0.75, strokeWidth=1, cursor="pointer")
        .encode(
            x=alt.X("x:Q", title="documents of the train part", scale=scale, axis=axis),
            y=alt.Y("f1:Q", title=f"F1 on the {part} part (%)", scale=alt.Scale(domain=[0, 100])),
            color=colour_groups(points["group"]),
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
        .add_params(label_click("places"))
    )
    # Borders in reach of the axis.
    edges = pd.DataFrame({"x": [borders.tail + 0.5, borders.head - 0.5]})
    rules = alt.Chart(edges[edges["x"].between(low, high)]).mark_rule(strokeDash=[4, 4], color="gray")
    return alt.LayerChart(layer=[rules.encode(x=alt.X("x:Q", scale=scale)), marks], height=360)


def precision_recall_chart(curve: pd.DataFrame, now: Mapping[str, float]) -> alt.LayerChart:
    """The curve of `precision_recall`, and where the label stands now (precision and recall in percent).

    A click on a point answers with its place in the curve.
    """
    x = alt.X("recall:Q", title="recall (%)", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("precision:Q", title="precision (%)", scale=alt.Scale(domain=[0, 100]))
    tooltip = [
        alt.Tooltip("threshold:Q", title="down to score", format=".4g"),
        *(alt.Tooltip(f"{name}:Q", title=f"{name} (%)", format=".1f") for name in ("precision", "recall", "f1")),
    ]
    # A click on the line, whose rows have no place, is none.
    line = alt.Chart(curve).mark_line(strokeWidth=1.5, color=CURVE_COLOURS[GLOBAL]).encode(x=x, y=y)
    base = alt.Chart(curve.assign(place=np.arange(len(curve)))).encode(x=x, y=y)
    points = base.mark_point(filled=True, size=40, opacity=1, color=CURVE_COLOURS[GLOBAL], cursor="pointer")
    click = alt.selection_point(fields=["place"], name="point")
    here = alt.Chart(pd.DataFrame([dict(now)])).mark_point(size=190, strokeWidth=3, color="#d95f02")
    return alt.LayerChart(
        layer=[
            line,
            here.encode(x=x, y=y, tooltip=[alt.Tooltip("precision:Q"), alt.Tooltip("recall:Q")]),
            points.encode(tooltip=tooltip).add_params(click),
        ],
        height=HEIGHT,
    )


def trade_off_chart(
    curve: pd.DataFrame,
    points: pd.DataFrame,
    now: Mapping[str, float],
    ranges: tuple[tuple[float, float], tuple[float, float]],
) -> alt.LayerChart:
    """Tail macro-F1 against micro-F1 of a part: curves, rules as named points, and a ring around what is chosen now.

    A click answers with `place`: the row of the curve's table, or behind its last the row of the points.

    Args:
        curve: of `core.analysis.trade_off.curve_table`, with words for each value.
        points: of `core.analysis.trade_off.merge_points`.
        now: micro and tail in percent.
        ranges: of micro-F1 and of tail macro-F1.
    """
    x = alt.X(
        "micro:Q",
        title="micro-F1 of all labels (%)",
        axis=alt.Axis(tickCount=7),
        scale=alt.Scale(domain=list(ranges[0]), nice=False),
    )
    y = alt.Y("tail:Q", title="macro-F1 of the tail (%)", scale=alt.Scale(domain=list(ranges[1]), nice=False))
    colour = alt.Color(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=list(CURVE_COLOURS), range=list(CURVE_COLOURS.values())),
        legend=alt.Legend(orient="top"),
    )
    scores = [
        alt.Tooltip("micro:Q", title="micro-F1 (%)", format=".2f"),
        alt.Tooltip("tail:Q", title="tail macro-F1 (%)", format=".2f"),
    ]
    # Curves, of which a click takes a point; the lines have no place to answer with.
    shown = curve.assign(place=np.arange(len(curve)))
    shown = shown[shown["micro"].between(*ranges[0]) & shown["tail"].between(*ranges[1])]
    lines = alt.Chart(shown.rename(columns={"place": "step"}).drop(columns="words")).encode(x=x, y=y, color=colour)
    dots = (
        alt.Chart(shown)
        .encode(x=x, y=y, color=colour)
        .mark_point(filled=True, size=36, opacity=0.75, cursor="pointer")
        .encode(tooltip=[alt.Tooltip("words:N", title="here"), *scores])
    )
    layers = [
        lines.mark_line(strokeWidth=1.5, opacity=0.5).encode(order=alt.Order("step:Q")),
        alt.Chart(pd.DataFrame([dict(now)])).mark_point(size=330, strokeWidth=2.5, color=NOW_COLOUR).encode(x=x, y=y),
        dots.add_params(alt.selection_point(fields=["place"], name="point")),  # hears clicks on every layer
    ]
    # Rules, with their names beside them.
    points = points.assign(place=len(curve) + np.arange(len(points)))
    named = _beside(points[points["micro"].between(*ranges[0]) & points["tail"].between(*ranges[1])], ranges)
    marks = alt.Chart(named).mark_point(
        filled=True, shape="diamond", size=110, opacity=1, color=RULE_COLOUR, cursor="pointer"
    )
    layers.append(marks.encode(x=x, y=y, tooltip=[alt.Tooltip("names:N", title="rule"), *scores]))
    sides: tuple[tuple[Literal["left", "right"], int], ...] = (("left", 9), ("right", -9))
    for align, shift in sides:
        text = alt.Chart(named[named["align"] == align]).mark_text(
            align=align, dx=shift, baseline="middle", color=RULE_COLOUR, fontSize=11, limit=NAME_WIDTH
        )
        layers.append(text.encode(x=x, y=alt.Y("at:Q"), text=alt.Text("names:N")))
    return alt.LayerChart(layer=layers, height=TRADE_OFF_HEIGHT)


def _beside(points: pd.DataFrame, ranges: tuple[tuple[float, float], tuple[float, float]]) -> pd.DataFrame:
    """Points with a place for each name that no other name covers: columns align, and at, on the axis of the tail."""
    (left, right), (bottom, top) = ranges
    wide, high = TRADE_OFF_WIDTH / max(right - left, 1e-9), (TRADE_OFF_HEIGHT - MARGIN) / max(top - bottom, 1e-9)
    taken: list[tuple[float, float, float]] = []
    found = []
    for point in points.sort_values("tail", ascending=False).to_dict("records"):
        x, y = (point["micro"] - left) * wide, (point["tail"] - bottom) * high
        length = LETTER * min(len(point["names"]), NAME_WIDTH / LETTER) + 10
        # The nearest line that is free, on the side that has more room first.
        inner, outer = ("left", "right") if x < TRADE_OFF_WIDTH / 2 else ("right", "left")
        places = [
            (align, y + LINE * step, *((x, x + length) if align == "left" else (x - length, x)))
            for step in sorted(range(-8, 9), key=lambda step: (abs(step), step))
            for align in (inner, outer)
        ]
        free = (
            (align, at, start, end)
            for align, at, start, end in places
            if at >= 0
            and start >= 0
            and end <= TRADE_OFF_WIDTH
            and all(abs(at - other) >= LINE or end < low or start > far for other, low, far in taken)
        )
        align, at, start, end = next(free, places[0])
        taken.append((at, start, end))
        found.append({**point, "align": align, "at": bottom + at / high})
    return pd.DataFrame(found, columns=[*points.columns, "align", "at"])


def confusion_map_chart(table: pd.DataFrame, *, view: str, found: str = "", dark: bool = False) -> alt.LayerChart:
    """`confusion_map` as a heatmap; a click on a cell answers with its true and predicted label.

    Up to `NUMBERED` labels a cell says its share and its documents. The row and the column of `found` are marked.
    """
    # Labels in the order of the map.
    rows = list(dict.fromkeys(table.sort_values("place_true")["true"]))
    columns = list(dict.fromkeys(table.sort_values("place_predicted")["predicted"]))
    names = [*rows, *(name for name in columns if name not in rows)]
    click = alt.selection_point(fields=["true", "predicted"], name="cell")
    titles = {
        "recall": "share of the true label's documents (%)",
        "precision": "share of the predicted label's documents (%)",
    }
    every: dict[str, Any] = {"labelOverlap": False, "labelFlush": False}
    x = alt.X("predicted:N", sort=names, title="predicted", axis=alt.Axis(labelAngle=-90, labelLimit=110, **every))
    y = alt.Y("true:N", sort=names, title="true", axis=alt.Axis(labelLimit=110, **every))
    tooltip = [
        alt.Tooltip("true:N", title="true label"),
        alt.Tooltip("predicted:N", title="predicted label"),
        alt.Tooltip("share:Q", title=f"{titles[view][:-4]} (%)", format=".1f"),
        alt.Tooltip("documents:Q", format=".2f"),
    ]
    # Size by labels; the diagonal is grey, for it is no confusion.
    numbered = len(names) <= NUMBERED
    side = max((NUMBERED_CELL if numbered else 18) * len(names), 200)
    shown = table.assign(right=table["true"] == table["predicted"])
    colour = alt.condition(
        "datum.right",
        alt.value("#8888884d"),
        alt.Color(
            "share:Q",
            title=titles[view],
            scale=alt.Scale(range=MAP_COLOURS, type="sqrt", domain=[0, max(shown["share"][~shown["right"]].max(), 1)]),
            legend=alt.Legend(orient="top", gradientLength=220, titleLimit=400),
        ),
    )
    cells = (
        alt.Chart(shown)
        .mark_rect(cursor="pointer")
        .encode(
            x=x,
            y=y,
            tooltip=tooltip,
            color=colour,
            stroke=alt.condition(click, alt.value("#333333"), alt.value(None), empty=False),
        )
        .add_params(click)
    )
    layers = [cells]
    if numbered:
        most = max(shown["share"][~shown["right"]].max(), 1)
        named = shown.assign(
            words=[f"{share:.0f} %" for share in shown["share"]],
            small=[f"{number:.2g}" if number < 10 else f"{number:,.0f}" for number in shown["documents"]],
            strong=~shown["right"] & (shown["share"] > most / 2),
        )
        layers += write_in_cells(named, x, y, dark)
    if found in names:
        layers += [
            alt.Chart(pd.DataFrame({field: [found]})).mark_rect(
                fillOpacity=0, stroke=NOW_COLOUR, strokeWidth=2, strokeDash=[4, 2], tooltip=None
            ).encode(**{axis: alt.Y(f"{field}:N", sort=names) if axis == "y" else alt.X(f"{field}:N", sort=names)})
            for axis, field, kept in (("x", "predicted", columns), ("y", "true", rows))
            if found in kept
        ]  # fmt: skip
    return alt.LayerChart(layer=layers, width=side, height=side)


def calibration_chart(curve: pd.DataFrame) -> alt.LayerChart:
    """How often a label is true where its score is s, by frequency group; the diagonal is perfect.

    Args:
        curve: of `core.analysis.errors.calibration`; may be empty.
    """
    perfect = alt.Chart(pd.DataFrame({"s": [0.0, 1.0]})).mark_line(color="gray", strokeDash=[4, 4])
    lines = (
        alt.Chart(curve)
        .mark_line(point=True)
        .encode(
            x=alt.X("score:Q", title="mean score", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("true:Q", title="share that is true", scale=alt.Scale(domain=[0, 1])),
            color=colour_groups(curve["group"], more=["all"]),
            tooltip=[
                alt.Tooltip("group:N"),
                alt.Tooltip("score:Q", format=".3f"),
                alt.Tooltip("true:Q", format=".3f"),
                alt.Tooltip("pairs:Q", title="scores", format=","),
            ],
        )
    )
    return alt.LayerChart(layer=[perfect.encode(x=alt.X("s:Q"), y=alt.Y("s:Q")), lines], height=HEIGHT)

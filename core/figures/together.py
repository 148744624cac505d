"""Heatmaps of labels that come together: `cooccurrence` of some of them, `density` of all in bins of their ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.figures import GROUP_COLOURS
from core.figures.data import log_ticks

CELL = "cell"
"""Name of the selection of a heatmap."""
LONGEST_NAME = 60
"""Letters of a label's name in a chart; the rest is left out there."""
WIDEST_NAME, TALLEST_NAME = 170, 120
"""Pixels of a name beside and above a heatmap: its cells keep their room however long the names are."""
NUMBERED = 12
"""Labels up to which the cells of a heatmap have room for numbers."""
TEXT = {False: "#1c2430", True: "#e6e9ef"}
"""Colour of text by whether the page is dark."""
NUMBERED_ROW = 34
"""Pixels of its rows then."""
OF_EVERY_OBJECT = frozenset(
    [
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
    ]
)
"""Names that every JavaScript object has: on a chart's axis they are taken for those and nothing is drawn."""
WORD_JOINER = "\u2060"
"""A letter that is not seen."""


def short_names(names: Sequence[str], columns: Sequence[int]) -> dict[int, str]:
    """A name to write in a chart for each label column, of at most `LONGEST_NAME` letters; no two are the same."""
    shown: dict[int, str] = {}
    taken: set[str] = set()
    for column in dict.fromkeys(columns):
        name = " ".join(names[column].split()) or "(blank)"
        name = WORD_JOINER + name if name in OF_EVERY_OBJECT else name
        short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        number = 2
        while short in taken:
            mark = f"… ({number})"
            short, number = f"{name[: LONGEST_NAME - len(mark)]}{mark}", number + 1
        taken.add(short)
        shown[int(column)] = short
    return shown


def cooccurrence(
    frame: pd.DataFrame, names: Sequence[str], *, colour: str = "p", dark: bool = False
) -> alt.Chart | alt.LayerChart:
    """Ordered pairs of labels as a heatmap, row j and column i; a click selects a cell (`CELL`: fields j and i).

    Up to `NUMBERED` labels a cell says its number, and below it how many documents have both.

    Args:
        frame: of `core.labels.cooccurrence.block`; a label beside itself, and pairs without a document, are left blank.
        names: all labels, by column.
        colour: `p`, from pale to full; or `lift`, one colour for more often than by chance and one for less.
        dark: whether the page is.
    """
    # A row for each cell that is drawn.
    order = list(dict.fromkeys(frame["label"].tolist()))
    words = short_names(names, order)
    pairs = frame[(frame["label"] != frame["other"]) & (frame["both"] > 0) & frame["p"].notna()]
    rows = pd.DataFrame(
        {
            "j": pairs["label"],
            "i": pairs["other"],
            "given": pairs["label"].map(words),
            "label": pairs["other"].map(words),
            **pairs[["p", "lift", "both", "documents"]],
        }
    )
    # Sizes by the number of labels.
    cell = alt.selection_point(name=CELL, fields=["j", "i"], empty=False, clear=False)
    few, many = len(order) <= 24, len(order) > 60
    shown = [words[column] for column in order]
    band = alt.Scale(domain=shown, paddingInner=0.06 if len(order) <= 60 else 0)
    look: dict[str, Any] = {"ticks": False, "domain": False, "grid": False, "labelFlush": False}
    look["labelFontSize"] = 12 if few else 9
    # Colour and opacity, with their legend.
    fills: dict[str, Any] = {"color": alt.value(GROUP_COLOURS["head"])}
    legend: dict[str, Any] = {"orient": "top", "symbolType": "square", "direction": "horizontal"}
    if colour == "lift":
        rows["strength"] = np.log2(rows["lift"]).abs()
        than = ["more often", "less often"]
        rows["than"] = np.where(rows["lift"] >= 1, *than)
        scale = alt.Scale(domain=than, range=[GROUP_COLOURS["head"], GROUP_COLOURS["tail"]])
        fills["color"] = alt.Color(
            "than:N", title="than by chance", scale=scale, legend=alt.Legend(labelLimit=0, **legend)
        )
        times = alt.Legend(
            title="how many times",
            values=[1, 3, 6],
            symbolFillColor="gray",
            labelExpr="format(pow(2, datum.value), '.0f') + '×'",
            **legend,
        )
        strength = alt.Scale(domain=[0, 6], range=[0.08, 1], clamp=True)
        fills["opacity"] = alt.Opacity("strength:Q", scale=strength, legend=times)
    else:
        shares = alt.Legend(title="p(i given j)", values=[0.05, 0.2, 0.5, 1], format=".0%", **legend)
        strength = alt.Scale(type="sqrt", domain=[0, 1], range=[0.1, 1])
        fills["opacity"] = alt.Opacity("p:Q", scale=strength, legend=shares)
    x = alt.X(
        "label:N",
        title="label i",
        sort=shown,
        scale=band,
        axis=alt.Axis(
            orient="top",
            labelAngle=-60 if few else -90,
            labelLimit=TALLEST_NAME,
            labelOverlap=False if few else "greedy",
            **look,
        ),
    )
    y = alt.Y(
        "given:N",
        title="given label j",
        sort=shown,
        scale=band,
        axis=alt.Axis(labelLimit=WIDEST_NAME, labelOverlap=False, **look),
    )
    numbered = len(order) <= NUMBERED
    cells = (
        alt.Chart(rows)
        .mark_rect(cornerRadius=0 if many else 1, strokeWidth=2.5, cursor="pointer")
        .encode(
            x=x,
            y=y,
            stroke=alt.condition(cell, alt.value(GROUP_COLOURS["tail"]), alt.value("#00000000")),
            tooltip=[
                alt.Tooltip("given:N", title="given j"),
                alt.Tooltip("label:N", title="label i"),
                alt.Tooltip("p:Q", title="p(i given j)", format=".1%"),
                alt.Tooltip("lift:Q", format=",.2f"),
                alt.Tooltip("both:Q", title="documents with both", format=",d"),
                alt.Tooltip("documents:Q", title="documents with j", format=",d"),
            ],
            **fills,
        )
        .add_params(cell)
    )
    if numbered:
        layers = [cells, *_cell_numbers(rows, x, y, colour, dark)]
        chart: alt.Chart | alt.LayerChart = alt.LayerChart(layer=layers, height=NUMBERED_ROW * len(order) + 210)
    else:
        chart = cells.properties(height=max(220, (22 if few else 12) * len(order) + 210))
    return chart.configure_view(fill="#8888880f", stroke=None)


def _cell_numbers(rows: pd.DataFrame, x: alt.X, y: alt.Y, colour: str, dark: bool) -> list[alt.Chart]:
    """What the cells of a small heatmap say: the share in per cent, or the lift, and below it the documents."""
    words = ["< 1 %" if share < 0.005 else f"{100 * share:.0f} %" for share in rows["p"]]
    if colour == "lift":
        words = [f"{lift:,.0f}×" if lift >= 10 else f"{lift:.2g}×" for lift in rows["lift"]]
    strong = rows["p"] >= 0.5 if colour == "p" else rows["strength"] >= 3
    return write_in_cells(rows.assign(words=words, strong=strong, small=[f"{n:,}" for n in rows["both"]]), x, y, dark)


def write_in_cells(rows: pd.DataFrame, x: alt.X, y: alt.Y, dark: bool) -> list[alt.Chart]:
    """Two lines in each cell of a heatmap: white where the cell is strong, else in the colour of the page's text.

    Args:
        rows: columns words, small (below it), strong, and those of the axes.
        x: of the cells.
        y: of the cells.
        dark: whether the page is.
    """
    layers = []
    for strong, part in rows.groupby("strong"):
        base = alt.Chart(part).encode(x=x, y=y)
        look: dict[str, Any] = {"cursor": "pointer", "color": "white" if strong else TEXT[dark]}
        layers.append(base.mark_text(dy=-6, fontSize=12, fontWeight="bold", **look).encode(text=alt.Text("words:N")))
        layers.append(base.mark_text(dy=8, fontSize=10, **look).encode(text=alt.Text("small:N")))
    return layers


def density(frame: pd.DataFrame, number: int, *, colour: str = "density") -> alt.Chart:
    """All labels against all labels in bins of neighbouring ranks; a click selects a cell (`CELL`: row and column).

    Args:
        frame: of `core.labels.cooccurrence.density`.
        number: of all labels.
        colour: `density`, the share of pairs that share a document; or `p`, the mean of p(i given j).
    """
    # Cells, from the first rank to one beyond the last.
    titles = {"density": "share of pairs that share a document", "p": "mean of p(i given j)"}
    ends = {"first": "first", "last": "end", "other_first": "other_first", "other_last": "other_end"}
    rows = frame[["row", "column", "pairs", "density", "p", "both", "first", "other_first"]].assign(
        end=frame["last"] + 1, other_end=frame["other_last"] + 1
    )
    for first, last, words in (("first", "last", "given"), ("other_first", "other_last", "beside")):
        both = zip(frame[first], frame[last], strict=True)
        rows[words] = [f"{one:,}" if one == two else f"{one:,} to {two:,}" for one, two in both]
    # Rectangles on logarithmic axes.
    cell = alt.selection_point(name=CELL, fields=["row", "column"], empty=False, clear=False)
    ticks = alt.Axis(values=log_ticks(number), format=",d", grid=False)
    scale: dict[str, Any] = {"type": "log", "domain": [1, number + 1], "nice": False}
    return (
        alt.Chart(rows)
        .mark_rect(color=GROUP_COLOURS["head"], strokeWidth=2, cursor="pointer")
        .encode(
            x=alt.X(
                f"{ends['other_first']}:Q",
                title="rank of label i",
                scale=alt.Scale(**scale),
                axis=alt.Axis(orient="top", values=log_ticks(number), format=",d", grid=False),
            ),
            x2=alt.X2(f"{ends['other_last']}:Q"),
            y=alt.Y(f"{ends['first']}:Q", title="rank of label j", scale=alt.Scale(**scale, reverse=True), axis=ticks),
            y2=alt.Y2(f"{ends['last']}:Q"),
            opacity=alt.Opacity(
                f"{colour}:Q",
                scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.02, 1]),
                legend=alt.Legend(
                    title=titles[colour],
                    titleLimit=0,
                    orient="top",
                    values=[0.01, 0.1, 0.5, 1],
                    format=".0%",
                    symbolType="square",
                ),
            ),
            stroke=alt.condition(cell, alt.value(GROUP_COLOURS["tail"]), alt.value("#00000000")),
            tooltip=[
                alt.Tooltip("given:N", title="labels j, ranks"),
                alt.Tooltip("beside:N", title="labels i, ranks"),
                alt.Tooltip("density:Q", title="pairs that share a document", format=".2%"),
                alt.Tooltip("p:Q", title="mean of p(i given j)", format=".2%"),
                alt.Tooltip("pairs:Q", title="pairs", format=",d"),
            ],
        )
        .add_params(cell)
        .properties(height=520)
        .configure_view(fill="#8888880f", stroke=None)
    )

"""Charts of the page Explorer: the tail, numbers of labels, lengths, labels that come together, drift.

`rank_frequency`, `group_shares`, `labels_per_document` and `lorenz` are about the tail, `cooccurrence` and `density`
about pairs of labels. The functions before them choose axes, colours, and the points of long tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.figures import GRID, GROUP_COLOURS, HEIGHT, MAX_MARKS
from core.labels.groups import FREQUENCY_GROUPS, Borders
from core.labels.measures import FALSE_SHARE

NO_DOCUMENT = 0.5
"""Where a label without train documents stands on a logarithmic axis, whose tick there says 0."""
MOST_LABELS = 24
"""Documents with this many labels or more share one bar."""
CELL = "cell"
"""Name of the selection of a heatmap."""
LONGEST_NAME = 60
"""Letters of a label's name in a chart; the rest is left out there."""
WIDEST_NAME, TALLEST_NAME = 170, 120
"""Pixels of a name beside and above a heatmap: its cells keep their room however long the names are."""
BINS = 50
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


def group_colour(title: str | None = None, *, legend: bool = True) -> alt.Color:
    """Colour by column `group`: head, medium, tail as on every page."""
    scale = alt.Scale(domain=list(FREQUENCY_GROUPS), range=[GROUP_COLOURS[group] for group in FREQUENCY_GROUPS])
    return alt.Color(
        "group:N",
        title=title,
        sort=list(FREQUENCY_GROUPS),
        scale=scale,
        legend=alt.Legend(orient="top", symbolType="circle") if legend else None,
    )


def spread_over_ranks(number: int, limit: int = MAX_MARKS) -> np.ndarray:
    """Positions 0..number-1 to draw on a logarithmic rank axis: all, or about `limit` evenly spaced on it.

    Returns:
        Rising positions without repetition, the first and the last among them, at most `limit`.
    """
    if number <= limit:
        return np.arange(number)
    return np.unique(np.geomspace(1, number, limit).round().astype(np.int64)) - 1


def log_ticks(highest: float) -> list[float]:
    """1, 10, 100, ... up to `highest`, and 1 and 10 in any case."""
    return [10.0**power for power in range(max(1, math.floor(math.log10(max(1.0, highest)))) + 1)]


def count_axis(highest: float, lowest: float) -> tuple[alt.Scale, alt.Axis]:
    """A logarithmic scale of document counts from `lowest`, with a tick 0 where `NO_DOCUMENT` is in reach."""
    top = max(10.0, float(highest) * 1.4)
    low = 0.4 if lowest < 1 else 0.8
    ticks = [NO_DOCUMENT] * bool(lowest < 1) + log_ticks(top)
    axis = alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')", gridColor=GRID)
    return alt.Scale(type="log", domain=[low, top], nice=False), axis


def rank_frequency(frame: pd.DataFrame, borders: Borders) -> alt.LayerChart:
    """Train documents of every label against its rank, both logarithmic; dashed rules are the borders.

    Args:
        frame: of `core.labels.measures.rank_frequency`; many labels are sampled evenly along the axis.
        borders: drawn as rules.
    """
    # Points; labels without a document stand below 1, on the tick 0.
    shown = frame.iloc[spread_over_ranks(len(frame))].copy()
    shown["height"] = shown["count"].clip(lower=NO_DOCUMENT)
    scale, axis = count_axis(shown["count"].max(), shown["count"].min())
    y = alt.Y("height:Q", title="train documents", scale=scale, axis=axis)
    ranks = alt.Scale(type="log", domain=[0.9, max(10.0, len(frame) * 1.15)], nice=False)
    points = (
        alt.Chart(shown)
        .mark_circle(size=44, opacity=0.9)
        .encode(
            x=alt.X(
                "rank:Q",
                title="rank of the label, the most frequent first",
                scale=ranks,
                axis=alt.Axis(values=log_ticks(len(frame) * 1.15), format=",d", gridColor=GRID),
            ),
            y=y,
            color=group_colour(),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("rank:Q", format=",d"),
                alt.Tooltip("count:Q", title="train documents", format=",d"),
                alt.Tooltip("group:N"),
            ],
        )
    )
    # Borders in reach of the axis.
    edges = pd.DataFrame(
        {
            "height": [borders.head, max(borders.tail, NO_DOCUMENT)],
            "words": [f"head from {borders.head:,}", f"tail up to {borders.tail:,}"],
        }
    )
    edges = edges[edges["height"].between(*scale.domain)]
    rules = alt.Chart(edges).mark_rule(strokeDash=[5, 4], color="gray").encode(y=y)
    words = (
        alt.Chart(edges)
        .mark_text(align="left", baseline="bottom", dx=6, dy=-3, color="gray", fontSize=12)
        .encode(y=y, text="words:N", x=alt.value(0))
    )
    return alt.LayerChart(layer=[rules, words, points], height=HEIGHT)


def group_shares(frame: pd.DataFrame) -> alt.LayerChart:
    """Head, medium and tail as shares of the labels and of the label assignments: two stacked bars.

    Args:
        frame: of `core.labels.measures.group_shares`.
    """
    # Where each share ends and where its words stand.
    total = max(1, int(frame["labels"].sum()))
    parts = {"share of labels": frame["labels"] / total, "share of assignments": frame["share_of_assignments"]}
    rows = pd.concat(
        [frame[["group"]].assign(of=of, share=share, order=range(len(frame))) for of, share in parts.items()]
    )
    rows["end"] = rows.groupby("of")["share"].cumsum()
    rows["middle"] = rows["end"] - rows["share"] / 2
    rows["words"] = [f"{share:.0%}" if share >= 0.06 else "" for share in rows["share"]]
    y = alt.Y("of:N", title=None, sort=list(parts), axis=alt.Axis(labelLimit=200, ticks=False, domain=False))
    bars = (
        alt.Chart(rows)
        .mark_bar(height=alt.RelativeBandSize(0.62))
        .encode(
            x=alt.X(
                "share:Q",
                title=None,
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", gridColor=GRID, tickCount=3),
            ),
            y=y,
            color=group_colour(),
            order="order:Q",
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("of:N", title="share")],
        )
    )
    words = alt.Chart(rows).mark_text(color="white", fontSize=13).encode(x="middle:Q", y=y, text="words:N")
    return alt.LayerChart(layer=[bars, words], height=150)


def labels_per_document(frame: pd.DataFrame) -> alt.LayerChart:
    """How many documents have 1, 2, 3, ... labels; the number stands above each bar.

    Args:
        frame: of `core.labels.measures.labels_per_document`; may be empty.
    """
    # Numbers above the limit share one bar; the axis has every number below it, also those without documents.
    rows = frame.assign(labels=frame["labels"].clip(upper=MOST_LABELS)).groupby("labels", as_index=False).sum()
    rows["words"] = [f"{labels} or more" if labels == MOST_LABELS else str(labels) for labels in rows["labels"]]
    total = max(1, int(rows["documents"].sum()))
    rows["share"] = rows["documents"] / total
    names = [str(number) for number in range(int(rows["labels"].max()) + 1)] if len(rows) else []
    names = [f"{name} or more" if name == str(MOST_LABELS) else name for name in names]
    if len(rows) and rows["labels"].min() > 0:
        names = names[1:]
    base = alt.Chart(rows).encode(
        x=alt.X(
            "words:O",
            title="labels of a document",
            sort=names,
            scale=alt.Scale(domain=names),
            axis=alt.Axis(labelAngle=0, labelOverlap=True),
        ),
        y=alt.Y(
            "documents:Q",
            title="documents",
            scale=alt.Scale(domain=[0, 1.08 * max(1, rows["documents"].max() if len(rows) else 1)]),
            axis=alt.Axis(format="~s", gridColor=GRID, tickCount=5, tickMinStep=1),
        ),
        tooltip=[
            alt.Tooltip("words:O", title="labels"),
            alt.Tooltip("documents:Q", format=",d"),
            alt.Tooltip("share:Q", title="share of documents", format=".2%"),
        ],
    )
    bars = base.mark_bar(color=GROUP_COLOURS["all"])
    numbers = base.mark_text(dy=-7, color="gray", fontSize=12).encode(text=alt.Text("documents:Q", format=",d"))
    return alt.LayerChart(layer=[bars, numbers] if len(names) <= 16 else [bars], height=HEIGHT)


def lorenz(frame: pd.DataFrame) -> alt.LayerChart:
    """Share of the assignments against share of the labels, the rarest first, beside the line of equality.

    Args:
        frame: of `core.labels.measures.lorenz`; many rows are sampled.
    """
    shown = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, 400).round().astype(np.int64))]
    axes: dict[str, Any] = {"format": "%", "gridColor": GRID, "tickCount": 5}
    x = alt.X("share_of_labels:Q", title="share of labels, the rarest first", axis=alt.Axis(**axes))
    y = alt.Y("share_of_assignments:Q", title="share of assignments", axis=alt.Axis(**axes))
    even = pd.DataFrame({"share_of_labels": [0.0, 1.0], "share_of_assignments": [0.0, 1.0]})
    diagonal = alt.Chart(even).mark_line(strokeDash=[5, 4], color="gray", strokeWidth=1.5).encode(x=x, y=y)
    curve = (
        alt.Chart(shown)
        .mark_area(color=GROUP_COLOURS["head"], opacity=0.25, line={"color": GROUP_COLOURS["head"], "strokeWidth": 2.5})
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("share_of_labels:Q", title="the rarest", format=".1%"),
                alt.Tooltip("share_of_assignments:Q", title="own", format=".2%"),
            ],
        )
    )
    return alt.LayerChart(layer=[curve, diagonal], height=HEIGHT)


def lengths(frame: pd.DataFrame, unit: str) -> alt.Chart:
    """Documents by their length: a histogram up to the longest of 99 in 100; the rest shares the last bar.

    Args:
        frame: of `core.data.documents.measure_lengths`; may be empty.
        unit: its column, `words` or `tokens`.
    """
    # Bins of whole numbers up to the 99th percentile; the last one holds the rest.
    values = frame[unit].to_numpy(np.int64)
    top = max(1, int(np.quantile(values, 0.99))) if len(values) else 1
    step = max(1, math.ceil((top + 1) / BINS))
    bars = top // step + 1
    found = np.bincount(np.minimum(values // step, bars - 1), minlength=bars)
    first = np.arange(bars) * step
    last = first + step - 1
    words = [f"{one:,}" if step == 1 else f"{one:,} to {two:,}" for one, two in zip(first, last, strict=True)]
    words[-1] = f"{first[-1]:,} or more"
    rows = pd.DataFrame({"first": first, "end": first + step, "documents": found, "range": words})
    rows["share"] = rows["documents"] / max(len(values), 1)
    return (
        alt.Chart(rows)
        .mark_bar(color=GROUP_COLOURS["all"], binSpacing=1)
        .encode(
            x=alt.X("first:Q", bin="binned", title=f"{unit} of a document", axis=alt.Axis(gridOpacity=0, tickCount=6)),
            x2="end:Q",
            y=alt.Y("documents:Q", title="documents", axis=alt.Axis(format="~s", gridColor=GRID, tickMinStep=1)),
            tooltip=[
                alt.Tooltip("range:N", title=unit),
                alt.Tooltip("documents:Q", format=",d"),
                alt.Tooltip("share:Q", title="share of documents", format=".2%"),
            ],
        )
        .properties(height=HEIGHT)
    )


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


def cooccurrence(frame: pd.DataFrame, names: Sequence[str], *, colour: str = "p") -> alt.Chart:
    """Ordered pairs of labels as a heatmap, row j and column i; a click selects a cell (`CELL`: fields j and i).

    Args:
        frame: of `core.labels.cooccurrence.block`; a label beside itself, and pairs without a document, are left blank.
        names: all labels, by column.
        colour: `p`, from pale to full; or `lift`, one colour for more often than by chance and one for less.
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
    return (
        alt.Chart(rows)
        .mark_rect(cornerRadius=0 if many else 1, strokeWidth=2.5, cursor="pointer")
        .encode(
            x=alt.X(
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
            ),
            y=alt.Y(
                "given:N",
                title="given label j",
                sort=shown,
                scale=band,
                axis=alt.Axis(labelLimit=WIDEST_NAME, labelOverlap=False, **look),
            ),
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
        .properties(height=max(220, (22 if few else 12) * len(order) + 210))
        .configure_view(fill="#8888880f", stroke=None)
    )


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
            x2=f"{ends['other_last']}:Q",
            y=alt.Y(f"{ends['first']}:Q", title="rank of label j", scale=alt.Scale(**scale, reverse=True), axis=ticks),
            y2=f"{ends['last']}:Q",
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


def drift(frame: pd.DataFrame, one: str, other: str) -> alt.LayerChart:
    """Share of documents of every label in two parts, both logarithmic; the line is equality.

    Args:
        frame: of `core.labels.measures.drift`; of many labels those furthest from chance are drawn, and some others.
        one: the first part's name.
        other: the second part's name.
    """
    # Half of the marks for the labels furthest from chance, half spread evenly over the rest.
    both = frame[(frame["count"] > 0) & (frame["other_count"] > 0)]
    order = np.argsort(-both["z"].abs().fillna(0).to_numpy(), kind="stable")
    half = MAX_MARKS // 2
    rest = order[half:]
    shown = both.iloc[[*order[:half], *rest[:: max(1, -(-len(rest) // half))]]].copy()
    shown["what"] = np.where(shown["q"] <= FALSE_SHARE, "more than chance", "within chance")
    # One logarithmic scale for both axes.
    low = min(1.0, float(shown[["share", "other_share"]].min().min()) if len(shown) else 1e-4)
    domain = [low / 1.5, 1.0]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    powers = [10.0**power for power in range(math.floor(math.log10(domain[0])), 1)]
    axis = alt.Axis(values=powers, format="~%", gridColor=GRID)
    x = alt.X("share:Q", title=f"share of {one} documents", scale=scale, axis=axis)
    y = alt.Y("other_share:Q", title=f"share of {other} documents", scale=scale, axis=axis)
    line = alt.Chart(pd.DataFrame({"share": domain, "other_share": domain}))
    what = ["more than chance", "within chance"]
    points = (
        alt.Chart(shown)
        .mark_circle(size=44, opacity=0.8)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=what, range=[GROUP_COLOURS["tail"], GROUP_COLOURS["all"]]),
                legend=alt.Legend(orient="top", symbolType="circle", labelLimit=0),
            ),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("count:Q", title=f"{one} documents", format=",d"),
                alt.Tooltip("other_count:Q", title=f"{other} documents", format=",d"),
                alt.Tooltip("ratio:Q", title="times as frequent", format=",.2f"),
                alt.Tooltip("z:Q", title="standard errors", format="+.1f"),
                alt.Tooltip("q:Q", title="by luck (corrected)", format=".2g"),
            ],
        )
    )
    return alt.LayerChart(
        layer=[line.mark_line(strokeDash=[5, 4], color="gray", strokeWidth=1.5).encode(x=x, y=y), points],
        height=HEIGHT + 60,
    )

"""Charts of the page Explorer: the tail, numbers of labels, lengths, drift.

`rank_frequency`, `group_shares`, `labels_per_document` and `lorenz` are about the tail. The functions before them
choose axes, colours, and the points of long tails.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.figures import GRID, GROUP_COLOURS, HEIGHT, MARGIN, MAX_MARKS, colour_groups, label_click
from core.labels.groups import Borders
from core.labels.measures import FALSE_SHARE

NO_DOCUMENT = 0.5
"""Where a label without train documents stands on a logarithmic axis, whose tick there says 0."""
MOST_LABELS = 24
"""Documents with this many labels or more share one bar."""
NARROW = 260
"""Pixels of the plot of a long tail where it is narrowest: beside another column on a narrow page."""
GAP, LINE, WORD_LETTER, RADIUS = 6.0, 16.0, 6.0, 4.0
"""Pixels from a rule's end to its words, of their height, of a letter, and of a dot."""
BINS = 50
"""Bars of a histogram of lengths at most."""


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


def place_words(
    words: Sequence[str], heights: Sequence[float] | np.ndarray, dots: np.ndarray, *, width: float, height: float
) -> list[tuple[str, str]]:
    """Where the words of each horizontal rule hide no dot: at its left or right end, above or below it.

    Args:
        words: of each rule.
        heights: of each rule, pixels from the top.
        dots: (n, 2), pixels from the left and from the top.
        width: of the plot; in a wider one words cover a smaller part of it, and hide no more.
        height: of the plot.

    Returns:
        Of each rule the end ("left" or "right") and the side ("top": above it, or "bottom"). Where no place is free,
        the one that hides least.
    """
    taken: list[tuple[float, float, float, float]] = []  # left, right, top, bottom
    places = []
    for text, at in zip(words, heights, strict=True):
        long, best = GAP + WORD_LETTER * len(text), (math.inf, ("left", "top"))
        for side, end in itertools.product(("top", "bottom"), ("left", "right")):
            top = at - LINE if side == "top" else at
            left = 0.0 if end == "left" else width - long
            box = (left - RADIUS, left + long + RADIUS, top - RADIUS, top + LINE + RADIUS)
            hidden = np.sum(
                (dots[:, 0] > box[0]) & (dots[:, 0] < box[1]) & (dots[:, 1] > box[2]) & (dots[:, 1] < box[3])
            )
            # Words on words, or beyond the plot, are worse than any dot.
            clash = (
                top < 0
                or top + LINE > height
                or any(
                    left < right and left + long > other and top < bottom and top + LINE > upper
                    for other, right, upper, bottom in taken
                )
            )
            best = min(best, (float(hidden) + (len(dots) + 1) * clash, (end, side)), key=lambda one: one[0])
        end, side = best[1]
        top, left = (at - LINE if side == "top" else at), (0.0 if end == "left" else width - long)
        taken.append((left, left + long, top, top + LINE))
        places.append((end, side))
    return places


def rank_frequency(frame: pd.DataFrame, borders: Borders, *, height: int = HEIGHT) -> alt.LayerChart:
    """Train documents of every label against its rank, both logarithmic; dashed rules are the borders.

    A click on a mark answers with its label.

    Args:
        frame: of `core.labels.measures.rank_frequency`; many labels are sampled evenly along the axis.
        borders: drawn as rules.
        height: of the chart, with axes and legend.
    """
    # Points; labels without a document stand below 1, on the tick 0.
    shown = frame.iloc[spread_over_ranks(len(frame))].copy()
    shown["height"] = shown["count"].clip(lower=NO_DOCUMENT)
    scale, axis = count_axis(shown["count"].max(), shown["count"].min())
    y = alt.Y("height:Q", title="train documents", scale=scale, axis=axis)
    ranks = alt.Scale(type="log", domain=[0.9, max(10.0, len(frame) * 1.15)], nice=False)
    points = (
        alt.Chart(shown)
        .mark_circle(size=44, opacity=0.9, cursor="pointer")
        .encode(
            x=alt.X(
                "rank:Q",
                title="rank of the label, the most frequent first",
                scale=ranks,
                axis=alt.Axis(values=log_ticks(len(frame) * 1.15), format=",d", gridColor=GRID),
            ),
            y=y,
            color=colour_groups(frame["group"]),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("rank:Q", format=",d"),
                alt.Tooltip("count:Q", title="train documents", format=",d"),
                alt.Tooltip("group:N"),
            ],
        )
        .add_params(label_click("label"))
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
    # Words of the borders stand where they hide no label.
    plot = height - MARGIN
    x_of, y_of = _pixels(ranks.domain, NARROW), _pixels(scale.domain, plot)
    dots = np.column_stack([x_of(shown["rank"]), plot - y_of(shown["height"])])
    places = place_words(edges["words"], plot - y_of(edges["height"]), dots, width=NARROW, height=plot)
    words = [
        alt.Chart(edges.iloc[[row]])
        .mark_text(
            align="left" if end == "left" else "right",
            baseline="bottom" if side == "top" else "top",
            dx=GAP if end == "left" else -GAP,
            dy=-3 if side == "top" else 4,
            color="gray",
            fontSize=12,
        )
        .encode(y=y, text=alt.Text("words:N"), x=alt.XValue(0 if end == "left" else "width"))
        for row, (end, side) in enumerate(places)
    ]
    return alt.LayerChart(layer=[rules, *words, points], height=height)


def _pixels(domain: Sequence[float], size: float) -> Callable[[Any], np.ndarray]:
    """Pixels along a logarithmic axis of a length, from its lower end."""
    low, high = (math.log(end) for end in domain)
    return lambda values: size * (np.log(np.asarray(values, np.float64)) - low) / (high - low)


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
    axis = alt.Axis(labelExpr="replace(datum.label, 'share of ', '')", ticks=False, domain=False)
    y = alt.Y("of:N", title=None, sort=list(parts), axis=axis)
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
            color=colour_groups(frame["group"]),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("of:N", title="share")],
        )
    )
    words = alt.Chart(rows).mark_text(color="white", fontSize=13)
    words = words.encode(x=alt.X("middle:Q"), y=y, text=alt.Text("words:N"))
    return alt.LayerChart(layer=[bars, words], height=170)


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


def lengths(frame: pd.DataFrame, unit: str) -> alt.LayerChart:
    """Documents by their length: a histogram up to the longest of 99 in 100; the rest shares the last bar, as it says.

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
    tallest = max(1, int(found.max()))
    histogram = (
        alt.Chart(rows)
        .mark_bar(color=GROUP_COLOURS["all"], binSpacing=1)
        .encode(
            x=alt.X("first:Q", bin="binned", title=f"{unit} of a document", axis=alt.Axis(gridOpacity=0, tickCount=6)),
            x2=alt.X2("end:Q"),
            y=alt.Y(
                "documents:Q",
                title="documents",
                scale=alt.Scale(domain=[0, 1.12 * tallest], nice=False),
                axis=alt.Axis(format="~s", gridColor=GRID, tickMinStep=1),
            ),
            tooltip=[
                alt.Tooltip("range:N", title=unit),
                alt.Tooltip("documents:Q", format=",d"),
                alt.Tooltip("share:Q", title="share of documents", format=".2%"),
            ],
        )
    )
    # The last bar holds what is longer than the axis: it is named where it stands.
    words = (
        alt.Chart(rows.iloc[-1:])
        .mark_text(align="right", dx=2, dy=-8, color="gray", fontSize=12)
        .encode(x=alt.X("end:Q"), y=alt.Y("documents:Q"), text=alt.Text("range:N"))
    )
    return alt.LayerChart(layer=[histogram, words], height=HEIGHT)


def drift(frame: pd.DataFrame, one: str, other: str) -> alt.LayerChart:
    """Share of documents of every label in two parts, both logarithmic; the line is equality.

    A click on a mark answers with its label.

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
        .mark_circle(size=44, opacity=0.8, cursor="pointer")
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
        .add_params(label_click("label"))
    )
    return alt.LayerChart(
        layer=[line.mark_line(strokeDash=[5, 4], color="gray", strokeWidth=1.5).encode(x=x, y=y), points],
        height=HEIGHT + 60,
    )

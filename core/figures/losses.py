"""Charts of the page Loss weights: weights and shifts by label rank, curves by logit, shares of the gradient.

`weight_by_rank`, `shift_by_rank` and `tolerance` are about labels, `by_logit` about the curve of one label,
`gradient_shares` and `document_pushes` about the gradient; `legend` serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.analysis.loss_effects import SIDES, Choice
from core.figures import GRID, GROUP_COLOURS, HEIGHT, label_click
from core.figures.looks import colour_of, dash_of
from core.labels.groups import FREQUENCY_GROUPS

PRESET = (1, 3)
"""Dash of the preset of a loss that was changed."""
BAR = 7
"""Height of a label's bar, in pixels."""
ACROSS = 4
"""Losses in a row of the legend."""
LEAST = 1e-3
"""Below this neither loss nor gradient is drawn."""
DECADES = 6.0
"""Powers of ten that a logarithmic axis shows: what is smaller lies at its lower end."""
LIMITS = 1e-300, 1e300
"""Between these a number, and what an axis leaves around it, is finite and above 0."""
TICKS = 12
"""Powers of ten with a tick at most."""
MASS = {f"{group} label, where {word}": (group, side)
        for side, word in (("positive", "present"), ("negative", "absent")) for group in FREQUENCY_GROUPS}  # fmt: skip
"""Parts of a gradient: labels of a group on one side."""


def ticks_of_ten(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`, both above 0; the powers alone where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    powers = powers[:: -(-len(powers) // TICKS)]
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _loss_colour(choices: Sequence[Choice], frame: pd.DataFrame) -> alt.Color:
    """The colours of the losses, which `legend` explains."""
    shown = _shown(choices, frame)
    order = [one.title for one in shown]
    scale = alt.Scale(domain=order, range=[colour_of(one.name) for one in shown])
    return alt.Color("loss:N", sort=order, scale=scale, legend=None)


def _loss_dash(choices: Sequence[Choice], frame: pd.DataFrame) -> alt.StrokeDash:
    """Dotted: the preset of a loss that was changed."""
    shown = _shown(choices, frame)
    order = [one.title for one in shown]
    dashes = [dash_of(one.name) if one.title == one.name else PRESET for one in shown]
    return alt.StrokeDash("loss:N", sort=order, scale=alt.Scale(domain=order, range=dashes), legend=None)


def _shown(choices: Sequence[Choice], frame: pd.DataFrame) -> list[Choice]:
    titles = set(frame["loss"])
    return [choice for choice in choices if choice.title in titles]


def _ranks(bands: pd.DataFrame, labels: int) -> tuple[alt.X, list[alt.Chart]]:
    """The logarithmic rank axis, and head, medium and tail as bands behind."""
    low, high = 0.85, max(10.0, labels + 0.5)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X(
        "rank:Q",
        title="rank of the label, the most frequent first",
        scale=scale,
        axis=alt.Axis(values=ticks_of_ten(1, max(10, labels)), format=",d", grid=False),
    )
    # Bands end where the axis does, and carry their names at their middle on a logarithmic scale.
    bands = bands.assign(start=bands["start"].clip(lower=low))
    bands["colour"] = bands["group"].map(GROUP_COLOURS)
    bands["middle"] = np.sqrt(bands["start"] * bands["end"])
    colour = alt.Color("colour:N", scale=None)  # as it stands: the scale of colours is that of the losses
    start, end = alt.X("start:Q", scale=scale), alt.X2("end:Q")
    areas = alt.Chart(bands).mark_rect(opacity=0.13).encode(x=start, x2=end, color=colour)
    words = (
        alt.Chart(bands)
        .mark_text(baseline="top", fontSize=12, fontWeight="bold")
        .encode(x=alt.X("middle:Q", scale=scale), y=alt.YValue(6), text=alt.Text("group:N"), color=colour)
    )
    return x, [areas, words]


def _log_domain(values: pd.Series | np.ndarray, *, decades: float = DECADES) -> tuple[float, float]:
    """The least and the largest finite value above 0, at most `decades` powers of ten apart; 1 and 1 of none.

    What is smaller, or 0, has no place on a logarithmic axis: it is drawn at its lower end (`_on_scale`).
    """
    numbers = np.asarray(values, np.float64)
    known = numbers[np.isfinite(numbers) & (numbers > LIMITS[0]) & (numbers < LIMITS[1])]
    if not len(known):
        return 1.0, 1.0
    most = float(known.max())
    return max(float(known.min()), most * 10**-decades), most


def _log_axis(values: pd.Series | np.ndarray, title: str, *, above: float = 2.0) -> dict[str, Any]:
    least, most = _log_domain(values)
    domain = [least / 1.4, most * above]
    return {
        "title": title,
        "scale": alt.Scale(type="log", domain=domain, nice=False, clamp=True),
        "axis": alt.Axis(format="~g", gridColor=GRID, values=ticks_of_ten(*domain)),
    }


def weight_by_rank(
    frame: pd.DataFrame,
    choices: Sequence[Choice],
    bands: pd.DataFrame,
    *,
    labels: int,
    side: str,
    found: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Weight against label rank, both logarithmic: a mark for each label, or a step for each bin of them, as they are.

    Where a weight depends on the document the mark is the mean and stands in a band that holds nine in ten documents. A
    click on a mark answers with its start and end.

    Args:
        frame: of `core.analysis.loss_weights.weight_frame`.
        choices: for colours.
        bands: of `group_bands`.
        labels: K.
        side: of `core.analysis.loss_effects.SIDES`.
        found: of `core.analysis.loss_weights.mark_label`, a label that is pointed out.
    """
    x, behind = _ranks(bands, labels)
    marked = frame.iloc[:0] if found is None else found
    y = _log_axis(np.r_[frame[["low", "weight", "high"]].to_numpy(np.float64).ravel(), marked["weight"]], "weight")
    y["title"] = f"weight where the {SIDES[side]}"
    domain = tuple(y["scale"]["domain"])
    shown = _on_scale(frame, domain)
    colour = _loss_colour(choices, frame)
    spread = shown[shown["loss"].isin(_spread_out(frame, choices))]
    if len(frame) and (frame["end"] - frame["start"] > 1).any():
        areas = (
            alt.Chart(spread)
            .mark_rect(opacity=0.16)
            .encode(
                x=alt.X("start:Q", scale=x["scale"]),
                x2=alt.X2("end:Q"),
                y=alt.Y("shown_low:Q", **y),
                y2=alt.Y2("shown_high:Q"),
                color=colour,
            )
        )
        marks = alt.Chart(shown).mark_rule(strokeWidth=2.6, cursor="pointer").encode(x=x.copy(), x2=alt.X2("end:Q"))
        marks.encoding.x.shorthand = "start:Q"
    else:
        areas = (
            alt.Chart(spread)
            .mark_rule(opacity=0.35, strokeWidth=3)
            .encode(x=x, y=alt.Y("shown_low:Q", **y), y2=alt.Y2("shown_high:Q"), color=colour)
        )
        marks = (
            alt.Chart(shown)
            .mark_circle(size=34, opacity=1, cursor="pointer")
            .encode(x=x, opacity=_paler(_presets(choices)))
        )
    marks = marks.encode(
        y=alt.Y("shown:Q", **y),
        color=colour,
        tooltip=[
            alt.Tooltip("labels:N", title="label"),
            alt.Tooltip("loss:N"),
            alt.Tooltip("rank:Q", format=",.0f"),
            alt.Tooltip("count:Q", title="train documents", format=",d"),
            alt.Tooltip("weight:Q", title="mean weight", format=".4g"),
            alt.Tooltip("low:Q", title="in 5 % below", format=".4g"),
            alt.Tooltip("high:Q", title="in 5 % above", format=".4g"),
        ],
    ).add_params(label_click("start", "end"))
    layers = [*behind, areas, marks]
    if len(marked):
        layers += _pointed_out(_on_scale(marked, domain), x, y, colour)
    return alt.LayerChart(layer=layers, height=HEIGHT + 60)


def _on_scale(frame: pd.DataFrame, domain: tuple[float, float]) -> pd.DataFrame:
    """Weights with where a logarithmic axis draws them: what lies below it, as a 0, at its lower end."""
    places = {"shown": "weight", "shown_low": "low", "shown_high": "high"}
    return frame.assign(**{new: frame[old].astype(np.float64).clip(*domain) for new, old in places.items()})


def _pointed_out(found: pd.DataFrame, x: alt.X, y: dict[str, Any], colour: alt.Color) -> list[alt.Chart]:
    """A line at a label's rank, its marks in large and its weights in numbers."""
    base = alt.Chart(found).encode(x=x, y=alt.Y("shown:Q", **y))
    rule = alt.Chart(found.iloc[:1]).mark_rule(color="gray", strokeDash=[4, 3]).encode(x=x)
    rings = base.mark_point(size=150, strokeWidth=2.5, filled=False).encode(color=colour)
    late = bool(found["rank"].iloc[0] > np.sqrt(x["scale"]["domain"][1]))
    words = base.mark_text(align="right" if late else "left", dx=-12 if late else 12, fontSize=12, color="gray").encode(
        text=alt.Text("weight:Q", format=".3g")
    )
    return [rule, rings, words]


def _spread_out(frame: pd.DataFrame, choices: Sequence[Choice]) -> list[str]:
    """The losses whose weights differ from document to document, presets of changed ones left out."""
    differ = set(frame.loc[frame["high"] > frame["low"] * 1.001, "loss"])
    return [choice.title for choice in choices if choice.title == choice.name and choice.title in differ]


def shift_by_rank(
    frame: pd.DataFrame, choices: Sequence[Choice], bands: pd.DataFrame, *, labels: int
) -> alt.LayerChart:
    """Shift of the logits against label rank.

    Args:
        frame: of `core.analysis.loss_effects.shift_frame`.
        choices: for colours.
        bands: of `group_bands`.
        labels: L.
    """
    x, behind = _ranks(bands, labels)
    low, high = (min(0.0, frame["shift"].min()), max(0.0, frame["shift"].max())) if len(frame) else (0.0, 1.0)
    margin = 0.12 * (high - low or 1)
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.4, interpolate="step")
        .encode(
            x=x,
            y=alt.Y(
                "shift:Q",
                title="shift of the logit",
                scale=alt.Scale(domain=[low - margin / 3, high + margin], nice=False),
                axis=alt.Axis(gridColor=GRID, tickCount=6, format="~g"),
            ),
            color=_loss_colour(choices, frame),
            strokeDash=_loss_dash(choices, frame),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("rank:Q", format=",d"),
                alt.Tooltip("count:Q", title="train documents", format=",d"),
                alt.Tooltip("shift:Q", format=".4f"),
                alt.Tooltip("score:Q", title="score that counts as 1/2 in training", format=".3f"),
            ],
        )
    )
    return alt.LayerChart(layer=[*behind, lines], height=HEIGHT)


def tolerance(frame: pd.DataFrame, choices: Sequence[Choice]) -> alt.LayerChart:
    """How hard a negative pushes by its logit, against cross-entropy.

    Args:
        frame: of `core.analysis.loss_effects.tolerance_frame`.
        choices: for colours.
    """
    shown = frame[(frame["share"] >= LEAST) & (frame["share"] < LIMITS[1])]
    lines = (
        alt.Chart(shown)
        .mark_line(strokeWidth=2.4)
        .encode(
            x=alt.X("logit:Q", title="logit of the negative", axis=alt.Axis(gridColor=GRID, tickCount=7)),
            y=alt.Y("share:Q", **_log_axis(shown["share"], "push, in units of cross-entropy's", above=1.4)),
            color=_loss_colour(choices, shown),
            strokeDash=_loss_dash(choices, shown),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("logit:Q", format=".2f"),
                alt.Tooltip("share:Q", title="push, in units of cross-entropy's", format=".3g"),
            ],
        )
    )
    rule = alt.Chart(pd.DataFrame({"share": [1.0]})).mark_rule(strokeDash=[5, 4], color="gray")
    rule = rule.encode(y=alt.Y("share:Q"))
    return alt.LayerChart(layer=[rule, lines], height=HEIGHT)


def legend(choices: Sequence[Choice], *, lines: bool = False) -> alt.LayerChart:
    """The colours of the losses, for all charts of a view.

    Args:
        choices: those that are drawn, in the order of the legend.
        lines: drawn as lines, with the dashes that losses have, or else as squares.
    """
    # A grid of names, a few in a row.
    rows = pd.DataFrame(
        {
            "loss": [one.title for one in choices],
            "row": [number // ACROSS for number in range(len(choices))],
            "place": [number % ACROSS for number in range(len(choices))],
        }
    ).assign(end=lambda frame: frame["place"] + 0.16)
    y = alt.Y("row:O", axis=None, scale=alt.Scale(padding=0.5))
    across = alt.Scale(domain=[0, ACROSS], nice=False)
    base = alt.Chart(rows).encode(y=y, color=_loss_colour(choices, rows))
    if lines:
        marks = base.mark_rule(strokeWidth=3).encode(
            x=alt.X("place:Q", axis=None, scale=across), x2=alt.X2("end:Q"), strokeDash=_loss_dash(choices, rows)
        )
    else:
        marks = base.mark_square(size=120).encode(
            x=alt.X("place:Q", axis=None, scale=across), opacity=_paler(_presets(choices))
        )
    words = (
        alt.Chart(rows)
        .mark_text(align="left", dx=6 if lines else 12, fontSize=13, color="gray")
        .encode(x=alt.X("end:Q" if lines else "place:Q", axis=None, scale=across), y=y, text=alt.Text("loss:N"))
    )
    height = 20 + 24 * (1 + (len(choices) - 1) // ACROSS)
    return alt.LayerChart(layer=[marks, words], height=height, view=alt.ViewConfig(stroke=None))


def _presets(choices: Sequence[Choice]) -> list[str]:
    """Presets beside losses that were changed."""
    return [choice.title for choice in choices if choice.title != choice.name]


def _paler(titles: list[str]) -> Any:
    if not titles:
        return alt.OpacityValue(1)
    return alt.OpacityValue(1, condition={"test": alt.FieldOneOfPredicate("loss", titles), "value": 0.4})


def highest_of(frames: Sequence[pd.DataFrame], quantity: str) -> float:
    """The end of the axis that all charts of `by_logit` beside each other share; at least 1.3."""
    sizes = pd.concat([frame[quantity].abs() for frame in frames], ignore_index=True)
    sizes = sizes[(sizes >= LEAST) & (sizes < LIMITS[1])]
    return max(1.0, float(sizes.max()) if len(sizes) else 1.0) * 1.3


def by_logit(frame: pd.DataFrame, choices: Sequence[Choice], *, quantity: str, top: float) -> alt.Chart:
    """Loss (`value`) or size of the gradient (`gradient`) by logit, logarithmic; positives full lines, others dashed.

    Args:
        frame: of `core.analysis.loss_effects.curve_frame`; what is below `LEAST` is not drawn.
        choices: for colours.
        quantity: a column of it.
        top: of `highest_of` over the charts that stand beside each other.
    """
    # Sizes on a logarithmic axis, which has no place for 0.
    title = {"value": "loss", "gradient": "push"}[quantity]
    shown = frame.assign(size=frame[quantity].abs())
    shown = shown[(shown["size"] >= LEAST) & (shown["size"] < LIMITS[1])]
    return (
        alt.Chart(shown)
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X("logit:Q", title="logit", axis=alt.Axis(gridColor=GRID, tickCount=5)),
            y=alt.Y(
                "size:Q",
                title=title,
                scale=alt.Scale(type="log", domain=[LEAST, top], nice=False),
                axis=alt.Axis(gridColor=GRID, values=ticks_of_ten(LEAST, top), format="~g"),
            ),
            color=_loss_colour(choices, frame),
            strokeDash=alt.StrokeDash(
                "side:N", scale=alt.Scale(domain=list(SIDES.values()), range=[[1, 0], [5, 4]]), legend=None
            ),
            opacity=_paler(_presets(choices)),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("side:N", title="when the"),
                alt.Tooltip("logit:Q", format=".2f"),
                alt.Tooltip(f"{quantity}:Q", title=title, format=".4g"),
            ],
        )
        .properties(height=HEIGHT - 60)
    )  # fmt: skip


def gradient_shares(frame: pd.DataFrame, choices: Sequence[Choice]) -> alt.LayerChart:
    """Which labels get the gradient: one stacked bar for each loss, and its whole size in units of the first row's.

    Args:
        frame: columns loss, side, group, mass: of `core.analysis.loss_effects.gradient_mass`, one loss after the other.
        choices: in the order of the bars.
    """
    # Shares of the groups and sides, in the order of the stack, and where each ends.
    order = [choice.title for choice in choices]
    names = {place: name for name, place in MASS.items()}
    rows = frame.assign(part=[names[place] for place in zip(frame["group"], frame["side"], strict=True)])
    rows["number"] = rows["part"].map({name: number for number, name in enumerate(MASS)})
    whole = rows.groupby("loss")["mass"].sum()
    rows["share"] = rows["mass"] / rows["loss"].map(whole).where(lambda total: total > 0, np.nan)
    rows = rows.sort_values("number")
    rows["middle"] = rows.groupby("loss")["share"].cumsum() - rows["share"] / 2
    rows["words"] = [f"{share:.0%}" if share >= 0.055 else "" for share in rows["share"]]
    # Bars.
    y = alt.Y(
        "loss:N", title=None, sort=order, axis=alt.Axis(labelLimit=220, labelOverlap=False, ticks=False, domain=False)
    )
    x = alt.Scale(domain=[0, 1.13], nice=False)
    colours = [GROUP_COLOURS[group] + ("" if side == "positive" else "66") for group, side in MASS.values()]
    bars = (
        alt.Chart(rows)
        .mark_bar(height=alt.RelativeBandSize(0.62))
        .encode(
            x=alt.X(
                "share:Q",
                title="share of the gradient",
                stack="zero",
                scale=x,
                axis=alt.Axis(format="%", gridColor=GRID, values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
            ),
            y=y,
            color=alt.Color(
                "part:N",
                title=None,
                sort=list(MASS),
                scale=alt.Scale(domain=list(MASS), range=colours),
                legend=alt.Legend(orient="top", columns=2, symbolType="square", labelLimit=0),
            ),
            order=alt.Order("number:Q"),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("part:N", title="labels"),
                alt.Tooltip("share:Q", format=".2%"),
                alt.Tooltip("mass:Q", title="gradient of a document", format=".3g"),
            ],
        )
    )
    # Shares in words inside the bars, the whole in units of the first row beside them.
    first = float(whole.get(order[0], np.nan)) if order else np.nan
    totals = pd.DataFrame({"loss": whole.index, "ratio": whole.to_numpy() / (first or np.nan)})
    totals["words"] = [f"× {ratio:,.3g}" if np.isfinite(ratio) else "" for ratio in totals["ratio"]]
    inside = alt.Chart(rows).mark_text(fontSize=12).encode(
        x=alt.X("middle:Q", scale=x), y=y, text=alt.Text("words:N"),
        color=alt.ColorValue("gray", condition={"test": "datum.side == 'positive'", "value": "white"}),
    )  # fmt: skip
    beside = (
        alt.Chart(totals)
        .mark_text(align="left", fontSize=12, color="gray", dx=6)
        .encode(x=alt.XDatum(1, scale=x), y=y, text=alt.Text("words:N"))
    )
    return alt.LayerChart(layer=[bars, inside, beside], height=36 * len(order) + 140)


def document_pushes(
    frame: pd.DataFrame, choices: Sequence[Choice], labels: Sequence[str], columns: Sequence[int]
) -> alt.LayerChart:
    """Which label of a document gets which share of the gradient: bars to the right raise its logit.

    A click on a bar answers with its column.

    Args:
        frame: of `core.analysis.loss_effects.document_frame`, losses one after the other.
        choices: for colours.
        labels: all names.
        columns: of `document_labels`.
    """
    # Shares of the whole gradient, of the labels that are shown.
    whole = frame["push"].abs().groupby(frame["loss"]).transform("sum")
    rows = frame.assign(share=frame["push"] / whole.where(whole > 0, 1.0))
    rows = rows[rows["column"].isin(columns)]
    own = set(rows.loc[rows["positive"], "column"])
    names = {column: f"{'✓ ' if column in own else ''}{labels[column]}" for column in columns}
    rows = rows.assign(label=rows["column"].map(names))
    shown = _shown(choices, rows)
    # Bars, one for each loss beside each label.
    y = alt.Y("label:N", title=None, sort=list(names.values()), axis=alt.Axis(labelLimit=200, ticks=False, grid=False))
    ticks = [-1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3, 1]
    bars = (
        alt.Chart(rows)
        .mark_bar(height=BAR - 1, cursor="pointer")
        .encode(
            x=alt.X(
                "share:Q",
                title="share of the loss's gradient",
                scale=alt.Scale(type="symlog", constant=0.02, domain=[-1, 1], nice=False),
                axis=alt.Axis(values=ticks, labelExpr="format(abs(datum.value), '.0%')", gridColor=GRID),
            ),
            y=y,
            yOffset=alt.YOffset("loss:N", sort=[choice.title for choice in shown]),
            color=_loss_colour(choices, rows),
            opacity=_paler(_presets(shown)),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("label:N"),
                alt.Tooltip("logit:Q", format=".2f"),
                alt.Tooltip("weight:Q", format=".4g"),
                alt.Tooltip("value:Q", title="loss", format=".4g"),
                alt.Tooltip("push:Q", title="push on the logit", format=".4g"),
                alt.Tooltip("share:Q", format=".2%"),
            ],
        )
        .add_params(label_click("column"))
    )
    zero = alt.Chart(pd.DataFrame({"share": [0.0]})).mark_rule(color="gray").encode(x=alt.X("share:Q"))
    return alt.LayerChart(layer=[bars, zero], height=len(names) * (10 + BAR * len(shown)) + 60)

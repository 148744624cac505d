"""What the loss page shows: weight by label rank, modulating factor and loss by logit, formulas and what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from core.figures import GRID, GROUP_COLOURS, HEIGHT, MAX_MARKS
from core.figures.data import log_ticks, spread_over_ranks
from core.labels import FREQUENCY_GROUPS, Borders, group_sizes
from core.losses import LOSSES, Numbers, Setting, constants, loss_curve, weight_by_label

COLOURS = {
    "bce": "#7f7f7f",
    "fl": "#1f83b4",
    "cb": "#b8860b",
    "r-fl": "#2f9e5f",
    "ntr-fl": "#8c5fc7",
    "db-0fl": "#d6568c",
    "cb-ntr": "#c0621c",
    "db": "#cf3a3a",
    "ntr-fl-released": "#8a7f63",
}
"""One colour for each loss, in every chart of losses."""
DASHES = {"fl": [2, 3], "ntr-fl": [6, 3], "cb-ntr": [6, 3], "db": [5, 4], "ntr-fl-released": [2, 3]}
"""Lines that may lie on those of other losses, which then show through."""
LOGITS = np.linspace(-6, 6, 97)
LEAST = 1e-3
"""Below this a loss is not drawn."""
SIDES = {"positive": "label is there", "negative": "label is not there"}
READINGS = {
    "bce": "Every label counts the same: frequent labels and easy negatives make up nearly all of the loss.",
    "fl": "What the model already gets right fades out, so that hard examples remain; label frequency plays no part.",
    "cb": "A label with few documents weighs up to ten times as much as a frequent one; above some forty documents "
    "the weight no longer changes.",
    "r-fl": "A rare label that comes with a frequent one keeps its weight and the frequent one loses its own: "
    "this undoes that the document is drawn for both.",
    "ntr-fl": "Rare labels have to clear a higher bar in training, and negatives that are easy already push far less.",
    "db-0fl": "Rebalanced weights and tolerance of negatives, without fading out what is easy.",
    "cb-ntr": "Rare labels weigh more, easy negatives push less, and what the model gets right fades out.",
    "db": "All three at once: rebalanced weights, tolerance of negatives, and what is easy fades out.",
    "ntr-fl-released": "As ntr-fl, but without the division of negatives, as the paper's code was released: "
    "they count twice as much.",
}
"""Each loss in a sentence."""


def formula(name: str) -> str:
    """The loss of one document and label in LaTeX, with the slots that this preset fills."""
    preset = LOSSES[name]
    weight = {"one": "", "class-balanced": r"\frac{1-\beta}{1-\beta^{n_i}}\,", "rebalanced": r"\hat r_{ki}\,"}
    parts = ["c\\," if {preset.reuters, preset.pubmed} != {1.0} else "", weight[preset.weight]]
    if preset.damped:
        parts.append(r"d_{ki}\,")
    if preset.focal:
        parts.append(r"\alpha_t\,(1-p_t)^{\gamma}\,")
    return "".join(parts) + r"\left(-\log p_t\right)"


def symbols(names: Sequence[str]) -> list[str]:
    """LaTeX definitions of the symbols that occur in the formulas of these losses."""
    chosen = [LOSSES[name] for name in names]
    found = [r"p_t = \sigma(s_{ki})"]
    if any(not preset.tolerant for preset in chosen):
        found.append(
            r"s_{ki} = \pm z_{ki}" + (r"\ \text{without tolerance}" if any(p.tolerant for p in chosen) else "")
        )
    if any(preset.tolerant for preset in chosen):
        found += [
            r"s_{ki} = z_{ki}-\nu_i\ \text{or}\ -\lambda\,(z_{ki}-\nu_i)",
            r"\nu_i = \kappa\,\log\left(\tfrac{N}{n_i}-1\right)",
        ]
    if any(preset.damped for preset in chosen):
        found.append(r"d_{ki} = 1\ \text{or}\ \tfrac{1}{\lambda}")
    if any(preset.weight == "rebalanced" for preset in chosen):
        found += [
            r"\hat r_{ki} = \alpha + \sigma\left(\beta\,(r_{ki}-\mu)\right)",
            r"r_{ki} = \frac{1/n_i}{\sum_{j\in k} 1/n_j}",
        ]
    return found


def constants_in_words(name: str, counts: Numbers, documents: int, setting: Setting) -> str:
    """The constants of a preset, as in `scale 10, gamma 2`."""
    values = constants(name, counts, documents, setting)
    return ", ".join(f"{key} {value:g}" for key, value in values.items() if key != "reweight_negatives")


def weight_frame(
    names: Sequence[str],
    counts: np.ndarray,
    documents: int,
    setting: Setting,
    *,
    beside: int | None,
    labels: Sequence[str],
) -> pd.DataFrame:
    """Weight of a positive by label rank for each loss.

    Args:
        names: of losses.
        counts: n, (L,), falling.
        documents: N.
        setting: see `core.losses.constants`.
        beside: column of the label that is there as well, or None: see `core.losses.weight_by_label`.
        labels: names of the columns.

    Returns:
        Columns loss, rank, label, count, weight; at most `MAX_MARKS` rows, without labels that have no weight.
    """
    places = spread_over_ranks(len(counts), MAX_MARKS // max(1, len(names)))
    rows = [
        pd.DataFrame(
            {
                "loss": name,
                "rank": places + 1,
                "label": [labels[place] for place in places],
                "count": counts[places],
                "weight": np.array(weight_by_label(name, counts, documents, setting, beside=beside))[places],
            }
        )
        for name in names
    ]
    columns = ["loss", "rank", "label", "count", "weight"]
    return pd.concat(rows, ignore_index=True).dropna() if rows else pd.DataFrame(columns=columns)


def curve_frame(names: Sequence[str], counts: Numbers, documents: int, label: int, setting: Setting) -> pd.DataFrame:
    """Loss and modulating factor of one label by logit.

    Returns:
        Columns loss, side (of `SIDES`), logit, value (the loss), factor.
    """
    rows = []
    for name in names:
        curve = loss_curve(name, counts, documents, label, LOGITS, setting)
        for side, words in SIDES.items():
            values = {"value": curve[f"{side}_loss"], "factor": curve[f"{side}_factor"]}
            rows.append(pd.DataFrame({"loss": name, "side": words, "logit": LOGITS, **values}))
    columns = ["loss", "side", "logit", "value", "factor"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def group_bands(counts: np.ndarray, borders: Borders) -> pd.DataFrame:
    """Columns group, start and end rank (halves between labels) of head, medium and tail; empty groups are left out."""
    ends = np.cumsum(list(group_sizes(counts, borders).values()))
    frame = pd.DataFrame({"group": FREQUENCY_GROUPS, "start": np.r_[0, ends[:-1]] + 0.5, "end": ends + 0.5})
    return frame[frame["end"] > frame["start"]]


def ticks_of_ten(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`; the powers alone where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def weight_by_rank(frame: pd.DataFrame, bands: pd.DataFrame, *, labels: int) -> alt.LayerChart:
    """Weight of a positive against label rank (logarithmic), a line for each loss, head, medium and tail as bands.

    Args:
        frame: of `weight_frame`.
        bands: of `group_bands`.
        labels: L.
    """
    low, high = 0.85, max(10.0, labels + 0.5)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    bands = bands.assign(start=bands["start"].clip(lower=low))
    x = alt.X(
        "rank:Q",
        title="rank of the label, the most frequent first",
        scale=scale,
        axis=alt.Axis(values=log_ticks(labels), format=",d", grid=False),
    )
    colour = alt.Color("group:N", scale=alt.Scale(domain=list(FREQUENCY_GROUPS), range=_group_range()), legend=None)
    areas = alt.Chart(bands).mark_rect(opacity=0.13).encode(x=alt.X("start:Q", scale=scale), x2="end:Q", color=colour)
    words = (
        alt.Chart(bands.assign(middle=np.sqrt(bands["start"] * bands["end"])))
        .mark_text(baseline="top", fontSize=12, fontWeight="bold")
        .encode(x=alt.X("middle:Q", scale=scale), y=alt.value(6), text="group:N", color=colour)
    )
    names = [name for name in LOSSES if name in set(frame["loss"])]
    dashes = alt.Scale(domain=names, range=[DASHES.get(name, [1, 0]) for name in names])
    least, most = (float(frame["weight"].min()), float(frame["weight"].max())) if len(frame) else (1.0, 1.0)
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2.4, interpolate="step")
        .encode(
            x=x,
            y=alt.Y(
                "weight:Q",
                title="weight of a positive",
                scale=alt.Scale(type="log", domain=[least / 1.4, most * 2], nice=False),
                axis=alt.Axis(format="~g", gridColor=GRID, values=ticks_of_ten(least / 1.4, most * 2)),
            ),
            color=_loss_colour(frame),
            strokeDash=alt.StrokeDash("loss:N", sort=names, scale=dashes, legend=None),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("label:N"),
                alt.Tooltip("rank:Q", format=",d"),
                alt.Tooltip("count:Q", title="train documents", format=",d"),
                alt.Tooltip("weight:Q", format=".4g"),
            ],
        )
    )
    return alt.LayerChart(layer=[areas, words, lines], height=HEIGHT + 40).resolve_scale(color="independent")


def by_logit(frame: pd.DataFrame, *, quantity: str, title: str) -> alt.Chart:
    """Loss (`value`, logarithmic) or modulating factor (`factor`) by logit; positives full lines, negatives dashed.

    Args:
        frame: of `curve_frame`.
        quantity: a column of it; losses below `LEAST` are not drawn.
        title: of the vertical axis.
    """
    shown, scale, ticks = frame, alt.Scale(domain=[0, 1]), [0, 0.2, 0.4, 0.6, 0.8, 1]
    if quantity == "value":
        shown = frame[frame["value"] >= LEAST]
        top = max(1.0, float(frame["value"].max()) if len(frame) else 1.0) * 1.3
        scale, ticks = alt.Scale(type="log", domain=[LEAST, top], nice=False), ticks_of_ten(LEAST, top)
    return (
        alt.Chart(shown)
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X("logit:Q", title="logit", axis=alt.Axis(gridColor=GRID, tickCount=7)),
            y=alt.Y(
                f"{quantity}:Q",
                title=title,
                scale=scale,
                axis=alt.Axis(gridColor=GRID, values=ticks, format="~g"),
            ),
            color=_loss_colour(frame, columns=5),
            strokeDash=alt.StrokeDash(
                "side:N", scale=alt.Scale(domain=list(SIDES.values()), range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("loss:N"),
                alt.Tooltip("side:N", title="when the"),
                alt.Tooltip("logit:Q", format=".2f"),
                alt.Tooltip(f"{quantity}:Q", title=title, format=".4g"),
            ],
        )
        .properties(height=HEIGHT)
    )


def _loss_colour(frame: pd.DataFrame, *, columns: int = 9) -> alt.Color:
    names = [name for name in LOSSES if name in set(frame["loss"])]
    scale = alt.Scale(domain=names, range=[COLOURS[name] for name in names])
    legend = alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, columns=columns)
    return alt.Color("loss:N", title=None, sort=names, scale=scale, legend=legend)


def _group_range() -> list[str]:
    return [GROUP_COLOURS[group] for group in FREQUENCY_GROUPS]


def sentences(name: str) -> Mapping[str, str]:
    """Title, formula and reading of a loss."""
    return {"title": LOSSES[name].title, "formula": formula(name), "reading": READINGS[name]}

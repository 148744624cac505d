"""The chart of one decision: from the bias through the strongest words to the sum, with the threshold."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from core.analysis.why import Why, waterfall_table
from core.figures import GRID, MARGIN

COLOURS = {"start": "#7f7f7f", "for": "#1b9e77", "against": "#d95f02", "sum": "#4a72c4"}
"""What the sum begins with, words for the label, words against it, and the sum."""


def waterfall(why: Why) -> alt.LayerChart:
    """Bars from where the sum stands before a word to where it stands after it; a dashed line is the threshold."""
    table = waterfall_table(why)
    y = alt.Y(
        "name:N",
        sort=list(table["name"]),
        title=None,
        axis=alt.Axis(labelLimit=160, labelOverlap=False, labelFlush=False),
    )
    tooltip = [alt.Tooltip("name:N", title="word"), alt.Tooltip("adds:Q", format="+.3f")]
    bars = (
        alt.Chart(table)
        .mark_bar(height={"band": 0.75})
        .encode(
            x=alt.X("low:Q", title="the label's sum", axis=alt.Axis(gridColor=GRID)),
            x2="high:Q",
            y=y,
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=tooltip,
        )
    )
    values = (
        alt.Chart(table.assign(words=table["adds"].map("{:+.2f}".format)))
        .mark_text(align="left", dx=3, color="gray", fontSize=10)
        .encode(x="high:Q", y=y, text="words:N", tooltip=tooltip)
    )
    layers: list[alt.Chart] = [bars, values]
    if math.isfinite(why.threshold):
        line = pd.DataFrame({"threshold": [why.threshold]})
        layers.append(
            alt.Chart(line)
            .mark_rule(strokeDash=[5, 4], color="gray", size=2)
            .encode(x="threshold:Q", tooltip=[alt.Tooltip("threshold:Q", title="threshold", format=".2f")])
        )
    return alt.LayerChart(layer=layers, height=22 * len(table) + MARGIN)

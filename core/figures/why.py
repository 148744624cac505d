"""The chart of one decision: from the bias through the strongest words to the sum, with the threshold."""

from __future__ import annotations

import html
import math

import plotly.graph_objects as go

from core.analysis.why import Why, waterfall_table
from core.figures import GRID

COLOURS = {"start": "#7f7f7f", "for": "#1b9e77", "against": "#d95f02", "sum": "#4a72c4"}
"""What the sum begins with and ends at, words for the label, words against it, and the sum where it stands alone."""
ROW = 26
"""Pixels of a bar."""
ROOM = 0.18
"""Beside the bars on either side, as a share of their range."""
MEASURES = {"start": "absolute", "for": "relative", "against": "relative", "sum": "total"}
"""What Plotly makes of a step."""


def waterfall(why: Why) -> go.Figure:
    """Bars from where the sum stands before a word to where it stands after it; a dashed line is the threshold."""
    table = waterfall_table(why)
    names = [html.escape(name) for name in table["name"]]  # Plotly reads tags in a text
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=list(range(len(table))),
            x=table["adds"].tolist(),
            measure=[MEASURES[kind] for kind in table["kind"]],
            text=[f"{adds:+.2f}" for adds in table["adds"]],
            textposition="outside",
            cliponaxis=False,
            customdata=names,
            hovertemplate="%{customdata}: %{text}<extra></extra>",
            increasing={"marker": {"color": COLOURS["for"]}},
            decreasing={"marker": {"color": COLOURS["against"]}},
            totals={"marker": {"color": COLOURS["sum"]}},
            connector={"line": {"color": GRID, "width": 1}},
        )
    )
    figure.update_yaxes(tickvals=list(range(len(table))), ticktext=names, autorange="reversed", automargin=True)
    # Numbers stand beyond the ends of their bars, and need room there.
    ends = [*table["low"], *table["high"], *([why.threshold] if math.isfinite(why.threshold) else [])]
    room = ROOM * (max(ends) - min(ends) or 1.0)
    figure.update_xaxes(
        title="the label's sum",
        range=[min(ends) - room, max(ends) + room],
        gridcolor=GRID,
        zerolinecolor=GRID,
        automargin=True,
    )
    if math.isfinite(why.threshold):
        # Its words stand on the side that has room for them.
        side = "right" if why.threshold > (min(ends) + max(ends)) / 2 else "left"
        words = f"threshold {why.threshold:.2f}"
        figure.add_vline(
            x=why.threshold,
            line={"dash": "dash", "color": "gray", "width": 2},
            annotation={"text": words, "xanchor": side, "yref": "paper", "y": 1.0, "yanchor": "bottom"},
        )
    figure.update_layout(
        height=ROW * len(table) + 90, margin={"l": 10, "r": 40, "t": 30, "b": 10}, showlegend=False, dragmode=False
    )
    return figure

"""The chart of one label: its F1 in every run."""

from __future__ import annotations

import altair as alt
import pandas as pd

from core.figures import GROUP_COLOURS, name_axis

ROW = 19
"""Pixels of a run's row."""
LINE, AXIS = 14, 84
"""Pixels of a line of its name, where that has several, and of the axis below all rows."""


def f1_by_run(table: pd.DataFrame, current: str = "") -> alt.LayerChart:
    """F1 of a label in each run with its interval, a row a run in the order of the table.

    Args:
        table: of `core.analysis.one_label.run_table`.
        current: the run that stands out.
    """
    axis, lines = name_axis(list(table["run"]), 30)
    shown = table.assign(current=table["run"].eq(current))
    base = alt.Chart(shown).encode(
        y=alt.Y(
            "run:N",
            sort=list(table["run"]),
            title=None,
            axis=alt.Axis(**axis, tickSize=0, domain=False),
        ),
        color=alt.condition("datum.current", alt.value(GROUP_COLOURS["tail"]), alt.value(GROUP_COLOURS["head"])),
        tooltip=[
            alt.Tooltip("run:N"),
            alt.Tooltip("f1:Q", title="F1 (%)", format=".1f"),
            alt.Tooltip("low:Q", title="interval from", format=".0f"),
            alt.Tooltip("high:Q", title="to", format=".0f"),
            alt.Tooltip("tp:Q", title="hit"),
            alt.Tooltip("fp:Q", title="wrongly given"),
            alt.Tooltip("fn:Q", title="missed"),
        ],
    )
    x = alt.X("low:Q", title="F1 on test (%), 95 % interval", scale=alt.Scale(domain=[0, 100]))
    bars = base.mark_rule(strokeWidth=2, opacity=0.45).encode(x=x, x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=alt.X("f1:Q"))
    return alt.LayerChart(layer=[bars, points], height=max(ROW, LINE * lines) * len(table) + AXIS)

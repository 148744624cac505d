"""The forest plot of the page Compare: a Vega-Lite specification of plain values, for which no library is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.figures import GRID, MARGIN, name_axis
from core.figures.looks import Look

Spec = dict[str, Any]
"""A chart in Vega-Lite: https://vega.github.io/vega-lite/docs/spec.html."""


def forest_chart(
    rows: Sequence[Mapping[str, Any]],
    dots: Sequence[Mapping[str, Any]],
    looks: Mapping[str, Look],
    *,
    title: str,
    difference: bool,
) -> Spec:
    """A line for each row of a table: its mean, its interval, and a ring for each seed.

    Args:
        rows: of `core.analysis.compare.forest_rows`.
        dots: of the same.
        looks: of the rows, by name.
        title: of the axis.
        difference: from another row: 0 is marked.
    """
    names = [row["row"] for row in rows]
    axis, lines = name_axis(names, 36)
    y = _nominal("row", sort=names, title=None, axis=axis | {"ticks": False})
    x = _quantitative("value", title=title, scale={"zero": False}, axis={"gridColor": GRID})
    # A bar is dashed where it holds no seed noise.
    kinds = list(dict.fromkeys(["seeds and documents", *(row["noise"] for row in rows)]))
    legend = {"orient": "top", "symbolStrokeColor": "gray", "symbolSize": 400, "labelLimit": 0}
    noise = _nominal(
        "noise",
        title="interval over",
        scale={"domain": kinds, "range": [[1, 0], [4, 3]][: len(kinds)]},
        legend=legend if len(kinds) > 1 else None,
    )
    colours = {"domain": names, "range": [looks[name].colour for name in names]}
    colour = _nominal("row", title=None, sort=names, scale=colours, legend=None)
    mark = _nominal("row", scale={"domain": names, "range": [looks[name].mark for name in names]}, legend=None)
    tooltip = [
        _nominal("row"),
        _nominal("runs"),
        _quantitative("seeds"),
        _nominal("text", title="mean and interval"),
        _nominal("noise", title="interval over"),
    ]
    told = [_nominal("row"), _nominal("run"), _quantitative("value", format="+.2f" if difference else ".2f")]
    # The interval, the mean, the seeds; 0 below all of them.
    layers = [
        _layer(
            rows,
            {"type": "rule", "strokeWidth": 3},
            {
                **{"x": _quantitative("low"), "x2": {"field": "high"}, "y": y},
                **{"color": colour, "strokeDash": noise, "tooltip": tooltip},
            },
        ),
        _layer(
            rows,
            {"type": "point", "size": 100, "opacity": 1, "filled": True},
            {"x": x, "y": y, "color": colour, "shape": mark, "tooltip": tooltip},
        ),
        _layer(
            dots,
            {"type": "point", "size": 130, "color": "gray", "strokeWidth": 1.4, "opacity": 0.9},
            {"x": x, "y": y, "tooltip": told},
        ),
    ]
    if difference:
        layers.insert(0, _layer([{"value": 0.0}], {"type": "rule", "color": "gray"}, {"x": x}))
    height = max(28, 14 * lines) * max(len(rows), 1) + MARGIN + (45 if len(kinds) > 1 else 0)
    return {"layer": layers, "height": height}


def _nominal(field: str, **more: object) -> Spec:
    return {"field": field, "type": "nominal", **more}


def _quantitative(field: str, **more: object) -> Spec:
    return {"field": field, "type": "quantitative", **more}


def _layer(rows: Sequence[Mapping[str, Any]], mark: Spec, encoding: Spec) -> Spec:
    """Marks of rows; a number that is none is written as JSON writes it."""
    values = [{key: None if _is_missing(value) else value for key, value in row.items()} for row in rows]
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def _is_missing(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)

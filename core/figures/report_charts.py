"""The charts of a report as SVG, which a page holds without a script: their words take the colour of the page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.figures.looks import Look

WIDTH = 1040
"""Of a chart, in units that a page scales to its width."""
NAMES = 250
"""Of the names of rows."""
LINE = 26
"""Height of a row."""
LETTERS = 38
"""Of a name: what is longer is cut, and whole in its tooltip."""
TALL = 340
"""Height of the lines by rank."""


def forest(panels: Mapping[str, pd.DataFrame], looks: Mapping[str, Look]) -> str:
    """Rows with their means and intervals, a panel for each score; intervals without seed noise are dashed.

    Args:
        panels: by title, rows of `core.analysis.compare.forest_table`; those of the first one give the order.
        looks: by row name.

    Returns:
        Empty where there is no row.
    """
    names = list(dict.fromkeys(name for rows in panels.values() for name in rows["row"]))
    if not names:
        return ""
    height, gap = LINE * len(names), 30
    wide = (WIDTH - NAMES - gap * len(panels)) / len(panels)
    parts = [_text(NAMES - 12, 44 + LINE * (place + 0.5), _cut(name), "end", name) for place, name in enumerate(names)]
    for number, (title, rows) in enumerate(panels.items()):
        left = NAMES + number * (wide + gap)
        parts.append(_text(left + wide / 2, 16, title, "middle", bold=True))
        parts += _panel(rows, names, looks, left, wide, 40, height)
    return _svg(parts, height + 76, "Rows with their means and 95 % intervals")


def _panel(
    rows: pd.DataFrame, names: Sequence[str], looks: Mapping[str, Look], left: float, wide: float, top: int, height: int
) -> list[str]:
    """One score of every row on a scale of its own."""
    ends = rows[["value", "low", "high"]].to_numpy(np.float64)
    ends = ends[np.isfinite(ends)]
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return left + wide * (value - low) / (high - low)

    parts = []
    for tick in _ticks(low, high, 5):
        parts.append(_line(x(tick), top, x(tick), top + height, "grid"))
        parts.append(_text(x(tick), top + height + 18, f"{tick:g}", "middle"))
    for row in rows.to_dict("records"):
        y, look = top + 4 + LINE * (names.index(row["row"]) + 0.5) - 4, looks[row["row"]]
        about = html.escape(f"{row['row']}: {row['text']}, interval over {row['noise']} ({row['runs']})")
        drawn = []
        if math.isfinite(row["low"]) and math.isfinite(row["high"]):
            dash = ' stroke-dasharray="5 4"' if row["noise"] != "seeds and documents" else ""
            drawn.append(
                f'<line x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{look.colour}" stroke-width="3"{dash}/>'
            )
        drawn.append(f'<circle cx="{x(row["value"]):.1f}" cy="{y:.1f}" r="5" fill="{look.colour}"/>')
        parts.append(f"<g>{''.join(drawn)}<title>{about}</title></g>")
    return parts


def by_rank(lines: Mapping[str, np.ndarray], looks: Mapping[str, Look], edges: Sequence[float], labels: int) -> str:
    """Smoothed scores along the tail, a line for each row, dotted lines between head, medium and tail.

    Args:
        lines: by row name, (2, n): ranks and percent.
        looks: by row name.
        edges: ranks between the groups.
        labels: L, the last rank.

    Returns:
        Empty where there is no line.
    """
    if not lines:
        return ""
    left, right, top = 46, WIDTH - 16, 14
    bottom = top + TALL

    def x(rank: float) -> float:
        return left + (right - left) * (rank - 1) / max(labels - 1, 1)

    def y(value: float) -> float:
        return bottom - TALL * value / 100

    # Axes, borders, lines, then a legend in columns.
    parts = []
    for value in range(0, 101, 20):
        parts += [_line(left, y(value), right, y(value), "grid"), _text(left - 8, y(value) + 4, f"{value}", "end")]
    for rank in _ticks(1, labels, 8):
        parts.append(_text(x(rank), bottom + 18, f"{rank:,.0f}", "middle"))
    parts.append(_text((left + right) / 2, bottom + 38, "rank of the label, the most frequent first", "middle"))
    parts += [_line(x(edge), top, x(edge), bottom, "edge") for edge in edges]
    legend, columns = bottom + 64, 3
    for place, (name, line) in enumerate(lines.items()):
        look = looks[name]
        dash = f' stroke-dasharray="{" ".join(map(str, look.dash))}"' if look.dash != (1, 0) else ""
        style = f'fill="none" stroke="{look.colour}" stroke-width="2"{dash}'
        points = " ".join(f"{x(rank):.1f},{y(value):.1f}" for rank, value in line.T)
        parts.append(f'<g><polyline points="{points}" {style}/><title>{html.escape(name)}</title></g>')
        at, down = left + (place % columns) * (right - left) / columns, legend + 20 * (place // columns)
        parts.append(f'<line x1="{at:.1f}" x2="{at + 34:.1f}" y1="{down}" y2="{down}" {style}/>')
        parts.append(_text(at + 42, down + 4, _cut(name), "start", name))
    rows = math.ceil(len(lines) / columns)
    return _svg(parts, legend + 20 * rows, "Scores along the tail")


def _svg(parts: Sequence[str], height: float, about: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{html.escape(about)}">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str, about: str = "", *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    title = f"<title>{html.escape(about)}</title>" if about and about != words else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{html.escape(words)}{title}</text>'


def _cut(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _ticks(low: float, high: float, many: int) -> list[float]:
    """About so many round numbers between two."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / many))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= many)
    return [float(f"{step * number:.10g}") for number in range(math.ceil(low / step), math.floor(high / step) + 1)]

"""One function per chart, DataFrame in, chart out; here the look that all of them share."""

from __future__ import annotations

GROUP_COLOURS = {"all": "#7f7f7f", "head": "#4a72c4", "medium": "#1b9e77", "tail": "#d95f02"}
"""One colour each, on every page: told apart by colour-blind people, and legible on white and on near-black."""
GRID = "#8888884d"
"""Grid lines and rules on both themes."""
MAX_MARKS = 2000
"""More marks than this are sampled or binned: a chart stays small however many labels there are."""
HEIGHT = 320
"""Pixels of an ordinary chart."""
MARGIN = 120
"""Pixels of a chart's height that its axis, titles and legend take."""

"""One function per chart, DataFrame in, chart out; here the look that all of them share."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from core.labels.groups import FREQUENCY_GROUPS, UNSEEN

if TYPE_CHECKING:
    import altair as alt

GROUP_COLOURS = {"all": "#7f7f7f", "head": "#4a72c4", "medium": "#1b9e77", "tail": "#d95f02", UNSEEN: "#b8458f"}
"""One colour each, on every page: told apart by colour-blind people, and legible on white and on near-black."""
GRID = "#8888884d"
"""Grid lines and rules on both themes."""
MAX_MARKS = 2000
"""More marks than this are sampled or binned: a chart stays small however many labels there are."""
HEIGHT = 320
"""Pixels of an ordinary chart."""
MARGIN = 120
"""Pixels of a chart's height that its axis, titles and legend take."""
LABEL = "label"
"""Name of the selection of a chart whose marks are labels."""
LETTER = 6.6
"""Pixels of a letter of an axis or a legend, on average."""
LEGEND_WIDTH = 720
"""Pixels that a legend below a chart has, also on a narrow page."""


def colour_groups(groups: Iterable[str], *, legend: bool = True, more: Sequence[str] = ()) -> alt.Color:
    """Colour by column `group`: head, medium, tail as on every page, and labels without a document where there are any.

    Args:
        groups: those that occur.
        legend: whether there is one.
        more: other keys of `GROUP_COLOURS` that stand first.
    """
    import altair as alt

    shown = [*more, *FREQUENCY_GROUPS, *([UNSEEN] if UNSEEN in set(groups) else [])]
    return alt.Color(
        "group:N",
        title=None,
        sort=shown,
        scale=alt.Scale(domain=shown, range=[GROUP_COLOURS[group] for group in shown]),
        # Two columns have room for the long name of a group on a narrow page.
        legend=alt.Legend(orient="top", symbolType="circle", labelLimit=0, columns=2 if UNSEEN in shown else 0)
        if legend
        else None,
    )


def label_click(*fields: str) -> alt.Parameter:
    """The selection, called `LABEL`, of a chart whose marks are labels: a click answers with these fields of a mark."""
    import altair as alt

    return alt.selection_point(name=LABEL, fields=list(fields), empty=False)


def wrap_names(names: Sequence[str], letters: int) -> tuple[str, int]:
    """An axis's names on lines of some letters at most, none cut: a Vega expression, and the lines of the longest."""
    lines = {name: textwrap.wrap(name, letters, break_long_words=True) or [name] for name in names}
    wrapped = {name: parts for name, parts in lines.items() if len(parts) > 1}
    most = max(map(len, lines.values()), default=1)
    return f"({json.dumps(wrapped)})[datum.label] || datum.label", most


def name_axis(names: Sequence[str], letters: int) -> tuple[dict[str, Any], int]:
    """An axis whose names are wrapped as by `wrap_names`, each beside its mark, and the lines of the longest."""
    words, lines = wrap_names(names, letters)
    # The first of several lines would stand beside the mark, and the others reach into the next row.
    several = {"test": f"isArray({words})", "value": "bottom"}
    baseline = {"condition": several, "value": "middle"}
    return {"labelLimit": 0, "labelOverlap": False, "labelExpr": words, "labelBaseline": baseline}, lines


def count_columns(names: Sequence[str]) -> int:
    """How many names stand side by side in a legend below a chart without being cut."""
    longest = max(map(len, names), default=1)
    return max(1, min(len(names), int(LEGEND_WIDTH // (longest * LETTER + 40))))

"""How losses and rows look, in every chart alike: a colour for each loss, dashes and marks that tell rows apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.analysis.tables import method
from core.config.defaults import MODELS
from core.losses.presets import LOSSES
from core.runs.folder import Run

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
    "asl": "#3f8f9b",
    "zlpr": "#5b6fd6",
    "logit-adjusted": "#6f9a2f",
    "hill": "#a8563f",
    "apl": "#2b6f8f",
    "dice": "#b05fb0",
    "two-way": "#4f7f5a",
    "soft-f1": "#b5782f",
    "propensity": "#9a6f8f",
}
"""One colour for each loss; one that is not named here gets one of `SPARE_COLOURS`."""
SPARE_COLOURS = ("#8468b8", "#b3702c", "#1a9c8e", "#9a55c0", "#7b74c9", "#cc6a20")
MODEL_COLOURS = {"svm": "#a020d0", "tree": "#7d8f1f", "encdec": "#2f7fd1", "ocd": "#d0479b", "combined": "#0f8f8a"}
"""Of models that have their own loss, or none."""
SOLID, LONG, DOTS, MIXED, SHORT = (1, 0), (8, 3), (2, 3), (8, 3, 2, 3), (4, 4)
DASHES = (SOLID, LONG, DOTS, MIXED, SHORT)
"""Pixels drawn and left out, in turn."""
DASH_OF = {"fl": DOTS, "ntr-fl": LONG, "db-0fl": MIXED, "cb-ntr": LONG, "db": SHORT, "ntr-fl-released": DOTS}
"""Lines that may lie on those of other losses, and those whose colours are alike to colour-blind people."""
MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down")
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Look:
    """How a row is drawn.

    Attributes:
        colour: as #rrggbb.
        dash: of its line, as in `DASHES`.
        mark: of its points, as in `MARKS`, words that Vega and Plotly share.
    """

    colour: str
    dash: tuple[int, ...]
    mark: str


def colour_of(name: str) -> str:
    """The colour of a loss, or of a model that has its own."""
    if name in COLOURS or name in MODEL_COLOURS:
        return (COLOURS | MODEL_COLOURS)[name]
    spare = [loss for loss in (*LOSSES, *MODELS) if loss not in COLOURS and loss not in MODEL_COLOURS]
    return SPARE_COLOURS[(spare.index(name) if name in spare else len(name)) % len(SPARE_COLOURS)]


def dash_of(name: str) -> tuple[int, ...]:
    """The dash of a loss."""
    return DASH_OF.get(name, SOLID)


def assign_looks(rows: Mapping[str, Run]) -> dict[str, Look]:
    """A look for each row: the colour of its loss; the model, and then its place, decide shade, dash and mark.

    The look of a row depends on its loss and model alone, unless another row has both as well. No two are the same.

    Args:
        rows: a run of each, by the row's name.
    """
    looks: dict[str, Look] = {}
    models = [name for name, model in MODELS.items() if model.trained and not model.own_loss]
    for name, run in rows.items():
        model = run.config.model.name
        variant = models.index(model) if model in models else 0
        while (look := _vary(method(run), variant)) in looks.values():
            variant += 1
        looks[name] = look
    return looks


def _vary(name: str, variant: int) -> Look:
    """The look of a loss in one of its variants, of which the first is the loss's own."""
    dash = DASHES[(DASHES.index(dash_of(name)) + variant) % len(DASHES)]
    # Spread evenly from a third darker to nearly a half lighter, never twice the same.
    shade = (variant * GOLDEN) % 1 * 0.8 - 0.35 if variant else 0.0
    return Look(_mix(colour_of(name), shade), dash, MARKS[variant % len(MARKS)])


def _mix(colour: str, shade: float) -> str:
    """A colour with a share of white, or of black where the share is below 0."""
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    target = 255 if shade > 0 else 0
    return "#" + "".join(f"{round(part + (target - part) * abs(shade)):02x}" for part in parts)

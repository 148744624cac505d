"""Charts of the page Launcher: losses and scores by epoch, several runs together, figures between evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd

from core.analysis.progress import AVERAGES, SERIES, in_percent, score_frame, scores_in, thinned
from core.figures import GROUP_COLOURS
from core.figures.looks import Look
from core.labels.groups import UNSEEN

STATE_COLOURS: dict[str, Literal["gray", "blue", "green", "red", "orange", "violet"]] = {
    "queued": "gray",
    "running": "blue",
    "finished": "green",
    "failed": "red",
    "stopped": "orange",
    "lost": "violet",
}
"""Colour of each state's badge word, one of Streamlit's names."""


def loss_curve(history: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    """Mean training loss by epoch; a rule marks the best epoch so far."""
    frame = pd.DataFrame(
        [
            {"epoch": entry["epoch"], "loss": entry.get("train_loss"), "series": "train"}
            for entry in thinned(history)
            if "epoch" in entry
        ],
        columns=["epoch", "loss", "series"],
    )
    line = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=20))
        .encode(
            x=_epoch_axis(),
            y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False)),
            color=_colour(["train"], [GROUP_COLOURS["all"]]),
            tooltip=[alt.Tooltip("epoch:Q"), alt.Tooltip("loss:Q", format=".4g")],
        )
    )
    return _with_best(line, history)


def score_curve(history: Sequence[Mapping[str, Any]], *, average: str) -> alt.LayerChart:
    """Validation F1 by epoch for all labels and for each frequency group.

    Args:
        history: as `core.runs.journal.read_history` gives it; may be empty.
        average: `micro` or `macro`.

    Raises:
        ValueError: another average.
    """
    if average not in AVERAGES:
        raise ValueError(f"average is {average!r}, choose micro or macro")
    frame = score_frame(history)
    series = [name for name in SERIES if name != UNSEEN or frame["series"].eq(name).any()]
    line = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=20))
        .encode(
            x=_epoch_axis(),
            y=alt.Y(f"{average}:Q", title=f"validation {average}-F1 (%)", scale=alt.Scale(domain=[0, 100])),
            color=_colour(series, [GROUP_COLOURS[name] for name in series]),
            tooltip=[alt.Tooltip("epoch:Q"), alt.Tooltip("series:N"), alt.Tooltip(f"{average}:Q", format=".2f")],
        )
    )
    return _with_best(line, history)


def hits_curve(history: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Labels that are predicted rightly at least once in the validation part, by epoch."""
    rows = [
        {"epoch": entry["epoch"], "labels": entry["labels_hit"]}
        for entry in thinned(history)
        if "labels_hit" in entry and "epoch" in entry
    ]
    return (
        alt.Chart(pd.DataFrame(rows, columns=["epoch", "labels"]), height=180)
        .mark_line(color=GROUP_COLOURS["all"], point=alt.OverlayMarkDef(size=20, color=GROUP_COLOURS["all"]))
        .encode(
            x=_epoch_axis(),
            y=alt.Y("labels:Q", title="labels hit", axis=alt.Axis(tickCount=4, format="d")),
            tooltip=[alt.Tooltip("epoch:Q"), alt.Tooltip("labels:Q", title="labels hit at least once")],
        )
    )


TOGETHER = {
    "Training loss": "train_loss",
    "Validation micro-F1": "micro_f1",
    "Validation macro-F1": "macro_f1",
}
"""What several runs are compared by while they train: titles, and the key in a history entry."""


def together(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], looks: Mapping[str, Look], *, quantity: str, title: str
) -> alt.Chart:
    """One line for each run by epoch.

    Args:
        histories: by the run's name, as `core.runs.journal.read_history` gives them; some may be empty.
        looks: of the runs, by name.
        quantity: a value of `TOGETHER`.
        title: of the axis.
    """
    # Evaluations without this quantity are left out.
    rows = []
    for name, history in histories.items():
        for entry in thinned(history):
            scored = in_percent((scores_in(entry).get("all") or {}).get(quantity))
            value = entry.get("train_loss") if quantity == "train_loss" else scored
            if value is not None and "epoch" in entry:
                rows.append({"epoch": entry["epoch"], "run": name, "value": value})
    percent = quantity != "train_loss"
    scale = alt.Scale(domain=[0, 100]) if percent else alt.Scale(zero=False)
    frame = pd.DataFrame(rows, columns=["epoch", "run", "value"])
    names = list(histories)
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=300, labelFontSize=11, symbolSize=300)
    shared: dict[str, Any] = {"title": None, "sort": names, "legend": legend}
    return (
        alt.Chart(frame, height=300 + 20 * len(histories))
        .mark_line(point=alt.OverlayMarkDef(size=20))
        .encode(
            x=_epoch_axis(),
            y=alt.Y("value:Q", title=f"{title} (%)" if percent else title, scale=scale),
            color=alt.Color(
                "run:N",
                scale=alt.Scale(domain=names, range=[looks[name].colour for name in names]),
                **shared,
            ),
            strokeDash=alt.StrokeDash(
                "run:N", scale=alt.Scale(domain=names, range=[list(looks[name].dash) for name in names]), **shared
            ),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("value:Q", title=title, format=".2f" if percent else ".4g"),
            ],
        )
    )


def light(chart: alt.Chart | alt.LayerChart) -> dict[str, Any]:
    """A chart as Vega-Lite with the data in its layers, which is sent as it is, at every tick of a page."""
    spec = chart.to_dict(validate=False)
    data, own = spec.pop("datasets", {}), spec.pop("data", None)
    if "layer" not in spec:
        spec["layer"] = [{key: spec.pop(key) for key in ("mark", "encoding") if key in spec}]
    for layer in spec["layer"]:
        name = (layer.get("data") or own or {}).get("name")
        if name in data:
            layer["data"] = {"values": data[name]}
    return spec


COURSE = {
    "train_loss": "training loss",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "documents_per_second": "documents/s",
    "memory": "memory (GB)",
}
"""What `steps.jsonl` says between evaluations, and its axis."""


def step_curve(steps: Sequence[Mapping[str, Any]], *, quantity: str) -> alt.Chart:
    """One quantity of `COURSE` while training goes on, by epochs done; long courses are thinned to `MOST_POINTS`.

    Args:
        steps: as `core.runs.journal.read_steps` gives them; may be empty.
        quantity: a key of `COURSE`.
    """
    unit = 1e9 if quantity == "memory" else 1
    rows = [
        {"epochs done": entry["epoch"] - 1 + entry["step"] / entry["steps"], quantity: entry[quantity] / unit}
        for entry in thinned(steps)
        if isinstance(entry.get(quantity), int | float) and entry.get("steps") and {"epoch", "step"} <= entry.keys()
    ]
    frame = pd.DataFrame(rows, columns=["epochs done", quantity])
    return (
        alt.Chart(frame, height=180)
        .mark_line(color=GROUP_COLOURS["all"])
        .encode(
            x=alt.X("epochs done:Q", axis=alt.Axis(tickCount=4), scale=alt.Scale(nice=False)),
            y=alt.Y(f"{quantity}:Q", title=COURSE[quantity], scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
            tooltip=[alt.Tooltip("epochs done:Q", format=".2f"), alt.Tooltip(f"{quantity}:Q", format=".4g")],
        )
    )


def _epoch_axis() -> alt.X:
    return alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(nice=False))


def _colour(names: list[str], colours: list[str]) -> alt.Color:
    """Colours of the lines, with a legend above: the same for all three charts, so that they stand level."""
    scale = alt.Scale(domain=names, range=colours)
    return alt.Color(
        "series:N",
        title=None,
        scale=scale,
        legend=alt.Legend(orient="top", columnPadding=6, labelFontSize=11, symbolSize=60),
    )


def _with_best(line: alt.Chart, history: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    best = pd.DataFrame({"epoch": [entry["epoch"] for entry in history if entry.get("best") and "epoch" in entry][-1:]})
    rule = (
        alt.Chart(best.astype({"epoch": float}))
        .mark_rule(strokeDash=[4, 4], color="gray")
        .encode(x=_epoch_axis(), tooltip=[alt.Tooltip("epoch:Q", title="best epoch so far")])
    )
    return alt.LayerChart(layer=[line, rule], height=280)

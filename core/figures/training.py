"""What the training launcher shows: the table of runs, and the curves of one run by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import altair as alt
import pandas as pd

from core.figures import GROUP_COLOURS
from core.runs.folder import LIVE, Run

STATE_COLOURS: dict[str, Literal["gray", "blue", "green", "red", "orange", "violet"]] = {
    "queued": "gray",
    "running": "blue",
    "finished": "green",
    "failed": "red",
    "stopped": "orange",
    "lost": "violet",
}
"""Colour of each state's badge word, one of Streamlit's names."""
SERIES = ("all", "head", "medium", "tail")
AVERAGES = ("micro", "macro")
MOST_POINTS = 75
"""Of one line in a chart, or up to twice as many: a browser draws each of them anew whenever the chart changes."""
RUN_COLUMNS = (
    *("state", "name", "data", "progress", "epoch", "micro", "macro", "left", "age", "took"),
    *("device", "user", "tags", "size", "run"),
)


def words_of_seconds(seconds: float) -> str:
    """A length of time as people say it: `12 s`, `3 min`, `2 h`, `5 days`."""
    seconds = max(seconds, 0.0)
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds // 86_400)} days"


def run_name(run: Run) -> str:
    """What people call a run; else its model, loss and seed, or its id if its settings cannot be read."""
    if run.about.name or run.config is None:
        return run.about.name or run.id
    loss = [run.config.loss.name] if run.config.loss else []
    return " · ".join([run.config.model.name, *loss, f"seed {run.config.seed}"])


def run_age(run: Run, *, now: float) -> str:
    """How long a run waits, runs, or has ended ago; empty if its folder does not say."""
    since = {"queued": run.submitted, "running": run.started or run.submitted}.get(run.state, run.ended)
    since = since if since is not None else run.submitted
    if since is None:
        return ""
    return words_of_seconds(now - since) + ("" if run.state in LIVE else " ago")


def epoch_words(run: Run) -> str:
    """`3 of 40` while a network trains; empty for a run that has no epochs."""
    epoch, epochs = run.progress.get("epoch"), run.progress.get("epochs")
    return f"{epoch} of {epochs}" if epoch is not None and epochs is not None else ""


def phase(run: Run) -> str:
    """What a live run is doing: its epoch while it trains, else the phase it reports."""
    words = epoch_words(run)
    return f"epoch {words}" if words else str(run.progress.get("phase") or run.state)


def fraction(run: Run) -> float:
    """How much of a run is done, 0..1; 0 if its folder does not say."""
    done = run.progress.get("fraction")
    return min(max(float(done), 0.0), 1.0) if isinstance(done, int | float) else 0.0


def time_left(run: Run, *, now: float) -> float | None:
    """Seconds until a run has ended if it goes on at its pace and does not stop early; None while that is unknown."""
    try:
        at, begun = run.progress["since"]
        done = fraction(run) - begun
        return (1 - fraction(run)) * (now - at) / done if run.state == "running" and done > 0.005 else None
    except (KeyError, TypeError, ValueError):
        return None


def scores_in(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The validation scores of a history entry or of a run's metrics; empty if it holds none."""
    scores = entry.get("validation")
    return scores if isinstance(scores, dict) else {}


def run_table(
    runs: Iterable[Run], scores: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int], *, now: float
) -> pd.DataFrame:
    """One row per run, in the given order.

    Args:
        runs: also damaged ones, of which little is known.
        scores: by run id, the last validation scores as in `core.metrics.label_sets.score_groups`; runs may be missing.
        sizes: by run id, bytes on disk; runs may be missing.
        now: unix seconds.

    Returns:
        A frame with `RUN_COLUMNS`: state in a list (a badge), progress 0..1, micro and macro F1 in percent, size in MB.
    """
    rows = []
    for run in runs:
        config, every = run.config, scores.get(run.id, {}).get("all") or {}
        took = run.ended - run.started if run.ended is not None and run.started is not None else None
        left = time_left(run, now=now)
        rows.append(
            {
                "state": [run.state],
                "name": ("★ " if run.about.pinned else "") + run_name(run),
                "data": f"{config.data.name} {config.data.split}" if config else "",
                "progress": fraction(run),
                "epoch": epoch_words(run),
                "micro": _percent(every.get("micro_f1")),
                "macro": _percent(every.get("macro_f1")),
                "left": "" if left is None else words_of_seconds(left),
                "age": run_age(run, now=now),
                "took": "" if took is None else words_of_seconds(took),
                "device": run.device,
                "user": run.user,
                "tags": list(run.about.tags),
                "size": sizes.get(run.id, 0) / 1e6,
                "run": run.id,
            }
        )
    return pd.DataFrame(rows, columns=list(RUN_COLUMNS)).astype({"micro": float, "macro": float})


def pace(run: Run, *, now: float) -> str:
    """How long a live run has been at it, and how long it will be."""
    left = time_left(run, now=now)
    age = run_age(run, now=now)
    return age if left is None else f"{age}, {words_of_seconds(left)} left"


def event_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """A line of `events.jsonl` for a table: when, what, and the rest in words."""
    more = {key: value for key, value in event.items() if key not in ("time", "what")}
    words = ", ".join(f"{key} {value}" for key, value in more.items() if value != "")
    return {"time": datetime.fromtimestamp(float(event["time"])), "what": str(event["what"]), "more": words}


def run_figures(
    run: Run, epoch: Mapping[str, Any], step: Mapping[str, Any], beat: Mapping[str, float], *, now: float
) -> dict[str, str]:
    """What a run does and takes, by title, with units; what is not known is left out.

    Args:
        run: the run.
        epoch: the last line of its history; may be empty.
        step: the last line of its steps; may be empty.
        beat: its heartbeat; empty unless it lives.
        now: unix seconds.
    """
    scores = scores_in(epoch)
    found: dict[str, str] = {}
    for title, group, name in (
        ("micro-F1", "all", "micro_f1"),
        ("macro-F1", "all", "macro_f1"),
        ("tail macro-F1", "tail", "macro_f1"),
    ):
        value = (scores.get(group) or {}).get(name)
        if value is not None:
            found[title] = f"{100 * value:.2f}"
    if "labels_hit" in epoch:
        found["labels hit"] = f"{epoch['labels_hit']:,}"
    if run.state in LIVE and epoch_words(run):
        found["epoch"] = f"{run.progress['epoch']}/{run.progress['epochs']}"
    if (left := time_left(run, now=now)) is not None:
        found["time left"] = words_of_seconds(left)
    if (speed := step.get("documents_per_second")) is not None:
        found["documents/s"] = f"{speed:,.0f}"
    if "cpu" in beat:
        found["CPU"] = f"{beat['cpu']:.0f} %"
    if "memory" in beat:
        of = f" of {beat['of_memory'] / 1e9:.0f}" if beat.get("of_memory") else ""
        found["memory"] = f"{beat['memory'] / 1e9:.1f}{of} GB"
    if "gpu" in beat:
        found["GPU memory"] = f"{beat['gpu'] / 1e9:.1f} GB"
    return found


def thinned(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """About `MOST_POINTS` entries of a long course, the last one among them."""
    step = max(1, len(entries) // MOST_POINTS)
    return entries[(len(entries) - 1) % step :: step] if entries else entries


def score_frame(history: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Validation F1 by epoch, long form: columns epoch, series, micro, macro (percent); empty groups are left out."""
    rows = [
        {"epoch": entry["epoch"], "series": group, **{name: _percent(scores.get(f"{name}_f1")) for name in AVERAGES}}
        for entry in thinned(history)
        if "epoch" in entry
        for group in SERIES
        if (scores := scores_in(entry).get(group))
    ]
    return pd.DataFrame(rows, columns=["epoch", "series", *AVERAGES])


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
    line = (
        alt.Chart(score_frame(history))
        .mark_line(point=alt.OverlayMarkDef(size=20))
        .encode(
            x=_epoch_axis(),
            y=alt.Y(f"{average}:Q", title=f"validation {average}-F1 (%)", scale=alt.Scale(domain=[0, 100])),
            color=_colour(list(SERIES), [GROUP_COLOURS[name] for name in SERIES]),
            tooltip=[alt.Tooltip("epoch:Q"), alt.Tooltip("series:N"), alt.Tooltip(f"{average}:Q", format=".2f")],
        )
    )
    return _with_best(line, history)


def hits_curve(history: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Labels that are predicted rightly at least once in the validation part, by epoch."""
    rows = [
        {"epoch": entry["epoch"], "labels": entry["labels_hit"]} for entry in thinned(history) if "labels_hit" in entry
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


def together(histories: Mapping[str, Sequence[Mapping[str, Any]]], *, quantity: str, title: str) -> alt.Chart:
    """One line for each run by epoch.

    Args:
        histories: by the run's name, as `core.runs.journal.read_history` gives them; some may be empty.
        quantity: a value of `TOGETHER`.
        title: of the axis.
    """
    rows = []
    for name, history in histories.items():
        for entry in thinned(history):
            scored = _percent((scores_in(entry).get("all") or {}).get(quantity))
            value = entry.get("train_loss") if quantity == "train_loss" else scored
            if value is not None and "epoch" in entry:
                rows.append({"epoch": entry["epoch"], "run": name, "value": value})
    percent = quantity != "train_loss"
    scale = alt.Scale(domain=[0, 100]) if percent else alt.Scale(zero=False)
    frame = pd.DataFrame(rows, columns=["epoch", "run", "value"])
    return (
        alt.Chart(frame, height=300 + 20 * len(histories))
        .mark_line(point=alt.OverlayMarkDef(size=20))
        .encode(
            x=_epoch_axis(),
            y=alt.Y("value:Q", title=f"{title} (%)" if percent else title, scale=scale),
            color=alt.Color(
                "run:N",
                title=None,
                sort=list(histories),
                legend=alt.Legend(orient="bottom", columns=1, labelLimit=300, labelFontSize=11, symbolSize=60),
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
        if isinstance(entry.get(quantity), int | float) and entry.get("steps")
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


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction

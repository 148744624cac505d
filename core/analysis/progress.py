"""How far runs are, in words and as the table of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from core.analysis.run_names import name_runs
from core.labels.groups import EVERY_GROUP
from core.runs.folder import LIVE, Damaged, Folder, Run
from core.runs.layout import stop_flag

SERIES = ("all", *EVERY_GROUP)
AVERAGES = ("micro", "macro")
PERCENTS = ("test", "tail", "micro", "macro")
"""Columns of the table of runs that hold percent."""
MOST_POINTS = 75
"""Of one line in a chart, or up to twice as many: a browser draws each of them again whenever the chart changes."""
RUN_COLUMNS = (
    *("state", "name", "data", "progress", "epoch", "test", "tail", "micro", "macro", "left", "age", "took"),
    *("device", "user", "tags", "size", "run"),
)


def words_of_seconds(seconds: float) -> str:
    """A length of time in words: `12 s`, `3 min`, `2 h`, `5 days`."""
    seconds = max(seconds, 0.0)
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds // 86_400)} days"


def run_age(run: Folder, *, now: float) -> str:
    """How long a run waits, runs, or has ended ago; empty if its folder does not say."""
    since = {"queued": run.submitted, "running": run.started or run.submitted}.get(run.state, run.ended)
    since = since if since is not None else run.submitted
    if since is None:
        return ""
    return words_of_seconds(now - since) + ("" if run.state in LIVE else " ago")


def epoch_words(run: Folder) -> str:
    """`3 of 40` while a network trains; empty for a run that has no epochs."""
    epoch, epochs = run.progress.get("epoch"), run.progress.get("epochs")
    return f"{epoch} of {epochs}" if epoch is not None and epochs is not None else ""


def phase(run: Folder) -> str:
    """What a live run is doing: its epoch while it trains, else the phase it reports."""
    if is_stopping(run):
        return "stopping…"
    words = epoch_words(run)
    return f"epoch {words}" if words else str(run.progress.get("phase") or run.state)


def is_stopping(run: Folder) -> bool:
    """Whether a live run has been asked to stop."""
    return run.state in LIVE and stop_flag(run.path).exists()


def fraction(run: Folder) -> float:
    """How much of a run is done, 0..1; 0 if its folder does not say. One that was taken in says nothing of it."""
    if run.state == "finished":
        return 1.0
    done = run.progress.get("fraction")
    return min(max(float(done), 0.0), 1.0) if isinstance(done, int | float) else 0.0


def time_left(run: Folder, *, now: float) -> float | None:
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
    runs: Iterable[Folder],
    scores: Mapping[str, Mapping[str, Any]],
    sizes: Mapping[str, int],
    *,
    now: float,
    names: Mapping[str, str] | None = None,
    tests: Mapping[str, Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """One row per run, in the given order.

    Args:
        runs: also damaged ones, of which little is known.
        scores: by run id, the last validation scores as in `core.metrics.label_sets.score_groups`; runs may be missing.
        sizes: by run id, bytes on disk; runs may be missing.
        now: unix seconds.
        names: by run id; without them the runs are named among themselves.
        tests: by run id, the test scores of finished runs; runs may be missing.

    Returns:
        A frame with `RUN_COLUMNS`: state in a list (a badge), progress 0..1, micro-F1 and tail macro-F1 on test, micro-
        and macro-F1 on validation, all in percent, size in MB.
    """
    rows, runs = [], list(runs)
    names = names or name_runs(runs)
    for run in runs:
        every = scores.get(run.id, {}).get("all") or {}
        tested = (tests or {}).get(run.id, {})
        took = run.ended - run.started if run.ended is not None and run.started is not None else None
        left = time_left(run, now=now)
        marks = {"★ ": run.about.pinned, "⚠ ": isinstance(run, Damaged), "⇩ ": run.imported}
        rows.append(
            {
                "state": [run.state],
                "name": "".join(mark for mark, is_so in marks.items() if is_so) + names[run.id],
                "data": f"{run.config.data.name} {run.config.data.split}" if isinstance(run, Run) else "",
                "progress": fraction(run),
                "epoch": epoch_words(run),
                "test": in_percent((tested.get("all") or {}).get("micro_f1")),
                "tail": in_percent((tested.get("tail") or {}).get("macro_f1")),
                "micro": in_percent(every.get("micro_f1")),
                "macro": in_percent(every.get("macro_f1")),
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
    return pd.DataFrame(rows, columns=list(RUN_COLUMNS)).astype(dict.fromkeys(PERCENTS, float))


def find_silent(table: pd.DataFrame) -> list[str]:
    """Columns of a `run_table` that say nothing: empty in every row, or the same in all where that tells none apart."""
    if table.empty:
        return []
    empty = [name for name in ("epoch", "left", "took", "tags") if not any(map(len, table[name]))]
    alike = [name for name in ("data", "device", "user") if len(table) > 1 and table[name].nunique() < 2]
    unknown = [name for name in PERCENTS if table[name].isna().all()]
    whole = ["progress"] if table["state"].map(lambda states: states[0] not in LIVE).all() else []
    return [*empty, *alike, *unknown, *whole]


LEADERS = 5
"""Runs of a sweep on its leaderboard."""


def leaderboard(
    runs: Sequence[Folder], names: Mapping[str, str], scores: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """The runs with the best validation micro-F1 so far, at most `LEADERS`; those without a score are left out.

    Args:
        runs: of a sweep.
        names: by run id.
        scores: by run id, the last validation scores.

    Returns:
        Columns run, state, micro, macro, tail: validation micro-F1, macro-F1 and tail macro-F1 in percent.
    """
    rows = []
    for run in runs:
        known = scores.get(run.id, {})
        every, tail = known.get("all") or {}, known.get("tail") or {}
        if every.get("micro_f1") is not None:
            numbers = [every["micro_f1"], every.get("macro_f1"), tail.get("macro_f1")]
            rows.append((names[run.id], run.state, *map(in_percent, numbers)))
    found = pd.DataFrame(rows, columns=["run", "state", "micro", "macro", "tail"])
    found = found.astype({"micro": float, "macro": float, "tail": float})
    return found.sort_values("micro", ascending=False, kind="stable", ignore_index=True).head(LEADERS)


def sweep_left(runs: Sequence[Folder], *, now: float) -> float | None:
    """Seconds until all runs of a sweep have ended, by those that have ended or train; None while that is unknown.

    Runs that wait take as long as the others on average, as many at once as train now.

    Args:
        runs: those of the sweep that there are.
        now: unix seconds.
    """
    running = [run for run in runs if run.state == "running"]
    waiting = sum(run.state == "queued" for run in runs)
    lefts = [time_left(run, now=now) for run in running]
    known = [left for left in lefts if left is not None]
    ended = [run for run in runs if run.state == "finished"]
    took = [one.ended - one.started for one in ended if one.started is not None and one.ended is not None]
    for run, left in zip(running, lefts, strict=True):
        if left is not None and run.started is not None:
            took.append(now - run.started + left)
    if not running or (not took and (waiting or len(known) < len(running))):
        return None
    mean = sum(took) / len(took) if took else 0.0
    each = [mean / 2 if left is None else left for left in lefts]
    return max(max(each), (sum(each) + waiting * mean) / len(running))


def pace(run: Folder, *, now: float) -> str:
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
    run: Folder, epoch: Mapping[str, Any], step: Mapping[str, Any], beat: Mapping[str, float], *, now: float
) -> dict[str, str]:
    """What a run does and takes, by title, with units; what is not known is left out.

    Args:
        run: the run.
        epoch: the last line of its history; may be empty.
        step: the last line of its steps; may be empty.
        beat: its heartbeat; empty unless it lives.
        now: unix seconds.
    """
    scores = {} if run.state == "finished" else scores_in(epoch)  # those of the kept epoch stand in a table
    found: dict[str, str] = {}
    for title, group, name in (
        ("validation micro-F1", "all", "micro_f1"),
        ("validation macro-F1", "all", "macro_f1"),
        ("validation tail macro-F1", "tail", "macro_f1"),
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
        {"epoch": entry["epoch"], "series": group, **{name: in_percent(scores.get(f"{name}_f1")) for name in AVERAGES}}
        for entry in thinned(history)
        if "epoch" in entry
        for group in SERIES
        if (scores := scores_in(entry).get(group))
    ]
    return pd.DataFrame(rows, columns=["epoch", "series", *AVERAGES])


def in_percent(fraction: float | None) -> float | None:
    """A fraction in percent; None where it is undefined."""
    return None if fraction is None else 100 * fraction

"""What tail macro-F1 costs in micro-F1: every threshold, every margin of `quiet`, and each rule as a point."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis import decisions, what_if
from core.labels.groups import Borders, count_documents, group_of
from core.metrics import label_sets
from core.metrics.cuts import label_columns, read_scores
from core.metrics.quiet import Quiet
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import Predictions
from core.system.errors import UserError

GLOBAL, QUIET = "one threshold", "margin of quiet"
"""The curves: what moves along them."""
MARGINS = (*np.arange(25) / 10, *np.arange(13, 26) / 5, *np.arange(11, 20) / 2, np.inf)
"""Margins of `quiet` that are drawn: those that the rule tries and further ones; infinity is the global threshold."""
WIDEST = 40.0
"""Points of micro-F1 below the best rule that the chart shows at most."""


def curve_table(
    predictions: Predictions, counts: Sequence[int], borders: Borders, *, steps: Sequence[float], quiet: Quiet | None
) -> pd.DataFrame:
    """Micro-F1 and tail macro-F1 of a part along `GLOBAL` and `QUIET`.

    Args:
        predictions: n documents, L labels.
        counts: training documents of each label, (L,).
        borders: of the tail.
        steps: thresholds for all labels, rising.
        quiet: of the run; None draws no such curve.

    Returns:
        Columns curve, value (the threshold, or the margin), micro and tail (percent); empty without a tail label or
        document.
    """
    tail = np.flatnonzero(group_of(np.asarray(counts), borders) == "tail")
    if not len(tail) or not predictions.targets.shape[0]:
        return pd.DataFrame({"curve": [], "value": [], "micro": [], "tail": []})
    values, hits = read_scores(predictions.targets, predictions.scores)
    columns = label_columns(predictions.scores)
    parts = {GLOBAL: (np.asarray(steps), np.searchsorted(steps, values, side="left"))}
    if quiet is not None:
        # Only what the lowest thresholds give can be given by higher ones.
        reached, above = np.zeros(len(values), np.int64), np.flatnonzero(values > quiet.limits(MARGINS[0])[columns])
        for margin in MARGINS:
            above = above[values[above] > quiet.limits(margin)[columns[above]]]
            reached[above] += 1
        parts[QUIET] = (np.array(MARGINS), reached)
    frames = []
    for curve, (settings, reached) in parts.items():
        micro, macro = _f1_of_settings(len(settings), reached, hits, columns, predictions.targets, tail)
        frames.append(pd.DataFrame({"curve": curve, "value": settings, "micro": 100 * micro, "tail": 100 * macro}))
    return pd.concat(frames, ignore_index=True)


def _f1_of_settings(
    settings: int, reached: np.ndarray, hits: np.ndarray, columns: np.ndarray, targets: sp.csr_array, tail: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Micro-F1 and the tail's macro-F1 at S settings whose thresholds rise, two (S,).

    Args:
        settings: S.
        reached: at how many of the settings each stored score is above its threshold, (E,).
        hits: the label is true there, (E,).
        columns: the label, (E,).
        targets: (n, L).
        tail: columns of the tail labels.
    """
    positives, is_tail = count_documents(targets), np.zeros(targets.shape[1], np.bool_)
    is_tail[tail] = True

    def above(of: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """How many scores, or which sum, lie above their thresholds at each setting, (S,)."""
        return np.cumsum(np.bincount(of, weights, minlength=settings + 1)[::-1])[::-1][1:]

    micro = label_sets.divide(2 * above(reached[hits]), above(reached) + positives.sum())
    # Scores of each tail label, the highest first; below the last one at a setting its F1 is another.
    chosen = np.flatnonzero(is_tail[columns] & (reached > 0))
    order = chosen[np.argsort(columns[chosen] * (settings + 1) - reached[chosen], kind="stable")]
    labels, reached, hits = columns[order], reached[order], hits[order]
    starts = np.searchsorted(labels, labels)
    tp = np.cumsum(hits)
    tp -= (tp - hits)[starts] if len(tp) else 0
    given = np.arange(len(labels)) - starts + 1
    last = np.flatnonzero(np.append((labels[1:] != labels[:-1]) | (reached[1:] != reached[:-1]), True)[: len(labels)])
    f1 = 2 * tp[last] / (given[last] + positives[labels[last]])
    before = np.append(0.0, f1[:-1])[: len(f1)]
    before[np.append(True, labels[last][1:] != labels[last][:-1])[: len(f1)]] = 0.0
    return micro, above(reached[last], f1 - before) / len(tail)


def f1_of_tail(
    predictions: Predictions, predicted: sp.csr_array, counts: Sequence[int], borders: Borders
) -> tuple[float, float]:
    """Micro-F1 over all labels and macro-F1 over the tail, percent; NaN of no tail label or document."""
    tp, fp, fn = label_sets.count_errors(predictions.targets, predicted)
    tail = group_of(np.asarray(counts), borders) == "tail"
    if not tail.any() or not predicted.shape[0]:
        return np.nan, np.nan
    micro = label_sets.f1(tp.sum(), fp.sum(), fn.sum())
    return 100 * float(micro), 100 * float(label_sets.f1(tp, fp, fn)[tail].mean())


def groups_of(counts: Sequence[int], borders: Borders) -> set[str]:
    """The frequency groups that have a label."""
    return set(group_of(np.asarray(counts), borders))


def rule_points(
    run: Run,
    predictions: Mapping[str, Predictions],
    borders: Borders,
    *,
    predict: Callable[[str, str], sp.csr_array] | None = None,
    leave_out: Collection[str] = (),
) -> pd.DataFrame:
    """Every rule and kept set of a run as a point of each part, but for thresholds that do not fit or cannot be fitted.

    Args:
        run: a finished run.
        predictions: of each part.
        borders: of the tail.
        predict: gives what a name of `what_if.name_readings` predicts on a part, such as a cached
            `what_if.predict_named`, which it is if None.
        leave_out: names that have no point.

    Returns:
        As of `point_table`.
    """
    counts, rows = results.read_results(run)["counts"], []
    for name, rule in what_if.name_readings(run).items():
        if name in leave_out:
            continue
        try:
            given = {
                part: predict(name, part) if predict else what_if.predict_named(run, name, one)
                for part, one in predictions.items()
            }
        except UserError:
            continue  # what is wrong is said where thresholds are chosen
        scores = {part: f1_of_tail(one, given[part], counts, borders) for part, one in predictions.items()}
        rows.append((name, decisions.find_chosen_on(run, rule), scores))
    return point_table(rows)


def point_table(rows: Sequence[tuple[str, str, Mapping[str, tuple[float, float]]]]) -> pd.DataFrame:
    """Rules as points.

    Args:
        rows: of each rule its name, the part on which it was chosen, and by part the two numbers of `f1_of_tail`.

    Returns:
        Columns name, chosen on, and micro and tail of each part, such as `micro validation`.
    """
    found = []
    for name, chosen_on, scores in rows:
        numbers = {
            f"{score} {part}": value
            for part, pair in scores.items()
            for score, value in zip(("micro", "tail"), pair, strict=True)
        }
        found.append({"name": name, "chosen on": chosen_on} | numbers)
    return pd.DataFrame(found)


def name_values(curve: pd.DataFrame) -> pd.DataFrame:
    """A `curve_table` with what each point is in words instead of its value, which JSON cannot hold where infinite."""
    words = [
        f"{name} {value:.4g}" if np.isfinite(value) else f"{GLOBAL}, of {name}"
        for name, value in zip(curve["curve"], curve["value"], strict=True)
    ]
    return curve.drop(columns="value").assign(words=words)


def merge_points(points: pd.DataFrame, part: str) -> pd.DataFrame:
    """Rules that lie on one place of a part's chart as one point, the first of them in front.

    Args:
        points: columns name, and micro and tail of each part, such as `micro validation`.
        part: whose.

    Returns:
        Columns name (of the first), names (all), micro, tail; without those that have no number.
    """
    shown = pd.DataFrame(
        {"name": points["name"], "micro": points[f"micro {part}"], "tail": points[f"tail {part}"]}
    ).dropna()
    keys = [shown["micro"].round(2), shown["tail"].round(2)]
    grouped = shown.groupby([key.to_numpy() for key in keys], sort=False)
    merged = grouped.agg(
        name=("name", "first"), names=("name", ", ".join), micro=("micro", "first"), tail=("tail", "first")
    )
    return merged.reset_index(drop=True)


def chart_ranges(
    points: Sequence[pd.DataFrame], curves: Sequence[pd.DataFrame]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What charts show of micro-F1 and of tail macro-F1, in percent: every rule but for those far behind the best.

    Args:
        points: of `merge_points`, a part each.
        curves: of `curve_table`, a part each.
    """
    rules, along = pd.concat(list(points)), pd.concat(list(curves))
    if rules.empty or along.empty:
        return (0.0, 100.0), (0.0, 100.0)
    best = float(max(rules["micro"].max(), along["micro"].max()))
    low = max(float(rules["micro"].min()), best - WIDEST)
    room = max(best - low, 5.0) / 10
    seen = along[along["micro"] >= low - room]
    top = float(max(rules["tail"].max(), seen["tail"].max()))
    return (max(low - room, 0.0), min(best + room, 100.0)), (0.0, min(1.1 * top + 2, 100.0))

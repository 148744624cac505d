"""The best run of each model on a data set, with intervals in total and on the tail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from core.analysis.samples import Sampled
from core.metrics.uncertainty import COLUMNS
from core.runs.folder import Run

SHOWN = ("all/micro_f1", "tail/macro_f1")
"""Scores of the table, by their names among the resampled ones."""


def choose_best(runs: Sequence[Run], scores: Mapping[str, Mapping[str, Any]], *, limit: int = 4) -> list[Run]:
    """The run of each model with the best macro-F1 of all labels, those with the best first.

    Args:
        runs: finished ones.
        scores: by run id, `test` of its metrics, at the thresholds of the training.
        limit: models at most.
    """
    ranked = sorted(runs, key=lambda run: -float(scores[run.id]["all"]["macro_f1"] or 0))
    best: dict[str, Run] = {}
    for run in ranked:
        best.setdefault(run.config.model.name, run)
    return list(best.values())[:limit]


def best_table(runs: Sequence[Run], names: Mapping[str, str], sample: Callable[[Run], Sampled]) -> pd.DataFrame:
    """Columns run and `SHOWN`: each score with its interval, in percent; a dash for a group without labels."""
    rows = []
    for run in runs:
        sampled = sample(run)
        low, high = sampled.interval
        row = {"run": names[run.id]}
        for column in SHOWN:
            place = COLUMNS.index(column)
            score = sampled.scores[place]
            ends = f" ({100 * low[place]:.1f} to {100 * high[place]:.1f})" if low[place] == low[place] else ""
            row[column] = f"{100 * score:.1f}{ends}" if score == score else "–"
        rows.append(row)
    return pd.DataFrame(rows, columns=["run", *SHOWN])

"""The scores of one finished run: test with intervals, validation at the kept epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from core.analysis import tables
from core.analysis.progress import in_percent
from core.analysis.samples import Sampled
from core.labels.groups import UNSEEN
from core.metrics.uncertainty import COLUMNS

GROUPS = {key: name for name, key in tables.GROUPS[2].items()}
"""Groups of labels by their key in a run's metrics."""
AVERAGES = {"micro_f1": "micro-F1", "macro_f1": "macro-F1"}


def score_table(metrics: Mapping[str, Any], sampled: Sampled | None) -> pd.DataFrame:
    """Micro- and macro-F1 of a run, a row for each part and average, named in full.

    Args:
        metrics: as `core.runs.results.read_metrics` gives them.
        sampled: the test scores with resamples, at the thresholds of the training; None: no interval is shown.

    Returns:
        Columns score, then one for each of `GROUPS`, of `UNSEEN` where there are such labels: percent, on test with the
        ends of the 95 % interval; a dash for a group without labels.
    """
    epoch = metrics.get("best_epoch")
    groups = {key: name for key, name in GROUPS.items() if key != UNSEEN or key in (metrics.get("test") or {})}
    kept = f", epoch {epoch}" if isinstance(epoch, int) and epoch else ""
    rows = []
    for part in ("test", "validation"):
        scores = metrics.get(part) or {}
        for average, title in AVERAGES.items():
            if not scores:
                continue
            row = {"score": f"{part} {title}{kept if part == 'validation' else ''}"}
            for group, name in groups.items():
                value = in_percent((scores.get(group) or {}).get(average))
                ends = _ends(sampled, f"{group}/{average}") if part == "test" else ""
                row[name] = "–" if value is None else f"{value:.1f}{ends}"
            rows.append(row)
    return pd.DataFrame(rows, columns=["score", *groups.values()])


def _ends(sampled: Sampled | None, column: str) -> str:
    """The interval of a score in brackets; empty where it is unknown."""
    if sampled is None:
        return ""
    low, high = (100 * float(side[COLUMNS.index(column)]) for side in sampled.interval)
    return "" if math.isnan(low) or math.isnan(high) else f" ({low:.1f} to {high:.1f})"

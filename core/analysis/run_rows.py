"""Runs as `report --json` prints them: settings, state, and scores at a rule or of the ranking."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from core.analysis.decisions import AS_TRAINED, decide
from core.analysis.run_names import given_name
from core.labels.groups import Borders
from core.metrics import label_sets, resampled_ranking, thresholds
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import read_predictions


def run_row(run: Run, rule: str = AS_TRAINED) -> dict[str, Any]:
    """One run as `report --json` prints it; scores are fractions, and None until it has finished.

    Args:
        run: in any state.
        rule: of `decisions.READINGS`; threshold (None where labels are chosen by rank) and test scores are those at it.

    Raises:
        UserError: the run's scores are damaged, or the rule cannot serve it.
    """
    scored = results.read_metrics(run) if run.state == "finished" else {}
    threshold, test = scored.get("threshold"), scored.get("test")
    if scored and rule != AS_TRAINED:
        scored = results.read_results(run)
        decided, counts = decide(run, rule), np.asarray(scored["counts"])
        threshold = None if decided.limits is None else thresholds.values_of(decided.limits)
        targets = read_predictions(run).targets
        test = label_sets.score_groups(targets, decided.predicted, counts, Borders(**scored["borders"]))
    return {
        "run": run.id,
        "name": given_name(run),
        "data": run.config.data.name,
        "model": run.config.model.name,
        "loss": run.config.loss.name if run.config.loss else None,
        "seed": run.config.seed,
        "state": run.state,
        "rule": rule,
        "threshold": threshold,
        "test": test,
        "seconds": scored.get("seconds"),
    }


def ranking_row(run: Run) -> dict[str, float | None]:
    """The scores of a finished run's ranking, as `report --json --ranking` adds them, by `resampled_ranking.COLUMNS`.

    Raises:
        UserError: metrics or predictions are damaged.
    """
    scored, predictions = results.read_results(run), read_predictions(run)
    scores, _ = resampled_ranking.resample_ranking(
        predictions.targets,
        predictions.scores,
        np.asarray(scored["counts"]),
        Borders(**scored["borders"]),
        np.zeros((0, predictions.targets.shape[0]), np.float32),
    )
    columns = zip(resampled_ranking.COLUMNS, scores.tolist(), strict=True)
    return {column: None if math.isnan(value) else value for column, value in columns}


def run_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """`run_row` of each run as trained, in the given order."""
    return [run_row(run) for run in runs]

"""Which labels a trained run gives texts of one's own, by any rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis import decisions
from core.analysis.decisions import Read
from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import read_predictions
from core.system.errors import UserError


@dataclass(frozen=True)
class Cut:
    """How a rule turns the scores of any text into labels.

    Attributes:
        rule: as it was asked for.
        limits: one threshold for all labels, or one each, (L,); None where the best are given whatever their scores.
        k: how many are given then.
        chosen_on: the part by which it was chosen: validation, test or unknown.
    """

    rule: str
    limits: Limits | None
    k: int = 0
    chosen_on: str = "validation"

    def give(self, scores: np.ndarray) -> np.ndarray:
        """Which labels are given, (n, L) bool, by their scores, (n, L)."""
        if self.limits is None:
            return np.asarray(thresholds.top_labels(scores, self.k).toarray())
        return scores > np.asarray(self.limits, np.float64)


def find_cut(run: Run, rule: str = decisions.AS_TRAINED, *, read: Read = read_predictions) -> Cut:
    """The thresholds of a rule, or its number of labels, for texts whose labels nobody knows.

    Raises:
        UserError: a rule that needs the true labels, and as `decisions.decide`.
    """
    if decisions.check_reading(rule) == decisions.SAME_COUNT:
        raise UserError(
            f"'{decisions.SAME_COUNT}' needs to know how many labels each document has, and nobody does of a text of "
            "your own: take another rule."
        )
    if rule == decisions.TOP_K:
        return Cut(rule, None, decisions.fit_top_k(run, read=read))
    if rule == decisions.AS_TRAINED:  # also of a run whose predictions are gone
        return Cut(rule, thresholds.of_values(results.read_results(run)["threshold"]))
    limits = decisions.find_limits(run, rule, read=read)
    return Cut(rule, limits, chosen_on=decisions.find_chosen_on(run, rule))


def answer_table(scores: np.ndarray, given: np.ndarray, labels: Sequence[str], *, top: int = 0) -> pd.DataFrame:
    """The labels that one text is given, and its `top` best ones if they are not, the highest score first.

    Args:
        scores: (L,).
        given: (L,) bool.
        labels: names of the columns.
        top: labels listed at least, of those that there are.

    Returns:
        Columns label, score, given.
    """
    lowest = np.partition(scores, -top)[-top] if 0 < top < len(scores) else -np.inf if top else np.inf
    likely = np.flatnonzero(given | (scores >= lowest))
    order = likely[np.argsort(-scores[likely], kind="stable")]
    listed = order[given[order] | (np.arange(len(order)) < top)]
    return pd.DataFrame(
        {"label": [labels[column] for column in listed], "score": scores[listed], "given": given[listed]},
        columns=["label", "score", "given"],
    )

"""Which labels a finished run predicts: at its own thresholds, at those of any rule, at kept ones, or by rank.

Every rule is fitted on the run's validation part alone. `same-count` reads the true labels: it compares rankings, and
nobody can decide by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from core.config.defaults import THRESHOLD_RULES
from core.labels.groups import indicator
from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import Predictions, read_predictions
from core.system.errors import UserError, choose

AS_TRAINED = "as-trained"
TOP_K = "top-k"
SAME_COUNT = "same-count"
KEPT = "kept:"
"""Before the name of thresholds that were kept with a run."""
MARGIN_RULES = {rule.margins for rule in THRESHOLD_RULES.values()}
READINGS = (AS_TRAINED, *(name for name in THRESHOLD_RULES if name not in MARGIN_RULES), TOP_K, SAME_COUNT)
"""What `decide` takes, besides `kept:` and a name; of an SVM a rule means the one of its margins."""

Read = Callable[[Run, str], Predictions]


@dataclass(frozen=True)
class Decisions:
    """What a run predicts.

    Attributes:
        rule: as it was asked for.
        limits: one for all labels, or one each, (L,); None where labels are chosen by rank.
        predicted: on the test part, (n, L) bool.
    """

    rule: str
    limits: Limits | None
    predicted: sp.csr_array


def check_reading(rule: str) -> str:
    """The rule itself.

    Raises:
        UserError: it is none of `READINGS` and no name of kept thresholds.
    """
    if rule.startswith(KEPT) and rule != KEPT:
        return rule
    return choose("rule", rule, (*READINGS, f"{KEPT}NAME"))


def decide(run: Run, rule: str = AS_TRAINED, *, read: Read = read_predictions) -> Decisions:
    """What a run predicts on its test part by a rule.

    Args:
        run: a finished run.
        rule: one of `READINGS`, or `kept:` and the name of thresholds kept with the run.
        read: gives the predictions of a part.

    Raises:
        UserError: an unknown rule, a name under which nothing is kept, no validation scores, damaged files.
    """
    check_reading(rule)
    test = read(run, "test")
    if rule == SAME_COUNT:
        return Decisions(rule, None, thresholds.top_labels(test.scores, np.diff(indicator(test.targets).indptr)))
    if rule == TOP_K:
        return Decisions(rule, None, thresholds.top_labels(test.scores, fit_top_k(run, read=read)))
    limits = find_limits(run, rule, read=read)
    return Decisions(rule, limits, thresholds.apply(test.scores, limits))


def find_limits(run: Run, rule: str, *, read: Read = read_predictions) -> Limits:
    """The thresholds of a rule that has some; arguments and errors as `decide`."""
    if rule == AS_TRAINED:
        return read(run, "test").threshold
    if rule.startswith(KEPT):
        return _read_kept(run, rule.removeprefix(KEPT))
    scored, validation = results.read_results(run), read_validation(run, read)
    return thresholds.fit(
        validation.targets,
        validation.scores,
        rule=run.config.threshold_rule(choose("rule", rule, tuple(THRESHOLD_RULES))),
        counts=np.asarray(scored["counts"]),
        documents=results.count_documents(scored, "train") or max(scored["counts"], default=0),
    )


def find_chosen_on(run: Run, rule: str) -> str:
    """The part by which a rule's thresholds were chosen: `validation`, but kept ones may say `test` or `unknown`."""
    return results.read_chosen_on(run, rule.removeprefix(KEPT)) if rule.startswith(KEPT) else "validation"


def fit_top_k(run: Run, *, read: Read = read_predictions) -> int:
    """The number of labels for every document that is best on validation."""
    validation = read_validation(run, read)
    return thresholds.fit_top_k(validation.targets, validation.scores)


def read_validation(run: Run, read: Read) -> Predictions:
    """The validation part.

    Raises:
        UserError: it is missing, damaged or empty, so that no rule can be fitted.
    """
    validation = read(run, "validation")
    if not validation.targets.shape[0]:
        raise UserError(f"{run.id} has no validation documents, so no threshold can be fitted: take 'as-trained'.")
    return validation


def _read_kept(run: Run, name: str) -> Limits:
    """The thresholds that are kept with a run under a name.

    Raises:
        UserError: there are none, they are no numbers, or not as many as there are labels.
    """
    limits = np.asarray(results.read_threshold_set(run, name)["values"], np.float64)
    labels = len(results.read_results(run)["labels"])
    if not np.isfinite(limits).all() or limits.ndim > 1 or (limits.ndim and len(limits) != labels):
        wrong = f"do not fit its {labels} labels: delete them on the page Errors"
        raise UserError(f"{run.id}: the thresholds kept as '{name}' {wrong}.")
    return thresholds.of_values(limits)

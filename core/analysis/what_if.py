"""What other thresholds do: rules fitted on validation, single labels moved, top k."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.special import logit

from core.analysis import decisions
from core.config.defaults import MODELS, THRESHOLD_RULES
from core.labels.groups import indicator
from core.metrics import quiet, thresholds
from core.metrics.thresholds import Limits
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import Predictions, read_predictions

AS_TRAINED, OWN, OWN_MARGIN = "as trained", "my own", "quiet, my own margin"
RULES = {
    rule.title: name
    for name, rule in sorted(THRESHOLD_RULES.items(), key=lambda pair: pair[1].value is None)
    if rule.title
}
"""Rules of `THRESHOLD_RULES` as the page calls them: what needs no fitting first, the others fitted on validation."""
TOP_K = "top k (RCut)"
SLOW, MANY_LABELS = (*(title for title, name in RULES.items() if name in ("per-label", "scut-fbr")), TOP_K), 2000
"""What takes seconds to fit, as the page calls it, and the labels above which it does."""
RESERVED = (AS_TRAINED, OWN, OWN_MARGIN, *RULES, TOP_K)
"""What every run has, as the page calls it."""
MOST_STEPS = 200
"""Of a slider."""
CHOSEN_ON = {
    "validation": "",
    "test": "Chosen on test: its test scores are no fair estimate for new documents.",
    results.UNKNOWN: "An older version kept it: whether it was chosen on validation or on test is unknown.",
}
"""What there is to say of thresholds by the part on which they were chosen."""


@dataclass(frozen=True)
class Chosen:
    """Thresholds of a run, as the page draws them.

    Attributes:
        name: of the rule, or of a named set.
        limit: of `my own`, one number for all labels; of `quiet, my own margin`, the margin.
        changes: label columns with a threshold of their own, as pairs.
        chosen_on: the part by which they were chosen: validation, test or unknown.
    """

    name: str
    limit: float = 0.0
    changes: tuple[tuple[int, float], ...] = ()
    chosen_on: str = "validation"


def has_margins(run: Run) -> bool:
    """Whether the scores of a run are an SVM's margins."""
    return MODELS[run.config.model.name].margins


def find_quiet(run: Run, *, read: decisions.Read = read_predictions) -> quiet.Quiet:
    """What `quiet` reads on validation."""
    validation = decisions.read_validation(run, read)
    return quiet.read_quiet(validation.targets, validation.scores, margins=has_margins(run))


def find_named_limits(run: Run, name: str) -> Limits:
    """The thresholds of a rule, or kept ones, by their name on the page."""
    return decisions.find_limits(run, name_readings(run).get(name, name))


def find_limits(
    run: Run,
    chosen: Chosen,
    *,
    fit: Callable[[Run, str], Limits] = find_named_limits,
    find_margins: Callable[[Run], quiet.Quiet] = find_quiet,
) -> Limits:
    """Thresholds of a run where labels are not chosen by rank.

    Args:
        run: whose.
        chosen: as the page draws them.
        fit: gives the thresholds of a name, such as a cached `find_named_limits`.
        find_margins: the same of `find_quiet`.
    """
    if chosen.name == OWN:
        limits: Limits = chosen.limit
    elif chosen.name == OWN_MARGIN:
        limits = find_margins(run).limits(chosen.limit)
    else:
        limits = fit(run, chosen.name)
    if not chosen.changes:
        return limits
    return with_changes(limits, dict(chosen.changes), len(results.read_results(run)["labels"]))


def name_readings(run: Run) -> dict[str, str]:
    """What a run can decide by, but for what is moved by hand: by its name on the pages, the rule of `decisions`.

    Kept thresholds have the name under which they were kept, and `kept:` before it where it is that of a rule.
    """
    rules = {AS_TRAINED: decisions.AS_TRAINED, **RULES, TOP_K: decisions.TOP_K}
    return rules | {title_of_kept(name): f"{decisions.KEPT}{name}" for name in results.read_threshold_sets(run)}


def title_of_kept(name: str) -> str:
    """The name of kept thresholds on the pages."""
    return f"{decisions.KEPT}{name}" if name in RESERVED or name.startswith(decisions.KEPT) else name


def join_chosen_on(parts: Iterable[str]) -> str:
    """The part on which thresholds were chosen of which some were chosen on one and some on another."""
    found = set(parts)
    return next((part for part in ("test", results.UNKNOWN) if part in found), "validation")


def with_changes(limits: Limits, changes: Mapping[int, float], labels: int) -> Limits:
    """Thresholds with those of some label columns replaced."""
    if not changes:
        return limits
    moved = np.broadcast_to(np.asarray(limits, np.float64), (labels,)).copy()
    moved[list(changes)] = list(changes.values())
    return moved


def predict(predictions: Predictions, limits: Limits | None, k: int | None = None) -> sp.csr_array:
    """Predicted labels, (n, L) bool: above the limits, or the k highest of each document."""
    if k is not None:
        return thresholds.top_labels(predictions.scores, k)
    return thresholds.apply(predictions.scores, predictions.threshold if limits is None else limits)


def predict_named(run: Run, name: str, predictions: Predictions) -> sp.csr_array:
    """What a run predicts on a part by a name of `name_readings`, (n, L) bool.

    Raises:
        UserError: the thresholds cannot be fitted, or kept ones do not fit.
    """
    if name == TOP_K:
        return predict(predictions, None, decisions.fit_top_k(run))
    return predict(predictions, find_named_limits(run, name))


def threshold_steps(
    predictions: Predictions, *, label: int | None = None, most: int = MOST_STEPS, margins: bool = False
) -> np.ndarray:
    """Thresholds between two scores that occur, so that every step changes what is predicted.

    Each lies midway between two neighbours. Where more occur than are wanted, the cut of best F1 stays, then come cuts
    just below a true document's score, for between two of them no F1 is better, then others; all are spread evenly over
    logits, or over an SVM's margins.

    Args:
        predictions: of a part.
        label: whose scores; None for those of all labels.
        most: steps at most, 4 or more.
        margins: the scores are an SVM's.

    Returns:
        Rising; the highest is the highest score, above which nothing is predicted; .5 alone where no score is stored.
    """
    values, hits = _scores_of(predictions, label)
    if not len(values):
        return np.array([0.5])
    occur = np.unique(values)
    cuts = cut_below(occur)
    # The best cut, those below a true document's score, and the rest.
    true = np.unique(hits)
    found = {float(occur[-1])}
    if len(true):
        above = [len(part) - np.searchsorted(np.sort(part), true, side="left") for part in (hits, values)]
        positives = count_positives(predictions, label)
        found.add(float(cuts[np.searchsorted(occur, true[np.argmax(above[0] / (above[1] + positives))])]))
    for offered in (cuts[np.searchsorted(occur, true)], cuts):
        found |= set(_spread(offered, most - len(found), margins=margins))
    return np.array(sorted(found))


def cut_below(values: np.ndarray) -> np.ndarray:
    """A threshold just below each of some scores: midway to the next lower one, and a little below the lowest."""
    occur, places = np.unique(values, return_inverse=True)
    if not len(occur):
        return np.zeros(0)
    low = occur[0] / 2 if occur[0] > 0 else occur[0] - 0.01 * max(np.ptp(occur), 1.0)
    below = np.append(low, occur[:-1])
    middle = below + (occur - below) / 2
    return np.asarray(np.where(middle < occur, middle, below)[places])


def _spread(cuts: np.ndarray, room: int, *, margins: bool) -> list[float]:
    """At most `room` of some rising cuts, evenly over logits, or over margins; all if there is room."""
    if len(cuts) <= room:
        return cuts.tolist()
    if room < 2:
        return []
    place = cuts if margins else logit(np.clip(cuts, quiet.CLIP, 1 - quiet.CLIP))
    wanted = np.linspace(place[0], place[-1], room)
    return cuts[np.unique(np.searchsorted(place, wanted).clip(0, len(cuts) - 1))].tolist()


def _scores_of(predictions: Predictions, label: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The stored scores of a label, or of all, and those of its true documents, float64."""
    scores, true = predictions.scores, indicator(predictions.targets)
    if label is not None:
        true = sp.csr_array(true[:, [label]])
        scores = sp.csr_array(sp.csc_array(scores)[:, [label]]) if sp.issparse(scores) else scores[:, [label]]
    if not isinstance(scores, sp.csr_array):
        values = scores.astype(np.float64)
        return values.ravel(), values[true.toarray()]
    places = sp.csr_array((np.arange(1, scores.nnz + 1), scores.indices, scores.indptr), shape=scores.shape)
    values = scores.data.astype(np.float64)
    return values, values[true.multiply(places).tocsr().data - 1]


def count_positives(predictions: Predictions, label: int | None) -> int:
    """True documents of a label, or true pairs of all labels."""
    true = indicator(predictions.targets)
    return int(true.nnz if label is None else true[:, [label]].nnz)


def name_steps(steps: Iterable[float]) -> dict[float, str]:
    """Each step in as few digits as tell all of them apart, from three on."""
    values = [float(step) for step in steps]
    for digits in range(3, 18):
        words = [f"{value:.{digits}g}" for value in values]
        if len(set(words)) == len(set(values)):
            break
    return dict(zip(values, words, strict=True))


def limits_in_words(limits: Limits) -> str:
    """One threshold, or the range of many."""
    found = np.asarray(limits, np.float64)
    if not found.ndim or (found.size and (found == found[0]).all()):
        return f"Above {float(found.flat[0]):.4f} for every label."
    kept = found[np.isfinite(found)]
    low, middle, high = (float(value) for value in np.quantile(kept, [0, 0.5, 1])) if len(kept) else (0.0,) * 3
    return f"One for each label, from {low:.3f} to {high:.3f}, half of them above {middle:.3f}."


def middle_limit(limits: Limits, common: float | None = None) -> float:
    """The one threshold; of many, the one that would be best for all if it lies among them, else the middle one."""
    found = np.asarray(limits, np.float64)
    if found.ndim and common is not None and found.min(initial=np.inf) <= common <= found.max(initial=-np.inf):
        return common
    return float(np.median(found))


def limit_of(limits: Limits, column: int) -> float:
    """The threshold of one label."""
    found = np.asarray(limits, np.float64)
    return float(found[column] if found.ndim else found)


def most_labels(predictions: Predictions) -> int:
    """The largest number of true labels of a document, at least 1."""
    return max(int(np.diff(indicator(predictions.targets).indptr).max(initial=1)), 1)

"""What each threshold rule does to the published runs, and its seconds: `python -m tests.benchmarks.thresholds`.

Every rule is fitted on a run's validation scores and read on its test scores; micro- and macro-F1 in percent, means
over runs. A published run keeps a document's 20 highest scores and those of its true labels: the second table leaves
the latter out, since a label that is kept only because it is true is found by any threshold that is low enough.
Seconds are of made-up scores of PubMed's size, as in `tests.benchmarks.results`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from core.config.defaults import MODELS, THRESHOLD_RULES
from core.labels.groups import FREQUENCY_GROUPS, Borders
from core.metrics import label_sets, thresholds
from core.runs import folder, predictions, results
from tests.benchmarks.results import MAKE, TIMED, run

RULES = ("exact", "per-label", "scut", "scut-fbr", "pcut", "quiet")
GROUPS = ("all", *FREQUENCY_GROUPS)
KEPT = 20
"""Highest scores of a document that a published run keeps."""

CURVES = """
from core.analysis import trade_off, what_if
from core.runs.predictions import Predictions
part, counts = Predictions([], np.arange(5000), targets, scores, 0.5), 30_000 // np.arange(1, 18_212)
steps, quiet = what_if.threshold_steps(part), trade_off.read_quiet(part, margins=False)
for _ in ("validation", "test"):
    trade_off.curve_table(part, counts, default_borders(18_211), steps=steps, quiet=quiet)
"""
"""What Errors draws of the trade-off: the curves of two parts."""


def highest_alone(scores: np.ndarray | sp.csr_array) -> np.ndarray | sp.csr_array:
    """The `KEPT` highest scores of each document."""
    if not isinstance(scores, sp.csr_array):
        return scores
    rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    best = thresholds.top_labels(scores, KEPT).tocoo()
    mask = np.isin(rows * scores.shape[1] + scores.indices, best.coords[0] * scores.shape[1] + best.coords[1])
    return sp.csr_array((scores.data[mask], (rows[mask], scores.indices[mask])), shape=scores.shape)


def scores_of(one: folder.Run, rules: Sequence[str], *, highest: bool) -> np.ndarray:
    """Micro- and macro-F1 of the test part by group, percent, (rules, groups, 2)."""
    metrics = results.read_metrics(one)
    counts, documents = np.array(metrics["counts"]), max(metrics["counts"])
    documents = int((metrics.get("documents") or {}).get("train", documents))
    validation, test = (predictions.read_predictions(one, part) for part in ("validation", "test"))
    fitted, tested = (highest_alone(part.scores) if highest else part.scores for part in (validation, test))
    found = []
    for rule in rules:
        name = THRESHOLD_RULES[rule].margins or rule if MODELS[one.config.model.name].margins else rule
        if THRESHOLD_RULES[name].by_label:
            limits = thresholds.fit_labels(validation.targets, fitted, rule=name, counts=counts, documents=documents)
        else:
            limits = thresholds.fit_global(validation.targets, fitted, rule=name)
        scores = label_sets.score_groups(test.targets, thresholds.apply(tested, limits), counts, Borders())
        found.append([[100 * (scores[group][key] or 0) for key in ("micro_f1", "macro_f1")] for group in GROUPS])
    return np.array(found)


def print_table(runs: Sequence[folder.Run], *, highest: bool) -> None:
    """A row for each model and rule: micro / macro by group."""
    print("scores", f"the {KEPT} highest of a document" if highest else "as they are kept", sep=": ")
    print(f"{'model':12} {'runs':>4} {'rule':10}", *(f"{group:>15}" for group in GROUPS))
    for model in ("svm", "tfidf", "transformer"):
        chosen = [one for one in runs if one.published and one.config.model.name == model]
        means = np.mean([scores_of(one, RULES, highest=highest) for one in chosen], axis=0)
        for rule, row in zip(RULES, means, strict=True):
            cells = (f"{f'{micro:.2f} / {macro:.2f}':>15}" for micro, macro in row)
            print(f"{model:12} {len(chosen):>4} {rule:10}", *cells, flush=True)


def main() -> None:
    runs = folder.list_runs()
    for highest in (False, True):
        print_table(runs, highest=highest)
    seconds, memory = run(MAKE.replace("SIZE", "5000, 18211, 12.3") + TIMED.format(step=CURVES))
    print(f"  5,000 x 18,211  {'both curves':16} {seconds:7.3f} s {memory:7.0f} MB", flush=True)
    for rule in ("exact", "quiet", "quiet-margins", "scut-fbr"):
        step = f"thresholds.fit(targets, scores, rule={rule!r})"
        seconds, memory = run(MAKE.replace("SIZE", "5000, 18211, 12.3") + TIMED.format(step=step))
        print(f"  5,000 x 18,211  {rule:16} {seconds:7.3f} s {memory:7.0f} MB", flush=True)


if __name__ == "__main__":
    main()

"""What each threshold rule does to the published runs, and its seconds: `python -m tests.benchmarks.thresholds`.

Every rule is fitted on a run's validation scores and read on its test scores; micro- and macro-F1 in percent, means
over runs. Seconds are of made-up scores of PubMed's size, as in `tests.benchmarks.results`.
"""

from __future__ import annotations

import numpy as np

from core.analysis import decisions
from core.labels.groups import FREQUENCY_GROUPS, Borders
from core.metrics import label_sets
from core.runs import folder, predictions, results
from tests.benchmarks.results import MAKE, TIMED, run

RULES = ("exact", "per-label", "scut", "scut-fbr", "pcut", "quiet")
GROUPS = ("all", *FREQUENCY_GROUPS)

CURVES = """
from core.analysis import trade_off, what_if
from core.metrics.quiet import read_quiet
from core.runs.predictions import Predictions
part, counts = Predictions([], np.arange(5000), targets, scores, 0.5), 30_000 // np.arange(1, 18_212)
steps, quiet = what_if.threshold_steps(part), read_quiet(part.targets, part.scores, margins=False)
for _ in ("validation", "test"):
    trade_off.curve_table(part, counts, paper_borders(18_211), steps=steps, quiet=quiet)
"""
"""What Errors draws of the trade-off: the curves of two parts."""


def scores_of(one: folder.Run) -> np.ndarray:
    """Micro- and macro-F1 of the test part by rule and group, percent, (rules, groups, 2)."""
    counts, targets = np.array(results.read_metrics(one)["counts"]), predictions.read_predictions(one).targets
    found = []
    for rule in RULES:
        scores = label_sets.score_groups(targets, decisions.decide(one, rule).predicted, counts, Borders())
        found.append([[100 * (scores[group][key] or 0) for key in ("micro_f1", "macro_f1")] for group in GROUPS])
    return np.array(found)


def main() -> None:
    runs = [one for one in folder.list_runs() if one.config.data.name == "reuters"]
    print(f"{'model':12} {'runs':>4} {'rule':10}", *(f"{group:>15}" for group in GROUPS))
    for model in ("svm", "tfidf", "transformer"):
        chosen = [one for one in runs if one.published and one.config.model.name == model]
        for rule, row in zip(RULES, np.mean([scores_of(one) for one in chosen], axis=0), strict=True):
            cells = (f"{f'{micro:.2f} / {macro:.2f}':>15}" for micro, macro in row)
            print(f"{model:12} {len(chosen):>4} {rule:10}", *cells, flush=True)
    seconds, memory = run(MAKE.replace("SIZE", "5000, 18211, 12.3") + TIMED.format(step=CURVES))
    print(f"  5,000 x 18,211  {'both curves':16} {seconds:7.3f} s {memory:7.0f} MB", flush=True)
    for rule in ("exact", "quiet", "quiet-margins", "scut-fbr"):
        step = f"thresholds.fit(targets, scores, rule={rule!r})"
        seconds, memory = run(MAKE.replace("SIZE", "5000, 18211, 12.3") + TIMED.format(step=step))
        print(f"  5,000 x 18,211  {rule:16} {seconds:7.3f} s {memory:7.0f} MB", flush=True)


if __name__ == "__main__":
    main()

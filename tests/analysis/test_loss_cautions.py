"""What is warned of before training with a loss, and what is not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.analysis import loss_cautions, loss_weights
from core.analysis.loss_effects import Choice
from tests.analysis.test_loss_effects import BORDERS, small_targets


def test_cautions_say_what_is_out_of_measure_and_no_more() -> None:
    targets = small_targets()
    counts = np.asarray(targets.sum(0)).ravel().astype(np.int64)
    co_labels = loss_weights.measure_co_labels(targets, counts, BORDERS)

    def said(name: str, **changes: float) -> str:
        choice = Choice(name, name, "reuters", tuple(changes.items()))
        return " ".join(loss_cautions.cautions(choice, counts, 100, co_labels, BORDERS))

    assert said("bce") == said("db") == ""
    assert "floor or ceiling" in said("r-fl", mu=0.0, beta=1000.0)
    assert "times the smallest" in said("r-fl", alpha=1e-6, beta=100.0, mu=1.0)
    assert "weigh nothing" in said("r-fl", alpha=0.0, beta=1e4, mu=1.0)
    assert "only from a score of 0.9" in said("ntr-fl", kappa=1.0)
    assert said("ntr-fl", kappa=0.1) == ""
    assert said("logit-adjusted", tau=3.0) == "", "it draws the line where it was trained to"


def test_a_first_gradient_without_positives_is_warned_of() -> None:
    def said(there: float, absent: float) -> str:
        return loss_cautions.start_caution(pd.DataFrame({"side": ["positive", "negative"], "mass": [there, absent]}))

    assert said(1.0, 1.0) == said(1.0, 20.0) == ""
    assert "almost no gradient, 1 %" in said(1.0, 99.0)
    assert "less than 0.01 %" in said(1e-9, 1.0)
    assert "no first gradient" in said(0.0, 0.0)
    assert "beyond what a number" in said(np.inf, 1.0)
    assert "beyond what a number" in said(np.nan, 1.0)


def test_a_mu_far_from_the_rule_is_warned_of_in_either_direction() -> None:
    assert loss_cautions.mu_caution(0.5, 0.459) == ""
    assert "mu is 0.9, by the authors' rule this set has 0.459: more labels fade" in loss_cautions.mu_caution(
        0.9, 0.459
    )
    assert "fewer labels fade" in loss_cautions.mu_caution(0.05, 0.459)


def test_the_learning_rate_is_spoken_of_where_the_first_gradient_differs() -> None:
    assert loss_cautions.rate_caution({"bce": 1.0, "fl": 0.6}) == ""
    assert "db 0.16" in loss_cautions.rate_caution({"bce": 1.0, "db": 0.156})


def test_the_start_ratio_is_the_size_of_the_gradient_in_units_of_another() -> None:
    assert loss_cautions.start_ratio(pd.DataFrame({"mass": [1.0, 2.0]}), pd.DataFrame({"mass": [6.0]})) == 0.5

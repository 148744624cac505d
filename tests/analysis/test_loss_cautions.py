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


def test_the_learning_rate_is_spoken_of_where_the_first_gradient_differs() -> None:
    assert loss_cautions.rate_caution({"bce": 1.0, "fl": 0.6}) == ""
    assert "db 0.16" in loss_cautions.rate_caution({"bce": 1.0, "db": 0.156})


def test_the_start_ratio_is_the_size_of_the_gradient_in_units_of_another() -> None:
    assert loss_cautions.start_ratio(pd.DataFrame({"mass": [1.0, 2.0]}), pd.DataFrame({"mass": [6.0]})) == 0.5

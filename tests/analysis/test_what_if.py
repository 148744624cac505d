"""Sliders of thresholds: their steps change what is predicted, and the best value is always one of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.analysis import what_if
from core.labels.groups import Borders, group_of
from core.metrics import label_sets, thresholds
from core.runs import folder, results
from core.runs.predictions import Predictions, read_predictions
from core.system.places import ROOT
from tests.helpers import scored
from tests.helpers.laws import law

DB = "reuters-tfidf-db-s0-966e74a879"


@st.composite
def scored_parts(draw: st.DrawFn) -> tuple[Predictions, bool]:
    """Predictions with ties, dense or of the best labels alone, probabilities or margins; and whether margins."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 4)))
    margins = draw(st.booleans())
    grid = draw(arrays(np.int64, shape, elements=st.integers(0, 30)))
    scores = (grid / 10 - 1.5 if margins else grid / 30).astype(np.float16)
    targets = sp.csr_array(draw(arrays(np.bool_, shape)))
    stored: np.ndarray | sp.csr_array = scores
    if draw(st.booleans()):
        rows, columns = np.nonzero(draw(arrays(np.bool_, shape)))
        stored = sp.csr_array((scores[rows, columns].astype(np.float32), (rows, columns)), shape=shape)
    return Predictions([], np.arange(shape[0]), targets, stored, 0.5), margins


def f1_of_label(predictions: Predictions, label: int, limit: float) -> float:
    predicted = what_if.predict(predictions, limit)
    return float(label_sets.f1(*label_sets.count_errors(predictions.targets, predicted))[label])


def best_of_label(predictions: Predictions, label: int) -> float:
    """The best F1 of a label at any threshold, by trying all."""
    scores = predictions.scores[:, [label]]
    values = np.unique(scores.data if sp.issparse(scores) else scores).astype(np.float64)
    return max(f1_of_label(predictions, label, limit) for limit in [*values, -1e9])


@law(60)
@given(scored_parts(), st.integers(4, 12))
def test_for_every_label_the_best_threshold_is_a_step_and_few_are_enough(
    problem: tuple[Predictions, bool], most: int
) -> None:
    predictions, margins = problem
    for label in range(predictions.targets.shape[1]):
        steps = what_if.threshold_steps(predictions, label=label, most=most, margins=margins)
        assert len(steps) <= most
        assert (np.diff(steps) > 0).all()
        best = max(f1_of_label(predictions, label, step) for step in steps)
        assert best == best_of_label(predictions, label)


@law(40)
@given(scored_parts())
def test_every_step_changes_what_is_predicted_and_all_outcomes_are_among_them(
    problem: tuple[Predictions, bool],
) -> None:
    predictions, margins = problem
    for label in (None, 0):
        steps = what_if.threshold_steps(predictions, label=label, margins=margins)
        scores = predictions.scores if label is None else predictions.scores[:, [label]]
        values = np.asarray(scores.data if sp.issparse(scores) else scores.ravel(), np.float64)
        above = [int(np.sum(values > step)) for step in steps]
        expected = {int(np.sum(values > limit)) for limit in [*values, -1e9]}
        assert len(set(above)) == len(above)
        assert set(above) == (expected or {0})


def test_steps_are_even_in_logits_and_linear_in_margins() -> None:
    chances = np.random.default_rng(0).random((3000, 1)).astype(np.float64) ** 6
    targets = sp.csr_array(np.ones((3000, 1), bool))
    steps = what_if.threshold_steps(Predictions([], np.arange(3000), targets, chances, 0.5), label=0)
    assert 100 < len(steps) <= what_if.MOST_STEPS
    assert np.sum(steps < 0.01) > 50, "a rare label's scores are low, and that is where its steps are"
    steps = what_if.threshold_steps(
        Predictions([], np.arange(3000), targets, 20 * chances - 10, 0.0), label=0, margins=True
    )
    assert np.quantile(np.diff(steps), 0.9) < 5 * 20 / what_if.MOST_STEPS


@pytest.mark.slow
def test_the_best_cut_of_every_label_of_reuters_on_test_is_a_step() -> None:
    run = folder.as_run(folder.read_folder(ROOT / "cache" / "published" / DB))
    test, counts = read_predictions(run), np.array(results.read_results(run)["counts"])
    cuts = thresholds.fit_labels(test.targets, test.scores, rule="scut")
    best = label_sets.f1(*label_sets.count_errors(test.targets, thresholds.apply(test.scores, cuts)))
    tail = np.flatnonzero(group_of(counts, Borders(35, 8)) == "tail")
    assert len(tail) == 29
    for label in range(len(counts)):
        steps = what_if.threshold_steps(test, label=label)
        column, truth = sp.csc_array(test.scores)[:, [label]].tocsr(), test.targets[:, [label]]
        reached = [label_sets.micro_f1(truth, thresholds.apply(column, step)) for step in steps]
        assert max(reached) == pytest.approx(best[label], abs=1e-12), label
        assert len(steps) <= what_if.MOST_STEPS


def test_no_stored_score_leaves_one_step() -> None:
    nothing = Predictions([], np.arange(2), sp.csr_array((2, 3), dtype=bool), sp.csr_array((2, 3)), 0.5)
    assert what_if.threshold_steps(nothing, label=1).tolist() == [0.5]
    assert what_if.threshold_steps(nothing).tolist() == [0.5]


def test_steps_are_told_apart_by_their_names() -> None:
    steps = [0.5, 0.5 + 1e-9, 1e-5, -1.25, np.inf]
    names = what_if.name_steps(steps)
    assert len(set(names.values())) == 5
    assert what_if.name_steps([0.123456, 0.5]) == {0.123456: "0.123", 0.5: "0.5"}


def test_one_threshold_starts_at_the_best_for_all_where_that_is_one_of_many() -> None:
    many = np.array([0.1, 0.2, 0.5])
    assert what_if.middle_limit(0.4, 0.3) == 0.4
    assert [what_if.middle_limit(many, common) for common in (0.5, 0.3, 0.9, None)] == [0.5, 0.3, 0.2, 0.2]


def test_kept_thresholds_are_reached_also_by_the_name_of_a_rule() -> None:
    run = scored.make_run()
    for name in ("mine", "quiet", "my own"):
        results.save_threshold_set(run, name, rule="fixed", values=0.3)
    readings = what_if.name_readings(run)
    assert readings["quiet"] == "quiet"
    assert {name: rule for name, rule in readings.items() if rule.startswith("kept:")} == {
        "mine": "kept:mine",
        "kept:quiet": "kept:quiet",
        "kept:my own": "kept:my own",
    }


@pytest.mark.parametrize(
    ("parts", "joined"),
    [([], "validation"), (["validation", "unknown"], "unknown"), (["unknown", "test", "validation"], "test")],
)
def test_one_part_that_was_test_makes_all_of_test(parts: list[str], joined: str) -> None:
    assert what_if.join_chosen_on(parts) == joined

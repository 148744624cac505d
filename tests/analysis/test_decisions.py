"""What a run predicts by every rule that can be asked for."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis import decisions
from core.metrics import thresholds
from core.runs import predictions, results
from core.runs.predictions import Predictions
from core.system.errors import UserError
from tests.helpers import scored


def test_every_reading_decides_a_run_and_reads_no_true_label_but_for_the_same_count() -> None:
    run = scored.make_run()
    test = predictions.read_predictions(run)
    found = {rule: decisions.decide(run, rule).predicted.toarray() for rule in decisions.READINGS}
    assert np.array_equal(found["as-trained"], test.scores > test.threshold)
    assert np.array_equal(found["fixed"], test.scores > 0.5)
    assert np.array_equal(found["same-count"].sum(axis=1), test.targets.toarray().sum(axis=1))
    none = Predictions(test.ids, test.rows, sp.csr_array(test.targets.shape, dtype=bool), test.scores, test.threshold)
    predictions.write_predictions(run.path, none)
    for rule in set(decisions.READINGS) - {"same-count"}:
        assert np.array_equal(decisions.decide(run, rule).predicted.toarray(), found[rule]), rule
    assert decisions.decide(run, "same-count").predicted.nnz == 0


def test_a_rule_means_the_one_of_its_margins_for_an_svm() -> None:
    svm = scored.make_run(None)
    assert decisions.decide(svm, "fixed").limits == 0.0
    validation = predictions.read_predictions(svm, "validation")
    shift = thresholds.fit_global(validation.targets, validation.scores, rule="shift")
    assert decisions.decide(svm, "paper").limits == shift


def test_kept_thresholds_are_a_rule_by_their_name() -> None:
    run = scored.make_run()
    results.save_threshold_set(run, "mine", rule="my own", values=[0.25] * 10)
    assert np.array_equal(decisions.find_limits(run, "kept:mine"), np.full(10, 0.25))
    with pytest.raises(UserError, match=r"has no thresholds named 'other': it keeps mine\."):
        decisions.decide(run, "kept:other")
    results.save_threshold_set(run, "short", rule="my own", values=[0.25] * 9)
    with pytest.raises(UserError, match=rf"^{run.id}: the thresholds kept as 'short' do not fit its 10 labels"):
        decisions.decide(run, "kept:short")


@pytest.mark.parametrize("rule", ["quit", "kept:", "", "global"])
def test_an_unknown_rule_is_refused_with_the_whole_list(rule: str) -> None:
    with pytest.raises(UserError, match=r"There is no rule named .* kept:NAME\."):
        decisions.decide(scored.make_run(), rule)


def test_no_rule_is_fitted_where_there_is_no_validation_part() -> None:
    run = scored.make_run()
    (run.path / "validation.npz").unlink()
    with pytest.raises(UserError, match=r"validation\.npz is missing"):
        decisions.decide(run, "exact")
    empty = sp.csr_array((0, 10), dtype=bool)
    nothing = Predictions([], np.zeros(0, np.int64), empty, np.zeros((0, 10), np.float16), 0.5)
    predictions.write_predictions(run.path, nothing, "validation")
    with pytest.raises(UserError, match="has no validation documents, so no threshold can be fitted"):
        decisions.decide(run, "exact")
    assert decisions.decide(run, "as-trained").predicted.nnz


def test_a_number_of_labels_for_each_document() -> None:
    scores = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    wanted = np.array([0, 1, 2, 5, 3, 0])
    for stored in (scores, sp.csr_array(scores)):
        found = thresholds.top_labels(stored, wanted).toarray()
        assert found.sum(axis=1).tolist() == wanted.tolist()
        assert all(
            scores[row][found[row]].min(initial=2) >= scores[row][~found[row]].max(initial=-1) for row in range(6)
        )

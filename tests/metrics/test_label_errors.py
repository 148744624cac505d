"""Likely label errors: those that were planted are found, what cannot be judged is not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from core.metrics.label_errors import find_label_errors


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, set[tuple[int, int]]]:
    """True labels (400, 6) with 12 of them turned, scores that know the truth, and where they were turned."""
    rng = np.random.default_rng(seed)
    truth = rng.random((400, 6)) < 0.3
    scores = np.where(truth, rng.uniform(0.8, 0.99, truth.shape), rng.uniform(0.01, 0.2, truth.shape))
    turned = {(int(row), int(rng.integers(6))) for row in rng.choice(400, 12, replace=False)}
    seen = truth.copy()
    for place in turned:
        seen[place] = ~seen[place]
    return seen, scores, turned


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_turned_labels_are_found_in_both_directions(form) -> None:
    seen, scores, turned = planted()
    table, judged = find_label_errors(sp.csr_array(seen), form(scores))
    assert judged == 6
    found = set(zip(table["place"], table["column"], strict=True))
    assert found <= turned
    assert len(found) >= 10
    assert set(table["given"]) == {True, False}
    assert table["confidence"].is_monotonic_increasing
    np.testing.assert_array_equal(table["given"], seen[table["place"], table["column"]])


def test_a_score_that_is_not_stored_is_shown_as_none() -> None:
    seen, scores, _ = planted()
    table, _ = find_label_errors(sp.csr_array(seen), sp.csr_array(np.where(scores < 0.5, 0, scores)))
    np.testing.assert_array_equal(table["score"].isna(), table["given"])


def test_rare_labels_are_not_judged_and_nothing_is_no_error() -> None:
    seen, scores, turned = planted()
    rare = np.zeros((400, 1), bool)
    rare[:4] = True  # never given by the scores: a run that did not learn it
    targets, more = sp.csr_array(np.hstack([rare, seen])), np.hstack([np.zeros((400, 1)), scores])
    table, judged = find_label_errors(targets, more)
    assert judged == 6
    assert set(zip(table["place"], table["column"] - 1, strict=True)) <= turned
    assert find_label_errors(targets, more, most=2)[1] == 2
    for empty in (np.zeros((0, 3)), np.zeros((9, 3))):
        table, judged = find_label_errors(sp.csr_array(empty > 0), empty)
        assert (len(table), judged) == (0, 0)


def test_margins_are_refused() -> None:
    with pytest.raises(ValueError, match="no probabilities"):
        find_label_errors(sp.csr_array(np.eye(3, dtype=bool)), np.full((3, 3), -2.0))

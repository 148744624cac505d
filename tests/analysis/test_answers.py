"""Texts of one's own get the labels that the run gives its test documents, by every rule that can serve them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import answers, decisions
from core.runs import results
from core.runs.predictions import read_predictions
from core.system.errors import UserError
from tests.helpers import scored


@pytest.mark.parametrize("rule", [rule for rule in decisions.READINGS if rule != decisions.SAME_COUNT])
@pytest.mark.parametrize("loss", ["db", None])
def test_a_rule_gives_a_text_what_it_gives_a_document_of_these_scores(rule: str, loss: str | None) -> None:
    run = scored.make_run(loss)
    cut = answers.find_cut(run, rule)
    given = cut.give(np.asarray(read_predictions(run).scores, np.float64))
    assert np.array_equal(given, decisions.decide(run, rule).predicted.toarray())
    assert (cut.rule, cut.chosen_on) == (rule, "validation")


def test_the_true_number_of_labels_is_refused_for_a_text() -> None:
    with pytest.raises(UserError, match="nobody does of a text of your own"):
        answers.find_cut(scored.make_run(), "same-count")


def test_what_was_chosen_on_test_says_so() -> None:
    run = scored.make_run()
    results.save_threshold_set(run, "mine", rule="my own", values=0.2, chosen_on="test")
    results.save_threshold_set(run, "old", rule="my own", values=0.2)
    assert [answers.find_cut(run, f"kept:{name}").chosen_on for name in ("mine", "old")] == ["test", "unknown"]


def test_labels_are_listed_by_score_with_so_many_at_least() -> None:
    scores, given = np.array([0.1, 0.9, 0.5, 0.4]), np.array([False, True, False, True])
    listed = {top: answers.answer_table(scores, given, "abcd", top=top) for top in (0, 2, 9)}
    assert listed[0]["label"].tolist() == ["b", "d"]
    assert listed[2][["label", "given"]].to_numpy().tolist() == [["b", True], ["c", False], ["d", True]]
    assert listed[9]["label"].tolist() == ["b", "c", "d", "a"]
    assert answers.answer_table(scores, np.zeros(4, bool), "abcd").empty


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 0.9]), st.booleans()), max_size=12),
    st.integers(0, 14),
)
def test_the_labels_listed_are_those_wantedand_the_best_in_the_order_of_a_whole_sort(
    rows: list[tuple[float, bool]], top: int
) -> None:
    scores, wanted = np.array([score for score, _ in rows]), np.array([one for _, one in rows], dtype=bool)
    names = [f"l{column}" for column in range(len(rows))]
    ranked = sorted(range(len(rows)), key=lambda column: (-scores[column], column))
    expected = [names[column] for rank, column in enumerate(ranked) if wanted[column] or rank < top]
    table = answers.answer_table(scores, wanted, names, top=top)
    assert table["label"].tolist() == expected

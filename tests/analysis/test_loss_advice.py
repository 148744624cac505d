"""Which loss suits a data set: from labels per document, the tail, co-labels and published runs."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis import loss_advice
from core.analysis.loss_advice import Traits
from core.labels.groups import Borders, paper_borders
from core.losses.presets import LOSSES
from core.runs.folder import list_runs

PUBLISHED = [run for run in list_runs() if run.published and run.config.data.name == "reuters"]
LONG_TAILED = Traits(1.6, 90, 0.5, 0.1, 800.0, 0.7)


@pytest.mark.parametrize(
    ("traits", "first"),
    [
        (LONG_TAILED, "db"),
        (Traits(1.0, 90, 0.5, 0.1, 800.0, 0.0), "cb-ntr"),
        (Traits(1.6, 90, 0.5, 0.1, 800.0, 0.05), "cb-ntr"),
        (Traits(1.2, 10, 0.0, 0.0, 3.0, 0.9), "bce"),
        (Traits(1.05, 10, 0.1, 0.01, 80.0, 0.1), "cb"),
    ],
)
def test_the_advice_follows_the_traits(traits: Traits, first: str) -> None:
    advice = loss_advice.advise(traits)
    assert advice.losses[0] == first
    assert len(set(advice.losses)) == len(advice.losses) == len(advice.sentences) == 3
    assert "bce" in advice.losses
    assert set(advice.losses) <= set(LOSSES)
    assert all(sentence.endswith(".") for sentence in advice.sentences)


def test_traits_are_counted() -> None:
    targets = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    traits = loss_advice.measure_traits(sp.csr_array(targets), targets.sum(0), Borders(head=3, tail=1))
    assert traits == Traits(7 / 5, 3, 1 / 3, 1 / 7, 4.0, 1.0, rare=1)
    alone = loss_advice.measure_traits(sp.csr_array(np.eye(3, dtype=int)), np.ones(3, int), Borders(head=3, tail=1))
    assert alone == Traits(1.0, 3, 1.0, 1.0, 1.0, 0.0, rare=1)


def test_rare_is_a_matter_of_documents_and_not_of_ranks() -> None:
    """Of a set whose every label has hundreds of documents no third is a tail that losses have to balance."""
    counts = np.arange(900, 600, -30)
    rows, columns = np.arange(counts.sum()), np.repeat(np.arange(len(counts)), counts)
    targets = sp.csr_array((np.ones(len(rows), bool), (rows, columns)))
    traits = loss_advice.measure_traits(targets, counts, paper_borders(len(counts)))
    assert (traits.tail_labels, traits.rare) == (0.0, 8)
    advice = loss_advice.advise(traits)
    assert advice.losses[0] == "bce"
    assert advice.sentences[1].startswith("Labels with at most 8 documents are 0% of the labels")


def test_published_runs_are_the_evidence() -> None:
    table = loss_advice.evidence_table(PUBLISHED)
    assert set(table["model"]) == {"tfidf"}
    assert set(table["seeds"]) == {3}
    assert table["tail"].is_monotonic_decreasing
    said = loss_advice.evidence_in_words(table, loss_advice.advise(LONG_TAILED), "reuters")
    tail = dict(zip(table["loss"], table["tail"], strict=True))
    assert f"db {tail['db']:.1f}" in said
    assert f"bce {tail['bce']:.1f}" in said
    assert len(loss_advice.evidence_table([])) == 0
    assert loss_advice.evidence_in_words(loss_advice.evidence_table([]), loss_advice.advise(LONG_TAILED), "x") == ""

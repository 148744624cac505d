"""What is worth knowing of a data set before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from core.analysis import findings
from core.config.schema import LossConfig, RunConfig
from core.data.corpus import Corpus
from core.labels import measures
from core.labels.cooccurrence import count_pairs
from core.labels.groups import Borders
from core.runs.folder import Run


def make_corpus(targets: np.ndarray, texts: list[str], parts: dict[str, list[int]]) -> Corpus:
    """A small set with these texts; the first label is the most frequent."""
    return Corpus(
        "mine",
        "given",
        "f" * 64,
        "made here",
        tuple("abcdefghij"[: targets.shape[1]]),
        sp.csr_array(targets.astype(bool)),
        np.array([str(row) for row in range(len(texts))]),
        [""] * len(texts),
        texts,
        {part: np.array(rows, np.int64) for part, rows in parts.items()},
    )


@pytest.fixture
def corpus() -> Corpus:
    """40 train and 10 test documents with labels a (all), b (always with a, half), c (one train document), d (none)."""
    rng = np.random.default_rng(0)
    targets = np.zeros((50, 5))
    targets[:, 0] = 1
    targets[:40:2, 1] = targets[40::2, 1] = 1
    targets[3, 2] = 1
    targets[45, 4] = 1  # e: in test alone
    texts = [" ".join(rng.choice(["one", "two", "three", "four"], 9)) + f" {row}" for row in range(50)]
    texts[41] = f"  {texts[7].upper()} "  # a copy across parts, with other labels
    texts[9] = texts[8]
    return make_corpus(targets, texts, {"train": list(range(40)), "validation": [], "test": list(range(40, 50))})


def test_the_tail_is_counted_with_its_share(corpus: Corpus) -> None:
    found = findings.find_tail(corpus, Borders(35, 8))
    assert found is not None
    assert found.headline == "3 of 5 labels are in the tail and own 1.6% of the assignments."
    assert found.table["assignments"].sum() == 61


def test_labels_that_never_come_alone_are_named(corpus: Corpus) -> None:
    found = findings.find_together(corpus, count_pairs(corpus.targets_of("train")))
    assert found is not None
    assert found.headline == "1 label never comes without another one."
    assert found.meaning.startswith("Every one of the 20 train documents with b has a as well.")


def test_labels_that_no_part_can_teach_or_test_are_listed(corpus: Corpus) -> None:
    found = findings.find_absent(corpus)
    assert found is not None
    assert found.headline == "2 labels have no train document and 2 labels have no test document."
    assert found.table.to_dict("list") == {"label": ["c", "d", "e"], "train": [1, 0, 0], "test": [0, 0, 1]}


def test_copies_across_parts_come_first_and_other_labels_are_counted(corpus: Corpus) -> None:
    found = findings.find_copies(corpus)
    assert found is not None
    assert found.headline == "2 documents repeat the text of another one, 1 of them across parts."
    assert found.meaning.endswith("Of the copies, 1 has other labels than what is repeated.")
    assert found.table.iloc[0].tolist()[1:] == ["test", found.table.iloc[0]["same as"], "train"]
    assert findings.find_copies(make_corpus(np.eye(3), ["x", "y", "z"], {"train": [0, 1], "test": [2]})) is None


def test_a_large_set_is_not_searched_for_copies(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "COMPARED", 49)
    assert findings.find_copies(corpus) is None


def test_texts_that_are_cut_are_a_share(corpus: Corpus) -> None:
    assert findings.find_cut(pd.DataFrame({"words": [5] * 100, "tokens": [9] * 100})) is None
    found = findings.find_cut(pd.DataFrame({"words": [5] * 4, "tokens": [9, 9, 900, 900]}))
    assert found is not None
    assert found.headline.startswith("50% of the texts are longer than the ")
    assert int(found.query["set.model.max_length"]) <= 512


def test_drift_is_what_luck_does_not_explain() -> None:
    one, other = np.array([500, 40, 3, 0]), np.array([100, 80, 1, 0])
    table = measures.drift("abcd", one, other, documents=(1000, 200))
    found = findings.find_drift(table, "train", "test")
    assert found is not None
    assert found.headline == "1 of 4 labels is more or less frequent in test than in train, beyond luck."
    assert "Most of all b, more frequent in test." in found.meaning
    assert findings.find_drift(table[table["label"] != "b"], "train", "test") is None


def test_the_weightiest_comes_first(corpus: Corpus) -> None:
    found = findings.rank([findings.find_absent(corpus), None, findings.find_tail(corpus, Borders(35, 8))])
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    assert len(found) == 2
    assert Path(found[0].page).name in ("explorer", "loss_weights")


@pytest.mark.parametrize(
    ("setting", "mus", "rule", "said"),
    [
        ("reuters", [None], 0.459, "mu = 0.9 does not suit this set: by the authors' rule it is 0.459."),
        ("reuters", [None], 0.85, ""),
        ("plain", ["auto", None], 0.459, ""),
        ("plain", ["auto", 0.46], 0.459, ""),
        ("plain", ["auto", 0.1, 0.95], 0.459, "mu = 0.95 does not suit this set: by the authors' rule it is 0.459."),
        ("plain", [], 0.459, ""),
    ],
)
def test_a_mu_far_from_the_rule_is_a_finding(
    setting: str, mus: list[float | str | None], rule: float, said: str
) -> None:
    runs = []
    for place, mu in enumerate(mus):
        loss = LossConfig(name="db", setting="plain" if setting == "plain" else "reuters", mu=mu)
        runs.append(Run(f"run-{place}", Path("x"), "finished", config=RunConfig(loss=loss)))
    runs.append(Run("bce", Path("x"), "finished", config=RunConfig(loss=LossConfig(name="bce"))))
    listed = findings.list_mus(setting, runs)  # type: ignore[arg-type]
    assert "bce" not in listed
    found = findings.find_constants(rule, listed)
    assert (found.headline if found else "") == said
    if found:
        assert found.table["far"].iloc[0]
        assert set(found.table["where"]) == set(listed)
        assert ("run has" in found.meaning or "runs have" in found.meaning) == any(
            abs(mu - rule) > 0.1 for where, mu in listed.items() if where.startswith("run")
        )

"""How often rows confuse given pairs of labels."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.pair_table import describe_documents, pair_table, parse_pairs, to_markdown
from core.analysis.tables import fold
from core.runs.predictions import read_predictions
from core.system.errors import UserError
from tests.helpers.scored import make_run

PAIRS = [("label 3", "label 0"), ("label 5", "label 1"), ("label 3", "label 1")]


@pytest.mark.parametrize("seeds", [1, 3])
def test_it_counts_documents_that_miss_the_one_and_were_given_the_other(seeds: int) -> None:
    runs = [make_run("db", seed, quality=0.4) for seed in range(seeds)]
    table = pair_table(fold(runs), PAIRS, rule="fixed")
    expected = {}
    for missed, given in PAIRS:
        i, j = int(missed[-1]), int(given[-1])
        found, alone = [], []
        for run in runs:
            test = read_predictions(run)
            true, chosen = test.targets.toarray(), np.asarray(test.scores > 0.5)
            found.append((true[:, i] & ~chosen[:, i] & chosen[:, j]).sum())
            alone.append((true[:, i] & ~chosen[:, i]).sum())
            expected[missed] = np.mean(alone)
            assert table.attrs["documents"][missed] == true[:, i].sum()
        expected[f"{missed}, {given}"] = np.mean(found)
    (row,) = table.to_dict("records")
    assert row["seeds"] == seeds
    assert expected == {
        name: row[f"{name} missed"] if "," not in name else row[f"{name.replace(',', ' missed,')} given"]
        for name in expected
    }
    assert list(table.columns) == [
        *("row", "seeds", "label 3 missed", "label 3 missed, label 0 given", "label 3 missed, label 1 given"),
        *("label 5 missed", "label 5 missed, label 1 given"),
    ]


def test_rows_of_other_losses_and_rules_stand_beside_each_other() -> None:
    rows = fold([make_run("bce", quality=0.2), make_run("db", quality=3.0)])
    table = pair_table(rows, PAIRS, rule="quiet")
    assert [name.partition(",")[0] for name in table["row"]] == ["tfidf bce", "tfidf db"]
    assert table["label 3 missed"].iloc[0] >= table["label 3 missed"].iloc[1]
    text = to_markdown(table)
    assert text.splitlines()[1] == "|---" + "|---:" * 5 + "|"
    assert "one seed: seed noise unknown|" in text
    assert describe_documents(table) in text


def test_no_row_and_no_label() -> None:
    empty = pair_table([], PAIRS)
    assert not len(empty)
    assert describe_documents(empty) == ""
    with pytest.raises(UserError, match=r"no label named 'labl 3'\. Did you mean 'label 3'"):
        pair_table(fold([make_run("db")]), [("labl 3", "label 0")])
    with pytest.raises(UserError, match="no rule named 'loud'"):
        pair_table(fold([make_run("bce")]), PAIRS, rule="loud")


@pytest.mark.parametrize("text", ["", " , ", "gold", "gold/", "/gold", "gold/gold", "a/b, c"])
def test_what_is_no_pair_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="write MISSED/GIVEN, such as platinum/gold"):
        parse_pairs(text)


def test_pairs_are_named_once_and_labels_may_have_blanks() -> None:
    assert parse_pairs("a b/c, d/e ,a b/c") == [("a b", "c"), ("d", "e")]

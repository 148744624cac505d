"""Which documents pass which filter, and how long they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data import documents
from core.data.corpus import Corpus
from tests.helpers.corpora import corpus

MATRICES = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=12)
COLUMNS = st.lists(st.integers(0, 2), max_size=3)


@given(MATRICES, st.data(), COLUMNS, COLUMNS, COLUMNS, st.integers(0, 3), st.none() | st.integers(0, 3))
def test_the_documents_found_are_those_that_pass_every_filter(
    rows: list[list[bool]],
    draw: st.DataObject,
    all_of: list[int],
    any_of: list[int],
    none_of: list[int],
    least: int,
    most: int | None,
) -> None:
    part = draw.draw(st.permutations(range(len(rows))))[: len(rows) // 2 + 1]
    found = documents.find_documents(
        corpus(rows, {"train": part, "test": []}),
        "train",
        all_of=all_of,
        any_of=any_of,
        none_of=none_of,
        least=least,
        most=most,
    )
    assert found.tolist() == [
        row
        for row in sorted(part)
        if all(rows[row][column] for column in all_of)
        and (not any_of or any(rows[row][column] for column in any_of))
        and not any(rows[row][column] for column in none_of)
        and least <= sum(rows[row]) <= (3 if most is None else most)
    ]


def test_all_parts_together_are_in_the_order_of_the_corpus() -> None:
    small = corpus([[1], [0], [1], [0]], {"train": [2, 0], "test": [1]})
    assert documents.rows_of(small, documents.ALL).tolist() == [0, 1, 2]
    assert documents.rows_of(small, "train").tolist() == [0, 2]
    assert documents.targets_of(small, documents.ALL).toarray().ravel().tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "found"),
    [("BODY", [0, 1, 2]), (" body 1 ", [1]), ("title 2", [2]), ("title\n 2", []), ("nowhere", []), ("", [0, 1, 2])],
)
def test_words_are_found_in_title_and_body_in_any_case(text: str, found: list[int]) -> None:
    small = corpus([[1], [1], [1]], {"train": [0, 1, 2]}, titles=["", "Title 1", "Title 2"])
    assert documents.find_documents(small, "train", text=text).tolist() == found


@pytest.mark.parametrize("text", ["ÄRZTE", "ärzte", "<script>", "שלום", "🎉", "a.*c"])
def test_words_of_every_script_are_words_and_no_pattern(text: str) -> None:
    small = corpus([[1], [1]], {"train": [0, 1]}, titles=["die Ärzte <SCRIPT> שלום 🎉 a.*c", "abc"])
    assert documents.find_documents(small, "train", text=text).tolist() == [0]


def test_lengths_count_title_and_body_of_a_sample_or_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_word_pieces", lambda: None)
    small = corpus([[1]] * 9, {"train": list(range(9))}, titles=["one-two three!"] * 9)
    table = documents.measure_lengths(small, "train", limit=100)
    assert table.to_dict("list") == {"words": [4] * 9, "tokens": [7] * 9}
    assert len(documents.measure_lengths(small, "train", limit=4)) == 4
    assert documents.measure_lengths(small, "train", limit=0).empty
    assert "installed" in documents.token_name()


def test_word_pieces_are_counted_where_the_package_is() -> None:
    pytest.importorskip(documents.TOKENIZER)
    small = corpus([[1]], {"train": [0]}, titles=["platinum"])
    table = documents.measure_lengths(small, "train", limit=10)
    assert table.to_dict("list") == {"words": [3], "tokens": [5]}  # [CLS] platinum body 0 [SEP]
    assert "word pieces" in documents.token_name()


def test_documents_are_listed_with_title_and_labels() -> None:
    table = documents.document_table(corpus([[0, 1, 0], [1, 0, 1]], {"train": [0, 1]}), [1, 0])
    assert table.to_dict("list") == {
        "id": ["id1", "id0"],
        "title": ["title 1", "body 0"],
        "labels": [["a", "c"], ["b"]],
    }
    assert documents.document_table(corpus([[1]], {"train": [0]}), []).empty


@pytest.mark.parametrize(
    ("title", "body", "shown"),
    [
        ("A  title\n", "body", "A title"),
        (" ", "the body\nof it", "the body of it"),
        ("", "word " * 30, f"{'word ' * 15}word…"),
        ("", "x" * 200, f"{'x' * 80}…"),
        ("", " \n", "(no text)"),
    ],
)
def test_a_document_without_title_shows_its_first_words(title: str, body: str, shown: str) -> None:
    one = replace(corpus([[1]], {"train": [0]}, titles=[title]), bodies=[body])
    assert documents.Headings(one)[0] == shown
    assert documents.Headings(one)[0:1] == [shown]
    assert documents.document_table(one, [0])["title"].tolist() == [shown]


def test_documents_with_one_id_are_told_apart_by_their_rows() -> None:
    whole = replace(corpus([[1]] * 4, {"train": [0, 1], "test": [2, 3]}), ids=np.array(["7", "8", "7", "9"]))
    assert documents.document_table(whole, range(4))["id"].tolist() == ["7 (row 1)", "8", "7 (row 3)", "9"]
    assert documents.tell_apart(["7", "9", "7"], [0, 1, 1233], [2, 1]) == ["7 (row 1,234)", "9"]
    assert documents.tell_apart(["7", "9"], [0, 1], [0]) == ["7"]


def test_a_document_that_carries_all_labels_and_one_that_carries_none() -> None:
    odd: list[tuple[list[list[Any]], int]] = [([[1, 1]], 1), ([[0, 0]], 0), ([[1]], 1)]
    for rows, number in odd:
        small: Corpus = corpus(rows, {"train": [0]})
        assert len(documents.find_documents(small, "train", any_of=range(len(rows[0])))) == number
        assert np.array_equal(documents.find_documents(small, documents.ALL), [0])

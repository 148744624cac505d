"""What the columns of a file are taken for, and the documents that come of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.config.schema import FileConfig
from core.data.readers import Record, guess, read_documents
from core.system.errors import UserError

LONG = "Gold rose in London as dealers waited for the fixing. "


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def mapping(path: Path) -> dict[str, Any]:
    file = guess(path)
    return {
        key: value for key in ("text", "title", "labels", "sep", "id", "split", "year") if (value := getattr(file, key))
    }


GUESSES: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    (
        "bioasq",
        [{"pmid": "1", "title": "T", "abstractText": LONG, "meshMajor": ["A, B", "C"], "year": "2013", "journal": "J"}],
        {"text": ("abstractText",), "title": "title", "labels": ("meshMajor",), "id": "pmid", "year": "year"},
    ),
    (
        "separated",
        [{"body": LONG, "tags": "gold|silver", "split": "train"}, {"body": "x", "tags": "corn", "split": "dev"}],
        {"text": ("body",), "labels": ("tags",), "sep": "|", "split": "split"},
    ),
    (
        "indicator",
        [{"text": LONG, "gold": 1, "corn": 0}, {"text": "x", "gold": 0, "corn": 1}],
        {"text": ("text",), "labels": ("*",), "sep": "0/1"},
    ),
    (
        "indicator beside others",
        [{"text": LONG, "gold": 1, "corn": 0, "source": "AP"}, {"text": "x", "gold": 0, "corn": 1, "source": "dpa"}],
        {"text": ("text",), "labels": ("gold", "corn"), "sep": "0/1"},
    ),
    ("title alone", [{"title": LONG, "what": "gold;corn"}], {"text": ("title",), "labels": ("what",), "sep": ";"}),
    ("by values", [{"a": LONG, "b": ["gold"]}, {"a": LONG, "b": []}], {"text": ("a",), "labels": ("b",)}),
    ("lists in words", [{"text": LONG, "genres": "['gold', 'a;b']"}], {"text": ("text",), "labels": ("genres",)}),
    ("no split after all", [{"text": LONG, "labels": "x", "split": "a|b"}], {"text": ("text",), "labels": ("labels",)}),
]


@pytest.mark.parametrize(("rows", "expected"), [case[1:] for case in GUESSES], ids=[case[0] for case in GUESSES])
def test_columns_are_told_by_name_and_value(
    rows: list[dict[str, Any]], expected: dict[str, Any], tmp_path: Path
) -> None:
    assert mapping(jsonl(tmp_path / "a.jsonl", *rows)) == expected


def documents(path: Path, **changes: Any) -> list[Record]:
    file = guess(path).model_copy(update=changes)
    return [record for _, record in read_documents(path, file)]


def test_labels_of_every_form_become_names(tmp_path: Path) -> None:
    values = [["a", "b", "a"], [3, 4.0], "['c', 'd']", '["e"]', "f", None, [], float("nan"), [None, " "], 7]
    path = jsonl(tmp_path / "a.jsonl", *({"text": "x", "labels": value} for value in values))
    expected = [("a", "b"), ("3", "4"), ("c", "d"), ("e",), ("f",), (), (), (), (), ("7",)]
    assert [record.labels for record in documents(path)] == expected


def test_a_separated_cell_is_cut_and_trimmed(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "x", "labels": "a; b ;;c;"}, {"text": "x", "labels": ""})
    assert [record.labels for record in documents(path)] == [("a", "b", "c"), ()]


def test_columns_of_zeros_and_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,gold,corn\nx,1,0\ny,1.0,true\nz,,0\n")
    assert [record.labels for record in documents(path)] == [("gold",), ("gold", "corn"), ()]
    path.write_text("text,gold,corn\nx,1,0\n" + "y,0,0\n" * 300 + "z,2,0\n")
    with pytest.raises(UserError, match=r"a\.csv, line 303, column 'gold': found \"2\" where 0 or 1 is expected"):
        documents(path, labels=("gold", "corn"), sep="0/1")


def test_texts_are_joined_and_numbers_are_texts(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"title": 5, "text": "one", "more": "two", "labels": ["x"], "id": 9})
    record = Record("9", "5", "one\ntwo", ("x",), "")
    assert documents(path, text=("text", "more")) == [record]


def test_parts_have_many_names(tmp_path: Path) -> None:
    names = ["train", "Training", " dev ", "val", "TEST", "eval"]
    path = jsonl(tmp_path / "a.jsonl", *({"text": "x", "labels": ["a"], "split": name} for name in names))
    parts = ["train", "train", "validation", "validation", "test", "test"]
    assert [record.part for record in documents(path)] == parts


def test_years_are_cut_out(tmp_path: Path) -> None:
    years = [2009, "2010", "2011-05-01", 2012]
    path = jsonl(tmp_path / "a.jsonl", *({"text": "x", "labels": ["a"], "year": year} for year in years))
    assert [record.id for record in documents(path, years=(2010, 2011))] == ["1", "2"]
    with pytest.raises(UserError, match="no column is named that holds them"):
        documents(path, years=(2010, 2011), year="")
    jsonl(path, {"text": "x", "labels": ["a"], "year": "soon"})
    with pytest.raises(UserError, match=r"line 1, column 'year': \"soon\" is no year"):
        documents(path, years=(2010, 2011))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": {"en": "x"}, "labels": ["a"]}, r"line 2, column 'text': found .* where a text is expected"),
        ({"text": "x", "labels": {"a": [["b"]]}}, r"line 2, column 'labels': found .* where a label is expected"),
        ({"text": "x", "labels": [["a"]]}, r"line 2, column 'labels': found .* where a label is expected"),
        ({"text": "x", "labels": [True]}, r"line 2, column 'labels': found true where a label is expected"),
        ({"text": "x", "labels": [1.5]}, r"line 2, column 'labels': found 1.5 where a label is expected"),
        ({"text": "x", "labels": "[0 1 ... 1]"}, r"line 2, column 'labels': it is cut short: '\.\.\.' stands"),
        ({"text": "x", "labels": ["a" * 1001]}, "a label of 1,001 characters; is this the right column"),
        ({"text": "x", "labels": ["a"], "id": "i" * 201}, "an id of 201 characters"),
        ({"text": "x", "labels": ["a"], "id": "1", "split": "holdout"}, "'holdout' is no part"),
    ],
)
def test_a_cell_that_does_not_fit_is_said_with_its_line(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    first = {"text": "fine", "labels": ["a"], "id": "0", "split": "train"}
    path = jsonl(tmp_path / "a.jsonl", first, row)
    with pytest.raises(UserError, match=words):
        documents(path, id="id", split="split" if "split" in row else "", text=("text",), labels=("labels",))


def test_a_mapping_that_does_not_fit_the_file(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "x", "tag": "a"}, {"text": "y", "tag": "b"})
    with pytest.raises(UserError, match=r"no column of a\.jsonl named 'txt'\. Did you mean 'text'"):
        documents(path, text=("txt",))
    with pytest.raises(UserError, match=r"which column holds the text \(--text\). Columns: text, tag"):
        documents(path, text=())
    with pytest.raises(UserError, match=r"which column holds the labels \(--labels\)"):
        documents(path, labels=())
    with pytest.raises(UserError, match='found "a" where 0 or 1 is expected'):
        documents(path, labels=("tag",), sep="0/1")


def test_a_file_needs_no_header_to_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{LONG},gold\n{LONG},corn\n{LONG},gold\n{LONG},corn\n")
    assert [record.labels for record in documents(path)] == [("gold",), ("corn",), ("gold",), ("corn",)]
    assert guess(path) == FileConfig(format="csv", header=False, text=("column 1",), labels=("column 2",))

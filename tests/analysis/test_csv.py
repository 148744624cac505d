"""Downloads: CSV that comes back as it was and runs nowhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis.csv import FORMULA, MARK, neutralise, to_csv
from core.data import readers
from core.data.documents import document_table
from tests.helpers.corpora import corpus

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"))


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@given(st.lists(CELLS, min_size=1, max_size=5))
def test_every_text_comes_back_and_none_is_a_formula(cells: list[str]) -> None:
    header, *rows = read(to_csv(pd.DataFrame({"label": cells, "n": range(len(cells))})))
    assert header == ["label", "n"]
    assert [
        row[0].removeprefix("'") if neutralise(cell) != cell else row[0] for row, cell in zip(rows, cells, strict=True)
    ] == cells
    assert not any(row[0].lstrip(" ").startswith(FORMULA) for row in rows)


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "  =1", "＝1"])
def test_formulas_are_neutralised_also_in_headings_and_lists(cell: str) -> None:
    table = read(to_csv(pd.DataFrame({cell: [cell], "list": [[cell, "b"]]})))
    assert table[0][0] == table[1][0] == f"'{cell}"
    assert json.loads(table[1][1]) == [cell, "b"]


def test_numbers_stay_numbers_and_what_is_undefined_is_empty() -> None:
    frame = pd.DataFrame({"n": [-1, 2], "x": [-0.5, float("nan")], "name": ["-a", None]})
    assert read(to_csv(frame)) == [["n", "x", "name"], ["-1", "-0.5", "'-a"], ["2", "", ""]]
    assert frame["name"][0] == "-a", "the table itself is not changed"


def test_a_saved_list_of_documents_is_read_again_as_it_was(tmp_path: Path) -> None:
    """The mark by which Excel knows UTF-8 is part of no column's name, here and in pandas."""
    whole = corpus([[1, 0, 1], [0, 1, 0]] * 10, {"train": range(20)}, labels=["gold", "Märkte", "a, b"])
    path = tmp_path / "documents.csv"
    path.write_text(MARK + to_csv(document_table(whole, range(20))), encoding="utf-8")
    assert path.read_bytes()[:3] == b"\xef\xbb\xbf"
    assert pd.read_csv(path).columns.tolist() == ["id", "title", "labels"]
    reading = readers.study(path)
    assert not reading.questions
    _, first = next(iter(readers.read_documents(path, reading.file)))
    assert (first.id, set(first.labels)) == ("id0", {"gold", "a, b"})

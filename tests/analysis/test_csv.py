"""Downloads: CSV that comes back as it was and runs nowhere."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis.csv import FORMULA, neutralise, to_csv

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

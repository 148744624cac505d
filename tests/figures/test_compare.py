"""What the page Compare draws: a forest plot holds what the table prints."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import altair as alt
import pandas as pd
import pytest

from core.analysis import compare, samples, tables
from core.analysis.samples import Comparison
from core.figures import looks
from core.figures.forest import forest_chart
from core.system.places import ROOT
from tests.helpers.scored import make_run


@pytest.fixture
def compared() -> Comparison:
    runs = [make_run(loss, seed, quality=quality) for loss, quality in (("db", 2.5), ("bce", 1.0)) for seed in (0, 1)]
    return samples.compare_rows(tables.fold([*runs, make_run("fl")]))


def looks_of(compared: Comparison) -> dict[str, looks.Look]:
    return looks.assign_looks({row.name: row.runs[0] for row in compared.rows})


def test_a_forest_plot_has_the_rows_of_the_table_and_a_dot_for_each_seed(compared: Comparison) -> None:
    frame = tables.paper_table(compared.rows, compared.sampled)
    rows, dots = compare.forest_table(frame, compared.sampled, "tail_macro")
    kept = frame[frame["source"].eq("run")].set_index("name")
    assert rows["value"].is_monotonic_decreasing
    assert set(rows["row"]) == {"tfidf db", "tfidf bce", "tfidf fl"}
    for row in rows.to_dict("records"):
        assert [row["value"], row["low"], row["high"]] == pytest.approx(
            kept.loc[row["row"], ["tail_macro", "tail_macro_low", "tail_macro_high"]].tolist()
        )
        mine = dots[dots["row"].eq(row["row"])]
        assert len(mine) == row["seeds"]
        assert mine["value"].mean() == pytest.approx(row["value"])
        assert row["noise"] == ("documents alone" if row["seeds"] == 1 else "seeds and documents")


def test_differences_are_drawn_from_the_baseline(compared: Comparison) -> None:
    frame = tables.difference_table(compared.rows, compared.sampled, "tfidf bce")
    rows, dots = compare.forest_table(frame, compared.sampled, "total_micro")
    assert "tfidf bce" not in set(rows["row"])
    named = rows.set_index("row")
    assert dots[dots["row"].eq("tfidf db")]["value"].mean() == pytest.approx(named.loc["tfidf db", "value"])
    assert named["noise"].to_dict() == {"tfidf db": "seeds and documents", "tfidf fl": "documents alone"}
    shown = compare.forest_rows(frame, compared.sampled, "total_micro")
    drawn = forest_chart(*shown, looks_of(compared), title="points", difference=True)
    marks = [layer["mark"]["type"] for layer in drawn["layer"]]
    assert marks == ["rule", "rule", "point", "point"]
    named = [layer["data"]["values"] for layer in drawn["layer"]]
    assert [len(data) for data in named] == [1, len(rows), len(rows), len(dots)]
    assert alt.LayerChart.from_dict(drawn), "it is what the schema of Vega-Lite allows"
    assert named[1] == rows.to_dict("records")
    assert named[3] == dots.to_dict("records")


def test_a_plot_of_scores_has_no_line_at_0_and_an_empty_one_is_still_a_chart(compared: Comparison) -> None:
    frame = tables.paper_table(compared.rows, compared.sampled)
    rows, dots = compare.forest_table(frame, compared.sampled, "total_micro")
    shown = compare.forest_rows(frame, compared.sampled, "total_micro")
    drawn = forest_chart(*shown, looks_of(compared), title="%", difference=False)
    assert [layer["mark"]["type"] for layer in drawn["layer"]] == ["rule", "point", "point"]
    nothing = compare.forest_table(frame.iloc[:0], {}, "total_micro")
    assert [list(part.columns) for part in nothing] == [list(rows.columns), list(dots.columns)]
    assert isinstance(nothing[0], pd.DataFrame)
    assert forest_chart([], [], {}, title="%", difference=False)["layer"]


def test_a_row_without_an_interval_is_written_as_json_writes_it(compared: Comparison) -> None:
    frame = tables.paper_table(compared.rows, compared.sampled)
    rows, dots = compare.forest_rows(frame, compared.sampled, "total_micro")
    rows[0] |= {"low": math.nan, "high": math.inf}
    drawn = forest_chart(rows, dots, looks_of(compared), title="%", difference=False)
    assert [drawn["layer"][0]["data"]["values"][0][key] for key in ("low", "high")] == [None, None]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


@pytest.mark.slow
def test_the_tables_of_compare_load_no_chart_library() -> None:
    code = "import sys, pages.compare; print(sorted({'altair', 'torch', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

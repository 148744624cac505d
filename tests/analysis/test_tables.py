"""Tables of runs: folded seeds, intervals, bold, the published rows, and every form in which they leave the house."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import compare, export, samples, tables
from core.analysis.export import workbook
from core.analysis.row_settings import find_row
from core.analysis.run_names import name_run, name_runs
from core.analysis.samples import Sampled
from core.figures import page
from core.labels.groups import UNSEEN, Borders
from core.metrics import confusion, label_sets, thresholds, uncertainty
from core.runs import folder, results
from core.runs.folder import Run
from core.runs.predictions import read_predictions, write_predictions
from core.system.errors import UserError
from core.system.files import write_json
from tests.helpers.laws import law
from tests.helpers.scored import BORDERS, COUNTS, make_run


@pytest.fixture
def runs() -> list[Run]:
    return [make_run("db", seed, quality=2.5) for seed in (0, 1, 2)] + [make_run("bce", 0, quality=1.0), make_run(None)]


@pytest.fixture
def several() -> list[Run]:
    """Three methods of three seeds each."""
    made = (("db", 2.5), ("bce", 1.0), (None, 2.0))
    return [make_run(loss, seed, quality=quality) for loss, quality in made for seed in (0, 1, 2)]


def test_the_rows_of_a_table_are_those_that_pandas_gives(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows)
    empty = tables.paper_table([], {}, with_published=False)
    for frame in (tables.paper_table(rows, sampled), tables.difference_table(rows, sampled, "tfidf bce"), empty):
        pd.testing.assert_frame_equal(pd.DataFrame(tables.records_of(frame)), pd.DataFrame(frame.to_dict("records")))
        assert [type(value) for row in tables.records_of(frame) for value in row.values()] == [
            type(value) for row in frame.to_dict("records") for value in row.values()
        ]


def test_seeds_fold_into_one_row_in_the_order_of_the_paper(runs: list[Run]) -> None:
    rows = tables.fold(reversed(runs))
    assert [(row.name, len(row.runs)) for row in rows] == [("svm", 1), ("tfidf bce", 1), ("tfidf db", 3)]
    assert [run.config.seed for run in rows[2].runs] == [0, 1, 2]
    assert [row.name for row in tables.fold(runs, seeds=False)] == [
        *("svm", "tfidf bce", "tfidf db, seed 0", "tfidf db, seed 1", "tfidf db, seed 2")
    ]


def test_labels_without_a_train_document_have_columns_where_there_are_any() -> None:
    apart = Borders(35, 8, unseen_apart=True)
    rows = tables.fold([make_run(loss, seed, quality=2.0, borders=apart) for loss in ("db", "bce") for seed in (0, 1)])
    own = f"{UNSEEN}_macro"
    for kept in (None, apart):
        sampled = samples.sample_rows(rows, kept)
        frame = tables.paper_table(rows, sampled, with_published=False)
        assert tables.columns_in(frame) == [*tables.SCORE_COLUMNS[2], f"{UNSEEN}_micro", own]
        mine = results.read_results(rows[0].runs[0])["test"]
        assert frame[own][0] == pytest.approx(
            100 * np.mean([results.read_results(run)["test"][UNSEEN]["macro_f1"] for run in rows[0].runs])
        )
        assert mine[UNSEEN].keys() == mine["tail"].keys()
        for form in (export.to_latex, export.to_markdown, export.to_csv, page._score_table):
            assert "o train document" in form(frame)
        shown = compare.score_table(frame).columns.tolist()
        assert [group for group, _ in shown[1:5]] == ["Total", "Total", "Tail", "Tail"]
        assert shown[-1] == (UNSEEN.capitalize(), "macro-F1")
        assert own in tables.columns_in(tables.difference_table(rows, sampled, rows[0].name))
        rank = samples.compare_rows(rows, kept, samples.RANKING)
        assert f"{UNSEEN}_ap" in tables.paper_table(rows, rank.sampled, table=samples.RANKING)
    # The same runs with borders that leave them in the tail.
    sampled = samples.sample_rows(rows, BORDERS)
    frame = tables.paper_table(rows, sampled, with_published=False)
    assert tables.columns_in(frame) == tables.SCORE_COLUMNS[2]
    assert not [column for column in frame if column.startswith(UNSEEN)]
    gain = samples.difference(sampled[rows[1].name], sampled[rows[0].name])
    titles = [title for title, _, _ in compare.headline(gain)]
    assert not [title for title in titles if title.startswith(UNSEEN)]
    assert len(titles) == 5


@pytest.mark.parametrize("table", tables.SCORE_COLUMNS)
@pytest.mark.parametrize("unseen", [True, False])
def test_columns_that_a_narrow_page_has_no_room_for_stand_in_sets(table: tables.Table, unseen: bool) -> None:
    columns = [column for column in tables.SAMPLED_COLUMNS[table] if unseen or not column.startswith(UNSEEN)]
    sets = compare.column_sets(columns)
    assert sorted(list(sets.values())[-1]) == sorted(columns)
    assert list(sets)[-1] == "all"
    assert {column for name, kept in sets.items() if name != "all" or len(sets) == 1 for column in kept} == set(columns)
    for name, kept in sets.items():
        assert len(set(kept)) == len(kept)
        assert len(kept) <= compare.FITTING or name == "all"
        groups = [column.partition("_")[0] for column in kept]
        assert groups == sorted(groups, key=lambda group: {"total": 0, "tail": 1}.get(group, 2))
    first = next(iter(sets.values()))
    assert {"total", "tail"} <= {column.partition("_")[0] for column in first} or table == 3
    assert compare.column_sets(first) == {"all": first}, "what fits has no choice"


def test_rows_are_told_apart_by_what_differs() -> None:
    rows = tables.fold([make_run(hidden=0), make_run(hidden=64), make_run("bce"), make_run("db", name="copy")])
    assert [row.name for row in rows] == ["tfidf bce", "tfidf db, hidden 0", "tfidf db, hidden 64"]
    assert len(rows[1].runs) == 2


def test_a_rows_name_has_as_few_settings_as_tell_it_apart() -> None:
    many = {"max_features": 500, "min_df": 3, "hidden": 64, "dropout": 0.3}
    rows = tables.fold([make_run(), make_run(**many), make_run(**many | {"dropout": 0.4})])
    apart = ["tfidf db, hidden 64, dropout 0.3", "tfidf db, hidden 64, dropout 0.4"]
    assert [row.name for row in rows] == ["tfidf db, hidden 0", *apart]
    assert len({name_run(row.runs[0]) for row in rows}) == 1, "alone, nothing differs"


def test_a_row_is_called_as_a_run_is_elsewhere_and_found_by_its_older_names() -> None:
    runs = [make_run(), make_run(hidden=64), make_run("bce"), make_run(None)]
    rows = tables.fold(runs, seeds=False)
    assert {row.name for row in rows} == set(name_runs(runs).values())
    for older, name in {
        "db": "tfidf db, hidden 0",
        "db · hidden 64": "tfidf db, hidden 64",
        "db · tfidf · hidden 64 · 2 more": "tfidf db, hidden 64",
        "bce · seed 0": "tfidf bce",
        "svm": "svm",
    }.items():
        assert find_row(rows, older) == name
    for unknown in ("", "fl", "tfidf", "db · hidden 65", "1 more", "seed 0"):
        assert find_row(rows, unknown) == ""


def test_scores_are_those_of_the_run_and_the_mean_of_the_seeds(runs: list[Run]) -> None:
    sampled = samples.sample(runs[0], BORDERS)
    kept = samples.kept_scores(runs[0])
    np.testing.assert_allclose(sampled.scores, kept.scores)
    assert sampled.samples.shape == (uncertainty.FOLDS, len(uncertainty.COLUMNS))
    both = samples.over_seeds([samples.sample(run, BORDERS) for run in runs[:3]])
    parts = np.stack([samples.kept_scores(run).scores for run in runs[:3]])
    np.testing.assert_allclose(both.scores, parts.mean(axis=0))
    np.testing.assert_allclose(both.deviation, parts.std(axis=0, ddof=1))
    moved = samples.sample(runs[0], Borders(50, 1))
    predictions = read_predictions(runs[0])
    predicted = thresholds.apply(predictions.scores, 0.5)
    expected = label_sets.score_groups(predictions.targets, predicted, COUNTS, Borders(50, 1))
    assert moved.scores[uncertainty.COLUMNS.index("tail/macro_f1")] == expected["tail"]["macro_f1"]


def test_bold_is_only_what_is_better_than_every_other_by_more_than_chance(several: list[Run]) -> None:
    rows = tables.fold(several)
    sampled = samples.sample_rows(rows)
    frame = tables.paper_table(rows, sampled, with_published=False).set_index("name")
    assert frame.loc["tfidf db", "total_micro_best"]
    assert not frame.loc[["svm", "tfidf bce"], "total_micro_best"].any()
    place = uncertainty.COLUMNS.index("all/micro_f1")
    for other in ("svm", "tfidf bce"):
        gain = samples.difference(sampled["tfidf db"], sampled[other])
        assert gain.low[place] > 0
        assert gain.scores[place] == pytest.approx(sampled["tfidf db"].scores[place] - sampled[other].scores[place])
    low, high = (frame.loc["tfidf db", f"total_micro_{end}"] for end in ("low", "high"))
    assert low < frame.loc["tfidf db", "total_micro"] < high
    twins = [row for row in rows if row.name != "tfidf bce"]
    same = {row.name: sampled["tfidf db"] for row in twins}
    assert not tables.paper_table(twins, same)["total_micro_best"].any()
    assert not tables.paper_table(rows[:1], sampled)["total_micro_best"].any(), "one row beats nobody"


def test_bold_scores_are_those_whose_whole_column_of_differences_is_bold(several: list[Run]) -> None:
    rows = tables.fold([*several, make_run("fl", 0, quality=0.8)])
    sampled = samples.sample_rows(rows)
    for table, columns in tables.SCORE_COLUMNS.items():
        if table == samples.RANKING:
            continue
        scores = tables.paper_table(rows, sampled, table=table, with_published=False).set_index("name")
        for row in rows:
            gains = tables.difference_table(rows, sampled, row.name, table=table).set_index("name").drop(row.name)
            for column in columns:
                tested = gains[gains[f"{column}_note"].eq("")]
                whole = len(tested) > 0 and (tested[f"{column}_significant"] & tested[column].lt(0)).all()
                highest = scores[column].max() == scores.loc[row.name, column]
                assert scores.loc[row.name, f"{column}_best"] == (whole and highest), (row.name, column)


def printed_leaves_out_zero(text: str) -> bool:
    """Whether an interval, as a cell prints it, leaves out 0."""
    value, _, interval = text.partition(" ")
    if interval.startswith("±"):
        low, high = float(value) - float(interval[1:]), float(value) + float(interval[1:])
    else:
        low, high = (float(end) for end in re.split(", | to ", interval.strip("()")))
    return low > 0 or high < 0


@pytest.mark.parametrize("short", [True, False])
def test_a_difference_is_bold_exactly_where_its_printed_interval_leaves_out_0(several: list[Run], short: bool) -> None:
    rows = tables.fold(several)
    frame = tables.difference_table(rows, samples.sample_rows(rows), "svm")
    seen = set()
    for row in frame.to_dict("records"):
        for column in tables.SCORE_COLUMNS[2]:
            text = " ".join(export.cell(row, column, short=short))
            if text.strip():
                assert printed_leaves_out_zero(text) == export.is_bold(row, column), text
                seen.add(export.is_bold(row, column))
    assert seen == {True, False}


@law(60)
@given(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2), st.booleans())
def test_a_printed_interval_tells_what_the_exact_one_does(value: float, left: float, right: float, short: bool) -> None:
    low, high = value - left, value + right
    bold = low > 0 or high < 0
    row = {"baseline": "x", "a": value, "a_low": low, "a_high": high, "a_significant": bold, "a_note": ""}
    text = " ".join(export.cell(row, "a", short=short))
    near = min(abs(low), abs(high), abs(low - value), abs(high - value)) < 1e-3  # beyond what four decimals tell
    assert near or printed_leaves_out_zero(text) == bold, text


def test_a_row_of_one_seed_is_never_bold_and_says_so(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows)
    frame = tables.paper_table(rows, sampled, with_published=False).set_index("name")
    assert not frame[[f"{column}_best" for column in tables.SCORE_COLUMNS[2]]].to_numpy().any()
    for baseline in ("tfidf db", "tfidf bce"):
        gains = tables.difference_table(rows, sampled, baseline)
        assert not gains[[f"{column}_significant" for column in tables.SCORE_COLUMNS[2]]].to_numpy().any()
        assert any("seed noise is unknown" in line for line in tables.notes(gains))
        assert not any("Bold" in line for line in tables.notes(gains))
    row = gains[gains["name"].eq("svm")].to_dict("records")[0]
    assert re.fullmatch(r"\[.*\]", export.cell(row, "total_micro")[1])
    assert export.title(row).endswith(", one seed: seed noise unknown")


def test_a_group_without_a_hit_says_so_instead_of_an_interval() -> None:
    run = make_run("bce", quality=2.0)
    stored = read_predictions(run)
    scores = stored.scores.copy()
    scores[:, COUNTS <= 8] = 0.0
    write_predictions(run.path, replace(stored, scores=scores))
    rows = tables.fold([run])
    frame = tables.paper_table(rows, samples.sample_rows(rows), with_published=False)
    tail = int((stored.targets.sum(axis=0)[COUNTS <= 8] > 0).sum())
    row = frame.to_dict("records")[0]
    for column in ("tail_micro", "tail_macro"):
        assert export.cell(row, column) == (f"0 of {tail} hit", "")
        assert f"0 of {tail} hit" in export.to_latex(frame)
        assert row[f"{column}_note"] == f"0 of {tail} hit"
    assert any("0 of 29 hit" in line for line in tables.notes(frame))
    assert "hit" not in export.cell(row, "total_macro")[0]


def test_lopsided_intervals_and_cut_ones_are_printed_as_two_ends() -> None:
    row = {"a": 5.0, "a_low": 4.0, "a_high": 6.1, "b": 5.0, "b_low": 4.5, "b_high": 7.0, "c": 1.0, "c_low": 0.0}
    row |= {"c_high": 2.0, "d": 99.0, "d_low": 98.0, "d_high": 100.0}
    assert export.cell(row, "a") == ("5.00", "±1.05")
    assert export.cell(row, "b") == ("5.00", "(4.50 to 7.00)")
    assert export.cell(row, "b", short=True) == ("5.0", "(4.5, 7.0)")
    assert export.cell(row, "c") == ("1.00", "(0.00 to 2.00)")
    assert export.cell(row, "d") == ("99.00", "(98.00 to 100.00)")
    assert export.cell(row, "missing") == ("", "")


def test_every_cell_shows_its_own_score_however_often_it_is_drawn(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows, BORDERS)
    frame = tables.paper_table(rows, sampled, table=2, with_published=True)
    shown = compare.score_table(frame)
    for _ in range(2):
        drawn = ET.fromstring(f"<x>{shown.to_html().partition('</style>')[2]}</x>".replace("&nbsp;", " "))
        texts = [[cell.text or "" for cell in row.iter("td")][1:] for row in drawn.iter("tr")]
        for values, row in zip([line for line in texts if line], frame.to_dict("records"), strict=True):
            columns = [
                f"{group}_{score}" for group in ("total", "tail", "head", "medium") for score in ("micro", "macro")
            ]
            parts = [export.cell(row, column, short=True) for column in columns]
            assert values == [" ".join(part).rstrip() or "–" for part in parts]


def test_rows_of_other_data_are_not_compared(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows)
    nothing = samples.difference(sampled["tfidf db"], sampled["tfidf bce"], comparable=False)
    assert np.isnan(nothing.scores).all()
    assert not nothing.significant.any()
    path = runs[3].path / "metrics.json"
    write_json(path, {**results.read_metrics(runs[3]), "fingerprint": "0" * 64})
    rows = tables.fold([runs[0], runs[3]])
    assert not tables.paper_table(rows, sampled | samples.sample_rows(rows))["total_micro_best"].any()


def test_damaged_predictions_leave_the_scores_without_intervals(runs: list[Run]) -> None:
    whole = tables.paper_table(tables.fold(runs), samples.sample_rows(tables.fold(runs)))
    (runs[1].path / "predictions.npz").write_bytes(b"PK")
    rows = tables.fold(runs)
    frame = tables.paper_table(rows, samples.sample_rows(rows))
    pd.testing.assert_series_equal(frame["total_micro"], whole["total_micro"])
    damaged = frame["name"].eq("tfidf db") & frame["source"].eq("run")
    assert frame.loc[damaged, "total_micro_low"].isna().all()
    assert frame.loc[frame["name"].eq("tfidf bce") & frame["source"].eq("run"), "total_micro_low"].notna().all()


def test_the_published_rows_stand_beside_each_method(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows)
    for table, expected in ((2, tables.METHODS), (3, tables.METHODS[1:])):
        frame = tables.paper_table(rows, sampled, table=table)
        assert frame.loc[frame["source"].eq("published"), "method"].tolist() == list(expected)
        first = frame[frame["method"].eq("db")].iloc[0]
        assert first["source"] == "published"
        assert first[tables.SCORE_COLUMNS[table]].tolist() == tables.published()[f"table{table}"]["reuters"]["db"]
        assert not first[f"{tables.SCORE_COLUMNS[table][0]}_best"]
    with pytest.raises(UserError, match="no table 4"):
        tables.paper_table(rows, sampled, table=4)


def test_ablation_is_the_difference_of_pairs_that_differ_by_one_part() -> None:
    runs = [make_run(name, quality=quality) for name, quality in (("r-fl", 1.5), ("db", 3.0), ("db-0fl", 2.0))]
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows)
    table = tables.ablation(rows, sampled)
    assert {(row[0], row[1], row[2]) for row in table.itertuples(index=False)} == {
        ("negative tolerance", "r-fl", "db"),
        ("focal factor", "db-0fl", "db"),
    }
    row = table[table["part"].eq("negative tolerance") & table["group"].eq("tail") & table["score"].eq("macro")].iloc[0]
    place = uncertainty.COLUMNS.index("tail/macro_f1")
    assert row["difference"] == pytest.approx(100 * (sampled["tfidf db"].scores - sampled["tfidf r-fl"].scores)[place])
    assert row["low"] < row["difference"] < row["high"]
    assert row["published"] == pytest.approx(31.39 - 14.22)
    assert tables.ablation([], {}).empty


@pytest.fixture
def table(several: list[Run]) -> tuple[pd.DataFrame, list[str]]:
    rows = tables.fold(several)
    frame = tables.paper_table(rows, samples.sample_rows(rows))
    return frame, tables.provenance(rows, frame)


def test_provenance_names_data_versions_and_every_command(table: tuple[pd.DataFrame, list[str]]) -> None:
    text = "\n".join(table[1])
    assert "f" * 64 in text
    assert "tailscope 0.1.0" in text
    assert all(f"--seed {seed}" in text for seed in (0, 1, 2))
    assert len(table[1]) == len(set(table[1]))


def test_latex_prints_every_score_and_bold_ones_bold(table: tuple[pd.DataFrame, list[str]]) -> None:
    frame, footer = table
    latex = export.to_latex(frame, footer)
    lines = [line for line in latex.splitlines() if line.endswith(r"\\")][2:]
    assert len(lines) == len(frame)
    for line, row in zip(lines, frame.to_dict("records"), strict=True):
        assert line.count("&") == 8
        assert line.count(r"\textbf") == sum(row[f"{column}_best"] for column in tables.SCORE_COLUMNS[2])
        intervals = [export.cell(row, column)[1].replace("±", r"$\pm$") for column in tables.SCORE_COLUMNS[2]]
        assert re.findall(r"\\scriptsize (.+?)\}", line) == [text for text in intervals if text]
        assert f"{row['total_micro']:.2f}" in line
    assert latex.count(r"\scriptsize") == 8 * 3
    assert all(line.startswith("%") for line in latex.splitlines()[: len(footer)])
    assert r"db · 50\%" not in export.to_latex(frame.assign(name="db · 50%"))
    assert r"$\cdot$ 50\%" in export.to_latex(frame.assign(name="db · 50%"))


def test_markdown_is_one_table_with_its_footer(table: tuple[pd.DataFrame, list[str]]) -> None:
    lines = export.to_markdown(*table).splitlines()
    rows = lines[: len(table[0]) + 2]
    assert len({line.count("|") for line in rows}) == 1
    assert any("**" in line for line in rows)
    assert sum(line.startswith("- ") for line in lines) == len(table[1])


def test_csv_reads_back(table: tuple[pd.DataFrame, list[str]]) -> None:
    text = export.to_csv(*table)
    read = pd.read_csv(io.StringIO(text), comment="#")
    np.testing.assert_allclose(read["total_micro"], table[0]["total_micro"], atol=0.005)
    assert sum(line.startswith("#") for line in text.splitlines()) == len(table[1])
    assert len(next(csv.reader(io.StringIO(text)))) == len(table[0].columns)


def cells(content: bytes, sheet: int) -> list[list[str | float | None]]:
    """The cells of a sheet by their own references: numbers, texts of the shared strings, None between them."""
    space = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        parts = {name: ET.fromstring(archive.read(name)) for name in archive.namelist()}
    assert {"[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= set(parts)
    assert not list(parts[f"xl/worksheets/sheet{sheet}.xml"].iterfind(".//s:f", space)), "no formula"
    texts = [entry.findtext("s:t", "", space) for entry in parts["xl/sharedStrings.xml"].iterfind("s:si", space)]
    found = []
    for row in parts[f"xl/worksheets/sheet{sheet}.xml"].iterfind(".//s:row", space):
        values: list[str | float | None] = []
        for cell in row.iterfind("s:c", space):
            column = 0
            for letter in cell.attrib["r"].rstrip("0123456789"):
                column = 26 * column + ord(letter) - ord("A") + 1
            values += [None] * (column - 1 - len(values))
            value = cell.findtext("s:v", "", space)
            values.append(texts[int(value)] if cell.attrib.get("t") == "s" else float(value))
        found.append(values)
    return found


def test_workbooks_read_back(table: tuple[pd.DataFrame, list[str]]) -> None:
    content = export.to_xlsx(*table)
    header, *rows = cells(content, 1)
    assert header == list(table[0].columns)
    assert [row[header.index("total_micro")] for row in rows] == pytest.approx(table[0]["total_micro"].tolist())
    assert [line for [line] in cells(content, 2)] == table[1]


def test_a_workbook_holds_any_text_and_number() -> None:
    values = ["<a&b>", " x ", "=1+1", "line\nbreak", None, 3, 0.1, np.float64(2.5), np.int64(7), True]
    read = cells(workbook({"a < b": [values]}), 1)[0]
    assert read == ["<a&b>", " x ", "=1+1", "line\nbreak", None, 3.0, 0.1, 2.5, 7.0, "True"]
    assert cells(workbook({"x": [["\x00bell\x07"]]}), 1) == [["bell"]]
    odd = ["=cmd|' /C calc'!A0", "{=1+1}", "https://example.org", "+1", "3.5", float("nan"), np.inf]
    assert cells(workbook({"x": [odd]}), 1) == [[*odd[:5], "nan", "inf"]]


def test_the_same_rows_are_the_same_workbook() -> None:
    sheets = {"one": [["a", 1]], "two": [["b", None, 2.5]]}
    content = workbook(sheets)
    assert content == workbook(sheets)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {info.date_time[:3] for info in archive.infolist()} == {(1980, 1, 1)}
        assert b"1980-01-01T00:00:00Z" in archive.read("docProps/core.xml")
        assert b'name="one"' in archive.read("xl/workbook.xml")
        assert b'name="two"' in archive.read("xl/workbook.xml")


def test_the_command_line_prints_every_form(runs: list[Run], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from core.cli.main import make_app

    def call(*words: str) -> str:
        done = CliRunner().invoke(make_app(), ["report", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert call("all", "--latex").count(r"\\") == 2 + 9 + 3
    assert call("all", "--latex", "--each").count(r"\\") == 2 + 9 + 5
    assert "| |total micro" in call("all", "--markdown")
    call("all", "--xlsx", str(tmp_path / "table.xlsx"))
    assert cells((tmp_path / "table.xlsx").read_bytes(), 1)[0][0] == "source"


def test_nothing_is_a_table_without_rows() -> None:
    frame = tables.paper_table([], {})
    assert frame.empty
    assert r"\toprule" in export.to_latex(frame)
    assert samples.over_seeds([Sampled(np.ones(14), np.ones(14), np.ones((1, 14)))]).scores.tolist() == [1.0] * 14


class Page(HTMLParser):
    """What a browser would make of a page: its tags, their addresses, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.words = list[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, text: str) -> None:
        self.words.append(text)


def test_a_page_holds_tables_figures_and_provenance_and_needs_nothing_else(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    shown = Page(page.to_html([("reuters paper", samples.compare_rows(rows))]))
    words = " ".join(shown.words)
    assert shown.addresses == []
    assert {"table", "figure", "h2"} <= set(shown.tags)
    db = 100 * np.mean([samples.kept_scores(run).scores[0] for run in runs[:3]])
    assert f"{db:.2f}" in words
    assert "python -m core train --data reuters --model tfidf --loss db --seed 1" in words
    assert "ntr-fl (paper)" in words


def test_a_page_tells_its_story_in_order_without_a_script_for_both_themes(runs: list[Run]) -> None:
    text = page.to_html([("reuters paper", samples.compare_rows(tables.fold(runs)))])
    titles = [
        'class="verdict"',
        "How sure that is",
        "Along the tail",
        "What is confused",
        "Table 2",
        "Where the numbers",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == 2
    assert len(text) < 2_000_000
    # Confused pairs name their documents.
    run = tables.fold(runs)[0].runs[0]
    predictions, labels = read_predictions(run), results.read_results(run)["labels"]
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    pairs = confusion.confused_pairs(predictions.targets, predicted, labels, limit=1)
    for pair in pairs.to_dict("records"):
        columns = labels.index(pair["missed"]), labels.index(pair["gave"])
        rows = confusion.pair_documents(predictions.targets, predicted, *columns)
        assert ", ".join(predictions.ids[row] for row in rows[: page.IDS]) in text


def test_a_name_that_people_gave_is_text_in_a_page(runs: list[Run]) -> None:
    nasty = "<script>alert(1)</script> & **x**"
    folder.save_about(runs[3].id, name=nasty)
    named = [folder.get_run(run.id) for run in runs]
    text = page.to_html([("<b>", samples.compare_rows(tables.fold(named)))])
    shown = Page(text)
    assert "script" not in shown.tags
    assert nasty in "".join(shown.words)


def test_nothing_in_a_page_is_read_as_html_but_its_own(runs: list[Run]) -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    for run in runs[3:]:
        metrics_file = run.path / "metrics.json"
        changed = results.read_results(run) | {"command": nasty, "labels": [f"{nasty}{n}" for n in range(10)]}
        write_json(metrics_file, changed)
    rows = tables.fold([folder.get_run(run.id) for run in runs[3:]])
    text = page.to_html([("reuters paper", samples.compare_rows(rows))])
    assert "img" not in Page(text).tags
    assert nasty not in text


def test_a_run_with_damaged_predictions_keeps_its_row_in_a_page(runs: list[Run]) -> None:
    (runs[3].path / "predictions.npz").write_bytes(b"no")
    rows = tables.fold(runs)
    words = " ".join(Page(page.to_html([("reuters paper", samples.compare_rows(rows))])).words)
    assert "predictions.npz is damaged" in words
    assert Page(page.to_html([("", samples.compare_rows([]))])).tags


NASTY = (
    "**bold** [x](javascript:1) `a` | b",
    "<img src=x onerror=alert(1)>",
    "x" * 80,
    "tfidf bce",
    "=1+1 & \\textbf{y}",
)


@pytest.mark.parametrize("nasty", NASTY)
def test_a_name_that_people_gave_is_data_in_every_form(runs: list[Run], nasty: str) -> None:
    for run in runs[:3]:
        folder.save_about(run.id, name=nasty)
    rows = tables.fold([folder.get_run(run.id) for run in runs])
    assert len({row.name.casefold() for row in rows}) == 3
    frame = tables.paper_table(rows, samples.sample_rows(rows), with_published=False)
    # One row of three seeds has the name; its runs stay in a column.
    (named,) = [row for row in frame.to_dict("records") if row["seeds"] == 3]
    assert named["name"].startswith(nasty)
    assert named["runs"].split() == [run.id for run in runs[:3]]
    lines = export.to_markdown(frame).splitlines()[2:5]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    (line,) = [line for line in lines if "3 seeds" in line]
    assert not re.search(r"(?<!\\)[*_`<>\[\]&]", line.partition(", mean")[0].replace("\\\\", ""))
    assert list(csv.DictReader(io.StringIO(export.to_csv(frame))))[-1]["runs"] == named["runs"]
    assert export.to_latex(frame).count(r"\\") >= 2 + 3
    assert cells(export.to_xlsx(frame), 1)[-1][2] == named["name"]

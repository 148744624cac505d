"""`report`: at any rule, of rankings, from a row, over several data sets, in every form."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.analysis import decisions, samples, tables
from core.metrics import label_sets, resampled_ranking
from core.runs import folder
from core.runs.folder import Run
from core.runs.plan import make_config
from core.runs.predictions import read_predictions
from core.runs.results import save_threshold_set
from core.system.files import read_json, write_json
from tests.cli.test_cli import answer, call
from tests.helpers.runs import make_folder
from tests.helpers.scored import make_run


@pytest.fixture
def runs(cache: Path) -> list[Run]:
    return [make_run(loss, seed, quality=quality) for loss, quality in (("db", 2.5), ("bce", 1.0)) for seed in (0, 1)]


@pytest.fixture
def two_sets(runs: list[Run]) -> list[Run]:
    """The same runs, those of `bce` on another split."""
    for run in runs[2:]:
        config = read_json(run.path / "config.json")
        write_json(run.path / "config.json", {**config, "data": {**config["data"], "split": "original"}})
    return [folder.get_run(run.id) for run in runs]


@pytest.mark.parametrize("rule", ["exact", "quiet", "same-count"])
def test_json_holds_scores_and_thresholds_at_the_rule(rule: str, runs: list[Run]) -> None:
    found = answer("report", runs[0].id, "--rule", rule)["runs"][0]
    decided = decisions.decide(runs[0], rule)
    expected = label_sets.micro_f1(read_predictions(runs[0]).targets, decided.predicted)
    assert found["rule"] == rule
    assert found["test"]["all"]["micro_f1"] == pytest.approx(expected)
    if decided.limits is None:
        assert found["threshold"] is None
    else:
        assert found["threshold"] == pytest.approx(np.asarray(decided.limits).tolist())
    plain = answer("report", runs[0].id)["runs"][0]
    assert plain["rule"] == "as-trained"
    assert set(plain) == set(found)


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--html",), ("--ranking",), ("--confused", "a/b")])
def test_without_a_finished_run_a_report_is_one_sentence(form: tuple[str, ...], cache: Path) -> None:
    assert "No run has finished yet" in call("report", "all", *form, code=2).stderr
    path = make_folder(make_config(data="synthetic", model="svm", loss=None, seed=0))
    assert f"{path.name} has no scores: it is" in call("report", path.name, *form, code=2).stderr
    assert not Path("report.html").exists()


def test_json_of_rankings_adds_them(runs: list[Run]) -> None:
    found = answer("report", "all", "--ranking")["runs"]
    assert [set(row["ranking"]) for row in found] == [set(resampled_ranking.COLUMNS)] * 4
    sampled = {"tfidf db": samples.sample(runs[0], samples.Borders(35, 8), "ranking")}
    table = tables.paper_table(tables.fold([runs[0]]), sampled, table="ranking")
    mine = next(row for row in found if row["run"] == runs[0].id)
    assert 100 * mine["ranking"]["tail/ap"] == pytest.approx(table["tail_ap"].iloc[0])


@pytest.mark.parametrize("form", ["--csv", "--latex", "--markdown", ""])
def test_every_form_says_its_rule(form: str, runs: list[Run]) -> None:
    words = [form] if form else []
    text = call("report", "all", "--rule", "quiet", *words).stdout
    assert "every run at the rule quiet" in text
    assert "as trained" not in text
    assert "by the order of the scores alone" in call("report", "all", "--ranking", *words).stdout


def test_differences_leave_in_every_form(runs: list[Run], tmp_path: Path) -> None:
    text = call("report", "all", "--baseline", "bce", "--csv").stdout
    rows = list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))
    assert {row["baseline"] for row in rows} == {"tfidf bce"}
    sampled = samples.sample_rows(tables.fold(runs))
    mine = next(row for row in rows if row["name"] == "tfidf db")
    expected = 100 * samples.difference(sampled["tfidf db"], sampled["tfidf bce"]).scores[0]
    assert float(mine["total_micro"]) == pytest.approx(expected, abs=0.006)
    assert "Difference from tfidf bce in points" in text
    assert r"\textbf{+" in call("report", "all", "--baseline", "bce", "--latex").stdout
    assert "**+" in call("report", "all", "--baseline", "bce", "--markdown").stdout
    call("report", "all", "--baseline", "bce", "--xlsx", str(tmp_path / "x.xlsx"))
    assert b"Difference from tfidf bce" in zipfile.ZipFile(tmp_path / "x.xlsx").read("xl/sharedStrings.xml")
    assert "Did you mean 'bce'" in call("report", "all", "--baseline", "bcee", code=2).stderr


@pytest.mark.parametrize("form", ["--csv", "--latex", "--markdown", ""])
def test_two_data_sets_are_two_tables_each_with_its_name(form: str, two_sets: list[Run]) -> None:
    text = call("report", "all", *([form] if form else [])).stdout
    titles = [tables.data_title(run) for run in (two_sets[0], two_sets[2])]
    assert len(set(titles)) == 2
    first, second = (text.index(title) for title in sorted(titles, key=text.index))
    assert first < second
    head = {"--csv": "source,method", "--latex": r"\toprule", "--markdown": "| |total micro", "": "method"}[form]
    assert text.count(head) == 2
    one = call("report", two_sets[0].id, *([form] if form else [])).stdout
    assert one.count(head) == 1


def test_two_data_sets_are_two_sheets_and_two_parts_of_a_page(two_sets: list[Run], tmp_path: Path) -> None:
    titles = [tables.data_title(run) for run in (two_sets[0], two_sets[2])]
    call("report", "all", "--xlsx", str(tmp_path / "x.xlsx"))
    book = zipfile.ZipFile(tmp_path / "x.xlsx").read("xl/workbook.xml").decode()
    assert [book.count(f'name="{title}"') for title in titles] == [1, 1]
    call("report", "all", "--html", "-o", str(tmp_path / "x.html"), "--rule", "quiet")
    page = (tmp_path / "x.html").read_text("utf-8")
    assert [page.count(f"<h1>{title}</h1>") for title in titles] == [1, 1]
    assert "every run at the rule quiet" in page
    assert "<script" not in page
    assert len(page) < 2_000_000


def test_a_run_that_the_rule_cannot_serve_is_named_and_has_no_row(runs: list[Run]) -> None:
    (runs[2].path / "validation.npz").write_bytes(b"PK")
    done = call("report", "all", "--rule", "quiet", "--csv", "--each")
    assert f"Left out: {runs[2].id}" in done.stderr
    assert runs[2].id not in "".join(line for line in done.stdout.splitlines() if not line.startswith("#"))
    found = json.loads(call("report", "all", "--rule", "quiet", "--json").stdout)["runs"]
    assert [row["test"] is None for row in found] == [row["run"] == runs[2].id for row in found]


def test_kept_thresholds_report_the_runs_that_have_them(runs: list[Run]) -> None:
    save_threshold_set(runs[0], "mine", rule="by hand", values=0.9)
    done = call("report", "all", "--rule", "kept:mine", "--csv")
    assert "kept with them as 'mine'" in done.stderr
    rows = list(csv.DictReader(line for line in io.StringIO(done.stdout) if not line.startswith("#")))
    assert [row["runs"] for row in rows if row["source"] == "run"] == [runs[0].id]


@pytest.mark.parametrize("form", ["--csv", "--latex", "--markdown", "--html", ""])
def test_a_rule_that_serves_no_run_is_one_sentence_and_no_empty_table(form: str, two_sets: list[Run]) -> None:
    save_threshold_set(two_sets[0], "mine", rule="by hand", values=0.9)
    words = [form] if form else []
    done = call("report", "all", "--rule", "kept:min", *words, code=2)
    assert "no thresholds are kept with them as 'min'" in done.stderr
    assert done.stdout == ""
    # Of two data sets, the one with a row is shown.
    if form != "--html":
        assert call("report", "all", "--rule", "kept:mine", *words).stdout.count("original") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rule", "quite"], "Did you mean 'quiet'"),
        (["--rule", "quiet", "--ranking"], "leave --rule out"),
        (["--table", "4"], "There is no table 4"),
    ],
)
def test_bad_words_are_refused_in_one_sentence(words: list[str], said: str, runs: list[Run]) -> None:
    assert said in call("report", "all", *words, code=2).stderr


@pytest.mark.parametrize("form", ["--csv", "--markdown", ""])
def test_confused_pairs_of_labels_are_counted_in_every_form(form: str, runs: list[Run]) -> None:
    words = [form] if form else []
    text = call("report", "all", "--rule", "quiet", "--confused", "label 3/label 0", *words).stdout
    assert "label 3 missed" in " ".join(text.split())
    assert text.count("tfidf bce") == 1
    assert ("Test documents: label 3" in text) == (form != "--csv")


def test_confused_pairs_without_such_a_label_are_bad_input(runs: list[Run]) -> None:
    for words, said in (("gold/copper", "There is no label named 'gold'"), ("gold", "write MISSED/GIVEN")):
        failed = call("report", "all", "--confused", words, code=2)
        assert said in " ".join(failed.stderr.split())

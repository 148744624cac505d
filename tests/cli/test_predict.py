"""`predict` and what `export-model` does with a rule, on a run with its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from core.cli import predict
from core.cli.main import make_app
from core.data import sources
from core.runs import folder, results, scorer
from core.runs.folder import Run
from core.runs.predictions import read_predictions
from core.system.errors import UserError
from tests.helpers.scored import make_run


@pytest.fixture
def run(finished_runs: Path, cache: Path) -> Run:
    """A finished `tfidf` run with its weights in the test's own cache."""
    (path,) = (finished_runs / "runs").glob("synthetic-tfidf-*")
    shutil.copytree(path, cache / "runs" / path.name)
    return folder.get_run(path.name)


def call(*words: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(make_app(), ["predict", *words], input=stdin)


def answer(*words: str, stdin: bytes = b"") -> dict:
    done = call(*words, "--json", stdin=stdin)
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def texts_of(run: Run, number: int = 3) -> list[str]:
    corpus, test = sources.load(run.config.data), read_predictions(run)
    return [corpus.text(int(row)) for row in test.rows[:number]]


def test_texts_get_the_labels_of_the_run_with_their_scores(run: Run, tmp_path: Path) -> None:
    texts = texts_of(run)
    (tmp_path / "one.txt").write_text(texts[0], "utf-8")
    found = answer(run.id, str(tmp_path / "one.txt"), "-", "--text", texts[2], stdin=texts[1].encode())
    assert (found["run"], found["rule"], found["chosen_on"]) == (run.id, "as-trained", "validation")
    documents = [(one["document"], one["labels"]) for one in found["documents"]]
    assert [name for name, _ in documents] == ["text", str(tmp_path / "one.txt"), "standard input"]
    scores, labels = scorer.load(run).scores(texts), results.read_results(run)["labels"]
    for (_, listed), row in zip(documents, scores[[2, 0, 1]], strict=True):
        above = [column for column in np.argsort(-row) if (row > read_predictions(run).threshold)[column]]
        assert [one["label"] for one in listed] == [labels[column] for column in above]
        assert [one["score"] for one in listed] == pytest.approx(row[above].tolist())
        assert all(one["given"] for one in listed)


def test_rules_kept_sets_and_the_best_labels_decide(run: Run) -> None:
    (text,) = texts_of(run, 1)
    results.save_threshold_set(run, "all", rule="my own", values=-1.0, chosen_on="test")
    labels = len(results.read_results(run)["labels"])
    every = answer(run.id, "--text", text, "--rule", "kept:all")
    assert (every["chosen_on"], len(every["documents"][0]["labels"])) == ("test", labels)
    assert "chosen on test" in call(run.id, "--text", text, "--rule", "kept:all").stdout
    given = answer(run.id, "--text", text, "--rule", "top-k")["documents"][0]["labels"]
    assert given == every["documents"][0]["labels"][: len(given)]
    fixed = answer(run.id, "--text", text, "--rule", "fixed", "--top", "4")["documents"][0]["labels"]
    assert len(fixed) >= 4
    assert [one["given"] for one in fixed] == [one["score"] > 0.5 for one in fixed]
    assert "(" in call(run.id, "--text", "of no known word", "--top", "99", "--rule", "fixed").stdout


def test_a_file_with_a_text_in_each_row_is_as_many_documents(run: Run, tmp_path: Path) -> None:
    texts = texts_of(run)
    rows = "".join(json.dumps({"text": text, "labels": ["x"]}) + "\n" for text in texts)
    (tmp_path / "some.jsonl").write_text(rows, "utf-8")
    found = answer(run.id, str(tmp_path / "some.jsonl"))["documents"]
    assert [one["document"] for one in found] == ["some.jsonl:1", "some.jsonl:2", "some.jsonl:3"]
    single = [answer(run.id, "--text", text)["documents"][0]["labels"] for text in texts]
    assert [one["labels"] for one in found] == single
    csv = call(run.id, str(tmp_path / "some.jsonl"), "--csv").stdout.splitlines()
    assert csv[0] == "document,label,score,given"
    assert len(csv) == 1 + sum(max(len(one["labels"]), 1) for one in found)


def test_batches_change_no_answer_and_have_fewer_texts_with_many_labels(run: Run, tmp_path, monkeypatch) -> None:
    rows = [{"text": text} for text in texts_of(run, 9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    whole = answer(run.id, str(tmp_path / "rows.jsonl"), "--top", "3")
    monkeypatch.setattr(predict, "AT_ONCE", 2)
    monkeypatch.setattr(predict, "SCORES_AT_ONCE", 4 * len(results.read_results(run)["labels"]))
    assert [predict.texts_at_once(run, labels) for labels in (1, 10**9)] == [predict.SCORES_AT_ONCE, 2]
    assert answer(run.id, str(tmp_path / "rows.jsonl"), "--top", "3") == whole


def test_no_label_is_said(run: Run) -> None:
    results.save_threshold_set(run, "none", rule="my own", values=2.0)
    assert call(run.id, "--text", "a", "--rule", "kept:none").stdout == "text: no label\n"
    assert call(run.id, "--text", "a", "--rule", "kept:none", "--csv").stdout.splitlines()[1] == "text,,,False"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no text: name a file"),
        (["--text", "  "], "text is empty"),
        (["-"], "standard input is empty"),
        (["{tmp}/nothing.txt"], "cannot be read"),
        (["{tmp}"], "cannot be read"),
        (["{tmp}/bytes.txt"], "is no text in UTF-8"),
        (["{tmp}/empty.csv"], "is empty"),
        (["{tmp}/rows.csv"], "rows.csv:3 is empty"),
        (["{tmp}/lists.jsonl"], "where a text is expected"),
        (["--text", "a", "--rule", "same-count"], "take another rule"),
        (["--text", "a", "--rule", "quit"], "There is no rule named 'quit'"),
        (["--text", "a", "--rule", "kept:mine"], "has no thresholds named 'mine'"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "bytes.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "rows.csv").write_text("text,other\nwords,1\n,2\n", "utf-8")
    (tmp_path / "lists.jsonl").write_text('{"text": "words"}\n{"text": {"a": 1}}\n', "utf-8")
    done = call(run.id, *(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert isinstance(done.exception, UserError), done.exception
    assert said in str(done.exception)
    assert done.stdout == ""


def test_a_run_without_weights_or_without_validation_says_so(run: Run) -> None:
    bare = make_run()
    done = call(bare.id, "--text", "a")
    assert "weights are not in its folder" in str(done.exception)
    (run.path / "validation.npz").unlink()
    assert "validation.npz is missing" in str(call(run.id, "--text", "a", "--rule", "quiet").exception)
    assert call(run.id, "--text", "a").exit_code == 0


def test_a_model_is_not_exported_by_a_rule_without_thresholds(run: Run, tmp_path: Path) -> None:
    done = CliRunner().invoke(make_app(), ["export-model", run.id, "-o", str(tmp_path / "model"), "--rule", "top-k"])
    assert "'top-k' has no threshold that a config could hold" in str(done.exception)
    assert not (tmp_path / "model").exists()

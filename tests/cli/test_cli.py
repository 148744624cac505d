"""The command line as people call it: its words, its streams and its exit status."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from core.cli.main import main
from core.data import sources
from core.runs import folder, journal
from core.system.files import write_json
from core.system.places import ROOT
from tests.helpers.scored import make_run

pytestmark = pytest.mark.usefixtures("stub_worker")
SMALL = ["--set", "data.synthetic.documents=300", "--set", "data.synthetic.labels=8", "--set", "train.epochs=2"]


def call(*words, code=0, process=False):
    """Calls the command line, in a process of its own if asked: that costs the seconds in which Python starts."""
    if process:
        command = [sys.executable, "-m", "core", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    else:
        done = subprocess.CompletedProcess(words, *called(words))
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def called(words):
    """Exit status, standard output and standard error of the command line, called here."""
    status = 0
    with (
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.MonkeyPatch.context() as at,
    ):
        at.setattr(sys, "argv", ["core", *words])
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return status, out.getvalue(), err.getvalue()


def answer(*words):
    return json.loads(call(*words, "--json").stdout)


@pytest.mark.slow
def test_help_shows_examples_and_every_action():
    text = call("--help", process=True).stdout
    for command in ("data", "stats", "train", "sweep", "search", "runs", "status", "logs", "report", "stop", "resume"):
        assert command in text
    assert "python -m core train --data reuters --model tfidf --loss db" in call("train", "--help").stdout


def test_data_says_what_is_there_and_why():
    listed = answer("data")
    assert listed["default"] == "synthetic"
    assert {"reuters", "reuters-nltk", "synthetic"} == {source["name"] for source in listed["data"]}
    assert "TAILSCOPE_DATA" in call("data").stdout.replace("\n", " ")


def test_stats_has_the_promised_keys():
    stats = answer("stats", "synthetic", "--set", "data.synthetic.documents=300", "--set", "data.synthetic.labels=8")
    assert {"name", "fingerprint", "labels", "split", "bins", "parts"} <= set(stats)
    assert set(stats["bins"]) == {"head", "medium", "tail"}
    assert set(stats["parts"]) == {"train", "validation", "test"}
    assert {"documents", "cardinality", "density", "single_label", "multi_label"} <= set(stats["parts"]["train"])
    assert sum(part["documents"] for part in stats["parts"].values()) == 300


@pytest.mark.reuters
def test_stats_of_reuters_are_the_known_ones(reuters_dir):
    original, paper = (answer("stats", "reuters", "--split", split) for split in ("original", "paper"))
    parts = original["parts"]
    assert (parts["train"]["documents"], parts["test"]["documents"], original["labels"]) == (7770, 3019, 90)
    assert round(parts["train"]["cardinality"], 4) == 1.2336
    assert (parts["test"]["single_label"], parts["test"]["multi_label"]) == (2583, 436)
    assert [paper["parts"][part]["documents"] for part in ("train", "validation", "test")] == [6769, 1000, 3019]
    assert paper["bins"] == {"head": 30, "medium": 31, "tail": 29}


@pytest.mark.slow
@pytest.mark.usefixtures("real_worker")
def test_train_sweep_report_and_delete_together():
    trained = call("train", "--data", "synthetic", "--model", "tfidf", "--loss", "db", *SMALL, process=True)
    run = trained.stdout.splitlines()[-1]
    assert folder.get_run(run).state == "finished"
    swept = answer("sweep", "--data", "synthetic", "--models", "svm,tfidf", "--losses", "db,bce", *SMALL)["runs"]
    assert [row["state"] for row in swept] == ["finished"] * 3
    assert run in {row["run"] for row in swept}, "the same question is not trained twice"
    reported = answer("report", run)["runs"][0]
    keys = ("run", "name", "data", "model", "loss", "seed", "state", "rule", "threshold", "test", "seconds")
    assert set(reported) == {*keys}
    assert set(reported["test"]) == {"all", "head", "medium", "tail", "single_label", "multi_label"}
    assert 0 <= reported["test"]["all"]["micro_f1"] <= 1
    assert "\\toprule" in call("report", "all", "--latex").stdout
    lines = call("report", "all", "--csv", "--table", "3").stdout.splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 4
    assert {row["id"] for row in answer("runs")["runs"]} == {row["run"] for row in swept}
    call("delete", run)
    assert "There is no run" in call("delete", run, code=2, process=True).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats", "reuterz"], "Did you mean 'reuters'"),
        (["stats", "reuters"], "was not found"),
        (["stats", "synthetic", "--split", "papers"], "Did you mean 'paper'"),
        (["train", "--data", "synthetic", "--model", "svn"], "Did you mean 'svm'"),
        (["train", "--data", "synthetic", "--loss", "bd"], "no loss named 'bd'"),
        (["train", "--data", "synthetic"], "needs a loss"),
        (["train", "--data", "synthetic", "--model", "svm", "--loss", "db"], "loss of its own"),
        (["stats", "synthetic", "--head", "3", "--tail", "9"], "head from 3 documents, tail up to 9"),
        (["train", "--data", "synthetic", "--loss", "db", "--set", "train.epoch=3"], "train.epochs"),
        (["train", "--data", "synthetic", "--loss", "db", "--set", "data.synthetic.labels=-3"], "synthetic.labels"),
        (["train", "no-such-run"], "There is no run 'no-such-run'"),
        (["sweep", "--data", "synthetic", "--seeds", "0,one"], "whole numbers"),
        (["report", "../../etc"], "is no run id"),
        (["stop", "nothing"], "There is no run 'nothing'"),
        (["data", "download", "synthetic"], "cannot be fetched"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(words, said):
    done = call(*words, code=2)
    assert said in done.stderr.replace("\n", " ")
    assert done.stdout == ""


@pytest.mark.slow
def test_a_failed_run_exits_1_and_says_why():
    wild = [*SMALL, "--set", "train.learning_rate=1e38"]
    done = call("train", "--data", "synthetic", "--loss", "bce", *wild, code=1, process=True)
    assert "stopped being a number" in done.stderr.replace("\n", " ")


@pytest.mark.slow
def test_status_and_log_of_a_run_are_printed():
    call("train", "--data", "synthetic", "--model", "tfidf", "--loss", "bce", *SMALL)
    (run,) = folder.list_folders()
    said = answer("status", run.id)
    assert said["last"]["epoch"] == 2
    assert [event["what"] for event in said["events"]] == ["submitted", "started", "finished"]
    assert said["heartbeat"]["memory"] > 1e7
    assert "finished · 100%" in call("status", run.id).stdout
    assert call("logs", run.id, "-f", "-n", "2").stdout.splitlines() == journal.read_log(run.path)[-2:]
    assert "There is no run" in call("logs", "elsewhere", code=2).stderr


def test_a_damaged_run_does_not_stop_the_list():
    path = folder.run_path("damaged")
    path.mkdir(parents=True)
    write_json(path / "config.json", {})
    assert "config.json" in answer("runs")["runs"][0]["problem"]


def test_a_file_is_added_measured_trained_on_and_removed(tmp_path):
    path = tmp_path / "papers.csv"
    kinds = {"gold": "Gold rose", "corn": "Corn fell", "oil": "Oil was steady"}
    rows = [f'"{text} on day {n}","{name};all"' for n in range(12) for name, text in kinds.items()]
    path.write_text("abstract,topics\n" + "\n".join([*rows, rows[0], ',""']) + "\n")
    dry = answer("data", "add", str(path), "--dry-run")
    assert not dry["added"]
    assert (dry["file"]["text"], dry["file"]["labels"], dry["file"]["sep"]) == (["abstract"], ["topics"], ";")
    found = {defect["key"]: defect["count"] for defect in dry["defects"] if defect["count"]}
    assert {"empty_texts": 1, "without_labels": 1, "duplicates": 1}.items() <= found.items()
    words = ["--name", "papers", "--text", "abstract", "--labels", "topics", "--made", "stratified"]
    said = call("data", "add", str(path), *words, "--drop", "duplicates,empty_texts").stdout
    assert "Kept as 'papers'" in said
    assert "Copies of an earlier document: 1, left out." in said
    stats = answer("stats", "papers")
    assert (stats["split"], stats["labels"], stats["all"]["documents"]) == ("stratified", 4, 36)
    assert "papers" in [source["name"] for source in answer("data")["data"]]
    run = answer("train", "--data", "papers", "--loss", "db", "--set", "train.epochs=2")
    assert run["state"] == "finished"
    assert "papers removed" in call("data", "remove", "papers").stdout
    assert "no data set named 'papers'" in call("stats", "papers", code=2).stderr.replace("\n", " ")


def test_what_was_read_is_shown_and_a_dry_run_leaves_nothing(tmp_path, cache):
    path = tmp_path / "papers.csv"
    path.write_text(
        "id,text,topics\n" + "".join(f"d{n},Gold rose {n},{'gold|corn' if n % 2 else 'gold'}\n" for n in range(20))
    )
    read = answer("data", "add", str(path), "--dry-run")["read"]
    assert (read["documents"], read["labels"], read["assignments"]) == (20, 2, 30)
    assert read["sample"][1] == {"id": "d1", "text": "Gold rose 1", "labels": ["gold", "corn"]}
    assert len(read["sample"]) == 5
    assert read["top_labels"] == [["gold", 20], ["corn", 10]]
    assert read["columns"] == {"id": "id", "text": "text", "topics": "labels"}
    assert not cache.exists()
    said = call("data", "add", str(path), "--dry-run").stdout
    for words in (
        "Columns: id (id), text (text), topics (labels)",
        "20 documents, 2 labels, 30 assignments; labels of a document: 1 to 2, 1.50 on average",
        "d1: Gold rose 1 -> gold | corn",
        "Most frequent labels: gold (20); corn (10)",
        "Rarest labels: corn (10); gold (20)",
    ):
        assert words in said
    assert not cache.exists()
    kept = answer("data", "add", str(path), "--name", "Papers_1")
    assert kept["added"]
    assert kept["read"] == read
    assert answer("stats", "Papers_1")["split"] == "stratified"
    assert not list(cache.glob("data/intake/*"))


def test_a_question_is_one_sentence_and_one_json_document(tmp_path, cache, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"Gold rose {n}", "labels": [n % 2, 1, 0]}) + "\n" for n in range(12)))
    done = call("data", "add", str(path), "--name", "x", "--json", code=2)
    assert "Give their names in this order with --label-names FILE" in " ".join(done.stderr.split())
    asked = json.loads(done.stdout)["question"]
    assert (asked["about"], asked["choices"], asked["option"]) == (
        "names of labels",
        ["FILE", "numbers"],
        "--label-names",
    )
    assert not cache.exists()
    names = tmp_path / "names.txt"
    names.write_text("gold\nrose\nnever\n")
    for option, labels in (
        (str(names), ["rose", "gold"]),
        ("numbers", ["1", "0"]),
        ("gold,rose,never", ["rose", "gold"]),
    ):
        read = answer("data", "add", str(path), "--dry-run", "--label-names", option)["read"]
        assert [name for name, _ in read["top_labels"]] == labels
    for option, words in (
        ("gold,rose", "2 labels are named"),
        ("a,a,b", "stands there twice"),
        ("no.txt", "no such file"),
    ):
        assert words in " ".join(
            call("data", "add", str(path), "--name", "x", "--label-names", option, code=2).stderr.split()
        )
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    assert "read-only" in call("data", "add", str(path), "--name", "x", "--label-names", "numbers", code=2).stderr
    assert not cache.exists()


def test_signs_that_a_terminal_obeys_are_written_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,labels\nGold \x1b[31mrose\x07,a\x1b[2J\ncorn,b\n")
    said = call("data", "add", str(path), "--dry-run").stdout
    assert "Gold \\x1b[31mrose" in said
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--part", "holdout"], "write it as NAME=train"),
        (["--part", "holdout=moon"], "write it as NAME=train"),
        (["--keep", "leaks,missing_words", "--join", "duplicates"], "'duplicates' cannot be answered with 'join'"),
        (["--cut", "x"], "should be a valid number"),
    ],
)
def test_answers_that_make_no_sense_are_said(words, expected, tmp_path, cache):
    path = tmp_path / "a.csv"
    path.write_text("text,labels\n" + "Gold,gold\n" * 3)
    assert expected in " ".join(call("data", "add", str(path), "--dry-run", *words, code=2).stderr.split())
    assert not cache.exists()


def test_what_cannot_be_added_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "papers.csv"
    path.write_text("abstract,topics\nGold,gold\n")
    for words, expected in (
        (["nothing.csv", "--name", "x"], "nothing.csv cannot be read"),
        ([str(path)], "--name is missing"),
        ([str(path), "--name", "my papers"], "cannot be named 'my papers'"),
        ([str(path), "--name", "reuters"], "a data set 'reuters' already"),
        ([str(path), "--name", "x", "--text", "abstrct"], "Did you mean 'abstract'"),
        ([str(path), "--name", "x", "--made", "fair"], "'made' is 'fair'"),
        ([str(path), "--name", "x", "--made", "own"], "names no parts"),
        ([str(path), "--name", "x", "--years", "soon"], "write one year or two"),
        ([str(path), "--name", "x", "--drop", "all"], "'all' cannot be answered with 'drop'"),
        ([str(path), "--name", "x", "--delimiter", ";;"], "'delimiter' is ';;'"),
    ):
        assert expected in " ".join(call("data", "add", *words, code=2).stderr.split()), words
    assert "No data set 'x' has been added" in call("data", "remove", "x", code=2).stderr


def test_combine_prints_the_id_of_a_run_that_is_made_once_and_never_trained():
    one, two = make_run("db"), make_run("bce")
    run = call("combine", one.id, two.id, "--name", "both").stdout.strip()
    assert call("combine", two.id, one.id).stdout.strip() == run
    assert answer("note", run)["name"] == "both"
    assert run in call("runs").stdout
    assert answer("report", run)["runs"][0]["model"] == "combined"
    weighed = call("combine", one.id, two.id, "--weights", "0.75,0.25", "--rule", "exact").stdout.strip()
    assert folder.get_run(weighed).config.combined.weights == (0.25, 0.75)
    assert folder.get_run(call("combine", one.id, two.id, "--weights", "validation").stdout.strip()).config.combined
    for words, said in (
        (("combine", one.id), "2 to 20 members"),
        (("combine", one.id, two.id, "--weights", "best"), "no weights named 'best'"),
        (("combine", one.id, two.id, "--weights", "0.5,0.6"), "sum to 1.1"),
        (("combine", one.id, two.id, "--rule", "auto"), "no rule named 'auto'"),
        (("combine", one.id, run), "is a combined run"),
        (("resume", run), "never trained"),
        (("resume", "--anew", run), "never trained"),
        (("train", "--model", "combined"), "never trained"),
        (("sweep", "--models", "combined"), "never trained"),
        (("search", "--data", "reuters", "--loss", "bce", "--model", "combined"), "never trained"),
        (("sweep", "--plan", str(folder.get_run(run).path / "config.json")), "never trained"),
    ):
        assert said in " ".join(call(*words, code=2).stderr.split())
    assert "never trained" in " ".join(call("train", str(folder.get_run(run).path), code=1).stderr.split())
    assert folder.get_run(run).state == "finished"


def test_a_dry_run_says_what_it_would_take_and_trains_nothing():
    words = ("--data", "synthetic", *SMALL)
    text = call("train", "--model", "textcnn", "--loss", "bce", *words, "--dry-run").stdout
    assert "Nothing like it has finished here yet for textcnn" in text
    found = answer("sweep", "--models", "svm,tfidf", "--losses", "bce", *words, "--dry-run")
    assert (found["runs"], found["problems"]) == (2, [])
    wild = call("train", "--loss", "bce", *words, "--set", "train.learning_rate=1e9", "--dry-run")
    assert "would diverge at once" in wild.stderr
    unsplit = call("train", "--loss", "bce", "--split", "original", *words, "--dry-run")
    assert "has no validation part" in " ".join(unsplit.stderr.split())
    sets = call("train", "--model", "encdec", *words, "--set", "model.max_labels=1", "--dry-run")
    assert "more than 1 labels" in " ".join(sets.stderr.split())
    assert folder.list_folders(published=False) == []


def test_what_an_encoder_takes_is_said_before_it_starts():
    words = ("--loss", "bce", "--data", "synthetic", *SMALL)
    said = call("train", "--model", "transformer", *words).stderr
    assert "Nothing like it has finished here yet for transformer" in said
    again = call("train", "--model", "transformer", *words, "--seed", "1").stderr
    assert "GB, by runs that were measured here." in " ".join(again.split())
    assert "measured here" not in call("train", "--model", "tfidf", *words).stderr


@pytest.mark.parametrize("words", [("train", "--loss", "bce"), ("sweep", "--losses", "bce,db")])
def test_the_data_set_is_opened_once_for_what_it_takes_and_for_the_launch(words, monkeypatch):
    opened, load = [], sources.load

    def note(config, **more):
        opened.append(config.name)
        return load(config, **more)

    monkeypatch.setattr(sources, "load", note)
    model = "--model" if words[0] == "train" else "--models"
    done = call(*words, "--data", "synthetic", model, "transformer", *SMALL, "--background")
    assert opened == ["synthetic"]
    assert "the first run will tell what it takes" in done.stderr

"""Options of `data add` that say how a file is written, and parts as files of their own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.test_cli import answer, call

pytestmark = pytest.mark.usefixtures("cache")


def rows(begin: int, end: int, sign: str = ",") -> str:
    lines = [
        f"d{n}{sign}Gold number {n} rose in London.{sign}{'gold' if n % 2 else 'gold|corn'}" for n in range(begin, end)
    ]
    return "\n".join([sign.join(("id", "text", "labels")), *lines]) + "\n"


def test_parts_may_be_files_of_their_own(tmp_path: Path) -> None:
    train, dev, test = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    train.write_text(rows(0, 20))
    dev.write_text(rows(20, 25, ";"))
    test.write_text(rows(25, 35))
    words = ("data", "add", str(train), "--validation", str(dev), "--test", str(test))
    kept = answer(*words, "--name", "mine")
    assert kept["parts"] == {"train": 20, "validation": 5, "test": 10}
    assert kept["file"]["others"] == [["validation", str(dev)], ["test", str(test)]]
    # A changed part is read again; one that is gone is said.
    test.write_text(rows(25, 30))
    assert answer(*words, "--dry-run")["parts"]["test"] == 5
    assert (
        "nowhere.csv cannot be read"
        in call("data", "add", str(train), "--test", "nowhere.csv", "--dry-run", code=2).stderr
    )


def test_shares_stay_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(0, 40))
    dry = answer("data", "add", str(path), "--made", "random", "--validation", "0.25", "--test", "0.5", "--dry-run")
    assert dry["parts"] == {"train": 10, "validation": 10, "test": 20}
    for value in ("2", "nan", "-1"):
        assert "validation" in call("data", "add", str(path), "--validation", value, "--dry-run", code=2).stderr


def test_options_of_the_form_are_read_and_said_in_the_command(tmp_path: Path) -> None:
    from core.config.schema import FileConfig, SplitConfig
    from core.data.added import command_line

    path = tmp_path / "a.txt"
    path.write_text(
        "made by us\n! a remark\n" + rows(0, 20, "\t").replace("Gold", "'Gold\tand", 1) + "too\tmany\tfields\tx\n"
    )
    words = ["--delimiter", "tab", "--quote", "none", "--skip-lines", "1", "--comment", "!", "--bad-lines", "skip"]
    read = answer("data", "add", str(path), *words, "--made", "random", "--dry-run")
    assert read["documents"] == 19
    file = FileConfig.model_validate_json(json.dumps(read["file"]))
    assert (file.quote, file.skip_lines, file.comment, file.bad_lines) == ("", 1, "!", "skip")
    said = shlex.split(command_line("x", path, file, SplitConfig()))[3:]
    again = answer(*[word for word in said if word not in ("--name", "x")], "--dry-run")
    assert again["file"] == read["file"]
    call("data", "add", str(path), "--bad-lines", "maybe", "--dry-run", code=2)


def test_a_format_that_the_name_does_not_tell_is_in_the_command(tmp_path: Path) -> None:
    from core.config.schema import FileConfig, SplitConfig
    from core.data.added import command_line

    path = tmp_path / "a.json"
    path.write_text(rows(0, 20))
    read = answer("data", "add", str(path), "--format", "csv", "--made", "random", "--dry-run")
    said = command_line("x", path, FileConfig.model_validate_json(json.dumps(read["file"])), SplitConfig())
    assert "--format csv" in said
    assert "--format" not in command_line("x", tmp_path / "a.csv", FileConfig(format="csv"), SplitConfig())


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows(0, 20) + "x,y,z,1\n")
    assert "--bad-lines skip" in call("data", "add", str(path), "--dry-run", code=2).stderr
    said = call("data", "add", str(path), "--bad-lines", "skip", "--dry-run").stdout
    assert "rows left out, as they cannot be read: 1; the first is line 22" in " ".join(said.split())


def test_a_recipe_finds_its_file_and_divides_it_unless_an_option_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    articles = [
        {"pmid": n, "title": "Gold", "abstractText": f"Gold number {n} rose in London.", "year": "2012",
         "meshMajor": ["Gold", "Rare"] if n < 4 else ["Gold", "Corn"]}
        for n in range(40)
    ]  # fmt: skip
    (tmp_path / "pubmed").mkdir()
    (tmp_path / "pubmed" / "allMeSH_sample.json").write_text(json.dumps({"articles": articles}))
    monkeypatch.setenv("TAILSCOPE_DATA", str(tmp_path))
    kept = answer("data", "add", "pubmed-sample")
    assert (kept["name"], kept["parts"], kept["labels"]) == (
        "pubmed-sample",
        {"train": 28, "validation": 4, "test": 8},
        2,
    )
    other = answer("data", "add", "pubmed-sample", "--name", "mine", "--made", "stratified", "--min-documents", "1")
    assert (other["name"], other["labels"]) == ("mine", 3)
    assert kept["file"] == other["file"]
    # A file of that name is read as any file; without either, what is missing is said.
    monkeypatch.setenv("TAILSCOPE_DATA", str(tmp_path / "nowhere"))
    said = call("data", "add", "pubmed-sample", "--name", "again", code=2).stderr
    assert "allMeSH_sample.json.gz, which 'pubmed-sample' is made of, was not found in" in " ".join(said.split())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pubmed-sample").write_text(rows(0, 20))
    assert answer("data", "add", "pubmed-sample", "--dry-run", "--made", "random")["documents"] == 20

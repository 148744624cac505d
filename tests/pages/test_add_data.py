"""The page that adds data, in the states that a file can be in, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import data
from core.data import sources
from tests.helpers.drawn import open_page

ROWS = ["text,labels,split"] + [
    f"Gold rose on day {n},gold;metal,{'test' if n % 4 == 0 else 'train'}" for n in range(20)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of TAILSCOPE_DATA with one file in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.joinpath("papers.csv").write_text("\n".join([*ROWS, ROWS[1], ",gold,train"]) + "\n")
    monkeypatch.setenv("TAILSCOPE_DATA", str(folder))
    return folder


def button(page: AppTest, label: str):
    return next(one for one in page.button if one.label == label)


def choice(page: AppTest, label: str):
    return next(one for one in page.selectbox if one.label == label)


def test_a_file_is_checked_and_kept(folder: Path) -> None:
    page = open_page("add_data", file=str(folder / "papers.csv"))
    assert [choice(page, label).value for label in ("Between labels", "Part", "Division")] == [";", "split", "own"]
    assert data.added.find_registered() == {}
    button(page, "Check the file").click().run()
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics == {"Documents": "22", "Labels": "2", "Train": "14", "Validation": "2", "Test": "6"}
    button(page, "Keep as a data set").click().run()
    assert not page.exception
    assert "22 documents with 2 labels are kept as 'papers'." in [one.value for one in page.success]
    corpus = sources.load(sources.default_config("papers"))
    assert (corpus.split, len(corpus.ids), corpus.labels) == ("own", 22, ("gold", "metal"))
    button(page, "Remove it").click().run()
    assert data.added.find_registered() == {}


def test_a_choice_changes_what_would_be_kept(folder: Path) -> None:
    page = open_page("add_data", file=str(folder / "papers.csv"))
    button(page, "Check the file").click().run()
    control = next(one for one in page.get("button_group") if "empty_texts" in one.proto.id)
    control.set_value("drop").run()
    assert next(metric.value for metric in page.metric if metric.label == "Documents") == "21"
    choice(page, "Encoding").set_value("latin-1").run()
    button(page, "Check the file").click().run()
    assert next(metric.value for metric in page.metric if metric.label == "Documents") == "21", "the choice is kept"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\0\0\0", "no text file"),
        (b"text,text\na,b\n", "two columns are named"),
        (b'text,labels\n"never closed,x\n', "never closed"),
        (b"[1, 2", "papers.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(content: bytes, words: str, folder: Path) -> None:
    folder.joinpath("papers.csv").write_bytes(content)
    page = open_page("add_data", file=str(folder / "papers.csv"))
    assert not page.exception
    assert any(words in str(one.value) for kind in ("error", "caption") for one in page.get(kind))


def test_a_defect_far_down_is_said_when_the_file_is_checked(folder: Path) -> None:
    folder.joinpath("papers.csv").write_text("\n".join(ROWS[:1] + ROWS[1:] * 20 + ["a,b,holdout"]) + "\n")
    page = open_page("add_data", file=str(folder / "papers.csv"))
    button(page, "Check the file").click().run()
    assert "line 402, column 'split': 'holdout' is no part" in page.error[0].value.replace("\\", "")


@pytest.mark.slow
def test_a_file_outside_of_the_data_folders_is_not_opened(folder: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("secret.csv").write_text("text,labels\na,b\n")
    for place in (str(tmp_path / "secret.csv"), "../secret.csv", "/etc/passwd"):
        page = open_page("add_data", file=place)
        assert not page.exception
        assert not page.get("dataframe")


def test_a_name_that_is_taken_is_said(folder: Path) -> None:
    page = open_page("add_data", file=str(folder / "papers.csv"))
    button(page, "Check the file").click().run()
    page.text_input[0].set_value("reuters").run()
    button(page, "Keep as a data set").click().run()
    assert "a data set 'reuters' already" in page.error[0].value

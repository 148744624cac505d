"""Home, explorer and loss weights in the states that data and store can be in, without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.config import ROOT
from pages import PAGES, plain

SMALL = {"data": "synthetic", "synthetic_documents": "400", "synthetic_labels": "30"}
NASTY = "<script>alert(1)</script> $x$ **bold** :material/home:"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and a machine without real data."""
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TAILSCOPE_DATA", str(tmp_path / "data"))
    return tmp_path / "cache"


def write_nltk(folder: Path, documents: list[tuple[str, str, str]]) -> None:
    """A corpus in the NLTK layout: `train` or `test`, its topics, its text."""
    lines = []
    for number, (part, topics, text) in enumerate(documents, 1):
        kind = "training" if part == "train" else "test"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / str(number)).write_text(text, "latin-1")
        lines.append(f"{kind}/{number} {topics}")
    (folder / "cats.txt").write_text("\n".join(lines) + "\n", "latin-1")


def open_page(name: str, **query: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=60)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def words(page: AppTest) -> str:
    kinds = ("error", "warning", "info", "caption", "text", "markdown")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


def figures(page: AppTest) -> dict[str, str]:
    return {metric.label: str(metric.value) for metric in page.metric}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_its_heading_on_an_empty_machine(name: str) -> None:
    page = open_page(name)
    assert len(page.title) == 1
    assert not page.error


def test_the_pages_but_that_of_losses_do_not_load_torch(cache: Path) -> None:
    script = """
import sys
from streamlit.testing.v1 import AppTest
for name in sys.argv[1:]:
    page = AppTest.from_file(f"pages/{name}.py", default_timeout=60).run()
    assert not page.exception, page.exception
    assert "torch" not in sys.modules, name
"""
    names = [name for name in PAGES if name != "loss_weights"]
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# Home


def test_home_says_what_is_there_and_what_to_do_without_data_or_runs() -> None:
    page = open_page("home")
    said = words(page)
    assert "No runs yet" in said
    assert "TAILSCOPE_DATA" in said
    assert [button.key for button in page.button] == ["download_reuters"]


def test_home_counts_runs_by_state() -> None:
    size = ["data.synthetic.documents=400", "data.synthetic.labels=12"]
    *_, last = jobs.watch(
        jobs.submit(jobs.make_config(data="synthetic", model="svm", loss=None, seed=0, changes=size)).id
    )
    assert last.state == "finished", last.reason
    assert figures(open_page("home")) == {"Finished": "1"}


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_REUTERS_URL", "http://127.0.0.1:9/reuters21578.tar.gz")
    page = open_page("home")
    page.button(key="download_reuters").click().run()
    assert not page.exception
    assert ["could not be fetched" in error.value for error in page.error] == [True]
    assert page.button(key="download_reuters")


# Explorer


def test_without_real_data_the_synthetic_set_is_shown_with_the_reason() -> None:
    page = open_page("explorer", synthetic_documents="400", synthetic_labels="30")
    assert page.selectbox(key="data").value == "synthetic"
    assert "because Reuters-21578 was not found." in words(page)


def test_explorer_shows_the_size_in_the_address() -> None:
    page = open_page("explorer", **SMALL)
    shown = figures(page)
    documents = sum(int(shown[f"{part} documents"].replace(",", "")) for part in ("Train", "Validation", "Test"))
    assert (documents, shown["Labels"]) == (400, "30")
    assert sum(int(shown[group]) for group in ("Head", "Medium", "Tail")) == 30
    assert len(page.get("vega_lite_chart")) == 4


def test_moved_borders_move_the_groups_and_nonsense_is_one_sentence() -> None:
    page = open_page("explorer", **SMALL, head="2", tail="1")
    few = int(figures(page)["Tail"])
    page.number_input(key="head").set_value(100)
    page.number_input(key="tail").set_value(99).run()
    assert int(figures(page)["Tail"]) > few
    page.number_input(key="tail").set_value(100).run()
    assert not page.exception
    assert len(page.error) == 1
    assert "100" in page.error[0].value
    assert page.selectbox(key="label").value


def test_the_split_without_validation_offers_two_parts() -> None:
    page = open_page("explorer", **SMALL, split="original")
    assert page.get_by_key("part").options == ["train", "test"]
    assert figures(page)["Validation documents"] == "0"


@pytest.mark.parametrize(
    "query",
    [
        {"label": "no such label", "beside": "<b>", "page": "-3", "part": "nowhere", "top": "9999"},
        {"split": "nonsense", "head": "x", "tail": "1e15", "synthetic_zipf": "nan"},
        {"page": "100000000000000000000000"},
    ],
)
def test_nonsense_in_the_address_is_left_out(query: dict[str, str]) -> None:
    page = open_page("explorer", **{**SMALL, **query})
    assert len(page.error) <= 1
    assert figures(page)["Labels"] == "30"


@pytest.mark.parametrize("number", ["inf", "-1e9999"])
def test_an_endless_number_in_the_address_is_one_sentence(number: str) -> None:
    page = open_page("explorer", **SMALL, tail=number)
    assert [f"tail={number}" in error.value for error in page.error] == [True]


@pytest.mark.parametrize("name", ["explorer", "loss_weights"])
@pytest.mark.parametrize(("asked", "said"), [("nonsense", "Choose one of"), ("reuters", "TAILSCOPE_DATA")])
def test_a_data_set_that_is_not_there_is_one_sentence(name: str, asked: str, said: str) -> None:
    page = open_page(name, data=asked)
    assert [said in error.value for error in page.error] == [True]


def test_documents_of_two_labels_and_pages_of_fifty() -> None:
    page = open_page("explorer", **SMALL)
    first = page.selectbox(key="label").value
    assert len(page.dataframe[-1].value) == 50
    page.number_input(key="page").set_value(2).run()
    assert page.number_input(key="page").value == 2
    other = page.selectbox(key="label").options[3]
    page.selectbox(key="beside").set_value(other).run()
    listed = page.dataframe[-1].value["labels"]
    assert len(listed)
    assert all({first, other} <= set(carried) for carried in listed)
    assert page.number_input(key="page").value == 1


def test_a_changed_source_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "reuters"
    write_nltk(folder, [("train", "a", "x"), ("test", "a", "y")])
    assert figures(open_page("explorer", data="reuters-nltk", split="original"))["Train documents"] == "1"
    write_nltk(folder, [("train", "a", "x"), ("test", "a", "y"), ("train", "a", "z")])
    assert figures(open_page("explorer", data="reuters-nltk", split="original"))["Train documents"] == "2"


def test_a_damaged_source_is_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("reuters/cats.txt", "training/1 a\n" * 2000)
    (tmp_path / "data").mkdir()
    content = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "data" / "reuters.zip").write_bytes(content[: len(content) // 2])
    page = open_page("explorer", data="reuters-nltk")
    assert len(page.error) == 1
    assert "reuters.zip" in page.error[0].value


def test_the_words_of_a_data_set_are_never_markup(tmp_path: Path) -> None:
    documents = [(part, "a", f"{NASTY}\n{NASTY}") for part in ("train", "test")]
    write_nltk(tmp_path / "data" / "reuters", documents)
    page = open_page("explorer", data="reuters-nltk", split="original")
    assert page.dataframe[-1].value["title"].tolist() == [NASTY]
    assert not [element for element in page.markdown if "script" in str(element.value)]


def test_plain_text_keeps_its_words_and_loses_its_markup() -> None:
    assert plain("train.learning_rate is -1.0: too small.") == "train.learning_rate is -1.0: too small."
    assert plain("<b> `x` [a](b) $y$ **z** :red[w]") == r"\<b\> \`x\` \[a\](b) \$y\$ \*\*z\*\* \:red\[w\]"


# Loss weights


def test_loss_weights_draws_every_loss_of_the_address() -> None:
    page = open_page("loss_weights", **SMALL)
    assert len(page.get("vega_lite_chart")) == 3
    assert len(page.latex) > 5
    for name in page.get_by_key("losses").options:
        assert f"`{name}`" in words(page) or name not in page.get_by_key("losses").value
    page.get_by_key("losses").set_value(["cb-ntr"]).run()
    assert not page.exception
    assert "`cb-ntr`" in words(page)
    assert "`db`" not in words(page)


def test_no_loss_is_one_sentence_and_nonsense_is_left_out() -> None:
    page = open_page("loss_weights", **SMALL, company="nobody", setting="x", label="?", losses="nonsense")
    page.get_by_key("losses").set_value([]).run()
    assert not page.exception
    assert ["at least one loss" in error.value for error in page.error] == [True]


@pytest.mark.parametrize("company", ["alone", "beside"])
def test_labels_without_train_documents_do_not_stop_the_losses(tmp_path: Path, company: str) -> None:
    rows = [("train", "a", "x")] * 7 + [("train", "b a", "x"), ("test", "a b", "y")]
    write_nltk(tmp_path / "data" / "reuters", rows)
    page = open_page("loss_weights", data="reuters-nltk", split="original", company=company)
    assert not page.error
    assert len(page.get("vega_lite_chart")) == 3

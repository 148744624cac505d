"""Home and loss weights in the states that data and store can be in, without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.mark.parametrize("name", ["explorer", "loss_weights"])
@pytest.mark.parametrize(("asked", "said"), [("nonsense", "Choose one of"), ("reuters", "TAILSCOPE_DATA")])
def test_a_data_set_that_is_not_there_is_one_sentence(name: str, asked: str, said: str) -> None:
    page = open_page(name, data=asked)
    assert [said in error.value for error in page.error] == [True]


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

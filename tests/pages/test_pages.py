"""Home and loss weights in the states that data and store can be in, without a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.config.schema import DataConfig, LossConfig, RunConfig, SyntheticConfig
from core.runs import folder, layout, predictions
from core.runs.folder import get_run, list_runs
from core.system.files import write_json
from core.system.places import ROOT
from pages.shared.menu import PAGES
from pages.shared.text import plain
from tests.helpers.drawn import open_page, words

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


def figures(page: AppTest) -> dict[str, str]:
    return {metric.label: str(metric.value) for metric in page.metric}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_with_its_heading_on_an_empty_machine(name: str) -> None:
    page = open_page(name)
    assert len(page.title) == 1
    assert not page.error


@pytest.mark.slow
def test_pages_that_do_not_weigh_losses_do_not_load_torch(cache: Path) -> None:
    script = """
import sys
from tests.helpers.drawn import open_page
for name in sys.argv[1:]:
    open_page(name)
    assert "torch" not in sys.modules, name
page = open_page("explorer", data="synthetic", synthetic_documents="300", synthetic_labels="12")
assert any("mu" in expander.label and "rule" in expander.label for expander in page.expander)
assert "torch" not in sys.modules, "the explorer finds a mu that does not suit the set without it"
"""
    # A run whose mu is far from the rule's.
    data = DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=300, labels=12))
    config = RunConfig(data=data, loss=LossConfig(name="db", mu=0.01))
    path = layout.runs_dir() / folder.run_id(config, "f")
    path.mkdir(parents=True)
    write_json(path / "config.json", config.model_dump())
    write_json(path / "status.json", {"state": "stopped", "submitted": 1.0, "command": "python"})
    names = [name for name in PAGES if name not in ("loss_weights", "launcher")]
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
    assert "No run on this data set has finished yet" in said
    assert "A first run of tfidf" in said
    assert "TAILSCOPE_DATA" in said
    assert [button.key for button in page.button] == ["download_reuters"]


def test_home_shows_the_best_run_of_each_model_and_the_last_ones(finished_runs: Path, cache: Path) -> None:
    shutil.copytree(finished_runs, cache)
    data = {"data": "synthetic", "synthetic_documents": "400", "synthetic_labels": "12"}
    page = open_page("home", **data)
    (best,) = page.table
    assert sorted(name.split(" ")[0] for name in best.value["Best of each model"]) == ["svm", "textcnn", "tfidf"]
    assert best.value["Total micro-F1 (%)"].str.fullmatch(r"\d+\.\d \(\d+\.\d to \d+\.\d\)").all()
    labels = [link.proto.label for link in page.main.get("page_link")]
    assert sum("finished" in label for label in labels) == 3
    assert "Compare them" in labels
    assert "29 of 90" not in words(page)
    assert "are in the tail and own" in words(page)


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


@pytest.mark.parametrize(
    "address", ["http://a.b/c", "see HTTPS://a.b", "www.a.b", "ftp://a.b", "someone@a.b", "(www.a.b)"]
)
def test_an_address_in_plain_text_is_divided_so_that_it_becomes_no_link(address: str) -> None:
    shown = plain(address)
    assert shown.replace("\u2060", "").replace("\\", "") == address
    assert re.search("(://|:|www|@)\u2060", shown)


# Loss weights

VIEWS = ("Weight by label", "Shift and asymmetry", "Loss by logit", "One document", "Where the gradient goes")
CHARTS = dict(zip(VIEWS, (2, 3, 7, 3, 1), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_the_losses_of_the_address(view: str) -> None:
    page = open_page("loss_weights", **SMALL, view=view, loss="db", setting="reuters")
    assert not page.error
    assert len(page.get("vega_lite_chart")) == CHARTS[view]
    assert len(page.latex) == 3
    page.slider(key="db.mu").set_value(0.5).run()
    assert not page.exception
    assert not page.error
    assert any("-0.5)" in formula.value for formula in page.latex)
    assert any(
        "db (preset)" in chart.proto.SerializeToString().decode("utf-8", "ignore")
        for chart in page.get("vega_lite_chart")
    )


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_losses_beyond_the_paper_break_no_view(view: str) -> None:
    page = open_page("loss_weights", **SMALL, view=view)
    page.get_by_key("compared").set_value(["zlpr", "dice", "two-way", "soft-f1"]).run()
    assert not page.exception
    assert not page.error
    assert len(page.latex) == 4
    assert view in VIEWS[3:] or "None of these losses" in words(page)
    page.get_by_key("compared").set_value(list(page.get_by_key("compared").options)).run()
    assert not page.exception
    assert not page.error
    assert len(page.get("vega_lite_chart")) == CHARTS[view]


@pytest.mark.slow
def test_reset_and_the_rule_move_the_controls() -> None:
    page = open_page("loss_weights", **SMALL, loss="db", setting="reuters")
    page.slider(key="db.mu").set_value(0.3).run()
    page.number_input(key="db.gamma").set_value(1).run()
    page.button(key="reset-db").click().run()
    assert (page.slider(key="db.mu").value, page.number_input(key="db.gamma").value) == (0.9, 2)
    page.button(key="auto-db").click().run()
    assert 0 < page.slider(key="db.mu").value < 1
    assert page.slider(key="db.mu").value != 0.9
    assert "db (preset)" in words(page) or len(page.latex) == 3


def test_setting_plain_takes_mu_from_the_data() -> None:
    page = open_page("loss_weights", **SMALL, loss="db", setting="plain")
    (mu,) = [slider for slider in page.slider if slider.key.startswith("db.mu")]
    assert mu.value not in (0.9, 0.05)
    assert not page.error


def test_a_set_that_is_not_reuters_starts_from_the_rule_and_another_mu_is_warned_of() -> None:
    page = open_page("loss_weights", **SMALL, loss="db")
    mu = page.slider(key="db.mu.own.synthetic").value
    assert page.get_by_key("setting").value == "this set"
    assert not page.warning
    page.get_by_key("setting").set_value("reuters").run()
    assert [f"by the authors' rule this set has {mu:.3f}" in warning.value for warning in page.warning] == [True]
    page.button(key="auto-db").click().run()
    assert page.slider(key="db.mu").value == mu
    assert not page.warning


def test_an_old_address_with_a_mu_still_sets_it() -> None:
    page = open_page("loss_weights", **SMALL, **{"db.mu": "0.5", "loss": "db", "compared": "db"})
    assert page.slider(key="db.mu.own.synthetic").value == 0.5
    assert not page.error


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_a_steep_weight_without_a_floor_is_a_warning_and_no_crash(side: str) -> None:
    page = open_page("loss_weights", **SMALL, **{"compared": "db", "db.alpha": "0", "db.beta": "50", "side": side})
    assert not page.exception
    assert not page.error
    assert ["more than a million" in warning.value for warning in page.warning] == [True]


def test_a_label_is_pointed_out_and_every_label_stands_in_a_table() -> None:
    page = open_page("loss_weights", **SMALL, compared="db", mark="?")
    assert page.get_by_key("mark").value is None
    page.get_by_key("mark").set_value(page.get_by_key("mark").options[20]).run()
    assert not page.exception
    table = page.dataframe[-1].value
    assert table["label"].is_unique
    assert len(table) >= 29
    assert {"rank", "group", "documents", "db there", "db absent"} <= set(table)
    assert open_page("loss_weights", **SMALL, mark=table["label"][3]).get_by_key("mark").value == table["label"][3]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"db.mu": "1.5"}, "Loss 'db': mu"),
        ({"db.mu": "-3"}, "Loss 'db': mu"),
        ({"cb.cb_beta": "1"}, "Loss 'cb': cb_beta"),
        ({"db.neg_scale": "-2"}, "Loss 'db': neg_scale"),
    ],
)
def test_a_constant_out_of_range_is_one_sentence_and_the_other_losses_stay(query: dict[str, str], said: str) -> None:
    page = open_page("loss_weights", **SMALL, **query)
    assert [said.replace("_", "") in error.value.replace("\\", "").replace("_", "") for error in page.error] == [True]
    assert len(page.get("vega_lite_chart")) == 2
    assert "nan" not in words(page).lower().split()


def test_no_loss_is_one_sentence_and_nonsense_is_left_out() -> None:
    nonsense = {"company": "nobody", "setting": "x", "label": "?", "compared": "nonsense", "view": "?", "db.mu": "much"}
    page = open_page("loss_weights", **SMALL, **nonsense, logits="run-of-yore", document="none", source="?")
    assert not page.exception
    page.get_by_key("compared").set_value([]).run()
    assert not page.exception
    assert ["at least one loss" in error.value for error in page.error] == [True]


@pytest.mark.parametrize("view", VIEWS)
def test_labels_without_train_documents_are_named_and_do_not_stop_the_losses(view: str) -> None:
    page = open_page("loss_weights", data="synthetic", synthetic_documents="60", synthetic_labels="60", view=view)
    assert not page.error
    assert page.get("vega_lite_chart")
    assert ["12 labels have no train document" in warning.value for warning in page.warning] == [True]


@pytest.mark.slow
def test_a_document_is_found_by_its_words_and_one_may_be_pasted(tmp_path: Path) -> None:
    rows = [("train", "a", "barley rose")] * 4 + [("train", "b a", f"wheat fell {NASTY}"), ("test", "a b", "y")]
    write_nltk(tmp_path / "data" / "reuters", rows)
    page = open_page("loss_weights", data="reuters-nltk", split="original", view="One document")
    page.text_input(key="words").set_value("WHEAT fell").run()
    assert "of 1 found" in page.selectbox(key="document").label
    assert "Its labels: a, b." in words(page)
    page.text_input(key="words").set_value("rye").run()
    assert "Leave one of them out" in page.info[0].value
    page.get_by_key("source").set_value("pasted text").run()
    page.multiselect(key="pasted_labels").set_value(["b"]).run()
    page.selectbox(key="logits").set_value("by hand").run()
    page.slider(key="z-b").set_value(2.0).run()
    assert not page.exception
    assert not page.error
    table = page.dataframe[0].value
    assert table.loc[table["there"], ["label", "logit"]].to_numpy().tolist() == [["b", 2.0]]


def test_the_logits_of_a_finished_run_can_be_looked_at(finished_runs: Path, cache: Path) -> None:
    shutil.copytree(finished_runs, cache)
    run = next(run for run in list_runs() if run.id.startswith("synthetic-tfidf"))
    page = open_page("loss_weights", **SMALL | {"synthetic_labels": "12"}, view="One document")
    page.selectbox(key="logits").set_value(run.id).run()
    assert not page.error
    known = predictions.read_predictions(get_run(run.id))
    names = [option.partition(" ")[0] for option in page.selectbox(key="document").options]
    table = page.dataframe[0].value
    scores = known.scores[0].astype(float)
    assert names
    assert len(set(table["logit"])) > 1
    logits = np.log(scores) - np.log1p(-scores)
    assert all(np.isclose(logits, logit, atol=1e-3).any() for logit in table["logit"])


@pytest.mark.slow
def test_the_gradient_can_be_looked_at_where_each_loss_is_lowest() -> None:
    page = open_page("loss_weights", **SMALL, view="Where the gradient goes")
    said = words(page)
    page.selectbox(key="logits").set_value("untrained, where each loss is lowest").run()
    assert not page.exception
    assert not page.error
    assert "`model.bias`" in words(page)
    assert words(page) != said


def test_train_with_this_and_the_calls_carry_what_is_changed() -> None:
    page = open_page("loss_weights", **SMALL, **{"db.mu": "0.35", "db.reweight_negatives": "no"}, loss="db")
    calls = [code.value for code in page.code]
    assert sum("mu=0.35, reweight_negatives=False" in call for call in calls) == 1
    assert sum("loss.mu=0.35" in call and "loss.reweight_negatives=false" in call for call in calls) == 1
    links = [element.proto for element in page.get("page_link")]
    (query,) = [link.query_string for link in links if "losses=db" in link.query_string]
    assert "set.loss.mu=0.35" in query
    assert "set.loss.reweight_negatives=no" in query
    assert "synthetic_labels=30" in query


def test_a_cache_whose_bytes_are_no_utf_8_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_CACHE", os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    page = AppTest.from_file(str(ROOT / "pages" / "launcher.py"), default_timeout=60).run()
    assert not page.exception
    assert [error.value for error in page.error] == [
        plain("TAILSCOPE_CACHE has bytes that are no UTF-8: name another folder, or rename that one.")
    ]

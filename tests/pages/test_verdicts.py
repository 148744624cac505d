"""Verdicts on a page: kept, taken back, shown beside those of others, made into a corrected set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config.schema import DataConfig, SyntheticConfig
from core.data import sources, verdicts
from core.data.added import find_registered
from core.data.corpus import Corpus
from core.system.access import account
from tests.helpers.drawn import draw, said, words

SMALL = SyntheticConfig(documents=200, labels=8)


@pytest.fixture
def corpus() -> Corpus:
    return sources.load(DataConfig(name="synthetic", synthetic=SMALL))


def page() -> None:
    from core.config.schema import DataConfig, SyntheticConfig
    from core.data import sources
    from pages.shared.verdicts import pick_verdict, show_corrections

    corpus = sources.load(DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=200, labels=8)))
    pick_verdict(corpus, 3, corpus.labels[1])
    show_corrections(corpus)


def opened() -> AppTest:
    return draw(AppTest.from_function(page, default_timeout=60), {})


def test_a_verdict_is_kept_and_taken_back(corpus: Corpus) -> None:
    shown = opened()
    assert "Nothing has been judged yet" in words(shown)
    shown.segmented_control[0].set_value("label").run()
    assert not shown.exception
    (one,) = verdicts.read_verdicts("synthetic")
    assert (one.row, one.label, one.verdict, one.by) == (3, corpus.labels[1], "label", account())
    assert "One verdict, which corrects a label." in words(shown)
    assert shown.dataframe[0].value["id"].tolist() == [one.document]
    assert opened().segmented_control[0].value == "label"
    shown.segmented_control[0].set_value(None).run()
    assert verdicts.read_verdicts("synthetic") == ()


def test_what_others_judge_is_shown_and_disagreement_corrects_nothing(corpus: Corpus) -> None:
    verdicts.save_verdict(corpus, 3, corpus.labels[1], "label", by="**ann** <b>")
    shown = opened()
    assert "**ann** <b>: label wrong" in words(shown)
    assert shown.segmented_control[0].value is None
    shown.segmented_control[0].set_value("model").run()
    assert "People disagree on 1, which corrects nothing." in words(shown)
    assert not shown.get("dataframe")


def test_a_corrected_set_is_added_in_one_click(corpus: Corpus) -> None:
    verdicts.save_verdict(corpus, 3, corpus.labels[1], "both")
    shown = opened()
    shown.button(key="add_corrected").click().run()
    assert not shown.exception
    assert "Added as synthetic-corrected." in said(shown.success)
    assert list(find_registered()) == ["synthetic-corrected"]
    new = sources.load(DataConfig(name="synthetic-corrected", split="own"))
    assert sum(map(len, new.parts.values())) == sum(map(len, corpus.parts.values()))


@pytest.mark.parametrize("content", ["{", json.dumps({"data": "synthetic", "verdicts": [{"row": "x"}]})])
def test_a_file_damaged_by_hand_is_one_sentence_on_the_page(content: str) -> None:
    file = verdicts.verdict_file("synthetic")
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    shown = opened()
    assert all("cannot be read" in str(one.value) for one in shown.warning)
    assert len(shown.warning) == 2
    assert not shown.segmented_control


def test_who_may_only_look_sees_verdicts_and_no_button(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts.save_verdict(corpus, 3, corpus.labels[1], "label")
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    shown = opened()
    assert not shown.segmented_control
    assert "label wrong" in words(shown)
    assert not [button for button in shown.button if button.key == "add_corrected"]

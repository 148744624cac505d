"""`sweep --preset`: a plan by its name, and options that go before it."""

from __future__ import annotations

from typing import Any

import pytest

from core.cli import train
from core.config.schema import RunConfig
from core.runs.presets import PRESETS
from tests.cli.test_cli import call


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    found: list[RunConfig] = []

    def note(configs: list[RunConfig], **_: Any) -> list[Any]:
        found.extend(configs)
        return []

    monkeypatch.setattr(train.sweeps, "submit", note)
    return found


def test_a_preset_is_a_grid_of_its_models_losses_seeds_and_settings(submitted: list[RunConfig]) -> None:
    call("sweep", "--data", "synthetic", "--preset", "pubmed table")
    assert len(submitted) == 3 * (1 + 1 + 8)
    tfidf = [run for run in submitted if run.model.name == "tfidf"]
    assert {run.loss.setting for run in tfidf if run.loss} == {"pubmed"}
    assert {(run.train.epochs, run.train.patience) for run in tfidf} == {(5, 2)}


def test_options_go_before_the_preset(submitted: list[RunConfig]) -> None:
    words = ("--models", "tfidf", "--losses", "db", "--seeds", "4", "--set", "train.epochs=2")
    call("sweep", "--data", "synthetic", "--preset", "pubmed table", *words)
    (run,) = submitted
    assert run.loss
    assert (run.model.name, run.loss.name, run.loss.setting, run.seed) == ("tfidf", "db", "pubmed", 4)
    assert (run.train.epochs, run.train.patience) == (2, 2)


def test_without_a_preset_a_sweep_is_what_it_was(submitted: list[RunConfig]) -> None:
    call("sweep", "--data", "synthetic")
    assert [run.model.name for run in submitted] == ["svm"] + ["tfidf"] * 8
    assert {run.seed for run in submitted} == {0}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("pubmed tabel",), "pubmed table"), (("quick look", "--plan", "a.json"), "--plan and --preset")],
)
def test_a_preset_that_is_none_or_comes_with_a_plan_is_refused(words: tuple[str, ...], said: str) -> None:
    assert said in call("sweep", "--data", "synthetic", "--preset", *words, code=2).stderr


def test_the_help_names_every_preset() -> None:
    said = "".join(call("sweep", "--help").stdout.split())
    assert all(name.replace(" ", "") in said.replace("│", "") for name in PRESETS)

"""What mends a failed run is what its own words name, where the settings allow it; and what is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.config.parse import walk
from core.config.schema import RunConfig
from core.jobs import obstacles
from core.runs import failures, plan
from core.runs.folder import Run
from core.runs.mends import can_resume, find_mends
from core.system import machine
from core.system.errors import Diverged, UserError


def config(model: str = "tfidf", *changes: str) -> RunConfig:
    return plan.make_config(
        data="synthetic", model=model, loss=None if model == "svm" else "db", seed=0, changes=changes
    )


def failed(error: BaseException, settings: RunConfig, path: Path) -> Run:
    found = failures.of_error(error, settings, path)
    return Run("a", path, "failed", found.words, found.kind, found.advice, config=settings)


def test_a_diverged_run_is_mended_by_a_lower_rate_again_and_again(tmp_path: Path) -> None:
    settings, rates = config("tfidf", "train.learning_rate=1e9"), []
    for _ in range(3):
        run = failed(Diverged("The loss is not finite.", epoch=1, step=1), settings, tmp_path)
        (mend,) = find_mends(run)
        assert not can_resume(run)
        settings = mend.config
        rates.append(settings.train.learning_rate)
        assert mend.words == f"train.learning_rate = {rates[-1]:g}"
    assert rates == [2, 0.5, 0.12]


@pytest.mark.parametrize("model", ["svm", "tfidf", "textcnn", "transformer"])
def test_what_ran_out_of_memory_is_mended_by_something_smaller(model: str, tmp_path: Path) -> None:
    run = failed(torch.OutOfMemoryError("CUDA out of memory"), config(model), tmp_path)
    mends = find_mends(run)
    assert mends
    assert not can_resume(run)
    first = {**dict(walk(mends[0].config))}, dict(walk(run.config))
    ((name, new),) = [(name, value) for name, value in first[0].items() if first[1][name] != value]
    assert new < first[1][name]


def test_settings_that_belong_together_are_changed_together(tmp_path: Path) -> None:
    run = failed(MemoryError(), config("tfidf"), tmp_path)
    assert "model.hidden = 512 and train.learning_rate = 0.3" in [mend.words for mend in find_mends(run)]


def test_a_gpu_that_is_not_there_is_mended_by_the_cpu(tmp_path: Path) -> None:
    words = "This run is to use a GPU, but torch 2 has none. Set train.device=cpu."
    run = failed(UserError(words), config("tfidf", "train.device=cuda"), tmp_path)
    assert [mend.config.train.device for mend in find_mends(run)] == ["cpu"]
    assert not can_resume(run)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Set train.nothing=3.",
        "Set train.batch_size=-4.",
        "train.batch_size=many",
        "data.name=evil",
        "train.epochs=",
    ],
)
def test_words_that_name_no_setting_mend_nothing(words: str, tmp_path: Path) -> None:
    run = Run("a", tmp_path, "failed", words, "refused", config=config())
    assert find_mends(run) == []
    assert can_resume(run)


def test_only_what_failed_is_mended(tmp_path: Path) -> None:
    for state in ("finished", "running", "stopped"):
        run = Run("a", tmp_path, state, "Set train.batch_size=4.", config=config())
        assert find_mends(run) == []
        assert can_resume(run) == (state == "stopped")


@pytest.mark.parametrize(
    ("changes", "gpus", "said"),
    [
        ((), 0, ""),
        (("train.learning_rate=1e9",), 0, "500,000,000 times"),
        (("train.learning_rate=2000",), 0, ""),
        (("train.device=cuda",), 0, "no GPU"),
        (("train.device=cuda:3",), 2, "cuda:1"),
        (("train.device=cuda:1",), 2, ""),
        (("train.device=cuda",), 1, ""),
        (("train.precision=fp16",), 0, "train.precision=fp16 needs a GPU"),
        (("train.precision=fp16", "train.device=cpu"), 1, "train.precision=fp16 needs a GPU"),
        (("train.precision=fp16",), 1, ""),
        (("train.precision=bf16",), 0, ""),
    ],
)
def test_what_cannot_succeed_is_said_before(
    changes: tuple[str, ...], gpus: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "count_gpus", lambda: gpus)
    monkeypatch.delenv("TAILSCOPE_SLOTS", raising=False)
    sentences = obstacles.find_obstacles([config("tfidf", *changes)] * 2)
    assert len(sentences) == bool(said)
    assert said in "".join(sentences)


def test_an_svm_needs_neither_rate_nor_gpu() -> None:
    wild = config("svm", "train.learning_rate=1e9", "train.device=cuda")
    assert obstacles.find_obstacles([wild]) == []


def test_a_machine_that_is_too_small_is_said() -> None:
    assert obstacles.describe_shortage(0.0) == ""
    assert "batch_size" in obstacles.describe_shortage(1e15)

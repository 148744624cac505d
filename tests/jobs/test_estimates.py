"""What runs will take: from runs on this machine, else from the published ones and a quick measure of it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from core.analysis.progress import words_of_seconds
from core.jobs import estimates, speed
from core.jobs.estimates import Cost
from core.runs import plan
from core.runs.folder import list_runs
from core.system.places import ROOT

DOCUMENTS = 6769
QUICK = ("model.max_length=80", "model.frozen_layers=3", "train.batch_size=16")
"""The recipe of the preset `fine-tune quick`."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> list[Cost]:
    """What the runs that come with the repository took, read from a copy of the small files of their folders."""
    cache = tmp_path_factory.mktemp("cache")
    for path in (ROOT / "cache" / "published").glob("*/*.json*"):
        (cache / "published" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, cache / "published" / path.parent.name)
    with pytest.MonkeyPatch.context() as at:
        at.setenv("TAILSCOPE_CACHE", str(cache))
        own, found = estimates.read_costs(list_runs())
    assert own == []
    trained = [path for path in cache.glob("published/*") if "-combined-" not in path.name]
    assert len(found) == len(trained), "every one but combined runs says what it took"
    return found


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine as fast as that of the published runs, with as many cores."""
    monkeypatch.setattr(speed, "slowness", lambda: 1.0)
    monkeypatch.setattr(speed, "has_bf16", lambda: False)
    monkeypatch.setattr(estimates.os, "cpu_count", lambda: 2)


def wanted(model: str, *changes: str, data: str = "reuters") -> plan.RunConfig:
    loss = None if model == "svm" else "db"
    return plan.make_config(data=data, model=model, loss=loss, seed=0, changes=["train.device=cpu", *changes])


@pytest.mark.parametrize(
    ("model", "changes", "low", "high", "memory"),
    [
        ("svm", (), 4, 12, 2e9),
        ("tfidf", (), 10, 30, 2e9),
        ("transformer", QUICK, 1500, 3000, 2e9),
        ("transformer", (), 3000, 9000, 4e9),
    ],
)
def test_the_first_estimate_is_near_what_the_published_runs_take_alone(
    model: str, changes: tuple[str, ...], low: float, high: float, memory: float, published: list[Cost]
) -> None:
    found = estimates.estimate(wanted(model, *changes), DOCUMENTS, [], published)
    assert found is not None
    assert low < found.seconds < high
    assert found.published
    assert found.same_data
    assert 4e8 < found.memory < memory


def test_a_slower_machine_longer_texts_and_more_documents_take_longer(
    published: list[Cost], monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(*changes: str, model: str = "transformer", data: str = "reuters", documents: int = DOCUMENTS) -> float:
        found = estimates.estimate(wanted(model, *changes, data=data), documents, [], published)
        assert found is not None
        return found.seconds

    usual, svm = seconds(), seconds(model="svm")
    assert seconds("model.max_length=512") > 1.8 * usual
    assert seconds("train.epochs=3") == pytest.approx(usual / 2, rel=0.1)
    assert seconds(data="synthetic", documents=2 * DOCUMENTS) == pytest.approx(2 * usual)
    monkeypatch.setattr(speed, "slowness", lambda: 3.0)
    assert (seconds(), seconds(model="svm")) == pytest.approx((3 * usual, 3 * svm))
    monkeypatch.setattr(estimates.os, "cpu_count", lambda: 4)
    assert (seconds(), seconds(model="svm")) == pytest.approx((1.5 * usual, 3 * svm)), "a network uses all cores"


def test_a_run_of_ones_own_goes_first_and_nothing_is_said_of_what_nobody_has_run(published: list[Cost]) -> None:
    config = wanted("tfidf")
    mine = Cost(estimates.kind_of(config, "cpu"), "reuters", DOCUMENTS, 20, 1.0, 2.0, 10**8)
    known = estimates.estimate(config, DOCUMENTS, [mine], published)
    assert known == estimates.Estimate(22.0, 10**8, same_data=True)
    there = config.model_copy(update={"data": config.data.model_copy(update={"name": "pubmed-sample"})})
    elsewhere = estimates.estimate(there, 9308, [], published)
    assert elsewhere is not None
    assert elsewhere.same_data
    assert elsewhere.seconds > 2 * 22, "runs on PubMed tell what runs on PubMed take, and no others"
    for unknown in (wanted("xml-cnn"), wanted("tfidf", "model.bigrams=true"), wanted("tfidf", "train.device=cuda")):
        assert estimates.estimate(unknown, DOCUMENTS, [], published) is None
    whole = estimates.together([wanted("svm"), wanted("xml-cnn"), config], DOCUMENTS, [mine], 1, published)
    assert (whole["known"], whole["published"], whole["unknown"]) == (2, 1, ["xml-cnn"])
    words = estimates.in_words(whole, 3, words_of_seconds)
    assert "for 2 of 3 runs" in words
    assert "for 1 of them, by the published runs and a quick measure of this machine" in words
    assert "for xml-cnn: the first run will tell" in words
    alone = estimates.together([wanted("svm")], DOCUMENTS, [], 1, published)
    assert "nothing like it has finished here yet" in estimates.in_words(alone, 1, words_of_seconds)


def test_the_measure_takes_no_half_second_is_kept_and_a_damaged_one_is_made_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("TAILSCOPE_CACHE", str(cache))
    speed._seconds.cache_clear()
    begun = time.thread_time()
    slower = speed.slowness()
    assert time.thread_time() - begun < 0.5
    assert 0.02 <= slower <= 50
    kept = cache / "machine.json"
    assert json.loads(kept.read_text())["seconds"] == pytest.approx(slower * speed.USUAL)
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"seconds": 5 * speed.USUAL}))
    speed._seconds.cache_clear()
    assert speed.slowness() == pytest.approx(5.0), "what is kept is not measured again"
    for damaged in ("{", "[]", '{"machine": 1, "seconds": "x"}'):
        kept.write_text(damaged)
        speed._seconds.cache_clear()
        assert speed.slowness() == pytest.approx(slower, rel=3)
    speed._seconds.cache_clear()


def test_cores_with_bf16_take_less_and_slow_ones_are_offered_the_quick_recipe(
    published: list[Cost], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [wanted("transformer"), wanted("svm")]

    def foretold() -> dict[str, Any]:
        return estimates.together(configs, DOCUMENTS, [], 1, published)

    def seconds(*changes: str) -> float:
        found = estimates.estimate(wanted("transformer", *changes), DOCUMENTS, [], published)
        assert found is not None
        return found.seconds

    slow = foretold()
    assert slow["quick"] == pytest.approx(seconds(*QUICK), rel=0.01)
    assert slow["quick"] < seconds() / 2
    words = estimates.in_words(slow, 2, words_of_seconds)
    assert (
        f"The preset 'fine-tune quick' takes about {words_of_seconds(slow['quick'])} a run: it reads 80 tokens" in words
    )
    half, whole = seconds(), seconds("train.precision=fp32")
    monkeypatch.setattr(speed, "has_bf16", lambda: True)
    assert seconds() == pytest.approx(half / estimates.HALF, rel=0.05)
    monkeypatch.setattr(speed, "slowness", lambda: 0.3)
    assert seconds("train.precision=fp32") == pytest.approx(0.3 * whole, rel=0.05), "fp32 that was asked for stays"
    quick = foretold()
    assert quick["quick"] is None
    assert "preset" not in estimates.in_words(quick, 2, words_of_seconds)


def test_whether_cores_have_bf16_is_what_torch_says_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.undo()
    assert speed.has_bf16() == bool(torch.cpu.get_capabilities().get("avx512_bf16"))

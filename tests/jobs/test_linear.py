"""Runs of `tree` and of `svm` with many labels: what data, memory and kills do to them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis import why
from core.config.schema import RunConfig, SplitConfig
from core.data import sources
from core.data.readers import guess
from core.jobs import launch, linear, worker
from core.jobs.reporter import StatusReporter
from core.metrics import thresholds
from core.models.tfidf_features import TfidfEncoder
from core.runs import failures, folder, journal, plan, predictions, results, scorer
from core.system import processes
from core.system.arrays import read_tensors
from core.system.errors import Stopped, UserError
from core.system.files import read_json
from core.trainer import optimizer
from tests.helpers.runs import execute, make_folder, until
from tests.helpers.training import last_state, outcome, same

pytestmark = pytest.mark.slow  # the real worker
SIZE = ["data.synthetic.documents=300", "data.synthetic.labels=40", "data.synthetic.words=20"]


TOPICS, PARTS = 6, ("train", "train", "validation", "test", "train")
KINDS: dict[str, Callable[[int], list[int]]] = {
    "a label without train documents": lambda row: [row % TOPICS] + [TOPICS] * (PARTS[row % 5] == "test"),
    "one label in all": lambda row: [0] * (row % 3 == 0),
    "all labels in every document": lambda row: list(range(TOPICS)),
    "all labels in one document": lambda row: list(range(TOPICS)) if row == 0 else [],
    "labels alike": lambda row: list(range(TOPICS)) if row % 2 else [],
    "documents without words": lambda row: [row % TOPICS],
}
"""What data can be like: the labels of a document by its number."""


def config(model: str = "tree", changes: tuple[str, ...] = (), size: list[str] = SIZE, seed: int = 0) -> RunConfig:
    return plan.make_config(data="synthetic", model=model, loss=None, seed=seed, changes=[*size, *changes])


def test_many_labels_decide_as_few_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs = []
    for name, few in (("few", 500), ("many", 39)):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / name))
        monkeypatch.setattr(linear, "FEW_LABELS", few)
        runs.append(execute(config("svm", ("model.prune=0",))))
    exact, many = (predictions.read_predictions(run) for run in runs)
    np.testing.assert_allclose(many.scores, exact.scores, atol=0.1)  # LIBLINEAR's own tolerance
    decided = [thresholds.apply(one.scores, one.threshold).toarray() for one in (exact, many)]
    assert (decided[0] == decided[1]).mean() > 0.99
    assert results.read_metrics(runs[1])["threshold_rule"] == "quiet-margins"
    names = [set(read_tensors(run.path / "model.safetensors")) for run in runs]
    assert names[0] == {"weights", "intercepts"}
    assert "weights.indptr" in names[1]


@pytest.mark.parametrize("model", ["tree", "svm"])
def test_more_labels_than_are_kept_densely(model: str) -> None:
    size = ["data.synthetic.documents=400", "data.synthetic.labels=1100", "data.synthetic.words=20"]
    run = execute(config(model, size=size))
    corpus, found = sources.load(run.config.data), predictions.read_predictions(run)
    assert (corpus.counts == 0).any(), "labels without a train document"
    assert isinstance(found.scores, sp.csr_array)
    assert np.diff(found.scores.indptr).max() <= 100
    loaded = scorer.load(run)
    texts = list(corpus.texts(found.rows[:5]))
    scores, kept = loaded.scores([*texts, "", "words nobody knows"]), found.scores[:5].toarray()
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[:5][kept != 0], kept[kept != 0], atol=5e-3, rtol=1e-3)
    nowhere = int(np.flatnonzero(corpus.counts == 0)[0])
    assert loaded.contributions(texts[0], nowhere)["adds"].abs().sum() == 0
    if model == "tree":
        assert (scores[:, corpus.counts == 0] == 0).all()


@pytest.mark.parametrize("model", ["tree", "svm", "tfidf"])
@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_kind_is_trained_scored_and_explained(
    model: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(linear, "FEW_LABELS", 0)
    monkeypatch.setattr(optimizer, "MANY_WEIGHTS", 0)
    file, rows = tmp_path / "kinds.jsonl", range(120)
    lacks = [kind == "documents without words" and row % 4 == 0 for row in rows]
    with file.open("w") as lines:
        for row in rows:
            text = f"unheard{row}" if lacks[row] else f"topic{row % TOPICS} half{row % 2} first{row == 0} common words"
            labels = [f"label {number}" for number in KINDS[kind](row)]
            lines.write(json.dumps({"text": text, "labels": labels, "split": PARTS[row % 5]}) + "\n")
    sources.add("kinds", file, guess(file), SplitConfig(made="own"))
    corpus = sources.load(sources.default_config("kinds"))
    run = execute(plan.make_config(data="kinds", model=model, loss="bce" if model == "tfidf" else None, seed=0))
    kept, loaded = predictions.read_predictions(run), scorer.load(run)
    assert kept.scores.shape == (24, len(corpus.labels)) == kept.targets.shape
    assert np.isfinite(kept.scores).all()
    texts = [*corpus.texts(kept.rows), "", "nobody knows these"]
    scores = loaded.scores(texts)
    np.testing.assert_allclose(scores[:-2], np.asarray(kept.scores, float), atol=5e-3)
    np.testing.assert_array_equal(scores[-2], scores[-1])
    for label in range(len(corpus.labels)):
        assert np.isfinite(loaded.contributions(texts[0], label)["adds"]).all()
    if model == "tree":
        said = [
            why.describe(why.explain(loaded, texts[0], label, 0.5, margins=False), train=int(count))
            for label, count in enumerate(corpus.counts)
        ]
        assert ("no word decides" in said[0]) == (kind == "all labels in every document")
        assert ("does not have this label" in said[-1]) == (corpus.counts[-1] == 0)
    right = (kept.scores > kept.threshold) == kept.targets.toarray()
    if kind in ("labels alike", "all labels in every document"):
        assert right.all()
    elif kind == "a label without train documents":
        (nowhere,) = np.flatnonzero(corpus.counts == 0)
        assert corpus.labels[nowhere] == f"label {TOPICS}"
        assert not (kept.scores > kept.threshold)[:, nowhere].any()
        assert np.delete(right, nowhere, axis=1).all()
    elif kind == "documents without words":
        known = [not lacks[row] for row in kept.rows]
        np.testing.assert_array_equal(kept.scores.argmax(axis=1)[known], kept.targets.toarray().argmax(axis=1)[known])
        np.testing.assert_array_equal(np.ptp(kept.scores[np.invert(known)], axis=0), 0)


@pytest.mark.parametrize("model", ["tree", "svm"])
def test_memory_that_does_not_suffice_is_said_before_the_fits_with_what_would_do(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "FEW_LABELS", 39)
    foretold: list[int] = []

    def note(config: RunConfig, at: object, free: int) -> None:
        foretold.extend(at(prune) for prune in (0.03, 0.2))  # type: ignore[operator]

    with monkeypatch.context() as patch:
        patch.setattr(linear, "check_memory", note)
        execute(config(model, seed=1))
    monkeypatch.setattr(linear, "fit_tasks", None)  # nothing is fitted
    monkeypatch.setattr(linear, "memory_free", lambda _: foretold[1])
    said = r"Memory will not suffice: .*GB are free for it\. To train it, set model\.prune="
    with pytest.raises(UserError, match=said):
        execute(config(model, seed=2))
    (run,) = [run for run in folder.list_folders() if run.state == "failed"]
    assert run.kind == "refused"
    monkeypatch.setattr(linear, "memory_free", lambda _: 1000)
    with pytest.raises(UserError, match=r"set model\.max_features=25000"):
        execute(config(model, seed=3))


def test_the_setting_that_is_named_would_do() -> None:
    def needed(prune: float) -> int:
        return int(10e9 / (1 + 100 * prune))

    linear.check_memory(config(), needed, needed(0.03))
    with pytest.raises(UserError) as said:
        linear.check_memory(config(), needed, needed(0.15))
    words = str(said.value)
    named = float(words.partition("model.prune=")[2].partition(",")[0])
    assert needed(named) <= needed(0.15)
    assert "2.5 GB here" in words


@pytest.mark.parametrize("model", ["tree", "svm"])
def test_a_stopped_run_starts_anew_and_says_so(
    model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(linear, "FEW_LABELS", 39)
    path = make_folder(config(model))

    class StopInFits(StatusReporter):
        def report_if_due(self, phase: str, fraction: float, **more: object) -> None:
            if phase == "fitting labels":
                raise Stopped

    worker.execute(path, StopInFits(path))
    assert folder.get_run(path.name).state == "stopped"
    assert not path.joinpath("model.safetensors").exists()
    with caplog.at_level("INFO", "tailscope"):
        worker.execute(path)
    assert folder.get_run(path.name).state == "finished"
    assert f"model {model} keeps no checkpoint: the run starts anew" in caplog.text


@pytest.mark.usefixtures("no_worker_outlives_its_test")
def test_a_killed_tree_leaves_nothing_behind_and_is_the_same_when_it_is_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    size = ["data.synthetic.documents=1000", "data.synthetic.labels=600"]
    question = config("tree", ("model.clusters=1000",), size)
    run = launch.submit(question)
    phases = ("foretelling memory", "fitting labels")
    until(lambda: folder.get_run(run.id).progress.get("phase") in phases)
    os.killpg(read_json(run.path / "process.json")["pid"], signal.SIGKILL)
    lost = until(lambda: (now := folder.get_run(run.id)).state == "lost" and now)
    assert "starts anew, for model 'tree' keeps no checkpoint" in lost.advice
    assert not [file for file in run.path.iterdir() if file.suffix in (".tmp", ".safetensors", ".npz")]
    launch.resume(run.id)
    assert last_state(run) == "finished", journal.read_log(run.path)
    assert "keeps no checkpoint: the run starts anew" in "\n".join(journal.read_log(run.path, 1000))
    found = outcome(run.path)
    # Never killed.
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    again = execute(question)
    same(found, outcome(again.path))


def test_advice_on_memory_names_what_both_models_read() -> None:
    for model in ("svm", "tree"):
        words = failures.smaller(config(model))
        assert "model.max_features=50000" in words
        assert "model.prune" in words
        here = processes.identity(1)
        death = failures.of_death(here, {"memory": 23e9, "of_memory": 24e9}, config(model))
        assert "batch_size" not in death.advice
        assert "model.prune" in death.advice


def test_a_data_set_whose_documents_have_no_common_word(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = TfidfEncoder.encode

    def without_words(self: TfidfEncoder, texts: object) -> sp.csr_array:
        found = empty(self, texts)  # type: ignore[arg-type]
        return sp.csr_array(found.shape, dtype=np.float32)

    monkeypatch.setattr(TfidfEncoder, "encode", without_words)
    run = execute(config())
    assert np.isfinite(predictions.read_predictions(run).scores).all()

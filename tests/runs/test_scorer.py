"""Words that moved a decision: the scores are those of the run, and the parts sum to the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis import why
from core.data import sources
from core.jobs import linear
from core.metrics import thresholds
from core.models.label_tree import SHARPNESS
from core.runs import folder, network_scorer, plan, predictions, results, share, tfidf_scorer
from core.runs.folder import Run
from core.runs.scorer import load
from core.runs.tree_scorer import TreeScorer
from core.system.errors import UserError
from tests.helpers.runs import execute, keep

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8", "train.epochs=2"]


def trained(model: str, loss: str | None, changes: list[str]) -> Run:
    return execute(plan.make_config(data="synthetic", model=model, loss=loss, seed=0, changes=[*SMALL, *changes]))


TFIDF = {
    "linear": ["model.hidden=0"],
    "hidden": ["model.hidden=8"],
    "label-graph": ["model.hidden=8", "model.head=label-graph"],
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this file are kept once they are trained."""
    return tmp_path_factory.mktemp("kept")


OWN = {"svm": ("svm", []), "svm-many": ("svm", []), "tree": ("tree", ["model.clusters=3", "model.beam=2"])}
"""Models with a loss of their own; `svm-many` as if 8 labels were many."""


@pytest.fixture(params=[*OWN, *TFIDF])
def run(request: pytest.FixtureRequest, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A trained run in the test's own cache."""
    name = request.param
    if name == "svm-many":
        monkeypatch.setattr(linear, "FEW_LABELS", 7)
    model, changes = OWN.get(name, ("tfidf", TFIDF.get(name, [])))
    return keep(kept / name, lambda: trained(model, None if name in OWN else "db", changes))


def test_scores_are_the_stored_ones_and_words_sum_to_them(run: Run) -> None:
    corpus, scorer, kept = sources.load(run.config.data), load(run), predictions.read_predictions(run)
    texts = list(corpus.texts(kept.rows[:20]))
    scores = scorer.scores(texts)
    np.testing.assert_allclose(scores, kept.scores[:20], atol=2e-3)
    for row, label in ((0, 0), (3, 5), (7, 7)):
        table = scorer.contributions(texts[row], label)
        total = table["adds"].sum() + scorer.rest(texts[row], label)
        expected = scores[row, label]
        if isinstance(scorer, TreeScorer):
            logits = [SHARPNESS * margin_of(scorer, texts[row], node) for node in scorer.deciding(label)]
            assert total == pytest.approx(sum(logits), abs=1e-4)
            assert expected in (0, pytest.approx(np.prod([1 / (1 + np.exp(-one)) for one in logits]), abs=1e-5))
            found = why.explain(scorer, texts[row], label, 0.5, margins=False)
            assert found.total == pytest.approx(total)
            assert f"The sums of {len(logits)} node" in why.describe(found, train=3)
        else:
            assert total == pytest.approx(
                expected if not scorer.probabilities else np.log(expected / (1 - expected)), abs=1e-4
            )
        assert table["adds"].abs().is_monotonic_decreasing
        assert set(table["word"]) <= set(texts[row].lower().split()) | set(scorer.words)
        np.testing.assert_allclose(table["adds"], table["value"] * table["weight"])
    assert scorer.contributions("", 0).empty
    assert np.isfinite(scorer.scores(["", "words that nobody knows"])).all()


def margin_of(scorer: TreeScorer, text: str, node: int) -> float:
    """A node's margin for a text, by dense algebra."""
    row = scorer.encoder.encode([text]).toarray()[0]
    return float(row @ scorer.planes.weights.toarray()[:, node] + scorer.planes.intercepts[node])


def test_every_loader_loads_it_and_an_answer_is_its_labels(run: Run) -> None:
    for loaded in (load(run), network_scorer.load(run)):
        kept = predictions.read_predictions(run)
        texts = list(sources.load(run.config.data).texts(kept.rows[:9]))
        scores = loaded.scores(texts)
        assert thresholds.values_of(loaded.threshold) == results.read_metrics(run)["threshold"]
        for row, given in zip(scores, loaded(texts), strict=True):
            above = [
                column for column in np.argsort(-row) if row[column] > np.broadcast_to(loaded.threshold, 8)[column]
            ]
            assert given == [(loaded.labels[column], row[column]) for column in above]


def test_what_is_no_list_of_texts_is_a_sentence(run: Run) -> None:
    scorer = load(run)
    assert scorer.scores([]).shape == scorer.scores(()).shape == (0, 8)
    assert scorer([]) == []
    for texts in ("wheat", None, 5, b"wheat", {"text": "wheat"}):
        with pytest.raises(UserError, match="pass a list"):
            scorer.scores(texts)  # type: ignore[arg-type]
    for wrong in (None, float("nan"), 3, b"wheat", ["wheat"]):
        with pytest.raises(UserError, match=r"Text 1 is .*, not a string"):
            scorer(["wheat", wrong])  # type: ignore[list-item]
    with pytest.raises(UserError, match="Text 0 is None"):
        scorer.contributions(None, 0)  # type: ignore[arg-type]
    assert scorer.scores(np.array(["wheat", "corn"])).shape == (2, 8)  # type: ignore[arg-type]


def test_a_run_that_came_without_weights_is_not_called_damaged(run: Run, tmp_path: Path) -> None:
    share.export(run, tmp_path / "run.zip", weights=False)
    folder.delete_run(run.id)
    arrived = share.import_run(tmp_path / "run.zip")
    for loader in (load, network_scorer.load):
        with pytest.raises(UserError, match="published without its weights: run its command") as said:
            loader(arrived)
        assert "Delete" not in str(said.value)


@pytest.mark.parametrize("texts", [0, 1, 40])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_sparse_weights_are_multiplied_in_blocks_or_the_other_way_round(
    texts: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfidf_scorer, "MANY_TEXTS", 20)
    monkeypatch.setattr(tfidf_scorer, "WEIGHTS_AT_ONCE", 3 * 30)  # three labels
    rng = np.random.default_rng(0)
    features = sp.csr_array(rng.random((texts, 30)) * (rng.random((texts, 30)) < 0.3), dtype=np.float32)
    weights = sp.csc_array(rng.normal(size=(30, 11)) * (rng.random((30, 11)) < share), dtype=np.float32)
    found = tfidf_scorer.multiply(features, weights)
    np.testing.assert_allclose(found, features.toarray() @ weights.toarray(), rtol=1e-5, atol=1e-6)


def test_runs_without_weights_say_what_to_do(run: Run, cache: Path) -> None:
    share.publish(run)
    (run.path / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(UserError, match="weights are damaged"):
        load(run)
    (run.path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="not in its folder"):
        load(run)
    folder.delete_run(run.id)
    with pytest.raises(UserError, match="published without its weights: run its command"):
        load(folder.get_run(run.id))

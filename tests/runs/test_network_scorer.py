import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.analysis import decisions
from core.cli.main import make_app
from core.jobs import launch
from core.metrics import thresholds
from core.models import tokens
from core.runs import export_model, folder, network_scorer, predictions, results, share
from core.runs.scorer import load
from core.system.errors import UserError
from tests.helpers.runs import keep
from tests.helpers.training import prepare

pytestmark = pytest.mark.slow  # the real worker, in this process

READ = "model.max_length=24"
SMALL = ["model.embedding=12", "train.adjust=0.5", READ]
CNN, GRU = [*SMALL, "model.filters=6"], [*SMALL, "model.hidden=6"]
SUBWORDS = "model.vocabulary=subwords"
GRAPH = "model.head=label-graph"
FROM_SCRATCH = {
    "textcnn": ("textcnn", CNN),
    "textcnn-thresholds": ("textcnn", [*CNN, "train.threshold=per-label"]),
    "textcnn-subwords": ("textcnn", [*CNN, SUBWORDS]),
    "textcnn-wide": ("textcnn", [*CNN, "model.wide=true", "train.average=1"]),
    "bigru-lwan": ("bigru-lwan", GRU),
    "bigru-lwan-graph": ("bigru-lwan", [*GRU, GRAPH]),
}
FINE_TUNED = {
    "mean": ["model.pooling=mean"],
    "cls": ["model.pooling=cls"],
    "cls-graph": ["model.pooling=cls", GRAPH],
    "lwan-graph": ["model.pooling=lwan", GRAPH, "train.adjust=0.5"],
    "window": ["model.long=window", "train.adjust=0.5"],
    "cls-ends": ["model.pooling=cls", "model.long=head-tail"],
}


def trained(model, changes):
    from core.jobs import worker

    path = prepare(model, [*changes, "train.epochs=1"], checkpoint_minutes=5.0)
    worker.execute(path)
    return folder.get_run(path.name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the runs of this file are kept once they are trained."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def run_named(tiny_encoder, kept, cache):
    """Gives a trained run by its name, in the test's own cache."""

    def train(name):
        if name in FROM_SCRATCH:
            return trained(*FROM_SCRATCH[name])
        encoder = [f"model.encoder={tiny_encoder}", READ, "train.precision=fp32"]
        return trained("transformer", [*encoder, *FINE_TUNED[name]])

    return lambda name: keep(kept / name, lambda: train(name))


@pytest.fixture(params=[*FINE_TUNED, *FROM_SCRATCH])
def run(request, run_named):
    """A trained run in the test's own cache."""
    return run_named(request.param)


def texts_of(run, part="test"):
    from core.data import sources

    corpus, stored = sources.load(run.config.data), predictions.read_predictions(run, part)
    return [corpus.text(int(row)) for row in stored.rows[:7]], stored.scores[:7]


def test_a_trained_run_says_of_its_test_documents_what_it_said(run):
    scorer = network_scorer.load(run)
    texts, stored = texts_of(run)
    np.testing.assert_allclose(scorer.scores(texts), stored, atol=2e-3)
    limits = np.broadcast_to(scorer.threshold, len(scorer.labels))
    for row, given in enumerate(scorer(texts)):
        assert [label for label, _ in given] == [
            scorer.labels[column]
            for column in np.argsort(-scorer.scores(texts)[row])
            if scorer.scores(texts)[row][column] > limits[column]
        ]
    assert thresholds.values_of(load(run).threshold) == results.read_metrics(run)["threshold"]


def test_what_words_add_sums_to_the_change_of_the_logit(run):
    scorer, ((text, *_), _) = network_scorer.load(run), texts_of(run)
    table = scorer.contributions(text, 1)
    assert len(table)
    assert set(table["word"]) <= set(text.lower().replace(".", " ").split()) | set(text.lower())
    unknown = "qqzzx " * len(text.split())
    if isinstance(scorer.encoder, tokens.Words):
        before, after = (torch.logit(torch.from_numpy(scorer.scores([one])))[0, 1] for one in (unknown, text))
        assert table["adds"].sum() == pytest.approx(float(after - before), abs=0.1)
    assert (table["adds"].abs().diff().dropna() <= 1e-12).all()


def test_plain_transformers_loads_what_is_exported_and_scores_the_same(run, tmp_path):
    if run.config.model.name != "transformer":
        with pytest.raises(UserError, match="is no transformer"):
            export_model.export(run, tmp_path / "model")
        return
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    kind = export_model.export(run, tmp_path / "model")
    assert kind == ("AutoModelForSequenceClassification" if run.config.model.pooling == "cls" else "AutoModel")
    with pytest.raises(UserError, match="not empty"):
        export_model.export(run, tmp_path / "model")
    if kind == "AutoModel":
        assert AutoModel.from_pretrained(tmp_path / "model").config.id2label[0]
        assert (tmp_path / "model" / "head.safetensors").exists()
        return
    texts, stored = texts_of(run)
    model, tokenizer = (
        kind.from_pretrained(tmp_path / "model") for kind in (AutoModelForSequenceClassification, AutoTokenizer)
    )
    read = tokenizer(texts, truncation=True, max_length=24, padding=True, return_tensors="pt")
    with torch.no_grad():
        scores = torch.sigmoid(model(**read).logits).numpy()
    np.testing.assert_allclose(scores, stored, atol=2e-3)
    assert model.config.threshold == results.read_metrics(run)["threshold"]
    assert (model.config.tailscope["rule"], model.config.tailscope["chosen_on"]) == ("as-trained", "validation")
    assert list(model.config.id2label.values()) == results.read_metrics(run)["labels"]


def load_module(folder):
    """The module that lies in an exported folder, imported from there."""
    spec = importlib.util.spec_from_file_location(f"exported_{folder.name}", folder / "tailscope_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FINE_TUNED)
def test_the_module_in_an_exported_folder_scores_and_decides_as_the_run(name, run_named, tmp_path):
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

    run = run_named(name)
    kind, scorer = export_model.export(run, tmp_path / "model"), network_scorer.load(run)
    texts = [*texts_of(run)[0], "", "wheat " * 300, "no-word " + " ".join(texts_of(run)[0])]
    model = load_module(tmp_path / "model").load(tmp_path / "model")
    expected = scorer.scores(texts)
    np.testing.assert_allclose(model.scores(texts, batch_size=4).numpy(), expected, atol=1e-6)
    assert model.scores([]).shape == (0, len(scorer.labels))
    assert [[label for label, _ in given] for given in model.predict(texts)] == [
        [label for label, _ in given] for given in scorer(texts)
    ]
    settings = AutoConfig.from_pretrained(tmp_path / "model")
    assert settings.tailscope["long"] == run.config.model.long
    assert AutoTokenizer.from_pretrained(tmp_path / "model").model_max_length == 24
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "from tailscope_model import load" in card
    assert str(tmp_path.anchor + "tmp") not in card
    short = [text for text in texts if len(scorer.encoder.encode([text])[0]) < 20]
    if kind == "AutoModel":  # a class that would begin with a random head refuses
        with pytest.raises(RuntimeError, match="mismatch"):
            AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
        return
    assert "pipeline(" in card
    answers = pipeline("text-classification", model=str(tmp_path / "model"), top_k=None, truncation=True)(short)
    for row, answer in zip(scorer.scores(short), answers, strict=True):
        found = {one["label"]: one["score"] for one in answer}
        np.testing.assert_allclose([found[label] for label in scorer.labels], row, atol=1e-6)


def test_a_roberta_is_exported_with_its_own_head(run_named, tmp_path, monkeypatch):
    from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaModel

    run = run_named("cls")
    scorer = network_scorer.load(run)
    settings = RobertaConfig(vocab_size=scorer.encoder.size, hidden_size=scorer.network.body.width, num_hidden_layers=1)
    settings.num_attention_heads = 2
    scorer.network.body.encoder = RobertaModel(settings).eval()
    monkeypatch.setattr(export_model, "load", lambda _: scorer)
    assert export_model.export(run, tmp_path / "model") == "AutoModelForSequenceClassification"
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    ids, mask = scorer._inputs(["wheat and corn", "gold"]).tensors(np.arange(2), "cpu")
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask).logits, scorer.network(ids, mask) - scorer.shift)


def test_of_a_long_text_no_more_than_its_start_is_split(run_named):
    scorer = network_scorer.load(run_named("mean"))
    long = "wheat exports fell. " * 250_000  # 5 MB
    split, tokenizer = [], scorer.encoder.tokenizer

    class Watched:
        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, text, **options):
            split.append(max(map(len, [text] if isinstance(text, str) else text)))
            return tokenizer(text, **options)

    watched = dataclasses.replace(scorer, encoder=dataclasses.replace(scorer.encoder, tokenizer=Watched()))
    assert np.array_equal(watched.scores([long]), scorer.scores([long[:2000]]))
    assert len(watched.contributions(long, 0))
    assert max(split) < 1000
    for text in ("wheat", "x" * 5000, " " * 3000 + "wheat", "小麦" * 3000, "." * 5000, "a\x00b" * 2000, "w " * 3000):
        for most in (1, 7, 100):
            assert scorer.encoder.encode([text], most)[0] == scorer.encoder.encode([text])[0][:most], text[:5]


@pytest.mark.parametrize("name", ["mean", "textcnn"])
def test_what_is_no_list_of_texts_is_a_sentence(name, run_named):
    scorer = network_scorer.load(run_named(name))
    assert scorer.scores([]).shape == (0, len(scorer.labels))
    assert scorer([]) == []
    for texts in ("wheat", None, 5, b"wheat", {"text": "wheat"}):
        with pytest.raises(UserError, match="pass a list"):
            scorer.scores(texts)
    for wrong in (None, float("nan"), 3, b"wheat", ["wheat"]):
        with pytest.raises(UserError, match=r"Text 1 is .*, not a string"):
            scorer(["wheat", wrong])
    assert scorer.scores(iter(("wheat", "\ud800 corn"))).shape == (2, len(scorer.labels))


def test_the_config_of_an_export_holds_the_thresholds_of_the_rule(run_named, tmp_path):
    from transformers import AutoConfig

    run = run_named("cls")
    labels = results.read_metrics(run)["labels"]
    results.save_threshold_set(run, "mine", rule="my own", values=[0.25] * len(labels), chosen_on="test")
    for rule in ("quiet", "kept:mine"):
        words = ["export-model", run.id, "-o", str(tmp_path / rule), "--rule", rule]
        done = CliRunner().invoke(make_app(), words)
        assert done.exit_code == 0, done.exception
        settings = AutoConfig.from_pretrained(tmp_path / rule)
        assert settings.threshold == thresholds.values_of(decisions.find_limits(run, rule))
        assert settings.tailscope["rule"] == rule
        assert settings.tailscope["chosen_on"] == ("test" if rule == "kept:mine" else "validation")


def test_weights_of_another_network_are_a_sentence(run_named):
    run = run_named("textcnn")
    (run.path / "vocabulary.json").write_text('{"words": ["one"]}')
    with pytest.raises(UserError, match="weights are damaged"):
        network_scorer.load(run)


def test_subwords_that_are_damaged_are_a_sentence(run_named):
    run = run_named("textcnn-subwords")
    file = run.path / "encoder" / "tokenizer.json"
    whole = file.read_text("utf-8")
    for damaged in (whole[:500], "{}", whole.replace('"BPE"', '"none"'), whole.replace('"vocab"', '"words"')):
        assert damaged != whole
        file.write_text(damaged)
        with pytest.raises(UserError, match="weights are damaged"):
            network_scorer.load(run)
    file.unlink()
    with pytest.raises(UserError, match="weights are damaged"):
        network_scorer.load(run)


def test_a_run_that_travelled_says_what_it_said_at_home(run, tmp_path):
    texts, stored = texts_of(run)
    share.export(run, tmp_path / "run.zip")
    launch.delete(run.id)
    again = share.import_run(tmp_path / "run.zip")
    np.testing.assert_allclose(network_scorer.load(again).scores(texts), stored, atol=2e-3)

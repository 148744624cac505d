"""The wide path: logits of a linear layer on TF-IDF beside those of a network, trained together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config.parse import with_changes
from core.config.schema import ModelConfig, RunConfig, TrainConfig
from core.losses import build_loss
from core.models.batches import SparseInputs, TokenInputs
from core.models.networks import WIDE_SCALE, TextNetwork, build_network
from core.models.tfidf_features import TfidfEncoder
from core.models.tokens import Tokens, Words
from core.models.wide import FOLDER, WideEncoder, WideInputs
from core.runs import plan
from core.system.errors import UserError
from core.trainer.blocks import blocked
from core.trainer.loop import train
from core.trainer.memory import check_memory_of_wide, memory_needed
from core.trainer.scoring import predict
from core.trainer.state import State
from tests.models.test_networks import BCE, START, TARGETS, TEXTS

NAMES = ("textcnn", "xml-cnn", "cnn-rnn", "bigru-lwan")


def made(name: str = "textcnn", *, long: str = "head", length: int = 6) -> tuple[TextNetwork, WideInputs, WideEncoder]:
    """A network that reads the first words alone, with a wide path that reads all, its weights by chance."""
    hidden = {} if name == "textcnn" else {"hidden": 12}
    more = {} if name == "bigru-lwan" else {"filters": 8}
    config = ModelConfig(
        name=name, embedding=16, max_length=max(8, length), min_df=1, dropout=0.0, wide=True, **hidden, **more
    )
    words, tfidf = Words.fit(TEXTS, config), TfidfEncoder.fit(TEXTS, config)
    torch.manual_seed(0)
    network = build_network(config, words.size, START)
    network.widen(len(tfidf.words), len(START))
    tokens = TokenInputs(Tokens.of(words.encode(TEXTS)), words, np.arange(90), length, long)  # type: ignore[arg-type]
    return network, WideInputs(tokens, SparseInputs(tfidf.encode(TEXTS))), WideEncoder(words, tfidf)


def scores_of(network: TextNetwork, inputs: WideInputs) -> np.ndarray:
    return np.concatenate(list(predict(network, inputs, device="cpu")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("long", ["head", "window"])
def test_the_logits_are_those_of_the_network_and_of_the_linear_layer(name: str, long: str) -> None:
    network, inputs, _ = made(name, long=long)
    deep = torch.logit(torch.from_numpy(np.concatenate(list(predict(network, inputs.tokens, device="cpu")))))
    start = torch.logit(torch.from_numpy(scores_of(network, inputs)))
    torch.testing.assert_close(start, deep, atol=1e-4, rtol=0)  # the wide path begins at 0
    weights = 0.1 * torch.randn(network.wide.weight.shape)
    network.wide.weight.data.copy_(weights)
    wide = WIDE_SCALE * (inputs.features.features @ weights.numpy())
    found = torch.logit(torch.from_numpy(scores_of(network, inputs)))
    np.testing.assert_allclose(found, deep.numpy() + wide, atol=2e-3)


def test_without_it_a_network_draws_the_same_weights() -> None:
    network, _, _ = made()
    torch.manual_seed(0)
    config = ModelConfig(name="textcnn", embedding=16, filters=8, max_length=8, min_df=1, dropout=0.0)
    plain = build_network(config, network.body.vectors.num_embeddings, START)
    assert plain.wide is None
    assert set(network.state_dict()) - set(plain.state_dict()) == {"wide.weight"}
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=0)


def test_what_the_network_does_not_read_is_learnt_by_the_wide_path() -> None:
    # The word that tells is behind the tokens that are read: the network alone cannot know.
    texts = [f"filler{i % 5} word more of it {'wheat' if i % 3 else 'gold'}" for i in range(90)]
    config = ModelConfig(name="textcnn", embedding=8, filters=4, max_length=8, min_df=1, dropout=0.0, wide=True)
    words, tfidf = Words.fit(texts, config), TfidfEncoder.fit(texts, config)
    read = TokenInputs(Tokens.of(words.encode(texts)), words, np.arange(90), 4)
    inputs = WideInputs(read, SparseInputs(tfidf.encode(texts)))
    found = {}
    for kind, read_by in {"wide": inputs, "plain": read}.items():
        torch.manual_seed(0)
        network = build_network(config, words.size, START)
        if kind == "wide":
            network.widen(len(tfidf.words), len(START))
        settings = TrainConfig(optimizer="adamw", learning_rate=0.02, epochs=10, batch_size=16)
        state = State.begin(network, settings, 90)
        list(train(state, BCE, read_by, TARGETS, config=settings, seed=0, device="cpu"))
        scores = np.concatenate(list(predict(network, read_by, device="cpu")))
        found[kind] = ((scores > 0.5)[:, :2] == TARGETS.toarray()[:, :2]).mean()
    assert found["wide"] > 0.95
    assert found["plain"] < 0.75


@given(st.permutations(range(9)), st.integers(6, 60))
@settings(max_examples=15, deadline=None)
def test_parts_and_order_change_no_logit(order: list[int], most: int) -> None:
    network, inputs, _ = made(long="window", length=3)
    network.eval()
    network.wide.weight.data.normal_()
    rows = np.array(order)
    with torch.no_grad():
        whole = network(*inputs.tensors(rows, "cpu"))
        parts = torch.cat([network(*inputs.tensors(part, "cpu")) for part in inputs.parts(rows, most)])
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_it_is_kept_beside_the_words_of_the_network(tmp_path: Path) -> None:
    _, inputs, encoder = made()
    encoder.save(tmp_path)
    assert Words.load(tmp_path).vocabulary == encoder.tokens.vocabulary  # type: ignore[union-attr]
    again = TfidfEncoder.load(tmp_path / FOLDER)
    assert again.words == encoder.features.words
    np.testing.assert_allclose(again.encode(TEXTS).toarray(), inputs.features.features.toarray(), rtol=1e-6)


def test_many_labels_are_not_made_in_blocks_with_it() -> None:
    network, _, _ = made()
    loss = build_loss("db", [60, 30, 15], 90)
    assert blocked(network, loss) is None
    network.wide = None
    assert blocked(network, loss) is not None


def test_two_hundred_thousand_labels_are_refused_with_what_they_need() -> None:
    network, _, _ = made()
    network.wide = None
    config = plan.make_config(data="synthetic", model="textcnn", loss="db", seed=0, changes=["model.wide=true"])
    labels, free = 200_000, 8_000_000_000

    def check(words: int, config: RunConfig = config, *, labels: int = labels, free: int = free) -> None:
        check_memory_of_wide(config, network, words, 90, labels, free)

    # 16 bytes for each of 30,000 x 200,000 weights, and those of the network, of its logits and of what it scores.
    with pytest.raises(
        UserError, match=r"30,000 words x 200,000 labels.* 98\.5 GB, and 8\.0 GB.*max_features=17\d\d\."
    ) as said:
        check(30_000)
    fitting = int(str(said.value).rpartition("=")[2].rstrip("."))
    check(fitting)
    with pytest.raises(UserError, match=r"leave model\.wide=false"):
        check(100_000, free=1_000_000_000)
    with pytest.raises(UserError, match=r"122\.5 GB"):
        check(30_000, with_changes(config, ["train.average=1"]))
    check(30_000, labels=90, free=3_000_000_000)


def test_its_weights_are_foretold() -> None:
    network, _, _ = made()
    config = plan.make_config(data="synthetic", model="textcnn", loss="db", seed=0, changes=["model.wide=true"])
    needed, size = memory_needed(config, network, 90, 3), network.wide.weight.numel()
    network.wide = None
    assert needed - memory_needed(config, network, 90, 3) == 16 * size


def test_logits_are_foretold_unless_they_are_made_in_blocks_and_half_precision_has_a_copy_of_the_weights() -> None:
    network, _, _ = made()
    config = plan.make_config(data="synthetic", model="textcnn", loss="db", seed=0, changes=["train.precision=fp32"])
    needed = memory_needed(config, network, 90, 50_000)
    batch = config.train.batch_size
    assert needed - memory_needed(config, network, 90, 50_000, in_blocks=True) == 12 * min(batch, 90) * 50_000
    half = with_changes(config, ["train.precision=bf16"])
    assert memory_needed(half, network, 90, 50_000) - needed == 2 * network.head.output.weight.numel()


def test_models_that_cannot_have_it_say_so() -> None:
    for model, loss in (("tfidf", "db"), ("svm", None), ("encdec", None), ("ocd", None)):
        with pytest.raises(UserError, match=r"does not read model\.wide"):
            plan.make_config(data="synthetic", model=model, loss=loss, seed=0, changes=["model.wide=true"])


def test_fewer_words_or_windows_of_none_add_nothing() -> None:
    network, inputs, encoder = made(long="window")
    network.eval()
    empty = encoder.features.encode(["", "unheard"])
    tokens = replace(inputs.tokens, tokens=Tokens.of(encoder.tokens.encode(["", "unheard"])), rows=np.arange(2))
    network.wide.weight.data.normal_()
    both = WideInputs(tokens, SparseInputs(empty))
    with torch.no_grad():
        found = network(*both.tensors(np.arange(2), "cpu"))
        alone = network(*tokens.tensors(np.arange(2), "cpu"))
    torch.testing.assert_close(found, alone)

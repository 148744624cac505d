"""Decoders of labels: what they score and learn, held against all sequences of a small one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.config.parse import with_changes
from core.config.schema import ModelConfig, TrainConfig
from core.data.corpus import describe_large_sets
from core.models.batches import TokenInputs
from core.models.decoders import SequenceDecoder
from core.models.networks import TextNetwork, build_network
from core.models.tokens import Tokens, Words
from core.runs import plan
from core.system.errors import UserError
from core.trainer.loop import targets_of, train
from core.trainer.scoring import predict
from core.trainer.setup import make_setup
from core.trainer.state import State
from tests.models.test_networks import START, TARGETS, TEXTS

END = 3


def small(*, beam: int = 50, most: int = 3, start: Tensor = START) -> tuple[SequenceDecoder, Tensor, Tensor]:
    """A decoder with random weights, and states (B, T, H) of four documents with their mask."""
    torch.manual_seed(0)
    decoder = SequenceDecoder(6, start, hidden=5, dropout=0.0, beam=beam, most=most)
    for parameter in decoder.parameters():
        parameter.data.mul_(3.0)
    mask = torch.arange(7) < torch.tensor([7, 4, 2, 1]).unsqueeze(1)
    return decoder.eval(), torch.randn(4, 7, 6) * mask.unsqueeze(-1), mask


def share_of(decoder: SequenceDecoder, sequence: tuple[int, ...], states: Tensor, mask: Tensor) -> float:
    """The probability of a sequence that begins with these labels, for one document, a step at a time."""
    memory, last, share = decoder._start(states, mask), torch.tensor([[decoder.labels]]), 1.0
    for place, label in enumerate(sequence):
        logits, memory = decoder._step(last, memory, states, mask, 1)
        logits[0, list(sequence[:place])] = -torch.inf
        share *= float(logits.softmax(-1)[0, label])
        last = torch.tensor([[label]])
    return share


@torch.no_grad()
def test_a_label_scores_the_probability_that_some_sequence_writes_it() -> None:
    decoder, states, mask = small()
    scores = torch.sigmoid(decoder(states, mask))
    for row in range(len(states)):
        one = states[row : row + 1], mask[row : row + 1]
        expected = np.zeros(3)
        for many in (1, 2, 3):
            for sequence in itertools.permutations(range(3), many):
                expected[sequence[-1]] += share_of(decoder, sequence, *one)
        np.testing.assert_allclose(scores[row], expected, atol=1e-3)


@torch.no_grad()
def test_a_narrower_beam_and_fewer_labels_find_less_and_never_more() -> None:
    decoder, states, mask = small(start=torch.logit(torch.linspace(0.4, 0.1, 8)))
    found = []
    for decoder.beam, decoder.most in ((50, 8), (3, 8), (1, 8), (1, 2), (1, 1)):
        found.append(torch.sigmoid(decoder(states, mask)).sum(1))
    for more, less in itertools.pairwise(found):
        assert (less <= more + 1e-4).all()
    np.testing.assert_array_less(found[-1], 1.0 + 1e-5)  # one label at most


@torch.no_grad()
def test_padding_and_neighbours_change_no_score() -> None:
    decoder, states, mask = small(beam=2)
    scores = decoder(states, mask)
    wider = torch.cat([states, torch.randn(4, 3, 6)], dim=1), torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], 1)
    np.testing.assert_allclose(decoder(*wider), scores, atol=1e-4)
    for row in range(4):
        np.testing.assert_allclose(decoder(states[row : row + 1], mask[row : row + 1])[0], scores[row], atol=1e-4)


SETS = [[0, 2], [], [1], [0, 1, 2]]


def matrix(sets: list[list[int]], labels: int = 3) -> Tensor:
    found = torch.zeros(len(sets), labels)
    for row, one in enumerate(sets):
        found[row, one] = 1
    return found


@torch.no_grad()
def test_the_loss_of_writing_is_the_probability_of_the_labels_in_order_and_the_end() -> None:
    decoder, states, mask = small()
    expected = [
        -np.log(share_of(decoder, (*one, END), states[row : row + 1], mask[row : row + 1])) / (len(one) + 1)
        for row, one in enumerate(SETS)
    ]
    features = decoder.features(states, mask)
    np.testing.assert_allclose(decoder.write_loss(features, matrix(SETS)), np.mean(expected), rtol=1e-4)


@torch.no_grad()
def test_completion_learns_any_missing_label_and_then_the_end() -> None:
    # Of a document without labels, the end at once; of one with all labels, each of them once, then the end.
    decoder, states, mask = small()
    states, mask = states[:1], mask[:1]
    features = decoder.features(states, mask)
    none = -np.log(share_of(decoder, (END,), states, mask))
    np.testing.assert_allclose(decoder.complete_loss(features, matrix([[]])), none, rtol=1e-4)
    # Whatever it writes by chance, and wherever it ends: the mean of its steps.
    possible = []
    for order in itertools.permutations(range(3)):
        steps = []
        for place in range(3):
            before = share_of(decoder, order[:place], states, mask)
            left = [label for label in range(3) if label not in order[:place]]
            shares = [share_of(decoder, (*order[:place], label), states, mask) / before for label in left]
            steps.append(-np.mean(np.log(shares)))
        steps.append(-np.log(share_of(decoder, (*order, END), states, mask) / share_of(decoder, order, states, mask)))
        possible += [np.mean(steps[: ends + 1]) for ends in range(4)]
    found = {float(decoder.complete_loss(features, matrix([[0, 1, 2]]))) for _ in range(60)}
    assert len({round(value, 4) for value in found}) > 2
    for value in found:
        assert np.isclose(value, possible, rtol=1e-4).any()


@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_index_pairs_and_a_matrix_are_the_same_targets(sets: list[set[int]]) -> None:
    torch.manual_seed(0)
    decoder = SequenceDecoder(4, torch.zeros(6), hidden=3, dropout=0.0, beam=2, most=6)
    features = decoder.features(torch.randn(len(sets), 3, 4), torch.ones(len(sets), 3, dtype=torch.bool))
    dense = matrix([sorted(one) for one in sets], 6)
    rows, columns = dense.nonzero(as_tuple=True)
    mixed = torch.randperm(len(rows))
    for loss in (decoder.write_loss, decoder.complete_loss):
        values = []
        for targets in (dense, (rows[mixed], columns[mixed])):
            torch.manual_seed(1)
            values.append(loss(features, targets).item())
        assert values[0] == pytest.approx(values[1], rel=1e-5)
        assert np.isfinite(values).all()


def made(name: str, **more: int) -> tuple[TextNetwork, TokenInputs]:
    config = ModelConfig(name=name, embedding=16, hidden=24, max_length=16, min_df=1, dropout=0.1, **more)
    words = Words.fit(TEXTS, config)
    torch.manual_seed(0)
    network = build_network(config, words.size, START)
    return network, TokenInputs(Tokens.of(words.encode(TEXTS)), words, np.arange(90), 16, "head")


@pytest.mark.parametrize("name", ["encdec", "ocd"])
def test_both_learn_sets_of_labels_from_texts(name: str) -> None:
    network, inputs = made(name)
    config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=12, batch_size=16, clip=1.0)
    state = State.begin(network, config, 90)
    state.forward = network.features
    head: SequenceDecoder = network.head  # type: ignore[assignment]
    loss = head.write_loss if name == "encdec" else head.complete_loss
    steps = list(train(state, loss, inputs, TARGETS, config=config, seed=0, device="cpu"))
    assert steps[-1].train_loss < 0.5 * steps[0].train_loss
    scores = np.concatenate(list(predict(network, inputs, device="cpu")))
    right = (scores > 0.5)[:, :2] == TARGETS.toarray()[:, :2]  # by a word each; the third comes at random
    assert right.mean() > 0.95
    assert scores[TARGETS.toarray()[:, 1], 2].mean() > 5 * scores[~TARGETS.toarray()[:, 1], 2].mean()


def test_more_labels_than_a_decoder_writes_are_one_sentence() -> None:
    config = plan.make_config(data="synthetic", model="encdec", loss=None, seed=0, changes=[])
    with pytest.raises(UserError, match=r"max_labels"):
        with_changes(config, ["model.max_labels=5000"])
    with pytest.raises(UserError, match=r"does not read model\.long"):
        with_changes(config, ["model.long=window"])
    with pytest.raises(UserError, match="own"):
        plan.make_config(data="synthetic", model="ocd", loss="db", seed=0, changes=[])


def test_documents_with_more_labels_than_it_writes_are_counted_before_training(monkeypatch) -> None:
    from core.data import sources
    from core.jobs.reporter import SilentReporter

    changes = ["model.max_labels=1", "data.synthetic.documents=120", "data.synthetic.labels=8"]
    config = plan.make_config(data="synthetic", model="ocd", loss=None, seed=0, changes=changes)
    corpus = sources.load(config.data)
    sizes = np.diff(corpus.targets_of("train").indptr)
    with pytest.raises(
        UserError, match=rf"^{(sizes > 1).sum()} train documents have more than 1 labels .*{sizes.max()}"
    ):
        make_setup(config, corpus, SilentReporter(), "cpu")


def test_the_setting_that_would_do_is_named_where_there_is_one() -> None:
    config = ModelConfig(name="encdec")
    assert describe_large_sets(config, np.array([3, 50])) == ""
    some = describe_large_sets(config, np.array([3, 51, 120]))
    assert some.startswith("2 train documents have more than 50 labels (the most: 120)")
    assert "set model.max_labels=120, or choose another model" in some
    with_changes(plan.make_config(data="synthetic", model="encdec", loss=None, seed=0), ["model.max_labels=120"])
    too_many = describe_large_sets(ModelConfig(name="ocd", max_labels=200), np.array([3, 5000]))
    assert too_many.startswith("1 train document has more than 200 labels (the most: 5,000)")
    assert too_many.endswith("one after another: choose another model.")


def test_targets_of_many_labels_come_as_pairs_which_a_decoder_takes() -> None:
    import scipy.sparse as sp

    many = sp.csr_array((np.ones(3, bool), ([0, 0, 2], [1500, 4, 7])), shape=(3, 2000))
    decoder = SequenceDecoder(4, torch.zeros(2000), hidden=3, dropout=0.0, beam=2, most=3)
    wanted, there = decoder.sequences(targets_of(many, "cpu"), 3)
    assert wanted.tolist() == [[4, 1500, 2000], [2000, 2000, 2000], [7, 2000, 2000]]
    assert there.sum(1).tolist() == [3, 1, 2]

"""The moving average of the weights: what it is, that it is what is scored and kept, and what it cannot go with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config.schema import ModelConfig, RunConfig, TrainConfig
from core.data import sources
from core.jobs.reporter import SilentReporter
from core.models.batches import SparseInputs
from core.models.tfidf import TfidfNetwork
from core.models.tfidf_features import TfidfEncoder
from core.runs import plan
from core.system.errors import UserError
from core.trainer import optimizer as optimizers
from core.trainer.checkpoint import read_checkpoint, write_checkpoint
from core.trainer.loop import train
from core.trainer.memory import memory_needed
from core.trainer.setup import make_setup
from core.trainer.state import State
from tests.models.test_networks import BCE, START, TARGETS, TEXTS, made


def trained(average: float, *, epochs: int = 2, **more: object) -> tuple[State, list[list[torch.Tensor]]]:
    """A state after some epochs of 6 steps, and the weights after each step."""
    network, inputs = made(dropout=0.0)
    config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=epochs, batch_size=16, average=average, **more)
    state, seen = State.begin(network, config, 90), []
    steps = train(state, BCE, inputs, TARGETS, config=config, seed=0, device="cpu")
    seen += [[parameter.detach().clone() for parameter in network.parameters()] for _ in steps]
    return state, seen


@pytest.mark.parametrize("average", [0.1, 0.5, 20.0])
@pytest.mark.parametrize("schedule", [{}, {"warmup": 0.2, "schedule": "cosine"}])
def test_it_is_the_mean_of_the_weights_after_each_step_the_last_ones_counting_most(average, schedule) -> None:
    state, seen = trained(average, **schedule)
    decay = max(0.0, 1 - 1 / (6 * average))
    counts = decay ** np.arange(len(seen))[::-1] if decay else np.arange(len(seen)) == len(seen) - 1
    for place, parameter in enumerate(state.scored.parameters()):
        steps = torch.stack([one[place] for one in seen]).double()
        expected = torch.tensordot(torch.from_numpy(counts / counts.sum()), steps, 1)
        torch.testing.assert_close(parameter.double(), expected, atol=1e-6, rtol=1e-5)


def test_it_changes_no_step_and_without_it_the_network_itself_is_scored() -> None:
    state, seen = trained(0.0)
    averaged, with_average = trained(0.5)
    assert state.averaged is None
    assert state.scored is state.network
    assert averaged.scored is not averaged.network
    for left, right in zip(seen, with_average, strict=True):
        for one, other in zip(left, right, strict=True):
            torch.testing.assert_close(one, other, atol=0, rtol=0)


@given(st.integers(1, 11))
@settings(max_examples=2, deadline=None)
def test_a_checkpoint_keeps_it_to_the_last_bit(step: int) -> None:
    import tempfile

    whole, _ = trained(0.7)
    network, inputs = made(dropout=0.0)
    config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=2, batch_size=16, average=0.7)
    state = State.begin(network, config, 90)
    options = {"config": config, "seed": 0, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        for number, _ in enumerate(train(state, BCE, inputs, TARGETS, **options), 1):
            state.unevaluated = None
            if number == step:
                write_checkpoint(Path(folder), state, {})
                break
        network, inputs = made(dropout=0.0)
        again = State.begin(network, config, 90)
        assert read_checkpoint(Path(folder), again) == {}
    for _ in train(again, BCE, inputs, TARGETS, **options):
        pass
    for one, other in zip(whole.scored.parameters(), again.scored.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_frozen_weights_stay_and_buffers_are_shared_by_value() -> None:
    network, inputs = made(dropout=0.0)
    network.body.vectors.weight.requires_grad_(False)
    config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=1, batch_size=16, average=1.0)
    state = State.begin(network, config, 90)
    list(train(state, BCE, inputs, TARGETS, config=config, seed=0, device="cpu"))
    torch.testing.assert_close(state.scored.body.vectors.weight, network.body.vectors.weight, atol=0, rtol=0)


def test_a_run_is_scored_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ["data.synthetic.documents=120", "data.synthetic.labels=8", "train.average=2"]
    config = plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=0, changes=changes)
    setup = make_setup(config, sources.load(config.data), SilentReporter(), "cpu")
    assert setup.whole is setup.state.averaged
    setup.gather_weights()
    assert setup.whole is not setup.network
    # Words alone that a step moves, as with thousands of labels: no average.
    monkeypatch.setattr(optimizers, "MANY_WEIGHTS", 0)
    with pytest.raises(UserError, match=r"train\.average=0, or train\.optimizer=adamw"):
        make_setup(config, sources.load(config.data), SilentReporter(), "cpu")


def test_shards_have_none() -> None:
    values = {"model": {"name": "transformer"}, "loss": {"name": "db"}, "train": {"shard": True, "average": 1.0}}
    with pytest.raises(UserError, match=r"train\.average=0"):
        RunConfig.model_validate(values)


def test_memory_has_a_copy_more() -> None:
    encoder = TfidfEncoder.fit(TEXTS, ModelConfig(min_df=1))
    network = TfidfNetwork(len(encoder.words), START, ModelConfig())
    assert len(SparseInputs(encoder.encode(TEXTS))) == 90
    config = plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=0, changes=[])
    averaged = config.model_copy(update={"train": config.train.model_copy(update={"average": 1.0})})
    size = sum(parameter.numel() for parameter in network.parameters())
    assert memory_needed(averaged, network, 90, 3) - memory_needed(config, network, 90, 3) == 4 * size

"""Documents that teach nothing any longer are left out of the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.config.schema import RunConfig, TrainConfig
from core.losses import build_loss
from core.system.errors import UserError
from core.trainer.loop import Preparation, compute_gradient, skip_learnt, train
from core.trainer.state import State
from tests.models.test_networks import BCE, TARGETS, made

ROWS = np.arange(40)


def begun(below: float, *, most: int = 16_384, warm: int = 0) -> tuple[State, Preparation, TrainConfig]:
    """A state in its second epoch, after so many steps."""
    network, inputs = made(dropout=0.0)
    config = TrainConfig(
        optimizer="adamw", learning_rate=0.01, epochs=4, batch_size=16, skip_below=below, max_tokens=most
    )
    state = State.begin(network, config, 90)
    for number, _ in enumerate(train(state, BCE, inputs, TARGETS, config=config, seed=0, device="cpu")):
        if number >= warm - 1:
            break
    state.epoch = 2
    return state, Preparation(state, inputs, TARGETS, "cpu"), config


def lengths_of(state: State, preparation: Preparation, loss: object = BCE) -> np.ndarray:
    """The gradient of each document's logits, one document at a time."""
    found = []
    state.network.eval()
    for row in ROWS:
        part = preparation.make_part(np.array([row]), 1.0)
        read = state.network(*part.tensors).detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(read, part.targets), read)  # type: ignore[operator]
        found.append(float(slope.norm()))
    return np.array(found)


@given(st.floats(0.05, 0.95), st.sampled_from([16_384, 60]))
@settings(max_examples=4, deadline=None)
def test_it_leaves_out_those_whose_gradient_is_small_beside_the_mean(below: float, most: int) -> None:
    state, preparation, config = begun(below, most=most, warm=9)
    lengths = lengths_of(state, preparation)
    expected = ROWS[lengths >= below * lengths.mean()]
    parts, value = skip_learnt(state, BCE, preparation, ROWS, preparation.prepare(ROWS).parts, config)
    kept = np.sort(np.concatenate([part.rows for part in parts]))
    clear = np.abs(lengths / lengths.mean() - below) > 1e-4
    assert set(kept) ^ set(expected) <= set(ROWS[~clear])
    assert 0 < len(kept) <= 40
    assert sum(part.weight for part in parts) == pytest.approx(len(kept) / 40)
    assert state.network.training
    # The loss is that of all documents.
    everything = preparation.make_part(ROWS, 1.0)
    whole = BCE(state.network(*everything.tensors), everything.targets).item()
    found = compute_gradient(state, BCE, preparation, ROWS, preparation.prepare(ROWS).parts, config)
    assert found == pytest.approx(whole, rel=1e-4)
    assert value <= whole + 1e-6


def test_the_gradient_is_that_of_the_documents_that_are_left() -> None:
    state, preparation, config = begun(0.8, warm=9)
    parts, _ = skip_learnt(state, BCE, preparation, ROWS, preparation.prepare(ROWS).parts, config)
    kept = np.concatenate([part.rows for part in parts])
    assert 0 < len(kept) < 40
    state.optimizer.zero_grad()
    compute_gradient(state, BCE, preparation, ROWS, preparation.prepare(ROWS).parts, config)
    found = [parameter.grad.clone() for parameter in state.parameters]
    state.optimizer.zero_grad()
    alone = preparation.make_part(kept, 1.0)
    (BCE(state.network(*alone.tensors), alone.targets) * len(kept) / 40).backward()
    for gradient, parameter in zip(found, state.parameters, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-6, rtol=1e-4)


def test_the_first_epoch_is_whole_and_0_skips_nothing() -> None:
    computed = []

    def counting(logits: Tensor, targets: Tensor) -> Tensor:
        computed.append((len(logits), logits.grad_fn is not None and logits.requires_grad))
        return BCE(logits, targets)

    for below, epochs in ((0.9, 1), (0.0, 3)):
        network, inputs = made(dropout=0.0)
        config = TrainConfig(optimizer="adamw", epochs=epochs, batch_size=30, skip_below=below, learning_rate=0.01)
        state = State.begin(network, config, 90)
        list(train(state, counting, inputs, TARGETS, config=config, seed=0, device="cpu"))
        assert computed == [(30, True)] * 3 * epochs
        computed.clear()


@pytest.mark.parametrize("name", ["db", "soft-f1"])
def test_it_learns_what_all_documents_teach(name: str) -> None:
    loss = build_loss(name, [60, 30, 15], 90)
    found = []
    for below in (0.0, 0.3):
        network, inputs = made(dropout=0.0)
        config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=5, batch_size=16, skip_below=below)
        state = State.begin(network, config, 90)
        steps = list(train(state, loss, inputs, TARGETS, config=config, seed=0, device="cpu"))
        found.append(steps[-1].train_loss / steps[5].train_loss)
    assert found[1] < max(0.6, 2 * found[0])


def test_shards_compute_alike() -> None:
    values = {"model": {"name": "transformer"}, "loss": {"name": "db"}, "train": {"shard": True, "skip_below": 0.1}}
    with pytest.raises(UserError, match=r"train\.skip_below=0"):
        RunConfig.model_validate(values)

"""Weights of labels that start at their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.config.schema import ModelConfig, RunConfig
from core.models.label_names import start_at_names
from core.models.networks import TextNetwork, build_network
from core.models.tokens import Subwords
from core.system.errors import UserError

LABELS = ("gold", "money-fx", "money-supply", "veg-oil", "palm-oil", "---")


def started(encoder: Path, labels: tuple[str, ...] = LABELS, **more: str) -> TextNetwork:
    config = ModelConfig(name="transformer", encoder=str(encoder), max_length=16, names=True, **more)
    torch.manual_seed(0)
    network = build_network(config, 0, torch.zeros(len(labels)))
    before = torch.get_rng_state()
    start_at_names(network, Subwords.load(str(encoder)), labels)
    assert torch.equal(torch.get_rng_state(), before)
    assert network.training
    return network


@pytest.mark.parametrize("pooling", ["mean", "cls", "lwan"])
def test_a_label_starts_at_what_the_encoder_makes_of_its_name(tiny_encoder: Path, pooling: str) -> None:
    network = started(tiny_encoder, pooling=pooling)
    weights = network.head.queries if pooling == "lwan" else network.head.output.weight
    np.testing.assert_allclose(weights.detach().norm(dim=1), 0.02 * np.sqrt(weights.shape[1]), rtol=1e-4)
    # Each is what the encoder makes of the name alone, but for the centre of all and its length.
    reader, found = Subwords.load(str(tiny_encoder)), []
    network.eval()
    for label in ("gold", "money fx", "money supply", "veg oil", "palm oil", "---"):
        ids = torch.tensor([[*reader.before, *reader.encode([label])[0], *reader.after]])
        mask = torch.ones_like(ids, dtype=torch.bool)
        states = network.body(ids, mask)
        found.append((states[:, 0] if pooling == "cls" else states.mean(1))[0])
    centred = torch.stack(found) - torch.stack(found).mean(0)
    expected = torch.nn.functional.normalize(centred)
    torch.testing.assert_close(torch.nn.functional.normalize(weights), expected, atol=1e-4, rtol=1e-3)
    # Names are read as words, whatever is between them; order and company of labels change no more than the centre.
    again = started(tiny_encoder, (*(label.replace("-", "_") for label in LABELS[:5]), "---"), pooling=pooling)
    other = again.head.queries if pooling == "lwan" else again.head.output.weight
    torch.testing.assert_close(weights, other)


def test_one_label_and_names_that_are_alike_are_no_division_by_nothing(tiny_encoder: Path) -> None:
    for labels in (("gold",), ("gold", "gold ")):
        weights = started(tiny_encoder, labels).head.output.weight
        assert torch.isfinite(weights).all()


def test_a_label_graph_makes_the_weights_itself() -> None:
    with pytest.raises(UserError, match=r"model\.head=label-graph makes the weights that model\.names would set"):
        RunConfig.model_validate(
            {"model": {"name": "transformer", "names": True, "head": "label-graph"}, "loss": {"name": "db"}}
        )
    with pytest.raises(UserError, match=r"does not read model\.names"):
        RunConfig.model_validate({"model": {"name": "textcnn", "names": True}, "loss": {"name": "db"}})

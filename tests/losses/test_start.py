"""The logits that training begins with: where a loss is lowest while nothing is known of a document."""

from __future__ import annotations

import pytest
import torch

from core.config.defaults import LOSS_NAMES
from core.losses import LOSSES, build_loss, constant_logits
from tests.losses.test_long_tail import gradient_of

ELEMENTWISE = [name for name in LOSS_NAMES if LOSSES[name].terms == "element"]


def corpus() -> torch.Tensor:
    """Targets (600, 7) of falling counts, with a document without labels and a label without documents."""
    shares = torch.tensor([0.6, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0])
    targets = torch.rand(600, 7, generator=torch.Generator().manual_seed(0)) < shares
    targets[0] = False
    return targets


@pytest.mark.parametrize("setting", ["reuters", "pubmed", "plain"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_there_the_gradients_of_positives_and_negatives_are_equal(name: str, setting: str) -> None:
    targets = corpus()
    loss = build_loss(name, targets.sum(0), 600, setting=setting, on_missing="mask")
    start = constant_logits(loss, *targets.nonzero(as_tuple=True), 600)
    gradient = gradient_of(loss, start.repeat(600, 1), targets)
    torch.testing.assert_close(
        gradient.sum(0) / gradient.abs().sum(0).clamp_min(1e-30), torch.zeros(7), atol=1e-3, rtol=0
    )
    assert start[6] == torch.logit(torch.tensor(0.5 / 600))


@pytest.mark.parametrize("name", ["bce", *sorted(set(LOSS_NAMES) - set(ELEMENTWISE))])
def test_under_cross_entropy_and_losses_without_terms_of_their_own_they_are_the_log_odds(name: str) -> None:
    targets = corpus()
    loss = build_loss(name, targets.sum(0), 600, on_missing="mask")
    start = constant_logits(loss, *targets.nonzero(as_tuple=True), 600)
    torch.testing.assert_close(start[:6], torch.logit(targets.float().mean(0)[:6]), atol=1e-4, rtol=0)


def test_of_many_documents_a_sample_tells_the_weight_of_negatives() -> None:
    targets = corpus().repeat(20, 1)[torch.randperm(12_000, generator=torch.Generator().manual_seed(0))]
    loss = build_loss("db-0fl", targets.sum(0), 12_000, on_missing="mask")
    start = constant_logits(loss, *targets.nonzero(as_tuple=True), 12_000)
    gradient = gradient_of(loss, start.repeat(12_000, 1), targets)
    assert (gradient.sum(0).abs() < 0.05 * gradient.abs().sum(0) + 1e-12).all()


def test_a_pair_outside_is_said() -> None:
    loss = build_loss("db", [3, 2], 5)
    with pytest.raises(ValueError, match="Row 5, label 0"):
        constant_logits(loss, torch.tensor([5]), torch.tensor([0]), 5)

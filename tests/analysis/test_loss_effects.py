"""Weights, curves and gradients of the loss page: each equals what the loss itself gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from core import losses
from core.analysis import loss_effects, loss_logits, loss_weights
from core.analysis.loss_effects import Choice
from core.labels.groups import Borders
from core.labels.measures import rule_for_mu
from core.losses import LOSSES, build_loss
from core.system.errors import UserError
from tests.helpers.laws import law

BORDERS = Borders(head=35, tail=8)
NAMES = list(LOSSES)
ELEMENTWISE = [name for name in NAMES if loss_effects.is_elementwise(name)]


def small_targets() -> sp.csr_array:
    """100 documents and 6 labels, sorted by how often they occur; every document has the first or the second."""
    dense = np.zeros((100, 6), bool)
    dense[:60, 0] = dense[40:100, 1] = True
    for column, count in enumerate((20, 10, 6, 2), 2):
        dense[column * 3 : column * 3 + count, column] = True
    return sp.csr_array(dense)


@pytest.fixture(scope="module")
def targets() -> sp.csr_array:
    return small_targets()


@pytest.fixture(scope="module")
def counts(targets: sp.csr_array) -> np.ndarray:
    return np.asarray(targets.sum(0)).ravel().astype(np.int64)


@pytest.fixture(scope="module")
def co_labels(targets: sp.csr_array, counts: np.ndarray) -> loss_weights.CoLabels:
    return loss_weights.measure_co_labels(targets, counts, BORDERS)


def element(name: str, counts: np.ndarray, z: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradients of the loss itself, in float64."""
    logits = torch.from_numpy(z).requires_grad_()
    value = build_loss(name, counts, 100, reduction="none").double()(logits, torch.tensor(there))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return value.detach().numpy(), gradient.numpy()


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("beside", [True, False])
def test_curves_are_the_loss_and_its_gradient(name: str, beside: bool, counts: np.ndarray) -> None:
    frame = loss_effects.curve_frame([Choice(name, name)], counts, 100, 4, beside=beside)
    grid = loss_effects.LOGIT_GRID
    for words, there in (("label is there", [beside, True]), ("label is not there", [True, False])):
        z, y = np.zeros((len(grid), 6)), np.zeros((len(grid), 6), bool)
        z[:, 4] = grid
        y[:, [0, 4]] = there
        value, gradient = element(name, counts, z, y)
        rows = frame[frame["side"] == words]
        np.testing.assert_allclose(rows["value"], value[:, 4], rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(rows["gradient"], gradient[:, 4], rtol=1e-5, atol=1e-12)
    assert (frame.loc[frame["side"] == "label is there", "gradient"] <= 0).all()


@pytest.mark.parametrize("name", ["bce", "fl", "cb", "r-fl", "ntr-fl", "db-0fl", "cb-ntr", "db", "ntr-fl-released"])
def test_the_weight_of_a_positive_is_what_its_log_loss_is_multiplied_by(
    name: str, targets: sp.csr_array, counts: np.ndarray, co_labels: loss_weights.CoLabels
) -> None:
    """At s = 0 the loss is weight · .5^gamma · log 2; here averaged over the documents of each label."""
    frame = loss_weights.weight_frame([Choice(name, name)], counts, 100, co_labels, list("abcdef"), "positive")
    loss = build_loss(name, counts, 100, reduction="none").double()
    z = np.broadcast_to(loss.shift.numpy() if loss.kappa else 0.0, (100, 6)).astype(np.float64)
    there = targets.toarray()
    value, _ = element(name, counts, np.ascontiguousarray(z), there)
    weight = value / (0.5**loss.gamma * np.log(2))
    whole = [weight[there[:, column], column] for column in range(6)]
    assert frame["rank"].tolist() == pytest.approx([1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(frame["weight"], [row.mean() for row in whole], rtol=0.15)
    assert (frame["low"] >= [row.min() * 0.9999 for row in whole]).all()
    assert (frame["high"] <= [row.max() * 1.0001 for row in whole]).all()
    groups = loss_weights.group_weights([Choice(name, name)], counts, 100, co_labels, BORDERS, "positive").iloc[0]
    assert groups["tail"] == pytest.approx(np.concatenate(whole[4:]).mean(), rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_mass_is_the_sum_of_the_absolute_gradient(
    name: str, targets: sp.csr_array, counts: np.ndarray
) -> None:
    groups = loss_effects.group_slices(counts, BORDERS)
    start = loss_logits.untrained_logits("prior", counts, 100)
    frame = loss_effects.gradient_mass(Choice(name, name), counts, 100, targets, start, groups)
    z = torch.from_numpy(np.tile(start, (100, 1))).requires_grad_()
    there = targets.toarray()
    (gradient,) = torch.autograd.grad(build_loss(name, counts, 100).double()(z, torch.from_numpy(there)), z)
    size = np.abs(gradient.numpy()) * 6
    for row in frame.to_dict("records"):
        chosen = there if row["side"] == "positive" else ~there
        part = groups[row["group"]]
        assert row["mass"] == pytest.approx((size * chosen)[:, part].sum(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_document_gets_what_the_loss_gives_it(name: str, counts: np.ndarray) -> None:
    z = np.array([1.0, -2.0, 0.5, 3.0, -1.0, 0.0])
    frame = loss_effects.document_frame(Choice(name, name), counts, 100, np.array([0, 4]), z)
    assert frame["positive"].tolist() == [True, False, False, False, True, False]
    assert np.isfinite(frame["push"]).all()
    if loss_effects.is_elementwise(name):
        value, gradient = element(name, counts, z[None], frame["positive"].to_numpy()[None])
        np.testing.assert_allclose(frame["value"], value[0], rtol=1e-6)
        np.testing.assert_allclose(frame["push"], -gradient[0], rtol=1e-6)
    else:
        assert frame[["weight", "value"]].isna().all(axis=None)


def test_untrained_logits_are_zero_or_the_log_odds_and_finite_for_a_label_of_all_documents() -> None:
    counts = np.array([100, 50, 1])
    assert loss_logits.untrained_logits("zero", counts, 100).tolist() == [0, 0, 0]
    prior = loss_logits.untrained_logits("prior", counts, 100)
    assert prior[1:] == pytest.approx([0, -np.log(99)])
    assert np.isfinite(prior[0])


def test_where_a_loss_is_lowest_both_sides_of_every_label_pull_alike(targets: sp.csr_array, counts: np.ndarray) -> None:
    start = loss_logits.lowest_logits(Choice("db", "db"), counts, 100, targets)
    groups = loss_effects.group_slices(counts, BORDERS)
    mass = loss_effects.gradient_mass(Choice("db", "db"), counts, 100, targets, start, groups).set_index(
        ["side", "group"]
    )
    assert mass.loc["positive", "mass"].to_numpy() == pytest.approx(mass.loc["negative", "mass"].to_numpy(), rel=1e-3)


def test_hand_moved_logits_hold_for_the_labels_named() -> None:
    start = np.array([0.0, -1.0, -2.0, -3.0])
    assert loss_logits.logits_by_hand(start, [1, 3], {3: 5.0}, -4.0).tolist() == [-4, -1, -4, 5]


def test_a_mu_out_of_range_is_one_sentence_that_names_the_loss(counts: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"^Loss 'db': .*mu"):
        Choice("db", "db", "reuters", (("mu", 1.5),)).constants(counts, 100)


def test_the_rule_for_mu_lies_between_mean_and_median_of_r(targets: sp.csr_array, counts: np.ndarray) -> None:
    inverse = targets.toarray() / counts
    r = (inverse / inverse.sum(1, keepdims=True))[targets.toarray()]
    assert rule_for_mu(targets, counts) == pytest.approx((r.mean() + np.median(r)) / 2)


@law(60)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 8))
def test_the_rule_for_mu_is_that_of_the_losses(seed: int, documents: int, labels: int) -> None:
    """Pages read it without PyTorch; training reads `auto_mu`."""
    rng = np.random.default_rng(seed)
    held = sp.csr_array(rng.random((documents, labels)) < rng.random(labels))
    counts = np.asarray(held.sum(axis=0))
    if held.nnz:
        pairs = losses.index_pairs(held)
        assert rule_for_mu(held, counts) == pytest.approx(losses.auto_mu(*pairs, counts), rel=1e-12)


@pytest.mark.parametrize("labels", [1, 90, 18_211])
def test_bins_cover_all_ranks_once(labels: int) -> None:
    edges = loss_effects.rank_bins(labels)
    assert (edges[0], edges[-1]) == (0, labels)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= loss_effects.RANK_BINS + 1

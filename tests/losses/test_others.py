"""Losses beyond the paper: what holds for each of them, the law that defines each, and a run that trains with it."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus

from core import losses
from core.config.defaults import LOSS_CONSTANTS, PAPER_LOSSES
from core.losses import LOSSES, REDUCTIONS, LongTailLoss, TermLoss, build_loss, others
from core.runs import journal, results
from core.runs.plan import loss_names
from tests.helpers.laws import law
from tests.helpers.training import train_here
from tests.losses.test_long_tail import COUNTS, DOCUMENTS, batch, gradient_of, problems

LINEAR = ["data.synthetic.documents=400", "data.synthetic.labels=12", "train.epochs=6"]
NAMES = [name for name in LOSSES if LOSSES[name].group == "others"]
LAW = law(25)
PULLING = [name for name in NAMES if name not in ("dice", "apl", "two-way")]
"""A positive's gradient is never above 0, a negative's never below; Dice lets sure positives go again, and so on."""


def double(name: str, counts: Any = COUNTS, documents: int = DOCUMENTS, **options: Any) -> LongTailLoss | TermLoss:
    return build_loss(name, counts, documents, **options).double()


def elements(name: str, logits: Any, positive: bool, **constants: float) -> Tensor:
    """Terms of logits (G,), each of them alone in a document of one label."""
    z = torch.tensor(logits, dtype=torch.float64)[:, None]
    loss = double(name, [1], 2, reduction="none", **constants)
    value: Tensor = loss(z, torch.full_like(z, positive))
    return value[:, 0] if value.ndim == 2 else value


# What holds for all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name: str) -> None:
    logits, targets = batch()
    for reduction in REDUCTIONS[LOSSES[name].terms]:
        loss = double(name, reduction=reduction)
        assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits.clone().requires_grad_())  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_saturated_logits_give_finite_losses_and_gradients(name: str, dtype: torch.dtype) -> None:
    logits = torch.tensor([[-1e4, -100, 100, 1e4]] * 3, dtype=dtype)
    targets = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0]])
    for z, y in ((logits, targets), (logits[:1], targets[:1]), (logits[1:2], targets[1:2])):
        loss = build_loss(name, COUNTS, DOCUMENTS).to(dtype)
        assert loss(z, y).isfinite()
        assert gradient_of(loss, z, y).isfinite().all()


@LAW
@given(problems(), st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_index_pairs_in_any_order_are_the_targets_and_inputs_stay(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str, random: Any
) -> None:
    counts, documents, logits, targets = problem
    before = logits.clone(), targets.clone()
    pairs = targets.nonzero().tolist()
    pairs += pairs[:2]  # a pair named twice counts once
    random.shuffle(pairs)
    rows, labels = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    loss = double(name, counts, documents)
    value = loss(logits, targets)
    assert torch.equal(loss(logits, (rows.int(), labels.int())), value)
    assert torch.equal(gradient_of(loss, logits, (rows, labels)), gradient_of(loss, logits, targets))  # type: ignore[arg-type]
    assert torch.equal(loss(logits, targets.float()), value)
    assert torch.equal(logits, before[0])
    assert torch.equal(targets, before[1])


@LAW
@given(problems(), st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_the_order_of_labels_and_documents_is_nothing(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str, random: Any
) -> None:
    counts, documents, logits, targets = problem
    columns, rows = list(range(len(counts))), list(range(len(targets)))
    random.shuffle(columns)
    random.shuffle(rows)
    moved = double(name, counts[columns], documents)(logits[rows][:, columns], targets[rows][:, columns])
    torch.testing.assert_close(moved, double(name, counts, documents)(logits, targets))


@LAW
@given(problems(), st.sampled_from(PULLING))
def test_gradients_pull_positives_up_and_negatives_down(problem: tuple[Tensor, int, Tensor, Tensor], name: str) -> None:
    counts, documents, logits, targets = problem
    gradient = gradient_of(double(name, counts, documents), logits, targets)
    assert (gradient[targets] <= 1e-15).all()
    assert (gradient[~targets] >= -1e-15).all()


@pytest.mark.parametrize("name", NAMES)
def test_reductions_are_sums_and_means_of_the_terms(name: str) -> None:
    logits, targets = batch()
    offered = REDUCTIONS[LOSSES[name].terms]
    for reduction in {"mean", "sum", "none", "mean_over_documents"} - set(offered):
        with pytest.raises(ValueError, match=f"'{name}' has one term for each .*reduction is '{reduction}', it must"):
            build_loss(name, COUNTS, DOCUMENTS, reduction=reduction)
    if "none" not in offered:
        return
    terms = double(name, reduction="none")(logits, targets)
    shapes = {"element": (6, 4), "document": (6,), "label": (4,)}
    assert terms.shape == shapes[LOSSES[name].terms]
    torch.testing.assert_close(double(name)(logits, targets), terms.mean())
    torch.testing.assert_close(double(name, reduction="sum")(logits, targets), terms.sum())
    torch.testing.assert_close(double(name, scale=3.0)(logits, targets), 3 * terms.mean())
    if "mean_over_documents" in offered:
        torch.testing.assert_close(double(name, reduction="mean_over_documents")(logits, targets), terms.sum() / 6)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_and_a_single_document_work(name: str) -> None:
    logits, targets = batch()
    loss = double(name)
    empty = torch.zeros(0, 4, dtype=torch.float64, requires_grad=True)
    value = loss(empty, torch.zeros(0, 4))
    value.backward()
    assert value.isfinite()
    torch.testing.assert_close(loss(logits[0], targets[0]), loss(logits[:1], targets[:1]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_short_logits_and_autocast_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    logits, targets = batch(dtype=dtype, spread=4)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    value = loss(logits, targets)
    assert value.dtype is torch.float32
    assert value == loss(logits.float(), targets)
    with torch.autocast("cpu", dtype):
        assert loss(logits, targets) == value
    gradient = gradient_of(loss, logits, targets)
    assert gradient.dtype is dtype
    assert gradient.isfinite().all()
    with torch.no_grad():
        assert not loss(logits.clone().requires_grad_(), targets).requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_and_vectorised_it_is_the_same(name: str) -> None:
    logits, targets = batch()
    pairs = targets.nonzero(as_tuple=True)
    loss = double(name)
    torch.testing.assert_close(torch.func.jacrev(loss)(logits, targets), gradient_of(loss, logits, targets))
    several = torch.stack([logits, -logits])
    mapped = torch.func.vmap(loss, in_dims=(0, None))(several, targets)
    torch.testing.assert_close(mapped, torch.stack([loss(z, targets) for z in several]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(logits, targets), loss(logits, targets))
        torch.testing.assert_close(compiled(logits, pairs), loss(logits, targets))
        torch.testing.assert_close(gradient_of(compiled, logits, targets), gradient_of(loss, logits, targets))


@pytest.mark.parametrize("name", NAMES)
def test_mask_drops_the_column(name: str) -> None:
    logits, targets = batch()
    logits[0, 3] = math.inf
    for reduction in REDUCTIONS[LOSSES[name].terms]:
        masked = double(name, [700, 90, 8, 0], on_missing="mask", reduction=reduction)
        value = masked(logits, targets)
        dropped = double(name, [700, 90, 8], reduction=reduction)(logits[:, :3], targets[:, :3])
        if reduction == "none" and LOSSES[name].terms != "document":
            assert (value[..., 3] == 0).all()
            value = value[..., :3]
        torch.testing.assert_close(value, dropped)
        gradient = gradient_of(masked, logits, targets)
        assert gradient.isfinite().all()
        assert (gradient[:, 3] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_label_without_documents_is_refused_where_the_loss_counts(name: str) -> None:
    if not LOSSES[name].counted:
        assert build_loss(name, [5, 0], 10)(torch.zeros(1, 2), torch.ones(1, 2)).isfinite()
        return
    with pytest.raises(ValueError, match=r"'rye' \(column 1\).*on_missing='clamp'"):
        build_loss(name, [5, 0], 10, labels=["earn", "rye"])


@pytest.mark.parametrize("name", NAMES)
def test_every_constant_is_read_checked_and_known_to_the_settings(name: str) -> None:
    logits, targets = batch()
    usual = double(name)(logits, targets)
    known = losses.constants(name, COUNTS, DOCUMENTS)
    assert tuple(known) == LOSS_CONSTANTS[name]
    for key, value in known.items():
        assert double(name, **{key: value * 0.7 + (0.3 if key == "hill_lambda" else 0.1)})(logits, targets) != usual, (
            key
        )
        with pytest.raises(ValueError, match=f"{key} is nan: it must be"):
            build_loss(name, COUNTS, DOCUMENTS, **{key: math.nan})
    with pytest.raises(ValueError, match=f"Loss '{name}' does not read cb_beta; it reads scale"):
        build_loss(name, COUNTS, DOCUMENTS, cb_beta=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_one_sentence(name: str) -> None:
    loss = build_loss(name, COUNTS, DOCUMENTS)
    with pytest.raises(ValueError, match=r"Logits are \(2, 3\) and targets \(2, 4\): both must be \(documents, 4\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"targets\[1, 2\] is 2.0: targets are 0 or 1"):
        loss(torch.zeros(2, 4), torch.tensor([[0.0, 0, 0, 0], [0, 0, 2, 0]]))
    with pytest.raises(ValueError, match="Row 5, label 0 is not in targets of 2 documents and 4 labels"):
        loss(torch.zeros(2, 4), (torch.tensor([5]), torch.tensor([0])))
    for counts, said in (([5, -1], "counts is -1 for column 1"), ([5, math.nan], "counts is nan for column 1")):
        with pytest.raises(ValueError, match=said):
            build_loss(name, counts, 10)
    with pytest.raises(ValueError, match="did you pass the number of batches"):
        build_loss(name, [500, 3], 32)


@pytest.mark.parametrize("name", NAMES)
def test_each_says_its_source_and_how_it_decides(name: str) -> None:
    other = LOSSES[name]
    assert other.decision in ("logit > 0", "fitted threshold")
    assert any(year in other.source for year in ("2020", "2021", "2022", "2023"))
    if other.function:
        said = " ".join((inspect.getdoc(getattr(others, other.function)) or "").split())
        assert "Source: " in said
        assert "ecide by " in said


def test_the_columns_that_are_kept_follow_the_module_and_are_no_buffer() -> None:
    for name in NAMES:
        loss = build_loss(name, [700, 90, 0, 1], DOCUMENTS, on_missing="mask")
        assert [*loss.state_dict()] == ["_extra_state"]
        assert [*loss.buffers()] == []
        assert loss.to("meta").kept.is_meta  # type: ignore[union-attr]


# The law of each -----------------------------------------------------------------------------------------------------

GRID = [-30.0, -3.0, -0.5, 0.0, 0.5, 3.0, 30.0]
Z = torch.tensor(GRID, dtype=torch.float64)


def test_asl_without_focus_and_margin_is_cross_entropy_and_with_one_focus_focal_loss() -> None:
    logits, targets = batch()
    plain = double("asl", gamma_pos=0, gamma_neg=0, prob_margin=0)(logits, targets)
    torch.testing.assert_close(plain, cross_entropy(logits, targets.double()))
    focal = double("fl", focal_alpha=0.5, gamma=3)(logits, targets)
    torch.testing.assert_close(double("asl", gamma_pos=3, gamma_neg=3, prob_margin=0)(logits, targets), 2 * focal)


def test_asl_drops_negatives_below_the_margin_and_counts_the_others_from_it() -> None:
    p = torch.tensor([0.001, 0.19, 0.2, 0.21, 0.5, 0.9], dtype=torch.float64)
    found = elements("asl", torch.logit(p).tolist(), False, prob_margin=0.2, gamma_neg=2)
    shifted = (p - 0.2).clamp_min(0)
    torch.testing.assert_close(found, -(shifted**2) * torch.log(1 - shifted))
    assert (found[:3] < 1e-12).all()


@LAW
@given(problems())
def test_zlpr_is_the_sum_of_two_log_sum_exps(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    counts, documents, logits, targets = problem
    found = double("zlpr", counts, documents, reduction="none")(logits, targets)
    for row, z, y in zip(found, logits, targets, strict=True):
        wanted = math.log1p((-z[y]).exp().sum().item()) + math.log1p(z[~y].exp().sum().item())
        assert row.item() == pytest.approx(wanted, abs=1e-12)


@LAW
@given(problems())
def test_zlpr_draws_its_line_at_0(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    """A document that zero does not divide costs log 2 or more; one that it divides by far costs next to nothing."""
    counts, documents, logits, targets = problem
    loss = double("zlpr", counts, documents, reduction="none")
    wrong = ((logits > 0) != targets).any(1)
    assert (loss(logits, targets)[wrong] >= math.log(2) - 1e-12).all()
    divided = torch.where(targets, 40.0, -40.0).double()
    assert (loss(divided, targets) < 1e-12).all()


def test_zlpr_of_one_label_is_cross_entropy() -> None:
    torch.testing.assert_close(elements("zlpr", GRID, True), softplus(-Z))
    torch.testing.assert_close(elements("zlpr", GRID, False), softplus(Z))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_logit_adjustment_is_cross_entropy_with_the_prior_added(tau: float) -> None:
    logits, targets = batch()
    prior = torch.tensor(COUNTS, dtype=torch.float64) / DOCUMENTS
    wanted = cross_entropy(logits + tau * torch.logit(prior), targets.double())
    torch.testing.assert_close(double("logit-adjusted", tau=tau)(logits, targets), wanted)
    tolerant = double("ntr-fl", gamma=0, focal_alpha=None, neg_scale=1, kappa=max(tau, 0.0))(logits, targets)
    torch.testing.assert_close(tolerant, 0.5 * wanted)


def test_hill_is_focal_on_shifted_positives_and_flat_on_sure_negatives() -> None:
    q, p = torch.sigmoid(Z - 1), torch.sigmoid(Z)
    torch.testing.assert_close(elements("hill", GRID, True), -((1 - q) ** 2) * torch.log(q))
    torch.testing.assert_close(elements("hill", GRID, False), (1.5 - p) * p**2)
    z = torch.tensor([[0.8], [8.0]], dtype=torch.float64)
    near, far = gradient_of(double("hill", [1], 2, reduction="sum"), z, torch.zeros(2, 1)).abs()
    assert far < 1e-4 * near


def test_apl_without_its_polynomial_is_asl_and_with_ones_starts_at_the_third_power() -> None:
    logits, targets = batch()
    shared = {"gamma_pos": 1.0, "gamma_neg": 3.0, "prob_margin": 0.1}
    torch.testing.assert_close(
        double("apl", poly_1=0.0, poly_2=0.0, **shared)(logits, targets), double("asl", **shared)(logits, targets)
    )
    miss = torch.tensor([1e-3, 1e-2], dtype=torch.float64)
    found = elements("apl", torch.logit(1 - miss).tolist(), True, poly_1=1, poly_2=1)
    torch.testing.assert_close(found, sum(miss**k / k for k in range(3, 12)), rtol=1e-6, atol=0)


@LAW
@given(problems(), st.sampled_from([0.0, 1.0, 3.0]))
def test_dice_lies_between_0_and_1(problem: tuple[Tensor, int, Tensor, Tensor], dice_alpha: float) -> None:
    counts, documents, logits, targets = problem
    found = double("dice", counts, documents, reduction="none", dice_alpha=dice_alpha)(logits, targets)
    assert (found >= -1e-15).all()
    assert (found <= 1).all()


def test_dice_is_one_minus_the_overlap() -> None:
    logits, targets = batch()
    p, y = torch.sigmoid(logits), targets.double()
    for alpha in (0.0, 1.0, 2.0):
        a = (1 - p) ** alpha * p
        wanted = 1 - (2 * (a * y).sum(0) + 1e-4) / (a.sum(0) + y.sum(0) + 1e-4)
        torch.testing.assert_close(double("dice", reduction="none", dice_alpha=alpha)(logits, targets), wanted)
    right = torch.where(targets, 1e3, -1e3).double()
    assert double("dice", dice_alpha=0)(right, targets).item() == pytest.approx(0, abs=1e-12)
    assert double("dice", dice_alpha=0)(-right, targets).item() == pytest.approx(1, abs=1e-3)
    soft = double("soft-f1", reduction="none")(logits, targets)
    torch.testing.assert_close(double("dice", reduction="none", dice_alpha=0, smooth=1e-12)(logits, targets), soft)


def test_two_way_compares_logits_with_one_another() -> None:
    logits, targets = batch()
    torch.testing.assert_close(double("two-way")(logits + 7.5, targets), double("two-way")(logits, targets))
    pair, first = torch.tensor([[1.5, -0.5]], dtype=torch.float64), torch.tensor([[True, False]])
    assert double("two-way", [2, 2], 4)(pair, first).item() == pytest.approx(math.log1p(math.exp(-2)))
    wanted = torch.zeros((), dtype=torch.float64)
    for z, y in ((logits, targets), (logits.T, targets.T)):
        terms = [
            softplus(torch.logsumexp(row[~on], 0) + 4 * torch.logsumexp(-row[on] / 4, 0))
            for row, on in zip(z, y, strict=True)
            if on.any()
        ]
        wanted = wanted + torch.stack(terms).mean()
    torch.testing.assert_close(double("two-way")(logits, targets), wanted)
    assert double("two-way")(logits, torch.zeros(6, 4)) == 0


@LAW
@given(problems())
def test_soft_f1_of_hard_scores_is_one_minus_f1(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    counts, documents, logits, targets = problem
    predicted = logits > 0
    found = double("soft-f1", counts, documents, reduction="none")(torch.where(predicted, 1e4, -1e4).double(), targets)
    wanted = [
        f1_score(y, given, zero_division=0) for y, given in zip(targets.T.numpy(), predicted.T.numpy(), strict=True)
    ]
    assert (1 - found).tolist() == pytest.approx(wanted)


def test_soft_f1_teaches_nothing_about_a_label_that_the_batch_lacks() -> None:
    logits, targets = batch()
    targets[:, 2] = False
    gradient = gradient_of(double("soft-f1"), logits, targets)
    assert (gradient[:, 2] == 0).all()
    assert (gradient[:, 0] != 0).all()


@pytest.mark.parametrize(("a", "b"), [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)])
def test_propensities_are_those_of_jain_and_weigh_positives(a: float, b: float) -> None:
    n = np.array(COUNTS, float)
    propensity = 1 / (1 + (math.log(DOCUMENTS) - 1) * (b + 1) ** a * np.exp(-a * np.log(n + b)))
    assert losses.inverse_propensity(COUNTS, DOCUMENTS, a, b).tolist() == pytest.approx((1 / propensity).tolist())
    assert (np.diff(propensity) < 0).all()
    logits, targets = batch()
    found = double("propensity", reduction="none", prop_a=a, prop_b=b)(logits, targets)
    plain = cross_entropy(logits, targets.double(), reduction="none")
    weight = torch.where(targets, torch.from_numpy(2 / propensity - 1), 1.0)
    torch.testing.assert_close(found, weight * plain)


# In runs -------------------------------------------------------------------------------------------------------------


def test_the_eight_of_the_paper_stay_eight_and_every_loss_can_be_chosen() -> None:
    assert loss_names(["paper"]) == list(PAPER_LOSSES) == list(LOSSES)[:8]
    assert list(LOSS_CONSTANTS) == list(LOSSES)
    assert loss_names(["zlpr", "paper", "db"]) == ["zlpr", *PAPER_LOSSES]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_learns_with_it_and_decides_as_it_asks(name: str) -> None:
    run = train_here("tfidf", name, changes=LINEAR)
    scored = results.read_metrics(run)
    fixed = LOSSES[name].decision == "logit > 0"
    assert run.config.threshold_rule() == scored["threshold_rule"] == ("fixed" if fixed else "quiet")
    assert not fixed or scored["threshold"] == 0.5
    history = journal.read_history(run.path)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert scored["test"]["all"]["micro_f1"] > 0.45


def test_a_chosen_threshold_goes_before_that_of_the_loss() -> None:
    run = train_here("tfidf", "zlpr", changes=[*LINEAR, "train.threshold=exact"])
    assert results.read_metrics(run)["threshold_rule"] == "exact"

"""Losses: published values, laws (Hypothesis), edge cases row by row, numbers of few bits, bad arguments."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from core import losses
from core.config.defaults import SETTINGS
from core.losses import LOSSES, auto_mu, build_loss, constants
from core.losses.checks import find_positives, to_float64
from tests.helpers.laws import law

GOLDEN = Path(os.environ.get("TAILSCOPE_SHARED") or Path(__file__).parents[3] / "shared") / "golden" / "losses.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"] if GOLDEN.is_file() else []
NAMES = [name for name in LOSSES if LOSSES[name].group != "others"]
WEIGHTED = [name for name in NAMES if LOSSES[name].weight != "one"]
REBALANCED = [name for name in NAMES if LOSSES[name].weight == "rebalanced"]
TOLERANT = [name for name in NAMES if LOSSES[name].tolerant]
COUNTED = [name for name in NAMES if LOSSES[name].tolerant or LOSSES[name].weight != "one"]
COUNTS, DOCUMENTS = [700, 90, 8, 1], 1000
COMPILER = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
LAW = law(25)


def batch(rows: int = 6, dtype: torch.dtype = torch.float64, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits (rows, 4), and targets with a single-label, a two-label and a label-less document among them."""
    torch.manual_seed(rows)
    targets = torch.rand(rows, 4) < 0.4
    targets[0], targets[1], targets[2] = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    return (torch.randn(rows, 4, dtype=torch.float64) * spread).to(dtype), targets


def gradient_of(loss: nn.Module, logits: Tensor, targets: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    loss(leaf, targets).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def double(name: str, counts: Any = COUNTS, documents: int = DOCUMENTS, **options: Any) -> losses.LongTailLoss:
    return build_loss(name, counts, documents, **options).double()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, int, Tensor, Tensor]:
    """Counts (L,), documents, logits (B, L) in float64 and bool targets (B, L)."""
    size, rows, documents = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(2, 100_000))

    def table(elements: st.SearchStrategy[Any]) -> Tensor:
        cells = draw(st.lists(elements, min_size=rows * size, max_size=rows * size))
        return torch.tensor(cells).reshape(rows, size)

    counts = torch.tensor(draw(st.lists(st.integers(1, documents - 1), min_size=size, max_size=size)))
    return counts, documents, table(st.floats(-30, 30)).double(), table(st.booleans())


# Published values ----------------------------------------------------------------------------------------------------


def golden(case: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Pairs of a preset (name, overrides) and the values it must give."""
    own, name = case["params"], case["loss"].lower()
    named = {"scale": "loss_weight", "neg_scale": "lambda"}
    defaults = constants(name, case["class_freq"], case["train_num"], case["setting"])
    theirs = {key: own.get(named.get(key, key), default) for key, default in defaults.items()}
    overrides = {key: value for key, value in theirs.items() if value != defaults[key]}
    if "paper_equation_6" in case:
        return [("ntr-fl-released", overrides, case), ("ntr-fl", overrides, case["paper_equation_6"])]
    return [(name, overrides, case)]


@pytest.mark.skipif(not CASES, reason=f"no golden values at {GOLDEN}: set TAILSCOPE_SHARED")
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
@pytest.mark.parametrize(("dtype", "rtol", "atol"), [(torch.float64, 1e-9, 1e-12), (torch.float32, 2e-5, 1e-7)])
def test_values_of_the_authors_module(case: dict[str, Any], dtype: torch.dtype, rtol: float, atol: float) -> None:
    logits, targets = torch.tensor(case["logits"], dtype=dtype), torch.tensor(case["labels"])
    for name, overrides, expected in golden(case):
        grads = torch.tensor(expected["grad_of_mean"], dtype=dtype)
        wanted = {key: torch.tensor(expected[f"loss_{key}"], dtype=dtype) for key in ("none", "mean")}
        wanted["sum"] = wanted["none"].sum()
        wanted["mean_over_documents"] = wanted["sum"] / len(logits)
        per = {"mean": 1, "none": logits.numel(), "sum": logits.numel(), "mean_over_documents": logits.shape[1]}
        for reduction, values in wanted.items():
            loss = build_loss(
                name, case["class_freq"], case["train_num"], setting=case["setting"], reduction=reduction, **overrides
            ).to(dtype)
            value = loss(logits, targets)
            assert value.dtype is dtype
            torch.testing.assert_close(value, values, rtol=rtol, atol=atol)
            torch.testing.assert_close(
                gradient_of(loss, logits, targets), grads * per[reduction], rtol=rtol, atol=atol * per[reduction]
            )


@pytest.mark.skipif(not CASES, reason=f"no golden values at {GOLDEN}: set TAILSCOPE_SHARED")
def test_defaults_alone_give_all_but_the_two_cases_with_constants_of_their_own() -> None:
    assert len(CASES) == 25
    assert [case["id"] for case in CASES if golden(case)[0][1]] == ["v22_DB_reuters", "v23_FL_reuters"]
    assert {name for case in CASES for name, _, _ in golden(case)} == set(NAMES)


# Laws, by the numbers of the specification ---------------------------------------------------------------------------


@LAW
@given(problems())
def test_i1_focal_loss_with_gamma_0_is_half_the_cross_entropy(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    counts, documents, logits, targets = problem
    cross_entropy = binary_cross_entropy_with_logits(logits, targets.double())
    torch.testing.assert_close(double("bce", counts, documents)(logits, targets), cross_entropy)
    torch.testing.assert_close(double("fl", counts, documents, gamma=0)(logits, targets), 0.5 * cross_entropy)


@LAW
@given(problems())
def test_i2_db_without_gamma_is_db_0fl(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    counts, documents, logits, targets = problem
    a, b = double("db", counts, documents, gamma=0, scale=1), double("db-0fl", counts, documents, scale=0.5)
    torch.testing.assert_close(a(logits, targets), b(logits, targets))


@LAW
@given(problems(), st.sampled_from([("db", "r-fl"), ("cb-ntr", "cb"), ("ntr-fl", "fl"), ("ntr-fl-released", "fl")]))
def test_i3_without_shift_and_stretch_negative_tolerance_is_gone(
    problem: tuple[Tensor, int, Tensor, Tensor], pair: tuple[str, str]
) -> None:
    counts, documents, logits, targets = problem
    tolerant, plain = (double(pair[0], counts, documents, kappa=0, neg_scale=1), double(pair[1], counts, documents))
    torch.testing.assert_close(tolerant(logits, targets), plain(logits, targets))


@LAW
@given(problems(), st.integers(2, 50), st.randoms(use_true_random=False))
def test_i4_rebalanced_weights_ignore_the_unit_of_counts_and_follow_the_order(
    problem: tuple[Tensor, int, Tensor, Tensor], factor: int, random: Any
) -> None:
    counts, _, _, targets = problem
    weight = losses.rebalance_weight(targets, counts.double())
    torch.testing.assert_close(losses.rebalance_weight(targets, counts.double() * factor), weight)
    columns, rows = list(range(len(counts))), list(range(len(targets)))
    random.shuffle(columns)
    random.shuffle(rows)
    moved = losses.rebalance_weight(targets[rows][:, columns], counts.double()[columns])
    torch.testing.assert_close(moved, weight[rows][:, columns])


@LAW
@given(problems(), st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_i4_a_loss_does_not_depend_on_the_order_of_labels_and_documents(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str, random: Any
) -> None:
    counts, documents, logits, targets = problem
    columns, rows = list(range(len(counts))), list(range(len(targets)))
    random.shuffle(columns)
    random.shuffle(rows)
    moved = double(name, counts[columns], documents)(logits[rows][:, columns], targets[rows][:, columns])
    torch.testing.assert_close(moved, double(name, counts, documents)(logits, targets))


@LAW
@given(problems(), st.floats(0.5, 20), st.floats(0, 1))
def test_i5_r_adds_up_to_one_over_the_positives(
    problem: tuple[Tensor, int, Tensor, Tensor], beta: float, mu: float
) -> None:
    counts, _, _, targets = problem
    assume(bool(targets.any()))
    weight = losses.rebalance_weight(targets, counts.double(), 0.0, beta, mu)
    r = torch.where(targets, torch.logit(weight) / beta + mu, 0)
    assert r.sum(1)[targets.any(1)] == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(("setting", "expected"), [("reuters", 0.8311), ("pubmed", 1.0999)])
def test_i5_a_label_that_stands_alone_has_the_same_weight_however_rare(setting: str, expected: float) -> None:
    weight = double("r-fl", setting=setting).weight(torch.eye(4, dtype=torch.bool)).diagonal()
    assert weight == pytest.approx(0.5 * expected, abs=3e-5)
    at_ratio = losses.weigh_labels(double("r-fl", setting=setting), True, range(4), [1.0] * 4)
    assert at_ratio.tolist() == pytest.approx(weight.tolist())


@LAW
@given(problems(), st.floats(0, 1), st.floats(0.5, 20), st.floats(0, 1))
def test_i6_rebalanced_weights_lie_between_alpha_and_alpha_plus_1(
    problem: tuple[Tensor, int, Tensor, Tensor], alpha: float, beta: float, mu: float
) -> None:
    counts, _, _, targets = problem
    weight = losses.rebalance_weight(targets, counts.double(), alpha, beta, mu)
    assert (weight > alpha).all()
    assert (weight <= alpha + 1).all()


@LAW
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True), st.floats(0, 0.999_999))
def test_i7_class_balanced_weights_fall_from_1_towards_1_minus_beta(counts: list[int], cb_beta: float) -> None:
    weight = losses.class_balanced_weight([1, *sorted(counts), 10**9], cb_beta)
    assert weight[0].item() == pytest.approx(1, rel=1e-12)
    assert weight[-1].item() == pytest.approx(1 - cb_beta, rel=1e-12)
    assert (weight.diff() <= 1e-15).all()
    assert losses.class_balanced_weight([2], 0.5).item() == pytest.approx(0.5 / 0.75, rel=1e-15)


@LAW
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_i8_the_shift_is_antisymmetric_and_zero_for_a_label_on_half_of_the_documents(n: int, rest: int) -> None:
    shift = losses.logit_shift([n, rest], n + rest, 0.3)
    assert shift[0].item() == pytest.approx(-shift[1].item(), abs=1e-12)
    assert (shift[0].item() == 0) == (n == rest)
    assert shift[0].item() == pytest.approx(0.3 * math.log((n + rest) / n - 1), abs=1e-9)


@LAW
@given(problems(), st.sampled_from(NAMES))
def test_i9_gradients_pull_positives_up_and_negatives_down(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str
) -> None:
    counts, documents, logits, targets = problem
    gradient = gradient_of(double(name, counts, documents), logits, targets)
    assert (gradient[targets] <= 0).all()
    assert (gradient[~targets] >= 0).all()


@LAW
@given(problems(), st.sampled_from(NAMES))
def test_i10_inputs_stay_as_they_were_and_a_second_call_gives_the_same(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str
) -> None:
    counts, documents, logits, targets = problem
    loss = double(name, counts, documents)
    leaf, kept = logits.clone().requires_grad_(), (logits.clone(), targets.clone(), counts.clone())
    assert torch.equal(loss(leaf, targets), loss(leaf, targets))
    assert torch.equal(loss(leaf, targets.float()), loss(leaf, targets))
    for tensor, before in zip((leaf, targets, counts), kept, strict=True):
        assert torch.equal(tensor, before)


@LAW
@given(problems(), st.sampled_from(NAMES), st.sampled_from(["mean", "mean_over_documents"]))
def test_i11_a_batch_is_the_mean_of_its_documents(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str, reduction: str
) -> None:
    counts, documents, logits, targets = problem
    loss = double(name, counts, documents, reduction=reduction)
    single = torch.stack([loss(z, y) for z, y in zip(logits, targets, strict=True)])
    torch.testing.assert_close(loss(logits, targets), single.mean())


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.5])
@pytest.mark.parametrize("name", NAMES)
def test_i12_gradients_equal_finite_differences(name: str, gamma: float) -> None:
    logits, targets = batch()
    loss = double(name, **({"gamma": gamma} if LOSSES[name].focal else {}))
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())


# Edge cases, row by row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTED)
def test_a_label_without_documents_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"'rye' \(column 1\), 'tea' \(column 3\).*on_missing='clamp'.*'mask'"):
        build_loss(name, [5, 0, 3, 0], 10, labels=["earn", "rye", "gold", "tea"])
    with pytest.raises(ValueError, match=r"column 1, column 3\. Drop"):
        build_loss(name, [5, 0, 3, 0], 10)


@pytest.mark.parametrize("name", ["bce", "fl"])
def test_a_label_without_documents_is_nothing_to_a_loss_that_does_not_count(name: str) -> None:
    logits, targets = batch()
    assert torch.equal(double(name, [5, 0, 3, 0], 10)(logits, targets), double(name)(logits, targets))


@pytest.mark.parametrize("name", COUNTED)
def test_clamp_counts_one_document_and_warns(name: str) -> None:
    logits, targets = batch()
    with pytest.warns(UserWarning, match=r"No training document for 'd' \(column 3\): counted as if there were one"):
        loss = double(name, [700, 90, 8, 0], on_missing="clamp", labels=list("abcd"))
    assert torch.equal(loss(logits, targets), double(name)(logits, targets))


@pytest.mark.parametrize("name", NAMES)
def test_mask_drops_the_column(name: str) -> None:
    logits, targets = batch()
    logits[0, 3] = math.inf
    for reduction in ("mean", "sum", "mean_over_documents", "none"):
        masked = double(name, [700, 90, 8, 0], on_missing="mask", reduction=reduction)
        value = masked(logits, targets)
        dropped = double(name, [700, 90, 8], reduction=reduction)(logits[:, :3], targets[:, :3])
        torch.testing.assert_close(value[:, :3] if reduction == "none" else value, dropped)
    assert (value[:, 3] == 0).all()
    gradient = gradient_of(masked, logits, targets)
    assert gradient.isfinite().all()
    assert (gradient[:, 3] == 0).all()


def test_mask_with_nothing_left_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is left to learn"):
        build_loss("db", [0, 0], 10, on_missing="mask")


@pytest.mark.parametrize("name", NAMES)
def test_a_label_on_all_documents_counts_as_on_half_a_document_less(name: str) -> None:
    logits, targets = batch()
    loss = double(name, [1000, 90, 8, 1])
    assert loss(logits, targets).isfinite()
    assert gradient_of(loss, logits, targets).isfinite().all()
    assert losses.logit_shift([1000], 1000, 0.05).item() == pytest.approx(-0.05 * math.log(1999))


@pytest.mark.parametrize("name", NAMES)
def test_more_documents_with_a_label_than_documents_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"documents is 212.*2840, for 'earn' \(column 0\).*the number of batches\?"):
        build_loss(name, [2840, 7], 212, labels=["earn", "rye"])


@pytest.mark.parametrize("name", REBALANCED)
def test_a_document_without_labels_weighs_alpha_plus_1(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        weight = losses.rebalance_weight(torch.zeros(2, 4), torch.tensor(COUNTS, dtype=dtype), 0.1, 0.001, 0.9)
        assert torch.equal(weight, torch.full((2, 4), 1.1, dtype=dtype))
    logits, _ = batch()
    assert gradient_of(double(name), logits, torch.zeros(6, 4)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_targets_may_have_any_dtype(name: str, dtype: torch.dtype) -> None:
    logits, targets = batch()
    assert torch.equal(double(name)(logits, targets.to(dtype)), double(name)(logits, targets))


@pytest.mark.parametrize("value", [0.5, 2, -1, math.nan, math.inf])
def test_targets_other_than_0_and_1_are_refused(value: float) -> None:
    logits, targets = batch()
    targets = targets.float()
    targets[4, 2] = value
    with pytest.raises(ValueError, match=r"targets\[4, 2\] is .*: targets are 0 or 1"):
        double("db")(logits, targets)


@pytest.mark.parametrize("name", NAMES)
def test_leaf_tensors_and_no_grad_work(name: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    leaf = logits.clone().requires_grad_()
    loss(leaf, targets).backward()
    assert leaf.grad is not None
    with torch.no_grad():
        value = loss(leaf, targets)
    assert not value.requires_grad
    assert value == loss(leaf, targets)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.99, 1, 2, 7])
def test_saturated_logits_give_finite_losses_and_gradients(gamma: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[-1e4, -100, 100, 1e4]] * 2, dtype=dtype)
    targets = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]])
    for name in NAMES:
        loss = build_loss(name, COUNTS, DOCUMENTS, **({"gamma": gamma} if LOSSES[name].focal else {})).to(dtype)
        assert loss(logits, targets).isfinite()
        assert gradient_of(loss, logits, targets).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_short_logits_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    logits, targets = batch(dtype=dtype, spread=4)
    loss = build_loss(name, COUNTS, DOCUMENTS, scale=1000)
    value = loss(logits, targets)
    assert value.dtype is torch.float32
    assert value == loss(logits.float(), targets)
    gradient = gradient_of(loss, logits, targets)
    assert gradient.dtype is dtype
    assert torch.equal(gradient, gradient_of(loss, logits.float(), targets).to(dtype))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(logits, targets)
    assert inside.dtype is torch.float32
    assert torch.equal(inside, loss(logits, targets))


def test_numbers_by_label_follow_the_module_and_are_no_buffers() -> None:
    loss = build_loss("cb-ntr", COUNTS, DOCUMENTS)
    assert {name: getattr(loss, name).dtype for name in ("counts", "label_weight", "shift")} == dict.fromkeys(
        ("counts", "label_weight", "shift"), torch.float32
    )
    assert [*loss.buffers()] == []
    assert [*loss.state_dict()] == ["_extra_state"]
    exact = losses.logit_shift(COUNTS, DOCUMENTS)
    assert torch.equal(copy.deepcopy(loss).double().shift, exact)
    assert torch.equal(copy.deepcopy(loss).half().float().double().shift, exact)
    assert torch.equal(copy.deepcopy(loss).half().shift, exact.float())
    assert torch.equal(nn.Sequential(copy.deepcopy(loss)).bfloat16()[0].shift, exact.float())
    assert copy.deepcopy(loss).to("meta").shift.is_meta
    logits, targets = batch()
    assert loss.half()(logits.half(), targets).isfinite()


def test_counts_beyond_half_precision_keep_their_weights() -> None:
    counts = [200_000, 70_000, 3, 1]
    for name in NAMES:
        loss = build_loss(name, counts, 214_897)
        targets = torch.eye(4)
        expected = loss.weight(targets.bool())
        assert torch.equal(loss.half().weight(targets.bool()), expected)
        assert expected.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_values_on_a_gpu_equal_those_on_the_cpu(name: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    loss = build_loss(name, [700, 90, 8, 0], DOCUMENTS, on_missing="mask", reduction="none")
    here, here_gradient = loss(logits, targets), gradient_of(loss, logits, targets)
    loss = loss.to("cuda")
    for kind in (torch.bool, torch.float32):
        there = loss(logits.cuda(), targets.cuda().to(kind))
        torch.testing.assert_close(there.cpu(), here, rtol=2e-5, atol=1e-7)
    with torch.autocast("cuda", torch.float16):
        assert loss(logits.cuda(), targets.cuda()).dtype is torch.float32
    gradient = gradient_of(loss, logits.cuda(), targets.cuda()).cpu()
    torch.testing.assert_close(gradient, here_gradient, rtol=2e-5, atol=1e-7)


# Numbers in log space ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_float32_keeps_easy_elements_accurate(name: str, positive: bool) -> None:
    sure = torch.arange(-20.0, -5.5, 0.25)
    logits = (-sure if positive else sure)[:, None].repeat(1, 4)
    targets = torch.full_like(logits, positive)
    short, exact = build_loss(name, COUNTS, DOCUMENTS, reduction="none"), double(name, reduction="none")
    smallest = 1e-37  # of a normal float32
    torch.testing.assert_close(
        short(logits, targets).double(), exact(logits.double(), targets), rtol=3e-5, atol=smallest
    )
    torch.testing.assert_close(
        gradient_of(short, logits, targets).double(),
        gradient_of(exact, logits.double(), targets),
        rtol=3e-5,
        atol=smallest,
    )


def test_class_balanced_weights_keep_their_digits_near_beta_1() -> None:
    for beta in (0.9999, 1 - 1e-9):
        term = 1.0
        total = sum(term * beta**power for power in range(50))  # (1 - beta^50) / (1 - beta)
        assert losses.class_balanced_weight([50], beta).item() == pytest.approx(1 / total, rel=1e-13)


# Ways to run it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_jacrev_and_vmap(name: str) -> None:
    logits, targets = batch()
    loss = double(name)
    torch.testing.assert_close(torch.func.jacrev(loss)(logits, targets), gradient_of(loss, logits, targets))
    torch.testing.assert_close(torch.func.vmap(loss)(logits, targets).mean(), loss(logits, targets))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "aot_eager") for name in NAMES), pytest.param("db", "inductor", marks=COMPILER)]
)
def test_compiles_as_one_graph(name: str, backend: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        compiled = torch.compile(loss, fullgraph=True, backend=backend)
        torch.testing.assert_close(compiled(logits, targets.float()), loss(logits, targets))
        torch.testing.assert_close(gradient_of(compiled, logits, targets), gradient_of(loss, logits, targets))


class Classifier(nn.Module):
    """A linear layer and its loss: what DistributedDataParallel wraps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.linear, self.loss = nn.Linear(4, 4), build_loss("db", COUNTS, DOCUMENTS)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self.linear(features), targets)


def train_a_half(rank: int, store: str) -> None:
    """One of two processes: its gradient, averaged with the other's, is that of the whole batch in one process."""
    limit = timedelta(seconds=60)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=limit)
    features, targets = batch(dtype=torch.float32)
    whole = Classifier()
    whole(features, targets).backward()
    parallel = nn.parallel.DistributedDataParallel(Classifier())
    for _ in range(2):
        parallel.zero_grad()
        parallel(features[rank::2], targets[rank::2]).backward()
    torch.testing.assert_close(parallel.module.linear.weight.grad, whole.linear.weight.grad)
    kept = {"module.linear.weight", "module.linear.bias", "module.loss._extra_state"}
    assert parallel.state_dict().keys() == kept
    torch.distributed.barrier()  # one that ends early takes the store from the other
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_distributed_data_parallel(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(train_a_half, (str(tmp_path / "store"),), nprocs=2)


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_over_documents"])
def test_an_empty_batch_loses_nothing(reduction: str) -> None:
    logits = torch.zeros(0, 4, requires_grad=True)
    loss = build_loss("db", COUNTS, DOCUMENTS, reduction=reduction)(logits, torch.zeros(0, 4))
    loss.backward()
    assert loss == 0


def test_negatives_keep_weight_1_when_they_are_not_reweighted() -> None:
    _, targets = batch()
    for name in WEIGHTED:
        loss = double(name, reweight_negatives=False)
        both, positives = double(name).weight(targets).expand_as(targets), loss.weight(targets)
        assert torch.equal(positives[targets], both[targets])
        assert (positives[~targets] == loss.on_negatives).all()
        assert not torch.equal(positives, both)


@pytest.mark.parametrize("name", NAMES)
def test_every_constant_that_a_preset_reads_changes_its_loss(name: str) -> None:
    logits, targets = batch()
    usual = double(name)(logits, targets)
    for key, value in constants(name, COUNTS, DOCUMENTS).items():
        changed = not value if key == "reweight_negatives" else value * 0.7
        assert double(name, **{key: changed})(logits, targets) != usual, key
        assert double(name, **{key: None})(logits, targets) == usual


@pytest.mark.slow
def test_second_derivatives_and_retained_graphs() -> None:
    logits, targets = batch()
    for name in NAMES:
        loss = double(name)
        assert torch.autograd.gradgradcheck(lambda z: loss(z, targets), logits.clone().requires_grad_())  # noqa: B023
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, targets)
    once, twice = (torch.autograd.grad(value, leaf, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(once, twice)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_closed_form_is_the_composition(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses.closed_form, "TILE", 8)  # two documents in a tile
    logits, targets = batch(7, dtype)
    for options in ({}, {"reweight_negatives": False}) if name in WEIGHTED else ({},):
        for reduction in ("none", "sum"):
            loss = build_loss(name, COUNTS, DOCUMENTS, reduction=reduction, **options).to(dtype)
            leaf = logits.clone().requires_grad_()
            composed = loss.compose(leaf, targets)
            torch.testing.assert_close(loss(logits, targets), composed)
            composed.sum().backward()
            torch.testing.assert_close(gradient_of(loss, logits, targets), leaf.grad)


# Index pairs and blocks of labels ------------------------------------------------------------------------------------


@LAW
@given(problems(), st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_index_pairs_in_any_order_are_the_targets(
    problem: tuple[Tensor, int, Tensor, Tensor], name: str, random: Any
) -> None:
    counts, documents, logits, targets = problem
    pairs = targets.nonzero().tolist()
    pairs += pairs[:2]  # a pair named twice counts once
    random.shuffle(pairs)
    rows, labels = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    loss = double(name, counts, documents, reduction="none")
    assert torch.equal(loss(logits, (rows.int(), labels.int())), loss(logits, targets))
    pairs_gradient = gradient_of(loss, logits, (rows, labels))  # type: ignore[arg-type]
    assert torch.equal(pairs_gradient, gradient_of(loss, logits, targets))


@pytest.mark.parametrize("shape", [(131, 131), (3, 40_000), (5, 7)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.int64])
def test_the_ones_of_a_large_matrix_are_all_found(shape: tuple[int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    targets = (torch.rand(shape) < 0.01).to(dtype)
    targets[-1, -1] = targets[0, 0] = 1
    for matrix in (targets, targets.T):
        found = find_positives(matrix, pairs=True)
        assert torch.equal(torch.stack(found, 1), matrix.nonzero())
    if dtype is torch.float32:
        targets[1, 5] = math.nan
        with pytest.raises(ValueError, match=r"targets\[1, 5\] is nan"):
            find_positives(targets, pairs=True)


@pytest.mark.slow
def test_index_pairs_under_mask_compile_and_vmap() -> None:
    logits, targets = batch()
    pairs = targets.nonzero(as_tuple=True)
    for counts in (COUNTS, [700, 90, 0, 1]):
        loss = double("db", counts, on_missing="mask")
        assert torch.equal(loss(logits, pairs), loss(logits, targets))
    loss = double("db")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(logits, pairs), loss(logits, targets))
    several = torch.stack([logits, -logits])
    mapped = torch.func.vmap(loss, in_dims=(0, None))(several, pairs)
    torch.testing.assert_close(mapped, torch.stack([loss(z, targets) for z in several]))


@pytest.mark.parametrize(
    ("rows", "labels", "sentence"),
    [
        ([0, 6], [0, 0], "Row 6, label 0 is not in targets of 6 documents and 4 labels"),
        ([0, -1], [0, 0], "Row -1, label 0"),
        ([0, 0], [0, 4], "Row 0, label 4"),
        ([0, 0], [0], r"Index pairs are \(2,\) int64 and \(1,\) int64: rows and labels must be two lists"),
        ([[0]], [[0]], r"Index pairs are \(1, 1\)"),
        ([0.0], [0], "float32 and"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(rows: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        double("db")(batch()[0], (torch.tensor(rows), torch.tensor(labels)))


def wide_problem(documents: int = 9, size: int = 50) -> tuple[Tensor, Tensor, Tensor]:
    """Features (B, 8), targets (B, 50) with a label-less document, and counts of a long tail."""
    torch.manual_seed(5)
    targets = torch.rand(documents, size) < 0.06
    targets[2] = False
    return torch.randn(documents, 8), targets, (800 / torch.arange(1, size + 1)).long().clamp_min(2)


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_over_documents"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", [*NAMES, "logit-adjusted", "propensity"])
def test_blocks_of_labels_give_the_gradients_of_the_plain_path(name: str, bias: bool, reduction: str) -> None:
    features, targets, counts = wide_problem()
    for block, missing in ((None, False), (7, False), (50, False), (7, True)):
        loss = build_loss(
            name, counts * (counts % 3 > 0 if missing else 1), 1000, reduction=reduction, on_missing="mask"
        )
        layer = losses.LinearLoss(8, loss, bias=bias, block=block)
        plain = copy.deepcopy(layer)
        wanted, x, y = [*plain.parameters()], features.clone().requires_grad_(), features.clone().requires_grad_()
        expected = loss(plain.logits(x), targets)
        for kind in (targets, targets.float(), targets.nonzero(as_tuple=True)):
            torch.testing.assert_close(layer(y, kind), expected, rtol=1e-5, atol=0)
        (expected * 3).backward()
        (layer(y, targets) * 3).backward()
        pairs = [(y.grad, x.grad), *((a.grad, b.grad) for a, b in zip(layer.parameters(), wanted, strict=True))]
        for mine, other in pairs:
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


def test_a_linear_loss_is_a_linear_layer_with_a_loss() -> None:
    features, targets, counts = wide_problem()
    loss = build_loss("db", counts, 1000)
    layer = losses.LinearLoss(8, loss, block=16)
    assert [*layer.state_dict()] == [*nn.Linear(8, 50).state_dict()]
    value = layer(features, targets)
    once = torch.autograd.grad(value, [layer.weight, layer.bias], retain_graph=True)
    for first, second in zip(once, torch.autograd.grad(value, [layer.weight, layer.bias]), strict=True):
        assert torch.equal(first, second)
    layer.weight.requires_grad_(False)
    layer(features, targets).backward()
    assert layer.weight.grad is None
    with torch.no_grad():
        assert not layer(features, targets).requires_grad
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(layer(features, targets), layer.bias, create_graph=True)
    empty = layer(features[:0], targets[:0])
    empty.backward()
    assert empty == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_linear_loss_of_few_bits_multiplies_in_them_and_adds_in_float32(dtype: torch.dtype) -> None:
    features, targets, counts = wide_problem()
    layer = losses.LinearLoss(8, build_loss("db", counts, 1000), block=16)
    exact = layer(features, targets)
    with torch.autocast("cpu", dtype):
        value, plain = layer(features, targets), layer.loss(layer.logits(features), targets)
    assert value.dtype is torch.float32
    torch.testing.assert_close(value, plain, rtol=1e-3, atol=0)
    torch.testing.assert_close(value, exact, rtol=2e-2, atol=0)
    value.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_bf16_features_give_the_gradients_of_the_plain_path(name: str) -> None:
    features, targets, counts = wide_problem()
    layer = losses.LinearLoss(8, build_loss(name, counts, 1000), block=16, dtype=torch.bfloat16)
    plain, x, y = copy.deepcopy(layer), features.bfloat16().requires_grad_(), features.bfloat16().requires_grad_()
    value, expected = layer(x, targets), plain.loss(plain.logits(y), targets)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    value.backward()
    expected.backward()
    pairs = [(x.grad, y.grad), *((a.grad, b.grad) for a, b in zip(layer.parameters(), plain.parameters(), strict=True))]
    for mine, other in pairs:
        assert mine.dtype is torch.bfloat16
        torch.testing.assert_close(mine, other, rtol=2**-6, atol=2**-8 * float(other.abs().max()))


def test_a_linear_loss_says_what_it_cannot_do() -> None:
    features, targets, counts = wide_problem()
    loss = build_loss("db", counts, 1000)
    with pytest.raises(ValueError, match="reduction='none' would hold one loss for each logit"):
        losses.LinearLoss(8, build_loss("db", counts, 1000, reduction="none"))
    with pytest.raises(ValueError, match="block is 0"):
        losses.LinearLoss(8, loss, block=0)
    with pytest.raises(ValueError, match=r"BCELoss needs all logits"):
        losses.LinearLoss(8, nn.BCELoss())  # type: ignore[arg-type]
    layer = losses.LinearLoss(8, loss)
    with pytest.raises(ValueError, match=r"Features are \(9, 7\) and the weight \(50, 8\)"):
        layer(features[:, :7], targets)
    with pytest.raises(ValueError, match=r"Targets are \(9, 49\): they must be \(9, 50\)"):
        layer(features, targets[:, :49])
    with pytest.raises(ValueError, match=r"targets\[0, 3\] is 2"):
        layer(features, torch.tensor([0.0, 0, 0, 2]).repeat(9, 13)[:, :50])


# The two constants that depend on the data ---------------------------------------------------------------------------


@LAW
@given(problems())
def test_auto_mu_is_between_mean_and_median_of_r(problem: tuple[Tensor, int, Tensor, Tensor]) -> None:
    *_, targets = problem
    targets = targets[targets.any(1)]
    assume(len(targets) > 0)
    counts = targets.sum(0)
    inverse = 1 / counts.double()
    r = sorted(float(inverse[i] / inverse[row].sum()) for row in targets for i in row.nonzero()[:, 0])
    mean, median = sum(r) / len(r), (r[(len(r) - 1) // 2] + r[len(r) // 2]) / 2
    assert mean == pytest.approx(len(targets) / int(targets.sum()))
    rows, labels = targets.nonzero().T
    assert auto_mu(rows, labels, counts) == pytest.approx((mean + median) / 2)
    assert auto_mu(rows.numpy(), labels.tolist(), counts.numpy()) == pytest.approx((mean + median) / 2)


def test_auto_mu_of_an_even_number_of_positives_takes_the_middle_of_two() -> None:
    assert auto_mu([0, 0], [0, 1], [1, 3]) == pytest.approx(0.5)  # r is 3/4 and 1/4
    assert auto_mu([0, 0, 1], [0, 1, 0], [2, 1]) == pytest.approx((2 / 3 + 2 / 3) / 2)  # r is 1/3, 2/3 and 1


def test_mu_auto_is_taken_from_the_positives_of_the_training_part() -> None:
    _, targets = batch(20)
    pairs, counts = targets.nonzero(as_tuple=True), targets.sum(0)
    assert build_loss("db", counts, 20, mu="auto", positives=pairs).mu == auto_mu(*pairs, counts)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="Loss 'cb' does not read mu"):
        build_loss("cb", counts, 20, mu="auto", positives=pairs)
    with pytest.raises(ValueError, match="A positive has label 4, but there are 4 counts"):
        build_loss("db", counts, 20, mu="auto", positives=([0], [4]))


def test_mu_auto_names_the_function_that_gives_it() -> None:
    with pytest.raises(ValueError, match=r"auto_mu\(rows, labels, counts\)"):
        build_loss("db", COUNTS, DOCUMENTS, mu="auto")
    with pytest.raises(ValueError, match="at least one; found 0 and 0"):
        auto_mu([], [], COUNTS)
    with pytest.raises(ValueError, match="found 1 and 2"):
        auto_mu([0], [1, 2], COUNTS)
    with pytest.raises(ValueError, match=r"counts\[1\] is 0, but a document carries"):
        auto_mu([0, 0], [0, 1], [1, 0])


def test_settings_choose_scale_and_mu() -> None:
    chosen = {s: {name: constants(name, COUNTS, DOCUMENTS, s) for name in NAMES} for s in SETTINGS}
    assert {s: [chosen[s][name]["scale"] for name in NAMES] for s in SETTINGS} == {
        "reuters": [1, 1, 10, 1, 1, 0.5, 10, 1, 1],
        "pubmed": [1, 1, 5, 1, 0.5, 0.5, 10, 1, 0.5],
        "plain": [1] * 9,
    }
    mus = {s: {chosen[s][name]["mu"] for name in REBALANCED} for s in SETTINGS}
    assert mus == {"reuters": {0.9}, "pubmed": {0.05}, "plain": {1.0}}
    assert constants("db", [700, 900, 400], 1000, "plain")["mu"] == 0.5


# Bad arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "dbb"}, "no loss 'dbb'. Did you mean 'db'"),
        ({"name": ""}, "no loss ''. Choose one of: bce, fl, cb"),
        ({"name": "bal"}, "no loss 'bal'"),
        ({"name": "C"}, "no loss 'C'"),
        ({"setting": "reuter"}, "no setting 'reuter'. Did you mean 'reuters'"),
        ({"reduction": "average"}, "no reduction 'average'. Choose one of: mean, sum, none, mean_over_documents"),
        ({"on_missing": "drop"}, "no on_missing 'drop'"),
        ({"gama": 1}, "no constant 'gama'. Did you mean 'gamma'"),
        ({"gamma": -1}, "gamma is -1: it must be 0 or more"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"focal_alpha": 1.5}, "focal_alpha is 1.5: it must be between 0 and 1"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"beta": 0}, "beta is 0: it must be above 0"),
        ({"mu": 1.2}, "mu is 1.2: it must be from 0 to 1"),
        ({"mu": "often"}, "mu is 'often'"),
        ({"kappa": math.inf}, "kappa is inf"),
        ({"neg_scale": 0}, "neg_scale is 0"),
        ({"scale": -2}, "scale is -2"),
        ({"reweight_negatives": 3}, "reweight_negatives is 3: it must be True or False"),
        ({"cb_beta": 0.9}, "Loss 'db' does not read cb_beta; it reads scale, gamma, focal_alpha, kappa"),
        ({"name": "cb", "cb_beta": 1}, "cb_beta is 1: it must be from 0 to below 1"),
        ({"name": "bce", "gamma": 2}, "Loss 'bce' does not read gamma; it reads scale."),
        ({"counts": [5, -1]}, "counts is -1 for column 1"),
        ({"counts": [5, math.nan]}, "counts is nan for column 1"),
        ({"counts": [0.5, 0.1]}, "counts is 0.5 for column 0, column 1: counts are numbers of training documents"),
        ({"counts": [math.inf, 1]}, "counts is inf for column 0"),
        ({"counts": []}, r"counts have shape \(0,\)"),
        ({"counts": [[1, 2]]}, r"counts have shape \(1, 2\)"),
        ({"counts": {"earn": 3}}, "Expected a list of numbers, for labels in column order; found {'earn': 3}"),
        ({"counts": 7}, "Expected a list of numbers.*found 7"),
        ({"counts": [20] * 9}, "for column 0, column 1, column 2, column 3, column 4 and 4 more: did you pass"),
        ({"documents": 0}, "documents is 0: it is the number of training documents"),
        ({"documents": 12.5}, "documents is 12.5"),
        ({"documents": "10"}, "documents is 10: it is the number"),
        ({"documents": math.nan}, "documents is nan"),
        ({"labels": ["earn"]}, "There are 1 label names, but 2 counts"),
    ],
)
def test_bad_arguments_are_named_with_the_way_out(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_loss(**{"name": "db", "counts": [5, 3], "documents": 10, **change})


@pytest.mark.parametrize(("logits", "targets"), [((3, 4), (3, 5)), ((3, 5), (3, 5)), ((4, 3), (3, 4)), ((), ())])
def test_shapes_that_do_not_fit_are_refused(logits: tuple[int, ...], targets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Logits are \(.*\) and targets \(.*\): both must be \(documents, 4\)"):
        double("db")(torch.zeros(logits), torch.zeros(targets))
    if logits != (3, 4):
        with pytest.raises(ValueError, match=r"Logits are \(.*\): with index pairs they must be \(documents, 4\)"):
            double("db")(torch.zeros(logits or (4,)), (torch.tensor([0]), torch.tensor([0])))


# For the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_weights_by_label_are_those_of_the_loss(name: str) -> None:
    loss = double(name)
    n = torch.tensor(COUNTS, dtype=torch.float64)
    alone = loss.weight(torch.eye(4, dtype=torch.bool)).expand(4, 4).diagonal()
    assert losses.weigh_labels(loss, True, range(4), [1.0] * 4).tolist() == pytest.approx(alone.tolist())
    pair = torch.eye(4, dtype=torch.bool) | torch.tensor([True, False, False, False])
    beside = loss.weight(pair).expand(4, 4).diagonal()
    r = 1 / (1 + n / n[0] * torch.tensor([0.0, 1, 1, 1]))
    assert losses.weigh_labels(loss, True, range(4), r).tolist() == pytest.approx(beside.tolist())
    assert losses.weigh_document(loss, pair[2]).tolist() == loss.weight(pair).expand(4, 4)[2].tolist()
    absent = loss.weight(torch.tensor([True, False, False, False])).expand(4)
    several = losses.weigh_labels(loss, False, [3, 1], torch.stack([n[0] / n[[3, 1]], torch.ones(2)], 1))
    assert several[:, 0].tolist() == pytest.approx(absent[[3, 1]].tolist())
    assert several.shape == (2, 2)


def test_weights_of_losses_without_slots_are_their_scale_or_none() -> None:
    assert losses.weigh_labels(build_loss("asl", COUNTS, DOCUMENTS, scale=3), False, [0, 1], [1.0, 1]).tolist() == [
        3,
        3,
    ]
    assert losses.weigh_document(build_loss("asl", COUNTS, DOCUMENTS, scale=3), [1, 0, 0, 1]).tolist() == [3] * 4
    assert losses.weigh_document(build_loss("zlpr", COUNTS, DOCUMENTS), [1, 0, 0, 1]).isnan().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluated_loss_is_the_loss_and_its_slope(name: str) -> None:
    loss = build_loss(name, COUNTS, DOCUMENTS, setting="plain", reduction="none")
    logits, targets = torch.tensor([[0.0, 0, z, 0] for z in (-3, 0, 3)]).double(), torch.tensor([[0, 0, 1, 0]] * 3)
    step = torch.tensor([0.0, 0, 1e-5, 0], dtype=torch.float64)
    for there in (targets, 1 - targets):
        value, gradient = losses.evaluate_loss(loss, logits.numpy(), there.numpy())
        up, down = (losses.evaluate_loss(loss, logits + h, there)[0] for h in (step, -step))
        slope = ((up - down).sum(1) / 2e-5).tolist()
        assert gradient[:, 2].tolist() == pytest.approx(slope, abs=1e-8)
        element = double(name, setting="plain", reduction="none")(logits, there)
        assert torch.equal(value, element)
        assert not value.requires_grad
        factor = losses.modulating_factor(loss.signed_margin(logits, there.bool()), loss.gamma)[:, 2]
        if not LOSSES[name].focal:
            assert factor.tolist() == [1, 1, 1]
        if name == "fl":
            sure = [torch.tensor(-z).sigmoid().item() ** 2 for z in (-3.0, 0, 3)]
            assert factor.tolist() == pytest.approx(sure if there is targets else sure[::-1])


def test_a_label_without_documents_is_evaluated_where_it_is_not_counted() -> None:
    value, _ = losses.evaluate_loss(build_loss("bce", [3, 0], 10, reduction="none"), [[0.0, 0.0]], [[0, 1]])
    assert value[0, 1].item() == pytest.approx(math.log(2))
    with pytest.raises(ValueError, match="No training document"):
        build_loss("db", [3, 0], 10)
    assert len(losses.weigh_labels(build_loss("bce", [3, 0], 10), True, [1], [1.0])) == 1


@pytest.mark.parametrize("name", ["db", "cb", "bce", "asl", "zlpr"])
def test_gradients_added_by_label_are_those_of_the_loss(name: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    gradient = gradient_of(loss, logits, targets).abs().double()
    there, absent = losses.sum_gradient_by_label(loss, logits, sp.csr_array(targets.numpy()))
    torch.testing.assert_close(there, torch.where(targets, gradient, 0).sum(0))
    torch.testing.assert_close(absent, torch.where(targets, 0, gradient).sum(0))
    same = losses.sum_gradient_by_label(loss, logits[0], sp.csr_array(targets.numpy()))[0]
    gradient = gradient_of(loss, logits[:1].repeat(6, 1), targets).abs().double()
    torch.testing.assert_close(same, torch.where(targets, gradient, 0).sum(0))


@pytest.mark.parametrize("dtype", [int, bool, np.uint8, np.float32, ">i4", object])
def test_counts_may_be_an_array_of_any_numbers(dtype: Any) -> None:
    array = np.array([1, 0, 1], dtype)
    array.flags.writeable = False
    assert to_float64(array).tolist() == [1, 0, 1]
    assert to_float64(array).dtype is torch.float64
    for wrong in (np.array([1j]), np.array(["1"])):
        with pytest.raises(ValueError, match="Expected a list of numbers"):
            to_float64(wrong)

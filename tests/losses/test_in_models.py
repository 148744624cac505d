"""Losses in other people's code: in a model that is saved, loaded and moved, with targets and logits of any kind."""

from __future__ import annotations

import copy
import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader
from transformers import PretrainedConfig, PreTrainedModel

from core import losses
from core.losses import LOSSES, REDUCTIONS, LinearLoss, LongTailLoss, build_loss
from tests.helpers.laws import law
from tests.losses.test_long_tail import COUNTS, DOCUMENTS, batch, gradient_of, problems

ALL = [*LOSSES]
BY_ELEMENT = [name for name in ALL if LOSSES[name].terms == "element"]
SOFT = [name for name in ALL if LOSSES[name].terms != "batch"]
REBALANCED = [name for name in ALL if LOSSES[name].weight == "rebalanced"]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LEFT_OUT = [700, 90, 0, 1]
LAW = law(25)
KINDS = {
    "bool": lambda y: y,
    "float": lambda y: y.float(),
    "int": lambda y: y.int(),
    "uint16": lambda y: y.to(torch.uint16),
    "numpy": lambda y: y.numpy(),
    "numpy-big-endian": lambda y: y.numpy().astype(">f4"),
    "numpy-columns": lambda y: np.asfortranarray(y.numpy().astype(np.int8)),
    "csr_matrix": lambda y: sp.csr_matrix(y.numpy()),
    "coo_array": lambda y: sp.coo_array(y.numpy().astype(float)),
    "lil_matrix": lambda y: sp.lil_matrix(y.numpy()),
    "torch-sparse": lambda y: y.float().to_sparse(),
    "pairs": lambda y: y.nonzero(as_tuple=True),
    "pairs-numpy": lambda y: y.numpy().nonzero(),
    "pairs-lists": lambda y: tuple(part.tolist() for part in y.nonzero(as_tuple=True)),
}


class Settings(PretrainedConfig):
    model_type = "with-a-loss"

    def __init__(self, loss: str = "db", counts: Any = COUNTS, documents: int = DOCUMENTS, **more: Any) -> None:
        self.loss, self.counts, self.documents = loss, list(counts), documents
        super().__init__(**more)


class Classifier(PreTrainedModel):
    """A model of transformers that holds its loss."""

    config_class = Settings

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.linear = nn.Linear(4, 4)
        self.loss = build_loss(config.loss, config.counts, config.documents, on_missing="mask")
        self.post_init()

    def forward(self, features: Tensor, targets: Any) -> Tensor:
        return self.loss(self.linear(features), targets)


def model(name: str, **settings: Any) -> Classifier:
    torch.manual_seed(1)
    return Classifier(Settings(name, **settings))


def shares(rows: int = 6) -> Tensor:
    return torch.rand(rows, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# In a model ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_is_saved_and_loaded_has_the_loss_that_it_had(name: str, tmp_path: Path) -> None:
    features, targets = batch(dtype=torch.float32)
    saved = model(name, counts=LEFT_OUT)
    expected = saved(features, targets)
    saved.save_pretrained(tmp_path)
    loaded = Classifier.from_pretrained(tmp_path)
    assert torch.equal(loaded(features, targets), expected)
    assert torch.equal(gradient_of(loaded, features, targets), gradient_of(saved, features, targets))


def test_a_model_of_few_bits_is_loaded_with_whole_numbers_by_label(tmp_path: Path) -> None:
    model("cb-ntr").save_pretrained(tmp_path)
    loaded = Classifier.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert torch.equal(loaded.loss.shift, losses.logit_shift(COUNTS, DOCUMENTS).float())
    assert loaded(batch(dtype=torch.bfloat16)[0], batch()[1]).isfinite()


@pytest.mark.parametrize("name", ALL)
def test_a_model_made_on_meta_and_emptied_has_its_loss(name: str) -> None:
    features, targets = batch(dtype=torch.float32)
    for counts in (COUNTS, LEFT_OUT):
        whole = model(name, counts=counts)
        with torch.device("meta"):
            made = copy.deepcopy(Classifier(Settings(name, counts=counts)))
            assert made(features.to("meta"), targets.to("meta")).is_meta
        state = io.BytesIO()
        torch.save(whole.state_dict(), state)
        state.seek(0)
        made = made.to_empty(device="cpu")
        made.load_state_dict(torch.load(state, weights_only=True), strict=True)
        assert torch.equal(made(features, targets), whole(features, targets))
        halved = copy.deepcopy(whole).half().to("cpu").float()
        torch.testing.assert_close(halved.loss(features, targets), whole.loss(features, targets))


def test_a_loss_made_where_every_number_is_half_or_on_meta_is_whole() -> None:
    logits, targets = batch()
    expected = build_loss("db", COUNTS, DOCUMENTS)(logits, targets)
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device("meta"):
            loss = build_loss("db", COUNTS, DOCUMENTS, mu=losses.auto_mu([0, 0], [0, 1], COUNTS))
            loss.mu = 0.9
            assert torch.equal(loss(logits, targets), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(ValueError, match="counts are on the meta device"):
        build_loss("db", torch.zeros(4, device="meta"), 10)
    away = build_loss("db", COUNTS, DOCUMENTS).to("meta")
    assert torch.equal(away.cpu()(logits, targets), expected)


def test_a_state_says_which_loss_it_is_and_another_refuses_it() -> None:
    state = model("cb").state_dict()
    assert state["loss._extra_state"].dtype is torch.uint8
    for other, said in (
        (model("db"), "of the loss 'cb', not 'db'"),
        (model("cb", counts=[699, 90, 8, 1]), "of other counts"),
        (model("cb", documents=1001), "of other documents, 1000 and not 1001"),
    ):
        with pytest.raises(ValueError, match=f"{said}.*drop the key '_extra_state'"):
            other.load_state_dict(state)
    without = {key: value for key, value in state.items() if "_extra_state" not in key}
    assert model("cb").load_state_dict(without, strict=True).missing_keys == []
    for damaged in (torch.zeros(9, dtype=torch.uint8), torch.empty(5, device="meta"), {"a": 1}, torch.rand(3, 3)):
        model("cb").load_state_dict({**without, "loss._extra_state": damaged})  # memory as it happens to be


def test_constants_that_were_changed_travel_with_the_state() -> None:
    logits, targets = batch()
    one, other = (build_loss("db", COUNTS, DOCUMENTS, label_smoothing=0.1) for _ in range(2))
    one.kappa, one.label_smoothing = 0.2, 0.3
    other.load_state_dict(one.state_dict())
    assert (other.kappa, other.label_smoothing) == (0.2, 0.3)
    assert torch.equal(one(logits, targets), other(logits, targets))
    averaged = {"_extra_state": one.state_dict()["_extra_state"].float() * 0.999 + 0.001 * one.get_extra_state()}
    other.load_state_dict(averaged)


def test_a_linear_loss_keeps_the_state_of_a_linear_layer() -> None:
    layer, plain = LinearLoss(3, build_loss("db", COUNTS, DOCUMENTS)), nn.Linear(3, 4)
    plain.load_state_dict(layer.state_dict())
    layer.load_state_dict(plain.state_dict())
    assert [*nn.Sequential(layer).state_dict()] == ["0.weight", "0.bias"]


def test_a_printed_loss_says_what_it_is() -> None:
    said = repr(build_loss("db", LEFT_OUT, DOCUMENTS, on_missing="mask", pos_weight=2, ignore_index=-100))
    assert said.startswith("LongTailLoss(db: 4 labels, 1000 documents, 1 of the labels left out, counts ")
    assert "gamma=2, focal_alpha=0.5, kappa=0.05" in said
    assert "ignore_index=-100" in said
    assert "gamma_neg=4" in repr(build_loss("asl", COUNTS, DOCUMENTS))


def test_numbers_made_while_nothing_is_recorded_serve_training() -> None:
    logits, targets = batch()
    loss = build_loss("db", COUNTS, DOCUMENTS)
    with torch.inference_mode():
        loss(logits, targets)
    torch.func.hessian(lambda z: loss(z, targets))(logits)
    assert gradient_of(loss, logits, targets).isfinite().all()


# Logits and targets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_logits_of_any_precision_take_targets_of_any_kind(name: str) -> None:
    loss, exact = build_loss(name, COUNTS, DOCUMENTS), build_loss(name, COUNTS, DOCUMENTS).double()
    for dtype in DTYPES:
        logits, targets = batch(dtype=dtype)
        like = exact if dtype is torch.float64 else loss
        expected, gradient = like(logits, targets), gradient_of(like, logits, targets)
        assert expected.dtype is torch.promote_types(dtype, torch.float32)
        for kind, made in KINDS.items():
            assert torch.equal(loss(logits, made(targets)), expected), (kind, dtype)
        for kind in ("bool", "numpy", "csr_matrix", "pairs"):
            assert torch.equal(gradient_of(loss, logits, KINDS[kind](targets)), gradient), (kind, dtype)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_more_dimensions_is_so_many_documents(name: str) -> None:
    logits, targets = batch()
    for reduction in REDUCTIONS[LOSSES[name].terms]:
        loss = build_loss(name, COUNTS, DOCUMENTS, reduction=reduction)
        folded, flat = loss(logits.view(2, 3, 4), targets.view(2, 3, 4)), loss(logits, targets)
        torch.testing.assert_close(folded.flatten(), flat.flatten())
        if reduction == "none":
            shapes = {"element": (2, 3, 4), "document": (2, 3), "label": (4,)}
            assert folded.shape == shapes[LOSSES[name].terms]


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([[0, 1, 0, 1]] * 6, "Targets are a list: pass a matrix"),
        (None, "Targets are a NoneType"),
        ((torch.zeros(6),), "Targets are a tuple of 1"),
        ((["a"], ["b"]), "Index pairs are list and list"),
        (np.array([["a"] * 4] * 6), "Targets are a ndarray of <U1"),
        (sp.csr_array((5, 4)), r"Logits are \(6, 4\) and targets \(5, 4\)"),
        (sp.csr_array(np.full((6, 4), 2.0)), r"targets\[0, 0\] is 2.0: targets are 0 or 1"),
        (np.full((6, 4), 0.5), r"targets\[0, 0\] is 0.5: targets are 0 or 1"),
    ],
)
def test_targets_of_no_known_kind_are_a_sentence(targets: Any, said: str) -> None:
    for name in ALL:
        with pytest.raises(ValueError, match=said):
            build_loss(name, COUNTS, DOCUMENTS)(batch()[0], targets)


def test_what_a_data_loader_makes_of_a_batch_is_no_pair() -> None:
    logits, targets = batch()
    loss = build_loss("db", COUNTS, DOCUMENTS)
    (both,) = DataLoader([(row.long(), row.long()) for row in targets], batch_size=6)
    with pytest.raises(ValueError, match="Targets are a list"):
        loss(logits, both)
    with pytest.raises(ValueError, match="Logits are a list: pass a tensor"):
        loss(both, targets)
    with pytest.raises(ValueError, match="Logits are complex numbers"):
        loss(logits.to(torch.complex128), targets)


@pytest.mark.parametrize("name", ALL)
def test_infinite_logits_have_finite_gradients_and_one_that_is_no_number_makes_the_loss_none(name: str) -> None:
    loss = build_loss(name, COUNTS, DOCUMENTS)
    for dtype in DTYPES:
        logits, targets = batch(dtype=dtype)
        single = logits.clone()
        single[0, 0], single[0, 1] = math.inf, -math.inf  # a positive and a negative
        right = torch.where(targets, math.inf, -math.inf).to(dtype)
        for z in (single, right):
            assert loss(z, targets).isfinite()
            assert gradient_of(loss, z, targets).isfinite().all()
        assert gradient_of(loss, -right, targets).isfinite().all()
        assert not loss(-right, targets).isnan()
        for place in ((0, 0), (0, 1), (2, 2)):
            broken = logits.clone()
            broken[place] = math.nan
            assert loss(broken, targets).isnan()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_compiled_a_target_that_is_none_makes_the_loss_nan(name: str) -> None:
    logits, targets = batch(dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        loss = build_loss(name, COUNTS, DOCUMENTS)
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        for wrong in (2, -1, 0.5, math.nan, math.inf, -math.inf):
            bad = targets.float()
            bad[3, 1] = wrong
            assert compiled(logits, bad).isnan(), wrong
        torch.testing.assert_close(compiled(logits, targets.float()), loss(logits, targets))
        right = torch.where(targets, math.inf, -math.inf)
        for z in (right, -right):
            assert gradient_of(compiled, z, targets).isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_forward_mode_and_hessian(name: str) -> None:
    logits, targets = (part[:2] for part in batch(3))
    loss = build_loss(name, COUNTS, DOCUMENTS)
    way = torch.randn_like(logits)

    def value(z: Tensor) -> Tensor:
        return loss(z, targets)

    pushed = torch.func.jvp(value, (logits,), (way,))[1]
    torch.testing.assert_close(pushed, (gradient_of(loss, logits, targets) * way).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = torch.func.hessian(value)(logits)
    torch.testing.assert_close(twice, torch.autograd.functional.hessian(value, logits))
    step = 1e-5 * way
    slopes = [gradient_of(loss, z, targets) for z in (logits + step, logits - step)]
    torch.testing.assert_close((twice * way).sum((2, 3)), (slopes[0] - slopes[1]) / 2e-5, rtol=1e-4, atol=1e-7)


NUMBERS = st.one_of(
    st.floats(width=32), st.sampled_from([math.inf, -math.inf, 0.0, -0.0, 1e-45, 3.4e38, -3.4e38, 1e19, -1e19])
)


@LAW
@given(st.sampled_from(ALL), st.sampled_from(DTYPES), st.lists(NUMBERS, min_size=8, max_size=8), st.integers(0, 255))
def test_only_a_logit_that_is_no_number_gives_none(
    name: str, dtype: torch.dtype, numbers: list[float], ones: int
) -> None:
    logits = torch.tensor(numbers, dtype=torch.float64).to(dtype).view(2, 4)
    targets = torch.tensor([ones >> place & 1 for place in range(8)]).view(2, 4)
    loss = build_loss(name, COUNTS, DOCUMENTS)
    assert bool(loss(logits, targets).isnan()) == bool(logits.isnan().any())
    if not logits.isnan().any():
        assert gradient_of(loss, logits, targets).isfinite().all()


# Settings that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_constant_that_is_set_later_is_the_one_that_it_is_built_with(name: str) -> None:
    logits, targets = batch()
    for key, value in losses.constants(name, COUNTS, DOCUMENTS).items():
        changed: Any = not value if key == "reweight_negatives" else np.float64(value * 0.7 + 0.3)
        loss = build_loss(name, COUNTS, DOCUMENTS)
        setattr(loss, key, changed)
        assert loss.constants[key] == getattr(loss, key) == changed
        built = build_loss(name, COUNTS, DOCUMENTS, **{key: changed})
        assert torch.equal(loss(logits, targets), built(logits, targets)), key
        with pytest.raises(ValueError, match=f"{key} is nan"):
            setattr(loss, key, math.nan)
        assert torch.equal(loss(logits, targets), built(logits, targets))
    with pytest.raises(ValueError, match=f"Loss '{name}' does not read"):
        setattr(loss, "gamma" if "gamma" not in loss.constants else "prop_a", 1.0)
    with pytest.raises(TypeError):
        loss.constants["scale"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    "name", ["counts", "kept", "size", "preset", "documents", "constants", "shift", "on_positives"]
)
def test_what_follows_from_other_settings_is_read_only(name: str) -> None:
    with pytest.raises(AttributeError, match=f"{name} of a loss is read-only: it follows from"):
        setattr(build_loss("db", COUNTS, DOCUMENTS), name, 1)


def test_settings_may_be_numbers_of_numpy_and_torch() -> None:
    logits, targets = batch()
    wanted = build_loss("db", COUNTS, DOCUMENTS, gamma=3, mu=0.5, reweight_negatives=False)
    loss = build_loss(
        "db",
        np.array(COUNTS, np.int32),
        np.int64(DOCUMENTS),
        gamma=np.int64(3),
        mu=torch.tensor(0.5),  # type: ignore[arg-type]
        reweight_negatives=np.bool_(False),  # type: ignore[arg-type]
    )
    assert torch.equal(loss(logits, targets), wanted(logits, targets))
    loss.reduction = "sum"
    assert loss(logits, targets).item() == pytest.approx(wanted(logits, targets).item() * 24)
    with pytest.raises(ValueError, match="no reduction 'average'"):
        loss.reduction = "average"  # type: ignore[assignment]


# Soft labels, what is ignored, weights of positives ------------------------------------------------------------------


@LAW
@given(problems(), st.sampled_from(SOFT))
def test_soft_labels_that_are_hard_are_the_targets(problem: tuple[Tensor, int, Tensor, Tensor], name: str) -> None:
    counts, documents, logits, targets = problem
    soft, hard = (build_loss(name, counts, documents, soft_labels=one) for one in (True, False))
    torch.testing.assert_close(soft(logits, targets.double()), hard(logits, targets))
    torch.testing.assert_close(
        gradient_of(soft, logits, targets.double()), gradient_of(hard, logits, targets), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("name", SOFT)
def test_soft_labels_lie_between_the_two_sides(name: str) -> None:
    logits, y = batch()[0], shares()
    loss = build_loss(name, COUNTS, DOCUMENTS, soft_labels=True, reduction="none")
    assert torch.autograd.gradcheck(lambda z: loss(z, y), logits.clone().requires_grad_())
    if name in BY_ELEMENT and name not in REBALANCED:
        hard = build_loss(name, COUNTS, DOCUMENTS, reduction="none")
        there, absent = (hard(logits, torch.full_like(y, side)) for side in (1, 0))
        torch.testing.assert_close(loss(logits, y), y * there + (1 - y) * absent)
    for wrong in (1.5, -0.1, math.nan):
        y[4, 2] = wrong
        with pytest.raises(ValueError, match=r"targets\[4, 2\] is .*: soft labels are from 0 to 1"):
            loss(logits, y)


@pytest.mark.parametrize("name", SOFT)
def test_smoothed_labels_are_soft_labels_with_the_weights_of_hard_ones(name: str) -> None:
    logits, targets = batch()
    loss = build_loss(name, COUNTS, DOCUMENTS, label_smoothing=0.2)
    for made in (KINDS["float"], KINDS["pairs"], KINDS["csr_matrix"]):
        torch.testing.assert_close(loss(logits, made(targets)), loss(logits, targets))
    y = targets.double() * 0.8 + 0.1
    if name == "bce":
        torch.testing.assert_close(loss(logits, targets), binary_cross_entropy_with_logits(logits, y))
    if name not in REBALANCED:
        soft = build_loss(name, COUNTS, DOCUMENTS, soft_labels=True)
        torch.testing.assert_close(loss(logits, targets), soft(logits, y))


@pytest.mark.parametrize("name", ALL)
def test_what_is_ignored_counts_nowhere(name: str) -> None:
    logits, targets = batch()
    for reduction in REDUCTIONS[LOSSES[name].terms]:
        loss = build_loss(name, COUNTS, DOCUMENTS, reduction=reduction, ignore_index=-100)
        plain = build_loss(name, COUNTS, DOCUMENTS, reduction=reduction)
        torch.testing.assert_close(loss(logits, targets.long()), plain(logits, targets))
        some, z = targets.long(), logits.clone()
        some[1, 2], some[3, 0], z[1, 2], z[3, 0] = -100, -100, math.nan, math.inf
        assert loss(z, some).isfinite().all()
        gradient = gradient_of(loss, z, some)
        assert gradient.isfinite().all()
        assert gradient[1, 2] == gradient[3, 0] == 0
        some = targets.long()
        some[5] = -100  # a document of which nothing counts is none
        if reduction != "none":
            torch.testing.assert_close(loss(logits, some), plain(logits[:5], targets[:5]))
    if name in SOFT:
        soft = build_loss(name, COUNTS, DOCUMENTS, soft_labels=True, label_smoothing=0.1, ignore_index=-100)
        y = shares()
        whole = soft(logits[:5], y[:5])
        y[5] = -100
        torch.testing.assert_close(soft(logits, y), whole)


@pytest.mark.parametrize("name", BY_ELEMENT)
def test_weights_of_positives_multiply_the_elements_of_positives(name: str) -> None:
    logits, targets = batch()
    weight = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    for counts in (COUNTS, LEFT_OUT):
        options: Any = {"reduction": "none", "on_missing": "mask"}
        plain = build_loss(name, counts, DOCUMENTS, **options)
        loss = build_loss(name, counts, DOCUMENTS, pos_weight=weight, **options)
        factor = torch.where(targets, weight, 1.0)
        torch.testing.assert_close(loss(logits, targets), plain(logits, targets) * factor)
        torch.testing.assert_close(gradient_of(loss, logits, targets), gradient_of(plain, logits, targets) * factor)
    loss.pos_weight = None
    assert torch.equal(loss(logits, targets), plain(logits, targets))
    if isinstance(loss, LongTailLoss):
        summed = build_loss(name, COUNTS, DOCUMENTS, pos_weight=weight)
        torch.manual_seed(2)
        layer, features = LinearLoss(3, summed, block=2), torch.randn(6, 3)
        torch.testing.assert_close(layer(features, targets), summed(layer.logits(features), targets))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label_smoothing": 1}, "label_smoothing is 1: it must be from 0 to below 1"),
        ({"label_smoothing": math.nan}, "label_smoothing is nan"),
        ({"soft_labels": "yes"}, "soft_labels is 'yes'"),
        ({"ignore_index": 1}, "ignore_index is 1: it must be a number that no target is"),
        ({"pos_weight": [1, 2]}, r"pos_weight is \(2,\): it must be a number, or one for each label"),
        ({"pos_weight": [1, 0, 2, 3]}, "pos_weight is 0 for column 1"),
        ({"name": "two-way", "soft_labels": True}, "one term for each batch: it knows no soft labels"),
        ({"name": "two-way", "label_smoothing": 0.1}, "it knows no label_smoothing"),
        ({"name": "dice", "pos_weight": 2}, "one term for each label: it knows no pos_weight"),
    ],
)
def test_bad_options_are_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_loss(**{"name": "db", "counts": COUNTS, "documents": DOCUMENTS, **options})


@pytest.mark.parametrize("options", [{"soft_labels": True}, {"label_smoothing": 0.1}, {"ignore_index": -100}])
def test_the_output_layer_in_blocks_says_what_it_does_not_know(options: dict[str, Any]) -> None:
    layer = LinearLoss(3, build_loss("db", COUNTS, DOCUMENTS, **options))
    with pytest.raises(ValueError, match=r"The output layer in blocks .*: use loss\(layer.logits"):
        layer(torch.zeros(6, 3), batch()[1])

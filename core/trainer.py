"""Training as a generator: it yields progress, the caller looks, and stops it with `break`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core import replicas
from core.config import Diverged, ModelConfig, TrainConfig, UserError
from core.files import atomic_path
from core.inputs import Inputs
from core.losses import LongTailLoss, index_pairs
from core.losses.output_layer import linear_loss
from core.models import TfidfNetwork
from core.networks import Linear, TextNetwork, Transformer

SCORING_BATCH = 1024
SCORES_AT_ONCE = 1 << 23
"""Scores that are held densely while the best of each document are picked: about 24 bytes each."""
DENSE_TARGETS = 1000
"""Up to this many labels targets go to the loss as a matrix, above it as index pairs."""
EXPLODED = 1000.0
"""A step's loss in multiples of the first step's, above which training has diverged."""
CHECKPOINTS_KEPT = 2
CACHED = 2048
"""Tokens of which a CPU computes a transformer at once: with more, documents of 512 tokens take twice as long each."""
ADAM_EPSILON = 1e-15
"""So small that a step does not depend on the scale of the loss: a mean over 18,211 labels has gradients of about 1e-9,
which the usual 1e-8 would all but stop."""
Loss = Callable[[Tensor, Any], Tensor]
log = logging.getLogger("tailscope")


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step.

    Attributes:
        train_loss: mean loss of the epoch's steps so far.
        gradient_norm: of this step, before it is clipped or scaled.
        ended_epoch: this was the epoch's last step; the network may be scored now.
    """

    epoch: int
    step: int
    steps: int
    train_loss: float
    learning_rate: float
    gradient_norm: float
    ended_epoch: bool


@dataclass
class State:
    """All that training changes, so that it can be written down and taken up again.

    Attributes:
        epoch: the one that is going on, from 1; 0 before the first.
        step: how many of its steps are done.
        total: sum of their losses.
        first: loss of the very first step.
        waits: the last step of an epoch that is still to be evaluated.
        most: tokens that are computed at once; halved when memory runs out.
        read: what the loss is computed from: the network's logits, or what its output layer reads.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    most: int
    epoch: int = 0
    step: int = 0
    total: float = 0.0
    first: float = math.nan
    waits: Progress | None = None
    parameters: list[nn.Parameter] = field(default_factory=list)
    read: Callable[..., Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.read = self.network

    @classmethod
    def begin(cls, network: nn.Module, config: TrainConfig, documents: int) -> State:
        """The state before the first step over so many documents."""
        steps = math.ceil(documents / config.batch_size) * config.epochs
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if config.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                parameters, lr=config.learning_rate, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
            )
        else:
            optimizer = torch.optim.AdamW(
                _groups(network, config), weight_decay=config.weight_decay, eps=ADAM_EPSILON, fused=True
            )
        if config.warmup or config.schedule != "linear":
            schedule: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer, partial(_rate, config=config, steps=steps)
            )
        else:
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        scaler = torch.amp.GradScaler("cuda", enabled=config.precision == "fp16")
        most = tokens_at_once(network, config.max_tokens)
        return cls(network, optimizer, schedule, scaler, most, parameters=parameters)


def _rate(step: int, *, config: TrainConfig, steps: int) -> float:
    """The learning rate before a step, from 0, as a share of the highest: it rises, then follows the schedule."""
    rise = max(1, round(config.warmup * steps))
    left = max(0.0, (steps - step) / max(1, steps - rise))
    falls = {"linear": left, "cosine": (1 - math.cos(math.pi * min(left, 1.0))) / 2, "constant": 1.0}
    return min((step + 1) / rise, falls[config.schedule])


def tokens_at_once(network: nn.Module, most: int) -> int:
    """How many of at most so many tokens a network computes at once where it stands."""
    is_transformer = isinstance(network, TextNetwork) and isinstance(network.body, Transformer)
    return min(most, CACHED) if is_transformer and next(network.parameters()).device.type == "cpu" else most


def _groups(network: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters with their learning rates: a transformer's layers, each with its own, and what stands above them.

    Biases and the scales of norms do not decay. Parameters of which a process holds a share are kept apart.
    """
    body = network.body if isinstance(network, TextNetwork) and isinstance(network.body, Transformer) else None
    rates: dict[int, float] = {}
    if body is not None:
        layers = body.layers()
        for depth, layer in enumerate(layers):
            rate = config.learning_rate * config.layer_decay ** (len(layers) - 1 - depth)
            rates |= {id(parameter): rate for parameter in layer}
    top = config.learning_rate * (config.head_rate if body is not None else 1.0)
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            kind = (rates.get(id(parameter), top), parameter.ndim > 1, replicas.is_share(parameter))
            groups.setdefault(kind, []).append(parameter)
    return [
        {"params": parameters, "lr": rate} | ({} if decays else {"weight_decay": 0.0})
        for (rate, decays, _), parameters in groups.items()
    ]


def train(
    state: State,
    loss: Loss,
    inputs: Inputs,
    targets: sp.csr_array,
    *,
    config: TrainConfig,
    seed: int,
    device: str,
) -> Iterator[Progress]:
    """Trains on N documents and their targets (N, L), from where the state stands to the last epoch.

    A loss times a constant trains the same network, which makes losses comparable. With `optimizer=sgd` each step has
    the length of the learning rate: Nesterov momentum on gradients scaled to norm 1; the many rare words are not pushed
    as hard as the frequent ones, which is where Adam loses more than a point of micro-F1 on TF-IDF features.

    Whoever evaluates the network after an epoch's last step sets `state.waits` to None; a state that still has it
    yields that step once more.

    Raises:
        Diverged: the loss is no longer a number, or a thousand times what it was.
        UserError: memory runs out at one document.
    """
    rng = np.random.default_rng(seed)
    sampler = class_aware(targets) if config.resample else None
    for epoch in range(1, config.epochs + 1):
        rows = sampler(rng) if sampler else rng.permutation(len(inputs))
        batches = inputs.order(rows, rng, config.batch_size)
        if epoch < state.epoch:
            continue
        if epoch > state.epoch:
            state.epoch, state.step, state.total = epoch, 0, 0.0
        elif state.waits:
            yield state.waits
        state.network.train()
        prepare = _Preparation(state, inputs, targets, device)
        for batch, parts in _ahead(prepare, batches[state.step :]):
            rate = max(group["lr"] for group in state.optimizer.param_groups)
            value, norm = _step(state, loss, prepare, batch, parts, config)
            state.step += 1
            state.total += value
            state.first = value if math.isnan(state.first) else state.first
            if not math.isfinite(state.total) or not math.isfinite(norm):
                raise Diverged("The loss stopped being a number", epoch=epoch, step=state.step)
            if value > EXPLODED * max(state.first, 1e-3):
                raise Diverged(f"The loss rose to {value:.3g}, from {state.first:.3g}", epoch=epoch, step=state.step)
            mean, ended = state.total / state.step, state.step == len(batches)
            done = Progress(epoch, state.step, len(batches), mean, rate, norm, ended)
            state.waits = done if ended else None
            yield done
            state.network.train()


@dataclass(frozen=True)
class _Part:
    """Documents that are computed at once, on the device: what the network reads, targets, share of the batch."""

    read: tuple[Tensor, ...]
    targets: Tensor | tuple[Tensor, Tensor]
    weight: float


@dataclass(frozen=True)
class _Preparation:
    """Brings what a process computes of a batch to the device, in parts."""

    state: State
    inputs: Inputs
    targets: sp.csr_array
    device: str

    def __call__(self, batch: np.ndarray) -> tuple[int, list[_Part]]:
        """The tokens that a part may have, and the parts."""
        most, mine = self.state.most, replicas.share(batch)
        rows = self.inputs.parts(mine, most) if len(mine) else []
        return most, [self.part(some, len(some) / len(batch)) for some in rows]

    def part(self, rows: np.ndarray, weight: float) -> _Part:
        return _Part(self.inputs.tensors(rows, self.device), targets_of(self.targets[rows], self.device), weight)


def _ahead(
    prepare: _Preparation, batches: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, tuple[int, list[_Part]]]]:
    """Batches with their parts; while one is computed, a thread prepares the next, so that a GPU need not wait."""
    with ThreadPoolExecutor(1) as thread:
        asked = (thread.submit(prepare, batch) for batch in batches)
        coming = next(asked, None)
        for batch in batches:
            assert coming is not None, "as many as there are batches"
            prepared, coming = coming.result(), next(asked, None)
            yield batch, prepared


def _step(
    state: State,
    loss: Loss,
    prepare: _Preparation,
    batch: np.ndarray,
    prepared: tuple[int, list[_Part]],
    config: TrainConfig,
) -> tuple[float, float]:
    """One step of the optimizer; returns its loss and the norm of its gradient."""
    inputs = prepare.inputs
    while True:
        state.optimizer.zero_grad(set_to_none=True)
        most, parts = prepared
        if most != state.most:  # memory ran out since
            parts = prepare(batch)[1]
        try:
            value = _gradient(state, loss, prepare, batch, parts, config)
            break
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            if config.shard:
                raise UserError(
                    "Memory ran out, and with train.shard the others cannot be told: lower train.max_tokens."
                ) from None
            if (pieces := len(inputs.parts(batch, state.most))) == len(batch):
                raise UserError(
                    "Memory ran out at a single document. Lower model.max_length, or set train.recompute=true."
                ) from None
            state.most = state.most // 2 if pieces > 1 else _largest(inputs, batch)
        torch.cuda.empty_cache()
        log.info("memory ran out: at most %d tokens are computed at once from now on", state.most)
    state.scaler.unscale_(state.optimizer)
    gradients = [parameter.grad for parameter in state.parameters if parameter.grad is not None]
    norm = replicas.norm(gradients)
    held = [replicas.held(gradient) for gradient in gradients]
    if config.optimizer == "sgd" and norm > 0:
        torch._foreach_div_(held, norm)
    elif config.clip and norm > config.clip:
        torch._foreach_mul_(held, config.clip / norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.schedule.step()
    return value, 0.0 if state.scaler.is_enabled() and not math.isfinite(norm) else norm


def _largest(inputs: Inputs, batch: np.ndarray) -> int:
    """Half of the tokens of a batch that was computed in one part."""
    most = 1 << 30
    while len(inputs.parts(batch, most)) == 1 and most > 1:
        most //= 2
    return most


def _gradient(
    state: State, loss: Loss, prepare: _Preparation, batch: np.ndarray, parts: list[_Part], config: TrainConfig
) -> float:
    """The mean loss of a batch, its gradient gathered part by part."""
    total = 0.0
    if lacking := replicas.lacking(len(parts), prepare.device, shared=config.shard):
        parts = parts + [prepare.part(batch[:1], 0.0)] * lacking
    for part in parts:
        with autocast(config.precision, prepare.device):
            read = state.read(*part.read)
        value = loss(read.float(), part.targets) * part.weight
        state.scaler.scale(value).backward()
        total += value.item()
    return replicas.add_up(state.parameters, total)


def blocked(network: nn.Module, loss: nn.Module) -> tuple[Callable[..., Tensor], Loss] | None:
    """The network up to its output layer, and that layer with the loss in one, which never holds logits (B, L).

    None where there is no such form: a loss that needs all logits, a head that is more than a linear layer, a label
    graph, which makes all weights together.
    """
    if isinstance(network, TextNetwork) and isinstance(network.head, Linear):
        output: nn.Linear = network.head.output
        read: Callable[..., Tensor] = network.features
    elif isinstance(network, TfidfNetwork) and network.output is not None:
        output, read = network.output, network.hidden
    else:
        return None
    if not isinstance(loss, LongTailLoss) or parametrize.is_parametrized(output):
        return None

    def layer(features: Tensor, targets: Any) -> Tensor:
        return linear_loss(loss, features, output.weight, output.bias, targets)

    return read, layer


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Where a network is computed in half precision."""
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.bfloat16)
    return torch.autocast(device.partition(":")[0], kind, enabled=precision in ("bf16", "fp16"))


def resolve_precision(precision: str, device: str) -> str:
    """`auto` is bf16 on a device that is built for it, else fp32.

    Raises:
        UserError: fp16 without a GPU.
    """
    if precision == "fp16" and device == "cpu":
        raise UserError("train.precision=fp16 needs a GPU: choose bf16 or fp32 on a CPU.")
    if precision != "auto":
        return precision
    if device == "cpu":
        return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16") else "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def targets_of(targets: sp.csr_array, device: str) -> Tensor | tuple[Tensor, Tensor]:
    """Targets of some rows as the losses take them: (B, L) float32, or index pairs of the ones where L is large."""
    if targets.shape[1] <= DENSE_TARGETS:
        return torch.from_numpy(targets.toarray().astype(np.float32)).to(device)
    rows, columns = index_pairs(targets)
    return rows.to(device), columns.to(device)


def class_aware(targets: sp.csr_array) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws as many rows as there are: a label first, each as often as any other, then one of its documents.

    Source: Shen et al. 2016; Wu et al. 2020 pair it with the distribution-balanced loss.
    """
    columns = sp.csc_array(targets)
    sizes = np.diff(columns.indptr)
    labels = np.flatnonzero(sizes)

    def draw(rng: np.random.Generator) -> np.ndarray:
        chosen = rng.permutation(np.resize(labels, targets.shape[0]))
        return columns.indices[columns.indptr[chosen] + rng.integers(0, sizes[chosen])]

    return draw


@torch.no_grad()
def predict(
    network: nn.Module, inputs: Inputs, *, device: str, precision: str = "fp32", shift: Any = 0.0
) -> Iterator[np.ndarray]:
    """Scores (sigmoid of the logits, less `shift` (L,)) of all rows in order, in batches (B, L) float32."""
    network.eval()
    size, start, most = min(32, SCORING_BATCH), 0, tokens_at_once(network, 65_536)
    while start < len(inputs):
        rows = np.arange(start, min(start + size, len(inputs)))
        # Sorted by length, so that little is padding, and put back in order.
        pieces = inputs.order(rows, np.random.default_rng(0), len(rows))[0]
        found = []
        for part in inputs.parts(pieces, most):
            with autocast(precision, device):
                logits = network(*inputs.tensors(part, device))
            found.append(torch.sigmoid(logits.float() - shift).cpu().numpy())
        scores = np.concatenate(found)
        yield scores[np.argsort(pieces)]
        start += len(rows)
        size = max(1, min(SCORING_BATCH, SCORES_AT_ONCE // scores.shape[1]))


def gather(state: State) -> dict[str, Tensor]:
    """The weights and what the optimizer keeps, whole: all processes must ask."""
    arrays = {f"network.{name}": replicas.whole(value) for name, value in state.network.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        kept = {key: value for key, value in values.items() if value is not None}
        arrays |= {f"optimizer.{number}.{key}": replicas.whole(value) for key, value in kept.items()}
    return arrays


def write_checkpoint(folder: Path, state: State, more: dict[str, Any]) -> Path:
    """Writes the state into a folder of its own inside `folder`, whole or not at all, and drops all but the last two.

    Args:
        folder: of the run's checkpoints.
        state: of training.
        more: what the caller wants back, as JSON.
    """
    arrays, groups = gather(state), state.optimizer.state_dict()["param_groups"]
    arrays["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        arrays["rng.cuda"] = torch.cuda.get_rng_state()
    numbers = {
        "epoch": state.epoch,
        "step": state.step,
        "total": state.total,
        "first": None if math.isnan(state.first) else state.first,
        "most": state.most,
        "waits": asdict(state.waits) if state.waits else None,
        "rates": [(group["lr"], group["initial_lr"]) for group in groups],
        "schedule": {key: value for key, value in state.schedule.state_dict().items() if key != "lr_lambdas"},
        "scaler": state.scaler.state_dict(),
        "more": more,
    }
    path = folder / f"{state.epoch:05d}-{state.step:07d}"
    if path.exists():
        return path
    with atomic_path(path) as temporary:
        temporary.mkdir()
        plain = {name: value.detach().cpu().clone() for name, value in arrays.items()}
        save_file(plain, temporary / "state.safetensors")
        temporary.joinpath("state.json").write_text(json.dumps(numbers), encoding="utf-8")
    for old in checkpoints(folder)[:-CHECKPOINTS_KEPT]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    return sorted(path for path in folder.glob("[0-9]*-[0-9]*") if path.is_dir())


def read_checkpoint(folder: Path, state: State) -> dict[str, Any] | None:
    """Puts the last whole checkpoint into the state and returns what was kept with it; None if there is none."""
    for path in reversed(checkpoints(folder)):
        try:
            numbers = json.loads(path.joinpath("state.json").read_text("utf-8"))
            arrays = load_file(path / "state.safetensors")
            _restore(state, numbers, arrays)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            log.info("checkpoint %s is damaged and left out: %s", path.name, error)
            continue
        return dict(numbers["more"])
    return None


def _restore(state: State, numbers: dict[str, Any], arrays: dict[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "rng": {}}
    for name, value in arrays.items():
        kind, _, key = name.partition(".")
        parts[kind][key] = value
    optimizer = state.optimizer.state_dict()
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        number, _, key = name.partition(".")
        slots.setdefault(int(number), {})[key] = replicas.share_of(value, parameters[int(number)])
    for group, (rate, initial) in zip(optimizer["param_groups"], numbers["rates"], strict=True):
        group |= {"lr": rate, "initial_lr": initial}
    like = state.network.state_dict()
    state.network.load_state_dict(
        {name: replicas.share_of(value, like[name]) for name, value in parts["network"].items()}
    )
    state.optimizer.load_state_dict({"state": slots, "param_groups": optimizer["param_groups"]})
    lambdas = {"lr_lambdas": [None] * len(numbers["rates"])} if "lr_lambdas" in state.schedule.state_dict() else {}
    state.schedule.load_state_dict(numbers["schedule"] | lambdas)
    state.scaler.load_state_dict(numbers["scaler"])
    state.epoch, state.step, state.total = numbers["epoch"], numbers["step"], numbers["total"]
    state.first = math.nan if numbers["first"] is None else numbers["first"]
    state.most = numbers["most"]
    state.waits = Progress(**numbers["waits"]) if numbers["waits"] else None
    torch.set_rng_state(parts["rng"]["cpu"])
    if "cuda" in parts["rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(parts["rng"]["cuda"])


@dataclass(frozen=True)
class LinearRule:
    """One hyperplane per label: margin = features @ weights + intercepts.

    Attributes:
        weights: (V, L) float32.
        intercepts: (L,) float32.
    """

    weights: np.ndarray
    intercepts: np.ndarray

    def margins(self, features: sp.csr_array) -> Iterator[np.ndarray]:
        """Signed distances times the weight norm, batches of (B, L)."""
        for start in range(0, features.shape[0], SCORING_BATCH):
            yield features[start : start + SCORING_BATCH] @ self.weights + self.intercepts


NEVER = -100.0
"""Margin of a label without a training document: below every threshold that a fit can choose."""


def fit_svm(
    features: sp.csr_array, targets: sp.csr_array, rule: LinearRule, *, config: ModelConfig, seed: int, block: int = 10
) -> Iterator[float]:
    """Fills `rule` with one linear SVM per label, `block` labels at a time; yields the fraction done.

    Source: one-vs-rest with scikit-learn's `LinearSVC` (LIBLINEAR, Fan et al. 2008).
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    labels = targets.shape[1]
    for start in range(0, labels, block):
        columns = np.arange(start, min(start + block, labels))
        wanted = targets[:, columns].toarray()
        counts = wanted.sum(axis=0)
        usable = (counts > 0) & (counts < len(wanted))
        rule.weights[:, columns] = 0
        rule.intercepts[columns] = np.where(counts > 0, -NEVER, NEVER)
        if usable.any():
            classifier = OneVsRestClassifier(LinearSVC(C=config.C, random_state=seed)).fit(features, wanted[:, usable])
            for column, one in zip(columns[usable], classifier.estimators_, strict=True):
                rule.weights[:, column] = one.coef_[0]
                rule.intercepts[column] = one.intercept_[0]
        yield (columns[-1] + 1) / labels

"""Checkpoints: the whole state of training in a folder, from which it resumes with the same numbers.

A checkpoint `EPOCH-STEP` holds `state.safetensors` (weights, what the optimizer keeps, random numbers) and `state.json`
(counters, learning rates, and `more`: what the caller keeps with them).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.system.arrays import PARSER_ERRORS
from core.system.files import atomic_path
from core.trainer import distributed
from core.trainer.state import Progress, State

CHECKPOINTS_KEPT = 2
WEIGHTS_AT_ONCE = 1 << 26
"""Weights that are read from a file at once, where they go into a network that has its memory already."""
log = logging.getLogger("tailscope")


def gather_arrays(state: State) -> dict[str, Tensor]:
    """The weights and what the optimizer keeps, whole: every process must call it."""
    arrays = {f"network.{name}": distributed.gather_whole(value) for name, value in state.network.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        kept = {key: value for key, value in values.items() if value is not None}
        arrays |= {f"optimizer.{number}.{key}": distributed.gather_whole(value) for key, value in kept.items()}
    if state.averaged is not None:
        arrays |= {f"average.{name}": value for name, value in state.averaged.state_dict().items()}
    return arrays


def separate_storage(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU as a file takes them: one that shares its memory with another is copied, no other is."""
    found: dict[str, Tensor] = {}
    taken = set()
    for name, value in tensors.items():
        plain = value.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if place in taken else plain
        taken.add(place)
    return found


@torch.no_grad()
def load_weights(network: nn.Module, file: Path) -> None:
    """Sets the weights of a network to those of a file, a part of them at a time: they are never in memory twice.

    Raises:
        ValueError: the file has other weights.
    """
    own = network.state_dict()
    with safe_open(file, "pt") as stored:
        shapes = {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
    if shapes != {name: list(into.shape) for name, into in own.items()}:
        raise ValueError(f"{file.name} holds the weights of another network")
    for name, into in own.items():
        if not into.ndim:
            with safe_open(file, "pt") as stored:
                into.copy_(stored.get_tensor(name))
            continue
        size = max(1, WEIGHTS_AT_ONCE * len(into) // max(1, into.numel()))
        for start in range(0, len(into), size):
            # The file is mapped into memory anew for each part: what was read of it stays there until it is closed.
            with safe_open(file, "pt") as stored:
                into[start : start + size] = stored.get_slice(name)[start : min(start + size, len(into))]


def write_checkpoint(folder: Path, state: State, more: dict[str, Any]) -> Path:
    """Writes the state into a folder of its own inside `folder`, whole or not at all, and drops all but the last two.

    Args:
        folder: of the run's checkpoints.
        state: of training.
        more: what the caller wants back, as JSON.
    """
    # Arrays. Gathering is the part that all processes do together, so it comes before anything that may return.
    arrays, groups = gather_arrays(state), state.optimizer.state_dict()["param_groups"]
    arrays["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        arrays["rng.cuda"] = torch.cuda.get_rng_state()
    # Numbers, under the keys of the stored file.
    numbers = {
        "epoch": state.epoch,
        "step": state.step,
        "total": state.loss_sum,
        "first": None if math.isnan(state.first_loss) else state.first_loss,
        "most": state.tokens_at_once,
        "waits": asdict(state.unevaluated) if state.unevaluated else None,
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
        save_file(separate_storage(arrays), temporary / "state.safetensors")
        temporary.joinpath("state.json").write_text(json.dumps(numbers), encoding="utf-8")
    # Older ones go when the new one is whole, never before.
    for old in list_checkpoints(folder)[:-CHECKPOINTS_KEPT]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first; none where there is no folder."""
    return sorted(path for path in folder.glob("[0-9]*-[0-9]*") if path.is_dir())


def read_checkpoint(folder: Path, state: State) -> dict[str, Any] | None:
    """Restores the state from the last whole checkpoint and returns its `more`; None if there is none."""
    for path in reversed(list_checkpoints(folder)):
        try:
            numbers = json.loads(path.joinpath("state.json").read_text("utf-8"))
            arrays = load_file(path / "state.safetensors")
            restore(state, numbers, arrays)
        except (*PARSER_ERRORS, SafetensorError) as error:
            log.info("checkpoint %s is damaged and left out: %s", path.name, error)
            continue
        return dict(numbers["more"])
    return None


def restore(state: State, numbers: dict[str, Any], arrays: dict[str, Tensor]) -> None:
    """Sets the state to what `write_checkpoint` wrote of one.

    Raises:
        KeyError, ValueError, TypeError, RuntimeError: it is not of this network, optimizer or schedule, or damaged.
    """
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}, "rng": {}}
    for name, value in arrays.items():
        kind, _, key = name.partition(".")
        parts[kind][key] = value
    # What the optimizer keeps of each parameter, by its number; learning rates as they were.
    optimizer = state.optimizer.state_dict()
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        number, _, key = name.partition(".")
        own = distributed.take_share(value, parameters[int(number)])
        slots.setdefault(int(number), {})[key] = own.clone()  # the file itself would stay mapped into memory
    for group, (rate, initial) in zip(optimizer["param_groups"], numbers["rates"], strict=True):
        group |= {"lr": rate, "initial_lr": initial}
    # Weights; with `train.shard` each process takes its share of them.
    like = state.network.state_dict()
    state.network.load_state_dict(
        {name: distributed.take_share(value, like[name]) for name, value in parts["network"].items()}
    )
    if state.averaged is not None:
        state.averaged.load_state_dict(parts["average"])
    state.optimizer.load_state_dict({"state": slots, "param_groups": optimizer["param_groups"]})
    # The schedule of `LambdaLR` also has its functions, which no file holds: the ones that it has stay.
    lambdas = {"lr_lambdas": [None] * len(numbers["rates"])} if "lr_lambdas" in state.schedule.state_dict() else {}
    state.schedule.load_state_dict(numbers["schedule"] | lambdas)
    state.scaler.load_state_dict(numbers["scaler"])
    # Counters.
    state.epoch, state.step, state.loss_sum = numbers["epoch"], numbers["step"], numbers["total"]
    state.first_loss = math.nan if numbers["first"] is None else numbers["first"]
    state.tokens_at_once = numbers["most"]
    state.unevaluated = Progress(**numbers["waits"]) if numbers["waits"] else None
    # Random numbers last, so that nothing above draws any.
    torch.set_rng_state(parts["rng"]["cpu"])
    if "cuda" in parts["rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(parts["rng"]["cuda"])

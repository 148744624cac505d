"""Several processes that train one network: each computes its share of every batch, and gradients are summed.

Started by the worker (`train.processes`), by the engine of a cluster, one on each of its places, or by `torchrun` and
`accelerate launch`, whose variables accelerate reads: it chooses the backend and gives each process its device. With
one process nothing here does anything.

Each process holds the whole network, and gradients are summed once a step, whatever each process did for it. DDP and
accelerate's wrappers sum them in every backward pass, of which all processes must then make equally many; but a batch
is computed in parts, made by length and halved where memory runs out, and those are not equally many.

With `train.shard` each process holds its share of a transformer (FSDP, Zhao et al. 2023): weights are gathered layer
by layer while it is computed, and so all processes do make equally many parts there, some of them for nothing.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn

from core.system.errors import PeerLost
from core.system.places import ROOT

T = TypeVar("T")
LOST = ("gloo/transport", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL error")
"""What stands in errors of torch where another process has ended or does not answer."""


class Signal(IntEnum):
    """What all processes do after a step; at `CHECKPOINT` they gather the weights and the optimizer's state."""

    CONTINUE = 0
    CHECKPOINT = 1
    END = 2


def rank() -> int:
    """The number of this process, 0 for the one that reports, scores and writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def join_processes(processes: int, run: Path, device: str) -> Iterator[str]:
    """Makes the processes of a run one group inside the block; starts the others where no launcher has.

    Args:
        processes: how many there are to be.
        run: folder, which the others open by themselves.
        device: of the first; on GPUs each process takes one of its own, from the first on.

    Yields:
        The device of this process.

    Raises:
        PeerLost: another process has ended or does not answer.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not launched and processes == 1:
        yield device
        return
    from accelerate import PartialState

    variables = {} if launched else _launch_variables(processes)
    os.environ |= variables
    started: list[subprocess.Popen[bytes]] = []
    try:
        # The others first: `PartialState` waits until all of them are there.
        for number in range(1, 1 if launched else processes):
            command = [sys.executable, "-m", "core", "train", str(run.resolve())]
            own = {"RANK": str(number), "LOCAL_RANK": str(number)}
            started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | own))
        mine = PartialState(cpu=device == "cpu").device
        yield str(mine) if mine.type == "cuda" else mine.type
    except RuntimeError as error:
        if tells_loss(error):
            words = str(error).partition("\n")[0]
            raise PeerLost(f"Another process of the run has ended or does not answer: {words}") from error
        raise
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
        if dist.is_initialized():
            dist.destroy_process_group()
        PartialState._reset_state()  # the next run of this process may have others beside it, or none
        for name in variables:
            os.environ.pop(name)


def tells_loss(error: RuntimeError) -> bool:
    """Whether an error of torch says that another process has ended or does not answer."""
    return isinstance(error, dist.DistError) or any(words in str(error) for words in LOST)


def check_start(epoch: int, step: int) -> None:
    """Checks that all processes begin at the same step: every process must call it.

    Raises:
        PeerLost: they do not, as where a file system shows a new checkpoint later to one node than to another.
    """
    starts = gather_lists([(epoch, step)])
    if len(set(starts)) > 1:
        raise PeerLost(f"The processes of the run have read different checkpoints: {starts}.")


def _launch_variables(processes: int) -> dict[str, str]:
    """The environment of the first of several processes on this machine, as `torchrun` sets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    number = str(processes)
    variables = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if "OMP_NUM_THREADS" not in os.environ:
        variables["OMP_NUM_THREADS"] = str(count_threads(processes))
    return variables


def count_threads(processes: int) -> int:
    """Threads of torch on the CPU in each of so many processes: `OMP_NUM_THREADS`, else its share of the cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked) if asked.isdigit() else (psutil.cpu_count(logical=False) or 1) // processes)


def share_rows(rows: np.ndarray) -> np.ndarray:
    """The rows of a batch that this process computes; none where the batch has fewer rows than there are processes."""
    return rows[rank() :: world_size()] if world_size() > 1 else rows


def shard(encoder: nn.Module) -> None:
    """Shards a transformer's encoder: each process holds its share of every weight."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(next(encoder.parameters()).device.type, (world_size(),))
    layers = next(module for module in encoder.modules() if isinstance(module, nn.ModuleList))
    for module in (*layers, encoder):  # what the layers do not hold, embeddings above all, is the encoder's
        fully_shard(module, mesh=mesh)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)  # a part's loss already is its share of the batch's
        module.set_force_sum_reduction_for_comms(True)  # the one way that gloo has


def is_share(value: Tensor) -> bool:
    """Whether this process holds only its share of a tensor: it is a DTensor, whose module is slow to import."""
    return hasattr(value, "device_mesh")


def local_part(value: Tensor) -> Tensor:
    """What this process holds of a tensor, not a copy of it."""
    return value.to_local() if is_share(value) else value  # type: ignore[attr-defined]


def gather_whole(value: Tensor) -> Tensor:
    """A tensor gathered from its shares: every process must call it."""
    return value.full_tensor() if is_share(value) else value  # type: ignore[attr-defined]


def take_share(value: Tensor, like: Tensor) -> Tensor:
    """The share of a whole tensor that this process holds, if it holds a share of `like`; else the whole."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    # Every process has read the same file, so nothing need be sent.
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def missing_parts(parts: int, device: str, *, sharded: bool) -> int:
    """How many parts fewer than another this process makes of a batch; 0 unless the network is sharded."""
    if not sharded or world_size() == 1:
        return 0
    most = torch.tensor([parts], device=device)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    return int(most) - parts


def gradient_norm(gradients: list[Tensor]) -> float:
    """The norm of all gradients together, shares or not."""
    shares = [local_part(gradient) for gradient in gradients if is_share(gradient)]
    found = torch.nn.utils.get_total_norm([gradient for gradient in gradients if not is_share(gradient)])
    if not shares:
        return float(found)
    square = torch.nn.utils.get_total_norm(shares).square()
    dist.all_reduce(square)
    return math.sqrt(float(found) ** 2 + float(square))


def sum_gradients(parameters: list[nn.Parameter], value: float) -> float:
    """Sums the gradients of all processes, in each of them, and returns the sum of their values.

    Gradients of shares have been summed by then, in the backward pass.
    """
    if world_size() == 1:
        return value
    parameters = [parameter for parameter in parameters if not is_share(parameter)]
    device = parameters[0].device
    # A process whose share of the batch is empty has no gradients: they are zero.
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    # All gradients in one tensor, so that there is one message; the loss in float64.
    flat = torch.cat([parameter.grad.reshape(-1).float() for parameter in parameters])  # type: ignore[union-attr]
    total = torch.tensor([value], dtype=torch.float64, device=device)
    dist.all_reduce(flat)
    dist.all_reduce(total)
    start = 0
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()
    return float(total)


def gather_lists(values: list[T]) -> list[T]:
    """The lists of all processes as one, in their order: every process must call it."""
    if world_size() == 1:
        return values
    found: list[list[T]] = [[]] * world_size()
    dist.all_gather_object(found, values)
    return [value for one in found for value in one]


def agree(signal: Signal, device: str) -> Signal:
    """Broadcasts the signal of the first process; all processes return that one, whatever their own is."""
    if world_size() == 1:
        return signal
    message = torch.tensor([int(signal)], device=device)
    dist.broadcast(message, 0)
    return Signal(int(message.item()))

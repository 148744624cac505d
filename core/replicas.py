"""Several processes that train one network: each reads its share of every batch, and gradients are added up.

Started by the worker (`train.processes`), or by `torchrun` and `accelerate launch`, whose variables are read: RANK,
WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Without them there is one process, and nothing here does anything.

This is torch.distributed without DDP, FSDP or accelerate's wrappers: those add gradients up after every backward pass,
so all processes must make equally many, and the parts of a batch, made by length and halved where memory runs out, are
not equally many. Here gradients are added up once a step, whatever each process did for it. The price: each process
holds the whole network.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from core.config import ROOT

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def rank() -> int:
    """The number of this process, 0 for the one that reports, scores and writes."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined(processes: int, run: Path, device: str) -> Iterator[str]:
    """Brings the processes of a run together for a while; starts the others where nobody else has.

    Args:
        processes: how many there are to be.
        run: folder, which the others open by themselves.
        device: of the first; on GPUs each process takes one of its own, from the first on.

    Yields:
        The device of this process.
    """
    started: list[subprocess.Popen[bytes]] = []
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched == 1 and processes == 1:
        yield device
        return
    if launched == 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        os.environ |= {"RANK": "0", "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for number in range(1, processes):
            command = [sys.executable, "-m", "core", "train", str(run.resolve())]
            started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | {"RANK": str(number)}))
    mine = device if device == "cpu" else f"cuda:{int(os.environ.get('LOCAL_RANK', rank()))}"
    try:
        dist.init_process_group("gloo" if device == "cpu" else "nccl")
        yield mine
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
        if dist.is_initialized():
            dist.destroy_process_group()
        if launched == 1:
            for name in VARIABLES:
                os.environ.pop(name, None)


def share(rows: np.ndarray) -> np.ndarray:
    """The rows of a batch that this process computes."""
    return rows[rank() :: world()] if world() > 1 else rows


def add_up(parameters: list[nn.Parameter], value: float) -> float:
    """Adds the gradients of all processes, in each of them, and returns the sum of their values."""
    if world() == 1:
        return value
    device = parameters[0].device
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
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


def agree(go_on: bool, device: str) -> bool:
    """What the first process says, heard by all."""
    if world() == 1:
        return go_on
    said = torch.tensor([int(go_on)], device=device)
    dist.broadcast(said, 0)
    return bool(said.item())

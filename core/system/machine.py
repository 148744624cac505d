"""What this machine has: memory, GPUs and who holds them."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from core.system.errors import UserError

SLOTS_VARIABLE = "TAILSCOPE_SLOTS"


def slots(kind: str) -> list[str]:
    """The slots of a kind of device, each of which one run at a time may use.

    `TAILSCOPE_SLOTS` names them, such as `cpu:2,cuda-1`; a kind that it leaves out has its usual ones, which are one
    for the CPU and one for each NVIDIA GPU.

    Args:
        kind: `cpu`, `cuda`, or one GPU such as `cuda-1`.

    Raises:
        UserError: `TAILSCOPE_SLOTS` makes no sense, or leaves that GPU out.
    """
    named = _named_slots()
    if kind == "cpu":
        return [slot for slot in named if slot.startswith("cpu")] or ["cpu"]
    gpus = [slot for slot in named if slot.startswith("cuda")]
    if kind == "cuda":
        return gpus or [f"cuda-{number}" for number in range(max(1, count_gpus()))]
    if gpus and kind not in gpus:
        raise UserError(f"No run may use {kind}: {SLOTS_VARIABLE} has {', '.join(named)}.")
    return [kind]


def _named_slots() -> list[str]:
    named = []
    for word in os.environ.get(SLOTS_VARIABLE, "").replace(",", " ").split():
        many = re.fullmatch(r"cpu(?::([1-9]\d?))?", word)
        if many:
            named += ["cpu", *(f"cpu-{number}" for number in range(1, int(many[1] or 1)))]
        elif re.fullmatch(r"cuda-\d{1,2}", word):
            named.append(word)
        else:
            raise UserError(f"{SLOTS_VARIABLE} says '{word}': write cpu, cpu:2 or cuda-0, with commas between them.")
    return list(dict.fromkeys(named))


def count_gpus() -> int:
    """NVIDIA GPUs that a process may use; asks the driver, not torch, which costs a gigabyte of libraries."""
    folder = Path("/proc/driver/nvidia/gpus")
    found = len(list(folder.iterdir())) if folder.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else min(found, len([word for word in visible.split(",") if word.strip()]))


def memory() -> int:
    """Bytes of main memory."""
    return int(psutil.virtual_memory().total)


def give_back_memory() -> None:
    """Hands memory that was freed back to the system, which glibc keeps between blocks that are still in use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def gpu_holders() -> set[int]:
    """Numbers of the processes that hold memory of an NVIDIA GPU, as the driver says; empty where there is none."""
    command = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {int(line) for line in done.stdout.split() if line.isdigit()}

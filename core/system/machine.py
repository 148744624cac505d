"""What this machine has: memory, GPUs and who holds them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil


def count_gpus() -> int:
    """NVIDIA GPUs that a process may use; read from the driver, for torch costs a gigabyte of libraries."""
    folder = Path("/proc/driver/nvidia/gpus")
    found = len(list(folder.iterdir())) if folder.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else min(found, len([word for word in visible.split(",") if word.strip()]))


def memory() -> int:
    """Bytes of main memory."""
    return int(psutil.virtual_memory().total)


def give_back_memory() -> None:
    """Returns freed memory to the system; glibc keeps what lies between blocks that are still in use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def gpu_holders() -> set[int]:
    """Numbers of the processes that hold memory of an NVIDIA GPU, by its driver; empty where there is none."""
    command = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {int(line) for line in done.stdout.split() if line.isdigit()}

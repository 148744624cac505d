"""Half precision: on which device it is used, and where in a network."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from core.system.errors import UserError


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Where a network is computed in half precision: for `bf16` and `fp16`; for `fp32` it does nothing."""
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

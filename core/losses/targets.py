"""Targets as losses read them: matrices of any library, or the index pairs of the ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checks import check_shapes, find_pairs, index_pairs

Targets = Tensor | tuple[Tensor, Tensor]
"""(B, L) of 0 and 1, or the rows (A,) and labels (A,) of the ones."""
RARE = {torch.uint16: torch.int64, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""Types of numbers that torch stores and computes little with, and what they are read as."""
MATRIX = "pass a matrix (documents, labels) of 0 and 1, or the places of the ones as a tuple (rows, labels)"


class Batch(NamedTuple):
    """What a loss is computed from: documents, and the K labels that are kept.

    Attributes:
        logits: (..., K), each row of the last dimension a document.
        targets: (..., K) of 0 and 1, or of shares from 0 to 1 where `soft`; the rows (A,) of index pairs.
        labels: the labels of index pairs, (A,), sorted by row.
        soft: whether targets are shares.
        counted: bool (..., K), what is not ignored; None where everything counts.
        kept: the columns that are kept, (K,), or None for all.
    """

    logits: Tensor
    targets: Tensor
    labels: Tensor | None
    soft: bool
    counted: Tensor | None
    kept: Tensor | None


def read_targets(targets: Any, shape: torch.Size, device: torch.device, size: int) -> Targets:
    """Targets as a dense tensor or as index pairs, if they fit.

    Args:
        targets: a tensor, an array, a sparse matrix of SciPy or torch; or rows and labels as a tuple, and nothing but a
            tuple: a list of two tensors is also what a data loader makes of a batch.
        shape: of the logits, (..., L).
        device: of the logits.
        size: L.

    Raises:
        ValueError: targets of another kind or shape.
    """
    if isinstance(targets, Tensor) and targets.layout is torch.strided:
        found: Targets = targets if targets.device == device else targets.to(device)
    elif isinstance(targets, tuple) and not hasattr(targets, "_fields"):
        found = _read_pairs(targets, device)
    else:
        found = _read_other(targets, shape, device)
    check_shapes(shape, found, size)
    if isinstance(found, Tensor) and found.dtype in RARE:
        return found.to(RARE[found.dtype])
    return found


def _read_pairs(targets: tuple[Any, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and labels as tensors."""
    if len(targets) != 2:
        raise ValueError(f"Targets are a tuple of {len(targets)}: {MATRIX}.")
    try:
        rows, labels = (part if isinstance(part, Tensor) else _whole(part) for part in targets)
    except (TypeError, ValueError, RuntimeError):
        kinds = " and ".join(type(part).__name__ for part in targets)
        raise ValueError(f"Index pairs are {kinds}: rows and labels must be two lists of whole numbers.") from None
    return rows.to(device), labels.to(device)


def _whole(numbers: Any) -> Tensor:
    """A list or an array as a tensor on the CPU; of an empty list nothing says that it holds whole numbers."""
    return torch.tensor(numbers, device="cpu") if len(numbers) else torch.zeros(0, dtype=torch.int64, device="cpu")


def _read_other(targets: Any, shape: torch.Size, device: torch.device) -> Targets:
    """Targets that are no dense tensor of torch: sparse ones, arrays, data frames."""
    kind = type(targets).__name__
    if hasattr(targets, "tocsr"):  # SciPy
        cells = targets.tocsr(copy=True)
        cells.sum_duplicates()
        (rows, labels), values = index_pairs(cells), torch.tensor(cells.data.astype("float64"))
        return _from_cells(rows, labels, values, targets.shape, shape, device)
    if isinstance(targets, Tensor):
        if targets.layout not in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
            raise ValueError(f"Targets have the layout {targets.layout}: {MATRIX}.")
        cells = targets.to_sparse_coo().coalesce()
        rows, labels = cells.indices()
        return _from_cells(rows, labels, cells.values(), targets.shape, shape, device)
    if not hasattr(targets, "__array__"):
        raise ValueError(f"Targets are a {kind}: {MATRIX}.")
    array = targets.__array__()
    if array.dtype.kind not in "biuf":
        raise ValueError(f"Targets are a {kind} of {array.dtype}: {MATRIX}.")
    return torch.tensor(array.astype(array.dtype.newbyteorder("="), order="C")).to(device)


def _from_cells(
    rows: Tensor, labels: Tensor, values: Tensor, own: Any, shape: torch.Size, device: torch.device
) -> Targets:
    """Index pairs of a sparse matrix of ones; a dense matrix of any other, which is checked, or read as shares."""
    if tuple(own) != tuple(shape):
        raise ValueError(f"Logits are {tuple(shape)} and targets {tuple(own)}: both must be (documents, {shape[-1]}).")
    there = values != 0
    rows, labels, values = (part[there].to(device) for part in (rows, labels, values))
    if bool((values == 1).all()):
        return rows, labels
    return torch.zeros(shape, dtype=values.dtype, device=device).index_put((rows, labels), values)


def narrow_pairs(
    targets: tuple[Tensor, Tensor], documents: int, size: int, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Index pairs, sorted and checked, without the labels that are left out; those that stay count from 0."""
    row, label = targets
    if not torch.compiler.is_compiling():
        row, label = find_pairs(row, label, documents, size)
    if kept is None:
        return row, label
    place = torch.full((size,), -1, device=label.device)
    place[kept] = torch.arange(len(kept), device=label.device)
    label = place[label]
    return row[label >= 0], label[label >= 0]


def poison(logits: Tensor, targets: Tensor, *, soft: bool = False) -> Tensor:
    """Logits that are NaN where a target is none, for places where nothing can be raised: compiled code."""
    good = (targets >= 0) & (targets <= 1) if soft else (targets == 0) | (targets == 1)
    return logits + torch.where(good, 0.0, torch.nan).to(logits.dtype)


def bounded(logits: Tensor) -> Tensor:
    """Logits with infinities as huge numbers, of which sums and products are still finite; NaN stays."""
    if logits.device.type == "cpu" and not torch.compiler.is_compiling():
        with suppress(RuntimeError):  # under vmap nothing is asked of the numbers
            if bool(logits.detach().sum().isfinite()):
                return logits
    most = torch.finfo(logits.dtype).max ** 0.5
    return logits.clamp(-most, most)

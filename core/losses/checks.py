"""Checks of what a loss is given: shapes, targets, counts, names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import torch
from torch import Tensor

Numbers = Iterable[float]  # a list, a tensor, a NumPy array


def check_shapes(logits: torch.Size, targets: Tensor | tuple[Tensor, Tensor], size: int) -> None:
    """Raises ValueError unless logits are (B, size) and targets as well, or index pairs; or both are (size,)."""
    fits = len(logits) > 0 and logits[-1] == size
    if isinstance(targets, Tensor):
        if not fits or logits != targets.shape:
            shapes = f"{tuple(logits)} and targets {tuple(targets.shape)}"
            raise ValueError(f"Logits are {shapes}: both must be (documents, {size}).")
    elif not fits or len(logits) != 2:
        raise ValueError(f"Logits are {tuple(logits)}: with index pairs they must be (documents, {size}).")


def index_pairs(targets: Any) -> tuple[Tensor, Tensor]:
    """Rows and labels of the ones, (A,) each, of targets (B, L) in CSR form, such as SciPy's."""
    rows = torch.repeat_interleave(torch.tensor(targets.indptr, dtype=torch.int64, device="cpu").diff())
    return rows, torch.tensor(targets.indices, dtype=torch.int64, device="cpu")


def to_mask(rows: Tensor, labels: Tensor, shape: torch.Size) -> Tensor:
    """Bool targets (B, L) from index pairs."""
    nothing = torch.zeros(shape, dtype=torch.bool, device=rows.device)
    return nothing.index_put((rows, labels), ~nothing.new_zeros(()))


def find_positives(targets: Tensor, pairs: bool = False) -> Any:
    """Where targets (B, L) are 1: bool (B, L), or the rows and the labels, sorted by row.

    Raises:
        ValueError: a target other than 0 and 1.
    """
    positive = _find_ones(targets) if pairs else targets.bool()
    if targets.dtype is not torch.bool and not torch.compiler.is_compiling():
        wrong = targets[positive] != 1
        if wrong.any():
            place = (targets.bool() & (targets != 1)).nonzero()[0].tolist()
            found = targets[tuple(place)].item()
            raise ValueError(f"targets{place} is {found}: targets are 0 or 1; see soft_labels and ignore_index.")
    return positive


def check_shares(targets: Tensor) -> None:
    """Raises ValueError at a soft label that is no share from 0 to 1."""
    wrong = ~((targets >= 0) & (targets <= 1))
    if wrong.any():
        place = wrong.nonzero()[0].tolist()
        raise ValueError(f"targets{place} is {targets[tuple(place)].item()}: soft labels are from 0 to 1.")


def _find_ones(targets: Tensor) -> tuple[Tensor, Tensor]:
    """`targets.nonzero(as_tuple=True)`, which of a large matrix looks at eight targets at once.

    A bool is a byte of 0 or 1, and eight of them are an int64 that is 0 where none is set. A large matrix is nearly
    empty: most of these words are 0, and only the bytes of the others are tested one by one.
    """
    if targets.numel() < 2**14:
        return targets.nonzero(as_tuple=True)  # type: ignore[return-value]
    flat = targets.to(torch.bool, copy=True).contiguous().view(-1)
    even = len(flat) // 8 * 8
    words = flat[:even].view(torch.int64).nonzero()
    rest = torch.arange(even, len(flat), device=flat.device)
    near = torch.cat([(words * 8 + torch.arange(8, device=flat.device)).view(-1), rest])
    place = near[flat[near]]
    return place // targets.shape[1], place % targets.shape[1]


def find_pairs(rows: Tensor, labels: Tensor, documents: int, size: int) -> tuple[Tensor, Tensor]:
    """Index pairs, sorted by row and each of them once.

    Raises:
        ValueError: lists that are not of one length, or not of whole numbers; a pair outside (documents, size).
    """
    whole = not any(t.is_floating_point() or t.is_complex() or t.dtype is torch.bool for t in (rows, labels))
    if rows.ndim != 1 or rows.shape != labels.shape or not whole:
        kinds = " and ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (rows, labels))
        raise ValueError(f"Index pairs are {kinds}: rows and labels must be two lists of whole numbers, both (A,).")
    outside = (rows < 0) | (rows >= documents) | (labels < 0) | (labels >= size)
    if outside.any():
        row, label = int(rows[outside][0]), int(labels[outside][0])
        raise ValueError(f"Row {row}, label {label} is not in targets of {documents} documents and {size} labels.")
    flat = torch.unique(rows.long() * size + labels.long())
    return flat // size, flat % size


def check_counts(counts: Numbers, documents: int, labels: Sequence[str] | None = None) -> Tensor:
    """Counts as float64 (L,), if they are whole, not negative and not above `documents`."""
    if isinstance(counts, Tensor) and counts.is_meta:
        raise ValueError("counts are on the meta device and have no values: pass a list or an array.")
    n = to_float64(counts)
    if n.ndim != 1 or len(n) == 0:
        raise ValueError(f"counts have shape {tuple(n.shape)}: one number for each label is needed, (L,).")
    if labels is not None and len(labels) != len(n):
        raise ValueError(f"There are {len(labels)} label names, but {len(n)} counts.")
    documents = to_number(documents)
    if not isinstance(documents, Real) or not documents >= 1 or documents % 1:
        raise ValueError(f"documents is {documents}: it is the number of training documents, a whole number above 0.")
    wrong = ~(n >= 0) | (n % 1 != 0)
    if wrong.any():
        raise ValueError(
            f"counts is {n[wrong][0].item():g} for {name_columns(wrong, labels)}: "
            "counts are numbers of training documents, whole and not negative."
        )
    if (n > documents).any():
        raise ValueError(
            f"documents is {documents}, but counts go up to {n.max().item():.0f}, "
            f"for {name_columns(n > documents, labels)}: did you pass the number of batches? "
            "Pass the training documents, and count a label once in each."
        )
    return n


def name_columns(chosen: Tensor, labels: Sequence[str] | None) -> str:
    """The first five columns where `chosen` is true, by name where there are names."""
    columns: list[int] = chosen.nonzero().squeeze(1).tolist()
    words = [f"column {i}" if labels is None else f"'{labels[i]}' (column {i})" for i in columns[:5]]
    return ", ".join(words) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")


def to_float64(values: Any) -> Tensor:
    """Numbers as a float64 tensor on the CPU."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64)
    with suppress(AttributeError, TypeError):  # a NumPy array at once; a list, or an array of objects, one by one
        return torch.from_numpy(values.astype("float64", casting="same_kind"))
    try:
        numbers = values.tolist() if hasattr(values, "tolist") else list(values)
        return torch.tensor(numbers, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError):
        raise ValueError(f"Expected a list of numbers, for labels in column order; found {values!r:.80}.") from None


def to_number(value: Any) -> Any:
    """The Python number of a NumPy scalar, a tensor of one number or a fraction; anything else as it is."""
    if type(value) in (bool, int, float):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0 and not getattr(value, "is_meta", False):
        return value.item()
    return float(value) if isinstance(value, Real) else value


def choose(kind: str, name: str, names: Iterable[str]) -> str:
    """Returns `name` if it is one of `names`; raises ValueError with the nearest and the whole list otherwise."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"There is no {kind} '{name}'.{hint} Choose one of: {', '.join(names)}.")

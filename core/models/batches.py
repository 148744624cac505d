"""What a network reads of some documents: sparse features, or tokens in batches of documents of like length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from core.models.tokens import UNKNOWN, Subwords, Tokens, Words

SCORING_BATCH = 1024
"""Documents that are scored at once, where memory allows."""
POOL = 50
"""Batches whose documents are sorted by length together."""


class Inputs(Protocol):
    """N documents, of which a network reads any rows."""

    def __len__(self) -> int: ...
    def order(self, rows: np.ndarray, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        """Shuffled rows in batches."""

    def parts(self, rows: np.ndarray, most: int) -> list[np.ndarray]:
        """Rows in parts that can be computed at once: `most` tokens, padding included."""

    def tensors(self, rows: np.ndarray, device: str) -> tuple[Tensor | None, ...]:
        """What the network's `forward` takes for these rows."""


@dataclass(frozen=True)
class SparseInputs:
    """Features in rows of a CSR matrix, (N, V) float32."""

    features: sp.csr_array

    def __len__(self) -> int:
        return int(self.features.shape[0])

    def order(self, rows: np.ndarray, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:  # noqa: ARG002
        """As they come."""
        return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

    def parts(self, rows: np.ndarray, most: int) -> list[np.ndarray]:  # noqa: ARG002
        """One part: features have no length."""
        return [rows]

    def tensors(self, rows: np.ndarray, device: str) -> tuple[Tensor, ...]:
        """Columns (nnz,) int64, values (nnz,) and offsets (B + 1,) of the rows in CSR form."""
        chosen = self.features[rows]
        return (
            torch.from_numpy(chosen.indices.astype(np.int64)).to(device),
            torch.from_numpy(chosen.data).to(device),
            torch.from_numpy(chosen.indptr.astype(np.int64)).to(device),
        )


@dataclass(frozen=True)
class TokenInputs:
    """Tokens of some rows of a corpus.

    Attributes:
        tokens: of the whole corpus.
        encoder: whose special tokens and padding are used.
        rows: of the corpus, (N,).
        max_length: tokens read at once, special ones included.
        long: what is read of a longer document: `head`, `head-tail` or `window`, all of it in windows.
    """

    tokens: Tokens
    encoder: Subwords | Words
    rows: np.ndarray
    max_length: int
    long: Literal["head", "head-tail", "window"] = "head"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def room(self) -> int:
        """Tokens of a document's own that are read at once."""
        return self.max_length - len(self.encoder.before) - len(self.encoder.after)

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens that are computed for each document, padding apart."""
        own = (self.tokens.offsets[1:] - self.tokens.offsets[:-1])[self.rows[rows]]
        special = self.max_length - self.room
        windows = np.maximum(-(-own // self.room), 1) if self.long == "window" else np.ones(len(rows), np.int64)
        return windows * (np.clip(own, 1, self.room) + special)

    def order(self, rows: np.ndarray, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        """Within every `POOL` batches documents of like length share a batch, so that little is padding."""
        lengths = self.lengths(rows)
        batches = []
        for start in range(0, len(rows), POOL * batch_size):
            pool = slice(start, start + POOL * batch_size)
            sorted_rows = rows[pool][np.argsort(lengths[pool], kind="stable")]
            batches += [sorted_rows[at : at + batch_size] for at in range(0, len(sorted_rows), batch_size)]
        return [batches[place] for place in rng.permutation(len(batches))]

    def parts(self, rows: np.ndarray, most: int) -> list[np.ndarray]:
        """Neighbours, as many as have room together; a document that has no room alone is a part of its own."""
        lengths, parts, start = self.lengths(rows), [], 0
        widest = 0
        for place, length in enumerate(lengths):
            widest = max(widest, int(length))
            if place > start and widest * (place - start + 1) > most:
                parts.append(rows[start:place])
                start, widest = place, int(length)
        return [*parts, rows[start:]]

    def pieces(self, row: int) -> list[np.ndarray]:
        """What is read of one document: a piece, or one for each window; one unknown token where it has none."""
        own = np.asarray(self.tokens[int(self.rows[row])])
        if not len(own):
            return [np.array([UNKNOWN], np.int32) if not self.encoder.before else own]
        if len(own) <= self.room or self.long == "head":
            return [own[: self.room]]
        if self.long == "head-tail":
            tail = self.room // 2
            return [np.concatenate([own[: self.room - tail], own[-tail:]])]
        return [own[start : start + self.room] for start in range(0, len(own), self.room)]

    def tensors(self, rows: np.ndarray, device: str) -> tuple[Tensor, ...]:
        """Numbers (W, T) int64, mask (W, T) bool and, for windows, whose they are (W,)."""
        before, after = np.array(self.encoder.before, np.int32), np.array(self.encoder.after, np.int32)
        pieces, owner = [], []
        for place, row in enumerate(rows):
            for piece in self.pieces(int(row)):
                pieces.append(np.concatenate([before, piece, after]))
                owner.append(place)
        ids = np.full((len(pieces), max(len(piece) for piece in pieces)), self.encoder.pad, np.int64)
        mask = np.zeros(ids.shape, bool)
        for place, piece in enumerate(pieces):
            ids[place, : len(piece)] = piece
            mask[place, : len(piece)] = True
        found = [torch.from_numpy(ids), torch.from_numpy(mask)]
        if self.long == "window":
            found.append(torch.tensor(owner))
        if device != "cpu":
            return tuple(tensor.pin_memory().to(device, non_blocking=True) for tensor in found)
        return tuple(found)

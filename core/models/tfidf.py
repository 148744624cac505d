"""From features to logits (B, L)."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.config.schema import ModelConfig

PRUNED = 0.05
"""Weights of a layer that learns by words are left out of a finished run where they are nearer to 0."""
SPARSE_BYTES = 8
"""Of a weight with its place."""
WEIGHTS_AT_ONCE = 1 << 24
"""Weights that are pruned and copied at once."""


class TfidfNetwork(nn.Module):
    """Sparse TF-IDF features into one linear layer, or into one hidden layer of rectified units and then a linear one.

    The output bias starts at given logits, so that training does not begin by unlearning that most labels are absent.
    Dropout falls on the hidden layer, or on the features where there is none.

    Args:
        features: V, number of feature columns.
        start: logits of the labels before training, (L,).
        config: reads `hidden` and `dropout`.
        by_words: whether the weights of the features, without a hidden layer, keep their gradient as products.
    """

    def __init__(self, features: int, start: Tensor, config: ModelConfig, *, by_words: bool = False) -> None:
        super().__init__()
        width = config.hidden or len(start)
        self.features: WordSums | nn.EmbeddingBag
        if by_words:
            self.features = WordSums(features, width)
        else:
            self.features = nn.EmbeddingBag(features, width, mode="sum", include_last_offset=True)
        self.dropout = nn.Dropout(config.dropout)
        self.output: nn.Linear | None = None
        self.bias = nn.Parameter(torch.zeros(width))
        if config.hidden:
            nn.init.normal_(self.features.weight, std=0.1)
            self.output = nn.Linear(width, len(start))
            nn.init.normal_(self.output.weight, std=1 / math.sqrt(width))
        elif not by_words:
            nn.init.zeros_(self.features.weight)
        with torch.no_grad():
            (self.output.bias if self.output is not None else self.bias).copy_(start)

    @property
    def by_words(self) -> bool:
        """Whether the weights of the features keep their gradient as products."""
        return isinstance(self.features, WordSums)

    @torch.no_grad()
    def prune(self, folder: Path) -> dict[str, np.ndarray]:
        """Sets small weights of a layer that learns by words to 0.

        Args:
            folder: where those that are left lie meanwhile, in files without a name: memory has no room for them.

        Returns:
            What a file keeps of the layer, as `Hyperplanes.to_arrays`; nothing where the whole matrix is smaller.
        """
        weight = self.features.weight
        data, places = (tempfile.TemporaryFile(dir=folder) for _ in range(2))  # noqa: SIM115
        ends = [np.zeros(1, np.int64)]
        for part in weight.split(max(1, WEIGHTS_AT_ONCE // len(weight)), dim=1):
            part.masked_fill_(part.abs() < PRUNED, 0)
            block = sp.csc_array(part.cpu().numpy())
            block.data.tofile(data)
            block.indices.astype(np.int32).tofile(places)
            ends.append(ends[-1][-1] + block.indptr[1:])
        if ends[-1][-1] * SPARSE_BYTES > weight.nbytes:
            return {}
        return {
            "weights.data": _map_file(data, np.float32),
            "weights.indices": _map_file(places, np.int32),
            "weights.indptr": np.concatenate(ends),
            "intercepts": self.bias.cpu().numpy(),
        }

    def drop_words(self) -> None:
        """Gives back the memory of the weights of the words, after which nothing can be scored."""
        self.features.weight.data = torch.empty(0, device=self.bias.device)

    def hidden(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """What the output layer reads, (B, H), of a network with a hidden layer."""
        units = torch.relu(self.features(columns, offsets, per_sample_weights=values) + self.bias)
        return self.dropout(units)

    def forward(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """Logits (B, L) of a batch of sparse rows in CSR form: columns (nnz,), values (nnz,), offsets (B + 1,)."""
        if self.output is None:
            return self.features(columns, offsets, per_sample_weights=self.dropout(values)) + self.bias
        return self.output(self.hidden(columns, values, offsets))


def _map_file(file: IO[bytes], kind: type) -> np.ndarray:
    """What a file holds as numbers, which stay on the disk until they are read."""
    file.flush()
    return np.memmap(file, kind, "r") if file.tell() else np.zeros(0, kind)


@dataclass(frozen=True)
class Product:
    """The gradient of weights (V, L) as a product: features of documents, transposed, times slopes of their logits.

    Attributes:
        columns: words of the documents, one document after another, (nnz,).
        values: their features, (nnz,).
        offsets: where each document begins, and the last ends, (B + 1,).
        slopes: gradient of the logits, (B, L).
    """

    columns: Tensor
    values: Tensor
    offsets: Tensor
    slopes: Tensor


class WordSums(nn.Module):
    """An `nn.EmbeddingBag` of sums, (V, L), from 0, which keeps its gradient as products.

    The matrix of that gradient has a row for each word of a batch: to write and read it takes longer than all else.

    Attributes:
        products: of the batch so far, in the order of its parts.
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(words, width))
        self.products: list[Product] = []

    @torch._disable_dynamo  # torch.compile would drop what the backward pass keeps
    def forward(self, columns: Tensor, offsets: Tensor, per_sample_weights: Tensor) -> Tensor:
        """Sums (B, L) of the rows of a batch in CSR form."""
        return _SumWords.apply(self.weight, self.products, columns, per_sample_weights, offsets)


class _SumWords(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, products: list[Product], columns: Tensor, values: Tensor, offsets: Tensor
    ) -> Tensor:
        ctx.products = products
        ctx.save_for_backward(columns, values, offsets)
        return sum_rows(weight, columns, values, offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[None, ...]:
        columns, values, offsets = ctx.saved_tensors
        ctx.products.append(Product(columns, values, offsets, slopes))
        return (None,) * 5


def sum_rows(weight: Tensor, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Rows of `weight` (V, L), summed with values for each part that the offsets (B + 1,) make, (B, L)."""
    return F.embedding_bag(columns, weight, offsets, per_sample_weights=values, mode="sum", include_last_offset=True)

"""From features to logits (B, L)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from core.config.schema import ModelConfig


class TfidfNetwork(nn.Module):
    """Sparse TF-IDF features into one linear layer, or into one hidden layer of rectified units and then a linear one.

    The output bias starts at given logits, so that training does not begin by unlearning that most labels are absent.
    Dropout falls on the hidden layer, or on the features where there is none.

    Args:
        features: V, number of feature columns.
        start: logits of the labels before training, (L,).
        config: reads `hidden` and `dropout`.
    """

    def __init__(self, features: int, start: Tensor, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden or len(start)
        self.features = nn.EmbeddingBag(features, width, mode="sum", include_last_offset=True)
        self.dropout = nn.Dropout(config.dropout)
        self.output: nn.Linear | None = None
        self.bias = nn.Parameter(torch.zeros(width))
        if config.hidden:
            nn.init.normal_(self.features.weight, std=0.1)
            self.output = nn.Linear(width, len(start))
            nn.init.normal_(self.output.weight, std=1 / math.sqrt(width))
        else:
            nn.init.zeros_(self.features.weight)
        with torch.no_grad():
            (self.output.bias if self.output is not None else self.bias).copy_(start)

    def hidden(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """What the output layer reads, (B, H), of a network with a hidden layer."""
        units = torch.relu(self.features(columns, offsets, per_sample_weights=values) + self.bias)
        return self.dropout(units)

    def forward(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """Logits (B, L) of a batch of sparse rows in CSR form: columns (nnz,), values (nnz,), offsets (B + 1,)."""
        if self.output is None:
            return self.features(columns, offsets, per_sample_weights=self.dropout(values)) + self.bias
        return self.output(self.hidden(columns, values, offsets))

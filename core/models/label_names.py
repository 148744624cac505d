"""Weights of labels that start at the names of the labels, as a pretrained encoder reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import torch

from core.models.batches import TokenInputs
from core.models.networks import LabelWiseAttention, Linear, Pooled, TextNetwork
from core.models.tokens import Subwords, Tokens

AT_ONCE = 256
"""Names that are read at once."""
MARKS = re.compile(r"[\W_]+")
"""Between the words of a name: `money-fx` is read as two."""


@torch.no_grad()
def start_at_names(network: TextNetwork, reader: Subwords, labels: Sequence[str]) -> None:
    """Sets each label's weights, or with `pooling=lwan` its query, to the encoder's vector of its name.

    The vectors are centred, so that labels differ by what their names do not share, and get the length that weights by
    chance have. Nothing is drawn.

    Args:
        network: of an encoder, its weights by chance.
        reader: its tokenizer.
        labels: names, L of them.
    """
    head = network.head
    assert isinstance(head, Linear | LabelWiseAttention)
    weights = head.output.weight if isinstance(head, Linear) else head.queries
    pool = head.pool if isinstance(head, Linear) else Pooled(weights.shape[1], "mean")
    # Vectors of the names, as documents of their own.
    names = [MARKS.sub(" ", label).strip() or label for label in labels]
    inputs = TokenInputs(Tokens.of(reader.encode(names)), reader, np.arange(len(names)), min(64, reader.most))
    training = network.training
    network.eval()
    for start in range(0, len(names), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(names)))
        ids, mask = inputs.tensors(rows, str(weights.device))
        weights[start : start + len(rows)] = pool(network.body(ids, mask), mask)
    network.train(training)
    # Centred, and as long as weights by chance; one label alone, or names that are all alike, stay at 0.
    weights -= weights.mean(0)
    weights *= 0.02 * math.sqrt(weights.shape[1]) / weights.norm(dim=1, keepdim=True).clamp(min=1e-6)

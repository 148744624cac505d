"""Scores of documents by a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from core.models.batches import SCORING_BATCH, Inputs
from core.trainer.memory import SCORES_AT_ONCE, tokens_at_once
from core.trainer.precision import autocast

SCORING_TOKENS = 65_536
"""Tokens that are computed at once where no gradient is kept."""


@torch.no_grad()
def predict(
    network: nn.Module, inputs: Inputs, *, device: str, precision: str = "fp32", shift: float | Tensor = 0.0
) -> Iterator[np.ndarray]:
    """Scores (sigmoid of the logits, less `shift` (L,)) of all rows in order, in batches (B, L) float32.

    Yields nothing where there are no rows.
    """
    network.eval()
    size, start, most = min(32, SCORING_BATCH), 0, tokens_at_once(network, SCORING_TOKENS)
    while start < len(inputs):
        rows = np.arange(start, min(start + size, len(inputs)))
        # Documents of like length are computed together, so that little is padding ...
        by_length = inputs.order(rows, np.random.default_rng(0), len(rows))[0]
        found = []
        for part in inputs.parts(by_length, most):
            with autocast(precision, device):
                logits = network(*inputs.tensors(part, device))
            found.append(torch.sigmoid(logits.float() - shift).cpu().numpy())
        scores = np.concatenate(found)
        # ... and come back in their order.
        yield scores[np.argsort(by_length)]
        start += len(rows)
        # The first batch, a small one, tells the number of labels, and so how many rows may be held at once.
        size = max(1, min(SCORING_BATCH, SCORES_AT_ONCE // scores.shape[1]))

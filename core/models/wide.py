"""The wide path beside a network that reads tokens: what it reads of a text, and how that is kept with a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from core.models.batches import SparseInputs, TokenInputs
from core.models.tfidf_features import TfidfEncoder
from core.models.tokens import Subwords, Words

FOLDER = "wide"
"""Of a run's folder: where the TF-IDF encoder of its wide path is kept."""


@dataclass(frozen=True)
class WideEncoder:
    """What turns texts into tokens, and into features of the wide path."""

    tokens: Subwords | Words
    features: TfidfEncoder

    def save(self, folder: Path) -> None:
        """Writes both: the tokens' files as without a wide path, those of TF-IDF into a folder of their own."""
        self.tokens.save(folder)
        (folder / FOLDER).mkdir(exist_ok=True)
        self.features.save(folder / FOLDER)


@dataclass(frozen=True)
class WideInputs:
    """Tokens and features of the same N documents."""

    tokens: TokenInputs
    features: SparseInputs

    def __len__(self) -> int:
        return len(self.tokens)

    def order(self, rows: np.ndarray, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        """As of the tokens: by length."""
        return self.tokens.order(rows, rng, batch_size)

    def parts(self, rows: np.ndarray, most: int) -> list[np.ndarray]:
        """As of the tokens."""
        return self.tokens.parts(rows, most)

    def tensors(self, rows: np.ndarray, device: str) -> tuple[Tensor | None, ...]:
        """Those of the tokens, with None for the documents where there are no windows, then those of the features."""
        ids, mask, *owner = self.tokens.tensors(rows, device)
        return ids, mask, owner[0] if owner else None, *self.features.tensors(rows, device)

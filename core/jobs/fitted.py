"""What fitting a run's model gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

PARTS = ("validation", "test")
"""Parts of the data that a fitted model scores."""


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        scores: of the validation and the test part, as they are stored.
        weights: what `model.safetensors` holds.
        save: writes into a folder all that is needed, besides the weights, to read new texts.
        more: entries for `metrics.json`: threads, precision and so on.
    """

    scores: dict[str, np.ndarray | sp.csr_array]
    weights: dict[str, np.ndarray]
    save: Callable[[Path], None]
    more: dict[str, Any]

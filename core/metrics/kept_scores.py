"""Which scores of a document are stored: all of them, or the highest where there are many labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp

DENSE_LABELS = 1000
"""Up to this many labels scores are kept dense; above it, a document's `TOP_K` best.

Not those of its own labels as well: a label that is kept only because it is true would be found by any threshold and
any ranking, with no false one beside it.
"""
TOP_K = 100


def keep_scores(batches: Iterable[np.ndarray], labels: int) -> np.ndarray | sp.csr_array:
    """Gathers score batches (B, L) into what is stored: float16, dense or sparse by `DENSE_LABELS`.

    Rounding comes before any threshold is fitted, so that stored scores reproduce every figure exactly.
    """
    if labels <= DENSE_LABELS:
        kept = [np.asarray(batch, dtype=np.float16) for batch in batches]
        return np.concatenate(kept) if kept else np.zeros((0, labels), np.float16)
    blocks = []
    for batch in batches:
        best = np.sort(np.argpartition(batch, -TOP_K, axis=1)[:, -TOP_K:], axis=1)
        values = np.take_along_axis(batch, best, axis=1).astype(np.float16).astype(np.float32)
        ends = np.arange(0, best.size + 1, TOP_K)
        blocks.append(sp.csr_array((values.ravel(), best.ravel(), ends), shape=batch.shape))
    return sp.csr_array(sp.vstack(blocks, format="csr")) if blocks else sp.csr_array((0, labels), dtype=np.float32)

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


def keep_scores(batches: Iterable[np.ndarray | sp.csr_array], labels: int) -> np.ndarray | sp.csr_array:
    """Gathers score batches (B, L) into what is stored: float16, dense or sparse by `DENSE_LABELS`.

    A label that a sparse batch leaves out has the score 0, the lowest.

    Rounding comes before any threshold is fitted, so that stored scores reproduce every figure exactly.
    """
    if labels <= DENSE_LABELS:
        dense = (batch.toarray() if isinstance(batch, sp.csr_array) else batch for batch in batches)
        kept = [np.asarray(batch, dtype=np.float16) for batch in dense]
        return np.concatenate(kept) if kept else np.zeros((0, labels), np.float16)
    blocks = []
    for batch in batches:
        if isinstance(batch, sp.csr_array):
            found = keep_largest(batch, TOP_K)
            found.data = found.data.astype(np.float16).astype(np.float32)
            blocks.append(found)
            continue
        best = np.sort(np.argpartition(batch, -TOP_K, axis=1)[:, -TOP_K:], axis=1)
        values = np.take_along_axis(batch, best, axis=1).astype(np.float16).astype(np.float32)
        ends = np.arange(0, best.size + 1, TOP_K)
        blocks.append(sp.csr_array((values.ravel(), best.ravel(), ends), shape=batch.shape))
    return sp.csr_array(sp.vstack(blocks, format="csr")) if blocks else sp.csr_array((0, labels), dtype=np.float32)


def keep_largest(matrix: sp.csr_array, most: int) -> sp.csr_array:
    """The `most` largest stored entries of each row, of equal ones the first; the columns of a row rise."""
    sizes, columns = np.diff(matrix.indptr), matrix.indices
    kept = np.ones(len(matrix.data), bool)
    for row in np.flatnonzero(sizes > most):
        # The smallest that is kept, all that are larger, and as many of its equals as have room.
        place = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values = matrix.data[place]
        cut = np.partition(values, len(values) - most)[len(values) - most]
        chosen, equal = values > cut, np.flatnonzero(values == cut)
        equal = equal[np.argsort(columns[place][equal])]
        chosen[equal[: most - np.count_nonzero(chosen)]] = True
        kept[place] = chosen
    rows, columns, values = np.repeat(np.arange(matrix.shape[0]), sizes)[kept], columns[kept], matrix.data[kept]
    order = np.lexsort((columns, rows))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return sp.csr_array((values[order], columns[order], ends), shape=matrix.shape)

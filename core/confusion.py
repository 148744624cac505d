"""Which label was given, or kept, where another was missed, when a document has several: two sparse products.

In a document that misses label i, i is *swapped* for every label that was wrongly given, and *absorbed* by every label
that was rightly given: a missed rare label beside a frequent one that was found is absorbed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels import count_documents, indicator


def swap_counts(targets: sp.csr_array, predicted: sp.csr_array) -> sp.csr_array:
    """Documents that miss label i and were wrongly given label j: (Y and not Yh)^T (Yh and not Y), (L, L) int64."""
    _, missed, spurious = _split(targets, predicted)
    return missed.T.tocsr() @ spurious


def absorbed_counts(targets: sp.csr_array, predicted: sp.csr_array) -> sp.csr_array:
    """Documents that miss label i and were rightly given label j: (Y and not Yh)^T (Y and Yh), (L, L) int64."""
    hit, missed, _ = _split(targets, predicted)
    return missed.T.tocsr() @ hit


def _split(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """Hit, missed and spurious labels of each document, three (n, L) of 1 as int64."""
    if targets.shape != predicted.shape:
        raise ValueError(f"targets are {targets.shape}, predicted are {predicted.shape}: shapes must be equal")
    true, given = (indicator(matrix).astype(np.int64) for matrix in (targets, predicted))
    hit = true.multiply(given)
    return hit, indicator(true - hit).astype(np.int64), indicator(given - hit).astype(np.int64)


def confused_pairs(
    targets: sp.csr_array, predicted: sp.csr_array, labels: Sequence[str], *, limit: int = 200
) -> pd.DataFrame:
    """Ordered pairs of a missed label and one that was given or kept there, those with most documents first.

    Returns:
        At most `limit` rows, ties by share_of_misses, then in column order. Columns missed, gave (names), swapped,
        absorbed, total (documents, the sum of both), misses (documents that miss the label at all), share_of_misses.
    """
    hit, missed, spurious = _split(targets, predicted)
    transposed, misses = missed.T.tocsr(), count_documents(missed)
    swapped, absorbed = transposed @ spurious, transposed @ hit
    total = (swapped + absorbed).tocoo()
    i, j = total.coords
    best = np.lexsort((j, i, -total.data / misses[i], -total.data))[: max(limit, 0)]
    i, j, documents = i[best], j[best], total.data[best]
    names = np.asarray(labels, dtype=object)
    kept = absorbed[i, j] if len(best) else documents  # of no pairs SciPy gives no NumPy array
    return pd.DataFrame(
        {
            "missed": names[i],
            "gave": names[j],
            "swapped": documents - kept,
            "absorbed": kept,
            "total": documents,
            "misses": misses[i],
            "share_of_misses": documents / misses[i],
        }
    )


def pair_documents(targets: sp.csr_array, predicted: sp.csr_array, i: int, j: int) -> np.ndarray:
    """Rows, rising, of the documents that miss label i and were given label j, rightly or wrongly.

    Raises:
        ValueError: a column that is not there, or shapes that differ.
    """
    for column in (i, j):
        if not 0 <= column < targets.shape[1]:
            raise ValueError(f"label column {column} is not in 0..{targets.shape[1] - 1}")
    _, missed, _ = _split(targets, predicted)
    return np.flatnonzero(missed[:, [i]].toarray().ravel() * indicator(predicted)[:, [j]].toarray().ravel())

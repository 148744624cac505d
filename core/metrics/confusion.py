"""Which label was given, or kept, where another was missed, when a document has several: sparse products.

In a document that misses label i, i is *swapped* for every label that was wrongly given, and *absorbed* by every label
that was rightly given: a missed rare label beside a frequent one that was found is absorbed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import count_documents, indicator
from core.metrics.label_sets import check_predicted


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
    check_predicted(targets, predicted)
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
    # Both counts of every pair of labels, sparse.
    transposed, misses = missed.T.tocsr(), count_documents(missed)
    swapped, absorbed = transposed @ spurious, transposed @ hit
    total = (swapped + absorbed).tocoo()
    i, j = total.coords
    # The first `limit` of them: by documents, share of misses, then columns.
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
        ValueError: a column that is not there, shapes that differ, scores instead of 0 and 1.
    """
    for column in (i, j):
        if not 0 <= column < targets.shape[1]:
            raise ValueError(f"label column {column} is not in 0..{targets.shape[1] - 1}")
    _, missed, _ = _split(targets, predicted)
    return np.flatnonzero(missed[:, [i]].toarray().ravel() * indicator(predicted)[:, [j]].toarray().ravel())


def mlct(targets: sp.csr_array, predicted: sp.csr_array) -> tuple[sp.csr_array, sp.csr_array]:
    """Two confusion matrices whose diagonals agree with the table of labels, each (L + 1, L + 1) float64.

    With T true, P predicted, T1 hit, T2 missed and P2 spurious labels of a document, an empty T or P being the class
    "none" of the last row and column: C_R = diag(T1) + T2 x P / size(P), whose rows sum to the support and whose
    diagonal / row is recall; C_P = diag(T1) + T x P2 / size(T), whose columns sum to the number predicted and whose
    diagonal / column is precision.

    Returns:
        C_R and C_P: rows are true labels, columns predicted ones.

    Source: Krstinic, Seric & Slapnicar, IEEE Access 2024, doi 10.1109/ACCESS.2024.3353050.
    """
    check_predicted(targets, predicted)
    true, given = (_with_none(indicator(matrix)) for matrix in (targets, predicted))
    hit, missed, spurious = _split(true, given)
    diagonal = sp.diags_array(count_documents(hit).astype(np.float64), format="csr")
    return (
        sp.csr_array(diagonal + missed.T.tocsr() @ _shared_out(given)),
        sp.csr_array(diagonal + _shared_out(true).T.tocsr() @ spurious),
    )


def _with_none(matrix: sp.csr_array) -> sp.csr_array:
    """The same labels and a last column that is true for documents without any."""
    none = (np.diff(matrix.indptr) == 0).astype(np.int64)
    return sp.csr_array(sp.hstack([matrix.astype(np.int64), sp.csr_array(none[:, None])], format="csr"))


def _shared_out(matrix: sp.csr_array) -> sp.csr_array:
    """Every document's labels with weights that sum to 1."""
    weights = 1 / np.maximum(np.diff(matrix.indptr), 1)
    return sp.csr_array((np.repeat(weights, np.diff(matrix.indptr)), matrix.indices, matrix.indptr), shape=matrix.shape)


CLUSTERED = 500
"""Labels up to which `confusion_order` clusters; it compares all pairs of them."""


def confusion_order(matrix: sp.csr_array) -> np.ndarray:
    """An order of rows and columns that puts confused labels side by side, (L,).

    Up to `CLUSTERED` labels it is that of the leaves of a hierarchical clustering (average linkage, neighbours turned
    towards each other), above it reverse Cuthill-McKee, which is sparse throughout.

    Source: Bar-Joseph et al. 2001; Cuthill & McKee 1969; as implemented by SciPy.
    """
    labels = matrix.shape[0]
    both = sp.csr_array(matrix + matrix.T, dtype=np.float64)
    if not 2 < labels <= CLUSTERED:
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        return np.asarray(reverse_cuthill_mckee(sp.csr_matrix(both), symmetric_mode=True), dtype=np.int64)
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    weights = both.toarray()
    np.fill_diagonal(weights, 0.0)
    sums = np.sqrt(np.maximum(weights.sum(axis=0), 1e-12))
    distances = squareform(np.maximum(1 - weights / np.outer(sums, sums), 0.0), checks=False)  # rounding goes below 0
    tree = optimal_leaf_ordering(linkage(distances, "average"), distances)
    return leaves_list(tree).astype(np.int64)


def cooccurrences(targets: sp.csr_array, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Documents that have both labels, for each pair of columns i, j, (pairs,) int64."""
    if not len(i):
        return np.zeros(0, np.int64)
    # The labels of the pairs, each once: a column of a frequent one is long, and may be in thousands of pairs.
    part = sp.csc_array(indicator(targets).astype(np.int64))
    (first, rows), (second, columns) = (np.unique(np.asarray(labels), return_inverse=True) for labels in (i, j))
    both = sp.csr_array(part[:, first].T @ part[:, second])
    return np.asarray(both[rows, columns]).astype(np.int64)


def document_scores(targets: sp.csr_array, predicted: sp.csr_array) -> pd.DataFrame:
    """How right each document is: columns true, given, hit, missed, spurious (numbers of labels), f1, jaccard.

    A document that neither has a label nor was given one is right: its f1 and jaccard are 1.
    """
    hit, missed, spurious = (np.diff(part.indptr).astype(np.int64) for part in _split(targets, predicted))
    true, given = hit + missed, hit + spurious
    nothing = true + given == 0
    return pd.DataFrame(
        {
            "true": true,
            "given": given,
            "hit": hit,
            "missed": missed,
            "spurious": spurious,
            "f1": np.where(nothing, 1.0, 2 * hit / np.maximum(true + given, 1)),
            "jaccard": np.where(nothing, 1.0, hit / np.maximum(true + spurious, 1)),
        }
    )

"""Scores on slices of the documents: by number of labels, by length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import indicator
from core.metrics.label_sets import METRICS


def size_slices(targets: sp.csr_array, edges: Sequence[int] = (1, 2)) -> dict[str, np.ndarray]:
    """Rows by number of labels: edges (1, 2) give "1" and "2+", (1, 10, 15) give "1-9", "10-14" and "15+".

    Raises:
        ValueError: edges that do not rise.
    """
    if not edges or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"edges are {list(edges)}, expected rising numbers")
    sizes, found = np.diff(indicator(targets).indptr), {}
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        name = f"{low}+" if high is None else f"{low}" if high == low + 1 else f"{low}-{high - 1}"
        found[name] = np.flatnonzero((sizes >= low) & (sizes < (high or np.inf)))
    return found


def length_slices(lengths: np.ndarray, *, parts: int = 4) -> dict[str, np.ndarray]:
    """Rows by a number that each document has, such as its words, in `parts` of about equal size, named by range."""
    values = np.asarray(lengths)
    if not len(values):
        return {}
    edges = np.unique(np.quantile(values, np.linspace(0, 1, parts + 1)[1:-1], method="higher"))
    place, found = np.searchsorted(edges, values, side="right"), {}
    for part in range(len(edges) + 1):
        rows = np.flatnonzero(place == part)
        if len(rows):
            found[f"{values[rows].min():,}-{values[rows].max():,}"] = rows
    return found


def score_slices(targets: sp.csr_array, predicted: sp.csr_array, slices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per slice of the documents: columns slice, documents, and every score of `METRICS` (NaN of none)."""
    rows = []
    for name, chosen in slices.items():
        part = targets[chosen], predicted[chosen]
        scores = {key: metric(*part) if len(chosen) else np.nan for key, metric in METRICS.items()}
        rows.append({"slice": name, "documents": len(chosen), **scores})
    return pd.DataFrame(rows, columns=["slice", "documents", *METRICS])

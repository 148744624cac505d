"""Which labels come together: one sparse product, and what is read off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import indicator

ORDERS = ("p", "lift", "jaccard", "both")
"""What pairs of labels can be ranked by: p(i given j), lift, Jaccard index, number of documents with both."""


class Edges(NamedTuple):
    """Every two labels that share a document, once: (E,) each."""

    label: np.ndarray
    """Column of the rarer one (j); of two that are equally frequent, the later column."""
    other: np.ndarray
    """Column of the more frequent one (i)."""
    both: np.ndarray
    """Documents with both."""


@dataclass(frozen=True)
class Cooccurrence:
    """Documents that labels share.

    Attributes:
        both: (L, L) int32, symmetric; the diagonal holds the documents of each label.
        documents: how many there are in all.
    """

    both: sp.csr_array
    documents: int

    @cached_property
    def counts(self) -> np.ndarray:
        """Documents of each label, (L,) int64."""
        return self.both.diagonal().astype(np.int64)

    @cached_property
    def edges(self) -> Edges:
        """Every two labels that share a document."""
        rows = np.repeat(np.arange(self.both.shape[0], dtype=np.int32), np.diff(self.both.indptr))
        upper = self.both.indices > rows
        first, second, both = rows[upper], self.both.indices[upper], self.both.data[upper]
        rarer = self.counts[first] < self.counts[second]
        return Edges(np.where(rarer, first, second), np.where(rarer, second, first), both)


def count_pairs(targets: sp.csr_array) -> Cooccurrence:
    """The product Y^T Y of the (n, L) targets; its cost is the sum over documents of their number of labels squared."""
    clean = indicator(targets)
    ones = np.ones(clean.nnz, np.int32)
    indices, indptr = clean.indices.astype(np.int32), clean.indptr
    if clean.nnz < np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    counted = sp.csr_array((ones, indices, indptr), shape=clean.shape)
    both = sp.csr_array(counted.T @ counted)
    both.sort_indices()
    return Cooccurrence(both, clean.shape[0])


def _scores(pairs: Cooccurrence, label: np.ndarray, other: np.ndarray, both: np.ndarray) -> dict[str, np.ndarray]:
    """What pairs (j = `label`, i = `other`) are measured by; NaN where a label has no document."""
    given, beside = (np.where(pairs.counts, pairs.counts, np.nan)[columns] for columns in (label, other))
    return {
        "p": both / given,
        "p_back": both / beside,
        "lift": both * pairs.documents / (given * beside),
        "jaccard": both / (given + beside - both),
        "both": both,
        "documents": pairs.counts[label],
        "other_documents": pairs.counts[other],
    }


def measure_pairs(pairs: Cooccurrence, label: np.ndarray, other: np.ndarray) -> pd.DataFrame:
    """Some pairs of labels j and i, by column: a row of `block` for each, in the given order."""
    both = np.asarray(pairs.both[label, other]).ravel() if len(label) else np.zeros(0, np.int32)
    return _table(pairs, label, other, both)


def _table(pairs: Cooccurrence, label: np.ndarray, other: np.ndarray, both: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"label": label, "other": other} | _scores(pairs, label, other, both))


def block(pairs: Cooccurrence, columns: Sequence[int], *, floor: int = 0) -> pd.DataFrame:
    """Every ordered pair of some labels, p(i given j) in row j and column i.

    Args:
        pairs: of `count_pairs`.
        columns: K labels, in the order of the rows.
        floor: pairs with fewer documents in common have no p and no lift.

    Returns:
        K * K rows, j by j: label (j), other (i), p = documents with both / documents with j, p_back = p(j given i),
        lift = p / p(i), jaccard, both, documents (of j), other_documents (of i). NaN where nothing is to be divided by.
    """
    chosen = np.asarray(columns, np.int64)
    both = pairs.both[chosen][:, chosen].toarray().ravel()
    table = _table(pairs, np.repeat(chosen, len(chosen)), np.tile(chosen, len(chosen)), both)
    table.loc[table["both"] < floor, ["p", "p_back", "lift", "jaccard"]] = np.nan
    return table


def neighbours(pairs: Cooccurrence, column: int, *, by: str = "p", floor: int = 1, limit: int = 50) -> pd.DataFrame:
    """The labels that come with one label, the strongest first: columns as of `block`, where j is that label."""
    row = pairs.both[[column]]
    near = (row.indices != column) & (row.data >= max(floor, 1))
    table = _table(pairs, np.full(int(near.sum()), column), row.indices[near].astype(np.int64), row.data[near])
    return _strongest(table, by, limit)


def strongest(
    pairs: Cooccurrence,
    *,
    by: str = "p",
    floor: int = 1,
    limit: int = 500,
    within: tuple[np.ndarray, np.ndarray] | None = None,
) -> pd.DataFrame:
    """The pairs of labels that are tied most, each once: columns as of `block`, where j is the rarer of the two.

    Args:
        pairs: of `count_pairs`.
        by: one of `ORDERS`; ties are ordered by the documents in common.
        floor: documents that the two have in common at least.
        limit: rows at most.
        within: two sets of labels, (L,) bool each: only pairs with one label in the first and the other in the second.
    """
    label, other, both = pairs.edges
    kept = _kept(pairs, floor, within)
    label, other, both = label[kept], other[kept], both[kept]
    if len(both) > limit:
        score = _scores(pairs, label, other, both)[by]
        least = np.partition(score, len(score) - limit)[len(score) - limit]
        sure, tied = np.flatnonzero(score > least), np.flatnonzero(score == least)
        tied = tied[np.argsort(-both[tied], kind="stable")][: limit - len(sure)]
        best = np.concatenate([sure, tied])
        label, other, both = label[best], other[best], both[best]
    return _strongest(_table(pairs, label, other, both), by, limit)


def _strongest(table: pd.DataFrame, by: str, limit: int) -> pd.DataFrame:
    falling = list(dict.fromkeys([by, "both"]))
    rising = ["label", "other"]
    ascending = [False] * len(falling) + [True] * len(rising)
    return table.sort_values(falling + rising, ascending=ascending, ignore_index=True).head(limit)


def count_strong(pairs: Cooccurrence, *, floor: int, within: tuple[np.ndarray, np.ndarray] | None = None) -> int:
    """How many pairs of labels `strongest` chooses from."""
    return int(_kept(pairs, floor, within).sum())


def _kept(pairs: Cooccurrence, floor: int, within: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    label, other, both = pairs.edges
    kept = both >= floor
    if within is not None and not (within[0].all() and within[1].all()):
        one, two = within
        kept &= (one[label] & two[other]) | (two[label] & one[other])
    return kept


def inseparable(pairs: Cooccurrence, *, floor: int = 2, limit: int = 500) -> pd.DataFrame:
    """Labels j that never come without a label i: columns as of `block`, those that come only together first.

    Args:
        pairs: of `count_pairs`.
        floor: documents of j at least; with one document nearly every label would be in the list.
        limit: rows at most, by falling lift: a label that comes with everything says little.
    """
    label, other, both = pairs.edges
    always = (both == pairs.counts[label]) & (both >= floor)
    table = _table(pairs, label[always], other[always], both[always])
    order = ["p_back", "lift", "both", "label", "other"]
    together = table[table["p_back"] == 1].sort_values(order, ascending=[False] * 3 + [True] * 2)
    rest = table[table["p_back"] < 1].sort_values(order[1:], ascending=[False] * 2 + [True] * 2)
    return pd.concat([together, rest], ignore_index=True)[:limit]


def cluster(pairs: Cooccurrence, columns: Sequence[int]) -> list[int]:
    """The same labels, those that come together side by side.

    Average linkage of 1 - Jaccard index with the leaves ordered optimally (Bar-Joseph et al. 2001), by SciPy.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    chosen = list(columns)
    if len(chosen) < 3:
        return chosen
    near = np.nan_to_num(block(pairs, chosen)["jaccard"].to_numpy(np.float64)).reshape(len(chosen), len(chosen))
    far = 1 - near
    np.fill_diagonal(far, 0)
    tree = linkage(squareform(far, checks=False), method="average", optimal_ordering=True)
    return [chosen[leaf] for leaf in leaves_list(tree)]


def rank_edges(labels: int, bins: int) -> np.ndarray:
    """Borders between at most `bins` ranges of columns, evenly spaced on a logarithmic rank axis: 0, ..., `labels`."""
    spaced = np.geomspace(1, labels + 1, min(bins, labels) + 1).round().astype(np.int64) - 1
    return np.unique(spaced)


def density(pairs: Cooccurrence, bins: int) -> pd.DataFrame:
    """The whole matrix in at most `bins` * `bins` cells of neighbouring ranks; only cells with a pair have a row.

    Returns:
        Columns row, column (numbers of the bins), first, last (ranks of the labels j of the row, from 1),
        other_first, other_last (of the labels i of the column), pairs (ordered pairs j, i that share a document),
        density (their share of all ordered pairs in the cell), p (mean of p(i given j) over all of them), both (sum).
    """
    edges = rank_edges(pairs.both.shape[0], bins)
    size = len(edges) - 1
    place = np.searchsorted(edges, np.arange(pairs.both.shape[0]), side="right") - 1
    # Every pair of labels counts in both orders.
    label, other, both = pairs.edges
    ways = [(label, other), (other, label)]
    cells = np.concatenate([place[j] * size + place[i] for j, i in ways])
    share = np.concatenate([both / pairs.counts[j] for j, _ in ways])
    found = np.bincount(cells, minlength=size * size)
    # Ordered pairs of different labels that a cell could hold.
    widths = np.diff(edges)
    room = (np.outer(widths, widths) - np.diag(widths)).ravel()
    kept = np.flatnonzero(found)
    row, column = np.divmod(kept, size)
    return pd.DataFrame(
        {
            "row": row,
            "column": column,
            "first": edges[row] + 1,
            "last": edges[row + 1],
            "other_first": edges[column] + 1,
            "other_last": edges[column + 1],
            "pairs": found[kept],
            "density": found[kept] / room[kept],
            "p": np.bincount(cells, share, size * size)[kept] / room[kept],
            "both": np.bincount(cells, np.concatenate([both, both]), size * size)[kept].astype(np.int64),
        }
    )

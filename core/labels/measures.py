"""What a label distribution looks like: imbalance, label sets, co-occurring rarity, drift between parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from core.data.corpus import Corpus
from core.labels.groups import (
    Borders,
    count_documents,
    group_of,
    group_sizes,
    indicator,
    rank_by_frequency,
)
from core.losses.mu import mu_of_ratios

FALSE_SHARE = 0.05
"""Of the labels that are said to drift, those that may do so by luck alone."""


def rank_frequency(labels: Sequence[str], counts: np.ndarray, borders: Borders) -> pd.DataFrame:
    """Columns label, rank, count (training documents), group; the most frequent label first."""
    columns = {"label": list(labels), "rank": rank_by_frequency(counts), "count": np.asarray(counts)}
    return pd.DataFrame(columns | {"group": group_of(counts, borders)}).sort_values("rank", ignore_index=True)


def labels_per_document(targets: sp.csr_array) -> pd.DataFrame:
    """Columns labels (a number of labels) and documents (how many have it), without gaps; no row for no documents."""
    documents = np.bincount(np.diff(indicator(targets).indptr))
    first = int(np.argmax(documents > 0)) if len(documents) else 0
    return pd.DataFrame({"labels": np.arange(first, len(documents)), "documents": documents[first:]})


def group_shares(counts: np.ndarray, borders: Borders) -> pd.DataFrame:
    """A row for each of `group_sizes`.

    Returns:
        Columns group, labels, assignments (pairs of a document and a label), share_of_assignments (NaN of none).
    """
    groups, sizes = group_of(counts, borders), group_sizes(counts, borders)
    assignments = np.array([np.asarray(counts)[groups == group].sum() for group in sizes])
    return pd.DataFrame(
        {
            "group": list(sizes),
            "labels": list(sizes.values()),
            "assignments": assignments,
            "share_of_assignments": assignments / (assignments.sum() or np.nan),
        }
    )


def imbalance_ratios(counts: np.ndarray) -> np.ndarray:
    """IRLbl(l) = max_k n_k / n_l, (L,); NaN for a label without documents, which has none.

    Source: Charte et al., Neurocomputing 2015.
    """
    counts = np.asarray(counts, dtype=np.float64)
    return counts.max(initial=0.0) / np.where(counts > 0, counts, np.nan)


def scumble(targets: sp.csr_array) -> np.ndarray:
    """1 - geometric mean / arithmetic mean of the IRLbl of a document's labels, (n,); 0 for fewer than two labels.

    Source: Charte et al., HAIS 2014. The geometric mean is taken by logarithms: the product overflows.
    """
    targets = indicator(targets)
    ratios = np.nan_to_num(imbalance_ratios(count_documents(targets)), nan=1.0)
    sizes = np.maximum(np.diff(targets.indptr), 1)
    means = np.where(np.diff(targets.indptr), targets @ ratios / sizes, 1.0)
    return np.maximum(1 - np.exp(targets @ np.log(ratios) / sizes) / means, 0.0)


def rule_for_mu(targets: sp.csr_array, counts: np.ndarray) -> float:
    """`mu_of_ratios` of a train part, without PyTorch.

    r is 1 / n of a positive's label by the sum of 1 / n over the labels of its document. `core.losses.auto_mu` takes
    index pairs, for training.

    Args:
        targets: (N, L), with one positive at least.
        counts: n, the documents of each label, (L,), above 0 for each label that a document has.
    """
    held = indicator(targets)
    sizes, inverse = np.diff(held.indptr), 1 / np.asarray(counts, np.float64)[held.indices]
    rows = np.repeat(np.arange(len(sizes)), sizes)
    r = inverse / np.bincount(rows, weights=inverse, minlength=len(sizes))[rows]
    return mu_of_ratios(np.sort(r))


def gini(counts: np.ndarray) -> float | None:
    """Gini coefficient of the label counts: 0 if all are equal, towards 1 if one has all; None of no documents."""
    rising = np.sort(np.asarray(counts, dtype=np.float64))
    n, total = len(rising), rising.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ rising / (n * total)) if total else None


def lorenz(counts: np.ndarray) -> pd.DataFrame:
    """Share of all assignments that the rarest labels own: the Lorenz curve, whose bend `gini` measures.

    Returns:
        Columns share_of_labels and share_of_assignments, both from 0 to 1, a row for 0 labels and one more for each
        label, the rarest first; one row where no label has a document.
    """
    owned = np.concatenate([[0], np.cumsum(np.sort(np.asarray(counts, np.int64)))])
    owned = owned if owned[-1] else owned[:1]
    share = np.linspace(0, 1, len(owned))
    return pd.DataFrame({"share_of_labels": share, "share_of_assignments": owned / max(owned[-1], 1)})


def drift(labels: Sequence[str], one: np.ndarray, other: np.ndarray, *, documents: tuple[int, int]) -> pd.DataFrame:
    """How much more or less frequent each label is in a second part than in a first.

    Args:
        labels: names, (L,).
        one: documents of each label in the first part, (L,).
        other: documents of each label in the second part, (L,).
        documents: of the first and of the second part.

    Returns:
        Columns label, count, other_count, share, other_share (of the part's documents), ratio (of the shares; NaN for a
        label in neither, infinite for one in the second alone), z (of the two-proportion test), p (of Fisher's exact
        test, twice the smaller tail), q (p after Benjamini and Hochberg's correction: of the labels with q up to
        `FALSE_SHARE`, that share is expected to differ by luck alone); labels in column order. Shares of a part
        without documents are NaN, p and q of a label in neither part as well.

    Source: Fisher 1922; Benjamini & Hochberg, JRSS B 1995; as implemented by SciPy.
    """
    from scipy.stats import false_discovery_control, hypergeom  # takes half a second, and no other measure needs it

    shares = [np.asarray(counts) / (total or np.nan) for counts, total in zip((one, other), documents, strict=True)]
    pooled = (np.asarray(one) + other) / (sum(documents) or np.nan)
    spread = np.sqrt(pooled * (1 - pooled) * sum(1 / total if total else np.nan for total in documents))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = shares[1] / shares[0]
    # How likely so uneven a spread of a label's documents over the parts is, were it drawn.
    seen = np.asarray(one) + other
    p = np.full(len(seen), np.nan)
    if all(documents):
        place = np.flatnonzero(seen)
        drawn = (sum(documents), seen[place], documents[0])
        low, high = hypergeom.cdf(np.asarray(one)[place], *drawn), hypergeom.sf(np.asarray(one)[place] - 1, *drawn)
        p[place] = np.clip(2 * np.minimum(low, high), 0, 1)
    q = np.full(len(seen), np.nan)
    known = ~np.isnan(p)
    q[known] = false_discovery_control(p[known]) if known.any() else p[known]
    return pd.DataFrame(
        {
            "label": list(labels),
            "count": one,
            "other_count": other,
            "share": shares[0],
            "other_share": shares[1],
            "ratio": ratio,
            "z": (shares[1] - shares[0]) / np.where(spread > 0, spread, np.nan),
            "p": p,
            "q": q,
        }
    )


def labelset_counts(targets: sp.csr_array) -> np.ndarray:
    """Documents of each distinct label set, the empty one included, in no meaningful order.

    Sets are told apart by a sum of one random 64-bit key per label: two sets are taken for one with probability 2^-64.
    """
    keys = np.random.default_rng(0).integers(0, 2**64, targets.shape[1], dtype=np.uint64)
    return np.unique(indicator(targets) @ keys, return_counts=True)[1]


def part_measures(targets: sp.csr_array, *, rare: int = 8) -> dict[str, Any]:
    """Measures of one part of a data set, over its documents; None where undefined.

    Labels without documents have no IRLbl: MaxIR, MeanIR and CVIR are of the `labels_with_documents`, of which
    `min_count` is the smallest. Documents without labels count everywhere, in SCUMBLE as 0, as a label set like any.

    Args:
        targets: (n, L).
        rare: `rare_label_share` is the share of all labels with at most this many documents in the part.

    Returns:
        Numbers that JSON can hold. Sources: Tsoumakas & Katakis 2007 (cardinality, density), Charte et al. 2014 and
        2015 (IR, SCUMBLE, label sets: PMax the most frequent one's share, PUniq the share of those that occur once).
    """
    targets = indicator(targets)
    (documents, labels), assignments = targets.shape, targets.nnz
    sizes, counts = np.diff(targets.indptr), count_documents(targets)
    # IRLbl is defined for labels with documents alone.
    present, sets = counts[counts > 0], labelset_counts(targets)
    ratios = imbalance_ratios(present)
    unique = int(np.sum(sets == 1))
    return {
        "documents": documents,
        "documents_per_label": assignments / labels if labels else None,
        "cardinality": assignments / documents if documents else None,
        "density": assignments / documents / labels if documents and labels else None,
        "assignments": assignments,
        "without_label": int(np.sum(sizes == 0)),
        "single_label": int(np.sum(sizes == 1)),
        "multi_label": int(np.sum(sizes > 1)),
        "two_labels": int(np.sum(sizes == 2)),
        "three_labels": int(np.sum(sizes == 3)),
        "four_labels_or_more": int(np.sum(sizes > 3)),
        "most_labels": int(sizes.max(initial=0)),
        "labels_with_documents": len(present),
        "max_count": int(present.max()) if assignments else None,
        "min_count": int(present.min()) if assignments else None,
        "labelsets": len(sets),
        "single_labelsets": unique,
        "pmax": float(sets.max() / documents) if documents else None,
        "puniq": unique / documents if documents else None,
        "max_ir": float(ratios.max()) if assignments else None,
        "mean_ir": float(ratios.mean()) if assignments else None,
        "cv_ir": float(ratios.std(ddof=1) / ratios.mean()) if len(present) > 1 else None,
        "scumble": float(scumble(targets).mean()) if documents else None,
        "gini": gini(counts),
        "rare_label_share": float(np.mean(counts <= rare)) if documents and labels else None,
    }


def corpus_stats(corpus: Corpus, borders: Borders) -> dict[str, Any]:
    """What `stats --json` prints: name, fingerprint, labels, split, bins, borders, `part_measures` of parts and of all.

    A part's `head_share` is the share of its assignments that are to labels of the training part's head. `all` is of
    the documents of all parts together.
    """
    counts = corpus.counts
    head = group_of(counts, borders) == "head"

    def measure(targets: sp.csr_array) -> dict[str, Any]:
        measures = part_measures(targets, rare=borders.tail)
        owned = int(count_documents(targets)[head].sum())
        return measures | {"head_share": owned / measures["assignments"] if measures["assignments"] else None}

    parts = {part: corpus.targets_of(part) for part in corpus.parts}
    return {
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "labels": len(corpus.labels),
        "split": corpus.split,
        "bins": group_sizes(counts, borders),
        "borders": borders.as_json(),
        "parts": {part: measure(targets) for part, targets in parts.items()},
        "all": measure(sp.vstack(list(parts.values()), format="csr")),
    }

"""Which loss suits a data set: what its counts and its co-labels say, what published runs scored, three to train."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import Borders, group_sizes
from core.runs.results import read_metrics

if TYPE_CHECKING:
    from core.runs.folder import Run

SEVERAL = 1.1
"""Labels per document from which labels share documents often enough to weigh them by their company."""
SHARED = 0.2
"""Share of the tail's positives beside a more frequent label from which rebalancing has something to undo."""
TAILED = 0.2
"""Share of the labels in the tail from which they decide macro-F1."""
EVEN = 10.0
"""Most frequent by rarest label up to which counts are even."""
MANY = 100.0
"""Labels that a document lacks, for each that it has, from which negatives drown positives."""


@dataclass(frozen=True)
class Traits:
    """What of a train part decides between losses.

    Attributes:
        cardinality: labels of a document, the mean over documents with one.
        labels: K, labels with a train document.
        tail_labels: share of them in the tail.
        tail_assignments: share of the assignments that go to the tail.
        imbalance: documents of the most frequent label by those of the rarest.
        shared: share of the tail's positives (of all where the tail is empty) that stand beside a label of another
            group, or beside any label where there is one group.
        rare: documents that a label of the tail has at most.
    """

    cardinality: float
    labels: int
    tail_labels: float
    tail_assignments: float
    imbalance: float
    shared: float
    rare: int = 8


@dataclass(frozen=True)
class Advice:
    """Three losses to train, the recommended one first, and three sentences that say why."""

    losses: tuple[str, str, str]
    sentences: tuple[str, str, str]


def measure_traits(targets: sp.csr_array, counts: np.ndarray, borders: Borders) -> Traits:
    """Measures the train part.

    Args:
        targets: (N, L), labels in the order of falling counts.
        counts: of the K labels with a train document, one at least.
        borders: of the tail; those of the paper, for what is rare here is a matter of documents, not of ranks.
    """
    targets = sp.csr_array(targets[:, : len(counts)])
    sizes = group_sizes(counts, borders)
    first = len(counts) - sizes["tail"]
    held = np.diff(targets.indptr)
    row = np.repeat(np.arange(targets.shape[0]), held)
    in_tail = targets.indices >= first
    if sizes["tail"] and first:
        others = np.bincount(row[~in_tail], minlength=targets.shape[0])
        beside = others[row[in_tail]] > 0
    else:
        beside = held[row] > 1
    return Traits(
        cardinality=float(held[held > 0].mean()),
        labels=len(counts),
        tail_labels=sizes["tail"] / len(counts),
        tail_assignments=float(counts[first:].sum() / counts.sum()),
        imbalance=float(counts[0] / counts[-1]),
        shared=float(beside.mean()),
        rare=borders.tail,
    )


def advise(traits: Traits) -> Advice:
    """Which loss to begin with on such a set, and two to hold beside it, one of them always plain cross-entropy."""
    several, tailed = traits.cardinality >= SEVERAL, traits.tail_labels >= TAILED
    # Labels per document.
    lacks = traits.labels / traits.cardinality - 1
    crowded = lacks >= MANY
    first = (
        f"A document has {traits.cardinality:.2f} of {traits.labels:,} labels and lacks {lacks:,.0f} for each that it "
        "has: "
        + ("negatives drown positives, which losses that tolerate negatives damp." if crowded
           else "negatives do not drown positives.")
    )  # fmt: skip
    # The tail.
    held = (
        f"Labels with at most {traits.rare} documents are {traits.tail_labels:.0%} of the labels and "
        f"{_percent(traits.tail_assignments)} of the assignments"
    )
    if tailed:
        second = f"{held}: macro-F1 is decided there, and plain cross-entropy hardly sees them."
    elif traits.imbalance <= EVEN:
        second = (
            f"{held}, and no label has more than {traits.imbalance:.1f} times the documents of another: "
            "weights have little to balance."
        )
    else:
        second = f"{held}: most labels have documents enough, and losses will differ little over all labels."
    # Co-occurrence.
    together = several and traits.shared >= SHARED
    company = f"{traits.shared:.0%} of such labels' positives stand beside a more frequent one" if tailed else (
        f"{traits.shared:.0%} of the rarer labels' positives stand beside another label"
    )  # fmt: skip
    third = f"{company}: " + (
        "drawing a document for one label draws the other as well, which rebalanced weights undo."
        if together
        else "rebalanced weights would be nearly the same for all, so that weights by count do as well."
    )
    # The recommendation.
    if traits.imbalance <= EVEN and not tailed:
        chosen = ("bce", "fl", "asl")
    elif together:
        chosen = ("db", "cb-ntr", "bce")
    elif crowded or tailed:
        chosen = ("cb-ntr", "cb", "bce")
    else:
        chosen = ("cb", "fl", "bce")
    return Advice(chosen, (first, second, third))


def evidence_table(runs: Iterable[Run]) -> pd.DataFrame:
    """Published scores by loss, as trained: columns loss, seeds, micro-F1, macro-F1, tail macro-F1, in per cent.

    Args:
        runs: those of one data set; of the finished ones with a loss and the model that has most losses, the means.
    """
    rows = []
    for run in runs:
        if run.state != "finished" or run.config.loss is None or run.config.combined:
            continue
        test = read_metrics(run)["test"]
        rows.append(
            {
                "model": run.config.model.name,
                "loss": run.config.loss.name,
                "seed": run.config.seed,
                "micro": 100 * test["all"]["micro_f1"],
                "macro": 100 * test["all"]["macro_f1"],
                "tail": np.nan if test["tail"]["macro_f1"] is None else 100 * test["tail"]["macro_f1"],
            }
        )
    frame = pd.DataFrame(rows, columns=["model", "loss", "seed", "micro", "macro", "tail"])
    if not len(frame):
        return frame.drop(columns="seed").assign(seeds=0)
    most = frame.groupby("model")["loss"].nunique().idxmax()
    chosen = frame[frame["model"] == most].groupby("loss", sort=False)
    table = chosen[["micro", "macro", "tail"]].mean().assign(seeds=chosen["seed"].nunique(), model=most).reset_index()
    return table.sort_values("tail", ascending=False, ignore_index=True)


def evidence_in_words(table: pd.DataFrame, advice: Advice, data: str) -> str:
    """What published runs of the advised losses scored, in a sentence; empty where there are none."""
    known = table.set_index("loss") if len(table) else table
    said = [f"{name} {known.loc[name, 'tail']:.1f}" for name in advice.losses if len(table) and name in known.index]
    if not said:
        return ""
    some = known.loc[[name for name in advice.losses if name in known.index]]
    micro = f"{some['micro'].min():.1f} to {some['micro'].max():.1f}"
    seeds = int(some["seeds"].min())
    return (
        f"Published runs on {data} ({table['model'].iloc[0]}, {seeds} seed{'s' * (seeds != 1)}): tail macro-F1 "
        f"{', '.join(said)}, at micro-F1 {micro}."
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"

"""What the page Explorer shows of a data set: measures with their meanings, pairs, drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.data.corpus import Corpus
from core.labels import groups, measures
from core.labels.cooccurrence import Cooccurrence, count_strong, measure_pairs, strongest
from core.labels.groups import Borders

LENGTHS = (128, 256, 512)
"""Tokens that encoders commonly read of a text."""
MEASURES: dict[str, dict[str, tuple[str, str, str]]] = {
    "Table 1 of the paper": {
        "documents": ("Documents", "Documents of the part.", "localized"),
        "labels": ("Labels", "Labels that a document can carry; the same for every part.", "localized"),
        "cardinality": ("Labels per document", "Label cardinality: the mean number of labels of a document.", "%.4f"),
        "documents_per_label": ("Documents per label", "Assignments divided by labels.", "%.2f"),
        "single_label": ("With one label", "Documents that carry exactly one label.", "localized"),
        "multi_label": ("With several labels", "Documents that carry two labels or more.", "localized"),
    },
    "Imbalance": {
        "labels_with_documents": ("Labels that occur", "Labels with a document in this part.", "localized"),
        "max_count": ("Most frequent", "Documents of the most frequent label.", "localized"),
        "min_count": ("Rarest", "Documents of the rarest label that occurs.", "localized"),
        "max_ir": (
            "MaxIR",
            "Largest imbalance ratio: documents of the most frequent label for one of the rarest that occurs.",
            "localized",
        ),
        "mean_ir": (
            "MeanIR",
            "Mean over the labels that occur of: documents of the most frequent label divided by the label's own.",
            "%.2f",
        ),
        "cv_ir": ("CVIR", "Spread of the imbalance ratios: standard deviation divided by mean.", "%.3f"),
        "scumble": ("SCUMBLE", "How much rare labels share documents with frequent ones: 0 not at all, to 1.", "%.4f"),
        "gini": ("Gini", "0: every label has as many documents; towards 1: one label has them all.", "%.4f"),
        "rare_label_share": (
            "Rare labels",
            "Share of labels that have no more documents in this part than a tail label has in the train part.",
            "percent",
        ),
        "head_share": ("Head's share", "Share of the assignments that go to labels of the head.", "percent"),
    },
    "Labels of a document": {
        "assignments": ("Assignments", "Pairs of a document and one of its labels.", "localized"),
        "density": ("Density", "Labels per document divided by the number of labels.", "%.5f"),
        "without_label": ("None", "Documents without a label.", "localized"),
        "two_labels": ("Two", "Documents with exactly two labels.", "localized"),
        "three_labels": ("Three", "Documents with exactly three labels.", "localized"),
        "four_labels_or_more": ("Four or more", "Documents with four labels or more.", "localized"),
        "most_labels": ("Most", "The largest number of labels of one document.", "localized"),
    },
    "Label sets": {
        "labelsets": ("Label sets", "Different combinations of labels.", "localized"),
        "single_labelsets": ("Seen once", "Combinations of labels that one document alone carries.", "localized"),
        "pmax": ("PMax", "Share of the documents that carry the commonest combination.", "percent"),
        "puniq": ("PUniq", "Combinations seen once, divided by documents.", "percent"),
    },
}
"""Each measure of `core.labels.measures.corpus_stats`, by its table: heading, what it means, how it is written."""
PUBLISHED = (
    {
        "part": "Reuters in the paper",
        "documents": 10_788,
        "labels": 90,
        "cardinality": 1.24,
        "documents_per_label": 148.11,
    },
    {
        "part": "PubMed in the paper",
        "documents": 224_897,
        "labels": 18_211,
        "cardinality": 12.3,
        "documents_per_label": 151.88,
    },
)
"""Table 1 of Huang et al., EMNLP 2021."""
PAIRS: dict[str, tuple[str, str, str]] = {
    "label": ("Label j", "The rarer label of the two.", ""),
    "other": ("Label i", "The label that comes with it.", ""),
    "p": ("p(i given j)", "Share of the documents with j that have i as well.", "percent"),
    "p_back": ("p(j given i)", "Share of the documents with i that have j as well.", "percent"),
    "lift": ("Lift", "p(i given j) divided by p(i): how many times as often as by chance.", "%.1f"),
    "jaccard": (
        "Jaccard",
        "Documents with both divided by documents with one of them: 1 if they are the same.",
        "%.3f",
    ),
    "both": ("Both", "Documents with both labels.", "localized"),
    "documents": ("Docs with j", "Documents with label j.", "localized"),
    "other_documents": ("Docs with i", "Documents with label i.", "localized"),
}
"""Columns of a table of label pairs: heading, what it means, how it is written."""


def length_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns length (words, tokens), mean, median, nine_in_ten, ninety_nine, longest; NaN of no documents."""
    spread = {"median": 0.5, "nine_in_ten": 0.9, "ninety_nine": 0.99, "longest": 1.0}
    rows = []
    for unit in ("words", "tokens"):
        values = frame[unit]
        rows.append({"length": unit, "mean": values.mean()} | {key: values.quantile(at) for key, at in spread.items()})
    return pd.DataFrame(rows)


def share_longer(frame: pd.DataFrame, tokens: int) -> float:
    """Share of documents with more than so many tokens; NaN of no documents."""
    return float((frame["tokens"] > tokens).mean())


def bin_of(frame: pd.DataFrame, asked: str) -> pd.DataFrame:
    """The row of `core.labels.cooccurrence.density` for "row-column", as its numbers stand there, or none."""
    return frame[[f"{row}-{column}" == asked for row, column in zip(frame["row"], frame["column"], strict=True)]]


def measure_table(stats: Mapping[str, Any], title: str) -> pd.DataFrame:
    """One of the tables in `MEASURES`: a row for each part that has documents, one for all of them.

    Args:
        stats: of `core.labels.measures.corpus_stats`.
        title: a key of `MEASURES`; the first has the paper's own rows below.

    Returns:
        Column part, then the measures as numbers; NaN where undefined.
    """
    parts = {part: row for part, row in stats["parts"].items() if row["documents"]}
    parts["all"] = stats["all"]
    rows = [{"part": part, "labels": stats["labels"]} | row for part, row in parts.items()]
    if "documents" in MEASURES[title]:
        rows += PUBLISHED
    table = pd.DataFrame(rows)[["part", *MEASURES[title]]]
    return table.astype(dict.fromkeys(MEASURES[title], np.float64))


def all_measures(stats: Mapping[str, Any]) -> pd.DataFrame:
    """Every measure of every part, as it is downloaded: columns part, measure, value, meaning."""
    rows = []
    for part, values in [*stats["parts"].items(), ("all", stats["all"])]:
        for table in MEASURES.values():
            for key, (_, meaning, _) in table.items():
                value = stats["labels"] if key == "labels" else values[key]
                rows.append({"part": part, "measure": key, "value": value, "meaning": meaning})
    return pd.DataFrame(rows)


def pair_table(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Pairs of labels with names for columns.

    Args:
        frame: of `core.labels.cooccurrence`.
        names: all labels, by column.
    """
    named = {key: [names[column] for column in frame[key]] for key in ("label", "other")}
    return frame.assign(**named).reset_index(drop=True)


def search(frame: pd.DataFrame, text: str, columns: Sequence[str] = ("label",)) -> pd.DataFrame:
    """The rows with `text` in one of some columns, case ignored; all rows for an empty text."""
    wanted = text.strip().lower()
    if not wanted:
        return frame
    found = np.zeros(len(frame), bool)
    for column in columns:
        found |= np.array([wanted in str(value).lower() for value in frame[column]], bool)
    return frame[found].reset_index(drop=True)


def label_table(corpus: Corpus, borders: Borders) -> pd.DataFrame:
    """Every label, the most frequent first: label, rank, group, its documents in each part, imbalance (IRLbl)."""
    table = measures.rank_frequency(corpus.labels, corpus.counts, borders)
    column = {name: place for place, name in enumerate(corpus.labels)}
    order = [column[name] for name in table["label"]]
    for part in corpus.parts:
        table[part] = groups.count_documents(corpus.targets_of(part))[order]
    return table.drop(columns="count").assign(imbalance=measures.imbalance_ratios(corpus.counts)[order])


def strongest_pairs(
    pairs: Cooccurrence,
    names: Sequence[str],
    *,
    by: str,
    floor: int,
    text: str = "",
    ranks: tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> tuple[pd.DataFrame, int]:
    """The pairs of labels that are tied most, with names, and how many there are in all.

    Args:
        pairs: of `core.labels.cooccurrence.count_pairs`.
        names: all labels, by column.
        by: one of `core.labels.cooccurrence.ORDERS`.
        floor: documents in common at least.
        text: stands in the name of one of the two; case is ignored.
        ranks: first and last column, from 1, of the one and of the other label.
    """
    wanted = text.strip().lower()
    one = np.array([wanted in name.lower() for name in names], bool) if wanted else np.ones(len(names), bool)
    other = np.ones(len(names), bool)
    if ranks is not None:
        place = np.arange(1, len(names) + 1)
        one, other = (
            mask & (place >= low) & (place <= high) for mask, (low, high) in zip((one, other), ranks, strict=True)
        )
    within = (one, other)
    return pair_table(strongest(pairs, by=by, floor=floor, within=within), names), count_strong(
        pairs, floor=floor, within=within
    )


def pair_facts(pairs: Cooccurrence, label: int, other: int) -> dict[str, Any]:
    """What ties two labels: a row of `core.labels.cooccurrence.block` as numbers, None where undefined."""
    row = measure_pairs(pairs, np.array([label]), np.array([other])).iloc[0]
    whole = ("both", "documents", "other_documents")
    return {
        key: None if row[key] != row[key] else int(row[key]) if key in whole else float(row[key]) for key in row.index
    }


def most_drifted(frame: pd.DataFrame, *, limit: int = 1000) -> pd.DataFrame:
    """Of `core.labels.measures.drift`: labels whose shares differ least by luck; none in neither part.

    Returns:
        Its columns, and times: the ratio in words, `new` for a label in the second part alone, `gone` in the first.
    """
    found = frame[frame["p"].notna()]
    order = np.lexsort((-found["z"].abs().to_numpy(), found["p"].to_numpy()))[:limit]
    found = found.iloc[order].reset_index(drop=True)
    words = [
        "new" if not count else "gone" if not other else f"{ratio:,.2f}"
        for count, other, ratio in zip(found["count"], found["other_count"], found["ratio"], strict=True)
    ]
    return found.assign(times=words)


def absent(frame: pd.DataFrame) -> pd.DataFrame:
    """The labels of `core.labels.measures.drift` without a document in one of the parts, the most frequent first."""
    found = frame[(frame["count"] == 0) | (frame["other_count"] == 0)]
    order = np.argsort(-(found["count"] + found["other_count"]).to_numpy(), kind="stable")
    return found.iloc[order].reset_index(drop=True)


def drift_summary(frame: pd.DataFrame) -> dict[str, int]:
    """Of `core.labels.measures.drift`: labels that drift by more than luck, absent from each part."""
    return {
        "drifted": int((frame["q"] <= measures.FALSE_SHARE).sum()),
        "absent": int((frame["count"] == 0).sum()),
        "other_absent": int((frame["other_count"] == 0).sum()),
    }

"""What the explorer shows: rank against frequency, labels per document, co-occurrence, measures, documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.data import Corpus
from core.figures import GRID, GROUP_COLOURS, HEIGHT, MAX_MARKS
from core.labels import FREQUENCY_GROUPS, Borders

NO_DOCUMENT = 0.5
"""Where a label without train documents stands on a logarithmic axis, whose tick there says 0."""
MOST_LABELS = 24
"""Documents with this many labels or more share one bar."""
CELL = "cell"
"""Name of the heatmap's selection."""
MEASURES = {
    "documents": ("Documents", ""),
    "labels_with_documents": ("Labels with a document", "Of all labels, how many occur in this part."),
    "cardinality": ("Labels per document", "Label cardinality: the mean number of labels."),
    "density": ("Label density", "Labels per document divided by the number of labels."),
    "assignments": ("Label assignments", "Pairs of a document and one of its labels."),
    "single_label": ("Documents with one label", ""),
    "multi_label": ("Documents with several labels", ""),
    "without_label": ("Documents without a label", ""),
    "max_count": ("Documents of the most frequent label", ""),
    "min_count": ("Documents of the rarest label", "Labels without a document are left out."),
    "labelsets": ("Label sets", "Different combinations of labels."),
    "single_labelsets": ("Label sets seen once", ""),
    "pmax": ("Share of the commonest label set", "Documents that carry it, of all."),
    "puniq": ("Share of label sets seen once", "Divided by the documents."),
    "max_ir": ("Largest imbalance", "Most frequent label divided by the rarest one (MaxIR)."),
    "mean_ir": ("Mean imbalance", "Most frequent label divided by each label, mean (MeanIR)."),
    "cv_ir": ("Spread of the imbalance", "Standard deviation divided by the mean of the imbalance (CVIR)."),
    "scumble": ("Rare beside frequent", "SCUMBLE, 0 to 1: how much rare labels come together with frequent ones."),
    "gini": ("Gini coefficient", "0: all labels equally frequent; towards 1: one label owns all documents."),
    "rare_label_share": ("Share of rare labels", "Labels with at most 8 documents in this part, of all labels."),
}
"""Each measure of `core.labels.part_measures` in words, and what it means."""


def group_colour(title: str | None = None, *, legend: bool = True) -> alt.Color:
    """Colour by column `group`: head, medium, tail as on every page."""
    scale = alt.Scale(domain=list(FREQUENCY_GROUPS), range=[GROUP_COLOURS[group] for group in FREQUENCY_GROUPS])
    return alt.Color(
        "group:N",
        title=title,
        sort=list(FREQUENCY_GROUPS),
        scale=scale,
        legend=alt.Legend(orient="top", symbolType="circle") if legend else None,
    )


def spread_over_ranks(labels: int, limit: int = MAX_MARKS) -> np.ndarray:
    """Positions 0..labels-1 to draw on a logarithmic rank axis: all, or about `limit` evenly spaced on it.

    Returns:
        Rising positions without repetition, the first and the last among them, at most `limit`.
    """
    if labels <= limit:
        return np.arange(labels)
    return np.unique(np.geomspace(1, labels, limit).round().astype(np.int64)) - 1


def log_ticks(highest: float) -> list[float]:
    """1, 10, 100, ... up to `highest`, and 1 and 10 in any case."""
    return [10.0**power for power in range(max(1, math.floor(math.log10(max(1.0, highest)))) + 1)]


def count_axis(highest: float, lowest: float) -> tuple[alt.Scale, alt.Axis]:
    """A logarithmic scale of document counts from `lowest`, with a tick 0 where `NO_DOCUMENT` is in reach."""
    top = max(10.0, float(highest) * 1.4)
    low = 0.4 if lowest < 1 else 0.8
    ticks = [NO_DOCUMENT] * bool(lowest < 1) + log_ticks(top)
    axis = alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')", gridColor=GRID)
    return alt.Scale(type="log", domain=[low, top], nice=False), axis


def rank_frequency(frame: pd.DataFrame, borders: Borders) -> alt.LayerChart:
    """Train documents of every label against its rank, both logarithmic; dashed rules are the borders.

    Args:
        frame: of `core.labels.rank_frequency`; many labels are sampled evenly along the axis.
        borders: drawn as rules.
    """
    shown = frame.iloc[spread_over_ranks(len(frame))].copy()
    shown["height"] = shown["count"].clip(lower=NO_DOCUMENT)
    scale, axis = count_axis(shown["count"].max(), shown["count"].min())
    y = alt.Y("height:Q", title="train documents", scale=scale, axis=axis)
    ranks = alt.Scale(type="log", domain=[0.9, max(10.0, len(frame) * 1.15)], nice=False)
    points = (
        alt.Chart(shown)
        .mark_circle(size=44, opacity=0.9)
        .encode(
            x=alt.X(
                "rank:Q",
                title="rank of the label, the most frequent first",
                scale=ranks,
                axis=alt.Axis(values=log_ticks(len(frame) * 1.15), format=",d", gridColor=GRID),
            ),
            y=y,
            color=group_colour(),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("rank:Q", format=",d"),
                alt.Tooltip("count:Q", title="train documents", format=",d"),
                alt.Tooltip("group:N"),
            ],
        )
    )
    edges = pd.DataFrame(
        {
            "height": [borders.head, max(borders.tail, NO_DOCUMENT)],
            "words": [f"head from {borders.head:,}", f"tail up to {borders.tail:,}"],
        }
    )
    edges = edges[edges["height"].between(*scale.domain)]
    rules = alt.Chart(edges).mark_rule(strokeDash=[5, 4], color="gray").encode(y=y)
    words = (
        alt.Chart(edges)
        .mark_text(align="left", baseline="bottom", dx=6, dy=-3, color="gray", fontSize=12)
        .encode(y=y, text="words:N", x=alt.value(0))
    )
    return alt.LayerChart(layer=[rules, words, points], height=HEIGHT)


def group_shares(frame: pd.DataFrame) -> alt.LayerChart:
    """Head, medium and tail as shares of the labels and of the label assignments: two stacked bars.

    Args:
        frame: of `core.labels.group_shares`.
    """
    labels = max(1, int(frame["labels"].sum()))
    parts = {"share of labels": frame["labels"] / labels, "share of assignments": frame["share_of_assignments"]}
    rows = pd.concat(
        [frame[["group"]].assign(of=of, share=share, order=range(len(frame))) for of, share in parts.items()]
    )
    rows["end"] = rows.groupby("of")["share"].cumsum()
    rows["middle"] = rows["end"] - rows["share"] / 2
    rows["words"] = [f"{share:.0%}" if share >= 0.06 else "" for share in rows["share"]]
    y = alt.Y("of:N", title=None, sort=list(parts), axis=alt.Axis(labelLimit=200, ticks=False, domain=False))
    bars = (
        alt.Chart(rows)
        .mark_bar(height=alt.RelativeBandSize(0.62))
        .encode(
            x=alt.X(
                "share:Q",
                title=None,
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", gridColor=GRID, tickCount=5),
            ),
            y=y,
            color=group_colour(),
            order="order:Q",
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("of:N", title="share")],
        )
    )
    words = alt.Chart(rows).mark_text(color="white", fontSize=13).encode(x="middle:Q", y=y, text="words:N")
    return alt.LayerChart(layer=[bars, words], height=150)


def labels_per_document(frame: pd.DataFrame) -> alt.LayerChart:
    """How many documents have 1, 2, 3, ... labels; the number stands above each bar.

    Args:
        frame: of `core.labels.labels_per_document`; may be empty.
    """
    rows = frame.assign(labels=frame["labels"].clip(upper=MOST_LABELS)).groupby("labels", as_index=False).sum()
    rows["words"] = [f"{labels} or more" if labels == MOST_LABELS else str(labels) for labels in rows["labels"]]
    total = max(1, int(rows["documents"].sum()))
    rows["share"] = rows["documents"] / total
    names = [str(number) for number in range(int(rows["labels"].max()) + 1)] if len(rows) else []
    names = [f"{name} or more" if name == str(MOST_LABELS) else name for name in names]
    if len(rows) and rows["labels"].min() > 0:
        names = names[1:]
    base = alt.Chart(rows).encode(
        x=alt.X(
            "words:O",
            title="labels of a document",
            sort=names,
            scale=alt.Scale(domain=names),
            axis=alt.Axis(labelAngle=0, labelOverlap=True),
        ),
        y=alt.Y(
            "documents:Q", title="documents", axis=alt.Axis(format="~s", gridColor=GRID, tickCount=5, tickMinStep=1)
        ),
        tooltip=[
            alt.Tooltip("words:O", title="labels"),
            alt.Tooltip("documents:Q", format=",d"),
            alt.Tooltip("share:Q", title="share of documents", format=".2%"),
        ],
    )
    bars = base.mark_bar(color=GROUP_COLOURS["all"])
    numbers = base.mark_text(dy=-7, color="gray", fontSize=12).encode(text=alt.Text("documents:Q", format=",d"))
    return alt.LayerChart(layer=[bars, numbers] if len(names) <= 16 else [bars], height=HEIGHT)


def cooccurrence(frame: pd.DataFrame, names: Sequence[str]) -> alt.Chart:
    """p(i given j) as a heatmap, row j and column i; a click selects a cell (`CELL`: fields given and label).

    Args:
        frame: of `core.labels.cooccurrence`; a label beside itself is left out.
        names: all labels, by column.
    """
    pairs = frame[frame["given"] != frame["label"]]
    order = [names[column] for column in dict.fromkeys(frame["given"].tolist())]
    rows = pairs.assign(
        given=[names[column] for column in pairs["given"]], label=[names[column] for column in pairs["label"]]
    )
    cell = alt.selection_point(name=CELL, fields=["given", "label"], empty=False, clear=False)
    band = alt.Scale(domain=order, paddingInner=0.06)
    few = len(order) <= 24
    look: dict[str, Any] = {"labelOverlap": False, "ticks": False, "domain": False, "grid": False}
    look["labelFontSize"] = 12 if few else 9
    return (
        alt.Chart(rows)
        .mark_rect(color=GROUP_COLOURS["head"], cornerRadius=1, strokeWidth=2.5, cursor="pointer")
        .encode(
            x=alt.X(
                "label:N",
                title="label i",
                sort=order,
                scale=band,
                axis=alt.Axis(orient="top", labelAngle=-60 if few else -90, labelLimit=110, **look),
            ),
            y=alt.Y(
                "given:N",
                title="given label j",
                sort=order,
                scale=band,
                axis=alt.Axis(labelLimit=140, **look),
            ),
            opacity=alt.Opacity(
                "p:Q",
                title="p(i given j)",
                scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.06, 1]),
                legend=alt.Legend(orient="right", values=[1, 0.5, 0.2, 0.05, 0], format=".0%", symbolType="square"),
            ),
            stroke=alt.condition(cell, alt.value(GROUP_COLOURS["tail"]), alt.value("#00000000")),
            tooltip=[
                alt.Tooltip("given:N", title="given j"),
                alt.Tooltip("label:N", title="label i"),
                alt.Tooltip("p:Q", title="p(i given j)", format=".1%"),
                alt.Tooltip("both:Q", title="documents with both", format=",d"),
                alt.Tooltip("documents:Q", title="documents with j", format=",d"),
            ],
        )
        .add_params(cell)
        .properties(height=max(220, (22 if few else 14) * len(order) + 90))
    )


def measure_table(parts: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The measures of every part side by side, as text.

    Args:
        parts: by the part's name, `core.labels.part_measures`.

    Returns:
        Columns measure, one for each part, and meaning; a measure that is undefined is a dash.
    """
    return pd.DataFrame(
        [
            {
                "measure": words,
                **{part: _in_digits(measures.get(key)) for part, measures in parts.items()},
                "meaning": meaning,
            }
            for key, (words, meaning) in MEASURES.items()
        ]
    )


def _in_digits(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def rows_with(corpus: Corpus, part: str, columns: Sequence[int]) -> np.ndarray:
    """Row numbers of a part's documents that carry all of some labels, in the order of the corpus."""
    rows = corpus.parts[part]
    targets = sp.csc_array(corpus.targets_of(part))
    held = np.ones(len(rows), bool)
    for column in columns:
        own = np.zeros(len(rows), bool)
        own[targets.indices[targets.indptr[column] : targets.indptr[column + 1]]] = True
        held &= own
    return np.sort(rows[held])


def document_table(corpus: Corpus, rows: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """Columns id, title and labels (a list, the most frequent first) of some documents."""
    targets = corpus.targets
    return pd.DataFrame(
        {
            "id": [str(corpus.ids[row]) for row in rows],
            "title": [" ".join(corpus.titles[int(row)].split()) or "(no title)" for row in rows],
            "labels": [
                [
                    corpus.labels[column]
                    for column in sorted(targets.indices[targets.indptr[row] : targets.indptr[row + 1]])
                ]
                for row in rows
            ],
        },
        columns=["id", "title", "labels"],
    )

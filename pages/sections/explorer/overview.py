"""Size and measures of a data set, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis import dataset
from pages.sections.explorer import describe_columns, find_borders, findings
from pages.shared.downloads import offer_csv
from pages.shared.glossary import explain
from pages.shared.loaders import load_measures
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.data.corpus import Corpus

PARTS = {
    "train": "Documents that models learn from. Label frequencies are counted here.",
    "validation": "Documents held out to choose thresholds and the best epoch. "
    "Split original has none; split paper holds out 1,000 of Reuters.",
    "test": "Documents that scores are measured on, and nothing else.",
}
SENTENCES = {
    "Table 1 of the paper": "How large the set is, beside the two sets of Huang et al. 2021; point at a heading to "
    "read what it means.",
    "Imbalance": "How unevenly the documents are spread over the labels. Labels without a document are counted in Gini "
    "and among the rare ones alone.",
    "Labels of a document": "How many labels a document carries: none, two, three and so on.",
    "Label sets": "How often the same combination of labels comes again.",
}

EXPLAINED = {
    "Imbalance": ("MeanIR", "IRLbl", "SCUMBLE", "Gini", "head", "tail"),
    "Label sets": ("label set", "PMax", "PUniq"),
}


@st.fragment
def show(corpus: Corpus) -> None:
    borders = find_borders(corpus)
    stats = load_measures(corpus, borders)
    show_sizes(corpus, stats)
    findings.show(corpus)
    for note in corpus.notes:
        st.info(plain(note))
    for title, measures in dataset.MEASURES.items():
        st.header(title)
        st.caption(SENTENCES[title])
        if title in EXPLAINED:
            explain(*EXPLAINED[title])
        heading = {"part": ("Part", "Part of the data set; all: every part together.", "")}
        st.dataframe(
            dataset.measure_table(stats, title),
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=describe_columns(heading | measures),
            alt=title,
        )
    offer_csv(f"{corpus.name}-measures", lambda: dataset.all_measures(stats))


def show_sizes(corpus: Corpus, stats: dict[str, Any]) -> None:
    """The size of the data set in one row."""
    train = stats["parts"]["train"]
    row = st.columns([4, 4, 4, 4, 6, 5])
    for place, (part, about) in zip(row, PARTS.items(), strict=False):
        place.metric(part.capitalize(), f"{len(corpus.parts.get(part, ())):,}", help=about)
    row[3].metric("Labels", f"{len(corpus.labels):,}", help="Labels that a document can carry.")
    row[4].metric(
        "Labels per document",
        f"{train['cardinality'] or 0:.4f}",
        help="Label cardinality: the mean number of labels of a train document.",
    )
    row[5].metric(
        "Imbalance",
        f"{train['max_ir'] or 0:,.0f}:1",
        help="Train documents of the most frequent label for one of the rarest label that has any.",
    )

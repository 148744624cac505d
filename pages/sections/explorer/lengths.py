"""How many labels a document carries, and how long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.data import documents
from core.figures import data
from core.labels import measures
from pages.sections.explorer import pick_part
from pages.shared.downloads import offer_csv
from pages.shared.loaders import HASHES
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus


SAMPLE = 5000
"""Documents that are read to measure lengths."""


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_sizes(corpus: Corpus, part: str) -> pd.DataFrame:
    return measures.labels_per_document(documents.targets_of(corpus, part))


@st.cache_data(max_entries=16, show_spinner="Reading documents", hash_funcs=HASHES)
def load_lengths(corpus: Corpus, part: str) -> pd.DataFrame:
    return documents.measure_lengths(corpus, part, limit=SAMPLE)


@st.fragment
def show(corpus: Corpus) -> None:
    part = pick_part(corpus)
    number = len(documents.rows_of(corpus, part))
    st.header("Labels per document")
    table = load_sizes(corpus, part)
    chart = data.labels_per_document(table)
    st.altair_chart(chart, alt="Documents by their number of labels")
    offer_csv(f"{corpus.name}-{part}-labels-per-document", table)
    st.header("Length")
    measured = load_lengths(corpus, part)
    read = f"A sample: {SAMPLE:,} of {number:,} documents, evenly spread." if number > SAMPLE else "All documents."
    st.caption(plain(f"{read} Words are parted by blanks; tokens are {documents.token_name()}."))
    for place, unit in zip(st.columns(2, gap="large"), ("words", "tokens"), strict=True):
        with place:
            histogram = data.lengths(measured, unit)
            st.altair_chart(histogram, alt=f"Documents by their number of {unit}")
            offer_csv(f"{corpus.name}-{part}-{unit}", measured[[unit]])
    column = st.column_config
    left, right = st.columns([3, 2], gap="large", vertical_alignment="center")
    headings = {"mean": "Mean", "median": "Median", "nine_in_ten": "9 in 10", "ninety_nine": "99 in 100"}
    left.dataframe(
        dataset.length_table(measured),
        hide_index=True,
        height="content",
        column_config={"length": column.TextColumn("Length in")}
        | {
            key: column.NumberColumn(title, format="localized", step=1)
            for key, title in (headings | {"longest": "Longest"}).items()
        },
        alt="Lengths of the documents",
    )
    with right, st.container(horizontal=True):
        for limit in dataset.LENGTHS:
            st.metric(
                f"Over {limit} tokens",
                f"{dataset.share_longer(measured, limit):.1%}" if number else "–",
                help=f"Documents that an encoder which reads {limit} tokens does not read to the end.",
                width="content",
            )

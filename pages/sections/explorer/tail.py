"""The long tail: frequency against rank, what head, medium and tail own, and every label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.figures import data
from core.labels import measures
from core.labels.groups import Borders, find_paper_set
from core.system.errors import UserError
from pages.sections.explorer import find_borders
from pages.shared import current
from pages.shared.added import offer_view
from pages.shared.downloads import offer_csv
from pages.shared.labels import HINT, show_marks, show_table
from pages.shared.loaders import HASHES
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_frequencies(corpus: Corpus, borders: Borders) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return (
        measures.rank_frequency(corpus.labels, corpus.counts, borders),
        measures.group_shares(corpus.counts, borders),
        dataset.label_table(corpus, borders),
    )


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=HASHES)
def load_lorenz(corpus: Corpus) -> tuple[pd.DataFrame, float | None]:
    return measures.lorenz(corpus.counts), measures.gini(corpus.counts)


@st.fragment
def show(corpus: Corpus) -> None:
    borders = pick_borders(corpus)
    if borders is None:
        return
    ranks, shares, table = load_frequencies(corpus, borders)
    st.header("Frequency against rank")
    chart = data.rank_frequency(ranks, borders)
    show_marks(chart, lambda mark: [mark["label"]], key="tail_chart", alt="Train documents of every label by rank")
    with st.container(horizontal=True):
        offer_csv(f"{corpus.name}-rank-frequency", ranks)
        config = current.data()
        offer_view(
            "explorer",
            "Long tail",
            config.title,
            f"The long tail of {config.title}",
            borders=borders,
            data_set=config.model_dump_json(),
        )
    left, right = st.columns(2, gap="large")
    with left:
        st.header("What the groups hold")
        show_groups(shares)
        chart = data.group_shares(shares)
        st.altair_chart(chart, alt="Head, medium and tail: shares of labels and of assignments")
        offer_csv(f"{corpus.name}-groups", shares)
    with right:
        show_lorenz(corpus)
    show_labels(corpus, table)


def pick_borders(corpus: Corpus) -> Borders | None:
    """Draws the borders between head, medium and tail; None, and a sentence, where they make no sense."""
    default = find_borders(corpus)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = st.number_input(
            "Head from", 0, value=None, placeholder=str(default.head), key="head", bind="query-params", width=140
        )
        tail = st.number_input(
            "Tail up to", 0, value=None, placeholder=str(default.tail), key="tail", bind="query-params", width=140
        )
        st.caption(f"Train documents of a label; medium lies between. Empty: {name_default(corpus)}.")
    try:
        return default.moved(head=head, tail=tail)
    except UserError as error:
        st.error(plain(str(error)))
        return None


def name_default(corpus: Corpus) -> str:
    """Where the borders are when nobody chooses any."""
    return "the paper's borders" if find_paper_set(corpus.name) else "thirds of the labels that have train documents"


def show_groups(shares: pd.DataFrame) -> None:
    """Labels of each group, and the share of all label assignments that it owns."""
    column = st.column_config
    st.dataframe(
        shares,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={
            "group": column.TextColumn("Group"),
            "labels": column.NumberColumn("Labels", format="localized"),
            "assignments": column.NumberColumn(
                "Assignments", format="localized", help="Times a train document carries one of these labels."
            ),
            "share_of_assignments": column.NumberColumn("Share", format="percent"),
        },
        alt="Labels and assignments of each group",
    )


def show_lorenz(corpus: Corpus) -> None:
    """The Lorenz curve of the label counts."""
    st.header("Lorenz curve")
    rows, gini = load_lorenz(corpus)
    if gini is None:
        st.caption("No label has a train document.")
        return
    chart = data.lorenz(rows)
    st.altair_chart(chart, alt="Share of assignments against share of labels")
    st.caption(
        f"Gini coefficient {gini:.4f}: the part of the triangle under the dashed line that the curve leaves empty."
    )
    offer_csv(f"{corpus.name}-lorenz", rows)


def show_labels(corpus: Corpus, table: pd.DataFrame) -> None:
    """All labels with their counts in every part."""
    st.header("Every label")
    text = st.text_input(
        "Search", type="search", live=True, key="find", bind="query-params", placeholder="part of a name"
    )
    found = dataset.search(table, text)
    column = st.column_config
    show_table(
        found,
        ["label"],
        key="tail_labels",
        height=331,
        placeholder="–",
        column_config={
            "label": column.TextColumn("Label"),
            "rank": column.NumberColumn(
                "Rank", width="small", format="localized", help="1 is the most frequent in the train part."
            ),
            "group": column.TextColumn("Group", width="small", help="By the borders above."),
            **{
                part: column.NumberColumn(
                    part.capitalize(), width="small", format="localized", help=f"Documents of the {part} part."
                )
                for part in corpus.parts
            },
            "imbalance": column.NumberColumn(
                "IRLbl",
                width="small",
                format="%.1f",
                help="Train documents of the most frequent label for one of this label; none without a document.",
            ),
        },
        alt="Labels and their documents",
    )
    st.caption(f"{len(found):,} of {len(table):,} labels. {HINT}")
    offer_csv(f"{corpus.name}-labels", found)

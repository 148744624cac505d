"""Whether a label is as frequent in one part as in another, and which labels a part lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.figures import data
from core.labels import groups, measures
from pages.shared.downloads import offer_csv
from pages.shared.labels import HINT, show_marks, show_table
from pages.shared.loaders import HASHES
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus


SHOWS = {
    "Differences": "Labels whose share differs least by luck",
    "Absent": "Labels without a document in a part",
}


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=HASHES)
def load_drift(corpus: Corpus, one: str, other: str) -> pd.DataFrame:
    first, second = (groups.count_documents(corpus.targets_of(part)) for part in (one, other))
    return measures.drift(corpus.labels, first, second, documents=(len(corpus.parts[one]), len(corpus.parts[other])))


@st.fragment
def show(corpus: Corpus) -> None:
    # The two parts.
    one, *others = [part for part, rows in corpus.parts.items() if len(rows)]
    if not others:
        st.info("The set has one part alone: there is nothing to compare it with.")
        return
    other = pick_one(f"Compare {one} with", others, others[-1], key="against")
    table = load_drift(corpus, one, other)
    show_numbers(table, one, other)
    # Both frequencies of every label, as a chart and as a list.
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Frequency in both parts")
        chart = data.drift(table, one, other)
        words = f"Share of {one} and of {other} documents of every label"
        show_marks(chart, lambda mark: [mark["label"]], key=f"drift-{one}-{other}", alt=words)
        st.caption(
            f"On the dashed line a label is as frequent in {other} as in {one}; coloured are those that luck does not "
            "explain (Fisher's exact test; of the coloured ones, 5 % are expected to be there by luck: Benjamini "
            "and Hochberg)."
        )
        offer_csv(f"{corpus.name}-drift-{one}-{other}", table)
    with right:
        st.header("Label by label")
        which = pick_one("Show", SHOWS, "Differences", key="drift")
        st.caption(SHOWS[which])
        listed = dataset.most_drifted(table) if which == "Differences" else dataset.absent(table)
        if not len(listed):
            st.info(plain(f"Every label has a document in {one} and in {other}."))
            return
        column = st.column_config
        show_table(
            listed,
            ["label"],
            key=f"drifted-{one}-{other}-{which}",
            height=388,
            placeholder="–",
            column_order=["label", "count", "other_count", *(["times", "z", "q"] if which == "Differences" else [])],
            column_config={
                "label": column.TextColumn("Label"),
                "count": column.NumberColumn(one.capitalize(), format="localized", help=f"Documents in {one}."),
                "other_count": column.NumberColumn(
                    other.capitalize(), format="localized", help=f"Documents in {other}."
                ),
                "times": column.TextColumn(
                    "Times", help=f"Share of {other} documents divided by share of {one} documents; new: not in {one}."
                ),
                "z": column.NumberColumn(
                    "Std. errors",
                    format="%+.1f",
                    help="Difference of the shares in standard errors (two-proportion test).",
                ),
                "q": column.NumberColumn(
                    "By luck",
                    format="%.2g",
                    help="Fisher's exact test after Benjamini and Hochberg's correction for the number of labels.",
                ),
            },
            alt=SHOWS[which],
        )
        st.caption(f"{len(listed):,} labels. {HINT}")


def show_numbers(table: pd.DataFrame, one: str, other: str) -> None:
    """How many labels drift, and how many are absent."""
    summary = dataset.drift_summary(table)
    with st.container(horizontal=True, gap="large"):
        st.metric(
            "More than chance",
            f"{summary['drifted']:,}",
            help="Labels whose shares differ by more than luck: Fisher's exact test, corrected for their number so "
            "that 5 % of those counted here are expected to be luck.",
            width="content",
        )
        st.metric(f"Not in {one}", f"{summary['absent']:,}", help="Labels that no model can learn.", width="content")
        st.metric(
            f"Not in {other}",
            f"{summary['other_absent']:,}",
            help="Labels that are not measured there.",
            width="content",
        )

"""Labels to look at before training: those that may be one and the same, and those that never come alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.labels import cooccurrence, lookalikes
from pages.sections.explorer import describe_columns, pick_part
from pages.shared.downloads import offer_csv
from pages.shared.labels import HINT, show_table
from pages.shared.loaders import HASHES, load_pairs

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus


@st.cache_data(max_entries=8, show_spinner="Comparing names", hash_funcs=HASHES)
def load_similar_names(corpus: Corpus) -> list[tuple[int, int, str]]:
    return lookalikes.similar_names(corpus.labels)


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=HASHES)
def load_lookalikes(corpus: Corpus, part: str) -> pd.DataFrame:
    return dataset.pair_table(
        lookalikes.find_lookalikes(load_similar_names(corpus), load_pairs(corpus, part)), corpus.labels
    )


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=HASHES)
def load_inseparable(corpus: Corpus, part: str, floor: int) -> pd.DataFrame:
    return dataset.pair_table(cooccurrence.inseparable(load_pairs(corpus, part), floor=floor), corpus.labels)


@st.fragment
def show(corpus: Corpus) -> None:
    part = pick_part(corpus)
    # Labels that may be one.
    st.header("Nearly the same label")
    table = load_lookalikes(corpus, part)
    if len(table):
        st.caption(
            "Names that differ in little, and labels on nearly the same documents: merge them, or know why not. " + HINT
        )
        list_lookalikes(table)
        offer_csv(f"{corpus.name}-{part}-look-alikes", table)
    else:
        st.info("No two labels have names that differ in little, or stand on nearly the same documents.")
    # Labels that never come alone.
    st.header("Never without the other")
    floor = st.number_input(
        "Documents of the label at least",
        1,
        value=2,
        key="always",
        bind="query-params",
        width=260,
        help="A label with a single document never comes without any of that document's other labels.",
    )
    table = load_inseparable(corpus, part, floor)
    if not len(table):
        st.info("No label with so many documents comes always with another one.")
        return
    st.caption(
        "Every document with label j has label i as well; pairs that come only together stand first, then those "
        f"furthest from chance. {HINT}"
    )
    show_table(
        table,
        ["label", "other"],
        key=f"inseparable-{part}-{floor}",
        height=min(38 + 35 * len(table), 353),
        column_order=["label", "other", "both", "other_documents", "p_back", "lift"],
        column_config=describe_columns(dataset.PAIRS),
        alt="Labels that never come alone",
    )
    offer_csv(f"{corpus.name}-{part}-never-without", table)


def list_lookalikes(table: pd.DataFrame) -> None:
    """Draws pairs of labels that may be one, of `load_lookalikes`."""
    why = {"why": ("Why", "What the two have in common, or how little they differ in.", "")}
    kept = {key: dataset.PAIRS[key] for key in ("label", "other", "documents", "other_documents", "both", "jaccard")}
    show_table(
        table,
        ["label", "other"],
        key="lookalikes",
        height=min(38 + 35 * len(table), 353),
        placeholder="–",
        column_order=["label", "other", "why", *list(kept)[2:]],
        column_config=describe_columns(why | kept),
        alt="Labels that may be the same",
    )

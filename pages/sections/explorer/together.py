"""Which labels come together: a heatmap, the strongest pairs, the whole matrix; and the documents of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import dataset
from core.figures import together
from core.labels import cooccurrence
from pages.sections.explorer import (
    describe_columns,
    find_columns,
    pick_labels,
    pick_part,
    show_documents_singly,
    turn_to_first_page,
)
from pages.shared.downloads import offer_csv
from pages.shared.glossary import explain
from pages.shared.labels import show_table
from pages.shared.loaders import HASHES, find_documents, load_pairs
from pages.shared.menu import link_labels
from pages.shared.pick import LABELS_OFFERED, pick_label, pick_one
from pages.shared.text import is_dark, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from core.data.corpus import Corpus


LABELS_OF = ("most frequent", "chosen", "around one label")
MOST, WIDE = 100, 40
"""Labels in a heatmap at most; and those from which on it has the page's whole width."""
LONG = 24
"""Letters of a name from which on it has that width as well."""
COLOURS = {"p(i given j)": "p", "lift": "lift"}
ORDERS = ("by frequency", "in clusters")
CLUSTERED = 300
"""Labels of a set up to which those that share documents stand side by side unless another order is chosen."""
RANKINGS = {"lift": "lift", "Jaccard index": "jaccard", "p(i given j)": "p", "shared documents": "both"}
MEANS = {"p(i given j)": "p", "pairs that occur": "density"}
BINS = 60
NEAR = ("other", "p", "p_back", "lift", "both", "other_documents")
TIED = ("label", "other", "p", "p_back", "lift", "jaccard", "both")
"""Columns of a list of neighbours and of a list of pairs."""


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_block(corpus: Corpus, part: str, chosen: tuple[int, ...], floor: int) -> pd.DataFrame:
    return cooccurrence.block(load_pairs(corpus, part), chosen, floor=floor)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_clusters(corpus: Corpus, part: str, chosen: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(cooccurrence.cluster(load_pairs(corpus, part), chosen))


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_neighbours(corpus: Corpus, part: str, column: int, by: str, floor: int) -> pd.DataFrame:
    return cooccurrence.neighbours(load_pairs(corpus, part), column, by=by, floor=floor)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_strongest(
    corpus: Corpus,
    part: str,
    *,
    by: str,
    floor: int,
    text: str = "",
    ranks: tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> tuple[pd.DataFrame, int]:
    return dataset.strongest_pairs(load_pairs(corpus, part), corpus.labels, by=by, floor=floor, text=text, ranks=ranks)


@st.cache_data(max_entries=4, show_spinner="Binning the matrix", hash_funcs=HASHES)
def load_density(corpus: Corpus, part: str) -> pd.DataFrame:
    return cooccurrence.density(load_pairs(corpus, part), BINS)


@st.fragment
def show(corpus: Corpus) -> None:
    if len(corpus.labels) < 2:
        st.info("There is only one label, so nothing can come together with it.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        part = pick_part(corpus)
        view = pick_one("Show", VIEWS, "Heatmap", key="show")
    VIEWS[view](corpus, part)


def pick_option(key: str, options: Iterable[str], title: str, about: str | None = None) -> str:
    """Draws a small choice between ways to look, kept in the address; the first is the default."""
    return st.selectbox(title, list(options), key=key, bind="query-params", help=about, width=160)


def pick_floor(key: str, default: int) -> int:
    """Draws the number of documents below which a pair is left out."""
    return int(
        st.number_input(
            "Shared, at least",
            1,
            value=default,
            key=key,
            bind="query-params",
            width=160,
            help="Documents with both labels. Pairs with fewer are left out: what they say rests on too little.",
        )
    )


def show_heatmap(corpus: Corpus, part: str) -> None:
    """p(i given j) of some labels; a click chooses the pair whose documents stand beside it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = pick_option("which", LABELS_OF, "Labels")
        orders = ORDERS if len(corpus.labels) > CLUSTERED else ORDERS[::-1]
        order = pick_option("order", orders, "Order", "In clusters: labels that share documents side by side.")
        colour = COLOURS[pick_option("colour", COLOURS, "Colour", "Lift: p(i given j) divided by p(i).")]
        floor = pick_floor("floor", 1)
        most = min(MOST, len(corpus.labels))
        top = most
        if which != "chosen" and most > 2:
            top = st.slider("How many labels", 2, most, min(20, most), key="top", bind="query-params", width=160)
    # The labels of the heatmap.
    near = None
    if which == "chosen":
        chosen = pick_some(corpus)
    elif which == "around one label":
        with st.container(width=340):
            centre = pick_label("Label", "centre", corpus.labels, corpus.labels[0])
        if centre is None:
            return
        column = corpus.labels.index(centre)
        near = load_neighbours(corpus, part, column, colour, floor)
        chosen = [column, *near["other"].tolist()[: top - 1]]
    else:
        chosen = list(range(top))
    if len(chosen) < 2:
        st.info(
            "Choose two labels or more."
            if which == "chosen"
            else "No other label shares so many documents with this one. Lower the least number of documents with both."
        )
        return
    # Their order.
    if order == "in clusters":
        chosen = list(load_clusters(corpus, part, tuple(chosen)))
    elif near is None:
        chosen = sorted(chosen)
    # The heatmap, with the neighbours below and the chosen pair beside it.
    wide = len(chosen) > WIDE or max(len(corpus.labels[column]) for column in chosen) > LONG
    left, right = (st.container(), st.container()) if wide else st.columns([3, 2], gap="large")
    with left:
        table = load_block(corpus, part, tuple(chosen), floor)
        chart = together.cooccurrence(table, corpus.labels, colour=colour, dark=is_dark())
        st.altair_chart(
            chart,
            key="together",
            on_select=lambda: choose_cell(corpus.labels),
            alt="How often label i is there when label j is",
        )
        st.caption(
            "Of the documents with label j (row), the share that has label i as well (column). A click on a cell opens "
            f"the documents with both.{' Where names do not fit, point at a cell.' if wide else ''}"
            + (" The small number counts them." if len(chosen) <= together.NUMBERED else "")
        )
        explain("p(i given j)", "lift", "co-occurrence")
        offer_csv(f"{corpus.name}-{part}-together", lambda: dataset.pair_table(table, corpus.labels))
        if near is not None:
            st.header("Neighbours")
            list_pairs(
                corpus, dataset.pair_table(near, corpus.labels), f"near-{part}-{chosen[0]}-{colour}-{floor}", NEAR
            )
    with right:
        show_pair(corpus, part)


def pick_some(corpus: Corpus) -> list[int]:
    """Draws the choice of the labels of a heatmap."""
    search = ""
    if len(corpus.labels) > LABELS_OFFERED:
        search = st.text_input("Offer labels with this in their name", type="search", live=True, key="offer")
    names = pick_labels("Labels in the heatmap", "chosen", corpus.labels, search=search)
    if len(names) > MOST:
        st.caption(f"The first {MOST} are shown.")
    return list(find_columns(corpus, names[:MOST]))


def choose_cell(names: Sequence[str]) -> None:
    """Makes the labels of the clicked cell the chosen pair."""
    if cells := st.session_state["together"]["selection"].get(together.CELL):
        choose_pair(names[int(cells[0]["j"])], names[int(cells[0]["i"])])


def choose_pair(label: str, beside: str) -> None:
    """Makes two labels the pair whose documents are shown."""
    st.session_state["label"], st.session_state["beside"] = label, beside
    turn_to_first_page()


def list_pairs(corpus: Corpus, table: pd.DataFrame, key: str, shown: Sequence[str] = TIED) -> None:
    """Draws pairs of labels; a tick chooses the pair whose documents are shown."""

    def chosen() -> None:
        if rows := st.session_state[key]["selection"]["rows"]:
            row = table.iloc[rows[0]]
            choose_pair(row["label"], row["other"])

    show_table(
        table,
        ["label", "other"],
        key=key,
        rows=True,
        on_change=chosen,
        height=min(38 + 35 * len(table), 458),
        column_order=shown,
        column_config=describe_columns(dataset.PAIRS),
        placeholder="–",
        alt="Pairs of labels",
    )
    offer_csv(f"{corpus.name}-pairs", table)


def show_pairs(corpus: Corpus, part: str) -> None:
    """The pairs of all labels that are tied most."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", type="search", live=True, key="with", bind="query-params", placeholder="part of a name"
        )
        by = RANKINGS[pick_option("by", RANKINGS, "Strongest by")]
        floor = pick_floor("least_both", 5)
    table, number = load_strongest(corpus, part, by=by, floor=floor, text=text)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if len(table):
            shown = f"The strongest {len(table):,} of" if number > len(table) else "All"
            st.caption(f"{shown} {number:,} pairs; tick one to read its documents.")
            list_pairs(corpus, table, f"pairs-{part}-{by}-{floor}-{text}")
            explain("p(i given j)", "lift", "Jaccard")
        else:
            st.info("No two labels share so many documents. Lower the least number, or search for another name.")
    with right:
        show_pair(corpus, part)


def show_matrix(corpus: Corpus, part: str) -> None:
    """All labels against all labels, binned by rank."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colour = MEANS[pick_option("mean", MEANS, "Colour")]
        by = RANKINGS[pick_option("by", RANKINGS, "Strongest by")]
        floor = pick_floor("least_both", 5)
    table = load_density(corpus, part)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if not len(table):
            st.info("No document carries two labels.")
            return
        chart = together.density(table, len(corpus.labels), colour=colour)
        st.altair_chart(chart, key="matrix", on_select=choose_bin, alt="All labels against all labels, by rank")
        st.caption(
            f"All {len(corpus.labels):,} labels by rank, the most frequent first, in bins of neighbouring ranks. A "
            "click on a bin lists its strongest pairs."
        )
        offer_csv(f"{corpus.name}-{part}-matrix", table)
    with right:
        found = dataset.bin_of(table, st.query_params.get("bin", ""))
        if not len(found):
            st.info("Click a bin to see which labels it holds.")
            return
        bounds = found.to_dict("records")[0]
        rows, columns = ((int(bounds[f"{of}first"]), int(bounds[f"{of}last"])) for of in ("", "other_"))
        ranges = (rows, columns)
        words = [f"{one:,}" if one == two else f"{one:,} to {two:,}" for one, two in ranges]
        pairs, number = load_strongest(corpus, part, by=by, floor=floor, ranks=ranges)
        st.caption(f"Labels of rank {words[0]} with those of rank {words[1]}: {number:,} pairs.")
        if len(pairs):
            list_pairs(corpus, pairs, f"bin-{part}-{by}-{floor}-{ranges}")
            show_pair(corpus, part)
        else:
            st.info("No two of them share so many documents. Lower the least number.")


def choose_bin() -> None:
    """Keeps the clicked bin in the address."""
    if cells := st.session_state["matrix"]["selection"].get(together.CELL):
        st.query_params["bin"] = f"{cells[0]['row']}-{cells[0]['column']}"


def show_pair(corpus: Corpus, part: str) -> None:
    """Draws the choice of two labels, what ties them, and the documents that hold both."""
    st.header("Documents with both")
    label = pick_label("Label j", "label", corpus.labels, None)
    beside = pick_label("Label i", "beside", corpus.labels, None)
    if label is None or beside is None or label == beside:
        st.info("Click a cell, tick a pair or choose two labels to read the documents that hold both.")
        return
    j, i = find_columns(corpus, (label, beside))
    rows = find_documents(corpus, part, all_of=(j, i))
    facts = dataset.pair_facts(load_pairs(corpus, part), j, i)
    if facts["p"] is not None and facts["p_back"] is not None:
        with st.container(horizontal=True):
            st.metric(
                "p(i given j)",
                f"{facts['p']:.1%}",
                help=f"{facts['both']:,} of {facts['documents']:,}",
                width="content",
            )
            st.metric(
                "p(j given i)",
                f"{facts['p_back']:.1%}",
                help=f"{facts['both']:,} of {facts['other_documents']:,}",
                width="content",
            )
            st.metric("Lift", f"{facts['lift']:,.1f}", help="How many times as often as by chance.", width="content")
    carry = "document carries" if len(rows) == 1 else "documents carry"
    where = "" if part == "all" else f"{part} "
    sentence = f"{len(rows):,} {where}{carry} {label} and {beside}."
    if not len(rows):
        st.info(plain(sentence))
    else:
        show_documents_singly(corpus, rows, sentence)
        link_labels(label, beside)
        if st.button("List them", on_click=open_documents, args=(label, beside), type="tertiary"):
            st.rerun()


def open_documents(label: str, beside: str) -> None:
    """Opens the section on documents with two labels chosen."""
    st.session_state["view"] = "Documents"
    st.session_state["all_of"] = st.query_params["all_of"] = [label, beside]
    turn_to_first_page()


VIEWS: dict[str, Callable[[Corpus, str], None]] = {
    "Heatmap": show_heatmap,
    "Strongest pairs": show_pairs,
    "Whole matrix": show_matrix,
}

"""Data set: the long tail of a corpus, which labels come together, and the documents behind a label."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import data, labels
from core.config import UserError
from core.data import Corpus
from core.figures import data as figures
from core.labels import Borders
from pages import corpus_of, header, pick_data, pick_label, plain, why_first

PAGE = 50
"""Documents shown at once."""
BY_CONTENT: dict[Any, Any] = {Corpus: lambda corpus: corpus.fingerprint}


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def frequencies(corpus: Corpus, head: int, tail: int) -> tuple[Any, Any]:
    borders = Borders(head, tail)
    return (
        labels.rank_frequency(corpus.labels, corpus.counts, borders),
        labels.group_shares(corpus.counts, borders),
    )


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def measures(corpus: Corpus, part: str) -> dict[str, Any]:
    return labels.part_measures(corpus.targets_of(part))


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def sizes(corpus: Corpus, part: str) -> Any:
    return labels.labels_per_document(corpus.targets_of(part))


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def together(corpus: Corpus, part: str, top: int) -> Any:
    return labels.cooccurrence(corpus.targets_of(part), range(top))


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_CONTENT)
def documents_with(corpus: Corpus, part: str, columns: tuple[int, ...]) -> Any:
    return figures.rows_with(corpus, part, columns)


def show() -> None:
    header("Data set", "How long the tail is, which labels come together, and what the documents say.")
    corpus = corpus_of(pick_data())
    why = why_first() if corpus.name == "synthetic" == data.default_name() else ""
    st.caption(plain(f"{corpus.source}. {why}"))
    overview(corpus)
    long_tail(corpus)
    part = pick_part(corpus)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.subheader("Labels per document")
        st.altair_chart(figures.labels_per_document(sizes(corpus, part)), alt="Documents by their number of labels")
        notes(corpus)
    with right:
        heatmap(corpus, part)
    documents(corpus, part)


def overview(corpus: Corpus) -> None:
    """The size of the data set in one row."""
    train = measures(corpus, "train")
    help_of = {
        "train": "Documents that models learn from. Label frequencies are counted here.",
        "validation": "Documents held out to choose thresholds and the best epoch. "
        "Split original has none; split paper holds out 1,000 of Reuters.",
        "test": "Documents that scores are measured on, and nothing else.",
    }
    row = st.columns([4, 5, 4, 4, 5, 5])
    for place, (part, about) in zip(row, help_of.items(), strict=False):
        place.metric(f"{part.capitalize()} documents", f"{len(corpus.parts[part]):,}", help=about)
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


def long_tail(corpus: Corpus) -> None:
    """Frequency against rank with borders that can be moved, and what head, medium and tail own."""
    st.subheader("The long tail")
    default = labels.default_borders(len(corpus.labels))
    left, right, rest = st.columns([1, 1, 3], vertical_alignment="bottom")
    head = left.number_input("Head from", 0, value=None, placeholder=str(default.head), key="head", bind="query-params")
    tail = right.number_input(
        "Tail up to", 0, value=None, placeholder=str(default.tail), key="tail", bind="query-params"
    )
    rest.caption("train documents of a label; medium lies between. Empty: the borders of the paper.")
    try:
        borders = Borders(default.head if head is None else head, default.tail if tail is None else tail)
    except UserError as error:
        st.error(plain(str(error)))
        return
    ranks, shares = frequencies(corpus, borders.head, borders.tail)
    left, right = st.columns([3, 2], gap="large")
    left.altair_chart(figures.rank_frequency(ranks, borders), alt="Train documents of every label by rank")
    with right:
        group_metrics(shares.to_dict("records"))
        st.altair_chart(figures.group_shares(shares), alt="Head, medium and tail: shares of labels and of assignments")


def group_metrics(rows: list[dict[str, Any]]) -> None:
    """Labels of each group, and the share of all label assignments that it owns."""
    for place, row in zip(st.columns(3), rows, strict=True):
        place.metric(
            row["group"].capitalize(),
            f"{row['labels']:,}",
            help=f"{row['assignments']:,} times a train document carries one of these labels.",
        )
        place.caption(f"labels with {row['share_of_assignments']:.1%} of all assignments")


def pick_part(corpus: Corpus) -> str:
    """Draws the choice of part for everything below it."""
    parts = [part for part, rows in corpus.parts.items() if len(rows)]
    st.divider()
    return st.segmented_control(
        "Part, for everything below", parts, default=parts[0], required=True, key="part", bind="query-params"
    )


def notes(corpus: Corpus) -> None:
    """What a reader of the figures should know, and all measures."""
    for note in corpus.notes:
        st.info(plain(note))
    with st.expander("All measures of all parts"):
        table = figures.measure_table({part: measures(corpus, part) for part in corpus.parts})
        st.dataframe(table, hide_index=True, height="content", alt="Measures of the parts of the data set")


def heatmap(corpus: Corpus, part: str) -> None:
    """Which label comes with which; a click on a cell chooses its two labels below."""
    st.subheader("Labels that come together")
    most = min(40, len(corpus.labels))
    if most < 2:
        st.caption("There is only one label.")
        return
    top = (
        st.slider("Most frequent labels", 2, most, min(20, most), key="top", bind="query-params") if most > 2 else most
    )
    st.altair_chart(
        figures.cooccurrence(together(corpus, part, top), corpus.labels),
        key="together",
        on_select=choose_cell,
        alt="How often label i is there when label j is",
    )
    st.caption(
        "Of the documents with label j (row), the share that has label i as well (column). "
        "Click a cell to read the documents with both."
    )


def choose_cell() -> None:
    """Makes the labels of the clicked cell the chosen ones."""
    if cells := st.session_state["together"]["selection"].get(figures.CELL):
        st.session_state["label"], st.session_state["beside"] = cells[0]["given"], cells[0]["label"]
        st.session_state["page"] = 1


def documents(corpus: Corpus, part: str) -> None:
    """The documents that carry a label, or two, and the text of a chosen one."""
    st.subheader("Documents of a label")
    left, right, rest = st.columns([2, 2, 1], vertical_alignment="bottom")
    with left:
        label = pick_label("Label", "label", corpus.labels, corpus.labels[0])
    with right:
        beside = pick_label("and also", "beside", corpus.labels, None)
    if label is None:
        return
    columns = tuple(corpus.labels.index(name) for name in dict.fromkeys((label, beside)) if name is not None)
    rows = documents_with(corpus, part, columns)
    pages = max(1, -(-len(rows) // PAGE))
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    number = int(rest.number_input(f"Page, of {pages:,}", 1, pages, key="page", bind="query-params"))
    carry = "document carries" if len(rows) == 1 else "documents carry"
    st.caption(plain(f"{len(rows):,} {part} {carry} {' and '.join(corpus.labels[c] for c in columns)}."))
    if not len(rows):
        return
    shown = rows[(number - 1) * PAGE : number * PAGE]
    column = st.column_config
    chosen = st.dataframe(
        figures.document_table(corpus, shown),
        key=f"documents-{corpus.fingerprint[:8]}-{part}-{columns}-{number}",
        hide_index=True,
        height=min(38 + 35 * len(shown), 388),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "id": column.TextColumn(width="small"),
            "title": column.TextColumn(width="large"),
            "labels": column.ListColumn(width="large"),
        },
        alt="Documents with the chosen labels",
    )
    if picked := chosen["selection"]["rows"]:
        row = int(shown[picked[0]])
        with st.container(border=True, height=340):
            st.text(corpus.titles[row])
            st.text(corpus.bodies[row] or "(The document has no body.)")
    else:
        st.caption("Choose a row to read the document.")


if __name__ == "__main__":
    import app

    app.main("explorer")

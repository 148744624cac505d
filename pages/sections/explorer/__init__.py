"""The parts of the explorer, and what they share: choices, headings of tables, documents to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import documents
from core.labels import groups
from pages.shared.labels import LISTED
from pages.shared.menu import link_labels
from pages.shared.pick import LABELS_OFFERED, pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from streamlit.elements.lib.column_types import ColumnConfig

    from core.data.corpus import Corpus
    from core.labels.groups import Borders

PAGE = 50
"""Documents shown at once."""
LONGEST = 50_000
"""Letters of a document that are shown."""


def pick_part(corpus: Corpus) -> str:
    """Draws the choice of the part, or of all parts, that a section is about."""
    parts = [part for part, rows in corpus.parts.items() if len(rows)]
    offered = [*parts, documents.ALL]
    return pick_one("Part", offered, offered[0], key="part", on_change=turn_to_first_page)


def pick_labels(title: str, key: str, names: Sequence[str], *, search: str = "", help: str | None = None) -> list[str]:
    """Draws the choice of labels, kept in the address; of very many labels those with `search` in the name are offered.

    Returns:
        The chosen names.
    """
    offered = list(names)
    if len(offered) > LABELS_OFFERED:
        wanted = search.strip().lower()
        kept = st.session_state.get(key) or st.query_params.get_all(key)
        offered = [name for name in names if wanted in name.lower()][:LABELS_OFFERED]
        here, known = set(offered), set(names)
        offered += [name for name in kept if name in known and name not in here]
    return st.multiselect(
        title,
        offered,
        key=key,
        bind="query-params",
        help=help,
        placeholder="any",
        select_all=False,
        on_change=turn_to_first_page,
    )


def turn_to_first_page() -> None:
    """Another choice shows its documents from the first."""
    st.session_state["page"] = 1


def find_columns(corpus: Corpus, names: Sequence[str]) -> tuple[int, ...]:
    """The label columns of some names."""
    return tuple(corpus.labels.index(name) for name in names)


def describe_columns(table: Mapping[str, tuple[str, str, str]]) -> dict[str, ColumnConfig]:
    """Headings, explanations and number formats of a table's columns."""
    config = st.column_config
    return {
        key: config.NumberColumn(title, help=meaning, format=form, step=1 if form == "localized" else None)
        if form
        else config.TextColumn(title, help=meaning)
        for key, (title, meaning, form) in table.items()
    }


def show_documents(corpus: Corpus, rows: np.ndarray, sentence: str, *, key: str) -> None:
    """Draws a list of documents, 50 at a time, and the text of a chosen one.

    Args:
        corpus: whose documents.
        rows: their row numbers.
        sentence: how many were found.
        key: of the table; another key forgets which row was chosen.
    """
    pages = max(1, -(-len(rows) // PAGE))
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.caption(plain(sentence), width="content")
        number = pick_number(f"Page, of {pages:,}", pages)
    shown = rows[(number - 1) * PAGE : number * PAGE]
    column = st.column_config
    chosen = st.dataframe(
        documents.document_table(corpus, shown),
        key=f"{key}-{number}",
        hide_index=True,
        height=min(38 + 35 * len(shown), 353),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "id": column.TextColumn("Id", width="small"),
            "title": column.TextColumn("Title", width="large"),
            "labels": column.ListColumn("Labels", width="large"),
        },
        alt="Documents that were found",
    )
    if picked := chosen["selection"]["rows"]:
        show_document(corpus, int(shown[picked[0]]))
    else:
        st.caption("Tick a row to read the document.")


def show_documents_singly(corpus: Corpus, rows: np.ndarray, sentence: str) -> None:
    """Draws documents one at a time, the first at once.

    Args:
        corpus: whose documents.
        rows: their row numbers, at least one.
        sentence: how many were found.
    """
    st.caption(plain(sentence))
    number = pick_number(f"Document, of {len(rows):,}", len(rows))
    show_document(corpus, int(rows[number - 1]))


def pick_number(title: str, last: int) -> int:
    """Draws the choice of a page or document, kept in the address; nothing where there is one alone."""
    if st.session_state.get("page", 1) > last:
        st.session_state["page"] = last
    if last == 1:
        return 1
    return int(st.number_input(title, 1, last, key="page", bind="query-params", width=160))


def show_document(corpus: Corpus, row: int) -> None:
    """Draws one document as it is: id and labels, title, body."""
    with st.container(border=True, height=420):
        carried = documents.document_table(corpus, [row])["labels"][0]
        st.text(f"{documents.name_document(corpus, row)} · {', '.join(carried) or 'no label'}")
        if corpus.titles[row].strip():
            st.text(corpus.titles[row])
        st.text(shorten_text(corpus.bodies[row]))
    if carried:
        link_labels(*carried[:LISTED])


def shorten_text(body: str) -> str:
    """A body as it is shown: whole, or its beginning where it is very long."""
    if len(body) > LONGEST:
        return f"{body[:LONGEST]}\n\n(The first {LONGEST:,} of {len(body):,} letters.)"
    return body or "(The document has no body.)"


def find_borders(corpus: Corpus) -> Borders:
    """The borders of a data set where nobody chose any."""
    return groups.default_borders(corpus.name, corpus.counts)

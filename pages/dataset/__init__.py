"""The sections of the page on a data set, and what they share: cached numbers, choices, downloads, documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core import cooccurrence, documents, export, labels
from core.cooccurrence import Cooccurrence
from core.data import Corpus
from core.labels import Borders
from pages import LABELS_OFFERED

PAGE = 50
"""Documents shown at once."""
SAVED = 20_000
"""Documents in one downloaded list."""
BY_CONTENT: dict[Any, Any] = {Corpus: lambda corpus: corpus.fingerprint}


@st.cache_data(max_entries=8, show_spinner="Measuring", hash_funcs=BY_CONTENT)
def stats_of(corpus: Corpus, head: int, tail: int) -> dict[str, Any]:
    return labels.corpus_stats(corpus, Borders(head, tail))


@st.cache_resource(max_entries=3, show_spinner="Counting which labels come together", hash_funcs=BY_CONTENT)
def pairs_of(corpus: Corpus, part: str) -> Cooccurrence:
    return cooccurrence.count_pairs(documents.targets_of(corpus, part))


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_CONTENT)
def documents_found(corpus: Corpus, part: str, **filters: Any) -> Any:
    return documents.find_documents(corpus, part, **filters)


def pick_part(corpus: Corpus) -> str:
    """Draws the choice of the part, or of all parts, that a section is about."""
    parts = [part for part, rows in corpus.parts.items() if len(rows)]
    return st.segmented_control(
        "Part",
        [*parts, documents.ALL],
        default=parts[0] if parts else documents.ALL,
        required=True,
        key="part",
        bind="query-params",
        on_change=first_page,
    )


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
        on_change=first_page,
    )


def first_page() -> None:
    """Another choice shows its documents from the first."""
    st.session_state["page"] = 1


def columns_of(corpus: Corpus, names: Sequence[str]) -> tuple[int, ...]:
    """The label columns of some names."""
    return tuple(corpus.labels.index(name) for name in names)


def offer(name: str, *, table: Any = None, chart: Any = None) -> None:
    """Draws buttons that save a table as CSV and a chart as SVG; each is made when it is asked for.

    Args:
        name: of the file, without its ending.
        table: a frame, or a function that makes it.
        chart: an Altair chart.
    """

    def csv() -> str:
        return export.to_csv(table() if callable(table) else table)

    with st.container(horizontal=True, gap="small"):
        if table is not None:
            save("Save CSV", csv, f"{name}.csv", "text/csv")
        if chart is not None:
            save("Save SVG", lambda: export.to_svg(chart), f"{name}.svg", "image/svg+xml")


def save(label: str, make: Callable[[], str | bytes], file: str, mime: str) -> None:
    """Draws one button that saves a file."""
    st.download_button(label, make, file, mime, key=f"save-{file}", on_click="ignore", type="tertiary")


def columns(table: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    """Headings, explanations and number formats of a table's columns."""
    config = st.column_config
    return {
        key: config.NumberColumn(title, help=meaning, format=form) if form else config.TextColumn(title, help=meaning)
        for key, (title, meaning, form) in table.items()
    }


def read_documents(corpus: Corpus, rows: Any, *, key: str, narrow: bool = False) -> None:
    """Draws documents 50 at a time, and the text of a chosen one.

    Args:
        corpus: whose documents.
        rows: their row numbers.
        key: of the table; another key forgets which row was chosen.
        narrow: there is little room: titles alone.
    """
    pages = max(1, -(-len(rows) // PAGE))
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    number = 1
    if pages > 1:
        number = int(st.number_input(f"Page, of {pages:,}", 1, pages, key="page", bind="query-params", width=180))
    shown = rows[(number - 1) * PAGE : number * PAGE]
    column = st.column_config
    chosen = st.dataframe(
        documents.document_table(corpus, shown),
        key=f"{key}-{number}",
        hide_index=True,
        height=min(38 + 35 * len(shown), 353),
        on_select="rerun",
        selection_mode="single-row",
        column_order=["title", "labels"] if narrow else ["id", "title", "labels"],
        column_config={
            "id": column.TextColumn("Id", width="small"),
            "title": column.TextColumn("Title", width="medium" if narrow else "large"),
            "labels": column.ListColumn("Labels", width="medium" if narrow else "large"),
        },
        alt="Documents that were found",
    )
    if picked := chosen["selection"]["rows"]:
        read_document(corpus, int(shown[picked[0]]))
    else:
        st.caption("Tick a row to read the document.")


def read_document(corpus: Corpus, row: int) -> None:
    """Draws one document as it is: id, labels, title, body."""
    with st.container(border=True, height=420):
        carried = documents.document_table(corpus, [row])["labels"][0]
        st.text(f"{corpus.ids[row]} · {', '.join(carried) or 'no label'}")
        st.text(corpus.titles[row])
        st.text(corpus.bodies[row] or "(The document has no body.)")


def borders_of(corpus: Corpus) -> Borders:
    """The paper's borders for a set of this size."""
    return labels.default_borders(len(corpus.labels))

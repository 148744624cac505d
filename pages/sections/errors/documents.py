"""Documents with their errors, and one of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import documents, what_if
from core.data.documents import Headings
from pages.sections.errors.one_document import show_document
from pages.shared.downloads import SAVED, offer_csv
from pages.shared.loaders import load_texts
from pages.shared.pick import pick_label
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from pages.sections.errors.chosen import Shown

DOCUMENTS_SHOWN = 200


def show(shown: Shown) -> None:
    """Documents of the part, the worst first, by label, fault and number of labels."""
    one, two, three, four = st.columns([3, 2, 3, 2], vertical_alignment="bottom")
    with one:
        label = pick_label("With the label", "of_label", shown.labels, None)
    fault = two.selectbox("Where it is", documents.FAULTS, key="fault", bind="query-params")
    most = what_if.most_labels(shown.predictions)
    sizes = three.slider("True labels of the document", 0, most, (0, most), key=f"sizes-{shown.run.id}")
    order = four.selectbox("Order", documents.ORDERS, key="order", bind="query-params")
    find = partial(
        documents.find_documents,
        shown.predictions,
        shown.predicted,
        label=shown.labels.index(label) if label else None,
        fault=fault,
        sizes=sizes,
        order=order,
    )
    places, found = find(limit=DOCUMENTS_SHOWN)
    if not found:
        st.info("No document matches.")
        return
    st.text(f"{found:,} documents" + (f", the first {len(places)}" if found > len(places) else ""))
    list_documents(shown, find, f"{label}-{fault}-{sizes}-{order}", label or "")


def list_documents(shown: Shown, find: Callable[..., tuple[np.ndarray, int]], key: str, first: str = "") -> None:
    """A list of documents and, on a click, one of them. Texts are never read as Markdown or HTML.

    Args:
        shown: a run.
        find: gives the first `limit` places of documents, and their number.
        key: of the table; another key forgets which row was chosen.
        first: the label that a chosen document is asked for.
    """
    places = find(limit=DOCUMENTS_SHOWN)[0]
    corpus, sentence = load_texts(shown.run)
    if sentence:
        st.info(plain(sentence))
    column = st.column_config
    table_of = partial(documents.document_table, shown.predictions, shown.predicted, shown.labels)
    titles = Headings(corpus) if corpus else None
    chosen = st.dataframe(
        table_of(places, titles),
        key=f"documents-{shown.run.id}-{key}",
        hide_index=True,
        height=min(38 + 35 * max(len(places), 1), 300),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "id": column.TextColumn(width=72),
            "title": column.TextColumn(width=196),
            **{name: column.TextColumn(f"{name} labels", width=142) for name in ("missed", "spurious", "hit")},
            "f1": column.ProgressColumn("F1 (%)", format="%.0f", min_value=0, max_value=100, width=80),
        },
        alt="Documents with their missed, spurious and hit labels",
    )
    offer_csv("documents", lambda: table_of(find(limit=SAVED)[0], titles))
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(places):
        show_document(shown, corpus, int(places[rows[0]]), first)
    else:
        st.caption("Choose a document to read it, and to see why each label was given or not.")

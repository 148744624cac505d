"""Labels of the test part that are probably wrong or missing in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors
from core.data.documents import Headings
from core.labels.groups import Borders
from pages.sections.errors.one_document import show_document
from pages.shared.downloads import offer_csv
from pages.shared.labels import show_table
from pages.shared.loaders import HASHES, load_metrics, load_predictions, load_texts
from pages.shared.text import plain
from pages.shared.verdicts import show_corrections

if TYPE_CHECKING:
    import pandas as pd

    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown

DOUBTS_SHOWN = 500


@st.cache_data(max_entries=16, show_spinner="Looking for label errors", hash_funcs=HASHES)
def load_doubts(run: Run, part: str, borders: Borders, titles: bool) -> tuple[pd.DataFrame, int]:
    metrics, corpus = load_metrics(run), load_texts(run)[0]
    return errors.label_error_table(
        load_predictions(run, part),
        metrics["labels"],
        metrics["counts"],
        borders,
        Headings(corpus) if corpus and titles else None,
    )


def show(shown: Shown) -> None:
    """Labels of the part that are probably wrong or missing in the data."""
    corpus, sentence = load_texts(shown.run)
    try:
        table, judged = load_doubts(shown.run, shown.part, shown.borders, corpus is not None)
    except ValueError:
        st.info("An SVM's margins are no probabilities: choose a run with a loss to look for label errors.")
        return
    if sentence:
        st.info(plain(sentence))
    st.caption(
        f"{shown.part.capitalize()} labels that confident learning (cleanlab's multi-label filter) doubts: wrong, the "
        "data has the label and the run hardly sees it; missing, the other way round. The most doubtful first; "
        "thresholds play no part."
    )
    st.warning(
        "A doubt is no proof, and least of all for a rare label: one that the run has not learned is doubted wherever "
        f"it is right. {judged} of {len(shown.labels)} labels were judged, those with 5 {shown.part} documents or "
        "more; where many of a label's documents are doubted, suspect the run before the data."
    )
    # Filters.
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    search = left.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    maybe = right.segmented_control("Only", list(errors.KINDS.values()), key="maybe", bind="query-params")
    kept = table[table["maybe"].eq(maybe)] if maybe else table
    rows, found = errors.rows_of_label(kept, search, ["label"], limit=DOUBTS_SHOWN)
    if not found:
        st.info("Nothing is doubted.")
        return
    # The list, and the document of the chosen row.
    column = st.column_config
    picked = show_table(
        rows,
        ["label"],
        key=f"doubts-{shown.run.id}-{search}-{maybe}",
        rows=True,
        height=min(38 + 35 * len(rows), 400),
        column_order=["id", "title", "label", "group", "maybe", "score", "share"],
        column_config={
            "id": column.TextColumn(width=60),
            "title": column.TextColumn(width=280),
            "maybe": column.TextColumn("the label may be"),
            "score": column.NumberColumn(format="%.3f"),
            "share": column.NumberColumn(
                "doubted alike (%)",
                format="%.1f",
                help=f"of the {shown.part} documents that have the label, or that lack it",
            ),
        },
        alt="Labels of documents that are probably wrong or missing",
    )
    offer_csv("label-errors", lambda: kept.drop(columns="place"))
    if found > len(rows):
        st.caption(f"The first {len(rows)} of {found:,} doubts.")
    if picked:
        show_document(shown, corpus, int(rows["place"].iloc[picked[0]]), str(rows["label"].iloc[picked[0]]))
    else:
        st.caption("Choose a row to read the document and judge for yourself.")
    if corpus:
        st.header("Verdicts")
        show_corrections(corpus)

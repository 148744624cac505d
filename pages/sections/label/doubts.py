"""Whether a label is one of its own, and which of its documents may be labelled wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.what_if import AS_TRAINED, Chosen
from core.labels.groups import Borders
from pages.sections.errors.chosen import Shown, predict_at
from pages.sections.errors.doubts import load_doubts
from pages.sections.errors.one_document import show_document
from pages.sections.explorer.lookalikes import list_lookalikes, load_lookalikes
from pages.sections.label import show_no_data, show_no_run
from pages.shared.labels import show_table
from pages.shared.loaders import load_metrics, load_predictions, load_texts
from pages.shared.verdicts import show_corrections

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus
    from core.runs.folder import Run
    from pages.sections.label import Label


def show(label: Label) -> None:
    """Labels that are nearly this one, and its likely label errors in the current run."""
    st.header("Nearly the same label")
    if label.corpus is None:
        show_no_data()
    else:
        table = load_lookalikes(label.corpus, "train")
        table = table[table["label"].eq(label.name) | table["other"].eq(label.name)]
        if len(table):
            list_lookalikes(table)
        else:
            st.caption("No other label has nearly its name, or nearly its documents.")
    st.header("Likely label errors")
    if label.run is None:
        show_no_run()
        return
    corpus = load_texts(label.run)[0]
    try:
        doubted, _ = load_doubts(label.run, "test", label.borders, corpus is not None)
    except ValueError:
        st.info("An SVM's margins are no probabilities: choose a run with a loss to look for label errors.")
        return
    doubted = doubted[doubted["label"].eq(label.name)].reset_index(drop=True)
    if not len(doubted):
        st.caption("None is doubted in the test part; labels with fewer than 5 documents there are not judged.")
    else:
        show_doubted(label, doubted, corpus)
    if corpus:
        st.header("Verdicts")
        show_corrections(corpus)


def show_doubted(label: Label, doubted: pd.DataFrame, corpus: Corpus | None) -> None:
    """The doubted documents, and the chosen one: its text, why it was decided so, and whose fault it is."""
    assert label.run is not None
    st.caption("Test documents whose label confident learning doubts: wrong, or missing. A doubt is no proof.")
    picked = show_table(
        doubted,
        [],
        key=f"doubts-{label.run.id}-{label.column}",
        rows=True,
        height=min(38 + 35 * len(doubted), 353),
        column_order=["id", "title", "maybe", "score"],
        column_config={
            "title": st.column_config.TextColumn(width=420),
            "maybe": st.column_config.TextColumn("the label may be"),
            "score": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Documents whose label is doubted",
    )
    if picked:
        show_document(as_shown(label.run), corpus, int(doubted["place"].iloc[picked[0]]), label.name)
    else:
        st.caption("Choose a row to read the document and judge for yourself.")


def as_shown(run: Run) -> Shown:
    """A run on its test part at the thresholds of its training."""
    metrics, chosen = load_metrics(run), Chosen(AS_TRAINED)
    limits, predicted = predict_at(run, chosen)
    return Shown(
        *(run, "test", metrics["labels"], metrics["counts"], Borders(**metrics["borders"]), load_predictions(run)),
        *(chosen, limits, predicted, None),
    )

"""One document: its text with the words that moved a label, what decided, verdicts, documents like it, other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import documents, why
from core.analysis.run_names import name_runs
from core.analysis.what_if import AS_TRAINED, Chosen
from core.system.errors import UserError
from pages.sections.errors.chosen import as_trained, find_limits
from pages.shared import listed
from pages.shared.downloads import offer_csv
from pages.shared.labels import show_table
from pages.shared.loaders import load_metrics, load_predictions
from pages.shared.runs import select_readable
from pages.shared.text import plain, shorten
from pages.shared.verdicts import pick_verdict
from pages.shared.why import explain_label, find_limit, show_sum, show_text, show_training

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus
    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown


def show_document(shown: Shown, corpus: Corpus | None, place: int, first: str = "") -> None:
    """A document, how each of its labels was decided, and why.

    Args:
        shown: a run.
        corpus: its data set; None where the texts cannot be shown.
        place: of the document in the part.
        first: the label that is asked for; else a missed one, else one that was wrongly given.
    """
    table = documents.decision_table(
        documents.scores_of_document(shown.predictions, place),
        shown.limits,
        shown.labels,
        documents.labels_of(shown.predictions.targets, place),
        documents.labels_of(shown.predicted, place),
    )
    if corpus is None:
        show_decisions(table, f"decisions-{shown.run.id}-{place}")
        return
    row = int(shown.predictions.rows[place])
    text = corpus.text(row)
    # Another document, or another label asked for, begins with its own question.
    offered = why.order_labels(table, first)
    asked = f"{shown.run.id} {place} {first}"
    if st.session_state.get("why_of") != asked or st.session_state.get("why") not in offered:
        st.session_state["why_of"], st.session_state["why"] = asked, offered[0]
    label = st.selectbox("Why this label", offered, key="why", width=420)
    column = shown.labels.index(label)
    found = explain_label(shown.run, text, column, shown.limits)
    left, right = st.columns(2, gap="medium")
    with left:
        show_text(text, found.words if found else None)
        pick_verdict(corpus, row, label)
        st.caption("How each of its labels was decided:")
        show_decisions(table, f"decisions-{shown.run.id}-{place}")
    with right:
        if found:
            show_sum(shown.run, found, label, int(shown.counts[column]))
        more = st.expander("The same document in other runs", key="in_other_runs", on_change="rerun")
        if more.open:
            with more:
                show_other_runs(shown, row, label)
    show_training(corpus, text, label, row)


def show_decisions(table: pd.DataFrame, key: str) -> None:
    """Every label of a document with its score, its threshold and what came of it."""
    number = st.column_config.NumberColumn
    show_table(
        table,
        ["label"],
        key=key,
        placeholder="–",
        column_config={"score": number(format="%.3f"), "threshold": number(format="%.3f")},
        alt="How each label of the document was decided",
    )
    offer_csv("decisions", table)


def show_other_runs(shown: Shown, row: int, label: str) -> None:
    """What every other run on this data says of the label of this document, at the thresholds of its training."""
    fingerprint = load_metrics(shown.run)["fingerprint"]
    runs = [
        run
        for run in select_readable(listed.list_folders())
        if run.id != shown.run.id and load_metrics(run)["fingerprint"] == fingerprint
    ]
    names, rows = name_runs([shown.run, *runs]), []
    for run in runs:
        try:
            rows += read_decision(run, names[run.id], shown.part, row, label)
        except UserError as error:
            st.caption(plain(str(error)))
    if not rows:
        st.caption("No other run on this data has scores of this document.")
        return
    number = st.column_config.NumberColumn
    st.caption(plain(f"{shorten(label, 60)} at the thresholds of each run's training."))
    st.dataframe(
        why.document_in_runs(rows),
        hide_index=True,
        placeholder="–",
        height=min(38 + 35 * len(rows), 320),
        column_config={"score": number(format="%.3f"), "threshold": number(format="%.3f")},
        alt="The label of this document in other runs",
    )


def read_decision(run: Run, name: str, part: str, row: int, label: str) -> list[tuple[str, float, float | None, bool]]:
    """What a run says of a label of a document: a row for `why.document_in_runs`, or none where it has no scores."""
    labels, predictions = load_metrics(run)["labels"], load_predictions(run, part)
    place = documents.find_place(predictions, row)
    if label not in labels or place is None:
        return []
    column = labels.index(label)
    score = float(documents.scores_of_document(predictions, place)[column])
    given = column in documents.labels_of(as_trained(run, part), place)
    return [(name, score, find_limit(find_limits(run, Chosen(AS_TRAINED)), column), given)]

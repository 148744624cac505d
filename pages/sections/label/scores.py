"""A label in every run, and its four numbers in one of them with the formulas that make scores of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import one_label
from core.figures.one_label import f1_by_run
from core.system.errors import UserError
from pages.sections.label import load_errors, show_no_run
from pages.shared.added import offer_view
from pages.shared.downloads import offer_csv
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from pages.sections.label import Label


def show(label: Label) -> None:
    """F1 in every run beside the numbers of the current one."""
    if label.run is None:
        show_no_run()
        return
    left, right = st.columns(2, gap="large")
    with right:
        show_matrix(label)
    with left:
        st.header("In every run")
        outcomes = {}
        for run in label.runs:
            try:
                outcomes[label.titles[run.id]] = one_label.outcomes_of(*load_errors(run), label.column)
            except UserError as error:
                st.warning(plain(str(error)))
        table = one_label.run_table(outcomes)
        st.altair_chart(f1_by_run(table, label.titles[label.run.id]), alt="F1 of the label in every run")
        st.caption(
            "F1 on test at the thresholds of the training; the current run is orange. An interval is wide where few "
            "test documents have the label."
        )
        with st.container(horizontal=True):
            offer_csv(f"label-{label.column + 1}-runs", table)
            offer_view(
                "label",
                "Scores",
                label.run.config.data.title,
                f"{label.name} in every run",
                runs=[run.id for run in label.runs],
                run=label.run.id,
                name=label.name,
            )


def show_matrix(label: Label) -> None:
    """The 2 x 2 matrix of the current run, and what the scores are made of."""
    assert label.run is not None
    errors, documents = load_errors(label.run)
    found = one_label.outcomes_of(errors, documents, label.column)
    st.header("In the current run")
    st.dataframe(
        {
            "test documents": ["that have the label", "that lack it"],
            "given": [found.tp, found.fp],
            "not given": [found.fn, found.tn],
        },
        hide_index=True,
        column_config={
            "given": st.column_config.NumberColumn(format="localized", help="Hits above, false alarms below."),
            "not given": st.column_config.NumberColumn(format="localized", help="Misses above."),
        },
        alt="Test documents by whether they have the label and whether they were given it",
    )
    st.latex(one_label.formulas(found))
    st.caption(
        "All labels together: micro pools the counts, so that frequent labels decide; macro is the mean of F1, "
        "so that every label counts the same. The first number of the sum is this label's."
    )
    st.latex(one_label.pooled_formulas(errors, label.column))
    link("errors", "This label's errors", {"run": label.run.id, "view": "Documents", "of_label": label.name})

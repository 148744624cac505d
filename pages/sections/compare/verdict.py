"""What the rows say in words, and the forest plot of one score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import tables, verdict
from core.analysis.samples import RANKING, rule_in_words
from core.runs.results import count_documents
from pages.sections.compare.rows import COMPARED, Known, load_forest
from pages.shared.loaders import load_metrics
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd


def show_verdict(compared: Known) -> None:
    """Draws what is best where, what cannot be told apart, and a link that trains what would settle it."""
    rows = compared.rows
    if len(rows) < 2 or len({row.fingerprint for row in rows}) > 1:
        return
    lines, links = load_verdict(compared)
    with st.container(border=True):
        for line in lines:
            st.markdown(line)
        for words, query in links:
            link("launcher", words, query)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=COMPARED)
def load_verdict(compared: Known) -> tuple[list[str], list[tuple[str, dict[str, str | list[str]]]]]:
    """Paragraphs in Markdown, and links to the Launcher: the words of each and its query."""
    rows, questions = compared.rows, verdict.questions_at(compared.rule)
    findings = verdict.find(rows, compared.sampled, rule=compared.rule)
    documents = count_documents(load_metrics(rows[0].runs[0]), "test")
    said = [f"- **{questions[one.column]}.** {plain(verdict.in_words(one, documents=documents))}" for one in findings]
    lines = ["\n".join(said), *filter(None, [plain(verdict.words_of_single_seeds(rows))])]
    links = []
    for wanted in verdict.next_runs(findings):
        if query := verdict.launcher_query(*wanted):
            methods = f"{', '.join(query['models'])} with {', '.join(query.get('losses', ['its own loss']))}"
            links.append((f"Fill the Launcher with seeds {query['seeds']} of {methods}", query))
    return lines, links


def pick_score(table: tables.Table, columns: list[str]) -> str:
    """Draws the choice of the column that is plotted, one of a table's."""
    return st.selectbox(
        "Plotted score",
        columns,
        columns.index("tail_ap" if table == RANKING else "tail_macro"),
        format_func=lambda name: " ".join(tables.heading(name)),
        key="ranking_score" if table == RANKING else "score",
        bind="query-params",
    )


def show_forest(frame: pd.DataFrame, compared: Known, baseline: str, column: str) -> None:
    """Draws one column of a table: each row's mean, interval and seeds; or their differences from a baseline."""
    name = " ".join(tables.heading(column))
    title = f"{name} on test minus that of {baseline} (points)" if baseline else f"{name} on test (%)"
    drawn = load_forest(compared, baseline, column, title, frame)
    if not drawn:
        st.info("No row has this score.")
        return
    st.caption(
        plain(
            f"{title}, {rule_in_words(compared.rule)}. Dot and bar: the mean of a row's seeds and its interval, as in "
            "the table below. Rings: the seeds, one by one."
        )
    )
    st.vega_lite_chart(spec=drawn, alt=f"{title}, a line for each row")

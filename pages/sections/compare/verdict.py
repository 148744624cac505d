"""What the rows say in words, and the forest plot of one score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import compare, tables, verdict
from core.analysis.samples import RANKING
from core.figures.compare import forest_chart
from pages.sections.compare.rows import count_documents
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis.samples import Comparison


def show_verdict(compared: Comparison) -> None:
    """Draws what is best where, what cannot be told apart, and a link that trains what would settle it."""
    rows = compared.rows
    if len(rows) < 2 or len({row.fingerprint for row in rows}) > 1:
        return
    findings = verdict.find(rows, compared.sampled, rule=compared.rule)
    questions = verdict.RANKING_QUESTIONS if compared.rule == RANKING else verdict.QUESTIONS
    with st.container(border=True):
        lines = [
            f"- **{questions[one.column]}.** {plain(verdict.in_words(one, documents=count_documents(one.best)))}"
            for one in findings
        ]
        st.markdown("\n".join(lines))
        if sentence := verdict.words_of_single_seeds(rows):
            st.markdown(plain(sentence))
        if (wanted := verdict.next_runs(findings)) and (query := verdict.launcher_query(*wanted)):
            many, methods = wanted[1], ", ".join(dict.fromkeys(row.method for row in wanted[0]))
            link("launcher", f"Train {many} more {'seed' if many == 1 else 'seeds'} of {methods}", query)


def show_forest(frame: pd.DataFrame, compared: Comparison) -> None:
    """Draws one column of a table: each row's mean, interval and seeds."""
    table = tables.table_of(frame)
    columns = tables.SCORE_COLUMNS[table]
    default = "tail_ap" if table == RANKING else "tail_macro"
    column = st.selectbox(
        "Score",
        columns,
        columns.index(default),
        format_func=lambda name: " ".join(tables.heading(name)),
        key="ranking_score" if table == RANKING else "score",
        bind="query-params",
        width=260,
    )
    rows, dots = compare.forest_table(frame, compared.sampled, column)
    if rows.empty:
        st.info("No row has this score.")
        return
    baseline = frame["baseline"].iloc[0] if "baseline" in frame else ""
    name = " ".join(tables.heading(column))
    title = f"{name} minus that of {baseline} (points)" if baseline else f"{name} (%)"
    st.caption("Blue or grey: the mean of a row's seeds and its interval. Red rings: its seeds, one by one.")
    st.altair_chart(
        forest_chart(rows, dots, title=title, difference=bool(baseline)), alt=f"{title}, a line for each row"
    )

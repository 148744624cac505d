"""What each part of the distribution-balanced loss adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import tables
from core.analysis.samples import RANKING, rule_in_words
from pages.shared.downloads import offer_csv
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.analysis.samples import Comparison
    from core.labels.groups import Borders


def show(compared: Comparison, borders: Borders) -> None:  # noqa: ARG001 - all views alike
    """What each part of the distribution-balanced loss adds."""
    from core.figures.compare import ablation_chart

    rows, rule = compared.rows, compared.rule
    table = tables.ablation(rows, compared.sampled, rule=rule)
    if table.empty:
        st.info(
            "There are no two rows that differ by one part alone: train the losses fl, r-fl, ntr-fl, db-0fl and db "
            "(`python -m core sweep --losses paper`)."
        )
        return
    if rule == RANKING:
        score, measure = "ap", "average precision"
    else:
        score = pick_one("F1", ["macro", "micro"], "macro", key="average")
        measure = f"{score}-F1"
    st.caption(
        plain(
            f"Change of test {measure} in points when one part is added, {rule_in_words(rule)}. Bars: 95 % intervals "
            "over test documents and seeds, widened by Holm's correction for the pairs compared in each column; pale "
            "dots may be chance, or are of rows with one seed, whose seed noise is unknown. Hollow diamonds: the "
            "paper's change, with BERT."
        )
    )
    st.altair_chart(ablation_chart(table, score=score), width="content", alt="What each part of DB adds")
    doubtful = [row.name for row in rows if sum(other.method == row.method for other in rows) > 1]
    if doubtful:
        st.caption(plain(f"Of a method with several settings only the first row counts here: {', '.join(doubtful)}."))
    with st.expander("As a table"):
        number = st.column_config.NumberColumn
        points = {
            name: number(f"{name} (points)", format="%+.2f") for name in ("difference", "low", "high", "published")
        }
        st.dataframe(table, hide_index=True, column_config=points, alt="Differences of pairs of methods")
        offer_csv("parts", table)

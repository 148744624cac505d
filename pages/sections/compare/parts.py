"""What each part of the distribution-balanced loss adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import tables
from core.figures import compare
from pages.shared.downloads import offer_csv
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.analysis.tables import Row, Sampled
    from core.labels.groups import Borders


def show(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:  # noqa: ARG001 - all views alike
    """What each part of the distribution-balanced loss adds."""
    table = tables.ablation(rows, sampled)
    if table.empty:
        st.info(
            "There are no two rows that differ by one part alone: train the losses fl, r-fl, ntr-fl, db-0fl and db "
            "(`python -m core sweep --losses paper`)."
        )
        return
    score = st.segmented_control("F1", ["macro", "micro"], default="macro", required=True, key="average")
    st.caption(
        "Change of F1 in points when one part is added, with its 95 % interval; pale dots may be chance. Hollow "
        "diamonds: the paper's change, with BERT."
    )
    st.altair_chart(compare.ablation_chart(table, score=score), width="content", alt="What each part of DB adds")
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

"""Combine marked rows: their runs' scores averaged into a run like any other, without training."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis import ahead
from core.analysis.run_names import name_run
from core.config.schema import MOST_MEMBERS
from core.system.access import read_only
from core.system.errors import UserError
from pages.sections.compare.rows import fit_names
from pages.shared.loaders import load_metrics
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.analysis.tables import Row
    from core.runs.folder import Run

WEIGHTS = {"equal": "all equal", "validation": "best on validation"}


def show(rows: Sequence[Row]) -> None:
    """Draws the rows to mark, and the button that combines them; nothing where nobody may change anything."""
    if read_only():
        return
    offered = [row for row in rows if not row.runs[0].config.combined]
    made = st.session_state.pop("combined_run", None)
    if made:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(plain(f"Made: {made[1]}"))
            link("errors", "Open it on Errors", {"run": made[0]})
    with (opened := st.expander("Combine rows", icon=":material/merge:", key="combine", on_change="rerun")):
        if not opened.open:
            return  # its table is made when somebody looks at it
        st.caption(
            "The scores of several runs on the same documents, averaged in logits, often rank rare labels better than "
            "each run alone. It takes seconds: nothing is trained, and thresholds are fitted on validation. Mark two "
            "rows or more; a row of several seeds stands for all its runs."
        )
        if len(offered) < 2:
            st.caption("There are not two rows to combine here.")
            return
        pick(offered)


def pick(rows: Sequence[Row]) -> None:
    """Draws the rows and the form below them."""
    # Marks are kept by row number: another order of rows is another table, and nothing is marked in it.
    names = [row.name for row in rows]
    key = f"combine-{hashlib.sha256(' '.join(run.id for row in rows for run in row.runs).encode()).hexdigest()[:12]}"
    width, high = fit_names(names)
    marked: Any = st.dataframe(
        {
            "row": names,
            "runs": [len(row.runs) for row in rows],
            "validation micro-F1": [mean_of(row.runs, "micro_f1") for row in rows],
            "validation macro-F1": [mean_of(row.runs, "macro_f1") for row in rows],
        },
        key=key,
        hide_index=True,
        height=min(38 + (high or 35) * len(rows), 320),
        row_height=high,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        column_config={"row": st.column_config.TextColumn(width=width)}
        | {
            name: st.column_config.NumberColumn(format="%.2f")
            for name in ("validation micro-F1", "validation macro-F1")
        },
        alt="Rows that can be combined, with their mean scores on validation",
    )
    runs = [run for place in marked["selection"]["rows"] if place < len(rows) for run in rows[place].runs]
    left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
    name = left.text_input("Name", key="combined_name", max_chars=80, placeholder="by its members")
    weights = middle.selectbox(
        "Weights",
        list(WEIGHTS),
        format_func=WEIGHTS.__getitem__,
        key="combined_weights",
        help="Equal weights need no choice. Weights chosen on validation are those of best micro-F1 there, in folds.",
    )
    pressed = right.button(
        "Combine marked rows", type="primary", disabled=not 2 <= len(runs) <= MOST_MEMBERS, width="stretch"
    )
    if len(runs) > MOST_MEMBERS:
        st.caption(f"{len(runs)} runs are marked; at most {MOST_MEMBERS} are combined.")
    if pressed:
        make(runs, weights, name.strip())


def make(runs: Sequence[Run], weights: str, name: str) -> None:
    """Combines runs and draws the page again with the new one; why not, where they do not fit together."""
    from core.runs.combine import combine

    try:
        with st.spinner("Averaging scores and fitting thresholds"):
            made = combine(
                [run.id for run in runs], weights="validation" if weights == "validation" else "equal", name=name
            )
    except UserError as error:
        st.error(plain(str(error)))
        return
    ahead.keep_run(made.id)
    st.session_state["combined_run"] = (made.id, name_run(made))
    st.rerun()


def mean_of(runs: Sequence[Run], score: str) -> float | None:
    """The mean of a validation score of runs, percent; None where one of them does not hold it."""
    values = [((load_metrics(run).get("validation") or {}).get("all") or {}).get(score) for run in runs]
    known = [float(value) for value in values if value is not None]
    return 100 * sum(known) / len(runs) if len(known) == len(runs) else None

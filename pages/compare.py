"""Compare: which method is better, where, and by more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.run_names import name_runs
from core.analysis.tables import METHODS, data_title, fold, method
from core.analysis.verdict import seeds_apart
from core.labels.groups import Borders
from pages.sections.compare import combine, labels, parts, report, tables, training
from pages.sections.compare.rows import Known, compare_rows, keep_other_rules, pick_rule
from pages.shared import current, listed
from pages.shared.loaders import load_metrics
from pages.shared.menu import link, show_header
from pages.shared.pick import pick_borders, pick_one
from pages.shared.runs import pick_ids, select_readable, show_import, show_wrong_runs
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runs.folder import Run

VIEWS = {
    "Tables": tables.show,
    "Parts of DB": parts.show,
    "F1 by rank": labels.show_by_rank,
    "Label by label": labels.show_two_rows,
    "Curves": training.show_curves,
    "Cost": training.show_cost,
}
"""The views; the name of the chosen one stands in the address."""
SAMPLED = ("Tables", "Parts of DB", "Label by label")
"""Views that need resamples."""


def show() -> None:
    show_header("Compare", "Which method is better, on which labels, and by more than chance.")
    show_wrong_runs("runs")
    results = st.container()
    show_import()  # below the results, and before their runs are listed
    with results:
        finished = select_readable(listed.list_folders())
        if not finished:
            st.info("There is no finished run to show. Launch one on the Launcher page: it appears here when it ends.")
            link("launcher")
        elif runs := pick_runs(finished):
            show_views(runs)


def pick_runs(runs: list[Run]) -> list[Run]:
    """Draws the filters and returns the runs to compare: those chosen by name, else all that match."""
    asked = [run for run in runs if run.id in st.query_params.get_all("runs")]
    names, title = list(dict.fromkeys(map(data_title, runs))), current.data().title
    if st.session_state.get("of") not in names and st.query_params.get("of") not in names:
        st.session_state["of"] = title if title in names else None
    columns = st.columns([3, 2, 3, 2], vertical_alignment="bottom")
    name = columns[0].selectbox(
        "Data set and split", names, None, key="of", bind="query-params", placeholder="runs on other data"
    )
    if name is None:
        st.info(plain(f"There is no finished run on {title}. Launch one, or choose another data set above."))
        link("launcher")
        return []
    runs = [run for run in runs if data_title(run) == name]

    def narrow(title: str, key: str, place: int, value: Callable[[Run], str | int]) -> list[Run]:
        values = sorted(dict.fromkeys(map(value, runs)), key=order_values)
        chosen = columns[place].multiselect(title, values, key=key, bind="query-params", placeholder="all")
        return [run for run in runs if not chosen or value(run) in chosen]

    runs = narrow("Models", "models_shown", 1, lambda run: run.config.model.name)
    runs = narrow("Methods", "losses_shown", 2, method)
    runs = narrow("Seeds", "seeds_shown", 3, lambda run: run.config.seed)
    with st.expander("Choose single runs", expanded=bool(asked)):
        wanted = pick_ids("Runs", name_runs(runs), key="runs", placeholder=f"all {len(runs)} finished runs that match")
    if not runs:
        st.info("No finished run matches these filters.")
    return [run for run in runs if not wanted or run.id in wanted]


def order_values(value: str | int) -> tuple[int, str]:
    """Methods in the paper's order, other values by themselves."""
    return (METHODS.index(value) if value in METHODS else len(METHODS), f"{value!s:>12}")


def show_views(runs: list[Run]) -> None:
    """The chosen view of the chosen runs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = pick_one("Show", VIEWS, "Tables", key="view")
        folded = st.toggle("Seeds as one row", True, key="fold", bind="query-params")
        rows = fold(runs, seeds=folded)
        borders = pick_borders(Borders(**load_metrics(rows[0].runs[0])["borders"]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rule = pick_rule(rows)
    if len({row.fingerprint for row in rows}) > 1:
        st.warning(
            "These runs were trained on different versions of the data set: their differences are not computed, and "
            "nothing is bold that is better only than runs on other data."
        )
    if sentence := seeds_apart(rows) if folded else "":
        st.warning(plain(sentence), icon="")  # with none given Streamlit looks for one among all emojis: .3 s at first
    compared = compare_rows(rows, borders, rule) if view in SAMPLED else Known(rows, {}, rule, [])
    if compared.rows:
        VIEWS[view](compared, borders)
    else:
        st.info("No run can be shown at this rule: choose another one.")
    report.show(rows, data_title(runs[0]), borders, rule)
    combine.show(rows)
    if view in SAMPLED:
        keep_other_rules(rows, borders)


if __name__ == "__main__":
    import app

    app.main("compare")

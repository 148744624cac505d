"""What the tail gains and what it costs: every threshold as a curve, every rule as a point, a click chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import trade_off
from core.analysis.what_if import MANY_LABELS, OWN, OWN_MARGIN, SLOW, Chosen
from core.figures.errors import trade_off_chart
from core.labels.groups import Borders
from core.system.errors import UserError
from pages.sections.errors.chosen import FITTED, load_quiet, offer_run, predict_at
from pages.sections.errors.thresholds import PARTS, forget_changes, keep_own, load_steps
from pages.shared.downloads import offer_csv
from pages.shared.loaders import HASHES, load_metrics, load_predictions
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown


@st.cache_data(max_entries=32, show_spinner="Measuring every threshold", hash_funcs=FITTED)
def load_curve(run: Run, part: str, chosen_on: str, borders: Borders) -> pd.DataFrame:
    """The curves of a part, at the steps that the slider has on the part by which thresholds are chosen."""
    return trade_off.curve_table(
        load_predictions(run, part),
        load_metrics(run)["counts"],
        borders,
        steps=load_steps(run, chosen_on),
        quiet=load_quiet(run),
    )


@st.cache_data(max_entries=32, show_spinner="Fitting every rule on validation", hash_funcs=HASHES)
def load_points(run: Run, parts: tuple[str, ...], borders: Borders, leave_out: tuple[str, ...]) -> pd.DataFrame:
    """Every rule and kept set with its scores on some parts."""
    return trade_off.rule_points(
        run,
        {part: load_predictions(run, part) for part in parts},
        borders,
        predict=lambda name, part: predict_at(run, Chosen(name), part)[1],
        leave_out=leave_out,
    )


def show(shown: Shown) -> None:
    """Tail macro-F1 against micro-F1, of validation beside test; on validation alone where that is chosen on."""
    run, borders = shown.run, shown.borders
    if "tail" not in trade_off.groups_of(shown.counts, borders):
        st.info("No label is in the tail: move its border under 'Head, medium, tail'.")
        return
    parts = ("validation",) if shown.part == "validation" else ("validation", "test")
    try:
        curves = {part: load_curve(run, part, shown.part, borders) for part in parts}
    except UserError as error:
        st.info(plain(f"There is no trade-off to show: {error}"))
        return
    # Rules; the slow ones of many labels when they are asked for.
    slow = len(shown.labels) > MANY_LABELS
    leave_out = SLOW if slow and not st.toggle("All rules: those left out take seconds to fit", key="all_rules") else ()
    points = load_points(run, parts, borders, leave_out)
    st.caption(
        "What a threshold gives the tail, and what it costs over all labels. Click a point of a curve to take its "
        "threshold, or a diamond to take its rule; the ring is what is chosen now. Rules are fitted on validation, "
        "which flatters them there: test is what counts, and no threshold may be chosen by it."
    )
    merged = {part: trade_off.merge_points(points, part) for part in parts}
    ranges = trade_off.chart_ranges(list(merged.values()), list(curves.values()))
    for column, part in zip(st.columns(2, gap="medium"), parts, strict=False):
        with column:
            show_chart(shown, part, curves[part], merged[part], ranges)
    if len(parts) == 1:
        st.caption("Test is hidden: under 'Choose on' you have chosen to choose on validation.")
    offer_run("Trade-off", "What the tail costs in micro-F1", shown)
    show_points(points, parts)


def show_chart(
    shown: Shown,
    part: str,
    curve: pd.DataFrame,
    points: pd.DataFrame,
    ranges: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """The chart of a part; its key changes with what is chosen, so that each click is a new one."""
    run, chosen = shown.run, shown.chosen
    predicted = predict_at(run, chosen, part)[1]
    micro, tail = trade_off.f1_of_tail(load_predictions(run, part), predicted, shown.counts, shown.borders)
    st.markdown(f"**{part}**: micro-F1 {micro:.2f}, tail {tail:.2f}")
    key = f"trade-off-{run.id}-{part}-{chosen.name}-{chosen.limit}-{len(chosen.changes)}"
    st.altair_chart(
        trade_off_chart(trade_off.name_values(curve), points, {"micro": micro, "tail": tail}, ranges),
        key=key,
        on_select=lambda: take_point(run, shown.part, key, curve, points),
        alt=f"Macro-F1 of the tail against micro-F1 on the {part} part, at every threshold and by every rule",
    )


def take_point(run: Run, part: str, key: str, curve: pd.DataFrame, points: pd.DataFrame) -> None:
    """Chooses the clicked rule, or the clicked threshold or margin as one that was moved by hand."""
    clicked = st.session_state[key]["selection"].get("point")
    if not clicked or "place" not in clicked[0]:
        return
    place = int(clicked[0]["place"])
    forget_changes(run)
    if place >= len(curve):
        st.session_state["at"] = points["name"].iloc[place - len(curve)]
        return
    row = curve.iloc[place]
    is_global = row["curve"] == trade_off.GLOBAL
    keep_own(run, part, "own" if is_global else "margin")(float(row["value"]))
    st.session_state["at"] = OWN if is_global else OWN_MARGIN


def show_points(points: pd.DataFrame, parts: tuple[str, ...]) -> None:
    """Every rule and kept set with its scores."""
    column = st.column_config
    numbers = {
        f"{score} {part}": column.NumberColumn(f"{score}, {part}", format="%.2f", help=f"{title} in percent")
        for part in PARTS
        for score, title in (("micro", "micro-F1 of all labels"), ("tail", "macro-F1 of the tail"))
    }
    st.dataframe(
        points,
        hide_index=True,
        height=38 + 35 * min(len(points), 14),
        placeholder="–",
        column_order=["name", "chosen on", *(f"{score} {part}" for part in parts for score in ("micro", "tail"))],
        column_config={"name": column.TextColumn("thresholds", width=200), **numbers},
        alt="Every rule and kept set with its micro-F1 and its tail macro-F1",
    )
    offer_csv("thresholds", points)

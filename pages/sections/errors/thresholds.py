"""What another threshold would do: a rule fitted on validation, a named set, or thresholds moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import errors, what_if
from core.analysis.what_if import AS_TRAINED, OWN, RULES, TOP_K
from core.metrics import thresholds
from core.runs import results
from core.system.access import read_only
from core.system.errors import UserError
from pages.sections.errors.chosen import Chosen, find_limits, load_top_k, predict_at
from pages.shared.loaders import load_predictions
from pages.shared.pick import pick_label
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown

RESERVED = (AS_TRAINED, OWN, *RULES, TOP_K)
"""Thresholds that every run has; no named set is called so."""
HELP = (
    "Every rule is fitted on the validation part and shown on the test part. 'quiet' is the global threshold, lower "
    "for labels that score low in every document without them. SCut picks the best threshold of each label, which "
    "over-fits rare labels; 'per label' guards against that by adding documents of an average label."
)


def pick_thresholds(run: Run, labels: list[str]) -> Chosen:
    """Draws the what-if: a rule fitted on validation, a named set, or thresholds moved by hand."""
    names = [*RESERVED, *(name for name in results.read_threshold_sets(run) if name not in RESERVED)]
    left, middle, right, last = st.columns([6, 8, 3, 3], vertical_alignment="bottom")
    name = left.selectbox("Thresholds", names, key="at", bind="query-params", help=HELP)
    low, high = what_if.score_range(load_predictions(run))
    limit = 0.0
    if name == OWN:
        now = min(max(what_if.middle_limit(load_predictions(run).threshold), low), high)
        limit = middle.slider("Predict a label above", low, high, now, (high - low) / 200, key=f"limit-{run.id}")
    else:
        middle.caption(plain(describe_rule(run, name)))
    changes: dict[int, float] = st.session_state.setdefault(f"changes-{run.id}", {})
    if name == TOP_K:
        return Chosen(name)
    with right.popover("One label", width="stretch"):
        label = pick_label("Move the threshold of", "moved", labels, None)
        if label is not None:
            move_label(run, labels.index(label), Chosen(name, limit), changes)
        if changes:
            st.button("Take all labels back", on_click=forget_changes, args=(run,))
    chosen = Chosen(name, limit, tuple(sorted(changes.items())))
    with last.popover("Keep", width="stretch"):
        show_keep(run, chosen)
    if changes:
        moved = ", ".join(f"{labels[column]} {value:.3f}" for column, value in chosen.changes)
        st.caption(plain(f"Moved by hand: {moved}."))
    return chosen


def move_label(run: Run, column: int, base: Chosen, changes: dict[int, float]) -> None:
    """Draws the threshold of one label; moved, it is a change, and at its old place it is none."""
    low, high = what_if.score_range(load_predictions(run))
    before = what_if.limit_of(find_limits(run, base), column)
    now = float(min(max(changes.get(column, before), low), high))
    moved = st.slider("To", low, high, now, (high - low) / 200, key=f"moved-{run.id}-{column}")
    if abs(moved - now) > 1e-9:
        changes[column] = moved


def describe_rule(run: Run, name: str) -> str:
    """A rule's thresholds in words."""
    if name == TOP_K:
        return f"The {load_top_k(run)} highest scores of every document."
    return what_if.limits_in_words(find_limits(run, Chosen(name)))


def show_keep(run: Run, chosen: Chosen) -> None:
    """Draws the form that keeps the thresholds of now under a name."""
    if run.published:
        st.caption("A published run is never changed: train it yourself to keep thresholds with it.")
        return
    if read_only():
        return
    name = st.text_input("Keep these thresholds as", key="keep_as", placeholder="a name", max_chars=60).strip()
    if name in RESERVED:
        st.caption(plain(f"'{name}' is the name of a rule: take another."))
    st.button("Keep", disabled=not name or name in RESERVED, on_click=keep_thresholds, args=(run, chosen, name))


def keep_thresholds(run: Run, chosen: Chosen, name: str) -> None:
    """Keeps the thresholds of now and chooses them."""
    limits = find_limits(run, chosen)
    try:
        results.save_threshold_set(run, name, rule=chosen.name, values=thresholds.values_of(limits))
    except UserError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    forget_changes(run)
    st.session_state["at"] = name
    st.toast(plain(f"Kept as {name}."))


def forget_changes(run: Run) -> None:
    """Drops every threshold of a label that was moved by hand."""
    for column in st.session_state.pop(f"changes-{run.id}", {}):
        st.session_state.pop(f"moved-{run.id}-{column}", None)


def show_scores(shown: Shown) -> None:
    """The scores at the chosen thresholds, and what changed against those of the training."""
    before = errors.headline(
        shown.predictions, predict_at(shown.run, Chosen(AS_TRAINED))[1], shown.counts, shown.borders
    )
    now = errors.headline(shown.predictions, shown.predicted, shown.counts, shown.borders)
    moved = shown.chosen != Chosen(AS_TRAINED)
    with st.container(horizontal=True, gap="medium"):
        for title, value in now.items():
            old = before[title]
            change = f"{value - old:+.2f}" if moved and value is not None and old is not None else None
            neutral = title == "labels a document" or (change is not None and float(change) == 0)
            st.metric(
                title,
                "–" if value is None else f"{value:.2f}",
                change,
                delta_color="off" if neutral else "normal",
                width="content",
            )

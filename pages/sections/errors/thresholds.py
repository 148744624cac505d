"""What another threshold would do: a rule fitted on validation, a named set, or thresholds moved by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import decisions, errors, trade_off, what_if
from core.analysis.what_if import AS_TRAINED, OWN, OWN_MARGIN, RESERVED, TOP_K, Chosen
from core.metrics import thresholds
from core.runs import results
from core.system.access import read_only
from core.system.errors import UserError
from pages.sections.errors.chosen import (
    FITTED,
    as_trained,
    find_limits,
    load_limits,
    load_quiet,
    load_top_k,
)
from pages.shared.glossary import explain
from pages.shared.loaders import load_predictions
from pages.shared.pick import pick_label, pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.runs.folder import Run
    from pages.sections.errors.chosen import Shown

PARTS = ("test", "validation")
HELP = (
    "Every rule is fitted on the validation part alone. 'quiet' is the global threshold, lower for labels that score "
    "low in every document without them. SCut picks the best threshold of each label, which over-fits rare labels; "
    "'per label' guards against that by adding documents of an average label."
)
HELP_ON_PARTS = (
    "What the page shows, and what you choose by. A threshold that is moved while test is shown was chosen on test: "
    "its test scores are no fair estimate for new documents, and a kept set says so for ever. To choose fairly, choose "
    "on validation: test is then hidden."
)


def pick_part() -> str:
    """Draws the choice of the part that the page shows, and by which thresholds are moved."""
    return pick_one("Choose on", PARTS, "test", key="chosen_on", about=HELP_ON_PARTS)


def pick_thresholds(run: Run, part: str, labels: list[str]) -> Chosen:
    """Draws the what-if: a rule fitted on validation, a named set, or thresholds moved by hand."""
    readings = what_if.name_readings(run)
    names = [AS_TRAINED, OWN, OWN_MARGIN, *(name for name in readings if name != AS_TRAINED)]
    left, middle, right, last = st.columns([6, 7, 4, 3], vertical_alignment="bottom")
    name = left.selectbox("Thresholds", names, key="at", bind="query-params", help=HELP)
    with middle:
        chosen = pick_limit(run, name, part)
    if name == TOP_K:
        with last.popover("Keep", width="stretch"):
            st.caption("The best labels of each document have no threshold that could be kept.")
        return chosen
    changes = changes_of(run)
    with right.popover("One label", width="stretch"):
        label = pick_label("Move the threshold of", "moved", labels, None)
        if label is not None:
            move_label(run, labels.index(label), chosen, part)
        if changes:
            st.button("Take all labels back", on_click=forget_changes, args=(run,))
    if changes:
        moved = tuple((column, limit) for column, (limit, _) in sorted(changes.items()))
        parts = [chosen.chosen_on, *(on for _, on in changes.values())]
        chosen = replace(chosen, changes=moved, chosen_on=what_if.join_chosen_on(parts))
    with last.popover("Keep", width="stretch"):
        show_keep(run, chosen)
    notes = [f"Moved by hand: {', '.join(f'{labels[column]} {limit:.4g}' for column, limit in chosen.changes)}."]
    notes = (notes if chosen.changes else []) + [what_if.CHOSEN_ON[chosen.chosen_on]]
    if note := " ".join(filter(None, notes)):
        st.caption(plain(note))
    explain("threshold", "logit", "quiet", "SCut", "PCut")
    return chosen


def pick_limit(run: Run, name: str, part: str) -> Chosen:
    """Draws the lever of thresholds moved by hand, or a rule's thresholds in words."""
    if name == OWN:
        start = find_start(run)
        now, on = st.session_state.get(f"own-{run.id}", (start, "validation"))
        slide("Predict a label above", f"limit-{run.id}", now, (*load_steps(run, part), start), keep_own(run, part))
        return Chosen(name, now, chosen_on=on)
    if name == OWN_MARGIN:
        start = load_quiet(run).margin_of(find_limits(run, Chosen("quiet")))
        now, on = st.session_state.get(f"margin-{run.id}", (start, "validation"))
        slide(
            "Margin above a label's highest negative score",
            f"by-{run.id}",
            now,
            trade_off.MARGINS,
            keep_own(run, part, "margin"),
        )
        return Chosen(name, now, chosen_on=on)
    st.caption(plain(describe_rule(run, name)))
    return Chosen(name, chosen_on=decisions.find_chosen_on(run, what_if.name_readings(run)[name]))


def find_start(run: Run) -> float:
    """Where one threshold for all labels starts: that of the training, or the best on validation of a run with many."""
    limits = load_predictions(run).threshold
    try:
        return what_if.middle_limit(limits, load_quiet(run).common)
    except UserError:  # no validation scores
        return what_if.middle_limit(limits)


def slide(title: str, key: str, now: float, steps: Iterable[float], moved: Callable[[float], None]) -> None:
    """Draws a slider that stands at `now`, over steps of which it is one, and calls `moved` with where it is put."""
    offered = sorted({*map(float, steps), now})
    if st.session_state.get(key) != now:
        st.session_state[key] = now
    words = what_if.name_steps(offered)
    st.select_slider(
        title,
        offered,
        key=key,
        format_func=lambda step: words.get(step, str(step)),
        on_change=lambda: moved(st.session_state[key]),
    )


def keep_own(run: Run, part: str, what: str = "own") -> Callable[[float], None]:
    """What remembers a threshold, or a margin, that is moved by hand, and the part by which it was."""

    def remember(value: float) -> None:
        st.session_state[f"{what}-{run.id}"] = (value, part)

    return remember


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=FITTED)
def load_steps(run: Run, part: str, column: int | None = None) -> list[float]:
    """The steps of a slider of thresholds, of one label or of all."""
    predictions = load_predictions(run, part)
    return what_if.threshold_steps(predictions, label=column, margins=what_if.has_margins(run)).tolist()


def changes_of(run: Run) -> dict[int, tuple[float, str]]:
    """Label columns with a threshold that was moved by hand, and the part by which it was."""
    changes: dict[int, tuple[float, str]] = st.session_state.setdefault(f"changes-{run.id}", {})
    return changes


def change_label(run: Run, column: int, base: Chosen, part: str) -> Callable[[float], None]:
    """What moves the threshold of a label; at its old place it is no change."""

    def move(value: float) -> None:
        if value == what_if.limit_of(find_limits(run, replace(base, changes=())), column):
            changes_of(run).pop(column, None)
        else:
            changes_of(run)[column] = (value, part)

    return move


def move_label(run: Run, column: int, base: Chosen, part: str) -> None:
    """Draws the threshold of one label."""
    before = what_if.limit_of(find_limits(run, base), column)
    now, _ = changes_of(run).get(column, (before, part))
    steps = (*load_steps(run, part, column), before)
    slide("To", f"moved-{run.id}-{column}", now, steps, change_label(run, column, base, part))
    st.caption(
        "The steps lie between the scores that occur. In the view Labels, a click into the label's curve moves it."
    )


def describe_rule(run: Run, name: str) -> str:
    """A rule's thresholds in words."""
    if name == TOP_K:
        return f"The {load_top_k(run)} highest scores of every document."
    return what_if.limits_in_words(load_limits(run, name))


def show_keep(run: Run, chosen: Chosen) -> None:
    """Draws the form that keeps the thresholds of now under a name, and what renames and deletes a kept set."""
    if run.published:
        st.caption("A published run is never changed: train it yourself to keep thresholds with it.")
        return
    if read_only():
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    name = left.text_input(
        "Keep these thresholds as", key="keep_as", placeholder="a name", max_chars=results.MAX_NAME
    ).strip()
    free = bool(name) and name not in RESERVED
    right.button("Keep", disabled=not free, on_click=keep_thresholds, args=(run, chosen, name), width="stretch")
    if name in RESERVED:
        st.caption(plain(f"'{name}' is the name of a rule: take another."))
    if note := what_if.CHOSEN_ON[chosen.chosen_on]:
        st.caption(f"{note} A kept set says so for ever.")
    kept = what_if.name_readings(run)[chosen.name] if chosen.name not in (OWN, OWN_MARGIN) else ""
    if kept.startswith(decisions.KEPT):
        show_kept(run, kept.removeprefix(decisions.KEPT))


def show_kept(run: Run, name: str) -> None:
    """Draws what renames and deletes kept thresholds."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    new = left.text_input(
        plain(f"Rename '{name}' to"), key="rename_to", placeholder="a name", max_chars=results.MAX_NAME
    ).strip()
    free = bool(new) and new not in RESERVED
    right.button("Rename", disabled=not free, on_click=rename_kept, args=(run, name, new), width="stretch")
    left, right = st.columns([2, 1], vertical_alignment="center")
    sure = left.checkbox("Delete it for good", key=f"sure-{run.id}-{name}")
    right.button("Delete", disabled=not sure, on_click=delete_kept, args=(run, name), width="stretch")


def keep_thresholds(run: Run, chosen: Chosen, name: str) -> None:
    """Keeps the thresholds of now and chooses them."""
    rule = f"{chosen.name} {chosen.limit:g}" if chosen.name == OWN_MARGIN else chosen.name
    values = thresholds.values_of(find_limits(run, chosen))
    try:
        results.save_threshold_set(run, name, rule=rule, values=values, chosen_on=chosen.chosen_on)
    except UserError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    forget_changes(run)
    st.session_state["at"] = what_if.title_of_kept(name)
    st.toast(plain(f"Kept as {name}."))


def rename_kept(run: Run, name: str, new: str) -> None:
    """Renames kept thresholds and chooses them by their new name."""
    try:
        results.rename_threshold_set(run, name, new)
    except UserError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["at"], st.session_state["rename_to"] = what_if.title_of_kept(new), ""
    st.toast(plain(f"Renamed to {new}."))


def delete_kept(run: Run, name: str) -> None:
    """Deletes kept thresholds and chooses those of the training."""
    try:
        results.delete_threshold_set(run, name)
    except UserError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["at"] = AS_TRAINED
    st.toast(plain(f"{name} deleted."))


def forget_changes(run: Run) -> None:
    """Drops every threshold of a label that was moved by hand."""
    for column in st.session_state.pop(f"changes-{run.id}", {}):
        st.session_state.pop(f"moved-{run.id}-{column}", None)


def show_scores(shown: Shown) -> None:
    """The scores at the chosen thresholds, and what changed against those of the training."""
    before = errors.headline(shown.predictions, as_trained(shown.run, shown.part), shown.counts, shown.borders)
    now = errors.headline(shown.predictions, shown.predicted, shown.counts, shown.borders)
    moved = shown.chosen != Chosen(AS_TRAINED)
    with st.container(horizontal=True, gap="medium"):
        for title, value in now.items():
            old = before[title]
            change = f"{value - old:+.2f}" if moved and value is not None and old is not None else None
            is_score = title != "labels a document"
            neutral = not is_score or (change is not None and float(change) == 0)
            st.metric(
                f"{shown.part} {title}" if is_score else title,
                "–" if value is None else f"{value:.2f}",
                change,
                delta_color="off" if neutral else "normal",
                width="content",
            )

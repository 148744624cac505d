"""What is wrong with a file, and what is done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data.defects import ADVISED, CHOICES, Defect
from pages.shared.text import plain, without_options

if TYPE_CHECKING:
    from core.data.added import Plan
    from core.data.summary import ReadSummary

EXAMPLES = 3
WORDS = {
    "keep": "Keep",
    "drop": "Leave out",
    "merge": "Merge",
    "join": "Join labels",
    "strip": "Take out",
    "negative": "Count as no",
}


def find_choices() -> dict[str, str]:
    """What was chosen about defects, without what is done anyway."""
    kept: dict[str, str] = st.session_state.get("choices", {})
    return {key: choice for key, choice in sorted(kept.items()) if choice != CHOICES[key][0]}


def show_defects(read: ReadSummary, plan: Plan) -> None:
    """Draws what all choices together change, then each kind of defect with its number, examples and choices."""
    found = [defect for defect in plan.defects if defect.count]
    if not found:
        st.caption("None of the defects that were looked for was found.")
        return
    show_change(read, plan)
    for defect in found:
        show_defect(defect)
    if without := [defect.title for defect in plan.defects if not defect.count]:
        words = "; ".join(f"{title[:1].lower()}{title[1:]}" for title in without)
        st.caption(plain(f"Looked for and not found: {words}."))


def show_change(read: ReadSummary, plan: Plan) -> None:
    """Draws the button that does what is advised, and the numbers before and after."""
    chosen = find_choices()
    advised = {key: choice for key, choice in ADVISED.items() if choice != CHOICES[key][0]}
    left = [d for d in plan.defects if d.count and d.advised != chosen.get(d.key, CHOICES[d.key][0])]
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="large"):
        with st.container(width="content", gap="xsmall"):
            st.button("Apply what is advised", on_click=choose, args=(advised,), type="primary", disabled=not left)
            st.button("Keep everything", on_click=choose, args=({},), type="tertiary", disabled=not chosen)
        for title, before, after in (
            ("Documents", read.documents, len(plan.rows)),
            ("Labels", read.labels, len(plan.labels)),
            ("Assignments", read.assignments, plan.assignments),
        ):
            st.metric(
                title,
                f"{after:,}",
                f"{before:,} before",
                delta_color="off",
                delta_arrow="off",
                width="content",
            )


def choose(choices: dict[str, str]) -> None:
    """Makes these the choices about all defects."""
    st.session_state["choices"] = dict(choices)


def show_defect(defect: Defect) -> None:
    """One kind of defect."""
    name = f"choice-{defect.key}"
    usual = CHOICES[defect.key][0]
    st.session_state[name] = st.session_state.get("choices", {}).get(defect.key, usual)

    def keep_choice() -> None:
        st.session_state["choices"] = st.session_state.get("choices", {}) | {defect.key: st.session_state[name]}

    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(defect.title)}:** {defect.count:,}", width="content")
            st.segmented_control(
                defect.title,
                CHOICES[defect.key],
                required=True,
                format_func=lambda one: f"{WORDS[one]} (advised)" if one == defect.advised else WORDS[one],
                key=name,
                label_visibility="collapsed",
                width="content",
                on_change=keep_choice,
            )
        if advice := without_options(defect.advice):
            st.caption(plain(advice))
        st.text("\n".join(defect.examples[:EXAMPLES]))

"""Terms of the field that open what they mean."""

from __future__ import annotations

import streamlit as st

from core.analysis.glossary import GLOSSARY
from pages.shared.text import plain

WIDTH = 320
"""Pixels of a picture with its axis and titles."""


@st.fragment
def explain(*terms: str) -> None:
    """Draws the names of terms in a row; each opens its definition, with its formula and picture.

    What is closed costs a button alone: definition and picture are made when it is opened, by a rerun of this row.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("In plain words:", width="content")
        for term in terms:
            entry = GLOSSARY[term]
            key = f"explain-{'-'.join(terms)}-{term}"
            with (opened := st.popover(plain(term), type="tertiary", key=key, on_change="rerun")):
                if not opened.open:
                    continue
                st.markdown(f"**{plain(term)}**  \n{plain(entry.meaning)}", width=WIDTH)
                if entry.formula:
                    st.latex(entry.formula)
                show_picture(term)


def show_picture(term: str) -> None:
    """Draws the picture of a term that has one."""
    from core.figures.glossary import PICTURES

    if term in PICTURES:
        st.altair_chart(PICTURES[term](), width=WIDTH, alt=f"A picture of {term}")

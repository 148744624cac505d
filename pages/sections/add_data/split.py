"""How the documents of a file are divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.config.parse import parse
from core.config.schema import SplitConfig
from pages.sections.add_data.check import load_usual

if TYPE_CHECKING:
    from pathlib import Path

    from core.config.schema import FileConfig

MADE = {
    "own": "The file's own parts",
    "stratified": "Iterative stratification",
    "random": "Random",
    "paper": "As the paper's PubMed",
}


def pick_split(file: FileConfig, folder: Path) -> SplitConfig:
    """Draws how the documents are divided; the usual way is chosen at first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width=260)
        shares = st.container(horizontal=True, width="content")
        about = "Labels with fewer train documents are left out. The paper's PubMed: 5."
        least = st.number_input("Documents per label, at least", 0, None, 0, key="least", width=230, help=about)
        usual = load_usual(str(folder), least)
        ways = [way for way in MADE if way != "own" or file.split]
        with place:
            made = st.selectbox(
                "Division",
                [usual, *(way for way in ways if way != usual)],
                format_func=MADE.__getitem__,
                key=f"made{folder.parent.name}{usual}",
                help="Iterative stratification gives each part its share of every label, for small sets. The paper's "
                "PubMed: `train_test_split` with random_state 123, 5,000 of 224,897 documents for test, as many for "
                "validation.",
            )
        values: dict[str, float | str] = {"made": made, "min_documents": least}
        if made != "paper":
            lacks = " where the file has none" if made == "own" else ""
            about = f"Share of the documents{lacks}."
            with shares:
                values["validation"] = st.number_input(
                    "Validation", 0.0, 0.5, 0.1, 0.05, key="validation", width=150, help=about
                )
                values["test"] = st.number_input("Test", 0.01, 0.5, 0.2, 0.05, key="test", width=150, help=about)
                values["seed"] = st.number_input("Seed", 0, 2**31 - 1, 123, key="seed", width=150)
    return parse(SplitConfig, values)

"""The documents of a label, to read: all of a part, or those that a run hits, misses or wrongly gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import one_label
from pages.sections.errors.chosen import as_trained
from pages.sections.explorer import pick_part, show_documents
from pages.sections.label import show_no_data
from pages.shared.loaders import find_documents, load_predictions, load_texts
from pages.shared.pick import pick_one

if TYPE_CHECKING:
    from pages.sections.label import Label

CASES = ("all", "hit", "missed", "wrongly given")


def show(label: Label) -> None:
    """A list of documents, and the text of a chosen one."""
    if label.corpus is None:
        show_no_data()
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        part = pick_part(label.corpus)
        readable = label.run is not None and load_texts(label.run)[0] is not None
        case = "all"
        if readable and part == "test":
            case = pick_one("In the current run", CASES, "all", key="case")
    if case == "all" or label.run is None:
        rows = find_documents(label.corpus, part, all_of=(label.column,))
        what = "have the label"
    else:
        predictions = load_predictions(label.run)
        cases = one_label.find_cases(predictions.targets, as_trained(label.run, "test"), label.column)
        rows = predictions.rows[cases[case]]
        what = {"hit": "have the label and were given it", "missed": "have the label and were not given it"}.get(
            case, "lack the label and were given it"
        )
    where = "" if part == "all" else f"{part} "
    show_documents(label.corpus, rows, f"{len(rows):,} {where}documents {what}.", key=f"{label.column}-{part}-{case}")

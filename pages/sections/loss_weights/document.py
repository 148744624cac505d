"""One document: what each of its labels gets under each loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from core.data.documents import Headings, name_document
from core.runs import folder
from core.system.errors import UserError
from pages.sections.loss_weights import View, describe_missing, show_legend
from pages.sections.loss_weights.logits import UNTRAINED, pick_logits
from pages.shared.labels import show_marks, show_table
from pages.shared.loaders import find_documents, load_predictions
from pages.shared.pick import LABELS_OFFERED, pick_label, pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

    from core.analysis.loss_effects import Choice

BY_HAND = "by hand"
QUANTITIES = {"push": "push on the logit", "weight": "weight", "value": "loss"}
SLIDERS = 6
LEAST, MOST = -12.0, 8.0
"""Ends of the sliders of logits."""
FOUND = 50


def show(view: View) -> None:
    """A document, its labels, and what each label gets under each loss."""
    from core.analysis import loss_effects, loss_logits, loss_tables
    from core.figures import losses

    # The document and its logits.
    left, right = st.columns([3, 2], gap="large")
    with right:
        logits = pick_logits(view, BY_HAND)
    with left:
        found = pick_document(view, logits)
    if found is None:
        return
    row, columns = found
    with right:
        if logits == BY_HAND:
            known = pick_by_hand(view, columns)
        elif logits in UNTRAINED:
            known = loss_logits.untrained_logits(logits, view.counts, view.documents)
        else:
            known = load_run_logits(view, logits, row)
    # The gradient by groups of labels.
    frame = loss_effects.stack([measure_effect(view, choice, columns, known) for choice in view.choices])
    shown = loss_tables.document_labels(frame)
    groups = loss_effects.group_slices(view.counts, view.borders)
    st.altair_chart(
        losses.gradient_shares(loss_tables.document_mass(frame, groups), view.choices),
        alt="Share of this document's gradient by groups of labels",
    )
    st.caption(
        "Strong colours: labels that the document has; pale: labels that it does not have. At the right: the whole "
        f"gradient, in units of {view.choices[0].title}."
    )
    # The gradient by label.
    show_legend(view, {choice.title for choice in view.choices})
    show_marks(
        losses.document_pushes(frame, view.choices, view.corpus.labels, shown),
        lambda mark: [view.corpus.labels[int(mark["column"])]],
        key="pushes",
        alt="Share of the gradient that each label gets under every loss",
    )
    others = view.labels - len(shown)
    st.caption(
        "✓ marks the document's own labels. To the right a logit is pushed up, to the left down; the axis widens small "
        "shares." + (f" The other {others:,} labels get less than those shown." if others else "")
    )
    # The same in numbers.
    quantity = pick_one("In numbers", QUANTITIES, "push", key="quantity", words=QUANTITIES)
    numbers = st.column_config.NumberColumn
    show_table(
        loss_tables.document_table(frame, view.corpus.labels, shown, quantity=quantity),
        ["label"],
        key=f"document-{quantity}",
        height="content",
        placeholder="–",
        column_config={
            "label": st.column_config.TextColumn(pinned=True),
            "there": st.column_config.CheckboxColumn(width="small"),
            "logit": numbers(format="%.2f", width="small"),
            **{choice.title: numbers(format="%.3g") for choice in view.choices},
        },
        alt="What each label of the document gets under every loss",
    )
    st.caption(describe_missing(view, set(frame.dropna(subset=[quantity])["loss"])))


def measure_effect(view: View, choice: Choice, columns: Any, logits: np.ndarray) -> pd.DataFrame:
    """What one loss gives every label of a document."""
    from core.analysis import loss_effects

    return loss_effects.document_frame(choice, view.counts, view.documents, columns, logits)


def pick_document(view: View, logits: str) -> tuple[int | None, list[int]] | None:
    """Draws the choice of a document and its text; returns its row, None for a pasted one, and its labels' columns."""
    corpus = view.corpus
    # From the data set, or pasted; a run has scores of test documents alone.
    from_run = logits not in (*UNTRAINED, BY_HAND)
    source = "the data set"
    if not from_run:
        source = pick_one("Document from", ("the data set", "pasted text"), "the data set", key="source")
    if source == "pasted text":
        return pick_pasted(view)
    # Documents of a part, with a label and with words.
    left, middle = st.columns(2, vertical_alignment="bottom")
    small, wide = st.columns([3, 4], vertical_alignment="bottom")
    parts = ["test"] if from_run else [part for part, rows in corpus.parts.items() if len(rows)]
    with small:
        part = st.selectbox("Part", parts, key=f"part-{'run' if from_run else 'all'}", disabled=from_run)
    with left:
        label = pick_label("With the label", "label", corpus.labels, None)
    words = middle.text_input("With the words", key="words", bind="query-params", placeholder="words in a row")
    column = None if label is None else corpus.labels.index(label)
    matched = find_documents(corpus, part, all_of=() if column is None else (column,), text=words)
    rows, found = matched[:FOUND].tolist(), len(matched)
    # The chosen one: that of the address if it is among them.
    asked = st.session_state.get("document", st.query_params.get("document"))
    if not rows:
        st.info(plain(f"No {part} document has these words and this label. Leave one of them out."))
        return None
    names, headings = {name_document(corpus, row): row for row in rows}, Headings(corpus)
    if asked not in names:
        st.session_state["document"] = next(iter(names))
    chosen = wide.selectbox(
        f"Document, of {found:,} found" + (f", the first {FOUND}" if found > FOUND else ""),
        list(names),
        format_func=lambda name: f"{name}  ·  {headings[names[name]]}",
        key="document",
        bind="query-params",
    )
    row = names[chosen]
    with st.container(border=True, height=150):
        if corpus.titles[row].strip():
            st.text(corpus.titles[row])
        st.text(corpus.bodies[row] or "(The document has no body.)")
    columns = find_labels(view, row)
    st.caption(plain(f"Its labels: {', '.join(corpus.labels[one] for one in columns) or 'none'}."))
    return row, columns


def find_labels(view: View, row: int) -> list[int]:
    """The columns of a document's labels that have a train document."""
    targets = view.corpus.targets
    held = targets.indices[targets.indptr[row] : targets.indptr[row + 1]].tolist()
    return [column for column in held if column < view.labels]


def pick_pasted(view: View) -> tuple[None, list[int]]:
    """Draws a field for a text and the choice of its labels."""
    text = st.text_area("Text", key="pasted", height=120, placeholder="Paste a document")
    offered = list(view.corpus.labels[: view.labels])
    if len(offered) > LABELS_OFFERED:
        typed = st.text_input("Its labels, separated by commas", key="pasted_names")
        names = [name.strip() for name in typed.split(",") if name.strip()]
        if unknown := [name for name in names if name not in offered]:
            raise UserError(
                f"There is no label '{unknown[0]}' with a train document. Look names up on the Explorer page."
            )
    else:
        names = st.multiselect("Its labels", offered, key="pasted_labels")
    words = set(text.lower().split())
    if hints := [name for name in offered if name.lower() in words and name not in names][:8]:
        st.caption(plain(f"Label names in the text: {', '.join(hints)}."))
    return None, sorted(offered.index(name) for name in set(names))


def load_run_logits(view: View, run_id: str, row: int | None) -> np.ndarray:
    """A run's logits of one test document."""
    from core.analysis import loss_logits

    known = load_predictions(folder.get_run(run_id))
    return loss_logits.logits_of(known, known.rows == row, view.labels)[0]


def pick_by_hand(view: View, columns: Sequence[int]) -> np.ndarray:
    """Draws a slider for the logit of each label of the document, and one for all that it does not have."""
    from core.analysis import loss_logits

    start = loss_logits.untrained_logits("prior", view.counts, view.documents)
    moved = {}
    for column in columns[:SLIDERS]:
        name = view.corpus.labels[column]
        moved[column] = st.slider(
            plain(f"✓ {name}"), LEAST, MOST, max(LEAST, round(float(start[column]), 1)), 0.1, key=f"z-{name}"
        )
    if len(columns) > SLIDERS:
        st.caption(f"The other {len(columns) - SLIDERS} labels stay where an untrained network has them.")
    others = st.slider("all labels that it does not have", LEAST, MOST, -4.0, 0.1, key="z")
    return loss_logits.logits_by_hand(start, columns, moved, others)

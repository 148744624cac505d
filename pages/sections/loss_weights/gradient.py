"""Where the gradient goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.metrics import kept_scores
from pages.sections.loss_weights import show_push_table
from pages.sections.loss_weights.logits import LOWEST, UNTRAINED, load_mass, load_sample, pick_logits

if TYPE_CHECKING:
    from pages.sections.loss_weights import View


def show(view: View) -> None:
    """Which labels the gradient goes to, over a sample of the data."""
    from core.analysis import loss_effects, loss_words
    from core.figures import losses

    left, _ = st.columns([4, 1])
    with left:
        logits = pick_logits(view, LOWEST, run_first=True)
    frame = loss_effects.stack([load_mass(view.corpus, choice, logits) for choice in view.choices])
    if said := loss_words.decision_in_words(frame):
        st.markdown(f"**{said}**")
    st.altair_chart(
        losses.gradient_shares(frame, view.choices),
        alt="Share of the gradient that goes to head, medium and tail labels that are there and not there",
    )
    targets, _ = load_sample(view.corpus, logits)
    from_run = logits not in (*UNTRAINED, LOWEST)
    part = "test" if from_run else "train"
    st.caption(
        f"Sum of the absolute gradients by the logits over {targets.shape[0]:,} {part} documents, drawn at random with "
        "a fixed seed. Strong colours: the label is there; pale: it is not. At the right: the whole gradient, in units "
        f"of {view.choices[0].title}."
    )
    for sentence in loss_words.mass_in_words(frame):
        st.markdown(f"- {sentence}")
    show_push_table(frame)
    if logits == LOWEST:
        st.caption(
            "All documents get the same logits, those at which the loss is lowest, where documents that have a label "
            "and those that do not pull alike. A network that reads begins so (`model.bias`). Losses without a term "
            "for each label get the log-odds."
        )
    if from_run and view.labels > kept_scores.DENSE_LABELS:
        st.caption(
            f"Of so many labels a run keeps the {kept_scores.TOP_K} best scores of a document: the others count as 0, "
            "and what goes to labels that are not there is a lower bound."
        )

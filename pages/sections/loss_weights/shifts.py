"""Shift and asymmetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.loss_weights import View, show_legend
from pages.shared.loaders import HASHES
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=HASHES)
def load_shifts(corpus: Corpus, choice: Choice, column: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    from core.analysis import loss_effects

    view = View(corpus)
    return (
        loss_effects.shift_frame([choice], view.counts, view.documents),
        loss_effects.tolerance_frame([choice], view.counts, view.documents, column),
    )


def show(view: View) -> None:
    """The shift by rank, and what tolerance leaves of a negative's push."""
    from core.analysis import loss_effects, loss_tables, loss_words
    from core.figures import losses

    column = view.labels - 1
    pairs = [load_shifts(view.corpus, choice, column) for choice in view.choices]
    shift, tolerance = loss_effects.stack([pair[0] for pair in pairs]), loss_effects.stack([pair[1] for pair in pairs])
    if not len(shift):
        st.info("None of these losses shifts logits or is tolerant of negatives. ntr-fl, db-0fl, cb-ntr and db are.")
        return
    show_legend(view, set(shift["loss"]), lines=True)
    left, right = st.columns(2, gap="large")
    bands = loss_tables.group_bands(view.counts, view.borders)
    with left:
        st.markdown("**How far the bar is raised**")
        st.altair_chart(
            losses.shift_by_rank(shift, view.choices, bands, labels=view.labels),
            alt="Shift of the logit of each label by its rank",
        )
        st.caption(
            "In training a label counts as found from this logit on, not from 0: the rarer, the higher. "
            "Scores are made from the raw logit, so that nothing is shifted later."
        )
    with right:
        st.markdown("**What tolerance leaves of a negative's push**")
        st.altair_chart(
            losses.tolerance(tolerance, view.choices), alt="Push of a negative by its logit, against cross-entropy"
        )
        st.caption(
            plain(f"For the rarest label, {view.corpus.labels[column]}. ")
            + "Left of 0 the model is right already: below the dashed line it is pushed less than by cross-entropy."
        )
    for sentence in loss_words.shift_in_words(shift, tolerance):
        st.markdown(f"- {sentence}")

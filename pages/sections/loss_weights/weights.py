"""Weight by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.loss_weights import View, describe_missing, load_co_labels, show_legend
from pages.shared.loaders import HASHES
from pages.shared.pick import pick_one

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus

SIDES = {"positive": "is there", "negative": "is not there"}


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=HASHES)
def load_weights(corpus: Corpus, choice: Choice, side: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    from core.analysis import loss_weights

    view = View(corpus)
    known = load_co_labels(corpus)
    return (
        loss_weights.weight_frame([choice], view.counts, view.documents, known, corpus.labels, side),
        loss_weights.group_weights([choice], view.counts, view.documents, known, view.borders, side),
    )


def show(view: View) -> None:
    """Weight by label rank, and what a tail label weighs in words."""
    from core.analysis import loss_effects, loss_tables
    from core.figures import losses

    # The weights of one side, by rank.
    side = pick_one("Weight where the label", SIDES, "positive", key="side", words=SIDES)
    frames, means = zip(*(load_weights(view.corpus, choice, side) for choice in view.choices), strict=True)
    frame, table = loss_effects.stack(frames), loss_effects.stack(means)
    bands = loss_tables.group_bands(view.counts, view.borders)
    if not len(frame):
        st.info("None of these losses has a weight for each label: they compare all labels of a document or a batch.")
        return
    show_legend(view, set(frame["loss"]), lines=True)
    st.altair_chart(
        losses.weight_by_rank(frame, view.choices, bands, labels=view.labels, side=side),
        alt="Weight of each label by its rank, for every loss",
    )
    st.caption(
        "What the log-loss of a label counts, before it is modulated. Rebalanced weights depend on the other labels "
        "of the document: the line is their mean over documents, the band holds nine in ten."
        + describe_missing(view, set(table["loss"]))
    )
    # Means by group.
    with_words = loss_tables.group_table(table, side)
    column = st.column_config
    st.dataframe(
        with_words,
        hide_index=True,
        height="content",
        column_config={
            "loss": column.TextColumn(width="small"),
            "in words": column.TextColumn(width="large"),
            **{group: column.NumberColumn(format="%.4g", width="small") for group in ("head", "medium", "tail")},
        },
        alt="Mean weight of head, medium and tail labels under every loss",
    )

"""Loss and gradient against the logit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.loss_weights import View, describe_missing, show_legend
from pages.shared.loaders import HASHES
from pages.shared.pick import pick_label, pick_one

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=HASHES)
def load_curve(corpus: Corpus, choice: Choice, column: int, beside: bool) -> pd.DataFrame:
    from core.analysis import loss_effects

    view = View(corpus)
    return loss_effects.curve_frame([choice], view.counts, view.documents, column, beside=beside)


def show(view: View) -> None:
    """Loss and gradient of a head, a medium and a tail label by their logits."""
    from core.analysis import loss_effects
    from core.figures import losses as figures

    company = {"beside": "beside the most frequent label", "alone": "alone in its document"}
    beside = pick_one(
        "The label that is there stands",
        company,
        "beside",
        key="company",
        words=company,
        about="Rebalanced losses weigh a label by its company. Where it is not there, its document has the most "
        "frequent label.",
    )
    # What can be drawn: groups with labels, losses with a curve for one label.
    groups = [
        (group, part)
        for group, part in loss_effects.group_slices(view.counts, view.borders).items()
        if part.stop > part.start
    ]
    drawn = [choice for choice in view.choices if loss_effects.is_elementwise(choice.name)]
    if not drawn:
        st.info("None of these losses has a curve for one label: they compare all labels of a document or a batch.")
        return
    show_legend(view, {choice.title for choice in drawn})
    # A label of each group; the charts of all have the same axes.
    places, frames = st.columns(3), {}
    for place, (group, part) in zip(places, groups, strict=False):
        with place:
            names = view.corpus.labels[part]
            default = {"head": names[0], "medium": names[len(names) // 2], "tail": names[-1]}[group]
            label = pick_label(f"{group.capitalize()} label", f"{group}_label", names, default)
            column = view.corpus.labels.index(label if label is not None else default)
            frames[group] = loss_effects.stack(
                [load_curve(view.corpus, choice, column, beside == "beside") for choice in drawn]
            )
            st.caption(f"{view.counts[column]:,} of {view.documents:,} train documents carry it.")
    for quantity in ("value", "gradient"):
        top = figures.highest_of(list(frames.values()), quantity)
        for place, (group, frame) in zip(places, frames.items(), strict=False):
            place.altair_chart(
                figures.by_logit(frame, view.choices, quantity=quantity, top=top),
                key=f"{group}-{quantity}",
                alt=f"{quantity} of a {group} label by its logit",
            )
    st.caption(
        "Full lines: the label is there, and is pushed up. Dashed: it is not, and is pushed down. "
        "Losses and pushes are on logarithmic axes; a push is the size of the gradient by the logit."
        + describe_missing(view, {choice.title for choice in drawn})
    )

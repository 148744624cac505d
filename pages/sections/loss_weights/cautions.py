"""What to know before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.loss_weights import View, load_co_labels
from pages.sections.loss_weights.logits import load_mass
from pages.shared.loaders import HASHES
from pages.shared.text import plain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus


def show(view: View, place: DeltaGenerator | None = None) -> None:
    """Draws what can go wrong with the chosen losses on this data, which have nothing to beware of, and the rate.

    Args:
        view: the data and the losses.
        place: of what is no warning; below the warnings where there is none.
    """
    from core.analysis.loss_cautions import rate_caution, start_caution

    said, starts, fine = [], {}, []
    if missing := len(view.corpus.labels) - view.labels:
        names = ", ".join(view.corpus.labels[view.labels : view.labels + 5]) + (", ..." if missing > 5 else "")
        labels = "label has" if missing == 1 else "labels have"
        said.append(f"{missing:,} {labels} no train document ({names}): training leaves them out, nothing is drawn.")
    for choice in view.choices:
        if choice.title == choice.name:
            found = find_cautions(view.corpus, choice)
            if start := start_caution(load_mass(view.corpus, choice, "prior")):
                found = [*found, start]
            said += [f"{choice.title}: {sentence}" for sentence in found]
            fine += [] if found else [choice.title]
            starts[choice.title] = measure_start(view.corpus, choice)
    if said:
        st.warning("\n".join(f"- {plain(sentence)}" for sentence in said))
    notes = []
    if fine:
        notes.append(f"Nothing to warn about with {', '.join(fine)}: weights, bars and first gradients are moderate.")
    if rate := rate_caution(starts):
        notes.append(rate)
    if notes:
        (place or st.container()).caption(plain(" ".join(notes)))


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=HASHES)
def find_cautions(corpus: Corpus, choice: Choice) -> list[str]:
    from core.analysis import loss_cautions

    view = View(corpus)
    return loss_cautions.cautions(choice, view.counts, view.documents, load_co_labels(corpus), view.borders)


def measure_start(corpus: Corpus, choice: Choice) -> float:
    """The size of a loss's first gradient in units of cross-entropy's."""
    from core.analysis import loss_cautions, loss_effects

    return loss_cautions.start_ratio(
        load_mass(corpus, choice, "prior"), load_mass(corpus, loss_effects.Choice("bce", "bce"), "prior")
    )

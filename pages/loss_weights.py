"""Loss weights: what each loss does to the labels and documents of a data set, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.config.schema import DataConfig
from core.system.errors import UserError
from pages.sections.loss_weights import View, advice, cards, cautions, curves, document, gradient, shifts, weights
from pages.shared import current
from pages.shared.loaders import load_corpus
from pages.shared.menu import show_header
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.data.corpus import Corpus

VIEWS = {
    "Weight by label": weights.show,
    "Shift and asymmetry": shifts.show,
    "Loss by logit": curves.show,
    "One document": document.show,
    "Where the gradient goes": gradient.show,
}
"""The tabs; the name of the open one stands in the address."""
STICKY = """<style>
[data-testid="stColumn"]:has(> div .st-key-loss-controls) {
  position: sticky; top: 3.5rem; align-self: flex-start; max-height: calc(100vh - 4.5rem); overflow-y: auto;
}
.st-key-loss-controls .katex { font-size: 0.85em; }
.st-key-loss-views [role="tablist"] { flex-wrap: wrap; row-gap: 0; }
@media (max-width: 1250px) { .st-key-loss-controls .katex { font-size: 0.72em; } }
</style>"""
"""The column of controls stays in sight while the page is scrolled."""


def show() -> None:
    show_header(
        "Loss weights", "What each loss does to your labels, before you train: which it lifts, which it lets fade."
    )
    config = current.data()
    corpus = load_corpus(config)
    with st.spinner("Loading PyTorch"):
        from core.figures import losses as figures  # noqa: F401 - loads torch, once in a server's life
    show_comparison(config, corpus)


@st.fragment
def show_comparison(config: DataConfig, corpus: Corpus) -> None:
    """Everything that depends on the losses: a control moved here leaves the rest of the page alone."""
    try:
        view = View(corpus, config)
        if not view.labels:
            raise UserError("No label has a train document: there is nothing to weigh. Choose another split or set.")
        advice.show(view)
        # Controls at the left, which stay in sight; what they draw at the right.
        st.html(STICKY)
        left, right = st.columns([4, 7], gap="medium")
        with left.container(key="loss-controls"):
            names, setting = cards.pick_losses(view)
            if not names:
                raise UserError("Choose at least one loss to see what it does.")
            view = View(corpus, config, tuple(cards.show_cards(view, names, setting)))
        with right.container(key="loss-views"):
            warnings = st.container()
            if view.choices:
                for tab, draw in zip(
                    st.tabs(list(VIEWS), key="view", bind="query-params"), VIEWS.values(), strict=True
                ):
                    if tab.open:
                        with tab:
                            draw(view)
            notes = st.container()
            with warnings:  # last: the first gradients of a moved loss take longer than its chart
                cautions.show(view, notes)
    except UserError as error:
        st.error(plain(str(error)))


if __name__ == "__main__":
    import app

    app.main("loss_weights")

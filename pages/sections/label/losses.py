"""What each loss does to a label before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.config.defaults import LOSS_NAMES, PAPER_LOSSES
from core.runs.plan import choose_setting
from pages.sections.label import show_no_data
from pages.sections.loss_weights.cards import load_auto_mu
from pages.shared.downloads import offer_csv
from pages.shared.loaders import HASHES
from pages.shared.menu import link

if TYPE_CHECKING:
    import pandas as pd

    from core.data.corpus import Corpus
    from pages.sections.label import Label


@st.cache_data(max_entries=64, show_spinner="Weighing the label", hash_funcs=HASHES)
def load_weights(corpus: Corpus, column: int) -> pd.DataFrame:
    """Weights and shift of a label under every loss."""
    from core.analysis import loss_effects, loss_weights
    from core.analysis.loss_effects import Choice

    counts, documents = corpus.counts[corpus.counts > 0], len(corpus.parts["train"])
    setting = choose_setting(corpus.name)
    rule = load_auto_mu(corpus) if setting == "plain" else None
    choices = [Choice(name, name, setting, rule_mu=rule) for name in LOSS_NAMES]
    ratios = loss_weights.measure_label(corpus.targets_of("train"), counts, column)
    table = loss_weights.label_weights(choices, counts, documents, ratios, column)
    bars = loss_effects.label_shifts(choices, counts, documents, column)
    return table.merge(bars, on="loss", how="left")


def show(label: Label) -> None:
    """A row a loss: weight where the label is there and where it is not, how far the bar is raised."""
    if label.corpus is None:
        show_no_data()
        return
    if not label.counts[label.column]:
        st.info("No train document has this label: no loss can teach it.")
        return
    table = load_weights(label.corpus, label.column)
    names = [*PAPER_LOSSES, *(name for name in table["loss"] if name not in PAPER_LOSSES)]
    table = table.set_index("loss").loc[names].reset_index()
    for side in ("positive", "negative"):
        low, high = table[f"{side}_low"], table[f"{side}_high"]
        same = (high <= low * 1.001) | low.isna()
        table[f"{side}_range"] = [
            "" if one else f"{a:.3g} to {b:.3g}" for one, a, b in zip(same, low, high, strict=True)
        ]
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    setting = choose_setting(label.corpus.name)
    st.caption(
        "What the log-loss of this label counts before it is modulated, over the train documents that have it and over "
        "those that lack it; where that differs from document to document, nine in ten lie in the range. Constants: "
        + ("the paper's for Reuters." if setting == "reuters" else "scale 1, and mu by the authors' rule on this set.")
    )
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_order=["loss", "positive", "positive_range", "negative", "negative_range", "shift", "stretch"],
        column_config={
            "loss": text("Loss"),
            "positive": number("Where it is there", format="%.3g", help="1 is plain binary cross-entropy."),
            "positive_range": text("range"),
            "negative": number("Where it is not", format="%.3g"),
            "negative_range": text("range "),
            "shift": number("Bar raised by", format="%.2f", help="In training it counts as found from this logit on."),
            "stretch": number(
                "lambda", format="%.3g", help="How much steeper the loss is where the label is not there."
            ),
        },
        alt="Weights of the label under every loss",
    )
    offer_csv(f"label-{label.column + 1}-losses", table)
    link("loss_weights", "All labels on Loss weights")

"""Which loss for this data: three sentences, what published runs say, and the way to train three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.labels.groups import paper_borders
from core.runs.folder import list_runs
from pages.sections.loss_weights import View
from pages.shared.loaders import HASHES
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis.loss_advice import Advice
    from core.data.corpus import Corpus

EVIDENCE = "reuters"
"""The data set of the published runs."""


@st.cache_data(max_entries=32, show_spinner="Measuring the data set", hash_funcs=HASHES)
def load_advice(corpus: Corpus) -> Advice:
    from core.analysis import loss_advice

    view = View(corpus)
    return loss_advice.advise(
        loss_advice.measure_traits(corpus.targets_of("train"), view.counts, paper_borders(view.labels))
    )


@st.cache_data(ttl=600, show_spinner=False)
def load_evidence() -> pd.DataFrame:
    from core.analysis import loss_advice

    return loss_advice.evidence_table(run for run in list_runs() if run.published and run.config.data.name == EVIDENCE)


def show(view: View) -> None:
    """The recommendation in the title, its reasons inside."""
    from core.analysis import loss_advice

    advice = load_advice(view.corpus)
    best, *others = advice.losses
    title = f"**Which loss for my data?** Begin with {best}, beside {' and '.join(others)}"
    place = st.expander(title, key="advice", on_change="rerun", bind="query-params")
    if not place.open:
        return
    with place:
        left, right = st.columns([3, 2], gap="large")
        evidence = load_evidence()
        with left:
            for sentence in advice.sentences:
                st.markdown(f"- {plain(sentence)}")
            if said := loss_advice.evidence_in_words(evidence, advice, EVIDENCE):
                st.markdown(f"- {plain(said)}")
            st.markdown(
                f"**Begin with {best}**, and train {' and '.join(others)} beside it. Whether the difference is more "
                "than chance, Compare says after three seeds."
            )
            config = view.config
            sizes = {f"synthetic_{key}": str(value) for key, value in config.synthetic_changes().items()}
            query: dict[str, str | list[str]] = {
                "data": config.name,
                "split": config.split,
                "models": ["tfidf"],
                "losses": list(advice.losses),
                "seeds": "0-2",
                **sizes,
            }
            link("launcher", "Train these three", query)  # fills a form; nothing starts
        with right:
            if len(evidence):
                number = st.column_config.NumberColumn
                st.dataframe(
                    evidence,
                    hide_index=True,
                    height=250,
                    column_order=["loss", "micro", "macro", "tail", "seeds"],
                    column_config={
                        "micro": number("test micro-F1", format="%.1f"),
                        "macro": number("test macro-F1", format="%.1f"),
                        "tail": number("test tail F1", format="%.1f"),
                    },
                    alt="Published scores of each loss on Reuters",
                )
                st.caption(
                    f"Published runs on {EVIDENCE}, {evidence['model'].iloc[0]}, each by its own threshold rule."
                )

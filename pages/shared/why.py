"""Why a label was given to a text or not: the sum as a chart, the words in the text, training documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import why
from core.config.defaults import MODELS
from core.config.schema import ModelConfig
from core.data.documents import Headings
from core.figures.why import waterfall
from core.models.tfidf_features import TfidfEncoder
from core.system.errors import UserError
from pages.shared.downloads import offer_csv
from pages.shared.loaders import HASHES, load_scorer
from pages.shared.menu import link
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    from core.analysis.why import Why
    from core.data.corpus import Corpus
    from core.metrics.thresholds import Limits
    from core.runs.folder import Run

NEAREST = 5
"""Training documents that are shown."""
TEXT_HEIGHT = 420
LONGEST = 50_000
"""Letters of a text that are shown."""


def find_limit(limits: Limits | None, label: int) -> float | None:
    """The threshold of one label; None where labels are chosen by rank."""
    if limits is None:
        return None
    return float(limits) if isinstance(limits, int | float) else float(limits[label])


def explain_label(run: Run, text: str, label: int, limits: Limits | None) -> Why | None:
    """What decided on a label of a text; None where the run's model cannot be read, which is said."""
    try:
        scorer = load_scorer(run)
    except UserError as error:
        st.caption(plain(str(error)))
        return None
    margins = MODELS[run.config.model.name].margins
    with st.spinner("Weighing the words", show_time=True):
        return why.explain(scorer, text, label, find_limit(limits, label), margins=margins)


def show_sum(run: Run, found: Why, label: str, train: int) -> None:
    """How far the sum is from the threshold, and the chart of what it is made of."""
    st.markdown(f"**{plain(shorten(label, 80))}**: {plain(why.describe(found, train=train))}")
    if found.words.empty:
        st.caption("No word of this text is known to the model: the sum is what it has without any.")
    st.plotly_chart(
        waterfall(found),
        key=f"why-{run.id}-{label}",
        config={"displayModeBar": False},
        alt=f"What the sum of {label} is made of, from its start to the threshold",
    )
    st.caption(load_scorer(run).how)
    offer_csv("words", found.words)


def show_text(text: str, words: pd.DataFrame | None) -> None:
    """A text as it is, the words that moved the label coloured; nothing of it is read as HTML or Markdown."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}\n\n(The first {LONGEST:,} of {len(text):,} letters.)"
    with st.container(border=True, height=TEXT_HEIGHT):
        if words is None or words.empty:
            st.text(text)
        else:
            st.html(f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">{why.highlight(text, words)}</div>')


@st.cache_resource(max_entries=2, show_spinner="Weighing the words of the training documents", hash_funcs=HASHES)
def load_neighbours(corpus: Corpus) -> tuple[TfidfEncoder, sp.csr_array]:
    """An encoder and the features of the training documents, (n, V); at most `why.MOST_NEAREST` of them."""
    rows = corpus.parts["train"][: why.MOST_NEAREST]
    encoder = TfidfEncoder.fit(corpus.texts(rows), ModelConfig(max_features=50_000, min_df=1))
    return encoder, encoder.encode(corpus.texts(rows))


def show_training(corpus: Corpus, text: str, label: str, own: int | None = None) -> None:
    """The training documents of a label, and those that are most like a text, with their labels.

    Args:
        corpus: of the run.
        text: that was labelled.
        label: that was asked for.
        own: row of the text, where it is a document of the corpus.
    """
    column, rows = corpus.labels.index(label), corpus.parts["train"]
    having = rows[corpus.targets[rows][:, [column]].toarray().ravel()]
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption(plain(f"Training documents with {shorten(label, 60)}: {len(having):,}."))
        if len(having):
            list_documents(corpus, having[:NEAREST], "having")
            link("label", f"All documents of {plain(shorten(label, 60))}", {"name": label, "view": "Documents"})
    with right:
        try:
            encoder, matrix = load_neighbours(corpus)
        except UserError as error:
            st.caption(plain(str(error)))
            return
        places, cosines = why.find_nearest(matrix, encoder.encode([text]), limit=NEAREST + 1)
        kept = [number for number, place in enumerate(places.tolist()) if rows[place] != own][:NEAREST]
        searched = "" if len(rows) <= matrix.shape[0] else f" Of the first {matrix.shape[0]:,}."
        st.caption(f"Training documents most like it, by the words they share.{searched}")
        if not kept:
            st.caption("None shares a word with it.")
            return
        list_documents(corpus, rows[places[kept]], "nearest", cosines[kept])


def list_documents(corpus: Corpus, rows: np.ndarray, key: str, cosines: Sequence[float] | np.ndarray = ()) -> None:
    """A few documents with their labels, and how like they are where that is known."""
    titles = Headings(corpus)
    column = st.column_config
    st.dataframe(
        {
            "id": [str(corpus.ids[row]) for row in rows],
            "title": [titles[int(row)] for row in rows],
            "labels": [
                ", ".join(corpus.labels[place] for place in corpus.targets[[row]].indices) for row in rows.tolist()
            ],
            **({"alike": list(cosines)} if len(cosines) else {}),
        },
        key=f"train-{key}",
        hide_index=True,
        column_config={
            "id": column.TextColumn(width=60),
            "title": column.TextColumn(width=190),
            "labels": column.TextColumn(width=150),
            "alike": column.NumberColumn(format="%.2f", help="cosine of the words' TF-IDF, 1: the same words"),
        },
        alt="Training documents with their labels",
    )

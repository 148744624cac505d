"""Loss weights: what each loss makes of the label counts of a data set."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.config import LOSS_NAMES, SETTINGS, UserError
from core.data import Corpus
from core.labels import default_borders
from pages import corpus_of, header, pick_data, pick_label

SHOWN_FIRST = ("bce", "fl", "cb", "r-fl", "db")
COMPANY = {"alone": "alone in its document", "beside": "beside the most frequent label"}
LINES = "Full line: the label is there. Dashed: it is not."
BY_CONTENT: dict[Any, Any] = {Corpus: lambda corpus: corpus.fingerprint}


def show() -> None:
    header(
        "Loss weights", "What each loss makes of the real label counts: which labels it lifts, and what it lets fade."
    )
    corpus = corpus_of(pick_data())
    names = pick_losses()
    if not names:
        raise UserError("Choose at least one loss to see what it does.")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    company = left.segmented_control(
        "The label stands",
        list(COMPANY),
        format_func=COMPANY.__getitem__,
        default="beside",
        required=True,
        key="company",
        bind="query-params",
        help="Rebalanced losses (r-fl, db-0fl, db) weigh a label by its company. Alone in its document every label "
        "weighs the same. Beside a frequent label, a rare one keeps its weight while the frequent one loses its own.",
    )
    setting = right.segmented_control(
        "Constants",
        SETTINGS,
        default="reuters",
        required=True,
        key="setting",
        bind="query-params",
        help="reuters and pubmed: the paper's scale and mu for these sets. plain: scale 1, and mu from the data.",
    )
    with st.spinner("Loading PyTorch"):
        from core.figures import losses as figures  # loads torch
    bands = figures.group_bands(corpus.counts, default_borders(len(corpus.labels)))
    st.subheader("Weight by label rank")
    st.altair_chart(
        figures.weight_by_rank(weights(corpus, names, setting, company), bands, labels=len(corpus.labels)),
        alt="Weight of a positive on each label, by label rank, for every loss",
    )
    st.caption(
        f"What the log-loss of a label that is there counts, before it is modulated, when the label stands "
        f"{COMPANY[company]}. Both axes are logarithmic." + absent(corpus)
    )
    curves(corpus, names, setting)
    readings(corpus, names, setting)


def pick_losses() -> tuple[str, ...]:
    """Draws the choice of losses and returns them in the usual order."""
    chosen = st.pills(
        "Losses", LOSS_NAMES, selection_mode="multi", default=SHOWN_FIRST, key="losses", bind="query-params"
    )
    return tuple(name for name in LOSS_NAMES if name in chosen)


def absent(corpus: Corpus) -> str:
    """Says how many labels have no weight."""
    missing = sum(1 for count in corpus.counts.tolist() if not count)
    return f" {missing} labels without a train document have no weight in most losses." if missing else ""


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def weights(corpus: Corpus, names: tuple[str, ...], setting: Any, company: str) -> Any:
    from core.figures import losses as figures

    beside = 0 if company == "beside" else None
    train = len(corpus.parts["train"])
    return figures.weight_frame(names, corpus.counts, train, setting, beside=beside, labels=corpus.labels)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_CONTENT)
def curve(corpus: Corpus, names: tuple[str, ...], setting: Any, label: int) -> Any:
    from core.figures import losses as figures

    return figures.curve_frame(names, corpus.counts, len(corpus.parts["train"]), label, setting)


def curves(corpus: Corpus, names: tuple[str, ...], setting: Any) -> None:
    """Modulating factor and loss of one label by its logit."""
    from core.figures import losses as figures

    st.subheader("One label, by its logit")
    counted = [name for name, count in zip(corpus.labels, corpus.counts.tolist(), strict=True) if count]
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        label = pick_label("Label", "label", counted, counted[-1])
    if label is None:
        return
    column = corpus.labels.index(label)
    right.caption(f"{corpus.counts[column]:,} of {len(corpus.parts['train']):,} train documents carry it.")
    frame = curve(corpus, names, setting, column)
    left, right = st.columns(2, gap="large")
    left.altair_chart(
        figures.by_logit(frame, quantity="factor", title="modulating factor"), alt="Modulating factor by logit"
    )
    left.caption("What is left of the weight: near 0 where the model is right and sure. " + LINES)
    right.altair_chart(figures.by_logit(frame, quantity="value", title="loss"), alt="Loss by logit")
    right.caption("Weight times modulating factor times the log-loss, on a logarithmic axis. " + LINES)


def readings(corpus: Corpus, names: tuple[str, ...], setting: Any) -> None:
    """Every loss in a sentence and as a formula."""
    from core.figures import losses as figures

    st.subheader("In words and as a formula")
    for place, name in enumerate(names):
        if place % 2 == 0:
            pair = st.columns(2)
        with pair[place % 2].container(border=True, height="stretch"):
            said = figures.sentences(name)
            st.markdown(f"**{said['title']}** · `{name}`")
            st.markdown(said["reading"])
            st.latex(said["formula"])
            words = figures.constants_in_words(name, corpus.counts, len(corpus.parts["train"]), setting)
            st.caption(f"Constants: {words}.")
    with st.expander("Symbols"):
        st.markdown(
            "Document $k$, label $i$, logit $z_{ki}$; $n_i$ of $N$ train documents carry label $i$; "
            "$c$ is the scale, $\\alpha_t$ the focal constant. Of two values, the first is for labels "
            "that are there, the second for those that are not."
        )
        for symbol in figures.symbols(names):
            st.latex(symbol)


if __name__ == "__main__":
    import app

    app.main("loss_weights")

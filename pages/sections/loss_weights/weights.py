"""Weight by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.sections.loss_weights import (
    View,
    describe_missing,
    load_co_labels,
    load_ratios,
    show_legend,
    show_push_table,
)
from pages.sections.loss_weights.logits import load_mass
from pages.shared.downloads import offer_csv
from pages.shared.labels import HINT, show_marks, show_table
from pages.shared.loaders import HASHES
from pages.shared.pick import LABELS_OFFERED, pick_label, pick_one

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


@st.cache_data(max_entries=16, show_spinner="Weighing every label", hash_funcs=HASHES)
def load_table(corpus: Corpus, choices: tuple[Choice, ...]) -> pd.DataFrame:
    from core.analysis import loss_weights

    view = View(corpus)
    return loss_weights.label_table(
        choices, view.counts, view.documents, load_ratios(corpus), corpus.labels, view.borders
    )


def show(view: View) -> None:
    """Weight by label rank, a label that is looked for, what a tail label weighs in words, and every label."""
    from core.analysis import loss_effects, loss_tables, loss_weights
    from core.figures import losses

    # The weights of one side, by rank.
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        side = pick_one("Weight where the label", SIDES, "positive", key="side", words=SIDES)
    with right:
        label = pick_label("Show a label", "mark", view.corpus.labels[: view.labels], None)
    frames, means = zip(*(load_weights(view.corpus, choice, side) for choice in view.choices), strict=True)
    frame, table = loss_effects.stack(frames), loss_effects.stack(means)
    bands = loss_tables.group_bands(view.counts, view.borders)
    if not len(frame):
        st.info("None of these losses has a weight for each label: they compare all labels of a document or a batch.")
        return
    found = None
    if label is not None:
        column = view.corpus.labels.index(label)
        found = loss_weights.mark_label(
            view.choices, view.counts, view.documents, load_ratios(view.corpus), view.corpus.labels, column, side
        )
    show_legend(view, set(frame["loss"]))
    show_marks(
        losses.weight_by_rank(frame, view.choices, bands, labels=view.labels, side=side, found=found),
        lambda mark: view.corpus.labels[int(mark["start"] - 0.5) : int(mark["end"] - 0.5)],
        key=f"weights-{side}",
        alt="Weight of each label by its rank, for every loss",
    )
    marks = "A mark is a label" if view.labels <= loss_weights.LABELS_DRAWN else "A step is some labels of like rank"
    st.caption(
        f"What the log-loss of a label counts, before it is modulated. {marks}. Rebalanced weights depend on the other "
        "labels of the document: the mark is their mean over documents, the band holds nine in ten."
        + describe_missing(view, set(table["loss"]))
    )
    # Means by group.
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config={group: number(format="%.4g") for group in ("head", "medium", "tail")},
        alt="Mean weight of head, medium and tail labels under every loss",
    )
    if side == "positive" and (said := loss_tables.ratios_in_words(table)):
        st.markdown(said)
    show_pushes(view)
    show_labels(view, side)


def show_pushes(view: View) -> None:
    """For each group, how hard labels are pushed up where they are there, against down where they are not."""
    from core.analysis import loss_effects

    frame = loss_effects.stack([load_mass(view.corpus, choice, "prior") for choice in view.choices])
    show_push_table(frame)
    st.caption(
        "In an untrained network, at the log-odds of each label, over some train documents: all pushes on labels "
        "that are there against all on labels that are not. Under cross-entropy both are alike there."
    )


def show_labels(view: View, side: str) -> None:
    """Every label's weights on one side as a table, which a click on a heading sorts; those on both as a file."""
    st.markdown(f"**Every label, where it {SIDES[side]}**")
    st.caption(HINT)
    if view.labels > LABELS_OFFERED and not st.toggle("Show the table", key="every", bind="query-params"):
        return
    table = load_table(view.corpus, view.choices)
    number = st.column_config.NumberColumn
    ending = " there" if side == "positive" else " absent"
    weights = {name: name.removesuffix(ending) for name in table if name.endswith(ending)}
    show_table(
        table,
        ["label"],
        key="every_label",
        height=350,
        placeholder="–",
        column_order=[*table.columns[:4], *weights],
        column_config={
            "label": st.column_config.TextColumn(pinned=True),
            "documents": number("train", format="localized", help="Train documents."),
            **{name: number(title, format="%.4g") for name, title in weights.items()},
        },
        alt=f"Weight of every label where it {SIDES[side]}, under every loss",
    )
    offer_csv(f"loss-weights-{view.config.name}", table)

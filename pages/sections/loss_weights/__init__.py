"""The parts of the page on loss weights, and what they share: the data and the losses that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.config.schema import DataConfig
from core.labels.groups import Borders, default_borders
from pages.shared.loaders import HASHES

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    import pandas as pd

    from core.analysis.loss_effects import Choice
    from core.analysis.loss_weights import CoLabels
    from core.data.corpus import Corpus

FIRST = DataConfig()


@dataclass(frozen=True)
class View:
    """What all sections look at: the data, and the losses that are compared."""

    corpus: Corpus
    config: DataConfig = FIRST
    choices: tuple[Choice, ...] = ()

    @property
    def labels(self) -> int:
        """K, the labels with a train document."""
        return int((self.corpus.counts > 0).sum())

    @property
    def counts(self) -> np.ndarray:
        """Their train documents, (K,)."""
        return self.corpus.counts[: self.labels]

    @property
    def documents(self) -> int:
        """N."""
        return len(self.corpus.parts["train"])

    @property
    def borders(self) -> Borders:
        """Of head, medium and tail."""
        return default_borders(self.corpus.name, self.corpus.counts)


@st.cache_resource(max_entries=8, show_spinner="Counting which labels come together", hash_funcs=HASHES)
def load_co_labels(corpus: Corpus) -> CoLabels:
    from core.analysis.loss_weights import measure_co_labels

    view = View(corpus)
    return measure_co_labels(corpus.targets_of("train"), view.counts, view.borders)


@st.cache_resource(max_entries=8, show_spinner="Measuring every label", hash_funcs=HASHES)
def load_ratios(corpus: Corpus) -> dict[str, np.ndarray]:
    """The quantiles of r of every label, on both sides."""
    from core.analysis.loss_weights import measure_labels

    return measure_labels(corpus.targets_of("train"), View(corpus).counts)


def describe_missing(view: View, drawn: Collection[str]) -> str:
    """A sentence on the losses that are not drawn because they have no value of their own for each label."""
    lacking = [choice.title for choice in view.choices if choice.title not in drawn]
    return f" Not shown here, as they compare all labels at once: {', '.join(lacking)}." if lacking else ""


def show_legend(view: View, drawn: Collection[str], *, lines: bool = False) -> None:
    """Draws the colours of the losses whose titles are `drawn`."""
    from core.figures import losses as figures

    choices = [choice for choice in view.choices if choice.title in drawn]
    st.altair_chart(figures.legend(choices, lines=lines), alt="Colours of the losses")


def show_push_table(frame: pd.DataFrame) -> None:
    """Draws how hard each loss pushes the labels of each group up, against down; `frame` is of `gradient_mass`."""
    from core.analysis import loss_tables

    st.markdown("**Push up : push down**")
    st.dataframe(
        loss_tables.push_table(frame),
        hide_index=True,
        height="content",
        placeholder="–",
        alt="Push up against push down of head, medium and tail labels under every loss",
    )

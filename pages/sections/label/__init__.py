"""The parts of the page on one label, and what they share: the label, its data set, the current run and all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import one_label
from pages.sections.errors.chosen import as_trained
from pages.shared.loaders import HASHES, load_predictions
from pages.shared.menu import link

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from core.data.corpus import Corpus
    from core.labels.groups import Borders
    from core.runs.folder import Run


@dataclass(frozen=True)
class Label:
    """What all sections look at.

    Attributes:
        corpus: the data set; None where it cannot be had.
        names: of the L labels, the most frequent first.
        column: of the label.
        counts: train documents of each label, (L,).
        borders: of head, medium and tail.
        run: the current run; None where there is none.
        runs: the finished runs on the data set.
        titles: of these, by id.
    """

    corpus: Corpus | None
    names: Sequence[str]
    column: int
    counts: Sequence[int] | np.ndarray
    borders: Borders
    run: Run | None
    runs: list[Run]
    titles: dict[str, str]

    @property
    def name(self) -> str:
        """The label itself."""
        return self.names[self.column]


@st.cache_resource(max_entries=512, show_spinner="Counting errors", hash_funcs=HASHES)
def load_errors(run: Run) -> tuple[np.ndarray, int]:
    """Hits, wrongly given and missed of every label on the test part as trained, (3, L), and the documents there."""
    targets = load_predictions(run).targets
    return one_label.count_errors(targets, as_trained(run, "test")), targets.shape[0]


def show_no_run() -> None:
    """Draws that there is no run to show, and the way to one."""
    st.info("There is no finished run on this data set yet.")
    link("launcher")


def show_no_data() -> None:
    """Draws that the data set itself cannot be had."""
    st.info("The data set cannot be opened here, so its documents cannot be counted or read.")

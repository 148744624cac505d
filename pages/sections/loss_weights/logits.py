"""Logits to look at losses with, of an untrained network or of a finished run, and the gradients that they give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from core.config.defaults import MODELS
from core.runs.folder import Run, get_run, list_runs, run_id
from core.runs.layout import runs_dir
from pages.sections.loss_weights import View
from pages.shared.loaders import HASHES, load_predictions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    from core.analysis.loss_effects import Choice
    from core.config.schema import DataConfig
    from core.data.corpus import Corpus

UNTRAINED = {"prior": "untrained, log-odds of each label", "zero": "untrained, all logits 0"}
LOWEST = "untrained, where each loss is lowest"


def pick_logits(view: View, *more: str, run_first: bool = False) -> str:
    """Draws the choice of logits: of an untrained network, of a finished run on this data, or one of `more`.

    Args:
        view: the data.
        more: other choices.
        run_first: a run comes first, so that it is what is shown where nothing is chosen.
    """
    from core.analysis.run_names import name_runs

    known = find_runs(str(runs_dir()), view.config, view.corpus)
    if run_first:  # of the loss that the others are held against, else of any loss, before combined ones
        first = view.choices[0].name
        known = sorted(
            known,
            key=lambda run: (run.config.loss is None, run.config.loss is None or run.config.loss.name != first),
        )
    names = name_runs(known)
    runs = {run.id: f"run: {names[run.id]}" for run in known}
    # An address may name a run by the end of its id, in brackets.
    ends = re.search(r"\(([0-9a-f]{6})\)$", st.query_params.get("logits", ""))
    if ends and (run_id := next((one for one in runs if one.endswith(ends[1])), "")):
        st.query_params["logits"] = runs[run_id]
    untrained = {**UNTRAINED, **{one: one for one in more}}
    words = {**runs, **untrained} if run_first else {**untrained, **runs}
    chosen: str = st.selectbox(
        "Logits",
        list(words),
        format_func=words.__getitem__,
        key="logits",
        bind="query-params",
        help="What the network says. Runs keep the scores of test documents.",
    )
    return chosen


@st.cache_data(ttl=5, show_spinner=False, hash_funcs=HASHES)
def find_runs(folder: str, config: DataConfig, corpus: Corpus) -> list[Run]:  # noqa: ARG001 - a part of the key
    """Finished runs with scores on this data, as it is now."""
    return [
        run
        for run in list_runs()
        if run.state == "finished"
        and run.config.data == config
        and not MODELS[run.config.model.name].margins
        and run_id(run.config, corpus.fingerprint) == run.id
    ]


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=HASHES)
def load_sample(corpus: Corpus, logits: str) -> tuple[sp.csr_array, np.ndarray | None]:
    """Targets and logits of a sample: of train documents, or of a run's test documents; None where losses differ."""
    from core.analysis import loss_effects, loss_logits

    view = View(corpus)
    if logits in (*UNTRAINED, LOWEST):
        rows = loss_effects.sample_rows(view.documents, view.labels)
        targets = corpus.targets_of("train")[rows][:, : view.labels]
        return targets, loss_logits.untrained_logits(
            logits, view.counts, view.documents
        ) if logits in UNTRAINED else None
    known = load_predictions(get_run(logits))
    rows = loss_effects.sample_rows(len(known.rows), view.labels)
    return known.targets[rows][:, : view.labels], loss_logits.logits_of(known, rows, view.labels)


@st.cache_data(max_entries=500, show_spinner=False, hash_funcs=HASHES)
def load_mass(corpus: Corpus, choice: Choice, logits: str) -> pd.DataFrame:
    from core.analysis import loss_effects, loss_logits

    view = View(corpus)
    targets, known = load_sample(corpus, logits)
    if known is None:
        known = loss_logits.lowest_logits(choice, view.counts, view.documents, corpus.targets_of("train"))
    groups = loss_effects.group_slices(view.counts, view.borders)
    return loss_effects.gradient_mass(choice, view.counts, view.documents, targets, known, groups)

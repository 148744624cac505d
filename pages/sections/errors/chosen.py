"""The run and the thresholds that every view shows, and what is predicted at these thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import decisions, what_if
from core.analysis.what_if import AS_TRAINED, OWN, RULES, TOP_K
from pages.shared.loaders import HASHES, load_metrics, load_predictions

if TYPE_CHECKING:
    import scipy.sparse as sp

    from core.analysis.decisions import Decisions
    from core.labels.groups import Borders
    from core.metrics.thresholds import Limits
    from core.runs.folder import Run
    from core.runs.predictions import Predictions


@dataclass(frozen=True)
class Chosen:
    """Thresholds of a run, as the page draws them.

    Attributes:
        name: of the rule, or of a named set.
        limit: of `my own`, one number for all labels.
        changes: label columns with a threshold of their own, as pairs.
    """

    name: str
    limit: float = 0.0
    changes: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Shown:
    """What every view of the page reads: a run at the chosen thresholds.

    Attributes:
        run: whose errors are shown.
        labels: names of the L labels.
        counts: training documents of each label, L of them.
        borders: of head, medium and tail.
        predictions: of the test part.
        chosen: the thresholds as they were chosen.
        limits: the thresholds: one for all labels, or one each, (L,); None where labels are chosen by rank.
        predicted: (n, L) bool.
        other: a run on the same data to compare with.
    """

    run: Run
    labels: list[str]
    counts: list[int]
    borders: Borders
    predictions: Predictions
    chosen: Chosen
    limits: Limits | None
    predicted: sp.csr_array
    other: Run | None


@st.cache_resource(max_entries=64, show_spinner="Fitting thresholds on validation", hash_funcs=HASHES)
def load_decisions(run: Run, rule: str) -> Decisions:
    """What a run predicts by a rule of `core.analysis.decisions`."""
    return decisions.decide(run, rule, read=load_predictions)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def predict_at(run: Run, chosen: Chosen) -> tuple[Limits | None, sp.csr_array]:
    """Thresholds and predicted labels, (n, L), of a run; the thresholds are None where labels are chosen by rank."""
    limits: Limits | None = chosen.limit
    if chosen.name != OWN:
        decided = load_decisions(run, name_rule(chosen.name))
        limits = decided.limits
        if limits is None or not chosen.changes:
            return limits, decided.predicted
    assert limits is not None
    limits = what_if.with_changes(limits, dict(chosen.changes), len(load_metrics(run)["labels"]))
    return limits, what_if.predict(load_predictions(run), limits)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=HASHES)
def load_top_k(run: Run) -> int:
    """The number of labels that `top k` gives every document."""
    return decisions.fit_top_k(run, read=load_predictions)


def name_rule(name: str) -> str:
    """The name in `core.analysis.decisions` of what the page calls `name`."""
    if name == AS_TRAINED:
        return decisions.AS_TRAINED
    if name == TOP_K:
        return decisions.TOP_K
    return RULES.get(name) or f"{decisions.KEPT}{name}"


def find_limits(run: Run, chosen: Chosen) -> Limits:
    """Thresholds of a run where labels are not chosen by rank."""
    limits, _ = predict_at(run, chosen)
    assert limits is not None, chosen.name
    return limits

"""The run and the thresholds that every view shows, and what is predicted at these thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import what_if
from core.analysis.what_if import AS_TRAINED, OWN, RULES, TOP_K
from core.config.defaults import MODELS
from core.runs import results
from pages.shared.loaders import HASHES, load_metrics, load_predictions

if TYPE_CHECKING:
    import scipy.sparse as sp

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
def fit_rule(run: Run, rule: str) -> tuple[Limits | None, int | None]:
    """Thresholds of a rule, from validation alone; or for `top k` the number of labels."""
    metrics, validation = load_metrics(run), load_predictions(run, "validation")
    if rule == TOP_K:
        return None, what_if.fit_top_k(validation)
    documents = int((metrics.get("documents") or {}).get("train", max(metrics["counts"])))
    margins = MODELS[run.config.model.name].margins
    return what_if.fit_limits(validation, rule, metrics["counts"], documents, margins=margins), None


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def predict_at(run: Run, chosen: Chosen) -> tuple[Limits | None, sp.csr_array]:
    """Thresholds and predicted labels, (n, L), of a run; the thresholds are None where labels are chosen by rank."""
    predictions = load_predictions(run)
    limits: Limits | None
    if chosen.name == AS_TRAINED:
        limits, k = predictions.threshold, None
    elif chosen.name == OWN:
        limits, k = chosen.limit, None
    elif chosen.name in (*RULES, TOP_K):
        limits, k = fit_rule(run, chosen.name)
    else:
        values = results.read_threshold_sets(run)[chosen.name]["values"]
        limits, k = what_if.named_limits(values, len(load_metrics(run)["labels"])), None
    if limits is not None:
        limits = what_if.with_changes(limits, dict(chosen.changes), len(load_metrics(run)["labels"]))
    return limits, what_if.predict(predictions, limits, k)


def find_limits(run: Run, chosen: Chosen) -> Limits:
    """Thresholds of a run where labels are not chosen by rank."""
    limits, _ = predict_at(run, chosen)
    assert limits is not None, chosen.name
    return limits

"""The run and the thresholds that every view shows, and what is predicted at these thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import decisions, what_if
from core.analysis.what_if import AS_TRAINED, TOP_K, Chosen
from core.runs.folder import Run
from pages.shared.added import offer_view
from pages.shared.loaders import HASHES, RUN_FILES, find_version, load_predictions

if TYPE_CHECKING:
    import scipy.sparse as sp
    from streamlit.runtime.caching.hashing import HashFuncsDict

    from core.labels.groups import Borders
    from core.metrics.quiet import Quiet
    from core.metrics.thresholds import Limits
    from core.runs.predictions import Predictions


@dataclass(frozen=True)
class Shown:
    """What every view of the page reads: a run at the chosen thresholds.

    Attributes:
        run: whose errors are shown.
        part: test or validation.
        labels: names of the L labels.
        counts: training documents of each label, L of them.
        borders: of head, medium and tail.
        predictions: of the part.
        chosen: the thresholds as they were chosen.
        limits: the thresholds: one for all labels, or one each, (L,); None where labels are chosen by rank.
        predicted: (n, L) bool.
        other: a run on the same data to compare with.
    """

    run: Run
    part: str
    labels: list[str]
    counts: list[int]
    borders: Borders
    predictions: Predictions
    chosen: Chosen
    limits: Limits | None
    predicted: sp.csr_array
    other: Run | None


def offer_run(view: str, title: str, shown: Shown, **more: object) -> None:
    """Draws the button that adds a view of a run at the chosen thresholds to the report."""
    chosen = shown.chosen
    offer_view(
        "errors",
        view,
        shown.run.config.data.title,
        title,
        borders=shown.borders,
        runs=[shown.run.id],
        part=shown.part,
        at=chosen.name,
        limit=chosen.limit,
        moved=[f"{column}:{limit}" for column, limit in chosen.changes],
        **more,
    )


def find_fitted_version(run: Run) -> tuple[object, ...]:
    """What the thresholds of a rule depend on: `find_version` without that of what people keep."""
    version = list(find_version(run))
    del version[RUN_FILES.index("thresholds.json") - len(RUN_FILES)]
    return tuple(version)


FITTED: HashFuncsDict = {Run: find_fitted_version}
"""What the caches of fitted thresholds know a run by: keeping a set fits no rule again."""


@st.cache_resource(max_entries=64, show_spinner="Fitting thresholds on validation", hash_funcs=FITTED)
def load_fitted(run: Run, rule: str) -> Limits:
    """The thresholds of a rule."""
    return decisions.find_limits(run, rule, read=load_predictions)


def load_limits(run: Run, name: str) -> Limits:
    """The thresholds of a rule, or kept ones, by their name on the page."""
    rule = what_if.name_readings(run).get(name, name)
    if rule.startswith(decisions.KEPT):
        return decisions.find_limits(run, rule, read=load_predictions)
    return load_fitted(run, rule)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=FITTED)
def load_quiet(run: Run) -> Quiet:
    """What `quiet` reads on validation."""
    return what_if.find_quiet(run, read=load_predictions)


@st.cache_data(max_entries=64, show_spinner="Fitting thresholds on validation", hash_funcs=FITTED)
def load_top_k(run: Run) -> int:
    """The number of labels that `top k` gives every document."""
    return decisions.fit_top_k(run, read=load_predictions)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def predict_at(run: Run, chosen: Chosen, part: str = "test") -> tuple[Limits | None, sp.csr_array]:
    """Thresholds and predicted labels, (n, L), of a part; the thresholds are None where labels are chosen by rank."""
    if chosen.name == TOP_K:
        return None, what_if.predict(load_predictions(run, part), None, load_top_k(run))
    limits = find_limits(run, chosen)
    return limits, what_if.predict(load_predictions(run, part), limits)


def find_limits(run: Run, chosen: Chosen) -> Limits:
    """Thresholds of a run where labels are not chosen by rank."""
    return what_if.find_limits(run, chosen, fit=load_limits, find_margins=load_quiet)


def as_trained(run: Run, part: str) -> sp.csr_array:
    """What a run predicts on a part at the thresholds of its training, (n, L) bool."""
    return predict_at(run, Chosen(AS_TRAINED), part)[1]

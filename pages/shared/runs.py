"""What the pages of results share: finished runs whose scores can be read, cached on what is read, and their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core import explain, report, share, store
from core.config import UserError, read_only
from core.figures import errors
from core.labels import Borders
from core.store import Predictions, Run
from pages import plain
from pages.sections.explorer import offer


def version(run: Run) -> tuple[Any, ...]:
    """What a run's cached results hang on: its folder and the files that are read."""
    names = ("metrics.json", "predictions.npz", "validation.npz", "history.jsonl", "thresholds.json")
    files = [run.path / name for name in names]
    return str(run.path), run.ended, *(file.stat().st_mtime_ns for file in files if file.exists())


BY_VERSION: dict[Any, Callable[[Any], Any]] = {Run: version}


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_VERSION)
def metrics_of(run: Run) -> dict[str, Any]:
    return store.read_results(run)


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=BY_VERSION)
def predictions_of(run: Run, part: str = "test") -> Predictions:
    return store.read_predictions(run, part)


@st.cache_resource(max_entries=8, show_spinner="Loading the weights")
def _scorer(version: tuple[str, int], _run: Run) -> Any:  # noqa: ARG001 - a part of the key
    return explain.load(_run)


def scorer_of(run: Run) -> Any:
    return _scorer(explain.weights_version(run), run)


def readable(runs: list[Run]) -> list[Run]:
    """The finished runs whose scores can be read, but for archived ones; one that is damaged is named in a sentence."""
    good = []
    for run in runs:
        if run.state != "finished" or run.about.archived:
            continue
        try:
            metrics_of(run)
            good.append(run)
        except UserError as error:
            st.warning(plain(str(error)))
    return good


def wrong_address(*keys: str) -> None:
    """Says for every run of the address that cannot be shown why not."""
    for key in keys:
        for run_id in st.query_params.get_all(key):
            try:
                run = store.get_run(run_id)
                if run.state != "finished":
                    raise UserError(f"Run {run_id} has no scores: it is {run.state}.")
            except UserError as error:
                st.error(plain(str(error)))


def run_name(run: Run) -> str:
    """A run as people call it: its name or method and seed, data, whether it is published, the end of its id."""
    assert run.config is not None
    words = (
        [run.about.name]
        if run.about.name
        else [report.method(run), *([run.config.model.name] if run.config.loss else []), f"seed {run.config.seed}"]
    )
    published = " (published)" if run.published else ""
    return f"{' · '.join(words)} · {report.data_title(run)} · {run.id[-10:]}{published}"


def pick_borders(kept: Borders) -> Borders:
    """Draws the borders between head, medium and tail; those of the runs' training are the default."""
    with st.popover("Head, medium, tail", width="stretch"):
        st.caption("By the number of documents of the train part that carry a label; medium lies between.")
        head = st.number_input("Head from", 1, value=None, placeholder=str(kept.head), key="head", bind="query-params")
        tail = st.number_input("Tail up to", 0, value=None, placeholder=str(kept.tail), key="tail", bind="query-params")
    try:
        return Borders(kept.head if head is None else head, kept.tail if tail is None else tail)
    except UserError as error:
        st.error(plain(str(error)))
        return kept


def take_in() -> None:
    """Draws what imports a run from a zip."""
    if read_only():
        return
    with st.expander("Import a run", icon=":material/upload:"):
        sent = st.file_uploader("A zip that `python -m core export` or the Errors page has written", "zip")
        if sent is not None and st.button("Import"):
            try:
                st.success(plain(f"Imported {share.import_run(sent, sent.name).id}."))
            except UserError as error:
                st.error(plain(str(error)))


def hand_out(run: Run) -> None:
    """Draws what exports a run as a zip."""
    weights = (run.path / "model.safetensors").exists() and st.toggle("With its weights", key="with_weights")
    st.download_button(
        "Export the run",
        partial(share.exported, run, weights=weights),
        f"{run.id}.zip",
        "application/zip",
        on_click="ignore",
        icon=":material/download:",
    )


def why(run: Run, text: str, offered: list[str], labels: list[str]) -> None:
    """The words that moved the decision on one label."""
    label = st.selectbox("Words that moved", offered, key="why")
    try:
        scorer = scorer_of(run)
    except UserError as error:
        st.caption(plain(str(error)))
        return
    table = scorer.contributions(text, labels.index(label))
    if table.empty:
        st.caption("No word of this text is known to the model.")
        return
    st.caption(scorer.how)
    st.altair_chart(errors.word_chart(table), alt=f"Words for and against {label}")
    offer("words", table)

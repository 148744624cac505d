"""Cached loading: data sets, runs and their scores, models; each is read again when what it comes from has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.config.parse import parse
from core.config.schema import DataConfig
from core.data import documents, sources
from core.data.corpus import Corpus
from core.labels import cooccurrence, measures
from core.labels.groups import Borders
from core.runs import predictions, results, scorer, unchanged
from core.runs.folder import Damaged, Folder, Run
from core.runs.predictions import Predictions
from core.system.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlit.runtime.caching.hashing import HashFuncsDict

    from core.labels.cooccurrence import Cooccurrence
    from core.runs.network_scorer import NetworkScorer
    from core.runs.scorer import CombinedScorer, Scorer, TreeScorer


RUN_FILES = ("metrics.json", "predictions.npz", "validation.npz", "history.jsonl", "thresholds.json")
"""Files of a run that results are read from."""


def find_version(run: Folder) -> tuple[object, ...]:
    """What the cached results of a run depend on: its folder, its state, and the version of each of `RUN_FILES`."""
    return str(run.path), run.state, run.ended, *unchanged.find_version(str(run.path), RUN_FILES)


def _name_version(run: Folder) -> str:
    return repr(find_version(run))  # one text: Streamlit takes long for a tuple


HASHES: HashFuncsDict = {Corpus: lambda corpus: corpus.fingerprint, Run: _name_version, Damaged: _name_version}
"""What every cache of the pages knows a data set and a run by."""


def load_corpus(config: DataConfig) -> Corpus:
    """The data set, opened once for all sessions and again when its source changes."""
    place = next((source.place for source in sources.available() if source.name == config.name), "")
    return _load_corpus(config.model_dump_json(), _find_source_version(Path(place)) if place else ())


def _find_source_version(path: Path) -> tuple[tuple[str, int], ...]:
    """The version of a source: name and time of an archive, or of a folder and of everything in it."""
    entries = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
    return tuple((str(entry), entry.stat().st_mtime_ns) for entry in entries if entry.exists())


@st.cache_resource(max_entries=4, show_spinner="Opening the data set")
def _load_corpus(config: str, version: tuple[tuple[str, int], ...]) -> Corpus:  # noqa: ARG001 - a part of the key
    return sources.load(parse(DataConfig, config))


@st.cache_data(max_entries=8, show_spinner="Measuring", hash_funcs=HASHES)
def load_measures(corpus: Corpus, borders: Borders) -> dict[str, Any]:
    return measures.corpus_stats(corpus, borders)


@st.cache_resource(max_entries=3, show_spinner="Counting which labels come together", hash_funcs=HASHES)
def load_pairs(corpus: Corpus, part: str) -> Cooccurrence:
    return cooccurrence.count_pairs(documents.targets_of(corpus, part))


find_documents = st.cache_data(max_entries=64, show_spinner="Searching the documents", hash_funcs=HASHES)(
    documents.find_documents
)


def load_metrics(run: Run) -> Mapping[str, Any]:
    """The results of a run, which `read_results` parses once for all sessions: they are read, never changed."""
    return results.read_results(run)


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=HASHES)
def load_predictions(run: Run, part: str = "test") -> Predictions:
    return predictions.read_predictions(run, part)


@st.cache_resource(max_entries=8, show_spinner="Loading the weights")
def _load_scorer(
    version: tuple[tuple[str, int], ...],  # noqa: ARG001 - a part of the key
    _run: Run,
) -> Scorer | TreeScorer | NetworkScorer | CombinedScorer:
    return scorer.load(_run)


def load_scorer(run: Run) -> Scorer | TreeScorer | NetworkScorer | CombinedScorer:
    """The model of a run, loaded again when its weights have changed."""
    return _load_scorer(scorer.weights_version(run), run)


def load_texts(run: Run) -> tuple[Corpus | None, str]:
    """The data set of a run if it is still there and unchanged, and a sentence on what is missing otherwise."""
    try:
        corpus = load_corpus(run.config.data)
    except UserError as error:
        return None, f"The texts cannot be shown, everything else can: {error}"
    if corpus.fingerprint != load_metrics(run)["fingerprint"]:
        return None, "The texts cannot be shown, everything else can: the data set has changed since the training."
    return corpus, ""

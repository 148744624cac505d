"""The rows of the comparison: how they decide, their scores with resamples, and which of them are drawn as lines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis import ahead, compare, decisions, kept_samples, samples, tables
from core.analysis.row_settings import find_row
from core.analysis.samples import Comparison
from core.config.defaults import THRESHOLD_RULES
from core.figures.forest import forest_chart
from core.figures.looks import assign_looks
from core.labels.groups import Borders
from core.runs import results
from core.runs.predictions import read_predictions
from core.system.errors import UserError
from pages.shared.added import offer_view
from pages.shared.loaders import find_version, load_metrics, load_predictions
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from streamlit.runtime.caching.hashing import HashFuncsDict

    from core.analysis.samples import Sampled
    from core.analysis.tables import Row, Table
    from core.figures.looks import Look
    from core.runs.folder import Run
    from core.runs.predictions import Predictions

FEW_LABELS = 200
"""Scores of so many labels take about a megabyte a run."""
NAMES_NARROW, NAMES_WIDE, LETTER = 132, 208, 7.0
"""Pixels of a column of short or of long names, and of a letter."""
WRAPPED = 66
"""Pixels of a table's rows from which on it wraps words."""
LINES = 12
"""Rows that are drawn as lines at first; more can be chosen."""
ONE_RULE = "one rule"
DECIDE_BY = {
    "as trained": decisions.AS_TRAINED,
    ONE_RULE: "",
    "same number of labels": decisions.SAME_COUNT,
    "ranking alone": samples.RANKING,
}
"""How the rows decide, by the words of the switch; the name of one rule is chosen beside it."""
HELP = (
    "As trained: each run at the thresholds that its training fitted. One rule: the same rule for every run, fitted on "
    "its own validation part. Same number of labels: each document gets its true number of labels, those with the "
    "highest scores, which compares what the runs learned rather than their thresholds. Ranking alone: average "
    "precision, without any threshold."
)


def pick_rule(rows: Sequence[Row]) -> str:
    """Draws how the rows decide and returns the rule, or `samples.RANKING`."""
    words = pick_one("Decide by", DECIDE_BY, "as trained", key="decide", about=HELP)
    if words != ONE_RULE:
        return DECIDE_BY[words]
    fixed = (decisions.AS_TRAINED, decisions.SAME_COUNT)
    rules = ["quiet", *(rule for rule in decisions.READINGS if rule not in (*fixed, "quiet"))]
    rules += [f"{decisions.KEPT}{name}" for name in find_kept(rows)]
    return st.selectbox("Rule", rules, key="rule", bind="query-params", help=describe_rules(), width=220)


def find_kept(rows: Sequence[Row]) -> list[str]:
    """Names of the thresholds that are kept with any of the runs."""
    names = dict[str, None]()
    for row in rows:
        for run in row.runs:
            try:
                names |= dict.fromkeys(results.read_threshold_sets(run))
            except UserError as error:
                st.warning(plain(str(error)))
    return list(names)


def describe_rules() -> str:
    known = [name for name in decisions.READINGS if name in THRESHOLD_RULES]
    return "; ".join(f"{name}: {THRESHOLD_RULES[name].about}" for name in known)


@dataclass(frozen=True)
class Versioned:
    """A run that a cache of this module knows by its version alone: for a call a run, Streamlit's own take too long."""

    version: tuple[object, ...]
    run: Run = field(compare=False)


def load_sample(run: Run, borders: Borders, rule: str) -> Sampled:
    return _load_sample(Versioned(find_version(run), run), borders, rule)


@lru_cache(maxsize=2048)
def _load_sample(known: Versioned, borders: Borders, rule: str) -> Sampled:
    return kept_samples.sample(known.run, borders, rule, read=load_scores)


@lru_cache(maxsize=128)
def _load_small_scores(known: Versioned, part: str) -> Predictions:
    return read_predictions(known.run, part)


def load_scores(run: Run, part: str) -> Predictions:
    """The scores of a part; those of few labels stay for many runs, so that another rule does not read them again."""
    if len(load_metrics(run)["labels"]) > FEW_LABELS:
        return load_predictions(run, part)
    return _load_small_scores(Versioned(find_version(run), run), part)


@dataclass(frozen=True)
class Known(Comparison):
    """A comparison by its version: what all that is computed from it depends on, and every cache knows it by."""

    version: str = ""


COMPARED: HashFuncsDict = {Known: lambda compared: compared.version}
"""What the caches of this page know a comparison by."""


def name_version(rows: Sequence[Row], borders: Borders) -> str:
    """What all scores of rows depend on, whatever the rule is."""
    return f"{borders} {[(row.name, *map(find_version, row.runs)) for row in rows]}"


def compare_rows(rows: list[Row], borders: Borders, rule: str) -> Known:
    """Scores and resamples of every row at a rule; a sentence says which runs are left out or have no interval."""
    version = f"{rule} {name_version(rows, borders)}"
    many = sum(len(row.runs) for row in rows)
    with st.spinner(f"Resampling the test documents of {many} runs", show_time=True):
        compared = _compare_rows(version, rows, borders, rule)
    for problem in compared.problems:
        st.warning(plain(problem))
    return compared


@st.cache_resource(max_entries=16, show_spinner=False)
def _compare_rows(version: str, _rows: list[Row], _borders: Borders, _rule: str) -> Known:
    found = samples.compare_rows(_rows, _borders, _rule, load=load_sample)
    return Known(found.rows, found.sampled, found.rule, found.problems, version)


def keep_other_rules(rows: list[Row], borders: Borders) -> None:
    """Has the rows' scores made at all rules while people look at one; asked once for the same rows."""
    if not ahead.is_busy():
        _keep_other_rules(name_version(rows, borders), rows, borders)


@st.cache_resource(max_entries=16, show_spinner=False)
def _keep_other_rules(version: str, _rows: list[Row], _borders: Borders) -> bool:  # noqa: ARG001 - a part of the key
    return ahead.keep_missing([run for row in _rows for run in row.runs], _borders)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=COMPARED)
def load_paper_table(compared: Known, table: Table, published: bool) -> pd.DataFrame:
    return tables.paper_table(
        compared.rows, compared.sampled, table=table, with_published=published, rule=compared.rule
    )


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=COMPARED)
def load_difference_table(compared: Known, baseline: str, table: Table) -> pd.DataFrame:
    return tables.difference_table(compared.rows, compared.sampled, baseline, table=table, rule=compared.rule)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=COMPARED)
def load_notes(compared: Known, table: Table, baseline: str, published: bool) -> list[str]:
    """`tables.notes` of one of the two tables above."""
    frame = (
        load_difference_table(compared, baseline, table) if baseline else load_paper_table(compared, table, published)
    )
    return tables.notes(frame)


@st.cache_data(max_entries=128, show_spinner=False, hash_funcs=COMPARED)
def load_forest(compared: Known, baseline: str, column: str, title: str, _frame: pd.DataFrame) -> dict[str, Any]:
    """The forest plot of a column of a table, a Vega-Lite specification; empty where no row has the score."""
    rows, dots = compare.forest_rows(_frame, compared.sampled, column)
    return forest_chart(rows, dots, looks_of(compared.rows), title=title, difference=bool(baseline)) if rows else {}


def looks_of(rows: Sequence[Row]) -> dict[str, Look]:
    """How each row is drawn, by its name: of all compared rows, so that a choice of some changes no look."""
    return assign_looks({row.name: row.runs[0] for row in rows})


def offer_rows(view: str, title: str, compared: Comparison, borders: Borders, **shown: object) -> None:
    """Draws the button that adds a view of these rows to the report."""
    rows = compared.rows
    offer_view(
        "compare",
        view,
        tables.data_title(rows[0].runs[0]),
        title,
        borders=borders,
        runs=[run.id for row in rows for run in row.runs],
        fold=st.session_state.get("fold", True),
        rule=compared.rule,
        **shown,
    )


def find_first_run(rows: Sequence[Row], name: str) -> str:
    """The id of the first run of a row; empty where no row has this name."""
    return next((row.runs[0].id for row in rows if row.name == name), "")


def find_asked(rows: Sequence[Row], key: str) -> list[str]:
    """The names of the rows that a key of the address names, which may say an older name of a row."""
    found = (find_row(rows, words) for words in st.query_params.get_all(key))
    return list(dict.fromkeys(name for name in found if name))


def fit_names(names: Sequence[str], widest: int = NAMES_WIDE) -> tuple[int, int | None]:
    """Width of a column of rows' names, and height of a table's rows in which the longest name is wrapped, not cut.

    Args:
        names: of the rows.
        widest: pixels that the column has at most.

    Returns:
        Pixels; None of a height where each name fits on its line.
    """
    longest = max(map(len, names), default=0)
    width = NAMES_NARROW if longest * LETTER <= NAMES_NARROW else max(widest, NAMES_NARROW)
    lines = math.ceil(1.15 * longest * LETTER / width)  # lines end between words
    return width, None if lines <= 1 else max(16 + 19 * lines, WRAPPED)


def pick_rows(rows: list[Row]) -> list[Row]:
    """Draws the choice of the rows that are drawn as lines."""
    if len(rows) <= LINES:
        return rows
    names = [row.name for row in rows]
    if asked := find_asked(rows, "lines"):
        st.session_state.setdefault("lines", asked)
    chosen = st.multiselect("Lines", names, names[:LINES], key="lines", bind="query-params")
    return [row for row in rows if row.name in chosen]

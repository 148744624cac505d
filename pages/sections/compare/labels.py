"""F1 of the labels: along the long tail for every row, and label by label for two."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import compare
from core.analysis.samples import RANKING, difference, rule_in_words
from core.system.errors import UserError
from pages.sections.compare.rows import find_asked, load_scores, looks_of, offer_rows, pick_rows
from pages.shared.downloads import offer_csv
from pages.shared.labels import HINT, show_marks, show_table
from pages.shared.loaders import HASHES, load_metrics
from pages.shared.text import plain

if TYPE_CHECKING:
    import numpy as np

    from core.analysis.samples import Comparison
    from core.analysis.tables import Row
    from core.labels.groups import Borders
    from core.runs.folder import Run


@st.cache_data(max_entries=512, show_spinner=False, hash_funcs=HASHES)
def load_label_scores(run: Run, rule: str) -> np.ndarray:
    return compare.label_scores(run, rule, read=load_scores)


def average_scores(rows: list[Row], rule: str) -> dict[str, np.ndarray]:
    """F1 or average precision of each label, (L,), by the name of the row: the mean of its seeds."""
    found = {}
    for row in rows:
        try:
            first, *others = (load_label_scores(run, rule) for run in row.runs)
            found[row.name] = sum(others, first) / len(row.runs)
        except UserError as error:
            st.warning(plain(f"Left out: {error}"))
    return found


def keep_same_labels(rows: list[Row]) -> list[Row]:
    """The rows with the labels of the first one; a warning names the others."""
    labels = load_metrics(rows[0].runs[0])["labels"]
    alike = [row for row in rows if load_metrics(row.runs[0])["labels"] == labels]
    if others := [row.name for row in rows if row not in alike]:
        st.warning(plain(f"Left out, for their labels have other names or another order: {', '.join(others)}."))
    return alike


def show_by_rank(compared: Comparison, borders: Borders) -> None:
    """F1 along the long tail, a smoothed line per row."""
    from core.figures.compare import f1_by_rank

    if not compared.rows:
        return
    rows = keep_same_labels(pick_rows(compared.rows) or compared.rows)
    scores, measure = average_scores(rows, compared.rule), name_measure(compared.rule)
    rows = [row for row in rows if row.name in scores]
    if not rows:
        return
    counts = load_metrics(rows[0].runs[0])["counts"]
    st.caption(
        plain(
            f"Where along the tail each method holds on: test {measure} of labels, smoothed over their neighbours; "
            f"{rule_in_words(compared.rule)}."
        )
    )
    st.altair_chart(
        f1_by_rank(scores, looks_of(compared.rows), counts, borders, measure=measure),
        alt=f"{measure} by label rank, a line per method",
    )
    offer_rows("F1 by rank", f"Test {measure} along the tail", replace(compared, rows=rows), borders)


def name_measure(rule: str) -> str:
    """What is compared of each label."""
    return "average precision" if rule == RANKING else "F1"


def show_two_rows(compared: Comparison, borders: Borders) -> None:
    """Who gained and who lost between two rows, label by label."""
    from core.figures.compare import change_chart

    rows, sampled, measure = compared.rows, compared.sampled, name_measure(compared.rule)
    if len(rows) < 2:
        st.info("Two rows are needed: train another loss, or clear the filters.")
        return
    # The two rows.
    names = [row.name for row in rows]
    left, right = st.columns(2)
    for key in ("first", "second"):
        for found in find_asked(rows, key)[:1]:
            st.session_state.setdefault(key, found)
    first = left.selectbox("First", names, key="first", bind="query-params")
    others = [name for name in names if name != first]
    default = next((others.index(row.name) for row in rows if row.method == "db" and row.name != first), -1)
    second = right.selectbox("Second", others, default % len(others), key="second", bind="query-params")
    # Their difference in numbers.
    pair = keep_same_labels([next(row for row in rows if row.name == name) for name in (first, second)])
    scores = average_scores(pair, compared.rule)
    if len(scores) < 2:
        return
    one = pair[0].runs[0]
    metrics = load_metrics(one)
    table = compare.label_changes(
        metrics["labels"], metrics["counts"], compare.support(one), scores[first], scores[second], borders
    )
    same = pair[0].fingerprint == pair[1].fingerprint
    gain = difference(sampled[second], sampled[first], comparable=same)
    with st.container(horizontal=True):
        for title, value, words in compare.headline(gain, rule=compared.rule):
            st.metric(f"test {title}", value, words, delta_color="off", delta_arrow="off", width="content")
    st.caption(plain(f"Scores are compared with {rule_in_words(compared.rule)}."))
    # Label by label: the largest changes, by group, all.
    chart, listed = st.columns([2, 3], gap="medium")
    with chart:
        st.caption(plain(f"Labels whose test {measure} changed most from {first} to {second}."))
        words = "Labels that gained and lost most"
        show_marks(
            change_chart(table, measure=measure),
            lambda mark: [mark["label"]],
            key=f"change-{first}-{second}",
            alt=words,
        )
        offer_rows(
            "Label by label",
            f"From {first} to {second}, label by label",
            replace(compared, rows=pair),
            borders,
            first=one.id,
            second=pair[1].runs[0].id,
        )
    with listed:
        number = st.column_config.NumberColumn
        st.dataframe(
            compare.change_summary(table),
            hide_index=True,
            column_config={"mean change": number(format="%+.2f")},
            alt="Labels that gained and lost, by group",
        )
        offer_csv("changes-by-group", partial(compare.change_summary, table))
        shown = table.head(2000)
        show_table(
            shown,
            ["label"],
            key=f"changes-{first}-{second}",
            height=420,
            column_config={
                "label": st.column_config.TextColumn(width=130),
                "group": st.column_config.TextColumn(width=80),
                "support": "test",
                "first": number(first, format="%.1f"),
                "second": number(second, format="%.1f"),
                "change": number(format="%+.1f"),
            },
            alt=f"Every label's {measure} in both",
        )
        st.caption(HINT)
        offer_csv("changes", table.rename(columns={"first": first, "second": second}))

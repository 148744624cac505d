"""Compare: which method is better, where, and by more than chance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core import report, store
from core.config import UserError
from core.figures import compare
from core.labels import Borders
from core.report import Row, Sampled
from core.store import Run
from pages import header, link, plain
from pages.sections.explorer import offer
from pages.shared.runs import BY_VERSION, metrics_of, pick_borders, readable, take_in, wrong_address

LINES = 12
"""Rows that are drawn as lines at first; more can be chosen."""
CITATION = (
    "Rows of the paper: Huang et al., Balancing Methods for Multi-label Text Classification with Long-Tailed Class "
    "Distribution, EMNLP 2021, Tables 2 and 3; a BERT encoder, single runs."
)


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs=BY_VERSION)
def sample_of(run: Run, head: int, tail: int) -> Sampled:
    return report.sample(run, Borders(head, tail))


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_VERSION)
def label_f1_of(run: Run) -> Any:
    return compare.label_f1(run)


def pick(runs: list[Run]) -> list[Run]:
    """Draws the filters and returns the runs to compare: those chosen by name, else all that match."""
    asked = [run for run in runs if run.id in st.query_params.get_all("runs")]
    names = list(dict.fromkeys(report.data_title(run) for run in [*asked, *runs]))
    columns = st.columns([3, 2, 3, 2], vertical_alignment="bottom")
    name = columns[0].selectbox("Data set and split", names, key="of", bind="query-params")
    runs = [run for run in runs if report.data_title(run) == name]

    def narrow(title: str, key: str, place: int, value: Callable[[Run], Any]) -> list[Run]:
        values = sorted(dict.fromkeys(map(value, runs)), key=order)
        chosen = columns[place].multiselect(title, values, key=key, placeholder="all")
        return [run for run in runs if not chosen or value(run) in chosen]

    runs = narrow("Models", "models_shown", 1, lambda run: run.config.model.name if run.config else "")
    runs = narrow("Methods", "losses_shown", 2, report.method)
    runs = narrow("Seeds", "seeds_shown", 3, lambda run: run.config.seed if run.config else 0)
    ids = [run.id for run in runs]
    with st.expander("Choose single runs", expanded=bool(asked)):
        wanted = st.multiselect(
            "Runs", ids, key="runs", bind="query-params", placeholder=f"all {len(ids)} finished runs that match"
        )
    return [run for run in runs if not wanted or run.id in wanted]


def order(value: Any) -> tuple[int, str]:
    """Methods in the paper's order, other values by themselves."""
    return (report.METHODS.index(value) if value in report.METHODS else len(report.METHODS), f"{value!s:>12}")


def sampled_rows(rows: list[Row], borders: Borders) -> dict[str, Sampled]:
    """Scores and resamples of every row; a run with damaged predictions keeps its scores, without intervals."""
    found, fresh = {}, [run for row in rows for run in row.runs]
    with st.spinner(f"Resampling the test documents of {len(fresh)} runs", show_time=True):
        for row in rows:
            parts = []
            for run in row.runs:
                try:
                    parts.append(sample_of(run, borders.head, borders.tail))
                except UserError as error:
                    st.warning(plain(f"Shown without intervals and with its own borders: {error}"))
                    parts.append(report.kept_scores(run))
            found[row.name] = report.over_seeds(parts)
    return found


def tables(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:
    """The paper's Tables 2 and 3, with intervals or as differences from one row."""
    moved = any(Borders(**metrics_of(row.runs[0])["borders"]) != borders for row in rows)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    names = [row.name for row in rows]
    baseline = left.selectbox(
        "Difference from", names, None, key="baseline", bind="query-params", placeholder="none: show the scores"
    )
    published = right.toggle("With the rows of the paper", True, key="published", bind="query-params")
    for table, caption in report.CAPTIONS.items():
        frame = report.paper_table(rows, sampled, table=table, with_published=published and not (moved and table == 2))
        if baseline in names:
            shown = compare.difference_table(frame, rows, sampled, baseline, table=table)
            caption = f"Difference from {baseline} in points: {caption}"
        else:
            shown = compare.score_table(frame, table=table)
        st.markdown(plain(f"Table {table}. {caption}"))
        st.dataframe(
            shown,
            key=f"table{table}",
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=widths(table),
            alt=f"Table {table}. {caption}",
        )
        downloads(frame, rows, table)
    st.caption(
        "± is half of the 95 % interval over resampled test documents; bold is higher than every other run's row by "
        "more than chance (in differences: more than chance alone); ×3 is the mean of three seeds. "
        + (CITATION if published else "")
        + (" Table 2 of the paper has other borders and is left out." if moved and published else "")
    )


def widths(table: int) -> dict[Any, Any]:
    """Widths of a table's columns, by position; 0 is the hidden index."""
    column = st.column_config
    scores = {2 + place: column.NumberColumn(width=92) for place in range(len(report.SCORE_COLUMNS[table]))}
    return {1: column.TextColumn(width=150), **scores}


def downloads(frame: Any, rows: list[Row], table: int) -> None:
    """The table in every form that leaves the house, with where its numbers come from."""
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    forms: dict[str, tuple[Callable[..., str | bytes], str, str]] = {
        "LaTeX": (report.to_latex, "tex", "text/x-tex"),
        "CSV": (report.to_csv, "csv", "text/csv"),
        "Markdown": (report.to_markdown, "md", "text/markdown"),
        "XLSX": (report.to_xlsx, "xlsx", sheet),
    }
    with st.container(horizontal=True, gap="small"):
        for name, (form, suffix, kind) in forms.items():
            st.download_button(
                name,
                partial(written, form, frame, rows),
                f"table{table}.{suffix}",
                kind,
                key=f"{name}{table}",
                on_click="ignore",
            )


def written(form: Callable[..., str | bytes], frame: Any, rows: list[Row]) -> str | bytes:
    """A table in one form, with where its numbers come from below it."""
    return form(frame, report.provenance(rows))


def parts(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:  # noqa: ARG001 - all views alike
    """What each part of the distribution-balanced loss adds."""
    table = report.ablation(rows, sampled)
    if table.empty:
        st.info(
            "There are no two rows that differ by one part alone: train the losses fl, r-fl, ntr-fl, db-0fl and db "
            "(`python -m core sweep --losses paper`)."
        )
        return
    score = st.segmented_control("F1", ["macro", "micro"], default="macro", required=True, key="average")
    st.caption(
        "Change of F1 in points when one part is added, with its 95 % interval; pale dots may be chance. Hollow "
        "diamonds: the paper's change, with BERT."
    )
    st.altair_chart(compare.ablation_chart(table, score=score), width="content", alt="What each part of DB adds")
    doubtful = [row.name for row in rows if sum(other.method == row.method for other in rows) > 1]
    if doubtful:
        st.caption(plain(f"Of a method with several settings only the first row counts here: {', '.join(doubtful)}."))
    with st.expander("As a table"):
        number = st.column_config.NumberColumn
        points = {
            name: number(f"{name} (points)", format="%+.2f") for name in ("difference", "low", "high", "published")
        }
        st.dataframe(table, hide_index=True, column_config=points, alt="Differences of pairs of methods")
        offer("parts", table)


def pick_rows(rows: list[Row]) -> list[Row]:
    """Draws the choice of the rows that are drawn as lines."""
    if len(rows) <= LINES:
        return rows
    names = [row.name for row in rows]
    chosen = st.multiselect("Lines", names, names[:LINES], key="lines")
    return [row for row in rows if row.name in chosen]


def same_labels(rows: list[Row]) -> list[Row]:
    """The rows with the labels of the first one; says which others were left out."""
    labels = metrics_of(rows[0].runs[0])["labels"]
    alike = [row for row in rows if metrics_of(row.runs[0])["labels"] == labels]
    if others := [row.name for row in rows if row not in alike]:
        st.warning(plain(f"Left out, for their labels have other names or another order: {', '.join(others)}."))
    return alike


def f1_of(rows: list[Row]) -> dict[str, Any]:
    """F1 of each label, the mean of each row's seeds."""
    found = {}
    for row in rows:
        try:
            found[row.name] = sum(label_f1_of(run) for run in row.runs) / len(row.runs)
        except UserError as error:
            st.warning(plain(f"Left out: {error}"))
    return found


def by_rank(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:  # noqa: ARG001
    """F1 along the long tail, a smoothed line per row."""
    rows = same_labels(pick_rows(rows) or rows)
    scores = f1_of(rows)
    rows = [row for row in rows if row.name in scores]
    if not rows:
        return
    counts = metrics_of(rows[0].runs[0])["counts"]
    st.caption("Where along the tail each method holds on: F1 of the labels, smoothed over neighbours in rank.")
    st.altair_chart(compare.f1_by_rank(rows, scores, counts, borders), alt="F1 by label rank, a line per method")


def two_rows(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:
    """Who gained and who lost between two rows, label by label."""
    if len(rows) < 2:
        st.info("Two rows are needed: train another loss, or clear the filters.")
        return
    names = [row.name for row in rows]
    left, right = st.columns(2)
    first = left.selectbox("First", names, key="first", bind="query-params")
    others = [name for name in names if name != first]
    default = others.index("db") if "db" in others else len(others) - 1
    second = right.selectbox("Second", others, default, key="second", bind="query-params")
    pair = same_labels([next(row for row in rows if row.name == name) for name in (first, second)])
    scores = f1_of(pair)
    if len(scores) < 2:
        return
    one = pair[0].runs[0]
    metrics = metrics_of(one)
    table = compare.label_changes(
        metrics["labels"], metrics["counts"], compare.support(one), scores[first], scores[second], borders
    )
    same = pair[0].fingerprint == pair[1].fingerprint
    gain = report.difference(sampled[second], sampled[first], comparable=same)
    with st.container(horizontal=True):
        for title, value, words in compare.headline(gain):
            st.metric(title, value, words, delta_color="off", delta_arrow="off", width="content")
    chart, listed = st.columns([2, 3], gap="medium")
    with chart:
        st.caption(plain(f"Labels whose F1 changed most from {first} to {second}."))
        st.altair_chart(compare.change_chart(table), alt="Labels that gained and lost most")
    with listed:
        number = st.column_config.NumberColumn
        st.dataframe(
            compare.change_summary(table),
            hide_index=True,
            column_config={"mean change": number(format="%+.2f")},
            alt="Labels that gained and lost, by group",
        )
        offer("changes-by-group", partial(compare.change_summary, table))
        st.dataframe(
            table.head(2000),
            hide_index=True,
            height=420,
            column_config={
                "label": st.column_config.TextColumn(width=130),
                "support": "test",
                "first": number(first, format="%.1f"),
                "second": number(second, format="%.1f"),
                "change": number(format="%+.1f"),
            },
            alt="Every label's F1 in both",
        )
        offer("changes", table.rename(columns={"first": first, "second": second}))


def training(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:  # noqa: ARG001
    """Validation scores by epoch."""
    rows = pick_rows(rows)
    frame = compare.training_frame(rows)
    if frame.empty:
        st.info("None of these runs was trained by epochs: there are no curves.")
        return
    column = st.segmented_control(
        "Curve", ["micro", "macro", "loss"], default="micro", required=True, key="curve", bind="query-params"
    )
    st.caption("A line per run. Losses have different scales: compare the shape of their curves, not the height.")
    st.altair_chart(compare.training_chart(frame, rows, column=column), alt=f"Validation {column} by epoch")


def cost(rows: list[Row], sampled: dict[str, Sampled], borders: Borders) -> None:  # noqa: ARG001
    """What each row cost."""
    st.caption("Mean of each row's runs, as the worker recorded them; a busy machine makes them slower.")
    table = compare.cost_table(rows)
    column = st.column_config
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={
            "method": column.TextColumn(width=150),
            "seconds": column.ProgressColumn(
                "whole run (s)", format="%.1f", min_value=0, max_value=float(table["seconds"].max() or 1)
            ),
            "epochs": column.NumberColumn(format="%.0f"),
            "documents_a_second": column.NumberColumn("train documents / s", format="localized", step=1),
            "memory": column.NumberColumn("peak memory (MB)", format="%.0f"),
            "micro": column.NumberColumn("test micro-F1 (%)", format="%.2f"),
        },
        alt="Time, epochs, speed and memory of each row",
    )
    offer("cost", table)


def show() -> None:
    header("Compare", "Which method is better, on which labels, and by more than chance.")
    wrong_address("runs")
    results = st.container()
    take_in()  # below the results, and before their runs are listed
    with results:
        finished = readable(store.list_runs())
        if not finished:
            st.info("There is no finished run to show. Launch one on the Training page: it appears here when it ends.")
            link("launcher")
        elif runs := pick(finished):
            views(runs)
        else:
            st.info("No finished run matches these filters.")


def views(runs: list[Run]) -> None:
    """The chosen view of the chosen runs."""
    left, middle, right = st.columns([6, 2, 2], vertical_alignment="bottom")
    view = left.segmented_control("Show", list(VIEWS), default="Tables", required=True, key="view", bind="query-params")
    folded = middle.toggle("Seeds as one row", True, key="fold", bind="query-params")
    rows = report.fold(runs, seeds=folded)
    with right:
        borders = pick_borders(Borders(**metrics_of(rows[0].runs[0])["borders"]))
    if len({row.fingerprint for row in rows}) > 1:
        st.warning(
            "These runs were trained on different versions of the data set: their differences are not computed, and "
            "nothing is bold that is better only than runs on other data."
        )
    if sentence := report.seeds_apart(rows) if folded else "":
        st.warning(plain(sentence))
    VIEWS[view](rows, sampled_rows(rows, borders) if view in SAMPLED else {}, borders)


VIEWS: dict[str, Callable[[list[Row], dict[str, Sampled], Borders], None]] = {
    "Tables": tables,
    "Parts of DB": parts,
    "F1 by rank": by_rank,
    "Label by label": two_rows,
    "Curves": training,
    "Cost": cost,
}
SAMPLED = ("Tables", "Parts of DB", "Label by label")
"""Views that need resamples."""


if __name__ == "__main__":
    import app

    app.main("compare")

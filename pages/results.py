"""Results: the paper's tables made from runs, F1 of each label, and what is confused with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import report, store
from core.config import UserError
from core.data import Corpus
from core.figures import results
from core.labels import Borders
from core.store import Predictions, Run
from pages import corpus_of, header, link, plain

NEEDED = ("labels", "counts", "borders", "threshold", "threshold_rule", "fingerprint", "command", "versions", "seconds")
LABELS_SHOWN = 500
PAIRS_SHOWN = 200
PAIRS_KEPT = 20_000
DOCUMENTS_SHOWN = 200


def version(run: Run) -> tuple[Any, ...]:
    """What a run's cached results hang on: its folder and the files that are read."""
    files = [run.path / name for name in ("metrics.json", "predictions.npz")]
    return str(run.path), run.ended, *(file.stat().st_mtime_ns for file in files if file.exists())


BY_VERSION: dict[Any, Callable[[Any], Any]] = {Run: version}


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_VERSION)
def metrics_of(run: Run) -> dict[str, Any]:
    metrics = store.read_metrics(run)
    if missing := [key for key in NEEDED if key not in metrics]:
        raise UserError(
            f"{run.id}: metrics.json does not hold {', '.join(missing)}: an older version wrote it, or it is "
            "damaged. Delete the run and train it again."
        )
    return metrics


@st.cache_resource(max_entries=12, show_spinner="Reading predictions", hash_funcs=BY_VERSION)
def predictions_of(run: Run) -> Predictions:
    return store.read_predictions(run)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_VERSION)
def scores_of(run: Run, head: int, tail: int) -> dict[str, Any]:
    metrics = metrics_of(run)
    return results.score_groups(predictions_of(run), metrics["counts"], Borders(head, tail))


@st.cache_data(max_entries=32, show_spinner="Counting hits and misses", hash_funcs=BY_VERSION)
def label_table_of(run: Run, head: int, tail: int) -> Any:
    metrics = metrics_of(run)
    return results.label_table(predictions_of(run), metrics["labels"], metrics["counts"], Borders(head, tail))


@st.cache_data(max_entries=16, show_spinner="Counting confused pairs", hash_funcs=BY_VERSION)
def pairs_of(run: Run) -> Any:
    labels = metrics_of(run)["labels"]
    return results.confused_pairs(predictions_of(run), labels, limit=PAIRS_KEPT)


def texts_of(run: Run) -> Corpus | None:
    """The data set of a run if it is still there and unchanged; says in a sentence what is missing otherwise."""
    if run.config is None:
        return None
    try:
        corpus = corpus_of(run.config.data)
    except UserError as error:
        st.info(plain(f"The texts cannot be shown, everything else can: {error}"))
        return None
    if corpus.fingerprint != metrics_of(run)["fingerprint"]:
        st.info("The texts cannot be shown, everything else can: the data set has changed since this run was trained.")
        return None
    return corpus


def readable(runs: list[Run]) -> list[Run]:
    """The finished runs whose scores can be read; each damaged one is named in a sentence and hides no other."""
    good = []
    for run in runs:
        if run.state != "finished":
            continue
        try:
            if run.config is None:
                raise UserError(run.problem)
            metrics_of(run)
            good.append(run)
        except UserError as error:
            st.warning(plain(str(error)))
    return good


def data_name(run: Run) -> str:
    """Data set and split of a run; for synthetic data also what differs from the default size and seed."""
    assert run.config is not None
    config = run.config.data
    made = config.synthetic.model_dump(exclude_defaults=True) if config.name == "synthetic" else {}
    return " ".join([config.name, config.split, *(f"{key}={value}" for key, value in made.items())])


def loss_name(run: Run) -> str:
    """The loss of a run, or the model's name if that has its own."""
    assert run.config is not None
    return run.config.loss.name if run.config.loss else run.config.model.name


def wrong_address() -> None:
    """Says for every run of the URL that cannot be shown why not."""
    for key in ("runs", "detail", "second"):
        for run_id in st.query_params.get_all(key):
            try:
                run = store.get_run(run_id)
                if run.state != "finished":
                    raise UserError(f"Run {run_id} has no scores: it is {run.state}.")
            except UserError as error:
                st.error(plain(str(error)))


def pick(runs: list[Run]) -> list[Run]:
    """Draws the filters and returns the runs to compare: those chosen by name, else all that match."""
    asked = [run for run in runs if run.id in (*st.query_params.get_all("runs"), *st.query_params.get_all("detail"))]
    names = list(dict.fromkeys(data_name(run) for run in [*asked, *runs]))
    left, middle, right = st.columns([2, 1, 2], vertical_alignment="bottom")
    name = left.selectbox("Data set and split", names, key="of", bind="query-params")
    matching = [run for run in runs if data_name(run) == name]
    models = list(dict.fromkeys(run.config.model.name for run in matching if run.config))
    model = middle.multiselect("Models", models, key="models_shown", placeholder="all")
    matching = [run for run in matching if not model or (run.config and run.config.model.name in model)]
    losses = list(dict.fromkeys(map(loss_name, matching)))
    loss = right.multiselect("Losses", losses, key="losses_shown", placeholder="all")
    matching = [run for run in matching if not loss or loss_name(run) in loss]
    ids = [run.id for run in matching]
    wanted = st.multiselect(
        "Runs", ids, key="runs", bind="query-params", placeholder=f"all {len(ids)} finished runs that match"
    )
    return [run for run in matching if not wanted or run.id in wanted]


def borders_of(run: Run) -> Borders:
    """Draws the borders between head, medium and tail; those of the run's training are the default."""
    kept = Borders(**metrics_of(run)["borders"])
    left, right, rest = st.columns([1, 1, 4], vertical_alignment="bottom")
    head = left.number_input("Head from", 1, value=None, placeholder=str(kept.head), key="head", bind="query-params")
    tail = right.number_input("Tail up to", 0, value=None, placeholder=str(kept.tail), key="tail", bind="query-params")
    rest.caption("documents of the train part that carry the label; medium lies between.")
    try:
        return Borders(kept.head if head is None else head, kept.tail if tail is None else tail)
    except UserError as error:
        st.error(plain(str(error)))
        return kept


def tables(runs: list[Run]) -> None:
    """The paper's Tables 2 and 3 of the runs, published rows beside them."""
    borders = borders_of(runs[0])
    published = st.toggle("With the published rows", True, key="published", bind="query-params")
    moved = borders != Borders(**metrics_of(runs[0])["borders"])
    scores = {}
    for run in runs if moved else []:
        try:
            scores[run.id] = scores_of(run, borders.head, borders.tail)
        except UserError as error:
            st.warning(plain(f"Left out of the moved groups: {error}"))
    captions = {
        2: "Table 2. F1 in percent of all labels and of head, medium and tail labels, test part.",
        3: "Table 3. F1 in percent of all documents, and of those with one label and with several, test part.",
    }
    for table, caption in captions.items():
        frame = report.comparison(runs, table=table, with_published=published)
        if moved:
            frame = results.regrouped(frame, scores, table=table)
        st.markdown(f"**{caption}**")
        st.dataframe(
            results.comparison_table(frame, table=table),
            key=f"table{table}",
            hide_index=True,
            height="content",
            placeholder="–",
            column_config=comparison_columns(table),
            alt=caption,
        )
        with st.container(horizontal=True):
            st.download_button("CSV", report.to_csv(frame), f"table{table}.csv", "text/csv", on_click="ignore")
            st.download_button("LaTeX", report.to_latex(frame), f"table{table}.tex", "text/x-tex", on_click="ignore")
    if published:
        st.caption(
            "Published: Huang et al., Balancing Methods for Multi-label Text Classification with Long-Tailed Class "
            "Distribution, EMNLP 2021, Tables 2 and 3; a BERT encoder, single runs."
            + (" Its groups have other borders and are left out here." if moved else "")
        )


def comparison_columns(table: int) -> dict[Any, Any]:
    """How a comparison's columns are drawn, by position; 0 is the hidden index."""
    column = st.column_config
    scores = {place: column.NumberColumn(format="%.2f", width=80) for place in range(len(report.SCORE_COLUMNS[table]))}
    source = column.MultiselectColumn(options=["this run", "published"], color=["blue", "gray"])
    return {1: source, **{4 + place: drawn for place, drawn in scores.items()}}


def one_run(runs: list[Run]) -> Run:
    """Draws the choice of one of the runs."""
    ids = [run.id for run in runs]
    return runs[ids.index(st.selectbox("Run", ids, key="detail", bind="query-params"))]


def labels(runs: list[Run]) -> None:
    """F1 of each label against its frequency, and the table behind it."""
    left, right = st.columns(2)
    with left:
        run = one_run(runs)
    others = [other.id for other in runs if other.id != run.id]
    second = right.selectbox("Second run", others, None, key="second", bind="query-params", placeholder="none")
    borders = borders_of(run)
    shown = [run, *(other for other in runs if other.id == second)]
    frames = {one.id: label_table_of(one, borders.head, borders.tail) for one in shown}
    st.altair_chart(results.f1_by_frequency(frames, borders), alt="F1 of every label against its training frequency")
    search = st.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    rows, found = results.rows_of_label(frames[run.id], search, ["label"], limit=LABELS_SHOWN)
    rates = ["precision", "recall", "f1"]
    column = st.column_config
    st.dataframe(
        results.percents(rows, rates),
        key="labels_table",
        hide_index=True,
        height=420,
        column_config={name: column.NumberColumn(f"{name} (%)", format="%.2f") for name in rates},
        alt="Every label with its training documents, hits, misses and F1",
    )
    if found > len(rows):
        st.caption(f"The {len(rows)} most frequent of {found} labels; type a part of a name to find others.")


def confused(runs: list[Run]) -> None:
    """Which label was given, or kept, where another was missed, and the documents behind a pair."""
    run = one_run(runs)
    names = metrics_of(run)["labels"]
    pairs = pairs_of(run)
    st.caption(
        "Swapped: the label was missed and the other wrongly given. Absorbed: it was missed while the other was "
        "rightly there. Share: of all misses of the label."
    )
    search = st.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    rows, found = results.rows_of_label(pairs, search, ["missed", "gave"], limit=PAIRS_SHOWN)
    if not found:
        st.info(
            "No label was missed in the company of another." if not search else "No confused pair has such a label."
        )
        return
    column = st.column_config
    missed, gave = st.query_params.get("missed"), st.query_params.get("gave")
    pairs_shown = list(zip(rows["missed"], rows["gave"], strict=True))
    chosen = [pairs_shown.index((missed, gave))] if (missed, gave) in pairs_shown else []
    st.dataframe(
        results.percents(rows, ["share_of_misses"]),
        key="pairs_table",
        hide_index=True,
        height=min(38 + 35 * len(rows), 420),
        on_select=lambda: choose_pair(pairs_shown),
        selection_mode="single-row",
        selection_default={"selection": {"rows": chosen, "columns": [], "cells": []}},
        column_config={
            "missed": "missed label",
            "gave": "given or kept label",
            "misses": column.NumberColumn("misses of the label"),
            "share_of_misses": column.NumberColumn("share of its misses (%)", format="%.1f"),
        },
        alt="Pairs of labels by how often the first was missed and the second given or kept",
    )
    if found > len(rows):
        st.caption(f"The first {len(rows)} of {found} pairs.")
    if missed is None or gave is None:
        st.caption("Choose a row to read the documents behind it.")
    elif missed not in names or gave not in names:
        st.error(plain(f"The pair '{missed}' and '{gave}' of the address is not one of this run's labels."))
    else:
        documents(run, names, missed, gave)


def choose_pair(pairs: list[tuple[str, str]]) -> None:
    """Writes the clicked pair into the URL."""
    if rows := st.session_state["pairs_table"]["selection"]["rows"]:
        st.query_params["missed"], st.query_params["gave"] = pairs[rows[0]]


def documents(run: Run, names: list[str], missed: str, gave: str) -> None:
    """The documents behind a pair and, on a click, the text of one. Texts are never read as Markdown or HTML."""
    predictions, corpus = predictions_of(run), texts_of(run)
    places, found = results.pair_documents(predictions, names.index(missed), names.index(gave), limit=DOCUMENTS_SHOWN)
    st.text(
        f"{found} documents where {missed} was missed and {gave} given or kept; scores behind the labels, "
        f"threshold {predictions.threshold:.3f}"
    )
    chosen = st.dataframe(
        results.document_table(predictions, names, places, corpus.titles if corpus else None),
        key=f"documents-{run.id}-{missed}-{gave}",
        hide_index=True,
        height=min(38 + 35 * max(len(places), 1), 300),
        on_select="rerun",
        selection_mode="single-row",
        alt="Documents behind the pair with their true and predicted labels",
    )
    if corpus and (rows := chosen["selection"]["rows"]):
        row = int(predictions.rows[places[rows[0]]])
        with st.container(border=True, height=320):
            st.text(corpus.titles[row])
            st.text(corpus.bodies[row])


def provenance(runs: list[Run]) -> None:
    """Where the numbers of a run come from: threshold, data, software, settings, command."""
    run = one_run(runs)
    metrics = metrics_of(run)
    st.dataframe(
        {
            "what": ["threshold", "its rule", "head from", "tail up to", "data fingerprint", "seconds"],
            "value": [
                f"{metrics['threshold']:.4f}",
                metrics["threshold_rule"],
                str(metrics["borders"]["head"]),
                str(metrics["borders"]["tail"]),
                metrics["fingerprint"],
                f"{metrics['seconds']:.1f}",
            ],
        },
        hide_index=True,
        alt="Threshold, rule, borders, data and time of the run",
    )
    st.code(metrics["command"], language="bash", wrap_lines=True)
    left, right = st.columns(2)
    left.json(run.config.model_dump(exclude_none=True) if run.config else {}, expanded=2)
    right.json(metrics["versions"])


def show() -> None:
    header("Results", "The paper's tables made from your runs, F1 of each label, and what is confused with what.")
    wrong_address()
    finished = readable(store.list_runs())
    if not finished:
        st.info(
            "There is no finished run to show. Launch one on the Training page: its scores appear here when it ends."
        )
        link("launcher")
        return
    compared = pick(finished)
    if not compared:
        st.info("No finished run matches these filters.")
        return
    view = st.segmented_control("Show", list(VIEWS), default="Tables", required=True, key="view", bind="query-params")
    if len({metrics_of(run)["fingerprint"] for run in compared}) > 1:
        st.warning("These runs were trained on different versions of the data set: their numbers do not compare.")
    VIEWS[view](compared)


VIEWS: dict[str, Callable[[list[Run]], None]] = {
    "Tables": tables,
    "Labels": labels,
    "Confused pairs": confused,
    "Provenance": provenance,
}


if __name__ == "__main__":
    import app

    app.main("results")

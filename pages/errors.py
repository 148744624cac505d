"""Errors: which labels fail, confused with what, in which documents, why, and what another threshold would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from core import store, thresholds
from core.config import UserError, read_only
from core.data import Corpus
from core.figures import errors
from core.figures.errors import AS_TRAINED, OWN, RULES, TOP_K
from core.labels import Borders
from core.store import Predictions, Run
from pages import corpus_of, header, link, pick_label, plain
from pages.sections.explorer import SAVED, offer
from pages.shared.runs import (
    BY_VERSION,
    hand_out,
    metrics_of,
    pick_borders,
    predictions_of,
    readable,
    why,
    wrong_address,
)

LABELS_SHOWN = 500
PAIRS_SHOWN = 200
PAIRS_KEPT = 20_000
DOCUMENTS_SHOWN = 200
RESERVED = (AS_TRAINED, OWN, *RULES, TOP_K)
"""Thresholds that every run has; no named set is called so."""


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
    """What every view of the page reads: a run at the chosen thresholds."""

    run: Run
    labels: list[str]
    counts: list[int]
    borders: Borders
    predictions: Predictions
    chosen: Chosen
    limits: Any
    predicted: Any
    other: Run | None


KEYS: dict[Any, Callable[[Any], Any]] = {**BY_VERSION, Chosen: repr}


@st.cache_resource(max_entries=64, show_spinner="Fitting thresholds on validation", hash_funcs=KEYS)
def fitted(run: Run, rule: str) -> tuple[Any, int | None]:
    """Thresholds of a rule, from validation alone; or for `top k` the number of labels."""
    metrics, validation = metrics_of(run), predictions_of(run, "validation")
    if rule == TOP_K:
        return None, errors.fit_top_k(validation)
    documents = int((metrics.get("documents") or {}).get("train", max(metrics["counts"])))
    margins = bool(run.config and run.config.model.name == "svm")
    return errors.fit_limits(validation, rule, metrics["counts"], documents, margins=margins), None


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=KEYS)
def predicted_at(run: Run, chosen: Chosen) -> tuple[Any, Any]:
    """Thresholds and predicted labels of a run; limits are None where labels are chosen by rank."""
    predictions = predictions_of(run)
    limits: Any
    if chosen.name == AS_TRAINED:
        limits, k = predictions.threshold, None
    elif chosen.name == OWN:
        limits, k = chosen.limit, None
    elif chosen.name in (*RULES, TOP_K):
        limits, k = fitted(run, chosen.name)
    else:
        values = store.read_threshold_sets(run)[chosen.name]["values"]
        limits, k = errors.named_limits(values, len(metrics_of(run)["labels"])), None
    if limits is not None:
        limits = errors.with_changes(limits, dict(chosen.changes), len(metrics_of(run)["labels"]))
    return limits, errors.predict(predictions, limits, k)


@st.cache_resource(max_entries=16, show_spinner="Counting confused pairs", hash_funcs=KEYS)
def pairs_at(run: Run, chosen: Chosen, other: Run | None) -> Any:
    before = (predictions_of(other), predicted_at(other, Chosen(AS_TRAINED))[1]) if other else None
    labels = metrics_of(run)["labels"]
    return errors.confused_pairs(
        predictions_of(run), predicted_at(run, chosen)[1], labels, limit=PAIRS_KEPT, other=before
    )


@st.cache_data(max_entries=16, show_spinner="Looking for label errors", hash_funcs=KEYS)
def doubts_of(run: Run, head: int, tail: int, titles: bool) -> tuple[Any, int]:
    metrics, corpus = metrics_of(run), texts_of(run)[0]
    return errors.label_error_table(
        predictions_of(run),
        metrics["labels"],
        metrics["counts"],
        Borders(head, tail),
        corpus.titles if corpus and titles else None,
    )


def texts_of(run: Run) -> tuple[Corpus | None, str]:
    """The data set of a run if it is still there and unchanged, and a sentence on what is missing otherwise."""
    if run.config is None:
        return None, ""
    try:
        corpus = corpus_of(run.config.data)
    except UserError as error:
        return None, f"The texts cannot be shown, everything else can: {error}"
    if corpus.fingerprint != metrics_of(run)["fingerprint"]:
        return None, "The texts cannot be shown, everything else can: the data set has changed since the training."
    return corpus, ""


def pick_run(runs: list[Run]) -> tuple[Run, Run | None]:
    """Draws the choice of a run and of one to compare it with."""
    ids = [run.id for run in runs]
    left, right = st.columns(2)
    default = next((place for place, run in enumerate(runs) if run.config and run.config.loss), 0)
    run = runs[ids.index(left.selectbox("Run", ids, default, key="run", bind="query-params"))]
    why_not = {other.id: apart(run, other) for other in runs if other.id != run.id}
    others = [run_id for run_id, reason in why_not.items() if not reason]
    if reason := why_not.get(st.query_params.get("second", ""), ""):
        st.warning(plain(f"Not compared with {st.query_params['second']}: {reason}."))
    second = right.selectbox(
        "Compare with",
        others,
        None,
        key="second",
        bind="query-params",
        placeholder="no other run on this data" if not others else "none",
    )
    return run, next((other for other in runs if other.id == second), None)


def apart(one: Run, other: Run) -> str:
    """Why two runs cannot be laid side by side; empty if they have the same data, split and labels."""
    mine, theirs = metrics_of(one), metrics_of(other)
    if one.config is None or other.config is None or one.config.data != other.config.data:
        return "it has another data set or split"
    if mine["labels"] != theirs["labels"]:
        return "its labels have other names or another order"
    return "" if mine["fingerprint"] == theirs["fingerprint"] else "the data set has changed between the two"


def pick_thresholds(run: Run, labels: list[str]) -> Chosen:
    """Draws the what-if: a rule fitted on validation, a named set, or thresholds moved by hand."""
    names = [*RESERVED, *(name for name in store.read_threshold_sets(run) if name not in RESERVED)]
    left, middle, right, last = st.columns([6, 8, 3, 3], vertical_alignment="bottom")
    name = left.selectbox("Thresholds", names, key="at", bind="query-params", help=HELP)
    low, high = errors.score_range(predictions_of(run))
    limit = 0.0
    if name == OWN:
        now = min(max(errors.middle_limit(predictions_of(run).threshold), low), high)
        limit = middle.slider("Predict a label above", low, high, now, (high - low) / 200, key=f"limit-{run.id}")
    else:
        middle.caption(plain(words_of_rule(run, name)))
    changes: dict[int, float] = st.session_state.setdefault(f"changes-{run.id}", {})
    if name == TOP_K:
        return Chosen(name)
    with right.popover("One label", width="stretch"):
        label = pick_label("Move the threshold of", "moved", labels, None)
        if label is not None:
            move(run, labels.index(label), Chosen(name, limit), changes)
        if changes:
            st.button("Take all labels back", on_click=take_back, args=(run,))
    chosen = Chosen(name, limit, tuple(sorted(changes.items())))
    with last.popover("Keep", width="stretch"):
        keep(run, chosen)
    if changes:
        moved = ", ".join(f"{labels[column]} {value:.3f}" for column, value in chosen.changes)
        st.caption(plain(f"Moved by hand: {moved}."))
    return chosen


def move(run: Run, column: int, base: Chosen, changes: dict[int, float]) -> None:
    """Draws the threshold of one label; moved, it is a change, and at its old place it is none."""
    low, high = errors.score_range(predictions_of(run))
    before = errors.limit_of(predicted_at(run, base)[0], column)
    now = float(min(max(changes.get(column, before), low), high))
    moved = st.slider("To", low, high, now, (high - low) / 200, key=f"moved-{run.id}-{column}")
    if abs(moved - now) > 1e-9:
        changes[column] = moved


HELP = (
    "Every rule is fitted on the validation part and shown on the test part. SCut picks the best threshold of each "
    "label, which over-fits rare labels; 'per label' guards against that by adding documents of an average label."
)


def words_of_rule(run: Run, name: str) -> str:
    """A rule's thresholds in words."""
    if name == TOP_K:
        return f"The {fitted(run, name)[1]} highest scores of every document."
    return errors.limits_in_words(predicted_at(run, Chosen(name))[0])


def keep(run: Run, chosen: Chosen) -> None:
    """Draws the form that keeps the thresholds of now under a name."""
    if run.published:
        st.caption("A published run is never changed: train it yourself to keep thresholds with it.")
        return
    if read_only():
        return
    name = st.text_input("Keep these thresholds as", key="keep_as", placeholder="a name", max_chars=60).strip()
    if name in RESERVED:
        st.caption(plain(f"'{name}' is the name of a rule: take another."))
    st.button("Keep", disabled=not name or name in RESERVED, on_click=kept, args=(run, chosen, name))


def kept(run: Run, chosen: Chosen, name: str) -> None:
    """Keeps the thresholds of now and chooses them."""
    limits, _ = predicted_at(run, chosen)
    try:
        store.save_threshold_set(run, name, rule=chosen.name, values=thresholds.values_of(limits))
    except UserError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    take_back(run)
    st.session_state["at"] = name
    st.toast(plain(f"Kept as {name}."))


def take_back(run: Run) -> None:
    """Forgets every threshold of a label that was moved by hand."""
    for column in st.session_state.pop(f"changes-{run.id}", {}):
        st.session_state.pop(f"moved-{run.id}-{column}", None)


def numbers(shown: Shown) -> None:
    """The scores at the chosen thresholds, and what changed against those of the training."""
    before = errors.headline(
        shown.predictions, predicted_at(shown.run, Chosen(AS_TRAINED))[1], shown.counts, shown.borders
    )
    now = errors.headline(shown.predictions, shown.predicted, shown.counts, shown.borders)
    moved = shown.chosen != Chosen(AS_TRAINED)
    with st.container(horizontal=True, gap="large"):
        for title, value in now.items():
            old = before[title]
            change = f"{value - old:+.2f}" if moved and value is not None and old is not None else None
            neutral = title == "labels a document" or (change is not None and float(change) == 0)
            st.metric(
                title,
                "–" if value is None else f"{value:.2f}",
                change,
                delta_color="off" if neutral else "normal",
                width="content",
            )


def labels_view(shown: Shown) -> None:
    """Every label: hits, misses, F1 with its interval, threshold; a click draws its precision-recall curve."""
    table = errors.label_table(
        shown.predictions, shown.predicted, shown.labels, shown.counts, shown.borders, shown.limits
    )
    other = None
    if shown.other:
        theirs = predictions_of(shown.other)
        other = errors.label_table(
            theirs, predicted_at(shown.other, Chosen(AS_TRAINED))[1], shown.labels, shown.counts, shown.borders
        )
    never, unhit = (errors.select_labels(table, only=only) for only in ("never predicted", "never hit"))
    left, middle, right = st.columns([3, 2, 4], vertical_alignment="bottom")
    search = left.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    group = middle.selectbox("Group", ["head", "medium", "tail"], None, key="group", placeholder="all")
    only = right.segmented_control(
        "Only labels that are",
        ["never predicted", "never hit"],
        key="only",
        format_func=lambda name: f"{name} ({len(never if name == 'never predicted' else unhit)})",
    )
    kept = errors.select_labels(table, group=group or "", only=only or "")
    rows, found = errors.rows_of_label(kept, search, ["label"], limit=LABELS_SHOWN)
    if not found:
        st.info("No label matches.")
        return
    column = st.column_config
    chosen = st.dataframe(
        errors.shown_labels(rows, other),
        key="labels_table",
        hide_index=True,
        height=min(38 + 35 * len(rows), 400),
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "label": column.TextColumn(width=120),
            "support": column.NumberColumn("test", help="documents of the test part"),
            "threshold": column.NumberColumn(format="%.3f"),
            "f1": column.ProgressColumn("F1 (%)", format="%.1f", min_value=0, max_value=100),
            "change": column.NumberColumn("change", format="%+.1f", help="of F1, against the other run"),
            "interval": column.TextColumn("95 %", help="Interval of F1; wide where a label has few test documents."),
            "precision": column.NumberColumn("precision (%)", format="%.1f"),
            "recall": column.NumberColumn("recall (%)", format="%.1f"),
        },
        alt="Every label with its hits, misses, F1 and threshold",
    )
    offer("labels", lambda: errors.shown_labels(errors.rows_of_label(kept, search, ["label"], limit=found)[0], other))
    if found > len(rows):
        st.caption(f"The {len(rows)} most frequent of {found} labels; type a part of a name to find others.")
    picked = chosen["selection"]["rows"]
    left, right = st.columns(2, gap="medium")
    with left:
        st.caption("F1 of every label against its number of training documents.")
        named = {shown.run.id: table} | ({shown.other.id: other} if shown.other and other is not None else {})
        st.altair_chart(errors.f1_by_frequency(named, shown.borders), alt="F1 of every label against its frequency")
    with right:
        if not picked or picked[0] >= len(rows):
            st.caption("Choose a row of the table to see what other thresholds would do for that label.")
            return
        row = rows.iloc[picked[0]]
        name = row["label"]
        curve = errors.precision_recall(shown.predictions, shown.labels.index(name))
        st.caption(plain(f"{name}: precision and recall at every threshold; the large dot is now."))
        if curve.empty:
            st.info("No test document has this label: there is no curve.")
            return
        now = {"precision": 100 * row["precision"], "recall": 100 * row["recall"]}
        st.altair_chart(errors.precision_recall_chart(curve, now), alt=f"Precision and recall of {name}")
        link("errors", f"Documents of {name}", {"run": shown.run.id, "view": "Documents", "of_label": name})


def pairs_view(shown: Shown) -> None:
    """Which label was given, or kept, where another was missed, and the documents behind a pair."""
    pairs = pairs_at(shown.run, shown.chosen, shown.other)
    st.caption(
        "A label was missed, and another was wrongly given (swapped) or rightly there (absorbed). Together: test "
        "documents that truly have both, as a share of those of the missed label."
    )
    search = st.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    rows, found = errors.rows_of_label(pairs, search, ["missed", "gave"], limit=PAIRS_SHOWN)
    if not found:
        st.info(
            "No label was missed in the company of another." if not search else "No confused pair has such a label."
        )
        return
    column = st.column_config
    missed, gave = st.query_params.get("missed"), st.query_params.get("gave")
    listed = list(zip(rows["missed"], rows["gave"], strict=True))
    chosen = [listed.index((missed, gave))] if (missed, gave) in listed else []
    st.dataframe(
        errors.percents(rows, ["share_of_misses", "share_together"]),
        key="pairs_table",
        hide_index=True,
        height=min(38 + 35 * len(rows), 350),
        on_select=lambda: choose_pair("pairs_table", listed),
        selection_mode="single-row",
        selection_default={"selection": {"rows": chosen, "columns": [], "cells": []}},
        column_order=[
            *("missed", "gave", "total", "change", "swapped", "absorbed", "misses", "share_of_misses"),
            *("together", "share_together"),
        ],
        column_config={
            "missed": column.TextColumn("missed", width=110),
            "gave": column.TextColumn("given or kept", width=110),
            "total": column.ProgressColumn("documents", format="%d", min_value=0, max_value=int(pairs["total"].max())),
            "change": column.NumberColumn(format="%+d", help="documents more than in the other run"),
            "misses": column.NumberColumn("all misses", help="of the missed label"),
            "share_of_misses": column.NumberColumn("of misses (%)", format="%.0f"),
            "share_together": column.NumberColumn("together (%)", format="%.0f"),
        },
        alt="Pairs of labels by how often the first was missed and the second given or kept",
    )
    offer("pairs", lambda: errors.rows_of_label(pairs, search, ["missed", "gave"], limit=found)[0])
    if found > len(rows):
        st.caption(f"The first {len(rows)} of {found:,} pairs.")
    behind_pair(shown, missed, gave)


def choose_pair(key: str, pairs: list[tuple[str, str]]) -> None:
    """Writes the clicked pair into the address."""
    if rows := st.session_state[key]["selection"]["rows"]:
        st.query_params["missed"], st.query_params["gave"] = pairs[rows[0]]


def behind_pair(shown: Shown, missed: str | None, gave: str | None) -> None:
    """The documents behind a pair of labels."""
    if missed is None or gave is None:
        st.caption("Choose a pair to read the documents behind it.")
        return
    if missed not in shown.labels or gave not in shown.labels:
        st.error(plain(f"The pair '{missed}' and '{gave}' of the address is not one of this run's labels."))
        return
    find = partial(
        errors.pair_documents,
        shown.predictions,
        shown.predicted,
        shown.labels.index(missed),
        shown.labels.index(gave),
    )
    found = find(limit=DOCUMENTS_SHOWN)[1]
    many = "document" if found == 1 else "documents"
    st.text(f"{found} {many} where {missed} was missed and {gave} given or kept")
    documents(shown, find, f"{missed}-{gave}")


def map_view(shown: Shown) -> None:
    """The confusion matrix of the labels that are confused most; a click lists the documents."""
    view = st.segmented_control(
        "Read it as",
        list(SIDES),
        default="recall",
        required=True,
        key="side",
        format_func=SIDES.__getitem__,
    )
    table = errors.confusion_map(shown.predictions, shown.predicted, shown.labels, view=view)
    if table.empty:
        st.info("No label was confused with another.")
        return
    st.caption(
        "The labels that are confused most, side by side; grey cells are right and stand for "
        f"{'recall' if view == 'recall' else 'precision'}. A document's miss is shared among its predicted labels "
        "(MLCT, Krstinic et al. 2024). Click a cell for its documents."
    )
    clicked = st.altair_chart(
        errors.confusion_map_chart(table, view=view),
        key=f"map-{view}",
        on_select="rerun",
        width="content",
        alt="Which labels were predicted where which were true",
    )
    if cells := clicked["selection"].get("cell"):
        behind_pair(shown, cells[0]["true"], cells[0]["predicted"])


SIDES = {"recall": "where true labels went", "precision": "where predicted labels came from"}


def documents_view(shown: Shown) -> None:
    """Test documents, the worst first, by label, fault and number of labels."""
    one, two, three, four = st.columns([3, 2, 3, 2], vertical_alignment="bottom")
    with one:
        label = pick_label("With the label", "of_label", shown.labels, None)
    fault = two.selectbox("Where it is", errors.FAULTS, key="fault", bind="query-params")
    most = errors.most_labels(shown.predictions)
    sizes = three.slider("True labels of the document", 0, most, (0, most), key=f"sizes-{shown.run.id}")
    order = four.selectbox("Order", errors.ORDERS, key="order", bind="query-params")
    find = partial(
        errors.find_documents,
        shown.predictions,
        shown.predicted,
        label=shown.labels.index(label) if label else None,
        fault=fault,
        sizes=sizes,
        order=order,
    )
    places, found = find(limit=DOCUMENTS_SHOWN)
    if not found:
        st.info("No document matches.")
        return
    st.text(f"{found:,} documents" + (f", the first {len(places)}" if found > len(places) else ""))
    documents(shown, find, f"{label}-{fault}-{sizes}-{order}")


def documents(shown: Shown, find: Callable[..., tuple[Any, int]], key: str) -> None:
    """A list of documents and, on a click, one of them. Texts are never read as Markdown or HTML.

    Args:
        shown: a run.
        find: gives the first `limit` places of documents, and their number.
        key: of the table; another key forgets which row was chosen.
    """
    places = find(limit=DOCUMENTS_SHOWN)[0]
    corpus, sentence = texts_of(shown.run)
    if sentence:
        st.info(plain(sentence))
    column = st.column_config
    table_of = partial(errors.document_table, shown.predictions, shown.predicted, shown.labels)
    titles = corpus.titles if corpus else None
    chosen = st.dataframe(
        table_of(places, titles),
        key=f"documents-{shown.run.id}-{key}",
        hide_index=True,
        height=min(38 + 35 * max(len(places), 1), 300),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "id": column.TextColumn(width=60),
            "title": column.TextColumn(width=200),
            **{name: column.TextColumn(f"{name} labels", width=158) for name in ("missed", "spurious", "hit")},
            "f1": column.ProgressColumn("F1 (%)", format="%.0f", min_value=0, max_value=100, width=80),
        },
        alt="Documents with their missed, spurious and hit labels",
    )
    offer("documents", lambda: table_of(find(limit=SAVED)[0], titles))
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(places):
        one_document(shown, corpus, int(places[rows[0]]))
    else:
        st.caption("Choose a document to read it, and to see why each label was given or not.")


def one_document(shown: Shown, corpus: Corpus | None, place: int) -> None:
    """A document's text, how each of its labels was decided, and the words that moved one of them."""
    scores = errors.scores_of_document(shown.predictions, place)
    table = errors.decision_table(
        scores,
        shown.limits,
        shown.labels,
        errors.labels_of(shown.predictions.targets, place),
        errors.labels_of(shown.predicted, place),
    )
    left, right = st.columns(2, gap="medium")
    with left:
        if corpus:
            row = int(shown.predictions.rows[place])
            with st.container(border=True, height=460):
                st.text(corpus.titles[row])
                st.text(corpus.bodies[row])
    with right:
        number = st.column_config.NumberColumn
        st.dataframe(
            table,
            hide_index=True,
            placeholder="–",
            column_config={"score": number(format="%.3f"), "threshold": number(format="%.3f")},
            alt="How each label of the document was decided",
        )
        offer("decisions", table)
        if corpus:
            why(shown.run, corpus.text(int(shown.predictions.rows[place])), list(table["label"]), shown.labels)


def slices_view(shown: Shown) -> None:
    """Scores by number of labels and by length, calibration, and every other score of the run."""
    column = st.column_config
    percent = {
        name: column.NumberColumn(f"{title} (%)", format="%.1f")
        for name, title in {
            "micro_f1": "micro-F1",
            "macro_f1": "macro-F1",
            "samples_f1": "samples-F1",
            "micro_precision": "precision",
            "micro_recall": "recall",
            "subset_accuracy": "exactly right",
        }.items()
    }
    st.caption("By number of true labels of the test document.")
    sizes = errors.size_table(shown.predictions, shown.predicted)
    st.dataframe(sizes, hide_index=True, column_config=percent, alt="Scores by number of labels")
    offer("by-number-of-labels", sizes)
    corpus, sentence = texts_of(shown.run)
    if corpus:
        words = [len(corpus.text(int(row)).split()) for row in shown.predictions.rows]
        st.caption("By number of words of the test document, in four parts.")
        lengths = errors.length_table(shown.predictions, shown.predicted, words)
        st.dataframe(lengths, hide_index=True, column_config=percent, alt="Scores by number of words")
        offer("by-number-of-words", lengths)
    else:
        st.info(plain(sentence))
    left, right = st.columns(2, gap="medium")
    with left:
        try:
            curve, gaps = errors.calibration(shown.predictions, shown.counts, shown.borders)
        except ValueError:
            st.info("An SVM's margins are no probabilities: there is no calibration to show.")
        else:
            words_of = ", ".join(f"{group} {gap:.3f}" for group, gap in gaps.items())
            st.caption(
                plain(f"Calibration: share of true labels at each score. Expected calibration error: {words_of}.")
            )
            st.altair_chart(errors.calibration_chart(curve), alt="Calibration by frequency group")
    with right:
        kept = metrics_of(shown.run).get("scores") or {}
        st.caption("Every other score of the run, at its own threshold, in percent.")
        if not kept:
            st.info("An older version made this run: train it again for mAP, P@k, nDCG@k, PSP@k and the like.")
            return
        st.dataframe(
            errors.all_scores(kept),
            hide_index=True,
            height=360,
            column_config={"value": column.NumberColumn("%", format="%.2f")},
            alt="Other scores of the run",
        )
        offer("scores", partial(errors.all_scores, kept))
        st.caption(plain(errors.macro_sentence(kept)))


def doubts_view(shown: Shown) -> None:
    """Labels of the test part that are probably wrong or missing in the data."""
    corpus, sentence = texts_of(shown.run)
    try:
        table, judged = doubts_of(shown.run, shown.borders.head, shown.borders.tail, corpus is not None)
    except ValueError:
        st.info("An SVM's margins are no probabilities: choose a run with a loss to look for label errors.")
        return
    if sentence:
        st.info(plain(sentence))
    st.caption(
        "Test labels that confident learning (cleanlab's multi-label filter) doubts: wrong, the data has the label and "
        "the run hardly sees it; missing, the other way round. The most doubtful first; thresholds play no part."
    )
    st.warning(
        f"A doubt is no proof, and least of all for a rare label: one that the run has not learned is doubted wherever "
        f"it is right. {judged} of {len(shown.labels)} labels were judged, those with 5 test documents or more; "
        "where many of a label's documents are doubted, suspect the run before the data."
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    search = left.text_input("Find a label", key="label", bind="query-params", placeholder="part of its name")
    maybe = right.segmented_control("Only", list(errors.KINDS.values()), key="maybe")
    kept = table[table["maybe"].eq(maybe)] if maybe else table
    rows, found = errors.rows_of_label(kept, search, ["label"], limit=LABELS_SHOWN)
    if not found:
        st.info("Nothing is doubted.")
        return
    column = st.column_config
    chosen = st.dataframe(
        rows,
        key=f"doubts-{shown.run.id}-{search}-{maybe}",
        hide_index=True,
        height=min(38 + 35 * len(rows), 400),
        on_select="rerun",
        selection_mode="single-row",
        column_order=["id", "title", "label", "group", "maybe", "score", "share"],
        column_config={
            "id": column.TextColumn(width=60),
            "title": column.TextColumn(width=280),
            "maybe": column.TextColumn("the label may be"),
            "score": column.NumberColumn(format="%.3f"),
            "share": column.NumberColumn(
                "doubted alike (%)", format="%.1f", help="of the test documents that have the label, or that lack it"
            ),
        },
        alt="Labels of documents that are probably wrong or missing",
    )
    offer("label-errors", lambda: kept.drop(columns="place"))
    if found > len(rows):
        st.caption(f"The first {len(rows)} of {found:,} doubts.")
    picked = chosen["selection"]["rows"]
    if picked and picked[0] < len(rows):
        one_document(shown, corpus, int(rows["place"].iloc[picked[0]]))
    else:
        st.caption("Choose a row to read the document and judge for yourself.")


def provenance(shown: Shown) -> None:
    """Where the numbers of a run come from: threshold, data, software, settings, command."""
    run, metrics = shown.run, metrics_of(shown.run)
    st.dataframe(
        {
            "what": ["threshold", "its rule", "head from", "tail up to", "data fingerprint", "seconds", "published"],
            "value": [
                errors.limits_in_words(thresholds.of_values(metrics["threshold"])),
                metrics["threshold_rule"],
                str(metrics["borders"]["head"]),
                str(metrics["borders"]["tail"]),
                metrics["fingerprint"],
                f"{metrics['seconds']:.1f}",
                "yes: results without weights, as they came with Tailscope" if run.published else "no",
            ],
        },
        hide_index=True,
        alt="Threshold, rule, borders, data and time of the run",
    )
    hand_out(run)
    st.caption("The command that makes this run again.")
    st.code(metrics["command"], language="bash", wrap_lines=True)
    left, right = st.columns(2)
    left.json(run.config.model_dump(exclude_none=True) if run.config else {}, expanded=2)
    right.json(metrics["versions"])


@st.fragment
def body(run: Run, other: Run | None, borders: Borders) -> None:
    """Everything below the choice of the run: moved thresholds redraw this alone."""
    try:
        predictions_of(run)
        draw(run, other, borders)
    except UserError as error:  # a fragment that is redrawn alone has nobody above it
        st.error(plain(str(error)))


def draw(run: Run, other: Run | None, borders: Borders) -> None:
    """The numbers and the chosen view of a run whose predictions can be read."""
    metrics = metrics_of(run)
    try:
        chosen = pick_thresholds(run, metrics["labels"])
        limits, predicted = predicted_at(run, chosen)
    except UserError as error:
        st.error(plain(f"These thresholds cannot be fitted, those of the training are shown: {error}"))
        chosen = Chosen(AS_TRAINED)
        limits, predicted = predicted_at(run, chosen)
    shown = Shown(
        run, metrics["labels"], metrics["counts"], borders, predictions_of(run), chosen, limits, predicted, other
    )
    numbers(shown)
    view = st.segmented_control("Show", list(VIEWS), default="Labels", required=True, key="view", bind="query-params")
    VIEWS[view](shown)


def show() -> None:
    header("Errors", "Which labels fail, confused with what, in which documents, why, and what a threshold would do.")
    wrong_address("run", "second")
    finished = readable(store.list_runs())
    if not finished:
        st.info("There is no finished run to show. Launch one on the Training page: it appears here when it ends.")
        link("launcher")
        return
    run, other = pick_run(finished)
    left, right = st.columns([6, 2], vertical_alignment="center")
    with right:
        borders = pick_borders(Borders(**metrics_of(run)["borders"]))
    published = "Published with Tailscope: results without weights, never changed. " if run.published else ""
    left.caption(plain(f"{published}{metrics_of(run)['command']}"))
    body(run, other, borders)


VIEWS: dict[str, Callable[[Shown], None]] = {
    "Labels": labels_view,
    "Confused pairs": pairs_view,
    "Map": map_view,
    "Documents": documents_view,
    "Slices": slices_view,
    "Label errors": doubts_view,
    "Provenance": provenance,
}


if __name__ == "__main__":
    import app

    app.main("errors")

"""What the errors page shows: labels, confused pairs and their map, documents, and what other thresholds would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.config.defaults import THRESHOLD_RULES
from core.figures import GRID, GROUP_COLOURS, HEIGHT, MARGIN, MAX_MARKS
from core.labels.groups import FREQUENCY_GROUPS, Borders, count_documents, group_of, indicator
from core.metrics import calibration as metrics_calibration
from core.metrics import confusion, label_errors, label_sets, thresholds, uncertainty
from core.metrics.calibration import expected_calibration_error
from core.metrics.slices import length_slices, score_slices, size_slices
from core.metrics.thresholds import Limits
from core.runs.predictions import Predictions
from core.system.errors import UserError

NAMES_SHOWN = 6
NO_TRAINING = 0.5
"""Where a label without training documents stands on the logarithmic axis, whose tick there says 0."""
AS_TRAINED, OWN = "as trained", "my own"
RULES = {
    rule.title: name
    for name, rule in sorted(THRESHOLD_RULES.items(), key=lambda pair: pair[1].value is None)
    if rule.title
}
"""Rules of `THRESHOLD_RULES` as the page calls them: what needs no fitting first, the others fitted on validation."""
TOP_K = "top k (RCut)"
MAP_LABELS = 36
MAP_COLOURS = ["rgba(230, 85, 13, 0.08)", "rgba(230, 85, 13, 1)"]
"""From next to nothing to all: of little opacity instead of pale, so that a dark page shows little as little, too."""
CURVE_POINTS = 300


def fit_limits(validation: Predictions, rule: str, counts: Sequence[int], documents: int, *, margins: bool) -> Limits:
    """Thresholds of one of `RULES`, from validation scores.

    Args:
        validation: never the test part.
        rule: a key of `RULES`.
        counts: training documents of each label, (L,).
        documents: of the training part.
        margins: scores are an SVM's, whose fixed threshold is 0.
    """
    name = RULES[rule]
    if margins:
        name = THRESHOLD_RULES[name].margins or name
    if not THRESHOLD_RULES[name].by_label:
        return thresholds.fit_global(validation.targets, validation.scores, rule=name)
    return thresholds.fit_labels(
        validation.targets, validation.scores, rule=name, counts=np.asarray(counts), documents=documents
    )


def with_changes(limits: Limits, changes: Mapping[int, float], labels: int) -> Limits:
    """Thresholds with those of some label columns replaced."""
    if not changes:
        return limits
    moved = np.broadcast_to(np.asarray(limits, np.float64), (labels,)).copy()
    moved[list(changes)] = list(changes.values())
    return moved


def predict(predictions: Predictions, limits: Limits | None, k: int | None = None) -> sp.csr_array:
    """Predicted labels, (n, L) bool: above the limits, or the k highest of each document."""
    if k is not None:
        return thresholds.top_labels(predictions.scores, k)
    return thresholds.apply(predictions.scores, predictions.threshold if limits is None else limits)


def fit_top_k(validation: Predictions) -> int:
    """The number of labels for every document that is best on validation."""
    return thresholds.fit_top_k(validation.targets, validation.scores)


def score_range(predictions: Predictions) -> tuple[float, float]:
    """The lowest and highest threshold that makes a difference: 0 to 1, or what an SVM's margins span."""
    values = predictions.scores.data if isinstance(predictions.scores, sp.csr_array) else predictions.scores
    if not values.size or (values.min() >= 0 and values.max() <= 1):
        return 0.0, 1.0
    kept = values[np.abs(values) < 50]
    return float(np.floor(kept.min(initial=-1))), float(np.ceil(kept.max(initial=1)))


def headline(
    predictions: Predictions, predicted: sp.csr_array, counts: Sequence[int], borders: Borders
) -> dict[str, float | None]:
    """The numbers on top of the page: micro-F1, macro-F1 of all labels and by group (percent), labels a document."""
    scores = label_sets.score_groups(predictions.targets, predicted, np.asarray(counts, np.int64), borders)
    found = {"micro-F1": scores["all"]["micro_f1"], "macro-F1": scores["all"]["macro_f1"]}
    found |= {f"{group} macro-F1": scores[group]["macro_f1"] for group in FREQUENCY_GROUPS}
    percent: dict[str, float | None] = {name: None if v is None else 100 * v for name, v in found.items()}
    return percent | {"labels a document": predicted.nnz / max(predicted.shape[0], 1)}


def label_table(
    predictions: Predictions,
    predicted: sp.csr_array,
    labels: Sequence[str],
    counts: Sequence[int],
    borders: Borders,
    limits: Limits | None = None,
) -> pd.DataFrame:
    """`core.metrics.label_sets.label_table` with each label's threshold (NaN of none) and the interval of its F1, low and high."""
    table = label_sets.label_table(predictions.targets, predicted, labels, np.asarray(counts, np.int64), borders)
    low, high = uncertainty.label_intervals(*(table[name].to_numpy() for name in ("tp", "fp", "fn")))
    threshold = np.broadcast_to(np.asarray(math.nan if limits is None else limits, np.float64), (len(table),))
    return table.assign(threshold=threshold, low=low, high=high)


def select_labels(table: pd.DataFrame, *, group: str = "", only: str = "") -> pd.DataFrame:
    """The labels of a group, and those with a fault.

    Args:
        table: of `label_table`.
        group: head, medium or tail; empty for all.
        only: `never predicted`, `never hit` (predicted or in a document, but never right), or empty for all.
    """
    chosen = table["group"].eq(group) if group else pd.Series(True, index=table.index)
    if only == "never predicted":
        chosen &= table["tp"] + table["fp"] == 0
    elif only == "never hit":
        chosen &= (table["tp"] == 0) & (table["support"] > 0)
    return table[chosen]


def shown_labels(table: pd.DataFrame, other: pd.DataFrame | None = None) -> pd.DataFrame:
    """A `label_table` as it is listed: percent, the interval in words, and with `other` the change of F1 from it."""
    shown = table[["label", "group", "train", "support", "threshold"]].copy()
    for name in ("f1", "precision", "recall"):
        shown[name] = 100 * table[name]
    shown.insert(6, "interval", [f"{100 * a:.0f} to {100 * b:.0f}" for a, b in zip(table["low"], table["high"])])  # noqa: B905
    if other is not None:
        before = other.set_index("label")["f1"].reindex(table["label"]).to_numpy()
        shown.insert(6, "change", 100 * (table["f1"].to_numpy() - before))
    return shown.assign(tp=table["tp"], fp=table["fp"], fn=table["fn"])


def rows_of_label(table: pd.DataFrame, search: str, columns: Sequence[str], *, limit: int) -> tuple[pd.DataFrame, int]:
    """The first `limit` rows with `search` in one of `columns`, case ignored, and how many rows match in all."""
    wanted = search.strip().lower()
    matches = np.zeros(len(table), bool)
    for column in columns:
        matches |= table[column].astype(str).str.lower().str.contains(wanted, regex=False).to_numpy(bool)
    return table[matches].head(limit).reset_index(drop=True), int(matches.sum())


def f1_points(table: pd.DataFrame, *, limit: int = MAX_MARKS) -> pd.DataFrame:
    """Labels as points: those with the same training count and F1 are one point; many points are binned.

    Returns:
        Columns train, f1 (percent), group, labels (how many the point stands for), names; at most `limit` rows as
        long as that leaves room for the bins (100 or more).
    """
    points = table[["label", "group", "train", "f1"]].assign(f1=100 * table["f1"], x=table["train"], y=0.0)
    points["y"] = points["f1"].round(2)
    if len(points.drop_duplicates(["x", "y"])) > limit:
        levels = 21
        step = math.log(max(points["train"].max(), 2)) / max(limit // levels - len(FREQUENCY_GROUPS), 1)
        points["x"] = np.floor(np.log(points["train"].clip(lower=NO_TRAINING)) / step)
        points["y"] = (points["f1"] / 5).round()
    grouped = points.groupby(["group", "x", "y"], sort=False)
    return grouped.agg(
        train=("train", "mean"), f1=("f1", "mean"), labels=("label", "size"), names=("label", _few)
    ).reset_index()[["train", "f1", "group", "labels", "names"]]


def _few(names: pd.Series) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names.head(NAMES_SHOWN)) + (f" and {rest} more" if rest > 0 else "")


def _groups(**more: Any) -> alt.Color:
    return alt.Color(
        "group:N",
        title=None,
        sort=list(FREQUENCY_GROUPS),
        scale=alt.Scale(domain=list(FREQUENCY_GROUPS), range=[GROUP_COLOURS[group] for group in FREQUENCY_GROUPS]),
        legend=alt.Legend(orient="top"),
        **more,
    )


def f1_by_frequency(tables: Mapping[str, pd.DataFrame], borders: Borders) -> alt.LayerChart:
    """F1 of every label against its number of training documents (logarithmic), coloured by frequency group.

    Args:
        tables: by a run's name, its `label_table`; the second run has other marks.
        borders: drawn as rules.
    """
    limit = MAX_MARKS // max(len(tables), 1)
    points = pd.concat(
        [f1_points(table, limit=limit).assign(run=name) for name, table in tables.items()], ignore_index=True
    )
    points["x"] = points["train"].clip(lower=NO_TRAINING)
    high = max(10.0, float(points["x"].max()) * 1.3) if len(points) else 10.0
    low = 0.4 if (points["x"] < 1).any() else 0.8
    ticks = [NO_TRAINING] * bool(low < NO_TRAINING) + [10**power for power in range(math.ceil(math.log10(high)))]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=ticks, labelExpr="datum.value < 1 ? '0' : format(datum.value, ',')", grid=True)
    shape = alt.Shape(
        "run:N",
        title=None,
        sort=list(tables),
        scale=alt.Scale(domain=list(tables), range=["circle", "diamond"][: len(tables)]),
        legend=alt.Legend(orient="top", direction="vertical", labelLimit=600, symbolFillColor="gray")
        if len(tables) > 1
        else None,
    )
    marks = (
        alt.Chart(points)
        .mark_point(filled=True, opacity=0.75, strokeWidth=1)
        .encode(
            x=alt.X("x:Q", title="documents of the train part", scale=scale, axis=axis),
            y=alt.Y("f1:Q", title="F1 on the test part (%)", scale=alt.Scale(domain=[0, 100])),
            color=_groups(),
            shape=shape,
            size=alt.Size("labels:Q", scale=alt.Scale(type="sqrt", range=[50, 500]), legend=None),
            tooltip=[
                alt.Tooltip("names:N", title="label"),
                alt.Tooltip("f1:Q", title="F1 (%)", format=".2f"),
                alt.Tooltip("train:Q", title="train documents", format=",.0f"),
                alt.Tooltip("group:N"),
                alt.Tooltip("labels:Q", title="labels at this point"),
                alt.Tooltip("run:N"),
            ],
        )
    )
    edges = pd.DataFrame({"x": [borders.tail + 0.5, borders.head - 0.5]})
    rules = alt.Chart(edges[edges["x"].between(low, high)]).mark_rule(strokeDash=[4, 4], color="gray")
    return alt.LayerChart(layer=[rules.encode(x=alt.X("x:Q", scale=scale)), marks], height=360)


def precision_recall(predictions: Predictions, label: int) -> pd.DataFrame:
    """Precision and recall of a label at every cut between two of its scores, at most `CURVE_POINTS` of them.

    Returns:
        Columns threshold (a cut just below this score), precision, recall, f1 (percent); empty without a true document.
    """
    scores = predictions.scores
    if isinstance(scores, sp.csr_array):
        column = sp.csc_array(scores)[:, [label]]
        rows, values = column.indices, column.data.astype(np.float64)
    else:
        rows, values = np.arange(scores.shape[0]), scores[:, label].astype(np.float64)
    truth = indicator(predictions.targets)[:, [label]].toarray().ravel()
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], np.cumsum(truth[rows[order]])
    last = np.append(values[1:] != values[:-1], True)[: len(values)]
    places = np.flatnonzero(last) if truth.any() else np.zeros(0, np.int64)
    if len(places):  # below the last hit come errors alone
        places = places[: int(np.searchsorted(hits[places], hits[-1])) + 1]
    if len(places) > CURVE_POINTS:
        places = places[np.unique(np.linspace(0, len(places) - 1, CURVE_POINTS).round().astype(int))]
    precision, recall = hits[places] / (places + 1), hits[places] / max(truth.sum(), 1)
    f1 = 2 * hits[places] / (places + 1 + truth.sum())
    return pd.DataFrame(
        {"threshold": values[places], "precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1}
    )


def precision_recall_chart(curve: pd.DataFrame, now: Mapping[str, float]) -> alt.LayerChart:
    """The curve of `precision_recall`, and where the label stands now (precision and recall in percent)."""
    x = alt.X("recall:Q", title="recall (%)", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("precision:Q", title="precision (%)", scale=alt.Scale(domain=[0, 100]))
    tooltip = [
        alt.Tooltip("threshold:Q", title="down to score", format=".3f"),
        *(alt.Tooltip(f"{name}:Q", title=f"{name} (%)", format=".1f") for name in ("precision", "recall", "f1")),
    ]
    line = alt.Chart(curve).mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.5, color="#4a72c4")
    here = alt.Chart(pd.DataFrame([dict(now)])).mark_point(size=160, filled=True, color="#d95f02")
    return alt.LayerChart(
        layer=[line.encode(x=x, y=y, tooltip=tooltip), here.encode(x=x, y=y, tooltip=["precision:Q", "recall:Q"])],
        height=HEIGHT,
    )


def confused_pairs(
    predictions: Predictions,
    predicted: sp.csr_array,
    labels: Sequence[str],
    *,
    limit: int,
    other: tuple[Predictions, sp.csr_array] | None = None,
) -> pd.DataFrame:
    """`core.metrics.confusion.confused_pairs` with what the pair has in common, and the change from another run.

    Returns:
        Its columns, with together (test documents that have both labels), share_together (of the missed label's test
        documents) and, with `other`, change (documents more than there).
    """
    table = confusion.confused_pairs(predictions.targets, predicted, labels, limit=limit)
    columns = pd.Series(range(len(labels)), index=list(labels))
    i, j = (columns.reindex(table[name]).to_numpy(np.int64) for name in ("missed", "gave"))
    together = confusion.cooccurrences(predictions.targets, i, j)
    support = count_documents(predictions.targets)
    table["together"] = together
    table["share_together"] = together / np.maximum(support[i], 1)
    if other is not None:
        before = confusion.confused_pairs(other[0].targets, other[1], labels, limit=limit * 10)
        keys = pd.MultiIndex.from_frame(before[["missed", "gave"]])
        counts = pd.Series(before["total"].to_numpy(), index=keys)
        table["change"] = (
            table["total"]
            - counts.reindex(pd.MultiIndex.from_frame(table[["missed", "gave"]]), fill_value=0).to_numpy()
        )
    return table


def percents(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A copy with these columns of fractions in percent."""
    return table.assign(**{column: 100 * table[column] for column in columns})


def confusion_map(
    predictions: Predictions, predicted: sp.csr_array, labels: Sequence[str], *, view: str, limit: int = MAP_LABELS
) -> pd.DataFrame:
    """The part of an MLCT matrix with the labels that are confused most, in an order that puts them side by side.

    Args:
        predictions: of a run.
        predicted: (n, L).
        labels: names of the columns.
        view: `recall`, where the true labels went: rows of C_R over their sums, whose diagonal is recall; or
            `precision`, where the predicted labels came from: columns of C_P over their sums, whose diagonal is
            precision.
        limit: labels shown.

    Returns:
        Columns true, predicted, share (percent), documents (of the matrix, fractions possible), place_true,
        place_predicted; no row for an empty cell.

    Raises:
        ValueError: another view.
    """
    if view not in ("recall", "precision"):
        raise ValueError(f"view is {view!r}, expected recall or precision")
    by_row, by_column = confusion.mlct(predictions.targets, predicted)
    matrix = by_row if view == "recall" else by_column
    names = [*labels, "(none)"]
    off = sp.csr_array(matrix - sp.diags_array(matrix.diagonal(), format="csr"))
    mass = off.sum(axis=0) + off.sum(axis=1)
    chosen = np.sort(np.argsort(-mass, kind="stable")[: min(limit, int(np.sum(mass > 1e-9)))])
    if not len(chosen):
        columns = ["true", "predicted", "share", "documents", "place_true", "place_predicted"]
        return pd.DataFrame(columns=columns)
    order = chosen[confusion.confusion_order(sp.csr_array(off[chosen][:, chosen]))]
    sums = matrix.sum(axis=1 if view == "recall" else 0)
    part = matrix[order][:, order].tocoo()
    i, j = part.coords
    whole = sums[order[i if view == "recall" else j]]
    return pd.DataFrame(
        {
            "true": [names[order[place]] for place in i],
            "predicted": [names[order[place]] for place in j],
            "share": 100 * part.data / np.maximum(whole, 1e-12),
            "documents": part.data,
            "place_true": i,
            "place_predicted": j,
        }
    )


def confusion_map_chart(table: pd.DataFrame, *, view: str) -> alt.Chart:
    """`confusion_map` as a heatmap; a click on a cell answers with its true and predicted label."""
    rows = list(dict.fromkeys(table.sort_values("place_true")["true"]))
    columns = list(dict.fromkeys(table.sort_values("place_predicted")["predicted"]))
    names = [*rows, *(name for name in columns if name not in rows)]
    click = alt.selection_point(fields=["true", "predicted"], name="cell")
    titles = {
        "recall": "share of the true label's documents (%)",
        "precision": "share of the predicted label's documents (%)",
    }
    every: dict[str, Any] = {"labelOverlap": False, "labelFlush": False}
    x = alt.X("predicted:N", sort=names, title="predicted", axis=alt.Axis(labelAngle=-90, labelLimit=110, **every))
    y = alt.Y("true:N", sort=names, title="true", axis=alt.Axis(labelLimit=110, **every))
    tooltip = [
        alt.Tooltip("true:N", title="true label"),
        alt.Tooltip("predicted:N", title="predicted label"),
        alt.Tooltip("share:Q", title=f"{titles[view][:-4]} (%)", format=".1f"),
        alt.Tooltip("documents:Q", format=".2f"),
    ]
    side = max(18 * len(names), 200)
    shown = table.assign(right=table["true"] == table["predicted"])
    colour = alt.condition(
        "datum.right",
        alt.value("#8888884d"),
        alt.Color(
            "share:Q",
            title=titles[view],
            scale=alt.Scale(range=MAP_COLOURS, type="sqrt", domain=[0, max(shown["share"][~shown["right"]].max(), 1)]),
            legend=alt.Legend(orient="top", gradientLength=220, titleLimit=400),
        ),
    )
    return (
        alt.Chart(shown)
        .mark_rect(cursor="pointer")
        .encode(
            x=x,
            y=y,
            tooltip=tooltip,
            color=colour,
            stroke=alt.condition(click, alt.value("#333333"), alt.value(None), empty=False),
        )
        .add_params(click)
        .properties(width=side, height=side)
    )


def pair_documents(
    predictions: Predictions, predicted: sp.csr_array, missed: int, gave: int, *, limit: int
) -> tuple[np.ndarray, int]:
    """The first `limit` test documents behind a confused pair, as positions in the test part, and their number."""
    rows = confusion.pair_documents(predictions.targets, predicted, missed, gave)
    return rows[:limit], len(rows)


ORDERS = ("worst first", "best first", "in order")
FAULTS = ("any fault", "missed", "spurious", "hit", "all")


def find_documents(
    predictions: Predictions,
    predicted: sp.csr_array,
    *,
    label: int | None = None,
    fault: str = "any fault",
    sizes: tuple[int, int] | None = None,
    order: str = "worst first",
    limit: int,
) -> tuple[np.ndarray, int]:
    """Positions of test documents.

    Args:
        predictions: of a run.
        predicted: (n, L).
        label: only documents where this column has the fault.
        fault: one of `FAULTS`: a missed or spurious label, one of the two, a hit, or any document (with a label: any
            that has or was given it).
        sizes: lowest and highest number of true labels.
        order: one of `ORDERS`, by the document's F1, then by how many labels are wrong.
        limit: at most so many.

    Returns:
        The positions, and how many match in all.
    """
    table = confusion.document_scores(predictions.targets, predicted)
    true, given = indicator(predictions.targets), indicator(predicted)
    if label is not None:
        is_true, is_given = (part[:, [label]].toarray().ravel() for part in (true, given))
        kinds = {
            "missed": is_true & ~is_given,
            "spurious": is_given & ~is_true,
            "hit": is_true & is_given,
            "any fault": is_true ^ is_given,
            "all": is_true | is_given,
        }
        chosen = kinds[fault]
    else:
        wrong = table["missed"] + table["spurious"]
        counted = {name: table[name] for name in ("missed", "spurious", "hit")} | {"any fault": wrong}
        chosen = (counted[fault] > 0).to_numpy() if fault != "all" else np.ones(len(table), np.bool_)
    if sizes is not None:
        chosen = chosen & table["true"].between(*sizes).to_numpy()
    rows = np.flatnonzero(chosen)
    if order != "in order":
        part = table.iloc[rows]
        sign = 1 if order == "worst first" else -1
        wrong = (part["missed"] + part["spurious"]).to_numpy()
        rows = rows[np.lexsort((rows, -sign * wrong, sign * part["f1"].to_numpy()))]
    return rows[:limit], len(rows)


def document_table(
    predictions: Predictions,
    predicted: sp.csr_array,
    labels: Sequence[str],
    rows: Sequence[int] | np.ndarray,
    titles: Sequence[str] | None,
) -> pd.DataFrame:
    """Documents with their hit, missed and spurious labels and the score of each, the highest first.

    Args:
        predictions: of one run.
        predicted: (n, L).
        labels: names of the columns.
        rows: positions in the test part.
        titles: of the whole corpus, or None if the data set is gone: then there is no column title.

    Returns:
        Columns id, title, missed, spurious, hit, f1 (percent: how right the document is).
    """
    part = np.asarray(rows, dtype=np.int64)
    true, given = indicator(predictions.targets)[part], indicator(predicted)[part]
    both = true.multiply(given).tocsr()
    scores = predictions.scores[part]
    sides = {
        "missed": true.astype(np.int8) - both.astype(np.int8),
        "spurious": given.astype(np.int8) - both.astype(np.int8),
    }
    frame = pd.DataFrame(
        {
            "id": [predictions.ids[row] for row in part],
            **{name: _named(indicator(sp.csr_array(side)), scores, labels) for name, side in sides.items()},
            "hit": _named(both, scores, labels),
            "f1": 100 * confusion.document_scores(true, given)["f1"],
        },
        columns=["id", "missed", "spurious", "hit", "f1"],
    )
    if titles is not None:
        frame.insert(1, "title", [titles[int(predictions.rows[row])] for row in part])
    return frame


def _named(marked: sp.csr_array, scores: np.ndarray | sp.csr_array, labels: Sequence[str]) -> list[str]:
    cells = []
    for row in range(marked.shape[0]):
        columns = marked.indices[marked.indptr[row] : marked.indptr[row + 1]]
        values = _row_of(scores, row)[columns]
        order = np.argsort(-values, kind="stable")
        words = ["–" if math.isnan(value) else f"{value:.2f}" for value in values]
        cells.append(", ".join(f"{labels[columns[place]]} {words[place]}" for place in order))
    return cells


def _row_of(scores: np.ndarray | sp.csr_array, row: int) -> np.ndarray:
    """A document's scores, (L,); NaN where none is stored, which is lower than all that are."""
    if isinstance(scores, np.ndarray):
        return scores[row].astype(np.float64)
    found, kept = np.full(scores.shape[1], np.nan), slice(scores.indptr[row], scores.indptr[row + 1])
    found[scores.indices[kept]] = scores.data[kept]
    return found


def decision_table(
    scores: np.ndarray,
    limits: Limits | None,
    labels: Sequence[str],
    true: Sequence[int],
    given: Sequence[int],
    *,
    more: int = 3,
) -> pd.DataFrame:
    """How a document was decided: its true and predicted labels, and the next highest scores.

    Args:
        scores: of all labels, (L,); NaN is unknown and the lowest.
        limits: thresholds; None where labels were chosen by rank.
        labels: names of the columns.
        true: columns of the true labels.
        given: columns of the predicted labels.
        more: labels shown that are neither.

    Returns:
        Columns verdict (hit, missed, spurious or rejected), label, score, threshold; the highest score first.
    """
    relevant = set(map(int, true)) | set(map(int, given))
    rest = [int(column) for column in np.argsort(-scores, kind="stable") if int(column) not in relevant]
    columns = [*relevant, *rest[:more]]
    columns.sort(key=lambda column: (-np.nan_to_num(scores[column], nan=-np.inf), column))
    words = {(True, True): "hit", (True, False): "missed", (False, True): "spurious", (False, False): "rejected"}
    limit = np.broadcast_to(np.asarray(math.nan if limits is None else limits, np.float64), scores.shape)
    return pd.DataFrame(
        {
            "verdict": [words[column in set(map(int, true)), column in set(map(int, given))] for column in columns],
            "label": [labels[column] for column in columns],
            "score": [float(scores[column]) for column in columns],
            "threshold": [float(limit[column]) for column in columns],
        },
        columns=["verdict", "label", "score", "threshold"],
    )


def tried_table(
    tried: Mapping[str, tuple[np.ndarray, Limits, Sequence[str]]], *, more: int = 3, limit: int = 60
) -> pd.DataFrame:
    """What several runs say of one text, side by side.

    Args:
        tried: by the runs' names: scores (L,), thresholds, label names.
        more: labels listed of each run beyond those that it gives.
        limit: labels at most.

    Returns:
        Columns label and, for each run, its name (score, NaN for a label that it does not know) and `given` with its
        number from 1 on (bool); labels that more runs give come first, then by their mean score.
    """
    sides: dict[str, pd.Series] = {}
    listed = set[str]()
    for number, (name, (scores, limits, labels)) in enumerate(tried.items(), 1):
        given = scores > np.broadcast_to(np.asarray(limits, np.float64), scores.shape)
        order = np.argsort(-scores, kind="stable")
        listed |= {labels[column] for column in [*order[given[order]][:limit], *order[~given[order]][:more]]}
        sides |= {name: pd.Series(scores, index=list(labels)), f"given {number}": pd.Series(given, index=list(labels))}
    names = sorted(listed)
    table = pd.DataFrame({"label": names} | {key: side.reindex(names).to_numpy() for key, side in sides.items()})
    marks = [f"given {number}" for number in range(1, len(tried) + 1)]
    table[marks] = table[marks].fillna(False).astype(bool)
    order = np.lexsort((names, -table[list(tried)].mean(axis=1).to_numpy(), -table[marks].sum(axis=1).to_numpy()))
    return table.iloc[order].head(limit).reset_index(drop=True)


def scores_of_document(predictions: Predictions, row: int) -> np.ndarray:
    """All scores of a test document, (L,); NaN where none is stored, which is lower than all that are."""
    return _row_of(predictions.scores, row)


def labels_of(matrix: sp.csr_array, row: int) -> list[int]:
    """Columns of a document's labels."""
    part = indicator(matrix)
    return part.indices[part.indptr[row] : part.indptr[row + 1]].tolist()


def word_chart(table: pd.DataFrame, *, limit: int = 16) -> alt.Chart:
    """The words that moved a decision most: `core.runs.scorer.Scorer.contributions` as bars."""
    shown = table.head(limit).assign(side=np.where(table["adds"].head(limit) >= 0, "for", "against"))
    return (
        alt.Chart(shown)
        .mark_bar(height={"band": 0.75})
        .encode(
            x=alt.X("adds:Q", title="adds to the label's sum", axis=alt.Axis(gridColor=GRID)),
            y=alt.Y(
                "word:N",
                sort=list(shown["word"]),
                title=None,
                axis=alt.Axis(labelLimit=140, labelOverlap=False, labelFlush=False),
            ),
            color=alt.Color(
                "side:N",
                title=None,
                scale=alt.Scale(domain=["for", "against"], range=["#1b9e77", "#d95f02"]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "word:N",
                alt.Tooltip("value:Q", title="TF-IDF", format=".3f"),
                alt.Tooltip("weight:Q", format=".3f"),
                alt.Tooltip("adds:Q", format="+.3f"),
            ],
        )
        .properties(height=18 * len(shown) + MARGIN)
    )


KINDS = {True: "wrong", False: "missing"}
"""What a doubted label may be, by whether the data has it."""


def label_error_table(
    predictions: Predictions,
    labels: Sequence[str],
    counts: Sequence[int],
    borders: Borders,
    titles: Sequence[str] | None,
) -> tuple[pd.DataFrame, int]:
    """`core.metrics.label_errors.find_label_errors` of a run's test part with names.

    Returns:
        Columns place, id, title (if there are titles), label, group, maybe (one of `KINDS`), score, share (percent);
        and how many labels were judged.

    Raises:
        ValueError: the scores are no probabilities.
    """
    found, judged = label_errors.find_label_errors(predictions.targets, predictions.scores)
    groups = group_of(np.asarray(counts), borders)
    places, columns = found["place"].to_numpy(np.int64), found["column"].to_numpy(np.int64)
    table = pd.DataFrame(
        {
            "place": places,
            "id": [predictions.ids[place] for place in places],
            "label": [labels[column] for column in columns],
            "group": groups[columns],
            "maybe": [KINDS[bool(given)] for given in found["given"]],
            "score": found["score"],
            "share": 100 * found["share"],
        }
    )
    if titles is not None:
        table.insert(2, "title", [titles[int(predictions.rows[place])] for place in places])
    return table, judged


def size_table(predictions: Predictions, predicted: sp.csr_array) -> pd.DataFrame:
    """Scores by a document's number of true labels: 1, 2, 3, 4 to 9, 10 to 14, 15 or more; empty slices left out."""
    slices = size_slices(predictions.targets, (0, 1, 2, 3, 4, 10, 15))
    kept = {name: rows for name, rows in slices.items() if len(rows)}
    return _slices(predictions, predicted, kept, "labels")


def length_table(predictions: Predictions, predicted: sp.csr_array, words: Sequence[int]) -> pd.DataFrame:
    """Scores by a test document's number of words, in four parts of about equal size."""
    return _slices(predictions, predicted, length_slices(np.asarray(words)), "words")


def _slices(
    predictions: Predictions, predicted: sp.csr_array, slices: Mapping[str, np.ndarray], name: str
) -> pd.DataFrame:
    table = score_slices(predictions.targets, predicted, slices)
    kept = ["micro_f1", "macro_f1", "samples_f1", "micro_precision", "micro_recall", "subset_accuracy"]
    return percents(table[["slice", "documents", *kept]], kept).rename(columns={"slice": name})


def calibration(
    predictions: Predictions, counts: Sequence[int], borders: Borders
) -> tuple[pd.DataFrame, dict[str, float]]:
    """`core.metrics.calibration.calibration` of a run and its calibration errors by group; `ValueError` for margins."""
    curve = metrics_calibration.calibration(predictions.targets, predictions.scores, np.asarray(counts), borders)
    return curve, expected_calibration_error(curve)


def calibration_chart(curve: pd.DataFrame) -> alt.LayerChart:
    """How often a label is true where its score is s, by frequency group; the diagonal is perfect."""
    perfect = alt.Chart(pd.DataFrame({"s": [0.0, 1.0]})).mark_line(color="gray", strokeDash=[4, 4])
    groups = ["all", *FREQUENCY_GROUPS]
    lines = (
        alt.Chart(curve)
        .mark_line(point=True)
        .encode(
            x=alt.X("score:Q", title="mean score", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("true:Q", title="share that is true", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "group:N",
                title=None,
                sort=groups,
                scale=alt.Scale(domain=groups, range=[GROUP_COLOURS[group] for group in groups]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "group:N",
                alt.Tooltip("score:Q", format=".3f"),
                alt.Tooltip("true:Q", format=".3f"),
                alt.Tooltip("pairs:Q", format=","),
            ],
        )
    )
    return alt.LayerChart(layer=[perfect.encode(x="s:Q", y="s:Q"), lines], height=HEIGHT)


RANKED = {
    "mAP": "map",
    "LRAP": "lrap",
    **{f"{title}@{k}": f"{name}@{k}" for k in (1, 3, 5) for title, name in (("P", "p"), ("R", "r"), ("RP", "rp"))},
    **{f"{title}@{k}": f"{name}@{k}" for k in (1, 3, 5) for title, name in (("nDCG", "ndcg"), ("PSP", "psp"))},
    "samples-F1": "samples_f1",
    "exactly right": "subset_accuracy",
    "Hamming loss": "hamming_loss",
}


def all_scores(kept: Mapping[str, Any]) -> pd.DataFrame:
    """Every other score that a run's metrics hold, in percent: columns score, value; empty for an older run."""
    rows = []
    for title, key in RANKED.items():
        value = kept.get(key)
        value = value.get("all") if isinstance(value, Mapping) else value
        if value is not None:
            rows.append({"score": title, "value": 100 * float(value)})
    return pd.DataFrame(rows, columns=["score", "value"])


def macro_sentence(kept: Mapping[str, Any]) -> str:
    """How many labels macro-F1 counts as 0 for want of documents, and the other readings, in words."""
    macro = kept.get("macro")
    if not isinstance(macro, Mapping):
        return ""
    supported = macro["macro_f1_supported"]
    return (
        f"Macro-F1 is over all {macro['labels']} labels; {macro['without_documents']} have no test document, of which "
        f"{macro['undefined']} are never predicted either and count as 0. Over labels with test documents alone it is "
        f"{'–' if supported is None else f'{100 * supported:.2f}'} %, as F1 of mean precision and mean recall "
        f"{100 * macro['f1_of_means']:.2f} %."
    )


def named_limits(values: Any, labels: int) -> Limits:
    """Thresholds of a named set.

    Raises:
        UserError: they are no numbers, or not as many as there are labels.
    """
    limits = np.asarray(values, np.float64)
    if not np.isfinite(limits).all() or limits.ndim > 1 or (limits.ndim and len(limits) != labels):
        raise UserError(f"These named thresholds do not fit {labels} labels: delete thresholds.json of the run.")
    return thresholds.of_values(limits)


def limits_in_words(limits: Limits) -> str:
    """One threshold, or the range of many."""
    found = np.asarray(limits, np.float64)
    if not found.ndim:
        return f"Above {float(found):.4f} for every label."
    kept = found[np.isfinite(found)]
    low, middle, high = (float(value) for value in np.quantile(kept, [0, 0.5, 1])) if len(kept) else (0.0,) * 3
    return f"One for each label, from {low:.3f} to {high:.3f}, half of them above {middle:.3f}."


def middle_limit(limits: Limits) -> float:
    """The one threshold, or the middle one of many."""
    return float(np.median(limits))


def limit_of(limits: Limits, column: int) -> float:
    """The threshold of one label."""
    found = np.asarray(limits, np.float64)
    return float(found[column] if found.ndim else found)


def most_labels(predictions: Predictions) -> int:
    """The largest number of true labels of a document, at least 1."""
    return max(int(np.diff(indicator(predictions.targets).indptr).max(initial=1)), 1)

"""What the page Errors shows: labels, confused pairs and their map, doubted labels, slices, calibration.

`headline` gives the numbers on top; `label_table`, `confused_pairs`, `confusion_map`, `label_error_table`,
`size_table`, `length_table` and `calibration` give the views.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis.what_if import cut_below
from core.data.documents import tell_apart
from core.labels.groups import EVERY_GROUP, UNSEEN, Borders, count_documents, group_of, indicator
from core.metrics import calibration as metrics_calibration
from core.metrics import confusion, label_errors, label_sets, uncertainty
from core.metrics.calibration import expected_calibration_error
from core.metrics.slices import length_slices, score_slices, size_slices
from core.metrics.thresholds import Limits
from core.runs.predictions import Predictions

MAP_LABELS = 36
CURVE_POINTS = 300
ENOUGH_SCORES = 10
"""Scores behind a point of a calibration curve: what fewer say is luck."""
ENOUGH_PREDICTIONS = 30
"""Scores of a half or more without which a group has no calibration curve."""


def headline(
    predictions: Predictions, predicted: sp.csr_array, counts: Sequence[int], borders: Borders
) -> dict[str, float | None]:
    """The numbers on top of the page: micro-F1, macro-F1 of all labels and by group (percent), labels a document."""
    scores = label_sets.score_groups(predictions.targets, predicted, np.asarray(counts, np.int64), borders)
    found = {"micro-F1": scores["all"]["micro_f1"], "macro-F1": scores["all"]["macro_f1"]}
    found |= {f"{group} macro-F1": scores[group]["macro_f1"] for group in EVERY_GROUP if group in scores}
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
    """`metrics.label_sets.label_table` with each label's threshold (or NaN) and its F1's interval, low and high."""
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


def precision_recall(predictions: Predictions, label: int) -> pd.DataFrame:
    """Precision and recall of a label at every cut between two of its scores, at most `CURVE_POINTS` of them.

    Returns:
        Columns threshold (down to this score), cut (the threshold that predicts down to it), precision, recall, f1
        (percent), the cut of best F1 always among them; empty without a true document.
    """
    scores = predictions.scores
    # The label's scores; those that are not stored are the lowest and make no cut.
    if isinstance(scores, sp.csr_array):
        column = sp.csc_array(scores)[:, [label]]
        rows, values = column.indices, column.data.astype(np.float64)
    else:
        rows, values = np.arange(scores.shape[0]), scores[:, label].astype(np.float64)
    truth = indicator(predictions.targets)[:, [label]].toarray().ravel()
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], np.cumsum(truth[rows[order]])
    cuts = cut_below(values)
    # Cuts lie between two different scores alone, and no more of them than a chart can show.
    last = np.append(values[1:] != values[:-1], True)[: len(values)]
    places = np.flatnonzero(last) if truth.any() else np.zeros(0, np.int64)
    if len(places):  # below the last hit come errors alone
        places = places[: int(np.searchsorted(hits[places], hits[-1])) + 1]
    f1 = 200 * hits / (np.arange(1, len(values) + 1) + truth.sum()) if truth.any() else np.zeros(len(values))
    if len(places) > CURVE_POINTS:
        spread = np.linspace(0, len(places) - 1, CURVE_POINTS - 1).round().astype(int)
        places = places[np.unique(np.append(spread, np.argmax(f1[places])))]
    precision, recall = 100 * hits[places] / (places + 1), 100 * hits[places] / max(truth.sum(), 1)
    return pd.DataFrame(
        {
            "threshold": values[places],
            "cut": cuts[places],
            "precision": precision,
            "recall": recall,
            "f1": f1[places],
        }
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
    predictions: Predictions,
    predicted: sp.csr_array,
    labels: Sequence[str],
    *,
    view: str,
    limit: int = MAP_LABELS,
    around: int | None = None,
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
        around: column of a label that is looked for: it and those that it is confused with most are shown alone.

    Returns:
        Columns true, predicted, share (percent), documents (of the matrix, fractions possible), place_true,
        place_predicted; no row for an empty cell.

    Raises:
        ValueError: another view.
    """
    if view not in ("recall", "precision"):
        raise ValueError(f"view is {view!r}, expected recall or precision")
    # The labels that lose or gain most off the diagonal; the last row and column are the class "none".
    by_row, by_column = confusion.mlct(predictions.targets, predicted)
    matrix = by_row if view == "recall" else by_column
    names = [*labels, "(none)"]
    off = sp.csr_array(matrix - sp.diags_array(matrix.diagonal(), format="csr"))
    if around is None:
        mass = off.sum(axis=0) + off.sum(axis=1)
    else:
        mass = (off[[around]] + sp.csr_array(off[:, [around]].T)).toarray().ravel()
        mass[around] = 2 * mass.sum()  # the label itself comes first; of one that is never confused nothing is left
    chosen = np.sort(np.argsort(-mass, kind="stable")[: min(limit, int(np.sum(mass > 1e-9)))])
    if not len(chosen):
        columns = ["true", "predicted", "share", "documents", "place_true", "place_predicted"]
        return pd.DataFrame(columns=columns)
    # Order, and shares of the whole matrix's sums, not of the part's.
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


def pair_documents(
    predictions: Predictions, predicted: sp.csr_array, missed: int, gave: int, *, limit: int
) -> tuple[np.ndarray, int]:
    """The first `limit` test documents behind a confused pair, as positions in the test part, and their number."""
    rows = confusion.pair_documents(predictions.targets, predicted, missed, gave)
    return rows[:limit], len(rows)


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
            "id": tell_apart(predictions.ids, predictions.rows, places),
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


def calibration(predictions: Predictions, counts: Sequence[int], borders: Borders) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`core.metrics.calibration.calibration` of a run, and what the curve of each group rests on.

    Returns:
        The points that enough scores stand behind (`ENOUGH_SCORES`), of groups that are predicted often enough to have
        a curve; and a row a group: group, positives (pairs of a document and a label of it), predictions (scores from
        a half up), right (those that are true), error (expected calibration error), curve (whether it has one).

    Raises:
        ValueError: the scores are margins.
    """
    curve = metrics_calibration.calibration(predictions.targets, predictions.scores, np.asarray(counts), borders)
    gaps, groups = expected_calibration_error(curve), group_of(np.asarray(counts), borders)
    support = count_documents(predictions.targets)
    high, rows = curve[curve["score"] >= 0.5], []
    for group in [name for name in ("all", *EVERY_GROUP) if name in gaps]:
        mine = high[high["group"].eq(group)]
        predicted = int(mine["pairs"].sum())
        rows.append(
            {
                "group": group,
                "positives": int(support.sum() if group == "all" else support[groups == group].sum()),
                "predictions": predicted,
                "right": round(float((mine["pairs"] * mine["true"]).sum())),
                "error": gaps[group],
                "curve": predicted >= ENOUGH_PREDICTIONS,
            }
        )
    table = pd.DataFrame(rows, columns=["group", "positives", "predictions", "right", "error", "curve"])
    drawn = curve["group"].isin(table["group"][table["curve"].astype(bool)]) & (curve["pairs"] >= ENOUGH_SCORES)
    return curve[drawn].reset_index(drop=True), table


def name_uncurved(table: pd.DataFrame) -> str:
    """The groups of a `calibration` that are predicted too seldom for a curve, with their counts; empty: none."""
    names = {UNSEEN: f"The group '{UNSEEN}'"}
    return " ".join(
        f"{names.get(row.group, row.group.capitalize())} has no curve: {row.predictions:,} scores of a half or more, "
        f"{row.right:,} of them true, for {row.positives:,} positives."
        for row in table[~table["curve"].astype(bool)].itertuples()
    )


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

"""Documents with their hit, missed and spurious labels, and how one was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.data.documents import tell_apart
from core.labels.groups import indicator
from core.metrics import confusion
from core.metrics.thresholds import Limits
from core.runs.predictions import Predictions

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
    # Fault: of one label, or of any label of the document.
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
    # Number of labels, then order.
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
    # Missed is true without hits, spurious is given without hits.
    both = true.multiply(given).tocsr()
    scores = predictions.scores[part]
    sides = {
        "missed": true.astype(np.int8) - both.astype(np.int8),
        "spurious": given.astype(np.int8) - both.astype(np.int8),
    }
    frame = pd.DataFrame(
        {
            "id": tell_apart(predictions.ids, predictions.rows, part),
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
    tried: Mapping[str, tuple[np.ndarray, np.ndarray, Sequence[str]]], *, more: int = 3, limit: int = 60
) -> pd.DataFrame:
    """The labels that several runs give one text, side by side.

    Args:
        tried: by the runs' names: scores (L,), whether each label is given (L,), label names.
        more: labels listed of each run beyond those that it gives.
        limit: labels at most.

    Returns:
        Columns label and, for each run, its name (score, NaN for a label that it does not know) and `given` with its
        number from 1 on (bool); labels that more runs give come first, then by their mean score.
    """
    sides: dict[str, pd.Series] = {}
    listed = set[str]()
    for number, (name, (scores, given, labels)) in enumerate(tried.items(), 1):
        order = np.argsort(-scores, kind="stable")
        listed |= {labels[column] for column in [*order[given[order]][:limit], *order[~given[order]][:more]]}
        sides |= {name: pd.Series(scores, index=list(labels)), f"given {number}": pd.Series(given, index=list(labels))}
    names = sorted(listed)
    table = pd.DataFrame({"label": names} | {key: side.reindex(names).to_numpy() for key, side in sides.items()})
    marks = [f"given {number}" for number in range(1, len(tried) + 1)]
    table[marks] = table[marks].fillna(False).astype(bool)
    order = np.lexsort((names, -table[list(tried)].mean(axis=1).to_numpy(), -table[marks].sum(axis=1).to_numpy()))
    return table.iloc[order].head(limit).reset_index(drop=True)


def find_place(predictions: Predictions, row: int) -> int | None:
    """The place of a document of the corpus among a run's predictions; None where they have none of it."""
    places = np.flatnonzero(predictions.rows == row)
    return int(places[0]) if len(places) else None


def scores_of_document(predictions: Predictions, row: int) -> np.ndarray:
    """All scores of a test document, (L,); NaN where none is stored, which is lower than all that are."""
    return _row_of(predictions.scores, row)


def labels_of(matrix: sp.csr_array, row: int) -> list[int]:
    """Columns of a document's labels."""
    part = indicator(matrix)
    return part.indices[part.indptr[row] : part.indptr[row + 1]].tolist()

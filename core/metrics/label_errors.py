"""Labels of a part that are probably wrong or missing in the data, by confident learning on a run's scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.labels.groups import count_documents, indicator

LEAST = 5
"""Documents that a label needs to be judged: the method compares scores with their mean over a label's documents."""
MOST = 500
"""Labels that are judged, the most frequent ones: they stand dense, and each takes 2 ms."""


def find_label_errors(
    targets: sp.csr_array, scores: np.ndarray | sp.csr_array, *, least: int = LEAST, most: int = MOST
) -> tuple[pd.DataFrame, int]:
    """Pairs of a document and a label whose 0 or 1 cleanlab's multi-label filter doubts, the most doubtful first.

    Args:
        targets: (n, L).
        scores: probabilities of a run that was not trained on these documents, (n, L).
        least: documents with, and without, a label that is judged.
        most: labels that are judged.

    Returns:
        Columns place (of the document), column (of the label), given (the data has the label there), score (NaN where
        none is stored, which is taken for 0), confidence (in what the data says, 0 to 1: the score, or 1 - score where
        the label is not given), share (of the documents that have the label, or of those that lack it, how many are
        doubted); and the number of labels judged.

    Raises:
        ValueError: the scores are no probabilities.

    Source: Northcutt, Jiang & Chuang, JAIR 2021; Thyagarajan et al. 2022; as implemented by cleanlab.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class  # takes a second

    values = scores.data if isinstance(scores, sp.csr_array) else scores
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"scores reach from {values.min()} to {values.max()}: they are no probabilities")
    # Labels with enough documents on both sides, the most frequent ones.
    counts = count_documents(targets)
    able = np.flatnonzero((counts >= least) & (targets.shape[0] - counts >= least))
    judged = np.sort(able[np.argsort(-counts[able], kind="stable")[:most]])
    columns = ["place", "column", "given", "score", "confidence", "share"]
    if not len(judged):
        return pd.DataFrame({name: [] for name in columns}), 0
    # What confident learning doubts; cleanlab takes lists of labels and dense scores.
    truth = indicator(targets)[:, judged].toarray()
    part = scores[:, judged]
    likely = (part.toarray() if isinstance(part, sp.csr_array) else part).astype(np.float64)
    named = [np.flatnonzero(row).tolist() for row in truth]
    doubted = np.asarray(find_multilabel_issues_per_class(named, likely, n_jobs=1), dtype=np.bool_)
    # A row for each doubt.
    rows, places = np.nonzero(doubted)
    given, score = truth[rows, places], likely[rows, places]
    known = indicator(part).toarray()[rows, places] if isinstance(part, sp.csr_array) else True
    shares = [(doubted & side).sum(axis=0) / side.sum(axis=0) for side in (truth, ~truth)]
    table = pd.DataFrame(
        {
            "place": rows,
            "column": judged[places],
            "given": given,
            "score": np.where(known, score, np.nan),
            "confidence": np.where(given, score, 1 - score),
            "share": np.where(given, shares[0][places], shares[1][places]),
        },
        columns=columns,
    )
    return table.sort_values(["confidence", "share"], kind="stable", ignore_index=True), len(judged)

"""Why a label was given to a text or not: what its sum is made of, its words in the text, documents like it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.metrics import averages
from core.runs.tfidf_scorer import Scorer
from core.runs.tree_scorer import TreeScorer

if TYPE_CHECKING:
    from core.runs.network_scorer import NetworkScorer
    from core.runs.scorer import CombinedScorer

BARS = 12
"""Words with a bar of their own."""
BIAS, UNKNOWN, SUM = "(bias)", "(a text of unknown words)", "(sum)"
"""Bars that are no words, in brackets, which no word has."""
MOST_NEAREST = 50_000
"""Training documents that are searched for the nearest ones."""
FAINT = 0.08
"""Opacity of a highlighted word that adds next to nothing."""


@dataclass(frozen=True)
class Why:
    """What decided on a label.

    Attributes:
        start: what the sum has without the words: of a model on TF-IDF the bias.
        name: of the start.
        words: columns word and adds; what each adds to the sum, the largest first, either way.
        total: the sum: the logit, or an SVM's margin.
        threshold: of the sum; NaN where labels are chosen by rank, infinite where no score or every one is above it.
        nodes: whose sums are added up, those that decide on a label's path through a tree, where no threshold is one
            of the sum; None of any other model.
    """

    start: float
    name: str
    words: pd.DataFrame
    total: float
    threshold: float
    nodes: int | None = None


def explain(
    scorer: Scorer | TreeScorer | NetworkScorer | CombinedScorer,
    text: str,
    label: int,
    limit: float | None,
    *,
    margins: bool,
) -> Why:
    """Takes the sum of a label apart.

    Args:
        scorer: a run's model.
        text: the document.
        label: its column.
        limit: the label's threshold as scores are; None where labels are chosen by rank.
        margins: scores are margins, not probabilities.
    """
    words = scorer.contributions(text, label)[["word", "adds"]]
    threshold, added = to_sum(limit, margins=margins), float(words["adds"].sum())
    if isinstance(scorer, Scorer):
        start = scorer.rest(text, label)
        return Why(start, BIAS, words, start + added, threshold)
    if isinstance(scorer, TreeScorer):
        start = scorer.rest(text, label)
        return Why(start, BIAS, words, start + added, math.nan, nodes=len(scorer.deciding(label)))
    score = scorer.scores([text])[:, [label]]
    total = float(score[0, 0] if margins else averages.to_logits(score)[0, 0])
    return Why(total - added, UNKNOWN, words, total, threshold)


def to_sum(limit: float | None, *, margins: bool) -> float:
    """A threshold of scores as one of sums; NaN without one."""
    if limit is None:
        return math.nan
    if margins:
        return float(limit)
    return math.log(limit / (1 - limit)) if 0 < limit < 1 else math.inf if limit >= 1 else -math.inf


def waterfall_table(why: Why, *, bars: int = BARS) -> pd.DataFrame:
    """The sum from its start to its end, a row for each step.

    Returns:
        Columns step (from 0), name, kind (`start`, `for`, `against`, `sum`), adds, low, high: from where to where the
        bar goes. The steps before the last add up to it.
    """
    shown = why.words.head(bars)
    steps = [(why.name, "start", why.start)]
    steps += [(word, "for" if adds >= 0 else "against", adds) for word, adds in shown.itertuples(index=False)]
    if len(why.words) > bars:
        rest = float(why.words["adds"].iloc[bars:].sum())
        steps.append((f"({len(why.words) - bars:,} other words)", "for" if rest >= 0 else "against", rest))
    rows, at = [], 0.0
    for number, (name, kind, adds) in enumerate(steps):
        rows.append((number, name, kind, float(adds), min(at, at + adds), max(at, at + adds)))
        at += adds
    rows.append((len(steps), SUM, "sum", why.total, min(0.0, why.total), max(0.0, why.total)))
    return pd.DataFrame(rows, columns=["step", "name", "kind", "adds", "low", "high"])


def describe(why: Why, *, train: int) -> str:
    """How far the sum is from the threshold, and how many training documents the label has.

    Args:
        why: of a label.
        train: training documents of the label.
    """
    many = f"{train:,} training document{'' if train == 1 else 's'}"
    if why.nodes == 0:
        return (
            f"Every training document in its part of the tree has the label, so that no word decides; {many}."
            if train
            else "The tree does not have this label, for want of a training document: its score is 0."
        )
    if why.nodes is not None:
        one = "1 node" if why.nodes == 1 else f"{why.nodes:,} nodes"
        return (
            f"The sums of {one} on its path through the tree are {why.total:.1f} together; the score is the product of "
            f"their sigmoids, so no threshold is one of this sum; {many}."
        )
    if math.isnan(why.threshold):
        return f"The sum is {why.total:.1f}; labels are chosen by rank, without a threshold; {many}."
    if math.isinf(why.threshold):
        passing = "none" if why.threshold > 0 else "all"
        return f"The sum is {why.total:.1f}; the threshold lets {passing} pass; {many}."
    gap = why.total - why.threshold
    return f"{abs(gap):.1f} {'above the threshold' if gap > 0 else 'short'}; {many}."


def highlight(text: str, words: pd.DataFrame) -> str:
    """A text as HTML, its words coloured by what they add; all else of the text is escaped.

    Args:
        text: anything.
        words: columns word (lower case; one of several words colours nothing) and adds.
    """
    adds: Mapping[str, float] = dict(zip(words["word"], words["adds"], strict=True))
    strongest = max(map(abs, adds.values()), default=0.0) or 1.0
    parts = []
    for piece in re.split(r"(\w+)", text):
        value = adds.get(piece.lower(), 0.0)
        shown = html.escape(piece)
        if abs(value) / strongest < FAINT / 2:
            parts.append(shown)
            continue
        colour = "27, 158, 119" if value > 0 else "217, 95, 2"
        opacity = FAINT + (0.6 - FAINT) * abs(value) / strongest
        style = f"background: rgba({colour}, {opacity:.2f}); color: inherit"
        parts.append(f'<mark style="{style}" title="{value:+.2f}">{shown}</mark>')
    return "".join(parts)


def find_nearest(matrix: sp.csr_array, row: sp.csr_array, *, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents that are most like one by the words that they share, weighted by TF-IDF.

    Args:
        matrix: of n documents, (n, V), rows of length 1.
        row: of the one, (1, V).
        limit: at most so many.

    Returns:
        Their places and cosines, the nearest first; none that shares no word.
    """
    cosines = np.asarray((matrix @ row.T).todense()).ravel() if matrix.shape[0] else np.zeros(0)
    best = np.argsort(-cosines, kind="stable")[:limit]
    best = best[cosines[best] > 0]
    return best, cosines[best]


def order_labels(table: pd.DataFrame, first: str = "") -> list[str]:
    """Labels of a decision table in the order in which a question is likely: the one asked for, missed, wrongly given.

    Args:
        table: of `core.analysis.documents.decision_table`.
        first: a label that is doubted; added where it is not in the table.
    """
    rank = {"missed": 0, "spurious": 1, "hit": 2, "rejected": 3}
    order = np.argsort([rank[verdict] for verdict in table["verdict"]], kind="stable")
    return list(dict.fromkeys([*([first] if first else []), *table["label"].iloc[order]]))


def document_in_runs(rows: Sequence[tuple[str, float, float | None, bool]]) -> pd.DataFrame:
    """One label of one document in several runs.

    Args:
        rows: name of the run, score, threshold (None by rank) and whether it gives the label.

    Returns:
        Columns run, score, threshold, given; those that give it first, then by score.
    """
    frame = pd.DataFrame(rows, columns=["run", "score", "threshold", "given"])
    frame = frame.astype({"score": float, "threshold": float, "given": bool})
    return frame.sort_values(["given", "score"], ascending=False, kind="stable", ignore_index=True)

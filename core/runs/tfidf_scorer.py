"""What a run on TF-IDF says of any text, and the words that moved it: NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.config.defaults import MODELS
from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.models.label_tree import Tree
from core.models.many_svms import Hyperplanes
from core.models.tfidf_features import TfidfEncoder
from core.runs.folder import Run
from core.runs.results import read_metrics
from core.runs.texts import TextScorer, check_texts, order_words
from core.runs.tree_scorer import TreeScorer
from core.system.arrays import describe, read_tensors
from core.system.errors import UserError

WEIGHTS = "model.safetensors"
"""File of a run's weights."""
MANY_TEXTS, MANY_WEIGHTS = 512, 0.1
"""From so many texts, and this share of the weights that is not 0, dense blocks are faster than a sparse product."""
WEIGHTS_AT_ONCE = 1 << 25
"""Weights of such a block."""


@dataclass(frozen=True)
class Scorer(TextScorer):
    """A trained run, ready for texts: V words, L labels, H hidden units.

    Attributes:
        encoder: from text to (1, V).
        words: of the feature columns, (V,).
        first: (V, L), sparse with many labels, or (V, H) before a hidden layer.
        bias: (L,) or (H,).
        second: (L, H) of a network with a hidden layer, else None.
        second_bias: (L,).
        probabilities: scores are sigmoids of the sums; an SVM's are the sums themselves.
        labels: names, L of them.
        threshold: a label is given where its score is above it: one for all labels, or one each, (L,).
    """

    encoder: TfidfEncoder
    words: np.ndarray
    first: np.ndarray | sp.csc_array
    bias: np.ndarray
    second: np.ndarray | None
    second_bias: np.ndarray
    probabilities: bool
    labels: tuple[str, ...] = ()
    threshold: Limits = 0.5
    how = "Weight times TF-IDF of each word; what they add up to, with the bias, is the score before the sigmoid."

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Scores as the run's predictions hold them, (n, L) float64; a text is read whole, however long it is.

        Raises:
            UserError: what is no list of strings.
        """
        if not (texts := check_texts(texts)):
            return np.zeros((0, len(self.bias if self.second is None else self.second)))
        sums = self._sum(self.encoder.encode(texts))
        if self.second is not None:
            sums = np.maximum(sums, 0) @ self.second.T + self.second_bias
        if not self.probabilities:
            return sums.astype(np.float64)
        half = np.exp(-np.abs(sums.astype(np.float64)))
        return np.where(sums >= 0, 1 / (1 + half), half / (1 + half))

    def _sum(self, features: sp.csr_array) -> np.ndarray:
        """What the words of n documents add up to with the bias, (n, L) or (n, H)."""
        sums = multiply(features, self.first) if isinstance(self.first, sp.csc_array) else features @ self.first
        return np.asarray(sums) + self.bias

    def contributions(self, text: str, label: int) -> pd.DataFrame:
        """What each word of a text adds to the sum of a label, before the sigmoid; the largest first, either way.

        A word adds its TF-IDF value times its weight. Behind a hidden layer the weight is that of the units that the
        text switches on, which is exact for this text: the parts and `rest` sum to the label's sum.

        Returns:
            Columns word, value (TF-IDF), weight, adds.
        """
        row = self.encoder.encode(check_texts([text]))
        columns, values = row.indices, row.data.astype(np.float64)
        if self.second is None:
            picked = self.first[columns, label]
            weights = (picked.toarray() if isinstance(picked, sp.sparray) else picked).astype(np.float64)
        else:
            on = self._sum(row)[0] > 0
            weights = self.first[columns] @ (self.second[label] * on).astype(np.float64)
        table = pd.DataFrame(
            {"word": self.words[columns], "value": values, "weight": weights, "adds": values * weights}
        )
        return order_words(table)

    def rest(self, text: str, label: int) -> float:
        """What the label's sum has without any word of the text."""
        if self.second is None:
            return float(self.bias[label])
        row = self.encoder.encode([text])
        on = self._sum(row)[0] > 0
        return float(self.second_bias[label] + self.second[label] @ np.where(on, self.bias, 0))


def multiply(features: sp.csr_array, weights: sp.csc_array) -> np.ndarray:
    """`(features @ weights).toarray()` of (n, V) and (V, L), without a copy of the weights by rows.

    The weights are read as they lie, label by label: for many texts, if there are many weights, in dense blocks of
    labels, else by the product the other way round.
    """
    texts, labels = features.shape[0], weights.shape[1]
    if texts == 1:
        return (weights.T @ features.toarray()[0])[None]
    if texts < MANY_TEXTS or weights.nnz < MANY_WEIGHTS * weights.shape[0] * labels:
        return (weights.T @ features.T.tocsr()).toarray().T
    sums = np.empty((texts, labels), np.float32)
    width = max(1, WEIGHTS_AT_ONCE // weights.shape[0])
    for start in range(0, labels, width):
        ends = weights.indptr[start : start + width + 1]
        at = slice(ends[0], ends[-1])
        block = sp.csc_array(
            (weights.data[at], weights.indices[at], ends - ends[0]), shape=(weights.shape[0], len(ends) - 1)
        )
        sums[:, start : start + width] = features @ block.toarray()
    return sums


def check_weights(run: Run) -> None:
    """Checks that a run has what scores texts.

    Raises:
        UserError: its weights are not there: it is published, or came from elsewhere without them.
    """
    if not (run.path / WEIGHTS).exists():
        what = "It is published" if run.published else "Its weights are not in its folder: it came from a run published"
        raise UserError(
            f"{run.id}: {what} without its weights: run its command, then words can be weighed and other texts tried."
        )


def load(run: Run) -> Scorer | TreeScorer:
    """The trained model of a run on TF-IDF, whose weights are there.

    Raises:
        UserError: its weights are damaged.
    """
    name = run.config.model.name
    try:
        arrays, encoder = read_tensors(run.path / WEIGHTS), TfidfEncoder.load(run.path)
        words = np.array(encoder.words, dtype=object)
        metrics = read_metrics(run)
        labels, threshold = tuple(metrics["labels"]), thresholds.of_values(metrics["threshold"])
        if name == "tree":
            tree = Tree(arrays["tree.parents"], arrays["tree.labels"])
            planes = Hyperplanes.from_arrays(arrays, len(words))
            tree.check(len(labels))
            if len(planes.intercepts) != len(tree.parents):
                raise ValueError(f"{len(tree.parents)} nodes, {len(planes.intercepts)} of them fitted")
            return TreeScorer(encoder, words, tree, planes, run.config.model.beam, labels, threshold)
        first: np.ndarray | sp.csc_array
        if "weights.data" in arrays or (name == "svm" and "weights" not in arrays):
            many = Hyperplanes.from_arrays(arrays, len(words))
            first, bias, second, last = many.weights, many.intercepts, None, many.intercepts
        elif name == "svm":
            first, bias, second, last = arrays["weights"], arrays["intercepts"], None, arrays["intercepts"]
        else:
            first, bias = arrays["features.weight"], arrays["bias"]
            second, last = arrays.get("output.weight"), arrays.get("output.bias", bias)
        # Shapes: (V, L), or (V, H) and (L, H) with a hidden layer.
        width = len(labels) if second is None else second.shape[-1]
        if first.shape != (len(words), width) or bias.shape != (width,):
            raise ValueError(f"{len(words)} words, weights {first.shape}, bias {bias.shape}")
        if last.shape != (len(labels),) or (second is not None and second.shape != (len(labels), width)):
            raise ValueError(f"{len(labels)} labels, bias {last.shape}")
    except (LookupError, ValueError, TypeError, UserError) as error:
        said = describe(error)
        raise UserError(f"{run.id}: its weights are damaged ({said}). Delete the run and train it again.") from None
    return Scorer(encoder, words, first, bias, second, last, not MODELS[name].margins, labels, threshold)

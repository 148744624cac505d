"""What a run of model `tree` says of any text, and the words that moved it: NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.metrics.thresholds import Limits
from core.models.label_tree import SHARPNESS, Tree, score_tree
from core.models.many_svms import CERTAIN, Hyperplanes
from core.models.tfidf_features import TfidfEncoder
from core.runs.texts import TextScorer, check_texts, order_words


@dataclass(frozen=True)
class TreeScorer(TextScorer):
    """A trained tree, ready for texts.

    Attributes:
        encoder: from text to (1, V).
        words: of the feature columns, (V,).
        tree: of the labels.
        planes: the SVMs of its nodes.
        beam: nodes of a level that are looked into.
        labels: names, L of them.
        threshold: a label is given where its score is above it: one for all labels, or one each, (L,).
    """

    encoder: TfidfEncoder
    words: np.ndarray
    tree: Tree
    planes: Hyperplanes
    beam: int
    labels: tuple[str, ...]
    threshold: Limits = 0.5
    how = (
        f"{SHARPNESS:g} times weight times TF-IDF of each word, summed over the nodes that decide on the label's path. "
        "The score is the product of the sigmoids of these nodes' sums, or 0 where the search does not reach the label."
    )

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Scores as the run's predictions hold them, (n, L) float64; a text is read whole, however long it is.

        Raises:
            UserError: what is no list of strings.
        """
        if not (texts := check_texts(texts)):
            return np.zeros((0, len(self.labels)))
        features, size = self.encoder.encode(texts), len(self.labels)
        return np.vstack(
            [
                batch.toarray().astype(np.float64)
                for batch in score_tree(self.tree, self.planes, features, labels=size, beam=self.beam)
            ]
        )

    def deciding(self, label: int) -> list[int]:
        """Nodes on a label's path that decide: one that all train documents of its parent have is always taken."""
        return [node for node in self.tree.path(label) if self.planes.intercepts[node] < CERTAIN]

    def contributions(self, text: str, label: int) -> pd.DataFrame:
        """What each word of a text adds to the logits on a label's path, all that decide together; the largest first.

        A label that the tree does not have, for want of a train document, has no path: every weight is 0.

        Returns:
            Columns word, value (TF-IDF), weight, adds.
        """
        row = self.encoder.encode(check_texts([text]))
        columns, values = row.indices, row.data.astype(np.float64)
        on_path = sp.csr_array(self.planes.weights[:, self.deciding(label)])[columns].toarray()
        weights = SHARPNESS * on_path.sum(axis=1, dtype=np.float64)
        table = pd.DataFrame(
            {"word": self.words[columns], "value": values, "weight": weights, "adds": values * weights}
        )
        return order_words(table)

    def rest(self, text: str, label: int) -> float:  # noqa: ARG002
        """What the logits that decide have together without any word of the text."""
        return float(SHARPNESS * self.planes.intercepts[self.deciding(label)].sum(dtype=np.float64))

"""One linear SVM per label, on TF-IDF features: those of at most `FEW_LABELS`; `core.models.many_svms` fits more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from core.config.schema import ModelConfig
from core.models.batches import SCORING_BATCH

FEW_LABELS = 500
"""Up to this many labels one process fits them to the last digit, and all of their weights are kept."""
NEVER = -100.0
"""Margin of a label without a training document: below every threshold that a fit can choose."""


@dataclass(frozen=True)
class LinearRule:
    """One hyperplane per label: margin = features @ weights + intercepts.

    Attributes:
        weights: (V, L) float32.
        intercepts: (L,) float32.
    """

    weights: np.ndarray
    intercepts: np.ndarray

    def margins(self, features: sp.csr_array) -> Iterator[np.ndarray]:
        """Signed distances times the weight norm, batches of (B, L); none where there are no features (0, V)."""
        for start in range(0, features.shape[0], SCORING_BATCH):
            yield features[start : start + SCORING_BATCH] @ self.weights + self.intercepts


def fit_svm(
    features: sp.csr_array, targets: sp.csr_array, rule: LinearRule, *, config: ModelConfig, seed: int, block: int = 10
) -> Iterator[float]:
    """Fills `rule` with one linear SVM per label, `block` labels at a time; yields the fraction done.

    Labels that all or no documents have are not fitted: their margin is far above or below every threshold.

    Args:
        features: of the train part, (N, V).
        targets: (N, L).
        rule: is overwritten.
        config: reads `C`.
        seed: of LIBLINEAR.
        block: labels that are fitted between two fractions.

    Source: one-vs-rest with scikit-learn's `LinearSVC` (LIBLINEAR, Fan et al. 2008).
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    labels = targets.shape[1]
    for start in range(0, labels, block):
        columns = np.arange(start, min(start + block, labels))
        wanted = targets[:, columns].toarray()
        # Labels that all or no documents have.
        counts = wanted.sum(axis=0)
        usable = (counts > 0) & (counts < len(wanted))
        rule.weights[:, columns] = 0
        rule.intercepts[columns] = np.where(counts > 0, -NEVER, NEVER)
        # All others.
        if usable.any():
            classifier = OneVsRestClassifier(LinearSVC(C=config.C, random_state=seed)).fit(features, wanted[:, usable])
            for column, one in zip(columns[usable], classifier.estimators_, strict=True):
                rule.weights[:, column] = one.coef_[0]
                rule.intercepts[column] = one.intercept_[0]
        yield (columns[-1] + 1) / labels

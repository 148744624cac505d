"""Texts that a trained run is asked about, checked, and what all of its scorers say of them alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.metrics.thresholds import Limits
from core.system.errors import UserError


class TextScorer(ABC):
    """A trained run, ready for texts.

    Attributes:
        labels: names, L of them.
        threshold: a label is given where its score is above it: one for all labels, or one each, (L,).
    """

    labels: tuple[str, ...]
    threshold: Limits

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Scores as the run's predictions hold them, (n, L) float64."""

    def __call__(self, texts: Sequence[str]) -> list[list[tuple[str, float]]]:
        """The labels of each text with their scores, the surest first."""
        return rank_labels(self.scores(texts), self.threshold, self.labels)


def order_words(table: pd.DataFrame) -> pd.DataFrame:
    """Words by what each adds (column adds), the largest first, either way."""
    return table.iloc[np.argsort(-table["adds"].abs().to_numpy(), kind="stable")].reset_index(drop=True)


def check_texts(texts: Any) -> list[str]:
    """Texts as a list, if each of them is a text; letters that no encoding knows become question marks.

    Raises:
        UserError: one string instead of a list, no list at all, or a member that is no text.
    """
    if isinstance(texts, str | bytes):
        raise UserError("Texts are one string: pass a list, [text].")
    if isinstance(texts, dict) or not isinstance(texts, Iterable):
        raise UserError(f"Texts are a {type(texts).__name__}: pass a list of strings.")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise UserError(
                f"Text {place} is {text!r:.40} ({kind}), not a string: leave it out, or pass '' for no text."
            )
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in found]


def rank_labels(scores: Any, threshold: Any, labels: tuple[str, ...]) -> list[list[tuple[str, float]]]:
    """The labels of each text above the threshold with their scores, the surest first.

    Args:
        scores: (n, L).
        threshold: one number, or one for each label, (L,).
        labels: names of the columns, (L,).
    """
    found = []
    for row in scores:
        above = row > threshold
        found.append(
            [(labels[column], float(row[column])) for column in (-row).argsort(kind="stable") if above[column]]
        )
    return found

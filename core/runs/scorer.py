"""What a trained run says of any text, and the words that moved it: NumPy alone, for models on TF-IDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from core.config.defaults import MODELS
from core.models.tfidf_features import TfidfEncoder
from core.runs.folder import Run
from core.system.errors import UserError

if TYPE_CHECKING:
    from core.runs.network_scorer import NetworkScorer


@dataclass(frozen=True)
class Scorer:
    """A trained run, ready for texts: V words, L labels, H hidden units.

    Attributes:
        encoder: from text to (1, V).
        words: of the feature columns, (V,).
        first: (V, L), or (V, H) before a hidden layer.
        bias: (L,) or (H,).
        second: (L, H) of a network with a hidden layer, else None.
        second_bias: (L,).
        probabilities: scores are sigmoids of the sums; an SVM's are the sums themselves.
    """

    encoder: TfidfEncoder
    words: np.ndarray
    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray | None
    second_bias: np.ndarray
    probabilities: bool
    how = "Weight times TF-IDF of each word; what they add up to, with the bias, is the score before the sigmoid."

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Scores as the run's predictions hold them, (n, L) float64."""
        sums = np.asarray(self.encoder.encode(texts) @ self.first) + self.bias
        if self.second is not None:
            sums = np.maximum(sums, 0) @ self.second.T + self.second_bias
        if not self.probabilities:
            return sums.astype(np.float64)
        half = np.exp(-np.abs(sums.astype(np.float64)))
        return np.where(sums >= 0, 1 / (1 + half), half / (1 + half))

    def contributions(self, text: str, label: int) -> pd.DataFrame:
        """What each word of a text adds to the sum of a label, before the sigmoid; the largest first, either way.

        A word adds its TF-IDF value times its weight. Behind a hidden layer the weight is that of the units that the
        text switches on, which is exact for this text: the parts and `rest` sum to the label's sum.

        Returns:
            Columns word, value (TF-IDF), weight, adds.
        """
        row = self.encoder.encode([text])
        columns, values = row.indices, row.data.astype(np.float64)
        if self.second is None:
            weights = self.first[columns, label].astype(np.float64)
        else:
            on = (np.asarray(row @ self.first)[0] + self.bias) > 0
            weights = self.first[columns] @ (self.second[label] * on).astype(np.float64)
        table = pd.DataFrame(
            {"word": self.words[columns], "value": values, "weight": weights, "adds": values * weights}
        )
        return table.iloc[np.argsort(-table["adds"].abs().to_numpy(), kind="stable")].reset_index(drop=True)

    def rest(self, text: str, label: int) -> float:
        """What the label's sum has without any word of the text."""
        if self.second is None:
            return float(self.bias[label])
        row = self.encoder.encode([text])
        on = (np.asarray(row @ self.first)[0] + self.bias) > 0
        return float(self.second_bias[label] + self.second[label] @ np.where(on, self.bias, 0))


def load(run: Run) -> Scorer | NetworkScorer:
    """A run's trained model; torch is loaded for a model that reads tokens.

    Raises:
        UserError: the run has no weights, as a published one, or they are damaged.
    """
    name = run.config.model.name
    if not (run.path / "model.safetensors").exists():
        what = "It is published without its weights" if run.published else "Its weights are not in its folder"
        raise UserError(f"{what}: run its command, then words can be weighed and other texts tried.")
    if MODELS[name].reads == "tokens":
        from core.runs import network_scorer

        return network_scorer.load(run)
    try:
        arrays, encoder = load_file(run.path / "model.safetensors"), TfidfEncoder.load(run.path)
        words = np.array(encoder.words, dtype=object)
        if name == "svm":
            first, bias, second, last = arrays["weights"], arrays["intercepts"], None, arrays["intercepts"]
        else:
            first, bias = arrays["features.weight"], arrays["bias"]
            second, last = arrays.get("output.weight"), arrays.get("output.bias", bias)
        if len(words) != len(first):
            raise ValueError(f"{len(words)} words, {len(first)} rows of weights")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise UserError(f"{run.id}: its weights are damaged ({error}). Delete the run and train it again.") from None
    return Scorer(encoder, words, first, bias, second, last, probabilities=not MODELS[name].margins)


def weights_version(run: Run) -> tuple[str, int]:
    """What a loaded model depends on: its file and the time of its last change in ns, 0 if it is missing."""
    file: Path = run.path / "model.safetensors"
    return str(file), file.stat().st_mtime_ns if file.exists() else 0

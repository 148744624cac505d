"""What a trained run says of any text, and the words that moved it: NumPy alone, for models on TF-IDF.

A combined run asks its members.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.config.defaults import MODELS
from core.metrics import averages
from core.metrics.averages import Margins
from core.models.tfidf_features import TfidfEncoder
from core.runs.folder import Run, get_run
from core.runs.results import read_metrics
from core.system.arrays import describe, read_tensors
from core.system.errors import UserError

if TYPE_CHECKING:
    from core.runs.network_scorer import NetworkScorer

WEIGHTS = "model.safetensors"
"""File of a run's weights."""


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


@dataclass(frozen=True)
class CombinedScorer:
    """The trained members of a combined run, ready for texts: their scores are averaged as the run's are.

    Attributes:
        members: their models.
        weights: how much each counts, with the sum 1.
        margins: how each member's margins are standardised; None of probabilities.
    """

    members: tuple[Scorer | NetworkScorer, ...]
    weights: tuple[float, ...]
    margins: tuple[Margins | None, ...]
    how = "What each word adds to the averaged logit: the words of every member, each by the member's weight."

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities, (n, L) float64: the sigmoid of the averaged logits."""
        parts = zip(self.members, self.weights, self.margins, strict=True)
        logits = sum(weight * averages.to_logits(member.scores(texts), unit) for member, weight, unit in parts)
        return averages.to_probabilities(np.asarray(logits))

    def contributions(self, text: str, label: int) -> pd.DataFrame:
        """What each word of a text adds to the averaged logit of a label; the largest first, either way.

        Members read words differently: a word is added up over those that know it. Logits are clipped before they are
        averaged, which the parts of a very sure member do not show.

        Returns:
            Columns word, value (members that know it), weight (what it adds through each of them, on average), adds.
        """
        parts = []
        for member, weight, unit in zip(self.members, self.weights, self.margins, strict=True):
            table = member.contributions(text, label)[["word", "adds"]]
            parts.append(table.assign(adds=table["adds"] * weight / (unit.deviation if unit else 1.0)))
        added = pd.concat(parts).groupby("word", sort=False)["adds"].agg(["size", "sum"]).reset_index()
        added = added.rename(columns={"size": "value", "sum": "adds"})
        added.insert(2, "weight", added["adds"] / added["value"])
        return added.iloc[np.argsort(-added["adds"].abs().to_numpy(), kind="stable")].reset_index(drop=True)


def load(run: Run) -> Scorer | NetworkScorer | CombinedScorer:
    """A run's trained model; torch is loaded for a model that reads tokens, also for one of a combined run's members.

    Raises:
        UserError: the run, or a member of it, has no weights, as a published one, or they are damaged.
    """
    if run.config.combined:
        return _load_members(run)
    return _load_trained(run)


def find_missing(run: Run) -> list[str]:
    """What is missing to score texts, a clause each; empty if nothing is.

    Of a combined run every member has to be there with its weights.
    """
    if not run.config.combined:
        return [] if (run.path / WEIGHTS).exists() else [f"{run.id} {_describe_lack(run)}"]
    missing = []
    for one in run.config.combined.members:
        try:
            member = get_run(one)
        except UserError:
            missing.append(f"{one} is no longer there, or damaged")
            continue
        if member.config.combined:
            missing.append(f"{one} is itself a combined run")
        elif not (member.path / WEIGHTS).exists():
            missing.append(f"{one} {_describe_lack(member)}")
    return missing


def _describe_lack(run: Run) -> str:
    return "is published without its weights" if run.published else "has no weights in its folder"


def _load_members(run: Run) -> CombinedScorer:
    """The models of a combined run's members, with the margins that were measured when it was made."""
    assert run.config.combined is not None
    if missing := find_missing(run):
        raise UserError(
            f"{run.id} needs its members to read a text: {'; '.join(missing)}. Its own scores stand; run the command "
            "of each of these members to try other texts."
        )
    try:
        found = {one["run"]: one for one in read_metrics(run)["members"]}
        units = [
            Margins(float(found[one]["mean"]), float(found[one]["deviation"])) if "mean" in found[one] else None
            for one in run.config.combined.members
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run.id}: metrics.json is damaged: {error!r} in its members. Combine them again.") from None
    members = [get_run(one) for one in run.config.combined.members]
    labels = read_metrics(run)["labels"]
    for member, unit in zip(members, units, strict=True):
        if read_metrics(member)["labels"] != labels or (unit is not None) != MODELS[member.config.model.name].margins:
            raise UserError(f"{member.id} is another run than the one that was combined: delete {run.id}.")
    return CombinedScorer(tuple(_load_trained(one) for one in members), run.config.combined.weights, tuple(units))


def _load_trained(run: Run) -> Scorer | NetworkScorer:
    """The model of a run that was trained."""
    name = run.config.model.name
    if not (run.path / WEIGHTS).exists():
        what = "It is published without its weights" if run.published else "Its weights are not in its folder"
        raise UserError(f"{what}: run its command, then words can be weighed and other texts tried.")
    if MODELS[name].reads == "tokens":
        from core.runs import network_scorer

        return network_scorer.load(run)
    try:
        arrays, encoder = read_tensors(run.path / WEIGHTS), TfidfEncoder.load(run.path)
        words = np.array(encoder.words, dtype=object)
        if name == "svm":
            first, bias, second, last = arrays["weights"], arrays["intercepts"], None, arrays["intercepts"]
        else:
            first, bias = arrays["features.weight"], arrays["bias"]
            second, last = arrays.get("output.weight"), arrays.get("output.bias", bias)
        # Shapes: (V, L), or (V, H) and (L, H) with a hidden layer.
        labels = len(read_metrics(run)["labels"])
        width = labels if second is None else second.shape[-1]
        if first.shape != (len(words), width) or bias.shape != (width,):
            raise ValueError(f"{len(words)} words, weights {first.shape}, bias {bias.shape}")
        if last.shape != (labels,) or (second is not None and second.shape != (labels, width)):
            raise ValueError(f"{labels} labels, bias {last.shape}")
    except (LookupError, ValueError, TypeError, UserError) as error:
        said = describe(error)
        raise UserError(f"{run.id}: its weights are damaged ({said}). Delete the run and train it again.") from None
    return Scorer(encoder, words, first, bias, second, last, probabilities=not MODELS[name].margins)


def weights_version(run: Run) -> tuple[tuple[str, int], ...]:
    """What a loaded model depends on: its file and the time of its last change in ns, 0 if it is missing.

    Of a combined run, its metrics and the files of all its members.
    """
    files: list[Path] = [run.path / WEIGHTS]
    if run.config.combined:
        files = [run.path / "metrics.json"]
        for one in run.config.combined.members:
            with suppress(UserError):
                files.append(get_run(one).path / WEIGHTS)
    return tuple((str(file), file.stat().st_mtime_ns if file.exists() else 0) for file in files)

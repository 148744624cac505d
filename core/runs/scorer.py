"""What a trained run says of any text, and the words that moved it; a combined run asks its members."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.config.defaults import MODELS
from core.metrics import averages, thresholds
from core.metrics.averages import Margins
from core.metrics.thresholds import Limits
from core.runs import tfidf_scorer
from core.runs.folder import Run, get_run
from core.runs.results import read_metrics
from core.runs.texts import TextScorer, check_texts, order_words
from core.runs.tfidf_scorer import WEIGHTS, Scorer, check_weights
from core.runs.tree_scorer import TreeScorer
from core.system.errors import UserError

if TYPE_CHECKING:
    from core.runs.network_scorer import NetworkScorer


@dataclass(frozen=True)
class CombinedScorer(TextScorer):
    """The trained members of a combined run, ready for texts: their scores are averaged as the run's are.

    Attributes:
        members: their models.
        weights: how much each counts, with the sum 1.
        margins: how each member's margins are standardised; None of probabilities.
        labels: names, L of them.
        threshold: a label is given where its score is above it: one for all labels, or one each, (L,).
    """

    members: tuple[Scorer | TreeScorer | NetworkScorer, ...]
    weights: tuple[float, ...]
    margins: tuple[Margins | None, ...]
    labels: tuple[str, ...] = ()
    threshold: Limits = 0.5
    how = "What each word adds to the averaged logit: the words of every member, each by the member's weight."

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities, (n, L) float64: the sigmoid of the averaged logits.

        Raises:
            UserError: what is no list of strings.
        """
        texts = check_texts(texts)  # once: what can be read only once would be gone after the first member
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
        return order_words(added)


def load(run: Run) -> Scorer | TreeScorer | NetworkScorer | CombinedScorer:
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
    how = "is" if run.published else "has no weights in its folder, as a run"
    return f"{how} published without its weights"


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
    trained = tuple(_load_trained(one) for one in members)
    threshold = thresholds.of_values(read_metrics(run)["threshold"])
    return CombinedScorer(trained, run.config.combined.weights, tuple(units), tuple(labels), threshold)


def _load_trained(run: Run) -> Scorer | TreeScorer | NetworkScorer:
    """The model of a run that was trained."""
    if MODELS[run.config.model.name].reads == "tokens":
        from core.runs import network_scorer

        return network_scorer.load(run)
    check_weights(run)
    return tfidf_scorer.load(run)


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

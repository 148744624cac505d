"""A combined run: the scores of finished runs of one data set and split, averaged in logits; nothing is trained.

It is a folder like that of any other run, with thresholds of its own. Its config names its members and their weights;
its results need neither the members nor the data set any longer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.config.defaults import COMBINED, MODELS, RULES_IN_RUNS
from core.config.parse import parse
from core.config.schema import MOST_MEMBERS, RunConfig
from core.labels.groups import Borders, indicator
from core.metrics import averages
from core.metrics.averages import Margins
from core.runs import journal, results
from core.runs.folder import Damaged, Run, get_folder, get_run, new_folder, run_id, run_path, save_about
from core.runs.outcome import About, Part, write_outcome
from core.runs.plan import command_line
from core.runs.predictions import PREDICTIONS, Predictions, read_predictions
from core.system.access import account, check_writable
from core.system.errors import UserError, choose
from core.system.files import write_json

Weights = Literal["equal", "validation"] | Sequence[float]
RULES = tuple(rule for rule in RULES_IN_RUNS if rule != "auto")
"""By which the thresholds of a combined run can be fitted; `auto` asks the loss, and there is none."""


@dataclass(frozen=True)
class Member:
    """A run whose scores are averaged.

    Attributes:
        run: finished, and trained.
        scored: its `metrics.json`.
    """

    run: Run
    scored: dict[str, Any]

    @property
    def has_margins(self) -> bool:
        """Whether its scores are margins, not probabilities."""
        return MODELS[self.run.config.model.name].margins


def combine(
    run_ids: Sequence[str], *, weights: Weights = "equal", rule: str = "quiet", name: str = "", user: str = ""
) -> Run:
    """Makes the combined run of finished runs; the same members, weights and rule are the same run, made once.

    Args:
        run_ids: 2 to `MOST_MEMBERS` different runs of one data set and split, in any order.
        weights: all equal, those that are best on validation, or one for each run, positive and with the sum 1.
        rule: one of `RULES`, for the thresholds, which are fitted on validation.
        name: what to call it; empty leaves the name as it is.
        user: who asks; empty is who is signed in, else the account of this process.

    Raises:
        UserError: too few or too many runs, one that is named twice, has not finished, is combined itself, is damaged,
            or has other data, labels or documents than the first; weights that do not fit; an unknown rule.
    """
    check_writable()
    began = time.monotonic()
    choose("rule", rule, RULES)
    # Members, in the order of their ids: the order in which they are named changes nothing.
    given = _check_weights(run_ids, weights)
    members = _read_members(run_ids)
    order = sorted(range(len(members)), key=lambda place: members[place].run.id)
    members = [members[place] for place in order]
    # Weights; the best ones are found on validation. A run that is there is not made again.
    validation = None
    if given is not None:
        shares = tuple(given[place] for place in order)
    elif weights == "equal":
        shares = (1 / len(members),) * len(members)
    else:
        validation = _stack(members, "validation")
        shares = averages.fit_weights(validation.part.targets, validation.stacked)
    weighted = weights if isinstance(weights, str) else "given"
    config = _make_config(members, shares, weighted, rule)
    path = run_path(run_id(config, members[0].scored["fingerprint"]))
    if not path.is_dir():
        validation = validation or _stack(members, "validation")
        _write(config, members, validation, user=user or account(), began=began)
    found = get_folder(path.name)
    if isinstance(found, Damaged):
        raise UserError(f"{found.problem} Delete that run, then combine again.")
    if name:
        save_about(found.id, name=name)
    return get_run(found.id)


def read_weights(text: str) -> Weights:
    """Weights from an option: `equal`, `validation`, or numbers with commas between them.

    Raises:
        UserError: none of these.
    """
    if text in ("equal", "validation"):
        return "equal" if text == "equal" else "validation"
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        if "," not in text:
            choose("weights", text, ("equal", "validation"))
        raise UserError(f"--weights {text}: write a number for each run, such as 0.7,0.3.") from None


def _check_weights(run_ids: Sequence[str], weights: Weights) -> list[float] | None:
    """Weights that were given as numbers; None where they are named.

    Raises:
        UserError: too few or too many runs, one named twice, or weights that do not fit them.
    """
    if not 2 <= len(run_ids) <= MOST_MEMBERS:
        raise UserError(f"A combined run has 2 to {MOST_MEMBERS} members: {len(run_ids)} named.")
    if twice := next((one for place, one in enumerate(run_ids) if one in run_ids[:place]), None):
        raise UserError(f"Run {twice[:80]} is named twice: a combined run has every member once.")
    if isinstance(weights, str):
        choose("weights", weights, ("equal", "validation"))
        return None
    if len(weights) != len(run_ids):
        raise UserError(f"There are {len(weights)} weights for {len(run_ids)} runs: give one for each.")
    if wrong := [weight for weight in weights if not 0 < weight < 1]:
        raise UserError(f"A weight is {wrong[0]:g}: every weight must be above 0 and below 1.")
    if abs(sum(weights) - 1) > 1e-6:
        raise UserError(f"The weights sum to {sum(weights):.6g}: they must sum to 1.")
    return list(weights)


def _read_members(run_ids: Sequence[str]) -> list[Member]:
    """The members in the order in which they are named.

    Raises:
        UserError: one that cannot be a member, or has other data or labels than the first, by its id.
    """
    members: list[Member] = []
    for one in run_ids:
        run = get_run(one)
        if run.config.combined:
            raise UserError(f"Run {run.id} is a combined run: name its members instead.")
        if run.state != "finished":
            raise UserError(f"Run {run.id} cannot be combined: it is {run.state}.")
        members.append(Member(run, results.read_results(run)))
    first = members[0]
    for other in members[1:]:
        mine, theirs = first.run.config.data, other.run.config.data
        if mine != theirs:
            sizes = " of another size or seed" if (mine.name, mine.split) == (theirs.name, theirs.split) else ""
            raise UserError(
                f"Run {other.run.id} is of {theirs.name}, split {theirs.split}{sizes}, and {first.run.id} of "
                f"{mine.name}, split {mine.split}: only runs of one data set and split are combined."
            )
        if first.scored["fingerprint"] != other.scored["fingerprint"]:
            raise UserError(f"The data set has changed between {first.run.id} and {other.run.id}: train one again.")
        if first.scored["labels"] != other.scored["labels"]:
            raise UserError(f"Run {other.run.id} has other labels than {first.run.id}, or another order of them.")
    return members


@dataclass(frozen=True)
class _Read:
    """A part of all members: the documents, and the members' logits.

    Attributes:
        part: without scores of its own: those of the first member.
        stacked: logits of the members.
        margins: of each member, how its margins are standardised; None of probabilities.
    """

    part: Part
    stacked: averages.Stacked
    margins: list[Margins | None]


def _stack(members: Sequence[Member], part: str, margins: list[Margins | None] | None = None) -> _Read:
    """Reads a part of all members; `margins` are measured on it unless given.

    Raises:
        UserError: missing or damaged scores, no documents, or other ones than those of the first member.
    """
    first: Predictions | None = None
    scores = []
    for member in members:
        found = read_predictions(member.run, part)
        first = first or found
        labels = len(member.scored["labels"])
        if found.targets.shape[1] != labels:
            raise UserError(f"{member.run.id}: {PREDICTIONS[part]} is damaged: it has not the {labels} labels.")
        if found.ids != first.ids or not np.array_equal(found.rows, first.rows):
            raise UserError(f"Run {member.run.id} has other {part} documents than {members[0].run.id}.")
        if not _are_equal(found, first):
            raise UserError(f"The {part} documents of {member.run.id} have other labels than {members[0].run.id} says.")
        scores.append(found.scores)
    assert first is not None, "there are members"
    if not first.ids:
        raise UserError(f"{members[0].run.id} has no {part} documents: thresholds could not be fitted.")
    if margins is None:
        margins = [
            averages.measure_margins(one) if member.has_margins else None
            for member, one in zip(members, scores, strict=True)
        ]
    part_read = Part(first.ids, first.rows, first.targets, first.scores)
    return _Read(part_read, averages.stack(scores, margins), margins)


def _are_equal(mine: Predictions, other: Predictions) -> bool:
    """Whether two runs hold the same true labels."""
    one, two = indicator(mine.targets), indicator(other.targets)
    return np.array_equal(one.indptr, two.indptr) and np.array_equal(one.indices, two.indices)


def _make_config(members: Sequence[Member], shares: tuple[float, ...], weighted: str, rule: str) -> RunConfig:
    values = {
        "data": members[0].run.config.data.model_dump(),
        "model": {"name": COMBINED},
        "train": {"threshold": rule},
        "combined": {
            "members": [member.run.id for member in members],
            "weights": list(shares),
            "weighted": weighted,
        },
    }
    return parse(RunConfig, values)


def _write(config: RunConfig, members: Sequence[Member], validation: _Read, *, user: str, began: float) -> None:
    """Writes the folder of a combined run, which is seen whole or not at all.

    Raises:
        UserError: the test scores do not fit together, or the disk is full.
    """
    assert config.combined is not None
    shares, scored = config.combined.weights, members[0].scored
    now = time.time()
    # Scores: those of the test part with the margins of validation.
    test = _stack(members, "test", validation.margins)
    parts = {
        name: Part(read.part.ids, read.part.rows, read.part.targets, read.stacked.average(shares))
        for name, read in (("validation", validation), ("test", test))
    }
    # What is known of the data, from the first member: all have the same.
    train = results.count_documents(scored, "train") or max(scored["counts"], default=1)
    about = About(
        scored["labels"],
        np.asarray(scored["counts"], np.int64),
        Borders(**scored["borders"]),
        scored["fingerprint"],
        str(scored.get("source", "")),
        {"train": train, **{name: len(part.ids) for name, part in parts.items()}},
    )
    described = [
        {"run": member.run.id, "weight": share, **({} if unit is None else vars(unit))}
        for member, share, unit in zip(members, shares, validation.margins, strict=True)
    ]
    # The folder.
    target, command = run_path(run_id(config, scored["fingerprint"])), command_line(config)
    try:
        with new_folder(target, f"Run {target.name} is there already.") as folder:
            write_json(folder / "config.json", config.model_dump(mode="json"))
            write_outcome(
                folder,
                parts,
                about,
                rule=config.train.threshold,
                command=command,
                began=began,
                more={"members": described},
            )
            times = {"submitted": now, "started": now, "ended": time.time()}
            done = {"state": "finished", "device": "cpu", "user": user, "command": command}
            write_json(folder / "status.json", done | times | {"progress": {"phase": "done", "fraction": 1.0}})
            journal.append_event(folder, "combined", user=user, runs=len(members))
    except OSError as error:
        raise UserError(f"{target.name} cannot be written: {error.strerror}.") from None
    except UserError:
        if not target.is_dir():  # else another process has made it meanwhile
            raise

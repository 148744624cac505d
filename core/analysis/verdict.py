"""What a table of rows says in words: what is best where, what cannot be told apart, which seeds would settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.analysis.samples import RANKING, Difference, Sampled, subtract
from core.analysis.tables import Row, columns_of
from core.metrics import uncertainty
from core.runs.plan import Plan, of_run
from core.system.errors import UserError

QUESTIONS = {
    "total_micro": "All labels, micro-F1",
    "total_macro": "All labels, macro-F1",
    "tail_macro": "Tail labels, macro-F1",
}
"""Columns that the verdict is about, by the column of Table 2."""
RANKING_QUESTIONS = {
    "precision_at1": "First label of each document, precision",
    "total_ap": "All labels, average precision",
    "tail_ap": "Tail labels, average precision",
}
MOST_SEEDS = 50
"""Of a method: who would need more will not train them."""
MOST_LAUNCHED = 20
"""New seeds in one link to the launcher."""
TIE = 0.05
"""Points below which a difference is printed as 0.0."""
NAMED = 4
"""Rows that a sentence names; it counts the others."""


@dataclass(frozen=True)
class Finding:
    """What one score says of the rows.

    Attributes:
        column: of `QUESTIONS`.
        best: the row of several seeds with the highest mean; the highest of all where none has several.
        score: its score, percent.
        below: rows of several seeds that are lower by more than chance.
        close: rows of several seeds that cannot be told from it, the highest first.
        alone: rows of one seed, the highest first, without `best`.
        higher: those of them that score higher than `best`.
        gap: `best` minus the first of `close` (of the others without one), in points, with the ends of its interval.
        seeds: of each of the two, with which their difference would be found; None where no number is enough, or
            the seed noise is unknown.
        documents_hide: the test documents alone hide the difference, however many seeds there are.
    """

    column: str
    best: Row
    score: float
    below: list[Row]
    close: list[Row]
    alone: list[Row]
    higher: list[Row]
    gap: tuple[float, float, float]
    seeds: int | None
    documents_hide: bool


def questions_at(rule: str) -> dict[str, str]:
    """What the verdict on rows at a rule is about: the words of each question by its column."""
    return RANKING_QUESTIONS if rule == RANKING else QUESTIONS


def find(rows: Sequence[Row], sampled: Mapping[str, Sampled], *, rule: str) -> list[Finding]:
    """What each of `QUESTIONS` says; empty without two rows on the same data, or where a score is missing everywhere.

    Args:
        rows: on the same data.
        sampled: by a row's name.
        rule: at which they were sampled.
    """
    columns = columns_of(RANKING if rule == RANKING else 2)
    found = []
    for column in questions_at(rule):
        place = columns[column]
        known = [row for row in rows if not np.isnan(sampled[row.name].scores[place])]
        if len(known) < 2:
            continue
        known.sort(key=lambda row: -sampled[row.name].scores[place])
        several = [row for row in known if sampled[row.name].seeds > 1]
        best = (several or known)[0]
        others = [row for row in known if row is not best]
        gain = subtract(
            [(sampled[row.name], sampled[best.name]) for row in others],
            comparable=[True] * len(others),
            places=[place],
        )
        tested = [(row, number) for number, row in enumerate(others) if sampled[row.name].seeds > 1]
        close = [(row, number) for row, number in tested if several and not gain.significant[number, 0]]
        alone = [row for row in others if sampled[row.name].seeds < 2]
        top = sampled[best.name].scores[place]
        next_row, number = close[0] if close else (others[0], 0)
        gap, seeds, hidden = _settle(sampled[best.name], sampled[next_row.name], gain, number, place)
        found.append(
            Finding(
                column,
                best,
                100 * float(top),
                [row for row, number in tested if several and gain.significant[number, 0]],
                [row for row, _ in close],
                alone,
                [row for row in alone if sampled[row.name].scores[place] > top],
                gap,
                seeds,
                hidden,
            )
        )
    return found


def _settle(
    best: Sampled, other: Sampled, gain: Difference, row: int, place: int
) -> tuple[tuple[float, float, float], int | None, bool]:
    """The gap of two rows with its ends, the seeds of each that would settle it, and whether documents hide it."""
    gap = (-100 * gain.scores[row, 0], -100 * gain.high[row, 0], -100 * gain.low[row, 0])
    if best.samples.shape != other.samples.shape or not gain.tested[row, 0] or gain.significant[row, 0]:
        return gap, None, False
    # Noise of one seed of each, and that of the documents.
    seed_noise = float(best.deviation[place] ** 2 + other.deviation[place] ** 2)
    drawn = [one.samples if one.by_documents is None else one.by_documents for one in (best, other)]
    documents = float((drawn[0] - drawn[1])[:, place].var())
    size, level = float(gain.scores[row, 0]), float(gain.level[row, 0])
    seeds = uncertainty.seeds_needed(size, seed_noise, documents, level=level, most=MOST_SEEDS)
    hidden = seeds is None and uncertainty.seeds_needed(size, 0.0, documents, level=level, most=2) is None
    if seeds is not None:
        seeds = max(seeds, best.seeds + 1, other.seeds + 1)
    return gap, seeds, hidden


def in_words(finding: Finding, *, documents: int) -> str:
    """One finding as a few short sentences.

    Args:
        finding: of `find`.
        documents: of the test part.
    """
    best, score = finding.best.name, f"{finding.score:.1f}"
    if len(finding.best.runs) < 2:
        gap, low, high = finding.gap
        if abs(gap) < TIE:
            return f"{best} scores {score}, and {finding.alone[0].name}, the next, as much: neither is ahead."
        ends = "" if np.isnan(low) else f" ({low:+.1f} to {high:+.1f} over the test documents alone)"
        return f"{best} scores highest, {score}: {gap:.1f} points above {finding.alone[0].name}, the next{ends}."
    many = len(finding.close) + len(finding.below)
    if not many:
        words = [f"Only {best} ({score}) has several seeds: there is no other row to test it against."]
    elif not finding.close:
        words = [f"{best} is best, {score}: it is above {_named(finding.below)} by more than chance."]
    else:
        close = _named(finding.close) if finding.below or many < 3 else f"any of the other {many} rows of several seeds"
        words = [
            f"{best} has the highest mean, {score}, but cannot be told from {close}: {_settled(finding, documents)}."
        ]
        if finding.below:
            words.append(f"It is above {_named(finding.below)} by more than chance.")
    if finding.higher:
        one = len(finding.higher) == 1
        words.append(
            f"{'A row' if one else f'{len(finding.higher)} rows'} of one seed {'scores' if one else 'score'} higher: "
            "whether by luck is unknown."
        )
    return " ".join(words)


def _settled(finding: Finding, documents: int) -> str:
    """The lead of the best row over the next, and what would make it sure."""
    gap, low, high = finding.gap
    first = f" {finding.close[0].name}," if len(finding.close) > 1 else ""
    lead = f"its lead over{first} the next is {gap:.1f} points ({low:+.1f} to {high:+.1f})"
    lead = lead.replace(", the next is", ", the next, is") if first else lead.replace("over the next", "over it")
    if finding.documents_hide:
        return f"{lead}, and {documents:,} test documents are too few to settle that with any number of seeds"
    if finding.seeds is None:
        return f"{lead}, which even {MOST_SEEDS} seeds of each would not settle"
    more = finding.seeds - min(len(finding.best.runs), len(finding.close[0].runs))
    return f"{lead}, which about {finding.seeds} seeds of each would settle ({more} more than now)"


def words_of_single_seeds(rows: Sequence[Row]) -> str:
    """A sentence on the rows of one seed; empty where there are none."""
    alone = [row for row in rows if len(row.runs) < 2]
    if not alone:
        return ""
    if len(alone) == len(rows):
        return (
            "No row has more than one seed: how far another seed of the same would land is unknown, so none of these "
            "differences can be called real."
        )
    has = "has one seed" if len(alone) == 1 else "have one seed each"
    return f"{_named(alone)} {has}: how far another seed would land is unknown, so nothing is concluded about them."


def _named(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows]
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    mark = ";" if any("," in name for name in names) else ","  # a name such as 'MiniLM db, all layers' stays one
    return names[0] if len(names) == 1 else f"{f'{mark} '.join(names[:-1])} and {names[-1]}"


def next_runs(findings: Sequence[Finding]) -> list[tuple[list[Row], int]]:
    """Rows to train more seeds of, each with how many new ones; empty where seeds settle nothing.

    First what settles the last of the questions that seeds can settle; then two more seeds of the rows that have one,
    which makes them comparable. A combined run is not trained: it has no seed to add.
    """
    found: list[tuple[list[Row], int]] = []
    settled = [finding for finding in findings if finding.seeds is not None]
    for finding in settled[-1:]:
        rows = [row for row in (finding.best, finding.close[0]) if not row.runs[0].config.combined]
        if not rows:
            continue
        found.append((rows, min((finding.seeds or 0) - min(len(row.runs) for row in rows), MOST_LAUNCHED)))
    known = (findings[-1].best, *findings[-1].alone) if findings else ()
    if alone := [row for row in known if len(row.runs) < 2 and not row.runs[0].config.combined]:
        found.append((alone, 2))
    return found


def launcher_query(rows: Sequence[Row], more: int) -> dict[str, str | list[str]]:
    """The address parameters with which the launcher's form trains `more` new seeds of rows.

    Rows whose settings differ do not fit in one form: it then takes those that have the settings of the first. Empty
    where no form makes such a run.
    """
    plans = [of_run(row.runs[0].config) for row in rows]
    alike = [plan for plan in plans if (plan.data, plan.settings) == (plans[0].data, plans[0].settings)]
    taken = [row for row, plan in zip(rows, plans, strict=True) if plan in alike]
    first = 1 + max(run.config.seed for row in taken for run in row.runs)
    models = tuple(dict.fromkeys(model for plan in alike for model in plan.models))
    losses = tuple(dict.fromkeys(loss for plan in alike for loss in plan.losses))
    seeds = tuple(range(first, first + more))
    try:
        Plan(data=plans[0].data, models=models, losses=losses, seeds=seeds, settings=plans[0].settings).configs()
    except UserError:
        return {}
    size = plans[0].data.synthetic_changes()
    query: dict[str, str | list[str]] = {
        "data": plans[0].data.name,
        "split": plans[0].data.split,
        "models": list(models),
    }
    query |= {"losses": list(losses)} if losses else {}
    query |= {"seeds": f"{first}-{seeds[-1]}" if more > 1 else str(first)}
    query |= {f"synthetic_{key}": str(value) for key, value in size.items()}
    return query | {f"set.{key}": _as_entry(key, value) for key, value in plans[0].settings.items()}


def _as_entry(key: str, value: object) -> str:
    """A setting as the form's widget reads it from an address."""
    if isinstance(value, bool):
        yes, no = ("yes", "no") if key.startswith("loss.") else ("true", "false")
        return yes if value else no
    return str(value)


def seeds_apart(rows: Sequence[Row]) -> str:
    """A sentence on rows whose means are of different seeds; empty where all have the same."""
    rows = [row for row in rows if not row.runs[0].config.combined]  # made of runs with seeds of their own
    seeds = [tuple(run.config.seed for run in row.runs) for row in rows]
    if len(set(seeds)) < 2:
        return ""
    common = max(dict.fromkeys(seeds), key=lambda one: (seeds.count(one), len(one)))
    others = [f"{row.name} {_listed(mine)}" for row, mine in zip(rows, seeds, strict=True) if mine != common]
    return f"Not every row has the same seeds: {'; '.join(others)}; every other row {_listed(common)}."


def _listed(seeds: Sequence[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))

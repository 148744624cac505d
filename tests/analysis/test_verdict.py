"""The verdict: it calls best what the table prints bold, says what is not known, and links to what would settle it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.analysis import samples, tables, verdict
from core.analysis.samples import RANKING, Sampled
from core.analysis.tables import Row
from core.metrics import uncertainty
from core.runs.folder import Run
from core.runs.plan import Plan
from tests.helpers.scored import make_run

PLACE = uncertainty.COLUMNS.index("tail/macro_f1")


def row_of(name: str, seeds: int = 3) -> Row:
    return Row(name, name, tuple(make_run(name, seed) for seed in range(seeds)), "f" * 64)


def sampled_of(scores: list[float], *, documents: float, seed: int = 0) -> Sampled:
    """A row whose every score is that of its seeds, and moves by so much with the documents that only it has."""
    rng = np.random.default_rng(seed)
    width = len(uncertainty.COLUMNS)
    each = [
        Sampled(
            np.full(width, one), np.full(width, np.nan), (one + rng.normal(0, documents, (1000, 1))).repeat(width, 1)
        )
        for one in scores
    ]
    shared = each[0].samples - scores[0]
    each = [Sampled(one.scores, one.deviation, one.scores + shared) for one in each]
    return samples.over_seeds(each, key=f"{seed}")


def tail_of(rows: list[Row], sampled: dict[str, Sampled]) -> verdict.Finding:
    return verdict.find(rows, sampled, rule="as-trained")[-1]


def test_a_clear_lead_is_called_best() -> None:
    rows = [row_of("db"), row_of("bce")]
    sampled = {
        "db": sampled_of([0.50, 0.51, 0.49], documents=0.01),
        "bce": sampled_of([0.2, 0.21, 0.19], documents=0.01, seed=1),
    }
    found = tail_of(rows, sampled)
    assert (found.best.name, [row.name for row in found.below], found.close) == ("db", ["bce"], [])
    assert verdict.in_words(found, documents=3019) == "db is best, 50.0: it is above bce by more than chance."
    assert verdict.next_runs([found]) == []


def test_a_lead_that_seeds_would_settle_says_how_many() -> None:
    rows = [row_of("db"), row_of("bce")]
    sampled = {
        "db": sampled_of([0.40, 0.50, 0.60], documents=0.005),
        "bce": sampled_of([0.30, 0.40, 0.50], documents=0.005, seed=1),
    }
    found = tail_of(rows, sampled)
    assert found.seeds is not None
    assert 4 <= found.seeds <= 40
    words = verdict.in_words(found, documents=3019)
    assert f"about {found.seeds} seeds of each would settle ({found.seeds - 3} more than now)" in words
    (wanted,) = verdict.next_runs([found])
    assert {row.name for row in wanted[0]} == {"db", "bce"}
    query = verdict.launcher_query(*wanted)
    last = 2 + min(found.seeds - 3, verdict.MOST_LAUNCHED)
    assert query["seeds"] == f"3-{last}"
    assert sorted(query["losses"]) == ["bce", "db"]


def test_too_few_documents_are_said_to_be_too_few() -> None:
    rows = [row_of("db"), row_of("bce")]
    sampled = {
        "db": sampled_of([0.401, 0.40, 0.402], documents=0.1),
        "bce": sampled_of([0.39, 0.391, 0.392], documents=0.1, seed=1),
    }
    found = tail_of(rows, sampled)
    assert found.seeds is None
    assert found.documents_hide
    assert "63 test documents are too few to settle that with any number of seeds" in verdict.in_words(
        found, documents=63
    )
    assert verdict.next_runs([found]) == []


def test_a_lead_that_takes_too_many_seeds_is_not_said_to_be_hidden_by_the_documents() -> None:
    rows = [row_of("db"), row_of("bce")]
    sampled = {
        "db": sampled_of([0.30, 0.42, 0.51], documents=0.0001),
        "bce": sampled_of([0.29, 0.40, 0.51], documents=0.0001, seed=1),
    }
    found = tail_of(rows, sampled)
    assert found.seeds is None
    assert not found.documents_hide
    assert f"which even {verdict.MOST_SEEDS} seeds of each would not settle" in verdict.in_words(found, documents=63)


def test_rows_of_one_seed_conclude_nothing() -> None:
    rows = [row_of("db", 1), row_of("bce", 1)]
    sampled = {"db": sampled_of([0.9], documents=0.01), "bce": sampled_of([0.1], documents=0.01, seed=1)}
    found = tail_of(rows, sampled)
    assert not found.below
    assert "best" not in verdict.in_words(found, documents=3019)
    assert "over the test documents alone" in verdict.in_words(found, documents=3019)
    assert "none of these differences can be called real" in verdict.words_of_single_seeds(rows)
    (wanted,) = verdict.next_runs([found])
    assert ({row.name for row in wanted[0]}, wanted[1]) == ({"db", "bce"}, 2)
    assert verdict.launcher_query(*wanted)["seeds"] == "1-2"


def test_a_higher_row_of_one_seed_is_not_passed_over() -> None:
    rows = [row_of("db"), row_of("bce"), row_of("fl", 1)]
    sampled = {
        "db": sampled_of([0.50, 0.51, 0.49], documents=0.01),
        "bce": sampled_of([0.2, 0.21, 0.19], documents=0.01, seed=1),
        "fl": sampled_of([0.8], documents=0.01, seed=2),
    }
    found = tail_of(rows, sampled)
    assert found.best.name == "db"
    assert "A row of one seed scores higher: whether by luck is unknown." in verdict.in_words(found, documents=9)
    assert verdict.words_of_single_seeds(rows).startswith("fl has one seed: ")


def test_a_name_with_a_comma_stays_one_among_others() -> None:
    names = {"bce": "MiniLM db, all layers", "cb": "cb", "fl": "tfidf, hidden 64"}
    rows = [row_of("db"), *(replace(row_of(loss, 1), name=name) for loss, name in names.items())]
    said = verdict.words_of_single_seeds(rows)
    assert said.startswith("MiniLM db, all layers; cb and tfidf, hidden 64 have one seed each: ")
    assert verdict.words_of_single_seeds([rows[0], row_of("r-fl", 1), row_of("ntr-fl", 1)]).startswith(
        "r-fl and ntr-fl "
    )


@pytest.mark.parametrize("rule", ["as-trained", "quiet", RANKING])
def test_what_the_verdict_calls_best_is_bold_in_the_table(rule: str) -> None:
    runs = [
        make_run(loss, seed, quality=q) for loss, q in (("db", 2.5), ("bce", 1.0), ("fl", 1.2)) for seed in (0, 1, 2)
    ]
    compared = samples.compare_rows(tables.fold(runs), rule=rule)
    frame = tables.paper_table(
        compared.rows, compared.sampled, table=RANKING if rule == RANKING else 2, with_published=False, rule=rule
    ).set_index("name")
    for finding in verdict.find(compared.rows, compared.sampled, rule=rule):
        assert frame.loc[finding.best.name, f"{finding.column}_best"] == (not finding.close)


def test_nothing_is_said_of_a_single_row() -> None:
    row = row_of("db")
    assert verdict.find([row], {"db": sampled_of([0.5, 0.6], documents=0.1)}, rule="as-trained") == []
    assert verdict.next_runs([]) == []


def test_the_link_makes_runs_that_differ_from_those_there_are_by_their_seeds() -> None:
    def one(seed: int) -> Run:
        return make_run("db", seed, name=f"more-{seed}", hidden=64)

    rows = tables.fold([one(0), one(1)])
    query = verdict.launcher_query(rows, 3)
    assert query["set.model.hidden"] == "64"
    assert query["seeds"] == "2-4"
    plan = Plan(models=query["models"], losses=query["losses"], seeds=(2,), settings={"model.hidden": 64})
    (config,) = plan.configs()
    assert config.model_copy(update={"seed": 0, "data": rows[0].runs[0].config.data}) == rows[0].runs[0].config

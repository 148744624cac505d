"""Rows at one rule: what each rule counts, which runs it leaves out, and what a difference of rows is made of."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis import decisions, samples, tables
from core.analysis.samples import RANKING
from core.labels.groups import Borders
from core.metrics import label_sets, ranking, resampled_ranking, uncertainty
from core.runs import results
from core.runs.folder import Run
from core.runs.predictions import read_predictions
from core.runs.results import save_threshold_set
from core.system.errors import UserError
from tests.helpers.scored import BORDERS, COUNTS, make_run

APART = Borders(35, 8, unseen_apart=True)
RULES = [rule for rule in decisions.READINGS if rule != decisions.AS_TRAINED]


@pytest.fixture
def runs() -> list[Run]:
    return [make_run(loss, seed, quality=2.0) for loss in ("db", "bce") for seed in (0, 1, 2)]


@pytest.mark.parametrize("rule", decisions.READINGS)
def test_scores_at_a_rule_are_those_of_its_decisions(rule: str) -> None:
    run = make_run("db", quality=1.5)
    found = samples.sample(run, APART, rule)
    predicted = decisions.decide(run, rule).predicted
    expected = label_sets.score_groups(read_predictions(run).targets, predicted, COUNTS, APART)
    for column, score in zip(uncertainty.COLUMNS, found.scores, strict=True):
        group, _, name = column.partition("/")
        assert score == pytest.approx(expected[group][name])


def test_rankings_need_no_decision_and_are_the_same_at_any_threshold() -> None:
    run = make_run("db", quality=1.5)
    found = samples.sample(run, BORDERS, RANKING)
    stored = read_predictions(run)
    each = np.nan_to_num(ranking.average_precisions(stored.targets, stored.scores))
    assert found.scores[resampled_ranking.COLUMNS.index("all/ap")] == pytest.approx(each.mean())
    assert found.samples.shape == (uncertainty.FOLDS, len(resampled_ranking.COLUMNS))
    rows = tables.fold([run, make_run("bce", quality=1.0)])
    compared = samples.compare_rows(rows, rule=RANKING)
    frame = tables.paper_table(compared.rows, compared.sampled, table=RANKING, rule=RANKING).set_index("name")
    assert frame.loc["tfidf db", "total_ap"] == pytest.approx(100 * each.mean())
    assert set(frame["source"]) == {"run"}, "the paper prints no rankings"
    assert set(frame["rule"]) == {RANKING}


@pytest.mark.parametrize("rule", ["quiet", "scut-fbr", "top-k"])
def test_a_run_that_a_rule_cannot_serve_is_named_and_left_out(rule: str, runs: list[Run]) -> None:
    (runs[1].path / "validation.npz").unlink()
    for run in runs[3:]:
        (run.path / "validation.npz").write_bytes(b"PK")
    compared = samples.compare_rows(tables.fold(runs), rule=rule)
    (row,) = compared.rows
    assert (row.name, [run.id for run in row.runs]) == ("tfidf db", [runs[0].id, runs[2].id])
    assert compared.sampled["tfidf db"].seeds == 2
    assert len(compared.problems) == 4
    assert all(
        problem.startswith("Left out: ") and run.id in problem
        for problem, run in zip(
            sorted(compared.problems), sorted([runs[1], *runs[3:]], key=lambda run: run.id), strict=True
        )
    )
    assert not samples.compare_rows(tables.fold(runs), rule="same-count").problems, "it needs the test part alone"


def test_kept_thresholds_serve_the_runs_that_have_them(runs: list[Run]) -> None:
    save_threshold_set(runs[0], "mine", rule="by hand", values=0.9)
    compared = samples.compare_rows(tables.fold(runs), rule="kept:mine")
    assert [run.id for row in compared.rows for run in row.runs] == [runs[0].id]
    (problem,) = compared.problems
    assert "kept with them as 'mine'" in problem
    assert runs[1].id in problem
    at = decisions.decide(runs[0], "kept:mine").predicted
    targets = read_predictions(runs[0]).targets
    assert compared.sampled["tfidf db"].scores[0] == pytest.approx(label_sets.micro_f1(targets, at))


def test_thresholds_that_were_chosen_by_test_scores_say_so(runs: list[Run]) -> None:
    for run, part in zip(runs, ("test", "validation"), strict=False):
        save_threshold_set(run, "mine", rule="by hand", values=0.9, chosen_on=part)
    (unfair,) = [one for one in samples.compare_rows(tables.fold(runs), rule="kept:mine").problems if "too good" in one]
    assert runs[0].id in unfair
    assert runs[1].id not in unfair


def test_an_unknown_rule_is_refused_with_those_there_are(runs: list[Run]) -> None:
    with pytest.raises(UserError, match="quiet"):
        samples.compare_rows(tables.fold(runs), rule="queit")


def test_every_rule_has_words() -> None:
    said = {rule: samples.rule_in_words(rule) for rule in (*decisions.READINGS, RANKING, "kept:mine")}
    assert len(set(said.values())) == len(said)
    assert "reads the true labels" in said[decisions.SAME_COUNT]
    assert "'mine'" in said["kept:mine"]
    for table in tables.CAPTIONS:
        assert tables.caption(table, "quiet").endswith(f"{said['quiet']}.")
        assert tables.caption(table, "quiet", "bce").startswith("Difference from bce in points: ")


def test_a_difference_has_the_noise_of_seeds_and_of_documents(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    sampled = samples.sample_rows(rows, APART)
    gain = samples.difference(sampled["tfidf db"], sampled["tfidf bce"])
    alone = samples.difference(samples.sample(runs[0], APART), samples.sample(runs[3], APART))
    assert gain.tested.all()
    assert not alone.tested.any()
    assert not alone.significant.any()
    noisy = sampled["tfidf db"].deviation + sampled["tfidf bce"].deviation > 0.02
    assert noisy.any()
    means = np.mean([samples.sample(run, APART).samples for run in runs[:3]], axis=0) - np.mean(
        [samples.sample(run, APART).samples for run in runs[3:]], axis=0
    )
    documents = uncertainty.interval(gain.scores, means)
    assert (gain.high - gain.low > documents[1] - documents[0])[noisy].all(), "wider than over documents alone"


def test_the_same_runs_give_the_same_intervals(runs: list[Run]) -> None:
    rows = tables.fold(runs)
    one, two = (samples.sample_rows(rows), samples.sample_rows(tables.fold(reversed(runs))))
    for name in one:
        np.testing.assert_array_equal(one[name].samples, two[name].samples)
    fewer = samples.sample_rows([row for row in rows if row.name == "tfidf db"])
    np.testing.assert_array_equal(one["tfidf db"].samples, fewer["tfidf db"].samples)


def test_intervals_stay_within_what_is_possible() -> None:
    rows = tables.fold(
        [make_run("db", seed, quality=6.0) for seed in (0, 1)] + [make_run("bce", s, quality=0.2) for s in (0, 1)]
    )
    sampled = samples.sample_rows(rows, APART)
    for row in sampled.values():
        low, high = row.interval
        assert ((low >= 0) & (high <= 1))[~np.isnan(low)].all()
    gain = samples.difference(sampled["tfidf db"], sampled["tfidf bce"])
    assert (gain.low >= -1).all()
    assert (gain.high <= 1).all()


def test_hit_labels_are_counted_in_each_group() -> None:
    run = make_run("db")
    targets = read_predictions(run).targets
    predicted = targets.multiply(np.arange(10) < 2).tocsr()
    found = uncertainty.Resamples(targets, uncertainty.resample(targets.shape[0], folds=3))
    _, _, hits, labels = found.score(predicted, COUNTS, Borders(35, 8))
    by_column = dict(zip(uncertainty.COLUMNS, zip(hits, labels, strict=True), strict=True))
    there = np.asarray(targets.sum(axis=0)).ravel() > 0
    assert by_column["all/macro_f1"] == (2, there.sum())
    assert by_column["tail/micro_f1"] == (0, there[COUNTS <= 8].sum())
    assert by_column["head/micro_f1"][0] == 2


def test_the_metrics_of_a_run_are_what_its_samples_score(runs: list[Run]) -> None:
    found = samples.sample(runs[0], Borders(**results.read_results(runs[0])["borders"]))
    np.testing.assert_allclose(found.scores, samples.kept_scores(runs[0]).scores)

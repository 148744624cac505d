"""Combined runs: made from scores alone, the same question once, and every wrong member refused by its name."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis import run_rows, samples, tables, verdict
from core.analysis.decisions import decide
from core.analysis.run_names import name_run
from core.config.parse import parse
from core.config.schema import RunConfig
from core.jobs import estimates, launch
from core.metrics import averages, thresholds
from core.runs import combine as combining
from core.runs import export_model, folder, journal, plan, predictions, results, scorer, share
from core.runs.combine import combine, read_weights
from core.runs.folder import Run, delete_run, get_run, list_folders, run_path
from core.runs.layout import runs_dir
from core.runs.predictions import read_predictions, write_predictions
from core.system.errors import UserError
from core.system.files import read_json, write_json
from tests.helpers.scored import make_run


@pytest.fixture
def members() -> list[Run]:
    return [make_run("db", seed=0), make_run("bce", seed=1)]


def ids(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]


def test_a_combined_run_is_a_run_with_the_mean_logits_of_its_members(members: list[Run]) -> None:
    run = combine(ids(members))
    assert run.state == "finished"
    assert run.id.startswith("reuters-combined-")
    assert run.config.combined is not None
    assert run.config.combined.members == tuple(sorted(ids(members)))
    assert run.config.combined.weights == (0.5, 0.5)
    scored, first = results.read_results(run), results.read_results(members[0])
    for key in ("labels", "counts", "borders", "fingerprint"):
        assert scored[key] == first[key]
    for part in ("validation", "test"):
        one, two = (read_predictions(member, part) for member in members)
        found = read_predictions(run, part)
        mean = (averages.to_logits(one.scores) + averages.to_logits(two.scores)) / 2
        np.testing.assert_array_equal(found.scores, averages.to_probabilities(mean).astype(np.float16))
        assert found.ids == one.ids
        np.testing.assert_array_equal(found.targets.toarray(), one.targets.toarray())
    validation = read_predictions(run, "validation")
    fitted = thresholds.fit(validation.targets, validation.scores, rule="quiet")
    assert scored["threshold"] == thresholds.values_of(fitted)
    assert scored["threshold_rule"] == "quiet"
    np.testing.assert_array_equal(decide(run).predicted.toarray(), decide(run, "quiet").predicted.toarray())


def test_order_changes_nothing_and_nothing_is_made_twice(members: list[Run]) -> None:
    one = combine(ids(members))
    written = (one.path / "metrics.json").stat().st_mtime_ns
    assert combine(ids(members)[::-1]).id == one.id
    assert combine(ids(members), weights=[0.5, 0.5], rule="exact").id != one.id
    assert (one.path / "metrics.json").stat().st_mtime_ns == written
    two = combine(ids(members), weights=[0.7, 0.3])
    three = combine(ids(members)[::-1], weights=[0.3, 0.7])
    assert two.id == three.id != one.id
    assert two.config.combined is not None
    given = dict(zip(two.config.combined.members, two.config.combined.weights, strict=True))
    assert given == {members[0].id: 0.7, members[1].id: 0.3}


def test_the_command_of_a_combined_run_makes_it_again(members: list[Run]) -> None:
    for weights in ("equal", "validation", [0.9, 0.1]):
        run = combine(ids(members), weights=weights, rule="exact")
        words = plan.command_line(run.config).split()
        assert words[:4] == ["python", "-m", "core", "combine"]
        named, chosen, rule = words[4:6], words[words.index("--weights") + 1], words[words.index("--rule") + 1]
        delete_run(run.id)
        assert combine(named, weights=read_weights(chosen), rule=rule).id == run.id
        assert results.read_metrics(run)["command"] == plan.command_line(run.config)


def test_weights_chosen_on_validation_do_not_see_the_test_part(members: list[Run]) -> None:
    before = combine(ids(members), weights="validation").config.combined
    for run in members:
        kept = read_predictions(run, "test")
        write_predictions(run.path, dataclasses.replace(kept, scores=kept.scores[:, ::-1].copy()))
    assert combine(ids(members), weights="validation").config.combined == before


def test_an_svm_is_standardised_and_the_result_has_probabilities() -> None:
    svm, other = make_run(None), make_run("db")
    for part in ("validation", "test"):
        kept = read_predictions(svm, part)
        margins = (3 * kept.scores.astype(np.float64) - 2).astype(np.float16)
        margins[:, 9] = -1000  # a label that no training document has
        write_predictions(svm.path, dataclasses.replace(kept, scores=margins), part)
    run = combine([svm.id, other.id])
    scores = read_predictions(run).scores
    assert scores.min() >= 0
    assert scores.max() <= 1
    stored = read_predictions(svm, "validation").scores
    unit = averages.measure_margins(stored)
    (described,) = [one for one in results.read_metrics(run)["members"] if one["run"] == svm.id]
    assert (described["mean"], described["deviation"]) == (unit.mean, unit.deviation)
    assert abs(unit.mean) < 3


def thin(run: Run, most: int) -> None:
    """Leaves a run the highest scores of each document."""
    for part in ("validation", "test"):
        kept = read_predictions(run, part)
        best = np.sort(np.argsort(-kept.scores.astype(np.float64), axis=1)[:, :most], axis=1)
        rows = np.repeat(np.arange(len(kept.rows)), most)
        values = kept.scores[rows, best.ravel()].astype(np.float32)
        scores = sp.csr_array((values, (rows, best.ravel())), shape=kept.scores.shape)
        write_predictions(run.path, dataclasses.replace(kept, scores=scores), part)


def test_the_union_of_stored_scores_is_kept_and_no_true_label_is_looked_at(members: list[Run]) -> None:
    for run in members:
        thin(run, 3)
    one = read_predictions(combine(ids(members))).scores
    assert isinstance(one, sp.csr_array)
    stored = [read_predictions(run).scores.toarray() > 0 for run in members]
    np.testing.assert_array_equal(one.toarray() > 0, stored[0] | stored[1])
    for run in members:
        kept = read_predictions(run)
        turned = sp.csr_array(kept.targets.toarray()[:, ::-1])
        write_predictions(run.path, dataclasses.replace(kept, targets=turned))
    delete_run(combine(ids(members)).id)
    np.testing.assert_array_equal(read_predictions(combine(ids(members))).scores.toarray(), one.toarray())


# Bad input


def unlink_validation(run: Run) -> None:
    (run.path / "validation.npz").unlink()


def cut_validation(run: Run) -> None:
    file = run.path / "validation.npz"
    file.write_bytes(file.read_bytes()[:200])


def change_metrics(**changes: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        write_json(run.path / "metrics.json", read_json(run.path / "metrics.json") | changes)

    return change


def change_config(section: str, **changes: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        config = read_json(run.path / "config.json")
        write_json(run.path / "config.json", config | {section: config[section] | changes})

    return change


def other_documents(part: str) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        kept = read_predictions(run, part)
        write_predictions(run.path, dataclasses.replace(kept, ids=[f"x{one}" for one in kept.ids]), part)

    return change


def other_targets(run: Run) -> None:
    kept = read_predictions(run, "test")
    write_predictions(run.path, dataclasses.replace(kept, targets=sp.csr_array(~kept.targets.toarray())))


def no_documents(run: Run) -> None:
    kept = read_predictions(run, "validation")
    none = dataclasses.replace(kept, ids=[], rows=kept.rows[:0], targets=kept.targets[:0], scores=kept.scores[:0])
    for one in list_folders(published=False):
        predictions.write_predictions(one.path, none, "validation")


def still_running(run: Run) -> None:
    write_json(run.path / "status.json", {"state": "stopped"})


WRONG: dict[str, tuple[Callable[[Run], None], str]] = {
    "split": (change_config("data", split="original"), "split original"),
    "data": (change_config("data", name="papers"), "is of papers"),
    "fingerprint": (change_metrics(fingerprint="0" * 64), "has changed between"),
    "labels": (change_metrics(labels=[f"name {i}" for i in range(10)]), "other labels"),
    "validation documents": (other_documents("validation"), "other validation documents"),
    "test documents": (other_documents("test"), "other test documents"),
    "targets": (other_targets, "test documents"),
    "missing validation": (unlink_validation, "validation.npz is missing"),
    "damaged validation": (cut_validation, "validation.npz is damaged"),
    "unfinished": (still_running, "it is stopped"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_member_that_does_not_fit_is_refused_by_its_name(kind: str, members: list[Run]) -> None:
    damage, words = WRONG[kind]
    damage(members[1])
    before = sorted(path.name for path in runs_dir().iterdir())
    with pytest.raises(UserError, match=words) as refused:
        combine(ids(members))
    assert members[1].id in str(refused.value)
    assert sorted(path.name for path in runs_dir().iterdir()) == before


def test_runs_without_validation_documents_cannot_be_combined(members: list[Run]) -> None:
    no_documents(members[0])
    with pytest.raises(UserError, match="no validation documents"):
        combine(ids(members))


def test_runs_that_are_too_few_or_twice_or_combined_or_not_there_are_refused(members: list[Run]) -> None:
    one, two = ids(members)
    made = combine([one, two])
    for runs, words in (
        ([one], "2 to 20 members: 1 named"),
        ([], "2 to 20 members: 0 named"),
        ([f"a-s{seed}" for seed in range(21)], "2 to 20 members: 21 named"),
        ([one, two, one], "named twice"),
        ([made.id, one], "is a combined run: name its members"),
        ([one, "no-such-run"], "no run 'no-such-run'"),
        ([one, "../../etc"], "is no run id"),
    ):
        with pytest.raises(UserError, match=words):
            combine(runs)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5], "1 weights for 2 runs"),
        ([0.5, 0.25, 0.25], "3 weights for 2 runs"),
        ([0.5, 0.6], "sum to 1.1"),
        ([1.5, -0.5], "above 0"),
        ([1.0, 0.0], "below 1"),
        ([float("nan"), 0.5], "A weight is nan"),
        ([float("inf"), 0.5], "A weight is inf"),
        ("best", "no weights named 'best'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: object, words: str, members: list[Run]) -> None:
    with pytest.raises(UserError, match=words):
        combine(ids(members), weights=weights)  # type: ignore[arg-type]
    assert len(list_folders(published=False)) == 2


def test_rules_are_those_of_runs_without_auto(members: list[Run]) -> None:
    for rule in ("auto", "pcut", "nonsense"):
        with pytest.raises(UserError, match="no rule named"):
            combine(ids(members), rule=rule)
    for rule in combining.RULES:
        assert results.read_results(combine(ids(members), rule=rule))["threshold_rule"] == rule


@pytest.mark.parametrize("text", ["half,half", "0.5;0.5", "0.5,", ""])
def test_weights_of_an_option_are_named_or_numbers(text: str) -> None:
    with pytest.raises(UserError):
        read_weights(text)
    assert read_weights("validation") == "validation"
    with pytest.raises(UserError, match="There are 1 weights for 2 runs: give one for each"):
        combine(["a", "b"], weights=read_weights("0.7"))
    assert read_weights("0.25, 0.75") == [0.25, 0.75]


@pytest.mark.parametrize(
    "combined",
    [
        {"members": ["a", "a"], "weights": [0.5, 0.5]},
        {"members": ["a", "../b"], "weights": [0.5, 0.5]},
        {"members": ["a"], "weights": [1.0]},
        {"members": ["a", "b"], "weights": [0.5]},
        {"members": ["a", "b"], "weights": [0.5, 0.75]},
        {"members": ["a", "b"], "weights": [1.5, -0.5]},
        None,
    ],
)
def test_a_config_with_wrong_members_is_damaged(combined: object, members: list[Run]) -> None:
    run = combine(ids(members))
    write_json(run.path / "config.json", read_json(run.path / "config.json") | {"combined": combined})
    assert isinstance(folder.get_folder(run.id), folder.Damaged)
    with pytest.raises(UserError, match=r"config\.json"):
        combine(ids(members))


def test_a_trained_run_takes_no_members_and_its_id_does_not_know_of_them() -> None:
    values = {"model": {"name": "svm"}, "combined": {"members": ["a", "b"], "weights": [0.5, 0.5]}}
    with pytest.raises(UserError, match="made of finished runs"):
        parse(RunConfig, values)
    config = parse(RunConfig, {"model": {"name": "svm"}})
    assert "combined" not in config.model_dump()


def test_nothing_half_written_stays(members: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(combining.journal, "append_event", fail)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        combine(ids(members))
    assert {path.name for path in runs_dir().iterdir()} == set(ids(members))


# Like any other run


def test_a_combined_run_is_never_trained(members: list[Run]) -> None:
    run = combine(ids(members))
    for action in (
        lambda: launch.resume(run.id),
        lambda: launch.resume(run.id, anew=True),
        lambda: launch.submit(run.config),
        lambda: plan.read(json.dumps(run.config.model_dump()), where="plan.json"),
        lambda: plan.make_config(data="reuters", model="combined", loss=None, seed=0),
        lambda: plan.grid(data="reuters", models=["combined"], losses=[], seeds=[0]),
        lambda: export_model.export(run, Path("nowhere")),
    ):
        with pytest.raises(UserError, match="never trained"):
            action()
    assert get_run(run.id).state == "finished"
    assert estimates.cost(run) is None


def test_it_travels_like_any_other_run(members: list[Run], tmp_path: Path) -> None:
    run = combine(ids(members), name="both")
    assert run.about.name == "both"
    scores = read_predictions(run).scores
    zipped = tmp_path / "run.zip"
    share.export(run, zipped)
    share.publish(run)
    delete_run(run.id)
    assert get_run(run.id).published
    again = share.import_run(zipped)
    assert again.config == run.config
    np.testing.assert_array_equal(read_predictions(again).scores, scores)
    assert run_rows.run_row(again)["test"] == results.read_metrics(again)["test"]


def test_it_is_named_by_its_members_and_stands_on_its_own_when_they_go(members: list[Run]) -> None:
    third = make_run("bce", seed=2)
    run, weighed = combine(ids(members)), combine(ids(members), weights=[0.7, 0.3])
    many = combine([*ids(members), third.id])
    assert plan.name_members(run.config) == "tfidf-bce-s1 + tfidf-db-s0"
    assert plan.name_members(weighed.config) == "0.3 tfidf-bce-s1 + 0.7 tfidf-db-s0"
    assert plan.name_members(many.config) == "2 tfidf-bce + tfidf-db-s0"
    assert name_run(run) == "combined: tfidf-bce-s1 + tfidf-db-s0"
    rows = tables.fold([run, weighed, many, *members])
    assert {row.name for row in rows if row.method == "combined"} == {
        f"combined: {plan.name_members(one.config)}" for one in (run, weighed, many)
    }
    # What several members weigh together is no number of them.
    apart = combine(ids([*members, third]), weights=[0.6, 0.1, 0.3])
    assert plan.name_members(apart.config) == "0.4 (2 tfidf-bce) + 0.6 tfidf-db-s0"
    # Without its members its scores stand, and what needs the members says which is missing.
    delete_run(members[0].id)
    assert samples.sample_rows(tables.fold([get_run(run.id)]))
    assert any(members[0].id in words for words in scorer.find_missing(run))
    with pytest.raises(UserError, match=f"{members[0].id} is no longer there.*Its own scores stand"):
        scorer.load(run)


def test_the_seeds_of_rows_are_compared_without_combined_ones(members: list[Run]) -> None:
    run = combine(ids(members))
    assert verdict.seeds_apart(tables.fold([run, members[1]])) == ""


def test_what_happened_and_when_stands_in_its_folder(members: list[Run]) -> None:
    run = combine(ids(members), user="somebody")
    assert run.user == "somebody"
    assert [event["what"] for event in journal.read_events(run.path)] == ["combined"]
    assert run.submitted is not None
    assert abs(run.submitted - time.time()) < 60
    assert run.path == run_path(run.id)


def test_a_run_that_another_process_made_meanwhile_is_returned(
    members: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = combine(ids(members))
    kept = made.path.with_name("kept")
    made.path.rename(kept)
    real = combining.write_outcome

    def meanwhile(*args: object, **more: object) -> object:
        kept.rename(made.path)
        return real(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(combining, "write_outcome", meanwhile)
    written = read_json(kept / "status.json")
    assert combine(ids(members)).id == made.id
    assert read_json(made.path / "status.json") == written
    assert {path.name for path in runs_dir().iterdir()} == {made.id, *ids(members)}

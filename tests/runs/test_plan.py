"""Plans: grids as files."""

import json
import shlex

import pytest

from core.config.schema import DataConfig, RunConfig
from core.runs import journal, plan, results
from core.runs.folder import Run, list_runs, run_id
from core.runs.plan import Plan, of_run, read
from core.runs.presets import PRESETS
from core.system.errors import UserError


def test_a_plan_comes_back_from_its_file():
    made = Plan(
        models=("svm", "tfidf"), losses=("paper",), seeds=(0, 3), settings={"train.epochs": 3, "loss.mu": "auto"}
    )
    assert read(made.to_json(), where="plan.json") == made
    runs = made.configs()
    assert len(runs) == 2 + 8 * 2
    assert {run.train.epochs for run in runs if run.loss} == {3}
    assert {run.train.epochs for run in runs if not run.loss} == {20}, "the SVM reads no epochs"


def test_a_run_is_the_plan_of_itself_alone():
    plan = Plan(
        data={"name": "synthetic", "synthetic": {"documents": 300}},
        models=("transformer",),
        losses=("db",),
        seeds=(4,),
        settings={"loss.mu": 0.3, "model.max_length": 64, "train.epochs": 2},
    )
    (run,) = plan.configs()
    assert run.data.synthetic.documents == 300
    assert of_run(run) == plan
    assert read(run.model_dump_json(), where="config.json") == plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "plan.json: not JSON at line 1"),
        ("[1]", "plan.json: expected an object"),
        ('{"modells": ["svm"]}', "Did you mean 'models'?"),
        ('{"models": ["smv"]}', "Did you mean 'svm'?"),
        ('{"losses": ["dbb"]}', "Did you mean 'db'?"),
        ('{"settings": {"train.epoch": 3}}', "Did you mean 'train.epochs'?"),
        ('{"settings": {"data.name": "x"}}', "no setting named 'data.name'"),
        ('{"settings": {"train.epochs": -3}}', "train.epochs"),
        ('{"settings": {"train.epochs": [3]}}', "settings.train.epochs"),
        ('{"seeds": ["x"]}', "seeds.0"),
        ('{"models": []}', "nothing to run"),
        (json.dumps({"seeds": list(range(2000))}), "2,000 runs"),
        (json.dumps({"model": {"name": "tfidf"}}), "needs a loss"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_sentence(text, words):
    with pytest.raises(UserError, match=r"^plan\.json: ") as error:
        read(text, where="plan.json")
    assert words in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_plan_that_runs(name):
    about, values = PRESETS[name]
    runs = Plan(data={"name": "synthetic"}, **values).configs()
    assert about.endswith(".")
    assert all(run.data.name == "synthetic" for run in runs)
    assert len(runs) == len(set(runs))


def test_a_new_run_decides_by_quiet_and_has_another_id_than_an_earlier_one_of_the_same_settings() -> None:
    new = plan.make_config(data="synthetic", model="tfidf", loss="db", seed=0)
    earlier = plan.make_config(data="synthetic", model="tfidf", loss="db", seed=0, changes=["train.threshold=auto"])
    assert (new.threshold_rule(), earlier.threshold_rule()) == ("quiet", "exact")
    assert run_id(new, "f") != run_id(earlier, "f")
    assert plan.command_line(new) == "python -m core train --data synthetic --model tfidf --loss db --seed 0"
    assert plan.command_line(earlier).endswith("--set train.threshold=auto")
    svm = plan.make_config(data="synthetic", model="svm", loss=None, seed=0)
    assert svm.threshold_rule() == "quiet-margins"
    assert plan.make_config(data="synthetic", model="tfidf", loss="zlpr", seed=0).threshold_rule() == "fixed"
    paper = plan.Plan(data=DataConfig(name="synthetic"), losses=("db",), settings={"train.threshold": "paper"})
    assert [config.threshold_rule() for config in paper.configs()] == ["paper"]


@pytest.mark.parametrize("run", [run for run in list_runs() if run.published], ids=lambda run: run.id)
def test_the_settings_of_a_published_run_have_its_id(run: Run) -> None:
    assert run_id(run.config, results.read_results(run)["fingerprint"]) == run.id
    made = plan.command_line(run.config)
    stored = results.read_results(run)["command"]
    assert plan.command_again(run.config, stored) == made
    assert journal.read_status(run.path)["command"] == stored
    # What is stored leaves out the defaults of then, which are others of a transformer since.
    assert stored == made or run.config.model.name == "transformer"


def test_the_command_of_another_program_stays() -> None:
    config = plan.make_config(data="synthetic", model="tfidf", loss="db", seed=0)
    assert plan.command_again(config, "other program") == "other program"


@pytest.mark.parametrize(
    ("data", "loss", "expected"),
    [
        ("reuters", "db", ("reuters", None)),
        ("reuters-nltk", "r-fl", ("reuters", None)),
        ("reuters", "bce", ("reuters", None)),
        ("reuters-of-mine", "db", ("plain", "auto")),
        ("synthetic", "db-0fl", ("plain", "auto")),
        ("synthetic", "cb", ("plain", None)),
        ("pubmed", "db", ("plain", "auto")),
    ],
)
def test_a_loss_starts_from_the_constants_that_suit_its_data_set(data, loss, expected):
    chosen = plan.choose_constants(data, loss)
    assert (chosen["setting"], chosen.get("mu")) == expected
    if data in ("reuters", "synthetic"):
        config = plan.make_config(data=data, model="tfidf", loss=loss, seed=0)
        assert (config.loss.setting, config.loss.mu) == expected


@pytest.mark.parametrize("data", ["synthetic", "reuters"])
@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["loss.setting=reuters"],
        ["loss.setting=pubmed"],
        ["loss.setting=plain"],
        ["loss.setting=plain", "loss.mu=auto"],
        ["loss.mu=0.5"],
        ["loss.mu=auto"],
        ["loss.setting=reuters", "loss.mu=auto"],
        ["loss.gamma=1"],
    ],
)
def test_a_command_and_a_plan_make_the_config_again_whatever_its_setting(data, changes):
    config = plan.make_config(data=data, model="tfidf", loss="db", seed=0, changes=changes)
    words = shlex.split(plan.command_line(config))
    said = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert plan.make_config(data=data, model="tfidf", loss="db", seed=0, changes=said) == config
    assert read(of_run(config).to_json(), where="plan.json").configs() == [config]
    if any(change.startswith("loss.setting") for change in changes):
        assert f"loss.setting={config.loss.setting}" in changes, "a setting that is named is kept"


def test_a_config_of_an_earlier_version_keeps_its_setting():
    old = RunConfig.model_validate(
        {"data": {"name": "synthetic"}, "model": {"name": "tfidf"}, "loss": {"name": "db"}, "train": {}}
    )
    assert (old.loss.setting, old.loss.mu) == ("reuters", None)
    assert ("loss.setting", "reuters") in plan.changes_of(old)
    assert [one.loss for one in of_run(old).configs()] == [old.loss]

"""Plans: grids as files."""

import json

import pytest

from core.runs.plan import Plan, of_run, read
from core.runs.presets import PRESETS
from core.system.errors import UserError


def test_a_plan_comes_back_from_its_file():
    plan = Plan(
        models=("svm", "tfidf"), losses=("paper",), seeds=(0, 3), settings={"train.epochs": 3, "loss.mu": "auto"}
    )
    assert read(plan.to_json(), where="plan.json") == plan
    runs = plan.configs()
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

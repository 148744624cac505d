import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.defaults import LOSS_NAMES
from core.config.parse import differences, parse, setting_names, walk, with_changes
from core.config.schema import LossConfig, RunConfig, TrainConfig
from core.system import access
from core.system.access import check_writable, read_only
from core.system.errors import UserError, choose

CONFIG = RunConfig(loss=LossConfig(name="db"))


@given(name=st.sampled_from(LOSS_NAMES), seed=st.integers(0, 2**31 - 1), epochs=st.integers(1, 10_000))
def test_a_config_survives_json_unchanged(name, seed, epochs):
    config = RunConfig(loss=LossConfig(name=name), seed=seed, train=TrainConfig(epochs=epochs))
    assert parse(RunConfig, json.dumps(config.model_dump())) == config


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UserError, match=r"There is no setting 'train\.epoch'.*'train\.epochs'"):
        parse(RunConfig, {"loss": {"name": "db"}, "train": {"epoch": 3}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epochs", "write it as key=value"),
        ("train.epoch=3", "train.epochs"),
        ("optimiser.lr=3", "there is no setting 'optimiser.lr'"),
        ("train.epochs=0", "'train.epochs' is 0"),
        ("train.epochs=many", "'train.epochs' is 'many'"),
        ("train.learning_rate=NaN", "'train.learning_rate'"),
        ("loss.name=dbb", "Did you mean 'db'"),
        ("seed=-1", "'seed' is -1"),
        ("loss.mu=1.5", "'loss.mu'"),
        ("loss.cb_beta=0.9", "Loss 'db' does not read loss.cb_beta; it reads loss.scale"),
    ],
)
def test_a_wrong_change_is_one_sentence_that_names_it(change, said):
    with pytest.raises(UserError) as caught:
        with_changes(CONFIG, [change])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_changes_reach_nested_settings_and_leave_the_rest():
    changed = with_changes(CONFIG, ["train.epochs=3", "loss.mu=auto", "data.synthetic.labels=7"])
    assert (changed.train.epochs, changed.loss.mu, changed.data.synthetic.labels) == (3, "auto", 7)
    assert changed.loss.overrides() == {"mu": "auto"}
    assert changed.model == CONFIG.model


def test_the_loss_must_fit_the_model():
    with pytest.raises(UserError, match="loss of its own"):
        parse(RunConfig, {"model": {"name": "svm"}, "loss": {"name": "db"}})
    with pytest.raises(UserError, match="needs a loss"):
        parse(RunConfig, {"model": {"name": "tfidf"}})


@pytest.mark.parametrize("text", ["{", "[1, 2]", '"db"'])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(UserError, match=r"config\.json"):
        parse(RunConfig, text, where="config.json")


@pytest.mark.parametrize(
    ("named", "who", "may"),
    [
        ("", None, True),
        ("ann@x.org", None, True),
        ("", "ann@x.org", False),
        ("ann@x.org, *@y.org", "Ann@X.org", True),
        ("ann@x.org, *@y.org", "eve@y.org", True),
        ("ann@x.org, *@y.org", "eve@y.org.z", False),
        ("ann@x.org, *@y.org", "joann@x.org", False),
        ("*", "eve@z.org", True),
        ("*", "", False),
    ],
)
def test_only_those_named_may_act_and_in_a_shell_everybody(named, who, may, monkeypatch):
    monkeypatch.setattr(access, "_find_person", lambda: who)
    monkeypatch.setenv("TAILSCOPE_LAUNCHERS", named)
    assert read_only() is not may
    if not may:
        with pytest.raises(UserError, match="You may look"):
            check_writable()
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    assert read_only(), "it goes before any list"


def test_every_setting_can_be_named():
    names = setting_names(RunConfig)
    assert {"data.name", "data.synthetic.labels", "loss.mu", "train.epochs", "seed"} <= set(names)


def test_settings_are_walked_by_dotted_names():
    config = RunConfig(loss=LossConfig(name="db", mu="auto"))
    values = dict(walk(config))
    assert values == dict(walk(config.model_dump()))
    assert (values["data.synthetic.labels"], values["loss.mu"], values["seed"]) == (100, "auto", 0)
    assert list(values) == setting_names(RunConfig)
    assert dict(walk({"a": None, "b": {}, "c": {"d": (1, 2)}})) == {"a": None, "c.d": (1, 2)}
    assert "loss" in dict(walk(RunConfig(model={"name": "svm"})))


def test_differences_name_what_changed():
    one, other = CONFIG, RunConfig(loss=LossConfig(name="db", mu=0.5), seed=3)
    assert differences(one, one) == []
    assert differences(one, other) == [("loss.mu", None, 0.5), ("seed", 0, 3)]
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}}) == [("a.b", 1, 3), ("c", 2, None)]


def test_choose_lists_the_names():
    with pytest.raises(UserError, match=r"no loss named 'cbb'\. Did you mean 'cb'"):
        choose("loss", "cbb", LOSS_NAMES)

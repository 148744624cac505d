"""One entry is enough: a loss, a constant, a model and a threshold rule more turn up wherever tables are read.

They are written into a copy of the source, as somebody who adds them would.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.config.defaults import (
    AUTO_RULES,
    LOSS_CONSTANTS,
    LOSS_NAMES,
    MODELS,
    PAPER_LOSSES,
    RULES_IN_RUNS,
    SETTINGS,
    THRESHOLD_RULES,
    USUAL_RULES,
)
from core.config.schema import LossConfig, ModelConfig, TrainConfig
from core.losses import CONSTANTS, LOSSES, constants, others
from core.metrics import quiet, thresholds
from core.system.places import ROOT

ENTRIES = {
    "CONSTANTS: dict[str, Constant] = {": r"""
    "steep": Constant(r"\sigma", "slope", "How steep it is.", ABOVE_0, search=(1.0, 3.0)),
""",
    "LOSSES: dict[str, Loss] = {": """
    "square": Loss(
        "Squared error",
        "others",
        "Scores are pulled to 0 and 1.",
        source="Brier, 1950",
        decision="logit > 0",
        function="square",
        own={"steep": 2.0},
    ),
""",
    "MODELS: dict[str, Model] = {": """
    "tiny": Model("TF-IDF, but small", reads="words", settings=("min_df",), model={"min_df": 3}, train={"epochs": 7}),
""",
    "THRESHOLD_RULES: dict[str, ThresholdRule] = {": """
    "half-best": ThresholdRule(
        "half the highest score", function="fit_half_best", in_runs=True, title="half of the best", margins="zero"
    ),
""",
}
FUNCTIONS = {
    "def asl(": """

def square(z, positive, *, steep):
    return (torch.sigmoid(steep * z) - positive.to(z.dtype)) ** 2
""",
    "def fit_exact(": """

def fit_half_best(targets, scores):
    return scores.max() / 2
""",
}
SCRIPT = r"""
import json, sys
from core.config.parse import parse, with_changes
from core.config.schema import RunConfig, TrainConfig
from core.system.errors import UserError

assert "torch" not in sys.modules, "settings need no torch"


def changed(*changes, model="tfidf", loss="square"):
    try:
        base = parse(RunConfig, {"model": {"name": model}, "loss": loss and {"name": loss}})
        return with_changes(base, changes).model_dump()
    except UserError as error:
        return str(error)


import numpy as np
import scipy.sparse as sp
import torch
from core.analysis import loss_words, what_if
from core.analysis.loss_effects import Choice, curve_frame
from core.figures import looks
from core.figures import losses as figures
from core.jobs import search
from core.metrics import thresholds
from core.runs import plan
from core.losses import build_loss, constants


class Middle:
    def suggest_float(self, name, low, high, log=False):
        return (low + high) / 2


choice = Choice("square", "square")
scores, targets = np.array([[0.8, 0.2]]), sp.csr_array([[True, False]])
found = {
    "set": changed("loss.steep=3")["loss"]["steep"],
    "refused": [changed("loss.steep=0"), changed("loss.gamma=1"), changed(loss="squar"), changed(model="tinny")],
    "unread": [changed("loss.steep=1", loss="db"), changed("model.hidden=3", model="tiny")],
    "built": build_loss("square", [3, 1], 10)(torch.zeros(1, 2), torch.tensor([[1, 0]])).item(),
    "constants": constants("square", [3, 1], 10, steep=4),
    "searched": search.suggest(Middle(), parse(RunConfig, changed())).loss.steep,
    "decided": parse(RunConfig, changed()).threshold_rule(),
    "runs": len(plan.Plan(models=("tiny", "tfidf"), losses=("square", "db")).configs()),
    "command": plan.command_line(parse(RunConfig, changed("loss.steep=3", model="tiny"))),
    "words": [loss_words.title_of("square"), loss_words.origin("square")],
    "formula": loss_words.formula("square", {"scale": 1.0, "steep": 2.0}, 10),
    "colour": looks.colour_of("square"),
    "legend": json.dumps(figures.legend([choice]).to_dict()),
    "curve": len(curve_frame([choice], np.array([3, 1]), 10, 0, beside=False)),
    "tiny": [changed(model="tiny")[section][key] for section, key in (("model", "min_df"), ("train", "epochs"))],
    "rule": changed("train.threshold=half-best")["train"]["threshold"],
    "rules": changed("train.threshold=x"),
    "help of rules": TrainConfig.model_fields["threshold"].description,
    "fitted": thresholds.fit(targets, scores, rule="half-best"),
    "on the page": list(what_if.RULES),
}

from streamlit.testing.v1 import AppTest

for name, query in (
    ("launcher", {"losses": "square", "models": "tiny"}),
    ("loss_weights", {"compared": "square"}),
):
    page = AppTest.from_file(f"pages/{name}.py", default_timeout=300)
    for key, value in {"data": "synthetic", "synthetic_documents": "200", "synthetic_labels": "12", **query}.items():
        page.query_params[key] = value
    page.run()
    found[name] = {
        "wrong": [one.value for one in [*page.error, *page.exception]],
        "offered": [
            getattr(one, "content", one)
            for kind in ("button_group", "multiselect")
            for group in page.get(kind)
            for one in group.options
        ],
        "choices": [option for box in page.selectbox for option in box.options],
        "numbers": [one.label for one in page.number_input],
        "said": " ".join(text for one in [*page.markdown, *page.caption] for text in (one.value, one.proto.help)),
    }
print(json.dumps(found))
"""


def insert(folder: Path, place: str, text: str, *, before: bool = False) -> None:
    """Writes text into the one file of a folder that has this place, behind it or before it."""
    (file,) = [path for path in folder.rglob("*.py") if f"\n{place}" in path.read_text("utf-8")]
    both = f"\n{text.strip()}\n\n\n{place}" if before else f"\n{place}{text.rstrip()}"
    file.write_text(file.read_text("utf-8").replace(f"\n{place}", both), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source with one entry more in each table, and the functions that two of them name."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("core", "pages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", folder)
    for place, text in ENTRIES.items():
        insert(folder / "core", place, text)
    for place, text in FUNCTIONS.items():
        insert(folder / "core", place, text, before=True)
    return folder


def run(copy: Path, *command: str) -> str:
    """What Python prints in the copy."""
    away = {"PYTHONPATH": str(copy), "TAILSCOPE_CACHE": str(copy / "cache"), "TAILSCOPE_DATA": str(copy / "data")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, **away, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def found(copy: Path) -> dict[str, Any]:
    """What the copy says of the new entries."""
    result: dict[str, Any] = json.loads(run(copy, "-c", SCRIPT).splitlines()[-1])
    return result


@pytest.mark.slow
def test_a_new_loss_is_a_setting_with_the_range_of_its_constant(found: dict[str, Any]) -> None:
    assert found["set"] == 3
    steep, gamma, name, _ = found["refused"]
    assert "'loss.steep' is 0: input should be greater than 0" in steep
    assert "Loss 'square' does not read loss.gamma; it reads loss.scale, loss.steep" in gamma
    assert "Did you mean 'square'" in name
    assert "Loss 'db' does not read loss.steep" in found["unread"][0]
    assert "--loss square" in found["command"]
    assert "loss.steep=3" in found["command"]


@pytest.mark.slow
def test_a_new_loss_is_built_searched_and_decided(found: dict[str, Any]) -> None:
    assert found["built"] == 0.25
    assert found["constants"] == {"scale": 1.0, "steep": 4}
    assert found["searched"] == 2.0
    assert found["decided"] == "fixed"
    assert found["runs"] == 4


@pytest.mark.slow
def test_a_new_loss_is_drawn_and_said(found: dict[str, Any]) -> None:
    assert found["words"] == ["Squared error", "Brier, 1950. Decide by logit above 0."]
    assert "Squared error" in found["formula"]
    assert r"\sigma=2" in found["formula"]
    assert found["colour"] in found["legend"]
    assert found["curve"] > 0


@pytest.mark.slow
def test_a_new_loss_and_a_new_model_stand_in_the_forms(found: dict[str, Any]) -> None:
    form, page = found["launcher"], found["loss_weights"]
    assert form["wrong"] == page["wrong"] == []
    assert {"square", "tiny"} <= set(form["offered"])
    assert r"$\sigma$ slope" in form["numbers"]
    assert "half-best" in form["choices"]
    assert "square" in page["offered"]
    assert r"$\sigma$ slope" in page["numbers"]
    assert "Scores are pulled to 0 and 1." in page["said"]


@pytest.mark.slow
def test_a_new_model_has_its_settings_and_defaults(found: dict[str, Any]) -> None:
    assert found["tiny"] == [3, 7]
    assert "Did you mean 'tiny'" in found["refused"][3]
    assert "Model 'tiny' does not read model.hidden; it reads model.min_df" in found["unread"][1]


@pytest.mark.slow
def test_a_new_rule_is_a_setting_is_fitted_and_stands_on_the_page(found: dict[str, Any]) -> None:
    assert found["rule"] == "half-best"
    assert "'half-best'" in found["rules"]
    assert "half-best: half the highest score" in found["help of rules"]
    assert found["fitted"] == 0.4
    assert "half of the best" in found["on the page"]


@pytest.mark.slow
def test_the_help_names_them(copy: Path) -> None:
    said = run(copy, "-m", "core", "train", "--help")
    assert "square" in said
    assert "tiny" in said


def test_every_loss_reads_constants_of_the_table_within_their_ranges() -> None:
    assert list(LOSS_CONSTANTS) == list(LOSSES) == list(LOSS_NAMES)
    assert len(PAPER_LOSSES) == 8
    assert set(LossConfig.model_fields) == {"name", "setting", *CONSTANTS}
    assert {key for known in LOSS_CONSTANTS.values() for key in known} == set(CONSTANTS)
    for name, loss in LOSSES.items():
        for setting in SETTINGS:
            values = constants(name, [3, 2, 1], 10, setting)
            assert tuple(values) == LOSS_CONSTANTS[name]
            assert all(CONSTANTS[key].range.holds(value) for key, value in values.items())
        assert not loss.function or callable(getattr(others, loss.function))
        assert loss.reading.endswith(".")


def test_every_model_reads_settings_that_there_are() -> None:
    for model in MODELS.values():
        assert set(model.model) <= set(model.settings) <= set(ModelConfig.model_fields)
        assert set(model.train) <= set(TrainConfig.model_fields)
        assert model.layered <= ("hidden" in model.settings)


def test_every_rule_is_fitted_one_way() -> None:
    for rule in THRESHOLD_RULES.values():
        assert [bool(rule.function), rule.grid is not None, rule.value is not None].count(True) == 1
        assert not rule.function or callable(getattr(thresholds, rule.function, None) or getattr(quiet, rule.function))
        assert not rule.margins or rule.margins in THRESHOLD_RULES
    assert set(AUTO_RULES) == {loss.decision for loss in LOSSES.values()}
    assert set(AUTO_RULES.values()) <= set(THRESHOLD_RULES)
    assert set(USUAL_RULES) == set(AUTO_RULES)
    assert set(USUAL_RULES.values()) <= set(RULES_IN_RUNS)


def test_the_readme_s_table_of_losses_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    titles = {name: title.strip() for name, title in rows if name in LOSSES}
    if not titles:
        pytest.skip("README.md has no table of losses")
    assert titles == {name: loss.title for name, loss in LOSSES.items()}

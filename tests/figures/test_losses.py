"""What the loss page draws and says: formulas with the numbers in them, words, calls that run, small charts."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from core.analysis import loss_effects, loss_tables, loss_weights, loss_words
from core.analysis.loss_effects import Choice
from core.config.defaults import LOSS_NAMES
from core.config.schema import DataConfig, SyntheticConfig
from core.data.sources import load
from core.figures import losses
from core.labels.groups import Borders
from core.losses import CONSTANTS, LOSSES, build_loss

COUNTS = np.array([60, 40, 20, 10, 8, 2])
DOCUMENTS = 100
NAMES = list(LOSSES)
BORDERS = Borders(head=35, tail=8)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_said_in_words_and_as_a_formula_with_its_numbers(name: str) -> None:
    values = Choice(name, name).constants(COUNTS, DOCUMENTS)
    formula = loss_words.formula(name, values, DOCUMENTS)
    assert LOSSES[name].reading.endswith(".")
    assert loss_words.title_of(name)
    assert "Decide by" in loss_words.origin(name)
    assert formula.count("{") == formula.count("}")
    assert values.keys() <= CONSTANTS.keys()
    preset = LOSSES[name]
    if preset.group != "others":
        assert (r"\hat r" in formula) == (preset.weight == "rebalanced")
        assert ("w_i" in formula) == (preset.weight == "class-balanced")
        assert (r"\nu_i" in formula) == preset.tolerant


def test_the_formula_follows_its_constants() -> None:
    choice = Choice("db", "db", "reuters", (("mu", 0.37), ("gamma", 0), ("kappa", 0)))
    formula = loss_words.formula("db", choice.constants(COUNTS, DOCUMENTS), DOCUMENTS)
    assert "-0.37" in formula
    assert "^{" not in formula
    assert r"\nu" not in formula


def test_every_loss_has_a_colour_of_its_own() -> None:
    assert set(losses.COLOURS) == set(NAMES)
    assert len(set(losses.COLOURS.values())) == len(NAMES)


@pytest.mark.parametrize(
    "choice",
    [
        Choice("bce", "bce"),
        Choice("db", "db", "pubmed", (("mu", 0.25), ("reweight_negatives", False))),
        Choice("asl", "asl", "plain", (("gamma_neg", 3.0),)),
    ],
    ids=lambda choice: choice.name,
)
def test_the_python_call_makes_exactly_this_loss(choice: Choice, synthetic_config: DataConfig) -> None:
    space: dict[str, object] = {}
    exec(loss_words.python_call(choice, synthetic_config), space)
    corpus = load(synthetic_config)
    counts, documents = corpus.counts, len(corpus.parts["train"])
    loss = choice.build(counts, documents)
    z = torch.linspace(-3, 3, 2 * len(counts)).reshape(2, -1)
    y = torch.arange(2 * len(counts)).reshape(2, -1) % 3 == 0
    assert float(space["loss"](z, y)) == pytest.approx(float(loss(z, y)))  # type: ignore[operator]


def test_the_call_names_the_size_of_a_synthetic_set() -> None:
    config = DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=400, labels=12))
    assert "SyntheticConfig(documents=400, labels=12)" in loss_words.python_call(Choice("cb", "cb"), config)


def test_what_is_changed_is_said_as_a_run_reads_it() -> None:
    choice = Choice("db", "db", "plain", (("mu", 0.5), ("reweight_negatives", False)))
    changed = {"loss.setting": "plain", "loss.mu": "0.5", "loss.reweight_negatives": "false"}
    assert loss_words.changes_of(choice) == changed
    assert [loss_words.can_be_trained(name) for name in NAMES] == [name in LOSS_NAMES for name in NAMES]


@pytest.mark.parametrize(
    ("head", "tail", "said"),
    [
        (1, 1, "weighs as much as"),
        (1, 3.7, "weighs 3.7 times a head"),
        (1, 0.5, "weighs 0.50 times"),
        (1, 0.01, "1/100 of a head"),
        (1, np.nan, ""),
    ],
)
def test_the_ratio_of_tail_and_head_in_words(head: float, tail: float, said: str) -> None:
    words = loss_words.ratio_in_words({"head": head, "tail": tail})
    assert said in words
    assert bool(words) == bool(said)


def test_the_shares_of_the_gradient_in_words() -> None:
    parts = [("positive", "head", 6.0), ("positive", "tail", 1.0), ("negative", "head", 2.0), ("negative", "tail", 1.0)]
    frame = pd.DataFrame([{"loss": "db", "side": side, "group": group, "mass": mass} for side, group, mass in parts])
    (said,) = loss_words.mass_in_words(frame)
    assert "70% to labels that are there, 30% to labels that are not; 20% to the tail, 10% to tail labels" in said
    assert "no gradient" in loss_words.mass_in_words(frame.assign(mass=0.0))[0]


def test_the_shift_in_words_is_that_of_the_rarest_label() -> None:
    choice = Choice("db", "db")
    shift = loss_effects.shift_frame([choice], COUNTS, DOCUMENTS)
    (said,) = loss_words.shift_in_words(shift, loss_effects.tolerance_frame([choice], COUNTS, DOCUMENTS, 5))
    nu = 0.05 * np.log(DOCUMENTS / 2 - 1)
    assert f"a score of {1 / (1 + np.exp(-nu)):.2f} on" in said
    push = (1 / (1 + np.exp(2 * (4 + nu)))) / (1 / (1 + np.exp(4)))
    assert f"1/{1 / push:,.0f} of what cross-entropy" in said


def test_a_document_shows_its_own_labels_and_the_negatives_that_are_pushed_most() -> None:
    logits = np.array([-6.0, 4.0, -5.0, 2.0, -1.0, -6.0])
    choices = [Choice("bce", "bce"), Choice("db", "db")]
    frames = [loss_effects.document_frame(choice, COUNTS, DOCUMENTS, np.array([5, 0]), logits) for choice in choices]
    frame = loss_effects.stack(frames)
    assert loss_tables.document_labels(frame, most=2)[:2] == [0, 5]
    assert set(loss_tables.document_labels(frame, most=2)[2:]) == {1, 3}
    table = loss_tables.document_table(frame, list("abcdef"), [0, 5, 1], quantity="push")
    assert table.columns.tolist() == ["label", "there", "logit", "bce", "db"]
    assert table["there"].tolist() == [True, True, False]
    assert table["bce"].to_numpy() == pytest.approx([1 - 1 / (1 + np.exp(6))] * 2 + [-1 / (1 + np.exp(-4))])
    mass = loss_tables.document_mass(frame, loss_effects.group_slices(COUNTS, BORDERS))
    assert mass["mass"].sum() == pytest.approx(frame["push"].abs().sum())


def test_bands_cover_all_ranks_and_leave_out_empty_groups() -> None:
    bands = loss_tables.group_bands(COUNTS, BORDERS)
    assert bands.to_dict("list") == {
        "group": ["head", "medium", "tail"],
        "start": [0.5, 2.5, 4.5],
        "end": [2.5, 4.5, 6.5],
    }
    assert loss_tables.group_bands(np.array([5, 4]), BORDERS)["group"].tolist() == ["tail"]


@pytest.mark.slow
def test_charts_of_all_losses_and_many_labels_are_valid_and_small() -> None:
    counts = np.maximum(1, 30_000 // np.arange(1, 18_212))
    names, bands = [f"label {i}" for i in range(len(counts))], loss_tables.group_bands(counts, Borders(50, 15))
    choices = [Choice(name, name) for name in NAMES] + [Choice("db (preset)", "db", "pubmed")]
    edges = loss_effects.rank_bins(len(counts), loss_weights.COARSE_BINS)
    r = np.tile(loss_weights.QUANTILES, (len(edges) - 1, 1))
    company = loss_weights.CoLabels(edges, {"positive": r, "negative": r}, {})
    weights = loss_weights.weight_frame(choices, counts, 60_000, company, names, "positive")
    shift = loss_effects.shift_frame(choices, counts, 60_000)
    curves = loss_effects.curve_frame(choices, counts, 60_000, 18_210, beside=True)
    own = np.array([0, 18_210])
    frame = loss_effects.stack(
        [loss_effects.document_frame(one, counts, 60_000, own, -np.ones(18_211)) for one in choices]
    )
    shown = loss_tables.document_labels(frame)
    assert len(shown) <= 10
    mass = loss_tables.document_mass(frame, loss_effects.group_slices(counts, Borders(50, 15)))
    charts = [
        losses.weight_by_rank(weights, choices, bands, labels=18_211, side="positive"),
        losses.shift_by_rank(shift, choices, bands, labels=18_211),
        losses.tolerance(loss_effects.tolerance_frame(choices, counts, 60_000, 18_210), choices),
        losses.by_logit(curves, choices, quantity="gradient"),
        losses.document_pushes(frame, choices, names, shown),
        losses.gradient_shares(mass, choices),
        losses.legend(choices, lines=True),
        losses.legend(choices),
    ]
    for chart in charts:
        assert len(json.dumps(chart.to_dict())) < 2_000_000


def test_losses_that_compare_all_labels_have_no_weight_no_shift_and_no_curve() -> None:
    choices = [Choice(name, name) for name in ("zlpr", "dice", "two-way", "soft-f1")]
    company = loss_weights.CoLabels(loss_effects.rank_bins(6), {}, {})
    assert loss_weights.weight_frame(choices, COUNTS, DOCUMENTS, company, list("abcdef"), "positive").empty
    assert loss_effects.shift_frame(choices, COUNTS, DOCUMENTS).empty
    assert loss_effects.curve_frame(choices, COUNTS, DOCUMENTS, 0, beside=False).empty
    for choice in choices:
        assert build_loss(choice.name, COUNTS, DOCUMENTS)

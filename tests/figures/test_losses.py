"""What the loss page draws and says: formulas with the numbers in them, words, calls that run, small charts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import loss_cautions, loss_effects, loss_logits, loss_tables, loss_weights, loss_words
from core.analysis.loss_effects import Choice
from core.config.defaults import LOSS_NAMES
from core.config.schema import DataConfig, SyntheticConfig
from core.data.sources import load
from core.figures import looks, losses
from core.labels.groups import Borders
from core.labels.measures import rule_for_mu
from core.losses import CONSTANTS, LOSSES, build_loss

COUNTS = np.array([60, 40, 20, 10, 8, 2])
DOCUMENTS = 100
NAMES = list(LOSSES)
BORDERS = Borders(head=35, tail=8)
BY_RULE = 0.5
"""Stands for the rule's value, which the data set decides."""


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
    assert set(looks.COLOURS) == set(NAMES)
    assert len(set(looks.COLOURS.values())) == len(NAMES)


@pytest.mark.parametrize(
    "choice",
    [
        Choice("bce", "bce"),
        Choice("db", "db", "pubmed", (("mu", 0.25), ("reweight_negatives", False))),
        Choice("asl", "asl", "plain", (("gamma_neg", 3.0),)),
        Choice("r-fl", "r-fl", "plain", (("gamma", 1.0),), BY_RULE),
    ],
    ids=lambda choice: choice.name,
)
def test_the_python_call_makes_exactly_this_loss(choice: Choice, synthetic_config: DataConfig) -> None:
    space: dict[str, object] = {}
    if choice.rule_mu is not None:
        known = load(synthetic_config)
        choice = replace(choice, rule_mu=rule_for_mu(known.targets_of("train"), known.counts))
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
    assert loss_words.changes_of(choice, "reuters") == changed
    assert [loss_words.can_be_trained(name) for name in NAMES] == [name in LOSS_NAMES for name in NAMES]


@pytest.mark.parametrize(
    ("head", "tail", "said"),
    [
        (1, 1, "weighs as much as"),
        (1, 3.7, "weighs 3.7 times a head"),
        (1, 0.5, "weighs 0.50 times"),
        (1, 0.01, "1/100 of a head"),
        (1, 1e-320, "less than a millionth of a head"),
        (1, 3e8, "more than a million times a head"),
        (1, np.nan, ""),
    ],
)
def test_the_ratio_of_tail_and_head_in_words(head: float, tail: float, said: str) -> None:
    words = loss_words.ratio_in_words({"head": head, "tail": tail})
    assert said in words
    assert bool(words) == bool(said)


def test_what_a_run_has_by_itself_on_a_data_set_is_no_change() -> None:
    own = Choice("db", "db", "plain", (), BY_RULE)
    assert loss_words.changes_of(own, "synthetic") == loss_words.changes_of(Choice("db", "db"), "reuters-nltk") == {}
    assert loss_words.changes_of(own, "reuters") == {"loss.setting": "plain", "loss.mu": "auto"}
    assert loss_words.changes_of(Choice("db", "db", "plain"), "synthetic") == {"loss.setting": "plain"}
    assert loss_words.changes_of(Choice("cb", "cb", "reuters"), "synthetic") == {"loss.setting": "reuters"}


def test_what_decides_is_the_largest_part_of_the_first_loss_and_where_another_moves_most() -> None:
    parts = [("bce", "negative", "head", 7.0), ("bce", "positive", "tail", 1.0)]
    parts += [("db", "negative", "head", 1.0), ("db", "positive", "tail", 1.0)]
    frame = pd.DataFrame(parts, columns=["loss", "side", "group", "mass"])
    said = loss_words.decision_in_words(frame)
    assert "Under bce the gradient of head labels that are not there decides: 88% of it." in said
    assert "db moves most, to tail labels that are there: from 12% to 50%." in said
    assert "share it out alike" in loss_words.decision_in_words(
        pd.concat([frame[:2], frame[:2].assign(loss="fl")], ignore_index=True)
    )
    assert loss_words.decision_in_words(frame.assign(mass=0.0)) == ""
    table = loss_tables.push_table(frame)
    assert table.to_dict("records")[1] == {"loss": "db", "head": "all down", "medium": None, "tail": "all up"}


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
    apart = loss_tables.group_bands(np.array([50, 4, 0]), Borders(35, 8, unseen_apart=True))
    assert apart["group"].tolist() == ["head", "tail", "no train document"]


@pytest.mark.slow
def test_charts_of_all_losses_and_many_labels_are_valid_and_small() -> None:
    counts = np.maximum(1, 30_000 // np.arange(1, 18_212))
    names, bands = [f"label {i}" for i in range(len(counts))], loss_tables.group_bands(counts, Borders(50, 15))
    choices = [Choice(name, name) for name in NAMES] + [Choice("db (preset)", "db", "pubmed")]
    edges = loss_weights.drawn_bins(len(counts))
    r = np.tile(loss_weights.QUANTILES, (len(edges) - 1, 1))
    ratios = {side: np.tile(loss_weights.QUANTILES, (len(counts), 1)) for side in ("positive", "negative")}
    found = loss_weights.mark_label(choices, counts, 60_000, ratios, names, 18_000, "positive")
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
        losses.weight_by_rank(weights, choices, bands, labels=18_211, side="positive", found=found),
        losses.shift_by_rank(shift, choices, bands, labels=18_211),
        losses.tolerance(loss_effects.tolerance_frame(choices, counts, 60_000, 18_210), choices),
        losses.by_logit(curves, choices, quantity="gradient", top=losses.highest_of([curves], "gradient")),
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


# Constants at the ends of their ranges.

SMALL_COUNTS = np.array([9, 6, 4, 2, 1])
SMALL_DOCUMENTS = 12
SMALL_NAMES = list("abcde")
SMALL_BORDERS = Borders(head=6, tail=2)


def make_small_targets() -> sp.csr_array:
    """12 documents: one with all labels, one with none, the others with some."""
    dense = np.zeros((SMALL_DOCUMENTS, len(SMALL_COUNTS)), bool)
    for column, count in enumerate(SMALL_COUNTS):
        dense[[0, *range(column + 1, column + count)], column] = True
    return sp.csr_array(dense)


def list_ends(name: str) -> list[float]:
    """Values at and near the ends of a constant's range, and beyond what any data asks for."""
    known = CONSTANTS[name].range
    near = [known.low, known.high, known.low + 1e-12, known.high - 1e-12, 1e-300, 1.0, 50.0, -50.0, 1e4, 1e300]
    return [value for value in dict.fromkeys(near) if known.holds(value)]


def draw_everything(choice: Choice) -> list[str]:
    """Every chart, table, formula and sentence of the page, as text."""
    targets, counts, n = make_small_targets(), SMALL_COUNTS, SMALL_DOCUMENTS
    company = loss_weights.measure_co_labels(targets, counts, SMALL_BORDERS)
    ratios = loss_weights.measure_labels(targets, counts)
    groups, bands = loss_effects.group_slices(counts, SMALL_BORDERS), loss_tables.group_bands(counts, SMALL_BORDERS)
    said, charts = [loss_words.formula(choice.name, choice.constants(counts, n), n)], []
    for side in ("positive", "negative"):
        frame = loss_weights.weight_frame([choice], counts, n, company, SMALL_NAMES, side)
        found = loss_weights.mark_label([choice], counts, n, ratios, SMALL_NAMES, 4, side)
        charts.append(losses.weight_by_rank(frame, [choice], bands, labels=5, side=side, found=found))
        means = loss_weights.group_weights([choice], counts, n, company, SMALL_BORDERS, side)
        said.append(loss_tables.ratios_in_words(means))
    loss_weights.label_table([choice], counts, n, ratios, SMALL_NAMES, SMALL_BORDERS)
    said += loss_cautions.cautions(choice, counts, n, company, SMALL_BORDERS)
    shift = loss_effects.shift_frame([choice], counts, n)
    tolerance = loss_effects.tolerance_frame([choice], counts, n, 4)
    charts += [losses.shift_by_rank(shift, [choice], bands, labels=5), losses.tolerance(tolerance, [choice])]
    said += loss_words.shift_in_words(shift, tolerance)
    curves = loss_effects.curve_frame([choice], counts, n, 4, beside=True)
    for quantity in ("value", "gradient"):
        top = losses.highest_of([curves], quantity)
        charts.append(losses.by_logit(curves, [choice], quantity=quantity, top=top))
    lowest = loss_logits.lowest_logits(choice, counts, n, targets)
    prior = loss_logits.untrained_logits("prior", counts, n)
    for logits in (prior, lowest):
        mass = loss_effects.gradient_mass(choice, counts, n, targets, logits, groups)
        charts.append(losses.gradient_shares(mass, [choice]))
        said += [*loss_words.mass_in_words(mass), loss_words.decision_in_words(mass), loss_cautions.start_caution(mass)]
        said += [loss_cautions.rate_caution({choice.title: loss_cautions.start_ratio(mass, mass)})]
        said += [str(value) for value in loss_tables.push_table(mass).to_numpy().ravel()]
    document = loss_effects.document_frame(choice, counts, n, np.array([0, 4]), prior)
    shown = loss_tables.document_labels(document)
    charts.append(losses.document_pushes(document, [choice], SMALL_NAMES, shown))
    charts.append(losses.gradient_shares(loss_tables.document_mass(document, groups), [choice]))
    assert all(charts)
    return said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "constant"),
    [
        (name, constant)
        for name in ("db", "cb", "asl", "apl", "hill", "dice", "two-way", "logit-adjusted", "propensity")
        for constant in LOSSES[name].constants
        if CONSTANTS[constant].kind != "switch"
        and (name == "db" or constant not in (*LOSSES["db"].constants, "gamma_neg", "prob_margin"))
    ],
)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_constant_within_its_range_breaks_a_chart_a_table_or_a_sentence(
    name: str, constant: str, data: st.DataObject
) -> None:
    value = data.draw(st.sampled_from(list_ends(constant)))
    others = (("alpha", 0.0),) if constant in ("beta", "mu") else ()
    for sentence in draw_everything(Choice(name, name, "reuters", (*others, (constant, value)))):
        assert not {"nan", "inf", "1/inf", "NaN"} & set(sentence.replace(",", " ").replace(")", " ").split())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("beta", [50.0, 1e4, 1e300])
@pytest.mark.parametrize("name", ["db", "r-fl", "db-0fl"])
def test_a_steep_weight_without_a_floor_is_drawn(name: str, beta: float) -> None:
    assert draw_everything(Choice(name, name, "reuters", (("alpha", 0.0), ("beta", beta))))


@pytest.mark.parametrize("values", [[], [0.0], [np.nan, np.inf], [1e-320, 1.0], [0.0, 1e308], [5e-324, 1e-3]])
def test_a_logarithmic_axis_has_finite_ends_above_0_and_few_ticks(values: list[float]) -> None:
    axis = losses._log_axis(np.array(values), "weight")
    low, high = axis["scale"]["domain"]
    assert 0 < low < high < math.inf
    assert len(axis["axis"]["values"]) <= 3 * losses.TICKS

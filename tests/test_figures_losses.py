"""What the loss page draws: every loss has a formula that fits its slots, weights agree with the loss itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.config import LOSS_NAMES
from core.figures import MAX_MARKS, losses
from core.labels import Borders
from core.losses import LOSSES, build_loss

COUNTS = np.array([60, 40, 20, 10, 8, 2, 0])
LABELS = list("abcdefg")
DOCUMENTS = 100


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_is_said_in_words_and_as_a_formula_of_its_slots(name: str) -> None:
    said, preset = losses.sentences(name), LOSSES[name]
    assert said["reading"].endswith(".")
    assert (r"\gamma" in said["formula"]) == preset.focal
    assert (r"\hat r" in said["formula"]) == (preset.weight == "rebalanced")
    assert (r"\beta^{n_i}" in said["formula"]) == (preset.weight == "class-balanced")
    assert (r"d_{ki}" in said["formula"]) == preset.damped
    assert any(r"\kappa" in symbol for symbol in losses.symbols([name])) == preset.tolerant
    assert said["formula"].count("{") == said["formula"].count("}")
    assert name in losses.COLOURS


def test_every_loss_has_a_colour_of_its_own() -> None:
    assert losses.COLOURS.keys() == losses.READINGS.keys() == LOSSES.keys()
    assert len(set(losses.COLOURS.values())) == len(LOSSES)


@pytest.mark.parametrize("name", ["bce", "cb", "r-fl", "db", "db-0fl"])
def test_weights_are_those_of_the_loss(name: str) -> None:
    """In a document with this label and label 0, the loss at s = 0 is weight · .5^gamma · log 2."""
    frame = losses.weight_frame([name], COUNTS, DOCUMENTS, "reuters", beside=0, labels=LABELS)
    loss = build_loss(name, COUNTS, DOCUMENTS, reduction="none", on_missing="mask").double()
    for row in frame[frame["rank"].between(2, 6)].to_dict("records"):
        targets = torch.zeros(1, len(COUNTS), dtype=torch.bool)
        targets[0, [0, row["rank"] - 1]] = True
        shift = loss.shift[row["rank"] - 1] if loss.kappa else 0.0
        element = loss(torch.full(targets.shape, float(shift), dtype=torch.float64), targets)[0, row["rank"] - 1]
        assert row["weight"] * 0.5**loss.gamma * np.log(2) == pytest.approx(float(element))


def test_labels_without_documents_have_no_weight_where_it_would_be_divided_by_zero() -> None:
    frame = losses.weight_frame(["bce", "cb"], COUNTS, DOCUMENTS, "reuters", beside=None, labels=LABELS)
    assert frame.groupby("loss")["rank"].max().to_dict() == {"bce": 7, "cb": 6}


def test_charts_of_all_losses_stay_small_and_valid() -> None:
    counts = np.maximum(1, 30_000 // np.arange(1, 18_212))
    names = [f"label {i}" for i in range(len(counts))]
    frame = losses.weight_frame(LOSS_NAMES, counts, 60_000, "pubmed", beside=0, labels=names)
    bands = losses.group_bands(counts, Borders(50, 15))
    assert len(frame) <= MAX_MARKS
    assert (frame["loss"].nunique(), frame["rank"].max()) == (len(LOSS_NAMES), len(counts))
    losses.weight_by_rank(frame, bands, labels=len(counts)).to_dict()
    curves = losses.curve_frame(LOSS_NAMES, counts, 60_000, len(counts) - 1, "pubmed")
    assert len(curves) <= MAX_MARKS
    for quantity in ("value", "factor"):
        losses.by_logit(curves, quantity=quantity, title=quantity).to_dict()


def test_bands_cover_all_ranks_and_leave_out_empty_groups() -> None:
    bands = losses.group_bands(COUNTS, Borders(35, 8))
    assert bands.to_dict("list") == {
        "group": ["head", "medium", "tail"],
        "start": [0.5, 2.5, 4.5],
        "end": [2.5, 4.5, 7.5],
    }
    assert losses.group_bands(np.array([5, 4]), Borders(35, 8))["group"].tolist() == ["tail"]


def test_no_loss_gives_empty_charts() -> None:
    frame = losses.weight_frame([], COUNTS, DOCUMENTS, "reuters", beside=None, labels=LABELS)
    assert frame.empty
    assert losses.curve_frame([], COUNTS, DOCUMENTS, 0, "reuters").empty
    losses.weight_by_rank(frame, losses.group_bands(COUNTS, Borders()), labels=len(COUNTS)).to_dict()

"""A click on a mark answers with the label that it stands for, in every chart whose marks are labels."""

from __future__ import annotations

import itertools

import altair as alt
import numpy as np
import pandas as pd
import pytest

from core.analysis import compare, loss_effects, loss_tables, loss_weights
from core.analysis.loss_effects import Choice
from core.figures import LABEL, data, losses
from core.figures.compare import change_chart
from core.figures.errors import f1_by_frequency
from core.labels import measures
from core.labels.groups import Borders
from tests.helpers.corpora import NASTY

COUNTS = np.array([90, 60, 40, 20, 12, 8, 3, 1])
NAMES = [f"label {place}" for place in range(len(COUNTS))]
BORDERS = Borders(35, 8)


def f1_table(names: list[str]) -> pd.DataFrame:
    groups = ["head", "head", "head", "medium", "medium", "tail", "tail", "tail"]
    return pd.DataFrame({"label": names, "group": groups, "train": COUNTS, "f1": np.linspace(1, 0, 8)})


def draw(kind: str, names: list[str]) -> alt.Chart | alt.LayerChart:
    if kind == "tail":
        return data.rank_frequency(measures.rank_frequency(names, COUNTS, BORDERS), BORDERS)
    if kind == "drift":
        return data.drift(measures.drift(names, COUNTS, COUNTS[::-1], documents=(100, 90)), "train", "test")
    if kind == "f1":
        return f1_by_frequency({"run": f1_table(names)}, BORDERS)
    if kind == "change":
        scores = np.linspace(0, 1, 8), np.linspace(1, 0, 8)
        return change_chart(compare.label_changes(names, COUNTS.tolist(), COUNTS, *scores, BORDERS))
    choices = [Choice("bce", "bce"), Choice("cb", "cb")]
    if kind == "weights":
        edges = loss_weights.drawn_bins(len(COUNTS))
        known = loss_weights.CoLabels(edges, {"positive": np.ones((len(COUNTS), 10))}, {})
        frame = loss_weights.weight_frame(choices, COUNTS, 100, known, names, "positive")
        bands = loss_tables.group_bands(COUNTS, BORDERS)
        return losses.weight_by_rank(frame, choices, bands, labels=len(COUNTS), side="positive")
    frames = [loss_effects.document_frame(one, COUNTS, 100, np.array([0, 5]), -np.ones(8)) for one in choices]
    return losses.document_pushes(loss_effects.stack(frames), choices, names, range(8))


FIELDS = {
    "tail": ["label"],
    "drift": ["label"],
    "f1": ["places"],
    "change": ["label"],
    "weights": ["start", "end"],
    "pushes": ["column"],
}


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize(
    "names", [NAMES, [*itertools.islice(itertools.cycle(NASTY), 7), "x" * 90]], ids=["plain", "nasty"]
)
def test_marks_answer_with_what_names_their_label(kind: str, names: list[str]) -> None:
    names = [f"{name}{place}" for place, name in enumerate(names)]
    spec = draw(kind, names).to_dict()
    (param,) = spec["params"]
    assert (param["name"], param["select"]["fields"]) == (LABEL, FIELDS[kind])
    # The layer that the selection listens to has these fields in every row.
    layers = [layer for layer in spec.get("layer", [spec]) if layer.get("name") in param.get("views", [None])]
    (layer,) = layers
    rows = spec["datasets"][(layer.get("data") or spec["data"])["name"]]
    assert rows
    for row in rows:
        assert set(FIELDS[kind]) <= set(row)
        if FIELDS[kind] == ["label"]:
            assert row["label"] in names
        elif kind == "f1":
            assert [names[int(place)] for place in row["places"].split()] == row["names"].split(", ")[:1] or "," in row[
                "names"
            ]
        elif kind == "weights":
            assert names[int(row["start"] - 0.5) : int(row["end"] - 0.5)] == [row["labels"]]
        else:
            assert names[int(row["column"])] in row["label"]

"""How rows look: no two alike, a row the same whatever stands beside it, legible on both themes."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.defaults import COMBINED, MODELS
from core.config.schema import CombinedConfig, LossConfig, ModelConfig, RunConfig
from core.figures import count_columns, name_axis, wrap_names
from core.figures.compare import f1_by_rank, training_chart
from core.figures.looks import COLOURS, DASHES, MARKS, assign_looks, colour_of
from core.labels.groups import Borders
from core.losses.presets import LOSSES
from core.runs.folder import Run

KINDS = [
    *((model, loss) for model in ("tfidf", "transformer", "textcnn") for loss in ("db", "bce", "fl", "cb-ntr")),
    ("svm", None),
    (COMBINED, None),
]
"""Models and losses of rows."""


def make_run(model: str, loss: str | None) -> Run:
    combined = CombinedConfig(members=("a-1", "b-2"), weights=(0.5, 0.5)) if model == COMBINED else None
    config = RunConfig(model=ModelConfig(name=model), loss=LossConfig(name=loss) if loss else None, combined=combined)
    return Run("a", Path("a"), "finished", config=config)


def luminance(colour: str) -> float:
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear)


@given(st.lists(st.sampled_from(KINDS), max_size=40))
def test_no_two_rows_look_alike(kinds: list[tuple[str, str | None]]) -> None:
    looks = assign_looks({f"row {place}": make_run(*kind) for place, kind in enumerate(kinds)})
    assert len(set(looks.values())) == len(looks) == len(kinds)
    assert all(look.dash in DASHES and look.mark in MARKS for look in looks.values())
    # Whoever prints in grey still tells the first rows of one loss apart, by dash or mark.
    for name in {kind[1] for kind in kinds if kind[1]}:
        mine = [look for look, kind in zip(looks.values(), kinds, strict=True) if kind[1] == name][:20]
        assert len({(look.dash, look.mark) for look in mine}) == len(mine)


@given(st.permutations(KINDS), st.integers(1, len(KINDS)))
def test_a_row_looks_the_same_whatever_stands_beside_it(kinds: list[tuple[str, str | None]], kept: int) -> None:
    rows = {f"{kind}": make_run(*kind) for kind in kinds}
    looks = assign_looks(rows)
    fewer = assign_looks(dict(list(rows.items())[:kept]))
    assert fewer == {name: looks[name] for name in fewer}


def test_the_first_row_of_a_loss_has_the_colour_of_the_loss() -> None:
    rows = {name: make_run("tfidf", name) for name in ("db", "bce", "fl")} | {"svm": make_run("svm", None)}
    assert {name: look.colour for name, look in assign_looks(rows).items()} == {name: colour_of(name) for name in rows}


def test_losses_and_models_have_colours_that_are_seen_on_white_and_on_black() -> None:
    known = {
        colour_of(name) for name in (*LOSSES, *(name for name, model in MODELS.items() if model.own_loss), COMBINED)
    }
    assert len(known) >= len(COLOURS) + 2
    for colour in known:
        light = luminance(colour)
        assert 1.05 / (light + 0.05) > 3
        assert (light + 0.05) / (luminance("#12161d") + 0.05) > 3


def test_lines_of_a_chart_keep_the_looks_of_all_rows() -> None:
    looks = assign_looks({f"db {model}": make_run(model, "db") for model in ("tfidf", "transformer", "textcnn")})
    chart = f1_by_rank({"db textcnn": np.full(6, 0.5)}, looks, [9, 8, 7, 3, 2, 1], Borders(7, 2)).to_dict()
    lines = chart["layer"][-1]["encoding"]
    assert lines["color"]["scale"] == {"domain": ["db textcnn"], "range": [looks["db textcnn"].colour]}
    assert lines["strokeDash"]["scale"]["range"] == [list(looks["db textcnn"].dash)]
    apart = Borders(7, 2, unseen_apart=True)
    bands = f1_by_rank({"db textcnn": np.full(4, 0.5)}, looks, [9, 8, 2, 0], apart).to_dict()["datasets"]
    words = [row["text"] for rows in bands.values() for row in rows if "text" in row]
    assert words == ["head (2)", "tail (1)", "no train document (1)"]
    frame = pd.DataFrame({"row": ["db textcnn"], "run": ["a"], "epoch": [1], "micro": [50.0]})
    again = training_chart(frame, looks, column="micro").to_dict()["encoding"]
    assert (again["color"]["scale"], again["strokeDash"]) == (lines["color"]["scale"], lines["strokeDash"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["db", "bce"], 1),
        (["db · transformer · attention_dropout 0.1 · max_length 128 · frozen_layers 0 · 6 more"], 4),
        (["x" * 100], 4),
        ([], 1),
    ],
)
def test_names_of_rows_are_wrapped_and_never_cut(names: list[str], expected: int) -> None:
    words, lines = wrap_names(names, 32)
    assert lines == expected
    assert "…" not in words
    assert words.endswith("|| datum.label")
    axis, same = name_axis(names, 32)
    assert (axis["labelExpr"], same) == (words, lines)
    assert alt.Axis(**axis).to_dict()["labelBaseline"]["condition"]["value"] == "bottom"


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=20))
def test_a_legend_has_room_for_its_names(names: list[str]) -> None:
    assert 1 <= count_columns(names) <= len(names)

"""What the explorer draws: right numbers, few marks however many labels there are, colours that can be told apart."""

from __future__ import annotations

import itertools
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from core import labels
from core.data import Corpus
from core.figures import GROUP_COLOURS, MAX_MARKS, data
from core.labels import Borders

BORDERS = Borders(35, 8)
BACKGROUNDS = {"light": "#ffffff", "dark": "#12161d"}
# Machado, Oliveira, Fernandes 2009: what people see who lack one kind of cone, in linear RGB.
SEEN = {
    "all cones": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], LUMINANCE, [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ rgb.clip(0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def marks(chart: alt.LayerChart | alt.Chart) -> int:
    """Rows of data in a chart; its specification must be valid."""
    spec = chart.to_dict()
    return sum(len(rows) for rows in spec["datasets"].values())


def ranks(number: int, *, absent: int = 0) -> pd.DataFrame:
    counts = np.maximum(1, 30_000 // np.arange(1, number + 1))
    counts[number - absent :] = 0
    return labels.rank_frequency([f"label {i}" for i in range(number)], counts, BORDERS)


def corpus(targets: Any, parts: dict[str, list[int]]) -> Corpus:
    matrix = sp.csr_array(np.array(targets, dtype=bool))
    n, size = matrix.shape
    return Corpus(
        name="small",
        split="paper",
        fingerprint="0",
        source="made here",
        labels=tuple("abcdefgh"[:size]),
        targets=matrix,
        ids=np.array([f"id{row}" for row in range(n)]),
        titles=[f"title\n {row}" if row else "" for row in range(n)],
        bodies=[f"body {row}" for row in range(n)],
        parts={part: np.array(rows, np.int64) for part, rows in parts.items()},
    )


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_every_colour_is_legible_on_both_themes(background: str) -> None:
    for colour in GROUP_COLOURS.values():
        low, high = sorted(float(LUMINANCE @ linear(one)) + 0.05 for one in (colour, background))
        assert high / low >= 3, colour


@pytest.mark.parametrize("eye", SEEN)
def test_head_medium_and_tail_are_told_apart_by_every_eye(eye: str) -> None:
    seen = [lab(np.array(SEEN[eye]) @ linear(GROUP_COLOURS[group])) for group in labels.FREQUENCY_GROUPS]
    assert min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2)) > 15


@given(st.integers(1, 200_000), st.integers(2, 3000))
def test_ranks_drawn_are_few_rising_and_hold_both_ends(number: int, limit: int) -> None:
    drawn = data.spread_over_ranks(number, limit)
    assert len(drawn) <= max(limit, 1)
    assert (drawn[0], drawn[-1]) == (0, number - 1)
    assert (np.diff(drawn) > 0).all()


@pytest.mark.parametrize("number", [1, 90, 18_211])
def test_rank_frequency_stays_small_and_keeps_absent_labels(number: int) -> None:
    chart = data.rank_frequency(ranks(number, absent=number // 10), BORDERS)
    assert marks(chart) <= MAX_MARKS + 2
    rows = next(rows for rows in chart.to_dict()["datasets"].values() if "rank" in rows[0])
    assert all(row["height"] == (row["count"] or data.NO_DOCUMENT) for row in rows)
    assert any(row["count"] == 0 for row in rows) == (number > 1)


def test_group_shares_end_at_one() -> None:
    counts = np.array([100, 40, 20, 9, 8, 1])
    rows = next(iter(data.group_shares(labels.group_shares(counts, BORDERS)).to_dict()["datasets"].values()))
    ends = {row["of"]: row["end"] for row in rows}
    assert ends == pytest.approx({"share of labels": 1.0, "share of assignments": 1.0})
    assert [row["share"] for row in rows] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 140 / 178, 29 / 178, 9 / 178])


def test_long_label_lists_share_the_last_bar() -> None:
    frame = pd.DataFrame({"labels": [0, 1, 24, 30, 77], "documents": [2, 500, 3, 2, 1]})
    rows = next(iter(data.labels_per_document(frame).to_dict()["datasets"].values()))
    assert {row["words"]: row["documents"] for row in rows} == {"0": 2, "1": 500, "24 or more": 6}
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_no_documents_give_an_empty_chart() -> None:
    assert marks(data.labels_per_document(pd.DataFrame({"labels": [], "documents": []}, dtype=int))) == 0


def test_heatmap_holds_every_ordered_pair_once_and_stays_small() -> None:
    rng = np.random.default_rng(0)
    targets = sp.csr_array(rng.random((200, 60)) < 0.1)
    frame = labels.cooccurrence(targets, range(40))
    chart = data.cooccurrence(frame, [f"label {i}" for i in range(60)])
    spec = chart.to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert len({(row["given"], row["label"]) for row in rows}) == len(rows) == 40 * 39 <= MAX_MARKS
    dense = targets.toarray()
    cell = next(row for row in rows if (row["given"], row["label"]) == ("label 3", "label 7"))
    assert cell["p"] == pytest.approx((dense[:, 3] & dense[:, 7]).sum() / dense[:, 3].sum())
    assert [param["name"] for param in spec["params"]] == [data.CELL]


def test_every_measure_has_words() -> None:
    measured = labels.part_measures(sp.csr_array(np.eye(3, dtype=bool)))
    assert measured.keys() == data.MEASURES.keys()
    table = data.measure_table(
        {"train": measured, "validation": labels.part_measures(sp.csr_array((0, 3), dtype=bool))}
    )
    first = table.set_index("measure").loc["Documents"]
    assert (first["train"], first["validation"]) == ("3", "0")
    assert table.set_index("measure").loc["Labels per document", "validation"] == "–"


@given(st.data())
def test_rows_with_labels_are_those_that_carry_all_of_them(draw: st.DataObject) -> None:
    rows = draw.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=12))
    columns = draw.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    part = draw.draw(st.permutations(range(len(rows))))[: len(rows) // 2 + 1]
    small = corpus(rows, {"train": part})
    expected = [row for row in sorted(part) if all(rows[row][column] for column in columns)]
    assert data.rows_with(small, "train", columns).tolist() == expected


def test_documents_are_listed_with_title_and_labels() -> None:
    table = data.document_table(corpus([[0, 1, 0], [1, 0, 1]], {"train": [0, 1]}), [1, 0])
    assert table.to_dict("list") == {
        "id": ["id1", "id0"],
        "title": ["title 1", "(no title)"],
        "labels": [["a", "c"], ["b"]],
    }
    assert data.document_table(corpus([[1]], {"train": [0]}), []).empty

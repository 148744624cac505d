"""What the explorer draws: right numbers, few marks however many labels there are, colours that can be told apart."""

from __future__ import annotations

import itertools
import json
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import dataset
from core.figures import GROUP_COLOURS, MAX_MARKS, data, together
from core.labels import groups, measures
from core.labels.cooccurrence import block, count_pairs, density
from core.labels.groups import Borders
from tests.helpers.corpora import NASTY, corpus
from tests.helpers.laws import law

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
    return measures.rank_frequency([f"label {i}" for i in range(number)], counts, BORDERS)


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_every_colour_is_legible_on_both_themes(background: str) -> None:
    for colour in GROUP_COLOURS.values():
        low, high = sorted(float(LUMINANCE @ linear(one)) + 0.05 for one in (colour, background))
        assert high / low >= 3, colour


@pytest.mark.parametrize("eye", SEEN)
def test_head_medium_and_tail_are_told_apart_by_every_eye(eye: str) -> None:
    seen = [lab(np.array(SEEN[eye]) @ linear(GROUP_COLOURS[group])) for group in groups.EVERY_GROUP]
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


@law(60)
@given(
    st.lists(st.tuples(st.floats(0, 260), st.floats(0, 140)), max_size=60),
    st.floats(20, 120),
    st.floats(0, 100),
)
def test_words_of_borders_hide_as_few_labels_as_can_be_and_not_each_other(
    falling: list[tuple[float, float]], upper: float, apart: float
) -> None:
    xs, ys = (sorted(values) for values in zip(*falling, strict=True)) if falling else ([], [])
    dots = np.array([xs, ys]).T.reshape(-1, 2)  # down the ranks a long tail falls
    heights = [upper, min(upper + apart, 140)]
    words = ["head from 35", "tail up to 8"]
    places = data.place_words(words, heights, dots, width=260, height=140)

    def box(text: str, at: float, end: str, side: str) -> tuple[float, float, float, float]:
        long, top = data.GAP + data.WORD_LETTER * len(text), at - data.LINE if side == "top" else at
        left = 0 if end == "left" else 260 - long
        return left, left + long, top, top + data.LINE

    def hides(one: tuple[float, float, float, float]) -> int:
        left, right, top, bottom = one
        return sum(left < x < right and top < y < bottom for x, y in dots)

    first, second = (box(text, at, *place) for text, at, place in zip(words, heights, places, strict=True))
    assert first[2] >= 0
    assert first[3] <= 140
    free = [box(words[0], upper, end, side) for end in ("left", "right") for side in ("top", "bottom")]
    near = data.RADIUS
    if any(not hides((a - near, b + near, c - near, d + near)) and c >= 0 and d <= 140 for a, b, c, d in free):
        assert not hides(first)
    assert first[0] >= second[1] or second[0] >= first[1] or first[2] >= second[3] or second[2] >= first[3]


@pytest.mark.parametrize(("labels", "most"), [(90, 2900), (18_211, 60), (18_211, 30_000), (40, 3), (2, 5)])
def test_each_border_in_reach_of_the_axis_has_its_words(labels: int, most: int) -> None:
    counts = np.maximum(1, (most / np.arange(1, labels + 1) ** 0.9).astype(int))
    for borders in (groups.paper_borders(labels), groups.cut_thirds(counts)):
        spec = data.rank_frequency(measures.rank_frequency([str(i) for i in range(labels)], counts, borders), borders)
        layers = spec.to_dict()["layer"]
        said = [layer for layer in layers if layer["mark"]["type"] == "text"]
        top = max(10, counts.max() * 1.4)
        assert len(said) == sum(top >= edge >= 0.8 for edge in (borders.head, max(borders.tail, 0.5)))
        assert all(layer["mark"]["align"] in ("left", "right") for layer in said)


def test_group_shares_end_at_one() -> None:
    counts = np.array([100, 40, 20, 9, 8, 1])
    rows = next(iter(data.group_shares(measures.group_shares(counts, BORDERS)).to_dict()["datasets"].values()))
    ends = {row["of"]: row["end"] for row in rows}
    assert ends == pytest.approx({"share of labels": 1.0, "share of assignments": 1.0})
    assert [row["share"] for row in rows] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 140 / 178, 29 / 178, 9 / 178])


def test_labels_without_a_train_document_have_a_colour_where_there_are_any() -> None:
    apart = Borders(35, 8, unseen_apart=True)
    for counts, unseen in (([90, 20, 3, 0], True), ([90, 20, 3], False)):
        frames = measures.rank_frequency(list("abcd")[: len(counts)], np.array(counts), apart)
        shares = measures.group_shares(np.array(counts), apart)
        for chart in (data.rank_frequency(frames, apart), data.group_shares(shares)):
            domains = [
                layer["encoding"]["color"]["scale"]["domain"]
                for layer in chart.to_dict()["layer"]
                if isinstance(layer["encoding"].get("color"), dict) and "scale" in layer["encoding"]["color"]
            ]
            assert domains == [[*groups.FREQUENCY_GROUPS, *[groups.UNSEEN] * unseen]]
        assert len(shares) == 3 + unseen
    rows = shares.assign(share_of_assignments=np.nan)
    assert "NaN" not in json.dumps(data.group_shares(rows).to_dict()["layer"])


def test_long_label_lists_share_the_last_bar() -> None:
    frame = pd.DataFrame({"labels": [0, 1, 24, 30, 77], "documents": [2, 500, 3, 2, 1]})
    rows = next(iter(data.labels_per_document(frame).to_dict()["datasets"].values()))
    assert {row["words"]: row["documents"] for row in rows} == {"0": 2, "1": 500, "24 or more": 6}
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_no_documents_give_an_empty_chart() -> None:
    assert marks(data.labels_per_document(pd.DataFrame({"labels": [], "documents": []}, dtype=int))) == 0


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """The largest data set of a chart."""
    return max(chart.to_dict()["datasets"].values(), key=len)


def test_heatmap_holds_every_pair_once_with_j_in_the_row_and_i_in_the_column() -> None:
    dense = np.random.default_rng(0).random((200, 60)) < 0.1
    pairs = count_pairs(sp.csr_array(dense))
    names = [f"label {i}" for i in range(60)]
    chart = together.cooccurrence(block(pairs, range(40)), names)
    spec, rows = chart.to_dict(), rows_of(chart)
    both = dense[:, :40].T.astype(int) @ dense[:, :40].astype(int)
    assert len({(row["j"], row["i"]) for row in rows}) == len(rows) == np.count_nonzero(both) - 40 <= MAX_MARKS
    assert (spec["encoding"]["y"]["field"], spec["encoding"]["x"]["field"]) == ("given", "label")
    cell = next(row for row in rows if (row["given"], row["label"]) == ("label 3", "label 7"))
    assert (cell["j"], cell["i"]) == (3, 7)
    assert cell["p"] == pytest.approx((dense[:, 3] & dense[:, 7]).sum() / dense[:, 3].sum())
    assert [param["name"] for param in spec["params"]] == [together.CELL]
    assert spec["encoding"]["x"]["scale"]["domain"] == names[:40]


def test_lift_is_coloured_by_its_side_of_chance() -> None:
    dense = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]], bool)
    rows = rows_of(together.cooccurrence(block(count_pairs(sp.csr_array(dense)), range(3)), "abc", colour="lift"))
    than = {(row["given"], row["label"]): (row["than"], row["strength"]) for row in rows}
    assert than["a", "b"] == ("more often", 1)  # lift 2
    assert than["a", "c"] == ("less often", pytest.approx(np.log2(3 / 2)))


@pytest.mark.parametrize("colour", ["p", "lift"])
def test_names_of_every_kind_stay_text_and_apart_in_a_heatmap(colour: str) -> None:
    names = [*NASTY, "x" * 60, "x" * 61, "e\u0301", "\u00e9", "", "  "]
    dense = np.ones((3, len(names)), bool)
    chart = together.cooccurrence(block(count_pairs(sp.csr_array(dense)), range(len(names))), names, colour=colour)
    rows = rows_of(chart)
    assert len(rows) == len(names) * (len(names) - 1)
    assert len({row["label"] for row in rows}) == len(names)
    assert max(len(row["label"]) for row in rows) <= together.LONGEST_NAME
    assert not {row["label"] for row in rows} & together.OF_EVERY_OBJECT


@pytest.mark.parametrize("labels", [3, 20, 40])
def test_a_heatmap_keeps_its_rows_however_long_the_names_are(labels: int) -> None:
    """Height is left for each row beside what the names above may take, and no row's name is left out."""
    names = [f"{number:02} {'regulation ' * 5}" for number in range(labels)]
    chart = together.cooccurrence(block(count_pairs(sp.csr_array(np.ones((2, labels), bool))), range(labels)), names)
    spec = chart.to_dict()
    cells = spec["layer"][0] if "layer" in spec else spec
    across, down = (cells["encoding"][axis]["axis"] for axis in "xy")
    assert (across["labelLimit"], down["labelLimit"]) == (together.TALLEST_NAME, together.WIDEST_NAME)
    assert down["labelOverlap"] is False
    assert spec["height"] - together.TALLEST_NAME >= 12 * labels + 80


@pytest.mark.parametrize(("labels", "texts"), [(2, 2), (together.NUMBERED, 2), (together.NUMBERED + 1, 0)])
def test_the_cells_of_a_small_heatmap_say_their_share_and_their_documents(labels: int, texts: int) -> None:
    dense = np.triu(np.ones((300, labels), bool))  # label 0 is in one document, the next in two
    dense[2:] |= np.arange(labels) == labels - 1
    chart = together.cooccurrence(
        block(count_pairs(sp.csr_array(dense)), range(labels)), [f"n{i}" for i in range(labels)]
    )
    spec = chart.to_dict()
    layers = [layer for layer in spec.get("layer", []) if layer["mark"]["type"] == "text"]
    assert len(layers) in (texts, 2 * texts)
    said = {
        (row["given"], row["label"]): (row["words"], row["small"])
        for rows in spec["datasets"].values()
        for row in rows
        if "words" in row
    }
    assert bool(said) == bool(texts)
    if texts:
        last = f"n{labels - 1}"
        assert said["n0", last] == ("100 %", "1")
        assert said[last, "n0"] == ("< 1 %", "1")


def test_a_heatmap_without_a_pair_is_empty() -> None:
    assert marks(together.cooccurrence(block(count_pairs(sp.csr_array(np.eye(3, dtype=bool))), range(3)), "abc")) == 0


@pytest.mark.slow
def test_the_binned_matrix_is_small_however_many_labels_there_are() -> None:
    targets = sp.random_array((20_000, 18_211), density=12 / 18_211, format="csr", rng=np.random.default_rng(0)) > 0
    chart = together.density(density(count_pairs(targets), 60), 18_211)
    assert 0 < marks(chart) <= 60 * 60
    assert all(row["first"] < row["end"] and row["other_first"] < row["other_end"] for row in rows_of(chart))
    assert len(json.dumps(chart.to_dict())) < 2_000_000


def test_a_bin_is_found_by_its_address_alone() -> None:
    table = density(count_pairs(sp.csr_array(np.ones((2, 3), bool))), 3)
    assert dataset.bin_of(table, "0-1")[["first", "other_first"]].to_numpy().tolist() == [[1, 2]]
    for asked in ("", "0-0", "9-9", "x", "0-1-2"):
        assert dataset.bin_of(table, asked).empty


def test_lengths_of_the_longest_share_the_last_bar() -> None:
    frame = pd.DataFrame({"words": [*range(200), 100_000], "tokens": 1})
    rows = rows_of(data.lengths(frame, "words"))
    assert sum(row["documents"] for row in rows) == 201
    assert rows[-1]["range"].endswith("or more")
    text = data.lengths(frame, "words").to_dict()["layer"][1]
    assert (text["mark"]["type"], text["encoding"]["text"]["field"]) == ("text", "range")
    named = data.lengths(frame, "words").to_dict()["datasets"][text["data"]["name"]]
    assert [row["range"] for row in named] == [rows[-1]["range"]]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    table = dataset.length_table(frame).set_index("length")
    assert (table.loc["words", "median"], table.loc["words", "longest"]) == (100, 100_000)
    assert dataset.share_longer(frame, 0) == 1
    assert sum(row["documents"] for row in rows_of(data.lengths(frame[:0], "words"))) == 0
    assert dataset.length_table(frame[:0]).drop(columns="length").isna().all(axis=None)


@pytest.mark.parametrize("number", [0, 1, 18_211])
def test_drift_keeps_the_labels_furthest_from_chance_and_stays_small(number: int) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(1, 90, number), rng.integers(1, 90, number)
    frame = measures.drift([str(i) for i in range(number)], one, other, documents=(1000, 1000))
    chart = data.drift(frame, "train", "test")
    assert marks(chart) <= MAX_MARKS + 4
    shown = {row["label"] for rows in chart.to_dict()["datasets"].values() for row in rows if "label" in row}
    assert set(dataset.most_drifted(frame, limit=100)["label"]) <= shown


def test_labels_absent_from_a_part_are_named_and_counted() -> None:
    frame = measures.drift("abcd", np.array([50, 0, 0, 3]), np.array([5, 2, 0, 0]), documents=(100, 10))
    assert dataset.absent(frame)["label"].tolist() == ["d", "b", "c"]
    assert dataset.most_drifted(frame)["label"].tolist() == ["b", "d", "a"]
    summary = dataset.drift_summary(frame)
    assert (summary["drifted"], summary["absent"], summary["other_absent"]) == (1, 2, 2)
    assert dataset.most_drifted(frame)["times"].tolist() == ["new", "gone", "1.00"]


def test_every_measure_stands_in_a_table_with_words() -> None:
    stats = measures.corpus_stats(corpus(np.eye(3), {"train": [0, 1], "validation": [], "test": [2]}), BORDERS)
    measured = set().union(*dataset.MEASURES.values())
    assert measured == stats["all"].keys() | {"labels"}
    table = dataset.measure_table(stats, "Table 1 of the paper").set_index("part")
    assert table.index.tolist() == ["train", "test", "all", "Reuters in the paper", "PubMed in the paper"]
    assert table.loc["train", "documents"] == 2
    assert table.loc["PubMed in the paper", "labels"] == 18_211
    assert dataset.measure_table(stats, "Imbalance")["part"].tolist() == ["train", "test", "all"]
    saved = dataset.all_measures(stats)
    assert set(saved["part"]) == {"train", "validation", "test", "all"}
    assert saved["meaning"].str.len().gt(0).all()
    assert set(saved["measure"]) == measured


def test_every_label_has_its_documents_in_every_part() -> None:
    small = corpus([[1, 1], [1, 0], [0, 1]], {"train": [0, 1], "test": [2]})
    assert dataset.label_table(small, Borders(2, 1)).to_dict("list") == {
        "label": ["a", "b"],
        "rank": [1, 2],
        "group": ["head", "tail"],
        "train": [2, 1],
        "test": [0, 1],
        "imbalance": [1, 2],
    }


def test_strongest_pairs_are_found_by_name_and_by_rank() -> None:
    dense = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]], bool)
    pairs, names = count_pairs(sp.csr_array(dense)), ["Gold", "platinum", "grain", "corn"]

    def found(**choice: Any) -> list[set[str]]:
        table, number = dataset.strongest_pairs(pairs, names, by="both", floor=1, **choice)
        assert number == len(table)
        return [{row["label"], row["other"]} for row in table.to_dict("records")]

    assert found()[0] == {"Gold", "platinum"}
    assert found(text=" gold ") == [{"Gold", "platinum"}, {"Gold", "grain"}]
    assert found(ranks=((1, 1), (3, 4))) == [{"Gold", "grain"}]
    assert found(text="x") == []


def test_a_search_is_no_pattern_and_ignores_case() -> None:
    frame = pd.DataFrame({"label": ["Gold", "a.c", "<script>"], "n": [1, 2, 3]})
    assert dataset.search(frame, "GOLD")["n"].tolist() == [1]
    assert dataset.search(frame, ".")["n"].tolist() == [2]
    assert dataset.search(frame, " <SCRIPT> ")["n"].tolist() == [3]
    assert len(dataset.search(frame, "")) == 3


def test_what_ties_two_labels_is_undefined_without_documents() -> None:
    pairs = count_pairs(sp.csr_array(np.array([[1, 1, 0]], bool)))
    assert (dataset.pair_facts(pairs, 0, 1)["p"], dataset.pair_facts(pairs, 0, 1)["both"]) == (1, 1)
    assert (dataset.pair_facts(pairs, 2, 1)["p"], dataset.pair_facts(pairs, 2, 1)["both"]) == (None, 0)

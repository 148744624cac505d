"""The curves of tail macro-F1 against micro-F1: each point is what its threshold gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.analysis import decisions, trade_off, what_if
from core.figures.errors import TRADE_OFF_HEIGHT, TRADE_OFF_WIDTH, trade_off_chart
from core.labels.groups import Borders
from core.metrics import label_sets, thresholds
from core.metrics.quiet import read_quiet
from core.runs import results
from core.runs.predictions import Predictions, read_predictions
from core.runs.results import save_threshold_set
from tests.helpers.laws import law
from tests.helpers.scored import make_run

BORDERS = Borders(35, 8)
COUNTS = [50, 8, 20, 0]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Predictions], bool]:
    """A validation and a test part of four labels, dense or of the best labels alone; and whether margins."""
    margins, sparse = draw(st.booleans()), draw(st.booleans())
    parts = []
    for documents in (draw(st.integers(5, 15)), draw(st.integers(1, 15))):
        shape = (documents, 4)
        grid = draw(arrays(np.int64, shape, elements=st.integers(0, 20)))
        scores = (grid / 5 - 2 if margins else grid / 20).astype(np.float16)
        stored: np.ndarray | sp.csr_array = scores
        if sparse:
            rows, columns = np.nonzero(draw(arrays(np.bool_, shape)))
            stored = sp.csr_array((scores[rows, columns].astype(np.float32), (rows, columns)), shape=shape)
        targets = sp.csr_array(draw(arrays(np.bool_, shape)))
        parts.append(Predictions([], np.arange(documents), targets, stored, 0.5))
    return parts, margins


@law(15)
@given(problems())
def test_every_point_of_a_curve_is_what_its_thresholds_give(problem: tuple[list[Predictions], bool]) -> None:
    (validation, test), margins = problem
    quiet, steps = (
        read_quiet(validation.targets, validation.scores, margins=margins),
        what_if.threshold_steps(test, margins=margins),
    )
    curve = trade_off.curve_table(test, COUNTS, BORDERS, steps=steps, quiet=quiet)
    assert set(curve["curve"]) == {trade_off.GLOBAL, trade_off.QUIET}
    for point in curve.iloc[::4].to_dict("records"):
        limits = point["value"] if point["curve"] == trade_off.GLOBAL else quiet.limits(point["value"])
        scores = label_sets.score_groups(test.targets, thresholds.apply(test.scores, limits), np.array(COUNTS), BORDERS)
        expected = [100 * scores["all"]["micro_f1"], 100 * scores["tail"]["macro_f1"]]
        assert [point["micro"], point["tail"]] == pytest.approx(expected)
        predicted = thresholds.apply(test.scores, limits)
        assert trade_off.f1_of_tail(test, predicted, COUNTS, BORDERS) == pytest.approx(expected)


@law(25)
@given(problems())
def test_the_rule_is_one_of_the_margins(problem: tuple[list[Predictions], bool]) -> None:
    (validation, _), margins = problem
    quiet = read_quiet(validation.targets, validation.scores, margins=margins)
    rule = "quiet-margins" if margins else "quiet"
    found = thresholds.fit_labels(validation.targets, validation.scores, rule=rule)
    np.testing.assert_array_equal(quiet.limits(quiet.margin_of(found)), found)
    np.testing.assert_array_equal(quiet.limits(np.inf), np.full(4, quiet.common))
    grid = np.array([quiet.limits(margin) for margin in trade_off.MARGINS])
    assert (np.diff(grid, axis=0) >= 0).all(), "a wider margin is a higher threshold"


def test_without_a_tail_or_a_document_there_is_no_curve() -> None:
    nothing = Predictions([], np.arange(0), sp.csr_array((0, 4), dtype=bool), np.zeros((0, 4), np.float16), 0.5)
    assert trade_off.curve_table(nothing, COUNTS, BORDERS, steps=[0.5], quiet=None).empty
    one = Predictions([], np.arange(1), sp.csr_array((1, 4), dtype=bool), np.zeros((1, 4), np.float16), 0.5)
    assert trade_off.curve_table(one, [50] * 4, BORDERS, steps=[0.5], quiet=None).empty
    assert np.isnan(trade_off.f1_of_tail(one, what_if.predict(one, 0.5), [50] * 4, BORDERS)).all()
    assert trade_off.groups_of([50] * 4, BORDERS) == {"head"}


def points_of(places: list[tuple[float, float]]) -> pd.DataFrame:
    rows = [(f"rule number {i}", "validation", {"test": place}) for i, place in enumerate(places)]
    return trade_off.merge_points(trade_off.point_table(rows), "test")


def test_rules_on_one_place_are_one_point_and_names_cover_no_other() -> None:
    points = points_of([(80, 20), (80.001, 20.001), (80.2, 20.5), (80.3, 21), (79.9, 19.5), (60, 3), (np.nan, 1.0)])
    assert points["names"].tolist()[0] == "rule number 0, rule number 1"
    assert len(points) == 5
    curve = pd.DataFrame({"curve": trade_off.GLOBAL, "value": [0.1, 0.2], "micro": [70.0, 80], "tail": [5.0, 22]})
    ranges = trade_off.chart_ranges([points], [curve])
    assert ranges[0][0] < 60 < 80.3 < ranges[0][1]
    chart = trade_off_chart(trade_off.name_values(curve), points, {"micro": 80, "tail": 20}, ranges)
    frames = [layer.data for layer in chart.layer if isinstance(layer.data, pd.DataFrame) and "at" in layer.data]
    texts = pd.concat(frames).drop_duplicates("names")
    high = (TRADE_OFF_HEIGHT - 120) / (ranges[1][1] - ranges[1][0])
    close = texts[texts["micro"] > 79].sort_values("at")["at"].to_numpy() * high
    assert (np.diff(close) >= 12.9).all()
    assert TRADE_OFF_WIDTH < 400
    # A click answers with a place that means one point of the curve, or one rule.
    places = [set(layer.data["place"]) for layer in chart.layer if "place" in getattr(layer, "data", {})]
    assert {0, 1} in places
    assert set(range(2, 7)) in places


def test_an_infinite_margin_reaches_the_browser_as_words() -> None:
    curve = pd.DataFrame({"curve": [trade_off.QUIET] * 2, "value": [0.3, np.inf], "micro": [1.0, 2], "tail": [1.0, 2]})
    named = trade_off.name_values(curve)
    assert named["words"].tolist() == ["margin of quiet 0.3", "one threshold, of margin of quiet"]
    assert "value" not in named


def test_every_rule_and_kept_set_that_fits_is_a_point_of_each_part() -> None:
    run = make_run("db", quality=1.5)
    save_threshold_set(run, "mine", rule="by hand", values=0.4, chosen_on="test")
    save_threshold_set(run, "broken", rule="by hand", values=[0.4])
    parts = {part: read_predictions(run, part) for part in ("validation", "test")}
    found = trade_off.rule_points(run, parts, BORDERS, leave_out=["per label"]).set_index("name")
    names = set(what_if.name_readings(run)) - {"broken", "per label"}
    assert set(found.index) == names
    assert found["chosen on"].to_dict() == {name: "test" if name == "mine" else "validation" for name in names}
    counts = results.read_results(run)["counts"]
    for name, rule in what_if.name_readings(run).items():
        if name in names:
            predicted = decisions.decide(run, rule).predicted
            scores = trade_off.f1_of_tail(parts["test"], predicted, counts, BORDERS)
            assert found.loc[name, ["micro test", "tail test"]].tolist() == list(scores)
    asked = []

    def predict(name: str, part: str) -> sp.csr_array:
        asked.append((name, part))
        return what_if.predict_named(run, name, parts[part])

    assert trade_off.rule_points(run, {"test": parts["test"]}, BORDERS, predict=predict)["name"].tolist() != []
    assert ("quiet", "test") in asked
    assert {part for _, part in asked} == {"test"}

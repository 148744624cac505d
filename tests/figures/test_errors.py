"""Tables and charts of runs: what is computed is computed right, and stays small however many labels there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from core.analysis import documents, errors, what_if
from core.analysis.progress import (
    MOST_POINTS,
    RUN_COLUMNS,
    run_figures,
    run_table,
    score_frame,
    time_left,
    words_of_seconds,
)
from core.config.schema import RunConfig
from core.figures import training
from core.figures.errors import confusion_map_chart, f1_by_frequency, f1_points
from core.figures.looks import Look
from core.labels.groups import UNSEEN, Borders, indicator
from core.metrics import uncertainty
from core.runs.folder import About, Damaged, Folder, Run
from core.runs.predictions import Predictions

LABELS = ["gold", "silver", "tin"]
COUNTS = [50, 20, 0]


@pytest.fixture
def predictions() -> Predictions:
    """Four documents, three labels; document 1 misses gold for silver, document 2 misses tin beside gold."""
    targets = sp.csr_array(np.array([[1, 0, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0]], dtype=bool))
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.1], [0.7, 0.2, 0.3], [0.1, 0.6, 0.2]], dtype=np.float16)
    return Predictions(["a", "b", "c", "d"], np.array([7, 5, 3, 1]), targets, scores, 0.5)


def sparse(predictions: Predictions) -> Predictions:
    scores = sp.csr_array(np.asarray(predictions.scores, np.float32))
    return Predictions(predictions.ids, predictions.rows, predictions.targets, scores, predictions.threshold)


def many_labels(number: int) -> pd.DataFrame:
    counts = np.maximum(1, 30_000 // np.arange(1, number + 1))
    group = np.where(counts >= 50, "head", np.where(counts <= 15, "tail", "medium"))
    f1 = np.random.default_rng(0).random(number)
    return pd.DataFrame({"label": [f"label {i}" for i in range(number)], "group": group, "train": counts, "f1": f1})


def given(predictions: Predictions) -> sp.csr_array:
    return what_if.predict(predictions, None)


def test_documents_show_hit_missed_and_spurious_labels_with_scores(predictions: Predictions) -> None:
    titles = [f"title {row}" for row in range(8)]
    for stored in (predictions, sparse(predictions)):
        table = documents.document_table(stored, given(stored), LABELS, [2, 1], titles)
        assert table["id"].tolist() == ["c", "b"]
        assert table["title"].tolist() == ["title 3", "title 5"]
        assert table["missed"].tolist() == ["tin 0.30", "gold 0.20"]
        assert table["spurious"].tolist() == ["", "silver 0.80"]
        assert table["hit"].tolist() == ["gold 0.70", ""]
        assert table["f1"].tolist() == pytest.approx([200 / 3, 0])
    assert "title" not in documents.document_table(predictions, given(predictions), LABELS, [0], None)


def test_a_score_that_is_not_stored_is_no_zero_and_the_lowest(predictions: Predictions) -> None:
    margins = sp.csr_array((np.float32([-0.2, 0.4]), ([2, 1], [0, 1])), shape=(4, 3))
    stored = Predictions(predictions.ids, predictions.rows, predictions.targets, margins, 0.5)
    assert documents.document_table(stored, given(stored), LABELS, [2], None)["missed"].tolist() == [
        "gold -0.20, tin –"
    ]
    table = documents.decision_table(documents.scores_of_document(stored, 2), 0.5, LABELS, [0, 2], [])
    assert table["label"].tolist() == ["gold", "silver", "tin"]
    np.testing.assert_allclose(table["score"], [-0.2, np.nan, np.nan], rtol=1e-6)


def test_no_documents_give_an_empty_table(predictions: Predictions) -> None:
    assert documents.document_table(predictions, given(predictions), LABELS, [], None).empty


def test_pairs_and_their_documents_agree(predictions: Predictions) -> None:
    predicted = given(predictions)
    pairs = errors.confused_pairs(predictions, predicted, LABELS, limit=10)
    found = {(row["missed"], row["gave"]): row["total"] for row in pairs.to_dict("records")}
    assert found == {("gold", "silver"): 1, ("tin", "gold"): 1}
    assert pairs.set_index("missed")["together"].to_dict() == {"gold": 0, "tin": 1}
    assert pairs.set_index("missed")["share_together"].to_dict() == {"gold": 0, "tin": 1}
    for (missed, gave), total in found.items():
        places = LABELS.index(missed), LABELS.index(gave)
        rows, number = errors.pair_documents(predictions, predicted, *places, limit=10)
        assert len(rows) == number == total
    rows, number = errors.pair_documents(predictions, predicted, 0, 1, limit=0)
    assert len(rows) == 0
    assert number == 1


def test_pairs_of_another_run_give_the_change(predictions: Predictions) -> None:
    predicted = given(predictions)
    perfect = indicator(predictions.targets)
    for before, change in ((predicted, 0), (perfect, 1)):
        other = predictions, before
        table = errors.confused_pairs(predictions, predicted, LABELS, limit=10, other=other)
        assert table["change"].tolist() == [change, change]


def test_search_ignores_case_and_is_no_pattern(predictions: Predictions) -> None:
    pairs = errors.confused_pairs(predictions, given(predictions), LABELS, limit=10)
    rows, found = errors.rows_of_label(pairs, "SILV", ["missed", "gave"], limit=10)
    assert found == len(rows) == 1
    assert errors.rows_of_label(pairs, ".*", ["missed", "gave"], limit=10)[1] == 0
    rows, found = errors.rows_of_label(pairs, "", ["missed"], limit=1)
    assert (len(rows), found) == (1, 2)


def test_documents_are_found_by_fault_label_and_number_of_labels(predictions: Predictions) -> None:
    def found(**filters: Any) -> list[int]:
        rows, number = documents.find_documents(predictions, given(predictions), limit=10, **filters)
        assert len(rows) == number
        return rows.tolist()

    assert found() == [1, 2], "the worst first"
    assert found(order="best first") == [2, 1]
    assert found(fault="all", order="in order") == [0, 1, 2, 3]
    assert found(fault="spurious") == [1]
    assert found(label=0, fault="missed") == [1]
    assert found(label=0, fault="hit") == [2, 0]
    assert found(fault="all", sizes=(2, 3)) == [2]
    assert documents.find_documents(predictions, given(predictions), fault="all", limit=1)[1] == 4


def test_labels_that_are_never_predicted_or_never_hit(predictions: Predictions) -> None:
    predicted = given(predictions)
    table = errors.label_table(predictions, predicted, LABELS, COUNTS, Borders(35, 8), 0.5)
    assert errors.select_labels(table, only="never predicted")["label"].tolist() == ["tin"]
    assert errors.select_labels(table, only="never hit")["label"].tolist() == ["tin"]
    assert errors.select_labels(table, group="head")["label"].tolist() == ["gold"]
    assert table["threshold"].tolist() == [0.5] * 3
    low, high = uncertainty.label_intervals(*(table[name].to_numpy() for name in ("tp", "fp", "fn")))
    assert table["low"].tolist() == low.tolist()
    assert table["high"].tolist() == high.tolist()
    other = errors.label_table(predictions, indicator(predictions.targets), LABELS, COUNTS, Borders(35, 8))
    shown = errors.shown_labels(table, other)
    assert shown["change"].tolist() == pytest.approx([-20, 200 / 3 - 100, -100])


def test_moved_thresholds_move_the_predictions(predictions: Predictions) -> None:
    limits = what_if.with_changes(0.5, {0: 0.15}, 3)
    assert limits.tolist() == [0.15, 0.5, 0.5]
    assert what_if.with_changes(0.5, {}, 3) == 0.5
    assert what_if.predict(predictions, limits).toarray()[:, 0].tolist() == [True, True, True, False]
    assert what_if.predict(predictions, None, 1).sum(axis=1).tolist() == [1, 1, 1, 1]
    now, before = (
        errors.headline(predictions, what_if.predict(predictions, x), COUNTS, Borders(35, 8)) for x in (limits, None)
    )
    assert now["micro-F1"] > before["micro-F1"]
    assert (now["labels a document"], before["labels a document"]) == (1.25, 1.0)


def test_the_precision_recall_curve_holds_the_point_of_now(predictions: Predictions) -> None:
    for stored in (predictions, sparse(predictions)):
        curve = errors.precision_recall(stored, 0)
        assert curve["recall"].max() == pytest.approx(100)
        table = errors.label_table(stored, given(stored), LABELS, COUNTS, Borders(35, 8))
        now = 100 * table.loc[0, ["precision", "recall"]].to_numpy(float)
        assert np.isclose(curve[["precision", "recall"]].to_numpy(), now, atol=1e-6).all(axis=1).any()
        for point in curve.to_dict("records"):
            given_at = what_if.predict(stored, what_if.with_changes(9.0, {0: point["cut"]}, 3))
            row = errors.label_table(stored, given_at, LABELS, COUNTS, Borders(35, 8)).iloc[0]
            expected = [100 * row[name] for name in ("precision", "recall", "f1")]
            assert [point[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    nobody = Predictions(["a"], np.array([0]), sp.csr_array((1, 3), dtype=bool), np.zeros((1, 3), np.float16), 0.5)
    assert errors.precision_recall(nobody, 0).empty


def test_the_map_sums_up_to_recall_and_precision(predictions: Predictions) -> None:
    predicted = given(predictions)
    table = errors.confusion_map(predictions, predicted, LABELS, view="recall")
    right = table[table["true"] == table["predicted"]].set_index("true")
    scores = errors.label_table(predictions, predicted, LABELS, COUNTS, Borders(35, 8)).set_index("label")
    share = next(name for name in table.columns if name not in ("true", "predicted") and table[name].dtype == float)
    for label in right.index:
        value = right.loc[label, share]
        assert min(abs(value - scores.loc[label, "recall"]), abs(value - 100 * scores.loc[label, "recall"])) < 1e-9


@pytest.mark.parametrize("view", ["recall", "precision"])
def test_the_map_around_a_label_has_it_and_what_it_is_confused_with_alone(view: str) -> None:
    rng = np.random.default_rng(3)
    truth, predicted = (sp.csr_array(rng.random((60, 9)) < share) for share in (0.2, 0.15))
    many = Predictions([str(i) for i in range(60)], np.arange(60), truth, np.zeros((60, 9), np.float16), 0.5)
    names = [f"label {i}" for i in range(9)]
    whole = errors.confusion_map(many, predicted, names, view=view)
    for column, name in enumerate(names):
        for limit in (2, 4, 20):
            part = errors.confusion_map(many, predicted, names, view=view, limit=limit, around=column)
            shown = set(part["true"]) | set(part["predicted"])
            assert name in shown
            assert len(shown) <= limit
        wrong = whole[whole["true"] != whole["predicted"]]
        beside = set(wrong["predicted"][wrong["true"].eq(name)]) | set(wrong["true"][wrong["predicted"].eq(name)])
        assert shown == beside | {name}
    # A label that is never confused has no map.
    perfect = errors.confusion_map(many, truth, names, view=view, around=0)
    assert perfect.empty


@pytest.mark.parametrize("found", ["label 3", "none of them", ""])
def test_the_label_that_is_looked_for_is_framed_in_the_map(found: str) -> None:
    names = [f"label {i}" for i in range(20)]
    table = pd.DataFrame(
        [
            {"true": one, "predicted": two, "share": 50.0, "documents": 2.0, "place_true": i, "place_predicted": j}
            for i, one in enumerate(names)
            for j, two in enumerate(names)
        ]
    )
    for shown, texts in ((table, 0), (table[(table["place_true"] < 3) & (table["place_predicted"] < 3)], 2)):
        spec = confusion_map_chart(shown, view="recall", found=found).to_dict()
        kinds = [layer["mark"]["type"] for layer in spec["layer"]]
        assert kinds.count("text") in (texts, 2 * texts)
        assert kinds.count("rect") == (3 if found in set(shown["true"]) else 1)


def test_a_group_that_is_hardly_predicted_has_counts_and_no_curve() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < [0.5, 0.3, 0.02]
    scores = np.where(truth, 0.9, 0.1) * rng.random((400, 3))
    scores[:, 2] = np.where(np.arange(400) < 3, 0.8, 0.05)  # three scores of the rare label are high, by luck
    one = Predictions([str(i) for i in range(400)], np.arange(400), sp.csr_array(truth), scores.astype(np.float16), 0.5)
    curve, table = errors.calibration(one, [90, 20, 3], Borders(35, 8))
    assert table["group"].tolist() == ["all", "head", "medium", "tail"]
    rare = table.set_index("group").loc["tail"]
    assert (rare["positives"], rare["predictions"], rare["curve"]) == (truth[:, 2].sum(), 3, False)
    assert rare["right"] == truth[:3, 2].sum()
    assert set(curve["group"]) == {"all", "head", "medium"}
    assert curve["pairs"].min() >= errors.ENOUGH_SCORES
    assert errors.name_uncurved(table).startswith("Tail has no curve: 3 scores of a half or more, ")
    assert errors.name_uncurved(table[table["curve"]]) == ""
    apart = errors.calibration(one, [90, 20, 0], Borders(35, 8, unseen_apart=True))[1]
    assert apart["group"].tolist() == ["all", "head", "medium", UNSEEN]
    assert errors.name_uncurved(apart).startswith("The group 'no train document' has no curve: 3 scores")
    nothing = errors.calibration(one, [90, 20, 3], Borders(1000, 500))
    assert set(nothing[1]["group"]) == {"all", "tail"}


def test_runs_are_laid_side_by_side_by_label() -> None:
    tried = {
        "one": (np.array([0.9, 0.2, 0.1]), np.array([True, False, False]), LABELS),
        "two": (np.array([-1.0, 2.0]), np.array([False, True]), ["tin", "lead"]),
    }
    table = documents.tried_table(tried, more=1)
    assert table["label"].tolist() == ["lead", "gold", "silver", "tin"]
    assert table["given 1"].tolist() == [False, True, False, False]
    assert table["given 2"].tolist() == [True, False, False, False]
    assert table.set_index("label").loc["tin", ["one", "two"]].tolist() == [0.1, -1.0]
    assert np.isnan(table.set_index("label").loc["lead", "one"])
    assert len(documents.tried_table(tried, limit=2)) == 2


def test_points_stand_for_every_label_once() -> None:
    small = many_labels(300)
    points = f1_points(small)
    assert points["labels"].sum() == 300
    same = small.assign(train=5, f1=0.5, group="tail")
    one = f1_points(same)
    assert one[["train", "f1", "labels"]].to_numpy().tolist() == [[5, 50, 300]]
    assert one["names"][0].endswith("and 294 more")


@pytest.mark.parametrize("limit", [2000, 1000, 100])
def test_many_labels_are_few_marks(limit: int) -> None:
    points = f1_points(many_labels(18_211), limit=limit)
    assert len(points) <= limit
    assert points["labels"].sum() == 18_211
    assert points.groupby("group")["labels"].sum().to_dict() == many_labels(18_211)["group"].value_counts().to_dict()


@pytest.mark.parametrize("runs", [1, 2])
def test_scatter_is_a_valid_chart(predictions: Predictions, runs: int) -> None:
    table = errors.label_table(predictions, given(predictions), LABELS, COUNTS, Borders(35, 8))
    tables = {f"run {place}": table for place in range(runs)}
    chart = f1_by_frequency(tables, Borders(35, 8)).to_dict()
    marks = sum(len(rows) for rows in chart["datasets"].values())
    assert marks == 3 * runs + 2
    empty = f1_by_frequency({"none": table.head(0)}, Borders(35, 8)).to_dict()
    assert sorted(empty["datasets"].values(), key=len) == [[], [{"x": 8.5}]], "the border on an empty axis"


HISTORY: list[dict[str, Any]] = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "best": epoch == 2,
        "validation": {
            "all": {"micro_f1": 0.2 * epoch, "macro_f1": 0.1 * epoch},
            "head": {"micro_f1": 0.3, "macro_f1": 0.2},
            "medium": None,
            "tail": {"micro_f1": 0.0, "macro_f1": 0.0},
        },
    }
    for epoch in (1, 2, 3)
]


def test_curves_leave_out_empty_groups_and_mark_the_best_epoch() -> None:
    frame = score_frame(HISTORY)
    assert set(frame["series"]) == {"all", "head", "tail"}
    assert frame[frame["series"] == "all"]["micro"].tolist() == pytest.approx([20, 40, 60])
    chart = training.score_curve(HISTORY, average="macro").to_dict()
    assert UNSEEN not in json.dumps(chart)
    unseen = [entry | {"validation": entry["validation"] | {UNSEEN: {"micro_f1": 0.0}}} for entry in HISTORY]
    assert UNSEEN in json.dumps(
        training.score_curve(unseen, average="micro").to_dict()["layer"][0]["encoding"]["color"]
    )
    assert [{"epoch": 2.0}] in list(chart["datasets"].values())
    with pytest.raises(ValueError, match="median"):
        training.score_curve(HISTORY, average="median")


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{}], [{"epoch": 1, "validation": None}]])
def test_curves_of_thin_histories_are_valid_charts(history: list[dict[str, Any]]) -> None:
    point = [{"epoch": 1, "loss": None, "series": "train"}] if "epoch" in str(history) else []
    assert layers(training.loss_curve(history)) == [("line", point), ("rule", [])]
    assert layers(training.score_curve(history, average="micro")) == [("line", []), ("rule", [])]


def layers(chart: alt.LayerChart) -> list[tuple[str, list[dict[str, Any]]]]:
    """Mark and data of each layer."""
    drawn = chart.to_dict()
    return [(layer["mark"]["type"], drawn["datasets"][layer["data"]["name"]]) for layer in drawn["layer"]]


def test_run_table_lists_damaged_runs_too() -> None:
    good = Run(
        *("good", Path("good"), "running"),
        config=RunConfig.model_validate({"loss": {"name": "db"}}),
        started=40.0,
        progress={"epoch": 2, "epochs": 9, "fraction": 0.2, "since": [60.0, 0.1]},
        device="cpu",
        about=About(name="mine", pinned=True, tags=("a",)),
    )
    bad = Damaged("bad", Path("bad"), "failed", problem="no settings")
    table = run_table([good, bad], {"good": HISTORY[0]["validation"]}, {"good": 2_500_000}, now=100.0)
    assert table["run"].tolist() == ["good", "bad"]
    assert table.loc[0, ["name", "epoch", "age", "micro"]].tolist() == ["★ mine", "2 of 9", "60 s", pytest.approx(20)]
    assert table.loc[0, ["left", "size", "tags"]].tolist() == ["5 min", 2.5, ["a"]], "0.1 took 40 s, 0.8 are left"
    assert table["state"].tolist() == [["running"], ["failed"]]
    assert run_table([], {}, {}, now=0.0).columns.tolist() == list(RUN_COLUMNS)


@pytest.mark.parametrize(
    "progress", [{}, {"since": None}, {"since": [1, 2, 3]}, {"since": ["x", "y"]}, {"since": [9, 0]}]
)
def test_time_left_is_not_said_where_it_is_not_known(progress: dict[str, Any]) -> None:
    assert time_left(Folder("a", Path("a"), "running", progress=progress), now=100.0) is None


def test_the_figures_of_a_run_have_units_and_leave_out_what_is_not_known() -> None:
    run = Folder("a", Path("a"), "running", progress={"epoch": 1, "epochs": 4})
    beat = {"cpu": 103.4, "memory": 1.2e9, "of_memory": 24e9, "gpu": 3e9}
    step = {"documents_per_second": 1234.5}
    found = run_figures(run, HISTORY[0] | {"labels_hit": 7}, step, beat, now=0.0)
    assert found["validation micro-F1"] == "20.00"
    assert [found[key] for key in ("CPU", "memory", "GPU memory")] == ["103 %", "1.2 of 24 GB", "3.0 GB"]
    assert [found[key] for key in ("labels hit", "epoch", "documents/s")] == ["7", "1/4", "1,234"]
    assert run_figures(run, {}, {}, {}, now=0.0) == {"epoch": "1/4"}


def test_several_runs_stand_in_one_chart_with_a_line_each() -> None:
    histories = {"a": HISTORY, "b": HISTORY[:1], "c": []}
    looks = {name: Look(f"#00000{number}", (1, 0), "circle") for number, name in enumerate(histories, 1)}
    chart = training.together(histories, looks, quantity="micro_f1", title="F1").to_dict()
    (rows,) = chart["datasets"].values()
    colours = ["#000001", "#000002", "#000003"]
    assert chart["encoding"]["color"]["scale"] == {"domain": ["a", "b", "c"], "range": colours}
    assert (rows[0]["run"], rows[0]["value"]) == ("a", pytest.approx(20))
    assert {row["run"] for row in rows} == {"a", "b"}
    assert len(rows) == len(HISTORY) + 1
    nothing = training.together({}, {}, quantity="train_loss", title="loss").to_dict()
    assert (list(nothing["datasets"].values()), nothing["encoding"]["y"]["title"]) == ([[]], "loss")
    (hits,) = training.hits_curve([{"epoch": 1, "labels_hit": 3}, {"epoch": 2}]).to_dict()["datasets"].values()
    assert hits == [{"epoch": 1, "labels": 3}]


def test_a_history_of_thousands_of_epochs_is_thinned_and_keeps_its_last() -> None:
    history = [HISTORY[0] | {"epoch": number} for number in range(1, 7001)]
    for chart in (training.loss_curve(history), training.score_curve(history, average="micro")):
        rows = max(chart.to_dict()["datasets"].values(), key=len)
        epochs = {row["epoch"] for row in rows}
        assert max(epochs) == 7000
        assert len(epochs) <= 2 * MOST_POINTS


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59.9, "59 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_lengths_of_time_in_words(seconds: float, said: str) -> None:
    assert words_of_seconds(seconds) == said


def test_the_course_between_evaluations_is_drawn_by_epochs_done_and_thinned() -> None:
    line = {"steps": 100, "train_loss": 0.5, "memory": 2_000_000_000}
    steps = [line | {"epoch": 1 + number // 100, "step": 1 + number % 100} for number in range(2000)]
    chart = training.step_curve(steps, quantity="memory").to_dict()
    (rows,) = chart["datasets"].values()
    assert MOST_POINTS <= len(rows) <= 2 * MOST_POINTS
    assert rows[-1] == {"epochs done": 20.0, "memory": 2.0}
    for steps, quantity in (([], "learning_rate"), ([{"epoch": 1}], "gradient_norm")):
        chart = training.step_curve(steps, quantity=quantity).to_dict()
        assert list(chart["datasets"].values()) == [[]]
        assert chart["encoding"]["y"]["title"] == training.COURSE[quantity]


def test_a_light_chart_is_the_same_chart_with_its_data_inside() -> None:
    for chart in (training.loss_curve(HISTORY), training.hits_curve([{"epoch": 1, "labels_hit": 3}])):
        whole, light = chart.to_dict(), training.light(chart)
        assert "datasets" not in light
        inside = [layer["data"]["values"] for layer in light["layer"]]
        assert sorted(map(str, inside)) == sorted(map(str, whole["datasets"].values()))
        again = alt.LayerChart.from_dict(light)
        assert len(again.layer) == len(light["layer"])

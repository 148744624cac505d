"""Tables and charts of runs: what is computed is computed right, and stays small however many labels there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from core import metrics, thresholds
from core.config import RunConfig
from core.figures import results, training
from core.labels import Borders
from core.store import Predictions, Run

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


def test_documents_show_true_and_predicted_labels_with_scores(predictions: Predictions) -> None:
    titles = [f"title {row}" for row in range(8)]
    for stored in (predictions, sparse(predictions)):
        table = results.document_table(stored, LABELS, [2, 1], titles)
        assert table["id"].tolist() == ["c", "b"]
        assert table["title"].tolist() == ["title 3", "title 5"]
        assert table["true"].tolist() == ["gold 0.70, tin 0.30", "gold 0.20"]
        assert table["predicted"].tolist() == ["gold 0.70", "silver 0.80"]
    assert "title" not in results.document_table(predictions, LABELS, [0], None)


def test_no_documents_give_an_empty_table(predictions: Predictions) -> None:
    assert results.document_table(predictions, LABELS, [], None).empty


def test_pairs_and_their_documents_agree(predictions: Predictions) -> None:
    pairs = results.confused_pairs(predictions, LABELS, limit=10)
    found = {(row["missed"], row["gave"]): row["total"] for row in pairs.to_dict("records")}
    assert found == {("gold", "silver"): 1, ("tin", "gold"): 1}
    for (missed, gave), total in found.items():
        rows, number = results.pair_documents(predictions, LABELS.index(missed), LABELS.index(gave), limit=10)
        assert len(rows) == number == total
    rows, number = results.pair_documents(predictions, 0, 1, limit=0)
    assert len(rows) == 0
    assert number == 1


def test_search_ignores_case_and_is_no_pattern(predictions: Predictions) -> None:
    pairs = results.confused_pairs(predictions, LABELS, limit=10)
    rows, found = results.rows_of_label(pairs, "SILV", ["missed", "gave"], limit=10)
    assert found == len(rows) == 1
    assert results.rows_of_label(pairs, ".*", ["missed", "gave"], limit=10)[1] == 0
    rows, found = results.rows_of_label(pairs, "", ["missed"], limit=1)
    assert (len(rows), found) == (1, 2)


def test_points_stand_for_every_label_once() -> None:
    small = many_labels(300)
    points = results.f1_points(small)
    assert points["labels"].sum() == 300
    same = small.assign(train=5, f1=0.5, group="tail")
    one = results.f1_points(same)
    assert one[["train", "f1", "labels"]].to_numpy().tolist() == [[5, 50, 300]]
    assert one["names"][0].endswith("and 294 more")


@pytest.mark.parametrize("limit", [2000, 1000, 100])
def test_many_labels_are_few_marks(limit: int) -> None:
    points = results.f1_points(many_labels(18_211), limit=limit)
    assert len(points) <= limit
    assert points["labels"].sum() == 18_211
    assert points.groupby("group")["labels"].sum().to_dict() == many_labels(18_211)["group"].value_counts().to_dict()


@pytest.mark.parametrize("runs", [1, 2])
def test_scatter_is_a_valid_chart(predictions: Predictions, runs: int) -> None:
    table = results.label_table(predictions, LABELS, COUNTS, Borders(35, 8))
    tables = {f"run {place}": table for place in range(runs)}
    chart = results.f1_by_frequency(tables, Borders(35, 8)).to_dict()
    marks = sum(len(rows) for rows in chart["datasets"].values())
    assert marks == 3 * runs + 2
    assert results.f1_by_frequency({"none": table.head(0)}, Borders(35, 8)).to_dict()


def test_regrouped_equals_the_scores_with_the_new_borders(predictions: Predictions) -> None:
    score = {f"{group}_{name}": 11.0 for group in ("total", "head", "medium", "tail") for name in ("micro", "macro")}
    identity = {"method": "bce", "data": "reuters", "model": "tfidf", "loss": "bce", "seed": 0}
    frame = pd.DataFrame(
        [{"source": "published", **identity, "run": None, **score}, {"source": "run", **identity, "run": "r", **score}]
    )
    borders = Borders(21, 0)
    scores = results.score_groups(predictions, COUNTS, borders)
    changed = results.regrouped(frame, {"r": scores}, table=2)
    predicted = thresholds.apply(predictions.scores, predictions.threshold)
    assert scores == metrics.score_groups(predictions.targets, predicted, np.array(COUNTS), borders)
    assert changed["head_micro"][1] == pytest.approx(100 * scores["head"]["micro_f1"])
    assert changed["total_micro"].tolist() == [11.0, pytest.approx(100 * scores["all"]["micro_f1"])]
    assert np.isnan(changed["tail_macro"][0])
    assert frame["head_micro"].tolist() == [11.0, 11.0]


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
    frame = training.score_frame(HISTORY)
    assert set(frame["series"]) == {"all", "head", "tail"}
    assert frame[frame["series"] == "all"]["micro"].tolist() == pytest.approx([20, 40, 60])
    chart = training.score_curve(HISTORY, average="macro").to_dict()
    assert [{"epoch": 2.0}] in list(chart["datasets"].values())
    with pytest.raises(ValueError, match="median"):
        training.score_curve(HISTORY, average="median")


@pytest.mark.parametrize("history", [[], [{"epoch": 1}], [{}], [{"epoch": 1, "validation": None}]])
def test_curves_of_thin_histories_are_valid_charts(history: list[dict[str, Any]]) -> None:
    assert training.loss_curve(history).to_dict()
    assert training.score_curve(history, average="micro").to_dict()


def test_run_table_lists_damaged_runs_too() -> None:
    good = Run(
        *("good", Path("good"), RunConfig.model_validate({"loss": {"name": "db"}}), "running"),
        started=40.0,
        progress={"epoch": 2, "epochs": 9, "fraction": 0.2},
        device="cpu",
    )
    bad = Run("bad", Path("bad"), None, "failed", problem="no settings")
    table = training.run_table([good, bad], {"good": HISTORY[0]["validation"]}, now=100.0)
    assert table["run"].tolist() == ["good", "bad"]
    assert table.loc[0, ["loss", "epoch", "age", "micro"]].tolist() == ["db", "2 of 9", "60 s", pytest.approx(20)]
    assert table["state"].tolist() == [["running"], ["failed"]]
    assert training.run_table([], {}, now=0.0).columns.tolist() == list(training.RUN_COLUMNS)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59.9, "59 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_lengths_of_time_in_words(seconds: float, said: str) -> None:
    assert training.words_of_seconds(seconds) == said

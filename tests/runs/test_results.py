"""Named thresholds: kept, renamed, deleted, and for ever told by which part they were chosen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.analysis import decisions
from core.runs import folder, results, share
from core.runs.folder import Run
from core.system.errors import UserError
from core.system.places import ROOT
from tests.helpers.scored import make_run


@pytest.fixture
def run() -> Run:
    found = make_run()
    for name, chosen_on in (("first", "validation"), ("second", "test"), ("third", None)):
        results.save_threshold_set(found, name, rule="my own", values=0.3, chosen_on=chosen_on)
    return found


def test_the_part_by_which_thresholds_were_chosen_is_kept(run: Run) -> None:
    assert [results.read_chosen_on(run, name) for name in ("first", "second", "third")] == [
        "validation",
        "test",
        "unknown",
    ]
    assert "chosen_on" not in results.read_threshold_set(run, "third")
    with pytest.raises(UserError, match="has no thresholds named 'fourth': it keeps first, second, third"):
        results.read_chosen_on(run, "fourth")
    results.save_threshold_set(run, "fourth", rule="my own", values=0.3, chosen_on="train")
    assert results.read_chosen_on(run, "fourth") == "unknown"


def test_a_new_name_leaves_all_else(run: Run) -> None:
    before = results.read_threshold_sets(run)
    results.rename_threshold_set(run, "second", " other ")
    after = results.read_threshold_sets(run)
    assert list(after) == ["first", "other", "third"]
    assert after["other"] == before["second"]
    results.rename_threshold_set(run, "other", "other")
    assert results.read_threshold_sets(run) == after


@pytest.mark.parametrize(
    ("name", "new", "said"),
    [
        ("first", "second", "keeps thresholds named 'second' already"),
        ("nothing", "else", "no thresholds named 'nothing'"),
        ("first", " ", "need a name"),
        ("first", "x" * 61, "need a name"),
    ],
)
def test_a_name_that_cannot_be_given_changes_nothing(run: Run, name: str, new: str, said: str) -> None:
    before = (run.path / "thresholds.json").read_bytes()
    with pytest.raises(UserError, match=said):
        results.rename_threshold_set(run, name, new)
    assert (run.path / "thresholds.json").read_bytes() == before


def test_what_is_deleted_is_gone_and_nothing_else(run: Run) -> None:
    results.delete_threshold_set(run, "first")
    assert list(results.read_threshold_sets(run)) == ["second", "third"]
    with pytest.raises(UserError, match="no thresholds named 'first'"):
        results.delete_threshold_set(run, "first")


def test_published_runs_and_read_only_dashboards_change_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = (
        lambda one: results.save_threshold_set(one, "mine", rule="fixed", values=0.3),
        lambda one: results.rename_threshold_set(one, "first", "mine"),
        lambda one: results.delete_threshold_set(one, "first"),
    )
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    for act in acts:
        with pytest.raises(UserError, match="read-only"):
            act(run)
    monkeypatch.delenv("TAILSCOPE_READONLY")
    share.publish(run)
    folder.delete_run(run.id)
    for act in acts:
        with pytest.raises(UserError, match="never changed"):
            act(folder.get_run(run.id))


TWO = """
import sys
from pathlib import Path
from core.runs import results
from core.runs.folder import get_run
me, run_id, begin = sys.argv[1:]
while not Path(begin).exists():
    pass
run = get_run(run_id)
for turn in range(15):
    results.save_threshold_set(run, f"{me} {turn}", rule="fixed", values=0.5, chosen_on="test")
    results.rename_threshold_set(run, f"{me} {turn}", f"{me} kept {turn}")
    if turn % 3 == 0:
        results.delete_threshold_set(run, f"{me} kept {turn}")
"""


@pytest.mark.slow
def test_two_people_at_once_lose_nothing(run: Run) -> None:
    begin = run.path.parent.parent / "begin"
    both = [
        subprocess.Popen([sys.executable, "-c", TWO, me, run.id, str(begin)], cwd=ROOT, stderr=subprocess.PIPE)
        for me in ("one", "two")
    ]
    begin.touch()
    assert [process.communicate(timeout=120)[1] for process in both] == [b"", b""]
    found = set(results.read_threshold_sets(run)) - {"first", "second", "third"}
    assert found == {f"{me} kept {turn}" for me in ("one", "two") for turn in range(15) if turn % 3}


@pytest.mark.parametrize("name", ["two\nlines", "a\ttab", "\x00", "\ud800", "a\x1b[31m"])
def test_a_name_is_one_line_of_letters(name: str, run: Run) -> None:
    before = results.read_threshold_sets(run)
    with pytest.raises(UserError, match="one line of letters"):
        results.save_threshold_set(run, name, rule="my own", values=0.3)
    with pytest.raises(UserError, match="one line of letters"):
        results.rename_threshold_set(run, "first", name)
    assert results.read_threshold_sets(run) == before
    results.save_threshold_set(run, "黄金 = 1 + ä 👩‍🔬", rule="my own", values=0.3)
    assert decisions.find_limits(run, "kept:黄金 = 1 + ä 👩‍🔬") == 0.3

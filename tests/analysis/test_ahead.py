"""What is made before somebody asks: exactly what is missing, with the page's own numbers, and in nobody's way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from core.analysis import ahead, decisions, kept_samples, samples
from core.analysis.samples import RANKING
from core.cli.main import main
from core.labels.groups import Borders
from core.runs import folder, plan
from core.runs.folder import Run
from core.runs.layout import NODE_VARIABLE
from core.runs.predictions import read_predictions, write_predictions
from core.runs.results import read_results
from core.system.errors import UserError
from core.system.locks import try_lock
from core.system.places import ROOT, cache_dir
from tests.analysis.test_kept_samples import digits, kept, read_nothing
from tests.helpers.drawn import open_page, words
from tests.helpers.runs import make_folder, until
from tests.helpers.scored import BORDERS, make_run

RULES = (*decisions.READINGS, RANKING)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Four runs, which are as many as it takes, and large enough."""
    monkeypatch.setattr(ahead, "FEW", 4)
    monkeypatch.setattr(ahead, "SMALL", -1)
    return [make_run(loss, seed, quality=1.5) for loss in ("db", "bce") for seed in (0, 1)]


def processes() -> list[psutil.Process]:
    """Those that make something ahead in the test's cache."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if ahead.__name__ in one.cmdline() and one.environ().get("TAILSCOPE_CACHE") == str(cache_dir()):
                found.append(one)
    return found


def is_over() -> bool:
    """Whether no process works; one that does gets the tests' own priority, where that is allowed: they are busy."""
    for one in processes():
        with suppress(psutil.Error):
            one.nice(0)
    return not ahead.is_busy()


def made_again(run: Run, *_: object, **__: object) -> samples.Sampled:
    raise AssertionError(f"{run.id} was scored again")


def assert_kept(run: Run, borders: Borders = BORDERS) -> None:
    """All that Compare shows of a run is there, and is what would be made."""
    for rule in RULES:
        found = kept_samples.sample(run, borders, rule, read=read_nothing)
        assert digits(found) == digits(samples.sample(run, borders, rule)), rule


def test_exactly_what_is_missing_is_made_and_is_what_the_page_would_have_made(runs: list[Run]) -> None:
    kept_samples.sample(runs[0], BORDERS, "quiet")
    kept_samples.sample(runs[1], Borders(50, 5), "exact")
    before = {path: path.stat() for path in kept()}
    assert ahead.keep_missing(runs, BORDERS)
    (process,) = processes()
    assert until(lambda: process.nice() == 19)
    until(is_over)
    assert len(kept()) == len(RULES) * len(runs) + 1
    assert all(
        (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns) for path, was in before.items()
    )
    for run in runs:
        assert_kept(run)
    assert not ahead.keep_missing(runs, BORDERS), "nothing is missing any longer"
    assert not kept_samples.find_missing(runs, BORDERS, RULES)


def test_the_first_drawing_of_compare_has_the_other_rules_made(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_page("compare")
    until(is_over)
    borders = Borders(**read_results(runs[0])["borders"])
    for run in runs:
        assert_kept(run, borders)
    before = kept()
    monkeypatch.setattr(samples, "sample", made_again)
    assert "at the rule quiet" in words(open_page("compare", decide="one rule", rule="quiet"))
    assert kept() == before
    assert not processes(), "nothing is missing any longer"


def test_where_a_rule_takes_little_no_process_is_started(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ahead.keep_missing(runs[:3], BORDERS), "too few"
    for run in runs:
        for rule in RULES:
            kept_samples.sample(run, BORDERS, rule) if run is runs[0] or rule != "pcut" else None
    assert not ahead.keep_missing(runs, BORDERS), "three lack one rule"
    shutil.rmtree(kept_samples.samples_dir())
    monkeypatch.setattr(ahead, "SMALL", 0)
    assert not ahead.keep_missing(runs, BORDERS), "small ones"
    assert not ahead.keep_run(runs[0].id)
    monkeypatch.setattr(ahead, "SMALL", -1)
    monkeypatch.setattr(ahead, "MANY_LABELS", 9)
    assert not processes()
    assert ahead.keep_missing(runs[:1], BORDERS), "one with thousands of labels is enough"
    until(is_over)
    assert_kept(runs[0])


def test_a_run_that_ends_is_kept_and_one_that_fails_or_is_on_a_node_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "SMALL", -1)
    small = ["data.synthetic.documents=240", "data.synthetic.labels=8"]
    path = make_folder(plan.make_config(data="synthetic", model="svm", loss=None, seed=1, changes=small))
    monkeypatch.setattr("sys.argv", ["core", "train", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    run = folder.get_run(path.name)
    assert run.state == "finished"
    until(is_over)
    assert_kept(run, Borders(**read_results(run)["borders"]))
    shutil.rmtree(kept_samples.samples_dir())
    monkeypatch.setenv(NODE_VARIABLE, "0")
    assert not ahead.keep_run(run.id)
    monkeypatch.delenv(NODE_VARIABLE)
    monkeypatch.setattr(ahead, "SMALL", 100_000)
    assert not ahead.keep_run(run.id), "a small one"
    monkeypatch.setattr(ahead, "SMALL", -1)
    (path / "metrics.json").write_text("{}")
    assert not ahead.keep_run(run.id)
    assert not ahead.keep_run("no-such-run")
    assert not processes()


def test_combined_runs_are_kept_when_they_are_made(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["core", "combine", runs[0].id, runs[2].id])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    until(is_over)
    (made,) = [run for run in folder.list_runs() if run.config.combined]
    assert_kept(made)
    assert len(kept()) == len(RULES)


KILLED = """
import sys
from core.analysis import ahead
from tests.helpers.dying import die_at
die_at(11, [sys.argv[1]])
ahead.main(*sys.argv[2:])
"""
"""The process, which is killed at its eleventh write."""


@pytest.mark.slow
def test_a_kill_loses_nothing(runs: list[Run]) -> None:
    words = [str(kept_samples.samples_dir()), json.dumps(BORDERS.as_json()), *(run.id for run in runs)]
    assert subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert kept()
    assert kept_samples.find_missing(runs, BORDERS, RULES)
    assert ahead.keep_missing(runs, BORDERS)
    until(is_over)
    for run in runs:
        assert_kept(run)


SERVER = """
import sys, time
from core.analysis import ahead
from core.labels.groups import Borders
from core.runs import folder
ahead.FEW, ahead.SMALL = 4, -1
runs = folder.list_runs()
print("ready", flush=True)
sys.stdin.readline()
print(ahead.keep_missing(runs, Borders(35, 8)))
"""


@pytest.mark.slow
def test_of_two_servers_one_makes_it_and_it_goes_on_when_that_ends(runs: list[Run]) -> None:
    command = [sys.executable, "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    servers = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for server in servers:
        assert server.stdout.readline() == "ready\n"
    for server in servers:
        server.stdin.write("go\n")
        server.stdin.flush()
    said = [server.communicate(timeout=120)[0].strip() for server in servers]
    assert sorted(said) == ["False", "False", "True"]
    until(is_over)
    for run in runs:
        assert_kept(run)


def test_while_one_works_no_other_is_started(runs: list[Run]) -> None:
    held = try_lock(cache_dir() / "locks" / "ahead.lock")
    assert held is not None
    assert ahead.is_busy()
    assert not ahead.keep_missing(runs, BORDERS)
    assert not ahead.keep_run(runs[0].id)
    open_page("compare")
    os.close(held)
    assert not processes()
    open_page("compare")
    until(is_over)
    assert not kept_samples.find_missing(runs, BORDERS, RULES), "rows that had to wait are asked for again"


def test_a_run_that_is_damaged_or_gone_leaves_the_others(runs: list[Run]) -> None:
    (runs[0].path / "validation.npz").write_bytes(b"PK")
    shutil.rmtree(runs[1].path)
    ahead.main('{"head": 35, "tail": 8}', *(run.id for run in runs), "../no", "no-such-run")
    for run in runs[2:]:
        assert_kept(run)
    fitted = {rule for run, rule in kept_samples.find_missing(runs[:1], BORDERS, RULES)}
    assert fitted == set(RULES) - {decisions.AS_TRAINED, decisions.SAME_COUNT, RANKING}


@pytest.mark.parametrize("place", ["samples", "locks"])
def test_where_nothing_can_be_kept_it_ends_at_once(
    place: str, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache_dir() / place).write_text("no folder")
    made = []
    real = samples.sample
    monkeypatch.setattr(samples, "sample", lambda *rest, **more: made.append(rest) or real(*rest, **more))
    assert ahead.keep_missing(runs, BORDERS) == (place == "samples")
    until(is_over)
    if place == "samples":
        ahead.fill(runs, BORDERS)
        assert len(made) == 1


def test_files_that_change_meanwhile_are_read_again(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = runs[:1]
    real = kept_samples.sample

    def change_after_the_first(*rest, **more):
        found = real(*rest, **more)
        if len(kept()) == 1:
            for part in ("test", "validation"):
                stored = read_predictions(run, part)
                stored.scores[:] = stored.scores[::-1].copy()
                write_predictions(run.path, stored, part)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(kept_samples, "sample", change_after_the_first)
        ahead.fill([run], BORDERS)
        ahead.fill([run], BORDERS)
    assert len(kept()) == len(RULES) + 1
    assert_kept(run)


OTHER_PROGRAM = """
import sys
from core.analysis import ahead
from core.labels.groups import Borders
from core.runs import folder
from core.system.places import ROOT
ahead.FEW, ahead.SMALL = 1, -1
if sys.argv[1] == "changed":
    (ROOT / "core" / "cli" / "__init__.py").touch()
runs = folder.list_runs()
ahead.fill(runs, Borders(35, 8))
print(ahead.keep_missing(runs, Borders(40, 8)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unchanged", "changed"])
def test_a_program_that_changed_since_its_start_makes_nothing(how: str, runs: list[Run], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", OTHER_PROGRAM, how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    until(is_over)
    assert done.stdout.strip() == {"unchanged": "True", "changed": "False"}[how]
    assert len(kept()) == {"unchanged": 2 * len(RULES) * len(runs), "changed": 0}[how]


def test_of_very_many_runs_no_more_is_made_than_stays_kept(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FILES", 10)
    ahead.fill(runs, BORDERS)
    assert len(kept()) == 8
    assert not kept_samples.find_missing(runs, BORDERS, [decisions.AS_TRAINED, "quiet"])
    assert not ahead.keep_missing(runs, BORDERS), "the rest is made when it is asked for"
    with pytest.raises(UserError):
        folder.get_run("no-such-run")

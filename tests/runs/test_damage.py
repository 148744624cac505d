"""One damaged file of one run: every reader goes on, the other runs are as they were, and the damage is said."""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from core.analysis import compare, progress, tables
from core.analysis.samples import compare_rows
from core.cli import runs as commands
from core.cli.results import print_report
from core.cli.train import list_sweeps
from core.figures import training
from core.jobs import estimates, sweeps
from core.runs import folder, journal, layout, results, share
from core.runs.folder import Damaged, Run
from core.runs.predictions import read_predictions
from core.system.errors import UserError
from core.system.files import write_json
from core.system.places import cache_dir
from tests.helpers import damages
from tests.helpers.scored import make_run

JSON = ("config.json", "status.json", "metrics.json", "thresholds.json", "about.json", "heartbeat.json", "process.json")
LINES = ("history.jsonl", "steps.jsonl", "events.jsonl")
ARRAYS = ("predictions.npz", "validation.npz")
MARKED = ("config.json", "status.json", "metrics.json", "thresholds.json", *ARRAYS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a whole run of `db` and one of `bce`."""
    kept = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(kept))
        damages.make_whole()
        make_run("bce")
    return kept


@pytest.fixture
def both(whole: Path, cache: Path) -> tuple[Run, Run]:
    """The run that is damaged, and the other."""
    shutil.copytree(whole, cache)
    return folder.get_run(run_of(cache, "db")), folder.get_run(run_of(cache, "bce"))


def run_of(cache: Path, loss: str) -> str:
    return next(path.name for path in (cache / "runs").iterdir() if f"-tfidf-{loss}-" in path.name)


def call(command: Callable[..., None], *arguments: Any, **options: Any) -> str:
    """What a command prints, or the sentence that it refuses with."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        refused = said(lambda: command(*arguments, **options))
    return printed.getvalue() + refused


def report(*runs: str) -> str:
    """What `report --json` prints, or the sentence that it refuses with."""
    return call(print_report, list(runs), as_json=True)


def said(read: Callable[[], object]) -> str:
    """The sentence that a reader refuses with; empty if it reads."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


def look(run_id: str, other: Run, name: str, *, curves: bool = False) -> str:
    """Reads all that the pages Launcher, Home and Try it and the commands read: what is said of the damage."""
    found = {one.id: one for one in folder.list_folders()}
    assert isinstance(found[other.id], Run)
    one = found[run_id]
    words = [one.problem if isinstance(one, Damaged) else "", one.remark, journal.describe_damage(one.path)]
    # Launcher: the table, one run, its curves.
    history, steps = journal.read_history(one.path), journal.read_steps(one.path)
    scores = progress.scores_in(history[-1]) if history else {}
    progress.run_table([one], {run_id: scores}, {}, now=time.time())
    last = [journal.read_last(one.path, name) for name in ("history.jsonl", "steps.jsonl")]
    progress.run_figures(one, *last, journal.read_heartbeat(one.path), now=time.time())
    for event in journal.read_events(one.path):
        progress.event_row(event)
    if curves:
        drawn = [
            training.loss_curve(history),
            training.hits_curve(history),
            training.score_curve(history, average="micro"),
        ]
        drawn = drawn if name == "history.jsonl" else [training.step_curve(steps, quantity="memory")]
        for chart in drawn:
            json.dumps(training.light(chart), allow_nan=False)
    journal.read_log(one.path)
    if isinstance(one, Run):
        estimates.cost(one)
    # Commands.
    listed = {row["id"]: row for row in json.loads(call(commands.list_runs, as_json=True))["runs"]}
    assert listed[other.id]["state"] == "finished"
    assert not listed[other.id]["problem"]
    words.append(listed[run_id]["problem"])
    return " ".join([*words, call(commands.status, run_id), call(commands.status, run_id, as_json=True)])


def compared(run_id: str, other: Run) -> str:
    """Reads all that Compare and Errors read: what is said of the damage."""
    words, runs = [], []
    for one in folder.list_folders():
        try:
            run = folder.as_run(one)
            results.read_results(run)
            runs.append(run)
        except UserError as error:
            words.append(str(error))
    rows = tables.fold(runs)
    comparison = compare_rows(rows)
    assert any(other in row.runs for row in comparison.rows)
    words += comparison.problems
    compare.training_frame(rows)
    compare.cost_table(rows)
    for run in runs:
        for part in ("test", "validation"):
            words.append(said(lambda run=run, part=part: read_predictions(run, part)))
        words.append(said(lambda run=run: results.read_threshold_sets(run)))
    return " ".join(words)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*JSON, *LINES])
def test_a_damaged_file_marks_its_run_and_hides_no_other(name: str, both: tuple[Run, Run]) -> None:
    run, other = both
    content = (run.path / name).read_bytes()
    cases: dict[str, bytes | str] = {**damages.damages(content), **{link: link for link in damages.LINKS}}
    for number, (what, changed) in enumerate(cases.items()):
        damages.put(run.path / name, changed)
        found = look(run.id, other, name, curves=name in ("history.jsonl", "steps.jsonl") and number % 4 == 0)
        if name in ("config.json", "status.json") and what in (*damages.WHOLE, *damages.LINKS):
            assert name in found, what
            assert isinstance(folder.get_folder(run.id), Damaged), what


@pytest.mark.slow
@pytest.mark.parametrize("name", MARKED)
def test_a_damaged_result_is_one_sentence_of_compare_and_errors(name: str, both: tuple[Run, Run]) -> None:
    run, other = both
    content = (run.path / name).read_bytes()
    if name in ARRAYS:
        cases: dict[str, bytes | str] = dict(damages.array_damages(content))
    else:
        cases = dict(damages.damages(content))
    for what, changed in {**cases, **{link: link for link in damages.LINKS}}.items():
        damages.put(run.path / name, changed)
        found = compared(run.id, other)
        if what in (*damages.WHOLE, *damages.LINKS) and not (name == "thresholds.json" and what == "an empty object"):
            assert name in found, what
        report(run.id)
        assert f'"run": "{other.id}"' in report("all"), what


@pytest.mark.parametrize("name", MARKED)
def test_a_damaged_run_is_not_exported(name: str, both: tuple[Run, Run], tmp_path: Path) -> None:
    run, _ = both
    for what in (b"", b"[]", damages.flip((run.path / name).read_bytes(), 3, bits=40)):
        damages.put(run.path / name, what)
        assert name in said(lambda: share.export(folder.get_run(run.id), tmp_path / "run.zip"))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"submitted": 1' + "0" * 400, "submitted: input should be a whole number of 64 bits"),
        ('"ended": NaN', "ended: input should be a finite number"),
        ('"progress": {"fraction": 1e999}', "progress.fraction: input should be a finite number"),
        ('"progress": {"fraction": "half"}', "progress.fraction: input should be a valid number"),
        ('"ended": 1e18', "ended: input should be less than"),
        ('"user": {"a": 1}', "user: input should be a valid string"),
    ],
)
def test_a_bad_entry_of_a_status_is_named_and_the_others_stay(entry: str, said: str, both: tuple[Run, Run]) -> None:
    run, _ = both
    text = (run.path / "status.json").read_text()
    (run.path / "status.json").write_text(text.rstrip().removesuffix("}") + f", {entry}}}")
    found = folder.get_folder(run.id)
    assert isinstance(found, Damaged)
    assert said in found.problem
    assert (found.state, found.device) == ("finished", "cpu")


def test_bad_lines_are_left_out_and_counted(both: tuple[Run, Run]) -> None:
    run, _ = both
    with (run.path / "history.jsonl").open("ab") as file:
        file.write(b'[]\n{"epoch": NaN}\n{"epoch": "one"}\n\xff\n{"epoch": 1' + damages.DIGITS + b"}\n")
        file.write(b'{"epoch": 3, "validation": {"all": null}}\n{"epoch": 4, "val')
    assert [entry["epoch"] for entry in journal.read_history(run.path)] == [1, 2, 3]
    assert journal.describe_damage(run.path) == "Damaged lines are left out: 5 of history.jsonl."
    assert "5 of history.jsonl" in call(commands.status, run.id)


def test_notes_that_cannot_be_read_are_not_overwritten(both: tuple[Run, Run]) -> None:
    run, _ = both
    (run.path / "about.json").write_text("{]")
    found = folder.get_folder(run.id)
    assert isinstance(found, Run)
    assert "about.json is damaged" in found.remark
    with pytest.raises(UserError, match=r"about\.json is damaged"):
        folder.save_about(run.id, pinned=True)
    assert (run.path / "about.json").read_text() == "{]"


def sweep_of(run: Run) -> dict[str, Any]:
    return {"created": 1.0, "user": "", "runs": [run.id], "configs": [run.config.model_dump()]}


def test_a_damaged_sweep_is_a_sentence_beside_the_others(both: tuple[Run, Run]) -> None:
    run, _ = both
    file = cache_dir() / "sweeps" / "sweep-0123456789.json"
    write_json(file.with_name("sweep-aaaaaaaaaa.json"), sweep_of(run))
    write_json(file, sweep_of(run))
    for what, changed in damages.damages(json.dumps(sweep_of(run)).encode()).items():
        damages.put(file, changed)
        assert "sweep-aaaaaaaaaa" in call(list_sweeps, as_json=True), what
        assert {one.id for one in sweeps.list_sweeps()} >= {"sweep-aaaaaaaaaa"}, what
    file.write_text('{"created": 1e999}')
    assert "sweep-0123456789.json is damaged" in call(list_sweeps)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history.jsonl", "status.json", "thresholds.json", "metrics.json", "config.json"])
def test_an_imported_run_is_whole_in_every_file_or_not_kept(name: str, both: tuple[Run, Run], tmp_path: Path) -> None:
    run, other = both
    path, content = tmp_path / "run.zip", (run.path / name).read_bytes()
    share.export(run, path, weights=False)
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    folder.delete_run(run.id)
    for what, changed in damages.damages(content, flips=2).items():
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for inner, packed in (files | {f"{run.id}/{name}": changed}).items():
                archive.writestr(inner, packed)
        refused = said(lambda: share.import_run(path))
        assert sorted(one.name for one in layout.runs_dir().iterdir()) == sorted(
            [other.id] if refused else [other.id, run.id]
        ), what
        if not refused:  # then no page has anything to say of it
            assert "amaged" not in look(run.id, other, name), what
            results.read_results(folder.get_run(run.id))
            folder.delete_run(run.id)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_is_stored_or_deflated(method: int, both: tuple[Run, Run], tmp_path: Path) -> None:
    run, _ = both
    share.export(run, tmp_path / "good.zip", weights=False)
    folder.delete_run(run.id)
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w", method) as bad:
        for info in good.infolist():
            bad.writestr(info.filename, good.read(info))
    content = bytearray((tmp_path / "bad.zip").read_bytes())
    for broken in (False, True):
        if broken:
            content[120:160] = b"\xff" * 40
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(UserError, match="packed in a way that is not read"):
            share.import_run(tmp_path / "bad.zip")
    assert run.id not in [one.name for one in layout.runs_dir().iterdir()]

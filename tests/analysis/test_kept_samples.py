"""Scores that are kept on disk: the same numbers, never those of other files, another rule or another program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from core.analysis import decisions, kept_samples, samples
from core.analysis.samples import RANKING, Sampled
from core.labels.groups import Borders
from core.runs import folder
from core.runs.folder import Run
from core.runs.predictions import Predictions, read_predictions, write_predictions
from core.runs.results import save_threshold_set
from core.system.errors import UserError
from core.system.files import read_json, write_json
from core.system.places import ROOT
from tests.helpers.scored import BORDERS, make_run

RULES = (*decisions.READINGS, RANKING)


def digits(found: Sampled) -> list[object]:
    """Every number of a run's scores, to the last bit."""
    values = [getattr(found, field.name) for field in fields(found)]
    return [(one.dtype, one.shape, one.tobytes()) if isinstance(one, np.ndarray) else one for one in values]


def kept() -> list[Path]:
    return sorted(kept_samples.samples_dir().iterdir()) if kept_samples.samples_dir().exists() else []


def read_nothing(run: Run, part: str) -> Predictions:
    raise AssertionError(f"{run.id} was read again")


@pytest.fixture
def run() -> Run:
    return make_run("db", quality=1.5)


@pytest.mark.parametrize("rule", RULES)
def test_what_is_kept_is_what_was_made_and_is_not_made_again(rule: str, run: Run) -> None:
    made = samples.sample(run, BORDERS, rule)
    assert digits(kept_samples.sample(run, BORDERS, rule)) == digits(made)
    assert len(kept()) == 1
    assert digits(kept_samples.sample(run, BORDERS, rule, read=read_nothing)) == digits(made)


def test_each_rule_and_each_borders_have_their_own(run: Run) -> None:
    for borders in (BORDERS, Borders(50, 5), replace(BORDERS, unseen_apart=True)):
        for rule in RULES:
            found = kept_samples.sample(run, borders, rule)
            assert digits(found) == digits(samples.sample(run, borders, rule))
    assert len(kept()) == 3 * len(RULES)


@pytest.mark.parametrize("part", ["test", "validation"])
def test_other_scores_of_the_same_size_and_time_are_seen(part: str, run: Run) -> None:
    before = kept_samples.sample(run, BORDERS, "quiet")
    name = {"test": "predictions.npz", "validation": "validation.npz"}[part]
    stored, time = read_predictions(run, part), (run.path / name).stat()
    assert isinstance(stored.scores, np.ndarray)
    write_predictions(run.path, replace(stored, scores=stored.scores[::-1].copy()), part)
    os.utime(run.path / name, ns=(time.st_atime_ns, time.st_mtime_ns))
    after = kept_samples.sample(run, BORDERS, "quiet")
    assert digits(after) == digits(samples.sample(run, BORDERS, "quiet")) != digits(before)


def test_other_metrics_and_other_settings_are_seen(run: Run) -> None:
    kept_samples.sample(run, BORDERS, "pcut")
    metrics = read_json(run.path / "metrics.json")
    write_json(run.path / "metrics.json", metrics | {"counts": metrics["counts"][::-1]})
    assert digits(kept_samples.sample(run, BORDERS, "pcut")) == digits(samples.sample(run, BORDERS, "pcut"))
    # The same files with an SVM's settings: its rule `quiet` is another one.
    kept_samples.sample(run, BORDERS, "quiet")
    other = replace(run, config=make_run(None, name="an-svm").config)
    assert digits(kept_samples.sample(other, BORDERS, "quiet")) == digits(samples.sample(other, BORDERS, "quiet"))
    assert len(kept()) == 4


def test_kept_thresholds_that_were_moved_are_seen(run: Run) -> None:
    found = []
    for limit in (0.3, 0.7):
        save_threshold_set(run, "mine", rule="by hand", values=limit)
        found.append(kept_samples.sample(run, BORDERS, "kept:mine"))
        assert digits(found[-1]) == digits(samples.sample(run, BORDERS, "kept:mine"))
    assert digits(found[0]) != digits(found[1])
    kept_samples.sample(run, BORDERS, "exact")
    save_threshold_set(run, "mine", rule="by hand", values=0.5)
    kept_samples.sample(run, BORDERS, "exact", read=read_nothing)


OTHER_PROGRAM = """
import sys, time, hashlib
from core.analysis import kept_samples, samples
from core.runs import folder
from core.labels.groups import Borders
from core.system.places import ROOT
if sys.argv[2] == "changed":
    (ROOT / "core" / "cli" / "__init__.py").touch()
run = folder.get_run(sys.argv[1])
for one in (kept_samples, samples):
    print(hashlib.sha256(one.sample(run, Borders(35, 8), "fixed").samples.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("how", ["another", "changed"])
def test_another_program_finds_nothing_and_one_that_changed_since_its_start_keeps_nothing(
    how: str, run: Run, tmp_path: Path
) -> None:
    mine = kept_samples.sample(run, BORDERS, "fixed")
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    rules = tmp_path / "core" / "config" / "defaults.py"
    assert rules.read_text("utf-8").count("value=0.5") == 1
    rules.write_text(rules.read_text("utf-8").replace("value=0.5", "value=0.6"), "utf-8")
    command = [sys.executable, "-c", OTHER_PROGRAM, run.id, how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    found, made = done.stdout.split()
    assert found == made
    assert len(kept()) == {"another": 2, "changed": 1}[how]
    assert digits(kept_samples.sample(run, BORDERS, "fixed", read=read_nothing)) == digits(mine)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path: Path) -> None:
    """Another run's, under this one's name."""
    kept_samples.sample(make_run("bce", quality=1.0), BORDERS, "exact")
    (other,) = set(kept()) - {path}
    other.replace(path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def pickle(path: Path) -> None:
    np.savez(path, key=np.array(["a", None], dtype=object))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def shrink(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "samples": arrays["samples"][:-1]})


def retype(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "samples": arrays["samples"].astype(np.float32)})


def drop(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{name: one for name, one in arrays.items() if name != "hits"})


@pytest.mark.parametrize(
    "damage", [flip, swap, link, pickle, cut, shrink, retype, drop, lambda path: path.write_bytes(b"")]
)
def test_a_file_that_is_damaged_or_another_one_is_made_anew(damage, run: Run) -> None:
    made = kept_samples.sample(run, BORDERS, "exact")
    (path,) = kept()
    damage(path)
    assert digits(kept_samples.sample(run, BORDERS, "exact")) == digits(made)
    assert kept() == [path]
    assert digits(kept_samples.sample(run, BORDERS, "exact", read=read_nothing)) == digits(made)


def test_a_folder_in_its_place_and_a_place_that_cannot_be_written_change_nothing(run: Run) -> None:
    made = kept_samples.sample(run, BORDERS, "exact")
    (path,) = kept()
    path.unlink()
    path.mkdir()
    assert digits(kept_samples.sample(run, BORDERS, "exact")) == digits(made)
    shutil.rmtree(kept_samples.samples_dir())
    kept_samples.samples_dir().write_text("no folder")
    assert digits(kept_samples.sample(run, BORDERS, "exact")) == digits(made)


def test_many_at_once_keep_each_a_whole_one(run: Run) -> None:
    made = samples.sample(run, BORDERS, "exact")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept_samples.sample(run, BORDERS, "exact"), range(64)))
    assert all(digits(one) == digits(made) for one in found)
    assert len(kept()) == 1, "no half ones are left"


def test_those_that_nobody_reads_go_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_samples, "MOST", 6)
    borders = [Borders(head, 8) for head in range(20, 27)]
    names = []
    for age, one in enumerate(borders[:5]):
        kept_samples.sample(run, one, "fixed")
        (new,) = set(kept()) - set(names)
        os.utime(new, (1000 + age, 1000 + age))
        names.append(new)
    left = kept_samples.samples_dir() / ".half.npz.killed"
    left.mkdir()
    os.utime(left, (900, 900))
    kept_samples.sample(run, borders[0], "fixed", read=read_nothing)  # in use
    kept_samples.sample(run, borders[5], "fixed")
    assert set(kept()) > {names[0], names[4]}
    assert not {left, names[1], names[2]} & set(kept())
    assert len(kept()) == 4


def test_what_cannot_be_read_is_said_and_kept_nowhere(run: Run) -> None:
    (run.path / "validation.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"validation\.npz is damaged"):
        kept_samples.sample(run, BORDERS, "quiet")
    write_json(run.path / "status.json", {"state": "running", "submitted": 1.0, "command": "python"})
    with pytest.raises(UserError, match="has no scores"):
        kept_samples.sample(folder.get_run(run.id), BORDERS, "fixed")
    assert not kept()

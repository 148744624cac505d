"""What is remembered of run folders: an unchanged one is not read again, a changed one always is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.parse import parse
from core.config.schema import LossConfig, RunConfig
from core.runs import layout, settings, unchanged
from core.runs.folder import Damaged, Run, read_folder
from core.system.errors import UserError
from core.system.files import Broken, describe_broken, parse_json, write_json
from core.system.places import ROOT
from tests.helpers.laws import law

CONFIG = RunConfig(loss=LossConfig(name="db"))
TICK = 0.02
"""Seconds in which the clock of every file system moves on."""


def make_run() -> Path:
    path = layout.runs_dir() / "a-0"
    path.mkdir(parents=True)
    write_json(path / "config.json", CONFIG.model_dump())
    write_json(path / "status.json", {"state": "finished", "submitted": 5.0})
    return path


def write_in_place(path: Path, old: str, new: str) -> None:
    """Other letters of the same number, in the same file."""
    assert len(old) == len(new)
    with path.open("r+") as file:
        text = file.read()
        assert old in text
        file.seek(0)
        file.write(text.replace(old, new))


def move_back(path: Path, old: str, new: str) -> None:
    """The same, with the time of change that the file had, as copies keep it."""
    times = path.stat()
    write_in_place(path, old, new)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], Callable[[Run | Damaged], object], object]] = {
    "status replaced": (
        lambda path: write_json(path / "status.json", {"state": "stopped", "submitted": 5.0}),
        lambda found: found.state,
        "stopped",
    ),
    "status in place": (
        lambda path: write_in_place(path / "status.json", "5.0", "6.0"),
        lambda found: found.submitted,
        6.0,
    ),
    "status in place, its time put back": (
        lambda path: move_back(path / "status.json", "5.0", "7.0"),
        lambda found: found.submitted,
        7.0,
    ),
    "status of a worker that is gone": (
        lambda path: write_json(path / "status.json", {"state": "running"}),
        lambda found: found.state,
        "lost",
    ),
    "status damaged": (
        lambda path: write_in_place(path / "status.json", '"state"', '"stale"'),
        lambda found: isinstance(found, Damaged),
        True,
    ),
    "status removed": (
        lambda path: path.joinpath("status.json").unlink(),
        lambda found: isinstance(found, Damaged),
        True,
    ),
    "settings": (
        lambda path: write_in_place(path / "config.json", '\n "seed": 0', '\n "seed": 1'),
        lambda found: found.config.seed,  # type: ignore[union-attr]
        1,
    ),
    "settings removed": (
        lambda path: path.joinpath("config.json").unlink(),
        lambda found: isinstance(found, Damaged),
        True,
    ),
    "a name": (
        lambda path: write_json(path / "about.json", {"name": "best"}),
        lambda found: found.about.name,
        "best",
    ),
    "notes that are damaged": (
        lambda path: path.joinpath("about.json").write_text("{"),
        lambda found: "about.json is damaged" in found.remark,
        True,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_read_again_when_one_of_its_files_has_changed_and_only_then(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(unchanged, "SETTLED", 0.0)
    path = make_run()
    time.sleep(TICK)
    before = read_folder(path)
    assert read_folder(path) is before
    act, entry, expected = CHANGES[change]
    assert entry(before) != expected
    act(path)
    assert entry(read_folder(path)) == expected


def test_what_was_written_a_moment_ago_is_not_remembered() -> None:
    path = make_run()
    before = read_folder(path)
    assert read_folder(path) == before
    assert read_folder(path) is not before


def test_a_run_that_has_not_ended_is_read_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "SETTLED", 0.0)
    path = make_run()
    write_json(path / "status.json", {"state": "queued"})
    time.sleep(TICK)
    assert read_folder(path).state == "lost"
    layout.stop_flag(path).touch()
    assert read_folder(path).state == "stopped"


def test_as_many_folders_as_fit_are_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(unchanged, "MOST", 2)
    known: unchanged.Unchanged[int] = unchanged.Unchanged("a")
    for number in range(3):
        known.keep(f"{tmp_path}/{number}", (None,), number)
    found = [known.find(f"{tmp_path}/{number}")[1] for number in range(3)]
    assert found == [None, None, 2]


def read_whole(content: bytes) -> RunConfig:
    """The settings without a look at single entries."""
    try:
        values = parse_json(content)
    except Broken as error:
        raise UserError(describe_broken("a-0/config.json", error)) from None
    return parse(RunConfig, settings._complete(values), where="a-0: config.json")


def outcome(read: Callable[[], RunConfig]) -> RunConfig | str:
    try:
        return read()
    except UserError as error:
        return str(error)


PUBLISHED = sorted(ROOT.glob("cache/published/*/config.json"))


def test_settings_are_the_same_however_they_are_laid_out() -> None:
    for file in PUBLISHED:
        content = file.read_bytes()
        values = json.loads(content)
        assert settings._parse_entries(content) == read_whole(content)
        for again in (json.dumps(values), json.dumps(values, indent=4), json.dumps(values, sort_keys=True, indent=1)):
            assert settings.parse_config(again.encode(), "a-0") == read_whole(content)


@law(60)
@given(
    st.sampled_from([0, 7, len(PUBLISHED) - 1]),
    st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.integers(0, 30),
            st.sampled_from(
                [b"", b"}", b",", b'\n "', b'"seed": 7,\n "', b"NaN", b"9" * 30, b"[" * 80, b"null", b"\xff", b'"x": {']
            ),
        ),
        max_size=3,
    ),
)
def test_settings_that_are_damaged_anywhere_are_read_and_refused_as_the_whole_is(
    number: int, damages: list[tuple[int, int, bytes]]
) -> None:
    content = PUBLISHED[number].read_bytes()
    for place, length, put in damages:
        content = content[:place] + put + content[place + length :]
    found = outcome(lambda: settings.parse_config(content, "a-0"))
    assert found == outcome(lambda: read_whole(content))

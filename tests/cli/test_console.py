"""What others wrote, such as the name of a run, on a terminal and in a pipe."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from core.cli.console import out, print_line, say, show_unseen
from core.jobs import queue
from core.runs import folder
from core.system.errors import UserError
from core.system.places import ROOT
from tests.helpers.scored import make_run

HOSTILE = "\x1b]0;title\x1b[2J[red]x[/red] :smile: \u202egpj.exe \x9b31m"


@given(st.text())
def test_no_text_moves_the_cursor(text: str) -> None:
    shown = show_unseen(text)
    assert not any(ord(letter) < 32 and letter not in "\t\n" for letter in shown)
    assert not any(0x7F <= ord(letter) < 0xA0 or 0x202A <= ord(letter) <= 0x202E for letter in shown)
    shown.encode("utf-8")
    if text.isprintable() and text.isascii():
        assert shown == text


def test_a_line_a_sentence_and_a_cell_are_printed_as_they_are() -> None:
    table = Table("name", box=None)
    table.add_row(HOSTILE)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        print_line(HOSTILE)
        say(HOSTILE)
        out.print(table)
    lines = [line.strip() for line in printed.getvalue().splitlines()]
    expected = r"\x1b]0;title\x1b[2J[red]x[/red] :smile: \u202egpj.exe \x9b31m"
    assert lines == [expected, expected, "name", expected]


def test_a_sentence_in_a_pipe_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    printed = io.StringIO()
    with redirect_stderr(printed):
        say("word " * 100)
    assert len(printed.getvalue().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("runs --json > /dev/full", 1, "The output cannot be written: No space left on device."),
        ("runs > /dev/full", 1, "The output cannot be written: No space left on device."),
        ("runs --json | head -c 3", 0, ""),
        ("note RUN", 0, ""),
    ],
)
def test_an_output_that_is_full_closed_or_ascii_is_no_traceback(line: str, code: int, said: str) -> None:
    run = make_run()
    folder.save_about(run.id, name="grüße 漢字")
    command = f"{sys.executable} -m core {line.replace('RUN', run.id)}"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()[: len(said)]) == (code, said)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("slots", ["abc", "cpu:0", "cpu:100", "cuda-999", "x" * 5000])
def test_slots_that_make_no_sense_are_one_short_sentence(slots: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(queue.SLOTS_VARIABLE, slots)
    with pytest.raises(UserError, match="write cpu, cpu:2 or cuda-0") as refused:
        queue.slots("cpu")
    assert len(str(refused.value)) < 150

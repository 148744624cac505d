"""What the commands share: their streams, the options of several, how they print."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, changes its colours or title, turns the direction of writing, or is half a letter."""
WIDE = 10_000
"""Columns where no terminal shows them: a pipe or a file breaks no line."""


def show_unseen(text: str) -> str:
    """Text with its control characters as escapes such as `\\x1b`: nothing in a name moves the terminal's cursor."""
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


class PlainConsole(Console):
    """A console that prints text of others as it is: no markup, no control characters, no line breaks in a pipe."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text without control characters, which a table then makes room for."""
        return super().render_str(show_unseen(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed, those of texts without control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(show_unseen(segment.text), segment.style)

    @property
    def options(self) -> ConsoleOptions:
        """As wide as the terminal."""
        options = super().options
        return options if self.is_terminal or "COLUMNS" in os.environ else options.update(width=WIDE)


out, err = PlainConsole(), PlainConsole(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, for example train.epochs=3.")
]
Engine = Annotated[
    str, typer.Option("--engine", help="local, ray or slurm; TAILSCOPE_ENGINE unless named, else this machine.")
]
DataName = Annotated[str, typer.Option("--data", help="Data set: see `python -m core data`.")]
Split = Annotated[str | None, typer.Option(help="Named split: see `python -m core data`.")]

Rule = Annotated[
    str,
    typer.Option(help="What decides: as-trained, a rule fitted on validation such as quiet, or kept:NAME."),
]


def print_json(value: Any) -> None:
    """Writes one JSON document to stdout; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Writes a text to stdout as it is, but to a terminal without what that would obey."""
    sys.stdout.write(show_unseen(text) if sys.stdout.isatty() else text)


def print_line(text: str) -> None:
    """Writes a line to stdout as it is: no markup, no colours, no line breaks."""
    out.print(text, highlight=False, soft_wrap=True)


def say(sentence: str, style: str | None = None) -> None:
    """Writes a sentence to stderr."""
    err.print(sentence, style=style, highlight=False, soft_wrap=not err.is_terminal)


def split_names(text: str) -> list[str]:
    """The names between the commas of an option."""
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr that is gone when it ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress

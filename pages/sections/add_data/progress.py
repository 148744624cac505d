"""How far reading and keeping a file are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages.shared.text import plain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from core.data.corpus import Report


def report_to(bar: DeltaGenerator) -> Report:
    """Moves a progress bar."""

    def move(words: str, done: float) -> None:
        bar.progress(min(1.0, done), plain(f"{words[:1].upper()}{words[1:]}"))

    return move

"""Texts that a trained run is asked about, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.system.errors import UserError


def check_texts(texts: Any) -> list[str]:
    """Texts as a list, if each of them is a text; letters that no encoding knows become question marks.

    Raises:
        UserError: one string instead of a list, no list at all, or a member that is no text.
    """
    if isinstance(texts, str | bytes):
        raise UserError("Texts are one string: pass a list, [text].")
    if isinstance(texts, dict) or not isinstance(texts, Iterable):
        raise UserError(f"Texts are a {type(texts).__name__}: pass a list of strings.")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise UserError(
                f"Text {place} is {text!r:.40} ({kind}), not a string: leave it out, or pass '' for no text."
            )
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in found]


def rank_labels(scores: Any, threshold: Any, labels: tuple[str, ...]) -> list[list[tuple[str, float]]]:
    """The labels of each text above the threshold with their scores, the surest first.

    Args:
        scores: (n, L).
        threshold: one number, or one for each label, (L,).
        labels: names of the columns, (L,).
    """
    found = []
    for row in scores:
        above = row > threshold
        found.append(
            [(labels[column], float(row[column])) for column in (-row).argsort(kind="stable") if above[column]]
        )
    return found

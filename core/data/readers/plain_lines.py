"""Formats with a document on each line that are neither CSV nor JSON: fastText, and two files of lines side by side."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from core.data.readers.row import MAX_FIELD, Row
from core.data.readers.signatures import refuse
from core.system.errors import UserError

PREFIX = "__label__"
"""Before each label of a line of fastText."""
_LABEL = re.compile(r"(?:(?<=\s)|^)__label__(\S+)")
_COUNTS = re.compile(r"\s*(\d+(,\s*\d+)*)?(\s+\d+:[-+.\deE]+)+\s*$")
"""Labels and counts of words by number, as extreme classification (XMC) and LIBSVM write them."""


def is_fasttext(lines: list[str]) -> bool:
    """Whether most lines begin or end with labels as fastText marks them."""
    filled = [line for line in lines if line.strip()]
    marked = sum(PREFIX in line and bool(_LABEL.search(line)) for line in filled)
    return bool(filled) and marked >= 0.8 * len(filled)


def check_counts(name: str, lines: list[str]) -> None:
    """Raises `UserError` for the layout of the XMC repository or LIBSVM that holds numbers of words, not texts."""
    body = [line for line in lines if line.strip()]
    if body and re.fullmatch(r"\s*\d+\s+\d+\s+\d+\s*", body[0]):
        body = body[1:]
    if body and sum(bool(_COUNTS.match(line)) for line in body[:50]) >= 0.9 * len(body[:50]):
        raise refuse(
            name,
            "a file of word counts (XMC repository or LIBSVM), without texts",
            "the XMC repository has the raw texts too: name trn.json or its folder (with tst.json and lbl.json)",
        )


def fasttext_rows(name: str, lines: io.TextIOWrapper) -> Iterator[Row]:
    """Texts and labels of fastText's lines.

    Raises:
        UserError: a line that is too long.
    """
    place = 0
    while line := lines.readline(MAX_FIELD):
        place += 1
        if len(line) == MAX_FIELD:
            raise UserError(f"{name}, line {place}: over {MAX_FIELD:,} characters long.")
        if line.strip():
            text = " ".join(_LABEL.sub("", line).split()) if PREFIX in line else line.strip()
            yield Row(place, {"text": text, "labels": _LABEL.findall(line)})


def line_pairs(name: str, texts: io.TextIOWrapper, labels: io.TextIOWrapper) -> Iterator[Row]:
    """Lines of texts and, in another file, those of their labels with blanks between.

    Raises:
        UserError: one has more lines than the other.
    """
    place = 0
    while True:
        place += 1
        text, marks = texts.readline(MAX_FIELD), labels.readline(MAX_FIELD)
        if not text and not marks:
            return
        if not text or not marks:
            raise UserError(f"{name}: texts and labels have different numbers of lines (one ends at line {place:,}).")
        if text.strip() or marks.strip():
            yield Row(place, {"text": text.strip(), "labels": marks.split()})

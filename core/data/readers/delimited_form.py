"""The dialect of CSV from its first lines: delimiter, quotes, escapes, comments, header, names of columns."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core.config.schema import FileConfig
from core.data.readers.delimited import dialect
from core.data.readers.row import MAX_FIELD

DELIMITERS = (",", "\t", ";", "|")
HEADERS = re.compile(r"(?i)^(text|abstract|abstracttext|body|content|title|labels?|tags?|topics?|id|split|class(es)?)$")
SEP_LINE = re.compile(r'"?sep=(.)"?\s*$', re.IGNORECASE)
"""The first line by which Excel knows the delimiter."""
LINKS = re.compile(r"(<\S+>\s*)+")
"""Subjects as Annif writes them."""
R_HEADER = re.compile(r'"[^"]*"( "[^"]*")+')
"""The first line of a table that R wrote with blanks between, as it does unless told otherwise."""
ROWS = 60
"""Rows from which a dialect is judged."""


class _Reading(NamedTuple):
    """A dialect and the rows that it makes of the first lines."""

    form: dict[str, Any]
    rows: list[list[str]]
    width: int
    share: float
    is_sound: bool = True

    @property
    def headers(self) -> int:
        return sum(bool(HEADERS.match(cell.strip())) for cell in self.rows[0]) if self.width > 1 else 0

    @property
    def is_tight(self) -> bool:
        """Whether few fields begin with a blank, as words after a comma do."""
        fields = [cell for row in self.rows for cell in row[1:] if cell]
        return sum(cell[0] == " " for cell in fields) <= 0.3 * len(fields)

    @property
    def rank(self) -> tuple[int, bool, float, bool, int]:
        """Names of a header, then tabs, which stand in no sentence, then rows that are alike."""
        has_tabs = self.form["delimiter"] == "\t" and self.share >= 0.8
        return self.headers, has_tabs, round(self.share, 1), self.is_tight, self.width


def split_lines(text: str) -> list[str]:
    """Lines with their ends: \\n, \\r\\n or \\r, and nothing else."""
    return list(io.StringIO(text, newline=""))


def delimited_form(name: str, lines: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `FileConfig` for CSV that begins with these lines.

    Args:
        name: the file's, in lower case.
        lines: whole, with their ends.
        given: settings that are not guessed.
    """
    form = dict[str, Any]()
    # Lines before the header: sep=;, comments.
    skipped = int(given.get("skip_lines") or 0)
    lines = lines[skipped:]
    if "skip_lines" not in given and lines and (found := SEP_LINE.match(lines[0].lstrip("\ufeff"))):
        form, lines = {"skip_lines": 1, "delimiter": found[1]}, lines[1:]
    if "comment" not in given and (comment := _comment(lines)):
        form["comment"] = comment
    begins = given.get("comment") or form.get("comment")
    lines = [line for line in lines if not (begins and line.startswith(begins))]
    # The delimiter and the dialect that cut most rows alike.
    fixed = form | {key: value for key, value in given.items() if value is not None}
    best = _best(name, lines, fixed)
    form |= best.form
    if "skip_lines" not in form and "skip_lines" not in given and (above := _titles(lines, best)):
        form["skip_lines"], best = above, _best(name, lines[above:], fixed | best.form)
    # The header, and names where there is none.
    header = given.get("header")
    form["header"] = _has_header(best.rows) if header is None else header
    if form["header"]:
        form |= _row_names(best.rows)
    elif names := _names(best.rows, form["delimiter"]):
        form["names"] = names
    return form


def _comment(lines: Sequence[str]) -> str:
    """`#`, where lines at the beginning start so and have no more than one field, unlike the others."""
    above = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if not 0 < above < len(lines):
        return ""
    below = lines[above:][:5]
    for delimiter in DELIMITERS:
        cut = {line.count(delimiter) for line in below}
        if len(cut) == 1 and cut != {0} and lines[above - 1].count(delimiter) in cut:
            return ""  # a header that begins with #
    return "#"


def _titles(lines: list[str], best: _Reading) -> int:
    """Lines without a delimiter above a header that has all of them."""
    if best.width < 2:
        return 0
    above = next((at for at, line in enumerate(lines[:20]) if best.form["delimiter"] in line), 0)
    header = lines[above].strip("\r\n").split(best.form["delimiter"])
    is_header = len(header) == best.width and any(HEADERS.match(cell.strip('" ')) for cell in header)
    return above if is_header else 0


def _best(name: str, lines: list[str], fixed: Mapping[str, Any]) -> _Reading:
    delimiters = [fixed["delimiter"]] if "delimiter" in fixed else list(DELIMITERS)
    if "delimiter" not in fixed and name.endswith((".tsv", ".tab")) and any("\t" in line for line in lines[:5]):
        delimiters = ["\t"]
    if "delimiter" not in fixed and lines and R_HEADER.fullmatch(lines[0].strip()):
        delimiters = [" "]
    held = [delimiter for delimiter in delimiters if any(delimiter in line for line in lines[:ROWS])]
    readings = [reading for delimiter in held if (reading := _reading_of(lines, delimiter, fixed))]
    able = [one for one in readings if one.width > 1 and one.share >= 0.6]
    if able:
        return max(able, key=lambda one: one.rank)
    one_column = FileConfig(format="csv", delimiter=delimiters[0], **_given_dialect(fixed))
    rows, _ = _rows(lines, one_column)
    return _Reading({"delimiter": delimiters[0]}, rows or [[line.rstrip("\r\n")] for line in lines[:ROWS]], 1, 1.0)


def _given_dialect(fixed: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fixed[key] for key in ("quote", "escape", "skip_blanks") if key in fixed}


def _reading_of(lines: list[str], delimiter: str, fixed: Mapping[str, Any]) -> _Reading | None:
    """The best reading with a delimiter; None where there are no rows."""
    given = _given_dialect(fixed)
    dialects: list[dict[str, Any]] = [{}]
    if any('\\"' in line for line in lines):
        dialects.append({"escape": "\\"})
    found: list[_Reading] = []
    for settings in [given] if {"quote", "escape"} & given.keys() else [one | given for one in dialects]:
        reading = _read(lines, {"delimiter": delimiter} | settings)
        if reading and "skip_blanks" not in given and _blank_before_quote(reading.rows):
            reading = _read(lines, reading.form | {"skip_blanks": True}) or reading
        found += [reading] if reading else []
    if not found:
        return None
    best = max(found, key=lambda one: one.share)
    # Quotes that stand alone in rows of one width are part of the text.
    if "quote" not in given and any('"' in line for line in lines):
        plain = _read(lines, {"delimiter": delimiter, "quote": ""} | given)
        if plain and _are_plain_quotes(lines, delimiter, plain.width, is_sound=best.is_sound):
            return plain
    return best


def _read(lines: list[str], form: dict[str, Any]) -> _Reading | None:
    rows, is_sound = _rows(lines, FileConfig(format="csv", **form))
    if not rows:
        return None
    body = rows[1:] if len(rows) > 1 else rows
    width, times = Counter(map(len, body)).most_common(1)[0]
    alike = times + (len(rows) > 1 and len(rows[0]) in (width, width - 1))
    return _Reading(form, rows, width, alike / len(rows) - 0.3 * (not is_sound), is_sound)


def _rows(lines: list[str], file: FileConfig) -> tuple[list[list[str]], bool]:
    """The first rows that are not empty, and whether the dialect fits all of them."""
    csv.field_size_limit(MAX_FIELD)
    rows: list[list[str]] = []
    try:
        for row in csv.reader((line.replace("\0", "") for line in lines), **dialect(file)):
            rows += [row] if row else []
            if len(rows) == ROWS:
                break
    except csv.Error:
        return rows, False
    return rows, True


def _blank_before_quote(rows: list[list[str]]) -> bool:
    return any(re.match(r' +"', cell) for row in rows for cell in row[1:])


def _are_plain_quotes(lines: list[str], delimiter: str, width: int, *, is_sound: bool) -> bool:
    """Whether quotes are part of the text: every line has so many fields, and some begin with one that never closes.

    Between tabs and bars, a field that goes on after its closing quote tells it too.
    """
    is_plain = not is_sound and delimiter in "\t|"
    for line in lines:
        cells = line.rstrip("\r\n").split(delimiter)
        if len(cells) != width and cells != [""]:
            return False
        is_plain |= any(cell[:1] == '"' and cell.count('"') % 2 == 1 for cell in cells)
    return is_plain and width > 1


# The first row.


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[\d.+-]+", cell.strip()))


def _has_header(rows: list[list[str]]) -> bool:
    if not rows:
        return True
    first, rest = rows[0], rows[1:]
    if any(HEADERS.match(cell.strip()) for cell in first):
        return True
    # Columns of numbers or blanks under a word.
    wide = [[row[at] for row in rest if at < len(row)] for at in range(min(len(first), 2000))]
    numbers = [bool(column) and all(_is_number(cell) for cell in column) for column in wide]
    words = [not _is_number(cell) and bool(cell.strip()) for cell in first[:2000]]
    if any(number and word for number, word in zip(numbers, words, strict=True)):
        return True
    if first and not first[0].strip() and numbers[0]:
        first = first[1:]
    if any(not cell.strip() or len(cell) > 60 or _is_number(cell) for cell in first):
        return False
    longest = max((len(cell) for row in rest for cell in row), default=0)
    return bool(rest) and longest > 2 * max(map(len, first))


def _row_names(rows: list[list[str]]) -> dict[str, Any]:
    """Names of all columns where the header lacks one for the first, as R writes its tables."""
    header, body = rows[0], rows[1:]
    firsts = [row[0] for row in body]
    is_longer = len(body) > 1 and {len(row) for row in body} == {len(header) + 1}
    if is_longer and len(set(firsts)) == len(firsts) and body[0][-1].strip():
        return {"names": ("row name", *(cell.strip() for cell in header))}
    return {}


def _names(rows: list[list[str]], delimiter: str) -> tuple[str, ...]:
    """Names of the columns of a text, its labels and its id, between tabs; none where that is not plain.

    Such files are written by LibMultiLabel (id, labels, text) and Annif (text, subjects).
    """
    width = len(rows[0]) if rows else 0
    alike = [row for row in rows if len(row) == width]
    if delimiter != "\t" or width not in (2, 3) or len(rows) < 2 or len(alike) < 0.8 * len(rows):
        return ()
    rows = alike
    columns = [[row[at] for row in rows] for at in range(width)]
    means = [sum(map(len, column)) / len(column) for column in columns]
    names = [""] * width
    text = means.index(max(means))
    names[text] = "text"
    unique = [len(set(column)) == len(column) and not any(" " in cell.strip() for cell in column) for column in columns]
    others = [at for at in range(width) if at != text]
    are_links = {at: all(LINKS.fullmatch(cell) for cell in columns[at]) for at in others}
    if means[text] < 20 or any(means[text] < 2 * means[at] and not are_links[at] for at in others):
        return ()
    for at in others:
        names[at] = "id" if unique[at] else "labels"
    return tuple(names) if len(set(names)) == width else ()

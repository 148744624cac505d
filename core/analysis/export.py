"""Tables as LaTeX, Markdown, CSV and workbooks."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from numbers import Real
from typing import Any

import pandas as pd

from core.analysis.csv import neutralise
from core.analysis.tables import DOCUMENTS_ALONE, SOURCES, columns_in, heading, records_of

MADE = datetime(1980, 1, 1)
"""Creation date of every workbook, that of its zip's members: the same table gives the same bytes."""
EXACT = 4
"""Decimals of an interval that needs them."""
LOPSIDED = 1.2
"""Sides of an interval that differ by more are printed as two ends."""
UNWRITABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""

MARKDOWN = re.compile(r"([\\`*_<>\[\]|~&])")
"""Characters of a name that a table in Markdown would not show as they are."""


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """Sheets of rows as an .xlsx file; None is an empty cell, everything but finite numbers is text.

    Source: ECMA-376, Office Open XML, as XlsxWriter writes it.
    """
    from xlsxwriter import Workbook

    file = io.BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"created": MADE})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, values in enumerate(rows):
                for column, value in enumerate(values):
                    if value is None:
                        continue
                    # By its kind, not by `write`, which makes a formula of "=1+1" and a link of "https://...".
                    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
                        sheet.write_number(row, column, float(value))
                    else:
                        sheet.write_string(row, column, UNWRITABLE.sub("", str(value)))
    return file.getvalue()


def cell(row: Mapping[str, Any], column: str, *, short: bool = False) -> tuple[str, str]:
    """A score or difference as text, and its interval as text; empty where there is none.

    The interval is half its width after a ±, or its two ends where the longer side is more than a fifth longer than
    the shorter, or where it was cut at the end of what is possible; in brackets where it is over documents alone.

    Args:
        row: of a `tables.paper_table` or `tables.difference_table`.
        column: of `tables.columns_in`.
        short: for a narrow column: one decimal in intervals, and where both ends are printed.
    """
    value, low, high = (row.get(f"{column}{suffix}", math.nan) for suffix in ("", "_low", "_high"))
    note, sign = row.get(f"{column}_note") or "", "+" if "baseline" in row else ""
    if pd.isna(value):
        return "", ""
    if note and note != DOCUMENTS_ALONE:
        return note, ""
    if pd.isna(low):
        return f"{value:{sign}.2f}", ""
    decimals = 1 if short else 2
    sides = sorted((value - low, high - value))
    cut = low <= (-100 if sign else 0) or high >= 100
    as_ends = (sides[1] > LOPSIDED * sides[0] and sides[1] - sides[0] >= 10**-decimals) or (cut and sides[1] > 0)
    # A difference is printed so exactly that its interval leaves out 0 where it is bold, and nowhere else.
    if sign and not note:
        while decimals < EXACT and _leaves_out_zero(value, low, high, as_ends, decimals) != is_bold(row, column):
            decimals, as_ends = decimals + 1, as_ends or decimals > 1
    if not as_ends:
        text = f"±{(high - low) / 2:.{decimals}f}"
    elif short:
        text = f"({low:.{decimals}f}, {high:.{decimals}f})"
    else:
        text = f"({low:{sign}.{decimals}f} to {high:{sign}.{decimals}f})"
    return f"{value:{sign}.{1 if short and as_ends else 2}f}", f"[{text.strip('()')}]" if note else text


def _leaves_out_zero(value: float, low: float, high: float, as_ends: bool, decimals: int) -> bool:
    """Whether an interval leaves out 0 as it is printed."""
    if not as_ends:
        half, value = round((high - low) / 2, decimals), round(value, 2)
        return round(value - half, EXACT) > 0 or round(value + half, EXACT) < 0
    return round(low, decimals) > 0 or round(high, decimals) < 0


def is_bold(row: Mapping[str, Any], column: str) -> bool:
    """Whether a cell is bold: the best score, or a significant difference."""
    return bool(row.get(f"{column}_best", row.get(f"{column}_significant", False)))


def title(row: Mapping[str, Any]) -> str:
    """A row's name as exports print it: with its source, and its number of seeds."""
    seeds = row["seeds"]
    many = "" if pd.isna(seeds) else ", one seed: seed noise unknown" if seeds < 2 else f", mean of {seeds} seeds"
    return f"{row['name']}{SOURCES[row['source']]}{many}"


def to_latex(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A table of `tables` in the form of the paper's (booktabs, one column group per label group)."""
    # Head: the columns of each group below its name.
    columns = columns_in(frame)
    headings = [heading(column) for column in columns]
    groups = [(group, len(list(alike))) for group, alike in groupby(headings, key=lambda pair: pair[0])]
    lines = [
        *(f"% {line}" for line in footer),
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["", *(rf"\multicolumn{{{many}}}{{c}}{{{group}}}" for group, many in groups)]) + r" \\",
        " & ".join(["", *(score for _, score in headings)]) + r" \\",
        r"\midrule",
    ]
    # Rows: bold cells, the interval small beside each.
    for row in records_of(frame):
        cells = [_escaped(title(row))]
        for column in columns:
            value, interval = cell(row, column)
            value = rf"\textbf{{{value}}}" if is_bold(row, column) else value or "--"
            interval = interval.replace("±", r"$\pm$")
            cells.append(value + (rf" {{\scriptsize {interval}}}" if interval else ""))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "·": r"$\cdot$"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def to_markdown(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A table of `tables` as Markdown, the footer below it."""
    columns = columns_in(frame)
    lines = [
        "| |" + "|".join(column.replace("_", " ") for column in columns) + "|",
        "|---" + "|---:" * len(columns) + "|",
    ]
    for row in records_of(frame):
        cells = []
        for column in columns:
            value, interval = cell(row, column)
            value = f"**{value}**" if is_bold(row, column) else value or "–"
            cells.append(f"{value} {interval}".rstrip())
        lines.append("|" + "|".join([MARKDOWN.sub(r"\\\1", title(row)), *cells]) + "|")
    return "\n".join([*lines, "", *(f"- `{line}`" for line in footer), ""])


def to_csv(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A table of `tables` with all its columns, percent with two decimals; the footer in lines that begin with #."""
    text = io.StringIO()
    frame.map(neutralise).to_csv(text, index=False, float_format="%.2f", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    return text.getvalue() + "".join(f"# {line}\n" for line in footer)


def to_xlsx(frame: pd.DataFrame, footer: Sequence[str] = ()) -> bytes:
    """A table of `tables` as a workbook: the sheet `table` with numbers, the sheet `provenance` with the footer."""
    return workbook({"table": rows_of(frame), "provenance": [[line] for line in footer]})


def to_workbook(parts: Sequence[tuple[str, pd.DataFrame, Sequence[str]]]) -> bytes:
    """Tables of several data sets, each with its name and footer, as a workbook: a sheet each, and `provenance`."""
    sheets: dict[str, list[list[object]]] = {}
    for name, frame, _ in parts:
        # A sheet's name has at most 31 letters and none of []:*?/\.
        short = re.sub(r"[\[\]:*?/\\']", "-", name)[:27] or "table"
        sheets[short if short.lower() not in {one.lower() for one in sheets} else f"{short} {len(sheets)}"] = rows_of(
            frame
        )
    lines = [line for name, _, footer in parts for line in (name, *footer)]
    return workbook({**sheets, "provenance": [[line] for line in lines]})


def rows_of(frame: pd.DataFrame) -> list[list[object]]:
    """A frame as a sheet: its columns, then its rows, None where a cell is empty."""
    rows = frame.itertuples(index=False, name=None)
    return [list(frame.columns), *([None if pd.isna(value) else value for value in row] for row in rows)]

"""Tables as LaTeX, Markdown, CSV and workbooks."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Real
from typing import Any

import pandas as pd

from core.analysis.csv import neutralise
from core.analysis.tables import GROUPS, SCORE_COLUMNS, SOURCES

MADE = datetime(1980, 1, 1)
"""Creation date of every workbook, that of its zip's members: the same table gives the same bytes."""
UNWRITABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


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


def cell(row: Mapping[str, Any], column: str) -> tuple[str, str]:
    """A score as text and the half width of its interval as text; empty where there is none."""
    value, low, high = (row.get(f"{column}{suffix}", math.nan) for suffix in ("", "_low", "_high"))
    if pd.isna(value):
        return "", ""
    return f"{value:.2f}", "" if pd.isna(low) else f"{(high - low) / 2:.2f}"


def title(row: Mapping[str, Any]) -> str:
    """A row's name as exports print it: with its source, and the number of seeds if there are several."""
    seeds = row["seeds"]
    several = "" if pd.isna(seeds) or seeds < 2 else f", mean of {seeds} seeds"
    return f"{row['name']}{SOURCES[row['source']]}{several}"


def to_latex(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A `paper_table` in the form of the paper's (booktabs, one column group per label group)."""
    # Head: a pair of columns for each group.
    table = _table_of(frame)
    groups = list(GROUPS[table])
    lines = [
        *(f"% {line}" for line in footer),
        rf"\begin{{tabular}}{{l{'r' * len(SCORE_COLUMNS[table])}}}",
        r"\toprule",
        " & ".join(["", *(rf"\multicolumn{{2}}{{c}}{{{group.capitalize()}}}" for group in groups)]) + r" \\",
        " & ".join(["", *("micro-F1 & macro-F1" for _ in groups)]) + r" \\",
        r"\midrule",
    ]
    # Rows: the best score in bold, the half width of its interval small beside it.
    for row in frame.to_dict("records"):
        cells = [_escaped(title(row))]
        for column in SCORE_COLUMNS[table]:
            value, half = cell(row, column)
            value = rf"\textbf{{{value}}}" if row[f"{column}_best"] else value or "--"
            cells.append(value + (rf" {{\scriptsize$\pm${half}}}" if half else ""))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "·": r"$\cdot$"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def to_markdown(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A `paper_table` as Markdown, the footer below it."""
    columns = SCORE_COLUMNS[_table_of(frame)]
    lines = [
        "| |" + "|".join(column.replace("_", " ") for column in columns) + "|",
        "|---" + "|---:" * len(columns) + "|",
    ]
    for row in frame.to_dict("records"):
        cells = []
        for column in columns:
            value, half = cell(row, column)
            value = f"**{value}**" if row[f"{column}_best"] else value or "–"
            cells.append(value + (f" ±{half}" if half else ""))
        lines.append("|" + "|".join([title(row).replace("|", "\\|"), *cells]) + "|")
    return "\n".join([*lines, "", *(f"- `{line}`" for line in footer), ""])


def to_csv(frame: pd.DataFrame, footer: Sequence[str] = ()) -> str:
    """A `paper_table` with all its columns, percent with two decimals; the footer in lines that begin with #."""
    text = io.StringIO()
    frame.map(neutralise).to_csv(text, index=False, float_format="%.2f", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    return text.getvalue() + "".join(f"# {line}\n" for line in footer)


def to_xlsx(frame: pd.DataFrame, footer: Sequence[str] = ()) -> bytes:
    """A `paper_table` as a workbook: the sheet `table` with numbers, the sheet `provenance` with the footer."""
    rows = [[None if pd.isna(value) else value for value in row] for row in frame.itertuples(index=False, name=None)]
    return workbook({"table": [list(frame.columns), *rows], "provenance": [[line] for line in footer]})


def _table_of(frame: pd.DataFrame) -> int:
    return next(table for table, columns in SCORE_COLUMNS.items() if set(columns) <= set(frame.columns))

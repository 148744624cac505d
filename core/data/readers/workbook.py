"""Workbooks of Excel and LibreOffice: the sheet with the documents, one in each row."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.package import Opened
from core.data.readers.packed import MAX_RATIO
from core.data.readers.row import PARTS, Row, Say
from core.system.errors import UserError

MAX_BYTES = 1 << 30
"""Of a workbook, which is read whole."""


def workbook_rows(file: Opened, form: FileConfig, say: Say) -> Iterator[Row]:
    """The rows of a sheet: that of `form.records`, or the largest; of all where they are named as parts are.

    Raises:
        UserError: damaged, locked, too large, no such sheet, two columns of one name.
    """
    book = _open(file)
    sizes = {name: book.get_sheet_by_name(name).height for name in book.sheet_names}
    filled = [name for name, size in sizes.items() if size]
    if not filled:
        raise UserError(f"{file.title} is empty.")
    # Which sheets: one by its name, those of parts, or the largest.
    parts = [name for name in filled if name.strip().lower() in PARTS]
    if form.records:
        if form.records not in sizes:
            raise UserError(f"{file.title} has no sheet '{form.records}'; it has {', '.join(sizes)}.")
        chosen = [form.records]
    else:
        chosen = parts if len(parts) > 1 else [max(filled, key=sizes.__getitem__)]
    if others := [f"'{name}' (rows: {sizes[name]:,})" for name in filled if name not in chosen]:
        words = f"the sheet '{chosen[0]}' is read" if len(chosen) == 1 else f"the sheets {', '.join(chosen)} are read"
        say(f"{file.title}: {words}; not read: {', '.join(others)}. `--records SHEET` reads another.")
    for name in chosen:
        part = name if len(chosen) > 1 else ""
        yield from _sheet_rows(f"{file.title}, sheet '{name}'", book.get_sheet_by_name(name), form, part)


def _open(file: Opened) -> Any:
    import python_calamine

    content = io.BytesIO(file.stream.read(MAX_BYTES))
    if content.getbuffer().nbytes == MAX_BYTES:
        raise UserError(f"{file.title} is a workbook of over {MAX_BYTES:,} bytes: write its sheet as CSV.")
    # Such a file is a zip, which may be a bomb.
    if content.getvalue()[:2] == b"PK":
        try:
            with zipfile.ZipFile(content) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise UserError(f"{file.title} is a damaged workbook ({error}). Copy it again.") from None
        if unpacked > max(MAX_BYTES // 16, min(4 * MAX_BYTES, MAX_RATIO * content.getbuffer().nbytes)):
            raise UserError(f"{file.title} unpacks to {unpacked:,} bytes, too many for a workbook: write it as CSV.")
    content.seek(0)
    try:
        return python_calamine.CalamineWorkbook.from_filelike(content)
    except python_calamine.PasswordError:
        raise UserError(f"{file.title} is locked with a password: open it, and write its sheet as CSV.") from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise UserError(f"{file.title} is a damaged workbook ({str(error)[:200]}). Copy it again.") from None


def _sheet_rows(name: str, sheet: Any, form: FileConfig, part: str) -> Iterator[Row]:
    names: list[str] = []
    cells = islice(enumerate(sheet.iter_rows(), 1), form.skip_lines, None)
    for place, row in cells:
        values = [_cell(cell) for cell in row]
        if not any(value != "" for value in values):
            continue
        if not names:
            names = _names(name, values, place) if form.header else [f"column {n}" for n in range(1, len(values) + 1)]
            if form.header:
                continue
        yield Row(place, dict(zip(names, values, strict=False)) | ({"split": part} if part else {}))


def _names(name: str, values: list[Any], place: int) -> list[str]:
    names = [str(value).strip() or f"column {number}" for number, value in enumerate(values, 1)]
    twice = next((one for one, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        at = " and ".join(str(number) for number, other in enumerate(names, 1) if other == twice)
        raise UserError(f"{name}, row {place}: two columns are named '{twice}' ({at}). Rename one of them.")
    return names


def _cell(value: Any) -> Any:
    """A cell as text, whole number, number, true or false; a date as it is written in ISO 8601."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value if isinstance(value, (str, int, float, bool)) else str(value)

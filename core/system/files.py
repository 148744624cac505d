"""Files that many processes share: written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.system.errors import UserError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write a file or folder to; moved onto `path` at the end, removed on error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never a part (`os.replace`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically; NaN and infinity are refused, so that every JSON reader can read the file."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: the file is missing, unreadable or damaged (with line and column).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent.name}: {path.name} is missing.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path.parent.name}: {path.name} is damaged at {place} ({error.msg}).") from None
    except RecursionError:
        raise UserError(f"{path.parent.name}: {path.name} is nested too deeply.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path.parent.name}: {path.name} cannot be read ({error}).") from None

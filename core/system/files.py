"""Files that many processes share: written whole or not at all, and read with bounds that no content gets around."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.system.errors import UserError

DEPTH = 64
"""Objects and lists inside one another in JSON; what this program writes has fewer than ten."""
WHOLE = 2**63
"""Whole numbers in JSON are smaller than this, either way: they fit into 64 bits."""
MOST_BYTES = 1 << 30
"""Of a file that is read as a whole."""
MOST_LINES_BYTES = 1 << 28
"""Of a file of lines that is read as a whole."""
SMALL_BYTES = 1 << 22
"""Of a file that says little, such as a status."""
UNKNOWN_LETTERS = "letters that are no UTF-8"
ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
LONG = (b"0" * 19, b"e000", b"e+000")
"""What text has in it, with `ALIKE` letters alike, if its JSON has a number out of bounds; a checksum or a fraction may
have it as well. A tenth of the time of a pattern of digits."""
LONGEST = 4096
"""Letters of a number; a longer one is looked at anyhow."""
SUSPECT = (b"NaN", b"Infinity", b"\\ud", b"\\uD")
"""What text has in it if its JSON has what is no number, or half a letter; other text may have it as well."""


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


@contextmanager
def say_unwritable(what: str, done: str = "written") -> Iterator[None]:
    """Says as a sentence that the disk is full, read-only or not one's own.

    Args:
        what: the subject of the sentence, such as `Run x`.
        done: what cannot be done to it.

    Raises:
        UserError: whatever is tried inside the block fails with an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what} cannot be {done}: {describe_os_error(error)}") from None


def describe_os_error(error: OSError) -> str:
    """What the system says of a file, which one, and what to do, in a clause and a sentence."""
    file = str(error.filename or "")
    where = f" ({file[:60]}…)" if len(file) > 200 else f" ({file})" if file else ""
    way = {
        errno.ENOSPC: "Make room on the disk.",
        errno.EDQUOT: "Make room: the quota is used up.",
        errno.ENAMETOOLONG: "Take a shorter path.",
        errno.ELOOP: "It is a link that leads to itself: name another path.",
    }
    advice = way.get(error.errno or 0, "Check the path, its rights, and that its disk can be written.")
    return f"{error.strerror or error}{where}. {advice}"


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never a part (`os.replace`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No two writers have the same file: threads share a process, and machines that share a disk their numbers.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically; NaN and infinity are refused, so that every JSON reader can read the file.

    Raises:
        UserError: a text has half a letter, as a file's name has whose bytes are no UTF-8: `read_json` would refuse it.
    """
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if "\\ud" in text:  # of a letter, most often, that JSON writes as two halves
        try:
            parse_json(text)
        except Broken as error:
            raise UserError(f"{path.name} cannot be written {error}. Are these bytes that are no UTF-8?") from None
    write_text(path, text)


class Broken(ValueError):
    """Text that is no JSON, or has a value that nothing here reads; the message says where and what."""

    def __init__(self, words: str, place: str = "") -> None:
        self.words, self.place = words, place
        at = f"at {place} ({words})" if place.startswith("line ") else f"({place}: {words})"
        super().__init__(at if place else f"({words})")


def read_bytes(path: Path | str, *, most: int = MOST_BYTES) -> bytes:
    """The content of a file.

    Args:
        path: a regular file, or a link to one.
        most: bytes that it may have.

    Raises:
        UserError: it is missing, is no regular file, is larger, or cannot be read.
    """
    try:
        # A named pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError("it is no regular file")
            if found.st_size > most:
                raise OSError(f"it has {found.st_size:,} bytes; at most {most:,} are read")
            content = os.read(descriptor, found.st_size + 1)
            while 0 < len(content) < found.st_size and (block := os.read(descriptor, found.st_size - len(content))):
                content += block
            return content
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise UserError(f"{_name(path)} is missing.") from None
    except (OSError, ValueError, MemoryError) as error:  # a ValueError of a name with a NUL
        words = getattr(error, "strerror", None) or error
        raise UserError(f"{_name(path)} cannot be read ({words}).") from None


def _name(path: Path | str) -> str:
    """How messages name a file: by its folder, a run most often, and its name."""
    return f"{Path(path).parent.name}: {Path(path).name}"


def parse_json(text: str | bytes) -> Any:
    """The value of JSON text, of which nothing surprises who reads it.

    Numbers are finite, whole ones below `WHOLE`; texts can be written as UTF-8; at most `DEPTH` objects and lists lie
    inside one another.

    Raises:
        Broken: anything else.
    """
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    value = _load_json(content)
    if _is_suspect(content):
        for place, words in _find_wrong(value):
            raise Broken(words, place)
    return value


def _load_json(content: bytes) -> Any:
    """What `json` makes of a text, in one kind of exception."""
    try:
        return json.loads(str(content, "utf-8"))
    except json.JSONDecodeError as error:
        raise Broken(error.msg, f"line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise Broken(f"it is no UTF-8: {error.reason} at byte {error.start}", UNKNOWN_LETTERS) from None
    except RecursionError:
        raise Broken(f"more than {DEPTH} objects and lists lie inside one another") from None
    except ValueError:  # of Python, on the number of digits
        raise Broken("a number has thousands of digits") from None
    except MemoryError:
        raise Broken("it needs more memory than there is") from None


def _is_suspect(content: bytes) -> bool:
    """Whether the value of JSON text may have anything that `parse_json` refuses; most text has nothing like it."""
    if any(mark in content for mark in SUSPECT) or content.count(b"[") + content.count(b"{") > DEPTH:
        return True
    plain = content.translate(ALIKE)
    return any(mark in plain and _is_in_number(plain, mark) for mark in LONG)


def _is_in_number(plain: bytes, mark: bytes) -> bool:
    """Whether one of `LONG` stands in a number somewhere, and not behind its point if it is of digits alone."""
    place = plain.find(mark)
    while place >= 0:
        before = plain[max(place - LONGEST, 0) : place]
        rest = before.rstrip(b"0.-")
        starts = not rest or rest[-1:] in b" \t\n\r,:["
        if len(before) - len(rest) >= LONGEST or (starts and (b"e" in mark or b"." not in before[len(rest) :])):
            return True
        place = plain.find(mark, place + len(mark))
    return False


def _find_wrong(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """The place and the kind of everything in a value that `parse_json` refuses."""
    if depth > DEPTH:
        yield place, f"more than {DEPTH} objects and lists lie inside one another"
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            inner = f"{place}.{key}" if place else f"{key}"
            if not is_text(inner):
                yield place, "a key has half a letter"
            else:
                yield from _find_wrong(one, inner, depth + 1)
    elif wrong := _what_is_wrong(value):
        yield place, wrong


def _what_is_wrong(value: Any) -> str:
    """Why a number or a text is refused; empty if it is not."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"input should be a finite number, not {value}"
    if type(value) is int and not -WHOLE < value < WHOLE:
        return "input should be a whole number of 64 bits"
    return "a text has half a letter" if isinstance(value, str) and not is_text(value) else ""


def show_path(path: Path) -> str:
    """A path as it can be printed and drawn: bytes that are no UTF-8 are escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def is_text(value: str) -> bool:
    """Whether a text can be written as UTF-8: half a letter, as `\\ud800` is, cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_json(path: Path, *, most: int = MOST_BYTES) -> Any:
    """Reads JSON.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UserError: the file is missing, unreadable or damaged (with line and column, or the keys that lead to a value
            that `parse_json` refuses).
    """
    content = read_bytes(path, most=most)
    try:
        return parse_json(content)
    except Broken as error:
        raise UserError(describe_broken(path, error)) from None


def describe_broken(path: Path | str, error: Broken) -> str:
    """What is wrong with a file of JSON, a sentence."""
    words = f"cannot be read ({error.words})" if error.place == UNKNOWN_LETTERS else f"is damaged {error}"
    return f"{_name(path)} {words}."


def read_fields(path: Path) -> tuple[dict[str, Any], list[str]]:
    """An object that a small file holds, without the values that `parse_json` would refuse.

    Returns:
        The object, and a clause on each value that was dropped: its place and what is wrong with it.

    Raises:
        UserError: as `read_json`, but for values alone; or it holds no object.
    """
    return parse_fields(read_bytes(path, most=SMALL_BYTES), path)


def parse_fields(content: bytes, path: Path | str) -> tuple[dict[str, Any], list[str]]:
    """What `read_fields` gives of the content of a file.

    Raises:
        UserError: as `read_fields`; it names `path`.
    """
    try:
        value = _load_json(content)
    except Broken as error:
        raise UserError(describe_broken(path, error)) from None
    if not isinstance(value, dict):
        raise UserError(f"{_name(path)} is damaged: expected an object.")
    if not _is_suspect(content):
        return value, []
    wrong = list(_find_wrong(value))
    return _without_wrong(value), [f"{place}: {words}" if place else words for place, words in wrong]


def _without_wrong(value: Any, depth: int = 0) -> Any:
    """A value with None in the place of all that `parse_json` refuses; keys that are no text are left out."""
    if depth > DEPTH:
        return None
    if isinstance(value, dict):
        return {key: _without_wrong(one, depth + 1) for key, one in value.items() if is_text(key)}
    if isinstance(value, list):
        return [_without_wrong(one, depth + 1) for one in value]
    return None if _what_is_wrong(value) else value


def read_lines(path: Path, *, last: int = MOST_LINES_BYTES) -> tuple[list[dict[str, Any]], int]:
    """The objects in a file with one on each line, and how many lines hold none.

    A last line without its end is being written and is not counted.

    Args:
        path: the file; one that is missing or cannot be read has no lines.
        last: bytes at its end that are read; a line that begins before them is left out.
    """
    try:
        with open(path, "rb", opener=open_regular) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - last))
            content = file.read(last)
    except (OSError, ValueError, MemoryError):
        return [], 0
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")[size > last : -1]
    entries, damaged = [], 0
    for line in lines:
        try:
            entry = parse_json(line)
        except Broken:
            entry = None
        if isinstance(entry, dict):
            entries.append(entry)
        else:
            damaged += 1
    return entries, damaged


def open_regular(path: str, flags: int) -> int:
    """Opens a regular file, and no pipe, device or folder.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return descriptor

"""A file of documents as a stream of bytes: plain, gz or a zip with one file in it, of bounded unpacked size."""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from core.system.errors import UserError

MAX_BYTES = 64 << 30
"""Of unpacked content."""
MAX_RATIO = 200
"""Of unpacked to packed size, from `FREE` bytes on: text packs to a tenth at best, a bomb to a thousandth."""
FREE = 64 << 20
BUFFER = 1 << 18


class _Unpacked(io.RawIOBase):
    """Bytes of a packed file; damage and too large a size raise `UserError`."""

    def __init__(self, stream: Any, path: Path, packed: int) -> None:
        self.stream, self.path, self.limit = stream, path, min(MAX_BYTES, max(FREE, MAX_RATIO * packed))
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self.stream.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise UserError(
                f"{self.path.name} is cut short or damaged after {self.done:,} unpacked bytes ({error}). Copy it again."
            ) from None
        self.done += len(content)
        if self.done > self.limit:
            raise UserError(
                f"{self.path.name} unpacks to more than {self.limit:,} bytes, which no collection of texts does: it "
                "was not read further. If it is sound, unpack it first."
            )
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], float]]]:
    """Opens a file of documents; packed ones are known by their first bytes, not by their name.

    Yields:
        The unpacked bytes, and a function that says what share of the file has been read, 0..1.

    Raises:
        UserError: it cannot be read, or a zip that is no single file; while reading: damaged, or endless.
    """
    try:
        size = path.stat().st_size
        raw = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. Check the path and its rights.") from None
    with ExitStack() as stack:
        stack.enter_context(raw)
        magic = raw.read(4)
        raw.seek(0)
        stream: Any = raw
        if magic[:2] == b"\x1f\x8b":
            stream = io.BufferedReader(_Unpacked(stack.enter_context(gzip.GzipFile(fileobj=raw)), path, size), BUFFER)
        elif magic[:2] == b"PK":
            member = stack.enter_context(_only_member(path, stack))
            stream = io.BufferedReader(_Unpacked(member, path, size), BUFFER)
        yield stream, lambda: raw.tell() / size if size else 1.0


def _only_member(path: Path, stack: ExitStack) -> Any:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path.name} is a damaged zip ({error}). Copy it again.") from None
    members = [member for member in archive.infolist() if not member.is_dir()]
    # No member is written to disk, but a path or link that leads outside marks a zip that is not to be trusted.
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename.startswith(("/", "\\")):
            raise UserError(f"{path.name} holds '{member.filename}', a path out of its folder: it was not opened.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{path.name} holds '{member.filename}', a link to elsewhere: it was not opened.")
    # macOS adds a folder of its own to every zip.
    wanted = [m for m in members if not m.filename.startswith("__MACOSX/")]
    if len(wanted) != 1:
        raise UserError(f"{path.name} holds {len(wanted):,} files; pack the one with the documents alone.")
    if wanted[0].flag_bits & 1:
        raise UserError(f"{path.name} is locked with a password: unpack it first.")
    try:
        return archive.open(wanted[0])
    except (RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path.name} cannot be unpacked here ({error}): unpack it first.") from None


def inner_name(path: Path) -> str:
    """The file's name without .gz, or the name inside a zip; lower case."""
    name = path.name.lower()
    if name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [m.filename for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        except (zipfile.BadZipFile, OSError):
            return name
        return PurePosixPath(names[0]).name.lower() if names else name
    return name.removesuffix(".gz")

"""Bytes of a file of documents: plain, gz, bz2, xz or zst, one in another, of bounded unpacked size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from core.system.errors import UserError

MAX_BYTES = 64 << 30
"""Of unpacked content."""
MAX_RATIO = 200
"""Of unpacked to packed size, from `FREE` bytes on: text packs to a tenth at best, a bomb to a thousandth."""
FREE = 64 << 20
BUFFER = 1 << 18
MAX_LAYERS = 3
"""Of packages in one another, such as a gz in a zip."""
PACKS = (".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zst", ".zstd", ".zip")
"""Ends of the names of packed files."""
DAMAGE = (
    *(EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, lzma.LZMAError, zstandard.ZstdError),
    *(tarfile.TarError, NotImplementedError, RuntimeError, OSError, ValueError),
)
"""What the libraries raise where a package is cut short, damaged, locked or of an unknown kind."""


class _Zstandard(io.RawIOBase):
    """Frames of Zstandard one after another; a frame that ends early raises `EOFError`."""

    def __init__(self, packed: Any) -> None:
        self.packed, self.left, self.ready = packed, b"", memoryview(b"")
        self.frame = self._begin()

    @staticmethod
    def _begin() -> Any:
        return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.ready:
            packed = self.left or self.packed.read(1 << 12)
            self.left = b""
            if self.frame.eof and packed:
                self.frame = self._begin()
            if not packed:
                if not self.frame.eof:
                    raise EOFError("the last frame has no end")
                return 0
            self.ready = memoryview(self.frame.decompress(packed))
            self.left = self.frame.unused_data if self.frame.eof else b""
        taken = self.ready[: len(buffer)]
        self.ready = self.ready[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


class Unpacked(io.RawIOBase):
    """Bytes of a packed file; damage and too large a size raise `UserError`.

    Attributes:
        done: bytes that were read.
    """

    def __init__(self, stream: Any, name: str, packed: int) -> None:
        self.stream, self.label, self.limit = stream, name, min(MAX_BYTES, max(FREE, MAX_RATIO * packed))
        self.done = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer; 0 at the end."""
        try:
            content = self.stream.read(len(buffer))
        except UserError:
            raise
        except DAMAGE as error:
            raise UserError(
                f"{self.label} is cut short or damaged after {self.done:,} unpacked bytes ({error}). Copy it again."
            ) from None
        self.done += len(content)
        if self.done > self.limit:
            raise UserError(
                f"{self.label} unpacks to more than {self.limit:,} bytes, which no collection of texts does: it was "
                "not read further. If it is sound, unpack it first."
            )
        buffer[: len(content)] = content
        return len(content)


def unpack(stream: Any, name: str, size: int) -> BinaryIO:
    """The innermost bytes of a stream, by its first bytes rather than its name.

    Args:
        stream: the bytes on disk or in an archive, read from their beginning.
        name: what messages call it.
        size: how many bytes it has.

    Raises:
        UserError: too many packages in one another; while reading: damaged, or endless.
    """
    found: Any = stream if hasattr(stream, "peek") else io.BufferedReader(stream, BUFFER)
    for _ in range(MAX_LAYERS + 1):
        start = found.peek(6)[:6]
        if start[:2] == b"\x1f\x8b":
            inner: Any = gzip.GzipFile(fileobj=found)
        elif start[:3] == b"BZh" and start[3:4].isdigit():
            inner = bz2.BZ2File(found)
        elif start == b"\xfd7zXZ\0" or start[:5] == b"\x5d\0\0\x80\0" or start[:4] == b"\x5d\0\0\0":
            inner = lzma.LZMAFile(found)  # noqa: SIM115 -- whoever opened the bytes on disk closes them
        elif start[:4] == b"\x28\xb5\x2f\xfd":
            inner = _Zstandard(found)
        else:
            return found
        found = io.BufferedReader(Unpacked(inner, name, size), BUFFER)
    raise UserError(f"{name} is packed more than {MAX_LAYERS} times over: unpack it first.")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Opens the bytes of a file as they are on disk, and tells their number.

    Raises:
        UserError: it cannot be read, or is no file: a pipe is never waited for.
    """
    check_file(path)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None
    with raw:
        yield raw, os.fstat(raw.fileno()).st_size


def check_file(path: Path) -> bool:
    """Whether a path is a folder.

    Raises:
        UserError: not there, no right to read it, or neither a file nor a folder.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return True
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise UserError(f"{path} is {kind}, not a file: write what it gives into a file, and name that.")
    return False


def _unreadable(path: Path, error: Exception) -> UserError:
    words = getattr(error, "strerror", None) or str(error)
    shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}..."
    return UserError(f"{shown} cannot be read: {words}. Check the path and its rights.")


def plain_name(name: str) -> str:
    """A file's own name, in lower case, without the ends that say how it is packed."""
    name = name.replace("\\", "/").rpartition("/")[2].lower()
    while ending := next((pack for pack in PACKS if name.endswith(pack)), ""):
        name = name.removesuffix(ending)
    return name

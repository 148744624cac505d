"""The files of a path: itself, those of a folder, or the members of a zip or tar, which is not unpacked to disk."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

from core.data.readers.packed import DAMAGE, Unpacked, check_file, opened, plain_name, unpack
from core.system.errors import UserError

MAX_MEMBERS = 1_000_000
MAX_DEPTH = 8
"""Folders in folders."""
OFFICE = {
    "xl/workbook.xml": "workbook",
    "xl/workbook.bin": "workbook",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
}
"""Members by which a zip is known to be one document of an office program."""


@dataclass(frozen=True)
class Member:
    """A file in a package."""

    name: str
    size: int


@dataclass
class Opened:
    """A member that is being read.

    Attributes:
        name: its own.
        title: what messages call it.
        stream: its innermost bytes.
        path: where these bytes stand on disk as they are; None where they are packed.
        share: says what share of it was read, 0..1.
    """

    name: str
    title: str
    stream: BinaryIO
    path: Path | None = None
    share: Callable[[], float] = field(default=lambda: 1.0)


class Package:
    """A file, folder, zip or tar as a number of files that are read one after another.

    Raises:
        UserError: it cannot be read, or is no file; a zip or tar that is damaged, locked, or leads out of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind: Literal["file", "folder", "zip", "tar"] = "file"
        self.office = ""
        if check_file(path):
            self.kind = "folder"
            return
        with opened(path) as (raw, size):
            if raw.read(2) == b"PK":
                self.office = _office(path)
                self.kind = "file" if self.office else "zip"
                return
            raw.seek(0)
            if _is_tar(unpack(raw, path.name, size)):
                self.kind = "tar"

    def members(self) -> list[Member]:
        """Its files, in the order in which `walk` reads them."""
        if self.kind == "folder":
            return list(_folder_members(self.path))
        if self.kind == "zip":
            with _open_zip(self.path) as archive:
                return [Member(info.filename, info.file_size) for info in _wanted(self.path, archive)]
        if self.kind == "tar":
            with ExitStack() as stack:
                return [Member(info.name, info.size) for info, _ in _tar_members(self.path, stack)]
        return [Member(self.path.name, self.path.stat().st_size)]

    def walk(self, names: Sequence[str]) -> Iterator[Opened]:
        """Opens the members of these names, one at a time; those of a tar in its own order."""
        with ExitStack() as stack:
            if self.kind == "zip":
                archive = stack.enter_context(_open_zip(self.path))
                infos = {info.filename: info for info in _wanted(self.path, archive)}
                for info in map(infos.__getitem__, names):
                    member = _open_member(self.path, archive, info)
                    yield self._opened(member, info.filename, info.file_size, info.compress_size)
            elif self.kind == "tar":
                wanted = set(names)
                for inner, tar in _tar_members(self.path, stack):
                    if inner.name in wanted:
                        yield self._opened(tar.extractfile(inner), inner.name, inner.size, inner.size)
            else:
                paths = [self.path / name for name in names] if self.kind == "folder" else [self.path]
                for path in paths:
                    with opened(path) as (raw, size):
                        stream = unpack(raw, path.name, size)
                        plain = path if stream is raw else None
                        name = path.name if self.kind == "file" else path.relative_to(self.path).as_posix()
                        yield Opened(name, name, stream, plain, partial(_share_read, raw, size))

    def _opened(self, raw: Any, name: str, size: int, packed: int) -> Opened:
        title = f"{self.path.name}, {name}"
        counted = Unpacked(raw, title, packed)
        stream = unpack(counted, title, packed)
        return Opened(name, title, stream, None, lambda: min(1.0, counted.done / (size or 1)))


def _share_read(raw: BinaryIO, size: int) -> float:
    return raw.tell() / (size or 1)


def _check_inside(path: Path, name: str) -> None:
    """No member is written to disk, but a path that leads outside marks a package that is not to be trusted."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or name[1:3] in (":\\", ":/"):
        raise UserError(f"{path.name} holds '{name}', a path out of its folder: it was not opened.")


def _is_noise(name: str) -> bool:
    """What systems add of their own: macOS to every zip, Git, Python, the hub's cache."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part in ("__MACOSX", "__pycache__") or part == "Thumbs.db" for part in parts)


# Zip.


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (*DAMAGE, UnicodeError) as error:
        raise UserError(f"{path.name} is a damaged zip ({error}). Copy it again.") from None


def _wanted(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        _check_inside(path, info.filename)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UserError(f"{path.name} holds '{info.filename}', a link to elsewhere: it was not opened.")
    return [info for info in infos if not _is_noise(info.filename)]


def _open_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.flag_bits & 1:
        raise UserError(f"{path.name} is locked with a password: unpack it first.")
    try:
        return archive.open(info)
    except NotImplementedError:
        raise UserError(
            f"{path.name} holds '{info.filename}', packed in a way that is not known here (method "
            f"{info.compress_type}): unpack it first, and pack it as a usual zip or gz."
        ) from None
    except DAMAGE as error:
        raise UserError(f"{path.name} is a damaged zip ({error}). Copy it again.") from None


def _office(path: Path) -> str:
    """What office program wrote a zip; empty for a usual one."""
    with _open_zip(path) as archive:
        names = set(archive.namelist())
        if "mimetype" in names and "content.xml" in names:
            return "workbook" if b"spreadsheet" in archive.read("mimetype")[:100] else "an OpenDocument text"
    return next((kind for name, kind in OFFICE.items() if name in names), "")


# Tar.


def _is_tar(stream: BinaryIO) -> bool:
    start = stream.read(512)
    return len(start) == 512 and start[257:262] == b"ustar"


def _tar_members(path: Path, stack: ExitStack) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    raw, size = stack.enter_context(opened(path))
    try:
        stream = unpack(raw, path.name, size)
        archive = stack.enter_context(tarfile.TarFile.open(fileobj=stream, mode="r|"))
        for number, info in enumerate(archive):
            if number >= MAX_MEMBERS:
                raise UserError(f"{path.name} holds more than {MAX_MEMBERS:,} files: pack those with the documents.")
            _check_inside(path, info.name)
            if info.isfile() and not _is_noise(info.name):
                yield info, archive
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{path.name} is cut short or damaged ({error}). Copy it again.") from None


# Folders.


def _folder_members(root: Path) -> Iterator[Member]:
    """Regular files of a folder that lie in it, whatever a link says; pipes and links to themselves are none."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}. Check the path and its rights.")

    real, number = os.path.realpath(root), 0
    for folder, folders, names in os.walk(root, onerror=refuse):
        inner = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if not _is_noise(f)) if len(inner.parts) < MAX_DEPTH else []
        for name in sorted(names):
            path = Path(folder, name)
            target = os.path.realpath(path)
            if _is_noise(name) or os.path.commonpath([real, target]) != real:
                continue
            try:
                state = os.stat(path)
            except OSError:
                continue
            if stat.S_ISREG(state.st_mode):
                number += 1
                if number > MAX_MEMBERS:
                    raise UserError(f"{root} holds more than {MAX_MEMBERS:,} files: name the one with the documents.")
                yield Member((inner / name).as_posix(), state.st_size)


def inner_name(path: Path) -> str:
    """The plain name of a file, or that of the only one in a zip; lower case."""
    name = path.name.lower()
    if name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if not n.endswith("/") and not _is_noise(n)]
        except (*DAMAGE, UnicodeError):
            return name
        return plain_name(names[0]) if names else name
    return plain_name(name)

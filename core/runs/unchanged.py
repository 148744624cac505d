"""What files said when they were last read: who lists a thousand runs again and again reads what has changed alone."""

from __future__ import annotations

import os
import time
from typing import Generic, TypeVar

SETTLED = 2.0
"""Seconds after a change from which on a file's next change has another time: file systems' clocks tick slowly."""
MOST = 20_000
"""Folders that are remembered."""

Version = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of the last change of each file; None of one that is missing."""
Read = TypeVar("Read")


def find_version(folder: str, names: tuple[str, ...]) -> Version:
    """What a change of one of a folder's files changes, whether it was replaced or written in place."""
    found: list[tuple[int, int, int] | None] = []
    for name in names:
        try:
            file = os.stat(f"{folder}/{name}")
        except (OSError, ValueError):
            found.append(None)
        else:
            found.append((file.st_ino, file.st_size, file.st_ctime_ns))  # of mtime a copy may keep the old one
    return tuple(found)


class Unchanged(Generic[Read]):
    """What was read of folders, by their paths.

    Args:
        names: of the files in a folder that it was read from.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._known: dict[str, tuple[Version, Read]] = {}

    def find(self, folder: str) -> tuple[Version, Read | None]:
        """The version of a folder's files now, and what was read of them; None if that is unknown or has changed."""
        version = find_version(folder, self._names)
        known = self._known.get(folder)
        return version, known[1] if known and known[0] == version else None

    def keep(self, folder: str, version: Version, read: Read) -> None:
        """Keeps what was read, unless its files are so young that a later change might not show.

        Args:
            folder: its path.
            version: of `find`, from before it was read.
            read: what was read of it.
        """
        if max((file[2] for file in version if file), default=0) > (time.time() - SETTLED) * 1e9:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[folder] = version, read

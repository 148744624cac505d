"""Object storage through fsspec: what machines share that have no file system in common.

`TAILSCOPE_STORE` names a folder in it, such as s3://bucket/folder, laid out like a cache. An object is written whole or
not at all, and two writers never make one of two halves. Credentials are the machine's own: none is in the address.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.system.errors import UserError
from core.system.files import atomic_path

STORE_VARIABLE = "TAILSCOPE_STORE"
NEEDED = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "file": "fsspec"}
"""The kinds of store, and the package that each needs."""
ADDRESS = re.compile(r"(s3|gs|abfs|file)://([A-Za-z0-9._/-]{1,500})")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}){0,5}")
"""Of an object: what could leave a folder of this machine is no name."""
S3 = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}}}
"""How long a store is waited for: seconds, and tries."""


class StoreSilent(UserError):
    """A store does not answer, or refuses: nothing is known of what it holds, and nothing follows from that."""


@dataclass(frozen=True)
class Store:
    """A folder on object storage.

    Attributes:
        url: as it was named.
        files: the file system of fsspec.
        root: the folder in it.
    """

    url: str
    files: Any
    root: str

    def list_objects(self, folder: str) -> dict[str, str]:
        """The objects below a folder by their names in it, each with a word that changes when the object does."""
        with self._said("listed"):
            self.files.invalidate_cache()
            try:
                found = self.files.find(self._place(folder), detail=True)
            except FileNotFoundError:
                return {}
        start = len(self.files._strip_protocol(self._place(folder)).rstrip("/")) + 1
        return {name[start:]: _version(said) for name, said in found.items() if NAME.fullmatch(name[start:])}

    def list_folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        with self._said("listed"):
            self.files.invalidate_cache()
            try:
                found = self.files.ls(self._place(folder), detail=True)
            except FileNotFoundError:
                return []
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory")

    def has(self, name: str) -> bool:
        """Whether there is an object of this name."""
        with self._said("read"):
            self.files.invalidate_cache()
            return bool(self.files.exists(self._place(name)))

    def put(self, path: Path, name: str) -> None:
        """Writes a file as an object, whole."""
        place = self._place(name)
        with self._said("written"):
            if "file" not in _protocols(self.files):
                self.files.put_file(str(path), place)
                return
            # A folder is no object storage: what is written there is moved to its name when it is whole.
            part = f"{place.rpartition('/')[0]}/.{secrets.token_hex(8)}.part"
            self.files.makedirs(part.rpartition("/")[0], exist_ok=True)
            try:
                self.files.put_file(str(path), part)
                os.replace(self.files._strip_protocol(part), self.files._strip_protocol(place))
            finally:
                if self.files.exists(part):
                    self.files.rm_file(part)

    def get(self, name: str, path: Path) -> bool:
        """Writes an object to a file, whole; whether the object was there."""
        with self._said("read"):
            try:
                with atomic_path(path) as temporary:
                    self.files.get_file(self._place(name), str(temporary))
            except FileNotFoundError:
                return False
        return True

    def remove(self, names: Iterable[str]) -> None:
        """Removes objects; one that is not there is no error."""
        with self._said("changed"):
            for name in names:
                try:
                    self.files.rm_file(self._place(name))
                except FileNotFoundError:
                    continue

    def _place(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    @contextmanager
    def _said(self, done: str) -> Iterator[None]:
        """Makes a sentence of whatever goes wrong: each kind of store has exceptions of its own, few of them OSErrors.

        Raises:
            StoreSilent: for any of them.
        """
        try:
            yield
        except Exception as error:
            words = " ".join(str(error).split())[:200]
            why = (
                "no credentials were found on this machine"
                if "redential" in f"{type(error).__name__}{words}"
                else words
            )
            raise StoreSilent(f"The store {self.url} cannot be {done}: {why or type(error).__name__}.") from error


def find_store() -> Store | None:
    """The store that `TAILSCOPE_STORE` names; None where it is not set.

    Raises:
        UserError: it names none, or a package is missing.
    """
    named = os.environ.get(STORE_VARIABLE, "").rstrip("/")
    return _open(named) if named else None


@lru_cache(maxsize=4)
def _open(url: str) -> Store:
    found = ADDRESS.fullmatch(url)
    if not found or ".." in url.split("/"):
        raise UserError(
            f"{STORE_VARIABLE} says '{url[:80]}': write a folder such as s3://bucket/folder (or gs, abfs, file). "
            "Credentials stand in the machine's own files or variables, never in the address."
        )
    kind = found.group(1)
    if find_spec(NEEDED[kind]) is None:
        advice = "`pip install -r requirements-s3.txt`" if kind == "s3" else f"`pip install {NEEDED[kind]}`"
        raise UserError(f"{STORE_VARIABLE} names {url}, for which {NEEDED[kind]} is not installed: {advice}.")
    import fsspec

    files = fsspec.filesystem(kind, skip_instance_cache=True, use_listings_cache=False, **(S3 if kind == "s3" else {}))
    return Store(url, files, url if kind == "file" else found.group(2))


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _version(said: dict[str, Any]) -> str:
    """What changes with an object: its size, and its digest or its time."""
    changed = next((said[key] for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if said.get(key)), "")
    return f"{said.get('size', 0)} {changed}"

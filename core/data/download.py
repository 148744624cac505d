"""Fetching Reuters-21578: resumed where an earlier attempt was cut, checked by content."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from core.data.readers import open_reuters
from core.data.reuters import NAMES
from core.system.access import check_writable
from core.system.errors import UserError, choose
from core.system.locks import locked
from core.system.places import cache_dir

REUTERS_URL = "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz"
REUTERS_SHA256 = "0e3dd495e06553e794aff9bee98630c0ae743e8f8c291cf63d48bfc41485e9f1"
"""Of the names and contents of the `reut2-*.sgm` files in the archive, in name order: a re-packed archive passes."""
CHUNK = 1 << 18
TIMEOUT = 30
"""Seconds without an answer or a byte after which a download ends."""


def downloads() -> Path:
    """Folder of fetched archives."""
    return cache_dir() / "downloads"


def download(name: str, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Downloads Reuters-21578 into the cache; resumes an interrupted download.

    Args:
        name: `reuters`, the one set that can be fetched.
        progress: called with bytes done and bytes in all (0 if unknown).

    Returns:
        The archive's path. It appears there whole and checked, or not at all.

    Raises:
        UserError: no network, an answer that is no archive, the wrong content, or the disk is full.
    """
    check_writable()
    choose("data set", name, NAMES)
    if name != "reuters":
        raise UserError(f"Data set '{name}' cannot be fetched; only 'reuters' can.")
    url = os.environ.get("TAILSCOPE_REUTERS_URL") or REUTERS_URL
    if not re.match(r"https?://", url):
        raise UserError(f"TAILSCOPE_REUTERS_URL is '{url}': it must start with http:// or https://.")
    target = downloads() / "reuters21578.tar.gz"
    part = target.with_name(f"{target.name}.part")
    try:
        with locked(target.with_name(f"{target.name}.lock")):
            if not (target.is_file() and _is_reuters(target)):
                _fetch(url, part, progress or (lambda *_: None))
                _check(url, part)
                os.replace(part, target)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Say how to continue.
        kept = part.is_file() and part.stat().st_size > 0
        ways = (
            "Try again: it goes on from there."
            if kept
            else "Check the network, name another address in TAILSCOPE_REUTERS_URL, or put reuters21578.tar.gz into a "
            "folder named in TAILSCOPE_DATA."
        )
        so_far = f" {part.stat().st_size:,} bytes are kept." if kept else ""
        raise UserError(f"{url} could not be fetched: {error}.{so_far} {ways}") from None
    return target


def _fetch(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    # Ask for the rest of an earlier attempt.
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is all there is
            return
        raise
    with answer:
        # A server without ranges sends the whole file: then the part is written from its beginning.
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not resumed:
            raise OSError("the server sent another part than the one asked for")
        with part.open("ab" if resumed else "wb") as file:
            done = file.tell()
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else 0
            progress(done, total)
            while chunk := answer.read1(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")


def _check(url: str, part: Path) -> None:
    """Removes what was fetched and raises `UserError` if it is not Reuters-21578."""
    try:
        found = content_sha256(part)
    except UserError as error:
        part.unlink()
        raise UserError(f"What {url} sent is no Reuters archive and was removed: {error}") from None
    if found != REUTERS_SHA256:
        part.unlink()
        raise UserError(
            f"What {url} sent is not the Reuters-21578 collection and was removed: its content has SHA-256 {found}, "
            f"expected {REUTERS_SHA256}."
        )


def _is_reuters(archive: Path) -> bool:
    try:
        return content_sha256(archive) == REUTERS_SHA256
    except UserError:
        return False


def content_sha256(path: Path) -> str:
    """SHA-256 of the names and contents of the `reut2-*.sgm` files in an archive or folder, in name order."""
    digest = hashlib.sha256()
    for name, content in sorted(open_reuters(path)):
        digest.update(name.encode() + content)
    return digest.hexdigest()

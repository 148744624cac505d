"""The person behind a request, and whether they may change anything."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from fnmatch import fnmatchcase

from core.system.errors import UserError

_find_person: Callable[[], str | None] | None = None


def set_person_finder(finder: Callable[[], str | None]) -> None:
    """Sets the function by which `person` finds who is signed in; the dashboard calls this."""
    global _find_person
    _find_person = finder


def person() -> str | None:
    """The address of who is signed in, "" for a visitor who is not; None where there is no sign-in, as in a shell."""
    return _find_person() if _find_person else None


def why_read_only() -> str:
    """Why this person may not start, stop, add or remove anything, in a sentence; empty where they may.

    `TAILSCOPE_READONLY` forbids it to all. Where people sign in, `TAILSCOPE_LAUNCHERS` names those who may.
    """
    if os.environ.get("TAILSCOPE_READONLY", "").lower() not in ("", "0", "false", "no"):
        return "This is read-only (TAILSCOPE_READONLY is set): nothing is started, stopped, added or removed."
    who = person()
    names = os.environ.get("TAILSCOPE_LAUNCHERS", "").replace(",", " ").lower().split()
    if who is None or (who and any(fnmatchcase(who.lower(), name) for name in names)):
        return ""
    if who:
        return "You may look, but are not among those who may start, stop, add and remove (TAILSCOPE_LAUNCHERS)."
    return "You may look. To start, stop, add and remove, sign in with a verified address."


def read_only() -> bool:
    """Whether this person may not start, stop, add or remove anything."""
    return bool(why_read_only())


def check_writable() -> None:
    """Raises `UserError` where `read_only`."""
    if why := why_read_only():
        raise UserError(why)


def account() -> str:
    """Who is signed in, else the name of the account that this process runs under; its number where it has none."""
    if who := person():
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())

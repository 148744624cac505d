"""The runs' folders, listed once for all parts of a page that are drawn together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from core.runs import folder
from core.runs.folder import Run
from core.system.places import cache_dir

if TYPE_CHECKING:
    from core.runs.folder import Damaged

LISTED = "listed_runs"
"""Of the session: what was listed last, by whether published runs are in it: when, in which cache, and the runs."""
FRESH = 1.5
"""Seconds in which parts of a page share a listing: fewer than lie between two of its ticks."""


def forget() -> None:
    """Lists anew from here on: a page is drawn as a whole, or a run has just been added."""
    st.session_state.pop(LISTED, None)


def list_folders(*, published: bool = True) -> list[Run | Damaged]:
    """`core.runs.folder.list_folders`, read at most once while a page, or all that ticks on it, is drawn."""
    listed = st.session_state.setdefault(LISTED, {})
    where, now = str(cache_dir()), time.monotonic()
    for key in dict.fromkeys((published, True)):
        since, place, found = listed.get(key, (0.0, "", []))
        if place == where and now - since < FRESH:
            return found if key == published else [one for one in found if not one.published]
    listed[published] = (now, where, folder.list_folders(published=published))
    return list(listed[published][2])


def list_runs(*, published: bool = True) -> list[Run]:
    """Those of `list_folders` that are not damaged."""
    return [one for one in list_folders(published=published) if isinstance(one, Run)]

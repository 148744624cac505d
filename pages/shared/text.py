"""Text from outside, shown as it is."""

from __future__ import annotations

import re

import streamlit as st

JOINER = "\u2060"
ADDRESS = re.compile(r"[a-z]+\\?:(?=//)|\bwww(?=\.)|@(?=[\w-])", re.IGNORECASE)
"""The places in which an address is divided."""


def plain(text: str) -> str:
    """Text that st.error, st.caption and the like show as it is, not as Markdown, HTML, a formula, an icon or a link.

    An address becomes a link by what it is, whatever is escaped in it: a joiner without width divides it.
    """
    text = re.sub(r"[\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=\w)|^[#+-]|(?<=^\d)\.", r"\\\g<0>", text, flags=re.M)
    text = ADDRESS.sub(lambda found: f"{found[0]}{JOINER}", text)
    return text.replace("\n", "  \n")


def shorten(text: str, letters: int) -> str:
    """A text on one line, cut after so many letters."""
    words = " ".join(text.split())
    return words if len(words) <= letters else f"{words[: letters - 1].rstrip()}…"


def is_dark() -> bool:
    """Whether the visitor's theme is dark."""
    return st.context.theme.type == "dark"


def without_options(sentence: str) -> str:
    """A sentence without what it says of options of the command line, which a page has controls for."""
    sentence = re.sub(r" \([^()]*--[a-z][^()]*\)", "", sentence)
    sentence = re.sub(r"[;:,] [^;.]*--[a-z][^;.]*(?=[;.]|$)", "", sentence)
    parts = re.split(r"(?<=[.?]) (?=[A-Z`-])", sentence)
    return " ".join(part for part in parts if not re.search(r"(^|[\s`])--[a-z]", part)).strip()

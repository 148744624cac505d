"""How a file is written: found out from the file, changed here."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data import readers
from core.system.errors import UserError
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.config.schema import FileConfig
    from core.data.readers import Beginning

ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "blank"}
QUOTES = {'"': "double quotes", "'": "single quotes", "": "no sign"}
ESCAPES = {"": "another quote", "\\": "a backslash"}
BAD_LINES = {"error": "Stop, and say which", "skip": "Leave them out, and count them"}
FORMATS = {
    "csv": "a table of fields (CSV or TSV)",
    "jsonl": "JSON lines: one object in each line",
    "json": "JSON",
    "parquet": "Parquet",
    "datasets": "a folder that Hugging Face datasets saved",
    "arrow": "Arrow",
    "workbook": "a workbook (Excel or OpenDocument)",
    "fasttext": "fastText: labels stand in each line before the text",
    "pubmed": "XML of PubMed",
    "texts": "one document in each file",
    "lines": "texts and labels in two files, line by line",
}
TEXT_FORMATS = ("csv", "jsonl", "json", "fasttext", "texts")
"""Formats that have an encoding."""

Told = tuple[tuple[str, str | bool | int], ...]
"""Settings that differ from what was found out."""


def pick_form(path: Path, changed: str) -> Beginning:
    """Draws how the file is written, and reads its beginning so.

    Raises:
        UserError: it cannot be read so.
    """
    form, proposed, beginning = guess_form(str(path), changed), "", None
    st.caption(plain(f"{path.name} is read as {FORMATS.get(form.format, form.format)}."))
    with suppress(UserError):  # it may be written otherwise than it seems
        beginning = load_beginning(str(path), changed, ())
    if beginning and beginning.question:
        proposed = beginning.question.choices[0]
        st.warning(
            plain(f"{beginning.question.what} It is read as {proposed}; choose another one under Encoding if not.")
        )
    told = tuple(pick_settings(form, proposed, key=changed).items())
    return load_beginning(str(path), changed, told) if told or beginning is None else beginning


def pick_settings(form: FileConfig, proposed: str, *, key: str) -> dict[str, str | bool | int]:
    """Draws the settings of a text file; gives those that differ from what was found out."""
    chosen: dict[str, str | bool | int] = {}
    if form.format not in TEXT_FORMATS:
        return chosen
    with st.container(horizontal=True, vertical_alignment="bottom"):
        encodings = dict.fromkeys((proposed or form.encoding, form.encoding, *ENCODINGS))
        chosen["encoding"] = st.selectbox(
            "Encoding", list(encodings), key=f"encoding{key}", accept_new_options=True, width=180
        )
        if form.format == "jsonl":
            chosen["bad_lines"] = _choose("Lines that cannot be read", "bad_lines", BAD_LINES, form, key)
        elif form.format == "csv":
            chosen["delimiter"] = _choose("Between fields", "delimiter", DELIMITERS, form, key)
            chosen["header"] = st.toggle("The first line names the columns", form.header, key=f"header{key}")
            with st.popover("More on how it is written"):
                chosen["quote"] = _choose("Around fields", "quote", QUOTES, form, key)
                chosen["escape"] = _choose("Before a quote inside a field", "escape", ESCAPES, form, key)
                chosen["skip_lines"] = st.number_input(
                    "Lines before the first one that counts", 0, value=form.skip_lines, key=f"skip_lines{key}"
                )
                chosen["comment"] = st.text_input(
                    "Lines that begin so are left out", form.comment, key=f"comment{key}", max_chars=5, placeholder="#"
                )
                chosen["bad_lines"] = _choose("Rows that do not fit", "bad_lines", BAD_LINES, form, key)
    return {name: value for name, value in chosen.items() if value != getattr(form, name)}


def _choose(title: str, name: str, words: dict[str, str], form: FileConfig, key: str) -> str:
    value = getattr(form, name)
    options = dict.fromkeys((value, *words))
    width = 300 if name == "bad_lines" else 220
    return st.selectbox(
        title, list(options), format_func=lambda one: words.get(one, one), key=f"{name}{key}", width=width
    )


@st.cache_data(max_entries=32, show_spinner="Looking at the file")
def guess_form(path: str, changed: str) -> FileConfig:  # noqa: ARG001 - a part of the key
    return readers.sniff(Path(path))


@st.cache_resource(max_entries=16, show_spinner="Looking at the file")
def load_beginning(path: str, changed: str, told: Told) -> Beginning:  # noqa: ARG001 - a part of the key
    """The form of a file and its first rows, shared by all sessions: they are read, never changed."""
    return readers.read_beginning(Path(path), **dict(told))

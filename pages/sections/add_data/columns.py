"""The first rows of a file, how it is cut into fields, and what each column is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.config.parse import parse
from core.config.schema import FileConfig
from core.data import readers, scanning
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 5
"""Rows that are shown."""
OFFERED = 500
"""Columns in one list to choose from."""
NONE = "none"
ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
SEPARATORS = {"": "none: a list, or one label", ";": "semicolon", ",": "comma", "|": "bar", " ": "blank"}


def pick_columns(path: Path) -> FileConfig | None:
    """Draws the first rows and the choice of what each column is; None while something is missing."""
    form, changed = st.container(), str(scanning.state_of(path))
    guessed = guess_form(str(path), changed, ())
    st.subheader("First rows")
    if guessed.format == "csv":
        with form.container(horizontal=True):
            told = pick_form(guessed, key=changed)
        guessed = guess_form(str(path), changed, told)
    rows = load_rows(str(path), changed, guessed.model_dump_json())
    columns = readers.columns_of(rows)
    st.dataframe(readers.preview(rows[:SHOWN]), hide_index=True, alt="The first rows of the file")
    said = f"{path.name} is read as {guessed.format.upper()}, {len(columns):,} columns"
    st.caption(plain(f"{said}; the first {min(30, len(columns))} are shown." if len(columns) > 30 else f"{said}."))
    st.subheader("What the columns are")
    values = guessed.model_dump() | pick_meanings(guessed, rows, key=f"{changed}{guessed.header}{guessed.delimiter}")
    if not (values["text"] or values["title"]) or not values["labels"]:
        st.info("Choose the column that holds the text and the one that holds the labels.")
        return None
    return parse(FileConfig, values, where=path.name)


def pick_form(guessed: FileConfig, *, key: str) -> tuple[tuple[str, str | bool], ...]:
    """Draws how a CSV file is cut into fields."""
    encodings = [guessed.encoding, *(name for name in ENCODINGS if name != guessed.encoding)]
    delimiters = [guessed.delimiter, *(sign for sign in DELIMITERS if sign != guessed.delimiter)]
    return (
        ("encoding", st.selectbox("Encoding", encodings, key=f"encoding{key}", accept_new_options=True, width=180)),
        (
            "delimiter",
            st.selectbox(
                "Between fields",
                delimiters,
                format_func=lambda s: DELIMITERS.get(s, s),
                key=f"delimiter{key}",
                width=180,
            ),
        ),
        ("header", st.toggle("The first line names the columns", guessed.header, key=f"header{key}")),
    )


def pick_meanings(
    guessed: FileConfig, rows: Sequence[dict[str, object]], *, key: str
) -> dict[str, str | tuple[str, ...]]:
    """Draws one choice for each role; the guess is chosen at first."""
    # Columns to choose from, the guessed ones first.
    columns = readers.columns_of(rows)
    offered = list(dict.fromkeys([*guessed.text, *guessed.labels, *columns[:OFFERED]]))
    offered = [column for column in offered if column != "*"]

    def one(title: str, name: str, about: str) -> str:
        options = [NONE, *offered]
        index = options.index(value) if (value := getattr(guessed, name)) in options else 0
        chosen = st.selectbox(title, options, index, key=f"{name}{key}", help=about)
        return "" if chosen == NONE else chosen

    left, middle, right = st.columns(3)
    # Texts.
    with left:
        text = st.multiselect("Text", offered, list(guessed.text), key=f"text{key}", help="Several are joined.")
        title = one("Title", "title", "It is put before the text.")
    # Labels, and what stands between them.
    with middle:
        everything = {"*": "* (all other columns)"}
        labels = st.multiselect(
            "Labels",
            ["*", *offered],
            list(guessed.labels[:OFFERED]),
            format_func=lambda column: everything.get(column, column),
            key=f"labels{key}",
            help="One column of labels; or several columns, one for each label, that hold 0 or 1.",
        )
        sep = guessed.sep if tuple(labels) == guessed.labels else readers.INDICATOR
        if len(labels) == 1 and labels != ["*"] and guessed.sep != readers.INDICATOR:
            usual = readers.find_separator([row.get(labels[0]) for row in rows])
            signs = [usual, *(sign for sign in SEPARATORS if sign != usual)]
            sep = st.selectbox(
                "Between labels",
                signs,
                format_func=lambda sign: SEPARATORS.get(sign, sign),
                key=f"sep{key}{labels[0]}",
                accept_new_options=True,
            )
        elif labels and sep == readers.INDICATOR:
            st.caption("Each of these columns is a label; it holds 1 where the document has it.")
        elif labels:
            st.caption("Each of these columns holds one label of the document.")
    # Names and parts of the documents.
    with right:
        identity = one("Id", "id", "The documents' own names; else they are numbered.")
        part = one("Part", "split", "A column that says train, validation or test.")
    return {"text": tuple(text), "title": title, "labels": tuple(labels), "sep": sep, "id": identity, "split": part}


@st.cache_data(max_entries=32, show_spinner="Looking at the file")
def guess_form(path: str, changed: str, form: tuple[tuple[str, str | bool], ...]) -> FileConfig:  # noqa: ARG001 - a part of the key
    return readers.guess(Path(path), **dict(form))


@st.cache_data(max_entries=8, show_spinner="Looking at the file")
def load_rows(path: str, changed: str, file: str) -> list[dict[str, object]]:  # noqa: ARG001 - a part of the key
    return readers.first_rows(Path(path), parse(FileConfig, file))

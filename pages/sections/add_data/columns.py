"""What each column of a file is: a choice above the first cells of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import readers
from pages.shared.text import plain, shorten, without_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.data.readers import Reading

ROLES = {
    "text": "Text",
    "title": "Title",
    "labels": "Labels",
    "id": "Id",
    "split": "Part (train, test)",
    "": "Not used",
}
"""What a column can be, by the setting that names it."""
SEVERAL = ("text", "labels")
"""Roles that several columns may have."""
ACROSS = 4
"""Columns beside each other."""
FEW = 12
"""Columns up to which each has its own choice."""
OFFERED = 500
"""Columns in one list to choose from."""
CELLS, LETTERS = 3, 50
"""Cells of a column that are shown, and letters of each."""
SEPARATORS = {"": "none (one label per cell)", ";": "semicolon", ",": "comma", "|": "bar", " ": "blank"}

BLANK_PARTS = {
    "": "are in no part",
    "train": "are for training",
    "validation": "are for validation",
    "test": "are for test",
}


def given_settings(key: str) -> dict[str, object]:
    """What was chosen for this file, as settings of `FileConfig`; `blank` is the part of documents that name none."""
    kept = st.session_state.get("roles")
    return dict(kept["given"]) if kept and kept["key"] == key else {}


def give(key: str, settings: Mapping[str, object]) -> None:
    """Keeps settings for this file."""
    st.session_state["roles"] = {"key": key, "given": {**given_settings(key), **settings}}


def role_of(column: str, reading: Reading) -> str:
    """The setting that names a column; empty where none does."""
    word = reading.roles.get(column, "")
    return {"text": "text", "title": "title", "id": "id", "part": "split"}.get(
        word, "labels" if word.startswith("label") else ""
    )


def show_columns(reading: Reading, *, key: str) -> None:
    """Draws the columns with their first cells, and the choice of what each is."""
    st.header("What the columns are")
    columns = list(reading.roles)
    shown = columns
    if len(columns) > FEW:
        pick_label_columns(columns, reading, key=key)
        others = [column for column in columns if role_of(column, reading) != "labels"]
        shown = sorted(others, key=lambda column: not role_of(column, reading))[:FEW]
        more = f"; of {len(others):,} other columns {len(shown)} are shown" if len(others) > len(shown) else ""
        st.caption(f"{len(columns):,} columns, {len(columns) - len(others):,} of them labels{more}.")
    for start in range(0, len(shown), ACROSS):
        for place, column in zip(st.columns(ACROSS), shown[start : start + ACROSS], strict=False):
            with place.container(border=True, gap="xsmall", height="stretch"):
                pick_role(column, reading, key=key)


def pick_role(column: str, reading: Reading, *, key: str) -> None:
    """Draws the choice of what one column is, and its first cells."""
    role, name = role_of(column, reading), f"role-{key}-{column}"
    st.session_state[name] = role
    st.selectbox(
        plain(shorten(column, 40)) or "(no name)",
        list(ROLES),
        format_func=ROLES.__getitem__,
        key=name,
        on_change=change_role,
        args=(column, reading, key),
    )
    why = without_options(reading.roles[column]).removeprefix("not used").lstrip(": ")
    if not role and why:
        st.caption(plain(f"{why[:1].upper()}{why[1:]}."))
    cells = [cell for row in readers.preview(reading.rows, column) if (cell := shorten(row, LETTERS))][:CELLS]
    st.caption(plain("\n".join(cells)) if cells else "(empty in the first rows)")


def change_role(column: str, reading: Reading, key: str) -> None:
    """Gives a column the role that was chosen."""
    give(key, assign_role(column, st.session_state[f"role-{key}-{column}"], reading, given_settings(key)))


def assign_role(
    column: str, new: str, reading: Reading, chosen: Mapping[str, object]
) -> dict[str, tuple[str, ...] | str | None]:
    """The settings that give a column a role; one that a single column has leaves the one that had it.

    Args:
        column: its name.
        new: its role, of `ROLES`.
        reading: what the columns were taken for when they were drawn.
        chosen: of `given_settings`, with what was chosen since: two choices may come before the page is drawn again.
    """
    roles = {one: _find_role(one, reading, chosen) for one in reading.roles}
    given: dict[str, tuple[str, ...] | str | None] = {}
    for role in {roles[column], new} - {""}:
        holders = tuple(one for one in roles if (new if one == column else roles[one]) == role)
        given[role] = holders if role in SEVERAL else column if role == new else ""
    if "labels" in given and set(given["labels"] or ()) != {one for one, has in roles.items() if has == "labels"}:
        given |= {"sep": None, "other_seps": None}
    return given


def _find_role(column: str, reading: Reading, chosen: Mapping[str, object]) -> str:
    """The role of a column by what was chosen, else by what it was taken for."""
    named = {role: value if isinstance(value, tuple) else (value,) for role, value in chosen.items() if role in ROLES}
    if role := next((role for role, columns in named.items() if column in columns), ""):
        return role
    role = role_of(column, reading)
    return "" if role in named and "*" not in named[role] else role


def pick_label_columns(columns: Sequence[str], reading: Reading, *, key: str) -> None:
    """Draws the choice of the columns of labels, where there are many columns."""
    everything = {"*": "* (all other columns)"}
    name = f"labels{key}"
    labels = [one for one in reading.file.labels if one == "*" or one in reading.roles]
    offered = list(dict.fromkeys(["*", *labels[:OFFERED], *columns[:OFFERED]]))
    is_long = len(labels) > OFFERED // 10
    with st.expander(f"Columns of labels: {len(labels):,}") if is_long else st.container():
        st.session_state[name] = labels[:OFFERED]
        st.multiselect(
            "Labels",
            offered,
            format_func=lambda column: everything.get(column, column),
            key=name,
            help="One column of labels; or several columns, one for each label, that hold 0 or 1.",
            on_change=lambda: give(
                key, {"labels": (*st.session_state[name], *labels[OFFERED:]), "sep": None, "other_seps": None}
            ),
        )


def is_cut_at_signs(reading: Reading) -> bool:
    """Whether the labels are texts in one column, where a sign may stand between them."""
    file = reading.file
    if len(file.labels) != 1 or "*" in file.labels or file.sep == readers.INDICATOR or file.numbers != "names":
        return False
    return any(cell.strip()[:1] not in ("[", "{", "<", "") for cell in readers.preview(reading.rows, file.labels[0]))


def pick_notation(reading: Reading, *, key: str) -> None:
    """Draws what stands between labels in one cell, and whether rows of one id are one document."""
    file, given = reading.file, given_settings(key)
    if is_cut_at_signs(reading):
        name = f"sep-{key}-{file.labels[0]}"
        st.session_state[name] = file.sep
        st.selectbox(
            "Separator",
            list(dict.fromkeys((file.sep, *SEPARATORS))),
            format_func=lambda sign: SEPARATORS.get(sign, "a line break" if sign == "\n" else sign),
            key=name,
            accept_new_options=True,
            width=260,
            on_change=lambda: give(key, {"sep": st.session_state[name] or "", "other_seps": ()}),
        )
    elif len(file.labels) > 1 and file.sep == readers.INDICATOR:
        st.caption("Each column of labels is one label; a document has it where the column says so (1, yes, x, true).")
    if file.grouped or given.get("grouped") is False:
        name = f"grouped-{key}"
        st.session_state[name] = file.grouped
        st.toggle(
            "Rows of one id are one document with their labels joined",
            key=name,
            on_change=lambda: give(key, {"grouped": st.session_state[name]}),
        )
    blanks = readers.preview(reading.rows, file.split, count=len(reading.rows)).count("") if file.split else 0
    if blanks or given.get("blank"):
        name = f"blank-{key}"
        st.session_state[name] = given.get("blank", "")
        st.selectbox(
            f"Documents without a part ({blanks:,} in the first rows)",
            list(BLANK_PARTS),
            format_func=BLANK_PARTS.__getitem__,
            key=name,
            width=320,
            on_change=lambda: give(key, {"blank": st.session_state[name]}),
        )

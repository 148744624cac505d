"""Verdicts on a label of a document, and the corrected data set that is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.data import sources, verdicts
from core.data.corrected import add_corrected
from core.system.access import account, read_only
from core.system.errors import UserError
from pages.shared.downloads import offer_csv
from pages.shared.menu import link
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.data.verdicts import Kind, Verdict

HELP = (
    "Model wrong: the data set is right. Label wrong: the data set gives or lacks this label wrongly. Both: the label "
    "is wrong, and so is what the model goes by. A corrected set changes the label in the last two cases. Press again "
    "to take it back."
)
SHOWN = 200


def pick_verdict(corpus: Corpus, row: int, label: str) -> None:
    """Draws what people have judged of a label of a document, and the buttons that judge it."""
    try:
        said = verdicts.select_current(verdicts.read_verdicts(corpus.name), corpus)
    except UserError as error:
        st.warning(plain(str(error)))
        return
    said = [one for one in said if (one.row, one.label) == (row, label)]
    if not read_only():
        key = f"verdict-{corpus.fingerprint[:8]}-{row}-{label}"
        st.session_state[key] = next((one.verdict for one in said if one.by == account()), None)
        st.segmented_control(
            plain(f"Your verdict on {shorten(label, 60)}"),
            list(verdicts.KINDS),
            format_func=lambda kind: verdicts.KINDS[kind].capitalize(),
            key=key,
            help=HELP,
            on_change=_keep,
            args=(corpus, row, label, key),
        )
    if problem := st.session_state.pop("verdict_problem", ""):
        st.error(plain(problem))
    others = [f"{one.by}: {verdicts.KINDS[one.verdict]}" for one in said if read_only() or one.by != account()]
    if others:
        st.caption(plain(f"Judged by {'; '.join(others)}."))


def _keep(corpus: Corpus, row: int, label: str, key: str) -> None:
    """Keeps the verdict that a button holds; why not is said when the page is drawn."""
    chosen: Kind | None = st.session_state[key]
    try:
        verdicts.save_verdict(corpus, row, label, chosen)
    except UserError as error:
        st.session_state["verdict_problem"] = str(error)


def show_corrections(corpus: Corpus) -> None:
    """What has been judged on a data set: its corrections to save, and the corrected set to add."""
    try:
        every = verdicts.read_verdicts(corpus.name)
    except UserError as error:
        st.warning(plain(str(error)))
        return
    current = verdicts.select_current(every, corpus)
    found, disputed = verdicts.select_corrections(current)
    st.caption(describe_verdicts(len(current), len(found), disputed, len(every) - len(current)))
    if found:
        show_table_of(corpus, found)
    show_added(corpus)  # where the button was pressed; above the table its tools would cover the links


def show_table_of(corpus: Corpus, found: list[Verdict]) -> None:
    """The corrections, and what saves them or makes a data set of them."""
    table = verdicts.correction_table(found)
    st.dataframe(
        table.head(SHOWN),
        hide_index=True,
        height=min(38 + 35 * len(table), 250),
        alt="Labels that were judged wrong, and who judged them",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        offer_csv("corrections", table)
        st.download_button(
            "Save JSONL",
            lambda: verdicts.to_jsonl(found),
            "corrections.jsonl",
            "application/jsonl",
            on_click="ignore",
            type="tertiary",
        )
        if not read_only():
            st.button(
                f"Add a corrected set ({len(found):,} label{'' if len(found) == 1 else 's'} changed)",
                type="primary",
                key="add_corrected",
                on_click=_add,
                args=(corpus, found),
                help="A data set of its own beside this one: the same documents and parts, with these labels changed.",
            )


def describe_verdicts(current: int, corrections: int, disputed: int, old: int) -> str:
    """How much has been judged, in a sentence or two."""
    if not current and not old:
        return "Nothing has been judged yet: choose a row, read the document, and say who is wrong."
    words = [f"{current:,} verdict{'' if current == 1 else 's'}, {corrections:,} of them correct a label."]
    if current != 1 and corrections == 1:
        words = [f"{current:,} verdicts, one of them corrects a label."]
    if current == 1:
        words = [f"One verdict, which {'corrects a label' if corrections else 'corrects no label'}."]
    if disputed:
        words.append(f"People disagree on {disputed:,}, which {'corrects' if disputed == 1 else 'correct'} nothing.")
    if old:
        words.append(f"{old:,} more are on another version of the data set and are left alone.")
    return " ".join(words)


def _add(corpus: Corpus, found: list[Verdict]) -> None:
    """Adds the corrected set; its name, or why not, is kept for the next drawing."""
    try:
        reserved = [source.name for source in sources.available()]
        st.session_state["corrected"] = (corpus.name, add_corrected(corpus, found, reserved=reserved).name, "")
    except UserError as error:
        st.session_state["corrected"] = (corpus.name, "", str(error))


def show_added(corpus: Corpus) -> None:
    """The corrected set that was added last, with ways on."""
    of, name, problem = st.session_state.get("corrected", ("", "", ""))
    if of != corpus.name:
        return
    if problem:
        st.error(plain(problem))
    elif name:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(plain(f"Added as {name}."))
            link("explorer", "Explore it", {"data": name})
            link("launcher", "Train on it", {"data": name, "models": "tfidf"})

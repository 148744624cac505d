"""What a file leaves open, asked in a sentence with its choices, and answered at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.data import readers
from core.system.errors import Question
from pages.sections.add_data.columns import given_settings
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.data.readers import Beginning, Reading

Answer = dict[str, Any]
"""Settings of `FileConfig`; empty while there is no answer."""
PART_WORDS = {"train": "Train", "validation": "Validation", "test": "Test", "unused": "Leave out"}
NAMED = {"paste": "I paste the names", "file": "From a file of names", "numbers": "Call them by their numbers"}
FLAG = {
    "label": "It is a label: a document with 1 has it",
    "two": "The numbers stand for two labels",
    "none": "It is no label: another column is",
}


def ask(path: Path, beginning: Beginning, *, key: str) -> Reading:
    """Draws every question that the file raises, and reads the columns as they are answered.

    Returns:
        The reading; its questions are those without an answer.

    Raises:
        UserError: settings that make no sense.
    """
    place, given, asked = st.container(), find_given(key), set[str]()
    beginning = replace(beginning, question=None)  # it is answered where the form is
    reading = study(path, beginning, given, key)
    late = find_late_names(key)
    questions = [late] if late else []
    while question := next((one for one in (*questions, *reading.questions) if one.option not in asked), None):
        if not asked:
            place.header("To be decided")
        asked.add(question.option)
        with place.container(border=True, gap="small"):
            st.markdown(plain(question.what))
            answer = ASK[question.option](question, f"{key}-{question.option}-{given.get('labels', '')}")
        if answer:
            given |= answer | {"parts": (*given.get("parts", ()), *answer.get("parts", ()))}
            reading = study(path, beginning, given, key)
            questions = []
    return replace(reading, questions=[*reading.questions, *questions])


def study(path: Path, beginning: Beginning, given: Answer, changed: str) -> Reading:
    """What the columns are taken for with these settings."""
    return _study(str(path), changed, beginning.file.model_dump_json(), repr(sorted(given.items())), beginning, given)


@st.cache_resource(max_entries=32, show_spinner=False)
def _study(path: str, changed: str, file: str, settings: str, _beginning: Beginning, _given: Answer) -> Reading:  # noqa: ARG001 - parts of the key
    """Shared by all sessions: it is read, never changed."""
    return readers.study_beginning(Path(path), _beginning, _given)


def find_given(key: str) -> Answer:
    """The settings that were chosen for this file, without answers to questions."""
    given = {name: value for name, value in given_settings(key).items() if value is not None}
    blank = given.pop("blank", "")
    return given | ({"parts": (("", blank),)} if blank else {})


def keep_late_name(question: Question, key: str) -> None:
    """Keeps a name of a part that came up far down in the file, to be asked about."""
    known = find_late_names(key)
    names = tuple(dict.fromkeys((*(known.names if known else ()), *question.names)))
    kept = Question(str(question), about="parts", choices=question.choices, option="--part", names=names)
    st.session_state["parts"] = {"key": key, "question": kept}


def find_late_names(key: str) -> Question | None:
    """What was kept by `keep_late_name` for this file."""
    kept = st.session_state.get("parts")
    return kept["question"] if kept and kept["key"] == key else None


def ask_names(_: Question, key: str) -> Answer:
    """Names of labels that the file has as numbers or as places in a list."""
    way = st.segmented_control(
        "How are the labels called?", list(NAMED), default="paste", format_func=NAMED.__getitem__, key=f"way{key}"
    )
    text = ""
    if way == "numbers":
        return {"label_names": "numbers"}
    if way == "file":
        sent = st.file_uploader("A text with a name in each line, or a JSON list", key=f"names-file{key}")
        text = sent.getvalue().decode("utf-8", "replace") if sent else ""
    elif way == "paste":
        text = st.text_area(
            "Names in their order, one in each line or with commas between", key=f"names{key}", height=130
        )
    if not text.strip():
        return {}
    names = readers.name_list(text)
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), ""):
        st.error(plain(f"'{shorten(twice, 60)}' stands there twice: each label needs a name of its own."))
        return {}
    return {"label_names": names}


def ask_cut(question: Question, key: str) -> Answer:
    """From which number on a label is set."""
    usual = float(question.choices[0])
    return {
        "cut": st.number_input(
            "A label is set from this number on",
            value=usual,
            step=0.1 if usual < 1 else 1.0,
            key=f"cut{key}",
            width=260,
        )
    }


def ask_separator(question: Question, key: str) -> Answer:
    """Whether a sign stands between labels, or in their names."""
    sign = question.choices[0]
    words = {sign: f"Several labels, with '{sign}' between", "": "One label in each cell"}
    chosen = st.segmented_control(
        "What a cell holds",
        list(words),
        default=sign,
        required=True,
        format_func=lambda one: plain(words[one]),
        key=f"sep{key}",
    )
    return {"sep": chosen, "other_seps": ()}


def ask_key(question: Question, key: str) -> Answer:
    """Which key of an object holds the label."""
    return {"label_key": st.selectbox("Key of the label", question.choices, key=f"key{key}", width=260)}


def ask_text(question: Question, key: str) -> Answer:
    """Which of several columns holds the text."""
    return {"text": (st.selectbox("Text", question.choices, key=f"text{key}", width=260),)}


def ask_labels(question: Question, key: str) -> Answer:
    """Which column holds the labels; what a lone column of 0 and 1 is."""
    if len(question.choices) > 1:
        return {"labels": (st.selectbox("Labels", question.choices, key=f"asked{key}", width=260),)}
    column = question.choices[0]
    way = st.segmented_control("What it is", list(FLAG), format_func=FLAG.__getitem__, key=f"flag{key}")
    if way == "label":
        return {"labels": (column,), "sep": readers.INDICATOR}
    if way == "none":
        st.caption("Choose the column that holds the labels below.")
    if way != "two":
        return {}
    with st.container(horizontal=True):
        names = [st.text_input(f"Name of {number}", key=f"name{number}{key}", width=240).strip() for number in range(2)]
    return {"labels": (column,), "label_names": tuple(names)} if all(names) and names[0] != names[1] else {}


def ask_parts(question: Question, key: str) -> Answer:
    """Which part each unknown name means."""
    chosen = {}
    with st.container(horizontal=True):
        for name in question.names:
            chosen[name] = st.selectbox(
                plain(f"'{shorten(name, 40)}' is"),
                question.choices,
                None,
                format_func=PART_WORDS.__getitem__,
                key=f"part{key}{name}",
                width=220,
                placeholder="choose",
            )
    return {"parts": tuple(chosen.items())} if all(chosen.values()) else {}


ASK: dict[str, Callable[[Question, str], Answer]] = {
    "--label-names": ask_names,
    "--cut": ask_cut,
    "--sep": ask_separator,
    "--label-key": ask_key,
    "--text": ask_text,
    "--labels": ask_labels,
    "--part": ask_parts,
}
"""How each question is asked, by the option of the command line that answers it."""

"""Add data: a file is chosen, read as a person says, checked for defects, and kept under a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import data, intake, readers
from core.config import FileConfig, SplitConfig, UserError, parse, read_only
from core.corpus import Report
from core.defects import CHOICES, Defect
from core.intake import Plan
from pages import header, link, plain

SHOWN = 5
"""Rows that are shown."""
EXAMPLES = 3
OFFERED = 500
"""Columns in one list to choose from."""
NONE = "none"
ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
SEPARATORS = {"": "none: a list, or one label", ";": "semicolon", ",": "comma", "|": "bar", " ": "blank"}
MADE = {
    "own": "The file's own parts",
    "random": "Random",
    "stratified": "Iterative stratification",
    "paper": "As the paper's PubMed",
}
WORDS = {"keep": "Keep", "drop": "Leave out", "merge": "Merge"}


def show() -> None:
    header(
        "Add data", "Your own documents: see what is in the file and what is wrong with it, then keep it as a data set."
    )
    if added := st.session_state.pop("added", None):
        st.session_state["file"] = None
        st.success(plain(added[1]))
        link("explorer", f"Open {added[0]}", {"data": added[0]})
    if read_only():
        st.info("This dashboard is read-only for you: no data set is added or removed here.")
        return
    path = pick_file()
    if path is None:
        list_added()
        return
    file = pick_columns(path)
    if file is None:
        return
    st.subheader("Split and labels")
    split = pick_split(file)
    st.subheader("Defects")
    folder = intake.find_scan(path, file)
    if folder is None:
        st.caption("The whole file is read once, and nothing is kept until you say so.")
        if st.button("Check the file", type="primary"):
            read_whole(path, file)
            st.rerun()
        return
    choices = pick_choices(planned(str(folder), split.model_dump_json(), ()))
    plan = planned(str(folder), split.model_dump_json(), tuple(sorted(choices.items())))
    keep(path, file, split, choices, plan)


def pick_file() -> Path | None:
    """Draws the choice of a file: sent through the browser, or one of those that lie in the data folders."""
    left, right = st.columns(2, gap="large")
    sent = left.file_uploader(
        "Drop a file",
        key=f"sent{st.session_state.get('times', 0)}",  # another key empties it
        help="CSV, TSV, JSON, JSON lines or Parquet, plain, gz or zip. It stays on the machine that Tailscope runs on. "
        "Larger files: put them into a folder of TAILSCOPE_DATA, or use `python -m core data add`.",
    )
    found = {str(path): path for path in intake.find_files(data.folders())}
    chosen = right.selectbox(
        "Or choose one that is in a data folder",
        list(found),
        None,
        key="file",
        bind="query-params",
        placeholder="none" if found else "No such file in the folders of TAILSCOPE_DATA",
        disabled=not found,
    )
    if sent is not None:
        return intake.keep_upload(sent.name, sent)
    return found[chosen] if chosen else None


def list_added() -> None:
    """What has been added already, each with a button that removes it."""
    added = intake.find_registered()
    st.subheader("Added data sets")
    if not added:
        st.caption(
            "None yet. A good first try: a CSV with a column of texts and one of labels, separated by semicolons."
        )
    for source in data.available():
        if source.name in added:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{source.name}**", width=160)
                st.caption(plain(source.sentence), width="stretch")
                if source.found:
                    link("explorer", "Open", {"data": source.name})
                with st.popover("Remove"):
                    st.write("The copy in the cache is deleted; your file and the runs stay.")
                    if st.button("Remove it", key=f"remove-{source.name}"):
                        intake.unregister(source.name)
                        st.rerun()


def pick_columns(path: Path) -> FileConfig | None:
    """Draws the first rows and the choice of what each column is; None while something is missing."""
    form, changed = st.container(), str(intake.state_of(path))
    guessed = guess(str(path), changed, ())
    st.subheader("First rows")
    if guessed.format == "csv":
        with form.container(horizontal=True):
            told = pick_form(guessed, key=changed)
        guessed = guess(str(path), changed, told)
    rows = first(str(path), changed, guessed.model_dump_json())
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


def pick_form(guessed: FileConfig, *, key: str) -> tuple[tuple[str, Any], ...]:
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


def pick_meanings(guessed: FileConfig, rows: Sequence[dict[str, Any]], *, key: str) -> dict[str, Any]:
    """Draws one choice for each role; the guess is chosen at first."""
    columns = readers.columns_of(rows)
    offered = list(dict.fromkeys([*guessed.text, *guessed.labels, *columns[:OFFERED]]))
    offered = [column for column in offered if column != "*"]

    def one(title: str, name: str, about: str) -> str:
        options = [NONE, *offered]
        index = options.index(value) if (value := getattr(guessed, name)) in options else 0
        chosen = st.selectbox(title, options, index, key=f"{name}{key}", help=about)
        return "" if chosen == NONE else chosen

    left, middle, right = st.columns(3)
    with left:
        text = st.multiselect("Text", offered, list(guessed.text), key=f"text{key}", help="Several are joined.")
        title = one("Title", "title", "It is put before the text.")
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
        sep = readers.INDICATOR
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
        elif labels:
            st.caption("Each of these columns is a label; it holds 1 where the document has it.")
    with right:
        identity = one("Id", "id", "The documents' own names; else they are numbered.")
        part = one("Part", "split", "A column that says train, validation or test.")
    return {"text": tuple(text), "title": title, "labels": tuple(labels), "sep": sep, "id": identity, "split": part}


def pick_split(file: FileConfig) -> SplitConfig:
    """Draws how the documents are divided."""
    ways = [way for way in MADE if way != "own" or file.split]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        made = st.selectbox(
            "Division",
            ways,
            format_func=MADE.__getitem__,
            key=f"made{bool(file.split)}",
            width=260,
            help="Iterative stratification gives each part its share of every label, for small sets. The paper's "
            "PubMed: `train_test_split` with random_state 123, 5,000 of 224,897 documents for test, as many for "
            "validation.",
        )
        values: dict[str, Any] = {"made": made}
        if made != "paper":
            lacks = " where the file has none" if made == "own" else ""
            about = f"Share of the documents{lacks}."
            values["validation"] = st.number_input(
                "Validation", 0.0, 0.5, 0.1, 0.05, key="validation", width=150, help=about
            )
            values["test"] = st.number_input("Test", 0.01, 0.5, 0.2, 0.05, key="test", width=150, help=about)
            values["seed"] = st.number_input("Seed", 0, 2**31 - 1, 123, key="seed", width=150)
        about = "Labels with fewer train documents are left out. The paper's PubMed: 5."
        values["min_documents"] = st.number_input(
            "Documents per label, at least", 0, None, 0, key="least", width=230, help=about
        )
    return parse(SplitConfig, values)


def read_whole(path: Path, file: FileConfig) -> None:
    """Reads the file with a progress bar; what stands in the way is said."""
    bar = st.progress(0.0, plain(f"Reading {path.name}"))
    try:
        intake.scan(path, file, tell(bar))
    except UserError as error:
        bar.empty()
        st.error(plain(str(error)))
        st.stop()


def pick_choices(plan: Plan) -> dict[str, str]:
    """Draws each kind of defect with its number, examples and what can be done; gives what was chosen."""
    found = [defect for defect in plan.defects if defect.count]
    if not found:
        st.caption("None of the defects that were looked for was found.")
        return {}
    choices = {defect.key: pick_choice(defect) for defect in found}
    st.session_state["choices"] = st.session_state.get("choices", {}) | choices
    if without := [defect.title for defect in plan.defects if not defect.count]:
        words = "; ".join(f"{title[:1].lower()}{title[1:]}" for title in without)
        st.caption(plain(f"Looked for and not found: {words}."))
    return {key: choice for key, choice in choices.items() if choice != "keep"}


def pick_choice(defect: Defect) -> str:
    """One kind of defect."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{plain(defect.title)}:** {defect.count:,}", width="content")
            choice = st.segmented_control(
                defect.title,
                CHOICES[defect.key],
                default=st.session_state.get("choices", {}).get(defect.key, CHOICES[defect.key][0]),
                required=True,
                format_func=WORDS.__getitem__,
                key=f"choice-{defect.key}",
                label_visibility="collapsed",
                width="content",
            )
        st.caption(plain(defect.advice))
        st.text("\n".join(defect.examples[:EXAMPLES]))
    return str(choice)


def keep(path: Path, file: FileConfig, split: SplitConfig, choices: dict[str, str], plan: Plan) -> None:
    """Draws what would be kept, asks for a name, and keeps it when the button is pressed."""
    st.subheader("Keep it")
    sizes = plan.sizes()
    with st.container(horizontal=True):
        for title, size in {"Documents": len(plan.rows), "Labels": len(plan.labels), **sizes}.items():
            st.metric(title.capitalize(), f"{size:,}", width="content")
    for note in plan.notes:
        st.caption(plain(note))
    inner = re.sub(r"\.(gz|zip|csv|tsv|tab|jsonl?|ndjson|parquet|pq)\b", "", path.name.lower())
    usual = re.sub(r"[^a-z0-9]+", "-", inner).strip("-")[:40].strip("-") or "my-data"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name", usual, key=f"name-{path}", max_chars=40, width=320).strip()
        pressed = st.button("Keep as a data set", type="primary")
    with st.expander("The same on the command line"):
        st.code(intake.command_line(name, path, file, split, choices), language="bash", wrap_lines=True)
    if not pressed:
        return
    bar = st.progress(0.0, "Keeping the documents")
    try:
        kept = data.add(name, path, file, split, choices, progress=tell(bar))
    except UserError as error:
        bar.empty()
        st.error(plain(str(error)))
        return
    st.session_state["added"] = (
        name,
        f"{kept.documents:,} documents with {kept.labels:,} labels are kept as '{name}'.",
    )
    st.session_state["times"] = st.session_state.get("times", 0) + 1
    st.rerun()


def tell(bar: DeltaGenerator) -> Report:
    """Moves a progress bar."""

    def move(words: str, done: float) -> None:
        bar.progress(min(1.0, done), plain(f"{words[:1].upper()}{words[1:]}"))

    return move


@st.cache_data(max_entries=32, show_spinner="Looking at the file")
def guess(path: str, changed: str, form: tuple[tuple[str, Any], ...]) -> FileConfig:  # noqa: ARG001 - a part of the key
    return readers.guess(Path(path), **dict(form))


@st.cache_data(max_entries=8, show_spinner="Looking at the file")
def first(path: str, changed: str, file: str) -> list[dict[str, Any]]:  # noqa: ARG001 - a part of the key
    return readers.first_rows(Path(path), parse(FileConfig, file))


@st.cache_data(max_entries=32, show_spinner="Looking for defects")
def planned(folder: str, split: str, choices: tuple[tuple[str, str], ...]) -> Plan:
    return intake.examine(Path(folder), parse(SplitConfig, split), dict(choices))


if __name__ == "__main__":
    import app

    app.main("add_data")

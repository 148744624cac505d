"""Home: what this is, which data is there, where to start."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import streamlit as st

from core.data import download, sources
from core.runs import folder
from core.runs.folder import Damaged
from core.system.access import read_only
from core.system.errors import UserError
from pages.shared import current
from pages.shared.menu import link, show_header
from pages.shared.pick import describe_default
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.data.sources import Source

TITLES = {"reuters": "Reuters-21578", "reuters-nltk": "Reuters-21578, NLTK layout", "synthetic": "Synthetic"}
STEPS = (
    ("explorer", "Look at the data", "How long the tail is, which labels come together, what the documents say."),
    ("loss_weights", "See what a loss would do", "The weight that each loss gives to every label, on the real counts."),
    ("launcher", "Train", "Models and losses of your choice, in the background: you may close the browser."),
    ("compare", "Compare", "The runs beside the published tables: which is better, where, and by more than chance."),
    (
        "errors",
        "Read the errors",
        "What is confused with what, in which documents, why, and what a threshold would do.",
    ),
    ("try_it", "Try it", "A text of your own: which labels each run gives it, and for which words."),
)


def show() -> None:
    show_header("Tailscope", "Long-tailed multi-label text classification, from the data to the errors.")
    try:
        current.data()
    except UserError as error:
        st.warning(plain(str(error)))
    st.markdown(
        "In most collections a few labels own nearly all documents, and most labels have hardly any. Tailscope shows "
        "this long tail, trains classifiers with losses that were made for it, and says for head, medium and tail "
        "labels what each of them brought. Everything runs on this machine; a run is a folder that you can keep."
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Start here")
        for number, (name, title, sentence) in enumerate(STEPS, 1):
            with st.container(border=True, gap="xsmall"):
                link(name, f"**{number}. {title}**")
                st.caption(sentence)
    with right:
        st.subheader("Data")
        for source in sources.available():
            show_data_set(source)
        st.caption(plain(describe_default()))
        link("add_data", "Add your own data")
        st.subheader("Runs")
        show_runs()


def show_data_set(source: Source) -> None:
    """One data set: whether it is there, where, and a way to get it."""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{TITLES.get(source.name, source.name)}**", width="content")
            st.badge("found" if source.found else "not found", color="green" if source.found else "gray")
            if source.prepared:
                st.badge("prepared", color="blue", help="A copy in the cache opens at once.")
        st.caption(plain(source.sentence))
        if source.found:
            link("explorer", "Open", {"data": source.name})
        elif source.downloadable and not read_only() and st.button("Download (8 MB)", key=f"download_{source.name}"):
            fetch_data(source.name)


def fetch_data(name: str) -> None:
    """Downloads a data set with a progress bar, then draws the page again."""
    bar = st.progress(0.0, "Connecting")

    def progress(done: int, total: int) -> None:
        megabytes = f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else "")
        bar.progress(min(1.0, done / total) if total else 0.0, megabytes)

    try:
        download.download(name, progress=progress)
    except UserError as error:
        bar.empty()
        st.error(plain(str(error)))
        return
    st.rerun()


def show_runs() -> None:
    """How many runs there are, by state."""
    try:
        found = folder.list_folders()
    except UserError as error:
        st.error(plain(str(error)))
        return
    states = Counter(run.state for run in found)
    if not states:
        st.caption("No runs yet. The first one, an SVM on any of these sets, takes less than a minute.")
        link("launcher", "Train the first model")
        return
    with st.container(horizontal=True):
        for state, number in states.most_common():
            st.metric(state.capitalize(), f"{number:,}", width="content")
    if damaged := sum(isinstance(run, Damaged) for run in found):
        st.warning(
            f"{damaged:,} of them {'is' if damaged == 1 else 'are'} damaged: the Launcher page says what is wrong."
        )
    link("compare" if states["finished"] else "launcher", "Compare" if states["finished"] else "Launcher")


if __name__ == "__main__":
    import app

    app.main("home")

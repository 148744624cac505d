"""Home: the current data set and its findings, the best runs, what runs now, one next step, a tour."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import best_runs, progress
from core.analysis.decisions import AS_TRAINED
from core.analysis.run_names import name_runs
from core.data import download, sources
from core.figures.data import rank_frequency
from core.labels import measures
from core.labels.groups import Borders
from core.runs.folder import LIVE, Damaged
from core.system.access import read_only
from core.system.errors import UserError
from pages.sections.compare.rows import load_sample
from pages.sections.explorer import find_borders, findings
from pages.shared import current, listed
from pages.shared.labels import show_marks
from pages.shared.loaders import load_corpus, load_metrics
from pages.shared.menu import link, show_header
from pages.shared.runs import select_readable
from pages.shared.text import plain

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.data.sources import Source
    from core.runs.folder import Run

TITLES = {"reuters": "Reuters-21578", "reuters-nltk": "Reuters-21578, NLTK layout", "synthetic": "Synthetic"}
TOUR = (
    (
        "Metals that come together",
        "explorer",
        {"data": "reuters", "view": "Together", "which": "around one label", "centre": "platinum"},
    ),
    (
        "What platinum's documents say, and what runs make of them",
        "label",
        {"data": "reuters", "name": "platinum", "view": "Documents"},
    ),
    (
        "bce against db: which labels gain",
        "compare",
        {"of": "reuters paper", "view": "Label by label"},
    ),
    (
        "What decides: the threshold",
        "errors",
        {"run": "reuters-tfidf-db-s0-966e74a879", "view": "Trade-off"},
    ),
)
"""The tour: words of a step, its page and the query of its address."""
RECENT = 5
BEST = {"run": "Best of each model", "all/micro_f1": "Total micro-F1 (%)", "tail/macro_f1": "Tail macro-F1 (%)"}


def show() -> None:
    show_header("Tailscope", "Long-tailed multi-label text classification, from the data to the errors.")
    try:
        corpus = load_corpus(current.data())
    except UserError as error:
        st.warning(plain(str(error)))
        corpus = None
    left, right = st.columns(2, gap="large")
    with right:
        show_runs(current.data().title if corpus else "")
    with left:
        if corpus:
            show_set(corpus)
        show_tour(corpus is not None and corpus.name == "reuters")
        st.header("Data sets")
        for source in sources.available():
            show_source(source)
        link("add_data", "Add your own data")


def show_set(corpus: Corpus) -> None:
    """The current data set: its long tail, and the findings that matter most."""
    borders = find_borders(corpus)
    st.header(plain(f"{TITLES.get(corpus.name, corpus.name)}, split {corpus.split}"))
    sizes = f"{sum(map(len, corpus.parts.values())):,} documents, {len(corpus.labels):,} labels."
    st.caption(plain(f"{sizes} {corpus.source}"))
    chart = rank_frequency(measures.rank_frequency(corpus.labels, corpus.counts, borders), borders, height=260)
    show_marks(
        chart,
        lambda mark: [mark["label"]],
        key="home-tail",
        alt="Train documents of every label by rank",
    )
    found = findings.load_quick(corpus)
    findings.list_shortly(found[:3])
    link("explorer", "All findings" if found else "Explore it")


def show_tour(is_reuters: bool) -> None:
    """The tour on Reuters; its results are published, its texts are there where Reuters was found."""
    st.header("A tour in two minutes")
    for number, (words, name, query) in enumerate(TOUR, 1):
        if is_reuters or "data" not in query:
            link(name, f"{number}. {words}", query)
    if not is_reuters:
        st.caption("The first two steps need Reuters-21578 as the current data set.")


def show_source(source: Source) -> None:
    """One data set in a line: its name, where it is, and a way to open or to get it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        title = TITLES.get(source.name, source.name)
        if source.found:
            link("explorer", plain(title), {"data": source.name})
        else:
            st.markdown(plain(title), width="content")
        st.caption(plain(source.sentence))
        lacking = not source.found and source.downloadable and not read_only()
        if lacking and st.button("Download (8 MB)", key=f"download_{source.name}"):
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


def show_runs(title: str) -> None:
    """The best runs on the current set, what runs now, one next step, and the runs that ended last."""
    try:
        found = listed.list_folders()
    except UserError as error:
        st.error(plain(str(error)))
        return
    finished = [run for run in select_readable(found) if run.config.data.title == title]
    names = name_runs([run for run in found if not run.published], with_data=True)
    st.header("Best runs")
    show_best(finished)
    live = [run for run in found if run.state in LIVE and not run.published]
    if live:
        st.header("Running now")
        for run in live[:RECENT]:
            words = f"{names[run.id]}: {progress.phase(run)}"
            link("launcher", plain(words), {"run": run.id})
    st.header("Next")
    show_next(finished, [run for run in found if not run.published])
    ended = [run for run in found if run.state not in LIVE and not run.published]
    if ended:
        st.header("Your last runs")
        for run in ended[:RECENT]:
            age = progress.run_age(run, now=time.time())
            page = "errors" if run.state == "finished" else "launcher"
            link(page, plain(f"{names[run.id]}: {run.state}, {age}"), {"run": run.id})
    if damaged := sum(isinstance(run, Damaged) for run in found):
        are = "run is" if damaged == 1 else "runs are"
        st.warning(f"{damaged:,} {are} damaged: the Launcher page says what is wrong.")


def show_best(finished: list[Run]) -> None:
    """The best run of each model, with intervals."""
    if not finished:
        st.caption("No run on this data set has finished yet.")
        return
    best = best_runs.choose_best(finished, {run.id: load_metrics(run)["test"] for run in finished})
    borders = Borders(**load_metrics(finished[0])["borders"])
    try:
        table = best_runs.best_table(best, name_runs(finished), lambda run: load_sample(run, borders, AS_TRAINED))
    except UserError as error:
        st.warning(plain(str(error)))
        return
    table["run"] = [plain(name) for name in table["run"]]
    st.table(table.rename(columns=BEST), hide_index=True, border="horizontal", alt="The best run of each model")
    st.caption(
        "By macro-F1 of all labels on the test part, with 95 % intervals over its documents. The best of many runs is "
        "flattered by the choice: Compare says what is more than chance."
    )
    link("compare", "All runs side by side")


def show_next(finished: list[Run], own: list[Run | Damaged]) -> None:
    """Draws the one step that helps most now."""
    if not finished:
        st.caption("A first run of tfidf with bce takes minutes on a CPU, an SVM less than one.")
        link("launcher", "Train the first model", {**current.query(), "models": "svm"})
    elif not own:
        st.caption("These runs came with Tailscope. See what each loss would do, then train one of your own.")
        link("loss_weights", "See what each loss would do")
    elif len(finished) == 1:
        st.caption("One run says little: train the same model with a loss for the tail.")
        link("launcher", "Train with db", {**current.query(), "models": "tfidf", "losses": "db"})
    else:
        st.caption("Which is better, on which labels, and by more than chance?")
        link("compare", "Compare them")


if __name__ == "__main__":
    import app

    app.main("home")

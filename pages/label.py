"""Label: everything about one label, from its documents to what runs give it and what it is confused with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import one_label
from core.analysis.run_names import name_runs
from core.labels.groups import default_borders, describe_borders
from core.system.errors import UserError
from pages.sections.label import Label, confusions, documents, doubts, losses, scores, thresholds, together
from pages.shared import current, listed
from pages.shared.loaders import load_corpus, load_metrics
from pages.shared.menu import link, show_header
from pages.shared.runs import pick_run, select_readable
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from core.config.schema import DataConfig
    from core.data.corpus import Corpus
    from core.runs.folder import Run

VIEWS = {
    "Scores": scores.show,
    "Together": together.show,
    "Losses": losses.show,
    "Thresholds": thresholds.show,
    "Confusions": confusions.show,
    "Documents": documents.show,
    "Doubts": doubts.show,
}
"""The tabs; the name of the open one stands in the address."""


def show() -> None:
    config = current.data()
    corpus, why = open_corpus(config)
    runs = [run for run in select_readable(listed.list_folders()) if run.config.data.title == config.title]
    if corpus is None and not runs:
        raise UserError(why)
    names = corpus.labels if corpus else tuple(load_metrics(runs[0])["labels"])
    name = find_name(names)
    if name is None:
        show_header("Label", f"Everything about one label of {config.title}.")
        offer_names(names)
        return
    st.title(plain(shorten(name, 120)))
    st.caption(plain(f"One of {len(names):,} labels of {config.title}. {'' if corpus else why}"))
    with st.container(width=620):
        run = pick_run(runs, among="no finished run on this data") if runs else None
    show_views(corpus, names, name, run, runs)


def open_corpus(config: DataConfig) -> tuple[Corpus | None, str]:
    """The data set, and why it cannot be had otherwise: what runs say of a label is shown all the same."""
    try:
        return load_corpus(config), ""
    except UserError as error:
        return None, str(error)


def find_name(names: tuple[str, ...]) -> str | None:
    """The label of the address, where that names one; its spelling in the address becomes that of the label."""
    asked = st.query_params.get("name", "")
    found = one_label.find_labels(names, asked)
    if len(found) != 1 or not asked.strip():
        return None
    if found[0].casefold() != asked.strip().casefold() and asked.strip().casefold() not in found[0].casefold():
        return None  # spelt nearly so: it is offered, not taken
    if found[0] != asked:
        st.query_params["name"] = found[0]
    return found[0]


def offer_names(names: tuple[str, ...]) -> None:
    """Draws the labels that the address may mean, as links; the most frequent ones where it means none."""
    asked = st.query_params.get("name", "")
    found = one_label.find_labels(names, asked)
    if found:
        st.caption(plain(f"No label is called {shorten(asked, 60)} alone. Perhaps one of these:"))
    elif asked.strip():
        st.warning(
            plain(f"No label of this data set has {shorten(asked, 60)} in its name. The most frequent ones are:")
        )
    else:
        st.caption("Type a label, or a part of its name, under Go to a label. The most frequent ones are:")
    for name in found or names[:20]:
        link("label", plain(shorten(name, 120)), {"name": name})


def show_views(corpus: Corpus | None, names: tuple[str, ...], name: str, run: Run | None, runs: list[Run]) -> None:
    """The open tab of a label."""
    counts = corpus.counts if corpus else load_metrics(runs[0])["counts"]
    borders = default_borders(corpus.name if corpus else runs[0].config.data.name, counts)
    label = Label(corpus, names, names.index(name), counts, borders, run, runs, name_runs(runs))
    facts = one_label.describe(names, label.counts, label.column, label.borders)
    with st.container(horizontal=True, gap="medium"):
        st.metric("Group", facts["group"], help=describe_borders(borders), width="content")
        rarer = f"{facts['rarer']:,} labels are rarer."
        st.metric("Rank", f"{facts['rank']:,} of {facts['labels']:,}", help=rarer, width="content")
        if corpus:
            for row in one_label.part_table(corpus, label.column).itertuples():
                about = f"{row.share:.3g} % of its {row.of:,} documents."
                st.metric(str(row.part).capitalize(), f"{row.documents:,}", help=about, width="content")
        else:
            st.metric("Train", f"{int(label.counts[label.column]):,}", width="content")
    for tab, section in zip(st.tabs(list(VIEWS), key="view", bind="query-params"), VIEWS.values(), strict=True):
        if tab.open:
            with tab:
                try:
                    section(label)
                except UserError as error:
                    st.error(plain(str(error)))


if __name__ == "__main__":
    import app

    app.main("label")

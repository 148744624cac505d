"""What is worth knowing of a data set first, each finding with its chart and a way to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import findings
from core.analysis.dataset import PAIRS
from core.analysis.run_names import name_runs
from core.data import documents
from core.figures import data
from core.runs import plan
from pages.sections.explorer import describe_columns, find_borders
from pages.sections.explorer.drift import load_drift
from pages.sections.loss_weights.cards import load_auto_mu
from pages.shared import current, listed
from pages.shared.labels import show_marks, show_table
from pages.shared.loaders import HASHES, load_pairs
from pages.shared.menu import link
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.analysis.findings import Finding
    from core.data.corpus import Corpus

SAMPLE = 1000
"""Train documents whose length is measured here."""


@st.cache_data(max_entries=16, show_spinner="Looking for findings", hash_funcs=HASHES)
def load_quick(corpus: Corpus) -> list[Finding]:
    """Those that follow from the labels alone."""
    borders = find_borders(corpus)
    pairs = load_pairs(corpus, "train")
    found = (findings.find_tail(corpus, borders), findings.find_together(corpus, pairs), findings.find_absent(corpus))
    return findings.rank(found)


@st.cache_data(max_entries=16, show_spinner="Looking for findings in the texts", hash_funcs=HASHES)
def load_all(corpus: Corpus) -> list[Finding]:
    """All findings, those that read texts among them."""
    found: list[Finding | None] = [*load_quick(corpus), findings.find_copies(corpus)]
    found.append(findings.find_cut(documents.measure_lengths(corpus, "train", limit=SAMPLE)))
    if len(corpus.parts["train"]) and len(corpus.parts["test"]):
        found.append(findings.find_drift(load_drift(corpus, "train", "test"), "train", "test"))
    return findings.rank(found)


def find_constants(corpus: Corpus) -> Finding | None:
    """Whether a mu that is in use here is far from the rule's."""
    if not corpus.counts.any():
        return None
    here = current.data().title
    runs = [run for run in listed.list_runs() if run.config.data.title == here and not run.about.archived]
    mus, names = findings.list_mus(plan.choose_setting(corpus.name), runs), name_runs(runs)
    mus = {names.get(where, where): mu for where, mu in mus.items()}
    return findings.find_constants(load_auto_mu(corpus), mus) if mus else None


def show(corpus: Corpus) -> None:
    """Draws all findings, the weightiest first; each opens on its chart, its meaning and a way to act."""
    found = findings.rank([*load_all(corpus), find_constants(corpus)])
    st.header("Findings")
    if not found:
        st.caption("Nothing stands out: every label can be learnt and tested, and no text comes twice.")
        return
    for finding in found:
        with st.expander(plain(finding.headline)):
            left, right = st.columns([3, 2], gap="large", vertical_alignment="center")
            with left:
                show_evidence(finding)
            with right:
                st.markdown(plain(finding.meaning))
                link(finding.page, finding.action, finding.query)


def show_evidence(finding: Finding) -> None:
    """The chart of a finding, or its list where names say more than marks."""
    if finding.kind == "tail":
        st.altair_chart(data.group_shares(finding.table), alt="Labels and assignments of head, medium and tail")
    elif finding.kind == "drift":
        chart = data.drift(finding.table, "train", "test")
        show_marks(chart, lambda mark: [mark["label"]], key="finding-drift", alt="Shares of the labels that drift")
    elif finding.kind == "cut":
        st.altair_chart(data.lengths(finding.table, "tokens"), alt="Train documents by their number of tokens")
    else:
        columns = None
        if finding.kind == "together":
            columns = describe_columns(PAIRS)
        show_table(
            finding.table,
            [name for name in ("label", "other") if name in finding.table],
            key=f"finding-{finding.kind}",
            height=min(38 + 35 * len(finding.table), 283),
            column_order=["label", "other", "both", "other_documents"] if columns else None,
            column_config=columns,
            placeholder="–",
            alt=finding.headline,
        )


def list_shortly(found: Sequence[Finding]) -> None:
    """Draws findings as a sentence and a link each."""
    for finding in found:
        with st.container(gap="xxsmall"):
            st.markdown(plain(finding.headline))
            link(finding.page, finding.action, finding.query)

"""Try it: a text of one's own, the labels that each run gives it, and the words that moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import answers, decisions, documents, what_if
from core.analysis.run_names import name_runs
from core.analysis.what_if import AS_TRAINED
from core.runs import scorer
from core.system.errors import UserError
from pages.shared import current, listed
from pages.shared.labels import show_table
from pages.shared.loaders import HASHES, load_metrics, load_predictions, load_scorer, load_texts
from pages.shared.menu import link, show_header
from pages.shared.runs import pick_ids, select_readable, show_wrong_runs
from pages.shared.text import plain
from pages.shared.why import explain_label, show_sum, show_text, show_training

if TYPE_CHECKING:
    from core.analysis.answers import Cut
    from core.runs.folder import Run

MOST = 6
"""Runs side by side."""
LETTERS = 100_000


def show() -> None:
    show_header("Try it", "Type or paste a text: which labels each run gives it, how surely, and for which words.")
    show_wrong_runs("runs")
    finished = {run.id: run for run in select_readable(listed.list_folders())}
    ready = {run_id: run for run_id, run in finished.items() if not scorer.find_missing(run)}
    if not ready:
        what = (
            "The finished runs are published without their weights: run the command of one, or" if finished else "First"
        )
        st.info(f"There is no trained model to try. {what} launch a run on the Launcher page.")
        link("launcher")
        return
    # A combined run is offered in any case: chosen, it says which of its members is missing.
    able = {run_id: run for run_id, run in finished.items() if run_id in ready or run.config.combined}
    first = next((run_id for run_id in ready if (run := current.run()) and run.id == run_id), next(iter(ready)))
    names = name_runs(able.values(), with_data=True)
    chosen = pick_ids("Runs", names, key="runs", first=[first], max_selections=MOST)
    rules = {run_id: pick_rule(able[run_id], names[run_id]) for run_id in chosen}
    text = st.text_area("Text", key="text", height=220, max_chars=LETTERS, placeholder="Type or paste a text")
    if not text.strip() or not chosen:
        st.caption("Nothing is kept: the text is read here and forgotten.")
        return
    show_answers([(able[run_id], names[run_id], rule) for run_id, rule in rules.items()], text)


def pick_rule(run: Run, name: str) -> str:
    """Draws the choice of a run's thresholds: those of its training, a rule's, or kept ones; the rule's name."""
    try:
        readings = what_if.name_readings(run)
    except UserError as error:
        st.warning(plain(str(error)))
        readings = {AS_TRAINED: decisions.AS_TRAINED}
    rule = st.selectbox(
        plain(f"Thresholds of {name}"), list(readings), key=f"by.{run.id}", bind="query-params", width=420
    )
    return readings[rule]


@st.cache_resource(max_entries=64, show_spinner="Fitting thresholds on validation", hash_funcs=HASHES)
def load_cut(run: Run, rule: str) -> Cut:
    """How a rule turns scores into labels."""
    return answers.find_cut(run, rule, read=load_predictions)


def show_answers(rules: list[tuple[Run, str, str]], text: str) -> None:
    """Draws the labels that each run gives a text by its rule, side by side."""
    tried, known, cuts = {}, {}, {}
    for run, name, rule in rules:
        try:
            scores, cut = load_scorer(run).scores([text]), load_cut(run, rule)
        except UserError as error:
            st.warning(plain(str(error)))
            continue
        tried[name] = (scores[0], cut.give(scores)[0], load_metrics(run)["labels"])
        known[name], cuts[name] = run, cut
    if not tried:
        return
    table = documents.tried_table(tried)
    for name, (scores, given, labels) in tried.items():
        words = ", ".join(labels[column] for column in scores.argsort()[::-1] if given[column])
        st.text(f"{name}: {words or 'no label'}")
        if note := what_if.CHOSEN_ON[cuts[name].chosen_on]:
            st.caption(note)
    column = st.column_config
    numbers = {}
    for number, (name, cut) in enumerate(cuts.items(), 1):
        words = f"The {cut.k} highest scores." if cut.limits is None else what_if.limits_in_words(cut.limits)
        numbers[f"given {number}"] = column.CheckboxColumn("given", help=plain(f"By {name}: {words}"))
        numbers[name] = column.NumberColumn(name, format="%.3f", help=words)
    show_table(
        table,
        ["label"],
        key="tried",
        height=min(38 + 35 * len(table), 420),
        column_config=numbers,
        placeholder="–",
        alt="Labels with the score of each run and whether it gives them",
    )
    st.header("Why")
    name = next(iter(known))
    if len(known) > 1:
        name = st.radio("Run", list(known), format_func=plain, key="why_run", horizontal=True)
    show_why(known[name], text, [label for label in table["label"] if label in set(tried[name][2])], cuts[name])


def show_why(run: Run, text: str, offered: list[str], cut: Cut) -> None:
    """Why a run gives the text a label or not: what decided, the words, and training documents like the text."""
    label = st.selectbox("Why this label", offered, key="why", width=420)
    metrics = load_metrics(run)
    column = metrics["labels"].index(label)
    found = explain_label(run, text, column, cut.limits)
    left, right = st.columns(2, gap="medium")
    with left:
        show_text(text, found.words if found else None)
    if found:
        with right:
            show_sum(run, found, label, int(metrics["counts"][column]))
    corpus, sentence = load_texts(run)
    if corpus:
        show_training(corpus, text, label)
    elif sentence:
        st.caption(plain(sentence))


if __name__ == "__main__":
    import app

    app.main("try_it")

"""One run: its state in words, curves, log, settings, events and what people wrote on it; or several side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import progress
from core.analysis.decisions import AS_TRAINED
from core.analysis.run_scores import score_table
from core.config.defaults import MODELS
from core.config.parse import differences
from core.figures import training
from core.figures.looks import assign_looks
from core.labels.groups import Borders, describe_borders
from core.runs import folder, journal, mends, plan
from core.runs.folder import LIVE, Damaged, Run
from core.system.errors import UserError
from pages.sections.compare.rows import load_sample
from pages.sections.launcher import FileVersion, before, find_file_version, live, may_act
from pages.shared import current, listed
from pages.shared.loaders import HASHES, load_metrics
from pages.shared.menu import link
from pages.shared.runs import pick_id, show_members
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from core.runs.folder import Folder

TOGETHER = 8
"""Runs in one chart: more lines cannot be distinguished."""
LOG_LINES = 300


def show(runs: Sequence[Folder], names: Mapping[str, str], marked: Sequence[Folder]) -> None:
    """The one run that is marked, or the one of the address or the box; several that are marked side by side."""
    if len(marked) > 1:
        st.header(f"{len(marked)} runs")
        with st.container(horizontal=True):
            live.show_actions(marked, "marked")
        show_differences(marked, names)
        show_side_by_side(marked, names)
        return
    ids = [run.id for run in runs]
    if marked and st.session_state.get("marked_run") != marked[0].id:
        current.ask_for_run(marked[0].id)
    st.session_state["marked_run"] = marked[0].id if marked else None
    if not current.read_address("run"):
        running = [run.id for run in runs if run.state == "running"]
        current.ask_for_run([*running, *ids][0])
    st.header("One run")
    run_id = pick_id("Run", names, key="run", placeholder="a run", label_visibility="collapsed", ticks=True)
    run = next((run for run in runs if run.id == run_id), None)
    if run is not None:
        show_run(run, names[run.id])


def show_run(run: Folder, name: str) -> None:
    """Everything of one run."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(run.state, color=training.STATE_COLOURS[run.state])
        st.text(name, help=plain(f"Its id is {run.id}."))
        if run.imported:
            st.badge("imported", color="gray", help="It came from a zip and was not trained here.")
        for tag in run.about.tags:
            st.badge(plain(tag), color="gray")
        if run.state == "finished" and isinstance(run, Run):
            link("errors", query={"run": run.id})
    # What is wrong, and what mends it; then what else can be done.
    if isinstance(run, Damaged):
        st.error(plain(run.problem))
    versions = tuple(find_file_version(run, name) for name in journal.LINES)
    for sentence in (run.remark, load_damage(versions, run)):
        if sentence:
            st.warning(plain(sentence))
    if run.why:
        (st.error if run.state in ("failed", "lost") else st.warning)(plain(run.why))
    if isinstance(run, Run) and may_act():
        show_mends(run)
    with st.container(horizontal=True):
        live.show_actions([run], "one")
        show_notes(run)
    if run.kind == "python" and (trace := find_traceback(run)):
        with st.expander("Traceback"):
            st.code(trace, language=None, height=300)
    if run.about.notes:
        st.text(run.about.notes)
    if run.state == "finished" and isinstance(run, Run):
        show_scores(run)
    show_figures(run)
    show_charts(run)
    views = {"Log": show_log, "Settings and command": show_settings, "Events": show_events}
    for tab, view in zip(st.tabs(list(views), key="run_view", on_change="rerun"), views.values(), strict=True):
        if tab.open:
            with tab:
                view(run)


@st.cache_data(max_entries=100, show_spinner=False)
def load_damage(versions: tuple[FileVersion, ...], _run: Folder) -> str:  # noqa: ARG001 - the key
    """How many damaged lines of a run's files are left out."""
    return journal.describe_damage(_run.path)


def show_events(run: Folder) -> None:
    """What happened to a run, and when."""
    happened = [progress.event_row(event) for event in journal.read_events(run.path)]
    st.dataframe(happened, hide_index=True, column_config={"time": st.column_config.DatetimeColumn(width=170)})


def show_notes(run: Folder) -> None:
    """Draws what changes a run's name, tags and notes."""
    if not may_act():
        return
    with st.popover("Name, tags, notes"), st.form(f"about-{run.id}", border=False):
        name = st.text_input("Name", run.about.name, max_chars=80)
        tags = st.text_input("Tags", ", ".join(run.about.tags), help="With commas between them.")
        text = st.text_area("Notes", run.about.notes, max_chars=10_000)
        if st.form_submit_button("Save"):
            split = [tag.strip() for tag in tags.split(",") if tag.strip()]
            try:
                folder.save_about(run.id, name=name.strip(), tags=split, notes=text.strip())
                listed.forget()
                st.rerun(scope="fragment")
            except UserError as error:
                st.error(plain(str(error)))


def show_scores(run: Run) -> None:
    """Test scores of a finished run with intervals, and those on validation at the kept epoch."""
    try:
        metrics = load_metrics(run)
        table = load_scores(run)
    except UserError as error:
        st.warning(plain(str(error)))
        return
    st.table(table.rename(columns={"score": " "}), hide_index=True, border="horizontal", alt="The run's scores")
    st.caption(
        "In percent, at the thresholds of the training; in brackets 95 % intervals over the test documents. "
        + describe_borders(Borders(**metrics["borders"]))
    )


@st.cache_data(max_entries=200, show_spinner="Resampling the test documents", hash_funcs=HASHES)
def load_scores(run: Run) -> pd.DataFrame:
    """The table of a run's scores; without intervals where its predictions cannot be read."""
    metrics = load_metrics(run)
    try:
        sampled = load_sample(run, Borders(**metrics["borders"]), AS_TRAINED)
    except UserError:
        sampled = None
    return score_table(metrics, sampled)


def show_figures(run: Folder) -> None:
    """What a run does and takes right now, or took."""
    beat = journal.read_heartbeat(run.path) if run.state in LIVE else {}
    epoch, step = journal.read_last(run.path, "history.jsonl"), journal.read_last(run.path, "steps.jsonl")
    shown = progress.run_figures(run, epoch, step, beat, now=time.time())
    with st.container(horizontal=True):
        for title, value in shown.items():
            st.metric(title, value, width="content")


@st.cache_data(max_entries=100, show_spinner=False)
def load_curves(version: FileVersion, _run: Folder) -> dict[str, dict[str, object]]:  # noqa: ARG001 - the key
    """Charts by title, as the history of a run has grown; none before the first epoch has ended."""
    history = journal.read_history(_run.path)
    if not history:
        return {}
    drawn = {"Training loss": training.loss_curve(history)}
    for average in progress.AVERAGES:
        drawn[f"Validation {average}-F1"] = training.score_curve(history, average=average)
    return {title: training.light(chart) for title, chart in drawn.items()}


@st.cache_data(max_entries=100, show_spinner=False)
def load_steps(version: FileVersion, _run: Folder) -> dict[str, dict[str, object]]:  # noqa: ARG001 - the key
    """Charts of what happens between evaluations, by what they show, and of the labels hit at each."""
    steps, history = journal.read_steps(_run.path), journal.read_history(_run.path)
    drawn = {title: training.step_curve(steps, quantity=name) for name, title in training.COURSE.items()}
    if history:
        drawn["labels hit"] = training.hits_curve(history)
    return {title: training.light(chart) for title, chart in drawn.items()}


def show_charts(run: Folder) -> None:
    """The curves of a run by epoch, and between evaluations."""
    drawn = load_curves(find_file_version(run, "history.jsonl"), run)
    if drawn:
        for place, (title, spec) in zip(st.columns(len(drawn)), drawn.items(), strict=True):
            place.vega_lite_chart(spec, key=title, alt=f"{title} by epoch")
    elif isinstance(run, Run) and run.config.combined:
        st.caption("A combined run is not trained: it has no curves.")
    elif isinstance(run, Run) and MODELS[run.config.model.name].at_once:
        st.caption("Linear SVMs are not trained by epochs: there are no curves.")
    elif run.state in LIVE:
        st.caption("No epoch has ended yet: these curves appear after the first.")
    else:
        st.caption("No epoch had ended: there are no curves.")
    if not journal.read_last(run.path, "steps.jsonl"):
        return
    more = st.expander(
        "Between evaluations: loss, learning rate, gradient, speed, memory", key="between", on_change="rerun"
    )
    if more.open:  # what is closed is not drawn at every tick
        with more:
            drawn = load_steps(find_file_version(run, "steps.jsonl"), run)
            places = [place for _ in range(2) for place in st.columns(3)]
            for place, (title, spec) in zip(places, drawn.items(), strict=False):
                place.vega_lite_chart(spec, key=f"course-{title}", alt=f"{title} by epochs done")


def show_log(run: Folder) -> None:
    """The last lines of the log, or those with a word."""
    word = st.text_input("Find in the log", key="log_word", placeholder="a word", label_visibility="collapsed").lower()
    lines = journal.read_log(run.path, 5000 if word else LOG_LINES)
    found = [line for line in lines if word in line.lower()][-LOG_LINES:]
    nothing = "No line has this word." if word else "The log is empty."
    st.code("\n".join(found) or nothing, language=None, height=260)


def show_mends(run: Run) -> None:
    """The changes with which a failed run is launched again, the first in the first place."""
    offered = mends.find_mends(run)
    if not offered:
        return
    with st.container(horizontal=True):
        for number, mend in enumerate(offered):
            st.button(
                plain(f"Launch with {mend.words}"),
                type="secondary" if number else "primary",
                key=f"mend-{run.id}-{number}",
                on_click=before.launch_instead,
                args=(mend.config,),
            )


def find_traceback(run: Folder) -> str:
    """The last traceback in a run's log."""
    lines = journal.read_log(run.path, 2000)
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback")]
    return "\n".join(lines[starts[-1] :]) if starts else ""


def show_settings(run: Folder) -> None:
    """What differs from the defaults, all settings, and the command that makes this run."""
    try:
        config = folder.read_config(run.path)
    except UserError:
        st.caption("The settings cannot be read.")
        return
    st.code(plan.command_line(config), language="bash", wrap_lines=True)
    differs = plan.changes_of(config)
    if config.combined:
        show_members(config.combined)
    elif differs:
        st.caption("What differs from the defaults of this data set, model and loss:")
        st.dataframe([{"setting": key, "value": str(value)} for key, value in differs], hide_index=True)
    else:
        st.caption("All settings are the defaults of this data set, model and loss.")
    st.json(config.model_dump(), expanded=False)


def show_differences(runs: Sequence[Folder], names: Mapping[str, str]) -> None:
    """The settings in which two runs differ."""
    if len(runs) != 2:
        return
    one, other = runs
    if not isinstance(one, Run) or not isinstance(other, Run):
        return
    differ = differences(one.config, other.config)
    if not differ:
        st.caption("They have the same settings: the data have changed between the two.")
        return
    st.caption("What differs between the two:")
    told = [{"setting": name, "1": describe_value(old), "2": describe_value(new)} for name, old, new in differ]
    column = st.column_config.TextColumn
    st.dataframe(
        told,
        hide_index=True,
        height=min(38 + 35 * len(told), 320),
        column_config={"1": column(names[one.id]), "2": column(names[other.id])},
        alt="The settings in which the two runs differ",
    )


def describe_value(value: object) -> str:
    """A setting's value; what is not set is as its model or loss has it."""
    return "as usual" if value is None else str(value)


def show_side_by_side(runs: Sequence[Folder], names: Mapping[str, str]) -> None:
    """Validation scores and losses of several runs in one chart each, as far as they have come."""
    chosen = runs[:TOGETHER]
    named = {names[run.id]: run for run in chosen if isinstance(run, Run)}
    histories = {name: journal.read_history(run.path) for name, run in named.items()}
    looks = assign_looks(named)
    if not any(histories.values()):
        st.caption("None of these has ended an epoch yet: there is nothing to compare.")
        return
    if len(runs) > TOGETHER:
        st.caption(f"The first {TOGETHER} of {len(runs)}.")
    for place, (title, quantity) in zip(st.columns(3), training.TOGETHER.items(), strict=True):
        spec = training.light(training.together(histories, looks, quantity=quantity, title=title))
        place.vega_lite_chart(spec, key=f"together-{quantity}", alt=f"{title} of several runs by epoch")

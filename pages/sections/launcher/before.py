"""Before the start: how many runs, what they will take, what to beware of, the commands, and the button."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import progress
from core.config.schema import RunConfig
from core.jobs import clusters, engines, estimates, queue, sweeps
from core.jobs.obstacles import describe_shortage, find_misfits, find_obstacles
from core.runs.folder import LIVE, Folder, Run
from core.runs.plan import command_line
from core.system.errors import UserError
from pages.sections.launcher import add_toast, redraw
from pages.sections.loss_weights import View, cautions
from pages.sections.loss_weights.cards import load_auto_mu
from pages.shared import current, listed
from pages.shared.loaders import HASHES, load_corpus
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.data.corpus import Corpus
    from core.runs.plan import Plan

COMMANDS_SHOWN = 20
LOADED = Event()
"""Set when PyTorch is loaded."""


def launch(configs: list[RunConfig], anew: bool) -> None:
    """Submits the runs; an error is kept and shown under the button."""
    st.session_state.pop("launch_problem", None)
    try:
        runs = sweeps.submit(configs, anew=anew, engine=st.session_state.get("engine", ""))
    except UserError as error:
        st.session_state["launch_problem"] = str(error)
        return
    current.ask_for_run(runs[0].id)
    st.session_state["train_again"] = False
    redraw()
    add_toast(f"{len(runs)} of {len(configs)} runs submitted.")


def launch_instead(config: RunConfig) -> None:
    """Submits one run in the place of another and shows it."""
    try:
        (run,) = sweeps.submit([config], engine=st.session_state.get("engine", ""))
    except UserError as error:
        add_toast(str(error), icon=":material/error:", duration="long")
        return
    current.ask_for_run(run.id)
    add_toast("1 run submitted.")
    redraw()


@st.cache_data(ttl=15.0, max_entries=4, show_spinner=False)
def describe_engine(engine: str) -> str:
    return clusters.describe_engine(engine)


def pick_engine() -> None:
    """Draws where the runs will train, if a cluster is named, and what that says it has."""
    try:
        named = engines.choose_engine()
    except UserError as error:
        st.error(plain(str(error)))
        return
    if named == engines.LOCAL:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        engine = st.segmented_control(
            "Train on",
            [named, engines.LOCAL],
            key="engine",
            default=named,
            required=True,
            format_func=lambda one: engines.TITLES[one].capitalize(),
            label_visibility="collapsed",
        )
        if engine == named:
            st.caption(plain(describe_engine(named)))


def show_button(configs: list[RunConfig], runs: Sequence[Folder]) -> None:
    """Draws the button, what stands in its way, and which of the runs exist already."""
    pick_engine()
    obstacles = find_obstacles(configs, here=st.session_state.get("engine", engines.LOCAL) == engines.LOCAL)
    for sentence in obstacles:
        st.error(plain(sentence))
    states = {run.config: run.state for run in runs if isinstance(run, Run) and run.state in (*LIVE, "finished")}
    there = [states[config] for config in configs if config in states]
    finished = there.count("finished")
    with st.container(horizontal=True, vertical_alignment="center"):
        place = st.empty()
        anew = False
        if there:
            st.text(
                f"{len(there)} of these {len(configs)} exist already and are not trained twice: {count_states(there)}."
            )
        if finished:
            anew = st.toggle(
                "Train again", key="train_again", help="From the first step; the results that are there are replaced."
            )
        new = len(configs) - len(there) + (finished if anew else 0)
        place.button(
            f"Launch {new} {'run' if new == 1 else 'runs'}",
            type="primary",
            key="launch",
            disabled=not new or bool(obstacles),
            on_click=launch,
            args=(configs, anew),
        )
    if problem := st.session_state.get("launch_problem"):
        st.error(plain(problem))


def count_states(states: list[str]) -> str:
    """States with their numbers, as in `2 finished, 1 running`."""
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def show_commands(configs: list[RunConfig]) -> None:
    """The command line of each run."""
    lines = [command_line(config) for config in configs[:COMMANDS_SHOWN]]
    if len(configs) > COMMANDS_SHOWN:
        lines.append(f"# and {len(configs) - COMMANDS_SHOWN} more")
    if lines:
        st.code("\n".join(lines), language="bash", wrap_lines=True, height=180 if len(lines) > 5 else "content")


@st.cache_resource(show_spinner=False)
def load_torch() -> None:
    """Loads PyTorch in a thread, once in a server's life: it takes seconds, while the page stays usable."""

    def load() -> None:
        import core.losses.effects  # noqa: F401

        LOADED.set()

    Thread(target=load, daemon=True).start()


def can_weigh_now() -> bool:
    """Whether the page waited for PyTorch to show its cautions, and can show them now: true once."""
    return LOADED.is_set() and bool(st.session_state.pop("to_weigh", False))


@st.cache_data(max_entries=2000, show_spinner=False, hash_funcs=HASHES)
def load_cost(run: Run) -> estimates.Cost | None:
    return estimates.read_cost(run)


def show_forecast(plan: Plan, configs: list[RunConfig]) -> None:
    """What the runs will take on this machine, and what the loss page warns of."""
    corpus = load_corpus(plan.data)
    if misfits := find_misfits(configs, corpus):
        st.error(plain(" ".join(misfits)))
        return
    finished = [run for run in listed.list_runs() if run.state == "finished"]
    own, published = estimates.read_costs(finished, read=load_cost)
    slots = len(queue.slots(queue.queue(configs[0])))
    whole = estimates.together(configs, len(corpus.parts["train"]), own, slots, published)
    st.caption(plain(estimates.in_words(whole, len(configs), progress.words_of_seconds)))
    if shortage := describe_shortage(whole["memory"]):
        st.warning(plain(shortage))
    show_cautions(plan, corpus, configs)


def show_cautions(plan: Plan, corpus: Corpus, configs: list[RunConfig]) -> None:
    """The warnings of the loss page for the losses chosen."""
    losses = dict.fromkeys(config.loss for config in configs if config.loss)
    if losses and (corpus.counts > 0).any():
        load_torch()
        st.session_state["to_weigh"] = not LOADED.is_set()
        if not LOADED.is_set():
            st.caption("What the losses' page warns of stands here as soon as PyTorch is loaded.")
            return
        from core.analysis.loss_effects import Choice

        rule = load_auto_mu(corpus) if any(one.mu == "auto" for one in losses) else None
        choices = [
            Choice(one.name, one.name, one.setting, select_numbers(one.overrides()), rule if one.mu == "auto" else None)
            for one in losses
        ]
        cautions.show(View(corpus, plan.data, tuple(choices)))


def select_numbers(changes: dict[str, object]) -> tuple[tuple[str, float], ...]:
    """What is changed of a loss, without what is found only in training (`auto`)."""
    return tuple((key, float(value)) for key, value in changes.items() if isinstance(value, int | float))

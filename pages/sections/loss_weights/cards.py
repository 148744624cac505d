"""The losses: which are compared, their controls, formulas with the numbers in them, and the calls that make them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.config.defaults import LOSS_NAMES, SETTINGS
from core.losses.presets import CONSTANTS, LOSSES
from core.runs import plan
from core.system.errors import UserError
from pages.shared.loaders import HASHES
from pages.shared.menu import link
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus
    from pages.sections.loss_weights import View

SHOWN_FIRST = ("bce", "cb", "db")
ANSWERS = {"yes": True, "no": False}


def pick_losses() -> tuple[tuple[str, ...], Any]:
    """Draws the choice of losses and of whose constants they start from."""
    chosen = st.pills(
        "Losses to compare",
        LOSS_NAMES,
        selection_mode="multi",
        default=SHOWN_FIRST,
        key="compared",
        wrap=True,
        bind="query-params",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        setting = pick_one(
            "Constants start from",
            SETTINGS,
            "reuters",
            key="setting",
            about="reuters and pubmed: the paper's scale and mu for these sets. plain: scale 1, and mu from the data.",
        )
        st.toggle(
            "Beside a changed loss, show its preset",
            True,
            key="presets",
            bind="query-params",
            help="As a dotted line, and as a bar of its own.",
        )
    return tuple(name for name in LOSS_NAMES if name in chosen), setting


def show_cards(view: View, names: Sequence[str], setting: Any) -> list[Choice]:
    """Draws a card for each loss and returns what is to be compared, without those whose constants make no sense."""
    from core.analysis.loss_effects import Choice

    choices: list[Choice] = []
    problems = []
    with st.container(border=True):
        for name, tab in zip(names, st.tabs(names, key="loss", bind="query-params"), strict=True):
            with tab:
                try:
                    choice = show_card(view, name, setting)
                except UserError as error:
                    problems.append(str(error))
                    st.caption("Put the constant right, or reset all, to see this loss.")
                    continue
            choices.append(choice)
            if choice.changes and st.session_state["presets"]:
                choices.append(Choice(f"{name} (preset)", name, setting))
    for problem in problems:
        st.error(plain(problem))
    return choices


def show_card(view: View, name: str, setting: Any) -> Choice:
    """One loss: its controls, its formula with their numbers, and the calls that make it."""
    from core.analysis import loss_words
    from core.analysis.loss_effects import Choice

    defaults = Choice(name, name, setting).constants(view.counts, view.documents)
    left, right = st.columns([6, 5], gap="large")
    about, actions = right.container(), st.container(horizontal=True, vertical_alignment="center")
    with left:
        chosen = pick_constants(view, name, setting, defaults, actions)
    choice = Choice(name, name, setting, tuple((key, value) for key, value in chosen.items() if value != defaults[key]))
    with about:
        st.markdown(f"**{loss_words.title_of(name)}** · {LOSSES[name].reading}")
        values = choice.constants(view.counts, view.documents)
        st.latex(loss_words.formula(name, values, view.documents))
        st.caption(loss_words.origin(name))
    with actions:
        show_calls(view, choice)
    return choice


def pick_constants(
    view: View, name: str, setting: Any, defaults: dict[str, float], actions: DeltaGenerator
) -> dict[str, float]:
    """Draws a control for every constant of a loss, and among the `actions` a reset for all; returns their values.

    Raises:
        UserError: the address holds a value out of range.
    """
    from core.analysis.loss_effects import Choice

    # Values that the address holds.
    keys = {constant: find_key(view, name, setting, constant) for constant in defaults}
    values: dict[str, float] = {}
    asked: dict[str, float] = {}
    for constant, key in keys.items():
        with suppress(ValueError):
            asked[constant] = float(st.query_params.get(key, ""))
    # A control for each constant, three in a row.
    places = iter([place for _ in range(-(-len(keys) // 3)) for place in st.columns(3)])
    for constant, default in defaults.items():
        entry = CONSTANTS[constant]
        label = f"${entry.symbol}$ {entry.word}"
        about = f"{entry.meaning} Preset: {default:g}. In code: `{constant}`"
        with next(places):
            if entry.kind == "switch":
                about = f"{entry.meaning} Preset: yes. In code: `{constant}`"
                values[constant] = ANSWERS[
                    st.selectbox(label, list(ANSWERS), key=keys[constant], bind="query-params", help=about)
                ]
            elif constant == "mu":
                values[constant] = st.slider(
                    label, 0.0, 1.0, default, 0.005, "%.3f", key=keys[constant], bind="query-params", help=about
                )
            else:
                typed = st.number_input(
                    label,
                    value=float(default),
                    step=entry.step,
                    format="%g",
                    key=keys[constant],
                    bind="query-params",
                    help=about,
                )
                values[constant] = default if typed is None else round(typed, 12)
    # Buttons that move the controls.
    with actions:
        st.button(
            "Reset",
            key=f"reset-{name}",
            on_click=set_controls,
            args=({keys[one]: "yes" if default is True else default for one, default in defaults.items()},),
            disabled=values == defaults,
            help="All constants of this loss as in its preset.",
        )
        if "mu" in values:
            rule = load_auto_mu(view.corpus)
            st.button(
                f"mu by the rule: {rule:.3f}",
                key=f"auto-{name}",
                on_click=set_controls,
                args=({keys["mu"]: rule},),
                help="The authors' rule: halfway between the mean and the median of r in the train documents.",
            )
    # A slider clips its value: what the address says out of range is refused here.
    wrong = tuple((key, value) for key, value in asked.items() if key == "mu" and not 0 <= value <= 1)
    Choice(name, name, setting, wrong or tuple(values.items())).constants(view.counts, view.documents)
    return values


def find_key(view: View, name: str, setting: str, constant: str) -> str:
    """The key of a control, in the address as well; one for each setting where that decides the preset's value."""
    if constant not in ("scale", "mu") or setting == "reuters":
        return f"{name}.{constant}"
    return f"{name}.{constant}.{setting}" + (f".{view.corpus.name}" if setting == "plain" else "")


def set_controls(values: dict[str, Any]) -> None:
    """Moves controls."""
    st.session_state.update(values)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_auto_mu(corpus: Corpus) -> float:
    from core.analysis.loss_weights import rule_for_mu

    return rule_for_mu(corpus.targets_of("train"), corpus.counts)


def show_calls(view: View, choice: Choice) -> None:
    """Python and the command line that make exactly this loss, and the way to the launcher's form."""
    from core.analysis import loss_words

    size = view.config.synthetic_changes()
    changes = loss_words.changes_of(choice)
    trained = loss_words.can_be_trained(choice.name)
    if trained:
        query = {"data": view.config.name, "split": view.config.split, "losses": choice.name}
        query |= {f"synthetic_{key}": str(value) for key, value in size.items()}
        query |= {f"set.{key}": {"true": "yes", "false": "no"}.get(value, value) for key, value in changes.items()}
        with st.container(width="content"):
            link("launcher", f"Train with {choice.name}", query)  # fills a form; nothing starts
    with st.popover("Python and command line"):
        st.code(loss_words.python_call(choice, view.config), language="python")
        if not trained:
            st.caption("Runs of this dashboard have the losses of the paper; this one is for your own code.")
            return
        run = plan.make_config(
            data=view.config.name,
            split=view.config.split,
            model="tfidf",
            loss=choice.name,
            seed=0,
            changes=[
                *(f"data.synthetic.{key}={value}" for key, value in size.items()),
                *(f"{key}={value}" for key, value in changes.items()),
            ],
        )
        st.code(plan.command_line(run), language="bash", wrap_lines=True)

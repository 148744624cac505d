"""The losses: which are compared, their controls, formulas with the numbers in them, and the calls that make them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.config.defaults import LOSS_NAMES, SETTINGS
from core.labels import measures
from core.losses.presets import CONSTANTS, LOSSES
from core.runs import plan
from core.system.errors import UserError
from pages.shared.loaders import HASHES
from pages.shared.menu import link
from pages.shared.pick import pick_one
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.analysis.loss_effects import Choice
    from core.data.corpus import Corpus
    from pages.sections.loss_weights import View

SHOWN_FIRST = ("bce", "cb", "db")
ANSWERS = {"yes": True, "no": False}
OWN = "this set"
"""Of the settings: scale 1 and mu by the authors' rule from the set's own counts, as a run has them outside Reuters."""


def pick_losses(view: View) -> tuple[tuple[str, ...], str]:
    """Draws the choice of losses and of whose constants they start from: those that a run on this set would have."""
    chosen = st.multiselect(
        "Losses to compare",
        LOSS_NAMES,
        default=SHOWN_FIRST,
        key="compared",
        bind="query-params",
        placeholder="Choose losses",
    )
    usual = usual_setting(view)
    if st.session_state.get("setting_of", usual) != usual and "setting" not in st.query_params:
        st.session_state["setting"] = usual  # what was usual on another set is not kept
    st.session_state["setting_of"] = usual
    setting = pick_one(
        "Constants start from",
        (OWN, *SETTINGS),
        usual,
        key="setting",
        about="this set: scale 1, and mu by the authors' rule from the set's own counts. reuters and pubmed: the "
        "paper's scale and mu for these sets. plain: scale 1, and the mean r of the set as mu.",
    )
    return tuple(name for name in LOSS_NAMES if name in chosen), setting


def usual_setting(view: View) -> str:
    """The setting that a run on this data set has where none is named."""
    setting = plan.choose_setting(view.config.name)
    return OWN if setting == "plain" else setting


def make_choice(view: View, title: str, name: str, setting: str, changes: tuple[tuple[str, float], ...] = ()) -> Choice:
    """A loss with the constants that a setting starts from."""
    from core.analysis.loss_effects import Choice

    rule = load_auto_mu(view.corpus) if setting == OWN else None
    return Choice(title, name, "plain" if setting == OWN else setting, changes, rule)  # type: ignore[arg-type]


def show_cards(view: View, names: Sequence[str], setting: str) -> list[Choice]:
    """Draws a card for each loss and returns what is to be compared, without those whose constants make no sense."""
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
            if choice.changes and st.session_state.get("presets", st.query_params.get("presets") != "false"):
                choices.append(make_choice(view, f"{name} (preset)", name, setting))
    st.toggle(
        "Beside a changed loss, show its preset",
        True,
        key="presets",
        bind="query-params",
        help="In pale, and as a bar of its own.",
    )
    for problem in problems:
        st.error(plain(problem))
    return choices


def show_card(view: View, name: str, setting: str) -> Choice:
    """One loss: its controls, its formula with their numbers, and the calls that make it."""
    from core.analysis import loss_words

    preset = make_choice(view, name, name, setting)
    defaults = preset.constants(view.counts, view.documents)
    st.markdown(f"**{loss_words.title_of(name)}**", help=f"{LOSSES[name].reading} {loss_words.origin(name)}")
    chosen = pick_constants(view, preset, setting, defaults)
    choice = replace(preset, changes=tuple((key, value) for key, value in chosen.items() if value != defaults[key]))
    st.latex(loss_words.formula(name, choice.constants(view.counts, view.documents), view.documents))
    show_calls(view, choice)
    return choice


def pick_constants(view: View, preset: Choice, setting: str, defaults: dict[str, float]) -> dict[str, float]:
    """Draws a control for every constant of a loss, and a reset for all; returns their values.

    Raises:
        UserError: the address holds a value out of range.
    """
    from core.analysis import loss_cautions

    # Values that the address holds.
    name = preset.name
    keys = {constant: find_key(view, name, setting, constant) for constant in defaults}
    values: dict[str, float] = {}
    asked: dict[str, float] = {}
    for constant, key in keys.items():
        with suppress(ValueError):
            asked[constant] = float(st.query_params.get(key, ""))
    # A control for each constant, two in a row, below the buttons.
    actions = st.container()
    places = iter([place for _ in range(-(-len(keys) // 2)) for place in st.columns(2, gap="small")])
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
    with actions:
        # Buttons that move the controls.
        rule = load_auto_mu(view.corpus) if "mu" in values else None
        if rule is not None and (said := loss_cautions.mu_caution(values["mu"], rule)):
            st.warning(plain(said))
        with st.container(horizontal=True):
            st.button(
                "Reset",
                key=f"reset-{name}",
                on_click=set_controls,
                args=({keys[one]: "yes" if default is True else default for one, default in defaults.items()},),
                disabled=values == defaults,
                help="All constants of this loss as in its preset.",
            )
            if rule is not None:
                st.button(
                    f"Use mu = {rule:.3f}",
                    key=f"auto-{name}",
                    type="primary" if loss_cautions.is_mu_far(values["mu"], rule) else "secondary",
                    on_click=set_controls,
                    args=({keys["mu"]: rule},),
                    disabled=abs(values["mu"] - rule) < 1e-9,
                    help="The authors' rule: halfway between the mean and the median of r in the train documents.",
                )
    # A slider clips its value: what the address says out of range is refused here.
    wrong = tuple((key, value) for key, value in asked.items() if key == "mu" and not 0 <= value <= 1)
    replace(preset, changes=wrong or tuple(values.items())).constants(view.counts, view.documents)
    return values


def find_key(view: View, name: str, setting: str, constant: str) -> str:
    """The key of a control, in the address as well; one for each setting where that decides the preset's value.

    An address without a setting that names the constant alone, as all did once, is of the usual setting.
    """
    short = f"{name}.{constant}"
    if constant not in ("scale", "mu") or setting == "reuters":
        return short
    word = "own" if setting == OWN else setting
    key = f"{short}.{word}" + (f".{view.corpus.name}" if setting in (OWN, "plain") else "")
    if setting == usual_setting(view) and short in st.query_params:
        asked = st.query_params.pop(short)
        with suppress(ValueError):
            st.session_state[key] = min(float(asked), 1.0) if constant == "mu" else float(asked)
            st.session_state[key] = max(st.session_state[key], 0.0)
            st.query_params[key] = asked
    return key


def set_controls(values: dict[str, Any]) -> None:
    """Moves controls."""
    st.session_state.update(values)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=HASHES)
def load_auto_mu(corpus: Corpus) -> float:
    return measures.rule_for_mu(corpus.targets_of("train"), corpus.counts)


def show_calls(view: View, choice: Choice) -> None:
    """Python and the command line that make exactly this loss, and the way to the launcher's form."""
    from core.analysis import loss_words

    size = view.config.synthetic_changes()
    changes = loss_words.changes_of(choice, view.config.name)
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

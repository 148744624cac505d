"""The form: every setting of a grid of runs, filled by hand, by an address, a preset, another run or a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import streamlit as st

from core.analysis.run_names import name_runs
from core.config.defaults import LOSS_CONSTANTS, LOSS_NAMES, MODEL_NAMES, MODELS
from core.config.schema import Frozen, LossConfig, ModelConfig, TrainConfig
from core.runs import presets
from core.runs.plan import Plan, choose_setting, loss_names, of_run, read
from core.system.errors import UserError
from pages.sections.launcher import URL
from pages.sections.launcher.titles import MEANINGS, TITLES, list_losses
from pages.shared import current, listed
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic.fields import FieldInfo
    from streamlit.delta_generator import DeltaGenerator

SECTIONS: dict[str, type[Frozen]] = {"train": TrainConfig, "model": ModelConfig, "loss": LossConfig}
ADVANCED = {
    "train": "Training",
    "model": "Model",
    "loss": "Loss: the constants of those chosen; what is left empty keeps the value of each preset",
}
BASIC = ("train.epochs", "train.batch_size", "train.learning_rate", "train.patience", "train.threshold", "train.device")
ENCODER = ("encoder", "max_length")
"""Settings of models that read tokens which belong beside the basic ones."""
RUNS_OFFERED = 500
MOST_BYTES = 1_000_000
"""Of a file that holds a plan."""


def show() -> Plan | None:
    """Draws the form and returns what it describes; a wrong entry is shown as one sentence and gives None."""
    with st.container(horizontal=True, vertical_alignment="center"):
        show_start()
        place = st.empty()
    if problem := st.session_state.pop("form_problem", ""):
        st.error(plain(problem))
    try:
        plan = pick_plan()
        plan.configs()
    except UserError as error:
        st.error(plain(str(error)))
        return None
    place.download_button(
        "Save as JSON",
        plan.to_json(),
        "plan.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
        help="All entries as a file, for this form or for `python -m core sweep --plan plan.json`.",
    )
    return plan


def pick_plan() -> Plan:
    """Draws all entries.

    Raises:
        UserError: one of them makes no sense, or too little is chosen.
    """
    # What is trained: data, models, losses, seeds.
    chosen = current.data()
    models = st.pills(
        "Models",
        MODEL_NAMES,
        selection_mode="multi",
        default="tfidf",
        key="models",
        bind=URL,
        help="; ".join(f"{name}: {model.title}" for name, model in MODELS.items() if model.trained),
    )
    own = ", ".join(name for name in MODEL_NAMES if MODELS[name].own_loss)
    trained = any(not MODELS[model].own_loss for model in models)
    losses = st.pills(
        "Losses",
        ("paper", *LOSS_NAMES),
        selection_mode="multi",
        default="bce",
        format_func=lambda name: "the paper's eight" if name == "paper" else name,
        key="losses",
        bind=URL,
        disabled=not trained,
        help=f"Each loss is a run of its own. {own} have a loss of their own and take none.\n\n{list_losses()}",
    )
    text = st.columns([1, 3])[0].text_input(
        "Seeds", "0", key="seeds", bind=URL, help="0, 1, 2 or 0-4: each seed is a run of its own."
    )
    # Settings of the models and losses chosen: the common ones, then all others.
    used = {name for loss in loss_names(losses) for name in LOSS_CONSTANTS[loss]}
    basic = [*BASIC, *(f"model.{name}" for name in ENCODER if any(name in MODELS[m].settings for m in models))]
    changes = pick_settings(basic, models)
    with st.expander("Advanced settings"):
        for section, title in ADVANCED.items():
            st.caption(title)
            names = [name for name in SECTIONS[section].model_fields if name != "name"]
            if section == "loss":
                names = [name for name in names if name == "setting" or name in used]
            if section == "model":
                names = [name for name in names if any(name in MODELS[model].settings for model in models)]
            keys = [key for name in names if (key := f"{section}.{name}") not in basic]
            changes |= pick_settings(keys, models, columns=4)
    # What is still missing.
    if not models:
        raise UserError("Choose at least one model.")
    if trained and not losses:
        raise UserError(f"Choose at least one loss: every model but {own} needs one.")
    return Plan(data=chosen, models=models, losses=losses, seeds=read_seeds(text), settings=changes)


def pick_settings(keys: Iterable[str], models: Sequence[str], columns: int = 6) -> dict[str, Any]:
    """Draws settings in rows and returns those that differ from the defaults."""
    places: list[DeltaGenerator] = []
    changes = {}
    for key in keys:
        places = places or list(st.columns(columns, vertical_alignment="bottom"))
        with places.pop(0):
            value = pick_setting(key, models)
        if value is not None and value != find_default(key, models):
            changes[key] = value
    return changes


def find_default(key: str, models: Sequence[str]) -> Any:
    """The first value of a setting's widget; None where the data set, the models or a loss's preset decide."""
    section, _, name = key.rpartition(".")
    if key == "loss.setting" or describe_own_defaults(section, name, models):
        return None
    return SECTIONS[section].model_fields[name].default


def pick_setting(key: str, models: Sequence[str]) -> Any:
    """Draws the widget of one setting, named like `train.epochs`, and returns its value; None keeps the default."""
    section, _, name = key.rpartition(".")
    field = SECTIONS[section].model_fields[name]
    label = TITLES[key]
    about = ". ".join(text for text in (field.description or MEANINGS.get(key), f"Setting `{key}`") if text)
    default, widget = find_default(key, models), f"set.{key}"
    if known := describe_own_defaults(section, name, models):
        about = f"{about}. Left empty: {known}"
    shown = "by model" if ", " in known else known
    if key == "loss.setting":
        setting = choose_setting(current.data().name)
        shown = setting if setting == "reuters" else "of this set"
        about = (
            f"Whose scale and mu. {about}. Left empty: reuters for Reuters, else scale 1 and mu by the authors' rule"
        )
    if key == "train.device":
        return st.selectbox(label, ("auto", "cpu", "cuda"), key=widget, bind=URL, help=about, accept_new_options=True)
    if field.annotation is bool:
        return st.toggle(label, default, key=widget, bind=URL, help=about, wrap=True)
    if get_origin(field.annotation) is Literal:
        options = get_args(field.annotation)
        index = None if default is None else options.index(default)
        return st.selectbox(label, options, index, key=widget, bind=URL, help=about, placeholder=shown or None)
    if bool in get_args(field.annotation):
        chosen = st.selectbox(label, ("preset", "yes", "no"), key=widget, bind=URL, help=about)
        return {"preset": None, "yes": True, "no": False}[chosen]
    if key == "loss.mu":
        about = f"A number or auto. {about}"
        return read_number(st.text_input(label, key=widget, bind=URL, placeholder="preset", help=about))
    if field.annotation is str:
        return st.text_input(label, default, key=widget, bind=URL, help=about)
    whole = field.annotation is int
    low, high = find_bounds(field)
    return st.number_input(
        label,
        min_value=low if low is None or whole else float(low),
        max_value=high if high is None or whole else float(high),
        value=default,
        step=1 if whole else float(f"1e{int(f'{default or 0.1:e}'.partition('e')[2])}"),
        format=None if whole else "%g",
        placeholder=shown or "preset",
        key=widget,
        bind=URL,
        help=about,
    )


def read_number(text: str) -> float | str | None:
    """A number where a text is one, None where it is empty."""
    try:
        return float(text)
    except ValueError:
        return text.strip() or None


def describe_own_defaults(section: str, name: str, models: Sequence[str]) -> str:
    """A setting's defaults in words where they depend on the model, for the models chosen; empty elsewhere."""
    if not any(name in model.defaults.get(section, {}) for model in MODELS.values()):
        return ""
    first = SECTIONS[section].model_fields[name].default
    values = {
        model: MODELS[model].defaults.get(section, {}).get(name, first)
        for model in models
        if name in MODELS[model].settings or (section == "train" and not MODELS[model].at_once)
    }
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values()))}"
    return ", ".join(f"{model} {value}" for model, value in values.items()) or f"{first}"


def find_bounds(field: FieldInfo) -> tuple[Any, Any]:
    """The least and the greatest value a setting may have, None where there is no such bound or it is exclusive."""
    found = {side: getattr(mark, side) for mark in field.metadata for side in ("ge", "le") if hasattr(mark, side)}
    return found.get("ge"), found.get("le")


def read_seeds(text: str) -> tuple[int, ...]:
    """Whole numbers from `0, 1, 2` or `0-4`."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UserError(f"Seeds: '{word}' is no whole number from 0. Write them as 0, 1, 2 or as 0-4.")
        found += range(int(first), min(int(last or first), int(first) + 999) + 1)
    if not found:
        raise UserError("Seeds: write at least one, for example 0.")
    return tuple(dict.fromkeys(found))


def show_start() -> None:
    """Draws what fills the form at once."""
    with st.popover("Start from a preset, a run, a file", icon=":material/edit_note:"):
        for name, (about, values) in presets.PRESETS.items():
            st.button(
                name.capitalize(), key=f"preset-{name}", help=about, width="stretch", on_click=fill_form, args=(values,)
            )
        known = {run.id: run for run in listed.list_runs() if not run.config.combined}
        names = name_runs(known.values(), with_data=True)
        run_id = st.selectbox(
            "The settings of a run",
            list(known)[:RUNS_OFFERED],
            None,
            format_func=lambda one: names.get(one, one),
            placeholder="any run",
            key="from_run",
        )
        if run_id:
            values = dict(of_run(known[run_id].config))
            st.button("Take its settings", on_click=fill_form, args=(values,), width="stretch", key="take_run")
        sent = st.file_uploader("A file that was saved here, or a run's config.json", "json", key="plan_file")
        if sent is not None:
            load = partial(read_file, sent.getvalue(), sent.name)
            st.button("Take its settings", on_click=load, width="stretch", key="take_file")


def read_file(content: bytes, name: str) -> None:
    """Fills the form from a file; an error in it is shown above the form, which stays as it is."""
    try:
        if len(content) > MOST_BYTES:
            raise UserError(f"{name} has {len(content):,} bytes: that is no plan of this page.")
        fill_form(dict(read(content.decode("utf-8"), where=name)))
    except UnicodeDecodeError:
        st.session_state["form_problem"] = f"{name} is no text in UTF-8."
    except UserError as error:
        st.session_state["form_problem"] = str(error)


def fill_form(values: dict[str, Any]) -> None:
    """Sets every entry of the form, by the fields of a `Plan`; what it leaves out is as in an empty form."""
    plan = Plan(**values)
    if "data" in values:
        current.choose_data(plan.data)
    st.session_state["models"], st.session_state["losses"] = list(plan.models), list(plan.losses)
    st.session_state["seeds"] = ", ".join(map(str, plan.seeds))
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            if name != "name":
                key = f"{section}.{name}"
                value = plan.settings.get(key, find_default(key, plan.models))
                st.session_state[f"set.{key}"] = convert_to_entry(key, field, value)


def convert_to_entry(key: str, field: FieldInfo, value: Any) -> Any:
    """A value as the widget of its setting holds it."""
    if bool in get_args(field.annotation):
        return {None: "preset", True: "yes", False: "no"}[value]
    if key == "loss.mu":
        return "" if value is None else f"{value}"
    kinds = (field.annotation, *get_args(field.annotation))
    return float(value) if float in kinds and value is not None else value

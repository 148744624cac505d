"""Training launcher: choose runs, see what will be launched, watch the queue. Only a pressed button starts or stops."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import jobs, store
from core.config import (
    LOSS_CONSTANTS,
    LOSS_NAMES,
    MODEL_DEFAULTS,
    MODEL_NAMES,
    MODEL_SETTINGS,
    Frozen,
    LossConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    UserError,
    read_only,
)
from core.figures import training
from core.store import LIVE, Run
from pages import header, link, pick_data, plain

SECTIONS: dict[str, type[Frozen]] = {"train": TrainConfig, "model": ModelConfig, "loss": LossConfig}
ADVANCED = {
    "train": "Training",
    "model": "Model",
    "loss": "Loss: the constants of those chosen; what is left empty keeps the value of each preset",
}
BASIC = ("train.epochs", "train.batch_size", "train.learning_rate", "train.patience", "train.threshold", "train.device")
ENCODER = ("encoder", "max_length")
"""Settings of models that read tokens which belong beside the basic ones."""
LIVE_SHOWN = 12
RUNS_SHOWN = 200
COMMANDS_SHOWN = 20
URL: Literal["query-params"] = "query-params"
"""The form stands in the address: a link fills it."""


def setting(key: str, models: Sequence[str]) -> Any:
    """Draws the widget of one setting, named like `train.epochs`, and returns its value; None keeps the default."""
    section, _, name = key.rpartition(".")
    field = SECTIONS[section].model_fields[name]
    label = name.replace("_", " ").capitalize() if len(name) > 1 else name
    about = ". ".join(text for text in (field.description, f"Setting `{key}`") if text)
    default, widget = field.default, f"set.{key}"
    if known := own_defaults(section, name, models):
        default, about = None, f"{about}. Left empty: {known}"
    shown = "by model" if ", " in known else known
    if key == "train.device":
        return st.selectbox(label, ("auto", "cpu", "cuda"), key=widget, bind=URL, help=about, accept_new_options=True)
    if field.annotation is bool:
        return st.toggle(label, default, key=widget, bind=URL, help=about)
    if get_origin(field.annotation) is Literal:
        options = get_args(field.annotation)
        index = None if default is None else options.index(default)
        return st.selectbox(label, options, index, key=widget, bind=URL, help=about, placeholder=shown or None)
    if bool in get_args(field.annotation):
        chosen = st.selectbox(label, ("preset", "yes", "no"), key=widget, bind=URL)
        return {"preset": None, "yes": True, "no": False}[chosen]
    if key == "loss.mu":
        about = f"A number or auto. {about}"
        return st.text_input(label, key=widget, bind=URL, placeholder="preset", help=about) or None
    if field.annotation is str:
        return st.text_input(label, default, key=widget, bind=URL, help=about)
    whole = field.annotation is int
    low, high = bounds(field)
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


def own_defaults(section: str, name: str, models: Sequence[str]) -> str:
    """A setting's defaults in words where they hang on the model, for the models chosen; empty elsewhere."""
    if not any(name in defaults.get(section, {}) for defaults in MODEL_DEFAULTS.values()):
        return ""
    usual = SECTIONS[section].model_fields[name].default
    values = {
        model: MODEL_DEFAULTS.get(model, {}).get(section, {}).get(name, usual)
        for model in models
        if name in MODEL_SETTINGS[model] or (section == "train" and model != "svm")
    }
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values()))}"
    return ", ".join(f"{model} {value}" for model, value in values.items()) or f"{usual}"


def bounds(field: Any) -> tuple[Any, Any]:
    """The least and the greatest value a setting may have, None where there is no such bound or it is exclusive."""
    found = {side: getattr(mark, side) for mark in field.metadata for side in ("ge", "le") if hasattr(mark, side)}
    return found.get("ge"), found.get("le")


def settings(keys: Iterable[str], models: Sequence[str], columns: int = 6) -> list[str]:
    """Draws settings in rows and returns what differs from the defaults as `key=value` strings."""
    places: list[DeltaGenerator] = []
    changes = []
    for key in keys:
        places = places or list(st.columns(columns, vertical_alignment="bottom"))
        section, _, name = key.rpartition(".")
        with places.pop(0):
            value = setting(key, models)
        usual = None if own_defaults(section, name, models) else SECTIONS[section].model_fields[name].default
        if value is not None and value != usual:
            changes.append(change(key, value))
    return changes


def changed(section: str, chosen: Frozen) -> list[str]:
    """What differs from the defaults in settings that were drawn elsewhere."""
    return [change(f"{section}.{name}", value) for name, value in chosen.model_dump(exclude_defaults=True).items()]


def change(key: str, value: Any) -> str:
    """A setting as `core.config.with_changes` reads it."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def seeds_of(text: str) -> list[int]:
    """Whole numbers from `0, 1, 2` or `0-4`."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UserError(f"Seeds: '{word}' is no whole number from 0. Write them as 0, 1, 2 or as 0-4.")
        found += range(int(first), min(int(last or first), int(first) + 999) + 1)
    if not found:
        raise UserError("Seeds: write at least one, for example 0.")
    return list(dict.fromkeys(found))


def launch(configs: list[RunConfig]) -> None:
    """Submits the runs one by one; what goes wrong is kept to be said under the button."""
    st.session_state.pop("launch_problem", None)
    submitted = 0
    for config in configs:
        try:
            run = jobs.submit(config)
        except UserError as error:
            st.session_state["launch_problem"] = str(error)
            break
        if not submitted:
            st.session_state["run"] = run.id
        submitted += 1
    st.toast(f"{submitted} of {len(configs)} runs submitted.")


def stop(run_id: str) -> None:
    """Stops one run and says how it ended."""
    try:
        st.toast(f"{run_id}: {jobs.stop(run_id).state}")
    except UserError as error:
        st.toast(plain(str(error)))


def resume(run_id: str) -> None:
    """Queues an ended run again: it goes on from its last checkpoint."""
    try:
        st.toast(f"{run_id}: {jobs.resume(run_id).state}")
    except UserError as error:
        st.toast(plain(str(error)))


def form() -> list[RunConfig]:
    """Draws the form and returns the runs it describes; a wrong entry is said in one sentence and gives no run."""
    try:
        chosen = pick_data()
        changes = changed("data.synthetic", chosen.synthetic) if chosen.name == "synthetic" else []
        models = st.pills("Models", MODEL_NAMES, selection_mode="multi", default="tfidf", key="models", bind=URL)
        trained = any(model != "svm" for model in models)
        losses = st.pills(
            "Losses",
            ("paper", *LOSS_NAMES),
            selection_mode="multi",
            default="bce",
            format_func=lambda name: "the paper's eight" if name == "paper" else name,
            key="losses",
            bind=URL,
            disabled=not trained,
            help="Each loss is a run of its own. The SVM has a loss of its own and takes none.",
        )
        text = st.columns([1, 3])[0].text_input(
            "Seeds", "0", key="seeds", bind=URL, help="0, 1, 2 or 0-4: each seed is a run of its own."
        )
        read = {name for loss in jobs.loss_names(losses) for name in LOSS_CONSTANTS[loss]}
        basic = [*BASIC, *(f"model.{name}" for name in ENCODER if any(name in MODEL_SETTINGS[m] for m in models))]
        changes += settings(basic, models)
        with st.expander("Advanced settings"):
            for section, title in ADVANCED.items():
                st.caption(title)
                names = [name for name in SECTIONS[section].model_fields if name != "name"]
                if section == "loss":
                    names = [name for name in names if name == "setting" or name in read]
                if section == "model":
                    names = [name for name in names if any(name in MODEL_SETTINGS[model] for model in models)]
                changes += settings([key for name in names if (key := f"{section}.{name}") not in basic], models)
        if not models:
            raise UserError("Choose at least one model.")
        if trained and not losses:
            raise UserError("Choose at least one loss: every model but the SVM needs one.")
        return jobs.grid(
            data=chosen.name,
            split=chosen.split,
            models=models,
            losses=losses,
            seeds=seeds_of(text),
            changes=changes,
        )
    except UserError as error:
        st.error(plain(str(error)))
        return []


def launch_button(configs: list[RunConfig], runs: list[Run]) -> None:
    """Says what will be launched, with its commands, and draws the button."""
    own = [run for run in runs if not run.problem and not run.published]
    states = {run.config: run.state for run in own if run.state in (*LIVE, "finished")}
    there = [states[config] for config in configs if config in states]
    new = len(configs) - len(there)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Launch {new} {'run' if new == 1 else 'runs'}",
            type="primary",
            key="launch",
            disabled=not new,
            on_click=launch,
            args=(configs,),
        )
        if there:
            st.text(f"{len(there)} of these {len(configs)} exist already and are not trained twice: {counted(there)}.")
    if problem := st.session_state.get("launch_problem"):
        st.error(plain(problem))


def counted(states: list[str]) -> str:
    """States with their numbers, as in `2 finished, 1 running`."""
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


@st.cache_data(
    max_entries=2000, show_spinner=False, hash_funcs={Run: lambda run: (str(run.path), run.state, run.ended)}
)
def ended_scores(run: Run) -> dict[str, Any]:
    """`current_scores` of a run that has ended: its folder is read once."""
    return current_scores(run)


def current_scores(run: Run) -> dict[str, Any]:
    """The last validation scores that the run's folder holds; empty if there are none yet."""
    try:
        if run.state == "finished":
            return training.scores_in(store.read_metrics(run))
        history = store.read_history(run)
        return training.scores_in(history[-1]) if history else {}
    except UserError:
        return {}


def choose_run(ids: list[str]) -> None:
    """Makes the run chosen whose row was clicked."""
    if rows := st.session_state["runs_table"]["selection"]["rows"]:
        st.session_state["run"] = ids[rows[0]]


@st.fragment(run_every=1.0)
def live(configs: list[RunConfig]) -> None:
    """The launch button, the queue, all runs and the chosen run, read anew from their folders every second."""
    try:
        runs = [run for run in store.list_runs() if not run.published]
    except UserError as error:
        st.error(plain(str(error)))
        return
    if not read_only():
        launch_button(configs, runs)
    if not runs:
        st.info(
            "No runs yet." + ("" if read_only() else " Choose a data set, a model and a loss above, then press Launch.")
        )
        return
    queue([run for run in runs if run.state in LIVE])
    table_of(runs)
    chosen(runs)


def queue(runs: list[Run]) -> None:
    """Runs that train or wait, each with its progress and a Stop button."""
    st.subheader("Queue")
    if not runs:
        st.caption("Nothing is running or waiting.")
    runs = sorted(runs, key=lambda run: (run.state != "running", run.submitted or 0))
    for run in runs[:LIVE_SHOWN]:
        with st.container(border=True):
            state, name, progress, age, action = st.columns([1.2, 3, 4, 2, 1.2], vertical_alignment="center")
        state.badge(run.state, color=training.STATE_COLOURS[run.state])
        name.text(f"{training.run_name(run)}\n{run.config.data.name if run.config else ''}")
        progress.progress(training.fraction(run), text=plain(training.phase(run)))
        age.text(f"{training.run_age(run, now=time.time())} · {run.device}")
        if not read_only():
            action.button("Stop", key=f"stop-{run.id}", on_click=stop, args=(run.id,))
    if len(runs) > LIVE_SHOWN:
        st.caption(f"{len(runs) - LIVE_SHOWN} more are waiting; all are in the table below.")


def table_of(runs: list[Run]) -> None:
    """All runs, newest first; a click on a row chooses the run."""
    st.subheader("All runs")
    if len(runs) > RUNS_SHOWN:
        st.caption(f"The {RUNS_SHOWN} newest of {len(runs)} runs; the box below finds the others.")
        runs = runs[:RUNS_SHOWN]
    scores = {run.id: current_scores(run) if run.state in LIVE else ended_scores(run) for run in runs}
    column = st.column_config
    st.dataframe(
        training.run_table(runs, scores, now=time.time()),
        key="runs_table",
        hide_index=True,
        height=min(38 + 35 * len(runs), 400),
        on_select=lambda: choose_run([run.id for run in runs]),
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "state": column.MultiselectColumn(
                options=list(training.STATE_COLOURS), color=list(training.STATE_COLOURS.values())
            ),
            "progress": column.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
            "micro": column.NumberColumn("micro-F1", format="%.2f", help="Validation micro-F1 of all labels, percent"),
            "macro": column.NumberColumn("macro-F1", format="%.2f", help="Validation macro-F1 of all labels, percent"),
        },
        alt="All runs with their state, progress and last validation scores",
    )


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={Run: lambda run: file_version(run, "history.jsonl")})
def curves(run: Run) -> dict[str, dict[str, Any]]:
    """Charts by title, drawn anew only when the run's history has grown; none before the first epoch has ended."""
    history = store.read_history(run)
    if not history:
        return {}
    charts = {"Training loss": training.loss_curve(history)}
    for average in training.AVERAGES:
        charts[f"Validation {average}-F1"] = training.score_curve(history, average=average)
    return {title: chart.to_dict() for title, chart in charts.items()}


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={Run: lambda run: file_version(run, "steps.jsonl")})
def course(run: Run) -> dict[str, dict[str, Any]]:
    """Charts of what happens between evaluations, by what they show; none before the first seconds of training."""
    steps = store.read_steps(run)
    if not steps:
        return {}
    return {title: training.step_curve(steps, quantity=name).to_dict() for name, title in training.COURSE.items()}


def file_version(run: Run, name: str) -> tuple[str, int, int]:
    """What charts hang on: a file of the run, its time and size."""
    file = run.path / name
    found = file.stat() if file.exists() else None
    return str(file), found.st_mtime_ns if found else 0, found.st_size if found else 0


def chosen(runs: list[Run]) -> None:
    """The run chosen by the table, the box or the URL: its state in words, curves and log."""
    ids = [run.id for run in runs]
    if st.session_state.get("run") not in ids and "run" not in st.query_params:
        running = [run.id for run in runs if run.state == "running"]
        st.session_state["run"] = [*running, *ids][0]
    st.subheader("One run")
    run_id = st.selectbox("Run", ids, None, key="run", bind="query-params", label_visibility="collapsed")
    run = next((run for run in runs if run.id == run_id), None)
    if run is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(run.state, color=training.STATE_COLOURS[run.state])
        st.text(training.run_name(run))
        if run.state == "finished" and not run.problem:
            link("errors", query={"run": run.id})
        if run.state in ("stopped", "failed", "lost") and run.config and not read_only():
            st.button("Resume" if store.has_checkpoint(run.path) else "Start again", on_click=resume, args=(run.id,))
    if run.problem:
        st.error(plain(run.problem))
    if run.reason:
        st.warning(plain(f"{run.reason[:1].upper()}{run.reason[1:].rstrip('.')}."))
    if drawn := curves(run):
        for place, (title, spec) in zip(st.columns(len(drawn)), drawn.items(), strict=True):
            place.vega_lite_chart(spec, key=title, alt=f"{title} by epoch")
    elif run.config and run.config.model.name == "svm":
        st.caption("The SVM is not trained by epochs: it has no curves.")
    elif run.state in LIVE:
        st.caption("No epoch has ended yet: curves appear after the first.")
    else:
        st.caption("No epoch had ended: there are no curves.")
    if between := course(run):
        with st.expander("Between evaluations: loss, learning rate, gradient, speed, memory"):
            places = [place for _ in range(2) for place in st.columns(3)]
            for place, (title, spec) in zip(places, between.items(), strict=False):
                place.vega_lite_chart(spec, key=f"course-{title}", alt=f"{title} by epochs done")
    with st.expander("Log, settings, command", expanded=run.state in ("failed", "lost")):
        st.code("\n".join(store.read_log(run)) or "The log is empty.", language=None, height=260)
        if run.config:
            st.code(jobs.command_line(run.config), language="bash", wrap_lines=True)
            st.json(run.config.model_dump(), expanded=False)


def commands(configs: list[RunConfig]) -> None:
    """The command line of each run."""
    lines = [jobs.command_line(config) for config in configs[:COMMANDS_SHOWN]]
    if len(configs) > COMMANDS_SHOWN:
        lines.append(f"# and {len(configs) - COMMANDS_SHOWN} more")
    if lines:
        st.code("\n".join(lines), language="bash", wrap_lines=True, height=180 if len(lines) > 5 else "content")


def wrong_run() -> None:
    """Says why the run of the URL cannot be shown."""
    if run_id := st.query_params.get("run"):
        try:
            store.get_run(run_id)
        except UserError as error:
            st.error(plain(str(error)))


def show() -> None:
    header("Training", "Choose what to train, launch it, and watch it. Runs go on when the browser is closed.")
    wrong_run()
    if read_only():
        st.info("This dashboard is read-only: runs can be watched, not launched or stopped.")
        live([])
        return
    configs = form()
    commands(configs)
    live(configs)


if __name__ == "__main__":
    import app

    app.main("launcher")

"""Commands that train: one run, a sweep, a search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from core.analysis import ahead, run_rows
from core.cli.console import (
    DataName,
    Engine,
    Json,
    Set,
    Split,
    out,
    print_json,
    print_line,
    progress_bar,
    say,
    split_names,
)
from core.config.defaults import LOSS_NAMES, MODEL_NAMES, MODELS
from core.config.parse import change
from core.data import sources as datasets
from core.jobs import clusters, estimates, launch, queue, sweeps
from core.jobs.engines import LOCAL, choose_engine
from core.jobs.obstacles import describe_shortage, find_misfits, find_obstacles
from core.runs.folder import LIVE, Damaged, Folder, Run, as_run, get_folder, list_folders
from core.runs.layout import PEER_LOST
from core.runs.plan import grid, make_config, read
from core.runs.presets import PRESETS
from core.system.errors import PeerLost, UserError, choose

if TYPE_CHECKING:
    from core.config.schema import RunConfig
    from core.data.corpus import Corpus
    from core.jobs.search import Trial

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would take; train nothing.")]
WITHOUT = ", ".join(name for name in MODEL_NAMES if MODELS[name].own_loss)
"""Models with a loss of their own."""
SWEPT: dict[str, Any] = {"models": ("svm", "tfidf"), "losses": ("paper",), "seeds": (0,), "settings": {}}
"""What a sweep trains where nothing else is said."""


def train(
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    data: DataName = "",
    model: Annotated[str, typer.Option(help=f"One of {' '.join(MODEL_NAMES)}.")] = "tfidf",
    loss: Annotated[str | None, typer.Option(help=f"None for {WITHOUT}; else one of {' '.join(LOSS_NAMES)}.")] = None,
    seed: Annotated[int, typer.Option(help="Same config, data and seed: same run.")] = 0,
    split: Split = None,
    changes: Set = None,
    background: Annotated[bool, typer.Option("--background", help="Return at once; the run continues alone.")] = False,
    dry_run: DryRun = False,
    engine: Engine = "",
    as_json: Json = False,
) -> None:
    """Train one model in a process of its own and score it; the last line on stdout is the run's id.

    Examples:
    python -m core train --data reuters --model tfidf --loss db --seed 0
    python -m core train --model svm --background
    python -m core train --loss cb --set loss.cb_beta=0.99 --set train.epochs=10
    python -m core train --data reuters --model transformer --loss db --dry-run
    """
    words = arguments or []
    folder = next((word for word in words if "=" not in word), None)
    if folder is not None:
        _work(Path(folder))
        return
    config = make_config(
        data=data or datasets.default_name(),
        model=model,
        loss=loss,
        seed=seed,
        split=split,
        changes=[*(changes or []), *words],
    )
    if dry_run:
        _foresee([config], as_json)
        return
    run: Run | Damaged = launch.submit(config, corpus=_say_time([config], engine), engine=engine)
    if not background:
        _follow([run])
        run = get_folder(run.id)
    if as_json:
        print_json(run_rows.run_row(as_run(run)))
    else:
        print_line(run.id)
    _exit_by([run])


def _work(path: Path) -> None:
    """What a job's process does; its failure stands in the run's folder already, and goes to the log as well."""
    from core.jobs import worker

    get_folder(path.name)  # a folder that is no run is bad input: exit 2
    try:
        worker.execute(path)
    except PeerLost as error:
        say(str(error))
        raise typer.Exit(PEER_LOST) from None
    except UserError as error:
        say(str(error))
        raise typer.Exit(1) from None
    ahead.keep_run(path.name)


def sweep(
    data: DataName = "",
    models: Annotated[str | None, typer.Option(help="Comma-separated.", show_default=",".join(SWEPT["models"]))] = None,
    losses: Annotated[
        str | None,
        typer.Option(help="As in `train`, comma-separated; `paper` is the paper's eight.", show_default="paper"),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated whole numbers.", show_default="0")] = None,
    split: Split = None,
    changes: Set = None,
    plan: Annotated[
        Path | None, typer.Option(help="A file that the Launcher page has saved, instead of these.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help=f"Models, losses, seeds and settings where no option names them: {', '.join(PRESETS)}."),
    ] = None,
    background: Annotated[bool, typer.Option("--background", help="Return at once; the runs continue alone.")] = False,
    dry_run: DryRun = False,
    engine: Engine = "",
    as_json: Json = False,
) -> None:
    """Train every combination of models, losses and seeds, one after the other on each device.

    Examples:
    python -m core sweep --data reuters --models svm,tfidf --losses paper --seeds 0,1,2
    python -m core sweep --plan plan.json
    python -m core sweep --data pubmed-sample --preset "pubmed table" --seeds 0
    """
    if plan is not None and preset is not None:
        raise UserError("--plan and --preset both say what to train: give one of them.")
    values = SWEPT if preset is None else SWEPT | PRESETS[choose("preset", preset, tuple(PRESETS))][1]
    try:
        numbers = values["seeds"] if seeds is None else [int(seed) for seed in split_names(seeds)]
    except ValueError:
        raise UserError(f"--seeds {seeds}: seeds are whole numbers with commas between them, such as 0,1,2.") from None
    # Settings: from a plan's file, or as a grid of the options, and of the preset where there is none.
    if plan is not None:
        configs = read(_text_of(plan), where=plan.name).configs()
    else:
        configs = grid(
            data=data or datasets.default_name(),
            models=values["models"] if models is None else split_names(models),
            losses=values["losses"] if losses is None else split_names(losses),
            seeds=numbers,
            split=split,
            changes=[*(change(key, value) for key, value in values["settings"].items()), *(changes or [])],
        )
    if dry_run:
        _foresee(configs, as_json)
        return
    runs: Sequence[Run | Damaged] = sweeps.submit(configs, corpus=_say_time(configs, engine), engine=engine)
    if not background:
        _follow(runs)
        runs = [get_folder(run.id) for run in runs]
    if as_json:
        print_json({"runs": run_rows.run_rows(as_run(run) for run in runs)})
    else:
        for run in runs:
            print_line(f"{run.id} {run.state}")
    _exit_by(runs)


def _estimate(configs: Sequence[RunConfig], corpus: Corpus) -> dict[str, Any]:
    """What runs on one data set would take, as `estimates.together` gives it."""
    documents = len(corpus.parts["train"])
    own, published = estimates.read_costs(run for run in list_folders() if isinstance(run, Run))
    slots = len(queue.slots(queue.queue(configs[0])))
    return estimates.together(configs, documents, own, slots, published)


def _in_words(whole: dict[str, Any], runs: int) -> str:
    """What `_estimate` found, in a sentence or two."""
    from core.analysis.progress import words_of_seconds  # brings pandas, which a training does not load

    return estimates.in_words(whole, runs, words_of_seconds)


def _say_time(configs: Sequence[RunConfig], engine: str) -> Corpus | None:
    """Says what runs take on this machine, on stderr before they start, where an encoder is among them: maybe hours.

    Returns:
        The data of the first one, where it was opened for that.
    """
    if choose_engine(engine) != LOCAL or all(config.model.name != "transformer" for config in configs):
        return None
    corpus = datasets.load(configs[0].data)
    say(_in_words(_estimate(configs, corpus), len(configs)))
    return corpus


def _foresee(configs: Sequence[RunConfig], as_json: bool) -> None:
    """Prints what runs on one data set would take, and what stands in their way."""
    corpus = datasets.load(configs[0].data)
    whole = _estimate(configs, corpus)
    shortage = describe_shortage(whole["memory"])
    problems = [*find_obstacles(configs), *find_misfits(configs, corpus), *filter(None, [shortage])]
    if as_json:
        print_json({"runs": len(configs), **whole, "problems": problems})
        return
    print_line(_in_words(whole, len(configs)))
    for sentence in problems:
        say(sentence)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8.") from None


def list_sweeps(as_json: Json = False) -> None:
    """List the sweeps, the newest first, with the states of their runs.

    Example: python -m core sweeps --json
    """
    clusters.ask_clusters()
    runs = {run.id: run for run in list_folders()}
    found = sweeps.list_sweeps()
    for problem in sweeps.list_problems():
        say(problem)
    if as_json:
        keys = ("id", "title", "created", "user", "runs")
        print_json([{key: getattr(one, key) for key in keys} | {"states": sweeps.counts(one, runs)} for one in found])
        return
    table = Table("sweep", "what", "runs", box=None)
    for one in found:
        states = ", ".join(f"{number} {state}" for state, number in sweeps.counts(one, runs).items())
        table.add_row(one.id, one.title, states)
    out.print(table if found else "There are no sweeps yet. Start one: python -m core sweep --models svm,tfidf")


def search_settings(
    data: Annotated[str, typer.Option(help="Name of the data set.")],
    loss: Annotated[str, typer.Option(help="Name of the loss.")],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "tfidf",
    trials: Annotated[int, typer.Option(min=1, help="How many there are in the end, earlier calls counted.")] = 30,
    minutes: Annotated[float | None, typer.Option(min=0, help="No trial begins after them.")] = None,
    metric: Annotated[str, typer.Option(help="micro_f1, macro_f1 or tail_macro_f1, on validation.")] = "micro_f1",
    seed: Annotated[int, typer.Option(help="Seed of every run.")] = 0,
    split: Annotated[str | None, typer.Option(help="Name of the split.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Any setting as key=value, repeatable.")] = None,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=64, help="Trials in flight, where the engine has room for them.")
    ] = 1,
    engine: Engine = "",
    as_json: Json = False,
) -> None:
    """Search the learning rate and the loss's constants; called again, it continues where it ended.

    Examples:
    python -m core search --data reuters --model tfidf --loss db --trials 30 --metric macro_f1
    python -m core search --data reuters --model tfidf --loss db --trials 30 --engine ray --at-once 4
    """
    from core.jobs import search

    choose("metric", metric, ("micro_f1", "macro_f1", "tail_macro_f1"))
    base = make_config(data=data, model=model, loss=loss, seed=seed, split=split, changes=changes or [])

    def report(trial: search.Trial) -> None:
        if not as_json:
            print_line(_trial_words(trial))

    try:
        found = search.search(
            base, trials=trials, metric=metric, minutes=minutes, report=report, engine=engine, at_once=at_once
        )
    except search.TrialError as error:
        say(str(error), style="red")
        raise typer.Exit(1) from None
    if as_json:
        print_json([asdict(trial) for trial in found])
    elif found:
        print_line(f"best: {_trial_words(found[0])}")


def _trial_words(trial: Trial) -> str:
    score = "not scored" if trial.score is None else f"{100 * trial.score:.2f}"
    settings = " ".join(f"{key}={value:.4g}" for key, value in trial.settings.items())
    return f"{trial.number}: {score} ({trial.state}) {settings} {trial.run}"


def _follow(runs: Sequence[Folder]) -> None:
    """Shows progress on stderr until all have ended; Ctrl-C stops those that have not."""
    waiting = {run.id for run in runs}
    try:
        with progress_bar() as bar:
            tasks = {run.id: bar.add_task(run.id, total=1.0) for run in runs}
            while waiting:
                clusters.ask_clusters()
                for run_id in sorted(waiting):
                    run = get_folder(run_id)
                    phase = run.progress.get("phase", "") if run.state == "running" else ""
                    done = 1.0 if run.state == "finished" else run.progress.get("fraction", 0.0)
                    bar.update(tasks[run_id], completed=done, description=f"{run.id} {run.state} {phase}".strip())
                    if run.state not in LIVE:
                        waiting.discard(run_id)
                time.sleep(0.2 if waiting else 0)
    except KeyboardInterrupt:
        for run_id in sorted(waiting):
            if get_folder(run_id).state in LIVE:
                launch.stop(run_id)


def _exit_by(runs: Sequence[Folder]) -> None:
    for run in runs:
        if run.state in ("failed", "stopped", "lost"):
            say(f"{run.id} {run.state}: {run.why}", style="red")
    if any(run.state in ("failed", "stopped", "lost") for run in runs):
        raise typer.Exit(1)

"""Every action of the dashboard as a command; exit 0 when done, 2 for bad input, 1 for a run that failed."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from core import data as datasets
from core import intake, jobs, labels, plans, readers, report, share, store, sweeps
from core.config import (
    LOSS_NAMES,
    MODEL_NAMES,
    DataConfig,
    FileConfig,
    ModelConfig,
    RunConfig,
    SplitConfig,
    UserError,
    choose,
    parse,
    with_changes,
)
from core.store import LIVE, Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tailscope: see, balance and debug long-tailed multi-label text classification.",
)
data_app = typer.Typer(
    invoke_without_command=True, help="List the data sets and where they are; fetch, add or remove one."
)
app.add_typer(data_app, name="data")
out, err = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, for example train.epochs=3.")
]
DataName = Annotated[str, typer.Option("--data", help="Data set: see `python -m core data`.")]
REPORTED = ("id", "state", "kind", "reason", "advice", "submitted", "started", "ended", "progress", "device")
Split = Annotated[str | None, typer.Option(help="Named split: see `python -m core data`.")]


def main() -> None:
    """Runs the command line; a `UserError` is printed as one sentence and ends with exit 2."""
    try:
        app(prog_name="python -m core")
    except UserError as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(2)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def _bar() -> Any:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress


@data_app.callback()
def data_list(context: typer.Context, as_json: Json = False) -> None:
    """List the data sets, where they were found, and what to do about those that were not.

    Example: python -m core data --json
    """
    if context.invoked_subcommand:
        return
    sources = datasets.available()
    if as_json:
        keys = ("name", "found", "place", "sentence", "splits", "downloadable", "prepared")
        listed = [{key: getattr(source, key) for key in keys} for source in sources]
        _print_json({"default": datasets.default_name(), "data": listed})
        return
    table = Table("name", "found", "splits", "what to know", box=None)
    for source in sources:
        table.add_row(source.name, "yes" if source.found else "no", ", ".join(source.splits), source.sentence)
    out.print(table)
    out.print(datasets.why_default(), markup=False)


@data_app.command("download")
def data_download(name: str) -> None:
    """Fetch a data set into the cache: resumes where it was cut, and checks what it got.

    Example: python -m core data download reuters
    """
    with _bar() as bar:
        task = bar.add_task(f"downloading {name}", total=None)
        path = datasets.download(
            name, progress=lambda done, total: bar.update(task, completed=done, total=total or None)
        )
    out.print(f"{name} is at {path}", markup=False)


@data_app.command("add")
def data_add(
    path: Path,
    name: Annotated[str, typer.Option(help="Its name in every page and command.")] = "",
    text: Annotated[list[str] | None, typer.Option(help="Column of the text; several are joined.")] = None,
    title: Annotated[str | None, typer.Option(help="Column of the title.")] = None,
    label_columns: Annotated[
        list[str] | None, typer.Option("--labels", help="Column of the labels; with --sep 0/1 one for each, * is all.")
    ] = None,
    sep: Annotated[str | None, typer.Option(help="Between labels in one string; 0/1: a column for each label.")] = None,
    identity: Annotated[str | None, typer.Option("--id", help="Column of the documents' own names.")] = None,
    year: Annotated[str | None, typer.Option(help="Column of the year.")] = None,
    years: Annotated[str | None, typer.Option(help="Keep these alone, such as 2010-2014.")] = None,
    split: Annotated[str | None, typer.Option(help="Column that says train, validation or test.")] = None,
    made: Annotated[
        str | None, typer.Option(help="own (by --split), random, stratified or paper (PubMed's); own if there is one.")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the documents.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the documents.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of a split made here.")] = 123,
    min_documents: Annotated[int, typer.Option(help="Leave out labels with fewer train documents; paper: 5.")] = 0,
    encoding: Annotated[str | None, typer.Option(help="Of a text file, such as latin-1.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the fields of CSV.")] = None,
    header: Annotated[bool | None, typer.Option(help="Whether the first line of CSV names the columns.")] = None,
    drop: Annotated[str, typer.Option(help="Defects to leave out, comma-separated: see --dry-run.")] = "",
    merge: Annotated[str, typer.Option(help="Defects to merge: similar_labels.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what was guessed and what is wrong; keep nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read a file of documents, say what is wrong with it, and keep it as a data set.

    CSV, TSV, JSON lines, JSON lists (BioASQ), Parquet, plain or packed, or a folder saved by Hugging Face `datasets`.

    Examples:
    python -m core data add papers.csv --name papers --text abstract --labels topics --sep ";"
    python -m core data add allMeSH.json.gz --name pubmed --made paper --min-documents 5
    python -m core data add comments.parquet --name comments --drop duplicates,empty_texts --dry-run
    """
    if not dry_run:
        intake.check_name(name or _missing("--name"), [source.name for source in datasets.available()])
    form = {"encoding": encoding, "delimiter": delimiter, "header": header}
    guessed = readers.guess(path, **{key: value for key, value in form.items() if value is not None})
    told: dict[str, Any] = {"title": title, "sep": sep, "id": identity, "split": split, "year": year}
    told |= {"text": text, "labels": label_columns, "years": _year_range(years)}
    if label_columns and sep is None and tuple(label_columns) != guessed.labels:
        told["sep"] = _separator_of(path, guessed, label_columns)
    values = guessed.model_dump() | {key: value for key, value in told.items() if value is not None}
    file = parse(FileConfig, values, where=path.name)
    shares = {"validation": validation, "test": test, "seed": seed, "min_documents": min_documents}
    division = parse(SplitConfig, {"made": made or ("own" if file.split else "random")} | shares)
    choices = dict.fromkeys(_names(drop), "drop") | dict.fromkeys(_names(merge), "merge")
    with _bar() as bar:
        task = bar.add_task(f"reading {path.name}", total=1.0)

        def report(words: str, done: float) -> None:
            bar.update(task, description=words, completed=done)

        folder = intake.scan(path, file, report)
        plan = intake.examine(folder, division, choices)
        kept = None if dry_run else datasets.add(name, path, file, division, choices, progress=report)
    if as_json:
        defects = [asdict(defect) | {"choices": list(intake.CHOICES[defect.key])} for defect in plan.defects]
        size = {"documents": len(plan.rows), "labels": len(plan.labels), "parts": plan.sizes()}
        mapping = file.model_dump()
        _print_json({"name": name, "added": kept is not None, "file": mapping, "defects": defects, **size})
        return
    _print_plan(path, file, plan, choices)
    if kept:
        out.print(f"Kept as '{name}'. Look at it: python -m core stats {name}", markup=False, highlight=False)


def _missing(option: str) -> str:
    raise UserError(f"{option} is missing: say how the data set is to be called, such as {option} my-data.")


def _separator_of(path: Path, file: FileConfig, columns: list[str]) -> str:
    """The usual separator of a label column that a person named; 0/1 for several columns or all."""
    if len(columns) > 1 or columns == ["*"]:
        return readers.INDICATOR
    return readers.find_separator([row.get(columns[0]) for row in readers.first_rows(path, file)])


def _year_range(years: str | None) -> tuple[int, int] | None:
    if not years:
        return None
    found = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", years.strip())
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise UserError(f"--years {years}: write one year or two with a hyphen between, such as 2010-2014.")
    return int(found[1]), int(found[2] or found[1])


def _print_plan(path: Path, file: FileConfig, plan: intake.Plan, choices: dict[str, str]) -> None:
    form = ("delimiter", "header") if file.format != "csv" else ()
    read = {key: value for key, value in file.model_dump().items() if value and key not in form}
    words = "; ".join(f"{key} {', '.join(v) if isinstance(v, tuple) else v}" for key, v in read.items())
    _print_line(f"{path.name} is read as: {words}")
    for defect in plan.defects:
        if defect.count:
            usual, *others = intake.CHOICES[defect.key]
            done = choices.get(defect.key, usual)
            way = f"; --{others[0]} {defect.key} does otherwise" if done == usual else ""
            _print_line(f"{defect.title}: {defect.count:,} ({done}{way}). {defect.advice}")
            for example in defect.examples[:2]:
                _print_line(f"    {example}")
    without = [defect.key for defect in plan.defects if not defect.count]
    _print_line(f"Not found: {', '.join(without)}." if without else "Every kind of defect was found.")
    for note in plan.notes:
        _print_line(note)
    sizes = ", ".join(f"{part} {size:,}" for part, size in plan.sizes().items())
    _print_line(f"{len(plan.rows):,} of {plan.documents:,} documents, {len(plan.labels):,} labels; {sizes}.")


def _print_line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


@data_app.command("remove")
def data_remove(name: str) -> None:
    """Remove an added data set from the cache; the file it came from and runs on it stay.

    Example: python -m core data remove papers
    """
    intake.unregister(name)
    out.print(f"{name} removed", markup=False, highlight=False)


@app.command()
def stats(
    name: str,
    split: Split = None,
    head: Annotated[int | None, typer.Option(help="Documents from which a label is of the head.")] = None,
    tail: Annotated[int | None, typer.Option(help="Documents up to which a label is of the tail.")] = None,
    changes: Set = None,
    as_json: Json = False,
) -> None:
    """Print the measures of a data set: size, cardinality, head / medium / tail, for each part.

    Example: python -m core stats reuters --split original --json
    """
    config = _data_config(name, split, changes)
    corpus = datasets.load(config)
    usual = labels.default_borders(len(corpus.labels))
    borders = labels.Borders(usual.head if head is None else head, usual.tail if tail is None else tail)
    measured = labels.corpus_stats(corpus, borders)
    if as_json:
        _print_json(measured)
        return
    bins = ", ".join(f"{group} {size}" for group, size in measured["bins"].items())
    out.print(f"{name}, split {measured['split']}: {measured['labels']} labels ({bins})", markup=False)
    parts = {part: values for part, values in measured["parts"].items() if values["documents"]}
    table = Table("measure", *parts, box=None)
    for key in next(iter(parts.values())):
        table.add_row(key.replace("_", " "), *(_figure(values[key]) for values in parts.values()))
    out.print(table)
    for note in corpus.notes:
        out.print(note, markup=False)


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else f"{value}"


def _data_config(name: str, split: str | None, changes: list[str] | None) -> DataConfig:
    base = RunConfig(data=datasets.default_config(name, split), model=ModelConfig(name="svm"))
    return with_changes(base, changes or []).data


@app.command()
def train(
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    data: DataName = "",
    model: Annotated[str, typer.Option(help=f"One of {' '.join(MODEL_NAMES)}.")] = "tfidf",
    loss: Annotated[str | None, typer.Option(help=f"None for svm; else one of {' '.join(LOSS_NAMES)}.")] = None,
    seed: Annotated[int, typer.Option(help="Same config, data and seed: same run.")] = 0,
    split: Split = None,
    changes: Set = None,
    background: Annotated[bool, typer.Option("--background", help="Return at once; the run goes on alone.")] = False,
    as_json: Json = False,
) -> None:
    """Train one model in a process of its own and score it; the last line on stdout is the run's id.

    Examples:
    python -m core train --data reuters --model tfidf --loss db --seed 0
    python -m core train --model svm --background
    python -m core train --loss cb --set loss.cb_beta=0.99 --set train.epochs=10
    """
    words = arguments or []
    folder = next((word for word in words if "=" not in word), None)
    if folder is not None:
        _work(Path(folder))
        return
    config = jobs.make_config(
        data=data or datasets.default_name(),
        model=model,
        loss=loss,
        seed=seed,
        split=split,
        changes=[*(changes or []), *words],
    )
    run = jobs.submit(config)
    if not background:
        _follow([run])
        run = store.get_run(run.id)
    if as_json:
        _print_json(report.run_row(run))
    else:
        out.print(run.id, markup=False, highlight=False, soft_wrap=True)
    _exit_by([run])


def _work(path: Path) -> None:
    """What a job's process does; its failure is in the run's folder already, the log gets it as well."""
    from core import worker

    store.get_run(path.name)  # a folder that is no run is bad input: exit 2
    try:
        worker.execute(path)
    except UserError as error:
        err.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from None


@app.command()
def sweep(
    data: DataName = "",
    models: Annotated[str, typer.Option(help="Comma-separated.")] = "svm,tfidf",
    losses: Annotated[
        str, typer.Option(help="As in `train`, comma-separated; `paper` is the paper's eight.")
    ] = "paper",
    seeds: Annotated[str, typer.Option(help="Comma-separated whole numbers.")] = "0",
    split: Split = None,
    changes: Set = None,
    plan: Annotated[
        Path | None, typer.Option(help="A file that the Training page has saved, instead of these.")
    ] = None,
    background: Annotated[bool, typer.Option("--background", help="Return at once; the runs go on alone.")] = False,
    as_json: Json = False,
) -> None:
    """Train every combination of models, losses and seeds, one after the other on each device.

    Examples:
    python -m core sweep --data reuters --models svm,tfidf --losses paper --seeds 0,1,2
    python -m core sweep --plan plan.json
    """
    try:
        numbers = [int(seed) for seed in _names(seeds)]
    except ValueError:
        raise UserError(f"--seeds {seeds}: seeds are whole numbers with commas between them, such as 0,1,2.") from None
    if plan is not None:
        configs = plans.read(_text_of(plan), where=plan.name).configs()
    else:
        configs = jobs.grid(
            data=data or datasets.default_name(),
            models=_names(models),
            losses=_names(losses),
            seeds=numbers,
            split=split,
            changes=changes or [],
        )
    runs = sweeps.submit(configs)
    if not background:
        _follow(runs)
        runs = [store.get_run(run.id) for run in runs]
    if as_json:
        _print_json({"runs": report.run_rows(runs)})
    else:
        for run in runs:
            out.print(f"{run.id} {run.state}", markup=False, highlight=False, soft_wrap=True)
    _exit_by(runs)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8.") from None


@app.command("sweeps")
def list_sweeps(as_json: Json = False) -> None:
    """List the sweeps, the newest first, with the states of their runs.

    Example: python -m core sweeps --json
    """
    runs = {run.id: run for run in store.list_runs()}
    found = sweeps.list_sweeps()
    if as_json:
        keys = ("id", "title", "created", "user", "runs")
        _print_json([{key: getattr(one, key) for key in keys} | {"states": sweeps.counts(one, runs)} for one in found])
        return
    table = Table("sweep", "what", "runs", box=None)
    for one in found:
        states = ", ".join(f"{number} {state}" for state, number in sweeps.counts(one, runs).items())
        table.add_row(one.id, one.title, states)
    out.print(table if found else "There are no sweeps yet. Start one: python -m core sweep --models svm,tfidf")


@app.command("search")
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
    as_json: Json = False,
) -> None:
    """Search the learning rate and the loss's constants; called again it goes on where it was.

    Example: python -m core search --data reuters --model tfidf --loss db --trials 30 --metric macro_f1
    """
    from core import search

    choose("metric", metric, ("micro_f1", "macro_f1", "tail_macro_f1"))
    base = jobs.make_config(data=data, model=model, loss=loss, seed=seed, split=split, changes=changes or [])

    def report(trial: search.Trial) -> None:
        if not as_json:
            out.print(_trial_words(trial), markup=False, highlight=False, soft_wrap=True)

    found = search.search(base, trials=trials, metric=metric, minutes=minutes, report=report)
    if as_json:
        _print_json([asdict(trial) for trial in found])
    elif found:
        out.print(f"best: {_trial_words(found[0])}", markup=False, highlight=False, soft_wrap=True)


def _trial_words(trial: Any) -> str:
    score = "not scored" if trial.score is None else f"{100 * trial.score:.2f}"
    settings = " ".join(f"{key}={value:.4g}" for key, value in trial.settings.items())
    return f"{trial.number}: {score} ({trial.state}) {settings} {trial.run}"


def _follow(runs: list[Run]) -> None:
    """Shows progress on stderr until all have ended; Ctrl-C stops those that have not."""
    waiting = {run.id for run in runs}
    try:
        with _bar() as bar:
            tasks = {run.id: bar.add_task(run.id, total=1.0) for run in runs}
            while waiting:
                for run_id in sorted(waiting):
                    run = store.get_run(run_id)
                    phase = run.progress.get("phase", "") if run.state == "running" else ""
                    done = 1.0 if run.state == "finished" else run.progress.get("fraction", 0.0)
                    bar.update(tasks[run_id], completed=done, description=f"{run.id} {run.state} {phase}".strip())
                    if run.state not in LIVE:
                        waiting.discard(run_id)
                time.sleep(0.2 if waiting else 0)
    except KeyboardInterrupt:
        for run_id in sorted(waiting):
            if store.get_run(run_id).state in LIVE:
                jobs.stop(run_id)


def _exit_by(runs: list[Run]) -> None:
    for run in runs:
        if run.state in ("failed", "stopped", "lost"):
            err.print(f"{run.id} {run.state}: {run.why}", style="red", markup=False, highlight=False)
    if any(run.state in ("failed", "stopped", "lost") for run in runs):
        raise typer.Exit(1)


@app.command("runs")
def list_runs(as_json: Json = False) -> None:
    """List all runs, the newest first.

    Example: python -m core runs --json
    """
    runs = store.list_runs()
    if as_json:
        keys = (*REPORTED, "problem")
        _print_json({"runs": [{key: getattr(run, key) for key in keys} for run in runs]})
        return
    table = Table("run", "state", "progress", "what happened", box=None)
    for run in runs:
        table.add_row(run.id, run.state, f"{run.progress.get('fraction', 0):.0%}", run.problem or run.why)
    out.print(table if runs else "There are no runs yet. Start one: python -m core train --model svm")


@app.command()
def status(run: str, as_json: Json = False) -> None:
    """What a run is doing, or how it ended.

    Example: python -m core status reuters-tfidf-db-s0-0123456789
    """
    found = store.get_run(run)
    history = store.read_history(found)
    if as_json:
        keys = (*REPORTED, "user", "problem")
        more = {"heartbeat": store.read_heartbeat(found.path), "events": store.read_events(found)}
        _print_json({key: getattr(found, key) for key in keys} | {"last": history[-1] if history else None} | more)
        return
    words = [found.state, f"{found.progress.get('fraction', 0):.0%}", str(found.progress.get("phase", ""))]
    if history:
        scores = history[-1]["validation"]["all"]
        words.append(f"epoch {history[-1]['epoch']}: validation micro-F1 {100 * (scores['micro_f1'] or 0):.2f}")
    words += [text for text in (found.problem or found.why,) if text]
    out.print(f"{run} {' · '.join(word for word in words if word)}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def logs(
    run: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
) -> None:
    """The last lines of a run's log.

    Example: python -m core logs reuters-tfidf-db-s0-0123456789 -f
    """
    found = store.get_run(run)
    for line in store.read_log(found, lines):
        _print_line(line)
    file = found.path / "log.txt"
    done = file.stat().st_size if file.exists() else 0
    for _ in jobs.watch(run) if follow else ():
        if file.exists():
            with file.open("rb") as log:
                log.seek(done)
                fresh = log.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            done += len(whole)
            for line in whole.decode("utf-8", errors="replace").splitlines():
                _print_line(line)


@app.command("report")
def print_report(
    runs: list[str],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="A LaTeX table (booktabs).")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
    xlsx: Annotated[Path | None, typer.Option(help="Write a workbook.")] = None,
    as_html: Annotated[
        bool, typer.Option("--html", help="Write one page with tables and figures to --output.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    table: Annotated[int, typer.Option(help="2: head / medium / tail; 3: single- / multi-label documents.")] = 2,
    each: Annotated[bool, typer.Option("--each", help="A row for every run; else seeds fold into their mean.")] = False,
) -> None:
    """Print the scores of runs with 95 % intervals beside the paper's; `all` means every finished run.

    Examples:
    python -m core report all --latex
    python -m core report all --html -o report.html
    """
    finished = [run for run in store.list_runs() if run.state == "finished" and not run.problem]
    chosen = finished if runs == ["all"] else [store.get_run(run_id) for run_id in runs]
    if as_json:
        _print_json({"runs": report.run_rows(chosen)})
        return
    rows = report.fold([run for run in chosen if run.state == "finished"], seeds=not each)
    sampled = report.sample_rows(rows)
    if as_html:
        from core.figures import page

        _write(output, page.to_html(rows, sampled))
        return
    frame, footer = report.paper_table(rows, sampled, table=table), report.provenance(rows)
    if xlsx:
        _write(xlsx, report.to_xlsx(frame, footer))
        return
    printers = {report.to_latex: as_latex, report.to_csv: as_csv, report.to_markdown: as_markdown}
    for printer, asked in printers.items():
        if asked:
            sys.stdout.write(printer(frame, footer))
            return
    columns = report.SCORE_COLUMNS[table]
    shown = Table("method", "seeds", *(name.replace("_", " ") for name in columns), box=None)
    for row in frame.to_dict("records"):
        seeds = "" if row["source"] == "published" else str(row["seeds"])
        cells = ["±".join(part for part in report.cell(row, name) if part) or "-" for name in columns]
        shown.add_row(f"{row['name']}{report.SOURCES[row['source']]}", seeds, *cells)
    out.print(shown)
    for run in chosen:
        if run.state != "finished":
            err.print(f"{run.id} has no scores: it is {run.state}.", markup=False, highlight=False)


def _write(path: Path, content: str | bytes) -> None:
    """Writes a file that a person asked for."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    out.print(f"{path} written", markup=False, highlight=False, soft_wrap=True)


@app.command()
def stop(runs: list[str]) -> None:
    """Stop queued or running runs, or all those of a sweep.

    Examples:
    python -m core stop reuters-tfidf-db-s0-0123456789
    python -m core stop sweep-0123456789
    """
    for name in runs:
        stopped = sweeps.stop(name) if sweeps.SWEEP_ID.fullmatch(name) else [jobs.stop(name)]
        for run in stopped:
            out.print(f"{run.id} {run.state}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def resume(
    runs: list[str],
    anew: Annotated[bool, typer.Option("--anew", help="From the first step; a finished run is trained again.")] = False,
) -> None:
    """Put stopped, failed or lost runs, or all those of a sweep, into the queue again.

    Each goes on from its last checkpoint, if it has one.

    Examples:
    python -m core resume reuters-transformer-db-s0-0123456789
    python -m core resume sweep-0123456789
    """
    for name in runs:
        is_sweep = sweeps.SWEEP_ID.fullmatch(name)
        for run in sweeps.resume(name, anew=anew) if is_sweep else [jobs.resume(name, anew=anew)]:
            out.print(f"{run.id} {run.state}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def note(
    run: str,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    text: Annotated[str | None, typer.Option(help="A note on it.")] = None,
    tags: Annotated[str | None, typer.Option(help="Comma-separated; they replace those there.")] = None,
    pin: Annotated[bool | None, typer.Option("--pin/--unpin", help="List it before all others.")] = None,
    archive: Annotated[bool | None, typer.Option("--archive/--unarchive", help="Keep it out of the lists.")] = None,
    as_json: Json = False,
) -> None:
    """Name, note, tag, pin or archive a run; without an option, print what is written on it.

    Example: python -m core note reuters-tfidf-db-s0-0123456789 --name "first try" --tags db,baseline --pin
    """
    told = {"name": name, "notes": text, "pinned": pin, "archived": archive}
    changes: dict[str, Any] = {key: value for key, value in told.items() if value is not None}
    if tags is not None:
        changes["tags"] = _names(tags)
    about = store.save_about(run, **changes) if changes else store.get_run(run).about
    if as_json:
        _print_json(about.model_dump())
        return
    for key, value in about.model_dump(exclude_defaults=True).items():
        words = ", ".join(value) if isinstance(value, tuple) else "yes" if value is True else value
        _print_line(f"{key}: {words}")


@app.command()
def delete(run: str) -> None:
    """Delete an ended run for good.

    Example: python -m core delete reuters-tfidf-db-s0-0123456789
    """
    jobs.delete(run)
    out.print(f"{run} deleted", markup=False, highlight=False, soft_wrap=True)


@app.command()
def publish(runs: list[str]) -> None:
    """Copy the results of finished runs, without weights and texts, to those that are shown to everybody.

    Example: python -m core publish reuters-tfidf-db-s0-0123456789
    """
    for run_id in runs:
        path = share.publish(store.get_run(run_id))
        out.print(f"{run_id} published at {path}", markup=False, highlight=False, soft_wrap=True)


@app.command("export")
def export_run(
    run: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    weights: Annotated[bool, typer.Option(help="With what it takes to score other texts.")] = True,
) -> None:
    """Write a finished run as a zip: settings, scores, predictions, weights; no texts.

    Example: python -m core export reuters-tfidf-db-s0-0123456789 -o run.zip
    """
    share.export(store.get_run(run), output, weights=weights)
    out.print(f"{run} written to {output}", markup=False, highlight=False, soft_wrap=True)


@app.command("export-model")
def export_model(
    run: str, output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; it must be new.")]
) -> None:
    """Write a transformer run as a folder that plain transformers loads.

    Example: python -m core export-model reuters-transformer-db-s0-0123456789 -o model
    """
    from core import predict

    kind = predict.export(store.get_run(run), output)
    out.print(f"{run} written to {output}: {kind}.from_pretrained loads it", markup=False, soft_wrap=True)


@app.command("import")
def import_run(file: Path) -> None:
    """Take in a run from a zip that `export` wrote; everything in it is checked first.

    Example: python -m core import run.zip
    """
    out.print(share.import_run(file).id, markup=False, highlight=False, soft_wrap=True)

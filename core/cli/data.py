"""Commands on data sets: list, download, add, remove, measure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from core.cli.console import Json, Set, Split, out, print_json, print_line, progress_bar, split_names
from core.config.parse import parse, with_changes
from core.config.schema import DataConfig, FileConfig, ModelConfig, RunConfig, SplitConfig
from core.data import added, defects, download, readers
from core.data.sources import add, available, default_config, default_name, load, why_default
from core.labels import groups, measures
from core.system.errors import UserError

data_app = typer.Typer(
    invoke_without_command=True, help="List the data sets and where they are; fetch, add or remove one."
)

# Options of `data add`: which column is what, how the set is divided, how the file is written, what is left out.

Name = Annotated[str, typer.Option(help="Its name in every page and command.")]
TextColumns = Annotated[list[str] | None, typer.Option(help="Column of the text; several are joined.")]
TitleColumn = Annotated[str | None, typer.Option(help="Column of the title.")]
LabelColumns = Annotated[
    list[str] | None, typer.Option("--labels", help="Column of the labels; with --sep 0/1 one for each, * is all.")
]
Separator = Annotated[str | None, typer.Option(help="Between labels in one string; 0/1: a column for each label.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the documents' own names.")]
YearColumn = Annotated[str | None, typer.Option(help="Column of the year.")]
Years = Annotated[str | None, typer.Option(help="Keep these alone, such as 2010-2014.")]
PartColumn = Annotated[str | None, typer.Option(help="Column that says train, validation or test.")]
Made = Annotated[
    str | None, typer.Option(help="own (by --split), random, stratified or paper (PubMed's); own if there is one.")
]
Seed = Annotated[int, typer.Option(help="Of a split made here.")]
MinDocuments = Annotated[int, typer.Option(help="Leave out labels with fewer train documents; paper: 5.")]
ShareOrFile = Annotated[str, typer.Option(help="Share of the documents, or a file that holds this part.")]
Format = Annotated[str | None, typer.Option("--format", help="csv, jsonl, json, ...: overrides the guess.")]
Records = Annotated[str | None, typer.Option(help="Where documents stand: keys of JSON (a.b), sheet of a workbook.")]
Quote = Annotated[str | None, typer.Option(help="Around fields of CSV; none: quotes are part of the text.")]
Escape = Annotated[str | None, typer.Option(help="Before a quote inside a field of CSV, such as a backslash.")]
SkipLines = Annotated[int | None, typer.Option(help="Lines of CSV that stand before the header.")]
Comment = Annotated[str | None, typer.Option(help="How lines of CSV begin that are left out, such as #.")]
BadLines = Annotated[str | None, typer.Option(help="Rows that cannot be read: error, or skip (they are counted).")]
Encoding = Annotated[str | None, typer.Option(help="Of a text file, such as latin-1.")]
Delimiter = Annotated[str | None, typer.Option(help="Between the fields of CSV.")]
Header = Annotated[bool | None, typer.Option(help="Whether the first line of CSV names the columns.")]
Drop = Annotated[str, typer.Option(help="Defects to leave out, comma-separated: see --dry-run.")]
Merge = Annotated[str, typer.Option(help="Defects to merge: similar_labels.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what was guessed and what is wrong; keep nothing.")]


SIGNS = {"none": "", "tab": "\t", "\\t": "\t"}
"""Words for signs that a shell does not hand on as they are."""


@dataclass(frozen=True)
class Columns:
    """Which column is what, as the options name it, under the names of `FileConfig`; None: it is guessed."""

    text: list[str] | None
    title: str | None
    labels: list[str] | None
    sep: str | None
    id: str | None
    year: str | None
    years: str | None
    split: str | None


@data_app.callback()
def data_list(context: typer.Context, as_json: Json = False) -> None:
    """List the data sets, where they were found, and what to do about those that were not.

    Example: python -m core data --json
    """
    if context.invoked_subcommand:
        return
    sources = available()
    if as_json:
        keys = ("name", "found", "place", "sentence", "splits", "downloadable", "prepared")
        listed = [{key: getattr(source, key) for key in keys} for source in sources]
        print_json({"default": default_name(), "data": listed})
        return
    table = Table("name", "found", "splits", "what to know", box=None)
    for source in sources:
        table.add_row(source.name, "yes" if source.found else "no", ", ".join(source.splits), source.sentence)
    out.print(table)
    out.print(why_default(), markup=False)


@data_app.command("download")
def data_download(name: str) -> None:
    """Fetch a data set into the cache: resumes where it was cut, and checks what it got.

    Example: python -m core data download reuters
    """
    with progress_bar() as bar:
        task = bar.add_task(f"downloading {name}", total=None)
        path = download.download(
            name, progress=lambda done, total: bar.update(task, completed=done, total=total or None)
        )
    out.print(f"{name} is at {path}", markup=False)


@data_app.command("add")
def data_add(
    path: Path,
    name: Name = "",
    text: TextColumns = None,
    title: TitleColumn = None,
    label_columns: LabelColumns = None,
    sep: Separator = None,
    identity: IdColumn = None,
    year: YearColumn = None,
    years: Years = None,
    split: PartColumn = None,
    made: Made = None,
    validation: ShareOrFile = "0.1",
    test: ShareOrFile = "0.2",
    seed: Seed = 123,
    min_documents: MinDocuments = 0,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    format_: Format = None,
    records: Records = None,
    quote: Quote = None,
    escape: Escape = None,
    skip_lines: SkipLines = None,
    comment: Comment = None,
    bad_lines: BadLines = None,
    drop: Drop = "",
    merge: Merge = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Read a file of documents, say what is wrong with it, and keep it as a data set.

    CSV, TSV, JSON of any layout, Parquet, Arrow, Excel, fastText, PubMed XML, plain or packed; a folder, zip or tar of
    its parts (train, dev, test), of one text a file, or saved by Hugging Face `datasets`.

    Examples:
    python -m core data add papers.csv --name papers --text abstract --labels topics --sep ";"
    python -m core data add allMeSH.json.gz --name pubmed --made paper --min-documents 5
    python -m core data add train.csv --test test.csv --validation dev.csv --name mine
    python -m core data add comments.parquet --name comments --drop duplicates,empty_texts --dry-run
    """
    if not dry_run:
        added.check_name(name or _missing("--name"), [source.name for source in available()])
    # How the file is read: what no option names is guessed.
    files, shares = _files_and_shares({"validation": validation, "test": test})
    form = {"encoding": encoding, "delimiter": delimiter, "header": header, "format": format_, "records": records}
    form |= {"quote": quote, "escape": escape, "skip_lines": skip_lines, "comment": comment, "bad_lines": bad_lines}
    form = {key: SIGNS.get(value, value) if isinstance(value, str) else value for key, value in form.items()}
    form["others"] = files or None
    columns = Columns(text, title, label_columns, sep, identity, year, years, split)
    file = _file_config(path, form, columns)
    # How it is divided, and what is done about its defects.
    shares |= {"seed": seed, "min_documents": min_documents}
    division = parse(SplitConfig, {"made": made or ("own" if file.split else "random")} | shares)
    choices = dict.fromkeys(split_names(drop), "drop") | dict.fromkeys(split_names(merge), "merge")
    # Read, plan, and keep unless it is a dry run.
    with progress_bar() as bar:
        task = bar.add_task(f"reading {path.name}", total=1.0)

        def report(words: str, done: float) -> None:
            bar.update(task, description=words, completed=done)

        plan = added.examine(added.scan(path, file, report), division, choices)
        kept = None if dry_run else add(name, path, file, division, choices, progress=report)
    if as_json:
        _print_plan_as_json(name, file, plan, is_added=kept is not None)
        return
    _print_plan(path, file, plan, choices)
    if kept:
        out.print(f"Kept as '{name}'. Look at it: python -m core stats {name}", markup=False, highlight=False)


def _files_and_shares(parts: dict[str, str]) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
    """Parts and paths of those that are given as files, and the shares of the others."""
    files, shares = list[tuple[str, str]](), dict[str, Any]()
    for part, value in parts.items():
        try:
            shares[part] = float(value)
        except ValueError:
            files.append((part, str(Path(value).absolute())))
    return tuple(files), shares


def _missing(option: str) -> str:
    raise UserError(f"{option} is missing: say how the data set is to be called, such as {option} my-data.")


def _file_config(path: Path, form: dict[str, Any], columns: Columns) -> FileConfig:
    """Form and columns of a file as the options name them; the rest is guessed."""
    guessed = readers.guess(path, **_given(form))
    given = _given(vars(columns) | {"years": _year_range(columns.years)})
    if columns.labels and columns.sep is None and tuple(columns.labels) != guessed.labels:
        given["sep"] = _separator_of(path, guessed, columns.labels)
    return parse(FileConfig, guessed.model_dump() | given, where=path.name)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _separator_of(path: Path, file: FileConfig, columns: list[str]) -> str:
    """The usual separator of a label column that an option names; 0/1 for several columns or all."""
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


def _print_plan_as_json(name: str, file: FileConfig, plan: added.Plan, *, is_added: bool) -> None:
    found = [asdict(defect) | {"choices": list(defects.CHOICES[defect.key])} for defect in plan.defects]
    size = {"documents": len(plan.rows), "labels": len(plan.labels), "parts": plan.sizes()}
    print_json({"name": name, "added": is_added, "file": file.model_dump(), "defects": found, **size})


def _print_plan(path: Path, file: FileConfig, plan: added.Plan, choices: dict[str, str]) -> None:
    form = ("delimiter", "header", "quote") if file.format != "csv" else ()
    read = {key: value for key, value in file.model_dump().items() if value and key not in form}
    words = "; ".join(f"{key} {', '.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in read.items())
    print_line(f"{path.name} is read as: {words}")
    for defect in plan.defects:
        if defect.count:
            usual, *others = defects.CHOICES[defect.key]
            done = choices.get(defect.key, usual)
            way = f"; --{others[0]} {defect.key} does otherwise" if done == usual else ""
            print_line(f"{defect.title}: {defect.count:,} ({done}{way}). {defect.advice}")
            for example in defect.examples[:2]:
                print_line(f"    {example}")
    without = [defect.key for defect in plan.defects if not defect.count]
    print_line(f"Not found: {', '.join(without)}." if without else "Every kind of defect was found.")
    for note in plan.notes:
        print_line(note)
    sizes = ", ".join(f"{part} {size:,}" for part, size in plan.sizes().items())
    print_line(f"{len(plan.rows):,} of {plan.documents:,} documents, {len(plan.labels):,} labels; {sizes}.")


@data_app.command("remove")
def data_remove(name: str) -> None:
    """Remove an added data set from the cache; the file it came from and runs on it stay.

    Example: python -m core data remove papers
    """
    added.unregister(name)
    out.print(f"{name} removed", markup=False, highlight=False)


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
    corpus = load(config)
    usual = groups.default_borders(len(corpus.labels))
    borders = groups.Borders(usual.head if head is None else head, usual.tail if tail is None else tail)
    measured = measures.corpus_stats(corpus, borders)
    if as_json:
        print_json(measured)
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
    base = RunConfig(data=default_config(name, split), model=ModelConfig(name="svm"))
    return with_changes(base, changes or []).data

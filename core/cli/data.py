"""Commands on data sets: list, download, add, remove, measure."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from core.cli.console import Json, Set, Split, out, print_json, progress_bar, split_names
from core.cli.reading import print_plan, print_plan_as_json, print_question_as_json
from core.config.parse import parse, with_changes
from core.config.schema import DataConfig, FileConfig, ModelConfig, RunConfig, SplitConfig
from core.data import added, download, readers, scanning
from core.data.recipes import RECIPES, find_file
from core.data.sources import add, available, default_config, default_name, folders, load, why_default
from core.data.summary import summarize_scan
from core.labels import groups, measures
from core.system.access import check_writable
from core.system.errors import Question, UserError

SIGNS = {"none": "", "tab": "\t", "\\t": "\t", "newline": "\n", "\\n": "\n", "blank": " "}
"""Separators that are written as words."""

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
Separator = Annotated[
    list[str] | None,
    typer.Option(help="Between labels in one string, or none; 0/1: a column for each label; several: the first held."),
]
LabelKey = Annotated[str | None, typer.Option(help="Key of the label in cells of objects.")]
LabelNames = Annotated[
    str | None,
    typer.Option(help="File of the names of labels that are numbers or places in a list; or 'numbers'."),
]
Cut = Annotated[float | None, typer.Option(help="A label is set from this score or number of votes on.")]
PartNames = Annotated[
    list[str] | None,
    typer.Option("--part", metavar="NAME=PART", help="What a name in the part column means; unused too."),
]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the documents' own names.")]
YearColumn = Annotated[str | None, typer.Option(help="Column of the year.")]
Years = Annotated[str | None, typer.Option(help="Keep these alone, such as 2010-2014.")]
PartColumn = Annotated[str | None, typer.Option(help="Column that says train, validation or test.")]
Made = Annotated[
    str | None, typer.Option(help="own (by --split), stratified, random or paper (PubMed's); own if there is one.")
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
Join = Annotated[str, typer.Option(help="Copies whose labels are joined: relabelled_copies, near_copies.")]
Strip = Annotated[str, typer.Option(help="Characters to take out: zero_width.")]
Negative = Annotated[str, typer.Option(help="Labels to count as not set: unknown_labels.")]
Keep = Annotated[str, typer.Option(help="Defects to keep that are left out otherwise: missing_words.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what was guessed and what is wrong; keep nothing.")]


@dataclass(frozen=True)
class Columns:
    """Which column is what, as the options name it, under the names of `FileConfig`; None: it is guessed."""

    text: list[str] | None
    title: str | None
    labels: list[str] | None
    sep: list[str] | None
    id: str | None
    year: str | None
    years: str | None
    split: str | None
    label_key: str | None
    label_names: str | None
    cut: float | None
    parts: list[str] | None


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
    label_key: LabelKey = None,
    label_names: LabelNames = None,
    cut: Cut = None,
    identity: IdColumn = None,
    year: YearColumn = None,
    years: Years = None,
    split: PartColumn = None,
    parts: PartNames = None,
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
    join: Join = "",
    strip: Strip = "",
    negative: Negative = "",
    keep: Keep = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Read a file of documents, say what is wrong with it, and keep it as a data set.

    CSV, TSV, JSON of any layout, Parquet, Arrow, Excel, fastText, PubMed XML, plain or packed; a folder, zip or tar of
    its parts (train, dev, test), of one text a file, or saved by Hugging Face `datasets`; or the name of a recipe.

    Examples:
    python -m core data add papers.csv --name papers --text abstract --labels topics --sep ";"
    python -m core data add allMeSH.json.gz --name pubmed --made paper --min-documents 5
    python -m core data add train.csv --test test.csv --validation dev.csv --name mine
    python -m core data add comments.parquet --name comments --drop duplicates,empty_texts --dry-run
    python -m core data add pubmed-sample
    """
    # A recipe: its file, and what no option says otherwise.
    if (recipe := RECIPES.get(str(path))) and not path.exists():
        path, name = find_file(str(path), folders()), name or str(path)
        made, years, min_documents = made or recipe.made, years or recipe.years, min_documents or recipe.min_documents
    if not dry_run:
        check_writable()
        added.check_name(name or _missing("--name"), [source.name for source in available()])
    # How the file is read: what no option names is guessed, and asked where two readings are possible.
    files, shares = _files_and_shares({"validation": validation, "test": test})
    form: dict[str, Any] = {
        "encoding": encoding,
        "delimiter": delimiter,
        "header": header,
        "format": format_,
        "records": records,
    }
    form |= {"quote": quote, "escape": escape, "skip_lines": skip_lines, "comment": comment, "bad_lines": bad_lines}
    form = {key: SIGNS.get(value, value) if isinstance(value, str) else value for key, value in form.items()}
    form["others"] = files or None
    columns = Columns(text, title, label_columns, sep, identity, year, years, split, label_key, label_names, cut, parts)
    given = _settings(columns)
    # How it is divided, and what is done about its defects.
    shares |= {"seed": seed, "min_documents": min_documents}
    division = parse(SplitConfig, {"made": made or "random"} | shares)
    options = {"drop": drop, "merge": merge, "join": join, "strip": strip, "negative": negative, "keep": keep}
    choices = {key: action for action, keys in options.items() for key in split_names(keys)}
    # Read, plan, and keep unless it is a dry run; nothing else stays behind.
    try:
        reading = readers.study(path, given, **_given(form))
        for question in reading.questions:
            raise question
    except Question as question:
        if as_json:
            print_question_as_json(question)
        raise
    with progress_bar() as bar, ExitStack() as stack:
        task = bar.add_task(f"reading {path.name}", total=1.0)

        def report(words: str, done: float) -> None:
            bar.update(task, description=words, completed=done)

        folder = stack.enter_context(scanning.passing_scan(path, reading.file, report))
        if "sep" not in given and (missed := scanning.missed_separators(folder, reading.file)):
            reading = readers.study_rows(
                path, reading.file, reading.rows, given | _more_separators(reading.file, missed)
            )
            folder = stack.enter_context(scanning.passing_scan(path, reading.file, report))
        file = reading.file
        if not made:
            division = division.model_copy(update={"made": scanning.usual_split(folder, min_documents).made})
        plan, read = added.examine(folder, division, choices), summarize_scan(folder, reading)
        kept = None if dry_run else add(name, path, file, division, choices, progress=report, folder=folder)
    if as_json:
        print_plan_as_json(name, file, plan, read, is_added=kept is not None)
        return
    print_plan(path, file, plan, read, choices)
    if kept:
        out.print(f"Kept as '{name}'. Look at it: python -m core stats {name}", markup=False, highlight=False)


def _more_separators(file: FileConfig, missed: tuple[str, ...]) -> dict[str, Any]:
    first, *others = dict.fromkeys(filter(None, (file.sep, *file.other_seps, *missed)))
    return {"sep": first, "other_seps": tuple(others)}


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


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _settings(columns: Columns) -> dict[str, Any]:
    """Settings of `FileConfig` that the options name."""
    given = _given(vars(columns) | {"sep": None, "years": _year_range(columns.years)})
    if columns.sep is not None:
        first, *others = (SIGNS.get(sign, sign) for sign in columns.sep)
        given |= {"sep": first, "other_seps": tuple(others)}
    if columns.label_names is not None:
        given["label_names"] = _names(columns.label_names)
    if columns.parts is not None:
        given["parts"] = tuple(map(_part, columns.parts))
    return given


def _names(words: str) -> tuple[str, ...] | str:
    """Names of labels: those of a file, or written out; "numbers" for numbers that are names."""
    if words == "numbers":
        return words
    try:
        is_file = Path(words).is_file()
        text = Path(words).read_text("utf-8") if is_file else words
    except (OSError, ValueError) as error:
        is_file, text = False, words
        if "/" in words or len(words) < 100:
            raise UserError(f"--label-names {words[:100]} cannot be read: {error}. Name a text file.") from None
    if not is_file and "," not in words and not words.lstrip().startswith(("[", "{")):
        raise UserError(
            f"--label-names {words[:100]}: there is no such file. Name one with a name of a label in each line, or a "
            "JSON list; or write the names here with commas between."
        )
    try:
        names = readers.name_list(text)
    except ValueError:
        raise UserError(f"--label-names {words[:100]}: a name must be a text.") from None
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(names) < 5000 else []:
        raise UserError(f"--label-names: '{twice[0]}' stands there twice.")
    return names


def _part(words: str) -> tuple[str, str]:
    name, equals, part = words.rpartition("=")
    part = readers.PARTS.get(part.strip().lower(), part.strip().lower()) or "unused"
    if not equals or part not in ("train", "validation", "test", "unused"):
        raise UserError(f"--part {words}: write it as NAME=train, NAME=validation, NAME=test or NAME=unused.")
    return name, part


def _year_range(years: str | None) -> tuple[int, int] | None:
    if not years:
        return None
    found = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", years.strip())
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise UserError(f"--years {years}: write one year or two with a hyphen between, such as 2010-2014.")
    return int(found[1]), int(found[2] or found[1])


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
    borders = groups.default_borders(corpus.name, corpus.counts).moved(head=head, tail=tail)
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

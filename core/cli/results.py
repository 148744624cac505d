"""Commands on results: tables, publishing, export and import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from core.analysis import ahead, answers, decisions, pair_table, tables
from core.analysis.decisions import AS_TRAINED, KEPT, READINGS, check_reading
from core.analysis.export import cell, is_bold, to_csv, to_latex, to_markdown, to_workbook, to_xlsx
from core.analysis.kept_samples import sample
from core.analysis.row_settings import find_row
from core.analysis.run_rows import ranking_row, run_row
from core.analysis.samples import RANKING, Comparison, Sampled, compare_rows
from core.analysis.views import read_views
from core.cli.console import Json, Rule, out, print_json, print_line, print_text, say
from core.labels.groups import Borders
from core.runs import folder, share
from core.runs.folder import Damaged, Run
from core.runs.results import read_results
from core.system.errors import UserError, choose

if TYPE_CHECKING:
    import pandas as pd


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
    no_views: Annotated[
        bool, typer.Option("--no-views", help="Without the views that were added to the report on the pages.")
    ] = False,
    table: Annotated[int, typer.Option(help="2: head / medium / tail; 3: single- / multi-label documents.")] = 2,
    each: Annotated[bool, typer.Option("--each", help="A row for every run; else seeds fold into their mean.")] = False,
    rule: Annotated[
        str,
        typer.Option(
            help=f"How every run decides: {', '.join(READINGS)}, or {KEPT}NAME for thresholds kept on the page Errors."
        ),
    ] = AS_TRAINED,
    by_ranking: Annotated[
        bool, typer.Option("--ranking", help="Average precision and P@k in place of F1: no decision at all.")
    ] = False,
    baseline: Annotated[
        str, typer.Option(metavar="ROW", help="Print the differences from this row, named as in the table.")
    ] = "",
    confused: Annotated[
        str,
        typer.Option(
            metavar="MISSED/GIVEN,...",
            help="In place of scores: test documents that miss a label and were given another there.",
        ),
    ] = "",
) -> None:
    """Print the scores of runs with 95 % intervals beside the paper's; `all` means every finished run.

    A table for each data set and split. Rows of several seeds have intervals over seeds and test documents; rows of
    one seed over documents alone.

    Examples:
    python -m core report all --latex
    python -m core report all --rule quiet --baseline bce
    python -m core report all --ranking
    python -m core report all --html -o report.html
    python -m core report all --rule paper --confused platinum/gold,yen/money-fx
    """
    chosen: Sequence[Run | Damaged]
    if runs == ["all"]:
        chosen = _select_readable(folder.list_folders())
    else:
        chosen = [folder.get_folder(run_id) for run_id in runs]
    if by_ranking and rule != AS_TRAINED:
        raise UserError("--ranking looks at no decision: leave --rule out.")
    check_reading(rule)
    if as_json:
        print_json({"runs": _describe_runs([folder.as_run(run) for run in chosen], rule, by_ranking)})
        return
    finished = [folder.as_run(run) for run in chosen if run.state == "finished"]
    unfinished = [f"{one.id} has no scores: it is {one.state}." for one in chosen if one.state != "finished"]
    if not finished:
        raise UserError(" ".join(unfinished) or "No run has finished yet. Start one: python -m core train --model svm")
    if confused:
        _print_confused(finished, confused, rule, seeds=not each, as_csv=as_csv, as_markdown=as_markdown)
        return
    # A comparison for each data set and split.
    parts = []
    known: dict[tuple[object, ...], Sampled] = {}

    def load(run: Run, borders: Borders, rule: str) -> Sampled:
        if (key := (run.id, borders, rule)) not in known:
            known[key] = sample(run, borders, rule)
        return known[key]

    for name in dict.fromkeys(tables.data_title(run) for run in finished):
        rows = tables.fold([run for run in finished if tables.data_title(run) == name], seeds=not each)
        parts.append((name, compare_rows(rows, rule=RANKING if by_ranking else rule, load=load)))
    problems = [problem for _, compared in parts for problem in compared.problems]
    parts = [(name, compared) for name, compared in parts if compared.rows]
    if not parts:
        raise UserError(" ".join(problems))
    for problem in problems:
        say(problem)
    if as_html:
        from core.figures import page

        added = [] if no_views else read_views()
        _write(output, page.to_html(parts, added, load=load))
        return
    frames = [(name, *_table_of(compared, table, baseline)) for name, compared in parts]
    if xlsx:
        _write(xlsx, to_xlsx(*frames[0][1:]) if len(frames) == 1 else to_workbook(frames))
        return
    printers = {to_latex: as_latex, to_csv: as_csv, to_markdown: as_markdown}
    comments = {to_latex: "% {}\n", to_csv: "# {}\n", to_markdown: "**{}**\n\n"}
    for printer, asked in printers.items():
        if asked:
            named = [comments[printer].format(name) if len(frames) > 1 else "" for name, *_ in frames]
            texts = [f"{head}{printer(frame, footer)}" for head, (_, frame, footer) in zip(named, frames, strict=True)]
            print_text("\n".join(texts))
            return
    # No option: tables for the terminal, with the runs that have no scores below them.
    for name, frame, footer in frames:
        _print_table(frame, f"{name}: {footer[0]}")
        for line in tables.notes(frame):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    for sentence in unfinished:
        say(sentence)


def _print_confused(runs: Sequence[Run], text: str, rule: str, *, seeds: bool, as_csv: bool, as_markdown: bool) -> None:
    """Prints how often rows confuse pairs of labels, a table for each data set that has all of the labels.

    Raises:
        UserError: what is named is no pair, or no data set has the labels.
    """
    pairs, problems, printed = pair_table.parse_pairs(text), [], False
    for name in dict.fromkeys(tables.data_title(run) for run in runs):
        rows = tables.fold([run for run in runs if tables.data_title(run) == name], seeds=seeds)
        try:
            frame = pair_table.pair_table(rows, pairs, rule=rule)
        except UserError as error:
            problems.append(f"{name}: {error}")
            continue
        printed = True
        if as_markdown or as_csv:
            print_text(pair_table.to_markdown(frame) if as_markdown else to_csv(frame))
            continue
        shown = Table("row", *frame.columns[2:], box=None)
        for row in frame.to_dict("records"):
            shown.add_row(Text(str(row["row"])), *(f"{row[column]:g}" for column in frame.columns[2:]))
        out.print(f"{name}: {pair_table.describe_documents(frame)}", markup=False, highlight=False, soft_wrap=True)
        out.print(shown)
    if problems and not printed:
        raise UserError(" ".join(problems))
    for problem in problems:
        say(problem)


def _select_readable(found: Sequence[Run | Damaged]) -> list[Run]:
    """The finished runs whose scores can be read; stderr names those that are damaged."""
    kept = []
    for one in found:
        try:
            if one.state == "finished":
                run = folder.as_run(one)
                read_results(run)
                kept.append(run)
        except UserError as error:
            say(f"Left out: {error}")
    return kept


def _describe_runs(runs: Sequence[Run], rule: str, by_ranking: bool) -> list[dict[str, Any]]:
    """The `runs` of `report --json`; one that the rule cannot serve has no scores, and a sentence says why."""
    found = []
    for run in runs:
        try:
            row = run_row(run, rule)
        except UserError as error:
            if rule == AS_TRAINED:
                raise
            say(f"Left out: {error}")
            row = run_row(run) | {"rule": rule, "threshold": None, "test": None}
        found.append(row | ({"ranking": ranking_row(run)} if by_ranking and run.state == "finished" else {}))
    return found


def _table_of(compared: Comparison, table: int, baseline: str) -> tuple[pd.DataFrame, list[str]]:
    """A table of scores, or of differences, and the lines below it."""
    rows, rule = compared.rows, compared.rule
    which: tables.Table = RANKING if rule == RANKING else table
    if baseline and rows:
        found = find_row(rows, baseline)
        choose("row", found or baseline, list(dict.fromkeys(word for row in rows for word in (row.name, row.method))))
        baseline = found
        frame = tables.difference_table(rows, compared.sampled, baseline, table=which, rule=rule)
    else:
        frame = tables.paper_table(rows, compared.sampled, table=which, rule=rule)
    return frame, tables.provenance(rows, frame, rule=rule)


def _print_table(frame: pd.DataFrame, title: str) -> None:
    """Draws a table for the terminal."""
    columns = tables.columns_in(frame)
    shown = Table("method", "seeds", *(name.replace("_", " ") for name in columns), box=None)
    for row in frame.to_dict("records"):
        seeds = "" if row["source"] == "published" else str(row["seeds"])
        cells = [Text(" ".join(cell(row, name)).rstrip() or "-") for name in columns]
        for name, text in zip(columns, cells, strict=True):
            text.stylize("bold" if is_bold(row, name) else "")
        shown.add_row(Text(f"{row['name']}{tables.SOURCES[row['source']]}"), seeds, *cells)
    out.print(title, markup=False, highlight=False, soft_wrap=True)
    out.print(shown)


def _write(path: Path, content: str | bytes) -> None:
    """Writes a file that an option names."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    print_line(f"{path} written")


def publish(
    runs: list[str],
    weights: Annotated[
        bool, typer.Option("--weights", help="With what it takes to score other texts: small models on TF-IDF alone.")
    ] = False,
) -> None:
    """Copy the results of finished runs, without weights and texts, to those that are shown to everybody.

    Examples:
    python -m core publish reuters-tfidf-db-s0-0123456789
    python -m core publish reuters-svm-s0-0123456789 --weights
    """
    for run_id in runs:
        path = share.publish(folder.get_run(run_id), weights=weights)
        print_line(f"{run_id} published at {path}")


def export_run(
    run: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    weights: Annotated[bool, typer.Option(help="With what it takes to score other texts.")] = True,
) -> None:
    """Write a finished run as a zip: settings, scores, predictions, weights; no texts.

    Example: python -m core export reuters-tfidf-db-s0-0123456789 -o run.zip
    """
    share.export(folder.get_run(run), output, weights=weights)
    print_line(f"{run} written to {output}")


def export_model(
    run: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; it must be new.")],
    rule: Rule = decisions.AS_TRAINED,
) -> None:
    """Write a transformer run as a folder that plain transformers loads; its config holds the thresholds of a rule.

    Examples:
    python -m core export-model reuters-transformer-db-s0-0123456789 -o model
    python -m core export-model reuters-transformer-db-s0-0123456789 -o model --rule quiet
    """
    from core.runs.export_model import export

    found = folder.get_run(run)
    cut = answers.find_cut(found, rule)
    if cut.limits is None:
        raise UserError(f"'{rule}' has no threshold that a config could hold: take another rule.")
    kind = export(found, output, limits=cut.limits, rule=rule, chosen_on=cut.chosen_on)
    out.print(f"{run} written to {output}: {kind}.from_pretrained loads it", markup=False, soft_wrap=True)


def import_run(file: Path) -> None:
    """Take in a run from a zip that `export` wrote; everything in it is checked first.

    Example: python -m core import run.zip
    """
    imported = share.import_run(file)
    ahead.keep_run(imported.id)
    print_line(imported.id)

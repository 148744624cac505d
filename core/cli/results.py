"""Commands on results: tables, publishing, export and import."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from core.analysis import answers, decisions, tables
from core.analysis.export import cell, to_csv, to_latex, to_markdown, to_xlsx
from core.cli.console import Json, Rule, err, out, print_json, print_line
from core.runs import folder, share
from core.runs.folder import Damaged, Run
from core.system.errors import UserError


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
    chosen: Sequence[Run | Damaged]
    if runs == ["all"]:
        chosen = [run for run in folder.list_runs() if run.state == "finished"]
    else:
        chosen = [folder.get_folder(run_id) for run_id in runs]
    if as_json:
        print_json({"runs": tables.run_rows(folder.as_run(run) for run in chosen)})
        return
    rows = tables.fold([folder.as_run(run) for run in chosen if run.state == "finished"], seeds=not each)
    sampled = tables.sample_rows(rows)
    if as_html:
        from core.figures import page

        _write(output, page.to_html(rows, sampled))
        return
    frame, footer = tables.paper_table(rows, sampled, table=table), tables.provenance(rows)
    if xlsx:
        _write(xlsx, to_xlsx(frame, footer))
        return
    printers = {to_latex: as_latex, to_csv: as_csv, to_markdown: as_markdown}
    for printer, asked in printers.items():
        if asked:
            sys.stdout.write(printer(frame, footer))
            return
    # No option: a table for the terminal, with the runs that have no scores below it.
    columns = tables.SCORE_COLUMNS[table]
    shown = Table("method", "seeds", *(name.replace("_", " ") for name in columns), box=None)
    for row in frame.to_dict("records"):
        seeds = "" if row["source"] == "published" else str(row["seeds"])
        cells = ["±".join(part for part in cell(row, name) if part) or "-" for name in columns]
        shown.add_row(f"{row['name']}{tables.SOURCES[row['source']]}", seeds, *cells)
    out.print(shown)
    for run in chosen:
        if run.state != "finished":
            err.print(f"{run.id} has no scores: it is {run.state}.", markup=False, highlight=False)


def _write(path: Path, content: str | bytes) -> None:
    """Writes a file that an option names."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
    print_line(f"{path} written")


def publish(runs: list[str]) -> None:
    """Copy the results of finished runs, without weights and texts, to those that are shown to everybody.

    Example: python -m core publish reuters-tfidf-db-s0-0123456789
    """
    for run_id in runs:
        path = share.publish(folder.get_run(run_id))
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
    print_line(share.import_run(file).id)

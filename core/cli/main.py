"""Every action of the dashboard as a command; exit 0 when done, 2 for bad input, 1 for a run that failed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from core.cli import data, predict, results, runs, train
from core.cli.console import err
from core.system.errors import UserError

COMMANDS: dict[str, Callable[..., None]] = {
    "stats": data.stats,
    "train": train.train,
    "sweep": train.sweep,
    "sweeps": train.list_sweeps,
    "search": train.search_settings,
    "runs": runs.list_runs,
    "status": runs.status,
    "logs": runs.logs,
    "report": results.print_report,
    "predict": predict.predict,
    "stop": runs.stop,
    "resume": runs.resume,
    "note": runs.note,
    "combine": runs.combine,
    "delete": runs.delete,
    "publish": results.publish,
    "export": results.export_run,
    "export-model": results.export_model,
    "import": results.import_run,
}
"""In the order in which `--help` lists them, before the group `data`."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tailscope: see, balance and debug long-tailed multi-label text classification.",
)
app.add_typer(data.data_app, name="data")
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Runs the command line; a `UserError` is printed as one sentence and ends with exit 2."""
    try:
        app(prog_name="python -m core")
    except UserError as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(2)

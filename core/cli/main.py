"""Every action of the dashboard as a command; exit 0 when done, 2 for bad input, 1 for a run that failed."""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from core.cli.console import err
from core.system.errors import UserError

COMMANDS = {
    "stats": "data.stats",
    "train": "train.train",
    "sweep": "train.sweep",
    "sweeps": "train.list_sweeps",
    "search": "train.search_settings",
    "runs": "runs.list_runs",
    "status": "runs.status",
    "logs": "runs.logs",
    "report": "results.print_report",
    "predict": "predict.predict",
    "stop": "runs.stop",
    "resume": "runs.resume",
    "note": "runs.note",
    "combine": "runs.combine",
    "delete": "runs.delete",
    "publish": "results.publish",
    "export": "results.export_run",
    "export-model": "results.export_model",
    "import": "results.import_run",
}
"""Module and function of each command, in the order in which `--help` lists them, before the group `data`."""


def make_app(name: str = "") -> typer.Typer:
    """The command line: all commands, or one alone, for the modules of the others take half of the time to start.

    Args:
        name: of a command, as the first word of the arguments; all of them where it is none.
    """
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Tailscope: see, balance and debug long-tailed multi-label text classification.",
    )
    app.callback()(lambda: None)  # a command that is alone is still called by its name
    if name not in COMMANDS:
        app.add_typer(import_module("core.cli.data").data_app, name="data")
    for one in [name] if name in COMMANDS else COMMANDS:
        module, function = COMMANDS[one].split(".")
        app.command(one)(getattr(import_module(f"core.cli.{module}"), function))
    return app


def main() -> None:
    """Runs the command line; a `UserError` is printed as one sentence and ends with exit 2."""
    try:
        make_app(sys.argv[1] if len(sys.argv) > 1 else "")(prog_name="python -m core")
    except UserError as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(2)

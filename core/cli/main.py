"""Every action of the dashboard as a command; exit 0 when done, 2 for bad input, 1 for a run that failed."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

import typer

from core.cli.console import say
from core.system.errors import UserError
from core.system.files import describe_os_error

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
    """Runs the command line; a `UserError` is printed as one sentence and ends with exit 2.

    So is what the system says of a file, as of a disk that is read-only. Output that cannot be written ends with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the terminal does not have is written as an escape
            stream.reconfigure(errors="backslashreplace")
    failed: OSError | None = None
    try:
        make_app(sys.argv[1] if len(sys.argv) > 1 else "")(prog_name="python -m core")
    except SystemExit as ended:
        status = ended.code
    except UserError as error:
        say(str(error), style="red")
        status = 2
    except OSError as error:
        failed, status = error, 2 if error.filename else 1  # a stream has no name
    try:
        sys.stdout.flush()
    except OSError as error:
        failed, status = error, 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be written goes nowhere
    if failed is not None:
        what = "The output cannot be written" if status == 1 else "A file cannot be read or written"
        say(f"{what}: {describe_os_error(failed)}", style="red")
    sys.exit(status)

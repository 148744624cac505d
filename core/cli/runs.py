"""Commands on runs: list, follow, stop, resume, name, combine, delete."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from core.analysis import ahead
from core.cli.console import Engine, Json, out, print_json, print_line, split_names
from core.jobs import clusters, launch, sweeps
from core.runs import folder, journal
from core.runs.combine import RULES, read_weights
from core.runs.combine import combine as combined_run
from core.runs.folder import Damaged, Run

REPORTED = ("id", "state", "kind", "reason", "advice", "submitted", "started", "ended", "progress", "device")
"""What `--json` says of every run."""


def list_runs(as_json: Json = False) -> None:
    """List all runs, the newest first.

    Example: python -m core runs --json
    """
    clusters.ask_clusters()
    runs = folder.list_folders()
    if as_json:
        rows = [{key: getattr(run, key) for key in REPORTED} | {"problem": _problem(run)} for run in runs]
        print_json({"runs": rows})
        return
    table = Table("run", "state", "progress", "what happened", box=None)
    for run in runs:
        table.add_row(run.id, run.state, f"{run.progress.get('fraction', 0):.0%}", _problem(run) or run.why)
    out.print(table if runs else "There are no runs yet. Start one: python -m core train --model svm")


def _problem(found: Run | Damaged) -> str:
    """What is damaged in a run's folder; empty if nothing is."""
    return " ".join(words for words in (found.problem if isinstance(found, Damaged) else "", found.remark) if words)


def status(run: str, as_json: Json = False) -> None:
    """What a run is doing, or how it ended.

    Example: python -m core status reuters-tfidf-db-s0-0123456789
    """
    clusters.ask_clusters()
    found = folder.get_folder(run)
    history = journal.read_history(found.path)
    if as_json:
        known = {key: getattr(found, key) for key in (*REPORTED, "user")} | {"problem": _problem(found)}
        more = {"heartbeat": journal.read_heartbeat(found.path), "events": journal.read_events(found.path)}
        print_json(known | {"last": history[-1] if history else None} | more)
        return
    words = [found.state, f"{found.progress.get('fraction', 0):.0%}", str(found.progress.get("phase", ""))]
    if history:
        score = journal.score_of(history[-1], "micro_f1")
        words.append(f"epoch {history[-1].get('epoch', '?')}: validation micro-F1 {100 * score:.2f}")
    words += [text for text in (_problem(found) or found.why, journal.describe_damage(found.path)) if text]
    print_line(f"{run} {' · '.join(word for word in words if word)}")


def logs(
    run: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
) -> None:
    """The last lines of a run's log.

    Example: python -m core logs reuters-tfidf-db-s0-0123456789 -f
    """
    found = folder.get_folder(run)
    for line in journal.read_log(found.path, lines):
        print_line(line)
    file = found.path / "log.txt"
    done = file.stat().st_size if file.exists() else 0
    for _ in launch.watch(run) if follow else ():
        if file.exists():
            with file.open("rb") as log:
                log.seek(done)
                fresh = log.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            done += len(whole)
            for line in whole.decode("utf-8", errors="replace").splitlines():
                print_line(line)


def stop(runs: list[str]) -> None:
    """Stop queued or running runs, or all those of a sweep.

    Examples:
    python -m core stop reuters-tfidf-db-s0-0123456789
    python -m core stop sweep-0123456789
    """
    for name in runs:
        stopped = sweeps.stop(name) if sweeps.SWEEP_ID.fullmatch(name) else [launch.stop(name)]
        for run in stopped:
            print_line(f"{run.id} {run.state}")


def resume(
    runs: list[str],
    anew: Annotated[bool, typer.Option("--anew", help="From the first step; a finished run is trained again.")] = False,
    engine: Engine = "",
) -> None:
    """Put stopped, failed or lost runs, or all those of a sweep, into the queue again.

    Each resumes from its last checkpoint, if it has one, where it was: on this machine or on its cluster.

    Examples:
    python -m core resume reuters-transformer-db-s0-0123456789
    python -m core resume sweep-0123456789
    """
    for name in runs:
        is_sweep = sweeps.SWEEP_ID.fullmatch(name)
        again = sweeps.resume if is_sweep else launch.resume
        resumed = again(name, anew=anew, engine=engine)
        for run in resumed if isinstance(resumed, list) else [resumed]:
            print_line(f"{run.id} {run.state}")


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
    written = {"name": name, "notes": text, "pinned": pin, "archived": archive}
    changes: dict[str, Any] = {key: value for key, value in written.items() if value is not None}
    if tags is not None:
        changes["tags"] = split_names(tags)
    about = folder.save_about(run, **changes) if changes else folder.get_folder(run).about
    if as_json:
        print_json(about.model_dump())
        return
    for key, value in about.model_dump(exclude_defaults=True).items():
        words = ", ".join(value) if isinstance(value, tuple) else "yes" if value is True else value
        print_line(f"{key}: {words}")


def combine(
    runs: list[str],
    weights: Annotated[
        str, typer.Option(help="equal, validation (the best on it), or a number for each run, such as 0.7,0.3.")
    ] = "equal",
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    rule: Annotated[str, typer.Option(help=f"Of its thresholds: {', '.join(RULES)}.")] = "quiet",
) -> None:
    """Average the scores of finished runs of one data set; nothing is trained, and the result is a run like any other.

    Example: python -m core combine reuters-transformer-db-s0-03f05f948e reuters-tfidf-db-s0-966e74a879
    """
    made = combined_run(runs, weights=read_weights(weights), rule=rule, name=name)
    ahead.keep_run(made.id)
    print_line(made.id)


def delete(run: str) -> None:
    """Delete an ended run for good.

    Example: python -m core delete reuters-tfidf-db-s0-0123456789
    """
    launch.delete(run)
    print_line(f"{run} deleted")

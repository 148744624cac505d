"""What Compare shows of runs at each rule, made before somebody asks: `python -m core.analysis.ahead BORDERS RUN...`.

A process of lowest priority fills `core.analysis.kept_samples` for the runs that it is given: `keep_run` starts one
when a run has come to be, `keep_missing` when rows are shown that come from elsewhere, as those of a fresh clone.
Nobody waits for it and nothing depends on it: what it has not made is made when it is asked for, with the same numbers.
It says nothing, ends by itself, and works alone: who wants another one while it lives gets none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from core.labels.groups import Borders
from core.runs import results
from core.runs.folder import Run, get_run
from core.runs.layout import NODE_VARIABLE
from core.system.errors import UserError
from core.system.locks import is_locked, try_lock
from core.system.places import ROOT, cache_dir

if TYPE_CHECKING:
    from core.runs.predictions import Predictions

# What computes is imported where it does: a worker starts this process while it may still hold a model.

SMALL = 100_000
"""Test documents times labels up to which a rule of a run takes so little that nothing is made ahead."""
MANY_LABELS = 1000
"""A rule of a run with more labels takes as long as that of `FEW` others."""
FEW = 15
"""Runs with nothing kept at a rule from which on another rule would take half a second, and is made ahead."""
FILES = 1000
"""That are made ahead at most, so that they push out no more than half of what is kept."""
SECONDS = 300.0
"""Of the processor, after which the process ends, wherever it is."""
HELD = 64
"""Runs up to which scores stay in memory from one rule to the next, two megabytes each; none of `MANY_LABELS`."""


def readings() -> tuple[str, ...]:
    """What Compare shows of runs, in the order in which it is made: first what each of its switches shows at first."""
    from core.analysis.decisions import AS_TRAINED, READINGS, SAME_COUNT
    from core.analysis.samples import RANKING

    return tuple(dict.fromkeys((AS_TRAINED, "quiet", SAME_COUNT, RANKING, *READINGS)))


def keep_run(run_id: str) -> bool:
    """Starts making what Compare shows of a run that has just come to be, with its own borders.

    Returns:
        Whether it was started: not for a small run, nor one without scores, on a node of a cluster (whose cache may be
        its own), while other runs are made ahead, or in a cache that cannot be written.
    """
    try:
        run = get_run(run_id)
        borders = Borders(**results.read_results(run)["borders"])
    except UserError:
        return False
    return NODE_VARIABLE not in os.environ and _weigh(run) > 0 and _start([run], borders)


def keep_missing(runs: Sequence[Run], borders: Borders) -> bool:
    """Starts making what is missing of runs that Compare shows, if another rule would take half a second.

    Returns:
        Whether it was started; cases as in `keep_run`.
    """
    from core.analysis.kept_samples import find_missing

    weights = {run.path: _weigh(run) for run in runs}
    wanted = [run for run in runs if weights[run.path]]
    missing = Counter[str]()
    for run, rule in find_missing(wanted, borders, _affordable(len(wanted))):
        missing[rule] += weights[run.path]
    return max(missing.values(), default=0) >= FEW and _start(wanted, borders)


def is_busy() -> bool:
    """Whether a process makes something ahead in this cache."""
    return is_locked(_lock())


def _lock() -> Path:
    return cache_dir() / "locks" / "ahead.lock"


def _weigh(run: Run) -> int:
    """How many runs of a few hundred labels take as long at a rule; 0 of a small one and of one that is damaged."""
    with suppress(UserError):
        scored = results.read_results(run)
        labels = len(scored["labels"])
        if labels * results.count_documents(scored, "test") > SMALL:
            return FEW if labels > MANY_LABELS else 1
    return 0


def _affordable(runs: int) -> tuple[str, ...]:
    """The readings that are made ahead of so many runs."""
    return readings()[: FILES // max(runs, 1)]


def _start(runs: Sequence[Run], borders: Borders) -> bool:
    """Starts the process, which inherits the lock that says that it works."""
    try:
        held = try_lock(_lock())
    except OSError:
        return False
    if held is None:
        return False
    command = [sys.executable, "-m", "core.analysis.ahead", json.dumps(borders.as_json()), *(run.id for run in runs)]
    try:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"TAILSCOPE_CACHE": str(cache_dir().resolve())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(held,),
        )
    except OSError:
        return False
    finally:
        os.close(held)
    threading.Thread(target=process.wait, daemon=True).start()
    return True


def fill(runs: Sequence[Run], borders: Borders) -> None:
    """Makes and keeps what is missing of runs; ends where nothing can be kept, and after `SECONDS`."""
    from core.analysis import kept_samples
    from core.runs.predictions import read_predictions
    from core.runs.unchanged import Unchanged

    known: dict[str, Unchanged[Predictions]] = {part: Unchanged(*kept_samples.FILES) for part in ("validation", "test")}

    def read(run: Run, part: str) -> Predictions:
        """A part, read once where labels are few: another rule asks for it again."""
        version, held = known[part].find(str(run.path))
        if held is not None:
            return held
        found = read_predictions(run, part)
        if found.targets.shape[1] <= MANY_LABELS and len(runs) <= HELD:
            known[part].keep(str(run.path), version, found)
        return found

    for run, rule in kept_samples.find_missing(runs, borders, _affordable(len(runs))):
        try:
            kept_samples.sample(run, borders, rule, read=read)
        except UserError:  # it is damaged, gone, or the rule cannot serve it: the page says so
            continue
        if time.process_time() > SECONDS or kept_samples.find_missing([run], borders, [rule]):
            return


def main(borders: str, *run_ids: str) -> None:
    """Fills what is missing of runs, with the lowest priority; borders are the JSON of `Borders`."""
    os.nice(19)
    runs = []
    for run_id in run_ids:
        with suppress(UserError):
            runs.append(get_run(run_id))
    fill(runs, Borders(**json.loads(borders)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A sweep is a grid of runs that are watched, stopped and resumed as one: a file with their settings and ids."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from core.config.parse import parse
from core.config.schema import RunConfig
from core.data import sources
from core.data.corpus import Corpus
from core.jobs import clusters, launch
from core.jobs.engines import LOCAL, choose_engine
from core.runs.folder import LIVE, STATES, Damaged, Folder, Run, get_folder, list_folders, run_path
from core.runs.stored import Stored, Time, describe
from core.system import access
from core.system.access import check_writable
from core.system.errors import UserError
from core.system.files import read_json, say_unwritable, write_json
from core.system.places import cache_dir

SWEEP_ID = re.compile(r"sweep-[0-9a-f]{10}")


class SweepFile(Stored):
    """A sweep as its file holds it."""

    created: Time
    user: str = ""
    runs: list[str] = Field(min_length=1)
    configs: list[dict[str, Any]]


@dataclass(frozen=True)
class Sweep:
    """Runs that were submitted together.

    Attributes:
        id: the same runs are the same sweep.
        created: unix seconds.
        user: who submitted them.
        runs: ids, in the order of submission.
        configs: the settings of each.
    """

    id: str
    created: float
    user: str
    runs: tuple[str, ...]
    configs: tuple[RunConfig, ...]

    @property
    def title(self) -> str:
        """What it varies, in words."""
        names = {
            "models": [config.model.name for config in self.configs],
            "losses": [config.loss.name for config in self.configs if config.loss],
            "seeds": [str(config.seed) for config in self.configs],
            "data sets": [config.data.name for config in self.configs],
        }
        words = []
        for kind, every in names.items():
            several = list(dict.fromkeys(every))
            if kind != "seeds" and several:
                words.append(", ".join(several) if len(several) <= 4 else f"{len(several)} {kind}")
            elif len(several) > 1:
                words.append(f"{len(several)} seeds")
        return " · ".join(words)


def folder() -> Path:
    """Where sweeps are kept, one file each."""
    return cache_dir() / "sweeps"


def submit(
    configs: Sequence[RunConfig],
    *,
    user: str = "",
    anew: bool = False,
    corpus: Corpus | None = None,
    engine: str = "",
) -> list[Run]:
    """Submits runs in this order, and keeps several as a sweep.

    All are checked before the first is started. A run that exists is not trained twice (see `core.jobs.launch.submit`).

    Args:
        configs: their settings.
        user: who asks; empty is who is signed in, else the account of this process.
        anew: train all that have ended from their first step, also the finished; their results are replaced.
        corpus: the data of the first one where they are open.
        engine: where they run, as `core.jobs.engines.choose_engine` has it.

    Raises:
        UserError: as `core.jobs.launch.submit`.
    """
    check_writable()
    # Check all before the first is started.
    opened = {configs[0].data: corpus} if corpus else {}
    wanted = dict.fromkeys(config.data for config in configs)
    corpora = opened | {data: sources.load(data) for data in wanted if data not in opened}
    ids = [launch.check(config, corpora[config.data], engine) for config in configs]
    if (chosen := choose_engine(engine)) != LOCAL:
        clusters.check_cluster(chosen, configs)
    # The id follows from the runs', in any order.
    if len(ids) > 1:
        digest = hashlib.sha256(json.dumps(sorted(ids)).encode()).hexdigest()[:10]
        kept = {
            "created": time.time(),
            "user": user or access.account(),
            "runs": ids,
            "configs": [one.model_dump() for one in configs],
        }
        with say_unwritable("The sweep"):
            write_json(folder() / f"sweep-{digest}.json", kept)
    runs = []
    for run_id, config in zip(ids, configs, strict=True):
        with suppress(UserError):
            if anew and get_folder(run_id).state not in LIVE:
                runs.append(launch.resume(run_id, user=user, anew=True, engine=engine))
                continue
        runs.append(launch.submit(config, user=user, corpus=corpora[config.data], engine=engine))
    return runs


def get(sweep_id: str) -> Sweep:
    """Reads a sweep.

    Raises:
        UserError: not the id of a sweep, no such sweep, or its file is damaged.
    """
    file = folder() / f"{sweep_id}.json"
    if not SWEEP_ID.fullmatch(sweep_id) or not file.exists():
        raise UserError(f"There is no sweep '{sweep_id[:80]}'. `python -m core sweeps` lists them.")
    return _read(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=1000)
def _read(file: Path, changed: int) -> Sweep:  # noqa: ARG001 - a part of the key
    kept = read_json(file)
    try:
        held = SweepFile.model_validate(kept)
        configs = tuple(parse(RunConfig, values, where=file.name) for values in held.configs)
        runs = tuple(run_path(run_id).name for run_id in held.runs)
        if len(configs) != len(runs):
            raise UserError("settings and runs differ in number")
    except ValidationError as error:
        raise UserError(f"{file.name} is damaged ({describe(error.errors()[0])}): delete it; its runs stay.") from None
    except UserError as error:
        raise UserError(f"{file.name} is damaged ({error}): delete it; its runs stay.") from None
    return Sweep(file.stem, held.created, held.user, runs, configs)


def list_sweeps() -> list[Sweep]:
    """All sweeps, the newest first; one whose file is damaged is left out."""
    found = []
    for file in folder().glob("sweep-*.json"):
        with suppress(UserError, OSError):
            found.append(get(file.stem))
    return sorted(found, key=lambda sweep: -sweep.created)


def list_problems() -> list[str]:
    """A sentence on each sweep whose file is damaged."""
    found = []
    for file in sorted(folder().glob("sweep-*.json")):
        try:
            get(file.stem)
        except UserError as error:
            found.append(str(error))
    return found


def counts(sweep: Sweep, runs: Mapping[str, Folder]) -> dict[str, int]:
    """How many of its runs are in each state; `missing` are those that were never submitted or were deleted."""
    states = [runs[run_id].state if run_id in runs else "missing" for run_id in sweep.runs]
    return {state: states.count(state) for state in (*STATES, "missing") if state in states}


def stop(sweep_id: str, *, user: str = "") -> list[Run | Damaged]:
    """Stops all of its runs that have not ended."""
    there = {run.id for run in list_folders(published=False) if run.state in LIVE}
    return launch.stop_all([run_id for run_id in get(sweep_id).runs if run_id in there], user=user)


def resume(sweep_id: str, *, user: str = "", anew: bool = False, engine: str = "") -> list[Run]:
    """Submits again what has not finished: runs resume from their checkpoints, missing ones start; `anew`: all."""
    return submit(get(sweep_id).configs, user=user, anew=anew, engine=engine)

"""The run folder is the truth: ids, paths, states, listing, deletion. Readers never see a torn file.

`list_runs` and `get_run` give runs, whose settings can be read: of a damaged folder there is nothing, or a `UserError`.
`list_folders` and `get_folder` give damaged folders as well, which are shown, stopped and deleted like runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from core.config.parse import parse
from core.config.schema import RUN_PATTERN, Frozen, RunConfig
from core.runs import failures
from core.runs.cluster_state import LIVE, describe_end, read_cluster_state
from core.runs.journal import read_heartbeat, read_known_status, read_process
from core.runs.layout import alive_lock, job_file, runs_dir, stop_flag
from core.runs.settings import parse_config
from core.runs.unchanged import Unchanged
from core.system.access import check_writable
from core.system.errors import UserError
from core.system.files import (
    SMALL_BYTES,
    atomic_path,
    read_bytes,
    read_json,
    say_unwritable,
    write_json,
)
from core.system.locks import is_locked, locked
from core.system.places import cache_dir

STATES = (*LIVE, "finished", "failed", "stopped", "lost")
STOPPING = "writing a checkpoint, then it stops"
"""Phase of a run that was asked to stop and has not ended yet."""
RUN_ID = re.compile(RUN_PATTERN)


class About(Frozen):
    """What people wrote on a run; nothing of it is a part of the run's question or of its results."""

    name: str = Field("", max_length=80)
    notes: str = Field("", max_length=10_000)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=30)], ...] = Field((), max_length=20)
    pinned: bool = Field(False, description="listed before all others")
    archived: bool = Field(False, description="kept, but listed only where archived runs are asked for")


NOTHING_WRITTEN = About()
LEFT_AFTER = 3600.0
"""Seconds after which what is half-written is a leftover."""
TIMES = ("submitted", "started", "ended")
"""Entries of a status in unix seconds."""
SILENT = 90.0
"""Seconds without a heartbeat after which a running worker is said to stand still; it writes one every 2 seconds."""


@dataclass(frozen=True)
class Folder:
    """What a run's folder holds at one moment, but for its settings.

    Attributes:
        id: the folder's name.
        state: one of `STATES`; `lost` means that the worker ended without writing a status.
        reason: why it failed, was stopped or is lost, in words; empty otherwise.
        kind: of a failure, as `core.runs.failures.Failure` has it; empty otherwise.
        advice: what to do about it; may be empty.
        submitted: unix seconds, as `started` and `ended`; None where the status does not hold it.
        progress: `phase` in words, `fraction` 0..1 and, while a network trains, `epoch` and `epochs`; may be empty.
        device: the queue it waits in or, from its start on, its slot.
        user: who submitted it.
        imported: it came from a zip.
        published: it lies in `published_dir`: results to look at, most without weights, never changed.
        about: what people wrote on it.
        remark: what else is to be known of it, a sentence: a file is damaged that no result depends on, or its worker
            stands still; empty if there is nothing.
    """

    id: str
    path: Path
    state: str
    reason: str = ""
    kind: str = ""
    advice: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    user: str = ""
    imported: bool = False
    published: bool = False
    about: About = NOTHING_WRITTEN
    remark: str = ""

    @property
    def why(self) -> str:
        """The reason and what to do about it."""
        return " ".join(part for part in (self.reason, self.advice) if part)


@dataclass(frozen=True)
class Run(Folder):
    """A run whose settings and status can be read."""

    config: RunConfig = field(kw_only=True)


@dataclass(frozen=True)
class Damaged(Folder):
    """A run whose settings or status are damaged; it is `failed` where no state can be read.

    Attributes:
        problem: which file is damaged, and how, one sentence.
    """

    problem: str = field(kw_only=True)


def as_run(found: Run | Damaged) -> Run:
    """The run that a folder holds.

    Raises:
        UserError: it is damaged.
    """
    if isinstance(found, Damaged):
        raise UserError(found.problem)
    return found


def published_dir() -> Path:
    """Folder of runs that are shown beside those of `runs_dir` and never changed."""
    return cache_dir() / "published"


def run_id(config: RunConfig, fingerprint: str) -> str:
    """The name of the run with this config on data with this fingerprint: the same question has the same name."""
    question = json.dumps([config.model_dump(exclude_defaults=True, exclude={"track"}), fingerprint], sort_keys=True)
    digest = hashlib.sha256(question.encode()).hexdigest()[:10]
    if config.combined:
        return f"{config.data.name}-{config.model.name}-{digest}"
    loss = f"-{config.loss.name}" if config.loss else ""
    return f"{config.data.name}-{config.model.name}{loss}-s{config.seed}-{digest}"


def run_path(run_id: str) -> Path:
    """The folder of a run, which need not exist.

    Raises:
        UserError: the id has characters that no run id has, so it could point outside the runs' folder.
    """
    if not RUN_ID.fullmatch(run_id):
        raise UserError(
            f"'{run_id[:80]}' is no run id: ids are made of a-z, 0-9 and '-'. `python -m core runs` lists them."
        )
    return runs_dir() / run_id


def get_folder(run_id: str) -> Run | Damaged:
    """Reads the folder of one run; one's own goes before a published one of the same id.

    Raises:
        UserError: not a run id, or no such run.
    """
    path = run_path(run_id)
    for folder in (path, published_dir() / path.name):
        if folder.is_dir() and (found := read_folder(folder)).path.is_dir():  # not deleted meanwhile
            return found
    raise UserError(f"There is no run '{run_id}'. `python -m core runs` lists the runs there are.")


def get_run(run_id: str) -> Run:
    """Reads one run, as `get_folder` does.

    Raises:
        UserError: not a run id, no such run, or its folder is damaged.
    """
    return as_run(get_folder(run_id))


def list_folders(*, published: bool = True) -> list[Run | Damaged]:
    """All runs, the one submitted last first. A damaged folder hides no other.

    Args:
        published: those of `published_dir` as well.

    Returns:
        Empty before the first run.

    Raises:
        UserError: the folder of runs cannot be read.
    """
    paths: dict[str, Path] = {}
    for parent in (published_dir(), runs_dir()) if published else (runs_dir(),):
        try:
            paths |= {path.name: path for path in _find_folders(parent)}
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"The folder of runs, {parent}, cannot be read: {error.strerror}.") from None
    read = map(read_folder, paths.values())
    found = [one for one in read if isinstance(one, Run) or one.path.is_dir()]  # not deleted meanwhile
    return sorted(found, key=lambda one: (-(one.submitted or 0), one.id))


def _find_folders(parent: Path) -> Iterator[Path]:
    """The folders in a folder, and links to some, that are named like runs."""
    with os.scandir(parent) as entries:
        for entry in entries:
            path = parent / entry.name
            if RUN_ID.fullmatch(entry.name) and (entry.is_dir(follow_symlinks=False) or path.is_dir()):
                yield path


def list_runs(*, published: bool = True) -> list[Run]:
    """The runs of `list_folders` whose folders are not damaged, in the same order."""
    return [one for one in list_folders(published=published) if isinstance(one, Run)]


def checkpoint_dir(path: Path) -> Path:
    """Folder of a run's checkpoints."""
    return path / "checkpoint"


def has_checkpoint(path: Path) -> bool:
    """Whether a run can be resumed from where it was; else it starts from its first step."""
    return any(checkpoint_dir(path).glob("[0-9]*"))


def read_config(path: Path) -> RunConfig:
    """The settings of the run in a folder.

    Raises:
        UserError: `config.json` is missing or damaged.
    """
    return parse_config(read_bytes(f"{path}/config.json", most=SMALL_BYTES), path.name)


_ended: Unchanged[Run] = Unchanged("config.json", "status.json", "about.json")
"""Runs that have said how they ended: nothing but these files tells anything of them."""


def read_folder(path: Path) -> Run | Damaged:
    """Reads the folder of a run; one whose settings or status cannot be read is `Damaged`."""
    folder = str(path)
    version, known = _ended.find(folder)
    if known is not None:
        return known
    status, problem = _read_status(path)
    state = status["state"]
    found, problem = _read_state(path, status, problem)
    try:
        config = read_config(path)
    except UserError as error:
        return Damaged(**found, problem=str(error))
    if problem:
        return Damaged(**found, problem=problem)
    run = Run(**found, config=config)
    if state not in LIVE:
        _ended.keep(folder, version, run)
    return run


def _read_state(path: Path, status: dict[str, Any], problem: str) -> tuple[dict[str, Any], str]:
    """The fields of a `Folder` from its status, and what is wrong with that: empty if nothing is."""
    said = ""
    if status["state"] in LIVE and os.path.lexists(job_file(path)):
        status, problem, said = read_cluster_state(path, status, problem, lambda: _read_status(path))
    elif status["state"] in LIVE:
        status, problem = _read_local_state(path, status, problem)
        # Of clusters' nodes the clocks may differ from this one.
        silent = time.time() - read_heartbeat(path).get("time", math.inf)
        if status["state"] == "running" and silent > SILENT:
            said = _describe_silence(path.name, silent)
    about, remark = _read_about(path)
    words = ("state", "kind", "reason", "advice", "device", "user")
    found = {key: status.get(key, "") for key in words} | {key: status.get(key) for key in TIMES}
    found |= {
        "id": path.name,
        "path": path,
        "progress": status.get("progress") or {},
        "imported": bool(status.get("imported")),
        "published": os.path.dirname(path) == str(published_dir()),
        "about": about,
        "remark": f"{said} {remark}".strip(),
    }
    return found, problem


def _read_local_state(path: Path, status: dict[str, Any], problem: str) -> tuple[dict[str, Any], str]:
    """The status of a run of this machine, whose worker holds a lock as long as it lives, and what is wrong with it."""
    # A state that only a living worker can have is another without it. The worker writes its last status before it
    # ends, a request to stop is there before its worker is killed, and who resumes a run holds its lock before that
    # request goes: so all is read again until nothing has changed between two looks at the lock.
    while status["state"] in LIVE and not is_locked(lock := alive_lock(path)):
        status, problem = _read_status(path)
        asked, death = stop_flag(path).exists(), _find_death(path)
        if status["state"] not in LIVE:
            break
        if not is_locked(lock) and asked == stop_flag(path).exists():
            status |= describe_end(asked, death)
    return status, problem


def _describe_silence(run_id: str, seconds: float) -> str:
    """What is known of a run whose worker lives and writes no heartbeat."""
    return (
        f"No sign of life for {seconds:,.0f} s: its worker stands still, or the machine is overloaded. Stopping it "
        f"(`python -m core stop {run_id}`) makes its place free, and it can be resumed."
    )


def _read_status(path: Path) -> tuple[dict[str, Any], str]:
    """The status in a folder, that of a failed run where it is damaged, and what is wrong with it."""
    try:
        status, wrong = read_known_status(path)
    except UserError as error:
        reason = "Its status file is damaged: delete the run and train it again."
        return {"state": "failed", "reason": reason}, str(error)
    return status, f"{path.name}: status.json is damaged ({'; '.join(wrong)[:300]})." if wrong else ""


def _find_death(path: Path) -> failures.Failure:
    """What is known of how the worker of a lost run ended."""
    config = None
    with suppress(UserError):
        config = read_config(path)
    return failures.of_death(read_process(path), read_heartbeat(path), config)


def _read_about(path: Path) -> tuple[About, str]:
    """What people wrote on a run, and a sentence if that is damaged, which no result depends on."""
    file = f"{path}/about.json"
    if not os.path.lexists(file):
        return NOTHING_WRITTEN, ""
    try:
        return parse(About, read_json(Path(file), most=SMALL_BYTES), where=f"{path.name}: about.json"), ""
    except UserError as error:
        return NOTHING_WRITTEN, f"{error} Its name, notes and tags are not shown: delete that file."


def save_about(run_id: str, **changes: Any) -> About:
    """Changes what people wrote on a run. Two people who change different entries at once lose neither.

    Args:
        run_id: of a run, which may be damaged.
        changes: by the entries of `About`; the others stay.

    Returns:
        What is written on it now.

    Raises:
        UserError: no such run, a published one, a name, note or tag that is too long, or what is written is damaged.
    """
    check_writable()
    run = get_folder(run_id)
    if run.published:
        raise UserError(f"Run {run_id} is published and never changed.")
    with say_unwritable(f"What is written on run {run_id}"), locked(cache_dir() / "locks" / "about.lock"):
        written, damaged = _read_about(run.path)
        if damaged:
            raise UserError(damaged)
        about = parse(About, {**written.model_dump(), **changes}, where=run_id)
        write_json(run.path / "about.json", about.model_dump())
    return about


@contextmanager
def new_folder(target: Path, taken: str) -> Iterator[Path]:
    """A folder to fill, which is moved to `target` at the end.

    Args:
        target: where it will lie.
        taken: the message if that exists already.

    Raises:
        UserError: `target` exists, before or at the end.
    """
    if target.exists():
        raise UserError(taken)
    try:
        with atomic_path(target) as folder:
            folder.mkdir()
            yield folder
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UserError(taken) from None
        raise


def disk_use(path: Path) -> int:
    """Bytes that a folder's files take; 0 if it is empty, and a file that goes away meanwhile counts nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


ENDING_SECONDS = 3.0
"""For which a process is waited for whose run has ended."""


def is_worked_on(found: Run | Damaged) -> bool:
    """Whether a process works on a run; one that has said how its run ended is waited for: it lives a moment longer."""
    lock, until = alive_lock(found.path), time.monotonic() + ENDING_SECONDS
    while found.state not in LIVE and is_locked(lock) and time.monotonic() < until:
        time.sleep(0.05)
    return found.state in LIVE or is_locked(lock)


def delete_run(run_id: str) -> None:
    """Removes a run's folder, damaged or not.

    Raises:
        UserError: no such run, it is published, or it is queued or running.
    """
    run = get_folder(run_id)
    if run.published:
        raise UserError(f"Run {run_id} is published: it is there to be looked at, and is not deleted here.")
    if is_worked_on(run):
        raise UserError(f"Run {run_id} is {run.state}: stop it first (`python -m core stop {run_id}`), then delete it.")
    # The name goes first: whoever lists runs sees the whole folder or none.
    gone = run.path.with_name(f".{run_id}.gone")
    with say_unwritable(f"Run {run_id}", "deleted"):
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(run.path, gone)
        shutil.rmtree(gone)


def remove_half_written(path: Path) -> None:
    """Removes from a run's folder what its worker was writing when it was killed."""
    for left in path.glob("**/.*/"):
        shutil.rmtree(left, ignore_errors=True)


def remove_leftovers() -> None:
    """Removes from the runs' folder what processes that were killed have left half-written there an hour ago or more.

    Nothing there that begins with a dot is a run; what is younger may be at work.
    """
    for left in runs_dir().glob(".*"):
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime > LEFT_AFTER:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

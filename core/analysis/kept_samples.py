"""Scores of runs with resamples, kept on disk between two starts: `sample` is `core.analysis.samples.sample`, once.

A finished run never changes, and what a rule makes of it takes fifty times as long as to read that again. A file is
found by a digest of all that its numbers depend on: the content of the run's files, its settings, the rule, the
borders, every module of this program, and the libraries that do the arithmetic. Whatever changes leads to another name,
so that no file is ever out of date, and the old one is deleted when there are too many. Nothing is kept by a process
whose modules are not those on disk, nor of files that changed while they were read. A file that is damaged, cut short
or another one under this name is made anew. Two processes that make the same one write the same, each as a whole.

Machines of one kind that share a cache share these files: whole numbers are counted alike everywhere, and the
resamples of `RANKING`, products of float32, may differ in their last digits from one processor to another, and from one
number of threads to another.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy

from core.analysis import samples
from core.analysis.decisions import AS_TRAINED, KEPT, Read
from core.analysis.samples import RANKING, Sampled
from core.labels.groups import Borders
from core.metrics import resampled_ranking, uncertainty
from core.runs.folder import Run
from core.runs.predictions import read_predictions
from core.runs.unchanged import Unchanged, find_version
from core.system import STARTED
from core.system.arrays import read_arrays
from core.system.errors import UserError
from core.system.files import atomic_path, read_bytes
from core.system.places import ROOT, cache_dir

FILES = ("metrics.json", "predictions.npz", "validation.npz")
"""Files of a run that its scores come from."""
THRESHOLDS = "thresholds.json"
"""The file with what people keep, which kept thresholds alone come from."""
MOST = 2000
"""Files that are kept, of a tenth of a megabyte each; then those that nobody has read for longest go, down to half."""
MOST_BYTES = 1 << 22
"""Of one of them."""
_digests: Unchanged[str] = Unchanged(*FILES)


def samples_dir() -> Path:
    """Where they are kept."""
    return cache_dir() / "samples"


def sample(run: Run, borders: Borders, rule: str = AS_TRAINED, *, read: Read = read_predictions) -> Sampled:
    """A run's scores with resamples, as `core.analysis.samples.sample` gives them, which raises what this raises."""
    code = _digest_of_code() if run.state == "finished" else ""
    before = find_version(str(run.path), (*FILES, THRESHOLDS))
    key = _key(run, rule, _describe(run, borders, code)) if code else ""
    path = samples_dir() / f"{key}.npz"
    if key and (found := _read(path, key, rule)):
        return found
    made = samples.sample(run, borders, rule, read=read)
    if key and find_version(str(run.path), (*FILES, THRESHOLDS)) == before:
        _write(path, key, made)
    return made


def find_missing(runs: Sequence[Run], borders: Borders, rules: Sequence[str]) -> list[tuple[Run, str]]:
    """Finished runs and rules of which nothing is kept, rule by rule; none where this process would keep nothing."""
    code, there = _digest_of_code(), set[str]()
    if not code:
        return []
    with suppress(OSError):  # nothing is kept yet
        there = set(os.listdir(samples_dir()))
    known = [(run, _describe(run, borders, code)) for run in runs if run.state == "finished"]
    return [(run, rule) for rule in rules for run, parts in known if f"{_key(run, rule, parts)}.npz" not in there]


@lru_cache(maxsize=1)
def _digest_of_code() -> str:
    """A digest of this program's modules and of what they compute with; empty if a module changed since the start."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "core").rglob("*.py")):
        try:
            if path.stat().st_ctime > STARTED:
                return ""
            content = path.read_bytes()
        except OSError:
            return ""
        digest.update(f"{path.relative_to(ROOT)} {len(content)} ".encode() + content)
    arithmetic = (np.__version__, scipy.__version__, platform.python_version(), platform.machine())
    digest.update(" ".join(arithmetic).encode())
    return digest.hexdigest()


def _describe(run: Run, borders: Borders, code: str) -> str:
    """What a run's scores depend on at any rule."""
    version, content = _digests.find(str(run.path))
    if content is None:
        content = _digest_of_files(run, FILES)
        _digests.keep(str(run.path), version, content)
    return "\n".join((code, content, run.config.model_dump_json(), repr(borders)))


def _key(run: Run, rule: str, parts: str) -> str:
    """The digest of all that a run's scores depend on; `parts` of `_describe`."""
    kept = _digest_of_files(run, (THRESHOLDS,)) if rule.startswith(KEPT) else ""
    return hashlib.sha256("\n".join((parts, kept, rule)).encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of_files(run: Run, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        try:
            content = read_bytes(run.path / name)
        except UserError:
            digest.update(f"{name} cannot be read ".encode())
        else:
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _read(path: Path, key: str, rule: str) -> Sampled | None:
    """What a file keeps; None if it is missing, or is not what was written under this key."""
    if not os.path.lexists(path):
        return None
    columns = len(resampled_ranking.COLUMNS if rule == RANKING else uncertainty.COLUMNS)
    shapes = {"scores": (columns,), "samples": (uncertainty.FOLDS, columns)}
    counted = {} if rule == RANKING else {"hits": (columns,), "labels": (columns,)}
    try:
        found = read_arrays(path, most=MOST_BYTES)
        if set(found) != {"key", *shapes, *counted} or found["key"].tolist() != key:
            return None
    except (UserError, ValueError):
        return None
    for name, shape in (shapes | counted).items():
        if found[name].shape != shape or found[name].dtype != (np.int64 if name in counted else np.float64):
            return None
    with suppress(OSError):
        os.utime(path)  # it is in use
    return samples.of_one(found["scores"], found["samples"], found.get("hits"), found.get("labels"))


def _write(path: Path, key: str, made: Sampled) -> None:
    """Keeps scores; a disk that is full or not to be written keeps none."""
    arrays = {"key": np.array(key), "scores": made.scores, "samples": made.samples}
    if made.hits is not None and made.labels is not None:
        arrays |= {"hits": made.hits, "labels": made.labels}
    with suppress(OSError):
        _make_room(path.parent)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _make_room(folder: Path) -> None:
    """Deletes those that nobody has read for longest, and what killed processes left, where there are too many."""
    with suppress(FileNotFoundError):
        found = list(os.scandir(folder))
        if len(found) < MOST:
            return
        ages = {}
        for entry in found:
            with suppress(FileNotFoundError):  # another process deletes them as well
                ages[entry.path] = entry.stat(follow_symlinks=False).st_mtime
        for path in sorted(ages, key=ages.__getitem__)[: len(found) - MOST // 2]:
            with suppress(OSError):
                os.unlink(path)
            shutil.rmtree(path, ignore_errors=True)

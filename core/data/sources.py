"""Data sets by name: found, prepared in the cache once, then opened from there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.config.schema import DataConfig, FileConfig, SplitConfig, SyntheticConfig
from core.data.added import Registered, find_registered, open_registered, register, registered_dir
from core.data.corpus import FORMAT, Corpus, Report, Split, open_corpus, open_whole, write_corpus
from core.data.download import downloads
from core.data.readers import SGML_FILE, label_names, make_synthetic
from core.data.reuters import NAMES, SPLITS, reuters_records, split_rows
from core.system.errors import UserError, choose
from core.system.files import atomic_path, is_text, show_path, write_text
from core.system.locks import locked
from core.system.places import cache_dir


@dataclass(frozen=True)
class Source:
    """Whether and where a data set was found, in words for the reader."""

    name: str
    found: bool
    place: str
    sentence: str
    splits: tuple[str, ...]
    downloadable: bool
    prepared: bool


def load(config: DataConfig, *, progress: Report | None = None) -> Corpus:
    """Finds a data set, prepares it if that has not been done, and opens the prepared copy.

    Args:
        config: name, split and, for `synthetic`, its size.
        progress: called with a phase in words and a fraction 0..1.

    Raises:
        UserError: unknown name or split, not found, unreadable, damaged, or the disk is full.
    """
    added = find_registered()
    choose("data set", config.name, [*NAMES, *added])
    choose(f"split of '{config.name}'", config.split, splits_of(config.name))
    # An added set has its copy already.
    if config.name in added:
        return open_registered(_checked(added[config.name]))
    report = progress or (lambda *_: None)
    try:
        # The prepared copy is named by content: settings of the synthetic corpus, or digest of the source.
        if config.name == "synthetic":
            path, source = None, "Built in: made on this machine from a seed"
            folder = _folder("synthetic", config.synthetic.model_dump())
        else:
            path = _find(config.name)
            source = f"Reuters-21578 at {path}"
            folder = _folder(config.name, _source_sha256(config.name, path))
        split: Split = partial(split_rows, config.name, config.split)
        corpus = open_whole(folder, config.name, config.split, source, split)
        if corpus is None:
            with locked(folder.with_name(f"{folder.name}.lock")):
                # Another process may have made it meanwhile.
                corpus = open_whole(folder, config.name, config.split, source, split)
                if corpus is None:
                    notes = (COPY_WAS_DAMAGED,) if folder.exists() else ()
                    _prepare(folder, config, path, report)
                    corpus = open_corpus(folder, config.name, config.split, source, split)
                    corpus = replace(corpus, notes=(*corpus.notes, *notes))
    except OSError as error:
        raise UserError(
            f"The prepared copy of '{config.name}' cannot be kept in {cache_dir() / 'data'}: {error.strerror or error}."
            " Make room there, or name another folder in TAILSCOPE_CACHE."
        ) from None
    report("ready", 1.0)
    return corpus


def splits_of(name: str) -> tuple[str, ...]:
    """Named splits of a data set, the usual one first.

    Raises:
        UserError: an added data set whose description is damaged.
    """
    added = find_registered()
    return (_checked(added[name]).split.made,) if name in added else SPLITS


def default_config(name: str, split: str | None = None) -> DataConfig:
    """A data set with its usual split, or with the one named.

    Raises:
        UserError: there is no such data set or split.
    """
    choose("data set", name, [*NAMES, *find_registered()])
    offered = splits_of(name)
    return DataConfig(name=name, split=choose(f"split of '{name}'", split or offered[0], offered))


def _checked(added: Registered | str) -> Registered:
    if isinstance(added, str):
        raise UserError(added)
    return added


# Where data sets are found.


def folders() -> list[Path]:
    """Where data sets are looked for: the folders of `TAILSCOPE_DATA`, then the cache's downloads."""
    return [*_named_folders(), downloads()]


def _named_folders() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get("TAILSCOPE_DATA", "").split(os.pathsep) if part]


def _find_place(name: str) -> tuple[Path | None, list[str]]:
    """The first place that holds a data set, and the problems met on the way."""
    problems: list[str] = []
    fetched = os.path.abspath(downloads())
    for folder in folders():
        if not is_text(str(folder)):
            problems.append(f"{show_path(folder)} has bytes that are no UTF-8: rename that folder.")
            continue
        try:
            if folder.is_dir():
                found = next((place for place in _candidates(name, folder) if _holds(name, place)), None)
                if found:
                    return found, problems
            elif os.path.abspath(folder) != fetched:
                problems.append(f"{folder}, named in TAILSCOPE_DATA, is not a folder that exists.")
        except PermissionError as error:
            problems.append(f"{error.filename} cannot be read: permission denied.")
    return None, problems


def _candidates(name: str, folder: Path) -> list[Path]:
    if name == "reuters":
        archive = "reuters21578.tar.gz"
        return [folder / "reuters21578" / archive, folder / archive, folder / "reuters21578", folder]
    bases = (folder, folder / "corpora")
    return [*(base / part for base in bases for part in ("reuters", "reuters.zip")), folder]


def _holds(name: str, path: Path) -> bool:
    if not path.is_dir():
        return path.is_file()
    entries = os.listdir(path)
    if name == "reuters":
        return any(SGML_FILE.fullmatch(entry) for entry in entries)
    return {"cats.txt", "training", "test"} <= set(entries)


def _find(name: str) -> Path:
    path, problems = _find_place(name)
    if path is None:
        raise UserError(f"Data set '{name}' was not found. {_how_to_get(name, problems)}")
    return path


def _how_to_get(name: str, problems: list[str]) -> str:
    named = ", ".join(map(show_path, _named_folders()))
    where = f"Searched: {named}." if named else "TAILSCOPE_DATA names no folder to search."
    what = "reuters21578.tar.gz" if name == "reuters" else "NLTK's reuters.zip"
    fetch = ", or fetch it with `python -m core data download reuters`" if name == "reuters" else ""
    return " ".join([*problems, where, f"Put {what} into a folder and name that in TAILSCOPE_DATA{fetch}."])


def available() -> list[Source]:
    """Every data set, found or not, with a sentence for the reader. Reads folder listings only."""
    sources = []
    for name in NAMES[:2]:
        path, problems = _find_place(name)
        if path is None:
            sentence = f"Not found. {_how_to_get(name, problems)}"
            sources.append(Source(name, False, "", sentence, SPLITS, name == "reuters", False))
        else:
            sentence = " ".join([f"Found at {path}.", *problems])
            sources.append(Source(name, True, str(path), sentence, SPLITS, False, _is_prepared(name, path)))
    sentence = "Built in: made on this machine from a seed, of any size."
    prepared = _folder("synthetic", SyntheticConfig().model_dump()).is_dir()
    sources.append(Source("synthetic", True, "built in", sentence, SPLITS, False, prepared))
    return [*sources, *(_added_source(name, added) for name, added in find_registered().items())]


def _added_source(name: str, added: Registered | str) -> Source:
    place = str(registered_dir() / f"{name}.json")
    if isinstance(added, str):
        return Source(name, False, "", added, (), False, False)
    sentence = (
        f"Added from {Path(added.path).name}: {added.documents:,} documents, {added.labels:,} labels, "
        f"split '{added.split.made}'."
    )
    return Source(name, True, place, sentence, (added.split.made,), False, True)


def add(
    name: str,
    path: Path,
    file: FileConfig,
    split: SplitConfig,
    choices: Mapping[str, str] | None = None,
    *,
    progress: Report | None = None,
    folder: Path | None = None,
) -> Registered:
    """Keeps a user's own file as a data set: see `added.register`."""
    return register(name, path, file, split, choices, reserved=NAMES, report=progress, folder=folder)


def _is_prepared(name: str, path: Path) -> bool:
    try:
        known = _memo(name, path)
        return known.is_file() and _folder(name, known.read_text().strip()).is_dir()
    except OSError:
        return False


def default_name() -> str:
    """`reuters` where it is found, else `synthetic`."""
    return "reuters" if _find_place("reuters")[0] else "synthetic"


def why_default() -> str:
    """Which data set is shown first, and why."""
    path, problems = _find_place("reuters")
    if path:
        return " ".join([f"Reuters-21578 is shown first: it was found at {path}.", *problems])
    why = "The built-in synthetic set is shown first, because Reuters-21578 was not found."
    return f"{why} {_how_to_get('reuters', problems)}"


def files_to_share(config: DataConfig) -> dict[str, Path]:
    """What another machine needs for a data set, by names in a cache: registration, prepared copy, source.

    The files of a source stand below `downloads/<name>/`, and go to `downloads/` there. The synthetic set needs none.

    Raises:
        UserError: it cannot be loaded.
    """
    load(config)
    if config.name == "synthetic":
        return {}
    added = find_registered()
    if config.name in added:
        made = cache_dir() / "data" / _checked(added[config.name]).folder
        shared = {f"data/registered/{config.name}.json": registered_dir() / f"{config.name}.json"}
    else:
        path = _find(config.name)
        made = _folder(config.name, _source_sha256(config.name, path))
        inner = {"reuters": "reuters21578", "reuters-nltk": "reuters"}[config.name]
        start = f"downloads/{config.name}/{'' if path.is_file() else f'{inner}/'}"
        home = path.parent if path.is_file() else path
        shared = {f"{start}{file.relative_to(home)}": file for file in _files(config.name, path)}
    return shared | {f"data/{made.name}/{file.name}": file for file in sorted(made.iterdir()) if file.is_file()}


# The prepared copy.

COPY_WAS_DAMAGED = "The prepared copy in the cache was damaged; it was made anew."


def _files(name: str, path: Path) -> list[Path]:
    """All files that a source consists of."""
    if path.is_file():
        return [path]
    if name == "reuters":
        return sorted(file for file in path.iterdir() if SGML_FILE.fullmatch(file.name))
    stories = (file for part in ("training", "test") for file in path.joinpath(part).iterdir())
    return [path / "cats.txt", *sorted(stories)]


def _memo(name: str, path: Path) -> Path:
    """File that caches the SHA-256 of a source, so that an unchanged source is not read again.

    Unchanged means: same sizes and times. Of NLTK's folder, whose thousands of files take long to ask, it is
    `cats.txt` and the two folders themselves; a story edited in place is not detected.
    """
    nltk = name == "reuters-nltk" and path.is_dir()
    watched = [path / part for part in ("cats.txt", "training", "test")] if nltk else _files(name, path)
    states = [(str(file.absolute()), (state := file.stat()).st_size, state.st_mtime_ns) for file in watched]
    key = hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]
    return cache_dir() / "data" / "sources" / f"{name}-{key}.txt"


def _source_sha256(name: str, path: Path) -> str:
    try:
        memo = _memo(name, path)
        if memo.is_file() and re.fullmatch("[0-9a-f]{64}", known := memo.read_text().strip()):
            return known
        digest = hashlib.sha256()
        for file in _files(name, path):
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)} ".encode() + content)
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. Check the path and its rights."
        ) from None
    write_text(memo, digest.hexdigest())
    return digest.hexdigest()


def _folder(name: str, source: Any) -> Path:
    key = hashlib.sha256(json.dumps([FORMAT, name, source], sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "data" / f"{name}-{key}"


def _prepare(folder: Path, config: DataConfig, path: Path | None, report: Report) -> None:
    """Writes the prepared copy, after removing a damaged one and leftovers of killed processes; call under the lock."""
    for leftover in (folder, *folder.parent.glob(f".{folder.name}.*")):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        if path is None:
            made = make_synthetic(config.synthetic)
            write_corpus(temporary, label_names(config.synthetic), made, config.synthetic.documents, report)
        else:
            names, records = reuters_records(config.name, path, report)
            write_corpus(temporary, names, records, len(records), lambda words, done: report(words, 0.8 + done / 5))

"""Runs on a store: who submits a run sends its folder, a node works on a copy and sends what it writes, pages fetch it.

Each object has one writer at a time: while a run is on a cluster, its node writes what the run makes, and who submitted
it writes the rest. What is sent last says the most: a status comes after the files that it speaks of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.runs.folder import RUN_ID
from core.runs.layout import stop_flag
from core.system.errors import UserError
from core.system.files import Broken, atomic_path, parse_json, read_fields, write_json, write_text
from core.system.locks import locked
from core.system.places import cache_dir
from core.system.store import Store

OURS = ("config.json", "about.json", "engine.json", "stop")
"""Files that who submits a run writes, and no node."""
STAYS = ("alive.lock", "process.json")
"""Files that speak of one machine."""
CHECKPOINTS = "checkpoint"
LAST = "status.json"
EVENTS = "events.jsonl"


class NotThere(UserError):
    """The store has no such run."""


Sent = dict[str, tuple[int, int]]
"""Size and time of the files that a process has sent, by their names."""


def send_run(store: Store, path: Path, *, only: str = "") -> None:
    """Makes a run's folder on the store what it is here, before a cluster gets the run.

    Args:
        store: where to.
        path: the run's folder.
        only: the name of one file, which alone is sent.

    Raises:
        StoreSilent: the store does not answer.
    """
    home = f"runs/{path.name}"
    if only:
        store.put(path / only, f"{home}/{only}")
        return
    names = _list_files(path)
    found = store.list_objects(home)
    store.remove(f"{home}/{name}" for name in found if name not in names)
    for name in _status_last(names):
        # A checkpoint never changes: one that is there in its size is there.
        kept = name.startswith(CHECKPOINTS) and found.get(name, "").startswith(f"{(path / name).stat().st_size} ")
        if not kept:
            store.put(path / name, f"{home}/{name}")


def send_work(store: Store, path: Path, sent: Sent) -> None:
    """Sends what a worker has written since the last time, and removes from the store what it has removed.

    Args:
        store: where to.
        path: the run's folder on this node.
        sent: what this process has sent; changed in place.

    Raises:
        StoreSilent: the store does not answer; the rest is sent the next time.
    """
    home = f"runs/{path.name}"
    # The list comes first: a checkpoint that is on it is older than the lines of history that are sent before it.
    names = [name for name in _list_files(path) if name not in OURS]
    for name in _status_last(sorted(names, key=lambda name: name.startswith(CHECKPOINTS))):
        with suppress(FileNotFoundError):  # removed by the worker meanwhile
            state = (path / name).stat()
            version = (state.st_size, state.st_mtime_ns)
            if sent.get(name) != version:
                store.put(path / name, f"{home}/{name}")
                sent[name] = version
    gone = [name for name in sent if name not in names]
    store.remove(f"{home}/{name}" for name in gone)
    for name in gone:
        del sent[name]


def fetch_run(store: Store, path: Path) -> Sent:
    """Makes a run's folder on this node what it is on the store.

    Returns:
        What need not be sent again.

    Raises:
        NotThere: the store has no such run.
        StoreSilent: it does not answer.
    """
    home, found = _find_run(store, path)
    for name in _list_files(path):
        if name not in found:
            (path / name).unlink(missing_ok=True)
    for name in _status_last(list(found)):
        store.get(f"{home}/{name}", path / name)
    states = {name: (path / name).stat() for name in found if (path / name).is_file()}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in states.items() if name not in OURS}


def receive_run(store: Store, path: Path, *, checkpoints: bool = False) -> None:
    """Brings here what a node has written of a run, or the whole of a run that is not here.

    Args:
        store: where from.
        path: the run's folder here.
        checkpoints: bring them too: the run is to go on here.

    Raises:
        NotThere: the store has no such run.
        StoreSilent: it does not answer.
    """
    home, found = _find_run(store, path)
    note = cache_dir() / "store" / f"{path.name}.json"
    with locked(cache_dir() / "locks" / "store.lock"):
        known = _read_versions(note) if path.is_dir() else {}
        wanted = [name for name in found if checkpoints or not name.startswith(f"{CHECKPOINTS}/")]
        if not path.is_dir():
            with atomic_path(path) as temporary:
                for name in wanted:
                    store.get(f"{home}/{name}", temporary / name)
        else:
            changed = [name for name in wanted if name not in OURS and found[name] != known.get(name)]
            for name in _status_last(changed):
                if name == EVENTS:
                    _merge_events(store, f"{home}/{name}", path / name)
                else:
                    store.get(f"{home}/{name}", path / name)
        write_json(note, known | {name: found[name] for name in wanted})


def _find_run(store: Store, path: Path) -> tuple[str, dict[str, str]]:
    """The folder of a run on the store, and its objects."""
    home = f"runs/{path.name}"
    found = store.list_objects(home)
    if "config.json" not in found:
        raise NotThere(f"The store {store.url} has no run {path.name}.")
    return home, found


def forget_run(store: Store, run_id: str) -> None:
    """Removes a run from the store, and what is noted of it here."""
    home = f"runs/{run_id}"
    names = list(store.list_objects(home))
    # Without its settings it is no run any more, whatever becomes of the rest.
    store.remove(f"{home}/{name}" for name in sorted(names, key=lambda name: name != "config.json"))
    (cache_dir() / "store" / f"{run_id}.json").unlink(missing_ok=True)


def receive_status(store: Store, path: Path) -> None:
    """Brings a run's status to a node whose process is not the first of the run.

    Raises:
        StoreSilent: the store does not answer.
    """
    store.get(f"runs/{path.name}/{LAST}", path / LAST)


def ask_to_stop(store: Store, path: Path) -> None:
    """Puts the request to stop where the run's node looks for it."""
    store.put(stop_flag(path), f"runs/{path.name}/{stop_flag(path).name}")


def is_asked_to_stop(store: Store, path: Path) -> bool:
    """Whether the request to stop lies on the store."""
    return store.has(f"runs/{path.name}/{stop_flag(path).name}")


def list_run_ids(store: Store) -> list[str]:
    """The runs on the store."""
    return [name for name in store.list_folders("runs") if RUN_ID.fullmatch(name)]


def send_data(store: Store, files: dict[str, Path]) -> None:
    """Sends the files of a data set that the store does not have.

    Args:
        store: where to.
        files: by their names in a cache, as `core.data.sources.files_to_share` gives them.
    """
    folders = {name.rpartition("/")[0] for name in files}
    there = {f"{folder}/{name}" for folder in folders for name in store.list_objects(folder)}
    for name, path in files.items():
        if name not in there:
            store.put(path, name)


def fetch_data(store: Store, name: str) -> None:
    """Brings a data set to this node, once for all runs on it: its registration, its prepared copy, its source.

    Raises:
        StoreSilent: the store does not answer.
    """
    with locked(cache_dir() / "locks" / "store.lock"):
        for folder in store.list_folders("data"):
            place = cache_dir() / "data" / folder
            if folder.rpartition("-")[0] == name and not place.exists():
                with atomic_path(place) as temporary:
                    for file in store.list_objects(f"data/{folder}"):
                        store.get(f"data/{folder}/{file}", temporary / file)
        source = f"downloads/{name}"
        for file in store.list_objects(source):
            place = cache_dir() / "downloads" / file
            if not place.exists():
                store.get(f"{source}/{file}", place)
        store.get(f"data/registered/{name}.json", cache_dir() / "data" / "registered" / f"{name}.json")


def _list_files(path: Path) -> list[str]:
    """The files of a run's folder, by their names in it, but for what is being written or speaks of this machine."""
    return [name for name in _walk(path, "") if name not in STAYS]


def _walk(folder: Path, start: str) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{start}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield f"{start}{entry.name}"


def _status_last(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: name == LAST)


def _read_versions(note: Path) -> dict[str, str]:
    """What is noted of a run's objects; nothing where the note is missing or damaged: they are fetched again."""
    try:
        values, _ = read_fields(note)
    except UserError:
        return {}
    return {name: version for name, version in values.items() if isinstance(version, str)}


def _merge_events(store: Store, name: str, path: Path) -> None:
    """Adds what a node has written of events to what is written of them here, in the order of their times."""
    node = cache_dir() / "store" / f"{path.parent.name}.events"
    store.get(name, node)
    lines = dict.fromkeys([*_read_text_lines(path), *_read_text_lines(node)])
    node.unlink(missing_ok=True)
    write_text(path, "".join(f"{line}\n" for line in sorted(lines, key=_time_of)))


def _read_text_lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _time_of(line: str) -> float:
    """The time of an event; a damaged line comes first."""
    try:
        return float(parse_json(line)["time"])
    except (Broken, ValueError, TypeError, KeyError):
        return 0.0

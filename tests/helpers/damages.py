"""What can happen to a file of a run's folder: one function for each damage, from its content to what is written."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.runs import folder, journal, results
from core.runs.folder import Run
from core.system import processes
from core.system.files import write_json
from tests.helpers.scored import make_run

DIGITS = b"1" * 4301
DEEP = b"[" * 10_000 + b"]" * 10_000
NUMBERS = {"NaN": b"NaN", "Infinity": b"Infinity", "4,301 digits": DIGITS, "400 digits": b"1" * 400, "1e400": b"1e400"}
VALUES: dict[str, Any] = {
    "a text": "x",
    "a list": [1],
    "an object": {"a": 1},
    "null": None,
    "negative": -5,
    "huge": 1e300,
}
WHOLE: dict[str, bytes] = {
    **{"empty": b"", "a list": b"[]", "null": b"null", "a text": b'"x"', "a number": b"5", "an empty object": b"{}"},
    **{name: b'{"state": "finished", "a": ' + value + b"}" for name, value in NUMBERS.items()},
    "depth 10,000": DEEP,
    "depth 100": b'{"a":' * 100 + b"1" + b"}" * 100,
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "half a letter": b'{"state": "finished", "reason": "\\ud800"}',
    "NUL bytes": b"\0" * 100,
}
"""Contents in the place of a file's own."""
LINKS = ("a folder", "a link to nowhere", "a link to itself", "a pipe")
"""What is no file in the place of one."""


def flip(content: bytes, seed: int, bits: int = 4) -> bytes:
    """A content with some bits the other way round."""
    changed, chance = bytearray(content), random.Random(seed)
    for _ in range(bits if content else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


FEW = ("a text", "null", "negative", "NaN", "400 digits")
"""Of `VALUES` and `NUMBERS`: one of each kind."""


def damages(content: bytes, *, flips: int = 3, each: tuple[str, ...] = FEW) -> dict[str, bytes]:
    """What a file may hold after an accident, by the name of the accident.

    Of JSON, each entry in turn is missing, or has another value; of lines, those of the last one.

    Args:
        content: of the whole file.
        flips: in how many ways four bits are flipped.
        each: the values of `VALUES` and `NUMBERS` that entries get.
    """
    found = {**WHOLE, "cut": content[: len(content) // 2], "cut by a byte": content[:-3]}
    found |= {f"bits flipped ({seed})": flip(content, seed) for seed in range(flips)}
    try:
        *before, last = content.rstrip().rsplit(b"\n", 1) if content[:2] != b"{\n" else (content,)
        entries = json.loads(last)
    except ValueError:
        return found
    if not isinstance(entries, dict):
        return found
    head = b"\n".join([*before, b""])
    for key in entries:
        found[f"{key} missing"] = head + json.dumps({k: v for k, v in entries.items() if k != key}).encode() + b"\n"
        for name, value in ((name, VALUES[name]) for name in each if name in VALUES):
            found[f"{key} is {name}"] = head + json.dumps({**entries, key: value}).encode() + b"\n"
        for name, number in ((name, NUMBERS[name]) for name in each if name in NUMBERS):
            marked = json.dumps({**entries, key: "MARK"}).encode()
            found[f"{key} is {name}"] = head + marked.replace(b'"MARK"', number) + b"\n"
    return found


def array_damages(content: bytes) -> dict[str, bytes]:
    """The same of a file of arrays: each array in turn is missing, or of another shape or kind."""
    found = damages(content, flips=25)
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    for name, one in arrays.items():
        others = {
            "missing": None,
            "of texts": one.astype(str),
            "complex": one.astype(complex) if one.dtype.kind != "U" else None,
            "objects": np.array([{1: 2}], dtype=object),
            "negative": -one.astype(float) - 1 if one.dtype.kind != "U" else None,
            "NaN": np.full(one.shape, np.nan),
            "infinite": np.full(one.shape, np.inf),
            "of no entries": one[:0] if one.ndim else one[None][:0],
            "with an axis more": one[None],
            "twice as long": np.concatenate([one, one]) if one.ndim else np.stack([one, one]),
            "far out": one + 10**9 if one.dtype.kind in "iuf" else None,
            "structured": np.zeros(3, [("a", int)]),
            "dates": np.zeros(one.shape, "datetime64[s]"),
        }
        for words, other in others.items():
            kept = {key: value for key, value in arrays.items() if key != name}
            packed = io.BytesIO()
            np.savez_compressed(packed, allow_pickle=True, **(kept | ({} if other is None else {name: other})))
            found[f"{name} {words}"] = packed.getvalue()
    return found


def put(path: Path, what: bytes | str) -> None:
    """Puts a content, or one of `LINKS`, in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    makers: dict[str, Callable[[], object]] = {
        "a folder": path.mkdir,
        "a link to nowhere": lambda: path.symlink_to("/nowhere/at/all"),
        "a link to itself": lambda: path.symlink_to(path),
        "a pipe": lambda: os.mkfifo(path),
    }
    path.write_bytes(what) if isinstance(what, bytes) else makers[what]()


def make_whole(loss: str = "db") -> Run:
    """A finished run with every file that a folder can hold but its weights."""
    run = make_run(loss)
    write_json(
        run.path / "status.json",
        journal.read_status(run.path)
        | {
            **{"kind": "", "reason": "", "advice": "", "user": "somebody", "device": "cpu", "started": 1.5},
            "progress": {"phase": "done", "fraction": 1.0, "epoch": 2, "epochs": 2, "since": [1.6, 0.1]},
        },
    )
    scores = {"micro_f1": 0.5, "macro_f1": 0.25}
    for epoch in (1, 2):
        line = {"epoch": epoch, "step": 7, "steps": 7, "train_loss": 0.5, "learning_rate": 0.1, "gradient_norm": 1.0}
        line |= {"documents_per_second": 100.0, "memory": 10**8}
        journal.append_step(run.path, line)
        more = {"validation": dict.fromkeys(("all", "head", "tail"), scores), "best": True, "labels_hit": 3}
        journal.append_history(run.path, line | more | {"seconds": 1.0, "threshold": 0.5})
        journal.append_event(run.path, "started", slot="cpu")
    write_json(run.path / "heartbeat.json", {"time": time.time(), "cpu": 99.0, "memory": 10**8, "of_memory": 10**10})
    write_json(run.path / "process.json", processes.identity(os.getpid()))
    (run.path / "log.txt").write_text("12:00:00 finished\n")
    folder.save_about(run.id, name="mine", tags=["one"], notes="a note")
    results.save_threshold_set(run, "low", rule="fixed", values=[0.2] * 10, chosen_on="validation")
    return folder.get_run(run.id)

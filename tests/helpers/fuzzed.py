"""What is tried on inputs that nobody wrote: readers, loaders of run files, imports, settings, losses.

Each of `TARGETS` draws an input and looks at what is made of it. A sentence is an answer (`UserError`; `ValueError` of
functions that take arrays); any other exception is a crash, and so is a value that the reader promises not to give.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from core.analysis import progress
from core.config.parse import parse, setting_names, with_changes
from core.config.schema import FileConfig, RunConfig, SplitConfig
from core.data.added import examine
from core.data.readers import sniff
from core.data.scanning import scan
from core.runs import folder, journal, plan, results, share
from core.runs.predictions import read_predictions
from core.system.arrays import check_tensors, read_arrays, read_tensors
from core.system.errors import UserError
from core.system.files import DEPTH, WHOLE, parse_json, read_fields, read_json, read_lines
from tests.helpers import damages

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
WORDS = st.sampled_from(["", "x", "0", "NaN", "-1", "1e999", "a;b", '"', "'", "\\", "\ud800", "=1+1", "../x", "\u202e"])
NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from([WHOLE, WHOLE - 1, -WHOLE, 2**31, 1e308, 10**400, 0.5, 1.0, 0, -1]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | WORDS, inner, max_size=4),
    max_leaves=12,
)
FLIPS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8)


class Target(NamedTuple):
    """A kind of input and what is made of it.

    Attributes:
        inputs: a strategy.
        attempt: reads an input; what it writes goes into a folder, which `prepare` has filled.
        prepare: fills the folder once for all inputs.
    """

    inputs: st.SearchStrategy[Any]
    attempt: Callable[[Any, Path], None]
    prepare: Callable[[Path], None] = lambda _: None


@st.composite
def mutated(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    """A content, most often with some bytes that are others, or cut, or with a piece twice."""
    content = bytearray(draw(contents))
    for place, byte in draw(FLIPS) if content else []:
        content[int(place * len(content))] = byte
    kind = draw(st.sampled_from(["whole", "whole", "cut", "twice"]))
    at = int(draw(st.floats(0, 1)) * len(content))
    return bytes(content) if kind == "whole" else bytes(content[:at] + (content[at // 2 :] if kind == "twice" else b""))


def _written(value: Any) -> bytes:
    """JSON as a careless program writes it: NaN, numbers of any length, halves of letters."""
    return json.dumps(value).encode()


OBJECTS = mutated(VALUES.map(_written)) | st.integers(0, 200).map(lambda depth: b"[" * depth + b"]" * depth)


# JSON and lines.


def _is_sound(value: Any, depth: int = 0) -> bool:
    """Whether a value holds nothing that `parse_json` refuses."""
    if depth > DEPTH:
        return False
    if isinstance(value, dict):
        return all(_is_sound(one, depth + 1) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return all(_is_sound(one, depth + 1) for one in value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() == value
    return not isinstance(value, float) or math.isfinite(value) if type(value) is not int else abs(value) < WHOLE


def _try_json(content: bytes, place: Path) -> None:
    file = place / "x.json"
    file.write_bytes(content)
    with suppress(UserError):
        assert _is_sound(read_json(file))
    with suppress(UserError):
        assert _is_sound(read_fields(file)[0])
    file.write_bytes(content + b"\n" + content + b"\n{}")
    entries, damaged = read_lines(file)
    assert all(_is_sound(entry) for entry in entries)
    assert len(entries) + damaged == (content + b"\n" + content).count(b"\n") + 1
    with suppress(ValueError):
        assert _is_sound(parse_json(content))


# The files of a run.


FILES = ("status.json", "heartbeat.json", "process.json", "about.json", "config.json", "metrics.json")
LINES = ("history.jsonl", "steps.jsonl", "events.jsonl")
ALL_FILES = (*FILES, *LINES, "thresholds.json")


@st.composite
def changed_files(draw: st.DrawFn) -> tuple[str, list[tuple[list[float], Any]], list[Any]]:
    """A file of a run, changes of its entries (where, as shares of the entries there, and the value), and flips."""
    place = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3)
    changes = draw(st.lists(st.tuples(place, VALUES), min_size=1, max_size=3))
    return draw(st.sampled_from(ALL_FILES)), changes, draw(st.just([]) | FLIPS)


def _change(value: Any, place: list[float], new: Any) -> None:
    """Puts a value into nested objects and lists, where shares of their lengths lead to."""
    share, *further = place
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[int(share * len(keys))] if keys else None
    if key is None:
        return
    if further and isinstance(value[key], dict | list):
        _change(value[key], further, new)
    else:
        value[key] = new


def change_file(content: bytes, changes: list[tuple[list[float], Any]], flips: list[tuple[float, int]]) -> bytes:
    """A file of JSON, or of a line of it each, with values that are others."""
    lines = [json.loads(line) for line in (content.splitlines() if content[:2] != b"{\n" else [content])]
    for place, new in changes:
        _change(lines, [place[0], *place], copy.deepcopy(new))
    changed = bytearray(b"\n".join(map(_written, lines)) + b"\n")
    for at, byte in flips:
        changed[int(at * len(changed))] = byte
    return bytes(changed)


def _prepare_run(place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    run = damages.make_whole()
    shutil.copytree(run.path, place / "whole")


def _try_run(changed: tuple[str, list[tuple[list[float], Any]], list[Any]], place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    (path,) = (place / "cache" / "runs").iterdir()
    name, changes, flips = changed
    whole = (place / "whole" / name).read_bytes()
    path.joinpath(name).write_bytes(change_file(whole, changes, flips))
    try:
        read_run(path.name)
    finally:
        path.joinpath(name).write_bytes(whole)


def read_run(run_id: str) -> None:
    """Reads all that commands and pages read of a run before they show it."""
    (one,) = (found for found in folder.list_folders() if found.id == run_id)
    history = journal.read_history(one.path)
    last = [journal.read_last(one.path, name) for name in ("history.jsonl", "steps.jsonl")]
    progress.run_table([one], {run_id: progress.scores_in(last[0])}, {}, now=time.time())
    progress.run_figures(one, *last, journal.read_heartbeat(one.path), now=time.time())
    for entry in history:
        journal.score_of(entry, "tail_macro_f1")
    for event in journal.read_events(one.path):
        progress.event_row(event)
    journal.describe_damage(one.path)
    journal.read_process(one.path)
    assert _is_sound(vars(one)["progress"])
    with suppress(UserError):
        run = folder.as_run(one)
        results.read_results(run)
        results.read_threshold_sets(run)


# Arrays.


def _packed(**arrays: np.ndarray) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _tensors() -> bytes:
    from safetensors.numpy import save

    return bytes(save({"weight": np.arange(12, dtype=np.float32).reshape(3, 4), "bias": np.zeros(3, np.float16)}))


ARRAYS = st.sampled_from(
    [_packed(scores=np.ones((3, 2), np.float16), ids=np.array(["a", "bb", "c"]), shape=np.array([3, 2])), _tensors()]
)


def _try_arrays(content: bytes, place: Path) -> None:
    file = place / "x.bin"
    file.write_bytes(content)
    for read in (read_arrays, read_tensors):
        with suppress(UserError, ValueError):
            assert all(one.dtype.kind in "biufUS" for one in read(file).values())
    with suppress(ValueError):
        check_tensors(file)


def _try_predictions(content: bytes, place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    (path,) = (place / "cache" / "runs").iterdir()
    file = path / "predictions.npz"
    whole = (place / "whole" / "predictions.npz").read_bytes()
    try:
        # Bytes of the file's own are changed where those of the input are.
        flips = zip(range(0, len(whole), max(1, len(whole) // 7)), content, strict=False)
        changed = bytearray(whole)
        for at, byte in flips:
            changed[at] ^= byte
        file.write_bytes(bytes(changed))
        with suppress(UserError):
            found = read_predictions(folder.get_run(path.name))
            assert found.targets.shape == found.scores.shape == (len(found.ids), 10)
    finally:
        file.write_bytes(whole)


# Imports.


def _prepare_zip(place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    run = damages.make_whole()
    share.export(run, place / "run.zip", weights=False)
    shutil.rmtree(run.path)


def _try_import(changed: tuple[tuple[str, Any, Any], list[Any]], place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    (name, changes, inner_flips), flips = changed
    packed = io.BytesIO()
    with zipfile.ZipFile(place / "run.zip") as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in whole.infolist():
            content = whole.read(info)
            if info.filename.endswith(f"/{name}"):
                content = change_file(content, changes, inner_flips)
            archive.writestr(info.filename, content)
    content = bytearray(packed.getvalue())
    for share_of, byte in flips:
        content[int(share_of * len(content))] = byte
    run = None
    try:
        run = share.import_run(io.BytesIO(bytes(content)))
        read_run(run.id)
        results.read_metrics(run)
        read_predictions(run)
    except UserError:
        assert run is None, "taken, and cannot be read"
    finally:
        left = list((place / "cache" / "runs").iterdir())
        for path in left:
            shutil.rmtree(path)
    assert len(left) == (run is not None), left


# Files to add.


USUAL = ["some words here", "a,b", "a|b", "['a', 'b']", "1", "0", "2.5", "true"]
CELLS = st.one_of(TEXT, WORDS, st.sampled_from(USUAL))
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=8)
HEADS = st.sampled_from([["text", "labels"], ["id", "title", "text", "labels", "split"], ["text", "a", "b"], []])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A name and a content: tables with any delimiter and quotes, JSON of any shape, packed or not, and damaged."""
    kind = draw(st.sampled_from(["csv", "tsv", "txt", "jsonl", "json", "parquet"]))
    rows, head = draw(ROWS), draw(HEADS)
    if kind in ("csv", "tsv", "txt"):
        between = draw(st.sampled_from([",", "\t", ";", "|"]))
        quote = draw(st.sampled_from(["", '"', "'"]))
        lines = [between.join(f"{quote}{cell}{quote}" for cell in row) for row in [head, *rows]]
        content = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode("utf-8", "surrogatepass")
    elif kind == "parquet":
        from tests.benchmarks.bad_files import table

        texts = [" ".join(row).encode("utf-8", "replace").decode() for row in rows]
        content = table(text=texts, labels=[[text[:5], "x"] for text in texts])
    else:
        keys = head or ["text", "labels"]
        objects = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(keys, CELLS | VALUES)) | VALUES, max_size=6))
        content = b"\n".join(map(_written, objects)) if kind == "jsonl" else _written(objects)
    content = draw(mutated(st.just(content)))
    pack = draw(st.sampled_from(["", "", "", ".gz", ".zip"]))
    if pack == ".gz":
        content = gzip.compress(content, 1)
    elif pack == ".zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"x.{kind}", content)
        content = packed.getvalue()
    return f"x.{kind}{pack}", draw(mutated(st.just(content))) if pack else content


def _try_file(made: tuple[str, bytes], place: Path) -> None:
    os.environ["TAILSCOPE_CACHE"] = str(place / "cache")
    name, content = made
    file = place / name
    file.write_bytes(content)
    try:
        form: FileConfig = sniff(file)
        for given in ({}, {"text": ("text",), "labels": ("labels",)}):
            with suppress(UserError):
                kept = scan(file, form.model_copy(update=given))
                planned = examine(kept, SplitConfig(made="stratified"))
                assert len(planned.rows) == len(planned.codes)
    except UserError:
        pass
    finally:
        file.unlink()
        shutil.rmtree(place / "cache", ignore_errors=True)


# Settings and plans.


NAMES = setting_names(RunConfig)
BASE = {"data": {"name": "synthetic"}, "model": {"name": "tfidf"}, "loss": {"name": "db"}}
CHANGES = st.tuples(
    st.sampled_from(NAMES) | TEXT | st.sampled_from(["data", "model", "loss", "train", "a.b", "", ".", "train."]),
    VALUES.map(json.dumps) | TEXT | WORDS | st.sampled_from(["1" * 5000, "[" * 5000]),
).map("=".join)


def _try_settings(made: tuple[list[str], Any], _: Path) -> None:
    changes, value = made
    with suppress(UserError):
        config = with_changes(parse(RunConfig, BASE), changes)
        assert parse(RunConfig, config.model_dump()) == config
        assert folder.RUN_ID.fullmatch(folder.run_id(config, "f"))
    for text in (_written(value), _written({**BASE, "seeds": [0], "models": value, "settings": value})):
        with suppress(UserError):
            plan.read(text.decode(), where="plan")


# Losses.


KINDS = ("float32", "float64", "bfloat16", "float16")
LOGITS = st.floats(-1e4, 1e4) | st.sampled_from([0.0, 1e4, -1e4, math.inf, -math.inf, math.nan, 60.0, -60.0])
COUNTS = st.lists(st.integers(1, 99), min_size=1, max_size=4)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Any, ...]:
    """A loss, a type of numbers, counts, logits and targets of some documents, and how the targets are given."""
    from core.losses import LOSSES

    counts = draw(COUNTS)
    documents = draw(st.integers(1, 3))
    cells = st.lists(LOGITS, min_size=documents * len(counts), max_size=documents * len(counts))
    truths = st.lists(st.integers(0, 1), min_size=documents * len(counts), max_size=documents * len(counts))
    given = st.sampled_from(["tensor", "bool", "array", "sparse", "pairs", "list", "shares"])
    name, kind = draw(st.sampled_from(list(LOSSES))), draw(st.sampled_from(KINDS))
    return name, kind, counts, draw(cells), draw(truths), draw(given)


def _try_losses(made: tuple[Any, ...], _: Path) -> None:
    import scipy.sparse as sp
    import torch

    from core.losses import build_loss

    name, kind, counts, cells, truths, given = made
    shape = (-1, len(counts))
    logits = torch.tensor(cells, dtype=getattr(torch, kind)).reshape(shape).requires_grad_()
    truth = torch.tensor(truths).reshape(shape)
    targets = {
        "tensor": truth,
        "bool": truth.bool(),
        "array": truth.numpy(),
        "sparse": sp.csr_array(truth.numpy()),
        "pairs": tuple(truth.nonzero().T),
        "list": truth.tolist(),
        "shares": truth * 0.9,
    }[given]
    try:
        loss = build_loss(name, counts, 100)(logits, targets)
        loss.backward()
    except ValueError:
        assert given in ("list", "shares"), "sound targets are refused"
        return
    if bool(logits.isnan().any()):
        assert loss.isnan()
    elif kind in KINDS[:2] and bool(logits.isfinite().all()):
        assert loss.isfinite()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())


TARGETS: dict[str, Target] = {
    "JSON and lines": Target(OBJECTS, _try_json),
    "files of a run": Target(changed_files(), _try_run, _prepare_run),
    "arrays": Target(mutated(ARRAYS), _try_arrays),
    "predictions": Target(st.binary(min_size=1, max_size=7), _try_predictions, _prepare_run),
    "zips of runs": Target(st.tuples(changed_files(), st.just([]) | FLIPS), _try_import, _prepare_zip),
    "files to add": Target(files(), _try_file),
    "--set and plans": Target(st.tuples(st.lists(CHANGES, max_size=3), VALUES), _try_settings),
    "losses": Target(batches(), _try_losses),
}

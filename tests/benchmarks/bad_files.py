"""What nobody should be stopped by, for `tests.benchmarks.bad_inputs`: files to add, plans, zips, damaged run files."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers import damages

HUGE, DEEP, BEYOND = "1" * 6000, "[" * 200_000 + "]" * 200_000, "1" + "0" * 400
"""A number that no parser takes, lists that none goes down, and a number beyond floats."""
CSV = "text,labels\n" + "".join(f'"text number {i} of the file",a;b{i % 3}\n' for i in range(40))
FRESH = "fresh-run-s0-0123456789"
"""The id of an imported run."""

Change = Callable[[bytes], bytes]
Content = bytes | str | Change | None
"""Of a file: bytes, one of `damages.LINKS`, what is made of its own content, or that there is none."""


def pack(
    members: Iterable[tuple[str, str | bytes]], method: int = zipfile.ZIP_DEFLATED, links: tuple[str, ...] = ()
) -> bytes:
    """A zip; of `links` it says that they are links."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content, method)
    return packed.getvalue()


def overwrite(content: bytes, start: int, end: int, value: int = 0xFF) -> bytes:
    """A content with the same value in a range of bytes."""
    return content[:start] + bytes([value]) * (end - start) + content[end:]


def invert(content: bytes, start: int, length: int = 8) -> bytes:
    """A content with some bytes the other way round; its last nine stay."""
    end = min(start + length, len(content) - 9)
    return content[:start] + bytes(255 - byte for byte in content[start:end]) + content[end:]


def table(**columns: Any) -> bytes:
    """A Parquet file."""
    packed = io.BytesIO()
    pq.write_table(pa.table(columns), packed)
    return packed.getvalue()


def files_to_refuse() -> dict[str, str | bytes]:
    """Files that hold no data set, by their names."""
    packed, zipped = gzip.compress(CSV.encode() * 200), pack([("a.csv", CSV)])
    directory = zipped.rfind(b"PK\x01\x02")
    good = table(text=[f"text {i}" for i in range(50)], labels=[["a"], ["b"]] * 25)
    middle = len(packed) // 2
    method = overwrite(overwrite(zipped, 8, 9, 99), directory + 10, directory + 11, 99)
    row = '{"text":"some words","labels":'
    return {
        # Delimited text.
        **{"empty.csv": "", "header.csv": "text,labels\n", "bytes.csv": random.Random(1).randbytes(5000)},
        **{"ragged.csv": "text,labels\na,b\na,b,c\n", "no labels.csv": "text,labels\n" + "some text,\n" * 10},
        "long label.csv": "text,labels\n" + f"some text,{'x' * 2000}\n" * 5,
        "300,000 columns.csv": "\n".join(",".join(cell(i) for i in range(300_000)) for cell in ("c{}".format, _zero)),
        # JSON.
        **{"broken.jsonl": row + '["x"]}\n{"text":\n', "numbers.jsonl": "1\n2\n3\n", "object.json": '{"a": 1}'},
        **{"deep.jsonl": f"{row}{DEEP}}}\n", "huge.jsonl": f"{row}{HUGE}}}\n", "deep.json": f'[{{"text":{DEEP}}}]'},
        **{"cut.json": f'[{row}["x"]}},{{"text":"b"', "lists.json": "[[1,2],[3,4]]"},
        "infinite.json": f"[{row}[Infinity]}},{row}[1.5]}}]",
        # Parquet.
        **{"random.parquet": random.Random(2).randbytes(4000), "half.parquet": good[: len(good) // 2]},
        "structs.parquet": table(text=["a b"] * 9, labels=[[{"k": 1}]] * 9),
        "times.parquet": table(text=["a b"] * 9, labels=pa.array([2**62] * 9, pa.timestamp("us"))),
        # Packed.
        **{"cut.csv.gz": packed[:middle], "damaged.csv.gz": packed[:middle] + bytes(30) + packed[middle + 30 :]},
        **{"two.zip": pack([("a.csv", CSV), ("b.csv", CSV)]), "dots.zip": pack([("../a.csv", CSV)])},
        "bomb.zip": pack([("a.csv", "text,labels\n" + "a" * 90_000_000)]),
        **{"cut.zip": zipped[: len(zipped) // 2], "damaged.zip": overwrite(zipped, 50, 70), "method.zip": method},
        "empty.zip": pack([]),
    }


def _zero(_: int) -> str:
    return "0"


def files_to_read_or_refuse() -> dict[str, str | bytes]:
    """Files of which a reader makes something, or says why not."""
    good = table(text=[f"text {i}" for i in range(50)], labels=[["a"], ["b"]] * 25)
    twice = pa.Table.from_arrays(
        [pa.array(["a b c"] * 9), pa.array(["x"] * 9), pa.array(["y"] * 9)], names=["text", "labels", "labels"]
    )
    packed = io.BytesIO()
    pq.write_table(twice, packed)
    return {
        **{f"flipped {at}.parquet": invert(good, at) for at in (60, 200, 400, len(good) - 200, len(good) - 20)},
        **{"twice.parquet": packed.getvalue(), "text.csv.gz": CSV, "one.csv": "text,labels\njust one,x\n"},
        "quote.csv": 'text,labels\n"never closed,a\nmore,b\n',
        "NUL.csv": b"text,labels\na\0b,c\n" * 5,
        "no mark.csv": CSV.encode("utf-16-le"),
        "objects.json": '[{"text":"a","labels":{"x":1}},{"text":"b","labels":{"y":1}}]',
        "long id.csv": "id,text,labels\n" + f"{'9' * 500},some text,x\n",
        "bytes.parquet": table(text=["a b"] * 9, labels=pa.array([b"\xff"] * 9, pa.binary())),
        "maps.parquet": table(
            text=["a b"] * 9, labels=pa.array([[("k", 1)]] * 9, pa.map_(pa.string(), pa.int64()))
        ),
        "nanoseconds.parquet": table(
            text=pa.array([2**60 + 1] * 9, pa.timestamp("ns")), labels=["a", "b", "c"] * 3
        ),
    }  # fmt: skip


def saved_folders() -> list[dict[str, str]]:
    """Folders that `datasets` might have saved, each as the content of its files."""
    states = [
        *("not json", "[]", '{"_data_files": 5}', '{"_data_files": [1]}', '{"_data_files": [{}]}', DEEP),
        *(f'{{"_data_files": [{{"filename": {name}}}]}}' for name in ('"/etc/passwd"', '"../../etc/passwd"', "5")),
    ]
    pointing = '{"_data_files": [{"filename": "x.arrow"}]}'
    names = '{"features": {"labels": {"_type": "ClassLabel", "names": 5}}}'
    return [
        *({"state.json": state, "dataset_info.json": "{}"} for state in states),
        *({"state.json": pointing, "dataset_info.json": info} for info in ("[]", '{"features": [1]}', "{}")),
        {"state.json": pointing.replace("x.arrow", "state.json"), "dataset_info.json": names},
        {"state.json": "{}", "dataset_info.json": HUGE},
        *(
            {"state.json": "{}", "dataset_info.json": "{}", "dataset_dict.json": kept}
            for kept in ("[]", '{"splits": 5}', '{"splits": ["../../.."]}')
        ),
    ]


def plans() -> dict[str, str | bytes]:
    """Plans of a sweep that nothing is started for."""
    synthetic = {"name": "synthetic", "split": "paper", "synthetic": {"documents": 400, "labels": 30}}
    good: dict[str, Any] = {"data": synthetic, "models": ["svm"], "losses": ["bce"], "seeds": [0]}
    changes: list[dict[str, Any]] = [
        *({"models": value} for value in ("svm", [1], [["svm"]], [], ["foo"])),
        *({"seeds": value} for value in ([], [1.5], [-1], [2**31], [1e300], list(range(2000)), "0", [None], {})),
        *({"settings": value} for value in ([], {"train.epochs": {"a": 1}}, {"train.foo": 1}, {"train.epochs": None})),
        *({"data": value} for value in ("synthetic", {"name": "nope"}, {"name": "../x"}, {**synthetic, "split": "x"})),
        {"data": {**synthetic, "synthetic": {"documents": 10**9}}},
        *({"losses": ["foo"]}, {"foo": 1}),
    ]
    sections: list[dict[str, Any]] = [
        *({"model": value} for value in ([], None, 5, {"name": []}, {"name": {}})),
        {"model": {"name": "transformer"}, "train": []},
    ]
    rate = '{"models":["tfidf"],"losses":["bce"],"seeds":[0],"settings":{"train.learning_rate":%s}}'
    return {
        **{"empty": "", "no JSON": "{", "a list": "[]", "a number": "5", "null": "null", "binary": b"\xff\xfe\0"},
        **{"deep": DEEP, "deep in a value": f'{{"models":{DEEP}}}', "huge number": f'{{"seeds":[{HUGE}]}}'},
        **{json.dumps(change)[:50]: json.dumps({**good, **change}) for change in changes},
        **{f"a config: {json.dumps(section)}": json.dumps(section) for section in sections},
        **{f"learning rate {value}": rate % value for value in ("NaN", "Infinity")},
        "a key twice": '{"models":["svm"],"models":["foo"],"seeds":[0]}',
        "half a letter": '{"models":["\\ud800"]}',
    }


def with_entries(**more: Any) -> Change:
    """An object with some entries more, or others."""
    return lambda content: json.dumps(json.loads(content) | more).encode()


def with_raw(text: str) -> Change:
    """An object with an entry more that is no JSON, or beyond what JSON is read as."""
    return lambda content: content.rstrip().rstrip(b"}").rstrip() + b"," + text.encode() + b"}"


def with_arrays(**more: Any) -> Change:
    """A file of arrays with others in the place of some: None takes one away, a function is called with its own."""

    def change(content: bytes) -> bytes:
        with np.load(io.BytesIO(content)) as stored:
            arrays = dict(stored)
        given = {name: value(arrays[name]) if callable(value) else value for name, value in more.items()}
        packed = io.BytesIO()
        kept = {name: one for name, one in (arrays | given).items() if one is not None}
        np.savez_compressed(packed, allow_pickle=True, **kept)
        return packed.getvalue()

    return change


ARRAYS: dict[str, Change] = {
    "NaN scores": with_arrays(scores=lambda one: np.full_like(one, np.nan)),
    "pickled objects": with_arrays(ids=lambda one: np.array([{1: 2}] * len(one), object)),
    **{
        f"shape {shape}": with_arrays(shape=np.array(shape))
        for shape in ([3, 3], [-3, -3], ["a", "b"], [5], [2**62, 2**62])
    },
    "scores of texts": with_arrays(scores=lambda one: one.astype(str)),
    "complex scores": with_arrays(scores=lambda one: one.astype(complex)),
    "scores of three axes": with_arrays(scores=lambda one: one[None]),
    "structured scores": with_arrays(scores=np.zeros(3, [("a", int)])),
    "indices out of range": with_arrays(target_indices=lambda one: one + 10**6),
    "places backwards": with_arrays(target_indptr=lambda one: one[::-1].copy()),
    "places that are floats": with_arrays(target_indptr=lambda one: one.astype(float)),
    **{
        f"threshold {value}": with_arrays(threshold=np.array(value))
        for value in (np.nan, "x", np.array([None], object))
    },
    "no ids": with_arrays(ids=None),
}
"""Damages of predictions that no run is imported with."""
NUMBERED: dict[str, Change] = {
    "rows negative": with_arrays(rows=lambda one: -one - 1),
    "rows far out": with_arrays(rows=lambda one: one + 10**12),
    "ids that are numbers": with_arrays(ids=lambda one: np.arange(len(one))),
}
"""Rows and ids that no document has, in a run that may be read all the same."""
OTHER: dict[str, Change] = {
    **{"complex scores": ARRAYS["complex scores"], "scores beyond 1": with_arrays(scores=lambda one: one * 1000)},
    "no documents": with_arrays(
        ids=lambda one: one[:0],
        rows=lambda one: one[:0],
        scores=lambda one: one[:0],
        shape=lambda one: np.array([0, one[1]]),
        target_indptr=lambda one: one[:1],
        target_indices=lambda one: one[:0],
    ),
    "other labels": with_arrays(
        shape=lambda one: np.array([one[0], 3]),
        target_indices=lambda one: one % 3,
        scores=lambda one: one[:, :3],
    ),
}
"""Predictions that are whole and belong to another run."""


def metrics_to_refuse(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Entries of `metrics.json` that no run is imported with."""
    labels, counts = metrics["labels"], metrics["counts"]
    return [
        *(("labels", value) for value in (5, labels[:-1], [labels[0]] * len(labels))),
        *(("counts", value) for value in ([-1] * len(counts), ["x"], [*counts[:-1], 10**30])),
        *(("borders", value) for value in ({"head": "x", "tail": 1}, {"head": 1, "tail": 10**400})),
        *(("threshold", value) for value in ("x", [0.5], None)),
        *(("test", value) for value in ({}, {"all": {"micro_f1": "x"}}, [])),
        *(("versions", []), ("seconds", "x"), ("fingerprint", 5), ("command", [])),
    ]


def zips(members: Mapping[str, bytes], whole: bytes) -> dict[str, bytes]:
    """Zips that no run is imported from: `members` are the files of a run, `whole` is its zip."""

    def changed(
        changes: Mapping[str, str | bytes] = {}, *, without: str = "", folder: str = FRESH, more: tuple[str, ...] = ()
    ) -> bytes:
        kept = {f"{folder}/{name}": content for name, content in {**members, **changes}.items() if name != without}
        return pack([*kept.items(), *((name, "x") for name in more)])

    damaged = {"lzma": zipfile.ZIP_LZMA, "bzip2": zipfile.ZIP_BZIP2}
    own = [(f"{FRESH}/{name}", content) for name, content in members.items()]
    wholes = {"empty": "", "a list": "[]", "null": "null", "deep": DEEP, "huge": f'{{"a":{HUGE}}}', "NaN": "NaN"}
    small = ("config.json", "status.json", "metrics.json", "thresholds.json")
    predictions = members["predictions.npz"]
    arrays = {"empty": b"", "random": random.Random(3).randbytes(2000), "cut": predictions[:-200]}
    arrays |= {words: change(predictions) for words, change in ARRAYS.items()}
    status = json.loads(members["status.json"])
    return {
        **{"an empty file": b"", "a text": b"hello", "half": whole[: len(whole) // 2], "its end": whole[-100:]},
        **{f"folder {name}": changed(folder=name) for name in ("../x", "A B")},
        **{
            f"also {name}": changed(more=(name,))
            for name in ("other/config.json", f"{FRESH}/evil.py", f"{FRESH}/../../evil", "/etc/evil")
        },
        **{
            f"no {name}": changed(without=name)
            for name in ("config.json", "status.json", "metrics.json", "predictions.npz")
        },
        **{
            f"{name} {words}": changed({name: content})
            for name in small
            for words, content in {**wholes, "binary": b"\xff\xfe\xfd"}.items()
        },
        **{
            f"state {value}": changed({"status.json": json.dumps({**status, "state": value})})
            for value in ("queued", [], {})
        },
        "a threshold beyond floats": changed({"thresholds.json": f'{{"a":{{"rule":"x","values":{BEYOND}}}}}'}),
        **{
            f"metrics: {key} {str(value)[:20]}": changed(
                {"metrics.json": json.dumps({**json.loads(members["metrics.json"]), key: value})}
            )
            for key, value in metrics_to_refuse(json.loads(members["metrics.json"]))
        },
        **{f"predictions: {words}": changed({"predictions.npz": content}) for words, content in arrays.items()},
        **{f"{name}, damaged": overwrite(pack(own, method), 120, 160) for name, method in damaged.items()},
        "lzma": pack(own, zipfile.ZIP_LZMA),
        "a link": pack(own, links=(f"{FRESH}/status.json",)),
    }


def zips_to_take_or_refuse(members: Mapping[str, bytes], whole: bytes, run: str) -> dict[str, bytes]:
    """Zips that a run may be imported from: then every page has to show it."""

    def changed(name: str, content: bytes) -> bytes:
        return pack([(f"{FRESH}/{inner}", one) for inner, one in {**members, name: content}.items()])

    status, metrics = members["status.json"], members["metrics.json"]
    predictions = members["predictions.npz"]
    named = whole.replace(run.encode(), (FRESH + "x" * len(run))[: len(run)].encode())
    return {
        "times that are texts": changed("status.json", with_entries(submitted="x", ended="y")(status)),
        **{
            f"ended {value[:6]}": changed("status.json", with_raw(f'"ended":{value}')(status))
            for value in ("1e999", BEYOND)
        },
        "scores of no group": changed("metrics.json", with_entries(test={"all": {}})(metrics)),
        **{
            f"predictions: {words}": changed("predictions.npz", change(predictions))
            for words, change in NUMBERED.items()
        },
        **{
            f"predictions: bits flipped ({seed})": changed(
                "predictions.npz", damages.flip(predictions, 100 + seed, bits=6)
            )
            for seed in range(12)
        },
        **{f"bits of the zip flipped ({seed})": damages.flip(named, 200 + seed, bits=6) for seed in range(12)},
        **{f"{name} cut": changed(name, members[name][:-5]) for name in ("model.safetensors", "vocabulary.json")},
        **{
            f"{name}: {words}": changed(name, content)
            for name in ("config.json", "status.json", "metrics.json", "history.jsonl")
            for words, content in damages.damages(members[name], flips=1, each=("a text", "NaN")).items()
        },
    }


def half(content: bytes) -> bytes:
    """What is there when the second half is not."""
    return content[: len(content) // 2]


def damaged_runs() -> list[tuple[str, str, Content, bool]]:
    """A file of a run's folder, a name, its content, and whether some command or page has to say that it is damaged."""
    wholes: dict[str, Content] = {
        **{"cut": half, "flipped": lambda content: damages.flip(content, 5, bits=64), "a folder": "a folder"},
        **{"deep": DEEP.encode(), "huge": f'{{"a":{HUGE}}}'.encode()},
    }
    few = ("cut", "flipped", "a folder")
    found: list[tuple[str, str, Content, bool]] = []
    # The three files that a run is nothing without.
    needed: dict[str, Content] = {"missing": None, "empty": b"", "a list": b"[]", "null": b"null", **wholes}
    for file in ("config.json", "status.json", "metrics.json"):
        found += [(file, words, content, True) for words, content in needed.items()]
    # The others.
    others = ("history.jsonl", "steps.jsonl", "events.jsonl", "heartbeat.json", "process.json", "about.json")
    for file in (*others, "thresholds.json", "log.txt", "predictions.npz", "validation.npz"):
        found += [(file, words, wholes[words], False) for words in few]
    numbers = f'{{"time":{BEYOND},"pid":{BEYOND},"values":{BEYOND}}}'
    texts = '{"time":"x","cpu":"y","memory":[],"pid":"z","boot":5,"name":5,"a":{"rule":1,"values":"x"}}'
    infinite = '{"time":-1e300,"cpu":Infinity,"memory":NaN,"pid":-5,"a":{"values":Infinity}}'
    objects: dict[str, Content] = {
        **{"a list": b"[1]", "a number": b"5", "a text": b'"x"', "deep": wholes["deep"], "huge": wholes["huge"]},
        **{"beyond floats": numbers.encode(), "texts": texts.encode(), "infinite": infinite.encode()},
    }
    for file in ("heartbeat.json", "process.json", "about.json", "thresholds.json"):
        found += [(file, words, content, False) for words, content in objects.items()]
    for file in ("history.jsonl", "steps.jsonl", "events.jsonl"):
        found += [(file, line[:40], f"{line}\n".encode(), False) for line in _lines()]
    changes = {"status.json": _statuses(), "config.json": _configs(), "metrics.json": _metrics()}
    for file, made in changes.items():
        found += [(file, words, change, False) for words, change in made.items()]
    for file in ("predictions.npz", "validation.npz"):
        arrays = {"rows negative": NUMBERED["rows negative"], "rows far out": NUMBERED["rows far out"], **OTHER}
        arrays["ids that are numbers"] = NUMBERED["ids that are numbers"]
        found += [(file, words, change, False) for words, change in arrays.items()]
    for seed in range(15):
        flipped: Change = lambda content, seed=seed: damages.flip(content, seed)  # type: ignore[misc]  # noqa: E731
        found.append(("predictions.npz", f"bits flipped ({seed})", flipped, False))
    return found


def _lines() -> list[str]:
    """Lines of a history, of steps and of events that hold nothing of the kind."""
    return [
        *("[]\n[1]", "{}", DEEP, f'{{"time":{HUGE}}}'),
        f'{{"time":{BEYOND},"what":"x","epoch":{BEYOND}}}',
        '{"time":"x","what":5,"epoch":"one","validation":"none","loss":"x","step":"x"}',
        '{"epoch":1,"validation":{},"loss":0.5,"seconds":1,"time":1,"what":"x"}',
        '{"epoch":1,"validation":{"all":null},"time":1,"what":"x"}',
        '{"epoch":1,"validation":{"all":{"micro_f1":"x","macro_f1":[]}},"time":1,"what":"x"}',
        '{"epoch":Infinity,"time":Infinity,"what":"x","loss":NaN,"validation":{"all":{"micro_f1":NaN}}}',
        '{"time":1e18,"what":"x","epoch":-1}',
        '{"epoch":1,"labels_hit":"x","validation":{"all":{"micro_f1":0.5,"macro_f1":0.5}}}',
    ]


def _statuses() -> dict[str, Change]:
    """Entries of a status that no run has."""
    entries: list[dict[str, Any]] = [
        *({"state": value} for value in ("dancing", [], {"a": 1}, "running", "queued")),
        *({"submitted": "x"}, {"ended": 1e18}, {"ended": -1e300, "started": 1e300}, {"user": {"a": 1}, "device": [1]}),
        *({"progress": value} for value in ({"fraction": "half"}, {"fraction": None}, [1])),
        {"progress": {"phase": {"a": 1}, "fraction": 0.5}},
        {"state": "failed", "reason": "<script>alert(1)</script> [red]x[/red] ![a](http://x)", "kind": 5, "advice": []},
    ]
    raw = [
        *(f'"submitted":{value}' for value in (BEYOND, "Infinity")),
        *('"ended":NaN', '"progress":{"fraction":NaN}'),
        '"state":"running","progress":{"fraction":1e999,"epoch":[],"epochs":{}}',
    ]
    return {str(one): with_entries(**one) for one in entries} | {one[:30]: with_raw(one) for one in raw}


def _configs() -> dict[str, Change]:
    """Settings that no run has."""
    entries: list[dict[str, Any]] = [
        *({"model": value} for value in ([], None, {"name": []}, {"name": "transformer", "encoder": "a\0b"})),
        *({"foo": 1}, {"seed": 2**40}, {"seed": "x"}, {"train": None}, {"data": "x"}, {"loss": None}),
        *({"data": {"name": "gone", "split": "paper"}}, {"model": {"name": "svm"}, "loss": None}),
    ]
    return {str(one): with_entries(**one) for one in entries}


def _metrics() -> dict[str, Change]:
    """Figures that no run has."""
    entries: list[dict[str, Any]] = [
        *({"labels": value} for value in (["x"], [[]])),
        *({"test": value} for value in ({"all": {"micro_f1": "x"}}, {"all": {}})),
        *({"scores": value} for value in ("x", [1], {"micro_f1": "x"})),
        *({"threshold": "x"}, {"threshold_rule": "x" * 5000}, {"validation": []}, {"documents": []}),
        *({"documents": {"train": "x"}}, {"seconds": 1e18}, {"memory": "x"}, {"versions": {"a": []}}),
        *({"source": {"a": 1}}, {"epochs": "x", "best_epoch": [], "epoch": {}}),
    ]
    many: Change = lambda content: with_entries(  # noqa: E731
        counts=[10**30] * len(json.loads(content)["counts"])
    )(content)
    raw = ('"seconds":NaN', f'"borders":{{"head":{BEYOND},"tail":0}}')
    return {
        **{str(one)[:50]: with_entries(**one) for one in entries},
        **{one[:30]: with_raw(one) for one in raw},
        "counts beyond 64 bits": many,
    }


def damaged_caches(run: str, config: Mapping[str, Any]) -> dict[str, tuple[str, bytes | str]]:
    """Files of a cache beside the folders of runs: a path in the cache, and a content or one of `damages.LINKS`."""
    sweep: dict[str, Any] = {"runs": [run], "configs": [config], "user": "", "created": 1}
    entry: dict[str, Any] = {
        **{"name": "x", "path": "/x", "sha256": "0", "folder": "x-1", "file": {"format": "csv"}, "split": {}},
        **{"choices": {}, "documents": 1, "labels": 1, "notes": [], "added": 1.0, "version": "1"},
    }
    wholes = {"empty": "", "a list": "[]", "deep": DEEP, "huge": f'{{"created":{HUGE}}}', "binary": b"\xff\xfe"}
    sweeps: dict[str, str | bytes] = {
        **wholes,
        **{
            f"created {value[:8]}": json.dumps(sweep | {"created": "MARK"}).replace('"MARK"', value)
            for value in (BEYOND, "Infinity")
        },
        "no runs": json.dumps(sweep | {"runs": [], "configs": []}),
        **{f"runs {runs}": json.dumps(sweep | {"runs": runs}) for runs in ([5], ["../../x"])},
    }
    registered: dict[str, str | bytes] = {
        **wholes,
        "a number": "5",
        **{
            str(change): json.dumps(entry | change)
            for change in (
                {"name": 5, "path": [], "sha256": None},
                {"folder": "../../../etc"},
                {"added": 1e300},
                {"path": "/x\0y", "folder": "x\0-1"},
                {"name": "../../x"},
            )
        },
    }
    found: dict[str, tuple[str, bytes | str]] = {}
    for kind, place, contents in (
        ("sweep", "sweeps/sweep-0123456789.json", sweeps),
        ("registered set", "data/registered/x.json", registered),
    ):
        for words, content in contents.items():
            found[f"{kind}: {words}"] = (place, content if isinstance(content, bytes) else content.encode())
    found |= {
        f"{place} is a file": (place, b"x") for place in ("runs", "published", "sweeps", "data", "data/registered")
    }
    found["a run folder that is empty"] = ("runs/empty-run", "a folder")
    found |= {f"{what} among the runs": ("runs/linked-run", what) for what in ("a link to nowhere", "a pipe")}
    found["a file among the runs"] = ("runs/file-run", b"x")
    return found


def write_set(folder: Path, files: Mapping[str, str]) -> None:
    """Writes a folder with so many files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)

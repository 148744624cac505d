"""Runs of very many labels, measured whole: `python -m tests.benchmarks.extreme`, by default a tree of PubMed's size.

`--documents`, `--labels`, `--cardinality` (labels of a document) and `--words` give the made documents another size;
with `--xmc FOLDER` they are first written there in the format of the XMC repository (trn.json, tst.json, lbl.json) and
added as a data set, as its files are. The run is started as any other; twice a second its processes are asked for their
seconds of the processor and, every ten seconds, for their memory: resident (RSS), with a share of what several hold
(PSS), and their own alone (USS). `--predict 5000` then labels so many test documents with `python -m core predict`.

`--share 25` measures a tree too large for the machine or the time: its words, its clusters and the forecast as a whole,
then every 25th task and as many of the larger ones, in one process; what all of them take is extrapolated by their work
(features times labels) and their nodes. `--predict` then scores so many documents, with the weights of the next task
that was fitted for each that was not.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.optimize import nnls

from core.cli.predict import AT_ONCE_BY_WORDS
from core.config.defaults import MODELS
from core.config.schema import DataConfig, ModelConfig, SplitConfig, SyntheticConfig
from core.data import sources
from core.data.corpus import Corpus
from core.data.readers import guess, label_names, make_synthetic
from core.jobs import launch
from core.models.label_tree import DOCUMENTS_AT_ONCE, grow_tree, plan_tree, score_tree
from core.models.many_svms import WEIGHT_BYTES, Hyperplanes, fit_task, foretell_memory, join, with_small_numbers
from core.models.tfidf_features import TfidfEncoder
from core.runs import folder, journal, plan, results
from core.runs.folder import LIVE, Run
from core.system.files import read_json
from core.system.places import ROOT

SECONDS_EVERY, MEMORY_EVERY = 0.5, 10.0
"""Seconds between two looks; a look at the memory of 8 GB takes a tenth of a second."""
MEMORY = ("rss", "pss", "uss")


def write_xmc(size: SyntheticConfig, place: Path) -> None:
    """Made documents as the XMC repository has them: a JSON object a line, labels by number, their titles apart."""
    place.mkdir(parents=True, exist_ok=True)
    names = label_names(size)
    numbers = {name: number for number, name in enumerate(names)}
    with (place / "trn.json").open("w") as train, (place / "tst.json").open("w") as test:
        for record in make_synthetic(size):
            row = {"uid": record.id, "title": record.title, "content": record.body}
            row |= {"target_ind": [numbers[name] for name in record.labels], "target_rel": [1.0] * len(record.labels)}
            (train if record.part == "train" else test).write(json.dumps(row) + "\n")
    with (place / "lbl.json").open("w") as titles:
        titles.writelines(json.dumps({"uid": str(number), "title": name}) + "\n" for number, name in enumerate(names))


def data(size: SyntheticConfig, xmc: str) -> DataConfig:
    """The made documents as a data set."""
    if not xmc:
        return DataConfig(name="synthetic", synthetic=size)
    name = f"xmc-{size.labels}"
    if name not in {one.name for one in sources.available()}:
        place = Path(xmc)
        if not (place / "lbl.json").exists():
            write_xmc(size, place)
        sources.add(name, place, guess(place), SplitConfig(made="own"))
    return sources.default_config(name)


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Of processes, those of their children that have ended included."""
    total = 0.0
    for one in processes:
        with suppress(psutil.Error):
            total += sum(one.cpu_times()[:4])
    return total


def memory(processes: list[psutil.Process]) -> dict[str, int]:
    """Bytes that processes hold together."""
    total = dict.fromkeys(MEMORY, 0)
    for one in processes:
        with suppress(psutil.Error):
            found = one.memory_full_info()
            total = {kind: total[kind] + getattr(found, kind) for kind in MEMORY}
    return total


def watch(run: Run) -> Iterator[str]:
    """Follows a run to its end and says, by phase, what it took."""
    began, peaks, phases = time.monotonic(), dict.fromkeys(MEMORY, 0), dict[str, float]()
    first = psutil.Process(read_json(run.path / "process.json")["pid"])
    spent, looked, phase = 0.0, 0.0, ""
    while (now := folder.get_run(run.id)).state in LIVE:
        with suppress(psutil.Error):
            processes = [first, *first.children(recursive=True)]
            phases[phase] = phases.get(phase, 0.0) + max(0.0, (seconds := processor_seconds(processes)) - spent)
            spent = max(spent, seconds)
            if time.monotonic() - looked > MEMORY_EVERY:
                looked, found = time.monotonic(), memory(processes)
                peaks = {kind: max(peaks[kind], found[kind]) for kind in MEMORY}
        if (said := str(now.progress.get("phase", ""))) != phase:
            phase = said
            yield f"{time.monotonic() - began:8.0f} s on the clock, {spent:8.0f} of the processor: {phase}"
        time.sleep(SECONDS_EVERY)
    yield f"{now.state}: {spent:.0f} s of the processor, {time.monotonic() - began:.0f} on the clock"
    yield "by phase: " + ", ".join(f"{name or 'start'} {seconds:.0f}" for name, seconds in phases.items())
    yield "at most: " + ", ".join(f"{kind.upper()} {peak / 1e9:.2f} GB" for kind, peak in peaks.items())


def predict(run: Run, documents: int) -> str:
    """Labels test documents by command: seconds of the processor and memory."""
    corpus = sources.load(run.config.data)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        texts = corpus.texts(corpus.parts["test"][:documents])
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        file.flush()
        command = [sys.executable, "-m", "core", "predict", run.id, file.name]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}")
    seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6
    return f"{documents:,} documents labelled in {seconds:.1f} s of the processor, {peak:.2f} GB"


def measure_share(corpus: Corpus, every: int, documents: int) -> Iterator[str]:
    """A tree of which every so-manieth task is fitted: seconds of the processor by level, weights, scoring."""
    model = ModelConfig(name="tree", **MODELS["tree"].model)
    marks = [time.process_time()]

    def mark(what: str) -> str:
        marks.append(time.process_time())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        return f"{marks[-1] - marks[-2]:8.1f} s of the processor, {peak:5.2f} GB at most so far: {what}"

    encoder = TfidfEncoder.fit(corpus.texts(corpus.parts["train"]), model)
    features, targets = encoder.encode(corpus.texts(corpus.parts["train"])), corpus.targets_of("train")
    yield mark(f"features, {features.shape[0]:,} x {features.shape[1]:,} with {features.nnz / 1e6:.1f} million entries")
    tree = grow_tree(features, targets, clusters=model.clusters, depth=model.depth, seed=0)
    tasks = plan_tree(tree, features, targets)
    yield mark(f"clusters: {len(tree.parents):,} nodes, {len(tasks):,} tasks")
    foretold = foretell_memory(features, tasks, C=model.C, seed=0, processes=2)
    weights = (foretold(model.prune) - foretold(1e9)) / WEIGHT_BYTES
    yield mark(f"forecast: {foretold(model.prune) / 1e9:.1f} GB with 2 processes, {weights / 1e6:.0f} million weights")
    # Tasks: every so-manieth, and as many that together have most of the work; seconds go with work and with nodes.
    sizes, cost = np.array([len(task.documents) for task in tasks]), np.array([task.cost for task in tasks], float)
    plain = np.arange(every // 2 % len(tasks), len(tasks), every)
    wanted = (np.arange(len(plain)) + 0.5) / len(plain) * cost.sum()
    shared, fitted, seconds = with_small_numbers(features, np.float64), dict[int, Hyperplanes](), dict[int, float]()
    for place in sorted({*plain.tolist(), *np.searchsorted(cost.cumsum(), wanted).tolist()}):
        began = time.process_time()
        fitted[place] = fit_task(shared, tasks[place], model.C, model.prune, 0)
        seconds[place] = time.process_time() - began
    done = np.array(list(fitted))
    spent = np.array(list(seconds.values()))
    # Relative errors count: a task of one node says as much of the price of a node as a large one of that of work.
    scale = 1 / np.maximum(spent, 1e-3)
    rates, _ = nnls(np.stack([cost[done], sizes[done]], axis=1) * scale[:, None], spent * scale)
    kept = np.mean([fitted[place].weights.nnz for place in plain]) * len(tasks)
    total = rates @ [cost.sum(), sizes.sum()]
    yield mark(
        f"{len(done):,} of {len(tasks):,} tasks, {100 * cost[done].sum() / cost.sum():.1f} % of the work: "
        f"{1e9 * rates[0]:.0f} ns an entry and label, {1e3 * rates[1]:.2f} ms a node, so {total:.0f} s for all, "
        f"{kept / 1e6:.0f} million weights"
    )
    if documents:
        parts = []
        for place, task in enumerate(tasks):
            like = int(done[np.abs(done - place).argmin()])
            columns = np.resize(np.arange(len(fitted[like].intercepts)), len(task.documents))
            parts.append(Hyperplanes(fitted[like].weights[:, columns], fitted[like].intercepts[columns]))
        planes = join(parts, features.shape[1])
        parts.clear()
        some = encoder.encode(corpus.texts(corpus.parts["test"][:documents]))
        yield mark(f"weights of like nodes, {planes.weights.nnz / 1e6:.0f} million")
        for size in (AT_ONCE_BY_WORDS, DOCUMENTS_AT_ONCE):
            for start in range(0, documents, size):
                for _ in score_tree(tree, planes, some[start : start + size], labels=len(corpus.labels), beam=10):
                    pass
            yield mark(f"{documents:,} documents scored, {size} at once")


def describe(run: Run) -> Iterator[str]:
    """What a finished run keeps and how good it is, and what its log says of memory."""
    yield from (line for line in journal.read_log(run.path, 1000) if "memory" in line or "hyperplanes" in line)
    found: dict[str, Any] = results.read_metrics(run)
    scores = found["test"]["all"]
    yield f"test micro-F1 {100 * scores['micro_f1']:.1f}, macro-F1 {100 * scores['macro_f1']:.1f}"
    yield f"{(run.path / 'model.safetensors').stat().st_size / 1e9:.2f} GB of weights on the disk"


def main() -> None:
    """Makes the documents, trains, and prints what it took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=224_897)
    options.add_argument("--labels", type=int, default=18_211)
    options.add_argument("--cardinality", type=float, default=12.6)
    options.add_argument("--words", type=int, default=200)
    options.add_argument("--xmc", default="", metavar="FOLDER")
    options.add_argument("--model", default="tree")
    options.add_argument("--loss", default=None)
    options.add_argument("--set", nargs="*", default=[], dest="changes", metavar="KEY=VALUE")
    options.add_argument("--share", type=int, default=0, metavar="EVERY")
    options.add_argument("--predict", type=int, default=0, metavar="DOCUMENTS")
    given = options.parse_args()
    size = SyntheticConfig(
        documents=given.documents, labels=given.labels, cardinality=given.cardinality, words=given.words
    )
    chosen = data(size, given.xmc)
    changes = [*given.changes]
    if not given.xmc:
        changes += [f"data.synthetic.{key}={value}" for key, value in chosen.synthetic_changes().items()]
    before = time.process_time()
    corpus = sources.load(chosen)
    print(
        f"{len(corpus.ids):,} documents, {len(corpus.labels):,} labels, {(corpus.counts == 0).sum():,} of them without "
        f"a train document; {time.process_time() - before:.0f} s of the processor to prepare or open",
        flush=True,
    )
    if given.share:
        for line in measure_share(corpus, given.share, given.predict):
            print(line, flush=True)
        return
    loss = given.loss or (None if given.model in ("tree", "svm") else "bce")
    run = launch.submit(plan.make_config(data=chosen.name, model=given.model, loss=loss, seed=0, changes=changes))
    for line in watch(run):
        print(line, flush=True)
    run = folder.get_run(run.id)
    if run.state != "finished":
        raise SystemExit(f"{run.reason} {run.advice}")
    for line in describe(run):
        print(line, flush=True)
    if given.predict:
        print(predict(run, given.predict), flush=True)


if __name__ == "__main__":
    main()

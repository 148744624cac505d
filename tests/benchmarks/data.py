"""Seconds and memory of loading and of the explorer's numbers: `python -m tests.benchmarks.data [--large]`.

Measures in fresh processes with a fresh cache: first read (parse, prepare, open), later load, and the whole process
from the start of Python to the loaded corpus. Then, for 18,211 labels and a growing number of documents, what the
explorer computes, and how large its charts are. `--large` goes up to PubMed's size (500 MB of disk).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import resource, sys, time
from core.config.schema import DataConfig
from core.data.sources import load
start = time.perf_counter()
corpus = load(DataConfig.model_validate_json(sys.argv[1]))
seconds = time.perf_counter() - start
documents, labels = corpus.targets.shape
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, documents, labels)
"""


EXPLORER = """
import json, resource, sys, time
import altair
from core.analysis import dataset
from core.config.schema import DataConfig
from core.data.sources import load
from core.data import documents
from core.figures import data as figures
from core.figures import together
from core.labels import cooccurrence, groups, lookalikes, measures

def timed(key, make):
    start = time.perf_counter()
    result = make()
    found[key] = time.perf_counter() - start
    found[key + "_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - empty
    return result

found, config = {}, DataConfig.model_validate_json(sys.argv[1])
empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
corpus = timed("open", lambda: load(config))
borders = groups.default_borders(corpus.name, corpus.counts)
timed("measures", lambda: measures.corpus_stats(corpus, borders))
pairs = timed("product", lambda: cooccurrence.count_pairs(corpus.targets))
timed("strongest", lambda: dataset.strongest_pairs(pairs, corpus.labels, by="lift", floor=5))
binned = timed("binned", lambda: cooccurrence.density(pairs, 60))
timed("alike", lambda: lookalikes.find_lookalikes(lookalikes.similar_names(corpus.labels), pairs))
timed("search", lambda: documents.find_documents(corpus, "train", text="words that stand nowhere"))
counts = [groups.count_documents(corpus.targets_of(part)) for part in ("train", "test")]
sizes = [len(corpus.parts[part]) for part in ("train", "test")]
lengths = documents.measure_lengths(corpus, "train", limit=5000)
charts = {
    "heatmap of 100 labels": together.cooccurrence(cooccurrence.block(pairs, range(100)), corpus.labels),
    "whole matrix": together.density(binned, len(corpus.labels)),
    "rank-frequency": figures.rank_frequency(measures.rank_frequency(corpus.labels, corpus.counts, borders), borders),
    "drift": figures.drift(measures.drift(corpus.labels, *counts, documents=sizes), "train", "test"),
    "Lorenz": figures.lorenz(measures.lorenz(corpus.counts)),
    "labels per document": figures.labels_per_document(measures.labels_per_document(corpus.targets)),
    "lengths": figures.lengths(lengths, "words"),
}
altair.data_transformers.disable_max_rows()
found["charts"] = {name: len(json.dumps(chart.to_dict())) / 1e6 for name, chart in charts.items()}
found["pairs"] = pairs.both.nnz
print(json.dumps(found))
"""


def explorer(config: str) -> dict[str, Any]:
    """Seconds, MB above a process that has imported all, by step, and MB of each chart; of a prepared corpus."""
    ran = subprocess.run([sys.executable, "-c", EXPLORER, config], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout))


def print_explorer(sizes: Sequence[int]) -> None:
    """Prints what the explorer's numbers cost for these numbers of documents."""
    steps = {
        "open": "open",
        "measures": "all measures",
        "product": "product",
        "strongest": "strongest",
        "binned": "binned",
        "alike": "look-alikes",
        "search": "text search",
    }
    print(f"\n{'documents x 18,211':>20}" + "".join(f"{title:>22}" for title in steps.values()) + f"{'pairs':>12}")
    for documents in sizes:
        config = synthetic(documents, 18_211, 12.6, 200)
        measure(config)
        found = explorer(config)
        figures = "".join(f"{found[step]:>9.3f} s {found[f'{step}_mb']:>7.0f} MB" for step in steps)
        print(f"{documents:>20,}{figures}{found['pairs']:>12,}", flush=True)
    print("charts in MB: " + ", ".join(f"{name} {size:.2f}" for name, size in found["charts"].items()))


def measure(config: str) -> tuple[float, float, float, int, int]:
    """Seconds of `load`, seconds of the whole process, peak MB, documents, labels."""
    start = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", CHILD, config], cwd=ROOT, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - start
    seconds, memory, documents, labels = ran.stdout.split()
    return float(seconds), whole, float(memory), int(documents), int(labels)


def synthetic(documents: int, labels: int, cardinality: float, words: int) -> str:
    size = f'"documents": {documents}, "labels": {labels}, "cardinality": {cardinality}, "words": {words}'
    return f'{{"name": "synthetic", "synthetic": {{{size}}}}}'


def main() -> None:
    sets = {
        "reuters": '{"name": "reuters"}',
        "synthetic, default": '{"name": "synthetic"}',
        "synthetic, Reuters' size": synthetic(10_788, 90, 1.24, 130),
    }
    if "--large" in sys.argv:
        sets["synthetic, PubMed's size"] = synthetic(224_897, 18_211, 12.6, 200)
    beside = ROOT.parent / "shared" / "data"
    if beside.is_dir():
        os.environ.setdefault("TAILSCOPE_DATA", str(beside))
    print(
        f"{'':26} {'documents x labels':>20} {'first read':>11} {'later load':>11} {'whole process':>14} {'peak MB':>8}"
    )
    for name, config in sets.items():
        with tempfile.TemporaryDirectory() as cache:
            os.environ["TAILSCOPE_CACHE"] = cache
            try:
                first, _, memory, documents, labels = measure(config)
            except subprocess.CalledProcessError as error:
                print(f"{name:26} {error.stderr.strip().splitlines()[-1]}")
                continue
            later, whole, *_ = min(measure(config) for _ in range(3))
            size = f"{documents:,} x {labels:,}"
            print(f"{name:26} {size:>20} {first:>9.2f} s {later:>9.3f} s {whole:>12.2f} s {memory:>8.0f}", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TAILSCOPE_CACHE"] = cache
        print_explorer([10_000, 50_000, 224_897] if "--large" in sys.argv else [10_000])


if __name__ == "__main__":
    main()

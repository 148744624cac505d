"""Seconds and memory of adding a file as a data set: `python -m tests.benchmarks.adding [documents ...]`.

Writes synthetic documents with PubMed's 18,211 labels, 12.6 labels and 200 words each, in BioASQ's layout (1.8 KB a
document), then adds that file in a fresh process with an empty cache (read, look for defects, divide, prepare), and
opens the set in another. Memory is the peak of the process; that of an empty Python with the same modules is beside it.

With `wide`: 20,000 rows of CSV with a 0/1 column for each of 2,000 labels (83 MB), beside `pandas.read_csv`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from core.config.schema import SyntheticConfig
from core.data.readers import make_synthetic

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "import resource, sys, time; from core.config.schema import *; from core.data import sources;"
BEGIN += "start = time.perf_counter();"
END = "; print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
ADD = "from pathlib import Path; from core.data.readers import guess; path = Path(sys.argv[1]);"
ADD += "sources.add('big', path, guess(path), SplitConfig(made='paper', min_documents=5))"
PANDAS = "import pandas; pandas.read_csv(sys.argv[1])"
OPEN = "corpus = sources.load(sources.default_config('big')); corpus.counts"
MEASURE = OPEN + "; from core.labels.groups import *; from core.labels.measures import *; start = time.perf_counter()"
MEASURE += "; corpus_stats(corpus, default_borders(corpus.name, corpus.counts))"


def run(code: str, *words: str) -> tuple[float, float]:
    """Seconds of the code after its imports, and the peak memory of its process in MB."""
    command = [sys.executable, "-c", f"{BEGIN}{code}{END}", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, memory = ran.stdout.split()
    return float(seconds), float(memory)


def write(path: Path, documents: int) -> None:
    """A file in BioASQ's layout."""
    config = SyntheticConfig(documents=documents, labels=18_211, cardinality=12.6, words=200)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"articles":[')
        for number, record in enumerate(make_synthetic(config)):
            article = {"pmid": record.id, "title": record.title, "abstractText": record.body, "year": "2013"}
            file.write(("," if number else "") + "\n" + json.dumps(article | {"meshMajor": list(record.labels)}))
        file.write("\n]}\n")


def write_wide(path: Path, rows: int = 20_000, labels: int = 2_000) -> None:
    """A table with a text and a 0/1 column for each label."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(500)])
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(["text", *(f"label {number}" for number in range(labels))]) + "\n")
        for _ in range(rows):
            flags = np.full(labels, "0")
            flags[rng.integers(0, labels, 5)] = "1"
            file.write(f'"{" ".join(rng.choice(words, 20))}, and so on",{",".join(flags)}\n')


def measure_wide() -> None:
    """Seconds and memory of pandas and of adding the same wide table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAILSCOPE_CACHE"] = f"{folder}/cache"
        path = Path(folder, "wide.csv")
        write_wide(path)
        for name, code in (("pandas", PANDAS), ("added", ADD.replace("made='paper', min_documents=5", ""))):
            seconds, memory = run(code, str(path))
            print(f"{name:>8} {seconds:>6.1f} s {memory:>7,.0f} MB", flush=True)


def main() -> None:
    if sys.argv[1:] == ["wide"]:
        measure_wide()
        return
    heads = {"documents": 10, "file MB": 8, "added s": 8, "peak MB": 8, "opened s": 9, " peak MB": 8, "measures s": 11}
    print(*(f"{head:>{width}}" for head, width in heads.items()))
    _, empty = run("pass")
    for documents in map(int, sys.argv[1:] or ("10000", "50000", "224897")):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TAILSCOPE_CACHE"] = f"{folder}/cache"
            path = Path(folder, "big.json")
            write(path, documents)
            added, opened, measured = run(ADD, str(path)), min(run(OPEN) for _ in range(3)), run(MEASURE)
            print(
                f"{documents:>10,} {path.stat().st_size / 1e6:>8,.0f} {added[0]:>8.1f} {added[1]:>8,.0f} "
                f"{opened[0]:>9.3f} {opened[1]:>8,.0f} {measured[0]:>11.2f}",
                flush=True,
            )
    print(f"A process with the same modules that does nothing: {empty:,.0f} MB")


if __name__ == "__main__":
    main()

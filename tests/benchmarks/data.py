"""Seconds and memory of loading: `python -m tests.benchmarks.data [--large]`.

Measures in fresh processes with a fresh cache: first read (parse, prepare, open), later load, and the whole process
from the start of Python to the loaded corpus. `--large` adds a synthetic corpus of PubMed's size (500 MB of disk).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import resource, sys, time
from core.config import DataConfig
from core.data import load
start = time.perf_counter()
corpus = load(DataConfig.model_validate_json(sys.argv[1]))
seconds = time.perf_counter() - start
documents, labels = corpus.targets.shape
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, documents, labels)
"""


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


if __name__ == "__main__":
    main()

"""Times whole runs on Reuters as a person starts them: `python -m tests.benchmarks.runs [seed ...]`.

Prints, for the SVM and the eight losses, the seconds of the worker's process (start of Python included), its peak
memory and the test scores; needs Reuters-21578 in a folder of TAILSCOPE_DATA. Its cache is its own: nothing is reused.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import psutil

from core.jobs import launch
from core.runs import folder, plan, results
from core.system.files import read_json


def main(seeds: list[int]) -> None:
    configs = plan.grid(data="reuters", models=["svm", "tfidf"], losses=["paper"], seeds=seeds)
    launch.existing(configs[0])  # prepare the data before the clock starts
    print(f"{'run':34} {'seconds':>8} {'MB':>6} {'micro':>7} {'macro':>7} {'head':>7} {'medium':>7} {'tail':>7}")
    began = time.perf_counter()
    for config in configs:
        start = time.perf_counter()
        run, peak = launch.submit(config), 0
        process = psutil.Process(read_json(run.path / "process.json")["pid"])
        for now in launch.watch(run.id, every=0.1):
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
            run = now
        seconds, test = time.perf_counter() - start, results.read_metrics(folder.get_run(run.id))["test"]
        scores = [test["all"]["micro_f1"], *(test[g]["macro_f1"] for g in ("all", "head", "medium", "tail"))]
        print(
            f"{run.id[:34]:34} {seconds:8.1f} {peak / 1e6:6.0f} " + " ".join(f"{100 * s:7.2f}" for s in scores),
            flush=True,
        )
    print(f"{'all':34} {time.perf_counter() - began:8.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TAILSCOPE_CACHE"] = cache
        main([int(seed) for seed in sys.argv[1:]] or [0])

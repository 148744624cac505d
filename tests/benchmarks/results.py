"""Seconds and memory of results: `python -m tests.benchmarks.results`.

Scores of Reuters' size (3,019 test documents x 90 labels) and of PubMed's (5,000 x 18,211, the 100 highest scores of a
document and those of its true labels), made from a seed; every figure is of a fresh process, memory is its peak. The
last rows list run folders and open the Compare page on them, without a browser: where nothing is kept, and where all
rules were made ahead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from core.system.files import write_json
from core.system.locks import locked
from core.system.places import ROOT

MAKE = """
import numpy as np, scipy.sparse as sp
from core.labels.groups import paper_borders
from core.metrics import confusion, summary, thresholds, uncertainty
rng = np.random.default_rng(0)
def made(documents, labels, cardinality):
    share = 1 / np.arange(1, labels + 1); share /= share.sum()
    sizes = 1 + rng.poisson(cardinality - 1, documents)
    true = rng.choice(labels, sizes.sum(), p=share)
    rows = np.repeat(np.arange(documents), sizes)
    targets = sp.csr_array((np.ones(len(rows), bool), (rows, true)), shape=(documents, labels))
    targets.sum_duplicates()
    if labels <= 1000:
        logits = 5 * targets.toarray() - 3 + rng.normal(0, 1.5, (documents, labels))
        return targets, (1 / (1 + np.exp(-logits))).astype(np.float16)
    others = rng.choice(labels, documents * 100, p=share), np.repeat(np.arange(documents), 100)
    rows, columns = np.concatenate([rows, others[1]]), np.concatenate([true, others[0]])
    keys = np.unique(rows * labels + columns)
    rows, columns = keys // labels, keys % labels
    logits = rng.normal(-3, 1.5, len(rows)) + 5 * np.asarray(targets[rows, columns]).ravel()
    values = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return targets, sp.csr_array((values, (rows, columns)), shape=(documents, labels))
targets, scores = made(SIZE)
counts = np.bincount(targets.indices, minlength=targets.shape[1]) * 3
borders = paper_borders(targets.shape[1])
predicted = thresholds.apply(scores, 0.5)
names = [str(column) for column in range(targets.shape[1])]
"""
STEPS = {
    "exact global threshold": "thresholds.fit_global(targets, scores)",
    "all scores": "summary.score_all(targets, scores, predicted, counts=counts, documents=15_000, borders=borders)",
    "1,000 resamples of Table 2": "uncertainty.bootstrap(targets, predicted, counts, borders)",
    "confused pairs": "confusion.confused_pairs(targets, predicted, names, limit=20_000)",
}
TIMED = """
import resource, time
began = time.perf_counter()
{step}
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
LIST = """
import time
from core.runs import folder
for _ in range(2):
    began = time.process_time(); folder.list_folders(); print(time.process_time() - began)
"""
ASKED = ("cold", "warm", "exact", "quiet", "per-label", "top-k", "ranking alone", "quiet again")
"""What is asked of *Compare*, one after the other: the page, and each rule for the first time."""
PAGE = f"""
import time
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("pages/compare.py", default_timeout=300)
for asked in {ASKED}:
    if asked == "ranking alone":
        page.session_state["decide"] = asked
    elif asked not in ("cold", "warm"):
        page.session_state["decide"], page.session_state["rule"] = "one rule", asked.removesuffix(" again")
    began = time.perf_counter(), time.process_time()
    page.run()
    print(time.perf_counter() - began[0], time.process_time() - began[1])
    assert not page.exception and page.dataframe
"""
AHEAD = """
import time
from core.analysis import ahead
from core.runs import folder
ahead.main('{"head": 35, "tail": 8}', *(run.id for run in folder.list_runs()))
print(time.process_time())
"""
SLIDER = """
from streamlit.testing.v1 import AppTest
from core.runs.folder import list_runs
run_id = next(run.id for run in list_runs() if "-bce-" in run.id)
page = AppTest.from_file("pages/errors.py", default_timeout=300)
page.query_params["run"], page.query_params["at"], page.query_params["view"] = run_id, "my own", "Confused pairs"
page.run()
from core.analysis.what_if import threshold_steps
from core.runs.folder import get_run
from core.runs.predictions import read_predictions
steps = threshold_steps(read_predictions(get_run(run_id))).tolist()
for limit in (min(step for step in steps if step > 0.3), min(step for step in steps if step > 0.2)):
    page.select_slider(key=f"limit-{run_id}").set_value(limit)
    began = time.perf_counter(); page.run(); print(time.perf_counter() - began)
assert not page.exception and page.metric[0].delta
"""


def run(code: str) -> list[float]:
    """What a fresh process printed."""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return [float(word) for word in ran.stdout.split()]


def copies(cache: Path, number: int) -> None:
    """A cache with `number` run folders, copies of those published with the repository under other seeds."""
    originals = sorted((ROOT / "cache" / "published").glob("reuters-*"))
    for place in range(number):
        original = originals[place % len(originals)]
        target = cache / "runs" / f"{original.name[:-10]}{place:010x}"
        shutil.copytree(original, target)
        config = json.loads(target.joinpath("config.json").read_text())
        write_json(target / "config.json", config | {"seed": place // len(originals)})


def open_compare(number: int, what: str) -> None:
    """Prints what `ASKED` takes in a fresh process."""
    taken = run(PAGE)
    for asked, seconds, processor in zip(ASKED, taken[::2], taken[1::2], strict=True):
        both = f"{seconds:7.3f} s {processor:7.3f} s of the processor"
        print(f"{number:>11} runs  {f'Compare, {what}: {asked}':38} {both}", flush=True)


def main() -> None:
    for title, size in {"3,019 x 90": "3019, 90, 1.24", "5,000 x 18,211": "5000, 18211, 12.3"}.items():
        for name, step in STEPS.items():
            seconds, memory = run(MAKE.replace("SIZE", size) + TIMED.format(step=step))
            print(f"{title:>16}  {name:28} {seconds:7.3f} s {memory:7.0f} MB", flush=True)
    for number in (40, 1000):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TAILSCOPE_CACHE"] = folder
            copies(Path(folder), number)
            for title, seconds in zip(("listed", "listed again"), run(LIST), strict=True):
                print(f"{number:>11} runs  {title:28} {seconds:7.3f} s of the processor", flush=True)
            if number == 40:
                with locked(Path(folder) / "locks" / "ahead.lock"):  # no rule is made ahead meanwhile
                    open_compare(number, "nothing kept")
                shutil.rmtree(Path(folder) / "samples")
                (seconds,) = run(AHEAD)
                print(f"{number:>11} runs  {'all rules made ahead':28} {seconds:7.3f} s of the processor", flush=True)
                open_compare(number, "made ahead")
                moved = max(run("import time; " + SLIDER))
                print(f"{number:>11} runs  {'a moved threshold':28} {moved:7.3f} s")


if __name__ == "__main__":
    main()

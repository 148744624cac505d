"""Linear models of thousands of labels beside LibMultiLabel's: `python -m tests.benchmarks.many_labels`.

The sample of PubMed with the labels of at least 5 train documents (3,680), a random split; both read the same TF-IDF
features, and each decides by one global threshold from validation. Every model is fitted in a process of its own, ours
and theirs in turn; seconds are those of the processor, children included, which other work on the machine moves less
than the clock. One-vs-rest is fitted for every tenth label. `--libmultilabel PYTHON` names an interpreter that has
LibMultiLabel (`pip install libmultilabel==0.10.0`, which needs a C++ compiler); without one, ours stand alone.
`--synthetic DOCUMENTS LABELS` measures time and memory of `tree` on made documents of 200 words instead.
`--sizes RUN RUN` prints Table 3 of finished runs by the paper's numbers of labels on PubMed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.analysis import decisions, tables
from core.config.schema import DataConfig, ModelConfig, SplitConfig, SyntheticConfig
from core.data import sources
from core.data.corpus import PARTS, Corpus
from core.data.readers import guess
from core.labels.groups import paper_borders
from core.metrics import kept_scores, label_sets, slices, thresholds
from core.models.tfidf_features import TfidfEncoder
from core.runs import folder as folders
from core.runs.predictions import read_predictions
from core.system.places import ROOT

EVERY = 10
"""One-vs-rest is fitted for so many labels fewer."""
FIRST = """
import resource, sys, time
import numpy as np, scipy.sparse as sp
folder, kept, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
x = {part: sp.csr_matrix(sp.load_npz(f"{folder}/x-{part}.npz")) for part in ("train", "validation", "test")}
y = sp.csr_matrix(sp.load_npz(f"{folder}/y-train.npz"))
def seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
"""
LAST = """
mark = seconds()
scores = {part: score(x[part]) for part in ("validation", "test")}
scored = seconds() - mark
for part, found in scores.items():
    sp.save_npz(f"{kept}-{part}.npz", found)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(spent, scored, wall, peak, weights)
"""
OURS = """
from core.metrics.kept_scores import keep_scores
from core.models.many_svms import fit_tasks, join, plan_labels
from core.models.label_tree import grow_tree, plan_tree, score_tree
import sklearn.cluster, sklearn.svm
mark, clock = seconds(), time.perf_counter()
train, targets = sp.csr_array(x["train"]), sp.csr_array(y)
tree = grow_tree(train, targets, clusters=100, depth=10, seed=0) if {tree} else None
tasks = plan_tree(tree, train, targets) if {tree} else plan_labels(train, targets)
planes = join(fit_tasks(train, tasks, C=1.0, prune=0.03, seed=0, processes=processes), train.shape[1])
spent, wall, weights = seconds() - mark, time.perf_counter() - clock, planes.weights.nnz
def score(features):
    rows = sp.csr_array(features)
    batches = score_tree(tree, planes, rows, labels=y.shape[1], beam=10) if {tree} else planes.margins(rows)
    return sp.csr_matrix(keep_scores(batches, 10_000))
"""
THEIRS = """
import contextlib, io
import libmultilabel.linear as linear
mark, clock = seconds(), time.perf_counter()
np.random.seed(0)
y = y.astype(np.float64)
with contextlib.redirect_stdout(io.StringIO()):
    if {tree}:
        model = linear.train_tree(y, x["train"], "-s 1 -B 1 -m 2 -q", verbose=False)
    else:
        model = linear.train_1vsrest(y, x["train"], False, "-s 1 -B 1 -m 2 -q", False)
spent, wall = seconds() - mark, time.perf_counter() - clock
weights = model.flat_model.weights.nnz if {tree} else np.count_nonzero(model.weights)
def score(features):
    rows = []
    for start in range(0, features.shape[0], 500):
        found = np.asarray(model.predict_values(features[start : start + 500]))
        cut = np.sort(found, axis=1)[:, -min(100, found.shape[1])][:, None]
        rows.append(sp.csr_matrix(np.where(found >= cut, found, 0).astype(np.float32)))
    return sp.csr_matrix(sp.vstack(rows))
"""


def print_sizes(runs: list[str]) -> None:
    """F1 on the test documents with up to 9 labels, with 10 to 14 and with more, as the paper's Table 3 of PubMed."""
    for rule in ("exact", "quiet"):
        print(f"| {rule} | all | up to 9 | 10 to 14 | 15 and more |\n|---|---|---|---|---|")
        for name in runs:
            run = folders.get_run(name)
            targets, predicted = read_predictions(run).targets, decisions.decide(run, rule).predicted
            parts = {"all": np.arange(targets.shape[0]), **slices.size_slices(targets, (1, 10, 15))}
            scores = slices.score_slices(targets, predicted, parts)
            cells = [f"{100 * one.micro_f1:.1f} / {100 * one.macro_f1:.1f}" for one in scores.itertuples()]
            print(f"| `{tables.method(run)}` | {' | '.join(cells)} |", flush=True)


def load(synthetic: list[int] | None) -> Corpus:
    """The sample of PubMed, added where it is not yet a data set, or made documents."""
    if synthetic:
        size = SyntheticConfig(documents=synthetic[0], labels=synthetic[1], cardinality=12.6, words=200)
        return sources.load(DataConfig(name="synthetic", synthetic=size))
    folders = os.environ.get("TAILSCOPE_DATA", "").split(os.pathsep)
    files = [file for folder in folders if folder for file in Path(folder).glob("**/allMeSH_sample.json.gz")]
    if not files:
        raise SystemExit("allMeSH_sample.json.gz is nowhere in TAILSCOPE_DATA: name its folder there.")
    name = "pubmed-sample-many-labels"
    if name not in {one.name for one in sources.available()}:
        sources.add(name, files[0], guess(files[0]), SplitConfig(made="random", min_documents=5))
    return sources.load(sources.default_config(name))


def write_features(corpus: Corpus, folder: Path) -> None:
    """Features and targets of every part, as all models read them."""
    encoder = TfidfEncoder.fit(corpus.texts(corpus.parts["train"]), ModelConfig())
    for part in PARTS:
        sp.save_npz(folder / f"x-{part}.npz", sp.csr_matrix(encoder.encode(corpus.texts(corpus.parts[part]))))
        sp.save_npz(folder / f"y-{part}.npz", sp.csr_matrix(corpus.targets_of(part).astype(np.float32)))


def run(python: str, code: str, folder: Path, kept: Path, processes: int) -> list[float]:
    """One model in a process of its own: processor seconds of training and scoring, the clock's, peak, weights."""
    code = FIRST + code.replace("{tree}", str("tree" in kept.name)) + LAST
    command = [python, "-W", "ignore", "-c", code, str(folder), str(kept), str(processes)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(processes)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return [float(word) for word in done.stdout.split()[-5:]]


def judge(kept: Path, folder: Path, counts: np.ndarray) -> dict[str, Any]:
    """F1 on test at the global threshold that is best on validation, and the precision of the first 5 labels."""
    scores = {part: sp.csr_array(sp.load_npz(f"{kept}-{part}.npz")) for part in ("validation", "test")}
    targets = {part: sp.csr_array(sp.load_npz(folder / f"y-{part}.npz").astype(bool)) for part in scores}
    cut = thresholds.fit_global(targets["validation"], scores["validation"], rule="exact")
    predicted = thresholds.apply(scores["test"], cut)
    found = label_sets.score_groups(targets["test"], predicted, counts, paper_borders(len(counts)))["all"]
    first = kept_scores.keep_largest(scores["test"], 5)
    hits = first.astype(bool).multiply(targets["test"]).sum()
    return {**found, "precision_at_5": float(hits) / (5 * targets["test"].shape[0])}


def main() -> None:
    """Fits and prints every model."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--libmultilabel", metavar="PYTHON", default="")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--models", nargs="+", default=["tree", "svm"], choices=["tree", "svm"])
    options.add_argument("--synthetic", nargs=2, type=int, metavar=("DOCUMENTS", "LABELS"))
    options.add_argument("--processes", type=int, default=1, help="of ours")
    options.add_argument("--sizes", nargs="+", metavar="RUN")
    given = options.parse_args()
    if given.sizes:
        print_sizes(given.sizes)
        return
    corpus = load(given.synthetic)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_features(corpus, folder)
        columns = ("model", "processor s", "clock s", "scoring s", "peak MB", "weights M", "micro", "macro", "P@5")
        print("".join(f"{column:>13}" for column in columns), flush=True)
        spent: dict[str, list[float]] = {}
        for round_ in range(given.rounds):
            for model in given.models:
                place = folder
                if model == "svm":  # fewer labels: the same features
                    place = folder / "svm"
                    place.mkdir(exist_ok=True)
                    for part in PARTS:
                        (place / f"x-{part}.npz").unlink(missing_ok=True)
                        (place / f"x-{part}.npz").symlink_to(folder / f"x-{part}.npz")
                        whole = sp.load_npz(folder / f"y-{part}.npz").tocsc()
                        sp.save_npz(place / f"y-{part}.npz", whole[:, ::EVERY].tocsr())
                counts = corpus.counts[:: EVERY if model == "svm" else 1]
                pair = [("ours", sys.executable, OURS), ("LibMultiLabel", given.libmultilabel, THEIRS)]
                for whose, python, code in pair[:: 1 if round_ % 2 == 0 else -1]:
                    if not python:
                        continue
                    kept = folder / f"{model}-{whose}"
                    seconds, scored, wall, peak, weights = run(python, code, place, kept, given.processes)
                    spent.setdefault(kept.name, []).append(seconds)
                    f1 = judge(kept, place, counts)
                    cells = [seconds, wall, scored, peak / 1024, weights / 1e6]
                    cells += [100 * (f1[key] or 0) for key in ("micro_f1", "macro_f1", "precision_at_5")]
                    print(f"{whose[:4]} {model:>8}" + "".join(f"{cell:13.2f}" for cell in cells), flush=True)
        medians = {key: float(np.median(values)) for key, values in spent.items()}
        for model in given.models:
            if f"{model}-LibMultiLabel" in medians:
                ratio = medians[f"{model}-ours"] / medians[f"{model}-LibMultiLabel"]
                print(f"{model}: {ratio:.2f} times LibMultiLabel's seconds of the processor")
        print(json.dumps(medians))


if __name__ == "__main__":
    main()

"""Scores, seconds and memory of combined runs: `python -m tests.benchmarks.combine`.

First, combinations of the published runs on Reuters; then seconds.

Six runs of Reuters' size (1,000 validation and 3,019 test documents x 90 labels, all scores) and of PubMed's (5,000 and
5,000 x 18,211, the 100 highest scores of a document), made from a seed. Seconds are those of `combine` alone in a fresh
process, all files read and written, and those of its processor alone, which other work on the machine leaves as they
are; memory is the peak of that process.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from core.config.parse import parse
from core.config.schema import RunConfig
from core.labels.groups import FREQUENCY_GROUPS, paper_borders
from core.metrics import label_sets, thresholds
from core.metrics.kept_scores import DENSE_LABELS, TOP_K
from core.runs import combine as combining
from core.runs import results
from core.runs.folder import list_runs, published_dir
from core.runs.predictions import Predictions, write_predictions
from core.system.files import write_json
from core.system.places import ROOT

MEMBERS = 6
GROUPS = ("all", *FREQUENCY_GROUPS)
SIZES = {"reuters": (1000, 3019, 90, 1.2), "pubmed": (5000, 5000, 18_211, 12.3)}
"""Validation documents, test documents, labels, labels of a document."""
POOL = 300
"""Labels of a document of which each member stores the highest."""
TIMED = """
import resource, sys, time
from core.runs.combine import combine
from core.runs.folder import list_runs
ids = [run.id for run in list_runs()]
began = time.perf_counter(), time.process_time()
combine(ids, weights=sys.argv[1])
seconds, processor = time.perf_counter() - began[0], time.process_time() - began[1]
print(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def make_targets(documents: int, labels: int, cardinality: float, rng: np.random.Generator) -> sp.csr_array:
    """True labels, (n, L): the first ones are frequent, the last ones rare."""
    share = 1 / np.arange(1, labels + 1)
    sizes = 1 + rng.poisson(cardinality - 1, documents)
    rows = np.repeat(np.arange(documents), sizes)
    true = rng.choice(labels, sizes.sum(), p=share / share.sum())
    targets = sp.csr_array((np.ones(len(rows), np.bool_), (rows, true)), shape=(documents, labels))
    targets.sum_duplicates()
    return targets


def make_scores(targets: sp.csr_array, rng: np.random.Generator) -> np.ndarray | sp.csr_array:
    """A member's scores: of each pair, or where labels are many the `TOP_K` highest of `POOL` labels of a document."""
    documents, labels = targets.shape
    if labels <= DENSE_LABELS:
        return squash(5 * targets.toarray() - 3 + rng.normal(0, 1.5, targets.shape)).astype(np.float16)
    # The pool is that of all members, so that they agree on some labels and not on others.
    pool = np.random.default_rng(0).integers(0, labels, (documents, POOL))
    true = targets.tocoo()
    rows = np.concatenate([np.repeat(np.arange(documents), POOL), true.coords[0]])
    keys = np.unique(rows * labels + np.concatenate([pool.ravel(), true.coords[1]]))
    rows, columns = keys // labels, keys % labels
    logits = 5 * np.asarray(targets[rows, columns]).ravel() - 3 + rng.normal(0, 1.5, len(rows))
    values = squash(logits).astype(np.float16).astype(np.float32)
    every = sp.csr_array((values, (rows, columns)), shape=targets.shape)
    best = thresholds.top_labels(every, TOP_K)
    return sp.csr_array(every.multiply(best))


def squash(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def make_members(cache: Path, name: str) -> None:
    """Writes the folders of the members."""
    *documents, labels, cardinality = SIZES[name]
    counts = np.maximum(20_000 // np.arange(1, int(labels) + 1), 1)
    for seed in range(MEMBERS):
        values = {"data": {"name": name}, "model": {"name": "tfidf"}, "loss": {"name": "bce"}, "seed": seed}
        config = parse(RunConfig, values)
        path = cache / "runs" / f"{name}-tfidf-bce-s{seed}-0123456789"
        path.mkdir(parents=True)
        scores = {}
        for place, part in enumerate(("validation", "test")):
            number = int(documents[place])
            targets = make_targets(number, int(labels), cardinality, np.random.default_rng(place))
            kept = make_scores(targets, np.random.default_rng([seed, place]))
            ids = [str(row) for row in range(number)]
            write_predictions(path, Predictions(ids, np.arange(number), targets, kept, 0.5), part)
            borders = paper_borders(int(labels))
            scores[part] = label_sets.score_groups(targets, thresholds.apply(kept, 0.5), counts, borders)
        write_json(path / "config.json", config.model_dump())
        write_json(path / "status.json", {"state": "finished", "submitted": float(seed)})
        known = {"labels": [f"label {i}" for i in range(int(labels))], "counts": counts.tolist()}
        known |= {"threshold": 0.5, "threshold_rule": "fixed", "borders": asdict(borders), "fingerprint": "f" * 64}
        write_json(path / "metrics.json", scores | known | {"command": "", "versions": {}, "seconds": 1.0})


def score(members: Sequence[str], rule: str, weights: combining.Weights = "equal") -> np.ndarray:
    """Test scores of a combined run by group, percent, (groups, 2): micro- and macro-F1."""
    test = results.read_metrics(combining.combine(members, rule=rule, weights=weights))["test"]
    return np.array([[100 * (test[group][key] or 0) for key in ("micro_f1", "macro_f1")] for group in GROUPS])


def print_published() -> None:
    """Test scores of combinations of published runs, means where there are several."""
    ids = [run.id for run in list_runs() if run.config.data.name == "reuters"]
    kinds = {name: [one for one in ids if name in one] for name in ("transformer-db", "tfidf-db-s", "svm")}
    tfidf = [*kinds["tfidf-db-s"], *(one for one in ids if "tfidf-cb-ntr" in one)]
    sets = {
        "one transformer, one tfidf (18 pairs)": list(product(kinds["transformer-db"], tfidf)),
        "one transformer, one svm (9 pairs)": list(product(kinds["transformer-db"], kinds["svm"])),
        "three transformers, three tfidf db": [(*kinds["transformer-db"], *kinds["tfidf-db-s"])],
        "transformer-db 03f05f948e, tfidf-db 966e74a879": [
            ("reuters-transformer-db-s0-03f05f948e", "reuters-tfidf-db-s0-966e74a879")
        ],
    }
    print(f"{'members':48} {'weights':11} {'rule':7}", *(f"{group:>15}" for group in GROUPS))
    for title, chosen in sets.items():
        for weights, rule in (("equal", "exact"), ("equal", "quiet"), ("validation", "quiet")):
            means = np.mean([score(members, rule, weights) for members in chosen], axis=0)  # type: ignore[arg-type]
            cells = (f"{f'{micro:.2f} / {macro:.2f}':>15}" for micro, macro in means)
            print(f"{title:48} {weights:11} {rule:7}", *cells, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(published_dir(), Path(folder) / "published")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TAILSCOPE_CACHE", folder)
            print_published()
    print(f"{'six runs of':12} {'weights':11} {'seconds':>8} {'processor':>10} {'MB':>7}")
    for name in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make_members(Path(folder), name)
            for weights in ("equal", "validation"):
                done = subprocess.run(
                    [sys.executable, "-c", TIMED, weights],
                    cwd=ROOT,
                    env={"PYTHONPATH": str(ROOT), "TAILSCOPE_CACHE": folder, "PATH": ""},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                seconds, processor, memory = map(float, done.stdout.split())
                print(f"{name:12} {weights:11} {seconds:8.2f} {processor:10.2f} {memory:7.0f}", flush=True)
                for made in Path(folder, "runs").glob(f"{name}-combined-*"):
                    made.rename(Path(folder) / made.name)  # out of the list of members


if __name__ == "__main__":
    main()

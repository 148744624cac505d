"""Fine-tuning against the reference recipe, and where the time goes: `python -m tests.benchmarks.train [--steps 40]`.

The reference recipe is that of the paper's code as its tables describe it: every document padded to 512 tokens and
tokenized when it is read, fp32, plain AdamW. Both train the same encoder with the same loss on the same documents of
Reuters, batches of 32; ours computes at most 512 tokens of a document as well. Then scoring of the test part against
static padding, and memory and time of a step by the number of labels.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import scipy.sparse as sp
import torch

from core import data, losses, tokens
from core.config import RunConfig
from core.fitting import BLOCKED_LABELS
from core.inputs import TokenInputs
from core.networks import build_network
from core.trainer import State, blocked, predict, resolve_precision, targets_of, train

BATCH, LONGEST = 32, 512


def settings(**changes: object) -> RunConfig:
    """The defaults of `transformer`, but for what is given."""
    model = {"name": "transformer", "max_length": LONGEST}
    return RunConfig.model_validate({"model": model, "loss": {"name": "db"}, "train": changes})


def network_of(config: RunConfig, labels: int, size: int, targets: sp.csr_array) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(config.model, size, torch.full((labels,), 0.01), targets)


def reference(texts: list[str], targets: sp.csr_array, counts: np.ndarray, steps: int, device: str) -> float:
    """Documents a second of the reference recipe."""
    config = settings()
    reader = tokens.Subwords.load(tokens.encoder_source(tokens.PACKAGED))
    network = network_of(config, targets.shape[1], reader.size, targets).to(device).train()
    loss = losses.build_loss("db", counts, len(texts), on_missing="mask").to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5)
    order = np.random.default_rng(0).permutation(len(texts))
    for step in range(steps + 2):
        if step == 2:
            _wait(device)
            began = time.perf_counter()
        rows = order[step * BATCH : (step + 1) * BATCH]
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
    return steps * BATCH / (time.perf_counter() - began)


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


def scoring(inputs: TokenInputs, texts: list[str], device: str) -> tuple[float, float]:
    """Documents a second of scoring: ours, and plain transformers with static padding in fp32."""
    config = settings()
    network = network_of(config, 90, inputs.encoder.size, sp.csr_array((1, 90), dtype=bool)).to(device).eval()
    precision = resolve_precision("auto", device)
    began = time.perf_counter()
    for _ in predict(network, inputs, device=device, precision=precision):
        pass
    fast = len(inputs) / (time.perf_counter() - began)
    tokenizer, some = inputs.encoder.tokenizer, texts[: 8 * BATCH]
    began = time.perf_counter()
    with torch.no_grad():
        for start in range(0, len(some), BATCH):
            read = tokenizer(
                some[start : start + BATCH],
                padding="max_length",
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            )
            network(read.input_ids.to(device), read.attention_mask.bool().to(device))
    return fast, len(some) / (time.perf_counter() - began)


def by_labels(inputs: TokenInputs, device: str) -> None:
    """Seconds of a step and memory by the number of labels."""
    rng, documents = np.random.default_rng(0), len(inputs)
    for labels in (90, 2000, 18_211, 200_000):
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
        memory = torch.cuda.max_memory_allocated() if device != "cpu" else psutil.Process().memory_info().rss
        print(f"{labels:>9,} labels  {np.median(seconds[1:]):6.2f} s a step of 32  {memory / 1e9:5.1f} GB", flush=True)


def main() -> None:
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(psutil.cpu_count(logical=False) or 1)
    steps = int(sys.argv[sys.argv.index("--steps") + 1]) if "--steps" in sys.argv else (40 if device != "cpu" else 12)
    corpus = data.load(data.default_config("reuters"))
    reader = tokens.Subwords.load(tokens.encoder_source(tokens.PACKAGED))
    made = tokens.tokenize(corpus, reader, lambda phase, done: None)
    parts = {part: TokenInputs(made, reader, rows, LONGEST) for part, rows in corpus.parts.items()}
    targets, texts = corpus.targets_of("train"), list(corpus.texts(corpus.parts["train"]))
    slow = reference(texts, targets, corpus.counts, steps, device)
    fast = ours(parts["train"], targets, corpus.counts, steps, device)
    print(f"reference recipe {slow:.1f} documents/s, ours {fast:.1f}: {fast / slow:.1f} times", flush=True)
    for name, share in profile(parts["train"], targets, corpus.counts, device):
        print(f"  {name:10} {100 * share:5.1f} % of a step", flush=True)
    fast, slow = scoring(parts["test"], list(corpus.texts(corpus.parts["test"])), device)
    print(f"scoring: ours {fast:.1f} documents/s, static padding {slow:.1f}: {fast / slow:.1f} times", flush=True)
    by_labels(parts["train"], device)


if __name__ == "__main__":
    main()

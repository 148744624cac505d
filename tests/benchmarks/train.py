"""Training measured: `python -m tests.benchmarks.train [--part throughput quality scoring labels tfidf kills]`.

The reference recipe is that of the paper's code as its tables describe it: every document padded to 512 tokens and
tokenized when it is read, fp32, plain AdamW, attention dropped out as the encoder's authors chose. Both recipes train
the same encoder and head with the same loss, learning rates and schedule on the same documents of Reuters, batches of
32, at most 512 tokens. The parts:

throughput  documents a second of both, in turn, so that other work slows both, and what a step's time goes into
quality     validation F1 of both after one epoch of `--documents` with `--seeds`, which also order the documents
scoring     the first `--documents` of the test part against plain transformers
labels      seconds and memory of a step by the number of labels, and the memory that was foretold
tfidf       one loss as a whole run
kills       a run killed at `--kills` random moments against the same run undisturbed

Seconds of CPU, of all threads together, say what a busy machine hides.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from scipy import stats

from core import losses
from core.config.schema import RunConfig
from core.data import sources
from core.data.corpus import Corpus, count_columns
from core.jobs import launch, training
from core.jobs.reporter import SilentReporter
from core.labels import groups
from core.metrics import label_sets, thresholds
from core.models import tokens
from core.models.batches import TokenInputs
from core.models.networks import build_network
from core.runs import folder, journal, plan, results
from core.system import machine
from core.system.files import read_json
from core.trainer.checkpoint import list_checkpoints
from core.trainer.loop import targets_of, train
from core.trainer.memory import memory_needed
from core.trainer.precision import autocast, resolve_precision
from core.trainer.scoring import predict
from core.trainer.setup import make_setup
from core.trainer.state import State
from tests.helpers.training import last_state, outcome, same

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("throughput", "quality", "scoring", "labels", "tfidf", "kills")
RECIPES = ("reference", "ours")
BATCH, LONGEST = 32, 512
RATES = {"learning_rate": 3e-4, "weight_decay": 0.0, "warmup": 0.1}
"""Of both recipes, whatever the defaults of a run are, so that figures of different days can be compared."""
EPOCH = 7000
"""Documents of the epoch that the seconds by the number of labels are for."""
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "V100": 125e12}
"""Operations a second of dense matrix products in bf16 (V100: fp16), as the vendor states them (SXM)."""


@dataclass(frozen=True)
class Task:
    """Documents of the train part of Reuters, and what both recipes make of them."""

    corpus: Corpus
    reader: tokens.Subwords
    made: tokens.Tokens
    rows: np.ndarray
    device: str

    @classmethod
    def load(cls, device: str, documents: int | None = None) -> Task:
        """All train documents, or so many of them."""
        corpus = sources.load(sources.default_config("reuters"))
        reader = tokens.Subwords.load(tokens.encoder_source(tokens.PACKAGED))
        rows = corpus.parts["train"]
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:documents]) if documents else rows
        return cls(corpus, reader, tokens.tokenize(corpus, reader, lambda phase, done: None), rows, device)

    @property
    def targets(self) -> sp.csr_array:
        return sp.csr_array(self.corpus.targets[self.rows])

    @property
    def precision(self) -> str:
        return resolve_precision("auto", self.device)

    def inputs(self, rows: np.ndarray) -> TokenInputs:
        return TokenInputs(self.made, self.reader, rows, LONGEST)

    def begin(
        self, precision: str, seed: int = 0, *, attention_dropout: float = 0.0
    ) -> tuple[State, torch.nn.Module, RunConfig]:
        """A network before its first step, the loss and the settings."""
        config = RunConfig.model_validate(
            {
                "model": {
                    "name": "transformer",
                    "max_length": LONGEST,
                    "attention_dropout": attention_dropout,
                    "frozen_layers": 0,
                },
                "loss": {"name": "db"},
                "train": {"batch_size": BATCH, "epochs": 1, "precision": precision} | RATES,
            }
        )
        counts, documents = count_columns(self.targets), len(self.rows)
        priors = torch.from_numpy(np.clip(counts, 0.5, documents - 0.5) / documents).float()
        torch.manual_seed(seed)
        network = build_network(config.model, self.reader.size, torch.logit(priors)).to(self.device)
        loss = losses.build_loss("db", counts, documents, on_missing="mask").to(self.device)
        return State.begin(network, config.train, documents), loss, config

    def reference(self, seed: int = 0, *, whole: bool = True) -> tuple[torch.nn.Module, Iterator[object]]:
        """The network, and the steps of one epoch of the reference recipe.

        Without `whole` a step is made in parts of documents of like length: the network does not see padding, so the
        gradient is that of the step in one, and comes many times as fast.
        """
        state, loss, _ = self.begin("fp32", seed, attention_dropout=0.1)
        for group in state.optimizer.param_groups:
            group |= {"fused": False, "eps": 1e-8}
        return state.network, self._reference(state, loss, seed, whole)

    def _reference(self, state: State, loss: torch.nn.Module, seed: int, whole: bool) -> Iterator[object]:
        targets, texts, inputs = self.targets, list(self.corpus.texts(self.rows)), self.inputs(self.rows)
        order = np.random.default_rng(seed).permutation(len(texts))
        for start in range(0, len(texts), BATCH):
            state.network.train()
            state.optimizer.zero_grad()
            rows, total = order[start : start + BATCH], 0.0
            alike = rows[np.argsort(inputs.lengths(rows))]
            for part in [rows] if whole else inputs.parts(alike, state.tokens_at_once):
                if whole:
                    read = padded(self.reader, [texts[row] for row in part], "max_length", self.device)
                else:
                    read = inputs.tensors(part, self.device)
                value = loss(state.network(*read), targets_of(targets[part], self.device)) * (len(part) / len(rows))
                value.backward()
                total += value.item()
            state.optimizer.step()
            state.schedule.step()
            yield total

    def ours(self, seed: int = 0) -> tuple[torch.nn.Module, Iterator[object]]:
        """The network, and the steps of one epoch of a run's own loop."""
        state, loss, config = self.begin(self.precision, seed)
        settings = {"config": config.train, "seed": seed, "device": self.device}
        return state.network, train(state, loss, self.inputs(self.rows), self.targets, **settings)


def padded(reader: tokens.Subwords, texts: list[str], padding: str | bool, device: str) -> tuple[torch.Tensor, ...]:
    """Token numbers and mask as plain transformers make them."""
    read = reader.tokenizer(texts, padding=padding, truncation=True, max_length=LONGEST, return_tensors="pt")
    return read.input_ids.to(device), read.attention_mask.bool().to(device)


def clock(device: str) -> float:
    """Seconds, when the device has done what was asked of it."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def race(slow: Iterator[object], fast: Iterator[object], device: str, *, turns: int, each: int) -> tuple[float, float]:
    """Seconds of two loops that take turns: one step of the slow, then `each` of the fast."""
    spent = [0.0, 0.0]
    for _ in range(turns):
        for place, steps in ((0, islice(slow, 1)), (1, islice(fast, each))):
            began = clock(device)
            for _ in steps:
                pass
            spent[place] += clock(device) - began
    return spent[0], spent[1]


def throughput(device: str, turns: int) -> None:
    """Documents a second of both recipes; batches of like length differ much, so ours takes more steps."""
    task, each = Task.load(device), 8
    slow, fast = task.reference()[1], task.ours()[1]
    race(slow, fast, device, turns=1, each=2)  # what is only done once
    seconds = race(slow, fast, device, turns=turns, each=each)
    slow_rate, fast_rate = turns * BATCH / seconds[0], turns * each * BATCH / seconds[1]
    print(f"reference recipe {slow_rate:.1f} documents/s, ours {fast_rate:.1f}: {fast_rate / slow_rate:.1f} times")
    for name, share in profile(task):
        print(f"  {name:10} {100 * share:5.1f} % of a step")
    if device == "cpu":
        print("model FLOP utilisation: no GPU here", flush=True)
        return
    name = torch.cuda.get_device_name()
    peak = next((peak for key, peak in PEAKS.items() if key in name), None)
    state, _, _ = task.begin(task.precision)
    looked_up = {id(w) for m in state.network.modules() if isinstance(m, torch.nn.Embedding) for w in m.parameters()}
    size = sum(weights.numel() for weights in state.network.parameters() if id(weights) not in looked_up)
    flops = 6 * size * fast_rate * float(task.inputs(task.rows).lengths(np.arange(len(task.rows))).mean())
    share = f"{100 * flops / peak:.1f} % of the peak" if peak else "peak unknown"
    print(f"model FLOP utilisation on {name}: {flops / 1e12:.1f} TFLOP/s, {share}", flush=True)


def profile(task: Task) -> list[tuple[str, float]]:
    """Share of a step's time by what it is spent on."""
    state, loss, _ = task.begin(task.precision)
    network, inputs, targets, device = state.network.train(), task.inputs(task.rows), task.targets, task.device
    rng = np.random.default_rng(0)
    spent = dict.fromkeys(("batch", "forward", "loss", "backward", "optimizer"), 0.0)

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = clock(device)
        made = work()
        spent[name] += clock(device) - began
        return made

    def forward(read: tuple[torch.Tensor, ...]) -> torch.Tensor:
        with autocast(task.precision, device):
            return network(*read)  # type: ignore[no-any-return]

    for rows in inputs.order(rng.permutation(len(inputs)), rng, BATCH)[:20]:
        read = timed("batch", lambda rows=rows: inputs.tensors(rows, device))
        logits = timed("forward", lambda read=read: forward(read))
        value = timed("loss", lambda logits=logits, rows=rows: loss(logits.float(), targets_of(targets[rows], device)))
        timed("backward", value.backward)
        timed("optimizer", state.optimizer.step)
        state.optimizer.zero_grad()
    total = sum(spent.values())
    return [(name, seconds / total) for name, seconds in spent.items()]


def quality(device: str, documents: int, seeds: int, recipes: Sequence[str]) -> None:
    """Whether the faster loop learns less: validation F1 of both after an epoch of the same documents."""
    at_once = (psutil.cpu_count(logical=False) or 1) if device == "cpu" else 1
    found = np.full((seeds, len(RECIPES), 2), np.nan)
    tasks = [(seed, recipe) for seed in range(seeds) for recipe in recipes]
    with ProcessPoolExecutor(at_once, get_context("spawn")) as pool:  # on a CPU each with one thread: no waits
        asked = {pool.submit(learned, device, documents, seed, recipe): (seed, recipe) for seed, recipe in tasks}
        for done in as_completed(asked):
            seed, recipe = asked[done]
            found[seed, RECIPES.index(recipe)] = said = done.result()
            print(f"seed {seed} {recipe:10} validation micro-F1 {said[0]:.2f}, macro-F1 {said[1]:.2f}", flush=True)
    for place, score in enumerate(("micro-F1", "macro-F1") if seeds > 1 and set(recipes) == set(RECIPES) else ()):
        reference, ours = found[:, :, place].T
        ends = stats.ttest_rel(ours, reference).confidence_interval(0.95)
        print(
            f"{score}: reference {reference.mean():.2f} (standard deviation over {seeds} seeds "
            f"{reference.std(ddof=1):.2f}), ours {ours.mean():.2f} ({ours.std(ddof=1):.2f}), ours - reference "
            f"{(ours - reference).mean():+.2f}, 95 % by t {ends.low:+.2f} to {ends.high:+.2f}",
            flush=True,
        )


def learned(device: str, documents: int, seed: int, recipe: str) -> tuple[float, float]:
    """Validation micro- and macro-F1 in percent of one recipe after an epoch."""
    if device == "cpu":
        torch.set_num_threads(1)
    task = Task.load(device, documents)
    corpus, counts = task.corpus, task.corpus.counts
    borders, targets = groups.default_borders(corpus.name, corpus.counts), corpus.targets_of("validation")
    ours = recipe == "ours"
    network, steps = task.ours(seed) if ours else task.reference(seed, whole=False)
    for step, _ in enumerate(steps):
        if not step % 20:
            machine.give_back_memory()
    precision = task.precision if ours else "fp32"
    inputs = task.inputs(corpus.parts["validation"])
    scores = np.concatenate(list(predict(network, inputs, device=device, precision=precision)))
    predicted = thresholds.apply(scores, thresholds.fit_global(targets, scores))
    said = label_sets.score_groups(targets, predicted, counts, borders)["all"]
    return 100 * said["micro_f1"], 100 * said["macro_f1"]


def scoring(device: str, documents: int) -> None:
    """Documents a second of scoring, ours and others', each twice in turn."""
    task = Task.load(device)
    rows = task.corpus.parts["test"][:documents]
    inputs, texts = task.inputs(rows), list(task.corpus.texts(rows))
    network = task.begin(task.precision)[0].network.eval()

    def run(precision: str) -> None:
        for _ in predict(network, inputs, device=device, precision=precision):
            pass

    @torch.no_grad()
    def plain(padding: str | bool) -> None:
        for start in range(0, len(texts), BATCH):
            network(*padded(task.reader, texts[start : start + BATCH], padding, device)).sigmoid().cpu()

    ways: dict[str, Callable[[], object]] = {"a run": lambda: run(task.precision)}
    if task.precision != "fp32":
        ways["a run in fp32"] = lambda: run("fp32")
    ways["padded to the longest of a batch, fp32"] = lambda: plain(True)
    ways["padded to 512, fp32"] = lambda: plain("max_length")
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        other = SentenceTransformer(tokens.encoder_source(tokens.PACKAGED), device=device)
        other.max_seq_length = LONGEST
        ways["sentence-transformers, vectors alone"] = lambda: other.encode(texts, batch_size=BATCH)
    spent = {name: np.zeros(2) for name in ways}
    for _ in range(2):
        for name, way in ways.items():
            began = np.array([clock(device), time.process_time()])
            way()
            spent[name] += np.array([clock(device), time.process_time()]) - began
    for name, (seconds, cpu) in spent.items():
        times = spent[name] / spent["a run"]
        print(
            f"{name:40} {2 * len(texts) / seconds:6.1f} documents/s, {2 * len(texts) / cpu:5.1f} a second of CPU; "
            f"a run is {times[0]:4.1f} times as fast, {times[1]:4.1f} by CPU",
            flush=True,
        )
    if not find_spec("sentence_transformers"):
        print("sentence-transformers is not installed")


def by_labels(numbers: list[int], length: int) -> None:
    """Seconds and memory of a step of a run, each number of labels in a process of its own."""
    for number in numbers:
        sources.load(synthetic(number, length).data)  # prepared before memory counts
        subprocess.run(
            [
                *(sys.executable, "-m", "tests.benchmarks.train", "--part", "one"),
                *("--labels", str(number), "--tokens", str(length)),
            ],
            cwd=ROOT,
            check=True,
        )


def synthetic(number: int, length: int) -> RunConfig:
    """A run on made documents of PubMed's number of labels each, at most so many tokens."""
    changes = [f"data.synthetic.labels={number}", "data.synthetic.documents=10000", "data.synthetic.cardinality=12.6"]
    changes += [f"model.max_length={length}", "model.frozen_layers=0", f"train.batch_size={BATCH}"]
    return plan.make_config(data="synthetic", model="transformer", loss="db", seed=0, changes=changes)


def one(number: int, length: int, device: str) -> None:
    """What a step costs with so many labels, and scoring after it."""
    config = synthetic(number, length)
    corpus = sources.load(config.data)
    setup = make_setup(config, corpus, SilentReporter(), device)
    in_blocks = setup.state.forward is not setup.network
    foretold = memory_needed(config, setup.network, len(setup.inputs["train"]), number, in_blocks=in_blocks)
    seconds, spent = [clock(device)], [time.process_time()]
    for _ in islice(training.take_steps(config, corpus, setup), 12):
        seconds.append(clock(device))
        spent.append(time.process_time())
    for _ in islice(predict(setup.network, setup.inputs["test"], device=device, precision=setup.settings.precision), 2):
        pass
    if device == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    else:
        peak = torch.cuda.max_memory_allocated()
    step, cpu = (float(np.median(np.diff(times)[1:])) for times in (seconds, spent))
    epoch = EPOCH / BATCH
    path = "blocked" if in_blocks else "dense"
    print(
        f"{number:>9,} labels  {path:8} {step:6.2f} s a step of {BATCH} ({cpu:.2f} of CPU), {step * epoch:5.0f} s "
        f"({cpu * epoch:.0f}) for {EPOCH:,} documents, {peak / 1e9:6.2f} GB at most, foretold {foretold / 1e9:.2f}",
        flush=True,
    )


def tfidf() -> None:
    """Seconds of a run from its start to its end, those of its process included."""
    config = plan.make_config(data="reuters", model="tfidf", loss="db", seed=0)
    with own_cache():
        sources.load(config.data)  # prepared before the clock starts
        began = time.perf_counter()
        run, cpu = launch.submit(config), 0.0
        process = psutil.Process(read_json(run.path / "process.json")["pid"])
        for _ in launch.watch(run.id, every=0.05):
            with suppress(psutil.Error):
                cpu = sum(process.cpu_times()[:2])
        took = time.perf_counter() - began
        said = results.read_metrics(folder.get_run(run.id))
    print(
        f"tfidf, db, Reuters: {took:.1f} s ({cpu:.1f} s of CPU), micro-F1 {100 * said['test']['all']['micro_f1']:.2f}",
        flush=True,
    )


class own_cache:
    """A cache that is empty at first and gone at the end."""

    def __enter__(self) -> None:
        self.kept, self.folder = os.environ.get("TAILSCOPE_CACHE"), tempfile.TemporaryDirectory()
        os.environ["TAILSCOPE_CACHE"] = self.folder.name

    def __exit__(self, *_: object) -> None:
        os.environ.pop("TAILSCOPE_CACHE")
        if self.kept is not None:
            os.environ["TAILSCOPE_CACHE"] = self.kept
        self.folder.cleanup()


def kills(number: int) -> None:
    """A run that is killed again and again, at moments by chance, against the same one undisturbed."""
    changes = ["data.synthetic.documents=1000", "data.synthetic.labels=20", "train.epochs=15", "train.patience=15"]
    changes += ["model.embedding=24", "model.filters=8", "model.max_length=48", "train.checkpoint_minutes=0"]
    config = plan.make_config(data="synthetic", model="textcnn", loss="db", seed=0, changes=changes)
    with own_cache():
        run = launch.submit(config)
        assert last_state(run) == "finished", journal.read_log(run.path)
        expected = outcome(run.path)
    chance, killed = random.Random(0), []
    with own_cache():
        run = launch.submit(config)
        steps = -(-len(sources.load(config.data).parts["train"]) // config.train.batch_size)

        def reached() -> int:
            last = [path.name for path in list_checkpoints(folder.checkpoint_dir(run.path))][-1:]
            return sum((int(name[:5]) - 1) * steps + int(name[6:]) for name in last)

        while len(killed) < number:
            goal, delay = reached() + chance.randint(0, 8), chance.uniform(0, 0.3)
            for now in launch.watch(run.id, every=0.002):
                if now.state == "running" and reached() >= goal:
                    time.sleep(delay)
                    os.killpg(read_json(run.path / "process.json")["pid"], signal.SIGKILL)
                    break
            state = last_state(run)
            assert state == "lost", f"{state} after {len(killed)} kills: {journal.read_log(run.path)[-5:]}"
            killed.append(reached())
            launch.resume(run.id)
        assert last_state(run) == "finished", journal.read_log(run.path)
        same(outcome(run.path), expected)
    print(
        f"killed {number} times in {steps * config.train.epochs} steps, last checkpoints {killed}: scores, metrics and "
        "history of the resumed run equal those of the undisturbed one",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Training measured.")
    parser.add_argument("--part", nargs="+", choices=(*PARTS, "one"), default=PARTS)
    parser.add_argument("--steps", type=int, help="of the reference recipe in `throughput`")
    parser.add_argument("--documents", type=int, help="of `quality` and `scoring`")
    parser.add_argument("--seeds", type=int, default=3, help="of `quality`")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES, help="of `quality`")
    parser.add_argument("--labels", nargs="+", type=int, default=[90, 2000, 18_211, 200_000])
    parser.add_argument("--tokens", type=int, default=128, help="of a document, of the part labels")
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(psutil.cpu_count(logical=False) or 1)
    small = device == "cpu"
    parts: dict[str, Callable[[], None]] = {
        "throughput": lambda: throughput(device, given.steps or (12 if small else 80)),
        "quality": lambda: quality(device, given.documents or EPOCH, given.seeds, given.recipes),
        "scoring": lambda: scoring(device, given.documents or (600 if small else EPOCH)),
        "labels": lambda: by_labels(given.labels, given.tokens),
        "one": lambda: one(given.labels[0], given.tokens, device),
        "tfidf": tfidf,
        "kills": lambda: kills(given.kills),
    }
    for part in given.part:
        parts[part]()


if __name__ == "__main__":
    main()

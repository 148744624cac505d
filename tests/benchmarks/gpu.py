"""The paper's table with a fine-tuned encoder on one GPU, for a machine that has one and little else.

Such a machine may have no network. `pack` writes what it lacks besides the repository into one folder, `train` reads
that folder there, trains every loss with every seed and writes all runs as one archive:

    python -m tests.benchmarks.gpu pack cache/gpu --python 3.12
    python -m tests.benchmarks.gpu train cache/gpu --output OUT --minutes 13
    python -m tests.benchmarks.gpu unpack OUT/runs.tar.gz

pack    the encoder's weights in half precision (of vectors of tokens those that Reuters has, the others are 0), its
        tokenizer, the archive of Reuters and, with `--python`, wheels of what a machine with PyTorch often lacks
train   seed 0 of every loss first, then seeds 1 and 2, several runs at once, as a small network leaves a GPU idle
        between its kernels; none begins that would not end in time. It prints documents a second, and the share of the
        GPU's peak that the operations of training are (FLOP utilisation)
unpack  puts the runs of the archive among those of this cache, so that `python -m core report` and `publish` see them

`train --device cpu --documents 64 --epochs 1 --losses db --seeds 0` tries it in seconds without a GPU, on documents
that are made up.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.config.schema import RunConfig

LOSSES = ("bce", "db", "cb-ntr", "ntr-fl", "r-fl", "cb", "db-0fl", "fl")
"""The paper's, the most telling first."""
RECIPE = {"model.max_length": 512, "model.frozen_layers": 0, "train.epochs": 6, "train.batch_size": 32}
WHEELS = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "defusedxml", "zstandard")
"""Packages that `core` needs to train, and that a machine with PyTorch and transformers often lacks."""
ENCODER = "all-MiniLM-L6-v2-half"
"""What runs call the packed encoder: a folder where they are trained."""
LINE = "{id}: {seconds:.0f} s, {rate:.0f} documents/s, test micro-F1 {micro:.2f}, macro-F1 {macro:.2f}"
PACKED, DATA = "model.safetensors.xz", "reuters21578.tar.xz"
"""Files of a packed folder."""
NEEDED = (f"encoder/{PACKED}", "encoder/config.json", DATA)
"""What `train` cannot do without."""
MOST = 64 << 20
"""Bytes that a folder may have where it has to travel: a warning says when it has more."""
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "V100": 125e12}
"""Operations a second of dense matrix products in bf16 (V100: fp16), as the vendor states them (SXM)."""


def pack(folder: Path, python: str) -> None:
    """Writes all that the other machine lacks."""
    import torch
    from safetensors.torch import load_file, save

    from core.data import sources
    from core.models import tokens
    from core.models.tokens import Subwords, encoder_source, tokenize

    # Encoder: token vectors of tokens that no document has are 0, which packs to nothing.
    source = Path(encoder_source(tokens.PACKAGED))
    corpus, reader = sources.load(sources.default_config("reuters")), Subwords.load(str(source))
    seen = np.unique(tokenize(corpus, reader, lambda phase, done: None).numbers)
    special = [*reader.before, *reader.after, reader.pad, reader.tokenizer.unk_token_id]
    weights = load_file(source / "model.safetensors")
    (name,) = (name for name in weights if name.endswith("word_embeddings.weight"))
    kept = torch.zeros(len(weights[name]), 1)
    kept[torch.from_numpy(np.union1d(seen, special).astype(np.int64))] = 1
    weights[name] = weights[name] * kept
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    folder.mkdir(parents=True, exist_ok=True)
    encoder = folder / "encoder"
    encoder.mkdir(exist_ok=True)
    # Upper bytes apart from lower ones: signs and exponents are alike and pack well, the rest is noise.
    content = np.frombuffer(save(half, metadata={"format": "pt"}), np.uint8)
    (encoder / PACKED).write_bytes(lzma.compress(content.reshape(-1, 2).T.tobytes(), preset=1))
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(source / file, encoder / file)
    # Data, then wheels for the Python of the other machine.
    (reuters,) = (one for one in sources.available() if one.name == "reuters")
    with gzip.open(reuters.place) as archive:
        (folder / DATA).write_bytes(lzma.compress(archive.read()))
    if python:
        from importlib.metadata import version

        named = [f"{package}=={version(package)}" for package in WHEELS]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", python, "--platform", "manylinux2014_x86_64", "-d", str(folder / "wheels")]
        subprocess.run([*command, *named], check=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB, {int(kept.sum()):,} of {len(kept):,} token vectors", flush=True)
    if size > MOST:
        print(f"that is more than {MOST >> 20} MiB")


def unpack_folder(folder: Path, work: Path) -> None:
    """Makes the packed folder usable in `work`: weights, data, and the wheels on the path of this process."""
    encoder = shutil.copytree(folder / "encoder", work / ENCODER, dirs_exist_ok=True)
    upper, lower = np.frombuffer(lzma.decompress((encoder / PACKED).read_bytes()), np.uint8).reshape(2, -1)
    (encoder / "model.safetensors").write_bytes(np.stack([upper, lower], axis=1).tobytes())
    (encoder / PACKED).unlink()
    with tarfile.open(folder / DATA) as archive:
        archive.extractall(work / "data" / "reuters21578", filter="data")
    if wheels := sorted(map(str, (folder / "wheels").glob("*.whl"))):
        site = work / "site"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
        subprocess.run([*command, *wheels], check=True)
        # Last on the path: what the machine has of its own comes first.
        sys.path.append(str(site))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), str(site)]))


def train(given: argparse.Namespace) -> None:
    """Trains the runs that end in time, and writes them, a table and what was measured into the folder `output`."""
    began, output, folder = time.monotonic(), given.output.resolve(), given.folder.resolve()
    work = output / "work"
    work.mkdir(parents=True, exist_ok=True)
    unpack_folder(folder, work)
    os.environ |= {"TAILSCOPE_DATA": str(work / "data"), "HF_HUB_OFFLINE": "1", "TAILSCOPE_CACHE": str(work / "shared")}
    os.chdir(work)  # so that the encoder is named as a folder and no place of this machine
    configs = make_configs(given)
    tokens = prepare(configs[0])
    print(f"prepared in {time.monotonic() - began:.0f} s: {tokens:.0f} tokens a document", flush=True)
    # Runs, several at once, each process with a cache of its own that reads what is prepared.
    ends, waiting, took = began + 60 * given.minutes, list(configs), [0.0]
    started, done, running = time.monotonic(), [], set[Future[dict[str, Any]]]()
    at_once = given.at_once or (1 if given.device == "cpu" else 4)
    with ProcessPoolExecutor(at_once, get_context("spawn")) as pool:
        while waiting or running:
            while waiting and len(running) < at_once:
                if time.monotonic() + 1.2 * max(took) > ends:
                    print(f"{len(waiting)} runs are left out: they would not end in time", flush=True)
                    waiting.clear()
                    break
                running.add(pool.submit(run_one, waiting.pop(0).model_dump(), work))
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for found in filter(None, map(result_of, ready)):
                done.append(found)
                took.append(found["seconds"])
    describe(done, tokens, time.monotonic() - started, work)
    # One archive, without weights: a machine may give back few files.
    from core.runs import share

    with tarfile.open(output / "runs.tar.gz", "w:gz") as archive:
        for found in done:
            run = Path(found["path"])
            for name in share.RESULTS:
                if (run / name).exists():
                    archive.add(run / name, f"{run.name}/{name}")
    os.chdir(output)
    shutil.rmtree(work)
    print(f"{output / 'runs.tar.gz'}: {len(done)} runs, {time.monotonic() - began:.0f} s in all", flush=True)


def result_of(future: Future[dict[str, Any]]) -> dict[str, Any] | None:
    """What a run gave, which is printed; None of one that failed, which takes no other with it."""
    if error := future.exception():
        print(f"a run failed and is left out: {error}", flush=True)
        return None
    print(LINE.format(**future.result()), flush=True)
    return future.result()


def make_configs(given: argparse.Namespace) -> list[RunConfig]:
    """The settings of all runs: every loss with the first seed, then with the next."""
    from core.runs import plan

    settings: dict[str, Any] = RECIPE | {"model.encoder": ENCODER, "train.device": given.device}
    settings |= {"train.precision": "auto" if given.device == "cpu" else "bf16", "train.threshold": "auto"}
    data = "reuters"
    if given.documents:
        data, settings["data.synthetic.documents"] = "synthetic", given.documents
        settings["data.synthetic.labels"] = 10
    if given.epochs:
        settings["train.epochs"] = given.epochs
    changes = [f"{key}={value}" for key, value in settings.items()] + given.set
    return [
        plan.make_config(data=data, model="transformer", loss=loss, seed=seed, changes=changes)
        for seed in given.seeds
        for loss in given.losses
    ]


def prepare(config: RunConfig) -> float:
    """Prepares the data and its tokens once for all runs; the mean number of tokens that a train document has."""
    from core.data import sources
    from core.models.batches import TokenInputs
    from core.models.tokens import Subwords, encoder_source, tokenize

    corpus = sources.load(config.data)
    reader = Subwords.load(encoder_source(config.model.encoder))
    made = tokenize(corpus, reader, lambda phase, done: None)
    inputs = TokenInputs(made, reader, corpus.parts["train"], config.model.max_length)
    return float(inputs.lengths(np.arange(len(inputs))).mean())


def run_one(settings: dict[str, Any], work: Path) -> dict[str, Any]:
    """One run by the worker that every run has, in a cache of this process."""
    cache = work / str(os.getpid())
    if not cache.exists():
        cache.mkdir()
        for name in ("data", "tokens"):
            cache.joinpath(name).symlink_to(work / "shared" / name)
    os.environ["TAILSCOPE_CACHE"] = str(cache)
    os.chdir(work)
    from core.config.schema import RunConfig
    from core.data import sources
    from core.jobs import worker
    from core.jobs.queue import queue
    from core.runs import folder, journal, results
    from core.system.files import write_json

    config = RunConfig.model_validate(settings)
    path = folder.run_path(folder.run_id(config, sources.load(config.data).fingerprint))
    path.mkdir(parents=True)
    write_json(path / "config.json", config.model_dump())
    status = {"state": "queued", "submitted": time.time(), "device": queue(config), "command": "tests.benchmarks.gpu"}
    write_json(path / "status.json", status)
    worker.execute(path)
    run = folder.get_run(path.name)
    metrics, history = results.read_metrics(run), journal.read_history(run.path)
    documents = metrics["documents"]["train"]
    return {
        "id": run.id,
        "path": str(path),
        "seconds": metrics["seconds"],
        "documents": documents * len(history),
        "rate": documents * len(history) / history[-1]["seconds"],
        "micro": 100 * metrics["test"]["all"]["micro_f1"],
        "macro": 100 * metrics["test"]["all"]["macro_f1"],
    }


def describe(done: list[dict[str, Any]], tokens: float, seconds: float, work: Path) -> None:
    """Prints what all runs together did in so many seconds, and what share of the peak that is."""
    import torch
    from transformers import AutoConfig

    if not done:
        print("no run ended")
        return
    documents = sum(found["documents"] for found in done)
    print(f"{documents / seconds:.0f} documents/s trained over {len(done)} runs and {seconds:.0f} s, scoring included")
    if not torch.cuda.is_available():
        print("FLOP utilisation: no GPU here", flush=True)
        return
    # Six operations for each weight and token, those of vectors that are looked up apart, and attention's own.
    settings = AutoConfig.from_pretrained(work / ENCODER)
    width, layers = settings.hidden_size, settings.num_hidden_layers
    weights = layers * (4 * width * width + 2 * width * settings.intermediate_size)
    flops = documents * tokens * (6 * weights + 12 * layers * width * tokens) / seconds
    name = torch.cuda.get_device_name()
    peak = next((peak for key, peak in PEAKS.items() if key in name), None)
    share = f"{100 * flops / peak:.2f} % of the peak" if peak else "peak unknown"
    print(f"FLOP utilisation on {name}: {flops / 1e12:.2f} TFLOP/s, {share}", flush=True)


def unpack(archive: Path) -> None:
    """Puts the runs of an archive among those of this cache; one that is there already stays as it is."""
    from core.runs.layout import runs_dir

    runs_dir().mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as packed:
        for name in sorted({Path(member.name).parts[0] for member in packed}):
            if (runs_dir() / name).exists():
                print(f"{name} is there already")
                continue
            members = [one for one in packed if Path(one.name).parts[0] == name]
            packed.extractall(runs_dir(), members, filter="data")
            print(name)


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's table with a fine-tuned encoder on one GPU.")
    parts = parser.add_subparsers(dest="part", required=True)
    packing = parts.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--python", default="", help="version of the other machine, such as 3.12: adds wheels")
    training = parts.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("--output", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=13.0)
    training.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    training.add_argument("--losses", nargs="+", default=LOSSES)
    training.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    training.add_argument("--at-once", type=int, default=0, help="runs; 0: 4 on a GPU, 1 on a CPU")
    training.add_argument("--documents", type=int, default=0, help="made-up ones, in place of Reuters")
    training.add_argument("--epochs", type=int, default=0)
    training.add_argument("--set", action="append", default=[], help="a setting, as of `python -m core train`")
    unpacking = parts.add_parser("unpack")
    unpacking.add_argument("archive", type=Path)
    given = parser.parse_args()
    if given.part == "train" and (missing := [name for name in NEEDED if not (given.folder / name).exists()]):
        parser.error(f"{given.folder} does not hold {', '.join(missing)}: make it with `pack`")
    if given.part == "unpack" and not (given.archive.is_file() and tarfile.is_tarfile(given.archive)):
        parser.error(f"{given.archive} is no archive that `train` has written")
    from core.system.errors import UserError

    try:
        if given.part == "pack":
            pack(given.folder, given.python)
        elif given.part == "train":
            train(given)
        else:
            unpack(given.archive)
    except (UserError, OSError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()

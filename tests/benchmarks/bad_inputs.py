"""Bad inputs against every door: `python -m tests.benchmarks.bad_inputs [--only GROUP ...]`; exit 1 if one is not met.

Files to add, arguments, plans, zips to import, damaged runs and caches, the environment, addresses of pages. Each case
has to end in a sentence with exit 2, or to mark the one run that is damaged, and leaves nothing half-written. Prints
every case that falls short, then `N of N` by group. About fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from core.system.places import ROOT
from tests.helpers import damages

SIZE = ["data.synthetic.documents=400", "data.synthetic.labels=30"]
SYNTHETIC = ["--data", "synthetic", *(word for one in SIZE for word in ("--set", one))]
HUGE, DEEP = "1" * 6000, "[" * 200_000 + "]" * 200_000
CSV = "text,labels\n" + "".join(f'"text number {i} of the file",a;b{i % 3}\n' for i in range(40))
LEFT = (".tmp", ".new", ".part")
MET: Counter[str] = Counter()
TRIED: Counter[str] = Counter()


def forked(work: Callable[[], None], env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Runs something in a child process: its exit code, and all that it printed."""
    with tempfile.TemporaryFile() as printed:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.dup2(printed.fileno(), 1)
                os.dup2(printed.fileno(), 2)
                os.environ.update(env or {})
                work()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read().decode("utf-8", "replace")


def command(*words: object, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A command in a child process."""

    def work() -> None:
        from core.cli.main import main

        sys.argv = ["python -m core", *map(str, words)]
        main()

    return forked(work, env)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def count(group: str, name: str, problem: str) -> None:
    """Counts a case and prints what falls short."""
    TRIED[group] += 1
    MET[group] += not problem
    if problem:
        print(f"FAIL {group}: {name}: {problem[:300]}", flush=True)


def try_command(
    group: str, name: str, *words: object, accept: Iterable[int] = (2,), env: Mapping[str, str] | None = None
) -> None:
    """A command that has to be refused in a sentence, and to leave nothing behind."""
    cache = Path(os.environ["TAILSCOPE_CACHE"])
    before = files_in(cache)
    code, printed = command(*words, env=env)
    left = [one for one in files_in(cache) - before if Path(one).name.startswith(".") or one.endswith(LEFT)]
    problem = "" if code in accept else f"exit {code}, {printed.strip()[-200:]}"
    problem = problem or ("a traceback" if "Traceback (most recent" in printed else "")
    problem = problem or ("no sentence" if code == 2 and not printed.strip() else "")
    count(group, name, problem or (f"left {left}" if left else ""))


def draw(pages: Iterable[tuple[str, Mapping[str, str | list[str]]]]) -> None:
    """Draws pages without a browser; raises where one shows an exception."""
    from streamlit.testing.v1 import AppTest

    for name, query in pages:
        page = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=120)
        for key, value in query.items():
            page.query_params[key] = value
        page.run()
        if page.exception:
            raise RuntimeError(f"{name} {str(query)[:100]}: {page.exception[0].message}")


def try_pages(
    group: str,
    name: str,
    pages: Iterable[tuple[str, Mapping[str, str | list[str]]]],
    env: Mapping[str, str] | None = None,
) -> None:
    """Pages that have to be drawn without an exception."""
    code, printed = forked(lambda: draw(pages), env)
    count(group, name, "" if code == 0 else printed.strip().splitlines()[-1])


def add_files(work: Path) -> None:
    """Files that `data add` has to refuse, or to read as they are."""
    packed = gzip.compress(CSV.encode() * 200)
    bomb, dots = io.BytesIO(), io.BytesIO()
    for kept, name, content in ((bomb, "a.csv", "text,labels\n" + "a" * 90_000_000), (dots, "../a.csv", CSV)):
        with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
    refused: dict[str, str | bytes] = {
        **{"empty.csv": "", "header.csv": "text,labels\n", "quote.csv": 'text,labels\n"never closed,a\nmore,b\n'},
        **{"bytes.csv": random.Random(1).randbytes(5000), "broken.jsonl": '{"text":"a","labels":["x"]}\n{"text":\n'},
        **{"numbers.jsonl": "1\n2\n3\n", "deep.jsonl": f'{{"text":"a","labels":{DEEP}}}\n', "object.json": '{"a": 1}'},
        **{"huge.jsonl": f'{{"text":"a","labels":{HUGE}}}\n', "cut.json": '[{"text":"a","labels":["x"]},{"text":"b"'},
        **{
            "lists.json": "[[1,2],[3,4]]",
            "deep.json": f'[{{"text":{DEEP}}}]',
            "random.parquet": random.Random(2).randbytes(4000),
        },
        **{"cut.csv.gz": packed[: len(packed) // 2], "bomb.zip": bomb.getvalue(), "dots.zip": dots.getvalue()},
        **{"cut.zip": dots.getvalue()[:40], "empty.zip": b"PK\x05\x06" + bytes(18)},
    }
    for name, content in refused.items():
        file = work / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        try_command("data", name, "data", "add", file, "--name", "bad-set")
    good, pipe, loop = work / "good.csv", work / "pipe.csv", work / "loop.csv"
    good.write_text(CSV)
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for place in (work / "nowhere.csv", "/dev/null", loop, pipe, "/" + "n" * 5000 + ".csv"):
        try_command("data", f"{place}"[:40], "data", "add", place, "--name", "bad-set")
    for name in ("../x", "A B", "", "reuters", "synthetic", "x" * 41, "-x", "ü", "x\ny", "__proto__"):
        try_command("data", f"--name {name!r}", "data", "add", good, "--name", name)
    for encoding in ("klingon", "base64", "rot13", "undefined", "zlib", "../../x", "x" * 3000):
        try_command(
            "data", f"--encoding {encoding[:20]}", "data", "add", good, "--name", "bad-set", "--encoding", encoding
        )
    for words in (
        "--labels nope",
        "--text nope",
        "--split nope",
        "--years abc",
        "--years 2014-2010",
        "--validation 2",
        "--validation nan",
        "--test 0",
        "--test inf",
        "--drop nonsense",
        "--made nonsense",
        "--made own",
        f"--sep {'x' * 11}",
        "--seed -1",
        f"--seed {2**31}",
        "--min-documents -1",
        "--min-documents 100000",
    ):
        try_command("data", words[:40], "data", "add", good, "--name", "bad-set", *words.split())


def try_arguments(svm: str) -> None:
    """Arguments and plans."""
    for one in ("status", "logs", "stop", "resume", "delete", "publish", "report", "note"):
        try_command("arguments", f"{one} of no run", one, "no-such-run")
    for run in ("../../etc/passwd", "", "A", "x" * 500, "ü", "a/b", "a\nb", "<script>", ".", "..", "a\udcff"):
        try_command("arguments", f"status {run[:20]!r}", "status", run)
    for words in (
        f"resume {svm}",
        f"note {svm} --name {'x' * 81}",
        f"note {svm} --tags {'x' * 31}",
        f"export {svm} -o /proc/nope/x.zip",
        f"export {svm} -o /tmp",
        f"report {svm} --table 9",
        "stop sweep-0123456789",
        "data remove ../x",
        "data download foo",
        "foo",
        f"logs {svm} -n 0",
        "stats foo",
        "stats synthetic --head -5",
        "search --data synthetic --loss foo",
        "search --data synthetic --loss db --trials 0",
    ):
        try_command("arguments", words[:40], *words.split())
    for change in (
        "x",
        "=5",
        "a.b=1",
        "train.epochs=",
        "train.epochs=NaN",
        "train.epochs=1e999",
        "train.learning_rate=-1",
        f"train.epochs={HUGE}",
        f"train.epochs={DEEP}",
        "data=5",
        "model=5",
        "train=null",
        "loss.mu=foo",
        "loss.gamma=[]",
        "train.device=cuda:x",
        "model.name=svm",
        "__class__=1",
        ".",
        "train.=1",
        "track=foo",
        "data.synthetic.labels=9999999",
        'model.encoder="\\ud800"',
    ):
        words = ["train", *SYNTHETIC, "--model", "tfidf", "--loss", "db", "--background", "--set", change]
        try_command("arguments", f"--set {change[:40]}", *words)
    good = {"data": {"name": "synthetic", "split": "paper"}, "models": ["svm"], "losses": ["bce"], "seeds": [0]}
    plans: dict[str, str | bytes] = {
        name: content
        for name, content in damages.damages(
            json.dumps(good).encode(), each=(*damages.VALUES, *damages.NUMBERS)
        ).items()
        if not re.search(r"missing|losses is|an empty object|data is|seeds is NaN", name)
    }
    plans |= {
        "deep": DEEP,
        "deep in a value": f'{{"models":{DEEP}}}',
        "huge": f'{{"seeds":[{HUGE}]}}',
        "model a list": '{"model": []}',
        "model null": '{"model": null}',
        "2,000 seeds": json.dumps({**good, "seeds": list(range(2000))}),
        "unknown key": json.dumps({**good, "foo": 1}),
    }
    file = Path(os.environ["TAILSCOPE_CACHE"]).parent / "plan.json"
    for name, content in plans.items():
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        try_command("plans", name, "sweep", "--plan", file, "--background")


def try_imports(run: str, work: Path) -> None:
    """Zips with one file of a run damaged; one that is taken all the same has nothing that a page stumbles over."""
    good = work / "good.zip"
    command("export", run, "-o", good)
    with zipfile.ZipFile(good) as archive:
        members = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    fresh, runs = "fresh-run-s0-0123456789", Path(os.environ["TAILSCOPE_CACHE"]) / "runs"

    def attempt(name: str, changes: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
        with zipfile.ZipFile(work / "x.zip", "w", method) as archive:
            for inner, content in {**members, **changes}.items():
                archive.writestr(f"{fresh}/{inner}", content)
        try_command("imports", name, "import", work / "x.zip", accept=(0, 2))
        if (runs / fresh).exists():
            try_pages(
                "imports",
                f"{name}, drawn",
                [("launcher", {"run": fresh}), ("errors", {"run": fresh}), ("compare", {"runs": fresh})],
            )
            shutil.rmtree(runs / fresh)

    for name in ("config.json", "status.json", "metrics.json", "history.jsonl"):
        for words, content in damages.damages(members[name]).items():
            attempt(f"{name}: {words}", {name: content})
    for words, content in damages.array_damages(members["predictions.npz"]).items():
        attempt(f"predictions.npz: {words}", {"predictions.npz": content})
    for name in ("model.safetensors", "vocabulary.json"):
        attempt(f"{name}: cut", {name: members[name][:-5]})
    attempt("lzma", {}, zipfile.ZIP_LZMA)
    whole = good.read_bytes()
    for seed in range(12):
        (work / "x.zip").write_bytes(
            damages.flip(whole.replace(run.encode(), (fresh + "x" * len(run))[: len(run)].encode()), seed, 6)
        )
        try_command("imports", f"six bits flipped ({seed})", "import", work / "x.zip", accept=(0, 2))
        for path in runs.glob("fresh-run-*"):
            shutil.rmtree(path)


def try_damage(run: str, other: str, work: Path) -> None:
    """Each file of a run's folder after each accident: commands and pages go on, and the other run is listed."""
    cache, base = work / "damaged", Path(os.environ["TAILSCOPE_CACHE"])
    env = {"TAILSCOPE_CACHE": str(cache)}
    commands = (
        ["runs"],
        ["status", run],
        ["status", run, "--json"],
        ["logs", run],
        ["note", run],
        ["report", run],
        ["report", "all", "--json"],
    )

    def look() -> None:
        import core.cli.main

        for words in (["runs", "--json"], *commands):
            printed = io.StringIO()
            sys.argv = ["python -m core", *words]
            with redirect_stdout(printed), redirect_stderr(printed):
                try:
                    core.cli.main.main()
                except SystemExit as ended:
                    if ended.code not in (0, 1, 2):
                        raise RuntimeError(f"{words}: exit {ended.code}") from None
            if words == ["runs", "--json"]:
                listed = {row["id"]: row for row in json.loads(printed.getvalue())["runs"]}
                assert not listed[other]["problem"]
                assert run in listed
        draw([("launcher", {"run": run}), ("errors", {"run": run}), ("compare", {"runs": run})])

    for file in sorted((base / "runs" / run).iterdir()):
        content = file.read_bytes()
        cases: dict[str, bytes | str] = dict(
            damages.array_damages(content) if file.suffix == ".npz" else damages.damages(content)
        )
        for number, (words, changed) in enumerate({**cases, **{link: link for link in damages.LINKS}}.items()):
            if file.suffix == ".npz" and number % 3:  # each takes seconds
                continue
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(base / "runs", cache / "runs")
            damages.put(cache / "runs" / run / file.name, changed)
            code, printed = forked(look, env)
            count("damage", f"{file.name}: {words}", "" if code == 0 else printed.strip()[-300:])


def try_environment(work: Path) -> None:
    """Variables, terminals and files that the output goes to."""
    loop = work / "circle"
    loop.symlink_to(loop)
    pages = [(name, {}) for name in ("home", "launcher", "explorer", "add_data")]
    for slots in ("abc", "cpu:0", "cpu:100", "cpu:-1", "cuda-999", "ü", "x" * 10_000):
        try_command(
            "environment",
            f"TAILSCOPE_SLOTS={slots[:20]}",
            "train",
            *SYNTHETIC,
            "--model",
            "svm",
            "--seed",
            "9",
            env={"TAILSCOPE_SLOTS": slots},
        )
    for place in (str(work / "good.zip"), "/proc/nope", "/dev/null/x", "/tmp/" + "x" * 5000, str(loop)):
        for words in (["runs"], ["data"], ["sweeps"]):
            try_command(
                "environment",
                f"TAILSCOPE_CACHE={place[:30]} {words[0]}",
                *words,
                accept=(0, 2),
                env={"TAILSCOPE_CACHE": place},
            )
        try_pages("environment", f"TAILSCOPE_CACHE={place[:30]}: pages", pages, {"TAILSCOPE_CACHE": place})
    for place in ("/nowhere", "/" + "x" * 5000, ":" * 1000, str(loop), "/proc/self/fd"):
        try_command("environment", f"TAILSCOPE_DATA={place[:30]}", "data", accept=(0, 2), env={"TAILSCOPE_DATA": place})
        try_pages("environment", f"TAILSCOPE_DATA={place[:30]}: pages", pages, {"TAILSCOPE_DATA": place})
    python = f"{sys.executable} -m core"
    for name, line, codes in (
        ("a full device", f"{python} runs --json > /dev/full", (1, 2)),
        ("a pipe that closes", f"{python} runs --json | head -c 5", (0,)),
        ("an ASCII terminal", f"PYTHONIOENCODING=ascii {python} runs", (0,)),
        ("no columns", f"COLUMNS=x {python} runs", (0,)),
        ("one column", f"COLUMNS=1 {python} runs", (0,)),
    ):
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
        problem = "" if done.returncode in codes and "Traceback" not in done.stderr else f"exit {done.returncode}"
        count("environment", name, problem)


NONSENSE = {
    "script": "<script>alert(1)</script>",
    "long": "x" * 20_000,
    "unicode": "\u202e漢\U0001f600\0",
    "number": "-1e309",
    "nan": "nan",
    "big": "9" * 5000,
    "path": "../../etc/passwd",
    "list": "[1,2,3]",
    "empty": "",
    "markdown": "![x](http://127.0.0.1:1/x) $x$ :red[a]",
    "negative": "-5",
}
KEYS = {
    "home": ["data", "run"],
    "explorer": [
        "data",
        "split",
        "view",
        "label",
        "head",
        "tail",
        "part",
        "page",
        "find",
        "order",
        "synthetic_documents",
        "synthetic_seed",
    ],
    "add_data": ["file", "path", "data"],
    "loss_weights": ["data", "split", "view", "losses", "loss", "label", "gamma", "mu", "show", "curve"],
    "launcher": ["data", "models", "losses", "seeds", "run", "of_state", "part", "of_sweep", "archived", "split"],
    "compare": ["of", "runs", "baseline", "head", "tail", "show", "view", "decide", "rule", "fold"],
    "errors": ["run", "second", "at", "head", "tail", "view", "label", "part", "find", "page", "order"],
    "try_it": ["run", "runs", "text", "label"],
}


def try_addresses() -> None:
    """Nonsense in the address of every page, in all keys at once and in each alone."""
    for name, keys in KEYS.items():
        for words, value in NONSENSE.items():
            try_pages("addresses", f"{name}: {words} in all", [(name, dict.fromkeys(keys, value))])
        try_pages("addresses", f"{name}: empty in each", [(name, {key: ""}) for key in keys])
        try_pages("addresses", f"{name}: lists", [(name, {key: ["a", "b"] for key in keys})])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    groups = ("data", "arguments", "imports", "damage", "environment", "addresses")
    parser.add_argument("--only", nargs="+", choices=groups, default=groups)
    asked = parser.parse_args().only
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as folder:
        work = Path(folder)
        os.environ |= {
            "OMP_NUM_THREADS": "1",
            "TAILSCOPE_CACHE": str(work / "cache"),
            "TAILSCOPE_DATA": str(work / "none"),
            "STREAMLIT_LOGGER_LEVEL": "error",
        }
        made = {}
        for model, more in (("svm", []), ("tfidf", ["--loss", "db", "--set", "train.epochs=2"])):
            code, printed = command("train", "--model", model, *more, *SYNTHETIC)
            assert code == 0, printed
            made[model] = printed.strip().splitlines()[-1]
        doors: dict[str, Callable[[], None]] = {
            "data": lambda: add_files(work),
            "arguments": lambda: try_arguments(made["svm"]),
            "imports": lambda: try_imports(made["tfidf"], work),
            "damage": lambda: try_damage(made["tfidf"], made["svm"], work),
            "environment": lambda: try_environment(work),
            "addresses": try_addresses,
        }
        for group in asked:
            doors[group]()
    for group, tried in TRIED.items():
        print(f"{group}: {MET[group]} of {tried}")
    print(f"{MET.total()} of {TRIED.total()}")
    return int(MET != TRIED)


if __name__ == "__main__":
    sys.exit(main())

"""Bad inputs against every door: `python -m tests.benchmarks.bad_inputs [--only GROUP ...]`; exit 1 if one is not met.

Files to add, arguments, plans, zips to import, damaged runs and caches, the environment, addresses of pages. Each case
has to end in a sentence with exit 2, or to mark the one run that is damaged; it leaves nothing half-written, and ends
within two minutes for each page. Prints every case that falls short, then `N of N` by group. `--match` takes the cases
alone whose name has a pattern.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from pkgutil import walk_packages
from zipfile import ZipFile

from core.system.places import ROOT
from tests.benchmarks import bad_files
from tests.benchmarks.bad_files import CSV, DEEP, HUGE
from tests.helpers import damages

SYNTHETIC = ["--data", "synthetic", "--set", "data.synthetic.documents=400", "--set", "data.synthetic.labels=30"]
LEFT = (".tmp", ".new", ".part")
PATIENCE = 120.0
"""Seconds that a case may take, one of several pages for each of them."""
TRACEBACK = "Traceback (most recent"
SHARED = [
    *(f"core.cli.{name}" for name in ("main", "data", "train", "runs", "results", "predict")),
    *("streamlit.testing.v1", "pandas", "altair", "sklearn.metrics", "scipy.stats", "pyarrow.csv"),
]
"""Modules that are imported once, before a process is forked for every case; so are those of `PACKAGES`."""
PACKAGES = (
    "core.analysis",
    "core.figures",
    "core.labels",
    "core.metrics",
    "core.runs",
    "pages.shared",
    "pages.sections",
)
NEEDS_TORCH = ("core.runs.network_scorer", "core.runs.export_model")

Pages = list[tuple[str, Mapping[str, str | list[str]]]]
EMPTY: Pages = [(name, {}) for name in ("home", "launcher", "explorer", "add_data")]


class Cases:
    """Cases of a group: how many were tried, and how many ended as they have to."""

    def __init__(self, group: str, pattern: str) -> None:
        self.group, self.pattern = group, re.compile(pattern)
        self.met = self.tried = 0

    def is_asked_for(self, name: str) -> bool:
        return bool(self.pattern.search(name))

    def count(self, name: str, problem: str) -> None:
        """Counts a case and prints what falls short."""
        self.tried += 1
        self.met += not problem
        if problem:
            print(f"FAIL {self.group}: {name[:80]}: {' '.join(problem.split())[-400:]}", flush=True)


def forked(work: Callable[[], None], env: Mapping[str, str] | None = None, pages: int = 1) -> tuple[int, str]:
    """Runs something in a child process: its exit code, -9 if it takes too long for so many pages, and its output."""
    with tempfile.TemporaryFile() as printed:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.setsid()
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
        until = time.monotonic() + PATIENCE * pages
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.killpg(pid, signal.SIGKILL)
                found = os.waitpid(pid, 0)
                break
            time.sleep(0.003)
        printed.seek(0)
        return os.waitstatus_to_exitcode(found[1]), printed.read().decode("utf-8", "replace")


def import_once() -> None:
    """Imports what commands and pages need: a case is over in half of the time."""
    packages = [importlib.import_module(name) for name in PACKAGES]
    found = [one.name for package in packages for one in walk_packages(package.__path__, f"{package.__name__}.")]
    for name in [*SHARED, *found]:
        if name not in NEEDS_TORCH:
            importlib.import_module(name)


def run(*words: object) -> int:
    """A command in this process: its exit code."""
    from core.cli.main import main

    sys.argv = ["python -m core", *map(str, words)]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def command(*words: object, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A command in a child process."""
    return forked(lambda: sys.exit(run(*words)), env)


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def list_half_written(folder: Path, before: set[str]) -> list[str]:
    new = list_files(folder) - before
    return [one for one in new if (Path(one).name[0] == "." and not one.endswith(".lock")) or one.endswith(LEFT)]


def try_command(
    cases: Cases,
    name: str,
    *words: object,
    accept: Iterable[int] = (2,),
    env: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> None:
    """A command that has to be refused in a sentence and to leave nothing behind, or may do what it is asked for."""
    if not cases.is_asked_for(name):
        return
    cache = Path(os.environ["TAILSCOPE_CACHE"])
    before = list_files(cache)
    code, printed = command(*words, env=env)
    left = list_half_written(cache, before)
    kept = [one for one in list_files(cache) - before if one.count("/") == 1 and one.startswith(("runs/", "data/re"))]
    problem = "" if code in accept else f"exit {code}, {printed.strip()[-200:]}"
    problem = problem or ("a traceback" if TRACEBACK in printed else "")
    problem = problem or ("no sentence" if code == 2 and not printed.strip() else "")
    problem = problem or (f"left {left}" if left else f"kept {kept}" if kept and 0 not in accept else "")
    problem = problem or (f"wrote {output}" if output and output.is_file() else "")
    cases.count(name, problem)
    for one in kept:
        path = cache / one
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def draw(pages: Pages) -> None:
    """Draws pages without a browser; raises where one shows an exception."""
    from streamlit.testing.v1 import AppTest

    for name, query in pages:
        page = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=PATIENCE)
        for key, value in query.items():
            page.query_params[key] = value
        page.run()
        if page.exception:
            raise RuntimeError(f"{name} {str(query)[:100]}: {page.exception[0].message}")
        for kind in ("error", "warning"):
            print(*(one.value for one in page.get(kind)))


def try_pages(cases: Cases, name: str, pages: Pages, env: Mapping[str, str] | None = None) -> None:
    """Pages that have to be drawn without an exception."""
    if cases.is_asked_for(name):
        code, printed = forked(lambda: draw(pages), env, len(pages))
        cases.count(name, "" if code == 0 else f"exit {code}, {printed.strip()[-300:]}")


def try_data(cases: Cases, work: Path) -> None:
    """Files, folders and options that `data add` has to refuse, or to read as they are."""
    files = work / "files"
    files.mkdir()
    good = files / "good.csv"
    good.write_text(CSV)

    def add(name: str, path: object, *words: str, accept: Iterable[int] = (2,)) -> None:
        try_command(cases, name, "data", "add", path, "--name", "bad-set", *words, accept=accept)

    for made, accept in ((bad_files.files_to_refuse(), (2,)), (bad_files.files_to_read_or_refuse(), (0, 2))):
        for name, content in made.items():
            (files / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            add(name, files / name, accept=accept)
    # What is no file, and folders that hold no data set.
    pipe, loop, empty = files / "pipe.csv", files / "loop.csv", files / "empty"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    empty.mkdir()
    for place in (files / "nowhere.csv", "/dev/null", loop, pipe, empty, "/" + "n" * 5000 + ".csv"):
        add(f"{place}"[-20:], place)
    for number, inner in enumerate(bad_files.saved_folders()):
        bad_files.write_set(files / f"saved {number}", inner)
        add(f"saved {number}: {str(inner)[:60]}", files / f"saved {number}")
    # Options.
    for name in ("../x", "A B", "", "reuters", "synthetic", "x" * 41, "-x", "ü", "x\ny", "__proto__"):
        try_command(cases, f"--name {name!r}", "data", "add", good, "--name", name)
    coders = ("klingon", "base64", "rot13", "undefined", "zlib", "utf-8_x", "mbcs", "../../x", "x" * 3000)
    for encoding in (*coders, "idna", "punycode", "unicode_escape"):
        accept = (2,) if encoding in coders else (0, 2)
        add(f"--encoding {encoding[:20]}", good, "--encoding", encoding, accept=accept)
    for delimiter in ("ab", '"', "\n", "\r", "\\", "é", "\x01", ""):
        add(f"--delimiter {delimiter!r}", good, "--delimiter", delimiter)
    columns = ["labels", "text", "title", "id", "split", "year"]
    for words in (
        *(f"--{column} nope" for column in columns),
        *("--labels text --labels labels", "--labels text --sep 0/1", f"--sep {'x' * 11}"),
        *(f"--years {years}" for years in ("abc", "2014-2010", "2010-2014", "9999999-1")),
        *(f"--validation {share}" for share in ("2", "nan", "-1")),
        *(f"--test {share}" for share in ("0", "inf", "x")),
        *("--validation 0.8 --test 0.8", "--drop nonsense", "--merge nonsense", "--drop similar_labels"),
        *("--made nonsense", "--made own", "--seed -1", f"--seed {2**31}"),
        *("--min-documents -1", "--min-documents 100000"),
    ):
        add(words[:40], good, *words.split())
    year, part = files / "year.json", files / "part.csv"
    year.write_text('[{"text":"aaa aaa","labels":["x"],"year":"soon"}]')
    part.write_text("text,labels,split\nsome text here,x,moon\n")
    add("a year in words", year, "--years", "2010-2014")
    add("a part that is none", part, "--split", "split")


ARGUMENTS = f"""
stop sweep-0123456789 | resume sweep-0123456789 | resume SVM | note SVM --name {"x" * 81} | note SVM --tags {"x" * 31}
note SVM --tags {",".join(map(str, range(21)))} | note SVM --text {"x" * 10_001}
export SVM -o WORK | export SVM -o /proc/nope/x.zip | export SVM -o WORK/good.csv/x.zip | export SVM -o WORK/{"x" * 300}
export-model SVM -o WORK/model | export-model NET -o WORK | report NET --html -o /nope/x.html | report NET --xlsx WORK
report NET --table 9 | report all --table -1 | publish no-such-run no-such-run | stats foo | stats synthetic --split foo
stats synthetic --head -5 | stats synthetic --head 1 --tail 100000 | stats synthetic --head x | stats synthetic --set x
data remove nope | data remove ../x | data download foo | data download synthetic | foo | logs SVM -n 0
search SYN --loss db --trials 0 | search SYN --loss db --trials x | search SYN --loss db --minutes -1
search SYN --loss db --metric foo | search SYN --loss foo | search SYN --loss db --model svm
search SYN --loss db --trials 1 --minutes nan | sweep SYN --seeds a --background | sweep SYN --seeds 1,,x --background
sweep SYN --seeds -1 --background | sweep SYN --seeds 1e3 --background | sweep SYN --models foo --background
sweep SYN --losses foo --background | sweep SYN --losses paper,foo --background
train SYN --model foo | train SYN --loss foo | train SYN --model svm --loss db | train SYN --model tfidf --loss db --foo
train --data foo --model svm | train --data ../x --model svm | train folder-that-is-none | train /etc
train SYN --model svm --split foo | train SYN --model svm --split original
train SYN --model tfidf --loss db --set loss.scale=-1
"""
"""Commands that are refused; those with an empty word stand in `try_arguments`."""
SETTINGS = [
    *("x", "=5", "a.b=1", ".", ".=1", "train.=1", "__class__=1", "seed.x=1", "train.epochs.x=1"),
    *("data=5", "data.synthetic=5", "model=5", "train=null", "loss=null", "track=foo", "track=mlflow"),
    *(f"train.epochs={value}" for value in ("", "NaN", "1e999", HUGE, DEEP[:100_000] + DEEP[-100_000:])),
    *(f"train.learning_rate={value}" for value in ("1e999", "-1", "0", '"\\ud800"')),
    *(f"loss.mu={value}" for value in ("foo", "2")),
    *("loss.gamma=[]", "train.device=cuda:x", "train.threshold=foo", "model.max_length=1", "model.name=svm"),
    *("model.max_features=0", "model.hidden=99999999", 'model.encoder="\\ud800"'),
    *(f"data.synthetic.{value}" for value in ("documents=5", "labels=9999999", "seed=-1")),
]
"""Settings that no run has."""


def try_arguments(cases: Cases, svm: str, net: str, work: Path) -> None:
    """Arguments of every command, settings, seeds."""
    output = work / "out"
    for one in ["status", "logs", "stop", "resume", "delete", "export", "export-model", "publish", "report", "note"]:
        more = ["-o", output] if one.startswith("export") else []
        try_command(cases, f"{one} of no run", one, "no-such-run", *more, output=output)
    for name in ("../../etc/passwd", "", "A", "x" * 500, "ü", "a/b", "a\nb", "<script>", ".", "..", "a\udcff"):
        try_command(cases, f"status {name[:20]!r}", "status", name)
    places = {"SVM": svm, "NET": net, "WORK": str(work)}
    for line in ARGUMENTS.replace("\n", " | ").split(" | "):
        if words := line.replace("SYN", " ".join(SYNTHETIC)).split():
            given = [places.get(word, word.replace("WORK/", f"{work}/")) for word in words]
            try_command(cases, line[:60], *given)
    empty: list[list[str]] = [
        *(["export", svm, "-o", ""], ["stats", ""]),
        *(["sweep", *SYNTHETIC, option, "", "--background"] for option in ("--seeds", "--models", "--losses")),
    ]
    for given in empty:
        try_command(cases, f"{given[0]} with an empty word", *given)
    train = ["train", *SYNTHETIC, "--model", "tfidf", "--loss", "db", "--background"]
    for seed in ("-1", "99999999999", "abc", "1" * 5000):
        try_command(cases, f"--seed {seed[:20]}", *train, "--seed", seed)
    for change in SETTINGS:
        try_command(cases, f"--set {change[:40]}", *train, "--set", change)
    try_command(cases, "a name with half a letter", "note", svm, "--name", "a\udcff", accept=(0, 2))
    command("note", svm, "--name", "")


def try_plans(cases: Cases, work: Path) -> None:
    """Plans of sweeps."""
    file = work / "plan.json"
    for name, content in bad_files.plans().items():
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        try_command(cases, name, "sweep", "--plan", file, "--background")
    for place in (work / "no plan.json", work, Path("/dev/null")):
        try_command(cases, f"a plan at {place}"[-30:], "sweep", "--plan", place, "--background")


def try_imports(cases: Cases, net: str, work: Path) -> None:
    """Zips of runs; one that is taken all the same has nothing that a page stumbles over."""
    file, runs = work / "x.zip", Path(os.environ["TAILSCOPE_CACHE"]) / "runs"
    command("export", net, "-o", work / "good.zip")
    whole = (work / "good.zip").read_bytes()
    with ZipFile(io.BytesIO(whole)) as archive:
        members = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    for place in (work / "no.zip", work):
        try_command(cases, f"a zip at {place}"[-30:], "import", place)
    file.write_bytes(whole)
    try_command(cases, "there already", "import", file)
    for name, content in bad_files.zips(members, whole).items():
        file.write_bytes(content)
        try_command(cases, name, "import", file)
    for name, content in bad_files.zips_to_take_or_refuse(members, whole, net).items():
        if not cases.is_asked_for(name):
            continue
        file.write_bytes(content)
        before = set(runs.iterdir())
        code, printed = command("import", file)
        problem = "" if code in (0, 2) and TRACEBACK not in printed else f"exit {code}, {printed[-200:]}"
        for new in set(runs.iterdir()) - before:
            if not problem and new.name.startswith("fresh"):
                pages: Pages = [("launcher", {"run": new.name}), ("errors", {"run": new.name})]
                drawn, printed = forked(lambda pages=pages: draw(pages))  # type: ignore[misc]
                problem = "" if drawn == 0 else f"taken, and {printed.strip()[-300:]}"
            shutil.rmtree(new)
        cases.count(name, problem)


READS = ("config.json", "status.json", "metrics.json", "predictions.npz", "validation.npz", "thresholds.json")
"""Files that Errors and Compare read as well."""


def try_damage(cases: Cases, net: str, svm: str, work: Path) -> None:
    """Each file of a run's folder after each accident: commands and pages go on, and the other run is listed."""
    cache, base = work / "damaged", Path(os.environ["TAILSCOPE_CACHE"])
    commands = [
        *(["runs", "--json"], ["runs"], ["status", net], ["status", net, "--json"], ["logs", net], ["note", net]),
        *(["report", net], ["report", "all", "--json"], ["sweeps"]),
    ]

    def look(pages: Pages) -> None:
        for words in commands:
            printed = io.StringIO()
            with redirect_stdout(printed), redirect_stderr(printed):
                code = run(*words)
            if code not in (0, 1, 2):
                raise RuntimeError(f"{words}: exit {code}")
            if words == ["runs", "--json"]:
                listed = {row["id"]: row for row in json.loads(printed.getvalue())["runs"]}
                if net not in listed or listed[svm]["problem"]:
                    raise RuntimeError("not every run is listed")
            print(printed.getvalue())
        draw(pages)

    kept = [file.name for file in sorted((base / "runs" / net).iterdir()) if file.is_file()]
    links: list[tuple[str, str, bad_files.Content, bool]] = [
        (file, link, link, False) for file in kept for link in damages.LINKS[1:]
    ]
    for file, words, content, is_said in [*bad_files.damaged_runs(), *links]:
        if not cases.is_asked_for(f"{file}: {words}"):
            continue
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(base / "runs", cache / "runs")
        (cache / "data").symlink_to(base / "data")
        path = cache / "runs" / net / file
        if callable(content):
            if not path.exists():  # a run that nobody wrote about has no such file
                continue
            content = content(path.read_bytes())
        if content is None:
            path.unlink()
        else:
            damages.put(path, content)
        pages: Pages = [("launcher", {"run": net})]
        pages += [("errors", {"run": net}), ("compare", {"runs": net})] if file in READS else []
        pages += [("home", {})] if file in READS[:2] else []
        before = list_files(cache)
        code, printed = forked(lambda pages=pages: look(pages), {"TAILSCOPE_CACHE": str(cache)})  # type: ignore[misc]
        problem = "" if code == 0 and TRACEBACK not in printed else f"exit {code}, {printed.strip()[-300:]}"
        problem = problem or ("the damage is said nowhere" if is_said and file not in printed else "")
        left = list_half_written(cache, before)
        cases.count(f"{file}: {words}", problem or (f"left {left}" if left else ""))


def try_caches(cases: Cases, net: str, work: Path) -> None:
    """Files of the cache beside the folders of runs: sweeps, registered sets, the queue."""
    cache, base = work / "damaged", Path(os.environ["TAILSCOPE_CACHE"])
    env = {"TAILSCOPE_CACHE": str(cache)}
    config = json.loads((base / "runs" / net / "config.json").read_text())
    general = [["sweeps"], ["sweeps", "--json"], ["data"], ["data", "--json"], ["runs"]]
    of_a_set = [["data"], ["data", "--json"], ["stats", "x"], ["data", "remove", "x"]]
    sets: Pages = [("home", {}), ("explorer", {"data": "x"}), ("add_data", {}), ("launcher", {"data": "x"})]

    def look(commands: list[list[str]], pages: Pages) -> None:
        for words in commands:
            if (code := run(*words)) not in (0, 1, 2):
                raise RuntimeError(f"{words}: exit {code}")
        draw(pages)

    def fill(name: str, make: Callable[[], None]) -> None:
        if not cases.is_asked_for(name):
            return
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(base / "runs", cache / "runs")
        make()
        commands, pages = (of_a_set, sets) if name.startswith("registered") else (general, EMPTY)
        before = list_files(cache)
        code, printed = forked(lambda: look(commands, pages), env)
        problem = "" if code == 0 and TRACEBACK not in printed else f"exit {code}, {printed.strip()[-300:]}"
        left = list_half_written(cache, before)
        cases.count(name, problem or (f"left {left}" if left else ""))

    def put(place: str, content: bytes | str) -> None:
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        damages.put(cache / place, content)

    for name, (place, content) in bad_files.damaged_caches(net, config).items():
        fill(name, lambda place=place, content=content: put(place, content))  # type: ignore[misc]
    fill("a link to a folder of the system among the runs", lambda: (cache / "runs/root-run").symlink_to("/etc"))

    def queue() -> None:
        for place in ("nonsense", "00000000000000000001.../../x", "0.ü"):
            put(f"queue/cpu/{place}", b"")

    fill("nonsense in the queue", queue)


def try_environment(cases: Cases, net: str, work: Path) -> None:
    """Variables of the environment, terminals and files that the output goes to."""
    loop, file, good = work / "circle", work / "a file", work / "good.csv"
    loop.symlink_to(loop)
    file.write_text("x")
    train = ["train", *SYNTHETIC, "--model", "svm", "--seed"]

    def attempt(variable: str, value: str, *words: object, accept: Iterable[int], more: str = "") -> None:
        name = f"{variable}={value[:30]!r} {more}"
        try_command(cases, name, *words, accept=accept, env={variable: value})

    slots = ("abc", "cpu:0", "cpu:100", "cpu:-1", "cuda-999", "ü", "x" * 100_000)
    for value in (*slots, "cpu cpu:2 cpu", ",,,", "cuda-1"):
        attempt("TAILSCOPE_SLOTS", value, *train, "7", accept=(2,) if value in slots else (0,))
    for value in ("abc", "ü"):
        try_pages(cases, f"TAILSCOPE_SLOTS={value} drawn", EMPTY, {"TAILSCOPE_SLOTS": value})
    for place in (str(file), "/proc/nope", "/dev/null/x", "/tmp/" + "x" * 5000, str(loop)):
        for words in (["runs"], ["data"], ["sweeps"]):
            attempt("TAILSCOPE_CACHE", place, *words, accept=(0, 2), more=words[0])
        for words in ([*train, "7"], ["data", "add", str(good), "--name", "other-set"]):
            attempt("TAILSCOPE_CACHE", place, *words, accept=(2,), more=words[0])
        pages: Pages = [*EMPTY, ("compare", {}), ("errors", {})]
        try_pages(cases, f"TAILSCOPE_CACHE={place[:30]} drawn", pages, {"TAILSCOPE_CACHE": place})
    places = ("/nowhere", str(file), "/" + "x" * 5000, ":" * 1000, str(loop), "/proc/self/fd", "/etc", "../../..//")
    for place in places:
        attempt("TAILSCOPE_DATA", place, "data", accept=(0, 2))
        try_pages(cases, f"TAILSCOPE_DATA={place[:30]} drawn", EMPTY, {"TAILSCOPE_DATA": place})
    for value in ("[", "***", "x" * 10_000, ",,,", "[!", "*@[", "\\"):
        attempt("TAILSCOPE_LAUNCHERS", value, "runs", accept=(0,))
        try_pages(cases, f"TAILSCOPE_LAUNCHERS={value[:10]} drawn", EMPTY, {"TAILSCOPE_LAUNCHERS": value})
    addresses = ["nonsense", "file:///etc/passwd", "http://", "http://[::1", "http://127.0.0.1:1/", "ftp://x"]
    addresses += ["http://exa mple/\n", "http://127.0.0.1:99999/", "http://ü.invalid/", "HTTP://u:pw@127.0.0.1:1/İ"]
    for number, value in enumerate(addresses):
        attempt("TAILSCOPE_WEBHOOK", value, *train, 20 + number, accept=(0,))
    for value in ("maybe", "2", " ", "NO"):
        attempt("TAILSCOPE_READONLY", value, "data", "remove", "nope", accept=(2,))
    try_terminals(cases, net, work)


def try_terminals(cases: Cases, net: str, work: Path) -> None:
    """Names in bytes that are no UTF-8, terminals without letters or width, streams that cannot be written."""
    python = f"{sys.executable} -m core"
    (work / "letters.csv").write_text("text,labels\n" + '"grüße 漢字 \U0001f600",ä;漢\n' * 20)
    weird = os.fsencode(work) + b"/b\xff.csv"
    Path(os.fsdecode(weird)).write_text(CSV)
    for name, line, codes in (
        ("a run's name that is no UTF-8", f"{python} status $'a\\xff'", (2,)),
        ("a file's name that is no UTF-8, dry", f"{python} data add {work}/$'b\\xff.csv' --dry-run", (0, 2)),
        ("a file's name that is no UTF-8", f"{python} data add {work}/$'b\\xff.csv' --name weird-set", (0, 2)),
        ("labels on an ASCII terminal", f"PYTHONIOENCODING=ascii {python} data add {work}/letters.csv --dry-run", (0,)),
        ("an ASCII terminal", f"PYTHONIOENCODING=ascii {python} runs", (0,)),
        ("a pipe that closes", f"{python} report all --json | head -c 10; exit ${{PIPESTATUS[0]}}", (0, 1, 2, 141)),
        ("a full device", f"{python} runs --json > /dev/full", (1, 2)),
        ("no columns", f"COLUMNS=x {python} runs", (0,)),
        ("one column", f"COLUMNS=1 {python} runs", (0,)),
        ("no home", f"HOME=/nowhere {python} runs", (0,)),
        ("a time zone that is none", f"TZ=Nonsense/x {python} status {net}", (0,)),
    ):
        if cases.is_asked_for(name):
            done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE)
            said = done.stderr.decode("utf-8", "replace")
            is_met = done.returncode in codes and TRACEBACK not in said
            cases.count(name, "" if is_met else f"exit {done.returncode}, {said[-200:]}")


NONSENSE = {
    **{"script": "<script>alert(1)</script>", "long": "x" * 20_000, "letters": "\u202e漢\U0001f600\0"},
    **{"number": "-1e309", "nan": "nan", "big": "9" * 5000, "path": "../../etc/passwd", "list": "[1,2,3]"},
    **{"empty": "", "markdown": "![x](http://127.0.0.1:1/x) $x$ :red[a]", "float": "0.5", "negative": "-5"},
    "true": "true",
}
ALONE = ("script", "negative", "big", "letters", "list", "nan", "empty")
"""Nonsense that stands in one key at a time as well."""
SMALL = {"data": "synthetic", "synthetic_documents": "400", "synthetic_labels": "30"}
KEYS = {
    "home": "data run",
    "explorer": "data split view label first second head tail part page find with order most top words fold "
    "synthetic_documents synthetic_labels synthetic_zipf synthetic_cardinality synthetic_words synthetic_seed",
    "add_data": "file path data",
    "loss_weights": "data split losses loss setting run label gamma mu show curve least scale alpha beta kappa cb_beta "
    "view",
    "launcher": "data models losses seeds run of_state part of_sweep archived plan split",
    "compare": "of runs baseline published head tail show view decide rule fold",
    "errors": "run second at head tail view label fault least find page order limit moved part",
    "try_it": "run runs text label data",
    "label": "name data split run view case by head tail synthetic_documents",
}
"""Keys that the address of each page may have."""


def try_addresses(cases: Cases, svm: str, net: str) -> None:
    """Nonsense in the address of every page, in all keys at once and in each alone."""
    for name, words in KEYS.items():
        keys = words.split()
        for kind, value in NONSENSE.items():
            pages: Pages = [(name, dict.fromkeys(keys, value))]
            if kind in ALONE:
                pages += [(name, SMALL | {key: value}) for key in keys]
            try_pages(cases, f"{name}: {kind}", pages)
        pairs = ([net, svm], ["a", "b"], ["1", "2"], ["synthetic", "reuters"])
        try_pages(cases, f"{name}: lists", [(name, {key: list(pair) for key in keys}) for pair in pairs])


def try_group(group: str, pattern: str, folder: Path, svm: str, net: str) -> tuple[int, int]:
    """Tries a group in a cache of its own: how many cases ended as they have to, and how many there are."""
    work = folder / group
    work.mkdir()
    shutil.copytree(folder / "cache", work / "cache")
    os.environ["TAILSCOPE_CACHE"] = str(work / "cache")
    (work / "good.csv").write_text(CSV)
    cases, began = Cases(group, pattern), time.monotonic()
    doors: dict[str, Callable[[], None]] = {
        "addresses": lambda: try_addresses(cases, svm, net),
        "damage": lambda: try_damage(cases, net, svm, work),
        "environment": lambda: try_environment(cases, net, work),
        "imports": lambda: try_imports(cases, net, work),
        "arguments": lambda: try_arguments(cases, svm, net, work),
        "data": lambda: try_data(cases, work),
        "caches": lambda: try_caches(cases, net, work),
        "plans": lambda: try_plans(cases, work),
    }
    doors[group]()
    print(f"{group}: {cases.met} of {cases.tried}, {time.monotonic() - began:.0f} s", flush=True)
    return cases.met, cases.tried


GROUPS = ("addresses", "damage", "environment", "imports", "arguments", "data", "caches", "plans")
"""The longest first."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--match", default="", help="a pattern of the names of cases")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="groups at once")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as name:
        folder = Path(name)
        for variable in [variable for variable in os.environ if variable.startswith("TAILSCOPE_")]:
            del os.environ[variable]
        os.environ |= {
            **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "STREAMLIT_LOGGER_LEVEL": "error"},
            **{"TAILSCOPE_CACHE": str(folder / "cache"), "TAILSCOPE_DATA": str(folder / "none")},
        }
        import_once()
        made = []
        for model, more in (("svm", []), ("tfidf", ["--loss", "db", "--set", "train.epochs=2"])):
            code, printed = command("train", "--model", model, *more, *SYNTHETIC, "--json")
            assert code == 0, printed
            made.append(json.loads(printed[printed.index("{") :])["run"])
        with ProcessPoolExecutor(asked.processes, get_context("fork")) as pool:
            groups = [group for group in GROUPS if group in asked.only]
            found = list(pool.map(try_group, groups, *(repeat(one) for one in (asked.match, folder, *made))))
    met, tried = (sum(numbers) for numbers in zip(*found, strict=True))
    print(f"{met} of {tried}, {time.monotonic() - began:.0f} s")
    return int(met != tried)


if __name__ == "__main__":
    sys.exit(main())

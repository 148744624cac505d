"""Stresses the queue with real processes: `python -m tests.benchmarks.jobs [--seconds 60]`; exit 1 if a claim fails.

Thirty short runs come from three processes onto two slots, then thirty more while workers, the processes that submit,
and a server with a browser on it are killed for so many seconds. A watcher process compares all that `core.runs.folder`
shows with what `/proc` says (Linux). Then the times that a person waits are taken, what the worker spends on reporting,
and what one open browser costs the server.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

from core.config.schema import RunConfig
from core.jobs import launch, tickets
from core.runs import journal, plan
from core.runs.folder import Damaged, Folder, get_run, list_folders, list_runs, run_path
from core.runs.layout import runs_dir, stop_flag
from core.system.errors import UserError
from core.system.files import write_json
from core.system.places import ROOT
from tests.browser.conftest import CHROMIUM, FLAGS, serving

SLOTS, SUBMITTERS, EACH = 2, 3, 10
TRUE_WITHIN = 5.0
"""Seconds within which what is shown has to be what is."""
EVENTLESS = 0.5
"""Seconds that may lie between a slot taken and its event."""
SIZE = ["data.synthetic.documents=1000", "data.synthetic.labels=20", "train.patience=10000"]
ENDED = ("finished", "failed", "stopped")
WAITS = "core.jobs.waiting"
SHOWN = {"slot": ("running",), "waiting": ("queued",), "leaving": ENDED, "gone": (*ENDED, "lost")}
"""What may be shown of a run by what its process does: hold a slot, not yet, no longer as all is written, nothing."""


def config(seed: int, epochs: int = 150) -> RunConfig:
    changes = [*SIZE, f"train.epochs={epochs}", "train.checkpoint_minutes=0.01"]
    return plan.make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=changes)


def workers() -> dict[str, list[tuple[int, bool]]]:
    """By run id, every worker of this cache that lives, and whether it holds the lock of a slot; from /proc alone."""
    found: dict[str, list[tuple[int, bool]]] = {}
    runs, locks = f"{runs_dir().resolve()}/", str(tickets.slot_lock("cpu").resolve().with_suffix(""))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = process.joinpath("cmdline").read_bytes().decode().split("\0")
            # A worker, or one that waits far back in the queue and becomes a worker.
            place = words[4] if words[1:4] == ["-m", "core", "train"] else words[3] if words[2] == WAITS else ""
            if not place.startswith(runs):
                continue
            if process.joinpath("stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                continue
            slot = False
            for opened in process.joinpath("fd").iterdir():
                with suppress(OSError):
                    if os.readlink(opened).startswith(locks):
                        slot |= "lock:" in process.joinpath("fdinfo", opened.name).read_text()
            found.setdefault(place.removeprefix(runs), []).append((int(process.name), slot))
        except (OSError, IndexError):
            continue
    return found


def holders(there: dict[str, list[tuple[int, bool]]]) -> set[int]:
    """The processes that hold a slot."""
    return {process for every in there.values() for process, slot in every if slot}


def watch(report: Path) -> None:
    """Looks at all runs until a file `stop` stands beside `report`, which is then written."""
    samples, at_once, twice = 0, 0, 0
    torn: list[str] = []
    tickets: dict[str, int] = {}
    lies: dict[str, float] = {}
    agreed: dict[str, float] = {}
    seconds: list[float] = []
    while not report.with_name("stop").exists():
        for ticket in (report.parent / "queue").glob("*/*"):
            number, _, run_id = ticket.name.partition(".")
            tickets[run_id] = int(number)
        start = time.monotonic()
        try:
            shown = list_folders()
        except Exception as error:
            torn.append(repr(error))
            continue
        seconds.append(time.monotonic() - start)
        there, now = workers(), time.monotonic()
        samples += 1
        if len(held := holders(there)) > at_once:  # a look takes its time: those count that still hold theirs after it
            at_once = max(at_once, len(held & holders(workers())))
        twice = max([twice, *(len(every) for every in there.values())])
        torn += [found.problem for found in shown if isinstance(found, Damaged)]
        for run in shown:
            mine = there.get(run.id, [])
            truth = "slot" if any(slot for _, slot in mine) else "waiting" if mine else "gone"
            if truth == "waiting" and run.state in happened(run)[-1:]:
                truth = "leaving"
            if run.state in SHOWN[truth]:
                agreed[run.id] = now
            else:
                key = f"{run.state} shown, process: {truth}"
                lies[key] = max(lies.get(key, 0.0), now - agreed.setdefault(run.id, now))
        time.sleep(0.1)
    found = {"samples": samples, "at_once": at_once, "workers of a run": twice, "torn": torn, "tickets": tickets}
    write_json(report, {**found, "lies": lies, "seconds": statistics.median(seconds)})


def submit(first: int, seconds: Path) -> None:
    """Submits ten runs, then those of the next submitter, which exist already or will."""
    for seed in range(first, first + 2 * EACH):
        start = time.perf_counter()
        run = launch.submit(config(first // 100 * 100 + seed % 100 % (SUBMITTERS * EACH)))
        shown = get_run(run.id)
        with seconds.open("a") as file:
            file.write(f"{time.perf_counter() - start} {shown.state} {seed < first + EACH}\n")
        time.sleep(1.0 if first >= 100 else 0.0)  # so that there is somebody to kill


def child(cache: Path, *words: str) -> subprocess.Popen[bytes]:
    """This script again, doing one of its parts."""
    with (cache / "children.log").open("ab") as log:
        command = [sys.executable, "-m", "tests.benchmarks.jobs", *words]
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


@contextmanager
def watched(cache: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Watches while the block runs; what it yields ends the watch and gives the report."""
    report = cache / "watch.json"
    for old in (report, cache / "stop"):
        old.unlink(missing_ok=True)
    watcher = child(cache, "--watch", str(report))

    def ended() -> dict[str, Any]:
        (cache / "stop").touch()
        if watcher.wait(60):
            raise RuntimeError(f"the watcher failed: {cache / 'children.log'}")
        return dict(json.loads(report.read_text("utf-8")))

    try:
        yield ended
    finally:
        watcher.kill()


def all_ended(runs: int, first: int = 0) -> bool:
    mine = [run for run in list_runs() if run.config.seed // 100 == first // 100]
    return len(mine) == runs and all(run.state == "finished" for run in mine)


def happened(run: Folder) -> list[str]:
    return [event["what"] for event in journal.read_events(run.path)]


def moments(run: Folder, what: str) -> list[float]:
    return [event["time"] for event in journal.read_events(run.path) if event["what"] == what]


def verdict(name: str, found: object, holds: bool | None = None) -> bool:
    print(f"{name:64} {found!s:>28}  {'' if holds is None else 'holds' if holds else 'DOES NOT HOLD'}", flush=True)
    return holds is not False


def calm(cache: Path) -> bool:
    """Thirty runs from three processes, two of which ask for the same ones."""
    total, began = SUBMITTERS * EACH, time.monotonic()
    with watched(cache) as report:
        submitters = [child(cache, "--submit", str(EACH * n), str(cache / "submits")) for n in range(SUBMITTERS)]
        codes = [one.wait(300) for one in submitters]
        while not all_ended(total) and time.monotonic() - began < 900:
            time.sleep(0.5)
        seen = report()
    runs = list_runs()
    started = {run.id: moments(run, "started")[0] for run in runs}
    order = sorted(started, key=lambda run_id: seen["tickets"][run_id])
    early = max(started[before] - started[after] for before, after in pairwise(order))
    times = [(started[run.id], 1) for run in runs] + [(moments(run, "finished")[-1], -1) for run in runs]
    open_now = [sum(one for _, one in sorted(times)[: n + 1]) for n in range(len(times))]
    once = all(len(moments(run, what)) == 1 for run in runs for what in ("submitted", "started", "finished"))
    asked = [line.split() for line in (cache / "submits").read_text().splitlines()]
    new = sorted(float(seconds) for seconds, _, mine in asked if mine == "True")
    print(f"{total} runs, {SUBMITTERS} submitters, {SLOTS} slots: {time.monotonic() - began:.0f} s")
    return all(
        [
            verdict("all finished", f"{sum(run.state == 'finished' for run in runs)} of {total}", all_ended(total)),
            verdict("every submitter was content", codes, not any(codes)),
            verdict("slots held at once, of /proc and of events", f"{seen['at_once']}, {max(open_now)}",
                    seen["at_once"] <= SLOTS and max(open_now) <= SLOTS),
            verdict("in the order of tickets; earliest start before its turn", f"{max(0.0, early):.2f} s",
                    early <= EVENTLESS),
            verdict("each submitted, started and finished once", once, once),
            *truths(seen),
            verdict("submit() to queued, median and worst", f"{statistics.median(new):.2f}, {new[-1]:.2f} s"),
        ]
    )  # fmt: skip


def truths(seen: dict[str, Any]) -> list[bool]:
    """What the watcher has to say of either part."""
    worst = max(seen["lies"].values(), default=0.0)
    for key, seconds in sorted(seen["lies"].items(), key=lambda lie: -lie[1]):
        print(f"    at most {seconds:5.2f} s: {key}")
    for problem in dict.fromkeys(seen["torn"]):
        print(f"    torn: {problem}")
    return [
        verdict("longest time that a state shown was not so", f"{worst:.2f} s", worst <= TRUE_WITHIN),
        verdict("torn reads", f"{len(seen['torn'])} of {seen['samples']} looks", not seen["torn"]),
        verdict("workers of one run at once", seen["workers of a run"], seen["workers of a run"] == 1),
    ]


def serves(address: str) -> psutil.Process:
    """The process of a server that this one has started."""
    port = f"--server.port={address.rpartition(':')[2]}"
    return next(
        one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE and port in one.cmdline()
    )


class Server:
    """A server with a browser on its live view, where there is one; it can be killed, and comes back."""

    def __init__(self, cache: Path, killed: Callable[[], bool]) -> None:
        self.cache, self.killed, self.deaths = cache, killed, 0
        self.process: psutil.Process | None = None
        self.page_errors: list[str] = []
        self.thread = Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        """Serves until there is nothing left to kill; each server has a browser of its own."""
        from playwright.sync_api import Error, sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) if CHROMIUM else None
            while not self.killed():
                with suppress(RuntimeError, Error), serving(self.cache) as address:
                    self.process = serves(address)
                    page = browser.new_page() if browser else None
                    if page:
                        page.goto(f"{address}/launcher")
                    while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
                        if self.killed():
                            break
                        if page and page.get_by_test_id("stException").count():
                            self.page_errors.append(page.get_by_test_id("stException").first.inner_text())
                        time.sleep(0.3)
                    if page:
                        page.close()
                self.process = None

    def kill(self) -> bool:
        if self.process is None:
            return False
        with suppress(psutil.Error):
            self.process.kill()
            self.deaths += 1
        return True


def chaos(cache: Path, seconds: float) -> bool:
    """Thirty runs more, with kills every few seconds; whoever is lost is resumed, as a person would."""
    total, first, chance = SUBMITTERS * EACH, 100, random.Random(0)
    began, deaths, resumed, ended = time.monotonic(), {"worker": 0, "submitter": 0}, 0, False
    firsts = {n: first + EACH * n for n in range(SUBMITTERS)}
    other = []
    with watched(cache) as report:
        submitters = {n: child(cache, "--submit", str(firsts[n]), str(cache / "submits")) for n in firsts}
        server = Server(cache, lambda: ended)
        strike = began + 2
        while time.monotonic() - began < 900:
            killing = time.monotonic() - began < seconds
            if killing and time.monotonic() > strike:
                strike = time.monotonic() + chance.uniform(1, 4)
                pids = [pid for every in workers().values() for pid, _ in every]
                alive = [n for n, one in submitters.items() if one.poll() is None]
                kind = chance.choice(("worker", "worker", "submitter", "server"))
                if kind == "server" and server.kill():
                    continue
                if kind != "submitter" and pids:
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(pids), 9)
                        deaths["worker"] += 1
                elif kind == "submitter" and alive:
                    submitters[chance.choice(alive)].kill()
                    deaths["submitter"] += 1
            for n, one in submitters.items():
                if one.poll():
                    submitters[n] = child(cache, "--submit", str(firsts[n]), str(cache / "submits"))
            for run in list_folders():
                if run.state == "failed":
                    other.append(f"{run.id}: {run.reason}")
                if run.state in ("lost", "failed"):
                    with suppress(UserError):  # a submitter was quicker
                        launch.resume(run.id)
                        resumed += 1
            if not killing and all_ended(total, first):
                break
            time.sleep(0.5)
        ended = True
        server.thread.join()
        seen = report()
    runs = [run for run in list_runs() if run.config.seed >= first]
    finished = [len(moments(run, "finished")) for run in runs]
    epochs = [[entry["epoch"] for entry in journal.read_history(run.path)] for run in runs]
    left = [str(path) for path in runs_dir().rglob(".*") if time.time() - path.stat().st_mtime > 5]
    killed = f"{deaths['worker']} workers, {deaths['submitter']} submitters, {server.deaths} servers"
    print(f"{total} runs, killed: {killed}; resumed {resumed}: {time.monotonic() - began:.0f} s")
    for words in dict.fromkeys([*other, *server.page_errors, *left]):
        print(f"    {words}")
    return all(
        [
            verdict("all finished", f"{sum(run.state == 'finished' for run in runs)} of {total}",
                    all_ended(total, first)),
            verdict("failed runs, besides those lost", len(other), not other),
            verdict("each finished once", max(finished), max(finished) == min(finished) == 1),
            verdict("each history whole, no epoch twice", "", all(one == sorted(set(one)) for one in epochs)),
            verdict("slots held at once, of /proc", seen["at_once"], seen["at_once"] <= SLOTS),
            *truths(seen),
            verdict("errors on the page", len(server.page_errors), not server.page_errors),
            verdict("temporary files left behind", len(left)),
        ]
    )  # fmt: skip


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def waits() -> None:
    """The times that a person waits, on a machine that does nothing else."""
    imports = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import core.cli.train, core.jobs.worker"], cwd=ROOT, check=True)
        imports.append(time.perf_counter() - start)
    queued, running = [], []
    for seed in range(200, 205):
        start = time.perf_counter()
        run = launch.submit(config(seed))
        get_run(run.id)
        queued.append(time.perf_counter() - start)
        while get_run(run.id).state == "queued":
            time.sleep(0.01)
        running.append(time.perf_counter() - start)
        launch.stop(run.id)
    verdict("submit() until queued is seen, median of 5", f"{statistics.median(queued):.2f} s")
    verdict("submit() until running is seen, median of 5", f"{statistics.median(running):.2f} s")
    verdict("of which Python and imports, median of 3", f"{statistics.median(imports):.2f} s")


def crowd(cache: Path) -> None:
    """Copies of what is there up to a thousand folders, read as the pages read them."""
    there = [run.path for run in list_runs()]
    os.environ["TAILSCOPE_CACHE"] = str(cache / "crowd")
    for number in range(1000):
        source, target = there[number % len(there)], run_path(f"copy-{number}")
        target.mkdir(parents=True)
        for name in ("config.json", "status.json", "alive.lock", "events.jsonl", "history.jsonl"):
            if (source / name).exists():
                (target / name).write_bytes((source / name).read_bytes())
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert len(list_runs()) == 1000
        seconds.append(time.perf_counter() - start)
    os.environ["TAILSCOPE_CACHE"] = str(cache)
    verdict("state of 1,000 runs, median of 5 (aim 0.3)", f"{statistics.median(seconds):.2f} s")


def spent(path: Path) -> None:
    """Trains a run in this process, with clocks around all that reports, and prints what they show as JSON."""
    from core.jobs import heartbeat, worker
    from core.jobs.reporter import StatusReporter

    clocks = {"wall": 0.0, "processor": 0.0, "beats": 0.0}
    inside = False

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal inside
            if inside:
                return function(*arguments, **named)
            inside, wall, processor = True, time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                clocks["wall"] += time.perf_counter() - wall
                clocks["processor"] += time.thread_time() - processor
                inside = False

        return call

    class Beats(Thread):
        def run(self) -> None:
            super().run()
            clocks["beats"] += time.thread_time()

    for name in ("report", "report_if_due", "raise_if_stopped"):
        setattr(StatusReporter, name, timed(getattr(StatusReporter, name)))
    for name in ("update_status", "append_event", "append_step", "append_history"):
        setattr(journal, name, timed(getattr(journal, name)))
    heartbeat.Thread = Beats  # type: ignore[misc]
    wall, processor = time.perf_counter(), time.process_time()
    worker.execute(path)
    clocks |= {"all wall": time.perf_counter() - wall, "all processor": time.process_time() - processor}
    print(json.dumps(clocks))


def reporting() -> None:
    """Share of a run's time that goes into saying how it stands, on its own thread and on that of the heartbeat."""
    changes = ["train.epochs=40", "train.patience=40"]
    run = launch.submit(plan.make_config(data="synthetic", model="tfidf", loss="db", seed=300, changes=changes))
    launch.stop(run.id)
    stop_flag(run.path).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.jobs", "--spent", str(run.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    clocks = json.loads(done.stdout)
    share = (clocks["processor"] + clocks["beats"]) / clocks["all processor"]
    verdict("reporting, share of the processor time of a run (aim 2 %)", f"{share:.2%}")
    verdict("    of which heartbeat", f"{clocks['beats'] / clocks['all processor']:.2%}")
    verdict(
        "reporting, share of the time of a run",
        f"{clocks['wall'] / clocks['all wall']:.2%} of {clocks['all wall']:.0f} s",
    )


def idle() -> None:
    """What runs cost that wait, and what a browser costs that looks at five runs."""
    changes = ["data.synthetic.documents=20000", "train.epochs=10000", "train.patience=10000"]
    runs = [
        launch.submit(plan.make_config(data="synthetic", model="tfidf", loss="db", seed=seed, changes=changes))
        for seed in range(5)
    ]
    while sum(get_run(run.id).state == "running" for run in runs) < SLOTS:
        time.sleep(0.2)
    time.sleep(10)
    waiting = [run for run in runs if get_run(run.id).state == "queued"]
    pids = [pid for run in waiting for pid, _ in workers()[run.id]]
    before = sum(cpu(psutil.Process(pid)) for pid in pids)
    time.sleep(10)
    share = (sum(cpu(psutil.Process(pid)) for pid in pids) - before) / 10 / len(pids)
    memory = [psutil.Process(pid).memory_full_info().uss / 1e6 for pid in pids]
    verdict(
        "waiting: processor; memory of the next, of those behind",
        f"{share:.1%}; {max(memory):.0f}, {min(memory):.0f} MB",
    )
    if CHROMIUM:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright, serving(Path(os.environ["TAILSCOPE_CACHE"])) as address:
            server = serves(address)
            page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page()
            page.goto(f"{address}/launcher")
            page.get_by_text("running").first.wait_for(timeout=120_000)
            time.sleep(10)
            before = cpu(server)
            time.sleep(20)
            verdict("server, one open browser on five runs (aim 5 %)", f"{(cpu(server) - before) / 20:.1%} of a core")
    launch.stop_all([run.id for run in runs])


def main(seconds: float) -> int:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        cache = Path(folder)
        os.environ |= {"TAILSCOPE_CACHE": folder, "TAILSCOPE_DATA": folder, "TAILSCOPE_SLOTS": f"cpu:{SLOTS}"}
        os.environ |= {"OMP_NUM_THREADS": "1"}
        launch.existing(config(0))  # make the data before the clocks run
        try:
            holds = [calm(cache), chaos(cache, seconds)]
            waits()
            crowd(cache)
            reporting()
            idle()
        finally:
            for every in workers().values():
                for pid, _ in every:
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
    return 0 if all(holds) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of kills")
    parser.add_argument("--watch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--spent", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--submit", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.watch:
        watch(asked.watch)
    elif asked.spent:
        spent(asked.spent)
    elif asked.submit:
        submit(int(asked.submit[0]), Path(asked.submit[1]))
    else:
        sys.exit(main(asked.seconds))

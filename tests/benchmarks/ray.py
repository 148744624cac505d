"""What runs on a Ray cluster take: `python -m tests.benchmarks.ray [--part submit overhead workers page journey]`.

The cluster is simulated on this machine (`tests.helpers.ray_cluster`), so seconds say nothing of one of many machines.

- submit: seconds from submission to the start of the worker, which has no torch, on a warm cluster; a bare job of Ray;
- overhead: processor seconds of the worker of a transformer run on the cluster and on this machine, in pairs;
- workers: a sweep of runs that sleep on one node and on four, each with one core;
- page: seconds until the Launcher can be used in Chromium with 200 runs on a cluster, which is a server that answers;
- journey: the Launcher in Chromium: submit, watch, stop, resume, a node killed; pictures go to `--pictures`.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect, sync_playwright

from core.config.schema import RunConfig
from core.jobs import clusters, engines, launch, sweeps
from core.runs import journal
from core.runs.folder import LIVE, Run, get_folder, get_run, list_folders
from core.runs.layout import WORKER_VARIABLE, job_file
from core.runs.plan import grid
from core.system import processes
from core.system.files import read_json, write_json
from core.system.places import ROOT
from tests.browser.conftest import CHROMIUM, FLAGS, IDLE, serving
from tests.helpers.cluster_server import serve_cluster
from tests.helpers.runs import make_folder

STUB, SLEEPS, TIMED = "tests.helpers.stub_worker", "tests.helpers.sleeping_worker", "tests.helpers.timed_worker"
SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8"]
PAGE_RUNS = 200
VISITS = 4
SLEEPERS = 8
PAIRS = 3


def say(what: str, found: object) -> None:
    """Prints one figure, with how busy the machine is."""
    print(f"{what}: {found} (load {os.getloadavg()[0]:.1f})", flush=True)


@contextmanager
def start_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A cluster, which the environment of this process names inside the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    os.environ["TAILSCOPE_RAY_ADDRESS"] = f"http://127.0.0.1:{port}"
    words = ["--port", str(port), "--nodes", str(nodes), "--cpus", str(cpus), "--watch-input"]
    command = [sys.executable, "-m", "tests.helpers.ray_cluster", *words]
    cluster = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        while True:
            with suppress(engines.Unreachable):
                if engines.load_cluster("ray").describe().cpus == nodes * cpus:
                    break
            time.sleep(0.5)
        yield cluster
    finally:
        cluster.communicate()


def make_configs(count: int, *changes: str, model: str = "tfidf", first: int = 0) -> list[RunConfig]:
    seeds = range(first, first + count)
    return grid(data="synthetic", models=[model], losses=["bce"], seeds=seeds, changes=[*SMALL, *changes])


def follow(run_id: str) -> Run:
    """A run, once it has ended."""
    for _ in launch.watch(run_id):
        pass
    run = get_run(run_id)
    assert run.state == "finished", run.why
    return run


def measure_submit() -> None:
    """Seconds from a submission to the worker's start on a warm cluster, and of a bare job of Ray, in turns.

    The bare job is what Ray takes for a job with one task that does nothing. Processor seconds are those of the
    processes that were started for it.
    """
    os.environ[WORKER_VARIABLE] = STUB
    found: dict[str, list[tuple[float, ...]]] = {"a run": [], "a bare job": []}
    with start_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        for number, config in enumerate(make_configs(7, "train.epochs=2")):
            for what in list(found)[:: 1 if number % 2 else -1]:
                before, began = _list_pids(cluster), time.monotonic()
                if what == "a run":
                    run = launch.submit(config, engine="ray")
                    called = time.monotonic() - began
                    while get_folder(run.id).started is None:
                        time.sleep(0.02)
                else:
                    mark = Path(folder, str(number))
                    job = _submit_bare(mark)
                    called = time.monotonic() - began
                    while not mark.exists():
                        time.sleep(0.02)
                taken = time.monotonic() - began
                found[what].append((taken, _count_processor(_list_pids(cluster) - before), called))
                say(f"{what}: seconds, processor seconds, of the call", [round(one, 2) for one in found[what][-1]])
                if what == "a run":
                    follow(run.id)
                else:
                    while engines.load_cluster("ray").find_states([job])[job].state != "ended":
                        time.sleep(0.1)
    for what, each in found.items():
        medians = [round(statistics.median(column), 2) for column in zip(*each[1:], strict=True)]
        say(f"{what}, warm: median seconds, processor seconds, of the call", medians)
    for place, what in enumerate(("seconds", "processor seconds")):
        pairs = zip(*(each[1:] for each in found.values()), strict=True)
        more = [run[place] - bare[place] for run, bare in pairs]
        say(f"{what} that a run takes besides, median of pairs", round(statistics.median(more), 2))


BARE = """import sys, ray
ray.init(address="auto", log_to_driver=False)
ray.get(ray.remote(lambda path: open(path, "w").close()).remote(sys.argv[1]))"""


def _submit_bare(mark: Path) -> str:
    """Submits a job whose one task writes a file; gives its id."""
    job = f"bare-{secrets.token_hex(4)}"
    words = [sys.executable, "-c", BARE, str(mark)]
    request = {"entrypoint": shlex.join(words), "submission_id": job}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"}
    address = f"{os.environ['TAILSCOPE_RAY_ADDRESS']}/api/jobs/"
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(request).encode(), headers), timeout=60):
        return job


def _list_pids(cluster: subprocess.Popen[bytes]) -> set[int]:
    return {process.pid for process in psutil.Process(cluster.pid).children(recursive=True)}


def _count_processor(pids: set[int]) -> float:
    """Processor seconds that these processes have taken so far, with those of their children that have ended."""
    seconds = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            seconds += sum(psutil.Process(pid).cpu_times()[:4])
    return seconds


def measure_overhead() -> None:
    """Processor seconds of a worker and documents a second in training, on the cluster and here, in turns."""
    os.environ[WORKER_VARIABLE] = TIMED
    changes = ["data.synthetic.documents=400", "model.max_length=64", "train.epochs=2", "train.precision=fp32"]
    found: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    with start_cluster():
        for number in range(PAIRS + 1):
            (config,) = make_configs(1, *changes, model="transformer", first=number)
            for engine in ("local", "ray") if number % 2 else ("ray", "local"):
                run = launch.submit(config, engine=engine)
                if run.state == "finished":  # on the other one
                    launch.resume(run.id, anew=True, engine=engine)
                run = follow(run.id)
                seconds = float(journal.read_history(run.path)[-1]["seconds"])
                time.sleep(5)  # worker and driver say what they took when they end, which is after the run has ended
                told = list(run.path.glob("processor-*.json"))
                found[engine].append((sum(float(read_json(path)["seconds"]) for path in told), seconds))
                for path in told:
                    path.unlink()
                say(f"pair {number}, {engine}: processor seconds, seconds of training", found[engine][-1])
    for place, what in enumerate(("processor seconds", "seconds of training")):
        ratios = [there[place] / here[place] for there, here in zip(found["ray"][1:], found["local"][1:], strict=True)]
        say(f"{what}, cluster over local, each pair", [round(ratio, 3) for ratio in ratios])
        say("their median", round(statistics.median(ratios), 3))


def measure_workers() -> None:
    """Runs that sleep on one node, then on four: how many times as many in the same time."""
    os.environ[WORKER_VARIABLE] = SLEEPS
    took = {}
    for nodes in (1, 4):
        with start_cluster(nodes):
            follow(launch.submit(make_configs(1, first=100 * nodes)[0], engine="ray").id)
            began = time.monotonic()
            runs = sweeps.submit(make_configs(SLEEPERS, first=1 + 100 * nodes), engine="ray")
            for run in runs:
                follow(run.id)
            took[nodes] = time.monotonic() - began
            say(f"{SLEEPERS} runs that sleep, {nodes} nodes: seconds", round(took[nodes], 1))
    say("four nodes are, times", round(took[1] / took[4], 2))


def measure_page() -> None:
    """Seconds until the Launcher shows 200 runs on a cluster, and none, in turns, in a tab that has the app's code."""
    cache = Path(os.environ["TAILSCOPE_CACHE"])
    with serve_cluster() as server, sync_playwright() as playwright:
        os.environ |= {"TAILSCOPE_RAY_ADDRESS": server.address, "TAILSCOPE_ENGINE": "ray"}
        known = []
        for number, config in enumerate(make_configs(PAGE_RUNS)):
            path = make_folder(config)
            journal.update_status(path, state="running" if number < 40 else "queued", started=time.time(), device="ray")
            job = f"job-{number}"
            write_json(job_file(path), {"engine": "ray", "job": job, "where": server.address, "submitted": 1.0})
            clusters.note(path.name)
            known.append({"submission_id": job, "status": "RUNNING" if number < 40 else "PENDING", "message": ""})
        server.said = (200, {}, known)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        pages: dict[str, tuple[str, int]] = {}
        with ExitStack() as stack:
            for name, folder in (("none", cache / "none"), (f"{PAGE_RUNS} runs", cache)):
                others = set(psutil.Process().children())
                address = stack.enter_context(serving(folder))
                pages[name] = (address, next(iter(set(psutil.Process().children()) - others)).pid)
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
            for turn in range(VISITS + 2):
                for name, (address, pid) in list(pages.items())[:: 1 if turn % 2 else -1]:
                    before, began = _count_processor({pid}), time.monotonic()
                    page.goto(f"{address}/launcher")
                    page.get_by_text("Ray at").first.wait_for(state="attached", timeout=120_000)
                    if name != "none":
                        page.get_by_test_id("stDataFrame").first.wait_for(timeout=120_000)
                    page.locator(IDLE).wait_for(timeout=120_000)
                    taken[name].append((time.monotonic() - began, _count_processor({pid}) - before))
        browser.close()
    for name, each in taken.items():
        say(f"Launcher with {name} on a cluster: seconds, the first two cold", [round(one, 2) for one, _ in each])
        medians = [round(statistics.median(column), 2) for column in zip(*each[2:], strict=True)]
        say("median seconds, processor seconds of the server, warm", medians)
    pairs = zip(*(each[2:] for each in taken.values()), strict=True)
    more = [full[0] - none[0] for none, full in pairs]
    say("seconds more than with none, median of pairs", round(statistics.median(more), 2))
    began = time.process_time()
    clusters.ask_clusters(at_once=True)
    say("processor seconds of a question for all of them, answers kept", round(time.process_time() - began, 2))
    began = time.process_time()
    assert len(list_folders(published=False)) == PAGE_RUNS
    say("processor seconds of their list", round(time.process_time() - began, 2))


def travel(pictures: Path) -> None:
    """The Launcher on a cluster: submit, watch, stop, resume, a node killed; said and pictured as it goes."""
    pictures.mkdir(parents=True, exist_ok=True)
    os.environ |= {WORKER_VARIABLE: "tests.helpers.mixed_worker", "TAILSCOPE_ENGINE": "ray"}
    cache = Path(os.environ["TAILSCOPE_CACHE"])
    with start_cluster(), serving(cache) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        wide = browser.new_context(viewport={"width": 1440, "height": 1300}).new_page()
        wide.set_default_timeout(120_000)

        def shoot(name: str, *, dark: bool = False) -> None:
            wide.wait_for_timeout(2500)
            wide.screenshot(path=pictures / f"{name}-light.png", timeout=120_000)
            if dark:  # a page takes the colours that it is opened with
                wide.emulate_media(color_scheme="dark")
                wide.set_viewport_size({"width": 1100, "height": 1300})
                wide.goto(f"{address}/launcher")
                expect(wide.get_by_role("button", name="Stop", exact=True).first).to_be_visible(timeout=120_000)
                wide.wait_for_timeout(2500)
                wide.screenshot(path=pictures / f"{name}-dark.png", timeout=120_000)

        query = "data=synthetic&synthetic_documents=600&synthetic_labels=12&models=textcnn&set.train.epochs=9000"
        query += "&set.train.patience=9000&set.train.checkpoint_steps=20&set.model.max_length=24"
        wide.goto(f"{address}/launcher?{query}")
        button = wide.get_by_role("button", name="Launch 1 run", exact=True)
        expect(button).to_be_visible(timeout=120_000)
        expect(wide.get_by_text("Ray at")).to_be_visible(timeout=120_000)
        shoot("1-before")
        # Submitted and watched.
        began = time.monotonic()
        button.click()
        run = wait_for(wide, lambda: next(iter(list_folders(published=False)), None))
        say("a click to a run that is there, seconds", round(time.monotonic() - began, 1))
        wait_for(wide, lambda: get_folder(run.id).progress.get("epoch", 0) > 2)
        say("a click to its third epoch, seconds", round(time.monotonic() - began, 1))
        expect(wide.get_by_text("running", exact=True).first).to_be_visible(timeout=120_000)
        shoot("2-running")
        # Stopped and resumed.
        wide.get_by_role("button", name="Stop", exact=True).first.click()
        wait_for(wide, lambda: get_folder(run.id).state == "stopped")
        expect(wide.get_by_text("Stopped by request before it had finished").first).to_be_visible(timeout=120_000)
        shoot("3-stopped")
        wide.get_by_role("button", name="Resume", exact=True).first.click()
        wait_for(wide, lambda: count_starts(run.id) == 2)
        # Its node is killed.
        worker = next(iter(processes.processes_of(run.path)))
        raylet = next(parent for parent in worker.parents() if parent.name() == "raylet")
        for process in (raylet, *raylet.children(recursive=True)):
            with suppress(psutil.Error):
                process.kill()
        began, states = time.monotonic(), {"running"}
        while count_starts(run.id) < 3:
            states.add(get_folder(run.id).state)
            if states >= {"running", "queued"} and not (pictures / "4-killed-light.png").exists():
                shoot("4-killed")
            wide.wait_for_timeout(200)
        say("a node is killed: seconds to the next start", round(time.monotonic() - began, 1))
        say("states meanwhile", sorted(states))
        shoot("5-again", dark=True)
        wide.get_by_role("button", name="Stop", exact=True).first.click()
        wait_for(wide, lambda: get_folder(run.id).state not in LIVE)
        say("events", [event["what"] for event in journal.read_events(run.path)])
        say("taken up", [line for line in journal.read_log(run.path) if "taken up" in line])
        browser.close()


def count_starts(run_id: str) -> int:
    return [event["what"] for event in journal.read_events(get_folder(run_id).path)].count("started")


def wait_for(page: Page, look, seconds: float = 180.0):  # type: ignore[no-untyped-def]
    """What `look` gives once it is true, while the page goes on."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise SystemExit(f"not within {seconds:.0f} s: {[run.state for run in list_folders(published=False)]}")
        page.wait_for_timeout(200)
    return found


PARTS = {
    "submit": measure_submit,
    "overhead": measure_overhead,
    "workers": measure_workers,
    "page": measure_page,
}


def main() -> None:
    """Measures what is asked for, each in a cache of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=[*PARTS, "journey"], default=[*PARTS, "journey"])
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="folder of the journey's pictures")
    asked = parser.parse_args()
    for part in asked.part:
        with tempfile.TemporaryDirectory(prefix="tailscope-") as cache:
            os.environ["TAILSCOPE_CACHE"] = cache
            travel(asked.pictures.resolve()) if part == "journey" else PARTS[part]()


if __name__ == "__main__":
    main()

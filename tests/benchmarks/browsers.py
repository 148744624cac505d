"""Browsers on the dashboard while a run trains: `python -m tests.benchmarks.browsers [--browsers 20] [--rounds 3]`.

A run trains in one slot. In turns nobody looks, and so many profiles of a real Chromium look: every second one watches
the run, the others go from page to page, each opening one every `--every` seconds. Prints by how much the run is slower
than in the turns before and after, the server's share of a core, the seconds of the pages, and what failed; exit 1 if a
page did. The browsers have the least priority, as they stand on other machines. Eight minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Error, Page, sync_playwright

from core.jobs import launch
from core.runs import journal, plan
from core.runs.folder import Run, get_run
from tests.benchmarks.jobs import cpu, serves, verdict
from tests.browser.conftest import CHROMIUM, FLAGS, IDLE, serving

SIZE = ["data.synthetic.documents=4000", "data.synthetic.labels=60"]
DATA = "data=synthetic&synthetic_documents=4000&synthetic_labels=60"
LONG = ["train.epochs=10000", "train.patience=10000"]
PATIENCE = 300.0
"""Seconds after which a page that is not drawn has failed."""
NEEDED = 1.5e9
"""Bytes of memory that have to be free before another profile is opened."""
AIM = 0.05


def config(seed: int, *more: str) -> object:
    return plan.make_config(data="synthetic", model="tfidf", loss="db", seed=seed, changes=[*SIZE, *more])


class Visitor:
    """A profile of the browser with one page, that opens one address after another and waits until each is drawn."""

    def __init__(self, browser: Browser, addresses: list[str], every: float, first: float) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        self.addresses, self.every, self.visits = addresses, every, 0
        self.due, self.asked = time.monotonic() + first, 0.0

    def step(self, seconds: dict[str, list[float]], failed: list[str]) -> None:
        """Opens what is due, or looks whether what was opened is drawn."""
        now, address = time.monotonic(), self.addresses[self.visits % len(self.addresses)]
        name = address.partition("?")[0].rpartition("/")[2]
        try:
            if not self.asked:
                if now > self.due:
                    self.asked = now
                    self.page.goto(address, wait_until="commit", timeout=PATIENCE * 1000)
                return
            if broken := self.page.get_by_test_id("stException").count():
                failed.append(f"{name}: {broken} tracebacks")
            elif self.page.locator(IDLE).count() and self.page.locator("h1").count():
                seconds[name].append(time.monotonic() - self.asked)
            elif now - self.asked < PATIENCE:
                return
            else:
                failed.append(f"{name}: not drawn after {PATIENCE:g} s")
        except Error as error:
            failed.append(f"{name}: {error.message.splitlines()[0]}")
        self.asked, self.due, self.visits = 0.0, now + self.every, self.visits + 1

    def rest(self) -> None:
        """Looks at nothing."""
        self.asked, self.due = 0.0, 0.0
        self.page.goto("about:blank", wait_until="commit")


def next_epoch(run: Run) -> tuple[float, int]:
    """The moment at which an epoch ends, and its number."""
    before = journal.read_last(run.path, "history.jsonl").get("epoch", 0)
    while (epoch := journal.read_last(run.path, "history.jsonl").get("epoch", 0)) == before:
        time.sleep(0.01)
        assert get_run(run.id).state in ("queued", "running"), get_run(run.id).why
    return time.monotonic(), epoch


class Turn:
    """Epochs a second of a run, and the server's share of a core, from the end of an epoch to the end of another."""

    def __init__(self, run: Run, server: psutil.Process) -> None:
        self.run, self.server = run, server
        self.began, self.first = next_epoch(run)
        self.spent = cpu(server)

    def end(self) -> tuple[float, float]:
        ended, last = next_epoch(self.run)
        lasted = ended - self.began
        return (last - self.first) / lasted, (cpu(self.server) - self.spent) / lasted


def main(browsers: int, rounds: int, seconds: float, every: float, cache: Path) -> int:
    finished = launch.submit(config(0, "train.epochs=3"))  # type: ignore[arg-type]
    for _ in launch.watch(finished.id):
        pass
    run = launch.submit(config(1, *LONG))  # type: ignore[arg-type]
    niced = cache / "chromium"
    # Linux shares a processor among sessions first: `nice` counts within one, `autogroup` between them.
    lowest = "{ echo 19 > /proc/$$/autogroup; } 2> /dev/null"
    niced.write_text(f'#!/bin/sh\n{lowest}\nexec nice -n 19 "{CHROMIUM}" "$@"\n')
    niced.chmod(0o755)
    drawn, failed, alone, watched, shares = defaultdict(list), [], [], [], []
    with sync_playwright() as playwright, serving(cache) as address:
        server = serves(address)
        browser = playwright.chromium.launch(executable_path=niced, args=FLAGS)
        live = [f"{address}/launcher?run={run.id}"]
        others = [
            *(f"{address}/{page}?{DATA}" for page in ("explorer", "loss_weights")),
            *(f"{address}/{page}?run={finished.id}" for page in ("errors", "try_it")),
            *(f"{address}/compare?runs={finished.id}", f"{address}/home", *live),
        ]
        visitors: list[Visitor] = []
        while len(visitors) < browsers and psutil.virtual_memory().available > NEEDED:
            number = len(visitors)
            turned = others[number % len(others) :] + others[: number % len(others)]
            visitors.append(Visitor(browser, turned if number % 2 else live, every, 0.0))
        print(f"{len(visitors)} browsers, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        for number in range(2 * rounds + 1):  # alone first and last
            if number % 2:
                for place, visitor in enumerate(visitors):  # they do not all come at once
                    visitor.due = time.monotonic() + every * place / len(visitors)
            turn, until = Turn(run, server), time.monotonic() + seconds
            while time.monotonic() < until or any(visitor.asked for visitor in visitors):
                if number % 2:
                    for visitor in visitors:
                        if visitor.asked or time.monotonic() < until:
                            visitor.step(drawn, failed)
                time.sleep(0.05)
            rate, share = turn.end()
            (watched if number % 2 else alone).append(rate)
            shares += [share] if number % 2 else []
            who = "browsers" if number % 2 else "alone"
            print(f"  {who}: {rate:.2f} epochs a second, server {share:.0%}", flush=True)
            if number % 2:
                for visitor in visitors:
                    visitor.rest()
        browser.close()
    launch.stop(run.id)
    slower = [1 - 2 * rate / (before + after) for rate, before, after in zip(watched, alone, alone[1:], strict=False)]
    verdict("epochs a second alone", ", ".join(f"{rate:.2f}" for rate in alone))
    verdict("epochs a second with browsers", ", ".join(f"{rate:.2f}" for rate in watched))
    middle = statistics.median(slower)
    verdict(f"slower by, median of {rounds} (aim {AIM:.0%})", f"{middle:.1%} ({min(slower):.1%} to {max(slower):.1%})")
    verdict("server, share of a core", ", ".join(f"{share:.0%}" for share in shares))
    for name, times in sorted(drawn.items()):
        times.sort()
        worst = f"{times[-1]:.1f} s of {len(times)}"
        verdict(f"{name} drawn, median and worst", f"{statistics.median(times):.1f}, {worst}")
    for words in dict.fromkeys(failed):
        print(f"    {words}")
    return 0 if verdict("pages that failed", len(failed), not failed) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2, help="turns with browsers")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a turn")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two pages of a browser")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= {"TAILSCOPE_CACHE": folder, "TAILSCOPE_DATA": folder, "TAILSCOPE_SLOTS": "cpu"}
        os.environ |= {"OMP_NUM_THREADS": "1"}
        sys.exit(main(asked.browsers, asked.rounds, asked.seconds, asked.every, Path(folder)))

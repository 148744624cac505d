"""Seconds until the dashboard can be used, in Chromium: `python -m tests.benchmarks.dashboard`.

Prepares the first data set in a cache of its own, then times a new server from its start to the explorer with every
chart drawn (the browser is open already), and one change of a border until its figures have changed.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, serving, wait_until_ready

REPEATS = 5


def main(cache: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for repeat in range(REPEATS + 1):  # the first run prepares the data
            page = browser.new_page(viewport={"width": 1400, "height": 1800})
            page.goto("about:blank")
            began = time.perf_counter()
            with serving(cache, TAILSCOPE_DATA=os.environ.get("TAILSCOPE_DATA", "")) as address:
                page.goto(f"{address}/explorer")
                page.locator("[data-testid=stVegaLiteChart] svg").first.wait_for()
                first = time.perf_counter() - began
                wait_until_ready(page, "Documents of a label", role="heading")
                whole, changes = time.perf_counter() - began, []
                border = page.get_by_label("Head from", exact=True).and_(page.locator("input"))
                metrics = page.get_by_test_id("stMetricValue")
                for value in ("60", "35", "60"):
                    before = metrics.all_inner_texts()
                    border.fill(value)
                    start = time.perf_counter()
                    border.press("Enter")
                    while metrics.all_inner_texts() == before:
                        pass
                    changes.append(time.perf_counter() - start)
                    expect(page.locator("[data-test-script-state=notRunning]")).to_have_count(1)
            page.close()
            name = "cold cache" if repeat == 0 else f"warm cache {repeat}"
            moved = max(changes)
            print(f"{name:13} first chart {first:5.2f} s   whole page {whole:5.2f} s   border moved {moved:5.2f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))

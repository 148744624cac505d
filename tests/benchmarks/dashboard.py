"""Seconds until the explorer can be used, in Chromium: `python -m tests.benchmarks.dashboard [--large]`.

Prepares a data set in a cache of its own, then opens a new server's explorer in new browser profiles and times the
first paint (the address asked for, to the tables drawn), then what a person does there; each thing first cold, then
again in other profiles with what the server keeps; last it moves a slider of the loss page. `--large` takes a synthetic
set of PubMed's size. The last column is the largest message that the browser received.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, IDLE, serving

LARGE = (
    "data=synthetic&synthetic_documents=224897&synthetic_labels=18211&synthetic_cardinality=12.6&synthetic_words=200"
)
TABLE, CELL = "[data-testid=stDataFrame]", "[data-testid=stVegaLiteChart] [aria-roledescription='rect mark']"
CHART = "[data-testid=stVegaLiteChart] svg, [data-testid=stVegaLiteChart] canvas"
ROUNDS = 3


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).and_(page.locator("input"))
    field.fill(value)
    field.press("Enter")


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()


VIEWS: dict[str, tuple[str, str, dict[str, tuple[Callable[[Page], None], str]]]] = {
    "Overview": ("", TABLE, {}),
    "Long tail": (
        "view=Long+tail",
        CHART,
        {"border moved": (lambda page: fill(page, "Head from", "60"), "head from 60")},
    ),
    "Lengths": ("view=Lengths", CHART, {}),
    "Together": (
        "view=Together",
        CELL,
        {
            "cell clicked": (lambda page: page.locator(CELL).nth(40).click(), "List them"),
            "part test": (lambda page: choose(page, "test"), "test document"),
            "strongest pairs": (lambda page: choose(page, "Strongest pairs"), "tick one to read"),
            "pairs searched": (lambda page: fill(page, "Search", "zzzz"), "No two labels share so many documents"),
            "whole matrix": (lambda page: choose(page, "Whole matrix"), "in bins of neighbouring ranks"),
        },
    ),
    "Drift": ("view=Drift", CHART, {}),
    "Look-alikes": ("view=Look-alikes", TABLE, {}),
    "Documents": (
        "view=Documents",
        TABLE,
        {
            "words searched": (
                lambda page: fill(page, "Words in title or body", "nowhere to be found"),
                "passes all of these filters",
            ),
        },
    ),
}
"""Each tab: its address, what is drawn there, and what is done there with the words that answer."""


def look(browser: Browser, address: str) -> dict[str, tuple[float, float]]:
    """Seconds and megabytes of every tab's first paint and of what is done there, each tab in a profile of its own."""
    found: dict[str, tuple[float, float]] = {}
    for name, (query, drawn, things) in VIEWS.items():
        page = browser.new_context(viewport={"width": 1400, "height": 1800}).new_page()
        sizes: list[int] = []
        page.on("websocket", lambda socket, sizes=sizes: socket.on("framereceived", lambda m: sizes.append(len(m))))
        start = time.perf_counter()
        page.goto(f"{address}&{query}")
        page.locator(drawn).first.wait_for(timeout=120_000)
        expect(page.locator(IDLE)).to_have_count(1, timeout=120_000)
        found[name] = time.perf_counter() - start, max(sizes) / 1e6
        for thing, (do, words) in things.items():
            page.wait_for_timeout(500)
            sizes[:] = [0]
            start = time.perf_counter()
            do(page)
            page.get_by_text(words).first.wait_for(timeout=120_000)
            expect(page.locator(IDLE)).to_have_count(1, timeout=120_000)
            found[f"  {thing}"] = time.perf_counter() - start, max(sizes) / 1e6
        page.context.close()
    return found


LOSS_VIEWS = ("Weight by label", "Loss and gradient", "One document", "Where the gradient goes")
HEARD = """() => {
    addEventListener("keydown", () => { window.pressed = performance.now() }, true);
    const chart = "[data-testid=stVegaLiteChart]";
    const inChart = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest(chart);
    new MutationObserver((changes) => {
        if (changes.some((change) => inChart(change.target))) window.drawn = performance.now();
    }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}"""


def slide(browser: Browser, address: str, view: str) -> list[float]:
    """Seconds from each step of the slider of mu, of the loss db, to the last change of the chart."""
    page = browser.new_context(viewport={"width": 1400, "height": 1800}).new_page()
    page.goto(f"{address}&view={view.replace(' ', '+')}")
    page.get_by_role("tab", name="db", exact=True).click(timeout=120_000)
    page.locator(CHART).first.wait_for(timeout=120_000)
    page.wait_for_timeout(2000)
    page.evaluate(HEARD)
    seconds = []
    for _ in range(9):
        page.get_by_role("slider").press("ArrowLeft")
        page.wait_for_timeout(1500)
        seconds.append(page.evaluate("(window.drawn - window.pressed) / 1000"))
    page.context.close()
    return sorted(seconds)


def main(cache: Path) -> None:
    query = LARGE if "--large" in sys.argv else ""
    with sync_playwright() as playwright, serving(cache, TAILSCOPE_DATA=os.environ.get("TAILSCOPE_DATA", "")) as server:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        rounds = [look(browser, f"{server}/explorer?{query}") for _ in range(1 + ROUNDS)]
        slides = {view: slide(browser, f"{server}/loss_weights?{query}", view) for view in LOSS_VIEWS}
    print(f"{'':18} {'cold':>8} {'warm, best and worst of ' + str(ROUNDS):>32} {'largest message':>18}")
    for name, (cold, size) in rounds[0].items():
        warm = [one[name][0] for one in rounds[1:]]
        print(f"{name:18} {cold:>6.2f} s {min(warm):>21.2f} to {max(warm):.2f} s {size:>15.2f} MB")
    for view, seconds in slides.items():
        print(f"mu moved, {view:24} {seconds[4]:.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))

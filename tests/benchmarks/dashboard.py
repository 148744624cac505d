"""Seconds until a page can be used, in Chromium: `python -m tests.benchmarks.dashboard [--large]`.

Prepares a data set in a cache of its own, then opens a new server's explorer, a label and a run in new browser profiles
and times the first paint (the address asked for, to the tables drawn), then what a person does there; each thing first
cold, then again in other profiles with what the server keeps; last it moves a slider of the loss page. `--large` takes
a synthetic set of PubMed's size, without runs. The last column is the largest message that the browser received.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.config.schema import SyntheticConfig
from core.data.readers.synthetic import label_names
from core.system.places import ROOT
from tests.browser.conftest import CHROMIUM, FLAGS, IDLE, serving

LARGE = (
    "data=synthetic&synthetic_documents=224897&synthetic_labels=18211&synthetic_cardinality=12.6&synthetic_words=200"
)
TABLE, CELL = "[data-testid=stDataFrame]:visible", "[data-testid=stVegaLiteChart] [aria-roledescription='rect mark']"
CHART = "[data-testid=stVegaLiteChart] svg, [data-testid=stVegaLiteChart] canvas"
ROUNDS = 3


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).and_(page.locator("input"))
    field.fill(value)
    field.press("Enter")


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()


Things = dict[str, tuple[Callable[[Page], None], str]]
VIEWS: dict[str, tuple[str, str, Things]] = {
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
"""Each tab of the explorer: its query, what is drawn there, and what is done there with the words that answer."""
RUN = "reuters-tfidf-db-s0-966e74a879"
SEARCHED: Things = {"label searched": (lambda page: fill(page, "Go to a label", "zzzz"), "in its name")}
LABEL: dict[str, tuple[str, str, Things]] = {"A label": ("label?name={name}&{query}", TABLE, SEARCHED)}
OF_REUTERS: dict[str, tuple[str, str, Things]] = {
    "A label in its runs": (f"label?name=platinum&run={RUN}", CHART, SEARCHED),
    "Home": ("home", CHART, {}),
    "Compare": ("compare", TABLE, {}),
    "A run's labels": (
        f"errors?run={RUN}",
        TABLE,
        {
            "rule chosen": (lambda page: pick(page, "Thresholds", "top k (RCut)"), "highest scores of every document"),
            "confused pairs": (lambda page: choose(page, "Confused pairs"), "A label was missed"),
        },
    ),
    "A run's map": (f"errors?run={RUN}&view=Map", CELL, {}),
}
"""Other pages in the same way, with whole addresses."""


def pick(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def look(browser: Browser, views: dict[str, tuple[str, str, Things]]) -> dict[str, tuple[float, float]]:
    """Seconds and megabytes of every view's first paint and of what is done there, each in a profile of its own."""
    found: dict[str, tuple[float, float]] = {}
    for name, (address, drawn, things) in views.items():
        page = browser.new_context(viewport={"width": 1400, "height": 1800}).new_page()
        sizes: list[int] = []
        page.on("websocket", lambda socket, sizes=sizes: socket.on("framereceived", lambda m: sizes.append(len(m))))
        start = time.perf_counter()
        page.goto(address)
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


LOSS_VIEWS = ("Weight by label", "Loss by logit", "One document", "Where the gradient goes")
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
        views = {name: (f"{server}/explorer?{query}&{one[0]}", *one[1:]) for name, one in VIEWS.items()}
        name = label_names(SyntheticConfig(labels=50))[40] if query else "platinum"
        others = LABEL if query else OF_REUTERS
        views |= {
            title: (f"{server}/{one[0].format(name=name, query=query)}", *one[1:]) for title, one in others.items()
        }
        rounds = [look(browser, views) for _ in range(1 + ROUNDS)]
        slides = {view: slide(browser, f"{server}/loss_weights?{query}", view) for view in LOSS_VIEWS}
    print(f"{'':18} {'cold':>8} {'warm, best and worst of ' + str(ROUNDS):>32} {'largest message':>18}")
    for name, (cold, size) in rounds[0].items():
        warm = [one[name][0] for one in rounds[1:]]
        print(f"{name:18} {cold:>6.2f} s {min(warm):>21.2f} to {max(warm):.2f} s {size:>15.2f} MB")
    for view, seconds in slides.items():
        print(f"mu moved, {view:24} {seconds[4]:.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "cache" / "published", Path(folder) / "published")
        main(Path(folder))

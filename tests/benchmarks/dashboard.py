"""Seconds until a page can be used, in Chromium: `python -m tests.benchmarks.dashboard [--large] [--pages compare]`.

Prepares a data set in a cache of its own, then opens a new server's explorer, a label and a run in new browser profiles
and times the first paint (the address asked for, to the tables drawn), then what a person does there; each thing first
cold, then again in other profiles with what the server keeps; last it moves a slider of the loss page. `--large` takes
a synthetic set of PubMed's size, without runs; `--pages` takes some pages alone, by the first word of their address;
`--runs` adds copies of the published runs on Reuters under other seeds until there are so many. A row is printed when
it is known. The last column is the largest message that the browser received.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.config.schema import RunConfig, SyntheticConfig
from core.data.readers.synthetic import label_names
from core.runs.folder import run_id
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
    "Compare": (
        "compare",
        TABLE,
        {
            f"rule {rule}": (lambda page, rule=rule: decide(page, rule), words)
            for rule, words in (
                ("quiet", "at the rule quiet"),
                ("exact", "at the rule exact"),
                ("per-label", "at the rule per-label"),
                ("as trained", "as trained."),
            )
        },
    ),
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


def decide(page: Page, rule: str) -> None:
    """Lets Compare's rows decide by a rule."""
    if rule == "as trained":
        choose(page, rule)
    elif page.get_by_role("combobox", name="Rule", exact=True).count():
        pick(page, "Rule", rule)
    else:
        choose(page, "one rule")


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


def copy_runs(published: Path, many: int) -> None:
    """Adds copies of published runs on Reuters, in turn, under other seeds until there are so many on it."""
    paths = sorted(path for path in published.iterdir() if (path / "config.json").exists())
    configs = {path: RunConfig.model_validate_json((path / "config.json").read_text("utf-8")) for path in paths}
    there = [path for path, config in configs.items() if config.data.name == "reuters"]
    trained = [path for path in there if not configs[path].combined]
    for place in range(max(many - len(there), 0)):
        old = trained[place % len(trained)]
        seed = configs[old].seed + 100 * (1 + place // len(trained))
        config = configs[old].model_copy(update={"seed": seed})
        fingerprint = json.loads((old / "metrics.json").read_text("utf-8"))["fingerprint"]
        new = published / run_id(config, fingerprint)
        shutil.copytree(old, new)
        (new / "config.json").write_text(config.model_dump_json(), "utf-8")


def main(cache: Path, large: bool, pages: list[str]) -> None:
    query = LARGE if large else ""
    name = label_names(SyntheticConfig(labels=50))[40] if large else "platinum"
    others = LABEL if large else OF_REUTERS
    views = {name: (f"explorer?{query}&{one[0]}", *one[1:]) for name, one in VIEWS.items()}
    views |= {title: (one[0].format(name=name, query=query), *one[1:]) for title, one in others.items()}
    chosen = {title: one for title, one in views.items() if not pages or one[0].partition("?")[0] in pages}
    with sync_playwright() as playwright, serving(cache, TAILSCOPE_DATA=os.environ.get("TAILSCOPE_DATA", "")) as server:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        print(f"{'':18} {'cold':>8} {'warm, best and worst of ' + str(ROUNDS):>32} {'largest message':>18}", flush=True)
        for title, (address, *rest) in chosen.items():
            rounds = [look(browser, {title: (f"{server}/{address}", *rest)}) for _ in range(1 + ROUNDS)]  # type: ignore[dict-item]
            for thing, (cold, size) in rounds[0].items():
                warm = [one[thing][0] for one in rounds[1:]]
                times = f"{cold:>6.2f} s {min(warm):>21.2f} to {max(warm):.2f} s"
                print(f"{thing:18} {times} {size:>15.2f} MB", flush=True)
        for view in LOSS_VIEWS if not pages or "loss_weights" in pages else ():
            seconds = slide(browser, f"{server}/loss_weights?{query}", view)
            print(f"mu moved, {view:24} {seconds[4]:.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="a synthetic set of PubMed's size, without runs")
    parser.add_argument("--pages", nargs="+", default=[], help="such as compare or errors; all of them if left out")
    parser.add_argument("--runs", type=int, default=0, help="so many on Reuters, with copies of the published ones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "cache" / "published", Path(folder) / "published")
        copy_runs(Path(folder) / "published", asked.runs)
        main(Path(folder), asked.large, asked.pages)

"""The journey of a run in a real browser: launched, left alone, found again, read; killed; stopped."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as Late

from core.analysis.run_names import name_runs
from core.runs import folder
from tests.browser.conftest import STILL

SECOND = 1000
Seen = TypeVar("Seen")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of `address`, with no runs but those of this file."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def address(cache: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """Address of a server of this file's own, whose runs are worked on without torch."""
    with serve(cache, TAILSCOPE_WORKER="tests.helpers.stub_worker") as found:
        yield found


@pytest.fixture
def open_training(page: Page, address: str, ready: Callable[..., None]) -> Callable[..., Page]:
    """Opens the training page, by default in the shared tab, with a small synthetic set chosen."""

    def opened(tab: Page = page, address: str = address) -> Page:
        tab.goto(f"{address}/launcher?data=synthetic&synthetic_documents=600&synthetic_labels=12&models=tfidf")
        ready(tab, "Launch 1 run", role="button", ticks=True)
        return tab

    return opened


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).and_(page.locator("input"))
    field.fill(value)
    field.press("Enter")


def states(cache: Path) -> dict[str, str]:
    """States as the run folders give them, by run id."""
    return {path.parent.name: folder.read_folder(path.parent).state for path in cache.glob("runs/[!.]*/status.json")}


def choose_run(page: Page, cache: Path, run_id: str) -> None:
    name = name_runs([folder.read_folder(path.parent) for path in cache.glob("runs/[!.]*/status.json")])[run_id]
    box = page.get_by_role("combobox", name="Run", exact=True)
    # The list closes where the page draws itself again with other runs in it: then it is opened once more.
    for _ in range(20):
        if box.input_value() == name:
            break
        box.fill(name)
        try:
            page.get_by_role("option", name=name, exact=True).click(timeout=3 * SECOND)
        except Late:
            box.press("Escape")  # what was typed and not chosen is no choice
    expect(box).to_have_value(name)


def launch(page: Page, number: int) -> None:
    page.get_by_role("button", name=f"Launch {number} run{'s' * (number > 1)}", exact=True).click()
    expect(page.get_by_role("button", name="Launch 0 runs", exact=True)).to_be_visible()


def wait_for(page: Page, look: Callable[[], Seen], wanted: Callable[[Seen], bool], seconds: int = 120) -> Seen:
    """Looks at files until what they say is wanted, while the page goes on."""
    for _ in range(seconds * 5):
        if wanted(seen := look()):
            return seen
        page.wait_for_timeout(200)
    raise AssertionError(f"after {seconds} s: {look()}")


def wait_for_states(page: Page, cache: Path, wanted: Callable[[dict[str, str]], bool]) -> None:
    wait_for(page, lambda: states(cache), wanted, 90)


def test_runs_go_on_without_a_browser_and_are_read_afterwards(
    open_training: Callable[[], Page], cache: Path, address: str, ready: Callable[..., None]
) -> None:
    page = open_training()
    fill(page, "Epochs", "150")
    fill(page, "Patience", "150")
    fill(page, "Seeds", "0, 1")
    launch(page, 2)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(3)
    wait_for_states(page, cache, lambda now: sorted(now.values()) == ["queued", "running"])
    page.goto("about:blank")  # nobody looks

    page = open_training()
    wait_for_states(page, cache, lambda now: set(now.values()) == {"finished"})
    expect(page.get_by_text("Nothing is running or waiting.")).to_be_visible()
    ids = list(states(cache))
    assert len(ids) == 2

    page.goto(f"{address}/compare")
    ready(page, "Compare", role="heading")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).first.click()
    table = Path(download.value.path()).read_text("utf-8")
    assert all(run_id in table for run_id in ids)
    page.goto(f"{address}/errors?view=Confused+pairs")
    ready(page, "Errors", role="heading")
    pairs = page.get_by_test_id("stDataFrame")
    expect(pairs).to_have_count(1)
    box = pairs.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 52)
    expect(page.get_by_text(re.compile(r"documents? where .+ was missed and .+ given or kept"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"missed=.+&gave="))
    expect(pairs).to_have_count(2)


def test_a_killed_worker_is_shown_as_lost_and_frees_the_queue(open_training: Callable[[], Page], cache: Path) -> None:
    page = open_training()
    before = set(states(cache))
    fill(page, "Epochs", "4000")
    fill(page, "Patience", "4000")
    fill(page, "Seeds", "10, 11")
    launch(page, 2)
    wait_for_states(page, cache, lambda now: sorted(now[run] for run in set(now) - before) == ["queued", "running"])
    now = states(cache)
    killed = next(run for run in set(now) - before if now[run] == "running")
    os.kill(json.loads((cache / "runs" / killed / "process.json").read_text("utf-8"))["pid"], signal.SIGKILL)
    choose_run(page, cache, killed)
    expect(page.get_by_text("Its worker process was killed")).to_be_visible()
    expect(page.get_by_text("lost", exact=True).filter(visible=True)).not_to_have_count(0)
    other = next(run for run in set(now) - before if run != killed)
    wait_for_states(page, cache, lambda now: now[other] == "running")

    page.get_by_role("button", name="Resume", exact=True).click()
    wait_for_states(page, cache, lambda now: now[killed] == "queued")
    page.get_by_role("button", name="Stop all", exact=True).click()
    expect(page.get_by_text("Nothing is running or waiting.")).to_be_visible()
    assert [states(cache)[run] for run in (killed, other)] == ["stopped", "stopped"]
    choose_run(page, cache, other)
    expect(page.get_by_text("Stopped by request before it had finished")).to_be_visible()


def test_a_sweep_of_three_losses_is_watched_stopped_and_resumed_by_two_browsers(
    open_training: Callable[..., Page], browser: Browser, cache: Path
) -> None:
    page = open_training()
    before = set(states(cache))
    for loss in ("cb", "db"):
        page.get_by_role("button", name=loss, exact=True).click()
    fill(page, "Epochs", "3000")
    fill(page, "Patience", "3000")
    fill(page, "Seeds", "20")
    launch(page, 3)
    wait_for_states(page, cache, lambda now: "running" in [now[run] for run in set(now) - before])
    mine = set(states(cache)) - before
    running = next(run for run in mine if states(cache)[run] == "running")
    choose_run(page, cache, running)
    tested = page.get_by_test_id("stVegaLiteChart")
    expect(tested).to_have_count(3)
    expect(page.get_by_test_id("stMetricValue").nth(3)).to_have_text(re.compile(r"^\d+/3000$"))
    epoch = page.get_by_test_id("stMetricValue").nth(3).inner_text()
    drawn = tested.first.screenshot()
    expect(page.get_by_test_id("stMetricValue").nth(3)).not_to_have_text(epoch)
    wait_for(page, tested.first.screenshot, lambda now: now != drawn)  # the curve moves by itself

    context = browser.new_context(**STILL)
    other = open_training(context.new_page())
    expect(other.get_by_text("2 queued, 1 running")).to_be_visible()
    other.get_by_role("button", name="Stop sweep", exact=True).first.click()
    wait_for_states(page, cache, lambda now: {now[run] for run in mine} == {"stopped"})
    for one in (page, other):
        expect(one.get_by_text("3 stopped", exact=True)).to_be_visible()
    page.get_by_role("button", name="Resume sweep", exact=True).first.click()
    context.close()
    wait_for_states(page, cache, lambda now: sorted(now[run] for run in mine) == ["queued", "queued", "running"])
    page.get_by_role("button", name="Stop all", exact=True).click()
    wait_for_states(page, cache, lambda now: {now[run] for run in mine} == {"stopped"})


def test_marked_rows_are_compared_and_deleted_together(open_training: Callable[[], Page], cache: Path) -> None:
    page = open_training()
    before = set(states(cache))
    fill(page, "Seeds", "30, 31")
    launch(page, 2)
    wait_for_states(page, cache, lambda now: [now[run] for run in set(now) - before] == ["finished"] * 2)
    mine = set(states(cache)) - before
    expect(page.get_by_text("Nothing is running or waiting.")).to_be_visible()  # the page has seen that they ended
    fill(page, "Name, tag, note, user", "seed 3")
    expect(page.get_by_text("2 runs, ")).to_be_visible()
    table = page.get_by_test_id("stDataFrame").first
    for row in (0, 1):
        table.scroll_into_view_if_needed()
        box = table.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 15, box["y"] + 35 * (row + 1) + 17)
        expect(table.locator("tr[aria-selected=true]")).to_have_count(row + 1)
    expect(page.get_by_role("heading", name="2 runs")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(3)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete for good", exact=True).click()
    wait_for(page, lambda: set(states(cache)), lambda left: not mine & left)


def test_a_tab_in_the_background_is_left_alone(open_training: Callable[[], Page]) -> None:
    page = open_training()
    frames: list[object] = []

    def hear(frame: object) -> None:
        frames.append(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    page.reload()
    expect(page.get_by_text("New run", exact=True)).to_be_visible()

    def heard(seconds: int) -> int:
        before = len(frames)
        page.wait_for_timeout(seconds * SECOND)
        return len(frames) - before

    def turn(hidden: str) -> None:
        page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    while not heard(3):  # the first run of a server's life loads PyTorch
        pass
    turn("true")
    wait_for(page, lambda: heard(3), lambda frames: frames == 0)
    assert heard(6) == 0
    turn("false")
    wait_for(page, lambda: heard(1), lambda frames: frames > 0, 6)


def test_read_only_runs_are_watched_and_nothing_can_be_done(
    serve: Callable[..., AbstractContextManager[str]], page: Page, cache: Path
) -> None:
    with serve(cache, TAILSCOPE_READONLY="1") as address:
        page.goto(f"{address}/launcher")
        expect(page.get_by_text("This dashboard is read-only")).to_be_visible()
        expect(page.get_by_role("heading", name="All runs")).to_be_visible()
        for name in ("Launch", "Stop", "Resume", "Delete", "Start anew", "Pin", "Archive", "Name, tags, notes"):
            expect(page.get_by_role("button", name=re.compile(f"^{name}"))).to_have_count(0)


def test_opening_pages_starts_and_stops_nothing(open_training: Callable[[], Page], cache: Path, address: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.glob("runs/**/*")}
    page = open_training()
    page.goto(f"{address}/errors?run=../../etc")
    expect(page.get_by_text("is no run id")).to_be_visible()
    assert {path: path.stat().st_mtime_ns for path in cache.glob("runs/**/*")} == before

"""A real server and a real Chromium, each with its own cache; see `wait_until_ready` for how a journey waits."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from core.system.places import ROOT

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = shutil.which("chromium")
START_SECONDS = 60
PATIENCE = 120_000
"""Milliseconds that a journey waits: a busy machine is no failure."""
expect.set_options(timeout=PATIENCE)
VIEWPORT: ViewportSize = {"width": 1400, "height": 1800}
STILL: dict[str, Any] = {"viewport": VIEWPORT, "reduced_motion": "reduce"}
"""Of a browser profile: what moves while a journey waits costs as much as the journey."""
IDLE = "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"

Serve = Callable[..., AbstractContextManager[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="chromium is not on the PATH"))


@contextmanager
def serving(cache: Path, **environment: str) -> Iterator[str]:
    """Starts a server of its own on a free port and yields its address; ends it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    variables = {"TAILSCOPE_CACHE": str(cache), "TAILSCOPE_DATA": str(cache / "no-data")}
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--server.fileWatcherType=none"],
            cwd=ROOT,
            env={**os.environ, **variables, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(f"{address}/_stcore/health"):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The server did not start: {(cache / 'server.log').read_text('utf-8')}")
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(2)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_ready(page: Page, text: str | re.Pattern[str], *, role: str = "", ticks: bool = False) -> None:
    """Waits until the page shows `text` and is done, and holds that it shows no traceback.

    Args:
        page: the browser's page.
        text: exact text of an element, or a pattern, or with `role` its accessible name.
        role: such as `heading`, `button` or `link`.
        ticks: the page reruns by itself, so it is never done: wait for the text alone.
    """
    place = page.get_by_role(role, name=text, exact=True) if role else page.get_by_text(text, exact=True)  # type: ignore[arg-type]
    expect(place.first).to_be_visible()
    if not ticks:
        expect(page.locator(IDLE)).to_have_count(1)
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.fixture(scope="session")
def ready() -> Callable[..., None]:
    """`wait_until_ready`, for tests."""
    return wait_until_ready


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Starts further servers: `with serve(cache) as address`; give variables of the environment by name."""
    return serving


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of `address`, empty at first."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def address(cache: Path) -> Iterator[str]:
    """Address of a server for all journeys that need none of their own, without real data."""
    with serving(cache) as found:
        yield found


@pytest.fixture(scope="session")
def published_cache(reuters_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of `published_address`: the published runs and the prepared copy of Reuters."""
    made = tmp_path_factory.mktemp("published")
    shutil.copytree(reuters_cache, made, dirs_exist_ok=True)
    shutil.copytree(ROOT / "cache" / "published", made / "published")
    return made


@pytest.fixture(scope="session")
def published_address(published_cache: Path, reuters_folder: Path) -> Iterator[str]:
    """Address of a server that shows Reuters and the published runs."""
    with serving(published_cache, TAILSCOPE_DATA=str(reuters_folder)) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened.on("context", lambda context: context.set_default_timeout(PATIENCE))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Page]:
    """The tab that tests share which need no browser profile of their own: a new one takes seconds to load the app."""
    context = browser.new_context(**STILL)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The shared tab, as a new one but for the app's code; it shows nothing while no test needs it."""
    tab.set_viewport_size(VIEWPORT)
    tab.emulate_media(color_scheme="light")
    yield tab
    tab.goto("about:blank")

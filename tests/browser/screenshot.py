"""Makes the picture of the README: `python -m tests.browser.screenshot`.

A server of its own shows the published runs; a real Chromium opens *Compare* in the light theme, with the runs of
`tfidf` as differences from `bce`. Reuters-21578 itself is not needed. Pillow, which comes with Streamlit,
reduces the picture's colours.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from core.system.places import ROOT
from tests.browser.conftest import CHROMIUM, FLAGS, IDLE, PATIENCE, serving

PICTURE = ROOT / "cache" / "published" / "tailscope.png"
WIDTH, HEIGHT = 1440, 900
COLOURS = 128
"""Colours of the picture: enough for flat areas and the edges of letters."""
MOST_BYTES = 250_000


def take() -> bytes:
    """What the window shows, (HEIGHT, WIDTH) pixels, as PNG."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shutil.copytree(ROOT / "cache" / "published", Path(folder) / "published")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with serving(Path(folder)) as address:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.goto(f"{address}/compare?baseline=bce")
            wait_until_drawn(page)
            choose(page, "Models", "tfidf")
            wait_until_drawn(page)
            page.mouse.click(WIDTH - 5, HEIGHT - 5)  # takes the focus from the box
            page.get_by_text("Data set and split", exact=True).evaluate(
                "element => element.scrollIntoView({block: 'start'})"
            )
            page.wait_for_timeout(1_000)
            picture = page.screenshot()
        browser.close()
    return picture


def wait_until_drawn(page: Page) -> None:
    """Waits until the server is idle and the tables stand."""
    page.get_by_test_id("stDataFrame").first.wait_for()
    page.wait_for_timeout(2_000)
    page.locator(IDLE).wait_for(state="attached")
    page.wait_for_timeout(2_000)


def choose(page: Page, box: str, option: str) -> None:
    """Adds an option to a list of several."""
    page.get_by_role("combobox", name=box, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()
    page.keyboard.press("Escape")


def reduce_colours(picture: bytes) -> bytes:
    """The picture with a palette of `COLOURS` colours, as PNG."""
    reduced = io.BytesIO()
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(reduced, "PNG", optimize=True)
    return reduced.getvalue()


if __name__ == "__main__":
    made = reduce_colours(take())
    if len(made) > MOST_BYTES:
        sys.exit(f"The picture has {len(made):,} bytes, more than {MOST_BYTES:,}.")
    PICTURE.write_bytes(made)
    print(f"{PICTURE}: {len(made):,} bytes")

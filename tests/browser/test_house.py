"""Every page and view on the published runs and Reuters: from address and menu, in both themes and two sizes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from pages import compare, errors, explorer, loss_weights
from pages.shared.menu import PAGES
from tests.browser.conftest import IDLE

BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}
"""Themes, and the background that each gives to a page."""
SIZES = ({"width": 1440, "height": 900}, {"width": 1100, "height": 800})
HEADINGS = PAGES | {"home": "Tailscope"}

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
GRAVE = ("serious", "critical")
"""Of what axe-core finds: what keeps somebody from reading or using a page."""
CHECK = """only => axe.run(
  {resultTypes: ["violations"], ...(only.length ? {runOnly: {type: "rule", values: only}} : {})},
)"""
"""Runs all rules of axe-core, or those named."""
CLIPPED = """() => [...document.querySelectorAll("[data-testid=stApp] *")].filter((element) => {
  const style = getComputedStyle(element);
  // Tables are drawn on a canvas; formulas have boxes of their own; code and text boxes scroll, as long titles do.
  if (element.closest("[data-testid=stDataFrame], .katex, svg, [data-testid=stCode], textarea")) return false;
  if (!element.offsetParent || element.clientWidth < 8 || style.visibility === "hidden") return false;
  if (element.tagName === "INPUT") return element.value.length < 40 && element.scrollWidth > element.clientWidth + 1;
  const hides = style.overflowX !== "visible" || style.textOverflow === "ellipsis";
  return hides && element.innerText && element.scrollWidth > element.clientWidth + 3;
}).map((element) => `${element.scrollWidth} > ${element.clientWidth}: ${element.value || element.innerText}`)"""
"""Texts of which a part is cut off."""

Ready = Callable[..., None]


def hold_page(page: Page, name: str, ready: Ready) -> None:
    """Holds that a page is whole: heading, place in the menu, address, title, no error."""
    ready(page, HEADINGS[name], role="heading", ticks=name == "launcher")
    here = page.get_by_test_id("stSidebar").get_by_role("link", name=PAGES[name], exact=True)
    expect(here).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    expect(page).to_have_title(f"{PAGES[name]} · Tailscope")
    expect(page.get_by_text("Page not found")).to_have_count(0)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)


def find_violations(page: Page, *only: str) -> list[str]:
    """What axe-core finds that is grave, by all of its rules or by some, a line for each element."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    return [
        f"{found['id']}: {node['html'][:200]}"
        for found in page.evaluate(CHECK, only)["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


def hold_whole_texts(page: Page) -> None:
    """Holds that no text is cut off: a page takes a moment to fit another width."""
    with contextlib.suppress(TimeoutError):
        page.wait_for_function(f"({CLIPPED})().length === 0", timeout=5_000)
    assert page.evaluate(CLIPPED) == []


def hold_in_themes_and_sizes(page: Page, name: str) -> None:
    """Holds that each theme colours the page and can be read by all, and that in no size anything is cut off."""
    for theme, background in BACKGROUNDS.items():
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        for size in SIZES:
            page.set_viewport_size(size)  # type: ignore[arg-type]
            expect(page.get_by_role("heading", name=HEADINGS[name], exact=True).first).to_be_in_viewport(ratio=1)
            page.wait_for_function(
                "main => main.scrollWidth <= main.clientWidth + 2", arg=page.get_by_test_id("stMain").element_handle()
            )
            if theme == "light":
                hold_whole_texts(page)
        # The other theme has other colours and the same elements.
        assert find_violations(page, *(["color-contrast"] if theme == "dark" else [])) == []
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.set_viewport_size(SIZES[0])  # type: ignore[arg-type]


@pytest.mark.reuters
def test_every_page_is_whole_from_its_address_and_from_the_menu(
    published_address: str, page: Page, ready: Ready
) -> None:
    problems: list[str] = []
    asked: set[str] = set()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    for name in PAGES:
        page.goto(f"{published_address}/{name}")
        hold_page(page, name, ready)
        where = f"^{published_address}/{'' if name == 'home' else name}" + r"(\?.*)?$"
        expect(page).to_have_url(re.compile(where))
    for name in PAGES:
        page.get_by_test_id("stSidebar").get_by_test_id("stPageLink-NavLink").filter(
            has_text=re.compile(f"^{PAGES[name]}$")
        ).click()
        hold_page(page, name, ready)
        hold_in_themes_and_sizes(page, name)
    assert not problems
    # What a page asks for comes from this server, or is made in the browser.
    others = {url for url in asked if not url.startswith((f"{published_address}/", "data:", "blob:"))}
    assert not others


VIEWS: dict[str, Iterable[str]] = {
    "explorer": explorer.SECTIONS,
    "loss_weights": loss_weights.VIEWS,
    "compare": compare.VIEWS,
    "errors": errors.VIEWS,
}
"""Pages with several views, whose names stand in the address."""


@pytest.mark.reuters
@pytest.mark.parametrize("name", VIEWS)
def test_every_view_of_a_page_is_drawn_without_an_error(
    name: str, published_address: str, page: Page, ready: Ready
) -> None:
    # The last view from its address, then each by a click on its name, which the address takes up; on a narrow page.
    page.set_viewport_size(SIZES[1])  # type: ignore[arg-type]
    *others, last = VIEWS[name]
    page.goto(f"{published_address}/{name}?{urlencode({'view': last})}")
    for view in (last, *others):
        ready(page, HEADINGS[name], role="heading")
        if view != last:
            page.get_by_role("tab", name=view, exact=True).or_(page.get_by_role("radio", name=view, exact=True)).click()
        chosen = page.locator("[role=tab][aria-selected=true], [role=radio][aria-checked=true]")
        expect(chosen.filter(has_text=re.compile(f"^{view}$"))).to_have_count(1)
        expect(page.locator(IDLE)).to_have_count(1)
        hold_whole_texts(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)

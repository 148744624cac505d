"""Journeys through the menu, home and loss weights in a real browser; every page without an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

HEADINGS = {"": "Tailscope", "explorer": "Explorer", "loss_weights": "Loss weights"}
MENU = ["Home", "Explorer", "Label", "Add data", "Loss weights", "Launcher", "Compare", "Errors", "Try it"]
SMALL = "data=synthetic&synthetic_documents=400&synthetic_labels=30"

Ready = Callable[..., None]
Serve = Callable[..., AbstractContextManager[str]]


def menu(page: Page) -> Locator:
    return page.get_by_test_id("stSidebar").get_by_test_id("stPageLink-NavLink")


def hold_first_page(page: Page, fresh: str, path: str, heading: str, ready: Ready) -> None:
    """Holds that a deep link shows its page in the whole menu, and that Home is one click away."""
    ready(page, heading, role="heading")
    expect(menu(page)).to_have_text(MENU)
    here = page.get_by_test_id("stSidebar").get_by_role("link", name=heading, exact=True)
    expect(here).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    assert page.url.partition("?")[0] == f"{fresh}/{path}"
    page.get_by_role("link", name="Home", exact=True).click()
    ready(page, "Tailscope", role="heading")


def test_a_deep_link_as_the_very_first_request_shows_its_page(
    serve: Serve, tmp_path: Path, page: Page, ready: Ready
) -> None:
    with serve(tmp_path) as fresh:
        page.goto(f"{fresh}/errors")
        hold_first_page(page, fresh, "errors", "Errors", ready)


def test_the_first_click_on_a_fresh_server_is_heard(serve: Serve, tmp_path: Path, page: Page, ready: Ready) -> None:
    with serve(tmp_path) as fresh:
        page.goto(f"{fresh}/explorer?{SMALL}&view=Documents")
        ready(page, "Tick a row to read the document.")
        page.get_by_role("radio", name="test", exact=True).click()
        expect(page.get_by_text(re.compile(r"^(\d+) of \1 documents\.$"))).to_be_visible()
        expect(page).to_have_url(re.compile("part=test"))
        hold_first_page(page, fresh, "explorer", "Explorer", ready)


def test_what_is_typed_first_on_a_fresh_server_is_kept(serve: Serve, tmp_path: Path, page: Page, ready: Ready) -> None:
    with serve(tmp_path) as fresh:
        page.goto(f"{fresh}/launcher?{SMALL}")
        ready(page, "Launch 1 run", role="button")
        seeds = page.get_by_label("Seeds", exact=True)
        seeds.fill("0, 1")
        seeds.press("Enter")
        ready(page, "Launch 2 runs", role="button")
        page.get_by_role("button", name="fl", exact=True).click()
        ready(page, "Launch 4 runs", role="button")
        expect(seeds).to_have_value("0, 1")


@pytest.mark.parametrize(("path", "heading"), HEADINGS.items())
def test_every_page_draws_without_an_error_in_the_browser(
    path: str, heading: str, address: str, page: Page, ready: Ready
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if not ours(request.url, address) else None)
    page.goto(f"{address}/{path}")
    ready(page, heading, role="heading")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    assert not problems
    assert not outside


def ours(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def test_home_leads_to_findings_to_results_and_to_a_first_run(address: str, page: Page, ready: Ready) -> None:
    for link, heading in (
        ("What each loss does to them", "Loss weights"),
        ("All findings", "Explorer"),
        ("Train the first model", "Launcher"),
    ):
        page.goto(f"{address}/?{SMALL}")
        ready(page, "Best runs", role="heading")
        page.get_by_role("link", name=link).click()
        ready(page, heading, role="heading", ticks=heading == "Launcher")
        expect(page).to_have_url(re.compile("synthetic_documents=400"))


@pytest.mark.reuters
def test_the_tour_leads_from_metals_to_the_threshold(published_address: str, page: Page, ready: Ready) -> None:
    for link, seen, role in (
        ("1. Metals that come together", "Documents with both", "heading"),
        ("2. What platinum's documents say", "platinum", "heading"),
        ("3. bce against db", "Compare", "heading"),
        ("4. What decides: the threshold", "Errors", "heading"),
    ):
        page.goto(published_address)
        ready(page, "A tour in two minutes", role="heading")
        page.get_by_role("link", name=link).click()
        ready(page, seen, role=role)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()


@pytest.mark.reuters
def test_a_label_typed_on_home_leads_to_everything_about_it(published_address: str, page: Page, ready: Ready) -> None:
    page.goto(published_address)
    ready(page, "Best runs", role="heading")
    search = page.get_by_label("Go to a label")
    search.fill("platinum")
    search.press("Enter")
    ready(page, "platinum", role="heading")
    ready(page, "In every run", role="heading")
    expect(page).to_have_url(re.compile("label.*name=platinum"))
    page.go_back()
    ready(page, "Best runs", role="heading")
    # A mark of a chart leads there as well, and so does a name in a table.
    page.get_by_test_id("stVegaLiteChart").first.locator("g.mark-symbol path").first.click()
    ready(page, "earn", role="heading")
    page.get_by_role("tab", name="Together", exact=True).click()
    ready(page, re.compile("^j is earn, i the label that comes with it"))
    page.get_by_test_id("stDataFrame").click(position={"x": 90, "y": 55})
    expect(page.get_by_role("heading", name="earn", exact=True)).to_have_count(0)
    expect(page).to_have_url(re.compile(r"label.*name=(?!earn)\w+"))


def test_losses_are_chosen_by_a_click_and_kept_in_the_address(address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/loss_weights?{SMALL}")
    ready(page, "Weight by label", role="tab")
    chosen = page.get_by_role("tab", name="cb-ntr", exact=True)
    expect(chosen).to_have_count(0)
    page.get_by_role("combobox", name="Losses to compare").click()
    page.get_by_role("option", name="cb-ntr", exact=True).click()
    page.keyboard.press("Escape")  # while the list is open, all else is hidden from who cannot see
    expect(chosen).to_have_count(1)
    expect(page).to_have_url(re.compile("compared=cb-ntr"))
    page.goto(page.url)
    expect(chosen).to_have_count(1)

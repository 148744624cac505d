"""Journeys through home, explorer and loss weights in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

HEADINGS = {"": "Tailscope", "explorer": "Data set", "loss_weights": "Loss weights"}
MENU = ["Home", "Data set", "Loss weights", "Training", "Results"]
SMALL = "data=synthetic&synthetic_documents=400&synthetic_labels=30"
NASTY = "<script>document.title = 'taken over'</script><b>bold</b>"

Ready = Callable[..., None]
Serve = Callable[..., AbstractContextManager[str]]


def menu(page: Page) -> Locator:
    return page.get_by_test_id("stSidebarNavLink")


def value_in(said: str, key: str) -> str:
    """The value of one field in the spoken label of a mark."""
    return next(part.removeprefix(f"{key}: ") for part in said.split("; ") if part.startswith(f"{key}: "))


def set_number(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).and_(page.locator("input"))
    field.fill(value)
    field.press("Enter")


@pytest.mark.parametrize(("path", "heading"), {"explorer": "Data set", "results": "Results"}.items())
def test_a_deep_link_as_the_very_first_request_shows_its_page(
    path: str, heading: str, serve: Serve, tmp_path: Path, page: Page, ready: Ready
) -> None:
    with serve(tmp_path) as fresh:
        page.goto(f"{fresh}/{path}")
        ready(page, heading, role="heading")
        expect(menu(page)).to_have_text(MENU)
        expect(page.locator("[data-testid=stSidebarNavLink][aria-current=page]")).to_have_text(heading)
        assert page.url.partition("?")[0] == f"{fresh}/{path}"
        page.get_by_role("link", name="Home", exact=True).click()
        ready(page, "Tailscope", role="heading")


def test_the_first_click_on_a_fresh_server_is_heard(serve: Serve, tmp_path: Path, page: Page, ready: Ready) -> None:
    with serve(tmp_path) as fresh:
        page.goto(f"{fresh}/explorer?{SMALL}")
        ready(page, "Documents of a label", role="heading")
        page.get_by_role("radio", name="test", exact=True).click()
        expect(page.get_by_text(re.compile(r"^\d+ test documents? carr"))).to_be_visible()


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
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)
    assert not problems
    assert not outside


def ours(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def test_home_leads_to_every_step(address: str, page: Page, ready: Ready) -> None:
    for link, heading in (("1. Look at the data", "Data set"), ("2. See what a loss would do", "Loss weights")):
        page.goto(address)
        ready(page, "Start here", role="heading")
        page.get_by_role("link", name=link).click()
        ready(page, heading, role="heading")


def test_a_click_on_a_cell_lists_the_documents_with_both_labels(address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/explorer?{SMALL}&top=5")
    ready(page, "Documents of a label", role="heading")
    cells = page.locator("[aria-roledescription='rect mark'][aria-label^='label i: ']")
    expect(cells).to_have_count(20)
    said = str(cells.last.get_attribute("aria-label"))
    given, label, both = (value_in(said, key) for key in ("given j", "label i", "documents with both"))
    carry = "1 train document carries" if both == "1" else f"{both} train documents carry"
    cells.last.click()
    ready(page, f"{carry} {given} and {label}.")
    expect(page).to_have_url(re.compile(f"label={given}"))
    expect(page).to_have_url(re.compile(f"beside={label}"))
    page.goto(page.url)
    ready(page, f"{carry} {given} and {label}.")


def test_borders_move_through_the_page_and_through_its_address(address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/explorer?{SMALL}")
    ready(page, "The long tail", role="heading")
    set_number(page, "Tail up to", "40")
    said = "Head begins at|head from"
    expect(page.get_by_role("alert")).to_have_text(re.compile(f"({said}).*35.*40"))
    set_number(page, "Head from", "41")
    expect(page.get_by_role("alert")).to_have_count(0)
    ready(page, "Imbalance")
    ready(page, "Medium")
    expect(page).to_have_url(re.compile(r"head=41"))
    expect(page).to_have_url(re.compile(r"tail=40"))
    before = page.get_by_test_id("stMetricValue").all_inner_texts()
    page.goto(page.url)
    ready(page, "Imbalance")
    ready(page, "Medium")
    assert page.get_by_test_id("stMetricValue").all_inner_texts() == before


def test_a_document_is_read_as_text_whatever_it_says(serve: Serve, tmp_path: Path, page: Page, ready: Ready) -> None:
    folder = tmp_path / "data" / "reuters"
    for kind in ("training", "test"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / str(len(kind))).write_text(f"{NASTY}\n  {NASTY}\n", "latin-1")
    (folder / "cats.txt").write_text("test/4 grain\ntraining/8 grain\n", "latin-1")
    with serve(tmp_path / "cache", TAILSCOPE_DATA=str(tmp_path / "data")) as fresh:
        page.goto(f"{fresh}/explorer?data=reuters-nltk&split=original")
        ready(page, "1 train document carries grain.")
        grid = page.get_by_test_id("stDataFrame").last
        grid.scroll_into_view_if_needed()
        grid.click(position={"x": 14, "y": 52})
        expect(page.get_by_test_id("stText").filter(has_text=NASTY)).to_have_count(2)
        ready(page, "Documents of a label", role="heading")
        assert page.title() == "Data set · Tailscope"


def test_losses_are_chosen_by_a_click_and_kept_in_the_address(address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/loss_weights?{SMALL}")
    ready(page, "Weight by label", role="tab")
    chosen = page.get_by_role("tab", name="cb-ntr", exact=True)
    expect(chosen).to_have_count(0)
    page.get_by_role("button", name="cb-ntr", exact=True).click()
    expect(chosen).to_have_count(1)
    expect(page).to_have_url(re.compile("compared=cb-ntr"))
    page.goto(page.url)
    expect(chosen).to_have_count(1)

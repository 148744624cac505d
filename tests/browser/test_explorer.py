"""Journeys through the page on a data set in a real browser: tabs, clicks, addresses, hostile names, downloads."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import STILL

SMALL = "data=synthetic&synthetic_documents=400&synthetic_labels=30"
NASTY = "<script>document.title = 'taken over'</script><b>bold</b> $x$"
LABELS = ("__proto__", "constructor", "toString", "<script>alert(1)</script>", "=cmd()", "@SUM(A1)", "a.b[0]", "**b**")

Ready = Callable[..., None]
Serve = Callable[..., AbstractContextManager[str]]


def set_number(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).and_(page.locator("input"))
    field.fill(value)
    field.press("Enter")


def cells(page: Page) -> Locator:
    return page.locator("[aria-roledescription='rect mark']")


def groups_held(page: Page) -> list[str]:
    """Labels of each group, as the first table of the page says."""
    held = page.locator("[data-testid=stDataFrame]:visible").first.locator("[role=gridcell]")
    expect(held).to_have_count(12)
    return held.all_inner_texts()[1::4]


def value_in(said: str, key: str) -> str:
    """The value of one field in the spoken label of a mark."""
    return next(part.removeprefix(f"{key}: ") for part in said.split("; ") if part.startswith(f"{key}: "))


def other_browser(browser: Browser, url: str) -> Page:
    """The address opened in a browser profile of its own."""
    page = browser.new_context(**STILL).new_page()
    page.goto(url)
    return page


@pytest.mark.reuters
def test_from_the_tail_of_reuters_to_the_documents_of_a_cell(
    published_address: str, browser: Browser, page: Page, ready: Ready
) -> None:
    page.goto(f"{published_address}/explorer")
    ready(page, "Table 1 of the paper", role="heading")
    page.get_by_role("tab", name="Long tail", exact=True).click()
    ready(page, "Frequency against rank", role="heading")
    assert groups_held(page) == ["30", "31", "29"]
    page.get_by_role("tab", name="Together", exact=True).click()
    cell = page.locator("[aria-label^='label i: grain; given label j: corn;']")
    cell.click()
    ready(page, re.compile(r"^\d+ train documents carry corn and grain\.$"))
    expect(page.get_by_text(re.compile(r"^\d+ · .*grain.*corn"))).to_be_visible()
    shares = page.get_by_test_id("stMetricValue").all_inner_texts()
    first = page.get_by_test_id("stText").all_inner_texts()
    set_number(page, re.compile("^Document, of "), "2")
    expect(page.get_by_test_id("stText")).not_to_have_text(first)
    expect(page).to_have_url(re.compile("page=2"))
    ready(page, "Documents with both", role="heading")
    read = page.get_by_test_id("stText").all_inner_texts()
    again = other_browser(browser, page.url)
    ready(again, re.compile(r"^\d+ train documents carry corn and grain\.$"))
    expect(again.get_by_test_id("stText")).to_have_text(read)
    expect(again.get_by_test_id("stMetricValue")).to_have_text(shares)
    again.context.close()


def test_a_click_on_a_cell_and_one_on_a_bin_are_kept_in_the_address(
    address: str, browser: Browser, page: Page, ready: Ready
) -> None:
    page.goto(f"{address}/explorer?{SMALL}&view=Together&top=5&least_both=1")
    expect(cells(page).last).to_be_visible()
    said = str(cells(page).last.get_attribute("aria-label"))
    given, label, both = (value_in(said, key) for key in ("given label j", "label i", "documents with both"))
    carry = "1 train document carries" if both == "1" else f"{both} train documents carry"
    cells(page).last.click()
    ready(page, f"{carry} {given} and {label}.")
    again = other_browser(browser, page.url)
    ready(again, f"{carry} {given} and {label}.")
    page.get_by_role("radio", name="Whole matrix", exact=True).click()
    ready(page, re.compile("^All 30 labels by rank"))
    expect(page.locator("[aria-label^='rank of label i']").first).to_be_visible()
    cells(page).first.click()
    found = re.compile(r"^Labels of rank .*: [\d,]+ pairs\.$")
    ready(page, found)
    expect(page).to_have_url(re.compile(r"bin=\d+-\d+"))
    again.goto(page.url)
    ready(again, page.get_by_text(found).inner_text())
    again.context.close()


def test_borders_move_through_the_page_and_through_its_address(address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/explorer?{SMALL}&view=Long+tail")
    ready(page, "Frequency against rank", role="heading")
    usual = groups_held(page)
    set_number(page, "Tail up to", "300")
    expect(page.get_by_role("alert")).to_have_text(re.compile(r"head from \d+ documents, tail up to 300"))
    set_number(page, "Head from", "301")
    expect(page.get_by_role("alert")).to_have_count(0)
    ready(page, "Frequency against rank", role="heading")
    expect(page).to_have_url(re.compile("head=301"))
    expect(page).to_have_url(re.compile("tail=300"))
    moved = groups_held(page)
    assert moved != usual
    page.goto(page.url)
    ready(page, "Frequency against rank", role="heading")
    assert groups_held(page) == moved


@pytest.fixture(scope="module")
def hostile(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a set whose labels and texts are anything but words."""
    folder = tmp_path_factory.mktemp("hostile")
    stories, lines = folder / "data" / "reuters", []
    for number in range(1, 31):
        kind = "training" if number % 3 else "test"
        (stories / kind).mkdir(parents=True, exist_ok=True)
        (stories / kind / str(number)).write_text(f"{NASTY}\n  {NASTY}\n", "latin-1")
        lines.append(f"{kind}/{number} " + " ".join(LABELS[number % 4 : number % 4 + 5]))
    stories.joinpath("cats.txt").write_text("\n".join(lines), "latin-1")
    with serve(folder / "cache", TAILSCOPE_DATA=str(folder / "data")) as fresh:
        yield f"{fresh}/explorer?data=reuters-nltk&split=original"


@pytest.mark.parametrize(
    "view", ["Together", "Together&show=Whole+matrix", "Together&colour=lift", "Long+tail", "Drift"]
)
def test_charts_are_drawn_whatever_the_labels_are_called(hostile: str, page: Page, ready: Ready, view: str) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{hostile}&view={view}")
    expect(page.get_by_test_id("stVegaLiteChart").first.locator("svg [aria-roledescription]").first).to_be_visible()
    ready(page, "Explorer", role="heading")
    assert not problems


def test_a_document_is_read_as_text_whatever_it_says(hostile: str, page: Page, ready: Ready) -> None:
    page.goto(f"{hostile}&view=Documents")
    ready(page, "Tick a row to read the document.")
    page.get_by_test_id("stDataFrame").click(position={"x": 14, "y": 52})
    expect(page.get_by_test_id("stText").filter(has_text=NASTY)).to_have_count(2)
    ready(page, "Explorer", role="heading")
    assert page.title() == "Explorer · Tailscope"


def test_downloads_hold_no_formula_and_the_grid_offers_none_of_its_own(hostile: str, page: Page, ready: Ready) -> None:
    page.goto(f"{hostile}&view=Look-alikes")
    ready(page, "Never without the other", role="heading")
    page.goto(f"{hostile}&view=Long+tail")
    ready(page, "Every label", role="heading")
    with page.expect_download() as saved:
        page.locator(".st-key-save-reuters-nltk-labels").get_by_role("button", name="Save CSV").click()
    with saved.value.path().open(encoding="utf-8-sig", newline="") as file:
        names = {row["label"] for row in csv.DictReader(file)}
    assert names == {f"'{name}" if name[0] in "=@" else name for name in LABELS}
    for table in page.get_by_test_id("stDataFrame").all():
        table.hover()
        expect(page.get_by_role("button", name=re.compile("^Fullscreen: ")).filter(visible=True)).not_to_have_count(0)
        expect(page.get_by_role("button", name=re.compile("^Download as CSV"))).to_have_count(0)
    with page.expect_download() as drawn:
        page.get_by_test_id("stVegaLiteChart").first.hover()
        page.get_by_role("button", name=re.compile("^Download as PNG")).first.click()
    assert drawn.value.path().read_bytes().startswith(b"\x89PNG")

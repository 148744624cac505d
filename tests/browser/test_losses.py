"""The journey of the loss page on Reuters: compare, move mu, read a document, fill the launcher's form."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

Ready = Callable[..., None]


def test_from_comparing_losses_on_reuters_to_a_filled_form(published_address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{published_address}/loss_weights?data=synthetic&synthetic_documents=400&synthetic_labels=30")
    ready(page, "Loss weights", role="heading")
    ready(page, "Weight by label", role="tab")
    page.get_by_role("combobox", name="Data set").click()
    page.get_by_role("option", name="reuters", exact=True).click()
    expect(page).not_to_have_url(re.compile("data=synthetic"))
    for name in ("bce", "cb", "db"):
        expect(page.get_by_role("tab", name=name, exact=True)).to_be_visible()
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart).to_have_count(2)
    expect(chart.last.locator("svg, canvas")).to_be_visible()

    page.get_by_role("tab", name="db", exact=True).click()
    slider = page.get_by_role("slider")
    expect(slider).to_have_value("0.9")
    slider.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"db\.mu=0\.895"))
    expect(page.locator("annotation", has_text="-0.895")).to_have_count(1)

    page.get_by_role("tab", name="One document", exact=True).click()
    label = page.get_by_role("combobox", name="With the label")
    label.fill("platinum")
    page.get_by_role("option", name="platinum", exact=True).click()
    ready(page, "Its labels: gold, strategic-metal, platinum.")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()

    page.get_by_role("link", name="Train with db").click()
    ready(page, "Launch 1 run", role="button", ticks=True)
    expect(page).to_have_url(re.compile(r"/launcher\?.*set\.loss\.mu=0\.895"))
    expect(page.get_by_text("loss.mu=0.895").first).to_be_attached()
    expect(page.get_by_test_id("stException")).to_have_count(0)

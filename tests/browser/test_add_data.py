"""From a person's own file with defects to its tail and the documents behind a cell of its heatmap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

Ready = Callable[..., None]
TOPICS = {"gold": "Gold rose in London", "Gold ": "Gold was fixed higher", "corn": "Corn fell in Chicago"}


def write_defects(path: Path) -> Path:
    """A CSV in Latin-1 whose columns have unusual names, with copies, an empty text and two spellings of a label."""
    rows = [f'"{text} on day {day}",news,{topic};metal' for day in range(20) for topic, text in TOPICS.items()]
    rows += [rows[0], rows[1], '"",news,gold', '"<b>Zürich</b> was quiet",news,corn;=cmd()']
    path.write_bytes("\n".join(["headline,topics,what", *rows]).encode("latin-1") + b"\n")
    return path


def test_a_file_with_defects_becomes_a_data_set(page: Page, address: str, tmp_path: Path, ready: Ready) -> None:
    page.goto(f"{address}/add_data")
    ready(page, "Add data", role="heading")
    expect(page.get_by_text("None yet.", exact=False)).to_be_visible()
    page.locator("input[type=file]").set_input_files(write_defects(tmp_path / "defects.csv"))
    ready(page, "What the columns are", role="heading")
    page.get_by_role("button", name="Remove topics").click()
    ready(page, "Choose the column that holds the text and the one that holds the labels.")
    page.get_by_role("combobox", name="Labels").click()
    page.get_by_role("option", name="what", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Check the file").click()
    ready(page, "Keep it", role="heading")
    for key, number in {"empty_texts": 1, "broken_encodings": 1, "duplicates": 2, "similar_labels": 1}.items():
        card = page.locator("[data-testid=stVerticalBlock]", has=page.locator(f".st-key-choice-{key}"))
        expect(card.last).to_contain_text(f": {number}")
    page.locator(".st-key-choice-duplicates").get_by_text("Leave out").click()
    page.locator(".st-key-choice-similar_labels").get_by_text("Merge").click()
    ready(page, "Copies of an earlier document: 2, left out.")
    page.get_by_role("button", name="Keep as a data set").click()
    ready(page, "62 documents with 4 labels are kept as 'defects'.")
    page.get_by_role("link", name="Open defects").click()
    ready(page, "Explorer", role="heading")
    page.get_by_role("tab", name="Long tail").click()
    ready(page, "Long tail", role="tab")
    page.get_by_role("tab", name="Documents").click()
    ready(page, "44 of 44 documents.")
    assert "data=defects" in page.url

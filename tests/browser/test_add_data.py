"""From a person's own file, as people have them, to its tail: what is read is shown, asked about, mended and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl
from playwright.sync_api import Page, expect

Ready = Callable[..., None]
TOPICS = {"gold": "Gold rose in London", "Gold ": "Gold was fixed higher", "corn": "Corn fell in Chicago"}


def write_defects(path: Path) -> Path:
    """A CSV in Latin-1 whose columns have unusual names, with copies, an empty text and two spellings of a label."""
    rows = [f'"{text} on day {day}",news,{topic};metal' for day in range(20) for topic, text in TOPICS.items()]
    rows += [rows[0], rows[1], '"",news,gold', '"<b>Zürich</b> was quiet",news,corn;=cmd()']
    path.write_bytes("\n".join(["headline,topics,what", *rows]).encode("latin-1") + b"\n")
    return path


def drop(page: Page, address: str, path: Path, ready: Ready) -> None:
    """Drops a file on the page; what its columns are is shown."""
    page.goto(f"{address}/add_data")
    ready(page, "Add data", role="heading")
    page.locator("input[type=file]").first.set_input_files(path)
    ready(page, "What the columns are", role="heading")


def expect_labels(page: Page, text: str, labels: list[str]) -> None:
    """Holds that a shown document has these labels, as read."""
    card = page.locator("[data-testid=stVerticalBlock]", has=page.get_by_text(text)).last
    expect(card.locator(".stMarkdownBadge")).to_have_text(labels)


def keep(page: Page, ready: Ready, sentence: str) -> None:
    """Checks the file and keeps it under the name that is proposed."""
    page.get_by_role("button", name="Check the file").click()
    ready(page, "Keep it", role="heading")
    page.get_by_role("button", name="Keep as a data set").click()
    ready(page, sentence)


def test_a_file_with_defects_becomes_a_data_set_and_a_plan_of_three_losses(
    page: Page, address: str, tmp_path: Path, ready: Ready
) -> None:
    page.goto(f"{address}/add_data")
    expect(page.get_by_text("None yet.", exact=False)).to_be_visible()
    drop(page, address, write_defects(tmp_path / "defects.csv"), ready)
    page.get_by_role("combobox", name="what").click()
    page.get_by_role("option", name="Labels", exact=True).click()
    ready(page, "As it is read", role="heading")
    page.get_by_role("combobox", name="topics").click()
    page.get_by_role("option", name="Not used", exact=True).click()
    ready(page, "As it is read", role="heading")
    expect_labels(page, "1: Gold rose in London on day 0", ["gold", "metal"])
    page.get_by_role("button", name="Check the file").click()
    ready(page, "Keep it", role="heading")
    for key, number in {"empty_texts": 1, "broken_encodings": 1, "duplicates": 2, "similar_labels": 1}.items():
        card = page.locator("[data-testid=stVerticalBlock]", has=page.locator(f".st-key-choice-{key}"))
        expect(card.last).to_contain_text(f": {number}")
    page.get_by_role("button", name="Apply what is advised").click()
    ready(page, "64 before")
    expect(page.get_by_text("Copies of an earlier document: 2, left out.", exact=False)).to_be_visible()
    # The upload survives leaving the page.
    page.get_by_role("link", name="Try it").click()
    ready(page, "Try it", role="heading")
    page.get_by_role("link", name="Add data").click()
    ready(page, "defects.csv is uploaded, not kept yet.")
    ready(page, "Keep it", role="heading")
    page.get_by_role("button", name="Keep as a data set").click()
    ready(page, "61 documents with 4 labels are kept as 'defects'.")
    # From its findings to the loss that suits it, and to the form that trains three.
    page.get_by_role("link", name="Open defects").click()
    ready(page, "Findings", role="heading")
    page.locator("summary", has_text="labels are in the tail").click()
    page.get_by_role("link", name="What each loss does to them").click()
    ready(page, "Loss weights", role="heading")
    page.locator("summary", has_text="Which loss for my data?").click()
    page.get_by_role("link", name="Train these three").click()
    ready(page, "Launch 9 runs", role="button", ticks=True)
    assert "data=defects" in page.url


def test_a_file_of_vectors_asks_for_names_and_is_kept_with_them(
    page: Page, address: str, tmp_path: Path, ready: Ready
) -> None:
    path = tmp_path / "vectors.csv"
    rows = [f'"Report number {day} of the week","{[int(day % k == 0) for k in (1, 2, 9)]}"' for day in range(30)]
    path.write_text("\n".join(["text,labels", *rows]) + "\n")
    drop(page, address, path, ready)
    expect(page.get_by_text("each cell holds 3 values, one for each label", exact=False)).to_be_visible()
    page.get_by_role("textbox", name="Names in their order").fill("markets\nmetal\nrare earths")
    page.keyboard.press("Control+Enter")
    ready(page, "As it is read", role="heading")
    expect_labels(page, "1: Report number 0 of the week", ["markets", "metal", "rare earths"])
    keep(page, ready, "30 documents with 3 labels are kept as 'vectors'.")
    page.get_by_role("link", name="Open vectors").click()
    ready(page, "Explorer", role="heading")
    page.get_by_role("tab", name="Long tail").click()
    ready(page, "Every label", role="heading")
    page.get_by_role("tab", name="Documents").click()
    ready(page, "21 of 21 documents.")
    assert "data=vectors" in page.url


def test_rows_of_one_label_each_are_documents_with_all_of_them(
    page: Page, address: str, tmp_path: Path, ready: Ready
) -> None:
    path = tmp_path / "long.csv"
    rows = [f"{day},Report number {day},{label}" for day in range(20) for label in ("gold", "corn")[: 1 + day % 2]]
    path.write_text("\n".join(["id,text,label", *rows]) + "\n")
    drop(page, address, path, ready)
    expect_labels(page, "1: Report number 1", ["gold", "corn"])
    keep(page, ready, "20 documents with 2 labels are kept as 'long'.")


def test_a_workbook_is_read_in_a_dark_theme(page: Page, address: str, tmp_path: Path, ready: Ready) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Title", "Abstract", "Topics"])
    for day in range(20):
        book.active.append([f"Day {day}", f"Gold rose on day {day}", "gold; metal" if day % 2 else "gold"])
    book.save(tmp_path / "topics.xlsx")
    page.emulate_media(color_scheme="dark")
    drop(page, address, tmp_path / "topics.xlsx", ready)
    expect_labels(page, "2: Day 1 Gold rose on day 1", ["gold", "metal"])
    keep(page, ready, "20 documents with 2 labels are kept as 'topics'.")

"""From the tables to one decision in a real browser, on the published runs on Reuters and one with its weights."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from core.system.places import ROOT
from tests.helpers.runs import until

SVM = "reuters-svm-s0-bd3198e17a"
SVM_NAME = "svm, seed 0 · reuters paper"
BCE = "reuters-tfidf-bce-s0-ac9547d439"

Ready = Callable[..., None]


@pytest.fixture(scope="module")
def results(reuters_folder: Path, published_cache: Path, published_address: str) -> tuple[Path, str]:
    """A cache with the published runs and `svm` trained anew, for its weights; and the server's address."""
    cache = published_cache
    environment = {"TAILSCOPE_CACHE": str(cache), "TAILSCOPE_DATA": str(reuters_folder)}
    published = ["--data", "reuters", "--model", "svm", "--seed", "0", "--set", "train.threshold=auto"]
    command = [sys.executable, "-m", "core", "train", *published]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True)
    assert (cache / "runs" / SVM / "model.safetensors").exists()
    return cache, published_address


def choose(page: Page, box: str, option: str) -> None:
    """Chooses an option of a list by its name."""
    field = page.get_by_role("combobox", name=box, exact=True)
    field.click()
    field.fill(option)
    page.get_by_role("option", name=option, exact=True).click()


def tick(page: Page, table: int, row: int = 0) -> None:
    """Chooses a row of a table of the page by the box on its left."""
    grid = page.get_by_test_id("stDataFrame").nth(table)
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 52 + 35 * row)


def cell(page: Page, table: int, column: int, row: int = 0) -> Locator:
    """A cell of a table of the page; column 0 is the box of its row where rows can be chosen."""
    return page.get_by_test_id("stDataFrame").nth(table).get_by_test_id(f"glide-cell-{column}-{row}")


def rows_of(page: Page, name: str) -> list[int]:
    """The rows of the first table whose name begins so."""
    drawn = [row for row in range(20) if cell(page, 0, 0, row).count()]
    return [row for row in drawn if re.match(name, cell(page, 0, 0, row).inner_text())]


def metric(page: Page, title: str) -> float:
    shown = page.get_by_test_id("stMetric").filter(has_text=title).get_by_test_id("stMetricValue").first
    return float(shown.inner_text())


def test_from_the_tables_to_the_words_of_one_decision(results: tuple[Path, str], page: Page, ready: Ready) -> None:
    cache, address = results
    page.goto(f"{address}/compare")
    ready(page, re.compile("^Table 2. F1 in percent over all labels and over head, medium and tail labels, test part;"))
    expect(page.get_by_text("Tail labels, macro-F1.")).to_be_visible()
    expect(cell(page, 0, 0, 1)).to_have_text(re.compile("svm.*×3"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown", exact=True).first.click()
    assert re.search(r"\|svm, mean of 3 seeds\|87\.90 ±1\.10\|", Path(download.value.path()).read_text("utf-8"))
    choose(page, "Difference from", "tfidf bce")
    ready(page, re.compile("^Table 2. Difference from tfidf bce in points"))
    row = until(lambda: rows_of(page, "tfidf db(?!-)"))[0]  # the caption is drawn before the table
    expect(cell(page, 0, 4, row)).to_have_text(re.compile(r"^12\.19"))  # on the tail

    page.get_by_test_id("stSidebar").get_by_test_id("stPageLink-NavLink").filter(has_text="Errors").click()
    ready(page, "Errors", role="heading")
    choose(page, "Run", SVM_NAME)
    page.get_by_role("radio", name="Confused pairs").click()
    ready(page, "Choose a pair to read the documents behind it.")
    search = page.get_by_label("Find a label", exact=True)
    search.fill("platinum")
    search.press("Enter")
    expect(cell(page, 0, 1)).to_have_text("platinum")
    expect(cell(page, 0, 2)).to_have_text("gold")
    tick(page, 0)
    ready(page, re.compile(r"^\d documents where platinum was missed and gold given or kept$"))
    expect(page).to_have_url(re.compile("missed=platinum&gave=gold"))
    before = cell(page, 0, 3).inner_text()
    expect(cell(page, 1, 3)).to_have_text(re.compile("platinum"))
    tick(page, 1)
    ready(page, re.compile("^Weight times TF-IDF of each word"))
    expect(page.get_by_test_id("stPlotlyChart").locator("svg").first).to_be_visible()

    given = metric(page, "labels a document")
    choose(page, "Thresholds", "my own")
    slider = page.get_by_role("slider", name="Predict a label above")
    expect(slider).to_be_visible()
    ready(page, "Errors", role="heading")
    for _ in range(6):
        slider.press("ArrowLeft")
    expect(cell(page, 0, 3)).not_to_have_text(before)
    ready(page, "Errors", role="heading")
    assert metric(page, "labels a document") > given
    fewer = int(cell(page, 0, 3).inner_text())
    assert 0 < fewer < int(before)
    ready(page, re.compile(f"^{fewer} documents? where platinum was missed and gold given or kept$"))

    page.get_by_test_id("stPopover").filter(has_text="Keep").get_by_role("button").click()
    page.get_by_label("Keep these thresholds as").fill("mine")
    page.get_by_label("Keep these thresholds as").press("Enter")
    page.get_by_role("button", name="Keep", exact=True).last.click()
    ready(page, "Kept as mine.")
    assert "mine" in (cache / "runs" / SVM / "thresholds.json").read_text("utf-8")
    expect(page).to_have_url(re.compile("at=mine"))
    page.goto(f"{address}/errors?run={SVM}&at=mine&view=Confused+pairs&label=platinum")
    ready(page, "Errors", role="heading")
    expect(cell(page, 0, 3)).to_have_text(str(fewer))


def click_dot(chart: Locator, colour: tuple[int, int, int]) -> None:
    """Clicks the rightmost dot of a colour on a chart."""
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas, svg").first).to_be_visible()

    def places() -> list[tuple[int, int]]:
        image = Image.open(io.BytesIO(chart.screenshot())).convert("RGB")
        inside = ((x, y) for x in range(1, image.width - 1) for y in range(1, image.height - 1))
        return [
            (x, y)
            for x, y in inside
            if all(image.getpixel((x + i, y + j)) == colour for i in (-1, 0, 1) for j in (-1, 0, 1))
        ]

    until(lambda: bool(places()), seconds=30)
    x, y = places()[-1]
    chart.click(position={"x": x, "y": y})


def test_a_threshold_is_moved_by_a_curve_kept_and_used(results: tuple[Path, str], page: Page, ready: Ready) -> None:
    cache, address = results
    page.goto(f"{address}/errors?run={SVM}&label=platinum")
    ready(page, "Choose a row of the table to see what other thresholds would do for that label.")
    before = cell(page, 0, 5).inner_text()
    tick(page, 0)
    ready(page, re.compile("^platinum on test: precision and recall at every threshold"))
    click_dot(page.get_by_test_id("stVegaLiteChart").nth(1), (0x4A, 0x72, 0xC4))
    ready(page, re.compile("^Moved by hand: platinum .* Chosen on test"))
    expect(cell(page, 0, 5)).not_to_have_text(before)

    page.get_by_test_id("stPopover").filter(has_text="Keep").get_by_role("button").click()
    page.get_by_label("Keep these thresholds as").fill("by the curve")
    page.get_by_label("Keep these thresholds as").press("Enter")
    page.get_by_role("button", name="Keep", exact=True).last.click()
    ready(page, "Kept as by the curve.")
    expect(page).to_have_url(re.compile("at=by(\\+|%20)the(\\+|%20)curve"))
    kept = json.loads((cache / "runs" / SVM / "thresholds.json").read_text("utf-8"))["by the curve"]
    assert kept["chosen_on"] == "test"
    assert len(set(kept["values"])) == 2

    page.goto(f"{address}/compare?runs={SVM}&runs={BCE}&decide=one+rule&rule=kept:by+the+curve")
    ready(page, re.compile("^Table 2. .*by the curve"))
    expect(cell(page, 0, 0, 1)).to_have_text(re.compile("svm.*one seed"))

    page.goto(f"{address}/try_it?runs={SVM}&by.{SVM}=by+the+curve")
    ready(page, "Try it", role="heading")
    field = page.get_by_label("Text", exact=True)
    field.fill("Platinum and gold output rose")
    field.press("Control+Enter")
    ready(page, re.compile("^Chosen on test"))

    page.goto(f"{address}/errors?run={SVM}&view=Trade-off")
    ready(page, "Save CSV", role="button")
    click_dot(page.get_by_test_id("stVegaLiteChart").nth(1), (0xB0, 0x5C, 0x8E))
    ready(page, "Save CSV", role="button")
    expect(page).to_have_url(re.compile("at="))


def test_a_run_travels_and_a_damaged_zip_leaves_nothing(
    results: tuple[Path, str], page: Page, ready: Ready, tmp_path: Path
) -> None:
    cache, address = results
    page.goto(f"{address}/errors?run={BCE}&view=Provenance")
    ready(page, "Export the run", role="button")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export the run").click()
    good, bad = tmp_path / "run.zip", tmp_path / "cut.zip"
    download.value.save_as(good)
    assert f"{BCE}/predictions.npz" in zipfile.ZipFile(good).namelist()
    bad.write_bytes(good.read_bytes()[:-500])
    there = {path.name for path in (cache / "runs").iterdir()}

    page.goto(f"{address}/compare")
    ready(page, "Compare", role="heading")
    page.get_by_text("Import a run", exact=True).click()
    for path, said in ((bad, "cut.zip is no intact zip of a run"), (good, f"Imported {BCE}.")):
        page.locator("input[type=file]").set_input_files(path)
        ready(page, path.name)
        page.get_by_role("button", name="Import", exact=True).click()
        ready(page, re.compile(said))
        assert {path.name for path in (cache / "runs").iterdir()} == there | ({BCE} if path == good else set())

"""From a doubt to a corrected set that is trained on, and a failing run that is launched right, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.analysis import errors
from core.labels.groups import Borders
from core.runs import folder, results
from core.runs.predictions import read_predictions
from core.system.files import read_json, write_json
from tests.browser.test_results import tick
from tests.helpers.runs import until

Ready = Callable[..., None]


@pytest.fixture(scope="module")
def cache(finished_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of `address`: finished runs on a small synthetic set, and one that diverged."""
    cache = tmp_path_factory.mktemp("verdicts") / "cache"
    shutil.copytree(finished_runs, cache)
    failed = cache / "runs" / "synthetic-tfidf-bce-s7-0123456789"
    shutil.copytree(run_of(cache, "tfidf"), failed)
    (failed / "metrics.json").unlink()
    advice = "Start a new run with train.learning_rate=0.5."
    status = {"state": "failed", "submitted": 1.0, "kind": "diverged", "reason": "The loss rose.", "advice": advice}
    write_json(failed / "status.json", status)
    return cache


@pytest.fixture(scope="module")
def address(cache: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    with serve(cache, TAILSCOPE_WORKER="tests.helpers.stub_worker") as found:
        yield found


def run_of(cache: Path, model: str) -> Path:
    """The finished run of a model that was there before any test began."""
    finished = (cache / "runs").glob(f"synthetic-{model}-*/metrics.json")
    return min(finished, key=lambda path: path.stat().st_mtime).parent


def test_a_document_is_judged_and_a_corrected_set_is_added(cache: Path, address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/errors?run={run_of(cache, 'tfidf').name}&view=Documents")
    ready(page, "Choose a document to read it, and to see why each label was given or not.")
    tick(page, 0)
    expect(page.get_by_text(re.compile("(short|above the threshold); [0-9,]+ training document"))).to_be_visible()
    expect(page.locator("mark").first).to_be_visible()
    page.get_by_role("radio", name="Label wrong").click()
    expect(page.get_by_role("radio", name="Label wrong")).to_be_checked()
    file = cache / "data" / "verdicts" / "synthetic.json"
    until(file.exists)
    (verdict,) = read_json(file)["verdicts"]
    assert verdict["verdict"] == "label"

    page.goto(f"{address}/errors?run={run_of(cache, 'tfidf').name}&view=Label+errors")
    page.get_by_role("button", name="Add a corrected set (1 label changed)").click()
    expect(page.get_by_text("Added as synthetic-corrected.")).to_be_visible()
    page.get_by_role("link", name="Train on it").click()
    ready(page, "Launch 1 run", role="button", ticks=True)
    page.get_by_role("button", name="Launch 1 run", exact=True).click()
    expect(page.get_by_role("button", name="Launch 0 runs", exact=True)).to_be_visible()
    found = list((cache / "runs").glob("synthetic-corrected-*"))
    assert len(found) == 1


def test_a_failed_run_is_launched_right_in_one_click(cache: Path, address: str, page: Page) -> None:
    page.goto(f"{address}/launcher?run=synthetic-tfidf-bce-s7-0123456789")
    expect(page.get_by_text("The loss rose.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume", exact=True)).to_have_count(0)
    before = {path.name for path in (cache / "runs").iterdir()}
    page.get_by_role("button", name="Launch with train.learning_rate = 0.5").click()
    expect(page.get_by_text("The loss rose.")).to_have_count(0)
    (new,) = {path.name for path in (cache / "runs").glob("[!.]*")} - before
    made = folder.read_folder(cache / "runs" / new)
    assert isinstance(made, folder.Run)
    assert made.config.train.learning_rate == 0.5


def test_a_doubted_label_is_judged_on_its_own_page(cache: Path, address: str, page: Page, ready: Ready) -> None:
    run = folder.as_run(folder.read_folder(run_of(cache, "tfidf")))
    found = results.read_results(run)
    borders = Borders(**found["borders"])
    doubts, _ = errors.label_error_table(read_predictions(run), found["labels"], found["counts"], borders, None)
    label = str(doubts["label"].iloc[0])
    page.goto(f"{address}/label?run={run.id}&name={label}&view=Doubts")
    ready(page, "Choose a row to read the document and judge for yourself.")
    tick(page, 0)
    expect(page.get_by_text(f"Your verdict on {label}")).to_be_visible()
    expect(page.get_by_text(re.compile("(short|above the threshold); [0-9,]+ training document"))).to_be_visible()
    page.get_by_role("radio", name="Model wrong").click()
    expect(page.get_by_role("radio", name="Model wrong")).to_be_checked()
    file = cache / "data" / "verdicts" / "synthetic.json"
    until(lambda: file.exists() and any(one["label"] == label for one in read_json(file)["verdicts"]))


def test_a_link_is_copied_and_a_view_is_added_to_the_report(
    cache: Path, address: str, page: Page, ready: Ready, tmp_path: Path
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/errors?run={run_of(cache, 'tfidf').name}&view=Map")
    ready(page, re.compile("^The labels that are confused most"))
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.get_by_role("button", name="Add this view to the report").click()
    expect(page.get_by_text("Added: Compare lists it under Report.")).to_be_visible()
    # Compare lists it, and saves the page that holds it.
    page.goto(f"{address}/compare?view=Cost")
    ready(page, "Report")
    page.get_by_text("Report", exact=True).click()
    expect(page.get_by_role("link", name="Errors: Confusion of the labels confused most")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the report").click()
    report = tmp_path / "report.html"
    download.value.save_as(report)
    assert report.stat().st_size < 2_000_000
    page.goto(report.as_uri())
    for width in (1100, 1440):
        for theme, ground in {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}.items():
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            expect(page.locator("body")).to_have_css("background-color", ground)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            expect(page.locator("figure.view svg")).to_have_count(1)

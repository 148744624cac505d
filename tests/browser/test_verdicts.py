"""From a doubt to a corrected set that is trained on, and a failing run that is launched right, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.runs import folder
from core.system.files import read_json, write_json
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
    return next((cache / "runs").glob(f"synthetic-{model}-*"))


def test_a_document_is_judged_and_a_corrected_set_is_added(cache: Path, address: str, page: Page, ready: Ready) -> None:
    page.goto(f"{address}/errors?run={run_of(cache, 'tfidf').name}&view=Documents")
    ready(page, "Choose a document to read it, and to see why each label was given or not.")
    grid = page.get_by_test_id("stDataFrame").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 52)
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

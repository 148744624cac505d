"""Two rows of Compare are marked and combined in a real browser, and the result is read on Errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.runs.folder import list_runs
from tests.browser.test_results import tick
from tests.helpers.scored import make_run


def test_two_marked_rows_are_combined_and_the_result_is_read(
    page: Page,
    ready: Callable[..., None],
    serve: Callable[..., AbstractContextManager[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "combining"))
    for loss in ("bce", "cb", "db"):
        make_run(loss)
    with serve(tmp_path / "combining") as address:
        page.goto(f"{address}/compare?view=Cost")
        ready(page, "Combine rows")
        page.get_by_text("Combine rows").click()
        button = page.get_by_role("button", name="Combine marked rows")
        expect(button).to_be_disabled()
        # The first table of the page is that of the cost.
        for row in (0, 2):
            tick(page, 1, row)
        expect(button).to_be_enabled()
        page.get_by_role("textbox", name="Name").fill("two losses")
        page.get_by_role("textbox", name="Name").press("Enter")
        button.click()
        ready(page, "Open it on Errors", role="link")
        (made,) = [run for run in list_runs() if run.config.combined]
        assert made.about.name == "two losses"
        assert made.config.combined is not None
        assert [member.split("-")[2] for member in made.config.combined.members] == ["bce", "db"]
        page.get_by_role("link", name="Open it on Errors").click()
        ready(page, "Errors", role="heading")
        expect(page.get_by_text(f"python -m core combine {made.config.combined.members[0]}").first).to_be_visible()

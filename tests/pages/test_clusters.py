"""The Launcher where a cluster is named: it says what the cluster has, and submits there."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import clusters, launch
from core.runs.folder import list_runs
from core.runs.plan import make_config
from core.system.files import read_json
from tests.helpers.cluster_server import serve_cluster
from tests.helpers.drawn import open_page, words


def said(page: AppTest) -> str:
    """Its words, without what keeps an address from being a link."""
    return words(page).replace("\u2060", "")


def test_the_launcher_says_what_a_cluster_has_and_submits_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_ENGINE", "ray")
    with serve_cluster() as server:
        monkeypatch.setenv("TAILSCOPE_RAY_ADDRESS", server.address)
        page = open_page("launcher", data="synthetic")
        assert f"Ray at {server.address} has 1 node, 4 cores, 1 GPU, 0 unfinished jobs." in said(page)
        page.button(key="launch").click().run()
        (run,) = list_runs()
        assert (run.state, run.device) == ("queued", "ray")
        assert read_json(run.path / "engine.json")["where"] == server.address
        assert not page.exception


def test_a_cluster_that_does_not_answer_is_said_on_the_page_and_by_its_runs(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILSCOPE_ENGINE", "ray")
    with serve_cluster() as server:
        monkeypatch.setenv("TAILSCOPE_RAY_ADDRESS", server.address)
        run = launch.submit(make_config(data="synthetic", model="tfidf", loss="bce", seed=3), engine="ray")
    clusters.ask_clusters(at_once=True)
    page = open_page("launcher", data="synthetic", run=run.id)
    assert f"The Ray cluster at {server.address} does not answer" in said(page)
    assert "The cluster does not answer since" in said(page)
    page.button(key="launch").click().run()
    assert "does not answer" in page.error[0].value
    assert [one.id for one in list_runs()] == [run.id]

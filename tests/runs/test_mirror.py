"""Runs on a store: what one side writes is what the other reads, whenever either is cut off."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import SplitConfig
from core.data import sources
from core.data.readers import guess
from core.runs import journal, mirror
from core.runs.folder import get_folder, run_path
from core.runs.plan import make_config
from core.system.errors import UserError
from core.system.files import write_json
from core.system.store import StoreSilent, find_store
from tests.helpers.laws import law
from tests.helpers.runs import make_folder
from tests.helpers.s3 import CREDENTIALS, serve_s3


@pytest.fixture(scope="module")
def s3():
    """The address of a server that speaks S3."""
    with serve_s3() as address:
        yield address


@pytest.fixture
def credentials(monkeypatch, s3):
    """Those of the test's S3, and no others."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["folder", "s3"])
def store(request, monkeypatch, tmp_path):
    """A store that is a folder, and one that is a bucket."""
    if request.param == "folder":
        monkeypatch.setenv("TAILSCOPE_STORE", f"file://{tmp_path / 'store'}")
        return find_store()
    request.getfixturevalue("credentials")
    monkeypatch.setenv("TAILSCOPE_STORE", f"s3://bucket-{tmp_path.name.replace('_', '-')}/runs"[:60])
    opened = find_store()
    opened.files.mkdir(opened.root.partition("/")[0])
    return opened


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Goes to another machine, which has a cache of its own."""

    def go(name):
        monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / name))

    go("page")
    return go


def make_run(seed=0):
    small = ["data.synthetic.documents=300", "data.synthetic.labels=8"]
    return make_folder(make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=small))


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def work(path, lines=1, checkpoints=()):
    """What a worker on a node writes."""
    journal.update_status(path, state="running", started=1.0)
    for _ in range(lines):
        journal.append_history(path, {"epoch": 1, "step": 1})
    shutil.rmtree(path / "checkpoint", ignore_errors=True)
    for name in checkpoints:
        folder = path / "checkpoint" / name
        folder.mkdir(parents=True)
        write_json(folder / "state.json", {})


def test_what_a_node_writes_is_read_elsewhere_and_the_request_to_stop_is_heard(store, machine):
    path = make_run()
    journal.append_event(path, "submitted")
    mirror.send_run(store, path)
    machine("node")
    node = run_path(path.name)
    sent = mirror.fetch_run(store, node)
    assert contents(node) == contents(path)
    work(node, checkpoints=["00001-0000005"])
    journal.append_event(node, "started")
    (node / "about.json").write_text("{}")
    mirror.send_work(store, node, sent)
    assert not mirror.is_asked_to_stop(store, node)
    machine("page")
    journal.append_event(path, "stop asked")
    (path / "stop").touch()
    mirror.ask_to_stop(store, path)
    assert mirror.is_asked_to_stop(store, node)
    mirror.receive_run(store, path)
    assert journal.read_status(path)["state"] == "running"
    assert [event["what"] for event in journal.read_events(path)] == ["submitted", "started", "stop asked"]
    assert not (path / "checkpoint").exists()
    assert not (path / "about.json").exists()
    mirror.receive_run(store, path, checkpoints=True)
    assert [place.name for place in (path / "checkpoint").iterdir()] == ["00001-0000005"]


def share(store, config, machine):
    """Sends a data set, and loads it on a machine that has nothing; its fingerprint here and there."""
    here = sources.load(config).fingerprint
    mirror.send_data(store, sources.files_to_share(config))
    machine("node")
    mirror.fetch_data(store, config.name)
    return here, sources.load(config).fingerprint


def test_a_set_of_ones_own_comes_to_the_node_as_it_is(store, machine, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("text,labels\n" + "".join(f"word {row} and more,{'ab'[row % 2]}\n" for row in range(40)), "utf-8")
    sources.add("mine", file, guess(file), SplitConfig(made="random"))
    config = sources.default_config("mine")
    here, there = share(store, config, machine)
    assert here == there
    mirror.send_data(store, sources.files_to_share(config))  # what is there is not sent again, and nothing is amiss


@pytest.mark.reuters
def test_an_archive_comes_to_the_node_with_what_was_prepared_of_it(
    monkeypatch, machine, reuters_cache, reuters_dir, tmp_path
):
    monkeypatch.setenv("TAILSCOPE_STORE", f"file://{tmp_path / 'store'}")
    monkeypatch.setenv("TAILSCOPE_CACHE", str(reuters_cache))
    store, config = find_store(), sources.default_config("reuters")
    shared = sources.files_to_share(config)
    assert "downloads/reuters/reuters21578.tar.gz" in shared
    mirror.send_data(store, shared)
    machine("node")
    monkeypatch.delenv("TAILSCOPE_DATA")
    mirror.fetch_data(store, "reuters")
    monkeypatch.setattr(sources, "_prepare", lambda *_: pytest.fail("it is prepared once, not on every node"))
    assert len(sources.load(config).labels) == 90


def test_a_node_sends_only_what_has_changed_and_takes_away_what_is_gone(store, machine, monkeypatch):
    path = make_run()
    mirror.send_run(store, path)
    machine("node")
    node = run_path(path.name)
    sent = mirror.fetch_run(store, node)
    work(node, checkpoints=["00001-0000005", "00001-0000009"])
    put, real = [], type(store).put

    def noted(self, file, name):
        put.append(name)
        real(self, file, name)

    monkeypatch.setattr(type(store), "put", noted)
    home = f"runs/{node.name}"
    mirror.send_work(store, node, sent)
    assert put[-1] == f"{home}/status.json", "a status comes after the files that it speaks of"
    assert put.index(f"{home}/history.jsonl") < put.index(f"{home}/checkpoint/00001-0000009/state.json")
    put.clear()
    mirror.send_work(store, node, sent)
    assert put == []
    shutil.rmtree(node / "checkpoint" / "00001-0000005")
    mirror.send_work(store, node, sent)
    assert sorted(name for name in store.list_objects(home) if name.startswith("checkpoint")) == [
        "checkpoint/00001-0000009/state.json"
    ]


def test_another_node_goes_on_with_what_the_first_has_sent_and_nothing_else(store, machine):
    path = make_run()
    mirror.send_run(store, path)
    machine("node")
    node = run_path(path.name)
    sent = mirror.fetch_run(store, node)
    work(node, checkpoints=["00001-0000005"])
    mirror.send_work(store, node, sent)
    before = contents(node)
    work(node, lines=3, checkpoints=["00001-0000009"])  # the node dies before it sends this
    mirror.fetch_run(store, node)
    assert contents(node) == before


def test_a_run_of_another_machine_comes_whole_and_what_is_deleted_is_no_run(store, machine):
    path = make_run()
    mirror.send_run(store, path)
    machine("elsewhere")
    assert mirror.list_run_ids(store) == [path.name]
    mirror.receive_run(store, run_path(path.name))
    assert get_folder(path.name).config == make_config(
        data="synthetic",
        model="tfidf",
        loss="bce",
        seed=0,
        changes=["data.synthetic.documents=300", "data.synthetic.labels=8"],
    )
    mirror.forget_run(store, path.name)
    assert store.list_objects(f"runs/{path.name}") == {}
    for bring in (mirror.receive_run, mirror.fetch_run):
        with pytest.raises(UserError, match="has no run"):
            bring(store, run_path(path.name))
    assert get_folder(path.name).config.seed == 0, "what is here stays"


@law(25)
@given(st.lists(st.sampled_from(["node", "send", "page", "receive"]), max_size=12))
def test_events_of_both_sides_are_kept_once_and_in_order(steps):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("TAILSCOPE_STORE", f"file://{folder}/store")
        patch.setenv("TAILSCOPE_CACHE", f"{folder}/cache")
        store, sent, written = find_store(), {}, []
        page, node = Path(folder, "page", "a-run"), Path(folder, "node", "a-run")
        for place in (page, node):
            place.mkdir(parents=True)
            (place / "config.json").touch()
        mirror.send_run(store, page)
        for step in [*steps, "send", "receive"]:
            if step in ("page", "node"):
                written.append(f"{step} {len(written)}")
                journal.append_event(page if step == "page" else node, written[-1])
            elif step == "send":
                mirror.send_work(store, node, sent)
            else:
                mirror.receive_run(store, page)
        assert [event["what"] for event in journal.read_events(page)] == written


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("bucket/folder", "write a folder such as s3://bucket/folder"),
        ("s3://key:secret@bucket/runs", "never in the address"),
        ("https://example.org/runs", "write a folder such as"),
        ("s3://bucket/../other", "write a folder such as"),
        ("simplecache::s3://bucket", "write a folder such as"),
        ("gs://bucket/runs", "gcsfs is not installed"),
    ],
)
def test_an_address_that_is_none_is_one_sentence(monkeypatch, named, words):
    monkeypatch.setenv("TAILSCOPE_STORE", named)
    with pytest.raises(UserError, match=words):
        find_store()


def test_a_store_that_cannot_be_written_loses_nothing(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILSCOPE_STORE", f"file://{tmp_path / 'store'}")
    (tmp_path / "store").write_text("a file where the folder should be")
    path = make_run()
    with pytest.raises(StoreSilent, match=r"The store file://.* cannot be written"):
        mirror.send_run(find_store(), path)
    assert get_folder(path.name).config.seed == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no credentials were found on this machine"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ({}, "bucket does not exist"),
    ],
)
def test_a_bucket_that_cannot_be_had_is_one_sentence(credentials, monkeypatch, tmp_path, machine, change, words):
    for name, value in change.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TAILSCOPE_STORE", f"s3://nobody-{words[:2].lower()}/runs")
    path = make_run()
    with pytest.raises(StoreSilent, match=rf"The store s3://.*{words}"):
        mirror.send_run(find_store(), path)

"""What every test stands on: a cache of its own, no real data unless asked for, and a small synthetic corpus."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: tests ask no hub

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from core.config.schema import DataConfig, SyntheticConfig
from core.data import sources
from core.data.corpus import Corpus
from core.jobs import launch
from core.runs import layout, plan
from core.runs.folder import list_folders
from core.system.errors import UserError
from core.system.files import read_json, write_json
from core.system.locks import locked
from core.system.places import ROOT
from tests.helpers.laws import law
from tests.helpers.runs import execute

FINISHED = {
    "svm": [],
    "tfidf": ["train.epochs=3", "model.hidden=0"],
    "textcnn": ["train.epochs=2", "model.embedding=12", "model.filters=6", "model.max_length=24"],
}
"""Settings of the runs that `finished_runs` trains, by model."""
DATA = os.environ.get("TAILSCOPE_DATA") or str(ROOT.parent / "shared" / "data")
"""Folders of real data sets, as they were named when the tests started."""

settings.register_profile("tailscope", law(100))
settings.load_profile("tailscope")


FIRST = ("browser", "trainer", "jobs", "cli", "losses", "pages", "runs", "metrics")
"""Folders whose tests take longest: they begin first, so that all processes end together."""
OWN_SERVERS = ("test_add_data", "test_combine", "test_group", "test_journeys", "test_runs", "test_verdicts")
"""Journeys that look at no published run: they have a browser of their own beside that of the others."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file run in one process, and so does each half of the journeys, in one browser.

    The trainer's tests are long: each is on its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/trainer/"):
            return nodeid
        file = nodeid.split("::", 1)[0]
        return f"browser-{Path(file).stem in OWN_SERVERS}" if nodeid.startswith("tests/browser/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest folders first."""
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(FIRST)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own; real data sets are out of sight."""
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TAILSCOPE_DATA", raising=False)
    monkeypatch.delenv("TAILSCOPE_REUTERS_URL", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def no_worker_outlives_its_test() -> Iterator[None]:
    """Stops what still runs when a test is over."""
    yield
    for run in list_folders():
        with suppress(UserError):  # it has ended
            launch.stop(run.id, grace=1)


@pytest.fixture
def stub_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test submits is worked on by `tests.helpers.stub_worker`, which has no torch and does not train."""
    monkeypatch.setenv(layout.WORKER_VARIABLE, "tests.helpers.stub_worker")


@pytest.fixture
def real_worker(stub_worker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test submits is trained, also where the other tests of its file have a stub."""
    monkeypatch.delenv(layout.WORKER_VARIABLE)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The test's own folder; where it is to be `opened` not in pytest's, which closes it whenever a session begins."""
    if "opened" not in request.fixturenames:
        yield tmp_path
        return
    with TemporaryDirectory(prefix="tailscope-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """The test's own folder, which anybody on the machine may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="session")
def reuters_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of data sets that holds Reuters-21578; skips where there is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(tmp_path_factory.mktemp("empty")))
        for folder in DATA.split(os.pathsep):
            patch.setenv("TAILSCOPE_DATA", folder)
            if sources.default_name() == "reuters":
                return Path(folder)
    pytest.skip(f"Reuters-21578 is not in {DATA}: name its folder in TAILSCOPE_DATA")


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Gives a cache by its name, filled by whichever of the processes of this session asks first; never write into it.

    `make_once(name, fill)` calls `fill` where `TAILSCOPE_CACHE` is that cache and no real data are in sight.
    """
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # one of several processes of xdist, whose folders stand side by side
        shared = shared.parent

    def made(name: str, fill: Callable[[], object]) -> Path:
        cache, unfinished = shared / name, shared / f"{name}.new"
        with locked(shared / f"{name}.lock"), pytest.MonkeyPatch.context() as patch:
            if not cache.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                patch.setenv("TAILSCOPE_CACHE", str(unfinished))
                patch.delenv("TAILSCOPE_DATA", raising=False)
                fill()
                unfinished.rename(cache)
        return cache

    return made


@pytest.fixture(scope="session")
def reuters_cache(reuters_folder: Path, make_once: Callable[..., Path]) -> Path:
    """A cache that holds the prepared copy of Reuters."""

    def fill() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TAILSCOPE_DATA", str(reuters_folder))
            sources.load(DataConfig(name="reuters"))

    return make_once("reuters", fill)


@pytest.fixture(scope="session")
def pubmed_file() -> Path:
    """The sample of PubMed in BioASQ's layout; skips where there is none."""
    for folder in DATA.split(os.pathsep):
        if found := sorted(Path(folder).glob("**/allMeSH_sample.json.gz")):
            return found[0]
    pytest.skip(f"allMeSH_sample.json.gz is not in {DATA}: name its folder in TAILSCOPE_DATA")


@pytest.fixture
def reuters_dir(reuters_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of data sets that holds Reuters-21578, in sight of the test."""
    monkeypatch.setenv("TAILSCOPE_DATA", str(reuters_folder))
    return reuters_folder


@pytest.fixture(scope="session")
def reuters(reuters_cache: Path, reuters_folder: Path) -> Corpus:
    """Reuters-21578, split `paper`, read once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(reuters_cache))
        patch.setenv("TAILSCOPE_DATA", str(reuters_folder))
        return sources.load(DataConfig(name="reuters"))


@pytest.fixture(scope="session")
def synthetic_config() -> DataConfig:
    """A synthetic corpus of 400 documents and 12 labels, as settings."""
    return DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=400, labels=12))


@pytest.fixture(scope="session")
def synthetic(synthetic_config: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """`synthetic_config`, made once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(tmp_path_factory.mktemp("synthetic")))
        return sources.load(synthetic_config)


@pytest.fixture(scope="session")
def finished_runs(synthetic_config: DataConfig, make_once: Callable[..., Path]) -> Path:
    """A cache with a finished run of each model of `FINISHED` on `synthetic_config`: copy it, never write into it."""

    def fill() -> None:
        for model, changes in FINISHED.items():
            loss = None if model == "svm" else "db"
            made = plan.make_config(data="synthetic", model=model, loss=loss, seed=0, changes=changes)
            run = execute(made.model_copy(update={"data": synthetic_config}))
            assert run.state == "finished", run.reason

    return make_once("finished-runs", fill)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real, very small BERT: two layers of 16 units, weights by chance, the packaged tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from core.models.tokens import PACKAGED, encoder_source

    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = AutoTokenizer.from_pretrained(encoder_source(PACKAGED))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **small)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def steady_encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `tiny_encoder` that drops no units out, so that it reads a document the same at every time."""
    folder = shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("steady") / "encoder")
    write_json(folder / "config.json", read_json(folder / "config.json") | {"hidden_dropout_prob": 0.0})
    return folder

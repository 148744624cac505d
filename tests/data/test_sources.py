"""Finding, preparing, opening and fetching data sets."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import DataConfig, SyntheticConfig
from core.data import download
from core.data.added import find_files
from core.data.corpus import PARTS, Corpus
from core.data.readers import Record, read_reuters_sgml
from core.data.reuters import NAMES, SPLITS
from core.data.sources import COPY_WAS_DAMAGED, available, default_name, load, why_default
from core.system.errors import UserError
from core.system.places import ROOT
from tests.helpers.laws import law
from tests.helpers.writers import EXAMPLES, write_archive, write_nltk_folder, write_nltk_zip, write_sgml_folder

SMALL = SyntheticConfig(documents=60, labels=6, words=8)
ORIGINAL = DataConfig(name="reuters", split="original")
REAL_SHA256 = download.REUTERS_SHA256


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that TAILSCOPE_DATA names."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("TAILSCOPE_DATA", str(path))
    return path


def synthetic_of(config: SyntheticConfig, split: str = "paper") -> Corpus:
    return load(DataConfig(name="synthetic", split=split, synthetic=config))


def prepared_folders(cache: Path) -> list[Path]:
    return [path for path in cache.joinpath("data").iterdir() if path.is_dir() and path.name != "sources"]


# Reuters-21578 itself.


@pytest.mark.reuters
def test_reuters_original_has_the_known_sizes(reuters_dir: Path, reuters_cache: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TAILSCOPE_CACHE", str(reuters_cache))
    corpus = load(ORIGINAL)
    assert {part: len(rows) for part, rows in corpus.parts.items()} == {"train": 7770, "validation": 0, "test": 3019}
    assert len(corpus.labels) == 90
    assert corpus.targets_of("train").nnz / 7770 == pytest.approx(1.2336, abs=5e-5)
    of_test = np.diff(corpus.targets_of("test").indptr)
    assert ((of_test == 1).sum(), (of_test > 1).sum()) == (2583, 436)
    assert (corpus.labels[0], corpus.counts.max(), corpus.counts.min()) == ("earn", 2877, 1)
    assert corpus.notes == ()
    assert str(reuters_dir) in corpus.source


@pytest.mark.reuters
def test_split_paper_gives_every_figure_that_the_authors_print(reuters: Corpus) -> None:
    assert {part: len(rows) for part, rows in reuters.parts.items()} == {
        "train": 6769,
        "validation": 1000,
        "test": 3019,
    }
    quantiles = np.quantile(reuters.counts, [0.25, 0.33, 0.5, 0.66, 0.75])
    assert quantiles == pytest.approx([5, 9, 17.5, 33.74, 59.75], abs=1e-9)
    head, tail = reuters.counts >= 35, reuters.counts <= 8
    assert (head.sum(), (~head & ~tail).sum(), tail.sum()) == (30, 31, 29)
    used = np.concatenate(list(reuters.parts.values()))
    assert reuters.ids[np.setdiff1d(np.arange(len(reuters.ids)), used)].tolist() == ["1514"]
    assert any("1514" in note and "7,769" in note for note in reuters.notes)


@pytest.mark.reuters
def test_the_texts_of_reuters_are_clean(reuters: Corpus) -> None:
    row = reuters.ids.tolist().index("1")
    assert len(reuters.titles[row]) == 18
    assert hashlib.sha256(reuters.text(row).encode()).hexdigest().startswith("1270b566570f901b")
    assert reuters.labels[reuters.targets[[row]].indices[0]] == "cocoa"
    texts = list(reuters.texts(range(len(reuters.ids))))
    assert all(texts)
    assert not any(mark in text for text in texts for mark in ("&lt;", "&#", "\x03", "</", "\r"))
    assert not any("\n" in title for title in reuters.titles)


@pytest.mark.slow
@pytest.mark.reuters
def test_the_nltk_copy_of_reuters_has_the_same_documents_in_the_same_parts(
    reuters: Corpus, reuters_dir: Path, folder: Path
) -> None:
    archive = next(reuters_dir.rglob("reuters21578.tar.gz"))
    used = [record for record in read_reuters_sgml(archive) if record.part != "unused" and record.id != "1514"]
    kept = [
        replace(record, labels=labels)
        for record in used
        if (labels := tuple(label for label in record.labels if label in reuters.labels))
    ]
    write_nltk_zip(folder / "reuters.zip", sorted(kept, key=lambda record: record.id))
    corpus = load(DataConfig(name="reuters-nltk"))
    assert corpus.labels == reuters.labels
    for part, rows in reuters.parts.items():
        assert corpus.ids[corpus.parts[part]].tolist() == reuters.ids[rows].tolist()
        assert (corpus.targets_of(part) != reuters.targets_of(part)).nnz == 0
    assert corpus.notes == ()


# A corpus.


@given(
    config=st.builds(SyntheticConfig, documents=st.integers(20, 80), labels=st.integers(2, 30), words=st.just(5)),
    split=st.sampled_from(SPLITS),
)
@law(25)
def test_laws_of_a_corpus(config: SyntheticConfig, split: str) -> None:
    corpus = synthetic_of(config, split)
    assert corpus.targets.shape == (config.documents, config.labels) == (len(corpus.ids), len(corpus.labels))
    assert corpus.counts.tolist() == corpus.targets_of("train").sum(axis=0).tolist()
    by_count = [(-count, label) for count, label in zip(corpus.counts.tolist(), corpus.labels, strict=True)]
    assert by_count == sorted(by_count)
    rows = np.concatenate([corpus.parts[part] for part in PARTS])
    assert sorted(rows.tolist()) == list(range(config.documents))
    assert all(np.all(np.diff(part) > 0) for part in corpus.parts.values())
    train = config.documents - len(corpus.parts["test"])
    assert len(corpus.parts["validation"]) == (0 if split == "original" else round(train * 1000 / 7769))
    if config.labels <= len(corpus.parts["train"]):
        assert corpus.counts.min() >= 1
    for row in (0, config.documents - 1):
        assert corpus.text(row) == f"{corpus.titles[row]}\n{corpus.bodies[row]}"


def test_texts_are_a_sequence(synthetic: Corpus) -> None:
    titles = synthetic.titles
    listed = list(titles)
    assert len(titles) == len(listed) == 400
    assert titles[-1] == listed[-1]
    assert titles[5:9] == listed[5:9]
    assert titles[::-100] == listed[::-100]
    assert titles[np.int64(3)] == listed[3]
    assert list(synthetic.texts(np.array([3, 1]))) == [synthetic.text(3), synthetic.text(1)]
    for row in (400, -401):
        with pytest.raises(IndexError):
            titles[row]


def test_a_later_load_is_the_same_corpus_from_mapped_files(cache: Path) -> None:
    first, second = synthetic_of(SMALL), synthetic_of(SMALL)
    assert first.fingerprint == second.fingerprint
    assert first.labels == second.labels
    assert (first.targets != second.targets).nnz == 0
    assert list(first.titles) == list(second.titles)
    assert len(prepared_folders(cache)) == 1
    mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    assert any(path.startswith(str(cache)) and path.endswith("bodies.bin") for path in mapped)


def test_texts_that_were_released_are_read_again_and_hold_no_memory_until_then(cache: Path) -> None:
    corpus = load(DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=2000, words=80)))

    def resident() -> int:
        """Bytes of the file of bodies that this process has in memory."""
        mine = prepared_folders(cache)[0] / "bodies.bin"
        return sum(one.rss for one in psutil.Process().memory_maps() if one.path == str(mine))

    before = [corpus.text(row) for row in range(2000)]
    held = resident()
    assert held > 500_000
    corpus.release_texts()
    assert resident() < held / 10
    assert [corpus.text(row) for row in range(2000)] == before


def test_fingerprints_tell_splits_and_settings_apart() -> None:
    others = [{"seed": 1}, {"words": 9}, {"cardinality": 2.0}, {"labels": 7}, {"documents": 61}, {"zipf": 1.0}]
    corpora = [synthetic_of(SMALL), synthetic_of(SMALL, "original")]
    corpora += [synthetic_of(SMALL.model_copy(update=other)) for other in others]
    assert len({corpus.fingerprint for corpus in corpora}) == 8
    assert all(len(corpus.fingerprint) == 64 for corpus in corpora)


def test_small_reuters_keeps_topics_of_both_parts_and_says_that_it_is_not_the_usual_one(folder: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    corpus = load(ORIGINAL)
    assert corpus.ids.tolist() == [
        "3",
        "7",
        "10",
        "12",
    ]  # ascending; without unused 5, without 9, whose topic test has not
    assert corpus.labels == ("corn", "gold", "grain")
    assert corpus.counts.tolist() == [1, 1, 1]
    assert corpus.targets.toarray().tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 1]]
    (note,) = corpus.notes
    assert note.startswith("This copy of Reuters-21578 has 2 train and 2 test documents instead of 7,770 and 3,019:")


def test_the_archive_and_the_folder_are_the_same_corpus(folder: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    archived = load(ORIGINAL)
    folder.joinpath("reuters21578.tar.gz").unlink()
    write_sgml_folder(folder, EXAMPLES, per_file=2)
    assert load(ORIGINAL).fingerprint == archived.fingerprint


def test_a_document_that_stands_twice_is_refused(folder: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", [*EXAMPLES, EXAMPLES[2]])
    with pytest.raises(UserError, match=r"reuters21578\.tar\.gz holds document 12 twice"):
        load(ORIGINAL)


def test_no_topic_in_both_parts_is_refused(folder: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", [record for record in EXAMPLES if record.part != "test"])
    with pytest.raises(UserError, match="no topic with a document in both train and test"):
        load(ORIGINAL)


def test_progress_rises_to_one(folder: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    for config in (
        ORIGINAL,
        DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=3000, labels=5, words=5)),
    ):
        seen: list[tuple[str, float]] = []
        load(config, progress=lambda *step, seen=seen: seen.append(step))
        fractions = [fraction for _, fraction in seen]
        assert len(seen) > 1
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] <= fractions[-1] == 1.0
        assert all(words for words, _ in seen)


# The prepared copy.


def test_an_unchanged_source_is_not_read_again_and_a_changed_one_is(folder: Path, cache: Path) -> None:
    archive = write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    first, state = load(ORIGINAL), archive.stat()
    archive.write_bytes(b"\0" * state.st_size)  # would be refused if it were read
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load(ORIGINAL).fingerprint == first.fingerprint
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(UserError, match="damaged"):
        load(ORIGINAL)
    write_archive(archive, [replace(record, title="ANOTHER") for record in EXAMPLES])
    assert load(ORIGINAL).fingerprint != first.fingerprint
    assert len(prepared_folders(cache)) == 2


def test_a_source_that_moved_is_not_prepared_again(folder: Path, cache: Path) -> None:
    write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    load(ORIGINAL)
    folder.joinpath("reuters21578").mkdir()
    moved = shutil.move(folder / "reuters21578.tar.gz", folder / "reuters21578" / "reuters21578.tar.gz")
    assert str(moved) in load(ORIGINAL).source
    assert len(prepared_folders(cache)) == 1


@pytest.mark.parametrize("layout", ["folder", "sgml"])
def test_changed_files_of_a_folder_are_noticed(folder: Path, layout: str) -> None:
    more = [*EXAMPLES, Record("99", "MORE", "More.", ("gold",), "train")]
    if layout == "sgml":
        config, write = ORIGINAL, lambda records: write_sgml_folder(folder / "reuters21578", records)
    else:
        config = DataConfig(name="reuters-nltk", split="original")
        write = lambda records: write_nltk_folder(folder / "reuters", records)  # noqa: E731
    write(EXAMPLES)
    before = load(config)
    write(more)
    after = load(config)
    assert before.fingerprint != after.fingerprint
    assert after.ids.tolist() == [*before.ids.tolist(), "99"]


FILES = [
    "manifest.json",
    "titles.bin",
    "titles.npy",
    "bodies.bin",
    "bodies.npy",
    "indptr.npy",
    "indices.npy",
    "ids.npy",
    "parts.npy",
]


@pytest.mark.parametrize(
    ("file", "damage"),
    [(file, damage) for file in FILES for damage in ("gone", "cut", "grown")]
    + [(file, "overwritten") for file in FILES if not file.endswith(".bin")],
)
def test_a_damaged_prepared_copy_is_made_anew_and_said(cache: Path, file: str, damage: str) -> None:
    before = synthetic_of(SMALL)
    (folder,) = prepared_folders(cache)
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        kept = {"cut": content[: len(content) // 2], "grown": content + b"x", "overwritten": b"\xff" * len(content)}
        path.write_bytes(kept[damage])
    after = synthetic_of(SMALL)
    assert after.fingerprint == before.fingerprint
    assert list(after.titles) == list(before.titles)
    assert after.notes == (COPY_WAS_DAMAGED,)
    assert synthetic_of(SMALL).notes == ()


def test_what_a_killed_process_left_is_removed(cache: Path) -> None:
    synthetic_of(SMALL)
    (folder,) = prepared_folders(cache)
    left = folder.rename(folder.with_name(f".{folder.name}.killed"))
    corpus = synthetic_of(SMALL)
    assert prepared_folders(cache) == [folder]
    assert not left.exists()
    assert corpus.notes == ()


LOAD = """
import sys
from core.config.schema import DataConfig, SyntheticConfig
from core.data.sources import load
from core.system.errors import UserError
seen = []
config = DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=20_000, labels=50))
try:
    corpus = load(config, progress=lambda words, fraction: seen.append(words))
    print("preparing documents" in seen, corpus.fingerprint)
except UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_two_processes_prepare_once(cache: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", LOAD], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = [process.communicate(timeout=120)[0].split() for process in started]
    assert sorted(prepared for prepared, _ in answers) == ["False", "False", "True"]
    assert len({fingerprint for _, fingerprint in answers}) == 1
    assert len(prepared_folders(cache)) == 1


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_sentence_and_leaves_nothing(cache: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n{LOAD}"
    said = subprocess.run([sys.executable, "-c", limited], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.startswith(
        f"The prepared copy of 'synthetic' cannot be kept in {cache / 'data'}: File too large. Make room"
    )
    assert prepared_folders(cache) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(cache: Path) -> None:
    cache.mkdir()
    cache.joinpath("data").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"The prepared copy of 'synthetic' cannot be kept in .*TAILSCOPE_CACHE"):
        synthetic_of(SMALL)


# Where data sets are found.


@pytest.mark.parametrize(
    ("name", "place", "write"),
    [
        ("reuters", "reuters21578/reuters21578.tar.gz", write_archive),
        ("reuters", "reuters21578.tar.gz", write_archive),
        ("reuters", "reuters21578", write_sgml_folder),
        ("reuters", ".", write_sgml_folder),
        ("reuters-nltk", "reuters", write_nltk_folder),
        ("reuters-nltk", "reuters.zip", write_nltk_zip),
        ("reuters-nltk", "corpora/reuters", write_nltk_folder),
        ("reuters-nltk", "corpora/reuters.zip", write_nltk_zip),
        ("reuters-nltk", ".", write_nltk_folder),
    ],
)
@pytest.mark.parametrize("where", ["first", "second", "downloads"])
def test_a_data_set_is_found_wherever_it_lies(
    tmp_path: Path, cache: Path, monkeypatch: Any, name: str, place: str, write: Callable[..., Path], where: str
) -> None:
    named = [tmp_path / "first", tmp_path / "second"]
    for path in named:
        path.mkdir()
    monkeypatch.setenv("TAILSCOPE_DATA", os.pathsep.join(map(str, named)))
    path = write((cache if where == "downloads" else tmp_path) / where / place, EXAMPLES)
    source = {source.name: source for source in available()}[name]
    assert (source.found, Path(source.place), source.prepared) == (True, path, False)
    assert str(path) in source.sentence
    assert load(DataConfig(name=name, split="original")).ids.tolist() == ["3", "7", "10", "12"]
    assert {source.name: source.prepared for source in available()}[name]
    assert default_name() == ("reuters" if name == "reuters" else "synthetic")


def test_folders_and_files_whose_names_are_no_utf_8_are_said_or_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_sgml_folder(named / "reuters21578", EXAMPLES)
    monkeypatch.setenv("TAILSCOPE_DATA", str(named))
    found = available()[0]
    assert not found.found
    assert (found.sentence + why_default()).encode()  # both can be printed and drawn
    assert "\\udcff has bytes that are no UTF-8: rename that folder." in found.sentence
    for name in (b"/\xff.csv", b"/fine.csv"):
        Path(os.fsdecode(os.fsencode(tmp_path) + name)).write_text("text,labels\n")
    assert [path.name for path in find_files([tmp_path])] == ["fine.csv"]


def test_nothing_found_says_why_and_what_to_do(tmp_path: Path, monkeypatch: Any) -> None:
    sources = {source.name: source for source in available()}
    assert list(sources) == list(NAMES)
    assert [source.found for source in sources.values()] == [False, False, True]
    assert sources["reuters"].downloadable
    assert sources["synthetic"].splits == SPLITS
    assert default_name() == "synthetic"
    assert why_default() == (
        "The built-in synthetic set is shown first, because Reuters-21578 was not found. TAILSCOPE_DATA names no "
        "folder to search. Put reuters21578.tar.gz into a folder and name that in TAILSCOPE_DATA, or fetch it with "
        "`python -m core data download reuters`."
    )
    monkeypatch.setenv("TAILSCOPE_DATA", str(tmp_path / "missing"))
    problem = f"{tmp_path / 'missing'}, named in TAILSCOPE_DATA, is not a folder that exists."
    assert problem in why_default()
    assert problem in available()[0].sentence
    with pytest.raises(UserError, match=r"Data set 'reuters' was not found\. .*is not a folder that exists"):
        load(ORIGINAL)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no data set named 'reuter'\. Did you mean 'reuters'"):
        load(DataConfig(name="reuter"))
    with pytest.raises(UserError, match=r"no split of 'synthetic' named 'papers'\. Did you mean 'paper'"):
        load(DataConfig(name="synthetic", split="papers"))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as somebody else")
@pytest.mark.parametrize("locked", ["", "reuters21578.tar.gz"])
@pytest.mark.usefixtures("opened")
def test_a_place_without_read_permission_is_one_sentence(folder: Path, cache: Path, locked: str) -> None:
    write_archive(folder / "reuters21578.tar.gz", EXAMPLES)
    cache.mkdir()
    cache.chmod(0o777)
    folder.joinpath(locked).chmod(0)
    script = (
        "import os; from core.config.schema import DataConfig; from core.data import sources\n"
        "from core.system.errors import UserError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(sources.why_default())\n"
        "try: sources.load(DataConfig(name='reuters'))\n"
        "except UserError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    folder.chmod(0o755)
    default, error = ran.stdout.splitlines()
    if locked:
        assert error == f"{folder / locked} cannot be read: Permission denied. Check the path and its rights."
    else:
        assert "cannot be read: permission denied. Searched:" in default
        assert error.startswith(f"Data set 'reuters' was not found. {folder}")
        assert "cannot be read: permission denied." in error


# Fetching, from a server on this machine.


class Handler(BaseHTTPRequestHandler):
    """Sends `server.content` the way `server.ways` says."""

    server: Any

    def do_GET(self) -> None:
        ways, content = self.server.ways, self.server.content
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.server.asked.append(start)
        if ways.status != 200:
            self.send_error(ways.status)
        elif ways.ranges and start >= len(content) > 0:
            self.send_error(416)
        else:
            ranged = ways.ranges and start > 0
            self.send_response(206 if ranged else 200)
            body = content[start:] if ranged else content
            if ranged:
                self.send_header("Content-Range", f"bytes {start + ways.shift}-{len(content) - 1}/{len(content)}")
            if ways.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: ways.cut])
            self.wfile.flush()
            time.sleep(ways.stall)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A web server that holds a small archive, which is the one expected; `ways` says how it behaves."""
    archive = write_archive(tmp_path / "served.tar.gz", EXAMPLES)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made: Any = server
        made.content, made.asked = archive.read_bytes(), []
        made.ways = SimpleNamespace(status=200, ranges=True, shift=0, length=True, cut=None, stall=0)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("TAILSCOPE_REUTERS_URL", f"http://127.0.0.1:{server.server_address[1]}/reuters21578.tar.gz")
        monkeypatch.setattr(download, "REUTERS_SHA256", download.content_sha256(archive))
        yield made
        server.shutdown()


def downloaded(cache: Path) -> dict[str, bytes]:
    folder = cache / "downloads"
    return (
        {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"} if folder.exists() else {}
    )


TARGET, PART = "reuters21578.tar.gz", "reuters21578.tar.gz.part"


def test_a_download_is_checked_moved_in_place_and_found(server: Any, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = download.download("reuters", progress=lambda *step: seen.append(step))
    size = len(server.content)
    assert path == cache / "downloads" / TARGET
    assert downloaded(cache) == {TARGET: server.content}
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert default_name() == "reuters"
    assert load(ORIGINAL).ids.tolist() == ["3", "7", "10", "12"]
    assert download.download("reuters") == path
    assert server.asked == [0]


@pytest.mark.parametrize("keep", [0, 300])
def test_a_fetched_archive_that_was_damaged_later_is_fetched_anew(server: Any, cache: Path, keep: int) -> None:
    path = download.download("reuters")
    path.write_bytes(server.content[:keep])
    with pytest.raises(UserError, match="is cut short or damaged"):
        load(ORIGINAL)
    download.download("reuters")
    assert downloaded(cache) == {TARGET: server.content}
    assert load(ORIGINAL).ids.tolist() == ["3", "7", "10", "12"]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("length", [True, False])
def test_a_cut_download_goes_on_or_starts_over(server: Any, cache: Path, ranges: bool, length: bool) -> None:
    server.ways.cut = 300
    with pytest.raises(UserError, match=r"the connection ended after 300 of .* 300 bytes are kept\. Try again"):
        download.download("reuters")
    assert downloaded(cache) == {PART: server.content[:300]}
    server.ways.cut, server.ways.ranges, server.ways.length = None, ranges, length
    seen: list[tuple[int, int]] = []
    download.download("reuters", progress=lambda *step: seen.append(step))
    assert downloaded(cache) == {TARGET: server.content}
    assert server.asked == [0, 300]
    assert seen[0] == (300 if ranges else 0, len(server.content) if length else 0)
    assert seen[-1][0] == len(server.content)


def test_a_cut_that_no_length_tells_is_noticed(server: Any, cache: Path) -> None:
    server.ways.cut, server.ways.length = 300, False
    with pytest.raises(UserError, match=r"is cut short or damaged"):
        download.download("reuters")
    assert downloaded(cache) == {}


def test_a_download_that_was_whole_but_unchecked_is_finished(server: Any, cache: Path) -> None:
    cache.joinpath("downloads").mkdir(parents=True)
    cache.joinpath("downloads", PART).write_bytes(server.content)
    assert download.download("reuters").read_bytes() == server.content


@pytest.mark.parametrize("start", [b"\0" * 40, b"\0" * 100_000])
def test_a_part_of_something_else_is_removed(server: Any, cache: Path, start: bytes) -> None:
    cache.joinpath("downloads").mkdir(parents=True)
    cache.joinpath("downloads", PART).write_bytes(start)
    with pytest.raises(UserError, match="is no Reuters archive and was removed"):
        download.download("reuters")
    assert downloaded(cache) == {}
    assert download.download("reuters").read_bytes() == server.content


def test_another_part_than_asked_for_is_not_appended(server: Any, cache: Path) -> None:
    cache.joinpath("downloads").mkdir(parents=True)
    cache.joinpath("downloads", PART).write_bytes(server.content[:50])
    server.ways.shift = 1
    with pytest.raises(UserError, match="the server sent another part than the one asked for"):
        download.download("reuters")
    assert downloaded(cache) == {PART: server.content[:50]}


def test_the_wrong_content_is_removed_and_said(server: Any, cache: Path, tmp_path: Path) -> None:
    expected = download.REUTERS_SHA256
    server.content = write_archive(tmp_path / "other.tar.gz", EXAMPLES[:3]).read_bytes()
    with pytest.raises(UserError, match=f"is not the Reuters-21578 collection and was removed: .* expected {expected}"):
        download.download("reuters")
    server.content = b"<html>Sign in first</html>"
    with pytest.raises(UserError, match=r"is no Reuters archive and was removed: .*damaged"):
        download.download("reuters")
    assert downloaded(cache) == {}


def test_a_repacked_archive_is_the_same_content(server: Any, cache: Path, tmp_path: Path) -> None:
    server.content = write_archive(tmp_path / "repacked.tar.gz", EXAMPLES, prefix="reuters/sgm/").read_bytes()
    assert download.download("reuters").read_bytes() == server.content


def test_a_server_that_refuses_is_one_sentence(server: Any, cache: Path, monkeypatch: Any) -> None:
    server.ways.status = 404
    with pytest.raises(UserError, match=r"could not be fetched: HTTP Error 404: Not Found\. Check the network"):
        download.download("reuters")
    server.ways.status, server.ways.stall, server.ways.cut = 200, 1, 100
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with pytest.raises(UserError, match=r"timed out\. 100 bytes are kept\. Try again"):
        download.download("reuters")
    assert downloaded(cache) == {PART: server.content[:100]}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/hostname", "must start with http:// or https://"),
        ("ftp://127.0.0.1/reuters21578.tar.gz", "must start with http:// or https://"),
        ("http://127.0.0.1:1/reuters21578.tar.gz", "Connection refused"),
        ("http://127.0.0.1:port/reuters21578.tar.gz", "could not be fetched"),
        ("http://[127.0.0.1/reuters21578.tar.gz", "could not be fetched"),
    ],
)
def test_addresses_that_lead_nowhere_are_one_sentence(cache: Path, monkeypatch: Any, url: str, words: str) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TAILSCOPE_REUTERS_URL", url)
    with pytest.raises(UserError, match=words):
        download.download("reuters")
    assert downloaded(cache) == {}


def test_only_reuters_can_be_fetched() -> None:
    for name in ("synthetic", "reuters-nltk"):
        with pytest.raises(UserError, match="only 'reuters' can"):
            download.download(name)
    with pytest.raises(UserError, match="Did you mean 'reuters'"):
        download.download("router")


@pytest.mark.reuters
def test_the_real_archive_has_the_expected_content(reuters_dir: Path) -> None:
    assert download.content_sha256(next(reuters_dir.rglob("reuters21578.tar.gz"))) == download.REUTERS_SHA256


@pytest.mark.reuters
def test_the_real_archive_is_fetched_across_a_cut(
    reuters_folder: Path, server: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "REUTERS_SHA256", REAL_SHA256)
    server.content, server.ways.cut = next(reuters_folder.rglob("reuters21578.tar.gz")).read_bytes(), 3_000_000
    with pytest.raises(UserError, match="the connection ended after 3,000,000 of"):
        download.download("reuters")
    server.ways.cut = None
    assert download.download("reuters").read_bytes() == server.content
    assert server.asked == [0, 3_000_000]
    assert default_name() == "reuters"

"""A person's file becomes a data set: its defects are counted, choices are heeded, what is kept opens everywhere."""

from __future__ import annotations

import gzip
import io
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import data
from core.config.schema import DataConfig, SplitConfig
from core.data import added, readers, scanning, sources
from core.data.added import Plan, examine, scan
from core.data.defects import CHOICES
from core.data.draft import ZERO_WIDTH
from core.data.readers import guess
from core.labels import groups, measures
from core.system.errors import UserError
from core.system.locks import locked
from core.system.places import ROOT
from tests.helpers.laws import law

OWN = SplitConfig(made="own", validation=0)
DEFECTS: list[dict[str, Any]] = [
    {"text": "Gold rose in London", "labels": ["gold", "metal"], "split": "train"},
    {"text": "Corn fell in Chicago", "labels": ["corn", "grain"], "split": "train"},
    {"text": "Gold rose in London", "labels": ["gold"], "split": "train"},
    {"text": "", "labels": ["gold"], "split": "train"},
    {"text": "No labels here", "labels": [], "split": "train"},
    {"text": "Silver was steady", "labels": ["Gold ", "metal"], "split": "test"},
    {"text": "Corn fell in Chicago", "labels": ["grain"], "split": "test"},
    {"text": "Z\ufffdrich was quiet", "labels": ["ＧＯＬＤ"], "split": "test"},
    {"text": "word " * 25_000, "labels": ["grain", "only"], "split": "train"},
]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def defective(tmp_path: Path) -> Path:
    return written(tmp_path / "defects.jsonl", DEFECTS)


def planned(path: Path, split: SplitConfig = OWN, **choices: str) -> Plan:
    return examine(scan(path, guess(path)), split, choices)


def test_every_kind_of_defect_is_counted_with_examples(defective: Path) -> None:
    defects = {defect.key: defect for defect in planned(defective).defects}
    assert list(defects) == list(CHOICES)
    assert {key: defect.count for key, defect in defects.items()} == {
        "empty_texts": 1,
        "without_labels": 1,
        "broken_encodings": 1,
        "long_texts": 1,
        "duplicates": 0,
        "relabelled_copies": 2,
        "near_copies": 0,
        "repeated_ids": 0,
        "zero_width": 0,
        "missing_words": 0,
        "unknown_labels": 0,
        "unparsed_labels": 0,
        "leaks": 1,
        "similar_labels": 1,
        "single_document_labels": 4,
        "absent_labels": 5,
    }
    assert defects["empty_texts"].examples == ("line 4: (empty)",)
    assert defects["leaks"].examples == ("line 2: Corn fell in Chicago",)
    assert defects["similar_labels"].examples == ("'gold' (3) = 'Gold' (1) = 'ＧＯＬＤ' (1)",)
    assert "2 in no train document, 3 in no test document" in defects["absent_labels"].advice


def test_choices_are_heeded_and_said(defective: Path) -> None:
    plain = planned(defective)
    assert len(plain.rows) == plain.documents == len(DEFECTS)
    assert not plain.notes
    everything = {key: actions[-1] for key, actions in CHOICES.items() if key != "single_document_labels"}
    plan = planned(defective, **everything)
    assert plan.rows.tolist() == [0, 5, 6], "of copies one stays, that of the test part where there is one"
    assert plan.labels == ("gold", "metal")
    assert plan.sizes() == {"train": 1, "validation": 0, "test": 2}
    assert "Documents without text: 1, left out." in plan.notes
    merged = planned(defective, similar_labels="merge")
    assert set(merged.labels) == {"gold", "metal", "corn", "grain", "only"}
    assert set(planned(defective, leaks="drop").rows) == set(range(9)) - {1}


def test_labels_with_few_train_documents_are_left_out(defective: Path) -> None:
    plan = planned(defective, SplitConfig(made="own", validation=0, min_documents=2))
    assert plan.labels == ("gold", "grain")
    assert plan.notes == ("Labels with fewer than 2 train documents: 5, left out.",)
    with pytest.raises(UserError, match="No label would be left"):
        planned(defective, SplitConfig(made="own", validation=0, min_documents=9))


def test_an_unknown_choice_or_nothing_left_is_said(defective: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'leaks' cannot be answered with 'merge'"):
        planned(defective, leaks="merge")
    with pytest.raises(UserError, match="'nonsense' cannot be answered"):
        planned(defective, nonsense="drop")
    path = written(tmp_path / "empty.jsonl", [{"text": "", "labels": ["a"]}])
    with pytest.raises(UserError, match="No document would be left"):
        planned(path, SplitConfig(), empty_texts="drop")


def test_a_data_set_is_kept_and_opens_like_any_other(defective: Path, cache: Path) -> None:
    kept = sources.add("mine", defective, guess(defective), OWN, {"similar_labels": "merge"})
    assert (kept.documents, kept.labels, kept.version) == (9, 5, data.added.__version__)
    assert not any(cache.joinpath("data", "intake").glob("*/*"))
    corpus = sources.load(sources.default_config("mine"))
    assert corpus.labels == ("gold", "grain", "corn", "metal", "only")
    assert corpus.split == "own"
    assert [corpus.text(row).strip() for row in corpus.parts["test"]][:2] == [DEFECTS[5]["text"], DEFECTS[6]["text"]]
    assert corpus.targets_of("test").toarray().tolist() == [
        [True, False, False, True, False],
        [False, True, False, False, False],
        [True, False, False, False, False],
    ]
    assert corpus.notes == kept.notes
    assert "defects.jsonl, added" in corpus.source
    source = sources.available()[-1]
    assert (source.name, source.found, source.splits) == ("mine", True, ("own",))
    assert measures.corpus_stats(corpus, groups.Borders())["all"]["documents"] == 9


def test_the_same_file_and_settings_have_one_fingerprint(defective: Path) -> None:
    for name in ("one", "two"):
        sources.add(name, defective, guess(defective), OWN)
    fingerprints = {sources.load(DataConfig(name=name, split="own")).fingerprint for name in ("one", "two")}
    assert len(fingerprints) == 1
    sources.add("three", defective, guess(defective), OWN, {"similar_labels": "merge"})
    assert sources.load(DataConfig(name="three", split="own")).fingerprint not in fingerprints


@pytest.mark.parametrize("name", ["-mine", "../mine", "a b", "", "a" * 41, "reuters", "Reuters"])
def test_a_name_that_cannot_be_used_is_said(name: str, defective: Path, cache: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be named|already"):
        sources.add(name, defective, guess(defective), OWN)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["eurlex_sum_eurovoc", "PubMed-200k", "A", "9_x"])
def test_a_name_may_have_capitals_and_underscores(name: str, defective: Path, cache: Path) -> None:
    sources.add(name, defective, guess(defective), OWN)
    assert sources.load(sources.default_config(name)).labels
    with pytest.raises(UserError, match="differs in capitals alone, which not every disk tells apart"):
        sources.add(name.swapcase(), defective, guess(defective), OWN)
    added.unregister(name)
    assert not list(cache.joinpath("data").glob("*-*"))


def test_the_copy_of_a_process_that_died_is_removed_and_that_of_a_living_one_stays(
    defective: Path, cache: Path
) -> None:
    intake = cache / "data" / "intake"
    dead, alive = intake / ".passing.dead", intake / ".passing.alive"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        folder.joinpath("lock").touch()
    with locked(alive / "lock"), scanning.passing_scan(defective, guess(defective)) as folder:
        assert folder.is_dir()
        assert (dead.exists(), alive.exists()) == (False, True)


def test_a_passing_scan_leaves_nothing_behind(defective: Path, cache: Path) -> None:
    with scanning.passing_scan(defective, guess(defective)) as folder:
        assert examine(folder, OWN).documents == len(DEFECTS)
    assert not cache.exists()
    with suppress(UserError), scanning.passing_scan(defective, guess(defective)) as folder:
        raise UserError("refused")
    assert not cache.exists()
    kept = scan(defective, guess(defective))
    with scanning.passing_scan(defective, guess(defective)) as folder:
        assert folder == kept
    assert kept.is_dir(), "a copy that was there stays"


def test_joined_and_stripped_documents_are_kept_so(tmp_path: Path) -> None:
    rows = [
        {"text": "gold\u200b rose", "labels": ["gold"], "split": "train"},
        {"text": "gold\u200b rose", "labels": ["metal\u200b"], "split": "train"},
        {"text": "corn fell", "labels": ["corn", "metal"], "split": "train"},
        {"text": "corn  fell", "labels": ["grain", "NaN"], "split": "test"},
    ]
    path = written(tmp_path / "a.jsonl", rows)
    choices = {"relabelled_copies": "join", "near_copies": "join", "zero_width": "strip"}
    sources.add("mine", path, guess(path), OWN, choices)
    corpus = sources.load(sources.default_config("mine"))
    found = {
        corpus.bodies[row]: {corpus.labels[c] for c in corpus.targets[[row]].indices} for row in range(len(corpus.ids))
    }
    assert found == {"gold rose": {"gold", "metal"}, "corn  fell": {"corn", "metal", "grain"}}
    sources.add("other", path, guess(path), OWN, {"missing_words": "keep"})
    assert "NaN" in sources.load(sources.default_config("other")).labels


GOOD_NOTE: dict[str, Any] = {
    **{
        "name": "x",
        "path": "/x",
        "sha256": "0",
        "folder": "x-0123456789abcdef",
        "file": {"format": "csv"},
        "split": {},
    },
    **{"choices": {}, "documents": 1, "labels": 1, "notes": [], "added": 1.0, "version": "1"},
}
BAD_NOTES = {
    "empty": "",
    "list": "[]",
    "number": "5",
    "deep": "[" * 100_000 + "]" * 100_000,
    "huge": '{"documents":' + "1" * 6000 + "}",
    "binary": b"\xff\xfe",
    **{
        what: json.dumps(GOOD_NOTE | change)
        for what, change in {
            "types": {"name": 5, "path": []},
            "folder outside": {"folder": "../../../etc"},
            "an absolute folder": {"folder": "/etc"},
            "added beyond time": {"added": 1e300},
            "added before time": {"added": -1},
            "path with NUL": {"path": "/x\0y"},
            "folder with NUL": {"folder": "x\0-0123456789abcdef"},
            "another name": {"name": "../../x"},
            "another file's name": {"name": "y"},
            "negative documents": {"documents": -1},
            "no such split": {"split": {"made": "fair"}},
            "no such format": {"file": {"format": "pdf"}},
            "more": {"more": 1},
        }.items()
    },
}


@pytest.mark.parametrize("what", BAD_NOTES)
def test_nonsense_among_the_saved_descriptions_is_said_and_can_be_removed(what: str, cache: Path) -> None:
    note = added.registered_dir() / "x.json"
    note.parent.mkdir(parents=True)
    content = BAD_NOTES[what]
    note.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = sources.available()[-1]
    assert (source.name, source.found) == ("x", False)
    assert "data remove x" in source.sentence
    with pytest.raises(UserError, match="data remove x"):
        sources.load(DataConfig(name="x", split="random"))
    added.unregister("x")
    assert not note.exists()


def test_a_description_of_an_earlier_version_is_read(cache: Path) -> None:
    note = added.registered_dir() / "x.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps(GOOD_NOTE))
    assert added.find_registered()["x"] == added.Registered(**GOOD_NOTE)


def test_the_command_line_says_how_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,labels,split\n" + "".join(f"text {n},0 1 0,holdout\n" for n in range(4)))
    given = {"label_names": ("a, b", "c", "d"), "cut": 0.5, "parts": (("holdout", "train"),), "sep": " "}
    file = readers.study(path, given).file
    words = shlex.split(added.command_line("mine", path, file, OWN, {"missing_words": "keep", "zero_width": "strip"}))
    options = dict(pairwise(words))
    assert options["--label-names"] == '["a, b", "c", "d"]'
    assert (options["--sep"], options["--cut"], options["--part"]) == (" ", "0.5", "holdout=train")
    assert (options["--keep"], options["--strip"]) == ("missing_words", "zero_width")


def test_a_name_is_taken_once_and_free_again(defective: Path, cache: Path) -> None:
    sources.add("mine", defective, guess(defective), OWN)
    with pytest.raises(UserError, match="a data set 'mine' already"):
        sources.add("mine", defective, guess(defective), OWN)
    sources.add("mine-too", defective, guess(defective), OWN)
    added.unregister("mine")
    with pytest.raises(UserError, match="no data set named 'mine'"):
        sources.load(DataConfig(name="mine", split="own"))
    with pytest.raises(UserError, match=r"No data set 'mine' has been added. Added are: mine-too"):
        added.unregister("mine")
    assert sources.load(DataConfig(name="mine-too", split="own")).labels
    sources.add("mine", defective, guess(defective), OWN)


def test_a_copy_that_is_damaged_or_gone_is_said(defective: Path, cache: Path) -> None:
    kept = sources.add("mine", defective, guess(defective), OWN)
    cache.joinpath("data", kept.folder, "bodies.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="damaged or gone: remove the data set"):
        sources.load(sources.default_config("mine"))
    shutil.rmtree(cache / "data" / kept.folder)
    with pytest.raises(UserError, match="damaged or gone"):
        sources.load(sources.default_config("mine"))
    cache.joinpath("data", "registered", "mine.json").write_text("{")
    source = sources.available()[-1]
    assert not source.found
    assert "mine.json is damaged" in source.sentence
    with pytest.raises(UserError, match=r"mine\.json is damaged .* data remove mine"):
        sources.load(DataConfig(name="mine", split="own"))
    added.unregister("mine")


def test_nothing_half_made_stays_behind(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a", "labels": ["x"]}\n' * 3000)[:-8])
    with pytest.raises(UserError, match="cut short"):
        scan(path, guess(written(tmp_path / "b.jsonl", DEFECTS)).model_copy(update={"split": ""}))
    assert [file.suffix for file in cache.rglob("*") if file.is_file()] == [".lock"]


def test_an_unchanged_file_is_read_once(defective: Path) -> None:
    file = guess(defective)
    folder = scan(defective, file)
    inode = folder.stat().st_ino
    assert scan(defective, file).stat().st_ino == inode
    written(defective, DEFECTS[:2])
    assert scan(defective, file) != folder


EDGES: dict[str, list[dict[str, Any]]] = {
    "one label": [{"text": f"text {n}", "labels": ["a"] if n % 2 else []} for n in range(20)],
    "one document": [{"text": "alone", "labels": ["a", "b"]}],
    "all labels on all documents": [{"text": f"text {n}", "labels": ["a", "b", "c"]} for n in range(20)],
    "hostile labels": [
        {"text": f"text {n}", "labels": ["__proto__", "<script>", "=cmd()", "😀", "שלום", "e\u0301", "\u00e9"]}
        for n in range(20)
    ],
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("made", ["random", "stratified", "paper"])
def test_sets_at_the_edge_can_be_kept_and_measured(name: str, made: str, tmp_path: Path) -> None:
    path = written(tmp_path / "edge.jsonl", EDGES[name])
    sources.add("edge", path, guess(path), SplitConfig(made=made))
    corpus = sources.load(sources.default_config("edge"))
    measured = measures.corpus_stats(corpus, groups.Borders())
    assert measured["all"]["documents"] == len(EDGES[name])
    assert set(corpus.labels) == {label for row in EDGES[name] for label in row["labels"]}
    assert sum(len(rows) for rows in corpus.parts.values()) == len(EDGES[name])
    assert len(corpus.parts["train"])


@law(25)
@given(
    rows=st.lists(
        st.tuples(st.text(max_size=6), st.lists(st.text("abAB é", min_size=1, max_size=2), max_size=3), st.booleans()),
        min_size=1,
        max_size=25,
    ),
    choices=st.fixed_dictionaries({}, optional={key: st.sampled_from(actions) for key, actions in CHOICES.items()}),
)
def test_a_plan_keeps_what_it_says(
    rows: list[tuple[str, list[str], bool]], choices: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    table = [{"text": text, "labels": names, "split": "test" if test else "train"} for text, names, test in rows]
    path = written(folder / "a.jsonl", table)
    file = guess(written(folder / "b.jsonl", DEFECTS))
    plan = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILSCOPE_CACHE", str(folder / "cache"))
        with suppress(UserError):  # where nothing is left to train on
            plan = examine(scan(path, file), OWN, choices)
        if not plan:
            return
        records = list(added._planned(scan(path, file), plan))
    assert len(records) == len(plan.rows) == len(plan.codes)
    assert {label for record in records for label in record.labels} == set(plan.labels)
    # A part that the file does not name is drawn from train, and said; joined copies have each other's labels.
    is_drawn = any("The file names no test part" in note for note in plan.notes)
    seen = dict[str, set[str]]()
    for text, names, _ in rows:
        seen.setdefault("".join(ZERO_WIDTH.sub("", text).split()), set()).update(names)
    for record, row in zip(records, plan.rows, strict=True):
        text, names, test = rows[row]
        bare = ZERO_WIDTH.sub("", text)
        assert record.body == (bare if choices.get("zero_width") == "strip" else text)
        assert record.part in (("train", "test") if is_drawn else ("test" if test else "train",))
        able = seen["".join(bare.split())] if "join" in choices.values() else set(names)
        assert len(record.labels) <= len({name for name in able if name.strip()})
    kept = [record.body for record in records if record.body.strip()]
    if choices.get("relabelled_copies") in ("drop", "join") and choices.get("duplicates") == "drop":
        assert len(kept) == len(set(kept))
    if choices.get("empty_texts") == "drop":
        assert len(kept) == len(records)
    if choices.get("leaks") == "drop":
        parts = [{r.body for r in records if r.part == part and r.body.strip()} for part in ("train", "test")]
        assert not parts[0] & parts[1]
    if choices.get("similar_labels") == "merge":
        forms = [" ".join(name.casefold().split()) for name in plan.labels]
        assert len(forms) == len(set(forms))


def test_files_are_found_in_folders_and_links_out_are_not(tmp_path: Path) -> None:
    folder, outside = tmp_path / "data", tmp_path / "outside.csv"
    folder.joinpath("deep", "deeper").mkdir(parents=True)
    for file in (outside, folder / "a.csv", folder / "deep" / "b.jsonl.gz", folder / "deep" / "deeper" / "c.parquet"):
        file.write_text("")
    folder.joinpath("notes.txt").write_text("")
    folder.joinpath("link.csv").symlink_to(outside)
    folder.joinpath("saved").mkdir()
    folder.joinpath("saved", "state.json").write_text("{}")
    found = added.find_files([folder, tmp_path / "nowhere"])
    names = [file.relative_to(folder).as_posix() for file in found]
    assert sorted(names) == ["a.csv", "deep/b.jsonl.gz", "deep/deeper/c.parquet", "saved"]


@pytest.mark.slow
def test_pubmed_sample_is_read_whole(pubmed_file: Path) -> None:
    path, file = pubmed_file, guess(pubmed_file)
    assert (file.text, file.title, file.labels) == (("abstractText",), "title", ("meshMajor",))
    plan = examine(scan(path, file), SplitConfig())
    assert (len(plan.rows), len(plan.labels)) == (13_297, 13_572)
    sources.add("pubmed-sample", path, file, SplitConfig(made="paper", min_documents=5))
    corpus = sources.load(sources.default_config("pubmed-sample"))
    assert {part: len(rows) for part, rows in corpus.parts.items()} == {"train": 12_705, "validation": 296, "test": 296}
    assert corpus.counts.min() >= 5
    assert np.all(np.diff(corpus.counts) <= 0)


@pytest.mark.slow
def test_the_command_line_makes_the_same_data_set(defective: Path, cache: Path) -> None:
    choices = {"similar_labels": "merge", "duplicates": "drop"}
    line = added.command_line("again", defective, guess(defective), OWN, choices)
    words = [sys.executable, *shlex.split(line)[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sources.add("mine", defective, guess(defective), OWN, choices)
    one, other = (sources.load(sources.default_config(name)).fingerprint for name in ("again", "mine"))
    assert one == other


@pytest.mark.parametrize("name", ["a b.csv", "../../etc/passwd", "..\\..\\x.csv", ".hidden", "", "é😀.csv", "x" * 300])
def test_an_upload_is_kept_in_its_folder_whatever_its_name(name: str, cache: Path) -> None:
    path = added.keep_upload(name, io.BytesIO(b"text,labels\n"))
    assert path.resolve().is_relative_to(cache.resolve() / "data" / "uploads")
    assert path.read_bytes() == b"text,labels\n"
    assert added.keep_upload(name, io.BytesIO(b"text,labels\n")) == path


def test_the_command_line_says_how_years_are_read(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from core.cli.main import make_app

    path = written(tmp_path / "a.jsonl", [{"text": f"text {n}", "labels": ["a"], "when": 2000 + n} for n in range(20)])
    words = ["data", "add", str(path), "--dry-run", "--year", "when", "--years", "2003-2010"]
    done = CliRunner().invoke(make_app(), words)
    assert done.exit_code == 0, done.output
    assert "year when; years 2003, 2010" in done.stdout
    assert "8 of 8 documents" in done.stdout

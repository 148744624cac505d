"""Packages, folders and parts: which files of them are documents, and a sentence for what cannot be opened."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.config.schema import FileConfig
from core.data import added
from core.data.readers import read_rows, sniff
from core.system.errors import UserError
from core.system.places import ROOT

DOCUMENTS = [
    {"id": f"d{number}", "text": f"Gold, number {number}, rose in London.", "labels": "gold;corn"}
    for number in range(12)
]
PACKS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}


def table(begin: int, end: int, **options: Any) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, ["id", "text", "labels"], **options)
    writer.writeheader()
    writer.writerows(DOCUMENTS[begin:end])
    return stream.getvalue()


def lines(begin: int, end: int) -> str:
    return "".join(json.dumps(document) + "\n" for document in DOCUMENTS[begin:end])


PARTS = {"train.csv": table(0, 6), "dev.csv": table(6, 8), "test.csv": table(8, 12)}


def folder(path: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, files: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, str | bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def read(path: Path, **given: Any) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    return [row.values for row in read_rows(path, sniff(path, **given), say=said.append)], said


def parts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(row.get("split", "") for row in rows))


@pytest.mark.parametrize("make", [folder, zipped, tarred])
def test_files_are_the_parts_that_their_names_tell(make: Any, tmp_path: Path) -> None:
    name = {folder: "set", zipped: "set.zip", tarred: "set.tar.gz"}[make]
    rows, said = read(make(tmp_path / name, PARTS | {"README.md": "About.", "__MACOSX/._train.csv": "x"}))
    assert parts(rows) == {"train": 6, "validation": 2, "test": 4}
    assert sorted((row["id"] for row in rows), key=lambda one: int(one[1:])) == [row["id"] for row in DOCUMENTS]
    assert said == [f"{name}: of its files these were not read: README.md."]


@pytest.mark.parametrize("pack", PACKS)
def test_a_packed_file_in_frames_or_layers_is_read(pack: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv.{pack}"
    path.write_bytes(
        PACKS[pack](table(0, 5).encode()) + PACKS[pack]("".join(table(4, 12).splitlines(True)[2:]).encode())
    )
    assert [row["id"] for row in read(path)[0]] == [row["id"] for row in DOCUMENTS]
    path.write_bytes(gzip.compress(PACKS[pack](table(0, 12).encode())))
    assert len(read(path)[0]) == 12


@pytest.mark.parametrize("pack", PACKS)
def test_a_packed_file_that_ends_early_is_said(pack: str, tmp_path: Path) -> None:
    whole = PACKS[pack]("".join(f"{number},{number**7 % 9973}\n" for number in range(5_000)).encode())
    path = tmp_path / f"a.csv.{pack}"
    for content in (whole[: len(whole) // 2], whole[:-5]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.csv\.\w+ is cut short or damaged after [\d,]+ unpacked bytes"):
            read(path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"eurlex_train.csv": table(0, 6), "eurlex_test.csv": table(6, 12)}, {"train": 6, "test": 6}),
        ({"trn.jsonl": lines(0, 6), "tst.jsonl": lines(6, 12)}, {"train": 6, "test": 6}),
        ({"train/0.csv": table(0, 6), "dev/0.csv": table(6, 12)}, {"train": 6, "validation": 6}),
        (
            {"a/train-0.csv": table(0, 3), "a/train-1.csv": table(3, 6), "a/test-0.csv": table(6, 9)},
            {"train": 6, "test": 3},
        ),
        ({"train.csv": table(0, 6), "holdout.csv": table(6, 12)}, {"train": 6, "holdout": 6}),
        ({f"data-{n}.csv": table(3 * n, 3 * n + 3) for n in range(4)}, {"": 12}),
        ({f"20{20 + n}/papers.jsonl": lines(3 * n, 3 * n + 3) for n in range(4)}, {"": 12}),
        ({"train.csv": table(0, 6), "test.csv": table(6, 12, delimiter=";").encode("utf-16")}, {"train": 6, "test": 6}),
        ({"train.csv.gz": gzip.compress(table(0, 6).encode()), "test.csv": table(6, 12)}, {"train": 6, "test": 6}),
        ({"train.txt": "__label__a x\n", "test.txt": "__label__b y\n__label__c z\n"}, {"train": 1, "test": 2}),
    ],
)
def test_names_of_files_tell_parts_and_shards(
    files: dict[str, str | bytes], expected: dict[str, int], tmp_path: Path
) -> None:
    assert parts(read(folder(tmp_path / "set", files))[0]) == expected


def test_the_hub_s_layout_is_read_and_one_of_several_configurations_is_to_be_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, begin, end in (
        ("train-00000-of-00002", 0, 4),
        ("train-00001-of-00002", 4, 8),
        ("test-00000-of-00001", 8, 12),
    ):
        for config in ("en", "de"):
            tmp_path.joinpath(config).mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(DOCUMENTS[begin:end]), tmp_path / config / f"{name}.parquet")
    assert parts(read(tmp_path / "en")[0]) == {"train": 8, "test": 4}
    with pytest.raises(UserError, match=r"several files of the part train .* de/train-00000.* Name one folder"):
        read(tmp_path)


def test_a_table_with_other_columns_is_left_out_or_refused(tmp_path: Path) -> None:
    files = PARTS | {"sample_submission.csv": "id,score\n1,2\n", "test_labels.csv": "id,labels\nd8,-1\n"}
    rows, said = read(folder(tmp_path / "a", files))
    assert parts(rows) == {"train": 6, "validation": 2, "test": 4}
    assert "these were not read: test_labels.csv" in said[0]
    assert said[1] == "sample_submission.csv was not read: its columns are others than those of train.csv."
    rows, said = read(folder(tmp_path / "b", PARTS | {"test.csv": "id,text\n1,Gold fell.\n"}))
    assert said == ["test.csv lacks columns of train.csv: labels; they are empty in its documents."]
    with pytest.raises(UserError, match=r"test\.csv has other columns \(x, y\) than train\.csv"):
        read(folder(tmp_path / "c", PARTS | {"test.csv": "x,y\n1,2\n"}))


def test_further_files_are_parts_of_the_set(tmp_path: Path) -> None:
    files = {"a.csv": table(0, 6), "b.csv": table(6, 8, delimiter=";"), "c.jsonl": lines(8, 12)}
    folder(tmp_path, files)
    others = (("validation", str(tmp_path / "b.csv")), ("test", str(tmp_path / "c.jsonl")))
    rows, _ = read(tmp_path / "a.csv", others=others)
    assert parts(rows) == {"train": 6, "validation": 2, "test": 4}
    assert [row["labels"] for row in rows] == ["gold;corn"] * 12
    file = FileConfig(format="csv", others=others)
    tmp_path.joinpath("c.jsonl").write_text(lines(8, 10))
    assert "--validation" in (command := added.command_line("x", tmp_path / "a.csv", file, added.SplitConfig()))
    assert str(tmp_path / "c.jsonl") in command


# One document a file.

NEWS = {f"20news/{topic}/{number}": f"Text {number}." for topic in ("gold", "corn") for number in range(3)}
LISTED = "file,labels\n" + "".join(f"doc{number}.txt,gold;corn\n" for number in range(3))
ARTICLES = {f"{topic}/{number}.txt": f"Text {number}." for topic in ("gold", "corn") for number in range(3)}
NAMES = [f"doc{number}" for number in range(3)]
TEXTS = {f"texts/{name}.txt": f"Text of {name}." for name in NAMES}


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        (ARTICLES, [["corn"]] * 3 + [["gold"]] * 3),
        (
            {f"20news/{name.removesuffix('.txt')}": text for name, text in ARTICLES.items()},
            [["corn"]] * 3 + [["gold"]] * 3,
        ),
        (TEXTS | {f"texts/{name}.key": "gold\ncorn meal\n" for name in NAMES}, [["gold", "corn meal"]] * 3),
        (TEXTS | {f"texts/{name}.tsv": "<http://x/1>\tgold\n" for name in NAMES}, [["gold"]] * 3),
        (
            TEXTS | {"labels.csv": "file,labels\n" + "".join(f"{name}.txt,gold;corn\n" for name in NAMES)},
            ["gold;corn"] * 3,
        ),
        (TEXTS | {"labels.json": json.dumps([{"name": name, "labels": ["x"]} for name in NAMES])}, [["x"]] * 3),
        (TEXTS, [None] * 3),
    ],
)
@pytest.mark.parametrize("make", [folder, zipped, tarred])
def test_texts_take_labels_from_folders_or_files_beside_them(
    make: Any, files: dict[str, str | bytes], labels: list[Any], tmp_path: Path
) -> None:
    name = {folder: "set", zipped: "set.zip", tarred: "set.tar"}[make]
    rows, said = read(make(tmp_path / name, dict(sorted(files.items()))))
    assert [row.get("labels") for row in rows] == labels
    assert all(row["text"].startswith("Text ") for row in rows)
    assert not said


def test_texts_without_labels_beside_them_are_counted(tmp_path: Path) -> None:
    rows, said = read(folder(tmp_path / "a", TEXTS | {"texts/doc1.key": "gold\n"}))
    assert [row["labels"] for row in rows] == [[], ["gold"], []]
    assert said == ["2 of 3 documents have no labels in the files beside them."]


def test_one_json_a_document(tmp_path: Path) -> None:
    files = {f"{'train' if n < 8 else 'dev'}/{n}x.json": json.dumps(DOCUMENTS[n], indent=1) for n in range(12)}
    rows, _ = read(folder(tmp_path / "a", files))
    assert parts(rows) == {"train": 8, "validation": 4}
    assert {row["id"]: row["text"] for row in rows} == {row["id"]: row["text"] for row in DOCUMENTS}


def test_lines_of_texts_and_of_labels_side_by_side(tmp_path: Path) -> None:
    files = {"train_texts.txt": "Gold rose\nCorn fell\n", "train_labels.txt": "a b\n\n"}
    files |= {"test_texts.txt": "Tin\n", "test_labels.txt": "c\n"}
    assert read(folder(tmp_path / "a", files))[0] == [
        {"text": "Gold rose", "labels": ["a", "b"], "split": "train"},
        {"text": "Corn fell", "labels": [], "split": "train"},
        {"text": "Tin", "labels": ["c"], "split": "test"},
    ]
    with pytest.raises(UserError, match="different numbers of lines"):
        read(folder(tmp_path / "a", {"test_labels.txt": "c\nd\n"}))


def test_numbers_of_labels_are_named_by_the_file_beside_them(tmp_path: Path) -> None:
    row = {"uid": "1", "content": "Gold rose.", "target_ind": [1, 0]}
    names = '{"uid": "a", "title": "Gold"}\n{"uid": "b", "title": "Corn"}\n'
    path = folder(tmp_path / "a", {"trn.json": json.dumps(row), "tst.json": json.dumps(row), "lbl.json": names})
    for place in (path, path / "trn.json"):
        rows, said = read(place)
        assert rows[0]["labels"] == ["Corn", "Gold"]
        assert "titles that lbl.json gives" in said[-1]
    folder(path, {"trn.json": json.dumps(row | {"target_ind": [2]})})
    with pytest.raises(UserError, match=r"line 1: a label number that lbl\.json does not name"):
        read(path / "trn.json")


# What cannot be opened.


def change(content: bytes, local: int, central: int, value: int) -> bytes:
    """A zip with a byte of its member's headers changed: in that before the member, and in that at the end."""
    changed = bytearray(content)
    changed[local] |= value
    changed[content.rfind(b"PK\x01\x02") + central] |= value
    return bytes(changed)


@pytest.mark.parametrize(
    ("local", "central", "value", "words"),
    [
        (8, 10, 99, "packed in a way that is not known here"),
        (6, 8, 1, "locked with a password"),
    ],
)
def test_a_zip_that_cannot_be_unpacked_is_said(
    local: int, central: int, value: int, words: str, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.csv": table(0, 12)})
    path.write_bytes(change(path.read_bytes(), local, central, value))
    with pytest.raises(UserError, match=words):
        read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
def test_a_zip_of_any_usual_method_is_read_and_damage_in_it_is_said(method: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.csv": table(0, 12)}, method)
    assert len(read(path)[0]) == 12
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip"):
        read(path)


def test_names_of_members_that_are_no_text_or_lead_outside(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.csv": table(0, 12)})
    content = path.read_bytes().replace(b"a.csv", b"\xff.csv")
    path.write_bytes(content)
    assert len(read(path)[0]) == 12
    path.write_bytes(change(content, 7, 9, 8))  # says that the name is UTF-8
    with pytest.raises(UserError, match="damaged zip"):
        read(path)
    for name in ("/etc/a.csv", "C:\\a.csv", "..\\a.csv"):
        for make in (zipped, tarred):
            with pytest.raises(UserError, match="out of its folder"):
                read(make(tmp_path / "b.zip", {name: table(0, 12)}))


def test_a_package_in_a_package_in_a_package(tmp_path: Path) -> None:
    content = table(0, 12).encode()
    for _ in range(5):
        content = gzip.compress(content)
    with pytest.raises(UserError, match="packed more than 3 times over"):
        read(folder(tmp_path, {"a.gz": content}) / "a.gz")


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    tmp_path.joinpath("loop.csv").symlink_to(tmp_path / "loop.csv")
    for path, words in (
        (tmp_path / "pipe.csv", "a named pipe, not a file"),
        (Path("/dev/null"), "a device, not a file"),
        (tmp_path / "loop.csv", "cannot be read: Too many levels"),
        (tmp_path / ("n" * 300), "cannot be read: File name too long"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(UserError, match=words):
            sniff(path)
    # In a folder they are passed over, with links that lead out of it.
    folder(tmp_path, PARTS)
    tmp_path.joinpath("out.csv").symlink_to("/etc/passwd")
    tmp_path.joinpath("again").symlink_to(tmp_path)
    assert parts(read(tmp_path)[0]) == {"train": 6, "validation": 2, "test": 4}
    assert [path.name for path in added.find_files([tmp_path])] == sorted(PARTS)


def test_an_upload_with_a_long_name_is_kept(cache: Path) -> None:
    for name in ("n" * 300 + ".csv", "ü" * 200 + ".csv", "你" * 150 + ".csv", "😀" * 90):
        kept = added.keep_upload(name, io.BytesIO(b"text,labels\n"))
        assert kept.is_file()
        assert len(kept.name.encode()) <= 100


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read as somebody else")
def test_a_folder_without_rights_is_one_sentence(opened: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from core.system.errors import UserError\n"
        "from core.data.readers import sniff; from core.data.added import find_files\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for name in sys.argv[1:]:\n"
        "    find_files([Path(name).parent])\n"
        "    try: sniff(Path(name))\n"
        "    except UserError as error: print(error)"
    )
    paths, locked = [opened / str(number) for number in range(3)], ["", "inner", "train.csv"]
    for path, name in zip(paths, locked, strict=True):
        folder(path, PARTS | {"inner/other.csv": table(0, 3)})
        for place in (path, *path.rglob("*")):
            place.chmod(0o755)
        path.joinpath(name).chmod(0)
    command = [sys.executable, "-c", script, *map(str, paths)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path, name in zip(paths, locked, strict=True):
        path.joinpath(name).chmod(0o755)
        assert f"{path / name} cannot be read: Permission denied. Check the path and its rights.\n" in said

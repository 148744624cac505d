"""Readers of people's own files: the same rows from every format, and a sentence for what is broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import FileConfig
from core.data.readers import packed, read_rows, sniff
from core.data.readers import row as bounds
from core.data.readers.delimited import delimited_rows
from core.data.readers.json_values import value_rows
from core.system.errors import UserError

ROWS = [
    {"id": "a", "text": 'Gold, "fine" gold\nand more', "labels": "gold;metal"},
    {"id": "b", "text": "=cmd()|'x'", "labels": "__proto__"},
    {"id": "c", "text": "<script>alert(1)</script>", "labels": "😀;שלום"},
]


def csv_text(table: list[dict[str, Any]], **options: Any) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(table[0]), **options)
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


def read(path: Path) -> list[dict[str, Any]]:
    return [row.values for row in read_rows(path, sniff(path))]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def says(path: Path, *words: str, file: FileConfig | None = None) -> None:
    with pytest.raises(UserError) as caught:
        list(read_rows(path, file or sniff(path)))
    for word in (path.name, *words):
        assert word in str(caught.value)


def parquet(path: Path, table: list[dict[str, Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(table), path)
    return path


FORMS = {
    "a.csv": csv_text(ROWS),
    "b.csv": csv_text(ROWS, delimiter=";"),
    "c.tsv": csv_text(ROWS, delimiter="\t", lineterminator="\n"),
    "d.csv": "\ufeff" + csv_text(ROWS),
    "e.jsonl": "".join(json.dumps(row) + "\r\n" for row in ROWS),
    "f.json": json.dumps(ROWS),
    "g.json": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "h.json": '{"articles":[\n' + ",\n".join(map(json.dumps, ROWS)) + "\n]}",
    "i.json": "articles of the year\n[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\nthe end",
    "j.txt": "\n\n".join(map(json.dumps, ROWS)),
}


@pytest.mark.parametrize("pack", ["", ".gz", ".zip"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(name: str, pack: str, tmp_path: Path) -> None:
    path, content = tmp_path / f"{name}{pack}", FORMS[name].encode()
    if pack == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"inner/{name}", content)
    else:
        path.write_bytes(gzip.compress(content) if pack else content)
    assert read(path) == ROWS


@pytest.mark.parametrize("pack", ["", ".gz"])
def test_parquet_gives_lists_and_numbers_as_they_are(pack: str, tmp_path: Path) -> None:
    table = [{"text": "a", "labels": ["x", "y"], "n": 1}, {"text": None, "labels": [], "n": 2}]
    path = parquet(tmp_path / "a.parquet", table)
    if pack:
        path = write(tmp_path / "a.parquet.gz", gzip.compress(path.read_bytes()))
    file = FileConfig(format="parquet")
    assert [row.values for row in read_rows(path, file)] == table
    assert sniff(path) == file


def save_dataset(folder: Path, values: dict[str, list[Any]], features: dict[str, Any]) -> None:
    """The layout of `Dataset.save_to_disk`."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    table = pa.table(values)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_files": None}
    folder.joinpath("state.json").write_text(json.dumps(state))
    folder.joinpath("dataset_info.json").write_text(json.dumps({"features": features}))


CLASSES = {"_type": "ClassLabel", "names": ["gold", "corn"]}
TEXT = {"dtype": "string", "_type": "Value"}


@pytest.mark.parametrize("kind", ["Sequence", "List", "old"])
def test_a_saved_dataset_names_its_classes(kind: str, tmp_path: Path) -> None:
    feature = [CLASSES] if kind == "old" else {"_type": kind, "feature": CLASSES}
    for part, labels in (("train", [[0, 1], []]), ("test", [[1]])):
        values = {"text": ["a", "b"][: len(labels)], "labels": labels}
        save_dataset(tmp_path / "set" / part, values, {"text": TEXT, "labels": feature})
    tmp_path.joinpath("set", "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert read(tmp_path / "set") == [
        {"text": "a", "labels": ["gold", "corn"], "split": "train"},
        {"text": "b", "labels": [], "split": "train"},
        {"text": "a", "labels": ["corn"], "split": "test"},
    ]


def test_a_saved_dataset_is_read_from_its_own_folder_alone(tmp_path: Path) -> None:
    save_dataset(tmp_path / "set", {"text": ["a"], "labels": [[7]]}, {"labels": {"_type": "List", "feature": CLASSES}})
    with pytest.raises(UserError, match="row 1: label number 7 of 2 named labels"):
        read(tmp_path / "set")
    outside = tmp_path / "outside.arrow"
    (tmp_path / "set" / "data-00000-of-00001.arrow").rename(outside)
    (tmp_path / "set" / "data-00000-of-00001.arrow").symlink_to(outside)
    with pytest.raises(UserError, match="lies outside of the folder"):
        read(tmp_path / "set")
    (tmp_path / "set" / "state.json").write_text('{"_data_files": [{"filename": "../outside.arrow"}]}')
    with pytest.raises(UserError, match="lies outside of the folder"):
        read(tmp_path / "set")


def test_places_are_lines_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,labels\n"two\nlines",x\n\nlast,y\n')
    assert [row.place for row in read_rows(path, sniff(path))] == [2, 5]
    path = write(tmp_path / "a.json", '[{"text": "a"},\n\n{"text":\n"b"},\n{"text": "c"}]')
    assert [row.place for row in read_rows(path, sniff(path))] == [1, 3, 5]


def test_a_file_without_header_has_numbered_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"{'Gold rose in London. ' * 9},gold\n{'Corn fell. ' * 9},corn\n")
    assert [list(row) for row in read(path)] == [["column 1", "column 2"]] * 2


def test_bytes_of_another_encoding_are_kept_until_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,labels\nZürich,Gold\n".encode("latin-1"))
    assert read(path) == [{"text": "Z\udcfcrich", "labels": "Gold"}]
    named = sniff(path).model_copy(update={"encoding": "latin-1"})
    assert [row.values["text"] for row in read_rows(path, named)] == ["Zürich"]
    says(path, "no encoding 'klingon'", file=named.model_copy(update={"encoding": "klingon"}))
    path = write(tmp_path / "b.csv", "text,labels\r\nZürich,Gold\r\n".encode("utf-16"))
    assert read(path) == [{"text": "Zürich", "labels": "Gold"}]


def test_a_field_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,labels\n{'x' * 10_000_000},gold\n")
    assert len(read(path)[0]["text"]) == 10_000_000


def test_nan_is_a_missing_value(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.jsonl", '{"text": NaN, "labels": [Infinity]}\n')) == [
        {"text": None, "labels": [None]}
    ]


BROKEN = {
    "quote.csv": ('text,labels\nfine,x\n"never closed,y\nand on\n', "line 3", "never closed"),
    "after.csv": ('text,labels\n"closed"too early,y\n', "line 2", "closing quote"),
    "fields.csv": ("text,labels\nfine,x\na,b,c\n", "line 3", "3 fields", "2 columns"),
    "twice.csv": ("text,labels,text\na,b,c\n", "line 1", "two columns are named 'text' (1 and 3)"),
    "wide.csv": (",".join(f"c{n}" for n in range(100_000)) + "\n", "100,000 columns", "one column"),
    "empty.csv": (" \n", "is empty"),
    "picture.csv": (b"\x89PNG\r\n\0\0\0\0", "no text file"),
    "cut.jsonl": ('{"text": "a"}\n{"text": "b"\n', "line 2, column 13", "not JSON"),
    "two.jsonl": ('{"text": "a"}\n{"text": "b"} {"text": "c"}\n', "line 2, column 14", "more follows"),
    "list.jsonl": ('{"text": "a"}\n["b"]\n', "line 2", "found a list"),
    "deep.jsonl": ('{"text": "a"}\n{"text": ' + "[" * 100_000 + "\n", "line 2", "nested too deeply"),
    "number.jsonl": ('{"text": "a"}\n{"n": ' + "1" * 5000 + "}\n", "line 2", "not JSON"),
    "open.json": ('[{"text": "a"},\n{"text": "b"}\n', "line 3", "never ends"),
    "cut.json": ('[{"text": "a"},\n{"text": "b', "line 2, column 10", "not JSON"),
    "broken.json": ('[{"text": "a"},\n  {"text" "b"}]', "line 2, column 11", "not JSON"),
    "texts.json": ('["a", "b"]', "line 1", "found a text"),
    "none.json": ('{\n"documents": 3}', "no list of documents"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    content, *words = BROKEN[name]
    path = write(tmp_path / name, content)
    says(path, *words)


@pytest.mark.slow
def test_a_damaged_package_is_said(tmp_path: Path) -> None:
    content = gzip.compress(b"text,labels\n" + b"".join(b"%d,x\n" % n for n in range(200_000)))
    says(write(tmp_path / "a.csv.gz", content[: len(content) // 2]), "cut short or damaged")
    says(write(tmp_path / "a.csv.zip", b"PK\x03\x04 not really"), "damaged zip")
    path = parquet(tmp_path / "a.parquet", [{"text": "a"}])
    says(write(tmp_path / "b.parquet", path.read_bytes()[:-20]), "cut short or damaged")


@pytest.mark.slow
def test_an_endless_package_is_not_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "FREE", 1 << 20)
    content = gzip.compress(b"text,labels\n" + b"0,x\n" * (1 << 20))
    assert len(content) * packed.MAX_RATIO < 4 << 20
    says(write(tmp_path / "bomb.csv.gz", content), "unpacks to more than")
    with zipfile.ZipFile(tmp_path / "bomb.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"text,labels\n" + b"0,x\n" * (1 << 20))
    says(tmp_path / "bomb.csv.zip", "unpacks to more than")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["../a.csv"], "out of its folder"),
        (["..\\a.csv"], "out of its folder"),
        (["/a.csv"], "out of its folder"),
        (["a.csv", "b.csv"], "holds 2 files"),
        ([], "holds 0 files"),
    ],
)
def test_a_zip_that_is_no_single_file_is_refused(members: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, "text,labels\na,b\n")
    if not members:
        path.write_bytes(b"PK\x05\x06" + bytes(18))
    says(path, words)


def test_a_link_inside_a_zip_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a.csv")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    says(tmp_path / "a.zip", "a link to elsewhere")


def test_a_file_that_is_not_there_or_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        sniff(tmp_path / "nothing.csv")
    with pytest.raises(UserError, match="did not save"):
        sniff(tmp_path)


@pytest.mark.parametrize("size", [7, 64])
@given(
    documents=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3), max_size=5),
    indent=st.sampled_from([None, 0, 2]),
)
def test_a_list_is_read_alike_in_pieces_of_any_size(
    size: int, documents: list[dict[str, str]], indent: int | None
) -> None:
    text = json.dumps({"documents": documents}, indent=indent, ensure_ascii=False)
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "CHUNK", size)
        found = list(value_rows("a.json", stream, FileConfig(format="json"), print))
    assert [row.values for row in found] == documents


@pytest.mark.parametrize("name", [b"\xff.csv", b"of \xe9t\xe9/train.csv"])
def test_a_path_that_is_no_utf_8_is_a_sentence(name: bytes, tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    file.parent.mkdir(exist_ok=True)
    file.write_text("text,labels\nsome words,a\n")
    for path in {file, file.parent} - {tmp_path}:
        with pytest.raises(UserError, match=r"has bytes that are no UTF-8: rename the file or folder\.$") as refused:
            sniff(path)
        str(refused.value).encode()  # it can be printed


@given(table=st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 2)))
def test_csv_of_any_text_comes_back(table: list[tuple[str, str]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("text", "labels"), *table])
    lines = io.TextIOWrapper(io.BytesIO(stream.getvalue().encode()), "utf-8", newline="")
    found = list(delimited_rows("a.csv", lines, FileConfig(format="csv"), print))
    assert [(row.values["text"], row.values["labels"]) for row in found] == table

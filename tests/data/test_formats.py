"""Formats of their own: Arrow and Parquet, saved sets, workbooks, fastText, PubMed; and what is refused by name."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from core.data.readers import read_rows, sniff
from core.system.errors import UserError

CLASSES = {"_type": "ClassLabel", "names": ["gold", "corn"]}
TEXT = {"_type": "Value", "dtype": "string"}


def read(path: Path, **given: Any) -> list[dict[str, Any]]:
    return [row.values for row in read_rows(path, sniff(path, **given))]


def refused(path: Path, *words: str, **given: Any) -> None:
    with pytest.raises(UserError) as caught:
        read(path, **given)
    for word in words:
        assert word in str(caught.value)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def with_features(table: pa.Table, features: dict[str, Any]) -> pa.Table:
    """A table with the metadata that `datasets` writes into the schema."""
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


FEATURES: list[tuple[Any, Any, Any]] = [
    ({"_type": "Sequence", "feature": CLASSES}, [[0, 1], [-1], None], [["gold", "corn"], [], None]),
    ({"_type": "List", "feature": CLASSES}, [[1], [], [0]], [["corn"], [], ["gold"]]),
    ([CLASSES], [[1], [], [0]], [["corn"], [], ["gold"]]),
    (CLASSES, [0, -1, None], ["gold", None, None]),
    ([{"label": CLASSES, "by": TEXT}], [[{"label": 1, "by": "x"}]] * 3, [[{"label": "corn", "by": "x"}]] * 3),
    ({"_type": "Sequence", "feature": {"dtype": "bool", "_type": "Value"}}, [[True, False]] * 3, [[True, False]] * 3),
]


@pytest.mark.parametrize(("feature", "values", "named"), FEATURES)
@pytest.mark.parametrize("form", ["parquet", "feather", "stream"])
def test_classes_in_the_schema_are_named_and_minus_one_is_no_label(
    feature: Any, values: list[Any], named: list[Any], form: str, tmp_path: Path
) -> None:
    table = with_features(pa.table({"text": ["a", "b", "c"], "labels": values}), {"text": TEXT, "labels": feature})
    path = tmp_path / f"a.{'arrow' if form == 'stream' else form}"
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "feather":
        pyarrow.feather.write_feather(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    assert [row["labels"] for row in read(path)] == named


def test_types_of_tables_become_plain_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "large": pa.array(["a"], pa.large_string()),
            "lists": pa.array([["x"]], pa.large_list(pa.large_string())),
            "dictionary": pa.array(["gold"]).dictionary_encode(),
            "map": pa.array([[("gold", 1)]], pa.map_(pa.string(), pa.int64())),
            "bytes": pa.array([b"Z\xfcrich"]),
            "flag": pa.array([None], pa.bool_()),
            "price": [decimal.Decimal("4.20")],
            "day": [datetime.date(2024, 1, 5)],
            "nanoseconds": pa.array([2**60 + 1], pa.timestamp("ns")),
        }
    )
    assert read(parquet(tmp_path / "a.parquet", table)) == [
        {
            "large": "a",
            "lists": ["x"],
            "dictionary": "gold",
            "map": {"gold": 1},
            "bytes": "Z\udcfcrich",
            "flag": None,
            "price": "4.20",
            "day": "2024-01-05",
            "nanoseconds": "2006-07-14T23:58:24.606846977",
        }
    ]


def test_an_index_of_pandas_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"]})
    frame.set_index(pd.Index(["x", "y"], name="doc_id")).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[1] == {"text": "b", "doc_id": "y"}
    frame.set_index(pd.Index(["x", "y"])).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[1] == {"text": "b", "index": "y"}


def invalid() -> pa.Array:
    """Two texts, of which the first is no UTF-8."""
    offsets = np.array([0, 3, 5], np.int32).tobytes()
    return pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"ab\xffcd")])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda texts: texts, "ab\udcff"),
        (lambda texts: texts.dictionary_encode(), "ab\udcff"),
        (lambda texts: pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), texts), ["ab\udcff"]),
    ],
)
def test_texts_of_a_table_that_are_no_utf8_are_kept_as_of_a_text_file(made: Any, expected: Any, tmp_path: Path) -> None:
    assert read(parquet(tmp_path / "a.parquet", pa.table({"text": made(invalid())})))[0]["text"] == expected


def test_tables_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    inside = pa.StructArray.from_arrays([invalid()], ["x"])
    refused(parquet(tmp_path / "a.parquet", pa.table({"labels": inside})), "rows 1 to 2", "no UTF-8")
    late = pa.table({"when": pa.array([2**62] * 9, pa.timestamp("us"))})
    refused(parquet(tmp_path / "b.parquet", late), "rows 1 to 9", "as text")
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], names=["text", "x", "x"])
    refused(parquet(tmp_path / "c.parquet", twice), "two columns are named 'x' (2 and 3)", "rename_columns")
    whole = parquet(tmp_path / "d.parquet", pa.table({"text": ["a"] * 99})).read_bytes()
    for at in (4, len(whole) // 2, len(whole) - 20):
        changed = bytearray(whole)
        changed[at : at + 8] = bytes(byte ^ 255 for byte in changed[at : at + 8])
        path = write(tmp_path / "e.parquet", bytes(changed))
        try:
            read(path)
        except UserError as error:
            assert "e.parquet is cut short or damaged" in str(error)  # noqa: PT017 - it may be read as well


# Folders saved by `datasets`.


def save(folder: Path, state: Any, info: Any = None, parts: Any = None) -> Path:
    folder.mkdir(exist_ok=True)
    for name, value in (("state.json", state), ("dataset_info.json", info or {}), ("dataset_dict.json", parts)):
        if value is not None:
            folder.joinpath(name).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def stream(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_stream(path, table.schema) as written:
        written.write_table(table)


def test_a_saved_set_is_read_through_its_index(tmp_path: Path) -> None:
    state = {
        "_data_files": [{"filename": "a.arrow"}, {"filename": "b.arrow"}],
        "_indices_files": [{"filename": "i.arrow"}],
    }
    save(tmp_path, state, {"features": {"labels": {"_type": "Sequence", "feature": CLASSES}}})
    stream(tmp_path / "a.arrow", pa.table({"text": ["a", "b"], "labels": [[0], [1]]}))
    stream(tmp_path / "b.arrow", pa.table({"text": ["c", "d"], "labels": [[0, 1], []]}))
    stream(tmp_path / "i.arrow", pa.table({"indices": pa.array([3, 0, 2], pa.uint64())}))
    assert [(row["text"], row["labels"]) for row in read(tmp_path)] == [
        ("d", []),
        ("a", ["gold"]),
        ("c", ["gold", "corn"]),
    ]
    tmp_path.joinpath("i.arrow").unlink()
    refused(tmp_path, "i.arrow, which state.json names, is missing")


NAMED = {"_data_files": [{"filename": "x.arrow"}]}
NONSENSE: list[tuple[Any, ...]] = [
    ("not json",),
    ("[]",),
    ({"_data_files": 5},),
    ({"_data_files": [1]},),
    ({"_data_files": [{}]},),
    ({"_data_files": [{"filename": "/etc/passwd"}]},),
    ({"_data_files": [{"filename": "../../etc/passwd"}]},),
    ({"_data_files": [{"filename": "a\0b"}]},),
    ({"_data_files": [{"filename": 5}]},),
    (NAMED,),
    (NAMED, "[]"),
    (NAMED, {"features": [1]}),
    (NAMED | {"_indices_files": [{"filename": "/etc/passwd"}]},),
    ({"_data_files": [{"filename": "state.json"}]}, {"features": {"labels": CLASSES | {"names": 5}}}),
    ({}, {}, "[]"),
    ({}, {}, {"splits": 5}),
    ({}, {}, {"splits": ["../../.."]}),
    ({}, {}, "1" * 6000),
    ("[" * 100_000,),
]


@pytest.mark.parametrize("notes", NONSENSE)
def test_nonsense_in_a_saved_set_is_one_sentence(notes: tuple[Any, ...], tmp_path: Path) -> None:
    refused(save(tmp_path / "set", *notes), ".")


# Workbooks.

HEADER, ROWS = ["id", "text", "labels"], [[n, f"Gold {n} rose.", "gold;corn"] for n in range(5)]


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_the_largest_sheet_of_a_workbook_is_read_and_the_others_are_said(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"about": [["made by us"]], "data": [[], HEADER, *ROWS], "empty": []})
    said: list[str] = []
    rows = list(read_rows(path, sniff(path), say=said.append))
    assert [row.values for row in rows] == [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    assert rows[0].place == 3
    assert said == ["a.xlsx: the sheet 'data' is read; not read: 'about' (rows: 1). `--records SHEET` reads another."]
    assert read(path, records="data") == [row.values for row in rows]
    refused(path, "has no sheet 'x'; it has about, data, empty", records="x")


def test_sheets_named_as_parts_are_parts(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"Train": [HEADER, *ROWS[:3]], "Test": [HEADER, *ROWS[3:]]})
    assert [row["split"] for row in read(path)] == ["Train"] * 3 + ["Test"] * 2


def test_cells_of_a_workbook_become_plain_values(tmp_path: Path) -> None:
    cells = [1, 1.5, True, "a", datetime.datetime(2024, 1, 5), "042", None]
    path = workbook(tmp_path / "a.xlsx", {"x": [list("abcdefg"), cells]})
    assert list(read(path)[0].values()) == [1, 1.5, True, "a", "2024-01-05", "042", ""]


def test_a_workbook_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"x": [["text", "text"], ["a", "b"]]})
    refused(path, "sheet 'x', row 1: two columns are named 'text' (1 and 2)")
    content = path.read_bytes()
    refused(write(tmp_path / "b.xlsx", content[: len(content) // 2]), "b.xlsx is a damaged zip")
    refused(workbook(tmp_path / "c.xlsx", {"x": []}), "c.xlsx is empty")
    changed = bytearray(content)
    changed[len(content) // 3 : len(content) // 3 + 40] = b"\xff" * 40
    refused(write(tmp_path / "d.xlsx", bytes(changed)), "d.xlsx")


# Lines and XML.


def test_labels_of_fasttext_stand_anywhere_in_a_line(tmp_path: Path) -> None:
    lines = "__label__gold __label__corn-meal Gold rose .\nCorn fell . __label__corn\n\n__label__x A__label__y\n"
    assert read(write(tmp_path / "a.txt", lines)) == [
        {"text": "Gold rose .", "labels": ["gold", "corn-meal"]},
        {"text": "Corn fell .", "labels": ["corn"]},
        {"text": "A__label__y", "labels": ["x"]},
    ]
    table = "text,labels\nGold rose,__label__gold\nCorn fell,__label__corn\n"
    assert read(write(tmp_path / "a.csv", table))[0] == {"text": "Gold rose", "labels": "__label__gold"}


PUBMED = """<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle" "https://dtd.nlm.nih.gov/x.dtd">
<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="1">7</PMID><Article>
<Journal><JournalIssue><PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate></JournalIssue></Journal>
<ArticleTitle>A <i>b</i> &lt; c</ArticleTitle>
<Abstract><AbstractText Label="AIM">One.</AbstractText><AbstractText>Two.</AbstractText></Abstract></Article>
<MeshHeadingList><MeshHeading><DescriptorName UI="D1">Diabetes Mellitus, Type 2</DescriptorName>
<QualifierName>blood</QualifierName></MeshHeading></MeshHeadingList></MedlineCitation></PubmedArticle>
</PubmedArticleSet>"""


def test_pubmed_gives_the_keys_of_bioasq(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.xml", PUBMED)) == [
        {
            "pmid": "7",
            "title": "A b < c",
            "abstractText": "One.\nTwo.",
            "meshMajor": ["Diabetes Mellitus, Type 2"],
            "year": "1998",
        }
    ]
    refused(write(tmp_path / "b.xml", PUBMED[:400]), "b.xml, line", "not XML", "cut short")
    entity = PUBMED.replace('"https://dtd.nlm.nih.gov/x.dtd"', '"x.dtd" [<!ENTITY a "b">]')
    refused(write(tmp_path / "c.xml", entity), "defines XML entities of its own")
    refused(write(tmp_path / "d.xml", "<?xml version='1.0'?><a><b/></a>"), "XML other than PubMed's")


REFUSED = {
    "a.pdf": (b"%PDF-1.4\n%\xe2", "a PDF"),
    "a.csv": (b"%PDF-1.4\n%\xe2", "a PDF"),
    "a.pkl": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", "a pickle of Python"),
    "b.pkl": (b"\x80\x02}q\0(X\x04\0\0\0textq\x01", "a pickle of Python"),
    "a.sqlite": (b"SQLite format 3\0" + b"\0" * 50, "an SQLite database"),
    "a.png": (b"\x89PNG\r\n\0\0", "a picture"),
    "a.html": (b"\n<!DOCTYPE html><html><body>x", "a page of HTML"),
    "a.doc": (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "a document of an office program"),
    "a.npy": (b"\x93NUMPY\1\0", "an array of NumPy"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c", "a package of 7-Zip"),
    "a.arff": (b"% about\n@RELATION x\n@ATTRIBUTE a {0,1}\n@DATA\n0\n", "Mulan"),
    "svm.txt": (b"1,2 3:0.5 7:1\n0 1:1 2:2\n", "word counts"),
    "xmc.txt": (b"3 20 5\n 4:0.8 7:0.9\n0,1 0:0.9 2:0.9\n4 1:0.5\n", "raw texts"),
    "a.yaml": (b"- text: a\n  labels: [x]\n", "a file of YAML"),
    "lfs.parquet": (b"version https://git-lfs.github.com/spec/v1\noid sha256:x\n", "git lfs pull"),
    "random.csv": (bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)), "no text file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name_with_a_way_out(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    refused(write(tmp_path / name, content), name, words, "Tailscope reads CSV")


def test_documents_of_an_office_program_are_refused_by_name(tmp_path: Path) -> None:
    import zipfile

    for name, member, words in (
        ("a.docx", "word/document.xml", "a Word document"),
        ("a.odt", "mimetype", "OpenDocument"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, "application/vnd.oasis.opendocument.text")
            archive.writestr("content.xml", "x")
        refused(tmp_path / name, name, words)

"""JSON of every layout gives the same documents; what is left unread is said."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import FileConfig
from core.data.readers import json_values, read_rows, sniff
from core.data.readers import row as bounds
from core.data.readers.json_shape import shape_of
from core.system.errors import UserError
from tests.helpers.laws import law

DOCUMENTS: list[dict[str, Any]] = [
    {"text": f'Gold [{number}] rose, and "fine" metal fell.', "labels": ["gold", "corn"][: number % 3]}
    for number in range(9)
]
FRAME = pd.DataFrame(DOCUMENTS)
META = [{"name": "A. Nother", "text": "x", "labels": ["law"]}]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(path: Path, **given: Any) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    return [row.values for row in read_rows(path, sniff(path, **given), say=said.append)], said


def texts(rows: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(row["text"], row["labels"]) for row in rows]


ALL = texts(DOCUMENTS)
BY_ID = {f"doc{number}": document for number, document in enumerate(DOCUMENTS)}
LISTS = {key: [document[key] for document in DOCUMENTS] for key in DOCUMENTS[0]}
LAYOUTS: dict[str, Any] = {
    "list.json": DOCUMENTS,
    "key.json": {"version": "1", "data": DOCUMENTS},
    "deep.json": {"response": {"meta": {"n": 1}, "result": {"docs": DOCUMENTS}}},
    "wrapped.json": [{"license": "CC", "documents": DOCUMENTS}],
    "index.json": BY_ID,
    "index_inside.json": {"corpus": BY_ID, "made": "2024"},
    "lists.json": LISTS,
    "bracket.json": {"description": "Court texts [2019-2024], {cleaned}", "data": DOCUMENTS},
    "names_first.json": {"label_names": ["gold", "corn"], "documents": DOCUMENTS},
    "long_names_first.json": {"words": ["w" * 99] * 50_000, "documents": DOCUMENTS},
    "side_by_side.json": "".join(json.dumps(document, indent=1) for document in DOCUMENTS),
    "on_one_line.json": " ".join(map(json.dumps, DOCUMENTS)),
    "comma.json": ",\n".join(map(json.dumps, DOCUMENTS)),
    "sequence.json": "".join(f"\x1e{json.dumps(document)}\n" for document in DOCUMENTS),
    "lists_side_by_side.json": json.dumps(DOCUMENTS[:4]) + "\n" + json.dumps(DOCUMENTS[4:]),
    "pretty.jsonl": "\n".join(json.dumps(document, indent=2) for document in DOCUMENTS),
    "list.jsonl": DOCUMENTS,
    "lines.json": "\n".join(map(json.dumps, DOCUMENTS)),
    "lines.csv": "\n".join(map(json.dumps, DOCUMENTS)),
    "lines": "\n".join(map(json.dumps, DOCUMENTS)),
    "cr.jsonl": "\r".join(map(json.dumps, DOCUMENTS)),
    "mark.jsonl": "\ufeff" + "\r\n".join(map(json.dumps, DOCUMENTS)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_documents(name: str, tmp_path: Path) -> None:
    rows, said = read(write(tmp_path / name, LAYOUTS[name]))
    assert texts(rows) == ALL
    assert not said


@pytest.mark.parametrize("rows", [9, 2, 1])
@pytest.mark.parametrize("indent", [0, 2])
@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_pandas_orients(orient: Any, indent: int, rows: int, tmp_path: Path) -> None:
    FRAME.head(rows).to_json(tmp_path / "a.json", orient=orient, indent=indent)
    assert texts(read(tmp_path / "a.json")[0]) == ALL[:rows]
    named = FRAME.head(rows).set_index(pd.Index([f"doc{number}" for number in range(rows)], name="id"))
    named.to_json(tmp_path / "b.json", orient=orient, indent=indent)
    found, _ = read(tmp_path / "b.json")
    assert texts(found) == ALL[:rows]
    if orient in ("columns", "index", "table"):
        assert [row["id"] for row in found] == list(BY_ID)[:rows]


def test_lists_without_names_have_numbered_columns(tmp_path: Path) -> None:
    FRAME.to_json(tmp_path / "a.json", orient="values")
    expected = [{"column 1": text, "column 2": labels} for text, labels in ALL]
    assert read(tmp_path / "a.json")[0] == expected
    lines = "\n".join(json.dumps([text, labels]) for text, labels in ALL)
    assert read(write(tmp_path / "a.jsonl", lines))[0] == expected


@pytest.mark.parametrize(
    "made",
    [
        lambda parts: parts,
        lambda parts: {"version": 2, **parts, "names": [{"id": 1, "name": "gold"}]},
        lambda parts: {"data": parts},
        lambda parts: {name: {"data": part, "size": len(part)} for name, part in parts.items()},
        lambda parts: {name: {key: [one[key] for one in part] for key in part[0]} for name, part in parts.items()},
        lambda parts: {name: {f"d{n}": one for n, one in enumerate(part)} for name, part in parts.items()},
    ],
)
def test_parts_under_their_names(made: Any, tmp_path: Path) -> None:
    parts = {"train": DOCUMENTS[:5], "dev": DOCUMENTS[5:7], "test": DOCUMENTS[7:]}
    rows, _ = read(write(tmp_path / "a.json", made(parts)))
    assert texts(rows) == ALL
    assert [row["split"] for row in rows] == ["train"] * 5 + ["dev"] * 2 + ["test"] * 2


def test_an_unknown_part_with_the_same_keys_is_one(tmp_path: Path) -> None:
    parts = {"train": DOCUMENTS[:5], "holdout": DOCUMENTS[5:], "test": DOCUMENTS[:2], "authors": [{"name": "x"}]}
    rows, said = read(write(tmp_path / "a.json", parts))
    assert [row["split"] for row in rows] == ["train"] * 5 + ["holdout"] * 4 + ["test"] * 2
    assert "not read: 'authors' (1)" in said[0]


@pytest.mark.parametrize("is_first", [True, False])
def test_the_larger_of_two_lists_is_read_and_said(is_first: bool, tmp_path: Path) -> None:
    value = {"authors": META, "data": DOCUMENTS} if is_first else {"data": DOCUMENTS, "authors": META}
    rows, said = read(write(tmp_path / "a.json", value))
    assert texts(rows) == ALL
    assert said == ["a.json: of its objects the 9 at 'data' are read as documents; not read: 'authors' (1)."]
    rows, said = read(tmp_path / "a.json", records="authors", orient="records")
    assert rows == META
    assert "not read: 'data' (9)" in said[0]


def test_what_is_no_json_around_the_documents_is_said(tmp_path: Path) -> None:
    rows, said = read(write(tmp_path / "a.json", f"var data = {json.dumps(DOCUMENTS)};\n"))
    assert texts(rows) == ALL
    assert said == [
        "a.json: characters before the first value that are no JSON, left out: 11.",
        "a.json, line 1: characters after the documents that are no JSON, not read: 2.",
    ]


def test_one_document_that_holds_a_list_of_objects_is_one_document(tmp_path: Path) -> None:
    document = {"id": "1", "abstract": "Gold rose in London.", "subjects": [{"uri": "x", "label": "gold"}] * 9}
    for name in ("a.json", "a.jsonl"):
        assert read(write(tmp_path / name, document))[0] == [document]
    snapshot = [DOCUMENTS[0] | {"versions": [{"v": "v1", "created": "Mon, 2 Apr 2007"}]}] * 3
    assert len(read(write(tmp_path / "b.json", "\n".join(map(json.dumps, snapshot))))[0]) == 3


def test_a_first_line_longer_than_any_block(tmp_path: Path) -> None:
    long = {"text": "x" * 900_000, "labels": ["a"]}
    rows, _ = read(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, [long, *DOCUMENTS]))))
    assert texts(rows) == [(long["text"], ["a"]), *ALL]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text": "a", "labels": ["x"]}\n{"text": "b', "Is the file cut short? `--bad-lines skip`"),
        ('{"text": "a", "labels": ["x"]}\n"only a text"\n', "line 2: found a text"),
        ('{"text": "a", "labels": ["x"]}\n{"text": "b"} {"text": "c"}\n', "`--format json` reads several on a line"),
    ],
)
def test_lines_that_are_no_document_are_refused_or_counted(content: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", content)
    with pytest.raises(UserError, match="line 2") as caught:
        read(path)
    assert words in str(caught.value)
    rows, said = read(path, bad_lines="skip")
    assert len(rows) == 1
    assert said == ["a.jsonl: lines left out, as they are no document: 1; the first is line 2."]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"data": [{"text": "a"}, {"text": "b"}', "never ends. Is the file cut short"),
        ('[{"text": "a"}, {"text": "b', "Is the file cut short"),
        ('{"text": ["a", "b"], "labels": [["x"]]}x', "not JSON"),
        ("text,labels\na,[]\n", "--format csv"),
    ],
)
def test_json_that_is_cut_or_none_is_said(content: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(write(tmp_path / "a.json", content))
    assert words in str(caught.value)


def test_a_format_that_is_named_overrides_the_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", FRAME.assign(labels="gold").to_csv(index=False))
    assert [row["text"] for row in read(path, format="csv")[0]] == [text for text, _ in ALL]
    path = write(tmp_path / "a.jsonl", '{"text": "a"} {"text": "b"}')
    assert len(read(path, format="json")[0]) == 2


def test_tables_by_columns_are_read_whole_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "WHOLE", 1 << 20)
    path = write(tmp_path / "a.json", {"text": ["x" * 999] * 4000, "labels": [["a"]] * 4000})
    with pytest.raises(UserError, match=r"too long for a document\. Write the documents as JSON lines"):
        read(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@law(25)
@given(
    documents=st.lists(st.fixed_dictionaries({"text": st.text(min_size=1, max_size=9), "more": VALUES}), min_size=2),
    key=st.sampled_from(["", "data", "a.b"]),
    indent=st.sampled_from([None, 1]),
    size=st.sampled_from([3, 40, 1 << 20]),
)
def test_records_under_any_key_come_back_in_pieces_of_any_size(
    documents: list[dict[str, Any]], key: str, indent: int | None, size: int
) -> None:
    value: Any = documents
    for name in reversed(key.split(".") if key else []):
        value = {"about": "x", name: value}
    text = json.dumps(value, indent=indent)
    shape = shape_of(text)
    assert shape is not None
    assert (shape.orient, shape.records) == ("records", key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "CHUNK", size)
        stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
        file = FileConfig(format="json", orient="records", records=key)
        assert [row.values for row in json_values.value_rows("a.json", stream, file, print)] == documents

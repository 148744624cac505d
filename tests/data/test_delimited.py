"""CSV of every dialect gives the same rows; what is left out or filled up is counted and said."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import FileConfig
from core.data.readers import read_documents, read_rows, sniff
from core.data.readers.delimited import delimited_rows
from core.data.readers.encodings import check_encoding
from core.data.readers.flags import FlagTail, FlagValues
from core.data.readers.rows import propose_encoding
from core.system.errors import UserError
from tests.helpers.laws import law

HEADER = ["id", "text", "labels"]
ROWS = [[f"d{number}", f'Gold {number} rose, and "fine" metal; fell.', "gold;corn"] for number in range(30)]
TEXTS = [row[1] for row in ROWS]


def table(rows: list[list[str]] = [HEADER, *ROWS], **options: Any) -> str:  # noqa: B006 - it is not changed
    stream = io.StringIO(newline="")
    csv.writer(stream, **options).writerows(rows)
    return stream.getvalue()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, **given: Any) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    return [row.values for row in read_rows(path, sniff(path, **given), say=said.append)], said


DIALECTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "unix": {"lineterminator": "\n"},
    "cr": {"lineterminator": "\r"},
    "semicolon": {"delimiter": ";"},
    "tab": {"delimiter": "\t"},
    "bar": {"delimiter": "|"},
    "all quoted": {"quoting": csv.QUOTE_ALL},
    "backslash": {"doublequote": False, "escapechar": "\\"},
    "no quotes": {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None},
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_same_rows(name: str, encoding: str, tmp_path: Path) -> None:
    rows, said = read(write(tmp_path / "a.csv", table(**DIALECTS[name]).encode(encoding)))
    assert [list(row.values()) for row in rows] == ROWS
    assert list(rows[0]) == HEADER
    assert not said


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_above_the_header(delimiter: str, tmp_path: Path) -> None:
    content = table(delimiter=delimiter)
    for above, words in (
        (f"sep={delimiter}\r\n", "lines above the header, left out: 1 (sep="),
        ("Report of the year\nmade by us\n", "lines above the header, left out: 2 (Report of the year / made by us)."),
        ("# made 2024\n# do not share\n", "lines left out, as they begin with '#': 2."),
    ):
        rows, said = read(write(tmp_path / "a.csv", above + content))
        assert [row["text"] for row in rows] == TEXTS
        assert words in said[0]


def test_comments_are_left_out_where_a_row_begins_alone(tmp_path: Path) -> None:
    content = '# above\ntext,labels\n"a text\n# of two lines",x\n# between\n#hash is no comment,y\n'
    rows, said = read(write(tmp_path / "a.csv", content), comment="# ")
    assert [row["text"] for row in rows] == ["a text\n# of two lines", "#hash is no comment"]
    assert said == ["a.csv: lines left out, as they begin with '# ': 2."]
    assert len(read(write(tmp_path / "b.csv", "text,labels\n#gold rose,x\n#corn fell,y\n"))[0]) == 2


def test_row_names_of_r(tmp_path: Path) -> None:
    for name, delimiter in (("a.tsv", "\t"), ("b.csv", ","), ("c.txt", " ")):
        lines = [delimiter.join(f'"{cell}"' for cell in ("text", "labels"))]
        lines += [delimiter.join(f'"{cell}"' for cell in (str(n), f"Gold rose {n}", "gold")) for n in range(9)]
        rows, _ = read(write(tmp_path / name, "\n".join(lines)))
        assert rows[3] == {"row name": "3", "text": "Gold rose 3", "labels": "gold"}
    # One row with a comma too many is no row name.
    with pytest.raises(UserError, match="line 2: 3 fields, but there are 2 columns"):
        read(write(tmp_path / "d.csv", "text,labels\nHello, world,x\nfine,y\n"))


def test_quotes_that_are_part_of_the_text(tmp_path: Path) -> None:
    for name, lone in (("a.tsv", '" mark'), ("b.tsv", '"Hello" he said'), ("c.tsv", '5" and more')):
        lines = [f"{n}\t{lone if n in (3, 7) else 'Gold'} {n}\tgold" for n in range(20)]
        rows, _ = read(write(tmp_path / name, "id\ttext\tlabels\n" + "\n".join(lines)))
        assert [row["text"] for row in rows] == [f"{lone if n in (3, 7) else 'Gold'} {n}" for n in range(20)]


def test_a_quote_that_is_never_closed_beyond_the_beginning(tmp_path: Path) -> None:
    lines = [f'd{n},"Gold, {n}",gold' for n in range(20_000)]
    lines[15_000] = 'd15000,"Gold 15000,gold'
    path = write(tmp_path / "a.csv", "id,text,labels\n" + "\n".join(lines))
    with pytest.raises(UserError, match=r"line 15002: .*`--quote none` reads quotes as text"):
        read(path)
    rows, said = read(path, bad_lines="skip")
    assert len(rows) == 19_999
    assert said == ["a.csv: rows left out, as they cannot be read: 1; the first is line 15,002."]


def test_two_lone_quotes_that_swallow_rows_are_said(tmp_path: Path) -> None:
    lines = [f'd{n};"Gold; {n}";gold' if n < 9000 else f"d{n};Gold {n};gold" for n in range(12_000)]
    lines[10_000], lines[10_004] = 'd10000;"Gold 10000;gold', 'd10004;Gold 10004";gold'
    rows, said = read(write(tmp_path / "a.csv", "id;text;labels\n" + "\n".join(lines)))
    assert len(rows) == 12_000 - 4
    assert "fields in quotes whose lines look like rows of their own" in said[0]
    assert "line 10,002" in said[0]


def test_rows_of_another_length(tmp_path: Path) -> None:
    content = "text,labels,note\nfine,x,1\nshort,y\nlonger,z,1,,\nbad,a,b,c\nlast,b,2\n"
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(UserError, match=r"line 5: 4 fields, but there are 3 columns.*--bad-lines skip"):
        read(path)
    rows, said = read(path, bad_lines="skip")
    assert [list(row.values()) for row in rows] == [
        ["fine", "x", "1"],
        ["short", "y", ""],
        ["longer", "z", "1"],
        ["last", "b", "2"],
    ]
    assert said == [
        "a.csv: rows left out, as they cannot be read: 1; the first is line 5.",
        "a.csv: rows with fewer fields than columns, what is missing is read as empty: 1; the first is line 3.",
    ]


def test_blanks_after_the_delimiter(tmp_path: Path) -> None:
    content = "text, labels\n" + "".join(f'"Gold, {n}", "gold, corn"\n' for n in range(9))
    assert read(write(tmp_path / "a.csv", content))[0][1] == {"text": "Gold, 1", "labels": "gold, corn"}
    assert read(write(tmp_path / "b.csv", "text,labels\n leading,x\n"))[0] == [{"text": " leading", "labels": "x"}]


def test_signs_that_end_no_line(tmp_path: Path) -> None:
    odd = "Gold\u2028rose\x0b\x0c\x85\u2029."
    rows, said = read(write(tmp_path / "a.csv", table([HEADER, *([f"{n}", odd, "x"] for n in range(9))])))
    assert [row["text"] for row in rows] == [odd] * 9
    assert not said
    rows, said = read(write(tmp_path / "b.csv", table().replace("Gold", "Go\0ld", 3)))
    assert [row["text"] for row in rows] == TEXTS
    assert said == ["b.csv: NUL characters left out: 3."]


def test_a_header_and_a_first_row_longer_than_any_block(tmp_path: Path) -> None:
    names = [f"a long name of a label {number}" for number in range(12_000)]
    rows, _ = read(write(tmp_path / "a.csv", table([["doc", *names], ["Gold rose.", *("01" * 6000)]])))
    assert list(rows[0]) == ["doc", *names]
    rows, _ = read(write(tmp_path / "b.csv", table([["doc", "about"], ["x" * 600_000, "gold"], ["y", "corn"]])))
    assert [row["about"] for row in rows] == ["gold", "corn"]


def test_the_delimiter_is_no_comma_of_a_text(tmp_path: Path) -> None:
    lines = [f"gold rose, in {n} and more words here;gold,corn" for n in range(9)]
    for header in ("", "text;labels\n"):
        rows, _ = read(write(tmp_path / "a.csv", header + "\n".join(lines)))
        assert [list(row.values())[1] for row in rows] == ["gold,corn"] * 9
    lines = [f"a; b; c {n},gold" for n in range(9)]
    assert read(write(tmp_path / "b.csv", "text,labels\n" + "\n".join(lines)))[0][0]["text"] == "a; b; c 0"


def test_columns_between_tabs_without_a_header_are_named(tmp_path: Path) -> None:
    texts = [f"Gold rose in London again, number {n}." for n in range(9)]
    lines = [f"{n}\tgold corn\t{text}" for n, text in enumerate(texts)]
    lines[5] += "\tand a tab"
    rows, said = read(write(tmp_path / "lml.txt", "\n".join(lines)))
    assert rows[1] == {"id": "1", "labels": "gold corn", "text": texts[1]}
    assert rows[5]["text"] == f"{texts[5]}\tand a tab"
    assert "the rest is read as part of the text" in said[0]
    rows, _ = read(write(tmp_path / "annif.tsv", "\n".join(f"{text}\t<http://x/1> <http://x/2>" for text in texts)))
    assert rows[0] == {"text": texts[0], "labels": "<http://x/1> <http://x/2>"}


def test_two_columns_of_one_name_have_a_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,labels,labels\nGold rose.,gold,corn\n")
    with pytest.raises(UserError, match=r"--skip-lines 1 --no-header"):
        read(path)
    assert read(path, skip_lines=1, header=False)[0] == [
        {"column 1": "Gold rose.", "column 2": "gold", "column 3": "corn"}
    ]


ENCODED = [
    ("cp1252", "Müller’s café in Zürich öffnet früh – für alle.", "cp1252"),
    ("latin-1", "El niño comió piñas en España, ¿qué?", "cp1252"),
    ("cp1250", "Zażółć gęślą jaźń, złoto drożeje.", "cp1250"),
    ("cp1252", "Die Märkte in Köln fielen.", "cp1252"),
    ("cp1252", "Ça a été décidé à l'Élysée.", "cp1252"),
    ("cp1250", "Przemysł w Łodzi rośnie.", "cp1250"),
    ("mac-roman", "Zürich war ruhig, die Märkte auch.", "mac_roman"),
    ("cp850", "Zürich war ruhig, die Märkte auch.", "cp850"),
    ("cp1251", "Сегодня хорошая погода, золото дорожает.", "cp1251"),
    ("koi8-r", "Сегодня хорошая погода, золото дорожает.", "koi8_r"),
    ("gbk", "今天的天气很好，黄金价格上涨。", "gb18030"),
    ("shift_jis", "今日は天気がいいですね。金の価格が上がりました。", "cp932"),
    ("euc_kr", "오늘은 날씨가 좋습니다. 금값이 올랐습니다.", "cp949"),
]


@pytest.mark.parametrize(("encoding", "text", "proposed"), ENCODED)
def test_an_encoding_is_proposed_with_the_lines_read_both_ways(
    encoding: str, text: str, proposed: str, tmp_path: Path
) -> None:
    content = table([["text", "labels"], *([f"{text} {n}", "gold"] for n in range(9))])
    path = write(tmp_path / "a.csv", content.encode(encoding))
    found = propose_encoding(path, sniff(path))
    assert found is not None
    assert found.encoding == proposed
    assert text in found.after[0]
    assert "\ufffd" in found.before[0]
    assert read(path, encoding=found.encoding)[0][0]["text"] == f"{text} 0"
    assert propose_encoding(path, sniff(path, encoding=proposed)) is None


@pytest.mark.parametrize(
    "encoding",
    [
        "idna",
        "undefined",
        "punycode",
        "hex",
        "rot13",
        "base64",
        "zlib",
        "unicode_escape",
        "klingon",
        "utf-8\0",
        "x" * 3000,
    ],
)
def test_what_is_no_encoding_of_texts_is_one_sentence(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Usual ones: utf-8, latin-1, cp1252") as caught:
        sniff(write(tmp_path / "a.csv", table()), encoding=encoding)
    assert len(str(caught.value)) < 200
    with pytest.raises(UserError, match=r"a\.csv"):
        check_encoding("a.csv", encoding)


@pytest.mark.parametrize("delimiter", ["ab", '"', "\n", "\r", ""])
def test_what_is_no_delimiter_is_one_sentence(delimiter: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^a\.csv"):
        sniff(write(tmp_path / "a.csv", table()), delimiter=delimiter)


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@law(30)
@given(
    rows=st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from("\"'"),
)
def test_rows_of_any_text_come_back_in_any_dialect(rows: list[Any], delimiter: str, quote: str) -> None:
    content = table([HEADER, *map(list, rows)], delimiter=delimiter, quotechar=quote)
    stream = io.TextIOWrapper(io.BytesIO(content.encode()), "utf-8", newline="")
    file = FileConfig(format="csv", delimiter=delimiter, quote=quote)
    assert [tuple(row.values.values()) for row in delimited_rows("a.csv", stream, file, print)] == rows


# A 0/1 column for each label.


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_lines_of_flags_give_what_their_cells_give(
    quoting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"label {number}" for number in range(40)]
    rows: list[list[Any]] = [["id", "text", *names]]
    for number in range(60):
        flags: list[Any] = [int((number * at) % 7 == 3) for at in range(40)]
        if number in (20, 40):  # such rows are read cell by cell
            flags[3] = "" if number == 20 else "-1"
        rows.append([number, f'Gold, "{number}"\nrose' if number % 5 else f"Gold {number}", *flags])
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=quoting).writerows(rows)
    path = write(tmp_path / "a.csv", stream.getvalue())
    file = FileConfig(format="csv", text=("text",), id="id", labels=("*",), sep="0/1")
    usual = list(read_documents(path, file))
    monkeypatch.setattr("core.data.readers.delimited.FULL", 5)
    assert any(isinstance(row.values, FlagValues) for row in read_rows(path, file))
    monkeypatch.setattr("core.data.readers.columns.FIRST", 5)
    assert list(read_documents(path, file)) == usual
    assert len(usual) == 60


@law(100)
@given(line=st.text('01,;"x .-\n', max_size=12))
def test_a_line_is_read_as_flags_only_where_its_cells_are(line: str) -> None:
    file = FileConfig(format="csv")
    found = FlagTail(["a", "b", "c", "d"], 3, file).values(line)
    if found is None:
        return
    cells = next(csv.reader([line], strict=True))
    assert cells[:1] == [found["a"]]
    assert tuple(name for name, cell in zip("bcd", cells[1:], strict=True) if cell == "1") == found.flags
    assert set(cells[1:]) <= {"0", "1"}

"""A label cell in every notation in which files have one, and the sign that stands between labels."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.readers.cells import Written, cut, is_record, keys_of, label_of, parse_cell
from core.data.readers.notation import find_meaning, name_list
from core.data.readers.separators import find_separators

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8), max_size=5
)
PLAIN = st.text(string.ascii_lowercase, min_size=2, max_size=8)


def postgres(names: list[str]) -> str:
    """An array as Postgres writes it."""
    written = []
    for name in names:
        special = (
            not name
            or any(sign in name for sign in ' {},"\\')
            or name.lower() in ("null", "none", "nan", "nat")
            or not name.isalnum()
        )
        inner = name.replace("\\", "\\\\").replace('"', '\\"')
        written.append(f'"{inner}"' if special or name[0].isdigit() else name)
    return "{" + ",".join(written) + "}"


WRITERS: dict[str, Callable[[list[str]], str]] = {
    "json": json.dumps,
    "json as it is": lambda names: json.dumps(names, ensure_ascii=False),
    "python": repr,
    "tuple": lambda names: repr(tuple(names)),
    "numpy": lambda names: str(np.array(names, dtype=object)),
    "numpy's repr": lambda names: repr(np.array(names, dtype=object)),
    "numpy's strings": lambda names: repr([np.str_(name) for name in names]),
    "tags of fastText": lambda names: " ".join(f"__label__{name}" for name in names),
    "angles": lambda names: "".join(f"<{name}>" for name in names),
}


@given(names=NAMES, way=st.sampled_from(["json", "json as it is", "python", "tuple", "numpy", "numpy's repr"]))
def test_a_list_written_by_a_program_is_read_back(names: list[str], way: str) -> None:
    assert parse_cell(WRITERS[way](names)) == names


@given(names=st.lists(PLAIN, min_size=1, max_size=5), way=st.sampled_from(sorted(WRITERS)))
def test_plain_names_are_read_back_from_every_notation(names: list[str], way: str) -> None:
    assert parse_cell(WRITERS[way](names)) == names


@given(names=NAMES.filter(bool))
def test_an_array_of_postgres_is_read_back(names: list[str]) -> None:
    assert parse_cell(postgres(names)) == names


@given(names=st.sets(PLAIN, min_size=1))
def test_a_set_is_read_back(names: set[str]) -> None:
    for text in (repr(names), repr(frozenset(names)), f"set({sorted(names)!r})"):
        found = parse_cell(text)
        assert isinstance(found, list)
        assert (set(found), len(found)) == (names, len(names))


CELLS: list[tuple[str, Any]] = [
    ("[a, b]", ["a", "b"]),
    ("[ machine learning , law ]", ["machine learning", "law"]),
    ("[it's, fine]", ["it's", "fine"]),
    ("['it\\'s' \"fine\"]", ["it's", "fine"]),
    ("['a'\n 'b'\n 'c d']", ["a", "b", "c d"]),
    ("['a', nan, None]", ["a", None, None]),
    ("[nan]", [None]),
    ("[]", []),
    ("()", []),
    ("{}", {}),
    ("set()", []),
    ("('a',)", ["a"]),
    ("array(['a', 'b c'], dtype='<U3')", ["a", "b c"]),
    ("np.array(['a'])", ["a"]),
    ("Index(['a', 'b'], dtype='object')", ["a", "b"]),
    ("[1 0 1]", [1, 0, 1]),
    ("[1. 0. 0.5]", [1.0, 0.0, 0.5]),
    ("[ True False]", [True, False]),
    ("[np.int64(2), np.float64(0.5)]", [2, 0.5]),
    ("[042, 428.0]", ["042", 428.0]),
    ("{a,b}", ["a", "b"]),
    ('{"a b",c}', ["a b", "c"]),
    ("{http://x.org/a,http://x.org/b}", ["http://x.org/a", "http://x.org/b"]),
    ("{'a': 1, 'b': 0}", {"a": 1, "b": 0}),
    ("{economy: 1, law: 0}", {"economy": 1, "law": 0}),
    ('{"/m/1": "law"}', {"/m/1": "law"}),
    ("[{'id': 1, 'name': 'it\\'s'}]", [{"id": 1, "name": "it's"}]),
    ('{"choices": ["a", "b"]}', {"choices": ["a", "b"]}),
    ("<a><b-c>", ["a", "b-c"]),
    ("<http://x.org/a> <http://x.org/b>", ["http://x.org/a", "http://x.org/b"]),
    ("__label__a __label__b-c", ["a", "b-c"]),
    ("  ['a']  ", ["a"]),
]
NAMES_THAT_STAY = [
    "a",
    "",
    "[de] law",
    "[de] law; [de] tax",
    "law [de]",
    "[a] and [b]",
    "(unknown)",
    "a (b)",
    "(a) b",
    "{",
    "[",
    "]",
    "<b>law</b>",
    "x < y",
    "a > b > c",
    "C#",
    "__init__",
    "Kidney Failure, Chronic",
    "a[0]",
    "f(x)",
    "[" * 5000,
    "[" * 5000 + "]" * 5000,
    "['a",
    "['a']]",
    "{'a': 1, 'b'}",
]


@pytest.mark.parametrize(("text", "expected"), CELLS, ids=[text for text, _ in CELLS])
def test_a_notation_is_read(text: str, expected: Any) -> None:
    assert parse_cell(text) == expected


@pytest.mark.parametrize("text", NAMES_THAT_STAY, ids=lambda text: text[:20])
def test_a_name_is_no_notation(text: str) -> None:
    assert parse_cell(text) is None


@given(st.text(alphabet="[](){}<>'\",: ab01\\\n_.#", max_size=20))
def test_any_text_is_read_or_left(text: str) -> None:
    if "..." in text:
        text = text.replace("...", "..")
    found = parse_cell(text)
    assert found is None or isinstance(found, (list, dict))


def test_a_list_that_numpy_has_cut_short_is_no_list() -> None:
    for values in (np.zeros(2000, int), np.array(["a"] * 2000, dtype=object)):
        with pytest.raises(ValueError, match="cut short"):
            parse_cell(str(values))


def test_numbers_keep_how_they_are_written() -> None:
    found = parse_cell("[428.0, 38.90, 5]")
    assert isinstance(found, list)
    assert [label_of(item, decimals=True) for item in found] == ["428.0", "38.90", "5"]
    assert [label_of(item) for item in (4.0, 3, " a ")] == ["4", "3", "a"]
    assert str(Written("038.90")) == "038.90"
    for item in (1.5, True, None, ["a"]):
        with pytest.raises(ValueError):
            label_of(item)


# Separators.

SIGNS = ["|", ";", ",", "\n", "\t", "#", "/", " ", "||", " | ", "; "]


@given(
    names=st.sets(PLAIN, min_size=3, max_size=8),
    sign=st.sampled_from(SIGNS),
    seed=st.integers(0, 1000),
)
def test_names_that_stand_alone_elsewhere_prove_their_separator(names: set[str], sign: str, seed: int) -> None:
    chosen, all_names = np.random.default_rng(seed), sorted(names)
    joined = [list(chosen.permutation(all_names)[: 2 + row % 2]) for row in range(20)]
    texts = [*all_names, *(sign.join(row) for row in joined)]
    found = find_separators(texts)
    assert found.accepted[:1] == ((sign if sign == "\n" or sign == "\t" else sign.strip() or " "),)
    assert [cut(sign.join(row), found.accepted) for row in joined] == joined


MESH = ["Diabetes Mellitus, Type 2", "Kidney Failure, Chronic", "Humans", "Lipids, Blood", "Kidney Failure"]


@pytest.mark.parametrize(
    ("texts", "accepted"),
    [
        (MESH, ()),
        (["|".join(MESH[row : row + 2]) for row in range(4)] * 3, ("|",)),
        (["; ".join(MESH[row : row + 2]) for row in range(4)] + MESH, (";",)),
        (["a/b/c", "a/b", "a/d", "e/f"] * 5, ()),
        (["Science > Physics|Law > Tax", "Law > Tax", "Science > Physics"], ("|",)),
        (["machine learning", "deep learning", "learning", "law"] * 5, ()),
        (["C#", "C", "C++", "F#"] * 5, ()),
        (["C++", "C", "R&D", "Q&A", "A+", "D"] * 5, ()),
        (["law+tax", "law", "tax", "tax+law"] * 5, ("+",)),
        (["law & tax", "law", "tax", "tax & law"] * 5, ("&",)),
        (["C#|C", "C++", "C|F#", "C#"] * 5, ("|",)),
        (["python pandas", "pandas", "numpy python", "python", "numpy"], (" ",)),
        (["law"] * 300 + ["law,tax", "tax"], (",",)),
        (
            ["law; tax", "law, tax", "tax", "law", "health, law", "health", "tax; health", "tax, health", "law; health"]
            * 3
            + ["tax; law"],
            (";", ","),
        ),
        (["economy;health;;", "law ;"], (";",)),
        (["R&amp;D;law", "law", "R&D"], (";",)),
        (["健康、法律", "法律", "健康"], ("、",)),
        ([], ()),
        (["", " "], ()),
        (["New York, NY", "Boston, MA", "Albany, NY"] * 10, ()),
        (
            ["deep learning, graphs, text mining", "trees, forests, bagging, boosting", "kernels, margins, duals"] * 5,
            (",",),
        ),
    ],
)
def test_the_separator_is_the_sign_whose_parts_begin_other_cells(texts: list[str], accepted: tuple[str, ...]) -> None:
    assert find_separators(texts).accepted == accepted


def test_a_comma_that_nothing_proves_is_doubtful() -> None:
    found = find_separators(["law, tax"])
    assert (found.accepted, found.doubtful, found.example) == ((), ",", "law, tax")


# What the cells of a column mean.


def meaning(values: list[Any], column: str = "labels", **given: Any) -> tuple[dict[str, Any], list[str]]:
    found = find_meaning(Path("a.csv"), column, values, given)
    return found.settings, [question.option for question in found.questions]


ASKED: list[tuple[str, list[Any], str]] = [
    ("a vector in words", ["[1, 0, 0]", "[0, 1, 1]"], "--label-names"),
    ("a vector of NumPy", ["[1 0 0]", "[0 1 1]"], "--label-names"),
    ("a vector of flags", [[True, False], [False, False]], "--label-names"),
    ("a vector between blanks", ["1 0 0", "0 1 1", "0 0 0"], "--label-names"),
    ("a vector between commas", ["1,0,0", "0,1,1", "0,0,0"], "--label-names"),
    ("a vector of digits", ["100", "011", "000"], "--label-names"),
    ("places", [[2, 3], [0], [], [0, 2, 4], [1]], "--label-names"),
    ("places in words", ["2,7", "0", "1", "3", "2"], "--label-names"),
    ("places as decimals", ["0.0", "2.0", "1.0"], "--label-names"),
    ("counts", [{"a": 3, "b": 0}], "--cut"),
    ("scores", [{"a": 0.25, "b": 0.75}], "--cut"),
    ("objects with scores", [[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.2}]], "--cut"),
    ("ones", [{"a": 1}, {"b": 1}], "--cut"),
    ("objects", [[{"en": "a", "de": "b"}]], "--label-key"),
    ("commas", ["law, tax"], "--sep"),
]


@pytest.mark.parametrize(("values", "option"), [case[1:] for case in ASKED], ids=[case[0] for case in ASKED])
def test_what_cells_leave_open_is_asked(values: list[Any], option: str) -> None:
    assert option in meaning(values)[1]


CLEAR: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("flags", [{"a": 1.0, "b": 0.0}, {"a": 0, "b": 1}], {}),
    ("names by id", [{"/m/1": "law", "/m/2": "tax"}], {}),
    ("objects of a label", [[{"uri": "http://x/1", "label": "law"}]], {"label_key": "label"}),
    ("objects of one text", [[{"id": 3, "genre_name": "law"}]], {"label_key": "genre_name"}),
    ("codes", ["042", "428.0", "250.00"], {}),
    ("codes as numbers", [[428.0, 38.9], [38.9], [428.0], [38.9]], {"decimals": True}),
    ("large numbers", [[1000, 1004], [2000]], {}),
    ("numbers in quotes", [["1", "2"], ["0"]], {}),
    ("hierarchies", ["a/b/c", "a/d"], {}),
]


@pytest.mark.parametrize(("values", "settings"), [case[1:] for case in CLEAR], ids=[case[0] for case in CLEAR])
def test_what_is_clear_is_not_asked(values: list[Any], settings: dict[str, Any]) -> None:
    found, asked = meaning(values)
    assert not asked
    assert {key: value for key, value in found.items() if value not in ("", ())} == settings


def test_numbers_of_a_column_of_numbers_are_their_own_names() -> None:
    settings, asked = meaning([[0, 3], [1], [2]], "target_ind")
    assert not asked
    assert "numbers" not in settings


def test_an_answer_is_not_asked_again() -> None:
    names = ("a", "b", "c")
    assert meaning([[1, 0, 0]], label_names=names) == ({"sep": "", "other_seps": (), "numbers": "vector"}, [])
    assert meaning([[0], [2]], label_names=names)[0]["numbers"] == "index"
    assert meaning([[1], [3]], label_names=names)[0]["label_names"] == ("", *names)
    assert meaning([[1, 0, 0], [0, 1, 0]], label_names="numbers")[0]["label_names"] == ("0", "1", "2")
    assert meaning(["law, tax"], sep=",") == ({}, [])
    assert not meaning([{"a": 0.25}], cut=0.5)[1]


@pytest.mark.parametrize(
    "text",
    [
        "law\ntax\n\n R&D \n",
        '["law", "tax", "R&D"]',
        "\ufefflaw\r\ntax\r\nR&D",
        "law,tax,R&D",
        '{"law": 0, "R&D": 2, "tax": 1}',
    ],
)
def test_names_of_labels_are_read_from_a_file(text: str) -> None:
    assert name_list(text) == ("law", "tax", "R&D")


def test_objects_are_rows_of_columns_or_labels() -> None:
    assert is_record([{"text": "a", "title": "b"}, {"text": "c", "title": "d"}])
    assert is_record([{"labels": ["a"]}])
    assert is_record([{"year": 2010, "length": 3}, {"year": 2011, "length": 4}])
    assert not is_record([{"a": 1, "b": 0}, {"a": 0, "b": 1}])
    assert not is_record([{"/m/1": "law"}, {"/m/2": "tax"}, {"/m/3": "tax", "/m/2": "law"}])
    assert not is_record([{"choices": ["a"]}])
    assert keys_of([{"uri": "x", "label": "y"}, {"id": 3}]) == ["label", "uri"]

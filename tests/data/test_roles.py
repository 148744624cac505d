"""What columns are taken for, in the many ways in which files hold the same twelve documents, and what is asked."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data import readers, scanning
from core.data.readers import Reading, read_documents, sentences, study
from core.data.summary import summarize_rows
from core.system.errors import UserError

TEXTS = [f"Gold rose in London as dealers waited for the fixing of the day number {n}" for n in range(12)]
NAMES = ["economy", "health", "law", "space", "music"]
LABELS = [[NAMES[n % 5]] + ([NAMES[(n + 2) % 5]] if n % 3 else []) for n in range(12)]
"""One or two for each document."""
PAIRS = [(n, TEXTS[n], label) for n in range(12) for label in LABELS[n]]


def table(header: list[str], rows: list[list[Any]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue()


def by_label(yes: Any, no: Any, names: list[str] | None = None, **more: list[Any]) -> str:
    """A column for each label, after those of `more`."""
    rows = [
        [TEXTS[n], *(values[n] for values in more.values()), *(yes if name in LABELS[n] else no for name in NAMES)]
        for n in range(12)
    ]
    return table(["text", *more, *(names or NAMES)], rows)


def in_cell(write: Callable[[list[str]], Any], column: str = "labels", **more: list[Any]) -> str:
    """One column of labels, after those of `more`."""
    rows = [[TEXTS[n], *(values[n] for values in more.values()), write(LABELS[n])] for n in range(12)]
    return table(["text", *more, column], rows)


def lines(make: Callable[[int], dict[str, Any]]) -> str:
    return "".join(json.dumps(make(n)) + "\n" for n in range(12))


def vector(labels: list[str]) -> list[int]:
    return [int(name in labels) for name in NAMES]


RIGHT: dict[str, tuple[str, str]] = {
    **{
        f"flags {yes} {no}": ("csv", by_label(yes, no))
        for yes, no in (("t", "f"), ("on", "off"), ("Y", "N"), ("ja", "nein"), ("TRUE", "FALSE"), ("✓", ""), ("X", ""))
    },
    "flags beside stars": ("csv", by_label(1, 0, stars=[n % 5 + 1 for n in range(12)])),
    "flags beside one of another kind": ("csv", by_label("Yes", "No", seen=[n % 2 for n in range(12)])),
    "flags beside is_test": ("csv", by_label(1, 0, is_test=[n % 2 for n in range(12)])),
    "flags beside a score": ("csv", by_label(1, 0, confidence=[n / 12 for n in range(12)])),
    "numbered columns": (
        "csv",
        table(["text", "label_1", "label_2"], [[TEXTS[n], *(LABELS[n] + [""])[:2]] for n in range(12)]),
    ),
    "columns of the same names": (
        "csv",
        table(["text", "first_category", "more_category"], [[TEXTS[n], *(LABELS[n] + [""])[:2]] for n in range(12)]),
    ),
    "one label a row": ("csv", table(["doc_id", "text", "label"], [list(pair) for pair in PAIRS])),
    "one label a row, the text once": (
        "csv",
        table(["id", "text", "label"], [[n, text if label == LABELS[n][0] else "", label] for n, text, label in PAIRS]),
    ),
    "one label a row, in any order": (
        "csv",
        table(["id", "text", "label"], [list(p) for p in PAIRS[::2] + PAIRS[1::2]]),
    ),
    "nested": ("jsonl", lines(lambda n: {"doc": {"body": TEXTS[n]}, "meta": {"tags": LABELS[n], "year": 2010}})),
    "objects": ("jsonl", lines(lambda n: {"text": TEXTS[n], "labels": [{"id": 3, "name": x} for x in LABELS[n]]})),
    "an object": ("jsonl", lines(lambda n: {"text": TEXTS[n], "cats": {x: x in LABELS[n] for x in NAMES}})),
    "an object of what is set": ("jsonl", lines(lambda n: {"text": TEXTS[n], "cats": dict.fromkeys(LABELS[n], True)})),
    "an object in words": ("csv", in_cell(lambda labels: str({x: int(x in labels) for x in NAMES}))),
    "prodigy": (
        "jsonl",
        lines(
            lambda n: {"text": TEXTS[n], "options": [{"id": x} for x in NAMES], "accept": LABELS[n], "answer": "accept"}
        ),
    ),
    "spans of doccano": ("jsonl", lines(lambda n: {"text": TEXTS[n], "label": [[0, 4, x] for x in LABELS[n]]})),
    "choices of label studio": ("jsonl", lines(lambda n: {"text": TEXTS[n], "topic": {"choices": LABELS[n]}})),
    "results of label studio": (
        "jsonl",
        lines(lambda n: {"data": {"text": TEXTS[n]}, "annotations": [{"result": [{"value": {"choices": LABELS[n]}}]}]}),
    ),
    "names in the header": ("csv", in_cell(lambda labels: str(vector(labels)), "|".join(NAMES))),
    "names in the file": (
        "json",
        json.dumps(
            {"label_names": NAMES, "data": [{"text": TEXTS[n], "labels": vector(LABELS[n])} for n in range(12)]}
        ),
    ),
    "names by number in the file": (
        "json",
        json.dumps(
            {
                "id2label": dict(enumerate(NAMES)),
                "data": [{"text": TEXTS[n], "labels": [NAMES.index(x) for x in LABELS[n]]} for n in range(12)],
            }
        ),
    ),
    "folds are no parts": ("csv", in_cell(";".join, fold=[n % 3 for n in range(12)])),
    "authors are no labels": ("csv", in_cell("; ".join, "subjects", authors=["Lee, K.; Roy, A."] * 12)),
    "a flag beside labels": ("csv", in_cell(";".join, is_duplicate=[n % 2 for n in range(12)])),
    "paragraphs": ("jsonl", lines(lambda n: {"facts": [TEXTS[n], TEXTS[n]], "articles_violated": LABELS[n]})),
    "short paragraphs": ("jsonl", lines(lambda n: {"sentences": ["one two", "three"], "labels": LABELS[n]})),
    "quoted names": ("csv", in_cell(lambda labels: "; ".join(f'"{x}"' for x in labels) + ";")),
    "hashtags": ("csv", in_cell(lambda labels: " ".join(f"#{x}" for x in labels), "tags")),
    "its own name in each column": (
        "csv",
        table(["text", *NAMES], [[TEXTS[n], *(x if x in LABELS[n] else "" for x in NAMES)] for n in range(12)]),
    ),
    "an object of one list": ("csv", in_cell(lambda labels: json.dumps({"labels": labels}))),
    "beside an address": ("csv", in_cell(";".join, link=[f"https://x.org/{'long/' * 20}{n}" for n in range(12)])),
    "a row for each label": (
        "csv",
        table(["document", "text", "code"], [[f"d{n}", TEXTS[n], label] for n in range(12) for label in LABELS[n]]),
    ),
    "two bars": ("csv", in_cell("||".join)),
    "text with a number": ("csv", in_cell(";".join, Text=[str(n) for n in range(12)])),
}
"""Files in which one reading is right, and the same."""


def write(folder: Path, case: tuple[str, str]) -> Path:
    path = folder / f"a.{case[0]}"
    path.write_text(case[1], "utf-8")
    return path


def labels_of(path: Path, reading: Reading) -> list[set[str]]:
    return [set(record.labels) for _, record in read_documents(path, reading.file)]


@pytest.mark.parametrize("name", RIGHT)
def test_labels_are_read_without_a_question(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, RIGHT[name])
    reading = study(path)
    assert not reading.questions
    found = labels_of(path, reading)
    expected = [set(labels) for labels in LABELS]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected)), reading.file
    assert set(reading.roles) == set(readers.columns_of(reading.rows))
    assert {"text", "title"} & set(reading.roles.values())
    summary = summarize_rows(path, reading)
    assert (summary.documents, summary.labels, summary.assignments) == (12, 5, 20)
    assert [set(one.labels) for one in summary.sample] == found[:5]
    assert summary.top[0][1] >= summary.top[-1][1] == summary.rarest[0][1]


ASKED: dict[str, tuple[tuple[str, str], str, dict[str, Any]]] = {
    "a vector": (("csv", in_cell(lambda x: str(vector(x)))), "--label-names", {"label_names": tuple(NAMES)}),
    "a vector of digits": (
        ("csv", in_cell(lambda x: "".join(map(str, vector(x))))),
        "--label-names",
        {"label_names": tuple(NAMES)},
    ),
    "a vector between blanks": (
        ("csv", in_cell(lambda x: " ".join(map(str, vector(x))))),
        "--label-names",
        {"label_names": tuple(NAMES)},
    ),
    "a vector of scores": (
        ("jsonl", lines(lambda n: {"text": TEXTS[n], "labels": [0.9 if x in LABELS[n] else 0.1 for x in NAMES]})),
        "--cut",
        {"label_names": tuple(NAMES), "cut": 0.5},
    ),
    "numbers": (
        ("csv", in_cell(lambda x: ";".join(str(NAMES.index(name)) for name in x))),
        "--label-names",
        {"label_names": tuple(NAMES)},
    ),
    "numbers from 1 on": (
        ("csv", in_cell(lambda x: ";".join(str(NAMES.index(name) + 1) for name in x))),
        "--label-names",
        {"label_names": tuple(NAMES)},
    ),
    "scores": (("csv", by_label(0.75, 0.125)), "--cut", {"cut": 0.5}),
    "decimal commas": (("csv", by_label("0,75", "0,25")), "--cut", {"cut": 0.5}),
    "percentages": (("csv", by_label("75%", "5%")), "--cut", {"cut": 0.5}),
    "marks of 1 to 5": (("csv", by_label(5, 1)), "--cut", {"cut": 4}),
    "lists beside each other": (
        ("jsonl", lines(lambda n: {"text": TEXTS[n], "about": {"topics": LABELS[n], "places": ["uk"]}})),
        "--labels",
        {"labels": ("about.topics",)},
    ),
    "lists in one cell": (
        ("csv", in_cell(lambda x: json.dumps({"topics": x, "places": ["uk"]}))),
        "--label-key",
        {"label_key": "topics"},
    ),
    "votes": (("csv", by_label(2, 0, n_raters=[3] * 12)), "--cut", {"cut": 2}),
    "scores in an object": (
        ("jsonl", lines(lambda n: {"text": TEXTS[n], "cats": {x: 0.9 if x in LABELS[n] else 0.05 for x in NAMES}})),
        "--cut",
        {"cut": 0.5},
    ),
    "scores in objects": (
        (
            "jsonl",
            lines(
                lambda n: {
                    "text": TEXTS[n],
                    "guesses": [{"label": x, "score": 0.9 if x in LABELS[n] else 0.1} for x in NAMES],
                }
            ),
        ),
        "--cut",
        {"cut": 0.5},
    ),
    "several keys": (
        ("jsonl", lines(lambda n: {"text": TEXTS[n], "labels": [{"en": x, "de": "?"} for x in LABELS[n]]})),
        "--label-key",
        {"label_key": "en"},
    ),
    "languages": (
        ("jsonl", lines(lambda n: {"text": {"en": TEXTS[n], "de": TEXTS[n]}, "labels": LABELS[n]})),
        "--text",
        {"text": ("text.de",)},
    ),
    "two columns of labels": (
        ("jsonl", lines(lambda n: {"text": TEXTS[n], "mesh": LABELS[n], "keywords": ["x", f"w{n % 3}"]})),
        "--labels",
        {"labels": ("mesh",)},
    ),
    "a part of another name": (
        ("csv", in_cell(";".join, split=["train", "holdout", "test"] * 4)),
        "--part",
        {"parts": (("holdout", "test"),)},
    ),
    "another encoding": (("csv", in_cell(";".join, note=["Zürich"] * 12)), "--encoding", {"encoding": "cp1252"}),
}
"""Files with two readings, the option that decides, and an answer that makes them the same."""


@pytest.mark.parametrize("name", ASKED)
def test_two_readings_are_asked_about_and_an_answer_is_enough(name: str, tmp_path: Path) -> None:
    case, option, answer = ASKED[name]
    path = write(tmp_path, case)
    if "encoding" in answer:
        path.write_bytes(case[1].encode("cp1252"))
    asked = study(path).questions
    assert option in [question.option for question in asked]
    for question in asked:
        assert question.option in str(question)
        assert path.name in str(question)
        assert isinstance(question, UserError)
    form = {key: answer[key] for key in answer if key == "encoding"}
    reading = study(path, {key: value for key, value in answer.items() if key not in form}, **form)
    assert not reading.questions
    assert sorted(map(sorted, labels_of(path, reading))) == sorted(map(sorted, LABELS))


def test_of_several_controls_of_label_studio_one_is_chosen(tmp_path: Path) -> None:
    def result(n: int) -> list[dict[str, Any]]:
        topic = {"from_name": "topic", "value": {"choices": LABELS[n]}}
        return [{"result": [topic, {"from_name": "mood", "value": {"choices": ["good"]}}]}]

    path = write(tmp_path, ("jsonl", lines(lambda n: {"data": {"text": TEXTS[n]}, "annotations": result(n)})))
    asked = study(path).questions
    assert [(question.option, question.choices) for question in asked] == [("--label-key", ("mood", "topic"))]
    reading = study(path, {"label_key": "topic"})
    assert not reading.questions
    assert labels_of(path, reading) == [set(labels) for labels in LABELS]


def test_what_was_rejected_in_prodigy_has_unknown_labels(tmp_path: Path) -> None:
    answers = ["accept", "reject", "ignore"]
    path = write(
        tmp_path,
        (
            "jsonl",
            lines(lambda n: {"text": TEXTS[n], "accept": LABELS[n], "answer": answers[n % 3], "_task_hash": n}),
        ),
    )
    found = [record for _, record in read_documents(path, study(path).file)]
    assert [record.unknown for record in found] == [n % 3 > 0 for n in range(12)]
    assert [set(record.labels) for record in found[::3]] == [set(labels) for labels in LABELS[::3]]


def test_a_separator_that_comes_late_is_found_in_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.readers.beginning.ROWS", 6)
    monkeypatch.setattr("core.data.readers.beginning.LEAST_ROWS", 6)
    rows = [[text, ";".join(LABELS[n]) if n > 6 else LABELS[n][0]] for n, text in enumerate(TEXTS)]
    path = write(tmp_path, ("csv", table(["text", "labels"], rows)))
    reading = study(path)
    assert (len(reading.rows), reading.file.sep) == (6, "")
    with scanning.passing_scan(path, reading.file) as folder:
        assert scanning.missed_separators(folder, reading.file) == (";",)
        better = reading.file.model_copy(update={"sep": ";"})
    with scanning.passing_scan(path, better) as folder:
        assert scanning.missed_separators(folder, better) == ()


@pytest.mark.parametrize("values", [[0, 1], ["yes", "no"], ["True", "False"]])
def test_a_lone_flag_is_never_silently_a_label(values: list[Any], tmp_path: Path) -> None:
    for column in ("is_test", "label", "spam"):
        path = write(
            tmp_path, ("csv", table(["text", column], [[text, values[n % 2]] for n, text in enumerate(TEXTS)]))
        )
        reading = study(path)
        assert [question.option for question in reading.questions] == ["--labels"]
        assert not reading.file.labels
        chosen = study(path, {"labels": (column,), "sep": "0/1"})
        assert not chosen.questions
        assert Counter(len(labels) for labels in labels_of(path, chosen)) == {0: 6, 1: 6}
    named = study(path, {"labels": ("spam",), "label_names": ("ham", "spam")})
    if values == [0, 1]:
        assert labels_of(path, named) == [{"ham"}, {"spam"}] * 6


def test_what_was_left_out_is_said_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, ("csv", by_label(1, 0, split=["train", "", "test", "unused"] * 3)))
    tally = Counter[str]()
    file = study(path).file
    list(read_documents(path, file, None, tally))
    assert sentences(file, tally) == [
        "3 documents have no part in the column 'split': they are in no part. --part =train takes them into train.",
        "3 documents are of a part that is not used: they are in no part.",
    ]
    given = study(path, {"parts": (("", "train"),)}).file
    assert [record.part for _, record in read_documents(path, given)][:3] == ["train", "train", "test"]
    path = write(tmp_path, ("csv", table(["text", "a", "b", "c"], [[text, 1, "", 0] for text in TEXTS])))
    file = study(path, {"labels": ("a", "b", "c"), "sep": "0/1"}).file
    tally = Counter()
    list(read_documents(path, file, None, tally))
    assert sentences(file, tally) == [
        "12 documents leave columns of labels blank that say no elsewhere: blank counts as no.",
        "2 columns of labels are never set, so they are no labels here: b, c. The label density follows the labels "
        "that occur.",
    ]


def test_minus_one_is_unknown(tmp_path: Path) -> None:
    rows = [[text, *([-1] * 5 if n % 4 == 0 else vector(LABELS[n]))] for n, text in enumerate(TEXTS)]
    path = write(tmp_path, ("csv", table(["text", *NAMES], rows)))
    reading = study(path)
    assert not reading.questions
    found = [record for _, record in read_documents(path, reading.file)]
    assert [record.unknown for record in found] == [n % 4 == 0 for n in range(12)]
    assert [set(record.labels) for record in found] == [set() if n % 4 == 0 else set(LABELS[n]) for n in range(12)]

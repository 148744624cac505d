"""Files as people really have them: each is read right, asked about and then read right, or refused in a sentence."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.data import readers, scanning
from core.data.summary import ReadSummary, summarize_rows, summarize_scan
from core.system.errors import UserError
from tests.conftest import DATA

NAMES = ("economy", "health", "law", "space", "music")
ANSWERS: dict[str, dict[str, Any]] = {
    "h13_to_json.jsonl": {"label_names": NAMES},
    "h14_to_csv.csv": {"label_names": NAMES},
    "r03_multihot.jsonl": {"label_names": NAMES},
    "r03b_multihot.csv": {"label_names": NAMES},
    "r15_goemotions.tsv": {"label_names": NAMES},
    "r18_jigsaw_soft.csv": {"cut": 0.5},
    "r29b_multieurlex.jsonl": {"text": ("text.en",), "label_names": NAMES},
    "s02c_cp1252.csv": {"encoding": "cp1252"},
    "t08_float_labels.csv": {"label_names": "numbers"},
    "t19_soft_columns.csv": {"cut": 0.5},
    "t20_vote_counts.csv": {"cut": 1},
    "v06_one_indicator.csv": {"labels": ("spam",), "sep": "0/1"},
    "v17_keywords_vs_mesh.jsonl": {"labels": ("mesh",)},
    "v19_bool_list.jsonl": {"label_names": NAMES},
}
"""What is asked, and an answer to it."""
REFUSED = {
    "r13_xmc_train.txt": "texts",
    "r25_ragged.csv": "line 19",
    "s12_empty.csv": "is empty",
    "s12b_header_only.csv": "holds no documents",
    "s12c_blank.jsonl": "is empty",
    "s17b_over_1000.csv": "a label of 1,207 characters",
    "s22_dup_columns.csv": "two columns are named 'labels'",
    "s29_truncated.jsonl": "line 41",
    "s31_mulan.arff": "ARFF",
}
"""What is refused, and words of the sentence."""
ALSO: dict[str, dict[str, int]] = {
    "h02_dict_unsupervised": {"documents": 100, "labels": 5, "assignments": 153},
    "h09_semeval_bools": {"documents": 30, "labels": 5, "assignments": 48},
    "h10_list_of_struct": {"documents": 30, "labels": 5, "assignments": 60},
    "h11_large_types": {"documents": 30, "labels": 5, "assignments": 60},
    "h12_shards": {"documents": 400, "labels": 5, "assignments": 594},
    "h13_to_json.jsonl": {"documents": 60, "labels": 5, "assignments": 92},
    "r15_goemotions.tsv": {"documents": 40, "labels": 5},
    "r21b_icd_numbers.jsonl": {"documents": 40, "labels": 5, "assignments": 81},
    "r29b_multieurlex.jsonl": {"documents": 40, "labels": 5, "assignments": 81},
    "r25b_trailing_missing.csv": {"documents": 40, "labels": 5},
    "s02c_cp1252.csv": {"documents": 40, "labels": 3, "assignments": 66},
    "s05c_nan_word.csv": {"documents": 40, "labels": 5, "assignments": 62},
    "s26c_nan_in_list.csv": {"documents": 40, "labels": 5, "assignments": 73},
    "t02_echr_facts_list.jsonl": {"documents": 30, "labels": 13},
    "t05_bracket_names.csv": {"documents": 30, "labels": 3, "assignments": 45},
    "t06_movies_genres.csv": {"documents": 60, "labels": 5, "assignments": 117},
    "t07_comma_author_first.csv": {"documents": 60, "labels": 5, "assignments": 124},
    "t08_float_labels.csv": {"documents": 30, "labels": 3, "assignments": 25},
    "t12_cmu_movies.tsv": {"documents": 30, "labels": 5, "assignments": 60},
    "t21_hierarchy.csv": {"documents": 30, "labels": 3, "assignments": 45},
    "v01_mixed_forms.csv": {"documents": 260, "labels": 5, "assignments": 496},
    "v03_confidence_after_200.csv": {"documents": 300, "labels": 5, "assignments": 756},
    "v04_twice.csv": {"documents": 30, "labels": 2, "assignments": 60},
    "v06_one_indicator.csv": {"labels": 1},
    "v09_entities.csv": {"documents": 30, "labels": 2, "assignments": 60},
    "v16_mixed_separators.csv": {"documents": 30, "labels": 5, "assignments": 58},
    "v17_keywords_vs_mesh.jsonl": {"documents": 30},
    "v18_class_and_topics.csv": {"documents": 30, "labels": 5, "assignments": 53},
    "v19_bool_list.jsonl": {"documents": 30, "labels": 5},
}
"""What files hold of which the folder itself says it in words."""
MISSING: dict[str, str] = {}
"""Files that are not read yet, and what they lack."""


def _folder() -> Path | None:
    beside = (Path(one).parent / "cases" / "data" for one in DATA.split(os.pathsep))
    return next((one for one in beside if one.joinpath("expected.json").is_file()), None)


FOLDER = _folder()
FILES = sorted(one.name for one in FOLDER.iterdir() if one.name not in ("README.md", "expected.json")) if FOLDER else []
EXPECTED: dict[str, dict[str, int]] = ALSO | json.loads(FOLDER.joinpath("expected.json").read_text()) if FOLDER else {}
KINDS = Counter[str]()
"""How many files were read right at once, asked about, refused or read wrong."""


def read(path: Path, given: dict[str, Any]) -> ReadSummary:
    """What the command line reads of a file; raises the first question."""
    form = {"encoding": given["encoding"]} if "encoding" in given else {}
    reading = readers.study(path, {key: value for key, value in given.items() if key not in form}, **form)
    for question in reading.questions:
        raise question
    beginning = summarize_rows(path, reading)
    with scanning.passing_scan(path, reading.file) as folder:
        whole = summarize_scan(folder, reading)
    if beginning.documents == whole.documents:
        assert beginning.sample == whole.sample, "the beginning shows what the whole shows"
        assert beginning.top == whole.top
    return whole


@pytest.mark.skipif(FOLDER is None, reason=f"there is no folder 'cases' beside {DATA}")
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_right_or_asked_about(name: str, cache: Path) -> None:
    assert FOLDER is not None
    path, answers = FOLDER / name, ANSWERS.get(name, {})
    try:
        if answers:
            asked = readers.study(path).questions
            assert asked, "two readings are possible"
            for question in asked:
                assert question.option in str(question)
                assert question.choices
        summary: ReadSummary | None = read(path, answers)
    except UserError as error:
        summary, why = None, str(error)
    if summary is None:
        KINDS["refused"] += 1
        if name in MISSING:
            pytest.xfail(MISSING[name])
        assert name in REFUSED, why
        assert REFUSED[name] in why
        assert not cache.exists()
        return
    assert name not in REFUSED
    read_as = {key: getattr(summary, key) for key in EXPECTED.get(name, {})}
    if read_as != EXPECTED.get(name, {}):
        KINDS["wrong"] += 1
        if name in MISSING:
            pytest.xfail(MISSING[name])
    assert read_as == EXPECTED.get(name, {})
    assert name not in MISSING, "it is read by now"
    KINDS["asked" if answers else "right"] += 1
    assert not cache.exists(), "looking at a file leaves nothing behind"


@pytest.mark.skipif(FOLDER is None, reason=f"there is no folder 'cases' beside {DATA}")
def test_no_file_is_read_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + ", ".join(f"{kind} {KINDS[kind]}" for kind in ("right", "asked", "refused", "wrong")))
    assert not KINDS["wrong"]

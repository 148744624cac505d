"""Each kind of defect alone: what it concerns, what is shown of it, what the choice other than keeping changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config.schema import SplitConfig
from core.data import defects
from core.data.added import scan
from core.data.defects import CHOICES, DEFECTS, EXAMPLES, LONG, Draft, Finding, Scanned
from core.data.readers import guess
from core.system.errors import UserError

OWN = SplitConfig(made="own", validation=0)


def row(text: str, labels: Sequence[str] = ("a",), split: str = "train") -> dict[str, Any]:
    return {"text": text, "labels": list(labels), "split": split}


@pytest.fixture
def draft(tmp_path: Path) -> Any:
    """Makes a draft of rows, which have two more that are sound: one of train, one of test."""

    def make(*rows: dict[str, Any]) -> Draft:
        path = tmp_path / "rows.jsonl"
        sound = [row("sound in train", "ab"), row("sound in test", "ab", "test")]
        path.write_text("".join(json.dumps(one) + "\n" for one in [*rows, *sound]), "utf-8")
        file = guess(path).model_copy(
            update={"text": ("text",), "title": "", "labels": ("labels",), "sep": "", "split": "split"}
        )
        return Draft(Scanned(scan(path, file)))

    return make


def places(finding: Finding) -> list[int]:
    return finding.places.tolist()


def names(made: Draft, columns: np.ndarray) -> list[str]:
    return sorted(made.scanned.names[columns].tolist())


def test_every_kind_of_defect_has_its_choices_and_its_function() -> None:
    assert sorted(kind.key for kind in DEFECTS) == sorted(CHOICES)
    assert all(getattr(defects, kind.key) is kind.find for kind in DEFECTS)


@pytest.mark.parametrize("kind", DEFECTS, ids=lambda kind: kind.key)
def test_sound_documents_have_no_defect(kind: defects.Kind, draft: Any) -> None:
    made = draft(row("more of train", "ab"))
    made.divide(OWN)
    made.leave_out_rare(OWN)
    found = kind.find(made)
    assert (len(found.places), len(found.changed), found.examples) == (0, 0, ())


def test_a_text_of_blanks_is_empty(draft: Any) -> None:
    made = draft(row(""), row("x"), row(" \n "))
    found = defects.empty_texts(made)
    assert places(found) == found.changed.tolist() == [0, 2]
    assert found.examples == ("line 1: (empty)", "line 3: (empty)")


def test_documents_without_labels_are_found(draft: Any) -> None:
    found = defects.without_labels(draft(row("x"), row("y", [])))
    assert places(found) == [1]
    assert found.examples == ("line 2: y",)


def test_broken_bytes_are_found_in_texts_and_labels(draft: Any) -> None:
    found = defects.broken_encodings(draft(row("Z\ufffdrich"), row("x", ["caf\ufffd"]), row("Zürich")))
    assert places(found) == [0, 1]


def test_a_text_is_very_long_beyond_the_limit(draft: Any) -> None:
    found = defects.long_texts(draft(row("x" * LONG), row("y" * (LONG + 1))))
    assert places(found) == [1]
    assert found.examples == ("line 2: " + "y" * 80,)


def test_of_copies_the_one_of_test_is_kept_then_of_validation_then_the_first(draft: Any) -> None:
    rows = [row("one"), row("one", split="test"), row("two"), row("two", split="validation"), row("three")]
    made = draft(*rows, row("three"), row(""), row(""))
    assert places(defects.duplicates(made)) == [0, 2, 5], "texts without a letter are no copies of each other"
    made.leave_out_documents(np.array([4]))
    assert places(defects.duplicates(made)) == [0, 2], "what was left out before has no copy"


def test_copies_with_other_labels_are_no_duplicates_and_can_be_joined(draft: Any) -> None:
    rows = [row("one", ["a"]), row("one", ["b"]), row("two", ["a"]), row("two", ["a"]), row("one", ["b"], "test")]
    made = draft(*rows)
    found = defects.relabelled_copies(made)
    assert places(found) == [0, 1], "of copies that of test is kept"
    assert found.onto.tolist() == [4, 4]
    assert found.examples[0] == "line 1: one: a, elsewhere b"
    assert places(defects.duplicates(made)) == [1, 3], "those with the same labels as well as the same text"
    made.join_documents(found.changed, found.onto)
    assert made.rows.tolist() == [2, 3, 4, 5, 6]
    assert made.labels[[4]].toarray().tolist()[0][:2] == [True, True]
    assert places(defects.relabelled_copies(made)) == []
    assert places(defects.duplicates(made)) == [3]


def test_copies_that_differ_in_blanks_are_near_copies(draft: Any) -> None:
    made = draft(row("one two"), row("one  two ", ["b"]), row("one\u200b two"), row("one two"), row("onetwo three"))
    found = defects.near_copies(made)
    assert places(found) == [1, 2]
    assert found.onto.tolist() == [0, 0]
    assert places(defects.duplicates(made)) == [3]
    made.join_documents(found.changed, found.onto)
    assert made.rows.tolist() == [0, 3, 4, 5, 6]
    assert not places(defects.near_copies(made))


def test_labels_that_read_like_no_value_are_missing(draft: Any) -> None:
    made = draft(row("x", ["NaN"]), row("y", ["n/a", "a"]), row("z", ["None", "-", "NULL"]), row("w", ["nano"]))
    found = defects.missing_words(made)
    assert names(made, found.places) == ["-", "NULL", "NaN", "None", "n/a"]
    made.leave_out_labels(found.changed)
    assert places(defects.without_labels(made)) == [0, 2]
    made.divide(OWN)
    made.leave_out_rare(OWN)
    assert made.kept_labels()[0] == ("a", "b", "nano")


@pytest.mark.parametrize("name", ["['a'", "a']", '"a"', "<law>", "{a}", "b|a", "[a, b]", 'x"'])
def test_a_label_that_looks_unparsed_is_found(name: str, draft: Any) -> None:
    made = draft(row("x", ["sound", name, "[de] law", "Crohn's", "5'-end", "f(x)", "a; c", "x, y", "R&D"]))
    assert names(made, defects.unparsed_labels(made).places) == [name]


def test_labels_that_are_values_of_flags_look_unparsed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row(f"text {n}", ["0", "1", "true"])) + "\n" for n in range(3)), "utf-8")
    made = Draft(Scanned(scan(path, guess(path))))
    found = defects.unparsed_labels(made)
    assert names(made, found.places) == ["0", "1", "true"]
    assert "values of a flag" in found.advice


def test_characters_that_are_not_seen_can_be_taken_out(draft: Any) -> None:
    made = draft(
        row("wo\u200brd", ["law\u200b"]), row("x", ["law"]), row("می\u200cخواهم", ["c"]), row("y", ["d\u200b"])
    )
    found = defects.zero_width(made)
    assert places(found) == [0, 3], "a joiner inside a word is part of its script"
    assert "'law\\u200b'" in found.advice
    made.strip_unseen(found.changed)
    made.divide(OWN)
    made.leave_out_rare(OWN)
    assert made.strips
    assert made.kept_labels()[0] == ("a", "b", "c", "d", "law")


def test_ids_that_repeat_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": key, **row(f"text {n}")} for n, key in enumerate("abaca")]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    made = Draft(Scanned(scan(path, guess(path))))
    found = defects.repeated_ids(made)
    assert places(found) == [2, 4]
    assert found.examples[0] == "a (line 3: text 2)"
    assert not places(defects.repeated_ids(Draft(Scanned(scan(path, guess(path).model_copy(update={"id": ""}))))))


def test_documents_with_unknown_labels_are_in_no_part_until_they_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,a,b\n" + "".join(f"text {n},{-1 if n < 2 else n % 2},1\n" for n in range(20)))
    scanned = Scanned(scan(path, guess(path)))
    made = Draft(scanned)
    assert places(defects.unknown_labels(made)) == [0, 1]
    random = SplitConfig(made="random")
    made.divide(random)
    assert np.flatnonzero(made.codes == defects.splits.NONE).tolist() == [0, 1]
    assert "2 documents have labels that are unknown (-1): they are in no part." in made.split_notes
    made = Draft(scanned)
    made.count_as_negatives(np.array([0, 1]))
    made.divide(random)
    assert (made.codes != defects.splits.NONE).all()
    path.write_text("text,a,b\n" + "text,-1,1\n" * 3)
    with pytest.raises(UserError, match="Every document has labels that are unknown"):
        Draft(Scanned(scan(path, guess(path)))).divide(random)


def test_labels_of_one_form_are_a_group_under_the_most_frequent(draft: Any) -> None:
    made = draft(row("x", ["Gold"]), row("y", ["gold "]), row("z", ["gold "]), row("w", ["GOLD", "é"]), row("v", ["É"]))
    found = defects.similar_labels(made)
    assert found.examples == ("'gold' (2) = 'GOLD' (1) = 'Gold' (1)", "'É' (1) = 'é' (1)")
    made.merge_labels(found.changed)
    made.divide(OWN)
    made.leave_out_rare(OWN)
    kept, columns = made.kept_labels()
    assert kept == ("a", "b", "gold", "É")
    assert len(columns) == len(made.scanned.names)
    assert made.targets.sum() == 4 + 6, "each document has each label once"


def test_a_train_document_that_is_in_another_part_leaks(draft: Any) -> None:
    made = draft(row("one"), row("one", split="test"), row("two"), row("two"), row("", split="test"), row(""))
    made.divide(OWN)
    found = defects.leaks(made)
    assert places(found) == [0]
    made.leave_out_documents(found.changed)
    assert made.rows.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert len(made.codes) == made.targets.shape[0] == 7
    assert not places(defects.leaks(made))


def test_a_label_with_one_document_can_be_left_out(draft: Any) -> None:
    made = draft(row("x", ["only", "a"]), row("y", ["other"], "test"))
    made.divide(OWN)
    made.leave_out_rare(OWN)
    found = defects.single_document_labels(made)
    assert names(made, found.places) == ["only", "other"]
    assert sorted(found.examples) == ["only", "other"]
    made.leave_out_labels(found.changed)
    assert made.kept_labels()[0] == ("a", "b")


def test_of_absent_labels_those_without_train_documents_are_left_out(draft: Any) -> None:
    made = draft(row("x", ["train only"]), row("y", ["test only"], "test"))
    made.divide(OWN)
    made.leave_out_rare(OWN)
    found = defects.absent_labels(made)
    assert names(made, found.places) == ["test only", "train only"]
    assert names(made, found.changed) == ["test only"]
    assert found.advice == (
        "1 in no train document, 1 in no test document; 2 have fewer documents than there are parts, so no split can "
        "help. Dropping leaves out those without train documents."
    )


def test_a_few_examples_are_shown(draft: Any) -> None:
    found = defects.without_labels(draft(*(row(f"text {n}", []) for n in range(2 * EXAMPLES))))
    assert len(found.places) == 2 * EXAMPLES
    assert found.examples == tuple(f"line {n + 1}: text {n}" for n in range(EXAMPLES))


def test_a_draft_without_documents_or_labels_is_refused(draft: Any) -> None:
    made = draft()
    made.leave_out_documents(np.arange(2))
    with pytest.raises(UserError, match="No document would be left"):
        made.divide(OWN)
    made = draft(row("x"))
    made.divide(OWN)
    made.leave_out_labels(np.arange(2))
    with pytest.raises(UserError, match="No label would be left"):
        made.kept_labels()

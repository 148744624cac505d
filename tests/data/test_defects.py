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

"""Verdicts on labels: kept for two people at once, refused where damaged, and corrected into a set of its own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.schema import DataConfig, SyntheticConfig
from core.data import sources, verdicts
from core.data.corpus import Corpus
from core.data.corrected import LONGEST, add_corrected, name_corrected
from core.data.verdicts import Verdict, read_verdicts, save_verdict, select_corrections, select_current, verdict_file
from core.runs import plan
from core.runs.predictions import read_predictions
from core.runs.results import read_results
from core.system.errors import UserError
from tests.helpers.runs import execute

SMALL = SyntheticConfig(documents=200, labels=8)


@pytest.fixture
def corpus() -> Corpus:
    return sources.load(DataConfig(name="synthetic", synthetic=SMALL))


def corrections(corpus: Corpus) -> list[Verdict]:
    return select_corrections(select_current(read_verdicts(corpus.name), corpus))[0]


def carries(corpus: Corpus, row: int, column: int) -> bool:
    return bool(corpus.targets[[row]].toarray()[0, column])


def test_nothing_judged_is_nothing(corpus: Corpus) -> None:
    assert read_verdicts("synthetic") == ()
    assert select_corrections([]) == ([], 0)
    assert verdicts.to_jsonl([]) == ""
    with pytest.raises(UserError, match="nothing to correct"):
        add_corrected(corpus, [])


def test_a_second_verdict_of_a_person_replaces_the_first_and_none_takes_it_back(corpus: Corpus) -> None:
    save_verdict(corpus, 3, corpus.labels[1], "model", by="ann")
    save_verdict(corpus, 3, corpus.labels[1], "label", by="ann")
    (one,) = read_verdicts("synthetic")
    assert (one.verdict, one.document, one.had) == ("label", str(corpus.ids[3]), carries(corpus, 3, 1))
    save_verdict(corpus, 3, corpus.labels[1], None, by="ann")
    assert read_verdicts("synthetic") == ()


def test_people_who_judge_at_once_lose_nothing(corpus: Corpus) -> None:
    jobs = [(row, corpus.labels[row % 8], by) for row in range(10) for by in ("ann", "bo")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: save_verdict(corpus, job[0], job[1], "label", by=job[2]), jobs))
    assert {(one.row, one.label, one.by) for one in read_verdicts("synthetic")} == set(jobs)


def test_what_people_do_not_agree_on_corrects_nothing(corpus: Corpus) -> None:
    for by, kind in (("ann", "label"), ("bo", "model")):
        save_verdict(corpus, 3, corpus.labels[1], kind, by=by)  # type: ignore[arg-type]
    for by, kind in (("ann", "label"), ("bo", "both")):
        save_verdict(corpus, 4, corpus.labels[1], kind, by=by)  # type: ignore[arg-type]
    found, disputed = select_corrections(read_verdicts("synthetic"))
    assert ([one.row for one in found], disputed) == ([4], 1)


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", "null", "\x00", "", '{"verdicts": 3}', '{"data": "synthetic", "more": 1}'),
        *('{"data": "other", "verdicts": []}', '{"data": "synthetic", "verdicts": [{}]}'),
        '{"data": "synthetic", "verdicts": [{"row": -1}]}',
    ],
)
def test_a_damaged_file_is_one_sentence_and_stays_as_it_is(content: str, corpus: Corpus) -> None:
    file = verdict_file("synthetic")
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    for act in (lambda: read_verdicts("synthetic"), lambda: save_verdict(corpus, 0, corpus.labels[0], "label")):
        with pytest.raises(UserError, match=r"The verdicts on 'synthetic' cannot be read: .* Mend or delete") as caught:
            act()
        assert "\n" not in str(caught.value)
    assert file.read_text("utf-8") == content


@pytest.mark.parametrize(("row", "label"), [(-1, None), (10**9, None), (0, "no such"), (0, "")])
def test_what_is_not_there_is_not_judged(row: int, label: str | None, corpus: Corpus) -> None:
    with pytest.raises(UserError, match="no such label or document"):
        save_verdict(corpus, row, corpus.labels[0] if label is None else label, "label")
    assert not verdict_file("synthetic").exists()


def test_nothing_is_judged_where_nothing_may_be_changed(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILSCOPE_READONLY", "1")
    with pytest.raises(UserError, match="read-only"):
        save_verdict(corpus, 0, corpus.labels[0], "label")


def test_verdicts_on_another_version_are_kept_and_not_applied(corpus: Corpus) -> None:
    save_verdict(corpus, 3, corpus.labels[1], "label")
    changed = replace(corpus, fingerprint="0" * 64)
    assert select_current(read_verdicts("synthetic"), changed) == []
    assert len(read_verdicts("synthetic")) == 1
    save_verdict(changed, 3, corpus.labels[1], "model")
    assert len(read_verdicts("synthetic")) == 2
    moved = replace(corpus, ids=np.array([f"x{one}" for one in corpus.ids]))
    assert select_current(read_verdicts("synthetic"), moved) == []


def test_exactly_the_judged_labels_are_changed(corpus: Corpus) -> None:
    before = corpus.targets.toarray()

    @given(st.sets(st.tuples(st.integers(0, 30), st.integers(0, 7)), max_size=12))
    def check(judged: set[tuple[int, int]]) -> None:
        wrong = [
            Verdict(
                row=row,
                document="x",
                label=corpus.labels[column],
                had=bool(before[row, column]),
                verdict="label",
                fingerprint="f",
                when=0.0,
            )
            for row, column in judged
        ]
        after = verdicts.correct_targets(corpus, wrong).toarray()
        assert set(zip(*map(np.ndarray.tolist, np.nonzero(before != after)), strict=True)) == judged

    check()


@pytest.mark.parametrize("name", ["a", "synthetic", "x" * 40])
def test_the_name_of_a_corrected_set_is_free_and_allowed(name: str) -> None:
    taken: list[str] = []
    for _ in range(3):
        taken.append(name_corrected(name, [one.upper() for one in taken]))
    assert len({one.lower() for one in taken}) == 3
    assert max(map(len, taken)) <= LONGEST
    assert taken[0].endswith("-corrected")


@pytest.mark.slow
def test_a_correction_is_exported_added_and_trained_on_and_changes_exactly_those_labels(corpus: Corpus) -> None:
    # One label is added to a train document, one taken from a test document; a third verdict corrects nothing.
    train, test = int(corpus.parts["train"][4]), int(corpus.parts["test"][2])
    lacking = next(column for column in range(8) if not carries(corpus, train, column))
    having = next(column for column in range(8) if carries(corpus, test, column))
    save_verdict(corpus, train, corpus.labels[lacking], "label")
    save_verdict(corpus, test, corpus.labels[having], "both")
    save_verdict(corpus, test, corpus.labels[7 - having], "model")
    # Exported.
    found = corrections(corpus)
    table = verdicts.correction_table(found).sort_values("correction")
    assert table["correction"].tolist() == ["add", "remove"]
    assert [json.loads(line)["id"] for line in verdicts.to_jsonl(found).splitlines()] == [one.document for one in found]
    # Added.
    added = add_corrected(corpus, found, reserved=["synthetic"])
    assert added.name == "synthetic-corrected"
    new = sources.load(DataConfig(name=added.name, split="own"))
    sides = [
        {
            (part, str(one.ids[row]), one.text(row), label)
            for part, rows in one.parts.items()
            for row in rows.tolist()
            for label in (one.labels[column] for column in one.targets[[row]].indices)
        }
        for one in (corpus, new)
    ]
    assert {(side[0], side[1], side[3]) for side in sides[0] ^ sides[1]} == {
        ("train", str(corpus.ids[train]), corpus.labels[lacking]),
        ("test", str(corpus.ids[test]), corpus.labels[having]),
    }
    # Trained on.
    config = plan.make_config(data=added.name, split="own", model="svm", loss=None, seed=0)
    run = execute(config)
    assert run.state == "finished", run.reason
    labels, predictions = read_results(run)["labels"], read_predictions(run)
    place = list(predictions.ids).index(str(corpus.ids[test]))
    assert not predictions.targets[[place]].toarray()[0, labels.index(corpus.labels[having])]
    assert not list(Path(added.path).parent.glob("*")), "what was written to be read is gone"

"""Dividing documents: every one has one part, the shares are those asked for, a seed decides."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from core.config.schema import SplitConfig
from core.data import splits
from core.data.corpus import CODES
from core.data.splits import FEW, MAX_CELLS, NONE, TEST, TRAIN, VALIDATION, absent, divide, usual_way
from core.system.errors import UserError


def matrix(documents: int, labels: int, seed: int = 0) -> sp.csr_array:
    return sp.csr_array(np.random.default_rng(seed).random((documents, labels)) < 0.2)


def nowhere(documents: int) -> np.ndarray:
    return np.full(documents, NONE, np.int8)


@given(
    documents=st.integers(FEW, 60),
    made=st.sampled_from(["random", "stratified", "paper"]),
    validation=st.sampled_from([0, 0.1, 0.3]),
    test=st.sampled_from([0.1, 0.5]),
    seed=st.integers(0, 3),
)
def test_every_document_has_a_part_that_a_seed_decides(
    documents: int, made: str, validation: float, test: float, seed: int
) -> None:
    targets = matrix(documents, 3)
    config = SplitConfig(made=made, validation=validation, test=test, seed=seed)
    codes, notes = divide(config, nowhere(documents), targets)
    assert set(np.unique(codes)) <= {TRAIN, TEST, VALIDATION}
    assert not notes or made == "stratified"
    assert (codes == TRAIN).any()
    assert (codes == TEST).any()
    assert np.array_equal(codes, divide(config, nowhere(documents), targets)[0])
    if made == "random":
        assert np.sum(codes == TEST) == max(1, round(documents * test))
        assert np.sum(codes == VALIDATION) == (max(1, round(documents * validation)) if validation else 0)


def test_paper_is_two_calls_of_train_test_split() -> None:
    documents = 224_897 // 100
    codes, _ = divide(SplitConfig(made="paper"), nowhere(documents), matrix(documents, 2))
    rest, test = train_test_split(np.arange(documents), test_size=50, random_state=123)
    train, validation = train_test_split(rest, test_size=50, random_state=123)
    for code, rows in ((TRAIN, train), (TEST, test), (VALIDATION, validation)):
        assert np.array_equal(np.flatnonzero(codes == code), np.sort(rows))


def test_stratification_gives_a_rare_label_to_every_part() -> None:
    targets = np.zeros((300, 4), bool)
    targets[:, 0] = True
    targets[:30, 1] = targets[:10, 2] = targets[290:, 3] = True
    config = SplitConfig(made="stratified", validation=0.2, test=0.2)
    codes, _ = divide(config, nowhere(300), sp.csr_array(targets))
    for label in range(4):
        shares = [targets[codes == code, label].sum() / targets[:, label].sum() for code in (VALIDATION, TEST)]
        assert shares == pytest.approx([0.2, 0.2], abs=0.11)
    assert all(len(missing) == 0 for missing in absent(codes, sp.csr_array(targets)).values())


def test_the_files_own_parts_stay_and_what_lacks_is_held_out() -> None:
    codes = np.array([CODES.index(part) for part in ["train"] * 20 + ["test"] * 5], np.int8)
    divided, notes = divide(SplitConfig(made="own"), codes, matrix(25, 2))
    assert np.array_equal(divided == TEST, codes == TEST)
    assert np.sum(divided == VALIDATION) == 2
    assert len(notes) == 1
    assert "names no validation part: 2 of its train documents" in notes[0]
    assert (codes[:20] == TRAIN).all(), "the input is not changed"
    kept, notes = divide(SplitConfig(made="own", validation=0), codes, matrix(25, 2))
    assert np.array_equal(kept, codes)
    assert not notes


def test_where_nothing_is_asked_for_parts_are_the_files_own_else_stratified_where_that_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    targets = matrix(100, 4)
    assert usual_way(nowhere(100), targets, 0) == "stratified"
    assert usual_way(np.where(np.arange(100) < 9, TEST, NONE), targets, 0) == "own"
    rare = sp.csr_array(np.arange(20) < np.where(np.arange(100) < 3, 20, 4)[:, None])
    monkeypatch.setattr(splits, "QUICK_CELLS", 1000)
    assert usual_way(nowhere(100), rare, 0) == "random"
    assert usual_way(nowhere(100), rare, 4) == "stratified", "labels that are left out anyway do not count"


def test_labels_that_are_left_out_are_not_stratified(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = sp.csr_array(np.arange(20) < np.where(np.arange(400) < 3, 20, 2)[:, None])
    monkeypatch.setattr(splits, "MAX_CELLS", 1000)
    codes, _ = divide(SplitConfig(made="stratified", min_documents=5), nowhere(400), targets)
    assert np.sum(codes == TEST) == pytest.approx(80, abs=3)
    with pytest.raises(UserError, match="would take too long"):
        divide(SplitConfig(made="stratified"), nowhere(400), targets)


def test_what_a_random_split_would_leave_out_is_said() -> None:
    targets = np.zeros((200, 30), bool)
    for label in range(30):
        targets[label * 3 : label * 3 + 3, label] = True
    _, notes = divide(SplitConfig(made="stratified", validation=0.3, test=0.3), nowhere(200), sp.csr_array(targets))
    assert len(notes) == 1
    assert notes[0].startswith("Of 30 labels a random split with this seed would leave out ")
    assert "from validation (here 0)" in notes[0]


def test_parts_of_the_file_are_not_replaced_in_silence() -> None:
    codes = np.where(np.arange(40) < 30, TRAIN, TEST)
    _, notes = divide(SplitConfig(made="random"), codes, matrix(40, 2))
    assert notes == ["The file names parts for 40 documents; they are not used (--made random)."]


def test_few_documents_are_all_for_training() -> None:
    codes, notes = divide(SplitConfig(), nowhere(FEW - 1), matrix(FEW - 1, 2))
    assert (codes == TRAIN).all()
    assert "fewer than 10 are not divided" in notes[0]


def test_what_cannot_be_divided_is_said() -> None:
    with pytest.raises(UserError, match="names no parts"):
        divide(SplitConfig(made="own"), nowhere(20), matrix(20, 2))
    with pytest.raises(UserError, match="own split has no train documents"):
        divide(SplitConfig(made="own"), np.full(20, TEST, np.int8), matrix(20, 2))
    with pytest.raises(UserError, match=r"more than 0\.9"):
        divide(SplitConfig(validation=0.5, test=0.5), nowhere(20), matrix(20, 2))
    with pytest.raises(UserError, match="would take too long"):
        divide(SplitConfig(made="stratified"), nowhere(100), sp.csr_array((100, MAX_CELLS)))


def test_absent_labels_are_told_by_part() -> None:
    targets = sp.csr_array(np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0]], bool))
    missing = absent(np.array([TRAIN, TEST, VALIDATION]), targets)
    assert {part: columns.tolist() for part, columns in missing.items()} == {
        "train": [2],
        "validation": [0, 2],
        "test": [1],
    }

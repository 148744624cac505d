"""Splits of documents into train, validation and test."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp

from core.config.schema import SplitConfig
from core.data.corpus import CODES, PARTS, count_columns
from core.system.errors import UserError

TRAIN, TEST, VALIDATION, NONE = range(len(CODES))
FEW = 10
"""Fewer documents than this are all for training."""
MAX_CELLS = 50_000_000
"""Documents x labels that iterative stratification is given: it holds them dense, and its time grows with them."""
QUICK_CELLS = 2_000_000
"""Documents x labels up to which it takes seconds, so that it is what is done where nothing is asked for."""
PUBMED_SHARE = 5000 / 224_897


def usual_way(codes: np.ndarray, targets: sp.csr_array, min_documents: int) -> Literal["own", "random", "stratified"]:
    """What is done where nothing is asked for: the file's own parts, else iterative stratification where it is quick.

    Args:
        codes: parts as the file names them, places in `CODES`, (N,).
        targets: (N, L).
        min_documents: labels with fewer train documents are left out, so those with fewer in all do not count.
    """
    if (codes != NONE).any():
        return "own"
    labels = int(np.sum(count_columns(targets) >= max(1, min_documents)))
    return "stratified" if 0 < targets.shape[0] * labels <= QUICK_CELLS else "random"


def divide(
    config: SplitConfig, codes: np.ndarray, targets: sp.csr_array, live: np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
    """A part for every document.

    `own` takes the parts that the file names; a part it lacks is held out of train. `random` shuffles. `stratified` is
    iterative stratification, which keeps each label's share alike in all parts (Sechidis et al., ECML PKDD 2011;
    package iterative-stratification). `paper` is that of PubMed in Huang et al., EMNLP 2021: `train_test_split` with
    random_state 123 takes 5,000 of 224,897 documents for test, a second call as many for validation; the same share of
    another number.

    Args:
        config: which way, shares and seed.
        codes: parts as the file names them, places in `CODES`, (N,).
        targets: (N, L).
        live: labels that may be kept, (L,) bool; None: all.

    Returns:
        Places in `CODES`, (N,) int8, and notes for the reader.

    Raises:
        UserError: the file names no parts, shares that leave nothing to train on, or too much to stratify.
    """
    if config.made == "own":
        return _own(config, codes)
    divided, notes = _made(config, targets, live)
    if named := int(np.sum(codes != NONE)):
        notes = [f"The file names parts for {named:,} documents; they are not used (--made {config.made}).", *notes]
    return divided, notes


def _made(config: SplitConfig, targets: sp.csr_array, live: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Parts that the file does not name."""
    documents = targets.shape[0]
    if documents < FEW:
        note = f"All {documents} documents are for training: fewer than {FEW} are not divided."
        return np.zeros(documents, np.int8), [note]
    if config.validation + config.test > 0.9:
        raise UserError("Validation and test together take more than 0.9 of the documents: leave more to train on.")
    if config.made == "paper":
        held_out = max(1, round(documents * PUBMED_SHARE))
        return _cut(documents, held_out, held_out, 123), []
    if config.made == "random":
        test, validation = (max(1, round(documents * share)) for share in (config.test, config.validation))
        return _cut(documents, test, validation if config.validation else 0, config.seed), []
    counts = count_columns(targets)
    kept = counts >= max(1, config.min_documents)
    kept = kept if live is None else kept & live
    if not kept.any():
        kept = counts >= 0
    codes = _stratified(config, targets if kept.all() else targets[:, np.flatnonzero(kept)])
    test, validation = (max(1, round(documents * share)) for share in (config.test, config.validation))
    drawn = _cut(documents, test, validation if config.validation else 0, config.seed)
    return codes, _compared(codes, drawn, targets, kept)


def _compared(codes: np.ndarray, drawn: np.ndarray, targets: sp.csr_array, kept: np.ndarray) -> list[str]:
    """What a random split with the same seed would leave out that this one does not, in a sentence."""
    lost = {part: int(np.sum(kept[columns])) for part, columns in absent(codes, targets).items()}
    other = {part: int(np.sum(kept[columns])) for part, columns in absent(drawn, targets).items()}
    words = [f"{other[part]:,} from {part} (here {lost.get(part, 0):,})" for part in PARTS if other.get(part)]
    if not words or all(other[part] <= lost.get(part, 0) for part in other):
        return []
    return [f"Of {int(kept.sum()):,} labels a random split with this seed would leave out {', '.join(words)}."]


def _cut(documents: int, test: int, validation: int, seed: int) -> np.ndarray:
    """Parts by chance: what two calls of scikit-learn's `train_test_split` draw, without waiting for its import."""
    codes = np.zeros(documents, np.int8)
    drawn = np.random.RandomState(seed).permutation(documents)
    codes[drawn[:test]] = TEST
    rest = drawn[test:]
    codes[rest[np.random.RandomState(seed).permutation(len(rest))[:validation]]] = VALIDATION
    return codes


def _own(config: SplitConfig, codes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    if (codes == NONE).all():
        raise UserError("The file names no parts: say which column does (--split), or have a split made here.")
    codes, notes = codes.copy(), []
    for part, share in ((TEST, config.test), (VALIDATION, config.validation)):
        train = np.flatnonzero(codes == TRAIN)
        if share and not (codes == part).any() and len(train) >= FEW:
            chosen = np.random.RandomState(config.seed).permutation(train)[: max(1, round(len(train) * share))]
            codes[chosen] = part
            notes.append(
                f"The file names no {CODES[part]} part: {len(chosen):,} of its train documents, drawn with seed "
                f"{config.seed}, are held out for it."
            )
    if not (codes == TRAIN).any():
        raise UserError("The file's own split has no train documents: have a split made here.")
    return codes, notes


def _stratified(config: SplitConfig, targets: sp.csr_array) -> np.ndarray:
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    (documents, labels), codes = targets.shape, np.zeros(targets.shape[0], np.int8)
    if documents * labels > MAX_CELLS:
        raise UserError(
            f"Iterative stratification of {documents:,} documents x {labels:,} labels would take too long: it can do "
            f"{MAX_CELLS:,} in all. Choose a random split, or keep fewer labels."
        )
    # Test first, then validation from what is left.
    rows = np.arange(documents)
    for part, share in ((TEST, config.test), (VALIDATION, config.validation / (1 - config.test))):
        if share:
            splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=config.seed)
            dense = targets[rows].toarray()
            dense = dense if labels > 1 else np.hstack([dense, ~dense])  # the package wants two labels or more
            kept, taken = next(splitter.split(rows, dense))
            codes[rows[taken]] = part
            rows = rows[kept]
    return codes


def absent(codes: np.ndarray, targets: sp.csr_array) -> dict[str, np.ndarray]:
    """Labels without a document in a part, as column numbers, for each part that has documents."""
    parts = {CODES[code]: targets[codes == code] for code in (TRAIN, VALIDATION, TEST) if (codes == code).any()}
    return {part: np.flatnonzero(count_columns(of_part) == 0) for part, of_part in parts.items()}

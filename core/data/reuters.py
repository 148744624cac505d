"""Reuters-21578 as the paper has it: its documents and its splits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from core.data.corpus import CODES, Report
from core.data.readers import Record, read_reuters_nltk, read_reuters_sgml
from core.system.errors import UserError

NAMES = ("reuters", "reuters-nltk", "synthetic")
SPLITS = ("paper", "original")
REUTERS_SIZES = {"reuters": (7770, 3019), "reuters-nltk": (7769, 3019)}
"""Train and test documents of a complete copy."""
REUTERS_DOCUMENTS = 21_578
LEFT_OUT = "1514"
"""NEWID of the train document that split `paper` leaves out: see `split_rows`."""


def split_rows(
    name: str, split: str, ids: np.ndarray, codes: np.ndarray, targets: sp.csr_array
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Row numbers of each part, rising, and notes for the reader.

    `paper` holds out the validation documents of Huang et al. (EMNLP 2021): the train documents by ascending id,
    shuffled by `numpy.random.RandomState(123)`, the first 1,000 of 7,769 (the same share of another number). Their copy
    of Reuters held 7,769 train documents, the original collection has 7,770. Leaving out any one document between NEWID
    1514 and 1724 reproduces every figure they print; 1514 is left out here. Of the synthetic corpus the first train
    document of each label is held out last, so that every label keeps one.
    """
    # Parts as the collection has them.
    train, test, notes = *(np.flatnonzero(codes == CODES.index(part)) for part in ("train", "test")), list[str]()
    sizes = len(train), len(test)
    if sizes != REUTERS_SIZES.get(name, sizes):
        expected = "{:,} and {:,}".format(*REUTERS_SIZES[name])
        notes.append(
            f"This copy of Reuters-21578 has {len(train):,} train and {len(test):,} test documents instead of "
            f"{expected}: its figures are not comparable with published ones."
        )
    if split == "original":
        return {"train": train, "validation": train[:0], "test": test}, tuple(notes)
    if name == "reuters" and sizes == REUTERS_SIZES[name]:
        train = train[ids[train] != LEFT_OUT]
        notes.append(
            f"Split 'paper' leaves out the train document with NEWID {LEFT_OUT}: the paper's authors had 7,769 of the "
            "7,770 documents, and leaving out any one between NEWID 1514 and 1724 reproduces the figures they print."
        )
    # The paper's validation part.
    shuffled = train[np.random.RandomState(123).permutation(len(train))]
    if name == "synthetic":
        _, first = np.unique(targets[train].indices, return_index=True)
        needed = train[np.searchsorted(targets[train].indptr, first, side="right") - 1]
        shuffled = shuffled[np.argsort(np.isin(shuffled, needed), kind="stable")]
    held_out = round(len(train) * 1000 / 7769)
    parts = {"train": np.sort(shuffled[held_out:]), "validation": np.sort(shuffled[:held_out]), "test": test}
    return parts, tuple(notes)


# Reuters-21578.


def reuters_records(name: str, path: Path, report: Report) -> tuple[list[str], list[Record]]:
    """The topics with a document in both train and test, and the documents that have one of them, by ascending id."""
    # Documents of the ModApte split, by ascending id.
    records = []
    for number, record in enumerate(read_reuters_sgml(path) if name == "reuters" else read_reuters_nltk(path)):
        if number % 500 == 0:
            report("reading documents", 0.8 * min(1.0, number / REUTERS_DOCUMENTS))
        if record.part != "unused":
            records.append(record)
    records.sort(key=lambda record: int(record.id))
    twice = next((one.id for one, other in pairwise(records) if one.id == other.id), None)
    if twice is not None:
        raise UserError(f"{path} holds document {twice} twice. Fetch the collection again.")
    # Topics with a document in both parts, and the documents that have one.
    train, test = ({label for r in records if r.part == part for label in r.labels} for part in ("train", "test"))
    kept = train & test
    if not kept:
        raise UserError(f"{path} has no topic with a document in both train and test. Fetch the collection again.")
    labelled = (replace(r, labels=tuple(label for label in r.labels if label in kept)) for r in records)
    return sorted(kept), [record for record in labelled if record.labels]

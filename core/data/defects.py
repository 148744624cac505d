"""Defects of a file of documents: a function finds each kind, a draft of the data set is mended or keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.config.schema import SplitConfig
from core.data import splits
from core.data.corpus import count_columns
from core.data.draft import ZERO_WIDTH, Draft
from core.data.draft import Scanned as Scanned
from core.data.readers.cells import cut, parse_cell

LONG = 100_000
"""Bytes from which a text is called very long."""
EXAMPLES = 5
CHOICES = {
    "unparsed_labels": ("keep", "drop"),
    "missing_words": ("drop", "keep"),
    "unknown_labels": ("keep", "drop", "negative"),
    "empty_texts": ("keep", "drop"),
    "without_labels": ("keep", "drop"),
    "broken_encodings": ("keep", "drop"),
    "zero_width": ("keep", "strip"),
    "long_texts": ("keep", "drop"),
    "repeated_ids": ("keep", "drop"),
    "relabelled_copies": ("keep", "drop", "join"),
    "near_copies": ("keep", "drop", "join"),
    "duplicates": ("keep", "drop"),
    "leaks": ("keep", "drop"),
    "similar_labels": ("keep", "merge"),
    "single_document_labels": ("keep", "drop"),
    "absent_labels": ("keep", "drop"),
}
"""What can be done about each kind of defect; the first is done unless another is chosen."""
ADVISED = {
    "missing_words": "drop",
    "unknown_labels": "drop",
    "empty_texts": "drop",
    "zero_width": "strip",
    "relabelled_copies": "join",
    "near_copies": "join",
    "duplicates": "drop",
    "leaks": "drop",
    "similar_labels": "merge",
}
"""What is advised; of the other kinds to keep."""
DONE = {"drop": "left out", "merge": "merged", "join": "joined", "negative": "counted as no", "strip": "taken out"}
"""What has been done, by the choice."""
NO_VALUES = frozenset(
    ("nan", "n/a", "#n/a", "na", "n.a.", "<na>", "none", "(none)", "null", "nil", "nat", "-", "--", "(blank)", "?")
)
"""Names, in lower case, that say that there is no label."""
SWITCHES = frozenset(("0", "1", "-1", "0.0", "1.0", "-1.0", "true", "false"))
"""Names, in lower case, that are values of a flag."""
UNPARSED = re.compile(r"""^[\[{('"<].*[\]})'">]$|^<[^>]+>|__label__|^["'\[{]|["\]}]$""", re.DOTALL)
"""Names that look like pieces of a list, a text in quotes or a tag."""


@dataclass(frozen=True)
class Defect:
    """One kind of defect of a file: how often, where for example, and what can be done.

    Attributes:
        key: as in `CHOICES`.
        title: what it is, in words.
        count: documents or labels concerned.
        examples: the first few, as text.
        advice: what the choice other than keeping does, or why it matters.
        advised: the choice that is advised.
    """

    key: str
    title: str
    count: int
    examples: tuple[str, ...]
    advice: str
    advised: str = "keep"


@dataclass(frozen=True)
class Finding:
    """What a kind of defect concerns in one file.

    Attributes:
        places: rows of the scanned copy, or its label columns, (n,).
        examples: the first `EXAMPLES` of them, as text.
        advice: what the choice other than keeping does, or why it matters.
        changed: the rows or columns that this choice changes, (m,).
        onto: of copies, the document that each is a copy of, (m,); else empty.
    """

    places: np.ndarray
    examples: tuple[str, ...]
    advice: str
    changed: np.ndarray
    onto: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


# Defects of documents, as they stand in the file.


def _documents(draft: Draft, rows: np.ndarray, advice: str) -> Finding:
    return Finding(rows, tuple(map(draft.scanned.show_document, rows[:EXAMPLES].tolist())), advice, rows)


def empty_texts(draft: Draft) -> Finding:
    """Documents without title and body."""
    return _documents(draft, np.flatnonzero(draft.scanned.hashes == 0), "A model learns nothing from them.")


def without_labels(draft: Draft) -> Finding:
    """Documents without labels."""
    rows = draft.rows[draft.sizes()[draft.rows] == 0]
    return _documents(draft, rows[~draft.scanned.unknown[rows]], "They count as negatives of every label.")


def unknown_labels(draft: Draft) -> Finding:
    """Documents of which some labels are unknown: -1 in the file."""
    advice = (
        "The file says -1 for them: they are kept in no part. Dropping leaves them out; negative counts what is "
        "unknown as not set."
    )
    return _documents(draft, draft.rows[draft.scanned.unknown[draft.rows]], advice)


def broken_encodings(draft: Draft) -> Finding:
    """Documents with bytes that are no text in the file's encoding."""
    proposed = draft.scanned.encoding
    way = f"the file may be {proposed}: --encoding {proposed}" if proposed else "naming the right encoding mends them"
    advice = f"Bytes that are not of this encoding are kept as \ufffd; {way}."
    return _documents(draft, np.flatnonzero(draft.scanned.broken), advice)


def long_texts(draft: Draft) -> Finding:
    """Documents of more than `LONG` bytes."""
    return _documents(draft, np.flatnonzero(draft.scanned.lengths > LONG), "Two documents may have been joined.")


def zero_width(draft: Draft) -> Finding:
    """Documents with characters in texts or labels that are not seen, such as the zero-width space."""
    columns = np.array([column for column, name in enumerate(draft.names) if ZERO_WIDTH.search(name)], np.int64)
    has_label = np.zeros(len(draft.names), np.int32)
    has_label[columns] = 1
    found = draft.scanned.zero_width | (np.asarray(draft.labels.astype(np.int32) @ has_label) > 0)
    rows = draft.rows[found[draft.rows]]
    names = ", ".join(ascii(str(name)) for name in draft.names[columns[:EXAMPLES]])
    labels = f" {len(columns):,} labels have them, such as {names}." if len(columns) else ""
    return _documents(draft, rows, f"Characters that are not seen make words and labels differ.{labels}")


def repeated_ids(draft: Draft) -> Finding:
    """Documents whose id an earlier one has."""
    if not draft.scanned.has_ids:
        return _documents(draft, draft.rows[:0], "")
    ids = draft.scanned.ids[draft.rows]
    first = np.unique(ids, return_index=True)[1]
    rows = np.delete(draft.rows, first)
    examples = tuple(f"{draft.scanned.ids[row]} ({draft.scanned.show_document(row)})" for row in rows[:EXAMPLES])
    return Finding(rows, examples, "Dropping leaves out all but the first of an id, with their texts.", rows)


# Copies: of each text one stays, a test document first, then one of validation, then the first.


def _order(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Rows in the order in which one of several copies is kept."""
    preferred = np.array([2, 0, 1, 2], np.int8)[codes]  # by place in `CODES`: test, validation, others
    return rows[np.lexsort((rows, preferred))]


def _firsts(ordered: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ordered rows and their keys: the first row of each key, and for every row that of its key."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return ordered[first], ordered[first][group]


def _label_sets(draft: Draft) -> np.ndarray:
    """A number for the set of labels of each document of the copy, (N,): equal sets have equal numbers."""
    numbers = np.random.default_rng(0).integers(1, 2**62, len(draft.names), np.uint64)[draft.columns]
    numbers[~draft.lives[draft.columns]] = 0
    return np.asarray(draft.labels.astype(np.uint64) @ numbers)


def _with_text(draft: Draft) -> np.ndarray:
    has_text = draft.scanned.hashes[draft.rows] != 0
    return _order(draft.rows[has_text], draft.codes[has_text])


def relabelled_copies(draft: Draft) -> Finding:
    """Documents whose text another one has as well, with other labels."""
    ordered = _with_text(draft)
    hashes, sets = draft.scanned.hashes[ordered], _label_sets(draft)
    _, onto = _firsts(ordered, hashes)
    differs = sets[ordered] != sets[onto]
    is_copy = np.isin(hashes, hashes[differs]) & (ordered != onto)
    rows, first = ordered[is_copy], onto[is_copy]
    by_row = np.argsort(rows)
    examples = tuple(
        f"{draft.scanned.show_document(row)}: {', '.join(draft.scanned.labels_of(row)) or 'no label'}, elsewhere "
        f"{', '.join(draft.scanned.labels_of(to)) or 'no label'}"
        for row, to in zip(rows[by_row][:EXAMPLES], first[by_row], strict=False)
    )
    advice = "Joining keeps one of each text with the labels of all; dropping keeps one with its own labels."
    return Finding(rows[by_row], examples, advice, rows[by_row], first[by_row])


def near_copies(draft: Draft) -> Finding:
    """Documents whose text differs from an earlier one's in blanks or unseen characters alone."""
    ordered = _with_text(draft)
    ordered = ordered[np.sort(np.unique(draft.scanned.hashes[ordered], return_index=True)[1])]
    _, onto = _firsts(ordered, draft.scanned.forms[ordered])
    is_copy = ordered != onto
    rows, first = ordered[is_copy], onto[is_copy]
    by_row = np.argsort(rows)
    examples = tuple(map(draft.scanned.show_document, rows[by_row][:EXAMPLES].tolist()))
    advice = "They differ in blanks alone. Joining keeps one of each with the labels of all."
    return Finding(rows[by_row], examples, advice, rows[by_row], first[by_row])


def duplicates(draft: Draft) -> Finding:
    """Documents whose text and labels another one has as well, but for one of each."""
    ordered = _with_text(draft)
    sets = _label_sets(draft)[ordered]
    keys = draft.scanned.hashes[ordered] ^ (sets * np.uint64(0x9E3779B97F4A7C15))
    first, _ = _firsts(ordered, keys)
    return _documents(draft, np.setdiff1d(ordered, first), "Dropping keeps one of each, a test document first.")


# Defects of labels, as they stand in the file.


def missing_words(draft: Draft) -> Finding:
    """Labels whose names say that there is none, such as NaN."""
    columns = [c for c, name in enumerate(draft.names) if name.strip().lower() in NO_VALUES and draft.scanned.counts[c]]
    found = np.array(columns, np.int64)
    counts = draft.scanned.counts
    examples = tuple(f"{draft.names[c]!r} ({counts[c]:,} documents)" for c in columns[:EXAMPLES])
    return Finding(found, examples, "They read like no value and count as no label unless they are kept.", found)


def unparsed_labels(draft: Draft) -> Finding:
    """Labels that look like what a file writes around or instead of labels."""
    names = [str(name).strip() for name in draft.names]
    known = set(names)
    flags = bool(names) and all(name.lower() in SWITCHES for name in names)
    columns = np.array([c for c, name in enumerate(names) if flags or _looks_unparsed(name, known)], np.int64)
    why = (
        "All labels are values of a flag: is this the right column?"
        if flags
        else (
            "They hold brackets, quotes, tags or a sign between names that are labels: see how the file is read "
            "(--sep, --labels)."
        )
    )
    return _labels(draft, columns, why, columns)


def _looks_unparsed(name: str, known: set[str]) -> bool:
    if len(name) > 1 and UNPARSED.search(name):
        try:
            is_balanced = parse_cell(name) is None and all(
                name.count(one) == name.count(other) for one, other in ("[]", "{}", "()")
            )
        except ValueError:
            return True
        return not is_balanced or name[0] in "'\"<{" or name.count('"') % 2 == 1
    for sign in ("|", ";", ",", "#", "\n", "\t"):
        if sign in name and len(parts := cut(name, (sign,))) > 1 and all(part in known for part in parts):
            return True
    return False


def similar_labels(draft: Draft) -> Finding:
    """Labels whose names differ only in case, blanks or Unicode form, as the most frequent spelling of each."""
    counts = draft.scanned.counts
    groups = {
        first: group for first, group in draft.scanned.spellings.items() if len(set(draft.columns[group].tolist())) > 1
    }
    firsts = np.array(sorted(groups, key=lambda column: -counts[groups[column]].sum()), np.int64)
    examples = tuple(
        " = ".join(f"{draft.scanned.show_label(column)!r} ({counts[column]:,})" for column in groups[first])
        for first in firsts[:EXAMPLES].tolist()
    )
    return Finding(firsts, examples, "Merging counts them as the most frequent spelling.", firsts)


# Defects of the parts.


def leaks(draft: Draft) -> Finding:
    """Train documents whose text stands in another part as well."""
    hashes = draft.scanned.hashes[draft.rows]
    is_train, has_text = draft.codes == splits.TRAIN, hashes != 0
    is_leak = is_train & has_text & np.isin(hashes, hashes[~is_train & has_text])
    advice = "They make scores look better than they are; dropping takes them out of train."
    return _documents(draft, draft.rows[is_leak], advice)


# Defects of the labels that are left.


def single_document_labels(draft: Draft) -> Finding:
    """Labels with one document."""
    columns = np.flatnonzero(draft.lives & (count_columns(draft.targets) == 1))
    return _labels(draft, columns, "They can be learned or tested, not both.", columns)


def absent_labels(draft: Draft) -> Finding:
    """Labels without a document in a part that has documents; the choice concerns those without one in train."""
    lives = np.flatnonzero(draft.lives)
    missing = {
        part: np.intersect1d(of_part, lives) for part, of_part in splits.absent(draft.codes, draft.targets).items()
    }
    concerned = np.unique(np.concatenate([np.zeros(0, np.int64), *missing.values()]))
    few = int(np.sum(count_columns(draft.targets)[concerned] < len(missing)))
    detail = ", ".join(f"{len(of_part):,} in no {part} document" for part, of_part in missing.items() if len(of_part))
    why = f"{detail}; {few:,} have fewer documents than there are parts, so no split can help." if detail else ""
    advice = f"{why} Dropping leaves out those without train documents.".strip()
    return _labels(draft, concerned, advice, missing.get("train", concerned[:0]))


def _labels(draft: Draft, columns: np.ndarray, advice: str, changed: np.ndarray) -> Finding:
    return Finding(columns, tuple(map(draft.scanned.show_label, columns[:EXAMPLES].tolist())), advice, changed)


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Attributes:
        key: as in `CHOICES`.
        title: what it is, in words.
        find: what it concerns in a draft.
        mends: what each choice other than the one that changes nothing does, with a finding.
        prepare: decides what of the draft must be decided before.
    """

    key: str
    title: str
    find: Callable[[Draft], Finding]
    mends: dict[str, Callable[[Draft, Finding], None]]
    prepare: Callable[[Draft, SplitConfig], None] | None = None


def _drop(draft: Draft, finding: Finding) -> None:
    draft.leave_out_documents(finding.changed)


def _drop_labels(draft: Draft, finding: Finding) -> None:
    draft.leave_out_labels(finding.changed)


def _join(draft: Draft, finding: Finding) -> None:
    draft.join_documents(finding.changed, finding.onto)


DROP: dict[str, Callable[[Draft, Finding], None]] = {"drop": _drop}
DROP_LABELS: dict[str, Callable[[Draft, Finding], None]] = {"drop": _drop_labels}
COPIES: dict[str, Callable[[Draft, Finding], None]] = {"drop": _drop, "join": _join}

DEFECTS = (
    Kind("missing_words", "Labels that read like no value", missing_words, DROP_LABELS),
    Kind(
        "zero_width",
        "Documents with characters that are not seen",
        zero_width,
        {"strip": lambda draft, finding: draft.strip_unseen(finding.changed)},
    ),
    Kind("empty_texts", "Documents without text", empty_texts, DROP),
    Kind(
        "unknown_labels",
        "Documents whose labels are partly unknown",
        unknown_labels,
        DROP | {"negative": lambda draft, finding: draft.count_as_negatives(finding.changed)},
    ),
    Kind("without_labels", "Documents without labels", without_labels, DROP),
    Kind("broken_encodings", "Documents with broken characters", broken_encodings, DROP),
    Kind("long_texts", f"Very long texts (over {LONG:,} bytes)", long_texts, DROP),
    Kind("repeated_ids", "Documents whose id an earlier one has", repeated_ids, DROP),
    Kind("relabelled_copies", "Copies with other labels", relabelled_copies, COPIES),
    Kind("near_copies", "Copies that differ in blanks alone", near_copies, COPIES),
    Kind("duplicates", "Copies of an earlier document", duplicates, DROP),
    Kind("unparsed_labels", "Labels that look unparsed", unparsed_labels, DROP_LABELS),
    Kind(
        "similar_labels",
        "Labels that differ only in case, blanks or Unicode form",
        similar_labels,
        {"merge": lambda draft, finding: draft.merge_labels(finding.changed)},
    ),
    Kind("leaks", "Train documents that are also in another part", leaks, DROP, prepare=Draft.divide),
    Kind(
        "single_document_labels",
        "Labels with one document",
        single_document_labels,
        DROP_LABELS,
        prepare=Draft.leave_out_rare,
    ),
    Kind("absent_labels", "Labels that are absent from a part", absent_labels, DROP_LABELS),
)
"""In the order in which they are looked for: documents first, then parts of what is left of them, then labels."""

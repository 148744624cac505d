"""What each column of a file is: guessed from names and cells, said in words, asked where two readings are possible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config.schema import FileConfig
from core.data.readers.cells import KEYS, parse_cell
from core.data.readers.cells_seen import Cells, key_of
from core.data.readers.columns import PARTS, listed
from core.data.readers.notation import Meaning, cut_question, find_meaning
from core.data.readers.row import INDICATOR
from core.system.errors import Question

USUAL = {
    "text": "text abstracttext abstract body content document article description comment_text comment sentence story",
    "title": "title headline subject",
    "labels": "labels label meshmajor mesh mesh_terms tags tag topics topic categories category classes class genres "
    "subjects concepts cats emotions aspects codes icd icd9 icd10 icd_codes accept keywords target_ind target y",
    "id": "id pmid doc_id docid document_id guid uid newid",
    "split": "split part subset fold partition",
    "year": "year",
}
"""Names that columns usually have, the most telling first."""
LABEL_WORDS = re.compile(r"(?i)(label|topic|categor|tag|genre|emotion|mesh|keyword|annotation|\bclass)")
NO_LABELS = re.compile(
    r"(?i)(^|[_. -])(authors?|user(name)?|director|writer|publisher|journal|source|url|link|date|time|created|updated|"
    r"language|lang|country|email|name|version|versions|license|doi|annotator|parsed|comments?|submitter)([_. -]|\d*$)"
)
"""Columns of such names are not taken for labels, whatever they hold."""
FLAGS = re.compile(
    r"(?i)^(is|has|was|are|did)[_. ]|^(train|test|validation|duplicate|verified|deleted|confidence|score)$|"
    r"[_. ](unclear|count|score)$"
)
"""0/1 columns of such names say something of the document that is no topic."""
LONG_LABELS = 300
"""Letters from which, on average, a cell is a text rather than labels."""
NUMBERED = re.compile(r"^(.*?)[ _.-]?(\d+)$")


@dataclass
class Reading:
    """What a file is taken for, from its first rows.

    Attributes:
        file: form and columns; what cannot be guessed is left empty.
        rows: the first rows.
        roles: what each column is taken for, in words.
        questions: what is to be decided before the file can be read.
        said: what a reader should know.
    """

    file: FileConfig
    rows: list[dict[str, Any]]
    roles: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def is_list(text: str) -> bool:
    """Whether a text is a list or an object in one of the notations of a label cell."""
    try:
        return parse_cell(text) is not None
    except ValueError:
        return True


class Roles:
    """The columns of some rows, as they are found out one after the other."""

    def __init__(self, path: Path, file: FileConfig, rows: list[dict[str, Any]], given: dict[str, Any]) -> None:
        self.path, self.given = path, given
        self.seen = Cells(rows)
        self.columns = self.seen.columns
        self.settings: dict[str, Any] = {}
        self.reading = Reading(file, rows)
        self.why = dict[str, str]()
        self.meanings = dict[str, Meaning]()

    def find(self) -> None:
        """Finds the columns of texts, parts, labels, ids."""
        named = self._by_names()
        for what in ("title", "id", "split", "year"):
            self.settings[what] = self.given.get(what, named[what])
        self._find_text(named["text"])
        self._find_parts()
        if self.given.get("labels"):
            self._read_labels(tuple(self.given["labels"]))
        else:
            self._find_labels()
        self._find_id()
        self._find_long()

    # Columns by their names.

    def _by_names(self) -> dict[str, str]:
        found = dict.fromkeys(USUAL, "")
        for what, names in USUAL.items():
            if what == "labels":
                continue
            for name in names.split():
                if able := [column for column in self.columns if self._is_named(column, name)]:
                    found[what] = max(able, key=lambda column: (column.lower() == name, self.seen.length(column)))
                    if what == "id" and "." in found[what] and not self.seen.is_unique(found[what]):
                        found[what] = ""
                        continue
                    if what == "text":
                        found[what] = max(able, key=self.seen.length)
                    break
        return found

    @staticmethod
    def _is_named(column: str, name: str) -> bool:
        lower = column.strip().lower()
        return lower == name or lower.rpartition(".")[2] == name

    def _find_text(self, named: str) -> None:
        """By name, unless it holds no texts; else the column of the longest."""
        if "text" in self.given:
            self.settings["text"] = tuple(self.given["text"])
            return
        parts = [c for name in ("header", "recitals", "main_body") for c in self.columns if c.lower() == name]
        if len(parts) == 3:  # EUR-Lex: what its authors join
            self.settings["text"] = tuple(parts)
            return
        taken = {self.settings[what] for what in ("id", "split", "year")} | set(self.given.get("labels", ()))
        if self.settings["title"]:  # a title may be all the text there is
            taken |= {c for c in self.columns for name in USUAL["labels"].split() if self._is_named(c, name)}
        able = {c: length for c in self.columns if c not in taken and (length := self.seen.length(c))}
        if not able:  # paragraphs that are short
            usual = USUAL["labels"].split()
            lists = [c for c in self.seen.lists_of_texts() if not any(self._is_named(c, name) for name in usual)]
            able = dict.fromkeys(lists[:1], 1.0)
        longest = max(able, key=lambda c: (self.seen.is_prose(c), able[c]), default="")
        if not named or (self.seen.is_number(named) and able.get(longest, 0) > 40):
            named = longest
        # Texts in several languages stand beside each other under one name.
        stem, _, _ = named.rpartition(".")
        tongues = [c for c in able if stem and re.fullmatch(rf"{re.escape(stem)}\.[a-z]{{2}}", c)]
        if len(tongues) > 1 and named in tongues:
            self.reading.questions.append(
                Question(
                    f"{self.path.name}: '{stem}' holds a text in {len(tongues)} languages. Say which is read with "
                    f"--text: {', '.join(tongues)}.",
                    about="text",
                    choices=tongues,
                    option="--text",
                )
            )
        self.settings["text"] = (named,) if named else ()
        if self.settings["title"] == named:
            self.settings["title"] = ""

    # Parts.

    def _find_parts(self) -> None:
        """Takes a column for parts where it names one; asks what its other names mean."""
        column = self.settings["split"]
        if not column or column not in self.seen.values:
            return
        names = [str(value).strip() for value in self.seen.values[column]]
        decided = {name.strip().lower() for name, _ in self.given.get("parts", ())}
        known = [name for name in names if name.lower() in PARTS or name.lower() in decided]
        if not any(PARTS.get(name.lower()) for name in known) and "split" not in self.given and not decided:
            self.settings["split"] = ""
            self.why[column] = f"not used: its values ({listed(list(dict.fromkeys(names))[:3])}) are no parts"
            return
        unknown = [name for name in names if name and name.lower() not in PARTS and name.lower() not in decided]
        if unknown:
            counts = {name: unknown.count(name) for name in dict.fromkeys(unknown)}
            shown = ", ".join(f"'{name[:40]}' ({count:,})" for name, count in list(counts.items())[:10])
            first = next(iter(counts))[:40]
            self.reading.questions.append(
                Question(
                    f"{self.path.name}, column '{column}': {shown} is no part that is known; known are train, "
                    f"validation and test. Say which it is, such as --part {first}=test, or leave it out with --part "
                    f"{first}=unused.",
                    about="parts",
                    choices=("train", "validation", "test", "unused"),
                    option="--part",
                    names=tuple(counts),
                )
            )

    # Labels.

    def _free(self) -> list[str]:
        taken = {self.settings[what] for what in ("title", "id", "split", "year")} | set(self.settings["text"])
        return [column for column in self.columns if column not in taken and self.seen.values[column]]

    def _meaning(self, column: str) -> Meaning:
        if column not in self.meanings:
            self.meanings[column] = find_meaning(self.path, column, self.seen.values[column], self.given)
        return self.meanings[column]

    def _find_labels(self) -> None:
        free = self._free()
        named = [c for name in USUAL["labels"].split() for c in free if self._is_named(c, name)]
        named += [c for c in free if c not in named and self._under_label_name(c)]
        named = [c for c in named if not self._holds_no_labels(c)]
        if not named and (numbered := self._numbered(free)):
            self._read_labels(numbered)
            return
        if not named and (marked := self._marked(free)):
            self._read_labels(marked)
            return
        if not named and self._find_flags(free):
            return
        if not named:
            named = [c for c in free if LABEL_WORDS.search(c) and self._can_be_labels(c) and not self.seen.is_flag(c)]
        if numbered := self._numbered(named):
            self._read_labels(numbered)
        elif named:
            self._choose(named)
        elif not self._by_values(free):
            self._ask_lone_flag(free)

    def _marked(self, free: Sequence[str]) -> tuple[str, ...]:
        """Columns that hold their own name or nothing; () where there are no two of them."""
        marked = tuple(
            c for c in free if {str(v).strip().lower() for v in self.seen.different(c)} == {c.strip().lower()}
        )
        return marked if len(marked) > 1 else ()

    def _under_label_name(self, column: str) -> bool:
        """Whether this is the name in an object that a label column holds: `category.name`."""
        parent, _, last = column.rpartition(".")
        usual = USUAL["labels"].split()
        return last.lower() in KEYS and parent.rpartition(".")[2].lower() in usual

    def _can_be_labels(self, column: str) -> bool:
        """Whether the cells are short enough, no paragraphs and no shares of 1."""
        values = self.seen.values[column]
        texts = [value for value in values if isinstance(value, str)]
        if texts and sum(map(len, texts)) > LONG_LABELS * len(texts) and not any(map(is_list, texts[:20])):
            return any(mark in text for text in texts[:50] for mark in ";|,")
        return not self._holds_no_labels(column)

    def _holds_no_labels(self, column: str) -> bool:
        """Whether the cells are paragraphs or shares of 1, whatever the column's name is."""
        return any(map(self.seen.are_paragraphs, self.seen.values[column][:50])) or self.seen.is_soft(column)

    def _choose(self, able: list[str]) -> None:
        """Takes the one of several columns that holds several labels for a document; asks where several do."""
        several = [column for column in able if self._meaning(column).is_several]
        if len(several) > 1 and not self._is_named(several[0], "labels"):
            self._ask_labels(several)
        column = (several or able)[0]
        # Lists beside it in the same object may be labels of another kind.
        parent, _, last = column.rpartition(".")
        beside = [c for c in self.seen.lists_of_texts() if parent and c != column and c.rpartition(".")[0] == parent]
        if beside and last.lower() not in ("labels", "label", "tags") and len(several) < 2:
            self._ask_labels([column, *beside])
        if not several and (alike := self._alike(able)):
            self.reading.said.append(f"The labels are those of {listed(alike)}, joined: they hold the same names.")
            self._read_labels(alike)
            return
        for other in able:
            if other != column:
                self.why[other] = "not used: it may hold labels too (--labels takes it)"
        if len(several) < 2 and len(able) > 1:
            rest = ", ".join(f"'{other}'" for other in able if other != column)
            why = ", which holds several for a document" if several else ""
            self.reading.said.append(f"The labels are those of '{column}'{why}; --labels takes {rest}.")
        self._read_labels((column,))
        flags = [c for c in self._free() if self.seen.is_flag(c) and c not in able]
        if len(flags) > 1:
            self.reading.said.append(f"Not taken for labels: columns of flags, {listed(flags)} (--labels takes them).")

    def _alike(self, able: Sequence[str]) -> tuple[str, ...]:
        """Columns of one label each that hold the same names: first and second category; () where they do not."""
        names = {c: {str(key_of(value)) for value in self.seen.values[c]} for c in able}
        first = names[able[0]]
        alike = tuple(c for c in able if 2 * len(first & names[c]) >= min(len(first), len(names[c])))
        return alike if len(alike) > 1 and len(first) > 2 else ()

    def _ask_labels(self, able: Sequence[str]) -> None:
        self.reading.questions.append(
            Question(
                f"{self.path.name}: the labels may be those of {' or '.join(repr(c) for c in able[:6])}. Say which "
                "with --labels.",
                about="labels",
                choices=able,
                option="--labels",
            )
        )

    def _read_labels(self, columns: tuple[str, ...]) -> None:
        """Takes some columns for the labels, and finds out how their cells hold them."""
        self.settings["labels"] = columns
        shown = self._free() if "*" in columns else [c for c in columns if c in self.seen.values]
        if "*" in columns or (
            "sep" not in self.given
            and len(columns) > 1
            and all(self.seen.is_flag(c) or self.seen.is_number(c) for c in shown)
        ):
            self.settings["sep"] = INDICATOR
        if INDICATOR in (self.given.get("sep"), self.settings.get("sep")):
            numbers = [n for c in shown if not self.seen.is_flag(c) for n in self.seen.numbers(c)]
            if numbers and "cut" not in self.given:
                self.reading.questions.append(
                    cut_question(self.path, f"{len(shown):,} columns of labels hold", numbers)
                )
            return
        if len(columns) == 1 and columns[0] in self.seen.values:
            meaning = self._meaning(columns[0])
        else:  # one label in each of several columns
            values = [value for column in shown for value in self.seen.values[column]]
            meaning = find_meaning(self.path, listed(columns), values, self.given)
        if (
            len(columns) == 1
            and "sep" not in self.given
            and "label_names" not in self.given
            and columns[0] in self.seen.values
            and self.seen.is_switch(columns[0])
            and not meaning.is_several
        ):
            self._ask_flag(columns[0])
            return
        self.settings |= meaning.settings
        self.reading.questions += meaning.questions
        self.reading.said += meaning.said

    # Columns that hold a flag, a score or votes for one label each.

    def _find_flags(self, free: list[str]) -> bool:
        """Takes the columns that hold a flag, a score or votes each; false where there are no two of them."""
        flags = [c for c in free if self.seen.is_flag(c)]
        soft = [c for c in free if self.seen.is_soft(c)]
        votes = [c for c in free if not self.seen.is_flag(c) and self.seen.is_votes(c)]
        groups = dict[str, list[str]]()
        for column in flags:
            groups.setdefault(self.seen.spelling(column), []).append(column)
        if len(soft) > 1:  # a column of scores may hold 0.0 and 1.0 alone
            groups["soft"] = [c for c in free if c in soft or (c in flags and self.seen.spelling(c) == "decimals")]
            groups.pop("decimals", None)
        if len(votes) > 1:
            groups["votes"] = [c for c in free if c in votes or self._spelling_of(c, groups) == "0/1"]
            groups.pop("0/1", None)
        for spelling, columns in groups.items():
            named = [c for c in columns if FLAGS.search(c)]
            if len(named) < len(columns):
                for column in named:
                    self.why[column] = f"not used: its name says that it is no label ({column}); --labels takes it"
                groups[spelling] = [c for c in columns if c not in named]
        largest = max(groups.values(), key=len, default=[])
        if len(largest) < 2:  # each is written in its own way
            largest = [c for c in flags if c not in self.why]
        if len(largest) < 2:  # scores or marks of one range, such as 1 to 5
            ranges = dict[tuple[float, float], list[str]]()
            for column in free:
                if numbers := self.seen.numbers(column):
                    ranges.setdefault((min(numbers), max(numbers)), []).append(column)
            alike = max(ranges.values(), key=len, default=[])
            largest = alike if len(alike) > 2 else []
        if len(largest) < 2:
            return False
        others = [c for c in (*flags, *soft, *votes) if c not in largest]
        for column in others:
            self.why.setdefault(column, "not used: it is written otherwise than the columns of labels")
        if left := list(dict.fromkeys(c for c in others if c in flags)):
            self.reading.said.append(
                f"Not taken for labels: {listed(left)}. Name the columns of labels with --labels to change that."
            )
        rest = [c for c in self.columns if c not in largest and c not in self._roles_taken()]
        self._read_labels(tuple(largest) if rest or len(largest) < len(free) else ("*",))
        self.settings["sep"] = INDICATOR
        return True

    def _spelling_of(self, column: str, groups: dict[str, list[str]]) -> str:
        return next((spelling for spelling, columns in groups.items() if column in columns), "")

    def _roles_taken(self) -> set[str]:
        return {self.settings[what] for what in ("title", "id", "split", "year")} | set(self.settings["text"])

    # Columns that are known by their cells alone.

    def _numbered(self, free: Sequence[str]) -> tuple[str, ...]:
        """Columns such as label1, label2, label3, each with one label of the document."""
        stems = dict[str, list[str]]()
        for column in free:
            if (
                (found := NUMBERED.match(column.strip()))
                and not self.seen.is_number(column)
                and not self.seen.is_flag(column)
            ):
                stems.setdefault(found[1].lower(), []).append(column)
        for stem, columns in stems.items():
            values = [{str(key_of(value)) for value in self.seen.values[c]} for c in columns]
            shared = [bool(values[0] & other) for other in values[1:]]
            is_named = any(re.fullmatch(rf"{name}s?", stem) for name in USUAL["labels"].split())
            short = all(self.seen.length(c) <= LONG_LABELS / 4 for c in columns)
            if (
                len(columns) > 1
                and short
                and stem != "column"
                and (is_named or LABEL_WORDS.search(stem) or all(shared))
            ):
                return tuple(c for c in self.columns if c in columns)
        return ()

    def _by_values(self, free: list[str]) -> bool:
        """Lists or joined names, else names that repeat; asks where several columns may be it."""
        able = [c for c in free if not NO_LABELS.search(c) and not self.seen.is_number(c) and not self.seen.is_flag(c)]
        able = [c for c in able if self._can_be_labels(c)]
        several = [c for c in able if self._meaning(c).is_several and self.seen.length(c) <= LONG_LABELS]
        if several:
            surest = max(self._meaning(c).strength for c in several)
            others = [c for c in several if self._meaning(c).strength < surest]
            several = [c for c in several if c not in others]
            if others:
                self.reading.said.append(f"Not taken for labels: {listed(others)} (--labels takes one).")
            if len(several) > 1:
                self._ask_labels(several)
            self._read_labels((several[0],))
            return True
        doubtful = [c for c in able if self._meaning(c).questions]
        distinct = {c: len({str(value) for value in self.seen.values[c]}) / len(self.seen.values[c]) for c in able}
        repeated = [c for c in able if distinct[c] <= 0.5] or doubtful
        if len(repeated) > 1:
            self._ask_labels(repeated)
        if repeated:
            self._read_labels((repeated[0],))
        return bool(repeated)

    def _ask_lone_flag(self, free: list[str]) -> None:
        if lone := next((c for c in free if self.seen.is_switch(c)), ""):
            self._ask_flag(lone)

    def _ask_flag(self, column: str) -> None:
        """A single column of 0 and 1 may be a label, or say anything else of a document."""
        self.settings["labels"] = ()
        held = " and ".join(sorted({str(value) for value in self.seen.values[column]})[:4])
        self.reading.questions.append(
            Question(
                f"{self.path.name}: the column '{column}' holds {held} alone. If it is a label that a document has or "
                f'has not, say --labels "{column}" --sep 0/1; if the numbers are two labels, name them with --labels '
                f'"{column}" --label-names NO,YES; else say which column holds the labels (--labels).',
                about="labels",
                choices=(column,),
                option="--labels",
            )
        )

    # Ids, and rows of one label each.

    def _find_id(self) -> None:
        if self.settings["id"] or "id" in self.given:
            return
        for column in self._free():
            values = [value for value in self.seen.values[column] if isinstance(value, (str, int))]
            ends = re.search(r"(?i)(^|[_. ])(id|uid|key)$", column.strip())
            if (
                ends
                and len(values) == len(self.reading.rows) == len(set(values))
                and column not in self.settings.get("labels", ())
            ):
                self.settings["id"] = column
                return

    def _find_long(self) -> None:
        """Rows that repeat id and text and differ in their single label are one document."""
        labels = self.settings.get("labels", ())
        if "grouped" in self.given or len(labels) != 1 or self.settings.get("sep") == INDICATOR:
            return
        if labels[0] not in self.seen.cells or self._meaning(labels[0]).is_several:
            return
        # The id by its name; else a column of names or numbers whose rows have one text, and not all documents.
        named = self.settings["id"]
        able = [named] if named or "id" in self.given else [c for c in self._free() if not self.seen.is_prose(c)]
        for identity in filter(None, able):
            if self.seen.is_grouped_by(identity, labels[0], self.settings["text"]):
                self.settings |= {"id": identity, "grouped": True}
                self.reading.said.append(
                    f"Each row holds one label: rows of one '{identity}' are one document with their labels joined."
                )
                return

    # In words.

    def describe(self) -> None:
        """Says of each column what it is taken for."""
        file, roles = self.reading.file, self.reading.roles
        labels = self._free() if "*" in file.labels else file.labels
        kind = "label (0/1)" if file.sep == INDICATOR and file.cut is None else "label" if len(labels) > 1 else "labels"
        for column in self.columns:
            words = self.why.get(column, "not used")
            if column in file.text:
                words = "text"
            elif column in labels:
                words = kind
            else:
                single = {file.title: "title", file.id: "id", file.split: "part", file.year: "year"}
                words = single.get(column, words)
            roles[column] = words

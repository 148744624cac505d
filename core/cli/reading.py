"""What `data add` says: how a file was read, what is wrong with it, what was kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.cli.console import print_json, print_line
from core.config.schema import FileConfig
from core.data import added, defects
from core.data.summary import ReadSummary, file_words
from core.system.errors import Question

LETTERS = 60
"""Of a text, a label and a line of labels that are shown."""
COLUMNS = 30
"""Columns whose role is shown."""


def print_question_as_json(question: Question) -> None:
    """Writes what is asked as one JSON document."""
    asked = {"about": question.about, "choices": list(question.choices), "option": question.option}
    print_json({"question": asked | {"sentence": str(question)}})


def print_plan_as_json(name: str, file: FileConfig, plan: added.Plan, read: ReadSummary, *, is_added: bool) -> None:
    """Writes everything as one JSON document."""
    found = [asdict(defect) | {"choices": list(defects.CHOICES[defect.key])} for defect in plan.defects]
    size = {"documents": len(plan.rows), "labels": len(plan.labels), "parts": plan.sizes()}
    about: dict[str, Any] = {"name": name, "added": is_added, "file": file.model_dump(), "read": read.to_json()}
    print_json(about | {"defects": found, **size})


def print_plan(path: Path, file: FileConfig, plan: added.Plan, read: ReadSummary, choices: dict[str, str]) -> None:
    """Writes everything in plain lines."""
    print_line(f"{path.name} is read as: {file_words(file)}")
    print_read(read)
    for defect in plan.defects:
        if defect.count:
            _print_defect(defect, choices)
    without = [defect.key for defect in plan.defects if not defect.count]
    print_line(f"Not found: {', '.join(without)}." if without else "Every kind of defect was found.")
    for note in (note for note in plan.notes if note not in read.said):
        print_line(note)
    sizes = ", ".join(f"{part} {size:,}" for part, size in plan.sizes().items())
    print_line(f"{len(plan.rows):,} of {plan.documents:,} documents, {len(plan.labels):,} labels; {sizes}.")


def print_read(read: ReadSummary) -> None:
    """Writes what was read: columns, five documents, frequent and rare labels."""
    shown = [f"{_cut(column)} ({role})" for column, role in list(read.roles.items())[:COLUMNS]]
    if shown:
        more = f" and {len(read.roles) - COLUMNS:,} more" if len(read.roles) > COLUMNS else ""
        print_line(f"Columns: {', '.join(shown)}{more}")
    print_line(
        f"Read: {read.documents:,} documents, {read.labels:,} labels, {read.assignments:,} assignments; labels of a "
        f"document: {read.fewest:,} to {read.most:,}, {read.per_document:.2f} on average"
    )
    for document in read.sample:
        text = _cut(" ".join(document.text.split()))
        print_line(f"    {_cut(document.id)}: {text} -> {' | '.join(map(_cut, document.labels)) or '(no label)'}")
    for title, labels in (("Most frequent", read.top), ("Rarest", read.rarest)):
        print_line(f"{title} labels: {'; '.join(f'{_cut(name)} ({count:,})' for name, count in labels)}")
    for sentence in read.said:
        print_line(sentence)


def _print_defect(defect: defects.Defect, choices: dict[str, str]) -> None:
    usual, *others = defects.CHOICES[defect.key]
    done = choices.get(defect.key, usual)
    others.sort(key=lambda other: other != defect.advised)  # what is advised comes first
    ways = " or ".join(f"--{other} {defect.key}" for other in others)
    way = f"; {ways} does otherwise" if done == usual else ""
    print_line(f"{defect.title}: {defect.count:,} ({done}{way}). {defect.advice}")
    for example in defect.examples[:2]:
        print_line(f"    {example}")


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}..."

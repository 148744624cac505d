"""Where is ...? Each answer of tests/README.md names a file and what stands in it."""

from __future__ import annotations

import ast
import re

import pytest

from core.system.places import ROOT

ANSWERS = re.findall(r"^\| (.+?) \| `(\S+\.py)` \| `(\w+)` \|$", (ROOT / "tests/README.md").read_text("utf-8"), re.M)


def names_of(source: str) -> set[str]:
    """Functions, classes and constants at the top of a module."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_there_are_twenty_questions_or_more() -> None:
    assert len(ANSWERS) >= 20


@pytest.mark.parametrize(("question", "file", "name"), ANSWERS, ids=[question for question, _, _ in ANSWERS])
def test_the_answer_stands_where_the_table_says(question: str, file: str, name: str) -> None:
    assert name in names_of((ROOT / file).read_text("utf-8"))

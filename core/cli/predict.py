"""The command that labels texts of one's own by a trained run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from core.analysis import answers, decisions
from core.analysis.csv import to_csv
from core.cli.console import Json, Rule, print_json, print_line, print_text
from core.config.defaults import MODELS
from core.data.readers import SUFFIXES, guess, read_rows, unit, value_at
from core.runs import folder, results, scorer
from core.system.errors import UserError

AT_ONCE, AT_ONCE_BY_WORDS = 64, 2048
"""Texts that are scored together; by models on words, whose weights are gone through for each batch, more."""
SCORES_AT_ONCE = 1 << 25
"""Scores that are held at once, unless `AT_ONCE` texts have more."""
_NO_LABEL = pd.DataFrame({"label": [""], "score": [None], "given": [False]})
"""The row of a document without a label."""
ROWS = (*SUFFIXES["csv"], *SUFFIXES["jsonl"])
"""Ends of the names of files that hold a text in each row."""


def predict(
    run: str,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Plain text, or a text in each row of CSV or JSON lines; - is stdin."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text itself; may be given several times.")] = None,
    rule: Rule = decisions.AS_TRAINED,
    top: Annotated[int, typer.Option(min=0, help="List so many labels at least; those not given in brackets.")] = 0,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values, a row for each label.")] = False,
) -> None:
    """Print the labels that a trained run gives texts, with their scores.

    Examples:
    python -m core predict reuters-tfidf-db-s0-0123456789 article.txt --rule quiet
    python -m core predict reuters-tfidf-db-s0-0123456789 --text "Wheat exports fell" --top 3
    """
    # The run with its weights, and what decides.
    found = folder.get_run(run)
    labels = results.read_results(found)["labels"]
    cut, model = answers.find_cut(found, rule), scorer.load(found)
    documents, at_once = read_texts(files or [], text or []), texts_at_once(found, len(labels))
    # Texts are scored some at a time.
    answered = []
    while part := list(islice(documents, at_once)):
        scores = model.scores([words for _, words in part])
        given = cut.give(scores)
        for row, (name, _) in enumerate(part):
            table = answers.answer_table(scores[row], given[row], labels, top=top)
            if as_json or as_csv:
                answered.append((name, table))
            else:
                print_line(f"{name}: {_in_words(table)}")
    if as_json:
        listed = [{"document": name, "labels": table.to_dict("records")} for name, table in answered]
        print_json({"run": run, "rule": rule, "chosen_on": cut.chosen_on, "documents": listed})
    elif as_csv:
        frames = [(table if len(table) else _NO_LABEL).assign(document=name) for name, table in answered]
        print_text(to_csv(pd.concat(frames)[["document", "label", "score", "given"]]))
    elif cut.chosen_on == "test":
        print_line(f"The thresholds of '{rule}' were chosen on test: their test scores are no fair estimate.")


def texts_at_once(run: folder.Run, labels: int) -> int:
    """How many texts a run scores together."""
    by_words = MODELS[run.config.model.name].reads == "words"
    return max(AT_ONCE, min(AT_ONCE_BY_WORDS, SCORES_AT_ONCE // max(1, labels))) if by_words else AT_ONCE


def _in_words(table: pd.DataFrame) -> str:
    """Labels with their scores, those that are not given in brackets."""
    rows = zip(table["label"], table["score"], table["given"], strict=True)
    words = [f"{label} {score:.3f}" if given else f"({label} {score:.3f})" for label, score, given in rows]
    return ", ".join(words) or "no label"


def read_texts(files: list[str], texts: list[str]) -> Iterator[tuple[str, str]]:
    """Names and texts of documents.

    Raises:
        UserError: nothing was named, a file that cannot be read, an empty text.
    """
    if not files and not texts:
        raise UserError("There is no text: name a file, - for standard input, or give --text TEXT.")
    for number, words in enumerate(texts, 1):
        yield _checked("text" if len(texts) == 1 else f"text {number}", words)
    for name in files:
        if name == "-":
            yield _checked("standard input", _decoded("standard input", sys.stdin.buffer.read()))
        elif Path(name).suffix.lower() in ROWS:
            yield from _read_rows(Path(name))
        else:
            try:
                content = Path(name).read_bytes()
            except OSError as error:
                raise UserError(f"{name} cannot be read: {error.strerror}. Check the path and its rights.") from None
            yield _checked(name, _decoded(name, content))


def _read_rows(path: Path) -> Iterator[tuple[str, str]]:
    """The documents of a file with a text in each row, by the column that is its text by name or else by length."""
    file = guess(path)
    columns = [*filter(None, [file.title]), *file.text]
    if not columns:
        raise UserError(f"{path.name} has no column with texts: name one of them 'text'.")
    row = None
    for row in read_rows(path, file):
        cells = [value_at(row.values, column) for column in columns]
        if wrong := [cell for cell in cells if isinstance(cell, dict | list)]:
            raise UserError(
                f"{path.name}, {unit(file)} {row.place}: found {str(wrong[0])[:40]} where a text is expected."
            )
        yield _checked(f"{path.name}:{row.place}", "\n".join(str(cell) for cell in cells if cell is not None))
    if row is None:
        raise UserError(f"{path.name} has no row: there is no text to label.")


def _decoded(name: str, content: bytes) -> str:
    """The text of a file."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is no text in UTF-8 (byte {error.start:,}): convert it first.") from None


def _checked(name: str, text: str) -> tuple[str, str]:
    """A document that has a text."""
    if not text.strip():
        raise UserError(f"{name} is empty: there is no text to label.")
    return name, text.encode("utf-8", "replace").decode("utf-8")

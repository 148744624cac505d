"""How often rows confuse given pairs of labels: a table of test documents, as the paper's error analysis tells it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.analysis.decisions import AS_TRAINED, Read, decide
from core.analysis.export import title
from core.analysis.tables import Row
from core.labels.groups import count_documents
from core.metrics import confusion
from core.runs import results
from core.runs.predictions import read_predictions
from core.system.errors import UserError, choose

SEPARATOR = "/"
"""Between a missed label and one that was given beside it."""


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Pairs of labels as an option names them: `platinum/gold,yen/money-fx`.

    Raises:
        UserError: one is no pair, a label beside itself, or there is none.
    """
    pairs = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        missed, separator, given = (part.strip() for part in word.partition(SEPARATOR))
        if not (separator and missed and given) or missed == given:
            raise UserError(f"'{word}' is no pair of labels: write MISSED/GIVEN, such as platinum/gold.")
        pairs.append((missed, given))
    if not pairs:
        raise UserError("No pair of labels is named: write MISSED/GIVEN, such as platinum/gold, with commas between.")
    return list(dict.fromkeys(pairs))


def pair_table(
    rows: Sequence[Row], pairs: Sequence[tuple[str, str]], *, rule: str = AS_TRAINED, read: Read = read_predictions
) -> pd.DataFrame:
    """Test documents in which rows miss a label, and in which they give another one there, the mean of a row's seeds.

    Args:
        rows: of `core.analysis.tables.fold`, of one data set.
        pairs: a missed label and one that was given, rightly or wrongly.
        rule: at which the rows decide.
        read: gives the predictions of a part.

    Returns:
        Columns row, seeds, then for each missed label `MISSED missed` and for each of its pairs `MISSED missed, GIVEN
        given`. `attrs["documents"]` has the test documents of each missed label. No row where there are none.

    Raises:
        UserError: there is no such label, or the rule cannot serve a run.
    """
    found: list[dict[str, object]] = []
    support: dict[str, int] = {}
    for row in rows:
        counted = []
        for run in row.runs:
            labels = list(results.read_results(run)["labels"])
            for name in dict.fromkeys(name for pair in pairs for name in pair):
                choose("label", name, labels)
            targets, predicted = read(run, "test").targets, decide(run, rule, read=read).predicted
            together = confusion.swap_counts(targets, predicted) + confusion.absorbed_counts(targets, predicted)
            documents = count_documents(targets)
            misses = documents - np.asarray(targets.multiply(predicted).sum(axis=0)).ravel()
            counts: dict[str, float] = {}
            for missed, given in pairs:
                i, j = labels.index(missed), labels.index(given)
                support[missed] = int(documents[i])
                counts[f"{missed} missed"] = float(misses[i])
                counts[f"{missed} missed, {given} given"] = float(together[i, j])
            counted.append(counts)
        mean = pd.DataFrame(counted).mean()
        name = title({"name": row.name, "source": "run", "seeds": len(row.runs)})
        found.append({"row": name, "seeds": len(row.runs), **mean.to_dict()})
    table = pd.DataFrame(found)
    # A missed label's own column stands before those of its pairs.
    ordered = [
        column
        for missed in dict.fromkeys(missed for missed, _ in pairs)
        for column in [
            f"{missed} missed",
            *(f"{missed} missed, {given} given" for one, given in pairs if one == missed),
        ]
    ]
    table = table.reindex(columns=["row", "seeds", *ordered])
    table.attrs["documents"] = support
    return table


def describe_documents(table: pd.DataFrame) -> str:
    """How many test documents the missed labels of a table have, in a sentence; empty where there is no row."""
    words = [f"{name} {count}" for name, count in table.attrs["documents"].items()]
    return f"Test documents: {', '.join(words)}." if words else ""


def to_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown, what its documents are below it."""
    columns = list(table.columns[2:])
    cells = [[str(row["row"]), *(f"{row[column]:.3g}" for column in columns)] for row in table.to_dict("records")]
    lines = [f"|{'|'.join(row)}|" for row in [[" ", *columns], ["---", *["---:"] * len(columns)], *cells]]
    return "\n".join([*lines, "", describe_documents(table), ""])

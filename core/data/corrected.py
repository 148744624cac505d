"""A data set with its corrections, added beside the one that was judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from io import BytesIO

from core.config.schema import FileConfig, SplitConfig
from core.data.added import Registered, find_registered, keep_upload, register, remove_upload
from core.data.corpus import PARTS, Corpus
from core.data.defects import CHOICES
from core.data.verdicts import Verdict, correct_targets
from core.system.errors import UserError

FILE = FileConfig(format="jsonl", text=("body",), title="title", labels=("labels",), id="id", split="split")
"""How the written file is read."""
LONGEST = 40
"""Letters of a data set's name."""


def name_corrected(name: str, taken: Iterable[str]) -> str:
    """The first free name of the form `reuters-corrected`, `reuters-corrected-2`."""
    used = {one.lower() for one in taken}
    for number in range(1, len(used) + 2):
        end = "-corrected" + (f"-{number}" if number > 1 else "")
        free = f"{name[: LONGEST - len(end)]}{end}"
        if free.lower() not in used:
            return free
    raise AssertionError("one of so many names is free")


def add_corrected(corpus: Corpus, corrections: Sequence[Verdict], *, reserved: Sequence[str] = ()) -> Registered:
    """Adds a data set that has these corrections and is else the one that was judged: documents, texts, parts.

    Args:
        corpus: that was judged.
        corrections: of `verdicts.select_corrections`.
        reserved: names of data sets that are taken, beside those that were added.

    Raises:
        UserError: there is no correction, or the set cannot be added.
    """
    if not corrections:
        raise UserError("No label was judged wrong: there is nothing to correct.")
    targets = correct_targets(corpus, corrections)
    lines = []
    for part in PARTS:
        for row in corpus.parts[part].tolist():
            columns = targets.indices[targets.indptr[row] : targets.indptr[row + 1]]
            document = {
                **{"id": str(corpus.ids[row]), "title": corpus.titles[row], "body": corpus.bodies[row]},
                **{"labels": [corpus.labels[column] for column in columns], "split": part},
            }
            lines.append(json.dumps(document, ensure_ascii=False))
    name = name_corrected(corpus.name, [*reserved, *find_registered()])
    path = keep_upload(f"{name}.jsonl", BytesIO("\n".join(lines).encode("utf-8")))
    try:
        keep = dict.fromkeys(CHOICES, "keep")
        return register(name, path, FILE, SplitConfig(made="own"), keep, reserved=reserved)
    finally:
        remove_upload(path)

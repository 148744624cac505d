"""Data sets of the literature that are made of a file by a recipe, by name: which file it is and how it is divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.system.errors import UserError
from core.system.files import show_path


@dataclass(frozen=True)
class Recipe:
    """How a data set is made of a file.

    Attributes:
        about: what it is, in a sentence.
        files: the file, looked for under these names in the folders of the data.
        made: how its documents are divided.
        min_documents: a label with fewer train documents is left out.
        years: first and last year of its documents, such as 2010-2014; None: all.
    """

    about: str
    files: tuple[str, ...]
    made: Literal["own", "random", "stratified", "paper"]
    min_documents: int
    years: str | None = None


RECIPES: dict[str, Recipe] = {
    "pubmed-sample": Recipe(
        "BioASQ's public sample of PubMed: 13,297 articles, the 3,680 MeSH labels of at least 5 train documents, "
        "70/10/20 % at random.",
        (
            "pubmed/allMeSH_sample.json.gz",
            "allMeSH_sample.json.gz",
            "pubmed/allMeSH_sample.json",
            "allMeSH_sample.json",
        ),
        made="random",
        min_documents=5,
    ),
}
"""By the name that the data set then has. Its groups are those of `core.labels.groups`: above 1,000 labels the borders
of Huang et al. (EMNLP 2021) for PubMed, 50 and 15 train documents."""


def find_file(name: str, folders: Sequence[Path]) -> Path:
    """The file of a recipe in the first folder that has it.

    Raises:
        UserError: no folder has it.
    """
    files = RECIPES[name].files
    found = next((path for folder in folders for file in files if (path := folder / file).is_file()), None)
    if found is None:
        raise UserError(
            f"{Path(files[0]).name}, which '{name}' is made of, was not found in {', '.join(map(show_path, folders))}. "
            "Put it into a folder and name that in TAILSCOPE_DATA."
        )
    return found

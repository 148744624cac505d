"""The document that every reader yields."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One document.

    `part` is train, validation, test or empty; `labels` are distinct; of an `unknown` one some labels are not known.
    """

    id: str
    title: str
    body: str
    labels: tuple[str, ...]
    part: str
    unknown: bool = False

"""The document that every reader yields."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One document. `part` is train, test or unused; `labels` are distinct."""

    id: str
    title: str
    body: str
    labels: tuple[str, ...]
    part: str

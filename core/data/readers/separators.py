"""What stands between the labels of one text: the sign whose cut gives parts that begin other cells as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.data.readers.cells import cut

STRONG = ("|||", "||", "|", ";", "；", "\n", "\t", "、")
"""Signs that seldom stand inside a name, longer ones first."""
WEAK = (",", "，", "#", "/", "+", "&", " ")
"""Signs that stand inside names too: they must be proved."""
LEAST = dict.fromkeys(("/", "+", "&", " "), 0.8)
"""Share of parts that must be proved where it is not `PROVED`."""
PROVED = 0.3
MANY = 0.05
"""Share of the cells that hold a strong sign where nothing proves it."""
KEYWORDS = 2.5
"""Parts of a cell, on average, from which commas divide keywords rather than stand in names."""


@dataclass(frozen=True)
class Separators:
    """What stands between labels.

    Attributes:
        accepted: the separators, the first that a cell holds cuts it; empty where each cell is one label.
        doubtful: a sign that may be one, empty if none.
        example: a cell that holds it.
    """

    accepted: tuple[str, ...]
    doubtful: str = ""
    example: str = ""


@dataclass(frozen=True)
class _Evidence:
    """How cells behave when a sign cuts them: how many hold it, mean parts, share of later parts that begin cells."""

    sign: str
    cells: int
    parts: float
    proved: float
    example: str


def find_separators(texts: Sequence[str]) -> Separators:
    """The separators of some cells, which are in no other notation.

    Of "a;b", "b" and "b;a" every later part stands first in another cell, so `;` divides labels. Of "Kidney Failure,
    Chronic" and "a/b/c" no later part does, so the comma and the slash stay in the names.

    Args:
        texts: as many cells as can be had, from all over the file.
    """
    cells = Counter(text for text in texts if text.strip())
    total = sum(cells.values())
    found = [evidence for sign in (*STRONG, *WEAK) if (evidence := _weigh(sign, cells))]
    best = max(found, key=lambda one: (_is_proved(one), one.proved, one.cells), default=None)
    if best is not None and _is_proved(best):
        return Separators((best.sign, *_others(best.sign, cells)))
    # Nothing is proved: labels are rare, or every document has the same ones.
    strong = [one for one in found if one.sign in STRONG and one.cells >= max(1, MANY * total)]
    if strong:
        return Separators((max(strong, key=lambda one: one.cells).sign,))
    doubtful = next((one for one in found if one.sign in (",", "，") and one.cells >= max(1, MANY * total)), None)
    if doubtful is None:
        return Separators(())
    if doubtful.parts >= KEYWORDS and doubtful.cells >= 0.3 * total:
        return Separators((doubtful.sign,))
    few = doubtful.cells < 10 or doubtful.proved >= 0.1
    return Separators((), doubtful.sign if few else "", doubtful.example)


def _is_proved(evidence: _Evidence) -> bool:
    return evidence.proved >= LEAST.get(evidence.sign, PROVED)


def _others(first: str, cells: Counter[str]) -> list[str]:
    """Further separators, of the cells that do not hold the first: each is proved there."""
    others = list[str]()
    begins = {part for cell in cells for part in cut(cell, (first,))}
    rest = Counter({cell: times for cell, times in cells.items() if first not in cell})
    for sign in (*STRONG, ",", "，"):
        evidence = _weigh(sign, rest, begins) if sign != first else None
        if evidence and evidence.proved >= 0.8 and evidence.cells >= 3:
            others.append(sign)
            rest = Counter({cell: times for cell, times in rest.items() if sign not in cell})
    return others


def _weigh(sign: str, cells: Counter[str], begins: set[str] | None = None) -> _Evidence | None:
    """How cells behave when a sign cuts them; None where none has several parts."""
    held = {cell: parts for cell in cells if sign in cell and (parts := cut(cell, (sign,)))}
    several = {cell: parts for cell, parts in held.items() if len(parts) > 1}
    if not several or 2 * len(several) < sum(1 for cell in held if not cell.strip().startswith(sign)):
        return None  # "C#", "and so on;"
    if sign == "#" and any(" " in parts[0] for parts in several.values()):
        several = {cell: parts for cell, parts in several.items() if cell.lstrip().startswith("#")} or several
    if begins is None:
        begins = {parts[0] for parts in held.values()} | {cell.strip() for cell in cells if sign not in cell}
    # Blanks and slashes stand inside names: there each first part, too, must stand alone or later in another cell.
    ends: set[str] | None = None
    if sign in LEAST:
        ends = {cell.strip() for cell in cells if sign not in cell}
        ends.update(part for parts in several.values() for part in parts[1:])
    # A part proves nothing by standing twice in the same cell, nor by beginning its own cell alone.
    later = proved = all_parts = number = 0
    for cell, parts in several.items():
        times = cells[cell]
        number += times
        all_parts += times * len(parts)
        later += times * (len(parts) - 1)
        proved += times * sum(part in begins and part != parts[0] for part in parts[1:])
        if ends is not None:
            later += times
            proved += times * (parts[0] in ends)
    return _Evidence(sign, number, all_parts / number, proved / later, next(iter(several)))

"""Which files of a package hold documents, and of which part: by names such as train.csv or test-00000-of-00002."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.data.readers.package import Member
from core.data.readers.packed import plain_name
from core.data.readers.row import PARTS
from core.system.errors import UserError

SUFFIXES = {
    "csv": (".csv", ".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines"),
    "json": (".json",),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather"),
    "workbook": (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    "pubmed": (".xml",),
}
"""Ends of the names of files of each format."""
FAMILIES = {form: "json" if form == "jsonl" else form for form in SUFFIXES}
ABOUT = re.compile(
    r"(?i)^(readme|licen[cs]e|changes|changelog|notice|citation|description|about|dataset_infos?|dataset_dict|"
    r"dataset_info|state|config|meta(data)?|lbl|labels?|label_names|classes|mapping)$"
)
"""Names of files about a collection."""
SIDE = re.compile(r"(?i)[_-]?(raw[_-]?)?texts?$")
"""The end of the name of a file of texts whose labels stand in a file beside it, line by line."""
SIDES = (".tsv", ".key", ".labels", ".lab", ".ann", ".csv")
"""Ends of the names of files that hold the labels of the document of the same name, one in each line."""
SHOWN = 4


@dataclass(frozen=True)
class Chosen:
    """The files that hold documents.

    Attributes:
        members: names and parts, in order; parts are empty where names tell none.
        left_out: names of the others.
        layout: `table` (documents in each file), `texts` (one document a file), `lines` (texts, and labels beside).
    """

    members: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()
    layout: str = "table"


@dataclass(frozen=True)
class _Named:
    """A member by what its name says: its part, and what is left of it without part and numbers."""

    name: str
    size: int
    part: str
    rest: str
    stem: str


def family_of(name: str) -> str:
    """The family of formats that a name tells; `text` for .txt and no ending, empty for others."""
    plain = plain_name(name)
    for form, suffixes in SUFFIXES.items():
        if plain.endswith(suffixes):
            return FAMILIES[form]
    return "text" if plain.endswith((".txt", ".text")) or "." not in plain else ""


def stem_of(name: str) -> str:
    """A file's own name without its endings; its case stays."""
    own = PurePosixPath(name.replace("\\", "/")).name
    return own[: len(plain_name(own))].rpartition(".")[0] or own[: len(plain_name(own))]


def _tokens(words: str) -> list[str]:
    return [token for token in re.split(r"[^a-zA-Z]+", words.lower()) if token]


def _part_of(words: str) -> str:
    found = {PARTS[token] for token in _tokens(words) if token in PARTS and token != "tr"}
    return next(iter(found)) if len(found) == 1 else ""


def _look(member: Member) -> _Named:
    path = PurePosixPath(member.name.replace("\\", "/"))
    stem, folders = stem_of(member.name), path.parent.parts
    part = _part_of(stem) or next((found for folder in reversed(folders) if (found := _part_of(folder))), "")
    rest = [token for token in _tokens(stem) if token not in PARTS and token != "of"]
    around = [re.sub(r"\d+", "", folder) for folder in folders if not _part_of(folder)]
    return _Named(member.name, member.size, part, "/".join([*around, "-".join(rest)]), stem)


def choose(path_name: str, members: Sequence[Member], is_document: Callable[[str], bool]) -> Chosen:
    """Chooses the files of a package that hold documents.

    Args:
        path_name: what messages call the package.
        members: its files.
        is_document: whether a JSON file of it is one document.

    Raises:
        UserError: none, or several of which names do not tell what they are.
    """
    if len(members) == 1:
        return Chosen(((members[0].name, ""),))
    by_family: dict[str, list[_Named]] = {}
    for member in members:
        family = family_of(member.name)
        if family and not (family in ("text", "json") and ABOUT.match(stem_of(member.name))):
            by_family.setdefault(family, []).append(_look(member))
    if not by_family:
        listed = ", ".join(member.name for member in members[:SHOWN])
        raise UserError(
            f"{path_name} holds {len(members):,} files{f' ({listed})' if listed else ''}; none can be read."
        )
    names = [member.name for member in members]
    # Texts with labels beside them, one document a file, or tables.
    texts = by_family.get("text", [])
    if pairs := _pairs(texts):
        return Chosen(tuple(pairs), _without(names, [n for name, _ in pairs for n in name.split("\n")]), "lines")
    family = max(by_family, key=lambda one: (_has_parts(by_family[one]), sum(m.size for m in by_family[one])))
    only_parts = all(_part_of(one.stem) and not one.rest.rpartition("/")[2] for one in texts)
    sides = {name.rpartition(".")[0] for name in names if name.endswith(SIDES)}
    has_sides = 2 * sum((one.name.rpartition(".")[0] or one.name) in sides for one in texts) >= len(texts)
    is_most = family == "text" or 2 * len(texts) > len(names) or has_sides
    if len(texts) > 1 and not only_parts and is_most:
        return Chosen(tuple((one.name, one.part) for one in texts), _without(names, [t.name for t in texts]), "texts")
    found = by_family[family]
    is_json = all(plain_name(one.name).endswith(SUFFIXES["json"]) for one in found)
    if is_json and len(found) > 1 and not _is_clear(found) and is_document(found[0].name):
        return Chosen(tuple((one.name, one.part) for one in found), _without(names, [t.name for t in found]), "texts")
    chosen = _in_parts(path_name, found)
    return Chosen(tuple(chosen), _without(names, [name for name, _ in chosen]))


def _without(names: list[str], taken: list[str]) -> tuple[str, ...]:
    known = set(taken)
    return tuple(name for name in names if name not in known)


def _has_parts(found: list[_Named]) -> bool:
    return len({one.part for one in found if one.part}) > 1


def _is_clear(found: list[_Named]) -> bool:
    """Whether names tell parts or shards of one table."""
    return _has_parts(found) and len({(one.part, one.rest) for one in found}) == len({one.part for one in found})


def _pairs(texts: list[_Named]) -> list[tuple[str, str]]:
    """Names of files of texts and of their labels, joined by a line break, with their part."""
    by_name = {one.name: one for one in texts}
    pairs = []
    for one in texts:
        ending = one.name[one.name.rindex(one.stem) + len(one.stem) :]
        begin = one.name[: one.name.rindex(one.stem)]
        if found := SIDE.search(one.stem):
            for word in ("_labels", "-labels", "labels", "_label"):
                other = f"{begin}{one.stem[: found.start()]}{word}{ending}"
                if found.start() + len(begin) > 0 and other in by_name:
                    pairs.append((f"{one.name}\n{other}", one.part))
                    break
    return sorted(pairs, key=lambda pair: _order(pair[1]))


def _order(part: str) -> tuple[int, str]:
    known = ["train", "validation", "test"]
    return (known.index(part) if part in known else 0 if not part else len(known), part)


def _in_parts(path_name: str, found: list[_Named]) -> list[tuple[str, str]]:
    """Tables by their parts; shards of one part follow each other."""
    if len(found) == 1:
        return [(found[0].name, "")]
    parts = {one.part for one in found if one.part}
    if not parts:
        if len({one.rest for one in found}) > 1:
            listed = ", ".join(one.name for one in found[:SHOWN])
            raise UserError(
                f"{path_name} holds {len(found):,} files ({listed}{', ...' if len(found) > SHOWN else ''}) whose names "
                "tell no parts, such as train, dev and test; pack the one with the documents alone, or name it."
            )
        return [(one.name, "") for one in sorted(found, key=lambda one: one.name)]
    # One table for each part: of several, that with the plainest name.
    chosen: list[tuple[str, str]] = []
    for part in sorted(parts, key=_order):
        of_part = [one for one in found if one.part == part]
        rests = sorted({one.rest for one in of_part}, key=len)
        if len(rests) > 1 and rests[0].rpartition("/")[2] and rests[0] not in _others(found, part):
            raise UserError(_unclear(path_name, part, of_part))
        if len(rests) > 1 and len({rest.rpartition("/")[0] for rest in rests}) > 1:
            raise UserError(_unclear(path_name, part, of_part))
        chosen += [(one.name, part) for one in sorted(of_part, key=lambda one: one.name) if one.rest == rests[0]]
    # Files whose part has a name of its own: their columns tell later whether they belong here.
    unknown = [one for one in found if not one.part]
    chosen += [(one.name, re.sub(r"[-_.]?\d+([-_]of[-_]\d+)?$", "", one.stem)) for one in unknown]
    return chosen if len({part for _, part in chosen}) > 1 else [(name, "") for name, _ in chosen]


def _others(found: list[_Named], part: str) -> set[str]:
    """What is left of the names of all other parts."""
    others = {other: {one.rest for one in found if one.part == other} for other in {o.part for o in found} - {part, ""}}
    return set.intersection(*others.values()) if others and all(len(v) == 1 for v in others.values()) else set()


def _unclear(path_name: str, part: str, of_part: list[_Named]) -> str:
    listed = ", ".join(one.name for one in of_part[:SHOWN])
    return (
        f"{path_name} holds several files of the part {part} that are no shards of one table: {listed}. Name one "
        "folder, or keep one of them."
    )

"""What the cells of one label column mean: names, numbers, vectors, flags, objects; what they leave open is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.readers.cells import chosen_in, controls_in, cut, is_missing, keys_of, label_of, parse_cell, score_key
from core.data.readers.separators import find_separators
from core.system.errors import Question

INDEX_COLUMNS = ("_ind", "_idx", "_index", "_indices", "_ids", "_id", "_code", "_codes")
"""Ends of a column's name that say that its numbers are the labels' own names."""
FLAGS = frozenset(("0", "1", "0.0", "1.0", "true", "false", "True", "False"))
INTEGER = re.compile(r"0|-?[1-9]\d*")
SHARE = re.compile(r"0?\.\d+|1\.0*|0")
NAMES_ASKED = "names of labels"
"""What a question on the names of numbers or places is about."""
VOTES = 20
"""Numbers up to this may be votes."""
LAST_KEYS = 6
"""Keys that a question names."""


@dataclass
class Meaning:
    """What the cells of a label column are.

    Attributes:
        settings: of `FileConfig`.
        questions: what the cells leave open.
        said: what a reader should know.
        is_several: whether a cell may hold more than one label.
        strength: how sure the cells are labels: 2 for lists and objects, 1 for names with a sign between, else 0.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    is_several: bool = False
    strength: int = 0


def find_meaning(path: Path, column: str, values: Sequence[Any], given: dict[str, Any]) -> Meaning:
    """What some cells of a label column mean, as far as the settings that are given leave it open.

    Args:
        path: for the sentences.
        column: its name.
        values: cells from all over the file.
        given: settings of `FileConfig` that are decided; `label_names` may be "numbers".
    """
    # Each cell by its own notation; what is in none is cut where something divides labels.
    found = Meaning()
    opened, texts = list[Any](), list[str]()
    for value in values:
        try:
            inner = parse_cell(value) if isinstance(value, str) else value
        except ValueError:  # reading the file says which line
            continue
        if inner is None and isinstance(value, str):
            if value.strip():
                texts.append(value)
        elif not is_missing(inner):
            opened.append(inner)
    found.is_several = any(isinstance(value, (list, dict)) for value in opened)
    seps = _separate(path, column, texts, given, found)
    found.strength = 2 if found.is_several and opened else int(bool(seps) and seps != (" ",))
    # Only texts of a file without types may be numbers; a text inside a list is one on purpose.
    lists: list[list[Any]] = [list(map(_plain, cut(text, seps) if seps else [text.strip()])) for text in texts]
    lists += [value for value in opened if isinstance(value, list)]
    lists += [[value] for value in opened if not isinstance(value, (list, dict))]
    # Objects, else numbers that may be places of names.
    dicts = [value for value in opened if isinstance(value, dict)]
    objects = [item for one in lists for item in one if isinstance(item, dict)]
    if dicts or objects:
        _weigh_objects(path, column, dicts, objects, given, found)
    else:
        _weigh_numbers(path, column, [one for one in lists if one], given, found)
    return found


def _separate(path: Path, column: str, texts: list[str], given: dict[str, Any], found: Meaning) -> tuple[str, ...]:
    if "sep" in given:
        return tuple(filter(None, (given["sep"], *given.get("other_seps", ()))))
    found.settings |= {"sep": "", "other_seps": ()}
    if numbers := _number_sign(texts):
        found.settings["sep"] = numbers
        found.is_several = True
        return (numbers,)
    separators = find_separators(texts)
    if separators.doubtful:
        example = separators.example if len(separators.example) <= 60 else f"{separators.example[:60]}..."
        found.questions.append(
            Question(
                f"{path.name}, column '{column}': '{example}' may be one label or several. Say --sep "
                f"\"{separators.doubtful}\" if '{separators.doubtful}' stands between labels, or --sep none if each "
                "cell is one label.",
                about="separator",
                choices=(separators.doubtful, "none"),
                option="--sep",
            )
        )
    elif separators.accepted:
        first, *others = separators.accepted
        found.settings |= {"sep": first, "other_seps": tuple(others)}
        found.is_several = True
        if others:
            signs = " and ".join(f"'{sign}'" for sign in separators.accepted)
            found.said.append(
                f"The column '{column}' holds {signs} between labels: each cell is cut at the first that it holds."
            )
    return separators.accepted


def _number_sign(texts: list[str]) -> str:
    """What stands between numbers, where the cells hold nothing else; empty where they do."""
    if not all(text[:1] in "-.0123456789tTfF" for text in texts):
        return ""
    for sign in (",", ";", "|", " "):
        cells = [cut(text, (sign,)) for text in texts]
        if any(len(parts) > 1 for parts in cells) and all(
            part in FLAGS or INTEGER.fullmatch(part) or SHARE.fullmatch(part) for parts in cells for part in parts
        ):
            same = len({len(parts) for parts in cells}) == 1
            return sign if same or all(INTEGER.fullmatch(part) for parts in cells for part in parts) else ""
    return ""


# Objects.


def _weigh_objects(
    path: Path, column: str, dicts: list[Any], objects: list[Any], given: dict[str, Any], found: Meaning
) -> None:
    if any(chosen_in(one) is not None for one in (*dicts, *objects)):
        controls = sorted(set[str]().union(*map(controls_in, (*dicts, *objects))))
        if len(controls) > 1 and "label_key" not in given:
            found.questions.append(
                Question(
                    f"{path.name}, column '{column}': its annotations are of several controls: "
                    f"{', '.join(controls[:LAST_KEYS])}. Say which holds the labels with --label-key.",
                    about="key of the label",
                    choices=controls,
                    option="--label-key",
                )
            )
        return
    if objects:
        keys = keys_of(objects)
        held = [key for key in keys if sum(key in one for one in objects) >= 0.9 * len(objects)]
        usual = _usual(held)
        if "label_key" not in given and held:
            if not usual and len(held) > 1:
                found.questions.append(
                    Question(
                        f"{path.name}, column '{column}': its objects have no key that is plainly the label. Say which "
                        f"it is with --label-key: {', '.join(held[:LAST_KEYS])}.",
                        about="key of the label",
                        choices=held,
                        option="--label-key",
                    )
                )
            else:
                found.settings["label_key"] = usual or held[0]
                if len(held) > 1:
                    others = ", ".join(key for key in held if key != found.settings["label_key"])
                    found.said.append(
                        f"The label of an object in '{column}' is its '{found.settings['label_key']}'; --label-key "
                        f"takes another of {others}."
                    )
        if (score := score_key(objects)) and "cut" not in given:
            _ask_cut(path, column, [one[score] for one in objects], found)
        return
    if "label_key" not in given and (
        held := sorted({k for one in dicts for k, v in one.items() if isinstance(v, list)})
    ):
        found.settings["label_key"] = held[0]
        if len(held) > 1:
            found.questions.append(
                Question(
                    f"{path.name}, column '{column}': its objects hold several lists. Say which one is the labels with "
                    f"--label-key: {', '.join(held[:LAST_KEYS])}.",
                    about="key of the label",
                    choices=held,
                    option="--label-key",
                )
            )
        return
    if "label_key" in given or all(isinstance(v, str) or v is None for one in dicts for v in one.values()):
        return
    levels = [value for one in dicts for value in one.values() if not is_missing(value)]
    if "cut" in given or not all(isinstance(value, (bool, int, float)) for value in levels):
        return
    if levels and all(isinstance(v, int) and not isinstance(v, bool) and v == 1 for v in levels):
        found.questions.append(
            Question(
                f"{path.name}, column '{column}': every value in its objects is 1, which may be a flag, a count or a "
                "number. Say --cut 1 if the keys are the labels, or take another column (--labels).",
                about="cut",
                choices=("1",),
                option="--cut",
            )
        )
    else:
        _ask_cut(path, column, levels, found)


def _usual(keys: list[str]) -> str:
    """The key that is plainly the label; empty where none or several are."""
    from core.data.readers.cells import KEYS

    first = next((key for key in keys if key.lower() == KEYS[0]), "")
    usual = [key for key in keys if key.lower() in KEYS]
    return first or (usual[0] if usual else "")


def _ask_cut(path: Path, column: str, levels: Sequence[Any], found: Meaning) -> None:
    """Asks from where on a label is set, if the levels are more than flags."""
    numbers = [float(value) for value in levels]
    if all(number in (0, 1, -1) for number in numbers):
        return
    found.questions.append(cut_question(path, f"column '{column}' holds", numbers))


def cut_question(path: Path, subject: str, numbers: Sequence[float]) -> Question:
    """Asks from which score or number of votes on a label is set."""
    is_share = all(0 <= number <= 1 or number == -1 for number in numbers)
    low, high = min(numbers), max(numbers)
    middle = (f"{(low + high) / 2:g}", f"{high:g}")
    votes = ("1", "2") if low <= 0 and high <= VOTES else middle
    what, usual = ("scores", ("0.5", "0.1", "0.9")) if is_share else ("numbers such as votes", votes)
    return Question(
        f"{path.name}: {subject} {what} from {low:g} to {high:g}. Say from which on a label is set, such as --cut "
        f"{usual[0]} or --cut {usual[1]}.",
        about="cut",
        choices=usual,
        option="--cut",
    )


# Numbers.


def _weigh_numbers(path: Path, column: str, lists: list[list[Any]], given: dict[str, Any], found: Meaning) -> None:
    items = [item for one in lists for item in one if not is_missing(item) and item != ""]
    if not items:
        return
    numbers = [_number(item) for item in items]
    if any(number is None for number in numbers):
        return
    known = [number for number in numbers if number is not None]
    names = given.get("label_names", ())
    length = _vector_length(lists)
    if length:
        known = [0.0, 1.0] if all(len(one) == 1 for one in lists) else known  # digits of one word
        _weigh_vectors(path, column, known, length, names, given, found)
        return
    is_code = any(isinstance(item, float) and not item.is_integer() for item in items)
    if is_code:
        # Codes recur and exceed 1; what does not may be scores.
        if "decimals" not in given:
            if 2 * len(set(known)) <= len(known):
                found.settings["decimals"] = True
                found.said.append(
                    f"The labels in '{column}' are numbers and keep their decimals, as codes do; zeros that the file "
                    "has lost (038.90 as 38.9) cannot be restored."
                )
            else:
                _ask_cut(path, column, known, found)
        return
    is_text = any(isinstance(item, str) and not isinstance(item, _Plain) for item in items)
    if is_text or any(isinstance(item, str) and _is_padded(item) for item in items) or not _is_dense(known):
        return
    _weigh_places(path, column, known, names, found)


def _weigh_vectors(
    path: Path, column: str, known: list[float], length: int, names: Any, given: dict[str, Any], found: Meaning
) -> None:
    found.is_several = True
    found.settings["numbers"] = "vector"
    if any(number not in (0, 1, -1) for number in known) and "cut" not in given:
        _ask_cut(path, column, known, found)
    if names == "numbers":
        found.settings["label_names"] = tuple(map(str, range(length)))
    elif not names:
        found.questions.append(
            Question(
                f"{path.name}, column '{column}': each cell holds {length:,} values, one for each label, and the file "
                "does not name the labels. Give their names in this order with --label-names FILE (one a line, or a "
                f"JSON list), or say --label-names numbers to call them 0 to {length - 1:,}.",
                about=NAMES_ASKED,
                choices=("FILE", "numbers"),
                option="--label-names",
            )
        )


def _weigh_places(path: Path, column: str, known: list[float], names: Any, found: Meaning) -> None:
    """Numbers from 0 on, with hardly a gap, are places in a list of names that the file may lack."""
    low, high, distinct = int(min(known)), int(max(known)), len(set(known))
    if names and names != "numbers":
        found.settings["numbers"] = "index"
        if low >= 1 and high == len(names):  # counted from 1
            found.settings["label_names"] = ("", *names)
        return
    if names == "numbers":
        found.settings |= {"label_names": (), "numbers": "names"}
        return
    if column.lower().endswith(INDEX_COLUMNS):
        found.said.append(
            f"The labels in '{column}' are numbers without names: they are named by their numbers; --label-names FILE "
            "gives them names."
        )
        return
    found.questions.append(
        Question(
            f"{path.name}, column '{column}': its labels are the numbers {low:,} to {high:,} ({distinct:,} of them), "
            "and the file does not name them. Give names with --label-names FILE (one a line from number 0 on, or a "
            "JSON list), or say --label-names numbers to keep the numbers as names.",
            about=NAMES_ASKED,
            choices=("FILE", "numbers"),
            option="--label-names",
        )
    )


class _Plain(str):
    """A text that may have been a number."""

    __slots__ = ()


def _plain(text: str) -> str:
    return _Plain(text)


def _number(item: Any) -> float | None:
    """A number, a flag, or a plain text that is one."""
    if isinstance(item, str):
        if not isinstance(item, _Plain) and item not in ("0", "1"):
            return None
        word = item.strip().lower()
        if word in ("true", "false"):
            return float(word == "true")
        if not word.lstrip("-").replace(".", "", 1).isdecimal():
            return None
        return float(word)
    if isinstance(item, (bool, int, float)):
        return float(item) if abs(item) < 1e15 else None
    return None


def _is_padded(text: str) -> bool:
    """Whether digits of a text would be lost in a number: 042, 428.0 is kept as it is written."""
    word = text.strip()
    return len(word.lstrip("0")) < len(word) - 1 or (word[:1] == "0" and len(word) > 1 and word[1] != ".")


def _is_dense(known: list[float]) -> bool:
    """Whether whole numbers fill a range from 0 or 1 on, as places in a list do."""
    if not all(number.is_integer() for number in known):
        return False
    values = set(known) - {-1.0}
    return bool(values) and min(values) in (0, 1, 2) and max(values) <= 3 * len(values) + 10


def _vector_length(lists: list[list[Any]]) -> int:
    """Values of each cell, where every cell has as many and they say of each label whether it is set; else 0."""
    if all(len(one) == 1 and isinstance(one[0], str) and set(one[0]) <= {"0", "1"} for one in lists):
        lengths = {len(one[0]) for one in lists}  # "01001"
        is_vector = len(lengths) == 1 and max(lengths) > 2 and any(one[0][0] == "0" for one in lists)
        return max(lengths) if is_vector else 0
    lengths = {len(one) for one in lists}
    length = max(lengths)
    if len(lengths) > 1 or length < 2:
        return 0
    values = {number for one in lists for item in one if (number := _number(item)) is not None}
    fits = all(0 <= number <= 1 or number == -1 for number in values)
    return length if fits and (0 in values or any(0 < number < 1 for number in values)) else 0


def name_list(text: str) -> tuple[str, ...]:
    """Names of labels from a text: a JSON list, else one a line, or between commas on a single line."""
    opened = parse_cell(text)
    if isinstance(opened, dict):  # name to number, or number to name
        pairs = opened.items()
        if all(isinstance(value, int) for value in opened.values()):
            return tuple(str(key) for key, _ in sorted(pairs, key=lambda pair: pair[1]))
        if all(key.isdecimal() for key in opened):
            return tuple(str(value) for _, value in sorted(pairs, key=lambda pair: int(pair[0])))
        return tuple(map(str, opened))
    if opened is not None:
        return tuple(label_of(item) if not isinstance(item, dict) else str(item.get("name", "")) for item in opened)
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    return tuple(cut(lines[0], (",",))) if len(lines) == 1 else tuple(lines)

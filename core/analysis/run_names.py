"""What runs are called: the name that people gave, else a short one made of what differs among the runs shown."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from core.config.parse import walk
from core.config.schema import RunConfig
from core.runs.folder import Folder, Run
from core.runs.plan import name_members

LETTERS = 40
"""Of one setting's value in a name: an encoder may be a long path."""
MEMBERS = 80
"""Letters of the members of a combined run."""
ID_END = 10
"""Letters of an id that tell apart what nothing else does."""
ENCODERS = {"minilm": "MiniLM", "roberta": "RoBERTa", "bert": "BERT"}
"""What an encoder is called, by a part of its name."""
FIRST = (
    *("layers", "model.encoder", "model.head", "model.pooling", "model.hidden", "model.bigrams", "model.C"),
    *("model.max_length", "train.learning_rate", "train.batch_size", "train.epochs", "train.threshold"),
)
"""Settings that are named before all others, those of the loss next."""
LEFT_OUT = ("data.", "model.name", "model.freeze", "model.frozen_layers", "loss.name", "combined", "seed", "track")
"""What is said otherwise, or not at all."""
Known = tuple[str, str, RunConfig | None]
"""A run's id, the name that people gave, and its settings where they can be read."""


def name_runs(runs: Iterable[Folder], *, with_data: bool = False) -> dict[str, str]:
    """A name for each run by its id; no two are equal, capitals aside.

    A name that people gave comes first. Else a run is called by its model and loss, and by as few of the settings that
    differ among these runs as tell them apart: `MiniLM db, all layers`. Names are data: a page escapes them.

    Args:
        runs: those that are shown together, also damaged ones, which are called by their id.
        with_data: name the data set as well where the runs have several.
    """
    known = tuple((run.id, given_name(run), run.config if isinstance(run, Run) else None) for run in runs)
    return dict(_name(known, with_data))


def name_rows(rows: Sequence[Sequence[Run]], *, with_seed: bool) -> tuple[list[str], list[str]]:
    """Names of rows, each of one run or of several that differ by their seed, in the way of `name_runs`.

    Args:
        rows: each with the lowest seed first.
        with_seed: the seed may tell rows apart.

    Returns:
        The names, a name that people gave only where all runs of a row have it; and what each row is called otherwise.
    """
    given = [next(iter(found)) if len(found := set(map(given_name, row))) == 1 else "" for row in rows]
    configs = [row[0].config if with_seed else row[0].config.model_copy(update={"seed": 0}) for row in rows]
    ids = [row[0].id for row in rows]
    known = tuple(zip(ids, given, configs, strict=True))
    plain = tuple((run_id, "", config) for run_id, config in zip(ids, configs, strict=True))
    return [name for _, name in _name(known, False)], [name for _, name in _name(plain, False)]


def name_run(run: Folder) -> str:
    """The name of a run that is shown alone."""
    return name_runs([run])[run.id]


def given_name(run: Folder) -> str:
    """The name that people gave a run, on one line; empty where they gave none, or one that cannot be seen.

    Characters that are not seen and turn the order of the others go: two names that look the same are the same.
    """
    seen = "".join(
        letter if unicodedata.category(letter)[0] != "C" else " " * letter.isspace() for letter in run.about.name
    )
    return " ".join(seen.split())


@lru_cache(maxsize=64)
def _name(known: tuple[Known, ...], with_data: bool) -> tuple[tuple[str, str], ...]:
    """Ids and names; what is shown again and again is named once."""
    # By settings: those with the same words and data are told apart by what differs among them.
    words: dict[str, str] = {}
    groups: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = {}
    several_data = with_data and len({config.data.title for _, _, config in known if config}) > 1
    for run_id, _, config in known:
        if config is None:
            words[run_id] = run_id
            continue
        settings = dict(_settings_of(config))
        groups.setdefault((settings.pop("words"), config.data.title), []).append((run_id, settings))
    for (stem, _), members in groups.items():
        keys = list(dict.fromkeys(key for _, settings in members for key in settings))
        for run_id, phrases in _tell_apart(members, keys).items():
            words[run_id] = ", ".join([stem, *phrases])
    # The data set: of all where it is asked for, else of those that nothing else tells apart.
    same: dict[str, set[str]] = {}
    for run_id, _, config in known:
        same.setdefault(words[run_id], set()).add(config.data.title if config else "")
    for run_id, _, config in known:
        if config is not None and (several_data or len(same[words[run_id]]) > 1):
            words[run_id] += f" · {config.data.title}"
    ids, given = [run_id for run_id, *_ in known], [given for _, given, _ in known]
    return tuple(zip(ids, choose_names(given, [words[run_id] for run_id in ids], ids), strict=True))


def choose_names(given: Sequence[str], words: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A name for each of several things, no two equal, capitals aside.

    Args:
        given: the names that people gave, empty where they gave none.
        words: what each is called otherwise; also what tells apart equal names that people gave.
        ids: no two equal; the end of one tells apart what is still equal.
    """
    names = [name or other for name, other in zip(given, words, strict=True)]
    by_words = [f"{name} ({other})" if name else other for name, other in zip(given, words, strict=True)]
    for ends in ([], [one[-ID_END:] for one in ids], ids):
        longer = [f"{name} · {end}" for name, end in zip(names, ends, strict=True)] if ends else by_words
        often = Counter(name.casefold() for name in names)
        names = [other if often[name.casefold()] > 1 else name for name, other in zip(names, longer, strict=True)]
    # What is still equal was made to be.
    taken = set[str]()
    for place, name in enumerate(names):
        while name.casefold() in taken:
            name += "'"
        names[place] = name
        taken.add(name.casefold())
    return names


def _tell_apart(members: Sequence[tuple[str, dict[str, str]]], keys: Sequence[str]) -> dict[str, list[str]]:
    """For each run, phrases of as few settings as tell it from the others: of the first that differs, then within."""
    if len(members) < 2:
        return {run_id: [] for run_id, _ in members}
    for place, key in enumerate(keys):
        parts: dict[str, list[tuple[str, dict[str, str]]]] = {}
        for run_id, settings in members:
            parts.setdefault(settings.get(key, ""), []).append((run_id, settings))
        if len(parts) > 1:
            found = {}
            for phrase, part in parts.items():
                for run_id, more in _tell_apart(part, keys[place + 1 :]).items():
                    found[run_id] = [phrase, *more] if phrase else more
            return found
    return {run_id: [] for run_id, _ in members}


@lru_cache(maxsize=4096)
def _settings_of(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """`words`, the model and loss of a run, then a phrase for each setting in the order in which they are named."""
    if config.combined:
        members = name_members(config)
        words = f"{config.model.name}: {members if len(members) <= MEMBERS else f'{members[: MEMBERS - 1]}…'}"
    else:
        words = " ".join([_model_word(config), *([config.loss.name] if config.loss else [])])
    flat: dict[str, Any] = {"layers": _layers(config), **dict(walk(config))}
    # The settings that people speak of first, then those of the loss, then the rest; the seed last.
    keys = [*FIRST, *(key for key in flat if key.startswith("loss.")), *flat]
    keys = [key for key in dict.fromkeys(keys) if key in flat and not key.startswith(LEFT_OUT)]
    phrases = [(key, _phrase(key, flat[key])) for key in keys if flat[key] is not None]
    return ("words", words), *phrases, ("seed", f"seed {config.seed}")


def _model_word(config: RunConfig) -> str:
    """The model; an encoder that people know by a word is called by that."""
    if config.model.name != "transformer":
        return config.model.name
    encoder = PurePath(config.model.encoder).name.lower()
    return next((word for part, word in ENCODERS.items() if part in encoder), config.model.name)


def _layers(config: RunConfig) -> str | None:
    """Which layers of an encoder are trained."""
    if config.model.name != "transformer":
        return None
    if config.model.freeze:
        return "last layer alone"
    frozen = config.model.frozen_layers
    return f"{frozen} layers frozen" if frozen else "all layers"


def _phrase(key: str, value: Any) -> str:
    """A setting in two or three words."""
    name = key.rpartition(".")[2].replace("_", " ")
    if key == "layers":
        return str(value)
    if isinstance(value, bool):
        return name if value else f"no {name}"
    text = f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    text = re.sub(r"\s+", " ", text)
    return f"{name} {text if len(text) <= LETTERS else f'…{text[1 - LETTERS :]}'}"

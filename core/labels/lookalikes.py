"""Labels that may be one and the same: their names are alike, or they stand on nearly the same documents."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from core.labels.cooccurrence import Cooccurrence, measure_pairs, strongest

SHORTEST, LONGEST = 6, 80
"""Letters of the names that are compared letter by letter: short ones are often one letter apart and unrelated."""
SAME_DOCUMENTS = 0.9
"""Jaccard index from which two labels are said to stand on nearly the same documents."""
LETTERS = "case, blanks, accents or signs"
ORDER = "same words in another order"
PLURAL = "a plural, or same words in another order"
TYPO = "one letter apart"
DOCUMENTS = "nearly the same documents"


WORD = re.compile(
    r"(?:(?<![^\W_])[<>≤≥±.-]+(?=\d)|^\.(?=[^\W\d_]))?"  # <5, -1, .NET
    r"[^\W_]+"
    r"(?:[+#*%°$€]+(?![^\W_])|-+$)?"  # C++, C#, A*, HIV-
)
"""A word with the signs that make it another one: some before a number, some at its end."""


def fold(name: str) -> str:
    """A name without what people write differently: case, accents, signs; words parted by one blank.

    Signs that make another word stay: C, C++ and C# are three. A name of signs alone, such as an emoji, stays as it is.
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(WORD.findall(plain)) or " ".join(unicodedata.normalize("NFKC", name).split())


def _without_blanks(name: str) -> str:
    return fold(name).replace(" ", "")


def _sorted_words(name: str) -> str:
    return " ".join(sorted(fold(name).split()))


def _singular_words(name: str) -> str:
    return " ".join(sorted(re.sub(r"(?<=\w{3})(?<!s)s$", "", word) for word in fold(name).split()))


KEYS: dict[str, Callable[[str], str]] = {LETTERS: _without_blanks, ORDER: _sorted_words, PLURAL: _singular_words}
"""Why two names are alike, and what is equal then; the first that holds is given."""


def similar_names(names: Sequence[str]) -> list[tuple[int, int, str]]:
    """Pairs of names that look like one: their two positions, the first one first, and why (`KEYS` or `TYPO`).

    Of several names with one key, each is paired with the first alone. The cost grows with the letters of all names.
    """
    found: dict[tuple[int, int], str] = {}
    for why, key_of in KEYS.items():
        first: dict[str, int] = {}
        for place, name in enumerate(names):
            one = first.setdefault(key_of(name), place)
            if one != place:
                found.setdefault((one, place), why)
    first = {}
    for place, name in enumerate(names):
        first.setdefault(_without_blanks(name), place)
    for word, typo in _one_letter_apart(list(first)):
        ends = first[word], first[typo]
        found.setdefault((min(ends), max(ends)), TYPO)
    return [(*ends, why) for ends, why in found.items()]


def _one_letter_apart(words: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of different words: one letter changed, added or swapped with the next. Digits and signs do not count."""
    known = {word for word in words if SHORTEST <= len(word) <= LONGEST}
    changed: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for word in words:
        if word not in known:
            continue
        for place, letter in enumerate(word):
            if not letter.isalpha():
                continue
            rest = word[:place] + word[place + 1 :]
            if rest in known:
                yield word, rest
            swapped = word[:place] + word[place + 1 : place + 2] + letter + word[place + 2 :]
            if word < swapped and swapped in known:
                yield word, swapped
            for other in changed[place, rest]:
                yield word, other
            changed[place, rest].append(word)


def find_lookalikes(
    alike: Sequence[tuple[int, int, str]], pairs: Cooccurrence, *, floor: int = 5, limit: int = 500
) -> pd.DataFrame:
    """Labels to look at before training, the strongest reason first.

    Args:
        alike: of `similar_names`.
        pairs: of `core.labels.cooccurrence.count_pairs`.
        floor: documents in common from which nearly equal documents say something.
        limit: rows at most.

    Returns:
        Column why beside those of `core.labels.cooccurrence.block`; each pair once, j the rarer one.
    """
    first, second = np.array([ends for *ends, _ in alike], np.int64).reshape(-1, 2).T
    rarer = pairs.counts[first] < pairs.counts[second]
    named = measure_pairs(pairs, np.where(rarer, first, second), np.where(rarer, second, first))
    named.insert(0, "why", [why for *_, why in alike])
    close = strongest(pairs, by="jaccard", floor=floor, limit=limit)
    close = close[close["jaccard"] >= SAME_DOCUMENTS]
    close.insert(0, "why", DOCUMENTS)
    table = pd.concat([named, close], ignore_index=True).drop_duplicates(["label", "other"])
    rank = table["why"].map({why: number for number, why in enumerate([*KEYS, DOCUMENTS, TYPO])})
    order = np.lexsort((-table["documents"], rank))
    return table.iloc[order].head(limit).reset_index(drop=True)

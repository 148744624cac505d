"""A synthetic corpus of any documents x labels: Zipf frequencies, co-occurring labels, confusable pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.config.schema import SyntheticConfig
from core.data.readers.record import Record

VOCABULARY = 40
"""Words of a label's own vocabulary."""
SHARED = 39
"""How many of them the second label of a confused pair takes from the first."""
OWN, STRAY = 0.33, 0.1
"""Shares of a document's words that come from its labels' vocabularies, and from those of other labels."""
PARENT = 0.8
"""How often the first further label of a document is the parent of its main label."""
BACKGROUND = 3000
TITLE_WORDS = 4
BLOCK_WORDS = 1_000_000
SYLLABLES = np.array([list(f"{c}{v}".encode()) for c in "bdfghjklmnprstvz" for v in "aeiou"], np.uint8)


def label_names(config: SyntheticConfig) -> list[str]:
    """Pronounceable names of all labels, most frequent first."""
    return _words(np.arange(config.labels))


def confused_pairs(config: SyntheticConfig) -> list[tuple[str, str]]:
    """The label pairs whose vocabularies overlap most, as names: one in ten neighbours in frequency."""
    first = _pair_starts(config.labels)
    return list(zip(_words(first), _words(first + 1), strict=True))


def make_synthetic(config: SyntheticConfig) -> Iterator[Record]:
    """Documents whose words indicate their labels, fixed by the settings. Memory does not grow with `documents`.

    A document has a main label, drawn by Zipf's law, and Poisson many more. Labels beyond the first tenth have a parent
    among that tenth, which often comes along. Every label is the main label of a train document, and of a test
    document, as far as there are documents. Every fifth document, at random, is a test document.
    """
    # Frequencies of labels and of background words.
    rng = np.random.Generator(np.random.PCG64([config.seed, config.documents, config.labels]))
    documents, labels = config.documents, config.labels
    weights = np.cumsum((1.0 + np.arange(labels)) ** -config.zipf)
    weights /= weights[-1]
    background = np.cumsum(1.0 / (1.0 + np.arange(BACKGROUND)))
    common = np.searchsorted(background / background[-1], (np.arange(1 << 16) + 0.5) / (1 << 16))
    common = _letters(common, 2)
    # Parts and main labels; every label is the main label of a document of each part.
    is_test = rng.permutation(documents) < documents // 5
    main = np.searchsorted(weights, rng.random(documents))
    for rows in (np.flatnonzero(~is_test), np.flatnonzero(is_test)):
        present, first = np.unique(main[rows], return_index=True)
        spare = rng.permutation(np.delete(rows, first))
        missing = np.setdiff1d(np.arange(labels), present)[: len(spare)]
        main[spare[: len(missing)]] = missing
    # Documents, in blocks of bounded size.
    names = np.array(label_names(config), object)
    size = max(1, BLOCK_WORDS // config.words)
    for start in range(0, documents, size):
        block = main[start : start + size]
        pairs = _draw_labels(rng, config, weights, block)
        bounds = np.searchsorted(pairs, np.arange(len(block) + 1) * labels)
        lengths = np.maximum(TITLE_WORDS + 1, rng.poisson(config.words, len(block)))
        text, ends = _write_words(rng, config, weights, common, pairs % labels, bounds, lengths)
        words = np.r_[0, np.cumsum(lengths)]
        for row in range(len(block)):
            title, body = ends[words[row]], ends[words[row] + TITLE_WORDS]
            yield Record(
                id=str(start + row),
                title=text[title : body - 1],
                body=text[body : ends[words[row + 1]] - 1],
                labels=tuple(names[pairs[bounds[row] : bounds[row + 1]] % labels]),
                part="test" if is_test[start + row] else "train",
            )


def _pair_starts(labels: int) -> np.ndarray:
    """The first label of each confused pair; the second is its neighbour."""
    return np.arange(min(5, labels // 4), labels - 1, 10)


def _draw_labels(
    rng: np.random.Generator, config: SyntheticConfig, weights: np.ndarray, main: np.ndarray
) -> np.ndarray:
    """Sorted distinct numbers row * labels + label."""
    labels, heads = config.labels, max(1, config.labels // 10)
    rows = np.arange(len(main))
    wanted = np.minimum(1 + rng.poisson(config.cardinality - 1, len(main)), labels)
    pairs = rows * labels + main
    with_parent = (main >= heads) & (wanted > 1) & (rng.random(len(main)) < PARENT)
    pairs = _merge(pairs, rows[with_parent] * labels + main[with_parent] % heads)
    for _ in range(4):  # a label drawn twice is drawn again, a few times
        owner = np.repeat(rows, wanted - np.bincount(pairs // labels, minlength=len(main)))
        pairs = _merge(pairs, owner * labels + np.searchsorted(weights, rng.random(len(owner))))
    return pairs


def _merge(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The distinct values of both, sorted: `numpy.union1d`, which hashes first, takes several times as long."""
    values = np.sort(np.r_[one, other])
    return values[np.r_[True, np.diff(values) > 0]]


def _write_words(
    rng: np.random.Generator,
    config: SyntheticConfig,
    weights: np.ndarray,
    common: np.ndarray,
    members: np.ndarray,
    bounds: np.ndarray,
    lengths: np.ndarray,
) -> tuple[str, np.ndarray]:
    """The words of a block of documents, each followed by a blank, and where each starts (and the last ends)."""
    # The kind of each word: of an own label, of another label, or of the background.
    document = np.repeat(np.arange(len(lengths)), lengths)
    kind = rng.random(len(document))
    own, other = np.flatnonzero(kind < OWN), np.flatnonzero((kind >= OWN) & (kind < OWN + STRAY))
    place = document[own]
    drawn = members[bounds[place] + (rng.random(len(own)) * np.diff(bounds)[place]).astype(np.int64)]
    topic = np.r_[drawn, np.searchsorted(weights, rng.random(len(other)))]
    slot = rng.integers(0, VOCABULARY, len(topic))
    # The word itself; the second label of a confused pair shares words of the first.
    source = np.arange(config.labels)
    pairs = _pair_starts(config.labels)
    source[pairs + 1] = pairs
    number = np.where(slot < SHARED, source[topic], topic) * VOCABULARY + slot
    telling = np.r_[own, other]
    plain = np.flatnonzero(kind >= OWN + STRAY)
    # Spelt as letters.
    syllables = 3 if config.labels * VOCABULARY <= len(SYLLABLES) ** 3 else 4
    widths = np.full(len(document), 5)
    widths[telling] = 2 * syllables + 1
    ends = np.r_[0, np.cumsum(widths)]
    letters = np.full(ends[-1], ord(" "), np.uint8)
    letters[ends[telling][:, None] + np.arange(2 * syllables)] = _letters(number, syllables)
    letters[ends[plain][:, None] + np.arange(4)] = common[rng.integers(0, len(common), len(plain))]
    return letters.tobytes().decode("ascii"), ends


def _letters(numbers: np.ndarray, syllables: int) -> np.ndarray:
    """(n, 2 * syllables) letters. Numbers below 80 ** syllables give different words, neighbours unlike ones."""
    base = len(SYLLABLES)
    scattered = (numbers + 271_828) * 15_485_863 % base**syllables
    return SYLLABLES[scattered[:, None] // base ** np.arange(syllables) % base].reshape(len(numbers), 2 * syllables)


def _words(numbers: np.ndarray) -> list[str]:
    return [bytes(row).decode("ascii") for row in _letters(numbers, 4)]

"""Encodings of text files: those with a mark or a pattern are known, others are proposed, never taken in silence."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple

from core.data.readers.signatures import no_text
from core.system.errors import UserError

BROKEN = re.compile("[\\ud800-\\udfff]")
"""Bytes that are no text in the file's encoding, as `text_stream` keeps them: lone surrogates."""
NO_TEXT = frozenset(("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape", "mbcs"))
"""Codecs of Python that are no encodings of a text file, beside those that it marks so itself."""
PROPOSED = 1 << 14
"""Bytes from which an encoding is proposed, of lines that are no UTF-8."""
SEARCHED = 16 << 20
"""Bytes in which such lines are looked for."""
SHOWN = 5
USUAL = (
    *("cp1252", "gb18030", "cp932", "big5", "cp949", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("cp1257", "cp1258", "cp874", "koi8_r", "koi8_u", "euc_jp", "mac_roman", "cp850"),
)
"""Encodings that are proposed, the more usual of two that read a sample alike first."""

LATIN = ("cp1252", "cp1250", "cp1254", "cp1257", "mac_roman", "cp850")
"""Of Latin letters, the most usual first: a few accents are too little for statistics, but not for words."""
MARKS = "‘’“”„‚–—…•€«»°§©®·¡¿\u00a0"
"""Signs of `LATIN` that usual texts have."""
IMPLAUSIBLE = re.compile(r"[^\W\d_][“”„‚–—…•€«»°§©®¡¿][^\W\d_]|[^\x00-\x7f‘’“”„‚–—…•«»\u00a0]{3}")
"""A mark inside a word; three foreign letters on end."""


class Proposal(NamedTuple):
    """An encoding in which a file that is no UTF-8 makes sense, and lines read in UTF-8 and in it."""

    encoding: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def check_encoding(name: str, encoding: str) -> str:
    """The usual name of an encoding.

    Raises:
        UserError: there is no such encoding, or it is none of texts.
    """
    try:
        found = codecs.lookup(encoding)
        if not found._is_text_encoding or found.name in NO_TEXT or encoding.lower().replace("-", "_") in NO_TEXT:
            raise UserError(
                f"{name}: '{encoding[:40]}' is no encoding of texts. Usual ones: utf-8, latin-1, cp1252, utf-16."
            )
        return found.name
    except (LookupError, ValueError):
        words = f"{name}: there is no encoding '{encoding[:40]}'. Usual ones: utf-8, latin-1, cp1252, utf-16, gb18030."
        raise UserError(words) from None


@contextmanager
def text_stream(name: str, stream: BinaryIO, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The decoded stream; undecodable bytes become lone surrogates, which are counted by document later.

    Raises:
        UserError: no such encoding; while reading: cut within a character.
    """
    known = check_encoding(name, encoding)
    text = io.TextIOWrapper(stream, "utf-8-sig" if known == "utf-8" else known, "surrogateescape", newline="")
    try:
        yield text
    except UnicodeError as error:
        raise UserError(
            f"{name} is cut short or no text in {encoding} ({error}). Name its encoding by --encoding."
        ) from None
    finally:
        with suppress(ValueError):
            text.detach()  # whoever opened the stream closes it


def detect_encoding(name: str, start: bytes) -> str:
    """The encoding by a mark, or by NUL bytes beside every Latin letter; utf-8 otherwise.

    Raises:
        UserError: these bytes are no text.
    """
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start and (wide := _wide(start)):
        return wide
    controls = len(re.findall(rb"[\x00-\x08\x0e-\x1a\x7f]", start))
    if controls > max(8, 0.01 * len(start)) or (b"\0" in start[:8] and controls > 1):
        raise no_text(name)
    return "utf-8"


def _wide(start: bytes) -> str:
    """UTF-16 without a mark: one of each two bytes is 0 for blanks, commas and line breaks, hardly ever the other."""
    first, second = start[0::2].count(0), start[1::2].count(0)
    for encoding, nulls, others in (("utf-16-le", second, first), ("utf-16-be", first, second)):
        if nulls > 0.03 * len(start) / 2 and nulls > 20 * others:
            text = start[: len(start) // 2 * 2].decode(encoding, "replace")
            if not re.search("[\\x00-\\x08\\x0e-\\x1f\\ue000-\\uf8ff]", text) and text.count("\ufffd") < 2:
                return encoding
    return ""


def propose(stream: BinaryIO) -> Proposal | None:
    """The encoding that a text seems to have where it is no UTF-8; None where it is, or none can be told."""
    import charset_normalizer

    # Lines that are no UTF-8, up to some bytes.
    broken, size, searched = list[bytes](), 0, 0
    for line in stream:
        searched += len(line)
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken.append(line[:PROPOSED])
            size += len(broken[-1])
        if size > PROPOSED or searched > SEARCHED:
            break
    if not broken:
        return None
    sample = b"".join(broken)
    encoding = next((name for name in LATIN if _is_latin(sample, name)), "")
    if not encoding:
        matches = charset_normalizer.from_bytes(sample, cp_isolation=list(USUAL))
        best = matches.best()
        if best is None:
            return None
        near = [one for one in matches if one.chaos <= best.chaos + 0.02 and one.coherence >= best.coherence - 0.1]
        encoding = _usual(sample, min((one.encoding for one in near), key=USUAL.index))
    after = [line.decode(encoding, "replace") for line in broken[:SHOWN]]
    before = [line.decode("utf-8", "replace") for line in broken[:SHOWN]]
    return Proposal(encoding, tuple(map(str.rstrip, before)), tuple(map(str.rstrip, after)))


def _is_latin(sample: bytes, encoding: str) -> bool:
    """Whether a sample reads as words in Latin letters with accents here and there, of which few tell a language."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    foreign = [letter for letter in text if not letter.isascii()]
    plain = sum(letter.isascii() and letter.isalpha() for letter in text)
    if not all(letter.isalpha() or letter in MARKS for letter in foreign) or plain < 2 * len(foreign):
        return False
    return not IMPLAUSIBLE.search(text) and not any(map(_has_capital_inside, re.findall(r"[^\W\d_]+", text)))


def _has_capital_inside(word: str) -> bool:
    """Whether a capital with an accent stands inside a word that has small letters, as in "MŠrkte"."""
    return not word.isupper() and any(letter.isupper() and not letter.isascii() for letter in word[1:])


def _usual(sample: bytes, encoding: str) -> str:
    """The usual encoding of those that read the sample alike."""
    text = sample.decode(encoding, "replace")
    for usual in USUAL:
        try:
            if sample.decode(usual) == text:
                return usual
        except UnicodeDecodeError:
            continue
    return encoding.replace("_", "-")

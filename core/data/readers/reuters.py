"""Reuters-21578 as distributed (SGML) and in NLTK's layout; damage raises with file, line and what to do."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html.entities import html5
from pathlib import Path, PurePosixPath
from typing import IO, cast

from core.data.readers.record import Record
from core.system.errors import UserError

SGML_FILE = re.compile(r"reut2-\d+\.sgm")
DOCUMENT = re.compile(r"<REUTERS([^>]*)>(.*?)</REUTERS>", re.DOTALL)
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
PREAMBLE = re.compile(r"\s*(<!DOCTYPE[^>]*>)?\s*")
INSIDE = {tag: re.compile(rf"<{tag}\b[^>]*>(.*?)</{tag}>", re.DOTALL) for tag in ("TOPICS", "TEXT", "TITLE", "BODY")}
TOPIC = re.compile(r"<D>(.*?)</D>", re.DOTALL)
TAG = re.compile(r"<[A-Z/][^>]*>")
ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w+);")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
MODAPTE = {"TRAIN": "train", "TEST": "test"}
AGAIN = "Fetch the collection again."


def open_reuters(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the `reut2-*.sgm` files in `reuters21578.tar.gz` or a folder.

    Raises:
        UserError: unreadable, cut short, damaged, or without such a file.
    """
    found = False
    try:
        for file in _folder_files(path) if path.is_dir() else _archive_files(path):
            found = True
            yield file
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is cut short or damaged ({error}). {AGAIN}") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not found:
        raise UserError(f"{path} holds no reut2-*.sgm file: it is not the Reuters-21578 collection. {AGAIN}")


def read_reuters_sgml(path: Path) -> Iterator[Record]:
    """Reuters-21578 as distributed: `reuters21578.tar.gz` or a folder of `reut2-*.sgm`, parts by the ModApte split.

    A document belongs to the split if its attribute TOPICS is YES; LEWISSPLIT then names the part.

    Raises:
        UserError: unreadable, cut short, damaged, or no Reuters collection.
    """
    for name, content in open_reuters(path):
        yield from _documents(f"{path}{os.sep if path.is_dir() else ': '}{name}", content.decode("latin-1"))


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{error.filename or path} cannot be read: {error.strerror or error}. Check the path and its rights."
    )


def _folder_files(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(file for file in path.iterdir() if SGML_FILE.fullmatch(file.name)):
        yield file.name, file.read_bytes()


def _archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with gzip.open(path) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and SGML_FILE.fullmatch(name):
                    yield name, cast(IO[bytes], archive.extractfile(member)).read()
        while unpacked.read(1 << 20):  # to the end, where the checksum stands
            pass


def _documents(place: str, content: str) -> Iterator[Record]:
    end = 0

    def broken(start: int, problem: str) -> UserError:
        line = content.count("\n", 0, start) + 1
        return UserError(f"{place}, line {line}: {problem}; the file was cut or damaged. {AGAIN}")

    # Only blanks and the preamble may stand between two documents: other text is a document without beginning.
    for found in DOCUMENT.finditer(content):
        if not PREAMBLE.fullmatch(content, end, found.start()):
            raise broken(end, "expected <REUTERS>")
        try:
            record = _record(found[1], found[2])
        except ValueError as error:
            raise broken(found.start(), f"the document that starts here {error}") from None
        end = found.end()
        yield record
    if not end:
        raise broken(0, "no <REUTERS> document with an end")
    if content[end:].strip():
        raise broken(len(content) - len(content[end:].lstrip()), "the document that starts here has no </REUTERS>")


def _record(tag: str, content: str) -> Record:
    """One document; raises `ValueError` that says what it lacks."""
    if "<REUTERS" in content:
        raise ValueError("has no </REUTERS>")
    attributes = dict(ATTRIBUTE.findall(tag))
    for name in ("NEWID", "LEWISSPLIT", "TOPICS"):
        if name not in attributes:
            raise ValueError(f"has no attribute {name}")
    if not attributes["NEWID"].isdecimal():
        raise ValueError(f"has the NEWID '{attributes['NEWID']}', which is no number")
    text = _inside("TEXT", content)
    # A brief has a title alone, an unprocessed text neither title nor body.
    body = _inside("BODY", text) if "<BODY" in text else "" if "<TITLE" in text else TAG.sub("", text)
    return Record(
        id=attributes["NEWID"],
        title=" ".join(clean(_inside("TITLE", text)).split()),
        body=clean(body),
        labels=tuple(dict.fromkeys(clean(topic) for topic in TOPIC.findall(_inside("TOPICS", content)))),
        part=MODAPTE.get(attributes["LEWISSPLIT"], "unused") if attributes["TOPICS"] == "YES" else "unused",
    )


def _inside(tag: str, content: str) -> str:
    found = INSIDE[tag].search(content)
    if found is None and f"<{tag}" in content:
        raise ValueError(f"has no </{tag}>")
    return found[1] if found else ""


def clean(text: str) -> str:
    """Entities decoded once, control characters (also those that entities stand for) made blanks, ends stripped."""
    return CONTROL.sub(" ", ENTITY.sub(_character, text)).strip()


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    if not name.startswith("#"):
        return html5.get(f"{name};", entity[0])
    number = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(number) if number <= 0x10FFFF else entity[0]


def read_reuters_nltk(path: Path) -> Iterator[Record]:
    """Reuters in NLTK's layout: `cats.txt`, `training/`, `test/`, as a folder or a zip; the first line is the title.

    Raises:
        UserError: unreadable, a document that `cats.txt` names is missing, or a zip with paths that lead outside.
    """
    with ExitStack() as stack:
        try:
            read = _zip_reader(path, stack) if path.is_file() else _folder_reader(path)
            for number, line in enumerate(read("cats.txt").decode("latin-1").splitlines(), 1):
                if not line.strip():
                    continue
                name, *labels = line.split()
                if not re.fullmatch(r"(training|test)/[0-9]+", name):
                    raise UserError(f"{path}/cats.txt, line {number}: '{name}' is neither training/ID nor test/ID.")
                try:
                    title, _, body = read(name).decode("latin-1").partition("\n")
                except FileNotFoundError:
                    raise UserError(
                        f"{path}/cats.txt, line {number}: {name} is missing. Unpack the corpus again."
                    ) from None
                part, _, document = name.partition("/")
                yield Record(
                    id=document,
                    title=clean(title),
                    body=clean(body),
                    labels=tuple(dict.fromkeys(labels)),
                    part="test" if part == "test" else "train",
                )
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            # RuntimeError: encrypted, or a compression that Python does not know
            raise UserError(f"{path} is cut short or damaged ({error}). Fetch the zip again.") from None
        except OSError as error:
            raise _unreadable(path, error) from None


def _folder_reader(path: Path) -> Callable[[str], bytes]:
    return lambda name: path.joinpath(name).read_bytes()


def _zip_reader(path: Path, stack: ExitStack) -> Callable[[str], bytes]:
    archive = stack.enter_context(zipfile.ZipFile(path))
    names = set(archive.namelist())
    outside = next((name for name in sorted(names) if name.startswith("/") or ".." in PurePosixPath(name).parts), None)
    if outside is not None:
        raise UserError(f"{path} is refused: its member '{outside}' leads outside of the folder it is unpacked to.")
    lists = sorted(name for name in names if PurePosixPath(name).name == "cats.txt")
    if not lists:
        raise UserError(f"{path} holds no cats.txt: it is not NLTK's Reuters corpus.")
    root = lists[0].removesuffix("cats.txt")

    def read(name: str) -> bytes:
        if root + name not in names:
            raise FileNotFoundError(name)
        return archive.read(root + name)

    return read

"""One function per format: from a path to records, one document at a time. Errors say file, line and what to do."""

from __future__ import annotations

import html
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.config import UserError

DOCUMENT = re.compile(r"<REUTERS([^>]*)>(.*?)</REUTERS>", re.DOTALL)
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
TOPICS = re.compile(r"<TOPICS>(.*?)</TOPICS>", re.DOTALL)
TOPIC = re.compile(r"<D>(.*?)</D>", re.DOTALL)
TEXT = re.compile(r"<TEXT[^>]*>(.*)</TEXT>", re.DOTALL)
TITLE = re.compile(r"<TITLE>(.*?)</TITLE>", re.DOTALL)
BODY = re.compile(r"<BODY>(.*)</BODY>", re.DOTALL)
TAG = re.compile(r"<[A-Z/][^>]*>")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MODAPTE = {"TRAIN": "train", "TEST": "test"}
SGML_FILE = re.compile(r"reut2-\d+\.sgm")


@dataclass(frozen=True)
class Record:
    """One document as a collection gives it. `part` is train, test or unused; labels are distinct."""

    id: str
    title: str
    body: str
    labels: tuple[str, ...]
    part: str


def read_reuters_sgml(path: Path) -> Iterator[Record]:
    """Reuters-21578 as distributed: `reuters21578.tar.gz` or a folder of `reut2-*.sgm`, parts by the ModApte split.

    A document is part of the split if its attribute TOPICS is YES; its LEWISSPLIT then names the part.

    Raises:
        UserError: unreadable, cut short, or no Reuters collection.
    """
    found = 0
    for name, content in _sgml_files(path):
        found += 1
        yield from _sgml_documents(f"{path.name}/{name}" if path.is_dir() else f"{path.name}: {name}", content)
    if not found:
        raise UserError(f"{path} holds no reut2-*.sgm file: point TAILSCOPE_DATA to the Reuters-21578 collection.")


def _sgml_files(path: Path) -> Iterator[tuple[str, str]]:
    if path.is_dir():
        for file in sorted(file for file in path.iterdir() if SGML_FILE.fullmatch(file.name)):
            yield file.name, file.read_bytes().decode("latin-1")
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                content = archive.extractfile(member) if SGML_FILE.fullmatch(name) else None
                if content is not None:
                    yield name, content.read().decode("latin-1")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is cut short or damaged ({error}). Download it again.") from None


def _sgml_documents(place: str, content: str) -> Iterator[Record]:
    end = 0
    for found in DOCUMENT.finditer(content):
        if "<REUTERS" in found[2]:
            raise _unfinished(place, content, found.start())
        end = found.end()
        attributes = dict(ATTRIBUTE.findall(found[1]))
        if "NEWID" not in attributes:
            line = content.count("\n", 0, found.start()) + 1
            raise UserError(f"{place}, line {line}: a <REUTERS> tag without NEWID. Download the collection again.")
        yield _sgml_record(attributes, found[2])
    rest = content.find("<REUTERS", end)
    if rest >= 0:
        raise _unfinished(place, content, rest)
    if not end:
        raise UserError(f"{place}, line 1: no <REUTERS> document in this file. Download the collection again.")


def _unfinished(place: str, content: str, start: int) -> UserError:
    line = content.count("\n", 0, start) + 1
    return UserError(
        f"{place}, line {line}: the document that starts here has no </REUTERS>; the file was cut. "
        "Download the collection again."
    )


def _sgml_record(attributes: dict[str, str], content: str) -> Record:
    text = _first(TEXT, content)
    # A brief has a title alone, an unprocessed text neither title nor body.
    body = _first(BODY, text) if "<BODY>" in text else "" if "<TITLE>" in text else TAG.sub("", text)
    part = MODAPTE.get(attributes.get("LEWISSPLIT", ""), "unused") if attributes.get("TOPICS") == "YES" else "unused"
    topics = [clean(topic) for topic in TOPIC.findall(_first(TOPICS, content))]
    return Record(attributes["NEWID"], clean(_first(TITLE, text)), clean(body), tuple(dict.fromkeys(topics)), part)


def _first(pattern: re.Pattern[str], content: str) -> str:
    found = pattern.search(content)
    return found[1] if found else ""


def clean(text: str) -> str:
    """Entities decoded, control characters (also those that entities stand for) turned into blanks, ends stripped."""
    return CONTROL.sub(" ", html.unescape(text)).strip()


def read_reuters_nltk(path: Path) -> Iterator[Record]:
    """Reuters in NLTK's layout: `cats.txt`, `training/`, `test/`, as a folder or a zip; the first line is the title.

    Raises:
        UserError: unreadable, a document that `cats.txt` names is missing, or a zip with paths that lead outside.
    """
    with ExitStack() as stack:
        read = _zip_reader(path, stack) if path.is_file() else _folder_reader(path)
        for number, line in enumerate(read("cats.txt").decode("latin-1").splitlines(), 1):
            name, *labels = line.split()
            part, _, document = name.partition("/")
            if part not in ("training", "test") or not re.fullmatch(r"\w+", document):
                raise UserError(f"{path}/cats.txt, line {number}: '{name}' is neither training/ID nor test/ID.")
            try:
                title, _, body = read(name).decode("latin-1").partition("\n")
            except (KeyError, FileNotFoundError):
                raise UserError(
                    f"{path}/cats.txt, line {number}: {name} is missing. Unpack the corpus again."
                ) from None
            yield Record(
                document,
                clean(title),
                clean(body),
                tuple(dict.fromkeys(labels)),
                "train" if part == "training" else part,
            )


def _folder_reader(path: Path) -> Callable[[str], bytes]:
    return lambda name: path.joinpath(name).read_bytes()


def _zip_reader(path: Path, stack: ExitStack) -> Callable[[str], bytes]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} is cut short or no zip ({error}). Download it again.") from None
    names = archive.namelist()
    outside = next((name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts), None)
    if outside is not None:
        raise UserError(f"{path} has a member that leads outside of it, '{outside}': this is no corpus of NLTK's.")
    lists = sorted(name for name in names if PurePosixPath(name).name == "cats.txt")
    if not lists:
        raise UserError(f"{path} holds no cats.txt: it is not NLTK's Reuters corpus.")
    root = lists[0].removesuffix("cats.txt")

    def read(name: str) -> bytes:
        try:
            return archive.read(root + name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UserError(f"{path}: {name} is damaged ({error}). Download the zip again.") from None

    return read
